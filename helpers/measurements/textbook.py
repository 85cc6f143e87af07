"""Seconds of the textbook sampler of a k-DPP: whole draws where they are short, else its steps."""

import time
from collections.abc import Sequence
from contextlib import suppress

import numpy as np

from helpers.measurements.clock import (
    exponent,
    made_up_pool,
    median_seconds,
    one_thread,
    rounds_of,
)
from helpers.selection import dpp, iqp
from helpers.selection.gaussian_sums import median_distance


@one_thread
def textbook_draws(
    seed: int,
    n: int = 400,
    d: int = 64,
    shares: Sequence[float] = (0.2, 0.3, 0.4, 0.5),
    repeats: int = 5,
) -> tuple[dict, dict]:
    """Time whole draws of the textbook sampler at several budgets, kernel included.

    Args:
        seed: Of the made-up pool and the draws.
        n: Pool size, small enough to draw whole; sums of steps would rise with k by themselves.
        d: Features.
        shares: k / n, rising; `budgeted` Table I runs from 0.2 to 0.5.
        repeats: Rounds over all budgets; a call before them does not count.

    Returns:
        Metrics: n, exponent (of the median seconds on k). Arrays: ks (b,), seconds (repeats, b).
    """
    rng = np.random.default_rng(seed)
    features, _ = made_up_pool(n, d, rng)
    ks = np.array([max(1, round(share * n)) for share in shares])
    seconds = rounds_of(lambda k: draw(features, k, rng), ks, repeats)
    slope = exponent(ks, np.median(seconds, axis=0))
    return {"n": n, "exponent": slope}, {"ks": ks, "seconds": seconds}


def draw(features: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
    """Return a whole draw of the textbook sampler, kernel included."""
    kernel = iqp.gaussian_similarity(features.astype(np.float64), median_distance(features))
    return dpp.sample_k_dpp_textbook(kernel, k, rng)


class _Enough(Exception):
    """Raised to end a sampler whose first steps have been timed."""


class _StepClock(np.random.Generator):
    """A generator that notes when rows are drawn, and ends the sampler after the first."""

    def __init__(self, seed: int) -> None:
        super().__init__(np.random.PCG64(seed))
        self.drawn_at: list[float] = []

    def choice(self, *args: object, **options: object) -> object:
        """Note the time and draw."""
        self.drawn_at.append(time.perf_counter())
        if len(self.drawn_at) > 1:
            raise _Enough
        return super().choice(*args, **options)


def summed_steps(
    features: np.ndarray, ks: Sequence[int], repeats: int, n_timed: int, seed: int
) -> np.ndarray:
    """Return seconds of the textbook sampler, (repeats, len(ks)), summed over its steps."""
    double = features.astype(np.float64)
    h = median_distance(features)
    sizes = np.unique(np.linspace(2, max(ks), n_timed).round().astype(int))
    kernel = iqp.gaussian_similarity(double, h)
    to_kernel = median_seconds(lambda: iqp.gaussian_similarity(double, h), repeats)
    rows = []
    for _ in range(repeats):
        before, steps = np.transpose([_first_step(kernel, int(m), seed) for m in sizes])
        # A step grows with the square of its vectors: straight lines through roots fit it.
        roots = [np.interp(np.arange(1, k + 1), sizes, np.sqrt(steps)) for k in ks]
        rows.append(
            [np.interp(k, sizes, before) + (r**2).sum() for k, r in zip(ks, roots, strict=True)]
        )
    return np.array(rows) + to_kernel


def _first_step(kernel: np.ndarray, k: int, seed: int) -> tuple[float, float]:
    """Return seconds of a textbook draw of k rows before its first step, and of that step."""
    clock, start = _StepClock(seed), time.perf_counter()
    with suppress(_Enough):
        dpp.sample_k_dpp_textbook(kernel, k, clock)
    return clock.drawn_at[0] - start, clock.drawn_at[1] - clock.drawn_at[0]
