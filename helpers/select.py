"""Body of ``python -m helpers select``: pick a subset from arrays on disk."""

import argparse
import ast
import hashlib
import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np

from helpers import StudyError, scores
from helpers.checks import check_k
from helpers.selection import registry

INPUTS = ("labels", "probs", "features", "norms", "correct")
DOTTED = (".npy", ".npz", ".parquet")

EPILOG = """FILE is rows.npy, arrays.npz:key or table.parquet:column. Shapes: labels (n,), probs
(n, c), features (n, d), norms (n,), correct (epochs, n). Options of a method are set by
--option, for example --option within=random for geda. The JSON beside the output says what was
done."""


def build_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Add the command to the parser of ``python -m helpers`` and return its parser."""
    parser = subparsers.add_parser("select", help="pick a subset from arrays on disk")
    add_arguments(parser)
    return parser


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give a parser the arguments of the command."""
    parser.epilog = EPILOG
    # Checked by hand, so that a wrong name is the same one line as every other error.
    parser.add_argument("--method", required=True, help=", ".join(registry.METHODS))
    size = parser.add_mutually_exclusive_group(required=True)
    size.add_argument("--k", type=int, help="examples to keep, a count")
    size.add_argument("--keep", type=float, help="examples to keep, a share in (0, 1]")
    for name in INPUTS:
        parser.add_argument(f"--{name}", metavar="FILE")
    parser.add_argument("--seed", type=int, default=0, help="of methods that draw (default: 0)")
    parser.add_argument("--option", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--out", required=True, metavar="FILE", help=".npy or .csv")


def run(args: argparse.Namespace) -> int:
    """Pick, write the row numbers and the JSON beside them, and print one line.

    Args:
        args: What the parser of `build_parser` returned.

    Returns:
        Exit code 0.

    Raises:
        ValueError: One clear line for whatever the user can put right; nothing is written.
    """
    out = _check_out(args.out)
    options = _options(args.option)
    arrays = {name: read(path) for name in INPUTS if (path := getattr(args, name))}
    pool = _pool(args.method, arrays, options)
    k = _count(args.k, args.keep, pool.n)
    start = time.perf_counter()
    selected = registry.select(args.method, pool, k, args.seed, **options)
    seconds = time.perf_counter() - start
    record = {
        "method": args.method,
        "options": options,
        "seed": args.seed,
        "k": k,
        "n_pool": pool.n,
        "n_selected": len(selected),
        "seconds": round(seconds, 4),
        "order": "row numbers from 0, keep-first order",
        "out": out.name,
        "inputs": {name: _origin(getattr(args, name), arrays[name]) for name in arrays},
        "numpy": np.__version__,
    }
    _write(out, selected, record)
    print(f"{args.method}: {len(selected)} of {pool.n} rows in {seconds:.2f} s -> {args.out}")
    return 0


def _check_out(path: str) -> Path:
    """Return the output path where it can be written."""
    out = Path(path)
    if out.suffix not in (".npy", ".csv"):
        raise StudyError(f"--out must end in .npy or .csv, got {path}")
    if not out.parent.is_dir():
        raise StudyError(f"--out: there is no folder {out.parent}")
    return out


def _options(pairs: list[str]) -> dict[str, Any]:
    """Turn name=value texts into plain values; true, false and none in any case."""
    options: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name:
            raise StudyError(f"--option must be NAME=VALUE, got {pair!r}")
        words = {"true": True, "false": False, "none": None}
        try:
            value = words[text.lower()] if text.lower() in words else ast.literal_eval(text)
        except (ValueError, SyntaxError):
            value = text
        options[name.replace("-", "_")] = value
    return options


def read(source: str) -> np.ndarray:
    """Return one array from FILE.npy, FILE.npz:key or FILE.parquet:column.

    Args:
        source: The file, and after a colon the key or column; an .npz or .parquet that holds
            one array only needs none.

    Raises:
        ValueError: If the file is missing, of another kind, damaged, or lacks the key.
    """
    name, _, key = source.rpartition(":")
    path, key = (Path(name), key) if name and Path(name).suffix in DOTTED else (Path(source), "")
    if path.suffix not in DOTTED:
        raise StudyError(f"{path} must be one of {', '.join(DOTTED)}")
    if not path.is_file():
        raise StudyError(f"there is no file {path}")
    try:
        if path.suffix == ".npy":
            return np.load(path, allow_pickle=False)
        return _keyed(path, key)
    except StudyError:
        raise
    except Exception as error:  # damaged files raise whatever their reader raises
        raise StudyError(f"{path} cannot be read as {path.suffix}: {_short(error)}") from None


def _keyed(path: Path, key: str) -> np.ndarray:
    """Return one array of an .npz or one column of a .parquet file."""
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as archive:
            return archive[_key(path, key, list(archive.files))]
    import pyarrow.parquet

    name = _key(path, key, pyarrow.parquet.read_schema(path).names)
    column = pyarrow.parquet.read_table(path, columns=[name]).column(name)
    return np.array(column.to_pylist())


def _key(path: Path, key: str, known: list[str]) -> str:
    """Return the key asked for, or the only one there is."""
    if not key and len(known) == 1:
        return known[0]
    if key not in known:
        got = f"got {key!r}" if key else "give one after a colon"
        raise StudyError(f"{path} holds {', '.join(known)}; {got}")
    return key


def _short(error: Exception) -> str:
    """Return the first line of an error's text."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def _pool(method: str, arrays: dict[str, np.ndarray], options: dict) -> registry.Pool:
    """Build the pool; forgetting events are counted from `correct`."""
    if not arrays:
        raise StudyError(f"give at least one of {', '.join('--' + name for name in INPUTS)}")
    wanted = registry.get(method)
    missing = [f"--{_source(name)}" for name in wanted.needs if _source(name) not in arrays]
    needs_labels = wanted.by_class or (options.get("correct_only") and "correct" not in arrays)
    if needs_labels and "labels" not in arrays:
        missing.append("--labels")
    if missing:
        raise StudyError(f"{method} needs {' and '.join(missing)}")
    fields = dict(arrays)
    if "correct" in arrays and wanted.key == "forgetting":
        fields["forgetting"] = scores.forgetting_events(arrays["correct"])
    if "labels" not in fields:
        name, values = next(iter(arrays.items()))
        n = np.shape(values)[-1 if name == "correct" else 0] if np.ndim(values) else 0
        fields["labels"] = np.zeros(n, dtype=np.int64)  # unknown, and this method asks for none
    return registry.Pool(**fields)


def _source(field: str) -> str:
    """Return the input a field of the pool comes from."""
    return "correct" if field == "forgetting" else field


def _count(k: int | None, keep: float | None, n: int) -> int:
    """Return how many to keep from a count or a share."""
    if k is not None:
        return check_k(k, n)
    if not (math.isfinite(keep) and 0 < keep <= 1):
        raise StudyError(f"--keep must lie in (0, 1], got {keep}")
    return max(1, round(keep * n))


def _origin(source: str, values: np.ndarray) -> dict[str, Any]:
    """Say where an input came from and what it held."""
    digest = hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()
    shape = [int(size) for size in values.shape]
    return {"file": source, "shape": shape, "dtype": str(values.dtype), "sha256": digest}


def _write(out: Path, selected: np.ndarray, record: dict[str, Any]) -> None:
    """Write the row numbers and the record; each appears whole or not at all."""
    rows = out.with_name(f".{out.name}.part{out.suffix}")
    note = out.with_name(f".{out.name}.part.json")
    try:
        if out.suffix == ".npy":
            np.save(rows, selected)
        else:
            rows.write_text("\n".join(["row", *map(str, selected.tolist())]) + "\n")
        note.write_text(json.dumps(record, indent=2, sort_keys=True) + "\n")
        rows.replace(out)
        note.replace(out.with_suffix(".json"))
    except OSError as error:
        raise StudyError(f"{out} cannot be written: {error.strerror}") from None
    finally:
        rows.unlink(missing_ok=True)
        note.unlink(missing_ok=True)
