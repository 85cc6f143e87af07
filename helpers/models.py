"""Networks by name: pre-activation ResNets by depth, and the CIFAR ResNet-18."""

from __future__ import annotations

import re

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from helpers import StudyError

NAMES = "resnet8, 14, 20, ... 152 (6n + 2), resnet164 (bottleneck), resnet18; -wN sets the width"


class Block(nn.Module):
    """Pre-activation residual block: two 3x3 convolutions, or 1x1, 3x3, 1x1 as bottleneck.

    Source: He et al. 2016b, figure 4e; the shortcut of a widening block starts after the
    first activation, as there.
    """

    def __init__(self, c_in: int, width: int, stride: int, bottleneck: bool) -> None:
        super().__init__()
        c_out = 4 * width if bottleneck else width
        sizes = [(c_in, width, 1), (width, width, 3), (width, c_out, 1)]
        sizes = sizes if bottleneck else [(c_in, width, 3), (width, width, 3)]
        strided = 1 if bottleneck else 0
        self.norms = nn.ModuleList(nn.BatchNorm2d(a) for a, _, _ in sizes)
        self.convs = nn.ModuleList(
            nn.Conv2d(a, b, k, stride if i == strided else 1, k // 2, bias=False)
            for i, (a, b, k) in enumerate(sizes)
        )
        widening = stride != 1 or c_in != c_out
        self.shortcut = nn.Conv2d(c_in, c_out, 1, stride, bias=False) if widening else None

    def forward(self, x: Tensor) -> Tensor:
        """Map (b, c_in, h, w) to (b, c_out, h / stride, w / stride)."""
        out = F.relu(self.norms[0](x))
        kept = x if self.shortcut is None else self.shortcut(out)
        out = self.convs[0](out)
        for norm, conv in zip(self.norms[1:], self.convs[1:], strict=True):
            out = conv(F.relu(norm(out)))
        return out + kept


class ResNet(nn.Module):
    """Stem, stages of pre-activation blocks, average pool, linear classifier.

    `features(x)` (b, d) is what the last linear layer `classifier` sees; the selection
    methods read it (`svp` section 2.1).
    """

    def __init__(
        self,
        n_classes: int,
        in_channels: int,
        widths: tuple[int, ...],
        blocks: int,
        bottleneck: bool = False,
    ) -> None:
        super().__init__()
        self.stem = nn.Conv2d(in_channels, widths[0], 3, 1, 1, bias=False)
        layers, c_in = [], widths[0]
        for stage, width in enumerate(widths):
            for i in range(blocks):
                stride = 2 if stage and i == 0 else 1
                layers.append(Block(c_in, width, stride, bottleneck))
                c_in = 4 * width if bottleneck else width
        self.blocks = nn.Sequential(*layers)
        self.norm = nn.BatchNorm2d(c_in)
        self.classifier = nn.Linear(c_in, n_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def features(self, x: Tensor) -> Tensor:
        """Map images (b, c, h, w), normalised, to features (b, d)."""
        return F.relu(self.norm(self.blocks(self.stem(x)))).mean(dim=(2, 3))

    def forward(self, x: Tensor) -> Tensor:
        """Map images (b, c, h, w), normalised, to logits (b, n_classes)."""
        return self.classifier(self.features(x))


def build(name: str, n_classes: int, in_channels: int) -> nn.Module:
    """Build a freshly initialised network from torch's current random state.

    Args:
        name: `resnetD` with D = 6n + 2 up to 152 (pairs of 3x3), `resnet164` (bottleneck,
            9n + 2), `resnet18` (four stages of width 64..512, 3x3 stem). `-wN` sets the first
            stage's width (16, 16 and 64 by default): `resnet20-w8`.
        n_classes: Classes, at least 2.
        in_channels: Channels of the images, 1 or 3.

    Raises:
        StudyError: If the name or a number is not one of these.

    Source: He et al. 2016b; `svp` section 3.1 (ResNet20 to 164).
    """
    found = re.fullmatch(r"resnet(\d+)(?:-w(\d+))?", name)
    if not found:
        raise StudyError(f"unknown model {name!r}; there are {NAMES}")
    if n_classes < 2 or in_channels < 1:
        raise StudyError(
            f"{name} needs 2 or more classes and a channel, got {n_classes}, {in_channels}"
        )
    depth = int(found[1])
    width = int(found[2] or (64 if depth == 18 else 16))
    if width < 8 or width % 8:
        # oneDNN's channels-last kernels crashed the process at width 4 (torch 2.15, AVX2).
        raise StudyError(f"the width of {name!r} must be a multiple of 8, got {width}")
    if depth == 18:
        return ResNet(n_classes, in_channels, tuple(width * 2**i for i in range(4)), blocks=2)
    stages = (width, 2 * width, 4 * width)
    if depth == 164:
        return ResNet(n_classes, in_channels, stages, blocks=18, bottleneck=True)
    if (depth - 2) % 6 or not 8 <= depth <= 152:
        raise StudyError(f"unknown model {name!r}; there are {NAMES}")
    return ResNet(n_classes, in_channels, stages, blocks=(depth - 2) // 6)


def depth(name: str) -> int:
    """Return the number of weighted layers that a name such as `resnet20-w8` states."""
    found = re.match(r"[a-z]+(\d+)", name)
    if not found:
        raise StudyError(f"model {name!r} states no depth")
    return int(found[1])


def n_parameters(model: nn.Module) -> int:
    """Count the trainable numbers of a network."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def to_device(model: nn.Module, device: torch.device) -> nn.Module:
    """Move a network to its device in the memory layout that convolutions there prefer."""
    return model.to(device, memory_format=torch.channels_last)


def flat_state(model: nn.Module) -> np.ndarray:
    """Return parameters and buffers of a network as one float32 vector."""
    parts = [value.detach().float().cpu().reshape(-1) for value in model.state_dict().values()]
    return torch.cat(parts).numpy()


def load_state(model: nn.Module, flat: np.ndarray) -> None:
    """Put a vector from `flat_state` back into a network of the same kind."""
    state = model.state_dict()
    if sum(v.numel() for v in state.values()) != len(flat):
        raise StudyError("the stored weights belong to another network")
    values, at = torch.from_numpy(np.asarray(flat, np.float32)), 0
    for name, old in state.items():
        state[name] = values[at : at + old.numel()].view(old.shape).to(old.dtype)
        at += old.numel()
    model.load_state_dict(state)
