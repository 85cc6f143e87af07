"""What to compute: frozen descriptions of plain values, and their hash."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import get_args, get_origin, get_type_hints

from helpers import StudyError

Option = tuple[str, object]


@dataclass(frozen=True)
class Sampler:
    """Which rows an epoch visits: `ids`, `adonis`, `ids+adonis` or `selective-backprop`.

    `of` names the run whose features IDS embeds with; `options` go to the sampler.
    """

    name: str
    of: tuple[Train, ...] = ()
    options: tuple[Option, ...] = ()


@dataclass(frozen=True)
class Select:
    """A choice of training rows by a method of `helpers.selection`.

    Attributes:
        dataset: Resolved name of the data set.
        method: Key in `helpers.selection.registry.METHODS`.
        budget: Share of the pool when a float in (0, 1], number of rows when an int.
        seed: Of methods that draw at random.
        of: Runs whose traces are read; several are combined by mean rank or mean value.
        start: A choice whose rows leave the pool and stand before the new ones in the result.
        options: Method options.
    """

    dataset: str
    method: str
    budget: float | int
    seed: int = 0
    of: tuple[Train, ...] = ()
    start: Select | None = None
    options: tuple[Option, ...] = ()


@dataclass(frozen=True)
class Train:
    """A training run.

    Attributes:
        dataset: Resolved name of the data set.
        model: Name for `helpers.models.build`.
        recipe: Name in `helpers.recipes`.
        epochs: Passes over the rows.
        seed: Initialisation, order and augmentation.
        subset: Rows to train on; all when `None`.
        sampler: Online choice among those rows.
        init: Run whose final weights are the start (it must have `keep_weights`).
        record_at: Epochs at which all rows are scored (0 = untrained).
        keep_weights: Whether the final weights are stored.
    """

    dataset: str
    model: str
    recipe: str
    epochs: int
    seed: int
    subset: Select | None = None
    sampler: Sampler | None = None
    init: Train | None = None
    record_at: tuple[int, ...] = ()
    keep_weights: bool = False


@dataclass(frozen=True)
class Measure:
    """A measurement without training: a name in `helpers.measurements` and its options."""

    name: str
    seed: int = 0
    options: tuple[Option, ...] = ()


Spec = Train | Select | Measure
KINDS = {kind.__name__: kind for kind in (Train, Select, Measure, Sampler)}

# Raised by hand when a step's meaning changes, so that a comment costs no GPU week.
REVISION = {"Train": 1, "Select": 1, "Measure": 2, "Sampler": 1}


def to_plain(value: object) -> object:
    """Turn a spec into nested dicts, lists and plain values; each dict names its kind."""
    if dataclasses.is_dataclass(value):
        fields = {f.name: to_plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return {"kind": type(value).__name__, **fields}
    if isinstance(value, tuple | list):
        return [to_plain(v) for v in value]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise StudyError(f"a spec holds plain values only, got {type(value).__name__}: {value!r}")


class Unknown(StudyError):
    """A spec of another version of the study, or none at all."""


def from_plain(value: object) -> Spec:
    """Turn what `to_plain` made back into a spec.

    Raises:
        Unknown: If it is no spec, or has a field that specs have not, or of another type.
    """
    spec = _back(value)
    if not isinstance(spec, Spec):
        raise Unknown(f"no spec of a result: {str(value)[:60]!r}")
    return spec


def _back(value: object) -> object:
    if isinstance(value, list):
        return tuple(_back(v) for v in value)
    if not isinstance(value, dict):
        return value
    kind = KINDS.get(str(value.get("kind")))
    if kind is None:
        raise Unknown(f"unknown kind of spec {value.get('kind')!r}; there are {', '.join(KINDS)}")
    made = {name: _back(v) for name, v in value.items() if name != "kind"}
    try:
        spec = kind(**made)
    except TypeError as error:
        raise Unknown(str(error)) from None
    for name, hint in _hints(kind).items():
        if not _fits(getattr(spec, name), hint):
            raise Unknown(f"{name} of a {kind.__name__} spec is {str(getattr(spec, name))[:60]!r}")
    return spec


@lru_cache
def _hints(kind: type) -> dict[str, object]:
    return get_type_hints(kind)


def _fits(value: object, hint: object) -> bool:
    if hint is object or isinstance(hint, type):
        return isinstance(value, hint) and not (hint in (int, float) and isinstance(value, bool))
    parts = get_args(hint)
    if get_origin(hint) is not tuple:  # a union
        return any(_fits(value, part) for part in parts)
    if not isinstance(value, tuple):
        return False
    if parts[1:] == (...,):
        return all(_fits(one, parts[0]) for one in value)
    return len(value) == len(parts) and all(map(_fits, value, parts))


def key(spec: Spec, revisions: dict[str, int] = REVISION) -> str:
    """Return the spec's SHA-256 over canonical JSON and the steps' revisions, 64 hex digits."""
    # 1 == 1.0 == True for a cache, but not in JSON: the text tells such specs apart.
    return _key(repr(spec), spec, tuple(sorted(revisions.items())))


@lru_cache(maxsize=100_000)
def _key(shown: str, spec: Spec, revisions: tuple[tuple[str, int], ...]) -> str:
    stamped = _stamped(to_plain(spec), dict(revisions))
    text = json.dumps(stamped, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _stamped(plain: object, revisions: dict[str, int]) -> object:
    if isinstance(plain, list):
        return [_stamped(v, revisions) for v in plain]
    if isinstance(plain, dict):
        stamped = {name: _stamped(v, revisions) for name, v in plain.items()}
        return stamped | {"revision": revisions[plain["kind"]]}
    return plain


def needs(spec: Spec) -> tuple[Spec, ...]:
    """Return the specs that must have results before this one can run."""
    if isinstance(spec, Select):
        return spec.of + ((spec.start,) if spec.start else ())
    if isinstance(spec, Train):
        sampler = spec.sampler.of if spec.sampler else ()
        return sampler + tuple(s for s in (spec.subset, spec.init) if s)
    return ()


def rounds(chosen: Select | None) -> Iterator[Select]:
    """Walk from a choice back to the one that nothing stands before."""
    while chosen is not None:
        yield chosen
        chosen = chosen.start


def describe(spec: Spec) -> str:
    """Say in a few words what the spec is, for progress lines and listings."""
    if isinstance(spec, Measure):
        return printable(f"measure {spec.name} seed {spec.seed}")
    if isinstance(spec, Select):
        return printable(f"select {spec.method} {spec.budget:g} of {spec.dataset} seed {spec.seed}")
    on = spec.subset and f" on {spec.subset.method} {spec.subset.budget:g}"
    by = spec.sampler and f" by {spec.sampler.name}"
    text = f"train {spec.model}{on or ''}{by or ''} seed {spec.seed}, {spec.epochs} epochs"
    return printable(text)


def printable(text: str) -> str:
    """Escape what moves the cursor or ends the line: packs of others hold any name."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
