"""What a rule answers, and the intervals it answers with."""

from dataclasses import dataclass

import numpy as np
from scipy import stats

HOLDS = "holds"
FAILS = "does not hold"
UNDECIDED = "undecided"
NOT_DECIDABLE = "not decidable at this scale"
NOT_MEASURED = "not measured yet"
VERDICTS = (HOLDS, FAILS, UNDECIDED, NOT_DECIDABLE, NOT_MEASURED)

LEVEL = 0.95
RESAMPLES = 2000
ROUNDING = 1e-12


@dataclass(frozen=True)
class Verdict:
    """One rule's answer.

    Attributes:
        verdict: One of `VERDICTS`.
        value: Our number, in `unit`; NaN where there is none.
        low: Lower end of its 95 % interval.
        high: Upper end of its 95 % interval.
        n: Values, runs or trials behind it.
        unit: "points" (of error or accuracy), "x" (a ratio), "s", "rho", "share", ...
        note: What a reader should know besides, in one line.
    """

    verdict: str
    value: float
    low: float
    high: float
    n: int
    unit: str = ""
    note: str = ""


def no_answer(verdict: str, note: str, n: int = 0, unit: str = "") -> Verdict:
    """A verdict without a number."""
    return Verdict(verdict, np.nan, np.nan, np.nan, n, unit, note)


def numbers(values, name: str, dims: tuple[int, ...]) -> np.ndarray:
    """Turn evidence into a float array of an allowed number of dimensions.

    Raises:
        ValueError: If the values are not numbers or have another shape.
    """
    try:
        array = np.asarray(values, dtype=float)
    except (TypeError, ValueError) as problem:
        raise ValueError(f"{name} must be an array of numbers, got {values!r:.80}") from problem
    if array.ndim not in dims:
        raise ValueError(f"{name} must have {dims} dimensions, got shape {array.shape}")
    return array


def unusable(*arrays: np.ndarray) -> str:
    """Why evidence cannot be judged ("" where it can): a missing run must never pass as one."""
    if any(array.size == 0 for array in arrays):
        return "no values"
    if not all(np.isfinite(array).all() for array in arrays):
        return "NaN or infinite values among the evidence"
    return ""


def median_interval(values: np.ndarray) -> tuple[float, float, float]:
    """Median of values (n,) and its distribution-free interval from order statistics.

    Note: below six values the interval is the whole range, which covers less than 95 %.
    """
    ordered = np.sort(values)
    j = int(stats.binom.ppf((1 - LEVEL) / 2, len(ordered), 0.5))
    low, high = ordered[max(j - 1, 0)], ordered[min(len(ordered) - j, len(ordered) - 1)]
    return float(np.median(ordered)), float(low), float(high)


def share_interval(count: int, trials: int) -> tuple[float, float, float]:
    """Share count / trials with its exact (Clopper-Pearson) 95 % interval; trials >= 1."""
    interval = stats.binomtest(count, trials).proportion_ci(LEVEL, method="exact")
    return count / trials, float(interval.low), float(interval.high)


def percentile_ends(replicates: np.ndarray) -> tuple[float, float]:
    """Ends of the percentile interval of bootstrap replicates (b,), NaN replicates left out."""
    tail = 50 * (1 - LEVEL)
    low, high = np.nanpercentile(replicates, [tail, 100 - tail])
    return float(low), float(high)


def side(low: float, high: float, bound: float) -> str:
    """Holds when the interval lies above the bound, fails when below, else undecided.

    Note: an interval of no width that touches the bound up to rounding is undecided.
    """
    if low > bound + ROUNDING:
        return HOLDS
    return FAILS if high < bound - ROUNDING else UNDECIDED


def inside(low: float, high: float, lower: float, upper: float) -> str:
    """Holds when the interval lies within [lower, upper], fails when outside, else undecided."""
    if lower <= low and high <= upper:
        return HOLDS
    return FAILS if high < lower or low > upper else UNDECIDED


def combine(verdicts: list[str]) -> str:
    """Joint verdict of parts that must all hold.

    One failed part settles it; otherwise a part that cannot be measured here outweighs one that
    could be measured better, and nothing measured at all is "not measured yet".
    """
    if not verdicts or all(verdict == NOT_MEASURED for verdict in verdicts):
        return NOT_MEASURED
    if FAILS in verdicts:
        return FAILS
    if NOT_DECIDABLE in verdicts:
        return NOT_DECIDABLE
    return HOLDS if all(verdict == HOLDS for verdict in verdicts) else UNDECIDED
