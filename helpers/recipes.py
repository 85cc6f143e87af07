"""Named training recipes; each cites the document it comes from."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from helpers import StudyError

# Ending of a recipe's name that asks for a lower rate.
GENTLE = "-gentle"


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
            `"linear"` falls linearly to 0;
            `"cyclic"` rises from `rate` to 100 times `rate` and falls back (`geda` 5.1.2).
        warm_up: Epochs at a tenth of the rate before the schedule starts.
        momentum, nesterov, weight_decay: Of stochastic gradient descent.
        pad: Pixels of zero padding for the random crop; 0 crops nothing.
        flip: Whether images are mirrored at random.
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
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 5e-4
    pad: int = 0
    flip: bool = False
    rotate: float = 0.0
    precision: str = "float32"
    label_smoothing: float = 0.0
    instead: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        """Refuse what would silently mean something else."""
        if self.schedule not in ("steps", "one-cycle", "linear", "cyclic"):
            raise StudyError(
                f"schedule must be steps, one-cycle, linear or cyclic, got {self.schedule!r}"
            )
        if self.precision not in ("float32", "mixed"):
            raise StudyError(f"precision must be float32 or mixed, got {self.precision!r}")
        if not 0 <= self.label_smoothing < 1:
            raise StudyError(f"label_smoothing must lie in [0, 1), got {self.label_smoothing}")
        if len(self.milestones) != len(self.factors):
            raise StudyError(
                f"{len(self.milestones)} milestones need as many factors, got {len(self.factors)}"
            )

    def rate_at(self, epoch: float) -> float:
        """Return the learning rate after `epoch` epochs (a fraction counts within one)."""
        if epoch < self.warm_up:
            return self.rate / 10
        done = (epoch - self.warm_up) / max(self.epochs - self.warm_up, 1e-9)
        if self.schedule == "steps":
            passed = sum(epoch >= m for m in self.milestones)
            return self.rate * ((1.0, *self.factors)[passed])
        if self.schedule == "linear":
            return self.rate * max(1 - done, 0.0)
        if self.schedule == "one-cycle":
            return self.rate * max(min(done / 0.25, (1 - done) / 0.75), 0.0)
        return self.rate * 100 ** (1 - abs(2 * min(done, 1.0) - 1))


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
    )
}


def get(name: str, epochs: int | None = None, model: str = "") -> Recipe:
    """Look up a recipe; `epochs` stretches or shortens its schedule in proportion.

    `NAME-gentle` is the recipe NAME at three tenths of its rate, for networks without batch norm.
    With the name of the `model` it is what the recipe puts `instead` of itself for that network.

    Raises:
        StudyError: If the name is unknown or `epochs` is below 1.
    """
    plain = name.removesuffix(GENTLE)
    if plain not in RECIPES:
        raise StudyError(f"unknown recipe {name!r}; there are {', '.join(RECIPES)}")
    recipe = RECIPES[plain]
    if name != plain:
        recipe = dataclasses.replace(recipe, name=name, rate=0.3 * recipe.rate)
    for start, other in recipe.instead:
        if model.startswith(start):
            return get(other, epochs)
    if epochs is None or epochs == recipe.epochs:
        return recipe
    if epochs < 1:
        raise StudyError(f"epochs must be 1 or more, got {epochs}")
    scale = epochs / recipe.epochs
    stretched = tuple(m * scale for m in recipe.milestones)
    warm_up = recipe.warm_up * scale
    return dataclasses.replace(recipe, epochs=epochs, milestones=stretched, warm_up=warm_up)
