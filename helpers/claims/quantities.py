"""Quantities of cells, one number a seed, read from stored results; nothing is computed here.

`Missing` (also of a setting that a study lacks) and `Unfit` travel up to the ledger, which answers
"not measured yet" and "not decidable".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from helpers.config import Config
from helpers.experiments import Cell, chosen, run, seconds_of_choice
from helpers.results import Missing, get
from helpers.results.store import Result
from helpers.specs import Measure, Select, Train, rounds


class Unfit(ValueError):
    """Results are stored but cannot answer the question; the message says why."""


def results_of(config: Config, cell: Cell) -> list[Result]:
    """Return a cell's training results, one a seed."""
    return [get(run(config, cell, seed)) for seed in config.seeds]


def error(config: Config, cell: Cell) -> np.ndarray:
    """Return test errors in points, (seeds,)."""
    return np.array([100 * (1 - r.metrics["test_acc"]) for r in results_of(config, cell)])


def short_of_rows(config: Config, cell: Cell) -> str:
    """Say how many rows a core-set trained on where these are under nine tenths of its share.

    A choice with weights leaves out rows of weight 0: GRAD-MATCH may reproduce the gradient by few.
    """
    if cell.share == 1 or cell.protocol != "core-set":
        return ""
    found = [r.metrics for r in results_of(config, cell)]
    got, asked = (float(np.mean(of)) for of in zip(
        *((m["n_train"], cell.share * m["n"]) for m in found), strict=True))  # fmt: skip
    if got >= 0.9 * asked:
        return ""
    return f"{cell.method} {cell.share:.0%} trains on {got:,.0f} of the {asked:,.0f} rows asked for"


def accuracy(config: Config, cell: Cell) -> np.ndarray:
    """Return test accuracies in points, (seeds,)."""
    return 100 - error(config, cell)


def seconds(config: Config, cell: Cell) -> np.ndarray:
    """Return the seconds of training alone, (seeds,).

    Raises:
        Unfit: If a run shared its machine, or they ran on different devices.
    """
    found = results_of(config, cell)
    require_alone(found)
    return np.array([r.metrics["seconds"] for r in found])


def choosing(config: Config, cell: Cell) -> np.ndarray:
    """Return the seconds of choosing, all rounds and the runs they read included, (seeds,).

    Source: `svp` Table 1: the data-selection speed-up is this of the target as its own
        selector, divided by this of the proxy.
    """
    steps = [list(rounds(chosen(config, cell, seed))) for seed in config.seeds]
    return np.array([choosing_seconds(of) for of in steps])


def total(config: Config, cell: Cell) -> np.ndarray:
    """Return the seconds of choosing and training together, (seeds,)."""
    trained = seconds(config, cell)
    free = cell.method == "full" or cell.protocol == "online"
    return trained if free else trained + choosing(config, cell)


def backward(config: Config, cell: Cell) -> np.ndarray:
    """Return the examples back-propagated over all rows times epochs, (seeds,)."""
    found = results_of(config, cell)
    return np.array([history(r, "backward")[-1] / (r.metrics["n"] * r.spec.epochs) for r in found])


QUANTITIES: dict[str, Callable[[Config, Cell], np.ndarray]] = {
    f.__name__: f for f in (error, accuracy, seconds, choosing, total, backward)
}
UNITS = {"error": "points", "accuracy": "points", "backward": "share"}


def choosing_seconds(steps: Iterable[Select]) -> float:
    """Return the seconds of choices, and of the runs they read as those are stored now."""
    found = [(get(step), [get(one) for one in step.of]) for step in steps]
    require_alone([result for picked, read in found for result in (picked, *read)])
    return sum(seconds_of_choice(picked, read)[0] for picked, read in found)


def require_alone(found: list[Result]) -> None:
    """Raise `Unfit` unless the seconds of all these results compare."""
    if not all(result.metrics.get("alone", False) for result in found):
        raise Unfit("seconds were measured on a busy machine")
    require_one_device(found)


def require_one_device(found: list[Result]) -> None:
    """Raise `Unfit` unless all these trainings ran on one kind of device."""
    trained = [r.metrics for r in found if isinstance(r.spec, Train)]
    if len({(m.get("device"), m.get("threads")) for m in trained}) > 1:
        raise Unfit("seconds come from different devices")


def require_comparable(config: Config, cells: Iterable[Cell], quantity: str) -> None:
    """Raise `Unfit` if a quantity is of seconds, and cells took theirs on different devices."""
    if UNITS.get(quantity, "s") != "s":
        return
    found = []
    for cell in dict.fromkeys(cells):
        if quantity != "choosing":
            found += results_of(config, cell)
        if quantity != "seconds" and cell.method != "full" and cell.protocol != "online":
            steps = (step for seed in config.seeds for step in rounds(chosen(config, cell, seed)))
            found += [get(one) for step in steps for one in step.of]
    require_one_device(found)


def measurement(name: str, timed: bool = True) -> Result:
    """Return a stored measurement; `timed` ones must have been alone."""
    found = get(Measure(name))
    if timed:
        require_alone([found])
    return found


def history(result: Result, name: str) -> np.ndarray:
    """Return a run's curve over epochs, (epochs,)."""
    return np.asarray(result.metrics["history"][name], dtype=float)


def error_at(result: Result, share: float) -> float:
    """Return the test error in points after a share of a run's training seconds.

    The last epoch that had ended by then counts; before the first one ends, the first.
    """
    spent, known = history(result, "seconds"), history(result, "test_acc")
    ended = np.flatnonzero(spent <= share * spent[-1] * (1 + 1e-9))
    return float(100 * (1 - known[ended[-1] if len(ended) else 0]))


def need(settings: Iterable, *wanted: object, at_least: int = 1) -> None:
    """Raise `Missing` unless a sweep of the study holds these settings and enough of them."""
    settings = list(settings)
    lacking = [one for one in wanted if one not in settings]
    if lacking or len(settings) < at_least:
        raise Missing(f"the study lacks {lacking or at_least} among {settings}")
