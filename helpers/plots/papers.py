"""Figures of the papers' claims: verdicts by document, and their numbers beside ours."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from helpers import StudyError
from helpers.plots.base import colour_of, need, need_columns, new_figure
from helpers.plots.palette import VERDICT_COLOURS


def claims_overview(counts: Mapping[str, Mapping[str, int]] | pd.DataFrame) -> Figure:
    """Draw how many claims of each document hold.

    Args:
        counts: Document key -> verdict -> number of claims; or a table with documents as index
            and verdicts as columns.

    Returns:
        Stacked horizontal bars in the verdicts' fixed colours, numbers inside where they fit.

    Raises:
        StudyError: If there is nothing to draw or a verdict is not one of the five.
    """
    table = counts if isinstance(counts, pd.DataFrame) else pd.DataFrame(dict(counts)).T
    need(table, "counts")
    unknown = sorted(set(table.columns) - set(VERDICT_COLOURS))
    if unknown:
        raise StudyError(f"unknown verdicts {unknown}: expected {list(VERDICT_COLOURS)}")
    table = table.reindex(columns=list(VERDICT_COLOURS)).fillna(0).astype(int)
    fig, axes = new_figure(1, 1, (10, 1.4 + 0.45 * len(table)))
    ax, left = axes[0, 0], np.zeros(len(table))
    for verdict, colour in VERDICT_COLOURS.items():
        _verdict(ax, table[verdict].to_numpy(), left, table.sum(axis=1).max(), verdict, colour)
        left += table[verdict].to_numpy()
    names = [f"{name} ({total})" for name, total in zip(table.index, left.astype(int), strict=True)]
    ax.set_yticks(range(len(table)), names)
    ax.set_ylim(len(table) - 0.5, -0.5)
    ax.set_xlabel("claims")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.grid(axis="y", visible=False)
    fig.legend(loc="outside upper center", ncols=5)
    return fig


def _verdict(ax: Axes, values, left, longest: int, verdict: str, colour: str) -> None:
    """Draw one verdict's segments, with their numbers where a segment is wide enough."""
    hatch = "///" if verdict == "not measured yet" else None
    edge = {"edgecolor": "white" if hatch is None else "#b9bec5", "linewidth": 0.6}
    ax.barh(range(len(values)), values, left=left, color=colour, hatch=hatch, label=verdict, **edge)
    bright = verdict in ("holds", "does not hold")
    for place, (value, start) in enumerate(zip(values, left, strict=True)):
        if value >= max(1, 0.018 * longest):
            box = None if hatch is None else {"facecolor": colour, "edgecolor": "none", "pad": 1.2}
            ax.text(
                start + value / 2,
                place,
                str(value),
                ha="center",
                va="center",
                fontsize=9,
                color="white" if bright else "#222222",
                bbox=box,
            )


def ours_against_paper(table: pd.DataFrame, x_label: str = "test error (%)") -> Figure:
    """Draw the paper's numbers beside ours, one row a pair.

    Args:
        table: Columns name (row label), paper, ours (NaN: none); optionally low and high (our
            interval), method (key, for the colour) and group (a heading over its rows).
        x_label: What is compared, with its unit.

    Returns:
        One panel: hollow diamonds are the paper's numbers, dots ours.

    Raises:
        StudyError: If the table is empty or lacks a column.
    """
    need_columns(table, ("name", "paper", "ours"), "the table of pairs")
    table = table.reset_index(drop=True)
    places, headings = _places(table)
    height = 1.2 + 0.27 * (places[-1] + 1)
    fig, axes = new_figure(1, 1, (8.5, height))
    ax = axes[0, 0]
    for place, row in zip(places, table.to_dict("records"), strict=True):
        _pair(ax, place, row)
    for name, marker, face in (
        ("the paper", "D", "white"),
        ("ours, with interval", "o", "#333333"),
    ):
        ax.plot([], [], marker, color="#333333", markerfacecolor=face, label=name)
    ticks = [*zip(places, table["name"], strict=True), *headings]
    ax.set_yticks([place for place, _ in ticks], [name for _, name in ticks])
    for tick in ax.get_yticklabels()[len(places) :]:
        tick.set_fontweight("bold")
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(places[-1] + 0.7, -0.7)
    ax.set_xlabel(x_label)
    fig.legend(loc="outside upper center", ncols=2)
    return fig


def _places(table: pd.DataFrame) -> tuple[list[int], list[tuple[int, str]]]:
    """Give each row its height, and each new group a heading's height before its first row."""
    groups = table["group"] if "group" in table else pd.Series([None] * len(table))
    places, headings, here, last = [], [], 0, None
    for group in groups:
        if group is not None and group != last:
            headings.append((here, str(group)))
            here, last = here + 1, group
        places.append(here)
        here += 1
    return places, headings


def _pair(ax: Axes, place: int, row: dict) -> None:
    """Draw one dumbbell: link, interval, the paper's diamond, our dot."""
    colour = colour_of(row["method"]) if row.get("method") else "#0072b2"
    ax.plot([row["paper"], row["ours"]], [place, place], color="#c4c4c4", linewidth=2.5, zorder=1)
    if np.isfinite(row.get("low", np.nan)) and np.isfinite(row.get("high", np.nan)):
        ax.plot([row["low"], row["high"]], [place, place], color=colour, linewidth=1.5)
    edge = {"color": colour, "markerfacecolor": "white", "markersize": 6}
    ax.plot(row["paper"], place, "D", **edge)
    ax.plot(row["ours"], place, "o", color=colour, markersize=6.5)
