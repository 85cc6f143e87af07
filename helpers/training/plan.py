"""What an epoch will train on: drawn on the host, moved to the device once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from helpers import recipes, samplers
from helpers.augmentation import Draws, draw, joined


class Minibatch(NamedTuple):
    """One training step on its device.

    Attributes:
        rows: Training rows (b,) int64.
        draws: Their augmentation.
        shares: What each counts within the batch (b,), sum 1; `None` for the plain mean.
        rate: The step's learning rate.
        inputs: The rows themselves (b, ...), uint8, where they do not lie on the device anyway.
    """

    rows: Tensor
    draws: Draws
    shares: Tensor | None
    rate: float
    inputs: Tensor | None = None


class Planner:
    """Draws the order and the augmentation of a run, both from generators of their own.

    Args:
        sampler: Which rows an epoch visits.
        recipe: Gives the batch, the rates and what to draw.
        seed: Of both generators.
        device: Where the run computes.
        send: Brings rows, by their numbers on the host, to the device; `None`, or returns it,
            where they lie there anyway.
    """

    def __init__(
        self,
        sampler: samplers.Fixed,
        recipe: recipes.Recipe,
        seed: int,
        device: torch.device,
        send: Callable[[Tensor], Tensor | None] | None = None,
    ) -> None:
        self.sampler, self.recipe, self.device = sampler, recipe, device
        self.send = send or (lambda rows: None)
        self.order = torch.Generator().manual_seed(seed)
        self.crops = torch.Generator().manual_seed(seed + 1_000_003)

    def draws(self, b: int) -> Draws:
        """Draw the augmentation of the next b examples, on the device."""
        return _placed(draw(b, self.recipe, self.crops), self.device)

    def minibatches(self, number: int, losses: samplers.Losses) -> Iterator[Minibatch]:
        """Yield an epoch's steps; batches of one row are left out.

        A sampler that does not look at losses is drawn to its end first, so that the device gets
        the whole epoch in one copy and never waits for the host.
        """
        if not isinstance(self.sampler, samplers.Fixed):
            for batch, rate in self._rated(number, losses):
                yield Minibatch(
                    placed(batch.rows, self.device),
                    self.draws(len(batch.rows)),
                    placed(_shares(batch.weights), self.device),
                    rate,
                    self.send(batch.rows),
                )
            return
        yield from self._whole(list(self._rated(number, losses)))

    def _rated(
        self, number: int, losses: samplers.Losses
    ) -> Iterator[tuple[samplers.Batch, float]]:
        """Yield the sampler's batches with the learning rate in the middle of each step."""
        progress, size = 0.0, self.recipe.batch
        for batch in self.sampler.batches(number, size, self.order, losses):
            rate = self.recipe.rate_at(number + (progress + batch.progress) / 2)
            progress = batch.progress
            if len(batch.rows) > 1:
                yield batch, rate

    def _whole(self, rated: list[tuple[samplers.Batch, float]]) -> Iterator[Minibatch]:
        """Yield steps that are views of tensors moved at once."""
        if not rated:
            return
        drawn = [draw(len(batch.rows), self.recipe, self.crops) for batch, _ in rated]
        draws = _placed(joined(drawn), self.device)
        rows = placed(torch.cat([batch.rows for batch, _ in rated]), self.device)
        parts = [_shares(batch.weights) for batch, _ in rated]
        shares = None if parts[0] is None else placed(torch.cat(parts), self.device)
        start = 0
        for batch, rate in rated:
            stop = start + len(batch.rows)
            some = None if shares is None else shares[start:stop]
            inputs = self.send(batch.rows)
            yield Minibatch(rows[start:stop], draws.part(start, stop), some, rate, inputs)
            start = stop


def _shares(weights: Tensor | None) -> Tensor | None:
    """Return what each row counts in its batch, so that a step's length does not vary."""
    return None if weights is None else weights / weights.sum().clamp_min(1e-12)


def placed(values: Tensor | None, device: torch.device) -> Tensor | None:
    """Move a tensor of the host without making the host wait for the copy."""
    if values is None or device.type == "cpu":
        return values
    if device.type == "cuda":
        return values.pin_memory().to(device, non_blocking=True)
    return values.to(device)


def _placed(draws: Draws, device: torch.device) -> Draws:
    return Draws(*(placed(values, device) for values in draws))
