"""Figures of pools and what is taken from them: norms, latent space, pools in the plane."""

from collections.abc import Iterable, Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from helpers import StudyError
from helpers.plots.base import colour_of, colours_for, ink, label_of, need, new_figure, on
from helpers.plots.panels import panel_grid

CLASS_TINTS = ("#9ec9e8", "#f3c5a0", "#b5d9b0", "#d9c2e6", "#e6d79c", "#c9c9c9")
COLUMNS = 5
MOST_POINTS = 900  # of a latent space, so that they can be told apart


def ecdf_panels(
    norms: np.ndarray, selections: Mapping[str, np.ndarray], n_nodes: int = 5
) -> Figure:
    """Draw the ECDF of gradient norms, full pool against what each method selected.

    Args:
        norms: Gradient norms of the pool (or of one class), shape (n,).
        selections: Method key -> row numbers selected, shape (k,).
        n_nodes: GEDA's N; its N - 1 interior nodes, equally spaced from the least norm to the
            largest, are marked.

    Returns:
        One panel a method, with the area between the curves (L1 distance) in its title.

    Source: GEDA, section 4 and figure 5.
    """
    from scipy.stats import wasserstein_distance  # takes half a second

    norms = np.asarray(norms, dtype=float)
    need(norms, "norms")
    need(selections, "selections")
    for name, selected in selections.items():
        need(selected, f"the selection of {name!r}")
    nodes = np.linspace(norms.min(), norms.max(), n_nodes + 1)[1:-1]
    fig, axes = panel_grid(len(selections), 3, (3.5, 2.9))
    colours = colours_for(selections)
    for ax, (name, selected) in zip(axes, selections.items(), strict=True):
        kept = norms[np.asarray(selected)]
        for values, colour, width, what in (
            (norms, "#000000", 1.2, "all"),
            (kept, colours[name], 1.8, "kept"),
        ):
            ax.ecdf(values, color=colour, linewidth=width, label=what)
            shares = np.searchsorted(np.sort(values), nodes, side="right") / len(values)
            ax.plot(nodes, shares, "o", color=colour, markersize=4)
        for node in nodes:
            ax.axvline(node, color="#999999", linestyle=":", linewidth=1, zorder=1)
        ax.legend(loc="lower right")
        area = f"area between the curves {wasserstein_distance(norms, kept):.2g}"
        ax.set_title(f"{label_of(name)}, {len(kept)} of {len(norms)}\n{area}")
    fig.supxlabel("gradient norm at epoch 0", fontsize=10)
    fig.supylabel("share of examples at or below", fontsize=10)
    return fig


def latent_space(
    points: np.ndarray,
    labels: np.ndarray,
    masks: Mapping[str, np.ndarray],
    prototypes: Mapping[str, np.ndarray],
    class_names: Sequence[str],
) -> Figure:
    """Draw a selection in latent space: what is kept and what is dropped.

    Args:
        points: Embedding in two dimensions, shape (n, 2).
        labels: Classes, shape (n,).
        masks: Panel title (EASY, HARD) -> is_kept, shape (n,) bool.
        prototypes: Panel title -> row numbers, shape (p,).
        class_names: Written over the classes if at most 12.

    Returns:
        One panel a mask, `MOST_POINTS` of its rows at random; classes by light colour, dots kept,
        crosses dropped, stars prototypes.

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
        _latent(ax, points, labels, mask, np.asarray(prototypes[title]))
        _class_names(ax, points, labels, class_names)
        ax.set_title(f"{title}: {mask.sum()} of {len(mask)} kept")
    handles, names = axes[0, 0].get_legend_handles_labels()
    fig.legend(handles, names, loc="outside lower center", ncols=3)
    return fig


def _latent(ax: Axes, points, labels, mask, stars) -> None:
    """Draw one panel's points, classes in tab10 (by hue beyond ten) mixed with white."""
    n = len(np.unique(labels))
    base = [mpl.colormaps["tab10"](i) if n <= 10 else mpl.colormaps["hsv"](i / n) for i in range(n)]
    tints = 0.6 * np.array([to_rgb(colour) for colour in base]) + 0.4
    colours = tints[np.searchsorted(np.unique(labels), labels)]
    some = np.random.default_rng(0).permutation(len(points))[:MOST_POINTS]
    kept, dropped = some[mask[some]], some[~mask[some]]
    ax.scatter(*points[kept].T, s=16, c=colours[kept], linewidths=0)
    ax.scatter([], [], s=16, c="#999999", label="kept")  # the legend's dot is of no class
    cross = {"c": "#333333", "marker": "x", "linewidths": 0.8, "label": "dropped"}
    ax.scatter(*points[dropped].T, s=20, **cross)
    edge = {"edgecolors": "black", "linewidths": 0.9, "zorder": 4, "label": "prototype"}
    ax.scatter(*points[stars].T, s=120, c="#ffd92f", marker="*", **edge)
    ax.set(xticks=[], yticks=[], xlabel="first component", ylabel="second component")
    ax.set_aspect("equal", adjustable="datalim")
    ax.grid(False)


def _class_names(ax: Axes, points, labels, names: Sequence[str]) -> None:
    classes = np.unique(labels)
    if len(classes) > 12:  # too many to read
        return
    halo = [withStroke(linewidth=3, foreground="white")]
    longest = max(len(str(names[int(one)])) for one in classes)
    near = np.ptp(points, axis=0) * (0.01 + 0.02 * longest, 0.04)  # width and height of a name
    written: list[np.ndarray] = []
    for one in classes:
        x, y = points[labels == one].T
        # over the class, not on its mean: there lie the prototypes of HARD
        place = np.array([np.median(x), np.quantile(y, 0.97)])
        while any((abs(place - other) < near).all() for other in written):
            place[1] += near[1] / 4
        written.append(place)
        text = ax.text(*place, str(names[int(one)]), ha="center", va="bottom", fontsize=9.5)
        text.set(path_effects=halo, zorder=5, fontweight="bold", color="#222222")


def toy_selection(
    points: np.ndarray, selections: Mapping[str, np.ndarray], numbers: bool = True
) -> Figure:
    """Draw what each method takes from a toy pool (n, 2), small panels on one scale.

    `selections` has method key -> row numbers (k,), keep-first. `numbers` writes the order into
    the picks, for k up to 20; a pick almost on top of an earlier one goes without.
    """
    points = np.asarray(points, dtype=float)
    need(points, "points")
    need(selections, "selections")
    across, up = np.ptp(points, axis=0).clip(1e-12)
    fig, axes = panel_grid(len(selections), 4, (2.7, 2.7 * min(max(up / across, 0.5), 1.5)))
    for ax, (name, selected) in zip(axes, selections.items(), strict=True):
        selected, colour = np.asarray(selected), colour_of(name)
        ax.scatter(*points.T, s=22, facecolors="white", edgecolors="#aaaaaa")
        ax.scatter(*points[selected].T, s=95, color=colour, linewidths=0)
        if numbers and len(selected) <= 20:
            _number(ax, points[selected], 0.09 * np.ptp(points, axis=0).clip(1e-12), on(colour))
        ax.set(xticks=[], yticks=[], title=label_of(name), aspect="equal")
        ax.spines[:].set(visible=True, color="#cccccc")
        ax.margins(0.12)
    return fig


def _number(ax: Axes, picks: np.ndarray, near: np.ndarray, colour: str) -> None:
    written: list[np.ndarray] = []
    for place, pick in enumerate(picks, start=1):
        if all((abs(pick - other) > near).any() for other in written):
            ax.text(*pick, place, fontsize=7, ha="center", va="center", color=colour)
            written.append(pick)


def best_connected(points: np.ndarray, row_sums: np.ndarray, k: int) -> Figure:
    """Draw what rounding the linear program picks: the k points with the largest row sums of Q.

    Left the pool (n, 2), coloured by row sum (n,), picks ringed; right the sums, cut at k.
    """
    points, sums = np.asarray(points, dtype=float), np.asarray(row_sums, dtype=float)
    if points.ndim != 2 or points.shape[1] != 2 or sums.shape != points.shape[:1]:
        raise StudyError(f"points must be (n, 2) with a sum each, got {points.shape}, {sums.shape}")
    if not 1 <= k <= len(sums):
        raise StudyError(f"k must lie in 1..{len(sums)}, got {k}")
    fig, axes = new_figure(1, 2, (9, 3.6))
    plane, ranks = axes[0]
    order, colour = np.argsort(-sums, kind="stable"), colour_of("iqp")
    shades = mpl.colormaps["viridis_r"]((sums - sums.min()) / (np.ptp(sums) or 1))
    plane.scatter(*points.T, c=shades, s=42, zorder=2)
    ring = {"facecolors": "none", "edgecolors": colour, "linewidths": 1.8}
    plane.scatter(*points[order[:k]].T, s=120, zorder=3, **ring)
    plane.set(xticks=[], yticks=[], title=f"the {k} largest row sums, ringed", aspect="equal")
    plane.spines[:].set_visible(True)
    ranks.bar(np.arange(1, len(sums) + 1), sums[order], width=0.85, color=shades[order])
    ranks.axvline(k + 0.5, color=colour, linestyle="--", linewidth=1.5)
    ranks.set(xlabel="examples by row sum", ylabel="row sum of Q", title=f"cut after k = {k}")
    ranks.grid(axis="x", visible=False)
    return fig


def gallery(
    points: np.ndarray,
    labels: np.ndarray,
    picks: Mapping[str, np.ndarray],
    weights: Mapping[str, np.ndarray],
    notes: Mapping[str, str] | None = None,
) -> Figure:
    """Draw one framed panel a method: its picks on the same pool, which has the first panel.

    Args:
        points: The pool, shape (n, 2).
        labels: Its classes, shape (n,); they tint the points that were not picked.
        picks: Method key -> row numbers, shape (k,).
        weights: Method key -> weights (k,) >= 0 of methods that give them: areas of the picks.
        notes: Method key -> a line below its name, such as what it gains.
    """
    need(picks, "picks")
    n_rows = -(-(len(picks) + 1) // COLUMNS)
    size = (2.3 * COLUMNS, 2.6 * n_rows)
    fig, axes = new_figure(n_rows, COLUMNS, size, sharex=True, sharey=True)
    tints = [CLASS_TINTS[c % len(CLASS_TINTS)] for c in labels]
    for place, ax in enumerate(axes.flat):
        ax.set(xticks=[], yticks=[], aspect="equal", visible=place <= len(picks))
        ax.spines[:].set(visible=True, color="#b9bec5")
        ax.scatter(*points.T, s=5, c=tints, lw=0)
        ax.margins(0.05)
    n_classes = len(np.unique(labels))
    axes[0, 0].set_title(f"The pool: {len(points)} points,\n{n_classes} classes", fontsize=9)
    for ax, (name, rows) in zip(axes.flat[1:], picks.items(), strict=False):
        colour, weight = colour_of(name), weights.get(name)
        areas = 22 if weight is None else 4 + 36 * weight / weight.max()
        look = {"color": colour, "edgecolor": "white", "linewidth": 0.5, "zorder": 3}
        ax.scatter(*points[rows].T, s=areas, **look)
        told = "\n".join(filter(None, (label_of(name), (notes or {}).get(name))))
        ax.set_title(told, color=ink(colour), fontsize=9)
    return fig


def diagram(
    boxes: Mapping[str, tuple[float, float, str]], arrows: Iterable[tuple[str, ...]]
) -> Figure:
    """Draw boxes and arrows: how a method works, at a glance.

    Args:
        boxes: Name -> x, y (in box widths and heights, y upwards) and the text in it; a text
            that begins with "(" has no frame.
        arrows: From, to and, if given, what is written at the middle.
    """
    x, y = (np.array([box[axis] for box in boxes.values()]) for axis in (0, 1))
    fig, axes = new_figure(1, 1, (2.1 * (np.ptp(x) + 1), 1.05 * (np.ptp(y) + 1)))
    ax = axes[0, 0]
    ax.set(xlim=(x.min() - 0.5, x.max() + 0.5), ylim=(y.min() - 0.5, y.max() + 0.5))
    ax.axis("off")
    drawn = {}
    look = {"boxstyle": "round,pad=0.5", "fc": "#eef3f8", "ec": "#7d93ab"}
    for name, (across, up, text) in boxes.items():
        frame = look
        if text.startswith("("):
            frame, text = {"fc": "none", "ec": "none"}, text[1:-1]
        place = {"ha": "center", "va": "center", "fontsize": 9, "zorder": 2}
        drawn[name] = ax.text(across, up, text, bbox=frame, **place)
    fig.draw_without_rendering()  # so that the boxes have their sizes
    for start, end, *told in arrows:
        ends = {"patchA": drawn[start].get_bbox_patch(), "patchB": drawn[end].get_bbox_patch()}
        (x0, y0), (x1, y1) = drawn[start].get_position(), drawn[end].get_position()
        way = {"arrowstyle": "-|>", "color": "#46566a", "lw": 1.4, **ends}
        ax.annotate("", (x1, y1), (x0, y0), arrowprops=way, zorder=3)
        if told:
            place = {"ha": "center", "va": "bottom", "fontsize": 8}
            ax.text((x0 + x1) / 2, (y0 + y1) / 2 + 0.06, told[0], **place)
    return fig
