"""Evidence on the Amazon claims: planted runs of known signs, and no answer on other data."""

import numpy as np
import pytest

from helpers import experiments as ex
from helpers.claims import evidence_text, ledger
from helpers.claims.evidence import EVIDENCE
from helpers.experiments.table import rounds
from helpers.results.store import Store
from helpers.specs import Train

SCALE = ex.Config(
    dataset="amazon-reviews@300+100", models=("fasttext-b8", "vdcnn9-w8", "vdcnn17-w8"),
    proxy="fasttext-b8", target="vdcnn17-w8", more_proxies=("vdcnn9-w8",), epochs=2,
    recipe="text-small", budgets=(0.4, 0.8), label_budgets=(0.1, 0.4), n_proxy_budgets=1,
)  # fmt: skip
RATINGS = SCALE.replace(dataset="amazon-ratings@300+100")
NAMES = ("svp_11", "svp_12", "svp_13", "svp_25", "svp_26", "svp_slides_10")
ACCURACY = {"": 0.60, "fasttext-b8": 0.62, "vdcnn9-w8": 0.65, "vdcnn17-w8": 0.65}
SECONDS = {"fasttext-b8": 1.0, "vdcnn9-w8": 5.0, "vdcnn17-w8": 20.0}


@pytest.fixture(autouse=True)
def _no_pack(monkeypatch):
    monkeypatch.setenv("STUDY_PROFILE", "a profile without a pack")


def plant(spec, accuracy=0.5, seconds=1.0):
    """Store a made-up training run or selection."""
    metrics = {"seconds": seconds, "alone": True}
    if isinstance(spec, Train):
        metrics |= {"test_acc": accuracy, "device": "cpu", "threads": 1}
    Store().write(spec, metrics, {})


def plant_all(scale):
    """Store active learning and core-sets in which better selectors give better targets."""
    for seed in scale.seeds:
        noise = seed / 1000
        plant(ex.depth_run(scale, scale.target, seed), 0.70 + noise)
        for budget in scale.budgets:
            for by, accuracy in ACCURACY.items():
                chosen = ex.choice(scale, "entropy" if by else "random", budget, seed, by)
                plant(ex.subset_run(scale, scale.target, chosen), accuracy + noise)
        for budget in scale.label_budgets:
            for by, accuracy in ACCURACY.items():
                method = "least-confidence" if by else "random"
                plant_labels(scale, method, budget, seed, by)
                plant(ex.active_run(scale, method, budget, seed, by), accuracy + noise)


def plant_labels(scale, method, budget, seed, by):
    """Store the rounds up to a budget with what they took."""
    for step in rounds(ex.active_choice(scale, method, budget, seed, by)):
        plant(step, seconds=0.0)
        for run in step.of:
            plant(run, ACCURACY[by] + seed / 1000, seconds=SECONDS[by])


def test_polarity():
    plant_all(SCALE)
    found = {name: EVIDENCE[name](SCALE) for name in NAMES}
    assert all("amazon-ratings" in found[name]["not_decidable"] for name in ("svp_13", "svp_26"))
    errors = np.array([[40.0, 38.0]]) - np.arange(3)[:, None] / 10
    np.testing.assert_allclose(
        found["svp_11"]["reduction"]["values"], 1 - errors[:, 1] / errors[:, 0]
    )
    np.testing.assert_allclose(found["svp_11"]["speed"]["values"], 20.0)
    np.testing.assert_allclose(found["svp_12"]["error"]["differences"], 0.0, atol=1e-9)
    assert found["svp_12"]["error"]["labels"] == ["0.1", "0.4"]
    np.testing.assert_allclose(found["svp_12"]["speed"]["values"], 4.0)
    np.testing.assert_allclose(found["svp_25"]["differences"], 8.0)
    np.testing.assert_allclose(found["svp_slides_10"]["differences"], 2.0)
    assert np.shape(found["svp_slides_10"]["differences"]) == (2, 3)


def test_ratings():
    plant_all(RATINGS)
    found = {name: EVIDENCE[name](RATINGS) for name in NAMES}
    assert {name for name, one in found.items() if "not_decidable" not in one} == {
        "svp_13",
        "svp_26",
    }
    gains = np.repeat([2.0, 5.0, 5.0], 2)[:, None]
    np.testing.assert_allclose(found["svp_13"]["differences"], gains.repeat(3, axis=1))
    # the network between is compared at the smallest share only
    np.testing.assert_allclose(np.mean(found["svp_26"]["differences"], axis=1), [2, 2, 5, 5, 5])
    assert found["svp_26"]["labels"][2] == "vdcnn9-w8 0.4"


def test_the_ledger_shows_our_number_but_decides_nothing():
    plant_all(SCALE)
    claims = [one for one in ledger.load_ledger() if one.evidence in NAMES]
    rows = ledger.decide_all(claims, SCALE, "none", EVIDENCE)
    answers = {row.claim.id.replace("-", "_"): row.answer for row in rows}
    for name in ("svp_12", "svp_25", "svp_slides_10"):
        assert answers[name].verdict == "not decidable at this scale", name
        assert np.isfinite(answers[name].value)
        assert "needs other data, or more; at this scale:" in answers[name].note
    assert answers["svp_25"].value == pytest.approx(8.0)


@pytest.mark.parametrize(
    ("rows", "n_classes", "answered"),
    [
        (3_600_000, 2, {"svp_11", "svp_12", "svp_25", "svp_slides_10"}),
        (3_000_000, 5, {"svp_13", "svp_26"}),
        (3_599_999, 2, set()),
        (3_600_000, 5, set()),
    ],
)
def test_texts_at_a_path_count_as_the_data_that_they_are_as_large_as(rows, n_classes, answered):
    scale = SCALE.replace(dataset="text:/somewhere")
    assert evidence_text.svp_25(scale) is None  # nothing is stored: nobody knows the size
    plant_all(scale)
    spec = ex.depth_run(scale, scale.proxy, scale.seeds[0])
    metrics = {"seconds": 1.0, "alone": True, "test_acc": 0.5, "n_train": rows, "device": "cpu"}
    metrics |= {"threads": 1, "history": {"seconds": [1.0]}}
    Store().write(spec, metrics, {"labels": np.arange(10) % n_classes})
    assert {name for name in NAMES if "not_decidable" not in EVIDENCE[name](scale)} == answered


def test_other_data_and_a_study_without_a_network_between_give_no_answer():
    digits = SCALE.replace(dataset="digits@300+100")
    plant_all(digits)
    for name in NAMES:
        assert "data absent" in EVIDENCE[name](digits)["not_decidable"]
    plant_all(SCALE)
    alone = SCALE.replace(more_proxies=())
    assert evidence_text.svp_12(alone) is None
    assert evidence_text.svp_11(alone) is not None
