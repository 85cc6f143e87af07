"""What a selection writes: each file appears whole or not at all, and all of them or none."""

import csv
import hashlib
import json
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from helpers import StudyError

MADE_BY = "python -m helpers select"
SUFFIXES = (".npy", ".csv")
REPORTS = (".html", ".htm")
# How much of a report is read to find the mark of this command.
HEAD_BYTES = 2000


@dataclass(frozen=True)
class Sources:
    """Where the chosen rows come from.

    Attributes:
        column: `file` or `source_row`, a column of the .csv; the list of its own is named by it.
        values: One text a row, shape (k,), without line breaks.
    """

    column: str
    values: Sequence[str]


@dataclass(frozen=True)
class Report:
    """A page to be written: where, and its HTML."""

    path: Path
    text: str


def check_out(out: str, inputs: Iterable[Path], force: bool = False, column: str = "") -> Path:
    """Return the output path where its files can be written and belong to nobody else.

    Args:
        out: FILE.npy, FILE.csv, or FILE without a suffix for both.
        inputs: Files that must stay as they are.
        force: Overwrite files that this command has not written; never an input.
        column: That of the `Sources` to be written, if any.

    Raises:
        ValueError: One line that starts with --out.
    """
    path = Path(out)
    if path.suffix not in ("", *SUFFIXES) or not path.name:
        raise StudyError(f"--out must end in .npy or .csv, or have no suffix for both, got {out}")
    if path.name in SUFFIXES:
        raise StudyError(f"--out must have a name before its suffix, got {out}")
    if not path.suffix and path.exists() and not path.is_file():
        what = "a folder; name a file in it" if path.is_dir() else "no file"
        raise StudyError(f"--out: {out} is {what}")
    _check_folder("out", path.parent)
    names = _names(path, weighted=True, column=column)
    taken = [name for name in names if (path.parent / name).exists()]
    earlier = _earlier(path)
    rows_of = {f"{stem_of(path)}{suffix}" for suffix in SUFFIXES}
    for name in sorted((earlier & rows_of).difference(names)):
        if (path.parent / name).exists() and not force:
            raise StudyError(
                f"--out: {path.parent / names[-1]} is the record of {name}, an earlier selection "
                "that would lose it; take another name, or --force"
            )
    for target in (path.parent / name for name in taken):
        if target.is_dir():
            raise StudyError(f"--out: {target} is a folder")
        if any(source.exists() and source.samefile(target) for source in inputs):
            raise StudyError(f"--out would overwrite the input {target}")
        if target.name not in earlier and not force:
            raise StudyError(
                f"--out: {target} exists and is in no record of an earlier selection; "
                "--force overwrites it"
            )
    return path


def of_these_data(out: str, fingerprint: str) -> str:
    """Return a name for files, marked where an earlier selection from other data has that name.

    The name has no suffix; the fingerprint is that of the data (`Dataset.fingerprint`).
    """
    earlier = _record(Path(out)).get("data", {}).get("fingerprint", fingerprint)
    return out if earlier == fingerprint else f"{out}-{fingerprint[:8]}"


def check_report(report: str | None, out: Path, force: bool = False) -> Path:
    """Return where the report goes, beside `out` by default, where it can be written.

    Args:
        report: FILE.html, or None.
        out: What `check_out` returned.
        force: Overwrite a file that this command has not written.

    Raises:
        ValueError: One line that starts with --report.
    """
    path = Path(report) if report is not None else out.with_name(f"{stem_of(out)}.html")
    if path.suffix.lower() not in REPORTS:
        raise StudyError(f"--report must end in .html, got {report}")
    _check_folder("report", path.parent)
    if path.is_dir():
        raise StudyError(f"--report: {path} is a folder")
    other = path.with_suffix("")
    if path.exists() and not force:
        if _earlier(other) and other.resolve() != out.with_name(stem_of(out)).resolve():
            raise StudyError(
                f"--report: {path} is the page of an earlier selection, {other}.json; "
                "take another name, or --force"
            )
        with path.open("rb") as handle:
            if MADE_BY.encode() not in handle.read(HEAD_BYTES):
                raise StudyError(
                    f"--report: {path} exists and is no report of this command; "
                    "--force overwrites it"
                )
    return path


def _check_folder(flag: str, folder: Path) -> None:
    """Raise unless files can be made in a folder."""
    if not folder.is_dir():
        raise StudyError(f"--{flag}: there is no folder {folder}")
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise StudyError(f"--{flag}: {folder} cannot be written: {error.strerror}") from None


def stem_of(out: Path) -> str:
    """Return what the names of all files of a selection begin with."""
    return out.stem if out.suffix else out.name


def planned(out: Path, weighted: bool, column: str = "") -> list[Path]:
    """Return the files that `write` will make of a selection, the record last."""
    return [out.parent / name for name in _names(out, weighted, column)]


def _names(out: Path, weighted: bool, column: str = "") -> list[str]:
    """Name the files of a selection, the record last."""
    stem = stem_of(out)
    names = []
    if out.suffix in ("", ".npy"):
        names += [f"{stem}.npy", *([f"{stem}-weights.npy"] if weighted else [])]
    if out.suffix in ("", ".csv"):
        names.append(f"{stem}.csv")
    if column:
        names.append(f"{stem}-{column.replace('_', '-')}s.txt")
    return [*names, f"{stem}.json"]


def _possible(out: Path) -> set[str]:
    """Name every file that a selection may leave under this name."""
    names = {f"{stem_of(out)}.html"}
    return names.union(*(_names(out, True, column) for column in ("file", "source_row")))


def _record(out: Path) -> dict:
    """Return the record of an earlier selection of the same name, {} without one of ours."""
    record = out.parent / _names(out, weighted=False)[-1]
    try:
        found = json.loads(record.read_text(encoding="utf-8"))
        return found if found["made_by"] == MADE_BY else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _earlier(out: Path) -> set[str]:
    """Return the files of an earlier selection of the same name, by its record."""
    found = _record(out)
    return {_names(out, weighted=False)[-1], *found["outputs"]} if found else set()


def write(
    out: Path,
    rows: np.ndarray,
    weights: np.ndarray | None,
    record: dict,
    sources: Sources | None = None,
    report: Report | None = None,
) -> list[Path]:
    """Write rows, weights and record under temporary names, then give all their own.

    Args:
        out: What `check_out` returned.
        rows: Row numbers, shape (k,).
        weights: Shape (k,), or None.
        record: What was done; `made_by` and `outputs` (shape, sha256) are added.
        sources: Where the rows come from, or None.
        report: The page, or None.

    Returns:
        The files, the record last. One that an earlier selection left and this one has not,
        its weights, goes away: it would be taken for this one's.

    Raises:
        ValueError: If the disk is full or the folder cannot be written; nothing has changed.
    """
    column = sources.column if sources else ""
    writers = {
        out.parent / name: _writer(out, name, rows, weights, sources)
        for name in _names(out, weights is not None, column)[:-1]
    }
    if report is not None:
        writers[report.path] = partial(_write_text, text=report.text)
    paths = [*writers, out.parent / _names(out, weighted=False)[-1]]
    parts = [path.with_name(f".{path.name}.part") for path in paths]
    stale = _earlier(out) & _possible(out) - {path.name for path in paths}
    try:
        made = {}
        for (path, writer), part in zip(writers.items(), parts[:-1], strict=True):
            name = path.name if path.parent == out.parent else str(path)
            made[name] = _described(part, writer(part))
        text = json.dumps(record | {"made_by": MADE_BY, "outputs": made}, indent=2)
        _write_text(parts[-1], text + "\n")
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


def _described(part: Path, facts: dict[str, object]) -> dict[str, object]:
    return facts | {"sha256": sha256(part)}


def _writer(
    out: Path,
    name: str,
    rows: np.ndarray,
    weights: np.ndarray | None,
    sources: Sources | None,
) -> Callable[[Path], dict[str, object]]:
    """Return what writes a file of this name and describes it."""
    if name == f"{stem_of(out)}-weights.npy" and weights is not None:
        return partial(_write_array, values=weights)
    if name.endswith(".npy"):
        return partial(_write_array, values=rows)
    if name.endswith(".txt"):
        return partial(_write_text, text="".join(f"{_listed(value)}\n" for value in sources.values))
    return partial(_write_table, rows=rows, weights=weights, sources=sources)


def _listed(value: str) -> str:
    """Return a line of a list; rsync takes lines that begin with # or ; for comments."""
    return f"./{value}" if value[:1] in ("#", ";") else value


def _write_array(part: Path, values: np.ndarray) -> dict[str, object]:
    header = np.lib.format.header_data_from_array_1_0(values)
    with part.open("wb") as handle:
        np.lib.format.write_array_header_1_0(handle, header)
        handle.write(np.ascontiguousarray(values).data)  # np.save would hide a full disk
    return {"shape": list(values.shape), "dtype": str(values.dtype)}


def _write_table(
    part: Path, rows: np.ndarray, weights: np.ndarray | None, sources: Sources | None
) -> dict[str, object]:
    """Write row numbers with what is known of them."""
    columns: dict[str, Sequence[object]] = {"row": rows.tolist()}
    if weights is not None:
        columns["weight"] = [repr(float(weight)) for weight in weights]
    if sources is not None:
        columns[sources.column] = sources.values
    # names of files need not be UTF-8; they are written as the bytes they are
    with part.open("w", encoding="utf-8", errors="surrogateescape", newline="") as handle:
        table = csv.writer(handle, lineterminator="\n")
        table.writerow(columns)
        table.writerows(zip(*columns.values(), strict=True))
    return {"shape": list(rows.shape), "dtype": str(rows.dtype)}


def _write_text(part: Path, text: str) -> dict[str, object]:
    part.write_text(text, encoding="utf-8", errors="surrogateescape", newline="")
    return {}


def sha256(path: Path) -> str:
    """Return the checksum of a file, as `sha256sum` prints it."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
