"""Figure of a method's own setting beside methods that do not have it."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from helpers.plots.base import (
    centre_and_interval,
    centre_and_spread,
    colour_of,
    interval_text,
    label_of,
    mean_and_sd,
    need_columns,
    new_figure,
)
from helpers.plots.labels import direct_labels


def setting_beside(
    frame: pd.DataFrame,
    x: str,
    references: Mapping[str, pd.DataFrame],
    default,
    x_label: str | None = None,
) -> Figure:
    """Draw accuracy against one setting of a method, beside methods that do not have it.

    Args:
        frame: Tidy runs of one method with columns method, seed, test_error (percent) and the
            one named by `x`.
        x: Column of the setting; its values stand evenly spaced, in rising order.
        references: Method key -> tidy runs of it at the same share, seed and test_error.
        default: The setting's usual value; where it has runs, the others are compared with it.
        x_label: Name of the setting at the axis, `x` itself if None.

    Returns:
        Two panels: mean accuracy with standard deviation over seeds, references as lines with
        bands; and the paired difference to the default in points with its 95 % t interval.

    Raises:
        StudyError: If there is nothing to draw or a column is missing.

    Source: GEDA, section 5.1.3 (N = 5 "due to empirical results").
    """
    need_columns(frame, (x, "method", "seed", "test_error"), "the frame of runs")
    by_setting = 100 - frame.pivot_table(index="seed", columns=x, values="test_error")
    fig, axes = new_figure(1, 2, (10.5, 3.9), width_ratios=(1.25, 1))
    places = np.arange(len(by_setting.columns))
    for ax in axes[0]:
        ax.set_xlim(-0.5, len(places) - 0.5)
        ax.set_xticks(places, [str(value) for value in by_setting.columns])
        ax.set_xlabel(x_label or x)
    if default in by_setting:
        _differences(axes[0, 1], by_setting, default)
    axes[0, 1].set_ylabel(f"difference to {default} (points)")
    axes[0, 1].set_title(interval_text(by_setting.count()))
    axes[0, 0].set_ylabel("test accuracy (%)")
    axes[0, 0].set_title(mean_and_sd(by_setting.count()).capitalize())
    key = frame["method"].iloc[0]
    ends = [_centres(axes[0, 0], places, by_setting, key)]
    ends += [_beside(axes[0, 0], runs, name, places) for name, runs in references.items()]
    direct_labels(axes[0, 0], ends)
    return fig


def _centres(ax: Axes, places: np.ndarray, by_setting: pd.DataFrame, key: str) -> tuple:
    """Draw mean and spread of each setting and return the line's end for its label."""
    mean, spread = np.transpose([centre_and_spread(by_setting[one]) for one in by_setting])
    ax.errorbar(places, mean, spread, fmt="o-", color=colour_of(key), capsize=3, zorder=3)
    return (places[-1], mean[-1], label_of(key), colour_of(key))


def _beside(ax: Axes, runs: pd.DataFrame, key: str, places: np.ndarray) -> tuple:
    """Draw a reference as a line with a band and return its end for the label."""
    need_columns(runs, ("test_error",), f"the frame of runs of {key}")
    mean, spread = centre_and_spread(100 - runs["test_error"])
    colour = colour_of(key)
    ax.axhspan(mean - spread, mean + spread, color=colour, alpha=0.12, linewidth=0)
    ax.axhline(mean, color=colour, linewidth=1.3, zorder=1.5)
    return (places[-1] + 0.5, mean, label_of(key), colour)


def _differences(ax: Axes, by_setting: pd.DataFrame, default) -> None:
    """Draw the paired difference of every other setting to the default."""
    ax.axhline(0, color="#8c8c8c", linewidth=1.5)
    ax.plot(list(by_setting).index(default), 0, "D", color="#8c8c8c", zorder=3)
    for place, one in enumerate(by_setting):
        values = (by_setting[one] - by_setting[default]).dropna()
        if one == default or not len(values):
            continue
        mean, half = centre_and_interval(values)
        known = np.isfinite(half)
        face = "#cc6677" if known else "white"
        ax.errorbar(place, mean, half if known else 0, color="#cc6677", capsize=3)
        ax.plot(place, mean, "o", color="#cc6677", markerfacecolor=face, markersize=6.5)
