"""Sums over the Gaussian kernel by tiles of a few megabytes: the matrix is never stored.

Points are stored as [x, 1, -|x|^2 / 2] in units of the bandwidth. One product of such a row
with another, its last two entries swapped, is then the exponent -|a - b|^2 / 2 itself.
"""

import numpy as np

from helpers.checks import check_squares
from helpers.selection.blocks import in_order, spans
from helpers.selection.rows import Rows

N_ROWS = 512  # rows of a tile
N_COLUMNS = 2048  # columns of a tile: 4 MiB in float32
N_GATHERED = 1 << 15  # chosen rows gathered at once
FAR = 100.0  # |x|^2 / 2 from which rounding may lift an exponent visibly above 0


def prepared(rows: Rows, which: slice | np.ndarray, h: float) -> np.ndarray:
    """Return rows about their mean in units of h, with 1 and -|x|^2 / 2 appended, (m, p + 2).

    Raises:
        ValueError: If squared distances overflow.
    """
    first = rows.scaled(np.array([0]), h)
    n_chosen = len(range(*which.indices(rows.n))) if isinstance(which, slice) else len(which)
    points = np.empty((n_chosen, first.shape[1] + 2), rows.dtype)
    every = np.arange(rows.n)[which] if isinstance(which, slice) else which
    for start, stop in spans(n_chosen, N_ROWS * 8):
        points[start:stop, :-2] = rows.scaled(every[start:stop], h)
    points[:, -2] = 1
    squares = np.einsum("ij,ij->i", points[:, :-2], points[:, :-2])
    check_squares(squares)
    points[:, -1] = squares / -2
    return points


def row_sums(points: np.ndarray, threads: int = 1, step: int = N_ROWS) -> np.ndarray:
    """Return the kernel's row sums less its diagonal; each pair is computed once.

    Args:
        points: As from `prepared`, shape (n, p + 2).
        threads: Threads to share the work; the answer does not depend on them.
        step: Rows of a tile.

    Returns:
        Shape (n,), float64.
    """
    n = len(points)
    sums, width = np.zeros(n), max(min(n, N_COLUMNS), step)

    def stripe(span: tuple[int, int]) -> tuple[int, np.ndarray]:
        """Sum the kernel of some rows with themselves and with all rows after them."""
        start, stop = span
        left = _swapped(points[start:stop])
        part, space = np.zeros(n - start), np.empty(len(left) * width, points.dtype)
        own = _tile(left, points[start:stop], space)
        np.fill_diagonal(own, 0)
        part[: len(left)] = own.sum(axis=1, dtype=np.float64)
        for first, last in spans(n, N_COLUMNS, stop):
            values = _tile(left, points[first:last], space)
            part[: len(left)] += values @ np.ones(last - first, values.dtype)
            part[first - start : last - start] = np.ones(len(left), values.dtype) @ values
        return start, part

    for start, part in in_order(stripe, spans(n, step), threads):
        sums[start:] += part
    return sums


def sums_over(
    points: np.ndarray, rows: np.ndarray, signs: np.ndarray, threads: int = 1, step: int = N_ROWS
) -> np.ndarray:
    """Return, for every point, the signed sum of its kernel with some rows other than itself.

    Args:
        points: As from `prepared`, shape (n, p + 2).
        rows: Row numbers, shape (m,), no repeats.
        signs: What each of them counts, shape (m,).
        threads: Threads to share the work.
        step: Rows of a tile.

    Returns:
        Shape (n,), float64.
    """
    sums = np.zeros(len(points))
    for first, last in spans(len(rows), N_GATHERED):
        group, weights = rows[first:last], signs[first:last].astype(points.dtype)
        right = points[group]
        height = step * max(1, N_COLUMNS // len(group) // 4)

        def stripe(span: tuple[int, int], g=group, r=right, w=weights) -> tuple[int, np.ndarray]:
            """Sum over one group for some points."""
            return span[0], _stripe_over(points[span[0] : span[1]], span[0], g, r, w)

        for start, part in in_order(stripe, spans(len(points), height), threads):
            sums[start : start + len(part)] += part
    return sums


def _stripe_over(
    points: np.ndarray, start: int, group: np.ndarray, right: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Return the weighted kernel sums of rows start, start + 1, ... with a group of rows."""
    left = _swapped(points)
    width = min(len(group), N_COLUMNS)
    sums, space = np.zeros(len(left)), np.empty(len(left) * width, left.dtype)
    for first, last in spans(len(group), N_COLUMNS):
        values = _tile(left, right[first:last], space)
        inside = group[first:last] - start
        own = np.flatnonzero((inside >= 0) & (inside < len(left)))
        values[inside[own], own] = 0
        sums += values @ weights[first:last]
    return sums


def sampled_sums(rows: Rows, sample: np.ndarray, h: float, threads: int = 1) -> np.ndarray:
    """Return the exact row sums of a few rows, those less the diagonal, in O(p) memory a row.

    Args:
        rows: All features, read as they come.
        sample: Row numbers, shape (m,).
        h: Bandwidth, in units of the features.
        threads: Threads to share the work.

    Returns:
        Shape (m,), float64.
    """
    right = prepared(rows, sample, h)

    def stripe(span: tuple[int, int]) -> np.ndarray:
        """Sum over some rows for each of the sample."""
        left = _swapped(prepared(rows, slice(*span), h))
        values = _tile(left, right, np.empty(len(left) * len(right), rows.dtype))
        inside = sample - span[0]
        own = np.flatnonzero((inside >= 0) & (inside < len(left)))
        values[inside[own], own] = 0
        return values.sum(axis=0, dtype=np.float64)

    return sum(in_order(stripe, spans(rows.n, N_COLUMNS), threads))


def _swapped(points: np.ndarray) -> np.ndarray:
    """Return points with their last two entries swapped."""
    swapped = points.copy()
    swapped[:, -2], swapped[:, -1] = points[:, -1], points[:, -2]
    return swapped


def _tile(swapped: np.ndarray, right: np.ndarray, space: np.ndarray) -> np.ndarray:
    """Return the kernel between rows and columns, shape (len(swapped), len(right)), in space."""
    values = space[: len(swapped) * len(right)].reshape(len(swapped), len(right))
    np.matmul(swapped, right.T, out=values)
    if right[:, -1].min() < -FAR:
        np.minimum(values, 0, out=values)
    return np.exp(values, out=values)
