"""Decoded images and texts on disk: `.npy` files that are opened as memory maps.

A file name holds the place it was decoded from, a stamp of the source files and the CRC-32 of the
bytes, so a stale or damaged file is seen and decoded again. Without room or right to write, the
study goes on without a cache.
"""

import contextlib
import hashlib
import os
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

# Raise it when decoding changes its meaning: old files are then left aside.
REVISION = 1


def stamp(files: Iterable[Path]) -> str:
    """Hash name, size in bytes and time of change of files, 16 hex digits."""
    digest = hashlib.sha256(f"revision {REVISION}".encode())
    for file in files:
        status = file.stat()
        digest.update(f"{file}:{status.st_size}:{status.st_mtime_ns};".encode())
    return digest.hexdigest()[:16]


def place(name: str, path: Path) -> str:
    """File name prefix of a data set: readable name, then a hash of where it lies."""
    readable = "".join(sign if sign.isalnum() else "-" for sign in path.stem)[:40]
    digest = hashlib.sha256(f"{path}:{name}".encode()).hexdigest()[:12]
    return f"{readable}-{digest}"


def read(folder: Path, prefix: str, split: str, n: int) -> np.ndarray | None:
    """Open a cached split.

    Args:
        folder: Folder of the cache.
        prefix: `place` and `stamp`, joined by a dash.
        split: "train", "test" or "valid".
        n: Rows expected.

    Returns:
        Read-only memory map, uint8, shape (n, C, H, W) or (n, T); None if there is none or it is
        damaged (a damaged file is removed).
    """
    for file in sorted(folder.glob(f"{prefix}-{split}-*.npy")):
        try:
            array = np.load(file, mmap_mode="r", allow_pickle=False)
            intact = array.dtype == np.uint8 and array.ndim in (2, 4) and len(array) == n
            if intact and file.stem.endswith(f"-{_crc([array]):08x}"):
                return array
        except (OSError, ValueError, EOFError):
            pass
        with contextlib.suppress(OSError):
            file.unlink()
    return None


def write(
    folder: Path,
    prefix: str,
    split: str,
    shape: tuple[int, ...],
    batches: Callable[[], Iterator[np.ndarray]],
) -> np.ndarray:
    """Decode a split into the cache, batch by batch, and open it.

    Args:
        folder: Folder of the cache, made if need be.
        prefix: As in `read`.
        split: As in `read`.
        shape: (n, C, H, W), or (n, T) for texts.
        batches: Starts the decoding; yields uint8 arrays of b of the rows.

    Returns:
        uint8 of that shape: a read-only memory map, or an array in memory where the disk is
        full or cannot be written.
    """
    try:
        file = _write_file(folder, f"{prefix}-{split}", shape, batches())
        return np.load(file, mmap_mode="r", allow_pickle=False)
    except OSError:
        return np.concatenate(list(batches()))


def remove_stale(folder: Path, where: str, current: str) -> None:
    """Remove what was decoded from older versions of the same source.

    Args:
        folder: Folder of the cache.
        where: `place` of the source.
        current: `stamp` of the source as it is now.
    """
    for file in folder.glob(f"{where}-*.npy"):
        if not file.name.startswith(f"{where}-{current}-"):
            with contextlib.suppress(OSError):
                file.unlink()


def _write_file(
    folder: Path, stem: str, shape: tuple[int, ...], batches: Iterator[np.ndarray]
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    handle, beside = tempfile.mkstemp(dir=folder, suffix=".part")
    try:
        # Plain writes: a memory map on a full disk would kill the process instead of raising.
        with os.fdopen(handle, "wb") as out:
            header = {"descr": "|u1", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(out, header)
            crc = _crc(_written(out, batches))
        target = folder / f"{stem}-{crc:08x}.npy"
        os.replace(beside, target)
        return target
    finally:
        with contextlib.suppress(OSError):
            os.unlink(beside)


def _written(out, batches: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    for batch in batches:
        out.write(np.ascontiguousarray(batch).data)
        yield batch


def _crc(arrays: Iterable[np.ndarray]) -> int:
    crc = 0
    for array in arrays:
        crc = zlib.crc32(np.ascontiguousarray(array).data, crc)
    return crc
