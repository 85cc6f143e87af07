"""CRAIG against a plain twin, last-layer gradients against autograd, and classes apart."""

import warnings
from itertools import combinations

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


@pytest.mark.parametrize("seed", range(5))
def test_greedy_reaches_its_share_of_what_can_be_saved(seed):
    gradients = rows_of_many_lengths(11, 2, seed)
    dist = distances(gradients)
    largest = dist.max()
    value = [largest * 11 - dist[:, list(s)].min(axis=1).sum() for s in combinations(range(11), 4)]
    picks, _ = craig(gradients, 4)
    assert largest * 11 - dist[:, picks].min(axis=1).sum() >= (1 - 1 / np.e) * max(value)


@given(st.integers(0, 2**32 - 1), st.booleans(), st.sampled_from([0, 10_000, 2**29]))
@settings(max_examples=40, deadline=None)
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


@pytest.mark.parametrize("memory", [0, 10**6, 2**29])
def test_float32_small_tiles_and_batches_follow_the_twin(monkeypatch, memory):
    for name, value in (("N_WIDE", 0), ("TILE", 60), ("N_REFRESH", 7), ("N_CORRECT", 300)):
        monkeypatch.setattr(greedy_cover, name, value)
    gradients = rows_of_many_lengths(500)
    dist = distances(gradients)
    picks, weights = craig(gradients, 400, memory)
    np.testing.assert_array_equal(picks[:30], one_at_a_time(dist, 30))
    expected = dist[:, one_at_a_time(dist, 400)].min(axis=1).sum()
    assert dist[:, picks].min(axis=1).sum() == pytest.approx(expected, rel=1e-4)
    np.testing.assert_array_equal(weights, sizes(dist, picks))


@pytest.mark.parametrize("wide", [0, 10**6])
@pytest.mark.parametrize(
    "gradients",
    [
        np.eye(7)[np.arange(300) % 7],
        np.full((200, 3), 0.1),
        np.repeat(np.random.default_rng(4).normal(size=(10, 5)), 20, axis=0),
        np.zeros((150, 1)),
        np.eye(120),
    ],
    ids=["one-hot", "constant", "duplicates", "zeros", "alike"],
)
def test_ties_go_to_the_lowest_row(monkeypatch, gradients, wide):
    monkeypatch.setattr(greedy_cover, "N_WIDE", wide)
    k = min(150, len(gradients))
    picks, weights = craig(gradients, k)
    np.testing.assert_array_equal(picks, one_at_a_time(distances(gradients), k))
    assert weights.sum() == len(gradients)


def test_the_unit_of_the_gradients_does_not_matter():
    gradients = rows_of_many_lengths(60, 3)
    for unit in (1e20, 1e-20):
        np.testing.assert_array_equal(craig(gradients * unit, 20)[0], craig(gradients, 20)[0])


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(1)
    net = models.build("resnet8-w8", 3, 2)
    net(torch.randn(64, 2, 8, 8))
    return net, torch.randn(41, 2, 8, 8), torch.randint(0, 3, (41,))


def test_last_layer_gradients_are_autograd_s_and_have_probing_s_norms(network):
    net, images, labels = network
    full = full_gradients(net, images, labels)
    n_parameters = sum(p.numel() for p in net.parameters())
    assert full.shape == (41, n_parameters)
    assert full.dtype == torch.float32
    assert [name for name, _ in net.named_parameters()][-2:] == [
        "classifier.weight",
        "classifier.bias",
    ]
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
    weight, bias = full[:, -c * (d + 1) : -c].reshape(41, c, d), full[:, -c:]
    np.testing.assert_allclose(blocks[:, :, :d], weight, atol=1e-6)
    np.testing.assert_allclose(blocks[:, :, d], bias, atol=1e-6)
    errors = last_layer_gradients(probs, labels.numpy())
    np.testing.assert_allclose(errors, bias, atol=1e-6)
    norms = probing.last_layer_norms(logits, features, labels)
    np.testing.assert_allclose(np.linalg.norm(ours, axis=1), norms, rtol=1e-4)


def test_full_gradients_have_the_full_norms_and_leave_the_mode(network):
    net, images, labels = network
    net.train()
    norms = probing.full_gradient_norms(net, images, labels)
    assert net.training
    full = full_gradients(net, images, labels)
    assert net.training
    torch.testing.assert_close(full.norm(dim=1), norms)
    net.eval()
    loss = F.cross_entropy(net(images[:1]), labels[:1])
    one = torch.cat([g.flatten() for g in torch.autograd.grad(loss, tuple(net.parameters()))])
    torch.testing.assert_close(full[0], one, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("solve", [craig, grad_match])
def test_classes_send_their_share_with_weights_of_their_size(solve):
    gradients = rows_of_many_lengths(90, 12, 3) + 1
    labels = np.repeat([0, 2, 5], [50, 30, 10])
    rows, weights = per_class(gradients, labels, 18, solve)
    shares = allocate(np.array([50, 30, 10]), 18)
    for label, share, size in zip((0, 2, 5), shares, (50, 30, 10), strict=True):
        inside = labels[rows] == label
        assert 1 <= inside.sum() <= share
        assert weights[inside].sum() == pytest.approx(size)
        expected, mass = solve(gradients[labels == label], int(share))
        np.testing.assert_array_equal(rows[inside], np.flatnonzero(labels == label)[expected])
        np.testing.assert_allclose(weights[inside], mass * size / mass.sum())
    assert len(set(rows.tolist())) == len(rows)
    if solve is craig:
        assert len(rows) == 18


def test_a_class_whose_weights_are_all_zero_is_weighted_evenly():
    def none(gradients, k):
        return np.arange(k), np.zeros(k)

    rows, weights = per_class(np.ones((6, 2)), np.array([0, 0, 0, 0, 1, 1]), 3, none)
    assert dict(zip(rows.tolist(), weights.tolist(), strict=True)) == {0: 2.0, 1: 2.0, 4: 2.0}


PROBS = np.full((3, 2), 0.5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda g: craig(g, 1, memory=-5), "memory"),
        (lambda g: last_layer_gradients(g * 2, [0, 1, 2]), "sum to 1"),
        (lambda g: last_layer_gradients(PROBS, [0, 1, 2]), "0..1"),
        (lambda g: last_layer_gradients(PROBS, [0, 1]), "labels"),
        (lambda g: last_layer_gradients(PROBS, [0, 1, 0.5]), "labels"),
        (lambda g: last_layer_gradients(PROBS, [0, 1, 1], g[:2]), "3 rows"),
        (lambda g: per_class(g, [0, 1], 2, craig), "3 rows"),
        (lambda g: per_class(g, [1, 1, 1], 2, craig), "2 classes"),
        (lambda g: per_class(g, [1, 1, 0], 4, craig), "1..3"),
    ],
)
def test_bad_input(call, message):
    with np.errstate(invalid="ignore"), pytest.raises(ValueError, match=message):
        call(np.eye(3))


@pytest.mark.parametrize("memory", [0, 1 << 18, 1 << 29])
def test_a_long_run_of_equal_rows_is_covered_by_one_pick(memory):
    # more equal rows than a tile is broad: a tile in which every row is covered already
    rows = np.random.default_rng(0).integers(-20, 20, (1500, 4)).astype(float)
    rows[:1100] = 0
    picked, weights = craig(rows, 8, memory=memory)
    np.testing.assert_array_equal(picked, one_at_a_time(distances(rows), 8))
    assert (rows[picked] == 0).all(axis=1).sum() == 1
    assert weights.sum() == 1500


def test_classes_without_a_row_are_told():
    gradients, labels = np.random.default_rng(0).normal(size=(12, 3)), np.arange(12) % 4
    with pytest.warns(UserWarning, match="k = 3 leaves classes without a row: .* 3 rows"):
        _, weights = per_class(gradients, labels, 3, craig)
    assert weights.sum() == 9
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert per_class(gradients, labels, 4, craig)[1].sum() == 12
