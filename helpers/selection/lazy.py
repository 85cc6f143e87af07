"""Exact greedy cover of all rows by k of them: similarities on demand, gains kept up to date."""

import warnings
from dataclasses import dataclass

import numpy as np

from helpers.selection.similarities import MEMORY, Similarity

TILE = (256, 1024)  # rows and columns of one tile: 1 MiB in float32 stays in the cache
N_FORETELL = 512  # rows whose similarities foretell the first pick
N_SAMPLE = 64  # rows whose similarities tell how many cells are still active
N_REFRESH = 64  # stale gains refreshed at once
N_CORRECT = 1 << 17  # cells corrected at once
N_DROP = 4  # where more than n / N_DROP gains are stale, all are computed anew


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
    cells get few after some picks. Until they fit the memory, stale gains are upper bounds
    (lazy greedy, refreshed in batches); from then on the cells are kept and a pick corrects
    all gains by the cells of the rows whose c_i rose, so no gain is ever stale.
    """
    run = GreedyRun(similarity, memory)
    run.start()
    while len(run.picks) < k:
        if run.cells is None:
            run.cells = run.active_cells()
        if run.cells is None:
            run.refresh()
        best = float(run.gains.max())
        if best <= run.similarity.trusted:
            if run.similarity.wide:  # only copies of picks are left, up to rounding
                if run.leaves_others():
                    warnings.warn(
                        "some rows lie too far out (or too close) to tell the others' gains apart "
                        "in float64; the last picks are by row: scale or drop the outliers",
                        stacklevel=3,
                    )
                rest = np.setdiff1d(np.arange(run.n), run.picks)
                return np.array(run.picks + rest[: k - len(run.picks)].tolist(), dtype=np.int64)
            run.widen()
        else:
            run.add(run.lowest(best))
    return np.array(run.picks, dtype=np.int64)


@dataclass
class _Cells:
    """Active cells row by row: candidates and similarities of row i start at starts[i]."""

    candidates: np.ndarray  # (capacity,)
    values: np.ndarray  # (capacity,)
    starts: np.ndarray  # (n,)
    lengths: np.ndarray  # (n,)


class GreedyRun:
    """The state of a greedy run: picks, best similarity so far, gains."""

    def __init__(self, similarity: Similarity, memory: int):
        """Start without a pick."""
        self.similarity = similarity
        self.n = similarity.n
        self.memory = memory
        self.picks: list[int] = []
        self.best = np.full(self.n, similarity.start, dtype=similarity.dtype)
        self.gains = np.zeros(self.n)
        self.is_bound = False  # whether gains, though stale, bound what rows can bring now
        self.cells: _Cells | None = None

    def lowest(self, best: float) -> int:
        """Return the lowest row whose gain equals the best up to rounding."""
        return int((self.gains >= best - self.slack(best)).argmax())

    def leaves_others(self) -> bool:
        """Say whether some row is no copy of a pick."""
        features = self.similarity.features
        return len(np.unique(features, axis=0)) > len(np.unique(features[self.picks], axis=0))

    def slack(self, best: float) -> float:
        """Return by how much gains may differ that count as equal.

        Ties are common late: each of two rows that only have one another brings the same.
        """
        return abs(best) * (1e-9 if self.similarity.wide else 2e-6) + self.similarity.noise

    def start(self) -> None:
        """Make the first pick, whose gain is its sum of similarities.

        The sums over a few rows foretell it, so that the pass over all pairs that proves it
        mostly finds all gains after it too.
        """
        if self.similarity.stored is not None:
            self.gains = self.all_gains(self.best)[0]
            self.add(self.lowest(float(self.gains.max())))
            return
        every = np.arange(min(self.n, N_FORETELL)) * self.n // min(self.n, N_FORETELL)
        guessed = sum(self.similarity(part).sum(axis=0) for part in np.array_split(every, 16))
        likely = np.sort(np.argsort(-guessed, kind="stable")[:N_REFRESH])
        sums = self.similarity(likely).sum(axis=1, dtype=np.float64)
        best = self.similarity(likely[[sums.argmax()]])[0]
        self.gains, later = self.all_gains(self.best, best)
        row = self.lowest(float(self.gains.max()))
        self.add(row)
        if row == likely[sums.argmax()]:
            later[row] = -np.inf
            self.gains, self.is_bound = later, True

    def all_gains(self, *levels: np.ndarray) -> np.ndarray:
        """Return every row's gain over some levels of best similarity, shape (len(levels), n).

        A tile serves both its rows and its columns.
        """
        gains = np.zeros((len(levels), self.n))
        tall, broad = TILE
        for start in range(0, self.n, broad):
            columns = slice(start, min(start + broad, self.n))
            for top in range(0, columns.stop, tall):
                rows = slice(top, min(top + tall, columns.stop))
                tile = self.similarity(rows, columns)
                above = min(rows.stop, start) - top  # rows of the tile above the diagonal square
                for total, level in zip(gains, levels, strict=True):
                    total[rows] += _sums(tile, level[columns], 1, self.similarity.start)
                    if above > 0:
                        part = level[rows][:above, None]
                        total[columns] += _sums(tile[:above], part, 0, self.similarity.start)
        gains[:, self.picks] = -np.inf
        return gains

    def refresh(self) -> None:
        """Refresh stale gains until the largest of all is not stale."""
        if not self.is_bound:  # the first gains are counted from nothing and bound no other
            self.gains, self.is_bound = self.all_gains(self.best)[0], True
            return
        fresh = np.zeros(self.n, dtype=bool)
        best = -np.inf
        n_rows = N_REFRESH
        while True:
            stale = np.where(fresh, -np.inf, self.gains)
            # Tied rows must be fresh too, so that the lowest can be told.
            waiting = np.flatnonzero(~fresh if best <= 0 else stale >= best - 2 * self.slack(best))
            waiting = waiting[np.isfinite(self.gains[waiting])]
            if not len(waiting):
                return
            if len(waiting) > self.n // N_DROP and best > -np.inf:
                self.gains = self.all_gains(self.best)[0]
                return
            order = np.argsort(-self.gains[waiting], kind="stable")
            rows = waiting[order[:n_rows]]
            self.gains[rows] = _sums(self.similarity(rows), self.best, 1, self.similarity.start)
            fresh[rows] = True
            best = max(best, float(self.gains[rows].max()))

    def add(self, row: int) -> None:
        """Pick a row."""
        reached = self.similarity(np.array([row]))[0]
        changed = np.flatnonzero(reached > self.best)
        if self.cells is not None:
            cuts = np.cumsum(self.cells.lengths[changed]) // N_CORRECT
            for part in np.split(changed, np.flatnonzero(np.diff(cuts)) + 1):
                self._correct(part, reached[part])
        self.best[changed] = reached[changed]
        self.picks.append(row)
        self.gains[row] = -np.inf

    def _correct(self, changed: np.ndarray, reached: np.ndarray) -> None:
        """Lower all gains where rows' best similarity rises, and drop cells no longer active."""
        cells = self.cells
        lengths = cells.lengths[changed]
        places = _ranges(cells.starts[changed], lengths)
        values, candidates = cells.values[places], cells.candidates[places]
        level = np.repeat(reached, lengths)
        lost = np.minimum(values, level) - np.repeat(self.best[changed], lengths)
        self.gains -= np.bincount(candidates, np.maximum(lost, 0), minlength=self.n)
        active = values > level
        total = np.concatenate([[0], np.cumsum(active, dtype=np.int32)])
        ends = np.cumsum(lengths)
        kept = (total[ends] - total[ends - lengths]).astype(np.int64)
        places = _ranges(cells.starts[changed], kept)
        cells.values[places], cells.candidates[places] = values[active], candidates[active]
        cells.lengths[changed] = kept

    def active_cells(self) -> _Cells | None:
        """Return the active cells, with all gains made exact, or None where they do not fit."""
        dtype = np.uint16 if self.n <= 2**16 else np.int32
        capacity = min(self.n**2, self.memory // 2 // (self.best.itemsize + dtype().itemsize))
        sample = np.arange(min(self.n, N_SAMPLE)) * self.n // min(self.n, N_SAMPLE)
        share = np.count_nonzero(self._is_active(sample)[1]) / (len(sample) * self.n)
        if 1.05 * share * self.n**2 > capacity:
            return None
        # np.empty takes no memory until it is written to.
        values, candidates = np.empty(capacity, self.best.dtype), np.empty(capacity, dtype)
        lengths, gains, end = np.zeros(self.n, dtype=np.int64), np.zeros(self.n), 0
        for top in range(0, self.n, N_REFRESH):
            rows = np.arange(top, min(top + N_REFRESH, self.n))
            part_start = end
            for row, raw, active in zip(rows, *self._is_active(rows), strict=True):
                found = np.flatnonzero(active)
                start, end = end, end + len(found)
                if end > capacity:
                    return None
                lengths[row] = len(found)
                candidates[start:end], values[start:end] = found, raw[found]
            part = slice(part_start, end)
            self.similarity.finish(values[part])
            gain = np.maximum(values[part] - np.repeat(self.best[rows], lengths[rows]), 0)
            gains += np.bincount(candidates[part], gain, minlength=self.n)
        gains[self.picks] = -np.inf
        self.gains = gains
        return _Cells(candidates, values, np.cumsum(lengths) - lengths, lengths)

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
        self.cells = self.active_cells()
        if self.cells is None:
            self.gains, self.is_bound = self.all_gains(self.best)[0], True


def _sums(tile: np.ndarray, best: np.ndarray, axis: int, start: float) -> np.ndarray:
    """Return sums of what a tile adds to the best so far, which broadcasts against it.

    Where nothing covers a row yet, its best is `start`; similarities are then their own gain.
    """
    gain = tile
    if not (best == start).all():
        gain = tile - best
        np.maximum(gain, 0, out=gain)
    ones = np.ones(tile.shape[axis], dtype=tile.dtype)  # a product is the quicker sum
    return gain @ ones if axis else ones @ gain


def _ranges(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return the numbers starts[i] .. starts[i] + lengths[i] - 1 for all i, one after another."""
    ends = np.cumsum(lengths)
    return np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - ends + lengths, lengths)


def plain(similarity: Similarity, k: int) -> np.ndarray:
    """Pick as `cover` does, computing every gain anew at every pick: O(n^2) a pick."""
    run = GreedyRun(similarity, 0)
    while len(run.picks) < k:
        run.gains = np.concatenate(
            [
                _sums(similarity(slice(top, top + TILE[0])), run.best, 1, similarity.start)
                for top in range(0, run.n, TILE[0])
            ]
        ).astype(np.float64)
        run.gains[run.picks] = -np.inf
        best = float(run.gains.max())
        unpicked = np.isfinite(run.gains)
        over = run.picks and best <= similarity.trusted and similarity.wide
        run.add(int(unpicked.argmax()) if over else run.lowest(best))
    return np.array(run.picks, dtype=np.int64)
