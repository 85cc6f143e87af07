"""Pre-activation ResNets by depth, the CIFAR ResNet-18, and ResNet-18 and 50 for photographs."""

from __future__ import annotations

import re

import torch.nn.functional as F
from torch import Tensor, nn

from helpers.models.base import Network, checked_width

NAMES = (
    "resnet8, 14, 20, ... 152 (6n + 2), resnet164 (bottleneck), resnet18, resnet18-imagenet, "
    "resnet50-imagenet; -wN sets the width"
)
PHOTOGRAPHS = {"18": ((2, 2, 2, 2), False), "50": ((3, 4, 6, 3), True)}


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
        self.shortcut = nn.Conv2d(c_in, c_out, 1, bias=False) if widening else None
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """Map (b, c_in, h, w) to (b, c_out, h / stride, w / stride)."""
        out = F.relu(self.norms[0](x))
        # Every stride-th pixel, then 1x1: with the stride inside the convolution, oneDNN's backward
        # pass writes beyond its buffers (torch 2.14, AVX-512, channels last, odd batches).
        s = self.stride
        kept = x if self.shortcut is None else self.shortcut(out[:, :, ::s, ::s])
        out = self.convs[0](out)
        for norm, conv in zip(self.norms[1:], self.convs[1:], strict=True):
            out = conv(F.relu(norm(out)))
        return out + kept


class ResNet(Network):
    """Stem, stages of pre-activation blocks, average pool, linear classifier.

    `features(x)` (b, d) is what the last linear layer `classifier` sees; the selection
    methods read it (`svp` section 2.1). `widths` are the channels of each stage before a
    bottleneck's factor of 4, `blocks` its blocks; `photographs` asks for the stem of `stem`.
    """

    def __init__(
        self,
        n_classes: int,
        in_channels: int,
        widths: tuple[int, ...],
        blocks: tuple[int, ...],
        bottleneck: bool = False,
        photographs: bool = False,
    ) -> None:
        super().__init__()
        self.stem = stem(in_channels, widths[0], photographs)
        layers, c_in = [], widths[0]
        for stage, (width, count) in enumerate(zip(widths, blocks, strict=True)):
            for i in range(count):
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


def stem(in_channels: int, width: int, photographs: bool) -> nn.Module:
    """Build the first convolution: 3x3, or 7x7 with stride 2 and a pool with stride 2.

    Source: He et al. 2016a, table 1 (photographs) and section 4.2 (CIFAR).

    Note: the first block brings the batch norm and the activation after a 7x7 convolution, which
    the authors' code put before the pool.
    """
    if not photographs:
        return nn.Conv2d(in_channels, width, 3, 1, 1, bias=False)
    wide = nn.Conv2d(in_channels, width, 7, 2, 3, bias=False)
    return nn.Sequential(wide, nn.MaxPool2d(3, 2, 1))


def make(name: str, n_classes: int, in_channels: int) -> ResNet | None:
    """Build a ResNet by name, or return `None` where the name is none of `NAMES`.

    `resnetD` with D = 6n + 2 up to 152 (pairs of 3x3), `resnet164` (bottleneck, 9n + 2),
    `resnet18` (four stages of width 64..512, 3x3 stem), `resnet18-imagenet` and
    `resnet50-imagenet` (bottleneck) with a 7x7 stem. `-wN` sets the first stage's width (16, or
    64 with four stages): `resnet20-w8`.

    Source: He et al. 2016b; `svp` section 3.1 (ResNet20 to 164).
    """
    found = re.fullmatch(r"resnet(\d+)(-imagenet)?(?:-w(\d+))?", name)
    if not found or (found[2] and found[1] not in PHOTOGRAPHS):
        return None
    depth = int(found[1])
    width = checked_width(name, int(found[3] or (64 if depth == 18 or found[2] else 16)))
    widths = tuple(width * 2**i for i in range(4))
    if depth == 18 or found[2]:
        counts, bottleneck = PHOTOGRAPHS[str(depth)]
        return ResNet(n_classes, in_channels, widths, counts, bottleneck, bool(found[2]))
    if depth == 164:
        return ResNet(n_classes, in_channels, widths[:3], (18,) * 3, bottleneck=True)
    if (depth - 2) % 6 or not 8 <= depth <= 152:
        return None
    return ResNet(n_classes, in_channels, widths[:3], ((depth - 2) // 6,) * 3)
