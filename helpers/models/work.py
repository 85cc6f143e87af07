"""How much arithmetic an example costs in a network, known before anything is trained."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor, nn

from helpers import models
from helpers.models.text import MOST_BYTES

# The example that is counted; a ratio of two networks hardly depends on an image's size.
N_CLASSES, CHANNELS, PIXELS = 10, 3, 32


@lru_cache
def multiply_adds(name: str) -> int:
    """Return the multiply-adds of one forward pass of one example.

    Args:
        name: Of a network, as `helpers.models.build` takes it.

    Returns:
        Multiplications with an addition in convolutions and matrix products, for an image of
        3x32x32 and 10 classes, or a text that fills all bytes which the network reads.

    Raises:
        StudyError: If there is no such network.

    Note: looking up embeddings counts as nothing, as it multiplies nothing.
    """
    with torch.random.fork_rng(devices=[]):  # what is drawn next must not depend on asking
        network = models.build(name, N_CLASSES, CHANNELS).eval()
    counted: list[int] = []

    def count(layer: nn.Module, _: object, out: Tensor) -> None:
        counted.append(out.numel() * layer.weight[0].numel())

    for layer in network.modules():
        if isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d):
            layer.register_forward_hook(count)
    with torch.no_grad():
        network(_example(network))
    return sum(counted)


def _example(network: nn.Module) -> Tensor:
    """Return one blank image, or a text as the network reads it."""
    if getattr(network, "reads_text", False):
        text = torch.full((1, MOST_BYTES), ord("a"), dtype=torch.uint8)
        return network.encode(text) if hasattr(network, "encode") else text
    return torch.zeros(1, CHANNELS, PIXELS, PIXELS)
