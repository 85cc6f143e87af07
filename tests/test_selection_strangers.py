"""What strangers give: seeds for generators, outliers, numbers beyond what squares can hold."""

import re
import warnings

import numpy as np
import pytest

from helpers import StudyError
from helpers.selection import chance, dpp, gaussian_sums, geda, gradients, iqp, prototypes
from helpers.selection.coverage_centric import coverage_centric
from helpers.selection.registry import Pool, select


def test_a_seed_does_where_a_generator_does():
    values = np.random.default_rng(0).random(40)
    features, labels = values.reshape(20, 2), np.arange(20) % 2
    calls = [
        lambda rng: chance.random(9, 4, rng),
        lambda rng: chance.random_per_class(labels, 6, rng),
        lambda rng: coverage_centric(values, 7, rng),
        lambda rng: dpp.sample_k_dpp(np.eye(6), 3, rng),
        lambda rng: dpp.sample_k_dpp_textbook(np.eye(6), 3, rng),
        lambda rng: dpp.select(features, 3, rng),
        lambda rng: geda.solve(values, 9, within="random", rng=rng).indices,
        lambda rng: geda.random_per_quartile(values, 9, rng),
        lambda rng: gradients.per_batch(features, 6, 3, gradients.craig, rng)[0],
        lambda rng: prototypes.ssp(features, 5, 3, rng=rng),
    ]
    for call in calls:
        assert call(7).tolist() == call(np.random.default_rng(7)).tolist()
        with pytest.raises(StudyError, match="^rng must be a seed"):
            call("seven")


@pytest.mark.parametrize("far", [1e8, 1e10])
def test_an_outlier_is_what_dpp_complains_of(far):
    features = np.random.default_rng(0).normal(size=(400, 8))
    features[3] *= far
    with pytest.raises(StudyError, match="^features spread too far .* scale or drop"):
        select("dpp", Pool(None, features=features), 10, 0)


def test_an_outlier_is_what_the_median_complains_of():
    features = np.arange(7, dtype=np.float32)[:, None]
    features[3] = 1e15
    with pytest.raises(StudyError, match="^features spread too far .* in float32: scale or drop"):
        gaussian_sums.median_distance(features)


def test_rows_that_coincide_are_what_the_median_complains_of():
    with pytest.raises(StudyError, match="^features have no median distance: more than half"):
        gaussian_sums.median_distance(np.zeros((9, 2)))


@pytest.mark.parametrize("memory", [1 << 30, 0])
def test_features_whose_squares_overflow_are_named(memory):
    features = 1e200 * np.random.default_rng(0).normal(size=(30, 3))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        with pytest.raises(StudyError, match="^features are too large"):
            iqp.solve(np.ones(30), features, 4, memory=memory)
    with pytest.raises(StudyError, match="^features must lie within the range of float32"):
        gradients.last_layer_gradients(np.full((30, 2), 0.5), np.arange(30) % 2, features)


@pytest.mark.parametrize(("kind", "far"), [(np.float32, 1e19), (np.float32, 1e30), (float, 1e160)])
@pytest.mark.parametrize("n_far", [1, 5, 20])
def test_far_rows_are_told_in_words_not_in_warnings(kind, far, n_far):
    features = np.random.default_rng(0).normal(size=(60, 4)).astype(kind)
    features[:n_far] *= kind(far)
    labels = np.arange(60) % 3
    calls = [
        lambda: dpp.select(features, 5, 0),
        lambda: gaussian_sums.gaussian_similarity(features),
        lambda: gaussian_sums.row_sums(features),
        lambda: iqp.solve(np.ones(60), features, 5, memory=0).indices,
        lambda: prototypes.moderate(features, labels, 5),
        lambda: gradients.craig(features, 5)[1],
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        warnings.simplefilter("ignore", UserWarning)  # words
        for call in calls:
            found = told(call)
            if isinstance(found, str):
                assert re.search("too large|spread too far", found)
            else:
                assert np.isfinite(found).all()


def told(call):
    """What a call answers, or the words it refuses with."""
    try:
        return call()
    except StudyError as error:
        return str(error)


def test_a_median_that_is_rounding_is_no_bandwidth():
    features = np.random.default_rng(0).normal(size=(300, 8))
    features[:6] *= 1e30  # about the mean the others now lie at distances that rounding made
    with pytest.raises(StudyError, match="^features spread too far .* scale or drop"):
        gaussian_sums.median_distance(features)
    assert gaussian_sums.median_distance(features[6:]) == pytest.approx(4, abs=0.5)


def test_kernels_too_large_to_be_summed_are_refused():
    kernel = np.full((4, 4), 1e308)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        with pytest.raises(StudyError, match="kernel must be finite everywhere, and the sums"):
            dpp.greedy_map(kernel, 2)


def test_ids_rounds_up_and_adds_a_prototype():
    labels = np.repeat(np.arange(5), [81, 81, 80, 79, 79])
    pool = Pool(labels, features=np.random.default_rng(0).normal(size=(400, 3)))
    kept = select("ids", pool, 40, 0)
    assert np.bincount(labels[kept]).tolist() == [10, 10, 9, 9, 9]


def test_an_outlier_is_what_facility_location_warns_of():
    features = np.random.default_rng(0).normal(size=(400, 8))
    features[3] *= 1e10
    with pytest.warns(UserWarning, match=r"too far out .* distances .* the last \d+ of 10 picks"):
        assert len(select("facility-location", Pool(None, features=features), 10, 0)) == 10


@pytest.mark.parametrize("size", [1e-30, 1e30])
def test_a_median_out_of_range_is_not_the_bandwidth_s_fault(size):
    features = size * np.random.default_rng(0).normal(size=(30, 3))
    with pytest.raises(StudyError, match="^features must have a median distance in 1e-15..1e.15"):
        iqp.solve(np.ones(30), features, 4, bandwidth="median")
