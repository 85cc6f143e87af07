"""k-DPPs: the greedy MAP against determinants and LAPACK, samples against enumeration."""

from itertools import combinations, product

import numpy as np
import pytest
import scipy.linalg
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
@settings(max_examples=15, deadline=None)
def test_greedy_map_takes_the_largest_determinant_at_every_step(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 12))
    kernel = kernel_of(n, seed, rank=n + 2)
    k = int(rng.integers(1, n + 1))
    assert dpp.greedy_map(kernel, k).tolist() == naive_map(kernel, k)


def test_greedy_map_equals_lapack_where_there_are_no_ties(monkeypatch):
    kernel = gaussian_similarity(np.random.default_rng(0).normal(size=(300, 8)), "median")
    kernel *= np.linspace(1, 2, 300)[:, None] * np.linspace(1, 2, 300)
    pivots = scipy.linalg.lapack.dpstrf(kernel, lower=1)[1] - 1
    for panel in (7, 128):
        monkeypatch.setattr(dpp, "N_PANEL", panel)
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


def chi_square(draw, expected, n_draws=1500):
    """Compare how often each subset was drawn with its probability, and with equal ones."""
    counts = dict.fromkeys(expected, 0)
    for _ in range(n_draws):
        counts[tuple(sorted(draw().tolist()))] += 1
    share = np.array([expected[s] for s in expected])
    seen = np.array([counts[s] for s in expected])
    uniform = n_draws / len(share)
    return (
        ((seen - n_draws * share) ** 2 / (n_draws * share)).sum(),
        ((seen - uniform) ** 2 / uniform).sum(),
    )


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_samples_have_the_probabilities_of_the_enumeration(sampler):
    kernel = kernel_of(6, 1, rank=5) + 0.1 * np.eye(6)
    rng = np.random.default_rng(0)
    ours, equal = chi_square(lambda: sampler(kernel, 3, rng), chances_of_subsets(kernel, 3))
    # 20 subsets, 19 degrees of freedom: the 99.9 % quantile of chi-square is 43.8.
    assert ours < 43.8
    assert equal > 100


@pytest.mark.parametrize("panel", [2, 128])
def test_a_projection_kernel_gives_its_rank_and_its_determinants(panel, monkeypatch):
    monkeypatch.setattr(dpp, "N_PANEL", panel)
    monkeypatch.setattr(dpp, "N_TILE", 2)
    basis = np.linalg.qr(np.random.default_rng(4).normal(size=(7, 3)))[0]
    rng, expected = np.random.default_rng(0), chances_of_subsets(basis @ basis.T, 3)
    # 35 subsets, 34 degrees of freedom: the 99.9 % quantile of chi-square is 65.2.
    assert chi_square(lambda: dpp.sample_projection(basis, rng), expected)[0] < 65.2


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=15, deadline=None)
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


def test_the_polynomials_stay_finite():
    values = np.random.default_rng(0).gamma(0.5, 1, 1000)
    chances = dpp._inclusion_chances(values, 500)
    assert np.isfinite(chances).all()
    assert 0 <= chances.min() <= chances.max() <= 1
    # The scale of a k-DPP's kernel does not matter.
    np.testing.assert_allclose(dpp._inclusion_chances(1e6 * values, 500), chances, atol=1e-7)


def test_a_rank_below_k_is_refused_by_name():
    root = np.random.default_rng(5).integers(-3, 4, (30, 4))
    rng = np.random.default_rng(0)
    picks = [*SAMPLERS, lambda kernel, k, rng: dpp.greedy_map(kernel, k)]
    for pick, dtype in product(picks, (np.float64, np.float32, np.float16)):
        kernel = (root @ root.T).astype(dtype)
        assert len(set(pick(kernel, 4, rng).tolist())) == 4
        with pytest.raises(ValueError, match="numerical rank, 4, got 5"):
            pick(kernel, 5, rng)


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


def test_rounding_is_no_asymmetry_and_one_entry_is():
    for dtype in (np.float16, np.float32, np.float64):
        # Centred rows: every row of the kernel sums to 0 up to rounding.
        root = np.random.default_rng(4).normal(size=(400, 6)).astype(dtype)
        root -= root.mean(axis=0)
        kernel = np.vstack([part @ root.T for part in np.array_split(root, 7)])
        kernel[np.diag_indices(400)] += 1
        assert len(dpp.greedy_map(kernel, 3)) == 3
        kernel[7, 300] += 10
        with pytest.raises(ValueError, match="kernel must be symmetric"):
            dpp.greedy_map(kernel, 3)


def test_bad_input(monkeypatch):
    rng, features = np.random.default_rng(0), np.random.default_rng(0).normal(size=(9, 2))
    for call, message in (
        (lambda: dpp.select(features, 2, rng, "greedy"), "mode must be one of sample, map"),
        (lambda: dpp.select(features, 2), "needs rng"),
        *((lambda pick=pick, kernel=kernel: pick(kernel), told)
          for pick in (lambda a: dpp.greedy_map(a, 1), lambda a: dpp.sample_k_dpp(a, 1, rng))
          for kernel, told in ((np.ones((2, 3)), "shape"), (np.eye(3) * np.nan, "finite"),
                               (np.diag([1.0, -1, 1]), "negative on its diagonal"),
                               (np.array([[1.0, 2], [2, 1]]), "semi-definite"))),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            call()
    monkeypatch.setattr(dpp, "N_MAX", 8)
    with pytest.raises(ValueError, match="at most 8 rows"):
        dpp.select(features, 2, rng)
