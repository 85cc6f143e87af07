"""Cells of a similarity that can still bring gain, kept by row and by candidate."""

import numpy as np
from scipy import sparse

from helpers.selection.blocks import spans

N_CORRECT = 1 << 15  # cells corrected at once: their copies stay in the cache
BYTES = 24  # of indices a cell takes at the most: as found, by row and by candidate


class Cells:
    """Similarities s_ij above what covers row i so far; j is a candidate.

    They are added as they are found, then arranged once.
    """

    def __init__(self, n: int, memory: int, dtype: np.dtype):
        """Make room for as many as the memory (bytes) holds; unused room takes none."""
        self.n = n
        self.capacity = min(n * n, memory // (BYTES + 3 * dtype.itemsize))
        self.rows = np.empty(self.capacity, np.int32)
        self.candidates = np.empty(self.capacity, np.int32)
        self.values = np.empty(self.capacity, dtype)
        self.count = 0
        self.fits = self.capacity > 0

    def add(self, rows: np.ndarray, candidates: np.ndarray, values: np.ndarray) -> None:
        """Add cells, each array of shape (m,); what does not fit ends all."""
        start, stop = self.count, self.count + len(values)
        self.fits = self.fits and stop <= self.capacity
        if self.fits:
            self.rows[start:stop], self.candidates[start:stop] = rows, candidates
            self.values[start:stop] = values
            self.count = stop

    @property
    def found(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return rows, candidates and values of all cells found, as views."""
        return self.rows[: self.count], self.candidates[: self.count], self.values[: self.count]

    def arrange(self) -> None:
        """Sort the cells by row and, in a copy that stays as it is, by candidate."""
        rows, candidates, values = self.found
        unsorted = sparse.coo_array((values, (rows, candidates)), shape=(self.n, self.n))
        unsorted.has_canonical_format = True  # cells are not to be added up
        self.by_row = unsorted.tocsr()
        del unsorted, rows, candidates, values, self.rows, self.candidates, self.values
        self.by_candidate = self.by_row.tocsc()
        self.lengths = np.diff(self.by_row.indptr).astype(np.int64)

    def gains(self, best: np.ndarray) -> np.ndarray:
        """Return every candidate's gain over what covers the rows, shape (n,), float64."""
        gains, starts = np.zeros(self.n), self.by_row.indptr
        for top, end in spans(self.n, max(1, N_CORRECT * self.n // max(1, self.count))):
            part = slice(starts[top], starts[end])
            gain = self.by_row.data[part] - np.repeat(best[top:end], self.lengths[top:end])
            indices = self.by_row.indices[part]
            gains += np.bincount(indices, np.maximum(gain, 0), minlength=self.n)
        return gains

    def of_candidate(self, candidate: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows on which a candidate has cells, and the similarities."""
        start, stop = self.by_candidate.indptr[candidate : candidate + 2]
        return self.by_candidate.indices[start:stop], self.by_candidate.data[start:stop]

    def correct(
        self, gains: np.ndarray, changed: np.ndarray, old: np.ndarray, new: np.ndarray
    ) -> None:
        """Lower all gains where rows get covered better, and drop cells no longer active.

        Args:
            gains: Shape (n,); changed in place.
            changed: Row numbers, shape (m,).
            old: What covered them, shape (m,).
            new: What covers them now, shape (m,).
        """
        cuts = np.cumsum(self.lengths[changed]) // N_CORRECT
        for part in np.split(np.arange(len(changed)), np.flatnonzero(np.diff(cuts)) + 1):
            self._correct(gains, changed[part], old[part], new[part])

    def _correct(
        self, gains: np.ndarray, changed: np.ndarray, old: np.ndarray, new: np.ndarray
    ) -> None:
        """Do so for some rows."""
        cells, lengths = self.by_row, self.lengths[changed]
        places = _ranges(cells.indptr[changed], lengths)
        values, candidates = cells.data[places], cells.indices[places]
        level = np.repeat(new, lengths)
        lost = np.minimum(values, level) - np.repeat(old, lengths)
        gains -= np.bincount(candidates, np.maximum(lost, 0), minlength=self.n)
        active = values > level
        total = np.concatenate([[0], np.cumsum(active, dtype=np.int32)])
        ends = np.cumsum(lengths)
        kept = (total[ends] - total[ends - lengths]).astype(np.int64)
        places = _ranges(cells.indptr[changed], kept)
        cells.data[places], cells.indices[places] = values[active], candidates[active]
        self.lengths[changed] = kept


def _ranges(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return the numbers starts[i] .. starts[i] + lengths[i] - 1 for all i, one after another."""
    ends = np.cumsum(lengths)
    return np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - ends + lengths, lengths)
