"""Published packs: many results in two files, small enough for git."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import uuid
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np

from helpers import StudyError, specs
from helpers.store import ROOT, Arrays, Result, Store, packed

# What figures and claims read stays; what only a new selection would read is dropped.
DROPPED = ("features", "weights", "confidence", "margin", "el2n")
INDEX, ARRAYS = "pack.json", "pack.npz"


def path_of(profile: str) -> Path:
    """Return the folder of a profile's published pack."""
    return ROOT / "data" / "results" / profile


def export(
    results: Iterable[Result], folder: Path, full: bool = False, shrink: bool = False
) -> tuple[int, int]:
    """Write results as one pack; return how many and how many bytes.

    Args:
        results: What to write.
        folder: Where `pack.json` and `pack.npz` go; made if needed, replaced if there.
        full: Keep every array, so that the pack can be imported as if computed here.
        shrink: Also replace a pack of more results.

    Raises:
        StudyError: If there is nothing to write, less than there is, or the folder cannot be
            written.
    """
    entries, arrays = {}, {}
    for result in results:
        names = result.arrays if full else [n for n in result.arrays if _is_shown(result.spec, n)]
        kept = {name: result.arrays[name] for name in names}
        complete = result.complete and len(kept) == len(result.arrays)
        arrays |= {f"{result.key}/{name}": value for name, value in kept.items()}
        metrics = result.metrics | {"complete": complete}
        entries[result.key] = {"spec": specs.to_plain(result.spec), "metrics": metrics}
    if not entries:
        raise StudyError("there is no stored result to export; run the study first")
    if (there := _count(folder)) > len(entries) and not shrink:
        raise StudyError(
            f"the pack in {folder} holds {there} results, this one would hold {len(entries)}: "
            "bring them into the store first (results import) or give --shrink"
        )
    data = packed(arrays)
    index = {
        "sha256": hashlib.sha256(data).hexdigest(),
        "revisions": specs.REVISION,
        "results": dict(sorted(entries.items())),
    }
    text = json.dumps(index, separators=(",", ":"), sort_keys=True).replace('},"', '},\n"')
    _write(folder, {ARRAYS: data, INDEX: text.encode()})
    return len(entries), len(data) + len(text)


def _count(folder: Path) -> int:
    """Count the results that a pack lists, of whatever revision; 0 where nothing can be read."""
    try:
        return len(json.loads((folder / INDEX).read_text())["results"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0


def _is_shown(spec: specs.Spec, name: str) -> bool:
    """Tell whether figures or claims read an array; of a run on a selection only its visits."""
    on_selection = isinstance(spec, specs.Train) and spec.subset is not None
    return name == "visited" if on_selection else name not in DROPPED


def _write(folder: Path, files: dict[str, bytes]) -> None:
    """Write all files beside, then rename them into place; a full disk harms no older pack."""
    beside = {name: folder / f".{name}-{uuid.uuid4().hex[:8]}" for name in files}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            beside[name].write_bytes(content)
        for name in files:
            os.replace(beside[name], folder / name)
    except OSError as error:
        raise StudyError(f"could not write the pack to {folder}: {error.strerror}") from error
    finally:
        for path in beside.values():
            with contextlib.suppress(OSError):
                path.unlink()


class _Part(Mapping):
    """The arrays of one result inside the pack's archive."""

    def __init__(self, archive: Mapping, key: str) -> None:
        self._archive, self._prefix = archive, f"{key}/"

    def __getitem__(self, name: str) -> np.ndarray:
        """Return an array of this result."""
        return self._archive[self._prefix + name]

    def __iter__(self) -> Iterator[str]:
        """Walk over this result's names."""
        names = (n for n in self._archive if n.startswith(self._prefix))
        return (n.removeprefix(self._prefix) for n in names)

    def __len__(self) -> int:
        """Count this result's arrays."""
        return sum(1 for _ in self)


@lru_cache(maxsize=4)
def _read(folder: Path, stamp: float) -> dict[str, Result]:
    index = json.loads((folder / INDEX).read_text())
    data = (folder / ARRAYS).read_bytes()
    if hashlib.sha256(data).hexdigest() != index["sha256"]:
        raise StudyError(f"the pack in {folder} is damaged: {ARRAYS} does not match {INDEX}")
    archive = np.load(io.BytesIO(data), allow_pickle=False)
    found = {}
    for stored, entry in index["results"].items():
        spec, metrics = specs.from_plain(entry["spec"]), entry["metrics"]
        key = specs.key(spec)
        # A field added since renames a result; a raised revision makes it another one.
        if key != stored and index.get("revisions") != specs.REVISION:
            continue
        found[key] = Result(
            spec, key, metrics, Arrays(_Part(archive, stored)), metrics.get("complete", True)
        )
    return found


def read(folder: Path) -> dict[str, Result]:
    """Return a pack's results by key; empty if there is no pack.

    Raises:
        StudyError: If the pack is damaged.
    """
    if not (folder / INDEX).is_file():
        return {}
    try:
        return _read(folder, (folder / INDEX).stat().st_mtime)
    except StudyError:
        raise
    except FileNotFoundError as error:
        raise StudyError(f"the pack in {folder} is damaged: {ARRAYS} is missing") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StudyError(f"the pack in {folder} is damaged: {INDEX}: {error}") from error


def import_(folder: Path, store: Store) -> tuple[int, int]:
    """Put a pack's results into a store; return how many were new and how many stood there.

    Raises:
        StudyError: If there is no pack or it is damaged.
    """
    found = read(Path(folder))
    if not found:
        raise StudyError(f"no pack in {folder}: it needs {INDEX} and {ARRAYS}")
    new = 0
    for key, result in found.items():
        there = store.read(key)
        if there is None or (result.complete and not there.complete):
            store.write(result.spec, result.metrics, result.arrays)
            new += 1
    return new, len(found) - new
