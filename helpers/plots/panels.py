"""What figures are made of: curves, levels, dots with intervals, heatmaps, labels, placeholders."""

import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
from scipy.optimize import isotonic_regression

from helpers.plots.base import (
    GREY,
    colours_for,
    figure_path,
    fix_layout,
    ink,
    label_of,
    new_figure,
    save,
)
from helpers.ranking import t_interval

DASHES = ("-", "--", ":", "-.")
End = tuple[float, float, str, str]  # x, y, name and colour of a line's end, for its label


def t_ends(values) -> tuple[float, float]:
    """Return the ends of the 95 % t interval of values, as `curve` takes them."""
    return t_interval(values)[1:]


def sd_ends(values) -> tuple[float, float]:
    """Return values' mean less and plus their standard deviation, as `curve` takes them."""
    return np.mean(values) - np.std(values, ddof=1), np.mean(values) + np.std(values, ddof=1)


def curve(
    ax: Axes,
    x,
    y,
    colour: str,
    name: str = "",
    ends: Callable[[np.ndarray], tuple[float, float]] | None = sd_ends,
    err_style: str = "bars",
    estimator: str = "mean",
    **look,
) -> End:
    """Draw the mean of y at each x with its spread, and return the line's end.

    Args:
        ax: Where to draw.
        x: Places of the runs, shape (m,); equal ones are averaged.
        y: Values of the runs, shape (m,); NaN is left out.
        colour: Of line and spread.
        name: For the label at the end.
        ends: Gives the ends of the spread of several values; None draws none.
        err_style: "bars" or "band".
        estimator: "mean" or "median".
        **look: Passed to matplotlib's line.
    """
    frame = pd.DataFrame({"x": np.asarray(x, dtype=float), "y": np.asarray(y, dtype=float)})
    runs = frame.dropna().groupby("x")["y"]
    at, middle = runs.agg(estimator).reset_index().to_numpy().T
    look = {"markersize": 6, "markeredgecolor": "white", "markeredgewidth": 0.5} | look
    ax.plot(at, middle, color=colour, label=name, **look)
    if ends is not None:
        spread = [ends(y) if len(y) > 1 else (np.nan, np.nan) for _, y in runs]
        if err_style == "band":
            ax.fill_between(at, *np.transpose(spread), color=colour, alpha=0.2, lw=0)
        else:
            bars = np.abs(np.transpose(spread) - middle)
            ax.errorbar(at, middle, bars, fmt="none", ecolor=colour, elinewidth=1, capsize=2)
    return float(at[-1]), float(middle[-1]), name, colour


def seed_curves(
    ax: Axes, x: Sequence[float], rows: Mapping[str, np.ndarray], seeds: str, **look
) -> list[End]:
    """Draw the mean of each series with its seeds, and return the lines' ends.

    `rows` has key -> shape (seeds, e), NaN left out; `seeds` are a "band" of one standard
    deviation, thin "lines" or "dots"; `look` goes to the line of the mean.
    """
    ends, colours = [], colours_for(rows)
    for key, values in rows.items():
        for run in values if seeds != "band" and len(values) > 1 else ():
            thin = {"linewidth": 0.8, "alpha": 0.35} if seeds == "lines" else {"linestyle": "none"}
            thin |= {"marker": "o", "markersize": 3, "alpha": 0.4} if seeds == "dots" else {}
            ax.plot(x, run, color=colours[key], **thin)
        spread = sd_ends if seeds == "band" else None
        places = np.tile(np.asarray(x, dtype=float), len(values))
        ends.append(curve(ax, places, np.ravel(values), colours[key], label_of(key), spread,
                          "band", **look))  # fmt: skip
    return ends


def level(ax: Axes, values, colour: str, **look) -> float:
    """Draw a mean as a horizontal line, its standard deviation as a band, and return the mean."""
    mean, spread = pd.Series(values).mean(), np.nan_to_num(pd.Series(values).std())
    ax.axhspan(mean - spread, mean + spread, color=colour, alpha=0.1, linewidth=0)
    ax.axhline(mean, color=colour, **{"linewidth": 1.3, "zorder": 1.5} | look)
    return float(mean)


def dot(
    ax: Axes,
    values,
    place: float,
    colour: str,
    marker: str = "o",
    upright: bool = False,
) -> None:
    """Draw a mean with its 95 % t interval; hollow and without it where there is a single value.

    Args:
        ax: Where to draw.
        values: One number a run, shape (m,), m >= 1; NaN is left out.
        place: Height (x, if upright) of the dot.
        colour: Of dot and interval.
        marker: Of the dot.
        upright: The values run along y.
    """
    values = pd.Series(values).dropna().to_numpy(dtype=float)
    mean, *ends = t_interval(values)
    if len(values) > 1:
        line = ([place, place], ends) if upright else (ends, [place, place])
        ax.plot(*line, color=colour, linewidth=1.8)
    face = colour if len(values) > 1 else "white"
    at = (place, mean) if upright else (mean, place)
    ax.plot(*at, marker, color=colour, markerfacecolor=face, markersize=6.5)


def name_rows(ax: Axes, names: Sequence[str], upwards: bool = False) -> None:
    """Name the heights 0, 1, ... of a panel, from the top down."""
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(*((-0.55, len(names) - 0.45) if upwards else (len(names) - 0.4, -0.6)))


def zero_line(ax: Axes, upright: bool = True) -> None:
    """Mark zero."""
    (ax.axvline if upright else ax.axhline)(0, color=GREY, linewidth=1.6, zorder=1)


def heatmap(ax: Axes, values: np.ndarray, texts: np.ndarray, size: float = 9, **shade) -> None:
    """Draw values (r, c) as coloured cells with a text in each; NaN leaves a hatched cell.

    `size` is that of the texts (r, c) in points; `shade` goes to matplotlib's `pcolormesh`.
    """
    missing = np.isnan(values)
    cells = ax.pcolormesh(np.ma.array(values, mask=missing), **shade)
    light = cells.to_rgba(values)[..., :3] ** 2.2 @ [0.2126, 0.7152, 0.0722] > 0.4
    inks = np.where(missing, "#222222", np.where(light, "#262626", "white"))
    for (row, column), text in np.ndenumerate(texts):
        ax.text(column + 0.5, row + 0.5, text, ha="center", va="center", fontsize=size,
                color=inks[row, column])  # fmt: skip
    ax.set(xticks=[], yticks=[], xlim=(0, values.shape[1]), ylim=(len(values), 0))
    ax.patch.set(facecolor="#f4f4f4", edgecolor="#cfcfcf", hatch="///")
    ax.grid(False)
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)


def panel_grid(n: int, columns: int, size: tuple[float, float]) -> tuple[Figure, list[Axes]]:
    """Open n panels of `size` inches on shared scales, at most `columns` a row."""
    columns = min(n, columns)
    rows = -(-n // columns)
    width = max(4.0, min(11.0, 0.3 + size[0] * columns))
    fig, axes = new_figure(rows, columns, (width, 0.5 + size[1] * rows), sharex=True, sharey=True)
    for place, ax in enumerate(axes.flat):
        ax.set_visible(place < n)
        # the lowest panel of a column, where the last row is not full
        ax.xaxis.set_tick_params(labelbottom=place + columns >= n)
    return fig, list(axes.flat[:n])


def log_ticks(axis, subs: Sequence[float] = (), fine: bool = False) -> None:
    """Write plain numbers at a logarithmic axis, the closer the shorter it is.

    `fine`: every tenth or half where the axis spans less than a factor of 2; its limits are final.
    """
    low, high = axis.get_view_interval()
    subs = subs or ((1, 2, 3, 5, 7) if high > 8 * low else (1, 1.5, 2, 2.5, *range(3, 10)))
    if fine and high < 2 * low:
        subs = (*np.arange(10, 25) / 10, *np.arange(2.5, 10, 0.5))
    axis.set_major_locator(LogLocator(subs=subs))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def direct_labels(ax: Axes, ends: Sequence[End], size: float = 9.0) -> None:
    """Write names to the right of the axes, each tied to its line's end by a thin line.

    Call it last: it fixes the limits the labels are placed by.

    `ends` has one (x, y, name, colour) a line, in data coordinates.
    """
    if not ends:
        return
    ax.set_xlim(ax.get_xlim())
    ax.set_ylim(ax.get_ylim())
    thin = {"arrowstyle": "-", "linewidth": 0.7, "alpha": 0.7, "shrinkA": 1, "shrinkB": 3}
    notes = [
        ax.annotate(name, (x, y), xytext=(1.04, 0.5), textcoords="axes fraction", va="center",
                    color=ink(colour), fontsize=size, annotation_clip=False,
                    arrowprops=thin | {"color": colour, "relpos": (0, 0.5)})
        for x, y, name, colour in ends
    ]  # fmt: skip
    fix_layout(ax.figure)  # it makes room for the names
    gap = 1.35 * size / 72 * ax.figure.dpi / ax.bbox.height
    pixels = ax.transData.transform([end[:2] for end in ends])
    wanted = ax.transAxes.inverted().transform(pixels)[:, 1]
    for note, height in zip(notes, apart(wanted, gap, 0.02, 0.98), strict=True):
        note.set_position((1.04, height))


def apart(wanted: Sequence[float], gap: float, low: float, high: float) -> np.ndarray:
    """Move label heights apart, as little as possible, keeping their order.

    Least squares under "neighbours at least `gap` apart" is isotonic regression of the heights
    less `gap` times their rank; the bounds then only clip it.

    Args:
        wanted: Heights the labels would like, shape (m,), m >= 1.
        gap: Least distance between neighbours, same unit.
        low: Lowest height allowed.
        high: Highest height allowed; with too many labels they overflow evenly at both ends.

    Returns:
        Heights, shape (m,), in the order of `wanted`.
    """
    wanted = np.asarray(wanted, dtype=float)
    order, steps = np.argsort(wanted, kind="stable"), gap * np.arange(len(wanted))
    free, top = isotonic_regression(wanted[order] - steps).x, high - steps[-1]
    free = np.clip(free, low, top) if top >= low else np.full(len(free), (low + top) / 2)
    placed = np.empty_like(free)
    placed[order] = free + steps
    return placed


def legend_above(fig: Figure, ax: Axes, **options: object) -> Legend:
    """Write a panel's legend over all panels, in as many columns as the figure is wide enough for.

    The figure grows taller by the rows after the first, so that the panels keep their height, and
    wider where a single name needs it.

    The figure has constrained layout, the panel at least one labelled artist.
    """
    handles, names = ax.get_legend_handles_labels()
    tallest, renderer = [], fig.canvas.get_renderer()
    for columns in range(len(names), 0, -1):
        place = {"loc": "outside upper center", "ncols": columns}
        legend = fig.legend(handles, names, **place, **options)
        extent = legend.get_window_extent(renderer)
        tallest.append(extent.height)
        if columns == 1 or extent.width <= fig.bbox.width:
            break
        legend.remove()
    width, height = fig.get_size_inches()
    wider = max(width, extent.width / fig.dpi + 0.1)
    fig.set_size_inches(wider, height + (tallest[-1] - tallest[0]) / fig.dpi)
    return legend


def empty_place(reason: str) -> Figure:
    """Draw the placeholder of a figure that has nothing to show yet, with the reason."""
    fig, axes = new_figure(1, 1, (7.5, 2.4))
    write_reason(axes[0, 0], textwrap.fill(reason, 76))
    axes[0, 0].set(xticks=[], yticks=[])
    axes[0, 0].spines[:].set(visible=True, color="#cccccc", linestyle="--")
    return fig


def keep_places(names: Iterable[str], since: float) -> None:
    """Save a placeholder for every figure that was not drawn since a moment.

    Args:
        names: As for `save`.
        since: Seconds since 1970.
    """
    for name in names:
        path = figure_path(name)
        if not path.exists() or path.stat().st_mtime < since:
            save(empty_place(f"{name}: not run yet in this profile"), name)


def write_reason(ax: Axes, reason: str, height: float = 0.5) -> None:
    """Say in a panel, at a share of its height, why there is nothing to draw."""
    ax.text(0.5, height, reason, ha="center", va="center", transform=ax.transAxes, color="#555555")
