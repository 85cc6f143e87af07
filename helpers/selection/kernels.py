"""Gaussian similarity between rows of features, whole or as row sums in O(n d) memory."""

from numbers import Real

import numpy as np

from helpers import StudyError
from helpers.checks import check_choice, check_features, check_squares
from helpers.selection import tiles
from helpers.selection.blocks import spans, thread_count
from helpers.selection.rows import Rows, read

DIVERSITIES = ("kernel", "distance")
SMALLEST_H = 1e-15  # and its inverse the largest bandwidth
N_MEDIAN = 1000  # rows the median distance is taken over, evenly spaced in the pool
N_CACHED = 32  # rows of the kernel that stay in the cache from product to exponential


def gaussian_similarity(
    features: np.ndarray, bandwidth: float | str = 1.0, diversity: str = "kernel"
) -> np.ndarray:
    """Return exp(-||a - b||^2 / (2 h^2)) between all rows, or 1 minus it.

    Args:
        features: Shape (n, d).
        bandwidth: h, > 0, in units of the features, or "median": the median distance.
        diversity: "kernel" as printed in the paper (largest for equal rows, diagonal 1), or
            "distance", 1 - kernel (diagonal 0).

    Returns:
        Shape (n, n), symmetric, entries in [0, 1], float32 for float16 or float32 features.

    Raises:
        ValueError: If features, bandwidth or diversity are invalid.

    Source: `budgeted` eq. 4.

    Note: the paper's "Gaussian kernel with parameter 1" is read as h = 1. Its D is called a
    diversity but is largest for equal rows; "distance" is what the name says.
    """
    check_choice(diversity, DIVERSITIES, "diversity")
    features = check_features(features)
    return _matrix(_centred(features), check_bandwidth(features, bandwidth), diversity)


def row_sums(
    features: np.ndarray,
    bandwidth: float | str = 1.0,
    diversity: str = "kernel",
    block: int = tiles.N_ROWS,
) -> np.ndarray:
    """Return the row sums of the similarity less its diagonal, without storing it.

    Args:
        features: Shape (n, d).
        bandwidth: h, > 0, in units of the features, or "median".
        diversity: "kernel" or "distance".
        block: Rows of the similarity held at once by a thread.

    Returns:
        Shape (n,), float64; utility + weight * row sums ranks rows as the LP does.

    Raises:
        ValueError: If features, bandwidth or diversity are invalid.
    """
    check_choice(diversity, DIVERSITIES, "diversity")
    rows = read(features)
    points = tiles.prepared(rows, slice(None), bandwidth_of(rows, bandwidth))
    sums = tiles.row_sums(points, thread_count(), block)
    return sums if diversity == "kernel" else rows.n - 1 - sums


@np.errstate(over="ignore", invalid="ignore")
def _centred(features: np.ndarray) -> np.ndarray:
    """Return features about their mean: distances stay, rounding shrinks."""
    return features - features.mean(axis=0, dtype=np.float64).astype(features.dtype)


@np.errstate(over="ignore", invalid="ignore")  # who calls looks for what has overflowed
def _squared_distances(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return squared distances, shape (len(left), len(right)), none below 0."""
    squared = np.add.outer(np.einsum("ij,ij->i", left, left), np.einsum("ij,ij->i", right, right))
    products = left @ right.T
    products *= 2
    squared -= products
    return np.maximum(squared, 0, out=squared)


def _matrix(points: np.ndarray, h: float, diversity: str) -> np.ndarray:
    """Return the similarity, shape (n, n), built in place in the products' own memory.

    Not a large tile of `tiles`: one array times itself is half the work, and symmetric.
    """
    squares = np.einsum("ij,ij->i", points, points)
    check_squares(squares)
    # Whole, so that NumPy sees one array times itself and the result is symmetric.
    matrix = points @ points.T
    both = np.empty((min(N_CACHED, len(points)), len(points)), matrix.dtype)
    for start, stop in spans(len(points), N_CACHED):
        part, total = matrix[start:stop], both[: stop - start]
        part *= 2
        np.add.outer(squares[start:stop], squares, out=total)
        np.subtract(total, part, out=part)
        np.maximum(part, 0, out=part)
        part *= -1 / (2 * h * h)
        np.exp(part, out=part)
        part[np.arange(stop - start), np.arange(start, stop)] = 1
        if diversity == "distance":
            np.subtract(1, part, out=part)
    return matrix


def check_bandwidth(features: np.ndarray, bandwidth: float | str) -> float:
    """Return the bandwidth as a number > 0."""
    if bandwidth == "median":
        return median_distance(features)
    if isinstance(bandwidth, bool) or not isinstance(bandwidth, Real) or not bandwidth > 0:
        raise StudyError(f"bandwidth must be a number above 0 or 'median', got {bandwidth!r}")
    if not SMALLEST_H <= bandwidth <= 1 / SMALLEST_H:  # its square would vanish in float32
        raise StudyError(f"bandwidth must lie in {SMALLEST_H:g}..{1 / SMALLEST_H:g}: scale it")
    return float(bandwidth)


def bandwidth_of(rows: Rows, bandwidth: float | str) -> float:
    """Return the bandwidth of rows that are read by blocks, as a number > 0."""
    if bandwidth == "median":
        median = median_distance(rows.take(_evenly(rows.n)))
        if not SMALLEST_H <= median <= 1 / SMALLEST_H:
            raise StudyError(
                f"features must have a median distance in {SMALLEST_H:g}..{1 / SMALLEST_H:g}, "
                f"got {median:.4g}: scale them"
            )
        return median
    return check_bandwidth(rows.take(slice(0, 1)), bandwidth)


def _evenly(n: int) -> np.ndarray:
    """Return the rows that stand for all n in the median distance."""
    return np.arange(min(n, N_MEDIAN)) * n // min(n, N_MEDIAN)


@np.errstate(over="ignore", invalid="ignore")
def median_distance(features: np.ndarray) -> float:
    """Return the median distance between pairs of rows.

    Args:
        features: Shape (n, d); above 1,000 rows, 1,000 evenly spaced ones stand for all.

    Raises:
        ValueError: If it is 0: more than half of the pairs coincide, or rounding hides them.
    """
    n = len(features)
    rows = features[_evenly(n)]
    points, pairs = _centred(rows), np.triu_indices(len(rows), 1)
    squared = _squared_distances(points, points)[pairs]
    median = float(np.median(np.sqrt(squared))) if n > 1 else 0.0
    squares = np.einsum("ij,ij->i", points, points)
    if not np.isfinite(median):
        check_squares(squares)
    rounding = 4 * np.finfo(points.dtype).eps * np.add.outer(squares, squares)[pairs]
    if median == 0 or np.median(squared - rounding) <= 0:
        raise StudyError(_why_none(rows))
    return median


def _why_none(rows: np.ndarray) -> str:
    """Say why the median distance between rows (m, d) is 0."""
    _, counts = np.unique(rows, axis=0, return_counts=True)
    if 2 * (counts * (counts - 1)).sum() >= len(rows) * (len(rows) - 1):
        return "features have no median distance: more than half of the pairs of rows coincide"
    return (
        f"features spread too far for the distances between most rows to be told in {rows.dtype}: "
        "scale or drop the outliers"
    )
