"""Files of the select command: arrays in, rows and weights with their record out."""

from __future__ import annotations

import hashlib
import html
import io
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from helpers import StudyError

MADE_BY = "data-selection select"
NAMES = ("rows.npy", "rows.csv", "weights.npy", "files.txt", "source-rows.txt", "page.html",
         "record.json")  # fmt: skip
COMMENTS = ("#", ";")  # how lines begin that rsync takes for comments


@dataclass(frozen=True)
class Answer:
    """A finished selection.

    Attributes:
        out: What `check_out` returned.
        rows: Row numbers, shape (k,), the first to keep first.
        weights: Shape (k,), or None.
        record: What was asked and done.
        places: "file" or "source_row" to where the rows come from, (k,) texts; or nothing.
        page: HTML of the page; or None.
    """

    out: Path
    rows: np.ndarray
    weights: np.ndarray | None
    record: dict[str, Any]
    places: Mapping[str, Sequence[str]] = field(default_factory=dict)
    page: bytes | None = None


def read(name: str, source: str) -> tuple[np.ndarray, dict[str, Any]]:
    """Return the array of a flag, mapped where it is an .npy, and what the record says of it.

    Args:
        name: The flag without its dashes.
        source: FILE.npy, FILE.npz:key or FILE.parquet:column[,column ...]; no key is needed where
            there is but one.
    """
    found = None if Path(source).is_file() else re.fullmatch(r"(.+\.(?:npz|parquet)):(.*)", source)
    path, key = (Path(found[1]), found[2]) if found else (Path(source), "")
    readers = {".npy": _npy, ".npz": _npz, ".parquet": _parquet}
    if path.suffix not in readers or not path.is_file():
        raise StudyError(f"--{name}: there is no file {path}, or it is no .npy, .npz or .parquet")
    try:
        values = readers[path.suffix](path, key)
    except MemoryError:
        raise
    except Exception as error:  # damaged files raise whatever their reader raises
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise StudyError(f"--{name}: {source} cannot be read: {first}") from None
    if path.suffix == ".parquet" and name == "correct":
        values = values.T
    if path.suffix == ".parquet" and name in ("features", "gradients") and values.ndim == 1:
        values = values[:, None]
    with path.open("rb") as handle:
        digest = hashlib.file_digest(handle, "sha256").hexdigest()
    told = {"file": str(path), "key": key, "shape": values.shape, "sha256": digest}
    if name == "labels" and values.dtype.kind in "USO" and values.ndim == 1:
        classes, values = np.unique(values.astype(str), return_inverse=True)
        told["classes"] = classes.tolist()
    if values.dtype.kind not in "biuf" or not values.size:
        raise StudyError(f"--{name}: {source} must hold numbers, got {values.dtype} {values.shape}")
    if name == "labels":
        if (values != np.floor(values)).any() or values.min() < 0:
            raise StudyError("--labels must be whole class numbers from 0 upwards, or strings")
        values = values.astype(np.int64)
    if name == "norms" and not np.isfinite(values).all():
        raise StudyError("--norms must be finite")
    return values, told


def _npy(path: Path, _: str) -> np.ndarray:
    return np.load(path, mmap_mode="r")


def _npz(path: Path, key: str) -> np.ndarray:
    with np.load(path) as archive:
        return archive[_key(key, archive.files)]


def _key(key: str, known: Sequence[str]) -> str:
    if key not in known and (key or len(known) != 1):
        raise StudyError(f"it holds {', '.join(known)}, got {key or 'no name after a colon'}")
    return key or known[0]


def _parquet(path: Path, key: str) -> np.ndarray:
    """Return a column (n,), or (n, d) of one column of lists or several of numbers."""
    import pyarrow.parquet

    with pyarrow.parquet.ParquetFile(path) as file:
        known = file.schema_arrow.names
        asked = [key] if key in known or "," not in key else key.split(",")
        table = file.read([_key(name.strip(), known) for name in asked])
    columns = [np.concatenate([_rows(part) for part in c.chunks]) for c in table.columns]
    return columns[0] if len(columns) == 1 else np.stack(columns, axis=1)


def _rows(column: Any) -> np.ndarray:
    """Return a part of a column (b,), or (b, width) of lists."""
    from pyarrow import compute, types

    column = getattr(column, "storage", column)  # a tensor column's own lists
    if hasattr(column, "dictionary"):
        column = column.dictionary_decode()
    flat, n = column, len(column)
    is_lists = (types.is_list, types.is_large_list, types.is_fixed_size_list)
    if any(is_one(column.type) for is_one in is_lists):
        flat = column.flatten()
        widths = compute.unique(compute.list_value_length(column))
        if len(widths) > 1 or not len(flat):
            raise StudyError("its lists must have one length from 1 upwards")
    if column.null_count or flat.null_count:
        raise StudyError("it has missing values")
    values = flat.to_numpy(zero_copy_only=False)
    return values if flat is column else values.reshape(n, -1)


def path_of(out: Path, name: str) -> Path:
    """Return where a file of NAMES goes: into a folder, or beside a single .npy or .csv."""
    if not out.suffix:
        return out / name
    beside = {f"rows{out.suffix}": out.name, "record.json": f"{out.stem}.json"}
    return out.with_name(beside.get(name, f"{out.stem}-{name}"))


def check_out(out: str, asked: Mapping[str, Any], inputs: Sequence[Path], force: bool) -> Path:
    """Return the output path where it is free or holds this very selection.

    Args:
        out: A folder (no ending), FILE.npy or FILE.csv.
        asked: The part of the record that says what was asked.
        inputs: Files that stay as they are, whatever `force`.
        force: Overwrite what is not this selection.
    """
    path = Path(out)
    if path.suffix not in ("", ".npy", ".csv") or path.name in ("", ".npy", ".csv"):
        raise StudyError(f"--out must be a folder's name without ending, .npy or .csv, got {out}")
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise StudyError(f"--out: {path.parent} is no folder that can be written")
    places = [path_of(path, name) for name in NAMES]
    if any(i.samefile(place) for place in places if place.exists() for i in inputs):
        raise StudyError(f"--out: {out} would overwrite an input")
    is_folder = path.is_dir() and not path.suffix
    taken = any(path.iterdir()) if is_folder else path.exists() or places[-1].exists()
    same = earlier(path).items() >= json.loads(json.dumps(dict(asked))).items()
    if path.exists() and is_folder == bool(path.suffix) or (taken and not same and not force):
        told = "or its record exists and is not this selection; take another name, or --force"
        raise StudyError(f"--out: {out} {told}")
    return path


def earlier(out: Path) -> dict[str, Any]:
    """Return the record of a selection that lies there already, {} without one of ours."""
    try:
        found = json.loads(path_of(out, "record.json").read_text(encoding="utf-8"))
        return found if found["made_by"] == MADE_BY else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def write(answer: Answer) -> None:
    """Write a selection: all files under temporary names first, then each takes its own.

    Raises:
        StudyError: If the disk is full or the folder cannot be written; nothing has changed.
    """
    out, rows, weights = answer.out, answer.rows, answer.weights
    columns = {"row": rows, **({} if weights is None else {"weight": weights}), **answer.places}
    table = pd.DataFrame(columns).to_csv(index=False)
    content = {"rows.npy": _packed(rows), "rows.csv": _encoded(table)}
    if weights is not None and out.suffix != ".csv":
        content["weights.npy"] = _packed(weights)
    if out.suffix:
        del content["rows.csv" if out.suffix == ".npy" else "rows.npy"]
    for column, values in {} if out.suffix else answer.places.items():
        lines = [f"./{value}" if value.startswith(COMMENTS) else value for value in values]
        content[f"{column.replace('_', '-')}s.txt"] = _encoded("".join(f"{v}\n" for v in lines))
    if answer.page:
        content["page.html"] = answer.page
    files = {path_of(out, name): part for name, part in content.items()}
    sums = {str(path): hashlib.sha256(part).hexdigest() for path, part in files.items()}
    record = {**answer.record, "made_by": MADE_BY, "outputs": sums}
    files[path_of(out, "record.json")] = _encoded(json.dumps(record, indent=2) + "\n")
    _replace(out, files)


def _replace(out: Path, files: dict[Path, bytes]) -> None:
    """Write files, and remove what an earlier selection left in their place."""
    ours = earlier(out).get("outputs", {})
    stale = [path for name in NAMES if str(path := path_of(out, name)) in ours]
    parts = {path: path.with_name(f".{path.name}.part") for path in files}
    made = not out.suffix and not out.exists()
    try:
        if made:
            out.mkdir()
        for path, part in parts.items():
            part.write_bytes(files[path])
        for path, part in parts.items():
            part.replace(path)
        for path in set(stale) - set(files):
            path.unlink(missing_ok=True)
    except OSError as error:
        raise StudyError(f"--out: {out} cannot be written: {error.strerror}") from None
    finally:
        for part in parts.values():
            part.unlink(missing_ok=True)
        if made and out.is_dir() and not any(out.iterdir()):
            out.rmdir()


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")  # names of files need not be UTF-8


def _packed(values: np.ndarray) -> bytes:
    buffer = io.BytesIO()  # np.save into a file would hide a full disk
    np.save(buffer, values)
    return buffer.getvalue()


STYLE = """
body{margin:0 auto;max-width:66rem;padding:1.5rem 1rem 3rem;color:#1b1f24;background:#fff;
font:16px/1.5 system-ui,"Segoe UI",Roboto,sans-serif}
h1{font-size:1.7rem;line-height:1.2}h2{font-size:1.25rem;margin:2.2rem 0 .4rem}
p{max-width:46rem}a.anchor-link{display:none}img{max-width:100%;height:auto}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.95rem}
th,td{padding:.25rem .8rem;text-align:right;border-bottom:1px solid #e4e8ec}
th,td:first-child{text-align:left}th{color:#57606a;font-weight:600}thead th{vertical-align:bottom}
.facts td{text-align:left;overflow-wrap:anywhere}.facts th{white-space:nowrap}
pre{background:#f4f6f8;padding:.7rem;white-space:pre-wrap;overflow-wrap:anywhere;font-size:.85rem}
"""


def page_of(notebook: Path, title: str) -> bytes:
    """Return an executed notebook as one HTML page that loads nothing and runs nothing.

    Cells tagged `not-on-page` and all code are left out; pictures lie inside.
    """
    from nbconvert import HTMLExporter
    from traitlets.config import Config

    settings = Config({"TagRemovePreprocessor": {"remove_cell_tags": ["not-on-page"]}})
    settings.TagRemovePreprocessor.enabled = True
    exporter = HTMLExporter(config=settings, template_name="basic", exclude_input=True,
                            exclude_output_prompt=True, embed_images=True)  # fmt: skip
    body, _ = exporter.from_filename(str(notebook))
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    title = html.escape(title.encode("utf-8", "replace").decode())
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{STYLE}</style></head><body><h1>{title}</h1>{body}</body></html>\n"
    ).encode()
