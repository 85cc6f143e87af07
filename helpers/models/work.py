"""How much arithmetic an example costs in a network, known before anything is trained."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

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
        3x32x32 and 10 classes, or a text that fills all bytes which the network reads. Looking up
        embeddings counts as nothing, as it multiplies nothing.

    Raises:
        StudyError: If there is no such network.
    """
    with torch.random.fork_rng(devices=[]):  # what is drawn next must not depend on asking
        network = models.build(name, N_CLASSES, CHANNELS).eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(_example(network))
    return counter.get_total_flops() // 2


def _example(network: nn.Module) -> Tensor:
    if getattr(network, "reads_text", False):
        return torch.full((1, MOST_BYTES), ord("a"), dtype=torch.uint8)
    return torch.zeros(1, CHANNELS, PIXELS, PIXELS)
