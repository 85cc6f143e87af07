"""Digits, CIFAR, SVHN, MNIST and FashionMNIST, through scikit-learn and torchvision."""

import contextlib
import http.client
import importlib.util
import io
import os
import socket
import sys
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import filelock
import numpy as np

from helpers import StudyError
from helpers.data.dataset import Dataset, hash_order, held_out
from helpers.data.names import NAMED, kept_rows

Part = tuple[np.ndarray, np.ndarray]  # images and labels

TIMEOUT_S = 30.0
_FAILED = (RuntimeError, OSError, EOFError, http.client.HTTPException, tarfile.TarError, zlib.error)


def digits(name: str, rows: tuple[int, int] | None) -> Dataset:
    """Load scikit-learn's digits in a fixed order and split of 1,347 training and 450 test images.

    The split is stratified and follows hashes of the row numbers, so no seed changes it.

    Args:
        name: Name the data set carries.
        rows: Slice (training rows, test rows), or None for everything.

    Returns:
        Greyscale images of 8x8 pixels, the grey levels 0..16 spread over 0..255.

    Source: sklearn.datasets.load_digits (UCI, Alpaydin and Kaynak 1998).
    """
    # the file that load_digits reads; to import scikit-learn takes a second
    folder = Path(importlib.util.find_spec("sklearn").origin).parent
    table = np.loadtxt(folder / "datasets" / "data" / "digits.csv.gz", delimiter=",")
    images = np.rint(table[:, :-1] * (255 / 16)).astype(np.uint8).reshape(-1, 1, 8, 8)
    labels = table[:, -1].astype(np.int64)
    keys = [str(row) for row in range(len(labels))]
    order, is_test = hash_order(keys), held_out(name, labels, keys, parts=4)
    train, test = order[~is_test[order]], order[is_test[order]]
    n_train, n_test = kept_rows(name, rows, len(train), len(test))
    train, test = train[:n_train], test[:n_test]
    parts = images[train], labels[train], images[test], labels[test]
    return Dataset(name, *parts, tuple("0123456789"))


def load(name: str, base: str, rows: tuple[int, int] | None, root: Path) -> Dataset:
    """Load a data set through torchvision, downloading it if need be.

    Args:
        name: Name the data set carries.
        base: Key of `NAMED`.
        rows: As for `digits`.
        root: Folder of downloads, laid out as torchvision does.

    Returns:
        The original images in the order of the original files, or divided anew where `NAMED` asks
        for validation rows.

    Raises:
        StudyError: If the data are not there and cannot be downloaded, or the slice is too large.
    """
    parts = _parts(base, root)
    train, test, valid = _arrays(parts[0]), _arrays(parts[1]), ()
    if n_valid := NAMED[base].valid:
        train, valid, test = _divided(*NAMED[base].rows, n_valid, train, test)
    n_train, n_test = kept_rows(name, rows, len(train[1]), len(test[1]))
    # copies: a view would keep the whole set in memory
    kept = [array[:n].copy() for part, n in ((train, n_train), (test, n_test)) for array in part]
    is_digits = NAMED[base].source in ("SVHN", "MNIST")  # torchvision: none, and "0 - zero"
    class_names = tuple("0123456789") if is_digits else tuple(parts[0].classes)
    return Dataset(name, *kept, class_names, *valid)


def _divided(n_train: int, n_test: int, n_valid: int, train: Part, test: Part) -> list[Part]:
    """Training, validation and test part, each in a fixed mixed order."""
    mixed, tested = (hash_order([str(row) for row in range(len(p[1]))]) for p in (train, test))
    chosen = (mixed[:n_train], mixed[n_train : n_train + n_valid])
    return [
        *((train[0][rows], train[1][rows]) for rows in chosen),
        (test[0][tested[:n_test]], test[1][tested[:n_test]]),
    ]


def _parts(base: str, root: Path) -> list:
    with contextlib.suppress(*_FAILED):
        return [_open(base, root, is_train, False) for is_train in (True, False)]
    try:
        root.mkdir(parents=True, exist_ok=True)
        # one process at a time; the others wait and then find the files
        with filelock.FileLock(root / ".download.lock"), _quiet(base, root), _timeout():
            return [_open(base, root, is_train, True) for is_train in (True, False)]
    except _FAILED as error:
        raise StudyError(_advice(base, root, error)) from error


def _advice(base: str, root: Path, error: Exception) -> str:
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    named = NAMED[base]
    other = ""
    if named.copy:
        source = NAMED[named.copy].source
        copy = f"{source}/train.parquet and {source}/test.parquet"
        other = f", or set STUDY_DATA to a folder that holds {copy}"
    return (
        f"{base} could not be downloaded ({reason}); "
        f"put {named.files} into {root / named.folder} by hand{other}"
    )


def _open(base: str, root: Path, is_train: bool, download: bool):
    from torchvision import datasets  # imports torch

    kind = NAMED[base].source
    split = {"split": "train" if is_train else "test"} if kind == "SVHN" else {"train": is_train}
    return getattr(datasets, kind)(str(root), download=download, **split)


def _arrays(part) -> Part:
    """Images uint8 (n, C, H, W) and labels int64 (n,) of a torchvision data set."""
    images = np.asarray(part.data)
    if images.ndim == 3:
        images = images[:, None]
    elif images.shape[-1] == 3 and images.shape[1] != 3:
        images = images.transpose(0, 3, 1, 2)
    labels = part.labels if hasattr(part, "labels") else part.targets
    return images, np.asarray(labels, dtype=np.int64)


@contextlib.contextmanager
def _quiet(base: str, root: Path) -> Iterator[None]:
    """Show torchvision's bar on a terminal only: in a notebook its flushes would be stored."""
    if sys.stderr.isatty():
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
