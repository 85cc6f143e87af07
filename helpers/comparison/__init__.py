"""The documents' tables with our numbers beside them, as far as our runs are stored.

Every function returns one row a printed cell with columns document, group (heading in figures),
name, method (key, for the colour), quantity, paper, ours, low and high (95 % t interval over
seeds). Ours is NaN where the scale has no such setting, nothing is stored, or seconds were taken
on a busy machine. Data sets and networks differ, so accuracies are compared as points lost
against the full set's; the sizes are not replications, the signs and orders may be.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from helpers.claims import evidence_adonis as online, evidence_geda, stored
from helpers.claims.evidence import EVIDENCE, paper_table
from helpers.claims.evidence_budgeted import PAPER_POOL, timing
from helpers.claims.evidence_svp import on_choice
from helpers.experiments import Config
from helpers.ranking import t_interval
from helpers.results.store import Result

LOST = "points lost against the full set"
SVP_FULL = 5.1  # error in % of ResNet164 on CIFAR-10, `svp` section 3.3
GEDA_FULL = 86.23  # accuracy in % without pre-training, `geda` Table 5.1
SVP_METHODS = {
    "Forgetting Events": "forgetting",
    "Entropy": "entropy",
    "Facility Location": "k-centers",  # what the authors' table calls greedy k-centers
}
# How our data's name begins -> the data of `svp` nearest to it in kind; CIFAR-10 for all others.
SVP_NEAREST = {
    "amazon-reviews": "Amazon Review Polarity",
    "amazon-ratings": "Amazon Review Full",
    "imdb": "Amazon Review Polarity",
    "text:": "Amazon Review Polarity",
    "imagenette": "ImageNet",
    "folder:": "ImageNet",
    # of CIFAR-100 the error on all rows is not printed, which ours count their loss from
    "cifar100": "",
    "svhn": "",  # only `svp-slides` has it
}
WORDS = ("document", "group", "name", "method", "quantity")
NUMBERS = ("paper", "ours", "low", "high")
GEDA_RUNGS = {
    "Random": "random-per-class",
    "Random over the quantiles": "random-per-quartile",
    "Evenly spaced selection": "evenly-spaced",
    "GEDA": "geda-random",
}
BUDGETED_METHODS = {"DPP": "dpp", "Submodular": "submodular", "Proposed": "iqp"}
CONTENDERS = {
    "dpp": ("dpp", "k-DPP, textbook"),
    "exact": ("dpp-exact", "k-DPP, exact, ours"),
    "map": ("dpp-map", "k-DPP, greedy MAP"),
    "greedy": ("submodular", "Coverage + diversity, plain"),
    "lazy": ("submodular-lazy", "Coverage + diversity, lazy"),
    "iqp": ("iqp", "LP + truncated power"),
    "random": ("random", "Random"),
}
BUDGETED_SECONDS = {"DPP": "dpp", "Submodular": "greedy", "Proposed": "iqp"}


def ours(values: Callable[[], np.ndarray]) -> dict[str, float]:
    """Return mean and interval of values over seeds, NaN where they cannot be had."""
    try:
        found = np.asarray(values(), dtype=float)
    except (stored.Missing, stored.Unfit):
        return {"ours": np.nan, "low": np.nan, "high": np.nan}
    mean, low, high = t_interval(found)
    ends = (low, high) if len(found) > 1 else (np.nan, np.nan)
    return {"ours": mean, "low": ends[0], "high": ends[1]}


def svp_data(scale: Config) -> str:
    """Return the data set of `svp` whose rows stand beside ours, as its tables call it; or ""."""
    fitting = (name for start, name in SVP_NEAREST.items() if scale.dataset.startswith(start))
    return next(fitting, "CIFAR10")


def as_rows(rows: list[dict]) -> pd.DataFrame:
    """Return the rows of a table; without any, its empty columns."""
    if rows:
        return pd.DataFrame(rows)
    kinds = dict.fromkeys(WORDS, object) | dict.fromkeys(NUMBERS, float)
    return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in kinds.items()})


def svp_table_2(scale: Config) -> pd.DataFrame:
    """Core-sets on CIFAR-10 by a small proxy and by the target itself; no row beside other data.

    Source: `svp` Table 2, rows ResNet20 and ResNet164.
    """
    if svp_data(scale) != "CIFAR10":
        return as_rows([])
    table = paper_table("svp-table-2")
    table = table[(table["dataset"] == "CIFAR10") & (table["selector"] != "ResNet56")]
    rows = []
    for row in table.to_dict("records"):
        by = scale.proxy if row["selector"] == "ResNet20" else scale.target
        who = "proxy" if row["selector"] == "ResNet20" else "target"
        for share in (30, 50, 70):
            method = SVP_METHODS[row["method"]]
            run = on_choice(scale, method, share / 100, by)
            rows.append(
                {"document": "svp", "group": f"svp Table 2, {share} % kept",
                 "name": f"{row['method']} by the {who}", "method": method, "quantity": LOST,
                 "paper": row[f"err_{share}"] - SVP_FULL}
                | ours(lambda run=run: lost(scale, run, scale.target))
            )  # fmt: skip
    return pd.DataFrame(rows).sort_values("group", kind="stable", ignore_index=True)


def lost(scale: Config, run: stored.BySeed, model: str) -> np.ndarray:
    """Return points lost by a setting against the full set, (seeds,)."""
    return stored.accuracy(scale, stored.full(scale, model)) - stored.accuracy(scale, run)


def geda_table_a2(scale: Config) -> pd.DataFrame:
    """The ladder to GEDA on CIFAR-10.

    Source: `geda` Tables A.2 and, for the full set, 5.1.
    """
    table = paper_table("geda-table-a2")
    table = table[table["dataset"] == "CIFAR-10"].set_index(["percent", "method"])["acc"]
    rows = []
    for percent in (20, 40, 60, 80):
        for printed, rung in GEDA_RUNGS.items():
            run = evidence_geda.rung(scale, rung, percent / 100)
            rows.append(
                {"document": "geda", "group": f"geda Table A.2, {percent} % kept",
                 "name": printed, "method": rung, "quantity": LOST,
                 "paper": GEDA_FULL - table[percent, printed]}
                | ours(lambda run=run: lost(scale, run, scale.proxy))
            )  # fmt: skip
    return pd.DataFrame(rows)


def adonis_table_a1(scale: Config) -> pd.DataFrame:
    """Online selection with ResNet18 on CIFAR-10: points lost, then train boosts.

    Source: `adonis` Table A1.
    """
    table = paper_table("adonis-table-a1")
    table = table[(table["dataset"] == "CIFAR-10") & (table["model"] == "ResNet18")]
    rows = []
    for row in table.to_dict("records"):
        found = _online(scale, row["method"], row["eta"])
        if found is None:
            continue
        method, run = found
        eta = "" if np.isnan(row["eta"]) else f", eta {row['eta']:.0f}"
        base = {"document": "adonis", "name": row["method"] + eta, "method": method}
        harm = base | {"quantity": LOST, "paper": row["acc_drop_pp"]}
        boost = base | {"quantity": "train boost (x)", "paper": row["train_boost"]}
        rows.append(harm | ours(lambda run=run: online.lost(scale, run)))
        rows.append(boost | ours(lambda run=run: online.boosts(scale, run)[0]))
    found = pd.DataFrame(rows)
    found.insert(1, "group", "adonis Table A1, " + found["quantity"].str.split(" against").str[0])
    return found.sort_values("group", kind="stable", ignore_index=True)


def _online(scale: Config, printed: str, eta: float) -> tuple[str, stored.BySeed] | None:
    """Return our method and runs for a printed setting; None for a peer we do not have."""
    plain = {"IDS": "ids", "RPC": "random-per-class", "RPD": "random"}
    if printed in plain:
        return plain[printed], online.setting(scale, plain[printed])
    if printed in ("ADONIS", "IDS+ADONIS"):
        method = printed.lower()
        return method, online.setting(scale, method, eta=int(eta))
    return None


def budgeted_table_1(scale: Config) -> pd.DataFrame:
    """Seconds of selection at the smallest and the largest printed k, ours beside them.

    Returns:
        Columns dataset, model, method, paper_k_600 and paper_k_1500 (NaN: not printed) of 3,000
        points; ours_k_low and ours_k_high at the same shares of ours_n points; ours, of the
        proposed method only, at 3,000 points whatever k.

    Source: `budgeted` Table I.

    Note: the DPP is the textbook's sampler and Submodular plain greedy, as there. All three are
        measured on 1,000 points, since a textbook draw grows with N k^3.
    """
    table = paper_table("budgeted-table-1")
    found = table[["dataset", "model", "method"]].copy()
    for k in (600, 1500):
        found[f"paper_k_{k}"] = pd.to_timedelta(table[f"k_{k}"]).dt.total_seconds()
    seconds = _rival_seconds()
    for column in ("ours_n", "ours_k_low", "ours_k_high"):
        found[column] = found["method"].map(seconds[column]) if seconds else np.nan
    whole = (EVIDENCE["budgeted_07"](scale) or {}).get("values", np.nan)
    found["ours"] = np.where(found["method"] == "Proposed", float(whole), np.nan)
    return found


def _rival_seconds() -> dict[str, dict[str, float]]:
    """Return column -> printed method -> our seconds; empty where they cannot be had."""
    try:
        found = timing("selection-time")
    except (stored.Missing, stored.Unfit):
        return {}
    medians = {
        printed: np.median(found.arrays[f"seconds_{name}"], axis=0)
        for printed, name in BUDGETED_SECONDS.items()
    }
    return {
        "ours_n": dict.fromkeys(medians, found.metrics["n"]),
        "ours_k_low": {printed: float(row[0]) for printed, row in medians.items()},
        "ours_k_high": {printed: float(row[-1]) for printed, row in medians.items()},
    }


def our_seconds(found: Result) -> pd.DataFrame:
    """Every time of the measurement "selection-time", as rows for a figure.

    Returns:
        Columns as of `budgeted_seconds`; one row a round, contender and budget. The LP as
        written ran on a smaller pool, which its name tells.
    """
    written = {"lp": ("highs", f"LP as written, N = {found.metrics['n_lp']}")}
    rows = [
        (key, name, share, seconds)
        for series, (key, name) in (CONTENDERS | written).items()
        for times in np.atleast_2d(found.arrays[f"seconds_{series}"])
        for share, seconds in zip(found.arrays["shares"], times, strict=True)
    ]
    return pd.DataFrame(rows, columns=["method", "name", "share", "seconds"])


def budgeted_seconds() -> pd.DataFrame:
    """Every time of selection that `budgeted` Table I prints, as rows for a figure.

    Returns:
        Columns method (key, for the colour), name (as printed), share (k / 3,000), seconds.
    """
    table = paper_table("budgeted-table-1").melt(["dataset", "model", "method"], var_name="k")
    table = table.dropna(subset="value")
    return pd.DataFrame(
        {
            "method": table["method"].map(BUDGETED_METHODS),
            "name": table["method"],
            "share": table["k"].str.removeprefix("k_").astype(int) / PAPER_POOL,
            "seconds": pd.to_timedelta(table["value"]).dt.total_seconds(),
        }
    )
