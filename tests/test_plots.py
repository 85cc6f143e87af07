"""Every figure kind on small tables: values, labels, placeholders, colours, stable files."""

import functools
import io
import itertools
import os

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text
from PIL import Image

from helpers import StudyError, pictures, plots
from helpers.claims import selection_times as table_1
from helpers.plots import base, budgets, panels
from helpers.ranking import t_interval
from helpers.selection import registry

METHODS = [
    *("random", "random-per-class", "least-confidence", "margin", "entropy", "forgetting"),
    *("k-centers", "iqp", "geda", "ids", "random-per-quartile", "some-new-method"),
]
RUNGS = ["random", "random-per-class", "random-per-quartile", "evenly-spaced", "geda-random"]
MODELS = ["resnet8", "resnet14", "resnet20", "resnet32", "resnet56"]


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def runs(methods, budgets, seeds, n=1437, **columns):
    """Make runs whose error falls with the budget, columns as the study's frame has them."""
    rng, rows = np.random.default_rng(0), []
    for (place, key), budget, seed in itertools.product(enumerate(methods), budgets, range(seeds)):
        error = 2 + 9 * (1 - budget) ** 2 + 0.12 * place * (1 - budget) + rng.normal(0, 0.3)
        kept = round(n * budget) + (10 if key == "ids" else 0)
        row = {"method": key, "label": key, "budget": budget, "kept": kept, "seed": seed}
        row |= {"model": "resnet20", "epochs": 15, "test_error": error, "alone": seed % 2 == 0}
        rows.append(row | {"seconds": 3 + 20 * budget, "cost": 1 + budget + 0.1 * place})
    return pd.DataFrame(rows).assign(**columns)


def each(column, values, *of):
    """Make the runs of `runs(*of)` once for each value of a column."""
    return pd.concat([runs(*of, **{column: value}) for value in values])


def labelled(seeds):
    """Make runs of active learning: random, and two selectors of two methods."""
    cells = [("random", "")]
    cells += itertools.product(("least-confidence", "k-centers"), ("small", "large"))
    return pd.DataFrame([
        {"method": method, "selector": by, "share": share, "seed": seed,
         "test_error": 20 - 20 * share + place + seed / 10}
        for place, (method, by) in enumerate(cells) for share in (0.1, 0.3) for seed in range(seeds)
    ])  # fmt: skip


def distances():
    """Areas of three classes: random 4 times the least, the trapezoid twice or 1.5 times."""
    times = {("random", ""): 4, ("trapezoid-5", "random"): 2, ("limit", ""): 1}
    times |= {("trapezoid-5", "spread"): 1.5, ("smoothed", "first"): 3}
    return pd.DataFrame([
        {"variant": name, "within": within, "share": share, "area": least * factor}
        for share in (0.2, 0.6) for least in (0.5, 1.0, 3.0)
        for (name, within), factor in times.items()
    ])  # fmt: skip


def choices(seeds):
    """Three choices; the second is the closest."""
    return pd.DataFrame([
        {"name": name, "key": key, "area": area + 0.1 * seed, "gain": gain * (1 + 0.1 * seed)}
        for name, key, area, gain in (
            ("Random per class", "random-per-class", 3.0, 0.0),
            ("Evenly spaced", "evenly-spaced", 0.5, 1.0),
            ("GEDA, N = 5", "geda-random", 1.5, -1.0),
        ) for seed in range(seeds)
    ])  # fmt: skip


def selection_times():
    rows = [
        ("iqp", "LP + power", 0.2, 0.01), ("iqp", "LP + power", 0.5, 0.01),
        ("dpp", "k-DPP", 0.2, 1.0), ("dpp", "k-DPP", 0.5, 8.0), ("dpp", "k-DPP", 0.5, 6.0),
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["method", "name", "share", "seconds"])


def headlines():
    nan, inf = np.nan, np.inf
    rows = [("a", "holds", -0.2, -0.4, 0.1, "points", -inf, 0.5, "holds"),
            ("b", "not decidable", nan, nan, nan, "", -inf, inf, "not decidable: no headroom"),
            ("c", "undecided", 1.4, 0.9, 2.2, "x", 1.6, inf, "undecided")]  # fmt: skip
    names = "headline verdict value low high unit above below reason".split()
    return pd.DataFrame(rows, columns=names)


def against_paper():
    rows = []
    for group, method, share in itertools.product(
        ("ResNet-20 proxy", "ResNet-56 proxy"), ("random", "forgetting", "entropy"), (30, 50, 70)
    ):
        row = {"name": f"{plots.label_of(method)}, {share} % of the pool", "paper": 12 - share / 12}
        ours = row["paper"] + 1
        row |= {"ours": ours, "low": ours - 0.6, "high": ours + 0.6}
        rows.append(row | {"method": method, "group": group})
    frame = pd.DataFrame(rows)
    frame.loc[4, ["ours", "low", "high"]] = np.nan
    return frame


def gaps(names, value=0.01):
    """A table of gaps in two kinds of instance."""
    return pd.DataFrame({"a": value, "b": 0.5}, index=names)


FAMILIES = {"By scores": ["entropy", "margin"], "By places": ["k-centers"], "None": ["el2n"]}


@functools.cache
def examples(seeds):
    """Every figure kind with realistic data: name -> function that draws it."""
    rng = np.random.default_rng(0)
    all_runs = runs(METHODS, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6], seeds)
    few = all_runs[all_runs["budget"].isin([0.2, 0.5])]
    five = all_runs[all_runs["method"].isin(METHODS[:5])]
    full = runs(["full"], [1.0], seeds)
    depth = each("model", MODELS, ["full"], [1.0], seeds)
    by_model = each("model", MODELS[:3], ["random", "iqp"], [0.2, 0.4], seeds)
    weighted = each("weight", (0.0, 0.1, 0.3, 3.0), ["iqp", "iqp-distance"], [0.2], seeds)
    nodes = each("n_nodes", (3, 5, 10, 20, 50), ["geda-random"], [0.2], seeds)
    beside = {"random-per-class": runs(["random-per-class"], [0.2], seeds), "full": full}
    swept = each("theta", (0.02, 0.05, 0.1, 0.12, 0.2), ["adonis"], [0.5], seeds)
    named = swept.assign(bins=swept["theta"].map(lambda t: "sturges" if t < 0.1 else "rice"))
    opponents = runs(["random", "random-longer", "repeated-random", "full"], [0.1, 0.5], seeds)
    fall = 88 * np.exp(-np.arange(15) / 2.5) + rng.normal(0, 0.8, (seeds, 15))
    errors = {name: list(9 - i + fall) for i, name in enumerate(MODELS)}
    clocks = {name: [np.arange(1, 16) * (i + 1.0)] * seeds for i, name in enumerate(MODELS)}
    online = {
        key: [(pace * np.arange(1, 16), 98 - run) for run in fall]
        for key, pace in (("full", 1.5), ("ids", 1.2), ("adonis", 0.9))
    }
    epochs = np.array([0, 1, 2, 4, 8, 12, 15])
    settling = {
        name: 0.95 - np.exp(-epochs / pace) + rng.normal(0, 0.02, (seeds, 7))
        for name, pace in (("entropy", 3), ("margin", 3.1), ("forgetting", 6), ("k-centers", 9))
    }
    settling["forgetting"][:, 0] = np.nan
    shares = {"adonis": np.clip(rng.normal(0.5, 0.1, (seeds, 10)), 0, 1), "ids": np.ones((1, 10))}
    agreement = {name: rng.uniform(-0.1, 0.95, (5, 5)) for name in ("entropy", "k-centers")}
    agreement["k-centers"][0, -1] = np.nan
    losses, edges = rng.gamma(1.2, 0.5, 512), np.linspace(0, 1.2, 11)
    accepted = np.arange(10) % 2 == 0
    mechanism = losses, edges, np.linspace(0.2, 0.02, 10), 0.12, accepted, (0.0, 1.2)
    labels = np.arange(600) % 10
    points = 6 * np.stack([np.cos(labels * 0.628), np.sin(labels * 0.628)], 1)
    points += rng.normal(0, 0.8, (600, 2))
    latent = {"EASY": rng.random(600) < 0.8, "HARD": rng.random(600) < 0.8}
    stars = dict.fromkeys(latent, np.arange(10))
    picks = {key: rng.permutation(600)[:8] for key in METHODS[:7]}
    norms = rng.gamma(3, 1, 140)
    parts = {"kernel": np.full(5, 0.35), "truncated power": np.linspace(0.1, 0.2, 5)}
    sizes = {"cbc": (20, 40, 60), "highs": (20, 40, 80), "closed-form": (20, 150, 500, 3000)}
    solvers = [{"n": n, "solver": key, "seconds": 1e-6 * n**2} for key in sizes for n in sizes[key]]
    verdicts = {doc: dict.fromkeys(plots.VERDICT_COLOURS, i) for i, doc in enumerate("abc", 2)}
    paired = few.assign(panel="10 %", name=few["method"], difference=few["test_error"] - 8)
    names = [f"digit {i}" for i in range(10)]
    notes = {"random": "+1.0 points at 10 %"}
    p, k = plots, range(100, 600, 100)
    return {
        "depth": lambda: p.error_against_depth(depth),
        "epochs": lambda: p.error_during_training(errors),
        "seconds": lambda: p.error_during_training(errors, clocks),
        "online": lambda: p.accuracy_against_seconds(online, "IDS wins"),
        "mechanism": lambda: p.adonis_mechanism(*mechanism, "one bin passes"),
        "acceptance": lambda: p.acceptance_over_training(np.arange(10), shares),
        "difficulty": lambda: p.share_by_difficulty(shares, "left out (%)", "EL2N"),
        "settling": lambda: p.correlation_during_training(epochs, settling),
        "sweep": lambda: p.sweep(swept, "theta", full, "threshold θ", default=0.12),
        "sweep of names": lambda: p.sweep(named, "bins", full, default="sturges"),
        "heatmaps": lambda: p.spearman_heatmaps(agreement, MODELS),
        "one heatmap": lambda: p.spearman_heatmaps({"entropy": np.eye(2)}, MODELS[:2]),
        "gaps": lambda: p.gap_heatmap(gaps(["LP", "swaps"]), gaps(["SDP"])),
        "budgets": lambda: p.accuracy_against_budget(all_runs, full),
        "shares": lambda: p.accuracy_against_budget(five, full, pool=1437),
        "families": lambda: p.error_by_family(all_runs, full, FAMILIES, "LP wins"),
        "panels": lambda: p.accuracy_panels(by_model, by_model[by_model["budget"] < 0.3]),
        "one panel": lambda: p.accuracy_panels(by_model[by_model["model"] == "resnet8"]),
        "labels": lambda: p.label_curves(
            labelled(seeds), full, ("least-confidence", "k-centers"), "large"
        ),
        "to random": lambda: p.difference_to_random(five),
        "to random, few": lambda: p.difference_to_random(few),
        "pairs": lambda: p.paired_differences(paired, "points", "entropy wins\nat both shares"),
        "settings": lambda: p.accuracy_by_setting(weighted, "weight", "method", "λ", default=0.3),
        "ladder": lambda: p.ladder(runs(RUNGS, [0.2, 0.4, 0.6, 0.8], seeds), RUNGS),
        "nodes": lambda: p.setting_beside(nodes, "n_nodes", beside, 5, "N"),
        "variants": lambda: p.variant_distances(distances(), ["random", "trapezoid-5", "limit"]),
        "closeness": lambda: p.distance_and_accuracy(choices(seeds), "Random per class", "gain"),
        "ecdf": lambda: p.ecdf_panels(norms, {"random": range(28), "geda": range(28, 56)}),
        "four ecdf": lambda: p.ecdf_panels(norms, dict.fromkeys(METHODS[:4], range(20))),
        "latent": lambda: p.latent_space(points, labels, latent, stars, names),
        "toy": lambda: p.toy_selection(points, picks),
        "gallery": lambda: p.gallery(points, labels, picks, {"random": np.arange(8.0)}, notes),
        "connected": lambda: p.best_connected(points[:30], np.arange(30.0), 12),
        "solvers": lambda: p.solver_times(pd.DataFrame(solvers)),
        "selection": lambda: p.selection_time_against_budget(k, parts),
        "table 1": lambda: p.selection_times_beside(dict.fromkeys("ab", selection_times())),
        "worth": lambda: p.worth_of_choosing(pd.concat([all_runs, opponents]), FAMILIES, "seconds"),
        "claims": lambda: p.claims_overview(pd.DataFrame(verdicts).T),
        "headlines": lambda: p.headline_intervals(headlines(), "digits"),
        "paper": lambda: p.ours_against_paper(against_paper()),
        "placeholder": lambda: p.empty_place("not run yet in this profile"),
    }  # fmt: skip


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
    found = [*fig.texts, fig._supxlabel, fig._supylabel]
    legends = [*fig.legends, *(ax.get_legend() for ax in fig.axes)]
    found += [text for one in legends if one for text in (*one.get_texts(), one.get_title())]
    for ax in fig.axes:
        if ax.get_visible():
            found += [*ax.texts, ax.title, ax.xaxis.label, ax.yaxis.label]
            for axis in (ax.xaxis, ax.yaxis) if ax.axison else ():
                ticks = axis._update_ticks()  # the ticks drawn: others keep stale labels
                found += [tick.label1 for tick in ticks if tick.label1.get_visible()]
    return [text for text in dict.fromkeys(found) if text is not None and text.get_visible()]


@pytest.mark.parametrize("name", examples(1))
def test_no_text_overlaps_or_leaves_the_figure(name):
    fig = examples(3)[name]()
    assert 3.9 <= fig.get_size_inches()[0] <= 12.5
    assert texts_in_the_way(fig) == []
    examples(1)[name]()  # one seed has no spread


def test_nothing_to_draw_and_data_that_do_not_fit_are_one_line():
    some = runs(["random", "geda"], [0.5], 2)
    empty = pd.DataFrame(columns=[*some, *labelled(1), "panel", "name", "area", "difference"])
    for draw, named in (
        (lambda: plots.error_against_depth(empty), "is empty"),
        (lambda: plots.error_during_training({"resnet8": []}), "is empty"),
        (lambda: plots.correlation_during_training([0, 1], {"a": [np.nan, np.nan]}), "is empty"),
        (lambda: plots.spearman_heatmaps({}, ["a"]), "is empty"),
        (lambda: plots.gap_heatmap(gaps([]), gaps(["LP"])), "is empty"),
        (lambda: plots.accuracy_against_budget(some, empty), "is empty"),
        (lambda: plots.error_by_family(some, some, {"a": ["entropy"]}), "is empty"),
        (lambda: plots.accuracy_panels(empty), "is empty"),
        (lambda: plots.difference_to_random(empty), "is empty"),
        (lambda: plots.paired_differences(empty, "x"), "is empty"),
        (lambda: plots.ladder(some, ["entropy"]), "is empty"),
        (lambda: plots.ecdf_panels(np.ones(3), {"geda": []}), "is empty"),
        (lambda: plots.selection_times_beside({}), "is empty"),
        (lambda: plots.worth_of_choosing(empty, FAMILIES, "x"), "is empty"),
        (lambda: plots.headline_intervals(headlines().head(0), "digits"), "is empty"),
        (lambda: plots.ours_against_paper(against_paper().head(0)), "is empty"),
        (lambda: plots.error_against_depth(pd.DataFrame({"model": ["a"]})), "seed, test_error"),
        (lambda: plots.worth_of_choosing(some.drop(columns="cost"), FAMILIES, "x"), "cost"),
        (lambda: plots.error_during_training({"a": [[1, 2]]}, {"b": [[1, 2]]}), "'a'"),
        (lambda: plots.spearman_heatmaps({"entropy": np.eye(2)}, ["a"]), "'entropy'"),
        (lambda: plots.difference_to_random(runs(["geda"], [0.5], 1)), "random"),
    ):
        with pytest.raises(StudyError, match=named) as caught:
            draw()
        assert "\n" not in str(caught.value)
        assert plt.get_fignums() == []


def test_a_legend_over_the_panels_is_never_cut():
    for longest, n_rows in ((1, 1), (30, 5), (150, 5)):
        names = [f"{place} " + "m" * longest for place in range(5)]
        frame = pd.concat([runs([m], [0.1, 0.2], 3).assign(label=m) for m in names])
        fig = plots.accuracy_panels(frame, frame)
        fig.draw_without_rendering()
        (legend,), panel = fig.legends, fig.axes[0].get_window_extent()
        box = legend.get_window_extent(fig.canvas.get_renderer())
        assert 0 <= box.x0 <= box.x1 <= fig.bbox.x1
        assert panel.y1 <= box.y0 <= box.y1 <= fig.bbox.y1
        assert panel.height > 1.8 * fig.dpi  # the rows of a long legend do not eat the panel
        assert len({round(text.get_window_extent().y0) for text in legend.get_texts()}) == n_rows


def test_labels_keep_order_distance_and_bounds_and_move_no_further_than_needed():
    rng = np.random.default_rng(0)
    for _ in range(200):
        wanted = rng.uniform(-0.2, 1.2, rng.integers(1, 13))
        placed = panels.apart(wanted, 0.07, 0.0, 1.0)
        assert (np.diff(placed[np.argsort(wanted, kind="stable")]) >= 0.07 - 1e-9).all()
        assert -1e-9 <= placed.min() <= placed.max() <= 1 + 1e-9
    for wanted, gap, placed in (
        ([0.1, 0.9, 0.5], 0.1, [0.1, 0.9, 0.5]),
        ([0.5, 0.5], 0.1, [0.45, 0.55]),
        ([0.5] * 3, 1.0, [-0.5, 0.5, 1.5]),
    ):
        np.testing.assert_allclose(panels.apart(wanted, gap, 0, 1), placed)


def test_a_figure_is_byte_identical_at_each_save(tmp_path, monkeypatch):
    monkeypatch.setenv(base.FIGURES_ENV, str(tmp_path / "deep" / "folder"))
    first = examples(3)["one heatmap"]()
    for fig, name in ((first, "one"), (first, "two"), (examples(3)["one heatmap"](), "three")):
        plots.save(fig, name)
    bytes_of = [plots.figure_path(n).read_bytes() for n in ("one", "two", "three")]
    assert bytes_of[0] == bytes_of[1] == bytes_of[2]
    assert b"Software" not in bytes_of[0]
    assert [p.name for p in plots.figure_path("one").parent.iterdir() if p.suffix != ".png"] == []
    assert plt.fignum_exists(first.number)


def test_figures_go_to_the_folder_of_their_parameters(monkeypatch):
    monkeypatch.delenv(base.FIGURES_ENV, raising=False)
    for name in ("", "a/b", ".."):
        with pytest.raises(StudyError, match="name"):
            plots.figure_path(name)
    monkeypatch.setattr(base, "_given", {})
    plots.style({"n_seeds": 3, "models": ("vgg3-w8", "vgg5-w16", "vgg7-w16"), "mine": 7})
    assert plots.figure_path("02-x").parts[-3:] == ("figures", "digits", "02-x.png")
    plots.style({"n_seeds": 2, "epochs": 24})
    assert plots.figure_path("02-x").parent.name == "digits+epochs=24+n_seeds=2"
    monkeypatch.setenv("STUDY_PROFILE", "digits-ten")  # 05 has 24 epochs there
    assert plots.figure_path("05-x").parent.name == "digits-ten+n_seeds=2"


def test_what_was_not_drawn_gets_a_labelled_placeholder(tmp_path, monkeypatch):
    monkeypatch.setenv(base.FIGURES_ENV, str(tmp_path))
    plots.save(plots.empty_place("drawn"), "old")
    plots.save(plots.empty_place("drawn"), "new")
    os.utime(tmp_path / "old.png", (0, 0))
    kept = (tmp_path / "new.png").read_bytes()
    plots.keep_places(["old", "new", "never"], since=1.0)
    assert (tmp_path / "new.png").read_bytes() == kept
    assert (tmp_path / "old.png").stat().st_mtime > 1
    assert (tmp_path / "never.png").exists()


def test_method_looks_are_distinct_fixed_and_legible():
    methods = [key for key in plots.COLOURS if key not in ("highs", "cbc", "closed-form")]
    assert len({plots.COLOURS[key] for key in methods}) == len(methods)
    assert plots.COLOURS["full"] == "#000000"
    assert len(set(mpl.colors.to_rgb(plots.COLOURS["random"]))) == 1  # grey
    assert set(plots.COLOURS) <= set(plots.LABELS)
    labels = {key: plots.LABELS[key] for key in registry.METHODS}
    assert labels == {key: method.label for key, method in registry.METHODS.items()}
    # in every process, whatever Python's own hash of text
    assert plots.colour_of("some-new-method") == "#3354cc" != plots.colour_of("another-method")
    assert plots.label_of("some-new-method") == "some-new-method"
    for colour in plots.COLOURS.values():
        assert mpl.colors.rgb_to_hsv(mpl.colors.to_rgb(base.ink(colour)))[2] <= 0.95
    assert len(set(base.colours_for(MODELS).values())) == len(MODELS)
    keys = sorted({key for key, _ in table_1.CONTENDERS.values()} | {"highs"})
    for one, other in itertools.combinations(keys, 2):  # drawn together: by colour or by marker
        rgb = [np.array(mpl.colors.to_rgb(plots.colour_of(key))) for key in (one, other)]
        alike = np.abs(rgb[0] - rgb[1]).sum() < 0.35
        assert not (alike and base.marker_of(one) == base.marker_of(other)), (one, other)


def test_a_method_has_one_colour_in_every_figure():
    for key in ("geda", "some-new-method"):
        frame = runs(["random", key], [0.2, 0.5], 3)
        own = frame[frame["method"] == key]
        for fig in (
            plots.accuracy_against_budget(frame, frame),
            plots.accuracy_panels(frame),
            plots.difference_to_random(frame),
            plots.paired_differences(own.assign(panel="a", name="b", difference=1.0), "x"),
            plots.error_during_training({key: [[3.0, 2.0]], "full": [[2.0, 1.0]]}),
            plots.setting_beside(own, "budget", {}, 0.2),
            plots.selection_times_beside({"a": selection_times().assign(method=key)}),
            plots.worth_of_choosing(frame, {"a": [key]}, "x"),
        ):
            drawn = {line.get_color() for ax in fig.axes for line in ax.lines}
            assert plots.colour_of(key) in drawn


def ends_at(ax):
    """Return the points of every line drawn in an axes, rounded."""
    return [np.round(np.asarray(line.get_xydata(), dtype=float), 9).tolist() for line in ax.lines]


def names_in(ax):
    return [text.get_text() for text in ax.texts]


def test_curves_draw_means_and_name_labels_apart():
    frame = pd.DataFrame({"method": "entropy", "label": ["a", "a", "b", "a"],
                          "budget": [1, 1, 1, 2], "kept": [10, 12, 10, 20], "seed": [0, 1, 0, 0],
                          "test_error": [10.0, 14.0, 20.0, 5.0]})  # fmt: skip
    ax = plots.accuracy_against_budget(frame, pd.DataFrame({"test_error": [3.0, 1.0]})).axes[0]
    assert [[11, 88], [20, 95]] in ends_at(ax)
    assert [[10, 80]] in ends_at(ax)
    assert [98, 98] in [list(line.get_ydata()) for line in ax.lines]
    assert set(names_in(ax)) == {"a", "b", "Full set"}
    assert {"-", "--"} <= {line.get_linestyle() for line in ax.lines}
    bars = [one for one in ax.collections if isinstance(one, mpl.collections.LineCollection)]
    spread = bars[0].get_segments()[0][:, 1]  # of 86 and 90
    np.testing.assert_allclose(spread, 88 + np.std([86, 90], ddof=1) * np.array([-1, 1]))


def test_label_curves():
    full = pd.DataFrame({"test_error": [4.0, 5.0]})
    methods = ("least-confidence", "k-centers", "entropy")
    left, _, empty = plots.label_curves(labelled(3), full, methods, "large").axes
    assert set(names_in(left)) == {"Random", "by large, the target", "by small", "all labels"}
    assert [[10, 20.1], [30, 16.1]] in ends_at(left)  # the target's own choice
    assert [4.5, 4.5] in [list(line.get_ydata()) for line in left.lines]
    assert any("not run yet" in text for text in names_in(empty))


def test_a_setting_is_compared_with_its_usual_value_by_seed():
    frame = pd.DataFrame({"method": "geda-random", "n": [3, 3, 5, 5], "seed": [0, 1, 0, 1],
                          "test_error": [9.0, 12.0, 10.0, 12.0]})  # fmt: skip
    beside = {"evenly-spaced": frame[frame["n"] == 3].assign(test_error=[11.0, 14.0])}
    for usual, means in ((5, [0.5, -1.5]), (20, [-0.5, -2.0])):
        ax = plots.setting_beside(frame, "n", beside, usual).axes[0]
        found = [line.get_ydata()[0] for line in ax.lines if line.get_marker() in "o"]
        np.testing.assert_allclose(found, means)


def test_networks_stand_by_the_depth_of_their_names_and_headlines_by_their_interval():
    deep = ["vdcnn29-w8-shortcut-t256", "fasttext-b16", "vdcnn9-w8"]
    widths = ["sprint-w8", "sprint-w16"]  # no depth is stated: as they come
    for names, shown in ((deep, [deep[1], deep[2], deep[0]]), (widths, widths)):
        of = [{"model": name, "seed": 0, "test_error": 20.0, "seconds": 1.0} for name in names]
        ax = plots.error_against_depth(pd.DataFrame(of)).axes[0]
        assert [tick.get_text() for tick in ax.get_xticklabels()] == shown
    points, ratio = plots.headline_intervals(headlines(), "digits").axes
    assert ratio.get_xscale() == "log"
    (claimed,) = [one.get_paths()[0].vertices[:, 0] for one in points.collections]
    assert (claimed.min(), claimed.max()) == (points.get_xlim()[0], 0.5)


def test_differences_are_paired_by_seed():
    frame = pd.DataFrame({"method": ["random", "random", "geda", "geda", "geda"], "budget": 0.5,
                          "seed": [0, 1, 0, 1, 2],
                          "test_error": [10.0, 20.0, 9.0, 18.0, 1.0]})  # fmt: skip
    found = budgets.pair_with(frame, "random")
    geda = found[found["method"] == "geda"].sort_values("seed")
    assert geda["difference"].tolist() == [1.0, 2.0]  # seed 2 has no partner


def test_differences_show_their_interval():
    gains = np.array([1.0, 4.0, 2.0])
    frame = pd.DataFrame([
        {"method": name, "budget": 0.5, "seed": seed, "kept": 50, "test_error": 20 - gain}
        for seed, gained in enumerate(gains)
        for name, gain in {"random": 0, "entropy": gained}.items()
    ])  # fmt: skip
    pairs = pd.DataFrame({"panel": "10 %", "name": "Entropy", "method": "entropy"}, range(3))
    pairs = pairs.assign(difference=gains)
    missing = pairs.iloc[:1].assign(name="Margin", method="margin", difference=np.nan)
    paired = plots.paired_differences(pd.concat([pairs, missing]), "points")
    for fig in (plots.difference_to_random(frame), paired):
        ends, mean = (line.get_xdata() for line in fig.axes[0].lines[1:])
        np.testing.assert_allclose(ends, t_interval(gains)[1:])
        np.testing.assert_allclose(mean, gains.mean())
        assert "95 % interval, 3 seeds" in fig.get_supxlabel()
    assert names_in(paired.axes[0]) == ["not run"]
    lone = plots.paired_differences(pairs.head(1), "points").axes[0].lines
    assert len(lone) == 2  # zero, and a hollow mean
    assert lone[1].get_markerfacecolor() == "white"


def test_a_method_that_fails_does_not_flatten_a_panel():
    gains = {"entropy": 1.0, "margin": 0.5, "forgetting": -0.5, "iqp": -80.0}
    pairs = pd.DataFrame([
        {"panel": "a", "name": name, "method": name, "difference": gain + 0.1 * seed}
        for name, gain in gains.items() for seed in range(3)
    ])  # fmt: skip
    ax = plots.paired_differences(pairs, "points").axes[0]
    assert names_in(ax) == ["-80"]
    assert -5 < ax.get_xlim()[0] < -0.5
    assert ax.get_xlim()[1] > 1.2
    assert "<" in {line.get_marker() for line in ax.lines}
    some = plots.paired_differences(pairs[pairs["name"] != "iqp"], "points").axes[0]
    assert names_in(some) == []


def test_the_front_holds_what_nothing_beats():
    cost, error = np.array([[1, 2, 2, 3, 4, 0.5], [9, 5, 4, 4, 1, 10]])
    assert plots.cheapest_front(cost, error).tolist() == [5, 0, 2, 4]
    cost, error = np.random.default_rng(0).integers(1, 9, (2, 60)).astype(float)
    front = plots.cheapest_front(cost, error)
    best = {(c, e) for c, e in zip(cost, error)
            if not ((cost <= c) & (error <= e) & ((cost < c) | (error < e))).any()}  # fmt: skip
    assert [(cost[i], error[i]) for i in front] == sorted(best)


def test_a_lower_error_by_luck_is_no_step_of_the_front():
    steps = {"random": (1, [9.0, 9.2, 9.1]), "entropy": (2, [5.0, 12.0, 9.0]),
             "geda": (3, [4.0, 4.3, 4.1]), "full": (4, [4.2, 3.9, 4.2])}  # fmt: skip
    frame = pd.DataFrame([
        {"method": key, "budget": 0.5, "seed": seed, "test_error": error, "cost": cost}
        for key, (cost, errors) in steps.items() for seed, error in enumerate(errors)
    ])  # fmt: skip
    points = frame.groupby(["method", "budget"], sort=False).agg(
        cost=("cost", "mean"), error=("test_error", "mean")
    )
    points = points.reset_index()
    sure = plots.costs.sure_front(frame, points)
    assert points.loc[sure, "method"].tolist() == ["random", "geda"]
    alone = frame[frame["seed"] == 0]  # one seed is sure of nothing
    assert len(plots.costs.sure_front(alone, points)) == 1


def test_worth_of_choosing_names_opponents_front_and_what_is_missing():
    label, methods = plots.label_of, ["random", "repeated-random", "entropy", "k-centers"]
    frame = runs(methods, (0.1, 0.5), 2)
    frame["test_error"] = 12 - 10 * frame["budget"] - (frame["method"] == "repeated-random")
    frame["cost"] = frame["method"].map(dict(zip(methods, (1, 1, 2, 2.5)))) + 3 * frame["budget"]
    frame = pd.concat([frame, runs(["full"], [1.0], 2).assign(cost=6.0, test_error=2.0)])
    *below, top = plots.worth_of_choosing(frame, FAMILIES, "seconds", ["own-batch"]).axes
    again = label("repeated-random")
    assert names_in(top) == [f"{again} 10%", f"{again} 50%", label("full")]
    assert "not run yet" in names_in(below[2])[0]
    named = [text.get_text() for text in top.get_legend().get_texts()]
    longer, own = (label(key) + ": not run yet" for key in ("random-longer", "own-batch"))
    assert named == [label("random"), longer, again, label("full"), own]


def test_heatmaps_show_their_numbers():
    agreement = np.array([[0.5, np.nan], [-0.25, 1.0]])
    ax = plots.spearman_heatmaps({"entropy": agreement}, ["a", "b"]).axes[0]
    assert sorted(names_in(ax)) == ["-0.25", "0.50", "1.00", "not\nrun"]
    above = gaps(["LP", "SDP"])
    above.loc["SDP", "b"] = np.nan
    below, bounds = plots.gap_heatmap(gaps(["LP", "swaps"]), above).axes
    assert names_in(below) == ["1.00", "50", "1.00", "50"]
    assert names_in(bounds) == ["1.00", "50", "1.00", "–"]
    arrays = {"kinds": np.array(["random", "kernel"]), "gap_lp": np.array([[0.1, 0.3], [0, 0.2]])}
    table = plots.means_by_kind(arrays, "gap", {"lp": "LP", "sdp": "SDP"}, 1000)
    np.testing.assert_allclose(table.loc["LP"], [0.2, 0.1])
    assert table.loc["SDP"].isna().all()


def test_a_published_picture_keeps_its_description(tmp_path, monkeypatch):
    monkeypatch.setenv("STUDY_FIGURES", str(tmp_path))
    plots.save(plt.figure(), "01-x", "what is seen")
    small = pictures.quantised((tmp_path / "01-x.png").read_bytes())
    with Image.open(io.BytesIO(small)) as image:
        assert (image.mode, image.text["Description"]) == ("P", "what is seen")
