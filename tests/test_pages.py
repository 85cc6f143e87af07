"""What readers see of the ledger."""

from pathlib import Path

import pytest

from helpers.claims import ledger, pages, papers, printed
from helpers.claims.verdicts import FAILS, HOLDS, NOT_BUILT, NOT_DECIDABLE, Verdict
from helpers.config import Config
from helpers.profiles import Profile

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"
PART = {"of": {"share": 0.5, "method": "entropy"}, "less": {}, "below": 0.5, "needs": ["converged"]}
FULL = "{svp-slides-reported:CIFAR10,none:err_100} %"


def row(name="svp-01", verdict=HOLDS, parts=None, **words):
    words = {"id": name, "where": "-", "statement": "s", "measure": "m", "paper": FULL} | words
    note = "random already lose 10 points" if verdict == NOT_DECIDABLE else ""
    parts = {"error": PART} if parts is None else parts
    answer = Verdict(verdict, 0.1, -0.1, 0.3, 3, "points", note=note, tests=2)
    claim = ledger.Claim(**words, parts=parts)
    return ledger.Row(claim, answer, dict.fromkeys(parts, answer))


def test_a_headline_says_number_precondition_and_figure():
    rows = [row(headline="one", figure="06-cost"), row("svp-02"),
            row("svp-03", NOT_DECIDABLE, headline="x", figure="01-active-learning")]  # fmt: skip
    lines = pages.headlines(rows).to_dict("records")
    assert [line["claim"] for line in lines] == ["svp-01", "svp-03"]
    assert lines[0]["the document"] == "5.52 %"
    assert lines[0]["ours"] == "0.1 [-0.1, 0.3] points, n = 3"
    assert lines[0]["precondition"] == "met: far from chance, converged"
    assert lines[1]["precondition"] == "failed: random already lose 10 points"
    assert [line["figure"][:2] for line in lines] == ["06", "01"]
    assert list(pages.headlines([]).columns) == list(pages.headlines(rows).columns)
    drawn = pages.intervals([rows[0]]).iloc[0]
    assert (drawn["above"], drawn["below"], drawn["high"]) == (float("-inf"), 0.5, 0.3)


def test_theorems_are_counted_apart_from_findings():
    rows = [row(), row("svp-02", FAILS), row("svp-03", kind="theorem"), row("geda-01", NOT_BUILT),
            row("geda-02", FAILS, kind="existence"), row("geda-03", kind="ours")]  # fmt: skip
    found = pages.counts(rows)
    assert list(found.index) == list(ledger.DOCUMENTS)
    assert (found.loc["svp", "findings"], found.loc["svp", FAILS]) == (2, 1)
    assert found.loc["svp", "theorems, existence"] == "1 of 1"
    assert found.loc["geda", "theorems, existence"] == "0 of 1"
    assert found.loc["geda", [NOT_BUILT, "recounts, ours"]].tolist() == [1, "1 of 1"]


def test_tests_and_changed_rules_are_told():
    told = pages.tests_told([row(changed={"2026-11-30": "x"}), row("svp-02")])
    assert told.startswith("4 interval tests stand behind 2 claims")
    assert "1 of 2 rules were changed after runs existed, last on 2026-11-30" in told


def test_a_page_shows_statement_note_and_what_turns_it():
    page = pages.table([row(verdict=NOT_DECIDABLE), row("geda-01")], "svp")
    assert "random already lose 10 points" in page
    assert "what turns it" in page
    assert "geda-01" not in page
    assert repr(page) == "a table"
    assert page._repr_html_() == page


def test_a_document_is_judged_on_its_notebooks_parameters():
    chosen = Profile(name="x", parameters={"epochs": 3}, notebooks={"04": {"epochs": 5}})
    assert pages.config_of(chosen, "geda").epochs == 5
    assert pages.config_of(chosen, "svp").epochs == 3
    assert pages.config_of(chosen, "geda", Config(epochs=7)).epochs == 7  # asked for with -p


def test_a_printed_table_stands_beside_data_like_its_own(monkeypatch):
    cell = papers.Cell("random", 0.5)
    lines = [
        papers.Printed("svp g", "n", data, of, "error", 5.0)
        for data, of in (("CIFAR10", cell), ("CIFAR10", papers.Cell()), ("SVHN", cell))
    ]
    monkeypatch.setattr(printed, "TABLES", {"t": lambda: iter(lines)})
    assert len(pages.printed_beside(Config())) == 1
    assert len(pages.printed_beside(Config(dataset="svhn"))) == 0  # its full set is not printed
    assert list(pages.printed_beside(Config(dataset="svhn")).columns) == papers.COLUMNS


@pytest.mark.parametrize("document", ledger.DOCUMENTS)
def test_each_document_has_three_headlines_and_the_notebooks_save_their_figures(document):
    found = [c for c in ledger.load_ledger() if c.document == document and c.headline]
    assert len({claim.headline for claim in found}) == len(found) >= 3
    for claim in found:
        (notebook,) = NOTEBOOKS.glob(f"{claim.figure[:2]}-*.ipynb")
        assert f'\\"{claim.figure}\\"' in notebook.read_text(encoding="utf-8")


def test_rows_under_one_heading_stand_together():
    groups = pages.printed_beside(Config())["group"]  # of every printed table
    assert groups.nunique() > 10
    assert (groups != groups.shift()).sum() == groups.nunique()


def test_printed_boosts_stand_beside_ours_and_not_seconds_of_another_machine():
    found = pages.printed_beside(Config()).query("document == 'adonis' and name == 'IDS'")
    printed = found.set_index("quantity")["paper"]
    cells = "adonis-table-a1:CIFAR-10,ResNet18,IDS"
    for quantity, column in ((papers.LOST, "acc_drop_pp"), (papers.BOOST, "train_boost")):
        assert printed[quantity] == pytest.approx(float(papers.filled(f"{{{cells}:{column}}}")))
