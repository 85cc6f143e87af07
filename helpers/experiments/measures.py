"""What each notebook needs: runs by question, rankings by k-centers, and measurements."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from helpers.config import Config
from helpers.experiments import online  # noqa: F401 - it adds its questions
from helpers.experiments.questions import asked, compared_methods
from helpers.specs import Measure, Select, Spec

# Notebook -> the questions whose runs it needs.
OF_NOTEBOOK: dict[str, tuple[str, ...]] = {
    "01": (
        *("depths", "stepped", "extra", "more proxies", "single", "brief", "ensembles"),
        *("metrics", "active"),
    ),
    "02": ("depths", "families"),
    "03": ("budgeted", "panel", "weights", "table two", "ages", "ablations", "extractors"),
    "04": ("ladder", "peers", "nodes", "variants", "reselected"),
    "05": ("online", "sweeps", "online sweeps"),
    "06": (
        *("core-set", "by target", "extra", "opponents", "dial", "own batch"),
        *("slides", "replicated"),
    ),
}
# By name, with options where a claim fixes how much is measured.
MEASURES: dict[str, tuple[Measure, ...]] = {
    "02": (Measure("kcenters-time"),),
    # solvers, rivals and exact checks of `budgeted`
    "03": (
        *map(Measure, ("lp-time", "budgeted-time", "kernel-exponent", "selection-time")),
        *map(Measure, ("linearisation", "rounding-gap", "power-monotone", "power-start")),
        *map(Measure, ("scaling", "random-projection", "gap-table", "swap-gain")),
        *map(Measure, ("greedy-share", "step-seconds", "table-one")),
        Measure("budget-slope", options=(("n_pools", 400),)),
        Measure("textbook-draws", options=(("repeats", 6),)),
        Measure("power-start", options=(("sizes", (3000,)), ("n_instances", 60))),
        Measure("kernel-exponent", options=(("repeats", 5),)),
    ),
    # the MILP, CBC stopped, the ends, the variants
    "04": (
        *map(Measure, ("geda-milp", "cbc-wrong", "geda-end-term", "geda-distance")),
        *map(Measure, ("geda-matching", "adaptive-bounds", "shapley")),
        Measure("geda-milp", options=(("sizes", (1000, 5000)),)),
    ),
}


def centre_orders(config: Config, same_start: bool) -> list[Select]:
    """Return k-centers rankings of all rows by every depth run (`svp` figures 3c and 10)."""
    options = (("n_initial", config.n_initial),)
    ranking = asked(config, "depths") if "k-centers" in compared_methods(config) else []
    seeds = [config.first_seed if same_start else 1000 + 10 * i for i in range(len(ranking))]
    return [Select(run.dataset, "k-centers", 1.0, seed, (run,), options=options)
            for seed, run in zip(seeds, ranking, strict=True)]  # fmt: skip


def measures(config: Config, number: str) -> list[Spec]:
    """Return the measurements of a notebook ("03"), and the rankings that notebook 02 reads."""
    found: list[Spec] = list(MEASURES.get(number, ()))
    if number == "03" and any(one.startswith("pretrained:") for one in config.panel_models):
        found.append(Measure("frozen-seconds"))
        # Table I on its 3,000 points, of the data and by the network that the study tunes
        real = Measure(
            "selection-time", options=(("n", 3000), ("of", (config.data_name, config.proxy)))
        )
        found = [real if one == Measure("selection-time") else one for one in found]
    if number == "02":
        found += [*centre_orders(config, False), *centre_orders(config, True)]
    return found


def needed(number: str, config: Config) -> list[Spec]:
    """Return all that a notebook needs."""
    return [*measures(config, number), *asked(config, *OF_NOTEBOOK[number])]


ALL: dict[str, Callable[[Config], list[Spec]]] = {n: partial(needed, n) for n in OF_NOTEBOOK}
