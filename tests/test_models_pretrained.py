"""Networks from torchvision with weights from a file: where it is looked for, and bad files."""

import io
from pathlib import Path

import pytest
import torch
from torch import nn

from helpers import StudyError, models
from helpers.models import pretrained

torchvision = pytest.importorskip("torchvision", reason="torchvision is not installed")

SMALLEST = "shufflenet_v2_x0_5"
NAME = f"pretrained:{SMALLEST}"


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


@pytest.mark.parametrize("place", ["cache", "folder", "own name", "file"])
def test_weights_are_found_and_the_features_are_torchvisions(
    tmp_path, monkeypatch, original, place
):
    files = {
        "cache": tmp_path / "hub" / "checkpoints" / torchvision_name(),
        "folder": tmp_path / "w" / torchvision_name(),
        "own name": tmp_path / "w" / f"{SMALLEST}.pth",
        "file": tmp_path / "w" / "whatever.pt",
    }
    file = save(original, files[place])
    if place != "cache":
        monkeypatch.setenv("STUDY_WEIGHTS", str(file if place == "file" else file.parent))
    network = models.build(NAME, 1000, 3).eval()
    images = torch.randn(2, 3, 224, 224)
    assert torch.equal(network(images), original(images))
    assert torch.equal(network.classifier(network.features(images)), network(images))
    assert network.features(images).shape == (2, 1024)


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


def test_densenet_files_of_2017_are_read(tmp_path):
    """Their names have dots, such as `denselayer1.norm.1.weight`."""
    net = nn.Sequential()
    net.add_module("norm1", nn.BatchNorm2d(2))
    net.add_module("norm", nn.BatchNorm2d(2))
    old = {key.replace("norm1.", "norm.1."): v for key, v in net.state_dict().items()}
    assert "norm.1.weight" in old
    torch.save(old, tmp_path / "old.pth")
    pretrained.load(net, tmp_path / "old.pth", "pretrained:x")


def test_the_last_layer_of_the_papers_networks_is_found():
    names = ("resnet18", "densenet121", "vgg11_bn", "alexnet", "mobilenet_v2", "googlenet")
    for name in names:
        more = {"init_weights": False} if name == "googlenet" else {}
        with torch.device("meta"):
            net = torchvision.models.get_model(name, weights=None, **more)
        path, layer = pretrained.last_layer(net, name)
        assert net.get_submodule(path) is layer
        assert layer.out_features == 1000
        assert [m for m in net.modules() if isinstance(m, nn.Linear)][-1] is layer


def test_missing_weights_say_where_to_put_them(tmp_path):
    with pytest.raises(StudyError) as caught:
        models.build(NAME, 10, 3)
    message = str(caught.value)
    assert "\n" not in message
    for words in (torchvision_name(), str(tmp_path / "hub" / "checkpoints"), "STUDY_WEIGHTS"):
        assert words in message


def test_files_that_are_not_these_weights_are_refused(tmp_path, monkeypatch, original):
    file = save(original, tmp_path / "w.pth")
    monkeypatch.setenv("STUDY_WEIGHTS", str(file))
    other = io.BytesIO()
    torch.save({"fc.weight": torch.zeros(3, 3)}, other)
    for content in (file.read_bytes()[:1000], b"not weights", other.getvalue()):
        file.write_bytes(content)
        with pytest.raises(StudyError, match="does not hold the weights of") as caught:
            models.build(NAME, 10, 3)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("pretrained:resnet19", "torchvision.models has no 'resnet19'"),
        ("pretrained:", "torchvision.models has no ''"),
        ("pretrained:squeezenet1_0", "does not end in a linear layer"),
    ],
)
def test_names_that_cannot_be_used(tmp_path, monkeypatch, name, words):
    if name.endswith("1_0"):
        net = torchvision.models.get_model("squeezenet1_0", weights=None)
        monkeypatch.setenv("STUDY_WEIGHTS", str(save(net, tmp_path / "w.pth")))
    with pytest.raises(StudyError, match=words):
        models.build(name, 10, 3)
