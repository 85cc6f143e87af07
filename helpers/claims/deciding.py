"""Seeds added to one claim until it is decided, by a rule that stays honest under looking."""

from __future__ import annotations

import time
from collections.abc import Callable

from helpers import StudyError, experiments, results
from helpers.claims import ledger
from helpers.claims.preconditions import at_random
from helpers.claims.verdicts import FAILS, HOLDS, LEVEL, MIN_SEEDS, NOT_DECIDABLE, NOT_MEASURED
from helpers.config import Config
from helpers.experiments import Cell

TIMED = ("seconds", "choosing", "total")
GROWTH = 1.5  # seeds of a look over those of the look before


def level(look: int) -> float:
    """Return the intervals' coverage at look 1, 2, ...

    Errors of (1 - 0.95) / (k (k + 1)) at look k sum to 1 - 0.95 over all looks, so that a claim is
    decided wrongly in at most 5 % of such searches, however often one looks.
    """
    return 1 - (1 - LEVEL) / (look * (look + 1))


def cells_of(claim: ledger.Claim, config: Config) -> list[Cell]:
    """Return the cells that a claim compares, and those that its preconditions may read."""
    found: list[Cell] = []
    for part in (part for part in claim.parts.values() if not part.evidence):
        for one in ledger.settings(config, part.each):
            for x in ledger.settings(config, part.along):
                sides = [plain for plain in (part.of, part.less, part.over) if plain is not None]
                found += [ledger.cell(config, plain, one | x) for plain in sides]
    beside = [Cell(), Cell(model="proxy")]
    for cell in found:
        beside += [Cell(model=m) for m in (cell.model, cell.by) if m != "untrained"]
        if cell.share < 1 and cell.protocol in ("core-set", "active"):
            beside.append(at_random(cell))
    return list(dict.fromkeys([*found, *beside]))


def search(
    claim: ledger.Claim,
    config: Config,
    regime: str,
    hours: float,
    clock: Callable[[], float] = time.monotonic,
) -> ledger.Row:
    """Add seeds to the cells of a claim until it holds, does not hold, or the hours are over.

    One line a look is printed. When the hours end the seed in hand is finished, and looked at.

    Args:
        claim: All parts that decide it compare cells.
        config: Parameters; the first look is at its seeds, three at least.
        regime: Of the runs.
        hours: Time for runs.
        clock: Seconds of a clock that only rises.

    Returns:
        The claim's row at the last look.

    Raises:
        StudyError: If seeds cannot decide the claim: it has no parts, a part is a function, or it
            is not judged in the regime.
    """
    judged = [part for part in claim.parts.values() if not part.aside]
    if not judged or any(part.evidence for part in judged):
        raise StudyError(f"{claim.id} compares no cells: seeds cannot be added to it")
    if regime not in claim.at:
        raise StudyError(f"{claim.id} is judged at {', '.join(claim.at)}, not in regime {regime}")
    alone = any(part.quantity in TIMED for part in judged)
    ends, look = clock() + 3600 * hours, 0
    n = wanted = max(config.n_seeds, MIN_SEEDS)
    while True:
        look, config = look + 1, config.replace(n_seeds=n)
        results.compute(experiments.runs(config, cells_of(claim, config)), alone=alone)
        while n < wanted and clock() < ends:
            n, config = n + 1, config.replace(n_seeds=n + 1)
            results.compute(experiments.runs(config, cells_of(claim, config)), alone=alone)
        row = ledger.decide(claim, config, regime, level(look))
        told = f"look {look}, {n} seeds, {level(look):.2%} intervals: {row.answer.verdict}"
        more = filter(None, (ledger.format_number(row.answer), row.answer.note, row.answer.robust))
        print(": ".join([told, "; ".join(more)]), flush=True)
        if row.answer.verdict in (HOLDS, FAILS, NOT_DECIDABLE, NOT_MEASURED):
            return row
        if clock() >= ends:
            print(f"{hours:g} hours are over, {claim.id} is {row.answer.verdict}", flush=True)
            return row
        n, wanted = n + 1, max(n + 1, int(GROWTH * n))
