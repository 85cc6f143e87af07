"""One vocabulary for runs: what trained on what, chosen how, by whom.

A `Cell` is one cell of a table of results; it stands for one run a seed. Notebooks, tables and
claims all name their runs by cells, and a document's printed table has the same cells.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable
from dataclasses import dataclass

from helpers import StudyError, recipes, specs
from helpers.config import Config, recorded
from helpers.experiments import builders
from helpers.results import Missing
from helpers.selection.registry import METHODS
from helpers.specs import Select, Train

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
            remains beside the start set (`budgeted`).
        by: The network that chooses, or its role, also that IDS embeds with; `untrained` for the
            trained network itself before its first epoch.
        model: The network that is trained, or its role.
        protocol: `core-set`, `active` (rounds of labelling), `budgeted` (tuning after a start)
            or `online` (rows chosen anew while training).
        after: Epochs after which the choosing network was stopped; 0 for none.
        together: Networks of so many seeds whose ranks are averaged.
        options: Of the method or the sampler.
        by_recipe: The choosing network's own recipe, in its own epochs; "" for the study's.
        recipe: The trained network's own recipe; "" for the study's.
        epochs: Of the trained network; 0 for the study's, or `LONGER`, `EQUAL_STEPS`, `EQUAL_BILL`.
        flipped: Per cent of the training labels that are wrong.
        recorded: Whether an `online` run scores all rows at its end.
        data: Another data set than the study's; "" for that.

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

    def __post_init__(self) -> None:
        if self.protocol not in PROTOCOLS:
            raise StudyError(f"protocol must be one of {', '.join(PROTOCOLS)}, got {self.protocol}")


def on_data(config: Config, cell: Cell) -> Config:
    """Return the parameters with a cell's data set."""
    return config.replace(dataset=cell.data) if cell.data else config


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


def chosen(config: Config, cell: Cell, seed: int) -> Select:
    """Return the choice of rows behind a cell.

    Raises:
        StudyError: If the cell chooses no rows beforehand, or `after` is not recorded.
        Missing: If the study has too few seeds, epochs or label budgets for it.
    """
    config = on_data(config, cell)
    by, method, share = named(config, cell.by), cell.method, cell.share
    if cell.protocol == "online" or method not in METHODS:
        raise StudyError(f"{method} chooses no rows before training")
    if cell.protocol == "active":
        if share not in config.label_budgets:
            raise Missing(f"no label budget {share:g}")
        return builders.active_choice(config, method, share, seed, by)
    if cell.protocol == "budgeted":
        run = builders.budgeted_run(
            config, named(config, cell.model), method, share, seed, cell.options
        )
        return run.subset
    options = cell.options
    if cell.after:
        if cell.after >= config.epochs:
            raise Missing(f"no stop after {cell.after} of {config.epochs} epochs")
        if cell.after not in recorded(config.epochs, config.stops):
            raise StudyError(f"after must be a recorded epoch, got {cell.after}")
        options = (("after", cell.after), *options)
    if cell.together > 1:
        options = (*options, ("combine", "rank"))
    found = builders.choice(config, method, share, seed, by, options)
    if by == "untrained":
        of = (builders.untrained_run(config, named(config, cell.model), seed),)
        return dataclasses.replace(found, of=of)
    if cell.together > 1:
        of = tuple(builders.depth_run(config, by, one) for one in together(config, cell, seed))
        found = dataclasses.replace(found, of=of)
    if cell.by_recipe:
        found = dataclasses.replace(found, of=(_own_recipe(config, cell, found.of[0]),))
    return found


def together(config: Config, cell: Cell, seed: int) -> list[int]:
    """Return the seeds of the networks whose ranks are averaged: this one and those that follow.

    Raises:
        Missing: If the study has fewer seeds.

    Source: `svp-slides`, ensembles of two and three ResNet20.

    Note: with as many networks as seeds all seeds share one ensemble, and differ in ties and in
        the target's run only.
    """
    if cell.together > config.n_seeds:
        raise Missing(f"{cell.together} networks need as many seeds")
    first = seed - config.first_seed
    return [config.first_seed + (first + i) % config.n_seeds for i in range(cell.together)]


def _own_recipe(config: Config, cell: Cell, run: Train) -> Train:
    """Return a choosing run by its own recipe; one of another name has epochs of its own.

    Source: `svp` sections 3.2 and A.1, a batch that suits the smaller network.
    """
    recipe = recipes.like(run.recipe, cell.by_recipe)
    if recipes.plain(cell.by_recipe) == recipes.plain(run.recipe):
        return dataclasses.replace(run, recipe=cell.by_recipe)
    epochs = recipes.get(recipe).epochs
    return dataclasses.replace(run, recipe=recipe, epochs=epochs, record_at=recorded(epochs))


def run(config: Config, cell: Cell, seed: int) -> Train:
    """Return the training run of a cell for one seed.

    Raises:
        StudyError, Missing: As for `chosen`.
    """
    config = on_data(config, cell)
    model = named(config, cell.model)
    if cell.method == "full":
        found = builders.depth_run(config, model, seed)
    elif cell.protocol == "online":
        options = cell.options
        if cell.method == "repeated-random":
            options = (("keep", cell.share), *options)
        by = named(config, cell.by)
        found = builders.sampled_run(config, model, cell.method, seed, options, by, cell.after)
    elif cell.protocol == "active":
        chosen(config, cell, seed)
        by = named(config, cell.by)
        found = builders.active_run(config, cell.method, cell.share, seed, by)
    elif cell.protocol == "budgeted":
        found = builders.budgeted_run(config, model, cell.method, cell.share, seed, cell.options)
    else:
        found = builders.subset_run(config, model, chosen(config, cell, seed))
    changes: dict[str, object] = {}
    if cell.recipe:
        changes["recipe"] = recipes.like(config.recipe, cell.recipe)
    if cell.epochs:
        changes["epochs"] = _epochs(config, cell)
    if cell.flipped:
        changes["dataset"] = f"{config.data_name}~flip{cell.flipped}"
    if cell.recorded:
        changes["record_at"] = (config.epochs,)
    return dataclasses.replace(found, **changes)


def _epochs(config: Config, cell: Cell) -> int:
    if cell.epochs == LONGER:
        return builders.longer_epochs(config, cell.share)
    if cell.epochs == EQUAL_STEPS:
        return builders.equal_steps(config, cell.share)
    if cell.epochs == EQUAL_BILL:
        return builders.equal_bill(config, cell.method, cell.share)
    return cell.epochs


def runs(config: Config, cells: Iterable[Cell]) -> list[Train]:
    """Return the runs of cells for every seed, seed by seed, each run once."""
    cells = list(cells)
    return list(dict.fromkeys(run(config, cell, seed) for seed in config.seeds for cell in cells))


def grid(**axes: object) -> list[Cell]:
    """Return the product of lists of values of a cell's fields; a single value stands for one."""
    values = [v if isinstance(v, list | tuple | range) and k != "options" else [v]
              for k, v in axes.items()]  # fmt: skip
    return [Cell(**dict(zip(axes, one, strict=True))) for one in itertools.product(*values)]


def from_plain(value: dict[str, object]) -> Cell:
    """Return a cell from a row of the ledger, where options are a mapping.

    Raises:
        StudyError: If a cell has no such field.
    """
    given = dict(value)
    if isinstance(given.get("options"), dict):
        given["options"] = tuple(given["options"].items())
    try:
        return Cell(**given)
    except TypeError as error:
        raise StudyError(f"a cell: {str(error).partition('() ')[2]}") from None
