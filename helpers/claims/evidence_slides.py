"""Evidence for the claims of `svp-slides`: depth, combined proxies and the choice of metric."""

from __future__ import annotations

import re
from itertools import combinations

import numpy as np

from helpers import experiments as ex, recipes, scores
from helpers.claims.evidence_proxies import on_brief, stops
from helpers.claims.evidence_svp import gain_of, metric_correlations, on_choice, times_saved
from helpers.claims.stored import (
    ABSENT,
    Evidence,
    Missing,
    Unfit,
    by_share,
    each_seed,
    error,
    error_at,
    full,
    gain,
    load,
    measured,
    need,
    parts,
    require_alone,
    seconds,
)
from helpers.experiments import Config
from helpers.ranking import pearson
from helpers.results import readings as rankings
from helpers.results.store import Result

NO_SVHN = f"SVHN itself: not decidable, {ABSENT}"


def on_svhn(scale: Config) -> bool:
    """Return whether a scale's runs are on SVHN, divided by its authors or by `svp-slides`."""
    return scale.dataset.startswith("svhn")


def depth_of(model: str, place: int) -> int:
    """Return the depth that a network's name tells, or its place where it tells none."""
    found = re.search(r"resnet(\d+)", model)
    return int(found[1]) if found else place


@measured
def svp_slides_02(scale: Config) -> Evidence:
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
def svp_slides_03(scale: Config) -> Evidence:
    """Points gained in the second half of the proxy's seconds over those of the first."""
    runs = each_seed(scale, full(scale, scale.proxy))
    require_alone(runs)
    start, half, end = np.array([[error_at(r, at) for at in (0.0, 0.5, 1.0)] for r in runs]).T
    with np.errstate(divide="ignore", invalid="ignore"):
        share = (half - end) / (start - half)
    return {"values": share, "note": "the first half counts from the end of epoch 1"}


@measured
def svp_slides_04(scale: Config) -> Evidence:
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
def svp_slides_05(scale: Config) -> Evidence:
    """Error of random less error of the proxy's entropy, (shares, seeds)."""
    return by_share(scale.budgets, lambda budget: gain_of(scale, "entropy", budget))


@measured
def svp_slides_09(scale: Config) -> Evidence:
    """Error on a brief proxy's 60 % less the full set's; of random less its, at 40 and 60 %.

    Entropy of the proxy stopped first chooses. The claim is about SVHN and nothing else.
    """
    if not on_svhn(scale):
        raise Unfit(f"{ABSENT}: the claim is about SVHN, these runs are on {scale.dataset}")
    after, shares = min(stops(scale)), (0.4, 0.6)
    need(ex.proxy_budgets(scale), *shares)

    def brief(budget: float) -> np.ndarray:
        return error(scale, on_brief(scale, "entropy", budget, after))

    def lost() -> Evidence:
        return {"differences": brief(0.6) - error(scale, full(scale, scale.target))}

    def gained() -> Evidence:
        return by_share(
            shares,
            lambda budget: error(scale, on_choice(scale, "random", budget)) - brief(budget),
        )

    return parts(full=lost, random=gained) | {"note": f"proxy stopped after {after}"}


@measured
def svp_slides_11(scale: Config) -> Evidence:
    """Full time over proxy + selection + subset time; error less the full set's.

    At 50 % on SVHN, after which the parts are then named, and at 60 % elsewhere, named after CIFAR.
    """
    svhn = on_svhn(scale)
    cell = ("entropy", 0.5 if svhn else 0.6)
    need((scale.paid_share,), cell[1])

    def lost() -> Evidence:
        harm = error(scale, on_choice(scale, *cell)) - error(scale, full(scale, scale.target))
        return {"differences": harm}

    name = "svhn" if svhn else "cifar"
    made = {f"{name} time": lambda: {"values": times_saved(scale, *cell)}, f"{name} error": lost}
    note = "" if svhn else f"; {NO_SVHN}"
    return parts(**made) | {"note": f"{cell[1]:.0%} of {scale.dataset} kept{note}"}


@measured
def svp_slides_12(scale: Config) -> Evidence:
    """Error of random less error of what the proxy gets right, by entropy, (1, seeds).

    Note: of the slides' recipe the ranking is kept: only points that the proxy classifies
        rightly. Rates and batches are the study's, and the smallest share alone has such runs.
    """
    budget, strict = min(scale.budgets), (("correct_only", True),)
    strictly = on_choice(scale, "entropy", budget, options=strict)
    gained = gain(scale, on_choice(scale, "random", budget), strictly)
    note = f"recipe {scale.recipe}, points the proxy gets right come first"
    return {"differences": [gained], "labels": [f"{budget:g}"], "note": note}


@measured
def svp_slides_14(scale: Config) -> Evidence:
    """Error of the target by the slides' recipe less error by the paper's, equal epochs, (seeds,).

    Note: the slides held back a fifth of the training rows for validation; here both recipes see
        all of them, so that the recipe alone differs.
    """
    if not (on_svhn(scale) or scale.dataset.partition("@")[0] == "cifar10"):
        raise Unfit(f"{ABSENT}: the claim is about CIFAR-10 and SVHN, not {scale.dataset}")
    if recipes.plain(scale.recipe) != "svp":
        raise Missing("the scale does not train by the paper's recipe")
    again = error(scale, lambda seed: ex.replicated_run(scale, seed))
    note = {} if on_svhn(scale) else {"note": NO_SVHN}
    return {"differences": again - error(scale, full(scale, scale.target))} | note


@measured
def svp_slides_15(scale: Config) -> Evidence:
    """Error on what the proxy is least sure of at each share and on everything, (seeds, shares).

    Note: `svp-slides` reports it of SVHN; the data set is the scale's.
    """
    kept = [*scale.budgets, 1.0]
    cells = [on_choice(scale, "least-confidence", budget) for budget in scale.budgets]
    errors = [error(scale, cell) for cell in (*cells, full(scale, scale.target))]
    note = "" if on_svhn(scale) else f"; {NO_SVHN}"
    return {"values": np.transpose(errors), "x": kept, "note": f"on {scale.dataset}{note}"}


@measured
def svp_slides_16(scale: Config) -> Evidence:
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


def replaced_shares(scale: Config, plain: list[Result], strict: list[Result]) -> str:
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


def replaced_note(scale: Config, budget: float, strict: tuple) -> str:
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
def svp_slides_17(scale: Config) -> Evidence:
    """Error ranking only what the proxy got right less error ranking all, smallest share."""
    budget, strict = min(scale.budgets), (("correct_only", True),)
    differences = error(scale, on_choice(scale, "entropy", budget, options=strict))
    differences = differences - error(scale, on_choice(scale, "entropy", budget))
    return {"differences": differences, "note": replaced_note(scale, budget, strict)}
