"""Runs of notebooks 03 and 04: `budgeted`'s protocol, the ladder to GEDA, solver timings."""

from __future__ import annotations

from helpers import specs
from helpers.config import Config
from helpers.experiments.core_sets import METHOD_OPTIONS, choice, subset_run
from helpers.selection.registry import METHODS
from helpers.specs import Measure, Select, Train


def start_run(scale: Config, model: str, seed: int) -> Train:
    """Return M0 of `budgeted` Algorithm 1: trained on the labelled start set."""
    start = Select(scale.data_name, "random-per-class", scale.start_share, seed)
    return Train(
        scale.data_name,
        model,
        scale.recipe,
        scale.epochs,
        seed,
        subset=start,
        record_at=(0, scale.epochs),
        keep_weights=True,
    )


def budgeted_run(
    scale: Config,
    model: str,
    method: str,
    budget: float,
    seed: int,
    options: tuple[specs.Option, ...] = (),
) -> Train:
    """Return M0 tuned further on the start set and `budget` of the pool (Algorithm 1)."""
    first = start_run(scale, model, seed)
    of = (first,) if METHODS[method].needs else ()
    options = METHOD_OPTIONS.get(method, ()) + options
    chosen = Select(scale.data_name, method, budget, seed, of, first.subset, options)
    return Train(
        scale.data_name, model, scale.recipe, scale.epochs, seed, subset=chosen, init=first
    )


def budgeted_runs(scale: Config) -> list[Train]:
    """Return the methods for every panel and budget (`budgeted` figure 1)."""
    return [
        budgeted_run(scale, model, method, budget, seed)
        for seed in scale.seeds
        for model in scale.panel_models
        for budget in scale.panel_budgets
        for method in scale.panel_methods
    ]


def weight_run(scale: Config, weight: float, reading: str, seed: int) -> Train:
    """Return one run of the sweep over lambda with a reading of the kernel term."""
    options = (("weight", weight), ("diversity", reading))
    middle = sorted(scale.panel_budgets)[len(scale.panel_budgets) // 2]
    return budgeted_run(scale, scale.proxy, "iqp", middle, seed, options)


def weight_runs(scale: Config) -> list[Train]:
    """Return the sweep over lambda, kernel as printed and as distance (`budgeted` IV-B)."""
    return [
        weight_run(scale, weight, reading, seed)
        for seed in scale.seeds
        for reading in ("kernel", "distance")
        for weight in scale.weights
    ]


def ladder() -> list[str]:
    """Return the rungs to GEDA, first to last (`geda` chapter 5)."""
    order = ("random", "random-per-class", "random-per-quartile", "evenly-spaced", "geda-random")
    return [key for key in order if METHODS[key].ladder]


def ladder_run(scale: Config, rung: str, percentage: float, seed: int) -> Train:
    """Return the proxy network on one rung's choice, by its own norms at epoch 0."""
    options = (("n_nodes", scale.n_nodes),) if rung == "geda-random" else ()
    chosen = choice(scale, rung, percentage, seed, options=options)
    return subset_run(scale, scale.proxy, chosen)


def ladder_runs(scale: Config) -> list[Train]:
    """Return the ladder to GEDA at every percentage (`geda` figures 5.2 to 5.5)."""
    return [
        ladder_run(scale, rung, percentage, seed)
        for seed in scale.seeds
        for rung in ladder()
        for percentage in scale.percentages
    ]


def node_run(scale: Config, n_nodes: int, seed: int) -> Train:
    """Return GEDA with N nodes at the smallest percentage (`geda` 5.1.3)."""
    options = (("n_nodes", n_nodes),)
    chosen = choice(scale, "geda-random", min(scale.percentages), seed, options=options)
    return subset_run(scale, scale.proxy, chosen)


def node_runs(scale: Config) -> list[Train]:
    """Return the sweep over GEDA's N."""
    return [node_run(scale, n, seed) for seed in scale.seeds for n in scale.node_counts]


# Beside plain GEDA, which draws at random inside its bins: other targets, other nodes, and
# other rules inside the bins. Simpson's rule keeps the same rows and needs no run.
GEDA_VARIANTS: dict[str, tuple[specs.Option, ...]] = {
    "smoothed": (("ecdf", "smoothed"), ("within", "random")),
    "quantile": (("nodes", "quantile"), ("within", "random")),
    "spread": (),
    "first": (("within", "first"),),
}


def variant_run(scale: Config, variant: str, seed: int) -> Train:
    """Return a variant of GEDA at the smallest percentage (`geda` 6.1, left open there)."""
    options = (("n_nodes", scale.n_nodes), *GEDA_VARIANTS[variant])
    chosen = choice(scale, "geda", min(scale.percentages), seed, options=options)
    return subset_run(scale, scale.proxy, chosen)


def variant_runs(scale: Config) -> list[Train]:
    """Return every variant of GEDA with every seed."""
    return [variant_run(scale, name, seed) for seed in scale.seeds for name in GEDA_VARIANTS]


def solver_measures(scale: Config) -> list[Measure]:
    """Return the measurements of notebook 03: solvers, rivals and exact checks of `budgeted`."""
    names = (
        "lp-time",
        "budgeted-time",
        "budget-slope",
        "kernel-exponent",
        "linearisation",
        "rounding-gap",
        "power-monotone",
        "power-start",
        "selection-time",
        "textbook-draws",
        "scaling",
        "random-projection",
        "gap-table",
        "swap-gain",
        "greedy-share",
    )
    return [Measure(name) for name in names]


def geda_measures(scale: Config) -> list[Measure]:
    """Return the measurements of notebook 04: the MILP, CBC stopped, the ends, the variants."""
    names = ("geda-milp", "cbc-wrong", "geda-end-term", "geda-distance")
    return [Measure(name) for name in names]
