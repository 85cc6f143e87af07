"""Questions: the cells that a notebook asks for under a name, such as `core-set`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from helpers import StudyError, recipes, specs
from helpers.config import Config
from helpers.experiments.cells import EQUAL_BILL, EQUAL_STEPS, LONGER, Cell, grid, runs
from helpers.selection.registry import METHODS
from helpers.specs import Train

# The proxy by `svp`'s rate, which falls in steps: under one cycle all gain falls to the end.
STEPPED = Cell(model="proxy", recipe="svp", epochs=30)
UNCERTAINTIES = ["least-confidence", "margin", "entropy"]
ACTIVE_METHODS = ("least-confidence", "k-centers")
LADDER = ["random", "random-per-class", "random-per-quartile", "evenly-spaced", "geda-random"]
PEERS = ["craig", "grad-match"]
# Beside plain GEDA, which draws at random inside its bins: other targets, other nodes, and
# other rules inside the bins. Simpson's rule keeps the same rows and needs no run.
GEDA_VARIANTS: dict[str, tuple[specs.Option, ...]] = {
    "smoothed": (("ecdf", "smoothed"), ("within", "random")),
    "quantile": (("nodes", "quantile"), ("within", "random")),
    "spread": (),
    "first": (("within", "first"),),
}
# Readings of `budgeted`'s kernel beside the median distance: its parameter 1 as printed, and
# unlike pairs rewarded.
READINGS: tuple[tuple[specs.Option, ...], ...] = (
    (("bandwidth", 1.0),),
    (("diversity", "distance"),),
)
# Questions that are asked of more seeds than a profile's, as each run takes a second.
SEEDS = {"ages": 30}
# `budgeted` Table II: of all rows one in a hundred, 500 of CIFAR-10, is labelled first.
IN_ALL: dict[str, Any] = {"model": "proxy", "protocol": "budgeted", "start": 0.01}


def compared_methods(config: Config) -> list[str]:
    """Return the keys of the methods in the comparison, in the registry's order; random is one."""
    wanted = {"random", *config.methods}
    every = {key for key, method in METHODS.items() if "all" in wanted and method.compare}
    return [key for key in METHODS if key in wanted | every]


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


def geda_cell(config: Config, share: float, variant: str | None = None, **more: object) -> Cell:
    """Return the cell of plain GEDA, or of one of its `GEDA_VARIANTS`, on the proxy network."""
    options = (("n_nodes", config.n_nodes), *GEDA_VARIANTS.get(variant or "", ()))
    method = "geda-random" if variant is None else "geda"
    return Cell(method, share, model="proxy", options=options, **more)


def _ladder(c: Config) -> list[Cell]:
    """Return the rungs, percentage by percentage within each; the top one is GEDA."""
    below = grid(method=LADDER[:-1], share=list(c.percentages), model="proxy")
    return below + [geda_cell(c, share) for share in c.percentages]


def _panel(c: Config) -> list[Cell]:
    """Return `budgeted` figure 1, its own method also as printed and by distance."""
    axes = {"data": list(c.panels), "model": list(c.panel_models)}
    axes |= {"share": list(c.panel_budgets), "protocol": "budgeted"}
    own = READINGS if "iqp" in c.panel_methods else ()
    readings = [one for way in own for one in grid(method="iqp", options=way, **axes)]
    return grid(method=list(c.panel_methods), **axes) + readings


def ablations(c: Config) -> dict[str, list[Cell]]:
    """Return what is changed in `budgeted`'s protocol -> its cells, at the largest budget.

    A change of the method itself is one cell; any other has random rows, entropy alone, and the
    method by the median distance.
    """
    if not c.proxy.endswith("/0"):  # the networks that learnt ImageNet, the document's setting
        return {}
    share, median = max(c.panel_budgets), (("bandwidth", "median"),)
    base = {"model": "proxy", "protocol": "budgeted", "share": share}
    own = {
        "no power steps": Cell("iqp", options=(("max_steps", 0),), **base),
        "no shift": Cell("iqp", options=(("shift", None),), **base),
        "then swaps": Cell("iqp-swaps", options=median, **base),
        "32 random directions": Cell("iqp", options=(*median, ("dimensions", 32)), **base),
        "pairs alone": Cell("iqp", options=(("weight", 1e6),), **base),
        "classes equal": Cell("random-per-class", **base),
    }
    larger = {"start": 2 * c.start_share, "share": 2 * c.start_share + share * (1 - c.start_share)}
    smaller = {"start": c.start_share / 5, "share": c.start_share / 5 + share * (1 - c.start_share)}
    changes: dict[str, dict[str, Any]] = {
        "as it is": {},
        "one part trained too": {"model": f"{c.proxy[:-1]}1"},
        "a fifth labelled first": smaller,
        "twice labelled first": larger,
        "10 % wrong labels": {"flipped": 10},
        "20 % wrong labels": {"flipped": 20},
    }
    methods = ["random", "entropy", "iqp"]
    found = {name: grid(method=methods, **base | change) for name, change in changes.items()}
    return found | {name: [cell] for name, cell in own.items()}


def ages(c: Config) -> dict[str, Cell]:
    """Return `budgeted` Table III, the ages of faces: what is chosen -> its cell.

    500 of 3,240 faces are labelled first, two thirds of the others chosen; `variance` is the
    utility alone, `all` the whole pool.

    Note: |L| = 7,000 in the document, "as before", is read as 500.
    """
    if not c.proxy.endswith("/0"):
        return {}
    start = 500 / 3240
    base = {"model": "proxy", "protocol": "budgeted", "data": "utkface", "start": start}
    part = base | {"share": start + (1 - start) * 2 / 3}
    ways = {name: Cell(name, **part) for name in ("random", "dpp", "submodular")}
    ways |= {"iqp": Cell("iqp", options=READINGS[0], **part), "iqp, median": Cell("iqp", **part)}
    return ways | {"variance": Cell("top", **part), "all": Cell("random", **base)}


def _weights(c: Config) -> list[Cell]:
    own = {"model": "proxy", "protocol": "budgeted", "data": c.own_panel}
    base = Cell("iqp", max(c.panel_budgets), **own)
    return [
        dataclasses.replace(base, options=(("weight", w), ("diversity", reading)))
        for reading in ("kernel", "distance")
        for w in c.weights
    ]


def _briefly_chosen(c: Config) -> list[Cell]:
    """Return what stopped proxies choose: also forgetting at 50 and 30 % (`svp` Table 3)."""
    thirds = [share for share in (0.3, 0.5) if share == 0.5 or share in c.budgets]
    found = grid(method=["forgetting", "entropy"], share=proxy_budgets(c))
    return list(dict.fromkeys([*found, *grid(method="forgetting", share=thirds)]))


def _slides(c: Config) -> list[Cell]:
    """Return `svp-slides`' tables; what the proxy gets right is ranked by confidence on SVHN."""
    strict = "least-confidence" if c.dataset.startswith("svhn") else "entropy"
    sizes = range(1, min(c.n_seeds, 3) + 1)
    cells = [Cell("random"), Cell("entropy"), Cell("entropy", by="target")]
    early = dict.fromkeys([*stops(c)[:1], *brief_stop(c)])
    cells += [Cell("entropy", after=stop, together=n) for stop in early for n in sizes]
    cells += [Cell(strict, options=(("correct_only", True),))]
    return [dataclasses.replace(one, share=share) for share in c.slide_shares for one in cells]


def _stepped(c: Config) -> list[Cell]:
    recipe = recipes.get(c.recipe, model=c.proxy)
    cifar = c.dataset.startswith("cifar")  # digits are too few to make the steps that it needs
    return [STEPPED] if cifar and recipe.schedule != "steps" else []


def _own_batch(c: Config) -> list[Cell]:
    shared = Cell("least-confidence", proxy_budgets(c)[0])
    own = [dataclasses.replace(shared, by_recipe=recipe) for recipe in own_batch(c)]
    return [shared, *own] if own else []


def _table_two(c: Config) -> list[Cell]:
    """Return `budgeted` Table II: a network tuned on everything, and on chosen and random parts."""
    axes = {"data": list(c.table_two), "share": [0.5, 0.4, 0.25]}
    return [
        *grid(model="proxy", data=axes["data"]),
        *grid(method="iqp", options=READINGS[0], **axes, **IN_ALL),
        *grid(method="random", **axes, **IN_ALL),
    ]


def _reselected(c: Config) -> list[Cell]:
    """Return long training on the smallest percentage, chosen once and anew (`geda` 5.5, 6.3)."""
    if not c.long_epochs:
        return []
    share, long = min(c.percentages), c.long_epochs
    ways = ({"choices": 5}, {"choices": long}, {"choices": 5, "start": "geda"},
            {"choices": 5, "start": "full"})  # fmt: skip
    anew = [
        Cell("grad-match", share, model="proxy", protocol="online",
             options=tuple({"keep": share, **way}.items()), epochs=long)
        for way in ways
    ]  # fmt: skip
    once = geda_cell(c, share, epochs=long)
    return [once, *anew, geda_cell(c, max(c.percentages)), Cell(model="proxy")]


def _ranked(c: Config, **axes: object) -> list[Cell]:
    """Return core-sets by those of the three methods of `svp` Table 2 that the study compares."""
    known = compared_methods(c)
    ranked = [key for key in ("entropy", "forgetting", "k-centers") if key in known]
    return grid(method=ranked, **axes)


# Question -> its cells; `experiments.online` adds its own. A notebook asks for
# questions; a figure or claim finds its runs by cells.
QUESTIONS: dict[str, Callable[[Config], list[Cell]]] = {
    # `svp` figures 3, 4, 5; figure 8
    "depths": lambda c: grid(model=list(c.models)),
    "families": lambda c: grid(model=list(c.families)),
    "stepped": _stepped,
    # `svp` Table 2: the target on what each method selects from the proxy, and from itself
    "core-set": lambda c: grid(method=compared_methods(c), share=list(c.budgets)),
    "by target": lambda c: _ranked(c, share=list(c.budgets), by="target"),
    "more proxies": lambda c: _ranked(c, share=proxy_budgets(c), by=list(c.more_proxies)),
    # single cells that claims ask for: 50 and 70 % by forgetting, and correct rows only
    "extra": lambda c: [
        *grid(method=["forgetting", "random"], share=[0.5, 0.7]),
        Cell("entropy", min(c.budgets), options=(("correct_only", True),)),
        Cell("entropy", min(c.budgets)),
    ],
    # `svp` Table 3, `svp-slides`
    "single": lambda c: [*grid(method="random", share=list(c.budgets)), *_briefly_chosen(c)],
    "brief": lambda c: [
        dataclasses.replace(one, after=stop) for stop in stops(c) for one in _briefly_chosen(c)
    ],
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
    "own batch": _own_batch,
    # `budgeted` figure 1 and section IV-B, and all rows of a panel's data set beside its curves
    "budgeted": _panel,
    "panel": lambda c: grid(data=list(c.panels), model=list(c.panel_models)),
    "weights": _weights,
    "ablations": lambda c: [one for cells in ablations(c).values() for one in cells],
    "table two": _table_two,
    "ages": lambda c: list(ages(c).values()),
    # `adonis` Table A3: IDS by what several networks that learnt ImageNet see
    "extractors": lambda c: (
        grid(method="ids", protocol="online", model="proxy", by=list(c.panel_models))
        if c.proxy.endswith("/0")
        else []
    ),
    # `geda` figures 5.2 to 5.5, 5.1.3, 6.1; beside the ladder peers that choose by the gradients of
    # epoch 0 too (figure 5.6), and choices made anew (5.5, 6.3)
    "ladder": _ladder,
    "peers": lambda c: [
        Cell(model="proxy"),
        *grid(method=PEERS, share=list(c.percentages), by="untrained", model="proxy"),
    ],
    "reselected": _reselected,
    "nodes": lambda c: [
        Cell("geda-random", min(c.percentages), model="proxy", options=(("n_nodes", n),))
        for n in c.node_counts
    ],
    "variants": lambda c: [geda_cell(c, min(c.percentages), one) for one in GEDA_VARIANTS],
}


def asked(config: Config, *questions: str) -> list[Train]:
    """Return the runs that questions ask for, one after the other.

    Raises:
        StudyError: For an unknown question.
    """
    if unknown := [name for name in questions if name not in QUESTIONS]:
        raise StudyError(f"unknown question {unknown[0]!r}; there are {', '.join(QUESTIONS)}")
    return [
        one for name in questions for one in runs(seeded(config, name), QUESTIONS[name](config))
    ]


def seeded(config: Config, question: str) -> Config:
    """Return the parameters with the seeds that a question is asked of."""
    return config.replace(n_seeds=max(config.n_seeds, SEEDS.get(question, 0)))
