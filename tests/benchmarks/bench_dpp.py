"""k-DPP: greedy MAP beside the incremental loop, exact samples beside dppy."""

from types import SimpleNamespace

import numpy as np
from contest import (
    Contestant,
    Workload,
    below,
    clusters,
    less,
    median_distance,
    no_worse,
    similarity,
)


def kernel(n: int, d: int, k: int, small: int = 0) -> SimpleNamespace:
    """Return the Gaussian kernel (n, n) in float64, k, and a smaller k that dppy can do."""
    x = clusters(n, d).astype(np.float64)
    values = similarity(x, x, median_distance(x))
    np.fill_diagonal(values, 1)
    return SimpleNamespace(kernel=(values + values.T) / 2, k=k, small=small)


def log_volume(data: SimpleNamespace, rows: np.ndarray) -> float:
    """Return the logarithm of the determinant of the chosen submatrix."""
    return float(np.linalg.slogdet(data.kernel[np.ix_(rows, rows)])[1])


def greedy(data: SimpleNamespace):
    from helpers.selection import dpp

    dpp.greedy_map(data.kernel[:50, :50], 5)
    return lambda: dpp.greedy_map(data.kernel, data.k)


def incremental(data: SimpleNamespace):
    """One row of the Cholesky factor a pick, in NumPy."""

    def call() -> np.ndarray:
        n = len(data.kernel)
        rows, gains, picked = np.empty((data.k, n)), np.diagonal(data.kernel).copy(), []
        for step in range(data.k):
            best = int(gains.argmax())
            row = data.kernel[best] - rows[:step, best] @ rows[:step]
            rows[step] = row / np.sqrt(gains[best])
            gains -= rows[step] ** 2
            picked.append(best)
            gains[picked] = -np.inf
        return np.array(picked)

    return call


def sample(which: str):
    def make(data: SimpleNamespace):
        from helpers.selection import dpp

        dpp.sample_k_dpp(data.kernel[:50, :50], 5, np.random.default_rng(0))
        k = getattr(data, which)
        return lambda: dpp.sample_k_dpp(data.kernel, k, np.random.default_rng(0))

    return make


def dppy_sample(which: str):
    def make(data: SimpleNamespace):
        from dppy.finite_dpps import FiniteDPP

        k = getattr(data, which)

        def call() -> np.ndarray:
            model = FiniteDPP("likelihood", L=data.kernel)
            return np.array(model.sample_exact_k_dpp(size=k, random_state=0), dtype=np.int64)

        return call

    return make


WORKLOADS = [
    Workload(
        "dpp-map",
        "k-DPP, greedy MAP",
        kernel,
        {"n": 3000, "d": 64, "k": 1500},
        {"n": 200, "d": 64, "k": 100},
        (Contestant("ours", greedy), Contestant("a row a pick", incremental, "loop")),
        log_volume,
        objective="log determinant",
        tolerance=1e-9,
        targets=(below(1), no_worse("a row a pick", 1, 1e-9)),
    ),
    Workload(
        "dpp-sample",
        "k-DPP, exact sample",
        kernel,
        {"n": 3000, "d": 64, "k": 1500, "small": 600},
        {"n": 200, "d": 64, "k": 100, "small": 40},
        (
            Contestant("ours, k = 1,500", sample("k"), group="k"),
            Contestant("ours, k = 600", sample("small"), group="small"),
            Contestant("dppy, k = 1,500", dppy_sample("k"), "peer", group="k"),
            Contestant("dppy, k = 600", dppy_sample("small"), "peer", group="small"),
        ),
        targets=(
            below(10, ours="ours, k = 1,500"),
            less("dppy, k = 600", 1, ours="ours, k = 600"),
        ),
    ),
]
