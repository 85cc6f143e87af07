"""Arrays given by flags: each is checked block by block, and errors name the flag."""

import re
from collections.abc import Callable

import numpy as np

from helpers import StudyError
from helpers.checks import check_features, check_probs, check_scores

SHAPES = {
    "labels": ("(n,)", "class numbers from 0 upwards, or strings"),
    "probs": ("(n, c)", "class probabilities; rows sum to 1"),
    "features": ("(n, d)", "one row an example"),
    "scores": ("(n,)", "larger = keep first"),
    "gradients": ("(n, m)", "one gradient an example"),
    "norms": ("(n,)", "gradient norms"),
    "correct": ("(epochs, n)", "0 or 1; in .parquet, a list of epochs a row"),
}
BLOCK_CELLS = 1 << 20


def check(name: str, values: np.ndarray) -> np.ndarray:
    """Return an array where it is what its flag asks for; large ones are not copied.

    Args:
        name: A key of SHAPES, the flag without its dashes.
        values: Numbers of any type.

    Raises:
        ValueError: One line that starts with the flag.
    """
    n_axes = 1 if name in ("labels", "scores", "norms") else 2
    if values.ndim != n_axes and not (name == "correct" and values.ndim == 1):
        shape = tuple(values.shape)
        raise StudyError(f"--{name} must have shape {SHAPES[name][0]}, got {shape}")
    if name == "labels":
        return _labels(values)
    checked = _CHECKS[name]
    step = max(1, BLOCK_CELLS // (values.shape[1] if values.ndim > 1 else 1))
    with np.errstate(invalid="ignore"):  # a signalling NaN is refused below, not warned of
        for first in range(0, len(values), step):
            try:
                checked(values[first : first + step])
            except StudyError as error:
                raise StudyError(_at(str(error), name, first)) from None
    return values


def _at(text: str, name: str, first: int) -> str:
    """Put the flag and the row of the whole array into the error of a block."""
    text = f"--{name} {text.partition(' ')[2]}"
    return re.sub(r"\brow (\d+)$", lambda found: f"row {int(found[1]) + first}", text)


def _labels(values: np.ndarray) -> np.ndarray:
    """Return class numbers as int64."""
    if values.dtype.kind == "f" and not (np.isfinite(values) & (values == np.floor(values))).all():
        raise StudyError("--labels must be whole class numbers, or strings")
    if values.min() < 0:
        row = int((values < 0).argmax())
        raise StudyError(f"--labels must be 0 or more, got {values[row]} in row {row}")
    if values.max() > np.iinfo(np.int64).max:
        raise StudyError("--labels must fit 64 bits")
    return values.astype(np.int64)


def _bits(values: np.ndarray) -> None:
    """Raise unless all values are 0 or 1."""
    if not ((values == 0) | (values == 1)).all():
        raise StudyError("correct must hold only 0 and 1")


def _norms(values: np.ndarray) -> None:
    """Raise unless all values are lengths."""
    norms = check_scores(values, finite=True)
    if norms.min() < 0:
        row = int((norms < 0).argmax())
        raise StudyError(f"norms must not be negative, got {norms[row]:.4g} in row {row}")


_CHECKS: dict[str, Callable[[np.ndarray], object]] = {
    "probs": check_probs,
    "features": check_features,
    "gradients": check_features,
    "scores": check_scores,
    "norms": _norms,
    "correct": _bits,
}


def check_lengths(arrays: dict[str, np.ndarray]) -> int:
    """Return the number of examples, the same in all arrays.

    Raises:
        ValueError: If two flags differ; both are named.
    """
    counts = {name: values.shape[-1 if name == "correct" else 0] for name, values in arrays.items()}
    (name, n), *others = counts.items()
    for other, count in others:
        if count != n:
            what = [_axis(name), _axis(other)]
            raise StudyError(f"--{name} has {n} {what[0]}, --{other} {count}{_short(what)}")
    return n


def _axis(name: str) -> str:
    return "columns (epochs, n)" if name == "correct" else "rows"


def _short(axes: list[str]) -> str:
    """Name the second axis where it is not the first."""
    return f" {axes[1]}" if axes[0] != axes[1] else ""
