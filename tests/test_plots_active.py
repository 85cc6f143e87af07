"""Figures of active learning, of paired differences, and of what choosing is worth."""

import itertools

import numpy as np
import pandas as pd
import pytest

from helpers import StudyError, plots
from helpers.ranking import bootstrap_interval, t_interval

METHODS = ("least-confidence", "k-centers")


def active_runs():
    """Make runs: random and two selectors a method, error falling with the share."""
    cells = [("random", "")] + [(m, by) for m in METHODS for by in ("small", "large")]
    rows = [
        {"method": method, "selector": by, "share": share, "seed": seed,
         "test_error": 20 - 20 * share + place + seed / 10}
        for place, (method, by) in enumerate(cells) for share in (0.1, 0.3) for seed in (0, 1, 2)
    ]  # fmt: skip
    return pd.DataFrame(rows)


FULL = pd.DataFrame({"test_error": [4.0, 5.0]})


def test_label_curves():
    fig = plots.label_curves(active_runs(), FULL, METHODS, "large")
    assert [ax.get_title() for ax in fig.axes] == ["Least confidence", "Greedy k-centers"]
    names = {text.get_text() for text in fig.axes[0].texts}
    assert names == {"Random", "by large, the target", "by small", "all labels"}
    assert fig.axes[0].get_yscale() == "log"
    solid = [line for line in fig.axes[0].lines if line.get_linestyle() == "-"]
    np.testing.assert_allclose(solid[-1].get_ydata(), [20.1, 16.1])  # the target's own choice
    np.testing.assert_allclose(fig.axes[0].lines[0].get_ydata(), [4.5, 4.5])
    assert "3 seeds" in fig.get_suptitle()


def test_a_method_without_runs_keeps_an_empty_place():
    runs = active_runs()
    fig = plots.label_curves(runs[runs["method"] != "k-centers"], FULL, METHODS, "large")
    assert any("not run yet" in text.get_text() for text in fig.axes[1].texts)
    assert not any("not run yet" in text.get_text() for text in fig.axes[0].texts)


@pytest.mark.parametrize("drop", ["share", "selector"])
def test_curves_without_a_column(drop):
    with pytest.raises(StudyError, match=drop):
        plots.label_curves(active_runs().drop(columns=drop), FULL, METHODS, "large")
    with pytest.raises(StudyError, match="list of methods"):
        plots.label_curves(active_runs(), FULL, (), "large")


def test_paired_differences_show_both_intervals():
    values = np.array([1.0, 2.0, 4.0])
    pairs = pd.DataFrame({"panel": "10 %", "name": "Entropy", "method": "entropy",
                          "difference": values})  # fmt: skip
    missing = pairs.iloc[:1].assign(name="Margin", method="margin", difference=np.nan)
    fig = plots.paired_differences(pd.concat([pairs, missing]), "points")
    ax = fig.axes[0]
    drawn = [tuple(line.get_xdata()) for line in ax.lines[1:]]
    np.testing.assert_allclose(drawn[0], t_interval(values)[1:])
    np.testing.assert_allclose(drawn[1], bootstrap_interval(values)[1:])
    np.testing.assert_allclose(drawn[2], values.mean())
    assert [text.get_text() for text in ax.texts] == ["not run"]
    assert [text.get_text() for text in ax.get_yticklabels()] == ["Entropy", "Margin"]
    assert "3 seeds" in fig.get_supxlabel()


def test_difference_to_random_has_both_intervals():
    gains = np.array([1.0, 4.0, 2.0, 0.5, 3.0])
    rows = [
        {"method": name, "budget": 0.5, "seed": seed, "kept": 50, "test_error": 20 - gain}
        for seed, gained in enumerate(gains)
        for name, gain in {"random": 0, "entropy": gained}.items()
    ]
    fig = plots.difference_to_random(pd.DataFrame(rows))
    wide, near, mean = (tuple(line.get_xdata()) for line in fig.axes[0].lines[1:])
    np.testing.assert_allclose(wide, t_interval(gains)[1:])
    np.testing.assert_allclose(near, bootstrap_interval(gains)[1:])
    np.testing.assert_allclose(mean, gains.mean())
    assert fig.get_supxlabel().endswith("5 seeds; 95 %: thick bootstrap, thin Student's t")
    few = plots.difference_to_random(pd.DataFrame(rows[:6]))
    near = few.axes[0].lines[2].get_xdata()
    np.testing.assert_allclose(near, (1.0, 4.0))  # as the axis says
    assert "bootstrap\n(up to 3 seeds: their range)" in few.get_supxlabel()
    assert bootstrap_interval(gains[:4])[1] > gains[:4].min()  # four are no longer their range


def test_one_pair_has_no_interval():
    pairs = pd.DataFrame({"panel": ["a"], "name": ["b"], "method": ["margin"], "difference": [1]})
    lines = plots.paired_differences(pairs, "points").axes[0].lines
    assert len(lines) == 2  # zero, and a hollow mean
    assert lines[1].get_markerfacecolor() == "white"
    with pytest.raises(StudyError, match="difference"):
        plots.paired_differences(pairs.drop(columns="difference"), "points")


def test_the_front_holds_what_nothing_beats():
    cost = np.array([1.0, 2.0, 2.0, 3.0, 4.0, 0.5])
    error = np.array([9.0, 5.0, 4.0, 4.0, 1.0, 10.0])
    assert plots.cheapest_front(cost, error).tolist() == [5, 0, 2, 4]
    rng = np.random.default_rng(0)
    cost, error = rng.integers(1, 9, (2, 60)).astype(float)
    front = set(plots.cheapest_front(cost, error).tolist())
    for i in range(60):
        beaten = ((cost <= cost[i]) & (error <= error[i])
                  & ((cost < cost[i]) | (error < error[i]))).any()  # fmt: skip
        if i in front:
            assert not beaten
        elif not beaten:  # only its equal may stand for it
            assert any(cost[j] == cost[i] and error[j] == error[i] for j in front)


def costs():
    """Make runs with a bill: opponents, two methods, the full set."""
    cells = {"random": 1.0, "random-longer": 2.0, "repeated-random": 1.0, "entropy": 2.0,
             "k-centers": 2.5}  # fmt: skip
    rows = [
        {"method": key, "budget": budget, "seed": seed, "cost": cost + 3 * budget,
         "test_error": 12 - 10 * budget + seed - (key == "repeated-random")}
        for (key, cost), budget, seed in itertools.product(cells.items(), (0.1, 0.5), (0, 1))
    ]  # fmt: skip
    rows += [{"method": "full", "budget": 1.0, "seed": s, "cost": 6.0, "test_error": 2.0 + s}
             for s in (0, 1)]  # fmt: skip
    return pd.DataFrame(rows)


def texts_of(legend):
    """Return what a legend names."""
    return [text.get_text() for text in legend.get_texts()]


def test_worth_of_choosing():
    families = {"By scores": ["entropy", "margin"], "By places": ["k-centers"], "None": ["geda"]}
    fig = plots.worth_of_choosing(costs(), families, "total seconds")
    assert all(ax.get_xscale() == ax.get_yscale() == "log" for ax in fig.axes)
    *panels, top = fig.axes
    assert [ax.get_title() for ax in panels] == list(families)
    named = [text.get_text() for text in top.texts]
    label = plots.label_of
    assert named == [label("repeated-random") + " 10%", label("repeated-random") + " 50%",
                     label("full")]  # fmt: skip
    assert any("not run yet" in text.get_text() for text in panels[2].texts)
    assert texts_of(panels[0].get_legend()) == ["Entropy"]
    assert len(texts_of(top.get_legend())) == 4  # the opponents, no other bill here
    paid = costs().query("method == 'entropy'").assign(method="three-proxies")
    paid = pd.concat([costs(), paid, paid.assign(method="quick-proxy", cost=paid["cost"] / 2)])
    beside = plots.worth_of_choosing(paid, families, "total seconds").axes[-1]
    assert texts_of(beside.get_legend())[-2:] == [label("three-proxies"), label("quick-proxy")]
    awaited = plots.worth_of_choosing(costs(), families, "total seconds", ["own-batch"]).axes[-1]
    assert texts_of(awaited.get_legend())[4:] == [label("own-batch") + ": not run yet"]
    absent = costs()[costs()["method"] != "random-longer"]
    top = plots.worth_of_choosing(absent, families, "total seconds").axes[-1]
    assert label("random-longer") + ": not run yet" in texts_of(top.get_legend())
    limits = {(ax.get_xlim(), ax.get_ylim()) for ax in fig.axes}
    assert len(limits) == 1
    with pytest.raises(StudyError, match="cost"):
        plots.worth_of_choosing(costs().drop(columns="cost"), families, "x")
