"""Places of figures that have nothing to draw yet, and why."""

from collections.abc import Iterable

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from helpers.plots.base import figure_path, new_figure, save


def empty_place(reason: str) -> Figure:
    """Keep a figure's place and say in it why there is nothing to draw.

    Args:
        reason: One or two short lines.
    """
    fig, axes = new_figure(1, 1, (7.5, 2.4))
    ax = axes[0, 0]
    write_reason(ax, reason)
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set(visible=True, color="#cccccc", linestyle="--")
    return fig


def keep_places(names: Iterable[str], since: float) -> None:
    """Save an empty place for every figure that was not drawn since a moment.

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
