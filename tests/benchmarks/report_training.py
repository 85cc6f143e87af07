"""The report of bench_training.py; every sentence about a number is computed from the numbers."""

from __future__ import annotations

import datetime
import importlib.metadata
import statistics

from report import machine

TARGETS = {"cpu": 2.0, "cuda": 5.0}
# Repeats that lie further apart than this share of their median are told.
SPREAD = 0.15
INTRODUCTION = """\
Images a second of our training loop (`helpers.training`) beside a plain PyTorch loop: DataLoader
with torchvision's transforms, float32, default layout, `.item()` every batch. Same network, same
images (3x32x32, batch 128, random crop and flip), repeats alternating, medians."""


def render(measured: dict[str, dict], quick: bool) -> str:
    """Return the report of what was measured on each kind of device."""
    head = [
        f"{datetime.date.today()}, {machine()}, torch {importlib.metadata.version('torch')}.",
        INTRODUCTION,
    ]
    if quick:
        head.insert(0, "**Quick run at toy sizes: targets are not judged.**")
    if "cuda" not in measured:
        head.append("CUDA: not measured, there was no GPU.")
    parts = [section(kind, found) for kind, found in measured.items()]
    return "\n\n".join(["# How fast training is", *head, *parts]) + "\n"


def section(kind: str, found: dict) -> str:
    """Return one device's table and what follows from it."""
    lines = [f"## {found['device']}" + (f", {found['threads']} threads" if kind == "cpu" else "")]
    lines += [f"Load before it: {found['load']:.1f}.", table(found, TARGETS[kind])]
    lines += [unsteady(name, row) for name, row in found["networks"].items() if spread(row)]
    return "\n\n".join([*lines, accuracy(found["accuracy"])])


def table(found: dict, target: float) -> str:
    """Return the table of networks."""
    lines = [
        "| network | ours, images/s | plain, images/s | ratio | target |",
        "|---|---|---|---|---|",
    ]
    for name, row in found["networks"].items():
        ratio = row["ours"] / row["plain"]
        verdict = "met" if ratio >= target else "missed"
        rates = f"{row['ours']:,.0f} | {row['plain']:,.0f} | {ratio:.2f}"
        lines.append(f"| {name} | {rates} | {target:g}, {verdict} |")
    return "\n".join(lines)


def spread(row: dict) -> bool:
    """Tell whether the repeats lie far apart."""
    return any(
        max(values) - min(values) > SPREAD * statistics.median(values)
        for values in row["rates"].values()
    )


def unsteady(name: str, row: dict) -> str:
    """Say between which numbers the repeats lay."""
    found = [
        f"{who} {min(values):,.0f} to {max(values):,.0f}" for who, values in row["rates"].items()
    ]
    return f"{name}'s repeats lay apart (images/s: {', '.join(found)}): the machine was not quiet."


def accuracy(found: dict) -> str:
    """Compare the test accuracies of both loops."""
    means = {who: statistics.mean(found[who]) for who in ("ours", "plain")}
    spreads = {who: statistics.stdev(found[who]) for who in ("ours", "plain")}
    difference = means["ours"] - means["plain"]
    noise = (sum(s**2 for s in spreads.values()) / len(found["ours"])) ** 0.5
    verdict = "the same" if abs(difference) <= 2 * noise + 0.005 else "not the same"
    return (
        f"Accuracy after {found['epochs']} epochs of {found['network']} on {found['data']}, "
        f"{len(found['ours'])} seeds: ours {means['ours']:.1%} (spread {spreads['ours']:.1%}), "
        f"plain {means['plain']:.1%} ({spreads['plain']:.1%}): {verdict}."
    )
