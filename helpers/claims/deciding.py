"""The verdict that stored results give a claim, and seeds added until one is decided."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from helpers import StudyError, experiments, results
from helpers.claims import evidence, preconditions, verdicts
from helpers.claims.ledger import Claim, Part, Row, cell, settings
from helpers.claims.quantities import QUANTITIES, UNITS, Unfit, require_comparable
from helpers.claims.verdicts import LEVEL, Evidence, Verdict, format_number, judge
from helpers.config import Config
from helpers.experiments import Cell
from helpers.results import Missing

ELSEWHERE = "made at"  # how the note of a claim begins that is not about such data
GROWTH = 1.5  # seeds of a look over those of the look before


def sides(config: Config, part: Part, setting: dict[str, Any]) -> list[Cell]:
    """Return the cells that a part compares under a setting: one, or two."""
    found = [plain for plain in (part.of, part.less, part.over) if plain is not None]
    return [cell(config, plain, setting) for plain in found]


def compared(config: Config, part: Part, values: Callable[..., np.ndarray]) -> Evidence:
    """Return a part's numbers, (cells, seeds) or (cells, seeds, settings).

    Args:
        config: Parameters of the study.
        part: A part that compares cells.
        values: Of the cells of `sides`, (seeds,).

    Raises:
        Missing: If the study has too few settings.
    """
    apart, along = settings(config, part.each), settings(config, part.along)
    if not apart:
        raise Missing(f"the study has none of {', '.join(map(str, part.each.values()))}")
    if part.along and len(along) < 2:
        raise Missing("one setting shows no trend")
    found = np.array([[values(*sides(config, part, one | x)) for x in along] for one in apart])
    found = found.transpose(0, 2, 1) if part.along else found[:, 0]
    if part.pooled and part.over is not None and (found > 0).all():
        found = np.exp(np.log(found).mean(axis=0, keepdims=True))
    elif part.pooled:
        found = found.mean(axis=0, keepdims=True)
    labels = [
        ", ".join(f"{v:.0%}" if isinstance(v, float) and v <= 1 else str(v) for v in one.values())
        for one in apart
    ]
    x = [next(iter(one.values()), 0) for one in along]
    if any(isinstance(one, str) for one in x):  # networks, in the order they are listed in
        x = list(range(len(x)))
    unit = "x" if part.over is not None else UNITS[part.quantity]
    return Evidence(found, labels, part.unit or unit, settings=x if part.along else ())


def _measured(config: Config, part: Part) -> tuple[Evidence, list[Cell]]:
    """Return a part's numbers from stored results, and the cells that preconditions look at."""
    every = [one | x for one in settings(config, part.each) for x in settings(config, part.along)]
    if part.evidence:
        found = evidence.function(part.evidence)(config, **part.given)
        cells = [cell(config, part.of, one) for one in every] if part.of or part.each else \
            [Cell(model="proxy"), Cell()]  # fmt: skip
        return replace(found, unit=part.unit or found.unit), cells
    read = QUANTITIES[part.quantity]

    def values(of: Cell, other: Cell | None = None) -> np.ndarray:
        if other is None:
            return read(config, of)
        found, beside = read(config, of), read(config, other)
        return found / beside if part.over is not None else found - beside

    found = compared(config, part, values)
    cells = [one for setting in every for one in sides(config, part, setting)]
    require_comparable(config, cells, part.quantity)
    return found, cells


def _answer(config: Config, regime: str, part: Part, level: float, among: int) -> Verdict:
    """Judge one of so many parts, its preconditions first."""
    try:
        found, cells = _measured(config, part)
        is_error = part.quantity in ("error", "accuracy") and not part.evidence
        asked = preconditions.Asked(config, regime, tuple(dict.fromkeys(cells)), part.above)
        reason = preconditions.failed(asked, part.needs, is_error)
    except Missing:
        return Verdict(verdicts.NOT_MEASURED, unit=part.unit)
    except Unfit as problem:
        return Verdict(verdicts.NOT_DECIDABLE, unit=part.unit, note=str(problem))
    rule = replace(part.rule(), level=level, among=among)
    answer = judge(found, rule)
    if reason:
        note = "; ".join(filter(None, (reason, answer.note)))
        return replace(answer, verdict=verdicts.NOT_DECIDABLE, note=note, robust="")
    return replace(answer, robust=verdicts.robustness(found, rule, answer))


def decide(claim: Claim, config: Config, regime: str, level: float = LEVEL) -> Row:
    """Judge a claim on stored results.

    Args:
        claim: The row of the ledger.
        config: Parameters of the study.
        regime: Of its runs, a key of `preconditions.REGIMES`, or "none".
        level: Coverage of the intervals.

    Returns:
        The row; the answer shows the number of the part that decides.
    """
    if not claim.parts:
        return Row(claim, Verdict(verdicts.NOT_BUILT, note=claim.replication), {})
    if regime not in claim.at:
        told = f"{ELSEWHERE} {', '.join(claim.at) or 'data that we do not hold'}"
        return Row(claim, Verdict(verdicts.NOT_DECIDABLE, note=told), {})
    judged = [n for n, p in claim.parts.items() if not p.aside]
    among = max(len(judged), 1)
    answers = {n: _answer(config, regime, p, level, among) for n, p in claim.parts.items()}
    counted = [
        n
        for n in judged
        if answers[n].verdict not in (verdicts.NOT_MEASURED, verdicts.NOT_DECIDABLE)
    ]
    counted += [n for n in judged if n not in counted and not claim.parts[n].optional]
    verdict = verdicts.combine([answers[n].verdict for n in counted or judged])
    same = [n for n in counted or judged if answers[n].verdict == verdict]
    name = min(same, key=lambda n: answers[n].robust.startswith("none of"))  # the weakest shows
    found, aside = answers[name], (n for n, p in claim.parts.items() if p.aside)
    note = "; ".join(filter(None, (found.note, *(f"{n}: {answers[n].verdict}" for n in aside))))
    label = ", ".join(filter(None, (name if len(claim.parts) > 1 else "", found.part)))
    tests = sum(answer.tests for answer in answers.values())
    return Row(claim, replace(found, part=label, tests=tests, note=note), answers)


def look_level(look: int) -> float:
    """Return the intervals' coverage at look 1, 2, ... of `search`.

    Errors of (1 - 0.95) / (k (k + 1)) at look k sum to 1 - 0.95 over all looks, so that a claim is
    decided wrongly in at most 5 % of such searches, however often one looks.
    """
    return 1 - (1 - LEVEL) / (look * (look + 1))


def cells_of(claim: Claim, config: Config) -> list[Cell]:
    """Return the cells that a claim compares, and those that its preconditions may read."""
    found = [
        side
        for part in claim.parts.values()
        for one in settings(config, {**part.each, **part.along})
        for side in (() if part.evidence else sides(config, part, one))
    ]
    beside = [Cell(), Cell(model="proxy")]
    for one in found:
        beside += [Cell(model=m) for m in (one.model, one.by) if m != "untrained"]
        if one.share < 1 and one.protocol != "online":
            beside.append(preconditions.at_random(one))
    return list(dict.fromkeys([*found, *beside]))


def search(
    claim: Claim,
    config: Config,
    regime: str,
    hours: float,
    clock: Callable[[], float] = time.monotonic,
) -> Row:
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
    alone = any(UNITS[part.quantity] == "s" for part in judged)
    ends = clock() + 3600 * hours
    n = wanted = max(config.n_seeds, verdicts.MIN_SEEDS)
    look = 0
    while True:
        look += 1
        while True:
            config = config.replace(n_seeds=n)
            results.compute(experiments.runs(config, cells_of(claim, config)), alone=alone)
            if n >= wanted or clock() >= ends:
                break
            n += 1
        level = look_level(look)
        row = decide(claim, config, regime, level)
        told = f"look {look}, {n} seeds, {level:.2%} intervals: {row.answer.verdict}"
        more = filter(None, (format_number(row.answer), row.answer.note, row.answer.robust))
        print(": ".join([told, "; ".join(more)]), flush=True)
        if row.answer.verdict != verdicts.UNDECIDED:
            return row
        if clock() >= ends:
            print(f"{hours:g} hours are over, {claim.id} is {row.answer.verdict}", flush=True)
            return row
        n, wanted = n + 1, max(n + 1, int(GROWTH * n))
