"""Runs cut short: where their checkpoints lie in a store, and what is known without reading them.

STORE/partial/KEY.ckpt    the latest state
STORE/partial/KEY.json    whether it had the machine alone so far, and its `--fresh` token
"""

from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path
from typing import NamedTuple

from helpers import archive, specs

FOLDER = "partial"
CHECKPOINT, NOTE = ".ckpt", ".json"
# Files that nobody has touched for so long belong to no running process, seconds.
ABANDONED_S = 3600


class Part(NamedTuple):
    """A run cut short: its key, the run in words, epochs done and in all, bytes, seconds (1970)."""

    key: str
    what: str
    done: int
    epochs: int
    size: int
    when: float


def place(store: Path, key: str) -> Path:
    """Return where a run's checkpoint lies or would lie."""
    return store / FOLDER / (key + CHECKPOINT)


def begin(store: Path, key: str, alone: bool, fresh: str = "") -> None:
    """Note that a run begins or goes on.

    Args:
        store: The store's folder.
        key: The run's key.
        alone: Whether it has the machine alone.
        fresh: Token of `--fresh`; a checkpoint of another token is removed. "" keeps any.
    """
    if fresh and _note(store, key).get("fresh") != fresh:
        forget(store, key)
    note = {"alone": alone and was_alone(store, key), "fresh": fresh}
    with (
        contextlib.suppress(OSError),
        archive.beside(place(store, key).with_suffix(NOTE)) as file,
    ):
        file.write(json.dumps(note).encode())


def _note(store: Path, key: str) -> dict[str, object]:
    with contextlib.suppress(OSError, ValueError):
        found = json.loads(place(store, key).with_suffix(NOTE).read_text())
        return found if isinstance(found, dict) else {}
    return {}


def was_alone(store: Path, key: str) -> bool:
    """Tell whether a run had the machine alone all the time so far."""
    return _note(store, key).get("alone", True) is True


def forget(store: Path, key: str) -> None:
    """Remove a run's checkpoint and note, if there are any."""
    for suffix in (CHECKPOINT, NOTE):
        with contextlib.suppress(OSError):
            place(store, key).with_suffix(suffix).unlink(missing_ok=True)


def parts(store: Path) -> list[Part]:
    """List the runs cut short, oldest first; what cannot be read is left out."""
    found = []
    for path in (store / FOLDER).glob("*" + CHECKPOINT):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            with open(path, "rb") as file:
                head = json.loads(file.readline(10_000))
            (done, epochs), facts = map(int, head["epochs"]), path.stat()
            what = specs.printable(str(head["what"]))
            found.append(Part(path.stem, what, done, epochs, facts.st_size, facts.st_mtime))
    return sorted(found, key=lambda part: part.when)


def is_abandoned(path: Path) -> bool:
    """Tell whether nobody has touched a file for long."""
    with contextlib.suppress(OSError):
        return path.stat().st_mtime < time.time() - ABANDONED_S
    return False


def doomed(store: Path, awaited: set[str]) -> list[Path]:
    """List the files that serve nobody: of runs not awaited, and left-overs."""
    found = []
    for path in sorted((store / FOLDER).glob("*")):
        lonely = path.suffix == NOTE and not path.with_suffix(CHECKPOINT).exists()
        useful = path.suffix in (CHECKPOINT, NOTE) and path.stem in awaited
        if is_abandoned(path) if path.name[0] == "." or lonely else not useful:
            found.append(path)
    return found
