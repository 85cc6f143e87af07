"""What the two ways of ``select``, from arrays and from data, have in common."""

import contextlib
import importlib.metadata
import math
import platform
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np

from helpers import StudyError
from helpers.select import memory

LONG = 0.25  # hours from which a warning is due


def one_line(error: object) -> str:
    """Return a message without line breaks."""
    return " ".join(str(error).split())


def flagged(name: str, function: Callable[..., Any], *args: Any) -> Any:
    """Call a function; its errors start with the flag."""
    try:
        return function(*args)
    except StudyError as error:
        raise StudyError(f"--{name}: {error}") from None


def counted(k: int | None, keep: Fraction | None, n: int) -> int:
    """Return how many of n rows to keep from a count or a share.

    Raises:
        ValueError: If the count lies outside 1..n.
    """
    if k is None:
        return max(1, round(keep * n))
    if not 1 <= k <= n:
        raise StudyError(f"--k must lie in 1..{n}, got {k}")
    return k


def check_machine(
    method: str, shapes: dict[str, tuple[int, ...]], largest: int, force: bool
) -> None:
    """Warn of hours of work, and raise before memory is taken that the machine has not got.

    Args:
        method: A key of the registry.
        shapes: Of the arrays it is given.
        largest: Rows of the largest class.
        force: Try all the same.
    """
    wanted, what = memory.needed(method, shapes, largest)
    free = memory.available()
    if free is not None and wanted > free and not force:
        raise StudyError(
            f"{method} would need about {wanted / 2**30:.1f} GiB for {what}; "
            f"{free / 2**30:.1f} GiB are available (--force tries all the same)"
        )
    hours = memory.hours(method, shapes, largest)
    if hours > LONG:
        warn(f"{method} compares all pairs of rows, about {hours:.1f} hours or more on one core")


def warn(text: str) -> None:
    """Print a warning, one line."""
    print(f"warning: {printable(one_line(text))}", file=sys.stderr, flush=True)


def printable(text: str) -> str:
    """Return a text that any terminal takes: names of files may hold bytes that are no text."""
    return text.encode("utf-8", "replace").decode()


@contextlib.contextmanager
def warnings_kept() -> Iterator[Callable[[], list[str]]]:
    """Hold the warnings of the library back; yields what lists them, each once, one line each."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        yield lambda: sorted({one_line(warning.message) for warning in caught})


def more_than_asked(method: str, n_kept: int, k: int, n_classes: int) -> list[str]:
    """Say in one line where a method returns more than k rows and one a class."""
    if n_kept <= k + n_classes:
        return []
    return [
        f"{method} keeps {n_kept} rows where k = {k}: it rounds the share of each of "
        f"{n_classes} classes up and adds a prototype to it"
    ]


def weights_note(weights: np.ndarray | None) -> dict[str, float | str] | None:
    """Say how the weights lie and what they add up to."""
    if weights is None:
        return None
    total = math.fsum(weights)
    return {"sum": total, "order": "as the row numbers", "use": "each example's loss times it"}


def versions(*more: str) -> dict[str, str]:
    """Return the versions an answer depends on."""
    found = {"python": platform.python_version()}
    for name in ("data-selection-study", "numpy", "scipy", "pyarrow", *more):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


@contextlib.contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """Let `kill` end the command as Ctrl-C does, so that temporary names go away."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(*_: object) -> None:
        raise SystemExit(128 + signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
