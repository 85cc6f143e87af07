"""The data set every other room works on, and what must hold for its arrays."""

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from helpers import StudyError


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Images and labels of one classification task.

    The arrays are read-only, because `load` hands the same object to every caller: copy before
    changing them.

    Attributes:
        name: The name it was loaded under, copy and slice included (`cifar10-jpeg@10000+2000`).
        train_images: uint8, shape (n, C, H, W), values 0..255.
        train_labels: int64 class indices, shape (n,).
        test_images: uint8, shape (n_test, C, H, W).
        test_labels: int64, shape (n_test,).
        class_names: One name a class, in the order of the labels.
        valid_images: uint8, shape (n_valid, C, H, W), or None.
        valid_labels: int64, shape (n_valid,), or None.

    Raises:
        StudyError: If shapes or types are wrong, a label is out of range, the training rows hold
            one class only, or a class has no training row.
    """

    name: str
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    class_names: tuple[str, ...]
    valid_images: np.ndarray | None = None
    valid_labels: np.ndarray | None = None

    def __post_init__(self) -> None:
        """Check every split and hold its arrays as read-only views."""
        for split, images, labels in self._splits():
            check_images(self.name, split, images, len(labels), self.train_images.shape[1:])
            check_labels(self.name, split, labels, self.class_names)
        for field in ("train", "test", "valid"):
            for array_name in (f"{field}_images", f"{field}_labels"):
                if (array := getattr(self, array_name)) is not None:
                    view = array.view()  # the caller's own array stays writable
                    view.setflags(write=False)
                    object.__setattr__(self, array_name, view)

    def __repr__(self) -> str:
        """Say what is inside without printing the arrays."""
        channels, height, width = self.train_images.shape[1:]
        return (
            f"Dataset({self.name!r}: {self.n:,} + {len(self.test_labels):,} images, "
            f"{channels}x{height}x{width}, {self.n_classes} classes)"
        )

    @property
    def n(self) -> int:
        """Number of training rows, the pool that selection works on."""
        return len(self.train_labels)

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @property
    def in_channels(self) -> int:
        """Colour channels of an image: 1 or 3."""
        return self.train_images.shape[1]

    @property
    def image_size(self) -> int:
        """Side of an image in pixels, the longer one where images are not square."""
        return max(self.train_images.shape[2:])

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) over shape, type and bytes of every array, split by split."""
        digest = hashlib.sha256()
        for split, images, labels in self._splits():
            for array in (images, labels.astype("<i8", copy=False)):
                digest.update(f"{split}:{array.shape}:{array.dtype.str};".encode())
                digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    def _splits(self) -> list[tuple[str, np.ndarray, np.ndarray]]:
        splits = [
            ("training", self.train_images, self.train_labels),
            ("test", self.test_images, self.test_labels),
        ]
        if self.valid_images is not None:
            splits.append(("validation", self.valid_images, self.valid_labels))
        return splits


def check_images(name: str, split: str, images: np.ndarray, n: int, shape: tuple[int, ...]) -> None:
    """Check the images of one split.

    Args:
        name: Data set, for the message.
        split: "training", "test" or "validation".
        images: Expected uint8, shape (n, C, H, W).
        n: Number of labels.
        shape: (C, H, W) of the training images.

    Raises:
        StudyError: If type, rank or shape are wrong.
    """
    if images.dtype != np.uint8 or images.ndim != 4:
        raise StudyError(
            f"{name}: {split} images must be uint8 of shape (n, C, H, W), "
            f"got {images.dtype} {images.shape}"
        )
    if len(images) != n or images.shape[1:] != shape:
        raise StudyError(
            f"{name}: {split} images have shape {images.shape}, expected {(n, *shape)} "
            "(one image a label, the size of the training images)"
        )


def check_labels(name: str, split: str, labels: np.ndarray, class_names: tuple[str, ...]) -> None:
    """Check the labels of one split.

    Args:
        name: Data set, for the message.
        split: "training", "test" or "validation"; only training needs a row of every class.
        labels: Expected int64, shape (n,).
        class_names: One name a class.

    Raises:
        StudyError: If there is no row, the type is not int64, a label is outside
            0..n_classes-1, all training rows are of one class, or a class has no training row.
    """
    if labels.ndim != 1 or labels.dtype != np.int64:
        raise StudyError(
            f"{name}: {split} labels must be int64 of shape (n,), got {labels.dtype} {labels.shape}"
        )
    if not len(labels):
        raise StudyError(f"{name}: there are no {split} rows, expected at least one")
    _check_range(name, split, labels, len(class_names))
    if split == "training":
        _check_every_class(name, labels, class_names)


def _check_range(name: str, split: str, labels: np.ndarray, n_classes: int) -> None:
    wrong = np.flatnonzero((labels < 0) | (labels >= n_classes))
    if len(wrong):
        raise StudyError(
            f"{name}: {split} row {wrong[0]} has label {labels[wrong[0]]}, "
            f"expected class indices 0..{n_classes - 1}"
        )


def _check_every_class(name: str, labels: np.ndarray, class_names: tuple[str, ...]) -> None:
    counts = np.bincount(labels, minlength=len(class_names))
    if np.count_nonzero(counts) < 2:
        only = class_names[int(counts.argmax())]
        raise StudyError(
            f"{name}: all {len(labels)} training rows are of one class ({only!r}), "
            "expected at least two classes"
        )
    if not counts.all():
        empty = int(counts.argmin())
        raise StudyError(
            f"{name}: class {class_names[empty]!r} (label {empty}) has no rows among the "
            f"{len(labels)} training rows, expected at least one row of every class"
        )
