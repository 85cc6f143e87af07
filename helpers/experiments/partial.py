"""What there is of a list of runs: a study that is not finished yet still draws what it has."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from statistics import fmean

import pandas as pd

from helpers import results, specs
from helpers.experiments.table import COLUMNS, frame
from helpers.results import packs
from helpers.results.store import Result, Store
from helpers.specs import Spec, Train

TEXTS = ("question", "method", "label", "data", "model", "selector", "options")


def table(wanted: Sequence[Train], alone: bool = False, question: str = "") -> pd.DataFrame:
    """Return `experiments.frame` of the `available` runs, with columns of numbers without any."""
    found = frame(*available(wanted, alone), question)
    kinds = {name: bool if name == "alone" else float for name in COLUMNS if name not in TEXTS}
    return found if len(found) else found.astype(kinds)


def whole_seeds(wanted: Sequence[Train], alone: bool = False) -> tuple[list[Train], list[Result]]:
    """Return the runs of those seeds for which all of them are `available`, and their results.

    Args:
        wanted: Training runs, as asked for.
        alone: As for `results.compute`.

    Raises:
        StudyError: `results.NotRun` if there is no such seed.
    """
    found = dict(zip(*available(wanted, alone), strict=True))
    lacking = {run.seed for run in wanted if run not in found}
    kept = [run for run in wanted if run.seed not in lacking]
    if not kept:
        results.compute(wanted)
    return kept, [found[run] for run in kept]


def available(wanted: Sequence[Spec], alone: bool = False) -> tuple[list[Spec], list[Result]]:
    """Return the specs that have results, and these.

    Args:
        wanted: Runs and selections, as asked for.
        alone: As for `results.compute`.

    Returns:
        Specs and their results, in order. What is missing is computed, so that all are there;
        only under `$STUDY_OFFLINE`, as when published results are drawn again, runs are left
        out that are neither stored nor published.
    """
    if not os.environ.get("STUDY_OFFLINE"):
        return list(wanted), results.compute(wanted, alone=alone)
    found = [(run, one) for run in wanted if (one := results.load(run)) is not None]
    return [run for run, _ in found], [one for _, one in found]


def forecast(wanted: Sequence[Spec]) -> str:
    """Say what a list of runs will compute here: how many are not stored yet, how long they take.

    Minutes are those of like runs in the store, else of the profile's published ones, perhaps of
    another machine; nothing is computed.
    """
    todo = results.missing(wanted).values()
    if not todo:
        return f"All {len(set(wanted))} results are stored: nothing will be computed."
    if os.environ.get("STUDY_OFFLINE"):
        return f"{len(todo)} runs and choices are neither stored nor published: left out below."
    known = [s for s in map(past_seconds(past()), todo) if s is not None]
    told = (
        f"{len(todo)} runs and choices will be computed, {len(set(wanted))} results are asked for"
    )
    return f"{told}; {len(known)} of them took {sum(known) / 60:.1f} minutes in like runs."


def past() -> list[Result]:
    """Return the stored results; where there are none, the published ones of the profile."""
    pack = packs.path_of(os.environ.get("STUDY_PROFILE") or "digits")
    return Store().list() or list(packs.read(pack).values())


def past_seconds(stored: Iterable[Result]) -> Callable[[Spec], float | None]:
    """Return what tells a run's seconds: the mean of like ones; a training's, by its epochs."""
    found: dict[tuple, list[float]] = defaultdict(list)

    def like(spec: Spec) -> tuple:
        if isinstance(spec, specs.Train):
            part, how = spec.subset and spec.subset.budget, spec.sampler and spec.sampler.name
            return spec.dataset, spec.model, part, how
        if isinstance(spec, specs.Select):
            return spec.dataset, spec.method
        return (spec.name,)

    for result in stored:
        seconds = max(result.metrics.get(name, 0.0) for name in ("wall_s", "seconds"))
        found[like(result.spec)].append(seconds / getattr(result.spec, "epochs", 1))

    def seconds(spec: Spec) -> float | None:
        if each := found.get(like(spec)):
            return fmean(each) * getattr(spec, "epochs", 1)
        return None

    return seconds
