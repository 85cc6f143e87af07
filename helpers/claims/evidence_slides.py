"""Evidence for the claims of `svp-slides`: depth, combined proxies and the choice of metric."""

from __future__ import annotations

import re
from itertools import combinations

import numpy as np

from helpers import experiments as ex, rankings_of_runs as rankings, scores
from helpers.claims.evidence_svp import metric_correlations, on_choice
from helpers.claims.stored import (
    Evidence,
    Missing,
    each_seed,
    error,
    error_at,
    full,
    load,
    measured,
    need,
    parts,
    refuse_shared,
    seconds,
)
from helpers.experiments import Scale
from helpers.ranking import pearson
from helpers.store import Result


def depth_of(model: str, place: int) -> int:
    """Return the depth that a network's name tells, or its place where it tells none."""
    found = re.search(r"resnet(\d+)", model)
    return int(found[1]) if found else place


@measured
def svp_slides_02(scale: Scale) -> Evidence:
    """Points gained a minute added by each further step in depth, (seeds, depths - 1)."""
    need(scale.models, at_least=3)
    runs = [full(scale, model) for model in scale.models]
    minutes = seconds(scale, *runs) / 60
    errors = np.array([error(scale, run) for run in runs])
    with np.errstate(divide="ignore", invalid="ignore"):
        gained = -np.diff(errors, axis=0) / np.diff(minutes, axis=0)
    depths = [depth_of(model, place) for place, model in enumerate(scale.models)]
    return {"values": gained.T, "x": depths[1:]}


@measured
def svp_slides_03(scale: Scale) -> Evidence:
    """Points gained in the second half of the proxy's seconds over those of the first."""
    runs = each_seed(scale, full(scale, scale.proxy))
    refuse_shared(runs)
    start, half, end = np.array([[error_at(r, at) for at in (0.0, 0.5, 1.0)] for r in runs]).T
    with np.errstate(divide="ignore", invalid="ignore"):
        share = (half - end) / (start - half)
    return {"values": share, "note": "the first half counts from the end of epoch 1"}


@measured
def svp_slides_04(scale: Scale) -> Evidence:
    """Agreement with the target of combined proxies less one proxy's, (1, target runs)."""
    proxies = [rankings.entropy_of(r) for r in each_seed(scale, full(scale, scale.proxy))]
    targets = [rankings.entropy_of(r) for r in each_seed(scale, full(scale, scale.target))]
    need(proxies, at_least=2)
    single = [scores.combine_ranks([proxy]) for proxy in proxies]
    combined = scores.combine_ranks(proxies)
    wanted = [scores.combine_ranks([target]) for target in targets]
    gained = [pearson(combined, t) - np.mean([pearson(one, t) for one in single]) for t in wanted]
    note = f"{len(proxies)} proxies combined, {scale.data_name} alone"
    return {"differences": [gained], "labels": [scale.dataset], "note": note}


@measured
def svp_slides_05(scale: Scale) -> Evidence:
    """Error of random less error of the proxy's entropy, (shares, seeds)."""
    return {
        "differences": [
            error(scale, on_choice(scale, "random", budget))
            - error(scale, on_choice(scale, "entropy", budget))
            for budget in scale.budgets
        ],
        "labels": [f"{budget:g}" for budget in scale.budgets],
    }


@measured
def svp_slides_16(scale: Scale) -> Evidence:
    """Error differences of the three metrics, (pairs x shares, seeds); their correlations."""
    pairs = list(combinations(("least-confidence", "margin", "entropy"), 2))
    cells = [(a, b, budget) for a, b in pairs for budget in scale.budgets]

    def errors() -> Evidence:
        return {
            "differences": [
                error(scale, on_choice(scale, a, budget))
                - error(scale, on_choice(scale, b, budget))
                for a, b, budget in cells
            ],
            "labels": [f"{a} - {b} {budget:g}" for a, b, budget in cells],
        }

    def ranks() -> Evidence:
        found = np.array([metric_correlations(load(run)) for run in ex.depth_runs(scale)])
        return {"values": found.T, "labels": [f"{a}, {b}" for a, b in pairs]}

    return parts(error=errors, ranks=ranks)


def replaced_shares(scale: Scale, plain: list[Result], strict: list[Result]) -> str:
    """Say which share of a plain selection, class by class, the other one leaves out."""
    labels = load(ex.depth_run(scale, scale.proxy, scale.seeds[0])).arrays["labels"]
    n_classes = int(labels.max()) + 1
    chosen, left = np.zeros(n_classes), np.zeros(n_classes)
    for one, other in zip(plain, strict, strict=True):
        rows = one.arrays["indices"]
        chosen += np.bincount(labels[rows], minlength=n_classes)
        gone = np.setdiff1d(rows, other.arrays["indices"])
        left += np.bincount(labels[gone], minlength=n_classes)
    shares = 100 * left / np.maximum(chosen, 1)
    return f"{shares.min():.0f} to {shares.max():.0f} % of a class's chosen points are replaced"


def replaced_note(scale: Scale, budget: float, strict: tuple) -> str:
    """Return `replaced_shares` where both selections are stored; published packs may lack them."""
    try:
        picked, other = (
            each_seed(scale, lambda s, o=options: ex.choice(scale, "entropy", budget, s, options=o))
            for options in ((), strict)
        )
        return replaced_shares(scale, picked, other)
    except Missing:
        return ""


@measured
def svp_slides_17(scale: Scale) -> Evidence:
    """Error ranking only what the proxy got right less error ranking all, smallest share."""
    budget, strict = min(scale.budgets), (("correct_only", True),)
    differences = error(scale, on_choice(scale, "entropy", budget, options=strict))
    differences = differences - error(scale, on_choice(scale, "entropy", budget))
    return {"differences": differences, "note": replaced_note(scale, budget, strict)}
