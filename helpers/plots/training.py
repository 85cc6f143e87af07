"""Figures of training runs: error against depth, during training, and against seconds."""

import re
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from helpers import StudyError
from helpers.plots.base import (
    centre_and_spread,
    colours_for,
    label_of,
    mean_and_sd,
    need,
    need_columns,
    new_figure,
    thick_and_thin,
)
from helpers.plots.labels import direct_labels


def error_against_depth(frame: pd.DataFrame) -> Figure:
    """Draw test error and training seconds of models on all data, shallow to deep.

    Args:
        frame: Tidy runs with columns model, seed, test_error (percent), seconds and, if known,
            alone (hollow points: the run shared the machine, so its seconds prove little).

    Returns:
        Two panels: mean and standard deviation over seeds, and every seed as a point.

    Raises:
        StudyError: If the frame is empty or lacks a column.

    Source: arXiv:1906.11829, figure 4.
    """
    need_columns(frame, ("model", "seed", "test_error", "seconds"), "the frame of runs")
    models = sorted(frame["model"].unique(), key=_depth)
    fig, axes = new_figure(1, 2, (9, 3.6))
    for ax, column in zip(axes[0], ("test_error", "seconds"), strict=True):
        _by_model(ax, frame, models, column)
    seeds = mean_and_sd(frame.groupby("model")["seed"].nunique())
    axes[0, 0].set_ylabel("test error (%)")
    axes[0, 0].set_title(f"Error, {seeds}")
    axes[0, 1].set_ylabel("training time (s)")
    shared = "alone" in frame and not frame["alone"].astype(bool).all()
    axes[0, 1].set_title("Time" + (" (hollow: the run shared the machine)" if shared else ""))
    axes[0, 1].set_ylim(bottom=0)
    return fig


def _depth(model: str) -> tuple[float, str]:
    """Sort key of a model name: the layers it states, then the name; fastText states none."""
    stated = re.match(r"[a-z]+(\d+)", model)
    return (float(stated[1]) if stated else 0.0, model)


def _by_model(ax: Axes, frame: pd.DataFrame, models: list[str], column: str) -> None:
    """Draw one measured column at evenly spaced model names."""
    values = [frame.loc[frame["model"] == model, column] for model in models]
    means, spreads = np.transpose([centre_and_spread(rows) for rows in values])
    places = np.arange(len(models))
    ax.errorbar(places, means, spreads, color="#0072b2", marker="o", capsize=3, zorder=3)
    for place, model in enumerate(models):
        rows = frame[frame["model"] == model]
        alone = rows["alone"].astype(bool) if "alone" in rows else rows["seed"].notna()
        beside = np.linspace(0.1, 0.22, len(rows)) if len(rows) > 1 else np.array([0.12])
        face = ["#56b4e9" if one or column != "seconds" else "none" for one in alone]
        ax.scatter(place + beside, rows[column], s=16, facecolors=face, edgecolors="#56b4e9")
    ax.set_xticks(places, models, rotation=30 if max(map(len, models)) > 9 else 0)
    ax.set_xlim(-0.4, len(models) - 0.5)
    ax.set_xlabel("model, by depth (layers)")


def error_during_training(
    histories: Mapping[str, Sequence],
    seconds: Mapping[str, Sequence] | None = None,
    top: float | None = None,
) -> Figure:
    """Draw the test error of each model or method after every epoch.

    Args:
        histories: Name -> one array of test errors (percent) a seed, shape (epochs,) each.
        seconds: Same shape, cumulative training seconds; given, they become the x axis.
        top: Highest error shown (percent), to look closer at the end of training.

    Returns:
        One panel: thin lines are seeds, thick lines their mean, names at the line ends.

    Raises:
        StudyError: If there is nothing to draw, or seeds of one name differ in length.

    Source: arXiv:1906.11829, figure 5.
    """
    need(histories, "histories")
    curves = {name: _timed(name, runs, seconds) for name, runs in histories.items()}
    _check_curves(curves)
    fig, axes = new_figure(1, 1, (7.5, 4))
    axes[0, 0].set_xlabel("training time (s)" if seconds else "epoch")
    axes[0, 0].set_ylabel("test error (%)")
    _curves(axes[0, 0], curves, ylim=(0 if top else None, top))
    return fig


def _timed(name: str, runs: Sequence, seconds: Mapping[str, Sequence] | None) -> list[tuple]:
    """Pair each seed's errors with its seconds, or with the epochs 1, 2, ..."""
    if seconds is None:
        return [(np.arange(1, len(run) + 1), run) for run in runs]
    if len(seconds.get(name, ())) != len(runs):
        found = len(seconds.get(name, ()))
        raise StudyError(f"seconds of {name!r} hold {found} seeds, expected {len(runs)}")
    return list(zip(seconds[name], runs, strict=True))


def accuracy_against_seconds(
    curves: Mapping[str, Sequence[tuple]], bottom: float | None = None
) -> Figure:
    """Draw test accuracy against wall-clock, for training on everything and its rivals.

    Args:
        curves: Method key -> one (seconds, accuracy) pair of arrays a seed; cumulative training
            seconds and test accuracy in percent, shape (epochs,) each.
        bottom: Lowest accuracy shown (percent), to look closer at the end of training.

    Returns:
        One panel: thin lines are seeds, thick lines their mean, a dot where training ends.

    Raises:
        StudyError: If there is nothing to draw, or seeds of one method differ in length.

    Source: ADONIS and IDS, figures 7 and 9.
    """
    need(curves, "curves")
    _check_curves(curves)
    fig, axes = new_figure(1, 1, (8, 4.4))
    axes[0, 0].set_xlabel("training time (s)")
    axes[0, 0].set_ylabel("test accuracy (%)")
    _curves(axes[0, 0], curves, ylim=(bottom, None))
    return fig


def _check_curves(curves: Mapping[str, Sequence[tuple]]) -> None:
    """Refuse names without runs, and runs that cannot be averaged epoch by epoch."""
    for name, runs in curves.items():
        need(runs, f"the list of runs of {name!r}")
        if len({len(part) for run in runs for part in run}) > 1:
            raise StudyError(f"the runs of {name!r} differ in length: expected equal epochs")


def _curves(ax: Axes, curves: Mapping[str, Sequence[tuple]], ylim: tuple) -> None:
    """Draw every seed thin, the mean thick, and the names at the ends."""
    ends, colours = [], colours_for(curves)
    for name, runs in curves.items():
        runs = np.asarray(runs, dtype=float)
        for x, y in runs if len(runs) > 1 else ():
            ax.plot(x, y, color=colours[name], linewidth=0.8, alpha=0.35)
        x, y = runs.mean(axis=0)
        ax.plot(x, y, color=colours[name], linewidth=2.2)
        ax.plot(x[-1], y[-1], "o", color=colours[name])
        ends.append((x[-1], y[-1], label_of(name), colours[name]))
    ax.set_title(thick_and_thin(map(len, curves.values())))
    ax.set_ylim(*ylim)
    direct_labels(ax, ends)
