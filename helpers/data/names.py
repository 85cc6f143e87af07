"""Data sets by name: the table of those that have one, and the grammar of names.

A name is `BASE[@TRAIN+TEST]`. A base is a key of `NAMED`, or `folder:PATH`, `parquet:PATH` or
`text:PATH`, each with options after a question mark: `parquet:PATH?image=img&label=fine_label`.
"""

import os
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from urllib.parse import unquote

from helpers import StudyError


@dataclass(frozen=True)
class Named:
    """A data set with a name of its own.

    Attributes:
        reader: "digits", "torchvision", or "parquet" and "text" for files in `$STUDY_DATA`.
        source: Class of torchvision, or the folder that holds train.parquet and test.parquet.
        options: Of the reader, as they stand after the question mark.
        rows: Training and test rows of torchvision's set.
        valid: Validation rows; where there are any, the three parts are drawn in hash order.
        folder: Where torchvision puts its files, inside the folder of downloads.
        files: The files that it downloads.
        copy: Name of the Parquet copy that is read where `$STUDY_DATA` holds it: it has another
            order of rows, or other pixels (JPEG), so its results carry a name of their own.
    """

    reader: str
    source: str = ""
    options: str = ""
    rows: tuple[int, int] = (0, 0)
    valid: int = 0
    folder: str = ""
    files: str = ""
    copy: str = ""


_CIFAR, _MNIST, _SVHN = (50_000, 10_000), (60_000, 10_000), "train_32x32.mat, test_32x32.mat"
_IDX = (
    "train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz, "
    "t10k-images-idx3-ubyte.gz, t10k-labels-idx1-ubyte.gz"
)
# fmt: off
NAMED = {
    "digits": Named("digits"),
    "cifar10": Named("torchvision", "CIFAR10", rows=_CIFAR, files="cifar-10-python.tar.gz", copy="cifar10-exact"),  # noqa: E501
    "cifar100": Named("torchvision", "CIFAR100", rows=_CIFAR, files="cifar-100-python.tar.gz", copy="cifar100-jpeg"),  # noqa: E501
    "svhn": Named("torchvision", "SVHN", rows=(73_257, 26_032), files=_SVHN),
    # Source: `svp-slides`, experimental set-up.
    "svhn-slides": Named("torchvision", "SVHN", rows=(66_257, 10_000), valid=7_000, files=_SVHN),
    "mnist": Named("torchvision", "MNIST", rows=_MNIST, folder="MNIST/raw", files=_IDX, copy="mnist-png"),  # noqa: E501
    "fashionmnist": Named("torchvision", "FashionMNIST", rows=_MNIST, folder="FashionMNIST/raw", files=_IDX),  # noqa: E501
    "cifar10-exact": Named("parquet", "cifar10_exact"),
    "cifar10-jpeg": Named("parquet", "cifar10"),
    "cifar100-jpeg": Named("parquet", "cifar100"),
    "mnist-png": Named("parquet", "mnist"),
    "imagenette": Named("parquet", "imagenette"),
    "utkface": Named("parquet", "utkface_age", "target=number"),
    "imdb": Named("text", "imdb"),
    "amazon-reviews": Named("text", "amazon_reviews"),
    # 1, 2, 4 and 5 stars: nobody gave 3.
    "amazon-ratings": Named("text", "amazon_reviews", "label=rating&unit=star"),
}
# fmt: on
# Reader -> what may stand after the question mark.
OPTIONS = {
    "folder": ("classes", "target", "skip_broken"),
    "parquet": ("image", "label", "target", "skip_broken"),
    "text": ("text", "label", "target", "separator", "encoding"),
}
DEFAULT_ROOT = Path(__file__).resolve().parents[2] / "data" / "raw"

_PART = re.compile(r"(?P<name>.+)~(?P<first>\d+)-(?P<last>\d+)", re.DOTALL)
_SLICE = re.compile(r"(?P<base>.*)@(?P<train>\d+)\+(?P<test>\d+)", re.DOTALL)


@lru_cache
def parse(name: str) -> tuple[str, tuple[int, int] | None]:
    """Split a name, `BASE[?OPTIONS][@TRAIN+TEST]`, into its base without options, and its slice.

    Returns:
        The base and (training rows, test rows), or None in place of the pair without a slice.

    Raises:
        StudyError: If the base or an option is unknown, or the slice is malformed or empty.
    """
    if not isinstance(name, str):
        raise StudyError(f"a data set name must be text, got {type(name).__name__}: {name!r}")
    base, _, rows = _pieces(name)
    if not is_path(base) and not rows and "@" in base:
        raise StudyError(f"{name!r}: a slice is written @TRAIN+TEST, for example digits@1000+200")
    if not is_path(base) and base not in NAMED:
        known = ", ".join([*NAMED, *(f"{reader}:PATH" for reader in OPTIONS)])
        raise StudyError(f"unknown data set {base!r}, expected one of {known}")
    options(name)
    if rows and min(rows) < 1:
        raise StudyError(f"{name!r}: a slice needs at least one training and one test row")
    return base, rows


def part(name: str) -> tuple[str, tuple[int, int] | None]:
    """Split `NAME~FIRST-LAST` into the whole's name and the classes kept; None without them."""
    match = _PART.fullmatch(name)
    return (match["name"], (int(match["first"]), int(match["last"]))) if match else (name, None)


def options(name: str) -> dict[str, str]:
    """Read the options of a name; one without a value, as `skip_broken`, is "".

    Raises:
        StudyError: If the reader has no such option, or `target` is not `number`.
    """
    base, text, _ = _pieces(name)
    text = NAMED[base].options if base in NAMED else text
    found = {key: unquote(value) for key, _, value in (p.partition("=") for p in text.split("&"))}
    found.pop("", None)
    reader = base.partition(":")[0]
    known = OPTIONS.get(reader, ())
    if base not in NAMED and (unknown := sorted(set(found) - set(known))):
        raise StudyError(f"{name}: no option {unknown[0]!r}, {reader}: takes {', '.join(known)}")
    if (target := found.get("target", "number")) != "number":
        raise StudyError(f"{name}: target={target}, expected number, or no target for classes")
    return found


def has_numbers(name: str) -> bool:
    """Whether what is learnt of a data set are numbers and not classes."""
    return "target" in options(name)


def with_option(name: str, option: str) -> str:
    """Add an option to a name with a path: `folder:a@9+2` becomes `folder:a?skip_broken@9+2`.

    Raises:
        StudyError: If the data set has no such option.
    """
    match = _SLICE.fullmatch(name)
    base = match["base"] if match else name
    if not is_path(base):
        raise StudyError(f"{name}: {option} goes with folder: and parquet: only")
    longer = f"{base}{'&' if '?' in base.rpartition('/')[2] else '?'}{option}{name[len(base) :]}"
    options(longer)
    return longer


def _pieces(name: str) -> tuple[str, str, tuple[int, int] | None]:
    """Base, options and slice; a question mark before the last slash belongs to the path."""
    name = part(name)[0]
    match = _SLICE.fullmatch(name)
    base = match["base"] if match else name
    rows = (int(match["train"]), int(match["test"])) if match else None
    head, _, last = base.rpartition("?")
    return (head, last, rows) if is_path(head) and "/" not in last else (base, "", rows)


def is_path(base: str) -> bool:
    """Whether a base is `folder:PATH` or the like with a path that is not empty."""
    kind, _, path = base.partition(":")
    return kind in OPTIONS and bool(path)


def is_text(base: str) -> bool:
    """Whether a base holds texts and not images."""
    return base.startswith("text:") or (base in NAMED and NAMED[base].reader == "text")


def resolve(name: str) -> str:
    """Name the copy of a data set, `BASE[@TRAIN+TEST]`, that `load` would read here.

    Returns:
        The name with `cifar10` replaced by `cifar10-exact` (and so on) where `$STUDY_DATA` holds
        that Parquet copy, else the name unchanged.

    Raises:
        StudyError: If the name is not valid, or `$STUDY_DATA` points to no folder.
    """
    base, _ = parse(name)
    copy = "" if is_path(base) else NAMED[base].copy
    return copy + name[len(base) :] if copy and _is_given(NAMED[copy].source) else name


def path_of(base: str) -> Path | None:
    """Folder or file behind a base, absolute; None for digits and downloads.

    Raises:
        StudyError: If `$STUDY_DATA` does not hold it.
    """
    if is_path(base):
        return Path(base.partition(":")[2]).expanduser().absolute()
    if NAMED[base].reader not in OPTIONS:
        return None
    source = NAMED[base].source
    if not _is_given(source):
        raise StudyError(
            f"{base} is read from {source}/train.parquet and {source}/test.parquet in the folder "
            f"named by STUDY_DATA, which is {os.environ.get('STUDY_DATA') or 'not set'}"
        )
    return (Path(os.environ["STUDY_DATA"]) / source).absolute()


def _is_given(source: str) -> bool:
    place = os.environ.get("STUDY_DATA")
    if place and not os.path.isdir(place):  # asked thousands of times: no Path is made
        raise StudyError(
            f"STUDY_DATA is {place}, which is not a folder; expected the folder that holds "
            "cifar10/train.parquet and the like, or unset STUDY_DATA to download"
        )
    files = (f"{place}/{source}/{split}.parquet" for split in ("train", "test"))
    return bool(place) and all(map(os.path.isfile, files))


def kept_rows(
    name: str, rows: tuple[int, int] | None, n_train: int, n_test: int
) -> tuple[int, int]:
    """How many training and test rows a slice keeps of those there are.

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
