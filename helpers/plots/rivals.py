"""Figures that set `budgeted` beside its rivals: seconds of selection, gaps to the optimum."""

from collections.abc import Mapping

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from helpers import StudyError
from helpers.plots.base import colour_of, marker_of, need, need_columns, new_figure, on
from helpers.plots.labels import direct_labels

DARKEST = 1.25  # end of the colour scale of gaps; a little is kept unused, so text reads well


def selection_times_beside(panels: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw seconds of selection against the budget, one panel a source, on one scale of seconds.

    Args:
        panels: Title -> rows with columns method (key, for the colour), name (the series, as
            shown), share (k / N) and seconds; several rows of one name and share are drawn as
            their median, with their range shaded.

    Returns:
        One panel a title, seconds logarithmic, names at the line ends.

    Raises:
        StudyError: If there is nothing to draw, a column is missing or a time is not positive.

    Source: Banerjee and Chakraborty, table I.
    """
    need(panels, "panels")
    for title, frame in panels.items():
        need_columns(frame, ("method", "name", "share", "seconds"), f"the rows of {title!r}")
        if not (frame["seconds"] > 0).all():
            raise StudyError("selection times must be positive seconds: the axis is logarithmic")
    fig, axes = new_figure(1, len(panels), (5.4 * len(panels), 4.4), sharey=True)
    labels = []
    for ax, (title, frame) in zip(axes[0], panels.items(), strict=True):
        ends = []
        for (method, name), rows in frame.groupby(["method", "name"], sort=False):
            times = rows.groupby("share")["seconds"].agg(["median", "min", "max"])
            colour = colour_of(method)
            ax.fill_between(times.index, times["min"], times["max"], color=colour, alpha=0.18)
            ax.plot(times.index, times["median"], color=colour, marker=marker_of(method))
            ends.append((times.index[-1], times["median"].iloc[-1], name, colour))
        ax.set_yscale("log")
        ax.set_title(title)
        ax.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        labels.append((ax, ends))
    axes[0, 0].set_ylabel("time of the whole selection (s)")
    fig.supxlabel("budget k (share of the pool)", fontsize=10)
    for ax, ends in labels:
        direct_labels(ax, ends)
    return fig


def best_connected(points: np.ndarray, row_sums: np.ndarray, k: int) -> Figure:
    """Draw what rounding the linear program picks: the k points with the largest row sums.

    Args:
        points: Pool in the plane, shape (n, 2).
        row_sums: Of Q, shape (n,).
        k: Points picked, 1 <= k <= n.

    Returns:
        Left the pool, coloured by row sum, picks ringed; right the row sums in order, cut at k.

    Raises:
        StudyError: If the points are not (n, 2) with one sum each, or k is outside 1..n.
    """
    points, sums = np.asarray(points, dtype=float), np.asarray(row_sums, dtype=float)
    if points.ndim != 2 or points.shape[1] != 2 or sums.shape != points.shape[:1]:
        raise StudyError(f"points must be (n, 2) with a sum each, got {points.shape}, {sums.shape}")
    if not 1 <= k <= len(sums):
        raise StudyError(f"k must lie in 1..{len(sums)}, got {k}")
    fig, axes = new_figure(1, 2, (9, 3.6))
    place, ranks = axes[0]
    order, colours = np.argsort(-sums, kind="stable"), mpl.colormaps["viridis_r"]
    shades = colours((sums - sums.min()) / (np.ptp(sums) or 1))
    place.scatter(*points.T, c=shades, s=42, zorder=2)
    ring = {"facecolors": "none", "edgecolors": colour_of("iqp"), "linewidths": 1.8}
    place.scatter(*points[order[:k]].T, s=120, zorder=3, **ring)
    place.set(xticks=[], yticks=[], title=f"the {k} largest row sums, ringed")
    place.spines[:].set_visible(True)
    ranks.bar(np.arange(1, len(sums) + 1), sums[order], width=0.85, color=shades[order])
    ranks.axvline(k + 0.5, color=colour_of("iqp"), linestyle="--", linewidth=1.5)
    ranks.set(xlabel="examples by row sum", ylabel="row sum of Q", title=f"cut after k = {k}")
    ranks.grid(axis="x", visible=False)
    return fig


def gap_heatmap(below: pd.DataFrame, above: pd.DataFrame, reference: str = "the optimum") -> Figure:
    """Draw how far methods stay below a reference value and bounds above it, with the numbers.

    Args:
        below: One row a method, one column a kind of instance, (reference - value) / reference.
        above: One row a bound, the same columns, (bound - reference) / reference; NaN: none.
        reference: What both are measured against, for the titles.

    Returns:
        Methods over bounds; the numbers in per cent, colours by their order of magnitude.

    Raises:
        StudyError: If there is nothing to draw or the columns differ.
    """
    need(below, "below")
    need(above, "above")
    if list(below.columns) != list(above.columns):
        raise StudyError(f"columns must agree, got {list(below.columns)}, {list(above.columns)}")
    rows = [len(below), len(above)]
    size = (2.6 + 1.35 * below.shape[1], 1.6 + 0.34 * sum(rows))
    ratios = {"height_ratios": rows}
    fig, axes = new_figure(2, 1, size, sharex=True, gridspec_kw=ratios)
    for ax, table, cmap, side in (
        (axes[0, 0], below, "Purples", "methods, below"),
        (axes[1, 0], above, "Oranges", "bounds, above"),
    ):
        percent = 100 * np.maximum(table.to_numpy(dtype=float), 0)
        # 0.001 % and less is white, 100 % and more darkest
        shade = np.log10(np.clip(percent, 1e-3, 100)) / 5 + 0.6
        ax.imshow(shade, cmap=cmap, vmin=0, vmax=DARKEST, aspect="auto")
        for (row, column), value in np.ndenumerate(percent):
            cell = np.nan_to_num(shade[row, column]) / DARKEST  # nothing is drawn as white
            colour = on(to_hex(mpl.colormaps[cmap](cell)))
            ax.text(column, row, percent_text(value), ha="center", va="center", color=colour)
        ax.set_yticks(range(len(table)), table.index)
        ax.set_xticks(range(table.shape[1]), table.columns)
        ax.set_title(f"{side} {reference} (%)", loc="left")
        ax.tick_params(length=0)
        ax.grid(visible=False)
    return fig


def means_by_kind(
    arrays: Mapping[str, np.ndarray], prefix: str, names: Mapping[str, str], n: int
) -> pd.DataFrame:
    """Turn measured gaps into a table for `gap_heatmap`.

    Args:
        arrays: kinds (m,), and prefix_KEY for each key, shape (m, instances); a key may lack.
        prefix: As "gap" or "above".
        names: Key -> name of its row.
        n: Size of the pools, for the columns' heads.

    Returns:
        Means over instances, one row a name, one column a kind; NaN where there is nothing.
    """
    heads = [f"{kind}\nN = {n:,}" for kind in arrays["kinds"]]
    nothing = np.full((len(heads), 1), np.nan)
    means = [arrays.get(f"{prefix}_{key}", nothing).mean(axis=1) for key in names]
    return pd.DataFrame(means, list(names.values()), heads)


def percent_text(value: float) -> str:
    """Write a percentage with the digits it deserves; a dash where there is none."""
    if not np.isfinite(value):
        return "–"
    if value < 5e-4:
        return "0"
    return f"{value:.3f}" if value < 0.01 else f"{value:.2f}" if value < 10 else f"{value:.0f}"
