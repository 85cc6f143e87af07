"""`svp` Tables 1, 3 and 4 with our numbers beside them: active learning, brief proxies, core-sets.

Rows and columns are those of `helpers.comparison`; ours is NaN where the scale has no such
setting, nothing is stored, or seconds were taken on a busy machine. Which of the printed data sets
stands beside ours follows from our data's name (`comparison.svp_data`); a table that has nothing
on it gives no rows.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial

import numpy as np
import pandas as pd

from helpers import experiments
from helpers.claims import stored
from helpers.claims.evidence import paper_table
from helpers.claims.evidence_active import labelled, speed_ups
from helpers.claims.evidence_proxies import on_brief
from helpers.claims.evidence_svp import on_choice
from helpers.comparison import LOST, SVP_FULL, SVP_METHODS, as_rows, lost, ours, svp_data
from helpers.experiments import Config

SPEED = "speed-up of selecting (x)"
ACTIVE_METHODS = {
    "Random": "random",
    "Least confidence": "least-confidence",
    "Greedy k-centers": "k-centers",
}
LABELLED = (10, 20, 30, 40, 50)  # per cent, the columns of Table 1
KEPT = (40, 60, 80)  # per cent, those of Table 4 that leave something out
LENGTHS = (181, 100, 50)  # epochs of the proxy in Table 3
# The printed networks that stand for our proxy, and those for `Config.more_proxies`, in order.
PROXIES = {
    "CIFAR10": "ResNet20",
    "ImageNet": "ResNet18",
    "Amazon Review Polarity": "fastText",
    "Amazon Review Full": "fastText",
}
BETWEEN = {
    "CIFAR10": ("ResNet56", "ResNet110"),
    "Amazon Review Polarity": ("VDCNN9",),
    "Amazon Review Full": ("VDCNN9",),
}


def full_error(dataset: str) -> float:
    """Return the printed error in % of the target on all rows of a data set.

    Source: `svp` section 3.3 for CIFAR-10, Table 4 for the others.
    """
    if dataset == "CIFAR10":
        return SVP_FULL
    table = paper_table("svp-table-4")
    return float(table.loc[table["dataset"] == dataset, "err_100"].dropna().iloc[0])


def selector(scale: Config, printed: str) -> str | None:
    """Return our network for a printed selector, `None` for one that has none here.

    The baseline, marked (B), is our target; networks between proxy and target are those of
    `scale.more_proxies`, in order. Random rows have no selector: "".
    """
    dataset, name = svp_data(scale), printed.split(" ")[0]
    if name == "-":
        return ""
    if "(B" in printed:
        return scale.target
    if name == PROXIES[dataset]:
        return scale.proxy
    between = zip(BETWEEN.get(dataset, ()), scale.more_proxies, strict=False)
    return dict(between).get(name)


def who(scale: Config, by: str) -> str:
    """Return how a row names its selector."""
    known = {"": "", scale.target: " by the target", scale.proxy: " by the proxy"}
    return known.get(by, f" by {by}")


def heading(table: int, dataset: str, cell: str) -> str:
    """Return the heading of some rows; CIFAR-10, which most profiles stand beside, is not said."""
    return f"svp Table {table}, {'' if dataset == 'CIFAR10' else dataset + ', '}{cell}"


def printed_rows(scale: Config, table: str) -> list[tuple[dict, str]]:
    """Return the printed rows on the data nearest to ours that we have a selector for, with it."""
    rows = paper_table(table)
    rows = rows[rows["dataset"] == svp_data(scale)].to_dict("records")
    found = [(row, selector(scale, row["selector"])) for row in rows]
    return [(row, by) for row, by in found if by is not None]


def svp_table_1(scale: Config) -> pd.DataFrame:
    """Active learning: points lost at each label budget, then speed-ups.

    Source: `svp` Table 1: rows Random, the target and the proxies that the scale has.
    """
    dataset, rows = svp_data(scale), []
    for row, by in printed_rows(scale, "svp-table-1"):
        method = ACTIVE_METHODS[row["method"]]
        base = {"document": "svp", "name": row["method"] + who(scale, by), "method": method}
        gained = cache(partial(speed_ups, scale, method, by))
        for percent in LABELLED:
            group = {"group": heading(1, dataset, f"{percent} % labelled")}
            harm = {"quantity": LOST, "paper": row[f"err_{percent}"] - full_error(dataset)}
            rows.append(base | group | harm | ours(_harm(scale, method, percent / 100, by)))
            if by not in ("", scale.target):
                speed = {"quantity": SPEED, "paper": row[f"speedup_{percent}"]}
                rows.append(base | group | speed | ours(_speed(scale, gained, percent / 100)))
    return as_rows(rows).sort_values(["quantity", "group"], kind="stable", ignore_index=True)


def _known(scale: Config, budget: float) -> None:
    """Refuse a label budget at which the scale ends no round.

    Raises:
        Missing: Always, in that case.
    """
    if budget not in scale.label_budgets:
        raise stored.Missing(f"no label budget {budget:g}")


def _harm(scale: Config, method: str, budget: float, by: str):
    """Return a function of points lost (seeds,) against the target on all labels."""

    def values() -> np.ndarray:
        _known(scale, budget)
        return lost(scale, labelled(scale, method, budget, by), scale.target)

    return values


def _speed(scale: Config, gained: Callable[[], np.ndarray], budget: float):
    """Return a function of a proxy's speed-ups (seeds,) up to one of all label budgets."""

    def values() -> np.ndarray:
        _known(scale, budget)
        return gained()[scale.label_budgets.index(budget)]

    return values


def stop_for(scale: Config, length: int) -> int | None:
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


def svp_table_3(scale: Config) -> pd.DataFrame:
    """Core-sets on CIFAR-10 by a proxy stopped after 181, 100 or 50 epochs, points lost.

    Beside other data there is no row.

    Source: `svp` Table 3, rows ResNet20.
    """
    if svp_data(scale) != "CIFAR10":
        return as_rows([])
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


def _brief(scale: Config, method: str, budget: float, stop: int | None):
    """Return a function of points lost (seeds,) on what a stopped proxy chose."""

    def values() -> np.ndarray:
        if stop is None or stop not in experiments.recorded(scale.epochs, scale.stops):
            raise stored.Missing("no such stop")
        whole = stop == scale.epochs
        run = on_choice(scale, method, budget) if whole else on_brief(scale, method, budget, stop)
        return lost(scale, run, scale.target)

    return values


def svp_table_4(scale: Config) -> pd.DataFrame:
    """Core-sets of 40, 60 and 80 % of images or texts, points lost; no row beside CIFAR-10.

    Source: `svp` Table 4.
    """
    dataset, rows = svp_data(scale), []
    for row, by in printed_rows(scale, "svp-table-4"):
        method = {"Random": "random", **SVP_METHODS}[row["method"]]
        name = {"name": row["method"] + who(scale, by)}
        for percent in KEPT:
            run = on_choice(scale, method, percent / 100, by)
            rows.append(
                {"document": "svp", "group": heading(4, dataset, f"{percent} % kept")}
                | name
                | {"method": method, "quantity": LOST}
                | {"paper": row[f"err_{percent}"] - full_error(dataset)}
                | ours(lambda run=run: lost(scale, run, scale.target))
            )
    return as_rows(rows).sort_values("group", kind="stable", ignore_index=True)
