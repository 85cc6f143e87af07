"""Files of rows: finding those of each split, opening Parquet, recognising columns and labels."""

import contextlib
import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from helpers import StudyError
from helpers.data.dataset import (
    Listing,
    Split,
    assigned,
    check_labels,
    classes,
    held_out,
    indices,
    split_of,
)
from helpers.data.names import kept_rows

LABELS = (
    *("label", "labels", "fine_label", "coarse_label", "class", "sentiment", "target", "category"),
    *("polarity", "rating", "stars", "score", "y"),
)
SPLIT_NAMES = {"all": "training", "train": "training", "test": "test", "valid": "validation"}
_SHARD = re.compile(r"(?P<name>.*?)[-_.]?(?P<number>\d+)(-of-(?P<n>\d+))?(-[0-9a-f]+)?", re.ASCII)

Files = dict[str, list[Path]]


def find(name: str, path: Path, endings: Sequence[str]) -> tuple[Files, list[str]]:
    """Find the files of each split.

    Args:
        name: Data set, for the messages.
        path: A file, or a folder whose files, or the folders that these lie in, are named as
            splits; shards are taken together in the order of their names.
        endings: Of files in a folder; of two files of one name the earlier ending is taken.

    Returns:
        Files by split ("train", "test", perhaps "valid"; "all" where none is for testing), and
        what was guessed.

    Raises:
        StudyError: If there are none, several data sets, or shards are missing.
    """
    if path.is_file():
        return {"all": [path]}, []
    by_home = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for file in sorted(path.rglob("*")):
        ending = next((own for own in endings if file.name.lower().endswith(own)), None)
        hidden = any(own.startswith((".", "__")) for own in file.relative_to(path).parts)
        if ending is None or hidden or not file.is_file():
            continue
        stem, home = file.name[: -len(ending)], file.parent
        own = match["name"] if (match := _SHARD.fullmatch(stem)) else stem
        if not _split(own) and home != path and split_of(home.name):
            own, home = home.name, home.parent  # train/0000.parquet
        by_home[home][own if _split(own) else ""][ending].append(file)
    # its own files first, then those in data/, where the Hub puts them
    home = next((home for home in (path, path / "data") if set(by_home[home]) - {""}), None)
    homes = [home] if home else [home for home in by_home if by_home[home]]
    if not homes:
        what = "a folder without" if path.is_dir() else "nothing"
        kinds = " ".join(ending for ending in endings if ending.count(".") == 1)
        shown = f"a file, or a folder with train and test files ({kinds})"
        raise StudyError(f"{name}: expected {shown}, at {path} (there: {what})")
    if len(homes) > 1:
        shown = ", ".join(sorted(str(home.relative_to(path)) for home in homes))
        raise StudyError(f"{name}: {path} holds several data sets ({shown}), name one of them")
    own_files = by_home[homes[0]].items()
    found = {own: files[min(files, key=endings.index)] for own, files in own_files}
    others = found.pop("", [])
    if not found:
        return {"all": others}, [f"{len(others)} files are taken together"] * (len(others) > 1)
    parts, notes = assigned(name, {own: _split(own) for own in found})
    notes += [f"passed over {len(others)} other files"] * bool(others)
    for own in parts.values():
        stated = {int(n) for file in found[own] for n in re.findall(r"-of-(\d+)", file.name)}
        if stated and stated != {len(found[own])}:
            there = f"{len(found[own])} of {max(stated)} files of {own!r}"
            raise StudyError(f"{name}: {there} are there, expected all of them")
    return {split: found[own] for split, own in parts.items()}, notes


def _split(stem: str) -> str | None:
    """Split of a file's name, or of the one word in it that is one (imdb_train)."""
    found = [split for word in re.split("[^a-zA-Z]+", stem) if (split := split_of(word))]
    return split_of(stem) or (found[0] if len(found) == 1 else None)


def column_of(
    file: Path | str, names: Sequence[str], asked: str | None, usual: Sequence[str], option: str
) -> str:
    """Choose a column by the option, or as the first of the usual names, whatever their case."""
    if asked is not None and asked in names:
        return asked
    keys = {own.strip().casefold(): own for own in reversed(names)}
    wanted = [key for key in usual if key in keys] if asked is None else []
    if not wanted:
        shown = "".join(c if c.isprintable() else "?" for c in ", ".join(names)[:200]) or "(none)"
        raise StudyError(
            f"{file} has the columns {shown}, expected {asked or ' or '.join(usual[:4])}: "
            f"?{option}=COLUMN names another"
        )
    return keys[wanted[0]]


def opened(file: Path):
    """Open a file as `pyarrow.parquet.ParquetFile`."""
    import pyarrow.parquet as pq  # a moment that the digits need not pay

    with readable(file):
        return pq.ParquetFile(file)


@contextlib.contextmanager
def readable(file: Path) -> Iterator[None]:
    """Turn what pyarrow raises on a damaged file into one line."""
    import pyarrow as pa

    try:
        yield
    except UnicodeDecodeError as error:
        raise StudyError(f"{file}: {error.reason} in a text, expected UTF-8") from error
    except (pa.ArrowException, OSError) as error:
        raise StudyError(f"{file} cannot be read, expected an intact Parquet file") from error


def parquet_column(file: Path, column: str) -> list:
    """Read a column as Python values."""
    with readable(file):
        return opened(file).read(columns=[column])[column].to_pylist()


def stated_names(file: Path, column: str) -> tuple[str, ...] | None:
    """Class names in a Parquet file's metadata, in the order of the class indices, or None.

    They stand under `label_names` (a JSON list) for the column `label`, or under `huggingface`.
    """
    schema = opened(file).schema_arrow
    steps = {b"huggingface": ("info", "features", column, "names")}
    if column == "label" or "label" not in schema.names:
        steps = {b"label_names": ()} | steps
    for key, path in steps.items():
        with contextlib.suppress(KeyError, ValueError, TypeError, RecursionError):
            value = json.loads((schema.metadata or {})[key])
            for step in path:
                value = value[step]
            if isinstance(value, list) and value:
                return tuple(map(str, value))
    return None


def labels_of(where: str, values: Sequence, numbers: bool = False) -> np.ndarray:
    """Turn the numbers, truth values or texts of a label column into int64 or str (n,).

    Texts are numbers if the first one is. Where `numbers` are to be learnt, they are float64 (n,).

    Raises:
        StudyError: If a value is missing, no whole number where the first is one, or of another
            type; among `numbers`, none; it begins with `where`, a file and column.
    """
    if numbers:
        known = [whole(v)[0] if isinstance(v, int | float | str) else None for v in values]
        if None in known:
            row = known.index(None)
            raise StudyError(f"{where}: row {row} is {values[row]!r:.60}, expected a number")
        return np.array(known, dtype=np.float64)
    is_number, found = True, []
    for row, value in enumerate(values):
        if value is None or value == "" or value != value:
            raise StudyError(f"{where}: row {row} has no label")
        if isinstance(value, bool):
            value = str(value)
        if not isinstance(value, int | float | str):
            raise StudyError(f"{where} holds {type(value).__name__}, expected numbers or names")
        number, is_whole = whole(value)
        if not row:
            is_number = number is not None
        if number is not None and not is_whole or is_number and number is None:
            raise StudyError(f"{where}: row {row} is {value!r:.60}, expected a whole number")
        found.append(int(number) if is_number else str(value))
    return np.array(found, dtype=np.int64 if is_number else str)


def whole(value: float | str) -> tuple[float | None, bool]:
    """Read a finite number, or None; and whether it is whole and held exactly by float64."""
    try:
        number = float(value)
    except ValueError:
        number = np.nan
    if not np.isfinite(number):
        return None, False
    return number, number.is_integer() and abs(number) < 2**53


def listing(
    name: str,
    labels: dict[str, np.ndarray],
    stated: Sequence[str] | None,
    rows: tuple[int, int] | None,
    items: Callable[[str, np.ndarray], Iterator],
    notes: Sequence[str],
    keys: dict[str, list[str]] | None = None,
    files: dict[str, list[str]] | None = None,
    unit: str = "",
) -> Listing:
    """Split, label and slice rows; a single set is split 80/20 by hashes, and per class.

    Args:
        name: Data set, for the messages.
        labels: Of all rows of each split, or of "all", as in the source; float64 are to be learnt.
        stated: Names of the class indices, or None.
        rows: Slice (training rows, test rows), or None for everything.
        items: (split or "all", rows to read) -> what `Split.items` yields.
        notes: What was guessed so far.
        keys: What is hashed of each row; the row numbers by default.
        files: Name of each row's file, or None.
        unit: As for `classes`.

    Raises:
        StudyError: If labels or the slice are unusable.
    """
    is_one = "all" in labels
    source = dict.fromkeys(("train", "test"), "all") if is_one else {own: own for own in labels}
    first = labels[source["train"]]
    numbers = first.dtype.kind == "f"
    known, class_names, guessed = (first, (), []) if numbers else classes(name, first, stated, unit)
    are_indices = numbers or (stated and first.dtype.kind != "U")
    for split, own in labels.items():  # training first
        labels = labels | {split: own if are_indices else indices(name, split, own, known)}
        check_labels(name, SPLIT_NAMES[split], labels[split], class_names)
    chosen = {split: np.arange(len(own)) for split, own in labels.items()}
    if is_one:
        hashed = keys["all"] if keys else list(map(str, chosen["all"]))
        is_test = held_out(name, np.zeros(len(first)) if numbers else labels["all"], hashed)
        chosen = {"train": np.flatnonzero(~is_test), "test": np.flatnonzero(is_test)}
    n_train, n_test = kept_rows(name, rows, len(chosen["train"]), len(chosen["test"]))
    chosen |= {"train": chosen["train"][:n_train], "test": chosen["test"][:n_test]}
    splits = {
        split: Split(labels[source[split]][kept], kept, partial(items, source[split], kept))
        for split, kept in chosen.items()
    }
    kept = tuple(files[source["train"]][row] for row in chosen["train"]) if files else ()
    return Listing(splits, class_names, is_one, (*notes, *guessed), kept)
