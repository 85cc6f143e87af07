"""What runs will cost before they run: from the most like stored ones, or from their arithmetic."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from helpers import StudyError, recipes, specs
from helpers.data import downloads
from helpers.data.names import COPIES, parse
from helpers.store import Result, Store

# Seconds and bytes of what nothing of its kind is stored for.
GUESS_S = {"Train": 5.0, "Select": 0.1, "Measure": 3.0}
GUESS_BYTES = 100_000
# A passes-and-updates step is three forward passes; a CPU core does about so many multiply-adds
# in a second of training small ResNets.
STEP, SPEED = 3, 2e10
# Testing and scoring after each epoch, as a share of an epoch on all rows.
OVERHEAD = 0.1
# Seconds of the smallest training.
LEAST_S = 0.5
# Pixels a side of the images that multiply-adds are counted of, and of those with fewer.
SIDE, SMALLER = 32, {"digits": 8, "mnist": 28, "mnist-png": 28, "fashionmnist": 28}
ORIGINALS = {copy: base for base, copy in COPIES.items()}
# Rows of a data set whose name does not tell them.
ROWS = 10_000
LIKE, SCALED, GUESSED = "like", "scaled", "guessed"
HOW = {
    LIKE: "as stored runs of the same kind",
    SCALED: "scaled by multiply-adds from the nearest stored network on the same data",
    GUESSED: f"guessed, trainings at {SPEED / 1e9:.0f} billion multiply-adds a second (a CPU core)",
}


@dataclass(frozen=True)
class Cost:
    """What a list of specs will take.

    Attributes:
        n: Specs.
        seconds: Of one run at a time.
        size: Bytes on disk.
        how: Keys of `HOW` -> how many specs' seconds were found so.
    """

    n: int
    seconds: float
    size: int
    how: Counter[str]


class Past:
    """What is stored, as rates; read once, since every result's sums are checked on the way."""

    def __init__(self, found: Iterable[Result], store: Store) -> None:
        self.trained: dict[tuple[str, str], list[float]] = {}
        self.others: dict[tuple[str, str], list[float]] = {}
        self.sizes: dict[str, list[int]] = {}
        self.rows: dict[str, int] = {}
        for result in found:
            self.sizes.setdefault(_kind(result.spec), []).append(store.size(result.key))
            self._learn(result)

    def _learn(self, result: Result) -> None:
        spec, seconds = result.spec, result.metrics.get("wall_s", 0.0)
        if not isinstance(spec, specs.Train):
            self.others.setdefault(_name(spec), []).append(seconds)
            return
        if spec.subset is None and spec.sampler is None and "n_train" in result.metrics:
            self.rows[spec.dataset] = result.metrics["n_train"]
        rate = seconds / self.passes(spec)
        self.trained.setdefault((spec.dataset, spec.model), []).append(rate)

    def passes(self, spec: specs.Train) -> float:
        """Return a run's passes over all rows of its data set, tests and scores included."""
        share = 1.0
        if spec.subset is not None:
            n = self.n_rows(spec.dataset)
            parts = [step.budget for step in specs.rounds(spec.subset)]
            parts = [part / n if isinstance(part, int) else part for part in parts]
            share = 1 - math.prod(1 - min(part, 1.0) for part in parts)
        if spec.sampler is not None and spec.sampler.name == "repeated-random":
            share *= dict(spec.sampler.options).get("keep", 1.0)
        return spec.epochs * (OVERHEAD + share)

    def n_rows(self, dataset: str) -> int:
        """Return the training rows of a data set, as its name or a stored run tells them."""
        base, part = parse(dataset)
        known, _ = downloads.ROWS.get(ORIGINALS.get(base, base), (ROWS, 0))
        return part[0] if part else self.rows.get(dataset, known)

    def seconds(self, spec: specs.Spec) -> tuple[float, str]:
        """Return what a spec will take, and a key of `HOW`."""
        if not isinstance(spec, specs.Train):
            known = self.others.get(_name(spec))
            return (float(np.mean(known)), LIKE) if known else (GUESS_S[_kind(spec)], GUESSED)
        known = self.trained.get((spec.dataset, spec.model))
        if known:
            return self.passes(spec) * float(np.mean(known)), LIKE
        return self._by_arithmetic(spec)

    def _by_arithmetic(self, spec: specs.Train) -> tuple[float, str]:
        """Scale the seconds of the nearest network on the same data, or count multiply-adds.

        Other data tell nothing: a run on a hundred rows is mostly what every run costs.
        """
        work = arithmetic(spec.model)
        if work is None:
            return GUESS_S["Train"], GUESSED
        rows = self.n_rows(spec.dataset)
        nets = {key: arithmetic(key[1]) for key in self.trained if key[0] == spec.dataset}
        nets = {key: other for key, other in nets.items() if other}
        if not nets:
            work *= side(spec) ** 2 / SIDE**2
            return LEAST_S + self.passes(spec) * rows * STEP * work / SPEED, GUESSED
        near = min(nets, key=lambda key: abs(math.log(nets[key] / work)))
        return self.passes(spec) * work / nets[near] * float(np.mean(self.trained[near])), SCALED


def side(spec: specs.Train) -> int:
    """Return the pixels a side of what a run's network sees."""
    base, _ = parse(spec.dataset)
    return recipes.get(spec.recipe).crop or SMALLER.get(base, SIDE)


def past() -> Past:
    """Read what is stored."""
    store = Store()
    return Past(store.list(), store)


def forecast(todo: Iterable[specs.Spec], known: Past) -> Cost:
    """Foresee seconds and bytes of specs from `results.missing`.

    Args:
        todo: Specs.
        known: What is stored.

    Returns:
        Their sums. A training run is scaled from stored runs of the same network and data by the
        rows it passes; a network that was never stored from the nearest one on the data, by
        multiply-adds; on data without any, its own multiply-adds at `SPEED`.

    Note: multiply-adds are those of images of 32 x 32, scaled by the area that the network sees,
        or of a text as long as it reads.
    """
    todo = list(todo)
    found = [known.seconds(spec) for spec in todo]
    sizes = [known.sizes.get(_kind(spec), [GUESS_BYTES]) for spec in todo]
    return Cost(
        len(todo),
        float(sum(seconds for seconds, _ in found)),
        sum(sum(of) // len(of) for of in sizes),
        Counter(how for _, how in found),
    )


def arithmetic(model: str) -> int | None:
    """Return a network's multiply-adds an example; None where they cannot be counted."""
    from helpers.models.work import multiply_adds

    try:
        return multiply_adds(model)
    except StudyError:  # its weights are not here, or it was removed since
        return None


def _kind(spec: specs.Spec) -> str:
    return type(spec).__name__


def _name(spec: specs.Select | specs.Measure) -> tuple[str, str]:
    return _kind(spec), spec.method if isinstance(spec, specs.Select) else spec.name
