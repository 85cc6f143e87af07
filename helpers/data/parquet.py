"""Parquet files in the Hugging Face image layout.

Column `image` is a struct with `bytes` (an encoded JPEG, PNG, ...), or plain binary; column
`label` is an integer class index, or the name of a class: names are sorted. Those of numbers come
from the schema metadata (`label_names`, a JSON list, or `huggingface`), else classes are numbered.
Rows keep the order of the file.

A folder holds `train.parquet` and `test.parquet` (or `val.parquet`; with both, `val` is the
validation set). A single file is split 80/20 per class by hashes of its row numbers.
"""

import contextlib
import json
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from helpers import StudyError
from helpers.data.dataset import check_labels
from helpers.data.names import kept_rows
from helpers.data.pixels import Encoded
from helpers.data.splitting import as_splits, rows_by_hash

COLUMNS = ("image", "label")
SPLIT_NAMES = {"training": "train", "test": "test", "validation": "valid"}


def find(name: str, path: Path) -> dict[str, Path]:
    """Find the files of a Parquet data set.

    Args:
        name: Data set, for the message.
        path: A file, or a folder with `train.parquet` and `test.parquet` or `val.parquet`.

    Returns:
        File by split ("train", "test", perhaps "valid"), or {"all": file} for a single file.

    Raises:
        StudyError: If the path is missing or the folder lacks a file.
    """
    if path.is_file():
        return {"all": path}
    there = {split: path / f"{split}.parquet" for split in ("train", "test", "val")}
    there = {split: file for split, file in there.items() if file.is_file()}
    if "train" not in there or len(there) < 2:
        found = ", ".join(sorted(file.name for file in path.glob("*.parquet"))) or "none"
        raise StudyError(
            f"{name}: expected a Parquet file, or a folder with train.parquet and test.parquet, "
            f"at {path} (Parquet files found: {found})"
        )
    return as_splits(there)


def encoded(
    name: str, path: Path, rows: tuple[int, int] | None
) -> tuple[dict[str, Encoded], tuple[str, ...]]:
    """Read labels and class names, and prepare the reading of the images.

    Args:
        name: Data set, for the messages.
        path: As in `find`.
        rows: Slice (training rows, test rows), or None for everything.

    Returns:
        Encoded images by split ("train", "test", perhaps "valid"), and the class names.

    Raises:
        StudyError: If a file or column is missing, or the labels are unusable.
    """
    files = find(name, path)
    labels = {split: _labels(file) for split, file in files.items()}
    first = next(iter(labels.values()))
    if first.dtype.kind == "U":
        class_names = tuple(np.unique(first).tolist())
        labels = {key: indices(name, key, found, class_names) for key, found in labels.items()}
    else:
        class_names = _class_names(next(iter(files.values())), first)
    if "all" in files:
        check_labels(name, "training", labels["all"], class_names)
        chosen = rows_by_hash(name, labels["all"])
        files, labels = dict.fromkeys(chosen, files["all"]), dict.fromkeys(chosen, labels["all"])
    else:
        chosen = {split: np.arange(len(values)) for split, values in labels.items()}
    for split, key in SPLIT_NAMES.items():
        if key in files:
            check_labels(name, split, labels[key][chosen[key]], class_names)
    n_train, n_test = kept_rows(name, rows, len(chosen["train"]), len(chosen["test"]))
    chosen |= {"train": chosen["train"][:n_train], "test": chosen["test"][:n_test]}
    splits = {
        key: Encoded(labels[key][kept], partial(_images, files[key], kept))
        for key, kept in chosen.items()
    }
    return splits, class_names


def _labels(file: Path) -> np.ndarray:
    """Read the label column, int64 (n,), after checking that both columns are there."""
    found = opened(file).schema_arrow.names
    if not set(COLUMNS) <= set(found):
        raise StudyError(
            f"{file} has the columns {', '.join(found) or '(none)'}, "
            f"expected {' and '.join(COLUMNS)}"
        )
    return read_labels(file)


def read_labels(file: Path, column: str = "label", whole_floats: bool = False) -> np.ndarray:
    """Read a column of class labels.

    Args:
        file: Parquet file that has the column.
        column: Its name.
        whole_floats: Whether floating-point numbers will do that are whole.

    Returns:
        int64, or the names of classes where the column holds text, shape (n,).

    Raises:
        StudyError: If a value is empty or the numbers are not whole.
    """
    import pyarrow as pa

    parquet = opened(file)
    kind = parquet.schema_arrow.field(column).type
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    is_text = not whole_floats and (pa.types.is_string(kind) or pa.types.is_large_string(kind))
    if (
        not is_text
        and not pa.types.is_integer(kind)
        and not (whole_floats and pa.types.is_floating(kind))
    ):
        expected = "integer class indices or names"
        raise StudyError(f"{file}: column {column} is {kind}, expected {expected}")
    with readable(file):
        values = parquet.read(columns=[column])[column]
    if values.null_count:
        raise StudyError(
            f"{file}: column {column} has {values.null_count} empty values, expected 0"
        )
    if is_text:
        return np.array(values.cast(pa.string()).to_pylist(), dtype=str)
    numbers = values.to_numpy()
    if whole_floats and (broken := np.flatnonzero(numbers != np.rint(numbers))).size:
        row = broken[0]
        raise StudyError(f"{file} row {row}: {column} {numbers[row]}, expected a whole number")
    # An unsigned index that leaves int64 becomes negative here and is then out of range.
    return numbers.astype(np.int64)


def indices(name: str, split: str, labels: np.ndarray, known: Sequence) -> np.ndarray:
    """Return the places of labels among those of the training rows.

    Args:
        name: Data set, for the message.
        split: "train", "test" or "valid".
        labels: Whole numbers or names, shape (n,).
        known: Those that stand for the classes, ascending, shape (c,).

    Returns:
        Class indices, int64, shape (n,).

    Raises:
        StudyError: If a label is none of them.
    """
    is_known = labels.dtype.kind == np.asarray(known).dtype.kind and np.isin(labels, known)
    unknown = np.flatnonzero(~np.broadcast_to(is_known, labels.shape))
    if len(unknown):
        raise StudyError(
            f"{name}: {split} row {unknown[0]} has label {labels[unknown[0]]}, "
            f"expected one of the training labels {known[0]}..{known[-1]}"
        )
    return np.searchsorted(known, labels).astype(np.int64)


def stated_names(file: Path) -> tuple[str, ...] | None:
    """Class names in the schema metadata, in the order of the class indices, or None."""
    metadata = opened(file).schema_arrow.metadata or {}
    for key, steps in ((b"label_names", ()), (b"huggingface", ("info", "features", "label"))):
        try:
            value = json.loads(metadata[key])
            for step in steps:
                value = value[step]
            names = value["names"] if steps else value
        except (KeyError, ValueError, TypeError):
            continue
        if isinstance(names, list) and names:
            return tuple(str(name) for name in names)
    return None


def _class_names(file: Path, labels: np.ndarray) -> tuple[str, ...]:
    if names := stated_names(file):
        return names
    # More classes than rows cannot all have a row: one name too few, and the check says which.
    last = min(int(labels.max(initial=0)), len(labels))
    return tuple(str(label) for label in range(last + 1))


def _images(file: Path, rows: np.ndarray) -> Iterator[tuple[str, bytes]]:
    """Yield (where, bytes) of the given rows, ascending; reads no further than the last."""
    start, todo = 0, rows
    with readable(file):
        for batch in opened(file).iter_batches(batch_size=1024, columns=["image"]):
            if not len(todo):
                return
            inside = todo[: np.searchsorted(todo, start + len(batch))]
            for row, value in zip(inside, batch["image"].take(inside - start).to_pylist()):
                yield f"{file} row {row}", _bytes(file, row, value)
            todo, start = todo[len(inside) :], start + len(batch)


def _bytes(file: Path, row: int, value: object) -> bytes:
    found = value.get("bytes") if isinstance(value, dict) else value
    if not isinstance(found, bytes):
        raise StudyError(
            f"{file} row {row}: column image holds no bytes, "
            "expected a struct with bytes (an encoded image), or plain binary"
        )
    return found


def opened(file: Path):
    """Open a Parquet file (`pyarrow.parquet.ParquetFile`), or say that it is damaged."""
    import pyarrow.parquet as pq  # a moment that the digits need not pay

    with readable(file):
        return pq.ParquetFile(file)


@contextlib.contextmanager
def readable(file: Path) -> Iterator[None]:
    """Turn what pyarrow raises on a damaged file into one line."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise StudyError(f"{file} cannot be read, expected an intact Parquet file") from error
