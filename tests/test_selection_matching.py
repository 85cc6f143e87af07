"""GRAD-MATCH against a dense solve at every step, NNLS, and answers by hand."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.optimize import nnls

from helpers.selection import matching
from helpers.selection.matching import grad_match, match


def one_at_a_time(gradients, k, ridge=0.0):
    """Pursue with a dense solve for every set of rows: slow and plain."""
    g = np.asarray(gradients, dtype=np.float64)
    target, chosen, weights = g.sum(axis=0), [], {}

    def best(rows):
        gram = g[rows] @ g[rows].T + ridge * np.eye(len(rows))
        return np.linalg.solve(gram, g[rows] @ target)

    while len(chosen) < k:
        left = target - sum((weights[i] * g[i] for i in chosen), np.zeros_like(target))
        values = g @ left
        values[chosen] = -np.inf
        if values.max() <= 1e-6 * np.linalg.norm(left) * np.linalg.norm(g[values.argmax()]):
            break
        if np.linalg.norm(left) <= 1e-7 * np.linalg.norm(target):
            break
        chosen.append(int(values.argmax()))
        weights[chosen[-1]] = 0.0
        while (wanted := best(chosen)).min() <= 0:
            old = np.array([weights[i] for i in chosen])
            falling = wanted <= 0
            share = (old[falling] / (old[falling] - wanted[falling])).min()
            moved = old + share * (wanted - old)
            chosen = [i for i, w in zip(chosen, moved, strict=True) if w > 1e-12 * moved.max()]
            weights = {i: w for i, w in zip([*weights], moved, strict=True) if i in chosen}
        weights = dict(zip(chosen, wanted, strict=True))
    return np.array(chosen, int), np.array([weights[i] for i in chosen])


def relative_residual(gradients, indices, weights):
    g = np.asarray(gradients, dtype=np.float64)
    target = g.sum(axis=0)
    return np.linalg.norm(target - weights @ g[indices]) / np.linalg.norm(target)


def blobs(n, d, seed):
    """Gradients like the benchmark's: ten centres, lengths of every size."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((10, d)) * 9 / np.sqrt(d)
    rows = centres[rng.integers(0, 10, n)] + rng.standard_normal((n, d))
    return (rows * rng.gamma(2, 0.5, (n, 1))).astype(np.float32)


def test_by_hand():
    # The sum is (3, 3); rows 1 and 2 tie at the inner product 9, and w = 9 / 5 fits row 1 best.
    gradients = np.array([[0.0, 0], [2, 1], [1, 2]])
    indices, weights = grad_match(gradients, 1)
    assert indices.tolist() == [1]
    np.testing.assert_allclose(weights, [9 / 5])
    indices, weights = grad_match(gradients, 3)
    assert indices.tolist() == [1, 2]
    np.testing.assert_allclose(weights, [1, 1])


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.7]))
@settings(max_examples=50, deadline=None)
def test_equals_the_slow_twin(seed, ridge):
    rng = np.random.default_rng(seed)
    n, d = int(rng.integers(1, 60)), int(rng.integers(1, 30))
    k = int(rng.integers(1, n + 1))
    gradients = rng.normal(size=(n, d)) + 0.3 * rng.normal(size=d)
    expected, expected_weights = one_at_a_time(gradients, k, ridge)
    result = match(gradients, k, ridge)
    np.testing.assert_array_equal(result.indices, expected)
    np.testing.assert_allclose(result.weights, expected_weights, rtol=1e-6, atol=1e-9)
    assert len(result.indices) <= (k if ridge else min(k, d))
    assert (result.weights > 0).all()


def test_equals_the_slow_twin_where_rows_leave():
    for dtype in (np.float64, np.float32):
        gradients = blobs(400, 40, 0).astype(dtype)
        result = match(gradients, 38)
        assert result.n_removed > 0
        assert result.iterations == 38 + result.n_removed
        expected, weights = one_at_a_time(gradients, 38)
        np.testing.assert_array_equal(result.indices, expected)
        np.testing.assert_allclose(result.weights, weights, rtol=1e-6)


@given(st.integers(0, 2**32 - 1), st.sampled_from([1.0, 1e-20, 1e20]))
@settings(max_examples=25, deadline=None)
def test_reaches_the_best_weights_of_all_rows(seed, scale):
    rng = np.random.default_rng(seed)
    n, d = int(rng.integers(1, 15)), int(rng.integers(10, 30))
    gradients = rng.normal(size=(n, d)) * rng.gamma(1, 1, (n, 1))
    gradients[:, 0] -= 2  # one common direction
    # Against a target that is not the sum, as the sum itself is reached with all weights 1.
    target = gradients.sum(axis=0) + 3 * rng.normal(size=d)
    chosen = matching._Weighted(target, 0.0)
    for _ in range(5 * n):
        slopes = gradients @ chosen.residual
        slopes[chosen.rows] = -np.inf
        if slopes.max() <= 1e-9:
            break
        chosen.add(int(slopes.argmax()), gradients[slopes.argmax()])
    expected, length = nnls(gradients.T, target)
    weights = np.zeros(n)
    weights[chosen.rows] = chosen.weights
    np.testing.assert_allclose(weights, expected, atol=1e-8)
    np.testing.assert_allclose(np.sqrt(chosen.objective), length, rtol=1e-8)
    indices, weights = grad_match(gradients * scale, n)
    assert relative_residual(gradients, indices, weights) <= 1e-7


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_the_answer_is_the_best_on_its_own_rows_and_steps_only_help(seed):
    rng = np.random.default_rng(seed)
    gradients = blobs(int(rng.integers(20, 200)), int(rng.integers(5, 40)), seed)
    k = int(rng.integers(1, 20))
    result = match(gradients, k)
    rows = gradients[result.indices].astype(np.float64)
    _, length = nnls(rows.T, gradients.astype(np.float64).sum(axis=0))
    np.testing.assert_allclose(np.sqrt(result.objective), length, rtol=1e-6, atol=1e-5)
    assert (np.diff(result.residuals) < 0).all()
    measured = relative_residual(gradients, result.indices, result.weights)
    np.testing.assert_allclose(result.residuals[-1], measured, rtol=1e-6, atol=1e-9)


def test_a_planted_combination_is_found():
    rng = np.random.default_rng(1)
    directions = np.linalg.qr(rng.normal(size=(40, 40)))[0]
    # Three rows carry the sum; the others come in pairs that cancel.
    noise = 0.01 * directions[3:20]
    gradients = np.concatenate([noise, -noise])
    carriers = directions[:3] * np.array([[5.0], [9], [2]])
    gradients = np.insert(gradients, [2, 5, 9], carriers, axis=0)
    where = [int(np.flatnonzero((gradients == row).all(axis=1))[0]) for row in carriers]
    indices, weights = grad_match(gradients, 20)
    assert indices.tolist() == [where[1], where[0], where[2]]
    np.testing.assert_allclose(weights, 1, rtol=1e-9)


def test_ends_early_beyond_the_dimension():
    result = match(blobs(300, 12, 3), 100)
    assert len(result.indices) <= 12
    assert result.relative_residual < 1e-6
    assert (result.status, result.gap, result.success) == ("optimal", 0.0, True)
    early = match(blobs(300, 12, 3), 5)
    assert (early.status, early.gap, early.bound) == ("feasible", None, None)
    stopped = match(blobs(500, 50, 5), 500, tolerance=0.1)
    assert stopped.residuals[-1] <= 0.1 < stopped.residuals[-2]


def test_copies_are_taken_once_and_the_lowest_first():
    one = np.random.default_rng(7).normal(size=(6, 10)) + 1
    gradients = np.repeat(one, 700, axis=0).astype(np.float32)
    indices, weights = grad_match(gradients, 50)
    assert (indices % 700 == 0).all()
    np.testing.assert_allclose(weights, 700, rtol=1e-5)
    assert len(grad_match(np.ones((9, 3)), 5)[0]) == 1
    assert grad_match(np.eye(4)[[2, 1, 1, 3, 2]], 3)[0].tolist() == [0, 1, 3]


def test_a_sum_of_zero_needs_no_rows():
    for gradients in (np.zeros((5, 3)), np.array([[0.1, 0.3], [-0.1, -0.3]]), [[1e9], [-1e9]]):
        result = match(gradients, 2)
        assert len(result.indices) == len(result.weights) == 0
        assert result.relative_residual == result.objective == 0
        with pytest.warns(UserWarning, match="leave nothing to match"):
            indices, weights = grad_match(gradients, 2, fill=True)
        assert (indices.tolist(), weights.tolist()) == ([0, 1], [0, 0])


def test_rows_that_point_away_are_never_taken():
    gradients = np.array([[-1.0, 0.1], [-2, -0.1], [5, 0], [0, 0]])
    indices, weights = grad_match(gradients, 4, tolerance=0)
    assert indices.tolist() == [2]
    np.testing.assert_allclose(weights, [0.4])
    indices, weights = grad_match(gradients, 4, fill=True)
    assert indices.tolist() == [2, 0, 1, 3]
    assert weights[1:].tolist() == [0, 0, 0]


def test_fill_puts_the_best_correlated_rows_first():
    gradients = np.array([[0.0, 0, -1], [4, 0, 0], [0, -1, 0], [0, 2, 1.5], [0, 0, 0]])
    result = match(gradients, 5, ridge=0.5, tolerance=0.5)
    indices, weights = grad_match(gradients, 5, fill=True, ridge=0.5, tolerance=0.5)
    chosen = result.indices
    np.testing.assert_array_equal(indices[: len(chosen)], chosen)
    left = gradients.sum(axis=0) - result.weights @ gradients[chosen]
    values = (gradients @ left)[indices[len(chosen) :]]
    assert (np.diff(values) <= 0).all()
    assert (weights[len(chosen) :] == 0).all()
    assert indices[len(chosen)] == 3


def test_nearly_equal_rows_end_with_a_small_residual():
    for spread in (1e-2, 1e-5, 1e-8, 1e-12):
        rng = np.random.default_rng(10)
        gradients = np.repeat(rng.normal(size=(20, 30)) + 1, 10, axis=0)
        gradients += spread * rng.normal(size=gradients.shape)
        result = match(gradients, 200)
        assert result.relative_residual <= 1e-7
        assert (np.diff(result.residuals) < 0).all()
        measured = relative_residual(gradients, result.indices, result.weights)
        np.testing.assert_allclose(result.relative_residual, measured, atol=1e-12)


def test_rows_that_float32_cannot_tell_apart_are_compared_in_float64():
    rng = np.random.default_rng(0)
    # Large numbers that cancel inside a row, and a first entry that decides by 2^-13 at a time.
    large = rng.integers(-1000, 1000, (50, 11)) * (np.arange(11) > 0)
    gradients = np.concatenate([large, -large], axis=1) + 1.0
    gradients = np.concatenate([gradients, 2 - gradients])
    gradients[:, 0] += rng.permutation(100) * 2.0**-13
    narrow = gradients.astype(np.float32)
    np.testing.assert_array_equal(narrow, gradients)
    expected = (gradients @ gradients.sum(axis=0)).argmax()
    assert grad_match(narrow, 1)[0].tolist() == [expected]


def test_bad_input():
    for gradients, k, options, message in (
        (np.eye(3), 0, {}, "k must lie in 1..3"),
        (np.eye(3), 1, {"ridge": -1}, "ridge"),
        (np.eye(3), 1, {"tolerance": np.nan}, "tolerance"),
        (np.full((3, 2), 1e200), 1, {}, "gradients are too large"),
    ):
        with pytest.raises(ValueError, match=message):
            grad_match(gradients, k, **options)
