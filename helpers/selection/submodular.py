"""Submodular functions and their greedy maximisers: facility location, graph cut, coverage."""

import numpy as np

from helpers import StudyError
from helpers.checks import check_choice, check_features, check_k, check_number
from helpers.selection.blocks import blocks
from helpers.selection.gaussian_sums import check_bandwidth
from helpers.selection.greedy_cover import (
    MEMORY,
    Gaussian,
    check_memory,
    cover,
    rows_at_once,
)
from helpers.selection.kcenters import greedy_k_centers
from helpers.selection.registry import Pool, method

HOW = ("lazy", "naive")
N_BLOCK = 256  # similarity rows held at once where all do not fit
N_REFRESH = 16  # stale gains refreshed at once
TIE = 1e-12  # gains that differ by less than this (a row, for graph cut) are ties


def facility_location(
    features: np.ndarray, k: int, bandwidth: float | str = "median", memory: int = MEMORY
) -> np.ndarray:
    """Pick k rows greedily for the largest sum_i max_{j picked} s_ij.

    Args:
        features: Shape (n, d); s is their `gaussian_similarity`.
        k: Rows to pick.
        bandwidth: h, > 0, in units of the features, or "median": the median distance between rows
            (over 1,000 evenly spaced ones in larger pools).
        memory: Bytes that similarities may take; the rest is computed again on demand.

    Returns:
        Row numbers (k,), keep-first order; ties go to the lowest row. At least 1 - 1/e of the
        largest value, since the function is monotone and submodular.

    Source: Nemhauser, Wolsey & Fisher (1978) for the greedy and its share, Minoux (1978) for
    lazy evaluation; `budgeted` section IV-C names the function. Not the "facility location" of
    `svp` Table 2, which is greedy k-centers.

    Note: all pairs of rows are compared, so time grows as n^2 d: a second at n = 10,000, hours at
    n = 1,280,000. Pools above 1,024 rows are compared in float32 (gains within 2e-6 of the best are
    ties) until gains get so small that its rounding shows, then in float64, as smaller ones.
    """
    features = check_features(features)
    k, memory = check_k(k, len(features)), check_memory(memory)
    if len(features) == 1:
        return np.zeros(1, dtype=np.int64)
    return cover(Gaussian(features, check_bandwidth(features, bandwidth)), k, memory)


def graph_cut(
    features: np.ndarray, k: int, trade_off: float = 0.5, bandwidth: float | str = "median"
) -> np.ndarray:
    """Pick k rows greedily for sum_{i, j in S} representation less redundancy.

    The value of S is sum_{i in V, j in S} s_ij - trade_off * sum_{i, j in S} s_ij, s the RBF
    similarity. It is submodular for trade_off >= 0 and monotone for trade_off <= 1/2: adding j
    gains sum_i s_ij - trade_off * (s_jj + 2 sum_{i in S} s_ij), at least 0 there.

    Bandwidth and result are as in `facility_location`; above 1/2 greedy's share is not owed.
    O(n d) memory, one row of similarities a pick.
    """
    features = check_features(features)
    n = len(features)
    k = check_k(k, n)
    check_number(trade_off, "trade_off")
    similarity = _wide(features, bandwidth)
    step = rows_at_once(n, 2 * N_BLOCK)
    sums = np.concatenate([similarity(part).sum(axis=1) for part in blocks(n, step)])
    gains = sums - trade_off
    chosen = np.empty(k, dtype=np.int64)
    for place in range(k):
        chosen[place] = row = (gains >= gains.max() - TIE * n).argmax()
        gains -= 2 * trade_off * similarity(np.array([row]))[0]
        gains[row] = -np.inf
    return chosen


def _wide(features: np.ndarray, bandwidth: float | str) -> Gaussian:
    """Return RBF similarities in float64, rows on demand; a single row is like itself."""
    h = 1.0 if len(features) == 1 else check_bandwidth(features, bandwidth)
    return Gaussian(features, h, wide=True)


class CoverageDiversity:
    """The function over subsets S of a pool; each term is divided by its value of the pool.

    coverage(S) = sum_i min(sum_{j in S} s_ij, alpha * sum_j s_ij), diversity(S) = sum over
    groups P of sqrt(sum_{j in S and P} r_j), with r_j the mean similarity of j to all rows.
    The arguments are those of `coverage_diversity`.
    """

    def __init__(
        self,
        features: np.ndarray,
        weight: float = 1.0,
        alpha: float = 0.1,
        n_groups: int = 10,
        bandwidth: float | str = "median",
        memory: int = MEMORY,
    ):
        """Prepare similarities, groups and caps."""
        features = check_features(features)
        check_number(weight, "weight")
        if not 0 < alpha <= 1:
            raise StudyError(f"alpha must lie above 0 and at most at 1, got {alpha!r}")
        check_number(n_groups, "n_groups", 1, whole=True)
        self.n = n = len(features)
        self.similarity, self.kept = _wide(features, bandwidth), None
        if 8 * n**2 <= check_memory(memory):
            self.kept = self.similarity(slice(None))
        self.blocks = blocks(n, rows_at_once(n, N_BLOCK))
        sums = np.concatenate([self.rows(part).sum(axis=1) for part in self.blocks])
        self.weight, self.cap, self.reward = weight, alpha * sums, sums / n
        self.group = self.rows(greedy_k_centers(features, min(n_groups, n))).argmax(axis=0)
        self.largest = float(self.cap.sum())
        self.widest = float(np.sqrt(np.bincount(self.group, self.reward)).sum())
        self.covered, self.rewarded = np.zeros(n), np.zeros(n_groups)

    def rows(self, rows: np.ndarray | slice) -> np.ndarray:
        """Return similarities of some rows to all, (rows, n)."""
        return self.similarity(rows) if self.kept is None else self.kept[rows]

    def value(self, selected: np.ndarray) -> float:
        """Return the value of a subset, in 0..1 + weight; 0 for the empty one."""
        selected = np.asarray(selected, dtype=np.int64)
        coverage = np.minimum(self.rows(selected).sum(axis=0), self.cap).sum()
        groups = np.bincount(self.group[selected], self.reward[selected])
        return float(coverage / self.largest + self.weight * np.sqrt(groups).sum() / self.widest)

    def gains(self, rows: np.ndarray | slice) -> np.ndarray:
        """Return what each row would add to the subset chosen so far."""
        room = self.cap - np.minimum(self.covered, self.cap)
        added = np.minimum(self.rows(rows), room).sum(axis=1)
        group = self.rewarded[self.group[rows]]
        reward = np.sqrt(group + self.reward[rows]) - np.sqrt(group)
        return added / self.largest + self.weight * reward / self.widest

    def all_gains(self) -> np.ndarray:
        """Return the gains of all rows, shape (n,)."""
        return np.concatenate([self.gains(part) for part in self.blocks])

    def add(self, row: int) -> None:
        """Put a row into the subset chosen so far."""
        self.covered += self.rows(np.array([row]))[0]
        self.rewarded[self.group[row]] += self.reward[row]


def coverage_diversity(
    features: np.ndarray,
    k: int,
    weight: float = 1.0,
    alpha: float = 0.1,
    n_groups: int = 10,
    bandwidth: float | str = "median",
    how: str = "lazy",
    memory: int = MEMORY,
) -> np.ndarray:
    """Pick k rows greedily for coverage of the pool plus diversity of the picks.

    Args:
        features: Shape (n, d).
        k: Rows to pick.
        weight: Of diversity against coverage, >= 0; each is 1 for the whole pool.
        alpha: In (0, 1]; a row counts as covered once the picks' similarities to it reach this
            share of the whole pool's.
        n_groups: Groups within which a further pick is worth less; m greedy k-centers, each
            row in the group of the nearest (ties: the first).
        bandwidth: As in `facility_location`, and so is memory.
        how: "naive" computes every gain at every pick, so its time grows in proportion to k;
            "lazy" refreshes only stale gains that could still be the largest: the same picks.
        memory: Bytes.

    Returns:
        Row numbers (k,), keep-first order; ties go to the lowest row.

    Source: `budgeted` section IV-C, which names the criteria and the greedy but no formula.

    Note: our reading, after Lin & Bilmes (2011): see `CoverageDiversity`. A concave function of
    a sum of non-negative terms is monotone and submodular, and so is every sum of them: greedy
    reaches at least 1 - 1/e of the best value.
    """
    check_choice(how, HOW, "how")
    function = CoverageDiversity(features, weight, alpha, n_groups, bandwidth, memory)
    k = check_k(k, function.n)
    gains = function.all_gains()
    chosen: list[int] = []
    while len(chosen) < k:
        if chosen and how == "naive":
            gains = function.all_gains()
            gains[chosen] = -np.inf
        elif chosen:
            _refresh(function, gains)
        row = int((gains >= gains.max() - TIE).argmax())
        function.add(row)
        chosen.append(row)
        gains[row] = -np.inf
    return np.array(chosen, dtype=np.int64)


def _refresh(function: CoverageDiversity, gains: np.ndarray) -> None:
    """Refresh stale gains, largest first, until no stale one could be the largest."""
    stale, best = np.isfinite(gains), -np.inf
    while len(waiting := np.flatnonzero(stale & (gains >= best - 2 * TIE))):
        rows = waiting[np.argsort(-gains[waiting], kind="stable")[:N_REFRESH]]
        gains[rows] = function.gains(rows)
        stale[rows] = False
        best = max(best, float(gains[rows].max()))


@method("facility-location", "Facility location", needs=("features",), family="geometry")
def pick_facility_location(pool: Pool, k: int, rng: np.random.Generator) -> np.ndarray:
    """Maximise the similarity of every row to its nearest pick."""
    return facility_location(pool.features, k)


@method("graph-cut", "Graph cut", needs=("features",), family="geometry", compare=False)
def pick_graph_cut(pool: Pool, k: int, rng: np.random.Generator) -> np.ndarray:
    """Maximise similarity to all less similarity within."""
    return graph_cut(pool.features, k)


@method("submodular", "Coverage + diversity", needs=("features",), family="geometry", compare=False)
def pick_coverage_diversity(pool: Pool, k: int, rng: np.random.Generator) -> np.ndarray:
    """Maximise `budgeted`'s submodular baseline by lazy greedy."""
    return coverage_diversity(pool.features, k)
