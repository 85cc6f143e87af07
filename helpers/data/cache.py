"""Decoded images and texts on disk: a folder a data set, its arrays opened as memory maps.

A folder's name holds the place the data were decoded from and a stamp of the source files; it is
written beside and renamed into place, so that a kill or a second process leaves none half-made.
`facts.json` holds the CRC-32 of each array: a damaged one is seen and decoded again. Without room
or right to write, the study goes on without a cache.
"""

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import time
import uuid
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

# Raise it when decoding changes its meaning: old files are then left aside.
REVISION = 2
DAY_S = 86_400

Arrays = dict[str, np.ndarray]
# (split, shape of a row, arrays of some rows each): takes a split
Write = Callable[[str, tuple[int, ...], Iterator[np.ndarray]], None]


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


def stamp(files: Iterable[Path]) -> str:
    """Hash name, size in bytes and time of change of files, 16 hex digits."""
    digest = hashlib.sha256(f"revision {REVISION}".encode())
    for file in files:
        status = file.stat()
        line = f"{file}:{status.st_size}:{status.st_mtime_ns};"
        digest.update(line.encode(errors="surrogateescape"))
    return digest.hexdigest()[:16]


def place(name: str, path: Path) -> str:
    """File name prefix of a data set: readable name, then a hash of where it lies."""
    readable = "".join(sign if sign.isalnum() else "-" for sign in path.stem)[:40]
    key = f"{path}:{name}".encode(errors="surrogateescape")
    return f"{readable}-{hashlib.sha256(key).hexdigest()[:12]}"


def decoded(
    folder: Path, where: str, stamp: str, decode: Callable[[Write], dict]
) -> tuple[Arrays, dict]:
    """Open a decoded data set, or decode it.

    Args:
        folder: Of the cache, made if need be.
        where: `place` of the source.
        stamp: Of the source as it is now; what was decoded from older files is removed.
        decode: Writes every split and returns facts, which JSON can hold, to be kept with them.

    Returns:
        uint8 arrays by split, memory maps or in memory where nothing can be written; the facts.
    """
    target = folder / f"{where}-{stamp}"
    if found := _read(target):
        return found
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".part-") as beside:
            crcs: dict[str, int] = {}
            facts = decode(lambda *split: crcs.update({split[0]: _write(Path(beside), *split)}))
            content = json.dumps({"crcs": crcs, "facts": facts})
            Path(beside, "facts.json").write_text(content, encoding="utf-8")
            os.chmod(beside, 0o755)
            with contextlib.suppress(OSError):  # another process was first
                os.rename(beside, target)
            os.makedirs(beside, exist_ok=True)  # for the context manager to remove
        _tidy(folder, where, target)
        if found := _read(target):
            return found
    except OSError:
        pass
    arrays: Arrays = {}

    def keep(split: str, shape: tuple[int, ...], batches: Iterator[np.ndarray]) -> None:
        arrays[split] = np.concatenate([np.empty((0, *shape), np.uint8), *batches])

    facts = decode(keep)
    return arrays, facts


def _read(target: Path) -> tuple[Arrays, dict] | None:
    """Open a folder; None if there is none or it is damaged (it is removed)."""
    if not target.is_dir():
        return None
    try:
        content = json.loads((target / "facts.json").read_text(encoding="utf-8"))
        arrays = {}
        for split, crc in content["crcs"].items():
            arrays[split] = np.load(target / f"{split}.npy", mmap_mode="r", allow_pickle=False)
            if zlib.crc32(arrays[split].data) != crc:
                raise ValueError(f"{split} is damaged")
        return arrays, content["facts"]
    except (OSError, ValueError, EOFError, KeyError, TypeError, AttributeError):
        shutil.rmtree(target, ignore_errors=True)
        return None


def _write(folder: Path, split: str, shape: tuple[int, ...], batches: Iterator[np.ndarray]) -> int:
    """Write the rows of a split and return their CRC-32."""
    crc = n = 0
    header = {"descr": "|u1", "fortran_order": False, "shape": (0, *shape)}
    # Plain writes: a memory map on a full disk would kill the process instead of raising.
    with open(folder / f"{split}.npy", "wb") as out:
        np.lib.format.write_array_header_1_0(out, header)
        for batch in batches:
            raw = np.ascontiguousarray(batch).data
            out.write(raw)
            crc, n = zlib.crc32(raw, crc), n + len(batch)
        out.seek(0)
        # as long as the first: NumPy leaves room for a growing n
        np.lib.format.write_array_header_1_0(out, header | {"shape": (n, *shape)})
    return crc


def _tidy(folder: Path, where: str, target: Path) -> None:
    """Remove what was decoded from older versions of the source, and what a kill left."""
    old = [path for path in folder.glob(f"{where}-*") if path != target]
    for path in folder.glob(".part-*"):
        with contextlib.suppress(OSError):
            old += [path] * (time.time() - path.stat().st_mtime > DAY_S)
    for path in old:
        shutil.rmtree(path, ignore_errors=True)
