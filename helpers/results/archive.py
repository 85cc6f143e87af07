"""Results in zip files: arrays as `NAME.npy` and one JSON text, written beside and renamed.

What is read may come from anybody. Nothing of it is executed, the zip's CRC-32 covers all of it,
and kind, size and shape of an array are looked at before it is read.
"""

from __future__ import annotations

import contextlib
import errno
import io
import json
import math
import os
import platform
import re
import stat
import subprocess
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy

from helpers import StudyError, specs
from helpers.data.cache import beside

ROOT = Path(__file__).resolve().parents[2]
DATE = (1980, 1, 1, 0, 0, 0)  # equal content makes equal files
MEMBER = re.compile(r"([0-9a-f]{64}/)?[\w.+-]{1,100}\.npy", re.ASCII)
# Kinds of array that hold numbers or texts, no objects.
KINDS = "biufU"
HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
# A file unpacks to at most so many bytes, or so many times its own size where that is more.
UNPACKED, TIMES = 256 * 2**20, 20
# Bytes of the JSON text, and how deep it nests.
TEXT, DEPTH = 64 * 2**20, 100


class Damaged(StudyError):
    """A file that is not what was written, or not what may be read."""


class OnDemand(Mapping):
    """Arrays or results by name, each read when first asked for."""

    def __init__(self, names: Iterable[str], read: Callable[[str], Any]) -> None:
        self._names, self._read = dict.fromkeys(names), read
        self._kept: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._names:
            raise KeyError(name)
        if name not in self._kept:
            self._kept[name] = self._read(name)
        return self._kept[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


@dataclass(frozen=True)
class Result:
    """A stored or published result: its spec, the spec's hash, plain metrics, arrays.

    `complete` unless arrays were dropped. `provenance` holds `commit`, `machine`, `date`, and as
    `fresh` the token of the study that computed all anew, as far as they are known.
    """

    spec: specs.Spec
    key: str
    metrics: dict
    arrays: Mapping[str, np.ndarray]
    complete: bool = True
    provenance: dict[str, str] = field(default_factory=dict)


def fresh_token() -> str:
    """Return the token of a study that computes all anew, `$STUDY_FRESH`; "" of any other."""
    return os.environ.get("STUDY_FRESH", "")


def provenance() -> dict[str, str]:
    """Return commit, machine, date (UTC) and, under `--fresh`, the study's token."""
    date = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")
    fresh = {"fresh": fresh_token()} if fresh_token() else {}
    return {"commit": _commit(), "machine": _machine(), "date": date} | fresh


@lru_cache
def _commit() -> str:
    command = "git describe --always --dirty --abbrev=12 --exclude *".split()
    try:
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.strip()
    except OSError:  # no git
        return ""


@lru_cache
def _machine() -> str:
    """Return the processor's name and the cores that there are; not the machine's own name."""
    name = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
        name = found[1] if found else name
    return f"{name}, {os.cpu_count()} cores"


def entry_of(result: Result) -> dict[str, object]:
    """Return all of a result but its arrays as plain values; ValueError if one is not finite."""
    entry = {
        "spec": specs.to_plain(result.spec),
        "metrics": result.metrics,
        "complete": result.complete,
        "revisions": specs.REVISION,
        "provenance": result.provenance,
    }
    check_plain(entry)
    return entry


def result_of(key: str, entry: object, arrays: Mapping[str, np.ndarray]) -> Result:
    """Return the result that an entry describes.

    Raises:
        Damaged: If the entry is none, holds what `check_plain` refuses, or its key is not the
            hash of its spec.
        specs.Unknown: If another version of the study made it.
    """
    kinds = {"spec": dict, "metrics": dict, "complete": bool, "revisions": dict, "provenance": dict}
    for name, kind in kinds.items():
        if not isinstance(entry, dict) or not isinstance(entry.get(name), kind):
            raise Damaged(f"it has no {name}")
    with _as_damage():
        check_plain(entry)
    texts, numbers = entry["provenance"].values(), map(entry["revisions"].get, specs.KINDS)
    if not all(isinstance(v, str) for v in texts) or not all(isinstance(v, int) for v in numbers):
        raise Damaged("its provenance or revisions are of another kind")
    spec = specs.from_plain(entry["spec"])
    if specs.key(spec, entry["revisions"]) != key:
        raise Damaged("its key is not the hash of its spec")
    return Result(spec, key, entry["metrics"], arrays, entry["complete"], entry["provenance"])


def check_plain(value: object, level: int = 0) -> None:
    """Raise `ValueError` unless JSON values are finite and nested at most `DEPTH` deep."""
    if level > DEPTH:
        raise ValueError(f"nested more than {DEPTH} deep")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"a number is {value}")
    parts = value.values() if isinstance(value, dict) else value
    for part in parts if isinstance(value, dict | list | tuple) else ():
        check_plain(part, level + 1)


def write(path: Path, text_name: str, value: object, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays and one JSON text as a zip file; an OSError harms nothing that is there."""
    text = json.dumps(value, sort_keys=True, allow_nan=False)
    with beside(path) as file, zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            buffer = io.BytesIO()
            npy.write_array(buffer, np.asanyarray(array), allow_pickle=False)
            member = zipfile.ZipInfo(f"{name}.npy", DATE)
            archive.writestr(member, buffer.getbuffer(), zipfile.ZIP_DEFLATED)
        archive.writestr(zipfile.ZipInfo(text_name, DATE), text, zipfile.ZIP_DEFLATED)


# Errors of the machine, the disk or the user's rights, not of a file's content.
PASSING = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EACCES, errno.EIO, errno.ESTALE)


@contextlib.contextmanager
def _as_damage(what: str = "") -> Iterator[None]:
    """Turn whatever a broken file makes the readers raise into `Damaged`, in one line."""
    try:
        yield
    except (FileNotFoundError, Damaged, MemoryError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in PASSING:
            raise  # says nothing about the file
        text = (str(error).splitlines() or [""])[0] or type(error).__name__
        raise Damaged(specs.printable(f"{what}{text}")) from None


def open_(path: Path, text_name: str) -> tuple[zipfile.ZipFile, object, list[str]]:
    """Open what `write` wrote; nothing of its arrays is read yet.

    Returns:
        The open archive, the value of its text, and the names of its arrays.

    Raises:
        FileNotFoundError: If there is none.
        Damaged: If it is something else, too large, or its text is broken.
    """
    facts = os.stat(path)
    if not stat.S_ISREG(facts.st_mode):
        raise Damaged("it is no file")
    with _as_damage():
        archive = zipfile.ZipFile(path)
        members = {info.filename: info for info in archive.infolist()}
        arrays = [name for name in members if name != text_name]
        packed = {info.compress_type for info in members.values()}
        if (
            text_name not in members
            or len(members) < len(archive.infolist())
            or not all(map(MEMBER.fullmatch, arrays))
            or packed - {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
        ):
            raise Damaged("its members are not those of results")
        unpacked = sum(info.file_size for info in members.values())
        if unpacked > max(UNPACKED, TIMES * facts.st_size) or members[text_name].file_size > TEXT:
            raise Damaged(f"its {facts.st_size} bytes would unpack to {unpacked}")
        value = json.loads(archive.read(text_name))
    return archive, value, [name.removesuffix(".npy") for name in arrays]


def read_array(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    """Read one array; `Damaged` if it is broken, or its header does not fit its size."""
    with _member(archive, name) as (file, shape, in_columns, dtype):
        # to the end, where the checksum is compared
        values = np.frombuffer(bytearray(file.read()), dtype)
        return values.reshape(shape, order="F" if in_columns else "C")


def check_arrays(archive: zipfile.ZipFile, names: Iterable[str]) -> None:
    """Look at every array and its checksum by pieces; `Damaged` as `read_array` would be."""
    for name in names:
        with _member(archive, name) as (file, *_):
            while file.read(2**20):
                pass


@contextlib.contextmanager
def _member(archive: zipfile.ZipFile, name: str) -> Iterator[tuple]:
    """Open an array at its first number; give file, shape, whether by columns, and dtype."""
    info = archive.getinfo(f"{name}.npy")
    with _as_damage(f"{name}: "), archive.open(info) as file:
        shape, in_columns, dtype = HEADERS[npy.read_magic(file)](file)
        size = math.prod(shape) * dtype.itemsize
        if dtype.kind not in KINDS or min(shape, default=0) < 0:
            raise ValueError(f"{dtype} of shape {shape} is not read")
        if file.tell() + size != info.file_size:
            raise ValueError(f"{dtype} of shape {shape} does not fit {info.file_size} bytes")
        yield file, shape, in_columns, dtype
