"""The training loop: one `fit` for every recipe and sampler, with a trace of every example."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from helpers import StudyError, device as devices, models, probing, recipes, samplers
from helpers.augmentation import augment, rotate
from helpers.data import Dataset

RECORDED = ("confidence", "margin", "entropy", "el2n", "grad_norm")


@dataclass
class Run:
    """What a training run left behind.

    Attributes:
        model: The trained network, on its device.
        history: A list an epoch: `loss` (nats), `train_acc`, `test_acc` (fractions; `None` where
            nobody looked), `seconds` (cumulative, training only: evaluation and trace are not in
            it), `forward` and `backward` (cumulative example counts; forward counts passes spent
            on choosing too).
        trace: `visited` and `correct` (epochs, ceil(n/8)) packed bits; `recorded_epochs` (r,)
            and for each the scores in `RECORDED` (r, n) float16; at the last recorded epoch
            `logits` (n, c) and `features` (n, d) float16; `sampler_*` as the sampler logged.
        metrics: Final accuracies, seconds, device, threads, rows trained on.
    """

    model: nn.Module
    history: dict[str, list[float]]
    trace: dict[str, np.ndarray]
    metrics: dict[str, object] = field(default_factory=dict)

    @property
    def correct(self) -> np.ndarray:
        """Whether an example was right when its minibatch came, (epochs, n) bool."""
        return unpack(self.trace["correct"], int(self.metrics["n"]))

    @property
    def visited(self) -> np.ndarray:
        """Whether an epoch trained on the example, (epochs, n) bool."""
        return unpack(self.trace["visited"], int(self.metrics["n"]))


def unpack(bits: np.ndarray, n: int) -> np.ndarray:
    """Turn packed bits (epochs, ceil(n/8)) uint8 into (epochs, n) bool."""
    return np.unpackbits(bits, axis=1, count=n).astype(bool)


class Inputs:
    """A data set on its device: uint8 rows, labels, and the training set's normalisation."""

    def __init__(self, dataset: Dataset, device: torch.device) -> None:
        def put(array: np.ndarray) -> Tensor:
            return torch.tensor(array, device=device)

        self.train, self.test = put(dataset.train_inputs), put(dataset.test_inputs)
        self.train_labels = put(dataset.train_labels)
        self.test_labels = put(dataset.test_labels)
        mean, std = probing.normalisation(dataset.train_inputs)
        self.mean, self.std = put(mean), put(std)


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
        self.data, self.model, self.recipe = Inputs(dataset, device), model, recipe
        self.sampler, self.device = sampler, device
        self.order = torch.Generator().manual_seed(seed)
        self.crops = torch.Generator().manual_seed(seed + 1_000_003)
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
        n = dataset.n
        self.visited = torch.zeros(n, dtype=torch.bool, device=device)
        self.correct = torch.zeros(n, dtype=torch.bool, device=device)
        self.forward = self.backward = self.looked = 0

    def logits(self, rows: Tensor) -> Tensor:
        """Augment the rows' images and return their logits (b, c) in float32."""
        images = augment(self.data.train[rows], self.recipe, self.crops)
        images = probing.prepare(images, self.data.mean, self.data.std)
        if self.recipe.rotate:
            images = rotate(images, self.recipe.rotate, self.crops)
        with self.autocast:
            return self.model(images).float()

    @torch.no_grad()
    def losses(self, rows: Tensor) -> Tensor:
        """Return each row's loss (b,) for a sampler that chooses online."""
        self.forward += len(rows)
        rows = rows.to(self.device)
        return F.cross_entropy(self.logits(rows), self.data.train_labels[rows], reduction="none")

    def step(self, rows: Tensor, weights: Tensor | None = None) -> Tensor:
        """Train on the rows; note visited and correct before the update; return the loss sum.

        Weights (b,) count within their batch, so that the step's length does not vary with them.
        """
        self.forward += len(rows)
        self.backward += len(rows)
        rows = rows.to(self.device)
        labels = self.data.train_labels[rows]
        logits = self.logits(rows)
        self.visited[rows] = True
        self.correct[rows] = logits.detach().argmax(dim=1) == labels
        if weights is None:
            loss = F.cross_entropy(logits, labels)
        else:
            shares = weights.to(self.device) / weights.sum().clamp_min(1e-12)
            loss = F.cross_entropy(logits, labels, reduction="none") @ shares
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        return loss.detach() * len(rows)

    def epoch(self, number: int) -> tuple[float, float]:
        """Train one epoch; return mean loss (nats) and accuracy while training."""
        self.visited.zero_()
        self.correct.zero_()
        self.model.train()
        total, before, progress = torch.zeros((), device=self.device), self.backward, 0.0
        for batch in self.sampler.batches(number, self.recipe.batch, self.order, self.losses):
            for group in self.optimiser.param_groups:
                group["lr"] = self.recipe.rate_at(number + (progress + batch.progress) / 2)
            progress = batch.progress
            if len(batch.rows) > 1:
                total += self.step(batch.rows, batch.weights)
        seen = max(self.backward - before, 1)
        return float(total) / seen, float(self.correct.sum()) / max(float(self.visited.sum()), 1)

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

    def test_accuracy(self) -> float:
        """Return the share of test images classified correctly."""
        logits, _ = probing.outputs(self.model, self.data.test, self.data.mean, self.data.std)
        return float((logits.argmax(dim=1) == self.data.test_labels).float().mean())

    def record(self, last: bool) -> dict[str, np.ndarray]:
        """Score every training row, visited or not, without augmentation."""
        data = self.data
        logits, features = probing.outputs(self.model, data.train, data.mean, data.std)
        probs = F.softmax(logits, dim=1)
        top = probs.topk(2, dim=1).values
        scores = {
            "confidence": top[:, 0],
            "margin": top[:, 0] - top[:, 1],
            "entropy": torch.special.entr(probs).sum(dim=1),
            "el2n": probing.last_layer_errors(logits, data.train_labels).norm(dim=1),
            "grad_norm": probing.last_layer_norms(logits, features, data.train_labels),
        }
        if last:
            scores |= {"logits": logits, "features": features}
        return {name: value.cpu().numpy().astype(np.float16) for name, value in scores.items()}


def fit(
    dataset: Dataset,
    model: str | nn.Module,
    recipe: str | recipes.Recipe,
    sampler: samplers.Fixed | np.ndarray | None = None,
    seed: int = 0,
    device: str = "auto",
    *,
    record_at: tuple[int, ...] = (),
    weights: np.ndarray | None = None,
) -> Run:
    """Train a network and keep its trace.

    Args:
        dataset: What `helpers.data.load` returns.
        model: A name for `helpers.models.build`, or a network with `features` and `classifier`.
        recipe: A name in `helpers.recipes`, or a `Recipe`.
        sampler: Which rows an epoch visits: one of `helpers.samplers`, row numbers (k,), or
            `None` for all.
        seed: Of the initialisation, the order and the augmentation. On a CPU with the same
            thread count the run repeats bit for bit.
        device: `"auto"`, `"cpu"`, `"cuda"`, `"cuda:N"` or `"mps"`.
        record_at: Epochs (0 = untrained, `epochs` = finished) at which all training rows are
            scored; the last of them also keeps logits and features.
        weights: A flat state from `models.flat_state` to start from.

    Returns:
        The `Run`.

    Raises:
        StudyError: If a name is unknown, `record_at` lies outside 0..epochs, a row outside the
            training rows, or training diverges to a loss that is not finite.
    """
    recipe = recipes.get(recipe) if isinstance(recipe, str) else recipe
    where = devices.pick(device)
    if any(not 0 <= e <= recipe.epochs for e in record_at):
        raise StudyError(f"record_at must lie in 0..{recipe.epochs} epochs, got {record_at}")
    if not isinstance(sampler, samplers.Fixed | samplers.Adonis):
        sampler = samplers.Fixed(np.arange(dataset.n) if sampler is None else sampler)
    samplers.check_rows(sampler, recipe.epochs, dataset.n)
    if dataset.is_text and (recipe.pad or recipe.flip or recipe.rotate):
        raise StudyError(f"recipe {recipe.name} crops, mirrors or rotates images, not texts")
    threads = devices.threads_for(dataset.train_inputs[0].size // dataset.in_channels)
    with devices.deterministic(seed, threads):
        if isinstance(model, str):
            model = models.build(model, dataset.n_classes, dataset.in_channels)
        model = models.to_device(model, where)
        if weights is not None:
            models.load_state(model, weights)
        loop = Loop(dataset, model, recipe, sampler, seed, where)
        run = _drive(loop, tuple(sorted(set(record_at))))
    run.metrics |= {"device": devices.describe(where), "threads": threads, "n": dataset.n}
    return run


def _drive(loop: Loop, record_at: tuple[int, ...]) -> Run:
    """Run all epochs, evaluating and recording between them outside the training clock."""
    names = ("loss", "train_acc", "test_acc", "seconds", "forward", "backward")
    history: dict[str, list[float | None]] = {name: [] for name in names}
    bits: dict[str, list[np.ndarray]] = {"visited": [], "correct": []}
    recorded, seconds = [], 0.0
    if 0 in record_at:
        recorded.append(loop.record(record_at[-1] == 0))
    for number in range(loop.recipe.epochs):
        start = time.perf_counter()
        loss, accuracy = loop.epoch(number)
        seconds += time.perf_counter() - start
        if not np.isfinite(loss):
            raise StudyError(f"training diverged in epoch {number + 1}: the loss is {loss}")
        tested = loop.test_accuracy() if loop.due(number) else None
        row = (loss, accuracy, tested, seconds, loop.forward, loop.backward)
        for name, value in zip(names, row, strict=True):
            history[name].append(value)
        bits["visited"].append(np.packbits(loop.visited.cpu().numpy()))
        bits["correct"].append(np.packbits(loop.correct.cpu().numpy()))
        if number + 1 in record_at:
            recorded.append(loop.record(record_at[-1] == number + 1))
    trace = {name: np.stack(rows) for name, rows in bits.items()}
    if recorded:
        trace["recorded_epochs"] = np.array(record_at, np.int32)
        trace |= {name: np.stack([r[name] for r in recorded]) for name in RECORDED}
        trace |= {name: recorded[-1][name] for name in ("logits", "features")}
    trace |= {f"sampler_{name}": value for name, value in loop.sampler.log().items()}
    metrics = {
        "test_acc": history["test_acc"][-1],
        "train_acc": history["train_acc"][-1],
        "seconds": seconds,
        "n_train": int(max(np.unpackbits(b).sum() for b in bits["visited"])),
    }
    return Run(loop.model, history, trace, metrics)
