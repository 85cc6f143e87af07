"""The gallery: what every method picks from one pool in the plane."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from helpers.plots.base import colour_of, ink, label_of, need, new_figure

CLASS_TINTS = ("#9ec9e8", "#f3c5a0", "#b5d9b0", "#d9c2e6", "#e6d79c", "#c9c9c9")
COLUMNS = 6


def gallery(
    points: np.ndarray,
    labels: np.ndarray,
    picks: Mapping[str, np.ndarray],
    weights: Mapping[str, np.ndarray] | None = None,
) -> Figure:
    """Draw one panel a method: its picks on the same pool.

    Args:
        points: The pool, shape (n, 2).
        labels: Its classes, shape (n,); they tint the points that were not picked.
        picks: Method key -> row numbers, shape (k,).
        weights: Method key -> weights (k,) >= 0 of methods that give them: areas of the picks.

    Returns:
        Panels in the order of `picks` on one scale, the pool itself first.

    Raises:
        StudyError: If there are no picks.
    """
    need(picks, "picks")
    weights = weights or {}
    n_rows = -(-(len(picks) + 1) // COLUMNS)
    size = (2.05 * COLUMNS, 1.95 * n_rows + 0.2)
    fig, axes = new_figure(n_rows, COLUMNS, size, sharex=True, sharey=True)
    for ax in axes.flat:
        ax.set_axis_off()
        ax.set_aspect("equal")
    for ax, name in zip(axes.flat, ["", *picks], strict=False):
        ax.scatter(*points.T, s=4, c=[CLASS_TINTS[c % len(CLASS_TINTS)] for c in labels], lw=0)
        if name:
            _picked(ax, name, points[picks[name]], weights.get(name))
        else:
            title = f"The pool: {len(points)} points, {len(np.unique(labels))} classes"
            ax.set_title(title.replace(", ", ",\n"), fontsize=9)
    margin = 0.04 * np.ptp(points, axis=0)
    axes[0, 0].set_xlim(points[:, 0].min() - margin[0], points[:, 0].max() + margin[0])
    axes[0, 0].set_ylim(points[:, 1].min() - margin[1], points[:, 1].max() + margin[1])
    return fig


def _picked(ax: Axes, name: str, chosen: np.ndarray, weights: np.ndarray | None) -> None:
    """Draw the picks of one method over the pool; areas follow weights."""
    colour = colour_of(name)
    areas = 16 if weights is None else 4 + 26 * weights / weights.max()
    ax.scatter(*chosen.T, s=areas, color=colour, edgecolor="white", linewidth=0.5, zorder=3)
    ax.set_title(f"{label_of(name)}", color=ink(colour), fontsize=9.5)
