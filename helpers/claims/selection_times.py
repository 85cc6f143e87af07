"""Seconds of selection: `budgeted` Table I and our measurement "selection-time", as tidy rows.

Both tables have columns method (key, for the colour), name, share (k / n) and seconds.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from helpers.claims.printed import paper_table
from helpers.results.store import Result

PAPER_POOL = 3000
PRINTED = {"DPP": "dpp", "Submodular": "submodular", "Proposed": "iqp"}
CONTENDERS = {
    "dpp": ("dpp", "k-DPP, textbook"),
    "exact": ("dpp-exact", "k-DPP, exact, ours"),
    "map": ("dpp-map", "k-DPP, greedy MAP"),
    "greedy": ("submodular", "Coverage + diversity, plain"),
    "lazy": ("submodular-lazy", "Coverage + diversity, lazy"),
    "iqp": ("iqp", "LP + truncated power"),
    "random": ("random", "Random"),
}


def printed() -> pd.DataFrame:
    """Return every time that Table I prints, a row a data set, network, method and budget."""
    table = paper_table("budgeted-table-1").melt(["dataset", "model", "method"], var_name="k")
    table = table.dropna(subset="value")
    return pd.DataFrame(
        {
            "method": table["method"].map(PRINTED),
            "name": table["method"],
            "share": table["k"].str.removeprefix("k_").astype(int) / PAPER_POOL,
            "seconds": pd.to_timedelta(table["value"]).dt.total_seconds(),
        }
    )


def measured(found: Result) -> pd.DataFrame:
    """Return every time of the measurement, a row a round, contender and budget.

    The LP as written ran on a smaller pool, which its name tells.
    """
    written = {"lp": ("highs", f"LP as written, N = {found.metrics['n_lp']}")}
    rows = [
        (key, name, share, seconds)
        for series, (key, name) in (CONTENDERS | written).items()
        for times in np.atleast_2d(found.arrays[f"seconds_{series}"])
        for share, seconds in zip(found.arrays["shares"], times, strict=True)
    ]
    return pd.DataFrame(rows, columns=["method", "name", "share", "seconds"])
