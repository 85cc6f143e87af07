"""Figures of training: error by depth and time, settling rankings, what ADONIS lets through."""

import re
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from helpers import StudyError
from helpers.plots.base import (
    COLOURS,
    INTERVAL,
    THICK_AND_THIN,
    colours_for,
    label_of,
    need,
    new_figure,
    seeds_text,
)
from helpers.plots.panels import curve, direct_labels, log_ticks, seed_curves, t_ends

REFUSED = "#b4bcc6"


def error_against_depth(frame: pd.DataFrame) -> Figure:
    """Draw test error and training seconds of models on all data, shallow to deep.

    The frame has columns model, seed, test_error (percent), seconds and, if known, alone (hollow
    points: the run shared the machine, so its seconds prove little). Bars are 95 % t intervals.

    Source: arXiv:1906.11829, figure 4.
    """
    need(frame, "the frame of runs", "model seed test_error seconds")
    models = sorted(frame["model"].unique(), key=_depth)
    places = frame["model"].map(models.index)
    # seeds beside their mean, so that the bars stay visible
    n_seeds, seed = (frame.groupby("model")["seed"].transform("size"),
                     frame.groupby("model").cumcount())  # fmt: skip
    beside = places + np.where(n_seeds > 1, 0.1 + 0.12 * seed / (n_seeds - 1).clip(1), 0.12)
    alone = frame["alone"].astype(bool) if "alone" in frame else frame["seed"].notna()
    fig, axes = new_figure(1, 2, (9, 3.6))
    for ax, column in zip(axes[0], ("test_error", "seconds"), strict=True):
        curve(ax, places, frame[column], "#0072b2", ends=t_ends, marker="o", zorder=3)
        face = ["#56b4e9" if one or column != "seconds" else "none" for one in alone]
        ax.scatter(beside, frame[column], s=16, facecolors=face, edgecolors="#56b4e9")
        ax.set_xticks(range(len(models)), models, rotation=30 if max(map(len, models)) > 9 else 0)
        ax.set(xlim=(-0.4, len(models) - 0.5), xlabel="model, by depth (layers)")
    seeds = seeds_text(frame.groupby("model")["seed"].nunique(), INTERVAL)
    axes[0, 0].set(ylabel="test error (%)", title=f"Error, {seeds}")
    hollow = "" if alone.all() else " (hollow: the run shared the machine)"
    axes[0, 1].set(ylabel="training time (s)", title=f"Time{hollow}")
    axes[0, 1].set_ylim(bottom=0)
    return fig


def _depth(model: str) -> float:
    """Sort key of a model name: the layers it states; fastText states none, `sprint-w8` a width."""
    stated = re.match(r"[a-z]+(\d+)", model)
    return float(stated[1]) if stated else 0.0


def error_during_training(
    histories: Mapping[str, Sequence], seconds: Mapping[str, Sequence] | None = None
) -> Figure:
    """Draw the test error of each model or method after every epoch.

    Args:
        histories: Name -> one array of test errors (percent) a seed, shape (epochs,) each.
        seconds: Same shape, cumulative training seconds; given, they become the x axis.

    Returns:
        One panel: thin lines are seeds, thick lines their mean, names at the line ends; errors on
        a logarithmic axis, where all are above zero.

    Source: arXiv:1906.11829, figure 5.
    """
    need(histories, "histories")
    curves = {}
    for name, runs in histories.items():
        times = [np.arange(1, len(run) + 1) for run in runs]
        times = times if seconds is None else seconds.get(name, ())
        if len(times) != len(runs):
            raise StudyError(f"seconds of {name!r} hold {len(times)} seeds, expected {len(runs)}")
        curves[name] = list(zip(times, runs, strict=True))
    x_label = "training time (s)" if seconds else "epoch"
    return _seeds_and_means(curves, (7.5, 4), x_label, "test error (%)", log=True)


def accuracy_against_seconds(curves: Mapping[str, Sequence[tuple]], title: str = "") -> Figure:
    """Draw test accuracy against wall-clock, for training on everything and its rivals.

    Args:
        curves: Method key -> one (seconds, accuracy) pair of arrays a seed; cumulative training
            seconds and test accuracy in percent, shape (epochs,) each.
        title: What the figure shows, in words.

    Returns:
        One panel: thin lines are seeds, thick lines their mean, a dot where training ends.

    Source: ADONIS and IDS, figures 7 and 9.
    """
    need(curves, "curves")
    labels = "training time (s)", "test accuracy (%)"
    return _seeds_and_means(curves, (8, 4.4), *labels, title)


def _seeds_and_means(
    curves, size, x_label: str, y_label: str, title: str = "", log: bool = False
) -> Figure:
    """Draw (x, y) pairs of seeds thin, their mean thick (times differ, so x is averaged too)."""
    for name, runs in curves.items():
        need(runs, f"the list of runs of {name!r}")
        if len({len(part) for run in runs for part in run}) > 1:
            raise StudyError(f"the runs of {name!r} differ in length: expected equal epochs")
    fig, axes = new_figure(1, 1, size)
    ax, ends, colours = axes[0, 0], [], colours_for(curves)
    for name, runs in curves.items():
        runs = np.asarray(runs, dtype=float)
        for x, y in runs if len(runs) > 1 else ():
            ax.plot(x, y, color=colours[name], linewidth=0.8, alpha=0.35)
        x, y = runs.mean(axis=0)
        ax.plot(x, y, color=colours[name], linewidth=2.2)
        ax.plot(x[-1], y[-1], "o", color=colours[name])
        ends.append((x[-1], y[-1], label_of(name), colours[name]))
    told = seeds_text(map(len, curves.values()), THICK_AND_THIN)
    ax.set(xlabel=x_label, ylabel=y_label, title=f"{title}\n{told}".strip())
    if x_label == "epoch":
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    if log and ax.dataLim.y0 > 0:
        ax.set_yscale("log")
        log_ticks(ax.yaxis)
    direct_labels(ax, ends)
    return fig


def correlation_during_training(
    epochs: Sequence[float], correlations: Mapping[str, np.ndarray]
) -> Figure:
    """Draw how soon a proxy's ranking settles: its correlation with the final ranking.

    `correlations` has metric key -> shape (seeds, e) at the epochs (e,); NaN is left out. Seeds
    are thin lines; the axis begins at zero or below, and ends where the correlations do.

    Source: arXiv:1906.11829, figures 11 and 12.
    """
    rows = _by_seed(correlations, epochs, "correlations")
    fig, axes = new_figure(1, 1, (7.5, 4))
    ax = axes[0, 0]
    ax.set(xlabel="epoch", ylabel="Spearman correlation with the final ranking")
    ax.set_title(seeds_text(map(len, rows.values()), THICK_AND_THIN))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ends = seed_curves(ax, epochs, rows, "lines", marker="o", markersize=4, linewidth=2.2)
    ax.set_ylim(min(ax.get_ylim()[0], 0), min(ax.get_ylim()[1], 1.03))
    direct_labels(ax, ends)
    return fig


def acceptance_over_training(
    epochs: Sequence[float],
    share: np.ndarray | Mapping[str, np.ndarray],
    label: str = "accepted (% of forwarded)",
    title: str = "",
) -> Figure:
    """Draw the share of forwarded examples that are trained on, epoch by epoch.

    Args:
        epochs: Epochs, shape (e,).
        share: Accepted share, 0..1, shape (e,) or (seeds, e), of ADONIS; or a dict of such
            arrays by method key. NaN = nothing was forwarded.
        label: What the share is, with its unit, at the y axis.
        title: What the figure shows, in words.

    Returns:
        One panel: every seed thin, the mean thick.
    """
    shares = share if isinstance(share, Mapping) else {"adonis": share}
    rows = _by_seed(shares, epochs, "share", 100)
    fig, axes = new_figure(1, 1, (7.5, 3.6))
    told = seeds_text(map(len, rows.values()), THICK_AND_THIN)
    ax = axes[0, 0]
    ax.set(xlabel="epoch", ylabel=label, ylim=(-2, 104), title=f"{title}\n{told}".strip())
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    direct_labels(ax, seed_curves(ax, epochs, rows, "lines", linewidth=2.2))
    return fig


def share_by_difficulty(
    shares: Mapping[str, np.ndarray], label: str, score: str, title: str = ""
) -> Figure:
    """Draw a share of the examples in each tenth of a difficulty score.

    `shares` has method key -> 0..1, shape (seeds, 10), easiest tenth first; `label` says what it
    is the share of, with its unit, `title` what the figure shows.
    """
    tenths = np.arange(1, 11)
    rows = _by_seed(shares, tenths, "shares", 100)
    fig, axes = new_figure(1, 1, (7.5, 3.8))
    ax = axes[0, 0]
    ax.set(xlabel=f"tenth of the training rows by {score}, easiest first", ylabel=label)
    ax.set(xticks=tenths, ylim=(-2, 104))
    told = seeds_text(map(len, rows.values()), "line: mean, dots: {}")
    ax.set_title(f"{title}\n{told}".strip())
    direct_labels(ax, seed_curves(ax, tenths, rows, "dots", marker="o", linewidth=2))
    return fig


def _by_seed(
    series: Mapping[str, np.ndarray], epochs: Sequence[float], what: str, scale: float = 1
) -> dict[str, np.ndarray]:
    need(series, what)
    need(epochs, "epochs")
    rows = {}
    for name, values in series.items():
        rows[name] = scale * np.atleast_2d(np.asarray(values, dtype=float))
        if rows[name].shape[1] != len(epochs):
            raise StudyError(f"{name!r} has {rows[name].shape[1]} epochs, expected {len(epochs)}")
        need(rows[name][np.isfinite(rows[name])], f"the series {name!r} without its NaN")
    return rows


def adonis_mechanism(
    losses: np.ndarray,
    edges: np.ndarray,
    probabilities: np.ndarray,
    theta: float,
    accepted: np.ndarray,
    clipped: tuple[float, float],
    title: str = "",
) -> Figure:
    """Draw one moment of ADONIS: its history of losses, and the bins it accepts.

    Args:
        losses: Last losses in the order they came, shape (l,).
        edges: Bin edges of the losses kept after clipping, shape (b + 1,).
        probabilities: Share of the kept losses in each bin, shape (b,).
        theta: Probability a bin must exceed.
        accepted: Whether a bin is accepted, shape (b,) bool.
        clipped: Lowest and highest loss kept, mean -+ sigma standard deviations.
        title: What the figure shows, in words.

    Returns:
        Two panels that share the loss axis; accepted losses and bins in ADONIS's colour.

    Source: ADONIS and IDS, figures 2 to 5.
    """
    losses, edges = np.asarray(losses, dtype=float), np.asarray(edges, dtype=float)
    probabilities, accepted = np.asarray(probabilities, dtype=float), np.asarray(accepted, bool)
    need(losses, "losses")
    if not len(edges) - 1 == len(probabilities) == len(accepted) > 0:
        raise StudyError(
            "edges, probabilities and accepted must have b + 1, b and b entries, got "
            f"{len(edges)}, {len(probabilities)}, {len(accepted)}"
        )
    fig, axes = new_figure(1, 2, (9.5, 4.2), sharey=True, width_ratios=(1.7, 1))
    _history(axes[0, 0], losses, edges, accepted, clipped)
    axes[0, 0].set_title(title)
    colours = np.where(accepted, COLOURS["adonis"], REFUSED)
    axes[0, 1].barh(edges[:-1], probabilities, np.diff(edges), align="edge", color=colours,
                    edgecolor="white", linewidth=0.8)  # fmt: skip
    axes[0, 1].axvline(theta, color="#222222", linestyle="--", linewidth=1.2)
    axes[0, 1].set(xlabel="share of the losses kept", title=f"dashed: threshold θ = {theta:g}")
    axes[0, 1].set_xlim(0, 1.08 * max(theta, probabilities.max()))
    axes[0, 1].grid(axis="y", visible=False)
    fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return fig


def _history(ax: Axes, losses, edges, accepted, clipped) -> None:
    bins = np.clip(np.searchsorted(edges, losses, side="right") - 1, 0, len(accepted) - 1)
    inside = (losses >= max(clipped[0], edges[0])) & (losses <= min(clipped[1], edges[-1]))
    chosen = inside & accepted[bins]
    place = np.arange(1, len(losses) + 1)
    ax.axhspan(*clipped, color="#f3f0e6", zorder=0, label="range kept after clipping")
    for mask, colour, name in (
        (~chosen, REFUSED, "refused"),
        (chosen, COLOURS["adonis"], "accepted"),
    ):
        ax.scatter(place[mask], losses[mask], s=9, color=colour, label=f"{name} ({mask.sum()})")
    ax.set(xlabel="place in the history (losses, oldest first)", ylabel="loss (nats)")
    ax.grid(False)
