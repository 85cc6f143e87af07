"""The table of measurements, seconds of calls over sizes, and the made-up pools they run on."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial, wraps

import numpy as np

Measured = tuple[dict[str, object], dict[str, np.ndarray]]
MEASUREMENTS: dict[str, Callable[..., Measured]] = {}
WEIGHT = 0.3  # lambda of `budgeted`


def measurement(name: str, threads: int | None = None) -> Callable[[Callable], Callable]:
    """Enter a function under the name that specs use; `threads` limits BLAS while it runs.

    On a shared machine two threads wait for each other, and their seconds tell of the machine.
    """

    def enter(function: Callable[..., Measured]) -> Callable[..., Measured]:
        @wraps(function)
        def limited(*args: object, **options: object) -> Measured:
            from threadpoolctl import threadpool_limits

            with threadpool_limits(threads):
                return function(*args, **options)

        MEASUREMENTS[name] = limited
        return limited

    return enter


def seconds_of(call: Callable[[], object], clock: Callable[[], float] | None = None) -> float:
    """Return seconds of one call, by `time.perf_counter` unless another clock is given."""
    clock = clock or time.perf_counter
    start = clock()
    call()
    return clock() - start


def seconds_table(
    calls: Mapping[str, Callable[[int], object]],
    sizes: Sequence[int],
    repeats: int | Mapping[str, int],
    warm_up: int | None = None,
    clock: Callable[[], float] | None = None,
) -> dict[str, np.ndarray]:
    """Time call(size) of each contender; a call before the first round does not count.

    Rounds, `repeats` for all or by name, go over all sizes, so that a slow moment of the machine
    does not fall on one of them. The call that does not count is of size warm_up, else of the
    first of sizes; clock as in `seconds_of`. Returns seconds by name, shape (repeats, len(sizes)).
    """
    table = {}
    for name, call in calls.items():
        call(int(sizes[0]) if warm_up is None else warm_up)
        rounds = repeats if isinstance(repeats, int) else repeats[name]
        timed = [[seconds_of(partial(call, int(s)), clock) for s in sizes] for _ in range(rounds)]
        table[name] = np.array(timed)
    return table


def median_seconds(
    call: Callable[[], object], repeats: int = 3, clock: Callable[[], float] | None = None
) -> float:
    """Return the median seconds of `repeats` calls after one that does not count."""
    return float(np.median(seconds_table({"": lambda _: call()}, [0], repeats, clock=clock)[""]))


def exponent(sizes: Sequence[float], seconds: Sequence[float]) -> float:
    """Return the slope of log seconds on log size, 2 where time grows as the square; 0 of one."""
    if len(set(np.asarray(sizes).tolist())) < 2:
        return 0.0
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def share_of(n: int, share: float) -> int:
    """Return k = n * share, rounded, at least 1."""
    return max(1, round(share * n))


def made_up_pool(n: int, d: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return features like a network's and entropies of ten classes.

    Ten clusters, spread falling over the features as 1 / sqrt(1 + j): features (n, d) float32,
    utility (n,) in nats.
    """
    spread = 1 / np.sqrt(1 + np.arange(d))
    centres = 2 * rng.normal(size=(10, d)) * spread
    features = centres[rng.integers(10, size=n)] + rng.normal(size=(n, d)) * spread
    utility = np.log(10) * rng.beta(0.5, 2, size=n)
    return features.astype(np.float32), utility


def real_pool(
    dataset: str, network: str, n: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return features (n, d) float32 and utilities (n,) of n training rows of a data set.

    Features are what the frozen layers of a network that learnt ImageNet return; utilities, in
    nats, entropies of a linear layer that is fitted to the rows besides.
    """
    import torch
    from sklearn.linear_model import LogisticRegression

    from helpers import data, models
    from helpers.scores import entropy
    from helpers.training.inputs import frozen

    whole = data.load(dataset)
    model = models.build(network, whole.n_classes, whole.in_channels)
    features = frozen(whole, model, torch.device("cpu"))[0].numpy().astype(np.float32)
    start, pool = np.split(rng.permutation(whole.n), [-n])
    fitted = LogisticRegression(max_iter=1000).fit(features[start], whole.train_labels[start])
    return features[pool], entropy(fitted.predict_proba(features[pool]))
