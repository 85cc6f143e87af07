import dataclasses
import math

import numpy as np
import pandas as pd
import pytest
import yaml

from helpers import StudyError, profiles
from helpers.claims import ledger, rules
from helpers.claims.evidence import EVIDENCE, PAPERS, paper_table
from helpers.claims.verdicts import (
    FAILS,
    HOLDS,
    NOT_DECIDABLE,
    NOT_MEASURED,
    UNDECIDED,
    VERDICTS,
    Verdict,
    combine,
    median_interval,
)
from helpers.experiments import Config
from helpers.ranking import t_interval

COUNTS = {"svp": 33, "svp-slides": 17, "budgeted": 23, "geda": 25, "adonis": 38}
CLAIMS = ledger.load_ledger()
BY_ID = {claim.id: claim for claim in CLAIMS}
GRID = np.arange(4.0)

UP = {"differences": [2.0, 2.2, 1.8]}
DOWN = {"differences": [-2.0, -2.2, -1.8]}
WIDE = {"differences": [2.0, -2.2, 0.1]}


def block(within, between, noise=0.0, runs=4):
    """Correlations of two groups of runs with given block values."""
    groups = np.repeat([0, 1], runs)
    same = groups[:, None] == groups[None, :]
    jitter = np.random.default_rng(1).normal(0, noise, same.shape)
    matrix = np.where(same, within, between) + jitter + jitter.T
    return {"matrix": matrix, "groups": groups, "seeds": np.tile(np.arange(runs), 2)}


def full(value, noise=0.0, runs=5, seed=1):
    """Correlations of runs, one value everywhere."""
    jitter = np.random.default_rng(seed).normal(0, noise, (runs, runs))
    return np.full((runs, runs), value) + jitter + jitter.T


CASES = [
    ("greater", {}, UP, HOLDS),
    ("greater", {}, DOWN, FAILS),
    ("greater", {}, WIDE, UNDECIDED),
    ("greater", {"margin": 3.0}, UP, FAILS),
    ("non_inferior", {"margin": 0.5}, DOWN, HOLDS),
    ("non_inferior", {"margin": 0.5}, UP, FAILS),
    ("non_inferior", {"margin": 0.5}, WIDE, UNDECIDED),
    ("equivalent", {"margin": 0.5}, {"differences": [0.1, -0.1, 0.0]}, HOLDS),
    ("equivalent", {"margin": 0.5}, DOWN, FAILS),
    ("equivalent", {"margin": 0.5}, {"differences": [0.4, 0.9, 0.0]}, UNDECIDED),
    ("at_least", {"bound": 2.0}, {"values": 2.0}, HOLDS),
    ("at_least", {"bound": 2.0}, {"values": 1.99}, FAILS),
    ("at_least", {"bound": 2.0}, {"values": [1.0, 2.0, 3.0]}, UNDECIDED),
    ("at_least", {"bound": 2.0, "statistic": "median"}, {"values": [9.0, 3.0, 2.5]}, HOLDS),
    ("at_most", {"bound": 2.0}, {"values": [1.0, 1.1, 0.9]}, HOLDS),
    ("at_most", {"bound": 2.0}, {"values": [3.0, 3.1, 2.9]}, FAILS),
    ("at_most", {"bound": 2.0}, {"values": [1.0, 2.0, 3.0]}, UNDECIDED),
    ("in_range", {"low": 1.0, "high": 2.0}, {"values": [1.4, 1.5, 1.6]}, HOLDS),
    ("in_range", {"low": 1.0, "high": 2.0}, {"values": 2.5}, FAILS),
    ("in_range", {"low": 1.0, "high": 2.0}, {"values": [1.8, 2.0, 2.2]}, UNDECIDED),
    ("all_above", {"bound": 0.9}, {"values": [0.91, 0.95, 0.99]}, HOLDS),
    ("all_above", {"bound": 0.9}, {"values": [0.89, 0.95, 0.99]}, FAILS),
    ("all_above", {"bound": 0.9}, {"values": [0.95, 0.99]}, UNDECIDED),
    ("no_violations", {}, {"count": 0, "trials": 200}, HOLDS),
    ("no_violations", {}, {"count": 1, "trials": 5}, FAILS),
    ("no_violations", {}, {"count": 0, "trials": 199}, UNDECIDED),
    ("some_exhibit", {}, {"count": 1, "trials": 50}, HOLDS),
    ("some_exhibit", {}, {"count": 0, "trials": 50}, UNDECIDED),
    ("share_above", {"share": 0.5}, {"wins": np.ones((4, 5))}, HOLDS),
    ("share_above", {"share": 0.5}, {"wins": np.zeros((4, 5))}, FAILS),
    ("share_above", {"share": 0.5}, {"wins": np.eye(4)[:, :2]}, UNDECIDED),
    ("share_above", {"share": 0.5}, {"wins": np.ones((2, 9))}, UNDECIDED),
    ("share_below_chance", {}, {"wins": np.zeros((3, 2)), "chance": np.full((3, 2), 0.25)}, HOLDS),
    ("share_below_chance", {}, {"wins": np.ones((3, 2)), "chance": np.full((3, 2), 0.25)}, FAILS),
    (
        "share_below_chance",
        {},
        {"wins": np.eye(3), "chance": np.full((3, 3), 1 / 3)},
        UNDECIDED,
    ),
    ("rises_with", {}, {"values": np.tile(GRID, (3, 1)), "x": GRID}, HOLDS),
    ("rises_with", {}, {"values": np.tile(-GRID, (3, 1)), "x": GRID}, FAILS),
    ("rises_with", {"direction": -1}, {"values": np.tile(-GRID, (3, 1)), "x": GRID}, HOLDS),
    ("rises_with", {}, {"values": [GRID, -GRID, GRID], "x": GRID}, UNDECIDED),
    ("rises_with", {"monotone": True}, {"values": np.tile(GRID, (3, 1)), "x": GRID}, HOLDS),
    (
        "rises_with",
        {"monotone": True},
        {"values": np.tile([0.0, 1.0, 2.0, 1.5, 5.0, 6.0], (3, 1)), "x": np.arange(6)},
        FAILS,
    ),
    (
        "rises_with",
        {"monotone": True},
        {
            "values": [[0, 1, 2, 1, 5, 6], [0, 1, 2, 1.6, 5, 6], [0, 1, 2, 2.1, 5, 6]],
            "x": np.arange(6),
        },
        UNDECIDED,
    ),
    ("same_order", {}, {"values": [[9.0, 9.1, 9.2], [5.0, 5.2, 5.1], [1.0, 1.1, 0.9]]}, HOLDS),
    ("same_order", {}, {"values": [[1.0, 1.1, 1.2], [5.0, 5.2, 5.1], [0.0, 0.1, 0.2]]}, FAILS),
    ("same_order", {}, {"values": [[9.0, 1.1, 4.2], [5.0, 5.2, 5.1]]}, UNDECIDED),
    (
        "near_best",
        {"setting": 5, "margin": 0.5},
        {"values": [[90.0, 91.0, 92.0], [89.0, 90.1, 91.0]], "settings": [5, 10]},
        HOLDS,
    ),
    (
        "near_best",
        {"setting": 10, "margin": 0.5},
        {"values": [[90.0, 91.0, 92.0], [89.0, 90.1, 91.0]], "settings": [5, 10]},
        FAILS,
    ),
    (
        "near_best",
        {"setting": 10, "margin": 1.0},
        {"values": [[90.0, 91.0, 92.0], [89.0, 90.1, 91.0]], "settings": [5, 10]},
        UNDECIDED,
    ),
    (
        "on_front",
        {"setting": 1},
        {
            "loss": [[1.0, 1.1, 0.9], [3.0, 3.1, 2.9]],
            "boost": [[1.2, 1.3, 1.1], [1.9, 2.0, 1.8]],
            "settings": [1, 2],
        },
        HOLDS,
    ),
    (
        "on_front",
        {"setting": 2},
        {
            "loss": [[1.0, 1.1, 0.9], [3.0, 3.2, 2.9]],
            "boost": [[1.9, 2.0, 1.8], [1.2, 1.3, 1.15]],
            "settings": [1, 2],
        },
        FAILS,
    ),
    (
        "on_front",
        {"setting": 1},
        {
            "loss": [[1.0, 5.0, 0.0], [2.0, 0.0, 4.0]],
            "boost": [[1.0, 5.0, 0.0], [2.0, 0.0, 4.0]],
            "settings": [1, 2],
        },
        UNDECIDED,
    ),
    ("blocks_agree", {"margin": 0.05}, block(0.7, 0.69, 0.002), HOLDS),
    ("blocks_agree", {"margin": 0.05}, block(0.9, 0.3, 0.01), FAILS),
    ("blocks_agree", {"margin": 0.05}, block(-0.7, -0.69), FAILS),
    ("blocks_agree", {"margin": 0.05}, block(0.7, 0.65, 0.1), UNDECIDED),
    ("blocks_agree", {"margin": 0.05}, block(0.7, 0.69, runs=2), UNDECIDED),
    ("matrices_agree", {"margin": 0.05}, {"first": full(0.6), "second": full(0.61)}, HOLDS),
    ("matrices_agree", {"margin": 0.05}, {"first": full(0.6), "second": full(0.2)}, FAILS),
    (
        "matrices_agree",
        {"margin": 0.05},
        {"first": full(0.6, 0.2), "second": full(0.62)},
        UNDECIDED,
    ),
    ("same_sign", {}, {"first": [0.2, 0.3, 0.25], "second": [0.1, 0.12, 0.09]}, HOLDS),
    ("same_sign", {}, {"first": [-0.2, -0.3, -0.25], "second": [0.1, 0.12, 0.09]}, FAILS),
    ("same_sign", {}, {"first": [-0.2, 0.3, -0.25], "second": [0.1, 0.12, 0.09]}, UNDECIDED),
    ("each", {"of": "greater"}, {"differences": [[2.0, 2.2, 1.8], [3.0, 3.1, 3.2]]}, HOLDS),
    ("each", {"of": "greater"}, {"differences": [[2.0, 2.2, 1.8], [-3.0, -3.1, -3]]}, FAILS),
    ("each", {"of": "greater"}, {"differences": [[2.0, 2.2, 1.8], [-3.0, 3.1, 0]]}, UNDECIDED),
    (
        "all_of",
        {"parts": {"a": {"rule": "greater"}, "b": {"rule": "at_least", "bound": 1}}},
        {"a": UP, "b": {"values": 1.5}},
        HOLDS,
    ),
    (
        "all_of",
        {"parts": {"a": {"rule": "greater"}, "b": {"rule": "at_least", "bound": 1}}},
        {"b": {"values": 0.5}},
        FAILS,
    ),
    (
        "all_of",
        {"parts": {"a": {"rule": "greater"}, "b": {"rule": "at_least", "bound": 1}}},
        {"a": UP},
        UNDECIDED,
    ),
    (
        "all_of",
        {"parts": {"a": {"rule": "greater"}, "b": {"rule": "greater", "if_measured": True}}},
        {"a": UP},
        HOLDS,
    ),
    (
        "all_of",
        {"parts": {"a": {"rule": "greater"}, "b": {"rule": "at_least", "bound": 1}}},
        {"a": UP, "b": {"not_decidable": "shared the machine"}},
        NOT_DECIDABLE,
    ),
]


def test_rules_give_the_verdicts():
    for name, settings, evidence, expected in CASES:
        verdict = rules.apply(name, evidence, settings).verdict
        assert verdict == expected, (name, settings, evidence)


def test_every_rule_is_seen_holding_and_not_holding():
    seen = {name: {case[3] for case in CASES if case[0] == name} for name in rules.RULES}
    for name, verdicts in seen.items():
        wanted = {HOLDS, UNDECIDED} | (set() if name == "some_exhibit" else {FAILS})
        assert wanted <= verdicts, name


def spoilt(evidence, spoil):
    """Evidence whose measured values are missing; what describes them stays."""
    settled = {}
    for key, value in evidence.items():
        array = np.asarray(value, dtype=float)
        if key in ("groups", "seeds", "settings", "x", "chance", "trials"):
            settled[key] = array
        elif spoil == "nan":
            settled[key] = np.full_like(array, np.nan)
        else:
            settled[key] = array[..., :0] if array.ndim else np.nan
    return settled


def test_missing_values_never_decide():
    for name, settings, evidence, _ in CASES:
        for spoil in ("nan", "empty") if name not in ("all_of", "each") else ():
            try:
                answer = rules.apply(name, spoilt(evidence, spoil), settings)
            except ValueError:
                assert spoil == "empty", name  # a shape that contradicts the settings is refused
            else:
                assert answer.verdict == UNDECIDED, (name, spoil)


def test_one_missing_run_is_enough_to_stay_undecided():
    answer = rules.apply("greater", {"differences": [[5.0, 5.1], [5.2, np.nan]]}, {})
    assert answer.verdict == UNDECIDED
    assert "NaN" in answer.note


def test_two_seeds_decide_nothing_and_small_differences_need_five():
    assert rules.greater([5.0, 5.1]).verdict == UNDECIDED
    assert rules.greater([5.0]).verdict == UNDECIDED
    assert rules.non_inferior([-5.0, -5.1], margin=0.5).verdict == UNDECIDED
    assert rules.greater([0.5, 0.51, 0.52]).verdict == UNDECIDED
    assert rules.greater([0.5, 0.51, 0.52, 0.5, 0.51]).verdict == HOLDS
    assert rules.greater([0.5, 0.51, 0.52], unit="x").verdict == HOLDS
    assert rules.at_least([5.0, 5.0], bound=1.0).verdict == UNDECIDED
    # many settings do not replace seeds
    assert rules.greater(np.full((4, 2), 5.0)).verdict == UNDECIDED


def test_settings_are_pooled_and_counted():
    answer = rules.greater([[2.0, 2.2, 1.8], [2.0, 2.2, 1.8]])
    assert answer.n == 6
    assert answer.value == pytest.approx(2.0)
    assert answer.low < answer.value < answer.high


def test_t_interval_equals_a_printed_one():
    # Student t with 4 degrees of freedom: 2.776
    mean, low, high = t_interval(np.array([1.0, 2.0, 3.0, 4.0, 5.0]))
    assert mean == 3.0
    assert high - mean == pytest.approx(2.776 * math.sqrt(2.5 / 5), rel=1e-3)
    assert mean - low == pytest.approx(high - mean)


def test_median_interval_equals_the_table_of_order_statistics():
    # n = 10: ranks 2 and 9 cover 97.9 %
    assert median_interval(np.arange(1.0, 11.0)) == (5.5, 2.0, 9.0)
    assert median_interval(np.array([3.0, 1.0, 2.0])) == (2.0, 1.0, 3.0)


def test_blocks_agree_pairs_no_run_with_itself():
    evidence = block(0.6, 0.6)
    np.fill_diagonal(evidence["matrix"], np.nan)
    answer = rules.apply("blocks_agree", evidence, {"margin": 0.05})
    assert answer.verdict == HOLDS
    assert answer.value == pytest.approx(0.0)


def test_blocks_agree_leaves_out_pairs_that_share_a_seed():
    evidence = block(0.6, 0.6)
    seeds = evidence["seeds"]
    shared = (seeds[:, None] == seeds[None, :]) & ~np.eye(len(seeds), dtype=bool)
    evidence["matrix"][shared] = 0.99
    answer = rules.apply("blocks_agree", evidence, {"margin": 0.05})
    assert answer.verdict == HOLDS
    assert answer.value == pytest.approx(0.0)


def test_combine():
    assert combine([HOLDS, HOLDS]) == HOLDS
    assert combine([HOLDS, NOT_MEASURED]) == UNDECIDED
    assert combine([NOT_MEASURED, NOT_MEASURED]) == NOT_MEASURED
    assert combine([]) == NOT_MEASURED
    assert combine([NOT_DECIDABLE, FAILS]) == FAILS
    assert combine([NOT_DECIDABLE, UNDECIDED]) == NOT_DECIDABLE


def test_evidence_that_does_not_fit_is_refused():
    for name, evidence, settings, named in [
        ("better", UP, {}, "better"),
        ("greater", {"values": [1]}, {}, "differences"),
        ("greater", {"differences": "much"}, {}, "differences"),
        ("greater", {"differences": 3.0}, {}, "differences"),
        ("at_least", {"values": [1, 2, 3]}, {"bound": 1, "statistic": "mode"}, "statistic"),
        ("each", {"values": [1]}, {"of": "greater"}, "differences"),
        ("each", {"values": [[1.0]] * 3, "x": [[1.0]] * 2}, {"of": "rises_with"}, "x"),
        ("near_best", {"values": [[1.0]], "settings": [3]}, {"setting": 5, "margin": 1}, "5"),
        ("same_order", {"values": [[1.0, 2.0]]}, {}, "2 groups"),
        ("share_below_chance", {"wins": [[1]], "chance": [[1, 1]]}, {}, "shape"),
    ]:
        with pytest.raises(ValueError, match=named):
            rules.apply(name, evidence, settings)


def test_numbers_that_do_not_fit_are_refused():
    for name, settings in [
        ("greater", {"bound": 1}),
        ("non_inferior", {}),
        ("each", {"of": "non_inferior"}),
        ("each", {"of": "greater", "edge": 1}),
        ("all_of", {"parts": {"a": {"rule": "at_most"}}}),
    ]:
        with pytest.raises(ValueError, match="rule"):
            rules.check_numbers(name, settings)


# The ledger


def test_ledger_holds_exactly_the_claims_of_the_five_documents():
    expected = [f"{key}-{i:02d}" for key, n in COUNTS.items() for i in range(1, n + 1)]
    assert [claim.id for claim in CLAIMS] == expected


def test_ledger_rows_are_complete():
    for claim in CLAIMS:
        for name in ("where", "statement", "paper", "measure"):
            text = getattr(claim, name)
            assert isinstance(text, str), claim.id
            assert text, claim.id
            assert "\n" not in text, claim.id
        rules.check_numbers(claim.rule, claim.numbers)


def leaves(value):
    """Every plain value inside nested dicts."""
    if isinstance(value, dict):
        return [leaf for inner in value.values() for leaf in leaves(inner)]
    return [value]


def test_ledger_numbers_are_numbers():
    words = {"mean", "median", *rules.RULES}
    for claim in CLAIMS:
        parts = claim.numbers.get("parts", {"": claim.numbers}).values()
        for part in parts:
            settings = {name: value for name, value in part.items() if name != "unit"}
            for leaf in leaves(settings):
                assert isinstance(leaf, int | float) or leaf in words, (claim.id, leaf)


def test_claims_meaningful_on_digits():
    # 63 to be run there, and two recounts of printed tables
    assert sum(claim.scale == "digits" for claim in CLAIMS) == 65


def test_evidence_names_follow_the_claims():
    for claim in CLAIMS:
        assert claim.evidence in (None, claim.id.replace("-", "_"))
    known = {claim.evidence for claim in CLAIMS}
    assert set(EVIDENCE) <= known
    assert {"adonis_01", "adonis_19"} <= set(EVIDENCE)


def test_every_evidence_name_has_its_function():
    wanted = {claim.evidence for claim in CLAIMS} - {None}
    assert sorted(wanted - set(EVIDENCE)) == []


def row(**changes):
    """A valid row of the ledger with changes."""
    fields = {name: getattr(BY_ID["svp-14"], name) for name in vars(BY_ID["svp-14"])}
    return fields | changes


def test_broken_ledger_is_refused_in_one_line(tmp_path):
    path = tmp_path / "claims.yml"
    for rows, named in [
        ([row(rule="better")], "svp-14.*better"),
        ([row(numbers={"margin": 1})], "svp-14.*all_above"),
        ([row(scale="huge")], "scale"),
        ([row(document="nobody")], "document"),
        ([row(), row()], "svp-14"),
        ([{"id": "svp-99"}], "svp-99"),
        (["text"], "text"),
    ]:
        path.write_text(yaml.safe_dump(rows))
        with pytest.raises(StudyError, match=named) as error:
            ledger.load_ledger(path)
        assert "\n" not in str(error.value)


def test_scale_below_the_claims_is_not_decidable_but_shows_our_number():
    claim = BY_ID["svp-16"]
    evidence = {"differences": [-3.0, -3.1, -2.9]}
    low = ledger.decide(claim, evidence, "digits").answer
    assert low.verdict == NOT_DECIDABLE
    assert low.value == pytest.approx(-3.0)
    assert "at this scale: holds" in low.note
    assert ledger.decide(claim, evidence, "cifar10-small").answer.verdict == HOLDS
    assert ledger.decide(claim, evidence, "paper").answer.verdict == HOLDS
    assert ledger.decide(claim, None, "digits").answer.verdict == NOT_DECIDABLE
    assert ledger.decide(claim, None, "paper").answer.verdict == NOT_MEASURED
    assert ledger.decide(claim, evidence, "none").answer.verdict == NOT_DECIDABLE
    with pytest.raises(StudyError, match="scale must be one of"):
        ledger.decide(claim, evidence, "large")


def test_scale_none_is_never_decidable():
    claim = dataclasses.replace(BY_ID["svp-25"], scale="none")
    answer = ledger.decide(claim, {"differences": [0.0, 0.0, 0.01]}, "paper").answer
    assert answer.verdict == NOT_DECIDABLE


def test_data_that_only_some_claims_are_about_judge_those():
    first, second = (claim for claim in ledger.load_ledger() if claim.id in ("svp-08", "svp-09"))
    found = {name: lambda scale: {"differences": [[1.0] * 5]} for name in ("svp_08", "svp_09")}
    rows = ledger.decide_all([first, second], None, "paper", found, ["svp-09"])
    assert [row.answer.verdict for row in rows] == [NOT_DECIDABLE, HOLDS]
    assert rows[0].answer.note.startswith(f"needs other data, or more; at this scale: {HOLDS}")
    with pytest.raises(StudyError, match="no claim svp-99 in the ledger"):
        ledger.decide_all([first, second], None, "paper", found, ["svp-99"])


def test_every_profile_names_claims_of_the_ledger():
    ids = {claim.id for claim in ledger.load_ledger()}
    for profile in profiles.profiles(profiles.Folders().notebooks / "profiles.yml").values():
        assert set(profile.claims) <= ids, profile.name


def test_times_that_shared_the_machine_are_not_decidable():
    reason = {"not_decidable": "runs did not have the machine to themselves"}
    answer = ledger.decide(BY_ID["budgeted-07"], reason, "digits").answer
    assert answer.verdict == NOT_DECIDABLE
    assert "machine" in answer.note


def test_nothing_measured_never_holds():
    for claim in CLAIMS:
        for evidence in (None, {}):
            answer = ledger.decide(claim, evidence, "paper").answer
            assert answer.verdict == (NOT_DECIDABLE if claim.scale == "none" else NOT_MEASURED)
            assert math.isnan(answer.value)


def test_recounts_of_printed_tables():
    rows = {r.claim.id: r.answer for r in ledger.decide_all(CLAIMS, Config(), "digits", EVIDENCE)}
    assert len(rows) == len(CLAIMS)
    assert rows["adonis-01"].verdict == HOLDS
    assert rows["adonis-01"].value == pytest.approx(1.905)
    assert rows["adonis-19"].verdict == FAILS
    assert rows["adonis-19"].value == pytest.approx(17.9, abs=0.1)
    assert "1.22x becomes 1.00x" in rows["adonis-19"].note
    assert "1.22x becomes 0.92x" in rows["adonis-19"].note


def test_shared_evidence_is_computed_once():
    calls = []

    def source(scale):
        calls.append(scale)
        return {"values": [0.99, 0.99, 0.99]}

    rows = ledger.decide_all([BY_ID["svp-14"]] * 2, "scale", "digits", {"svp_14": source})
    assert [r.answer.verdict for r in rows] == [HOLDS, HOLDS]
    assert calls == ["scale"]


def test_table_and_lines_have_one_row_a_claim():
    rows = ledger.decide_all(CLAIMS, Config(), "digits", EVIDENCE)
    table = ledger.table(rows)
    assert list(table["id"]) == [claim.id for claim in CLAIMS]
    assert set(table["verdict"]) <= set(VERDICTS)
    assert list(ledger.table([]).columns) == list(table.columns)
    for r in rows:
        line = ledger.format_line(r)
        assert "\n" not in line
        assert line.split()[:2] == [r.claim.document, r.claim.id]
        assert r.answer.verdict in line
        assert r.claim.paper in line
        note = f"  |  note: {r.answer.note}" if r.answer.note else ""
        assert line.endswith(f"measured: {r.claim.measure}{note}")


def test_line_shows_number_interval_and_unit():
    claim = BY_ID["geda-05"]
    line = ledger.format_line(ledger.decide(claim, UP, "digits"))
    assert "holds" in line
    assert "2 [1.5, 2.5] points, n = 3" in line


def test_intervals_are_shown_within_what_is_possible():
    shown = {"rho": "[-1, 0.5]", "share of training": "[0, 0.5]", "points": "[-3, 0.5]"}
    for unit, interval in shown.items():
        answer = Verdict(UNDECIDED, 0.2, -3.0, 0.5, 3, unit)
        one = ledger.Row(BY_ID["geda-05"], answer)
        assert f"0.2 {interval} {unit}, n = 3" in ledger.format_line(one)
        assert ledger.table([one])["low"].item() == float(interval[1:].split(",")[0])
        assert one.answer.low == -3.0  # the rule's own interval stays
        alone = ledger.Row(BY_ID["geda-05"], Verdict(HOLDS, 0.2, np.nan, np.nan, 1, unit))
        assert f"ours: 0.2 {unit}, n = 1" in ledger.format_line(alone)
        assert ledger.table([alone])["low"].isna().item()


def test_settling_times_are_shares_of_training():
    parts = BY_ID["svp-31"].numbers["parts"]
    assert parts["forgetting"]["unit"] == parts["entropy"]["unit"]
    assert parts["entropy"]["unit"] in ledger.POSSIBLE
    assert parts["classes"]["unit"] not in ledger.POSSIBLE  # a difference may be negative


# The documents' tables

TABLES = {
    "svp-table-1": 29,
    "svp-table-2": 21,
    "svp-table-3": 16,
    "svp-table-4": 13,
    "svp-slides-reported": 10,
    "svp-slides-replicated": 5,
    "svp-slides-runs": 4,
    "geda-table-5-1": 4,
    "geda-table-5-2": 3,
    "geda-table-a1": 16,
    "geda-table-a2": 32,
    "budgeted-table-1": 27,
    "budgeted-table-2": 2,
    "budgeted-table-3": 4,
    "adonis-table-1": 10,
    "adonis-table-a1": 94,
    "adonis-preprocessing": 7,
}


def test_papers_tables_are_all_there_and_described():
    assert {path.stem for path in PAPERS.glob("*.csv")} == set(TABLES)
    page = (PAPERS / "README.md").read_text(encoding="utf-8")
    for name, n_rows in TABLES.items():
        assert f"| {name} |" in page
        assert len(paper_table(name)) == n_rows, name


def test_papers_numbers_agree_with_what_the_texts_count():
    times = pd.read_csv(PAPERS / "budgeted-table-1.csv").set_index(["dataset", "model", "method"])
    seconds = times.apply(lambda column: pd.to_timedelta(column).dt.total_seconds())
    dpp, proposed = (seconds.xs(name, level="method") for name in ("DPP", "Proposed"))
    assert int((dpp < proposed).to_numpy().sum()) == 14
    ladder = paper_table("geda-table-a2").pivot_table("acc", ["dataset", "percent"], "method")
    gain = ladder["GEDA"] - ladder["Evenly spaced selection"]
    assert int((gain > 0).sum()) == 7
    drops = paper_table("adonis-table-a1")["acc_drop_pp"]
    assert drops[paper_table("adonis-table-a1")["method"].str.contains("IDS|ADONIS")].max() == 4.92
