"""Seconds of a call, growth of seconds with size, and the made-up pools they are taken on."""

import functools
import time
from collections.abc import Callable, Sequence

import numpy as np


def seconds_of(call: Callable[[], object]) -> float:
    """Return wall-clock seconds of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def median_seconds(call: Callable[[], object], repeats: int = 3) -> float:
    """Return the median seconds of `repeats` calls after one that does not count."""
    call()
    return float(np.median([seconds_of(call) for _ in range(repeats)]))


def rounds_of(call: Callable[[int], object], ks: Sequence[int], repeats: int) -> np.ndarray:
    """Return seconds of call(k), (repeats, len(ks)), after a call that does not count.

    Rounds go over all budgets, so that a slow moment of the machine does not fall on one k.
    """
    call(1)
    return np.array([[seconds_of(lambda k=k: call(int(k))) for k in ks] for _ in range(repeats)])


def one_thread(measure: Callable[..., tuple[dict, dict]]) -> Callable[..., tuple[dict, dict]]:
    """Make a measurement keep BLAS to one thread."""

    @functools.wraps(measure)
    def limited(*args: object, **options: object) -> tuple[dict, dict]:
        from threadpoolctl import threadpool_limits

        with threadpool_limits(1):
            return measure(*args, **options)

    return limited


def exponent(sizes: Sequence[float], seconds: Sequence[float]) -> float:
    """Return the slope of log seconds on log size: 2 where time grows with the square."""
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def made_up_pool(n: int, d: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return features like a network's and entropies of ten classes.

    Args:
        n: Rows.
        d: Features; ten clusters, spread falling over the features as 1 / sqrt(1 + j).
        rng: Source of randomness.

    Returns:
        features (n, d) float32, utility (n,) in nats.
    """
    spread = 1 / np.sqrt(1 + np.arange(d))
    centres = 2 * rng.normal(size=(10, d)) * spread
    features = centres[rng.integers(10, size=n)] + rng.normal(size=(n, d)) * spread
    utility = np.log(10) * rng.beta(0.5, 2, size=n)
    return features.astype(np.float32), utility
