"""Random crops, mirror images and rotations of whole batches on their device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from helpers import recipes


class Draws(NamedTuple):
    """The random numbers of b examples; `None` where a recipe does not ask for them.

    Attributes:
        corners: Upper left corners of the crops in the padded images, (2, b) int64: y, x.
        mirrored: Whether an image is mirrored, (b,) bool.
        turns: Share of the largest rotation, (b,) float32 in [-1, 1).
    """

    corners: Tensor | None = None
    mirrored: Tensor | None = None
    turns: Tensor | None = None

    def part(self, start: int, stop: int) -> Draws:
        """Return the numbers of the examples from `start` to before `stop`."""
        return Draws(*(None if v is None else v[..., start:stop] for v in self))


def draw(b: int, recipe: recipes.Recipe, generator: torch.Generator) -> Draws:
    """Draw what a batch of b needs from the host's generator, so every device sees the same."""
    corners = mirrored = turns = None
    if recipe.pad:
        corners = torch.randint(0, 2 * recipe.pad + 1, (2, b), generator=generator)
    if recipe.flip:
        mirrored = torch.rand(b, generator=generator) < 0.5
    if recipe.rotate:
        turns = torch.rand(b, generator=generator) * 2 - 1
    return Draws(corners, mirrored, turns)


def joined(draws: Sequence[Draws]) -> Draws:
    """Put the numbers of several batches of one recipe one after the other."""
    fields = zip(*draws, strict=True)
    return Draws(*(None if values[0] is None else torch.cat(values, dim=-1) for values in fields))


def augment(images: Tensor, draws: Draws, pad: int) -> Tensor:
    """Crop and mirror uint8 images (b, c, h, w) all at once, as drawn; texts pass as they are.

    Args:
        images: uint8 (b, c, h, w).
        draws: From `draw`, on the images' device.
        pad: Pixels of zeros around each image before it is cropped.
    """
    if draws.corners is not None:
        return _cropped(images, draws, pad)
    if draws.mirrored is not None:
        images = torch.where(draws.mirrored[:, None, None, None], images.flip(3), images)
    return images


def _cropped(images: Tensor, draws: Draws, pad: int) -> Tensor:
    """Crop, and read the columns backwards where an image is mirrored."""
    h, w = images.shape[2:]
    device = images.device
    columns = torch.arange(w, device=device)
    if draws.mirrored is not None:
        columns = torch.where(draws.mirrored[:, None], w - 1 - columns, columns)
    y = draws.corners[0][:, None] + torch.arange(h, device=device)
    x = draws.corners[1][:, None] + columns
    each = torch.arange(len(images), device=device)[:, None, None]
    padded = F.pad(images, (pad,) * 4).permute(0, 2, 3, 1)
    return padded[each, y[:, :, None], x[:, None, :]].permute(0, 3, 1, 2)


def rotate(images: Tensor, turns: Tensor, degrees: float) -> Tensor:
    """Rotate normalised float images (b, c, h, w) by their share of `degrees`, corners 0."""
    angle = turns * (degrees * torch.pi / 180)
    zero = torch.zeros_like(angle)
    turn = torch.stack([angle.cos(), -angle.sin(), zero, angle.sin(), angle.cos(), zero], dim=1)
    grid = F.affine_grid(turn.view(-1, 2, 3), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, align_corners=False)
