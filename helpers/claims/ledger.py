"""The ledger: one row a claim, and the verdict its rule gives on our evidence."""

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import yaml

from helpers import StudyError
from helpers.claims.rules import apply, check_numbers
from helpers.claims.verdicts import NOT_DECIDABLE, NOT_MEASURED, Verdict

LEDGER = Path(__file__).resolve().parents[2] / "data" / "claims.yml"
DOCUMENTS = ("svp", "svp-slides", "budgeted", "geda", "adonis")
# Rising. A claim of scale "none" is reached by no profile, a profile of scale "none" reaches none.
SCALES = ("digits", "cifar10-small", "paper")
# What a quantity can be at all, by its unit; a t interval does not know and may lie beyond.
POSSIBLE = {"rho": (-1.0, 1.0), "r": (-1.0, 1.0), "share of training": (0.0, 1.0)}


@dataclass(frozen=True)
class Claim:
    """One checkable statement of a document and how this study decides it.

    Attributes:
        id: Key of the document and a number, such as "svp-01".
        document: One of `DOCUMENTS`.
        where: Section, table or figure.
        statement: What is claimed, in our words.
        paper: The document's own number.
        measure: What we measure.
        scale: Smallest scale that carries meaning: one of `SCALES`, or "none".
        rule: Name of a function of `helpers.claims.rules`.
        numbers: Its margins and bounds.
        evidence: Name of a function of `helpers.claims.evidence`, None where none is written yet.
    """

    id: str
    document: str
    where: str
    statement: str
    paper: str
    measure: str
    scale: str
    rule: str
    numbers: dict = field(hash=False)
    evidence: str | None


@dataclass(frozen=True)
class Row:
    """A claim with the answer its rule gave."""

    claim: Claim
    answer: Verdict


def load_ledger(path: Path = LEDGER) -> list[Claim]:
    """Read every claim, refusing rows that could not be decided.

    Raises:
        StudyError: If a row lacks a field, repeats an id, or names an unknown rule or number.
    """
    rows = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    claims = [_claim(row) for row in rows]
    ids = [claim.id for claim in claims]
    if repeated := sorted({name for name in ids if ids.count(name) > 1}):
        raise StudyError(f"claims ledger: ids must be unique, repeated: {', '.join(repeated)}")
    return claims


def _claim(row: dict) -> Claim:
    """One checked row of the ledger."""
    name = row.get("id", "a row without id") if isinstance(row, dict) else repr(row)
    try:
        claim = Claim(**row)
        check_numbers(claim.rule, claim.numbers)
    except (TypeError, ValueError, KeyError, AttributeError) as problem:
        raise StudyError(f"claims ledger, {name}: {problem}") from problem
    if claim.document not in DOCUMENTS or not claim.id.startswith(f"{claim.document}-"):
        raise StudyError(f"claims ledger, {name}: document must be one of {', '.join(DOCUMENTS)}")
    if claim.scale not in (*SCALES, "none"):
        raise StudyError(f"claims ledger, {name}: scale must be one of {', '.join(SCALES)} or none")
    return claim


def decide(claim: Claim, evidence: dict | None, profile_scale: str) -> Row:
    """Apply a claim's rule to its evidence.

    Args:
        claim: The row of the ledger.
        evidence: What its evidence function returned; None or {} = not measured.
        profile_scale: Tier of the runs, one of `SCALES`, or "none" (other data).

    Returns:
        The row. Below the claim's smallest scale the verdict is "not decidable at this scale"; our
        number still shows, and the note says what the rule would have answered.

    Raises:
        StudyError: If profile_scale is unknown.
        ValueError: If the evidence does not fit the rule.
    """
    if profile_scale not in (*SCALES, "none"):
        raise StudyError(f"scale must be one of {', '.join(SCALES)} or none, got {profile_scale!r}")
    answer = apply(claim.rule, evidence, claim.numbers)
    if _reached(claim.scale, profile_scale):
        return Row(claim, answer)
    note = _needed(claim.scale, profile_scale)
    if answer.verdict not in (NOT_DECIDABLE, NOT_MEASURED):
        note = f"{note}; at this scale: {answer.verdict}"
    note = "; ".join(text for text in (note, answer.note) if text)
    return Row(claim, Verdict(NOT_DECIDABLE, *_number(answer), answer.unit, note))


def _needed(scale: str, profile_scale: str) -> str:
    """Say what a claim needs that a profile does not reach."""
    if scale == "none":
        return "needs data we do not hold"
    return "needs other data, or more" if profile_scale == "none" else f"needs scale {scale}"


def _number(answer: Verdict) -> tuple[float, float, float, int]:
    """Value, interval and count of an answer."""
    return answer.value, answer.low, answer.high, answer.n


def _reached(scale: str, profile_scale: str) -> bool:
    """Whether runs of a profile are large enough for a claim."""
    if "none" in (scale, profile_scale):
        return False
    return SCALES.index(profile_scale) >= SCALES.index(scale)


def decide_all(
    claims: list[Claim],
    scale,
    profile_scale: str,
    sources: dict[str, Callable],
    about: Collection[str] = (),
) -> list[Row]:
    """Decide every claim from stored results.

    Args:
        claims: Rows of the ledger.
        scale: Parameters of the study, passed on to the evidence functions.
        profile_scale: One of `SCALES`, or "none".
        sources: Evidence name -> function(scale) -> dict or None; `evidence.EVIDENCE`. Names it
            lacks count as not measured.
        about: Ids of the claims made on data like the study's; () = all of them.

    Returns:
        One `Row` a claim, in order. Each evidence function is called once.

    Raises:
        StudyError: If about names a claim that the ledger lacks.
    """
    if unknown := sorted(set(about) - {claim.id for claim in claims}):
        raise StudyError(f"claims: no claim {', '.join(unknown)} in the ledger")
    names = {claim.evidence for claim in claims} & set(sources)
    found = {name: sources[name](scale) for name in sorted(names)}

    def reached(claim: Claim) -> str:
        return profile_scale if not about or claim.id in about else "none"

    return [decide(claim, found.get(claim.evidence), reached(claim)) for claim in claims]


def table(rows: list[Row]) -> pd.DataFrame:
    """One line a claim: the ledger's words, our number with its interval, the verdict."""
    columns = ["id", "document", "where", "statement", "paper", "measure", "scale"]
    return pd.DataFrame(
        [
            {name: getattr(row.claim, name) for name in columns}
            | dict(zip(("ours", "low", "high"), _shown(row.answer), strict=True))
            | {"n": row.answer.n, "unit": row.answer.unit}
            | {"verdict": row.answer.verdict, "note": row.answer.note}
            for row in rows
        ],
        columns=[*columns, "ours", "low", "high", "n", "unit", "verdict", "note"],
    )


def _shown(answer: Verdict) -> tuple[float, float, float]:
    """Value and interval for readers: the interval cut where the unit's possible values end."""
    low, high = POSSIBLE.get(answer.unit, (-math.inf, math.inf))
    if math.isnan(answer.low):
        return answer.value, answer.low, answer.high
    return answer.value, max(answer.low, low), min(answer.high, high)


def format_number(answer: Verdict) -> str:
    """Our number with interval, unit and count, "-" where there is none.

    The interval is cut to what the unit can be, as a correlation to -1..1; verdicts are not
    touched by it.
    """
    if math.isnan(answer.value):
        return "-"
    value, low, high = _shown(answer)
    text = f"{value:.3g}"
    if not math.isnan(low) and answer.low != answer.high:
        text += f" [{low:.3g}, {high:.3g}]"
    unit = f" {answer.unit}" if answer.unit else ""
    return f"{text}{unit}, n = {answer.n}"


def format_line(row: Row) -> str:
    """A claim on one line: its key, verdict, our number, the paper's, its words, our note."""
    claim, answer = row.claim, row.answer
    note = f"  |  note: {answer.note}" if answer.note else ""
    return (
        f"{claim.document:<10}  {claim.id:<13}  {answer.verdict:<27}  "
        f"ours: {format_number(answer)}  |  paper: {claim.paper}  |  {claim.statement}  |  "
        f"measured: {claim.measure}{note}"
    )
