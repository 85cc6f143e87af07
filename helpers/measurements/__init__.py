"""Measurements that train nothing: seconds of solvers, and claims decided by enumeration.

Each takes a seed and plain options and returns (metrics, arrays). Seconds are those of calls after
one that does not count; where one number stands for several, it is their median.
"""

from helpers.measurements import enumerations, gaps, geda_checks, rivals, timings
from helpers.measurements.table import MEASUREMENTS

__all__ = ["MEASUREMENTS", "enumerations", "gaps", "geda_checks", "rivals", "timings"]
