"""Intervals over paired differences and over repeats, shared by the rules."""

from collections.abc import Callable

import numpy as np

from helpers.claims.verdicts import (
    UNDECIDED,
    Verdict,
    median_interval,
    no_answer,
    numbers,
    unusable,
)
from helpers.ranking import t_interval

SMALL_POINTS = 1.0  # a difference below one point of error needs more seeds
SEEDS_IF_SMALL = 5


def compare(
    differences,
    judge: Callable[[float, float], str],
    min_seeds: int,
    unit: str,
    guard_small: bool = False,
) -> Verdict:
    """Judge the t interval of paired differences, (seeds,) or (settings, seeds).

    Args:
        differences: Paired differences in `unit`.
        judge: Interval ends -> verdict.
        min_seeds: Fewest seeds that may decide.
        unit: Unit of the differences.
        guard_small: Ask for five seeds where the mean is below one point.

    Note: several settings are pooled as seed x setting pairs, because an interval over three
        seeds alone is as good as unbounded; settings that share a seed are then not independent.
    """
    values = numbers(differences, "differences", (1, 2))
    if problem := unusable(values):
        return no_answer(UNDECIDED, problem, unit=unit)
    n_seeds = values.shape[-1]
    if values.size < 2:
        only = float(values.reshape(-1)[0])
        note = f"needs at least {min_seeds} seeds, has 1"
        return Verdict(UNDECIDED, only, np.nan, np.nan, 1, unit, note)
    mean, low, high = t_interval(values.reshape(-1))
    verdict, note, needed = judge(low, high), "", min_seeds
    if guard_small and unit == "points" and abs(mean) < SMALL_POINTS:
        needed = max(min_seeds, SEEDS_IF_SMALL)
    if verdict != UNDECIDED and n_seeds < needed:
        verdict, note = UNDECIDED, f"needs at least {needed} seeds, has {n_seeds}"
    return Verdict(verdict, mean, low, high, values.size, unit, note)


def summary(values, judge: Callable[[float, float], str], statistic: str, unit: str) -> Verdict:
    """Judge one exact number, or the interval over repeats (n,) of which three are needed.

    Raises:
        ValueError: If statistic is neither "mean" nor "median".
    """
    if statistic not in ("mean", "median"):
        raise ValueError(f"statistic must be 'mean' or 'median', got {statistic!r}")
    values = numbers(values, "values", (0, 1))
    if problem := unusable(values):
        return no_answer(UNDECIDED, problem, unit=unit)
    if values.ndim == 0:
        exact = float(values)
        return Verdict(judge(exact, exact), exact, exact, exact, 1, unit)
    if len(values) < 3:
        note = f"needs at least 3 values, has {len(values)}"
        return Verdict(UNDECIDED, float(values.mean()), np.nan, np.nan, len(values), unit, note)
    interval = median_interval if statistic == "median" else t_interval
    centre, low, high = interval(values)
    return Verdict(judge(low, high), centre, low, high, len(values), unit)
