"""Figures of agreement between rankings: heatmaps over models, and lines over training."""

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from helpers import StudyError
from helpers.plots.base import colours_for, label_of, mean_and_sd, need, new_figure
from helpers.plots.labels import direct_labels


def spearman_heatmaps(
    matrices: Mapping[str, np.ndarray], labels: Sequence[str], coefficient: str = "Spearman"
) -> Figure:
    """Draw the mean rank correlation between models' scores, one panel a metric.

    Args:
        matrices: Metric key -> correlations, shape (m, m); the diagonal holds runs of one model
            with different seeds; NaN = not run.
        labels: Names of the m models.
        coefficient: Name at the colour bar.

    Returns:
        One row of panels with the numbers in their cells and one shared colour bar.

    Raises:
        StudyError: If there is nothing to draw or a matrix is not (m, m).

    Source: arXiv:1906.11829, figures 3 and 9.
    """
    need(matrices, "matrices")
    need(labels, "labels")
    arrays = {name: np.asarray(matrix, dtype=float) for name, matrix in matrices.items()}
    m = len(labels)
    for name, matrix in arrays.items():
        if matrix.shape != (m, m):
            raise StudyError(f"matrix {name!r} has shape {matrix.shape}, expected {(m, m)}")
    width = min(11.0, 1.6 + max(2.4, 0.55 * m) * len(arrays))
    fig, axes = new_figure(1, len(arrays), (width, (width - 1.2) / len(arrays) + 0.9))
    low = min(0.0, min(np.nanmin(matrix, initial=0.0) for matrix in arrays.values()))
    shade = mpl.cm.ScalarMappable(mpl.colors.Normalize(low, 1.0), "viridis")
    for ax, (name, matrix) in zip(axes[0], arrays.items(), strict=True):
        ax.set_title(label_of(name))
        size = min(9.0, 72 * (width - 1.2) / len(arrays) / m / 3.6)
        _cells(ax, matrix, shade, size)
        ax.set_xticks(range(m), labels, rotation=45, ha="right", rotation_mode="anchor")
        ax.set_yticks(range(m), labels if ax is axes[0, 0] else [""] * m)
    bar = fig.colorbar(shade, ax=axes[0].tolist(), shrink=0.75, pad=0.02)
    bar.set_label(f"{coefficient} correlation")
    fig.supxlabel("diagonal: the same model, different seeds", fontsize=9)
    return fig


def _cells(ax: Axes, matrix: np.ndarray, shade, size: float) -> None:
    """Colour the cells and write each number; cells not run are hatched and say so."""
    ax.imshow(matrix, cmap=shade.cmap, norm=shade.norm)
    ax.grid(False)
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)
    for (row, column), value in np.ndenumerate(matrix):
        if np.isnan(value):
            corner = (column - 0.5, row - 0.5)
            empty = Rectangle(corner, 1, 1, facecolor="#f4f4f4", edgecolor="#cfcfcf", hatch="///")
            ax.add_patch(empty)
        dark = not np.isnan(value) and shade.norm(value) < 0.6
        text = "not\nrun" if np.isnan(value) else f"{value:.2f}"
        ink = "white" if dark else "#222222"
        ax.text(column, row, text, ha="center", va="center", fontsize=size, color=ink)


def correlation_during_training(
    epochs: Sequence[float],
    correlations: Mapping[str, np.ndarray],
    coefficient: str = "Spearman",
) -> Figure:
    """Draw how soon a proxy's ranking settles: its correlation with the final ranking.

    Args:
        epochs: Epochs at which rankings were recorded, shape (e,).
        correlations: Metric key -> correlations, shape (seeds, e); NaN = undefined, left out.
        coefficient: Name at the y axis.

    Returns:
        One panel: mean over seeds, with a band of one standard deviation.

    Raises:
        StudyError: If there is nothing to draw or the epochs do not match.

    Source: arXiv:1906.11829, figures 11 and 12.
    """
    need(correlations, "correlations")
    need(epochs, "epochs")
    rows = {name: seeds_by_epoch(name, one, epochs) for name, one in correlations.items()}
    fig, axes = new_figure(1, 1, (7.5, 4))
    ax, colours, x = axes[0, 0], colours_for(rows), np.asarray(epochs, dtype=float)
    ends = [_band(ax, x, values, colours[name], name) for name, values in rows.items()]
    ax.set_xlabel("epoch")
    ax.set_ylabel(f"{coefficient} correlation with the final ranking")
    ax.set_title(mean_and_sd(map(len, rows.values())).capitalize())
    ax.set_ylim(top=1.03)
    direct_labels(ax, ends)
    return fig


def seeds_by_epoch(name: str, values, epochs: Sequence[float]) -> np.ma.MaskedArray:
    """Bring one series to shape (seeds, e) with NaN masked.

    Raises:
        StudyError: If it has another number of epochs, or nothing but NaN.
    """
    values = np.ma.masked_invalid(np.atleast_2d(np.asarray(values, dtype=float)))
    if values.shape[1] != len(epochs):
        raise StudyError(f"{name!r} has {values.shape[1]} epochs, expected {len(epochs)}")
    need(values.compressed(), f"the series {name!r} without its NaN")
    return values


def _band(ax: Axes, x: np.ndarray, values: np.ma.MaskedArray, colour: str, name: str) -> tuple:
    """Draw mean and band of one series and return its end for the label."""
    mean = values.mean(axis=0)
    spread = values.std(axis=0, ddof=1).filled(0) if len(values) > 1 else 0
    ax.plot(x, mean, color=colour, marker="o", markersize=3.5)
    ax.fill_between(x, mean - spread, mean + spread, color=colour, alpha=0.15, linewidth=0)
    last = np.flatnonzero(~np.ma.getmaskarray(mean))[-1]
    return (x[last], float(mean[last]), label_of(name), colour)
