"""What a network says about data, against autograd and plain loops."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from helpers import models, probing


@pytest.fixture(scope="module")
def pool():
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (37, 2, 8, 8), generator=generator, dtype=torch.uint8)
    labels = torch.randint(0, 5, (37,), generator=generator)
    torch.manual_seed(1)
    network = models.build("resnet8-w8", 5, 2)
    network(torch.randn(64, 2, 8, 8))  # running statistics that differ from their start
    mean, std = map(torch.tensor, probing.normalisation(images.numpy()))
    return network, images, labels, mean, std


def gradients(network, image, label, parameters):
    loss = F.cross_entropy(network(image[None]), label[None])
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, parameters)])


def test_normalisation_is_mean_and_deviation_a_channel(pool):
    images = pool[1].numpy()
    mean, std = probing.normalisation(images)
    scaled = images.transpose(1, 0, 2, 3).reshape(2, -1) / 255
    np.testing.assert_allclose(mean, scaled.mean(axis=1), rtol=1e-6)
    np.testing.assert_allclose(std, scaled.std(axis=1), rtol=1e-5)
    assert mean.dtype == std.dtype == np.float32
    assert probing.normalisation(np.full((3, 1, 4, 4), 255, np.uint8))[1] == pytest.approx(1e-3)


def test_prepared_images_have_mean_zero_and_deviation_one(pool):
    _, images, _, mean, std = pool
    ready = probing.prepare(images, mean, std)
    assert ready.dtype == torch.float32
    assert ready.is_contiguous(memory_format=torch.channels_last)
    assert ready.mean(dim=(0, 2, 3)).abs().max() < 1e-5
    assert (ready.std(dim=(0, 2, 3)) - 1).abs().max() < 1e-3
    assert images.dtype == torch.uint8  # the pool itself is as it was


def test_outputs_do_not_depend_on_the_batch_and_leave_the_mode(pool):
    network, images, _, mean, std = pool
    network.train()
    whole = probing.outputs(network, images, mean, std)
    parts = probing.outputs(network, images, mean, std, batch=5)
    assert network.training
    for one, other, width in zip(whole, parts, (5, 32), strict=True):
        assert one.shape == (37, width)
        torch.testing.assert_close(one, other)
    network.eval()
    torch.testing.assert_close(network(probing.prepare(images, mean, std)), whole[0])


def test_last_layer_errors_are_the_gradient_by_the_logits():
    logits = torch.randn(6, 4, requires_grad=True)
    labels = torch.tensor([0, 1, 2, 3, 0, 1])
    F.cross_entropy(logits, labels, reduction="sum").backward()
    torch.testing.assert_close(
        probing.last_layer_errors(logits.detach(), labels), logits.grad, atol=1e-6, rtol=1e-5
    )


def test_last_layer_norms_match_autograd(pool):
    network, images, labels, mean, std = pool
    logits, features = probing.outputs(network, images, mean, std)
    norms = probing.last_layer_norms(logits, features, labels)
    network.eval()
    ready = probing.prepare(images, mean, std)
    last = list(network.classifier.parameters())
    slow = [gradients(network, x, y, last).norm() for x, y in zip(ready, labels, strict=True)]
    torch.testing.assert_close(norms, torch.stack(slow), rtol=1e-4, atol=1e-5)


def test_full_norms_match_a_loop_over_examples(pool):
    network, images, labels, mean, std = pool
    ready = probing.prepare(images, mean, std)
    network.train()
    norms = probing.full_gradient_norms(network, ready, labels)
    assert network.training  # the mode is as it was
    network.eval()
    everything = list(network.parameters())
    slow = [gradients(network, x, y, everything).norm() for x, y in zip(ready, labels, strict=True)]
    torch.testing.assert_close(norms, torch.stack(slow), rtol=1e-3, atol=1e-4)
    last = probing.last_layer_norms(*probing.outputs(network, images, mean, std), labels)
    assert (norms >= last - 1e-4).all()
