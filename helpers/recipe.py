"""What a training recipe holds, and the learning rate it gives."""

from __future__ import annotations

from dataclasses import dataclass

from helpers import StudyError


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
        ramp: Whether the rate rises linearly over the warm-up instead, from 0.
        momentum, nesterov, weight_decay: Of stochastic gradient descent.
        pad: Pixels of zero padding for the random crop; 0 crops nothing.
        crop: Side in pixels of the square that the network sees, whatever the size of the images;
            0 shows the images as they are.
        area: Smallest and largest share of an image that a training crop takes in.
        aspect: Smallest and largest width over height of what it takes in.
        centre: Share of the shorter side that evaluation takes in, in the middle.
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
    ramp: bool = False
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 5e-4
    pad: int = 0
    crop: int = 0
    area: tuple[float, float] = (1.0, 1.0)
    aspect: tuple[float, float] = (1.0, 1.0)
    centre: float = 1.0
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

        self._check_crop()

    def _check_crop(self) -> None:
        """Refuse a crop that shows nothing, more than there is, or two crops at once."""
        if self.crop < 0 or (self.crop and self.pad):
            raise StudyError(f"crop must be 0 or, without pad, 1 or more, got {self.crop}")
        if not 0 < self.area[0] <= self.area[1] <= 1:
            raise StudyError(f"area must rise within (0, 1], got {self.area}")
        if not 0 < self.aspect[0] <= self.aspect[1]:
            raise StudyError(f"aspect must rise from above 0, got {self.aspect}")
        if not 0 < self.centre <= 1:
            raise StudyError(f"centre must lie in (0, 1], got {self.centre}")

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
        return self.rate * 100 ** (1 - abs(2 * min(done, 1.0) - 1))
