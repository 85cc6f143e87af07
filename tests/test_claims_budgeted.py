"""Claims of `budgeted` on made-up studies and measurements."""

import numpy as np
import pytest

from helpers import experiments as ex
from helpers.claims import deciding, ledger
from helpers.claims.verdicts import FAILS, HOLDS, NOT_DECIDABLE, NOT_MEASURED, UNDECIDED
from helpers.experiments import Cell
from helpers.experiments.questions import IN_ALL
from helpers.results.store import Store
from helpers.specs import Measure
from tests.planting import plant

STUDY = ex.Config(dataset="digits@300+100", n_seeds=3)
PANEL = {"protocol": "budgeted", "data": STUDY.panels[0]}
CLAIMS = {claim.id: claim for claim in ledger.load_ledger() if claim.document == "budgeted"}
METHODS = ("dpp", "iqp", "submodular", "random")
KS = np.array([600, 900, 1200, 1500, 2000])


PRINTED = (("bandwidth", 1.0),)


@pytest.fixture(autouse=True)
def _no_pack(monkeypatch):
    monkeypatch.setenv("STUDY_PROFILE", "a profile without a pack")


def decided(name, regime="", study=STUDY):
    claim = CLAIMS[f"budgeted-{name}"]
    regime = regime or ("digits" if "digits" in claim.at else claim.at[0])
    row = deciding.decide(claim, study, regime)
    return row.answer, row.parts


def panels(errors, study=STUDY):
    """Plant every cell: errors of a method, seed by seed, the larger budget a point better."""
    plant(study, Cell(model="proxy"), 3.0)
    for method, error in zip(METHODS, errors, strict=True):
        for model in study.panel_models:
            for place, share in enumerate(sorted(study.panel_budgets)):
                for options in ((), PRINTED) if method == "iqp" else ((),):
                    cell = Cell(method, share, model=model, options=options, **PANEL)
                    plant(study, cell, np.asarray(error) - place)


def table_one(lp=70.0, dpp=(40, 115, 240, 420, 900), greedy=7000.0, exact=0.2):
    """Plant times like ours: arrays (repeats, budgets) that differ by a hundredth."""
    noise = np.array([[0.99], [1.0], [1.01]])

    def rows(values):
        return noise * np.broadcast_to(np.asarray(values, float), 5)

    arrays = {"ks": KS, "seconds_lp": lp * noise[:, 0], "seconds_power": 0.04 * noise[:, 0]}
    arrays |= {"seconds_dpp": rows(dpp), "seconds_greedy": rows(greedy * KS / 600)}
    arrays |= {"lp_sizes": np.array([250, 1000]), "lp_slopes": np.array([0.01, -0.01, 0.0])}
    best = {"iqp": 0.005, "map": 0.025, "exact": exact, "lazy": 0.12}
    arrays |= {f"best_{name}": rows(value) for name, value in best.items()}
    metrics = {"n": 3000, "n_best": 1000, "lp_exponent": 2.1, "alone": False}
    Store().write(Measure("table-one"), metrics, arrays)


def test_the_order_of_wins_can_hold_fail_and_stay_undecided():
    panels([[4, 4, 4], [5, 5, 5], [6, 6, 6], [7, 7, 7]])
    assert decided("02")[0].verdict == HOLDS
    assert decided("03")[0].verdict == HOLDS
    answer, _ = decided("04")  # one method wins all: no gap between those that win nothing
    assert (answer.verdict, answer.part) == (UNDECIDED, "as printed, iqp - submodular")
    panels([[4, 6, 5], [5, 4, 6], [6, 5, 4], [7, 7, 7]])  # each wins in one seed
    assert decided("04")[0].verdict == UNDECIDED
    panels([[5, 5, 5], [4, 4, 4], [6, 6, 6], [7, 7, 7]])
    assert decided("04")[0].verdict == FAILS


def test_the_kernel_as_printed_decides_and_the_median_distance_is_told_beside():
    panels([[4, 4, 4], [5, 5, 5], [6, 6, 6], [7, 7, 7]])
    for model in STUDY.panel_models:
        for share in STUDY.panel_budgets:
            plant(STUDY, Cell("iqp", share, model=model, **PANEL), 8.0)
    answer, parts = decided("03")
    assert (answer.verdict, parts["median bandwidth"].verdict) == (HOLDS, FAILS)
    assert "median bandwidth: does not hold" in answer.note


def test_shares_of_cells_need_several_networks():
    panels([[4, 4, 4], [5, 5, 5], [6, 6, 6], [7, 7, 7]])
    answer, _ = decided("03", study=STUDY.replace(panel_models=STUDY.panel_models[:2]))
    assert answer.verdict == NOT_DECIDABLE
    assert "needs 3 networks" in answer.note


def test_budgets_and_rivals_are_pooled_within_a_seed():
    panels([[5, 5, 5], [5, 5.1, 4.9], [9, 9, 9], [7, 7, 7]])
    for model in STUDY.panel_models:
        plant(STUDY, Cell(model=model, data=STUDY.panels[0]), 1.0)
    assert decided("01")[0].verdict == HOLDS
    answer, parts = decided("05")
    assert (answer.verdict, parts["DPP"].verdict) == (HOLDS, HOLDS)  # better refutes nothing
    assert parts["submodular"].value == pytest.approx(4, abs=0.1)


def test_seconds_are_judged_as_written_and_at_our_best():
    table_one()
    answer, parts = decided("07")
    assert (answer.verdict, parts["as written"].value) == (HOLDS, pytest.approx(70.04))
    answer, parts = decided("09")
    assert (answer.verdict, parts["as written"].value) == (HOLDS, pytest.approx(6, rel=0.01))
    assert parts["closed form"].part == "map, k = 50%"
    answer, parts = decided("10")  # the DPP is faster at the smallest budget, as there
    assert (answer.verdict, parts["as written"].verdict) == (FAILS, FAILS)
    assert parts["as written"].part == "dpp, k = 20%"
    assert parts["closed form"].verdict == HOLDS
    answer, parts = decided("11")
    assert (parts["as written"].verdict, parts["closed form"].verdict) == (HOLDS, FAILS)
    assert decided("22")[0].verdict == HOLDS
    table_one(dpp=[40] * 5)
    assert decided("09")[1]["as written"].verdict == FAILS
    assert decided("22")[1]["DPP as written"].verdict == FAILS


def test_growth_with_the_budget():
    table_one()
    options = (("repeats", 6),)
    slopes = np.array([1.9, 2.0, 1.8, 1.9, 2.0, 1.8])
    Store().write(Measure("textbook-draws", options=options), {"n": 400, "alone": True},
                  {"slopes": slopes})  # fmt: skip
    answer, parts = decided("08")
    assert parts["as written"].value == pytest.approx(2.57, abs=0.02)
    assert parts["whole draws"].verdict == HOLDS
    assert (answer.verdict, parts["fastest"].verdict) == (HOLDS, FAILS)  # told beside it


def test_flat_time_is_an_equivalence_over_a_fixed_number_of_pools():
    table_one()
    assert decided("06")[0].verdict == HOLDS  # as written
    measure = Measure("budget-slope", options=(("n_pools", 400),))
    metrics = {"n": 1000, "seconds": 0.01}
    slopes = np.random.default_rng(0).normal(0.06, 0.2, 400)
    Store().write(measure, metrics, {"slopes": slopes})
    assert decided("06")[0].verdict == HOLDS
    Store().write(measure, metrics, {"slopes": slopes + 0.3})
    assert decided("06")[1]["closed form"].verdict == FAILS


def test_no_better_start_is_an_answer():
    measure = Measure("power-start", options=(("sizes", (3000,)), ("n_instances", 60)))
    gains = np.random.default_rng(0).normal(0, 1e-3, 60)
    arrays = {"difference": gains, "steps_lp": np.full(60, 2.0)}
    Store().write(measure, {"share_gained_lp": 0.5, "difference": 9.0}, arrays)
    answer, parts = decided("16")
    assert (answer.verdict, parts["start"].verdict, parts["steps"].verdict) == (HOLDS, HOLDS, HOLDS)
    Store().write(measure, {"share_gained_lp": 0.5}, arrays | {"difference": gains - 0.01})
    answer, parts = decided("16")
    assert (answer.verdict, parts["start"].verdict) == (HOLDS, FAILS)  # the start is told aside


def test_theorems_and_existence_are_counted():
    metrics = {"n_instances": 200, "n_below": 0, "n_not_monotone": 0, "n_not_submodular": 1}
    Store().write(Measure("greedy-share"), metrics | {"smallest_share": 0.9}, {})
    answer, parts = decided("12")
    assert (answer.verdict, parts["share"].verdict) == (FAILS, HOLDS)
    metrics = {"n_instances": 100, "n_equal_value": 100, "n_equal_optima": 100}
    Store().write(Measure("linearisation"), metrics, {})
    assert decided("13")[0].verdict == HOLDS
    metrics = {"n_instances": 500, "n_below": 0, "mean_ratio": 1.0, "smallest_ratio": 1.0}
    Store().write(Measure("rounding-gap"), metrics, {})
    assert decided("14")[0].verdict == UNDECIDED
    assert {CLAIMS[f"budgeted-{n}"].kind for n in (12, 13, 15)} == {"theorem"}


def test_the_kernel_s_share_has_a_spread_and_the_objective_counts():
    table_one()
    arrays = {"shares": np.array([0.7, 0.72, 0.71]), "exponents": np.array([2.0, 2.05, 1.95])}
    arrays["seconds_kernel"] = np.array([0.01, 0.1])
    measure = Measure("kernel-exponent", options=(("repeats", 5),))
    Store().write(measure, {"alone": True}, arrays)
    arrays = {"dimensions": np.array([16, 64]), "time_ratio": np.array([3.0, 2.0])}
    arrays["objective_ratio"] = np.array([[0.7, 0.71, 0.72], [0.98, 0.99, 0.985]])
    Store().write(Measure("random-projection"), {"alone": True}, arrays)
    answer, parts = decided("20")
    assert (answer.verdict, parts["objective"].value) == (HOLDS, pytest.approx(0.985))
    assert parts["share"].value == pytest.approx(0.1 / 70.14, rel=1e-2)  # the LP by a solver
    assert parts["share, closed form"].verdict == HOLDS


def test_table_two_asks_accuracy_of_parts_and_seconds_with_every_layer_in_every_pass():
    study = STUDY.replace(table_two=("mnist", "cifar10"))
    costs = {("mnist", 0.5): -0.9, ("mnist", 0.4): -1.0, ("mnist", 0.25): -0.8,
             ("cifar10", 0.5): 1.6, ("cifar10", 0.25): 4.2}  # fmt: skip
    assert len(set(ex.asked(study, "table two"))) == 3 * 2 * (1 + 3 + 3)
    assert not ex.asked(STUDY, "table two")
    for data in study.table_two:
        plant(study, Cell(model="proxy", data=data), 5.0, seconds=10.0)
    for (data, share), cost in costs.items():
        cell = Cell("iqp", share, data=data, options=PRINTED, **IN_ALL)
        plant(study, cell, 5.0 + cost, seconds=10 * share)
        for seed in study.seeds:
            Store().write(ex.chosen(study, cell, seed), {"cpu_s": 3.0}, {})
            Store().write(ex.start_run(study, cell, seed), {"cpu_s": 1.0}, {})
    assert decided("17", "mnist", study)[0].verdict == NOT_DECIDABLE
    for name in ("17", "18"):
        assert decided(name, study=study)[0].verdict == HOLDS
    assert decided("19", study=study)[0].verdict == NOT_MEASURED  # nor are random parts
    for share in (0.5, 0.25):
        plant(study, Cell("random", share, data="cifar10", **IN_ALL), 6.0)
    assert decided("19", study=study)[0].verdict == NOT_DECIDABLE  # random parts lose too little
    for share in (0.5, 0.25):
        plant(study, Cell("random", share, data="cifar10", **IN_ALL), 11.0)
    frozen = Measure("frozen-seconds")
    Store().write(frozen, {}, {study.proxy: np.array([0.001, 0.001])})
    answer, parts = decided("19", study=study)
    assert answer.verdict == HOLDS
    images = 0.001 * 300 * study.epochs  # everything: 10 s of its own and all passes
    choosing = 0.001 * 300 * (1 + study.epochs * 0.01) + 3 + 1
    half = (10 + images) / (5 + images / 2 + choosing)
    assert parts["half time"].value == pytest.approx(half, rel=1e-3)
    Store().write(frozen, {}, {study.proxy: np.array([1e-9, 1e-9])})
    assert decided("19", study=study)[1]["quarter time"].verdict == FAILS


def test_a_weight_is_held_against_each_other():
    plant(STUDY, Cell(model="proxy", data=STUDY.own_panel), 3.0)
    for weight in STUDY.weights:
        options = (("weight", weight), ("diversity", "kernel"))
        cell = Cell("iqp", 0.2, model="proxy", options=options, **PANEL)
        plant(STUDY, cell, 7.0 if weight == 0.3 else [7.5, 7.0, 7.3])
    assert decided("23")[0].verdict == HOLDS
    plant(STUDY, cell, 4.0)
    answer, _ = decided("23")
    assert (answer.verdict, answer.part) == (FAILS, f"{STUDY.own_panel}, 3.0")


def test_ages_are_compared_seed_by_seed_over_more_seeds_than_the_rest():
    study = ex.Config(proxy="pretrained:efficientnet-lite0/0", n_seeds=3)
    assert decided("21", study=study)[0].verdict == NOT_MEASURED
    assert decided("21", "pretrained", STUDY)[0].verdict == NOT_MEASURED  # no such network
    seeds = ex.seeded(study, "ages")
    faces = np.linspace(11, 13, seeds.n_seeds)  # test sets differ far more than choices
    for more, verdict in ((0.2, HOLDS), (3.0, FAILS)):
        for name, cell in ex.ages(study).items():
            plant(seeds, cell, faces * (1 + more / 100 * (name == "dpp")))
        answer, parts = decided("21", study=study)
        assert answer.verdict == verdict
        assert parts["DPP"].n == seeds.n_seeds > 3
        assert parts["DPP"].value == pytest.approx(more, rel=0.05)
        assert parts["submodular"].value == pytest.approx(0)
