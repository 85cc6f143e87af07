"""Results in zip files: arrays as `NAME.npy` and one JSON text, written beside and renamed.

What is read may come from anybody. Nothing of it is executed, the zip's CRC-32 covers all of it,
and kind, size and shape of an array are looked at before it is read.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import re
import stat
import uuid
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np

from helpers import StudyError, specs

# Members of equal content make equal files.
DATE = (1980, 1, 1, 0, 0, 0)
MEMBER = re.compile(r"([0-9a-f]{64}/)?[\w.+-]{1,100}\.npy", re.ASCII)
# Arrays of numbers and texts; others could hold objects.
KINDS = "biufU"
# A file unpacks to at most so many bytes, or so many times its own size where that is more.
UNPACKED, TIMES = 256 * 2**20, 20
TEXT, DEPTH = 64 * 2**20, 100


class Damaged(StudyError):
    """A file that is not what was written, or not what may be read."""


class Arrays(Mapping):
    """Arrays by name, each read when first asked for."""

    def __init__(self, names: Iterable[str], read: Callable[[str], np.ndarray]) -> None:
        self._names, self._read = tuple(names), read
        self._kept: dict[str, np.ndarray] = {}

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._kept:
            if name not in self._names:
                raise KeyError(name)
            self._kept[name] = self._read(name)
        return self._kept[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


@dataclass(frozen=True)
class Result:
    """A stored or published result.

    Attributes:
        spec: What was computed.
        key: Its hash.
        metrics: Plain values.
        arrays: By name, read when asked for.
        complete: Whether it has all its arrays; published ones lack those that nobody shows.
        provenance: Where it comes from: `commit`, `machine`, `date`, and the token `fresh` of
            the study that computed all anew. Empty where it was published without.
    """

    spec: specs.Spec
    key: str
    metrics: dict
    arrays: Mapping[str, np.ndarray]
    complete: bool = True
    provenance: dict[str, str] = field(default_factory=dict)


def entry_of(result: Result) -> dict[str, object]:
    """Return all of a result but its arrays as plain values.

    Raises:
        ValueError: If a metric is not finite.
    """
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
        Damaged: If the entry is none, or its key is not the hash of its spec.
        specs.Unknown: If another version of the study made it.
    """
    if not isinstance(entry, dict):
        raise Damaged("it describes no result")
    kinds = {"spec": dict, "metrics": dict, "complete": bool, "revisions": dict, "provenance": dict}
    for name, kind in kinds.items():
        if not isinstance(entry.get(name), kind):
            raise Damaged(f"its {name} is no {kind.__name__}")
    if not all(isinstance(text, str) for text in entry["provenance"].values()):
        raise Damaged("its provenance is no text")
    if not all(isinstance(entry["revisions"].get(kind), int) for kind in specs.KINDS):
        raise Damaged("its revisions are no numbers")
    spec = specs.from_plain(entry["spec"])
    if specs.key(spec, entry["revisions"]) != key:
        raise Damaged("its key is not the hash of its spec")
    return Result(spec, key, dict(entry["metrics"]), arrays, entry["complete"], entry["provenance"])


def check_plain(value: object, level: int = 0) -> None:
    """Raise `ValueError` unless JSON values are finite and nested at most `DEPTH` deep."""
    if level > DEPTH:
        raise ValueError(f"nested more than {DEPTH} deep")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"a number is {value}")
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list | tuple):
        return
    for part in value:
        check_plain(part, level + 1)


@contextlib.contextmanager
def beside(path: Path) -> Iterator[BinaryIO]:
    """Give a file to write that takes `path`'s place in the end, or leaves nothing behind."""
    path.parent.mkdir(parents=True, exist_ok=True)
    written = path.with_name(f".{path.name}-{os.getpid()}-{uuid.uuid4().hex[:8]}")
    try:
        with open(written, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(written, path)
    finally:
        with contextlib.suppress(OSError):
            written.unlink(missing_ok=True)


def write(path: Path, text_name: str, value: object, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays and one JSON text as a zip file; a full disk harms nothing that is there.

    Raises:
        OSError: If that fails.
    """
    with beside(path) as file, zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, np.asanyarray(array), allow_pickle=False)
            _add(archive, f"{name}.npy", buffer.getbuffer())
        text = json.dumps(value, sort_keys=True, allow_nan=False)
        _add(archive, text_name, text.encode())


def _add(archive: zipfile.ZipFile, name: str, data: bytes | memoryview) -> None:
    info = zipfile.ZipInfo(name, DATE)
    archive.writestr(info, data, zipfile.ZIP_DEFLATED)


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
    try:
        with _as_damage():
            value, names = _look(archive, text_name, facts.st_size)
    except BaseException:
        archive.close()
        raise
    return archive, value, names


def _look(archive: zipfile.ZipFile, text_name: str, size: int) -> tuple[object, list[str]]:
    members = archive.infolist()
    names = [info.filename for info in members]
    arrays = [name for name in names if name != text_name]
    odd = [name for name in arrays if not MEMBER.fullmatch(name)]
    if odd or len(set(names)) < len(names) or len(arrays) == len(names):
        raise ValueError(f"it has a member {odd[0]!r}" if odd else f"it needs one {text_name}")
    if sum(info.file_size for info in members) > max(UNPACKED, TIMES * size):
        raise ValueError(f"it unpacks to more than {TIMES} times its {size} bytes")
    if {info.compress_type for info in members} - {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        raise ValueError("it is compressed in another way")
    if archive.getinfo(text_name).file_size > TEXT:
        raise ValueError(f"its {text_name} has more than {TEXT} bytes")
    value = json.loads(archive.read(text_name))
    check_plain(value)
    return value, [name.removesuffix(".npy") for name in arrays]


@contextlib.contextmanager
def _as_damage(what: str = "") -> Iterator[None]:
    """Turn whatever a broken file makes the readers raise into `Damaged`, in one line."""
    try:
        yield
    except (FileNotFoundError, Damaged):
        raise
    except Exception as error:
        text = (str(error).splitlines() or [""])[0] or type(error).__name__
        raise Damaged(f"{what}{text}") from None


def read_array(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    """Read one array.

    Raises:
        Damaged: If it is broken, or its header does not fit its size.
    """
    info = archive.getinfo(f"{name}.npy")
    with _as_damage(f"{name}: "), archive.open(info) as file:
        shape, in_columns, dtype = _header(file, info)
        # to the end, where the checksum is compared
        values = np.frombuffer(bytearray(file.read()), dtype)
        return values.reshape(shape, order="F" if in_columns else "C")


def _header(file: BinaryIO, info: zipfile.ZipInfo) -> tuple[tuple[int, ...], bool, np.dtype]:
    version = np.lib.format.read_magic(file)
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    shape, in_columns, dtype = readers[version](file)
    size = math.prod(shape) * dtype.itemsize
    if dtype.kind not in KINDS or min(shape, default=0) < 0:
        raise ValueError(f"{dtype} of shape {shape} is not read")
    if file.tell() + size != info.file_size:
        raise ValueError(f"{dtype} of shape {shape} does not fit {info.file_size} bytes")
    return shape, in_columns, dtype


def check_arrays(archive: zipfile.ZipFile, names: Iterable[str]) -> None:
    """Read every array once, a piece at a time.

    Raises:
        Damaged: At the first that `read_array` would not read.
    """
    for name in names:
        info = archive.getinfo(f"{name}.npy")
        with _as_damage(f"{name}: "), archive.open(info) as file:
            _header(file, info)
            while file.read(2**20):
                pass
