"""Selection by gradients: CRAIG, last-layer gradients, and per class or mini-batch variants."""

import warnings
from collections.abc import Callable

import numpy as np

from helpers import StudyError
from helpers.checks import check_features, check_k, check_labels, check_probs, check_rng
from helpers.selection import lazy
from helpers.selection.blocks import spans
from helpers.selection.matching import grad_match
from helpers.selection.quotas import allocate, interleave
from helpers.selection.similarities import MEMORY, N_READ, Closeness, check_memory, rows_at_once

__all__ = ["craig", "grad_match", "last_layer_gradients", "per_batch", "per_class"]
N_BLOCK = 256  # picks whose distances to all rows are held at once
Solve = Callable[[np.ndarray, int], tuple[np.ndarray, np.ndarray]]


def craig(gradients: np.ndarray, k: int, memory: int = MEMORY) -> tuple[np.ndarray, np.ndarray]:
    """Pick k rows greedily for the smallest sum of distances to the nearest pick.

    Args:
        gradients: One gradient an example, shape (n, d).
        k: Rows to pick, 1 <= k <= n.
        memory: Bytes that distances may take; the rest is computed again on demand.

    Returns:
        Row numbers in order of choosing, shape (k,), int64, ties to the lowest row; and
        weights, shape (k,), float64: how many rows have that pick nearest (ties: the lowest
        row), so they sum to n.

    Raises:
        ValueError: If gradients are not finite (n, d), k is out of range or memory is negative.

    Source: Mirzasoleiman, Bilmes & Leskovec (2020), arXiv:1906.01827, Algorithm 1; a peer in
    `geda` Table A.1.

    Note: the first pick has the smallest sum of distances to all rows. All pairs of rows are
    compared, so time grows as n^2 d: above some 100,000 rows it takes hours, less with
    `per_class`. Pools above 1,024 rows are compared in float32 as long as its rounding does not
    show, see `facility_location`.
    """
    gradients = check_features(gradients, "gradients")
    k = check_k(k, len(gradients))
    memory = check_memory(memory)
    closeness = Closeness(gradients, _largest_length(gradients) or 1.0, memory)
    picks = lazy.cover(closeness, k, memory)
    return picks, _cluster_sizes(closeness, picks)


def _largest_length(rows: np.ndarray) -> float:
    """Return the largest distance of a row (n, d) to the mean of all.

    Raises:
        ValueError: If its square overflows.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is refused here
        mean = rows.mean(axis=0, dtype=np.float64)
        parts = (rows[start:stop] - mean for start, stop in spans(len(rows), N_READ))
        largest = max(float(np.linalg.norm(part, axis=1).max()) for part in parts)
    if not np.isfinite(largest):
        raise StudyError("gradients are too large: their squared lengths overflow; scale them")
    return largest


def _cluster_sizes(closeness: Closeness, picks: np.ndarray) -> np.ndarray:
    """Return how many rows have each pick nearest, shape (k,), float64."""
    order = np.sort(picks)
    wide = closeness if closeness.wide else closeness.widened(memory=0)
    best = np.full(wide.n, -np.inf)
    nearest = np.zeros(wide.n, dtype=np.int64)
    step = rows_at_once(wide.n, N_BLOCK)
    for start in range(0, len(order), step):
        near = wide.raw(order[start : start + step])
        first = near.argmax(axis=0)
        value = near[first, np.arange(wide.n)]
        nearer = value > best
        nearest[nearer] = order[start + first[nearer]]
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

    Raises:
        ValueError: If an argument is invalid or the numbers of rows differ.

    Source: Katharopoulos & Fleuret (2018); `helpers.probing.last_layer_norms` has its norms.
    """
    errors = check_probs(probs).astype(np.float32)
    n, c = errors.shape
    labels = _check_rows(labels, n, c)
    errors[np.arange(n), labels] -= 1
    if features is None:
        return errors
    features = check_features(features)
    if np.abs(features).max() > np.finfo(np.float32).max:
        raise StudyError("features must lie within the range of float32: scale them")
    features = features.astype(np.float32)
    if len(features) != n:
        raise StudyError(f"features must have {n} rows as probs do, got {len(features)}")
    extended = np.concatenate([features, np.ones((n, 1), dtype=np.float32)], axis=1)
    return (errors[:, :, None] * extended[:, None, :]).reshape(n, -1)


def _check_rows(labels: np.ndarray, n: int, c: int) -> np.ndarray:
    """Return labels as int64 where there are n of them in 0..c-1; one class may do."""
    labels = np.asarray(labels)
    whole = np.issubdtype(labels.dtype, np.integer)
    if labels.shape != (n,) or not whole or labels.min() < 0 or labels.max() >= c:
        raise StudyError(f"labels must be {n} whole numbers in 0..{c - 1}, one for each row")
    return labels.astype(np.int64)


def per_class(
    gradients: np.ndarray, labels: np.ndarray, k: int, solve: Solve
) -> tuple[np.ndarray, np.ndarray]:
    """Run a method inside every class with the class's share of k.

    Args:
        gradients: Shape (n, d).
        labels: Class numbers, shape (n,), at least two classes.
        k: Rows to pick in all, 1 <= k <= n; shares by largest remainder.
        solve: `craig`, `grad_match` or alike: (gradients, k) to (indices, weights).

    Returns:
        Row numbers, int64, the classes interleaved, and weights, float64, scaled so that
        those of a class sum to its size; a class whose share is 0 sends nobody. A method that
        returns fewer rows than its share makes the result shorter.

    Raises:
        ValueError: If an argument is invalid.

    Warns:
        UserWarning: If a class sends nobody, as where k is below the number of classes.

    Source: arXiv:1906.01827 section 4 and arXiv:2103.00123 section 4: both choose per class.
    """
    gradients = check_features(gradients, "gradients")
    labels = check_labels(labels)
    if len(labels) != len(gradients):
        raise StudyError(f"labels must have {len(gradients)} rows, got {len(labels)}")
    k = check_k(k, len(labels))
    classes, counts = np.unique(labels, return_counts=True)
    weights = np.zeros(len(labels))
    parts = []
    shares = allocate(counts, k)
    if missed := int((shares == 0).sum()):
        lost = int(counts[shares == 0].sum())
        warnings.warn(
            f"k = {k} leaves {missed} of {len(classes)} classes without a row: "
            f"their {lost} rows are stood for by no weight",
            stacklevel=2,
        )
    for label, share in zip(classes, shares, strict=True):
        if share:
            rows = np.flatnonzero(labels == label)
            chosen, mass = solve(gradients[rows], int(share))
            parts.append(rows[chosen])
            weights[rows[chosen]] = _scaled(mass, len(rows))
    merged = interleave(parts)
    return merged, weights[merged]


def per_batch(
    gradients: np.ndarray, k: int, batch: int, solve: Solve, rng: int | np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Choose whole mini-batches by their mean gradients.

    Args:
        gradients: Shape (n, d).
        k: Rows to pick, 1 <= k <= n: the first k rows of the ceil(k / batch) batches chosen,
            so the one chosen last may be cut.
        batch: Rows of a mini-batch, 1 <= batch <= n; the last one may be smaller.
        solve: `craig`, `grad_match` or alike, called with the batches' mean gradients.
        rng: Shuffles the rows into batches.

    Returns:
        Row numbers, int64, batch by batch in order of choosing, k of them or fewer where the
        method returns fewer batches or chooses the smaller one; and weights, float64: equal
        within a batch, in proportion to the batch's weight, summing to n.

    Raises:
        ValueError: If an argument is invalid.

    Source: arXiv:2103.00123 section 4, the per-batch variant.
    """
    gradients = check_features(gradients, "gradients")
    n = len(gradients)
    k = check_k(k, n)
    try:
        batch = check_k(batch, n)
    except StudyError:
        raise StudyError(f"batch must be a whole number in 1..{n}, got {batch!r}") from None
    order = check_rng(rng).permutation(n)
    starts = np.arange(0, n, batch)
    sizes = np.minimum(starts + batch, n) - starts
    sums = np.add.reduceat(gradients[order], starts, axis=0, dtype=np.float64)
    means = sums / sizes[:, None]
    chosen, mass = solve(means, -(-k // batch))
    if not len(chosen):  # the means add up to 0, and nothing matches that best
        return np.empty(0, dtype=np.int64), np.empty(0)
    rows = np.concatenate([order[starts[b] : starts[b] + sizes[b]] for b in chosen])[:k]
    weights = np.repeat(mass, sizes[chosen])[:k]
    return rows.astype(np.int64), _scaled(weights, n)


def _scaled(weights: np.ndarray, total: float) -> np.ndarray:
    """Return weights scaled to a sum; equal ones where they are all 0."""
    weights = np.asarray(weights, dtype=np.float64)
    if not weights.sum() > 0:
        weights = np.ones(len(weights))
    return weights * (total / weights.sum()) if len(weights) else weights
