"""Rules about rank correlations between runs. Their intervals take seeds as the sample.

Runs of one seed share their start and the order of their batches, and one run is in many pairs:
neither pairs nor runs are independent. One seed is left out at a time (the jackknife of Efron and
Stein 1981, Ann. Statist. 9, 586-596), and Student's interval is taken of the pseudo-values.
"""

from collections.abc import Callable

import numpy as np

from helpers.claims.verdicts import (
    FAILS,
    HOLDS,
    MIN_SEEDS,
    NOT_DECIDABLE,
    UNDECIDED,
    Verdict,
    combine,
)
from helpers.ranking import t_interval


def jackknife(
    statistic: Callable[[np.ndarray], float], seeds: np.ndarray
) -> tuple[float, float, float]:
    """Return a statistic and its 95 % interval over seeds.

    Args:
        statistic: Of the runs that a mask (m,) keeps.
        seeds: Seed of each run, (m,).
    """
    value, known = statistic(np.ones(len(seeds), dtype=bool)), np.unique(seeds)
    left = np.array([statistic(seeds != one) for one in known])
    _, low, high = t_interval(len(known) * value - (len(known) - 1) * left)
    return value, value - (high - low) / 2, value + (high - low) / 2


def _side(low: float, high: float, bottom: float, top: float) -> str:
    if bottom < low and high < top:
        return HOLDS
    return FAILS if high < bottom or low > top else UNDECIDED


def blocks_agree(matrix, groups, seeds, margin: float) -> Verdict:
    """Correlation between groups is within a margin of that within groups, both above 0.

    Args:
        matrix: Correlations between runs, (m, m), symmetric; the diagonal is not used.
        groups: Group of each run, such as its depth, (m,).
        seeds: Seed of each run, (m,). Runs of different groups with one seed share the order of
            their batches and agree the more for it, so such pairs are left out.
        margin: Largest difference of the two means that counts as none.

    Returns:
        Verdict with mean within - mean between and its interval over seeds.

    Raises:
        ValueError: If the matrix has another shape.
    """
    matrix, groups, seeds = (np.asarray(v, dtype=float) for v in (matrix, groups, seeds))
    if matrix.shape != (len(groups), len(groups)):
        raise ValueError(f"matrix must be ({len(groups)}, {len(groups)}), got {matrix.shape}")
    other, same = seeds[:, None] != seeds[None, :], groups[:, None] == groups[None, :]
    if np.unique(groups).size < 2 or np.unique(groups, return_counts=True)[1].min() < MIN_SEEDS:
        note = f"needs 2 groups of {MIN_SEEDS} runs"
        return Verdict(NOT_DECIDABLE, n=len(groups), unit="rho", note=note)
    if not np.isfinite(matrix[~np.eye(len(groups), dtype=bool)]).all():
        return Verdict(UNDECIDED, n=len(groups), unit="rho", note="a ranking is constant")

    def mean(pairs: np.ndarray) -> Callable[[np.ndarray], float]:
        return lambda kept: float(matrix[pairs & np.outer(kept, kept)].mean())

    inner, outer = mean(same & other), mean(~same & other)
    value, low, high = jackknife(lambda kept: inner(kept) - outer(kept), seeds)
    within, between = (jackknife(block, seeds) for block in (inner, outer))
    signs = [_side(*block[1:], 0.0, np.inf) for block in (within, between)]
    verdict = combine([_side(low, high, -margin, margin), *signs])
    note = f"within {within[0]:.3f}, between {between[0]:.3f}; seeds are the sample"
    return Verdict(verdict, value, low, high, len(np.unique(seeds)), "rho", note, tests=3)


def matrices_agree(first, second, seeds, margin: float) -> Verdict:
    """Mean correlation between runs is the same under two conditions, within a margin.

    Args:
        first: Correlations between runs, (m, m); the diagonal is not used.
        second: The same runs under the other condition, (m, m).
        seeds: Seed of each run, (m,).
        margin: Largest difference that counts as none.

    Returns:
        Verdict with mean first - mean second and its interval over seeds.
    """
    first, second, seeds = (np.asarray(v, dtype=float) for v in (first, second, seeds))
    if first.shape != second.shape or first.shape != (len(seeds), len(seeds)):
        raise ValueError(f"first and second must both be (m, m), got {first.shape}, {second.shape}")
    apart = ~np.eye(len(first), dtype=bool)
    n = len(np.unique(seeds))
    if n < MIN_SEEDS or not np.isfinite((first - second)[apart]).all():
        note = f"needs {MIN_SEEDS} seeds whose rankings are not constant"
        return Verdict(NOT_DECIDABLE, n=n, unit="rho", note=note)
    value, low, high = jackknife(
        lambda kept: float((first - second)[apart & np.outer(kept, kept)].mean()), seeds
    )
    note = "seeds are the sample"
    return Verdict(_side(low, high, -margin, margin), value, low, high, n, "rho", note, tests=1)
