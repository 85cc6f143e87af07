"""Facility location beside apricot and submodlib: features in, rows out."""

import time
from types import SimpleNamespace

import numpy as np
from contest import (
    Answer,
    Contestant,
    Workload,
    below,
    clusters,
    less,
    median_distance,
    need_memory,
    no_worse,
    random_rows,
    similarity,
)


def pool(n: int, d: int, k: int) -> SimpleNamespace:
    """Return features (n, d) with the bandwidth all contestants use."""
    features = clusters(n, d)
    return SimpleNamespace(features=features, k=k, h=median_distance(features))


def covered(data: SimpleNamespace, answer: object) -> float:
    """Return the sum over rows of the largest similarity to a pick."""
    rows = np.asarray(getattr(answer, "indices", answer))
    x = data.features.astype(np.float64)
    parts = range(0, len(x), 2048)
    return float(sum(similarity(x[i : i + 2048], x[rows], data.h).max(axis=1).sum() for i in parts))


def ours(data: SimpleNamespace):
    from helpers.selection import submodular

    submodular.facility_location(data.features[:50], 5)
    return lambda: submodular.facility_location(data.features, data.k)


def with_matrix(select):
    """Return a call that makes the n x n similarity, then selects; both are timed.

    "Compiling" is what the peer needs for 50 rows too: apricot compiles at every call.
    """

    def make(data: SimpleNamespace):
        n = len(data.features)
        need_memory(4 * 4 * n * n / 1e6)
        few = similarity(data.features[:50], data.features[:50], data.h)
        select(few, 5)  # first imports
        start = time.process_time()
        select(few, 5)
        fixed = time.process_time() - start

        def call() -> Answer:
            start = time.process_time()
            matrix = similarity(data.features, data.features, data.h)
            made = time.process_time()
            rows = select(matrix, data.k)
            end = time.process_time()
            notes = {"of which compiling s": fixed, "of which kernel s": made - start}
            notes["of which selection s"] = end - made - fixed
            return Answer(rows, notes=notes | {"solver_s": end - start - fixed})

        return call

    return make


def apricot_lazy(matrix: np.ndarray, k: int) -> np.ndarray:
    from apricot import FacilityLocationSelection

    model = FacilityLocationSelection(k, metric="precomputed", optimizer="lazy")
    return np.asarray(model.fit(matrix).ranking, dtype=np.int64)


def submodlib_lazy(matrix: np.ndarray, k: int) -> np.ndarray:
    from submodlib import FacilityLocationFunction

    n = len(matrix)
    model = FacilityLocationFunction(n=n, mode="dense", sijs=matrix, separate_rep=False)
    picks = model.maximize(budget=k, optimizer="LazyGreedy", show_progress=False)
    return np.array([row for row, _ in picks], dtype=np.int64)


def kernel_alone(data: SimpleNamespace):
    """Return a call that ranks rows by their sums of similarities, each pair computed once.

    No answer that looks at every similarity can take less.
    """
    x = (data.features / np.float32(data.h)).astype(np.float32)
    x -= x.mean(axis=0)
    squares = np.einsum("ij,ij->i", x, x)[:, None] / -2
    left, right = (np.hstack([x, *ends]) for ends in ends_of(squares))
    parts = [slice(start, start + 512) for start in range(0, len(x), 512)]

    def call() -> np.ndarray:
        sums, space = np.zeros(len(x)), np.empty(512 * 512, np.float32)
        for number, columns in enumerate(parts):
            for rows in parts[: number + 1]:
                shape = len(left[rows]), len(right[columns])
                tile = space[: shape[0] * shape[1]].reshape(shape)
                np.exp(np.matmul(left[rows], right[columns].T, out=tile), out=tile)
                sums[rows] += tile @ np.ones(shape[1], np.float32)
                if rows != columns:
                    sums[columns] += np.ones(shape[0], np.float32) @ tile
        return np.argsort(-sums, kind="stable")[: data.k]

    return call


def ends_of(squares: np.ndarray) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    """Return the columns by which one product of rows gives minus half a squared distance."""
    ones = np.ones_like(squares)
    return (squares, ones), (ones, squares)


def contestants(large: bool) -> tuple[Contestant, ...]:
    peer = {"kind": "peer", "last": large}
    note = "makes the same kernel in NumPy, float32, inside the clock"
    return (
        Contestant("ours", ours),
        Contestant("apricot", with_matrix(apricot_lazy), **peer, note=note),
        Contestant("submodlib", with_matrix(submodlib_lazy), **peer, note=note),
        Contestant("kernel alone", kernel_alone, "reference", note="each pair of rows once"),
        Contestant("random", random_rows, "reference"),
    )


COMPILED = (
    "once compiled, apricot spends its time on the n x n kernel, which ours computes as well, and "
    "on compiled sweeps over its rows; the row 'kernel alone' is what product and exponential of "
    "every pair take, once each, and an answer that looks at every similarity cannot take less"
)
SHARED = {"score": covered, "objective": "sum of largest similarities"}
EQUAL = (no_worse("apricot", 1), no_worse("submodlib", 1))

WORKLOADS = [
    Workload(
        "facility-5k",
        "facility location, lazy greedy",
        pool,
        {"n": 5000, "d": 64, "k": 500},
        {"n": 300, "d": 64, "k": 30},
        contestants(large=False),
        **SHARED,
        targets=(less("apricot", 3), *EQUAL),
    ),
    Workload(
        "facility-20k",
        "facility location, lazy greedy",
        pool,
        {"n": 20_000, "d": 64, "k": 500},
        {"n": 600, "d": 64, "k": 30},
        contestants(large=True),
        **SHARED,
        targets=(
            less("apricot", 3),
            less("apricot", 2, solver=True, why=COMPILED),
            less("submodlib", 8),
            *EQUAL,
            below(500, "total_mb"),
        ),
    ),
]
