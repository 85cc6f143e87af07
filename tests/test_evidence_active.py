"""Evidence on proxies that label, stop early or work in groups: planted runs of known signs."""

import itertools

import numpy as np
import pytest

from helpers import experiments as ex
from helpers.claims import ledger
from helpers.claims.evidence import EVIDENCE
from helpers.results.store import Store
from helpers.specs import Train, rounds

SCALE = ex.Config(
    dataset="digits@300+100", epochs=8, n_seeds=3, budgets=(0.1, 0.3, 0.5), n_proxy_budgets=3,
    label_budgets=(0.1, 0.3, 0.5), stops=(2, 4), more_proxies=("resnet20-w8",),
)  # fmt: skip
DEPTHS = {"": 0, SCALE.proxy: 0, "resnet20-w8": 1, SCALE.target: 2}


@pytest.fixture(autouse=True)
def _no_pack(monkeypatch):
    monkeypatch.setenv("STUDY_PROFILE", "a profile without a pack")


def plant(spec, accuracy=0.5, seconds=1.0, alone=True, n_classes=10):
    """Store a made-up training run or selection."""
    metrics, arrays = {"seconds": seconds, "alone": alone}, {}
    if isinstance(spec, Train):
        clock = np.linspace(0, seconds, spec.epochs + 1)[1:].tolist()
        metrics |= {"test_acc": accuracy, "device": "cpu", "threads": 1}
        metrics |= {"history": {"seconds": clock}}
        arrays["labels"] = np.arange(300) % n_classes
    Store().write(spec, metrics, arrays)


def plant_active(accuracies, round_seconds, alone=True):
    """Store active learning: (method, by) -> accuracy a budget; by -> seconds of a round."""
    for (method, by), seed in itertools.product(accuracies, SCALE.seeds):
        for budget, accuracy in zip(SCALE.label_budgets, accuracies[method, by], strict=True):
            run = ex.active_run(SCALE, method, budget, seed, by)
            plant(run, accuracy + seed / 1000, round_seconds.get(by, 1.0), alone=alone)
            if method == "random":
                continue
            for step in rounds(ex.active_choice(SCALE, method, budget, seed, by)):
                plant(step, seconds=0.0, alone=alone)
                for run in step.of:
                    if by != SCALE.target:
                        plant(run, seconds=round_seconds[by], alone=alone)
    if ("k-centers", SCALE.target) in accuracies:  # what the target learns from the first rows
        for seed in SCALE.seeds:
            first = ex.round_run(SCALE, SCALE.target, ex.initial_choice(SCALE, seed))
            plant(first, seconds=round_seconds[SCALE.target])


def verdict(claim_id, evidence):
    """Say what the ledger's rule answers."""
    claim = next(c for c in ledger.load_ledger() if c.id == claim_id)
    return ledger.decide(claim, evidence, "paper").answer.verdict


SELECTORS = (SCALE.proxy, "resnet20-w8", SCALE.target)
ACCURACIES = {("random", ""): (0.60, 0.70, 0.80)} | {
    (method, by): tuple(base + step * 0.1 - lost * (2 - DEPTHS[by]) for step in range(3))
    for method, base, lost in (("least-confidence", 0.66, 0.001), ("k-centers", 0.63, 0.02))
    for by in SELECTORS
}
SECONDS = {SCALE.proxy: 1.0, "resnet20-w8": 2.0, SCALE.target: 8.0}


def test_signs_of_active_learning():
    plant_active(ACCURACIES, SECONDS)
    found = {i: EVIDENCE[f"svp_{i:02}"](SCALE) for i in (3, 5, 6, 7, 8, 9)}
    np.testing.assert_allclose(found[3]["differences"], 0.2)
    assert found[3]["labels"] == ["0.1", "0.3", "0.5"]
    np.testing.assert_allclose(found[5]["values"], 8.0)
    np.testing.assert_allclose(found[8]["differences"], 6.0)
    np.testing.assert_allclose(found[9]["differences"], 3.0)
    np.testing.assert_allclose(found[7]["worse"]["differences"], np.full((2, 3), 4.0))
    np.testing.assert_allclose(found[7]["depth"]["values"], [[4.0, 2.0]] * 3)
    assert np.isnan(found[6]["values"]).all()  # every k-centers proxy loses points
    assert "0 of 6 cells" in found[6]["note"]
    assert {i: verdict(f"svp-{i:02}", one) for i, one in found.items()} == {
        3: "holds", 5: "undecided", 6: "undecided", 7: "holds", 8: "holds", 9: "holds",
    }  # fmt: skip


def test_speed_ups_of_labelling():
    plant_active(ACCURACIES, SECONDS)
    for model, spent in ((SCALE.proxy, 1.0), (SCALE.target, 8.0)):
        for seed in SCALE.seeds:
            plant(ex.depth_run(SCALE, model, seed), seconds=spent)
    whole = EVIDENCE["svp_04"](SCALE)
    np.testing.assert_allclose(whole["values"], 1.0)
    assert verdict("svp-04", whole) == "holds"


def test_k_centers_without_loss_takes_the_fastest_safe_cell():
    plant_active(ACCURACIES | {("k-centers", by): (0.7, 0.8, 0.9) for by in SELECTORS}, SECONDS)
    found = EVIDENCE["svp_06"](SCALE)
    np.testing.assert_allclose(found["values"], 8.0)
    assert verdict("svp-06", found) == "holds"


def test_labelling_on_a_busy_machine_has_no_speed_up():
    plant_active(ACCURACIES, SECONDS, alone=False)
    for seed in SCALE.seeds:
        plant(ex.depth_run(SCALE, SCALE.proxy, seed))
        plant(ex.depth_run(SCALE, SCALE.target, seed))
    for name in ("svp_04", "svp_05", "svp_06"):
        assert "busy" in EVIDENCE[name](SCALE)["not_decidable"], name
    np.testing.assert_allclose(EVIDENCE["svp_08"](SCALE)["differences"], 6.0)


def test_a_missing_round_is_not_measured():
    cells = {key: values for key, values in ACCURACIES.items() if key[1] != SCALE.target}
    plant_active(cells, SECONDS)
    for i in (3, 5, 6, 7, 8, 9):
        assert EVIDENCE[f"svp_{i:02}"](SCALE) is None


def plant_core_sets(whole, brief, several, seconds=1.0):
    """Store core-sets: accuracies with one proxy, stop -> accuracy, size -> accuracy."""
    for seed, budget in itertools.product(SCALE.seeds, SCALE.budgets):
        for method in ("forgetting", "entropy"):
            single = ex.choice(SCALE, method, budget, seed)
            plant(ex.subset_run(SCALE, SCALE.target, single), whole, 8 * budget)
            plant(single, seconds=0.0)
            for stop, accuracy in brief.items():
                chosen = ex.brief_choice(SCALE, method, budget, seed, after=stop)
                plant(ex.subset_run(SCALE, SCALE.target, chosen), accuracy, 8 * budget)
                plant(chosen, seconds=0.0)
        for size, accuracy in several.items():
            chosen = ex.ensemble_choice(SCALE, "entropy", budget, seed, size)
            plant(ex.subset_run(SCALE, SCALE.target, chosen), accuracy)
    for model, spent in ((SCALE.proxy, 2.0), (SCALE.target, 8.0)):
        for seed in SCALE.seeds:
            plant(ex.depth_run(SCALE, model, seed), 0.95, spent)


def test_signs_of_brief_proxies():
    plant_core_sets(0.90, {2: 0.92, 4: 0.91}, {})
    np.testing.assert_allclose(
        EVIDENCE["svp_20"](SCALE)["differences"], [[2.0] * 3, [1.0] * 3], atol=1e-9
    )
    assert EVIDENCE["svp_20"](SCALE)["labels"] == ["after 2 of 8", "after 4 of 8"]
    half = EVIDENCE["svp_18"](SCALE)
    np.testing.assert_allclose(half["error"]["differences"], 3.0)
    np.testing.assert_allclose(half["time"]["values"], 8 / (0.5 + 4))
    assert "stopped after 2 of 8" in half["error"]["note"]
    np.testing.assert_allclose(EVIDENCE["svp_slides_06"](SCALE)["differences"], -2.0)
    assert EVIDENCE["svp_21"](SCALE) is None  # no budget near 70 %


def test_large_shares_by_brief_proxies_need_a_hundred_classes():
    scale = SCALE.replace(budgets=(0.7,))
    for seed in SCALE.seeds:
        plant(ex.depth_run(scale, scale.proxy, seed))
        single = ex.choice(scale, "forgetting", 0.7, seed)
        plant(ex.subset_run(scale, scale.target, single), 0.9)
        for stop in scale.stops:
            chosen = ex.brief_choice(scale, "forgetting", 0.7, seed, after=stop)
            plant(ex.subset_run(scale, scale.target, chosen), 0.88)
    assert "has 10" in EVIDENCE["svp_21"](scale)["not_decidable"]
    for seed in SCALE.seeds:
        plant(ex.depth_run(scale, scale.proxy, seed), n_classes=100)
    found = EVIDENCE["svp_21"](scale)
    np.testing.assert_allclose(found["differences"], np.full((2, 3), 2.0))
    assert verdict("svp-21", found) == "holds"


def test_ratio_of_selection_times_counts_the_epochs():
    plant_core_sets(0.90, {2: 0.92, 4: 0.91}, {})
    for seed in SCALE.seeds:
        by_target = ex.choice(SCALE, "forgetting", 0.5, seed, SCALE.target)
        plant(by_target, seconds=0.0)
    found = EVIDENCE["svp_19"](SCALE)
    assert found["labels"] == ["proxy trained in full", "stopped after 2", "stopped after 4"]
    # the choice takes no time of its own here, so each ratio is that of the trainings
    np.testing.assert_allclose(found["values"], np.ones((3, 3)))
    assert verdict("svp-19", found) == "holds"
    np.testing.assert_allclose(EVIDENCE["svp_slides_01"](SCALE)["values"], 16.0)


def test_ratio_of_selection_times_without_a_brief_proxy_stays_undecided():
    plant_core_sets(0.90, {}, {})
    for seed in SCALE.seeds:
        plant(ex.choice(SCALE, "forgetting", 0.5, seed, SCALE.target))
    assert verdict("svp-19", EVIDENCE["svp_19"](SCALE)) == "undecided"


def test_signs_of_groups():
    plant_core_sets(0.90, {}, {2: 0.91, 3: 0.94})
    together = EVIDENCE["svp_slides_08"](SCALE)
    np.testing.assert_allclose(together["ensemble"]["differences"], np.full((3, 3), 4.0))
    np.testing.assert_allclose(together["full"]["differences"], 1.0)
    assert "50% kept" in together["full"]["note"]
    assert "share one group" in together["ensemble"]["note"]
    np.testing.assert_allclose(EVIDENCE["svp_slides_13"](SCALE)["differences"], 1.0)


def test_no_budget_near_the_documents_share_is_not_measured():
    few = ex.Config(dataset="digits@300+100", epochs=8, budgets=(0.1,), stops=(2,))
    assert EVIDENCE["svp_18"](few) is None
    assert EVIDENCE["svp_20"](few) is None


def test_signs_of_selectors_and_filters():
    for seed, budget in itertools.product(SCALE.seeds, SCALE.budgets):
        strict = ex.metric_choice(SCALE, "entropy", min(SCALE.budgets), seed, correct_only=True)
        cells = [
            (ex.choice(SCALE, "entropy", budget, seed, SCALE.target), 0.85),
            (ex.choice(SCALE, "entropy", budget, seed), 0.88),
            (ex.choice(SCALE, "least-confidence", budget, seed), 0.95 - budget / 2),
            (ex.choice(SCALE, "random", budget, seed), 0.80), (strict, 0.90),
        ]  # fmt: skip
        for chosen, accuracy in cells:
            plant(ex.subset_run(SCALE, SCALE.target, chosen), accuracy)
        plant(ex.depth_run(SCALE, SCALE.target, seed), 0.4)
    np.testing.assert_allclose(EVIDENCE["svp_24"](SCALE)["differences"], 3.0)
    np.testing.assert_allclose(EVIDENCE["svp_slides_07"](SCALE)["differences"], 3.0)
    np.testing.assert_allclose(EVIDENCE["svp_slides_12"](SCALE)["differences"], [[10.0] * 3])
    inverted = EVIDENCE["svp_slides_15"](SCALE)
    assert inverted["x"] == [0.1, 0.3, 0.5, 1.0]
    np.testing.assert_allclose(inverted["values"], [[10, 20, 30, 60]] * 3)
    assert verdict("svp-slides-15", inverted) == "holds"


def test_a_batch_of_its_own_is_judged_by_time_and_error():
    scale = SCALE.replace(own_batch=128)
    for seed in scale.seeds:
        shared = ex.choice(scale, "least-confidence", 0.1, seed)
        own = ex.own_batch_choice(scale, 0.1, seed)
        for chosen, accuracy, spent in ((shared, 0.80, 6.0), (own, 0.79, 3.0)):
            plant(chosen.of[0], seconds=spent)
            plant(chosen, seconds=1.0)
            plant(ex.subset_run(scale, scale.target, chosen), accuracy)
    found = EVIDENCE["svp_10"](scale)
    np.testing.assert_allclose(found["gain"]["values"], 7 / 4)
    np.testing.assert_allclose(found["error"]["differences"], 1.0)
    assert found["note"] == "batch 128, 10% kept"
    assert verdict("svp-10", found) == "does not hold"  # a point is lost
    assert EVIDENCE["svp_10"](SCALE) is None


@pytest.mark.parametrize(
    ("dataset", "name", "share", "wrong"),
    [("digits@300+100", "cifar", 0.6, 0.5), ("svhn@300+99", "svhn", 0.5, 0.6)],
)
def test_the_whole_bill_at_the_slides_share(dataset, name, share, wrong):
    scale = SCALE.replace(dataset=dataset, paid_share=share)
    other = scale.replace(paid_share=wrong)
    for seed in scale.seeds:
        single, together = ex.paid_choice(scale, seed), ex.paid_choice(scale, seed, 3)
        plant(ex.paid_choice(other, seed))
        plant(ex.subset_run(scale, scale.target, ex.paid_choice(other, seed)))
        plant(ex.depth_run(scale, scale.target, seed), 0.95, 10.0)
        plant(ex.depth_run(scale, scale.proxy, seed), 0.9, 1.0)
        plant(single, seconds=0.5)
        plant(ex.subset_run(scale, scale.target, single), 0.96, 3.5)
        plant(ex.subset_run(scale, scale.target, together), 0.97)
    found = EVIDENCE["svp_slides_11"](scale)
    np.testing.assert_allclose(found[f"{name} time"]["values"], 2.0)
    np.testing.assert_allclose(found[f"{name} error"]["differences"], -1.0)
    assert ("SVHN itself: not decidable, data absent" in found["note"]) == (name == "cifar")
    np.testing.assert_allclose(EVIDENCE["svp_slides_08"](scale)["full"]["differences"], -2.0)
    answer = verdict("svp-slides-11", found)
    assert answer == ("holds" if name == "cifar" else "undecided")
    assert found["note"].startswith(f"{share:.0%} of")
    assert EVIDENCE["svp_slides_11"](other) is None  # the document's share, or none


def test_claims_about_svhn_say_that_the_data_are_absent():
    plant_core_sets(0.90, {2: 0.92, 4: 0.91}, {})
    claims = {c.id: c for c in ledger.load_ledger()}
    for scale in ("digits", "paper"):
        row = ledger.decide(claims["svp-slides-09"], EVIDENCE["svp_slides_09"](SCALE), scale)
        assert row.answer.verdict == "not decidable at this scale"
        assert "data absent: the claim is about SVHN" in ledger.format_line(row)
    again = ledger.decide(claims["svp-slides-14"], EVIDENCE["svp_slides_14"](SCALE), "paper")
    assert "data absent" in again.answer.note
    cells = [*SCALE.budgets, 1.0]
    for seed, budget in itertools.product(SCALE.seeds, SCALE.budgets):
        plant(
            ex.subset_run(SCALE, SCALE.target, ex.choice(SCALE, "least-confidence", budget, seed))
        )
    inverted = EVIDENCE["svp_slides_15"](SCALE)
    assert inverted["x"] == cells
    assert inverted["note"].endswith("SVHN itself: not decidable, data absent")


def test_svhn_is_decided_where_the_data_are_there():
    scale = SCALE.replace(dataset="svhn@300+99", budgets=(0.4, 0.6, 0.8), recipe="svp-upright")
    for seed in scale.seeds:
        plant(ex.depth_run(scale, scale.target, seed), 0.90)
        plant(ex.replicated_run(scale, seed), 0.87)
        for budget in (*scale.budgets, 0.5):
            chance = ex.choice(scale, "random", budget, seed)
            brief = ex.brief_choice(scale, "entropy", budget, seed, after=2)
            plant(ex.subset_run(scale, scale.target, chance), 0.80)
            plant(ex.subset_run(scale, scale.target, brief), 0.92)
    found = EVIDENCE["svp_slides_09"](scale)
    np.testing.assert_allclose(found["full"]["differences"], -2.0)
    np.testing.assert_allclose(found["random"]["differences"], np.full((2, 3), 12.0))
    assert verdict("svp-slides-09", found) == "holds"
    halved = scale.replace(budgets=(0.4, 0.5, 0.8))
    assert EVIDENCE["svp_slides_09"](halved) is None  # no share stands for 60 %
    again = EVIDENCE["svp_slides_14"](scale)
    np.testing.assert_allclose(again["differences"], 3.0)
    assert verdict("svp-slides-14", again) == "holds"
    assert "note" not in again


def test_only_imagenet_answers_for_imagenet():
    scale = SCALE.replace(budgets=(0.4, 0.8))
    for seed in SCALE.seeds:
        plant(ex.depth_run(scale, scale.target, seed), 0.70)
        plant(ex.depth_run(scale, scale.proxy, seed))
        for budget, method in itertools.product(scale.budgets, ("random", "forgetting")):
            chosen = ex.choice(scale, method, budget, seed)
            plant(ex.subset_run(scale, scale.target, chosen), 0.6 + 0.02 * (method != "random"))
    metrics = {"seconds": 1.0, "alone": True, "test_acc": 0.5, "n_train": 1_281_167}
    first = ex.depth_run(scale, scale.proxy, scale.seeds[0])
    Store().write(first, metrics, {"labels": np.arange(10)})
    assert "about ImageNet" in EVIDENCE["svp_23"](scale)["not_decidable"]
    Store().write(first, metrics, {"labels": np.arange(1000)})
    found = EVIDENCE["svp_23"](scale)
    np.testing.assert_allclose(found["random"]["differences"], np.full((2, 3), 2.0))
    np.testing.assert_allclose(found["loss"]["differences"], 8.0)
    assert verdict("svp-23", found) == "holds"
