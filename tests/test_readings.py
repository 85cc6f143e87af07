"""Scores and rankings from traces, how alike they are, and the choices made by them."""

import dataclasses
from itertools import product

import numpy as np
import pytest
from scipy import stats

from helpers import StudyError, experiments, results, scores, specs
from helpers.experiments import Cell, Config
from helpers.results import readings, steps
from helpers.results.store import Result
from helpers.selection import kcenters, prototypes, registry
from helpers.specs import Select, Train

SCALE = Config(dataset="digits@200+50", epochs=4, n_seeds=3, models=["resnet8-w8"])
N = 200


@pytest.fixture(scope="module")
def proxies():
    """Finished runs of the proxy, one a seed."""
    asked = [experiments.depth_run(SCALE, SCALE.proxy, seed) for seed in SCALE.seeds]
    return results.compute(asked, device="cpu")


def chosen_by(spec, runs, start=None):
    """Return metrics and indices of a choice made from results at hand."""
    have = {specs.key(run.spec): run for run in runs}
    if start is not None:
        have[specs.key(spec.start)] = start
    metrics, arrays = steps.run_select(spec, lambda need: have[specs.key(need)], "cpu")
    return metrics, arrays["indices"]


def test_the_end_is_scored_from_logits_and_nearly_as_recorded(proxies):
    run = proxies[0]
    for method in ("least-confidence", "margin", "entropy"):
        of_probs = getattr(scores, method.replace("-", "_"))(readings.probs_of(run))
        np.testing.assert_array_equal(readings.score(method, run, N), of_probs)
        recorded = readings.score(method, run, N, SCALE.epochs)
        np.testing.assert_allclose(recorded, of_probs, atol=3e-3)  # float16


def test_scores_after_some_epochs_are_those_of_the_trace_up_to_there(proxies):
    run = proxies[0]
    shorter = {name: run.arrays[name][:2] for name in ("correct", "visited")}
    np.testing.assert_array_equal(
        readings.score("forgetting", run, N, after=2),
        readings.score("forgetting", dataclasses.replace(run, arrays=shorter), N),
    )
    for method, after, message in (
        ("entropy", 3, r"epochs must be among \[0, 1, 2, 4\]"),
        ("forgetting", 5, r"among 1\.\.4 "),
        ("k-centers", 2, "not k-centers"),
    ):
        with pytest.raises(StudyError, match=message):
            readings.score(method, run, N, after)


def test_a_brief_choice_takes_the_first_rows_by_the_score_at_that_epoch(proxies):
    spec = experiments.chosen(SCALE, Cell("entropy", 0.3, after=2), 1)
    _, indices = chosen_by(spec, proxies)
    values = readings.score("entropy", proxies[1], N, 2)
    assert len(set(indices)) == len(indices) == 60
    assert values[indices].min() >= np.delete(values, indices).max()
    assert (np.diff(values[indices]) <= 0).all()
    clock = proxies[1].metrics["history"]["seconds"]
    assert readings.seconds_of(proxies[1], after=2) == clock[1] < clock[-1]


@pytest.mark.parametrize(("method", "size"), [("entropy", 2), ("forgetting", 3)])
def test_an_ensemble_ranks_by_the_mean_rank_of_its_proxies(proxies, method, size):
    spec = experiments.chosen(SCALE, Cell(method, 0.3, together=size), 2)
    assert [run.seed for run in spec.of] == [2, 0, 1][:size]  # round the seeds there are
    _, indices = chosen_by(spec, proxies)
    runs = [proxies[run.seed] for run in spec.of]
    values = scores.combine_ranks([readings.score(method, run, N) for run in runs])
    expected = registry.pick("top", registry.Pool(np.zeros(N, int), scores=values), 60, 2)[0]
    assert indices.tolist() == expected.tolist()


def test_several_runs_are_not_ranked_together_unasked(proxies):
    spec = experiments.chosen(SCALE, Cell("entropy", 0.3, together=2), 0)
    with pytest.raises(StudyError, match="combine=rank only"):
        chosen_by(dataclasses.replace(spec, options=(("after", 2),)), proxies)


def planted_start():
    return Select(SCALE.data_name, "random", 0.1, 7)


def round_of(method, options):
    start = planted_start()
    of = experiments.depth_run(SCALE, SCALE.proxy, 0)
    return Select(SCALE.data_name, method, 0.25, 7, (of,), start, options)


def test_k_centers_of_a_round_starts_from_the_rows_labelled_before(proxies):
    start = results.compute([planted_start()], device="cpu")[0]
    first = start.arrays["indices"]
    _, indices = chosen_by(round_of("k-centers", (("centres", "start"),)), proxies, start)
    features = proxies[0].arrays["features"].astype(np.float32)
    added = kcenters.greedy_k_centers(features, 45, initial=first)
    assert indices.tolist() == [*first, *added]
    _, beside = chosen_by(round_of("k-centers", ()), proxies, start)
    assert beside.tolist() != indices.tolist()


def test_centres_outside_the_pool_cover_what_is_near_them():
    line = np.arange(10.0)[:, None]
    there = registry.Pool(np.zeros(10, int), features=line, centres=np.array([[9.0], [8.0]]))
    assert registry.pick("k-centers", there, 3, 0)[0].tolist() == [0, 4, 2]
    with pytest.raises(StudyError, match="n_initial"):
        registry.pick("k-centers", there, 3, 0, n_initial=2)


def a_run(correct, entropy=None, recorded=None):
    """A stored run: correct (epochs, n) bool, always visited."""
    correct = np.asarray(correct, dtype=bool)
    arrays = {
        "correct": np.packbits(correct, axis=1),
        "visited": np.packbits(np.ones_like(correct), axis=1),
    }
    if entropy is not None:
        arrays |= {
            "entropy": np.array(entropy, dtype=np.float16),
            "recorded_epochs": np.array(recorded),
        }
    return Result(Train("digits", "resnet8-w8", "digits", len(correct), 0), "0" * 64, {}, arrays)


RUN = a_run([[1, 0, 0], [0, 1, 0], [1, 0, 0]], [[2, 2, 2], [0.5, 0.25, 1]], [0, 3])


def test_scores_of_a_run():
    assert readings.entropy_of(RUN).tolist() == [0.5, 0.25, 1]
    assert readings.entropy_of(RUN, 0).tolist() == [2, 2, 2]
    assert readings.forgetting(RUN).tolist() == [1, 1, np.inf]
    assert readings.forgetting(RUN, 1).tolist() == [0, np.inf, np.inf]
    with pytest.raises(ValueError, match="record_at"):
        readings.entropy_of(a_run([[1, 0]]))


def test_similarity_equals_scipy():
    rows = np.random.default_rng(0).integers(0, 6, (4, 50)).astype(float)
    spearman = readings.similarity_matrix(list(rows))
    np.testing.assert_allclose(spearman, stats.spearmanr(rows.T)[0])
    np.testing.assert_allclose(readings.similarity_matrix(rows, "pearson"), np.corrcoef(rows))
    rows = [np.array([0, 1, np.inf]), np.array([0.0, 1, 8])]
    assert readings.similarity_matrix(rows, "pearson", 8)[0, 1] == pytest.approx(1)
    with pytest.raises(ValueError, match="infinite"):
        readings.similarity_matrix(rows, "pearson")


def test_rows_initial_in_either_run_are_left_out():
    first = np.array([0, 1, 2, 3, 4, 5])
    second = np.array([5, 1, 2, 3, 4, 0])  # 0 and 5 are initial in one of both
    matrix = readings.centre_order_matrix([first, second, second[::-1]], 1)
    assert matrix[0, 1] == pytest.approx(1)
    assert matrix[1, 2] == pytest.approx(-1)
    np.testing.assert_allclose(np.diag(matrix), 1)
    with pytest.raises(ValueError, match="leaves 0 rows"):
        readings.centre_order_matrix([first, second], 6)


def test_block_means_leave_self_pairs_out():
    matrix = np.array([[1, 0.2, 0.4], [0.2, 1, 0.6], [0.4, 0.6, 1]])
    means = readings.block_means(matrix, ["b", "a", "b"])
    assert means[0].tolist() == pytest.approx([0.4, 0.4])
    assert means[1, 0] == pytest.approx(0.4)
    assert np.isnan(means[1, 1])
    apart = readings.block_means(matrix, ["b", "a", "b"], seeds=[0, 0, 1])
    assert apart[0].tolist() == pytest.approx([0.4, 0.6])


def test_agreement_and_the_epoch_it_settles():
    up = np.arange(5.0)
    found = readings.agreement([np.zeros(5), -up, up], [up, up**2])
    assert np.isnan(found[0])
    assert found[1:].tolist() == pytest.approx([-1, 1])
    assert readings.settled_at([0, 1, 2, 4], [np.nan, 0.5, 0.78, 0.8]) == 2
    assert np.isnan(readings.settled_at([0, 1], [0.5, -0.1]))
    assert np.isnan(readings.settled_at([0, 1], [0.5, np.nan]))


def test_shared_choice():
    up = np.arange(1000.0)
    assert readings.shared_choice(up, up**2, 0.3) == 1
    assert readings.shared_choice(up, -up) == 0
    ties = readings.shared_choice(np.zeros(1000), np.zeros(1000), 0.3)
    assert ties == pytest.approx(0.3, abs=0.08)  # chance, not row order


@pytest.fixture
def pool():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [31, 20, 9])
    return rng.normal(size=(60, 5)) * [5, 3, 1, 1, 0.1] + labels[:, None], labels


def test_components_are_those_of_the_singular_value_decomposition(pool):
    features, _ = pool
    found = readings.principal_components(features)
    u, s, _ = np.linalg.svd(features - features.mean(axis=0), full_matrices=False)
    assert np.allclose(np.abs(found), np.abs(u * s)[:, :2])
    turned = readings.principal_components(features[::-1])
    assert np.allclose(turned[::-1], found)  # signs do not depend on the order of rows
    found = readings.principal_components(np.arange(4.0)[:, None])
    assert found.shape == (4, 2)
    assert not found[:, 1].any()


def test_rank_zero_is_the_row_nearest_to_its_class_mean(pool):
    features, labels = pool
    rank = readings.class_rank(features, labels)
    for label in (0, 1, 2):
        rows = np.flatnonzero(labels == label)
        dist = np.linalg.norm(features[rows] - features[rows].mean(axis=0), axis=1)
        assert rank[rows[dist.argmin()]] == 0
        assert rank[rows[dist.argmax()]] == (len(rows) - 1) / len(rows)


def test_masks_from_half_precision_ranks_are_those_of_ids(pool):
    features, labels = pool
    rank = readings.summary(features, labels)["class_rank"]
    for mode, keep in product(("easy", "hard"), (0.1, 0.5, 0.8, 1.0)):
        mask = readings.ids_mask(rank, labels, keep, mode)
        selected = prototypes.ids(features, labels, keep, mode)
        assert np.array_equal(np.flatnonzero(mask), np.sort(selected))
