"""Evidence for `geda`: cells led, an epoch's seconds, the program's share of them, variants."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from helpers.claims.evidence.measurements import measure
from helpers.claims.quantities import Unfit, accuracy, seconds, short_of_rows
from helpers.claims.verdicts import Evidence
from helpers.config import Config
from helpers.experiments import PEERS, Cell, run
from helpers.experiments.questions import geda_options
from helpers.results import Missing, get

REALISTIC_S = 60.0  # of training, below which no solver's seconds are a small share


def rung(config: Config, share: float, method: str = "geda-random", variant: str = "") -> Cell:
    """Return GEDA's cell, or another rung's."""
    options = geda_options(config, variant) if method.startswith("geda") else ()
    return Cell(method, share, model="proxy", options=options)


def cells_led(config: Config) -> Evidence:
    """Share of cells, a peer with a percentage, where GEDA is the more accurate, (1, seeds).

    Raises:
        Unfit: If a peer trains on far fewer rows than its percentage.
    """
    cells = [Cell(peer, share, by="untrained", model="proxy")
             for peer in PEERS for share in config.percentages]  # fmt: skip
    if short := next(filter(None, (short_of_rows(config, cell) for cell in cells)), ""):
        raise Unfit(short)
    gains = np.array(
        [accuracy(config, rung(config, one.share)) - accuracy(config, one) for one in cells]
    )
    led = np.where(gains > 0, 1.0, np.where(gains < 0, 0.0, 0.5)).mean(axis=0)
    means = (gains.mean(axis=1) > 0).sum()
    note = f"by means {means} of {len(gains)} cells, {gains.mean():+.2f} points on average"
    return Evidence(led[None], unit="share", note=note)


def solving_share(config: Config, solver: str, options: dict) -> Evidence:
    """Seconds that a solver takes for all classes over those of training on the choice, (1, seeds).

    Raises:
        Unfit: If training takes less than `REALISTIC_S`.
        Missing: If no class that large was solved.
    """
    trained = seconds(config, rung(config, min(config.percentages)))
    if trained.mean() < REALISTIC_S:
        raise Unfit(f"training takes {trained.mean():.2g} s here, {REALISTIC_S:g} s are asked")
    found = measure("geda-milp", options, timed=True)
    first = get(run(config, Cell(model="proxy"), config.first_seed))
    counts = np.bincount(first.arrays["labels"])
    large = np.flatnonzero(found.arrays["sizes"] >= counts.max())
    if not len(large):
        raise Missing(f"no class of {counts.max()} was solved")
    spent = len(counts) * found.arrays[f"seconds_{solver}"][large[0]]
    note = f"classes solved as if they had {found.arrays['sizes'][large[0]]} points"
    return Evidence((spent / trained)[None], unit="share", note=note)


def variant_gains(config: Config) -> Evidence:
    """Mean accuracy of variants less plain GEDA's at the smallest percentage, (1, seeds).

    The document's: a smoothed distribution function, and finer quadrature, here more nodes.
    Simpson's rule keeps the same rows as the trapezoid at equal N.
    """
    share = min(config.percentages)
    plain = accuracy(config, rung(config, share))
    smoothed = Cell("geda", share, model="proxy", options=geda_options(config, "smoothed"))
    cells = {"smoothed": smoothed}
    for n in sorted(config.node_counts):
        if n > config.n_nodes:
            cells[f"N = {n}"] = replace(rung(config, share), options=(("n_nodes", n),))
    gains = {name: accuracy(config, cell) - plain for name, cell in cells.items()}
    told = ", ".join(f"{name} {gain.mean():+.2f}" for name, gain in gains.items())
    return Evidence(np.mean(list(gains.values()), axis=0)[None], note=told)
