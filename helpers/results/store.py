"""The live store: one file a result, replaced at once; runs cut short; one process a run.

STORE/KEY.npz             a result
STORE/damaged/            what could not be read, for a look
STORE/partial/KEY.ckpt    the latest state of a run cut short
STORE/partial/KEY.json    whether it had the machine alone so far, and its `--fresh` token
STORE/locks/KEY.lock      held by the process that computes the run; a kill releases it
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
import stat
import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple

import filelock
import numpy as np

from helpers import StudyError, specs
from helpers.data.cache import beside
from helpers.results import archive, packs
from helpers.results.archive import ROOT, OnDemand, Result

TEXT = "result.json"
RESULT = re.compile(r"([0-9a-f]{64})\.npz")
UNREADABLE = "unreadable now: "  # by an error that says nothing about the file
PARTIAL, LOCKS, ASIDE = "partial", "locks", "damaged"
CHECKPOINT, NOTE = ".ckpt", ".json"
# Files that nobody has touched for so long belong to no running process, seconds.
ABANDONED_S = 3600


class NotStored(StudyError):
    """A result could not be written; the next ones could not be either."""


class Part(NamedTuple):
    """A run cut short: the run in words, epochs done and in all, bytes, seconds since 1970."""

    key: str
    what: str
    done: int
    epochs: int
    size: int
    when: float


class Store:
    """A folder of results, safe against kills, full disks and several processes at once.

    `$STUDY_STORE` by default, else `data/store` of this checkout.
    """

    def __init__(self, path: Path | str | None = None) -> None:
        self.path = Path(path or os.environ.get("STUDY_STORE") or ROOT / "data" / "store")

    def path_of(self, key: str) -> Path:
        """Return where a result lies or would lie."""
        return self.path / f"{key}.npz"

    def keys(self) -> list[str]:
        """List the keys stored, sorted; StudyError if the store is no folder to be read."""
        try:
            found = [RESULT.fullmatch(name) for name in os.listdir(self.path)]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StudyError(
                f"the store must be a folder, {self.path}: {error.strerror}; see STUDY_STORE"
            ) from None
        return sorted(match[1] for match in found if match)

    def write(
        self,
        spec: specs.Spec,
        metrics: dict,
        arrays: Mapping[str, np.ndarray],
        complete: bool = True,
        origin: dict[str, str] | None = None,
    ) -> str:
        """Store a result (`complete` unless arrays were dropped) and return its key.

        Raises:
            NotStored: If the disk is full or read-only, naming the file.
            StudyError: If a metric is not finite.
        """
        key = specs.key(spec)
        path = self.path_of(key)
        origin = archive.provenance() if origin is None else origin
        try:
            entry = archive.entry_of(Result(spec, key, metrics, arrays, complete, origin))
        except ValueError as error:
            raise StudyError(f"{specs.describe(spec)} cannot be stored: {error}") from None
        try:
            archive.write(path, TEXT, entry, arrays)
        except OSError as error:
            raise _not_stored(specs.describe(spec), path, error) from error
        return key

    def look(self, key: str) -> tuple[Result | None, str]:
        """Return a result, if it is there and intact, and what is wrong with it, if anything.

        What another version of the study stored, with specs unknown here, is neither.
        """
        path, wrong = self.path_of(key), ""
        for _ in range(2):  # another process may replace the file between the two
            try:
                facts = os.stat(path)
                stamp = facts.st_ino, facts.st_mtime_ns, facts.st_size
                found, names = _checked(path, key, stamp)
                arrays = OnDemand(names, partial(_array, path))
                return replace(found, metrics=dict(found.metrics), arrays=arrays), ""
            except (FileNotFoundError, NotADirectoryError):
                wrong = ""
            except specs.Unknown:
                return None, ""
            except OSError as error:
                wrong = f"{UNREADABLE}{error.strerror}"
            except archive.Damaged as error:
                wrong = str(error)
        return None, wrong

    def read(self, key: str) -> Result | None:
        """Return a stored result, or `None`; a damaged one is set aside with a warning."""
        found, wrong = self.look(key)
        if wrong.startswith(UNREADABLE):
            raise StudyError(f"stored result {self.path_of(key)} is {wrong}")
        if wrong:
            done = self.set_aside(key)
            text = f"stored result {key[:12]} is damaged ({wrong}): {done}"
            warnings.warn(text, stacklevel=3)
        return found

    def set_aside(self, key: str) -> str:
        """Move a result out of the way; return in words what became of it."""
        aside = self.path / ASIDE / f"{key}-{time.time_ns()}.npz"
        try:
            aside.parent.mkdir(parents=True, exist_ok=True)
            os.rename(self.path_of(key), aside)
        except FileNotFoundError:
            pass
        except OSError as error:
            return f"left where it is ({error.strerror})"
        return "set aside, to be computed again"

    def size(self, key: str) -> int:
        """Return a result's bytes on disk; 0 if it is not there."""
        return _size(self.path_of(key))

    def list(self) -> list[Result]:
        """Return every readable result, oldest first; damaged ones are left for `verify`."""
        found = [result for result, _ in map(self.look, self.keys()) if result is not None]
        return sorted(found, key=lambda result: result.provenance.get("date", ""))

    def verify(self) -> dict[str, str]:
        """Set damaged results aside; return key -> what is wrong and what became of it."""
        wrong = {key: self.look(key)[1] for key in self.keys()}
        return {
            key: text if text.startswith(UNREADABLE) else f"{text}: {self.set_aside(key)}"
            for key, text in wrong.items()
            if text
        }

    def import_(self, folder: Path) -> tuple[int, int]:
        """Put a pack's results in; return how many were new and how many stood there."""
        found = packs.read(folder, whole=True)
        if not found:
            raise StudyError(f"no pack in {folder}: it needs {packs.FILE}")
        new = 0
        for key, one in found.items():
            there = self.read(key)
            if there is None or (one.complete and not there.complete):
                self.write(one.spec, one.metrics, one.arrays, one.complete, one.provenance)
                new += 1
        return new, len(found) - new

    def prune(self, in_use: set[str]) -> tuple[int, int]:
        """Delete what is not in use, left-overs and damaged results; return count and bytes."""
        stored = set(self.keys())
        doomed = [self.path_of(key) for key in stored - in_use]
        doomed += (self.path / ASIDE).glob("*")
        passing = list(self.path.glob(".*.npz-*"))
        for path in (self.path / PARTIAL).glob("*"):
            if path.name[0] == "." or not path.with_suffix(CHECKPOINT).exists():
                passing.append(path)
            elif path.suffix not in (CHECKPOINT, NOTE) or path.stem not in in_use - stored:
                doomed.append(path)
        doomed += filter(_is_abandoned, passing)
        size = sum(map(_size, doomed))
        for path in doomed:
            with contextlib.suppress(OSError):
                shutil.rmtree(path) if stat.S_ISDIR(path.lstat().st_mode) else path.unlink()
        return len(doomed), size

    @contextlib.contextmanager
    def lock(self, key: str) -> Iterator[None]:
        """Keep a run to this process: others that want it wait here until it ends or is killed.

        A process holds one lock at a time, so that none waits for another in a circle. Raises
        `NotStored` if the store cannot be written.
        """
        path = self.path / LOCKS / f"{key}.lock"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # any user of a shared store may take over the lock that a killed run left
            held = filelock.FileLock(path, mode=0o666).acquire(poll_interval=0.1)
        except OSError as error:
            raise _not_stored("a result", path, error) from error
        with held:
            yield
            # Whoever waits finds the result; after a failure the next one takes the same file.
            with contextlib.suppress(OSError):
                path.unlink()

    def checkpoint(self, key: str) -> Path:
        """Return where a run's checkpoint lies or would lie."""
        return self.path / PARTIAL / (key + CHECKPOINT)

    def begin(self, key: str, alone: bool, fresh: str = "") -> None:
        """Note that a run begins or goes on; under `--fresh` only from its own checkpoint."""
        if fresh and self._note(key).get("fresh") != fresh:
            self.forget(key)
        note = {"alone": alone and self.was_alone(key), "fresh": fresh}
        path = self.checkpoint(key).with_suffix(NOTE)
        with contextlib.suppress(OSError), beside(path) as file:
            file.write(json.dumps(note).encode())

    def _note(self, key: str) -> dict[str, object]:
        with contextlib.suppress(OSError, ValueError):
            found = json.loads(self.checkpoint(key).with_suffix(NOTE).read_text())
            return found if isinstance(found, dict) else {}
        return {}

    def was_alone(self, key: str) -> bool:
        """Tell whether a run had the machine alone all the time so far."""
        return self._note(key).get("alone", True) is True

    def forget(self, key: str) -> None:
        """Remove a run's checkpoint and note, if there are any."""
        for suffix in (CHECKPOINT, NOTE):
            with contextlib.suppress(OSError):
                self.checkpoint(key).with_suffix(suffix).unlink(missing_ok=True)

    def parts(self) -> list[Part]:
        """List the runs cut short, oldest first; what cannot be read is left out."""
        found = []
        for path in (self.path / PARTIAL).glob("*" + CHECKPOINT):
            with contextlib.suppress(Exception):  # a damaged file raises anything
                from helpers.training import checkpoint  # needs torch, where there is one

                facts = path.stat()
                what, done, epochs = checkpoint.peek(path)
                told = specs.printable(str(what))
                found.append(Part(path.stem, told, done, epochs, facts.st_size, facts.st_mtime))
        return sorted(found, key=lambda part: part.when)


def _is_abandoned(path: Path) -> bool:
    with contextlib.suppress(OSError):
        return path.stat().st_mtime < time.time() - ABANDONED_S
    return False


@lru_cache(maxsize=4096)
def _checked(path: Path, key: str, stamp: tuple[int, ...]) -> tuple[Result, list[str]]:
    """Return a result without arrays, and their names; all of the file is checked."""
    opened, entry, names = archive.open_(path, TEXT)
    with opened:
        archive.check_arrays(opened, names)
    return archive.result_of(key, entry, {}), names


def _array(path: Path, name: str) -> np.ndarray:
    try:
        opened, _, _ = archive.open_(path, TEXT)
        with opened:
            return archive.read_array(opened, name)
    except FileNotFoundError:
        raise StudyError(f"{path} vanished while it was in use; run again") from None
    except archive.Damaged as error:
        raise StudyError(f"{path} is damaged ({error}); run again") from None


def _size(path: Path) -> int:
    with contextlib.suppress(OSError):
        return path.stat().st_size
    return 0


def _not_stored(what: str, path: Path, error: OSError) -> NotStored:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    why = "no space left" if full else error.strerror or str(error)
    return NotStored(
        f"could not store {what} in {path}: {why}; "
        "what was stored before is safe, free some space or set STUDY_STORE"
    )


def load(spec: specs.Spec, complete: bool = False, needed: bool = False) -> Result | None:
    """Return a stored or published result, or `None`.

    `$STUDY_PROFILE` names the published pack to look in; `complete` refuses a result whose traces
    were dropped. `$STUDY_FRESH`, any word, hides what was not computed under the same word, unless
    the result is `needed` by what is computed now.
    """
    key, token = specs.key(spec), "" if needed else archive.fresh_token()
    found = Store().read(key)
    if token and found is not None and found.provenance.get("fresh") != token:
        return None
    if found is None or (complete and not found.complete):
        published = os.environ.get("STUDY_PROFILE") or "digits"
        found = None if token else packs.read(packs.path_of(published)).get(key)
    return found if found is not None and (found.complete or not complete) else None
