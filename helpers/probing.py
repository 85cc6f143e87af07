"""What a trained network says about data: logits, features, gradients of the last layer."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Images through a network at once in evaluation; of photographs only as many as make so many
# numbers, or their activations fill the memory. Training needs about as much.
EVAL_BATCH, EVAL_NUMBERS = 512, 2**23
SMALLEST_BATCH = 16
# Bytes of training images that mean and deviation are taken of: more change neither.
NORMALISED = 2**28


def normalisation(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation a channel, (c,) float32 each, of uint8 (n, c, h, w).

    Texts (n, t) are not normalised: mean 0, standard deviation 1. Of many or large images, as many
    as make `NORMALISED` bytes stand for all, evenly spaced.
    """
    if images.ndim == 2:
        return np.zeros(1, np.float32), np.ones(1, np.float32)
    images = images[:: max(-(-images.nbytes // NORMALISED), 1)]
    mean = images.mean(axis=(0, 2, 3), dtype=np.float64) / 255
    scaled = (images[:, c] / np.float32(255) for c in range(images.shape[1]))
    squares = np.array([np.square(channel).mean(dtype=np.float64) for channel in scaled])
    std = np.sqrt(np.maximum(squares - mean**2, 1e-12))
    return mean.astype(np.float32), np.maximum(std, 1e-3).astype(np.float32)


def prepare(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Turn images (b, c, h, w) in 0..255 on the device into normalised float32, channels last.

    Texts (b, t), and what frozen layers made of images, pass as they are.
    """
    if images.ndim == 2 or images.is_floating_point():
        return images
    scaled = images.to(torch.float32, copy=True).div_(255)
    scaled = scaled.sub_(mean.view(1, -1, 1, 1)).div_(std.view(1, -1, 1, 1))
    return scaled.contiguous(memory_format=torch.channels_last)


def eval_batch(numbers: int) -> int:
    """Return how many examples of so many numbers each go through a network at once."""
    return min(max(EVAL_NUMBERS // max(numbers, 1), SMALLEST_BATCH), EVAL_BATCH)


@torch.no_grad()
def outputs(
    model: nn.Module,
    images: Tensor,
    mean: Tensor,
    std: Tensor,
    batch: int = EVAL_BATCH,
    autocast: torch.autocast | None = None,
    show: Callable[[Tensor], Tensor] | None = None,
) -> tuple[Tensor, Tensor]:
    """Run the network in evaluation mode over all images.

    Args:
        model: A network with `features` and `classifier`.
        images: uint8 (n, c, h, w), or texts (n, t), on the network's device.
        mean: From `normalisation` of the training images, (c,).
        std: Likewise.
        batch: Images at once.
        autocast: Precision of the features; the classifier works in float32, because bf16 would
            tie most of the scores that are read from logits.
        show: Maps a batch of images to what the network is to see of them, on its device; the
            images may then lie elsewhere.

    Returns:
        Logits (n, n_classes) and features (n, d), float32 on the device.
    """
    was_training = model.training
    model.eval()
    logits, features = [], []
    try:
        for part in images.split(batch):
            ready = prepare(part if show is None else show(part), mean, std)
            with autocast or contextlib.nullcontext():
                seen = model.features(ready)
            features.append(seen.float())
            logits.append(model.classifier(features[-1]).float())
    finally:
        model.train(was_training)
    return torch.cat(logits), torch.cat(features)


def last_layer_errors(logits: Tensor, labels: Tensor) -> Tensor:
    """Return p - onehot(y), (n, c): the cross entropy's gradient by the logits."""
    return F.softmax(logits, dim=1) - F.one_hot(labels, logits.shape[1])


def last_layer_norms(logits: Tensor, features: Tensor, labels: Tensor) -> Tensor:
    """Return the norm (n,) of each example's gradient by the last layer's weights and bias.

    The gradient is the outer product of p - y and (h, 1), so its norm is the product of both.

    Source: `geda` section 4.1 uses the full gradient; this closed form is the cheap default.
    """
    errors = last_layer_errors(logits, labels)
    return errors.norm(dim=1) * torch.sqrt(features.square().sum(dim=1) + 1)


def full_gradient_norms(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Return the norm (n,) of each example's gradient by all parameters, network in eval mode.

    Images are normalised floats (n, c, h, w), labels int64 (n,). Batch norm uses its running
    statistics: per-sample gradients do not exist otherwise.

    Source: `geda` section 4.1.
    """
    batches = gradients_by_batch(model, images, labels)
    return torch.cat([sum(g.flatten(1).square().sum(dim=1) for g in b) for b in batches]).sqrt()


def gradients_by_batch(
    model: nn.Module, images: Tensor, labels: Tensor
) -> Iterator[tuple[Tensor, ...]]:
    """Yield per-sample gradients (b, ...) by every parameter, a few examples at a time."""
    was_training = model.training
    model.eval()
    parameters = {name: p.detach() for name, p in model.named_parameters()}
    buffers = dict(model.named_buffers())

    def loss(values: dict[str, Tensor], image: Tensor, label: Tensor) -> Tensor:
        logits = torch.func.functional_call(model, (values, buffers), (image[None],))
        return F.cross_entropy(logits, label[None])

    gradient = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0, 0))
    try:
        for x, y in zip(images.split(32), labels.split(32), strict=True):
            yield tuple(gradient(parameters, x, y).values())
    finally:
        model.train(was_training)
