import dataclasses
import functools
import warnings

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from helpers import StudyError, checks
from helpers.selection import (
    cells,
    chance,
    coverage_diversity,
    determinants,
    foresight,
    gradients,
    iqp,
    kcenters,
    lazy,
    matching,
    prototypes,
    quotas,
    registry,
    rows,
    similarities,
    submodular,
    tiles,
)
from helpers.selection.registry import METHODS, Pool, select, weighted


def pool_of(n, seed, c=3):
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(n) % c)
    forgetting = rng.integers(0, 4, n).astype(float)
    forgetting[0] = np.inf
    probs = rng.dirichlet(np.ones(c), n)
    norms = rng.gamma(2, 1, n)
    scores = rng.random(n)
    return Pool(labels, probs, rng.normal(size=(n, 4)), forgetting, norms, scores=scores)


@pytest.mark.parametrize("key", METHODS)
@given(st.integers(6, 60), st.integers(0, 1000), st.data())
@settings(max_examples=8, deadline=None)
def test_every_method_keeps_its_promises(key, n, seed, data):
    pool = pool_of(n, seed)
    k = data.draw(st.integers(1, n))
    chosen, weights = weighted(key, pool, k, seed)
    assert chosen.dtype == np.int64
    assert len(set(chosen.tolist())) == len(chosen)
    assert chosen.min() >= 0
    assert chosen.max() < n
    if key != "ids":
        assert len(chosen) == k
    assert (weights is not None) == METHODS[key].is_weighted
    if weights is not None:
        assert weights.shape == chosen.shape
        assert (weights >= 0).all()
        assert weights.sum() > 0
    np.testing.assert_array_equal(chosen, select(key, pool, k, seed))


# Sizes of tiles and blocks that pools of 60 rows cross.
SMALL = (
    *((kcenters, "TILE_ROWS", 12), (kcenters, "BLOCK_CELLS", 100), (kcenters, "N_CANDIDATES", 16)),
    *((similarities, "BLOCK", 8000), (similarities, "N_READ", 17), (rows, "N_ROWS", 17)),
    *((foresight, "TILE", 24), (lazy, "N_REFRESH", 7), (foresight, "N_SAMPLE", 32)),
    *(
        (cells, "N_CORRECT", 300),
        (coverage_diversity, "N_REFRESH", 3),
        (matching, "BLOCK_CELLS", 64),
    ),
    *((tiles, "N_COLUMNS", 24), (tiles, "N_GATHERED", 20), (determinants, "N_TILE", 8)),
    *((determinants, "N_PANEL", 8), (checks, "N_CHECKED", 64)),
)
TILED = (
    *("k-centers", "facility-location", "submodular", "graph-cut", "dpp", "iqp"),
    *("craig", "grad-match"),
)


def in_tiles(monkeypatch, memory=0):
    """Make tiles and blocks small, and let nothing of the size n x n be kept."""
    for module, name, value in SMALL:
        monkeypatch.setattr(module, name, value)
    for module in (submodular, coverage_diversity, gradients):
        monkeypatch.setattr(module, "check_memory", lambda _: memory)
    monkeypatch.setattr(iqp, "solve", functools.partial(iqp.solve, memory=memory))
    for function in (tiles.row_sums, tiles.sums_over):
        *others, _ = function.__defaults__
        monkeypatch.setattr(function, "__defaults__", (*others, 16))


@pytest.mark.parametrize("key", TILED)
@given(st.integers(60, 200), st.integers(0, 1000), st.sampled_from([0, 8000]), st.data())
@settings(max_examples=6, deadline=None)
def test_tiles_and_blocks_change_no_answer(key, n, seed, memory, data):
    pool = pool_of(n, seed)
    k = data.draw(st.integers(1, n))
    expected, weights = weighted(key, pool, k, seed)
    with pytest.MonkeyPatch.context() as patch:
        in_tiles(patch, memory)
        chosen, found = weighted(key, pool, k, seed)
    if weights is None:
        np.testing.assert_array_equal(chosen, expected)
    else:  # which row fills up the choice without a weight is a matter of rounding
        np.testing.assert_allclose(found, weights, rtol=1e-6, atol=1e-9)
        np.testing.assert_array_equal(chosen[weights > 0], expected[weights > 0])


@pytest.mark.parametrize("key", ["facility-location", "craig", "iqp"])
@given(st.integers(60, 200), st.integers(0, 1000))
@settings(max_examples=6, deadline=None)
def test_tiles_in_float32_change_no_early_pick(key, n, seed):
    pool = dataclasses.replace(pool_of(n, seed), gradients=pool_of(n, seed).features)
    k = n // 6  # later, rows that only have one another gain the same up to rounding
    expected = select(key, pool, k, seed)
    narrow = pool.features.astype(np.float32)
    pool = dataclasses.replace(pool, features=narrow, gradients=narrow)
    with pytest.MonkeyPatch.context() as patch:
        in_tiles(patch)
        patch.setattr(similarities, "N_WIDE", 0)
        chosen = select(key, pool, k, seed)
    np.testing.assert_array_equal(chosen, expected)


# Of these the answer is a set of examples, whatever rows they stand in. The others draw by row
# number (random, ties by chance, k-means, eigenvectors), start from row 0 (k-centers and the
# clusters of coverage + diversity), or have ties by nature: two rows that are only each other's
# neighbours gain facility location and CRAIG the same.
BLIND_TO_ORDER = (
    *("graph-cut", "iqp", "moderate", "ids", "geda", "grad-match", "evenly-spaced", "top"),
    *("least-confidence", "margin", "entropy", "el2n"),
)


@pytest.mark.parametrize("key", BLIND_TO_ORDER)
@pytest.mark.parametrize("seed", range(4))
def test_rows_in_another_order_give_the_same_examples(key, seed):
    pool = pool_of(40, seed)
    mixed = np.random.default_rng(seed).permutation(40)
    other = Pool(
        **{
            field.name: getattr(pool, field.name)[mixed]
            for field in dataclasses.fields(Pool)
            if getattr(pool, field.name) is not None
        }
    )
    options = {"bandwidth": "median"} if key == "iqp" else {}
    here = select(key, pool, 12, 0, **options)
    there = mixed[select(key, other, 12, 0, **options)]
    assert set(here.tolist()) == set(there.tolist())


@pytest.mark.parametrize("seed", range(4))
def test_facility_location_in_another_order_is_as_good(seed):
    features = pool_of(40, seed).features
    mixed = np.random.default_rng(seed).permutation(40)
    here = submodular.facility_location(features, 12)
    there = mixed[submodular.facility_location(features[mixed], 12)]
    values = [submodular.facility_location_value(features, rows) for rows in (here, there)]
    assert values[0] == pytest.approx(values[1], rel=1e-6)


FEATURES = {
    "duplicates": np.repeat(np.arange(6.0)[:, None] * [1, 2], 4, axis=0),
    "fewer distinct points than k": np.repeat(np.eye(3), 8, axis=0),
    "integers": np.arange(48).reshape(24, 2) % 7,
    "float16": np.random.default_rng(1).normal(size=(24, 3)).astype(np.float16),
    "not contiguous": np.asfortranarray(np.random.default_rng(2).normal(size=(24, 6)))[:, ::2],
}


@pytest.mark.parametrize("kind", FEATURES)
@pytest.mark.parametrize("key", [m.key for m in METHODS.values() if "features" in m.needs])
def test_odd_features_are_answered_or_refused_in_one_line(key, kind):
    features = FEATURES[kind].copy() if kind != "not contiguous" else FEATURES[kind]
    features.setflags(write=False)
    pool = dataclasses.replace(pool_of(24, 0), features=features)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a vanished kernel, a k-DPP of a rank below k
        chosen = select(key, pool, 10, 0)
    assert len(set(chosen.tolist())) == (len(chosen) if key == "ids" else 10)


@pytest.mark.parametrize("key", [m.key for m in METHODS.values() if "features" in m.needs])
def test_constant_features_and_nan_features(key):
    constant = dataclasses.replace(pool_of(24, 0), features=np.ones((24, 3)))
    if key in ("dpp", "facility-location", "submodular", "graph-cut"):
        with pytest.raises(StudyError, match="median"):  # no two rows differ
            select(key, constant, 5, 0)
    else:
        assert len(set(select(key, constant, 5, 0).tolist())) >= 5
    bad = np.ones((24, 3))
    bad[7, 1] = np.nan
    with pytest.raises(StudyError, match="NaN"):
        select(key, dataclasses.replace(pool_of(24, 0), features=bad), 5, 0)


def test_the_registry_names_what_the_study_compares():
    of_the_study = [
        *("random", "random-per-class", "least-confidence", "margin", "entropy"),
        *("forgetting", "el2n", "ccs", "k-centers", "facility-location", "dpp", "moderate"),
        *("ids", "ssp", "iqp", "geda", "craig", "grad-match"),
    ]
    compared = [m.key for m in METHODS.values() if m.compare]  # a new one may stand among them
    assert [key for key in compared if key in of_the_study] == of_the_study
    ladder = [m.key for m in METHODS.values() if m.ladder]
    assert ladder == [
        *("random", "random-per-class", "random-per-quartile", "evenly-spaced", "geda-random"),
    ]


def test_labels_that_are_not_known_are_not_invented():
    pool = Pool(None, probs=np.full((4, 2), 0.5), scores=np.arange(4.0))
    assert (pool.n, pool.has("labels"), pool.has("labels|scores")) == (4, False, True)
    assert select("top", pool, 2, 0).tolist() == [3, 2]
    with pytest.raises(StudyError, match="^labels are needed, which this pool lacks"):
        _ = pool.labels
    with pytest.raises(StudyError, match="^labels are needed"):
        select("el2n", pool, 2, 0)
    with pytest.raises(AttributeError):
        _ = pool.nothing
    assert "probs" in repr(pool)


def test_a_label_without_a_column_of_probs_is_refused():
    probs = np.full((3, 2), 0.5)
    for labels, told in ([0, 1, 2], "got 2 in row 2"), ([0, -1, 1], "got -1 in row 1"):
        with pytest.raises(StudyError, match=f"^labels must lie in 0..1, .*{told}"):
            Pool(np.array(labels), probs=probs)
    with pytest.raises(StudyError, match="one array at least"):
        Pool(None)
    with pytest.raises(StudyError, match="features must have rows"):
        Pool(None, features=np.ones((0, 2)))


@pytest.mark.parametrize("key", ["random-per-class", "geda", *("evenly-spaced", "geda-random")])
def test_classes_keep_their_proportions(key):
    pool = pool_of(90, 0)
    chosen = select(key, pool, 30, 0)
    assert np.bincount(pool.labels[chosen]).tolist() == [10, 10, 10]
    assert np.bincount(pool.labels[chosen[:15]]).min() >= 4


def test_ties_fall_by_chance_so_that_a_sorted_folder_keeps_its_classes():
    labels = np.repeat([0, 1, 2], 100)
    pool = Pool(labels, forgetting=np.zeros(300))
    assert len(set(labels[select("forgetting", pool, 60, 0)])) == 3


def test_infinitely_forgotten_comes_first():
    assert select("forgetting", pool_of(20, 1), 1, 0).tolist() == [0]


@pytest.mark.parametrize("correct", [None, np.array([[0, 0, 0, 0], [1, 1, 0, 1]])])
def test_correct_only_puts_mistakes_last(correct):
    probs = np.array([[0.9, 0.1], [0.6, 0.4], [0.45, 0.55], [0.3, 0.7]])
    pool = Pool(np.array([0, 0, 0, 1]), probs, correct=correct)
    assert select("entropy", pool, 4, 0).tolist() == [2, 1, 3, 0]
    assert select("entropy", pool, 4, 0, correct_only=True).tolist() == [1, 3, 0, 2]


def test_k_centers_with_random_first_points():
    pool = pool_of(50, 2)
    chosen = select("k-centers", pool, 20, 5, n_initial=8)
    np.testing.assert_array_equal(chosen[:8], np.random.default_rng(5).permutation(50)[:8])
    assert len(set(chosen.tolist())) == 20
    assert len(select("k-centers", pool, 8, 5, n_initial=8)) == 8


def test_random_with_a_smaller_k_is_the_beginning():
    rng = np.random.default_rng
    np.testing.assert_array_equal(chance.random(9, 9, rng(1))[:4], chance.random(9, 4, rng(1)))


@given(st.lists(st.integers(0, 30), min_size=1, max_size=8).filter(sum), st.data())
@settings(max_examples=60, deadline=None)
def test_quotas_sum_stay_below_counts_and_near_the_share(counts, data):
    n = sum(counts)
    k = data.draw(st.integers(1, n))
    places = quotas.allocate(np.array(counts), k)
    assert places.sum() == k
    assert (places <= counts).all()
    assert (np.abs(places - k * np.array(counts) / n) < 1).all()


def test_largest_remainders_win_and_ties_go_to_the_lower_class():
    assert quotas.allocate(np.array([5, 3, 2]), 5).tolist() == [3, 1, 1]
    assert quotas.allocate(np.array([1, 1, 1]), 2).tolist() == [1, 1, 0]
    with pytest.raises(ValueError, match="group sizes"):
        quotas.allocate(np.array([2, -1]), 1)
    with pytest.raises(ValueError, match="1..3"):
        quotas.allocate(np.array([2, 1]), 4)


def test_ids_by_hand():
    features = np.array([0.0, 1, 2, 3, 10, 0, 0, 0, 0, 5])[:, None]
    labels = np.repeat([0, 1], 5)
    # Class means 3.2 and 1: rows by falling distance 4 0 1 2 3 and 9 5 6 7 8.
    hard = prototypes.ids(features, labels, 0.4)
    assert sorted(hard.tolist()) == [0, 3, 4, 5, 8, 9]
    easy = prototypes.ids(features, labels, 0.4, mode="easy")
    assert sorted(easy.tolist()) == [2, 3, 4, 5, 6, 9]
    assert sorted(prototypes.ids(features, labels, 1.0).tolist()) == list(range(10))


def test_ids_counts_shares_without_float_noise():
    labels = np.repeat([0, 1], 30)
    features = np.random.default_rng(0).normal(size=(60, 2))
    assert len(prototypes.ids(features, labels, 0.1)) == 2 * (3 + 1)
    assert len(prototypes.ids(features, labels, 0.11)) == 2 * (4 + 1)


@pytest.mark.parametrize(
    ("keep", "mode", "labels", "message"),
    [
        (0, "hard", [0, 1], "keep"),
        (1.1, "hard", [0, 1], "keep"),
        (0.5, "soft", [0, 1], "mode must be one of hard, easy"),
        (0.5, "hard", [1, 1], "at least 2 classes"),
        (0.5, "hard", [0, 1, 1], "differ in length"),
    ],
)
def test_bad_ids(keep, mode, labels, message):
    with pytest.raises(ValueError, match=message):
        prototypes.ids(np.eye(2), np.array(labels), keep, mode)


@pytest.mark.parametrize(
    ("key", "k", "options", "message"),
    [
        ("nothing", 1, {}, "method must be one of random, "),
        ("random", 0, {}, "1..12"),
        ("random", 13, {}, "1..12"),
        ("random", 1, {"x": 1}, "takes none"),
        ("geda", 1, {"knots": 1}, "n_nodes, within"),
        ("geda", 1, {"n_nodes": "5"}, "n_nodes must be int"),
        ("iqp", 1, {"weight": True}, "weight must be float"),
        ("k-centers", 4, {"n_initial": 5}, "n_initial must lie in 0..4"),
    ],
)
def test_bad_requests(key, k, options, message):
    with pytest.raises(ValueError, match=message):
        select(key, pool_of(12, 0), k, 0, **options)


def test_bad_pools():
    with pytest.raises(ValueError, match="k-centers needs features"):
        select("k-centers", Pool(np.array([0, 1])), 1, 0)
    with pytest.raises(ValueError, match="craig needs gradients or probs"):
        select("craig", Pool(np.array([0, 1])), 1, 0)
    with pytest.raises(ValueError, match="norms must have 2 rows as labels, got 3"):
        Pool(np.array([0, 1]), norms=np.ones(3))
    with pytest.raises(ValueError, match="labels must have shape"):
        Pool(np.zeros((2, 2)))
    for key in [m.key for m in METHODS.values() if m.by_class]:
        probs = np.full((3, 2), 0.5)
        one_class = Pool(np.zeros(3, int), probs, features=np.eye(3), norms=np.ones(3))
        with pytest.raises(ValueError, match="at least 2 classes"):
            select(key, one_class, 1, 0)


def test_options_are_listed():
    assert registry.options_of("geda") == ("n_nodes", "within", "rule", "nodes", "ecdf")
    assert registry.options_of("random") == ()


def test_gradients_given_are_used_and_others_made():
    pool = pool_of(60, 3)
    made = gradients.last_layer_gradients(pool.probs, pool.labels, pool.features)
    given = dataclasses.replace(pool, gradients=made, probs=None, features=None)
    for key in ("craig", "grad-match"):
        for one, other in zip(weighted(key, pool, 12, 0), weighted(key, given, 12, 0)):
            np.testing.assert_allclose(one, other)


def test_a_weighted_class_sums_to_its_size():
    pool = pool_of(90, 5)
    chosen, weights = weighted("craig", pool, 30, 0)
    sums = np.bincount(pool.labels[chosen], weights)
    np.testing.assert_allclose(sums, np.bincount(pool.labels))


def test_scores_of_the_users_own_replace_those_of_probs():
    pool = pool_of(50, 1)
    own = dataclasses.replace(pool, probs=None)
    assert select("top", own, 3, 0).tolist() == np.argsort(-pool.scores)[:3].tolist()
    for key in ("ccs", "iqp"):
        assert len(select(key, own, 10, 0)) == 10
