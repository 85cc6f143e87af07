import tracemalloc
import warnings
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.spatial.distance import cdist

from helpers.selection import blocks, fourier, iqp, iqp_task, kernels, power, quadratic, rows, tiles

BOTH = pytest.mark.parametrize("diversity", ["kernel", "distance"])


def pool(n, seed, d=3, dtype=np.float64):
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(4, d)) * 2
    features = centres[rng.integers(0, 4, n)] + rng.normal(size=(n, d))
    return rng.uniform(0, np.log(10), n), features.astype(dtype)


def slow_kernel(x, h=1.0):
    x = np.asarray(x, dtype=np.float64)
    return np.exp(-(cdist(x, x) ** 2) / (2 * h * h))


def slow_matrix(utility, x, h=1.0, diversity="kernel", weight=0.3):
    kernel = slow_kernel(x, h)
    matrix = weight * (kernel if diversity == "kernel" else 1 - kernel)
    np.fill_diagonal(matrix, utility)
    return matrix


def value_of(matrix, chosen):
    return matrix[np.ix_(chosen, chosen)].sum()


def slow_solve(matrix, k, shift):
    """Algorithm 1 word for word: LP by row sums, then x <- top-k((Q + shift I) x)."""
    x = np.zeros(len(matrix))
    x[np.argsort(-matrix.sum(axis=1), kind="stable")[:k]] = 1
    values, seen = [], set()
    while x.tobytes() not in seen:
        seen.add(x.tobytes())
        values.append(x @ matrix @ x)
        following = np.zeros(len(matrix))
        following[np.argsort(-(matrix @ x + shift * x), kind="stable")[:k]] = 1
        x = following
    return values


@BOTH
@pytest.mark.parametrize("memory", [0, 1 << 30])
@pytest.mark.parametrize("shift", [None, 0.7])
def test_solve_equals_its_slow_twin(diversity, memory, shift):
    for seed in range(6):
        utility, x = pool(61, seed)
        matrix = slow_matrix(utility, x, 1.5, diversity)
        values = slow_solve(matrix, 17, shift or 0)
        found = iqp.solve(
            utility, x, 17, bandwidth=1.5, diversity=diversity, shift=shift, memory=memory
        )
        assert found.method == ("matrix" if memory else "blocks")
        np.testing.assert_allclose(found.objectives, values)
        assert found.objective == found.fun == pytest.approx(max(values))
        assert value_of(matrix, found.indices) == pytest.approx(max(values))
        assert found.bound == pytest.approx(np.sort(matrix.sum(axis=1))[-17:].sum())
        assert found.gap == pytest.approx(found.bound / found.objective - 1)
        assert found.iterations == found.nit == len(values) - 1
        assert found.indices.dtype == np.int64


@given(
    n=st.integers(1, 40),
    step=st.integers(1, 11),
    threads=st.integers(1, 3),
    spread=st.sampled_from([0.3, 1.0, 30.0]),
    seed=st.integers(0, 99),
)
@settings(max_examples=40, deadline=None)
def test_sums_by_tiles_equal_those_of_the_matrix(n, step, threads, spread, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 2)) * spread + 5
    kernel = slow_kernel(x, 1.3) - np.eye(n)
    points = tiles.prepared(rows.read(x), slice(None), 1.3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiles, "N_COLUMNS", 7)
        patch.setattr(tiles, "N_GATHERED", 9)
        sums = tiles.row_sums(points, threads, step)
        some = rng.permutation(n)[: rng.integers(1, n + 1)]
        signs = rng.choice([-1.0, 1.0], len(some))
        over = tiles.sums_over(points, some, signs, threads, step)
        sampled = tiles.sampled_sums(rows.read(x), some, 1.3, threads)
    np.testing.assert_allclose(sums, kernel.sum(axis=1), atol=1e-9)
    np.testing.assert_allclose(over, kernel[:, some] @ signs, atol=1e-9)
    np.testing.assert_allclose(sampled, kernel[some].sum(axis=1), atol=1e-9)


@BOTH
def test_blocks_and_matrix_multiply_alike(diversity):
    utility, x = pool(90, 3)
    rng = np.random.default_rng(0)
    similarity = kernels.gaussian_similarity(x, 2.0, diversity)
    whole = quadratic.Matrix(utility, similarity, 0.4)
    points = tiles.prepared(rows.read(x), slice(None), 2.0)
    parts = quadratic.Blocks(utility, points, 0.4, diversity, threads=2, step=13)
    np.testing.assert_allclose(parts.sums(), whole.sums())
    for k in (1, 20, 80):  # 80: all less the others
        chosen, other = np.sort(rng.permutation(90)[:k]), np.sort(rng.permutation(90)[:k])
        product = whole.product(chosen)
        np.testing.assert_allclose(parts.product(chosen), product)
        changed = np.setdiff1d(other, chosen), np.setdiff1d(chosen, other)
        moved = parts.moved(product, *changed)
        np.testing.assert_allclose(moved, whole.product(other), atol=1e-12)
        np.testing.assert_allclose(whole.moved(product, *changed), moved, atol=1e-12)


def test_products_cost_by_the_rows_that_changed(monkeypatch):
    utility, x = pool(400, 3)
    counts, sums_over = [], tiles.sums_over

    def counted(points, some, *others):
        counts.append(len(some))
        return sums_over(points, some, *others)

    monkeypatch.setattr(tiles, "sums_over", counted)
    found = iqp.solve(utility, x, 90, bandwidth=2.0, memory=0, start=np.arange(90))
    assert found.iterations > 2
    assert counts[0] == 90
    assert len(counts) == found.iterations + 1
    assert all(count <= 90 for count in counts)
    assert counts[-1] < 20  # the last steps exchange a few rows
    counts.clear()
    iqp.solve(utility, x, 380, bandwidth=2.0, memory=0, max_steps=0)
    assert counts == [20]  # most rows: all less the others


def test_a_move_of_most_rows_is_no_product_with_all_others():
    utility, x = pool(50, 1)
    points = tiles.prepared(rows.read(x), slice(None), 1.0)
    program = quadratic.Blocks(utility, points, 0.3)
    program.sums()
    product = program.product(np.arange(20))
    moved = program.moved(product, np.arange(20, 40), np.arange(20))
    np.testing.assert_allclose(moved, program.product(np.arange(20, 40)), atol=1e-12)


def test_rounding_lifts_no_entry_above_one():
    x = np.repeat(np.random.default_rng(0).normal(size=(200, 8)) * 500, 2, axis=0)
    points = tiles.prepared(rows.read(x.astype(np.float32)), slice(None), 1.0)
    assert tiles.row_sums(points).max() <= 1
    pairs = kernels.gaussian_similarity(x.astype(np.float32))
    assert pairs.max() == np.diagonal(pairs).min() == 1


@BOTH
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_without_the_matrix_the_same_rows_are_chosen(diversity, dtype):
    for seed, k in ((0, 150), (1, 600)):  # more rows than a tile has
        utility, x = pool(900, seed, d=8, dtype=dtype)
        options = {"bandwidth": "median", "diversity": diversity, "shift": "auto"}
        whole = iqp.solve(utility, x, k, **options)
        parts = iqp.solve(utility, x, k, memory=0, threads=1, **options)
        shared = iqp.solve(utility, x, k, memory=0, threads=2, **options)
        assert (whole.method, parts.method) == ("matrix", "blocks")
        assert set(whole.indices) == set(parts.indices)
        assert parts.objective == pytest.approx(whole.objective, rel=1e-6)
        assert parts.indices.tolist() == shared.indices.tolist()
        assert parts.objective == shared.objective


@BOTH
@given(seed=st.integers(0, 10_000), n=st.integers(2, 60), memory=st.sampled_from([0, 1e9]))
@settings(max_examples=40, deadline=None)
def test_properties_of_every_answer(diversity, seed, n, memory):
    rng = np.random.default_rng(seed)
    utility, x = pool(n, seed)
    k = int(rng.integers(1, n + 1))
    start = rng.permutation(n)[:k]
    matrix = slow_matrix(utility, x, 2.5, diversity)
    for shift in ("auto", None):
        found = iqp.solve(utility, x, k, 0.3, "gaussian", 2.5, diversity, shift, memory, start)
        assert len(found.indices) == len(set(found.indices.tolist())) == k
        assert 0 <= found.indices.min() <= found.indices.max() < n
        value = value_of(matrix, found.indices)
        assert found.objective == pytest.approx(value, rel=1e-9)
        assert found.objective >= value_of(matrix, start) - 1e-9
        assert found.objective <= found.bound * (1 + 1e-12)
        product = matrix[:, found.indices].sum(axis=1)[found.indices]
        assert (np.diff(product) <= 1e-9).all()
        if shift == "auto":
            lifted = matrix + found.shift * np.eye(n)
            assert np.linalg.eigvalsh(lifted)[0] > -1e-9
            assert (np.diff(found.objectives) >= -1e-9).all()
            assert found.success
            assert found.status in ("local", "optimal")


@pytest.mark.parametrize("seed", range(5))
def test_the_bound_holds_and_optimal_means_optimal(seed):
    utility, x = pool(9, seed)
    matrix = slow_matrix(utility, x)
    for k in (1, 4, 9):
        best = max(value_of(matrix, list(s)) for s in combinations(range(9), k))
        found = iqp.solve(utility, x, k)
        assert found.bound >= best - 1e-9
        if found.status == "optimal":
            assert found.objective == pytest.approx(best)
    assert found.status == "optimal"
    assert found.gap == pytest.approx(0, abs=1e-9)


@BOTH
@pytest.mark.parametrize("method", ["exact", "fourier"])
@pytest.mark.parametrize("memory", [0, 1e9])
def test_the_order_of_rows_does_not_matter(diversity, method, memory):
    utility, x = pool(200, 4)
    shuffled = np.random.default_rng(1).permutation(200)
    options = {"diversity": diversity, "memory": memory, "method": method, "bandwidth": 2.0}
    found = iqp.solve(utility, x, 60, **options)
    other = iqp.solve(utility[shuffled], x[shuffled], 60, **options)
    assert shuffled[other.indices].tolist() == found.indices.tolist()


def test_budgeted_is_solve():
    utility, x = pool(300, 5)
    chosen = iqp.budgeted(utility, x, 40, 0.2, "median", "kernel", "auto", 5)
    options = {"bandwidth": "median", "shift": "auto", "max_steps": 5}
    assert chosen.tolist() == iqp.solve(utility, x, 40, 0.2, **options).indices.tolist()


def test_solve_iterates_as_printed_and_budgeted_with_the_monotone_shift():
    utility, x = pool(300, 5)
    assert iqp.solve(utility, x, 40).shift == 0
    assert iqp.solve(utility, x, 40, shift="auto").shift == pytest.approx(0.3 - utility.min())
    monotone = iqp.solve(utility, x, 40, shift="auto").indices
    assert iqp.budgeted(utility, x, 40).tolist() == monotone.tolist()


def test_a_float32_matrix_is_multiplied_in_float64():
    rng = np.random.default_rng(3)
    half = rng.random((60, 60), dtype=np.float32)
    similarity, rows = half + half.T, rng.permutation(60)[:25]
    program = quadratic.Matrix(rng.random(60), similarity, 0.3)
    wide = 0.3 * similarity.astype(np.float64)
    np.fill_diagonal(wide, program.utility)
    expected = wide[:, rows].sum(axis=1)
    np.testing.assert_allclose(program.product(rows), expected, rtol=1e-14)
    value = iqp.objective(program.utility, similarity, rows)
    assert value == pytest.approx(expected[rows].sum(), rel=1e-14)


def test_the_matrix_is_not_formed_above_the_memory():
    utility, x = pool(4000, 6, d=8, dtype=np.float32)
    for method, memory in (("exact", 1e8), ("fourier", 1e8)):
        tracemalloc.start()
        found = iqp.solve(utility, x, 800, bandwidth="median", memory=memory, method=method)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert found.method == {"exact": "blocks"}.get(method, method)
        assert peak < 25e6  # the matrix has 64 MB
    assert iqp.solve(utility[:900], x[:900], 9, memory=8 * 900**2).method == "matrix"
    assert iqp.solve(utility[:900], x[:900], 9, memory=8 * 900**2 - 1).method == "blocks"


def test_a_million_rows_go_by_fourier_features(monkeypatch):
    monkeypatch.setattr(iqp_task, "N_MANY", 500)
    utility, x = pool(500, 7)
    assert iqp.solve(utility, x, 50, memory=0).method == "fourier"
    assert iqp.solve(utility, x, 50, memory=0, method="exact").method == "blocks"
    assert iqp.solve(utility[:499], x[:499], 50, memory=0).method == "blocks"


def test_the_fourier_error_falls_with_the_number_of_frequencies():
    _, x = pool(300, 8, d=6)
    expected = slow_kernel(x, 4.0).sum(axis=1) - 1
    errors = []
    for n_frequencies in (4, 64, 1024):
        squares = []
        for seed in range(6):
            waves = fourier.frequencies(6, n_frequencies, np.random.default_rng(seed))
            program = fourier.Fourier(np.ones(300), rows.read(x), 4.0, 0.3, "kernel", waves)
            squares.append(np.mean((program.sums() / expected - 1) ** 2))
        errors.append(np.sqrt(np.mean(squares)))
    assert errors[2] < 0.05
    assert errors[0] > 2 * errors[1] > 4 * errors[2]  # in the mean by 4 a step


@BOTH
def test_fourier_products_are_those_of_the_estimated_kernel(diversity):
    utility, x = pool(70, 9)
    waves = fourier.frequencies(3, 10, np.random.default_rng(0))
    phases = (x - x.mean(axis=0)) / 1.5 @ waves
    kernel = np.cos(phases[:, None] - phases).mean(axis=2)
    similarity = kernel if diversity == "kernel" else 1 - kernel
    slow = quadratic.Matrix(utility, similarity, 0.3)
    program = fourier.Fourier(utility, rows.read(x), 1.5, 0.3, diversity, waves, threads=2)
    np.testing.assert_allclose(program.sums(), slow.sums(), atol=1e-10)
    chosen, other = np.arange(0, 60, 3), np.arange(0, 40, 2)
    np.testing.assert_allclose(program.product(chosen), slow.product(chosen), atol=1e-10)
    changed = np.setdiff1d(other, chosen), np.setdiff1d(chosen, other)
    moved = program.moved(program.product(chosen), *changed)
    np.testing.assert_allclose(moved, slow.product(other), atol=1e-10)


def test_frequencies_are_gaussian_and_orthogonal_in_groups():
    waves = fourier.frequencies(5, 20_003, np.random.default_rng(0))
    assert waves.shape == (5, 20_003)
    gram = waves[:, :5].T @ waves[:, :5]
    np.testing.assert_allclose(gram, np.diag(np.diagonal(gram)), atol=1e-12)
    np.testing.assert_allclose(np.cov(waves), np.eye(5), atol=0.05)
    assert np.mean(waves**4) == pytest.approx(3, rel=0.1)


@BOTH
def test_fourier_comes_close_to_exact_and_reports_the_exact_objective(diversity):
    utility, x = pool(600, 10, d=6)
    options = {"bandwidth": "median", "diversity": diversity, "shift": "auto"}
    exact = iqp.solve(utility, x, 120, **options)
    found = iqp.solve(utility, x, 120, method="fourier", **options)
    matrix = slow_matrix(utility, x, exact.bandwidth, diversity)
    assert found.objective == pytest.approx(value_of(matrix, found.indices))
    assert found.objective > 0.99 * exact.objective
    assert (found.bound, found.gap) == (None, None)
    assert 0 < found.noise < 0.2
    assert (np.diff(found.objectives) >= -1e-9 * found.objective).all()
    again = iqp.solve(utility, x, 120, method="fourier", **options)
    assert again.indices.tolist() == found.indices.tolist()
    assert "estimated" not in found.message


def test_a_large_subset_has_an_estimated_objective_that_says_so(monkeypatch):
    utility, x = pool(300, 11)
    exact = iqp.solve(utility, x, 50, bandwidth=3.0, method="fourier")
    monkeypatch.setattr(iqp_task, "N_PAIRS", 50 * 49 // 2 - 1)
    found = iqp.solve(utility, x, 50, bandwidth=3.0, method="fourier")
    assert "estimated by random Fourier features" in found.message
    assert found.objective == max(found.objectives) != exact.objective
    assert found.objective == pytest.approx(exact.objective, rel=0.05)


def test_fourier_never_ends_below_its_start_by_exact_value():
    for seed in range(8):
        utility, x = pool(80, seed, d=8)
        start = iqp.solve(utility, x, 20, bandwidth=3.0).indices
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = iqp.solve(
                utility, x, 20, bandwidth=3.0, method="fourier", n_frequencies=2, start=start
            )
        matrix = slow_matrix(utility, x, 3.0)
        assert value_of(matrix, found.indices) >= value_of(matrix, start) - 1e-9
    assert "start was better" in found.message


def test_noise_is_named_where_the_kernel_has_almost_vanished():
    utility, x = pool(400, 12, d=16)
    with pytest.warns(UserWarning, match="mostly noise"):
        found = iqp.solve(utility, x * 1.5, 40, method="fourier", n_frequencies=32)
    assert found.noise > 0.5


@BOTH
@pytest.mark.parametrize("how", [{}, {"memory": 0}, {"method": "fourier"}])
def test_a_vanished_kernel_leaves_the_ranking_to_the_utility(diversity, how):
    utility, x = pool(60, 13)
    with pytest.warns(UserWarning, match="vanishes between all rows at bandwidth 1"):
        found = iqp.solve(utility, x * 1000, 7, diversity=diversity, **how)
    assert found.indices.tolist() == np.argsort(-utility)[:7].tolist()
    matrix = slow_matrix(utility, x * 1000, 1.0, diversity)
    assert found.objective == pytest.approx(value_of(matrix, found.indices))
    assert "ranked by utility" in found.message
    if how.get("method") != "fourier":
        best = np.sort(utility)[-7:].sum() + (0.3 * 42 if diversity == "distance" else 0)
        assert found.bound == pytest.approx(best, rel=1e-5)


def test_projection_is_that_of_equation_5():
    utility, x = pool(150, 14, d=40)
    directions = np.random.default_rng(3).standard_normal((40, 12)) / np.sqrt(12)
    expected = iqp.solve(utility, x @ directions, 30, bandwidth="median")
    for memory in (0, 1e9):
        found = iqp.solve(utility, x, 30, bandwidth="median", project=12, rng=3, memory=memory)
        assert found.indices.tolist() == expected.indices.tolist()
        assert found.bandwidth == pytest.approx(expected.bandwidth)
    projected = rows.read(x, 12, np.random.default_rng(3))
    np.testing.assert_allclose(projected.centre, projected.take(slice(None)).mean(axis=0))
    ratios = []
    for seed in range(200):
        projected = rows.read(x[:2], 12, np.random.default_rng(seed)).take(slice(None))
        ratios.append(cdist(projected, projected)[0, 1] ** 2 / cdist(x[:2], x[:2])[0, 1] ** 2)
    assert np.mean(ratios) == pytest.approx(1, abs=0.1)  # standard error 0.03
    by_waves = iqp.solve(utility, x, 30, bandwidth="median", project=12, rng=3, method="fourier")
    assert len(set(by_waves.indices) & set(expected.indices)) > 24


def test_swap_search_finishes_and_needs_the_matrix():
    utility, x = pool(80, 15)
    for diversity in ("kernel", "distance"):
        plain = iqp.solve(utility, x, 25, diversity=diversity, shift="auto")
        found = iqp.solve(utility, x, 25, diversity=diversity, shift="auto", finish="swap")
        matrix = slow_matrix(utility, x, 1.0, diversity)
        assert found.objective == pytest.approx(value_of(matrix, found.indices))
        assert found.objective >= plain.objective
        product = matrix[:, found.indices].sum(axis=1)[found.indices]
        assert (np.diff(product) <= 1e-9).all()
    assert found.objective > plain.objective  # the shift for the distance froze the start
    assert "swap search" in found.message
    with pytest.raises(ValueError, match="needs the matrix"):
        iqp.solve(utility, x, 25, finish="swap", memory=0)


def test_a_start_of_the_users_own_and_no_steps():
    utility, x = pool(50, 16)
    start = np.arange(10)
    found = iqp.solve(utility, x, 10, start=start, max_steps=0)
    assert sorted(found.indices) == start.tolist()
    assert (found.status, found.success, found.iterations) == ("feasible", False, 0)
    assert "stopped after 0 steps" in found.message


def test_any_kind_of_array_is_read_and_none_is_written(tmp_path):
    utility, x = pool(700, 17, d=4)
    x = np.round(x * 8)  # the same values in every type
    for dtype in (np.float16, np.float32, np.float64, np.int16):
        np.save(tmp_path / "x.npy", x.astype(dtype))
        mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
        wide = np.zeros((700, 8), dtype)
        wide[:, ::2] = x
        frozen = wide[:, ::2]
        frozen.flags.writeable = False
        answers = [
            iqp.solve(utility, some, 70, bandwidth=9.0, memory=memory, method=method).indices
            for some in (mapped, frozen, x.astype(dtype))
            for memory, method in ((0, "exact"), (1e9, "exact"))
        ]
        assert all(set(a) == set(answers[0]) for a in answers)
        for some in (mapped, frozen):
            assert len(iqp.solve(utility, some, 70, bandwidth=9.0, method="fourier").indices) == 70
        assert (frozen == x).all()
    assert rows.read(mapped).source.dtype == np.int16  # no copy in float64


def one_hot(n):
    return np.eye(4)[np.arange(n) % 4]


@pytest.mark.parametrize("memory", [0, 1e9])
@pytest.mark.parametrize("k", [1, 9, 12])
@pytest.mark.parametrize(
    "x", [np.ones((12, 3)), one_hot(12), np.zeros((12, 1)), np.repeat([[0.0], [3]], 6, axis=0)]
)
def test_degenerate_features(x, k, memory):
    utility = np.full(12, 0.5)
    for diversity in ("kernel", "distance"):
        found = iqp.solve(utility, x, k, diversity=diversity, shift="auto", memory=memory)
        matrix = slow_matrix(utility, x, 1.0, diversity)
        assert len(set(found.indices.tolist())) == k
        assert found.objective == pytest.approx(value_of(matrix, found.indices))
    if (x == x[0]).all():
        assert sorted(found.indices) == list(range(k))  # all tied: the lowest rows


@pytest.mark.parametrize("how", [{}, {"memory": 0}, {"method": "fourier"}])
def test_one_row(how):
    found = iqp.solve([0.7], [[1.0, 2.0]], 1, **how)
    assert found.indices.tolist() == [0]
    assert found.objective == pytest.approx(0.7)


def test_top_keeps_the_lowest_of_tied_rows():
    assert power.top(np.array([1.0, 3, 2, 2, 2, 0]), 3).tolist() == [1, 2, 3]
    rng = np.random.default_rng(0)
    for _ in range(50):
        values, k = rng.integers(0, 4, 12).astype(float), int(rng.integers(1, 13))
        expected = np.sort(np.argsort(-values, kind="stable")[:k])
        assert power.top(values, k).tolist() == expected.tolist()


@pytest.mark.parametrize("k", [1, 7, 20])
def test_the_merged_lp_is_the_lp_as_written(k):
    utility, x = pool(20, k)
    similarity = kernels.gaussian_similarity(x)
    written = iqp.solve_lp_as_written(utility, similarity, k)
    merged = iqp.solve_lp_merged(utility, similarity, k)
    sums = slow_matrix(utility, x).sum(axis=1)
    assert merged.fun == pytest.approx(written.fun, rel=1e-7)
    assert merged.fun == pytest.approx(np.sort(sums)[-k:].sum(), rel=1e-7)
    assert set(merged.indices) == set(iqp.lp_relaxation(utility, similarity, k))
    assert (merged.status, merged.success, merged.gap) == ("optimal", True, 0)
    assert set(written) == set(merged)


def test_the_merged_lp_of_one_row_and_without_time():
    assert iqp.solve_lp_merged([0.4], [[1.0]], 1).fun == pytest.approx(0.4)
    utility, x = pool(150, 0)
    with pytest.raises(ValueError, match="found no answer within 1e-09 s"):
        iqp.solve_lp_merged(utility, kernels.gaussian_similarity(x), 30, time_limit=1e-9)


def test_threads(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert blocks.thread_count() == 3
    assert blocks.thread_count(2) == 2
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert blocks.thread_count() >= 1
    for threads in (1, 3):
        assert list(blocks.in_order(lambda i: i * i, range(50), threads)) == [
            i * i for i in range(50)
        ]


X = np.arange(12.0).reshape(6, 2)
U = np.ones(6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"k": 0}, "k must lie in 1..6"),
        ({"k": 7}, "k must lie in 1..6"),
        ({"utility": -U}, "utility must not be negative"),
        ({"utility": U * np.nan}, "NaN in row 0"),
        ({"utility": U[:5]}, "differ in length: 6, 5"),
        ({"features": np.where(X == 7, np.nan, X)}, "NaN or inf in row 3"),
        ({"features": X[0]}, "features must have shape"),
        ({"features": X[:0]}, "features must have shape"),
        ({"features": X.astype(str) + "a"}, "features must be an array of numbers"),
        ({"features": np.ones((6, 2)), "bandwidth": "median"}, "more than half of the pairs"),
        ({"weight": -1}, "weight must be finite and not negative"),
        ({"weight": None}, "weight must be finite and not negative"),
        ({"kernel": "linear"}, "kernel must be one of gaussian"),
        ({"bandwidth": 0}, "bandwidth must be a number above 0 or 'median'"),
        ({"bandwidth": "mean"}, "bandwidth must be a number above 0 or 'median'"),
        ({"diversity": "other"}, "diversity must be one of kernel, distance"),
        ({"shift": "large"}, "shift must be None, 'auto' or a number"),
        ({"shift": -1}, "shift must be None, 'auto' or a number"),
        ({"memory": -1}, "memory must be a number of bytes"),
        ({"memory": "1 GB"}, "memory must be a number of bytes"),
        ({"start": "best"}, "start as a name must be one of lp"),
        ({"start": [0, 0, 1]}, "start must be different row numbers"),
        ({"start": [0, 1]}, "start must hold k = 3 row numbers, got 2"),
        ({"max_steps": -1}, "max_steps must be a whole number"),
        ({"max_steps": 1.5}, "max_steps must be a whole number"),
        ({"method": "fast"}, "method must be one of auto, exact, fourier"),
        ({"n_frequencies": 0}, "n_frequencies must be a whole number"),
        ({"project": 3}, "project must be None or a whole number in 1..2"),
        ({"project": True}, "project must be None or a whole number in 1..2"),
        ({"finish": "polish"}, "finish must be one of None, swap"),
        ({"rng": "seed"}, "rng must be a seed or a numpy.random.Generator"),
        ({"threads": 0}, "threads must be a whole number"),
    ],
)
def test_error_lines(change, message):
    arguments = {"utility": U, "features": X, "k": 3, **change}
    with pytest.raises(ValueError, match=message) as caught:
        iqp.solve(**arguments)
    assert "\n" not in str(caught.value)
