"""Shares of classes by largest remainder, and the merge of what was chosen inside them."""

from collections.abc import Callable, Sequence

import numpy as np

from helpers import StudyError
from helpers.checks import check_k, check_labels


def allocate(counts: np.ndarray, k: int) -> np.ndarray:
    """Share k places over groups in proportion to their sizes, by largest remainder.

    Group sizes (c,) in, places (c,), int64, out, sum k, none above its count; equal remainders go
    to the lower group number. Counted in integers, so exact halves do not depend on rounding.
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

    Item j of a list of m row numbers stands at place (j + 1/2) / m.
    """
    places = np.concatenate([(np.arange(len(part)) + 0.5) / max(len(part), 1) for part in parts])
    rows = np.concatenate([np.asarray(part, dtype=np.int64) for part in parts])
    return rows[np.argsort(places, kind="stable")]


def per_class(
    labels: np.ndarray, k: int, pick: Callable[[np.ndarray, int], np.ndarray]
) -> np.ndarray:
    """Run a method inside every class with that class's share of k.

    pick(rows, k_c) gets the row numbers of a class and its share, never 0, and returns positions
    in rows, shape (k_c,). Returns row numbers (k,), the classes interleaved.

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
