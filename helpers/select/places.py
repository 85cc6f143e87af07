"""Where the training rows of a data set come from: files of a folder, rows of one file."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from helpers import StudyError
from helpers.data import folders, names, parquet, splitting, text
from helpers.select import outputs


@dataclass(frozen=True)
class Places:
    """Where the training rows come from.

    Attributes:
        column: `file` or `source_row`; empty where the row number says it already.
        values: One text a training row, shape (n,).
        held_out: Whether a fifth of each class was set aside to test the proxy.
    """

    column: str = ""
    values: tuple[str, ...] = ()
    held_out: bool = False

    def of(self, rows: np.ndarray) -> outputs.Sources | None:
        """Return the places of some rows."""
        if not self.column:
            return None
        return outputs.Sources(self.column, [self.values[row] for row in rows])


def absolute(name: str) -> str:
    """Return the name of a data set with a path that holds in any folder."""
    kind, colon, path = name.partition(":")
    if not names.is_path(name):
        return name
    return f"{kind}{colon}{os.path.abspath(Path(path).expanduser())}"


def places_of(name: str) -> Places:
    """Say where every training row comes from.

    Args:
        name: Resolved name of the data, its path absolute.

    Raises:
        StudyError: If the name of a file holds a line break, which no list of files can hold.
    """
    base, rows = names.parse(name)
    kind, _, path = base.partition(":")
    if kind == "folder":
        files = folders.train_files(name, Path(path), rows)
        broken = next((file for file in files if "\n" in file or "\r" in file), None)
        if broken is not None:
            raise StudyError(f"expected names of files without line breaks, got {broken!r}")
        return Places("file", tuple(files), not folders.is_split(Path(path)))
    if kind in ("parquet", "text") and Path(path).is_file():
        kept = _training_rows(kind, name, Path(path), rows)
        return Places("source_row", tuple(map(str, kept.tolist())), True)
    return Places()


def _training_rows(kind: str, name: str, file: Path, rows: tuple[int, int] | None) -> np.ndarray:
    """Return which rows of a single file were left for training, ascending, shape (n,)."""
    if kind == "text":
        return text.encoded(name, file, rows)[0]["train"].rows
    labels = parquet.read_labels(file)
    is_test = splitting.held_out(name, labels, [str(row) for row in range(len(labels))], parts=5)
    return np.flatnonzero(~is_test)[: rows[0] if rows else None]
