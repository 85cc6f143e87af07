"""Figures of pools and what is taken from them: norms, latent space, toy pools."""

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from helpers import StudyError
from helpers.plots.base import colour_of, colours_for, label_of, need, new_figure, on


def ecdf_panels(
    norms: np.ndarray,
    selections: Mapping[str, np.ndarray],
    n_nodes: int = 5,
    nodes: np.ndarray | None = None,
) -> Figure:
    """Draw the ECDF of gradient norms, full pool against what each method selected.

    Args:
        norms: Gradient norms of the pool (or of one class), shape (n,).
        selections: Method key -> row numbers selected, shape (k,).
        n_nodes: GEDA's N; its N - 1 interior nodes, equally spaced from the least norm to the
            largest, are marked.
        nodes: Nodes to mark instead, shape (m,).

    Returns:
        One panel a method; the area between the curves (L1 distance) stands in its title.

    Raises:
        StudyError: If there is nothing to draw.

    Source: GEDA, section 4 and figure 5.
    """
    norms = np.asarray(norms, dtype=float)
    need(norms, "norms")
    need(selections, "selections")
    for name, selected in selections.items():
        need(selected, f"the selection of {name!r}")
    if nodes is None:
        nodes = np.linspace(norms.min(), norms.max(), n_nodes + 1)[1:-1]
    fig, axes = _grid(len(selections), 3, (3.5, 2.9))
    colours = colours_for(selections)
    for ax, (name, selected) in zip(axes, selections.items()):
        kept = norms[np.asarray(selected)]
        _ecdf(ax, norms, kept, np.asarray(nodes), colours[name])
        area = f"area between the curves {_area(norms, kept):.2g}"
        ax.set_title(f"{label_of(name)}, {len(kept)} of {len(norms)}\n{area}")
    fig.supxlabel("gradient norm at epoch 0", fontsize=10)
    fig.supylabel("share of examples at or below", fontsize=10)
    return fig


def _grid(n: int, columns: int, size: tuple[float, float]) -> tuple[Figure, list[Axes]]:
    """Open n panels of `size` inches on shared scales, at most `columns` a row."""
    columns = min(n, columns)
    rows = -(-n // columns)
    width = max(4.0, min(11.0, 0.3 + size[0] * columns))
    options = {"sharex": True, "sharey": True}
    fig, axes = new_figure(rows, columns, (width, 0.5 + size[1] * rows), **options)
    for place, ax in enumerate(axes.flat):
        ax.set_visible(place < n)
        # the lowest panel of a column, where the last row is not full
        ax.xaxis.set_tick_params(labelbottom=place + columns >= n)
    return fig, list(axes.flat[:n])


def _ecdf(ax: Axes, norms, chosen, nodes, colour: str) -> None:
    """Draw both curves, and dots where the nodes cut them."""
    for values, ink_, width, name in (
        (norms, "#000000", 1.2, "all"),
        (chosen, colour, 1.8, "kept"),
    ):
        ax.ecdf(values, color=ink_, linewidth=width, label=name)
        shares = np.searchsorted(np.sort(values), nodes, side="right") / len(values)
        ax.plot(nodes, shares, "o", color=ink_, markersize=4)
    for node in nodes:
        ax.axvline(node, color="#999999", linestyle=":", linewidth=1, zorder=1)
    ax.legend(loc="lower right")


def _area(norms: np.ndarray, chosen: np.ndarray) -> float:
    """Area between two ECDFs, the Wasserstein-1 distance, in units of the norm."""
    grid = np.sort(np.concatenate([norms, chosen]))
    full = np.searchsorted(np.sort(norms), grid[:-1], side="right") / len(norms)
    part = np.searchsorted(np.sort(chosen), grid[:-1], side="right") / len(chosen)
    return float(np.sum(np.abs(full - part) * np.diff(grid)))


def latent_space(
    points: np.ndarray,
    labels: np.ndarray,
    masks: Mapping[str, np.ndarray],
    prototypes: Mapping[str, np.ndarray] | np.ndarray | None = None,
    class_names: Sequence[str] | None = None,
) -> Figure:
    """Draw a selection in latent space: what is kept and what is dropped.

    Args:
        points: Embedding in two dimensions, shape (n, 2).
        labels: Classes, shape (n,).
        masks: Panel title (EASY, HARD) -> is_kept, shape (n,) bool.
        prototypes: Row numbers of prototypes, shape (p,), for all panels or by panel title.
        class_names: Names of the classes, written over the classes if at most 12.

    Returns:
        One panel a mask; classes by light colour, dots kept, crosses dropped, stars prototypes.

    Raises:
        StudyError: If there is nothing to draw or a mask does not match the points.

    Source: ADONIS and IDS, figure 6.
    """
    points, labels = np.asarray(points, dtype=float), np.asarray(labels)
    need(points, "points")
    need(masks, "masks")
    masks = {title: np.asarray(mask, dtype=bool) for title, mask in masks.items()}
    for title, mask in masks.items():
        if len(mask) != len(points):
            raise StudyError(f"mask {title!r} has {len(mask)} rows, expected {len(points)}")
    fig, axes = new_figure(1, len(masks), (min(11.0, 1 + 4.6 * len(masks)), 5.2))
    for ax, (title, mask) in zip(axes[0], masks.items(), strict=True):
        stars = prototypes.get(title) if isinstance(prototypes, Mapping) else prototypes
        _latent(ax, points, labels, mask, stars)
        _class_names(ax, points, labels, class_names)
        ax.set_title(f"{title}: {mask.sum()} of {len(mask)} kept")
    handles, names = axes[0, 0].get_legend_handles_labels()
    fig.legend(handles, names, loc="outside lower center", ncols=3)
    return fig


def _latent(ax: Axes, points, labels, mask, stars) -> None:
    """Draw one panel's points."""
    tints = _tints(len(np.unique(labels)))
    colours = np.array(tints)[np.searchsorted(np.unique(labels), labels)]
    ax.scatter(*points[mask].T, s=16, c=list(colours[mask]), linewidths=0)
    ax.scatter([], [], s=16, c="#999999", label="kept")  # the legend's dot is of no class
    ax.scatter(*points[~mask].T, s=22, c="#333333", marker="x", linewidths=0.8, label="dropped")
    if stars is not None and len(stars):
        place = points[np.asarray(stars)]
        edge = {"edgecolors": "black", "linewidths": 0.9, "zorder": 4}
        ax.scatter(*place.T, s=120, c="#ffd92f", marker="*", label="prototype", **edge)
    ax.set(xticks=[], yticks=[], xlabel="first component", ylabel="second component")
    ax.grid(False)


def _tints(n: int) -> list[str]:
    """Make n light class colours, tab10's mixed with white; beyond ten by hue."""
    base = [mpl.colormaps["tab10"](i) if n <= 10 else mpl.colormaps["hsv"](i / n) for i in range(n)]
    return [to_hex(0.6 * np.array(to_rgb(colour)) + 0.4) for colour in base]


def _class_names(ax: Axes, points, labels, names: Sequence[str] | None) -> None:
    """Write each class's name over it, unless there are too many to read."""
    classes = np.unique(labels)
    if names is None or len(classes) > 12:
        return
    halo = [withStroke(linewidth=3, foreground="white")]
    for one in classes:
        x, y = points[labels == one].T
        # over the class, not on its mean: there lie the prototypes of HARD
        place = (np.median(x), np.quantile(y, 0.97))
        text = ax.text(*place, str(names[int(one)]), ha="center", va="bottom", fontsize=9.5)
        text.set(path_effects=halo, zorder=5, fontweight="bold", color="#222222")


def toy_selection(
    points: np.ndarray, selections: Mapping[str, np.ndarray], numbers: bool = True
) -> Figure:
    """Draw what each method takes from a toy pool of two dimensions.

    Args:
        points: Pool, shape (n, 2).
        selections: Method key -> row numbers in keep-first order, shape (k,).
        numbers: Write the order of picks into the points, for k up to 20; a pick almost on top
            of an earlier one goes without.

    Returns:
        Small panels, at most four a row, on one scale.

    Raises:
        StudyError: If there is nothing to draw.
    """
    points = np.asarray(points, dtype=float)
    need(points, "points")
    need(selections, "selections")
    fig, axes = _grid(len(selections), 4, (2.7, 2.7))
    for ax, (name, selected) in zip(axes, selections.items()):
        selected = np.asarray(selected)
        ax.scatter(*points.T, s=22, facecolors="white", edgecolors="#aaaaaa")
        ax.scatter(*points[selected].T, s=95, color=colour_of(name), linewidths=0)
        _number(ax, points, selected if numbers and len(selected) <= 20 else [], colour_of(name))
        ax.set_title(label_of(name))
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set(visible=True, color="#cccccc")
        ax.margins(0.12)
    return fig


def _number(ax: Axes, points: np.ndarray, selected: Sequence[int], colour: str) -> None:
    """Write the order of picks into the points that have room for it."""
    near = 0.09 * np.ptp(points, axis=0).clip(1e-12)
    written: list[np.ndarray] = []
    for place, row in enumerate(selected, start=1):
        if all((abs(points[row] - other) > near).any() for other in written):
            number = ax.text(*points[row], place, fontsize=7, ha="center", va="center")
            number.set_color(on(colour))
            written.append(points[row])
