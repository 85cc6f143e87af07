"""k-DPPs: the greedy MAP against determinants and LAPACK, samples against enumeration."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from helpers.selection import dpp
from helpers.selection.gaussian_sums import gaussian_similarity

SAMPLERS = [dpp.sample_k_dpp, dpp.sample_k_dpp_textbook]


def kernel_of(n, seed, d=3, rank=None):
    """Return a random semi-definite matrix, entries of both signs."""
    root = np.random.default_rng(seed).normal(size=(n, rank or d))
    return root @ root.T


def naive_map(kernel, k):
    picked = []
    for _ in range(k):
        values = [
            -np.inf if i in picked else np.linalg.det(kernel[np.ix_(picked + [i], picked + [i])])
            for i in range(len(kernel))
        ]
        picked.append(int(np.argmax(values)))
    return picked


def chances_of_subsets(kernel, k):
    """Return {subset: probability} by enumeration."""
    subsets = list(combinations(range(len(kernel)), k))
    dets = np.array([np.linalg.det(kernel[np.ix_(s, s)]) for s in subsets])
    return dict(zip(subsets, dets / dets.sum(), strict=True))


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_greedy_map_takes_the_largest_determinant_at_every_step(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 12))
    kernel = kernel_of(n, seed, rank=n + 2)
    k = int(rng.integers(1, n + 1))
    assert dpp.greedy_map(kernel, k).tolist() == naive_map(kernel, k)


@pytest.mark.parametrize("panel", [1, 7, 128])
def test_greedy_map_equals_lapack_where_there_are_no_ties(panel, monkeypatch):
    import scipy.linalg

    monkeypatch.setattr(dpp, "N_PANEL", panel)
    kernel = gaussian_similarity(np.random.default_rng(0).normal(size=(300, 8)), "median")
    kernel *= np.linspace(1, 2, 300)[:, None] * np.linspace(1, 2, 300)
    pivots = scipy.linalg.lapack.dpstrf(kernel, lower=1)[1] - 1
    picked = dpp.greedy_map(kernel, 300)
    assert picked.tolist() == pivots.tolist()
    assert dpp.greedy_map(kernel, 90).tolist() == picked[:90].tolist()


def test_ties_go_to_the_lowest_row():
    assert dpp.greedy_map(np.eye(50), 7).tolist() == list(range(7))
    # Four corners of a square around its centre: only rounding tells the corners apart.
    points = np.array([[0.0, 0], [0.1, 0.3], [0.3, -0.1], [-0.1, -0.3], [-0.3, 0.1]])
    kernel = np.exp(-((points[:, None] - points) ** 2).sum(axis=2))
    assert dpp.greedy_map(kernel, 3).tolist() == [0, 1, 2]
    noise = np.random.default_rng(0).normal(size=(5, 5)) * 1e-15
    assert dpp.greedy_map(kernel + noise + noise.T, 3).tolist() == [0, 1, 2]


def test_the_largest_determinant_of_two_planted_clusters_takes_one_of_each():
    rng = np.random.default_rng(0)
    near = np.concatenate([rng.normal(size=(10, 2)) * 0.01, 5 + rng.normal(size=(10, 2)) * 0.01])
    kernel = np.exp(-((near[:, None] - near) ** 2).sum(axis=2) / 2)
    assert {int(i) // 10 for i in dpp.greedy_map(kernel, 2)} == {0, 1}
    draws = [dpp.sample_k_dpp(kernel, 2, np.random.default_rng(s)) for s in range(50)]
    assert np.mean([len({int(i) // 10 for i in drawn}) == 2 for drawn in draws]) > 0.9


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_samples_have_the_probabilities_of_the_enumeration(sampler):
    kernel = kernel_of(6, 1, rank=5) + 0.1 * np.eye(6)
    expected = chances_of_subsets(kernel, 3)
    rng, n_draws = np.random.default_rng(0), 1500
    counts = dict.fromkeys(expected, 0)
    for _ in range(n_draws):
        counts[tuple(sorted(sampler(kernel, 3, rng).tolist()))] += 1
    share = np.array([expected[s] for s in expected])
    seen = np.array([counts[s] for s in expected])
    # 20 subsets, 19 degrees of freedom: the 99.9 % quantile of chi-square is 43.8.
    assert ((seen - n_draws * share) ** 2 / (n_draws * share)).sum() < 43.8
    uniform = n_draws / len(share)
    assert ((seen - uniform) ** 2 / uniform).sum() > 100


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_first_of_a_sample_is_any_of_its_rows(sampler):
    kernel = kernel_of(4, 2, rank=6)
    expected = np.zeros(4)
    for subset, chance in chances_of_subsets(kernel, 2).items():
        expected[list(subset)] += chance / 2
    rng = np.random.default_rng(0)
    firsts = np.bincount([sampler(kernel, 2, rng)[0] for _ in range(1000)], minlength=4)
    # 3 degrees of freedom: the 99.9 % quantile of chi-square is 16.3.
    assert ((firsts - 1000 * expected) ** 2 / (1000 * expected)).sum() < 16.3


def test_inclusion_chances_at_moderate_size():
    kernel = kernel_of(40, 3, rank=40) / 40
    kernel *= np.linspace(0.5, 2, 40)[:, None] * np.linspace(0.5, 2, 40)
    values, vectors = np.linalg.eigh(kernel)
    k, n_draws = 12, 300
    polynomials = np.zeros(k + 1)
    polynomials[0] = 1
    for value in values:
        polynomials[1:] += value * polynomials[:-1]
    chances = np.empty(40)
    for m in range(40):  # e_{k-1} of the others, by division
        without = np.ones(k)
        for j in range(1, k):
            without[j] = polynomials[j] - values[m] * without[j - 1]
        chances[m] = values[m] * without[k - 1] / polynomials[k]
    expected = (vectors**2) @ chances
    assert expected.sum() == pytest.approx(k)
    rng = np.random.default_rng(1)
    drawn = np.concatenate([dpp.sample_k_dpp(kernel, k, rng) for _ in range(n_draws)])
    seen = np.bincount(drawn, minlength=40) / n_draws
    spread = np.sqrt(expected * (1 - expected) / n_draws)
    assert (np.abs(seen - expected) < 4.5 * spread).all()
    assert np.abs(k / 40 - expected).max() > 4.5 * spread.max()  # uniform would not pass


@pytest.mark.parametrize("panel", [2, 128])
def test_a_projection_kernel_gives_its_rank_and_its_determinants(panel, monkeypatch):
    monkeypatch.setattr(dpp, "N_PANEL", panel)
    monkeypatch.setattr(dpp, "N_TILE", 2)
    basis = np.linalg.qr(np.random.default_rng(4).normal(size=(7, 3)))[0]
    expected = chances_of_subsets(basis @ basis.T, 3)
    rng = np.random.default_rng(0)
    counts = dict.fromkeys(expected, 0)
    for _ in range(1500):
        counts[tuple(dpp.sample_projection(basis, rng).tolist())] += 1
    share = np.array([expected[s] for s in expected])
    seen = np.array([counts[s] for s in expected])
    # 35 subsets, 34 degrees of freedom: the 99.9 % quantile of chi-square is 65.2.
    assert ((seen - 1500 * share) ** 2 / (1500 * share)).sum() < 65.2
    picked = dpp.sample_k_dpp(basis @ basis.T, 3, rng)
    assert len(set(picked.tolist())) == 3


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_projections_of_any_shape_return_exactly_k(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 300))
    k = int(rng.integers(1, n + 1))
    basis = np.linalg.qr(rng.normal(size=(n, k)))[0]
    if rng.random() < 0.3:
        basis = np.eye(n)[:, rng.permutation(n)[:k]]
    drawn = dpp.sample_projection(basis, rng)
    assert len(drawn) == k
    assert (np.diff(drawn) > 0).all()
    if set(np.unique(basis)) <= {0.0, 1.0}:
        assert drawn.tolist() == np.flatnonzero(basis.any(axis=1)).tolist()


@pytest.mark.parametrize(("n", "k"), [(400, 200), (1000, 500)])
@pytest.mark.parametrize("scale", [1.0, 1e6])
def test_the_polynomials_stay_finite(n, k, scale):
    values = scale * np.random.default_rng(0).gamma(0.5, 1, n)
    chances = dpp._inclusion_chances(values, k)
    assert np.isfinite(chances).all()
    assert chances.min() >= 0
    assert chances.max() <= 1
    # The scale of a k-DPP's kernel does not matter.
    np.testing.assert_allclose(chances, dpp._inclusion_chances(values / scale, k), atol=1e-7)


@pytest.mark.parametrize("sampler", [*SAMPLERS, lambda kernel, k, rng: dpp.greedy_map(kernel, k)])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
def test_a_rank_below_k_is_refused_by_name(sampler, dtype):
    root = np.random.default_rng(5).integers(-3, 4, (30, 4))
    kernel = (root @ root.T).astype(dtype)
    rng = np.random.default_rng(0)
    assert len(set(sampler(kernel, 4, rng).tolist())) == 4
    with pytest.raises(ValueError, match="numerical rank, 4, got 5"):
        sampler(kernel, 5, rng)
    with pytest.raises(ValueError, match="numerical rank, 0, got 1"):
        sampler(np.zeros((3, 3), dtype), 1, rng)


def test_repeated_rows_lower_the_rank():
    kernel = np.kron(np.eye(5) + 0.1, np.ones((2, 2)))
    assert dpp.greedy_map(kernel, 5).tolist() == [0, 2, 4, 6, 8]
    with pytest.raises(ValueError, match="numerical rank, 5, got 6"):
        dpp.greedy_map(kernel, 6)


@given(st.integers(0, 2**32 - 1), st.sampled_from(["float16", "float32", "float64", "int64"]))
@settings(max_examples=25, deadline=None)
def test_any_dtype_and_layout_gives_k_rows_once(seed, dtype):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 40))
    root = rng.integers(-2, 3, (n, n))
    kernel = np.asfortranarray((root @ root.T + 8 * np.eye(n)).astype(dtype))
    kernel.setflags(write=False)
    kept = kernel.copy()
    k = int(rng.integers(1, n + 1))
    for pick in (
        lambda: dpp.greedy_map(kernel, k),
        lambda: dpp.sample_k_dpp(kernel, k, np.random.default_rng(seed)),
        lambda: dpp.sample_k_dpp_textbook(kernel, k, np.random.default_rng(seed)),
    ):
        picked = pick()
        assert picked.dtype == np.int64
        assert len(np.unique(picked)) == k == len(picked)
        assert picked.min() >= 0
        assert picked.max() < n
        assert picked.tolist() == pick().tolist()
    assert (kernel == kept).all()


def test_the_order_of_rows_does_not_matter_without_ties():
    kernel = gaussian_similarity(np.random.default_rng(6).normal(size=(60, 4)), "median")
    kernel *= np.linspace(1, 2, 60)[:, None] * np.linspace(1, 2, 60)
    shuffled = np.random.default_rng(7).permutation(60)
    there = dpp.greedy_map(kernel[np.ix_(shuffled, shuffled)], 30)
    assert shuffled[there].tolist() == dpp.greedy_map(kernel, 30).tolist()


@pytest.mark.parametrize("mode", ["sample", "map"])
def test_select_from_features(mode):
    features = np.random.default_rng(8).normal(size=(80, 5)).astype(np.float16)
    picked = dpp.select(features, 20, np.random.default_rng(0), mode)
    kernel = gaussian_similarity(features.astype(float), "median")
    twin = {
        "map": lambda: dpp.greedy_map(kernel, 20),
        "sample": lambda: dpp.sample_k_dpp(kernel, 20, np.random.default_rng(0)),
    }
    assert picked.tolist() == twin[mode]().tolist()
    assert sorted(dpp.select(features, 80, np.random.default_rng(0), mode)) == list(range(80))


@pytest.mark.parametrize("mode", ["sample", "map"])
def test_select_takes_every_distinct_row_before_any_repeat(mode):
    features = np.repeat(np.random.default_rng(9).normal(size=(10, 3)), 3, axis=0)
    with pytest.warns(UserWarning, match="numerical rank, 10, got 15.*ridge of 1e-10"):
        picked = dpp.select(features, 15, np.random.default_rng(0), mode)
    assert len(set(picked.tolist())) == 15
    assert len(set((picked // 3).tolist())) == 10
    one_hot = np.eye(6)
    assert len(set(dpp.select(one_hot, 6, np.random.default_rng(0), mode).tolist())) == 6


def test_bad_input(monkeypatch):
    rng = np.random.default_rng(0)
    features = np.random.default_rng(0).normal(size=(9, 2))
    with pytest.raises(ValueError, match="mode must be one of sample, map"):
        dpp.select(features, 2, rng, "greedy")
    with pytest.raises(ValueError, match="needs rng"):
        dpp.select(features, 2)
    monkeypatch.setattr(dpp, "N_MAX", 8)
    with pytest.raises(ValueError, match="at most 8 rows .* greedy k-centers"):
        dpp.select(features, 2, rng)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_rounding_is_no_asymmetry_and_one_entry_is(dtype):
    # Centred rows: every row of the kernel sums to 0 up to rounding.
    root = np.random.default_rng(4).normal(size=(400, 6)).astype(dtype)
    root -= root.mean(axis=0)
    kernel = np.vstack([part @ root.T for part in np.array_split(root, 7)])
    kernel[np.diag_indices(400)] += 1
    assert len(dpp.greedy_map(kernel, 3)) == 3
    kernel[7, 300] += 10
    with pytest.raises(ValueError, match="kernel must be symmetric"):
        dpp.greedy_map(kernel, 3)


@pytest.mark.parametrize(
    "pick", [dpp.greedy_map, lambda a, k: dpp.sample_k_dpp(a, k, np.random.default_rng(0))]
)
@pytest.mark.parametrize(
    ("kernel", "k", "message"),
    [
        (np.ones((2, 3)), 1, r"shape \(n, n\)"),
        (np.ones(3), 1, r"shape \(n, n\)"),
        (np.ones((0, 0)), 1, r"shape \(n, n\)"),
        ([["a"]], 1, "array of numbers"),
        (np.eye(3) * np.nan, 1, "finite"),
        (np.diag([1, np.inf, 1]), 1, "finite"),
        (np.triu(np.ones((3, 3))), 1, "symmetric"),
        (np.diag([1.0, -1, 1]), 1, "negative on its diagonal"),
        (np.array([[1.0, 2], [2, 1]]), 1, "semi-definite"),
        (np.eye(3), 4, "1..3"),
        (np.eye(3), 0, "1..3"),
    ],
)
def test_bad_kernels(pick, kernel, k, message):
    with pytest.raises(ValueError, match=message):
        pick(kernel, k)
