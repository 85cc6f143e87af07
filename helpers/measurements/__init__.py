"""Measurements that train nothing: seconds of solvers, and claims decided by enumeration.

Each takes a seed and plain options and returns (metrics, arrays); seconds are medians over
repeats, a first call being left out.
"""

from collections.abc import Callable

import numpy as np

from helpers.measurements import coverage, program_claims, program_times

Measured = tuple[dict[str, object], dict[str, np.ndarray]]

MEASUREMENTS: dict[str, Callable[..., Measured]] = {
    "lp-time": program_times.lp_time,
    "budgeted-time": program_times.budgeted_time,
    "kernel-exponent": program_times.kernel_exponent,
    "linearisation": program_claims.linearisation,
    "rounding-gap": program_claims.rounding_gap,
    "power-monotone": program_claims.power_monotone,
    "power-start": program_claims.power_start,
    "geda-milp": coverage.geda_milp,
    "geda-end-term": coverage.geda_end_term,
    "kcenters-time": coverage.kcenters_time,
}
