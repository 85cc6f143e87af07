"""The Gaussian kernel between rows of features: whole, as sums by tiles, or by Fourier features.

Features are read by blocks and may be memory-mapped; only `gaussian_similarity` stores (n, n).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from numbers import Real

import numpy as np

from helpers import StudyError
from helpers.checks import check_choice, check_features, check_number, check_squares
from helpers.selection.blocks import blocks, in_order

DIVERSITIES = ("kernel", "distance")
SMALLEST_H = 1e-15  # and its inverse the largest bandwidth: beyond, float32 loses the square
N_MEDIAN = 1000  # rows the median distance is taken over, evenly spaced in the pool
N_FREQUENCIES = 512
N_READ = 4096  # rows of features or of a stored kernel read at once
N_SAMPLED = 256  # rows whose exact sums tell whether the kernel has vanished
N_CACHED = 32  # rows of the kernel that stay in the cache from product to exponential
N_ROWS, N_COLUMNS = 512, 2048  # of a tile: 4 MiB in float32
N_PHASES = 1024  # rows whose Fourier features are held at once: 2 MiB at 512 frequencies
FAR = 100.0  # |x|^2 / 2 from which rounding may lift an exponent visibly above 0


@dataclass(frozen=True, eq=False)
class Rows:
    """Features read by blocks: cast and centred on the way, never copied whole.

    `source` (n, d) is finite, as the user gave it; `centre` (d,), float64, the mean of its rows.
    """

    source: np.ndarray
    centre: np.ndarray

    def __len__(self) -> int:
        return len(self.source)

    @property
    def dtype(self) -> np.dtype:
        """Type of arithmetic: float32 for float16 and float32 features, else float64."""
        is_single = self.source.dtype in (np.float16, np.float32)
        return np.dtype(np.float32 if is_single else np.float64)

    def take(self, which: slice | np.ndarray) -> np.ndarray:
        """Return some rows, shape (m, d)."""
        return np.asarray(self.source[which], dtype=self.dtype)

    def scaled(self, which: slice | np.ndarray, h: float) -> np.ndarray:
        """Return some rows about the mean of all, in units of h, shape (m, d)."""
        part = self.take(which) - self.centre.astype(self.dtype)
        part /= self.dtype.type(h)
        return part


@np.errstate(over="ignore", invalid="ignore")  # `check_squares` refuses what has overflowed
def read(features: np.ndarray) -> Rows:
    """Check features (n, d) by blocks and prepare to read them."""
    source = np.asarray(features)
    if source.dtype.kind not in "fiub" or source.ndim != 2 or source.size == 0:
        source = check_features(source)
    total = np.zeros(source.shape[1])
    for part in blocks(len(source), N_READ):
        total += source[part].sum(axis=0, dtype=np.float64)
    if not np.isfinite(total).all():
        check_features(source)  # names the row, unless only the sum overflows
    return Rows(source, total / len(source))


def gaussian_similarity(
    features: np.ndarray, bandwidth: float | str = 1.0, diversity: str = "kernel"
) -> np.ndarray:
    """Return exp(-||a - b||^2 / (2 h^2)) between all rows, or 1 minus it.

    Args:
        features: Shape (n, d).
        bandwidth: h, > 0, in units of the features, or "median": the median distance.
        diversity: "kernel" as printed in the paper (largest for equal rows, diagonal 1), or
            "distance", 1 - kernel (diagonal 0).

    Returns:
        Shape (n, n), symmetric, entries in [0, 1], float32 for float16 or float32 features.

    Source: `budgeted` eq. 4.

    Note: the paper's "Gaussian kernel with parameter 1" is read as h = 1. Its D is called a
    diversity but is largest for equal rows; "distance" is what the name says.
    """
    check_choice(diversity, DIVERSITIES, "diversity")
    features = check_features(features)
    h, points = check_bandwidth(features, bandwidth), _centred(features)
    squares = np.einsum("ij,ij->i", points, points)
    check_squares(squares)
    # One array times itself: half the work of tiles, and symmetric.
    matrix = points @ points.T
    both = np.empty((min(N_CACHED, len(points)), len(points)), matrix.dtype)
    for rows in blocks(len(points), N_CACHED):
        part = matrix[rows]
        total = both[: len(part)]
        part *= 2
        np.add.outer(squares[rows], squares, out=total)
        np.subtract(total, part, out=part)
        np.maximum(part, 0, out=part)
        part *= -1 / (2 * h * h)
        np.exp(part, out=part)
        part[np.arange(len(part)), np.arange(rows.start, rows.stop)] = 1
        if diversity == "distance":
            np.subtract(1, part, out=part)
    return matrix


def row_sums(
    features: np.ndarray, bandwidth: float | str = 1.0, diversity: str = "kernel"
) -> np.ndarray:
    """Return the row sums of `gaussian_similarity` less its diagonal, without storing it.

    Shape (n,), float64; utility + weight * row sums ranks rows as the LP does.
    """
    check_choice(diversity, DIVERSITIES, "diversity")
    rows = read(features)
    sums = pair_sums(points_of(rows, np.arange(len(rows)), bandwidth_of(rows, bandwidth)))
    return sums if diversity == "kernel" else len(rows) - 1 - sums


def check_bandwidth(features: np.ndarray, bandwidth: float | str) -> float:
    """Return the bandwidth as a number > 0; "median" is taken over the features (n, d)."""
    if bandwidth == "median":
        bandwidth = median_distance(features)
    if isinstance(bandwidth, bool) or not isinstance(bandwidth, Real) or not bandwidth > 0:
        raise StudyError(f"bandwidth must be a number above 0 or 'median', got {bandwidth!r}")
    if not SMALLEST_H <= bandwidth <= 1 / SMALLEST_H:
        told = f"{SMALLEST_H:g}..{1 / SMALLEST_H:g}, got {bandwidth:.4g}"
        raise StudyError(f"features are too large or too small: a bandwidth lies in {told}")
    return float(bandwidth)


def bandwidth_of(rows: Rows, bandwidth: float | str) -> float:
    """Return the bandwidth of rows that are read by blocks, as a number > 0."""
    return check_bandwidth(rows.take(_evenly(len(rows))), bandwidth)


def _evenly(n: int) -> np.ndarray:
    return np.arange(min(n, N_MEDIAN)) * n // min(n, N_MEDIAN)


@np.errstate(over="ignore", invalid="ignore")
def median_distance(features: np.ndarray) -> float:
    """Return the median distance between pairs of rows (n, d), 1,000 evenly spaced ones at most.

    Raises:
        ValueError: If it is 0: more than half of the pairs coincide, or rounding hides them.
    """
    rows = features[_evenly(len(features))]
    points, (i, j) = _centred(rows), np.triu_indices(len(rows), 1)
    squares = np.einsum("ij,ij->i", points, points)
    products = points @ points.T
    products *= 2
    squared = np.add.outer(squares, squares)
    squared -= products
    squared = np.maximum(squared[i, j], 0)
    median = float(np.median(np.sqrt(squared))) if len(rows) > 1 else 0.0
    if not np.isfinite(median):
        check_squares(squares)
    squared -= 4 * np.finfo(points.dtype).eps * (squares[i] + squares[j])
    if median == 0 or np.median(squared) <= 0:  # rounding hides most distances
        _, counts = np.unique(rows, axis=0, return_counts=True)
        if 2 * (counts * (counts - 1)).sum() >= len(rows) * (len(rows) - 1):
            raise StudyError(
                "features have no median distance: more than half of the pairs coincide"
            )
        raise StudyError(
            f"features spread too far for the distances between most rows in {rows.dtype}: "
            "scale or drop the outliers"
        )
    return median


@np.errstate(over="ignore", invalid="ignore")
def _centred(features: np.ndarray) -> np.ndarray:
    """Return features about their mean: distances stay, rounding shrinks."""
    return features - features.mean(axis=0, dtype=np.float64).astype(features.dtype)


def points_of(rows: Rows, which: np.ndarray, h: float) -> np.ndarray:
    """Return rows as points of a tile, [x, 1, -|x|^2 / 2] in units of h, shape (m, d + 2).

    The product of a point with another whose last two entries are swapped is the exponent
    -|a - b|^2 / 2 itself.
    """
    points = np.empty((len(which), len(rows.centre) + 2), rows.dtype)
    for part in blocks(len(which), N_READ):
        points[part, :-2] = rows.scaled(which[part], h)
    points[:, -2] = 1
    squares = np.einsum("ij,ij->i", points[:, :-2], points[:, :-2])
    check_squares(squares)
    points[:, -1] = squares / -2
    return points


def pair_sums(points: np.ndarray) -> np.ndarray:
    """Return the kernel's row sums less its diagonal, (n,), float64; each pair is computed once."""
    n = len(points)
    sums, width = np.zeros(n), max(min(n, N_COLUMNS), N_ROWS)

    def stripe(rows: slice) -> tuple[int, np.ndarray]:
        start, left = rows.start, _swapped(points[rows])
        part, space = np.zeros(n - start), np.empty(len(left) * width, points.dtype)
        own = _tile(left, points[rows], space)
        np.fill_diagonal(own, 0)
        part[: len(left)] = own.sum(axis=1, dtype=np.float64)
        for columns in blocks(n, N_COLUMNS, rows.stop):
            values = _tile(left, points[columns], space)
            part[: len(left)] += values @ np.ones(values.shape[1], values.dtype)
            ones = np.ones(len(left), values.dtype)
            part[columns.start - start : columns.stop - start] = ones @ values
        return start, part

    for start, part in in_order(stripe, blocks(n, N_ROWS)):
        sums[start:] += part
    return sums


def sums_over(points: np.ndarray, which: np.ndarray, signs: np.ndarray) -> np.ndarray:
    """Return, for every point i, the sum of signs_j kernel_ij over rows j other than i.

    Points as from `points_of` (n, d + 2); row numbers `which` without repeats and signs, both
    (m,). Returns (n,), float64.
    """
    right, weights = points[which], signs.astype(points.dtype)

    def stripe(rows: slice) -> np.ndarray:
        left = _swapped(points[rows])
        space = np.empty(len(left) * min(len(which), N_COLUMNS), left.dtype)
        sums = np.zeros(len(left))
        for columns in blocks(len(which), N_COLUMNS):
            values = _tile(left, right[columns], space)
            _drop_own(values, which[columns] - rows.start)
            sums += values @ weights[columns]
        return sums

    height = N_ROWS * max(1, N_COLUMNS // max(1, len(which)) // 4)
    return np.concatenate(list(in_order(stripe, blocks(len(points), height))))


def sampled_sums(rows: Rows, sample: np.ndarray, h: float) -> np.ndarray:
    """Return the kernel's row sums less the diagonal of a few rows (m,), in O(d) memory a row."""
    right = points_of(rows, sample, h)

    def stripe(part: slice) -> np.ndarray:
        left = _swapped(points_of(rows, np.arange(part.start, part.stop), h))
        values = _tile(left, right, np.empty(len(left) * len(right), rows.dtype))
        _drop_own(values, sample - part.start)
        return values.sum(axis=0, dtype=np.float64)

    return sum(in_order(stripe, blocks(len(rows), N_COLUMNS)))


def _drop_own(values: np.ndarray, places: np.ndarray) -> None:
    """Set the kernel of a row with itself to 0: column j is the row at places[j], if any."""
    own = np.flatnonzero((places >= 0) & (places < len(values)))
    values[places[own], own] = 0


def _swapped(points: np.ndarray) -> np.ndarray:
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


def frequencies(d: int, n_frequencies: int, rng: np.random.Generator) -> np.ndarray:
    """Return Gaussian directions that are orthogonal in groups of d, shape (d, n_frequencies).

    Each alone is N(0, I), so the kernel's estimate is unbiased; being orthogonal they cover the
    sphere more evenly, and err less at the same cost.

    Source: random Fourier features, Rahimi & Recht (2007); orthogonal ones, Yu et al. (2016).
    """
    check_number(n_frequencies, "n_frequencies", 1, whole=True)
    groups = []
    for some in blocks(n_frequencies, d):
        basis, _ = np.linalg.qr(rng.standard_normal((d, some.stop - some.start)))
        groups.append(basis * np.sqrt(rng.chisquare(d, some.stop - some.start)))
    return np.concatenate(groups, axis=1)


def fourier_sums_over(
    rows: Rows, h: float, waves: np.ndarray, which: np.ndarray, signs: np.ndarray
) -> np.ndarray:
    """Return an estimate of `sums_over` from z(x) = [cos, sin](W'x) / sqrt(n_frequencies).

    z(x) has length 1, so the term of a row with itself is known, and the estimated kernel is
    positive semi-definite as the true one. W are waves (d, n_frequencies), from `frequencies`.
    Features are made by blocks and never stored.
    """
    waves = waves.astype(rows.dtype)

    def total(some: slice) -> np.ndarray:
        weights = signs[some].astype(rows.dtype)
        phases = rows.scaled(which[some], h) @ waves
        both = weights @ np.cos(phases), weights @ np.sin(phases, out=phases)
        return np.array(both, dtype=np.float64)

    totals = in_order(total, blocks(len(which), N_PHASES))
    cosines, sines = sum(totals, np.zeros((2, waves.shape[1]))) / waves.shape[1]
    # C cos(t) + S sin(t) = A cos(t - lag): one cosine a frequency does for both.
    heights = np.hypot(cosines, sines).astype(rows.dtype)
    lags = np.arctan2(sines, cosines).astype(rows.dtype)

    def part(some: slice) -> np.ndarray:
        phases = rows.scaled(some, h) @ waves
        phases -= lags
        return np.cos(phases, out=phases) @ heights

    parts = in_order(part, blocks(len(rows), N_PHASES))
    sums = np.concatenate(list(parts)).astype(np.float64)
    sums[which] -= signs
    return sums


def matrix_sums_over(matrix: np.ndarray, which: np.ndarray, signs: np.ndarray) -> np.ndarray:
    """Return `sums_over` from a symmetric matrix that is stored, in float64."""
    sums = np.zeros(len(matrix))
    for sign in (1, -1):
        some = which[signs == sign]
        for part in blocks(len(some), N_READ):
            sums += sign * matrix[some[part]].sum(axis=0, dtype=np.float64)
    sums[which] -= signs * np.diagonal(matrix)[which]
    return sums


def _distances_over(over: Callable, which: np.ndarray, signs: np.ndarray) -> np.ndarray:
    sums = signs.sum() - over(which, signs)
    sums[which] -= signs
    return sums


def sums_of(
    rows: Rows, h: float, diversity: str, form: str, n_frequencies: int, rng: np.random.Generator
) -> tuple[np.ndarray, Callable[[np.ndarray, np.ndarray], np.ndarray], float]:
    """Return row sums and `over` of the kernel or the distance, and the kernel's largest row sum.

    h is in units of the features, form "matrix", "blocks" or "fourier".

    Returns:
        Row sums less the diagonal (n,); over(which, signs), as `sums_over`; the largest of the
        kernel's row sums. Fourier features return noise where the kernel has vanished, so that
        is then the largest of a sample's exact sums.
    """
    every = np.arange(len(rows))
    if form == "matrix":
        kernel = gaussian_similarity(rows.take(slice(None)), h)
        over = partial(matrix_sums_over, kernel)
        sums = kernel.sum(axis=1, dtype=np.float64) - np.diagonal(kernel)
    elif form == "blocks":
        points = points_of(rows, every, h)
        over, sums = partial(sums_over, points), pair_sums(points)
    else:
        waves = frequencies(len(rows.centre), n_frequencies, rng)
        over = partial(fourier_sums_over, rows, h, waves)
        sums = over(every, np.ones(len(rows)))
    sample = np.unique(np.arange(N_SAMPLED) * len(rows) // N_SAMPLED)
    largest = (sampled_sums(rows, sample, h) if form == "fourier" else sums).max()
    if diversity == "distance":
        sums, over = len(rows) - 1 - sums, partial(_distances_over, over)
    return sums, over, float(largest)
