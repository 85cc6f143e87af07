"""Texts with labels, from CSV, JSON lines or Parquet, as rows of UTF-8 bytes.

A row holds the first 1,024 bytes of a text, cut before a character that would not fit whole, and
is filled up with 0 (a NUL inside a text becomes a space). Case and punctuation stay: how a text
is read is each network's matter. An empty text stays as a row of zeros, so that row numbers are
those of the file.

Columns are found by their usual names (`tables.LABELS`, `TEXTS`) or named:
`text:PATH?text=A&label=B`; `&target=number` learns the label as a number. A `title` stands before
the text on a line of its own. CSV without a header holds the label, then one or more fields of
text, as Zhang et al. (2015) lay out the Amazon reviews (label 1..c, title, review, with backslash
and n for a line break). Separator (comma, semicolon, tab, bar) and encoding (UTF-8, UTF-16, else
Windows' cp1252) are found and said, or given: `?separator=tab&encoding=latin2`. Files may be
compressed (gzip, bzip2, xz).

Source: Conneau et al. (2017) section 4.2 reads 1,014 characters; Zhang et al. (2015) section 4
puts titles before reviews.
"""

import bz2
import codecs
import contextlib
import csv
import gzip
import io
import json
import lzma
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO

import numpy as np

from helpers import StudyError
from helpers.data import tables
from helpers.data.dataset import Listing, Split

T = 1024
BATCH = 4096
TEXTS = ("text", "review", "sentence", "content", "body", "comment", "review_text", "reviewtext")
TEXTS += ("tweet", "message", "document")
PACKED = {"": b"", ".gz": b"\x1f\x8b", ".bz2": b"BZh", ".xz": b"\xfd7zXZ"}
ENDINGS = (".parquet", *(own + end for own in (".csv", ".tsv", ".jsonl") for end in PACKED))
BOMS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


@dataclass(frozen=True)
class Layout:
    """How a file is read."""

    kind: str  # "csv", "jsonl" or "parquet"
    label: str | int  # its column's name, or number in a CSV file without a header
    texts: tuple[str | int, ...]  # columns that make up the text, joined by line breaks
    encoding: str = ""  # of CSV and JSON lines
    separator: str = ""  # of CSV
    columns: tuple[str, ...] = ()  # of a CSV file; empty without a header


def files(name: str, path: Path) -> list[Path]:
    """List every file that decides what is loaded."""
    return sum(tables.find(name, path, ENDINGS)[0].values(), [])


def listing(
    name: str, path: Path, options: dict[str, str], rows: tuple[int, int] | None
) -> Listing:
    """Read labels and class names, and prepare the reading of the texts; see `images.listing`.

    Raises:
        StudyError: If a file or column is missing, a file is damaged or in another encoding, or
            the labels are unusable.
    """
    found, notes = tables.find(name, path, ENDINGS)
    layouts = {file: _layout(file, options) for part in found.values() for file in part}
    labels = {}
    for split, part in found.items():
        values = [own for f in part for (own,) in _fields(f, layouts[f], (layouts[f].label,))]
        where = f"{part[0]} column {layouts[part[0]].label}"
        labels[split] = tables.labels_of(where, values, "target" in options)
    first, layout = next(iter(layouts.items()))
    stated = tables.stated_names(first, str(layout.label)) if layout.kind == "parquet" else None
    notes += _guessed(layout)

    def items(split: str, rows: np.ndarray) -> Iterator[str]:
        """Yield the texts of some rows, ascending; reads no further than the last."""
        every = (
            _joined(fields, layouts[file])
            for file in found[split]
            for fields in _fields(file, layouts[file], layouts[file].texts)
        )
        at = 0
        for row in rows.tolist():
            yield next(islice(every, row - at, None))
            at = row + 1

    return tables.listing(name, labels, stated, rows, items, notes, unit=options.get("unit", ""))


def decoder(splits: dict[str, Split]) -> tuple[tuple[int, ...], Callable, Callable]:
    """Shape of a row, what reads a split (`batches`), and what tells notes afterwards."""
    return (T,), batches, list


def batches(split: Split) -> Iterator[tuple[np.ndarray, list]]:
    """Yield a split as uint8 (at most BATCH, T), each with an empty list: no text is broken."""
    texts = split.items()
    while held := list(islice(texts, BATCH)):
        yield as_rows(held), []


def as_rows(texts: list[str]) -> np.ndarray:
    """Turn texts into rows of bytes, uint8, shape (n, T), filled up with 0."""
    rows = b"".join(_cut(text).ljust(T, b"\0") for text in texts)
    return np.frombuffer(rows, dtype=np.uint8).reshape(len(texts), T)


def _cut(text: str) -> bytes:
    """Encode a text, at most T bytes and whole characters."""
    raw = text.strip()[:T].replace("\0", " ").encode(errors="replace")
    end = min(T, len(raw))
    while end < len(raw) and raw[end] & 0xC0 == 0x80:  # the middle of a character
        end -= 1
    return raw[:end]


def _joined(fields: tuple, layout: Layout) -> str:
    text = "\n".join(str(field or "").strip() for field in fields)
    return text.replace("\\n", "\n") if isinstance(layout.label, int) else text


def _guessed(layout: Layout) -> list[str]:
    notes = []
    if layout.encoding not in ("", "utf-8", "utf-8-sig"):
        notes.append(f"read as {layout.encoding}")
    if layout.separator not in ("", ","):
        notes.append(f"separator {layout.separator!r}")
    if isinstance(layout.label, str) and (layout.texts[-1], layout.label) != ("text", "label"):
        notes.append(f"text from {' and '.join(map(str, layout.texts))}, label from {layout.label}")
    return notes


# Files


def _layout(file: Path, options: dict[str, str]) -> Layout:
    with file.open("rb") as opened:
        magic = opened.read(4)
    if magic == b"PAR1" or file.suffix.lower() == ".parquet":
        schema = tables.opened(file).schema_arrow
        label, texts = _columns(file, schema.names, options)
        for column in texts:
            if "string" not in str(kind := schema.field(column).type):
                raise StudyError(f"{file}: column {column} is {kind}, expected text")
        return Layout("parquet", label, texts)
    if magic.startswith(b"PK"):
        raise StudyError(
            f"{file} is a zip archive or a spreadsheet, expected CSV, JSONL or Parquet"
        )
    encoding = options.get("encoding") or _encoding(file)
    if (first := next(_lines(file, encoding), "")).lstrip().startswith("{"):
        return Layout("jsonl", *_columns(file, list(_json(file, 1, first)), options), encoding)
    return _csv_layout(file, encoding, options)


def _columns(
    file: Path | str, names: Sequence[str], options: dict[str, str]
) -> tuple[str, tuple[str, ...]]:
    label = tables.column_of(file, names, options.get("label"), tables.LABELS, "label")
    text = tables.column_of(file, names, options.get("text"), TEXTS, "text")
    titles = [] if "text" in options else [own for own in names if own.strip().lower() == "title"]
    return label, (*titles, text)


def _csv_layout(file: Path, encoding: str, options: dict[str, str]) -> Layout:
    """Try the separators: a header with both columns, or records that begin with a number."""
    asked = options.get("separator")
    headers, error = {}, None
    for separator in [{"tab": "\t"}.get(asked, asked)] if asked else [",", ";", "\t", "|"]:
        try:
            first = next(_records(file, encoding, separator), None)
        except StudyError as found:  # quotes that do not fit this separator
            error = error or found
            continue
        if first is None:
            raise StudyError(f"{file} is empty, expected records of a label and a text")
        headers[separator] = names = [own.strip() for own in first]
        with contextlib.suppress(StudyError):
            return Layout("csv", *_columns(file, names, options), encoding, separator, tuple(names))
        is_number = len(names) > 1 and tables.whole(names[0])[1]
        if is_number and not {"text", "label"} & options.keys():
            return Layout("csv", 0, tuple(range(1, len(names))), encoding, separator)
    if not headers:
        raise error
    separator, names = max(headers.items(), key=lambda item: len(item[1]))
    _columns(f"{file} ({encoding}, separator {separator!r})", names, options)  # raises
    raise AssertionError


def _fields(file: Path, layout: Layout, wanted: Sequence[str | int]) -> Iterator[tuple]:
    if layout.kind == "parquet":
        with tables.readable(file):
            for batch in tables.opened(file).iter_batches(BATCH, columns=list(wanted)):
                yield from zip(*(batch[own].to_pylist() for own in wanted), strict=True)
    elif layout.kind == "jsonl":
        for number, line in enumerate(_lines(file, layout.encoding), 1):
            if line.strip():
                record = _json(file, number, line)
                if wanted[-1] not in record:  # the label or the text; a title may be left out
                    raise StudyError(f"{file} line {number}: has no {wanted[-1]}")
                yield tuple(record.get(own) for own in wanted)
    else:
        n = len(layout.columns) or len(layout.texts) + 1
        places = [layout.columns.index(own) if layout.columns else own for own in wanted]
        records = _records(file, layout.encoding, layout.separator)
        for row, record in enumerate(islice(records, bool(layout.columns), None)):
            if len(record) != n:
                shown = f"{len(record)} fields (separator {layout.separator!r}), expected {n}"
                raise StudyError(f"{file} row {row}: {shown}")
            yield tuple(record[place] for place in places)


def _records(file: Path, encoding: str, separator: str) -> Iterator[list[str]]:
    """Yield the records of a CSV file; empty lines are passed over."""
    if len(separator) != 1:
        raise StudyError(f"{file}: separator {separator!r}, expected one sign or tab")
    csv.field_size_limit(2**27)
    lines = _lines(file, encoding)
    reader = csv.reader(lines, delimiter=separator, skipinitialspace=True, strict=True)
    try:
        yield from filter(None, reader)
    except csv.Error as error:
        where = f"{file} line {reader.line_num} (separator {separator!r})"
        raise StudyError(f'{where}: {error}, a quote inside "quotes" is doubled') from error


def _json(file: Path, number: int, line: str) -> dict:
    with contextlib.suppress(ValueError, RecursionError):
        if isinstance(record := json.loads(line), dict):
            return record
    raise StudyError(f"{file} line {number}: expected one JSON object a line")


def _lines(file: Path, encoding: str) -> Iterator[str]:
    """Yield the lines of a file with their ends."""
    number = 0
    try:
        with _opened(file) as opened:
            if encoding.lower().replace("-", "").startswith("utf16"):  # a line's end is two bytes
                yield from io.StringIO(opened.read().decode(encoding), newline="")
                return
            for line in opened:
                number += 1
                yield line.decode(encoding)
    except UnicodeDecodeError as error:
        byte = f"byte 0x{error.object[error.start]:02x} is not {encoding}"
        raise StudyError(f"{file} line {number}: {byte}, ?encoding=NAME names another") from None
    except LookupError:
        raise StudyError(f"{file}: Python knows no encoding {encoding!r}") from None


@contextlib.contextmanager
def _opened(file: Path) -> Iterator[IO[bytes]]:
    """Open a file, unpacked."""
    with file.open("rb") as raw:
        magic = raw.read(5)
    end = next(own for own in reversed(PACKED) if magic.startswith(PACKED[own]))
    opener = {"": open, ".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}[end]
    try:
        with opener(file, "rb") as opened:
            yield opened
    except (OSError, EOFError, lzma.LZMAError) as error:
        raise StudyError(f"{file} cannot be read to its end: {error}") from error


def _encoding(file: Path) -> str:
    """UTF-8 or UTF-16 where the bytes say so, else Windows' cp1252."""
    try:
        with _opened(file) as opened:
            for number, line in enumerate(opened):
                if not number:
                    for bom, encoding in BOMS.items():
                        if line.startswith(bom):
                            return encoding
                    if line.count(0) > len(line) // 4:
                        return "utf-16-le" if line[0] else "utf-16-be"
                line.decode()
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"
