"""Reading finished online runs: what was let through, what was left out, what it could gain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from helpers.results.readings import bits
from helpers.specs import Train

# The defaults of `helpers.samplers.Adonis`, which is not imported here because it needs torch.
DEFAULTS: dict[str, object] = {"theta": 0.12, "sigma": 1.0, "alpha": 0.3, "history": 512}
DEFAULTS |= {"eta": 1, "warm_up": 1, "bins": "sturges"}


def settings_of(spec: Train) -> dict[str, object]:
    """Return ADONIS's parameters in the spec of its run, those left out at their defaults."""
    return DEFAULTS | {name: value for name, value in spec.sampler.options if name in DEFAULTS}


def boost_bound(eta: float, acceptance: float) -> float:
    """Bound the speed-up of choosing online by counting passes.

    Args:
        eta: Epochs for which a loss is reused.
        acceptance: Share of the candidates trained on, above 0.

    Returns:
        3 / (1/eta + 3 * acceptance), times: training on everything costs three forward passes
        an example, choosing costs 1/eta, training on the accepted three each.

    Source: our count, backward taken as two forward passes.
    """
    return 3 / (1 / eta + 3 * acceptance)


def counted_boost(full: Mapping[str, Sequence], ours: Mapping[str, Sequence]) -> float:
    """Return the speed-up that counts promise: forward + 2 backward passes, full over ours.

    Both are histories of runs, with cumulative `forward` and `backward`.
    """
    cost = [h["forward"][-1] + 2 * h["backward"][-1] for h in (full, ours)]
    return cost[0] / cost[1]


def seconds_to(history: Mapping[str, Sequence], threshold: float) -> float:
    """Return the training seconds at the first epoch whose `test_acc` reaches a fraction.

    Cumulative `seconds` of a run's history; infinite if no epoch gets there.
    """
    reached = np.flatnonzero(np.asarray(history["test_acc"], dtype=float) >= threshold)
    return float(history["seconds"][reached[0]]) if len(reached) else np.inf


def acceptance(events: np.ndarray, n_epochs: int) -> tuple[np.ndarray, np.ndarray]:
    """Sum up by epoch what ADONIS let through.

    Args:
        events: `sampler_events` of a run (e, 4): epoch from 0, examples in the forward batch,
            candidates among them, whether any bin passed.
        n_epochs: Epochs of the run.

    Returns:
        Share of examples that were candidates (n_epochs,), and share of forward batches where
        no bin passed (n_epochs,); NaN in epochs without choosing.
    """
    events = np.asarray(events)
    sums = [np.bincount(events[:, 0], column, n_epochs) for column in events.T[1:]]
    batches = np.bincount(events[:, 0], minlength=n_epochs).astype(float)
    batches[batches == 0] = np.nan
    return sums[1] / np.where(sums[0] > 0, sums[0], np.nan), 1 - sums[2] / batches


def share_without_bin(events: np.ndarray, length: int) -> float:
    """Return the share of forward batches in which no bin passes, once the history is full.

    `events` are those of `acceptance`, `length` the losses that the history holds; NaN if it
    never filled.
    """
    events = np.asarray(events)
    is_full = np.cumsum(events[:, 1]) >= length
    return float(1 - events[is_full, 3].mean()) if is_full.any() else np.nan


def never_chosen(visited: np.ndarray, n: int, warm_up: int = 1) -> np.ndarray:
    """Tell which of n rows no epoch after the warm-up trained on.

    `visited` are a run's packed bits (epochs, ceil(n/8)); a mask (n,) bool comes back.
    """
    return ~bits(visited[warm_up:], n).any(axis=0)


def share_by_tenth(mask: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Return the share of rows in a mask (n,) bool, by tenth of a score (n,), n >= 10.

    Shares (10,), 0..1, from the lowest tenth to the highest; ties keep row order.
    """
    order = np.argsort(score, kind="stable")
    return np.array([part.mean() for part in np.array_split(mask[order].astype(float), 10)])
