"""Measurements that train nothing: seconds of solvers, and claims decided by enumeration.

Each takes a seed and plain options and returns (metrics, arrays); seconds are medians over
repeats, a first call being left out.
"""

from collections.abc import Callable

import numpy as np

from helpers.measurements import (
    coverage,
    gaps,
    geda_variants,
    program_claims,
    program_times,
    selection_times,
    submodular_claims,
    textbook,
)

Measured = tuple[dict[str, object], dict[str, np.ndarray]]

MEASUREMENTS: dict[str, Callable[..., Measured]] = {
    "lp-time": program_times.lp_time,
    "budgeted-time": program_times.budgeted_time,
    "budget-slope": program_times.budget_slope,
    "kernel-exponent": program_times.kernel_exponent,
    "linearisation": program_claims.linearisation,
    "rounding-gap": program_claims.rounding_gap,
    "power-monotone": program_claims.power_monotone,
    "power-start": program_claims.power_start,
    "selection-time": selection_times.selection_time,
    "textbook-draws": textbook.textbook_draws,
    "scaling": selection_times.scaling,
    "random-projection": selection_times.random_projection,
    "gap-table": gaps.gap_table,
    "swap-gain": gaps.swap_gain,
    "greedy-share": submodular_claims.greedy_share,
    "geda-milp": coverage.geda_milp,
    "geda-end-term": coverage.geda_end_term,
    "geda-distance": geda_variants.geda_distance,
    "cbc-wrong": geda_variants.cbc_wrong,
    "kcenters-time": coverage.kcenters_time,
}
