"""One vocabulary for runs: what trained on what, chosen how, by whom.

A `Cell` is one cell of a table of results; it stands for one run a seed. Notebooks, tables and
claims all name their runs by cells, and a document's printed table has the same cells.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from helpers import StudyError, recipes, specs
from helpers.config import Config, recorded
from helpers.data.names import has_numbers
from helpers.results import Missing
from helpers.results.archive import ROOT
from helpers.selection.registry import METHODS
from helpers.specs import Sampler, Select, Train

# Selection by LP + truncated power uses the median distance as bandwidth: at 1, as printed,
# the kernel of spread-out features vanishes (see notebook 03).
METHOD_OPTIONS: dict[str, tuple[specs.Option, ...]] = {"iqp": (("bandwidth", "median"),)}
# The labelled rows cover the pool too, so that a round does not choose beside them again.
ACTIVE_OPTIONS: dict[str, tuple[specs.Option, ...]] = {"k-centers": (("centres", "start"),)}
# Without batch norm the study's rates are too high (trials on digits and CIFAR-10).
WITHOUT_NORM = ("alexnet", "vgg11-plain")
# A training step passes forward and, at twice the cost, backward; scoring passes forward only.
FORWARD_SHARE = 1 / 3
PROTOCOLS = ("core-set", "active", "budgeted", "online")
# Epochs that follow from others: of a run on random rows that costs what a selection costs; as many
# steps as on everything; the bill, choosing and training, of training on everything.
LONGER, EQUAL_STEPS, EQUAL_BILL = -1, -2, -3


@dataclass(frozen=True)
class Cell:
    """One cell of a table of results: a training run a seed.

    Attributes:
        method: `full` (all rows), a key of the registry, or, `online`, a sampler.
        share: Of the training rows: kept, labelled in all (`active`), or of the pool that
            remains beside the start set (`budgeted`; of all with a `start` of its own).
        by: The network that chooses, or its role, also that IDS embeds with; `untrained` for the
            trained network itself before its first epoch.
        model: The network that is trained, or its role.
        protocol: `core-set`, `active` (rounds of labelling), `budgeted` (tuning after a start)
            or `online` (rows chosen anew while training).
        after: Epochs after which the choosing network was stopped; 0 for none.
        together: Networks of so many seeds whose ranks are averaged.
        options: Of the method or the sampler.
        by_recipe: The choosing network's own recipe; "" for the study's.
        recipe: The trained network's own recipe; "" for the study's.
        epochs: Of the trained network; 0 for the study's, or `LONGER`, `EQUAL_STEPS`, `EQUAL_BILL`.
        flipped: Per cent of the training labels that are wrong.
        recorded: Whether an `online` run scores all rows at its end.
        data: Another data set than the study's; "" for that. `FIRST>DATA` where the network has
            learnt all of FIRST before.
        start: Share of the rows that `budgeted` starts from; 0 for the study's.

    A role is `proxy`, `target`, `shallowest` or `deepest` of `Config.models`, `between` or
    `between 2`, the first two of `Config.more_proxies`.
    """

    method: str = "full"
    share: float = 1.0
    by: str = "proxy"
    model: str = "target"
    protocol: str = "core-set"
    after: int = 0
    together: int = 1
    options: tuple[specs.Option, ...] = ()
    by_recipe: str = ""
    recipe: str = ""
    epochs: int = 0
    flipped: int = 0
    recorded: bool = False
    data: str = ""
    start: float = 0.0

    def __post_init__(self) -> None:
        if self.protocol not in PROTOCOLS:
            raise StudyError(f"protocol must be one of {', '.join(PROTOCOLS)}, got {self.protocol}")


def named(config: Config, role: str) -> str:
    """Return the network of a role; any other name is a network's already.

    Raises:
        Missing: For `between` where the study has no network between proxy and target.
    """
    if role in ("shallowest", "deepest"):
        return config.models[0 if role == "shallowest" else -1]
    if role in ("between", "between 2"):
        place = 0 if role == "between" else 1
        if len(config.more_proxies) <= place:
            raise Missing("no such network between proxy and target selects")
        return config.more_proxies[place]
    return {"proxy": config.proxy, "target": config.target}.get(role, role)


def depth_run(config: Config, model: str, seed: int) -> Train:
    """Return training of one network on everything, with its trace."""
    recipe = recipes.gentle(config.recipe) if model.startswith(WITHOUT_NORM) else config.recipe
    record_at = recorded(config.epochs, config.stops)
    return Train(config.data_name, model, recipe, config.epochs, seed, record_at=record_at)


def start_run(config: Config, cell: Cell, seed: int) -> Train:
    """Return M0 of `budgeted` Algorithm 1: a cell's network, trained on the labelled start set."""
    config, model = on_data(config, cell), named(config, cell.model)
    share = cell.start or config.start_share
    data = _data_of(config, cell, seed)
    first = "random" if has_numbers(config.data_name) else "random-per-class"
    run = subset_run(config, model, Select(data, first, share, seed))
    changes = {"dataset": data, "record_at": (0, config.epochs), "keep_weights": True}
    return dataclasses.replace(run, init=_learnt(config, cell, model, seed), **changes)


def _learnt(config: Config, cell: Cell, model: str, seed: int) -> Train | None:
    """Return training of a cell's network on the data that it learns first, if it does."""
    first = cell.data.rpartition(">")[0]
    if not first:
        return None
    config, whole = config.replace(dataset=first), model.partition("/")[0]
    return dataclasses.replace(depth_run(config, whole, seed), record_at=(), keep_weights=True)


def subset_run(config: Config, model: str, chosen: Select) -> Train:
    """Return training of a network on a selection, with the selection's seed."""
    return Train(config.data_name, model, config.recipe, config.epochs, chosen.seed, subset=chosen)


def _data_of(config: Config, cell: Cell, seed: int) -> str:
    """Return the name of a run's data: with wrong labels; those of numbers are divided by seed."""
    if has_numbers(config.data_name):
        return f"{config.data_name}~draw{seed}"
    return f"{config.data_name}~flip{cell.flipped}" if cell.flipped else config.data_name


def on_data(config: Config, cell: Cell) -> Config:
    """Return the parameters with a cell's data set."""
    name = cell.data.rpartition(">")[2] or config.dataset
    return config if name == config.dataset else _on(config, name)


@cache
def _on(config: Config, dataset: str) -> Config:
    return config.replace(dataset=dataset)  # which checks all parameters again


def chosen(config: Config, cell: Cell, seed: int) -> Select:
    """Return the choice of rows behind a cell.

    Raises:
        StudyError: If the cell chooses no rows beforehand, or `after` is not recorded.
        Missing: If the study has too few seeds, epochs or label budgets for it.
    """
    config = on_data(config, cell)
    by, method = named(config, cell.by), cell.method
    if cell.protocol == "online" or method not in METHODS:
        raise StudyError(f"{method} chooses no rows before training")
    if cell.protocol == "active":
        return _labelled(config, method, cell.share, seed, by)
    reads, options = METHODS[method].needs, METHOD_OPTIONS.get(method, ())
    if cell.protocol == "budgeted":
        first = start_run(config, cell, seed)
        of, options = (first,) if reads else (), options + cell.options
        if has_numbers(config.data_name) and any("scores" in need for need in reads):
            others = (dataclasses.replace(cell, model=name) for name in config.panel_models)
            of = tuple(dict.fromkeys([first, *(start_run(config, one, seed) for one in others)]))
        share = (cell.share - cell.start) / (1 - cell.start)
        return Select(first.dataset, method, share, seed, of, first.subset, options)
    if cell.after:
        if cell.after >= config.epochs:
            raise Missing(f"no stop after {cell.after} of {config.epochs} epochs")
        if cell.after not in recorded(config.epochs, config.stops):
            raise StudyError(f"after must be a recorded epoch, got {cell.after}")
        options += (("after", cell.after),)
    options += cell.options
    if cell.together > 1:
        options += (("combine", "rank"),)
    of = _choosing(config, cell, by, seed) if reads else ()
    return Select(config.data_name, method, cell.share, seed, of, options=options)


def _choosing(config: Config, cell: Cell, by: str, seed: int) -> tuple[Train, ...]:
    """Return the runs that a core-set is chosen by: of several networks this seed and the next.

    A network that chooses untrained is scored before its first epoch.

    Source: `svp` sections 3.2 and A.1, a batch that suits the smaller network; `svp-slides`,
        ensembles of two and three ResNet20.

    Note: with as many networks as seeds all seeds share one ensemble, and differ in ties and in
        the target's run only.
    """
    if by == "untrained":
        model = named(config, cell.model)
        return (Train(config.data_name, model, config.recipe, 1, seed, record_at=(0,)),)
    if cell.together > config.n_seeds:
        raise Missing(f"{cell.together} networks need as many seeds")
    places = ((seed - config.first_seed + i) % config.n_seeds for i in range(cell.together))
    found = [depth_run(config, by, config.first_seed + place) for place in places]
    return tuple(dataclasses.replace(one, recipe=cell.by_recipe or one.recipe) for one in found)


def _labelled(config: Config, method: str, budget: float, seed: int, by: str) -> Select:
    """Return the rows labelled once a budget is reached; `random` needs no rounds.

    Returns:
        A choice whose `start` is that of the round before, down to the initial rows. Its own
        budget is the round's share of the rows not labelled yet.

    Source: `svp` section 2.1: batches, the network re-initialised and trained on all labelled
        rows each round, greedy k-centers (Algorithm 1) from the labelled rows.

    Note: `svp` does not state its initial pool and rounds. Here the initial pool is
        `config.initial_share`, and a round ends at every budget, to the row.
    """
    if budget not in config.label_budgets:
        raise Missing(f"no label budget {budget:g}")
    if method == "random":
        return Select(config.data_name, method, budget, seed)
    done = config.initial_share
    labelled = Select(config.data_name, "random", done, seed)
    for end in config.label_budgets[: config.label_budgets.index(budget) + 1]:
        of, share = (_round(config, by, labelled),), (end - done) / (1 - done)
        options = METHOD_OPTIONS.get(method, ()) + ACTIVE_OPTIONS.get(method, ())
        options += (("labelled", end),)
        labelled = Select(config.data_name, method, share, seed, of, labelled, options)
        done = end
    return labelled


def _round(config: Config, model: str, labelled: Select) -> Train:
    """Return training of a network on the rows labelled so far, scoring all others at its end."""
    record_at = (0, config.epochs)
    return dataclasses.replace(subset_run(config, model, labelled), record_at=record_at)


def run(config: Config, cell: Cell, seed: int) -> Train:
    """Return the training run of a cell for one seed.

    Where the target itself labels, its run is also its training of the next round.

    Raises:
        StudyError, Missing: As for `chosen`.
    """
    config = on_data(config, cell)
    model, by = named(config, cell.model), named(config, cell.by)
    if cell.method == "full":
        found = depth_run(config, model, seed)
        found = dataclasses.replace(found, init=_learnt(config, cell, model, seed))
    elif cell.protocol == "online":
        found = _sampled(config, cell, model, by, seed)
    else:
        picked = chosen(config, cell, seed)
        found = subset_run(config, model, picked)
        if cell.protocol == "active" and by == model and cell.method != "random":
            found = _round(config, model, picked)
        elif cell.protocol == "budgeted":
            found = dataclasses.replace(found, init=start_run(config, cell, seed))
    changes: dict[str, object] = {"dataset": _data_of(config, cell, seed)}
    if cell.recipe:
        changes["recipe"] = recipes.like(config.recipe, cell.recipe)
    if cell.epochs:
        changes["epochs"] = _epochs(config, cell)
    if cell.recorded:
        changes["record_at"] = (config.epochs,)
    return dataclasses.replace(found, **changes)


def _sampled(config: Config, cell: Cell, model: str, by: str, seed: int) -> Train:
    """Return a network trained through a sampler: `ids`, `adonis`, `repeated-random`, ...

    IDS embeds with the run of `by`, or with one of `after` epochs, and takes `config.keep` and
    `config.switch`. Those that choose by losses take `config.warm_up`.
    """
    of: tuple[Train, ...] = ()
    given = dict(cell.options)
    if cell.method == "repeated-random":
        given = {"keep": cell.share} | given
    if cell.method.startswith("ids"):
        of = (depth_run(config, by, seed),)
        if cell.after:
            changes = {"epochs": cell.after, "record_at": recorded(cell.after)}
            of = (dataclasses.replace(of[0], **changes),)
        given = {"keep": config.keep, "switch": config.switch} | given
    if config.warm_up > 1 and cell.method in ("adonis", "ids+adonis", "selective-backprop"):
        given = {"warm_up": config.warm_up} | given
    sampler = Sampler(cell.method, of, tuple(sorted(given.items())))
    return Train(config.data_name, model, config.recipe, config.epochs, seed, sampler=sampler)


@cache
def multiply_adds(model: str) -> int:
    """Return `models.multiply_adds` of a network, those of the profiles' without torch."""
    known = json.loads((ROOT / "data" / "multiply_adds.json").read_text(encoding="utf-8"))
    if model in known:
        return known[model]
    from helpers import models  # torch

    return models.multiply_adds(model)


def weight(config: Config, model: str) -> float:
    """Return an example's multiply-adds in a network over those in the target."""
    return multiply_adds(model) / multiply_adds(config.target)


def _epochs(config: Config, cell: Cell) -> int:
    """Return the epochs that a cell asks for.

    On a share b of the rows, E epochs are E b passes of the target over all rows. Choosing by the
    finished proxy costs r (E + 1/3) such passes, of which the third scores all rows; by norms of
    the untrained proxy r; by no network none. `LONGER` trains for E epochs and for what choosing
    by the finished proxy costs, one more at least, r being multiply-adds; `EQUAL_BILL` for what is
    left of E passes, r being the study's cost ratio if it has one; `EQUAL_STEPS` for E passes.

    Note: the work is known before anything runs, so that the run has a fixed description. The
        arithmetic of the selection itself is left out, and a small network reaches less of a
        machine's speed than its multiply-adds promise: `frame` tells the seconds.
    """
    if cell.epochs >= 0:
        return cell.epochs
    whole, ratio, passes = config.epochs, weight(config, config.proxy), config.epochs
    finished = whole + FORWARD_SHARE
    if cell.epochs == LONGER:
        return whole + max(round(ratio * finished / cell.share), 1)
    if cell.epochs == EQUAL_BILL and (reads := METHODS[cell.method].needs):
        ratio = 1 / config.cost_ratio if config.cost_ratio else ratio
        passes = whole - ratio * (1 if reads == ("norms",) else finished)
    return max(round(passes / cell.share), 1)


def runs(config: Config, cells: Iterable[Cell]) -> list[Train]:
    """Return the runs of cells for every seed, seed by seed, each run once."""
    cells = list(cells)
    return list(dict.fromkeys(run(config, cell, seed) for seed in config.seeds for cell in cells))


def grid(**axes: object) -> list[Cell]:
    """Return the product of lists of values of a cell's fields; a single value stands for one."""
    values = [v if isinstance(v, list | tuple | range) and k != "options" else [v]
              for k, v in axes.items()]  # fmt: skip
    return [Cell(**dict(zip(axes, one, strict=True))) for one in itertools.product(*values)]
