"""Which runs answer which question: the parameters in, cells and lists of specs out."""
# ruff: noqa: F401 - notebooks, claims and tables take these from here

from helpers.config import Config, recorded
from helpers.experiments.cells import (
    EQUAL_BILL,
    EQUAL_STEPS,
    FORWARD_SHARE,
    LONGER,
    Cell,
    chosen,
    depth_run,
    grid,
    multiply_adds,
    named,
    on_data,
    run,
    runs,
    start_run,
    weight,
)
from helpers.experiments.measures import ALL, OF_NOTEBOOK, centre_orders, measures
from helpers.experiments.online import online_settings, sampled
from helpers.experiments.questions import (
    ACTIVE_METHODS,
    GEDA_VARIANTS,
    LADDER,
    PEERS,
    QUESTIONS,
    STEPPED,
    ablations,
    ages,
    asked,
    brief_stop,
    compared_methods,
    dial_shares,
    geda_cell,
    own_batch,
    proxy_budgets,
    seeded,
    selectors,
    stops,
)
from helpers.experiments.table import frame, seconds_of_choice
