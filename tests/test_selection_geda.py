from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from helpers.selection import geda


@given(st.integers(0, 2**32 - 1), st.sampled_from(geda.WITHIN))
@settings(max_examples=25, deadline=None)
def test_the_closed_form_is_optimal_by_enumeration(seed, within):
    rng = np.random.default_rng(seed)
    n, n_nodes = int(rng.integers(2, 10)), int(rng.integers(2, 7))
    k = int(rng.integers(1, n + 1))
    norms = rng.integers(0, 8, n) / 2 if seed % 2 else rng.gamma(2, 1, n)
    best = min(geda.objective(norms, list(s), n_nodes) for s in combinations(range(n), k))
    chosen = geda.geda(norms, k, n_nodes, within, rng)
    assert len(set(chosen.tolist())) == k
    assert geda.objective(norms, chosen, n_nodes) == pytest.approx(best, abs=1e-12)


@pytest.mark.parametrize("solver", ["highs", "cbc"])
@pytest.mark.parametrize(("n", "k"), [(22, 11), (60, 13), (60, 48)])
def test_the_program_as_written_agrees(solver, n, k):
    norms = np.random.default_rng(n + k).gamma(2, 1, n)
    result = geda.solve_milp_as_written(norms, k, 5, solver)
    closed = geda.objective(norms, geda.geda(norms, k))
    assert result.success
    assert len(result.indices) == k
    assert result.objective == pytest.approx(closed, abs=1e-9)
    assert result.sum_z * np.ptp(norms) / 5 == pytest.approx(result.objective, abs=1e-6)


def test_exact_halves_are_rounded_in_whole_numbers():
    # 2 * 11 * 15 + 22 = 352 = 8 * 44: k * C / n = 7.5 rounds up to 8.
    norms = np.concatenate([[0.0], np.full(14, 0.1), np.full(6, 0.9), [1.0]])
    chosen = geda.geda(norms, 11, n_nodes=2)
    assert (norms[chosen] <= 0.5).sum() == 8


def test_equal_norms_and_everything_kept():
    assert sorted(geda.geda(np.ones(10), 4)) == [1, 3, 6, 8]
    assert geda.objective(np.ones(10), [0, 1]) == 0
    assert sorted(geda.geda(np.arange(7.0), 7)) == list(range(7))
    assert geda.solve_milp_as_written(np.ones(6), 2).objective == 0


def test_within_a_bin():
    norms = np.concatenate([np.linspace(0, 1, 9)[::-1], [100]])
    assert sorted(geda.geda(norms, 3, within="first"))[:2] == [0, 1]
    spread = geda.geda(norms, 3, within="spread")
    np.testing.assert_array_equal(np.sort(norms[spread]), np.sort(norms)[[1, 4, 7]])
    with pytest.raises(ValueError, match="needs rng"):
        geda.geda(norms, 3, within="random")


def wasserstein(norms, chosen):
    return np.abs(np.sort(norms) - np.sort(np.repeat(norms[chosen], 5))).mean()


def test_spread_is_closest_at_every_scale():
    rng = np.random.default_rng(0)
    norms = rng.gamma(2, 1, 1000)
    spread = wasserstein(norms, geda.geda(norms, 200))
    within = wasserstein(norms, geda.geda(norms, 200, within="random", rng=rng))
    assert spread < within / 2
    assert wasserstein(norms, geda.evenly_spaced(norms, 200)) < within / 2


def test_evenly_spaced_keeps_the_ranks():
    norms = np.array([5.0, 1, 4, 2, 3, 0])
    assert norms[geda.evenly_spaced(norms, 3)].tolist() == [1, 3, 5]
    assert norms[geda.evenly_spaced(norms, 6)].tolist() == [0, 1, 2, 3, 4, 5]


def test_random_per_quartile_shares_out():
    norms = np.arange(40.0)
    chosen = geda.random_per_quartile(norms, 8, np.random.default_rng(0))
    assert np.bincount((norms[chosen] // 10).astype(int)).tolist() == [2, 2, 2, 2]
    assert len(geda.random_per_quartile(np.arange(3.0), 2, np.random.default_rng(0))) == 2


@pytest.mark.parametrize(
    ("norms", "k", "n_nodes", "within", "message"),
    [
        ([1.0, np.nan], 1, 5, "spread", "NaN"),
        ([1.0, np.inf], 1, 5, "spread", "finite"),
        ([1.0, 2], 3, 5, "spread", "1..2"),
        ([1.0, 2], 1, 1, "spread", "n_nodes"),
        ([1.0, 2], 1, 2.5, "spread", "n_nodes"),
        ([1.0, 2], 1, 5, "other", "within must be one of spread, random, first"),
    ],
)
def test_bad_input(norms, k, n_nodes, within, message):
    with pytest.raises(ValueError, match=message):
        geda.geda(np.array(norms), k, n_nodes, within)
