"""Every notebook, end to end, on the smoke profile; then once more from stored results."""

import json
import re
import tempfile

import pytest
from PIL import Image

from helpers import experiments, profiles, results, runner
from helpers.__main__ import main
from helpers.claims import ledger

FOLDER = profiles.Folders().notebooks
READY = [path for number in experiments.ALL for path in FOLDER.glob(f"{number}-*.ipynb")]


def shown(written):
    """Return the lines that executed notebooks show, by notebook.

    Runs are counted where they may be computed only, and HiGHS is timed anew each time.
    """
    found = {}
    for path in sorted((written / "notebooks").iterdir()):
        outputs = [o for c in json.loads(path.read_text())["cells"] for o in c.get("outputs", [])]
        parts = [o.get("data", {}) | {"text": o.get("text", "")} for o in outputs]
        texts = [part.get("text/html") or part.get("text/plain", part["text"]) for part in parts]
        lines = [line for text in texts for line in "".join(text).splitlines()]
        found[path.name] = [one for one in lines if not one.startswith(("runs: ", "HiGHS "))]
    return found


@pytest.mark.slow
def test_smoke_study_runs_and_shows_the_same_from_its_pack_alone(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert main(["study", "--profile", "smoke"]) == 0, capfd.readouterr().err
    written = next(tmp_path.glob("study-smoke-*"))
    assert len(list((written / "notebooks").iterdir())) == len(READY)
    drawn = {path.name for path in (written / "figures").glob("*.png")}
    assert {name[:2] for name in drawn} == {path.name[:2] for path in READY}
    for path in (written / "figures").glob("*.png"):  # its alternative text
        with Image.open(path) as image:
            assert len(image.text["Description"]) > 20, path.name
    studied = shown(written)
    assert main(["claims", "--profile", "smoke"]) == 0
    n_claims = len(ledger.load_ledger())
    judged = capfd.readouterr().out.splitlines()[-n_claims - 1 :]
    pack = str(tmp_path / "pack")
    assert main(["results", "export", "--profile", "smoke", pack]) == 0
    monkeypatch.setenv("STUDY_STORE", str(tmp_path / "of the pack"))
    assert main(["results", "import", pack]) == 0
    assert main(["figures", "--profile", "smoke"]) == 0, capfd.readouterr().err
    assert shown(written) == studied
    assert main(["claims", "--profile", "smoke"]) == 0
    assert capfd.readouterr().out.splitlines()[-n_claims - 1 :] == judged


@pytest.mark.slow
def test_other_parameters_run(tmp_path, monkeypatch, capfd):
    """One seed, one value a list, and lists that lack what a sentence might take for granted."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    changed = {"n_seeds": 1, "models": ["vgg3-w8"], "families": ["vgg3-w8"], "methods": ["entropy"]}
    changed |= {"panel_methods": ["iqp"], "dial_methods": ["forgetting"], "slide_shares": []}
    for name in ("budgets", "label_budgets", "panel_budgets", "percentages", "weights", "thetas"):
        changed[name] = [0.3]
    changed |= {"etas": [2], "alphas": [1.0], "node_counts": [3], "keep": 0.4, "online_sweeps": []}
    given = [word for n, value in changed.items() for word in ("-p", f"{n}={json.dumps(value)}")]
    assert main(["study", "--profile", "smoke", *given]) == 0, capfd.readouterr().err


def test_every_figure_says_what_is_seen():
    saved = re.findall(r'save\(fig, \\"(\S+)\\"\)', "".join(path.read_text() for path in READY))
    assert set(saved) == {"06-accuracy-against-budget", "06-claims"}  # their titles say it


@pytest.mark.slow
def test_what_was_not_run_keeps_its_place(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    depths = experiments.asked(profiles.profile("smoke").config(), "depths")
    results.compute([run for run in depths if run.seed == 0])
    assert main(["figures", "--profile", "smoke", "--only", "01,02,06"]) == 0
    said = capfd.readouterr().out
    assert "01-proxy-training done" in said
    assert "02-ranking-correlations done" in said
    assert re.search(r"06-comparison-tables (\d+) of \1 results are neither stored", said)
    written = next(tmp_path.glob("study-smoke-*")) / "figures"
    asked = {name for path in READY for name in runner.saved_figures(path)}
    drawn = {path.stem for path in written.glob("*.png")}
    assert drawn == {name for name in asked if name[:2] in ("01", "02", "06")}


@pytest.mark.slow
def test_the_solutions_of_all_exercises_run(tmp_path):
    path = FOLDER / "solutions.ipynb"
    runner.execute(path, tmp_path / path.name, {}, {"STUDY_FIGURES": str(tmp_path)})
    titles = re.findall(r"## (0\d-\d)", path.read_text())
    for notebook in FOLDER.glob("0[1-7]-*.ipynb"):
        asked = json.loads(notebook.read_text())["cells"]
        n_asked = sum("exercise" in cell["metadata"].get("tags", []) for cell in asked)
        assert len([one for one in titles if one[:2] == notebook.name[:2]]) == n_asked, (
            notebook.name
        )
