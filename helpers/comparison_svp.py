"""`svp` Tables 1 and 3 with our numbers beside them: active learning, proxies stopped early.

Rows and columns are those of `helpers.comparison`; ours is NaN where the scale has no such
setting, nothing is stored, or seconds were taken on a busy machine.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from helpers import experiments
from helpers.claims import stored
from helpers.claims.evidence import paper_table
from helpers.claims.evidence_active import labelled, speed_ups
from helpers.claims.evidence_proxies import on_brief
from helpers.claims.evidence_svp import on_choice
from helpers.comparison import LOST, SVP_FULL, SVP_METHODS, lost, ours
from helpers.experiments import Scale

SPEED = "speed-up of selecting (x)"
ACTIVE_METHODS = {
    "Random": "random",
    "Least confidence": "least-confidence",
    "Greedy k-centers": "k-centers",
}
LABELLED = (10, 20, 30, 40, 50)  # per cent, the columns of Table 1
LENGTHS = (181, 100, 50)  # epochs of the proxy in Table 3


def selector(scale: Scale, printed: str) -> str | None:
    """Return our network for a printed one: the proxy, the target; None for those between."""
    name = printed.split(" ")[0]
    return {"-": "", "ResNet20": scale.proxy, "ResNet164": scale.target}.get(name)


def who(scale: Scale, by: str) -> str:
    """Return how a row names its selector."""
    return {"": "", scale.target: " by the target"}.get(by, " by the proxy")


def svp_table_1(scale: Scale) -> pd.DataFrame:
    """Active learning on CIFAR-10: points lost at each label budget, then speed-ups.

    Source: `svp` Table 1, rows Random, ResNet20 and ResNet164.
    """
    table = paper_table("svp-table-1")
    rows = []
    for row in table[table["dataset"] == "CIFAR10"].to_dict("records"):
        by = selector(scale, row["selector"])
        if by is None:
            continue
        method = ACTIVE_METHODS[row["method"]]
        base = {"document": "svp", "name": row["method"] + who(scale, by), "method": method}
        for percent in LABELLED:
            group = {"group": f"svp Table 1, {percent} % labelled"}
            harm = {"quantity": LOST, "paper": row[f"err_{percent}"] - SVP_FULL}
            rows.append(base | group | harm | ours(_harm(scale, method, percent / 100, by)))
            if by == scale.proxy:
                speed = {"quantity": SPEED, "paper": row[f"speedup_{percent}"]}
                rows.append(base | group | speed | ours(_speed(scale, method, percent / 100)))
    return pd.DataFrame(rows).sort_values(["quantity", "group"], kind="stable", ignore_index=True)


def _known(scale: Scale, budget: float) -> None:
    """Refuse a label budget at which the scale ends no round.

    Raises:
        Missing: Always, in that case.
    """
    if budget not in scale.label_budgets:
        raise stored.Missing(f"no label budget {budget:g}")


def _harm(scale: Scale, method: str, budget: float, by: str):
    """Return a function of points lost (seeds,) against the target on all labels."""

    def values() -> np.ndarray:
        _known(scale, budget)
        return lost(scale, labelled(scale, method, budget, by), scale.target)

    return values


def _speed(scale: Scale, method: str, budget: float):
    """Return a function of the proxy's speed-ups (seeds,) up to a label budget."""

    def values() -> np.ndarray:
        _known(scale, budget)
        return speed_ups(scale, method)[scale.label_budgets.index(budget)]

    return values


def stop_for(scale: Scale, length: int) -> int | None:
    """Return our stop that stands for a printed length of training, None without one.

    Each of our stops stands for the printed length that its share of all epochs is nearest to.
    """
    whole = max(LENGTHS)
    if length == whole:
        return scale.epochs
    gaps = {
        stop: abs(stop / scale.epochs - length / whole)
        for stop in scale.stops
        if stop < scale.epochs
        and min(LENGTHS, key=lambda one, at=stop / scale.epochs: abs(at - one / whole)) == length
    }
    return min(gaps, key=gaps.get) if gaps else None


def svp_table_3(scale: Scale) -> pd.DataFrame:
    """Core-sets on CIFAR-10 by a proxy stopped after 181, 100 or 50 epochs, points lost.

    Source: `svp` Table 3, rows ResNet20.
    """
    table = paper_table("svp-table-3")
    table = table[(table["dataset"] == "CIFAR10") & (table["selector"] == "ResNet20")]
    rows = []
    for row in table.to_dict("records"):
        method, stop = SVP_METHODS[row["method"]], stop_for(scale, row["selector_epochs"])
        name = f"{row['method']}, {row['selector_epochs']} of 181 epochs"
        name += f" (ours {stop} of {scale.epochs})" if stop else ""
        for share in (30, 50, 70):
            base = {"document": "svp", "group": f"svp Table 3, {share} % kept", "name": name,
                    "method": method, "quantity": LOST}  # fmt: skip
            printed = {"paper": row[f"err_{share}"] - SVP_FULL}
            rows.append(base | printed | ours(_brief(scale, method, share / 100, stop)))
    return pd.DataFrame(rows).sort_values("group", kind="stable", ignore_index=True)


def _brief(scale: Scale, method: str, budget: float, stop: int | None):
    """Return a function of points lost (seeds,) on what a stopped proxy chose."""

    def values() -> np.ndarray:
        if stop is None or stop not in experiments.recorded(scale.epochs):
            raise stored.Missing("no such stop")
        whole = stop == scale.epochs
        run = on_choice(scale, method, budget) if whole else on_brief(scale, method, budget, stop)
        return lost(scale, run, scale.target)

    return values
