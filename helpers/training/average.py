"""A slow average of a network's numbers, from which training goes on every few steps."""

from __future__ import annotations

import torch
from torch import Tensor, nn

EVERY = 5  # steps
KEPT = 0.95**EVERY


class Average:
    """A slow copy of all floating-point numbers of a network, running statistics included.

    Every `EVERY` steps the copy moves towards the network, and the network is put on the copy. Of
    its own value the copy keeps `KEPT` times the cube of the share of the run that is done, so
    that it holds back nothing at first.

    Source: cifar10-airbench (arXiv:2404.00498) section 3.4, after lookahead, Zhang et al. 2019
        (arXiv:1907.08610).

    Note: the share counts whole epochs, there steps.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model, self.steps = model, 0
        self.slow: dict[str, Tensor] = {}

    def after_step(self, done: float) -> None:
        """Count a step; `done` is the share of the run's epochs, this one included."""
        self.steps += 1
        if self.steps % EVERY == 0:
            self.follow(KEPT * done**3)

    @torch.no_grad()
    def follow(self, kept: float) -> None:
        """Move the copy to the network but for the share `kept`, and the network onto the copy."""
        for name, value in self.model.state_dict().items():
            if value.is_floating_point():
                slow = self.slow.setdefault(name, value.clone())
                value.copy_(slow.lerp_(value, 1 - kept))

    @torch.no_grad()
    def end(self) -> None:
        """Leave the network on the copy."""
        self.follow(1.0)

    def state_dict(self) -> dict[str, object]:
        """Return the copy and the number of steps."""
        return {"slow": dict(self.slow), "steps": self.steps}

    def load_state_dict(self, state: dict[str, object]) -> None:
        """Go on from where `state_dict` was taken."""
        self.slow, self.steps = dict(state["slow"]), state["steps"]
