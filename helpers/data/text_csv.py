"""Labels and texts of a CSV file, record by record, so that millions need little memory."""

import csv
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from helpers import StudyError

_WHOLE = re.compile(r"\s*[+-]?\d{1,18}\s*", re.ASCII)


@dataclass(frozen=True)
class Layout:
    """Where a file's columns are.

    Attributes:
        has_header: Whether the first record names the columns.
        label: Column of the label.
        texts: Columns whose fields, joined by line breaks, are the text.
        n_columns: Fields that every record must have.
    """

    has_header: bool
    label: int
    texts: tuple[int, ...]
    n_columns: int


def layout_of(file: Path) -> Layout:
    """Find the columns from the first record.

    Raises:
        StudyError: If the file cannot be read, is empty, or the record is neither a header with
            `label` and `text` nor a label followed by text.
    """
    first = next((record for _, record in _records(file)), None)
    if first is None:
        raise StudyError(f"{file} is empty, expected records of a label and a text")
    names = [cell.strip().lower() for cell in first]
    if {"label", "text"} <= set(names):
        texts = [names.index(name) for name in ("title", "text") if name in names]
        return Layout(True, names.index("label"), tuple(texts), len(first))
    if len(first) < 2 or not _WHOLE.fullmatch(first[0]):
        raise StudyError(
            f"{file} begins with {_short(', '.join(first))}, expected a header with the columns "
            "label and text, or records of a whole number and a text"
        )
    return Layout(False, 0, tuple(range(1, len(first))), len(first))


def csv_labels(file: Path) -> np.ndarray:
    """Read the labels as they stand in the file, shape (n,).

    Returns:
        int64 where the first one is a whole number, else the names of classes.

    Raises:
        StudyError: As `layout_of`; or a record lacks a column, or its label is missing or no whole
            number where the first one is.
    """
    layout = layout_of(file)
    labels, is_whole = [], True
    for where, record in _rows(file, layout):
        cell = record[layout.label].strip()
        if not cell:
            raise StudyError(f"{where}: no label, expected a whole number or the name of a class")
        is_number = _WHOLE.fullmatch(cell) is not None
        is_whole = is_whole and (is_number or bool(labels))
        if is_whole and not is_number:
            raise StudyError(f"{where}: label {_short(cell)}, expected a whole number")
        labels.append(int(cell) if is_whole else sys.intern(cell))
    return np.array(labels, dtype=np.int64 if is_whole else str)


def csv_texts(file: Path) -> Iterator[str]:
    r"""Yield the texts of all rows; without a header `\n` in a field is a line break."""
    layout = layout_of(file)
    for _, record in _rows(file, layout):
        text = "\n".join(record[column].strip() for column in layout.texts)
        yield text if layout.has_header else text.replace("\\n", "\n")


def _rows(file: Path, layout: Layout) -> Iterator[tuple[str, list[str]]]:
    """Yield (where, record) of all records but the header."""
    records = _records(file)
    if layout.has_header:
        next(records)
    for where, record in records:
        if len(record) != layout.n_columns:
            raise StudyError(
                f"{where}: {len(record)} fields, expected {layout.n_columns} as in the first line"
            )
        yield where, record


def _records(file: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield (where, record); empty lines are passed over."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.reader(lines)
            try:
                for record in reader:
                    if record:
                        yield f"{file} line {reader.line_num}", record
            except UnicodeDecodeError as error:
                raise StudyError(
                    f"{file} after line {reader.line_num}: {error.reason} "
                    f"(byte 0x{error.object[error.start]:02x}), expected text in UTF-8"
                ) from error
            except csv.Error as error:
                raise StudyError(
                    f"{file} line {reader.line_num}: {error}, expected fields with commas, line "
                    'breaks or quotes in "double quotes", a quote inside doubled'
                ) from error
    except OSError as error:
        raise StudyError(f"{file} cannot be read: {error.strerror}") from error


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:60]}...")
