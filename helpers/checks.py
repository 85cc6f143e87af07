"""Checks of arrays and counts: each raises one clear line or returns the checked value.

What a check refuses is a StudyError, a ValueError, that names the argument.
"""

from collections.abc import Sequence
from numbers import Integral, Real

import numpy as np

from helpers import StudyError

N_CHECKED = 1 << 20  # numbers looked at in one step
PROBS_TOLERANCE = 2e-3  # a row of float16 softmax values misses 1 by at most about 1e-3


def check_k(k: int, n: int) -> int:
    """Return k as an int where it is a whole number in 1..n."""
    is_whole = isinstance(k, Real) and not isinstance(k, bool) and float(k).is_integer()
    if not is_whole or not 1 <= k <= n:
        raise StudyError(f"k must lie in 1..{n} and be whole, got {k!r}")
    return int(k)


def check_number(
    value: float, name: str, least: float = 0, most: float = np.inf, whole: bool = False
) -> None:
    """Raise unless a number, whole where that is asked for, is finite and in least..most."""
    is_number = isinstance(value, Integral if whole else Real) and not isinstance(value, bool)
    if not is_number or not least <= value <= most or value == np.inf:
        kind = "whole number" if whole else "number"
        raise StudyError(f"{name} must be a finite {kind} in {least}..{most}, got {value!r}")


def check_rows(rows: np.ndarray, n: int, name: str) -> np.ndarray:
    """Return row numbers (k,), k >= 1, as int64 where they lie in 0..n-1 and do not repeat."""
    rows = np.asarray(rows)
    whole = rows.ndim == 1 and rows.size > 0 and np.issubdtype(rows.dtype, np.integer)
    if not whole or rows.min() < 0 or rows.max() >= n or len(np.unique(rows)) < len(rows):
        raise StudyError(f"{name} must hold different row numbers in 0..{n - 1}, shape (k,)")
    return rows.astype(np.int64)


def check_scores(scores: np.ndarray, finite: bool = False) -> np.ndarray:
    """Return scores (n,) as float64 where every one can be ranked: no NaN or -inf.

    finite refuses +inf as well, where a method measures lengths between scores.
    """
    scores = _numbers(scores, "scores")
    if scores.ndim != 1 or scores.size == 0:
        raise StudyError(f"scores must have shape (n,) with n >= 1, got {scores.shape}")
    bad = ~np.isfinite(scores) if finite else np.isnan(scores) | np.isneginf(scores)
    if bad.any():
        least = "finite" if finite else "numbers above -inf"
        row = bad.argmax()
        raise StudyError(f"scores must be {least}, got {scores[row]} in row {row}")
    return scores


def check_probs(probs: np.ndarray) -> np.ndarray:
    """Return class probabilities (n, c), c >= 2, as float64 where every row is a distribution.

    Rows sum to 1 up to float16 rounding; tiny negative values are set to 0.
    """
    probs = _numbers(probs, "probs")
    if probs.ndim != 2 or len(probs) == 0 or probs.shape[1] < 2:
        raise StudyError(f"probs must have shape (n, c) with n >= 1, c >= 2, got {probs.shape}")
    _check_finite(probs, "probs")
    if probs.min() < -PROBS_TOLERANCE:
        raise StudyError(f"probs must not be negative, got {probs.min():.4g}; apply softmax first")
    off = np.abs(probs.sum(axis=1) - 1)
    if off.max() > PROBS_TOLERANCE:
        row = off.argmax()
        total = probs[row].sum()
        raise StudyError(f"probs must sum to 1 in every row, got {total:.4g} in row {row}")
    return np.maximum(probs, 0)


def check_labels(labels: np.ndarray) -> np.ndarray:
    """Return labels (n,) as int64 where they are whole, >= 0, and name at least two classes."""
    values = _numbers(labels, "labels")
    if values.ndim != 1 or values.size == 0:
        raise StudyError(f"labels must have shape (n,) with n >= 1, got {values.shape}")
    if not np.isfinite(values).all() or (values != np.floor(values)).any() or values.min() < 0:
        raise StudyError("labels must be whole class numbers from 0 upwards")
    values = values.astype(np.int64)
    if values.min() == values.max():
        raise StudyError(f"labels must name at least 2 classes, got only class {values[0]}")
    return values


def check_features(features: np.ndarray, name: str = "features") -> np.ndarray:
    """Return features (n, d) as float32 or float64 where they are finite.

    float16 becomes float32, integers become float64; name is what errors call them.
    """
    features = np.asarray(features)
    if features.dtype == np.float16:
        features = features.astype(np.float32)
    elif features.dtype != np.float32:
        features = _numbers(features, name)
    if features.ndim != 2 or features.size == 0:
        raise StudyError(f"{name} must have shape (n, d) with n, d >= 1, got {features.shape}")
    _check_finite(features, name)
    return features


def check_squares(squares: np.ndarray) -> None:
    """Raise unless the type of these squared lengths of rows (n,) holds squared distances too."""
    if not squares.max() <= np.finfo(squares.dtype).max / 4:  # NaN is refused as well
        raise StudyError("features are too large: their squared distances overflow; scale them")


def check_rng(rng: int | np.random.Generator) -> np.random.Generator:
    """Return a generator, made of a seed where one is given; None would repeat nothing."""
    try:
        if rng is not None:
            return np.random.default_rng(rng)
    except (TypeError, ValueError):
        pass
    raise StudyError(f"rng must be a seed or a numpy.random.Generator, got {rng!r}")


def check_choice(value: object, choices: Sequence[object], name: str) -> None:
    """Raise unless value is one of the choices."""
    if value not in choices:
        raise StudyError(f"{name} must be one of {', '.join(map(str, choices))}; got {value!r}")


def check_similarity(similarity: np.ndarray, n: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return a symmetric matrix (n, n) without negative entries, and its row sums, float64."""
    matrix, rows, least = check_symmetric(similarity, "similarity", n)
    if least < 0:
        raise StudyError(f"similarity must not be negative anywhere, got {least:.4g}")
    return matrix, rows


def check_symmetric(
    values: np.ndarray, name: str, n: int | None = None, slack: float = 1e-7
) -> tuple[np.ndarray, np.ndarray, float]:
    """Return a symmetric matrix, float32 or float64, its row sums, float64, and its least entry.

    Args:
        values: Shape (n, n), finite, symmetric up to rounding.
        name: What to call it in the error.
        n: The size it must have, where that is known.
        slack: Share of the largest product below that counts as rounding; entries of either
            sign need more than entries >= 0, whose products do not cancel.

    Note: symmetry is judged by a product with one random vector from both sides, which takes
    one pass over the memory. One pair of entries may thus differ by 1e-4 of its row's product.
    """
    matrix = np.asarray(values)
    if matrix.dtype not in (np.float32, np.float64):
        matrix = _numbers(values, name)
    size = len(matrix) if matrix.ndim else 0
    if not size or matrix.shape != (n or size,) * 2:
        wanted = f"({n}, {n})" if n else "(n, n) with n >= 1"
        raise StudyError(f"{name} must have shape {wanted}, got {matrix.shape}")
    rows, right, left, least = np.empty(size), np.empty(size), np.zeros(size), np.inf
    probe = np.random.default_rng(0).uniform(0.5, 1.5, size).astype(matrix.dtype)
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is refused below
        for start in range(0, size, 64):  # a few rows fit the cache: memory is read once
            part = matrix[start : start + 64]
            rows[start : start + 64] = part.sum(axis=1, dtype=np.float64)
            right[start : start + 64] = part @ probe
            left += probe[start : start + 64] @ part
            least = min(least, float(part.min()))
    if not np.isfinite([rows, right, left]).all():
        raise StudyError(f"{name} must be finite everywhere, and the sums of its rows too")
    if not np.allclose(right, left, rtol=1e-4, atol=slack * np.abs(right).max()):
        raise StudyError(f"{name} must be symmetric")
    return matrix, rows, least


def _check_finite(values: np.ndarray, name: str) -> None:
    """Raise unless all of (n, d) is finite; a mask of all of a large array is large too."""
    step = max(1, N_CHECKED // values.shape[1])
    for start in range(0, len(values), step):
        is_finite = np.isfinite(values[start : start + step]).all(axis=1)
        if not is_finite.all():
            row = start + is_finite.argmin()
            raise StudyError(f"{name} must be finite, got NaN or inf in row {row}")


def _numbers(values: np.ndarray, name: str) -> np.ndarray:
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise StudyError(f"{name} must be an array of numbers") from None
