"""Scores from traces: at the end, at an epoch, of several runs; and the choices made by them."""

import dataclasses

import numpy as np
import pytest

from helpers import (
    StudyError,
    compute,
    data,
    experiments,
    recipes,
    results,
    scores,
    specs,
    trace_scores,
    training,
)
from helpers.experiments import Scale
from helpers.selection import kcenters, registry
from helpers.specs import Select, Train

SCALE = Scale(dataset="digits@200+50", epochs=4, n_seeds=3, models=["resnet8-w8"])
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
    metrics, arrays = compute.run_select(spec, lambda need: have[specs.key(need)], "cpu")
    return metrics, arrays["indices"]


def probs_of(run):
    return trace_scores.softmax(run.arrays["logits"].astype(np.float64))


@pytest.mark.parametrize("method", ["least-confidence", "margin", "entropy"])
def test_the_end_is_scored_from_logits_and_nearly_as_recorded(proxies, method):
    run = proxies[0]
    of_probs = getattr(scores, method.replace("-", "_"))(probs_of(run))
    np.testing.assert_array_equal(trace_scores.score(method, run, N), of_probs)
    recorded = trace_scores.score(method, run, N, SCALE.epochs)
    np.testing.assert_allclose(recorded, of_probs, atol=3e-3)  # float16


def test_forgetting_after_an_epoch_is_that_of_the_run_cut_there(proxies):
    run = proxies[0]
    cut = dataclasses.replace(
        run, arrays={name: run.arrays[name][:2] for name in ("visited", "correct")}
    )
    expected = trace_scores.forgetting_of(cut, N)
    np.testing.assert_array_equal(trace_scores.score("forgetting", run, N, 2), expected)
    assert (expected != trace_scores.forgetting_of(run, N)).any()


WHOLE = recipes.get(SCALE.recipe, SCALE.epochs)


class BrokenOff(recipes.Recipe):
    """Two epochs on the way through the schedule of the whole run."""

    def rate_at(self, epoch):
        return WHOLE.rate_at(epoch)


def test_the_start_of_a_trace_is_what_a_run_broken_off_there_leaves(proxies):
    recipe = BrokenOff(**dataclasses.asdict(WHOLE) | {"epochs": 2})
    dataset = data.load(SCALE.data_name)
    run = training.fit(dataset, SCALE.proxy, recipe, None, 0, "cpu", record_at=(0, 1, 2))
    short = dataclasses.replace(proxies[0], arrays=run.trace)
    np.testing.assert_array_equal(
        trace_scores.score("forgetting", proxies[0], N, after=2),
        trace_scores.score("forgetting", short, N),
    )
    for method, name in (("entropy", "entropy"), ("margin", "margin")):
        np.testing.assert_array_equal(
            trace_scores.score(method, proxies[0], N, after=2),
            trace_scores.OF_RECORD[method][1](run.trace[name][-1].astype(float)),
        )


@pytest.mark.parametrize(
    ("method", "after", "message"),
    [
        ("entropy", 3, r"among the epochs \[0, 1, 2, 4\] of train resnet8-w8 .*, got 3"),
        ("forgetting", 5, r"among the epochs 1\.\.4 "),
        ("forgetting", 0, r"among the epochs 1\.\.4 "),
        ("entropy", "2", "got '2'"),
        ("k-centers", 2, "rank by a score: forgetting, .*; not k-centers"),
    ],
)
def test_an_epoch_or_method_without_scores_is_one_line(proxies, method, after, message):
    with pytest.raises(StudyError, match=message) as error:
        trace_scores.score(method, proxies[0], N, after)
    assert "\n" not in str(error.value)


def test_a_brief_choice_takes_the_first_rows_by_the_score_at_that_epoch(proxies):
    spec = experiments.brief_choice(SCALE, "entropy", 0.3, 1, after=2)
    _, indices = chosen_by(spec, proxies)
    values = trace_scores.score("entropy", proxies[1], N, 2)
    assert len(set(indices)) == len(indices) == 60
    assert values[indices].min() >= np.delete(values, indices).max()
    assert (np.diff(values[indices]) <= 0).all()
    clock = proxies[1].metrics["history"]["seconds"]
    assert trace_scores.seconds_of(proxies[1], after=2) == clock[1] < clock[-1]


def test_an_untrained_proxy_costs_no_training(proxies):
    assert trace_scores.seconds_of(proxies[0], after=0) == 0.0


@pytest.mark.parametrize("method", ["entropy", "forgetting"])
@pytest.mark.parametrize("size", [2, 3])
def test_an_ensemble_ranks_by_the_mean_rank_of_its_proxies(proxies, method, size):
    spec = experiments.ensemble_choice(SCALE, method, 0.3, 2, size)
    assert [run.seed for run in spec.of] == [2, 0, 1][:size]  # round the seeds there are
    _, indices = chosen_by(spec, proxies)
    runs = [proxies[run.seed] for run in spec.of]
    values = scores.combine_ranks([trace_scores.score(method, run, N) for run in runs])
    expected = registry.select("top", registry.Pool(np.zeros(N, int), scores=values), 60, 2)
    assert indices.tolist() == expected.tolist()


def test_an_ensemble_of_briefly_trained_proxies(proxies):
    spec = experiments.ensemble_choice(SCALE, "forgetting", 0.3, 0, 2, after=2)
    _, indices = chosen_by(spec, proxies)
    counts = [trace_scores.forgetting_of(run, N, 2) for run in proxies[:2]]
    values = scores.combine_ranks(counts)
    assert np.sort(values[indices]).tolist() == np.sort(values)[-60:].tolist()


@pytest.mark.parametrize("method", ["entropy", "forgetting", "least-confidence", "margin"])
def test_an_ensemble_of_one_chooses_as_the_proxy_alone(proxies, method):
    alone = experiments.choice(SCALE, method, 0.3, 1)
    ranked = experiments.ensemble_choice(SCALE, method, 0.3, 1, 1)
    assert chosen_by(ranked, proxies)[1].tolist() == chosen_by(alone, proxies)[1].tolist()


def test_several_runs_are_not_ranked_together_unasked(proxies):
    spec = experiments.ensemble_choice(SCALE, "entropy", 0.3, 0, 2)
    wanted = {"after": (("after", 2),), "mean": (("combine", "mean"),)}
    with pytest.raises(StudyError, match="2 runs are ranked together with combine=rank only"):
        chosen_by(dataclasses.replace(spec, options=wanted["after"]), proxies)
    with pytest.raises(StudyError, match="combine must be rank, got 'mean'"):
        chosen_by(dataclasses.replace(spec, options=wanted["mean"]), proxies)
    both = (("after", 2), ("correct_only", True))
    with pytest.raises(StudyError, match="no other option, got correct_only"):
        chosen_by(dataclasses.replace(spec, options=both), proxies)


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


@pytest.mark.parametrize(
    ("method", "value"), [("entropy", "start"), ("k-centers", "end"), ("k-centers", True)]
)
def test_centres_that_mean_nothing_are_refused(proxies, method, value):
    start = results.compute([planted_start()], device="cpu")[0]
    with pytest.raises(StudyError, match="centres must be start, for k-centers"):
        chosen_by(round_of(method, (("centres", value),)), proxies, start)
    whole = dataclasses.replace(round_of("k-centers", (("centres", "start"),)), start=None)
    with pytest.raises(StudyError, match="centres must be start"):
        chosen_by(whole, proxies)


def test_a_repeated_run_trains_on_another_subset_every_epoch():
    spec = experiments.repeated_run(SCALE, 0.25, 1)
    run = results.compute([spec], device="cpu")[0]
    visited = np.unpackbits(run.arrays["visited"], axis=1, count=N).astype(bool)
    assert visited.sum(axis=1).tolist() == [50] * SCALE.epochs
    assert len({row.tobytes() for row in visited}) == SCALE.epochs
    again, _ = compute.run_train(spec, None, "cpu")
    assert again["history"]["loss"] == run.metrics["history"]["loss"]


def test_an_unknown_sampler_names_those_there_are():
    spec = Train(SCALE.data_name, SCALE.proxy, SCALE.recipe, 1, 0, sampler=specs.Sampler("none"))
    with pytest.raises(StudyError, match="there are ids, repeated-random, adonis"):
        compute.run_train(spec, None, "cpu")


def test_centres_outside_the_pool_cover_what_is_near_them():
    line = np.arange(10.0)[:, None]
    there = registry.Pool(np.zeros(10, int), features=line, centres=np.array([[9.0], [8.0]]))
    assert registry.select("k-centers", there, 3, 0).tolist() == [0, 4, 2]
    with pytest.raises(StudyError, match="n_initial must be 0 where centres are there"):
        registry.select("k-centers", there, 3, 0, n_initial=2)


@pytest.mark.parametrize("features", [None, np.zeros((10, 2))])
def test_centres_of_another_width_are_refused(features):
    with pytest.raises(StudyError, match="centres must be as wide as features"):
        registry.Pool(np.zeros(10, int), features=features, centres=np.zeros((2, 3)))
