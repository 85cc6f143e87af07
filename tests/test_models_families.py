"""Dense, plain and mobile networks and those for photographs: sizes, shapes, and their layers."""

import pytest
import torch
from torch import nn

from helpers import StudyError, device, models
from helpers.models import dense, plain

SMALL = (
    "densenet10-k8",
    "vgg11-w8",
    "vgg11-plain-w8",
    "alexnet-w8",
    "mobilenetv2-w16",
    "sprint-w8",
)


def layers_of(network, *kinds):
    return [module for module in network.modules() if isinstance(module, kinds)]


@pytest.mark.parametrize("in_channels", [1, 3])
@pytest.mark.parametrize("size", [8, 28, 32])
@pytest.mark.parametrize("name", SMALL)
def test_every_family_takes_every_image_and_learns_from_it(name, size, in_channels):
    network = models.to_device(models.build(name, 5, in_channels), torch.device("cpu"))
    images = torch.randn(6, in_channels, size, size)
    logits = network(images.contiguous(memory_format=torch.channels_last))
    assert logits.shape == (6, 5)
    logits.square().sum().backward()
    for parameter_name, parameter in network.named_parameters():
        assert torch.isfinite(parameter.grad).all(), parameter_name


@pytest.mark.parametrize("name", [*SMALL, "resnet18-imagenet-w8", "resnet50-imagenet-w8"])
def test_logits_are_the_classifier_of_the_features(name):
    network = models.build(name, 7, 3).eval()
    images = torch.randn(3, 3, 64, 64)
    features = network.features(images)
    assert features.shape == (3, network.classifier.in_features)
    assert torch.equal(network(images), network.classifier(features))


@pytest.mark.parametrize("name", [*SMALL, "resnet50-imagenet-w8"])
def test_equal_seeds_build_equal_networks(name):
    def state(seed):
        with device.deterministic(seed, 1):
            return models.flat_state(models.build(name, 10, 3))

    assert state(3).tobytes() == state(3).tobytes()
    assert state(3).tobytes() != state(4).tobytes()


@pytest.mark.parametrize(
    ("name", "n_classes", "millions", "tolerance"),
    [
        ("densenet100-k12", 10, 0.8, 0.05),  # Huang et al. 2017, table 2
        ("densenet250-k24", 10, 15.3, 0.01),
        ("resnet18-imagenet", 1000, 11.7, 0.01),  # as torchvision's, which are post-activation
        ("resnet50-imagenet", 1000, 25.6, 0.01),
        ("mobilenetv2", 1000, 3.5, 0.01),
        ("vgg11", 1000, 9.2 + 0.5, 0.02),  # torchvision's convolutions, one linear layer
    ],
)
def test_parameters_are_as_many_as_the_papers_say(name, n_classes, millions, tolerance):
    with torch.device("meta"):
        network = models.build(name, n_classes, 3)
    assert models.n_parameters(network) / 1e6 == pytest.approx(millions, rel=tolerance)


@pytest.mark.parametrize("name", ["densenet40-k12", "densenet10-k8"])
def test_a_dense_name_states_the_number_of_weighted_layers(name):
    network = models.build(name, 10, 3)
    assert len(layers_of(network, nn.Conv2d, nn.Linear)) == models.depth(name)


def test_dense_layers_add_channels_and_transitions_halve_them():
    network = models.build("densenet16-k8", 10, 1).eval()
    images = torch.randn(2, 1, 28, 28)
    x, shapes = network.stem(images), []
    for part in network.blocks:
        before, x = x, part(x)
        if isinstance(part, dense.Layer):
            assert torch.equal(x[:, : before.shape[1]], before)  # everything earlier stays
        shapes.append(tuple(x.shape[1:]))
    one = [(24, 28, 28), (32, 28, 28)]
    two = [(16, 14, 14), (24, 14, 14), (32, 14, 14)]
    assert shapes == [*one, *two, (16, 7, 7), (24, 7, 7), (32, 7, 7)]


def test_only_vgg11_has_batch_norm_and_only_alexnet_dropout():
    has_norm = {n: bool(layers_of(models.build(n, 10, 3), nn.BatchNorm2d)) for n in SMALL[1:4]}
    assert has_norm == {"vgg11-w8": True, "vgg11-plain-w8": False, "alexnet-w8": False}
    has_dropout = {n: len(layers_of(models.build(n, 10, 3), nn.Dropout)) for n in SMALL[1:4]}
    assert has_dropout == {"vgg11-w8": 0, "vgg11-plain-w8": 0, "alexnet-w8": 2}
    assert len(layers_of(models.build("alexnet", 10, 3), nn.Conv2d)) == 5
    assert len(layers_of(models.build("vgg11", 10, 3), nn.Conv2d)) == 8


def test_plain_networks_keep_the_scale_of_their_input_without_batch_norm():
    torch.manual_seed(0)
    network = plain.make("vgg11-plain-w16", 10, 3).eval()
    images = torch.randn(64, 3, 32, 32)
    assert 0.1 < network.features(images).std() < 10


def test_photographs_shrink_thirty_two_times():
    network = models.build("resnet50-imagenet-w8", 10, 3)
    images = torch.randn(1, 3, 64, 64)
    assert network.stem(images).shape == (1, 8, 16, 16)
    assert network.blocks(network.stem(images)).shape == (1, 256, 2, 2)
    assert [len(block.convs) for block in network.blocks] == [3] * 16
    assert [len(b.convs) for b in models.build("resnet18-imagenet-w8", 10, 3).blocks] == [2] * 8


@pytest.mark.parametrize(
    "name",
    [
        *("densenet40", "densenet41-k12", "densenet4-k12", "densenet256-k12", "alexnet-", "vgg13"),
        *("resnet20-imagenet", "mobilenetv3", "mobilenetv2-16", "sprinter", "vgg11-plain-"),
    ],
)
def test_names_of_no_family_are_refused_in_one_line(name):
    with pytest.raises(StudyError, match=r"unknown model .*densenet.*vgg11.*sprint") as caught:
        models.build(name, 10, 3)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("densenet40-k4", "growth .* multiple of 4 from 8 up, got 4"),
        ("densenet40-k10", "multiple of 4 from 8 up, got 10"),
        ("vgg11-w12", "multiple of 8, got 12"),
        ("alexnet-w0", "multiple of 8, got 0"),
        ("mobilenetv2-w8", "multiple of 16, got 8"),
        ("sprint-w4", "multiple of 8, got 4"),
        ("resnet18-imagenet-w4", "multiple of 8, got 4"),
    ],
)
def test_widths_that_crash_kernels_are_refused(name, words):
    with pytest.raises(StudyError, match=words):
        models.build(name, 10, 3)
