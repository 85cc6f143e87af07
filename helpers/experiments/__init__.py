"""Which runs answer which question: the parameters in, cells and lists of specs out."""
# ruff: noqa: F401 - notebooks, claims and tables take these from here

from __future__ import annotations

from collections.abc import Callable

from helpers.config import Config, recorded
from helpers.experiments.builders import (
    FORWARD_SHARE,
    METHOD_OPTIONS,
    active_choice,
    active_run,
    budgeted_run,
    choice,
    depth_run,
    longer_epochs,
    multiply_adds,
    sampled_run,
    start_run,
    subset_run,
    weight,
)
from helpers.experiments.cells import (
    EQUAL_BILL,
    EQUAL_STEPS,
    LONGER,
    Cell,
    chosen,
    from_plain,
    grid,
    named,
    on_data,
    run,
    runs,
)
from helpers.experiments.measures import centre_orders, measures
from helpers.experiments.online import online_settings, sampled
from helpers.experiments.questions import (
    ACTIVE_METHODS,
    GEDA_VARIANTS,
    LADDER,
    PEERS,
    QUESTIONS,
    STEPPED,
    asked,
    brief_stop,
    compared_methods,
    dial_shares,
    own_batch,
    proxy_budgets,
    selectors,
    stops,
)
from helpers.experiments.table import frame, read_choice, seconds_of_choice
from helpers.specs import Spec

# Notebook -> the questions whose runs it needs.
OF_NOTEBOOK: dict[str, tuple[str, ...]] = {
    "01": (
        *("depths", "stepped", "extra", "more proxies", "single", "brief", "ensembles"),
        *("metrics", "active"),
    ),
    "02": ("depths", "families"),
    "03": ("budgeted", "panel", "weights"),
    "04": ("ladder", "peers", "nodes", "variants", "reselected"),
    "05": ("online", "sweeps", "online sweeps"),
    "06": (
        *("core-set", "by target", "extra", "opponents", "dial", "own batch"),
        *("slides", "replicated", "table two"),
    ),
}


def _all(number: str) -> Callable[[Config], list[Spec]]:
    return lambda config: [
        *measures(config, number),
        *asked(config, *OF_NOTEBOOK[number]),
    ]


ALL: dict[str, Callable[[Config], list[Spec]]] = {number: _all(number) for number in OF_NOTEBOOK}
