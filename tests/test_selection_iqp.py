import warnings
from itertools import combinations

import numpy as np
import pytest
from scipy.spatial.distance import cdist, pdist

from helpers.selection import iqp


def instance(n, seed, d=3):
    rng = np.random.default_rng(seed)
    return rng.random(n), iqp.gaussian_similarity(rng.normal(size=(n, d)))


def matrix_of(utility, similarity, weight=0.3):
    matrix = weight * similarity
    np.fill_diagonal(matrix, utility)
    return matrix


def test_the_kernel_by_its_formula():
    x = np.random.default_rng(0).normal(size=(20, 4))
    np.testing.assert_allclose(iqp.gaussian_similarity(x), np.exp(-(cdist(x, x) ** 2) / 2))
    h = np.median(pdist(x))
    median = iqp.gaussian_similarity(x, "median", "distance")
    np.testing.assert_allclose(median, 1 - np.exp(-(cdist(x, x) ** 2) / (2 * h * h)), atol=1e-12)
    assert (median == median.T).all()
    assert iqp.gaussian_similarity(x.astype(np.float16)).dtype == np.float32


@pytest.mark.parametrize("diversity", ["kernel", "distance"])
def test_row_sums_in_blocks_equal_those_of_the_matrix(diversity):
    x = np.random.default_rng(1).normal(size=(50, 3))
    whole = iqp.gaussian_similarity(x, 2.0, diversity)
    expected = whole.sum(axis=1) - np.diagonal(whole)
    np.testing.assert_allclose(iqp.row_sums(x, 2.0, diversity, block=7), expected)


def test_the_objective_is_the_quadratic_form():
    utility, similarity = instance(8, 2)
    x = np.array([1, 0, 1, 1, 0, 0, 1, 0])
    expected = x @ matrix_of(utility, similarity) @ x
    assert iqp.objective(utility, similarity, np.flatnonzero(x)) == pytest.approx(expected)


def test_a_planted_clique_is_found():
    similarity = np.eye(10)
    clique = np.array([2, 5, 6, 9])
    similarity[np.ix_(clique, clique)] = 1
    chosen = iqp.lp_relaxation(np.full(10, 0.5), similarity, 4)
    assert chosen.tolist() == clique.tolist()
    start = np.array([0, 1, 2, 5])
    assert set(iqp.truncated_power(np.full(10, 0.5), similarity, start)) == set(clique)


@pytest.mark.parametrize("solver", ["highs", "cbc"])
@pytest.mark.parametrize("k", [1, 7, 20])
def test_the_closed_form_solves_the_lp_as_written(solver, k):
    utility, similarity = instance(20, k)
    result = iqp.solve_lp_as_written(utility, similarity, k, 0.3, solver)
    closed = iqp.lp_relaxation(utility, similarity, k)
    sums = matrix_of(utility, similarity).sum(axis=1)
    assert result.success
    assert result.status == "optimal"
    assert result.gap == 0
    assert result.fun == pytest.approx(sums[closed].sum(), rel=1e-7)
    assert set(result.indices.tolist()) == set(closed.tolist())
    assert result.indices.dtype == np.int64


@pytest.mark.parametrize("solver", ["highs", "cbc"])
def test_a_time_limit_without_an_answer_raises(solver):
    utility, similarity = instance(90, 0)  # at 40 rows CBC sometimes ends before it looks
    with pytest.raises(ValueError, match="found no answer within 1e-06 s"):
        iqp.solve_lp_as_written(utility, similarity, 9, 0.3, solver, time_limit=1e-6)


def slow_power(matrix, start, shift, max_steps=100):
    x = np.zeros(len(matrix))
    x[start] = 1
    best = max_value = x @ matrix @ x
    seen = {x.tobytes()}
    for _ in range(max_steps):
        top = np.argsort(-(matrix @ x + shift * x), kind="stable")[: len(start)]
        x = np.zeros(len(matrix))
        x[top] = 1
        best = max(best, x @ matrix @ x)
        if x.tobytes() in seen:
            break
        seen.add(x.tobytes())
    assert best >= max_value
    return best


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("shift", ["auto", None])
def test_truncated_power_equals_its_slow_twin(seed, shift):
    utility, similarity = instance(40, seed, d=2)
    start = np.random.default_rng(seed).permutation(40)[:11]
    value = 0.0 if shift is None else max(0.0, 0.3 - utility.min())
    expected = slow_power(matrix_of(utility, similarity), start, value)
    steps = iqp.power_steps(utility, similarity, start, shift=shift)
    assert steps.shift == pytest.approx(value)
    assert steps.fun == pytest.approx(expected)
    assert iqp.objective(utility, similarity, steps.indices) == pytest.approx(expected)
    sums = matrix_of(utility, similarity).sum(axis=1)
    assert steps.bound == pytest.approx(np.sort(sums)[-11:].sum())
    assert steps.gap == pytest.approx(steps.bound / steps.objective - 1)
    assert steps.status == ("local" if steps.settled else "feasible")
    if shift == "auto":
        assert (np.diff(steps.objectives) >= -1e-9).all()
        assert steps.success


def test_without_a_shift_a_circle_ends_and_the_best_subset_is_returned():
    # Pairs (0, 2) and (1, 3) point at each other: x <- top-k(Qx) swaps for ever.
    similarity = np.zeros((4, 4))
    similarity[0, 1] = similarity[1, 0] = 1
    similarity[2, 3] = similarity[3, 2] = 1
    similarity += np.where(np.eye(4) == 1, 0, 1e-3)
    steps = iqp.power_steps(np.zeros(4), similarity, np.array([0, 2]), shift=None)
    assert not steps.success
    assert (steps.status, steps.settled) == ("feasible", False)
    assert "met before" in steps.message
    assert steps.fun == max(steps.objectives) >= steps.objectives[0]


@pytest.mark.parametrize("diversity", ["kernel", "distance"])
def test_the_automatic_shift_makes_q_semi_definite(diversity):
    rng = np.random.default_rng(5)
    utility, x = rng.random(30), rng.normal(size=(30, 2))
    similarity = iqp.gaussian_similarity(x, 1.0, diversity)
    shift = iqp.find_shift(utility, similarity)
    shifted = matrix_of(utility, similarity) + shift * np.eye(30)
    assert np.linalg.eigvalsh(shifted)[0] > -1e-9
    unit = np.where(np.eye(30) == 1, 1.0, similarity)  # unit diagonal, not always a kernel
    shifted = matrix_of(utility, unit) + iqp.find_shift(utility, unit) * np.eye(30)
    assert np.linalg.eigvalsh(shifted)[0] > -1e-9


@pytest.mark.parametrize("seed", range(8))
def test_never_below_the_start_and_never_above_the_optimum(seed):
    utility, similarity = instance(10, seed)
    start = iqp.lp_relaxation(utility, similarity, 4)
    found = iqp.truncated_power(utility, similarity, start)
    values = [iqp.objective(utility, similarity, list(s)) for s in combinations(range(10), 4)]
    at_start = iqp.objective(utility, similarity, start)
    assert at_start - 1e-12 <= iqp.objective(utility, similarity, found) <= max(values) + 1e-12


def test_algorithm_1_end_to_end_and_the_vanished_kernel():
    rng = np.random.default_rng(6)
    utility, x = rng.random(60), rng.normal(size=(60, 3))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for diversity in ("kernel", "distance"):
            chosen = iqp.budgeted(utility, x, 20, diversity=diversity)
            similarity = iqp.gaussian_similarity(x, 1.0, diversity)
            start = iqp.lp_relaxation(utility, similarity, 20)
            value = iqp.objective(utility, similarity, chosen)
            assert value >= iqp.objective(utility, similarity, start)
    with pytest.warns(UserWarning, match="vanishes"):
        chosen = iqp.budgeted(utility, x * 1000, 5)
    assert chosen.tolist() == np.argsort(-utility)[:5].tolist()
    with pytest.warns(UserWarning, match="vanishes"):
        iqp.budgeted(utility, x * 1000, 5, diversity="distance")


GOOD = np.eye(3)


@pytest.mark.parametrize(
    ("utility", "similarity", "k", "weight", "message"),
    [
        ([1.0, 1, np.nan], GOOD, 1, 0.3, "NaN"),
        ([1.0, 1, np.inf], GOOD, 1, 0.3, "finite"),
        ([1.0, 1, -1], GOOD, 1, 0.3, "negative"),
        ([1.0, 1, 1], np.eye(2), 1, 0.3, "shape"),
        ([1.0, 1, 1], -GOOD, 1, 0.3, "not negative"),
        ([1.0, 1, 1], np.triu(np.ones((3, 3))), 1, 0.3, "symmetric"),
        ([1.0, 1, 1], GOOD * np.nan, 1, 0.3, "finite"),
        ([1.0, 1, 1], GOOD, 4, 0.3, "1..3"),
        ([1.0, 1, 1], GOOD, 1, -1, "weight"),
    ],
)
def test_bad_programs(utility, similarity, k, weight, message):
    with pytest.raises(ValueError, match=message):
        iqp.lp_relaxation(utility, similarity, k, weight)


@pytest.mark.parametrize("start", [[0, 0], [3], [-1], [], [0.5]])
def test_bad_start(start):
    with pytest.raises(ValueError, match="start must be"):
        iqp.truncated_power(np.ones(3), GOOD, start)


def test_bad_kernels_and_solvers():
    with pytest.raises(ValueError, match="bandwidth"):
        iqp.gaussian_similarity(GOOD, 0)
    with pytest.raises(ValueError, match="coincide"):
        iqp.gaussian_similarity(np.ones((4, 2)), "median")
    with pytest.raises(ValueError, match="diversity must be one of kernel, distance"):
        iqp.gaussian_similarity(GOOD, diversity="other")
    with pytest.raises(ValueError, match="highs, cbc"):
        iqp.solve_lp_as_written(np.ones(3), GOOD, 1, 0.3, "gurobi")
    with pytest.raises(ValueError, match="differ in length"):
        iqp.budgeted(np.ones(2), GOOD, 1)


@pytest.mark.parametrize(
    "similarity",
    [np.roll(np.eye(3), 1, axis=1), np.triu(np.full((5, 5), 1e-7), 1)],
    ids=["equal row and column sums", "tiny"],
)
def test_matrices_that_are_not_symmetric_are_refused(similarity):
    with pytest.raises(ValueError, match="symmetric"):
        iqp.lp_relaxation(np.ones(len(similarity)), similarity, 1)


@pytest.mark.parametrize("bandwidth", [1e-200, 1e-25, True, None, [1, 2], -1.0, np.nan, "mean"])
def test_bandwidths_that_no_kernel_has_are_refused(bandwidth):
    with pytest.raises(ValueError, match="bandwidth must"):
        iqp.solve(np.ones(4), np.eye(4), 2, bandwidth=bandwidth)


def test_features_whose_squares_overflow_are_refused():
    features = np.float32(1e25) * np.random.default_rng(0).normal(size=(6, 2)).astype(np.float32)
    with np.errstate(all="ignore"), pytest.raises(ValueError, match="too large"):
        iqp.solve(np.ones(6), features, 2, bandwidth="median")
