"""Figures of cost: seconds of solvers and selections, and what selecting is worth."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, PercentFormatter

from helpers import StudyError
from helpers.plots.base import (
    GREY,
    colour_of,
    colours_for,
    ink,
    label_of,
    marker_of,
    need,
    new_figure,
    seeds_text,
)
from helpers.plots.panels import curve, direct_labels, log_ticks, write_reason
from helpers.ranking import t_interval

FEWEST_SIZES = 3  # two points lie on a line whatever they are
SHORT_S = 5e-3  # below, the seconds are those of calling a function, not of its work

# What selecting has to beat: chance, chance with the same work, chance anew, and everything.
OPPONENTS = ("random", "random-longer", "repeated-random", "full")
# Costs with other proxies than the study's one, named where a profile has them.
BESIDE = ("own-batch",)


def solver_times(frame: pd.DataFrame) -> Figure:
    """Draw seconds against pool size n, both logarithmic, one line a solver.

    The frame has columns n, solver (`highs`, `cbc`, `closed-form` or any name) and seconds, of
    which the median is drawn. Each name carries the fitted exponent p of seconds ~ n^p, through
    the sizes that took `SHORT_S` at least, where these are three or more. A dotted line grows as
    the square of n.
    """
    _positive(frame, "the frame of solver times", "n solver seconds")
    fig, axes = new_figure(1, 1, (8, 4.2))
    ax, ends, colours = axes[0, 0], [], colours_for(frame["solver"].unique())
    for solver, rows in frame.groupby("solver", sort=False):
        median = rows.groupby("n")["seconds"].median()
        name, work = label_of(solver), median[median >= SHORT_S]
        if len(work) >= FEWEST_SIZES:
            slope = np.polyfit(np.log(work.index), np.log(work), 1)[0]
            name += f", $n^{{{slope:.1f}}}$"
        ends.append(curve(ax, rows["n"], rows["seconds"], colours[solver], name, None,
                          estimator="median", marker="o"))  # fmt: skip
    ax.set(xscale="log", xlabel="pool size n (examples)")
    ax.set(yscale="log", ylabel="time to the selection (s)")
    sizes = np.array([frame["n"].min(), frame["n"].max()], dtype=float)
    square = frame["seconds"].min() * (sizes / sizes[0]) ** 2
    ax.plot(sizes, square, ":", color=GREY, linewidth=1)
    ends.append((sizes[1], square[1], "$n^2$, for comparison", GREY))
    log_ticks(ax.xaxis, (1, 2, 5))
    low, high = ax.get_ylim()
    log_ticks(ax.yaxis, (1,) if high > 100 * low else ())
    direct_labels(ax, ends)
    return fig


def selection_time_against_budget(k: Sequence[int], seconds: Mapping[str, np.ndarray]) -> Figure:
    """Draw the seconds of the whole selection, or of its parts, against the budgets k (b,).

    `seconds` has method key or part -> shape (b,) or (repeats, b), of which the median is drawn.

    Source: Banerjee and Chakraborty, table I.
    """
    need(seconds, "seconds")
    need(k, "k")
    rows = {name: np.atleast_2d(np.asarray(one, dtype=float)) for name, one in seconds.items()}
    for name, values in rows.items():
        if values.shape[1] != len(k):
            raise StudyError(f"{name!r} has {values.shape[1]} budgets, expected {len(k)}")
    fig, axes = new_figure(1, 1, (7.5, 4))
    ax, colours = axes[0, 0], colours_for(rows)
    ends = [
        curve(ax, np.tile(k, len(values)), values.ravel(), colours[name], label_of(name), None,
              estimator="median", marker=marker_of(name))
        for name, values in rows.items()
    ]  # fmt: skip
    ax.set(xlabel="budget k (examples)", ylabel="selection time (s)")
    ax.set_ylim(bottom=0)
    direct_labels(ax, ends)
    return fig


def selection_times_beside(panels: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw seconds of selection against the budget, one panel a source, on one scale of seconds.

    `panels` has title -> rows with columns method (key, for the colour), name (the series, as
    shown), share (k / N) and seconds, drawn as median with the range shaded.

    Source: Banerjee and Chakraborty, table I.
    """
    need(panels, "panels")
    for title, frame in panels.items():
        _positive(frame, f"the rows of {title!r}", "method name share seconds")
    fig, axes = new_figure(1, len(panels), (5.4 * len(panels), 4.4), sharey=True)
    ends = []
    for ax, (title, frame) in zip(axes[0], panels.items(), strict=True):
        ax.set_title(title)
        ax.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        ends.append([
            curve(ax, rows["share"], rows["seconds"], colour_of(method), name,
                  lambda y: (min(y), max(y)), "band", "median", marker=marker_of(method))
            for (method, name), rows in frame.groupby(["method", "name"], sort=False)
        ])  # fmt: skip
    axes[0, 0].set(yscale="log", ylabel="time of the whole selection (s)")
    fig.supxlabel("budget k (share of the pool)", fontsize=10)
    for ax, some in zip(axes[0], ends, strict=True):
        direct_labels(ax, some)
    return fig


def _positive(frame: pd.DataFrame, what: str, columns: str) -> None:
    need(frame, what, columns)
    if not (frame["seconds"] > 0).all():
        raise StudyError(f"{what} must hold positive seconds: a logarithmic axis has no zero")


def cheapest_front(cost: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Return which points (m,) none beats in both, as row numbers; along them cost rises."""
    order = np.lexsort((error, cost))
    lowest = np.minimum.accumulate(np.append(np.inf, error[order])[:-1])
    return order[error[order] < lowest]


def sure_front(frame: pd.DataFrame, points: pd.DataFrame) -> list[int]:
    """Return the rows of `cheapest_front` that surely err less than the one kept before them.

    Sure is a 95 % t interval of the differences, paired by seed, that lies above 0; so a result
    that is lower by luck is no step. `points` are the means of `frame`, a row a method and share.
    """
    errors = frame.pivot_table(index="seed", columns=["method", "budget"], values="test_error")
    kept: list[int] = []
    for row in cheapest_front(points["cost"].to_numpy(), points["error"].to_numpy()):
        if kept:
            before, here = (tuple(points.loc[r, ["method", "budget"]]) for r in (kept[-1], row))
            gain = (errors[before] - errors[here]).dropna()
        if not kept or (len(gain) > 1 and t_interval(gain)[1] > 0):
            kept.append(int(row))
    return kept


def worth_of_choosing(
    frame: pd.DataFrame,
    families: Mapping[str, Sequence[str]],
    x_label: str,
    awaited: Sequence[str] = (),
) -> Figure:
    """Draw test error against the total cost of choosing and training.

    Args:
        frame: Tidy runs of the target with columns method, budget, seed, test_error (percent)
            and cost (above 0), `OPPONENTS` among the methods.
        families: Panel title -> keys of the methods drawn there.
        x_label: What cost is, with its unit.
        awaited: Those of `BESIDE` that are named though the frame has none of them.

    Returns:
        Above, everything in grey, the opponents and `BESIDE` in colour, and the `sure_front`,
        labelled; below, a panel a family with the opponents and the same front. Both axes are
        logarithmic; means over seeds.
    """
    need(frame, "the frame of runs", "method budget seed test_error cost")
    points = frame.groupby(["method", "budget"], sort=False).agg(
        cost=("cost", "mean"), error=("test_error", "mean")
    )
    points = points.reset_index()
    front = points.iloc[sure_front(frame, points)]
    fig, axes = new_figure(2, len(families), (11.0, 9.0), height_ratios=(1.15, 1))
    grid, panels = axes[0, 0].get_gridspec(), axes[1]
    for ax in axes[0]:
        ax.remove()
    top = fig.add_subplot(grid[0, :])
    for ax in (top, *panels):
        _staircase(ax, points, front)
    known = {*points["method"], *awaited}
    _front(top, points, front, (*OPPONENTS, *(key for key in BESIDE if key in known)))
    for ax, (title, methods) in zip(panels, families.items(), strict=True):
        _family(ax, points, title, [m for m in methods if m in set(points["method"])])
    for ax in panels[1:]:
        ax.tick_params(labelleft=False)
    top.set_ylabel("test error (%)")
    panels[0].set_ylabel("test error (%)")
    counts = frame.groupby(["method", "budget"])["seed"].nunique()
    fig.supxlabel(f"{x_label}; means of {seeds_text(counts)}", fontsize=10)
    return fig


def _staircase(ax: Axes, points: pd.DataFrame, front: pd.DataFrame) -> None:
    """Draw the front as a staircase on logarithmic axes that all panels share."""
    right = 1.4 * points["cost"].max()
    ax.set(xscale="log", yscale="log", xlim=(points["cost"].min() / 1.6, right))
    ax.set_ylim(0.85 * points["error"][points["error"] > 0].min(), 1.25 * points["error"].max())
    log_ticks(ax.yaxis, fine=True)
    log_ticks(ax.xaxis, (1, 2, 5))
    ax.xaxis.set_major_formatter(  # short enough for narrow panels
        FuncFormatter(lambda value, _: f"{value:g}" if value < 1000 else f"{value / 1000:,g}k")
    )
    x, y = [*front["cost"], right], [*front["error"], front["error"].iloc[-1]]
    ax.step(x, y, where="post", color="#d9b26a", linewidth=5, alpha=0.45, zorder=1)


def _front(ax: Axes, points: pd.DataFrame, front: pd.DataFrame, named: Sequence[str]) -> None:
    ax.plot(points["cost"], points["error"], "o", color="#c9c9c9", markersize=4, zorder=2)
    for key in named:
        rows = points[points["method"] == key]
        name = label_of(key) + ("" if len(rows) else ": not run yet")
        ax.plot(rows["cost"], rows["error"], label=name, **_look(key))
    back = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.0}
    for place, row in enumerate(front.to_dict("records")):
        key, at = row["method"], (row["cost"], row["error"])
        if key != "full":
            ax.plot(*at, marker_of(key), color=colour_of(key), markersize=8, zorder=4)
        thin = {"arrowstyle": "-", "color": ink(colour_of(key)), "linewidth": 0.6, "alpha": 0.6}
        thin |= {"shrinkA": 0, "shrinkB": 4, "relpos": (1, 0.5)}
        # names end at one place in the corner that no point reaches: no line crosses a name
        height = 0.045 + 0.062 * (len(front) - 1 - place)
        share = "" if key == "full" else f" {row['budget']:.0%}"
        ax.annotate(label_of(key) + share, at, xytext=(0.24, height), color=thin["color"],
                    textcoords="axes fraction", ha="right", va="center", fontsize=9,
                    arrowprops=thin, bbox=back)  # fmt: skip
    chosen = (~front["method"].isin(OPPONENTS)).sum()
    told = f"{chosen} of the {len(front)} results on the band "
    told += "is chosen by a method" if chosen == 1 else "are chosen by a method"
    ax.set_title(f"Lower left is better. {told}\n(steps down: 95 % intervals, paired by seed)")
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.07), ncols=4)


def _family(ax: Axes, points: pd.DataFrame, title: str, methods: Sequence[str]) -> None:
    for key in (*OPPONENTS, *methods):
        rows = points[points["method"] == key].sort_values("budget")
        name = None if key in OPPONENTS else label_of(key)
        if len(rows):
            ax.plot(rows["cost"], rows["error"], label=name, **_look(key))
    ax.set_title(title)
    if methods:
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=2)
    else:
        write_reason(ax, "not run yet in this profile", height=0.95)  # above the opponents


def _look(key: str) -> dict[str, object]:
    look = {"color": colour_of(key), "marker": marker_of(key), "markersize": 5, "zorder": 3}
    if key == "full":
        return look | {"marker": "*", "markersize": 13, "linestyle": "none"}
    dashes = {"random-longer": "--", "repeated-random": ":"}
    look["markersize"] = 7 if key in BESIDE else 5
    width = 2.4 if key in OPPONENTS else 1.4
    return look | {"linestyle": dashes.get(key, "-"), "linewidth": width}
