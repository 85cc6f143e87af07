"""Which runs answer which question: a scale of parameters in, lists of specs out."""

from __future__ import annotations

from collections.abc import Callable

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
    subset_run,
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
from helpers.experiments.scale import (
    Scale,
    recorded,
)
from helpers.experiments.table import (
    frame,
)
from helpers.specs import Spec

__all__ = [
    "ALL",
    "GEDA_VARIANTS",
    "METHOD_OPTIONS",
    "Scale",
    "budgeted_run",
    "budgeted_runs",
    "centre_measures",
    "centre_orders",
    "choice",
    "compared_methods",
    "core_set_runs",
    "depth_run",
    "depth_runs",
    "extra_runs",
    "frame",
    "geda_measures",
    "ladder",
    "ladder_run",
    "ladder_runs",
    "node_run",
    "node_runs",
    "online_run",
    "online_runs",
    "online_settings",
    "oracle_runs",
    "recorded",
    "solver_measures",
    "start_run",
    "subset_run",
    "sweep_runs",
    "variant_run",
    "variant_runs",
    "weight_run",
    "weight_runs",
]

ALL: dict[str, Callable[[Scale], list[Spec]]] = {
    "01": lambda s: [*depth_runs(s), *extra_runs(s)],
    "02": lambda s: [
        *depth_runs(s),
        *centre_orders(s, False),
        *centre_orders(s, True),
        *centre_measures(s),
    ],
    "03": lambda s: [*solver_measures(s), *budgeted_runs(s), *weight_runs(s)],
    "04": lambda s: [*geda_measures(s), *ladder_runs(s), *node_runs(s), *variant_runs(s)],
    "05": lambda s: [*online_runs(s), *sweep_runs(s)],
    "06": lambda s: [*core_set_runs(s), *oracle_runs(s), *extra_runs(s)],
}
