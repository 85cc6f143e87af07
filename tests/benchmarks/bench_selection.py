"""Our solvers beside the formulations as written and the obvious loops: `make bench`.

Each pair runs on the same data in one session; read the ratio of medians, not the seconds.
"""

import numpy as np
import pytest

from helpers.selection import geda, iqp, kcenters, kernels

N_LP, SHARE = 150, 0.2


def clusters(n: int, d: int) -> np.ndarray:
    """Return ten clusters of features (n, d) float32, as a trained network's look."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((10, d)) * 9 / np.sqrt(d)
    rows = centres[rng.integers(0, 10, n)] + rng.standard_normal((n, d))
    return rows.astype(np.float32)


def program() -> tuple[np.ndarray, np.ndarray, int]:
    """Return utility (n,), similarity (n, n) and k of a program that HiGHS can still solve."""
    similarity = kernels.gaussian_similarity(clusters(N_LP, 64), "median")
    utility = np.random.default_rng(1).uniform(0, np.log(10), N_LP)
    return utility, similarity, int(SHARE * N_LP)


def loop(features: np.ndarray, k: int) -> np.ndarray:
    """Pick k centres by one matrix-vector product a pick, starting at row 0."""
    squares = np.einsum("ij,ij->i", features, features)
    nearest, picked = np.full(len(features), np.inf, np.float32), [0]
    for _ in range(k - 1):
        last = features[picked[-1]]
        np.minimum(nearest, squares - 2 * features @ last + last @ last, out=nearest)
        picked.append(int(nearest.argmax()))
    return np.array(picked)


@pytest.mark.benchmark(group="LP relaxation, n = 150")
@pytest.mark.parametrize("how", ["closed form", "HiGHS as written"])
def bench_lp(benchmark, how):
    utility, similarity, k = program()
    if how == "closed form":
        benchmark(iqp.lp_relaxation, utility, similarity, k)
    else:
        solve = iqp.solve_lp_as_written
        benchmark.pedantic(solve, (utility, similarity, k, 0.3, "highs"), rounds=3)


@pytest.mark.benchmark(group="GEDA, n = 500, N = 5")
@pytest.mark.parametrize("how", ["closed form", "HiGHS as written", "CBC as written"])
def bench_geda(benchmark, how):
    norms = np.random.default_rng(0).gamma(2.0, 0.5, 500)
    if how == "closed form":
        benchmark(geda.geda, norms, 100)
    else:
        solver = how.split()[0].lower()
        benchmark.pedantic(geda.solve_milp_as_written, (norms, 100, 5, solver), rounds=3)


@pytest.mark.benchmark(group="greedy k-centers, n = 20,000, d = 64, k = 2,000")
@pytest.mark.parametrize("how", ["batched", "a product a pick"])
def bench_k_centers(benchmark, how):
    features = clusters(20_000, 64)
    pick = kcenters.greedy_k_centers if how == "batched" else loop
    benchmark.pedantic(pick, (features, 2_000), rounds=3, warmup_rounds=1)
