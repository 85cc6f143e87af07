"""Evidence for the claims of `svp` and `svp-slides` about the two Amazon data sets.

They need millions of reviews, which a user may have (profile `amazon`); on the few thousand that we
hold, the ledger shows our number beside "not decidable". Each function takes the study's scale;
what it returns stands in its first line, with the shapes that the claim's rule expects: seeds last,
differences in percentage points. On other data than the claim's it is not decidable.
"""

from __future__ import annotations

from helpers import experiments as ex
from helpers.claims.evidence_active import gaps, labelled, shares, speed_ups
from helpers.claims.evidence_svp import gain_of, on_choice
from helpers.claims.stored import (
    ABSENT,
    Evidence,
    Missing,
    Unfit,
    by_share,
    data_size,
    error,
    full,
    gain,
    measured,
    need,
    parts,
)
from helpers.experiments import Config

POLARITY, RATINGS = "amazon-reviews", "amazon-ratings"
# Training rows and classes of Amazon Review Polarity and Full, Zhang et al. 2015
# (arXiv:1509.01626) table 3: by these a user's `text:PATH` is known.
SIZES = {POLARITY: (3_600_000, 2), RATINGS: (3_000_000, 5)}
ASKED = "least-confidence"


def need_data(scale: Config, name: str) -> None:
    """Raise `Unfit` unless the scale's data are those a claim is about, or stand for them."""
    given = scale.dataset.startswith("text:") and data_size(scale) == SIZES[name]
    if not given and scale.dataset.partition("@")[0] != name:
        raise Unfit(f"{ABSENT}: the claim is about {name}, not {scale.dataset}")


def between(scale: Config) -> str:
    """Return the network between proxy and target, VDCNN9 in `svp`.

    Raises:
        Missing: If the scale has none.
    """
    if not scale.more_proxies:
        raise Missing("no network between proxy and target selects")
    return scale.more_proxies[0]


@measured
def svp_11(scale: Config) -> Evidence:
    """Share of random labels' error that fastText's save, and their speed-up, (seeds,) each.

    Both at the largest label budget.
    """
    need_data(scale, POLARITY)
    last = scale.label_budgets[-1]

    def reduction() -> Evidence:
        chance = error(scale, labelled(scale, "random", last))
        return {"values": 1 - error(scale, labelled(scale, ASKED, last)) / chance}

    return parts(reduction=reduction, speed=lambda: {"values": speed_ups(scale, ASKED)[-1]})


@measured
def svp_12(scale: Config) -> Evidence:
    """Error where the network between labels less where the target does; its speed-up.

    The first by label budget, (budgets, seeds), the second as the mean over them, (seeds,).
    """
    need_data(scale, POLARITY)
    by = between(scale)

    def harm() -> Evidence:
        found = gaps(scale, (ASKED, by), (ASKED, scale.target), scale.label_budgets)
        return {"differences": found, "labels": shares(scale.label_budgets)}

    return parts(error=harm, speed=lambda: {"values": speed_ups(scale, ASKED, by).mean(axis=0)})


@measured
def svp_13(scale: Config) -> Evidence:
    """Error on random labels less error on each selector's, (selectors x budgets, seeds)."""
    need_data(scale, RATINGS)
    cells = [(by, budget) for by in ex.selectors(scale) for budget in scale.label_budgets]
    found = [
        gain(scale, labelled(scale, "random", b), labelled(scale, ASKED, b, by)) for by, b in cells
    ]
    return {"differences": found, "labels": [f"{by} {b:g}" for by, b in cells]}


@measured
def svp_25(scale: Config) -> Evidence:
    """Error without the fifth of least entropy for fastText, less the full set's, (seeds,)."""
    need_data(scale, POLARITY)
    need(scale.budgets, 0.8)
    part = error(scale, on_choice(scale, "entropy", 0.8))
    return {"differences": part - error(scale, full(scale, scale.target))}


@measured
def svp_26(scale: Config) -> Evidence:
    """Error on random rows less error on each selector's choice, (selectors x shares, seeds)."""
    need_data(scale, RATINGS)
    cells = [
        (by, budget)
        for by in ex.selectors(scale)
        for budget in (ex.proxy_budgets(scale) if by in scale.more_proxies else scale.budgets)
    ]
    return {
        "differences": [gain_of(scale, "entropy", budget, by) for by, budget in cells],
        "labels": [f"{by} {budget:g}" for by, budget in cells],
    }


@measured
def svp_slides_10(scale: Config) -> Evidence:
    """Error on random rows less error on what fastText's entropy chooses, (shares, seeds)."""
    need_data(scale, POLARITY)
    return by_share(scale.budgets, lambda budget: gain_of(scale, "entropy", budget))
