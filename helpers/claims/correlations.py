"""Rules about rank correlations between runs, bootstrapped over the runs."""

import numpy as np

from helpers.claims.verdicts import (
    FAILS,
    HOLDS,
    LEVEL,
    MIN_SEEDS,
    NOT_DECIDABLE,
    UNDECIDED,
    Verdict,
    combine,
)

RESAMPLES = 2000


def _block_mean(weights: np.ndarray, matrix: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Weighted mean of masked entries, weights (b, m) -> (b,); NaN where nothing is left."""
    total = np.einsum("bi,ij,bj->b", weights, mask, weights, optimize=True)
    summed = np.einsum("bi,ij,bj->b", weights, matrix * mask, weights, optimize=True)
    return np.divide(summed, total, out=np.full(len(total), np.nan), where=total > 0)


def _weights(groups: np.ndarray) -> np.ndarray:
    """Ones, then bootstrap counts of each run, (1 + b, m), resampled within its group."""
    rng = np.random.default_rng(0)
    counts = np.ones((1 + RESAMPLES, len(groups)))
    for group in np.unique(groups):
        rows = np.flatnonzero(groups == group)
        drawn = rng.multinomial(len(rows), np.full(len(rows), 1 / len(rows)), RESAMPLES)
        counts[1:, rows] = drawn
    return counts


def percentile_ends(replicates: np.ndarray) -> tuple[float, float]:
    """Ends of the percentile interval of bootstrap replicates (b,), NaN replicates left out."""
    tail = 50 * (1 - LEVEL)
    low, high = np.nanpercentile(replicates, [tail, 100 - tail])
    return float(low), float(high)


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
        Verdict with mean within - mean between, its interval from a bootstrap over runs in which
        a run is never paired with itself.

    Raises:
        ValueError: If the matrix has another shape.
    """
    matrix, groups, seeds = (np.asarray(v, dtype=float) for v in (matrix, groups, seeds))
    if matrix.shape != (len(groups), len(groups)):
        raise ValueError(f"matrix must be ({len(groups)}, {len(groups)}), got {matrix.shape}")
    same = (groups[:, None] == groups[None, :]).astype(float)
    apart = (1 - same) * (seeds[:, None] != seeds[None, :])
    eye = np.eye(len(groups))
    if np.unique(groups).size < 2 or np.unique(groups, return_counts=True)[1].min() < MIN_SEEDS:
        note = f"needs 2 groups of {MIN_SEEDS} runs"
        return Verdict(NOT_DECIDABLE, n=len(groups), unit="rho", note=note)
    if not np.isfinite(matrix[eye == 0]).all():
        return Verdict(UNDECIDED, n=len(groups), unit="rho", note="a ranking is constant")
    matrix, weights = np.where(eye == 1, 0.0, matrix), _weights(groups)
    inner = _block_mean(weights, matrix, same - eye)
    outer = _block_mean(weights, matrix, apart)
    low, high = percentile_ends((inner - outer)[1:])
    signs = [_side(*percentile_ends(block[1:]), 0.0, np.inf) for block in (inner, outer)]
    verdict = combine([_side(low, high, -margin, margin), *signs])
    note = f"within {inner[0]:.3f}, between {outer[0]:.3f}; interval over runs by bootstrap"
    value = float(inner[0] - outer[0])
    return Verdict(verdict, value, low, high, len(groups), "rho", note, tests=3)


def matrices_agree(first, second, margin: float) -> Verdict:
    """Mean correlation between runs is the same under two conditions, within a margin.

    Args:
        first: Correlations between runs, (m, m); the diagonal is not used.
        second: The same runs under the other condition, (m, m).
        margin: Largest difference that counts as none.

    Returns:
        Verdict with mean first - mean second, its interval from a bootstrap over runs.
    """
    first, second = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    if first.shape != second.shape or first.shape[0] != first.shape[1]:
        raise ValueError(f"first and second must both be (m, m), got {first.shape}, {second.shape}")
    apart = ~np.eye(len(first), dtype=bool)
    if len(first) < MIN_SEEDS or not np.isfinite((first - second)[apart]).all():
        note = f"needs {MIN_SEEDS} runs whose rankings are not constant"
        return Verdict(NOT_DECIDABLE, n=len(first), unit="rho", note=note)
    weights = _weights(np.zeros(len(first)))
    difference = _block_mean(weights, np.where(apart, first - second, 0.0), apart.astype(float))
    low, high = percentile_ends(difference[1:])
    verdict = _side(low, high, -margin, margin)
    note = "interval over runs by bootstrap"
    return Verdict(verdict, float(difference[0]), low, high, len(first), "rho", note, tests=1)
