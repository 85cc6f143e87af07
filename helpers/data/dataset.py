"""The data set every other room works on, and what must hold for its arrays."""

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from helpers import StudyError


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Images or texts, and labels, of one classification task.

    The arrays are read-only, because `load` hands the same object to every caller: copy before
    changing them.

    Attributes:
        name: The name it was loaded under, copy and slice included (`cifar10-jpeg@10000+2000`).
        train_inputs: uint8: images of shape (n, C, H, W), values 0..255, or texts of shape (n, T)
            as UTF-8 bytes, cut at T and filled up with 0.
        train_labels: int64 class indices, shape (n,).
        test_inputs: uint8, shape (n_test, C, H, W) or (n_test, T).
        test_labels: int64, shape (n_test,).
        class_names: One name a class, in the order of the labels.
        valid_inputs: As train_inputs, or None.
        valid_labels: int64, shape (n_valid,), or None.

    Raises:
        StudyError: If shapes or types are wrong, a label is out of range, the training rows hold
            one class only, or a class has no training row.
    """

    name: str
    train_inputs: np.ndarray
    train_labels: np.ndarray
    test_inputs: np.ndarray
    test_labels: np.ndarray
    class_names: tuple[str, ...]
    valid_inputs: np.ndarray | None = None
    valid_labels: np.ndarray | None = None

    def __post_init__(self) -> None:
        """Check every split and hold its arrays as read-only views."""
        for split, inputs, labels in self._splits():
            check_inputs(self.name, split, inputs, len(labels), self.train_inputs.shape[1:])
            check_labels(self.name, split, labels, self.class_names)
        for field in ("train", "test", "valid"):
            for array_name in (f"{field}_inputs", f"{field}_labels"):
                if (array := getattr(self, array_name)) is not None:
                    view = array.view()  # the caller's own array stays writable
                    view.setflags(write=False)
                    object.__setattr__(self, array_name, view)

    def __repr__(self) -> str:
        """Say what is inside without printing the arrays."""
        size = "x".join(map(str, self.train_inputs.shape[1:]))
        what = f"texts, {size} bytes" if self.is_text else f"images, {size}"
        return (
            f"Dataset({self.name!r}: {self.n:,} + {len(self.test_labels):,} {what}, "
            f"{self.n_classes} classes)"
        )

    @property
    def is_text(self) -> bool:
        """Whether a row is a text and not an image."""
        return self.train_inputs.ndim == 2

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
        """Colour channels of an image: 1 or 3; 1 for texts."""
        return 1 if self.is_text else self.train_inputs.shape[1]

    @property
    def image_size(self) -> int:
        """Longer side of an image in pixels; bytes of a text."""
        return max(self.train_inputs.shape[1:] if self.is_text else self.train_inputs.shape[2:])

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
            ("training", self.train_inputs, self.train_labels),
            ("test", self.test_inputs, self.test_labels),
        ]
        if self.valid_inputs is not None:
            splits.append(("validation", self.valid_inputs, self.valid_labels))
        return splits


def check_inputs(name: str, split: str, inputs: np.ndarray, n: int, shape: tuple[int, ...]) -> None:
    """Check the images or texts of one split.

    Args:
        name: Data set, for the message.
        split: "training", "test" or "validation".
        inputs: Expected uint8, shape (n, C, H, W) or (n, T).
        n: Number of labels.
        shape: (C, H, W) or (T,) of the training rows.

    Raises:
        StudyError: If type, rank or shape are wrong.
    """
    if inputs.dtype != np.uint8 or inputs.ndim not in (2, 4):
        raise StudyError(
            f"{name}: {split} inputs must be uint8, images (n, C, H, W) or texts (n, T), "
            f"got {inputs.dtype} {inputs.shape}"
        )
    if len(inputs) != n or inputs.shape[1:] != shape:
        raise StudyError(
            f"{name}: {split} inputs have shape {inputs.shape}, expected {(n, *shape)} "
            "(one a label, the size of the training rows)"
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
