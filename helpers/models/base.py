"""What the networks share: logits from features, and the widths that kernels bear."""

from __future__ import annotations

from torch import Tensor, nn

from helpers import StudyError


class Network(nn.Module):
    """A network whose last layer `classifier` reads what `features` returns, (b, d)."""

    def forward(self, x: Tensor) -> Tensor:
        """Map inputs (b, ...), images normalised, to logits (b, n_classes)."""
        return self.classifier(self.features(x))


class Tuned(Network):
    """A network of which the last layer and `n_layers` weighted ones before it are trained.

    What lies before them keeps its weights, and the statistics of its batch norms. Its state is
    that of the whole network.

    Raises:
        StudyError: If the network has no more than so many weighted layers.
    """

    def __init__(self, network: Network, n_layers: int) -> None:
        super().__init__()
        self.network = network
        parts = [one for one in network.modules() if list(one.parameters(recurse=False))]
        weighted = [i for i, m in enumerate(parts) if isinstance(m, nn.Conv2d | nn.Linear)]
        if len(weighted) < n_layers + 2:
            raise StudyError(f"/{n_layers} leaves none of the {len(weighted)} layers as it is")
        self.kept = parts[: weighted[-1 - n_layers]]
        for module in self.kept:
            for parameter in module.parameters(recurse=False):
                parameter.requires_grad_(False)

    @property
    def classifier(self) -> nn.Module:
        """The network's last layer."""
        return self.network.classifier

    def features(self, x: Tensor) -> Tensor:
        """Map images (b, c, h, w), normalised, to features (b, d)."""
        return self.network.features(x)

    def train(self, mode: bool = True) -> Tuned:
        """Train what is trained; the rest stays in evaluation."""
        super().train(mode)
        for module in self.kept:
            module.training = False
        return self


def checked_width(name: str, width: int) -> int:
    """Return the width of a network's first stage.

    Raises:
        StudyError: If it is not a multiple of 8: oneDNN's channels-last kernels crashed the
            process at width 4 (torch 2.15, AVX2).
    """
    if width < 8 or width % 8:
        raise StudyError(f"the width of {name!r} must be a multiple of 8, got {width}")
    return width
