"""CRAIG and GRAD-MATCH beside plain greedy and plain orthogonal matching pursuit."""

from types import SimpleNamespace

import numpy as np
from contest import Answer, Contestant, Workload, at_most, below, gradients, no_worse, random_rows

TRIAL = "quoted from a trial on a machine of this size; not on PyPI"
PLAIN_OMP = 0.00164  # relative residual, from the same trial


def pool(n: int, d: int, k: int) -> SimpleNamespace:
    """Return gradients (n, d) and k."""
    rows = gradients(n, d)
    return SimpleNamespace(gradients=rows, features=rows, k=k)


def craig(data: SimpleNamespace):
    from helpers.selection import gradients as room

    room.craig(data.gradients[:50], 5)
    return lambda: Answer(*room.craig(data.gradients, data.k))


def grad_match(data: SimpleNamespace):
    from helpers.selection import matching

    matching.grad_match(data.gradients[:50], 5)
    return lambda: Answer(*matching.grad_match(data.gradients, data.k))


def distances(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return Euclidean distances in float64."""
    left, right = left.astype(np.float64), right.astype(np.float64)
    squared = (left**2).sum(axis=1)[:, None] + (right**2).sum(axis=1) - 2 * left @ right.T
    return np.sqrt(np.maximum(squared, 0))


def to_picks(data: SimpleNamespace, answer: object) -> float:
    """Return the sum of distances to the nearest pick."""
    rows = np.asarray(getattr(answer, "indices", answer))
    return float(distances(data.gradients, data.gradients[rows]).min(axis=1).sum())


def plain_greedy(data: SimpleNamespace):
    """Every gain anew at every pick, from all distances; the first pick is the medoid."""

    def call() -> np.ndarray:
        dist = distances(data.gradients, data.gradients)
        np.fill_diagonal(dist, 0)
        nearest, picked = np.full(len(dist), dist.max()), []
        for _ in range(data.k):
            totals = [
                np.minimum(dist[i : i + 64], nearest).sum(axis=1) for i in range(0, len(dist), 64)
            ]
            best = int(np.concatenate(totals).argmin())
            picked.append(best)
            np.minimum(nearest, dist[best], out=nearest)
        return np.array(picked)

    return call


def residual(data: SimpleNamespace, answer: Answer) -> float:
    """Return the length of what the weighted rows miss of the sum, over that of the sum."""
    total = data.gradients.sum(axis=0, dtype=np.float64)
    found = answer.weights @ data.gradients[answer.indices].astype(np.float64)
    return float(np.linalg.norm(total - found) / np.linalg.norm(total))


def clipped_pursuit(data: SimpleNamespace):
    """Orthogonal matching pursuit, negative weights set to 0 at the end."""

    def call() -> Answer:
        x = data.gradients.astype(np.float64)
        total = x.sum(axis=0)
        left, picked = total, []
        for _ in range(data.k):
            products = x @ left
            products[picked] = -np.inf
            picked.append(int(products.argmax()))
            some = x[picked]
            weights = np.linalg.solve(some @ some.T, some @ total)
            left = total - weights @ some
        return Answer(np.array(picked), np.maximum(weights, 0))

    return call


SIZES = {"n": 5000, "d": 512, "k": 500}
QUICK = {"n": 200, "d": 64, "k": 20}

WORKLOADS = [
    Workload(
        "craig-5k",
        "CRAIG, whole pool at once",
        pool,
        SIZES,
        QUICK,
        (
            Contestant("ours", craig),
            Contestant("plain greedy", plain_greedy, "loop", last=True),
            Contestant("random", random_rows, "reference"),
            Contestant("CORDS", kind="quoted", quoted_s=86.0, note=TRIAL),
            Contestant("DeepCore", kind="quoted", quoted_s=1.3, note=TRIAL),
        ),
        to_picks,
        sense=-1,
        objective="sum of distances to the nearest pick",
        targets=(below(1), no_worse("plain greedy", -1)),
    ),
    Workload(
        "grad-match-5k",
        "GRAD-MATCH, whole pool at once",
        pool,
        SIZES,
        QUICK,
        (
            Contestant("ours", grad_match),
            Contestant("weights clipped afterwards", clipped_pursuit, "loop", last=True),
            Contestant("CORDS", kind="quoted", quoted_s=2.1, note=TRIAL),
        ),
        residual,
        sense=-1,
        objective="relative residual",
        targets=(below(1.1), at_most(PLAIN_OMP * 1.005)),
    ),
]
