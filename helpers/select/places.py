"""Where the training rows of a data set come from: files of a folder, rows of one file."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from helpers import StudyError, data
from helpers.data import names
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
    origin = data.load(name).origin
    if origin.files:
        broken = next((file for file in origin.files if "\n" in file or "\r" in file), None)
        if broken is not None:
            raise StudyError(f"expected names of files without line breaks, got {broken!r}")
        return Places("file", origin.files, origin.held_out)
    if origin.held_out or origin.broken:
        return Places("source_row", tuple(map(str, origin.rows.tolist())), origin.held_out)
    return Places()
