"""The data set that all other parts work on, and how its rows are split and labelled."""

import hashlib
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache

import numpy as np

from helpers import StudyError


@dataclass(frozen=True, eq=False)
class Origin:
    """Where the training rows come from and what was met on the way; not in the fingerprint.

    Attributes:
        rows: Number of each training row in its source, shape (n,): in the file, or among the
            files of a folder in hash order; broken ones count. None without a source.
        files: File of each training row, inside the folder; empty where there are none.
        held_out: Whether the source has no test rows, so that a part of each class was set aside.
        notes: What was guessed and what was passed over, one text each.
        broken: Images that were left out, by name.
    """

    rows: np.ndarray | None = None
    files: tuple[str, ...] = ()
    held_out: bool = False
    notes: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Images or texts, and the classes or numbers to be learnt of them.

    The arrays are read-only, because `load` hands the same object to every caller: copy before
    changing them.

    Attributes:
        name: The name it was loaded under, copy and slice included (`cifar10-exact@10000+2000`).
        train_inputs: uint8: images of shape (n, C, H, W), values 0..255, or texts of shape (n, T)
            as UTF-8 bytes, cut at T and filled up with 0.
        train_labels: int64 class indices, shape (n,); float64 where the targets are numbers.
        test_inputs: uint8, shape (n_test, C, H, W) or (n_test, T).
        test_labels: As train_labels, shape (n_test,).
        class_names: One name a class, in the order of the labels; none where they are numbers.
        valid_inputs: As train_inputs, or None.
        valid_labels: As train_labels, shape (n_valid,), or None.
        origin: Where the training rows come from.
        drawn: Where `redrawn` divided the rows: what it divided, and its rows in the new order.

    Raises:
        StudyError: If shapes or types are wrong, a label is out of range, the training rows hold
            one class or number only, or a class has no training row.
    """

    name: str
    train_inputs: np.ndarray
    train_labels: np.ndarray
    test_inputs: np.ndarray
    test_labels: np.ndarray
    class_names: tuple[str, ...]
    valid_inputs: np.ndarray | None = None
    valid_labels: np.ndarray | None = None
    origin: Origin = field(default_factory=Origin)
    drawn: tuple["Dataset", np.ndarray] | None = None

    def __post_init__(self) -> None:
        """Check every split and hold its arrays as read-only views."""
        for split, inputs, labels in self._splits():
            shape = (len(labels), *self.train_inputs.shape[1:])
            if inputs.dtype != np.uint8 or inputs.ndim not in (2, 4) or inputs.shape != shape:
                raise StudyError(
                    f"{self.name}: {split} inputs are {inputs.dtype} {inputs.shape}, expected "
                    f"uint8 {shape}, images (n, C, H, W) or texts (n, T)"
                )
            check_labels(self.name, split, labels, self.class_names)
        for part in ("train", "test", "valid"):
            for array_name in (f"{part}_inputs", f"{part}_labels"):
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
            f"{f'{self.n_classes} classes' if self.class_names else 'numbers'})"
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
        """Number of classes, 0 where the targets are numbers."""
        return len(self.class_names)

    @property
    def n_outputs(self) -> int:
        """Outputs of a network: one a class, or one number."""
        return self.n_classes or 1

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
            for array in (images, labels.astype("<i8" if self.class_names else "<f8", copy=False)):
                digest.update(f"{split}:{array.shape}:{array.dtype.str};".encode())
                digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    def _splits(self) -> list[tuple[str, np.ndarray, np.ndarray]]:
        splits = [
            ("training", self.train_inputs, self.train_labels),
            ("test", self.test_inputs, self.test_labels),
            ("validation", self.valid_inputs, self.valid_labels),
        ]
        return splits[: 2 if self.valid_inputs is None else 3]


def check_labels(name: str, split: str, labels: np.ndarray, class_names: tuple[str, ...]) -> None:
    """Check the labels (n,) of one split; only "training" needs a row of every class.

    Raises:
        StudyError: If there is no row, the type is not int64, a label is outside
            0..n_classes-1, all training rows are of one class, or a class has no training row.
            Without classes: the type is not float64, or all training rows have one number.
    """
    if not labels.size:
        raise StudyError(f"{name}: there are no {split} rows, expected at least one")
    kind = np.dtype(np.int64 if class_names else np.float64)
    if labels.ndim != 1 or labels.dtype != kind:
        got = f"{labels.dtype} {labels.shape}"
        raise StudyError(f"{name}: {split} labels must be {kind} of shape (n,), got {got}")
    if not class_names:
        if not np.isfinite(labels).all() or split == "training" and np.ptp(labels) == 0:
            raise StudyError(f"{name}: {split} targets must be finite and differ, got {labels[0]}")
        return
    n_classes = len(class_names)
    wrong = np.flatnonzero((labels < 0) | (labels >= n_classes))
    if len(wrong):
        raise StudyError(
            f"{name}: {split} row {wrong[0]} has label {labels[wrong[0]]}, "
            f"expected class indices 0..{n_classes - 1}"
        )
    if split != "training":
        return
    counts = np.bincount(labels, minlength=n_classes)
    if np.count_nonzero(counts) < 2:
        raise StudyError(
            f"{name}: all {len(labels)} training rows are of one class "
            f"({class_names[int(counts.argmax())]!r}), expected at least two classes"
        )
    if not counts.all():
        empty = int(counts.argmin())
        raise StudyError(
            f"{name}: class {class_names[empty]!r} (label {empty}) has no rows among the "
            f"{len(labels)} training rows, expected at least one row of every class"
        )


def flipped_rows(n: int, percent: int) -> np.ndarray:
    """Return which of n training rows carry a wrong label in a `~flip` variant, (k,) int64."""
    return np.random.default_rng(n).permutation(n)[: round(percent * n / 100)]


def with_flips(dataset: Dataset, percent: int) -> Dataset:
    """Return a data set whose training labels are wrong for some per cent of the rows.

    Each of them becomes one of the other classes, all equally likely; which rows depends on their
    number alone. The name gets `~flip` and the percentage at its end.
    """
    if not dataset.class_names:
        raise StudyError(f"{dataset.name} has numbers, ~flip gives rows another class")
    rows, labels = flipped_rows(dataset.n, percent), dataset.train_labels.copy()
    moved = np.random.default_rng(dataset.n + 1).integers(1, dataset.n_classes, len(rows))
    labels[rows] = (labels[rows] + moved) % dataset.n_classes
    return replace(dataset, name=f"{dataset.name}~flip{percent}", train_labels=labels)


def with_classes(dataset: Dataset, first: int, last: int) -> Dataset:
    """Return the rows of classes `first` to `last` alone, which become 0, 1, ...

    The name gets `~` and the two numbers at its end.
    """
    if not first < last < dataset.n_classes:
        known = f"classes 0..{dataset.n_classes - 1}"
        raise StudyError(f"{dataset.name} has {known}, got ~{first}-{last}")
    parts: dict[str, np.ndarray] = {}
    for split in ("train", "test"):
        labels = getattr(dataset, f"{split}_labels")
        rows = np.flatnonzero((first <= labels) & (labels <= last))
        parts[f"{split}_inputs"] = getattr(dataset, f"{split}_inputs")[rows]
        parts[f"{split}_labels"] = labels[rows] - first
    names = dataset.class_names[first : last + 1]
    name = f"{dataset.name}~{first}-{last}"
    return replace(
        dataset, name=name, class_names=names, valid_inputs=None, valid_labels=None,
        origin=Origin(), **parts,
    )  # fmt: skip


@lru_cache(maxsize=1)  # the copy is large, and one seed's runs come together
def redrawn(dataset: Dataset, draw: int) -> Dataset:
    """Return a data set whose rows are divided at random into as many for training and testing.

    The name gets `~draw` and the number of the draw at its end; a validation set goes.
    """
    order = np.random.default_rng(draw).permutation(dataset.n + len(dataset.test_labels))
    parts = {"train": order[: dataset.n], "test": order[dataset.n :]}
    both = {what: np.concatenate([getattr(dataset, f"{part}_{what}") for part in parts])
            for what in ("inputs", "labels")}  # fmt: skip
    changes = {f"{part}_{what}": every[rows]
               for what, every in both.items() for part, rows in parts.items()}  # fmt: skip
    changes |= {"valid_inputs": None, "valid_labels": None, "origin": Origin()}
    name = f"{dataset.name}~draw{draw}"
    return replace(dataset, name=name, drawn=(dataset, order), **changes)


# What a reader hands to `load`


@dataclass(frozen=True, eq=False)
class Split:
    """One split before it is decoded.

    Attributes:
        labels: int64 class indices or float64 numbers, shape (n,).
        rows: Numbers of the rows in their source, int64, shape (n,).
        items: Starts an iteration over the n texts, or over (name, path or bytes) of n images.
    """

    labels: np.ndarray
    rows: np.ndarray
    items: Callable[[], Iterator]


@dataclass(frozen=True, eq=False)
class Listing:
    """A data set before it is decoded: "train", "test", perhaps "valid"; the rest as `Origin`."""

    splits: dict[str, Split]
    class_names: tuple[str, ...]
    held_out: bool
    notes: tuple[str, ...]
    files: tuple[str, ...] = ()


# Splits: the same on every machine, whatever the seed


def split_of(name: str) -> str | None:
    """Read the name of a folder or file as a split: "train", "test", "valid", or None."""
    kinds = {
        "train": ("train", "training", "trn"),
        "test": ("test", "testing", "tst"),
        "valid": ("val", "valid", "validation", "dev", "development", "eval", "evaluation"),
    }
    key = "".join(sign for sign in name.casefold() if sign.isalpha())
    for end in ("set", "split", "data", "images", "imgs"):
        key = key.removesuffix(end) or key
    return next((kind for kind, names in kinds.items() if key in names), None)


def assigned(name: str, there: dict[str, str]) -> tuple[dict[str, str], list[str]]:
    """Say which folder or file name is which split, given `split_of` each.

    Returns:
        Split -> name, and what was guessed. {"all": name} where there is a training part only.

    Raises:
        StudyError: If two names are the same split, or none holds training rows.
    """
    found: dict[str, str] = {}
    for own, split in sorted(there.items()):
        if split in found:
            raise StudyError(f"{name}: {found[split]!r} and {own!r} are both a {split} part")
        found[split] = own
    if "train" not in found:
        raise StudyError(f"{name}: {', '.join(map(repr, found.values()))} and no training part")
    if len(found) == 1:
        return {"all": found["train"]}, [f"{found['train']!r} alone, a fifth of it is for testing"]
    notes = []
    if "test" not in found:
        found["test"] = found.pop("valid")
        notes = [f"{found['test']!r} is the test set"]
    return {split: found[split] for split in ("train", "test", "valid") if split in found}, notes


def hash_order(keys: Sequence[str]) -> np.ndarray:
    """Row numbers (n,) by the SHA-256 of `0:` and the row's key: looks shuffled, never changes."""
    digests = [hashlib.sha256(f"0:{key}".encode()).digest() for key in keys]
    return np.array(sorted(range(len(keys)), key=digests.__getitem__), dtype=np.int64)


def held_out(name: str, labels: np.ndarray, keys: Sequence[str], parts: int = 5) -> np.ndarray:
    """Mark one part in `parts` of every class as test rows: its first ones in hash order.

    Args:
        name: Data set, for the message.
        labels: Class indices, shape (n,).
        keys: One text a row, shape (n,).
        parts: 5 holds out 20 %; counts are rounded half to even, at least one row a class.

    Returns:
        Boolean mask of the test rows, shape (n,).
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


# Classes


def classes(
    name: str, labels: np.ndarray, stated: Sequence[str] | None, unit: str = ""
) -> tuple[np.ndarray, tuple[str, ...], list[str]]:
    """Find the classes behind the training labels, whole numbers or names of shape (n,).

    Returns:
        Labels that stand for the classes, ascending (c,); the class names, which are `stated`, or
        the labels with the `unit` that numbers count; what was guessed.

    Raises:
        StudyError: If names differ in case or spaces only, or there are too many to be classes.
    """
    if stated and labels.dtype.kind != "U":
        return np.arange(len(stated)), tuple(stated), []
    known = np.unique(labels)
    if len(known) > max(100, len(labels) // 2):
        raise StudyError(f"{name}: {len(known)} different labels in {len(labels)} rows, no classes")
    if labels.dtype.kind == "U":
        check_names(name, known.tolist())
        return known, tuple(known.tolist()), []
    if unit:
        return known, tuple(f"{value} {unit}{'s' * (value != 1)}" for value in known.tolist()), []
    notes = []
    if len(known) and (known[0] not in (0, 1) or known[-1] - known[0] >= len(known)):
        shown = ", ".join(map(str, known[:10])) + ", ..." * (len(known) > 10)
        notes = [f"the labels {shown} are {len(known)} classes"]
    return known, tuple(map(str, known.tolist())), notes


def check_names(name: str, class_names: Iterable[str]) -> None:
    """Refuse names of classes that differ in case, spaces or Unicode form only."""
    seen: dict[str, str] = {}
    for own in class_names:
        key = " ".join(unicodedata.normalize("NFC", own).casefold().split())
        if seen.setdefault(key, own) != own:
            first, second = ascii(seen[key]), ascii(own)
            raise StudyError(
                f"{name}: classes {first} and {second} differ in case or spaces only, rename one"
            )


def indices(name: str, split: str, labels: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Class indices, int64 (n,), of labels (n,) among those that stand for the classes (c,)."""
    same = labels.dtype.kind == known.dtype.kind
    is_known = np.isin(labels, known) if same else np.zeros(len(labels), dtype=bool)
    if len(unknown := np.flatnonzero(~is_known)):
        raise StudyError(
            f"{name}: {split} row {unknown[0]} has label {labels[unknown[0]]}, "
            f"expected one of the training labels {known[0]}..{known[-1]}"
        )
    return np.searchsorted(known, labels).astype(np.int64)
