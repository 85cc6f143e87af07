"""Training examples as a reader sees them: pictures, what a run made of them, who keeps them."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from helpers import StudyError, data, experiments, plots, results
from helpers.config import Config
from helpers.data.dataset import Dataset
from helpers.plots import base
from helpers.results import readings
from helpers.results.store import Result

LETTERS = 90  # of a text


def strip(
    dataset: str, rows: Sequence[int], captions: Sequence[str] = (), title: str = ""
) -> Figure:
    """Draw training rows beside one another, their class below and a caption above.

    Args:
        dataset: Name for `data.load`; an empty place is drawn where its files are not here.
        rows: Row numbers, shape (m,), m >= 1.
        captions: One text a row, or none at all.
        title: Of the figure.
    """
    try:
        found = data.load(dataset)
    except (StudyError, OSError) as error:
        return plots.empty_place(
            f"{dataset}: no pictures here ({str(error).partition(';')[0]:.80})"
        )
    wide = 1.6 if found.is_text else 1.25
    fig, axes = base.new_figure(1, len(rows), (wide * len(rows), 2.0))
    for ax, row, told in zip(axes[0], rows, captions or [""] * len(rows), strict=True):
        _show(ax, found, row)
        ax.set_title(told, fontsize=8.5)
        ax.set_xlabel(f"{found.class_names[found.train_labels[row]]}\nrow {row}", fontsize=8.5)
    fig.suptitle(title, fontsize=10.5)
    return fig


def by_difficulty(run: Result) -> np.ndarray:
    """Return a finished run's training rows, those it got right least often first, shape (n,).

    Ties: the row with the larger error (EL2N) at its last recorded epoch first.

    Raises:
        StudyError: If the run kept no trace.
    """
    error = readings.traced(run, "el2n")[-1].astype(float)
    learned = readings.bits(readings.traced(run, "correct"), len(error)).sum(axis=0)
    return np.lexsort((-error, learned))


def card(config: Config, row: int, share: float = 0.0, seed: int | None = None) -> Figure:
    """Draw one training row: its picture, right or wrong by epoch, its scores, who keeps it.

    Args:
        config: The study whose stored runs are read; nothing is computed.
        row: A row of the training set.
        share: Share kept, one of `config.budgets`; the smallest by default.
        seed: One of `config.seeds`; the first by default.

    Raises:
        StudyError: If there is no such row, or the proxy's run is not stored.
    """
    seed, share = config.first_seed if seed is None else seed, share or min(config.budgets)
    found = data.load(config.dataset)
    if not 0 <= row < found.n:
        raise StudyError(f"row must lie in 0..{found.n - 1}, got {row}")
    runs = {model: results.load(experiments.depth_run(config, model, seed))
            for model in dict.fromkeys((config.proxy, config.target))}  # fmt: skip
    if runs[config.proxy] is None:
        raise StudyError(f"{config.proxy} seed {seed} is not stored: run notebook 01 first")
    fig, axes = base.new_figure(1, 3, (10, 2.6), width_ratios=[1, 2.2, 2.6])
    picture, history, told = axes[0]
    _show(picture, found, row)
    picture.set_title(f"row {row}: {found.class_names[found.train_labels[row]]}")
    _history(history, {m: run for m, run in runs.items() if run is not None}, row, found.n)
    told.axis("off")
    lines = _scores(runs[config.proxy], row, found.n)
    lines += [
        f"at {share:.0%}, chosen by {config.proxy}, seed {seed}:",
        *_keepers(config, row, share, seed),
    ]
    told.text(0, 1, "\n".join(lines), va="top", fontsize=9, linespacing=1.5)
    return fig


def _show(ax: Axes, found: Dataset, row: int) -> None:
    inputs = found.train_inputs[row]
    ax.set(xticks=[], yticks=[])
    ax.grid(visible=False)
    if found.is_text:
        letters = inputs.tobytes().rstrip(b"\0").decode("utf-8", "replace")[:LETTERS]
        letters = textwrap.fill(" ".join(letters.split()), 20)
        told = ax.text(0.02, 0.98, letters, va="top", fontsize=7, transform=ax.transAxes)
        told.set_in_layout(False)
    else:
        ax.imshow(inputs.transpose(1, 2, 0).squeeze(), cmap="gray_r", vmin=0, vmax=255)


def _history(ax: Axes, runs: dict[str, Result], row: int, n: int) -> None:
    """Draw a line of squares a network: blue where the row was right after that epoch."""
    ax.set(title="right (blue) or wrong, by epoch", yticks=range(len(runs)))
    ax.set_yticklabels(runs)
    ax.grid(visible=False)
    for place, run in enumerate(runs.values()):
        if "correct" in run.arrays:
            right = readings.bits(run.arrays["correct"], n)[:, row]
            colours = np.where(right, base.colour_of("entropy"), "#e4e7eb")
            ax.scatter(range(1, len(right) + 1), [place] * len(right), c=colours, marker="s", s=70)
    ax.set(xlabel="epoch", ylim=(-0.6, len(runs) - 0.4))


def _scores(run: Result, row: int, n: int) -> list[str]:
    lines = []
    for method in ("least-confidence", "margin", "entropy", "forgetting"):
        needs = "correct" if method == "forgetting" else "logits"
        if needs in run.arrays:
            score = readings.score(method, run, n)
            place = 1 - (score > score[row]).mean()
            lines.append(f"{plots.label_of(method)} {score[row]:.3g} (above {place:.0%} of rows)")
    return lines


def _keepers(config: Config, row: int, share: float, seed: int) -> list[str]:
    asked = [run.subset for run in experiments.asked(config, "core-set") if run.seed == seed]
    kept: dict[bool, list[str]] = {True: [], False: []}
    for spec in asked:
        if spec.budget == share and (choice := results.load(spec)) is not None:
            keeps = bool(np.isin(row, choice.arrays["indices"]))
            kept[keeps].append(plots.label_of(spec.method))
    words = {True: "kept by", False: "dropped by"}
    return [f"{words[keeps]}: {', '.join(names) or '-'}" for keeps, names in kept.items()]
