"""Evidence for the claims: stored results and printed tables turned into a rule's arrays.

Each function takes the study's scale and returns the arrays its claim's rule names, None while
results are missing, or {"not_decidable": reason}.
"""

import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from helpers.claims import (
    evidence_active,
    evidence_adonis,
    evidence_budgeted,
    evidence_families,
    evidence_geda,
    evidence_proxies,
    evidence_rivals,
    evidence_slides,
    evidence_svp,
    evidence_text,
)

PAPERS = Path(__file__).resolve().parents[2] / "data" / "papers"


def paper_table(name: str) -> pd.DataFrame:
    """A table of the documents by file name without ending, numbers parsed."""
    return pd.read_csv(PAPERS / f"{name}.csv")


def adonis_01(scale=None) -> dict:
    """Mean over sections of the best train boost of the document's own methods, a recount.

    A section is a data set with a model; baselines (SB, SSP, RPC, RPD) do not count.

    Source: adonis, Table A1 against the abstract.
    """
    rows = paper_table("adonis-table-a1")
    own = rows[rows["method"].isin(["IDS", "ADONIS", "IDS+ADONIS"])]
    best = own.groupby(["dataset", "model"])["train_boost"].max()
    note = f"all own rows {own['train_boost'].mean():.2f}x"
    for method, part in own.groupby("method"):
        note += f", {method} {part['train_boost'].mean():.2f}x"
    return {"values": float(best.mean()), "note": note}


def adonis_19(scale=None) -> dict:
    """Largest change in per cent of an IDS boost when preprocessing seconds are counted in.

    Source: adonis, section 4 (seconds), Table 1 (baseline seconds), Table A1 (boosts).

    Note: SSP, the peer that also prepares the data, stands in the note only.
    """
    rows = paper_table("adonis-table-a1").merge(paper_table("adonis-preprocessing"))
    rows = rows.merge(paper_table("adonis-table-1"), on=["dataset", "model"])
    time_s = rows["train_s"] / rows["train_boost"] + rows["preprocess_s"]
    rows = rows.assign(counted=rows["train_s"] / time_s)
    rows["change"] = 100 * (1 - rows["counted"] / rows["train_boost"])
    notes = []
    for method, part in rows.groupby("method"):
        worst = part.loc[part["change"].idxmax()]
        cifar = part.loc[part["dataset"].str.startswith("CIFAR"), "change"]
        notes.append(
            f"{method} on {worst['dataset']}, {worst['model']}: {worst['train_boost']:.2f}x "
            f"becomes {worst['counted']:.2f}x; on CIFAR {cifar.min():.1f} to {cifar.max():.1f} % "
            "less"
        )
    own = rows.loc[rows["method"] == "IDS", "change"]
    return {"values": float(own.max()), "note": "; ".join(notes)}


def _from_results() -> dict[str, Callable[..., dict | None]]:
    """Gather the functions of the documents' modules that are named like a claim."""
    documents = (
        ("svp_slides", evidence_slides),
        ("svp_slides", evidence_proxies),
        ("svp_slides", evidence_text),
        ("svp", evidence_svp),
        ("svp", evidence_active),
        ("svp", evidence_families),
        ("svp", evidence_proxies),
        ("svp", evidence_text),
        ("budgeted", evidence_budgeted),
        ("budgeted", evidence_rivals),
        ("geda", evidence_geda),
        ("adonis", evidence_adonis),
    )
    return {
        name: function
        for key, module in documents
        for name, function in vars(module).items()
        if re.fullmatch(rf"{key}_\d\d", name)
    }


EVIDENCE: dict[str, Callable[..., dict | None]] = _from_results() | {
    "adonis_01": adonis_01,
    "adonis_19": adonis_19,
}
