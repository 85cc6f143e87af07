"""The speed network: whitening from images, kept through training; and smoothed labels."""

import copy
import dataclasses

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from helpers import data, models, probing, recipes, training
from helpers.models import sprint

SHORT = recipes.get("sprint", 2)


@pytest.fixture(scope="module")
def digits():
    return data.load("digits@300+50")


@pytest.fixture(scope="module")
def images():
    """Random images whose neighbouring pixels and channels are alike."""
    rough = torch.randn(40, 3, 12, 12, generator=torch.Generator().manual_seed(0))
    mixed = torch.einsum("bchw,dc->bdhw", rough, torch.tensor([[1, 0, 0], [1, 1, 0], [1, 1, 1.0]]))
    return F.avg_pool2d(mixed, 3, 1)


def patches_by_hand(images):
    """Every 2x2 patch as a row, channel by channel."""
    b, c, h, w = images.shape
    rows = []
    for y in range(h - 1):
        for x in range(w - 1):
            rows.append(images[:, :, y : y + 2, x : x + 2].reshape(b, c * 4))
    return torch.cat(rows)


def test_covariance_equals_the_slow_twin(images):
    rows = patches_by_hand(images).double()
    found = sprint.patch_covariance(images, batch=7)
    torch.testing.assert_close(found, rows.T @ rows / len(rows), rtol=1e-5, atol=1e-6)


def test_filters_make_patches_white(images):
    network = models.build("sprint-w8", 10, 3)
    network.prepare_for(images)
    out = F.conv2d(images, network.filters).permute(0, 2, 3, 1).reshape(-1, 24).double()
    assert torch.allclose(out[:, :12], -out[:, 12:])
    moments = out[:, :12].T @ out[:, :12] / len(out)
    variances = torch.linalg.eigvalsh(sprint.patch_covariance(images)).flip(0)
    expected = variances / (variances + sprint.FLOOR)  # 1 where the data vary at all
    torch.testing.assert_close(moments, torch.diag(expected), rtol=0, atol=1e-3)
    assert expected.max() > 0.99
    network.prepare_for(torch.zeros(5, 3, 8, 8))  # one colour is no reason to fail
    assert torch.isfinite(network.filters).all()


def test_convolutions_start_as_the_identity_where_they_can():
    network = models.build("sprint-w8", 10, 3)
    for block in network.blocks:
        for conv in block.convs:
            x = torch.randn(2, conv.in_channels, 5, 5)
            same = min(conv.in_channels, conv.out_channels)
            torch.testing.assert_close(conv(x)[:, :same], x[:, :same])
        assert not any(norm.weight.requires_grad for norm in block.norms)


def test_half_the_side_shows_every_pixel_once():
    whole, half = (models.build(name, 10, 3).eval() for name in ("sprint-w8", "sprint-w8-half"))
    half.load_state_dict(whole.state_dict())
    images, seen = torch.randn(2, 3, 32, 32), {}
    for network in (whole, half):
        network.blocks.register_forward_pre_hook(lambda own, x: seen.update({own: x[0]}))
        network(images)
    assert torch.equal(seen[whole.blocks][:, :, ::2, ::2], seen[half.blocks])
    assert seen[half.blocks].shape == (2, 24, 16, 16)
    assert models.multiply_adds("sprint-w8-half") < 0.3 * models.multiply_adds("sprint-w8")


def test_fit_prepares_once_and_training_leaves_the_filters_alone(digits):
    network = models.build("sprint-w8", digits.n_classes, 1)
    calls = []
    network.prepare_for = lambda seen: (
        calls.append(seen) or sprint.Sprint.prepare_for(network, seen)
    )
    training.fit(digits, network, SHORT, seed=0, device="cpu")
    (seen,) = calls
    assert seen.shape == (300, 1, 8, 8)
    assert abs(float(seen.mean())) < 1e-4  # normalised
    twin = models.build("sprint-w8", digits.n_classes, 1)
    twin.prepare_for(seen)
    assert torch.equal(network.filters, twin.filters)
    assert not torch.equal(network.shift, twin.shift)
    network.filters.mul_(2)  # a start from stored weights keeps theirs
    state = models.flat_state(network)
    again = training.fit(digits, "sprint-w8", SHORT, seed=1, device="cpu", weights=state).model
    assert torch.equal(again.filters, network.filters)


def test_the_shift_stays_after_the_early_epochs(digits):
    shifts, recipe = [], dataclasses.replace(SHORT, early=0.5)

    class Watched(sprint.Sprint):
        def train(self, mode=True):
            shifts.append(self.shift.detach().clone())
            return super().train(mode)

    network = Watched(digits.n_classes, 1, 8)
    training.fit(digits, network, recipe, seed=0, device="cpu")
    start, first, end = shifts[0], shifts[-1], network.shift
    assert torch.equal(first, end)
    assert not torch.equal(start, end)


def test_smoothed_labels_against_the_formula(digits):
    share = 0.3
    recipe = recipes.Recipe("own", "test", 1, 300, 0.1, label_smoothing=share)
    torch.manual_seed(0)
    network = models.build("resnet8-w8", digits.n_classes, 1)
    start = copy.deepcopy(network).train()
    run = training.fit(digits, network, recipe, seed=0, device="cpu")
    mean, std = map(torch.from_numpy, probing.normalisation(digits.train_inputs))
    inputs = probing.prepare(torch.from_numpy(digits.train_inputs.copy()), mean, std)
    with torch.no_grad():
        log_probs = F.log_softmax(start(inputs), dim=1).double().numpy()
    own = -log_probs[np.arange(digits.n), digits.train_labels]
    expected = (1 - share) * own - share * log_probs.mean(axis=1)
    assert run.history["loss"][0] == pytest.approx(expected.mean(), rel=1e-4)
