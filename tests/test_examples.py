"""Examples as pictures: what a card says of a row is what the stored runs hold."""

import nbformat
import numpy as np
import pandas as pd
import pytest
from nbformat import v4

from helpers import StudyError, examples, experiments, plots, results, runner
from helpers.experiments import partial
from helpers.profiles import Folders, profile
from helpers.results import readings

CONFIG = profile("digits").config()


@pytest.fixture(scope="module")
def run():
    return results.load(experiments.depth_run(CONFIG, CONFIG.proxy, 0))


def texts(fig):
    return "\n".join(text.get_text() for ax in fig.axes for text in ax.texts)


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


def test_what_a_method_keeps_stands_above_what_it_drops(run):
    spec = experiments.run(CONFIG, experiments.Cell("entropy", 0.1), 0)
    kept = results.load(spec.subset).arrays["indices"]
    fig = examples.kept_and_dropped(CONFIG, "entropy", 0.1, 0)
    rows = [int(ax.get_xlabel().rpartition(" ")[2]) for ax in fig.axes]
    assert rows[:8] == kept[:8].tolist()
    assert not np.isin(rows[8:], kept).any()
    found = results.load(spec).metrics
    assert f"135 rows: {100 * found['test_acc']:.1f} %" in fig.get_suptitle()
    assert fig.get_suptitle().count("rows: ") == 3
    assert examples.kept_and_dropped(CONFIG, "random", 0.1, 0).get_suptitle().count("rows: ") == 2
    with pytest.raises(StudyError, match="neither stored nor published"):
        examples.kept_and_dropped(CONFIG, "entropy", 0.1, 99)


def test_a_map_names_every_dot_and_holds_its_picture():
    marks = pd.DataFrame({"row": [3, 7], "x": [0, 0.5], "y": [1, 0.2], "name": ["a < b", "c"]})
    page = examples.dots("digits", marks.assign(kept=[True, False]), ("right", "up")).data
    assert page.count("<circle") == page.count("data:image/png;base64,") == 2
    assert "<title>a &lt; b</title>" in page
    with pytest.raises(StudyError):
        examples.dots("folder:/nowhere", marks, ("right", "up"))


def outputs(path):
    cells = nbformat.read(path, as_version=4).cells
    return [[o.get("data", o) for o in c.outputs] for c in cells if c.cell_type == "code"]


def test_without_a_front_end_the_first_values_are_an_output_and_a_change_replaces_it(tmp_path):
    draw = "def draw(n):\n    if n > 8: raise StudyError('too many; or so')\n    return n * 10\n"
    head = "from ipywidgets import IntSlider\nfrom helpers import StudyError, examples\n" + draw
    play = "a, b = IntSlider(3), IntSlider(4)\nexamples.play(draw, n=a)\nexamples.play(draw, n=b)"
    made = [v4.new_code_cell(one) for one in (head, play, "a.value = 5\nb.value = 9")]
    nbformat.write(v4.new_notebook(cells=made), tmp_path / "a.ipynb")
    runner.execute(tmp_path / "a.ipynb", tmp_path / "b.ipynb", {}, {})
    first, second = outputs(tmp_path / "b.ipynb")[1]  # the widgets themselves are left out
    assert first["text/plain"] == "50"
    assert "image/png" in second


def test_the_notebook_to_explore_computes_nothing_and_shows_every_first_state(tmp_path):
    (clean,) = Folders().notebooks.glob("00-*.ipynb")
    runner.execute(clean, tmp_path / "00.ipynb", {}, {"STUDY_OFFLINE": "1"})
    shown = [set(one) for cell in outputs(tmp_path / "00.ipynb") for one in cell]
    wanted = [one & {"image/png", "text/html"} for one in shown if "text/plain" in one]
    kinds = [kind for kinds in wanted for kind in kinds]
    assert kinds == ["image/png", "image/png", "text/html", "image/png", "text/html"]
    assert not list(tmp_path.glob("store/*.npz"))
