"""Training examples as a reader sees them: pictures, what a run made of them, who keeps them."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from html import escape

import numpy as np
import pandas as pd
from IPython.display import HTML, display
from ipywidgets import HBox, Label, Layout, Widget
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image

from helpers import StudyError, data, experiments, pictures, plots, results
from helpers.config import Config
from helpers.data.dataset import Dataset
from helpers.plots import base
from helpers.results import readings
from helpers.results.store import Result

LETTERS = 90  # of a text
# A click gives a mark the focus; its picture is shown for as long.
MAP = """<style>.map .told {visibility: hidden; image-rendering: pixelated}
.map text {fill: currentColor} .map g:focus {outline: none} .map g:focus .told {visibility: visible}
.map g:hover circle, .map g:focus circle {stroke: black; stroke-width: 2}</style>
<svg class="map" viewBox="0 -15 860 355"><path d="M5 20V315H555" fill="none" stroke="#8c8c8c"/>"""


def strip(
    dataset: str, rows: Sequence[int], captions: Sequence[str] = (), title: str = "", lines: int = 1
) -> Figure:
    """Draw training rows beside one another, their class below and a caption above.

    Args:
        dataset: Name for `data.load`; an empty place is drawn where its files are not here.
        rows: Row numbers, shape (m,), m >= 1.
        captions: One text a row, or none at all.
        title: Of the figure.
        lines: Lines of pictures, of m / lines each.
    """
    try:
        found = data.load(dataset)
    except (StudyError, OSError) as error:
        return plots.empty_place(
            f"{dataset}: no pictures here ({str(error).partition(';')[0]:.80})"
        )
    wide, across = 1.6 if found.is_text else 1.25, len(rows) // lines
    fig, axes = base.new_figure(lines, across, (wide * across, 2.0 * lines))
    for ax, row, told in zip(axes.flat, rows, captions or [""] * len(rows), strict=True):
        _show(ax, found, row)
        ax.set_title(told, fontsize=8.5)
        ax.set_xlabel(f"{found.class_names[found.train_labels[row]]}\nrow {row}", fontsize=8.5)
    fig.suptitle(title, fontsize=10.5)
    return fig


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


def play(draw: Callable[..., object], **controls: Widget) -> None:
    """Show `draw` of the controls' values, anew when one changes; an error as an empty place.

    What is shown is an ordinary output: without a front end, that of the first values.
    """

    def drawn() -> object:
        try:
            made = draw(**{name: control.value for name, control in controls.items()})
        except (StudyError, OSError) as error:
            made = plots.empty_place(str(error).partition(";")[0])
        plt.close("all")  # a figure is shown once, not again at the end of the cell
        return made

    def again(change: object) -> None:
        state.value = "working …"
        shown.update(drawn())
        state.value = ""

    state = Label()
    display(HBox([*controls.values(), state], layout=Layout(flex_flow="row wrap")))
    shown = display(drawn(), display_id=True)
    for control in controls.values():
        control.observe(again, "value")


def kept_and_dropped(config: Config, method: str, share: float, seed: int) -> Figure:
    """Draw rows that a method keeps (its first) and drops (by chance), and say what that gives.

    The title tells accuracy and seconds of the target on these rows, on as many random ones and on
    all. Raises StudyError if one of these runs is neither stored nor published.
    """
    cells = (experiments.Cell(method, share), experiments.Cell("random", share), experiments.Cell())
    wanted = [experiments.run(config, cell, seed) for cell in dict.fromkeys(cells)]
    found = [results.get(run) for run in wanted]
    told = [
        f"{run.label}, {run.kept:,} rows: {100 - run.test_error:.1f} % of the test rows right; "
        f"{run.total_seconds:.1f} s, of which choosing {run.select_seconds:.1f} s"
        for run in experiments.frame(wanted, found).itertuples()
    ]
    kept = results.get(wanted[0].subset).arrays["indices"]
    dropped = np.setdiff1d(np.arange(found[-1].metrics["n_train"]), kept)
    number = min(8, len(kept), len(dropped))
    dropped = np.random.default_rng(seed).choice(dropped, number, replace=False)
    rows, captions = [*kept[:number], *dropped], ["kept"] * number + ["dropped"] * number
    return strip(config.dataset, rows, captions, "\n".join(told), lines=2)


def dots(dataset: str, marks: pd.DataFrame, ends: tuple[str, str]) -> HTML:
    """Draw training rows as a map in SVG: hovering over one names it, a click shows its picture.

    Args:
        dataset: Name for `data.load`, which raises where its files are not here.
        marks: Columns row, x and y (in 0..1, to the right and upwards), name, kept (in colour).
        ends: What lies to the right, and what above.
    """
    found, colours = data.load(dataset), {True: base.colour_of("entropy"), False: "#b9bec6"}
    drawn = [
        f'<g tabindex="0"><title>{escape(one.name)}</title><circle cx="{15 + 530 * one.x:.0f}" '
        f'cy="{305 - 280 * one.y:.0f}" r="4.5" fill="{colours[one.kept]}" stroke="white"/>'
        f'<g class="told"><image href="{_address(found, one.row)}" x="580" y="15" width="180" '
        f'height="180"/><text x="580" y="215" font-size="12">{escape(one.name)}</text></g></g>'
        for one in marks.itertuples()
    ]
    axes = f'<text x="390" y="333">{ends[0]} →</text><text y="8">↑ {ends[1]}</text>'
    return HTML(f"{MAP}{axes}{''.join(drawn)}</svg>")


def _address(found: Dataset, row: int) -> str:
    """Return a row's image as an address that holds it, a text's as an empty one."""
    if found.is_text:
        return ""
    pixels = found.train_inputs[row].transpose(1, 2, 0).squeeze()
    return pictures.address(Image.fromarray(pixels if pixels.ndim == 3 else 255 - pixels))


def _show(ax: Axes, found: Dataset, row: int) -> None:
    inputs = found.train_inputs[row]
    ax.set(xticks=[], yticks=[])
    ax.grid(visible=False)
    ax.spines[:].set_visible(False)
    if found.is_text:
        letters = inputs.tobytes().rstrip(b"\0").decode("utf-8", "replace")[:LETTERS]
        letters = textwrap.fill(" ".join(letters.split()), 20)
        look = {"va": "top", "fontsize": 7, "parse_math": False}  # "$" is a dollar
        ax.text(0.02, 0.98, letters, transform=ax.transAxes, **look).set_in_layout(False)
    else:
        ax.imshow(inputs.transpose(1, 2, 0).squeeze(), cmap="gray_r", vmin=0, vmax=255)


def _history(ax: Axes, runs: dict[str, Result], row: int, n: int) -> None:
    """Draw a line of squares a network: blue where an epoch's training step found the row right."""
    ax.set(title="right (blue) or wrong when trained on", yticks=range(len(runs)))
    ax.set_yticklabels(runs)
    ax.grid(visible=False)
    for place, run in enumerate(runs.values()):
        if "correct" in run.arrays:
            right = readings.bits(run.arrays["correct"], n)[:, row]
            colours = np.where(right, base.colour_of("entropy"), "#e4e7eb")
            ax.scatter(range(1, len(right) + 1), [place] * len(right), c=colours, marker="s", s=70)
    ax.set(xlabel="epoch", ylim=(-0.6, len(runs) - 0.4))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))


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
