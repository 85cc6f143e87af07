"""Seconds an image takes through the layers of networks that learnt ImageNet."""

from __future__ import annotations

import time
from functools import partial

import numpy as np

from helpers.measurements.table import Measured, measurement, seconds_table

NETWORKS = ("efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2")


@measurement("frozen-seconds", threads=1)
def frozen_seconds(seed: int, repeats: int = 5, n: int = 256) -> Measured:
    """Time the layers that stay as they are, on n made-up images of 32 x 32 pixels.

    Returns:
        Metrics: n. An array a network, by name: processor seconds an image, (repeats,).
    """
    rng = np.random.default_rng(seed)
    images = rng.integers(256, size=(n, 3, 32, 32), dtype=np.uint8)
    calls = {name: partial(_features, name) for name in NETWORKS}
    timed = seconds_table(
        {name: lambda m, call=call: call(images[:m]) for name, call in calls.items()},
        [n], repeats, clock=time.process_time,
    )  # fmt: skip
    return {"n": n}, {name: seconds[:, 0] / n for name, seconds in timed.items()}


def _features(name: str, images: np.ndarray) -> np.ndarray:
    """Return what a network's frozen layers make of images, (n, d) float32."""
    import torch

    from helpers.models import build

    network = build(f"pretrained:{name}/0", 2, 3)
    return torch.cat(list(network.encoded(torch.from_numpy(images.copy())))).float().numpy()
