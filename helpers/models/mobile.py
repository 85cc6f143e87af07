"""MobileNetV2 with the strides that images of 32 pixels allow."""

from __future__ import annotations

import re
from collections.abc import Callable

from torch import Tensor, nn

from helpers import StudyError
from helpers.models.base import Network

NAMES = "mobilenetv2; -wN sets the width"

# Expansion, channels in units of a 32nd of the width, repeats, stride of the first.
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 1),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
LAST = 1280


def convolution(
    c_in: int, c_out: int, kernel: int = 1, stride: int = 1, groups: int = 1
) -> list[nn.Module]:
    """Return a convolution and batch norm."""
    conv = nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, groups=groups, bias=False)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out")
    return [conv, nn.BatchNorm2d(c_out)]


class Inverted(nn.Module):
    """Widen by 1x1, filter each channel, narrow by 1x1 without activation.

    `make` is `convolution` or alike.

    Source: Sandler et al. 2018, section 3.3 and figure 3.
    """

    def __init__(
        self,
        c_in: int,
        c_out: int,
        expansion: int,
        stride: int,
        kernel: int = 3,
        make: Callable[..., list[nn.Module]] = convolution,
    ) -> None:
        super().__init__()
        wide = expansion * c_in
        layers = [*make(c_in, wide), nn.ReLU6()] if expansion > 1 else []
        layers += [*make(wide, wide, kernel, stride, wide), nn.ReLU6()]
        self.layers = nn.Sequential(*layers, *make(wide, c_out))
        self.shortcut = stride == 1 and c_in == c_out

    def forward(self, x: Tensor) -> Tensor:
        """Map (b, c_in, h, w) to (b, c_out, h / stride, w / stride)."""
        return x + self.layers(x) if self.shortcut else self.layers(x)


class MobileNet(Network):
    """Stem, inverted residual blocks, 1x1 to the last width, average pool, classifier."""

    def __init__(self, n_classes: int, in_channels: int, width: int) -> None:
        super().__init__()
        blocks, c_in = [], width
        for expansion, channels, repeats, stride in STAGES:
            c_out = channels * width // 32
            for i in range(repeats):
                blocks.append(Inverted(c_in, c_out, expansion, 1 if i else stride))
                c_in = c_out
        last = LAST * max(width, 32) // 32
        stem = [*convolution(in_channels, width, 3), nn.ReLU6()]
        self.convs = nn.Sequential(*stem, *blocks, *convolution(c_in, last), nn.ReLU6())
        self.classifier = nn.Linear(last, n_classes)

    def features(self, x: Tensor) -> Tensor:
        """Map images (b, c, h, w), normalised, to features (b, d)."""
        return self.convs(x).mean(dim=(2, 3))


def make(name: str, n_classes: int, in_channels: int) -> MobileNet | None:
    """Build `mobilenetv2`, or `mobilenetv2-wN` with a stem of N channels instead of 32.

    All stages follow the stem; `None` for any other name.

    Raises:
        StudyError: If the width is no multiple of 16: the first stage has half of it, and widths
            below 8 crash kernels (see `base.checked_width`).

    Source: Sandler et al. 2018, table 2; the last width never shrinks below 1,280, as there.

    Note: the stem and the second stage keep stride 1, as usual at 32 pixels, so three halvings
        are left of five.
    """
    found = re.fullmatch(r"mobilenetv2(?:-w(\d+))?", name)
    if not found:
        return None
    width = int(found[1] or 32)
    if width < 16 or width % 16:
        raise StudyError(f"the width of {name!r} must be a multiple of 16, got {width}")
    return MobileNet(n_classes, in_channels, width)
