"""Arrays on disk, mapped rather than read: ``.npy``, ``.npz:key``, ``.parquet:column``."""

import errno
import itertools
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from helpers import StudyError

SUFFIXES = (".npy", ".npz", ".parquet")
N_BATCH = 1 << 14  # rows of a parquet file decoded at once
CHUNK = 1 << 20  # bytes copied, or read ahead of the decoder, at once
HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


@dataclass(frozen=True, eq=False)
class Stored:
    """An array of a file.

    Attributes:
        values: The array, read-only and backed by a file where it is large.
        path: The file it was asked from.
        key: Key or columns (with commas between); empty for .npy.
        classes: Where strings became class numbers, the name of each, sorted; else None.
    """

    values: np.ndarray
    path: Path
    key: str = ""
    classes: tuple[str, ...] | None = None


def split(source: str) -> tuple[Path, str]:
    """Return file and key of FILE.npy, FILE.npz:key or FILE.parquet:column.

    Raises:
        ValueError: If the file is of another kind or does not exist.
    """
    found = None if Path(source).is_file() else re.fullmatch(r"(.+?\.(?:npz|parquet)):(.*)", source)
    path, key = (Path(found[1]), found[2]) if found else (Path(source), "")
    if path.suffix not in SUFFIXES:
        raise StudyError(f"{path} must be one of {', '.join(SUFFIXES)}")
    if not path.is_file():
        raise StudyError(f"there is no file {path}")
    return path, key


def read(source: str, scratch: Path, strings: bool = False) -> Stored:
    """Return one array of a file in memory that grows with neither its rows nor its columns.

    Args:
        source: FILE.npy, FILE.npz:key or FILE.parquet:column; a file that holds one array only
            needs no key. A column of lists gives (n, length); a,b,c of numbers give (n, 3).
        scratch: Folder for an unnamed file, as large as the array, for .npz and .parquet.
        strings: Turn strings into class numbers, by rising name, instead of refusing them.

    Raises:
        ValueError: If the file is missing, of another kind, damaged, or lacks the key, or the
            array is empty, has missing values or is not of numbers.
    """
    path, key = split(source)
    try:
        if path.suffix == ".npy":
            with path.open("rb") as handle:
                found = Stored(_mapped(handle, path), path)
        else:
            found = (_npz if path.suffix == ".npz" else _parquet)(path, key, scratch)
    except (StudyError, MemoryError):
        raise
    except Exception as error:  # damaged files raise whatever their reader raises
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            room = f"{scratch} has no room to unpack {path}; TMPDIR may name another folder"
            raise StudyError(room) from None
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise StudyError(f"{path} cannot be read as {path.suffix}: {first}") from None
    return _numeric(found, strings)


def _numeric(found: Stored, strings: bool) -> Stored:
    """Return an array of numbers, or class numbers of strings where that is allowed."""
    values = found.values
    where = f"{found.path}:{found.key}" if found.key else f"{found.path}"
    if strings and values.dtype.kind in "US" and values.ndim == 1:
        names, codes = np.unique(values, return_inverse=True)
        texts = np.char.decode(names, "utf-8", "replace") if values.dtype.kind == "S" else names
        return Stored(codes.astype(np.int64), found.path, found.key, tuple(texts.tolist()))
    is_text = values.dtype.kind in "US" or found.classes is not None
    if values.dtype.kind not in "biuf" or (is_text and not strings):
        kind = "strings" if is_text else values.dtype
        raise StudyError(f"{where} must hold numbers, got {kind}")
    return found


def _mapped(handle: IO[bytes], path: Path) -> np.ndarray:
    """Return the array of an open .npy file, which may be closed or unnamed afterwards."""
    version = np.lib.format.read_magic(handle)
    if version not in HEADERS:
        raise StudyError(f"{path} is of .npy version {version}, which holds no plain numbers")
    shape, is_fortran, dtype = HEADERS[version](handle)
    if dtype.hasobject:
        raise StudyError(
            f"{path} holds Python objects; save an array of numbers, or strings by astype(str)"
        )
    if not np.prod(shape, dtype=object):
        raise StudyError(f"{path} is empty, shape {shape}")
    order = "F" if is_fortran else "C"
    mapped = np.memmap(handle, dtype, "r", handle.tell(), shape or (1,), order)
    return np.asarray(mapped).reshape(shape, order=order)


def _key(path: Path, key: str, known: list[str]) -> str:
    """Return the key asked for, or the only one there is."""
    if not key and len(known) == 1:
        return known[0]
    if key not in known:
        got = f"got {key!r}" if key else "give one after a colon"
        raise StudyError(f"{path} holds {', '.join(known) or 'nothing'}; {got}")
    return key


def _npz(path: Path, key: str, scratch: Path) -> Stored:
    """Unpack one member: it is an .npy file already."""
    with zipfile.ZipFile(path) as archive:
        names = [name[:-4] for name in archive.namelist() if name.endswith(".npy")]
        key = _key(path, key, names)
        with archive.open(f"{key}.npy") as member, _unnamed(scratch) as handle:
            shutil.copyfileobj(member, handle, CHUNK)
            handle.seek(0)
            return Stored(_mapped(handle, path), path, key)


def _unnamed(scratch: Path) -> IO[bytes]:
    """Open a file without a name: no kill can leave it behind."""
    return tempfile.TemporaryFile(dir=scratch)


def _parquet(path: Path, key: str, scratch: Path) -> Stored:
    """Decode columns batch by batch, into an unnamed file where they are numbers."""
    import pyarrow.parquet

    with pyarrow.parquet.ParquetFile(path, buffer_size=CHUNK, pre_buffer=False) as file:
        columns = _columns(path, key, file.schema_arrow.names)
        n = file.metadata.num_rows
        if not n:
            raise StudyError(f"{path} is empty, 0 rows")
        batches = file.iter_batches(N_BATCH, columns=columns, use_threads=False)
        if len(columns) == 1 and _is_text(file.schema_arrow.field(columns[0]).type):
            codes, classes = _classes(batches, path, columns[0])
            return Stored(codes, path, columns[0], classes)
        values = _spooled(_blocks(batches, path, columns), n, path, scratch)
    return Stored(values, path, ",".join(columns))


def _columns(path: Path, key: str, known: list[str]) -> list[str]:
    """Return the columns asked for: a name of its own, or several with commas between."""
    if key in known or "," not in key:
        return [_key(path, key, known)]
    return [_key(path, name.strip(), known) for name in key.split(",")]


def _is_text(kind: Any) -> bool:
    """Say whether a column holds strings, stored as such or as a categorical."""
    from pyarrow import types

    kind = kind.value_type if types.is_dictionary(kind) else kind
    return types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)


def _classes(
    batches: Iterator[Any], path: Path, name: str
) -> tuple[np.ndarray, tuple[str, ...] | None]:
    """Return class numbers by rising name, shape (n,), and the names."""
    numbers: dict[str, int] = {}
    parts, first = [], 0
    for batch in batches:
        column = batch.column(name)
        _refuse_nulls(column, first, f"{path}:{name}")
        column = column if hasattr(column, "dictionary") else column.dictionary_encode()
        places = [numbers.setdefault(text, len(numbers)) for text in column.dictionary.to_pylist()]
        parts.append(np.array(places)[column.indices.to_numpy()])
        first += len(column)
    codes = np.concatenate(parts)
    used = set(np.unique(codes).tolist())  # a categorical may name classes without a row
    names = sorted(text for text, code in numbers.items() if code in used)
    rank = np.zeros(len(numbers), dtype=np.int64)
    rank[[numbers[text] for text in names]] = np.arange(len(names))
    return rank[codes], tuple(names)


def _blocks(batches: Iterator[Any], path: Path, columns: list[str]) -> Iterator[np.ndarray]:
    """Yield the rows of each batch, shape (b,) of one column of numbers, else (b, width)."""
    first = 0
    for batch in batches:
        parts = [_rows(batch.column(name), first, f"{path}:{name}") for name in columns]
        if len(parts) > 1 and any(part.ndim > 1 for part in parts):
            raise StudyError(f"{path}: a column of lists must stand alone, got {len(parts)}")
        yield parts[0] if len(parts) == 1 else np.stack(parts, axis=1)
        first += len(parts[0])


def _rows(column: Any, first: int, where: str) -> np.ndarray:
    """Return a column of numbers, shape (b,), or of equally long lists, shape (b, width)."""
    from pyarrow import compute, types

    column = getattr(column, "storage", column)  # a tensor column's own lists
    _refuse_nulls(column, first, where)
    if hasattr(column, "dictionary"):
        column = column.dictionary_decode()
    kind, widths = column.type, None
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        widths = compute.list_value_length(column).to_numpy(zero_copy_only=False)
        _refuse_ragged(widths, first, where)
        column = column.flatten()
        _refuse_nulls(column, first, where, int(widths[0]))
    kind = column.type
    if not (types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)):
        raise StudyError(f"{where} must hold numbers or lists of numbers, got {kind}")
    values = column.to_numpy(zero_copy_only=False)
    return values if widths is None else values.reshape(len(widths), -1)


def _refuse_nulls(column: Any, first: int, where: str, width: int = 1) -> None:
    """Raise at the first missing value; `width` values make a row."""
    if column.null_count:
        row = first + int(column.is_null().to_numpy(zero_copy_only=False).argmax()) // width
        raise StudyError(f"{where} has a missing value in row {row}")


def _refuse_ragged(widths: np.ndarray, first: int, where: str) -> None:
    """Raise unless all lists of a batch are equally long and hold anything."""
    differs = widths != widths[0]
    if differs.any():
        row = int(differs.argmax())
        raise StudyError(
            f"{where} must hold lists of one length, got {widths[0]} numbers in row {first} and "
            f"{widths[row]} in row {first + row}"
        )
    if not widths[0]:
        raise StudyError(f"{where} holds empty lists")


def _spooled(blocks: Iterator[np.ndarray], n: int, path: Path, scratch: Path) -> np.ndarray:
    """Write blocks of rows to an unnamed .npy and map it: written pages take no memory."""
    first = next(blocks)
    shape = (n, *first.shape[1:])
    header = {"descr": first.dtype.str, "fortran_order": False, "shape": shape}
    with _unnamed(scratch) as handle:
        np.lib.format.write_array_header_1_0(handle, header)
        for block in itertools.chain([first], blocks):
            if block.shape[1:] != shape[1:]:
                raise StudyError(
                    f"{path} must hold lists of one length, got {shape[1]} and {block.shape[1]}"
                )
            handle.write(np.ascontiguousarray(block, dtype=first.dtype).data)
        handle.seek(0)
        return _mapped(handle, path)
