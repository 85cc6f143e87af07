"""Ages of faces: numbers in selections and cells, seconds of frozen layers, the real set."""

import dataclasses

import numpy as np
import pytest

from helpers import StudyError, data, experiments as ex, results, specs
from helpers.measurements import MEASUREMENTS, frozen
from helpers.profiles import profile
from helpers.results import steps
from helpers.results.store import Result
from helpers.selection import registry

CONFIG = profile("budgeted").config()
NETWORKS = CONFIG.panel_models


@pytest.fixture
def inks(monkeypatch):
    """Digits with how much ink each took in place of its class, under every name."""
    found = data.load("digits@300+60")
    inks = (part.sum(axis=(1, 2, 3)) / 16.0 for part in (found.train_inputs, found.test_inputs))
    train, test = inks
    numbers = dataclasses.replace(
        found, name="inks", train_labels=train, test_labels=test, class_names=()
    )
    monkeypatch.setattr(steps.data, "load", lambda name: numbers)
    return numbers


def runs(labels, told):
    """Make traces of runs by what they predict (runs, n)."""
    arrays = [{"logits": one[:, None], "features": np.eye(len(one), 7)} for one in told]
    return [Result(None, "", {}, one) for one in arrays]


def test_several_networks_disagreement_is_the_utility():
    told = np.array([[0.0, 1.0, 2.0, 0.5], [0.0, 1.0, -2.0, 0.0]])
    labels = np.array([10.0, 20.0, 30.0, 40.0])
    pool = steps.pool_of(runs(labels, told), labels, np.array([1, 2, 3]))
    np.testing.assert_allclose(pool.scores, labels.var() * np.array([0, 4, 0.0625]), rtol=1e-3)
    assert registry.pick("top", pool, 1, 0)[0].tolist() == [1]
    alone = steps.pool_of(runs(labels, told)[:1], labels, np.arange(4))
    with pytest.raises(StudyError, match="iqp needs scores or probs"):
        registry.pick("iqp", alone, 1, 0)


def test_choices_on_numbers_from_start_to_finish(inks):
    start = specs.Select("inks", "random", 60)
    kept = {"record_at": (0, 3), "keep_weights": True}
    first = [
        specs.Train("inks", model, "digits-gentle", 3, 0, start, **kept)
        for model in ("vgg3-w8", "vgg5-w16")
    ]
    for method in ("random", "top", "iqp", "dpp", "submodular", "k-centers"):
        of = () if method == "random" else tuple(first)
        chosen = specs.Select("inks", method, 0.5, 0, of, start)
        run = specs.Train("inks", "vgg3-w8", "digits-gentle", 6, 0, chosen, init=first[0])
        found = results.compute([run, first[0], chosen])
        assert found[0].metrics["test_rmse"] < inks.test_labels.std(), method
        assert len(np.unique(found[2].arrays["indices"])) == 180
        assert "per_class" not in found[2].metrics
    table = ex.frame([run], found[:1])
    assert table["test_error"].item() == found[0].metrics["test_rmse"]
    for method in (
        "entropy",
        "forgetting",
        "el2n",
        "geda",
        "moderate",
        "random-per-class",
        "craig",
    ):
        with pytest.raises(StudyError, match=f"{method} reads classes, inks has numbers"):
            results.compute([specs.Select("inks", method, 0.5, 0, (first[0],), start)])


def test_cells_of_ages_are_by_three_networks_and_draw_faces_anew():
    cells = ex.ages(CONFIG)
    assert set(cells) == {"random", "dpp", "submodular", "iqp", "iqp, median", "variance", "all"}
    for seed in (0, 4):
        for name, cell in cells.items():
            run, chosen = ex.run(CONFIG, cell, seed), ex.chosen(CONFIG, cell, seed)
            assert {run.dataset, chosen.dataset, run.init.dataset} == {f"utkface~draw{seed}"}
            assert (run.subset, run.init.subset) == (chosen, chosen.start)
            assert steps.n_wanted(chosen.start, 3240, 3240) == 500
            assert steps.n_wanted(chosen, 3240, 2740) == (2740 if name == "all" else 1827)
            by = {"iqp": 3, "iqp, median": 3, "variance": 3, "random": 0, "all": 0}.get(name, 1)
            assert tuple(one.model for one in chosen.of) == NETWORKS[:by]
    assert len({run.seed for run in ex.asked(CONFIG, "ages")}) == 30
    assert ex.asked(CONFIG.replace(proxy="vgg3-w8"), "ages") == []
    with pytest.raises(StudyError, match="utkface: it has numbers, the study compares classes"):
        CONFIG.replace(dataset="utkface").check_data(())


def test_seconds_an_image_are_told_of_each_network(monkeypatch):
    monkeypatch.setattr(frozen, "_features", lambda name, images: None)
    metrics, arrays = MEASUREMENTS["frozen-seconds"](0, repeats=2, n=3)
    assert metrics == {"n": 3}
    assert set(arrays) == set(frozen.NETWORKS)
    assert all(seconds.shape == (2,) for seconds in arrays.values())


def test_encodings_of_a_draw_are_those_of_the_whole(tmp_path, monkeypatch):
    from helpers.training import inputs

    class Means:
        frozen, calls = "means", 0

        def stamp(self, device):
            return ""

        def encoded(self, images):
            Means.calls += 1
            yield images.float().mean(dim=(2, 3)).half()

    monkeypatch.setattr(inputs, "DEFAULT_ROOT", tmp_path)
    for draw in (0, 1):
        part = data.load(f"digits@100+20~draw{draw}")
        train, test = inputs.frozen(part, Means(), "cpu")
        for rows, images in ((train, part.train_inputs), (test, part.test_inputs)):
            np.testing.assert_allclose(rows, images.mean(axis=(2, 3)), rtol=1e-3)
    assert Means.calls == 2  # training and test rows of the whole, once


def test_the_real_faces_are_read(real_data):
    try:
        faces = data.load("utkface@40+20")
    except StudyError:
        pytest.skip("STUDY_DATA holds no utkface_age")
    assert faces.train_labels.min() >= 1
    assert faces.train_inputs.shape == (40, 3, 200, 200)
