from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.stats import wasserstein_distance

from helpers import StudyError
from helpers.selection import exact, geda

VARIANTS = [
    {"rule": "simpson"},
    {"nodes": "quantile"},
    {"ecdf": "smoothed"},
    {"ecdf": "smoothed", "rule": "simpson"},
    {"ecdf": "smoothed", "nodes": "quantile"},
]
WITHINS = [{"within": way, "rng": 0} for way in geda.WITHIN]
SEEDS = st.integers(0, 2**32 - 1)


def some_class(rng, n):
    """A class of n norms: skewed, full of ties, in half precision, or all equal."""
    kinds = [rng.gamma(2, 1, n), rng.integers(0, 5, n), rng.lognormal(0, 2, n), np.full(n, 0.3)]
    return kinds[rng.choice(4, p=[0.4, 0.3, 0.25, 0.05])].astype(rng.choice(["f8", "f4", "f2"]))


def test_the_program_as_written_agrees():
    for solver, (n, k) in product(exact.SOLVERS, ((22, 11), (60, 48))):
        norms = np.random.default_rng(n + k).gamma(2, 1, n)
        result = exact.solve_milp_as_written(norms, k, 5, solver)
        assert result.success
        assert len(result.indices) == k
        closed = geda.objective(norms, geda.geda(norms, k))
        assert result.objective == pytest.approx(closed, abs=1e-9)
        assert result.sum_z * np.ptp(norms) / 5 == pytest.approx(result.objective, abs=1e-6)
    assert exact.solve_milp_as_written(np.ones(6), 2).objective == 0


def test_exact_halves_are_rounded_in_whole_numbers():
    # 2 * 11 * 15 + 22 = 352 = 8 * 44: k * C / n = 7.5 rounds up to 8.
    norms = np.concatenate([[0.0], np.full(14, 0.1), np.full(6, 0.9), [1.0]])
    chosen = geda.geda(norms, 11, n_nodes=2)
    assert (norms[chosen] <= 0.5).sum() == 8


def test_within_a_bin():
    norms = np.concatenate([np.linspace(0, 1, 9)[::-1], [100]])
    assert sorted(geda.geda(norms, 3, within="first"))[:2] == [0, 1]
    quarters = geda.random_per_quartile(np.arange(40.0), 8, np.random.default_rng(0)) // 10
    assert np.bincount(quarters).tolist() == [2, 2, 2, 2]
    spread = geda.geda(norms, 3, within="spread")
    np.testing.assert_array_equal(np.sort(norms[spread]), np.sort(norms)[[1, 4, 7]])
    with pytest.raises(ValueError, match="needs rng"):
        geda.geda(norms, 3, within="random")


def bin_by_bin(norms, k, n_nodes, within, rng):
    """GEDA the obvious way: a mask an interval, exact fractions rounded half up, a merge."""
    norms = np.asarray(norms, dtype=float)
    nodes = np.linspace(norms.min(), norms.max(), n_nodes + 1)[1:-1]
    bins, taken, before = (norms[:, None] > nodes).sum(axis=1), [], 0
    for b in range(n_nodes):
        below = int((bins <= b).sum())
        kept = (2 * k * below + len(norms)) // (2 * len(norms))
        rows = sorted(np.flatnonzero(bins == b), key=lambda row: (norms[row], row))
        m, before = kept - before, kept
        if within == "first":
            rows = sorted(rows)[:m]
        elif within == "random":
            rows = rng.permutation(np.array(rows, dtype=np.int64))[:m]
        else:
            rows = [rows[(2 * j + 1) * len(rows) // (2 * m)] for j in range(m)]
        taken += [((j + 0.5) / m, b, row) for j, row in enumerate(rows)]
    return [row for _, _, row in sorted(taken)]


@given(SEEDS, st.sampled_from(geda.WITHIN))
@settings(max_examples=25, deadline=None)
def test_all_bins_at_once_keep_what_the_loop_keeps(seed, within):
    rng = np.random.default_rng(seed)
    n, n_nodes = int(rng.integers(1, 60)), int(rng.integers(2, 20))
    k, norms = int(rng.integers(1, n + 1)), some_class(rng, n)
    kept = geda.geda(norms, k, n_nodes, within, np.random.default_rng(7))
    assert kept.dtype == np.int64
    assert kept.tolist() == bin_by_bin(norms, k, n_nodes, within, np.random.default_rng(7))


def test_each_variant_is_optimal_by_enumeration():
    for options, seed in product([*WITHINS, *VARIANTS], range(8)):
        rules = {name: value for name, value in options.items() if name not in ("within", "rng")}
        rng = np.random.default_rng(seed)
        n, n_nodes = int(rng.integers(2, 10)), 2 * int(rng.integers(1, 4))
        k, norms = int(rng.integers(1, n + 1)), some_class(rng, n)
        result = geda.solve(norms, k, n_nodes, **options)
        values = [
            geda.objective(norms, list(s), n_nodes, **rules) for s in combinations(range(n), k)
        ]
        assert result.objective == pytest.approx(min(values), abs=1e-12)
        kept = geda.objective(norms, result.indices, n_nodes, **rules)
        assert kept == pytest.approx(result.objective, abs=1e-12)


def chains(capacity, k):
    """Every way to fill the bins: counts kept at or below each interior node."""
    for taken in product(*(range(c + 1) for c in capacity)):
        if sum(taken) == k:
            yield np.cumsum(taken)[:-1]


@given(SEEDS)
@settings(max_examples=20, deadline=None)
def test_counts_in_capacity_are_the_best_of_all(seed):
    rng = np.random.default_rng(seed)
    capacity = rng.integers(0, 4, rng.integers(2, 6))
    capacity[0] += 1
    k = int(rng.integers(1, capacity.sum() + 1))
    # any targets, also falling ones: the program does not rest on a distribution function
    targets = rng.uniform(0, k, len(capacity) - 1)
    if seed % 2:
        targets = np.round(2 * targets) / 2  # whole numbers and exact halves
    weights = rng.choice([0.0, 1, 2, 0.3], len(targets))
    kept = geda.counts_in_capacity(targets, weights, capacity, k)
    taken = np.diff(kept, prepend=0, append=k)
    assert (taken >= 0).all()
    assert (taken <= capacity).all()
    best = min(weights @ np.abs(targets - s) for s in chains(capacity, k))
    assert weights @ np.abs(targets - kept) == pytest.approx(best, abs=1e-12)


def test_smoothed_shares_are_the_mean_of_all_kernels():
    from scipy.stats import norm

    rng = np.random.default_rng(0)
    ordered, inner = np.sort(rng.gamma(2, 1, 300)), np.array([0.1, 1.0, 4.0])
    found = geda.smoothed_shares(ordered, inner, 0.05)
    every = norm.cdf((inner[:, None] - ordered) / 0.05).mean(axis=1)
    np.testing.assert_allclose(found, every, atol=1e-14)
    h = 0.9 * min(ordered.std(), np.subtract(*np.percentile(ordered, [75, 25])) / 1.34) * 300**-0.2
    assert geda.silverman(ordered) == pytest.approx(h)
    assert geda.silverman(np.array([0.0, 1, 1, 1, 1, 1, 1, 9])) > 0  # IQR 0, sd not


@given(SEEDS)
@settings(max_examples=20, deadline=None)
def test_simpson_keeps_what_the_trapezoid_keeps(seed):
    rng = np.random.default_rng(seed)
    n, n_nodes = int(rng.integers(1, 200)), 2 * int(rng.integers(1, 20))
    k, norms = int(rng.integers(1, n + 1)), some_class(rng, n)
    simpson = geda.solve(norms, k, n_nodes, rule="simpson")
    np.testing.assert_array_equal(simpson.indices, geda.geda(norms, k, n_nodes))


def test_simpson_integrates_cubics_exactly():
    ordered = np.array([1.0, 2.0, 5.0])
    inner, weights = geda.nodes_and_weights(ordered, 4, "simpson")
    value = weights @ inner**3 + (1**3 + 5**3) * (4 / 4 / 3)
    assert value == pytest.approx((5**4 - 1) / 4)
    inner, weights = geda.nodes_and_weights(np.array([0.0, 1, 1.5, 7, 8]), 4, nodes="quantile")
    assert inner.tolist() == [1.0, 1.5, 7.0]
    assert weights @ inner + weights[-1] * 0 + 8 * (8 - 7) / 2 == pytest.approx(8**2 / 2)


@given(SEEDS)
@settings(max_examples=25, deadline=None)
def test_w1_is_the_area_between_the_curves(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 50))
    norms = some_class(rng, n)
    rows = rng.permutation(n)[: rng.integers(1, n + 1)]
    found = geda.w1(norms, rows)
    plain = norms.astype(float)
    assert found == pytest.approx(wasserstein_distance(plain, plain[rows]), rel=1e-9, abs=1e-12)
    cuts = np.unique(plain)
    gaps = [abs((plain <= t).mean() - (plain[rows] <= t).mean()) for t in cuts[:-1]]
    assert found == pytest.approx(np.dot(gaps, np.diff(cuts)), rel=1e-9, abs=1e-12)


@given(SEEDS)
@settings(max_examples=25, deadline=None)
def test_no_subset_is_closer_than_the_evenly_spaced_one(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 11))
    k, norms = int(rng.integers(1, n + 1)), some_class(rng, n)
    best = min(geda.w1(norms, np.array(s)) for s in combinations(range(n), k))
    result = geda.wasserstein(norms, k)
    assert result.objective == pytest.approx(best, abs=1e-12)
    assert result.objective == geda.w1(norms, result.indices)
    np.testing.assert_array_equal(result.indices, geda.evenly_spaced(norms, k))


def test_a_stopped_program_says_so_in_our_units():
    norms = np.random.default_rng(0).gamma(2, 0.5, 600)
    stopped = exact.solve_milp_as_written(norms, 120, 40, "cbc", time_limit=0.3)
    assert stopped.objective >= geda.solve(norms, 120, 40).objective - 1e-9
    assert stopped.success == (stopped.status == "optimal")
    assert stopped.claimed == "Optimal"  # whatever happened
    assert stopped.success or stopped.bound is stopped.gap is None


def test_wrong_arguments_are_named():
    cases = {
        "norms": ([1.0, -1, 2],),
        "scores": ([1.0, np.inf, 2], [1.0, np.nan, 2], []),
        "k": (0, 4, 1.5),
        "rule": ("other",),
        "nodes": ("other",),
        "ecdf": ("other",),
        "n_nodes": (1, 2.5),
        "within": ("other",),
        "rng": ("seed",),
    }
    good = {"norms": [1.0, 2, 3], "k": 2, "within": "random", "rng": 0}
    for name, values in cases.items():
        for value in values:
            with pytest.raises(StudyError, match=name):
                geda.solve(**good | {"norms" if name == "scores" else name: value})
    for options in (
        {"rule": "simpson", "n_nodes": 5},
        {"rule": "simpson", "n_nodes": 6, "nodes": "quantile"},
        {"within": "random", "rng": None},
    ):
        with pytest.raises(StudyError):
            geda.solve(**good | options)
    for selected in ([], [3], [-1], [0.5], [[0]], [1, 1]):
        with pytest.raises(StudyError, match="selected"):
            geda.w1(np.arange(3.0), selected)
    with pytest.raises(StudyError, match="k must lie"):
        geda.wasserstein(np.arange(3.0), 0)
