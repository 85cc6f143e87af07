"""Figures of accuracy against budget, and of paired differences at equal budget and seed."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from helpers import StudyError
from helpers.plots.base import (
    COLOURS,
    INTERVAL,
    MEAN_SD,
    colour_of,
    label_of,
    marker_of,
    need,
    new_figure,
    seeds_text,
)
from helpers.plots.panels import (
    DASHES,
    End,
    curve,
    direct_labels,
    dot,
    legend_above,
    level,
    log_ticks,
    name_rows,
    sd_ends,
    t_ends,
    write_reason,
    zero_line,
)
from helpers.ranking import t_interval

RUNS = "method budget kept seed test_error"
CUT = 2.0  # times the median row, beyond which a panel of differences is cut
WHITE = {"bbox": {"facecolor": "white", "edgecolor": "none", "pad": 1.0}}
CHANCE = ("random", "random-per-class")  # in every panel


def accuracy_against_budget(
    frame: pd.DataFrame, full: pd.DataFrame, pool: int | None = None
) -> Figure:
    """Draw the target's accuracy against the examples it was trained on, every method.

    Args:
        frame: Tidy runs with columns method, budget (as asked), kept (rows trained on), seed,
            test_error (percent) and, optionally, label: series of one method are told apart by
            it (one colour, different dashes).
        full: Runs on everything, test_error.
        pool: Pool size; given, the x axis is the share of it in percent, else the count.

    Returns:
        One panel: mean and standard deviation over seeds; random thick and grey with a band,
        the full set as a black line with a band.
    """
    need(frame, "the frame of runs", RUNS)
    frame = frame[frame["method"] != "full"]
    need(frame, "the frame of runs on subsets")
    full = _accuracies(full)
    fig, axes = new_figure(1, 1, (9.5, 5.4))
    ax = axes[0, 0]
    ends = _curves(ax, frame, 100 / pool if pool else 1.0)
    ends.append((ax.get_xlim()[1], level(ax, full, COLOURS["full"]), "Full set", COLOURS["full"]))
    ax.set_xlabel("share of the pool trained on (%)" if pool else "examples trained on")
    ax.set(ylabel="test accuracy (%)", title=_seeds(frame).capitalize())
    direct_labels(ax, ends)
    return fig


def error_by_family(
    frame: pd.DataFrame, full: pd.DataFrame, families: Mapping[str, Sequence[str]], title: str = ""
) -> Figure:
    """Draw test error against the share kept, one panel a family of methods, all on one scale.

    Args:
        frame: As for `accuracy_against_budget`.
        full: Runs on everything, test_error; their mean is a black line.
        families: Panel title -> keys of methods; random choices are in every panel.
        title: What the figure shows, in words.

    Returns:
        Panels on one logarithmic scale: lines are means, small dots the seeds.
    """
    need(frame, "the frame of runs", RUNS)
    run = set(frame["method"])
    shown = {name: keys for name, keys in families.items() if run & set(keys)}
    need(shown, "the families of methods with runs")
    need(full, "the frame of full runs", "test_error")
    size = (max(6.5, 0.09 * len(title), 4.1 * len(shown)), 4.4)
    fig, axes = new_figure(1, len(shown), size, sharex=True, sharey=True)
    ends: list[list[End]] = []
    for ax, (name, keys) in zip(axes[0], shown.items(), strict=True):
        ends.append([])
        for key, label, dashes, rows in _series(frame[frame["method"].isin([*CHANCE, *keys])]):
            at, colour = (100 * rows["budget"], rows["test_error"]), colour_of(key)
            look = {"linestyle": dashes, "marker": marker_of(key)}
            look["linewidth"] = 3.0 if key == "random" else 1.4
            ax.scatter(*at, s=7, color=colour, alpha=0.4, linewidths=0)
            ends[-1].append(curve(ax, *at, colour, label, None, **look))
        ax.axhline(full["test_error"].mean(), color=COLOURS["full"], linewidth=1.3, zorder=1.5)
        last = (100 * frame["budget"].max(), full["test_error"].mean())
        ends[-1].append((*last, "Full set", COLOURS["full"]))
        ax.set(title=name, xlabel="share of the rows kept (%)")
        ax.set_xticks(100 * np.unique(frame["budget"].round(6)))
    axes[0, 0].set(yscale="log", ylabel="test error (%)")
    log_ticks(axes[0, 0].yaxis, fine=True)
    for ax, some in zip(axes[0], ends, strict=True):  # last: labels settle the shared limits
        direct_labels(ax, some, size=8.5)
    seeds = seeds_text(frame.groupby(["method", "budget"])["seed"].nunique())
    fig.suptitle(f"{title}\nlines: means; dots: {seeds}".strip(), fontsize=10.5)
    return fig


def accuracy_panels(frame: pd.DataFrame, start: pd.DataFrame | None = None) -> Figure:
    """Draw `accuracy_against_budget`, one small panel a model, three a row, each on one scale.

    The frame has a column model as well. `start` has runs of the network before it was tuned on
    what was selected, columns model and test_error; their mean stands in the panel's title, for
    a line so far below would press the curves together.

    Source: Banerjee and Chakraborty, figure 1.
    """
    need(frame, "the frame of runs", f"model {RUNS}")
    models = list(frame["model"].unique())
    columns = min(len(models), 3)
    rows = -(-len(models) // columns)
    wide = max(5.8, 0.8 + 3.2 * columns)
    fig, axes = new_figure(rows, columns, (wide, 1.0 + 2.7 * rows), sharex=True, sharey="row")
    for ax in axes.flat[len(models) :]:
        ax.remove()
    for ax, model in zip(axes.flat, models, strict=False):
        _curves(ax, frame[frame["model"] == model], ends=t_ends)
        ax.set_title(model)
        if start is not None:
            mean = (100 - start.loc[start["model"] == model, "test_error"]).mean()
            ax.set_title(f"{model} (start set {mean:.1f} %)")
    for ax in axes[:, 0]:
        ax.set_ylabel("test accuracy (%)")
    counts = frame.groupby(["model", "method", "budget"])["seed"].nunique()
    fig.supxlabel(f"examples trained on ({seeds_text(counts, INTERVAL)})", fontsize=10)
    legend_above(fig, axes[0, 0])
    return fig


def label_curves(
    frame: pd.DataFrame, full: pd.DataFrame, methods: Sequence[str], target: str
) -> Figure:
    """Draw the target's test error against the share of the pool that is labelled.

    Args:
        frame: Tidy runs of the target with columns method, selector (the network that chose),
            share (0..1, of all rows), seed, test_error (percent); `random` is in every panel.
        full: Runs on all labels, test_error (percent).
        methods: Keys of the methods, a panel each; one without runs keeps an empty place.
        target: The network that is trained in the end; its own choice is the solid line.

    Returns:
        Panels on one logarithmic scale: lines are means, dots are seeds.

    Source: arXiv:1906.11829, figure 6.
    """
    need(frame, "the frame of runs", "method selector share seed test_error")
    need(methods, "the list of methods")
    wide = min(11.0, 1.6 + 4.6 * len(methods))
    fig, axes = new_figure(1, len(methods), (wide, 4.2), sharex=True, sharey=True)
    ends = [_by_selector(ax, frame, method, target) for ax, method in zip(axes[0], methods)]
    axes[0, 0].set(yscale="log", ylabel="test error (%)")
    log_ticks(axes[0, 0].yaxis)
    last = full["test_error"].mean()
    for ax, method, some in zip(axes[0], methods, ends, strict=True):
        ax.axhline(last, color=COLOURS["full"], linewidth=1.2)
        ax.set_title(label_of(method))
        ax.set_xticks(100 * np.unique(frame["share"].round(6)))
        some.append((100 * frame["share"].max(), last, "all labels", COLOURS["full"]))
    counts = frame.groupby(["method", "selector", "share"])["seed"].nunique()
    told = seeds_text(counts, "mean (line) and {} (dots)")
    fig.supxlabel(f"share of the rows labelled (%); {told}", fontsize=10)
    for ax, some in zip(axes[0], ends, strict=True):  # last: labels settle the shared limits
        direct_labels(ax, some, size=8.5)
    return fig


def _by_selector(ax: Axes, frame: pd.DataFrame, method: str, target: str) -> list[End]:
    by = dict(list(frame[frame["method"] == method].groupby("selector", sort=False)))
    order = [name for name in (target, *(n for n in by if n != target)) if name in by]
    dashes = DASHES if target in by else DASHES[1:] + DASHES[:1]
    series = [("random", label_of("random"), "-", 3.2, frame[frame["method"] == "random"])]
    series += [
        (method, f"by {name}" + ", the target" * (name == target), dashes[i % 4], 1.6, by[name])
        for i, name in enumerate(order)
    ]
    if not order:
        write_reason(ax, "not run yet in this profile")
    ends = []
    for key, name, dash, width, rows in series:
        at, colour = (100 * rows["share"], rows["test_error"]), colour_of(key)
        if len(rows):
            ends.append(curve(ax, *at, colour, name, None, linestyle=dash, linewidth=width,
                              marker=marker_of(key)))  # fmt: skip
            ax.scatter(*at, s=9, color=colour, alpha=0.5, linewidths=0)
    return ends


def difference_to_random(frame: pd.DataFrame, title: str = "") -> Figure:
    """Draw what each method gains over random rows of the same budget and seed, a panel a budget.

    The frame is that of `accuracy_against_budget` with method `random`. Runs are paired by budget
    and seed and, where the columns are there, by model and epochs. Dots are mean gains of accuracy
    in points as in `paired_differences`.
    """
    need(frame, "the frame of runs", "method budget seed test_error")
    pairs = pair_with(frame, "random")
    pairs = pairs[~pairs["method"].isin(["random", "full"])]
    need(pairs, "the frame of runs beside random")
    budgets = sorted(pairs["budget"].unique())
    shown = [rows.assign(name=name) for _, name, _, rows in _series(pairs)]
    pairs = pd.concat(shown).assign(panel=lambda one: one["budget"])
    # each budget has its own scale: one method that fails at 10 % would flatten all the others
    counts = pairs.groupby(["method", "budget"])["seed"].nunique()
    titles = {one: f"{one:.0%} kept" if one <= 1 else f"k = {one:g}" for one in budgets}
    return _differences(pairs, titles, "points gained over random rows", counts, 2.1, title)


def paired_differences(pairs: pd.DataFrame, x_label: str, title: str = "") -> Figure:
    """Draw mean differences of pairs that share a seed, a panel a group, a row a name.

    `pairs` has columns panel (heading), name (of the row in the figure), method (key, for the
    colour) and difference (in the unit of the axis; NaN: not run). Bars are the mean's 95 %
    interval by Student's t; `title` says what the figure shows.
    """
    need(pairs, "the frame of pairs", "panel name method difference")
    known = pairs.dropna(subset="difference").groupby(["panel", "name"]).size()
    titles = {panel: panel for panel in pairs["panel"].unique()}
    return _differences(pairs, titles, x_label, known, 2.7, title)


def _differences(
    pairs: pd.DataFrame,
    titles: Mapping[object, str],
    x_label: str,
    counts: Iterable[int],
    width: float,
    title: str,
) -> Figure:
    names = list(pairs["name"].unique())
    rows = -(-len(titles) // 5)
    columns = -(-len(titles) // rows)
    wide = max(2.5 + width * columns, 0.085 * max(map(len, title.splitlines()), default=0))
    high = rows * (1.2 + 0.28 * len(names)) + 0.2 * len(title.splitlines())
    fig, axes = new_figure(rows, columns, (min(11.0, wide), high), sharey=True)
    for ax in axes.flat[len(titles) :]:
        ax.set_visible(False)
    for ax, (panel, heading) in zip(axes.flat, titles.items(), strict=False):
        zero_line(ax)
        ax.xaxis.set_major_locator(MaxNLocator(4))
        ax.set_title(heading)
        here = pairs[pairs["panel"] == panel].dropna(subset="difference")
        _cut(ax, [here.loc[here["name"] == name, "difference"] for name in names])
        for place, name in enumerate(names):
            found = here[here["name"] == name]
            if len(found):
                key = found["method"].iloc[0]
                dot(ax, found["difference"], place, colour_of(key), marker_of(key))
            else:
                ax.text(0.02, place, "not run", va="center", color="#777777", fontsize=8.5, **WHITE,
                        transform=ax.get_yaxis_transform())  # fmt: skip
    name_rows(axes[0, 0], names)
    fig.suptitle(title, fontsize=10.5)
    fig.supxlabel(f"{x_label}; {seeds_text(counts, INTERVAL)}", fontsize=10)
    return fig


def _cut(ax: Axes, values: Sequence[pd.Series]) -> None:
    """Cut a panel where one row would flatten all others; arrows and numbers stand for the rest."""
    ends = {place: np.array(t_interval(of)) for place, of in enumerate(values) if len(of)}
    outer = [np.abs(one[np.isfinite(one)]).max() for one in ends.values()]
    reach = CUT * np.median(outer) if outer else 0.0
    if not reach or max(outer) <= 4 * reach:
        return
    known = np.concatenate([one[np.isfinite(one)] for one in ends.values()])
    left, right = max(-reach, 1.1 * min(known.min(), 0)), min(reach, 1.1 * max(known.max(), 0))
    ax.set_xlim(left - 0.05 * reach, right + 0.05 * reach)
    for place, (mean, low, high) in ends.items():
        for marker, edge, beyond in (("<", left, low < left), (">", right, high > right)):
            if beyond and np.isfinite((low, high)).all():
                ax.plot(edge, place, marker, color="#555555", markersize=5)
        if not left <= mean <= right:
            side = "left" if mean < left else "right"
            edge = 0.12 if side == "left" else 0.88
            ax.text(edge, place, f"{mean:+.0f}", ha=side, va="center", fontsize=8.5, **WHITE,
                    transform=ax.get_yaxis_transform())  # fmt: skip


def pair_with(frame: pd.DataFrame, base: str) -> pd.DataFrame:
    """Return the runs that have a partner of method `base`, with their `difference` (points)."""
    keys = [name for name in ("budget", "seed", "model", "epochs") if name in frame.columns]
    partner = frame[frame["method"] == base].groupby(keys, dropna=False)["test_error"].mean()
    pairs = frame.merge(partner.rename("base_error").reset_index(), on=keys)
    if not len(pairs):
        raise StudyError(f"no run shares {', '.join(keys)} with a run of {base!r}: nothing to pair")
    return pairs.assign(difference=pairs["base_error"] - pairs["test_error"])


def _series(frame: pd.DataFrame) -> Iterator[tuple[str, str, str, pd.DataFrame]]:
    """Yield key, name, dashes and rows of each series; labels of one method differ in dashes."""
    for method, rows in frame.groupby("method", sort=False):
        names = rows["label"] if "label" in rows else pd.Series(method, index=rows.index)
        for place, name in enumerate(names.unique()):
            shown = label_of(method) if name in (method, "") else str(name)
            yield method, shown, DASHES[place % len(DASHES)], rows[names == name]


def _curves(ax: Axes, frame: pd.DataFrame, scale: float = 1.0, ends=sd_ends) -> list[End]:
    """Draw accuracy against the rows kept: random below the others, thick and with a band."""
    drawn = []
    for key, name, dashes, rows in sorted(_series(frame), key=lambda s: (s[0] != "random", s[1])):
        kept = scale * rows.groupby("budget")["kept"].transform("mean")
        look = {"linestyle": dashes, "marker": marker_of(key), "ends": ends}
        look |= {"linewidth": 3.4, "err_style": "band"} if key == "random" else {"linewidth": 1.5}
        drawn.append(curve(ax, kept, 100 - rows["test_error"], colour_of(key), name, **look))
    return drawn


def _accuracies(full: pd.DataFrame) -> pd.Series:
    need(full, "the frame of full runs", "test_error")
    return 100 - full["test_error"]


def _seeds(frame: pd.DataFrame, *columns: str) -> str:
    counts = frame.groupby([*columns, "method", "budget"])["seed"].nunique()
    return seeds_text(counts, MEAN_SD)
