"""Active learning's rounds, other proxies, and the opponents that spend the same work."""

import itertools
import json
import os

import numpy as np
import pytest

from helpers import experiments as ex, models, results, specs
from helpers.experiments import Cell, Config, cells
from helpers.results import steps
from helpers.specs import Select

SCALE = Config(
    initial_share=0.05,
    dataset="digits@203+50",
    models=["resnet8-w8", "resnet14-w8"],
    proxy="resnet8-w8",
    target="resnet14-w8",
    epochs=2,
    n_seeds=2,
    label_budgets=[0.1, 0.2, 0.45],
)
N = 203
METHODS = ex.ACTIVE_METHODS


@pytest.fixture(scope="module")
def store():
    """Where results of this module stay for all its tests."""
    return os.environ["STUDY_STORE"]


@pytest.fixture(scope="module")
def found(store):
    """All of active learning on a slice of the digits, key to result."""
    asked = ex.asked(SCALE, "active")
    return {specs.key(s): r for s, r in zip(asked, results.compute(asked), strict=True)}


def choice(method, budget, seed, by="proxy", scale=SCALE):
    return ex.chosen(scale, Cell(method, budget, by, protocol="active"), seed)


def labelled(*cell):
    """The rows labelled by (method, budget, seed, by), in the order they were."""
    (chosen,) = results.compute([choice(*cell)])
    return chosen.arrays["indices"]


@pytest.fixture(autouse=True)
def _shared_store(_own_store, store, monkeypatch):
    monkeypatch.setenv("STUDY_STORE", store)


def test_each_round_keeps_what_is_labelled_and_adds_new_rows_up_to_its_budget():
    for method, by in itertools.product(METHODS, SCALE.models):
        ends = [labelled(method, budget, 1, by) for budget in SCALE.label_budgets]
        for rows, budget in zip(ends, SCALE.label_budgets, strict=True):
            assert len(set(rows)) == len(rows) == round(budget * N)
        for before, after in itertools.pairwise(ends):
            assert after[: len(before)].tolist() == before.tolist()


def test_rounds_end_at_their_budgets_to_the_row_however_many_they_are():
    scale = Config(label_budgets=[i / 40 for i in range(1, 39)])
    asked = [choice("least-confidence", b, 0, scale=scale) for b in scale.label_budgets]
    for n in (203, 1437, 49_999):
        n_labelled = round(scale.initial_share * n)
        for budget, step in zip(scale.label_budgets, asked, strict=True):
            wanted = steps.n_wanted(step, n, n - n_labelled)
            assert abs(wanted - step.budget * (n - n_labelled)) <= 1  # as the round's share says
            n_labelled += wanted
            assert n_labelled == round(budget * n)


def walk(chosen):
    while chosen is not None:
        yield chosen
        chosen = chosen.start


def test_every_round_trains_its_proxy_anew_on_all_that_is_labelled():
    chosen = choice("k-centers", 0.45, 1, "resnet14-w8")
    *rounds, first = walk(chosen)
    assert len(rounds) == 3
    assert first == Select(SCALE.data_name, "random", SCALE.initial_share, 1)
    for step in rounds:
        (proxy,) = step.of
        assert proxy.model == "resnet14-w8"
        assert proxy.subset == step.start
        assert proxy.init is None
        assert proxy.seed == step.seed == 1
        assert proxy.record_at == (0, SCALE.epochs)


def test_the_first_round_is_shared_by_methods_and_the_targets_training_by_its_next_round(found):
    asked = ex.asked(SCALE, "active")
    everything = {}
    todo = list(asked)
    while todo:
        spec = todo.pop()
        everything[specs.key(spec)] = spec
        todo += specs.needs(spec)
    trainings = [s for s in everything.values() if not isinstance(s, Select)]
    # a seed: 3 by chance, 2 x 2 x 3 targets; proxies: 1 + 2 x 2; the target's first round: 1
    assert len(trainings) == 2 * (3 + 12 + 5 + 1)


def test_least_confidence_of_a_round_takes_what_its_proxy_is_least_sure_of():
    chosen = choice("least-confidence", 0.1, 0)
    (proxy,) = results.compute(chosen.of)
    rows = labelled("least-confidence", 0.1, 0)
    start = labelled_first = results.compute([chosen.start])[0].arrays["indices"]
    logits = proxy.arrays["logits"].astype(float)
    probs = np.exp(logits - logits.max(axis=1, keepdims=True))
    sure = (probs / probs.sum(axis=1, keepdims=True)).max(axis=1)
    new = rows[len(start) :]
    rest = np.setdiff1d(np.arange(N), rows)
    assert sure[new].max() <= sure[rest].min()
    assert not set(new) & set(labelled_first)


def seconds_of(cell):
    told = [ex.seconds_of_choice(step) for step in rounds_of(cell)]
    return [(spent, all(one.metrics["alone"] for one in used)) for spent, used in told]


def rounds_of(cell):
    return list(specs.rounds(choice(*cell)))


def test_a_choice_is_charged_what_is_stored_of_its_proxies_now(monkeypatch):
    cell = ("least-confidence", 0.2, 1, "resnet8-w8")
    results.compute(rounds_of(cell))
    plain = results.load

    def again(spec, complete=False):
        found = plain(spec, complete)
        trained = isinstance(spec, specs.Train)
        found.metrics.update({"seconds": 100.0, "alone": False} if trained else {"alone": True})
        return found

    monkeypatch.setattr(results, "load", again)
    *others, (first, alone) = seconds_of(cell)
    assert first < 1
    assert alone  # the first rows are random: no proxy
    assert len(others) == 2
    assert all(seconds > 100 and not alone for seconds, alone in others)


def test_the_table_tells_what_share_is_labelled_and_what_it_cost(found):
    asked = ex.asked(SCALE, "active")
    frame = ex.frame(asked, [found[specs.key(s)] for s in asked])
    assert set(frame["share"]) == set(SCALE.label_budgets)
    assert (frame["kept"] == (frame["share"] * N).round()).all()
    chance = frame["method"] == "random"
    assert (frame["selector"] == "").tolist() == chance.tolist()
    spent = frame.set_index(["method", "selector", "seed", "share"])["select_seconds"].unstack()
    assert (spent.drop("random").diff(axis=1).iloc[:, 1:] > 0).all(axis=None)
    assert (frame["total_seconds"] >= frame["seconds"]).all()


def test_multiply_adds_match_a_count_by_hand():
    # resnet8-w8: 3x3 stem, two 3x3 convolutions a stage (8, 16, 32 wide at 32, 16, 8 pixels)
    stem = 9 * 3 * 8 * 32**2
    stages = 2 * 9 * 8 * 8 * 32**2
    stages += 9 * (8 * 16 + 16 * 16) * 16**2 + 9 * (16 * 32 + 32 * 32) * 8**2
    shortcuts = 8 * 16 * 16**2 + 16 * 32 * 8**2
    assert models.multiply_adds("resnet8-w8") == stem + stages + shortcuts + 32 * 10


def test_longer_training_costs_what_selecting_would():
    scale = Config()
    ratio = models.multiply_adds(scale.proxy) / models.multiply_adds(scale.target)
    for budget in (0.1, 0.25, 0.5, 1.0):
        selecting = ratio * (scale.epochs + 1 / 3) + budget * scale.epochs  # passes over all rows
        run = ex.run(scale, Cell("random", budget, epochs=ex.LONGER), 0)
        longer = run.epochs * budget
        assert abs(longer - selecting) <= budget / 2 + 1e-9 or longer == (scale.epochs + 1) * budget
        assert (run.subset.method, run.model) == ("random", scale.target)
        assert run.epochs > scale.epochs


def test_opponents_see_as_many_rows_an_epoch_as_the_subsets_they_meet():
    asked = ex.asked(SCALE, "opponents")
    frame = ex.frame(asked, results.compute(asked))
    sizes = frame.groupby("budget")["kept"].unique()
    assert {b: rows.tolist() for b, rows in sizes.items()} == {
        b: [round(b * N)] for b in ex.proxy_budgets(SCALE)
    }
    assert set(frame["method"]) == {"random", "repeated-random"}
    assert (frame["select_seconds"] < 0.1).all()
    repeated = frame[frame["method"] == "repeated-random"]
    assert (repeated["backward"] == repeated["kept"] * SCALE.epochs).all()


@pytest.mark.slow
def test_the_table_of_multiply_adds_is_what_networks_count():
    known = json.loads((cells.ROOT / "data" / "multiply_adds.json").read_text())
    counted = {name: models.multiply_adds(name) for name in known if ":" not in name}
    assert {name: known[name] for name in counted} == counted
