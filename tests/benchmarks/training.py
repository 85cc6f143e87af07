"""Images a second of our training loop beside a plain PyTorch loop, in one run: `make speed`.

The plain loop is what a tutorial shows: a DataLoader with torchvision's transforms, float32 in
PyTorch's default layout, torch's own SGD, and loss and hits read with `.item()` every batch. Both
train the same network on the same images; repeats alternate, medians count.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torchvision import transforms

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(ROOT)]

from report import machine  # noqa: E402

from helpers import data, device as devices, models, probing, recipes, samplers, training  # noqa: E402

BATCH, PIXELS, REPEATS, SEEDS, EPOCHS = 128, 32, 5, 3, 8
TARGETS = {"cpu": 2.0, "cuda": 5.0}  # times as fast as the plain loop
# Network -> steps a repeat, some seconds each.
STEPS = {
    "cpu": {"resnet20": 4, "resnet164": 1, "resnet18": 1},
    "cuda": {"resnet20": 200, "resnet164": 60, "resnet18": 100},
}
INTRODUCTION = """\
Images a second of our training loop (`helpers.training`) beside a plain PyTorch loop: DataLoader
with torchvision's transforms, float32, default layout, `.item()` every batch. Same network, same
images (3x32x32, batch 128, random crop and flip), repeats alternating, medians [least, most]."""


def main(arguments: list[str] | None = None) -> int:
    """Measure, print and write the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="toy sizes: does everything run?")
    parser.add_argument("--publish", action="store_true", help="also write TRAINING.md, to commit")
    parser.add_argument("--folder", type=Path, default=ROOT / ".benchmarks", help="for the report")
    options = parser.parse_args(arguments)
    kinds = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    measured = {kind: on_device(torch.device(kind), options.quick) for kind in kinds}
    text = render(measured, options.quick)
    options.folder.mkdir(parents=True, exist_ok=True)
    (options.folder / "training.json").write_text(json.dumps(measured, indent=1) + "\n")
    (options.folder / "training.md").write_text(text, encoding="utf-8")
    if options.publish and not options.quick:
        (HERE / "TRAINING.md").write_text(text, encoding="utf-8")
    print(text)
    return 0


def on_device(where: torch.device, quick: bool) -> dict:
    """Measure everything on one kind of device."""
    threads = 1 if quick else devices.threads_for(PIXELS**2)
    found = {"device": devices.describe(where), "threads": threads, "load": os.getloadavg()[0]}
    mixed = where.type == "cuda" or devices.bfloat16_pays(where)
    steps = {"resnet8-w8": 2} if quick else STEPS[where.type]
    with devices.deterministic(0, threads, mixed):
        found["rates"] = {name: race(name, n, where, mixed, quick) for name, n in steps.items()}
    return found | {"accuracy": accuracy(where, quick)}


def race(
    name: str, steps: int, where: torch.device, mixed: bool, quick: bool
) -> dict[str, list[float]]:
    """Return the images a second of both loops on noise, a number a repeat."""
    rng, n = np.random.default_rng(0), BATCH * steps
    images = rng.integers(0, 256, (n, 3, PIXELS, PIXELS), dtype=np.uint8)
    labels = rng.permutation(np.arange(n) % 10)
    noise = data.Dataset("noise", images, labels, images[:10], np.arange(10), tuple("0123456789"))
    recipe = dataclasses.replace(
        recipes.get("svp"), batch=BATCH, precision="mixed" if mixed else "float32"
    )
    torch.manual_seed(0)
    model = models.to_device(models.build(name, 10, 3), where)
    ours = training.Loop(noise, model, recipe, samplers.Fixed(np.arange(n)), 0, where)
    loops = {"ours": lambda: ours.epoch(0), "plain": plain_loop(noise, name, recipe, 4, where)}
    rates: dict[str, list[float]] = {who: [] for who in loops}
    for repeat in range(4 if quick else 2 + REPEATS):
        for who, epoch in loops.items():
            seconds = clocked(epoch, where)
            if repeat > 1:  # kernels are chosen and warmed up by then
                rates[who].append(n / seconds)
    return rates


def clocked(call: Callable[[], object], where: torch.device) -> float:
    """Return the seconds of a call, the device's work included."""
    wait = torch.cuda.synchronize if where.type == "cuda" else lambda: None
    wait()
    start = time.perf_counter()
    call()
    wait()
    return time.perf_counter() - start


def plain_loop(
    dataset: data.Dataset, name: str, recipe: recipes.Recipe, pad: int, where: torch.device
) -> Callable[[], torch.nn.Module]:
    """Return an epoch as tutorials write it, with the recipe's rate step by step."""
    mean, std = (part.tolist() for part in probing.normalisation(dataset.train_inputs))
    images, labels = dataset.train_inputs, dataset.train_labels
    size = images.shape[2:]
    own = (
        [transforms.RandomCrop(size, padding=pad), transforms.RandomHorizontalFlip()] if pad else []
    )
    transform = transforms.Compose([*own, transforms.ToTensor(), transforms.Normalize(mean, std)])

    class Images(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return len(images)

        def __getitem__(self, i: int) -> tuple:
            picture = Image.fromarray(images[i].transpose(1, 2, 0).squeeze())
            return transform(picture), int(labels[i])

    on_gpu = where.type == "cuda"
    workers = min(8, os.cpu_count() or 1) if on_gpu else 0
    loader = torch.utils.data.DataLoader(
        Images(), recipe.batch, shuffle=True, num_workers=workers, pin_memory=on_gpu,
        persistent_workers=on_gpu,
    )  # fmt: skip
    model = models.build(name, dataset.n_classes, dataset.in_channels).to(where)
    optimiser = torch.optim.SGD(
        model.parameters(), recipe.rate, recipe.momentum, weight_decay=recipe.weight_decay
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: recipe.rate_at((step + 0.5) / len(loader)) / recipe.rate
    )

    def epoch() -> torch.nn.Module:
        total, hits = 0.0, 0
        model.train()
        for batch, answers in loader:
            batch, answers = batch.to(where), answers.to(where)
            optimiser.zero_grad()
            logits = model(batch)
            loss = F.cross_entropy(logits, answers)
            loss.backward()
            optimiser.step()
            schedule.step()
            total += loss.item() * len(answers)
            hits += (logits.argmax(dim=1) == answers).sum().item()
        return model

    return epoch


def accuracy(where: torch.device, quick: bool) -> dict:
    """Train the digits network with both loops, several seeds; return final test accuracies."""
    digits = data.load("digits@300+100" if quick else "digits")
    name, recipe = "resnet8-w8", recipes.get("digits", 2 if quick else EPOCHS)
    inputs = training.Inputs(digits, where)
    found = {"data": digits.name, "network": name, "epochs": recipe.epochs, "ours": [], "plain": []}
    for seed in range(2 if quick else SEEDS):
        run = training.fit(digits, name, recipe, seed=seed, device=where.type)
        found["ours"].append(run.metrics["test_acc"])
        torch.manual_seed(seed)
        epoch = plain_loop(digits, name, recipe, 0, where)
        for _ in range(recipe.epochs):
            model = epoch()
        logits, _ = probing.outputs(model, inputs.test, inputs.mean, inputs.std)
        hits = (logits.argmax(dim=1) == inputs.test_labels).float().mean()
        found["plain"].append(float(hits))
    return found


def render(measured: dict[str, dict], quick: bool) -> str:
    """Return the report of what was measured on each kind of device."""
    parts = ["# How fast training is"]
    parts += ["**Quick run at toy sizes: targets are not judged.**"] if quick else []
    parts += [f"{datetime.date.today()}, {machine()}, torch {torch.__version__}.", INTRODUCTION]
    parts += [] if "cuda" in measured else ["CUDA: not measured, there was no GPU."]
    for kind, found in measured.items():
        parts.append(f"## {found['device']}, {found['threads']} threads")
        parts.append(f"Load before it: {found['load']:.1f}.")
        lines = ["| network | ours, images/s | plain, images/s | ratio | target |"]
        lines.append("|---|---|---|---|---|")
        for name, rates in found["rates"].items():
            medians = {who: statistics.median(of) for who, of in rates.items()}
            ratio = medians["ours"] / medians["plain"]
            verdict = "met" if ratio >= TARGETS[kind] else "missed"
            told = [f"{medians[who]:,.0f} [{min(of):,.0f}, {max(of):,.0f}]"
                    for who, of in rates.items()]  # fmt: skip
            lines.append(
                f"| {name} | {' | '.join(told)} | {ratio:.2f} | {TARGETS[kind]:g}, {verdict} |"
            )
        parts += ["\n".join(lines), of_accuracy(found["accuracy"])]
    return "\n\n".join(parts) + "\n"


def of_accuracy(found: dict) -> str:
    """Compare the test accuracies of both loops."""
    ours, plain = (
        (statistics.mean(of), statistics.stdev(of)) for of in (found["ours"], found["plain"])
    )
    noise = ((ours[1] ** 2 + plain[1] ** 2) / len(found["ours"])) ** 0.5
    verdict = "the same" if abs(ours[0] - plain[0]) <= 2 * noise + 0.005 else "not the same"
    return (
        f"Accuracy after {found['epochs']} epochs of {found['network']} on {found['data']}, "
        f"{len(found['ours'])} seeds: ours {ours[0]:.1%} (spread {ours[1]:.1%}), "
        f"plain {plain[0]:.1%} ({plain[1]:.1%}): {verdict}."
    )


if __name__ == "__main__":
    sys.exit(main())
