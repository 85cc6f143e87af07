"""The answer in sentences: the best choice's gain, by hand; every finding has one fate."""

import numpy as np
from scipy import stats

from helpers import experiments, results
from helpers.claims import findings, ledger, verdicts
from helpers.profiles import profile

CONFIG = profile("digits").config()


def errors(method, share):
    runs = [r for r in experiments.asked(CONFIG, "core-set")
            if (r.subset.method, r.subset.budget) == (method, share)]  # fmt: skip
    return np.array([100 * (1 - results.load(run).metrics["test_acc"]) for run in runs])


def test_the_best_choice_is_told_with_an_interval_that_knows_it_was_picked():
    table = findings.gains(CONFIG).set_index("share")
    assert table.index.tolist() == list(CONFIG.budgets)
    gained = {m: errors("random", 0.5) - errors(m, 0.5) for m in CONFIG.methods if m != "random"}
    best = max(gained, key=lambda method: gained[method].mean())
    half = stats.t.ppf(1 - 0.025 / len(gained), 2) * gained[best].std(ddof=1) / np.sqrt(3)
    row = table.loc[0.5]
    assert np.allclose([row.gain, row.low], [gained[best].mean(), gained[best].mean() - half])
    full = [results.load(experiments.depth_run(CONFIG, CONFIG.target, s)) for s in CONFIG.seeds]
    full = np.array([100 * (1 - run.metrics["test_acc"]) for run in full])
    assert np.isclose(row.beside, (errors(best, 0.5) - full).mean())
    assert "of 6 methods beat, at 10%, random rows" in findings.at_equal_cost(CONFIG)[0]


def test_every_finding_has_one_fate():
    claim = next(claim for claim in ledger.load_ledger() if claim.id == "svp-16")

    def fate(*words):
        names = ("digits", "cifar10-cpu")  # two regimes
        rows = {n: [ledger.Row(claim, verdicts.Verdict(w), {})] for n, w in zip(names, words)}
        counts = findings.fates(rows).loc["svp"]
        assert counts["findings"] == 1
        return counts[1:].idxmax()

    assert fate("holds", "undecided") == "holds"
    assert fate("holds", "does not hold") == "depends on the regime"
    assert fate("not decidable", "undecided") == "undecided"
    assert fate("not measured yet") == "not measured yet"
    assert fate("not decidable") == "not decidable here"
    more = {"digits": verdicts.Verdict("holds"), "digits-ten": verdicts.Verdict("undecided")}
    rows = {name: [ledger.Row(claim, answer, {})] for name, answer in more.items()}
    assert findings.fates(rows).loc["svp", "undecided"] == 1  # ten seeds have the say, not three
