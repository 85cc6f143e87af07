"""Examples as pictures: what a card says of a row is what the stored runs hold."""

import numpy as np
import pytest

from helpers import StudyError, examples, experiments, plots, results
from helpers.experiments import partial
from helpers.profiles import profile
from helpers.results import readings

CONFIG = profile("digits").config()


@pytest.fixture(scope="module")
def run():
    return results.load(experiments.depth_run(CONFIG, CONFIG.proxy, 0))


def texts(fig):
    return "\n".join(text.get_text() for ax in fig.axes for text in ax.texts)


def test_rows_by_difficulty_begin_with_those_learned_least_often(run):
    order = examples.by_difficulty(run)
    right = readings.bits(run.arrays["correct"], len(order)).sum(axis=0)
    assert sorted(order.tolist()) == list(range(len(order)))
    assert (np.diff(right[order]) >= 0).all()


def test_a_card_names_the_methods_that_keep_the_row(run):
    asked = [s.subset for s in experiments.asked(CONFIG, "core-set") if s.seed == 0]
    chosen = {s.method: results.load(s).arrays["indices"] for s in asked if s.budget == 0.1}
    row = int(chosen["entropy"][0])
    keeping = [plots.label_of(m) for m, rows in chosen.items() if row in rows]
    assert f"kept by: {', '.join(keeping)}" in texts(examples.card(CONFIG, row))
    entropy = readings.score("entropy", run, len(run.arrays["labels"]))
    assert f"Entropy {entropy[row]:.3g}" in texts(examples.card(CONFIG, row))


def test_no_such_row_and_no_pictures():
    with pytest.raises(StudyError, match="row must lie in 0..1346"):
        examples.card(CONFIG, 1347)
    assert "no pictures here" in texts(examples.strip("folder:/nowhere", [0]))


def test_a_diagram_points_from_box_to_box():
    fig = plots.diagram({"a": (0, 0, "one"), "b": (1, 0, "(two)")}, [("a", "b", "by")])
    assert [t.get_text() for t in fig.axes[0].texts if t.get_text()] == ["one", "two", "by"]


def test_a_forecast_counts_what_is_missing():
    runs = [experiments.depth_run(CONFIG, CONFIG.proxy, seed) for seed in (0, 99)]
    assert partial.forecast(runs).startswith("1 runs and choices will be computed, 2 results")
    assert partial.forecast(runs[:1]) == "All 1 results are stored: nothing will be computed."


def test_an_error_of_ours_is_one_line_in_a_notebook():
    assert StudyError("k must lie in 1..3")._render_traceback_() == [
        "StudyError: k must lie in 1..3"
    ]
