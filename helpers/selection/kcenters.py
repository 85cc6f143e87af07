"""Greedy k-centers, exact and in batches."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from helpers import StudyError
from helpers.checks import check_features, check_k
from helpers.selection.blocks import in_order, thread_count

N_CANDIDATES = 1024  # farthest rows looked at in a round; their m x m distances are the batch
N_FIRST = 256  # rows looked at in the first round, when few of them can be decided
BLOCK_CELLS = 1 << 22  # distances that one thread computes before it takes more
# Rows of a block multiplied at once, so that their distances stay in the cache. BLAS works on
# groups of 12 or of some power of two rows and rounds the rest differently: a multiple of both
# leaves every distance, to the last bit, what it would be in the whole block.
TILE_ROWS = 384
LARGEST_POWER = 1000  # of two, as a factor; beyond it 2.0**power is no normal number


def greedy_k_centers(
    features: np.ndarray, k: int, initial: np.ndarray | None = None, threads: int | None = None
) -> np.ndarray:
    """Add, k times, the row farthest from all centres chosen so far.

    Args:
        features: Rows to cover, shape (n, d); Euclidean distance. May be memory-mapped: some
            rows at a time are read, and no copy of all is made.
        k: New centres, 1 <= k <= n - (number of initial rows).
        initial: Row numbers that are centres already, shape (m,); None or empty starts with
            row 0 as the first pick.
        threads: Of the distances; None takes $OMP_NUM_THREADS, else one a core. The answer does
            not depend on them.

    Returns:
        The new centres in order of addition, shape (k,), int64; ties go to the lowest row.

    Raises:
        ValueError: If features are not finite (n, d), k is out of range, initial names a row
            outside 0..n-1, or threads is no whole number from 1 upwards.

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
    given = _check_initial(initial, len(features))
    k = check_k(k, len(features) - len(given))
    threads = thread_count(threads)
    # Several threads inside one small product would cost more than they bring.
    with threadpool_limits(1, user_api="blas"):
        selected = _add(features, given.tolist() or [0], len(given) + k, threads)
    return np.array(selected[len(given) :], dtype=np.int64)


def _add(features: np.ndarray, selected: list[int], n_wanted: int, threads: int) -> list[int]:
    """Return the selected rows and those added to them, n_wanted in all."""
    space = _space(features)
    nearest = _nearest(space, np.array(selected), threads)
    m = min(N_FIRST, N_CANDIDATES)
    while len(selected) < n_wanted:
        best = nearest.dist.max()
        if best <= 0:  # only copies of centres are left, all tied for good
            unchosen = np.flatnonzero(nearest.dist >= 0)
            selected.extend(unchosen[: n_wanted - len(selected)].tolist())
        elif best < space.trusted:
            space = _space(features, wide=True)
            nearest = _nearest(space, np.array(selected), threads)
        else:
            picks = _round(space, nearest, n_wanted - len(selected), m)
            nearest = _nearest(space, picks, threads, nearest)
            selected.extend(picks.tolist())
            m = min(2 * m, N_CANDIDATES) if len(picks) > m // 4 else m
    return selected


def _check_initial(initial: np.ndarray | None, n: int) -> np.ndarray:
    """Return the distinct initial rows in order of first mention, shape (m,)."""
    rows = np.asarray([] if initial is None else initial)
    if rows.ndim != 1 or (rows.size and not np.issubdtype(rows.dtype, np.integer)):
        raise StudyError("initial must be row numbers, shape (m,)")
    if rows.size and (rows.min() < 0 or rows.max() >= n):
        raise StudyError(f"initial must lie in 0..{n - 1}, got {rows.min()}..{rows.max()}")
    _, first = np.unique(rows, return_index=True)
    return rows[np.sort(first)].astype(np.int64)


@dataclass(frozen=True)
class _Nearest:
    """The nearest centre of every row, as the space's arithmetic sees it."""

    dist: np.ndarray  # (n,): squared distances; -1 for centres, which are never picked again
    centre: np.ndarray  # (n,): their row numbers


@dataclass(frozen=True)
class _Space:
    """How features become rows ready for distances by matrix product, some at a time."""

    features: np.ndarray  # (n, d), as given: a copy of all rows would double the memory
    shift: np.ndarray  # (d,): taken off every row
    power: int  # of two, that every row is then multiplied by
    dtype: type  # of the ready rows: float32 or float64
    lengths: np.ndarray  # (n,): squared lengths of the ready rows
    floor: float  # squared distances up to here are rounding and count as 0
    trusted: float  # squared distances below here need float64
    slack: float  # squared distances nearer than this may be in the wrong order

    def ready(self, rows: slice | np.ndarray) -> np.ndarray:
        """Return some rows centred and scaled, then a column of ones, shape (r, d + 1)."""
        return _ready(self.features[rows], self.shift, self.power, self.dtype)


def _ready(some: np.ndarray, shift: np.ndarray, power: int, dtype: type) -> np.ndarray:
    """Return rows less a shift, times a power of two, then a column of ones."""
    ready = np.empty((len(some), some.shape[1] + 1), dtype=dtype)
    ready[:, -1] = 1
    points = some - shift
    if abs(power) > LARGEST_POWER:
        ready[:, :-1] = np.ldexp(points, power)
    else:
        np.multiply(points, 2.0**power, out=ready[:, :-1], casting="same_kind")
    return ready


def _tiles(first: int, end: int, step: int = TILE_ROWS) -> Iterator[slice]:
    """Yield slices of up to `step` rows that cover first..end-1."""
    for start in range(first, end, step):
        yield slice(start, min(end, start + step))


def _space(features: np.ndarray, wide: bool = False) -> _Space:
    """Centre and scale the features (n, d); both leave every comparison as it was."""
    n, d = features.shape
    largest = max(np.abs(features[rows]).max() for rows in _tiles(0, n))
    whole = largest < 2**52 and all(_is_whole(features[rows]) for rows in _tiles(0, n))
    shift = features.mean(axis=0, dtype=np.float64)
    # Whole numbers stay whole, and below 2**24 (2**53) every step in float32 (float64) is exact.
    shift = np.rint(shift) if whole else shift
    largest = max(np.abs(features[rows] - shift).max() for rows in _tiles(0, n))
    bound = 4.0 * (d + 1) * largest**2 if largest < 2**52 else np.inf
    exact = whole and bound < 2**53
    wide = wide or (exact and bound >= 2**24)
    # A power of two: no rounding, no overflow of squares.
    power = -int(np.frexp(largest)[1]) if not exact and largest > 0 else 0
    dtype = np.float64 if wide else np.float32
    lengths = np.empty(n, dtype=dtype)
    for rows in _tiles(0, n):
        points = _ready(features[rows], shift, power, dtype)[:, :-1]
        np.einsum("ij,ij->i", points, points, out=lengths[rows])
    noise = 0.0 if exact else float(lengths.max()) * np.finfo(dtype).eps
    limits = (32 * noise, 0.0, 0.0) if wide else (0.0, 4096 * noise, 32 * noise)
    return _Space(features, shift, power, dtype, lengths, *limits)


def _is_whole(values: np.ndarray) -> bool:
    """Say whether all values are whole numbers."""
    return bool((values == np.rint(values)).all())


def _centres(space: _Space, rows: np.ndarray) -> np.ndarray:
    """Return the right side of the product that gives distances to some rows, (d + 1, r)."""
    centres = space.ready(rows)
    centres *= -2
    centres[:, -1] = space.lengths[rows]
    return centres.T


def _nearest(
    space: _Space, rows: np.ndarray, threads: int, nearest: _Nearest | None = None
) -> _Nearest:
    """Return every row's nearest centre after adding some centres; changes what it was given."""
    n = len(space.features)
    if nearest is None:
        nearest = _Nearest(np.full(n, np.inf, dtype=space.dtype), np.zeros(n, dtype=np.int64))
    for some in np.array_split(rows, -(-len(rows) // N_CANDIDATES)):
        centres = _centres(space, some)
        blocks = list(_tiles(0, n, max(1, BLOCK_CELLS // len(some))))

        def update(block: slice, some: np.ndarray = some, centres: np.ndarray = centres) -> None:
            for tile in _tiles(block.start, block.stop):
                _update(space, some, centres, nearest, tile)

        deque(in_order(update, blocks, min(threads, len(blocks))), maxlen=0)
    nearest.dist[rows] = -1
    return nearest


def _update(
    space: _Space, some: np.ndarray, centres: np.ndarray, nearest: _Nearest, rows: slice
) -> None:
    """Lower the distances of some rows to those from new centres, in place."""
    products = space.ready(rows) @ centres
    first = products.argmin(axis=1)
    dist = products[np.arange(len(first)), first]
    dist += space.lengths[rows]
    dist[dist <= space.floor] = 0
    closer = dist < nearest.dist[rows]
    nearest.dist[rows][closer] = dist[closer]
    nearest.centre[rows][closer] = some[first[closer]]


def _candidates(nearest: np.ndarray, m: int) -> tuple[np.ndarray, float, int]:
    """Return the m farthest rows (ties: lowest row), and the distance and row of the next."""
    n = len(nearest)
    if m >= n:
        return np.arange(n), -1.0, n
    threshold = np.partition(nearest, n - m)[n - m]
    above = np.flatnonzero(nearest > threshold)
    tied = np.flatnonzero(nearest == threshold)
    n_tied = m - len(above)
    candidates = np.sort(np.concatenate([above, tied[:n_tied]]))
    if n_tied < len(tied):
        return candidates, float(threshold), int(tied[n_tied])
    below = np.where(nearest < threshold, nearest, -1)
    return candidates, float(below.max()), int(below.argmax())


def _distances(space: _Space, nearest: _Nearest, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return squared distances of m rows to their nearest centre, (m,), and between them, (m, m).

    They are in float64 where the space's own arithmetic may put them in the wrong order.
    """
    if not space.slack:
        between = space.ready(rows) @ _centres(space, rows)
        between += space.lengths[rows, None]
        between[between <= space.floor] = 0
        return nearest.dist[rows], between
    points, centres = (
        _ready(space.features[some], space.shift, space.power, np.float64)[:, :-1]
        for some in (rows, nearest.centre[rows])
    )
    lengths = np.einsum("ij,ij->i", points, points)
    between = points @ points.T
    between *= -2
    between += lengths
    between += lengths[:, None]
    centres -= points
    return np.einsum("ij,ij->i", centres, centres), between


def _round(space: _Space, nearest: _Nearest, n_wanted: int, m: int) -> np.ndarray:
    """Return the next centres in order, at least one, as far as m candidates decide them."""
    candidates, bound, bound_row = _candidates(nearest.dist, m)
    dist, between = _distances(space, nearest, candidates)
    picks: list[int] = []
    while len(picks) < min(n_wanted, len(candidates)):
        best = int(dist.argmax())
        # A near tie with an outside row is left to the next round, unless so many rows are tied
        # that hardly any round could pick.
        limit = bound + (space.slack if len(picks) > m // 4 else -space.slack)
        beaten = dist[best] < limit or (dist[best] == limit and candidates[best] > bound_row)
        # From the second pick on an outside row may be farther; small ones are the caller's.
        if picks and (beaten or dist[best] <= 0 or dist[best] < space.trusted):
            break
        picks.append(best)
        np.minimum(dist, between[best], out=dist)
        dist[best] = -1
    return candidates[picks]
