"""Quantities of cells, one number a seed, read from stored results; nothing is computed here.

`Missing` (also of a setting that a study lacks) and `Unfit` travel up to the ledger, which answers
"not measured yet" and "not decidable".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import numpy as np

from helpers.config import Config
from helpers.data.dataset import flipped_rows
from helpers.experiments import FORWARD_SHARE, Cell, chosen, run, seconds_of_choice
from helpers.experiments.table import trained_for
from helpers.results import Missing, get, online, readings
from helpers.results.readings import seconds_of
from helpers.results.store import Result
from helpers.specs import Select, Train, rounds


class Unfit(ValueError):
    """Results are stored but cannot answer the question; the message says why."""


_known: dict[tuple[Config, str], list[Result]] | None = None


@contextmanager
def read_once() -> Iterator[None]:
    """Keep what `results_of` reads, for as long as nothing is stored meanwhile."""
    global _known
    _known = {}
    try:
        yield
    finally:
        _known = None


def results_of(config: Config, cell: Cell) -> list[Result]:
    """Return a cell's training results, one a seed."""
    known = {} if _known is None else _known
    key = config, repr(cell)  # 1 == 1.0, but not in a spec
    if key not in known:
        known[key] = [get(run(config, cell, seed)) for seed in config.seeds]
    return known[key]


def error(config: Config, cell: Cell) -> np.ndarray:
    """Return test errors in points, or RMSE of numbers, (seeds,)."""
    return np.array([readings.error_of(r) for r in results_of(config, cell)])


def accuracy(config: Config, cell: Cell) -> np.ndarray:
    """Return test accuracies in points, (seeds,)."""
    return 100 - error(config, cell)


def seconds(config: Config, cell: Cell) -> np.ndarray:
    """Return the seconds of training, by `lone_seconds`, (seeds,).

    Raises:
        Unfit: If there are none, or the runs were on different devices.
    """
    found = results_of(config, cell)
    require_one_device(found)
    return np.array([lone_seconds(result) for result in found])


def row_seconds(config: Config, cell: Cell) -> np.ndarray:
    """Return the seconds of training over the share of rows that is trained on, (seeds,)."""
    return seconds(config, cell) / cell.share


def choosing(config: Config, cell: Cell) -> np.ndarray:
    """Return the seconds of choosing, all rounds and the runs they read included, (seeds,).

    The runs are charged what is stored of them now.

    Source: `svp` Table 1: the data-selection speed-up is this of the target as its own
        selector, divided by this of the proxy.
    """
    return np.array([sum(map(_chosen_in, steps)) for steps in _steps(config, cell)])


def _chosen_in(step: Select) -> float:
    """Return the seconds of a choice and of the runs that it reads, by `lone_seconds`."""
    _, (pick, *read) = seconds_of_choice(step)
    require_one_device(read)
    parts = [seconds_of(one, trained_for(step)) / one.metrics["seconds"] for one in read]
    return lone_seconds(pick) + sum(p * lone_seconds(r) for p, r in zip(parts, read, strict=True))


def _steps(config: Config, cell: Cell) -> list[list[Select]]:
    return [list(rounds(chosen(config, cell, seed))) for seed in config.seeds]


def total(config: Config, cell: Cell) -> np.ndarray:
    """Return the seconds of choosing and training together, (seeds,)."""
    trained = seconds(config, cell)
    return trained + choosing(config, cell) if _is_chosen(cell) else trained


def _is_chosen(cell: Cell) -> bool:
    """Return whether a cell's rows were chosen before its training."""
    return cell.method != "full" and cell.protocol != "online"


def preparing(config: Config, cell: Cell) -> np.ndarray:
    """Return the seconds of a choice and of one embedding pass of the network, (seeds,)."""
    embedding = seconds(config, Cell(model=cell.model)) / config.epochs * FORWARD_SHARE
    picks = [get(chosen(config, cell, seed)) for seed in config.seeds]
    return embedding + [lone_seconds(pick) for pick in picks]


def backward(config: Config, cell: Cell) -> np.ndarray:
    """Return the examples back-propagated over all rows times epochs, (seeds,)."""
    found = results_of(config, cell)
    return np.array([history(r, "backward")[-1] / (r.metrics["n"] * r.spec.epochs) for r in found])


def reduction(config: Config, cell: Cell) -> np.ndarray:
    """Return all rows over the fewest that are back-propagated in an epoch, (seeds,)."""
    found = results_of(config, cell)
    fewest = [max(np.diff(history(r, "backward"), prepend=0).min(), 1) for r in found]
    return np.array([r.metrics["n"] / k for r, k in zip(found, fewest, strict=True)])


def without_bin(config: Config, cell: Cell) -> np.ndarray:
    """Return the share of ADONIS's forward batches in which no bin passes, (seeds,)."""
    length = int(online.DEFAULTS["history"])
    return np.array([online.share_without_bin(array(r, "sampler_events"), length)
                     for r in results_of(config, cell)])  # fmt: skip


def wrong_labels(config: Config, cell: Cell) -> np.ndarray:
    """Return the share of flipped labels among what is trained on after the warm-up, (seeds,)."""
    shares = []
    for result in results_of(config, cell):
        n = result.metrics["n"]
        visited = readings.bits(array(result, "visited")[config.warm_up :], n)
        wrong = visited[:, flipped_rows(n, cell.flipped)].sum()
        shares.append(wrong / max(visited.sum(), 1))
    return np.array(shares)


def imbalance(config: Config, cell: Cell) -> np.ndarray:
    """Return the largest over the smallest share of a class that is kept, (seeds,)."""
    sizes = np.bincount(array(results_of(config, Cell(model=cell.model))[0], "labels"))
    picks = [get(chosen(config, cell, seed)) for seed in config.seeds]
    shares = [np.array(pick.metrics["per_class"]) / sizes for pick in picks]
    return np.array([one.max() / one.min() if one.min() else np.inf for one in shares])


# Name -> how it is read, and its unit; those in seconds compare on one kind of device only.
QUANTITIES: dict[str, Callable[[Config, Cell], np.ndarray]] = {
    f.__name__: f
    for f in (error, accuracy, seconds, row_seconds, choosing, total, preparing, backward,
              reduction, without_bin, wrong_labels, imbalance)
}  # fmt: skip
UNITS = dict.fromkeys(("error", "accuracy"), "points")
UNITS |= dict.fromkeys(("seconds", "row_seconds", "choosing", "total", "preparing"), "s")
UNITS |= dict.fromkeys(("backward", "without_bin", "wrong_labels"), "share")
UNITS |= dict.fromkeys(("reduction", "imbalance"), "x")


def short_of_rows(config: Config, cell: Cell) -> str:
    """Say how many rows a core-set trained on where these are under nine tenths of its share.

    A choice with weights leaves out rows of weight 0: GRAD-MATCH may reproduce the gradient by few.
    """
    if cell.share == 1 or cell.protocol != "core-set":
        return ""
    found = [r.metrics for r in results_of(config, cell)]
    got = float(np.mean([m["n_train"] for m in found]))
    asked = float(np.mean([cell.share * m["n"] for m in found]))
    if got >= 0.9 * asked:
        return ""
    return f"{cell.method} {cell.share:.0%} trains on {got:,.0f} of the {asked:,.0f} rows asked for"


def lone_seconds(result: Result) -> float:
    """Return a run's seconds as if it had its machine alone.

    Where it had not, but half of a core at least, those of the processor, of one thread: five
    networks of `cifar10-cpu` took 2 to 6 % more of these than alone, and 16 to 100 % more by the
    clock. One that had a seventh of a core took 18 % more.

    Raises:
        Unfit: If a run of several threads or sessions, or of a GPU, shared its machine.
    """
    told = result.metrics
    own, wall = told.get("cpu_s", np.inf), told.get("wall_s", 0.0)
    shared = not 0.5 * wall <= own <= wall or told.get("threads", 1) > 1 or "resumed" in told
    if shared or told.get("device", "cpu") != "cpu":
        require_alone([result])
    return told["seconds"] * (1 if told.get("alone") else own / wall)


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
    if UNITS[quantity] != "s":
        return
    found = []
    for cell in dict.fromkeys(cells):
        if quantity not in ("choosing", "preparing"):
            found += results_of(config, cell)
        if quantity in ("choosing", "total") and _is_chosen(cell):
            found += [get(one) for of in _steps(config, cell) for step in of for one in step.of]
    require_one_device(found)


def history(result: Result, name: str) -> np.ndarray:
    """Return a run's curve over epochs, (epochs,)."""
    return np.asarray(result.metrics["history"][name], dtype=float)


def array(result: Result, name: str) -> np.ndarray:
    """Return a stored array, or raise `Missing`."""
    if name not in result.arrays:
        raise Missing(f"no {name} stored")
    return result.arrays[name]


def error_at(result: Result, share: float) -> float:
    """Return the test error in points after a share of a run's epochs, which take the same time.

    The last epoch that had ended by then counts; before the first one ends, the first.
    """
    known = history(result, "test_acc")
    return float(100 * (1 - known[max(int(share * len(known) + 1e-9), 1) - 1]))


def need(settings: Iterable, *wanted: object, at_least: int = 1) -> None:
    """Raise `Missing` unless a sweep of the study holds these settings and enough of them."""
    settings = list(settings)
    lacking = [one for one in wanted if one not in settings]
    if lacking or len(settings) < at_least:
        raise Missing(f"the study lacks {lacking or at_least} among {settings}")
