from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from helpers import StudyError
from helpers.measurements import gaps
from helpers.selection import exact, iqp, search
from helpers.selection.gaussian_sums import gaussian_similarity

KINDS = ("random", "kernel", "distance")
BOUNDS = [exact.sums_bound, exact.partners_bound, exact.spectral_bound]


def instance(n, seed, kind="random"):
    """Return utilities and a similarity: any symmetric matrix, a kernel, or 1 minus it."""
    rng = np.random.default_rng(seed)
    utility = rng.random(n) * rng.choice([0.1, 1, 5])
    if kind == "random":
        half = rng.random((n, n))
        return utility, half + half.T
    return utility, gaussian_similarity(rng.normal(size=(n, 3)), 1.0, kind)


def optimum(utility, similarity, k, weight=0.3):
    subsets = combinations(range(len(utility)), k)
    return max(iqp.objective(utility, similarity, list(s), weight) for s in subsets)


def slow_greedy(utility, similarity, k, weight):
    picked = []
    for _ in range(k):
        left = [i for i in range(len(utility)) if i not in picked]
        values = [iqp.objective(utility, similarity, [*picked, i], weight) for i in left]
        picked.append(left[int(np.argmax(values))])
    return picked


def slow_swaps(utility, similarity, start, weight):
    """Try every exchange at every step and take the best."""
    chosen, path = set(start), []
    while True:
        path.append(iqp.objective(utility, similarity, sorted(chosen), weight))
        swaps = [
            sorted(chosen - {a} | {b}) for a in chosen for b in set(range(len(utility))) - chosen
        ]
        values = [iqp.objective(utility, similarity, s, weight) for s in swaps]
        if not values or max(values) <= path[-1] * (1 + 1e-12):
            return chosen, path
        chosen = set(swaps[int(np.argmax(values))])


def test_greedy_and_swap_search_find_a_planted_clique():
    clique = [2, 5, 6, 9]
    similarity = np.eye(12)
    similarity[np.ix_(clique, clique)] = 1
    utility = np.full(12, 0.5)
    utility[5] = 0.6
    assert search.greedy(utility, similarity, 4).tolist() == [5, 2, 6, 9]
    found = search.swap_search(utility, similarity, np.array([0, 2, 5, 11]))
    assert sorted(found.indices.tolist()) == clique
    assert found.indices[0] == 5
    assert found.iterations == 2


@given(st.integers(0, 2**32 - 1), st.sampled_from(KINDS))
@settings(max_examples=12, deadline=None)
def test_both_equal_their_slow_twins(seed, kind):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 14))
    k = int(rng.integers(1, n + 1))
    utility, similarity = instance(n, seed, kind)
    weight = float(rng.choice([0, 0.3, 2]))
    picked = search.greedy(utility, similarity, k, weight)
    assert picked.tolist() == slow_greedy(utility, similarity, k, weight)
    start = rng.permutation(n)[:k]
    found = search.swap_search(utility, similarity, start, weight)
    expected, path = slow_swaps(utility, similarity, start.tolist(), weight)
    assert set(found.indices.tolist()) == expected
    np.testing.assert_allclose(found.objectives, path)
    assert found.settled


def test_no_exchange_is_missed_when_rows_are_pruned(monkeypatch):
    for kind, block in product(KINDS, (1, 64)):
        monkeypatch.setattr(search, "N_BLOCK", block)
        utility, similarity = instance(90, 3, kind)
        start = np.random.default_rng(4).permutation(90)[:30]
        found = search.swap_search(utility, similarity, start)
        assert (np.diff(found.objectives) > 0).all()
        assert found.iterations == len(found.objectives) - 1 > 3
        assert found.objective == pytest.approx(iqp.objective(utility, similarity, found.indices))
        q = 0.3 * similarity
        np.fill_diagonal(q, utility)
        inside, outside = found.indices, np.setdiff1d(np.arange(90), found.indices)
        products = q[:, inside].sum(axis=1)
        gains = (2 * products + utility)[outside] - (2 * products - utility)[inside, None]
        assert (gains - 2 * q[np.ix_(inside, outside)]).max() < 1e-9
        assert (np.diff(products[found.indices]) <= 1e-12).all()


def test_the_closed_form_solves_the_lp_as_written():
    for solver, k in product(exact.SOLVERS, (1, 7, 20)):
        utility, similarity = instance(20, k, "kernel")
        result = exact.solve_lp_as_written(utility, similarity, k, 0.3, solver)
        closed = iqp.lp_relaxation(utility, similarity, k)
        bound = exact.sums_bound(utility, similarity, k)
        assert (result.status, result.success, result.gap) == ("optimal", True, 0)
        assert result.objective == pytest.approx(bound, rel=1e-7)
        assert set(result.indices.tolist()) == set(closed.tolist())
        assert iqp.objective(utility, similarity, closed) <= result.objective * (1 + 1e-9)


def test_the_milp_finds_the_optimum():
    for kind, k in product(KINDS, (1, 4, 9)):
        utility, similarity = instance(9, 8, kind)
        found = exact.exact_milp(utility, similarity, k, 0.3)
        best = optimum(utility, similarity, k)
        assert found.objective == found.bound == pytest.approx(best, rel=1e-12)
        assert found.objective == pytest.approx(iqp.objective(utility, similarity, found.indices))
        assert (found.status, found.success, found.gap) == ("optimal", True, 0)
        assert len(found.indices) == k


@given(st.integers(0, 2**32 - 1), st.sampled_from(KINDS))
@settings(max_examples=12, deadline=None)
def test_the_cheap_bounds_hold(seed, kind):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 10))
    k = int(rng.integers(1, n + 1))
    utility, similarity = instance(n, seed, kind)
    weight = float(rng.choice([0, 0.3, 2]))
    best = optimum(utility, similarity, k, weight)
    values = [bound(utility, similarity, k, weight) for bound in BOUNDS]
    assert min(values) >= best - 1e-9 * best
    assert values[1] <= values[0] * (1 + 1e-12)
    if k in (1, n):
        assert values[1] == pytest.approx(best)
    if k == n:
        np.testing.assert_allclose(values, best)


def test_the_sdp_bound_holds_and_is_the_tightest():
    pytest.importorskip("cvxpy")
    for kind, (seed, k) in product(KINDS, ((10, 3), (11, 5))):
        utility, similarity = instance(12, seed, kind)
        best = optimum(utility, similarity, k)
        found = exact.sdp_bound(utility, similarity, k)
        assert best * (1 - 1e-9) <= found.bound < best * 1.02
        assert found.bound < min(bound(utility, similarity, k) for bound in BOUNDS)
        assert found.bound == pytest.approx(found.relaxed, rel=1e-4)
        assert 0.9 * best < found.objective <= best * (1 + 1e-12)
        assert found.objective == pytest.approx(iqp.objective(utility, similarity, found.indices))
        assert found.gap == pytest.approx(found.bound / found.objective - 1)
        assert found.success
    early = exact.sdp_bound(utility, similarity, k, time_limit=1e-6)
    assert not early.success
    assert early.bound >= best * (1 - 1e-9)
    for n in (1, 2, 4):
        for k in range(1, n + 1):
            assert exact.sdp_bound(np.ones(n), np.zeros((n, n)), k).bound == pytest.approx(k)
            zero = exact.sdp_bound(np.zeros(n), np.zeros((n, n)), k)
            assert (zero.bound, zero.indices.tolist()) == (0, list(range(k)))


def test_wrong_arguments_are_named():
    u, d = np.ones(3), np.eye(3)
    wrong = {"similarity": (np.eye(2), -d), "utility": (-u,), "weight": (-1,), "k": (0, 4, 1.5)}
    for call, (name, values) in product((search.greedy, exact.exact_milp, *BOUNDS), wrong.items()):
        for value in values:
            with pytest.raises(StudyError, match=name):
                call(**{"utility": u, "similarity": d, "k": 2} | {name: value})
    for start in ([0, 0], [3], []):
        with pytest.raises(StudyError, match="start"):
            search.swap_search(u, d, start)
    with pytest.raises(StudyError, match="solver must be one of highs, cbc"):
        exact.solve_lp_as_written(u, d, 1, solver="gurobi")
    with pytest.raises(StudyError, match="utility must have at most"):
        exact.sdp_bound(np.ones(301), np.ones((301, 301)), 1)


METHODS = ("lp", "power_shifted", "power", "greedy", "swap", "best")


def test_the_table_of_gaps_against_enumeration():
    metrics, arrays = gaps.gap_table(1, n=8, share=0.4, n_instances=2)
    assert metrics["n_proven"] == 6
    rng = np.random.default_rng(1)
    for i, kind in enumerate(("random", "kernel", "distance")):
        for j in range(2):
            utility, similarity = gaps._instance(kind, 8, rng)
            best = optimum(utility, similarity, 3)
            assert arrays["optimum"][i, j] == pytest.approx(best)
            start = iqp.lp_relaxation(utility, similarity, 3)
            gap = 1 - iqp.objective(utility, similarity, start) / best
            assert arrays["gap_lp"][i, j] == pytest.approx(gap, abs=1e-9)
    for name in METHODS:
        assert (arrays[f"gap_{name}"] >= 0).all()
        assert (arrays["gap_best"] <= arrays[f"gap_{name}"] + 1e-12).all()
    for name in gaps.BOUNDS:
        assert (arrays[f"above_{name}"] >= -1e-9).all()


@pytest.mark.parametrize("sign", [1, -1])
def test_a_stopped_solver_bounds_from_the_right_side(sign):
    import pulp

    rng = np.random.default_rng(0)
    sizes, worth = rng.integers(10, 60, (8, 60)), rng.integers(10, 60, 60)

    def write():
        problem = pulp.LpProblem("sacks", pulp.LpMaximize if sign > 0 else pulp.LpMinimize)
        x = [pulp.LpVariable(f"x_{i}", cat="Binary") for i in range(60)]
        problem += pulp.lpSum(sign * int(v) * one for v, one in zip(worth, x, strict=True))
        for row in sizes:
            filled = pulp.lpSum(int(a) * one for a, one in zip(row, x, strict=True))
            problem += filled <= int(row.sum() // 3)
        return problem, x

    result = exact.solve(exact.build(write), "highs", 0.6)
    assert sign * result.bound >= sign * result.objective
    assert result.gap < 0.5
