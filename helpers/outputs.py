"""Row numbers, weights and the record of a selection: each file appears whole or not at all."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from helpers import StudyError

MADE_BY = "python -m helpers select"
SUFFIXES = (".npy", ".csv")


def check_out(out: str, inputs: Iterable[Path], force: bool = False) -> Path:
    """Return the output path where its files can be written and belong to nobody else.

    Args:
        out: FILE.npy, FILE.csv, or FILE without a suffix for both.
        inputs: Files that must stay as they are.
        force: Overwrite files that this command has not written; never an input.

    Raises:
        ValueError: One line that starts with --out.
    """
    path = Path(out)
    if path.suffix not in ("", *SUFFIXES) or not path.name:
        raise StudyError(f"--out must end in .npy or .csv, or have no suffix for both, got {out}")
    if not path.parent.is_dir():
        raise StudyError(f"--out: there is no folder {path.parent}")
    taken = [name for name in _names(path, weighted=True) if (path.parent / name).exists()]
    earlier = _earlier(path)
    for target in (path.parent / name for name in taken):
        if target.is_dir():
            raise StudyError(f"--out: {target} is a folder")
        if any(source.exists() and source.samefile(target) for source in inputs):
            raise StudyError(f"--out would overwrite the input {target}")
        if target.name not in earlier and not force:
            raise StudyError(
                f"--out: {target} exists and is not of an earlier selection; --force overwrites it"
            )
    return path


def _names(out: Path, weighted: bool) -> list[str]:
    """Name the files of a selection, the record last."""
    stem = out.stem if out.suffix else out.name
    names = []
    if out.suffix in ("", ".npy"):
        names += [f"{stem}.npy", *([f"{stem}-weights.npy"] if weighted else [])]
    if out.suffix in ("", ".csv"):
        names.append(f"{stem}.csv")
    return [*names, f"{stem}.json"]


def _earlier(out: Path) -> set[str]:
    """Return the files of an earlier selection of the same name, by its record."""
    record = out.parent / _names(out, weighted=False)[-1]
    try:
        found = json.loads(record.read_text(encoding="utf-8"))
        return {record.name, *found["outputs"]} if found["made_by"] == MADE_BY else set()
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def write(out: Path, rows: np.ndarray, weights: np.ndarray | None, record: dict) -> list[Path]:
    """Write rows, weights and record under temporary names, then give all their own.

    Args:
        out: What `check_out` returned.
        rows: Row numbers, shape (k,).
        weights: Shape (k,), or None.
        record: What was done; `made_by` and `outputs` (shape, sha256) are added.

    Returns:
        The files, the record last. One that an earlier selection left and this one has not,
        its weights, goes away: it would be taken for this one's.

    Raises:
        ValueError: If the disk is full or the folder cannot be written; nothing has changed.
    """
    names = _names(out, weights is not None)
    paths = [out.parent / name for name in names]
    parts = [path.with_name(f".{path.name}.part") for path in paths]
    stale = _earlier(out) & set(_names(out, weighted=True)) - set(names)
    try:
        made = {}
        for path, part in zip(paths[:-1], parts[:-1], strict=True):
            values = weights if path.name == names[1] and path.suffix == ".npy" else rows
            _write_one(part, path.suffix, values, weights)
            made[path.name] = _described(part, values)
        text = json.dumps(record | {"made_by": MADE_BY, "outputs": made}, indent=2)
        parts[-1].write_text(text + "\n", encoding="utf-8")
        for part, path in zip(parts, paths, strict=True):
            part.replace(path)
        for name in stale:
            (out.parent / name).unlink(missing_ok=True)
    except OSError as error:
        raise StudyError(f"--out: {out} cannot be written: {error.strerror or error}") from None
    finally:
        for part in parts:
            part.unlink(missing_ok=True)
    return paths


def _write_one(part: Path, suffix: str, values: np.ndarray, weights: np.ndarray | None) -> None:
    """Write one array as .npy, or row numbers with their weights as .csv."""
    if suffix == ".npy":
        header = np.lib.format.header_data_from_array_1_0(values)
        with part.open("wb") as handle:
            np.lib.format.write_array_header_1_0(handle, header)
            handle.write(np.ascontiguousarray(values).data)  # np.save would hide a full disk
        return
    with part.open("w", encoding="utf-8", newline="") as handle:
        if weights is None:
            handle.write("row\n")
            handle.writelines(f"{row}\n" for row in values)
        else:
            handle.write("row,weight\n")
            pairs = zip(values, weights, strict=True)
            handle.writelines(f"{row},{float(weight)!r}\n" for row, weight in pairs)


def _described(path: Path, values: np.ndarray) -> dict[str, object]:
    return {"shape": list(values.shape), "dtype": str(values.dtype), "sha256": sha256(path)}


def sha256(path: Path) -> str:
    """Return the checksum of a file, as `sha256sum` prints it."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
