"""Figures of the papers' claims: verdicts by document, and their numbers beside ours."""

import textwrap

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from helpers import StudyError
from helpers.plots.base import VERDICT_COLOURS, colour_of, need, new_figure
from helpers.plots.panels import log_ticks, name_rows

DECIDED = ("holds", "undecided", "does not hold")


def claims_overview(counts: pd.DataFrame) -> Figure:
    """Draw how many claims of each document hold, are undecided or do not hold, as bars.

    `counts` has a row a document and a column a verdict; those that could not be decided stand
    beside the bars in words.
    """
    need(counts, "counts")
    unknown = sorted(set(counts.columns) - set(VERDICT_COLOURS))
    if unknown:
        raise StudyError(f"unknown verdicts {unknown}: expected {list(VERDICT_COLOURS)}")
    table = counts.reindex(columns=list(VERDICT_COLOURS)).fillna(0).astype(int)
    fig, axes = new_figure(1, 1, (10, 1.6 + 0.45 * len(table)))
    ax, left = axes[0, 0], np.zeros(len(table))
    for verdict in DECIDED:
        bars = ax.barh(range(len(table)), table[verdict], left=left, label=verdict,
                       color=VERDICT_COLOURS[verdict], edgecolor="white")  # fmt: skip
        ax.bar_label(bars, [str(n) if n else "" for n in table[verdict]], label_type="center",
                     color="#222222" if verdict == "undecided" else "white")  # fmt: skip
        left += table[verdict].to_numpy()
    others = table.drop(columns=list(DECIDED))
    for place, (end, row) in enumerate(zip(left, others.to_dict("records"), strict=True)):
        told = ", ".join(f"{n} {verdict}" for verdict, n in row.items() if n)
        ax.text(end, place, f"  {told}", va="center", fontsize=8.5, color="#666666")
    name_rows(ax, list(table.index))
    ax.set(xlabel="findings", xlim=(0, 1.9 * max(left.max(), 1)))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.grid(axis="y", visible=False)
    decided, total = int(left.sum()), int(table.to_numpy().sum())
    told = "{} hold, {} are undecided, {} do not hold".format(*table[list(DECIDED)].sum())
    ax.set_title(f"{decided} of {total} findings met their preconditions: {told}")
    fig.legend(loc="outside lower center", ncols=3)
    return fig


def headline_intervals(table: pd.DataFrame, profile: str) -> Figure:
    """Draw ours for every headline: value, 95 % interval, and the claim's side of its margin.

    Args:
        table: Columns headline, verdict, value, low, high (NaN: none), unit, above and below
            (bounds, infinite where there is none) and reason (why nothing is drawn).
        profile: Whose numbers these are.

    Returns:
        A panel a kind of unit (points, ratios on a logarithmic axis, others), a row a headline;
        green shade is where the claim's values lie.
    """
    need(table, "the table of headlines", "headline verdict value low high unit above below reason")
    kinds = table["unit"].map(lambda unit: unit if unit in ("points", "x") else "other units")
    kinds = kinds.where(table["value"].notna(), "")
    shown = [kind for kind in ("points", "x", "other units") if (kinds == kind).any()] or [""]
    size = 3.6 + 3.2 * len(shown), 1.7 + 0.34 * len(table)
    fig, axes = new_figure(1, len(shown), size, sharey=True)
    for ax, kind in zip(axes[0], shown, strict=True):
        rows = [(i, row) for i, row in enumerate(table.to_dict("records")) if kinds[i] == kind]
        if kind == "x":
            ax.set_xscale("log")
        if kind:
            _headlines(ax, rows)
        ax.set_xlabel({"x": "ratio (x)"}.get(kind, kind))
    name_rows(axes[0, 0], list(table["headline"]))
    for place, reason in enumerate(table["reason"]):
        if kinds[place] == "":
            told = {"va": "center", "fontsize": 7.5, "color": "#666666"}
            told["transform"] = axes[0, 0].get_yaxis_transform()
            axes[0, 0].text(0.01, place, textwrap.shorten(reason, 46), **told)
    fig.suptitle(f"The documents' headlines at {profile}: ours with 95 % interval, by verdict\n"
                 "(shaded: where the claim says it lies)", fontsize=10.5)  # fmt: skip
    for verdict in dict.fromkeys(table["verdict"]):
        axes[0, 0].plot([], [], "o", color=VERDICT_COLOURS[verdict], label=verdict)
    fig.legend(loc="outside lower center", ncols=6)
    return fig


def _headlines(ax: Axes, rows: list[tuple[int, dict]]) -> None:
    """Draw values with intervals at their places, then shade the side that each claim is about."""
    for place, row in rows:
        colour = VERDICT_COLOURS[row["verdict"]]
        if np.isfinite(row["low"]) and np.isfinite(row["high"]):
            ax.plot([row["low"], row["high"]], [place, place], color=colour, linewidth=2.2)
        ax.plot(row["value"], place, "o", color=colour, markersize=6.5)
        bounds = [end for end in (row["above"], row["below"]) if np.isfinite(end)]
        ax.plot(bounds, [place] * len(bounds), "|", color="#555555", markersize=13)
    left, right = ax.get_xlim()
    for place, row in rows:
        ends = np.clip([row["above"], row["below"]], left, right)
        ax.fill_betweenx([place - 0.36, place + 0.36], *ends, color="#009e73", alpha=0.12, lw=0)
    ax.set_xlim(left, right)
    if ax.get_xscale() == "log":
        log_ticks(ax.xaxis, (1, 1.5, 2, 3, 5))
    else:
        ax.xaxis.set_major_locator(MaxNLocator(4))


def ours_against_paper(table: pd.DataFrame, x_label: str = "test error (%)") -> Figure:
    """Draw the paper's numbers beside ours, one row a pair.

    Args:
        table: Columns name (row label), paper, ours (NaN: none); optionally low and high (our
            interval), method (key, for the colour) and group (a heading over its rows).
        x_label: What is compared, with its unit.

    Returns:
        One panel: hollow diamonds are the paper's numbers, dots ours.
    """
    need(table, "the table of pairs", "name paper ours")
    headings = (
        table["group"].ne(table["group"].shift()) if "group" in table else [False] * len(table)
    )
    names, places = [], []  # a heading takes a row of its own
    for heading, row in zip(headings, table.to_dict("records"), strict=True):
        names += [str(row["group"])] * bool(heading)
        places.append(len(names))
        names.append(row["name"])
    fig, axes = new_figure(1, 1, (8.5, 1.2 + 0.27 * len(names)))
    ax = axes[0, 0]
    for place, row in zip(places, table.to_dict("records"), strict=True):
        _pair(ax, place, row)
    for name, marker, face in (
        ("the paper", "D", "white"),
        ("ours, with interval", "o", "#333333"),
    ):
        ax.plot([], [], marker, color="#333333", markerfacecolor=face, label=name)
    name_rows(ax, names)
    for place, tick in enumerate(ax.get_yticklabels()):
        tick.set_fontweight("normal" if place in places else "bold")
    ax.tick_params(axis="y", length=0)
    for place in set(range(len(names))) - set(places):
        ax.get_ygridlines()[place].set_visible(False)
    ax.set_xlabel(x_label)
    fig.legend(loc="outside upper center", ncols=2)
    return fig


def _pair(ax: Axes, place: int, row: dict) -> None:
    colour = colour_of(row["method"]) if row.get("method") else "#0072b2"
    ax.plot([row["paper"], row["ours"]], [place, place], color="#c4c4c4", linewidth=2.5, zorder=1)
    if np.isfinite(row.get("low", np.nan)) and np.isfinite(row.get("high", np.nan)):
        ax.plot([row["low"], row["high"]], [place, place], color=colour, linewidth=1.5)
    ax.plot(row["paper"], place, "D", color=colour, markerfacecolor="white", markersize=6)
    ax.plot(row["ours"], place, "o", color=colour, markersize=6.5)
