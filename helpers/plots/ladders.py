"""Figures of one thing varied at a time: the ladder to GEDA, and parameter sweeps."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from helpers import StudyError
from helpers.plots.base import (
    centre_and_interval,
    centre_and_spread,
    colours_for,
    interval_text,
    label_of,
    mean_and_sd,
    need,
    need_columns,
    new_figure,
)
from helpers.plots.budgets import interval_dot
from helpers.plots.labels import legend_above


def ladder(frame: pd.DataFrame, order: Sequence[str]) -> Figure:
    """Draw the ladder to GEDA: accuracy by rung and share, and the gain of each rung.

    Args:
        frame: Tidy runs with columns method, budget, seed, test_error (percent).
        order: Method keys from the lowest rung to the highest; rungs without runs stay empty.

    Returns:
        Two panels that share the rungs (lowest at the bottom): mean accuracy, and the paired
        difference to the rung below in points, each with its 95 % t interval over seeds.

    Raises:
        StudyError: If there is nothing to draw, a column is missing or no rung has runs.

    Source: GEDA, section 5 (random per class, per quartile, evenly spaced, GEDA).
    """
    need_columns(frame, ("method", "budget", "seed", "test_error"), "the frame of runs")
    need(order, "order")
    frame = frame[frame["method"].isin(order)]
    need(frame, f"the frame of runs of {', '.join(order)}")
    budgets = sorted(frame["budget"].unique())
    fig, axes = new_figure(1, 2, (10.5, 1.5 + (0.35 + 0.13 * len(budgets)) * len(order)))
    colours = colours_for(_share(budget) for budget in budgets)
    for place, budget in enumerate(budgets):
        lift = 0.62 * ((place + 0.5) / len(budgets) - 0.5)
        rows = frame[frame["budget"] == budget]
        rungs = rows.pivot_table(index="seed", columns="method", values="test_error")
        rungs = 100 - rungs.reindex(columns=list(order))
        _rungs(axes[0], rungs, lift, colours[_share(budget)])
    _dress(axes[0], order, colours, frame)
    fig.legend(loc="outside upper center", ncols=len(budgets), title="kept of the pool")
    return fig


def _share(budget: float) -> str:
    """Name a budget: a share of the pool, or a count."""
    return f"{budget:.0%}" if budget <= 1 else f"k = {budget:g}"


def _rungs(axes, rungs: pd.DataFrame, lift: float, colour: str) -> None:
    """Draw one share: accuracies on the left, differences to the rung below on the right."""
    below = rungs.diff(axis=1)
    for rung, method in enumerate(rungs.columns):
        if rungs[method].notna().any():
            interval_dot(axes[0], rungs[method].dropna(), rung + lift, colour)
        if below[method].notna().any():
            interval_dot(axes[1], below[method].dropna(), rung + lift, colour)


def _dress(axes, order: Sequence[str], colours: dict[str, str], frame: pd.DataFrame) -> None:
    """Name rungs, axes and colours."""
    for name, colour in colours.items():
        axes[0].plot([], [], "o", color=colour, label=name)
    for ax in axes:
        ax.set_ylim(-0.55, len(order) - 0.45)
        ax.grid(axis="y", visible=False)
        for line in np.arange(0.5, len(order) - 1):
            ax.axhline(line, color="#e6e6e6", linewidth=0.8, zorder=0)
    axes[0].set_yticks(range(len(order)), [label_of(method) for method in order])
    axes[1].set_yticks(range(len(order)), [""] * len(order))
    axes[1].axvline(0, color="#8c8c8c", linewidth=1.5)
    counts = frame.groupby(["method", "budget"])["seed"].nunique()
    axes[0].set_xlabel(f"test accuracy (%), {interval_text(counts)}")
    axes[1].set_xlabel("difference to the rung below (points)")


def sweep(
    frame: pd.DataFrame, x: str, full: pd.DataFrame, x_label: str | None = None, default=None
) -> Figure:
    """Draw accuracy loss and speed against one parameter.

    Args:
        frame: Tidy runs with columns seed, test_error (percent), seconds and the one named by
            `x`; text in that column is drawn as evenly spaced names.
        x: Column of the parameter.
        full: Tidy runs on everything with columns seed, test_error, seconds, the same for all.
        x_label: Name and unit at the x axis, `x` itself if None.
        default: The parameter's usual value, marked by a dotted line.

    Returns:
        Two panels: accuracy lost against the full set (points) and its seconds over ours
        (times), mean and standard deviation over seeds, seeds as small dots.

    Raises:
        StudyError: If there is nothing to draw or a column is missing.

    Source: ADONIS and IDS, figures A1 and A2.
    """
    need_columns(frame, (x, "seed", "test_error", "seconds"), "the frame of runs")
    need_columns(full, ("seed", "test_error", "seconds"), "the frame of full runs")
    fig, axes = new_figure(1, 2, (9, 3.6))
    loss = frame["test_error"] - _at_seed(full, "test_error", frame["seed"])
    boost = _at_seed(full, "seconds", frame["seed"]) / frame["seconds"]
    for ax, values, usual in zip(axes[0], (loss, boost), (0, 1), strict=True):
        _against(ax, frame[x], values.to_numpy(), default)
        ax.axhline(usual, color="#000000", linewidth=1.2, zorder=1)
        ax.set_xlabel(x_label or x)
    counts = mean_and_sd(frame.groupby(x)["seed"].nunique())
    axes[0, 0].set_ylabel("accuracy lost (points)")
    axes[0, 0].set_title(f"Loss against the full set, {counts}")
    axes[0, 1].set_ylabel("full set's time over ours (×)")
    marked = "" if default is None else f" (dotted: default {default})"
    axes[0, 1].set_title(f"Speed{marked}")
    return fig


def _at_seed(full: pd.DataFrame, column: str, seeds: pd.Series) -> pd.Series:
    """Take the full run of the same seed, the mean of all full runs where there is none."""
    return seeds.map(full.groupby("seed")[column].mean()).fillna(full[column].mean())


def _against(ax: Axes, x: pd.Series, values: np.ndarray, default) -> None:
    """Draw values against a numeric or a named parameter."""
    numeric = pd.api.types.is_numeric_dtype(x)
    names = sorted(x.unique()) if numeric else list(dict.fromkeys(x))
    places = np.asarray(names if numeric else range(len(names)), dtype=float)
    at = dict(zip(names, places, strict=True))
    groups = [values[(x == name).to_numpy()] for name in names]
    mean, spread = np.transpose([centre_and_spread(group) for group in groups])
    fmt = "o-" if numeric else "o"
    ax.scatter(x.map(at), values, s=10, color="#aa4499", alpha=0.4, zorder=2)
    ax.errorbar(places, mean, spread, fmt=fmt, color="#aa4499", capsize=3, zorder=3)
    if not numeric:
        ax.set_xticks(places, names)
        ax.set_xlim(-0.5, len(names) - 0.5)
    if default in at:
        ax.axvline(at[default], color="#666666", linestyle=":", linewidth=1.4, zorder=1)
    elif default is not None and not numeric:
        raise StudyError(f"default {default!r} is not among the values {names}")


def accuracy_by_setting(
    frame: pd.DataFrame, x: str, by: str, x_label: str | None = None, default=None
) -> Figure:
    """Draw accuracy against one parameter, a line for each value of a second one.

    Args:
        frame: Tidy runs with columns seed, test_error (percent), `x` and `by`.
        x: Column of the parameter; its values are drawn evenly spaced, in rising order.
        by: Column that tells the lines apart: keys of `COLOURS` and `LABELS`, or any names.
        x_label: Name and unit at the x axis, `x` itself if None.
        default: The parameter's usual value, marked by a dotted line.

    Returns:
        One panel: mean and 95 % t interval over seeds, side by side, seeds as small dots.

    Raises:
        StudyError: If there is nothing to draw or a column is missing.

    Source: `budgeted` section IV-B asks for it: its preliminary trials are not shown.
    """
    need_columns(frame, (x, by, "seed", "test_error"), "the frame of runs")
    fig, axes = new_figure(1, 1, (7.5, 4))
    ax, values = axes[0, 0], sorted(frame[x].unique())
    names = list(frame[by].unique())
    for place, (name, colour) in enumerate(colours_for(names).items()):
        lift = 0.24 * ((place + 0.5) / len(names) - 0.5)
        rows = frame[frame[by] == name]
        places = rows[x].map(values.index) + lift
        rows = rows.assign(place=places, accuracy=100 - rows["test_error"])
        _setting_line(ax, rows, colour, label_of(name))
    if default in values:
        ax.axvline(values.index(default), color="#666666", linestyle=":", linewidth=1.4, zorder=1)
    ax.set_xticks(range(len(values)), [f"{value:g}" for value in values])
    ax.set_xlim(-0.5, len(values) - 0.5)
    ax.set_xlabel((x_label or x) + ("" if default is None else f" (dotted: default {default:g})"))
    counts = frame.groupby([x, by])["seed"].nunique()
    ax.set_ylabel("test accuracy (%)")
    legend_above(fig, *ax.get_legend_handles_labels(), title=interval_text(counts))
    return fig


def _setting_line(ax: Axes, rows: pd.DataFrame, colour: str, name: str) -> None:
    """Draw one line of settings with its intervals and its seeds."""
    groups = [group["accuracy"] for _, group in rows.groupby("place")]
    mean, half = np.transpose([centre_and_interval(group) for group in groups])
    places = sorted(rows["place"].unique())
    ax.scatter(rows["place"], rows["accuracy"], s=10, color=colour, alpha=0.35, zorder=2)
    half = np.nan_to_num(half)
    ax.errorbar(places, mean, half, fmt="o-", color=colour, capsize=3, label=name, zorder=3)
