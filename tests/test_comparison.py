"""The documents' tables beside ours."""

import numpy as np
import pandas as pd
import pytest

from helpers import StudyError, comparison, experiments as ex, plots
from helpers.comparison import svp
from helpers.comparison.slides import slides_table
from helpers.results.store import Result, Store
from helpers.specs import Measure

SCALE = ex.Config(dataset="digits@300+100", n_seeds=3)
COLUMNS = {"document", "group", "name", "method", "quantity", "paper", "ours", "low", "high"}


@pytest.fixture(autouse=True)
def _no_pack(monkeypatch):
    monkeypatch.setenv("STUDY_PROFILE", "a profile without a pack")


def planted(spec, accuracy, seconds=10.0, alone=True):
    """Store a made-up training run."""
    metrics = {"test_acc": accuracy, "seconds": seconds, "alone": alone, "device": "cpu"}
    Store().write(spec, metrics, {})


@pytest.mark.parametrize(
    ("table", "n_rows"),
    [
        (comparison.svp_table_2, 18),
        (comparison.geda_table_a2, 16),
        (comparison.adonis_table_a1, 18),
        (svp.svp_table_1, 35),
        (svp.svp_table_3, 18),
        (slides_table, 13),
    ],
)
def test_tables_stand_without_any_result(table, n_rows):
    found = table(SCALE)
    assert set(found.columns) == COLUMNS
    assert len(found) == n_rows
    assert found["paper"].notna().all()
    assert found["ours"].isna().all()
    with pytest.raises(StudyError, match="empty"):
        plots.ours_against_paper(found[found["ours"].notna()])


def test_ours_are_points_lost_and_boosts():
    for seed in SCALE.seeds:
        noise = seed / 1000
        planted(ex.depth_run(SCALE, SCALE.proxy, seed), 0.95, 12.0)
        planted(ex.online_run(SCALE, "ids", seed), 0.93 + noise, 10.0)
        planted(ex.online_run(SCALE, "adonis", seed, eta=1), 0.90 + noise, 6.0, alone=False)
        planted(ex.ladder_run(SCALE, "geda-random", 0.4, seed), 0.85 + noise)
    online = comparison.adonis_table_a1(SCALE).set_index(["name", "quantity"])
    ids = online.loc[("IDS", comparison.LOST)]
    assert ids["ours"] == pytest.approx(1.9)
    assert ids["low"] < 1.9 < ids["high"]
    assert ids["paper"] == 0.72
    assert online.loc[("IDS", "train boost (x)"), "ours"] == pytest.approx(1.2)
    assert np.isnan(online.loc[("ADONIS, eta 1", "train boost (x)"), "ours"])  # a busy machine
    ladder = comparison.geda_table_a2(SCALE).set_index(["group", "name"])
    geda = ladder.loc[("geda Table A.2, 40 % kept", "GEDA")]
    assert geda["ours"] == pytest.approx(9.9)
    assert geda["paper"] == pytest.approx(86.23 - 81.1)


def test_selection_seconds_of_the_paper():
    table = comparison.budgeted_table_1(SCALE)
    row = table[(table["dataset"] == "MNIST") & (table["model"] == "AlexNet")]
    row = row.set_index("method")
    assert row.loc["Proposed", "paper_k_600"] == row.loc["Proposed", "paper_k_1500"] == 327
    assert np.isnan(row.loc["Submodular", "paper_k_1500"])
    assert table["ours"].isna().all()


def test_active_learning_beside_table_1():
    scale = ex.Config(dataset="digits@300+100", label_budgets=(0.1, 0.3, 0.6))
    for seed in scale.seeds:
        planted(ex.depth_run(scale, scale.target, seed), 0.95 + seed / 1000)
        for by, accuracy in ((scale.proxy, 0.90), (scale.target, 0.92)):
            run = ex.active_run(scale, "k-centers", 0.3, seed, by)
            planted(run, accuracy + seed / 1000)
        planted(ex.active_run(scale, "random", 0.1, seed), 0.80 + seed / 1000)
    table = svp.svp_table_1(scale)
    lost = table[table["quantity"] == comparison.LOST].set_index(["group", "name"])
    cell = lost.loc[("svp Table 1, 30 % labelled", "Greedy k-centers by the proxy")]
    assert cell["ours"] == pytest.approx(5.0)
    assert cell["paper"] == pytest.approx(8.8 - 5.1)
    assert lost.loc[("svp Table 1, 10 % labelled", "Random"), "ours"] == pytest.approx(15.0)
    assert lost["ours"].notna().sum() == 3
    speed = table[table["quantity"] == svp.SPEED].set_index(["group", "name"])
    assert speed["paper"].max() == 7.2
    assert speed["ours"].isna().all()  # no round is stored


def test_the_speed_ups_of_a_row_are_worked_out_once(monkeypatch):
    budgets, asked = (0.1, 0.2, 0.3, 0.4, 0.5), []

    def speed_ups(scale, method, by):
        asked.append((method, by))
        return np.arange(5.0)[:, None] + np.zeros(scale.n_seeds)

    monkeypatch.setattr(svp, "speed_ups", speed_ups)
    scale = ex.Config(dataset="digits@300+100", label_budgets=budgets)
    table = svp.svp_table_1(scale)
    speed = table[table["quantity"] == svp.SPEED]
    assert speed["ours"].tolist() == [0.0, 0.0, 1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 4.0, 4.0]
    assert len(asked) == len(set(asked)) == 2


def test_stops_stand_for_the_printed_length_they_are_nearest_to():
    scale = ex.Config(dataset="digits@300+100", epochs=181, stops=(50, 100))
    stops = [svp.stop_for(scale, length) for length in (181, 100, 50)]
    assert stops == [181, 100, 50]
    short = ex.Config(dataset="digits@300+100", epochs=6, stops=(2,))
    stops = [svp.stop_for(short, length) for length in (181, 100, 50)]
    assert stops == [6, None, 2]


def test_brief_proxies_beside_table_3():
    scale = ex.Config(dataset="digits@300+100", epochs=6, budgets=(0.3, 0.5), stops=(2,))
    for seed in scale.seeds:
        planted(ex.depth_run(scale, scale.target, seed), 0.95)
        for chosen, accuracy in (
            (ex.brief_choice(scale, "entropy", 0.5, seed, after=2), 0.91),
            (ex.choice(scale, "entropy", 0.5, seed), 0.93),
        ):
            planted(ex.subset_run(scale, scale.target, chosen), accuracy)
    table = svp.svp_table_3(scale)
    ours = table.dropna(subset="ours").set_index("name")["ours"]
    np.testing.assert_allclose(ours.loc["Entropy, 50 of 181 epochs (ours 2 of 6)"], 4.0)
    np.testing.assert_allclose(ours.loc["Entropy, 181 of 181 epochs (ours 6 of 6)"], 2.0)
    assert len(ours) == 2


def test_whole_brief_and_combined_proxies_beside_the_slides():
    scale = ex.Config(dataset="digits@300+100", budgets=(0.4, 0.6), stops=(2,))
    for seed in scale.seeds:
        planted(ex.depth_run(scale, scale.target, seed), 0.95)
        for chosen, accuracy in (
            (ex.brief_choice(scale, "entropy", 0.6, seed, after=2), 0.91),
            (ex.choice(scale, "entropy", 0.6, seed), 0.93),
            (ex.choice(scale, "entropy", 0.6, seed, scale.target), 0.94),
            (ex.ensemble_choice(scale, "entropy", 0.6, seed, 3), 0.90),
            (ex.choice(scale, "random", 0.4, seed), 0.85),
        ):
            planted(ex.subset_run(scale, scale.target, chosen), accuracy)
    ours = slides_table(scale).dropna(subset="ours").set_index(["group", "name"])["ours"]
    assert {name: round(value, 9) for (_, name), value in ours.items()} == {
        "Random": 10.0,
        "Entropy by three proxies": 5.0,
        "Entropy by the proxy, stopped early": 4.0,
        "Entropy by the proxy": 2.0,
        "Entropy by the target": 1.0,
    }
    houses = slides_table(HOUSES)
    brief = houses[houses["name"] == "Entropy by the proxy, stopped early"]
    assert len(houses) == 8
    np.testing.assert_allclose(brief["paper"], (0.08, -0.07))


TEXTS = ex.Config(
    dataset="amazon-reviews@200+100", models=("fasttext-b8", "vdcnn9-w8", "vdcnn17-w8"),
    proxy="fasttext-b8", target="vdcnn17-w8", more_proxies=("vdcnn9-w8",),
    recipe="text-small", budgets=(0.4, 0.6, 0.8), label_budgets=(0.1, 0.3),
)  # fmt: skip
FULL = ex.Config(**{**vars(TEXTS), "dataset": "amazon-ratings"})
PICTURES = ex.Config(dataset="folder:somewhere")
HOUSES = ex.Config(dataset="svhn")


@pytest.mark.parametrize(
    ("scale", "printed", "table_1", "table_4"),
    [
        (SCALE, "CIFAR10", 35, 0),
        (TEXTS, "Amazon Review Polarity", 30, 12),
        (FULL, "Amazon Review Full", 30, 12),
        (PICTURES, "ImageNet", 20, 15),
        (HOUSES, "", 0, 0),
    ],
)
def test_the_data_nearest_in_kind_stand_beside_ours(scale, printed, table_1, table_4):
    assert comparison.svp_data(scale) == printed
    tables = [svp.svp_table_1(scale), svp.svp_table_4(scale)]
    assert [len(table) for table in tables] == [table_1, table_4]
    for table in tables:
        assert set(table.columns) == COLUMNS
        assert table["paper"].dtype == table["ours"].dtype == float
        assert table["paper"].notna().all()
    of_cifar = [comparison.svp_table_2(scale), svp.svp_table_3(scale)]
    assert [len(table) for table in of_cifar] == ([18, 18] if printed == "CIFAR10" else [0, 0])
    everything = pd.concat([*tables, *of_cifar], ignore_index=True)
    assert set(everything.columns) == COLUMNS
    assert everything["ours"].dtype == float


def test_texts_stand_beside_the_amazon_rows():
    for seed in TEXTS.seeds:
        planted(ex.depth_run(TEXTS, TEXTS.target, seed), 0.80)
        for by, accuracy in ((TEXTS.proxy, 0.70), ("vdcnn9-w8", 0.72), (TEXTS.target, 0.74)):
            planted(ex.active_run(TEXTS, "least-confidence", 0.3, seed, by), accuracy)
            chosen = ex.choice(TEXTS, "entropy", 0.6, seed, by)
            planted(ex.subset_run(TEXTS, TEXTS.target, chosen), accuracy + 0.01)
        planted(ex.subset_run(TEXTS, TEXTS.target, ex.choice(TEXTS, "random", 0.6, seed)), 0.68)
    active = svp.svp_table_1(TEXTS)
    lost = active[active["quantity"] == comparison.LOST].dropna(subset="ours")
    assert set(lost["group"]) == {"svp Table 1, Amazon Review Polarity, 30 % labelled"}
    lost = lost.set_index("name")
    assert lost["ours"].round(6).to_dict() == {
        "Least confidence by the target": 6.0,
        "Least confidence by vdcnn9-w8": 8.0,
        "Least confidence by the proxy": 10.0,
    }
    assert lost["paper"].round(6).tolist() == [0.4, 0.4, 0.5]  # of 4.5, 4.5 and 4.6 less 4.1
    speed = active[active["quantity"] == svp.SPEED]
    assert speed["name"].nunique() == 2
    assert speed["paper"].max() == 51.3
    core_sets = svp.svp_table_4(TEXTS).dropna(subset="ours").set_index("name")
    assert set(core_sets["group"]) == {"svp Table 4, Amazon Review Polarity, 60 % kept"}
    assert core_sets["ours"].round(6).to_dict() == {
        "Random": 12.0, "Entropy by the target": 5.0, "Entropy by vdcnn9-w8": 7.0,
        "Entropy by the proxy": 9.0,
    }  # fmt: skip
    assert core_sets.loc["Random", "paper"] == pytest.approx(4.5 - 4.1)


def test_images_of_imagenet_kind_stand_beside_resnet18_and_50():
    table = svp.svp_table_4(PICTURES).set_index(["group", "name"])["paper"]
    here = "svp Table 4, ImageNet, 40 % kept"
    assert table[here, "Forgetting Events by the proxy"] == pytest.approx(31.6 - 23.3)
    assert table[here, "Entropy by the target"] == pytest.approx(34.9 - 23.3)


def test_the_paper_prints_no_time_of_what_did_not_finish():
    rows = comparison.budgeted_seconds()
    assert rows["name"].value_counts().to_dict() == {"DPP": 90, "Proposed": 90, "Submodular": 45}
    assert (rows["share"].min(), rows["share"].max()) == pytest.approx((0.2, 0.5))
    assert rows.loc[rows["name"] == "Proposed", "seconds"].max() == 593  # 00:09:53


def test_our_selection_times_are_beside_the_papers_table_1():
    seconds = {"dpp": [[1.0, 8.0], [1.2, 9.0], [1.1, 8.5]], "greedy": [[2.0, 5.0]] * 3}
    seconds["iqp"] = [[0.01, 0.02]] * 3
    arrays = {f"seconds_{name}": np.array(values) for name, values in seconds.items()}
    Store().write(Measure("selection-time"), {"n": 1000, "alone": True}, arrays)
    table = comparison.budgeted_table_1(SCALE).groupby("method").first()
    assert table.loc["DPP", ["ours_k_low", "ours_k_high"]].tolist() == [1.1, 8.5]
    assert table.loc["Submodular", "ours_k_high"] == 5.0
    assert table.loc["Proposed", "ours_k_high"] == 0.02
    assert table["ours"].isna().all()  # at 3,000 points, not stored here
    assert (table["ours_n"] == 1000).all()
    Store().write(Measure("selection-time"), {"n": 1000, "alone": False}, arrays)
    assert comparison.budgeted_table_1(SCALE)["ours_k_low"].isna().all()  # a busy machine


def test_our_seconds_name_the_smaller_pool_of_the_lp():
    arrays = {f"seconds_{name}": np.full((2, 3), 1.0) for name in comparison.CONTENDERS}
    arrays |= {"seconds_lp": np.array([1.0, 2.0, 3.0]), "shares": np.array([0.2, 0.3, 0.5])}
    found = Result(Measure("selection-time"), "key", {"n_lp": 60}, arrays)
    counts = comparison.our_seconds(found)["name"].value_counts()
    assert counts["LP as written, N = 60"] == 3
    assert set(counts.drop("LP as written, N = 60")) == {6}
