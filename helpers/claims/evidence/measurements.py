"""Numbers of measurements, which train nothing, as evidence: a metric, an array, a count."""

from __future__ import annotations

from typing import Any

import numpy as np

from helpers.claims.quantities import array, require_alone
from helpers.claims.verdicts import Evidence
from helpers.config import Config
from helpers.results import get
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
    note: str = "",
) -> Evidence:
    """A metric of a measurement, exact, or an array `value` whose entries are repeats.

    `at` names another array and its entry that tells the row; a single number is exact. `note` is
    filled with metrics: "N = {n}".
    """
    found = measure(name, options)
    told = note.format(**found.metrics)
    if value in found.metrics and value not in found.arrays:
        return Evidence(np.array([found.metrics[value]], dtype=float), exact=True, note=told)
    values = array(found, value)
    for axis, place in (at or {}).items():
        values = values[found.arrays[axis].tolist().index(place)]
    exact = np.ndim(values) == 0
    return Evidence(np.atleast_1d(values) if exact else values[None], exact=exact, note=told)


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
