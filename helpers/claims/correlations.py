"""Rules about rank correlations between runs, bootstrapped over the runs."""

import numpy as np

from helpers.claims.paired import compare
from helpers.claims.verdicts import (
    HOLDS,
    RESAMPLES,
    UNDECIDED,
    Verdict,
    combine,
    inside,
    no_answer,
    numbers,
    percentile_ends,
    side,
    unusable,
)


def _block_mean(weights: np.ndarray, matrix: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Weighted mean of masked entries, weights (b, m) -> (b,); NaN where nothing is left."""
    total = np.einsum("bi,ij,bj->b", weights, mask, weights, optimize=True)
    summed = np.einsum("bi,ij,bj->b", weights, matrix * mask, weights, optimize=True)
    return np.divide(summed, total, out=np.full(len(total), np.nan), where=total > 0)


def _resampled(groups: np.ndarray) -> np.ndarray:
    """Bootstrap counts of each run, (b, m), resampled within its group; fixed seed."""
    rng = np.random.default_rng(0)
    counts = np.zeros((RESAMPLES, len(groups)))
    for group in np.unique(groups):
        rows = np.flatnonzero(groups == group)
        counts[:, rows] = rng.multinomial(len(rows), np.full(len(rows), 1 / len(rows)), RESAMPLES)
    return counts


def blocks_agree(matrix, groups, seeds, *, margin: float, min_runs: int = 3):
    """Correlation between groups is within a margin of that within groups, both above 0.

    Args:
        matrix: Correlations between runs, (m, m), symmetric; the diagonal is not used.
        groups: Group of each run, such as its depth, (m,).
        seeds: Seed of each run, (m,). Runs of different groups with one seed share the order of
            their batches and agree the more for it, so such pairs are left out.
        margin: Largest difference of the two means that counts as none.
        min_runs: Fewest runs of a group that may decide.

    Returns:
        Verdict with mean within - mean between, its interval from a bootstrap over runs in which
        a run is never paired with itself.
    """
    matrix, groups = numbers(matrix, "matrix", (2,)), numbers(groups, "groups", (1,))
    seeds = numbers(seeds, "seeds", (1,))
    if matrix.shape != (len(groups), len(groups)):
        raise ValueError(f"matrix must be ({len(groups)}, {len(groups)}), got {matrix.shape}")
    same = (groups[:, None] == groups[None, :]).astype(float)
    apart = (1 - same) * (seeds[:, None] != seeds[None, :])
    within = same - np.eye(len(groups))
    sizes = np.unique(groups, return_counts=True)[1]
    off_diagonal = matrix[~np.eye(len(groups), dtype=bool)]
    if problem := unusable(groups, off_diagonal):
        return no_answer(UNDECIDED, problem, unit="rho")
    matrix = np.where(np.eye(len(groups), dtype=bool), 0.0, matrix)
    if len(sizes) < 2 or sizes.min() < min_runs:
        return no_answer(UNDECIDED, f"needs 2 groups of {min_runs} runs", len(groups), "rho")
    weights = np.vstack([np.ones(len(groups)), _resampled(groups)])
    inner, outer = _block_mean(weights, matrix, within), _block_mean(weights, matrix, apart)
    low, high = percentile_ends((inner - outer)[1:])
    signs = [side(*percentile_ends(block[1:]), 0.0) for block in (inner, outer)]
    verdict = combine([inside(low, high, -margin, margin), *signs])
    note = f"within {inner[0]:.3f}, between {outer[0]:.3f}"
    return Verdict(verdict, float(inner[0] - outer[0]), low, high, len(groups), "rho", note)


def matrices_agree(first, second, *, margin: float, min_runs: int = 3):
    """Mean correlation between runs is the same under two conditions, within a margin.

    Args:
        first: Correlations between runs, (m, m); the diagonal is not used.
        second: The same runs under the other condition, (m, m).
        margin: Largest difference that counts as none.
        min_runs: Fewest runs that may decide.

    Returns:
        Verdict with mean first - mean second, its interval from a bootstrap over runs.
    """
    first, second = numbers(first, "first", (2,)), numbers(second, "second", (2,))
    if first.shape != second.shape or first.shape[0] != first.shape[1]:
        raise ValueError(f"first and second must both be (m, m), got {first.shape}, {second.shape}")
    apart = ~np.eye(len(first), dtype=bool)
    if problem := unusable(first[apart], second[apart]):
        return no_answer(UNDECIDED, problem, unit="rho")
    if len(first) < min_runs:
        return no_answer(UNDECIDED, f"needs {min_runs} runs", len(first), "rho")
    weights = np.vstack([np.ones(len(first)), _resampled(np.zeros(len(first)))])
    difference = _block_mean(weights, np.where(apart, first - second, 0.0), apart.astype(float))
    low, high = percentile_ends(difference[1:])
    verdict = inside(low, high, -margin, margin)
    return Verdict(verdict, float(difference[0]), low, high, len(first), "rho")


def same_sign(first, second, *, min_runs: int = 3):
    """Two measures of one difference have the same, clear sign.

    Args:
        first: The difference by one measure, one number a run, (n,).
        second: The same by the other measure, (n,).
        min_runs: Fewest runs that may decide.

    Returns:
        Verdict with the second difference, turned so that a positive value agrees with the first.
    """
    first, second = numbers(first, "first", (1,)), numbers(second, "second", (1,))
    if problem := unusable(first, second):
        return no_answer(UNDECIDED, problem, unit="rho")
    turned = np.sign(first.mean()) * second
    answer = compare(turned, lambda low, high: side(low, high, 0.0), min_runs, "rho")
    known = compare(np.sign(first.mean()) * first, lambda low, high: side(low, high, 0.0),
                    min_runs, "rho")  # fmt: skip
    verdict = answer.verdict if known.verdict == HOLDS else UNDECIDED
    return Verdict(verdict, answer.value, answer.low, answer.high, answer.n, "rho", answer.note)
