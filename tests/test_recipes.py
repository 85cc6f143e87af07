"""Recipes: rates against each document's schedule, stretching, bad input."""

import dataclasses

import numpy as np
import pytest

from helpers import StudyError, experiments, profiles, recipes, specs


def test_every_recipe_names_its_source_and_itself():
    for name, recipe in recipes.RECIPES.items():
        assert recipe.name == name
        assert recipe.source
        rates = [recipe.rate_at(e) for e in np.linspace(0, recipe.epochs, 50, endpoint=False)]
        assert np.isfinite(rates).all()
        assert min(rates) >= 0
        assert max(rates) > 0


@pytest.mark.parametrize(
    ("name", "epoch", "rate"),
    [
        ("svp", 0.5, 0.01),  # one epoch of warm-up
        ("svp", 1, 0.1),
        ("svp", 90.9, 0.1),
        ("svp", 91, 0.01),
        ("svp", 136, 0.001),
        ("svp", 180.9, 0.001),
        ("svp-slides", 29.9, 0.1),
        ("svp-slides", 30, 0.01),
        ("svp-slides", 149, 1e-5),
        ("adonis", 59, 0.1),
        ("adonis", 60, 0.02),
        ("adonis", 120, 0.004),
        ("adonis", 199, 0.0008),
        ("budgeted", 29.9, 0.001),
        ("geda", 0, 1e-3),
        ("geda", 6, 0.1),
        ("geda", 12, 1e-3),
        ("digits", 0, 0.0),
        ("digits", 2, 0.1),
        ("digits", 5, 0.05),
        ("digits", 8, 0.0),
    ],
)
def test_rate_at_an_epoch(name, epoch, rate):
    assert recipes.get(name).rate_at(epoch) == pytest.approx(rate)


def test_fewer_epochs_shrink_the_schedule_in_proportion():
    short = recipes.get("adonis", 20)
    assert short.epochs == 20
    assert short.milestones == (6, 12, 16)
    for epoch in (0, 5.9, 6, 12, 17):
        assert short.rate_at(epoch) == recipes.get("adonis").rate_at(10 * epoch)
    assert recipes.get("svp", 362).warm_up == 2


def test_the_recipes_own_epochs_change_nothing():
    assert recipes.get("svp", 181) is recipes.get("svp") is recipes.RECIPES["svp"]


def test_gentle_is_the_same_recipe_at_three_tenths_of_the_rate():
    plain, gentle = recipes.get("small", 5), recipes.get("small-gentle", 5)
    for epoch in (0, 1, 3.5, 4.9):
        assert gentle.rate_at(epoch) == pytest.approx(0.3 * plain.rate_at(epoch))
    same = dataclasses.replace(gentle, name=plain.name, rate=plain.rate)
    assert same == plain
    assert gentle.name == "small-gentle"
    assert recipes.get("small") is recipes.RECIPES["small"]
    with pytest.raises(StudyError, match="unknown recipe 'sgd-gentle'"):
        recipes.get("sgd-gentle")


def test_a_batch_of_its_own_scales_the_rate_with_it():
    plain, large = recipes.get("small", 5), recipes.get("small-b256", 5)
    assert (large.batch, large.name) == (256, "small-b256")
    for epoch in (0, 1, 3.5, 4.9):
        assert large.rate_at(epoch) == pytest.approx(256 / plain.batch * plain.rate_at(epoch))
    same = dataclasses.replace(large, name=plain.name, rate=plain.rate, batch=plain.batch)
    assert same == plain
    both = recipes.get("small-gentle-b128", 5)
    assert both.rate == pytest.approx(0.3 * 2 * plain.rate)
    assert recipes.with_batch("small", 256) == recipes.with_batch("small-b32", 256) == "small-b256"
    assert recipes.with_batch("small-gentle", 128) == both.name
    # what stands for another network's recipe keeps the ending
    text = recipes.get("text-small-b64", 3, "fasttext-b16")
    assert (text.batch, text.name) == (64, "fasttext-small-b64")


def test_precision_and_mirroring_are_endings_too():
    plain = recipes.get("small")
    for name, field, value in [
        ("small-mixed", "precision", "mixed"),
        ("small-float32", "precision", "float32"),
        ("small-upright", "flip", False),
    ]:
        assert recipes.get(name) == dataclasses.replace(plain, **{"name": name, field: value})
    every = recipes.get("svp-gentle-upright-float32-b64")
    assert (every.flip, every.precision, every.batch) == (False, "float32", 64)
    assert every.rate == pytest.approx(0.3 * 0.5 * recipes.get("svp").rate)
    assert recipes.with_batch("small-mixed", 256) == "small-mixed-b256"
    assert recipes.gentle("small-mixed-b256") == "small-gentle-mixed-b256"
    assert recipes.plain("svp-slides-upright-b256") == "svp-slides"
    assert recipes.like("svp-upright-float32-b256", "svp-slides") == "svp-slides-upright-float32"
    assert recipes.get("text-mixed", 3, "fasttext-b16").name == "fasttext-mixed"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("small-b256-mixed", "unknown recipe 'small-b256-mixed'"),
        ("small-half", "unknown recipe 'small-half'"),
        ("small-b1", "batch must be 2 or more, got 'small-b1'"),
        ("small-b256-gentle", "unknown recipe 'small-b256-gentle'"),
        ("small-b", "unknown recipe 'small-b'"),
        ("small-b-4", "unknown recipe 'small-b-4'"),
        ("", "unknown recipe ''"),
    ],
)
def test_endings_that_mean_nothing_are_refused(name, message):
    with pytest.raises(StudyError, match=message):
        recipes.get(name)


def test_unknown_recipe_names_the_known_ones():
    with pytest.raises(StudyError, match="unknown recipe 'sgd'.*digits.*adonis"):
        recipes.get("sgd")


@pytest.mark.parametrize("epochs", [0, -3])
def test_epochs_below_one_are_refused(epochs):
    with pytest.raises(StudyError, match="epochs must be 1 or more"):
        recipes.get("digits", epochs)


@pytest.mark.parametrize(
    "changed",
    [
        {"schedule": "cosine"},
        {"precision": "half"},
        {"milestones": (3.0,)},
        {"label_smoothing": 1.0},
    ],
)
def test_a_recipe_that_would_silently_mean_something_else_is_refused(changed):
    with pytest.raises(StudyError):
        dataclasses.replace(recipes.get("digits"), **changed)


CPU = ("digits", "smoke", "cifar10-small", "imagenette-small", "amazon-small",
       "amazon-ratings-small")  # fmt: skip


@pytest.mark.parametrize("name", profiles.profiles(profiles.Folders().notebooks / "profiles.yml"))
def test_profiles_for_a_gpu_train_in_bf16_and_those_for_a_cpu_as_they_were_stored(name):
    profile = profiles.profile(name)
    asked = {
        (run.recipe, run.model)
        for number in profile.only or experiments.ALL
        for run in experiments.ALL[number](profiles.profile(profile).config(number=number))
        if isinstance(run, specs.Train)
    }
    found = {recipes.get(recipe, model=model).precision for recipe, model in asked}
    assert found == {"float32" if name in CPU else "mixed"}


@pytest.mark.parametrize(
    ("name", "lower"),
    [("small", "small-gentle"), ("small-b256", "small-gentle-b256"), ("svp-gentle", "svp-gentle")],
)
def test_the_lower_rate_of_any_name(name, lower):
    assert recipes.gentle(name) == lower
    assert recipes.get(lower).rate < recipes.get(name.removesuffix("-gentle")).rate
