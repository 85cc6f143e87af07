"""Accuracy against budget with the methods apart by family, when they are many."""

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.figure import Figure

from helpers.plots.base import COLOURS, mean_and_sd, need, need_columns, new_figure
from helpers.plots.budgets import accuracies, full_line, line, random_first, series

EVERYWHERE = ("random", "random-per-class")


def accuracy_by_family(
    frame: pd.DataFrame, full, families: Mapping[str, Sequence[str]], bottom: float | None = None
) -> Figure:
    """Draw the target's accuracy against budget, one panel a family of methods.

    Args:
        frame: Tidy runs with columns method, budget, kept, seed, test_error (percent).
        full: Training on everything: tidy runs, or test accuracies in percent, shape (seeds,).
        families: Panel title -> keys of methods; random choices stand in every panel.
        bottom: Lowest accuracy shown (percent), where one bad method would flatten the others.

    Returns:
        Panels on one scale: mean and standard deviation over seeds, random thick and grey with
        a band, the full set as a black line with a band.

    Raises:
        StudyError: If there is nothing to draw or a column is missing.
    """
    need_columns(frame, ("method", "budget", "kept", "seed", "test_error"), "the frame of runs")
    shown = {title: [k for k in keys if k in set(frame["method"])] for title, keys in
             families.items()}  # fmt: skip
    shown = {title: keys for title, keys in shown.items() if keys}
    need(shown, "the families of methods with runs")
    full = accuracies(full)
    fig, axes = new_figure(1, len(shown), (3.9 * len(shown) + 0.4, 5.0), sharex=True, sharey=True)
    for ax, (title, keys) in zip(axes[0], shown.items(), strict=True):
        rows = frame[frame["method"].isin([*EVERYWHERE, *keys])]
        for method, name, dashes, part in sorted(series(rows), key=random_first):
            line(ax, method, name, dashes, part, 1.0)
            ax.lines[-1].set_label(name)
        full_line(ax, full)
        ax.plot([], [], color=COLOURS["full"], label="Full set")
        ax.set_title(title)
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=2)
    axes[0, 0].set_ylim(bottom=bottom)
    axes[0, 0].set_ylabel("test accuracy (%)")
    counts = frame.groupby(["method", "budget"])["seed"].nunique()
    fig.suptitle(f"Accuracy against examples trained on, {mean_and_sd(counts)}", fontsize=10.5)
    return fig
