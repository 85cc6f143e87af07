"""Claims of `geda` on made-up studies and measurements."""

import numpy as np
import pytest

from helpers import experiments as ex
from helpers.claims import deciding, ledger
from helpers.claims.verdicts import FAILS, HOLDS, NOT_DECIDABLE
from helpers.experiments import PEERS, Cell, geda_cell
from helpers.results.store import Store
from helpers.specs import Measure
from tests.planting import plant

STUDY = ex.Config(
    dataset="digits@300+100", n_seeds=3, long_epochs=20, epochs=6, node_counts=(3, 5, 10)
)
CLAIMS = {claim.id: claim for claim in ledger.load_ledger() if claim.document == "geda"}
WHOLE = Cell(model="proxy")
RUNGS = {"random-per-class": 8.0, "random-per-quartile": 7.0, "evenly-spaced": 6.0}


@pytest.fixture(autouse=True)
def _no_pack(monkeypatch):
    monkeypatch.setenv("STUDY_PROFILE", "a profile without a pack")


def decided(name, regime="digits"):
    row = deciding.decide(CLAIMS[f"geda-{name}"], STUDY, regime)
    return row.answer, row.parts


def geda(share, **more):
    return geda_cell(STUDY, share, **more)


def peer(method, share):
    return Cell(method, share, by="untrained", model="proxy")


def ladder(full=1.5, gain=0.0, **seconds):
    """Plant the ladder: each rung a point better, GEDA at 4; peers at 5 less `gain`."""
    plant(STUDY, WHOLE, full, seconds=10.0)
    for share in STUDY.percentages:
        plant(STUDY, Cell("random", share, model="proxy"), 8.0)
        for method, error in RUNGS.items():
            cell = Cell(method, share, model="proxy")
            plant(STUDY, cell, error, seconds=seconds.get("epoch", 10 * share))
        plant(STUDY, geda(share), 4.0 + share, seconds=10 * share, choosing=0.1)
        for method in PEERS:
            plant(STUDY, peer(method, share), 5.0 + share - gain)


def test_the_ladder_holds_and_its_top_beats_the_peers():
    ladder()
    for name in ("02", "03", "04", "05", "07", "08", "09", "16", "22"):
        assert decided(name)[0].verdict == HOLDS, name
    assert decided("16")[0].note.startswith("by means 8 of 8 cells")
    assert decided("06")[0].verdict == HOLDS  # GEDA's gain is 2 - share
    assert decided("11")[1]["not worse"].verdict == FAILS
    assert decided("10")[0].verdict == FAILS  # the peers at 5.6 to even spacing's 6


def test_peers_that_win_refute():
    ladder(gain=2.0)
    for name in ("08", "09", "16"):
        assert decided(name)[0].verdict == FAILS, name


def test_networks_that_have_not_learned_or_leave_no_room_judge_nothing():
    ladder(full=9.0)
    assert decided("08")[0].verdict == NOT_DECIDABLE
    assert "is the regime's" in decided("16")[0].note
    ladder(full=1.9)
    for share in STUDY.percentages:
        plant(STUDY, Cell("random", share, model="proxy"), 2.0)
    assert "no room to win" in decided("07")[0].note


def test_an_epoch_that_costs_more_than_its_share():
    ladder(epoch=10.0)
    answer, _ = decided("22")
    assert (answer.verdict, answer.part) == (FAILS, "20%")


def test_eighty_per_cent_can_beat_everything():
    ladder()
    plant(STUDY, geda(0.8), 1.0)
    assert decided("11")[0].verdict == HOLDS
    plant(STUDY, geda(0.8), 1.5)
    answer, parts = decided("11")
    assert (parts["not worse"].verdict, answer.verdict) == (HOLDS, FAILS)


def test_long_training_chosen_anew():
    ladder()
    long = STUDY.long_epochs

    def match(error, seconds, **options):
        options = tuple({"keep": 0.2, **options}.items())
        cell = Cell("grad-match", 0.2, model="proxy", protocol="online", options=options,
                    epochs=long)  # fmt: skip
        plant(STUDY, cell, error, seconds=seconds)
        return ex.run(STUDY, cell, 0)

    runs = {match(1.6, 40.0, choices=5), match(1.9, 60.0, choices=long)}
    runs |= {match(1.2, 42.0, choices=5, start="geda"), match(1.2, 70.0, choices=5, start="full")}
    plant(STUDY, geda(0.2, epochs=long), 3.0)
    for name in ("13", "15", "23"):
        answer, parts = decided(name)
        assert answer.verdict == HOLDS, (name, parts)
    answer, _ = decided("12", "cifar10")
    assert answer.verdict == HOLDS
    assert answer.value == pytest.approx(40 / (8 + 0.1 + 10 / 6), rel=0.01)
    asked = ex.asked(STUDY, "reselected")
    assert runs <= set(asked)
    assert ex.run(STUDY, geda(0.2, epochs=long), 0) in asked
    assert not ex.asked(STUDY.replace(long_epochs=0), "reselected")


def test_the_program_is_exact_and_its_time_counts_where_training_takes_a_minute():
    Store().write(Measure("geda-milp"), {"largest_difference": 0.0, "alone": True}, {})
    ladder()
    answer, parts = decided("17")
    assert (answer.verdict, parts["objective"].verdict) == (NOT_DECIDABLE, HOLDS)
    assert "are asked" in answer.note
    arrays = {"sizes": np.array([1000, 5000]), "seconds_cbc": np.array([0.1, 0.4])}
    measure = Measure("geda-milp", options=(("sizes", (1000, 5000)),))
    Store().write(measure, {"alone": True}, arrays)
    plant(STUDY, geda(0.2), 4.0, seconds=90.0)
    answer, parts = decided("17")
    assert (answer.verdict, parts["time"].value) == (FAILS, pytest.approx(1 / 90))


def test_nodes_and_variants():
    ladder()
    nodes = {n: Cell("geda-random", 0.2, model="proxy", options=(("n_nodes", n),)) for n in (3, 10)}
    plant(STUDY, nodes[3], [4.5, 4.9, 4.2])
    plant(STUDY, nodes[10], 4.8)
    plant(STUDY, geda(0.2, variant="smoothed"), 4.2)
    assert decided("18")[0].verdict == HOLDS
    answer, _ = decided("25")
    assert (answer.verdict, answer.value) == (FAILS, pytest.approx(-0.3, abs=0.03))
    assert answer.note.endswith("N = 10 -0.60")


def test_theory_is_counted():
    metrics = {"n_selections": 36, "n_smaller_error": 1, "n_smaller_positive": 0}
    Store().write(Measure("geda-matching"), metrics, {})
    assert decided("20")[0].verdict == FAILS
    Store().write(Measure("adaptive-bounds"), {"n_checks": 243, "n_broken": 0}, {})
    assert decided("21")[0].verdict == HOLDS
    metrics = {"largest_at_largest_norm": 0.0, "largest_at_smallest_norm": 0.1, "n_beyond_bound": 0}
    Store().write(Measure("geda-end-term"), metrics, {})
    answer, parts = decided("19")
    assert (answer.verdict, parts["largest"].verdict) == (FAILS, HOLDS)
    arrays = {"relative": np.array([-0.5, -0.4, -0.6]), "auc": np.array([0.99, 0.98, 0.97])}
    Store().write(Measure("shapley"), {"n": 200}, arrays)
    assert decided("24")[0].verdict == HOLDS


def test_peers_choose_by_the_network_before_its_first_epoch():
    run = ex.run(STUDY, peer("craig", 0.2), 1)
    (read,) = run.subset.of
    assert (read.record_at, read.seed, read.model) == ((0,), 1, STUDY.proxy)
    assert run in ex.asked(STUDY, "peers")
