"""Several runs at once: Dask decides who computes, the store keeps what is done."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator

from helpers import StudyError, specs


def _task(spec: specs.Spec, device: str, *needed: str) -> str:
    """Compute one spec in a worker; `needed` only makes Dask wait for its dependencies."""
    os.environ.setdefault("STUDY_THREADS", "1")
    from helpers import results

    return results.execute(spec, device, alone=False)


def run(
    todo: list[specs.Spec], workers: int, device: str, step: Callable[[str], None]
) -> dict[str, BaseException]:
    """Compute specs (dependencies first in the list) in several processes.

    A crashed process costs its own run and what needs it; the rest finishes.

    Args:
        todo: Specs that are missing, dependencies first.
        workers: Processes of a local cluster; `DASK_SCHEDULER_ADDRESS` names a lab's instead.
        device: Where each of them trains.
        step: Called with a run's description when it ends.

    Returns:
        Key to error of the runs that failed.

    Raises:
        StudyError: If Dask is not installed, or no scheduler or worker answers.
    """
    try:
        from dask.distributed import Client, Future, as_completed
    except ImportError as error:
        raise StudyError("--workers above 1 needs the extra: pip install -e .[cluster]") from error
    names = {specs.key(spec): specs.describe(spec) for spec in todo}
    failed: dict[str, BaseException] = {}
    with contextlib.ExitStack() as stack:
        address = stack.enter_context(_scheduler(workers))
        try:
            client = stack.enter_context(Client(address, set_as_default=False))
            client.wait_for_workers(1, timeout=120)
        except OSError as error:
            raise StudyError(f"no Dask scheduler with workers answers at {address}") from error
        futures: dict[str, Future] = {}
        for spec in todo:
            waits = [futures[specs.key(n)] for n in specs.needs(spec) if specs.key(n) in futures]
            futures[specs.key(spec)] = client.submit(
                _task, spec, device, *waits, key=f"run-{specs.key(spec)}", pure=False, retries=1
            )
        for future in as_completed(futures.values(), loop=client.loop):
            key = future.key.removeprefix("run-")
            if future.status == "error":
                failed[key] = future.exception()
            elif future.status != "finished":
                failed[key] = StudyError(f"Dask gave the run up ({future.status})")
            step(names[key])
    return failed


@contextlib.contextmanager
def _scheduler(workers: int) -> Iterator[str]:
    """Give a scheduler's address: the lab's, or that of a local cluster for the time being."""
    asked = os.environ.get("DASK_SCHEDULER_ADDRESS")
    if asked:
        yield asked
        return
    import dask
    from dask.distributed import LocalCluster

    # Workers may start processes of their own (data loaders, solvers).
    dask.config.set({"distributed.worker.daemon": False})
    with LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        memory_limit=0,
        dashboard_address="127.0.0.1:0",
    ) as cluster:
        yield cluster.scheduler_address
