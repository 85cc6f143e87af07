"""Greedy k-centers beside a loop of one product a pick, and beside storing all distances."""

from types import SimpleNamespace

import numpy as np
from contest import Contestant, Workload, below, clusters, less, need_memory, no_worse, same_set

BLOCK = 1 << 22  # cells of a distance block, in our contestants of this file


def pool(n: int, d: int, n_initial: int, k: int) -> SimpleNamespace:
    """Return features (n, d), the rows that are centres already, and k."""
    features = clusters(n, d)
    initial = np.random.default_rng(3).permutation(n)[:n_initial]
    return SimpleNamespace(features=features, initial=initial, k=k)


def ours(data: SimpleNamespace):
    from helpers.selection import kcenters

    kcenters.greedy_k_centers(data.features[:50], 5)
    return lambda: kcenters.greedy_k_centers(data.features, data.k, data.initial)


def squared_to(features: np.ndarray, squares: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return squared distances of all rows to some, shape (n, len(rows)), in place of a copy."""
    dist = features @ features[rows].T
    dist *= -2
    dist += squares[:, None]
    dist += squares[rows]
    return dist


def to_initial(features: np.ndarray, squares: np.ndarray, initial: np.ndarray) -> np.ndarray:
    """Return squared distances to the nearest initial row, shape (n,)."""
    nearest = np.full(len(features), np.inf, np.float32)
    for rows in np.array_split(initial, -(-len(initial) * len(features) // BLOCK)):
        np.minimum(nearest, squared_to(features, squares, rows).min(axis=1), out=nearest)
    return nearest


def loop(data: SimpleNamespace):
    """One matrix-vector product a pick, buffers reused."""

    def call() -> np.ndarray:
        x, picked = data.features, []
        squares = np.einsum("ij,ij->i", x, x)
        nearest = to_initial(x, squares, data.initial)
        nearest[data.initial] = -1
        dist = np.empty_like(nearest)
        for _ in range(data.k):
            best = int(nearest.argmax())
            picked.append(best)
            np.dot(x, x[best] * -2, out=dist)
            dist += squares
            dist += squares[best]
            np.minimum(nearest, dist, out=nearest)
            nearest[best] = -1
        return np.array(picked)

    return call


def all_distances(data: SimpleNamespace):
    """The n x n matrix filled by blocks and kept, as core-set repositories do."""
    n = len(data.features)
    need_memory(1.2 * 4 * n * n / 1e6)

    def call() -> np.ndarray:
        x, picked = data.features, []
        squares = np.einsum("ij,ij->i", x, x)
        matrix = np.empty((n, n), np.float32)
        step = max(1, BLOCK // n)
        for start in range(0, n, step):
            rows = np.arange(start, min(n, start + step))
            part = matrix[start : start + step]
            np.matmul(x[rows], x.T, out=part)
            part *= -2
            part += squares
            part += squares[rows, None]
            np.maximum(part, 0, out=part)
            np.sqrt(part, out=part)
        nearest = np.full(n, np.inf, np.float32)
        for row in data.initial:
            np.minimum(nearest, matrix[row], out=nearest)
        nearest[data.initial] = -1
        for _ in range(data.k):
            best = int(nearest.argmax())
            picked.append(best)
            np.minimum(nearest, matrix[best], out=nearest)
            nearest[best] = -1
        return np.array(picked)

    return call


def radius(data: SimpleNamespace, picked: np.ndarray) -> float:
    """Return the largest distance from a row to its nearest centre, over 50,000 rows at most."""
    x = data.features
    some = np.arange(0, len(x), -(-len(x) // 50_000))
    squares = np.einsum("ij,ij->i", x, x, dtype=np.float64)
    nearest = np.full(len(some), np.inf)
    centres = np.concatenate([data.initial, picked])
    for rows in np.array_split(centres, -(-len(centres) * len(some) // BLOCK)):
        dist = (x[some] @ x[rows].T).astype(np.float64) * -2
        nearest = np.minimum(nearest, (dist + squares[rows]).min(axis=1))
    return float(np.sqrt(max(0.0, (nearest + squares[some]).max())))


TIES = (
    "float32 tells distances apart to about 5e-7 of the longest row; a pair of picks closer than "
    "that may fall either way, here and in the loop, which moves the radius by no more"
)
PEAK = (
    "6,000 centres x 50,000 rows x 512 features are 0.31 Tflop at the speed of one matrix product; "
    "the loop moves 0.5 TB: the ratio is that of these two speeds of the machine"
)
STORED = Contestant(
    "all distances stored",
    all_distances,
    "loop",
    once=True,
    last=True,
    note="once: it fills 10 GB",
)
SHARED = {"score": radius, "sense": -1, "objective": "covering radius", "tolerance": 1e-4}

WORKLOADS = [
    Workload(
        "kcenters-50k-64",
        "k-centers, 1,000 initial rows, 5,000 picks",
        pool,
        {"n": 50_000, "d": 64, "n_initial": 1000, "k": 5000},
        {"n": 2000, "d": 64, "n_initial": 50, "k": 200},
        (Contestant("ours", ours), Contestant("a product a pick", loop, "loop"), STORED),
        **SHARED,
        targets=(
            less("a product a pick", 2),
            less("all distances stored", 40),
            same_set("a product a pick", why=TIES),
            same_set("all distances stored", why=TIES),
            no_worse("a product a pick", -1, 1e-4),
            below(40, "peak_mb"),
        ),
    ),
    Workload(
        "kcenters-50k-512",
        "the same, wide features",
        pool,
        {"n": 50_000, "d": 512, "n_initial": 1000, "k": 5000},
        {"n": 2000, "d": 512, "n_initial": 50, "k": 200},
        (Contestant("ours", ours), Contestant("a product a pick", loop, "loop", last=True)),
        **SHARED,
        targets=(
            less("a product a pick", 8, why=PEAK),
            same_set("a product a pick", why=TIES),
            no_worse("a product a pick", -1, 1e-4),
            below(40, "peak_mb"),
        ),
    ),
    Workload(
        "kcenters-1.28m",
        "k-centers on as many rows as ImageNet",
        pool,
        {"n": 1_280_000, "d": 64, "n_initial": 0, "k": 12_800},
        {"n": 20_000, "d": 64, "n_initial": 0, "k": 200},
        (Contestant("ours", ours, last=True, timeout_s=1200),),
        **SHARED,
        threads=2,
        targets=(below(300, "wall_s"), below(3000, "total_mb")),
    ),
]
