"""Figure of paired differences with two intervals: one setting's error less another's."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from helpers.plots.base import colour_of, marker_of, need_columns, new_figure, seeds_text
from helpers.ranking import bootstrap_interval, t_interval


def paired_differences(pairs: pd.DataFrame, x_label: str) -> Figure:
    """Draw mean differences of pairs that share a seed, a panel a group.

    Args:
        pairs: One pair a row, columns panel (heading), name (of the row in the figure), method
            (key, for the colour) and difference (in the unit of the axis; NaN: not run).
        x_label: What the differences are, with their unit.

    Returns:
        Panels with scales of their own, a row a name: mean; thick, its 95 % bootstrap interval;
        thin, Student's, which with few seeds is the one to trust. A row without runs says so.

    Raises:
        StudyError: If there is nothing to draw or a column is missing.
    """
    need_columns(pairs, ("panel", "name", "method", "difference"), "the frame of pairs")
    panels, names = list(pairs["panel"].unique()), list(pairs["name"].unique())
    size = (min(11.0, 2.4 + 2.7 * len(panels)), 1.4 + 0.3 * len(names))
    fig, axes = new_figure(1, len(panels), size, sharey=True)
    for ax, panel in zip(axes[0], panels, strict=True):
        ax.axvline(0, color="#8c8c8c", linewidth=1.6)
        ax.xaxis.set_major_locator(MaxNLocator(5))
        for place, name in enumerate(names):
            _row(ax, pairs[(pairs["panel"] == panel) & (pairs["name"] == name)], place)
        ax.set_title(panel)
    axes[0, 0].set_yticks(range(len(names)), names)
    axes[0, 0].set_ylim(len(names) - 0.5, -0.5)
    known = pairs.dropna(subset="difference").groupby(["panel", "name"]).size()
    fig.supxlabel(f"{x_label}\n{two_intervals_text(known)}", fontsize=10)
    return fig


def two_intervals_text(counts: Iterable[int]) -> str:
    """Say at an axis what `two_intervals` draws of so many pairs.

    Note: of two or three pairs more than a fortieth of all resamples repeat the smallest one, so
        that the bootstrap's ends are the smallest and the largest pair.
    """
    counts = list(counts)
    if not counts:
        return "no seeds"
    text = seeds_text(counts)
    if max(counts) == 1:
        return text
    few = "\n(up to 3 seeds: their range)" if any(1 < n < 4 for n in counts) else ""
    return f"{text}; 95 %: thick bootstrap{few}, thin Student's t"


def _row(ax: Axes, rows: pd.DataFrame, place: float) -> None:
    """Draw one mean with both intervals; hollow with a single pair, words without any."""
    values = rows["difference"].dropna().to_numpy()
    if not len(values):
        ax.text(0.02, place, "not run", va="center", color="#777777", fontsize=8.5,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0},
                transform=ax.get_yaxis_transform())  # fmt: skip
        return
    two_intervals(ax, values, place, rows["method"].iloc[0])


def two_intervals(ax: Axes, values: np.ndarray, place: float, method: str) -> None:
    """Draw the mean of pairs (m,) at a height: thin Student's interval, thick the bootstrap's."""
    colour, several = colour_of(method), len(values) > 1
    if several:
        _, *wide = t_interval(values)
        _, *near = bootstrap_interval(values)
        ax.plot(wide, [place, place], color=colour, linewidth=1.0)
        ax.plot(near, [place, place], color=colour, linewidth=3.6, alpha=0.55)
    look = {"color": colour, "markerfacecolor": colour if several else "white", "markersize": 6.5}
    ax.plot(values.mean(), place, marker=marker_of(method), linestyle="none", **look)
