"""The rules of the ledger fed with the documents' own printed means, spreads and seeds."""

from dataclasses import replace

import numpy as np

from helpers import StudyError
from helpers.claims.deciding import compared
from helpers.claims.ledger import settings
from helpers.claims.printed import printed
from helpers.claims.verdicts import NOT_MEASURED, Verdict, judge
from helpers.results import Missing


class NotPrinted(StudyError):
    """A table of the documents does not print what is asked."""


def find(table, data, cell, quantity):
    """Return the `Printed` number of a cell, from a table and a data set of it.

    Seconds of choosing may be printed as how often they go into the target's, which are the unit.
    """
    cell = replace(cell, options=tuple(sorted(cell.options)))
    for one in printed(table, data):
        known = replace(one.cell, options=tuple(sorted(one.cell.options)))
        if known == cell and not np.isnan(one.value):
            if one.quantity == quantity:
                return one
            if (one.quantity, quantity) == ("speed-up", "choosing"):
                return replace(one, value=1 / one.value)
    raise NotPrinted(f"papers: {table} prints no {quantity} of {cell} on {data}")


def runs_like(one, beside=None, ratio=False, pooled=1):
    """Return values (n,) with the printed mean and spread: of one number, or of two compared.

    Two count as independent: of a difference the spreads add in squares, of a ratio the relative
    ones. n is that of the smaller sample. Of `pooled` cells whose mean is to be taken each gets a
    spread that leaves the mean's right.
    """
    value, spread, n = one.value, np.nan_to_num(one.sd), one.n
    if beside is not None:
        other = np.nan_to_num(beside.sd)
        if ratio:
            spread = value / beside.value * np.hypot(spread / value, other / beside.value)
            value = value / beside.value
        else:
            spread, value = np.hypot(spread, other), value - beside.value
        n = min(n, beside.n)
    if n < 2:
        return np.array([value])
    shape = np.arange(n) - (n - 1) / 2
    return value + spread / np.sqrt(pooled) * shape / shape.std(ddof=1)


def replicated(claim, config):
    """Judge a claim's parts that a printed table tells, others are "not measured yet".

    Both sides, and pooled cells, count as independent, since the documents pair no seeds.
    `config` has the document's parameters: its budgets, epochs and stops.
    """
    between = ("between", "between 2")[: len(config.more_proxies)]
    roles = config.replace(proxy="proxy", target="target", more_proxies=between)
    parts = claim.parts.items() if claim.printed else ()
    return {name: _judged(roles, part, claim.printed) for name, part in parts}


def _judged(config, part, where):
    pooled = len(settings(config, part.each)) if part.pooled else 1

    def values(*cells):
        found = [find(**where, cell=one, quantity=part.quantity) for one in cells]
        return runs_like(*found, ratio=part.over is not None, pooled=pooled)

    try:
        if part.evidence:
            raise Missing("a function reads runs, no printed cells")
        found = compared(config, part, values)
    except (Missing, NotPrinted) as problem:
        return Verdict(NOT_MEASURED, note=str(problem))
    if found.values.shape[1] == 1 and not part.along:
        found = replace(found, values=found.values[:, 0], exact=True)
    return judge(found, part.rule())
