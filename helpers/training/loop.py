"""One run's state and its steps; nothing inside an epoch makes the host wait for the device."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from helpers import device as devices, probing, recipes, samplers
from helpers.augmentation import Draws, augment, rotate
from helpers.data import Dataset
from helpers.training import capture
from helpers.training.inputs import Inputs
from helpers.training.plan import Minibatch, Planner, placed
from helpers.training.trace import scores_of

# Rows whose logits and features lie on the device at once: those of a million fill a GPU.
RECORDED_AT_ONCE = 65_536


class Loop:
    """The state of one run; `fit` drives it epoch by epoch."""

    def __init__(
        self,
        dataset: Dataset,
        model: nn.Module,
        recipe: recipes.Recipe,
        sampler: samplers.Fixed,
        seed: int,
        device: torch.device,
    ) -> None:
        self.data, self.model, self.recipe = Inputs(dataset, device, model), model, recipe
        self.sampler, self.device = sampler, device
        self.plan = Planner(sampler, recipe, seed, device, self.data.sent)
        self.optimiser = torch.optim.SGD(
            model.parameters(),
            recipe.rate,
            recipe.momentum,
            nesterov=recipe.nesterov,
            weight_decay=recipe.weight_decay,
            fused=device.type in ("cpu", "cuda"),
        )
        mixed = recipe.precision == "mixed" and devices.bfloat16_pays(device)
        self.autocast = torch.autocast(device.type, torch.bfloat16, enabled=mixed)
        self.visited = torch.zeros(dataset.n, dtype=torch.bool, device=device)
        self.correct = torch.zeros(dataset.n, dtype=torch.bool, device=device)
        self.total = torch.zeros((), device=device)
        self.forward = self.backward = self.looked = 0
        self.network: Callable[[Tensor], Tensor] = model
        self.replayed = capture.replayed(self, devices.engine(device))

    def logits(self, rows: Tensor, draws: Draws, inputs: Tensor | None = None) -> Tensor:
        """Augment the rows' images as drawn and return their logits (b, c) in float32.

        Args:
            rows: Training rows (b,).
            draws: Their augmentation.
            inputs: The images or texts themselves, where they do not lie on the device anyway.
        """
        images = self.data.train[rows] if inputs is None else inputs
        images = augment(images, draws, self.recipe)
        images = probing.prepare(images, self.data.mean, self.data.std)
        if draws.turns is not None:
            images = rotate(images, draws.turns, self.recipe.rotate)
        with self.autocast:
            return self.network(images).float()

    @torch.no_grad()
    def losses(self, rows: Tensor) -> Tensor:
        """Return each row's loss (b,) for a sampler that chooses online."""
        self.forward += len(rows)
        inputs, draws = self.data.sent(rows), self.plan.draws(len(rows))
        rows = placed(rows, self.device)
        labels = self.data.train_labels[rows]
        return F.cross_entropy(self.logits(rows, draws, inputs), labels, reduction="none")

    def set_rate(self, rate: float) -> None:
        """Give the optimiser a step's learning rate, in place where a graph reads it."""
        for group in self.optimiser.param_groups:
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate

    def take(self, batch: Minibatch) -> None:
        """Take one training step, recorded or plain."""
        if self.replayed is None:
            self.plain(batch)
        else:
            self.replayed(batch)

    def plain(self, batch: Minibatch) -> None:
        """Take one training step, kernel by kernel."""
        self.set_rate(batch.rate)
        self.step(batch)

    def step(self, batch: Minibatch) -> None:
        """Train on a minibatch; note visited and correct before the update; add up the loss.

        Everything here happens on the device, at fixed addresses, so that it can be recorded.
        """
        labels = self.data.train_labels[batch.rows]
        logits = self.logits(batch.rows, batch.draws, batch.inputs)
        self.visited.index_fill_(0, batch.rows, True)
        self.correct[batch.rows] = logits.detach().argmax(dim=1) == labels
        loss = self.loss(logits, labels, batch.shares)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        self.total.add_(loss.detach() * len(batch.rows))

    def loss(self, logits: Tensor, labels: Tensor, shares: Tensor | None) -> Tensor:
        """Return the batch's cross entropy; shares (b,) count within it."""
        smooth = self.recipe.label_smoothing
        if shares is None:
            return F.cross_entropy(logits, labels, label_smoothing=smooth)
        return F.cross_entropy(logits, labels, reduction="none", label_smoothing=smooth) @ shares

    def epoch(self, number: int) -> tuple[float, float]:
        """Train one epoch; return mean loss (nats) and accuracy while training."""
        for counter in (self.visited, self.correct, self.total):
            counter.zero_()
        self.model.train()
        before = self.backward
        for batch in self.plan.minibatches(number, self.losses):
            self.forward += len(batch.rows)
            self.backward += len(batch.rows)
            self.take(batch)
        right, visited = float(self.correct.sum()), float(self.visited.sum())
        return float(self.total) / max(self.backward - before, 1), right / max(visited, 1)

    def due(self, number: int) -> bool:
        """Tell whether the test set is looked at after this epoch.

        A fixed subset much smaller than the test set would spend more on looking than on
        training: it is looked at each time it has trained on twice as many examples, and at
        the end.
        """
        step = self.backward // (2 * len(self.data.test_labels))
        is_new, self.looked = step > self.looked, step
        last = number + 1 == self.recipe.epochs
        return is_new or last or type(self.sampler) is not samplers.Fixed

    def outputs(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (n, c) and features (n, d) of the network without augmentation."""
        data = self.data
        numbers = max(inputs[0].numel(), len(data.mean) * self.recipe.crop**2)
        size, shown = probing.eval_batch(self.device, numbers), data.shown(inputs, self.recipe)
        return probing.outputs(self.model, shown, data.mean, data.std, size, self.autocast)

    def test_accuracy(self) -> float:
        """Return the share of test images classified correctly."""
        logits, _ = self.outputs(self.data.test)
        return float((logits.argmax(dim=1) == self.data.test_labels).float().mean())

    def record(self, last: bool) -> dict[str, np.ndarray]:
        """Score every training row, visited or not, without augmentation."""
        parts = []
        for start in range(0, len(self.data.train), RECORDED_AT_ONCE):
            part = slice(start, start + RECORDED_AT_ONCE)
            logits, features = self.outputs(self.data.train[part])
            parts.append(scores_of(logits, features, self.data.train_labels[part], last))
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
