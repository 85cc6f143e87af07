"""Random crops, mirror images and rotations of whole batches on their device."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from helpers import recipes


def augment(images: Tensor, recipe: recipes.Recipe, generator: torch.Generator) -> Tensor:
    """Crop and mirror uint8 images (b, c, h, w) at random, all at once.

    Random numbers come from the host's generator, so every device sees the same crops.
    """
    b = len(images)
    if recipe.pad:
        h, w = images.shape[2:]
        at = torch.randint(0, 2 * recipe.pad + 1, (2, b), generator=generator).to(images.device)
        padded = F.pad(images, (recipe.pad,) * 4)
        y = at[0][:, None] + torch.arange(h, device=images.device)
        x = at[1][:, None] + torch.arange(w, device=images.device)
        each = torch.arange(b, device=images.device)[:, None, None]
        images = padded.permute(0, 2, 3, 1)[each, y[:, :, None], x[:, None, :]]
        images = images.permute(0, 3, 1, 2)
    if recipe.flip:
        mirrored = (torch.rand(b, generator=generator) < 0.5).to(images.device)
        images = torch.where(mirrored[:, None, None, None], images.flip(3), images)
    return images


def rotate(images: Tensor, degrees: float, generator: torch.Generator) -> Tensor:
    """Rotate normalised float images (b, c, h, w) by random angles up to `degrees`."""
    angle = (torch.rand(len(images), generator=generator) * 2 - 1) * (degrees * torch.pi / 180)
    zero = torch.zeros_like(angle)
    turn = torch.stack([angle.cos(), -angle.sin(), zero, angle.sin(), angle.cos(), zero], dim=1)
    grid = F.affine_grid(turn.view(-1, 2, 3), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid.to(images.device), align_corners=False)
