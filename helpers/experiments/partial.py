"""What there is of a list of runs: a study that is not finished yet still draws what it has."""

from __future__ import annotations

import os
from collections.abc import Sequence

import pandas as pd

from helpers import results
from helpers.experiments.table import frame
from helpers.specs import Train
from helpers.store import Result


def table(wanted: Sequence[Train], alone: bool = False) -> pd.DataFrame:
    """Return `experiments.frame` of the runs that are `available`."""
    return frame(*available(wanted, alone))


def available(wanted: Sequence[Train], alone: bool = False) -> tuple[list[Train], list[Result]]:
    """Return the runs that have results, and these.

    Args:
        wanted: Training runs, as asked for.
        alone: As for `results.compute`.

    Returns:
        Specs and their results, in order. What is missing is computed, so that all are there;
        only under `$STUDY_OFFLINE`, as when published results are drawn again, runs are left
        out that are neither stored nor published.
    """
    if not os.environ.get("STUDY_OFFLINE"):
        return list(wanted), results.compute(wanted, alone=alone)
    found = [(run, one) for run in wanted if (one := results.load(run)) is not None]
    return [run for run, _ in found], [one for _, one in found]
