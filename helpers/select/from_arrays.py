"""``python -m helpers select`` from arrays on disk: nothing is trained."""

import argparse
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from helpers import StudyError, scores
from helpers.select import arrays, common, inputs, memory, method_options, outputs
from helpers.selection import registry
from helpers.selection.registry import Pool


@dataclass(frozen=True)
class _Given:
    """What the user gave: arrays by flag, where they came from, and how many examples."""

    arrays: dict[str, np.ndarray]
    record: dict[str, dict[str, Any]]
    n: int


def run(
    args: argparse.Namespace,
    method: registry.Method,
    options: dict[str, Any],
    sources: dict[str, str],
) -> int:
    """Read the arrays, pick, write row numbers, weights and the record, and print one line.

    Args:
        args: What the command's parser returned.
        method: The method.
        options: Its options.
        sources: File by flag.

    Returns:
        Exit code 0.

    Raises:
        ValueError: One clear line for whatever the user can put right; nothing is written.
    """
    method_options.check_needs(method, options, set(sources))
    if args.out is None:
        raise StudyError("--out is required with arrays: FILE.npy, FILE.csv, or FILE for both")
    flagged = {name: common.flagged(name, arrays.split, path) for name, path in sources.items()}
    out = outputs.check_out(args.out, [path for path, _ in flagged.values()], args.force)
    given = _read(sources, Path(os.environ.get("TMPDIR") or out.parent))
    k = common.counted(args.k, args.keep, given.n)
    shapes = {name: values.shape for name, values in given.arrays.items()}
    common.check_machine(method.key, shapes, _largest_class(given), args.force)
    pool = _pool(method, given)
    start = time.perf_counter()
    with common.warnings_kept() as caught:
        try:
            rows, weights = registry.pick(method.key, pool, k, args.seed, **options)
        except StudyError as error:
            raise StudyError(method_options.flagged(str(error), method, set(sources))) from None
        told = caught() + _remarks(method, options, given, len(rows), k)
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
        "weights": common.weights_note(weights),
        "warnings": told,
        "seconds": round(time.perf_counter() - start, 4),
        "peak_memory_bytes": memory.peak(),
        "inputs": given.record,
        "versions": common.versions(),
    }
    for text in told:
        common.warn(text)
    written = ", ".join(map(str, outputs.write(out, rows, weights, record)))
    print(f"{method.key}: {len(rows)} of {given.n} rows in {record['seconds']:.2f} s -> {written}")
    return 0


def _read(sources: dict[str, str], scratch: Path) -> _Given:
    """Map every file, and check each array by itself and their lengths together."""
    found, record, sums = {}, {}, {}
    for name, source in sources.items():
        stored = common.flagged(name, arrays.read, source, scratch, name == "labels")
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


def _remarks(
    method: registry.Method, options: dict[str, Any], given: _Given, n_kept: int, k: int
) -> list[str]:
    """Return what the user may not expect, one line each."""
    idle = method_options.unread(method, options, set(given.arrays))
    told = [f"{method.key} does not read {', '.join(f'--{name}' for name in idle)}"] if idle else []
    if "labels" in given.arrays:
        n_classes = len(np.unique(given.arrays["labels"]))
        told += common.more_than_asked(method.key, n_kept, k, n_classes)
    return told


def _largest_class(given: _Given) -> int:
    """Return the rows of the largest class; all where there are no labels."""
    if "labels" not in given.arrays:
        return given.n
    return int(np.unique(given.arrays["labels"], return_counts=True)[1].max())


def _pool(method: registry.Method, given: _Given) -> Pool:
    """Build the pool; forgetting events are counted from `correct`."""
    fields = dict(given.arrays)
    if "forgetting" in method.needs:
        if fields["correct"].ndim != 2:
            raise StudyError(f"--correct must have shape (epochs, n) for {method.key}")
        fields["forgetting"] = scores.forgetting_events(fields["correct"])
    try:
        return Pool(**{"labels": None} | fields)
    except StudyError as error:
        raise StudyError(method_options.flagged(str(error), method, set(fields))) from None
