"""Features read by blocks: cast and projected on the way, never copied whole."""

from dataclasses import dataclass
from numbers import Integral

import numpy as np

from helpers import StudyError
from helpers.selection.blocks import spans

N_ROWS = 4096  # rows read at once


@dataclass(frozen=True, eq=False)
class Rows:
    """Checked features; `source` may be memory-mapped, read-only, float16 or whole numbers.

    Attributes:
        source: Shape (n, d), as the user gave it.
        projection: Shape (d, p), or None.
        centre: Mean of the rows after projection, shape (p,), float64.
    """

    source: np.ndarray
    projection: np.ndarray | None
    centre: np.ndarray

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(self.source)

    @property
    def dtype(self) -> np.dtype:
        """Type of arithmetic: float32 for float16 and float32 features, else float64."""
        is_single = self.source.dtype in (np.float16, np.float32)
        return np.dtype(np.float32 if is_single else np.float64)

    def take(self, rows: slice | np.ndarray) -> np.ndarray:
        """Return some rows, projected, shape (m, p)."""
        part = np.asarray(self.source[rows], dtype=self.dtype)
        return part if self.projection is None else part @ self.projection

    def scaled(self, rows: slice | np.ndarray, h: float) -> np.ndarray:
        """Return some rows about the mean of all, in units of h, shape (m, p)."""
        part = self.take(rows) - self.centre.astype(self.dtype)
        part /= self.dtype.type(h)
        return part


def read(
    features: np.ndarray, project: int | None = None, rng: np.random.Generator | None = None
) -> Rows:
    """Check features by blocks and prepare to read them.

    Args:
        features: Shape (n, d), finite.
        project: p, 1 <= p <= d: project to p random directions; None keeps the features.
        rng: Draws the directions, entries N(0, 1 / p); needed with `project` only.

    Raises:
        ValueError: If features or project are not as above.

    Source: `budgeted` eq. 5 (Johnson-Lindenstrauss).
    """
    source = np.asarray(features)
    if source.ndim != 2 or source.size == 0:
        raise StudyError(f"features must have shape (n, d) with n, d >= 1, got {source.shape}")
    if source.dtype.kind not in "fiub":
        try:
            source = source.astype(np.float64)
        except (TypeError, ValueError):
            raise StudyError("features must be an array of numbers") from None
    plain = Rows(source, None, _mean(source))
    if project is None:
        return plain
    projection = _projection(source.shape[1], project, rng).astype(plain.dtype)
    return Rows(source, projection, plain.centre @ projection)


@np.errstate(over="ignore", invalid="ignore")  # who squares looks for what has overflowed
def _mean(source: np.ndarray) -> np.ndarray:
    """Return the mean row, shape (d,), float64, having looked for NaN and infinity."""
    total = np.zeros(source.shape[1])
    for start, stop in spans(len(source), N_ROWS):
        part = source[start:stop]
        is_finite = np.isfinite(part)
        if not is_finite.all():
            row = start + (~is_finite.all(axis=1)).argmax()
            raise StudyError(f"features must be finite, got NaN or inf in row {row}")
        total += part.sum(axis=0, dtype=np.float64)
    return total / len(source)


def _projection(d: int, p: int, rng: np.random.Generator) -> np.ndarray:
    """Return random directions, shape (d, p); squared lengths are kept on average."""
    if isinstance(p, bool) or not isinstance(p, Integral) or not 1 <= p <= d:
        raise StudyError(f"project must be None or a whole number in 1..{d}, got {p!r}")
    return rng.standard_normal((d, int(p))) / np.sqrt(p)
