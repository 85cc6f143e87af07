"""Evidence for `svp-slides`: costs of a step, gains of depth and of time, combined rankings."""

from __future__ import annotations

import numpy as np

from helpers import scores
from helpers.claims.evidence.measurements import measure
from helpers.claims.evidence.svp import stepped
from helpers.claims.quantities import Unfit, error, error_at, need, results_of, seconds
from helpers.claims.verdicts import Evidence
from helpers.config import Config
from helpers.experiments import Cell
from helpers.ranking import pearson
from helpers.results import readings

# Epochs of proxy and target: `svp` A.1 for texts, `svp-slides` for CIFAR-10.
TRAINED = {"fastText for VDCNN29": (5, 15), "ResNet20 for ResNet164": (50, 181)}


def cheapness(config: Config) -> Evidence:
    """Return the dearer choice over the cheaper one, of the pair with the largest, (1, repeats).

    A step's seconds times epochs; what a choice costs besides is left out on both sides.
    """
    timed = measure("step-seconds", timed=True).arrays
    epochs = np.array(list(TRAINED.values()))[:, ::-1]
    ratio = timed["seconds_target"] / timed["seconds_proxy"] * (epochs[:, :1] / epochs[:, 1:])
    best = int(np.argmax(ratio.mean(axis=1)))
    told = ", ".join(f"{m:.0f}x {n}" for m, n in zip(ratio.mean(axis=1), TRAINED, strict=True))
    return Evidence(ratio[best : best + 1], unit="x", note=f"one CPU, epochs counted: {told}")


def depth(config: Config) -> Evidence:
    """Return how much less a minute brings at each further step in depth, (steps - 1, seeds).

    Points gained a minute from one depth to the next, less the same one step deeper.
    """
    need(config.models, at_least=3)
    cells = [Cell(model=model) for model in config.models]
    minutes = np.diff([seconds(config, cell) / 60 for cell in cells], axis=0)
    if (minutes <= 0).any():
        raise Unfit("a deeper network trained no longer")
    gained = -np.diff([error(config, cell) for cell in cells], axis=0) / minutes
    steps = [f"{a} to {b}" for a, b in zip(config.models[1:], config.models[2:], strict=False)]
    return Evidence(-np.diff(gained, axis=0), steps, "points a minute")


def halves(config: Config) -> Evidence:
    """Return points gained in the second half of the proxy's time over the first's, (1, seeds).

    Note: the first half ends after 12 of 22 minutes, as the figure is read, and is counted from the
        end of epoch 1, the first error that is known.
    """
    found = stepped(config)
    start, half, end = np.array([[error_at(r, at) for at in (0.0, 12 / 22, 1.0)] for r in found]).T
    if len(found[0].metrics["history"]["test_acc"]) < 20:
        raise Unfit("fewer than 20 epochs have no halves")
    first = np.where(start > half, start - half, np.nan)
    return Evidence(((half - end) / first)[None], unit="share of the first half's gain")


def combined(config: Config) -> Evidence:
    """Return Pearson with the target of two combined proxies less the better one's, (1, seeds).

    The two proxies beside a target are of the two seeds that follow its own: runs of one seed
    share the order of their batches.
    """
    targets, proxies = (
        [scores.combine_ranks([readings.entropy_of(r)]) for r in results_of(config, Cell(model=m))]
        for m in ("target", "proxy")
    )
    need(proxies, at_least=3)
    gained = []
    for i, target in enumerate(targets):
        pair = [proxies[(i + step) % len(proxies)] for step in (1, 2)]
        best = max(pearson(one, target) for one in pair)
        gained.append(pearson(scores.combine_ranks(pair), target) - best)
    return Evidence(np.array([gained]), unit="r", note="two proxies combined")
