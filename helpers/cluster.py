"""Several runs at once: Dask decides who computes, the store keeps what is done."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from helpers import StudyError, specs


def _task(spec: specs.Spec, device: str, *needed: str) -> str:
    """Compute one spec in a worker; `needed` only makes Dask wait for its dependencies."""
    os.environ.setdefault("STUDY_THREADS", "1")
    from helpers import results

    return results.execute(spec, device, alone=False)


def run(todo: list[specs.Spec], workers: int, device: str, step: Callable[[str], None]) -> None:
    """Compute specs (dependencies first in the list) in several processes.

    A crashed process costs its own run; the rest finishes, then all failures are raised
    together.

    Args:
        todo: Specs that are missing, dependencies first.
        workers: Processes of a local cluster; `DASK_SCHEDULER_ADDRESS` names a lab's instead.
        device: Where each of them trains.
        step: Called with a run's description when it ends.

    Raises:
        StudyError: If Dask is not installed, or naming the runs that failed.
    """
    try:
        from dask.distributed import Client, as_completed
    except ImportError as error:
        raise StudyError("--workers above 1 needs the extra: pip install -e .[cluster]") from error
    names = {f"run-{specs.key(spec)}": specs.describe(spec) for spec in todo}
    failed = []
    with _scheduler(workers) as address, Client(address, set_as_default=False) as client:
        client.wait_for_workers(1, timeout=120)
        futures: dict[str, object] = {}
        for spec in todo:
            waits = [futures[specs.key(n)] for n in specs.needs(spec) if specs.key(n) in futures]
            futures[specs.key(spec)] = client.submit(
                _task, spec, device, *waits, key=f"run-{specs.key(spec)}", pure=False, retries=1
            )
        for future in as_completed(futures.values(), loop=client.loop):
            if future.status == "error":
                failed.append(f"{names[future.key]}: {future.exception()}")
            step(names[future.key])
    if failed:
        raise StudyError(f"{len(failed)} of {len(todo)} runs failed, the first: {failed[0]}")


@contextmanager
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
        dashboard_address=None,
    ) as cluster:
        yield cluster.scheduler_address
