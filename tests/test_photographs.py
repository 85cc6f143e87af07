"""Photographs: random crops resized, evaluation crops, data that stay on the host."""

import dataclasses
import warnings

import numpy as np
import pytest
import torch

from helpers import augmentation, data, models, probing, recipes, training

CPU = torch.device("cpu")
CROPPED = recipes.Recipe("cropped", "x", 2, 16, 0.05, crop=16, area=(0.3, 1.0),
                         aspect=(3 / 4, 4 / 3), centre=0.875, flip=True)  # fmt: skip


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch):
    monkeypatch.setenv("STUDY_THREADS", "1")


def noise(b=5, c=3, h=40, w=56, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (b, c, h, w), generator=generator, dtype=torch.uint8)


def photographs(n=60, n_test=20, side=24, classes=3):
    """Make images whose class is the height of a bright band: a crop keeps its colour too."""
    rng = np.random.default_rng(0)
    labels = np.arange(n + n_test) % classes
    images = rng.integers(0, 90, (n + n_test, 3, side, side))
    for image, label in zip(images, labels, strict=True):
        image[label, side // 4 : 3 * side // 4] += 150
    images, names = images.astype(np.uint8), tuple("abc"[:classes])
    labels = labels.astype(np.int64)
    return data.Dataset("made", images[:n], labels[:n], images[n:], labels[n:], names)


def test_boxes_of_whole_pixels_match_torchvision():
    functional = pytest.importorskip("torchvision.transforms.v2.functional")
    found = noise()
    corners = [(0, 0, 40, 56), (3, 5, 30, 21), (39, 55, 1, 1), (10, 0, 8, 56), (20, 7, 9, 13)]
    box = torch.tensor(corners, dtype=torch.float64).T / torch.tensor([[40.0], [56], [40], [56]])
    mirrored = torch.tensor([False, True, False, True, False])
    for side in (7, 64):
        out = augmentation.resized(found, box.float(), side, mirrored)
        for image, corner, flip, ours in zip(found.float(), corners, mirrored, out, strict=True):
            theirs = functional.resized_crop(image, *corner, [side, side], antialias=True)
            torch.testing.assert_close(ours, theirs.flip(2) if flip else theirs, atol=0.02, rtol=0)


def test_boxes_between_pixels_show_what_lies_there():
    """A ramp has a known value at every place, however wide the filter is."""
    ramp = (torch.arange(64.0) + 0.5).expand(1, 1, 64, 64)
    box = torch.tensor([[0.1], [0.23], [0.5], [0.41]])
    out = augmentation.resized(ramp, box, 8)
    expected = 64 * (0.23 + 0.41 * (torch.arange(8) + 0.5) / 8)
    # at the box's edges the filter has one side only
    torch.testing.assert_close(out[0, 0, :, 1:-1], expected[1:-1].expand(8, -1), atol=0.15, rtol=0)
    across = augmentation.resized(ramp.transpose(2, 3), box[[1, 0, 3, 2]], 8)
    torch.testing.assert_close(across.transpose(2, 3), out)


def test_weights_are_shares():
    start, length = torch.rand(200), torch.rand(200) * 0.9 + 1e-6
    for side in (1, 16, 100):
        found = augmentation.weights(start * (1 - length), length, 40, side)
        assert found.shape == (200, side, 40)
        assert (found >= 0).all()
        torch.testing.assert_close(found.sum(2), torch.ones(200, side))


def test_boxes_lie_inside_and_have_the_area_and_aspect_asked_for():
    views = torch.rand((4, 5000), generator=torch.Generator().manual_seed(0))
    asked = dataclasses.replace(CROPPED, area=(0.08, 0.5))
    for h, w in ((50, 50), (40, 60)):
        top, left, height, width = augmentation.boxes(views, asked, h / w)
        for start, length in ((top, height), (left, width)):
            assert start.min() >= 0
            assert (start + length).max() <= 1 + 1e-6
        area, aspect = height * width, width * w / (height * h)
        free = (height < 1) & (width < 1)
        assert free.float().mean() > 0.9
        assert area[free].min() >= 0.08 - 1e-6
        assert area[free].max() <= 0.5 + 1e-6
        assert area[free].mean() == pytest.approx(0.29, abs=0.01)
        assert aspect[free].min() >= 3 / 4 - 1e-5
        assert aspect[free].max() <= 4 / 3 + 1e-5
        assert aspect[free].log().mean() == pytest.approx(0, abs=0.02)
        for start, length in ((top, height), (left, width)):
            assert (start / (1 - length))[free].mean() == pytest.approx(0.5, abs=0.02)


def test_augmented_photographs_are_what_was_drawn():
    found = noise()
    draws = augmentation.draw(5, CROPPED, torch.Generator().manual_seed(2))
    out = augmentation.augment(found, draws, CROPPED)
    assert out.shape == (5, 3, 16, 16)
    assert out.dtype == torch.float32
    assert 0 <= out.min() < out.max() <= 255
    box = augmentation.boxes(draws.views, CROPPED, 40 / 56)
    for i in range(5):
        alone = augmentation.resized(found[i : i + 1], box[:, i : i + 1], 16)[0]
        expected = alone.flip(2) if draws.mirrored[i] else alone
        torch.testing.assert_close(out[i], expected)


def test_evaluation_shows_the_middle_square():
    functional = pytest.importorskip("torchvision.transforms.v2.functional")
    found = noise(h=40, w=56)
    out = augmentation.centred(found, dataclasses.replace(CROPPED, centre=0.8))
    expected = functional.resized_crop(found.float(), 4, 12, 32, 32, [16, 16], antialias=True)
    torch.testing.assert_close(out, expected, atol=0.02, rtol=0)
    plain = dataclasses.replace(CROPPED, crop=0)
    assert augmentation.centred(found, plain) is found
    texts = torch.zeros(3, 9, dtype=torch.uint8)
    assert augmentation.centred(texts, plain) is texts


def fit(dataset, recipe=CROPPED, sampler=None, model="resnet8-w8", **more):
    return training.fit(dataset, model, recipe, sampler, seed=1, device="cpu", **more)


def test_training_and_evaluation_see_squares_of_the_recipes_side(monkeypatch):
    seen, build = [], models.build

    def watched(*args):
        model = build(*args)
        features = model.features
        model.features = lambda x: (
            seen.append((tuple(x.shape[1:]), torch.is_grad_enabled())) or features(x)
        )
        return model

    monkeypatch.setattr(models, "build", watched)
    found = fit(photographs(), record_at=(2,))
    assert set(seen) == {((3, 16, 16), True), ((3, 16, 16), False)}
    assert found.trace["logits"].shape == (60, 3)


def test_cropped_runs_learn_repeat_and_evaluate_what_the_recipe_says():
    dataset, recipe = photographs(), dataclasses.replace(CROPPED, epochs=6)
    one, two = fit(dataset, recipe, record_at=(6,)), fit(dataset, recipe, record_at=(6,))
    assert one.history["loss"] == two.history["loss"]
    assert one.trace["logits"].tobytes() == two.trace["logits"].tobytes()
    assert one.metrics["test_acc"] > 0.8
    mean, std = map(torch.tensor, probing.normalisation(dataset.train_inputs))
    middle = augmentation.centred(torch.tensor(dataset.train_inputs), recipe)
    with torch.no_grad():
        logits = one.model.eval()(probing.prepare(middle, mean, std))
    np.testing.assert_allclose(one.trace["logits"], logits, rtol=2e-3, atol=2e-3)


def test_rows_are_read_where_they_lie(tmp_path):
    """A CPU copies no photograph: neither an array nor a memory map, read-only as it is."""
    made = photographs()
    np.save(tmp_path / "rows.npy", made.train_inputs)
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    for rows in (made.train_inputs, mapped):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = training.Inputs(dataclasses.replace(made, train_inputs=rows), CPU)
        assert found.train.data_ptr() == rows.ctypes.data
        assert found.resident
        assert found.sent(torch.arange(3)) is None


def test_normalisation_of_many_images_is_taken_of_some(monkeypatch):
    rows = photographs().train_inputs
    exact = probing.normalisation(rows)
    monkeypatch.setattr(probing, "NORMALISED", rows.nbytes)
    assert np.array_equal(probing.normalisation(rows), exact)
    monkeypatch.setattr(probing, "NORMALISED", rows.nbytes // 2)
    assert np.array_equal(probing.normalisation(rows), probing.normalisation(rows[::2]))
    np.testing.assert_allclose(probing.normalisation(rows), exact, rtol=0.1)
