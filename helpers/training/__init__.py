"""Training: one `fit` for every recipe and sampler, with a trace of every example."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

from helpers import StudyError, device as devices, models, recipes, samplers
from helpers.data import Dataset
from helpers.training.checkpoint import Checkpoint
from helpers.training.inputs import Inputs
from helpers.training.loop import Loop
from helpers.training.trace import Run, TraceRecorder

__all__ = ["Inputs", "Loop", "Run", "fit"]


def fit(
    dataset: Dataset,
    model: str | nn.Module,
    recipe: str | recipes.Recipe,
    sampler: samplers.Sampler | np.ndarray | None = None,
    seed: int = 0,
    device: str = "auto",
    *,
    record_at: tuple[int, ...] = (),
    weights: np.ndarray | None = None,
    source: nn.Module | None = None,
    checkpoint: Path | None = None,
) -> Run:
    """Train a network and keep its trace.

    Where the targets are numbers it has one output, in deviations of the training targets from
    their mean, and learns by the squared error.

    Args:
        dataset: What `helpers.data.load` returns.
        model: A name for `helpers.models.build`, or a network with `features` and `classifier`
            (and `reads_text = True` where it reads texts).
        recipe: A name in `helpers.recipes`, or a `Recipe`.
        sampler: Which rows an epoch visits: one of `helpers.samplers`, row numbers (k,), or
            `None` for all. A class without a row there is not learned and named in the metrics.
        seed: Of the initialisation, the order and the augmentation. On a CPU with the same
            thread count the run repeats bit for bit.
        device: `"auto"`, `"cpu"`, `"cuda"`, `"cuda:N"` or `"mps"`.
        record_at: Epochs (0 = untrained, `epochs` = finished) at which all training rows are
            scored; the last of them also keeps logits and features.
        weights: A flat state from `models.flat_state` to start from.
        source: The network that has these weights, where it learnt other data: the last layer is
            then drawn anew.
        checkpoint: A file in which the run's state is kept while it lasts, and from which it
            goes on where it was cut short: on a CPU to the same bits. The caller removes it.

    Raises:
        StudyError: If a name is unknown, `record_at` lies outside 0..epochs, a row outside the
            training rows, the network reads another kind of input or has fewer outputs than
            there are classes, the device runs out of memory, or a loss is not finite.
    """
    recipe = recipes.get(recipe) if isinstance(recipe, str) else recipe
    where = devices.pick(device)
    if any(not 0 <= e <= recipe.epochs for e in record_at):
        raise StudyError(f"record_at must lie in 0..{recipe.epochs} epochs, got {record_at}")
    record_at = tuple(sorted(set(record_at)))
    sampler = _checked_sampler(sampler, recipe, dataset)
    threads = devices.threads_for(dataset.train_inputs[0].size // dataset.in_channels)
    what = model if isinstance(model, str) else type(model).__name__
    with devices.deterministic(seed, threads, recipe.precision == "mixed"):
        try:
            loop = _loop(dataset, model, recipe, sampler, seed, where)
            _start(loop, weights, source)
            recorder, kept = TraceRecorder("acc" if dataset.class_names else "rmse"), None
            if checkpoint is not None:
                about = {
                    "what": f"{what} on {dataset.name}, seed {seed}",
                    "data": dataset.fingerprint,
                    "recipe": recipe.name,
                    "epochs": recipe.epochs,
                    "sampler": type(sampler).__name__,
                    "record_at": list(record_at),
                }
                kept = Checkpoint(checkpoint, loop, recorder, about)
                kept.resume()
            _drive(loop, recorder, record_at, kept)
        except torch.OutOfMemoryError as error:
            raise StudyError(
                f"{devices.describe(where)} is out of memory for {what} on {dataset.name} in "
                f"batches of {recipe.batch}: take smaller ones ({recipe.name}-bN), a smaller "
                "network, or --device cpu"
            ) from error
    trace = recorder.trace(record_at)
    trace |= {f"sampler_{name}": value for name, value in loop.sampler.log().items()}
    metrics = recorder.metrics() | _missing_classes(dataset, recorder)
    metrics |= kept.metrics() if kept else {}
    metrics |= {"device": devices.describe(where), "threads": threads, "n": dataset.n}
    return Run(loop.model, recorder.history, trace, metrics)


def _checked_sampler(sampler: object, recipe: recipes.Recipe, dataset: Dataset) -> samplers.Sampler:
    if not isinstance(sampler, samplers.Sampler):
        sampler = samplers.Fixed(np.arange(dataset.n) if sampler is None else sampler)
    samplers.check_rows(sampler, recipe.epochs, dataset.n)
    return sampler


def _loop(
    dataset: Dataset,
    model: str | nn.Module,
    recipe: recipes.Recipe,
    sampler: samplers.Sampler,
    seed: int,
    where: torch.device,
) -> Loop:
    if isinstance(model, str):
        model = models.build(model, dataset.n_outputs, dataset.in_channels)
    if bool(getattr(model, "reads_text", False)) != dataset.is_text:
        given, read = ("texts", "images") if dataset.is_text else ("images", "texts")
        raise StudyError(f"{dataset.name} is {given}, the network reads {read}")
    changes = recipe.pad or recipe.crop or recipe.flip or recipe.rotate
    if changes and (dataset.is_text or hasattr(model, "encoded")):
        kind = "texts" if dataset.is_text else "what frozen layers return"
        raise StudyError(f"recipe {recipe.name} crops, mirrors or rotates images, not {kind}")
    outputs = getattr(model.classifier, "out_features", dataset.n_outputs)
    if outputs < dataset.n_outputs:
        raise StudyError(
            f"{dataset.name} has labels 0..{dataset.n_classes - 1}, the network {outputs} outputs"
        )
    return Loop(dataset, models.to_device(model, where), recipe, sampler, seed, where)


def _start(loop: Loop, weights: np.ndarray | None, source: nn.Module | None) -> None:
    """Give a run's network the weights it starts from, if there are any."""
    if weights is not None:
        models.load_state(loop.model, weights, source)
    elif hasattr(loop.model, "prepare_for"):
        loop.model.prepare_for(loop.data.sample(loop.recipe))


def _drive(
    loop: Loop, recorder: TraceRecorder, record_at: tuple[int, ...], kept: Checkpoint | None
) -> None:
    """Run the epochs left, evaluating and recording between them outside the training clock."""
    if 0 in record_at and not recorder.recorded:
        recorder.recorded.append(loop.record(record_at[-1] == 0))
    for number in range(recorder.epochs, loop.recipe.epochs):
        start = time.perf_counter()
        loss, reached = loop.epoch(number)
        recorder.seconds += time.perf_counter() - start
        if not np.isfinite(loss):
            raise StudyError(f"training diverged in epoch {number + 1}: the loss is {loss}")
        tested = loop.tested_now() if loop.due(number) else None
        row = (loss, reached, tested, recorder.seconds, loop.forward, loop.backward)
        recorder.add(row, loop.visited, loop.correct)
        if number + 1 in record_at:
            recorder.recorded.append(loop.record(record_at[-1] == number + 1))
        if kept is not None and number + 1 < loop.recipe.epochs:
            kept.save()


def _missing_classes(dataset: Dataset, recorder: TraceRecorder) -> dict[str, list[str]]:
    if not dataset.class_names:
        return {}
    bits = np.bitwise_or.reduce(recorder.bits["visited"])
    rows = np.flatnonzero(np.unpackbits(bits, count=dataset.n))
    there = np.bincount(dataset.train_labels[rows], minlength=dataset.n_classes)
    names = [name for name, count in zip(dataset.class_names, there, strict=True) if not count]
    return {"missing_classes": names} if names else {}
