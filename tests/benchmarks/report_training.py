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
    parts = [section(kind, found, quick) for kind, found in measured.items()]
    return "\n\n".join(["# How fast training is", *head, *parts]) + "\n"


def section(kind: str, found: dict, quick: bool) -> str:
    """Return one device's table and what follows from it."""
    chip = found["peak"]
    lines = [f"## {found['device']}" + (f", {found['threads']} threads" if kind == "cpu" else "")]
    lines.append(
        f"Peak: {chip['flops'] / 1e9:,.0f} GFLOP/s in {chip['type']}, of a large matrix product "
        f"measured in the same run. Load before it: {found['load']:.1f}."
    )
    lines.append(table(found, TARGETS[kind]))
    if not quick:
        lines += [
            why(name, row, chip, TARGETS[kind])
            for name, row in found["networks"].items()
            if ratio(row) < TARGETS[kind]
        ]
    lines += [unsteady(name, row) for name, row in found["networks"].items() if spread(row)]
    return "\n\n".join([*lines, accuracy(found["accuracy"])])


def ratio(row: dict) -> float:
    """Return how many times as fast as the plain loop ours is."""
    return row["ours"] / row["plain"]


def share(row: dict, chip: dict, who: str) -> float:
    """Return the share of the chip's peak that a loop's products reach."""
    return row[who] * row["flops"] / chip["flops"]


def table(found: dict, target: float) -> str:
    """Return the table of networks."""
    lines = [
        "| network | MFLOP an image | ours, images/s | plain, images/s | ratio | target "
        "| share of peak | of the plain loop |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, row in found["networks"].items():
        ours, plain = (share(row, found["peak"], who) for who in ("ours", "plain"))
        verdict = "met" if ratio(row) >= target else "missed"
        lines.append(
            f"| {name} | {row['flops'] / 1e6:,.0f} | {row['ours']:,.0f} | {row['plain']:,.0f} "
            f"| {ratio(row):.2f} | {target:g}, {verdict} | {ours:.0%} | {plain:.0%} |"
        )
    return "\n".join(lines)


def why(name: str, row: dict, chip: dict, target: float) -> str:
    """Say what stands between a network and its target, from the measured shares."""
    ours, plain = share(row, chip, "ours"), share(row, chip, "plain")
    text = (
        f"{name} misses {target:g} times: the plain loop's products run at {plain:.0%} of the "
        f"peak, so that {target:g} times would need {plain * target:.0%} of it, and the whole "
        f"peak would be {1 / plain:.1f} times. "
    )
    if row.get("products"):
        free = ratio(row) / row["products"]
        text += (
            f"{row['products']:.0%} of our time is the library's convolutions and products; were "
            f"all else free, the ratio would be {free:.2f}. "
        )
    else:
        text += f"Ours reach {ours:.0%}. Steps: {row['engine']}. "
    return text.strip()


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
