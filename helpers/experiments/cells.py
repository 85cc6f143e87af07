"""The vocabulary of questions: what trained on what, chosen how, by whom.

A `Cell` is one cell of a table of results; it stands for one run a seed. Notebooks, tables and
claims all name their runs by cells, and a document's printed table has the same cells.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterable
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


# The proxy by `svp`'s rate, which falls in steps: under one cycle all gain falls to the end.
STEPPED = Cell(model="proxy", recipe="svp", epochs=30)
UNCERTAINTIES = ["least-confidence", "margin", "entropy"]
ACTIVE_METHODS = ("least-confidence", "k-centers")
LADDER = ["random", "random-per-class", "random-per-quartile", "evenly-spaced", "geda-random"]
# Beside plain GEDA, which draws at random inside its bins: other targets, other nodes, and
# other rules inside the bins. Simpson's rule keeps the same rows and needs no run.
GEDA_VARIANTS: dict[str, tuple[specs.Option, ...]] = {
    "smoothed": (("ecdf", "smoothed"), ("within", "random")),
    "quantile": (("nodes", "quantile"), ("within", "random")),
    "spread": (),
    "first": (("within", "first"),),
}


def compared_methods(config: Config) -> list[str]:
    """Return the keys of the methods in the comparison, in the registry's order."""
    wanted = set(config.methods)
    return [
        key
        for key, method in METHODS.items()
        if key in wanted or ("all" in wanted and method.compare)
    ]


def ranked_by(config: Config) -> list[str]:
    """Return those of the three methods of `svp` Table 2 that the study compares."""
    return [
        key for key in ("entropy", "forgetting", "k-centers") if key in compared_methods(config)
    ]


def selectors(config: Config) -> list[str]:
    """Return the networks that select: the proxy, further ones, and the target itself."""
    return list(dict.fromkeys((config.proxy, *config.more_proxies, config.target)))


def dial_shares(config: Config) -> list[float]:
    """Return the shares of the fairness dial: the three smallest, where terms differ most."""
    return sorted(config.budgets)[:3]


def proxy_budgets(config: Config) -> list[float]:
    """Return the budgets at which kinds of proxies are compared, in ascending order."""
    return sorted(config.budgets)[: config.n_proxy_budgets]


def stops(config: Config) -> list[int]:
    """Return the epochs after which proxies are stopped early, first to last."""
    return sorted(stop for stop in config.stops if stop < config.epochs)


def brief_stop(config: Config) -> list[int]:
    """Return the stop nearest to 50 of 181 epochs, the shortest of `svp` Table 3, or none."""
    return sorted(stops(config), key=lambda stop: abs(stop - config.epochs * 50 / 181))[:1]


def own_batch(config: Config) -> list[str]:
    """Return the recipe with the proxy's own batch, none where the study gives it none."""
    return [recipes.with_batch(config.recipe, config.own_batch)] if config.own_batch else []


def geda_options(config: Config, variant: str = "") -> tuple[specs.Option, ...]:
    """Return the options of GEDA, or of one of its `GEDA_VARIANTS`."""
    return (("n_nodes", config.n_nodes), *GEDA_VARIANTS.get(variant, ()))


def _ladder(c: Config) -> list[Cell]:
    cells = grid(method=LADDER, share=list(c.percentages), model="proxy")
    geda = {"options": geda_options(c)}
    return [dataclasses.replace(one, **geda) if one.method == LADDER[-1] else one for one in cells]


def _panel(c: Config) -> list[Cell]:
    """Return `budgeted` figure 1, its own method by both readings of the kernel."""
    axes = {"data": list(c.panel_data), "model": list(c.panel_models)}
    axes |= {"share": list(c.panel_budgets), "protocol": "budgeted"}
    found = grid(method=list(c.panel_methods), **axes)
    if "iqp" in c.panel_methods:
        found += grid(method="iqp", options=(("diversity", "distance"),), **axes)
    return found


def _weights(c: Config) -> list[Cell]:
    base = Cell("iqp", max(c.panel_budgets), model="proxy", protocol="budgeted")
    return [
        dataclasses.replace(base, options=(("weight", w), ("diversity", reading)))
        for reading in ("kernel", "distance")
        for w in c.weights
    ]


def _table_three(c: Config) -> list[Cell]:
    """Return forgetting at 50 %, and at 30 % where the study compares there (`svp` Table 3)."""
    return grid(method="forgetting", share=[s for s in (0.3, 0.5) if s == 0.5 or s in c.budgets])


def _single(c: Config) -> list[Cell]:
    brief = ["forgetting", "entropy"]
    found = [*grid(method="random", share=list(c.budgets)),
             *grid(method=brief, share=proxy_budgets(c)), *_table_three(c)]  # fmt: skip
    return list(dict.fromkeys(found))


def _brief(c: Config) -> list[Cell]:
    found = grid(method=["forgetting", "entropy"], share=proxy_budgets(c))
    found = list(dict.fromkeys([*found, *_table_three(c)]))
    return [dataclasses.replace(one, after=stop) for stop in stops(c) for one in found]


def _slides(c: Config) -> list[Cell]:
    """Return `svp-slides`' tables; what the proxy gets right is ranked by confidence on SVHN."""
    strict = "least-confidence" if c.dataset.startswith("svhn") else "entropy"
    sizes = range(1, min(c.n_seeds, 3) + 1)
    cells = [Cell("random"), Cell("entropy"), Cell("entropy", by="target")]
    early = dict.fromkeys([*stops(c)[:1], *brief_stop(c)])
    cells += [Cell("entropy", after=stop, together=n) for stop in early for n in sizes]
    cells += [Cell(strict, options=(("correct_only", True),))]
    return [dataclasses.replace(one, share=share) for share in c.slide_shares for one in cells]


def _paid(c: Config) -> list[Cell]:
    sizes = [size for size in (1, 3) if size <= c.n_seeds]
    return grid(method="entropy", share=c.paid_share, together=sizes) if c.paid_share else []


def _stepped(c: Config) -> list[Cell]:
    recipe = recipes.get(c.recipe, model=c.proxy)
    cifar = c.dataset.startswith("cifar")  # digits are too few to make the steps that it needs
    return [STEPPED] if cifar and recipe.schedule != "steps" else []


def _own_batch(c: Config) -> list[Cell]:
    shared = Cell("least-confidence", proxy_budgets(c)[0])
    own = [dataclasses.replace(shared, by_recipe=recipe) for recipe in own_batch(c)]
    return [shared, *own] if own else []


def _extra(c: Config) -> list[Cell]:
    """Return single cells that claims ask for: 50 and 70 % by forgetting, and correct rows only."""
    strict = Cell("entropy", min(c.budgets), options=(("correct_only", True),))
    return [
        *grid(method=["forgetting", "random"], share=[0.5, 0.7]),
        strict,
        dataclasses.replace(strict, options=()),
    ]


# Question -> its cells; `experiments.online` and `.peers` add theirs. A notebook asks for
# questions; a figure or claim finds its runs by cells.
QUESTIONS: dict[str, Callable[[Config], list[Cell]]] = {
    # `svp` figures 3, 4, 5; figure 8
    "depths": lambda c: grid(model=list(c.models)),
    "families": lambda c: grid(model=list(c.families)),
    "stepped": _stepped,
    # `svp` Table 2: the target on what each method selects from the proxy, and from itself
    "core-set": lambda c: grid(method=compared_methods(c), share=list(c.budgets)),
    "by target": lambda c: grid(method=ranked_by(c), share=list(c.budgets), by="target"),
    "more proxies": lambda c: grid(
        method=ranked_by(c), share=proxy_budgets(c), by=list(c.more_proxies)
    ),
    "extra": _extra,
    # `svp` Table 3, `svp-slides`
    "single": _single,
    "brief": _brief,
    "ensembles": lambda c: grid(
        method=["entropy", "forgetting"],
        share=proxy_budgets(c),
        together=[size for size in (2, 3) if size <= c.n_seeds],
    ),
    "slides": _slides,
    "metrics": lambda c: [
        *grid(method=UNCERTAINTIES, share=list(c.budgets)),
        *grid(method=UNCERTAINTIES, share=min(c.budgets), options=(("correct_only", True),)),
    ],
    "replicated": lambda c: [Cell(recipe="svp-slides")] if recipes.plain(c.recipe) == "svp" else [],
    # `svp` Table 1
    "active": lambda c: [
        *grid(method="random", share=list(c.label_budgets), protocol="active"),
        *grid(
            method=[m for m in ACTIVE_METHODS if m in compared_methods(c)],
            by=selectors(c),
            share=list(c.label_budgets),
            protocol="active",
        ),
    ],
    # beyond the documents: random rows for the same work (Okanovic et al. 2023 draw them anew)
    "opponents": lambda c: [
        *grid(method="random", share=proxy_budgets(c), epochs=[0, LONGER]),
        *grid(method="repeated-random", share=proxy_budgets(c), protocol="online"),
    ],
    "dial": lambda c: grid(
        method=list(c.dial_methods), share=dial_shares(c), epochs=[0, EQUAL_STEPS, EQUAL_BILL]
    ),
    "paid": _paid,
    "own batch": _own_batch,
    "quick": lambda c: (
        grid(method="entropy", share=proxy_budgets(c), by=c.quick_proxy, by_recipe="sprint")
        if c.quick_proxy
        else []
    ),
    # `budgeted` figure 1 and section IV-B
    "budgeted": _panel,
    # all rows of a panel's data set, beside its curves
    "panel": lambda c: grid(data=list(c.panel_data), model=list(c.panel_models)),
    "weights": _weights,
    # `geda` figures 5.2 to 5.5, 5.1.3, 6.1
    "ladder": _ladder,
    "nodes": lambda c: [
        Cell("geda-random", min(c.percentages), model="proxy", options=(("n_nodes", n),))
        for n in c.node_counts
    ],
    "variants": lambda c: [
        Cell("geda", min(c.percentages), model="proxy", options=geda_options(c, variant))
        for variant in GEDA_VARIANTS
    ],
}


def asked(config: Config, *questions: str) -> list[Train]:
    """Return the runs that questions ask for, one after the other.

    Raises:
        StudyError: For an unknown question.
    """
    if unknown := [name for name in questions if name not in QUESTIONS]:
        raise StudyError(f"unknown question {unknown[0]!r}; there are {', '.join(QUESTIONS)}")
    return [one for name in questions for one in runs(config, QUESTIONS[name](config))]
