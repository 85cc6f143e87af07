"""What the networks share: logits from features, and the widths that kernels bear."""

from __future__ import annotations

from torch import Tensor, nn

from helpers import StudyError


class Network(nn.Module):
    """A network whose last layer `classifier` reads what `features` returns, (b, d)."""

    def forward(self, x: Tensor) -> Tensor:
        """Map inputs (b, ...), images normalised, to logits (b, n_classes)."""
        return self.classifier(self.features(x))


def checked_width(name: str, width: int) -> int:
    """Return the width of a network's first stage.

    Raises:
        StudyError: If it is not a multiple of 8: oneDNN's channels-last kernels crashed the
            process at width 4 (torch 2.15, AVX2).
    """
    if width < 8 or width % 8:
        raise StudyError(f"the width of {name!r} must be a multiple of 8, got {width}")
    return width
