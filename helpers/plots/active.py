"""Figure of active learning: the target's error against the share of labels, by who chose them."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from helpers.plots.base import (
    COLOURS,
    centre_and_spread,
    colour_of,
    label_of,
    marker_of,
    mean_and_sd,
    need,
    need_columns,
    new_figure,
)
from helpers.plots.budgets import LINES
from helpers.plots.labels import direct_labels
from helpers.plots.places import write_reason


def label_curves(
    frame: pd.DataFrame, full: pd.DataFrame, methods: Sequence[str], target: str
) -> Figure:
    """Draw the target's test error against the share of the pool that is labelled.

    Args:
        frame: Tidy runs of the target with columns method, selector (the network that chose),
            share (0..1, of all rows), seed, test_error (percent); method `random` stands in
            every panel.
        full: Runs on all labels, test_error (percent).
        methods: Keys of the methods, a panel each; one without runs keeps an empty place.
        target: The network that is trained in the end; its own choice is the solid line.

    Returns:
        Panels on one logarithmic scale of the error: means with standard deviations over
        seeds, random thick and grey, all labels as a black line.

    Raises:
        StudyError: If there is nothing to draw or a column is missing.

    Source: arXiv:1906.11829, figure 6.
    """
    need_columns(frame, ("method", "selector", "share", "seed", "test_error"), "the frame of runs")
    need(methods, "the list of methods")
    wide = min(11.0, 1.6 + 4.6 * len(methods))
    fig, axes = new_figure(1, len(methods), (wide, 4.2), sharex=True, sharey=True)
    last, _ = centre_and_spread(full["test_error"])
    axes[0, 0].set_yscale("log")
    plain_ticks(axes[0, 0].yaxis)
    ends = []
    for ax, method in zip(axes[0], methods, strict=True):
        ax.set_title(label_of(method))
        ax.axhline(last, color=COLOURS["full"], linewidth=1.2)
        ends.append(_curves(ax, frame, method, target, last))
        ax.set_xlabel("share of the rows labelled (%)")
        ax.set_xticks(100 * np.unique(frame["share"].round(6)))
    for ax, one in zip(axes[0], ends, strict=True):  # last: labels settle the shared limits
        direct_labels(ax, one, size=8.5)
    axes[0, 0].set_ylabel("test error (%)")
    counts = frame.groupby(["method", "selector", "share"])["seed"].nunique()
    fig.suptitle(f"Target trained on the labels, {mean_and_sd(counts)}", fontsize=10.5)
    return fig


def plain_ticks(axis) -> None:
    """Write 1, 2, 5, 10, ... at a logarithmic axis."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 3, 5, 7)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _curves(ax: Axes, frame: pd.DataFrame, method: str, target: str, last: float) -> list:
    """Draw random, then a line for each network that chose by the method; return their ends."""
    runs = frame[frame["method"] == method]
    ends = [(float(frame["share"].max()) * 100, last, "all labels", COLOURS["full"])]
    chance = frame[frame["method"] == "random"]
    if len(chance):
        ends.append(_curve(ax, chance, "random", label_of("random"), "-", 3.2))
    others = [name for name in runs["selector"].unique() if name != target]
    order = [name for name in (target, *others) if (runs["selector"] == name).any()]
    for place, name in enumerate(order):
        label = f"by {name}" + (", the target" if name == target else "")
        dashes = LINES[(place + (target not in order)) % len(LINES)]
        ends.append(_curve(ax, runs[runs["selector"] == name], method, label, dashes, 1.6))
    if not order:
        write_reason(ax, "not run yet in this profile")
    return ends


def _curve(ax: Axes, rows: pd.DataFrame, method: str, name: str, dashes: str, width: float):
    """Draw one series and return its end for the label."""
    groups = list(rows.groupby("share"))
    mean, spread = np.transpose([centre_and_spread(part["test_error"]) for _, part in groups])
    x, colour = [100 * share for share, _ in groups], colour_of(method)
    look = {"color": colour, "marker": marker_of(method), "linestyle": dashes, "linewidth": width}
    ax.errorbar(x, mean, spread, elinewidth=0.9, capsize=2, **look)
    return (x[-1], mean[-1], name, colour)
