"""Networks: names, sizes, layers, bad input, equal seeds, and one step of each on any batch."""

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch
from torch import nn

from helpers import StudyError, device, models
from helpers.models import dense, multiply_adds

ROOT = Path(__file__).resolve().parents[1]
SMALL = ("resnet8-w8", "densenet10-k8", "vgg3-w8", "vgg11-w8", "vgg11-plain-w8", "alexnet-w8")
SMALL += ("mobilenetv2-w16", "sprint-w8", "sprint-w8-half")
PHOTOGRAPHS = ("resnet18-imagenet-w8", "resnet50-imagenet-w8")


def n_parameters(model):
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def layers_of(network, *kinds):
    return [module for module in network.modules() if isinstance(module, kinds)]


def test_parameters_are_as_many_as_the_papers_say():
    for name, n_classes, millions, tolerance in (
        ("resnet20", 10, 0.27, 0.03),  # He et al. 2016a, table 6
        ("resnet32", 10, 0.46, 0.03),
        ("resnet56", 10, 0.85, 0.03),
        ("resnet110", 10, 1.7, 0.03),
        ("resnet164", 10, 1.7, 0.03),  # He et al. 2016b, table 2
        ("resnet18", 10, 11.2, 0.03),
        ("densenet100-k12", 10, 0.8, 0.05),  # Huang et al. 2017, table 2
        ("densenet250-k24", 10, 15.3, 0.01),
        ("resnet18-imagenet", 1000, 11.7, 0.01),  # as torchvision's, which are post-activation
        ("resnet50-imagenet", 1000, 25.6, 0.01),
        ("mobilenetv2", 1000, 3.5, 0.01),
        ("vgg11", 1000, 9.2 + 0.5, 0.02),  # torchvision's convolutions, one linear layer
    ):
        with torch.device("meta"):
            network = models.build(name, n_classes, 3)
        assert n_parameters(network) / 1e6 == pytest.approx(millions, rel=tolerance), name


def test_multiply_adds_are_those_of_the_papers():
    """ResNet20 has 41 million (He et al. 2016a), and ours one more 1x1 shortcut a stage."""
    assert multiply_adds("resnet20") == pytest.approx(41e6, rel=0.02)
    assert multiply_adds("fasttext") == 10 * 10  # the classifier; embeddings count nothing
    names = ("resnet8-w8", "densenet10-k8", "mobilenetv2-w16", "vdcnn9-w8-t64", "resnet18")
    found = [3_236_160, 4_528_308, 25_333_248, 506_368, 555_422_720]
    state = torch.get_rng_state()
    assert [multiply_adds.__wrapped__(name) for name in names] == found
    assert torch.equal(torch.get_rng_state(), state)


def test_a_name_states_the_number_of_weighted_layers():
    for name in ("resnet8", "resnet14-w8", "resnet20", "resnet110", "resnet164"):
        network = models.build(name, 10, 3)
        shortcuts = [b.shortcut for b in network.blocks if b.shortcut is not None]
        n_layers = len(layers_of(network, nn.Conv2d, nn.Linear)) - len(shortcuts)
        assert n_layers == models.depth(name) == int(re.findall(r"\d+", name)[0])
    for name in ("densenet40-k12", "densenet10-k8"):
        network = models.build(name, 10, 3)
        assert len(layers_of(network, nn.Conv2d, nn.Linear)) == models.depth(name)
    with pytest.raises(StudyError, match="no depth"):
        models.depth("fasttext")


def test_resnet164_is_made_of_bottlenecks_and_resnet20_is_not():
    deep, shallow = models.build("resnet164", 10, 3), models.build("resnet20", 10, 3)
    assert all([c.kernel_size[0] for c in b.convs] == [1, 3, 1] for b in deep.blocks)
    assert all([c.kernel_size[0] for c in b.convs] == [3, 3] for b in shallow.blocks)
    assert len(deep.blocks) == 54
    assert deep.classifier.in_features == 256
    assert shallow.classifier.in_features == 64


def test_every_family_takes_every_image_and_learns_from_it():
    """Odd batches in channels last; logits are the classifier of the features."""
    for name in SMALL:
        for size, in_channels in ((8, 1), (28, 1), (32, 3)):
            network = models.to_device(models.build(name, 5, in_channels), torch.device("cpu"))
            images = torch.randn(3, in_channels, size, size)
            logits = network(images.contiguous(memory_format=torch.channels_last))
            assert logits.shape == (3, 5)
            logits.square().sum().backward()
            for parameter_name, parameter in network.named_parameters():
                if parameter.requires_grad:
                    assert torch.isfinite(parameter.grad).all(), (name, parameter_name)
    for name in (*SMALL, *PHOTOGRAPHS):
        network = models.build(name, 7, 3).eval()
        images = torch.randn(3, 3, 64, 64)
        features = network.features(images)
        assert features.shape == (3, network.classifier.in_features)
        assert torch.equal(network(images), network.classifier(features))


STEP = """
    import os, sys
    import torch
    from helpers import models

    def step(name, threads):
        torch.manual_seed(0)
        torch.set_num_threads(threads)
        network = models.to_device(models.build(name, 5, 3), torch.device("cpu")).train()
        for size in (16, 32, *((64,) if "imagenet" in name else ())):
            for b in (3, 9, 33, 127):
                if getattr(network, "reads_text", False):
                    x = torch.randint(32, 127, (b, 4 * size), dtype=torch.uint8)
                else:
                    x = torch.randn(b, 3, size, size)
                    x = x.contiguous(memory_format=torch.channels_last)
                network(x).square().sum().backward()

    for name in sys.argv[1:]:
        for threads in (1, 2):
            child = os.fork()
            if not child:
                step(name, threads)
                os._exit(0)
            if os.waitpid(child, 0)[1]:
                print(name, threads)
"""


def crashed(names, folder=ROOT):
    """Take steps of networks, each in a process of its own; return which of them crashed."""
    command = [sys.executable, "-c", textwrap.dedent(STEP), *names]
    # threads that wait asleep: on a busy machine those that spin take minutes
    env = os.environ | {"OMP_WAIT_POLICY": "PASSIVE", "PYTHONPATH": str(folder)}
    done = subprocess.run(
        command, cwd=folder, env=env, capture_output=True, text=True, timeout=500, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_steps_of_a_narrow_resnet_on_odd_batches_leave_the_heap_whole():
    """A strided 1x1 convolution below 16 channels wrote beyond its buffers (AVX-512, oneDNN)."""
    assert crashed(["resnet8-w8"]) == []


@pytest.mark.slow
def test_steps_of_every_family_on_odd_batches_leave_the_heap_whole():
    texts = ("fasttext-b10", "vdcnn9-w8-shortcut-t64")
    assert crashed([*SMALL[1:], *PHOTOGRAPHS, "resnet14-w16", *texts]) == []


def test_no_network_has_the_layers_that_crash():
    """Below 16 channels, a 1x1 convolution with a stride: found by trying 1 to 256 channels."""
    torchvision = pytest.importorskip("torchvision")
    with torch.device("meta"):
        found = [models.build(name, 10, 3) for name in (*SMALL, *PHOTOGRAPHS, "resnet164")]
        names = ("resnet18", "resnet50", "wide_resnet50_2", "densenet121", "mobilenet_v2")
        found += [torchvision.models.get_model(name, weights=None) for name in names]
    for network in found:
        for layer in layers_of(network, nn.Conv2d):
            safe = layer.kernel_size != (1, 1) or layer.stride == (1, 1) or layer.in_channels >= 16
            assert safe, (type(network).__name__, layer)


def test_the_shortcut_is_the_strided_convolution():
    block = models.build("resnet8-w8", 10, 3).blocks[1].eval()
    x = torch.randn(4, 8, 16, 16)
    out = torch.relu(block.norms[0](x))
    expected = nn.functional.conv2d(out, block.shortcut.weight, stride=2)
    torch.testing.assert_close(block.shortcut(out[:, :, ::2, ::2]), expected)
    deep = block.convs[1](torch.relu(block.norms[1](block.convs[0](out))))
    torch.testing.assert_close(block(x), deep + expected)


def test_equal_seeds_build_equal_networks_and_others_do_not():
    for name in (*SMALL, "resnet50-imagenet-w8"):
        states = []
        for seed in (3, 3, 4):
            with device.deterministic(seed, 1):
                states.append(models.flat_state(models.build(name, 10, 3)).tobytes())
        assert states[0] == states[1] != states[2]


def test_state_goes_out_and_in_again():
    one, other = models.build("resnet8-w8", 4, 1), models.build("resnet8-w8", 4, 1)
    one(torch.randn(8, 1, 8, 8))  # moves the running statistics
    models.load_state(other, models.flat_state(one))
    torch.testing.assert_close(one.state_dict(), other.state_dict(), rtol=0, atol=0)
    with pytest.raises(StudyError, match="another network"):
        models.load_state(models.build("resnet14-w8", 4, 1), models.flat_state(one))


def test_layers_before_the_tuned_ones_stay_as_they_are():
    for name in (*SMALL, "sprint-w8"):
        network, plain = models.build(f"{name}/1", 4, 1), models.build(name, 4, 1)
        models.load_state(network, models.flat_state(plain))  # the state is the whole network's
        rows, before = torch.randn(8, 1, 8, 8), models.flat_state(network)
        trained = [one for one in network.parameters() if one.requires_grad]
        network.train()(rows).sum().backward()
        assert all(one.grad is not None for one in trained), name
        torch.optim.SGD(trained, 1.0).step()
        changed = models.flat_state(network) != before
        first, head = int(changed.argmax()), sum(one.numel() for one in trained)
        assert first > 0, name
        assert 0 < changed.sum() <= len(before) - first <= 1.2 * head, name
    assert [len(models.build(f"vgg3-w8/{n}", 4, 1).kept) for n in (0, 1)] == [4, 2]  # with norms
    for name, told in (("vgg3-w8/2", "none of the 3 layers"), ("vgg3-w8/", "a number of trained")):
        with pytest.raises(StudyError, match=told):
            models.build(name, 4, 1)


def test_weights_of_other_data_keep_the_new_last_layer_and_pass_grey_images_alike():
    for name, ours, theirs in (("resnet8-w8", 1, 3), ("vgg3-w8", 3, 1)):
        source, network = models.build(name, 7, theirs).eval(), models.build(name, 4, ours).eval()
        head, grey = network.classifier.weight.clone(), torch.rand(2, 1, 8, 8)
        models.load_state(network, models.flat_state(source), source)
        assert torch.equal(network.classifier.weight, head)
        shown = [grey.expand(-1, channels, -1, -1) for channels in (ours, theirs)]
        torch.testing.assert_close(network.features(shown[0]), source.features(shown[1]))
    source = models.build("sprint-w8", 7, 3)  # its filters number what colours give them
    with pytest.raises(StudyError, match="images of another kind"):
        models.load_state(models.build("sprint-w8", 4, 1), models.flat_state(source), source)


def test_dense_layers_add_channels_and_transitions_halve_them():
    network = models.build("densenet16-k8", 10, 1).eval()
    x, shapes = network.stem(torch.randn(2, 1, 28, 28)), []
    for part in network.blocks:
        before, x = x, part(x)
        if isinstance(part, dense.Layer):
            assert torch.equal(x[:, : before.shape[1]], before)  # everything earlier stays
        shapes.append(tuple(x.shape[1:]))
    one = [(24, 28, 28), (32, 28, 28)]
    two = [(16, 14, 14), (24, 14, 14), (32, 14, 14)]
    assert shapes == [*one, *two, (16, 7, 7), (24, 7, 7), (32, 7, 7)]


def test_plain_networks_but_alexnet_have_batch_norm_and_only_alexnet_dropout():
    counts = {}
    for name in (*SMALL[2:6], "vgg5-w8", "vgg7-w8"):
        network = models.build(name, 10, 3)
        kinds = (nn.BatchNorm2d, nn.Dropout, nn.Conv2d)
        counts[name] = [len(layers_of(network, kind)) for kind in kinds]
    assert counts == {
        "vgg3-w8": [2, 0, 2], "vgg5-w8": [4, 0, 4], "vgg7-w8": [6, 0, 6], "vgg11-w8": [8, 0, 8],
        "vgg11-plain-w8": [0, 0, 8], "alexnet-w8": [0, 2, 5],
    }  # fmt: skip


def test_names_widths_and_sizes_that_make_no_network_are_refused_in_one_line():
    unknown = "resnet resnet9 ResNet20 vgg16 resnet20-w densenet40 densenet41-k12 alexnet- "
    unknown += "resnet20-imagenet mobilenetv2-16 sprinter vgg11-plain- fasttext2 vdcnn10 vdcnn9-w "
    for name in (*unknown.split(), "resnet20 ", "fasttext-b10-d3", "vdcnn9-shortcut-w8"):
        told = r"unknown model .*resnet8.*densenet.*vgg11.*fasttext.*vdcnn9"
        with pytest.raises(StudyError, match=told) as caught:
            models.build(name, 10, 3)
        assert "\n" not in str(caught.value)
    # oneDNN's kernels for channels last crashed at such widths
    for name in ("resnet8-w0", "resnet8-w7", "resnet8-w12", "vgg11-w12", "sprint-w4",
                 "resnet18-imagenet-w4", "mobilenetv2-w8", "densenet40-k10",
                 "vdcnn9-w12"):  # fmt: skip
        with pytest.raises(StudyError, match=f"'{name}' must be a multiple of"):
            models.build(name, 10, 3)
    for name, words in (("fasttext-d0", "dimension"), ("fasttext-b40", "bits"),
                        ("vdcnn9-w8-t32", "bytes read lie in 64..1024")):  # fmt: skip
        with pytest.raises(StudyError, match=words):
            models.build(name, 10, 3)
    for n_classes, in_channels in ((0, 3), (10, 0)):
        with pytest.raises(StudyError, match="an output and a channel"):
            models.build("resnet8", n_classes, in_channels)
