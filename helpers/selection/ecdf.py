"""Distribution of one class's norms: ranking, exact Wasserstein-1 distance and its best subset."""

import time

import numpy as np
from scipy.optimize import OptimizeResult

from helpers import StudyError
from helpers.checks import check_k, check_scores


def ranking(norms: np.ndarray) -> np.ndarray:
    """Return the row numbers by rising norm, equal norms in row order, shape (n,), int64.

    Note: the plain sort is three times as fast as the stable one and differs from it among equal
        norms only, so the stable one runs where there are any.
    """
    order = np.argsort(norms)
    ordered = norms[order]
    if (ordered[1:] == ordered[:-1]).any():
        return np.argsort(norms, kind="stable")
    return order


def even_ranks(n: int, k: int) -> np.ndarray:
    """Return the ranks floor((j + 1/2) n / k), j = 0..k-1, in integers."""
    return (2 * np.arange(k, dtype=np.int64) + 1) * n // max(2 * k, 1)


def evenly_spaced(norms: np.ndarray, k: int) -> np.ndarray:
    """Keep every (n/k)-th point of the ranking by norm.

    Args:
        norms: Gradient norms of one class, shape (n,).
        k: Points to keep, 1 <= k <= n.

    Returns:
        Row numbers by rising norm, shape (k,), int64.

    Raises:
        ValueError: If norms or k are invalid.

    Source: `geda` section 5.4.

    Note: the footnote's modulo rule drops the same fifth of the data at 60, 40 and 20 %; these
    ranks, floor((j + 1/2) n / k), are evenly spaced at every k, and no subset of k points is
    closer to the class in Wasserstein-1 distance (see `wasserstein`).
    """
    norms = check_scores(norms)
    k = check_k(k, len(norms))
    return ranking(norms)[even_ranks(len(norms), k)]


def w1(norms: np.ndarray, selected: np.ndarray) -> float:
    """Return the exact area between the step ECDFs of a class and of a subset of it.

    Args:
        norms: Gradient norms of one class, shape (n,), finite.
        selected: Row numbers of the subset, shape (k,), without repeats.

    Returns:
        The Wasserstein-1 distance, in units of the norms; O(n log n).

    Raises:
        ValueError: If norms are invalid, or selected names no rows, a row twice or none there is.

    Source: `geda` section 4.1, the integral before any quadrature rule.
    """
    norms = check_scores(norms, finite=True)
    order = ranking(norms)
    return _area(norms[order], _mask(selected, len(norms))[order])


def wasserstein(norms: np.ndarray, k: int) -> OptimizeResult:
    """Pick the k points whose ECDF encloses the least area with that of the class, exactly.

    Args:
        norms: Gradient norms of one class, shape (n,), finite.
        k: Points to keep, 1 <= k <= n.

    Returns:
        OptimizeResult with indices (k,) by rising norm, those of `evenly_spaced`; objective and
        bound (the distance `w1`, in units of the norms), gap 0, status "optimal", iterations 0,
        seconds, message.

    Raises:
        ValueError: If norms or k are invalid.

    Source: `geda` section 4.1 with N to infinity; section 5.4 for the rule.

    Note: the area is the integral over u in (0, 1) of the distance between the two quantile
        functions. The subset's is constant on each ((j - 1) / k, j / k], so no constant there
        beats the median of the class's, its quantile at the middle (j - 1/2) / k. As k <= n
        these middles lie 1/n or more apart and name k different points: the bound is reached
        for every n and k, whether or not k divides n.
    """
    start = time.perf_counter()
    norms = check_scores(norms, finite=True)
    n, k = len(norms), check_k(k, len(norms))
    order = ranking(norms)
    ranks = even_ranks(n, k)
    is_selected = np.zeros(n, dtype=bool)
    is_selected[ranks] = True
    message = "proven: every quantile is the median of its block"
    return proven(order[ranks], _area(norms[order], is_selected), start, message)


def proven(
    indices: np.ndarray, objective: float, start: float, message: str, iterations: int = 0
) -> OptimizeResult:
    """Return the result of a method whose answer no other can beat; start is a perf_counter."""
    return OptimizeResult(
        indices=indices,
        objective=objective,
        bound=objective,
        gap=0.0,
        iterations=iterations,
        seconds=time.perf_counter() - start,
        status="optimal",
        success=True,
        message=message,
        fun=objective,
        nit=iterations,
    )


def _area(ordered: np.ndarray, is_selected: np.ndarray) -> float:
    """Return the area between the ECDFs of sorted norms (n,) and of those selected."""
    n, k = len(ordered), int(is_selected.sum())
    # k * count - n * count of the kept is whole: only the widths carry rounding.
    heights = k * np.arange(1, n, dtype=np.int64) - n * np.cumsum(is_selected[:-1])
    return float(np.abs(heights) @ np.diff(ordered) / (n * k))


def _mask(selected: np.ndarray, n: int) -> np.ndarray:
    """Return is_selected, shape (n,), where the rows are 1 to n different ones of 0..n-1."""
    rows = np.asarray(selected)
    is_whole = rows.ndim == 1 and rows.size > 0 and np.issubdtype(rows.dtype, np.integer)
    if not is_whole or rows.min() < 0 or rows.max() >= n:
        raise StudyError(f"selected must hold row numbers in 0..{n - 1}, shape (k,) with k >= 1")
    is_selected = np.zeros(n, dtype=bool)
    is_selected[rows] = True
    if is_selected.sum() != len(rows):
        raise StudyError("selected must hold no row number twice")
    return is_selected
