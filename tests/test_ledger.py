"""The ledger: its rows, the rules they are judged by, their preconditions, the printed numbers."""

import math
from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError
from scipy import stats

from helpers import profiles
from helpers.claims import (
    correlations,
    deciding,
    ledger,
    pages,
    papers,
    preconditions,
    quantities,
)
from helpers.claims.verdicts import (
    FAILS,
    HOLDS,
    NOT_BUILT,
    NOT_DECIDABLE,
    NOT_MEASURED,
    UNDECIDED,
    Evidence,
    Rule,
    Verdict,
    combine,
    format_number,
    judge,
    robustness,
)
from helpers.experiments import Cell, Config, run
from helpers.results.store import Result
from tests.planting import N, plant
from tests.replicating import replicated

STUDY = Config(dataset="digits@300+100", epochs=20, budgets=(0.3, 0.5), stops=(6,))
LEDGER = ledger.load_ledger()
ROW = {
    "id": "svp-99",
    "where": "nowhere",
    "statement": "Half of the rows are enough.",
    "paper": "{prose:svp,CIFAR10,full error:value} %",
    "measure": "Error on the half minus error on everything",
    "at": ["digits"],
    "parts": {"error": {"of": {"method": "random", "share": 0.5}, "less": {}, "below": 1}},
}
# Of printed data, else cifar10; and of a document the notebook whose parameters are its own.
PROFILES = {"CIFAR100": "cifar100", "ImageNet": "imagenet", "SVHN": "svhn"}
PROFILES |= {f"Amazon Review {name}": "amazon" for name in ("Polarity", "Full")}
NOTEBOOKS = {"budgeted": "03", "geda": "04", "adonis": "05"}


@pytest.fixture(autouse=True)
def _no_pack(monkeypatch):
    monkeypatch.setenv("STUDY_PROFILE", "a profile without a pack")


def claim(**changes):
    """A row of the ledger, its only part changed."""
    part = {**ROW["parts"]["error"], **changes}
    return ledger.Claim(**{**ROW, "parts": {"error": part}})


# Rows


def test_ids_count_up_within_each_document():
    for document in dict.fromkeys(one.document for one in LEDGER):
        ids = [one.id for one in LEDGER if one.document == document]
        assert ids == [f"{document}-{i:02d}" for i in range(1, len(ids) + 1)]


@pytest.mark.parametrize("one", LEDGER, ids=lambda one: one.id)
def test_rows_are_complete_and_their_references_resolve(one):
    assert one.where
    assert one.statement
    assert "{" not in papers.filled(one.paper)
    for part in one.parts.values():
        if part.rule() != Rule() and not (part.never or part.ever or part.rising):
            assert part.why, one.id
    assert one.parts or one.replication
    assert "\n" not in pages.format_line(deciding.decide(one, STUDY, "none"))


@pytest.mark.parametrize("one", LEDGER, ids=lambda one: one.id)
def test_rules_confirm_the_documents_own_numbers_or_say_why_not(one):
    if not one.printed:
        assert one.replication or one.kind != "finding"
        return
    profile = profiles.profile(PROFILES.get(one.printed["data"], "cifar10"))
    number = NOTEBOOKS.get(one.document, "")
    found = replicated(one, profile.config(number=number))
    assert any(answer.verdict != NOT_MEASURED for answer in found.values())
    verdict = combine([answer.verdict for answer in found.values()])
    assert verdict == HOLDS or one.replication, found


def test_profiles_name_claims_of_the_ledger():
    ids = {one.id for one in LEDGER}
    for profile in profiles.profiles(profiles.Folders().notebooks / "profiles.yml").values():
        assert {i for i in profile.claims if i.rpartition("-")[0] in {"svp"}} <= ids
        assert profile.regime in {"none", *preconditions.REGIMES}


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"kind": "guess"}, "kind"),
        ({"at": ["huge"]}, "no regime huge"),
        ({"scale": "digits"}, "scale"),
        ({"parts": {"a": {"of": {}}}}, "a part needs a rule"),
        ({"parts": {"a": {"of": {"metod": "random"}, "below": 1}}}, "a cell has no metod"),
        ({"parts": {"a": {"evidence": "svp.no", "below": 1}}}, "no function svp.no"),
        ({"parts": {"a": {"quantity": "luck", "below": 1}}}, "unknown quantity 'luck'"),
        ({"parts": {"a": {"of": {}, "below": 1, "needs": ["luck"]}}}, "precondition luck"),
    ],
)
def test_rows_that_could_not_be_decided_are_refused(changes, named):
    with pytest.raises(ValidationError, match=named):
        ledger.Claim(**{**ROW, **changes})


def test_values_name_lists_of_the_study():
    assert ledger.resolved(STUDY, "budgets") == [0.3, 0.5]
    assert ledger.resolved(STUDY, "max label_budgets") == 0.3
    assert ledger.resolved(STUDY, "later label_budgets") == [0.2, 0.3]
    assert ledger.resolved(STUDY, {"by": "target"}) == {"by": "target"}
    long = STUDY.replace(epochs=181, stops=(20, 50, 100))
    assert ledger.resolved(long, "brief stop") == [50]
    etas = ledger.settings(STUDY, {"options.eta": "both etas"})
    cells = [ledger.cell(STUDY, {"method": "adonis"}, one) for one in etas]
    assert [cell.options for cell in cells] == [(("eta", 1),), (("eta", 3),)]
    assert ledger.cell(STUDY, {}, etas[0]) == Cell()  # the full set has no options
    assert ledger.cell(STUDY, {"method": "ids", "options": {"eta": None}}, etas[0]).options == ()
    assert ledger.resolved(STUDY, "min later label_budgets") == 0.2


# Decisions on stored results


def plant_half(lost, full=1.5, **more):
    plant(STUDY, Cell(), full, **more)
    plant(STUDY, Cell(model="proxy"), full + 1.0, **more)
    plant(STUDY, Cell("random", 0.5), np.add(full, lost), **more)


@pytest.mark.parametrize(
    ("lost", "verdict"), [(0.4, HOLDS), (1.8, FAILS), ([0.2, 2.5, 0.6], UNDECIDED)]
)
def test_a_difference_of_two_cells_is_judged(lost, verdict):
    plant_half(lost)
    row = deciding.decide(claim(), STUDY, "digits")
    assert row.answer.verdict == verdict
    assert row.answer.value == pytest.approx(np.mean(lost))
    assert ("seeds would decide" in row.answer.robust) == (verdict == UNDECIDED)
    line = pages.format_line(row)
    assert "paper: 5.1 %" in line
    assert verdict in line


def test_what_is_not_there_is_told_apart():
    assert deciding.decide(claim(), STUDY, "digits").answer.verdict == NOT_MEASURED
    other = deciding.decide(claim(), STUDY, "cifar10").answer
    assert (other.verdict, other.note) == (NOT_DECIDABLE, "made at digits")
    bare = ledger.Claim(**{**ROW, "parts": {}, "replication": "no such data"})
    assert deciding.decide(bare, STUDY, "digits").answer.verdict == NOT_BUILT


def test_ratios_pooled_cells_and_trends_of_cells():
    for share, seconds in ((0.3, 2.0), (0.5, 4.0)):
        plant(STUDY, Cell("random", share), 3.0, seconds)
    plant(STUDY, Cell(), 1.0, 8.0)
    ratio = {"quantity": "seconds", "of": {}, "less": None, "over": {"method": "random"}}
    ratio |= {"each": {"share": "budgets"}, "below": math.inf}
    apart = deciding.decide(claim(**ratio, above=2.5), STUDY, "digits").answer
    assert (apart.verdict, apart.part, apart.value) == (FAILS, "50%", pytest.approx(2.0))
    pooled = deciding.decide(claim(**ratio, above=2.5, pooled=True), STUDY, "digits").answer
    assert (pooled.verdict, pooled.value) == (HOLDS, pytest.approx(math.sqrt(8)))
    trend = ratio | {"each": {}, "along": {"share": [0.5, 0.3]}, "rising": -1}
    assert deciding.decide(claim(**trend), STUDY, "digits").answer.verdict == NOT_DECIDABLE
    alone = ratio | {"each": {}, "along": {"share": [0.5]}, "rising": -1}
    assert deciding.decide(claim(**alone), STUDY, "digits").answer.verdict == NOT_MEASURED


def test_seconds_of_a_busy_machine_or_of_two_devices_are_not_compared():
    time = {"quantity": "seconds", "less": None, "over": {}, "below": 2}
    plant(STUDY, Cell(), 1.0)
    for changed, why in (({"alone": False}, "busy"), ({"device": "cuda"}, "different devices")):
        plant(STUDY, Cell("random", 0.5), 1.0, **changed)
        answer = deciding.decide(claim(**time), STUDY, "digits").answer
        assert answer.verdict == NOT_DECIDABLE
        assert why in answer.note


def test_beside_other_work_the_processors_seconds_of_one_thread_count():
    busy = {"seconds": 9.0, "alone": False, "threads": 1, "cpu_s": 8.0, "wall_s": 12.0}
    spec = run(STUDY, Cell(), 0)
    assert quantities.lone_seconds(Result(spec, "", busy, {})) == pytest.approx(6.0)
    unfit = {"threads": 2}, {"resumed": 1}, {"device": "cuda"}, {"cpu_s": 13.0}, {"cpu_s": 5.0}
    for other in unfit:
        with pytest.raises(quantities.Unfit, match="busy"):
            quantities.lone_seconds(Result(spec, "", busy | other, {}))


def test_an_optional_part_without_an_answer_is_left_out():
    plant_half(0.4)
    part = ROW["parts"]["error"]
    absent = {**part, "of": {"method": "random", "share": 0.3}, "optional": True}
    needy = {**part, "optional": True, "needs": ["cuda"]}
    parts = {"a": part, "b": absent, "c": needy}
    row = deciding.decide(ledger.Claim(**{**ROW, "parts": parts}), STUDY, "digits")
    assert row.answer.verdict == HOLDS
    assert [one.verdict for one in row.parts.values()] == [HOLDS, NOT_MEASURED, NOT_DECIDABLE]


# Preconditions


def checked(name, limit=None, regime="digits", cells=None, above=0.0):
    cells = cells or [Cell("random", 0.5), Cell()]
    asked = preconditions.Asked(STUDY, regime, cells, above)
    return preconditions.failed(asked, {name: limit} if name else {}, not name)


def test_preconditions_tell_what_is_wrong_with_the_runs():
    falling = np.linspace(40, 1.5, 20)
    plant_half(2.0, curve=falling, seconds=8.0)
    plant(STUDY, Cell(model="proxy"), 2.5, 4.0, curve=falling)
    assert checked("converged") == ""
    assert "1.5 %, 0.8 % is the regime's" in checked("converged", regime="mnist")
    assert "the last fifth of training gained 8.1" in checked("converged", regime="svhn")
    sparse = np.where(np.arange(20) % 7 == 6, falling, np.nan)
    plant_half(2.0, curve=np.append(sparse[:-1], 1.5), seconds=8.0)  # tested now and then
    assert "the last fifth of training gained 12.2" in checked("converged", regime="svhn")
    plant_half(2.0, curve=falling, seconds=8.0)
    plant(STUDY, Cell(model="proxy"), 2.5, 4.0, curve=falling)
    assert checked("random close") == ""
    assert "already lose 2.0 points, 1 are asked" in checked("random close", 1)
    assert checked("headroom") == ""
    assert "no room to win" in checked("headroom", 2.5)
    plant(STUDY, Cell("random", 0.3), 2.1)  # 0.6 points lost, 2.0 at 50 %: the mean counts
    shares = [Cell("entropy", 0.3), Cell("entropy", 0.5)]
    assert checked("headroom", 1.2, cells=shares) == ""
    assert "random 30%, 50% lose 1.30" in checked("headroom", 1.4, cells=shares)
    all_in_one = [Cell("entropy", 0.5, together=STUDY.n_seeds)]
    assert "one ensemble" in checked("headroom", cells=all_in_one)
    assert checked("better target") == ""
    assert "target no better than its proxy" in checked("better target", 1.5)
    assert "times are asked" in checked("cost ratio", 50)
    assert checked("cost ratio", 1.5) == ""
    assert checked("epochs") == ""
    assert "20 epochs, 30 are asked" in checked("epochs", 30)
    assert "these runs are of cpu" in checked("cuda")
    assert checked("data", "digits") == ""
    assert "the claim is about svhn, not digits" in checked("data", "svhn")
    chosen = [Cell("forgetting", 0.5)]
    assert "at most 1.00x can be reached, 1.2x" in checked("attainable", cells=chosen, above=1.2)
    assert checked("attainable", cells=chosen, above=0.9) == ""
    assert checked("") == ""
    plant(STUDY, Cell("random", 0.5), 85.0)
    assert "random 50% errs by 85.0 %, guessing by 90 %" in checked("")


def test_a_choice_among_rows_never_learned_is_a_draw():
    for never, told in ((0.6, "never learned 60% of the rows, 50% are kept"), (0.4, "")):
        right = np.ones((20, N), dtype=bool)
        right[:, : round(never * N)] = False
        bits = np.packbits(right, axis=1)
        trace = {"correct": bits, "visited": np.full_like(bits, 255)}
        trace["entropy"] = np.ones((1, N), np.float16)
        plant(STUDY, Cell(model="proxy"), 2.0, arrays=[trace] * STUDY.n_seeds)
        assert told in checked("learned", cells=[Cell("forgetting", 0.5)])
    assert checked("learned", cells=[Cell("forgetting", 0.5)]) == ""


def test_a_core_set_of_fewer_rows_than_asked_is_not_compared(monkeypatch):
    rows = {Cell("craig", 0.5): 50, Cell("grad-match", 0.5): 21, Cell(): 100}
    found = [type("R", (), {"metrics": {"n": 100, "n_train": n}}) for n in rows.values()]
    told = dict(zip(rows, found, strict=True))
    monkeypatch.setattr(quantities, "results_of", lambda config, cell: [told[cell]])
    assert [quantities.short_of_rows(STUDY, cell) for cell in rows] == [
        "", "grad-match 50% trains on 21 of the 50 rows asked for", ""]  # fmt: skip


def test_a_failed_precondition_shows_the_number_and_decides_nothing():
    plant_half(0.4, full=5.0)
    answer = deciding.decide(claim(needs=["converged"]), STUDY, "digits").answer
    assert answer.verdict == NOT_DECIDABLE
    assert answer.value == pytest.approx(0.4)
    assert "2 % is the regime's" in answer.note


# Rules

SEEDS = np.array([-0.1, 0.0, 0.1])


@pytest.mark.parametrize(
    ("values", "rule", "verdict"),
    [
        (2 + SEEDS, Rule(above=1), HOLDS),
        (2 + SEEDS, Rule(above=3), FAILS),
        (2 + 10 * SEEDS, Rule(above=1), UNDECIDED),
        (0 + SEEDS, Rule(-0.5, 0.5), HOLDS),
        (2 + SEEDS, Rule(-0.5, 0.5), FAILS),
        (2 + SEEDS[:2], Rule(above=1), NOT_DECIDABLE),
        ([2.0, np.nan, 2.0], Rule(above=1), NOT_DECIDABLE),
        ([2.0, 2.0, 2.0], Rule(above=1), HOLDS),
        ([2 + SEEDS, 3 + SEEDS], Rule(above=1), HOLDS),
        ([2 + SEEDS, 0 + SEEDS], Rule(above=1), FAILS),
        ([2 + SEEDS, 1 + SEEDS], Rule(above=1), UNDECIDED),
        ([0, 300], Rule(never=200), HOLDS),
        ([0, 100], Rule(never=200), NOT_DECIDABLE),
        ([1, 100], Rule(never=200), FAILS),
        ([1, 100], Rule(ever=True), HOLDS),
        ([0, 100], Rule(ever=True), UNDECIDED),
    ],
)
def test_rules_give_the_verdicts(values, rule, verdict):
    assert judge(Evidence(np.array(values, dtype=float)), rule).verdict == verdict


def test_exact_values_have_no_interval():
    one = judge(Evidence(np.array([2.0]), exact=True), Rule(1.9, 2.1))
    assert (one.verdict, one.low, one.high) == (HOLDS, 2.0, 2.0)
    assert judge(Evidence(np.array([2.0, 2.2]), exact=True), Rule(1.9, 2.1)).verdict == FAILS


def test_the_interval_is_students_with_a_spread_pooled_over_cells():
    one = judge(Evidence(np.arange(1.0, 6.0)), Rule(above=0))
    assert one.high - one.value == pytest.approx(2.776 * math.sqrt(2.5 / 5), rel=1e-3)
    # a lucky cell does not decide by its own small spread: sds 0.1 and 1.0, 2.04 degrees of freedom
    two = judge(Evidence([1.0 + SEEDS, 5.0 + 10 * SEEDS], ["a", "b"]), Rule(below=0.6))
    assert (two.verdict, two.part) == (FAILS, "b")
    small = judge(Evidence([1.0 + SEEDS, 0.0 + 10 * SEEDS], ["a", "b"]), Rule(below=0.6))
    assert (small.verdict, small.part, small.tests) == (UNDECIDED, "a", 2)
    t = stats.t.ppf(0.975, 2 * 1.01**2 / (1 + 1e-4))
    assert small.high - 1.0 == pytest.approx(t * math.sqrt((0.01 + 1) / 2 / 3), rel=1e-3)
    own = judge(
        Evidence([2 + np.arange(5.0), 100 * np.arange(5.0) - 150], ["a", "b"]), Rule(below=0.6)
    )
    assert (own.verdict, own.part) == (FAILS, "a")  # from five seeds on by its own


def test_outside_is_found_by_holm_so_that_cells_do_not_add_up_to_a_refutation():
    rng = np.random.default_rng(0)
    on_the_bound = [judge(Evidence(rng.normal(size=(9, 3))), Rule(below=0)) for _ in range(400)]
    refuted = np.mean([one.verdict == FAILS for one in on_the_bound])
    assert 0 < refuted < 0.05  # 9 single tests at 2.5 % would refute a fifth
    barely = Evidence(np.array([1.0, 1.1, 1.2, 0.8]))
    one = judge(barely, Rule(below=0.7))
    assert (one.verdict, one.low > 0.7) == (FAILS, True)
    assert judge(barely, Rule(below=0.7, among=4)).verdict == UNDECIDED  # one of four parts


def test_ratios_are_judged_in_logarithms():
    one = judge(Evidence(np.array([2.0, 4.0, 8.0]), unit="x"), Rule(above=0.1))
    assert one.value == pytest.approx(4.0)
    assert one.low * one.high == pytest.approx(16.0)


def test_a_trend_is_compared_with_permuted_settings():
    rising = Evidence(np.tile([1.0, 2.0, 3.0], (3, 1)), settings=(10, 20, 30))
    one = judge(rising, Rule(rising=1))
    assert (one.verdict, one.value) == (HOLDS, pytest.approx(1.0))
    assert f"{6**-3:.3g}" in one.note  # one order of six in each of three seeds
    assert judge(rising, Rule(rising=-1)).verdict == FAILS
    assert judge(replace(rising, settings=(30, 20, 10)), Rule(rising=-1)).verdict == HOLDS
    mixed = Evidence(np.array([[1.0, 2, 3], [3, 2, 1], [1, 3, 2]]), settings=(1, 2, 3))
    assert judge(mixed, Rule(rising=1)).verdict == UNDECIDED
    two = Evidence(np.tile([1.0, 2.0], (3, 1)), settings=(1, 2))
    assert judge(two, Rule(rising=1)).verdict == NOT_DECIDABLE  # chance does it once in eight
    many = judge(Evidence(np.tile(np.arange(6.0), (4, 1)), settings=range(6)), Rule(rising=1))
    assert many.verdict == HOLDS
    assert many.note == "permutation p = 5e-05"  # of 20,000 orders drawn, and the one found
    noise = np.random.default_rng(1).normal(size=(300, 3, 3))
    told = [judge(Evidence(one, settings=(1, 2, 3)), Rule(rising=1)).verdict for one in noise]
    assert np.mean([one != UNDECIDED for one in told]) < 0.06


def test_undecided_says_what_these_seeds_could_show():
    near = judge(Evidence(0.5 + 5 * SEEDS), Rule(above=0))
    assert near.verdict == UNDECIDED
    shown = float(near.robust.split("from ")[1].split(";")[0])
    needed = int(near.robust.split("about ")[1].split(" ")[0])
    # t of 2 degrees: 4.303 + 1.061 standard errors of 0.289
    assert shown == pytest.approx((4.303 + 1.061) * 0.5 / math.sqrt(3), rel=0.05)
    enough = 0.5 + 5 * np.resize(SEEDS, needed * 3)
    assert 3 < needed < 20
    assert judge(Evidence(enough), Rule(above=0)).verdict == HOLDS


def test_robustness_names_what_turns_an_answer():
    def turned(values, rule, unit="points"):
        evidence = Evidence(np.array(values), unit=unit)
        return robustness(evidence, rule, judge(evidence, rule))

    assert turned(0.1 + SEEDS, Rule(below=1)) == "none of 2 changes turns it"
    assert "at half the margin" in turned(0.6 + SEEDS, Rule(below=1))
    assert "does not hold at twice the margin" in turned(4 + SEEDS, Rule(above=3), "x")
    assert "there is no margin" in turned(0.99 + SEEDS / 100, Rule(above=0.94), "rho")
    assert turned(1.2 + SEEDS / 4, Rule(1.1, 1.3), "x") == "undecided at half the margin"
    assert "without seed" in turned([1.2, 1.25, 1.3, 1.1], Rule(above=1.06))


def test_parts_must_all_hold():
    assert combine([HOLDS, HOLDS]) == HOLDS
    for worse in (UNDECIDED, NOT_MEASURED, NOT_DECIDABLE, FAILS):
        assert combine([HOLDS, worse]) == worse
    assert combine([NOT_DECIDABLE, FAILS]) == FAILS
    assert combine([UNDECIDED, NOT_MEASURED]) == NOT_MEASURED


def test_intervals_are_shown_within_what_is_possible():
    for unit, interval in (("rho", "[-1, 0.5]"), ("points", "[-3, 0.5]")):
        assert format_number(Verdict(UNDECIDED, 0.2, -3, 0.5, 3, unit)) == (
            f"0.2 {interval} {unit}, n = 3"
        )
    assert format_number(Verdict(NOT_MEASURED)) == "-"


# Correlations between runs


def test_blocks_leave_out_pairs_of_a_run_with_itself_or_its_seed():
    seeds, groups = np.tile(np.arange(4), 2), np.repeat([0, 1], 4)
    matrix = np.where(groups[:, None] == groups, 0.6, 0.2)
    matrix[seeds[:, None] == seeds[None, :]] = 0.99
    within, between = correlations.blocks(matrix, groups, seeds)
    assert np.allclose(within, 0.6)
    assert np.allclose(between, 0.2)
    two = seeds < 2  # without one of two seeds no pair is left
    assert np.isnan(correlations.blocks(matrix[two][:, two], groups[two], seeds[two])).all()


def test_pseudo_values_of_a_mean_of_seeds_are_its_values():
    rng, seeds = np.random.default_rng(0), np.tile(np.arange(5), 2)
    values = rng.normal(size=5)
    matrix = np.add.outer(values[seeds], values[seeds]) / 2
    same = seeds[:, None] == seeds[None, :]
    assert np.allclose(correlations.pair_means(matrix, same, seeds), values)
