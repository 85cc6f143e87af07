"""Greedy k-centers, exact and in batches."""

from dataclasses import dataclass

import numpy as np

from helpers import StudyError
from helpers.checks import check_features, check_k

N_CANDIDATES = 1024  # farthest rows looked at in a round; their m x m distances are the batch
N_FIRST = 256  # rows looked at in the first round, when few of them can be decided
BLOCK_CELLS = 1 << 22  # cells of one distance block: 16 MiB in float32


def greedy_k_centers(features: np.ndarray, k: int, initial: np.ndarray | None = None) -> np.ndarray:
    """Add, k times, the row farthest from all centres chosen so far.

    Args:
        features: Rows to cover, shape (n, d); Euclidean distance.
        k: New centres, 1 <= k <= n - (number of initial rows).
        initial: Row numbers that are centres already, shape (m,); None or empty starts with
            row 0 as the first pick.

    Returns:
        The new centres in order of addition, shape (k,), int64; ties go to the lowest row.

    Raises:
        ValueError: If features are not finite (n, d), k is out of range, or initial names a
            row outside 0..n-1.

    Source: `svp` Algorithm 1, after Sener & Savarese (2018); "facility location" in `svp`
    Table 2 is this method.

    Note: distances only shrink. So the picks among the m farthest rows are right as long as
    the best of them still beats the (m+1)-th old distance; then all of them update all rows in
    one matrix product. Whole-number features are computed without any rounding; others in
    float32 until distances fall to where its rounding would show, then in float64, which tells
    distances apart down to about 1e-7 of the longest row and counts smaller ones as 0.
    """
    features = check_features(features)
    n = len(features)
    given = _check_initial(initial, n)
    k = check_k(k, n - len(given))
    selected = given.tolist() or [0]
    n_wanted = len(given) + k
    space = _space(features)
    nearest = _nearest(space, np.array(selected))
    m = min(N_FIRST, N_CANDIDATES)
    while len(selected) < n_wanted:
        best = nearest.max()
        if best <= 0:  # only copies of centres are left, all tied for good
            unchosen = np.flatnonzero(nearest >= 0)
            selected.extend(unchosen[: n_wanted - len(selected)].tolist())
        elif best < space.trusted:
            space = _space(features, wide=True)
            nearest = _nearest(space, np.array(selected))
        else:
            picks = _round(space, nearest, n_wanted - len(selected), m)
            nearest = _nearest(space, picks, nearest)
            selected.extend(picks.tolist())
            m = min(2 * m, N_CANDIDATES) if len(picks) > m // 4 else m
    return np.array(selected[len(given) :], dtype=np.int64)


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
class _Space:
    """Features made ready for distances by matrix product."""

    points: np.ndarray  # (n, d + 1): centred and scaled rows, then a column of ones
    lengths: np.ndarray  # (n,): squared lengths of the rows
    floor: float  # squared distances up to here are rounding and count as 0
    trusted: float  # squared distances below here need float64


def _space(features: np.ndarray, wide: bool = False) -> _Space:
    """Centre and scale the features (n, d); both leave every comparison as it was."""
    n, d = features.shape
    largest = np.abs(features).max()
    whole = largest < 2**52 and bool((features == np.rint(features)).all())
    shift = features.mean(axis=0, dtype=np.float64)
    # Whole numbers stay whole, and below 2**24 (2**53) every step in float32 (float64) is exact.
    points = features - (np.rint(shift) if whole else shift)
    largest = np.abs(points).max()
    bound = 4.0 * (d + 1) * largest**2 if largest < 2**52 else np.inf
    exact = whole and bound < 2**53
    wide = wide or (exact and bound >= 2**24)
    if not exact and largest > 0:  # a power of two: no rounding, no overflow of squares
        points = np.ldexp(points, -int(np.frexp(largest)[1]))
    ready = np.ones((n, d + 1), dtype=np.float64 if wide else np.float32)
    ready[:, :d] = points
    lengths = np.einsum("ij,ij->i", ready[:, :d], ready[:, :d])
    noise = 0.0 if exact else float(lengths.max()) * np.finfo(ready.dtype).eps
    return _Space(ready, lengths, 32 * noise if wide else 0.0, 0.0 if wide else 4096 * noise)


def _distances(space: _Space, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return squared distances less the squared lengths of the left rows, (len(left), r)."""
    centres = space.points[right] * -2
    centres[:, -1] = space.lengths[right]
    return left @ centres.T


def _nearest(space: _Space, rows: np.ndarray, nearest: np.ndarray | None = None) -> np.ndarray:
    """Return squared distances to the nearest centre, shape (n,), after adding centres.

    Centres get -1, so that a centre is never picked again.
    """
    n = len(space.points)
    result = np.full(n, np.inf, dtype=space.points.dtype) if nearest is None else nearest
    for some in np.array_split(rows, -(-len(rows) // N_CANDIDATES)):
        step = max(1, BLOCK_CELLS // len(some))
        for start in range(0, n, step):
            block = slice(start, start + step)
            dist = _distances(space, space.points[block], some).min(axis=1)
            dist += space.lengths[block]
            dist[dist <= space.floor] = 0
            np.minimum(result[block], dist, out=result[block])
    result[rows] = -1
    return result


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


def _round(space: _Space, nearest: np.ndarray, n_wanted: int, m: int) -> np.ndarray:
    """Return the next centres in order, at least one, as far as m candidates decide them."""
    candidates, bound, bound_row = _candidates(nearest, m)
    dist = nearest[candidates].copy()
    between = _distances(space, space.points[candidates], candidates)
    between += space.lengths[candidates, None]
    if space.floor:
        between[between <= space.floor] = 0
    picks: list[int] = []
    while len(picks) < min(n_wanted, len(candidates)):
        best = int(dist.argmax())
        beaten = dist[best] < bound or (dist[best] == bound and candidates[best] > bound_row)
        # From the second pick on an outside row may be farther; small ones are the caller's.
        if picks and (beaten or dist[best] <= 0 or dist[best] < space.trusted):
            break
        picks.append(best)
        np.minimum(dist, between[best], out=dist)
        dist[best] = -1
    return candidates[picks]
