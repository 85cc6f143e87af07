"""One contract for every registered method, and what the registry itself promises."""

import dataclasses
import itertools
import re
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings, strategies as st

from helpers import StudyError, checks, experiments, plots, selection
from helpers.__main__ import main
from helpers.config import Config
from helpers.selection import (
    dpp,
    geda,
    gradients,
    greedy_cover,
    kcenters,
    matching,
    prototypes,
    random_selection,
    registry,
    stratify,
    submodular,
)
from helpers.selection.by_score import coverage_centric
from helpers.selection.registry import METHODS, Pool, pick

SPREAD = ("dpp", "facility-location", "submodular", "graph-cut")  # need two rows that differ
LEARNED = ("craig", "grad-match")


def pool_of(n, seed, c=3, **fields):
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(n) % c)
    forgetting = rng.integers(0, 4, n).astype(float)
    forgetting[0] = np.inf
    probs = rng.dirichlet(np.ones(c), n)
    norms, scores = rng.gamma(2, 1, n), rng.random(n)
    pool = Pool(labels, probs, rng.normal(size=(n, 4)), forgetting, norms, scores=scores)
    return dataclasses.replace(pool, **fields)


def rows_of(key, pool, k, seed=0, **options):
    return pick(key, pool, k, seed, **options)[0]


def check(key, pool, k, seed=0):
    """Pick twice, and hold the answer to what every method promises; return the rows."""
    chosen, weights = pick(key, pool, k, seed)
    assert chosen.dtype == np.int64, key
    assert len(set(chosen.tolist())) == len(chosen), key
    assert 0 <= chosen.min() <= chosen.max() < pool.n, key
    # ids rounds the share of every class up and adds a prototype.
    assert k <= len(chosen) <= k + 6 if key == "ids" else len(chosen) == k, key
    assert (weights is not None) == METHODS[key].is_weighted
    if weights is not None:
        assert weights.shape == chosen.shape
        assert weights.dtype == np.float64
        assert (weights >= 0).all()
        assert weights.sum() > 0
    np.testing.assert_array_equal(chosen, pick(key, pool, k, seed)[0])
    return chosen


def fields_of(key):
    """Return the fields of a full pool that a method reads."""
    named = "|".join(METHODS[key].needs).split("|")
    read = [name for name in named if name not in ("", "labels", "gradients")]
    return [name for name in read if not (name == "probs" and "scores" in read)]


@pytest.mark.parametrize("key", METHODS)
@given(st.integers(6, 60), st.integers(0, 1000), st.data())
@settings(max_examples=6, deadline=None)
def test_every_method_keeps_its_promises(key, n, seed, data):
    check(key, pool_of(n, seed), data.draw(st.integers(1, n)), seed)


FEATURES = {
    "duplicates": np.repeat(np.arange(6.0)[:, None] * [1, 2], 4, axis=0),
    "fewer distinct points than k": np.repeat(np.eye(3), 8, axis=0),
    "whole": np.arange(48).reshape(24, 2) % 7,
    "float16": np.random.default_rng(1).normal(size=(24, 3)).astype(np.float16),
    "strided": np.asfortranarray(np.random.default_rng(2).normal(size=(24, 6)))[:, ::2],
    "constant": np.ones((24, 3)),
}


@pytest.mark.parametrize("key", METHODS)
def test_every_method_on_arrays_as_they_come(key, tmp_path):
    full = pool_of(24, 0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a vanished kernel, a k-DPP of a rank below k
        for kind, features in FEATURES.items():
            if kind == "constant" and key in SPREAD:
                with pytest.raises(StudyError, match="median"):
                    pick(key, dataclasses.replace(full, features=features), 10, 0)
            else:
                before = features.copy()
                features.setflags(write=False)
                check(key, dataclasses.replace(full, features=features), 10)
                np.testing.assert_array_equal(features, before)
        # Ties everywhere, in narrow types; and the same numbers from a file of a wider one.
        alike = {"probs": np.full((24, 3), 1 / 3), "forgetting": np.zeros(24)}
        alike |= {"norms": np.ones(24), "scores": np.ones(24)}
        alike = {name: values.astype(np.float16) for name, values in alike.items()}
        if key != "ids":
            assert len(set(check(key, dataclasses.replace(full, **alike), 23).tolist())) == 23
    np.save(tmp_path / "features.npy", full.features)
    mapped = np.load(tmp_path / "features.npy", mmap_mode="r")
    there = rows_of(key, dataclasses.replace(full, features=mapped), 7)
    np.testing.assert_array_equal(there, rows_of(key, full, 7))


@pytest.mark.parametrize("key", METHODS)
def test_every_method_refuses_what_it_cannot_read(key):
    full, method = pool_of(24, 0), METHODS[key]
    for name in fields_of(key):
        values = getattr(full, name).copy()
        values[(5,) + (0,) * (values.ndim - 1)] = np.nan
        with pytest.raises(StudyError, match="finite|numbers"):
            pick(key, dataclasses.replace(full, **{name: values}), 7, 0)
    for k in (0, 25, 1.5):
        with pytest.raises(StudyError, match=r"^k must .* 1\.\.24"):
            pick(key, full, k, 0)
    if method.needs:
        with pytest.raises(StudyError, match=f"^{key} needs .* which this pool lacks"):
            pick(key, Pool(np.arange(24) % 3), 1, 0)
    one = Pool(**{f.name: getattr(full, f.name)[:1] for f in dataclasses.fields(Pool)[:5]},
               scores=full.scores[:1])  # fmt: skip
    if method.by_class:
        with pytest.raises(StudyError, match="at least 2 classes"):
            pick(key, one, 1, 0)
    else:
        assert rows_of(key, one, 1).tolist() == [0]


@pytest.mark.parametrize("key", [key for key in METHODS if "features" in fields_of(key)])
def test_far_rows_are_answered_or_refused_in_words(key):
    for kind, far in ((np.float32, 1e19), (np.float32, 1e30), (float, 1e160)):
        for n_far in (1, 20):
            features = np.random.default_rng(0).normal(size=(60, 4)).astype(kind)
            features[:n_far] *= kind(far)
            pool = pool_of(60, 0, features=features, gradients=features)
            with warnings.catch_warnings():
                warnings.simplefilter("error", RuntimeWarning)
                warnings.simplefilter("ignore", UserWarning)  # words
                try:
                    check(key, pool, 5)
                except StudyError as told:
                    assert re.search("too large|spread too far", str(told))  # noqa: PT017


# Sizes of tiles and blocks that pools of 60 rows cross.
SMALL = (
    *((kcenters, "TILE_ROWS", 12), (kcenters, "BLOCK_CELLS", 100), (kcenters, "N_CANDIDATES", 16)),
    *((greedy_cover, "BLOCK", 8000), (greedy_cover, "N_READ", 17), (greedy_cover, "TILE", 24)),
    *((greedy_cover, "N_REFRESH", 7), (greedy_cover, "N_SAMPLE", 32), (greedy_cover, "N_FOUND", 9)),
    *((greedy_cover, "N_CORRECT", 300), (greedy_cover, "FEW", 0.2), (submodular, "N_REFRESH", 3)),
    *((matching, "N_ROWS", 17), (dpp, "N_TILE", 8), (dpp, "N_PANEL", 8), (checks, "N_CHECKED", 64)),
)
TILED = ("k-centers", "facility-location", "submodular", "graph-cut", "dpp", *LEARNED)


def in_tiles(patch, memory=0):
    """Make tiles and blocks small, and let nothing of the size n x n be kept."""
    for module, name, value in SMALL:
        patch.setattr(module, name, value)
    for module in (submodular, gradients):
        patch.setattr(module, "check_memory", lambda _: memory)


@pytest.mark.parametrize("key", TILED)
@given(st.integers(60, 200), st.integers(0, 1000), st.sampled_from([0, 8000]), st.data())
@settings(max_examples=6, deadline=None)
def test_tiles_and_blocks_change_no_answer(key, n, seed, memory, data):
    pool = pool_of(n, seed)
    k = data.draw(st.integers(1, n))
    expected, weights = pick(key, pool, k, seed)
    with pytest.MonkeyPatch.context() as patch:
        in_tiles(patch, memory)
        chosen, found = pick(key, pool, k, seed)
    if weights is None:
        np.testing.assert_array_equal(chosen, expected)
    else:  # which row fills up the choice without a weight is a matter of rounding
        np.testing.assert_allclose(found, weights, rtol=1e-6, atol=1e-9)
        np.testing.assert_array_equal(chosen[weights > 0], expected[weights > 0])


@pytest.mark.parametrize("kind", [greedy_cover.Gaussian, greedy_cover.Closeness])
@given(st.integers(60, 200), st.integers(0, 1000))
@example(192, 370)  # near ties: float32 picks other rows than float64 there on some machines
@settings(max_examples=10, deadline=None)
def test_early_picks_of_tiles_in_float32_have_the_best_gain_up_to_rounding(kind, n, seed):
    """Every pick, given those before it, gains as much as any row but for float32's rounding.

    Equal picks are not owed: gains nearer than that may be put in either order, and a row picked
    instead of its near tie changes all later gains.
    """
    features = pool_of(n, seed).features
    similarity = kind(features, 1.0, wide=True)(slice(None))
    start = np.full(n, kind.start)
    with pytest.MonkeyPatch.context() as patch:
        in_tiles(patch)
        narrow = kind(features.astype(np.float32), 1.0, wide=False)
        chosen = greedy_cover.cover(narrow, n // 6, memory=0)
    best = start
    for row in chosen:
        over = np.maximum(similarity, best) - np.where(np.isfinite(best), best, 0)
        gains = over.sum(axis=1)
        assert gains[row] >= gains.max() - 1e-5 * abs(gains.max())
        best = np.maximum(best, similarity[row])
    assert len(set(chosen.tolist())) == n // 6


# Of these the answer is a set of examples, whatever rows they stand in. The others draw by row
# number (random, ties by chance, k-means, eigenvectors), start from row 0 (k-centers and the
# clusters of coverage + diversity), or have ties by nature: two rows that are only each other's
# neighbours gain facility location and CRAIG the same.
BLIND_TO_ORDER = (
    *("graph-cut", "iqp", "moderate", "ids", "geda", "grad-match", "evenly-spaced", "top"),
    *("least-confidence", "margin", "entropy", "el2n"),
)


def test_rows_in_another_order_give_the_same_examples():
    for key, seed in itertools.product(BLIND_TO_ORDER, range(2)):
        options = {"bandwidth": "median"} if key == "iqp" else {}
        pool = pool_of(40, seed)
        mixed = np.random.default_rng(seed).permutation(40)
        there = {name: values[mixed] for name, values in vars(pool).items() if values is not None}
        here = rows_of(key, pool, 12, **options).tolist()
        assert set(here) == set(mixed[rows_of(key, Pool(**there), 12, **options)].tolist()), key


def test_ties_fall_by_chance_so_that_a_sorted_folder_keeps_its_classes():
    labels = np.repeat([0, 1, 2], 100)
    assert len(set(labels[rows_of("forgetting", Pool(labels, forgetting=np.zeros(300)), 60)])) == 3
    for key in ("random-per-class", "geda", "evenly-spaced", "geda-random"):
        pool = pool_of(90, 0)
        chosen = rows_of(key, pool, 30)
        assert np.bincount(pool.labels[chosen]).tolist() == [10, 10, 10]
        assert np.bincount(pool.labels[chosen[:15]]).min() >= 4
    chosen = rows_of("k-centers", pool_of(50, 2), 20, 5, n_initial=8)
    np.testing.assert_array_equal(chosen[:8], np.random.default_rng(5).permutation(50)[:8])


def test_correct_only_puts_mistakes_last():
    probs = np.array([[0.9, 0.1], [0.6, 0.4], [0.45, 0.55], [0.3, 0.7]])
    for correct in (None, np.array([[0, 0, 0, 0], [1, 1, 0, 1]])):
        pool = Pool(np.array([0, 0, 0, 1]), probs, correct=correct)
        assert rows_of("entropy", pool, 4).tolist() == [2, 1, 3, 0]
        assert rows_of("entropy", pool, 4, correct_only=True).tolist() == [1, 3, 0, 2]


def test_gradients_given_are_used_and_others_made():
    pool = pool_of(60, 3)
    made = gradients.last_layer_gradients(pool.probs, pool.labels, pool.features)
    own = Pool(pool.labels, gradients=made)
    for key in LEARNED:
        for one, other in zip(pick(key, pool, 12, 0), pick(key, own, 12, 0), strict=True):
            np.testing.assert_allclose(one, other)
    chosen, weights = pick("craig", pool, 30, 0)
    np.testing.assert_allclose(np.bincount(pool.labels[chosen], weights), np.bincount(pool.labels))


def test_a_seed_does_where_a_generator_does():
    values = np.random.default_rng(0).random(40)
    for call in (
        lambda rng: random_selection.random_per_class(np.arange(20) % 2, 6, rng),
        lambda rng: coverage_centric(values, 7, rng),
        lambda rng: dpp.select(values.reshape(20, 2), 3, rng),
        lambda rng: geda.solve(values, 9, within="random", rng=rng).indices,
        lambda rng: prototypes.ssp(values.reshape(20, 2), 5, 3, rng=rng),
    ):
        assert call(7).tolist() == call(np.random.default_rng(7)).tolist()
        with pytest.raises(StudyError, match="^rng must be a seed"):
            call("seven")


def test_the_registry_names_what_the_study_compares():
    assert tuple(METHODS)[: len(registry.ORDER)] == registry.ORDER
    assert [key for key in registry.ORDER if METHODS[key].compare] == [
        *("random", "random-per-class", "least-confidence", "margin", "entropy"),
        *("forgetting", "el2n", "ccs", "k-centers", "facility-location", "dpp", "moderate"),
        *("ids", "ssp", "iqp", "geda", "craig", "grad-match"),
    ]
    assert tuple(registry.options_of("geda")) == ("n_nodes", "within", "rule", "nodes", "ecdf")


def test_a_method_is_one_file(monkeypatch, tmp_path, capsys):
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    example = readme.split("# helpers/selection/mistakes.py\n", 1)[1].split("```")[0]
    assert len([line for line in example.splitlines() if line]) <= 10
    (tmp_path / "mistakes.py").write_text(example)
    folders = [*selection.__path__, str(tmp_path)]
    monkeypatch.setattr(selection, "__path__", folders)
    try:
        registry.discover(folders, "helpers.selection")
        assert [*METHODS][len(registry.ORDER) :].count("mistakes") == 1
        pool = pool_of(30, 0)
        right = pool.probs[np.arange(30), pool.labels]
        assert check("mistakes", pool, 4).tolist() == np.argsort(right)[:4].tolist()
        with pytest.raises(StudyError, match="mistakes needs labels"):
            pick("mistakes", Pool(None, probs=pool.probs), 4, 0)
        assert plots.label_of("mistakes") == "Mistakes first"
        assert plots.colour_of("mistakes").startswith("#")
        assert "mistakes" in experiments.compared_methods(Config(methods=("all",)))
        assert main(["select", "--help"]) == 0
        assert "mistakes" in capsys.readouterr().out
    finally:
        METHODS.pop("mistakes", None)
        sys.modules.pop("helpers.selection.mistakes", None)


def test_registration_refuses_what_would_go_wrong_later():
    for options, told in (({"needs": ("prob",)}, "needs"), ({"family": "luck"}, "family")):
        with pytest.raises(StudyError, match=f"^{told} of x must be"):
            registry.method("x", "X", **options)
    with pytest.raises(StudyError, match="^method random is registered by"):
        registry.method("random", "Mine")(lambda pool, k, rng: np.arange(k))
    assert "x" not in METHODS


def test_bad_requests_and_pools_are_refused():
    for key, options, message in (
        ("nothing", {}, "method must be one of random, "),
        ("random", {"x": 1}, "takes none"),
        ("geda", {"knots": 1}, "n_nodes, within"),
        ("geda", {"n_nodes": "5"}, "n_nodes must be int"),
        ("k-centers", {"n_initial": 5}, "n_initial"),
    ):
        with pytest.raises(StudyError, match=message):
            pick(key, pool_of(12, 0), 4, 0, **options)
    pool = Pool(None, probs=np.full((4, 2), 0.5), scores=np.arange(4.0))
    assert rows_of("top", pool, 2).tolist() == [3, 2]
    with pytest.raises(StudyError, match="^labels are needed"):
        pick("el2n", pool, 2, 0)
    probs = np.full((3, 2), 0.5)
    for fields, told in (
        ({"labels": np.array([0, -1, 1]), "probs": probs}, "labels must lie in 0..1"),
        ({"labels": None}, "one array at least"),
        ({"labels": None, "features": np.ones((0, 2))}, "features must have rows"),
        ({"labels": np.array([0, 1]), "norms": np.ones(3)}, "norms must have 2 rows"),
        ({"labels": None, "features": np.eye(2), "centres": np.zeros((2, 3))}, "centres"),
    ):
        with pytest.raises(StudyError, match=told):
            Pool(**fields)


@given(st.lists(st.integers(0, 30), min_size=1, max_size=8).filter(sum), st.data())
@settings(max_examples=30, deadline=None)
def test_shares_sum_to_k_stay_below_counts_and_near_the_proportion(counts, data):
    n = sum(counts)
    k = data.draw(st.integers(1, n))
    places = stratify.allocate(np.array(counts), k)
    assert places.sum() == k
    assert (places <= counts).all()
    assert (np.abs(places - k * np.array(counts) / n) < 1).all()
    assert stratify.allocate(np.array([5, 3, 2]), 5).tolist() == [3, 1, 1]
    assert stratify.allocate(np.array([1, 1, 1]), 2).tolist() == [1, 1, 0]  # the lower class


def test_a_pick_that_loses_weights_or_names_no_rows_is_refused(monkeypatch):
    pool = registry.Pool(labels=np.zeros(5, int))
    for traits, chosen, named in (
        ({}, (np.arange(2), np.ones(2)), "is_weighted"),
        ({"is_weighted": True}, np.arange(2), "rows and weights"),
        ({}, np.array([0, 0]), "distinct"),
        ({}, np.array([4, 5]), "distinct"),
    ):
        entry = registry.Method("odd", "Odd", lambda pool, k, rng, c=chosen: c, **traits)
        monkeypatch.setitem(METHODS, "odd", entry)
        with pytest.raises(ValueError, match=f"odd .*{named}"):
            registry.pick("odd", pool, 2, 0)
