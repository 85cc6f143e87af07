"""Figures that set `budgeted` beside its rivals, and the paper's Table I beside ours."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb

from helpers import StudyError, comparison, experiments as ex, plots
from helpers.plots import base
from helpers.specs import Measure
from helpers.store import Result, Store


@pytest.fixture(autouse=True)
def _no_pack(monkeypatch):
    monkeypatch.setenv("STUDY_PROFILE", "a profile without a pack")


def times():
    """Seconds of two contenders at two budgets, twice."""
    rows = [
        ("iqp", "LP + power", 0.2, 0.01), ("iqp", "LP + power", 0.5, 0.01),
        ("dpp", "k-DPP", 0.2, 1.0), ("dpp", "k-DPP", 0.5, 8.0), ("dpp", "k-DPP", 0.5, 6.0),
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["method", "name", "share", "seconds"])


def test_times_beside_the_paper():
    fig = plots.selection_times_beside({"paper": comparison.budgeted_seconds(), "ours": times()})
    left, right = fig.axes
    assert left.get_yscale() == right.get_yscale() == "log"
    assert [ax.get_title() for ax in fig.axes] == ["paper", "ours"]
    np.testing.assert_allclose(right.lines[-1].get_ydata(), [1.0, 7.0])  # medians
    assert {text.get_text() for text in left.texts} == {"DPP", "Submodular", "Proposed"}
    assert right.lines[0].get_color() == plots.colour_of("iqp")


def test_contenders_are_told_apart_without_colour_or_by_it():
    keys = {key for key, _ in comparison.CONTENDERS.values()} | {"highs"}
    looks = {key: (plots.colour_of(key), base.marker_of(key)) for key in keys}
    of = {key: np.array(to_rgb(colour)) for key, (colour, _) in looks.items()}
    for one, other in combinations(sorted(keys), 2):
        alike = np.abs(of[one] - of[other]).sum() < 0.35
        assert not (alike and looks[one][1] == looks[other][1]), (one, other)


@pytest.mark.parametrize(
    ("panels", "message"),
    [
        ({}, "panels is empty"),
        ({"ours": times().drop(columns="share")}, "share"),
        ({"ours": times().assign(seconds=0.0)}, "positive"),
    ],
)
def test_times_that_cannot_be_drawn(panels, message):
    with pytest.raises(StudyError, match=message):
        plots.selection_times_beside(panels)


def test_the_paper_prints_no_time_of_what_did_not_finish():
    rows = comparison.budgeted_seconds()
    assert rows["name"].value_counts().to_dict() == {"DPP": 90, "Proposed": 90, "Submodular": 45}
    assert rows["share"].min() == pytest.approx(0.2)
    assert rows["share"].max() == pytest.approx(0.5)
    assert rows.loc[rows["name"] == "Proposed", "seconds"].max() == 593  # 00:09:53


def test_best_connected_cuts_the_sorted_sums():
    points = np.array([[0, 0], [0, 1], [1, 0], [5, 5]])
    fig = plots.best_connected(points, np.array([2.0, 3.0, 1.0, 0.0]), 2)
    place, ranks = fig.axes
    np.testing.assert_allclose(place.collections[1].get_offsets(), [[0, 1], [0, 0]])
    assert [bar.get_height() for bar in ranks.patches] == [3, 2, 1, 0]
    assert ranks.lines[0].get_xdata()[0] == 2.5


@pytest.mark.parametrize(
    ("points", "sums", "k", "message"),
    [(np.zeros((3, 3)), np.zeros(3), 1, "points"), (np.zeros((3, 2)), np.zeros(2), 1, "points"),
     (np.zeros((3, 2)), np.zeros(3), 4, "k must")],
)  # fmt: skip
def test_points_that_cannot_be_drawn(points, sums, k, message):
    with pytest.raises(StudyError, match=message):
        plots.best_connected(points, sums, k)


def test_rivals_stand_beside_the_papers_table_1():
    scale = ex.Config(dataset="digits@300+100")
    seconds = {"dpp": [[1.0, 8.0], [1.2, 9.0], [1.1, 8.5]], "greedy": [[2.0, 5.0]] * 3}
    seconds["iqp"] = [[0.01, 0.02]] * 3
    arrays = {f"seconds_{name}": np.array(values) for name, values in seconds.items()}
    Store().write(Measure("selection-time"), {"n": 1000, "alone": True}, arrays)
    table = comparison.budgeted_table_1(scale).groupby("method").first()
    assert table.loc["DPP", ["ours_k_low", "ours_k_high"]].tolist() == [1.1, 8.5]
    assert table.loc["Submodular", "ours_k_high"] == 5.0
    assert table.loc["Proposed", "ours_k_high"] == 0.02
    assert table["ours"].isna().all()  # at 3,000 points, not stored here
    assert (table["ours_n"] == 1000).all()
    Store().write(Measure("selection-time"), {"n": 1000, "alone": False}, arrays)
    assert comparison.budgeted_table_1(scale)["ours_k_low"].isna().all()  # a busy machine


def test_our_seconds_name_the_smaller_pool_of_the_lp():
    arrays = {f"seconds_{name}": np.full((2, 3), 1.0) for name in comparison.CONTENDERS}
    arrays |= {"seconds_lp": np.array([1.0, 2.0, 3.0]), "shares": np.array([0.2, 0.3, 0.5])}
    found = Result(Measure("selection-time"), "key", {"n_lp": 60}, arrays)
    rows = comparison.our_seconds(found)
    counts = rows["name"].value_counts()
    assert counts["LP as written, N = 60"] == 3
    assert set(counts.drop("LP as written, N = 60")) == {6}
    assert plots.selection_times_beside({"ours": rows}).axes


def gaps(names, value=0.01):
    """A table of gaps in two kinds of instance."""
    return pd.DataFrame({"a": value, "b": 0.5}, index=names)


def test_gaps_show_their_numbers():
    above = gaps(["LP", "SDP"])
    above.loc["SDP", "b"] = np.nan
    fig = plots.gap_heatmap(gaps(["LP", "swaps"]), above)
    below, bounds = fig.axes
    assert [text.get_text() for text in below.texts] == ["1.00", "50", "1.00", "50"]
    assert [text.get_text() for text in bounds.texts] == ["1.00", "50", "1.00", "–"]
    assert [one.get_text() for one in bounds.get_yticklabels()] == ["LP", "SDP"]


def test_gaps_of_other_kinds_are_refused():
    with pytest.raises(StudyError, match="columns must agree"):
        plots.gap_heatmap(gaps(["LP"]), gaps(["LP"])[["a"]])


def test_means_by_kind_leave_out_what_was_not_measured():
    arrays = {"kinds": np.array(["random", "kernel"]), "gap_lp": np.array([[0.1, 0.3], [0, 0.2]])}
    table = plots.means_by_kind(arrays, "gap", {"lp": "LP", "sdp": "SDP"}, 1000)
    assert table.columns.tolist() == ["random\nN = 1,000", "kernel\nN = 1,000"]
    np.testing.assert_allclose(table.loc["LP"], [0.2, 0.1])
    assert table.loc["SDP"].isna().all()
