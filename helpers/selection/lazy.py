"""Exact greedy cover of all rows by k of them: similarities on demand, gains kept up to date."""

import warnings

import numpy as np

from helpers.selection.blocks import spans
from helpers.selection.cells import Cells
from helpers.selection.foresight import Foresight, both_ways, by_group, foretell, sum_along
from helpers.selection.similarities import MEMORY, Similarity

N_ROWS = 256  # rows whose gains are computed at once where all are
N_SAMPLE = 64  # rows whose similarities tell how many cells are still active
N_REFRESH = 64  # stale gains refreshed at once
N_DROP = 4  # once more than n / N_DROP gains are refreshed for a pick, all are computed anew
N_LATE = 10  # up to n / N_LATE rows covered less than foretold do not wait for more picks


def cover(similarity: Similarity, k: int, memory: int = MEMORY) -> np.ndarray:
    """Pick k rows greedily so that sum_i max_{j picked} s_ij grows most at every pick.

    Args:
        similarity: Between all rows.
        k: Rows to pick, 1 <= k <= n.
        memory: Bytes; half of it may hold similarities.

    Returns:
        Row numbers, shape (k,), int64, in order; gains equal up to rounding (2e-6 of them in
        float32, 1e-9 in float64) are ties and go to the lowest row.

    Note: row j still gains from row i where s_ij exceeds c_i, the best so far. These active
    cells get few after some picks. Until they are kept, stale gains are upper bounds (lazy
    greedy, refreshed in batches); from then on a pick corrects all gains by the cells of the
    rows whose c_i rose, so no gain is ever stale. The first picks are foretold, so that one
    pass over all pairs gives the first gains, bounds and cells (see `foresight`).
    """
    foretold, reached = foretell(similarity, k, memory // 8)
    order = by_group(reached)
    run = GreedyRun(similarity.reordered(order), memory, order)
    run.start(np.argsort(order)[foretold], reached[:, order])
    while len(run.picks) < k:
        if run.cells is None:
            run.keep_cells()
        if run.cells is None:
            run.refresh()
        best = float(run.gains.max())
        if best <= run.similarity.trusted:
            if run.similarity.wide:  # only copies of picks are left, up to rounding
                if run.leaves_others():
                    warnings.warn(
                        "some rows lie too far out (or too close) for distances in float64 to "
                        f"tell the others apart; the last {k - len(run.picks)} of {k} picks are "
                        "by row: scale or drop the outliers",
                        stacklevel=3,
                    )
                rest = np.setdiff1d(order, order[run.picks])
                return np.concatenate([order[run.picks], rest])[:k]
            run.widen()
        else:
            run.add(run.lowest(best))
    return order[run.picks]


class GreedyRun:
    """The state of a greedy run: picks, best similarity so far, gains."""

    def __init__(self, similarity: Similarity, memory: int, names: np.ndarray | None = None):
        """Start without a pick; names (n,) are the row numbers by which ties are broken."""
        self.similarity = similarity
        self.n = similarity.n
        self.names = np.arange(self.n) if names is None else names
        self.memory = memory
        self.picks: list[int] = []
        self.best = np.full(self.n, similarity.start, dtype=similarity.dtype)
        self.gains = np.zeros(self.n)
        self.is_bound = False  # whether gains, though stale, bound what rows can bring now
        self.n_refreshed = 0
        self.ahead: Foresight | None = None
        self.cells: Cells | None = None

    def lowest(self, best: float) -> int:
        """Return the lowest row whose gain equals the best up to rounding."""
        tied = np.flatnonzero(self.gains >= best - self.slack(best))
        return int(tied[self.names[tied].argmin()])

    def leaves_others(self) -> bool:
        """Say whether some row is no copy of a pick."""
        features = self.similarity.features
        return len(np.unique(features, axis=0)) > len(np.unique(features[self.picks], axis=0))

    def slack(self, best: float) -> float:
        """Return by how much gains may differ that count as equal.

        Ties are common late: each of two rows that only have one another brings the same.
        """
        return abs(best) * (1e-9 if self.similarity.wide else 2e-6) + self.similarity.noise

    def start(self, rows: np.ndarray, reached: np.ndarray) -> None:
        """Make the first pick, whose gain is its sum of similarities.

        Args:
            rows: First picks foretold, shape (m,).
            reached: Their similarities to all rows, shape (m, n).
        """
        self.ahead = Foresight(self.similarity, rows, reached, self.memory // 2)
        self.gains = self.ahead.sums
        row = self.lowest(float(self.gains.max()))
        if row == rows[0]:
            self.gains, self.is_bound = np.full(self.n, np.inf), True
        self.add(row)

    def all_gains(self) -> np.ndarray:
        """Return every row's gain, shape (n,)."""
        gains = np.zeros(self.n)
        for tile in both_ways(self.similarity):
            gains[tile.rows] += _added(tile.values, self.best[tile.columns], tile.space)
        gains[self.picks] = -np.inf
        return gains

    def refresh(self) -> None:
        """Refresh stale gains until the largest of all is not stale."""
        if not self.is_bound:  # the first gains are counted from nothing and bound no other
            self.gains, self.is_bound = self.all_gains(), True
            return
        fresh = np.zeros(self.n, dtype=bool)
        best = -np.inf
        n_rows = max(1, N_REFRESH // 8)
        space = np.empty((min(self.n, N_REFRESH), self.n), self.similarity.dtype)
        while True:
            stale = np.where(fresh, -np.inf, self.gains)
            # Tied rows must be fresh too, so that the lowest can be told.
            waiting = np.flatnonzero(~fresh if best <= 0 else stale >= best - 2 * self.slack(best))
            waiting = waiting[np.isfinite(self.gains[waiting])]
            if not len(waiting):
                return
            if np.count_nonzero(fresh) > self.n // N_DROP:
                self.gains = self.all_gains()
                return
            order = np.argsort(-self.gains[waiting], kind="stable")
            rows = waiting[order[:n_rows]]
            near = self.similarity(rows, out=space[: len(rows)])
            self.gains[rows] = _added(near, self.best, near)
            fresh[rows] = True
            self.n_refreshed += len(rows)
            best = max(best, float(self.gains[rows].max()))
            n_rows = min(2 * n_rows, N_REFRESH)

    def add(self, row: int) -> None:
        """Pick a row."""
        if self.cells is not None:
            changed, reached = self.cells.of_candidate(row)
            rises = reached > self.best[changed]
            changed, reached = changed[rises], reached[rises]
            self.cells.correct(self.gains, changed, self.best[changed], reached)
        else:
            reached = self._reached(row)
            changed = np.flatnonzero(reached > self.best)
            reached = reached[changed]
        self.best[changed] = reached
        self.picks.append(row)
        if self.ahead is not None and self.picks[0] == self.ahead.rows[0]:
            np.minimum(self.gains, self.ahead.bounds(self.picks), out=self.gains)
        self.gains[row] = -np.inf

    def _reached(self, row: int) -> np.ndarray:
        """Return a row's similarities to all rows; those foretold are known."""
        if self.ahead is not None and row in self.ahead.rows:
            return self.ahead.reached[self.ahead.rows.index(row)]
        return self.similarity(np.array([row]))[0]

    def keep_cells(self) -> None:
        """Keep the active cells, with all gains made exact, where they fit."""
        cells, is_late = None, np.ones(self.n, dtype=bool)
        if self.ahead is not None and self.ahead.cells.fits:
            cells, is_late = self.ahead.cells, self.best < self.ahead.level
            n_late = np.count_nonzero(is_late)
            # To wait for the picks foretold is worth as many refreshed rows as it may save.
            is_soon = len(self.picks) < len(self.ahead.rows) and self.n_refreshed < n_late
            if is_soon and n_late > self.n // N_LATE:
                return
        cells = cells or Cells(self.n, self.memory // 2, self.best.dtype)
        if is_late.any() and not self._may_fit(cells.capacity):
            return
        rows, _, values = cells.found
        values[is_late[rows]] = self.similarity.start  # these are found anew
        if self._find(cells, np.flatnonzero(is_late)):
            cells.arrange()
            self.cells, self.gains, self.ahead = cells, cells.gains(self.best), None
            self.gains[self.picks] = -np.inf

    def _may_fit(self, capacity: int) -> bool:
        """Say whether a sample of rows has so few active cells that all may fit."""
        sample = np.arange(min(self.n, N_SAMPLE)) * self.n // min(self.n, N_SAMPLE)
        share = np.count_nonzero(self._is_active(sample)[1]) / (len(sample) * self.n)
        return 1.05 * share * self.n**2 <= capacity

    def _find(self, cells: Cells, late: np.ndarray) -> bool:
        """Add the active cells of some rows, and say whether they fit."""
        for top in range(0, len(late), N_REFRESH):
            rows = late[top : top + N_REFRESH]
            raw, active = self._is_active(rows)
            up, across = np.nonzero(active)
            cells.add(rows[up], across, self.similarity.finish(raw[active]))
            if not cells.fits:
                return False
        return cells.fits

    def _is_active(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return raw similarities (rows, n) and whether each may exceed the row's best."""
        raw = self.similarity.raw(rows)
        return raw, raw > self.similarity.unfinish(self.best[rows])[:, None]

    def widen(self) -> None:
        """Go on in float64."""
        self.similarity = self.similarity.widened()
        self.best = np.full(self.n, self.similarity.start)
        for start in range(0, len(self.picks), N_REFRESH):
            some = self.similarity(np.array(self.picks[start : start + N_REFRESH]))
            np.maximum(self.best, some.max(axis=0), out=self.best)
        self.cells, self.ahead = None, None
        self.keep_cells()
        if self.cells is None:
            self.gains, self.is_bound = self.all_gains(), True


def _added(values: np.ndarray, best: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Return what rows of similarities add to the best so far of their columns, summed.

    Where nothing covers them yet, similarities are their own gain. `out` is overwritten.
    """
    np.maximum(values, best, out=out)
    out -= np.where(np.isfinite(best), best, 0)
    return sum_along(out, 1)


def plain(similarity: Similarity, k: int) -> np.ndarray:
    """Pick as `cover` does, computing every gain anew at every pick: O(n^2) a pick."""
    similarity.store()
    run = GreedyRun(similarity, 0)
    while len(run.picks) < k:
        run.gains = np.concatenate(
            [
                _added(near, run.best, near)
                for near in (similarity(slice(*span)) for span in spans(run.n, N_ROWS))
            ]
        ).astype(np.float64)
        run.gains[run.picks] = -np.inf
        best = float(run.gains.max())
        unpicked = np.isfinite(run.gains)
        over = run.picks and best <= similarity.trusted and similarity.wide
        run.add(int(unpicked.argmax()) if over else run.lowest(best))
    return np.array(run.picks, dtype=np.int64)
