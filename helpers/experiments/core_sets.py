"""Runs of notebooks 01, 02 and 06: depths, core-sets by every method, k-centers rankings."""

from __future__ import annotations

import dataclasses

from helpers import recipes, specs
from helpers.config import Config, recorded
from helpers.selection.registry import METHODS
from helpers.specs import Measure, Select, Train

# Selection by LP + truncated power uses the median distance as bandwidth: at 1, as printed,
# the kernel of spread-out features vanishes (see notebook 03).
METHOD_OPTIONS: dict[str, tuple[specs.Option, ...]] = {"iqp": (("bandwidth", "median"),)}


def depth_run(scale: Config, model: str, seed: int) -> Train:
    """Return training of one network on everything, with its trace."""
    record_at = recorded(scale.epochs, scale.stops)
    return Train(scale.data_name, model, scale.recipe, scale.epochs, seed, record_at=record_at)


def depth_runs(scale: Config) -> list[Train]:
    """Return full training of every model with every seed (`svp` figures 3, 4, 5)."""
    return [depth_run(scale, model, seed) for seed in scale.seeds for model in scale.models]


def replicated_run(scale: Config, seed: int) -> Train:
    """Return training of the target on everything by the recipe of `svp-slides`, equal epochs."""
    run = depth_run(scale, scale.target, seed)
    recipe = recipes.like(scale.recipe, "svp-slides")
    return dataclasses.replace(run, recipe=recipe, record_at=())


def replicated_runs(scale: Config) -> list[Train]:
    """Return these with every seed, where the target trains by the paper's recipe otherwise."""
    is_svp = recipes.plain(scale.recipe) == "svp"
    return [replicated_run(scale, seed) for seed in scale.seeds if is_svp]


def choice(
    scale: Config,
    method: str,
    budget: float,
    seed: int,
    by: str = "",
    options: tuple[specs.Option, ...] = (),
) -> Select:
    """Return a selection by a method from the run of model `by` (the proxy by default)."""
    of = (depth_run(scale, by or scale.proxy, seed),) if METHODS[method].needs else ()
    options = METHOD_OPTIONS.get(method, ()) + options
    return Select(scale.data_name, method, budget, seed, of, options=options)


def subset_run(scale: Config, model: str, chosen: Select) -> Train:
    """Return training of a network on a selection, with the selection's seed."""
    return Train(scale.data_name, model, scale.recipe, scale.epochs, chosen.seed, subset=chosen)


def compared_methods(scale: Config) -> list[str]:
    """Return the keys of the methods in the comparison, in the registry's order."""
    wanted = set(scale.methods)
    return [
        key
        for key, method in METHODS.items()
        if key in wanted or ("all" in wanted and method.compare)
    ]


def ranked_by(scale: Config) -> list[str]:
    """Return those of the three methods of `svp` Table 2 that the scale compares."""
    return [key for key in ("entropy", "forgetting", "k-centers") if key in compared_methods(scale)]


def core_set_runs(scale: Config) -> list[Train]:
    """Return the target on what each method selects from the proxy (`svp` Table 2)."""
    return [
        subset_run(scale, scale.target, choice(scale, method, budget, seed))
        for seed in scale.seeds
        for method in compared_methods(scale)
        for budget in scale.budgets
    ]


def oracle_runs(scale: Config) -> list[Train]:
    """Return the target on what it selects itself: entropy, forgetting, k-centers."""
    return [
        subset_run(scale, scale.target, choice(scale, method, budget, seed, scale.target))
        for seed in scale.seeds
        for method in ranked_by(scale)
        for budget in scale.budgets
    ]


def extra_runs(scale: Config) -> list[Train]:
    """Return single cells that claims ask for (`svp` 4, slides, `budgeted` Table II).

    Table II's 25, 40 and 50 % by LP + truncated power belong to scales that compare at 25 %.
    """
    smallest = min(scale.budgets)
    table_two = (0.25, 0.4, 0.5) if 0.25 in scale.budgets else ()
    chosen = [
        cell
        for seed in scale.seeds
        for cell in (
            choice(scale, "forgetting", 0.5, seed),
            choice(scale, "forgetting", 0.7, seed),
            choice(scale, "random", 0.5, seed),
            choice(scale, "random", 0.7, seed),
            *(choice(scale, "iqp", budget, seed) for budget in table_two),
            choice(scale, "entropy", smallest, seed, options=(("correct_only", True),)),
            choice(scale, "entropy", smallest, seed),
        )
    ]
    return [subset_run(scale, scale.target, cell) for cell in chosen]


def centre_orders(scale: Config, same_start: bool) -> list[Select]:
    """Return k-centers rankings of all rows by every depth run (`svp` figures 3c and 10)."""
    start = (("n_initial", scale.n_initial),)
    ranking = depth_runs(scale) if "k-centers" in compared_methods(scale) else []
    return [
        Select(
            run.dataset,
            "k-centers",
            1.0,
            scale.first_seed if same_start else 1000 + 10 * i,
            (run,),
            options=start,
        )
        for i, run in enumerate(ranking)
    ]


def centre_measures(scale: Config) -> list[Measure]:
    """Return the measurement of notebook 02: what greedy k-centers costs."""
    return [Measure("kcenters-time")]
