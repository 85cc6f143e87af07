"""How alike two rankings are, and how sure a mean over runs is."""

import numpy as np
from scipy import special

from helpers import StudyError
from helpers.checks import check_scores


def spearman(a: np.ndarray, b: np.ndarray) -> float:
    """Return Spearman's rank correlation in [-1, 1]; equal scores share a rank.

    Args:
        a: Scores, shape (n,), larger = keep first; +inf ranks first.
        b: Scores of the same examples, shape (n,).

    Returns:
        A number; NaN where either ranking is constant.

    Source: `svp` section 3.4, Figs 3, 8-12.
    """
    a, b = _pair(a, b)
    return _correlation(ranks(a), ranks(b))


def ranks(values: np.ndarray) -> np.ndarray:
    """Return the ranks 1..n of values (n,), smallest first, float64; equal ones share their mean.

    As `scipy.stats.rankdata`, whose import takes half a second.
    """
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[places]


def pearson(a: np.ndarray, b: np.ndarray, infinite: float | None = None) -> float:
    """Return Pearson's correlation, NaN where either is constant; scores as in `spearman`.

    Args:
        a: Scores, shape (n,).
        b: Scores of the same examples, shape (n,).
        infinite: Put in the place of +inf, else refused; for forgetting events the number of
            epochs.

    Source: `svp` Fig. 13; `svp-slides`.
    """
    a, b = _pair(a, b)
    if infinite is not None:
        a, b = np.where(np.isinf(a), infinite, a), np.where(np.isinf(b), infinite, b)
    if np.isinf(a).any() or np.isinf(b).any():
        raise StudyError("pearson needs finite scores: infinite=x puts x in the place of +inf")
    return _correlation(a, b)


def _pair(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    a, b = check_scores(a), check_scores(b)
    if len(a) != len(b):
        raise StudyError(f"both rankings must have the same length, got {len(a)} and {len(b)}")
    return a, b


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return np.nan
    return float(np.corrcoef(a, b)[0, 1])


def ranks_from_order(order: np.ndarray) -> np.ndarray:
    """Turn an order of addition, all row numbers 0..n-1 (n,), into scores that can be correlated.

    Returns n for the row chosen first down to 1 for the last, shape (n,), float64.

    Source: `svp` section 3.4 ranks k-centers by order of addition.
    """
    return len(order) - np.argsort(order).astype(float)


def t_interval(values: np.ndarray, level: float = 0.95) -> tuple[float, float, float]:
    """Return (mean, low, high) of Student's t interval of values (m,) from independent runs.

    level is the coverage, in (0, 1); from a single run the interval is (-inf, inf): nothing is
    known.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or values.size == 0 or not np.isfinite(values).all():
        raise StudyError("an interval needs at least one value, all of them finite")
    mean = float(values.mean())
    if len(values) == 1:
        return mean, -np.inf, np.inf
    # stats.t.interval is the same but for equal values, of which it gives NaN, and 20x slower
    error = values.std(ddof=1) / np.sqrt(len(values))
    half = float(special.stdtrit(len(values) - 1, (1 + level) / 2) * error)
    return mean, mean - half, mean + half


def told(values: np.ndarray, level: float = 0.95) -> str:
    """Say the mean of values (m,) with its `t_interval`, as in "+0.17 [-0.30, +0.64]"."""
    mean, low, high = t_interval(values, level)
    if len(values) > 1 and np.ptp(values) < 1e-9:
        return f"{mean:+.2f} (equal in {len(values)} runs)"  # coarse values tie: no certainty
    return f"{mean:+.2f}" + (f" [{low:+.2f}, {high:+.2f}]" if np.isfinite(low) else " (one run)")
