"""Similarities between rows, computed by matrix product on demand or kept where they fit."""

import copy

import numpy as np

from helpers import StudyError
from helpers.selection.blocks import spans

MEMORY = 512 * 2**20  # bytes; half may hold similarities
N_WIDE = 1024  # pools up to this size are computed in float64 from the start
BLOCK = 256 * 2**20  # bytes of rows of similarities that are held at once, each to all rows
N_READ = 4096  # rows of features centred at once
NOISE = 1e-5  # rounding of raw values above which float32 is not tried


class Similarity:
    """Similarities between rows by matrix product; `raw` is monotone in them and cheaper.

    A subclass says how raw values (minus half the squared distance in units of `h`) become
    similarities, and back.
    """

    def __init__(
        self, features: np.ndarray, h: float, memory: int = MEMORY, wide: bool | None = None
    ):
        """Centre, scale by h and extend the features (n, d) so that a product gives raw values.

        A quarter of the memory (bytes) may hold all raw values, see `store`.
        """
        self.features, self.h, self.memory = features, h, memory
        self.n = len(features)
        self.wide = self.n <= N_WIDE if wide is None else wide
        self._prepare()
        if not self.wide and self.noise > NOISE:
            self.wide = True
            self._prepare()
        self.stored = None

    def _prepare(self) -> None:
        """Write [x, 1, -|x|^2 / 2], whose product with another, ends swapped, is the raw value.

        Products of whole numbers are exact, so equal distances stay equal: these keep their
        unit, and the raw values are scaled afterwards.
        """
        n, d = self.features.shape
        self.dtype = np.dtype(np.float64 if self.wide else np.float32)
        mean = self.features.mean(axis=0, dtype=np.float64)
        self.whole = self._is_exact(np.rint(mean))
        self.points = np.ones((n, d + 2), dtype=self.dtype)
        for start, stop in spans(n, N_READ):
            some, own = self.features[start:stop], self.points[start:stop]
            own[:, :d] = some - np.rint(mean) if self.whole else (some - mean) / self.h
            own[:, -1] = np.einsum("ij,ij->i", own[:, :d], own[:, :d]) / -2
        largest = -float(self.points[:, -1].min()) / (self.h**2 if self.whole else 1.0)
        if not np.isfinite(largest):
            raise StudyError("features are too large: their squared lengths overflow; scale them")
        self.noise = 4 * float(np.finfo(self.dtype).eps) * max(largest, 1.0)

    def _is_exact(self, shift: np.ndarray) -> bool:
        """Say whether products of the rows less a shift are of whole numbers without rounding."""
        for start, stop in spans(self.n, N_READ):
            some = self.features[start:stop] - shift
            largest = np.abs(some).max()
            bound = 2 * (some.shape[1] + 2) * largest**2 if largest < 2**24 else np.inf
            if bound >= 1 / np.finfo(self.dtype).eps or (some != np.rint(some)).any():
                return False
        return True

    def store(self) -> None:
        """Keep all raw values where a quarter of the memory holds them."""
        if self.n**2 * self.dtype.itemsize <= self.memory // 4:
            points = np.ascontiguousarray(self.points[:, :-2])
            self.stored = points @ points.T  # one array times itself: half the work
            self.stored += self.points[:, -1]
            self.stored += self.points[:, -1:]
            np.fill_diagonal(self._scale(self.stored), 0)

    def _scale(self, raw: np.ndarray) -> np.ndarray:
        """Bring raw values of whole numbers to the unit h, in place."""
        if self.whole:
            raw /= self.h**2
        return raw

    def widened(self, memory: int | None = None) -> "Similarity":
        """Return the same similarities in float64."""
        memory = self.memory if memory is None else memory
        return type(self)(self.features, self.h, memory, wide=True)

    def reordered(self, order: np.ndarray) -> "Similarity":
        """Return the same similarities of the rows in another order, computed on demand."""
        other = copy.copy(self)
        other.features, other.points = self.features[order], self.points[order]
        other.stored = None
        return other

    def raw(
        self,
        rows: np.ndarray | slice,
        columns: slice = slice(None),
        out: np.ndarray | None = None,
    ) -> np.ndarray:
        """Return raw values, shape (rows, columns), at most 0 up to rounding, in `out` or new."""
        if self.stored is not None:
            return np.positive(self.stored[rows][:, columns], out=out)
        left = self.points[rows].copy()
        left[:, -2:] = left[:, :-3:-1].copy()
        values = self._scale(np.matmul(left, self.points[columns].T, out=out))
        start, stop, _ = columns.indices(self.n)
        own = np.arange(self.n)[rows] - start
        inside = np.flatnonzero((own >= 0) & (own < stop - start))
        values[inside, own[inside]] = 0
        return values

    def __call__(
        self,
        rows: np.ndarray | slice,
        columns: slice = slice(None),
        out: np.ndarray | None = None,
    ) -> np.ndarray:
        """Return similarities, shape (rows, columns), in `out` or new."""
        return self.finish(self.raw(rows, columns, out))


class Gaussian(Similarity):
    """exp(-dist^2 / (2 h^2)), in 0..1; what is covered by nothing has similarity 0."""

    start = 0.0

    def finish(self, raw: np.ndarray) -> np.ndarray:
        """Turn raw values into similarities, in place."""
        return np.exp(raw, out=raw)

    def unfinish(self, similarity: np.ndarray) -> np.ndarray:
        """Return raw values just below those of the given similarities."""
        with np.errstate(divide="ignore"):
            return np.log(similarity) - 2 * self.noise

    @property
    def trusted(self) -> float:
        """Return the gain below which rounding shows."""
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
        """Return the gain below which rounding shows: a root makes it larger near 0."""
        return 64 * self.noise**0.5


def rows_at_once(n: int, most: int) -> int:
    """Return how many rows of float64 similarities to n rows may be held, at most `most`."""
    return max(1, min(most, BLOCK // (8 * n)))


def check_memory(memory: int) -> int:
    """Return a number of bytes, or raise."""
    if not (np.isfinite(memory) and memory >= 0):
        raise StudyError(f"memory must be a number of bytes from 0 upwards, got {memory!r}")
    return int(memory)
