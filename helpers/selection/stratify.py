"""Shares of classes by largest remainder, and the merge of what was chosen inside them."""

from collections.abc import Callable, Sequence

import numpy as np

from helpers import StudyError
from helpers.checks import check_k, check_labels


def allocate(counts: np.ndarray, k: int) -> np.ndarray:
    """Share k places over groups in proportion to their sizes, by largest remainder.

    Args:
        counts: Group sizes, shape (c,), whole and not negative, sum n.
        k: Places, 1 <= k <= n.

    Returns:
        Places, shape (c,), int64, sum k, none above its count; equal remainders go to the
        lower group number. Counted in integers, so exact halves do not depend on rounding.

    Raises:
        ValueError: If counts are no group sizes or k lies outside 1..n.
    """
    counts = np.asarray(counts)
    if counts.ndim != 1 or counts.size == 0 or (counts < 0).any():
        raise StudyError(f"counts must be group sizes of shape (c,), got {counts.tolist()}")
    counts = counts.astype(np.int64)
    n = int(counts.sum())
    k = check_k(k, n)
    places, remainders = np.divmod(counts * k, n)
    largest_first = np.argsort(-remainders, kind="stable")
    places[largest_first[: k - places.sum()]] += 1
    return places


def interleave(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Merge lists so that every beginning of the result holds a fair share of each list.

    Args:
        parts: Arrays of row numbers, each in its own order.

    Returns:
        All row numbers, int64; item j of a list of m stands at place (j + 1/2) / m.
    """
    places = np.concatenate([(np.arange(len(part)) + 0.5) / max(len(part), 1) for part in parts])
    rows = np.concatenate([np.asarray(part, dtype=np.int64) for part in parts])
    return rows[np.argsort(places, kind="stable")]


def per_class(
    labels: np.ndarray, k: int, pick: Callable[[np.ndarray, int], np.ndarray]
) -> np.ndarray:
    """Run a method inside every class with that class's share of k.

    Args:
        labels: Class numbers, shape (n,), at least two classes.
        k: Examples to keep in all, 1 <= k <= n.
        pick: Called as pick(rows, k_c) with the row numbers of a class and its share
            (never 0); returns positions in rows, shape (k_c,).

    Returns:
        Row numbers, shape (k,), int64, the classes interleaved.

    Raises:
        ValueError: If labels or k are invalid.

    Source: `geda` section 5.2, footnote: every experiment keeps the classes' proportions.
    """
    labels = check_labels(labels)
    k = check_k(k, len(labels))
    classes, counts = np.unique(labels, return_counts=True)
    parts = []
    for label, share in zip(classes, allocate(counts, k), strict=True):
        rows = np.flatnonzero(labels == label)
        parts.append(rows[pick(rows, int(share))] if share else rows[:0])
    return interleave(parts)
