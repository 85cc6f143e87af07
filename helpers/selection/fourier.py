"""Sums over the Gaussian kernel through random Fourier features, for pools of millions."""

from numbers import Integral

import numpy as np

from helpers import StudyError
from helpers.selection.blocks import in_order, spans
from helpers.selection.quadratic import Kernel
from helpers.selection.rows import Rows

N_FREQUENCIES = 512
N_ROWS = 1024  # rows whose features are held at once: 2 MiB at 512 frequencies


def frequencies(d: int, n_frequencies: int, rng: np.random.Generator) -> np.ndarray:
    """Return Gaussian directions that are orthogonal in groups of d, shape (d, n_frequencies).

    Source: random Fourier features, Rahimi & Recht (2007); orthogonal ones, Yu et al. (2016).

    Note: each alone is N(0, I), so the kernel's estimate is unbiased; being orthogonal they
    cover the sphere more evenly, and err less at the same cost.
    """
    groups = []
    for start, stop in spans(n_frequencies, d):
        basis, _ = np.linalg.qr(rng.standard_normal((d, stop - start)))
        groups.append(basis * np.sqrt(rng.chisquare(d, stop - start)))
    return np.concatenate(groups, axis=1)


def check_frequencies(n_frequencies: int) -> None:
    """Raise unless the number of frequencies is whole and at least 1."""
    is_whole = isinstance(n_frequencies, Integral) and not isinstance(n_frequencies, bool)
    if not is_whole or n_frequencies < 1:
        raise StudyError(
            f"n_frequencies must be a whole number from 1 upwards, got {n_frequencies!r}"
        )


class Fourier(Kernel):
    """The kernel as the inner product of z(x) = [cos, sin](W'x) / sqrt(n_frequencies).

    z(x) has length 1 exactly, so the terms of a row with itself are known, and the estimated
    kernel is semi-definite as the true one: the same diagonal shift keeps the iteration
    monotone in the estimate. Features are made by blocks and never stored.
    """

    name = "fourier"

    def __init__(
        self,
        utility: np.ndarray,
        rows: Rows,
        h: float,
        weight: float,
        diversity: str,
        waves: np.ndarray,
        threads: int = 1,
    ) -> None:
        super().__init__(utility, weight, diversity)
        self.rows, self.h, self.threads = rows, h, threads
        self.waves = waves.astype(rows.dtype)
        self._sums: np.ndarray | None = None

    def all_sums(self) -> np.ndarray:
        """Return the estimated row sums less the diagonal, in two passes over the features."""
        if self._sums is None:
            every = np.arange(self.rows.n)
            self._sums = self.some_sums(every, np.ones(len(every)))
        return self._sums

    def some_sums(self, rows: np.ndarray, signs: np.ndarray) -> np.ndarray:
        """Return the estimated sums with some rows, each without itself.

        C cos(t) + S sin(t) = A cos(t - p): where features are only summed against the rows'
        total, a cosine a frequency does for both.
        """
        cosines, sines = self._total(rows, signs)
        heights = np.hypot(cosines, sines).astype(self.waves.dtype)
        lags = np.arctan2(sines, cosines).astype(self.waves.dtype)

        def part(span: tuple[int, int]) -> np.ndarray:
            """Return the sums of a block of rows."""
            phases = self._phases(slice(*span))
            phases -= lags
            return np.cos(phases, out=phases) @ heights

        parts = in_order(part, spans(self.rows.n, N_ROWS), self.threads)
        sums = np.concatenate(list(parts)).astype(np.float64)
        sums[rows] -= signs
        return sums

    def _total(self, rows: np.ndarray, signs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the signed sums of cos and of sin over some rows, each over n_frequencies."""

        def part(span: tuple[int, int]) -> np.ndarray:
            """Return both sums over a block of the rows."""
            weights = signs[slice(*span)].astype(self.waves.dtype)
            phases = self._phases(rows[slice(*span)])
            both = weights @ np.cos(phases), weights @ np.sin(phases, out=phases)
            return np.array(both, dtype=np.float64)

        total = sum(in_order(part, spans(len(rows), N_ROWS), self.threads))
        return tuple(total / self.waves.shape[1])

    def _phases(self, rows: slice | np.ndarray) -> np.ndarray:
        """Return W'x of some rows, shape (m, n_frequencies)."""
        return self.rows.scaled(rows, self.h) @ self.waves
