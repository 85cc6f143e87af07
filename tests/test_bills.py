"""What a result cost, in seconds and in work, and which runs there are."""

import numpy as np
import pandas as pd
import pytest

from helpers import experiments as ex, results
from helpers.experiments import Cell, bills, cells, partial
from helpers.experiments.table import COLUMNS
from helpers.results.store import Store
from helpers.specs import Train, rounds

SCALE = ex.Config(dataset="digits@300+100", epochs=4, n_seeds=2, budgets=(0.1, 0.5), stops=(2,),
                 label_budgets=(0.1, 0.3))  # fmt: skip
N = 300
THIRD = 1 / 3


@pytest.fixture(autouse=True)
def _no_pack(monkeypatch):
    monkeypatch.setenv("STUDY_PROFILE", "a profile without a pack")


def plant(spec, rows=N, seconds=4.0, alone=True):
    """Store a made-up run, whose epochs pass its rows once, or a selection from all rows."""
    metrics = {"seconds": seconds, "alone": alone}
    if isinstance(spec, Train):
        seen = [rows * (epoch + 1) for epoch in range(spec.epochs)]
        clock = np.linspace(0, seconds, spec.epochs + 1)[1:].tolist()
        history = {"forward": seen, "backward": seen, "seconds": clock}
        metrics |= {"test_acc": 0.9, "n_train": rows, "history": history}
    else:
        metrics |= {"n_pool": N}
    Store().write(spec, metrics, {})


def plant_subset(chosen, rows, seconds=1.0, select_s=0.5):
    run = cells.subset_run(SCALE, SCALE.target, chosen)
    plant(run, rows, seconds)
    plant(chosen, seconds=select_s)
    for read in chosen.of:
        plant(read)
    return run


def charged(*wanted):
    found = [Store().read(ex_key(run)) for run in wanted]
    return bills.charged(SCALE, ex.frame(wanted, found), wanted)


def ex_key(spec):
    from helpers import specs

    return specs.key(spec)


def test_a_bill_holds_proxy_choice_and_training():
    chance = plant_subset(ex.chosen(SCALE, Cell("random", 0.1), 0), 30)
    chosen = plant_subset(ex.chosen(SCALE, Cell("entropy", 0.1), 0), 30)
    brief = plant_subset(ex.chosen(SCALE, Cell("entropy", 0.1, after=2), 0), 30)
    group = plant_subset(ex.chosen(SCALE, Cell("entropy", 0.1, together=2), 0), 30)
    norms = plant_subset(ex.chosen(SCALE, Cell("geda", 0.1), 0), 30)
    frame, unit = charged(chance, chosen, brief, group, norms)
    assert unit == bills.SECONDS
    # GEDA reads the untrained network: one epoch of four stands for that
    np.testing.assert_allclose(frame["total_seconds"], [1.5, 5.5, 3.5, 9.5, 2.5])
    np.testing.assert_allclose(frame["cost"], frame["total_seconds"])
    ratio = ex.weight(SCALE, SCALE.proxy)
    assert 0 < ratio < 1
    assert ex.weight(SCALE, SCALE.target) == 1
    own, passed = 4 * 30, np.array([0, 4, 2, 8, 1]) * N + np.array([0, 1, 1, 2, 1]) * N * THIRD
    np.testing.assert_allclose(frame["work"], own + ratio * passed)


def test_seconds_of_shared_runs_give_way_to_work():
    whole = ex.depth_run(SCALE, SCALE.target, 0)
    plant(whole, alone=False)
    frame, unit = charged(whole)
    assert unit == bills.WORK
    np.testing.assert_allclose(frame["cost"], [4 * N])


def test_a_forward_pass_counts_a_third():
    run = ex.depth_run(SCALE, SCALE.target, 0)
    plant(run)
    found = Store().read(ex_key(run))
    found.metrics["history"]["backward"] = [0, 0, 0, 0]
    assert bills.passes(found) == pytest.approx(4 * N / 3)
    assert bills.passes(found, 1) == pytest.approx(N / 3)


def plant_labelling(by):
    for seed in SCALE.seeds:
        for budget in SCALE.label_budgets:
            cell = Cell("k-centers", budget, by, protocol="active")
            plant(ex.run(SCALE, cell, seed), rows=60, seconds=2.0)
        for step in rounds(ex.chosen(SCALE, cell, seed)):
            plant(step, seconds=0.25)
            for run in step.of:
                plant(run, rows=60, seconds=2.0)


def test_rounds_add_up():
    plant_labelling(SCALE.target)
    spent = bills.labelling(SCALE, ["k-centers"])
    assert set(spent["selector"]) == {SCALE.target}  # nothing of the proxy is stored
    assert bills.unit_of(spent) == "seconds"
    first, second = (spent[spent["share"] == share].iloc[0] for share in SCALE.label_budgets)
    assert first["seconds"] == pytest.approx(0.25 + 2.25)  # the first rows, then one round
    assert second["seconds"] == pytest.approx(0.25 + 2 * 2.25)
    assert second["work"] == pytest.approx(2 * (4 * 60 + N / 3))
    assert second["last_seconds"] == 2.0
    assert second["last_work"] == pytest.approx(4 * 60)


def test_table_of_active_learning():
    rows = [
        {"method": method, "selector": by, "share": share, "seed": seed, "test_error": 10.0 + seed}
        for method, by in (("random", ""), ("k-centers", "small"), ("k-centers", "large"))
        for share in (0.1, 0.3) for seed in (0, 1)
    ]  # fmt: skip
    active = pd.DataFrame(rows)
    spent = active[active["method"] != "random"].assign(
        seconds=lambda f: np.where(f["selector"] == "large", 8.0, 2.0) * f["share"],
        work=1.0, alone=True,
    )  # fmt: skip
    table = bills.active_table(active, spent, "large")
    assert list(table.columns) == ["error (%), 10%", "error (%), 30%", "speed-up (seconds), 10%",
                                   "speed-up (seconds), 30%"]  # fmt: skip
    assert table.loc[("Greedy k-centers", "small"), "speed-up (seconds), 30%"] == "4.0x"
    assert table.loc[("Greedy k-centers", "large"), "speed-up (seconds), 10%"] == "1.0x"
    assert table.loc[("Random", ""), "speed-up (seconds), 10%"] == ""
    assert table.loc[("Random", ""), "error (%), 10%"].startswith("10.5 ± 6.4")
    shared = bills.active_table(active, spent.assign(alone=False), "large")
    assert "speed-up (work), 10%" in shared.columns
    assert list(bills.active_table(active, spent.iloc[:0], "large").columns) == [
        "error (%), 10%", "error (%), 30%",
    ]  # fmt: skip


def test_offline_only_what_is_there(monkeypatch):
    wanted = [ex.depth_run(SCALE, SCALE.target, seed) for seed in SCALE.seeds]
    plant(wanted[1])
    monkeypatch.setenv("STUDY_OFFLINE", "1")
    assert partial.available([]) == ([], [])
    there, found = partial.available(wanted)
    assert there == wanted[1:]
    assert list(partial.table(wanted).columns) == list(COLUMNS)
    assert list(partial.table([]).columns) == list(COLUMNS)
    assert len(partial.table(wanted)) == 1
    assert found[0].metrics["test_acc"] == 0.9
    assert (partial.table([])["kept"] + 1.5).dtype == float
    assert partial.whole_seeds(wanted)[0] == wanted[1:]
    small = [ex.depth_run(SCALE, SCALE.proxy, seed) for seed in SCALE.seeds]
    plant(small[0])
    with pytest.raises(results.NotRun, match="^2 of 4 results"):
        partial.whole_seeds([*wanted, *small])
    monkeypatch.delenv("STUDY_OFFLINE")
    asked = []

    def compute(specs, alone):
        asked.append((specs, alone))
        return ["a", "b"]

    monkeypatch.setattr("helpers.results.compute", compute)
    assert partial.available(wanted, alone=True) == (wanted, ["a", "b"])
    assert asked == [(wanted, True)]
