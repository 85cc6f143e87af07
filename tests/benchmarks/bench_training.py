"""Images a second of `helpers.training.fit`'s loop beside a plain PyTorch loop, in one run.

    python tests/benchmarks/bench_training.py            # on the CPU and on CUDA, if it is there
    python tests/benchmarks/bench_training.py --publish  # also writes TRAINING.md

The plain loop is what a tutorial shows: a DataLoader with torchvision's transforms, float32 in
PyTorch's default layout, torch's own SGD, and loss and hits read with `.item()` every batch. Both
train the same network on the same images; repeats alternate, medians count.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(ROOT)]

import report_training  # noqa: E402

WORKLOADS = ()  # run.py, which times one call a process, has nothing to do with this file
NETWORKS = ("resnet20", "resnet164", "resnet18")
BATCH, PIXELS, REPEATS = 128, 32, 5
# Steps a repeat, by device and network: some seconds each.
STEPS = {
    "cpu": {"resnet20": 4, "resnet164": 1, "resnet18": 1},
    "cuda": {"resnet20": 200, "resnet164": 60, "resnet18": 100},
}
SEEDS, EPOCHS = 3, 8


def main(arguments: list[str] | None = None) -> int:
    """Measure, print and write the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="toy sizes: does everything run?")
    parser.add_argument("--publish", action="store_true", help="also write TRAINING.md, to commit")
    parser.add_argument("--folder", type=Path, default=ROOT / ".benchmarks", help="for the report")
    options = parser.parse_args(arguments)
    import torch

    kinds = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    measured = {kind: on_device(kind, options.quick) for kind in kinds}
    text = report_training.render(measured, options.quick)
    options.folder.mkdir(parents=True, exist_ok=True)
    (options.folder / "training.json").write_text(json.dumps(measured, indent=1) + "\n")
    (options.folder / "training.md").write_text(text, encoding="utf-8")
    if options.publish and not options.quick:
        (HERE / "TRAINING.md").write_text(text, encoding="utf-8")
    print(text)
    return 0


def on_device(kind: str, quick: bool) -> dict:
    """Measure everything on one kind of device."""
    import torch

    from helpers import device as devices

    where = torch.device(kind)
    threads = 1 if quick else devices.threads_for(PIXELS**2)
    found = {"device": devices.describe(where), "threads": threads, "load": os.getloadavg()[0]}
    mixed = kind == "cuda" or devices.bfloat16_pays(where)
    with devices.deterministic(0, threads, mixed):
        names = ("resnet8-w8",) if quick else NETWORKS
        found["networks"] = {name: race(name, where, mixed, quick) for name in names}
    found["accuracy"] = accuracy(kind, quick)
    return found


def clocked(call: Callable[[], object], where: object) -> float:
    """Return the seconds of a call, the device's work included."""
    import torch

    if where.type == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    call()
    if where.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def race(name: str, where: object, mixed: bool, quick: bool) -> dict:
    """Measure one network: images a second of both loops, every repeat."""
    steps = 2 if quick else STEPS[where.type][name]
    rng, n = np.random.default_rng(0), BATCH * steps
    images = rng.integers(0, 256, (n, 3, PIXELS, PIXELS), dtype=np.uint8)
    labels = rng.integers(0, 10, n)
    labels[:10] = np.arange(10)
    loops = {
        "ours": our_loop(name, images, labels, where, mixed),
        "plain": plain_loop(name, images, labels, where),
    }
    rates: dict[str, list[float]] = {who: [] for who in loops}
    for repeat in range(4 if quick else 2 + REPEATS):
        for who, epoch in loops.items():
            seconds = clocked(epoch, where)
            if repeat > 1:  # kernels are chosen and warmed up by then
                rates[who].append(n / seconds)
    return {who: statistics.median(found) for who, found in rates.items()} | {"rates": rates}


def our_loop(
    name: str, images: np.ndarray, labels: np.ndarray, where: object, mixed: bool
) -> Callable[[], None]:
    """Return an epoch of our loop."""
    import torch

    from helpers import models, recipes, samplers, training
    from helpers.data import Dataset

    names = tuple(map(str, range(10)))
    dataset = Dataset("noise", images, labels, images[:10], labels[:10], names)
    recipe = dataclasses.replace(
        recipes.get("svp"), batch=BATCH, precision="mixed" if mixed else "float32"
    )
    torch.manual_seed(0)
    model = models.to_device(models.build(name, 10, 3), where)
    rows = samplers.Fixed(np.arange(len(images)))
    loop = training.Loop(dataset, model, recipe, rows, 0, where)
    return lambda: loop.epoch(0)


def batches(
    images: np.ndarray,
    labels: np.ndarray,
    mean: list[float],
    std: list[float],
    pad: int,
    batch: int,
    cuda: bool,
) -> object:
    """Return a DataLoader with torchvision's transforms on PIL images, as tutorials build it."""
    import torch
    from PIL import Image
    from torchvision import transforms

    crop = [transforms.RandomCrop(images.shape[2:], padding=pad)] if pad else []
    flip = [transforms.RandomHorizontalFlip()] if pad else []
    steps = [*crop, *flip, transforms.ToTensor(), transforms.Normalize(mean, std)]
    transform = transforms.Compose(steps)

    class Images(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return len(images)

        def __getitem__(self, i: int) -> tuple:
            pixels = images[i].transpose(1, 2, 0)
            return transform(Image.fromarray(pixels.squeeze())), int(labels[i])

    workers = min(8, os.cpu_count() or 1) if cuda else 0
    return torch.utils.data.DataLoader(
        Images(),
        batch,
        shuffle=True,
        num_workers=workers,
        pin_memory=cuda,
        persistent_workers=workers > 0,
    )


def plain_loop(
    name: str, images: np.ndarray, labels: np.ndarray, where: object
) -> Callable[[], None]:
    """Return an epoch of the plain loop."""
    import torch

    from helpers import models

    torch.manual_seed(0)
    model = models.build(name, 10, 3).to(where)
    optimiser = torch.optim.SGD(model.parameters(), 0.1, 0.9, weight_decay=5e-4)
    loader = batches(images, labels, [0.5] * 3, [0.25] * 3, 4, BATCH, where.type == "cuda")
    return lambda: plain_epoch(model, loader, optimiser, where)


def plain_epoch(model: object, loader: object, optimiser: object, where: object) -> float:
    """Train an epoch as tutorials do; return its accuracy."""
    import torch.nn.functional as F

    total, hits, n = 0.0, 0, 0
    model.train()
    for images, labels in loader:
        images, labels = images.to(where), labels.to(where)
        optimiser.zero_grad()
        logits = model(images)
        loss = F.cross_entropy(logits, labels)
        loss.backward()
        optimiser.step()
        total += loss.item() * len(labels)
        hits += (logits.argmax(dim=1) == labels).sum().item()
        n += len(labels)
    return hits / n


def accuracy(kind: str, quick: bool) -> dict:
    """Train the digits network with both loops, several seeds; return final test accuracies."""
    from helpers import data, recipes, training

    dataset = data.load("digits@300+100" if quick else "digits")
    recipe = recipes.get("digits", 2 if quick else EPOCHS)
    seeds = range(2 if quick else SEEDS)
    runs = (training.fit(dataset, "resnet8-w8", recipe, seed=s, device=kind) for s in seeds)
    return {
        "data": dataset.name,
        "network": "resnet8-w8",
        "epochs": recipe.epochs,
        "ours": [run.metrics["test_acc"] for run in runs],
        "plain": list(plain_runs(dataset, recipe, seeds, kind)),
    }


def plain_runs(dataset: object, recipe: object, seeds: range, kind: str) -> Iterator[float]:
    """Yield the test accuracy of the plain loop on the same data, schedule and network."""
    import torch

    from helpers import models, probing
    from helpers.training import Inputs

    where = torch.device(kind)
    inputs = Inputs(dataset, where)
    rows, labels = dataset.train_inputs, dataset.train_labels
    mean, std = inputs.mean.tolist(), inputs.std.tolist()
    loader = batches(rows, labels, mean, std, 0, recipe.batch, kind == "cuda")
    for seed in seeds:
        torch.manual_seed(seed)
        model = models.build("resnet8-w8", dataset.n_classes, dataset.in_channels).to(where)
        optimiser = torch.optim.SGD(
            model.parameters(), recipe.rate, recipe.momentum, weight_decay=recipe.weight_decay
        )
        stepping = Scheduled(optimiser, recipe, len(loader))
        for _ in range(recipe.epochs):
            plain_epoch(model, loader, stepping, where)
        logits, _ = probing.outputs(model, inputs.test, inputs.mean, inputs.std)
        yield float((logits.argmax(dim=1) == inputs.test_labels).float().mean())


class Scheduled:
    """An optimiser whose rate follows a recipe step by step."""

    def __init__(self, optimiser: object, recipe: object, steps: int) -> None:
        import torch

        def factor(step: int) -> float:
            return recipe.rate_at((step + 0.5) / steps) / recipe.rate

        self.optimiser = optimiser
        self.schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, factor)

    def zero_grad(self) -> None:
        """Forget the gradients."""
        self.optimiser.zero_grad()

    def step(self) -> None:
        """Update the weights, then the rate."""
        self.optimiser.step()
        self.schedule.step()


if __name__ == "__main__":
    sys.exit(main())
