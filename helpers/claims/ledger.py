"""The ledger: claims as rows of data, and the cells that a row names."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from helpers.claims import evidence, preconditions
from helpers.claims.quantities import QUANTITIES
from helpers.claims.verdicts import Rule, Verdict, format_number  # noqa: F401 - 06 shows it
from helpers.config import Config
from helpers.experiments import Cell, brief_stop, own_batch, selectors, stops
from helpers.results import Missing

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml, where PyYAML has it, is fast
LEDGER = Path(__file__).resolve().parents[2] / "data" / "claims"  # a file a document
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
    "panels": lambda config: list(config.panels),
    "own panel": lambda config: [config.own_panel],
    # `budgeted` has no CIFAR-100, which stands in for SVHN
    "document data": lambda config: [d for d in config.panels if not d.startswith("cifar100")],
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
        evidence, given: A function, "module.name" of `helpers.claims.evidence`, and its arguments,
            in place of cells. Preconditions then look at the cells of `of` and `each`; without
            them at the proxy and the target on everything.
        above, below, within, rising, never, ever: The rule, as in `verdicts.Rule`; within m is
            above -m and below m.
        unit: Of the quantity, in place of its own; a ratio has "x".
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
        if self.evidence:
            evidence.function(self.evidence)
        if unknown := set(self.needs) - set(preconditions.CHECKS):
            raise ValueError(f"unknown precondition {', '.join(map(str, unknown))}")
        if self.rule() == Rule():
            raise ValueError("a part needs a rule: above, below, within, rising, never or ever")
        named = {name for side in (self.of, self.less, self.over) for name in side or {}}
        if unknown := named - {field.name for field in fields(Cell)}:
            raise ValueError(f"a cell has no {', '.join(unknown)}")
        return self

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
        if unknown := set(self.at) - set(preconditions.REGIMES):
            raise ValueError(f"{self.id}: no regime {', '.join(unknown)}")
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


def load_ledger() -> list[Claim]:
    """Read every claim, document by document; `ValidationError` names what is wrong in a row."""
    texts = [yaml.load((LEDGER / f"{name}.yml").read_bytes(), LOADER) for name in DOCUMENTS]
    return [Claim(**row) for rows in texts for row in rows]


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
    options |= merged.pop("options", {})
    given = [pair for pair in options.items() if pair[1] is not None] if "method" in merged else []
    return Cell(**merged, options=tuple(given))
