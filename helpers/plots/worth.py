"""Figure that asks whether selecting pays: error against the whole bill, and its front."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from helpers.plots.active import plain_ticks
from helpers.plots.base import (
    COLOURS,
    colour_of,
    ink,
    label_of,
    marker_of,
    mean_and_sd,
    need_columns,
    new_figure,
)
from helpers.plots.places import write_reason

# What selecting has to beat: chance, chance with the same work, chance anew, and everything.
OPPONENTS = ("random", "random-longer", "repeated-random", "full")
# Bills of other proxies than the study's one, named where a profile has them.
BESIDE = ("three-proxies", "own-batch", "quick-proxy")
FRONT = "#d9b26a"


def cheapest_front(cost: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Return which points no other one beats in both, the cheapest first.

    Args:
        cost: Shape (m,), less is better.
        error: Shape (m,), less is better.

    Returns:
        Places in the arrays; along them cost rises and error falls.
    """
    order = np.lexsort((error, cost))
    lowest = np.minimum.accumulate(np.append(np.inf, error[order])[:-1])
    return order[error[order] < lowest]


def worth_of_choosing(
    frame: pd.DataFrame,
    families: Mapping[str, Sequence[str]],
    x_label: str,
    awaited: Sequence[str] = (),
) -> Figure:
    """Draw test error against the total cost of choosing and training.

    Args:
        frame: Tidy runs of the target with columns method, budget, seed, test_error (percent)
            and cost (above 0); the opponents are the methods `random`, `random-longer`,
            `repeated-random` and `full`.
        families: Panel title -> keys of the methods drawn there.
        x_label: What cost is, with its unit.
        awaited: Those of `BESIDE` that are named though the frame has none of them.

    Returns:
        Above, everything in grey, the opponents and `BESIDE` in colour, and the front of lowest
        error for its cost, labelled; below, a panel a family with the opponents and the same
        front. Both axes are logarithmic; means over seeds, below with the standard deviation of
        the error.

    Raises:
        StudyError: If there is nothing to draw or a column is missing.
    """
    need_columns(frame, ("method", "budget", "seed", "test_error", "cost"), "the frame of runs")
    points = _means(frame)
    fig, axes = new_figure(2, len(families), (11.0, 9.0), height_ratios=(1.15, 1))
    grid = axes[0, 0].get_gridspec()
    for ax in axes[0]:
        ax.remove()
    top = fig.add_subplot(grid[0, :])
    panels = list(axes[1])
    front = points.iloc[cheapest_front(points["cost"].to_numpy(), points["error"].to_numpy())]
    for ax in (top, *panels):
        _prepare(ax, points, front)
    known = {*points["method"], *awaited}
    _front(top, points, front, (*OPPONENTS, *(key for key in BESIDE if key in known)))
    for ax, (title, methods) in zip(panels, families.items(), strict=True):
        _family(ax, points, title, [m for m in methods if m in set(points["method"])])
    for ax in panels[1:]:
        ax.tick_params(labelleft=False)
    top.set_ylabel("test error (%)")
    panels[0].set_ylabel("test error (%)")
    counts = frame.groupby(["method", "budget"])["seed"].nunique()
    fig.supxlabel(f"{x_label}; {mean_and_sd(counts)}", fontsize=10)
    return fig


def _means(frame: pd.DataFrame) -> pd.DataFrame:
    """Return mean cost, mean error and its spread of each method and budget."""
    groups = frame.groupby(["method", "budget"], sort=False)
    found = groups.agg(cost=("cost", "mean"), error=("test_error", "mean"),
                       spread=("test_error", "std"))  # fmt: skip
    return found.fillna({"spread": 0.0}).reset_index()


def _prepare(ax: Axes, points: pd.DataFrame, front: pd.DataFrame) -> None:
    """Give every panel the same logarithmic axes and the front as a staircase."""
    ax.set(xscale="log", yscale="log")
    low, high = points["cost"].min(), points["cost"].max()
    ax.set_xlim(low / 1.6, high * 1.4)
    ax.set_ylim(0.85 * points["error"][points["error"] > 0].min(), 1.25 * points["error"].max())
    plain_ticks(ax.yaxis)
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(_short))
    x = [*front["cost"], high * 1.4]
    y = [*front["error"], front["error"].iloc[-1]]
    ax.step(x, y, where="post", color=FRONT, linewidth=5, alpha=0.45, zorder=1)


def _short(value: float, _: int) -> str:
    """Write a tick's number short enough for narrow panels."""
    return f"{value:g}" if value < 1000 else f"{value / 1000:,g}k"


def _front(ax: Axes, points: pd.DataFrame, front: pd.DataFrame, named: Sequence[str]) -> None:
    """Draw all points in grey, the named methods in colour, and name the points of the front."""
    ax.plot(points["cost"], points["error"], "o", color="#c9c9c9", markersize=4, zorder=2)
    for key in named:
        rows = points[points["method"] == key]
        name = label_of(key) + ("" if len(rows) else ": not run yet")
        ax.plot(rows["cost"], rows["error"], label=name, **_look(key))
    for row in front.to_dict("records"):
        key, at = row["method"], (row["cost"], row["error"])
        if key != "full":
            ax.plot(*at, marker_of(key), color=colour_of(key), markersize=8, zorder=4)
    _names(ax, front)
    ax.set_title("Every method and share; the band is the lowest error for its cost")
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.07), ncols=4)


def _names(ax: Axes, front: pd.DataFrame) -> None:
    """Write the front's names into the corner that nothing reaches, a thin line to each point."""
    rows = front.to_dict("records")
    back = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.0}
    for place, row in enumerate(rows):
        share = "" if row["method"] == "full" else f" {row['budget']:.0%}"
        colour = ink(colour_of(row["method"]))
        thin = {"arrowstyle": "-", "color": colour, "linewidth": 0.6, "alpha": 0.6}
        thin |= {"shrinkA": 0, "shrinkB": 4, "relpos": (1, 0.5)}
        ax.annotate(label_of(row["method"]) + share, (row["cost"], row["error"]),
                    xytext=(0.015, 0.045 + 0.062 * (len(rows) - 1 - place)), color=colour,
                    textcoords="axes fraction", va="center", fontsize=9,
                    arrowprops=thin, bbox=back)  # fmt: skip


def _family(ax: Axes, points: pd.DataFrame, title: str, methods: Sequence[str]) -> None:
    """Draw one family's methods through their budgets, beside the opponents."""
    for key in (*OPPONENTS, *methods):
        rows = points[points["method"] == key].sort_values("budget")
        if not len(rows):
            continue
        quiet = key in OPPONENTS
        ax.errorbar(rows["cost"], rows["error"], rows["spread"], elinewidth=0.7,
                    label=None if quiet else label_of(key), **_look(key))  # fmt: skip
    ax.set_title(title)
    if methods:
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=2)
    else:
        write_reason(ax, "not run yet in this profile", height=0.95)  # above the opponents


def _look(key: str) -> dict[str, object]:
    """Return how a series is drawn: opponents thick or dashed, the full set as a star."""
    look = {"color": colour_of(key), "marker": marker_of(key), "markersize": 5, "zorder": 3}
    if key == "full":
        return look | {"marker": "*", "markersize": 13, "linestyle": "none", "color": COLOURS[key]}
    dashes = {"random": "-", "random-longer": "--", "repeated-random": ":"}
    width = 2.4 if key in OPPONENTS else 1.4
    if key in BESIDE:
        look["markersize"] = 7
    return look | {"linestyle": dashes.get(key, "-"), "linewidth": width}
