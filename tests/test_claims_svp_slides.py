"""`svp-slides`: verdicts on made-up studies, its own evidence, and its printed tables."""

import numpy as np
import pytest

from helpers import experiments as ex
from helpers.claims import deciding, ledger, papers, printed
from helpers.claims.evidence import slides
from helpers.claims.quantities import Unfit
from helpers.experiments import STEPPED, Cell, Config
from helpers.results.store import Store
from helpers.specs import Measure, Train

CONFIG = Config(
    dataset="digits@300+100", models=("resnet8-w8", "resnet14-w8", "resnet20-w8"),
    proxy="resnet8-w8", target="resnet14-w8", recipe="digits", epochs=6, n_seeds=4,
    budgets=(0.3, 0.5), stops=(2,), slide_shares=(0.4, 0.6),
)  # fmt: skip
CLAIMS = {claim.id: claim for claim in ledger.load_ledger() if claim.document == "svp-slides"}
LABELS = np.tile(np.arange(10), 30)


@pytest.fixture(autouse=True)
def _no_pack(monkeypatch):
    monkeypatch.setenv("STUDY_PROFILE", "a profile without a pack")


def plant(spec, error=1.0, seconds=10.0, **arrays):
    """Store a made-up run, which learns early, or a choice."""
    metrics = {"seconds": seconds, "alone": True, "n": 300, "n_train": 300}
    if isinstance(spec, Train):
        n = spec.epochs
        learnt = [1 - error / 100] * n
        metrics |= {"test_acc": learnt[-1], "history": {
            "test_acc": [0.1, *learnt[1:]], "seconds": np.linspace(0, seconds, n + 1)[1:].tolist(),
        }}  # fmt: skip
        arrays = {"labels": LABELS} | arrays
    Store().write(spec, metrics, arrays)


def plant_cell(cell, error, seconds=10.0):
    """Store a cell's runs: errors near `error`, seed by seed; what chose took a second each."""
    for seed in CONFIG.seeds:
        run = ex.run(CONFIG, cell, seed)
        plant(run, error + 0.01 * seed, seconds)
        if run.subset:
            plant(run.subset, seconds=0.01)


def plant_study(random=4.0, proxy=2.0, target=3.0, brief=2.1, three=1.9, two=2.0, strict=2.4):
    """Store the document's table at 40 and 60 %, on a target that errs by 1.5 % on everything."""
    for model, error, seconds in (("proxy", 1.9, 1.0), ("target", 1.5, 20.0)):
        plant_cell(Cell(model=model), error, seconds)
    stopped = {1: brief, 2: two, 3: three}
    for share in CONFIG.slide_shares:
        cells = {Cell("random", share): random, Cell("entropy", share): proxy,
                 Cell("entropy", share, by="target"): target,
                 Cell("entropy", share, options=(("correct_only", True),)): strict}  # fmt: skip
        cells |= {Cell("entropy", share, after=2, together=n): e for n, e in stopped.items()}
        for cell, error in cells.items():
            plant_cell(cell, error, 20 * share)


def verdicts(*numbers):
    return [deciding.decide(CLAIMS[f"svp-slides-{n}"], CONFIG, "digits").answer for n in numbers]


TABLE = ("05", "06", "07", "08", "11", "12", "13", "17")


def test_the_documents_own_signs_hold():
    plant_study(brief=1.9, two=1.8, three=1.7)
    assert {
        n: one.verdict for n, one in zip(TABLE, verdicts(*TABLE), strict=True)
    } == dict.fromkeys(TABLE, "holds")


@pytest.mark.parametrize(
    ("changes", "number"),
    [
        ({"random": 2.2, "proxy": 2.6}, "05"),
        ({"brief": 3.0}, "06"),
        ({"target": 1.8}, "07"),
        ({"three": 2.4}, "08"),
        ({"brief": 2.6}, "11"),
        ({"strict": 3.8}, "12"),
        ({"two": 2.4}, "13"),
        ({"strict": 3.4}, "17"),
    ],
)
def test_signs_the_other_way_do_not_hold(changes, number):
    plant_study(**changes)
    assert verdicts(number)[0].verdict == "does not hold"


def test_what_cannot_be_judged_says_why():
    assert verdicts("05")[0].verdict == "not measured yet"
    plant_study(random=1.6, brief=1.9)
    (lost,) = verdicts("05")
    assert (lost.verdict, lost.note.partition(":")[2][:15]) == ("not decidable", " no room to win")
    plant_cell(Cell(model="target"), 1.5, seconds=1.5)
    (slow,) = verdicts("11")
    assert slow.verdict == "not decidable"
    assert "1.4x are asked" in slow.note


def test_depth_pays_less_and_less():
    for model, error, seconds in zip(CONFIG.models, (5.0, 1.9, 1.5), (60, 120, 180), strict=True):
        plant_cell(Cell(model=model), error, seconds)
    found = slides.depth(CONFIG)
    np.testing.assert_allclose(
        found.values, [[2.7] * CONFIG.n_seeds]
    )  # 3.1 points a minute, then 0.4
    assert deciding.decide(CLAIMS["svp-slides-02"], CONFIG, "cifar10").answer.verdict == "holds"
    plant_cell(Cell(model=CONFIG.models[2]), 1.0, 120)
    with pytest.raises(Unfit, match="no longer"):
        slides.depth(CONFIG)


def test_halves_are_of_a_rate_that_falls_in_steps():
    for seed in CONFIG.seeds:
        plant(ex.run(CONFIG, STEPPED, seed))
    found = slides.halves(CONFIG)
    np.testing.assert_allclose(found.values, 0.0, atol=1e-9)
    stepped = CONFIG.replace(recipe="svp")
    for seed in CONFIG.seeds:
        plant(ex.run(stepped, Cell(model="proxy"), seed))
    with pytest.raises(Unfit, match="fewer than 20 epochs"):
        slides.halves(stepped)


def test_two_noisy_proxies_agree_better_than_the_better_one():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=300)
    for model, noise in (("proxy", 1.0), ("target", 0.2)):
        for seed in CONFIG.seeds:
            entropy = np.exp(truth + noise * rng.normal(size=300))[None]
            record = {"entropy": entropy, "recorded_epochs": np.array([6])}
            plant(ex.run(CONFIG, Cell(model=model), seed), **record)
    found = slides.combined(CONFIG)
    assert found.values.shape == (1, CONFIG.n_seeds)
    assert (found.values > 0).all()


def test_cheapness_is_that_of_the_pair_with_the_largest():
    seconds = np.array([[0.01, 0.01, 0.01], [0.1, 0.1, 0.1]])
    Store().write(Measure("step-seconds"), {"alone": True},
                  {"seconds_proxy": seconds, "seconds_target": np.ones((2, 3))})  # fmt: skip
    np.testing.assert_allclose(slides.cheapness(CONFIG).values, [[300.0] * 3])
    assert verdicts("01")[0].verdict == "holds"


def test_printed_tables_are_read_whole():
    for table, data, count in (
        ("svp-slides-reported", "CIFAR10", 15),
        ("svp-slides-replicated", "CIFAR10", 13),
        ("svp-slides-replicated", "SVHN", 10),
        ("svp-slides-runs", "CIFAR10", 2),
    ):
        found = [one for one in printed.printed(table, data) if not np.isnan(one.value)]
        assert len(found) == count, table
        assert len({one.cell for one in found}) == count


def test_printed_and_measured_stand_beside_each_other():
    plant_study()
    rows = papers.beside(CONFIG, "svp-slides-reported", "CIFAR10").dropna(subset="ours")
    random = rows[(rows["name"] == "Random") & rows["group"].str.contains("40 %")].iloc[0]
    assert random["paper"] == pytest.approx(8.93 - 5.52)
    assert random["ours"] == pytest.approx(4.0 - 1.5)
    assert set(rows["method"]) == {"random", "entropy"}
    for table in printed.TABLES:  # every table gives rows on its own data
        data = {one.data for one in printed.printed(table) if one.cell.method != "full"}
        assert all(one.document in ledger.DOCUMENTS for one in printed.printed(table))
        assert all(len(papers.beside(CONFIG, table, name)) for name in data)


def test_references_name_printed_cells_and_nothing_is_typed():
    assert len(CLAIMS) == 17
    for claim in CLAIMS.values():
        assert not any(mark in papers.filled(claim.paper) for mark in "{}")
        assert claim.changed
        assert claim.printed or claim.replication
