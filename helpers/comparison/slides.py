"""The table that `svp-slides` reports with our numbers beside it: core-sets by entropy.

Rows and columns are those of `helpers.comparison`; ours is NaN where the scale has no such
setting or nothing is stored.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd

from helpers.claims.evidence import paper_table
from helpers.claims.evidence_proxies import on_brief, on_ensemble
from helpers.claims.evidence_slides import on_svhn
from helpers.claims.evidence_svp import on_choice
from helpers.claims.stored import BySeed, Missing
from helpers.comparison import LOST, as_rows, lost, ours, svp_data
from helpers.comparison.svp import KEPT, stop_for
from helpers.experiments import Config

LENGTHS = (180, 181, 5)  # epochs of selectors that the slides train to their end
SVHN_BRIEF = 10  # and on SVHN, where 50 are the whole, those of one that is stopped


def slides_data(scale: Config) -> str:
    """Return the data set of the slides whose rows stand beside ours, as they call it."""
    return "SVHN" if on_svhn(scale) else svp_data(scale)


def slides_table(scale: Config) -> pd.DataFrame:
    """Core-sets of 40, 60 and 80 % by entropy and by chance, points lost against the full set.

    Source: `svp-slides`, the table of reported errors.

    Note: the slides combine three proxies stopped after 50 epochs, we combine whole ones.
    """
    table = paper_table("svp-slides-reported")
    table = table[table["dataset"] == slides_data(scale)]
    full_error = table.loc[table["selector"] == "none", "err_100"]
    rows = []
    for row in table.to_dict("records"):
        name, run = _setting(scale, row)
        method = "random" if name == "Random" else "entropy"
        for percent in KEPT:
            base = {"document": "svp-slides", "group": f"svp-slides, {percent} % kept",
                    "name": name, "method": method, "quantity": LOST}  # fmt: skip
            printed = {"paper": row[f"err_{percent}"] - full_error.iloc[0]}
            rows.append(base | printed | ours(partial(_lost, scale, run, percent / 100)))
    found = as_rows(rows)
    known = found[found["paper"].notna()]
    return known.sort_values("group", kind="stable", ignore_index=True)


def _is_brief(row: dict) -> bool:
    """Tell whether the selector was stopped before the end of its training."""
    epochs = row["selector_epochs"]
    return epochs == SVHN_BRIEF if row["dataset"] == "SVHN" else epochs not in LENGTHS


def _setting(scale: Config, row: dict) -> tuple[str, Callable[[float], BySeed]]:
    """Return how a row is named, and a function from the share kept to our runs."""
    selector = row["selector"]
    if selector == "none":
        return "Random", partial(on_choice, scale, "random")
    if "ResNet164" in selector:
        return "Entropy by the target", partial(on_choice, scale, "entropy", by=scale.target)
    if selector.startswith("3x"):
        return "Entropy by three proxies", partial(on_ensemble, scale, size=3)
    if _is_brief(row):
        return "Entropy by the proxy, stopped early", partial(_on_stopped, scale, row)
    return "Entropy by the proxy", partial(on_choice, scale, "entropy")


def _on_stopped(scale: Config, row: dict, share: float) -> BySeed:
    """Return our runs on what a stopped proxy selects.

    Raises:
        Missing: If the scale stops none there.
    """
    stop = min(scale.stops, default=None) if row["dataset"] == "SVHN" else stop_for(scale, 50)
    if stop is None or stop >= scale.epochs:
        raise Missing("no such stop")
    return on_brief(scale, "entropy", share, stop)


def _lost(scale: Config, run: Callable[[float], BySeed], share: float) -> np.ndarray:
    """Return points lost at a share, (seeds,)."""
    return lost(scale, run(share), scale.target)
