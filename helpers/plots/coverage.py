"""Figures of GEDA's variants: how close each is to its class, and whether that shows later."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from helpers.plots.base import (
    colour_of,
    interval_text,
    label_of,
    need_columns,
    new_figure,
)
from helpers.plots.budgets import interval_dot
from helpers.plots.labels import legend_above
from helpers.plots.palette import COLOURS

# How a variant picks inside its bins: colour, marker, name.
WITHIN = {
    "random": (COLOURS["geda-random"], "s", "random in bins"),
    "first": ("#1a1a1a", "x", "first rows of bins"),
    "spread": (COLOURS["geda"], "o", "spread in bins"),
    "": ("#2f4b7c", "D", "no bins"),
}
VARIANTS = {
    "quantile": "Quantile nodes",
    "smoothed": "Smoothed ECDF",
    "limit": "Exact optimum",
}
TICKS = (1, 1.5, 2, 3, 5, 8)


def variant_distances(frame: pd.DataFrame, order: Sequence[str]) -> Figure:
    """Draw how far each variant's choice lies from its class, over the least possible.

    Args:
        frame: One row a class, with columns variant ("trapezoid-N", "quantile", "smoothed",
            "limit" or a method's key), within ("spread", "random", "first", "" without bins),
            share, area (any unit that is the same for all rows of a class).
        order: Variants from top to bottom; "limit" must be in the frame.

    Returns:
        A panel a share: mean area over classes divided by that of the exact optimum, log scale.

    Raises:
        StudyError: If there is nothing to draw or a column is missing.

    Source: GEDA, section 6.1 (smoothing and other rules, left open).
    """
    need_columns(frame, ("variant", "within", "share", "area"), "the frame of distances")
    shares = sorted(frame["share"].unique())
    height = 1.3 + 0.3 * len(order)
    fig, axes = new_figure(1, len(shares), (2.2 + 4 * len(shares), height), sharey=True)
    for ax, share in zip(axes[0], shares, strict=True):
        rows = frame[frame["share"] == share]
        mean = rows.groupby(["variant", "within"])["area"].mean()
        _ratios(ax, mean / mean["limit"].mean(), order)
        ax.set_title(f"{share:.0%} kept")
        ax.set_xlabel("area between the curves (× the least possible)")
    axes[0, 0].set_yticks(range(len(order)), [variant_name(one) for one in order])
    axes[0, 0].set_ylim(len(order) - 0.4, -0.6)
    for colour, marker, name in WITHIN.values():
        axes[0, 0].plot([], [], marker, color=colour, label=name)
    legend_above(fig, *axes[0, 0].get_legend_handles_labels())
    return fig


def variant_name(key: str) -> str:
    """Give a variant's name for people."""
    if key.startswith("trapezoid-"):
        return f"Trapezoid, N = {key.removeprefix('trapezoid-')}"
    return VARIANTS.get(key, label_of(key))


def _ratios(ax: Axes, ratios: pd.Series, order: Sequence[str]) -> None:
    """Draw one panel: a mark for each variant and way inside its bins."""
    for (variant, within), ratio in ratios.items():
        if variant in order:
            colour, marker, _ = WITHIN[within]
            over = 3 if marker == "x" else 2  # a filled mark at the same place would hide it
            place = list(order).index(variant)
            ax.plot(ratio, place, marker, color=colour, markersize=6, zorder=over)
    ax.axvline(1, color="#8c8c8c", linewidth=1.3, zorder=1)
    ax.set_xscale("log")
    ax.set_xlim(0.93, 1.1 * ratios.max())
    places = [tick for tick in TICKS if tick <= 1.1 * ratios.max()]
    ax.xaxis.set_major_locator(FixedLocator(places))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xticklabels([f"{tick:g}" for tick in places])


def distance_and_accuracy(frame: pd.DataFrame, reference: str, x_label: str) -> Figure:
    """Draw choices by their distance to the class beside what training on them gains.

    Args:
        frame: One row a choice and seed, with columns name (for people), key (its colour), area
            (percent of the class's range of norms), gain (points of accuracy).
        reference: Name of the choice that the gain is counted from, drawn hollow at 0.
        x_label: Name of the gain at its axis.

    Returns:
        Two panels that share their rows, the closest choice at the top: mean area with seeds as
        small dots, and the gain with its 95 % t interval over seeds.

    Raises:
        StudyError: If there is nothing to draw or a column is missing.
    """
    need_columns(frame, ("name", "key", "area", "gain"), "the frame of choices")
    by_name = frame.groupby("name", sort=False)
    order = by_name["area"].mean().sort_values(kind="stable").index
    fig, axes = new_figure(1, 2, (10, 1.1 + 0.29 * len(order)), sharey=True)
    for place, name in enumerate(order):
        rows = by_name.get_group(name)
        colour = colour_of(rows["key"].iloc[0])
        axes[0, 0].plot(rows["area"], np.full(len(rows), place), ".", color=colour, alpha=0.45)
        axes[0, 0].plot(rows["area"].mean(), place, "o", color=colour, markersize=6.5)
        if name == reference:
            axes[0, 1].plot(0, place, "o", color=colour, markerfacecolor="white", markersize=6.5)
        else:
            interval_dot(axes[0, 1], rows["gain"], place, colour)
    axes[0, 0].set_yticks(range(len(order)), order)
    axes[0, 0].set_ylim(len(order) - 0.4, -0.6)
    axes[0, 0].set_xlim(left=0)
    axes[0, 0].set_xlabel("area between the curves (% of the range of norms)")
    axes[0, 1].axvline(0, color="#8c8c8c", linewidth=1.5, zorder=1)
    axes[0, 1].set_xlabel(f"{x_label} (points), {interval_text(by_name.size())}")
    return fig
