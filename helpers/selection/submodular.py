"""Submodular functions and their greedy maximisers: facility location, graph cut, coverage."""

import numpy as np

from helpers import StudyError
from helpers.checks import check_choice, check_features, check_k
from helpers.selection import lazy
from helpers.selection.coverage_diversity import HOW, coverage_diversity, coverage_diversity_value
from helpers.selection.gaussian_sums import check_bandwidth
from helpers.selection.similarities import MEMORY, Gaussian, check_memory, rows_at_once

__all__ = [
    "coverage_diversity",
    "coverage_diversity_value",
    "facility_location",
    "facility_location_value",
    "graph_cut",
    "graph_cut_value",
]
N_BLOCK = 512  # rows of a similarity computed at once, where their memory allows it
TIE = 1e-12  # gains that differ by less than this share are ties


def facility_location(
    features: np.ndarray,
    k: int,
    bandwidth: float | str = "median",
    memory: int = MEMORY,
    how: str = "lazy",
) -> np.ndarray:
    """Pick k rows greedily for the largest sum_i max_{j picked} s_ij.

    s is the RBF similarity exp(-||a - b||^2 / (2 h^2)); h is the median distance between rows
    (over 1,000 evenly spaced ones in larger pools).

    Args:
        features: Shape (n, d); Euclidean distance.
        k: Rows to pick, 1 <= k <= n.
        bandwidth: h, > 0, in units of the features, or "median".
        memory: Bytes that similarities may take; the rest is computed again on demand.
        how: "lazy", or "naive": the same picks with every gain computed at every pick.

    Returns:
        Row numbers, shape (k,), int64, keep-first order; ties go to the lowest row. At least
        1 - 1/e of the largest value, since the function is monotone and submodular.

    Raises:
        ValueError: If an argument is invalid, or "median" meets rows of which most coincide.

    Source: Nemhauser, Wolsey & Fisher (1978) for the greedy and its share, Minoux (1978) for
    lazy evaluation; `budgeted` section IV-C names the function. Not the "facility location" of
    `svp` Table 2, which is greedy k-centers.

    Note: all pairs of rows are compared, so time grows as n^2 d: a second at n = 10,000, hours at
    n = 1,280,000. Pools above 1,024 rows are compared in float32 (gains within 2e-6 of the best are
    ties) until gains get so small that its rounding shows, then in float64, as smaller ones.
    """
    features = check_features(features)
    k = check_k(k, len(features))
    check_choice(how, HOW, "how")
    memory = check_memory(memory)
    if len(features) == 1:
        return np.zeros(1, dtype=np.int64)
    similarity = Gaussian(features, check_bandwidth(features, bandwidth), memory)
    return lazy.cover(similarity, k, memory) if how == "lazy" else lazy.plain(similarity, k)


def facility_location_value(
    features: np.ndarray,
    selected: np.ndarray,
    bandwidth: float | str = "median",
    similarity: np.ndarray | None = None,
) -> float:
    """Return sum_i max_{j selected} s_ij in float64; 0 for an empty set.

    Args:
        features: Shape (n, d); not looked at where similarity is given.
        selected: Row numbers, shape (k,).
        bandwidth: As in `facility_location`.
        similarity: Shape (n, n) to use instead of the RBF one.

    Raises:
        ValueError: If the features or the bandwidth are invalid.
    """
    selected = np.asarray(selected, dtype=np.int64)
    if not len(selected):
        return 0.0
    if similarity is not None:
        return float(similarity[:, selected].max(axis=1).sum(dtype=np.float64))
    features = check_features(features)
    rows = Gaussian(features, check_bandwidth(features, bandwidth), memory=0, wide=True)
    best, step = np.zeros(rows.n), rows_at_once(rows.n, N_BLOCK)
    for start in range(0, len(selected), step):
        np.maximum(best, rows(selected[start : start + step]).max(axis=0), out=best)
    return float(best.sum())


def graph_cut(
    features: np.ndarray, k: int, trade_off: float = 0.5, bandwidth: float | str = "median"
) -> np.ndarray:
    """Pick k rows greedily for sum_{i, j in S} representation less redundancy.

    The value of S is sum_{i in V, j in S} s_ij - trade_off * sum_{i, j in S} s_ij, s the RBF
    similarity. It is submodular for trade_off >= 0 and monotone for trade_off <= 1/2: adding j
    brings sum_i s_ij - trade_off * (s_jj + 2 sum_{i in S} s_ij), at least 0 there.

    Args:
        features: Shape (n, d).
        k: Rows to pick, 1 <= k <= n.
        trade_off: Weight of the redundancy, >= 0; above 1/2 greedy's share is not owed.
        bandwidth: h, > 0, in units of the features, or "median".

    Returns:
        Row numbers, shape (k,), int64, keep-first order; ties go to the lowest row.

    Raises:
        ValueError: If an argument is invalid.

    Note: O(n d) memory, one row of similarities a pick.
    """
    features = check_features(features)
    n = len(features)
    k = check_k(k, n)
    if not (np.isfinite(trade_off) and trade_off >= 0):
        raise StudyError(f"trade_off must be a number from 0 upwards, got {trade_off!r}")
    rows = _wide_rows(features, bandwidth)
    gains = _sums_of_rows(rows) - trade_off
    chosen = np.empty(k, dtype=np.int64)
    for place in range(k):
        best = gains.max()
        chosen[place] = row = (gains >= best - TIE * n).argmax()
        gains -= 2 * trade_off * rows(np.array([row]))[0]
        gains[row] = -np.inf
    return chosen


def graph_cut_value(
    features: np.ndarray,
    selected: np.ndarray,
    trade_off: float = 0.5,
    bandwidth: float | str = "median",
) -> float:
    """Return the value that `graph_cut` maximises, float64.

    Raises:
        ValueError: If features or bandwidth are invalid.
    """
    features = check_features(features)
    selected = np.asarray(selected, dtype=np.int64)
    columns = _wide_rows(features, bandwidth)(selected)
    return float(columns.sum() - trade_off * columns[:, selected].sum())


def _wide_rows(features: np.ndarray, bandwidth: float | str) -> Gaussian:
    """Return RBF similarities in float64, rows on demand; a single row is like itself."""
    h = 1.0 if len(features) == 1 else check_bandwidth(features, bandwidth)
    return Gaussian(features, h, memory=0, wide=True)


def _sums_of_rows(rows: Gaussian) -> np.ndarray:
    """Return the row sums of all similarities, shape (n,), in blocks."""
    step = rows_at_once(rows.n, N_BLOCK)
    return np.concatenate([rows(slice(s, s + step)).sum(axis=1) for s in range(0, rows.n, step)])
