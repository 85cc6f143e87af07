"""The grammar of data set names, and where the files behind a name lie."""

import os
import re
from pathlib import Path

from helpers import StudyError

DOWNLOADS = ("cifar10", "cifar100", "svhn", "svhn-slides", "mnist", "fashionmnist")
# A Parquet copy has other pixels (JPEG) or another row order than the download it stands for, so
# results measured on it carry a name of their own.
COPIES = {"cifar10": "cifar10-jpeg", "cifar100": "cifar100-jpeg", "mnist": "mnist-png"}
# Texts have no download: base -> folder in $STUDY_DATA.
TEXTS = {"imdb": "imdb", "amazon-reviews": "amazon_reviews", "amazon-ratings": "amazon_reviews"}
# Nor have these photographs.
GIVEN = TEXTS | {"imagenette": "imagenette"}
PATHS = ("folder", "parquet", "text")
VALID_NAMES = ("digits", *DOWNLOADS, *COPIES.values(), *GIVEN, *(f"{kind}:PATH" for kind in PATHS))
DEFAULT_ROOT = Path(__file__).resolve().parents[2] / "data" / "raw"

_SLICE = re.compile(r"(?P<base>.*)@(?P<train>\d+)\+(?P<test>\d+)", re.DOTALL)


def parse(name: str) -> tuple[str, tuple[int, int] | None]:
    """Split a name into its base and its slice.

    Args:
        name: `BASE` or `BASE@TRAIN+TEST`.

    Returns:
        The base and (training rows, test rows), or None in place of the pair without a slice.

    Raises:
        StudyError: If the base is unknown or the slice is malformed or empty.
    """
    if not isinstance(name, str):
        raise StudyError(f"a data set name must be text, got {type(name).__name__}: {name!r}")
    match = _SLICE.fullmatch(name)
    base = match["base"] if match else name
    rows = (int(match["train"]), int(match["test"])) if match else None
    if not is_path(base) and not match and "@" in base:
        raise StudyError(f"{name!r}: a slice is written @TRAIN+TEST, for example digits@1000+200")
    if not is_path(base) and base not in VALID_NAMES:
        raise StudyError(f"unknown data set {base!r}, expected one of {', '.join(VALID_NAMES)}")
    if rows and min(rows) < 1:
        raise StudyError(f"{name!r}: a slice needs at least one training and one test row")
    return base, rows


def is_path(base: str) -> bool:
    """Whether a base is `folder:PATH` or the like (`PATHS`) with a path that is not empty."""
    kind, _, path = base.partition(":")
    return kind in PATHS and bool(path)


def is_text(base: str) -> bool:
    """Whether a base holds texts and not images."""
    return base in TEXTS or base.startswith("text:")


def resolve(name: str, root: str | Path | None = None) -> str:
    """Name the copy of a data set that `load` would read here.

    Args:
        name: `BASE[@TRAIN+TEST]`.
        root: Folder of downloads; it does not matter, because a Parquet copy always goes first.

    Returns:
        The name with `cifar10` replaced by `cifar10-jpeg` (and so on) where `$STUDY_DATA` holds
        that Parquet copy, else the name unchanged.

    Raises:
        StudyError: If the name is not valid, or `$STUDY_DATA` points to no folder.
    """
    base, _ = parse(name)
    if base in COPIES and _has_copy(base):
        return COPIES[base] + name[len(base) :]
    return name


def copy_folder(variant: str) -> Path:
    """Folder of the Parquet files behind a name such as `cifar10-jpeg` or `imdb`.

    Raises:
        StudyError: If `$STUDY_DATA` does not hold it.
    """
    base = GIVEN.get(variant) or next(b for b, copy in COPIES.items() if copy == variant)
    if not _has_copy(base):
        raise StudyError(
            f"{variant} is read from {base}/train.parquet and {base}/test.parquet in the folder "
            f"named by STUDY_DATA, which is {os.environ.get('STUDY_DATA') or 'not set'}"
        )
    return _study_data() / base


def _has_copy(base: str) -> bool:
    folder = _study_data()
    if folder is None:
        return False
    return all((folder / base / f"{split}.parquet").is_file() for split in ("train", "test"))


def _study_data() -> Path | None:
    place = os.environ.get("STUDY_DATA")
    if not place:
        return None
    if not Path(place).is_dir():
        raise StudyError(
            f"STUDY_DATA is {place}, which is not a folder; expected the folder that holds "
            "cifar10/train.parquet and the like, or unset STUDY_DATA to download"
        )
    return Path(place)


def kept_rows(
    name: str, rows: tuple[int, int] | None, n_train: int, n_test: int
) -> tuple[int, int]:
    """How many training and test rows a slice keeps.

    Args:
        name: Full name, for the message.
        rows: The slice, or None for everything.
        n_train: Training rows there are.
        n_test: Test rows there are.

    Returns:
        Training rows and test rows to keep.

    Raises:
        StudyError: If the slice is larger than the data.
    """
    if rows is None:
        return n_train, n_test
    if rows[0] > n_train or rows[1] > n_test:
        raise StudyError(
            f"{name}: the slice asks for {rows[0]} + {rows[1]} rows, "
            f"the data set has {n_train} training and {n_test} test rows"
        )
    return rows
