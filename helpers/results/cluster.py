"""Several runs at once: Dask decides who computes, the store keeps what is done."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence

from helpers import StudyError, specs
from helpers.results import archive, steps


def _task(spec: specs.Spec, device: str, gpus: tuple[str, ...], fresh: str, *needed: str) -> str:
    """Compute one spec in a worker; `needed` only makes Dask wait for its dependencies."""
    from dask.distributed import get_worker

    os.environ.setdefault("STUDY_THREADS", "1")
    os.environ["STUDY_FRESH"] = fresh  # a lab's workers were started without it
    own = gpu_of(get_worker().name, gpus)
    if own is not None:  # before torch looks for GPUs in this process
        os.environ["CUDA_VISIBLE_DEVICES"] = own
    return steps.execute(spec, device, alone=False)


def gpu_of(slot: object, gpus: Sequence[str]) -> str | None:
    """Return the GPU of a local cluster's slot (0, 1, ...): all in turn, `None` to leave it be."""
    if len(gpus) < 2 or not str(slot).isdecimal():
        return None
    return gpus[int(str(slot)) % len(gpus)]


def _gpus(todo: Iterable[specs.Spec], device: str) -> tuple[str, ...]:
    """Name the GPUs that a local cluster's slots share out; a lab's scheduler does it itself."""
    trains = any(isinstance(spec, specs.Train) for spec in todo)
    if not trains or device not in ("auto", "cuda") or "DASK_SCHEDULER_ADDRESS" in os.environ:
        return ()
    from helpers import device as devices

    return tuple(devices.visible_gpus())


def run(
    todo: dict[str, specs.Spec], workers: int, device: str, step: Callable[[str], None]
) -> dict[str, BaseException]:
    """Compute specs in several processes.

    A crashed process costs its own run and what needs it; the rest finishes. Of several GPUs each
    slot sees one; a single GPU is shared. Their seconds are marked as not alone.

    Args:
        todo: Specs that are missing, by key, dependencies first.
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
    failed: dict[str, BaseException] = {}
    gpus = _gpus(todo.values(), device)
    with contextlib.ExitStack() as stack:
        address = stack.enter_context(_scheduler(workers))
        try:
            client = stack.enter_context(Client(address, set_as_default=False))
            client.wait_for_workers(1, timeout=120)
        except OSError as error:
            raise StudyError(f"no Dask scheduler with workers answers at {address}") from error
        futures: dict[str, Future] = {}
        fresh = archive.fresh_token()
        for key, spec in todo.items():
            needs = map(specs.key, specs.needs(spec))
            waits = [futures[need] for need in needs if need in futures]
            name = f"run-{key}"
            futures[key] = client.submit(
                _task, spec, device, gpus, fresh, *waits, key=name, pure=False, retries=1
            )
        for future in as_completed(futures.values(), loop=client.loop):
            key = future.key.removeprefix("run-")
            if future.status == "error":
                failed[key] = future.exception()
            elif future.status != "finished":
                failed[key] = StudyError(f"Dask gave the run up ({future.status})")
            step(specs.describe(todo[key]))
    return failed


@contextlib.contextmanager
def _scheduler(workers: int) -> Iterator[str]:
    """Give a scheduler's address: the lab's, or that of a local cluster for the time being."""
    if asked := os.environ.get("DASK_SCHEDULER_ADDRESS"):
        yield asked
        return
    import dask
    from dask.distributed import LocalCluster

    # Workers may start processes of their own (data loaders, solvers).
    dask.config.set({"distributed.worker.daemon": False})
    shape = {"n_workers": workers, "threads_per_worker": 1, "memory_limit": 0}
    with LocalCluster(**shape, dashboard_address="127.0.0.1:0") as cluster:
        yield cluster.scheduler_address
