"""Every figure kind on synthetic data: nothing overlaps, bad input is named, saving is stable."""

import itertools
import os
import subprocess
import sys

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

from helpers import plots
from helpers.plots import base
from helpers.selection import registry

COMPARED = [
    *("random", "random-per-class", "least-confidence", "margin", "entropy", "forgetting"),
    *("k-centers", "iqp", "geda", "ids", "random-per-quartile", "some-new-method"),
]
RUNGS = ["random", "random-per-class", "random-per-quartile", "evenly-spaced", "geda-random"]
MODELS = ["resnet8", "resnet14", "resnet20", "resnet32", "resnet56"]


def tidy(methods, budgets, seeds, rng, n=1437, **columns):
    """Make runs whose error falls with the budget, columns as the study's frame has them."""
    rows = []
    for (place, method), budget, seed in itertools.product(
        enumerate(methods), budgets, range(seeds)
    ):
        error = 2 + 9 * (1 - budget) ** 2 + 0.12 * place * (1 - budget) + rng.normal(0, 0.3)
        kept = round(n * budget) + (10 if method == "ids" else 0)
        row = {"method": method, "label": method, "budget": budget, "kept": kept, "seed": seed}
        row |= {"model": "resnet20", "epochs": 15, "test_error": error, "alone": True}
        rows.append(row | {"seconds": 3 + 20 * budget + rng.normal(0, 0.2)})
    return pd.DataFrame(rows).assign(**columns)


def models_frame(seeds, rng):
    parts = [
        tidy(["full"], [1.0], seeds, rng, model=model).assign(seconds=3.0 * (place + 1))
        for place, model in enumerate(MODELS)
    ]
    frame = pd.concat(parts)
    return frame.assign(alone=[i % 2 == 0 for i in range(len(frame))])


def curve(seeds, rng, end, length=15):
    fall = end + 88 * np.exp(-np.arange(length) / 2.5)
    return [fall + rng.normal(0, 0.8, length) for _ in range(seeds)]


def correlations(seeds, rng):
    epochs = np.array([0, 1, 2, 4, 8, 12, 15])
    values = {
        name: 1 - np.exp(-epochs / pace) + rng.normal(0, 0.02, (seeds, len(epochs))) - 0.05
        for name, pace in (("entropy", 3), ("margin", 3.1), ("forgetting", 6), ("k-centers", 9))
    }
    values["forgetting"][:, 0] = np.nan
    return epochs, values


def heatmaps(rng, m=5):
    matrices = {}
    for name in ("entropy", "forgetting", "k-centers"):
        half = rng.uniform(0.2, 0.95, (m, m))
        matrices[name] = (half + half.T) / 2
    matrices["k-centers"][0, -1] = matrices["k-centers"][-1, 0] = np.nan
    return matrices


def mechanism(rng):
    losses = rng.gamma(1.2, 0.5, 512)
    clipped = (max(0.0, losses.mean() - losses.std()), losses.mean() + losses.std())
    kept = losses[(losses >= clipped[0]) & (losses <= clipped[1])]
    counts, edges = np.histogram(kept, 10)
    share = counts / len(kept)
    return losses, edges, share, 0.12, share > 0.12, clipped


def pool(rng, n=600, classes=10):
    labels = rng.integers(0, classes, n)
    angle = 2 * np.pi * labels / classes
    centres = 6 * np.stack([np.cos(angle), np.sin(angle)], 1)
    points = centres + rng.normal(0, 0.8, (n, 2))
    far = np.linalg.norm(points - centres, axis=1)
    easy, hard = far < np.quantile(far, 0.8), far > np.quantile(far, 0.2)
    stars = np.array([np.flatnonzero(labels == one)[0] for one in range(classes)])
    return points, labels, {"EASY": easy, "HARD": hard}, stars, [f"digit {i}" for i in range(10)]


def solver_frame(rng):
    rows = []
    for solver, scale, power, sizes in (
        ("cbc", 2e-5, 2.9, (20, 40, 60)),
        ("highs", 1e-5, 2.6, (20, 40, 80, 150)),
        ("closed-form", 1e-8, 2.0, (20, 80, 150, 500, 1500, 3000)),
    ):
        rows += [{"n": n, "solver": solver, "seconds": scale * n**power} for n in sizes]
    return pd.DataFrame(rows)


def verdicts(rng):
    names = list(plots.VERDICT_COLOURS)
    sizes = {"budgeted": 25, "svp-slides": 21, "svp": 38, "geda": 24, "adonis": 28}
    split = rng.multinomial
    return {
        doc: dict(zip(names, split(n, [0.2, 0.13, 0.07, 0.35, 0.25]).tolist(), strict=True))
        for doc, n in sizes.items()
    }


def pairs(rng):
    rows = []
    for group in ("ResNet-20 proxy, 181 epochs", "ResNet-56 proxy, 181 epochs"):
        for method, share in itertools.product(("random", "forgetting", "entropy"), (30, 50, 70)):
            paper = 12 - share / 12
            ours = paper + rng.normal(1, 0.5)
            row = {"name": f"{plots.label_of(method)}, {share} % of the pool", "paper": paper}
            row |= {"ours": ours, "low": ours - 0.6, "high": ours + 0.6}
            rows.append(row | {"method": method, "group": group})
    frame = pd.DataFrame(rows)
    frame.loc[4, ["ours", "low", "high"]] = np.nan
    return frame


def sweep_runs(seeds, rng):
    full = tidy(["full"], [1.0], seeds, rng)
    theta = [tidy(["adonis"], [0.5], seeds, rng, theta=t) for t in (0.02, 0.05, 0.1, 0.12, 0.2)]
    return pd.concat(theta), full


def training_examples(seeds, rng):
    histories = {name: curve(seeds, rng, 9 - i) for i, name in enumerate(MODELS)}
    clocks = {name: [np.arange(1, 16) * (i + 1.0)] * seeds for i, name in enumerate(MODELS)}
    online = {
        key: [(pace * np.arange(1, 16), 100 - run) for run in curve(seeds, rng, end)]
        for key, end, pace in (("full", 2, 1.5), ("ids", 3, 1.2), ("adonis", 7, 0.9))
    }
    shares = np.clip(0.6 - 0.02 * np.arange(15) + rng.normal(0, 0.03, (seeds, 15)), 0, 1)
    swept, full = sweep_runs(seeds, rng)
    named = swept.assign(bins=swept["theta"].map(lambda t: "sturges" if t < 0.1 else "rice"))
    return {
        "error_against_depth": lambda: plots.error_against_depth(models_frame(seeds, rng)),
        "error_during_training": lambda: plots.error_during_training(histories, top=30),
        "error_during_seconds": lambda: plots.error_during_training(histories, clocks),
        "adonis_mechanism": lambda: plots.adonis_mechanism(*mechanism(rng)),
        "acceptance_over_training": lambda: plots.acceptance_over_training(np.arange(15), shares),
        "accuracy_against_seconds": lambda: plots.accuracy_against_seconds(online),
        "sweep": lambda: plots.sweep(swept, "theta", full, "threshold θ", default=0.12),
        "sweep_names": lambda: plots.sweep(named, "bins", full, default="sturges"),
    }


def ranking_examples(seeds, rng):
    one = {"entropy": heatmaps(rng, 2)["entropy"]}
    eight = [*MODELS, "resnet110", "resnet164", "mobilenet-v2"]
    lines = correlations(seeds, rng)
    return {
        "spearman_heatmaps": lambda: plots.spearman_heatmaps(heatmaps(rng), MODELS),
        "spearman_heatmaps_one": lambda: plots.spearman_heatmaps(one, MODELS[:2]),
        "spearman_heatmaps_eight": lambda: plots.spearman_heatmaps(heatmaps(rng, 8), eight),
        "correlation_during_training": lambda: plots.correlation_during_training(*lines),
    }


def budget_examples(seeds, rng):
    runs = tidy(COMPARED, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6], seeds, rng)
    full = tidy(["full"], [1.0], seeds, rng)
    few, late = runs[runs["budget"].isin([0.2, 0.5])], runs[runs["budget"] > 0.4]
    five = runs[runs["method"].isin(COMPARED[:5])]
    rungs = tidy(RUNGS, [0.2, 0.4, 0.6, 0.8], seeds, rng)
    pair = ["random", "iqp"]
    panels = pd.concat([tidy(pair, [0.2, 0.4], seeds, rng, model=m) for m in MODELS[:3]])
    both = ["iqp", "iqp-distance"]
    weighted = pd.concat([tidy(both, [0.2], seeds, rng, weight=w) for w in (0.0, 0.1, 0.3, 3.0)])
    counts = (3, 5, 10, 20, 50)
    swept = pd.concat([tidy(["geda-random"], [0.2], seeds, rng, n_nodes=n) for n in counts])
    beside = {"random-per-class": tidy(["random-per-class"], [0.2], seeds, rng), "full": full}
    return {
        "accuracy_against_budget": lambda: plots.accuracy_against_budget(runs, [98.1] * seeds),
        "accuracy_against_share": lambda: plots.accuracy_against_budget(late, full, pool=1437),
        "difference_to_random": lambda: plots.difference_to_random(five),
        "difference_to_random_few": lambda: plots.difference_to_random(few),
        "accuracy_panels": lambda: plots.accuracy_panels(panels, panels[panels["budget"] < 0.3]),
        "accuracy_panels_one": lambda: plots.accuracy_panels(panels[panels["model"] == "resnet8"]),
        "accuracy_by_setting": lambda: plots.accuracy_by_setting(
            weighted, "weight", "method", "weight λ", default=0.3
        ),
        "ladder": lambda: plots.ladder(rungs, RUNGS),
        "setting_beside": lambda: plots.setting_beside(swept, "n_nodes", beside, 5, "N"),
    }


def pool_examples(rng):
    points, labels, masks, stars, names = pool(rng)
    toy = rng.normal(0, 1, (30, 2))
    some = {key: rng.permutation(30)[:8] for key in COMPARED[:7]}
    norms = rng.gamma(3, 1, 140)
    nearly = np.argsort(norms)[np.arange(28) * 5 + 2]
    two = {"random": rng.permutation(140)[:28], "geda": nearly}
    four = two | {"evenly-spaced": nearly, "geda-random": nearly}
    return {
        "ecdf_panels": lambda: plots.ecdf_panels(norms, two),
        "ecdf_panels_four": lambda: plots.ecdf_panels(norms, four),
        "latent_space": lambda: plots.latent_space(points, labels, masks, stars, names),
        "toy_selection": lambda: plots.toy_selection(toy, some),
        "toy_selection_one": lambda: plots.toy_selection(toy, {"iqp": some["k-centers"]}),
    }


def other_examples(rng):
    k = [600, 700, 800, 900, 1000]
    parts = {"kernel": np.full(5, 0.35), "LP, closed form": np.full(5, 0.01)}
    parts |= {"truncated power": np.linspace(0.1, 0.2, 5), "whole selection": np.full(5, 0.6)}
    return {
        "solver_times": lambda: plots.solver_times(solver_frame(rng)),
        "selection_time_against_budget": lambda: plots.selection_time_against_budget(k, parts),
        "selection_time_log": lambda: plots.selection_time_against_budget(k, parts, log=True),
        "claims_overview": lambda: plots.claims_overview(verdicts(rng)),
        "ours_against_paper": lambda: plots.ours_against_paper(pairs(rng)),
    }


def examples(seeds):
    """Every figure kind with realistic data: name -> function that draws it."""
    rng = np.random.default_rng(0)
    drawn = training_examples(seeds, rng) | ranking_examples(seeds, rng)
    return drawn | budget_examples(seeds, rng) | pool_examples(rng) | other_examples(rng)


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def texts_in_the_way(fig):
    """List pairs of texts that overlap and texts that leave the figure, measured in pixels."""
    fig.draw_without_rendering()
    renderer = fig.canvas.get_renderer()
    # the boxes of slanted names overlap where the names themselves do not
    boxes = [
        (text.get_text(), Text.get_window_extent(text, renderer))  # without its arrow
        for text in _shown_texts(fig)
        if text.get_text().strip() and text.get_rotation() in (0, 90)
    ]
    outside = [
        text
        for text, box in boxes
        if box.x0 < -1 or box.y0 < -1 or box.x1 > fig.bbox.x1 + 1 or box.y1 > fig.bbox.y1 + 1
    ]
    return outside + [
        (one, other)
        for (one, a), (other, b) in itertools.combinations(boxes, 2)
        if min(a.x1, b.x1) - max(a.x0, b.x0) > 1 and min(a.y1, b.y1) - max(a.y0, b.y0) > 1
    ]


def _shown_texts(fig):
    """Collect the texts drawn, tick labels only where the tick lies within the axis."""
    found = list(fig.texts)
    for legend in fig.legends:
        found += legend.get_texts() + [legend.get_title()]
    for ax in fig.axes:
        if not ax.get_visible():
            continue
        found += [*ax.texts, ax.title, ax.xaxis.label, ax.yaxis.label]
        found += ax.get_legend().get_texts() if ax.get_legend() else []
        for axis in (ax.xaxis, ax.yaxis):
            ticks = axis._update_ticks()  # the ticks drawn: others keep stale labels
            found += [tick.label1 for tick in ticks if tick.label1.get_visible()]
    supers = (fig._supxlabel, fig._supylabel)
    found += [text for text in supers if text is not None and text not in found]
    return [text for text in dict.fromkeys(found) if text.get_visible()]


def test_networks_stand_by_the_depth_that_their_names_state():
    names = ["vdcnn29-w8-shortcut-t256", "fasttext-b16", "vdcnn9-w8"]
    runs = [{"model": name, "seed": 0, "test_error": 20.0, "seconds": 1.0} for name in names]
    ax = plots.error_against_depth(pd.DataFrame(runs)).axes[0]
    assert [tick.get_text() for tick in ax.get_xticklabels()] == [names[1], names[2], names[0]]


SEEDED = ["error_against_depth", "error_during_training", "accuracy_against_budget", "ladder"]
SEEDED += ["accuracy_panels", "accuracy_by_setting"]
SEEDED += ["difference_to_random_few", "sweep", "acceptance_over_training", "setting_beside"]


@pytest.mark.parametrize(
    ("name", "seeds"), [(name, 3) for name in examples(1)] + [(name, 1) for name in SEEDED]
)
def test_no_text_overlaps_or_leaves_the_figure(name, seeds):
    fig = examples(seeds)[name]()
    assert 3.9 <= fig.get_size_inches()[0] <= 11
    assert texts_in_the_way(fig) == []


@pytest.mark.parametrize("longest", [1, 30, 150])
@pytest.mark.parametrize("n_names", [1, 5])
def test_a_legend_over_one_panel_is_never_cut(n_names, longest):
    names = [f"{place} " + "m" * longest for place in range(n_names)]
    rng = np.random.default_rng(0)
    frame = pd.concat([tidy([m], [0.1, 0.2], 3, rng).assign(label=m) for m in names])
    fig = plots.accuracy_panels(frame, frame)
    fig.draw_without_rendering()
    (legend,), panel = fig.legends, fig.axes[0].get_window_extent()
    box = legend.get_window_extent(fig.canvas.get_renderer())
    assert box.x0 >= 0
    assert box.y0 >= panel.y1
    assert box.x1 <= fig.bbox.x1
    assert box.y1 <= fig.bbox.y1
    assert panel.height > 1.8 * fig.dpi  # the rows of a long legend do not eat the panel
    rows = {round(text.get_window_extent().y0) for text in legend.get_texts()}
    assert len(rows) == (1 if longest == 1 else n_names + 1)


@pytest.mark.parametrize(
    ("sizes", "longest", "told"),
    [
        ((10, 20), 1.0, False),
        ((10, 20, 40), 1.0, True),
        ((10, 20, 40), 4e-3, False),
        ((1, 2, 3, 4, 10, 20), 0.1, False),  # two of them take 5 ms
        ((1, 2, 3, 10, 15, 20), 0.1, True),
    ],
)
def test_an_exponent_needs_three_sizes_and_work_to_time(sizes, longest, told):
    seconds = longest * (np.array(sizes) / max(sizes)) ** 2
    seconds[seconds < 4e-3] = 4e-3  # a call takes as long whatever it is called with
    fig = plots.solver_times(pd.DataFrame({"n": sizes, "solver": "cbc", "seconds": seconds}))
    (name,) = [text.get_text() for text in fig.axes[0].texts]
    assert name == plots.label_of("cbc") + (", $n^{2.0}$" if told else "")


@pytest.mark.parametrize("name", ["accuracy_against_budget", "spearman_heatmaps_one"])
def test_a_figure_is_byte_identical_at_each_save(name, tmp_path, monkeypatch):
    monkeypatch.setenv(base.FIGURES_ENV, str(tmp_path / "deep" / "folder"))
    first = examples(3)[name]()
    plots.save(first, "one")
    plots.save(first, "two")
    plots.save(examples(3)[name](), "three")
    bytes_of = [plots.figure_path(n).read_bytes() for n in ("one", "two", "three")]
    assert bytes_of[0] == bytes_of[1] == bytes_of[2]
    assert b"Software" not in bytes_of[0]
    assert [p.name for p in plots.figure_path("one").parent.iterdir() if p.suffix != ".png"] == []
    assert plt.fignum_exists(first.number)


@pytest.mark.parametrize("name", ["", "a/b", "..", "."])
def test_save_refuses_names_that_are_no_file_name(name):
    with pytest.raises(ValueError, match="plain file name"):
        plots.figure_path(name)


def test_figures_go_to_the_digits_folder_by_default(monkeypatch):
    monkeypatch.delenv(base.FIGURES_ENV, raising=False)
    assert plots.figure_path("02-heat").parts[-3:] == ("figures", "digits", "02-heat.png")


EMPTY = pd.DataFrame(columns=["method", "label", "budget", "kept", "seed", "model", "test_error"])


@pytest.mark.parametrize(
    "draw",
    [
        lambda: plots.error_against_depth(EMPTY.assign(seconds=[])),
        lambda: plots.error_during_training({}),
        lambda: plots.error_during_training({"resnet8": []}),
        lambda: plots.spearman_heatmaps({}, ["a"]),
        lambda: plots.correlation_during_training([0, 1], {}),
        lambda: plots.correlation_during_training([0, 1], {"entropy": [np.nan, np.nan]}),
        lambda: plots.accuracy_against_budget(EMPTY, [98.0]),
        lambda: plots.accuracy_against_budget(
            tidy(["random"], [0.5], 1, np.random.default_rng(0)), []
        ),
        lambda: plots.difference_to_random(EMPTY),
        lambda: plots.accuracy_panels(EMPTY),
        lambda: plots.accuracy_by_setting(EMPTY, "budget", "method"),
        lambda: plots.solver_times(pd.DataFrame(columns=["n", "solver", "seconds"])),
        lambda: plots.selection_time_against_budget([1], {}),
        lambda: plots.ecdf_panels(np.array([]), {"geda": [0]}),
        lambda: plots.ecdf_panels(np.ones(3), {"geda": []}),
        lambda: plots.ladder(EMPTY, RUNGS),
        lambda: plots.setting_beside(EMPTY, "budget", {}, 5),
        lambda: plots.latent_space(np.empty((0, 2)), [], {"EASY": []}),
        lambda: plots.adonis_mechanism([], [0, 1], [1], 0.1, [True], (0, 1)),
        lambda: plots.acceptance_over_training([0, 1], {}),
        lambda: plots.accuracy_against_seconds({}),
        lambda: plots.sweep(EMPTY.assign(seconds=[]), "seed", EMPTY.assign(seconds=[])),
        lambda: plots.claims_overview({}),
        lambda: plots.toy_selection(np.empty((0, 2)), {"random": [0]}),
        lambda: plots.ours_against_paper(pd.DataFrame(columns=["name", "paper", "ours"])),
    ],
)
def test_nothing_to_draw_is_one_clear_line(draw):
    with pytest.raises(ValueError, match="is empty: expected at least one") as caught:
        draw()
    assert "\n" not in str(caught.value)
    assert plt.get_fignums() == []


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: plots.error_against_depth(pd.DataFrame({"model": ["a"]})), "lacks the columns"),
        (lambda: plots.error_during_training({"a": [[1, 2], [1]]}), "differ in length"),
        (lambda: plots.error_during_training({"a": [[1, 2]]}, {"b": [[1, 2]]}), "hold 0 seeds"),
        (lambda: plots.spearman_heatmaps({"entropy": np.eye(2)}, ["a"]), r"expected \(1, 1\)"),
        (lambda: plots.correlation_during_training([0], {"entropy": [1, 1]}), "expected 1"),
        (lambda: plots.acceptance_over_training([0], [1, 1]), "expected 1"),
        (lambda: plots.selection_time_against_budget([1], {"iqp": [1, 1]}), "expected 1"),
        (lambda: plots.claims_overview({"svp": {"maybe": 1}}), "unknown verdicts"),
        (lambda: plots.adonis_mechanism([1], [0, 1], [1, 0], 0.1, [True], (0, 1)), "b \\+ 1"),
        (lambda: plots.latent_space(np.ones((2, 2)), [0, 1], {"EASY": [True]}), "expected 2"),
        (
            lambda: plots.solver_times(pd.DataFrame({"n": [1], "solver": ["cbc"], "seconds": [0]})),
            "positive",
        ),
        (
            lambda: plots.difference_to_random(tidy(["geda"], [0.5], 1, np.random.default_rng(0))),
            "nothing to pair",
        ),
    ],
)
def test_data_that_do_not_fit_are_named(draw, message):
    with pytest.raises(ValueError, match=message) as caught:
        draw()
    assert "\n" not in str(caught.value)
    assert plt.get_fignums() == []


def test_method_colours_are_distinct_fixed_and_legible():
    methods = [key for key in plots.COLOURS if key not in ("highs", "cbc", "closed-form")]
    assert len({plots.COLOURS[key] for key in methods}) == len(methods)
    assert plots.COLOURS["full"] == "#000000"
    assert len(set(mpl.colors.to_rgb(plots.COLOURS["random"]))) == 1  # grey
    assert set(plots.COLOURS) <= set(plots.LABELS)
    labels = {key: plots.LABELS[key] for key in registry.METHODS}
    assert labels == {key: method.label for key, method in registry.METHODS.items()}
    assert plots.colour_of("some-new-method") == plots.colour_of("some-new-method")
    assert plots.colour_of("some-new-method") != plots.colour_of("another-method")
    assert plots.label_of("some-new-method") == "some-new-method"
    for colour in plots.COLOURS.values():
        assert mpl.colors.rgb_to_hsv(mpl.colors.to_rgb(base.ink(colour)))[2] <= 0.95


def test_models_without_a_method_run_along_one_scale():
    colours = base.colours_for(MODELS)
    assert len(set(colours.values())) == len(MODELS)
    assert base.colours_for(["random", "x"])["random"] == plots.COLOURS["random"]


def test_spread_labels_keep_order_distance_and_bounds():
    rng = np.random.default_rng(0)
    for _ in range(200):
        wanted = rng.uniform(-0.2, 1.2, rng.integers(1, 13))
        placed = plots.spread_labels(wanted, 0.07, 0.0, 1.0)
        order = np.argsort(wanted, kind="stable")
        assert (np.diff(placed[order]) >= 0.07 - 1e-9).all()
        assert placed.min() >= -1e-9
        assert placed.max() <= 1 + 1e-9


def test_spread_labels_move_no_label_without_need():
    free = [0.1, 0.9, 0.5]
    np.testing.assert_allclose(plots.spread_labels(free, 0.1, 0, 1), free)
    np.testing.assert_allclose(plots.spread_labels([0.5, 0.5], 0.1, 0, 1), [0.45, 0.55])
    np.testing.assert_allclose(plots.spread_labels([0.5] * 3, 1.0, 0, 1), [-0.5, 0.5, 1.5])
    assert plots.spread_labels([], 0.1, 0, 1).shape == (0,)


def test_differences_are_paired_by_seed():
    frame = pd.DataFrame(
        {
            "method": ["random", "random", "geda", "geda", "geda"],
            "budget": 0.5,
            "seed": [0, 1, 0, 1, 2],
            "test_error": [10.0, 20.0, 9.0, 18.0, 1.0],
        }
    )
    from helpers.plots.budgets import pair_with

    pairs_ = pair_with(frame, "random")
    geda = pairs_[pairs_["method"] == "geda"].sort_values("seed")
    assert geda["difference"].tolist() == [1.0, 2.0]  # seed 2 has no partner


def test_the_interval_is_students():
    mean, half = base.centre_and_interval([1.0, 2.0, 3.0])
    assert mean == 2
    assert half == pytest.approx(4.302653 / np.sqrt(3), rel=1e-6)
    assert np.isnan(base.centre_and_interval([1.0])[1])
    assert base.centre_and_spread([1.0]) == (1.0, 0.0)


def test_labels_of_one_method_are_told_apart():
    rng = np.random.default_rng(0)
    frame = tidy(["random", "entropy"], [0.2, 0.4], 2, rng)
    other = frame[frame["method"] == "entropy"].assign(label="Entropy by ResNet-8")
    fig = plots.accuracy_against_budget(pd.concat([frame, other]), [98.0])
    names = [text.get_text() for text in fig.axes[0].texts]
    assert {"Random", "Entropy", "Entropy by ResNet-8", "Full set"} <= set(names)
    assert len({line.get_linestyle() for line in fig.axes[0].lines}) > 1


def test_cells_not_run_say_so():
    fig = plots.spearman_heatmaps({"entropy": np.full((2, 2), np.nan)}, ["a", "b"])
    assert [text.get_text() for text in fig.axes[0].texts] == ["not\nrun"] * 4


def test_the_area_between_curves_is_the_wasserstein_distance():
    from scipy.stats import wasserstein_distance

    from helpers.plots.pools import _area

    rng = np.random.default_rng(0)
    norms = rng.gamma(2, 1, 50)
    assert _area(norms, norms[:9]) == pytest.approx(wasserstein_distance(norms, norms[:9]))


def test_another_process_has_the_same_colours_no_torch_and_no_style_set():
    # Python's own hash of text differs from process to process; the colour of a method must not
    code = (
        "import matplotlib as m; before = dict(m.rcParams); import sys; from helpers import plots;"
        "print(plots.colour_of('x'), 'torch' in sys.modules, dict(m.rcParams) == before)"
    )
    env = os.environ | {"PYTHONHASHSEED": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=env | {"MPLBACKEND": "Agg"},
    )
    assert run.stdout.split() == [plots.colour_of("x"), "False", "True"]
