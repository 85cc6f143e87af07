"""Published packs: the results of a profile in one file, small enough for git."""

from __future__ import annotations

import os
from collections.abc import Container, Iterable, Mapping
from functools import lru_cache, partial
from pathlib import Path
from zipfile import ZipFile

import numpy as np

from helpers import StudyError, specs
from helpers.results import archive
from helpers.results.archive import ROOT, OnDemand, Result

FILE, TEXT = "pack.npz", "pack.json"
# What notebooks and claims read of a training run; what only a new selection would is dropped.
SHOWN = (
    *("labels", "visited", "correct", "recorded_epochs", "entropy", "el2n", "grad_norm", "logits"),
    *("projection", "class_rank", "sampler_events", "sampler_histories"),
)
# The notebooks that read an array, or whose claims do; all others read what they run for.
READ_IN = {"grad_norm": ("04",), "el2n": ("05",), "projection": ("05",), "class_rank": ("05",)}
READ_IN |= {"logits": ("02", "05")}
# Of networks that neither choose nor count nobody reads these.
OF_ROLES = tuple(READ_IN)
READ_IN |= dict.fromkeys(("entropy", "correct"), ("01", "02", "06"))
READ_IN |= {"visited": ("01", "02", "05", "06")}
NOTEBOOKS = ("01", "02", "03", "04", "05", "06")
MOST_LOGITS = 20_000  # rows; of more they would be half of a pack, and are read for svp-14 alone


def path_of(profile: str) -> Path:
    """Return the folder of a profile's published pack."""
    return ROOT / "data" / "results" / profile


def is_shown(spec: specs.Spec, name: str) -> bool:
    """Tell whether notebooks or claims read an array: of a run on a selection only its visits.

    Histories of losses are large; they are drawn of the first seed, and judged of scored runs. Of
    `budgeted`'s choices those by other weights, and beside wrong labels, are compared.
    """
    if isinstance(spec, specs.Train):
        if name == "sampler_histories" and spec.seed and not spec.record_at:
            return False
        if spec.record_at == (0,):  # before its first epoch: for choices alone
            return name == "labels"
        return name in (SHOWN if spec.subset is None else ("visited",))
    if isinstance(spec, specs.Select) and spec.start and "labelled" not in dict(spec.options):
        compared = "weight" in dict(spec.options) or "~flip" in spec.dataset
        return name == "indices" and compared
    return isinstance(spec, specs.Measure) or name == "indices"


def _is_kept(result: Result, name: str, roles: Mapping[str, Container[str]] | None) -> bool:
    """Tell whether one of these notebooks, with these proxies and targets, reads an array."""
    if roles is None or not is_shown(result.spec, name):
        return roles is None and is_shown(result.spec, name)
    readers = [number for number in READ_IN.get(name, NOTEBOOKS) if number in roles]
    if name in OF_ROLES:
        readers = [number for number in readers if result.spec.model in roles[number]]
    return bool(readers) and not (name == "logits" and len(result.arrays[name]) > MOST_LOGITS)


def export(
    results: Iterable[Result],
    folder: Path,
    full: bool = False,
    shrink: bool = False,
    roles: Mapping[str, Container[str]] | None = None,
    judged: Container[str] = (),
) -> tuple[int, int]:
    """Write results as one pack; return how many and how many bytes.

    Args:
        results: What to write.
        folder: Where `pack.npz` goes; made if needed, replaced if there.
        full: Keep every array, so that the pack can be imported as if computed here.
        shrink: Also replace a pack of more results.
        roles: Number ("04") of each notebook that will read it -> its proxies and targets; None
            for all notebooks and any network.
        judged: Keys of results that only claims read: of their arrays labels alone are kept.

    Raises:
        StudyError: If there is nothing to write, less than there is, or no writing there.
    """
    entries, arrays = {}, {}
    for result in sorted(results, key=lambda result: result.key):
        names = list(result.arrays)
        if not full and result.key in judged:
            names = [name for name in names if name == "labels" and is_shown(result.spec, name)]
        elif not full:
            names = [name for name in names if _is_kept(result, name, roles)]
        entry = archive.entry_of(result)
        entry["complete"] = result.complete and len(names) == len(result.arrays)
        origin = {name: text for name, text in result.provenance.items() if name != "fresh"}
        entries[result.key] = entry | {"provenance": origin}
        arrays |= {f"{result.key}/{name}": result.arrays[name] for name in names}
    if not entries:
        raise StudyError("there is no stored result to export; run the study first")
    path = Path(folder) / FILE
    if not shrink and (there := _count(path)) > len(entries):
        raise StudyError(
            f"the pack in {folder} holds {there} results, this one would hold {len(entries)}: "
            "bring them into the store first (results import) or give --shrink"
        )
    try:
        archive.write(path, TEXT, {"results": entries}, arrays)
        return len(entries), path.stat().st_size
    except OSError as error:
        raise StudyError(f"could not write {path}: {error.strerror or error}") from error


def _count(path: Path) -> int:
    """Count the results that a pack lists, of whatever revision; 0 where nothing can be read."""
    try:
        opened, index, _ = archive.open_(path, TEXT)
        opened.close()
        return len(index["results"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0


def read(folder: Path, whole: bool = False) -> Mapping[str, Result]:
    """Return a pack's results by key; empty if there is no pack, StudyError if it is damaged.

    Every result and array is checked at once if `whole`, else when it is asked for.
    """
    return _opened(folder, whole)[1]


def data_names(folder: Path) -> frozenset[str]:
    """Return the names of the data sets of a pack's runs and choices; empty without a pack."""
    return _opened(folder)[0]


def _opened(folder: Path, whole: bool = False) -> tuple[frozenset[str], Mapping[str, Result]]:
    path = Path(folder) / FILE
    try:
        return _read(path, _stamp(path), whole)
    except FileNotFoundError:
        return frozenset(), {}
    except OSError as error:
        raise _damaged(path, error.strerror) from None
    except archive.Damaged as error:
        raise _damaged(path, error) from None


def _damaged(path: Path, why: object) -> StudyError:
    return StudyError(f"the pack {path} is damaged: {why}")


def _stamp(path: Path) -> tuple[int, ...]:
    facts = os.stat(path)
    return facts.st_ino, facts.st_mtime_ns, facts.st_size


@lru_cache(maxsize=4)
def _read(
    path: Path, stamp: tuple[int, ...], whole: bool
) -> tuple[frozenset[str], Mapping[str, Result]]:
    """Return the data sets of a pack and those results whose keys are still their specs' hashes."""
    opened, index, members = archive.open_(path, TEXT)
    entries = index.get("results") if isinstance(index, dict) else None
    listed = entries.values() if isinstance(entries, dict) else [None]
    if not all(isinstance(one, dict) and isinstance(one.get("spec"), dict) for one in listed):
        raise archive.Damaged("it lists no results")
    names: dict[str, list[str]] = {key: [] for key in entries}
    for member in members:
        key, _, name = member.partition("/")
        if key not in names or not name:
            raise archive.Damaged(f"{member} is of no result in it")
        names[key].append(name)

    def one(key: str) -> Result:
        arrays = OnDemand(names[key], partial(_array, opened, path, key))
        try:
            return archive.result_of(key, entries[key], arrays)
        except (archive.Damaged, specs.Unknown) as error:
            raise _damaged(path, error) from None

    raised = [key for key, entry in entries.items() if entry.get("revisions") != specs.REVISION]
    past = {key for key in raised if specs.key(one(key).spec) != key}  # now another result's
    found = OnDemand((key for key in entries if key not in past), one)
    if whole:
        archive.check_arrays(opened, members)
        list(found.values())
    data = (entry["spec"].get("dataset") for entry in listed)
    return frozenset(name for name in data if isinstance(name, str)), found


def _array(opened: ZipFile, path: Path, key: str, name: str) -> np.ndarray:
    try:
        return archive.read_array(opened, f"{key}/{name}")
    except archive.Damaged as error:
        raise _damaged(path, error) from None
