"""Crops, mirror images, rotations and changes of size of whole batches on their device."""

from __future__ import annotations

import math
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
        views: What `boxes` makes the part of the image from that is shown, (4, b) float32 in
            [0, 1): area, aspect, place from top to bottom, place from left to right.
    """

    corners: Tensor | None = None
    mirrored: Tensor | None = None
    turns: Tensor | None = None
    views: Tensor | None = None


def draw(b: int, recipe: recipes.Recipe, generator: torch.Generator) -> Draws:
    """Draw what a batch of b needs from the host's generator, so every device sees the same."""
    corners = mirrored = turns = None
    if recipe.pad:
        corners = torch.randint(0, 2 * recipe.pad + 1, (2, b), generator=generator)
    if recipe.flip:
        mirrored = torch.rand(b, generator=generator) < 0.5
    if recipe.rotate:
        turns = torch.rand(b, generator=generator) * 2 - 1
    views = torch.rand((4, b), generator=generator) if recipe.crop else None
    return Draws(corners, mirrored, turns, views)


def augment(images: Tensor, draws: Draws, recipe: recipes.Recipe) -> Tensor:
    """Crop, resize and mirror uint8 images (b, c, h, w) all at once; texts pass as they are.

    Draws are on the images' device. Returns uint8, or float32 in 0..255 where the size changes.
    """
    if draws.views is not None:
        found = boxes(draws.views, recipe, images.shape[2] / images.shape[3])
        return resized(images, found, recipe.crop, draws.mirrored)
    if draws.corners is not None:
        return _cropped(images, draws, recipe)
    if draws.mirrored is not None:
        images = torch.where(draws.mirrored[:, None, None, None], images.flip(3), images)
    return images


def _cropped(images: Tensor, draws: Draws, recipe: recipes.Recipe) -> Tensor:
    h, w = images.shape[2:]
    device, pad = images.device, recipe.pad
    columns = torch.arange(w, device=device)
    if draws.mirrored is not None:
        columns = torch.where(draws.mirrored[:, None], w - 1 - columns, columns)
    y = draws.corners[0][:, None] + torch.arange(h, device=device)
    x = draws.corners[1][:, None] + columns
    each = torch.arange(len(images), device=device)[:, None, None]
    if recipe.reflect:
        y, x = _reflected(y - pad, h), _reflected(x - pad, w)
    padded = images if recipe.reflect else F.pad(images, (pad,) * 4)
    padded = padded.permute(0, 2, 3, 1)
    return padded[each, y[:, :, None], x[:, None, :]].permute(0, 3, 1, 2)


def _reflected(places: Tensor, n: int) -> Tensor:
    """Return which of an axis' n pixels stands at places up to n - 1 outside of it."""
    return (n - 1) - ((n - 1) - places.abs()).abs()


def rotate(images: Tensor, turns: Tensor, degrees: float) -> Tensor:
    """Rotate normalised float images (b, c, h, w) by their share of `degrees`, corners 0."""
    angle = turns * (degrees * torch.pi / 180)
    zero = torch.zeros_like(angle)
    turn = torch.stack([angle.cos(), -angle.sin(), zero, angle.sin(), angle.cos(), zero], dim=1)
    grid = F.affine_grid(turn.view(-1, 2, 3), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, align_corners=False)


def boxes(views: Tensor, recipe: recipes.Recipe, tall: float) -> Tensor:
    """Return which part of each image is shown, (4, b): top, left, height, width, as shares.

    Areas are drawn evenly, aspects evenly in their logarithm; `tall` is the images' height over
    their width.

    Source: the random-resized crop of Szegedy et al. 2015 (arXiv:1409.4842) section 6 and of the
        ImageNet training that `svp` A.1 follows.

    Note: a box that would stick out is cut to the image, where torchvision draws it anew up to ten
        times; and it starts between pixels too.
    """
    low, high = recipe.area
    area = low + views[0] * (high - low)
    narrow, wide = (math.log(value) for value in recipe.aspect)
    aspect = torch.exp(narrow + views[1] * (wide - narrow))
    height = torch.sqrt(area / aspect / tall).clamp_max(1)
    width = torch.sqrt(area * aspect * tall).clamp_max(1)
    return torch.stack([views[2] * (1 - height), views[3] * (1 - width), height, width])


def centred(images: Tensor, recipe: recipes.Recipe) -> Tensor:
    """Return what evaluation shows of uint8 images (b, c, h, w): a centred square, resized.

    Its side is the share `recipe.centre` of the shorter side. Without a crop in the recipe, images
    and texts pass as they are.
    """
    if not recipe.crop:
        return images
    h, w = images.shape[2:]
    side = recipe.centre * min(h, w)
    part = [(1 - side / h) / 2, (1 - side / w) / 2, side / h, side / w]
    box = torch.tensor(part).view(4, 1).to(images.device)
    return resized(images, box, recipe.crop)


def resized(images: Tensor, box: Tensor, side: int, mirrored: Tensor | None = None) -> Tensor:
    """Cut a box out of each image and bring it to a square, bilinear and antialiased.

    Each axis is a product with a matrix of weights, so a whole batch is two batched products; a
    `grid_sample` would skip pixels where it shrinks.

    A box is top, left, height and width as shares of the image, (4, b), or (4, 1) for all;
    `mirrored` (b,) bool reads columns backwards. Returns float32 (b, c, side, side), in the range
    of the images.
    """
    b, c, h, w = images.shape
    rows, columns = weights(box[0], box[2], h, side), weights(box[1], box[3], w, side)
    if mirrored is not None:
        columns = torch.where(mirrored[:, None, None], columns.flip(1), columns)
    flat = images.to(torch.float32).reshape(b, c * h, w)
    across = flat @ columns.transpose(1, 2)
    return rows[:, None] @ across.view(b, c, h, side)


def weights(start: Tensor, length: Tensor, n: int, side: int) -> Tensor:
    """Return what each of n pixels of an axis counts in each new one, (b, side, n), rows of sum 1.

    The part shown begins at `start` (b,) and has a `length` (b,), both shares of the axis.

    Source: a triangle as wide as a new pixel, or an old one if that is wider: the filter that
        Pillow and torchvision call bilinear with antialiasing.
    """
    pixels = torch.arange(n, device=start.device) + 0.5
    step = (length * n / side)[:, None]
    middles = (start * n)[:, None] + (torch.arange(side, device=start.device) + 0.5) * step
    apart = (pixels - middles[:, :, None]).abs() / step.clamp_min(1)[:, :, None]
    low, high = (start * n)[:, None, None], ((start + length) * n)[:, None, None]
    # what lies outside the part must not shine in: a pixel on its edge counts by its share inside
    inside = (torch.minimum(pixels + 0.5, high) - torch.maximum(pixels - 0.5, low)).clamp(0, 1)
    found = (1 - apart).clamp_min(0) * inside
    return found / found.sum(dim=2, keepdim=True)
