"""Measurements that train nothing: seconds of solvers, and claims decided by enumeration.

Each takes a seed and plain options and returns (metrics, arrays). Seconds are those of calls after
one that does not count; where one number stands for several, it is their median.

Options that mean the same everywhere: n or sizes, rows of the made-up pools; d, their features;
share or shares, k / n; repeats, timed calls; n_instances, random instances, their sizes drawn up
to n_max; n_nodes, the N of `geda`; solvers, "highs", "cbc" or both.
"""

from helpers.measurements import enumerations, frozen, gaps, geda_theory, rivals, timings
from helpers.measurements.table import MEASUREMENTS

__all__ = ["MEASUREMENTS", "enumerations", "frozen", "gaps", "geda_theory", "rivals", "timings"]
