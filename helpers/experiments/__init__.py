"""Which runs answer which question: the parameters in, lists of specs out."""
# ruff: noqa: F401 - notebooks, claims and tables take the lists from here

from __future__ import annotations

from collections.abc import Callable

from helpers.config import (
    Config,
    recorded,
)
from helpers.experiments.active import (
    ACTIVE_METHODS,
    active_choice,
    active_run,
    active_runs,
    initial_choice,
    round_run,
)
from helpers.experiments.core_sets import (
    METHOD_OPTIONS,
    centre_measures,
    centre_orders,
    choice,
    compared_methods,
    core_set_runs,
    depth_run,
    depth_runs,
    extra_runs,
    oracle_runs,
    replicated_run,
    replicated_runs,
    subset_run,
)
from helpers.experiments.costs import (
    cost_runs,
    longer_epochs,
    longer_run,
    paid_choice,
    paid_runs,
    repeated_run,
)
from helpers.experiments.families import (
    FAMILIES,
    family_of,
    family_run,
    family_runs,
)
from helpers.experiments.online import (
    online_run,
    online_runs,
    online_settings,
    sweep_runs,
)
from helpers.experiments.programs import (
    GEDA_VARIANTS,
    budgeted_run,
    budgeted_runs,
    geda_measures,
    ladder,
    ladder_run,
    ladder_runs,
    node_run,
    node_runs,
    solver_measures,
    start_run,
    variant_run,
    variant_runs,
    weight_run,
    weight_runs,
)
from helpers.experiments.proxies import (
    BRIEF_METHODS,
    ENSEMBLE_SIZES,
    UNCERTAINTIES,
    brief_choice,
    brief_runs,
    ensemble_choice,
    ensemble_runs,
    metric_choice,
    metric_runs,
    own_batch_choice,
    own_batch_runs,
    proxy_budgets,
    proxy_runs,
    quick_choice,
    quick_runs,
    selectors,
    single_runs,
)
from helpers.experiments.table import (
    frame,
    read_choice,
    seconds_of_choice,
)
from helpers.specs import Spec

ALL: dict[str, Callable[[Config], list[Spec]]] = {
    "01": lambda s: [
        *depth_runs(s),
        *extra_runs(s),
        *proxy_runs(s),
        *single_runs(s),
        *brief_runs(s),
        *ensemble_runs(s),
        *metric_runs(s),
        *active_runs(s),
    ],
    "02": lambda s: [
        *depth_runs(s),
        *centre_orders(s, False),
        *centre_orders(s, True),
        *centre_measures(s),
        *family_runs(s),
    ],
    "03": lambda s: [*solver_measures(s), *budgeted_runs(s), *weight_runs(s)],
    "04": lambda s: [*geda_measures(s), *ladder_runs(s), *node_runs(s), *variant_runs(s)],
    "05": lambda s: [*online_runs(s), *sweep_runs(s)],
    "06": lambda s: [
        *core_set_runs(s),
        *oracle_runs(s),
        *extra_runs(s),
        *cost_runs(s),
        *paid_runs(s),
        *own_batch_runs(s),
        *quick_runs(s),
        *replicated_runs(s),
    ],
}
