"""Fixed orders and splits by hash: the same on every machine, whatever the seed."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from helpers import StudyError


def hash_order(keys: Sequence[str]) -> np.ndarray:
    """Order rows by the SHA-256 of `0:` followed by their key.

    Args:
        keys: One text a row, all different.

    Returns:
        Row numbers, shape (n,), in an order that looks shuffled and never changes.
    """
    digests = [hashlib.sha256(f"0:{key}".encode()).digest() for key in keys]
    return np.array(sorted(range(len(keys)), key=digests.__getitem__), dtype=np.int64)


def held_out(name: str, labels: np.ndarray, keys: Sequence[str], parts: int) -> np.ndarray:
    """Mark one part in `parts` of every class as test rows.

    Args:
        name: Data set, for the message.
        labels: Class indices, shape (n,).
        keys: One text a row, shape (n,).
        parts: 5 holds out 20 %; counts are rounded half to even, at least one row a class.

    Returns:
        Boolean mask of the test rows, shape (n,): the first of each class in hash order.

    Raises:
        StudyError: If a class has a single row, which cannot be in both splits.
    """
    is_test = np.zeros(len(labels), dtype=bool)
    order = hash_order(keys)
    for label in np.unique(labels):
        members = order[labels[order] == label]
        if len(members) < 2:
            raise StudyError(
                f"{name}: the class with label {label} has one row and no split is given, "
                "expected at least two rows a class (one to train, one to test)"
            )
        is_test[members[: max(1, round(len(members) / parts))]] = True
    return is_test


def rows_by_hash(name: str, labels: np.ndarray) -> dict[str, np.ndarray]:
    """Split a single file 80/20 per class: rows of "train" and of "test", ascending.

    Raises:
        StudyError: As `held_out`.
    """
    is_test = held_out(name, labels, [str(row) for row in range(len(labels))], parts=5)
    return {"train": np.flatnonzero(~is_test), "test": np.flatnonzero(is_test)}


def as_splits(there: dict[str, Path]) -> dict[str, Path]:
    """Turn files found as train, test, val into splits: val is the test set where none is there."""
    found = dict(there)
    if "test" not in found:
        found["test"] = found.pop("val")
    if "val" in found:
        found["valid"] = found.pop("val")
    return found
