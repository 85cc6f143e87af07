"""Ask for results: what is stored is read, what is missing is computed, in order."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence

from helpers import StudyError, packs, progress, specs, unfinished
from helpers.store import NotStored, Result, Store

# A run of so many seconds that had less of a core than this did not have the machine to itself.
SURE_S, OWN_SHARE = 3.0, 0.9


class NotRun(StudyError):
    """Results are asked for that were not computed yet, while nothing may be computed."""

    def _render_traceback_(self) -> list[str]:
        """Give IPython one line: nothing in the notebook is wrong."""
        return [str(self)]


def _fresh_since() -> float:
    since = os.environ.get("STUDY_FRESH") or "0"
    try:
        return float(since)
    except ValueError:
        raise StudyError(f"STUDY_FRESH must be seconds since 1970, got {since!r}") from None


def _workers() -> int:
    asked = os.environ.get("STUDY_WORKERS") or "1"
    if not asked.isdigit() or int(asked) < 1:
        raise StudyError(f"STUDY_WORKERS must be a whole number from 1 up, got {asked!r}")
    return int(asked)


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
    todo = missing(wanted)
    if todo and os.environ.get("STUDY_OFFLINE"):
        absent = {specs.key(spec) for spec in todo} & {specs.key(spec) for spec in wanted}
        profile = os.environ.get("STUDY_PROFILE")
        command = "python -m helpers study" + (f" --profile {profile}" if profile else "")
        raise NotRun(
            f"{len(absent)} of {len(set(wanted))} results are neither stored nor published "
            f"(the first: {specs.describe(todo[0])}); {command} computes them"
        )
    device = device or os.environ.get("STUDY_DEVICE") or "auto"
    workers = workers or _workers()
    parallel = not alone and (workers > 1 or "DASK_SCHEDULER_ADDRESS" in os.environ)
    with progress.report(len(todo), "runs", stored=len(set(wanted))) as step:
        if todo and parallel and len(todo) > 1:
            from helpers import cluster

            failed = cluster.run(todo, workers, device, step)
        else:
            failed = _one_by_one(todo, device, step)
    _refuse(todo, failed)
    return [_present(spec) for spec in wanted]


def _one_by_one(
    todo: list[specs.Spec], device: str, step: Callable[[str], None]
) -> dict[str, BaseException]:
    """Compute in order; a failure costs its own run and what needs it. Return key to error."""
    failed: dict[str, BaseException] = {}
    for spec in todo:
        needed = [failed[specs.key(n)] for n in specs.needs(spec) if specs.key(n) in failed]
        try:
            if needed:
                failed[specs.key(spec)] = needed[0]
            else:
                execute(spec, device)
        except NotStored:
            raise
        except Exception as error:
            failed[specs.key(spec)] = error
        step(specs.describe(spec))
    return failed


def _refuse(todo: list[specs.Spec], failed: dict[str, BaseException]) -> None:
    """Raise one line about all failures, if any; dependencies come first, so causes do."""
    for spec in todo:
        error = failed.get(specs.key(spec))
        if error is not None:
            text = (str(error).splitlines() or [""])[0]
            kind = "" if isinstance(error, StudyError) else f"{type(error).__name__}: "
            raise StudyError(
                f"{len(failed)} of {len(todo)} runs failed, "
                f"the first: {specs.describe(spec)}: {kind}{text}"
            ) from error


def _present(spec: specs.Spec) -> Result:
    found = load(spec)
    if found is None:
        raise StudyError(f"the result of {specs.describe(spec)} vanished from {Store().path}")
    return found


def machine_busy() -> bool:
    """Tell whether more work waits for this machine's cores than one study brings along."""
    try:
        return os.getloadavg()[0] > (os.cpu_count() or 1) + 0.5
    except OSError:
        return False


def starved(wall: float, own: float) -> bool:
    """Tell whether what computes on CPUs had to wait for one.

    The load average lags behind by a minute and does not see the other guests of a machine.

    Args:
        wall: Seconds that passed.
        own: Seconds of CPU that each thread which computes had meanwhile. A process of two threads
            on one core has all of `wall`, and each of them half.
    """
    return wall > SURE_S and own < OWN_SHARE * wall


def execute(spec: specs.Spec, device: str = "auto", alone: bool = True) -> str:
    """Compute one spec whose needs are stored, store it, and return its key."""
    from helpers import steps

    def get(need: specs.Spec) -> Result:
        found = load(need, complete=True)
        if found is None:
            raise StudyError(f"{specs.describe(spec)} needs {specs.describe(need)} first")
        return found

    key, store, crowded = specs.key(spec), Store(), machine_busy() or not alone
    if isinstance(spec, specs.Train):
        unfinished.begin(store.path, key, crowded, _fresh_since())
    began, worked, threaded = time.perf_counter(), time.process_time(), time.thread_time()
    metrics, arrays = steps.run(spec, get, device)
    wall, own = time.perf_counter() - began, time.thread_time() - threaded
    # Several threads decode images before the first epoch, while this one waits for them.
    own = max(own, (time.process_time() - worked) / metrics.get("threads", 1))
    # A measurement's work may be that of processes of its own, which are not counted here.
    here = metrics.get("device", "cpu") == "cpu" and not isinstance(spec, specs.Measure)
    waited = here and starved(wall, own)
    crowded = crowded or machine_busy() or waited
    metrics["alone"] = bool(metrics.get("alone", True) and not crowded)
    # Where another process stored it meanwhile, whoever reads it there must not see it go.
    if load(spec, complete=True) is None:
        store.write(spec, metrics, arrays)
    unfinished.forget(store.path, key)
    return key
