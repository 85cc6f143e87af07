"""DenseNets with bottlenecks and compression, at the scale of CIFAR."""

from __future__ import annotations

import re

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from helpers import StudyError
from helpers.models.base import Network

NAMES = "densenet10, 16, 22, ... (6n + 4)-kN with growth N (densenet40-k12)"


class Layer(nn.Module):
    """Bottleneck 1x1 to 4 k channels, then 3x3 to k new ones beside all that came before.

    Source: Huang et al. 2017, section 3, DenseNet-B.
    """

    def __init__(self, c_in: int, growth: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList([nn.BatchNorm2d(c_in), nn.BatchNorm2d(4 * growth)])
        self.narrow = nn.Conv2d(c_in, 4 * growth, 1, bias=False)
        self.conv = nn.Conv2d(4 * growth, growth, 3, 1, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (b, c_in, h, w) to (b, c_in + k, h, w)."""
        out = self.narrow(F.relu(self.norms[0](x)))
        return torch.cat([x, self.conv(F.relu(self.norms[1](out)))], dim=1)


class Transition(nn.Module):
    """Batch norm, 1x1 to half of the channels, average pool by 2 (compression 0.5)."""

    def __init__(self, c_in: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(c_in)
        self.conv = nn.Conv2d(c_in, c_in // 2, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (b, c_in, h, w) to (b, c_in / 2, h / 2, w / 2)."""
        return F.avg_pool2d(self.conv(F.relu(self.norm(x))), 2, ceil_mode=True)


class DenseNet(Network):
    """Stem of 2 k channels, three blocks of `layers` layers, average pool, linear classifier."""

    def __init__(self, n_classes: int, in_channels: int, layers: int, growth: int) -> None:
        super().__init__()
        width = 2 * growth
        self.stem = nn.Conv2d(in_channels, width, 3, 1, 1, bias=False)
        parts: list[nn.Module] = []
        for block in range(3):
            if block:
                parts.append(Transition(width))
                width //= 2
            parts += [Layer(width + i * growth, growth) for i in range(layers)]
            width += layers * growth
        self.blocks = nn.Sequential(*parts)
        self.norm = nn.BatchNorm2d(width)
        self.classifier = nn.Linear(width, n_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)

    def features(self, x: Tensor) -> Tensor:
        """Map images (b, c, h, w), normalised, to features (b, d)."""
        return F.relu(self.norm(self.blocks(self.stem(x)))).mean(dim=(2, 3))


def make(name: str, n_classes: int, in_channels: int) -> DenseNet | None:
    """Build `densenetD-kN`: D = 6n + 4 weighted layers up to 250, growth N; `None`: another name.

    Raises:
        StudyError: If the growth is below 8 or no multiple of 4 (see `base.checked_width`).

    Source: Huang et al. 2017, table 2 (CIFAR), initialisation of He et al. 2015 as there.
    """
    found = re.fullmatch(r"densenet(\d+)-k(\d+)", name)
    if not found or (int(found[1]) - 4) % 6 or not 10 <= int(found[1]) <= 250:
        return None
    growth = int(found[2])
    if growth < 8 or growth % 4:
        raise StudyError(f"the growth of {name!r} must be a multiple of 4 from 8 up, got {growth}")
    return DenseNet(n_classes, in_channels, (int(found[1]) - 4) // 6, growth)
