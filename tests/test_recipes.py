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


# 11.5 for 1,024 examples, momentum 0.85 and a summed loss; here the loss is a mean.
AIRBENCH = 11.5 / (1024 * (1 + 1 / (1 - 0.85))) * recipes.get("airbench").batch
# Name -> (epoch, rate)
RATES = {
    "svp": [(0.5, 0.01), (1, 0.1), (90.9, 0.1), (91, 0.01), (136, 0.001), (180.9, 0.001)],
    "svp-slides": [(29.9, 0.1), (30, 0.01), (149, 1e-5)],
    "adonis": [(59, 0.1), (60, 0.02), (120, 0.004), (199, 0.0008)],
    "budgeted": [(29.9, 0.001)],
    "geda": [(0, 1e-3), (6, 0.1), (12, 1e-3)],
    "digits": [(0, 0.0), (2, 0.1), (5, 0.05), (8, 0.0)],
    "imagenet": [(2.5, 0.15), (5, 0.1 * 768 / 256), (29.9, 0.3), (30, 0.03), (80, 0.0003)],
    "fasttext": [(0, 1.6), (2.5, 0.8), (5, 0)],
    "vdcnn": [(2.9, 0.01), (3, 0.005), (14.9, 0.000625)],
    "airbench": [(0, 0.2 * AIRBENCH), (0.23 * 12, AIRBENCH), (12, 0.07 * AIRBENCH)],
}


def test_rates_are_those_of_each_document():
    for name, points in RATES.items():
        for epoch, rate in points:
            assert recipes.get(name).rate_at(epoch) == pytest.approx(rate), (name, epoch)
    assert recipes.get("text", model="vdcnn9").rate_at(3) == pytest.approx(0.005)
    imagenet = recipes.get("imagenet")
    assert (imagenet.batch, imagenet.epochs, imagenet.precision) == (768, 90, "mixed")


def test_one_name_stands_for_a_recipe_a_family():
    assert recipes.get("text", model="fasttext-b20") is recipes.RECIPES["fasttext"]
    assert recipes.get("text", model="vdcnn29").name == recipes.get("text").name == "text"
    assert recipes.get("text-small", 3, "fasttext").name == "fasttext-small"
    assert recipes.get("text-small", 3, "fasttext").epochs == 3
    assert recipes.get("svp", model="fasttext") is recipes.RECIPES["svp"]


def test_fewer_epochs_shrink_the_schedule_in_proportion():
    short = recipes.get("adonis", 20)
    assert short.epochs == 20
    assert short.milestones == (6, 12, 16)
    for epoch in (0, 5.9, 6, 12, 17):
        assert short.rate_at(epoch) == recipes.get("adonis").rate_at(10 * epoch)
    assert recipes.get("svp", 362).warm_up == 2


def test_a_batch_of_its_own_scales_the_rate_with_it_and_gentle_is_three_tenths():
    plain = recipes.get("small", 5)
    for name, times in (("small-b256", 256 / plain.batch), ("small-gentle", 0.3)):
        own = recipes.get(name, 5)
        for epoch in (0, 1, 3.5, 4.9):
            assert own.rate_at(epoch) == pytest.approx(times * plain.rate_at(epoch))
        kept = {"name": plain.name, "rate": plain.rate, "batch": plain.batch}
        assert dataclasses.replace(own, **kept) == plain
        assert own.name == name
    both = recipes.get("small-gentle-b128", 5)
    assert both.rate == pytest.approx(0.3 * 2 * plain.rate)
    assert recipes.with_batch("small", 256) == recipes.with_batch("small-b32", 256) == "small-b256"
    assert recipes.with_batch("small-gentle", 128) == both.name
    assert recipes.gentle("small-b256") == "small-gentle-b256"
    assert recipes.gentle("svp-gentle") == "svp-gentle"
    # what stands for another network's recipe keeps the ending
    text = recipes.get("text-small-b64", 3, "fasttext-b16")
    assert (text.batch, text.name) == (64, "fasttext-small-b64")
    assert recipes.get("svp", 181) is recipes.get("svp") is recipes.RECIPES["svp"]


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


def test_names_and_epochs_that_mean_nothing_are_refused():
    for name in ("sgd", "small-b256-mixed", "small-half", "small-b1", "small-b256-gentle", ""):
        with pytest.raises(StudyError, match=f"recipe.*{name!r}"):
            recipes.get(name)
    with pytest.raises(StudyError, match="epochs must be 1 or more"):
        recipes.get("digits", 0)


def test_a_recipe_that_would_silently_mean_something_else_is_refused():
    digits = recipes.get("digits")
    for name, value in {"schedule": "cosine", "precision": "half"}.items():
        with pytest.raises(StudyError, match=name):
            dataclasses.replace(digits, **{name: value})
    with pytest.raises(StudyError, match="crop"):
        dataclasses.replace(digits, crop=16, pad=4)


CPU = "digits digits-ten digits-fresh smoke mnist".split()
CPU += "imagenette-small amazon-small amazon-ratings-small".split()


def test_profiles_for_a_gpu_train_in_bf16_and_those_for_a_cpu_as_they_were_stored():
    for name in profiles.profiles(profiles.Folders().notebooks / "profiles.yml"):
        if name == "cifar10-cpu":  # its stepped proxy keeps the document's precision
            continue
        profile = profiles.profile(name)
        asked = {
            (run.recipe, run.model)
            for number in profile.only or experiments.ALL
            for run in experiments.ALL[number](profile.config(number=number))
            if isinstance(run, specs.Train)
        }
        found = {recipes.get(recipe, model=model).precision for recipe, model in asked}
        assert found == {"float32" if name in (*CPU, "budgeted") else "mixed"}, name
