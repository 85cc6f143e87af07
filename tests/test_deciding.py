"""`study --decide`: seeds are added until a claim is decided, honestly under looking."""

import itertools

import numpy as np
import pytest

from helpers import StudyError, results
from helpers.__main__ import main
from helpers.claims import deciding, ledger
from helpers.config import Config
from helpers.experiments import runs
from helpers.results.store import Store

CONFIG = Config(dataset="digits@40+10", models=("resnet8-w8", "resnet14-w8"), n_seeds=3)
PART = {"of": {"method": "random", "share": 0.5}, "less": {}, "below": 1.0}


def claim(**part):
    words = {"id": "svp-01", "where": "-", "statement": "-", "measure": "-", "at": ("digits",)}
    return ledger.Claim(**words, parts={"error": PART | part})


def plant(spread, monkeypatch):
    """Let `compute` store accuracies: random rows lose nothing, even seeds gain, odd ones lose."""
    asked = []

    def compute(wanted, alone=False):
        asked.append((len(wanted), alone))
        for run in wanted:
            noise = spread * (-1) ** run.seed if run.subset else 0.0
            labels = {"labels": np.arange(40) % 10}
            metrics = {"test_acc": 0.9 + noise, "alone": True, "seconds": 1.0}
            Store().write(run, metrics | {"n": 20, "n_train": 20}, labels)

    monkeypatch.setattr(results, "compute", compute)
    return asked


def test_errors_of_all_looks_sum_to_five_per_cent():
    spent = np.array([1 - deciding.look_level(look) for look in range(1, 2000)])
    assert spent[0] == pytest.approx(0.025)
    assert (np.diff(spent) < 0).all()
    assert spent.sum() == pytest.approx(0.05, rel=1e-3)


def test_seeds_are_added_until_the_claim_is_decided(monkeypatch, capsys):
    asked = plant(0.01, monkeypatch)
    row = deciding.search(claim(), CONFIG, "digits", 1.0)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 2
    assert "look 1, 3 seeds, 97.50% intervals: undecided" in lines[0]
    assert row.answer.verdict == "holds"
    assert "holds" in lines[-1]
    assert row.answer.n > 3
    assert not any(alone for _, alone in asked)


def test_the_search_ends_with_the_hours_and_takes_seconds_alone(monkeypatch, capsys):
    asked = plant(0.5, monkeypatch)
    clock = itertools.count(0.0, 900.0)
    row = deciding.search(claim(), CONFIG, "digits", 0.5, clock=lambda: next(clock))
    assert row.answer.verdict == "undecided"
    assert "0.5 hours are over" in capsys.readouterr().out
    timed = claim(quantity="seconds", below=-1e9, less={})
    deciding.search(timed, CONFIG, "digits", 0.5, clock=lambda: next(clock))
    assert asked[-1][1]


def test_what_the_preconditions_read_is_computed_too():
    cells = deciding.cells_of(claim(of={"method": "entropy", "share": 0.5}), CONFIG)
    specs = runs(CONFIG, cells)
    assert {(s.model, s.subset and s.subset.method) for s in specs} == {
        ("vgg7-w16", "entropy"), ("vgg7-w16", "random"), ("vgg7-w16", None), ("vgg3-w8", None),
    }  # fmt: skip


def test_claims_that_seeds_cannot_decide_are_refused(capsys):
    with pytest.raises(StudyError, match="compares no cells"):
        deciding.search(claim().model_copy(update={"parts": {}}), CONFIG, "digits", 1.0)
    with pytest.raises(StudyError, match="judged at digits, not in regime cifar10"):
        deciding.search(claim(), CONFIG, "cifar10", 1.0)
    assert main(["study", "--decide", "svp-99"]) == 2
    assert capsys.readouterr().err == "error: no claim svp-99 in the ledger\n"
    assert main(["study", "--decide", "svp-01", "--hours", "-1"]) == 2
