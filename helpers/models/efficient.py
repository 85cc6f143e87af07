"""EfficientNet-Lite: inverted residual blocks without squeezing, scaled in depth and width.

Source: Tan and Le 2019 (arXiv:1905.11946) section 4 and table 1; the Lite variants of TensorFlow's
    repository `tpu`, models/official/efficientnet/lite: ReLU6, no squeeze-and-excitation, stem and
    head of one size.
"""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor, nn

from helpers.models.mobile import Inverted

# Kernel, expansion, channels, repeats, stride of the first block.
STAGES = (
    (3, 1, 16, 1, 1),
    (3, 6, 24, 2, 2),
    (5, 6, 40, 2, 2),
    (3, 6, 80, 3, 2),
    (5, 6, 112, 3, 1),
    (5, 6, 192, 4, 2),
    (3, 6, 320, 1, 1),
)
STEM, LAST = 32, 1280
SCALES = {"efficientnet-lite0": (1.0, 1.0), "efficientnet-lite1": (1.0, 1.1),
          "efficientnet-lite2": (1.1, 1.2)}  # fmt: skip


class Same(nn.Conv2d):
    """A convolution padded as TensorFlow does: the odd pixel comes at the right and below."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (b, c, h, w) to ceil(h / stride), ceil(w / stride)."""
        pads = []
        for side in (x.shape[3], x.shape[2]):
            stride, kernel = self.stride[0], self.kernel_size[0]
            pad = max((math.ceil(side / stride) - 1) * stride + kernel - side, 0)
            pads += [pad // 2, pad - pad // 2]
        return super().forward(F.pad(x, pads) if any(pads) else x)


def convolution(
    c_in: int, c_out: int, kernel: int = 1, stride: int = 1, groups: int = 1
) -> list[nn.Module]:
    """Return a convolution and batch norm."""
    conv = Same(c_in, c_out, kernel, stride, groups=groups, bias=False)
    return [conv, nn.BatchNorm2d(c_out, eps=1e-3, momentum=0.01)]


def _rounded(channels: float) -> int:
    """Return the nearest multiple of 8, at least nine tenths of the channels."""
    found = max(8, int(channels + 4) // 8 * 8)
    return found + 8 if found < 0.9 * channels else found


def body(name: str) -> nn.Sequential:
    """Build stem, seven stages and the last convolution with its pooling: (b, 3, h, w) to (b, d).

    Parameters come in the order in which the published files hold them.
    """
    width, depth = SCALES[name]
    parts, c_in = [nn.Sequential(*convolution(3, STEM, 3, 2), nn.ReLU6())], STEM
    for number, (kernel, expansion, channels, repeats, stride) in enumerate(STAGES):
        c_out = _rounded(width * channels)
        ends = number in (0, len(STAGES) - 1)
        blocks = []
        for i in range(repeats if ends else math.ceil(depth * repeats)):
            step = 1 if i else stride
            blocks.append(Inverted(c_in, c_out, expansion, step, kernel, convolution))
            c_in = c_out
        parts.append(nn.Sequential(*blocks))
    top = [*convolution(c_in, LAST), nn.ReLU6(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*parts, nn.Sequential(*top))
