"""Named training recipes; each cites the document it comes from."""

from __future__ import annotations

import dataclasses
import re

from helpers import StudyError
from helpers.recipe import Recipe

# Endings of a recipe's name that change it: a lower rate, no mirroring, precision, other batches.
GENTLE = "-gentle"
KEPT = rf"(?P<gentle>{GENTLE})?(?P<upright>-upright)?(-(?P<precision>float32|mixed))?"
NAMED = re.compile(rf"(?P<plain>.+?)(?P<ending>(?P<kept>{KEPT})(-b(?P<batch>0|[1-9]\d*))?)")


def _sprints() -> tuple[Recipe, Recipe]:
    """Return the recipe made for speed, and the same with smoothed labels.

    Source: the description of cifar10-airbench (Jordan 2024, arXiv:2404.00498), sections 3.1-3.4.

    Note: ours has smaller batches, so that 10,000 images make enough steps, and does not smooth
        labels: in a trial that made the proxy's entropies rank less like the target's.
    """
    sprint = Recipe(
        "sprint",
        "ours, after cifar10-airbench: whitened inputs, few epochs, one cycle",
        8,
        128,
        0.3,
        momentum=0.85,
        nesterov=True,
        weight_decay=1e-3,
        pad=2,
        flip=True,
        precision="mixed",
    )
    smooth = "ours, sprint with the smoothed labels of cifar10-airbench"
    return sprint, dataclasses.replace(
        sprint, name="sprint-smooth", source=smooth, label_smoothing=0.2
    )


def _of_texts() -> tuple[Recipe, Recipe]:
    """Return VDCNN's recipe, and the same for studies in which fastText takes its own."""
    vdcnn = Recipe(
        "vdcnn",
        "svp A.1: as Conneau et al. 2017; halved every 3 epochs and decay as in svp's code",
        15,
        128,
        0.01,
        "steps",
        (3, 6, 9, 12),
        (0.5, 0.25, 0.125, 0.0625),
        weight_decay=1e-4,
    )
    both = "svp A.1: vdcnn, and fasttext for fastText"
    return vdcnn, dataclasses.replace(
        vdcnn, name="text", source=both, instead=(("fasttext", "fasttext"),)
    )


def _of_photographs() -> tuple[Recipe, Recipe]:
    """Return the recipe of ImageNet, and one that a CPU trains by in minutes.

    Source: `svp` A.1: He et al. 2016a in large batches, the rate in proportion (0.1 for 256), a
        warm-up of 5 epochs and mixed precision. Goyal et al. 2017 (arXiv:1706.02677) section 5.1,
        which it follows, has the rest: 90 epochs, a tenth at 30, 60 and 80, decay 1e-4, crops as
        Szegedy et al. 2015 and a test image of 224 of 256 pixels.

    Note: images are kept at no more than 224 pixels a side (`helpers.data.images`), so that the
        test image is 7/8 of that and enlarged.
    """
    imagenet = Recipe(
        "imagenet",
        "svp A.1: He et al. 2016a by Goyal et al. 2017, batches of 768",
        90,
        768,
        0.3,
        "steps",
        (30, 60, 80),
        (0.1, 0.01, 1e-3),
        warm_up=5,
        ramp=True,
        weight_decay=1e-4,
        crop=224,
        area=(0.08, 1.0),
        aspect=(3 / 4, 4 / 3),
        centre=0.875,
        flip=True,
        precision="mixed",
    )
    small = Recipe(
        "imagenet-small",
        "ours: a one-cycle run on photographs for CPUs, 64 pixels a side",
        10,
        32,
        0.1,
        nesterov=True,
        crop=64,
        area=(0.5, 1.0),
        aspect=(3 / 4, 4 / 3),
        centre=0.875,
        flip=True,
    )
    return imagenet, small


RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe("digits", "ours: 8x8 digits in seconds", 8, 32, 0.1),
        Recipe(
            "small", "ours: a one-cycle run for CPUs", 8, 64, 0.1, pad=4, flip=True, nesterov=True
        ),
        Recipe(
            "svp",
            "svp section 3.1, He et al. 2016b with weight decay 5e-4",
            181,
            128,
            0.1,
            "steps",
            (91, 136),
            (0.1, 0.01),
            warm_up=1,
            pad=4,
            flip=True,
        ),
        Recipe(
            "svp-slides",
            "svp-slides, replication: rate x0.1 every 30 epochs",
            150,
            64,
            0.1,
            "steps",
            (30, 60, 90, 120),
            (0.1, 0.01, 1e-3, 1e-4),
            pad=4,
            flip=True,
        ),
        Recipe(
            "budgeted",
            "budgeted section IV-C",
            30,
            64,
            0.001,
            "steps",
            weight_decay=5e-4,
        ),
        Recipe(
            "geda",
            "geda section 5.1.2",
            12,
            64,
            1e-3,
            "cyclic",
            weight_decay=1e-4,
            pad=4,
            flip=True,
        ),
        Recipe(
            "adonis",
            "adonis section 4: rate x0.2 at epochs 60, 120, 160",
            200,
            128,
            0.1,
            "steps",
            (60, 120, 160),
            (0.2, 0.04, 0.008),
            pad=4,
            flip=True,
            rotate=15.0,
            precision="mixed",
        ),
        *_sprints(),
        # A step on the mean of 32 examples at 32 times the rate stands for 32 steps of fastText's.
        Recipe(
            "fasttext",
            "svp A.1: as Joulin et al. 2017, 5 epochs, rate 0.05 an example falling to 0",
            5,
            32,
            1.6,
            "linear",
            momentum=0.0,
            weight_decay=0.0,
        ),
        *_of_texts(),
        Recipe(
            "fasttext-small",
            "ours: fastText on thousands of texts, at 0.25 a text, five times svp's rate",
            10,
            16,
            4.0,
            "linear",
            momentum=0.0,
            weight_decay=0.0,
        ),
        Recipe(
            "text-small",
            "ours: a one-cycle run of VDCNN for CPUs, and fasttext-small for fastText",
            10,
            32,
            0.05,
            weight_decay=1e-4,
            instead=(("fasttext", "fasttext-small"),),
        ),
        # Where a subset makes few steps, text-small leaves chance late: see `amazon-small`.
        Recipe(
            "text-quick",
            "ours: text-small in twice the steps, each of half the rate",
            8,
            16,
            0.025,
            nesterov=True,
            weight_decay=1e-4,
            instead=(("fasttext", "fasttext-small"),),
        ),
        *_of_photographs(),
    )
}


def get(name: str, epochs: int | None = None, model: str = "") -> Recipe:
    """Look up a recipe; `epochs` stretches or shortens its schedule in proportion.

    A name may end in what changes the recipe, in this order: `-gentle` takes three tenths of its
    rate, for networks without batch norm; `-upright` mirrors no image, for signs to be read;
    `-mixed` or `-float32` sets the precision; `-b256` takes batches of 256 and scales the rate
    with the batch. With the name of the `model` it is what the recipe puts `instead` of itself
    for that network, the endings kept.

    Raises:
        StudyError: If the name is unknown, a batch is below 2 or `epochs` is below 1.

    Source: the rate in proportion to the batch, Goyal et al. 2017 (arXiv:1706.02677) 2.1, which
        `svp` A.1 follows.
    """
    asked = NAMED.fullmatch(name)
    if asked is None or asked["plain"] not in RECIPES:
        raise StudyError(f"unknown recipe {name!r}; there are {', '.join(RECIPES)}")
    for start, other in RECIPES[asked["plain"]].instead:
        if model.startswith(start):
            return get(other + asked["ending"], epochs)
    recipe = _changed(RECIPES[asked["plain"]], asked)
    if epochs is None or epochs == recipe.epochs:
        return recipe
    if epochs < 1:
        raise StudyError(f"epochs must be 1 or more, got {epochs}")
    scale = epochs / recipe.epochs
    stretched = tuple(m * scale for m in recipe.milestones)
    warm_up = recipe.warm_up * scale
    return dataclasses.replace(recipe, epochs=epochs, milestones=stretched, warm_up=warm_up)


def gentle(name: str) -> str:
    """Return the name of a recipe at the lower rate of networks without batch norm."""
    asked = NAMED.fullmatch(name)
    return name if asked["gentle"] else f"{asked['plain']}{GENTLE}{asked['ending']}"


def plain(name: str) -> str:
    """Return the name of a recipe without its endings."""
    return NAMED.fullmatch(name)["plain"]


def like(name: str, other: str) -> str:
    """Return the name of another recipe with the endings of this one, its own batch kept."""
    return other + NAMED.fullmatch(name)["kept"]


def with_batch(name: str, batch: int) -> str:
    """Return the name of a recipe with batches of so many examples, its rate in proportion."""
    asked = NAMED.fullmatch(name)
    return f"{asked['plain']}{asked['kept']}-b{batch}"


def _changed(recipe: Recipe, asked: re.Match[str]) -> Recipe:
    """Return a recipe as the endings of its name change it.

    Raises:
        StudyError: If a batch is below 2; batches of one row are left out.
    """
    batch = int(asked["batch"] or recipe.batch)
    if batch < 2:
        raise StudyError(f"a recipe's batch must be 2 or more, got {asked[0]!r}")
    if not asked["ending"]:
        return recipe
    return dataclasses.replace(
        recipe,
        name=recipe.name + asked["ending"],
        batch=batch,
        rate=(0.3 if asked["gentle"] else 1.0) * recipe.rate * (batch / recipe.batch),
        flip=recipe.flip and not asked["upright"],
        precision=asked["precision"] or recipe.precision,
    )
