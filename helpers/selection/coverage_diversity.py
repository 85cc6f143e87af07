"""Coverage + diversity, the submodular baseline of `budgeted`, by plain and by lazy greedy."""

from numbers import Integral

import numpy as np

from helpers import StudyError
from helpers.checks import check_choice, check_features, check_k
from helpers.selection.gaussian_sums import check_bandwidth
from helpers.selection.kcenters import greedy_k_centers
from helpers.selection.similarities import MEMORY, Gaussian, check_memory, rows_at_once

HOW = ("lazy", "naive")
N_BLOCK = 256  # similarity rows held at once where all do not fit
N_REFRESH = 16  # stale gains refreshed at once
TIE = 1e-12  # gains that differ by less than this are ties: both terms lie in 0..1


class CoverageDiversity:
    """The function over subsets S of a pool; each term is divided by its value of the pool.

    coverage(S) = sum_i min(sum_{j in S} s_ij, alpha * sum_j s_ij), diversity(S) = sum over
    groups P of sqrt(sum_{j in S and P} r_j), with r_j the mean similarity of j to all rows.
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
        if not (np.isfinite(weight) and weight >= 0):
            raise StudyError(f"weight must be a number from 0 upwards, got {weight!r}")
        if not 0 < alpha <= 1:
            raise StudyError(f"alpha must lie above 0 and at most at 1, got {alpha!r}")
        if isinstance(n_groups, bool) or not isinstance(n_groups, Integral) or n_groups < 1:
            raise StudyError(f"n_groups must be a whole number from 1 upwards, got {n_groups!r}")
        memory = check_memory(memory)
        self.n = len(features)
        h = 1.0 if self.n == 1 else check_bandwidth(features, bandwidth)
        self.similarity = Gaussian(features, h, memory=0, wide=True)
        self.kept = None
        if 8 * self.n**2 <= memory:
            self.kept = self.similarity(slice(None))
        sums = np.concatenate([self.rows(part).sum(axis=1) for part in self.blocks()])
        self.weight, self.cap, self.reward = weight, alpha * sums, sums / self.n
        centres = greedy_k_centers(features, min(n_groups, self.n))
        self.group = self.rows(centres).argmax(axis=0)
        self.largest = float(self.cap.sum())
        self.widest = float(np.sqrt(np.bincount(self.group, self.reward)).sum())
        self.covered, self.rewarded = np.zeros(self.n), np.zeros(len(centres))

    def blocks(self) -> list[slice]:
        """Return all rows as slices."""
        step = rows_at_once(self.n, N_BLOCK)
        return [slice(start, start + step) for start in range(0, self.n, step)]

    def rows(self, rows: np.ndarray | slice) -> np.ndarray:
        """Return similarities of some rows to all, (rows, n)."""
        return self.similarity(rows) if self.kept is None else self.kept[rows]

    def value(self, selected: np.ndarray) -> float:
        """Return the value of a subset; 0 for the empty one."""
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
        k: Rows to pick, 1 <= k <= n.
        weight: Of diversity against coverage, >= 0; each is 1 for the whole pool.
        alpha: In (0, 1]; a row counts as covered once the picks' similarities to it reach this
            share of the whole pool's.
        n_groups: Groups within which a further pick is worth less; m greedy k-centers, each
            row in the group of the nearest (ties: the first).
        bandwidth: h of the RBF similarity, > 0, in units of the features, or "median".
        how: "naive" computes every gain at every pick, so its time grows in proportion to k;
            "lazy" refreshes only stale gains that could still be the largest: the same picks.
        memory: Bytes the similarities may take; above it rows are computed on demand.

    Returns:
        Row numbers, shape (k,), int64, keep-first order; ties go to the lowest row.

    Raises:
        ValueError: If an argument is invalid.

    Source: `budgeted` section IV-C, which names the criteria and the greedy but no formula.

    Note: our reading, after Lin & Bilmes (2011): see `CoverageDiversity`. A concave function of
    a sum of non-negative terms is monotone and submodular, and so is every sum of them: greedy
    reaches at least 1 - 1/e of the best value.
    """
    check_choice(how, HOW, "how")
    function = CoverageDiversity(features, weight, alpha, n_groups, bandwidth, memory)
    k = check_k(k, function.n)
    gains = _all_gains(function)
    chosen: list[int] = []
    while len(chosen) < k:
        if chosen and how == "naive":
            gains = _all_gains(function)
            gains[chosen] = -np.inf
        elif chosen:
            _refresh(function, gains)
        row = int((gains >= gains.max() - TIE).argmax())
        function.add(row)
        chosen.append(row)
        gains[row] = -np.inf
    return np.array(chosen, dtype=np.int64)


def coverage_diversity_value(
    features: np.ndarray,
    selected: np.ndarray,
    weight: float = 1.0,
    alpha: float = 0.1,
    n_groups: int = 10,
    bandwidth: float | str = "median",
) -> float:
    """Return the value that `coverage_diversity` maximises, in 0..1 + weight.

    Raises:
        ValueError: If an argument is invalid.
    """
    return CoverageDiversity(features, weight, alpha, n_groups, bandwidth).value(selected)


def _all_gains(function: CoverageDiversity) -> np.ndarray:
    """Return the gains of all rows, shape (n,)."""
    return np.concatenate([function.gains(part) for part in function.blocks()])


def _refresh(function: CoverageDiversity, gains: np.ndarray) -> None:
    """Refresh stale gains, largest first, until no stale one could be the largest."""
    stale = np.isfinite(gains)
    best = -np.inf
    while True:
        waiting = np.flatnonzero(stale & (gains >= best - 2 * TIE))
        if not len(waiting):
            return
        rows = waiting[np.argsort(-gains[waiting], kind="stable")[:N_REFRESH]]
        gains[rows] = function.gains(rows)
        stale[rows] = False
        best = max(best, float(gains[rows].max()))
