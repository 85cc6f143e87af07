"""Questions of `budgeted` Table II, and of `geda` beside its ladder: peers, choices made anew."""

from __future__ import annotations

from helpers import specs
from helpers.config import Config
from helpers.experiments.cells import QUESTIONS, Cell, geda_options, grid

PEERS = ["craig", "grad-match"]
# Readings of `budgeted`'s kernel: its parameter 1 as printed, unlike pairs rewarded, as in 03.
READINGS: tuple[tuple[specs.Option, ...], ...] = (
    (("bandwidth", 1.0),),
    (("diversity", "distance"),),
    (),
)


def table_two(c: Config) -> list[Cell]:
    """Return the target on everything and on shares that `budgeted`'s method chooses."""
    found = [Cell("iqp", share, options=reading) for reading in READINGS for share in c.table_two]
    return [Cell(), *found] if found else []


def peers(c: Config) -> list[Cell]:
    """Return GEDA's peers, choosing by the gradients of epoch 0 as it does (`geda` figure 5.6)."""
    cells = grid(method=PEERS, share=list(c.percentages), by="untrained", model="proxy")
    return [Cell(model="proxy"), *cells]


def reselected(c: Config) -> list[Cell]:
    """Return long training on the smallest percentage, chosen once and anew (`geda` 5.5, 6.3)."""
    if not c.long_epochs:
        return []
    share, geda = min(c.percentages), {"model": "proxy", "options": geda_options(c)}
    found = [Cell("geda-random", share, **geda, epochs=c.long_epochs)]
    for options in ({"choices": 5}, {"choices": c.long_epochs}, {"choices": 5, "start": "geda"},
                    {"choices": 5, "start": "full"}):  # fmt: skip
        given = tuple({"keep": share, **options}.items())
        found.append(Cell("grad-match", share, model="proxy", protocol="online", options=given,
                          epochs=c.long_epochs))  # fmt: skip
    return [*found, Cell("geda-random", max(c.percentages), **geda), Cell(model="proxy")]


QUESTIONS |= {"table two": table_two, "peers": peers, "reselected": reselected}
