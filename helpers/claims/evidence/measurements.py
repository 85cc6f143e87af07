"""Numbers of measurements, which train nothing, as evidence: a metric, an array, a count."""

from __future__ import annotations

from typing import Any

import numpy as np

from helpers.claims.quantities import require_alone
from helpers.claims.verdicts import Evidence
from helpers.config import Config
from helpers.results import Missing, get
from helpers.results.store import Result
from helpers.specs import Measure


def measure(name: str, options: dict[str, Any] | None = None, timed: bool = False) -> Result:
    """Return a stored measurement; where `timed`, one that had the machine alone."""
    given = {k: tuple(v) if isinstance(v, list) else v for k, v in (options or {}).items()}
    found = get(Measure(name, options=tuple(given.items())))
    if timed:
        require_alone([found])
    return found


def measured(
    config: Config,
    name: str,
    value: str,
    options: dict[str, Any] | None = None,
    at: dict[str, float] | None = None,
    timed: bool = False,
    note: str = "",
) -> Evidence:
    """A metric of a measurement, exact, or an array of it whose entries are repeats.

    Args:
        config: Unused.
        name: Of the measurement.
        value: Name of the array or, where there is none, metric; with `at`, of an array's row.
        options: Of the measurement.
        at: Name of another array -> its entry that tells the row; a single number is exact.
        timed: Whether the measurement must have had the machine alone.
        note: Filled with metrics: "N = {n}".
    """
    found = measure(name, options, timed)
    told = note.format(**found.metrics)
    if value in found.metrics and value not in found.arrays:
        return Evidence(np.array([found.metrics[value]], dtype=float), exact=True, note=told)
    if value not in found.arrays:
        raise Missing(f"{name} was measured without {value}")
    values = found.arrays[value]
    for axis, place in (at or {}).items():
        row = np.flatnonzero(found.arrays[axis] == place)
        if not len(row):
            raise Missing(f"{name} was measured at no {axis} {place}")
        values = values[row[0]]
    return Evidence(np.atleast_1d(values) if np.ndim(values) == 0 else values[None],
                    exact=np.ndim(values) == 0, note=told)  # fmt: skip


def counted(
    config: Config,
    name: str,
    count: str = "",
    all_but: str = "",
    trials: str = "n_instances",
    note: str = "",
) -> Evidence:
    """How many of a measurement's trials show something: a metric, or all but a metric."""
    metrics = measure(name).metrics
    found = metrics[count] if count else metrics[trials] - metrics[all_but]
    return Evidence(np.array([found, metrics[trials]]), note=note.format(**metrics))
