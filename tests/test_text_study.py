"""The study on texts: fastText chooses and labels for VDCNN, through lists and notebooks."""

import os
import shutil

import pytest

from helpers import data, experiments, overview, profiles, results
from helpers.__main__ import main
from helpers.experiments import bills
from helpers.profiles import Folders
from helpers.specs import Measure

TINY = {
    "dataset": "amazon-reviews@200+100", "models": ["fasttext-b10", "vdcnn9-w8-t64"],
    "proxy": "fasttext-b10", "more_proxies": [], "target": "vdcnn9-w8-t64", "epochs": 1,
    "n_seeds": 2, "label_budgets": [0.3, 0.5], "stops": [1], "n_initial": 20,
    "families": ["fasttext-b10", "vdcnn9-w8-t64"],
}  # fmt: skip
# Enough steps that no network gives every review the same score, which notebook 02 refuses.
LEARNT = {name: TINY[name] for name in ("models", "families", "n_seeds", "n_initial")}
LEARNT |= {"dataset": "amazon-reviews@400+100", "epochs": 8}

texts_only = pytest.mark.skipif(
    not os.environ.get("STUDY_DATA"), reason="set STUDY_DATA to a folder that holds amazon_reviews"
)


def scale_of(**changes):
    return profiles.profile("amazon-small").config(TINY | changes)


@texts_only
@pytest.mark.parametrize("dataset", ["amazon-reviews@200+100", "amazon-ratings@200+100"])
def test_every_run_of_notebooks_01_and_02_on_a_few_reviews(dataset):
    scale = scale_of(dataset=dataset, n_seeds=1, stops=[1])
    for number in ("01", "02"):
        asked = [s for s in experiments.ALL[number](scale) if not isinstance(s, Measure)]
        found = results.compute(asked, device="cpu")
        assert all(0 <= r.metrics["test_acc"] <= 1 for r in found if "test_acc" in r.metrics)
    n = data.load(dataset).n
    active = experiments.asked(scale, "active")
    for run, result in zip(active, results.compute(active), strict=True):
        share = experiments.frame([run], [result])["share"].item()
        assert abs(result.metrics["n_train"] - share * n) <= 1 + len(scale.label_budgets)
    spent = bills.labelling(scale)
    assert set(spent["selector"]) == {scale.proxy, scale.target}
    assert (spent["seconds"] > 0).all()
    table = bills.active_table(experiments.frame(active, results.compute(active)), spent,
                               scale.target)  # fmt: skip
    assert len(table) == 5  # by chance, and two methods by two networks


@texts_only
def test_a_notebook_of_the_profile_end_to_end_and_again_offline(tmp_path, capfd, monkeypatch):
    repository = Folders(tmp_path / "repo")
    shutil.copytree(
        Folders().notebooks, repository.notebooks,
        ignore=shutil.ignore_patterns("executed", "published", ".ipynb_checkpoints"),
    )  # fmt: skip
    monkeypatch.setenv("STUDY_PROFILE", "amazon-small")
    command = ["--profile", "amazon-small", "--only", "02"]
    for name, value in LEARNT.items():
        command += ["-p", f"{name}={value}"]
    assert main(["study", *command], repository) == 0, capfd.readouterr().err
    (figures,) = repository.root.glob("figures/amazon-small+*")  # other values than the profile's
    assert {path.name[:2] for path in figures.glob("*.png")} == {"02"}
    assert main(["figures", *command], repository) == 0, capfd.readouterr().err
    capfd.readouterr()
    assert main(["study", *command, "--dry-run"], repository) == 0
    told = capfd.readouterr().out
    assert "03-lp-selection" not in told
    assert [line.split()[3] for line in told.splitlines() if line.startswith("in all")] == ["0"]


def test_profiles_of_texts_run_what_makes_sense_for_texts():
    chosen = [profiles.profile(name) for name in ("amazon-small", "amazon-ratings-small")]
    for one in chosen:
        assert set(overview.wanted(one)) == {"01", "02", "06"}
        networks = experiments.selectors(one.config())
        assert [network.split("-")[0] for network in networks] == ["fasttext", "vdcnn9", "vdcnn9"]
    polarity, ratings = (dict(one.config()) for one in chosen)
    assert {key for key in polarity if polarity[key] != ratings[key]} == {"dataset"}
