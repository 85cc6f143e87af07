"""From a name to a data set: which reader, which cache."""

from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from helpers.data import cache, downloads, folders, parquet, pixels, text
from helpers.data.dataset import Dataset
from helpers.data.embedded import load_digits
from helpers.data.names import (
    COPIES,
    DEFAULT_ROOT,
    DOWNLOADS,
    GIVEN,
    copy_folder,
    is_text,
    kept_rows,
    parse,
    resolve,
)


def load(name: str, root: str | Path | None = None) -> Dataset:
    """Load a data set by name; the last few stay in memory.

    Args:
        name: `BASE[@TRAIN+TEST]`, see `helpers.data`.
        root: Folder of downloads and decoded images; `data/raw` of this repository by default.

    Returns:
        The data set; its name is the resolved one.

    Raises:
        StudyError: If the name or the slice is wrong, files are missing, damaged or of another
            layout, labels are unusable, or a download fails.
    """
    resolved = resolve(name, root)
    base, _ = parse(resolved)
    folder = Path(root or DEFAULT_ROOT).expanduser().absolute()
    path = _path_of(base)
    files = tuple(_files_of(resolved, base, path)) if path else ()
    return _load(resolved, folder, path, cache.stamp(files))


def check(name: str) -> int:
    """Refuse a data set that `load` would refuse by its names, labels or slice; decode nothing.

    A download is not asked for: how many rows it has is known.

    Args:
        name: As for `load`.

    Returns:
        Number of training rows.

    Raises:
        StudyError: As `load` does.
    """
    resolved = resolve(name)
    base, rows = parse(resolved)
    path = _path_of(base)
    if path:
        return len(_reader(base).encoded(resolved, path, rows)[0]["train"].labels)
    if base in DOWNLOADS:
        return kept_rows(resolved, rows, *downloads.ROWS[base])[0]
    return load_digits(resolved, rows).n


@lru_cache(maxsize=4)
def _load(name: str, root: Path, path: Path | None, stamp: str) -> Dataset:
    """Load by resolved name; `stamp` makes files that changed count as other files."""
    base, rows = parse(name)
    if base == "digits":
        return load_digits(name, rows)
    if base in DOWNLOADS:
        return downloads.load(name, base, rows, root)
    splits, class_names = _reader(base).encoded(name, path, rows)
    prefix = f"{cache.place(name, path)}-{stamp}"
    inputs = _decoded(splits, root / "cache", prefix)
    cache.remove_stale(root / "cache", cache.place(name, path), stamp)
    valid = (inputs["valid"], splits["valid"].labels) if "valid" in splits else (None, None)
    train, test = splits["train"].labels, splits["test"].labels
    return Dataset(name, inputs["train"], train, inputs["test"], test, class_names, *valid)


def _path_of(base: str) -> Path | None:
    """Folder or file on disk behind a base, None for digits and downloads."""
    if base in COPIES.values() or base in GIVEN:
        return copy_folder(base).absolute()
    if ":" in base:
        return Path(base.partition(":")[2]).expanduser().absolute()
    return None


def _files_of(name: str, base: str, path: Path) -> list[Path]:
    """Every file that decides what is loaded."""
    if base.startswith("folder:"):
        return folders.files_of(name, path)
    return list(_reader(base).find(name, path).values())


def _reader(base: str):
    """The module that reads what is behind a base with a path."""
    if is_text(base):
        return text
    return folders if base.startswith("folder:") else parquet


def _decoded(
    splits: dict[str, pixels.Encoded | text.Encoded], folder: Path, prefix: str
) -> dict[str, np.ndarray]:
    """Open the decoded images or texts of all splits, or decode them."""
    inputs = {
        split: cache.read(folder, prefix, split, len(items.labels))
        for split, items in splits.items()
    }
    if all(array is not None for array in inputs.values()):
        return inputs
    # All splits share one layout, so one lost file means that the layout must be found again.
    size, decode = _decoder(splits)
    for split, items in splits.items():
        if inputs[split] is None or inputs[split].shape[1:] != size:
            shape = (len(items.labels), *size)
            inputs[split] = cache.write(folder, prefix, split, shape, partial(decode, items))
    return inputs


def _decoder(splits: dict[str, pixels.Encoded | text.Encoded]) -> tuple[tuple[int, ...], Callable]:
    """Shape of a row, and what decodes a split in batches."""
    if isinstance(splits["train"], text.Encoded):
        return (text.T,), text.batches
    layout = pixels.common_layout(splits.values())
    return layout.shape, lambda items: pixels.batches(items, layout)
