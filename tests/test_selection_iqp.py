import tracemalloc
import warnings
from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.spatial.distance import cdist, pdist

from helpers import StudyError
from helpers.selection import gaussian_sums, iqp

BOTH = pytest.mark.parametrize("diversity", ["kernel", "distance"])
WAYS = ({}, {"memory": 0}, {"method": "fourier"})


def pool(n, seed, d=3, dtype=np.float64):
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(4, d)) * 2
    features = centres[rng.integers(0, 4, n)] + rng.normal(size=(n, d))
    return rng.uniform(0, np.log(10), n), features.astype(dtype)


def instance(n, seed, d=3):
    rng = np.random.default_rng(seed)
    return rng.random(n), iqp.gaussian_similarity(rng.normal(size=(n, d)))


def slow_kernel(x, h=1.0):
    x = np.asarray(x, dtype=np.float64)
    return np.exp(-(cdist(x, x) ** 2) / (2 * h * h))


def matrix_of(utility, similarity, weight=0.3):
    matrix = weight * np.asarray(similarity, dtype=np.float64)
    np.fill_diagonal(matrix, utility)
    return matrix


def slow_matrix(utility, x, h=1.0, diversity="kernel"):
    kernel = slow_kernel(x, h)
    return matrix_of(utility, kernel if diversity == "kernel" else 1 - kernel)


def value_of(matrix, chosen):
    return matrix[np.ix_(chosen, chosen)].sum()


def slow_power(matrix, start, shift):
    """x <- top-k((Q + shift I) x) word for word: the value of every subset met."""
    x = np.zeros(len(matrix))
    x[start] = 1
    values, seen = [], set()
    while x.tobytes() not in seen:
        seen.add(x.tobytes())
        values.append(x @ matrix @ x)
        following = np.zeros(len(matrix))
        following[np.argsort(-(matrix @ x + shift * x), kind="stable")[: len(start)]] = 1
        x = following
    return values


def test_the_kernel_by_its_formula():
    x = np.random.default_rng(0).normal(size=(20, 4))
    np.testing.assert_allclose(iqp.gaussian_similarity(x), slow_kernel(x))
    h = np.median(pdist(x))
    median = iqp.gaussian_similarity(x, "median", "distance")
    np.testing.assert_allclose(median, 1 - slow_kernel(x, h), atol=1e-12)
    assert (median == median.T).all()
    assert iqp.gaussian_similarity(x.astype(np.float16)).dtype == np.float32
    for kind, kernel in (("kernel", slow_kernel(x, 2)), ("distance", 1 - slow_kernel(x, 2))):
        expected = kernel.sum(axis=1) - np.diagonal(kernel)
        np.testing.assert_allclose(iqp.row_sums(x, 2.0, kind), expected)


def test_a_planted_clique_is_found():
    similarity, utility = np.eye(10), np.full(10, 0.5)
    clique = np.array([2, 5, 6, 9])
    similarity[np.ix_(clique, clique)] = 1
    assert iqp.lp_relaxation(utility, similarity, 4).tolist() == clique.tolist()
    start = np.array([0, 1, 2, 5])
    assert set(iqp.truncated_power(utility, similarity, start)) == set(clique)


@pytest.mark.parametrize("shift", ["auto", None])
def test_truncated_power_equals_its_slow_twin(shift):
    for seed in range(6):
        utility, similarity = instance(40, seed, d=2)
        matrix, start = matrix_of(utility, similarity), np.random.default_rng(seed).permutation(40)
        value = 0.0 if shift is None else max(0.0, 0.3 - utility.min())
        expected = slow_power(matrix, start[:11], value)
        steps = iqp.power_steps(utility, similarity, start[:11], shift=shift)
        assert steps.shift == pytest.approx(value)
        np.testing.assert_allclose(steps.objectives, expected)
        assert steps.objective == pytest.approx(max(expected))
        assert iqp.objective(utility, similarity, steps.indices) == pytest.approx(max(expected))
        assert steps.bound == pytest.approx(np.sort(matrix.sum(axis=1))[-11:].sum())
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
    assert (steps.status, steps.settled, steps.success) == ("feasible", False, False)
    assert "met before" in steps.message
    assert steps.objective == max(steps.objectives) >= steps.objectives[0]
    stopped = iqp.power_steps(np.zeros(4), similarity, np.array([0, 2]), max_steps=0)
    assert sorted(stopped.indices) == [0, 2]
    assert "stopped after 0 steps" in stopped.message


@BOTH
def test_the_automatic_shift_makes_q_semi_definite(diversity):
    rng = np.random.default_rng(5)
    utility, x = rng.random(30), rng.normal(size=(30, 2))
    similarity = iqp.gaussian_similarity(x, 1.0, diversity)
    unit = np.where(np.eye(30) == 1, 1.0, similarity)  # unit diagonal, not always a kernel
    star = np.zeros((30, 30))
    star[0, 1:] = star[1:, 0] = 1
    for some in (similarity, unit, star):
        shifted = matrix_of(utility, some) + iqp.find_shift(utility, some) * np.eye(30)
        assert np.linalg.eigvalsh(shifted)[0] > -1e-9


@BOTH
def test_solve_equals_its_slow_twin(diversity):
    for seed, memory, shift in product(range(4), (0, 1 << 30), (None, 0.7)):
        utility, x = pool(61, seed)
        matrix = slow_matrix(utility, x, 1.5, diversity)
        start = np.argsort(-matrix.sum(axis=1), kind="stable")[:17]
        values = slow_power(matrix, start, shift or 0)
        found = iqp.solve(utility, x, 17, 0.3, 1.5, diversity, shift, memory=memory)
        assert found.method == ("matrix" if memory else "blocks")
        np.testing.assert_allclose(found.objectives, values)
        assert found.objective == pytest.approx(max(values))
        assert value_of(matrix, found.indices) == pytest.approx(max(values))
        assert found.bound == pytest.approx(np.sort(matrix.sum(axis=1))[-17:].sum())
        assert found.iterations == len(values) - 1
        assert found.indices.dtype == np.int64


@BOTH
@given(seed=st.integers(0, 10_000), n=st.integers(2, 60), memory=st.sampled_from([0, 1e9]))
@settings(max_examples=15, deadline=None)
def test_properties_of_every_answer(diversity, seed, n, memory):
    utility, x = pool(n, seed)
    k = int(np.random.default_rng(seed).integers(1, n + 1))
    matrix = slow_matrix(utility, x, 2.5, diversity)
    start = np.argsort(-matrix.sum(axis=1), kind="stable")[:k]
    for shift in ("auto", None):
        found = iqp.solve(utility, x, k, 0.3, 2.5, diversity, shift, memory=memory)
        assert len(found.indices) == len(set(found.indices.tolist())) == k
        assert 0 <= found.indices.min() <= found.indices.max() < n
        assert found.objective == pytest.approx(value_of(matrix, found.indices), rel=1e-9)
        assert found.objective >= value_of(matrix, start) - 1e-9
        assert found.objective <= found.bound * (1 + 1e-12)
        product = matrix[:, found.indices].sum(axis=1)[found.indices]
        assert (np.diff(product) <= 1e-9).all()
        if shift == "auto":
            assert np.linalg.eigvalsh(matrix + found.shift * np.eye(n))[0] > -1e-9
            assert (np.diff(found.objectives) >= -1e-9).all()
            assert found.success
            assert found.status in ("local", "optimal")


def test_the_bound_holds_and_optimal_means_optimal():
    for seed in range(3):
        utility, x = pool(9, seed)
        matrix = slow_matrix(utility, x)
        for k in (1, 4, 9):
            best = max(value_of(matrix, list(s)) for s in combinations(range(9), k))
            found = iqp.solve(utility, x, k)
            assert found.bound >= best - 1e-9
            if found.status == "optimal":
                assert found.objective == pytest.approx(best)
        assert (found.status, round(found.gap, 9)) == ("optimal", 0)


@given(
    n=st.integers(1, 40),
    step=st.integers(1, 11),
    threads=st.integers(1, 2),
    spread=st.sampled_from([0.3, 1.0, 30.0]),
    seed=st.integers(0, 99),
)
@settings(max_examples=20, deadline=None)
def test_sums_by_tiles_equal_those_of_the_matrix(n, step, threads, spread, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 2)) * spread + 5
    kernel = slow_kernel(x, 1.3) - np.eye(n)
    some = rng.permutation(n)[: rng.integers(1, n + 1)]
    signs = rng.choice([-1.0, 1.0], len(some))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", str(threads))
        patch.setattr(gaussian_sums, "N_COLUMNS", 7)
        patch.setattr(gaussian_sums, "N_ROWS", step)
        rows = gaussian_sums.read(x)
        points = gaussian_sums.points_of(rows, np.arange(n), 1.3)
        sums = gaussian_sums.pair_sums(points)
        over = gaussian_sums.sums_over(points, some, signs)
        sampled = gaussian_sums.sampled_sums(rows, some, 1.3)
    np.testing.assert_allclose(sums, kernel.sum(axis=1), atol=1e-9)
    np.testing.assert_allclose(over, kernel[:, some] @ signs, atol=1e-9)
    np.testing.assert_allclose(sampled, kernel[some].sum(axis=1), atol=1e-9)


def programs(monkeypatch, utility, x, h, diversity, n_frequencies):
    """Q in each form, as `solve` makes it, and the similarity that it stands for."""
    made = []
    monkeypatch.setattr(iqp, "_iterate", lambda program, *_: made.append(program) or 1 / 0)
    for how in WAYS:
        with pytest.raises(ZeroDivisionError):
            iqp.solve(utility, x, 1, 0.3, h, diversity, n_frequencies=n_frequencies, rng=0, **how)
    waves = gaussian_sums.frequencies(x.shape[1], n_frequencies, np.random.default_rng(0))
    phases = (x - x.mean(axis=0)) / h @ waves
    kernels = slow_kernel(x, h), slow_kernel(x, h), np.cos(phases[:, None] - phases).mean(axis=2)
    flip = diversity == "distance"
    return [(p, 1 - D if flip else D) for p, D in zip(made, kernels, strict=True)]


@BOTH
def test_every_form_multiplies_with_the_same_q(diversity, monkeypatch):
    utility, x = pool(90, 3)
    rng = np.random.default_rng(0)
    for program, similarity in programs(monkeypatch, utility, x, 2.0, diversity, 10):
        q = matrix_of(utility, similarity)
        sums = similarity.sum(axis=1) - np.diagonal(similarity)
        np.testing.assert_allclose(program.sums, sums, atol=1e-10)
        for k in (1, 20, 80):  # 80: all less the others
            old, new = (np.sort(rng.permutation(90)[:k]) for _ in range(2))
            product = program.product(old)
            np.testing.assert_allclose(product, q[:, old].sum(axis=1), atol=1e-10)
            moved = program.moved(product, old, new)
            np.testing.assert_allclose(moved, q[:, new].sum(axis=1), atol=1e-10)


@BOTH
def test_without_the_matrix_and_on_threads_the_same_rows_are_chosen(diversity, monkeypatch):
    for k, dtype in ((150, np.float32), (600, np.float64)):  # more rows than a tile has
        utility, x = pool(900, k, d=8, dtype=dtype)
        options = {"bandwidth": "median", "diversity": diversity}
        whole = iqp.solve(utility, x, k, **options)
        found = []
        for threads in ("1", "2"):
            monkeypatch.setenv("OMP_NUM_THREADS", threads)
            found.append(iqp.solve(utility, x, k, memory=0, **options))
        assert (whole.method, found[0].method) == ("matrix", "blocks")
        assert set(whole.indices) == set(found[0].indices)
        assert found[0].objective == pytest.approx(whole.objective, rel=1e-6)
        assert found[0].indices.tolist() == found[1].indices.tolist()
        assert found[0].objective == found[1].objective


def test_the_form_of_q_follows_memory_and_size(monkeypatch):
    utility, x = pool(4000, 6, d=8, dtype=np.float32)
    for method, form in (("exact", "blocks"), ("fourier", "fourier")):
        tracemalloc.start()
        found = iqp.solve(utility, x, 800, bandwidth="median", memory=1e8, method=method)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert found.method == form
        assert peak < 25e6  # the matrix has 64 MB
    utility, x = utility[:900], x[:900]
    assert iqp.solve(utility, x, 9, memory=8 * 900**2).method == "matrix"
    assert iqp.solve(utility, x, 9, memory=8 * 900**2 - 1).method == "blocks"
    monkeypatch.setattr(iqp, "N_MANY", 900)
    assert iqp.solve(utility, x, 9, memory=0).method == "fourier"
    assert iqp.solve(utility[1:], x[1:], 9, memory=0).method == "blocks"


def test_the_fourier_error_falls_with_the_number_of_frequencies():
    _, x = pool(300, 8, d=6)
    rows, every = gaussian_sums.read(x), np.arange(300)
    expected = slow_kernel(x, 4.0).sum(axis=1) - 1
    errors = []
    for n_frequencies in (4, 64, 1024):
        squares = []
        for seed in range(6):
            waves = gaussian_sums.frequencies(6, n_frequencies, np.random.default_rng(seed))
            sums = gaussian_sums.fourier_sums_over(rows, 4.0, waves, every, np.ones(300))
            squares.append(np.mean((sums / expected - 1) ** 2))
        errors.append(np.sqrt(np.mean(squares)))
    assert errors[2] < 0.05
    assert errors[0] > 2 * errors[1] > 4 * errors[2]  # in the mean by 4 a step


@BOTH
def test_fourier_comes_close_to_exact_and_reports_the_exact_objective(diversity, monkeypatch):
    utility, x = pool(600, 10, d=6)
    options = {"bandwidth": "median", "diversity": diversity}
    exact = iqp.solve(utility, x, 120, **options)
    found = iqp.solve(utility, x, 120, method="fourier", **options)
    matrix = slow_matrix(utility, x, exact.bandwidth, diversity)
    assert found.objective == pytest.approx(value_of(matrix, found.indices))
    assert found.objective > 0.99 * exact.objective
    assert (found.bound, found.gap) == (None, None)
    assert (np.diff(found.objectives) >= -1e-9 * found.objective).all()
    again = iqp.solve(utility, x, 120, method="fourier", **options)
    assert again.indices.tolist() == found.indices.tolist()
    assert "estimated" not in found.message
    monkeypatch.setattr(iqp, "N_PAIRS", 120 * 119 // 2 - 1)
    large = iqp.solve(utility, x, 120, method="fourier", **options)
    assert "estimated by random Fourier features" in large.message
    assert large.objective == max(large.objectives) != found.objective
    assert large.objective == pytest.approx(found.objective, rel=0.05)


def test_fourier_never_ends_below_its_start_by_exact_value():
    messages = []
    for seed in range(12):
        utility, x = pool(80, seed, d=8)
        options = {"bandwidth": 3.0, "method": "fourier", "n_frequencies": 2}
        start = iqp.solve(utility, x, 20, max_steps=0, **options)
        found = iqp.solve(utility, x, 20, **options)
        matrix = slow_matrix(utility, x, 3.0)
        assert value_of(matrix, found.indices) >= value_of(matrix, start.indices) - 1e-9
        messages.append(found.message)
    assert any("start was better" in message for message in messages)


@BOTH
def test_a_vanished_kernel_leaves_the_ranking_to_the_utility(diversity):
    utility, x = pool(60, 13)
    matrix = slow_matrix(utility, x * 1000, 1.0, diversity)
    for how in WAYS:
        with pytest.warns(UserWarning, match="vanishes between all rows at bandwidth 1"):
            found = iqp.solve(utility, x * 1000, 7, diversity=diversity, **how)
        assert found.indices.tolist() == np.argsort(-utility)[:7].tolist()
        assert found.objective == pytest.approx(value_of(matrix, found.indices))
        assert "ranked by utility" in found.message
        if found.method != "fourier":
            best = np.sort(utility)[-7:].sum() + (0.3 * 42 if diversity == "distance" else 0)
            assert found.bound == pytest.approx(best, rel=1e-5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        iqp.solve(utility, x, 7, diversity=diversity)


def test_any_kind_of_array_is_read_and_none_is_copied(tmp_path):
    utility, x = pool(700, 17, d=4)
    x = np.round(x * 8)  # the same values in every type
    expected = set(iqp.solve(utility, x, 70, bandwidth=9.0).indices)
    for dtype in (np.float16, np.float32, np.int16):
        np.save(tmp_path / "x.npy", x.astype(dtype))
        mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
        for some, memory in product((mapped, x.astype(dtype)[:, ::-1]), (0, 1e9)):
            found = iqp.solve(utility, some, 70, bandwidth=9.0, memory=memory)
            assert set(found.indices) == expected
        assert np.shares_memory(gaussian_sums.read(mapped).source, mapped)


def test_wrong_arguments_are_named():
    x, u = np.arange(12.0).reshape(6, 2), np.ones(6)
    cases = {
        "k": (0, 7, 1.5), "utility": (-u, u[:5]), "scores": (u * np.nan,), "weight": (-1, np.nan),
        "features": (np.where(x == 7, np.nan, x), x[0], x[:0]),
        "bandwidth": (0, "mean", 1e-200, True, [1, 2], np.nan), "diversity": ("other",),
        "shift": ("large", -1, np.inf), "memory": (-1, "1 GB"), "max_steps": (-1, 1.5),
        "method": ("fast",), "rng": ("seed",),
    }  # fmt: skip
    for name, values in cases.items():
        for value in values:
            change = {"utility" if name == "scores" else name: value}
            with pytest.raises(StudyError, match=name):
                iqp.solve(**{"utility": u, "features": x, "k": 3} | change)
    with pytest.raises(StudyError, match="features have no median distance"):
        iqp.solve(u, np.ones((6, 2)), 3, bandwidth="median")
    skew = np.triu(np.ones((3, 3)))
    cases = {"similarity": (np.eye(2), -np.eye(3), skew, np.eye(3) * np.nan),
             "start": ([0, 0], [3], [-1], [], [0.5], [[0]]), "shift": ("large", -1)}  # fmt: skip
    for name, value in ((name, value) for name, values in cases.items() for value in values):
        arguments = {"utility": np.ones(3), "similarity": np.eye(3), "start": [0]}
        with pytest.raises(StudyError, match=name):
            iqp.power_steps(**arguments | {name: value})
