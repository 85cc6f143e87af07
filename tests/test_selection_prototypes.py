"""Selection by distance to a centre, and coverage-centric selection, by hand and by twins."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from helpers import StudyError
from helpers.selection import prototypes
from helpers.selection.by_score import coverage_centric, level_shares
from helpers.selection.prototypes import moderate, ssp


def groups(n, seed, d=3, c=3):
    """Well separated groups: features (n, d) and the group of every row."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(n) % c)
    return 20 * np.eye(c, d)[labels] + rng.normal(size=(n, d)), labels


def test_ssp_measures_to_the_centre_of_the_own_group():
    features, labels = groups(90, 0)
    rows = features / np.linalg.norm(features, axis=1)[:, None]
    centres = np.array([rows[labels == label].mean(axis=0) for label in range(3)])[labels]
    dist = 1 - (rows * centres).sum(axis=1) / np.linalg.norm(centres, axis=1)
    for mode in ("hard", "easy"):
        expected = np.argsort(-dist if mode == "hard" else dist)[:20]
        np.testing.assert_array_equal(ssp(features, 20, n_clusters=3, mode=mode), expected)


def test_ssp_by_cosine_looks_at_directions_only():
    features, _ = groups(60, 1)
    lengths = np.random.default_rng(2).choice([0.25, 1, 8], (60, 1))
    expected = ssp(features, 15, n_clusters=3)
    np.testing.assert_array_equal(ssp(features * lengths, 15, n_clusters=3), expected)
    features[7] = 0  # no direction: as far as a right angle, and here nothing is farther
    assert ssp(features, 1, n_clusters=3).tolist() == [7]


def test_ssp_on_fewer_distinct_rows_than_clusters(recwarn):
    rows = (np.zeros((30, 2)), np.full((30, 3), 0.1), np.eye(3)[np.arange(30) % 3])
    for features, k in product(rows, (1, 7, 30)):
        chosen = ssp(features, k, n_clusters=5)
        assert chosen.tolist() == list(range(k))
    assert not recwarn.list


def test_moderate_by_hand():
    # Class 0 at 0 2 4 10 14 (mean 6): distances 6 4 2 4 8, median 4: rows 1 and 3, then 0 and 2.
    # Class 1 at 0 1 (mean 0.5): both at the median.
    features = np.array([0.0, 2, 4, 10, 14, 0, 1])[:, None]
    labels = np.array([0, 0, 0, 0, 0, 1, 1])
    parts = {k: moderate(features, labels, k) for k in (3, 7)}
    assert sorted(parts[3].tolist()) == [1, 3, 5]
    in_class_0 = [row for row in parts[7].tolist() if row < 5]
    assert in_class_0 == [1, 3, 0, 2, 4]


def test_moderate_leaves_both_ends_and_keeps_shares():
    features, labels = groups(300, 5)
    chosen = moderate(features, labels, 60)
    assert np.bincount(labels[chosen]).tolist() == [20, 20, 20]
    for label in range(3):
        rows = np.flatnonzero(labels == label)
        dist = np.linalg.norm(features[rows] - features[rows].mean(axis=0), axis=1)
        ranks = dist.argsort().argsort()[np.isin(rows, chosen)]
        assert ranks.min() > 25
        assert ranks.max() < 75


def test_level_shares_by_hand():
    # 10 places for 1, 2, 20 and 30: 1 of 1, 2 of 2 (9 // 3 = 3), 7 // 2 = 3, and 4 are left.
    assert level_shares(np.array([20, 1, 30, 2]), 10).tolist() == [3, 1, 4, 2]
    assert level_shares(np.array([0, 5, 0]), 3).tolist() == [0, 3, 0]
    assert level_shares(np.array([4, 4, 4]), 2).tolist() == [0, 1, 1]
    with pytest.raises(ValueError, match="1..4"):
        level_shares(np.array([3, 1]), 5)


@given(st.lists(st.integers(0, 30), min_size=1, max_size=10).filter(sum), st.data())
@settings(max_examples=40, deadline=None)
def test_level_shares_are_level(counts, data):
    counts = np.array(counts)
    k = data.draw(st.integers(1, int(counts.sum())))
    shares = level_shares(counts, k)
    assert shares.sum() == k
    assert (shares <= counts).all()
    unfilled = shares[shares < counts]
    if len(unfilled):
        # An unfilled group has as much as any other, but for remainders of the divisions.
        assert unfilled.min() >= shares.max() - 1


def test_coverage_by_hand():
    # The 2 hardest of 20 go; 0..17 in 3 strata of 6; 6 places: 2 each.
    scores = np.arange(20.0)[::-1]
    chosen = coverage_centric(scores, 6, np.random.default_rng(0), n_strata=3)
    assert np.bincount(scores[chosen].astype(int) // 6, minlength=4).tolist() == [2, 2, 2, 0]


def test_the_hardest_go_first_and_equal_ones_by_chance():
    scores = np.array([5.0, 1, 9, 2, 8])
    assert set(coverage_centric(scores, 3, np.random.default_rng(0), 4, 0.4)) == {0, 1, 3}
    ties = [coverage_centric(np.ones(4), 2, np.random.default_rng(s), 3, 0.5) for s in range(20)]
    assert set(np.concatenate(ties).tolist()) == {0, 1, 2, 3}


def test_the_cutoff_gives_way_to_k_and_is_counted_without_float_noise():
    scores = np.arange(100.0)
    for k, hardest in [(71, 70), (72, 71), (100, 99), (1, 70)]:
        chosen = coverage_centric(scores, k, np.random.default_rng(k), 5, 0.29)
        assert len(chosen) == k
        assert chosen.max() <= hardest
    assert coverage_centric(scores, 71, np.random.default_rng(0), 5, 0.29).max() == 70


def test_ids_by_hand():
    features = np.array([0.0, 1, 2, 3, 10, 0, 0, 0, 0, 5])[:, None]
    labels = np.repeat([0, 1], 5)
    # Class means 3.2 and 1: rows by falling distance 4 0 1 2 3 and 9 5 6 7 8.
    hard = prototypes.ids(features, labels, 0.4)
    assert sorted(hard.tolist()) == [0, 3, 4, 5, 8, 9]
    easy = prototypes.ids(features, labels, 0.4, mode="easy")
    assert sorted(easy.tolist()) == [2, 3, 4, 5, 6, 9]
    assert sorted(prototypes.ids(features, labels, 1.0).tolist()) == list(range(10))


def test_ids_counts_shares_without_float_noise():
    labels = np.repeat([0, 1], 30)
    features = np.random.default_rng(0).normal(size=(60, 2))
    assert len(prototypes.ids(features, labels, 0.1)) == 2 * (3 + 1)
    assert len(prototypes.ids(features, labels, 0.11)) == 2 * (4 + 1)


def test_wrong_arguments_are_named():
    x, two = np.eye(4), np.array([0, 0, 1, 1])
    good = {
        ssp: {"features": x, "k": 2, "n_clusters": 2},
        moderate: {"features": x, "labels": two, "k": 1},
        coverage_centric: {"scores": [0.0, 1, 2], "k": 1, "rng": 0},
        prototypes.ids: {"features": x, "labels": two, "keep": 0.5},
    }
    bad = {
        ssp: {"n_clusters": (0, 5, 2.5), "mode": ("soft",)},
        moderate: {"labels": (two[:3], two * 0)},
        coverage_centric: {
            "scores": ([np.inf, 1, 2],), "n_strata": (0, 2.5), "hard_cutoff": (1, "a"),
        },
        prototypes.ids: {"keep": (0, 1.1), "mode": ("soft",), "labels": (two[:3], two * 0)},
    }  # fmt: skip
    for call, cases in bad.items():
        for name, value in ((name, value) for name, values in cases.items() for value in values):
            with pytest.raises(StudyError, match=name):
                call(**good[call] | {name: value})
