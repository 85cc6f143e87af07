"""Figures of accuracy against budget: all methods, and their difference to random."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from helpers import StudyError
from helpers.plots.base import (
    COLOURS,
    centre_and_interval,
    centre_and_spread,
    colour_of,
    label_of,
    marker_of,
    mean_and_sd,
    need,
    need_columns,
    new_figure,
)
from helpers.plots.labels import direct_labels, legend_above
from helpers.plots.paired import two_intervals, two_intervals_text

LINES = ("-", "--", ":", "-.")


def accuracy_against_budget(
    frame: pd.DataFrame, full, pool: int | None = None, bottom: float | None = None
) -> Figure:
    """Draw the target's accuracy against the examples it was trained on, every method.

    Args:
        frame: Tidy runs with columns method, budget (as asked), kept (rows trained on), seed,
            test_error (percent) and, optionally, label: series of one method are told apart by
            it (one colour, different dashes).
        full: Training on everything: tidy runs, or test accuracies in percent, shape (seeds,).
        pool: Pool size; given, the x axis is the share of it in percent, else the count.
        bottom: Lowest accuracy shown (percent), where one bad method would flatten the others.

    Returns:
        One panel: mean and standard deviation over seeds; random thick and grey with a band,
        the full set as a black line with a band.

    Raises:
        StudyError: If there is nothing to draw or a column is missing.
    """
    need_columns(frame, ("method", "budget", "kept", "seed", "test_error"), "the frame of runs")
    frame = frame[frame["method"] != "full"]
    need(frame, "the frame of runs on subsets")
    full = accuracies(full)
    fig, axes = new_figure(1, 1, (9.5, 5.4))
    ax, scale = axes[0, 0], 100 / pool if pool else 1.0
    ends = [line(ax, *one, scale) for one in sorted(series(frame), key=random_first)]
    right = ax.get_xlim()[1]
    ends.append((right, full_line(ax, full), label_of("full"), COLOURS["full"]))
    ax.set_xlabel("share of the pool trained on (%)" if pool else "examples trained on")
    ax.set_ylabel("test accuracy (%)")
    ax.set_ylim(bottom=bottom)
    counts = frame.groupby(["method", "budget"])["seed"].nunique()
    ax.set_title(mean_and_sd(counts).capitalize())
    direct_labels(ax, ends)
    return fig


def accuracy_panels(frame: pd.DataFrame, start: pd.DataFrame | None = None) -> Figure:
    """Draw accuracy against the examples trained on, one small panel a model.

    Args:
        frame: Tidy runs with columns model, method, budget, kept, seed, test_error (percent).
        start: Runs of the network before it was tuned on what was selected, columns model and
            test_error; their mean is a dotted line.

    Returns:
        Panels on one scale: mean and standard deviation over seeds, random thick and grey.

    Raises:
        StudyError: If there is nothing to draw or a column is missing.

    Source: Banerjee and Chakraborty, figure 1.
    """
    columns = ("model", "method", "budget", "kept", "seed", "test_error")
    need_columns(frame, columns, "the frame of runs")
    models = list(frame["model"].unique())
    wide = max(5.8, min(11.0, 0.8 + 3.2 * len(models)))
    fig, axes = new_figure(1, len(models), (wide, 3.7), sharex=True, sharey=True)
    for ax, model in zip(axes[0], models, strict=True):
        shown = sorted(series(frame[frame["model"] == model]), key=random_first)
        for method, name, dashes, rows in shown:
            line(ax, method, name, dashes, rows, 1.0)
            ax.lines[-1].set_label(name)
        if start is not None:
            mean, _ = centre_and_spread(100 - start.loc[start["model"] == model, "test_error"])
            ax.axhline(mean, color="#000000", linestyle=":", label="Start set alone")
        ax.set_title(model)
    axes[0, 0].set_ylabel("test accuracy (%)")
    counts = frame.groupby(["model", "method", "budget"])["seed"].nunique()
    fig.supxlabel(f"examples trained on ({mean_and_sd(counts)})", fontsize=10)
    handles, names = axes[0, 0].get_legend_handles_labels()
    legend_above(fig, handles, names)
    return fig


def series(frame: pd.DataFrame) -> Iterator[tuple[str, str, str, pd.DataFrame]]:
    """Split tidy runs into drawn series.

    Yields:
        Method key, name to show, line style and rows; a method's further labels get other dashes.
    """
    for method, rows in frame.groupby("method", sort=False):
        names = rows["label"] if "label" in rows else pd.Series(method, index=rows.index)
        for place, name in enumerate(names.unique()):
            shown = label_of(method) if name in (method, "") else str(name)
            yield method, shown, LINES[place % len(LINES)], rows[names == name]


def random_first(one: tuple) -> tuple[bool, str]:
    """Draw random below the others, and the rest always in the same order."""
    return (one[0] != "random", one[1])


def line(ax: Axes, method: str, name: str, dashes: str, rows: pd.DataFrame, scale: float):
    """Draw one series and return its end for the label."""
    groups = [group for _, group in rows.groupby("budget")]
    x = np.array([group["kept"].mean() for group in groups]) * scale
    mean, spread = np.transpose([centre_and_spread(100 - group["test_error"]) for group in groups])
    colour, is_random = colour_of(method), method == "random"
    ax.plot(
        x,
        mean,
        dashes,
        color=colour,
        marker=marker_of(method),
        markersize=5 if is_random else 5.5,
        markeredgecolor="white",
        markeredgewidth=0.5,
        linewidth=3.4 if is_random else 1.5,
    )
    if is_random:
        ax.fill_between(x, mean - spread, mean + spread, color=colour, alpha=0.22, linewidth=0)
    else:
        ax.errorbar(x, mean, spread, fmt="none", ecolor=colour, elinewidth=1, alpha=0.55)
    return (x[-1], mean[-1], name, colour)


def accuracies(full) -> np.ndarray:
    """Read the full set's accuracies (percent), shape (seeds,), from runs or numbers."""
    if isinstance(full, pd.DataFrame):
        need_columns(full, ("test_error",), "the frame of full runs")
        full = 100 - full["test_error"]
    values = np.atleast_1d(np.asarray(full, dtype=float))
    need(values, "the list of full accuracies")
    return values


def full_line(ax: Axes, values: np.ndarray) -> float:
    """Draw the full set's mean with its band and return the mean (percent)."""
    mean, spread = centre_and_spread(values)
    ax.axhspan(mean - spread, mean + spread, color=COLOURS["full"], alpha=0.08, linewidth=0)
    ax.axhline(mean, color=COLOURS["full"], linewidth=1.3, zorder=1.5)
    return mean


def difference_to_random(frame: pd.DataFrame) -> Figure:
    """Draw each method's accuracy less random's at the same budget and seed.

    Args:
        frame: As for `accuracy_against_budget`; must hold method `random`. Runs are paired by
            budget and seed and, where the columns are there, by model and epochs.

    Returns:
        One panel a budget, one dot a method: mean difference in points; thick, its 95 % bootstrap
        interval; thin, Student's (hollow and without them: a single pair).

    Raises:
        StudyError: If there is nothing to draw, a column is missing or no run can be paired.
    """
    need_columns(frame, ("method", "budget", "seed", "test_error"), "the frame of runs")
    pairs = pair_with(frame, "random")
    shown = list(dict.fromkeys((method, name) for method, name, _, _ in series(pairs)))
    shown = [one for one in shown if one[0] not in ("random", "full")]
    need(shown, "the frame of runs beside random")
    budgets = sorted(pairs["budget"].unique())
    rows = -(-len(budgets) // 5)
    columns = -(-len(budgets) // rows)
    size = (min(11.0, 2.6 + 2.1 * columns), rows * (1.1 + 0.27 * len(shown)))
    # each budget has its own scale: one method that fails at 10 % would flatten all the others
    fig, axes = new_figure(rows, columns, size, sharey=True)
    for ax, budget in zip(axes.flat, budgets, strict=False):
        _dots(ax, pairs[pairs["budget"] == budget], shown)
        ax.set_title(f"{budget:.0%}" if budget <= 1 else f"k = {budget:g}")
    for ax in list(axes.flat)[len(budgets) :]:
        ax.set_visible(False)
    axes[0, 0].set_yticks(range(len(shown)), [name for _, name in shown])
    axes[0, 0].set_ylim(len(shown) - 0.5, -0.5)
    counts = pairs[pairs["method"] != "random"].groupby(["method", "budget"])["seed"].nunique()
    fig.supxlabel(f"accuracy less random's (points)\n{two_intervals_text(counts)}", fontsize=10)
    return fig


def pair_with(frame: pd.DataFrame, base: str) -> pd.DataFrame:
    """Add to every run the accuracy difference to method `base` at equal budget and seed.

    Returns:
        Rows of `frame` that found a partner, with a column `difference` (points).

    Raises:
        StudyError: If no run finds a partner.
    """
    keys = [name for name in ("budget", "seed", "model", "epochs") if name in frame.columns]
    partner = frame[frame["method"] == base].groupby(keys, dropna=False)["test_error"].mean()
    pairs = frame.merge(partner.rename("base_error").reset_index(), on=keys)
    if not len(pairs):
        raise StudyError(f"no run shares {', '.join(keys)} with a run of {base!r}: nothing to pair")
    return pairs.assign(difference=pairs["base_error"] - pairs["test_error"])


def _dots(ax: Axes, pairs: pd.DataFrame, shown: list[tuple[str, str]]) -> None:
    """Draw one budget's differences, one row a series."""
    ax.axvline(0, color=COLOURS["random"], linewidth=2)
    ax.xaxis.set_major_locator(MaxNLocator(4))
    rows = {(method, name): rows for method, name, _, rows in series(pairs)}
    for place, one in enumerate(shown):
        values = rows[one]["difference"].dropna().to_numpy() if one in rows else ()
        if len(values):
            two_intervals(ax, values, place, one[0])


def interval_dot(ax: Axes, values, place: float, colour: str) -> None:
    """Draw mean and 95 % interval of `values` at height `place`; hollow with one value."""
    mean, half = centre_and_interval(values)
    known = np.isfinite(half)
    if known:
        ax.plot([mean - half, mean + half], [place, place], color=colour, linewidth=1.4)
    face = colour if known else "white"
    ax.plot(mean, place, "o", color=colour, markerfacecolor=face, markersize=6.5)
