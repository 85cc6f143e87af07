"""CRAIG against a plain twin, last-layer gradients against autograd, and classes apart."""

import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings, strategies as st

from helpers import models, probing
from helpers.selection import greedy_cover
from helpers.selection.gradients import craig, grad_match, last_layer_gradients, per_class
from helpers.selection.stratify import allocate


def full_gradients(model, images, labels):
    batches = probing.gradients_by_batch(model, images, labels)
    return torch.cat([torch.cat([g.flatten(1) for g in one], 1) for one in batches])


def distances(gradients):
    g = np.asarray(gradients, dtype=np.float64)
    return np.sqrt(((g[:, None] - g[None]) ** 2).sum(axis=2))


def one_at_a_time(dist, k):
    """Pick by every row's gain at every pick: slow and plain."""
    sums = dist.sum(axis=0)
    chosen = [int((sums <= sums.min() * (1 + 1e-12)).argmax())]
    nearest = dist[:, chosen[0]]
    while len(chosen) < k:
        gains = np.maximum(nearest[:, None] - dist, 0).sum(axis=0)
        gains[chosen] = -1
        chosen.append(int((gains >= gains.max() - max(1e-9 * gains.max(), 1e-9)).argmax()))
        nearest = np.minimum(nearest, dist[:, chosen[-1]])
    return np.array(chosen)


def sizes(dist, picks):
    """Count the rows nearest to each pick, ties to the lowest pick."""
    order = np.sort(picks)
    nearest = order[dist[:, order].argmin(axis=1)]
    return np.array([(nearest == p).sum() for p in picks], dtype=float)


def rows_of_many_lengths(n, d=6, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)) * rng.gamma(2, 0.5, (n, 1))


def test_a_planted_answer_is_every_distinct_row_with_its_count():
    points = np.array([[0.0, 0], [3, 1], [0, 5]])
    gradients = points[[1, 0, 2, 1, 0, 1, 1]]
    picks, weights = craig(gradients, 3)
    found = dict(zip(picks.tolist(), weights.tolist(), strict=True))
    assert found == {0: 4, 1: 2, 2: 1}


@given(st.integers(0, 2**32 - 1), st.booleans(), st.sampled_from([0, 10_000, 2**29]))
@settings(max_examples=20, deadline=None)
def test_equals_the_plain_twin_whatever_memory_there_is(seed, whole, memory):
    rng = np.random.default_rng(seed)
    n, d = int(rng.integers(1, 150)), int(rng.integers(1, 4))
    gradients = rng.integers(-3, 4, (n, d)) if whole else rng.normal(size=(n, d))
    k = int(rng.integers(1, n + 1))
    dist = distances(gradients)
    picks, weights = craig(gradients, k, memory)
    np.testing.assert_array_equal(picks, one_at_a_time(dist, k))
    assert weights.sum() == n
    assert weights.dtype == np.float64
    if not whole:
        np.testing.assert_array_equal(weights, sizes(dist, picks))


def test_float32_small_tiles_and_batches_follow_the_twin(monkeypatch):
    for name, value in (("N_WIDE", 0), ("TILE", 60), ("N_REFRESH", 7), ("N_CORRECT", 300)):
        monkeypatch.setattr(greedy_cover, name, value)
    gradients = rows_of_many_lengths(500)
    dist = distances(gradients)
    expected = one_at_a_time(dist, 400)
    for memory in (0, 10**6):
        picks, weights = craig(gradients, 400, memory)
        np.testing.assert_array_equal(picks[:30], expected[:30])
        total = dist[:, expected].min(axis=1).sum()
        assert dist[:, picks].min(axis=1).sum() == pytest.approx(total, rel=1e-4)
        np.testing.assert_array_equal(weights, sizes(dist, picks))


def test_ties_go_to_the_lowest_row(monkeypatch):
    for gradients in (
        np.eye(7)[np.arange(300) % 7],
        np.zeros((150, 1)),
        np.repeat(np.random.default_rng(4).normal(size=(10, 5)), 20, axis=0),
        np.eye(120),
    ):
        k = min(150, len(gradients))
        expected = one_at_a_time(distances(gradients), k)
        for wide in (0, 10**6):
            monkeypatch.setattr(greedy_cover, "N_WIDE", wide)
            picks, weights = craig(gradients, k)
            np.testing.assert_array_equal(picks, expected)
            assert weights.sum() == len(gradients)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(1)
    net = models.build("resnet8-w8", 3, 2)
    net(torch.randn(64, 2, 8, 8))
    return net, torch.randn(41, 2, 8, 8), torch.randint(0, 3, (41,))


def test_last_layer_gradients_are_autograd_s_and_have_probing_s_norms(network):
    net, images, labels = network
    full = full_gradients(net, images, labels)
    net.eval()
    with torch.no_grad():
        features = net.features(images)
        logits = net.classifier(features)
    probs = F.softmax(logits, dim=1).numpy()
    ours = last_layer_gradients(probs, labels.numpy(), features.numpy())
    c, d = 3, features.shape[1]
    assert ours.shape == (41, c * (d + 1))
    assert ours.dtype == np.float32
    blocks = ours.reshape(41, c, d + 1)
    # the classifier's weight and bias are the last parameters
    weight, bias = full[:, -c * (d + 1) : -c].reshape(41, c, d), full[:, -c:]
    np.testing.assert_allclose(blocks[:, :, :d], weight, atol=1e-6)
    np.testing.assert_allclose(blocks[:, :, d], bias, atol=1e-6)
    np.testing.assert_allclose(last_layer_gradients(probs, labels.numpy()), bias, atol=1e-6)
    norms = probing.last_layer_norms(logits, features, labels)
    np.testing.assert_allclose(np.linalg.norm(ours, axis=1), norms, rtol=1e-4)
    np.testing.assert_allclose(
        full.norm(dim=1), probing.full_gradient_norms(net, images, labels), rtol=1e-5
    )


def test_classes_send_their_share_with_weights_of_their_size():
    gradients = rows_of_many_lengths(90, 12, 3) + 1
    labels = np.repeat([0, 2, 5], [50, 30, 10])
    for solve in (craig, grad_match):
        rows, weights = per_class(gradients, labels, 18, solve)
        shares = allocate(np.array([50, 30, 10]), 18)
        for label, share, size in zip((0, 2, 5), shares, (50, 30, 10), strict=True):
            inside = labels[rows] == label
            expected, mass = solve(gradients[labels == label], int(share))
            np.testing.assert_array_equal(rows[inside], np.flatnonzero(labels == label)[expected])
            np.testing.assert_allclose(weights[inside], mass * size / mass.sum())
        assert len(set(rows.tolist())) == len(rows) == (18 if solve is craig else len(rows))


def test_a_class_whose_weights_are_all_zero_is_weighted_evenly():
    def none(gradients, k):
        return np.arange(k), np.zeros(k)

    rows, weights = per_class(np.ones((6, 2)), np.array([0, 0, 0, 0, 1, 1]), 3, none)
    assert dict(zip(rows.tolist(), weights.tolist(), strict=True)) == {0: 2.0, 1: 2.0, 4: 2.0}


def test_bad_input():
    probs, g = np.full((3, 2), 0.5), np.eye(3)
    for call, message in (
        (lambda: craig(g, 1, memory=-5), "memory"),
        (lambda: last_layer_gradients(g * 2, [0, 1, 2]), "sum to 1"),
        (lambda: last_layer_gradients(probs, [0, 1, 2]), "0..1"),
        (lambda: last_layer_gradients(probs, [0, 1, 1], g[:2]), "3 rows"),
        (lambda: per_class(g, [0, 1], 2, craig), "3 rows"),
        (lambda: per_class(g, [1, 1, 0], 4, craig), "1..3"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_a_long_run_of_equal_rows_is_covered_by_one_pick():
    # more equal rows than a tile is broad: a tile in which every row is covered already
    rows = np.random.default_rng(0).integers(-20, 20, (1500, 4)).astype(float)
    rows[:1100] = 0
    expected = one_at_a_time(distances(rows), 8)
    for memory in (0, 1 << 18):
        picked, weights = craig(rows, 8, memory=memory)
        np.testing.assert_array_equal(picked, expected)
        assert weights.sum() == 1500


def test_classes_without_a_row_are_told():
    gradients, labels = np.random.default_rng(0).normal(size=(12, 3)), np.arange(12) % 4
    with pytest.warns(UserWarning, match="k = 3 leaves classes without a row: .* 3 rows"):
        _, weights = per_class(gradients, labels, 3, craig)
    assert weights.sum() == 9
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert per_class(gradients, labels, 4, craig)[1].sum() == 12
