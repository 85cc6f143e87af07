"""Stored results as arrays for evidence: seeds on the last axis, accuracies in points.

Nothing is computed here. `Missing` (also of a setting that a scale lacks) and `Unfit` travel up to
`measured`, which turns them into "not measured yet" and "not decidable".
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from helpers.experiments import Config, depth_run, seconds_of_choice
from helpers.results import Missing, get as load
from helpers.results.store import Result
from helpers.specs import Select, Spec, Train

ABSENT = "data absent"  # why a claim about other data is not decidable

BySeed = Callable[[int], Spec]
Evidence = dict[str, object]


class Unfit(ValueError):
    """Results are stored but cannot answer the question; the message says why."""


def measured(evidence: Callable[[Config], Evidence]) -> Callable[[Config], Evidence | None]:
    """Make an evidence function answer None where results are missing."""

    @functools.wraps(evidence)
    def answer(scale: Config) -> Evidence | None:
        try:
            return evidence(scale)
        except Missing:
            return None
        except Unfit as reason:
            return {"not_decidable": str(reason)}

    return answer


def parts(**made: Callable[[], Evidence]) -> Evidence:
    """Gather the parts of an `all_of` claim; a part without results is left out.

    Raises:
        Missing: If no part has results.
    """
    found = {name: measured(lambda _, make=make: make())(None) for name, make in made.items()}
    found = {name: part for name, part in found.items() if part is not None}
    if not found:
        raise Missing("no part is measured")
    return found


def each_seed(scale: Config, run: BySeed) -> list[Result]:
    """Return a setting's results, one a seed."""
    return [load(run(seed)) for seed in scale.seeds]


def accuracy(scale: Config, run: BySeed) -> np.ndarray:
    """Return test accuracies in percentage points, shape (seeds,)."""
    return np.array([100 * r.metrics["test_acc"] for r in each_seed(scale, run)])


def error(scale: Config, run: BySeed) -> np.ndarray:
    """Return test errors in percentage points, shape (seeds,)."""
    return 100 - accuracy(scale, run)


def seconds(scale: Config, *settings: BySeed) -> np.ndarray:
    """Return the seconds of training runs or selections, shape (settings, seeds).

    Raises:
        Unfit: If one of them shared its machine, or they ran on different devices.
    """
    found = [each_seed(scale, run) for run in settings]
    require_alone([result for row in found for result in row])
    return np.array([[result.metrics["seconds"] for result in row] for row in found])


def gain(scale: Config, chance: BySeed, chosen: BySeed) -> np.ndarray:
    """Return error on random rows less error on chosen ones, (seeds,)."""
    return error(scale, chance) - error(scale, chosen)


def by_share(budgets: tuple[float, ...], difference) -> Evidence:
    """Return a difference of errors at every share kept, (shares, seeds), with labels."""
    return {
        "differences": [difference(budget) for budget in budgets],
        "labels": [f"{budget:g}" for budget in budgets],
    }


def choosing_seconds(steps: Sequence[Select]) -> float:
    """Return the seconds of choices, and of the runs they read as those are stored now.

    Raises:
        Missing: If one of them is not stored.
        Unfit: If one of them shared its machine, or they ran on different devices.
    """
    found = [(load(step), [load(run) for run in step.of]) for step in steps]
    require_alone([result for chosen, runs in found for result in (chosen, *runs)])
    return sum(seconds_of_choice(chosen, runs)[0] for chosen, runs in found)


def require_alone(found: list[Result]) -> None:
    """Raise `Unfit` unless the seconds of all these results compare."""
    if not all(result.metrics.get("alone", False) for result in found):
        raise Unfit("seconds were measured on a busy machine")
    trained = [r.metrics for r in found if isinstance(r.spec, Train)]
    devices = {(m.get("device"), m.get("threads")) for m in trained}
    if len(devices) > 1:
        raise Unfit("seconds come from different devices")


def full(scale: Config, model: str) -> BySeed:
    """Return seed -> training of a network on everything."""
    return lambda seed: depth_run(scale, model, seed)


def data_size(scale: Config) -> tuple[int, int]:
    """Return training rows and classes, as a run of the proxy on everything was stored with."""
    run = load(full(scale, scale.proxy)(scale.seeds[0]))
    return run.metrics["n_train"], len(np.unique(run.arrays["labels"]))


def history(result: Result, name: str) -> np.ndarray:
    """Return a run's curve over epochs, shape (epochs,)."""
    return np.asarray(result.metrics["history"][name], dtype=float)


def error_at(result: Result, share: float) -> float:
    """Return the test error in points after a share of a run's training seconds.

    The last epoch that had ended by then counts; before the first one ends, the first.
    """
    spent, known = history(result, "seconds"), history(result, "test_acc")
    ended = np.flatnonzero(spent <= share * spent[-1] * (1 + 1e-9))
    return float(100 * (1 - known[ended[-1] if len(ended) else 0]))


def number(value: float) -> np.ndarray:
    """Return an exact quantity, or a median taken elsewhere, as rules expect it: 0 dimensions."""
    return np.asarray(float(value))


def need(settings: Mapping | list | tuple, *wanted: object, at_least: int = 1) -> None:
    """Raise `Missing` unless a sweep of the scale holds these settings and enough of them."""
    lacking = [one for one in wanted if one not in settings]
    if lacking or len(settings) < at_least:
        raise Missing(f"the scale lacks {lacking or at_least} among {list(settings)}")
