"""Direct labels at line ends that do not overlap, and legends that are never cut."""

from collections.abc import Sequence

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend

from helpers.plots.base import ink


def spread_labels(wanted: Sequence[float], gap: float, low: float, high: float) -> np.ndarray:
    """Move label heights apart, as little as possible, keeping their order.

    Least squares under "neighbours at least `gap` apart" is isotonic regression of the heights
    less `gap` times their rank; the bounds then only clip it.

    Args:
        wanted: Heights the labels would like, shape (m,).
        gap: Least distance between neighbours, same unit.
        low: Lowest height allowed.
        high: Highest height allowed; with too many labels they overflow evenly at both ends.

    Returns:
        Heights, shape (m,), in the order of `wanted`.
    """
    wanted = np.asarray(wanted, dtype=float)
    order = np.argsort(wanted, kind="stable")
    steps = gap * np.arange(len(wanted))
    free = _isotonic(wanted[order] - steps)
    top = high - (steps[-1] if len(steps) else 0.0)
    free = np.clip(free, low, top) if top >= low else np.full(len(free), (low + top) / 2)
    placed = np.empty_like(free)
    placed[order] = free + steps
    return placed


def _isotonic(values: np.ndarray) -> np.ndarray:
    """Nearest non-decreasing sequence in least squares (pool adjacent violators), shape (m,)."""
    blocks: list[list[float]] = []
    for value in values:
        blocks.append([value, 1])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            mean, size = blocks.pop()
            blocks[-1] = [
                (blocks[-1][0] * blocks[-1][1] + mean * size) / (blocks[-1][1] + size),
                blocks[-1][1] + size,
            ]
    return np.repeat([mean for mean, _ in blocks], [size for _, size in blocks])


def direct_labels(
    ax: Axes, ends: Sequence[tuple[float, float, str, str]], size: float = 9.0
) -> None:
    """Write names to the right of the axes, each tied to its line's end by a thin line.

    Call it last: it fixes the limits the labels are placed by.

    Args:
        ax: Axes whose lines are drawn.
        ends: One (x, y, name, colour) a line, in data coordinates.
        size: Font size in points.
    """
    if not ends:
        return
    ax.set_xlim(ax.get_xlim())
    ax.set_ylim(ax.get_ylim())
    notes = [_note(ax, end, size) for end in ends]
    ax.figure.draw_without_rendering()
    gap = 1.35 * size / 72 * ax.figure.dpi / ax.bbox.height
    pixels = ax.transData.transform([end[:2] for end in ends])
    wanted = ax.transAxes.inverted().transform(pixels)[:, 1]
    for note, height in zip(notes, spread_labels(wanted, gap, 0.02, 0.98), strict=True):
        note.set_position((1.04, height))


def _note(ax: Axes, end: tuple[float, float, str, str], size: float):
    """Place one label at the right edge, at its line's own height for now."""
    x, y, name, colour = end
    thin = {"arrowstyle": "-", "color": colour, "linewidth": 0.7, "alpha": 0.7}
    thin |= {"shrinkA": 1, "shrinkB": 3, "relpos": (0, 0.5)}
    return ax.annotate(
        name,
        (x, y),
        xytext=(1.04, 0.5),
        textcoords="axes fraction",
        color=ink(colour),
        fontsize=size,
        va="center",
        ha="left",
        arrowprops=thin,
        annotation_clip=False,
    )


def legend_above(
    fig: Figure, handles: Sequence[Artist], names: Sequence[str], **options: object
) -> Legend:
    """Write a legend over the panels, in as many columns as the figure is wide enough for.

    The figure grows taller by the rows after the first, so that the panels keep their height, and
    wider where a single name needs it.

    Args:
        fig: Figure with constrained layout.
        handles: What the legend shows, one a name.
        names: Its texts, at least one.
        **options: Passed to `Figure.legend`, as its title.

    Returns:
        The legend.
    """
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
