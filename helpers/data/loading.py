"""From a name to a data set: which reader, which cache."""

from functools import lru_cache
from pathlib import Path

import numpy as np

from helpers.data import cache, downloads, folders, parquet, pixels
from helpers.data.dataset import Dataset
from helpers.data.embedded import load_digits
from helpers.data.names import COPIES, DEFAULT_ROOT, DOWNLOADS, copy_folder, parse, resolve


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


@lru_cache(maxsize=4)
def _load(name: str, root: Path, path: Path | None, stamp: str) -> Dataset:
    """Load by resolved name; `stamp` makes files that changed count as other files."""
    base, rows = parse(name)
    if base == "digits":
        return load_digits(name, rows)
    if base in DOWNLOADS:
        return downloads.load(name, base, rows, root)
    reader = folders if base.startswith("folder:") else parquet
    splits, class_names = reader.encoded(name, path, rows)
    prefix = f"{cache.place(name, path)}-{stamp}"
    images = _decoded(splits, root / "cache", prefix)
    cache.remove_stale(root / "cache", cache.place(name, path), stamp)
    valid = (images["valid"], splits["valid"].labels) if "valid" in splits else (None, None)
    train, test = splits["train"].labels, splits["test"].labels
    return Dataset(name, images["train"], train, images["test"], test, class_names, *valid)


def _path_of(base: str) -> Path | None:
    """Folder or file on disk behind a base, None for digits and downloads."""
    if base in COPIES.values():
        return copy_folder(base).absolute()
    if ":" in base:
        return Path(base.partition(":")[2]).expanduser().absolute()
    return None


def _files_of(name: str, base: str, path: Path) -> list[Path]:
    """Every file that decides what is loaded."""
    if base.startswith("folder:"):
        return folders.files_of(name, path)
    return list(parquet.find(name, path).values())


def _decoded(splits: dict[str, pixels.Encoded], folder: Path, prefix: str) -> dict[str, np.ndarray]:
    """Open the decoded images of all splits, or decode them."""
    images = {
        split: cache.read(folder, prefix, split, len(items.labels))
        for split, items in splits.items()
    }
    if all(array is not None for array in images.values()):
        return images
    # All splits share one layout, so one lost file means that the layout must be found again.
    layout = pixels.common_layout(splits.values())
    for split, items in splits.items():
        if images[split] is None or images[split].shape[1:] != layout.shape:
            shape = (len(items.labels), *layout.shape)
            images[split] = cache.write(
                folder, prefix, split, shape, lambda items=items: pixels.batches(items, layout)
            )
    return images
