"""Greedy k-centers against one centre at a time with exact differences."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from helpers.selection import kcenters
from helpers.selection.kcenters import greedy_k_centers


def one_at_a_time(features, k, initial=None):
    """Add one centre at a time with exact differences: slow and plain."""
    x = np.asarray(features, dtype=np.float64)
    selected = [0] if initial is None else list(initial)
    added = [0] if initial is None else []
    nearest = np.min([((x - x[i]) ** 2).sum(axis=1) for i in selected], axis=0)
    nearest[selected] = -1
    while len(added) < k:
        best = int(nearest.argmax())
        added.append(best)
        nearest = np.minimum(nearest, ((x - x[best]) ** 2).sum(axis=1))
        nearest[added] = -1
        nearest[selected] = -1
    return np.array(added)


def test_a_planted_answer():
    corners = np.array([[0.0, 0], [10, 0], [0, 11], [10, 12]])
    rng = np.random.default_rng(0)
    points = np.concatenate([corners, 5 + rng.random((50, 2))])
    assert set(greedy_k_centers(points, 4).tolist()) == {0, 1, 2, 3}


@given(st.integers(0, 2**32 - 1), st.sampled_from([3, 100, 30_000, 10**7]), st.booleans())
@settings(max_examples=25, deadline=None)
def test_equals_the_slow_twin_to_the_last_row_on_whole_numbers(seed, largest, many):
    rng = np.random.default_rng(seed)
    n, d = int(rng.integers(2, 1500 if many else 40)), int(rng.integers(1, 4))
    features = rng.integers(-largest, largest + 1, (n, d))
    k = int(rng.integers(1, min(n, 120) + 1))
    np.testing.assert_array_equal(greedy_k_centers(features, k), one_at_a_time(features, k))
    m = int(rng.integers(1, n)) if n > 1 else 0
    initial = rng.permutation(n)[:m]
    k = min(k, n - m)
    expected = one_at_a_time(features, k, initial)
    np.testing.assert_array_equal(greedy_k_centers(features, k, initial), expected)


def test_equals_the_slow_twin_on_floats_in_two_precisions():
    features = np.random.default_rng(2).normal(size=(2500, 16)) + 100
    expected = one_at_a_time(features, 300)
    np.testing.assert_array_equal(greedy_k_centers(features, 300), expected)
    narrow = greedy_k_centers(features.astype(np.float32), 300)
    expected = one_at_a_time(features.astype(np.float32), 300)
    np.testing.assert_array_equal(narrow, expected)


def test_near_ties_of_float32_are_told_apart():
    rng = np.random.default_rng(11)
    order = rng.permutation(60)
    far = np.eye(60) * (1 + 1e-9 * order)[:, None]
    features = np.concatenate([np.zeros((1, 60)), far, 0.3 * rng.random((900, 60)) / 60**0.5])
    chosen = greedy_k_centers(features, 60, np.array([0]))
    np.testing.assert_array_equal(chosen, 1 + np.argsort(-order))


def test_many_rows_in_one_near_tie_are_picked_many_a_round(monkeypatch):
    monkeypatch.setattr(kcenters, "N_CANDIDATES", 16)
    rounds, plain = [], kcenters._Cover.round
    monkeypatch.setattr(kcenters._Cover, "round", lambda *args: rounds.append(0) or plain(*args))
    features = np.concatenate([np.zeros((1, 300)), 0.1 * np.eye(300)]).astype(np.float32)
    chosen = greedy_k_centers(features, 300, np.array([0]))
    assert sorted(chosen.tolist()) == list(range(1, 301))
    assert len(rounds) <= 300 // (16 // 4)


def test_tight_clusters_far_apart_need_more_than_float32():
    rng = np.random.default_rng(3)
    centres = rng.normal(size=(5, 4)) * 1e4
    features = centres[np.arange(200) % 5] + rng.normal(size=(200, 4))
    np.testing.assert_array_equal(greedy_k_centers(features, 60), one_at_a_time(features, 60))


def test_ties_end_and_go_to_the_lowest_row():
    for features in (
        np.eye(7)[np.arange(3000) % 7],
        np.full((2000, 3), 0.1),
        np.repeat(np.random.default_rng(4).normal(size=(30, 5)), 100, axis=0),
    ):
        chosen = greedy_k_centers(features, 1400)
        assert len(set(chosen.tolist())) == 1400
        np.testing.assert_array_equal(chosen[:100], one_at_a_time(features, 100))


def test_the_unit_of_the_features_does_not_matter():
    features = np.random.default_rng(5).normal(size=(300, 3))
    expected = greedy_k_centers(features, 50)
    for scale in (1e-30, 1e30, 2.0**-1005, 2.0**1005):
        np.testing.assert_array_equal(greedy_k_centers(features * scale, 50), expected)


def test_threads_and_tiles_change_nothing_on_floats(monkeypatch):
    monkeypatch.setattr(kcenters, "BLOCK_CELLS", 5000)  # many blocks to share
    features = np.random.default_rng(7).normal(size=(3000, 5)).astype(np.float32)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    alone = greedy_k_centers(features, 200)
    for threads in ("2", "3"):
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
        np.testing.assert_array_equal(greedy_k_centers(features, 200), alone)
    monkeypatch.setattr(kcenters, "TILE_ROWS", 10**6)
    np.testing.assert_array_equal(greedy_k_centers(features, 200), alone)


def test_the_features_are_not_copied():
    features = np.random.default_rng(9).normal(size=(20_000, 200)).astype(np.float32)
    tracemalloc.start()
    greedy_k_centers(features, 20)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.6 * features.nbytes  # the check for finite values takes a quarter


def test_initial_rows_are_not_returned():
    chosen = greedy_k_centers(np.arange(6.0)[:, None], 2, initial=np.array([5, 5]))
    assert chosen.tolist() == [0, 2]
    assert greedy_k_centers(np.arange(3.0)[:, None], 1, initial=np.array([], int)).tolist() == [0]


def test_bad_input():
    for k, initial, message in ((3, [1], "1..2"), (1, [3], "0..2"), (1, [0.5], "row numbers")):
        with pytest.raises(ValueError, match=message):
            greedy_k_centers(np.eye(3), k, np.array(initial))
