"""Figures of one thing varied at a time: the ladder to GEDA, parameters, GEDA's variants."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from helpers import StudyError
from helpers.plots.base import (
    COLOURS,
    GREY,
    INTERVAL,
    colour_of,
    colours_for,
    label_of,
    marker_of,
    need,
    new_figure,
    seeds_text,
)
from helpers.plots.panels import (
    curve,
    dot,
    legend_above,
    log_ticks,
    name_rows,
    t_ends,
    zero_line,
)

# How a variant of GEDA picks inside its bins: colour, marker, name.
WITHIN = {
    "random": (COLOURS["geda-random"], "s", "random in bins"),
    "first": ("#1a1a1a", "x", "first rows of bins"),
    "spread": (COLOURS["geda"], "o", "spread over bins"),
    "": ("#2f4b7c", "D", "no bins"),
}
VARIANTS = {"quantile": "Quantile nodes", "smoothed": "Smoothed ECDF", "limit": "Exact optimum"}


def ladder(frame: pd.DataFrame, order: Sequence[str], full: pd.DataFrame | None = None) -> Figure:
    """Draw the ladder to GEDA: accuracy by rung and share, and the gain of each rung.

    The frame has columns method, budget, seed, test_error (percent); `order` are method keys from
    the lowest rung to the highest. Intervals are 95 % t intervals over seeds. `full` has runs on
    everything, test_error, whose mean is a line.

    Source: GEDA, section 5 (random per class, per quartile, evenly spaced, GEDA).
    """
    need(frame, "the frame of runs", "method budget seed test_error")
    need(order, "order")
    frame = frame[frame["method"].isin(order)]
    need(frame, f"the frame of runs of {', '.join(order)}")
    budgets = sorted(frame["budget"].unique())
    size = (10.5, 1.5 + (0.35 + 0.13 * len(budgets)) * len(order))
    fig, axes = new_figure(1, 2, size, sharey=True)
    colours = colours_for(f"{one:.0%}" if one <= 1 else f"k = {one:g}" for one in budgets)
    for place, (budget, (name, colour)) in enumerate(zip(budgets, colours.items(), strict=True)):
        lift = 0.62 * ((place + 0.5) / len(budgets) - 0.5)
        rows = frame[frame["budget"] == budget]
        rungs = rows.pivot_table(index="seed", columns="method", values="test_error")
        rungs = 100 - rungs.reindex(columns=list(order))
        for ax, values in zip(axes[0], (rungs, rungs.diff(axis=1)), strict=True):
            for rung, method in enumerate(order):
                if values[method].notna().any():
                    dot(ax, values[method], rung + lift, colour)
        axes[0, 0].plot([], [], "o", color=colour, label=name)
    for ax in axes[0]:
        ax.grid(axis="y", visible=False)
        for between in np.arange(0.5, len(order) - 1):
            ax.axhline(between, color="#e6e6e6", linewidth=0.8, zorder=0)
    if full is not None:
        look = {"color": COLOURS["full"], "linewidth": 1.3, "label": label_of("full")}
        axes[0, 0].axvline(100 - full["test_error"].mean(), **look)
    name_rows(axes[0, 0], [label_of(method) for method in order], upwards=True)
    zero_line(axes[0, 1])
    counts = frame.groupby(["method", "budget"])["seed"].nunique()
    axes[0, 0].set_xlabel(f"test accuracy (%), {seeds_text(counts, INTERVAL)}")
    axes[0, 1].set_xlabel("difference to the rung below (points)")
    legend_above(fig, axes[0, 0], title="kept of the pool")
    return fig


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
        default: The parameter's usual value, marked by a dotted line if it was run.

    Returns:
        Two panels: accuracy lost against the full set (points) and its seconds over ours
        (times), mean and 95 % t interval over seeds, seeds as small dots.

    Source: ADONIS and IDS, figures A1 and A2.
    """
    need(frame, "the frame of runs", f"{x} seed test_error seconds")
    need(full, "the frame of full runs", "seed test_error seconds")
    numeric = pd.api.types.is_numeric_dtype(frame[x])
    names = list(dict.fromkeys(frame[x]))
    if default not in names and default is not None and not numeric:
        raise StudyError(f"default {default!r} is not among the values {names}")
    # the full run of the same seed, the mean of all where there is none
    of_seed = full.groupby("seed")[["test_error", "seconds"]].mean().reindex(frame["seed"])
    of_seed = of_seed.fillna(full[["test_error", "seconds"]].mean()).set_index(frame.index)
    loss = frame["test_error"] - of_seed["test_error"]
    boost = of_seed["seconds"] / frame["seconds"]
    fig, axes = new_figure(1, 2, (9, 3.6))
    places = frame[x] if numeric else frame[x].map(names.index)
    for ax, values, usual in zip(axes[0], (loss, boost), (0, 1), strict=True):
        ax.scatter(places, values, s=10, color=COLOURS["adonis"], alpha=0.4, zorder=2)
        dashes = "-" if numeric else "none"
        look = {"linestyle": dashes, "marker": "o", "zorder": 3}
        curve(ax, places, values, COLOURS["adonis"], "", t_ends, **look)
        ax.axhline(usual, color="#000000", linewidth=1.2, zorder=1)
        ax.set_xlabel(x_label or x)
        if not numeric:
            ax.set_xticks(range(len(names)), names)
            ax.set_xlim(-0.5, len(names) - 0.5)
        if default in names:
            _mark_default(ax, default if numeric else names.index(default))
    counts = frame.groupby(x)["seed"].nunique()
    title = f"Loss against the full set, {seeds_text(counts, INTERVAL)}"
    axes[0, 0].set(ylabel="accuracy lost (points)", title=title)
    marked = f" (dotted: default {default})" if default in names else ""
    axes[0, 1].set(ylabel="full set's time over ours (×)", title=f"Speed{marked}")
    return fig


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

    Source: `budgeted` section IV-B asks for it: its preliminary trials are not shown.
    """
    need(frame, "the frame of runs", f"{x} {by} seed test_error")
    fig, axes = new_figure(1, 1, (7.5, 4))
    ax, values, names = axes[0, 0], sorted(frame[x].unique()), list(frame[by].unique())
    for place, (name, colour) in enumerate(colours_for(names).items()):
        rows = frame[frame[by] == name]
        places = rows[x].map(values.index) + 0.24 * ((place + 0.5) / len(names) - 0.5)
        accuracy = 100 - rows["test_error"]
        ax.scatter(places, accuracy, s=10, color=colour, alpha=0.35, zorder=2)
        curve(ax, places, accuracy, colour, label_of(name), t_ends, marker="o", zorder=3)
    if default in values:
        _mark_default(ax, values.index(default))
    ax.set_xticks(range(len(values)), [f"{value:g}" for value in values])
    ax.set_xlim(-0.5, len(values) - 0.5)
    ax.set_xlabel((x_label or x) + ("" if default is None else f" (dotted: default {default:g})"))
    ax.set_ylabel("test accuracy (%)")
    counts = frame.groupby([x, by])["seed"].nunique()
    legend_above(fig, ax, title=seeds_text(counts, INTERVAL))
    return fig


def _mark_default(ax: Axes, place: float) -> None:
    ax.axvline(place, color="#666666", linestyle=":", linewidth=1.4, zorder=1)


def setting_beside(
    frame: pd.DataFrame,
    x: str,
    references: Mapping[str, pd.DataFrame],
    default,
    x_label: str | None = None,
) -> Figure:
    """Draw what a setting of a method gains over its usual value, beside methods without it.

    Args:
        frame: Tidy runs of one method with columns method, seed, test_error (percent) and the
            one named by `x`.
        x: Column of the setting; its values are evenly spaced, in rising order.
        references: Method key -> tidy runs of it at the same share, seed and test_error.
        default: The setting's usual value, the smallest one where it has no runs.
        x_label: Name of the setting at the axis, `x` itself if None.

    Returns:
        Differences in points of accuracy, paired by seed, means with 95 % t intervals.

    Source: GEDA, section 5.1.3 (N = 5 "due to empirical results").
    """
    need(frame, "the frame of runs", f"{x} method seed test_error")
    shown = {f"{one:g}": (rows["method"].iloc[0], rows) for one, rows in frame.groupby(x)}
    usual = f"{default:g}" if f"{default:g}" in shown else next(iter(shown))
    for key, runs in references.items():
        need(runs, f"the frame of runs of {key}", "seed test_error")
        shown[label_of(key).replace(" ", "\n", 1)] = key, runs
    errors = {name: rows.groupby("seed")["test_error"].mean() for name, (_, rows) in shown.items()}
    fig, axes = new_figure(1, 1, (max(5.0, 1.5 + 0.95 * len(shown)), 3.6))
    ax, counts = axes[0, 0], []
    zero_line(ax, upright=False)
    for place, (name, (key, _)) in enumerate(shown.items()):
        gained = (errors[usual] - errors[name]).dropna()
        if name == usual:
            ax.plot(place, 0, "D", color=GREY, zorder=3)
        elif len(gained):
            dot(ax, gained, place, colour_of(key), marker_of(key), upright=True)
            counts.append(len(gained))
    ax.set_xticks(range(len(shown)), shown)
    ax.set(xlim=(-0.5, len(shown) - 0.5), ylabel=f"gain over that at {usual} (points)")
    ax.set_xlabel(f"{x_label or x}; {seeds_text(counts, INTERVAL)}")
    return fig


def variant_distances(frame: pd.DataFrame, order: Sequence[str]) -> Figure:
    """Draw how far each variant's choice lies from its class, over the least possible.

    Args:
        frame: One row a class, with columns variant ("trapezoid-N", "quantile", "smoothed",
            "limit" or a method's key), within ("spread", "random", "first", "" without bins),
            share, area (any unit that is the same for all rows of a class).
        order: Variants from top to bottom; "limit" must be in the frame.

    Source: GEDA, section 6.1 (smoothing and other rules, left open).
    """
    need(frame, "the frame of distances", "variant within share area")
    shares = sorted(frame["share"].unique())
    size = (2.2 + 4 * len(shares), 1.3 + 0.3 * len(order))
    fig, axes = new_figure(1, len(shares), size, sharey=True)
    for ax, share in zip(axes[0], shares, strict=True):
        area = frame[frame["share"] == share].groupby(["variant", "within"])["area"].mean()
        ratios = area / area["limit"].mean()
        for (variant, within), ratio in ratios.items():
            if variant in order:
                colour, marker, _ = WITHIN[within]
                over = 3 if marker == "x" else 2  # a filled mark at the same place would hide it
                ax.plot(ratio, list(order).index(variant), marker, color=colour, zorder=over)
        ax.axvline(1, color=GREY, linewidth=1.3, zorder=1)
        ax.set(xscale="log", xlim=(0.93, 1.1 * ratios.max()), title=f"{share:.0%} kept")
        log_ticks(ax.xaxis, (1, 1.5, 2, 3, 5, 8))
        ax.set_xlabel("area between the curves (× the least possible)")
    name_rows(axes[0, 0], [variant_name(one) for one in order])
    for colour, marker, name in WITHIN.values():
        axes[0, 0].plot([], [], marker, color=colour, label=name)
    legend_above(fig, axes[0, 0])
    return fig


def variant_name(key: str) -> str:
    """Return a variant's name for people."""
    if key.startswith("trapezoid-"):
        return f"Trapezoid, N = {key.removeprefix('trapezoid-')}"
    return VARIANTS.get(key, label_of(key))


def distance_and_accuracy(frame: pd.DataFrame, reference: str, x_label: str) -> Figure:
    """Draw choices by their distance to the class beside what training on them gains.

    The frame has a row a choice and seed, with columns name (for people), key (its colour), area
    (percent of the class's range of norms) and gain (points of accuracy) over the choice named
    `reference`. The closest choice is at the top; intervals are 95 % t intervals over seeds.
    """
    need(frame, "the frame of choices", "name key area gain")
    by_name = frame.groupby("name", sort=False)
    order = list(by_name["area"].mean().sort_values(kind="stable").index)
    fig, axes = new_figure(1, 2, (10, 1.1 + 0.29 * len(order)), sharey=True)
    for place, name in enumerate(order):
        rows = by_name.get_group(name)
        colour = colour_of(rows["key"].iloc[0])
        axes[0, 0].plot(rows["area"], np.full(len(rows), place), ".", color=colour, alpha=0.45)
        axes[0, 0].plot(rows["area"].mean(), place, "o", color=colour, markersize=6.5)
        dot(axes[0, 1], [0.0] if name == reference else rows["gain"], place, colour)
    name_rows(axes[0, 0], order)
    axes[0, 0].set_xlim(left=0)
    axes[0, 0].set_xlabel("area between the curves\n(% of the range of norms)")
    zero_line(axes[0, 1])
    counts = seeds_text(by_name.size(), INTERVAL)
    axes[0, 1].set_xlabel(f"{x_label} (points)\n{counts}")
    return fig
