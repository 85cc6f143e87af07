"""One run's state and its steps; nothing inside an epoch makes the host wait for the device."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from helpers import device as devices, probing, recipes, samplers
from helpers.augmentation import Draws, augment, draw, rotate
from helpers.data import Dataset
from helpers.training.average import Average
from helpers.training.inputs import Inputs, placed
from helpers.training.trace import scores_of

# Rows whose logits and features lie on the device at once: those of a million fill a GPU.
RECORDED_AT_ONCE = 65_536


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


class BatchPlanner:
    """Draws a run's order and augmentation on the host, both from generators of their own."""

    def __init__(
        self, sampler: samplers.Sampler, recipe: recipes.Recipe, seed: int, data: Inputs
    ) -> None:
        self.sampler, self.recipe, self.data = sampler, recipe, data
        self.order = torch.Generator().manual_seed(seed)
        self.crops = torch.Generator().manual_seed(seed + 1_000_003)
        sides = torch.Generator().manual_seed(seed + 2_000_003)
        self.sides = torch.rand(len(data.train), generator=sides) < 0.5
        self.number = 0

    def draws(self, rows: Tensor) -> Draws:
        """Draw the augmentation of the next rows (b,), on the device."""
        draws = draw(len(rows), self.recipe, self.crops)
        if self.recipe.alternate and draws.mirrored is not None:
            draws = draws._replace(mirrored=self.sides[rows] ^ (self.number % 2 == 1))
        return Draws(*(placed(values, self.data.device) for values in draws))

    def minibatches(self, number: int, losses: samplers.Losses) -> Iterator[Minibatch]:
        """Yield an epoch's steps; batches of one row are left out.

        Each has the learning rate in the middle of its step.
        """
        self.number, progress = number, 0.0
        for batch in self.sampler.batches(number, self.recipe.batch, self.order, losses):
            rate = self.recipe.rate_at(number + (progress + batch.progress) / 2)
            progress, rows = batch.progress, batch.rows
            if len(rows) > 1:
                weights = batch.weights
                if weights is not None:  # what each counts, so that a step's length does not vary
                    weights = placed(weights / weights.sum().clamp_min(1e-12), self.data.device)
                placed_rows = placed(rows, self.data.device)
                yield Minibatch(placed_rows, self.draws(rows), weights, rate, self.data.sent(rows))

    def state_dict(self) -> dict[str, Tensor]:
        """Return the state of both generators."""
        return {"order": self.order.get_state(), "crops": self.crops.get_state()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on from where `state_dict` was taken."""
        self.order.set_state(state["order"])
        self.crops.set_state(state["crops"])


def each_loss(logits: Tensor, labels: Tensor, smoothing: float = 0.0) -> Tensor:
    """Return each row's cross entropy (b,), or its squared error where labels are numbers."""
    if labels.is_floating_point():
        return (logits[:, 0] - labels).square()
    return F.cross_entropy(logits, labels, reduction="none", label_smoothing=smoothing)


def parameter_groups(model: nn.Module, recipe: recipes.Recipe) -> list[dict[str, object]]:
    """Return what the optimiser trains, biases of batch norms apart at a rate of their own.

    `times` is what a group's rate is multiplied by and its weight decay divided by.
    """
    norms = (module for module in model.modules() if isinstance(module, nn.BatchNorm2d))
    apart = {id(norm.bias) for norm in norms if recipe.bias_rate != 1}
    biases = [p for p in model.parameters() if id(p) in apart]
    others = [p for p in model.parameters() if id(p) not in apart]
    decay = recipe.weight_decay / recipe.bias_rate
    groups = [{"params": others, "times": 1.0}]
    if biases:
        groups.append({"params": biases, "times": recipe.bias_rate, "weight_decay": decay})
    return groups


class Loop:
    """The state of one run; `fit` drives it epoch by epoch."""

    def __init__(
        self,
        dataset: Dataset,
        model: nn.Module,
        recipe: recipes.Recipe,
        sampler: samplers.Sampler,
        seed: int,
        device: torch.device,
    ) -> None:
        self.data, self.model, self.recipe = Inputs(dataset, device, model), model, recipe
        self.sampler, self.device = sampler, device
        self.plan = BatchPlanner(sampler, recipe, seed, self.data)
        self.optimiser = torch.optim.SGD(
            parameter_groups(model, recipe),
            recipe.rate,
            recipe.momentum,
            nesterov=recipe.nesterov,
            weight_decay=recipe.weight_decay,
            fused=device.type in ("cpu", "cuda"),
        )
        self.average = Average(model) if recipe.average else None
        mixed = recipe.precision == "mixed" and devices.bfloat16_pays(device)
        self.autocast = torch.autocast(device.type, torch.bfloat16, enabled=mixed)
        self.visited = torch.zeros(dataset.n, dtype=torch.bool, device=device)
        self.correct = torch.zeros(dataset.n, dtype=torch.bool, device=device)
        self.total = torch.zeros((), device=device)
        self.forward = self.backward = self.tested = 0
        compiled = devices.engine(device) == "compile"
        self.network: Callable[[Tensor], Tensor] = torch.compile(model) if compiled else model

    def logits(self, rows: Tensor, draws: Draws, inputs: Tensor | None = None) -> Tensor:
        """Augment the rows' (b,) images as drawn and return their logits (b, c) in float32."""
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
        inputs, draws = self.data.sent(rows), self.plan.draws(rows)
        rows = placed(rows, self.device)
        return each_loss(self.logits(rows, draws, inputs), self.data.train_labels[rows])

    def scored(self, rows: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Return logits (b, c) and features (b, d) of rows (b,) for a sampler that reads them."""
        self.forward += len(rows)
        parts = [self.outputs(self.data.train[some]) for some in rows.split(RECORDED_AT_ONCE)]
        logits, features = zip(*parts, strict=True)
        return torch.cat(logits).cpu().numpy(), torch.cat(features).cpu().numpy()

    def step(self, batch: Minibatch) -> None:
        """Train on a minibatch; note visited and correct before the update; add up the loss."""
        labels = self.data.train_labels[batch.rows]
        logits = self.logits(batch.rows, batch.draws, batch.inputs)
        self.visited.index_fill_(0, batch.rows, True)
        self.correct[batch.rows] = logits.detach().argmax(dim=1) == labels
        loss = self.loss(logits, labels, batch.shares)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        for group in self.optimiser.param_groups:
            group["lr"] = batch.rate * group["times"]
        self.optimiser.step()
        self.total.add_(loss.detach() * len(batch.rows))

    def loss(self, logits: Tensor, labels: Tensor, shares: Tensor | None) -> Tensor:
        """Return the batch's mean loss; shares (b,) count within it."""
        smooth = self.recipe.label_smoothing
        if shares is None and not labels.is_floating_point():
            return F.cross_entropy(logits, labels, label_smoothing=smooth)
        each = each_loss(logits, labels, smooth)
        return each.mean() if shares is None else each @ shares

    def epoch(self, number: int) -> tuple[float, float]:
        """Train one epoch; return mean loss (nats) and accuracy, or RMSE, while training."""
        for counter in (self.visited, self.correct, self.total):
            counter.zero_()
        self.sampler.begin(number, self.scored)
        self.model.train()
        for parameter in getattr(self.model, "early", ()):
            parameter.requires_grad_(number < self.recipe.early * self.recipe.epochs)
        before = self.backward
        for batch in self.plan.minibatches(number, self.losses):
            self.forward += len(batch.rows)
            self.backward += len(batch.rows)
            self.step(batch)
            if self.average:
                self.average.after_step((number + 1) / self.recipe.epochs)
        if self.average and number + 1 == self.recipe.epochs:
            self.average.end()
        right, visited = float(self.correct.sum()), float(self.visited.sum())
        loss = float(self.total) / max(self.backward - before, 1)
        if self.data.train_labels.is_floating_point():
            return loss, self.data.unit * loss**0.5
        return loss, right / max(visited, 1)

    def due(self, number: int) -> bool:
        """Tell whether the test set is evaluated after this epoch.

        On a fixed subset much smaller than the test set, evaluation would cost more than training:
        there the test set is evaluated each time the run has trained on twice as many examples,
        and at the end.
        """
        step = self.backward // (2 * len(self.data.test_labels))
        is_new, self.tested = step > self.tested, step
        return is_new or number + 1 == self.recipe.epochs or not self.sampler.same_rows

    def outputs(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (n, c) and features (n, d) of the network without augmentation."""
        mean, std = self.data.mean, self.data.std
        size = probing.eval_batch(max(inputs[0].numel(), len(mean) * self.recipe.crop**2))

        def show(rows: Tensor) -> Tensor:
            return self.data.shown(rows, self.recipe)

        return probing.outputs(self.model, inputs, mean, std, size, self.autocast, show)

    def tested_now(self) -> float:
        """Return the share of test rows classified correctly, or RMSE in the targets' unit."""
        logits, _ = self.outputs(self.data.test)
        labels = self.data.test_labels
        if labels.is_floating_point():
            return self.data.unit * float(each_loss(logits, labels).mean()) ** 0.5
        return float((logits.argmax(dim=1) == labels).float().mean())

    def record(self, last: bool) -> dict[str, np.ndarray]:
        """Score every training row, visited or not, without augmentation."""
        parts = []
        for start in range(0, len(self.data.train), RECORDED_AT_ONCE):
            part = slice(start, start + RECORDED_AT_ONCE)
            logits, features = self.outputs(self.data.train[part])
            parts.append(scores_of(logits, features, self.data.train_labels[part], last))
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def state_dict(self) -> dict[str, object]:
        """Return what the run needs to go on, as tensors and plain values."""
        state = {
            "model": dict(self.model.state_dict()),
            "optimiser": self.optimiser.state_dict(),
            "plan": self.plan.state_dict(),
            "sampler": self.sampler.state_dict(),
            "counters": [self.forward, self.backward, self.tested],
            "random": torch.get_rng_state(),
        }
        if self.average:
            state["average"] = self.average.state_dict()
        if self.device.type == "cuda":
            state["cuda"] = torch.cuda.get_rng_state(self.device)
        return state

    def load_state_dict(self, state: dict[str, object]) -> None:
        """Go on from where `state_dict` was taken."""
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.plan.load_state_dict(state["plan"])
        self.sampler.load_state_dict(state["sampler"])
        self.forward, self.backward, self.tested = state["counters"]
        if self.average:
            self.average.load_state_dict(state["average"])
        torch.set_rng_state(state["random"])
        if self.device.type == "cuda" and "cuda" in state:
            torch.cuda.set_rng_state(state["cuda"], self.device)
