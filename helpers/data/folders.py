"""Folders of class folders with images.

`PATH/train/CLASS/...` with `PATH/test/CLASS/...` (or `val`; with both, `val` is the validation
set), or `PATH/CLASS/...`, which is split 80/20 per class by hashes of the paths inside PATH.
Classes are sorted by name. Rows are ordered by hash, so the first rows are a mixed sample. Hidden
files and files that are not images by their ending are passed over.
"""

import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from helpers import StudyError
from helpers.data.dataset import check_labels
from helpers.data.names import kept_rows
from helpers.data.pixels import Encoded
from helpers.data.splitting import hash_order, held_out

ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")


def encoded(
    name: str, path: Path, rows: tuple[int, int] | None
) -> tuple[dict[str, Encoded], tuple[str, ...]]:
    """List the images and prepare their reading.

    Args:
        name: Data set, for the messages.
        path: The folder.
        rows: Slice (training rows, test rows), or None for everything.

    Returns:
        Encoded images by split ("train", "test", perhaps "valid"), and the class names.

    Raises:
        StudyError: If there are no images, a class folder is empty, all images are of one class,
            or a test class is not a training class.
    """
    tables, class_names = _tables(name, path, rows)
    splits = {
        split: Encoded(labels, partial(_images, files)) for split, (files, labels) in tables.items()
    }
    return splits, class_names


def train_files(name: str, path: Path, rows: tuple[int, int] | None) -> list[str]:
    """Say which file every training row is.

    Args:
        name: Data set, for the messages.
        path: The folder.
        rows: As for `encoded`.

    Returns:
        Paths inside the folder, with forward slashes, in the order of the rows.

    Raises:
        StudyError: As `encoded`.
    """
    return _keys(path, _tables(name, path, rows)[0]["train"][0])


def is_split(path: Path) -> bool:
    """Tell whether the folder says itself which images are for testing."""
    return (path / "train").is_dir()


def _tables(
    name: str, path: Path, rows: tuple[int, int] | None
) -> tuple[dict[str, tuple[list[Path], np.ndarray]], tuple[str, ...]]:
    """Files and labels by split in the order of the rows, and the class names."""
    listed = _listed(name, path)
    class_names = tuple(next(iter(listed.values())))
    tables = {split: _rows(name, by_class, class_names) for split, by_class in listed.items()}
    if "all" in tables:
        tables = _split(name, path, *tables["all"])
    tables = {split: _shuffled(path, *table) for split, table in tables.items()}
    for split, (_, labels) in tables.items():
        check_labels(name, "training" if split == "train" else split, labels, class_names)
    n_kept = dict(zip(("train", "test"), kept_rows(name, rows, *_sizes(tables)), strict=True))
    cut = {
        split: (files[: n_kept.get(split)], labels[: n_kept.get(split)])
        for split, (files, labels) in tables.items()
    }
    return cut, class_names


def files_of(name: str, path: Path) -> list[Path]:
    """List every image of the data set, as `encoded` would use them.

    Raises:
        StudyError: As `encoded` for what a listing can show.
    """
    listed = _listed(name, path)
    return [file for split in listed.values() for files in split.values() for file in files]


def _listed(name: str, path: Path) -> dict[str, dict[str, list[Path]]]:
    """Images by split and class; the split is "all" where no split is given."""
    if not path.is_dir():
        raise StudyError(f"{name}: there is no folder {path}, expected class folders with images")
    there = {split for split in ("train", "test", "val") if (path / split).is_dir()}
    if "train" not in there:
        return {"all": _classes(name, path)}
    if len(there) < 2:
        raise StudyError(f"{name}: {path} has train/ only, expected test/ or val/ beside it")
    test = "test" if "test" in there else "val"
    folders = {"train": "train", "test": test}
    if {"test", "val"} <= there:
        folders["valid"] = "val"
    return {split: _classes(name, path / folder) for split, folder in folders.items()}


def _classes(name: str, path: Path) -> dict[str, list[Path]]:
    folders = sorted(entry for entry in path.iterdir() if _is_class(entry))
    classes = {folder.name: _files(folder) for folder in folders}
    if not any(classes.values()):
        raise StudyError(
            f"{name}: {path} holds no class folder with images, "
            f"expected CLASS/IMAGE with endings {' '.join(ENDINGS)}"
        )
    for class_name, files in classes.items():
        if not files:
            raise StudyError(
                f"{name}: class {class_name!r} has no images in {path / class_name}, "
                "expected at least one image in every class folder"
            )
    return classes


def _is_class(entry: Path) -> bool:
    return entry.is_dir() and not entry.name.startswith(".")


def _files(folder: Path) -> list[Path]:
    found = []
    for place, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [entry for entry in folders if not entry.startswith(".")]
        images = (entry for entry in names if entry.lower().endswith(ENDINGS))
        found += [Path(place, entry) for entry in images if not entry.startswith(".")]
    return sorted(found)


def _rows(
    name: str, by_class: dict[str, list[Path]], class_names: Sequence[str]
) -> tuple[list[Path], np.ndarray]:
    """Files and labels of one split, class by class."""
    unknown = sorted(set(by_class) - set(class_names))
    if unknown:
        raise StudyError(
            f"{name}: class {unknown[0]!r} has no folder under train/, "
            f"expected the training classes {', '.join(class_names)}"
        )
    files = [file for of_class in by_class.values() for file in of_class]
    index = {class_name: label for label, class_name in enumerate(class_names)}
    labels = [index[key] for key, of_class in by_class.items() for _ in of_class]
    return files, np.array(labels, dtype=np.int64)


def _split(
    name: str, path: Path, files: list[Path], labels: np.ndarray
) -> dict[str, tuple[list[Path], np.ndarray]]:
    is_test = held_out(name, labels, _keys(path, files), parts=5)
    chosen = {"train": np.flatnonzero(~is_test), "test": np.flatnonzero(is_test)}
    return {split: ([files[row] for row in rows], labels[rows]) for split, rows in chosen.items()}


def _shuffled(path: Path, files: list[Path], labels: np.ndarray) -> tuple[list[Path], np.ndarray]:
    order = hash_order(_keys(path, files))
    return [files[row] for row in order], labels[order]


def _keys(path: Path, files: list[Path]) -> list[str]:
    return [file.relative_to(path).as_posix() for file in files]


def _sizes(tables: dict[str, tuple[list[Path], np.ndarray]]) -> tuple[int, int]:
    return len(tables["train"][0]), len(tables["test"][0])


def _images(files: list[Path]) -> Iterator[tuple[str, Path]]:
    return ((str(file), file) for file in files)
