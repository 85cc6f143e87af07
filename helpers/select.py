"""Body of ``python -m helpers select``: pick a subset from arrays on disk."""

import argparse
import contextlib
import importlib.metadata
import math
import os
import platform
import signal
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from helpers import StudyError, arrays, inputs, memory, method_options, outputs, scores
from helpers.selection import registry
from helpers.selection.pool import Pool

LONG = 0.25  # hours from which a warning is due


class _List(argparse.Action):
    """Print the methods and leave."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        """Do so."""
        print(method_options.listing())
        parser.exit()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give a parser the arguments of the command."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = method_options.epilog()
    # Checked by hand, so that a wrong name is the same one line as every other error.
    parser.add_argument("--method", required=True, metavar="METHOD", help="see below")
    size = parser.add_mutually_exclusive_group(required=True)
    size.add_argument("--k", type=_whole, metavar="N", help="examples to keep, a count")
    size.add_argument(
        "--keep",
        type=_share,
        metavar="SHARE",
        help="examples to keep, a share in (0, 1] such as 0.3 or 1/3; the nearest count, halves "
        "to the even one, at least 1",
    )
    for name, (shape, meaning) in inputs.SHAPES.items():
        parser.add_argument(f"--{name}", metavar="FILE", help=f"{shape}: {meaning}")
    parser.add_argument(
        "--seed", type=_whole, default=0, metavar="N", help="of methods that draw (default: 0)"
    )
    parser.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="of the method, see below; may be repeated",
    )
    parser.add_argument(
        "--out",
        required=True,
        metavar="FILE",
        help=".npy (weights apart, in FILE-weights.npy), .csv (row[,weight]), or no suffix for "
        "both; a .json beside it says what was done",
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help="overwrite what is not an earlier selection; start where memory looks too small",
    )
    parser.add_argument("--list", action=_List, nargs=0, help="list the methods and leave")


def _whole(text: str) -> int:
    """Read a whole number from 0 upwards."""
    try:
        number = int(text)
    except ValueError:
        number = -1
    if number < 0:
        raise argparse.ArgumentTypeError(f"must be a whole number from 0 upwards, got {text}")
    return number


def _share(text: str) -> Fraction:
    """Read a share exactly as it is written: as a float, 0.35 * 10 would miss its half."""
    try:
        share = Fraction(text)
    except (ValueError, ZeroDivisionError):
        share = Fraction(0)
    if not 0 < share <= 1:
        raise argparse.ArgumentTypeError(f"must lie in (0, 1], got {text}")
    return share


@dataclass(frozen=True)
class _Given:
    """What the user gave: arrays by flag, where they came from, and how many examples."""

    arrays: dict[str, np.ndarray]
    record: dict[str, dict[str, Any]]
    n: int


def run(args: argparse.Namespace) -> int:
    """Pick, write row numbers, weights and the JSON beside them, and print one line.

    Args:
        args: What a parser with `add_arguments` returned.

    Returns:
        Exit code 0.

    Raises:
        ValueError: One clear line for whatever the user can put right; nothing is written.
    """
    method = registry.get(args.method)
    options = method_options.parse(method, args.option)
    sources = {name: path for name in inputs.SHAPES if (path := getattr(args, name))}
    method_options.check_needs(method, options, set(sources))
    with _ended_by_sigterm():
        files = {name: _flagged(name, arrays.split, source)[0] for name, source in sources.items()}
        out = outputs.check_out(args.out, files.values(), args.force)
        try:
            return _run(args, method, options, sources, out)
        except MemoryError as error:
            raise StudyError(f"{method.key}: out of memory ({error})") from None


def _run(
    args: argparse.Namespace,
    method: registry.Method,
    options: dict[str, Any],
    sources: dict[str, str],
    out: Path,
) -> int:
    """Read, pick and write."""
    given = _read(sources, Path(os.environ.get("TMPDIR") or out.parent))
    k = _count(args.k, args.keep, given.n)
    _check_needs(method.key, given, args.force)
    pool = _pool(method, given)
    start = time.perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        try:
            rows, weights = registry.weighted(method.key, pool, k, args.seed, **options)
        except StudyError as error:
            raise StudyError(method_options.flagged(str(error), method, set(sources))) from None
    record = {
        "method": method.key,
        "label": method.label,
        "options": method_options.defaults(method) | options,
        "seed": args.seed,
        "k": k,
        "keep": None if args.keep is None else float(args.keep),
        "n": given.n,
        "n_selected": len(rows),
        "order": "row numbers from 0, the first to keep first",
        "weights": _weights_note(weights),
        "warnings": sorted({_line(warning.message) for warning in caught}),
        "seconds": round(time.perf_counter() - start, 4),
        "peak_memory_bytes": memory.peak(),
        "inputs": given.record,
        "versions": _versions(),
    }
    for text in record["warnings"]:
        print(f"warning: {text}", file=sys.stderr)
    paths = outputs.write(out, rows, weights, record)
    written = ", ".join(map(str, paths))
    print(f"{method.key}: {len(rows)} of {given.n} rows in {record['seconds']:.2f} s -> {written}")
    return 0


def _line(error: object) -> str:
    return " ".join(str(error).split())


def _flagged(name: str, function: Any, *args: Any) -> Any:
    """Call a function; its errors start with the flag."""
    try:
        return function(*args)
    except StudyError as error:
        raise StudyError(f"--{name}: {error}") from None


def _read(sources: dict[str, str], scratch: Path) -> _Given:
    """Map every file, and check each array by itself and their lengths together."""
    found, record, sums = {}, {}, {}
    for name, source in sources.items():
        stored = _flagged(name, arrays.read, source, scratch, name == "labels")
        values = stored.values
        if stored.path.suffix == ".parquet":  # a row is an example there, and n comes first
            values = values.T if name == "correct" else values
            is_column = values.ndim == 1 and name in ("features", "gradients")
            values = values[:, None] if is_column else values
        found[name] = inputs.check(name, values)
        if stored.path not in sums:
            sums[stored.path] = outputs.sha256(stored.path)
        record[name] = {
            "file": str(stored.path),
            "key": stored.key or None,
            "shape": list(values.shape),
            "dtype": str(stored.values.dtype),
            "sha256": sums[stored.path],
        }
        if stored.classes is not None:
            record[name] |= {"dtype": "string", "classes": list(stored.classes)}
    return _Given(found, record, inputs.check_lengths(found))


def _count(k: int | None, keep: Fraction | None, n: int) -> int:
    """Return how many to keep from a count or a share."""
    if k is None:
        return max(1, round(keep * n))
    if not 1 <= k <= n:
        raise StudyError(f"--k must lie in 1..{n}, got {k}")
    return k


def _largest_class(given: _Given) -> int:
    """Return the rows of the largest class; all where there are no labels."""
    if "labels" not in given.arrays:
        return given.n
    return int(np.unique(given.arrays["labels"], return_counts=True)[1].max())


def _check_needs(method: str, given: _Given, force: bool) -> None:
    """Warn of hours of work, and raise before memory is taken that the machine has not got."""
    shapes = {name: values.shape for name, values in given.arrays.items()}
    largest = _largest_class(given)
    wanted, what = memory.needed(method, shapes, largest)
    free = memory.available()
    if free is not None and wanted > free and not force:
        raise StudyError(
            f"{method} would need about {wanted / 2**30:.1f} GiB for {what}; "
            f"{free / 2**30:.1f} GiB are available (--force tries all the same)"
        )
    hours = memory.hours(method, shapes, largest)
    if hours > LONG:
        text = f"{method} compares all pairs of rows, about {hours:.1f} hours or more on one core"
        print(f"warning: {text}", file=sys.stderr, flush=True)


def _pool(method: registry.Method, given: _Given) -> Pool:
    """Build the pool; forgetting events are counted from `correct`."""
    fields = dict(given.arrays)
    if "forgetting" in method.needs:
        if fields["correct"].ndim != 2:
            raise StudyError(f"--correct must have shape (epochs, n) for {method.key}")
        fields["forgetting"] = scores.forgetting_events(fields["correct"])
    if "labels" not in fields:
        fields["labels"] = np.zeros(given.n, dtype=np.int64)  # unknown, and none are asked for
    return Pool(**fields)


def _weights_note(weights: np.ndarray | None) -> dict[str, float | str] | None:
    """Say how the weights lie and what they add up to."""
    if weights is None:
        return None
    total = math.fsum(weights)
    return {"sum": total, "order": "as the row numbers", "use": "each example's loss times it"}


def _versions() -> dict[str, str]:
    """Return the versions an answer depends on."""
    found = {"python": platform.python_version()}
    for name in ("data-selection-study", "numpy", "scipy", "pyarrow"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


@contextlib.contextmanager
def _ended_by_sigterm() -> Iterator[None]:
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
