"""Networks by name. Each has `features(x)` (b, d), `classifier`, and is called for logits."""

from __future__ import annotations

import re
from functools import lru_cache

import numpy as np
import torch
from torch import nn

from helpers import StudyError
from helpers.models import dense, mobile, plain, pretrained, residual, sprint, text
from helpers.models.base import Tuned

# Each family's module offers NAMES (for messages) and make(name, n_classes, in_channels), the
# arguments of `build`; it returns None where the name is not its own.
FAMILIES = (residual, dense, plain, mobile, sprint, pretrained, text)
# The example that is counted; a ratio of two networks hardly depends on an image's size.
N_CLASSES, CHANNELS, PIXELS = 10, 3, 32


def build(name: str, n_classes: int, in_channels: int) -> nn.Module:
    """Build a freshly initialised network from torch's current random state.

    Args:
        name: See the `make` of each module here; `/N` behind it trains the last layer and N
            weighted layers before it only.
        n_classes: Classes, or 1 for a number.
        in_channels: Channels of the images, 1 or 3; 1 for texts.

    Raises:
        StudyError: If the name or a number is not one of these.
    """
    if n_classes < 1 or in_channels < 1:
        raise StudyError(f"{name} needs an output and a channel, got {n_classes}, {in_channels}")
    plain, cut, n_layers = name.partition("/")
    if cut and not name.startswith(pretrained.PREFIX):
        if not n_layers.isdecimal():
            raise StudyError(f"{name}: a number of trained layers comes after /, such as /1")
        return Tuned(build(plain, n_classes, in_channels), int(n_layers))
    for family in FAMILIES:
        model = family.make(name, n_classes, in_channels)
        if model is not None:
            return model
    names = "; ".join(family.NAMES for family in FAMILIES)
    raise StudyError(f"unknown model {name!r}; there are {names}")


def depth(name: str) -> int:
    """Return the number of weighted layers that a name such as `resnet20-w8` states."""
    found = re.match(r"[a-z]+(\d+)", name)
    if not found:
        raise StudyError(f"model {name!r} states no depth")
    return int(found[1])


@lru_cache
def multiply_adds(name: str) -> int:
    """Return the multiply-adds of one forward pass of one example through a network.

    They are the multiplications with an addition in convolutions and matrix products, for an image
    of 3x32x32 and 10 classes, or a text that fills all bytes which the network reads. Looking up
    embeddings counts as nothing, as it multiplies nothing, and so do frozen layers, which run once.
    """
    from torch.utils.flop_counter import FlopCounterMode  # takes a second

    with torch.random.fork_rng(devices=[]):  # what is drawn next must not depend on asking
        network = build(name, N_CLASSES, CHANNELS).eval()
    example = torch.zeros(1, CHANNELS, PIXELS, PIXELS)
    if getattr(network, "reads_text", False):
        example = torch.full((1, text.MOST_BYTES), ord("a"), dtype=torch.uint8)
    elif getattr(network, "parts", None) == 0:
        example = torch.zeros(1, network.classifier.in_features)
    elif hasattr(network, "encoded"):
        example = next(network.encoded(example.byte()))
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(example)
    return counter.get_total_flops() // 2


def to_device(model: nn.Module, device: torch.device) -> nn.Module:
    """Move a network to its device in the memory layout that convolutions there prefer."""
    return model.to(device, memory_format=torch.channels_last)


def flat_state(model: nn.Module) -> np.ndarray:
    """Return parameters and buffers of a network as one float32 vector."""
    parts = [value.detach().float().cpu().reshape(-1) for value in model.state_dict().values()]
    return torch.cat(parts).numpy()


def load_state(model: nn.Module, flat: np.ndarray, source: nn.Module | None = None) -> None:
    """Put a vector from `flat_state` back into a network of the same kind.

    Where it is of `source`, which learnt other data, the last layer stays as it is. Filters of
    colours are summed for grey images, and those of grey images shared among colours: a grey image
    passes them as before.

    Raises:
        StudyError: If the vector is of another network.
    """
    state, theirs = model.state_dict(), (source or model).state_dict()
    if len(state) != len(theirs) or sum(v.numel() for v in theirs.values()) != len(flat):
        raise StudyError("the stored weights belong to another network")
    values, at = torch.from_numpy(np.asarray(flat, np.float32)), 0
    for (name, own), old in zip(state.items(), theirs.values(), strict=True):
        value = values[at : at + old.numel()].view(old.shape)
        at += old.numel()
        if source is not None and "classifier." in name:
            continue
        if own.shape != old.shape and 1 in (own.shape[1:2] + old.shape[1:2]):
            value = value.sum(dim=1, keepdim=True).expand(own.shape) / own.shape[1]
        if own.shape != value.shape:
            raise StudyError("the stored weights were learnt on images of another kind")
        state[name] = value.to(own.dtype)
    model.load_state_dict(state)
