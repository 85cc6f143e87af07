"""Selection by gradients: CRAIG, last-layer gradients in closed form, and classes apart."""

import warnings
from collections.abc import Callable

import numpy as np

from helpers import StudyError
from helpers.checks import check_features, check_k, check_probs
from helpers.selection import stratify
from helpers.selection.blocks import blocks
from helpers.selection.greedy_cover import (
    MEMORY,
    N_READ,
    Closeness,
    check_memory,
    cover,
    rows_at_once,
)
from helpers.selection.matching import grad_match
from helpers.selection.registry import Pool, method

__all__ = ["craig", "grad_match", "last_layer_gradients", "per_class"]
N_BLOCK = 256  # picks whose distances to all rows are held at once
Weighted = tuple[np.ndarray, np.ndarray]


def craig(gradients: np.ndarray, k: int, memory: int = MEMORY) -> Weighted:
    """Pick k rows greedily for the smallest sum of distances to the nearest pick.

    Args:
        gradients: One gradient an example, shape (n, d).
        k: Rows to pick.
        memory: Bytes that distances may take; the rest is computed again on demand.

    Returns:
        Row numbers (k,) in order of choosing, ties to the lowest row; and weights (k,), float64:
        how many rows have that pick nearest (ties: the lowest row), so they sum to n.

    Source: Mirzasoleiman, Bilmes & Leskovec (2020), arXiv:1906.01827, Algorithm 1; a peer in
    `geda` Table A.1.

    Note: the first pick has the smallest sum of distances to all rows. All pairs of rows are
    compared, so time grows as n^2 d: above some 100,000 rows it takes hours, less with
    `per_class`. Pools above 1,024 rows are compared in float32 as long as its rounding does not
    show, see `submodular.facility_location`.
    """
    gradients = check_features(gradients, "gradients")
    k, memory = check_k(k, len(gradients)), check_memory(memory)
    closeness = Closeness(gradients, _largest_length(gradients) or 1.0)
    picks = cover(closeness, k, memory)
    return picks, _cluster_sizes(closeness, picks)


def _largest_length(rows: np.ndarray) -> float:
    """Return the largest distance of a row (n, d) to the mean of all, or raise on overflow."""
    with np.errstate(over="ignore", invalid="ignore"):
        mean = rows.mean(axis=0, dtype=np.float64)
        parts = (rows[part] - mean for part in blocks(len(rows), N_READ))
        largest = max(float(np.linalg.norm(part, axis=1).max()) for part in parts)
    if not np.isfinite(largest):
        raise StudyError("gradients are too large: their squared lengths overflow; scale them")
    return largest


def _cluster_sizes(closeness: Closeness, picks: np.ndarray) -> np.ndarray:
    """Return how many rows have each pick nearest, shape (k,), float64."""
    order = np.sort(picks)
    wide = closeness if closeness.wide else Closeness(closeness.features, closeness.h, wide=True)
    best = np.full(wide.n, -np.inf)
    nearest = np.zeros(wide.n, dtype=np.int64)
    for part in blocks(len(order), rows_at_once(wide.n, N_BLOCK)):
        near = wide.raw(order[part])
        first = near.argmax(axis=0)
        value = near[first, np.arange(wide.n)]
        nearer = value > best
        nearest[nearer] = order[part][first[nearer]]
        best[nearer] = value[nearer]
    return np.bincount(nearest, minlength=wide.n)[picks].astype(np.float64)


def last_layer_gradients(
    probs: np.ndarray, labels: np.ndarray, features: np.ndarray | None = None
) -> np.ndarray:
    """Return each example's cross-entropy gradient at the last linear layer, in closed form.

    Args:
        probs: Softmax outputs, shape (n, c), c >= 2.
        labels: Class numbers in 0..c-1, shape (n,).
        features: What the layer sees, shape (n, d); None stops at the logits.

    Returns:
        Float32: probs - onehot(labels), shape (n, c), the gradient by the logits (the bias);
        with features the gradient by weights and bias, the outer product with (features, 1)
        row by row, shape (n, c (d + 1)): for each class d weights, then the bias.

    Source: Katharopoulos & Fleuret (2018); `helpers.probing.last_layer_norms` has its norms.
    """
    errors = check_probs(probs).astype(np.float32)
    n, c = errors.shape
    labels = np.asarray(labels)
    whole = np.issubdtype(labels.dtype, np.integer)
    if labels.shape != (n,) or not whole or labels.min() < 0 or labels.max() >= c:
        raise StudyError(f"labels must be {n} whole numbers in 0..{c - 1}, one for each row")
    errors[np.arange(n), labels] -= 1
    if features is None:
        return errors
    features = check_features(features)
    if len(features) != n:
        raise StudyError(f"features must have {n} rows as probs do, got {len(features)}")
    if np.abs(features).max() > np.finfo(np.float32).max:
        raise StudyError("features must lie within the range of float32: scale them")
    extended = np.concatenate([features.astype(np.float32), np.ones((n, 1), np.float32)], axis=1)
    return (errors[:, :, None] * extended[:, None, :]).reshape(n, -1)


def per_class(
    gradients: np.ndarray,
    labels: np.ndarray,
    k: int,
    solve: Callable[[np.ndarray, int], Weighted],
) -> Weighted:
    """Run a method inside every class with the class's share of k, by largest remainder.

    Args:
        gradients: Shape (n, d).
        labels: Class numbers, shape (n,).
        k: Rows to pick in all.
        solve: `craig`, `grad_match` or alike: (gradients, k) to (indices, weights).

    Returns:
        Row numbers, the classes interleaved, and weights, float64, scaled so that those of a
        class sum to its size. A method that returns fewer rows than its share makes the result
        shorter.

    Warns:
        UserWarning: If a class sends nobody, as where k is below the number of classes.

    Source: arXiv:1906.01827 section 4 and arXiv:2103.00123 section 4: both choose per class.
    """
    gradients = check_features(gradients, "gradients")
    if len(labels) != len(gradients):
        raise StudyError(f"labels must have {len(gradients)} rows, got {len(labels)}")
    weights, asked = np.zeros(len(labels)), np.zeros(len(labels), dtype=bool)

    def pick(rows: np.ndarray, share: int) -> np.ndarray:
        asked[rows] = True
        chosen, mass = solve(gradients[rows], share)
        if len(chosen):
            mass = mass if mass.sum() > 0 else np.ones(len(mass))
            weights[rows[chosen]] = mass * (len(rows) / mass.sum())
        return chosen

    merged = stratify.per_class(labels, k, pick)
    if not asked.all():
        text = f"k = {k} leaves classes without a row: no weight stands for their"
        warnings.warn(f"{text} {np.count_nonzero(~asked)} rows", stacklevel=2)
    return merged, weights[merged]


def _gradients(pool: Pool) -> np.ndarray:
    if pool.gradients is not None:
        return pool.gradients
    return last_layer_gradients(pool.probs, pool.labels, pool.features)


NEEDS = ("gradients|probs", "gradients|features")


@method("craig", "CRAIG", NEEDS, family="gradients", by_class=True, is_weighted=True)
def pick_craig(pool: Pool, k: int, rng: np.random.Generator) -> Weighted:
    """Take medoids of the gradients in every class, weighted by how many they stand for."""
    return per_class(_gradients(pool), pool.labels, k, craig)


@method("grad-match", "GRAD-MATCH", NEEDS, family="gradients", by_class=True, is_weighted=True)
def pick_grad_match(pool: Pool, k: int, rng: np.random.Generator, fill: bool = True) -> Weighted:
    """Match the sum of gradients in every class; fill tops up to k with rows of weight 0."""

    def solve(some: np.ndarray, share: int) -> Weighted:
        return grad_match(some, share, fill=fill)

    return per_class(_gradients(pool), pool.labels, k, solve)
