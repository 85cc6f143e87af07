"""Evidence for `geda`: cells led, the program's share of training, variants."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from helpers.claims.evidence.measurements import measure
from helpers.claims.quantities import Unfit, accuracy, seconds, short_of_rows
from helpers.claims.verdicts import Evidence
from helpers.config import Config
from helpers.experiments import PEERS, Cell, geda_cell, run
from helpers.results import Missing, get

REALISTIC_S = 60.0  # of training, below which no solver's seconds are a small share


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
        [accuracy(config, geda_cell(config, one.share)) - accuracy(config, one) for one in cells]
    )
    led = np.where(gains > 0, 1.0, np.where(gains < 0, 0.0, 0.5)).mean(axis=0)
    means = (gains.mean(axis=1) > 0).sum()
    note = f"by means {means} of {len(gains)} cells, {gains.mean():+.2f} points on average"
    return Evidence(led[None], unit="share", note=note)


def solving_share(config: Config) -> Evidence:
    """Seconds that CBC takes for all classes over those of training on the choice, (1, seeds).

    Raises:
        Unfit: If training takes less than `REALISTIC_S`.
        Missing: If no class that large was solved.
    """
    trained = seconds(config, geda_cell(config, min(config.percentages)))
    if trained.mean() < REALISTIC_S:
        raise Unfit(f"training takes {trained.mean():.2g} s here, {REALISTIC_S:g} s are asked")
    found = measure("geda-milp", {"sizes": (1000, 5000)}, timed=True)
    first = get(run(config, Cell(model="proxy"), config.first_seed))
    counts = np.bincount(first.arrays["labels"])
    large = np.flatnonzero(found.arrays["sizes"] >= counts.max())
    if not len(large):
        raise Missing(f"no class of {counts.max()} was solved")
    spent = len(counts) * found.arrays["seconds_cbc"][large[0]]
    note = f"classes solved as if they had {found.arrays['sizes'][large[0]]} points"
    return Evidence((spent / trained)[None], unit="share", note=note)


def variant_gains(config: Config) -> Evidence:
    """Mean accuracy of variants less plain GEDA's at the smallest percentage, (1, seeds).

    The document's: a smoothed distribution function, and finer quadrature, here more nodes.
    Simpson's rule keeps the same rows as the trapezoid at equal N.
    """
    share = min(config.percentages)
    plain = geda_cell(config, share)
    cells = {"smoothed": geda_cell(config, share, "smoothed")}
    cells |= {
        f"N = {n}": replace(plain, options=(("n_nodes", n),))
        for n in sorted(config.node_counts)
        if n > config.n_nodes
    }
    gains = {name: accuracy(config, cell) - accuracy(config, plain) for name, cell in cells.items()}
    told = ", ".join(f"{name} {gain.mean():+.2f}" for name, gain in gains.items())
    return Evidence(np.mean(list(gains.values()), axis=0)[None], note=told)
