"""Evidence for the claims of `svp` and `svp-slides` about proxies stopped early and in groups.

Each function takes the study's scale; what it returns stands in its first line, with the shapes
that the claim's rule expects: seeds last, differences in percentage points.
"""

from __future__ import annotations

import numpy as np

from helpers import experiments as ex
from helpers.claims.evidence_svp import on_choice
from helpers.claims.stored import (
    BySeed,
    Evidence,
    Missing,
    Unfit,
    by_share,
    choosing_seconds,
    each_seed,
    error,
    full,
    measured,
    parts,
    seconds,
)
from helpers.experiments import Config
from helpers.specs import Select

BRIEF = 50 / 181  # the shortest training of `svp` Table 3, as a share of the longest
NEAR = 0.1  # shares this close stand for the documents' own


def stops(scale: Config) -> list[int]:
    """Return the epochs after which proxies were stopped early.

    Raises:
        Missing: If the scale stops none before its end.
    """
    found = [stop for stop in scale.stops if stop < scale.epochs]
    if not found:
        raise Missing("no proxy is stopped early")
    return found


def brief_stop(scale: Config) -> int:
    """Return the stop nearest to 50 of 181 epochs."""
    return min(stops(scale), key=lambda stop: abs(stop - BRIEF * scale.epochs))


def near(scale: Config, share: float) -> float:
    """Return the budget, among those that kinds of proxies are compared at, nearest to a share.

    Raises:
        Missing: If none lies within a tenth of the rows of it.
    """
    found = min(ex.proxy_budgets(scale), key=lambda budget: abs(budget - share))
    if abs(found - share) > NEAR + 1e-9:
        raise Missing(f"no budget near {share:g}")
    return found


def on_brief(scale: Config, method: str, budget: float, after: int) -> BySeed:
    """Return seed -> the target on what the proxy selects after some epochs."""
    return lambda seed: ex.subset_run(
        scale, scale.target, ex.brief_choice(scale, method, budget, seed, after=after)
    )


def on_ensemble(scale: Config, budget: float, size: int) -> BySeed:
    """Return seed -> the target on what several proxies select together by entropy.

    Raises:
        Missing: If the scale has fewer seeds than proxies.
    """
    if size > scale.n_seeds:
        raise Missing(f"{size} proxies need as many seeds")
    return lambda seed: ex.subset_run(
        scale, scale.target, ex.ensemble_choice(scale, "entropy", budget, seed, size)
    )


def brief_seconds(scale: Config, method: str, budget: float, after: int) -> np.ndarray:
    """Return seconds of a proxy stopped early and of its choice, shape (seeds,).

    Raises:
        Unfit: If a run shared its machine.
    """
    steps = [ex.brief_choice(scale, method, budget, seed, after=after) for seed in scale.seeds]
    return np.array([choosing_seconds([step]) for step in steps])


@measured
def svp_10(scale: Config) -> Evidence:
    """Speed-up of selecting with the proxy's own batch over that with the shared one; its error.

    The target takes equally long beside both, so it cancels. The error is that on the rows chosen
    with the own batch less that with the shared one, at the smallest share.
    """
    if not scale.own_batch:
        raise Missing("no proxy has a batch of its own")
    budget = ex.proxy_budgets(scale)[0]

    def own(seed: int) -> Select:
        return ex.own_batch_choice(scale, budget, seed)

    def gain() -> Evidence:
        proxy, picked, own_proxy, own_picked = seconds(
            scale,
            full(scale, scale.proxy),
            lambda seed: ex.choice(scale, "least-confidence", budget, seed),
            lambda seed: own(seed).of[0],
            own,
        )
        return {"values": (proxy + picked) / (own_proxy + own_picked)}

    def lost() -> Evidence:
        chosen = error(scale, lambda seed: ex.subset_run(scale, scale.target, own(seed)))
        return {"differences": chosen - error(scale, on_choice(scale, "least-confidence", budget))}

    return parts(gain=gain, error=lost) | {"note": f"batch {scale.own_batch}, {budget:.0%} kept"}


@measured
def svp_18(scale: Config) -> Evidence:
    """Full time over that of a brief proxy, its choice and the half; the half's error.

    Forgetting events choose the half; the proxy is stopped nearest to 50 of 181 epochs.
    """
    after = brief_stop(scale)
    half = on_brief(scale, "forgetting", 0.5, after)

    def time() -> Evidence:
        whole, part = seconds(scale, full(scale, scale.target), half)
        return {"values": whole / (brief_seconds(scale, "forgetting", 0.5, after) + part)}

    def lost() -> Evidence:
        harm = error(scale, half) - error(scale, full(scale, scale.target))
        return {"differences": harm, "note": f"proxy stopped after {after} of {scale.epochs}"}

    return parts(time=time, error=lost)


@measured
def svp_19(scale: Config) -> Evidence:
    """Ratio of selection times over ratio of training times, (lengths of training, seeds).

    The target selects after its whole training, the proxy after its own and at every stop; the
    training times of a stopped proxy are those of an epoch times its epochs.
    """
    budget = max(ex.proxy_budgets(scale))
    target, proxy, by_target, by_proxy = seconds(
        scale,
        full(scale, scale.target),
        full(scale, scale.proxy),
        lambda seed: ex.choice(scale, "forgetting", budget, seed, scale.target),
        lambda seed: ex.choice(scale, "forgetting", budget, seed),
    )
    rows = {"proxy trained in full": (target + by_target) / (proxy + by_proxy) / (target / proxy)}
    for stop in stops(scale):
        try:
            spent = brief_seconds(scale, "forgetting", budget, stop)
        except Missing:  # leaves the claim undecided, yet shows the other row
            spent = np.nan
        ratio = target / proxy * scale.epochs / stop
        rows[f"stopped after {stop}"] = (target + by_target) / spent / ratio
    return {"values": list(rows.values()), "labels": list(rows)}


def brief_less_whole(scale: Config, budget: float) -> dict[int, np.ndarray]:
    """Return stop -> error with a stopped less with a whole proxy, forgetting, (seeds,)."""
    whole = error(scale, on_choice(scale, "forgetting", budget))
    return {
        stop: error(scale, on_brief(scale, "forgetting", budget, stop)) - whole
        for stop in stops(scale)
    }


@measured
def svp_20(scale: Config) -> Evidence:
    """Error with the whole less with a stopped proxy, forgetting, near 30 %, (stops, seeds)."""
    budget = near(scale, 0.3)
    found = brief_less_whole(scale, budget)
    return {
        "differences": [-harm for harm in found.values()],
        "labels": [f"after {stop} of {scale.epochs}" for stop in found],
        "note": f"{budget:.0%} kept",
    }


@measured
def svp_21(scale: Config) -> Evidence:
    """Error with a stopped less with the whole proxy near 70 %, 100 classes, (stops, seeds)."""
    budget = near(scale, 0.7)
    found = brief_less_whole(scale, budget)
    n_classes = len(np.unique(each_seed(scale, full(scale, scale.proxy))[0].arrays["labels"]))
    if n_classes != 100:
        raise Unfit(f"the claim is about 100 classes, {scale.dataset} has {n_classes}")
    return {
        "differences": list(found.values()),
        "labels": [f"after {stop} of {scale.epochs}" for stop in found],
        "note": f"{budget:.0%} kept",
    }


def target_less_proxy(scale: Config, budget: float) -> np.ndarray:
    """Return error with the target's entropy less error with the proxy's, (seeds,)."""
    by_target = error(scale, on_choice(scale, "entropy", budget, scale.target))
    return by_target - error(scale, on_choice(scale, "entropy", budget))


@measured
def svp_24(scale: Config) -> Evidence:
    """Error with the target's entropy less error with the proxy's, (shares, seeds), pooled."""
    return by_share(scale.budgets, lambda budget: target_less_proxy(scale, budget))


@measured
def svp_slides_01(scale: Config) -> Evidence:
    """Seconds to select with the target over those with the proxy stopped first, (seeds,)."""
    budget, first = max(ex.proxy_budgets(scale)), min(stops(scale))
    whole, picked = seconds(
        scale,
        full(scale, scale.target),
        lambda seed: ex.choice(scale, "forgetting", budget, seed, scale.target),
    )
    spent = brief_seconds(scale, "forgetting", budget, first)
    note = f"{scale.proxy} stopped after {first} of {scale.epochs} epochs"
    return {"values": (whole + picked) / spent, "note": note}


@measured
def svp_slides_06(scale: Config) -> Evidence:
    """Error with a brief less with a whole training of the proxy, entropy, (shares, seeds)."""
    after = brief_stop(scale)

    def lost(budget: float) -> np.ndarray:
        short = error(scale, on_brief(scale, "entropy", budget, after))
        return short - error(scale, on_choice(scale, "entropy", budget))

    note = f"stopped after {after} of {scale.epochs} epochs"
    return by_share(ex.proxy_budgets(scale), lost) | {"note": note}


@measured
def svp_slides_07(scale: Config) -> Evidence:
    """Error with the target's entropy less error with the proxy's, share by share."""
    return by_share(scale.budgets, lambda budget: target_less_proxy(scale, budget))


def one_less_several(scale: Config, size: int) -> Evidence:
    """Return error with one proxy less error with several, entropy, (shares, seeds)."""

    def gained(budget: float) -> np.ndarray:
        several = error(scale, on_ensemble(scale, budget, size))
        return error(scale, on_choice(scale, "entropy", budget)) - several

    found = by_share(ex.proxy_budgets(scale), gained)
    if size == scale.n_seeds:
        found["note"] = "all seeds share one group of proxies"
    return found


@measured
def svp_slides_08(scale: Config) -> Evidence:
    """Error with one less with three proxies; three proxies near 60 % less the full set."""

    def lost() -> Evidence:
        kept = 0.6 if scale.paid_share == 0.6 else near(scale, 0.6)
        together = error(scale, on_ensemble(scale, kept, 3))
        harm = together - error(scale, full(scale, scale.target))
        return {"differences": harm, "note": f"{kept:.0%} kept"}

    return parts(ensemble=lambda: one_less_several(scale, 3), full=lost)


@measured
def svp_slides_13(scale: Config) -> Evidence:
    """Error with one less with two proxies, entropy, (shares, seeds).

    Note: all points are ranked, not only those that the proxies get right.
    """
    return one_less_several(scale, 2)
