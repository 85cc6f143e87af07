"""Networks without shortcuts: VGG-like and AlexNet-like, at the scale of CIFAR."""

from __future__ import annotations

import re

from torch import Tensor, nn

from helpers.models.base import Network, checked_width

NAMES = "vgg3, vgg5, vgg7, vgg11, vgg11-plain (no batch norm), alexnet; -wN sets the width"

# Channels in units of the first layer's; 0 is a pool by 2.
VGG = {
    "3": (1, 0, 2, 0),
    "5": (1, 0, 2, 0, 4, 4),
    "7": (1, 1, 0, 2, 2, 0, 4, 4),
    "11": (1, 0, 2, 0, 4, 4, 0, 8, 8, 0, 8, 8, 0),
}
ALEXNET = (1, 0, 3, 0, 6, 4, 4, 0)
HIDDEN = 16
DROPOUT = 0.2


class Plain(Network):
    """Convolutions and pools in a row, average pool, hidden linear layers, linear classifier.

    Pools round up, so that images of 8 pixels pass five of them.

    `plan` has the channels of each 3x3 convolution in units of `width`, 0 for a pool; `norm` puts
    batch norm behind each; `hidden` counts linear layers of `HIDDEN * width`, each after dropout.
    """

    def __init__(
        self,
        n_classes: int,
        in_channels: int,
        plan: tuple[int, ...],
        width: int,
        norm: bool,
        hidden: int = 0,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        c_in = in_channels
        for times in plan:
            if not times:
                layers.append(nn.MaxPool2d(2, ceil_mode=True))
                continue
            layers.append(nn.Conv2d(c_in, times * width, 3, padding=1, bias=not norm))
            layers += [nn.BatchNorm2d(times * width)] if norm else []
            layers.append(nn.ReLU())
            c_in = times * width
        self.convs, layers = nn.Sequential(*layers), []
        for _ in range(hidden):
            layers += [nn.Dropout(DROPOUT), nn.Linear(c_in, HIDDEN * width), nn.ReLU()]
            c_in = HIDDEN * width
        self.hidden = nn.Sequential(*layers)
        self.classifier = nn.Linear(c_in, n_classes)
        # keeps the activations' variance (He et al. 2015); biases start at 0
        for module in [*self.convs, *self.hidden]:
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def features(self, x: Tensor) -> Tensor:
        """Map images (b, c, h, w), normalised, to features (b, d)."""
        return self.hidden(self.convs(x).mean(dim=(2, 3)))


def make(name: str, n_classes: int, in_channels: int) -> Plain | None:
    """Build a network by name, or return `None` where the name is none of `NAMES`.

    `vgg11` has eight 3x3 convolutions with batch norm, widths 64..512, `vgg11-plain` the same
    without batch norm, `vgg3`, `vgg5` and `vgg7`, for images of 8 pixels, two, four and six up to
    widths 128 and 256; `alexnet` has five convolutions without batch norm and two hidden layers
    with dropout 0.2. `-wN` sets the first layer's width (64 by default).

    Source: Simonyan and Zisserman 2015, table 1, column A; Krizhevsky et al. 2012, section 3.5;
        the families of `svp` figure 8.

    Note: small images leave nothing to large kernels and strides, so all convolutions are 3x3
        with stride 1, and an average over the last pixels stands before the linear layers. As
        usual on CIFAR, a VGG keeps one of its three linear layers. AlexNet's dropout is 0.2,
        not 0.5: in trials of 5 epochs, 0.5 left nets of width 8 and 16 hardly trained.
    """
    found = re.fullmatch(r"(?:vgg(3|5|7|11|11-plain)|alexnet)(?:-w(\d+))?", name)
    if not found:
        return None
    width = checked_width(name, int(found[2] or 64))
    if found[1] is None:
        return Plain(n_classes, in_channels, ALEXNET, width, norm=False, hidden=2)
    depth, _, plain = found[1].partition("-")
    return Plain(n_classes, in_channels, VGG[depth], width, norm=not plain)
