"""CIFAR, SVHN, MNIST and FashionMNIST, downloaded through torchvision."""

import contextlib
import http.client
import io
import os
import socket
import sys
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from helpers import StudyError
from helpers.data.dataset import Dataset
from helpers.data.names import COPIES, kept_rows
from helpers.data.splitting import hash_order

Part = tuple[np.ndarray, np.ndarray]  # images and labels

IDX_FILES = tuple(
    f"{split}-{kind}-ubyte.gz"
    for split in ("train", "t10k")
    for kind in ("images-idx3", "labels-idx1")
)
# Base -> class in torchvision, subfolder of the root, files that torchvision downloads there.
SOURCES = {
    "cifar10": ("CIFAR10", "", ("cifar-10-python.tar.gz",)),
    "cifar100": ("CIFAR100", "", ("cifar-100-python.tar.gz",)),
    "svhn": ("SVHN", "", ("train_32x32.mat", "test_32x32.mat")),
    "mnist": ("MNIST", "MNIST/raw", IDX_FILES),
    "fashionmnist": ("FashionMNIST", "FashionMNIST/raw", IDX_FILES),
}
SOURCES["svhn-slides"] = SOURCES["svhn"]
# Base -> rows for training, validation and test, drawn by a fixed order from the original splits.
# Source: `svp-slides`, experimental set-up.
SPLITS = {"svhn-slides": (66_257, 7_000, 10_000)}
# Base -> training and test rows of the original files, or of `SPLITS`.
ROWS = {
    **dict.fromkeys(("cifar10", "cifar100"), (50_000, 10_000)),
    **dict.fromkeys(("mnist", "fashionmnist"), (60_000, 10_000)),
    "svhn": (73_257, 26_032),
    "svhn-slides": (66_257, 10_000),
}
TIMEOUT_S = 30.0

_FAILED = (RuntimeError, OSError, EOFError, http.client.HTTPException, tarfile.TarError, zlib.error)


def load(name: str, base: str, rows: tuple[int, int] | None, root: Path) -> Dataset:
    """Load a data set through torchvision, downloading it if need be.

    Args:
        name: Name the data set carries.
        base: Key of SOURCES.
        rows: Slice (training rows, test rows), or None for everything.
        root: Folder of downloads, laid out as torchvision does.

    Returns:
        The original images in the order of the original files, or as `SPLITS` divides them.

    Raises:
        StudyError: If the data are not there and cannot be downloaded, or the slice is too large.
    """
    parts = _parts(base, root)
    train, test, valid = _arrays(parts[0]), _arrays(parts[1]), ()
    if base in SPLITS:
        train, valid, test = _divided(name, SPLITS[base], train, test)
    (train_inputs, train_labels), (test_inputs, test_labels) = train, test
    n_train, n_test = kept_rows(name, rows, len(train_labels), len(test_labels))
    return Dataset(
        name,
        train_inputs[:n_train].copy(),  # a view would keep the whole set in memory
        train_labels[:n_train].copy(),
        test_inputs[:n_test].copy(),
        test_labels[:n_test].copy(),
        _class_names(base, parts[0]),
        *valid,
    )


def _divided(name: str, sizes: tuple[int, int, int], train: Part, test: Part) -> list[Part]:
    """Training, validation and test part, each in a fixed mixed order.

    Raises:
        StudyError: If the files hold fewer rows than the parts need.
    """
    n_train, n_valid, n_test = sizes
    if len(train[1]) < n_train + n_valid or len(test[1]) < n_test:
        raise StudyError(
            f"{name} needs {n_train + n_valid} training and {n_test} test rows, "
            f"the files hold {len(train[1])} and {len(test[1])}"
        )
    mixed, tested = (hash_order([str(row) for row in range(len(p[1]))]) for p in (train, test))
    chosen = (mixed[:n_train], mixed[n_train : n_train + n_valid])
    return [
        *((train[0][rows], train[1][rows]) for rows in chosen),
        (test[0][tested[:n_test]], test[1][tested[:n_test]]),
    ]


def _parts(base: str, root: Path) -> list:
    """The torchvision data sets of the training and the test split."""
    with contextlib.suppress(*_FAILED):
        return [_open(base, root, is_train, False) for is_train in (True, False)]
    try:
        root.mkdir(parents=True, exist_ok=True)
        with _alone(root), _quiet(base, root), _timeout():
            return [_open(base, root, is_train, True) for is_train in (True, False)]
    except _FAILED as error:
        raise StudyError(_advice(base, root, error)) from error


def _advice(base: str, root: Path, error: Exception) -> str:
    """One line: why the download failed, and which files to put where."""
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    _, folder, files = SOURCES[base]
    copy = f"{base}/train.parquet and {base}/test.parquet"
    other = f", or set STUDY_DATA to a folder that holds {copy}" if base in COPIES else ""
    return (
        f"{base} could not be downloaded ({reason}); "
        f"put {', '.join(files)} into {root / folder} by hand{other}"
    )


def _open(base: str, root: Path, is_train: bool, download: bool):
    from torchvision import datasets  # imports torch

    kind = getattr(datasets, SOURCES[base][0])
    is_svhn = SOURCES[base][0] == "SVHN"
    split = {"split": "train" if is_train else "test"} if is_svhn else {"train": is_train}
    return kind(str(root), download=download, **split)


def _arrays(part) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 (n, C, H, W) and labels int64 (n,) of a torchvision data set."""
    images = np.asarray(part.data)
    if images.ndim == 3:
        images = images[:, None]
    elif images.shape[-1] == 3 and images.shape[1] != 3:
        images = images.transpose(0, 3, 1, 2)
    labels = part.labels if hasattr(part, "labels") else part.targets
    return images, np.asarray(labels, dtype=np.int64)


def _class_names(base: str, part) -> tuple[str, ...]:
    if SOURCES[base][0] in ("SVHN", "MNIST"):  # torchvision: none, and "0 - zero"
        return tuple(str(digit) for digit in range(10))
    return tuple(part.classes)


@contextlib.contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Let one process download at a time; the others wait and then find the files."""
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    with open(root / ".download.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _quiet(base: str, root: Path) -> Iterator[None]:
    """Show torchvision's bar on a terminal only: in a notebook its flushes would be stored."""
    if sys.stderr is not None and sys.stderr.isatty():
        yield
        return
    print(f"downloading {base} to {os.fspath(root)}", file=sys.stderr)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


@contextlib.contextmanager
def _timeout() -> Iterator[None]:
    """Give up on a silent network; torchvision itself would wait for minutes."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT_S)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
