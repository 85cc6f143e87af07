"""Crops, mirror images and rotations against twins that do one image at a time."""

import dataclasses
import math

import pytest
import torch
import torch.nn.functional as F

from helpers import augmentation, recipes

PLAIN = recipes.Recipe("x", "x", 1, 2, 0.1)


def recipe(**changed):
    return dataclasses.replace(PLAIN, **changed)


def images(b=6, c=3, h=7, w=5):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(1, 256, (b, c, h, w), generator=generator).to(torch.uint8)


def slow(image, pad, y, x, mirrored):
    """Pad one image, cut out its own size at (y, x), mirror it."""
    c, h, w = image.shape
    padded = torch.zeros((c, h + 2 * pad, w + 2 * pad), dtype=image.dtype)
    padded[:, pad : pad + h, pad : pad + w] = image
    cropped = padded[:, y : y + h, x : x + w]
    return cropped.flip(2) if mirrored else cropped


@pytest.mark.parametrize(("pad", "flip"), [(0, True), (1, False), (4, True)])
def test_crops_and_mirror_images_match_the_slow_twin(pad, flip):
    found, asked = images(), recipe(pad=pad, flip=flip)
    seen = set()
    for seed in range(20):
        draws = augmentation.draw(len(found), asked, torch.Generator().manual_seed(seed))
        out = augmentation.augment(found, draws, asked)
        assert out.dtype == torch.uint8
        for i, image in enumerate(found):
            y, x = draws.corners[:, i].tolist() if pad else (0, 0)
            mirrored = bool(draws.mirrored[i]) if flip else False
            seen.add((y, x, mirrored))
            assert torch.equal(out[i], slow(image, pad, y, x, mirrored))
    assert len({(y, x) for y, x, _ in seen}) > pad**2
    assert len({mirrored for _, _, mirrored in seen}) == 1 + flip


def test_reflected_padding_is_torchs():
    found, asked = images(), recipe(pad=2, reflect=True, flip=True)
    draws = augmentation.draw(len(found), asked, torch.Generator().manual_seed(3))
    padded = F.pad(found.float(), (2,) * 4, mode="reflect").to(torch.uint8)
    for i, image in enumerate(augmentation.augment(found, draws, asked)):
        y, x = draws.corners[:, i].tolist()
        expected = padded[i, :, y : y + 7, x : x + 5]
        assert torch.equal(image, expected.flip(2) if draws.mirrored[i] else expected)


def test_numbers_are_drawn_in_the_order_stored_runs_drew_them():
    draws = augmentation.draw(
        5, recipe(pad=4, flip=True, rotate=15.0), torch.Generator().manual_seed(1)
    )
    generator = torch.Generator().manual_seed(1)
    assert torch.equal(draws.corners, torch.randint(0, 9, (2, 5), generator=generator))
    assert torch.equal(draws.mirrored, torch.rand(5, generator=generator) < 0.5)
    assert torch.equal(draws.turns, torch.rand(5, generator=generator) * 2 - 1)


def test_what_a_recipe_does_not_ask_for_draws_nothing():
    generator = torch.Generator().manual_seed(1)
    before = generator.get_state()
    draws = augmentation.draw(5, PLAIN, generator)
    assert draws == augmentation.Draws(None, None, None, None)
    assert torch.equal(generator.get_state(), before)
    assert augmentation.augment(images(), draws, PLAIN).equal(images())


def test_a_quarter_turn_turns_the_image():
    image = torch.arange(25, dtype=torch.float32).view(1, 1, 5, 5)
    turned = augmentation.rotate(image, torch.tensor([1.0]), 90.0)
    back = augmentation.rotate(image, torch.tensor([-1.0]), 90.0)
    ways = [image.rot90(times, (2, 3)) for times in (1, -1)]
    one, other = ways if torch.allclose(turned, ways[0], atol=1e-3) else ways[::-1]
    torch.testing.assert_close(turned, one, atol=1e-3, rtol=0)
    torch.testing.assert_close(back, other, atol=1e-3, rtol=0)
    assert torch.allclose(augmentation.rotate(image, torch.zeros(1), 90.0), image, atol=1e-4)


def test_rotation_matches_a_twin_with_one_matrix_an_image():
    found = images(4, 3, 8, 8).float()
    turns = torch.tensor([-1.0, -0.3, 0.2, 0.9])
    out = augmentation.rotate(found, turns, 15.0)
    for i, share in enumerate(turns.tolist()):
        a = math.radians(15.0 * share)
        matrix = torch.tensor([[[math.cos(a), -math.sin(a), 0], [math.sin(a), math.cos(a), 0]]])
        grid = F.affine_grid(matrix, [1, 3, 8, 8], align_corners=False)
        expected = F.grid_sample(found[i : i + 1], grid, align_corners=False)
        torch.testing.assert_close(out[i : i + 1], expected, atol=1e-2, rtol=1e-4)
