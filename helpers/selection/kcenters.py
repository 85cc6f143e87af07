"""Greedy k-centers, exact and in batches."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np

from helpers import StudyError
from helpers.checks import check_features, check_k
from helpers.selection.blocks import thread_count
from helpers.selection.random_selection import random
from helpers.selection.registry import Pool, method

N_CANDIDATES = 1024  # farthest rows looked at in a round; their m x m distances are the batch
N_FIRST = 256  # rows looked at in the first round, when few of them can be decided
BLOCK_CELLS = 1 << 22  # distances that one thread computes before it takes more
TILE_ROWS = 384  # rows multiplied at once, so that their distances stay in the cache


def greedy_k_centers(features: np.ndarray, k: int, initial: np.ndarray | None = None) -> np.ndarray:
    """Add, k times, the row farthest from all centres chosen so far.

    Args:
        features: Rows to cover, shape (n, d); Euclidean distance. May be memory-mapped: some
            rows at a time are read, and no copy of all is made.
        k: New centres, 1 <= k <= n - (number of initial rows).
        initial: Row numbers that are centres already, shape (m,); None or empty starts with
            row 0 as the first pick.

    Returns:
        The new centres (k,) in order of addition; ties go to the lowest row. They do not depend on
        the number of threads: $OMP_NUM_THREADS, else one a core.

    Source: `svp` Algorithm 1, after Sener & Savarese (2018); "facility location" in `svp`
    Table 2 is this method.

    Note: distances only shrink. So the picks among the m farthest rows are right as long as
    the best of them still beats the (m+1)-th old distance; then all of them update all rows in
    one matrix product. Whole-number features are computed without any rounding; others in
    float32, which finds the m rows and everybody's nearest centre, while float64 orders the m.
    Where distances fall to the rounding of float32 all is done in float64, which tells them
    apart down to about 1e-7 of the longest row and counts smaller ones as 0.
    """
    from threadpoolctl import threadpool_limits

    features = check_features(features)
    n = len(features)
    given = _check_initial(initial, n)
    n_wanted = len(given) + check_k(k, n - len(given))
    # Several threads inside one small product would cost more than they save.
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(thread_count()) as pool:
        cover, m = _Cover(features, pool), N_FIRST
        cover.add(given if len(given) else np.array([0]))
        while len(cover.selected) < n_wanted:
            best = cover.dist.max()
            if best <= 0:  # only copies of centres are left, all tied for good
                cover.selected += np.flatnonzero(cover.dist >= 0).tolist()
            elif best < cover.trusted:
                selected = np.array(cover.selected)
                cover = _Cover(features, pool, wide=True)
                cover.add(selected)
            else:
                m = min(m, N_CANDIDATES)
                picks = cover.round(n_wanted - len(cover.selected), m)
                cover.add(picks)
                m = 2 * m if len(picks) > m // 4 else m
    return np.array(cover.selected[len(given) : n_wanted], dtype=np.int64)


def _check_initial(initial: np.ndarray | None, n: int) -> np.ndarray:
    """Return the distinct initial rows in order of first mention, shape (m,)."""
    rows = np.asarray([] if initial is None else initial)
    if rows.ndim != 1 or (rows.size and not np.issubdtype(rows.dtype, np.integer)):
        raise StudyError("initial must be row numbers, shape (m,)")
    if rows.size and (rows.min() < 0 or rows.max() >= n):
        raise StudyError(f"initial must lie in 0..{n - 1}, got {rows.min()}..{rows.max()}")
    return rows[np.sort(np.unique(rows, return_index=True)[1])].astype(np.int64)


class _Cover:
    """The centres chosen, and every row's nearest one.

    Attributes:
        selected: Row numbers of the centres, in order.
        dist: Squared distances to the nearest centre, shape (n,); -1 for centres.
        trusted: Squared distance below which float64 is needed.
    """

    def __init__(self, features: np.ndarray, pool: ThreadPoolExecutor, wide: bool = False):
        """Measure the features (n, d), centred and scaled: both leave every order as it was."""
        n, d = features.shape
        self.features, self.pool, self.selected = features, pool, []
        tiles = [slice(start, start + TILE_ROWS) for start in range(0, n, TILE_ROWS)]
        whole = all((features[rows] == np.rint(features[rows])).all() for rows in tiles)
        shift = features.mean(axis=0, dtype=np.float64)
        self.shift = np.rint(shift) if whole else shift
        largest = max(np.abs(features[rows] - self.shift).max() for rows in tiles)
        # Whole numbers below 2**24 (2**53) leave every step in float32 (float64) exact.
        bound = 4.0 * (d + 1) * largest**2 if whole and largest < 2**52 else np.inf
        self.dtype = np.float64 if wide or 2**24 <= bound < 2**53 else np.float32
        # A power of two: no rounding, no overflow of squares.
        self.scale = 2.0 ** min(-int(np.frexp(largest)[1]), 1000) if largest > 0 else 1.0
        self.lengths = np.empty(n, dtype=self.dtype)
        for rows in tiles:
            points = self._points(rows)
            np.einsum("ij,ij->i", points, points, out=self.lengths[rows])
        noise = 0.0 if bound < 2**53 else float(self.lengths.max()) * np.finfo(self.dtype).eps
        self.floor = 32 * noise if wide else 0.0  # squared distances up to here count as 0
        self.trusted = 0.0 if wide else 4096 * noise
        self.slack = 0.0 if wide else 32 * noise  # nearer ones may be in the wrong order
        self.dist = np.full(n, np.inf, dtype=self.dtype)
        self.centre = np.zeros(n, dtype=np.int64)

    def _points(self, rows: slice | np.ndarray, dtype: type | None = None) -> np.ndarray:
        """Return some rows centred and scaled, (r, d): all at once would double the memory."""
        points = self.features[rows] - self.shift
        points *= self.scale
        return points.astype(dtype or self.dtype, copy=False)

    def add(self, rows: np.ndarray) -> None:
        """Make rows centres and lower everybody's distances."""
        for some in np.array_split(rows, -(-len(rows) // N_CANDIDATES)):
            centres = -2 * self._points(some).T
            step = -(-max(1, BLOCK_CELLS // len(some)) // TILE_ROWS) * TILE_ROWS
            starts = range(0, len(self.dist), step)
            list(self.pool.map(partial(self._lower, step, some, centres), starts))
        self.dist[rows] = -1
        self.selected += rows.tolist()

    def _lower(self, n_rows: int, some: np.ndarray, centres: np.ndarray, first: int) -> None:
        """Lower the distances of a block of rows to those from new centres, tile by tile."""
        for start in range(first, min(first + n_rows, len(self.dist)), TILE_ROWS):
            rows = slice(start, start + TILE_ROWS)
            products = self._points(rows) @ centres
            products += self.lengths[some]
            nearest = products.argmin(axis=1)
            dist = products[np.arange(len(nearest)), nearest] + self.lengths[rows]
            dist[dist <= self.floor] = 0
            closer = dist < self.dist[rows]
            self.dist[rows][closer] = dist[closer]
            self.centre[rows][closer] = some[nearest[closer]]

    def _farthest(self, m: int) -> tuple[np.ndarray, float, int]:
        """Return the m farthest rows (ties: lowest row), and the distance and row of the next."""
        n = len(self.dist)
        if m >= n:
            return np.arange(n), -1.0, n
        threshold = np.partition(self.dist, n - m)[n - m]
        above, tied = np.flatnonzero(self.dist > threshold), np.flatnonzero(self.dist == threshold)
        n_tied = m - len(above)
        farthest = np.sort(np.concatenate([above, tied[:n_tied]]))
        if n_tied < len(tied):
            return farthest, float(threshold), int(tied[n_tied])
        below = np.where(self.dist < threshold, self.dist, -1)
        return farthest, float(below.max()), int(below.argmax())

    def round(self, n_wanted: int, m: int) -> np.ndarray:
        """Return the next centres in order, at least one, as far as m candidates decide them."""
        rows, bound, bound_row = self._farthest(m)
        points, centres = (self._points(some, np.float64) for some in (rows, self.centre[rows]))
        lengths = np.einsum("ij,ij->i", points, points)
        between = points @ points.T
        between *= -2
        between += lengths
        between += lengths[:, None]
        between[between <= self.floor] = 0
        centres -= points
        dist = np.einsum("ij,ij->i", centres, centres) if self.slack else self.dist[rows]
        picks: list[int] = []
        while len(picks) < min(n_wanted, len(rows)):
            best = int(dist.argmax())
            # A near tie with an outside row is left to the next round, unless so many rows are
            # tied that hardly any round could pick.
            limit = bound + (self.slack if len(picks) > m // 4 else -self.slack)
            beaten = dist[best] < limit or (dist[best] == limit and rows[best] > bound_row)
            # From the second pick on an outside row may be farther; small ones wait for float64.
            if picks and (beaten or dist[best] <= 0 or dist[best] < self.trusted):
                break
            picks.append(best)
            np.minimum(dist, between[best], out=dist)
            dist[best] = -1
        return rows[picks]


@method("k-centers", "Greedy k-centers", needs=("features",), family="geometry")
def pick_k_centers(pool: Pool, k: int, rng: np.random.Generator, n_initial: int = 0) -> np.ndarray:
    """Cover the features; n_initial random rows come first and count towards k."""
    if not 0 <= n_initial <= (0 if pool.centres is not None else k):
        raise StudyError(f"n_initial must lie in 0..{k}, or be 0 with centres, got {n_initial}")
    if pool.centres is not None:
        m, every = len(pool.centres), np.concatenate([pool.centres, np.asarray(pool.features)])
        return greedy_k_centers(every, k, np.arange(m)) - m
    initial = random(pool.n, n_initial, rng) if n_initial else np.zeros(0, dtype=np.int64)
    if len(initial) == k:
        return initial
    return np.concatenate([initial, greedy_k_centers(pool.features, k - len(initial), initial)])
