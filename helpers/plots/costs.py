"""Figure of what a result costs: test error against the whole bill."""

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

from helpers.plots.base import (
    centre_and_spread,
    colour_of,
    label_of,
    marker_of,
    mean_and_sd,
    need_columns,
    new_figure,
)


def error_against_cost(
    frame: pd.DataFrame, x_label: str = "seconds of proxy, selection and training"
) -> Figure:
    """Draw test error against the total cost of proxy, selection and training.

    Args:
        frame: Tidy runs with columns method, budget, seed, test_error (percent) and cost (above
            0, in any unit); the full set is method `full`.
        x_label: What cost is, with its unit.

    Returns:
        One panel, cost logarithmic: a line a method through its budgets, mean of seeds with
        standard deviation of the error; dashed lines mark the full set.

    Raises:
        StudyError: If there is nothing to draw or a column is missing.
    """
    need_columns(frame, ("method", "budget", "seed", "test_error", "cost"), "the frame of runs")
    fig, axes = new_figure(1, 1, (9.5, 5))
    ax = axes[0, 0]
    for method, rows in frame.groupby("method", sort=False):
        groups = [group for _, group in rows.groupby("budget")]
        x = [group["cost"].mean() for group in groups]
        mean, spread = zip(*[centre_and_spread(g["test_error"]) for g in groups], strict=True)
        look = {"color": colour_of(method), "marker": marker_of(method)}
        ax.errorbar(x, mean, spread, elinewidth=0.8, label=label_of(method), **look)
        if method == "full":
            ax.axvline(x[0], color=colour_of("full"), linewidth=1, linestyle="--")
            ax.axhline(mean[0], color=colour_of("full"), linewidth=1, linestyle="--")
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter(ScalarFormatter())
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_xlabel(x_label)
    ax.set_ylabel("test error (%)")
    counts = frame.groupby(["method", "budget"])["seed"].nunique()
    ax.set_title(mean_and_sd(counts).capitalize())
    fig.legend(loc="outside right upper")
    return fig
