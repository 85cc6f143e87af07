"""Work by blocks on several threads, in an order that does not depend on their number."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def thread_count() -> int:
    """Return the threads to use: $OMP_NUM_THREADS, else one a core."""
    wished = os.environ.get("OMP_NUM_THREADS", "")
    if wished.isdigit() and int(wished) >= 1:
        return int(wished)
    has_affinity = hasattr(os, "sched_getaffinity")
    return len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1


def in_order(work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Yield work(item) in the order of the items, at most a few ahead of the reader.

    NumPy lets other threads run inside products and exponentials, so plain threads share the
    cores; each product keeps to its own thread meanwhile. `threadpoolctl.threadpool_limits`
    around a call limits these threads as well.
    """
    threads = thread_count()
    if threads > 1:
        from threadpoolctl import ThreadpoolController

        pools = ThreadpoolController().select(user_api="blas")
        threads = min([threads, *(pool["num_threads"] for pool in pools.info())])
    if threads == 1:
        yield from map(work, items)
        return
    pending: deque = deque()
    with pools.limit(limits=1), ThreadPoolExecutor(threads) as pool:
        for item in items:
            pending.append(pool.submit(work, item))
            if len(pending) > 2 * threads:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def blocks(n: int, step: int, first: int = 0) -> list[slice]:
    """Return the rows first..n-1 as slices of `step` rows."""
    return [slice(start, min(start + step, n)) for start in range(first, n, step)]
