"""Named training recipes and the learning rates they give; each cites its document."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass

from helpers import StudyError
from helpers.checks import check_choice

SCHEDULES = ("steps", "one-cycle", "triangle", "linear", "cyclic")
# Endings of a recipe's name that change it: a lower rate, no mirroring, precision, other batches.
GENTLE = "-gentle"
KEPT = rf"(?P<gentle>{GENTLE})?(?P<upright>-upright)?(-(?P<precision>float32|mixed))?"
NAMED = re.compile(rf"(?P<plain>.+?)(?P<ending>(?P<kept>{KEPT})(-b(?P<batch>0|[1-9]\d*))?)")


@dataclass(frozen=True)
class Recipe:
    """How to train: everything but the data, the network and the seed.

    Attributes:
        name: The recipe's name in `RECIPES`.
        source: Document and section.
        epochs: Passes over the training rows.
        batch: Examples a step.
        rate: Learning rate the schedule multiplies.
        schedule: `"steps"` multiplies by `factors` from the `milestones` on (epochs);
            `"one-cycle"` rises linearly over the first quarter and falls linearly to 0;
            `"triangle"` rises linearly from a fifth, and falls to a fourteenth;
            `"linear"` falls linearly to 0;
            `"cyclic"` rises from `rate` to 100 times `rate` and falls back (`geda` 5.1.2).
        warm_up: Epochs at a tenth of the rate before the schedule starts.
        ramp: Whether the rate rises linearly over the warm-up instead, from 0.
        momentum, nesterov, weight_decay: Of stochastic gradient descent.
        bias_rate: How many times the rate biases of batch norms take; what decays stays the same.
        early: Share of the run's epochs after which a network's `early` parameters stay.
        average: Whether weights go back to a slow average of theirs (`training.average`).
        pad: Pixels of zero padding for the random crop; 0 crops nothing.
        reflect: Whether that padding reflects the image instead.
        crop: Side in pixels of the square that the network sees, whatever the size of the images;
            0 shows the images as they are.
        area: Smallest and largest share of an image that a training crop takes in.
        aspect: Smallest and largest width over height of what it takes in.
        centre: Share of the shorter side that evaluation takes in, in the middle.
        flip: Whether images are mirrored at random.
        alternate: Whether each image is mirrored every other epoch, at random in the first only.
        rotate: Largest random rotation in degrees; 0 rotates nothing.
        precision: `"float32"`, or `"mixed"`: bf16 where the hardware has it.
        label_smoothing: Share of the target spread evenly over all classes.
        instead: Pairs of how a network's name begins and the recipe it takes in place of this.
    """

    name: str
    source: str
    epochs: int
    batch: int
    rate: float
    schedule: str = "one-cycle"
    milestones: tuple[float, ...] = ()
    factors: tuple[float, ...] = ()
    warm_up: float = 0
    ramp: bool = False
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 5e-4
    bias_rate: float = 1.0
    early: float = 1.0
    average: bool = False
    pad: int = 0
    reflect: bool = False
    crop: int = 0
    area: tuple[float, float] = (1.0, 1.0)
    aspect: tuple[float, float] = (1.0, 1.0)
    centre: float = 1.0
    flip: bool = False
    alternate: bool = False
    rotate: float = 0.0
    precision: str = "float32"
    label_smoothing: float = 0.0
    instead: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        """Refuse what would silently mean something else."""
        check_choice(self.schedule, SCHEDULES, "a recipe's schedule")
        check_choice(self.precision, ("float32", "mixed"), "a recipe's precision")
        if self.crop and self.pad:
            raise StudyError(f"a recipe crops to a size or pads, got crop {self.crop} and pad")

    def rate_at(self, epoch: float) -> float:
        """Return the learning rate after `epoch` epochs (a fraction counts within one)."""
        if epoch < self.warm_up:
            return self.rate * epoch / self.warm_up if self.ramp else self.rate / 10
        done = (epoch - self.warm_up) / max(self.epochs - self.warm_up, 1e-9)
        if self.schedule == "steps":
            passed = sum(epoch >= m for m in self.milestones)
            return self.rate * ((1.0, *self.factors)[passed])
        if self.schedule == "linear":
            return self.rate * max(1 - done, 0.0)
        if self.schedule == "one-cycle":
            return self.rate * max(min(done / 0.25, (1 - done) / 0.75), 0.0)
        if self.schedule == "triangle":
            rising, falling = 0.2 + 0.8 * done / 0.23, 0.07 + 0.93 * (1 - done) / 0.77
            return self.rate * max(min(rising, falling), 0.0)
        return self.rate * 100 ** (1 - abs(2 * min(done, 1.0) - 1))


# Images are kept at no more than 224 pixels a side (`helpers.data`), so that the test image of the
# imagenet recipes is 7/8 of that and enlarged.
_PHOTOGRAPHS = {"aspect": (3 / 4, 4 / 3), "centre": 0.875, "flip": True}
# Ours has smaller batches than cifar10-airbench (Jordan 2024, arXiv:2404.00498, 3.1-3.4), so that
# 10,000 images make enough steps, and does not smooth labels: in a trial that made the proxy's
# entropies rank less like the target's.
_SPRINT = Recipe(
    "sprint",
    "ours, after cifar10-airbench: whitened inputs, few epochs, one cycle",
    *(8, 128, 0.3),
    momentum=0.85,
    nesterov=True,
    weight_decay=1e-3,
    pad=2,
    flip=True,
    precision="mixed",
)
_VDCNN = Recipe(
    "vdcnn",
    "svp A.1: as Conneau et al. 2017; halved every 3 epochs and decay as in svp's code",
    *(15, 128, 0.01, "steps", (3, 6, 9, 12), (0.5, 0.25, 0.125, 0.0625)),
    weight_decay=1e-4,
)
_FASTTEXT = {"schedule": "linear", "momentum": 0.0, "weight_decay": 0.0}
# Each: name, source, epochs, batch, rate, and where it has them schedule, milestones, factors.
_ALL = (
    Recipe("digits", "ours: 8x8 digits in seconds", 8, 32, 0.1),
    Recipe("small", "ours: a one-cycle run for CPUs", 8, 64, 0.1, pad=4, flip=True, nesterov=True),
    Recipe(
        "svp",
        "svp section 3.1, He et al. 2016b with weight decay 5e-4",
        *(181, 128, 0.1, "steps", (91, 136), (0.1, 0.01)),
        warm_up=1,
        pad=4,
        flip=True,
    ),
    Recipe(
        "svp-slides",
        "svp-slides, replication: rate x0.1 every 30 epochs",
        *(150, 64, 0.1, "steps", (30, 60, 90, 120), (0.1, 0.01, 1e-3, 1e-4)),
        pad=4,
        flip=True,
    ),
    Recipe("budgeted", "budgeted section IV-C", 30, 64, 0.001, "steps"),
    Recipe(
        "geda",
        "geda section 5.1.2",
        *(12, 64, 1e-3, "cyclic"),
        weight_decay=1e-4,
        pad=4,
        flip=True,
    ),
    Recipe(
        "adonis",
        "adonis section 4: rate x0.2 at epochs 60, 120, 160",
        *(200, 128, 0.1, "steps", (60, 120, 160), (0.2, 0.04, 0.008)),
        pad=4,
        flip=True,
        rotate=15.0,
        precision="mixed",
    ),
    _SPRINT,
    # The rate is 11.5 over 1 + 1 / (1 - momentum) for 1,024 examples. Ours makes more steps: by
    # 1,024, 512 and 256, 6 epochs of `sprint-w16` ended at 85.5, 87.0 and 86.6 %; by 512, 256 and
    # 128, 12 epochs of `sprint-w16-half` on 5,000 rows at 66.3, 67.7 and 66.4 %.
    Recipe(
        "airbench",
        "cifar10-airbench (arXiv:2404.00498) sections 3.1-3.4, smaller batches, 12 epochs",
        *(12, 256, 0.375, "triangle"),
        momentum=0.85,
        nesterov=True,
        weight_decay=1.33e-3,
        bias_rate=64.0,
        early=0.3,
        average=True,
        pad=2,
        reflect=True,
        flip=True,
        alternate=True,
        precision="mixed",
        label_smoothing=0.2,
    ),
    dataclasses.replace(
        _SPRINT,
        name="sprint-smooth",
        source="ours, sprint with the smoothed labels of cifar10-airbench",
        label_smoothing=0.2,
    ),
    # A step on the mean of 32 examples at 32 times the rate stands for 32 steps of fastText's.
    Recipe(
        "fasttext",
        "svp A.1: as Joulin et al. 2017, 5 epochs, rate 0.05 an example falling to 0",
        *(5, 32, 1.6),
        **_FASTTEXT,
    ),
    _VDCNN,
    dataclasses.replace(
        _VDCNN,
        name="text",
        source="svp A.1: vdcnn, and fasttext for fastText",
        instead=(("fasttext", "fasttext"),),
    ),
    Recipe(
        "fasttext-small",
        "ours: fastText on thousands of texts, at 0.25 a text, five times svp's rate",
        *(10, 16, 4.0),
        **_FASTTEXT,
    ),
    Recipe(
        "text-small",
        "ours: a one-cycle run of VDCNN for CPUs, and fasttext-small for fastText",
        *(10, 32, 0.05),
        weight_decay=1e-4,
        instead=(("fasttext", "fasttext-small"),),
    ),
    # Where a subset makes few steps, text-small leaves chance late: see `amazon-small`.
    Recipe(
        "text-quick",
        "ours: text-small in twice the steps, each of half the rate",
        *(8, 16, 0.025),
        nesterov=True,
        weight_decay=1e-4,
        instead=(("fasttext", "fasttext-small"),),
    ),
    # In large batches, the rate in proportion (0.1 for 256), a warm-up of 5 epochs and mixed
    # precision; epochs, milestones, decay and crops as Goyal et al. (arXiv:1706.02677) 5.1.
    Recipe(
        "imagenet",
        "svp A.1: He et al. 2016a by Goyal et al. 2017, batches of 768",
        *(90, 768, 0.3, "steps", (30, 60, 80), (0.1, 0.01, 1e-3)),
        warm_up=5,
        ramp=True,
        weight_decay=1e-4,
        crop=224,
        area=(0.08, 1.0),
        precision="mixed",
        **_PHOTOGRAPHS,
    ),
    Recipe(
        "imagenet-small",
        "ours: a one-cycle run on photographs for CPUs, 64 pixels a side",
        *(10, 32, 0.1),
        nesterov=True,
        crop=64,
        area=(0.5, 1.0),
        **_PHOTOGRAPHS,
    ),
)
RECIPES = {recipe.name: recipe for recipe in _ALL}


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
