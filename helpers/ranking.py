"""How alike two rankings are, and how sure a mean over runs is."""

import numpy as np
from scipy.special import stdtrit

from helpers import StudyError
from helpers.checks import check_scores
from helpers.scores import midranks


def spearman(a: np.ndarray, b: np.ndarray) -> float:
    """Return Spearman's rank correlation; equal scores share a rank.

    Args:
        a: Scores, shape (n,), larger = keep first; +inf ranks first.
        b: Scores of the same examples, shape (n,).

    Returns:
        A number in [-1, 1]; NaN where either ranking is constant.

    Raises:
        ValueError: If a score is NaN or -inf, or the lengths differ.

    Source: `svp` section 3.4, Figs 3, 8-12.
    """
    a, b = _pair(a, b)
    return _correlation(midranks(a), midranks(b))


def pearson(a: np.ndarray, b: np.ndarray, infinite: float | None = None) -> float:
    """Return Pearson's correlation.

    Args:
        a: Scores, shape (n,).
        b: Scores of the same examples, shape (n,).
        infinite: Put in the place of +inf; for forgetting events the number of epochs.

    Returns:
        A number in [-1, 1]; NaN where either is constant.

    Raises:
        ValueError: If a score is NaN or -inf, the lengths differ, or one is +inf and
            `infinite` is not given.

    Source: `svp` Fig. 13; `svp-slides`.
    """
    a, b = _pair(a, b)
    if infinite is None:
        if np.isinf(a).any() or np.isinf(b).any():
            raise StudyError(
                "pearson needs finite scores: give infinite=x, the number that stands for +inf "
                "(for forgetting events the number of epochs)"
            )
        return _correlation(a, b)
    return _correlation(np.where(np.isinf(a), infinite, a), np.where(np.isinf(b), infinite, b))


def _pair(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return two checked score vectors of one length."""
    a, b = check_scores(a), check_scores(b)
    if len(a) != len(b):
        raise StudyError(f"both rankings must have the same length, got {len(a)} and {len(b)}")
    return a, b


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Return the cosine between two centred vectors, NaN where one is constant."""
    return float(_correlations(np.stack([a, b]))[0, 1])


def _correlations(rows: np.ndarray) -> np.ndarray:
    """Return the correlations of rows (m, n), shape (m, m), NaN for constant rows."""
    constant = np.ptp(rows, axis=1) == 0
    centred = rows - rows.mean(axis=1, keepdims=True)
    centred /= np.where(constant, 1, np.linalg.norm(centred, axis=1))[:, None]
    matrix = np.clip(centred @ centred.T, -1, 1)
    matrix[np.diag_indices_from(matrix)] = 1
    matrix[constant] = np.nan
    matrix[:, constant] = np.nan
    return matrix


def spearman_matrix(rows: np.ndarray) -> np.ndarray:
    """Return Spearman's correlation between all pairs of rankings.

    Args:
        rows: One score vector a row, shape (m, n), larger = keep first; +inf ranks first.

    Returns:
        Shape (m, m), symmetric, diagonal 1; NaN in the row and column of a constant ranking.

    Raises:
        ValueError: If rows is not (m, n), or a score is NaN or -inf.

    Source: the heatmaps of `svp` Figs 3, 8, 9.
    """
    rows = np.asarray(rows)
    if rows.ndim != 2 or rows.size == 0:
        raise StudyError(f"rows must have shape (m, n) with m, n >= 1, got {rows.shape}")
    return _correlations(np.stack([midranks(check_scores(row)) for row in rows]))


def ranks_from_order(order: np.ndarray) -> np.ndarray:
    """Turn an order of addition into scores that can be correlated.

    Args:
        order: All row numbers 0..n-1, first chosen first, shape (n,).

    Returns:
        n for the row chosen first down to 1 for the last, shape (n,), float64; larger = keep
        first, as for every score.

    Raises:
        ValueError: If order is not a permutation of 0..n-1.

    Source: `svp` section 3.4 ranks k-centers by order of addition.
    """
    order = np.asarray(order)
    n = order.size
    if order.ndim != 1 or n == 0 or not np.array_equal(np.sort(order), np.arange(n)):
        raise StudyError(f"order must hold every row number 0..{n - 1} exactly once")
    ranks = np.empty(n)
    ranks[order] = np.arange(n, 0, -1)
    return ranks


def t_interval(values: np.ndarray, level: float = 0.95) -> tuple[float, float, float]:
    """Return mean and Student's t interval of values from independent runs.

    Args:
        values: One number a run, shape (m,), finite.
        level: Coverage, in (0, 1).

    Returns:
        (mean, low, high); from a single run the interval is (-inf, inf): nothing is known.

    Raises:
        ValueError: If there is no value or one is not finite.
    """
    values = _finite(values)
    mean = float(values.mean())
    if len(values) == 1:
        return mean, -np.inf, np.inf
    error = values.std(ddof=1) / np.sqrt(len(values))
    half = stdtrit(len(values) - 1, (1 + level) / 2) * error
    return mean, mean - float(half), mean + float(half)


def bootstrap_interval(
    values: np.ndarray, level: float = 0.95, n_resamples: int = 10_000, seed: int = 0
) -> tuple[float, float, float]:
    """Return mean and percentile bootstrap interval of values from independent runs.

    Args:
        values: One number a run (or seed x setting pair), shape (m,), finite.
        level: Coverage, in (0, 1).
        n_resamples: Resamples drawn.
        seed: Equal seeds give equal intervals.

    Returns:
        (mean, low, high); from a single run the interval is (-inf, inf).

    Raises:
        ValueError: If there is no value or one is not finite.

    Note: with three or four values it is too narrow; give the t interval beside it.
    """
    values = _finite(values)
    mean = float(values.mean())
    if len(values) == 1:
        return mean, -np.inf, np.inf
    draws = np.random.default_rng(seed).integers(len(values), size=(n_resamples, len(values)))
    low, high = np.quantile(values[draws].mean(axis=1), [(1 - level) / 2, (1 + level) / 2])
    return mean, float(low), float(high)


def _finite(values: np.ndarray) -> np.ndarray:
    """Return values as a float64 vector of at least one finite number."""
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or values.size == 0 or not np.isfinite(values).all():
        raise StudyError("an interval needs at least one value, all of them finite")
    return values
