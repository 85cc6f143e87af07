"""What readers see of the ledger: rows in words, the headlines, and how many tests stand behind."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

import pandas as pd

from helpers import StudyError
from helpers.claims import deciding, ledger, papers, printed, quantities, verdicts
from helpers.claims.preconditions import REGIMES
from helpers.claims.verdicts import VERDICTS, Rule, format_number
from helpers.config import Config
from helpers.profiles import Profile, here, profile, variables_set
from helpers.results import packs

# The notebook whose parameters a document's runs have; the others' are those of the whole study.
NOTEBOOK_OF = {"budgeted": "03", "geda": "04", "adonis": "05"}
# Profiles whose headlines stand beside each other.
PROFILES = ("digits", "digits-ten", "digits-fresh", "mnist", "cifar10-cpu", "budgeted")
# How our data's name begins -> the documents' data nearest to it in kind, as svp's tables spell it.
NEAREST = {
    "amazon-reviews": "Amazon Review Polarity",
    "amazon-ratings": "Amazon Review Full",
    "imdb": "Amazon Review Polarity",
    "text:": "Amazon Review Polarity",
    "imagenette": "ImageNet",
    "folder:": "ImageNet",
    "cifar100": "CIFAR100",
    "svhn": "SVHN",
}
CHECKED = ("theorem", "existence")
OTHER = ("recount", "ours")


def config_of(chosen: Profile, document: str, config: Config | None = None) -> Config:
    """Return the parameters of a document's runs.

    What a profile sets for the document's notebook counts, unless `config`, given in place of the
    profile's, differs there from the rest of the profile.
    """
    usual = chosen.config()
    config = config or usual
    own = chosen.notebooks.get(NOTEBOOK_OF.get(document, ""), {})
    kept = [name for name in own if name in Config.model_fields
            and getattr(config, name) == getattr(usual, name)]  # fmt: skip
    return config.replace(**{name: own[name] for name in kept})


def decided(
    chosen: Profile,
    config: Config | None = None,
    document: str = "",
    headlines: bool = False,
) -> list[ledger.Row]:
    """Decide claims under a profile, from stored results.

    Args:
        chosen: The profile.
        config: Parameters in place of the profile's, as in `config_of`.
        document: One document's claims; "" for all.
        headlines: Only the claims that have a headline.

    Raises:
        StudyError: If the profile names a claim that the ledger lacks.
    """
    claims, rows = ledger.load_ledger(), []
    if chosen.regime not in (*REGIMES, "none"):
        known = ", ".join(REGIMES)
        raise StudyError(f"profile {chosen.name}: no regime {chosen.regime}; regimes: {known}")
    if unknown := sorted(set(chosen.claims) - {claim.id for claim in claims}):
        raise StudyError(f"profile {chosen.name}: no claim {', '.join(unknown)} in the ledger")
    configs = {name: config_of(chosen, name, config) for name in ledger.DOCUMENTS}
    with quantities.read_once():
        for claim in claims:
            if document in ("", claim.document) and (claim.headline or not headlines):
                asked = not chosen.claims or claim.id in chosen.claims
                regime = chosen.regime if asked else "none"
                rows.append(deciding.decide(claim, configs[claim.document], regime))
    return rows


def records(rows: list[ledger.Row]) -> list[dict[str, Any]]:
    """Return plain values, one mapping a claim; None where there is no number."""
    numbers = ("value", "low", "high")
    return [
        {"id": one.claim.id, "statement": one.claim.statement, "document": one.claim.document}
        | {n: getattr(one.answer, n) for n in ("verdict", "unit", "n", "note", "robust")}
        | {n: float(v) if math.isfinite(v := getattr(one.answer, n)) else None for n in numbers}
        | {"ours": format_number(one.answer), "paper": papers.filled(one.claim.paper)}
        for one in rows
    ]


def readable(rows: list[ledger.Row]) -> pd.DataFrame:
    """Return one line a claim: id, statement, verdict, ours, the document's, note, robustness.

    `ours` is value, 95 % interval, unit, number of values and the part it is of; `what turns it`
    says which change of seeds or margin would turn the verdict.
    """
    names = {"id": "claim", "paper": "the document", "robust": "what turns it"}
    shown = ["id", "statement", "verdict", "ours", "paper", "note", "robust"]
    return pd.DataFrame(records(rows), columns=shown).rename(columns=names)


def format_line(row: ledger.Row) -> str:
    """A claim on one line: key, verdict, our number, the paper's, its words, note, robustness."""
    (one,) = records([row])
    told = [
        f"{one['document']:<10}  {one['id']:<13}  {one['verdict']:<16}  ours: {one['ours']}",
        *(f"paper: {one['paper']}", one["statement"], f"measured: {row.claim.measure}"),
        *(f"{name}: {one[name]}" for name in ("note", "robust") if one[name]),
    ]
    return "  |  ".join(told)


def documents(notebooks: Collection[str]) -> list[str]:
    """Return the documents that notebooks, by number ("03"), are about; 06 is about all."""
    about = {d: {"06", *(NOTEBOOK_OF.get(d, n) for n in ("01", "02"))} for d in ledger.DOCUMENTS}
    return [document for document, numbers in about.items() if numbers & set(notebooks)]


class Page(str):
    """HTML that a notebook shows; its plain text holds no address, so that equal runs are equal."""

    def _repr_html_(self) -> str:
        return str(self)

    def __repr__(self) -> str:
        return "a table"


def to_read(lines: pd.DataFrame, name: str) -> Page:
    """Set a table of texts for reading: whole texts, to the left; `name` is its id in the page."""
    left = {"text-align": "left", "white-space": "normal", "vertical-align": "top"}
    return Page(lines.style.hide(axis="index").set_properties(**left).set_uuid(name).to_html())


def table(rows: list[ledger.Row], document: str = "") -> Page:
    """Return `readable` rows, of one document or all, set for reading."""
    found = [row for row in rows if document in ("", row.claim.document)]
    return to_read(readable(found), document or "claims")


def printed_beside(config: Config) -> pd.DataFrame:
    """Set ours beside every printed table, on the data of it that is nearest in kind to ours.

    Returns:
        Rows of `papers.beside`, table after table. A table that has nothing like our data, or
        not the full set, from which losses count, gives none.
    """
    wanted = next((kind for start, kind in NEAREST.items() if config.dataset.startswith(start)),
                  "CIFAR10")  # fmt: skip
    chosen = here()
    found = [pd.DataFrame(columns=papers.COLUMNS)]
    for name in printed.TABLES:
        for data in dict.fromkeys(one.data for one in printed.printed(name)):
            lines = printed.printed(name, data)
            counted = any(one.cell.method == "full" for one in lines)
            if counted and data.replace("-", "") in (wanted, f"{wanted} ResNet18"):
                own = config_of(chosen, lines[0].document, config)
                found.append(papers.beside(own, name, data))
    every = pd.concat([one for one in found if len(one)] or found)
    every = every.drop_duplicates(ignore_index=True)  # a printed line may stand for two cells
    first = pd.factorize(every["group"])[0]  # what shares a heading stands together
    return every.iloc[first.argsort(kind="stable")].reset_index(drop=True)


def counts(rows: list[ledger.Row]) -> pd.DataFrame:
    """Count verdicts on findings by document; theorems, existence and the rest stand apart.

    Returns:
        Index document; `findings`, a column a verdict, then `theorems, existence` and `recounts,
        ours`, each told as "held of all".
    """

    def held(of: list[ledger.Row], kinds: tuple[str, ...]) -> str:
        given = [row.answer.verdict for row in of if row.claim.kind in kinds]
        return f"{given.count('holds')} of {len(given)}"

    lines = {}
    for document in ledger.DOCUMENTS:
        of = [row for row in rows if row.claim.document == document]
        given = Counter(row.answer.verdict for row in of if row.claim.kind == "finding")
        lines[document] = {
            "findings": given.total(),
            **{verdict: given[verdict] for verdict in VERDICTS},
            "theorems, existence": held(of, CHECKED),
            "recounts, ours": held(of, OTHER),
        }
    return pd.DataFrame(lines).T


def tests_told(rows: list[ledger.Row]) -> str:
    """Say how many interval tests stand behind rows, what corrects for them, and what changed."""
    tests = sum(row.answer.tests for row in rows)
    dates = [max(row.claim.changed) for row in rows if row.claim.changed]
    last = f", last on {max(dates)}" if dates else ""
    return (
        f"{tests} interval tests stand behind {len(rows)} claims. A claim that lists cells holds "
        "where the intervals of all lie inside, and fails by Holm's procedure over its cells; "
        f"nothing corrects over claims: were every true value on its bound, about {tests / 40:.0f} "
        "tests would fall on either side by luck. "
        f"{len(dates)} of {len(rows)} rules were changed after runs existed{last}; "
        "`data/claims` says why, row by row."
    )


def title(claim: ledger.Claim) -> str:
    """Return a headline with the document's numbers filled in, and the claim's key."""
    return f"{papers.filled(claim.headline)} ({claim.id})"


def precondition(row: ledger.Row) -> str:
    """Say which precondition failed, with its numbers, or which were met."""
    if row.answer.verdict == verdicts.NOT_DECIDABLE:
        return f"failed: {row.answer.note}"
    if row.answer.verdict in (verdicts.NOT_BUILT, verdicts.NOT_MEASURED):
        return "-"
    parts = row.claim.parts.values()
    needs = {name: limit for part in parts for name, limit in part.needs.items()}
    told = [name if limit is None else f"{name} {limit}" for name, limit in needs.items()]
    if any(part.quantity in ("error", "accuracy") and not part.evidence for part in parts):
        told = ["far from chance", *told]
    return "met: " + ", ".join(told) if told else "none is asked"


def headlines(rows: list[ledger.Row]) -> pd.DataFrame:
    """Return the headlines' lines: what the document says, ours, precondition, verdict, figure."""
    some = [row for row in rows if row.claim.headline]
    lines = readable(some).assign(
        headline=[title(row.claim) for row in some],
        precondition=[precondition(row) for row in some],
        kind=[row.claim.kind for row in some],
        figure=[row.claim.figure for row in some],
    )
    return lines[["claim", "headline", "the document", "ours", "precondition", "verdict", "kind",
                  "figure"]]  # fmt: skip


def intervals(rows: list[ledger.Row]) -> pd.DataFrame:
    """Return what `plots.headline_intervals` draws: numbers and bounds.

    Without a number, `reason` says why.
    """
    lines = []
    for row in rows:
        answer, parts = row.answer, row.claim.parts
        told = {name: one for name, one in row.parts.items() if not parts[name].aside}
        same = [parts[name] for name, one in told.items() if one.verdict == answer.verdict]
        rule = same[0].rule() if same else Rule()
        lines.append(
            {"headline": title(row.claim), "verdict": answer.verdict,
             "value": answer.value, "low": answer.low, "high": answer.high, "unit": answer.unit,
             "above": 0.0 if rule.rising else rule.above, "below": rule.below,
             "reason": ": ".join(filter(None, (answer.verdict, answer.note)))}
        )  # fmt: skip
    return pd.DataFrame(lines)


def published(besides: str = "") -> dict[str, list[ledger.Row]]:
    """Decide the claims of all published profiles, each from its pack, and of one without a pack.

    Returns:
        Profile -> rows, in the order of `PROFILES`.
    """
    found = {}
    for name in PROFILES:
        if name == besides or (packs.path_of(name) / packs.FILE).exists():
            with variables_set({"STUDY_PROFILE": name}):
                found[name] = decided(profile(name))
    return found


def beside(found: Mapping[str, list[ledger.Row]]) -> pd.DataFrame:
    """Set the headlines of several profiles beside each other.

    Args:
        found: As `published` returns it.

    Returns:
        Columns claim, headline, the document, figure, then one a profile: verdict and number,
        which precondition failed, or "-" where the claim is not asked of it.
    """
    table = pd.DataFrame()
    for name, rows in found.items():
        lines = headlines(rows)
        if table.empty:
            table = lines[["claim", "headline", "the document", "figure"]].copy()
        table[name] = [_cell(line) for line in lines.to_dict("records")]
    return table


def _cell(line: dict[str, str]) -> str:
    if line["precondition"].startswith(f"failed: {deciding.ELSEWHERE}"):
        return "-"
    if line["verdict"] == verdicts.NOT_DECIDABLE:
        return f"{verdicts.NOT_DECIDABLE}: {line['precondition'].removeprefix('failed: ')}"
    kind = "" if line["kind"] == "finding" else f" ({line['kind']})"
    return line["verdict"] + kind + (f": {line['ours']}" if line["ours"] != "-" else "")
