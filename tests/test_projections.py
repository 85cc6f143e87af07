"""Projections and ranks agree with the slow way, and with what IDS selects."""

import numpy as np
import pytest

from helpers import projections
from helpers.selection import prototypes


@pytest.fixture
def pool():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [31, 20, 9])
    return rng.normal(size=(60, 5)) * [5, 3, 1, 1, 0.1] + labels[:, None], labels


def test_components_are_those_of_the_singular_value_decomposition(pool):
    features, _ = pool
    found = projections.principal_components(features)
    u, s, _ = np.linalg.svd(features - features.mean(axis=0), full_matrices=False)
    assert np.allclose(np.abs(found), np.abs(u * s)[:, :2])
    assert found[:, 0].var() > found[:, 1].var()


def test_signs_do_not_depend_on_the_order_of_rows(pool):
    features, _ = pool
    turned = projections.principal_components(features[::-1])
    assert np.allclose(turned[::-1], projections.principal_components(features))


def test_one_feature_leaves_the_second_coordinate_at_zero():
    found = projections.principal_components(np.arange(4.0)[:, None])
    assert found.shape == (4, 2)
    assert not found[:, 1].any()


def test_rank_zero_is_the_row_nearest_to_its_class_mean(pool):
    features, labels = pool
    rank = projections.class_rank(features, labels)
    for label in (0, 1, 2):
        rows = np.flatnonzero(labels == label)
        dist = np.linalg.norm(features[rows] - features[rows].mean(axis=0), axis=1)
        assert rank[rows[dist.argmin()]] == 0
        assert rank[rows[dist.argmax()]] == (len(rows) - 1) / len(rows)


@pytest.mark.parametrize("mode", ["easy", "hard"])
@pytest.mark.parametrize("keep", [0.1, 0.5, 0.8, 1.0])
def test_masks_from_half_precision_ranks_are_those_of_ids(pool, mode, keep):
    features, labels = pool
    rank = projections.summary(features, labels)["class_rank"]
    mask = projections.ids_mask(rank, labels, keep, mode)
    selected = prototypes.ids(features, labels, keep, mode)
    assert np.array_equal(np.flatnonzero(mask), np.sort(selected))


def test_an_unknown_mode_is_refused(pool):
    features, labels = pool
    with pytest.raises(ValueError, match="mode"):
        projections.ids_mask(projections.class_rank(features, labels), labels, 0.5, "medium")


def test_of_run_takes_what_is_there(pool):
    features, labels = pool
    stored = projections.summary(features, labels)
    assert projections.of_run(stored) == stored
    again = projections.of_run({"features": features, "labels": labels.astype(np.int16)})
    assert np.array_equal(again["class_rank"], stored["class_rank"])
    assert projections.of_run({"labels": labels}) is None
