"""What a rule answers, and the tests it answers by.

A rule says where a quantity must lie: above, below or within bounds. The quantity is a mean over
seeds. Its interval is Student's; below five seeds a claim's cells pool their spread; a ratio is
taken in logarithms. A claim that lists cells holds where every cell's interval lies inside (an
intersection-union test, which needs no correction) and fails where Holm's procedure over the cells
puts one outside, at a level that is split over the claim's parts.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from scipy import special

from helpers.ranking import ranks as ranked

HOLDS = "holds"
FAILS = "does not hold"
UNDECIDED = "undecided"
NOT_DECIDABLE = "not decidable"
NOT_MEASURED = "not measured yet"
NOT_BUILT = "not built"
VERDICTS = (HOLDS, FAILS, UNDECIDED, NOT_DECIDABLE, NOT_MEASURED, NOT_BUILT)

LEVEL = 0.95
MIN_SEEDS = 3
OWN_SPREAD = 5  # seeds from which a cell's own spread is known well enough
POWER = 0.8
ROUNDING = 1e-12
# What a quantity can be at all, by its unit; a t interval does not know and may lie beyond.
POSSIBLE = {"rho": (-1.0, 1.0), "r": (-1.0, 1.0), "share of training": (0.0, 1.0)}
PERMUTATIONS = 20_000  # at most; fewer orders than that are all tried
MOST_SEEDS = 1000


@dataclass(frozen=True)
class Evidence:
    """Numbers that a rule judges.

    Attributes:
        values: Seeds last: (cells, seeds); (cells, seeds, settings) for a trend; (cells,) where
            `exact`. One cell may leave the first axis out.
        labels: Names of the cells.
        unit: "points" (of error or accuracy), "x" (a ratio), "s", "rho", "share", ...
        exact: Whether the values are counted or computed, without spread.
        settings: What a trend runs over, (settings,).
        note: What a reader should know besides, in one line.
        sample: What the values of a cell are of.
    """

    values: np.ndarray
    labels: Sequence[str] = ()
    unit: str = "points"
    exact: bool = False
    settings: Sequence[float] = ()
    note: str = ""
    sample: str = "seeds"


@dataclass(frozen=True)
class Verdict:
    """One rule's answer.

    Attributes:
        verdict: One of `VERDICTS`.
        value: Our number, in `unit`; NaN where there is none.
        low, high: Ends of its 95 % interval.
        n: Values, runs or trials behind it.
        unit: As in `Evidence`.
        note: What a reader should know besides, in one line.
        part: Which part of the claim, or which of its cells, the number is of.
        tests: Interval tests that were made for it.
        robust: What would turn the answer, in one line.
    """

    verdict: str
    value: float = math.nan
    low: float = math.nan
    high: float = math.nan
    n: int = 0
    unit: str = ""
    note: str = ""
    part: str = ""
    tests: int = 0
    robust: str = ""


@dataclass(frozen=True)
class Rule:
    """Where a quantity must lie.

    Attributes:
        above, below: Open bounds of the mean, in the evidence's unit.
        rising: 1 = values must rise with the settings, -1 = fall.
        never: No trial of at least so many may show it.
        ever: At least one trial shows it.
        level: Coverage of the intervals; `--decide` asks for more at every look.
        among: Parts of the claim that may fail; the chance of a false failure is split over them.
    """

    above: float = -math.inf
    below: float = math.inf
    rising: int = 0
    never: int = 0
    ever: bool = False
    level: float = field(default=LEVEL, compare=False)
    among: int = field(default=1, compare=False)

    @property
    def tail(self) -> float:
        """The chance of one false failure on one side."""
        return (1 - self.level) / 2 / self.among

    def scaled(self, factor: float, unit: str) -> Rule | None:
        """Return the rule with its margins times a factor, those of a ratio to its power.

        Between two bounds the width is scaled around their middle. None where there is no margin,
        as beside a correlation or an exponent.
        """
        ends = [end for end in (self.above, self.below) if math.isfinite(end)]
        if not ends or not any(ends) or self.rising:
            return None
        if len(ends) == 2:
            log = unit.startswith("x") and self.above > 0
            low, high = map(math.log, ends) if log else ends
            middle, half = (low + high) / 2, factor * (high - low) / 2
            above, below = middle - half, middle + half
            return replace(self, above=math.exp(above) if log else above,
                           below=math.exp(below) if log else below)  # fmt: skip
        if unit.startswith("x"):
            above, below = (end**factor if end > 0 else end for end in (self.above, self.below))
        elif unit in ("points", "s"):
            above, below = self.above * factor, self.below * factor
        else:
            return None
        return replace(self, above=above, below=below)


def judge(evidence: Evidence, rule: Rule) -> Verdict:
    """Apply a rule to evidence; NaN among the values, or too few seeds, never decide.

    Raises:
        ValueError: If the values have another shape than `Evidence` says.
    """
    values = np.asarray(evidence.values, dtype=float)
    if not values.size or not np.isfinite(values).all():
        return Verdict(NOT_DECIDABLE, unit=evidence.unit, note="no number, or none that is finite")
    if rule.never or rule.ever:
        answer = _counted(values, rule)
    elif rule.rising:
        answer = _trend(values, evidence, rule)
    else:
        answer = _bounded(values, evidence, rule)
    note = "; ".join(text for text in (answer.note, evidence.note) if text)
    return replace(answer, unit=answer.unit or evidence.unit, note=note)


def _counted(values: np.ndarray, rule: Rule) -> Verdict:
    """Judge a count of trials: values (count, trials)."""
    count, trials = (int(v) for v in values)
    from scipy import stats  # takes half a second

    interval = stats.binomtest(count, trials).proportion_ci(LEVEL, method="exact")
    if rule.ever:
        verdict, note = HOLDS if count else UNDECIDED, f"{count} of {trials} trials show it"
    elif count:
        verdict, note = FAILS, f"{count} of {trials} trials break it"
    else:
        enough = trials >= rule.never
        verdict, note = (HOLDS, "") if enough else (NOT_DECIDABLE, f"needs {rule.never} trials")
    ends = float(interval.low), float(interval.high)
    return Verdict(verdict, count / trials, *ends, trials, "share", note, tests=1)


def _bounded(values: np.ndarray, evidence: Evidence, rule: Rule) -> Verdict:
    if evidence.exact:
        return _exact(np.atleast_1d(values), evidence, rule)
    values = np.atleast_2d(values)
    if values.ndim != 2:
        raise ValueError(f"values must be (cells, seeds), got shape {values.shape}")
    cells, seeds = values.shape
    if seeds < MIN_SEEDS:
        mean = float(values.mean())
        note = f"needs {MIN_SEEDS} {evidence.sample}, has {seeds}"
        return Verdict(NOT_DECIDABLE, mean, n=values.size, note=note)
    log = evidence.unit.startswith("x") and bool((values > 0).all())
    found = np.log(values) if log else values
    lower, upper = (_log(end) if log else end for end in (rule.above, rule.below))
    means, (error, df) = found.mean(axis=1), _spread(found)
    half = special.stdtrit(df, (1 + rule.level) / 2) * error
    inside = (means - half > lower + ROUNDING) & (means + half < upper - ROUNDING)
    outside = _outside(means, error, df, lower, upper, rule.tail)
    verdict = FAILS if outside.any() else HOLDS if inside.all() else UNDECIDED
    cell = _deciding(means, lower, upper, outside)
    ends = means[cell], means[cell] - half[cell], means[cell] + half[cell]
    value, low, high = (math.exp(end) if log else float(end) for end in ends)
    part = _label(evidence, cell, cells)
    note = f"{outside.sum()} of {cells} cells outside" if outside.any() and cells > 1 else ""
    answer = Verdict(verdict, value, low, high, seeds, note=note, part=part, tests=cells)
    if verdict == UNDECIDED:
        distance = min(abs(means[cell] - end) for end in (lower, upper))
        told = _power(float(distance), float(error[cell]), seeds, df, evidence.sample)
        return replace(answer, robust=f"{told} (in logarithms)" if log else told)
    return answer


def _spread(found: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the standard errors of the means of cells (cells, seeds), (cells,), and their df.

    From `OWN_SPREAD` seeds on each cell has its own; below, the spread is pooled over the cells,
    with Satterthwaite's degrees of freedom: cells of unlike spread count for less.
    """
    cells, seeds = found.shape
    variance = found.var(axis=1, ddof=1)
    if seeds >= OWN_SPREAD or cells == 1:
        return np.sqrt(variance / seeds), float(seeds - 1)
    squares = float(np.square(variance).sum())
    df = (seeds - 1) * (variance.sum() ** 2 / squares if squares else cells)
    return np.full(cells, np.sqrt(variance.mean() / seeds)), float(df)


def _label(evidence: Evidence, cell: int, cells: int) -> str:
    """Return the name of one of several cells, where they have names."""
    return str(evidence.labels[cell]) if len(evidence.labels) > cell and cells > 1 else ""


def _log(end: float) -> float:
    return math.log(end) if 0 < end < math.inf else (-math.inf if end <= 0 else math.inf)


def _exact(values: np.ndarray, evidence: Evidence, rule: Rule) -> Verdict:
    good = (values >= rule.above - ROUNDING) & (values <= rule.below + ROUNDING)
    cell = _deciding(values, rule.above, rule.below, ~good)
    value = float(values[cell])
    part = _label(evidence, cell, len(values))
    verdict = HOLDS if good.all() else FAILS
    return Verdict(verdict, value, value, value, len(values), part=part)


def _outside(means, error, df: float, lower: float, upper: float, tail: float) -> np.ndarray:
    """Return which cells Holm's procedure puts outside the bounds, (cells,) bool."""
    gap = np.maximum(lower - means, means - upper)  # above 0: the mean lies outside
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        p = np.where(error > 0, special.stdtr(df, -gap / error), np.where(gap > ROUNDING, 0.0, 1.0))
    order, found = np.argsort(p), np.zeros(len(p), dtype=bool)
    for place, cell in enumerate(order):
        if p[cell] > tail / (len(p) - place):
            break
        found[cell] = True
    return found


def _deciding(means: np.ndarray, lower: float, upper: float, outside: np.ndarray) -> int:
    """Return the cell that is furthest outside the bounds, or nearest to them inside."""
    room = np.minimum(means - lower, upper - means)
    return int(np.argmin(np.where(outside, room, np.inf) if outside.any() else room))


def _power(distance: float, error: float, seeds: int, df: float, sample: str) -> str:
    """Say which effect these seeds could have shown, and how many would decide this one."""

    def shown(df: float) -> float:  # in standard errors
        return special.stdtrit(df, (1 + LEVEL) / 2) + special.stdtrit(df, POWER)

    spread = error * math.sqrt(seeds)
    enough = (n for n in range(MIN_SEEDS, MOST_SEEDS + 1)
              if distance * math.sqrt(n) >= spread * shown(n - 1))  # fmt: skip
    needed = next(enough, None)
    told = f"about {needed}" if needed else f"more than {MOST_SEEDS}"
    return (
        f"{seeds} {sample} show effects from {shown(df) * error:.2g}; {told} {sample} would decide"
    )


def _trend(values: np.ndarray, evidence: Evidence, rule: Rule) -> Verdict:
    """Judge (cells, seeds, settings): mean Spearman with the settings, permuted within seeds."""
    values = values[None] if values.ndim == 2 else values
    cells, seeds, k = values.shape
    order = np.argsort(np.asarray(evidence.settings, dtype=float), kind="stable")
    ranks = np.apply_along_axis(ranked, -1, rule.rising * values[..., order])
    least = math.factorial(k) ** -float(seeds)
    if least > (1 - rule.level) / 2:
        note = f"{k} settings in {seeds} seeds cannot show a trend"
        return Verdict(NOT_DECIDABLE, n=values.size, unit="rho", note=note)
    null = _null(k, seeds)
    rho = np.array([[_rho(row) for row in cell] for cell in ranks]).mean(axis=1)
    sampled = len(null) == PERMUTATIONS  # then the order found counts as one of them
    up, down = (
        np.array([(sampled + (side * null >= side * r - 1e-9).sum()) for r in rho])
        / (sampled + len(null))
        for side in (1, -1)
    )
    alpha = (1 - rule.level) / 2
    refuted = down <= rule.tail / cells
    verdict = FAILS if refuted.any() else HOLDS if (up <= alpha).all() else UNDECIDED
    cell = int(np.argmin(rho))
    part = _label(evidence, cell, cells)
    note = f"permutation p = {(down if verdict == FAILS else up)[cell]:.3g}"
    answer = Verdict(verdict, float(rho[cell]), n=seeds, unit="rho", note=note)
    return replace(answer, part=part, tests=cells)


def _rho(ranks: np.ndarray) -> float:
    """Spearman of ranks (k,) with their positions; 0 where all are equal."""
    if np.ptp(ranks) == 0:
        return 0.0
    return float(np.corrcoef(ranks, np.arange(len(ranks)))[0, 1])


def _null(k: int, seeds: int) -> np.ndarray:
    """Return mean Spearman of seeds whose k settings are permuted: all orders, or a sample."""
    if math.factorial(k) ** seeds <= PERMUTATIONS:
        one = [_rho(np.array(p)) for p in itertools.permutations(range(k))]
        return np.array([np.mean(found) for found in itertools.product(one, repeat=seeds)])
    rng = np.random.default_rng(0)
    draws = rng.permuted(np.broadcast_to(np.arange(k), (PERMUTATIONS * seeds, k)), axis=1)
    centred = np.arange(k) - (k - 1) / 2
    rho = (draws - (k - 1) / 2) @ centred / (centred @ centred)
    return rho.reshape(PERMUTATIONS, seeds).mean(axis=1)


def robustness(evidence: Evidence, rule: Rule, answer: Verdict) -> str:
    """Say what would turn a decided answer: a seed left out, the margin halved or doubled."""
    values = np.asarray(evidence.values, dtype=float)
    if answer.verdict not in (HOLDS, FAILS) or rule.never or rule.ever or evidence.exact:
        return answer.robust
    tried, turned, axis = 0, [], -2 if rule.rising else -1
    seeds = values.shape[axis]
    if seeds > MIN_SEEDS:
        tried += seeds
        left = [
            judge(replace(evidence, values=np.delete(values, i, axis)), rule) for i in range(seeds)
        ]
        changed = [str(i) for i, one in enumerate(left) if one.verdict != answer.verdict]
        if changed:
            turned.append(f"without {evidence.sample[:-1]} {', '.join(changed)}")
    for factor, word in ((0.5, "half"), (2.0, "twice")):
        other = rule.scaled(factor, evidence.unit)
        tried += other is not None
        if other and (verdict := judge(evidence, other).verdict) != answer.verdict:
            turned.append(f"{verdict} at {word} the margin")
    if not tried:
        return (
            f"of {seeds} {evidence.sample} none can be left out, and there is no margin to change"
        )
    return "; ".join(turned) or f"none of {tried} changes turns it"


def combine(verdicts: list[str]) -> str:
    """Joint verdict of parts that must all hold.

    One failed part settles it; otherwise a part that cannot be measured here outweighs one that
    could be measured better.
    """
    for one in (FAILS, NOT_DECIDABLE, NOT_BUILT, NOT_MEASURED, UNDECIDED):
        if one in verdicts:
            return one
    return HOLDS


def format_number(answer: Verdict) -> str:
    """Our number with interval, unit, count and part, "-" where there is none.

    The interval is cut to what the unit can be, as a correlation to -1..1; verdicts are not
    touched by it.
    """
    if math.isnan(answer.value):
        return "-"
    text = f"{answer.value:.3g}"
    if not math.isnan(answer.low) and answer.low != answer.high:
        least, most = POSSIBLE.get(answer.unit, (-math.inf, math.inf))
        text += f" [{max(answer.low, least):.3g}, {min(answer.high, most):.3g}]"
    unit = f" {answer.unit}" if answer.unit else ""
    part = f" ({answer.part})" if answer.part else ""
    return f"{text}{unit}, n = {answer.n}{part}"
