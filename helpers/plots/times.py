"""Figures of cost: solver seconds against pool size, selection seconds against budget."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from helpers import StudyError
from helpers.plots.base import (
    colours_for,
    label_of,
    marker_of,
    need,
    need_columns,
    new_figure,
)
from helpers.plots.labels import direct_labels

FEWEST_SIZES = 3  # two points lie on a line whatever they are
SHORT_S = 5e-3  # below, the seconds are those of calling a function, not of its work


def solver_times(frame: pd.DataFrame) -> Figure:
    """Draw seconds against pool size, both logarithmic, the programme as written and closed form.

    Args:
        frame: Columns n (pool size), solver (`highs`, `cbc`, `closed-form` or any name) and
            seconds; several rows of one n and solver are drawn as their median.

    Returns:
        One panel; each name carries the fitted exponent p of seconds ~ n^p, through the sizes that
        took `SHORT_S` at least, where these are three or more.

    Raises:
        StudyError: If the frame is empty, lacks a column or holds times that are not positive.
    """
    need_columns(frame, ("n", "solver", "seconds"), "the frame of solver times")
    if not (frame["seconds"] > 0).all():
        raise StudyError("solver times must be positive seconds: a logarithmic axis has no zero")
    fig, axes = new_figure(1, 1, (8, 4.2))
    ax, ends = axes[0, 0], []
    colours = colours_for(frame["solver"].unique())
    for solver, rows in frame.groupby("solver", sort=False):
        median = rows.groupby("n")["seconds"].median()
        ax.loglog(median.index, median, color=colours[solver], marker="o")
        name = label_of(solver)
        work = median[median >= SHORT_S]
        if len(work) >= FEWEST_SIZES:
            slope = np.polyfit(np.log(work.index), np.log(work), 1)[0]
            name += f", $n^{{{slope:.1f}}}$"
        ends.append((median.index[-1], median.iloc[-1], name, colours[solver]))
    ax.set_xlabel("pool size n (examples)")
    ax.set_ylabel("time to the selection (s)")
    direct_labels(ax, ends)
    return fig


def selection_time_against_budget(
    k: Sequence[int], seconds: Mapping[str, np.ndarray], log: bool = False
) -> Figure:
    """Draw the seconds of the whole selection, or of its parts, against the budget.

    Args:
        k: Budgets, shape (b,).
        seconds: Method key or part -> seconds, shape (b,) or (repeats, b); median drawn.
        log: Logarithmic seconds, where methods differ by orders of magnitude.

    Returns:
        One panel with the names at the line ends.

    Raises:
        StudyError: If there is nothing to draw or the budgets do not match.

    Source: Banerjee and Chakraborty, table I.
    """
    need(seconds, "seconds")
    need(k, "k")
    rows = {name: np.atleast_2d(np.asarray(one, dtype=float)) for name, one in seconds.items()}
    for name, values in rows.items():
        if values.shape[1] != len(k):
            raise StudyError(f"{name!r} has {values.shape[1]} budgets, expected {len(k)}")
    fig, axes = new_figure(1, 1, (7.5, 4))
    ax, ends, colours = axes[0, 0], [], colours_for(rows)
    for name, values in rows.items():
        median = np.median(values, axis=0)
        ax.plot(k, median, color=colours[name], marker=marker_of(name))
        ends.append((k[-1], median[-1], label_of(name), colours[name]))
    ax.set_xlabel("budget k (examples)")
    ax.set_ylabel("selection time (s)")
    if log:
        ax.set_yscale("log")
    else:
        ax.set_ylim(bottom=0)
    direct_labels(ax, ends)
    return fig
