"""Evidence for claims of `adonis` that are no difference or ratio of two cells."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import special

from helpers import data
from helpers.claims.printed import paper_table
from helpers.claims.quantities import (
    Unfit,
    accuracy,
    array,
    error,
    lone_seconds,
    need,
    require_one_device,
    results_of,
    seconds,
)
from helpers.claims.verdicts import Evidence
from helpers.config import Config
from helpers.experiments import Cell, chosen, sampled
from helpers.histograms import accepted_bins
from helpers.ranking import t_interval
from helpers.results import get, online
from helpers.results.store import Result

FULL = Cell(model="proxy")
WITHIN = 5.0  # points below the baseline, `adonis` section 2.1
NEIGHBOURS = 5000  # rows whose neighbours are looked up
ONE_BIN = 0.9  # share of all losses
# Averages of printed boosts: rows of Table A1 that go in, and whether the best a section alone.
OWN = ("IDS", "ADONIS", "IDS+ADONIS")
AVERAGES = {
    "best own row a section": (OWN, True),
    "IDS + ADONIS": (("IDS+ADONIS",), False),
    "all own rows": (OWN, False),
    "ADONIS": (("ADONIS",), False),
    "IDS": (("IDS",), False),
}


def average(config: Config, rows: str) -> Evidence:
    """Return a mean of Table A1's boosts, one of `AVERAGES`; the others in the note."""
    table = paper_table("adonis-table-a1")

    def mean(methods: tuple[str, ...], best: bool) -> float:
        some = table[table["method"].isin(methods)]
        boosts = some["train_boost"]
        return (boosts.groupby([some["dataset"], some["model"]]).max() if best else boosts).mean()

    found = {name: mean(*how) for name, how in AVERAGES.items()}
    note = ", ".join(f"{name}: {value:.2f}x" for name, value in found.items() if name != rows)
    return Evidence(np.array([found[rows]]), unit="x", exact=True, note=note)


def preprocessing(config: Config) -> Evidence:
    """Return by how much the printed seconds of preprocessing lower IDS's printed boosts, in %."""
    rows = paper_table("adonis-table-a1").query("method == 'IDS'")
    rows = rows.merge(paper_table("adonis-table-1"), on=["dataset", "model"])
    rows = rows.merge(paper_table("adonis-preprocessing"), on=["dataset", "method"])
    trained = rows["train_s"] / rows["train_boost"]
    lost = 100 * rows["preprocess_s"] / (trained + rows["preprocess_s"])
    labels = [f"{r.model}, {r.dataset}" for r in rows.itertuples()]
    return Evidence(lost.to_numpy(), labels, "%", exact=True)


def raised(config: Config) -> Evidence:
    """Return whether IDS's gain of accuracy lies above 0 with its interval: (count, settings)."""
    gained = error(config, FULL) - error(config, sampled("ids"))
    if len(gained) < 3:
        raise Unfit(f"needs 3 seeds, has {len(gained)}")
    mean, low, high = t_interval(gained)
    note = f"IDS gains {mean:.2f} [{low:.2f}, {high:.2f}] points"
    return Evidence(np.array([int(low > 0), 1]), note=note)


def front(config: Config, theta: float, options: dict[str, float]) -> Evidence:
    """Return the smaller of each other theta's two leads over this one, (thetas, seeds).

    Leads are points of accuracy and per cent of time; above 0 the other theta is better in both.
    """
    need(config.thetas, theta, at_least=2)
    others = [one for one in config.thetas if one != theta]

    def of(one: float) -> tuple[np.ndarray, np.ndarray]:
        cell = sampled("adonis", eta=1, theta=one, **options)
        return accuracy(config, cell), seconds(config, cell)

    known, took = of(theta)
    leads = [
        np.minimum(other - known, 100 * (took / spent - 1)) for other, spent in map(of, others)
    ]
    return Evidence(np.array(leads), [f"theta {one:g}" for one in others], "points or %")


def short_history(config: Config) -> Evidence:
    """Return how far the last history's histogram lies from that of all losses, (seeds,).

    The distance is total variation over the history's own bins; losses outside of them on either
    side share a bin. All losses are recomputed by the network at its end, rows as they are.
    """
    cell = replace(sampled("adonis", eta=1, alpha=1.0), recorded=True)
    found = [_histograms(run) for run in results_of(config, cell)]
    fullest = min(every.max() for _, every in found)
    if fullest > ONE_BIN:
        raise Unfit(f"{fullest:.0%} of all losses lie in one bin, where any history will do")
    return Evidence(np.array([abs(a - b).sum() / 2 for a, b in found]), unit="distance")


def _histograms(run: Result) -> tuple[np.ndarray, np.ndarray]:
    """Return the shares a bin (bins + 2,) of the last history and of all losses."""
    logits, labels = array(run, "logits").astype(np.float64), array(run, "labels")
    losses = -special.log_softmax(logits, axis=1)[np.arange(len(labels)), labels]
    kept = array(run, "sampler_histories")[-1]
    used = online.settings_of(run.spec)
    inner = accepted_bins(kept, used["theta"], used["sigma"], used["bins"]).edges
    edges = np.concatenate([[-np.inf], inner, [np.inf]])
    first, second = (np.histogram(values, edges)[0] / len(values) for values in (kept, losses))
    return first, second


def to_five(config: Config, fair: bool, options: dict[str, float]) -> Evidence:
    """Return the baseline's seconds over ADONIS's until five points below the baseline, (seeds,).

    Fair, the baseline's clock stops there too; else it runs to the end, as Table A1 counts. 0
    where ADONIS never gets there.
    """
    base, fast = results_of(config, FULL), results_of(config, sampled("adonis", **options))
    require_one_device([*base, *fast])
    boosts = []
    for one, other in zip(base, fast, strict=True):
        goal = one.metrics["test_acc"] - WITHIN / 100
        whole = _seconds_to(one, goal) if fair else lone_seconds(one)
        boosts.append(whole / _seconds_to(other, goal))
    return Evidence(np.array(boosts), unit="x")


def _seconds_to(result: Result, goal: float) -> float:
    """Return `online.seconds_to`, of `lone_seconds`."""
    told = result.metrics
    return online.seconds_to(told["history"], goal) / told["seconds"] * lone_seconds(result)


def baseline(config: Config) -> Evidence:
    """Return the accuracy of ResNet18 on everything less the printed one, (seeds,)."""
    if config.proxy != "resnet18":
        raise Unfit(f"the baseline is ResNet18, these runs are of {config.proxy}")
    data = "CIFAR-100" if config.dataset.startswith("cifar100") else "CIFAR-10"
    printed = paper_table("adonis-table-1").set_index(["dataset", "model"])["acc"]
    return Evidence(accuracy(config, FULL) - printed[data, "ResNet18"])


def neighbours(config: Config) -> Evidence:
    """Return how much better a nearest neighbour in an embedding is than in pixels, (seeds,).

    Points of accuracy among the rows that the network of the last round of active learning did
    not train on, each row's neighbour being another of them.
    """
    need(config.label_budgets)
    cell = Cell("least-confidence", max(config.label_budgets), protocol="active")
    gains = []
    for seed in config.seeds:
        last = chosen(config, cell, seed)
        features, labels = (array(get(last.of[0]), name) for name in ("features", "labels"))
        held = np.setdiff1d(np.arange(len(labels)), get(last.start).arrays["indices"])[:NEIGHBOURS]
        pixels = data.load(config.data_name).train_inputs[held].reshape(len(held), -1)
        right = [_neighbour_right(points, labels[held]) for points in (features[held], pixels)]
        gains.append(100 * (right[0] - right[1]))
    return Evidence(np.array(gains))


def _neighbour_right(points: np.ndarray, labels: np.ndarray) -> float:
    """Return the share of rows (n, d) whose nearest other row has their label (n,)."""
    points = points.astype(np.float32)
    square = (points**2).sum(axis=1)
    dist = square[:, None] + square[None, :] - 2 * points @ points.T
    np.fill_diagonal(dist, np.inf)
    return float((labels[dist.argmin(axis=1)] == labels).mean())
