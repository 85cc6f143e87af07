"""The documents' printed numbers: references, readers, ours beside them."""

import math
from dataclasses import replace

import pandas as pd
import pytest

from helpers import StudyError
from helpers.claims import papers, printed
from helpers.claims.printed import PAPERS, paper_table
from helpers.experiments import Cell, Config
from tests.planting import plant

STUDY = Config(dataset="digits@300+100", epochs=20, budgets=(0.3, 0.5), stops=(6,))


@pytest.fixture(autouse=True)
def _no_pack(monkeypatch):
    monkeypatch.setenv("STUDY_PROFILE", "a profile without a pack")


def test_tables_are_described_and_readers_read_what_is_there():
    page = (PAPERS / "README.md").read_text(encoding="utf-8")
    for path in PAPERS.glob("*.csv"):
        assert f"| {path.stem} |" in page
        assert len(paper_table(path.stem))
    for name in printed.TABLES:
        assert printed.printed(name), name
    for name in [f"svp-table-{i}" for i in (1, 2, 3, 4)]:
        found = printed.printed(name)
        assert len({(one.data, one.cell, one.quantity) for one in found}) == len(found)


def test_numbers_agree_with_what_the_texts_count():
    times = pd.read_csv(PAPERS / "budgeted-table-1.csv").set_index(["dataset", "model", "method"])
    seconds = times.apply(lambda column: pd.to_timedelta(column).dt.total_seconds())
    dpp, proposed = (seconds.xs(name, level="method") for name in ("DPP", "Proposed"))
    assert int((dpp < proposed).to_numpy().sum()) == 14
    ladder = paper_table("geda-table-a2").pivot_table("acc", ["dataset", "percent"], "method")
    assert int((ladder["GEDA"] > ladder["Evenly spaced selection"]).sum()) == 7
    drops = paper_table("adonis-table-a1")["acc_drop_pp"]
    assert drops[paper_table("adonis-table-a1")["method"].str.contains("IDS|ADONIS")].max() == 4.92


def test_references_are_printed_cells():
    assert papers.filled("{svp-table-2:CIFAR10,Entropy,ResNet20:err_50} %") == "5.7 %"
    for wrong in (
        "{svp-table-2:CIFAR10:err_50}",
        "{svp-table-9:a:b}",
        "{prose:svp,CIFAR10,x:value}",
    ):
        with pytest.raises(StudyError, match="papers"):
            papers.filled(wrong)


def test_runs_like_have_the_printed_mean_and_spread():
    one = papers.Printed("", "", "", Cell(), "error", 5.0, 0.3, 4)
    other = replace(one, value=4.0, sd=0.4, n=5)
    alone, gap = papers.runs_like(one), papers.runs_like(one, other)
    assert (alone.mean(), alone.std(ddof=1)) == (pytest.approx(5.0), pytest.approx(0.3))
    assert (gap.mean(), gap.std(ddof=1), len(gap)) == (
        pytest.approx(1.0),
        pytest.approx(0.5),
        4,
    )
    assert papers.runs_like(one, other, pooled=4).std(ddof=1) == pytest.approx(0.25)
    ratio = papers.runs_like(one, other, ratio=True)
    assert ratio.std(ddof=1) == pytest.approx(1.25 * math.hypot(0.06, 0.1))


def test_speed_ups_stand_for_seconds_of_choosing():
    def read(by):
        cell = Cell("least-confidence", 0.5, by, protocol="active")
        return papers.find("svp-table-1", "CIFAR10", cell, "choosing").value

    assert read("target") / read("proxy") == pytest.approx(7.2)
    with pytest.raises(papers.NotPrinted):
        papers.find("svp-table-1", "CIFAR10", Cell("dpp", 0.5), "error")


def test_ours_stand_beside_the_printed_numbers():
    plant(STUDY, Cell(), 2.0)
    plant(STUDY, Cell("forgetting", 0.5), [2.4, 2.5, 2.6], 4.0, 0.5)
    plant(STUDY, Cell("forgetting", 0.5, after=6), 2.2)
    table = papers.beside(STUDY, "svp-table-3", "CIFAR10")
    assert list(table.columns) == papers.COLUMNS
    rows = table[(table["method"] == "forgetting") & (table["group"].str.contains("50 %"))]
    lost = rows[rows["quantity"] == papers.LOST].set_index("name")["ours"]
    assert lost["Forgetting Events by the proxy, 181 of 181 epochs"] == pytest.approx(0.5)
    assert lost["Forgetting Events by the proxy, 50 of 181 epochs"] == pytest.approx(0.2)
    assert lost.isna().sum() == 2  # by the target, and no stop near to 100 of 181
    assert papers.beside(STUDY, "svp-table-1", "CIFAR10")["ours"].isna().all()
