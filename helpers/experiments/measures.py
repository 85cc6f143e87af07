"""What notebooks ask for beside training runs: rankings by k-centers, and measurements."""

from __future__ import annotations

from helpers.config import Config
from helpers.experiments.questions import asked, compared_methods
from helpers.specs import Measure, Select, Spec

# By name; whole where a claim fixes how much is measured.
MEASURES: dict[str, tuple[str | Measure, ...]] = {
    "02": ("kcenters-time",),
    # solvers, rivals and exact checks of `budgeted`
    "03": (
        *("lp-time", "budgeted-time", "budget-slope", "kernel-exponent", "linearisation"),
        *("rounding-gap", "power-monotone", "power-start", "selection-time", "textbook-draws"),
        *("scaling", "random-projection", "gap-table", "swap-gain", "greedy-share"),
        "step-seconds",
        "table-one",
        Measure("budget-slope", options=(("n_pools", 400),)),
        Measure("textbook-draws", options=(("repeats", 6),)),
        Measure("power-start", options=(("sizes", (3000,)), ("n_instances", 60))),
        Measure("kernel-exponent", options=(("repeats", 5),)),
    ),
    # the MILP, CBC stopped, the ends, the variants
    "04": (
        *("geda-milp", "cbc-wrong", "geda-end-term", "geda-distance"),
        *("geda-matching", "adaptive-bounds", "shapley"),
        Measure("geda-milp", options=(("sizes", (1000, 5000)),)),
    ),
}


def centre_orders(config: Config, same_start: bool) -> list[Select]:
    """Return k-centers rankings of all rows by every depth run (`svp` figures 3c and 10)."""
    start = (("n_initial", config.n_initial),)
    ranking = asked(config, "depths") if "k-centers" in compared_methods(config) else []
    return [
        Select(
            run.dataset,
            "k-centers",
            1.0,
            config.first_seed if same_start else 1000 + 10 * i,
            (run,),
            options=start,
        )
        for i, run in enumerate(ranking)
    ]


def measures(config: Config, number: str) -> list[Spec]:
    """Return the measurements of a notebook ("03"), and the rankings that notebook 02 reads."""
    found: list[Spec] = [
        Measure(one) if isinstance(one, str) else one for one in MEASURES.get(number, ())
    ]
    if number == "03" and any(one.startswith("pretrained:") for one in config.panel_models):
        found.append(Measure("age-regression"))
    if number == "02":
        found += [*centre_orders(config, False), *centre_orders(config, True)]
    return found
