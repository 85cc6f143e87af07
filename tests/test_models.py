"""Networks: names, sizes, bad input, and that equal seeds build equal networks."""

import re

import numpy as np
import pytest
import torch

from helpers import StudyError, device, models


@pytest.mark.parametrize(
    ("name", "millions"),
    [
        ("resnet20", 0.27),  # He et al. 2016a, table 6
        ("resnet32", 0.46),
        ("resnet56", 0.85),
        ("resnet110", 1.7),
        ("resnet164", 1.7),  # He et al. 2016b, table 2
        ("resnet18", 11.2),
    ],
)
def test_parameters_are_as_many_as_the_papers_say(name, millions):
    network = models.build(name, 10, 3)
    assert models.n_parameters(network) / 1e6 == pytest.approx(millions, rel=0.03)


@pytest.mark.parametrize("name", ["resnet8", "resnet14-w8", "resnet20", "resnet110", "resnet164"])
def test_a_name_states_the_number_of_weighted_layers(name):
    network = models.build(name, 10, 3)
    layers = [
        module
        for module in network.modules()
        if isinstance(module, torch.nn.Conv2d | torch.nn.Linear)
    ]
    shortcuts = [b.shortcut for b in network.blocks if b.shortcut is not None]
    assert len(layers) - len(shortcuts) == models.depth(name) == int(re.findall(r"\d+", name)[0])


def test_resnet164_is_made_of_bottlenecks_and_resnet20_is_not():
    deep, shallow = models.build("resnet164", 10, 3), models.build("resnet20", 10, 3)
    assert all([c.kernel_size[0] for c in b.convs] == [1, 3, 1] for b in deep.blocks)
    assert all([c.kernel_size[0] for c in b.convs] == [3, 3] for b in shallow.blocks)
    assert len(deep.blocks) == 54
    assert deep.classifier.in_features == 256
    assert shallow.classifier.in_features == 64


def test_logits_are_the_classifier_of_the_features():
    network = models.build("resnet8-w8", 7, 1).eval()
    images = torch.randn(3, 1, 8, 8)
    features = network.features(images)
    assert features.shape == (3, 32)
    assert torch.equal(network(images), network.classifier(features))
    assert network(images).shape == (3, 7)


def test_three_stages_halve_the_image_twice():
    network = models.build("resnet14-w8", 2, 3)
    images = torch.randn(2, 3, 32, 32)
    assert network.blocks(network.stem(images)).shape == (2, 32, 8, 8)


@pytest.mark.parametrize(
    "name",
    ["resnet", "resnet9", "resnet2", "resnet158", "ResNet20", "vgg16", "resnet20-w", "resnet20 "],
)
def test_unknown_names_are_refused_in_one_line(name):
    with pytest.raises(StudyError, match="unknown model .*resnet8") as caught:
        models.build(name, 10, 3)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("width", [0, 4, 7, 12])
def test_widths_that_crash_kernels_are_refused(width):
    with pytest.raises(StudyError, match="multiple of 8"):
        models.build(f"resnet8-w{width}", 10, 3)


@pytest.mark.parametrize(("n_classes", "in_channels"), [(1, 3), (0, 1), (10, 0)])
def test_impossible_sizes_are_refused(n_classes, in_channels):
    with pytest.raises(StudyError, match="2 or more classes"):
        models.build("resnet8", n_classes, in_channels)


def test_a_name_without_depth_is_refused():
    with pytest.raises(StudyError, match="no depth"):
        models.depth("fasttext")


def test_equal_seeds_build_equal_networks_and_others_do_not():
    def state(seed):
        with device.deterministic(seed, 1):
            return models.flat_state(models.build("resnet8-w8", 10, 1))

    assert np.array_equal(state(3), state(3))
    assert not np.array_equal(state(3), state(4))


def test_state_goes_out_and_in_again():
    one, other = models.build("resnet8-w8", 4, 1), models.build("resnet8-w8", 4, 1)
    one(torch.randn(8, 1, 8, 8))  # moves the running statistics
    models.load_state(other, models.flat_state(one))
    for name, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name
        assert value.dtype == other.state_dict()[name].dtype


def test_state_of_another_network_is_refused():
    flat = models.flat_state(models.build("resnet8-w8", 4, 1))
    with pytest.raises(StudyError, match="another network"):
        models.load_state(models.build("resnet14-w8", 4, 1), flat)
