"""How much arithmetic an example costs in a network, known before anything is trained."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch.utils.flop_counter import FlopCounterMode

from helpers import models
from helpers.models.text import MOST_BYTES

# The example that is counted; a ratio of two networks hardly depends on an image's size.
N_CLASSES, CHANNELS, PIXELS = 10, 3, 32


@lru_cache
def multiply_adds(name: str) -> int:
    """Return the multiply-adds of one forward pass of one example through a network.

    They are the multiplications with an addition in convolutions and matrix products, for an image
    of 3x32x32 and 10 classes, or a text that fills all bytes which the network reads. Looking up
    embeddings counts as nothing, as it multiplies nothing, and so do frozen layers, which run once.
    """
    with torch.random.fork_rng(devices=[]):  # what is drawn next must not depend on asking
        network = models.build(name, N_CLASSES, CHANNELS).eval()
    example = torch.zeros(1, CHANNELS, PIXELS, PIXELS)
    if getattr(network, "reads_text", False):
        example = torch.full((1, MOST_BYTES), ord("a"), dtype=torch.uint8)
    elif getattr(network, "parts", None) == 0:
        example = torch.zeros(1, network.classifier.in_features)
    elif hasattr(network, "encoded"):
        example = next(network.encoded(example.byte()))
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(example)
    return counter.get_total_flops() // 2
