"""The ledger: claims as rows of data, and the verdict that stored results give each of them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from helpers import StudyError
from helpers.claims import evidence, papers, preconditions
from helpers.claims.quantities import QUANTITIES, UNITS, Unfit, require_comparable
from helpers.claims.verdicts import (
    NOT_BUILT,
    NOT_DECIDABLE,
    NOT_MEASURED,
    Evidence,
    Rule,
    Verdict,
    combine,
    format_number,
    judge,
    robustness,
)
from helpers.config import Config, refusal
from helpers.experiments import Cell, brief_stop, from_plain, own_batch, selectors, stops
from helpers.results import Missing

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml, where PyYAML has it, is fast
LEDGER = Path(__file__).resolve().parents[2] / "data" / "claims"  # a file a document
ELSEWHERE = "made at"  # how the note of a claim begins that is not about such data
# What the documents are called; papers and years are told in the README.
DOCUMENTS = {
    "svp": "Selection via Proxy",
    "svp-slides": "Selection via Proxy, replicated",
    "budgeted": "Budgeted Subset Selection",
    "geda": "GEDA",
    "adonis": "ADONIS and IDS",
}
# Lists that a row names instead of writing them out; any field of `Config` is one too.
SETS: dict[str, Callable[[Config], list]] = {
    "selectors": selectors,
    "proxies": lambda config: selectors(config)[:-1],
    "stops": stops,
    "brief stop": brief_stop,
    # core-sets of the documents keep 30 % or more
    "larger budgets": lambda config: [share for share in config.budgets if share >= 0.3],
    "later label_budgets": lambda config: list(config.label_budgets[1:]),
    "own batch": own_batch,
    "other weights": lambda config: [weight for weight in config.weights if weight != 0.3],
    "other nodes": lambda config: [n for n in config.node_counts if n != 5],
    "both etas": lambda config: sorted({1, max(config.etas)}),
}


def _listed(value: Any) -> dict[str, Any]:
    """Read needs: names, or one-entry mappings to a limit."""
    rows = value if isinstance(value, list) else [value]
    pairs = [row if isinstance(row, dict) else {row: None} for row in rows]
    return {name: limit for pair in pairs for name, limit in pair.items()}


class Part(BaseModel):
    """One judged comparison of a claim: cells or a function, a rule, its preconditions.

    Attributes:
        quantity: Of cells: a key of `QUANTITIES`.
        of, less, over: Cells as mappings of `Cell`'s fields; `of` less or over the other.
        each: Field -> values (a list, or the name of one) that both cells take in turn;
            `options.eta` is an option.
        along: Field -> values that the trend runs over.
        pooled: Whether the cells of `each` are averaged within a seed rather than judged apart.
        evidence, given: A function of `helpers.claims.evidence` and its arguments, in place of
            cells. Preconditions then look at the cells of `of` and `each`; without them at the
            proxy and the target on everything.
        above, below, within, rising, never, ever: The rule, as in `verdicts.Rule`; within m is
            above -m and below m. alike: correlations agree within this margin.
        unit: Of the quantity; points, or "x" for a ratio, by default.
        needs: Preconditions -> limit.
        why: Why these bounds.
        optional: Whether the claim is judged without this part where it has no answer.
        aside: Whether it is told beside and never decides, such as another reading.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    quantity: str = "error"
    of: dict[str, Any] = {}
    less: dict[str, Any] | None = None
    over: dict[str, Any] | None = None
    each: dict[str, Any] = {}
    along: dict[str, Any] = {}
    pooled: bool = False
    evidence: str = ""
    given: dict[str, Any] = {}
    above: float = -math.inf
    below: float = math.inf
    within: float | None = None
    alike: float | None = None
    rising: Literal[-1, 0, 1] = 0
    never: int = 0
    ever: bool = False
    unit: str = ""
    needs: Annotated[dict[str, Any], BeforeValidator(_listed)] = {}
    why: str = ""
    optional: bool = False
    aside: bool = False

    @model_validator(mode="after")
    def _known(self) -> Part:
        if self.quantity not in QUANTITIES:
            raise ValueError(f"unknown quantity {self.quantity!r}")
        if self.evidence and not hasattr(evidence, self.evidence):
            raise ValueError(f"no function {self.evidence} in helpers.claims.evidence")
        if unknown := set(self.needs) - set(preconditions.CHECKS):
            raise ValueError(f"unknown precondition {', '.join(map(str, unknown))}")
        rule = self.rule()
        if rule == Rule() and self.alike is None:
            raise ValueError("a part needs a rule: above, below, within, rising, never or ever")
        for cell in (self.of, self.less, self.over):
            from_plain({k: v for k, v in (cell or {}).items() if k not in self.each})
        return self

    @property
    def other(self) -> dict[str, Any] | None:
        """The cell that `of` is less or over."""
        return self.over if self.over is not None else self.less

    def rule(self) -> Rule:
        """Return where the quantity must lie."""
        above, below = self.above, self.below
        if self.within is not None:
            above, below = -self.within, self.within
        return Rule(above, below, self.rising, self.never, self.ever)


class Claim(BaseModel):
    """One checkable statement of a document and how this study decides it.

    Attributes:
        id: Key of the document and a number, such as "svp-01".
        where: Section, table or figure.
        statement: What is claimed, in our words.
        kind: `finding`; `theorem` or `existence` (checked, cannot be refuted by runs); `recount`
            (of the document's own tables); `ours` (a question that the document does not answer).
        paper: The document's own numbers: text with references to cells of `data/papers`.
        measure: What we measure.
        at: Regimes at which it may be judged.
        parts: Name -> part; all must hold. Without any the claim is not built.
        printed: Table and data set whose printed cells the rule is fed with in a test.
        replication: Why an exact replication of the document would not be told "holds".
        changed: Date -> what was changed in rule or measure after runs existed, and why.
        headline: Short title where the claim is among the fifteen of notebook 06.
        figure: Name of the figure that shows a headline's runs; it begins with its notebook's.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    where: str
    statement: str
    kind: Literal["finding", "theorem", "existence", "recount", "ours"] = "finding"
    paper: str = ""
    measure: str
    at: tuple[str, ...] = ()
    parts: dict[str, Part] = Field(default={}, repr=False)
    printed: dict[str, Any] = {}
    replication: str = ""
    changed: dict[str, str] = {}
    headline: str = ""
    figure: str = ""

    @model_validator(mode="after")
    def _shown(self) -> Claim:
        if bool(self.headline) != bool(self.figure):
            raise ValueError("a headline needs a figure, and only a headline has one")
        return self

    @property
    def document(self) -> str:
        """The key of the document."""
        return self.id.rpartition("-")[0]


@dataclass(frozen=True)
class Row:
    """A claim with its answer, and the answer of each of its parts."""

    claim: Claim
    answer: Verdict
    parts: dict[str, Verdict]


def load_ledger(path: Path = LEDGER) -> list[Claim]:
    """Read every claim, document by document, refusing rows that could not be decided.

    Args:
        path: A folder with a file a document, or one file.

    Raises:
        StudyError: If a row lacks a field, repeats an id, or names what there is not.
    """
    files = [path / f"{name}.yml" for name in DOCUMENTS] if path.is_dir() else [path]
    try:
        texts = [
            yaml.load(file.read_text(encoding="utf-8"), LOADER) for file in files if file.exists()
        ]
    except yaml.YAMLError as problem:
        raise StudyError(f"claims ledger: {' '.join(str(problem).split())}") from None
    claims = [_claim(row) for rows in texts for row in rows or []]
    ids = [claim.id for claim in claims]
    if repeated := sorted({name for name in ids if ids.count(name) > 1}):
        raise StudyError(f"claims ledger: ids must be unique, repeated: {', '.join(repeated)}")
    return claims


def _claim(row: Any) -> Claim:
    name = row.get("id", "a row without id") if isinstance(row, dict) else repr(row)[:60]
    try:
        claim = Claim(**{**row, "changed": {str(k): v for k, v in row.get("changed", {}).items()}})
    except ValidationError as problem:
        raise StudyError(f"claims ledger, {name}: {refusal(problem)}") from None
    except (TypeError, AttributeError, StudyError) as problem:
        raise StudyError(f"claims ledger, {name}: {problem}") from None
    if claim.document not in DOCUMENTS:
        raise StudyError(f"claims ledger, {name}: document must be one of {', '.join(DOCUMENTS)}")
    if unknown := set(claim.at) - set(preconditions.REGIMES):
        raise StudyError(f"claims ledger, {name}: no regime {', '.join(unknown)}")
    return claim


def resolved(config: Config, value: Any) -> Any:
    """Return what a row's value stands for: a list by name, "min NAME" or "max NAME" of one."""
    if isinstance(value, dict):
        return {k: resolved(config, v) for k, v in value.items()}
    if not isinstance(value, str):
        return value
    end, _, name = value.partition(" ") if value[:4] in ("min ", "max ") else ("", "", value)
    if name not in SETS and (name not in Config.model_fields or name in ("proxy", "target")):
        return value
    found = SETS[name](config) if name in SETS else getattr(config, name)
    if not end:
        return list(found) if isinstance(found, tuple) else found
    if not found:
        raise Missing(f"the study has no {name}")
    return (min if end == "min" else max)(found)


def settings(config: Config, axes: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the product of the values of `each` or `along`, one mapping a cell."""
    values = [resolved(config, v) for v in axes.values()]
    found = itertools.product(*(v if isinstance(v, list) else [v] for v in values))
    return [dict(zip(axes, one, strict=True)) for one in found]


def cell(config: Config, plain: dict[str, Any], setting: dict[str, Any]) -> Cell:
    """Return a row's cell under a setting; what the row itself gives wins.

    A setting named `options.eta` is the option eta; null takes it away, the full set has none.
    """
    merged = resolved(config, {**setting, **plain})
    options = {k.partition(".")[2]: merged.pop(k) for k in list(merged) if k.startswith("options.")}
    options = {k: v for k, v in {**options, **merged.get("options", {})}.items() if v is not None}
    return from_plain(merged | {"options": options if "method" in merged else {}})


def compared(config: Config, part: Part) -> tuple[Evidence, list[Cell]]:
    """Return a part's numbers, (cells, seeds) or (cells, seeds, settings), and its cells.

    Raises:
        Missing: If a run is not stored, or the study has too few settings.
        Unfit: If seconds do not compare.
    """
    read, used = QUANTITIES[part.quantity], []

    def values(setting: dict[str, Any]) -> np.ndarray:
        used.append(cell(config, part.of, setting))
        found = read(config, used[-1])
        if part.other is None:
            return found
        used.append(cell(config, part.other, setting))
        beside = read(config, used[-1])
        return found / beside if part.over is not None else found - beside

    found = _gathered(config, part, values, UNITS.get(part.quantity, "s"))
    require_comparable(config, used, part.quantity)
    return found, used


def _gathered(
    config: Config, part: Part, values: Callable[[dict[str, Any]], np.ndarray], unit: str
) -> Evidence:
    """Return the numbers (seeds,) of all of a part's settings together."""
    apart, along = settings(config, part.each), settings(config, part.along)
    if not apart:
        raise Missing(f"the study has none of {', '.join(map(str, part.each.values()))}")
    if part.along and len(along) < 2:
        raise Missing("one setting shows no trend")
    found = np.array([[values(one | x) for x in along] for one in apart])
    found = found.transpose(0, 2, 1) if part.along else found[:, 0]
    if part.pooled and part.over is not None and (found > 0).all():
        found = np.exp(np.log(found).mean(axis=0, keepdims=True))
    elif part.pooled:
        found = found.mean(axis=0, keepdims=True)
    labels = [
        ", ".join(f"{v:.0%}" if isinstance(v, float) and v <= 1 else str(v) for v in one.values())
        for one in apart
    ]
    unit = part.unit or ("x" if part.over is not None else unit)
    x = [next(iter(one.values()), 0) for one in along]
    if any(isinstance(one, str) for one in x):  # networks, in the order they are listed in
        x = list(range(len(x)))
    return Evidence(found, labels, unit, settings=x if part.along else ())


def _answer(config: Config, regime: str, part: Part, level: float, among: int) -> Verdict:
    """Judge one of so many parts, its preconditions first."""
    try:
        if part.evidence:
            given = part.given if part.alike is None else {**part.given, "margin": part.alike}
            found = getattr(evidence, part.evidence)(config, **given)
            cells = [cell(config, part.of, setting) for setting in settings(config, part.each)]
            cells = cells if part.of or part.each else [Cell(model="proxy"), Cell()]
        else:
            found, cells = compared(config, part)
        is_error = part.quantity in ("error", "accuracy") and not part.evidence
        asked = preconditions.Asked(config, regime, tuple(dict.fromkeys(cells)), part.above)
        reason = preconditions.failed(asked, part.needs, is_error)
    except Missing:
        return Verdict(NOT_MEASURED, unit=part.unit)
    except Unfit as problem:
        return Verdict(NOT_DECIDABLE, unit=part.unit, note=str(problem))
    if isinstance(found, Verdict):
        answer = found
    else:
        found = replace(found, unit=part.unit) if part.unit else found
        rule = replace(part.rule(), level=level, among=among)
        answer = judge(found, rule)
        answer = replace(answer, robust=robustness(found, rule, answer))
    if reason:
        note = "; ".join(filter(None, (reason, answer.note)))
        return replace(answer, verdict=NOT_DECIDABLE, note=note, robust="")
    return answer


def decide(claim: Claim, config: Config, regime: str, level: float = 0.95) -> Row:
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
        return Row(claim, Verdict(NOT_BUILT, note=claim.replication), {})
    if regime not in claim.at:
        told = f"{ELSEWHERE} {', '.join(claim.at) or 'data that we do not hold'}"
        return Row(claim, Verdict(NOT_DECIDABLE, note=told), {})
    judged = [n for n, p in claim.parts.items() if not p.aside]
    among = max(len(judged), 1)
    answers = {n: _answer(config, regime, p, level, among) for n, p in claim.parts.items()}
    counted = [n for n in judged if answers[n].verdict not in (NOT_MEASURED, NOT_DECIDABLE)]
    counted += [n for n in judged if n not in counted and not claim.parts[n].optional]
    verdict = combine([answers[n].verdict for n in counted or judged])
    same = [n for n in counted or judged if answers[n].verdict == verdict]
    name = min(same, key=lambda n: answers[n].robust.startswith("none of"))  # the weakest shows
    deciding, aside = answers[name], (n for n, p in claim.parts.items() if p.aside)
    note = "; ".join(filter(None, (deciding.note, *(f"{n}: {answers[n].verdict}" for n in aside))))
    label = ", ".join(filter(None, (name if len(claim.parts) > 1 else "", deciding.part)))
    tests = sum(answer.tests for answer in answers.values())
    return Row(claim, replace(deciding, part=label, tests=tests, note=note), answers)


def replicated(claim: Claim, config: Config) -> dict[str, Verdict]:
    """Judge a claim on the document's own printed means, spreads and numbers of runs.

    Args:
        claim: The row of the ledger; without `printed` nothing is judged.
        config: The document's parameters: its budgets, epochs and stops.

    Returns:
        Part -> answer, "not measured yet" for a part that the table does not print. Both sides,
        and pooled cells, count as independent, since the documents pair no seeds. Preconditions
        are not asked.
    """
    if not claim.printed:
        return {}
    between = ("between", "between 2")[: len(config.more_proxies)]
    roles = config.replace(proxy="proxy", target="target", more_proxies=between)
    numbers = papers.Printing(**claim.printed)
    return {name: _printed(roles, part, numbers) for name, part in claim.parts.items()}


def _printed(config: Config, part: Part, numbers: papers.Printing) -> Verdict:
    pooled = len(settings(config, part.each)) if part.pooled else 1

    def values(setting: dict[str, Any]) -> np.ndarray:
        one = numbers.find(cell(config, part.of, setting), part.quantity)
        if part.other is None:
            return papers.runs_like(one, pooled=pooled)
        beside = numbers.find(cell(config, part.other, setting), part.quantity)
        return papers.runs_like(one, beside, part.over is not None, pooled)

    try:
        if part.evidence:
            raise Missing("a function reads runs, no printed cells")
        found = _gathered(config, part, values, "points")
    except (Missing, papers.NotPrinted) as problem:
        return Verdict(NOT_MEASURED, note=str(problem))
    if found.values.shape[1] == 1 and not part.along:
        found = replace(found, values=found.values[:, 0], exact=True)
    return judge(found, part.rule())


def format_line(row: Row) -> str:
    """A claim on one line: key, verdict, our number, the paper's, its words, note, robustness."""
    claim, answer = row.claim, row.answer
    more = "".join(
        f"  |  {word}: {text}"
        for word, text in (("note", answer.note), ("robust", answer.robust))
        if text
    )
    return (
        f"{claim.document:<10}  {claim.id:<13}  {answer.verdict:<16}  "
        f"ours: {format_number(answer)}  |  paper: {papers.filled(claim.paper)}  |  "
        f"{claim.statement}  |  measured: {claim.measure}{more}"
    )
