"""A network made for speed: a whitening layer, then few wide convolutions."""

from __future__ import annotations

import re

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from helpers.models.base import Network, checked_width

NAMES = "sprint; -wN sets the width, -half looks at half the side"

PATCH = 2
# Torch's momentum weighs the new batch: a run of a few hundred steps must forget fast.
MOMENTUM = 0.4
FLOOR = 1e-3
# A ninth at 256 features, the paper's width; a step changes logits by scale^2 d, kept the same.
SCALE = 16 / 9


class Block(nn.Module):
    """3x3, pool by 2, then 3x3, each followed by batch norm and GELU.

    As many outputs as fit start as their inputs. Batch norms have no weights to train.
    """

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            nn.Conv2d(a, c_out, 3, padding=1, bias=False) for a in (c_in, c_out)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(c_out, momentum=MOMENTUM) for _ in range(2))
        for conv, norm in zip(self.convs, self.norms, strict=True):
            nn.init.dirac_(conv.weight.data[: conv.in_channels])
            norm.weight.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (b, c_in, h, w) to (b, c_out, h // 2, w // 2); a side of 1 stays."""
        x = self.convs[0](x)
        x = F.max_pool2d(x, [min(2, side) for side in x.shape[2:]])
        x = F.gelu(self.norms[0](x))
        return F.gelu(self.norms[1](self.convs[1](x)))


class Sprint(Network):
    """Fixed whitening filters with a learnt shift, three blocks, maximum pool, classifier.

    Features are scaled down, so that large rates leave the logits small. The filters are not
    trained: `prepare_for` computes them from images, and they are part of the state. With a
    `stride` of 2 they look at every other pixel only in either direction, so that patches of 2x2
    do not overlap: what follows sees all pixels, at half the side and a quarter of the work.

    Source: the description of cifar10-airbench (Jordan 2024, "94% on CIFAR-10 in 3.29 seconds on
        a single GPU", sections 3.1 to 3.3).
    """

    def __init__(self, n_classes: int, in_channels: int, width: int, stride: int = 1) -> None:
        super().__init__()
        d = in_channels * PATCH**2
        plain = torch.eye(d).reshape(d, in_channels, PATCH, PATCH)
        self.register_buffer("filters", torch.cat([plain, -plain]))
        self.shift, self.stride = nn.Parameter(torch.zeros(2 * d)), stride
        widths = (2 * d, width, 4 * width, 4 * width)
        self.blocks = nn.Sequential(*(Block(widths[i], widths[i + 1]) for i in range(3)))
        self.classifier = nn.Linear(widths[-1], n_classes)
        self.scale = SCALE / widths[-1] ** 0.5

    @property
    def early(self) -> tuple[nn.Parameter, ...]:
        """Return what a recipe may train in the first epochs only: the shift."""
        return (self.shift,)

    def prepare_for(self, images: Tensor) -> None:
        """Set the filters to the principal directions of 2x2 patches, scaled to variance 1.

        Each direction appears with both signs, so that no half is lost in the activation. Images
        are normalised (m, c, h, w), on the network's device.
        """
        values, vectors = torch.linalg.eigh(patch_covariance(images))
        white = (vectors / (values.clamp_min(0) + FLOOR).sqrt()).T.flip(0)
        white = white.reshape(len(white), images.shape[1], PATCH, PATCH)
        self.filters.copy_(torch.cat([white, -white]))

    def features(self, x: Tensor) -> Tensor:
        """Map images (b, c, h, w), normalised, to features (b, d)."""
        x = F.gelu(F.conv2d(x, self.filters, self.shift, self.stride))
        return self.blocks(x).amax(dim=(2, 3)) * self.scale


def patch_covariance(images: Tensor, batch: int = 256) -> Tensor:
    """Return the second moments of all patches of images (m, c, h, w), (d, d) float64, on a CPU."""
    total, n = 0, 0
    for some in images.split(batch):
        patches = F.unfold(some, PATCH).transpose(1, 2).flatten(0, 1)
        total = total + (patches.T @ patches).double().cpu()
        n += len(patches)
    return total / n


def make(name: str, n_classes: int, in_channels: int) -> Sprint | None:
    """Build the network, or return `None` where the name is not its own.

    `sprint-wN` has N channels in the first block (64 by default) and 4 N in the others;
    `sprint-wN-half` looks at half the side.
    """
    found = re.fullmatch(r"sprint(?:-w(\d+))?(-half)?", name)
    if not found:
        return None
    width = checked_width(name, int(found[1] or 64))
    return Sprint(n_classes, in_channels, width, 2 if found[2] else 1)
