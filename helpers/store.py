"""Results on disk: one folder a result, checksummed, written beside and renamed into place."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import shutil
import time
import uuid
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from helpers import StudyError, specs, unfinished

ROOT = Path(__file__).resolve().parent.parent
FILES = ("spec.json", "metrics.json", "arrays.npz")
SUMS = "SHA256SUMS"


class NotStored(StudyError):
    """A result could not be written; the next ones could not be either."""


class File(Mapping):
    """The arrays of one `.npz`; the file is open only while it is read."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __getitem__(self, name: str) -> np.ndarray:
        """Read one array."""
        with np.load(self._path, allow_pickle=False) as archive:
            return archive[name]

    def __iter__(self) -> Iterator[str]:
        """Walk over the names."""
        with np.load(self._path, allow_pickle=False) as archive:
            return iter(list(archive.keys()))

    def __len__(self) -> int:
        """Count the arrays."""
        return len(list(iter(self)))


class Arrays(Mapping):
    """The arrays of a result, read from disk when first asked for."""

    def __init__(self, read: Mapping[str, np.ndarray]) -> None:
        self._read = read
        self._kept: dict[str, np.ndarray] = {}

    def __getitem__(self, name: str) -> np.ndarray:
        """Return an array by name."""
        if name not in self._kept:
            self._kept[name] = self._read[name]
        return self._kept[name]

    def __iter__(self) -> Iterator[str]:
        """Walk over the names."""
        return iter(self._read)

    def __len__(self) -> int:
        """Count the arrays."""
        return len(self._read)


@dataclass(frozen=True)
class Result:
    """A stored result: its spec, plain metrics, arrays; `complete` unless traces were dropped."""

    spec: specs.Spec
    key: str
    metrics: dict
    arrays: Mapping[str, np.ndarray]
    complete: bool = True


def default_path() -> Path:
    """Return the live store: `$STUDY_STORE`, else `data/store` of this checkout."""
    return Path(os.environ.get("STUDY_STORE") or ROOT / "data" / "store")


def packed(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Return arrays as the bytes of a compressed `.npz`."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **dict(arrays))
    return buffer.getvalue()


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Store:
    """A folder of results, safe against kills, full disks and several processes at once."""

    def __init__(self, path: Path | str | None = None) -> None:
        self.path = Path(path) if path is not None else default_path()

    def folder(self, key: str) -> Path:
        """Return where a result lies or would lie."""
        return self.path / key

    def keys(self) -> list[str]:
        """List the keys stored, sorted.

        Raises:
            StudyError: If the store's path is a file.
        """
        if self.path.exists() and not self.path.is_dir():
            raise StudyError(f"the store must be a folder, {self.path} is a file: see STUDY_STORE")
        if not self.path.is_dir():
            return []
        return sorted(p.name for p in self.path.iterdir() if len(p.name) == 64 and p.is_dir())

    def write(self, spec: specs.Spec, metrics: dict, arrays: Mapping[str, np.ndarray]) -> str:
        """Store a result and return its key; nothing half-written is ever seen.

        Raises:
            NotStored: If the disk is full or read-only, naming the folder.
        """
        key = specs.key(spec)
        texts = {
            "spec.json": json.dumps(specs.to_plain(spec), indent=1).encode(),
            "metrics.json": json.dumps(metrics, indent=1, sort_keys=True).encode(),
            "arrays.npz": packed(arrays),
        }
        sums = "".join(f"{_digest(data)}  {name}\n" for name, data in texts.items())
        beside = self.path / f".writing-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        try:
            beside.mkdir(parents=True)
            for name, data in {**texts, SUMS: sums.encode()}.items():
                with open(beside / name, "wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
            self._into_place(beside, key)
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            why = "no space left" if full else error.strerror or str(error)
            raise NotStored(
                f"could not store {specs.describe(spec)} in {self.path}: {why}; "
                "what was stored before is safe, free some space or set STUDY_STORE"
            ) from error
        finally:
            shutil.rmtree(beside, ignore_errors=True)
        return key

    def _into_place(self, beside: Path, key: str) -> None:
        target = self.folder(key)
        for _ in range(5):
            try:
                os.rename(beside, target)
                return
            except OSError as error:
                if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                    raise
            gone = self.path / f".replaced-{os.getpid()}-{uuid.uuid4().hex[:8]}"
            try:
                os.rename(target, gone)
            except FileNotFoundError:
                continue
            shutil.rmtree(gone, ignore_errors=True)
        # Another process keeps storing the same result: its copy is as good as ours.

    def damage(self, key: str) -> str:
        """Return what is wrong with a stored result, or an empty string."""
        folder = self.folder(key)
        try:
            lines = (folder / SUMS).read_text().splitlines()
            sums = {name: digest for digest, name in (line.split("  ", 1) for line in lines)}
            for name in FILES:
                if _digest((folder / name).read_bytes()) != sums.get(name):
                    return f"{name} does not match its checksum"
            json.loads((folder / "spec.json").read_text())
        except FileNotFoundError as error:
            return f"{Path(error.filename).name} is missing"
        except (OSError, ValueError) as error:
            return f"unreadable: {error}"
        return ""

    def read(self, key: str) -> Result | None:
        """Return a stored result, or `None`; a damaged one is reported and set aside.

        What another version of the study stored, with specs unknown here, is left alone.
        """
        folder = self.folder(key)
        if not folder.is_dir():
            return None
        # A result that another process is just replacing looks damaged for a moment.
        wrong = self.damage(key) and self.damage(key)
        if wrong:
            self.set_aside(key, wrong)
            return None
        metrics = json.loads((folder / "metrics.json").read_text())
        try:
            spec = specs.from_plain(json.loads((folder / "spec.json").read_text()))
        except (ValueError, TypeError):
            return None
        arrays = Arrays(File(folder / "arrays.npz"))
        return Result(spec, key, metrics, arrays, metrics.get("complete", True))

    def set_aside(self, key: str, wrong: str) -> None:
        """Move a damaged result out of the way and say so."""
        aside = self.path / "damaged" / f"{key}-{time.time_ns()}"
        done = "set aside"
        try:
            aside.parent.mkdir(parents=True, exist_ok=True)
            os.rename(self.folder(key), aside)
        except FileNotFoundError:
            return
        except OSError as error:
            done = f"left where it is ({error.strerror})"
        warnings.warn(
            f"stored result {key[:12]} is damaged ({wrong}): {done}, to be computed again",
            stacklevel=3,
        )

    def age(self, key: str) -> float:
        """Return when the result was stored, in seconds since 1970; 0 if it is not there."""
        try:
            return (self.folder(key) / SUMS).stat().st_mtime
        except OSError:
            return 0.0

    def size(self, key: str) -> int:
        """Return a result's bytes on disk."""
        return sum(p.stat().st_size for p in self.folder(key).iterdir())

    def list(self) -> list[Result]:
        """Return every readable result, oldest first."""
        found = [r for r in map(self.read, self.keys()) if r is not None]
        return sorted(found, key=lambda r: self.age(r.key))

    def verify(self) -> dict[str, str]:
        """Check every result; damaged ones are set aside. Return key to what is wrong."""
        wrong = {key: self.damage(key) for key in self.keys()}
        wrong = {key: text for key, text in wrong.items() if text}
        for key, text in wrong.items():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self.set_aside(key, text)
        return wrong

    def prune(self, in_use: set[str]) -> tuple[int, int]:
        """Delete what is not in use, left-overs and damaged results; return count and bytes."""
        keys = self.keys()
        doomed = [self.folder(k) for k in keys if k not in in_use]
        if self.path.is_dir():
            hour_ago = time.time() - 3600
            doomed += [p for p in self.path.glob(".*-*") if p.stat().st_mtime < hour_ago]
            doomed += list((self.path / "damaged").glob("*"))
        parts = unfinished.doomed(self.path, in_use, set(keys))
        files = [f for p in doomed for f in p.rglob("*") if f.is_file()] + parts
        size = sum(f.stat().st_size for f in files)
        for path in doomed:
            shutil.rmtree(path, ignore_errors=True)
        for path in parts:
            path.unlink(missing_ok=True)
        return len(doomed) + len(parts), size
