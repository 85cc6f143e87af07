"""What must be true of the runs before a rule is asked: each check says what is wrong, or "".

A verdict from networks that have not learned, or a bound that the measured costs rule out, tells
nothing of a claim. A claim names its checks; those on chance and on seeds are made of all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from helpers import recipes
from helpers.claims.quantities import error, history, lone_seconds, results_of, short_of_rows
from helpers.config import Config
from helpers.experiments import Cell, named, weight
from helpers.results import online, readings
from helpers.results.store import Result
from helpers.selection.registry import METHODS

# Regime -> largest error in points of the full set at which it is reached: of the documents' own
# networks on MNIST and CIFAR-10 these are about 1 and 5 to 14; None where only the curve tells.
REGIMES: dict[str, float | None] = {
    "digits": 2.0,
    "mnist": 0.8,
    "cifar10-cpu": 10.0,
    "cifar100-cpu": None,
    "texts": None,
    "cifar10": 10.0,
    "cifar100": None,
    "svhn": None,
    "imagenet": None,
    "amazon": None,
    "pretrained": None,
}
PROXY_GOAL = 2.0  # times the regime's error that a smaller network may err by


@dataclass(frozen=True)
class Asked:
    """What a check looks at: the parameters, the regime, and the cells that are compared."""

    config: Config
    regime: str
    cells: Sequence[Cell]
    above: float = 0.0  # the rule's lower bound, for `attainable`

    @property
    def kept(self) -> list[Cell]:
        """The cells on a part of the rows, one a share, network, protocol and data set."""
        kept = [c for c in self.cells if c.share < 1 and c.protocol != "online"]
        return list({(c.share, c.model, c.protocol, c.data): c for c in kept}.values())

    @property
    def labels(self) -> np.ndarray:
        """The training rows' labels, (n,), which every run on everything keeps."""
        return self.full("proxy")[0].arrays["labels"]

    def full(self, model: str, data: str = "") -> list[Result]:
        """Return a network's runs on everything, one a seed."""
        return results_of(self.config, Cell(model=model, data=data))

    def seconds(self, model: str, data: str = "") -> float:
        """Return the median seconds of a network's training on everything."""
        return float(np.median([r.metrics["seconds"] for r in self.full(model, data)]))


def chance(asked: Asked, limit: float = 10.0) -> str:
    """Every compared cell is further than `limit` points of error from guessing."""
    for cell in asked.cells:
        labels = asked.full("proxy", cell.data)[0].arrays["labels"]
        guess = 100 * (1 - 1 / len(np.unique(labels)))
        found = error(asked.config, cell)
        if found.mean() > guess - limit:
            name = "the full set" if cell.method == "full" else f"{cell.method} {cell.share:.0%}"
            return f"{name} errs by {found.mean():.1f} %, guessing by {guess:.0f} %"
    return ""


def converged(asked: Asked, limit: float = 0.3) -> str:
    """The full set's error is the regime's, or the last fifth of training gained below `limit`.

    A network that only chooses is not asked: beside a choice the target alone. One whose own error
    is compared is, and a smaller one may err by twice as much.
    """
    of_target, target = REGIMES.get(asked.regime), asked.config.target
    models = [(cell.data, named(asked.config, cell.model)) for cell in asked.cells]
    if of_target is not None and any(cell.method != "full" for cell in asked.cells):
        models = [("", target)] if ("", target) in models else models
    for data, model in dict.fromkeys(models):
        goal = of_target and of_target * (1 if model == target else PROXY_GOAL)
        curves = [100 * history(r, "test_acc") for r in asked.full(model, data)]
        last = float(error(asked.config, Cell(model=model, data=data)).mean())
        if goal is not None and last <= goal:
            continue
        gained = np.mean([_last_fifth(curve) for curve in curves])
        if goal is not None or not gained < limit:  # NaN too
            told = f", {goal:g} % is the regime's" if goal is not None else ""
            return (
                f"{model} on everything errs by {last:.1f} %{told}; "
                f"the last fifth of training gained {gained:.1f} points"
            )
    return ""


def _last_fifth(curve: np.ndarray) -> float:
    """Return what a curve (epochs,) gained in its last fifth; epochs without a test are NaN."""
    before = curve[: int(0.8 * len(curve))]
    known = before[np.isfinite(before)]
    return float(curve[-1] - known[-1]) if len(known) else float("nan")


def at_random(cell: Cell) -> Cell:
    """Return the cell of random rows at a cell's share, with its network and protocol."""
    return replace(cell, method="random", options=(), after=0, together=1, by="proxy", by_recipe="")


def _loss_at_random(asked: Asked, cell: Cell) -> float:
    whole = error(asked.config, Cell(model=cell.model, data=cell.data)).mean()
    return float(error(asked.config, at_random(cell)).mean() - whole)


def random_close(asked: Asked, limit: float = 3.0) -> str:
    """Random rows at the same share lose at most `limit` points: a selection can pass at all."""
    for cell in asked.kept:
        lost = _loss_at_random(asked, cell)
        if lost > limit:
            return f"random {cell.share:.0%} already lose {lost:.1f} points, {limit:g} are asked"
    return ""


def headroom(asked: Asked, limit: float = 0.5) -> str:
    """Random rows lose at least `limit` points, mean over the shares: there is room to win."""
    cells = asked.kept
    if cells and (lost := np.mean([_loss_at_random(asked, cell) for cell in cells])) < limit:
        shares = ", ".join(dict.fromkeys(f"{cell.share:.0%}" for cell in cells))
        return f"random {shares} lose {lost:.2f} points only: no room to win"
    return ""


def better_target(asked: Asked, limit: float = 0.0) -> str:
    """The target errs less than its proxy on everything."""
    target, proxy = (error(asked.config, Cell(model=m)).mean() for m in ("target", "proxy"))
    if proxy - target <= limit:
        return f"target no better than its proxy: {target:.1f} against {proxy:.1f} %"
    return ""


def learned(asked: Asked) -> str:
    """Rows that the choosing network never learned are fewer than the rows that are kept.

    They all rank first, so that otherwise a choice by forgetting events is a draw among them.
    """
    for cell in (cell for cell in asked.cells if cell.method == "forgetting"):
        events = [readings.forgetting(r, cell.after or None)
                  for r in asked.full(cell.by, cell.data)]  # fmt: skip
        never = np.mean([np.isinf(one).mean() for one in events])
        if never >= cell.share:
            by = named(asked.config, cell.by)
            return f"{by} never learned {never:.0%} of the rows, {cell.share:.0%} are kept"
    return ""


def attainable(asked: Asked) -> str:
    """The bound on a total time is within reach: free choosing by the proxy, the share's epochs."""
    epochs = asked.config.epochs
    for cell in asked.cells:
        if cell.method == "full" or not METHODS[cell.method].needs:
            continue
        proxy = asked.seconds(cell.by, cell.data) / asked.seconds(cell.model, cell.data)
        proxy *= (cell.after or epochs) / epochs
        best = 1 / (proxy + cell.share)
        if best < asked.above:
            return (
                f"at a proxy's cost of {proxy:.2f} of the target's at most {best:.2f}x can be "
                f"reached, {asked.above:g}x are asked"
            )
    return ""


def stopped(asked: Asked, limit: float = 5.0) -> str:
    """A proxy stopped early errs at most `limit` points more than at its end."""
    for cell in (cell for cell in asked.cells if cell.after):
        curves = [history(r, "test_acc") for r in asked.full(cell.by, cell.data)]
        behind = float(np.mean([100 * (c[-1] - c[cell.after - 1]) for c in curves]))
        if not behind <= limit:
            return (
                f"{named(asked.config, cell.by)} errs by {behind:.1f} points more after "
                f"{cell.after} epochs than at its end, {limit:g} are allowed"
            )
    return ""


def cost_ratio(asked: Asked, limit: float = 8.0) -> str:
    """The target takes at least `limit` times the proxy's work, and its seconds as measured."""
    work = 1 / weight(asked.config, asked.config.proxy)
    taken = asked.seconds("target") / asked.seconds("proxy")
    if min(work, taken) < limit:
        return (
            f"the target does {work:.1f} times the proxy's work in {taken:.1f} times its seconds, "
            f"{limit:g} times are asked"
        )
    return ""


def epochs(asked: Asked, limit: int = 20) -> str:
    """Training is long enough for a share of it to be read."""
    n = asked.config.epochs
    return f"{n} epochs, {limit} are asked" if n < limit else ""


def passes(asked: Asked, limit: float = 0.5) -> str:
    """An online run's boost is at least `limit` of what its passes promise.

    Where choosing itself takes most of a step, as on a tiny network, its seconds tell nothing of
    what is saved.
    """
    for cell in (cell for cell in asked.cells if cell.protocol == "online"):
        full, own = asked.full(cell.model, cell.data), results_of(asked.config, cell)
        told = np.mean([online.counted_boost(a.metrics["history"], b.metrics["history"])
                        for a, b in zip(full, own, strict=True)])  # fmt: skip
        took = np.mean([lone_seconds(a) / lone_seconds(b) for a, b in zip(full, own, strict=True)])
        if took < limit * told:
            return f"{cell.method} is {took:.2f}x by the clock, {told:.2f}x by its passes"
    return ""


def warm_up(asked: Asked, limit: int = 391) -> str:
    """ADONIS trains on everything first for half of an epoch of the document at least, in steps.

    The document gives no omega, and its epochs of CIFAR have `limit` steps. After fewer the network
    knows so little that which losses are common says nothing.
    """
    config = asked.config
    batch = recipes.get(config.recipe, model=config.proxy).batch
    steps = config.warm_up * math.ceil(len(asked.labels) / batch)
    if steps < limit / 2:
        return f"ADONIS begins to choose after {steps} steps, in the document after {limit}"
    return ""


def hard_labels(asked: Asked) -> str:
    """Labels are not smoothed: a floor under the losses moves the bins that ADONIS reads."""
    config = asked.config
    smoothed = recipes.get(config.recipe, model=config.proxy).label_smoothing
    return f"labels are smoothed by {smoothed:g}, so that losses have a floor" if smoothed else ""


def works(asked: Asked, limit: float = 5.0) -> str:
    """What is varied, the last cell, loses at most `limit` points to training on everything."""
    cell = asked.cells[-1]
    lost = error(asked.config, cell).mean() - error(asked.config, Cell(model=cell.model)).mean()
    return f"{cell.method} has lost {lost:.1f} points before that" if lost > limit else ""


def cuda(asked: Asked) -> str:
    """The runs were made on a GPU."""
    device = str(asked.full("proxy")[0].metrics["device"])
    on_gpu = any(word in device.lower() for word in ("cuda", "nvidia"))
    return "" if on_gpu else f"the claim is about a GPU, these runs are of {device}"


# Training rows and classes by which a user's own copy of the documents' data is known: Zhang et
# al. 2015 (arXiv:1509.01626) table 3, Russakovsky et al. 2015 (arXiv:1409.0575) table 2.
SIZES = {
    "amazon-reviews": (3_600_000, 2),
    "amazon-ratings": (3_000_000, 5),
    "imagenet": (1_281_167, 1000),
}


def data(asked: Asked, limit: str) -> str:
    """The data are those that the claim is about: by name, or by rows and classes."""
    name = asked.config.dataset.partition("@")[0]
    if name == limit or name.startswith(f"{limit}-"):  # svhn-slides is SVHN
        return ""
    if (len(asked.labels), len(np.unique(asked.labels))) == SIZES.get(limit):
        return ""
    return f"data absent: the claim is about {limit}, not {name}"


CHECKS: dict[str, Callable[..., str]] = {
    check.__name__.replace("_", " "): check
    for check in (converged, random_close, headroom, better_target, learned, stopped, attainable,
                  cost_ratio, epochs, passes, warm_up, hard_labels, works, cuda, data)
}  # fmt: skip


def failed(asked: Asked, needs: dict[str, Any], is_error: bool) -> str:
    """Return what is wrong with the runs behind a part of a claim, "" where nothing is.

    Args:
        asked: What is compared.
        needs: Check -> its limit, None for the usual one.
        is_error: Whether errors or accuracies are compared, which must be off chance.
    """
    for name, limit in needs.items():
        if reason := CHECKS[name](asked, *([] if limit is None else [limit])):
            return reason
    if any(1 < cell.together >= asked.config.n_seeds for cell in asked.cells):
        return "the networks of all seeds make one ensemble: more seeds are needed"
    short = (short_of_rows(asked.config, cell) for cell in asked.cells)
    return (next(filter(None, short), "") or chance(asked)) if is_error else ""
