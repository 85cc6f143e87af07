"""Age regression: the choices, their bills, and what is told where data or weights lack."""

import numpy as np
import pytest

from helpers import StudyError
from helpers.measurements import MEASUREMENTS, ages


@pytest.fixture
def made_up(monkeypatch):
    """Ages that follow features, so that labels help; the networks differ by noise."""
    rng = np.random.default_rng(0)
    faces = {"train": rng.normal(size=(400, 6)), "test": rng.normal(size=(150, 6))}
    slopes = np.arange(6)
    noise = {name: rng.normal(size=(6, 20)) for name in ages.NETWORKS}
    monkeypatch.setattr(
        ages,
        "_faces",
        lambda split: (faces[split], 40 + faces[split] @ slopes),
    )
    monkeypatch.setattr(
        ages,
        "_features",
        lambda name, x: np.tanh(x.reshape(len(x), -1)[:, :6] @ noise[name] / 4).astype(np.float32),
    )


def test_labels_help_and_each_method_is_paid_for(made_up):
    metrics, arrays = MEASUREMENTS["age-regression"](0, repeats=2, n_start=40)
    assert metrics == {"n_start": 40, "n_pool": 360, "n_test": 150, "k": 240}
    for name in ("random", "dpp", "submodular", "iqp", "variance"):
        assert arrays[f"rmse_{name}"].shape == (2,)
        assert (arrays[f"rmse_{name}"] < arrays["rmse_start"]).all()
        assert (arrays[f"seconds_{name}"] >= 0).all()
    assert (arrays["relative_random"] == 0).all()
    more = 100 * (arrays["rmse_iqp"] / arrays["rmse_random"] - 1)
    np.testing.assert_allclose(arrays["relative_iqp"], more)
    again = MEASUREMENTS["age-regression"](0, repeats=2, n_start=40)[1]
    np.testing.assert_array_equal(arrays["rmse_dpp"], again["rmse_dpp"])


def test_seconds_an_image_are_told_of_each_network(made_up):
    metrics, arrays = MEASUREMENTS["frozen-seconds"](0, repeats=2, n=3)
    assert metrics == {"n": 3}
    assert set(arrays) == set(ages.NETWORKS)
    assert all(seconds.shape == (2,) for seconds in arrays.values())


def test_faces_are_read_or_named(tmp_path, monkeypatch):
    monkeypatch.setenv("STUDY_DATA", str(tmp_path))
    with pytest.raises(StudyError, match="utkface_age/train.parquet"):
        ages._faces("train")
