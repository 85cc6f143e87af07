"""Ask for results: what is stored is read, what is missing is computed, in order."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from helpers import StudyError, packs, progress, specs
from helpers.store import Result, Store

# Seconds a run takes that nothing like it was ever stored for.
GUESS_S = {"Train": 5.0, "Select": 0.1, "Measure": 3.0}


def _fresh_since() -> float:
    return float(os.environ.get("STUDY_FRESH") or 0)


def load(spec: specs.Spec, complete: bool = False) -> Result | None:
    """Return a stored or published result, or `None`.

    Args:
        spec: What is asked for.
        complete: Refuse a published result whose traces were dropped.

    `$STUDY_FRESH` (seconds since 1970) hides everything older; `$STUDY_PROFILE` names the
    published pack to look in.
    """
    key, store = specs.key(spec), Store()
    if store.age(key) >= _fresh_since():
        found = store.read(key)
        if found is not None and (found.complete or not complete):
            return found
    if _fresh_since():
        return None
    found = packs.read(packs.path_of(os.environ.get("STUDY_PROFILE") or "digits")).get(key)
    return found if found is not None and (found.complete or not complete) else None


def missing(wanted: Iterable[specs.Spec]) -> list[specs.Spec]:
    """List what must be computed for these specs, dependencies first, each once."""
    order: dict[str, specs.Spec] = {}

    def visit(spec: specs.Spec, complete: bool) -> None:
        if specs.key(spec) in order or load(spec, complete) is not None:
            return
        for need in specs.needs(spec):
            visit(need, True)
        order[specs.key(spec)] = spec

    for spec in wanted:
        visit(spec, False)
    return list(order.values())


def estimate(wanted: Iterable[specs.Spec]) -> tuple[float, int]:
    """Guess seconds and bytes that the missing specs will take, from the most like stored ones.

    A training run is scaled from stored runs of the same model and data by examples seen;
    without any, `GUESS_S` stands in.
    """
    todo = list(wanted)
    rates: dict[tuple, list[float]] = {}
    sizes: dict[str, list[int]] = {}
    store = Store()
    for result in store.list() if todo else []:
        sizes.setdefault(_kind(result.spec), []).append(store.size(result.key))
        wall = result.metrics.get("wall_s", 0.0)
        rates.setdefault(_like(result.spec), []).append(wall / _work(result.spec))
    seconds, size = 0.0, 0
    for spec in todo:
        kind, known = _kind(spec), rates.get(_like(spec))
        seconds += _work(spec) * sum(known) / len(known) if known else GUESS_S[kind]
        known_sizes = sizes.get(kind, [100_000])
        size += sum(known_sizes) // len(known_sizes)
    return seconds, size


def _kind(spec: specs.Spec) -> str:
    return type(spec).__name__


def _like(spec: specs.Spec) -> tuple:
    if isinstance(spec, specs.Train):
        return "Train", spec.dataset, spec.model
    name = spec.method if isinstance(spec, specs.Select) else spec.name
    return _kind(spec), name


def _work(spec: specs.Spec) -> float:
    if not isinstance(spec, specs.Train):
        return 1.0
    budget = spec.subset.budget if spec.subset and isinstance(spec.subset.budget, float) else 1.0
    return spec.epochs * (0.1 + budget)


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
        StudyError: If runs failed (all others are stored first), or if `$STUDY_OFFLINE` is set
            and something is missing.
    """
    todo = missing(wanted)
    if todo and os.environ.get("STUDY_OFFLINE"):
        raise StudyError(
            f"{len(todo)} of {len(set(wanted))} results are neither stored nor published "
            f"(the first: {specs.describe(todo[0])}); python -m helpers study computes them"
        )
    device = device or os.environ.get("STUDY_DEVICE") or "auto"
    workers = workers or int(os.environ.get("STUDY_WORKERS") or 1)
    parallel = not alone and (workers > 1 or "DASK_SCHEDULER_ADDRESS" in os.environ)
    with progress.report(len(todo), "runs", stored=len(set(wanted))) as step:
        if todo and parallel and len(todo) > 1:
            from helpers import cluster

            cluster.run(todo, workers, device, step)
        else:
            for spec in todo:
                execute(spec, device)
                step(specs.describe(spec))
    return [_present(spec) for spec in wanted]


def _present(spec: specs.Spec) -> Result:
    found = load(spec)
    if found is None:
        raise StudyError(f"the result of {specs.describe(spec)} vanished from {Store().path}")
    return found


def machine_busy() -> bool:
    """Tell whether more work waits for this machine's cores than one study brings along."""
    try:
        return os.getloadavg()[0] > (os.cpu_count() or 1) + 1.0
    except OSError:
        return False


def execute(spec: specs.Spec, device: str = "auto", alone: bool = True) -> str:
    """Compute one spec whose needs are stored, store it, and return its key."""
    from helpers import steps

    def get(need: specs.Spec) -> Result:
        found = load(need, complete=True)
        if found is None:
            raise StudyError(f"{specs.describe(spec)} needs {specs.describe(need)} first")
        return found

    busy = machine_busy()
    metrics, arrays = steps.run(spec, get, device)
    metrics["alone"] = bool(metrics.get("alone", True) and alone and not busy)
    return Store().write(spec, metrics, arrays)
