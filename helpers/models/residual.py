"""Pre-activation ResNets by depth, and the CIFAR ResNet-18."""

from __future__ import annotations

import re

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


def make(name: str, n_classes: int, in_channels: int) -> ResNet | None:
    """Build a ResNet by name, or return `None` where the name is none of `NAMES`.

    Args:
        name: `resnetD` with D = 6n + 2 up to 152 (pairs of 3x3), `resnet164` (bottleneck,
            9n + 2), `resnet18` (four stages of width 64..512, 3x3 stem). `-wN` sets the first
            stage's width (16, 16 and 64 by default): `resnet20-w8`.
        n_classes: Classes, at least 2.
        in_channels: Channels of the images.

    Source: He et al. 2016b; `svp` section 3.1 (ResNet20 to 164).
    """
    found = re.fullmatch(r"resnet(\d+)(?:-w(\d+))?", name)
    if not found:
        return None
    depth = int(found[1])
    width = checked_width(name, int(found[2] or (64 if depth == 18 else 16)))
    if depth == 18:
        return ResNet(n_classes, in_channels, tuple(width * 2**i for i in range(4)), blocks=2)
    stages = (width, 2 * width, 4 * width)
    if depth == 164:
        return ResNet(n_classes, in_channels, stages, blocks=18, bottleneck=True)
    if (depth - 2) % 6 or not 8 <= depth <= 152:
        return None
    return ResNet(n_classes, in_channels, stages, blocks=(depth - 2) // 6)


def checked_width(name: str, width: int) -> int:
    """Return the width of a network's first stage.

    Raises:
        StudyError: If it is not a multiple of 8: oneDNN's channels-last kernels crashed the
            process at width 4 (torch 2.15, AVX2).
    """
    if width < 8 or width % 8:
        raise StudyError(f"the width of {name!r} must be a multiple of 8, got {width}")
    return width
