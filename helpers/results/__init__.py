"""Ask for results: what is stored is read, what is missing is computed, in order."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence

from helpers import StudyError, progress, specs
from helpers.results import cluster
from helpers.results.steps import execute
from helpers.results.store import NotStored, Result, load


class Missing(StudyError):
    """A result that is needed is neither stored nor published."""


class NotRun(Missing):
    """Results are asked for that were not computed yet, while nothing may be computed."""


def _workers() -> int:
    asked = os.environ.get("STUDY_WORKERS") or "1"
    if not asked.isdigit() or int(asked) < 1:
        raise StudyError(f"STUDY_WORKERS must be a whole number from 1 up, got {asked!r}")
    return int(asked)


def get(spec: specs.Spec) -> Result:
    """Return a stored or published result, or raise `Missing`."""
    found = load(spec)
    if found is None:
        raise Missing(f"{specs.describe(spec)} is neither stored nor published")
    return found


def missing(wanted: Iterable[specs.Spec]) -> dict[str, specs.Spec]:
    """Return what must be computed for these specs, by key, dependencies first."""
    order: dict[str, specs.Spec] = {}

    def visit(spec: specs.Spec, complete: bool) -> None:
        key = specs.key(spec)
        if key in order or load(spec, complete) is not None:
            return
        for need in specs.needs(spec):
            visit(need, True)
        order[key] = spec

    for spec in wanted:
        visit(spec, False)
    return order


def compute(
    wanted: Sequence[specs.Spec],
    workers: int | None = None,
    alone: bool = False,
    device: str | None = None,
) -> list[Result]:
    """Return the results of these specs, in their order, computing what is missing.

    Args:
        wanted: Specs; what they depend on is computed too.
        workers: Processes that compute at once; `$STUDY_WORKERS` or 1 by default. From 2 on
            Dask runs them (extra `cluster`); `DASK_SCHEDULER_ADDRESS` names a lab's scheduler.
        alone: One run at a time whatever `workers` says, so that seconds can be compared.
        device: Where to train; `$STUDY_DEVICE` or `"auto"` by default.

    Raises:
        StudyError: If runs failed (all others are stored first, unless the store itself cannot be
            written); `NotRun` if `$STUDY_OFFLINE` is set and something is missing.
    """
    if not wanted:
        return []
    asked = {specs.key(spec): spec for spec in wanted}
    todo = missing(asked.values())
    if todo and os.environ.get("STUDY_OFFLINE"):
        profile = os.environ.get("STUDY_PROFILE")
        command = "python -m helpers study" + (f" --profile {profile}" if profile else "")
        first = next(iter(todo.values()))
        raise NotRun(
            f"{len(todo.keys() & asked)} of {len(asked)} results are neither stored nor published "
            f"(the first: {specs.describe(first)}); {command} computes them"
        )
    device = device or os.environ.get("STUDY_DEVICE") or "auto"
    workers = workers or _workers()
    parallel = not alone and (workers > 1 or "DASK_SCHEDULER_ADDRESS" in os.environ)
    with progress.report(len(todo), "runs", stored=len(asked)) as step:
        if parallel and len(todo) > 1:
            failed = cluster.run(todo, workers, device, step)
        else:
            failed = _one_by_one(todo, device, step)
    _refuse(todo, failed)
    # What was computed just now counts, even if another fresh study has stored it since.
    found = {key: load(spec, needed=key in todo) for key, spec in asked.items()}
    for key, result in found.items():
        if result is None:
            raise StudyError(f"the result of {specs.describe(asked[key])} vanished")
    return [found[specs.key(spec)] for spec in wanted]


def _one_by_one(
    todo: dict[str, specs.Spec], device: str, step: Callable[[str], None]
) -> dict[str, BaseException]:
    """Compute in order; a failure costs its own run and what needs it. Return key to error."""
    failed: dict[str, BaseException] = {}
    for key, spec in todo.items():
        needed = [failed[need] for need in map(specs.key, specs.needs(spec)) if need in failed]
        try:
            if needed:
                failed[key] = needed[0]
            else:
                execute(spec, device)
        except NotStored:
            raise
        except Exception as error:
            failed[key] = error
        step(specs.describe(spec))
    return failed


def _refuse(todo: dict[str, specs.Spec], failed: dict[str, BaseException]) -> None:
    """Raise one line about all failures, if any; dependencies come first, so causes do."""
    for key, spec in todo.items():
        if (error := failed.get(key)) is not None:
            text = (str(error).splitlines() or [""])[0]
            kind = "" if isinstance(error, StudyError) else f"{type(error).__name__}: "
            raise StudyError(
                f"{len(failed)} of {len(todo)} runs failed, "
                f"the first: {specs.describe(spec)}: {kind}{text}"
            ) from error
