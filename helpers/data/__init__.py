"""Data sets by name: embedded digits, downloads, class folders, Parquet files, texts.

`load(name)` gives a `Dataset` of uint8 images or texts and labels, classes or numbers. A name is
`BASE[@TRAIN+TEST]`:

- a key of `names.NAMED`: `digits` (scikit-learn's, nothing to download); `cifar10`, `cifar100`,
  `svhn`, `svhn-slides` (as `svp-slides` divides it, with a validation part), `mnist`,
  `fashionmnist`, downloaded through torchvision, or read from a Parquet copy in `$STUDY_DATA`
  where one lies (`resolve` says which); `imagenette` (photographs of ten classes of ImageNet),
  `imdb`, `amazon-reviews` (negative or positive) and `amazon-ratings` (the same by their stars),
  and `utkface` (faces and their ages in years, which are numbers), read from `$STUDY_DATA`;
- `folder:PATH`: class folders with images, see `helpers.data.images`;
- `parquet:PATH`: images in Parquet, in the Hugging Face layout, see `helpers.data.images`;
- `text:PATH`: texts in CSV, JSON lines or Parquet, see `helpers.data.text`.

`~5-9` at the end keeps the rows of classes 5 to 9, `~flip10` gives a wrong label to ten per cent
of the training rows, `~draw3` divides training and test rows anew, by the random draw 3.

`@10000+2000` keeps the first 10,000 training and 2,000 test rows; a validation set stays whole.
After a path options may follow, `folder:photos?skip_broken@10000+2000`: see `names.OPTIONS`.
"""

import re
import sys
from functools import lru_cache
from pathlib import Path

import numpy as np

from helpers import StudyError
from helpers.data import cache, download, images, names, text
from helpers.data.dataset import Dataset, Listing, Origin, redrawn, with_classes, with_flips
from helpers.data.names import resolve, with_option

__all__ = ["Dataset", "Origin", "check", "load", "resolve", "with_option"]

SHOWN = 10  # broken images in a message
_FLIP = re.compile(r"(?P<name>.+)~flip(?P<percent>[1-9]\d?)", re.DOTALL)
_DRAW = re.compile(r"(?P<name>.+)~draw(?P<draw>\d+)", re.DOTALL)


def load(name: str, root: str | Path | None = None) -> Dataset:
    """Load a data set by name; the last few stay in memory.

    What was guessed or passed over in files that a path names is told on stderr, in one line, and
    stays in `Dataset.origin`.

    Args:
        name: `BASE[@TRAIN+TEST]`, see `helpers.data`.
        root: Folder of downloads and decoded images; `data/raw` of this repository by default.

    Returns:
        The data set; its name is the resolved one.

    Raises:
        StudyError: If the name or the slice is wrong, files are missing, damaged or of another
            layout, labels are unusable, or a download fails. Broken images are all named at once.
    """
    if flip := _FLIP.fullmatch(str(name)):
        return with_flips(load(flip["name"], root), int(flip["percent"]))
    if draw := _DRAW.fullmatch(str(name)):
        return redrawn(load(draw["name"], root), int(draw["draw"]))
    whole, classes = names.part(names.resolve(name))
    if classes:
        return with_classes(load(whole, root), *classes)
    resolved = whole
    base = names.parse(resolved)[0]
    path = names.path_of(base)
    files = _reader(base).files(base, path) if path else ()
    folder = Path(root or names.DEFAULT_ROOT).expanduser().absolute()
    return _load(resolved, folder, path, cache.stamp(files))


def check(name: str) -> int:
    """Refuse what `load` would refuse by its name, labels or slice; decode and download nothing.

    Returns:
        Number of training rows, broken images included. Of some classes alone all are decoded.
    """
    name = _DRAW.sub(r"\g<name>", str(name))  # as many rows
    resolved, classes = names.part(names.resolve(name))
    if classes:
        return load(name).n
    base, rows = names.parse(resolved)
    if names.path_of(base):
        return len(_listing(resolved).splits["train"].labels)
    if base == "digits":
        return download.digits(resolved, rows).n
    return names.kept_rows(resolved, rows, *names.NAMED[base].rows)[0]


@lru_cache(maxsize=4)
def _load(name: str, root: Path, path: Path | None, stamp: str) -> Dataset:
    """Load by resolved name; `stamp` makes files that changed count as other files."""
    base, rows = names.parse(name)
    if base == "digits":
        return download.digits(name, rows)
    if path is None:
        return download.load(name, base, rows, root)
    listing = _listing(name)

    def decode(write: cache.Write) -> dict:
        return _decode(name, listing, write)

    inputs, facts = cache.decoded(root / "cache", cache.place(name, path), stamp, decode)
    kept = {
        split: np.setdiff1d(
            np.arange(len(items.labels)), [row for row, _ in facts["broken"][split]]
        )
        for split, items in listing.splits.items()
    }
    labels = {split: listing.splits[split].labels[rows] for split, rows in kept.items()}
    train = kept["train"]
    origin = Origin(
        listing.splits["train"].rows[train],
        tuple(listing.files[row] for row in train) if listing.files else (),
        listing.held_out,
        (*listing.notes, *facts["notes"]),
        tuple(own for broken in facts["broken"].values() for _, own in broken),
    )
    if origin.notes and names.is_path(base):
        line = f"{name}: {'; '.join(origin.notes)}"
        print("".join(c if c.isprintable() else "?" for c in line), file=sys.stderr)
    return Dataset(
        name, inputs["train"], labels["train"], inputs["test"], labels["test"],
        listing.class_names, inputs.get("valid"), labels.get("valid"), origin,
    )  # fmt: skip


def _reader(base: str):
    return text if names.is_text(base) else images


def _listing(name: str) -> Listing:
    base, rows = names.parse(name)
    return _reader(base).listing(name, names.path_of(base), names.options(name), rows)


def _decode(name: str, listing: Listing, write: cache.Write) -> dict:
    """Write every split; broken images are left out if the name asks for it, else refused."""
    reader = _reader(names.parse(name)[0])
    shape, batches, notes = reader.decoder(listing.splits)
    broken: dict[str, list] = {}

    def whole(split: str):
        for rows, bad in batches(listing.splits[split]):
            broken[split] += bad
            yield rows

    for split in listing.splits:
        broken[split] = []
        write(split, shape, whole(split))
    found = [own for bad in broken.values() for _, own in bad]
    told = notes()
    if found:
        n = sum(len(items.labels) for items in listing.splits.values())
        shown = ", ".join(found[:SHOWN]) + ", ..." * (len(found) > SHOWN)
        if "skip_broken" not in names.options(name):
            raise StudyError(
                f"{name}: {len(found)} of {n} images cannot be read ({', '.join(found)}); "
                "?skip_broken after the path leaves them out"
            )
        told.append(f"left out {len(found)} broken images of {n} ({shown})")
    return {"broken": broken, "notes": told}
