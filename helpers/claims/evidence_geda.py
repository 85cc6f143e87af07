"""Evidence for the claims of `geda`: the ladder from random to GEDA, its program and its N."""

from __future__ import annotations

import numpy as np

from helpers import experiments as ex
from helpers.claims.stored import (
    BySeed,
    Evidence,
    Missing,
    accuracy,
    full,
    load,
    measured,
    need,
    number,
    parts,
    require_alone,
    seconds,
)
from helpers.experiments import Config
from helpers.ranking import t_interval
from helpers.specs import Measure

SAME = 0.5  # points: two rungs this close count as equal


def rung(scale: Config, name: str, percentage: float) -> BySeed:
    """Return seed -> the proxy network trained on a rung's choice."""
    return lambda seed: ex.ladder_run(scale, name, percentage, seed)


def step(scale: Config, upper: str, lower: str, percentages: tuple[float, ...]) -> np.ndarray:
    """Return accuracy on one rung less accuracy on another, (percentages, seeds)."""
    need(percentages)
    return np.array(
        [accuracy(scale, rung(scale, upper, p)) - accuracy(scale, rung(scale, lower, p))
         for p in percentages]
    )  # fmt: skip


def names_of(percentages: tuple[float, ...]) -> list[str]:
    """Return percentages as labels."""
    return [f"{percentage:.0%}" for percentage in percentages]


@measured
def geda_02(scale: Config) -> Evidence:
    """Accuracy of the full set less random per class, and its rise with what is removed."""
    whole = accuracy(scale, full(scale, scale.proxy))
    kept = [accuracy(scale, rung(scale, "random-per-class", p)) for p in scale.percentages]
    gaps = whole - np.array(kept)
    found = {"gap": {"differences": gaps, "labels": names_of(scale.percentages)}}
    if len(scale.percentages) > 1:
        found["trend"] = {"values": gaps.T, "x": [1 - p for p in scale.percentages]}
    return found


@measured
def geda_03(scale: Config) -> Evidence:
    """Accuracy of random per quartile less random per class, (percentages, seeds)."""
    rungs = ("random-per-quartile", "random-per-class")
    return {"differences": step(scale, *rungs, scale.percentages)}


@measured
def geda_04(scale: Config) -> Evidence:
    """Accuracy of evenly spaced less random per quartile without the 20 % cell."""
    rungs = ("evenly-spaced", "random-per-quartile")
    found = {"differences": step(scale, *rungs, tuple(p for p in scale.percentages if p != 0.2))}
    if 0.2 in scale.percentages:
        found["note"] = f"at 20 %: {step(scale, *rungs, (0.2,)).mean():+.2f} points"
    return found


@measured
def geda_05(scale: Config) -> Evidence:
    """Accuracy of GEDA less evenly spaced, (percentages, seeds)."""
    found = step(scale, "geda-random", "evenly-spaced", scale.percentages)
    _, low, high = t_interval(found.reshape(-1))
    same = low >= -SAME and high <= SAME
    return {"differences": found, "note": f"the same within {SAME} points" if same else ""}


@measured
def geda_07(scale: Config) -> Evidence:
    """Accuracy of GEDA less random per class, percentage by percentage."""
    return {
        "differences": step(scale, "geda-random", "random-per-class", scale.percentages),
        "labels": names_of(scale.percentages),
    }


def solving_share(scale: Config) -> Evidence:
    """Seconds that HiGHS takes for all classes over the subset run's training seconds."""
    measure = load(Measure("geda-milp"))
    require_alone([measure])
    counts = np.bincount(load(ex.depth_run(scale, scale.proxy, scale.first_seed)).arrays["labels"])
    sizes = measure.arrays["sizes"]
    large = np.flatnonzero(sizes >= counts.max())
    if not len(large):
        raise Missing(f"no class of {counts.max()} was solved")
    solve = len(counts) * measure.arrays["seconds_highs"][large[0]]
    train = seconds(scale, rung(scale, "geda-random", min(scale.percentages)))[0]
    note = f"{len(counts)} classes solved as if they had {sizes[large[0]]} points"
    return {"values": solve / train, "note": note}


@measured
def geda_17(scale: Config) -> Evidence:
    """Gap between solver and closed form, and solving over training time."""

    def objective() -> Evidence:
        metrics = load(Measure("geda-milp")).metrics
        return {"values": number(metrics["largest_difference"])}

    return parts(objective=objective, time=lambda: solving_share(scale))


@measured
def geda_18(scale: Config) -> Evidence:
    """Accuracy at the smallest percentage for every N, (Ns, seeds)."""
    need(scale.node_counts, 5, at_least=2)
    values = [
        accuracy(scale, lambda seed, n=n: ex.node_run(scale, n, seed)) for n in scale.node_counts
    ]
    return {"values": values, "settings": list(scale.node_counts)}


@measured
def geda_19(scale: Config) -> Evidence:
    """Largest end terms of the trapezoid rule over random classes."""
    metrics = load(Measure("geda-end-term")).metrics
    note = f"dropped term beyond its bound in {metrics['n_beyond_bound']} instances"
    smallest = number(metrics["largest_at_smallest_norm"])
    return {
        "largest": {"values": number(metrics["largest_at_largest_norm"])},
        "smallest": {"values": smallest},
        "note": note,
    }


@measured
def geda_25(scale: Config) -> Evidence:
    """Accuracy of each variant less plain GEDA at the smallest percentage, (variants, seeds).

    The variants are the smoothed ECDF and quantile nodes at equal N, and the rule with every
    larger N. Simpson's rule keeps the same rows as the trapezoid at equal N and needs no run.
    """
    plain = accuracy(scale, rung(scale, "geda-random", min(scale.percentages)))
    runs: dict[str, BySeed] = {
        "smoothed": lambda seed: ex.variant_run(scale, "smoothed", seed),
        "quantile nodes": lambda seed: ex.variant_run(scale, "quantile", seed),
    }
    for n in scale.node_counts:
        if n > scale.n_nodes:
            runs[f"N = {n}"] = lambda seed, n=n: ex.node_run(scale, n, seed)
    differences = np.array([accuracy(scale, run) - plain for run in runs.values()])
    return {"differences": differences, "labels": list(runs)}
