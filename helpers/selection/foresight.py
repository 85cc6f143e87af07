"""First picks of a greedy cover foretold, and proved by one pass over all pairs of rows."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from helpers.selection.blocks import spans
from helpers.selection.cells import Cells
from helpers.selection.similarities import Similarity

TILE = 512  # rows and columns of a tile: 1 MiB in float32 stays in the cache
N_FORETOLD = 16  # picks foretold at the most
N_SAMPLE = 512  # rows to cover that tell which candidates are likely
N_LIKELY = 64  # candidates whose gains are then computed
ENOUGH = 1 / 50  # share of active cells below which no more picks are foretold


def foretell(similarity: Similarity, most: int, memory: int) -> tuple[np.ndarray, np.ndarray]:
    """Guess the first picks: greedy over the candidates that a sample of rows finds likely.

    Args:
        similarity: Between all rows.
        most: Picks to guess at the most.
        memory: Bytes to work in.

    Returns:
        Row numbers, shape (m,), at least one, and their similarities to all rows, (m, n).
    """
    n, dtype = similarity.n, similarity.dtype
    most = max(1, min(most, n, N_FORETOLD, memory // (64 * n)))
    n_sample = min(n, max(16, min(N_SAMPLE, memory // (4 * dtype.itemsize * n))))
    sample = np.arange(n_sample) * n // n_sample
    some, near, space = (np.empty((min(n, m), n), dtype) for m in (n_sample, *[N_LIKELY] * 2))
    similarity(sample, out=some)
    rows, reached = [], np.empty((most, n), dtype)
    level = np.full(n, similarity.start, dtype)
    while len(rows) < most:
        gains = np.zeros(n)
        for top in range(0, n_sample, len(space)):
            part = slice(top, top + len(space))
            gains += _sum_above(some[part], level[sample[part], None], 0, space)
        gains[rows] = -np.inf
        likely = np.sort(np.argsort(-gains, kind="stable")[:N_LIKELY])
        best = _sum_above(similarity(likely, out=near), level, 1, space).argmax()
        reached[len(rows)] = near[best]
        np.maximum(level, near[best], out=level)
        rows.append(int(likely[best]))
        if np.count_nonzero(some > level[sample, None]) <= ENOUGH * some.size:
            break
    return np.array(rows), reached[: len(rows)]


def by_group(reached: np.ndarray) -> np.ndarray:
    """Return row numbers (n,) in the order of the foretold picks (m, n) that cover them best."""
    return np.argsort(reached.argmax(axis=0), kind="stable")


class Foresight:
    """What one pass over all pairs tells: first gains, bounds of later ones, active cells.

    Every row belongs to the foretold pick that covers it best. Over its group, what a candidate
    brings is at most what it brings after the first pick and, once the group's own is picked,
    at most what it brings after all those foretold. The cells above that level are kept: once
    no row is covered less, they are all that can bring gain.
    """

    def __init__(self, similarity: Similarity, rows: np.ndarray, reached: np.ndarray, memory: int):
        """Pass over all pairs; cells are kept where they fit the memory (bytes).

        Args:
            similarity: Between all rows, in the order of `by_group`.
            rows: The picks foretold, shape (m,).
            reached: Their similarities to all rows, shape (m, n).
            memory: Bytes for the cells.
        """
        self.rows, self.reached = rows.tolist(), reached
        self.group, self.level = reached.argmax(axis=0), reached.max(axis=0)
        self.cells = Cells(similarity.n, memory, similarity.dtype)
        self.sums, self.later = np.zeros(similarity.n), np.zeros((similarity.n, len(rows)))
        self.last = np.zeros_like(self.later)
        for tile in both_ways(similarity):
            self.sums[tile.rows] += sum_along(tile.values, 1)
            self._count(tile, reached[0][tile.columns])
            self._keep(tile, self.level[tile.columns])
        # Sums may lie too low by some units of the last place.
        unit = np.finfo(similarity.dtype).eps
        self.rounding = 32 * unit * float(np.maximum(np.abs(reached[0]), 1).sum())

    def _count(self, tile: "Tile", first: np.ndarray) -> None:
        """Count what a tile's candidates bring after the first pick, by group."""
        above = np.maximum(tile.values, first, out=tile.space)
        group = self.group[tile.columns]
        cuts = [0, *(np.flatnonzero(np.diff(group)) + 1).tolist(), len(group)]
        for start, stop in zip(cuts[:-1], cuts[1:], strict=True):
            gains = sum_along(above[:, start:stop], 1) - first[start:stop].sum(dtype=np.float64)
            self.later[tile.rows, group[start]] += gains

    def _keep(self, tile: "Tile", level: np.ndarray) -> None:
        """Keep the cells of a tile that exceed the level of its columns, the rows to cover."""
        # Places are those in memory, where the tile may lie the other way.
        places = np.flatnonzero(np.greater(tile.values, level, out=tile.mask).ravel(order="K"))
        values = tile.values.ravel(order="K")[places]
        by_row = tile.values.flags.c_contiguous
        width = tile.values.shape[1 if by_row else 0]
        up = places // width
        across = places - up * width
        candidates, rows = (up, across) if by_row else (across, up)
        self.cells.add(rows + tile.columns.start, candidates + tile.rows.start, values)
        last = self.last[tile.rows]
        bins = candidates * last.shape[1] + self.group[tile.columns][rows]
        last += np.bincount(bins, values - level[rows], last.size).reshape(last.shape)

    def bounds(self, picks: list[int]) -> np.ndarray:
        """Return what rows can bring at the most after some picks, the first as foretold."""
        picked = np.isin(self.rows, picks)
        return self.last @ picked + self.later @ ~picked + self.rounding


@dataclass
class Tile:
    """Similarities between rows and columns, with arrays of their shape to work in."""

    rows: slice
    columns: slice
    values: np.ndarray
    space: np.ndarray
    mask: np.ndarray


def both_ways(similarity: Similarity) -> Iterator[Tile]:
    """Yield all similarities by tiles; each is computed once and serves both ways."""
    blocks = [slice(*span) for span in spans(similarity.n, TILE)]
    size = min(TILE, similarity.n) ** 2
    values, space = np.empty((2, size), similarity.dtype)
    arrays = (values, space, np.empty(size, bool))
    for number, columns in enumerate(blocks):
        for rows in blocks[: number + 1]:
            shape = (rows.stop - rows.start, columns.stop - columns.start)
            parts = [array[: shape[0] * shape[1]].reshape(shape) for array in arrays]
            similarity(rows, columns, parts[0])
            yield Tile(rows, columns, *parts)
            if rows != columns:
                yield Tile(columns, rows, *[part.T for part in parts])


def _sum_above(values: np.ndarray, level: np.ndarray, axis: int, space: np.ndarray) -> np.ndarray:
    """Return sums along an axis of values, or of the level where that is more."""
    return sum_along(np.maximum(values, level, out=space[: len(values)]), axis)


def sum_along(values: np.ndarray, axis: int) -> np.ndarray:
    """Return sums along an axis; a product is the quicker sum."""
    ones = np.ones(values.shape[axis], values.dtype)
    return values @ ones if axis else ones @ values
