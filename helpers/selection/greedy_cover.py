"""Exact lazy greedy cover of all rows by k of them; similarities by matrix product on demand."""

import warnings
from dataclasses import dataclass

import numpy as np

from helpers import StudyError
from helpers.checks import check_number
from helpers.selection.blocks import blocks

MEMORY = 512 * 2**20  # bytes; half may hold similarities
N_WIDE = 1024  # pools up to this size are computed in float64 from the start
NOISE = 1e-5  # rounding of raw values above which float32 is not tried
BLOCK = 256 * 2**20  # bytes of similarities to all rows that are held at once
N_READ = 4096  # rows of features centred at once
TILE = 512  # rows and columns of a tile: 1 MiB in float32 stays in the cache
N_SAMPLE = 512  # rows over which the first pick is guessed
N_LIKELY = 64  # rows of which the guess is one, and rows that tell how many cells are active
N_REFRESH = 64  # stale gains refreshed at once
N_DROP = 4  # once more than n / N_DROP gains are refreshed for a pick, all are computed anew
FEW = 0.05  # share of active cells from which on they are kept
N_FOUND = 256  # rows whose active cells are looked for at once
N_CORRECT = 1 << 15  # cells corrected at once: their copies stay in the cache


class Similarity:
    """Similarities between rows by matrix product; `raw` is monotone in them and cheaper.

    Raw values are minus half the squared distance in units of h; a subclass turns them into
    similarities in `finish`, and back in `unfinish`, which returns values just below.
    """

    start = 0.0  # similarity of what is covered by nothing

    def __init__(self, features: np.ndarray, h: float, wide: bool | None = None):
        """Centre the features (n, d), scale by h, and extend: [x, 1, -|x|^2 / 2].

        The product of such a row with another, ends swapped, is the raw value. Products of whole
        numbers are exact, so that equal distances stay equal: these are scaled afterwards.
        """
        self.features, self.h, self.n, self.stored = features, h, len(features), None
        self.wide = self.n <= N_WIDE if wide is None else wide
        self._prepare()
        if not self.wide and self.noise > NOISE:
            self.wide = True
            self._prepare()

    def _prepare(self) -> None:
        d = self.features.shape[1]
        self.dtype = np.dtype(np.float64 if self.wide else np.float32)
        mean = self.features.mean(axis=0, dtype=np.float64)
        self.whole = self._is_exact(np.rint(mean))
        self.points = np.ones((self.n, d + 2), dtype=self.dtype)
        for rows in blocks(self.n, N_READ):
            some, own = self.features[rows], self.points[rows]
            own[:, :d] = some - np.rint(mean) if self.whole else (some - mean) / self.h
            own[:, -1] = np.einsum("ij,ij->i", own[:, :d], own[:, :d]) / -2
        largest = -float(self.points[:, -1].min()) / (self.h**2 if self.whole else 1.0)
        if not np.isfinite(largest):
            raise StudyError("features are too large: their squared lengths overflow; scale them")
        self.noise = 4 * float(np.finfo(self.dtype).eps) * max(largest, 1.0)

    def _is_exact(self, shift: np.ndarray) -> bool:
        """Say whether products of the rows less a shift are of whole numbers without rounding."""
        for rows in blocks(self.n, N_READ):
            some = self.features[rows] - shift
            largest = np.abs(some).max()
            bound = 2 * (some.shape[1] + 2) * largest**2 if largest < 2**24 else np.inf
            if bound >= 1 / np.finfo(self.dtype).eps or (some != np.rint(some)).any():
                return False
        return True

    def store(self, memory: int) -> None:
        """Keep all raw values where the memory (bytes) holds them."""
        if self.n**2 * self.dtype.itemsize <= memory:
            points = np.ascontiguousarray(self.points[:, :-2])
            self.stored = points @ points.T  # one array times itself: half the work
            self.stored += self.points[:, -1]
            self.stored += self.points[:, -1:]
            if self.whole:
                self.stored /= self.h**2
            np.fill_diagonal(self.stored, 0)

    def raw(
        self, rows: np.ndarray | slice, columns: slice = slice(None), out: np.ndarray | None = None
    ) -> np.ndarray:
        """Return raw values, shape (rows, columns), at most 0 up to rounding, in `out` or new."""
        if self.stored is not None:
            return np.positive(self.stored[rows][:, columns], out=out)
        left = self.points[rows].copy()
        left[:, -2:] = left[:, :-3:-1].copy()
        values = np.matmul(left, self.points[columns].T, out=out)
        if self.whole:
            values /= self.h**2
        start, stop, _ = columns.indices(self.n)
        own = np.arange(self.n)[rows] - start
        inside = np.flatnonzero((own >= 0) & (own < stop - start))
        values[inside, own[inside]] = 0
        return values

    def __call__(
        self, rows: np.ndarray | slice, columns: slice = slice(None), out: np.ndarray | None = None
    ) -> np.ndarray:
        """Return similarities, shape (rows, columns), in `out` or new."""
        return self.finish(self.raw(rows, columns, out))


class Gaussian(Similarity):
    """exp(-dist^2 / (2 h^2)), in 0..1."""

    def finish(self, raw: np.ndarray) -> np.ndarray:
        """Turn raw values into similarities, in place."""
        return np.exp(raw, out=raw)

    def unfinish(self, similarity: np.ndarray) -> np.ndarray:
        """Return raw values just below those of the given similarities."""
        with np.errstate(divide="ignore"):
            return np.log(similarity) - 2 * self.noise

    @property
    def trusted(self) -> float:
        """Gain below which rounding shows."""
        return 1024 * self.noise


class Closeness(Similarity):
    """Minus the distance in units of h."""

    start = -np.inf

    def finish(self, raw: np.ndarray) -> np.ndarray:
        """Turn raw values into similarities, in place."""
        raw *= -2
        np.maximum(raw, 0, out=raw)
        np.sqrt(raw, out=raw)
        return np.negative(raw, out=raw)

    def unfinish(self, similarity: np.ndarray) -> np.ndarray:
        """Return raw values just below those of the given similarities."""
        return -np.square(similarity) / 2 - 2 * self.noise

    @property
    def trusted(self) -> float:
        """Gain below which rounding shows: the root makes it larger near 0."""
        return 64 * self.noise**0.5


def rows_at_once(n: int, most: int) -> int:
    """Return how many rows of float64 similarities to n rows may be held, at most `most`."""
    return max(1, min(most, BLOCK // (8 * n)))


def check_memory(memory: int) -> int:
    """Return a number of bytes as an int."""
    check_number(memory, "memory")
    return int(memory)


def cover(similarity: Similarity, k: int, memory: int = MEMORY) -> np.ndarray:
    """Pick k rows greedily so that sum_i max_{j picked} s_ij grows most at every pick.

    Half of the memory (bytes) may hold similarities. Returns row numbers (k,) in order; gains
    equal up to rounding (2e-6 of them in float32, 1e-9 in float64) are ties and go to the lowest
    row.

    Note: row j still gains from row i where s_ij exceeds c_i, the best so far. These active
    cells get few after some picks. Until they fit the memory, stale gains are upper bounds
    (lazy greedy, refreshed in batches); from then on the cells are kept and a pick corrects
    all gains by the cells of the rows whose c_i rose, so that no gain is ever stale.
    """
    run = _Greedy(similarity, memory)
    run.start()
    while len(run.picks) < k:
        if run.cells is None:
            run.keep_cells()
        if run.cells is None:
            run.refresh()
        best = float(run.gains.max())
        if best > run.similarity.trusted:
            run.add(run.lowest(best))
        elif not run.similarity.wide:
            run.widen()
        else:  # only copies of picks are left, up to rounding
            n_left = k - len(run.picks)
            if run.leaves_others():
                warnings.warn(
                    "some rows lie too far out (or too close) for distances in float64 to tell "
                    f"the others apart; the last {n_left} of {k} picks are by row: scale or drop "
                    "the outliers",
                    stacklevel=3,
                )
            run.picks += np.setdiff1d(np.arange(run.n), run.picks)[:n_left].tolist()
    return np.array(run.picks, dtype=np.int64)


@dataclass
class _Cells:
    """Active cells by row: candidates and similarities of row i stand from starts[i] on."""

    candidates: np.ndarray  # (capacity,)
    values: np.ndarray  # (capacity,)
    starts: np.ndarray  # (n,)
    lengths: np.ndarray  # (n,)


class _Greedy:
    """The state of a greedy run: picks, best similarity so far, gains."""

    def __init__(self, similarity: Similarity, memory: int):
        self.similarity, self.memory, self.n = similarity, memory, similarity.n
        similarity.store(memory // 4)
        self.picks: list[int] = []
        self.best = np.full(self.n, similarity.start, dtype=similarity.dtype)
        self.gains = np.zeros(self.n)
        self.is_bound = False  # whether gains, though stale, bound what rows can add now
        self.cells: _Cells | None = None

    def slack(self, best: float) -> float:
        """Return by how much gains may differ that count as equal.

        Ties are common late: each of two rows that only have one another adds the same.
        """
        return abs(best) * (1e-9 if self.similarity.wide else 2e-6) + self.similarity.noise

    def lowest(self, best: float) -> int:
        """Return the lowest row whose gain equals the best up to rounding."""
        return int((self.gains >= best - self.slack(best)).argmax())

    def leaves_others(self) -> bool:
        """Say whether some row is no copy of a pick."""
        features = self.similarity.features
        return len(np.unique(features, axis=0)) > len(np.unique(features[self.picks], axis=0))

    def start(self) -> None:
        """Make the first pick, the row with the largest sum of similarities.

        A guess from the sums over a sample lets the pass over all pairs that proves it find all
        gains after it too.
        """
        sample = np.unique(np.arange(N_SAMPLE) * self.n // N_SAMPLE)
        near = (self.similarity(part).sum(axis=0) for part in np.array_split(sample, 16))
        likely = np.sort(np.argsort(-sum(near), kind="stable")[:N_LIKELY])
        guess = likely[self.similarity(likely).sum(axis=1, dtype=np.float64).argmax()]
        self.gains, later = self.all_gains(None, self.similarity(np.array([guess]))[0])
        row = self.lowest(float(self.gains.max()))
        self.add(row)
        if row == guess:
            later[row] = -np.inf
            self.gains, self.is_bound = later, True

    def all_gains(self, *levels: np.ndarray | None) -> np.ndarray:
        """Return every row's gain over levels of best similarity, shape (len(levels), n).

        None is the level of no picks. Each tile is computed once and serves rows and columns.
        """
        gains = np.zeros((len(levels), self.n))
        tiles, space = blocks(self.n, TILE), np.empty((2, TILE**2), self.similarity.dtype)
        for number, columns in enumerate(tiles):
            for rows in tiles[: number + 1]:
                shape = rows.stop - rows.start, columns.stop - columns.start
                tile, work = (part[: shape[0] * shape[1]].reshape(shape) for part in space)
                self.similarity(rows, columns, tile)
                for total, level in zip(gains, levels, strict=True):
                    total[rows] += _added(tile, level, columns, work)
                    if rows != columns:
                        total[columns] += _added(tile.T, level, rows, work.T)
        gains[:, self.picks] = -np.inf
        return gains

    def refresh(self) -> None:
        """Refresh stale gains until the largest of all is not stale."""
        if not self.is_bound:  # the first gains are counted from nothing and bound no other
            (self.gains,), self.is_bound = self.all_gains(self.best), True
            return
        fresh, best, n_rows = np.zeros(self.n, dtype=bool), -np.inf, N_REFRESH // 8
        while True:
            # Tied rows must be fresh too, so that the lowest can be told.
            least = best - 2 * self.slack(best) if best > 0 else -np.inf
            waiting = np.flatnonzero(~fresh & (self.gains >= least) & np.isfinite(self.gains))
            if not len(waiting):
                return
            if np.count_nonzero(fresh) > self.n // N_DROP:
                (self.gains,) = self.all_gains(self.best)
                return
            rows = waiting[np.argsort(-self.gains[waiting], kind="stable")[: max(1, n_rows)]]
            near = self.similarity(rows)
            self.gains[rows] = _added(near, self.best, slice(None), near)
            fresh[rows] = True
            best = max(best, float(self.gains[rows].max()))
            n_rows = min(2 * n_rows, N_REFRESH)

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
        """Lower all gains where rows get covered better; drop cells no longer active."""
        cells = self.cells
        lengths = cells.lengths[changed]
        places = _ranges(cells.starts[changed], lengths)
        values, candidates = cells.values[places], cells.candidates[places]
        level = np.repeat(reached, lengths)
        lost = np.minimum(values, level) - np.repeat(self.best[changed], lengths)
        self.gains -= np.bincount(candidates, np.maximum(lost, 0), minlength=self.n)
        active = np.flatnonzero(values > level)
        kept = np.diff(active.searchsorted(np.cumsum([0, *lengths])))
        places = _ranges(cells.starts[changed], kept)
        cells.values[places], cells.candidates[places] = values[active], candidates[active]
        cells.lengths[changed] = kept

    def _active(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return raw similarities (rows, n) and whether each may exceed the row's best."""
        raw = self.similarity.raw(rows)
        return raw, raw > self.similarity.unfinish(self.best[rows])[:, None]

    def keep_cells(self) -> None:
        """Keep the active cells, with all gains made exact, where they fit the memory."""
        kind = np.dtype(np.uint16 if self.n <= 2**16 else np.int32)
        capacity = min(self.n**2, self.memory // 2 // (self.best.itemsize + kind.itemsize))
        sample = np.unique(np.arange(N_LIKELY) * self.n // N_LIKELY)
        share = self._active(sample)[1].mean()
        if share > FEW or 1.05 * share * self.n**2 > capacity:
            return
        # np.empty takes no memory until it is written to.
        candidates, values = np.empty(capacity, kind), np.empty(capacity, self.best.dtype)
        lengths, gains, end = np.zeros(self.n, dtype=np.int64), np.zeros(self.n), 0
        for block in blocks(self.n, N_FOUND):
            rows = np.arange(block.start, block.stop)
            raw, active = self._active(rows)
            found = np.flatnonzero(active)
            start, end = end, end + len(found)
            if end > capacity:
                return
            lengths[rows] = np.diff(found.searchsorted(np.arange(len(rows) + 1) * self.n))
            across = found - np.repeat((rows - rows[0]) * self.n, lengths[rows])
            near = self.similarity.finish(raw.ravel()[found])
            candidates[start:end], values[start:end] = across, near
            gain = np.maximum(near - np.repeat(self.best[rows], lengths[rows]), 0)
            gains += np.bincount(across, gain, minlength=self.n)
        gains[self.picks] = -np.inf
        self.gains = gains
        self.cells = _Cells(candidates, values, np.cumsum(lengths) - lengths, lengths)

    def widen(self) -> None:
        """Go on in float64."""
        self.similarity = type(self.similarity)(self.similarity.features, self.similarity.h, True)
        self.best = np.full(self.n, self.similarity.start)
        for part in blocks(len(self.picks), N_REFRESH):
            near = self.similarity(np.array(self.picks[part])).max(axis=0)
            np.maximum(self.best, near, out=self.best)
        self.similarity.store(self.memory // 4)
        self.cells, self.is_bound = None, False


def _added(
    values: np.ndarray, level: np.ndarray | None, covered: slice, out: np.ndarray
) -> np.ndarray:
    """Return what candidates add to a level, given similarities (candidates, covered rows).

    With no picks (None), similarities are their own gain. `out` is overwritten.
    """
    if level is not None:
        values = np.maximum(values, level[covered], out=out)
        values -= level[covered]
    return values @ np.ones(values.shape[1], values.dtype)  # quicker than a sum


def _ranges(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return the numbers starts[i] .. starts[i] + lengths[i] - 1 for all i, one after another."""
    ends = np.cumsum(lengths)
    return np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - ends + lengths, lengths)
