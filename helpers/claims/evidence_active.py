"""Evidence for the claims of `svp` about active learning: a proxy labels, the target is trained.

Each function takes the study's scale; what it returns stands in its first line, with the shapes
that the claim's rule expects: seeds last, differences in percentage points.
"""

from __future__ import annotations

import numpy as np

from helpers import experiments as ex
from helpers.claims.rules import non_inferior
from helpers.claims.stored import (
    BySeed,
    Evidence,
    Missing,
    choosing_seconds,
    error,
    full,
    measured,
    parts,
    seconds,
)
from helpers.claims.verdicts import HOLDS
from helpers.experiments import Config
from helpers.specs import rounds

MARGIN = 0.5  # points of error that count as no loss


def labelled(scale: Config, method: str, budget: float, by: str = "") -> BySeed:
    """Return seed -> the target trained on what a network labelled up to a budget."""
    return lambda seed: ex.active_run(scale, method, budget, seed, by)


def gaps(
    scale: Config, first: tuple[str, str], second: tuple[str, str], budgets: tuple[float, ...]
) -> np.ndarray:
    """Return error of one (method, selector) less another's, shape (budgets, seeds)."""
    errors = [
        [error(scale, labelled(scale, method, budget, by)) for budget in budgets]
        for method, by in (first, second)
    ]
    return np.array(errors[0]) - np.array(errors[1])


def shares(budgets: tuple[float, ...]) -> list[str]:
    """Return the labels of label budgets."""
    return [f"{budget:g}" for budget in budgets]


def labelling_seconds(scale: Config, method: str, by: str) -> np.ndarray:
    """Return seconds of all rounds up to each budget, shape (budgets, seeds).

    The final training of the target is not among them.

    Raises:
        Missing: If a round is not stored.
        Unfit: If one of them shared its machine, or they ran on different devices.

    Source: `svp` Table 1: the data-selection speed-up is this of the target as its own
        selector, divided by this of the proxy.
    """

    def spent(budget: float, seed: int) -> float:
        return choosing_seconds(list(rounds(ex.active_choice(scale, method, budget, seed, by))))

    return np.array([[spent(b, seed) for seed in scale.seeds] for b in scale.label_budgets])


def speed_ups(scale: Config, method: str, by: str = "") -> np.ndarray:
    """Return how many times longer the target labels than a proxy, shape (budgets, seeds)."""
    target = labelling_seconds(scale, method, scale.target)
    return target / labelling_seconds(scale, method, by or scale.proxy)


@measured
def svp_03(scale: Config) -> Evidence:
    """Error where the proxy labels less where the target does, confidence, (budgets, seeds)."""
    pair = (("least-confidence", scale.proxy), ("least-confidence", scale.target))
    return {
        "differences": gaps(scale, *pair, scale.label_budgets),
        "labels": shares(scale.label_budgets),
    }


@measured
def svp_04(scale: Config) -> Evidence:
    """Speed-up of labelling by confidence up to the largest budget over that of one training."""
    target, proxy = seconds(scale, full(scale, scale.target), full(scale, scale.proxy))
    found = speed_ups(scale, "least-confidence")[-1]
    note = f"{np.median(found):.2f}x where one training is {np.median(target / proxy):.2f}x longer"
    return {"values": found / (target / proxy), "note": note}


@measured
def svp_05(scale: Config) -> Evidence:
    """Speed-up of labelling by confidence at each budget, (seeds, budgets)."""
    if len(scale.label_budgets) < 2:
        raise Missing("one label budget shows no trend")
    return {"values": speed_ups(scale, "least-confidence").T, "x": scale.label_budgets}


@measured
def svp_06(scale: Config) -> Evidence:
    """Largest speed-up of k-centers among budgets and proxies that lose nothing, (seeds,).

    A cell loses nothing where its error less that of the target's labels is surely below half
    a point; without such a cell there is no number, and the rule stays undecided.
    """
    cells = []
    for by in ex.selectors(scale)[:-1]:
        lost = gaps(scale, ("k-centers", by), ("k-centers", scale.target), scale.label_budgets)
        for harm, found in zip(lost, speed_ups(scale, "k-centers", by), strict=True):
            cells.append((non_inferior(harm, margin=MARGIN).verdict == HOLDS, found))
    fastest = max(float(np.median(found)) for _, found in cells)
    note = f"{sum(safe for safe, _ in cells)} of {len(cells)} cells surely lose below {MARGIN:g} "
    note += f"points; the fastest of all {fastest:.2f}x"
    safe = [found for safe, found in cells if safe]
    none = np.full(len(scale.seeds), np.nan)
    return {"values": max(safe, key=np.median) if safe else none, "note": note}


@measured
def svp_07(scale: Config) -> Evidence:
    """Error of k-centers by the smallest proxy less by the target; the same against depth.

    Budgets above the smallest count. With one proxy beside the target there is no trend.
    """
    budgets = scale.label_budgets[1:] or scale.label_budgets
    proxies = sorted(ex.selectors(scale)[:-1], key=_place(scale))

    def lost(by: str) -> np.ndarray:
        return gaps(scale, ("k-centers", by), ("k-centers", scale.target), budgets)

    def depth() -> Evidence:
        if len(proxies) < 2:
            raise Missing("one proxy shows no trend")
        found = np.array([lost(by).mean(axis=0) for by in proxies])
        return {"values": found.T, "x": list(range(len(proxies)))}

    return parts(worse=lambda: {"differences": lost(proxies[0])}, depth=depth)


def _place(scale: Config):
    """Return a sort key of networks, shallow to deep: their places among the models."""
    known = list(scale.models)
    return lambda model: known.index(model) if model in known else len(known)


@measured
def svp_08(scale: Config) -> Evidence:
    """Error on random labels less error on the target's least confident, (budgets, seeds)."""
    pair = (("random", ""), ("least-confidence", scale.target))
    return {
        "differences": gaps(scale, *pair, scale.label_budgets),
        "labels": shares(scale.label_budgets),
    }


@measured
def svp_09(scale: Config) -> Evidence:
    """Error of k-centers less error of confidence, target as selector, (budgets, seeds)."""
    pair = (("k-centers", scale.target), ("least-confidence", scale.target))
    found = gaps(scale, *pair, scale.label_budgets)
    means = zip(shares(scale.label_budgets), found.mean(axis=1), strict=True)
    return {"differences": found, "note": ", ".join(f"{b}: {mean:+.2f}" for b, mean in means)}
