"""Figures of matrices: agreement between rankings, and gaps to an optimum."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from helpers import StudyError
from helpers.plots.base import fix_layout, label_of, need, new_figure
from helpers.plots.panels import heatmap


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
    fig, axes = new_figure(1, len(arrays), (width, (width - 1.2) / len(arrays) + 0.9), sharey=True)
    size = min(9.0, 72 * (width - 1.2) / len(arrays) / m / 3.6)
    low = min(0.0, *(np.nanmin(matrix, initial=0.0) for matrix in arrays.values()))
    for ax, (name, matrix) in zip(axes[0], arrays.items(), strict=True):
        texts = np.where(np.isnan(matrix), "not\nrun", np.char.mod("%.2f", matrix))
        heatmap(ax, matrix, texts, size, cmap="viridis", vmin=low, vmax=1.0)
        ax.set(title=label_of(name), aspect="equal")
        ax.set_xticks(np.arange(m) + 0.5, labels, rotation=45, ha="right", rotation_mode="anchor")
    axes[0, 0].set_yticks(np.arange(m) + 0.5, labels)
    shade = axes[0, 0].collections[0]
    fig.colorbar(shade, ax=list(axes[0]), shrink=0.75, pad=0.02, label=f"{coefficient} correlation")
    fig.supxlabel("diagonal: the same model, different seeds", fontsize=9)
    for _ in range(4):  # square cells shrink their axes: what stands around them follows
        fix_layout(fig)
    return fig


def gap_heatmap(below: pd.DataFrame, above: pd.DataFrame, reference: str = "the optimum") -> Figure:
    """Draw how far methods stay below a reference value and bounds above it, with the numbers.

    Args:
        below: One row a method, one column a kind of instance, (reference - value) / reference.
        above: One row a bound, the same columns, (bound - reference) / reference; NaN: none.
        reference: What both are measured against, for the titles.

    Returns:
        Methods over bounds; the numbers in per cent, colours by their order of magnitude.
    """
    need(below, "below")
    need(above, "above")
    if list(below.columns) != list(above.columns):
        raise StudyError(f"columns must agree, got {list(below.columns)}, {list(above.columns)}")
    heights = [len(below), len(above)]
    size = (2.6 + 1.35 * below.shape[1], 1.6 + 0.34 * sum(heights))
    fig, axes = new_figure(2, 1, size, sharex=True, height_ratios=heights)
    for ax, table, cmap, side in (
        (axes[0, 0], below, "Purples", "methods, below"),
        (axes[1, 0], above, "Oranges", "bounds, above"),
    ):
        percent = 100 * np.maximum(table.to_numpy(dtype=float), 0)
        texts = np.vectorize(percent_text, otypes=[object])(percent)
        # 0.001 % and less is white, 100 % is dark; a little is kept unused, so text reads well
        heatmap(ax, np.log10(np.clip(percent, 1e-3, 100)), texts, 10, cmap=cmap, vmin=-3, vmax=3.25)
        ax.set_yticks(np.arange(len(table)) + 0.5, table.index)
        ax.set_title(f"{side} {reference} (%)", loc="left")
    axes[1, 0].set_xticks(np.arange(below.shape[1]) + 0.5, below.columns)
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
