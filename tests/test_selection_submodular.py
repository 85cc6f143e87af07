"""Submodular functions against brute force, and their greedy maximisers against plain twins."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from helpers.measurements import enumerations
from helpers.selection import greedy_cover
from helpers.selection.gaussian_sums import median_distance
from helpers.selection.submodular import (
    CoverageDiversity,
    coverage_diversity,
    facility_location,
    graph_cut,
)

SHARE = 1 - 1 / np.e


def rbf(features, h=None):
    x = np.asarray(features, dtype=np.float64)
    squares = ((x[:, None] - x[None]) ** 2).sum(axis=2)
    return np.exp(-squares / (2 * (h or median_distance(x)) ** 2))


def greedy(n, k, value):
    """Add the row that raises the value most, value by value: slow and plain."""
    chosen = []
    for _ in range(k):
        values = [-np.inf if j in chosen else value([*chosen, j]) for j in range(n)]
        values = np.array(values)
        chosen.append(int((values >= values.max() - 1e-12 * n).argmax()))
    return np.array(chosen)


def one_at_a_time(similarity, k):
    """Facility location, every gain from the whole matrix at every pick."""
    best, chosen = np.zeros(len(similarity)), []
    for _ in range(k):
        gains = np.maximum(similarity - best[:, None], 0).sum(axis=0)
        gains[chosen] = -1
        chosen.append(int((gains >= gains.max() - max(1e-9 * gains.max(), 1e-12)).argmax()))
        best = np.maximum(best, similarity[:, chosen[-1]])
    return np.array(chosen)


def located(similarity, rows):
    """Return the value of facility location."""
    return similarity[:, rows].max(axis=1).sum() if len(rows) else 0.0


def cut(similarity, rows, trade_off=0.5):
    """Return the value of graph cut."""
    return similarity[rows].sum() - trade_off * similarity[np.ix_(rows, rows)].sum()


def functions(features):
    """Return the three functions of a subset."""
    similarity = rbf(features)
    return {
        "location": lambda s: located(similarity, np.array(s, int)),
        "cut": lambda s: cut(similarity, np.array(s, int)),
        "coverage": CoverageDiversity(features).value,
    }


def blobs(n, d=8, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(6, d)) * 2)[rng.integers(0, 6, n)] + rng.normal(size=(n, d))


def test_a_planted_answer_is_the_middle_of_every_cluster():
    middles = np.array([[0.0, 0], [100, 0], [0, 100]])
    corners = np.array([[1.0, 1], [-1, 1], [1, -1], [-1, -1], [0, 0]])
    features = (middles[:, None] + corners).reshape(-1, 2)
    assert sorted(facility_location(features, 3, bandwidth=1.0)) == [4, 9, 14]


def test_values_are_monotone_and_submodular_over_all_subsets():
    rng, n = np.random.default_rng(0), 6
    subsets = [s for size in range(n + 1) for s in combinations(range(n), size)]
    for name, value in functions(rng.normal(size=(n, 2))).items():
        values = {frozenset(s): value(list(s)) for s in subsets}
        assert values[frozenset()] == 0, name
        for small in subsets:
            for large in subsets:
                if not set(small) <= set(large):
                    continue
                a, b = frozenset(small), frozenset(large)
                for j in set(range(n)) - b:
                    gain = values[b | {j}] - values[b]
                    assert -1e-9 <= gain <= values[a | {j}] - values[a] + 1e-9, name


def test_greedy_follows_its_twin_and_reaches_its_share_of_the_best():
    for seed in range(8):
        rng = np.random.default_rng(seed)
        n = int(rng.integers(5, 11))
        k = int(rng.integers(1, n))
        features = rng.normal(size=(n, 2))
        picks = {
            "location": facility_location(features, k),
            "cut": graph_cut(features, k, 0.5),
            "coverage": coverage_diversity(features, k),
        }
        for name, value in functions(features).items():
            np.testing.assert_array_equal(picks[name], greedy(n, k, value), err_msg=name)
            best = max(value(list(s)) for s in combinations(range(n), k))
            assert SHARE * best <= value(picks[name]) <= best + 1e-9, name


@given(st.integers(0, 2**32 - 1), st.booleans(), st.sampled_from([0, 10_000, 2**29]))
@settings(max_examples=20, deadline=None)
def test_lazy_equals_the_twin_whatever_memory_there_is(seed, whole, memory):
    rng = np.random.default_rng(seed)
    n, d = int(rng.integers(3, 150)), int(rng.integers(1, 4))
    features = rng.integers(-3, 4, (n, d)) if whole else rng.normal(size=(n, d))
    k = int(rng.integers(1, n + 1))
    expected = one_at_a_time(rbf(features, 2.0), k)
    np.testing.assert_array_equal(facility_location(features, k, 2.0, memory), expected)


def test_float32_small_tiles_and_batches_follow_the_twin(monkeypatch):
    for name, value in (("N_WIDE", 0), ("TILE", 60), ("N_REFRESH", 7), ("N_CORRECT", 300)):
        monkeypatch.setattr(greedy_cover, name, value)
    monkeypatch.setattr(greedy_cover, "FEW", 0.3)
    features = blobs(500)
    expected = one_at_a_time(rbf(features), 60)
    for memory in (0, 10**6):
        np.testing.assert_array_equal(facility_location(features, 60, memory=memory), expected)


def test_float32_ends_in_float64_where_gains_vanish_or_rows_lie_far(monkeypatch):
    monkeypatch.setattr(greedy_cover, "N_WIDE", 0)
    features = np.sort(np.random.default_rng(1).normal(size=(300, 1)), axis=0)
    similarity = rbf(features)
    expected = located(similarity, one_at_a_time(similarity, 280))
    assert located(similarity, facility_location(features, 280)) == pytest.approx(expected, 1e-9)
    far = blobs(200, 2) + 1e4 * (np.arange(200) % 2)[:, None]
    expected = one_at_a_time(rbf(far, 1.0), 50)
    np.testing.assert_array_equal(facility_location(far, 50, 1.0), expected)


def test_ties_go_to_the_lowest_row(monkeypatch):
    for features in (
        np.eye(7)[np.arange(300) % 7],
        np.full((200, 3), 0.1),
        np.repeat(np.random.default_rng(4).normal(size=(10, 5)), 20, axis=0),
        np.eye(120),
    ):
        k = min(150, len(features))
        expected = one_at_a_time(rbf(features, 1.0), k)
        for wide in (0, 10**6):
            monkeypatch.setattr(greedy_cover, "N_WIDE", wide)
            np.testing.assert_array_equal(facility_location(features, k, 1.0), expected)


@given(st.integers(0, 2**32 - 1), st.booleans())
@settings(max_examples=20, deadline=None)
def test_coverage_lazy_equals_naive(seed, whole):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(3, 90))
    features = rng.integers(-3, 4, (n, 2)) if whole else rng.normal(size=(n, 2))
    k, weight = int(rng.integers(1, n + 1)), float(rng.choice([0, 0.3, 5]))
    lazily = coverage_diversity(features, k, weight, bandwidth=2.0)
    plainly = coverage_diversity(features, k, weight, bandwidth=2.0, how="naive")
    np.testing.assert_array_equal(lazily, plainly)
    apart = coverage_diversity(features, k, weight, bandwidth=2.0, memory=0)
    np.testing.assert_array_equal(lazily, apart)
    assert len(set(lazily.tolist())) == k


def test_coverage_value_by_hand():
    features = np.array([[0.0], [1.0], [5.0]])
    s = rbf(features, 1.0)
    cap, mean = 0.5 * s.sum(axis=1), s.mean(axis=1)
    covered = np.minimum(s[:, 0] + s[:, 2], cap).sum() / cap.sum()
    spread = (np.sqrt(mean[0]) + np.sqrt(mean[2])) / (np.sqrt(mean[:2].sum()) + np.sqrt(mean[2]))
    value_of = CoverageDiversity(features, 2.0, 0.5, n_groups=2, bandwidth=1.0).value
    value = value_of([0, 2])
    assert value == pytest.approx(covered + 2 * spread)
    assert value_of([0, 1, 2]) == pytest.approx(3)


def test_bad_input():
    x = np.eye(3)
    for call, options in (
        (facility_location, {"bandwidth": -1}),
        (facility_location, {"memory": -1}),
        (graph_cut, {"trade_off": -0.1}),
        *((coverage_diversity, {name: value}) for name, value in
          {"weight": -1, "alpha": 0, "n_groups": 0, "how": "fast", "memory": -1}.items()),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=next(iter(options))):
            call(x, 1, **options)


def test_greedy_share_sees_what_breaks_the_guarantee():
    table = np.array([0.0, 1, 1, 3])  # {0} and {1} bring 1, both bring 3
    assert enumerations.is_monotone(table)
    assert not enumerations.is_submodular(table)
    assert not enumerations.is_monotone(np.array([0.0, 1, 1, 0.5]))
    assert enumerations.is_submodular(np.array([0.0, 1, 1, 0.5]))
