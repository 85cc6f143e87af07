"""Which images a folder or a Parquet file holds, and of which classes.

Folders (`folder:PATH`). The images of a class lie in a folder, `PATH/CLASS/...`, which is split
80/20 per class by hashes of the paths inside PATH, or in `PATH/train/CLASS/...` beside a test or
validation folder (`split_of` knows their names; with both, the latter is the validation set).
Where every class folder holds folders only, `?classes=` says what a class is: `top` (`a`), `path`
(`a/airfield`) or `leaf` (`airfield`). Every file is read once, by its real path. Hidden files,
folders of a system (`SYSTEM`) and files that Pillow does not read are passed over and counted.
Rows are ordered by hash, so that the first ones are a mixed sample.

Parquet (`parquet:PATH`). The image is a struct with `bytes` (an encoded JPEG, PNG, ...) or plain
binary, the label a whole number or the name of a class, see `tables`. Rows keep their order.

`?target=number` learns the numbers in the column, or those that the class folders are named by.
"""

import os
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from helpers import StudyError
from helpers.data import pixels, tables
from helpers.data.dataset import Listing, assigned, check_names, hash_order, split_of
from helpers.data.pixels import decoder

__all__ = ["decoder", "files", "listing"]

IMAGES = ("image", "img", "images", "picture", "photo", "pixels", "bytes")
SYSTEM = {"@eadir", "@recycle", "@tmp", "#recycle", "#snapshot", "__macosx", "lost+found"}
SYSTEM |= {"$recycle.bin", "system volume information"}
BATCH = 256

Parts = tuple[str, ...]  # of a path inside the data set's folder


def files(name: str, path: Path) -> list[Path]:
    """List every file that decides what is loaded."""
    if name.startswith("folder:"):
        return [path.joinpath(*parts) for parts in _walk(name, path)[0]]
    return sum(tables.find(name, path, (".parquet",))[0].values(), [])


def listing(
    name: str, path: Path, options: dict[str, str], rows: tuple[int, int] | None
) -> Listing:
    """List the images with their labels, and prepare their reading.

    Args:
        name: Data set, for the messages.
        path: The folder, or the Parquet file.
        options: As in `names.OPTIONS`.
        rows: Slice (training rows, test rows), or None for everything.

    Raises:
        StudyError: If there are no images, a class folder is empty, what is a class is open, or
            the labels are unusable.
    """
    read = _folder if name.startswith("folder:") else _parquet
    return read(name, path, options, rows)


# Folders


def _folder(
    name: str, path: Path, options: dict[str, str], rows: tuple[int, int] | None
) -> Listing:
    found, passed, folders = _walk(name, path)
    notes: list[str] = []
    by_split = _by_split(name, found, passed, notes)
    class_of = _class_of(name, by_split, options.get("classes", ""), folders, notes)
    if passed:
        notes.append("passed over " + ", ".join(f"{n} {what}" for what, n in passed.items()))
    labels, keys, ordered = {}, {}, {}
    for split, part in by_split.items():
        own = np.array([unicodedata.normalize("NFC", class_of(inner)) for _, inner in part])
        check_names(name, {class_of(inner) for _, inner in part})
        of_part = [unicodedata.normalize("NFC", "/".join(parts)) for parts, _ in part]
        for file in of_part:
            if file.encode(errors="ignore").decode() != file:
                raise StudyError(f"{name}: expected names of files in UTF-8, got {ascii(file)}")
        order = hash_order(of_part)
        if "target" in options:
            own = tables.labels_of(f"{name}: a class folder", own.tolist(), True)
        labels[split] = own[order]
        keys[split] = [of_part[row] for row in order]
        ordered[split] = ["/".join(part[row][0]) for row in order]

    def items(split: str, rows: np.ndarray) -> Iterator[tuple[str, Path]]:
        return ((str(path / ordered[split][row]), path / ordered[split][row]) for row in rows)

    return tables.listing(name, labels, None, rows, items, notes, keys, ordered)


def _walk(name: str, path: Path) -> tuple[list[Parts], Counter, set[Parts]]:
    """Find the images below a folder, every real file once; what is passed over; the folders.

    Folders come before links to folders, so that a link never takes the place of what it leads to.
    """
    if not path.is_dir():
        raise StudyError(f"{name}: there is no folder {path}, expected class folders with images")
    above, seen = os.path.join(os.path.realpath(path), ""), set()
    todo, links, found = [()], [], []
    passed: Counter = Counter()
    walked: set[Parts] = set()
    while todo or links:
        is_link = not todo
        here = (todo or links).pop()
        real = os.path.realpath(path.joinpath(*here))
        if real in seen or (here and above.startswith(os.path.join(real, ""))):
            passed["link back"] += 1
            continue
        seen.add(real)
        walked.add(here)
        try:
            entries = sorted(os.scandir(path.joinpath(*here)), key=lambda entry: entry.name)
        except PermissionError:
            passed["folder without right to read"] += 1
            continue
        for entry in entries:
            inside = (*here, entry.name)
            if why := _why_not(entry):
                passed[why] += 1
            elif entry.is_dir():
                (links if entry.is_symlink() else todo).append(inside)
            else:
                found.append((is_link or entry.is_symlink(), inside))
    if any(is_link for is_link, _ in found):
        once: dict[str, tuple[bool, Parts]] = {}
        for item in sorted(found):
            once.setdefault(os.path.realpath(path.joinpath(*item[1])), item)
        passed += Counter({"second links to an image": len(found) - len(once)})
        found = list(once.values())
    return sorted(parts for _, parts in found), passed, walked


def _why_not(entry: os.DirEntry) -> str:
    """Why an entry of a folder is passed over; empty for folders and images."""
    if entry.name.startswith("."):
        return "hidden"
    if entry.name.casefold() in SYSTEM:
        return entry.name
    if entry.is_dir():
        return ""
    if not entry.is_file():
        return "link to nothing" if entry.is_symlink() else "not a file"
    ending = Path(entry.name).suffix.lower()
    if ending:
        return "" if ending in _endings() else ending
    try:
        with pixels.opened(Path(entry.path)):
            return ""
    except pixels.BROKEN:
        return "no ending"


@cache
def _endings() -> set[str]:
    kinds = pixels.formats()
    return {end for end, kind in Image.registered_extensions().items() if kind in kinds}


def _by_split(
    name: str, found: list[Parts], passed: Counter, notes: list[str]
) -> dict[str, list[tuple[Parts, Parts]]]:
    """Split -> (path, path without the split's and shared folders) of each image, or "all"."""
    pairs = _below([(parts, parts) for parts in found], passed, notes)
    at, there = 0, {inner[0]: split_of(inner[0]) for _, inner in pairs if len(inner) > 2}
    if not any(there.values()) and all(len(inner) > 2 and split_of(inner[1]) for _, inner in pairs):
        at, there = 1, {inner[1]: split_of(inner[1]) for _, inner in pairs}  # CLASS/train/...
    there = {own: split for own, split in there.items() if split}
    if not there:
        kinds = {split_of(inner[0]) for _, inner in pairs} - {None}
        if len(kinds) > 1:
            raise StudyError(f"{name}: images lie in {' and '.join(kinds)}, not in class folders")
        return {"all": pairs}
    parts_of, guessed = assigned(name, there)
    others = sorted(inner[at] for _, inner in pairs if inner[at] not in there)
    if others and "all" in parts_of:
        held = f"{parts_of['all']!r} holds class folders, {others[0]!r} beside it does not"
        raise StudyError(f"{name}: {held}: which is for testing?")
    passed += Counter({"images beside the splits": len(others)})
    notes += guessed
    by_split = {}
    for split, own in parts_of.items():
        part = [(parts, (*i[:at], *i[at + 1 :])) for parts, i in pairs if i[at] == own]
        by_split[split] = _below(part, passed, notes if split in ("all", "train") else [])
    return by_split


def _below(
    pairs: list[tuple[Parts, Parts]], passed: Counter, notes: list[str]
) -> list[tuple[Parts, Parts]]:
    """Leave out images beside the class folders; step into a folder that holds all others."""
    while True:
        passed["images beside the class folders"] += sum(len(inner) == 1 for _, inner in pairs)
        pairs = [(parts, inner) for parts, inner in pairs if len(inner) > 1]
        shared = {inner[0] for _, inner in pairs}
        is_one = len(shared) == 1 and not split_of(*shared)
        if not is_one or any(len(inner) == 2 for _, inner in pairs):
            passed += Counter()  # drops zeros
            return pairs
        notes.append(f"the class folders lie in {shared.pop()!r}")
        pairs = [(parts, inner[1:]) for parts, inner in pairs]


def _class_of(
    name: str,
    by_split: dict[str, list[tuple[Parts, Parts]]],
    asked: str,
    folders: set[Parts],
    notes: list[str],
) -> Callable[[Parts], str]:
    """What names the class of an image, given its path without the split's folder."""
    ways = {
        "top": lambda inner: inner[0],
        "path": lambda inner: "/".join(inner[:-1]),
        "leaf": lambda inner: inner[-2],
    }
    if asked not in ("", *ways):
        raise StudyError(f"{name}: classes={asked}, expected {', '.join(ways)}")
    first = by_split["all" if "all" in by_split else "train"]
    if not first:
        raise StudyError(f"{name}: holds no class folder with images, expected CLASS/IMAGE")
    if not asked and all(len(inner) > 2 for _, inner in first):
        shown = []
        for way, of in ways.items():
            own = sorted({of(inner) for _, inner in first})
            shown.append(
                f"?classes={way} ({len(own)}: {', '.join(own[:3])}{', ...' * (len(own) > 3)})"
            )
        raise StudyError(f"{name}: the class folders hold folders only, add {' or '.join(shown)}")
    if not asked and (n := len({inner[0] for _, inner in first if len(inner) > 2})):
        notes.append(f"folders inside {n} class folders belong to the class")
    if asked in ("", "top"):
        own = {parts[: len(parts) - len(inner) + 1] for parts, inner in first}
        homes = {folder[:-1] for folder in own}
        for folder in sorted(folders - own - homes):
            if folder[:-1] in homes and not split_of(folder[-1]):
                raise StudyError(
                    f"{name}: class {folder[-1]!r} has no images, expected at least one"
                )
    return ways[asked or "top"]


# Parquet


def _parquet(
    name: str, path: Path, options: dict[str, str], rows: tuple[int, int] | None
) -> Listing:
    found, notes = tables.find(name, path, (".parquet",))
    columns = {file: _columns(file, options) for part in found.values() for file in part}
    first = next(iter(columns))
    if columns[first] != ("image", "label"):
        notes.append("image from {}, label from {}".format(*columns[first]))
    labels = {}
    for split, part in found.items():
        values = [own for file in part for own in tables.parquet_column(file, columns[file][1])]
        where = f"{part[0]} column {columns[part[0]][1]}"
        labels[split] = tables.labels_of(where, values, "target" in options)
    stated = tables.stated_names(first, columns[first][1])

    def items(split: str, rows: np.ndarray) -> Iterator[tuple[str, bytes | None]]:
        """Yield (name, bytes) of some rows, ascending; reads no further than the last."""
        start = 0
        for file in found[split]:
            first = start
            with tables.readable(file):
                opened = tables.opened(file)
                for batch in opened.iter_batches(BATCH, columns=[columns[file][0]]):
                    if not len(rows):
                        return
                    inside = rows[: np.searchsorted(rows, start + len(batch))]
                    for row in inside.tolist():
                        value = batch.column(0)[row - start].as_py()
                        value = value.get("bytes") if isinstance(value, dict) else value
                        yield f"{file} row {row - first}", value
                    rows, start = rows[len(inside) :], start + len(batch)

    return tables.listing(name, labels, stated, rows, items, notes)


def _columns(file: Path, options: dict[str, str]) -> tuple[str, str]:
    schema = tables.opened(file).schema_arrow
    label = tables.column_of(file, schema.names, options.get("label"), tables.LABELS, "label")
    fit = [own.name for own in schema if own.name != label and _holds_bytes(own.type)]
    usual = (*IMAGES, *(own.casefold() for own in fit)) if len(fit) == 1 else IMAGES
    image = tables.column_of(file, schema.names, options.get("image"), usual, "image")
    if image not in fit:
        shown = f"column {image} is {schema.field(image).type}"
        raise StudyError(f"{file}: {shown}, expected binary or a struct with bytes")
    return image, label


def _holds_bytes(kind) -> bool:
    import pyarrow as pa

    if pa.types.is_struct(kind):
        return any(part.name == "bytes" and _holds_bytes(part.type) for part in kind)
    return "binary" in str(kind)
