"""Torchvision's networks with weights learnt on ImageNet, from files on this machine."""

from __future__ import annotations

import os
import re
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from helpers import StudyError
from helpers.models.base import Network

NAMES = "pretrained:NAME of torchvision.models (resnet18, densenet121, vgg11, alexnet, ...)"

SIDE = 224
PREFIX = "pretrained:"


class Pretrained(Network):
    """A torchvision network whose last linear layer is `classifier`.

    Images below 224 pixels a side are enlarged to that, the size the weights were learnt at;
    grey ones are repeated to three channels.

    Note: images are normalised by the study's training set, not by ImageNet's mean and spread.
    """

    def __init__(self, body: nn.Module, classifier: nn.Linear) -> None:
        super().__init__()
        self.body, self.classifier = body, classifier

    def features(self, x: Tensor) -> Tensor:
        """Map images (b, c, h, w), normalised, to features (b, d)."""
        if min(x.shape[2:]) < SIDE:
            scale = SIDE / min(x.shape[2:])
            size = [max(SIDE, round(side * scale)) for side in x.shape[2:]]
            x = F.interpolate(x, size, mode="bilinear", align_corners=False)
        return self.body(x if x.shape[1] == 3 else x.expand(-1, 3, -1, -1))


def make(name: str, n_classes: int, in_channels: int) -> Pretrained | None:
    """Load a network, or return `None` where the name does not start with `pretrained:`.

    With as many classes as the weights have, their classifier stays; else a new one is drawn from
    torch's current random state.

    Raises:
        StudyError: If torchvision has no such network, its last layer is not linear, or no file
            holds its weights.
    """
    if not name.startswith(PREFIX):
        return None
    import torchvision

    plain = name.removeprefix(PREFIX)
    if plain not in torchvision.models.list_models(torchvision.models):
        raise StudyError(f"unknown model {name!r}: torchvision.models has no {plain!r}")
    # Both expect another normalisation than the rest, which torchvision then does inside them.
    inside = {"transform_input": True, "init_weights": False}
    with torch.device("meta"):
        more = inside if plain in ("googlenet", "inception_v3") else {}
        net = torchvision.models.get_model(plain, weights=None, **more)
    load(net, weights_file(plain), name)
    path, head = last_layer(net, name)
    net.set_submodule(path, nn.Identity())
    if head.out_features != n_classes:
        head = nn.Linear(head.in_features, n_classes)
    return Pretrained(net, head)


def last_layer(net: nn.Module, name: str) -> tuple[str, nn.Linear]:
    """Return the path of a network's last layer, and the layer; StudyError where not linear."""
    path, layer = [pair for pair in net.named_modules() if not list(pair[1].children())][-1]
    if not isinstance(layer, nn.Linear):
        raise StudyError(f"{name} does not end in a linear layer, which the study reads")
    return path, layer


def weights_file(plain: str) -> Path:
    """Find the file with the weights of a network of torchvision.

    It is the first that exists of: `$STUDY_WEIGHTS` where that is a file; torchvision's file name
    or `NAME.pth` in the folder `$STUDY_WEIGHTS`; torchvision's file name in its own cache.

    Raises:
        StudyError: If there is none, with the place where to put it.
    """
    import torchvision

    kinds = torchvision.models.get_model_weights(plain)
    names, cache = [Path(w.url).name for w in kinds], Path(torch.hub.get_dir()) / "checkpoints"
    given = Path(os.environ.get("STUDY_WEIGHTS") or cache).expanduser()
    places = [given, *(given / file for file in (*names, f"{plain}.pth"))]
    for place in (*places, *(cache / file for file in names)):
        if place.is_file():
            return place
    raise StudyError(
        f"{PREFIX}{plain} has no weights here: put {names[0]} (download.pytorch.org/models) into "
        f"{cache}, or set STUDY_WEIGHTS to the file or its folder"
    )


def load(net: nn.Module, path: Path, name: str) -> None:
    """Fill an empty network with the state in a file; StudyError where it does not fit."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        # DenseNet files of 2017 have dots that module names may not have any more.
        dotted = re.compile(r"((?:norm|relu|conv))\.(\d)(?=\.)")
        state = {dotted.sub(r"\1\2", key): value for key, value in state.items()}
        net.load_state_dict(state, assign=True)
    except Exception as error:  # torch raises whatever a broken pickle leads to
        raise StudyError(f"{path} does not hold the weights of {name}") from error
    net.requires_grad_(True)
    if hasattr(net, "aux_logits"):
        net.aux_logits = False  # the side branches are for training from scratch
