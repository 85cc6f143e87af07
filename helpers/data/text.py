"""Texts with class labels, from Parquet or CSV, as rows of UTF-8 bytes.

A row holds the first 1,024 bytes of a text, cut before a character that would not fit whole, and
is filled up with 0 (a NUL inside a text becomes a space). Case and punctuation stay: how a text
is read is each network's matter. An empty text stays as a row of zeros, so that row numbers are
those of the file.

- Parquet: columns `text` and `label` (`rating` for `amazon-ratings`).
- CSV with a header that names `label` and `text`; other columns are passed over.
- CSV without one: the label, then one or more fields of text, as Zhang et al. (2015) lay out the
  Amazon reviews (label 1..c, title, review, with backslash and n for a line break).

Where a file has a `title` it stands before the text on a line of its own, as it does there.
Labels are whole numbers 0..c-1 or 1..c; the smallest training label says which. Or they are names
of classes, which are sorted; a CSV with such has a header. Files are
`train.*` with `test.*` or `val.*` in a folder (with both, `val` is the validation set), or a
single one, which is split 80/20 per class by hashes of its row numbers. Rows keep their order.

Source: Conneau et al. (2017) section 4.2 reads 1,014 characters; Zhang et al. (2015) section 4
puts titles before reviews.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from helpers import StudyError
from helpers.data import parquet
from helpers.data.dataset import check_labels
from helpers.data.names import kept_rows, parse
from helpers.data.splitting import as_splits, rows_by_hash
from helpers.data.text_csv import csv_labels, csv_texts

T = 1024
BATCH = 4096
ENDINGS = (".parquet", ".csv")
# Blitzer's reviews carry 1, 2, 4 and 5 stars: no class stands for the 3 that nobody gave.
RATINGS = {"amazon-ratings": "rating"}


@dataclass(frozen=True)
class Encoded:
    """One split before its texts are read.

    Attributes:
        labels: int64 class indices, shape (n,).
        file: Where the texts are.
        rows: Their rows in the file, ascending, shape (n,).
    """

    labels: np.ndarray
    file: Path
    rows: np.ndarray


def find(name: str, path: Path) -> dict[str, Path]:
    """Find the files of a set of texts.

    Args:
        name: Data set, for the message.
        path: A `.parquet` or `.csv` file, or a folder with `train.*` and `test.*` or `val.*`.

    Returns:
        File by split ("train", "test", perhaps "valid"), or {"all": file} for a single file.

    Raises:
        StudyError: If the path is missing, a file ends otherwise, or the folder lacks a file.
    """
    if path.is_file() and path.suffix.lower() in ENDINGS:
        return {"all": path}
    there = {
        split: path / f"{split}{ending}"
        for split in ("train", "test", "val")
        for ending in reversed(ENDINGS)
        if (path / f"{split}{ending}").is_file()
    }
    if "train" not in there or len(there) < 2:
        found = ", ".join(sorted(file.name for file in there.values())) or "none of them"
        raise StudyError(
            f"{name}: expected a .csv or .parquet file, or a folder with train.csv and test.csv "
            f"(or .parquet), at {path} (there: {'a file' if path.is_file() else found})"
        )
    return as_splits(there)


def encoded(
    name: str, path: Path, rows: tuple[int, int] | None
) -> tuple[dict[str, Encoded], tuple[str, ...]]:
    """Read labels and class names, and prepare the reading of the texts.

    Args:
        name: Data set; `amazon-ratings` takes its classes from the column `rating`.
        path: As in `find`.
        rows: Slice (training rows, test rows), or None for everything.

    Returns:
        Splits ("train", "test", perhaps "valid") before reading, and the class names.

    Raises:
        StudyError: If a file or column is missing, a file is damaged or not in UTF-8, or the
            labels are unusable.
    """
    files = find(name, path)
    column = RATINGS.get(parse(name)[0], "label")
    labels = {split: _labels(file, column) for split, file in files.items()}
    first = next(iter(labels))
    known, class_names = _classes(name, files[first], labels[first], column)
    for split, values in labels.items():
        labels[split] = parquet.indices(name, split, values, known)
        if split == first:
            check_labels(name, "training", labels[split], class_names)
    chosen = {split: np.arange(len(values)) for split, values in labels.items()}
    if "all" in files:
        chosen = rows_by_hash(name, labels["all"])
        files, labels = dict.fromkeys(chosen, files["all"]), dict.fromkeys(chosen, labels["all"])
    n_train, n_test = kept_rows(name, rows, len(chosen["train"]), len(chosen["test"]))
    chosen |= {"train": chosen["train"][:n_train], "test": chosen["test"][:n_test]}
    splits = {key: Encoded(labels[key][kept], files[key], kept) for key, kept in chosen.items()}
    return splits, class_names


def batches(split: Encoded) -> Iterator[np.ndarray]:
    """Read a split.

    Yields:
        uint8 arrays, shape (at most BATCH, T), in the order of the split.

    Raises:
        StudyError: If a file is damaged or not in UTF-8.
    """
    texts = _chosen(split)
    while held := list(islice(texts, BATCH)):
        yield as_rows(held)


def as_rows(texts: list[str]) -> np.ndarray:
    """Turn texts into rows of bytes, uint8, shape (n, T), filled up with 0."""
    rows = b"".join(_cut(text).ljust(T, b"\0") for text in texts)
    return np.frombuffer(rows, dtype=np.uint8).reshape(len(texts), T)


def _cut(text: str) -> bytes:
    """Encode a text, at most T bytes and whole characters."""
    raw = text.strip()[:T].replace("\0", " ").encode()
    end = min(T, len(raw))
    while end < len(raw) and raw[end] & 0xC0 == 0x80:  # the middle of a character
        end -= 1
    return raw[:end]


def _chosen(split: Encoded) -> Iterator[str]:
    """Yield the texts of the split's rows; reads no further than the last."""
    texts = csv_texts if split.file.suffix.lower() == ".csv" else _parquet_texts
    wanted = iter(split.rows.tolist())
    row = next(wanted, None)
    for at, text in enumerate(texts(split.file)):
        if at == row:
            yield text
            row = next(wanted, None)
            if row is None:
                return


def _parquet_texts(file: Path) -> Iterator[str]:
    opened = parquet.opened(file)
    columns = [name for name in ("title", "text") if name in opened.schema_arrow.names]
    try:
        with parquet.readable(file):
            for batch in opened.iter_batches(batch_size=BATCH, columns=columns):
                for fields in zip(*(batch[name].to_pylist() for name in columns), strict=True):
                    yield "\n".join((field or "").strip() for field in fields)
    except UnicodeDecodeError as error:
        raise StudyError(f"{file}: {error.reason} in a text, expected UTF-8") from error


def _labels(file: Path, column: str) -> np.ndarray:
    """Labels as they stand in the file, (n,), after checking that the columns are there."""
    if file.suffix.lower() == ".csv":
        return csv_labels(file)
    import pyarrow as pa

    schema = parquet.opened(file).schema_arrow
    if not {column, "text"} <= set(schema.names):
        raise StudyError(
            f"{file} has the columns {', '.join(schema.names) or '(none)'}, "
            f"expected text and {column}"
        )
    kinds = {name: schema.field(name).type for name in ("text", "title") if name in schema.names}
    for name, kind in kinds.items():
        if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
            raise StudyError(f"{file}: column {name} is {kind}, expected text")
    return parquet.read_labels(file, column, whole_floats=column != "label")


def _classes(
    name: str, file: Path, labels: np.ndarray, column: str
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Labels that stand for the classes, ascending (c,), and the class names."""
    if column != "label":
        known = np.unique(labels)
        return known, tuple(f"{value} star{'s' * (value != 1)}" for value in known.tolist())
    if labels.dtype.kind == "U":
        known = np.unique(labels)
        return known, tuple(known.tolist())
    names = parquet.stated_names(file) if file.suffix.lower() == ".parquet" else None
    if names:
        return np.arange(len(names)), names
    first, last = (int(labels.min()), int(labels.max())) if len(labels) else (0, 0)
    if first not in (0, 1):
        raise StudyError(
            f"{name}: training labels run from {first} to {last}, expected 0..c-1 or 1..c"
        )
    # More classes than rows cannot all have a row: one too few, and the check says which.
    known = np.arange(first, min(last, first + len(labels)) + 1)
    return known, tuple(str(value) for value in known)
