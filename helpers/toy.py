"""A pool in the plane, with a proxy trained on it: every selection method can be seen at work."""

from __future__ import annotations

import numpy as np
from scipy.special import softmax

from helpers.scores import forgetting_events
from helpers.selection.registry import Pool

CENTRES = np.array([[-1.7, 0.2], [0.6, 1.2], [1.1, -1.2]])
SPREADS = np.array([[0.4, 0.45], [1.1, 0.6], [0.75, 0.9]])
SHARES = (0.44, 0.32, 0.20)  # the rest are stragglers, labelled by the nearest centre
N_EPOCHS, BATCH, RATE = 25, 20, 0.3


def pool(n: int = 500, seed: int = 0) -> Pool:
    """Return three classes of n points in the plane and what a small proxy learns about them.

    A tight class, a long one and a loose one overlap; a few stragglers lie far out. The proxy
    is a softmax regression on squares and products of the coordinates, trained by SGD.

    Returns:
        A Pool of n examples whose features are the points (n, 2); probs, correct (a row an
        epoch), forgetting and norms (of the first gradients) come from the proxy.
    """
    rng = np.random.default_rng(seed)
    labels = rng.choice(3, size=n, p=np.array(SHARES) / sum(SHARES))
    points = CENTRES[labels] + SPREADS[labels] * rng.standard_normal((n, 2))
    far = rng.random(n) > sum(SHARES)
    points[far] = rng.uniform((-4, -3.5), (4, 3.5), size=(int(far.sum()), 2))
    to_centres = np.linalg.norm(points[far, None] - CENTRES, axis=2)
    labels[far] = to_centres.argmin(axis=1)
    weights = 0.3 * rng.standard_normal((6, 3))
    first = _norms(points, labels, weights)
    weights, correct = _trained(points, labels, weights, rng)
    return Pool(
        labels=labels,
        probs=_probs(points, weights),
        features=points,
        forgetting=forgetting_events(correct),
        norms=first,
        correct=correct,
    )


def _inputs(points: np.ndarray) -> np.ndarray:
    """Return 1, x, y, x^2, xy, y^2 of points (n, 2), scaled to about 1, shape (n, 6)."""
    x, y = points.T / 3
    return np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=1)


def _probs(points: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return softmax(_inputs(points) @ weights, axis=1)


def _norms(points: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the norm (n,) of each example's gradient: the error's times the input's."""
    errors = _probs(points, weights) - np.eye(3)[labels]
    return np.linalg.norm(errors, axis=1) * np.linalg.norm(_inputs(points), axis=1)


def _trained(
    points: np.ndarray, labels: np.ndarray, weights: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return weights after N_EPOCHS, and whether each example was right when visited."""
    inputs, targets = _inputs(points), np.eye(3)[labels]
    correct = np.zeros((N_EPOCHS, len(points)), dtype=bool)
    for epoch in range(N_EPOCHS):
        order = rng.permutation(len(points))
        for start in range(0, len(points), BATCH):
            rows = order[start : start + BATCH]
            probs = _probs(points[rows], weights)
            correct[epoch, rows] = probs.argmax(axis=1) == labels[rows]
            weights = weights - RATE * inputs[rows].T @ (probs - targets[rows]) / len(rows)
    return weights, correct
