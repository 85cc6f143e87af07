"""Runs of notebook 02 across architectures: do unlike networks find the same examples hard?"""

from __future__ import annotations

import dataclasses

from helpers import StudyError, recipes
from helpers.config import Config
from helpers.experiments.core_sets import depth_run
from helpers.specs import Train

# Names begin with these. The first family has paths past its layers (`svp` figure 8, black box).
FAMILIES = {
    "residual": ("resnet", "densenet", "mobilenet"),
    "vgg": ("vgg",),
    "alexnet": ("alexnet",),
    "fasttext": ("fasttext",),
    "vdcnn": ("vdcnn",),
}
WITHOUT_NORM = ("alexnet", "vgg11-plain")


def family_of(model: str) -> str:
    """Return the key in `FAMILIES` of a network's architecture.

    Raises:
        StudyError: If the name begins like none of them.
    """
    for family, beginnings in FAMILIES.items():
        if model.startswith(beginnings):
            return family
    known = ", ".join(name for names in FAMILIES.values() for name in names)
    raise StudyError(f"families must hold networks named {known}..., got {model!r}")


def family_run(scale: Config, model: str, seed: int) -> Train:
    """Return training of one architecture on everything, with its trace.

    Note: without batch norm the study's rates are too high (trials on digits and CIFAR-10), so
        such networks train at a lower one (`recipes.gentle`); the rest of the recipe is the same.
    """
    run = depth_run(scale, model, seed)
    if model.startswith(WITHOUT_NORM):
        return dataclasses.replace(run, recipe=recipes.gentle(run.recipe))
    return run


def family_runs(scale: Config) -> list[Train]:
    """Return full training of every architecture with every seed (`svp` figure 8)."""
    return [family_run(scale, model, seed) for seed in scale.seeds for model in scale.families]
