"""Runs cut short: where their checkpoints lie in a store, and what is known without reading them.

A checkpoint lies at `partial/KEY.ckpt`; `KEY.crowded` beside it says that a sitting of the run
shared the machine, so that its seconds cannot be compared.
"""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import NamedTuple

FOLDER = "partial"
CHECKPOINT, CROWDED = ".ckpt", ".crowded"
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


def begin(store: Path, key: str, crowded: bool, since: float = 0.0) -> None:
    """Prepare a sitting of a run.

    Args:
        store: The store's folder.
        key: The run's key.
        crowded: Whether the run shares the machine, which is noted.
        since: A checkpoint older than this (seconds since 1970) is removed.
    """
    path = place(store, key)
    with contextlib.suppress(OSError):
        if since and path.stat().st_mtime < since:
            forget(store, key)
    if crowded:
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.with_suffix(CROWDED).touch()


def was_crowded(store: Path, key: str) -> bool:
    """Tell whether a sitting of the run shared the machine."""
    return place(store, key).with_suffix(CROWDED).exists()


def forget(store: Path, key: str) -> None:
    """Remove a run's checkpoint and note, if there are any."""
    for suffix in (CHECKPOINT, CROWDED):
        with contextlib.suppress(OSError):
            place(store, key).with_suffix(suffix).unlink(missing_ok=True)


def parts(store: Path) -> list[Part]:
    """List the runs cut short, oldest first; what cannot be read is left out."""
    found = []
    for path in (store / FOLDER).glob("*" + CHECKPOINT):
        from helpers.training import checkpoint  # needs torch, and only where there is one

        with contextlib.suppress(Exception):  # a damaged file raises anything
            facts = path.stat()
            what, done, epochs = checkpoint.peek(path)
            found.append(Part(path.stem, what, done, epochs, facts.st_size, facts.st_mtime))
    return sorted(found, key=lambda part: part.when)


def doomed(store: Path, in_use: set[str], stored: set[str]) -> list[Path]:
    """List the files that serve nobody: of runs not in use or stored since, and left-overs."""
    found, long_ago = [], time.time() - ABANDONED_S
    for path in sorted((store / FOLDER).glob("*")):
        useful = path.suffix in (CHECKPOINT, CROWDED) and path.stem in in_use - stored
        lonely = path.suffix == CROWDED and not path.with_suffix(CHECKPOINT).exists()
        with contextlib.suppress(OSError):
            if path.stat().st_mtime < long_ago if path.name[0] == "." or lonely else not useful:
                found.append(path)
    return found
