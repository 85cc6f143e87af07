"""The tables of `budgeted` and `geda` as cells."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from helpers.claims.papers import Printed, paper_table, reads
from helpers.experiments import Cell

POOL = 3000  # points of `budgeted` Tables I and III
METHODS = {"DPP": "dpp", "Submodular": "submodular", "Proposed": "iqp", "Random": "random"}
NETWORKS = {"AlexNet": "alexnet", "GoogLeNet": "googlenet", "ResNet-18": "resnet18"}
# The kernel's parameter as printed; among ours the median distance stands for it.
AS_PRINTED = (("bandwidth", 1.0),)
RUNGS = {
    "Random": "random-per-class",
    "Random over the quantiles": "random-per-quartile",
    "Evenly spaced selection": "evenly-spaced",
    "GEDA": "geda-random",
}
PEERS = {"GRAD-MATCH": "grad-match", "CRAIG": "craig"}
NODES = (("n_nodes", 5),)  # of every GEDA of the document, section 5.1.3


def _seconds(printed: str) -> float:
    return pd.to_timedelta(printed).total_seconds()


@reads("budgeted-table-1")
def _budgeted_table_1() -> Iterator[Printed]:
    """Seconds of selection from 3,000 points; a printed network is none of ours but ResNet-18."""
    for row in paper_table("budgeted-table-1").to_dict("records"):
        for k in range(600, 1501, 100):
            cell = Cell(METHODS[row["method"]], k / POOL, model=NETWORKS[row["model"]],
                        protocol="budgeted")  # fmt: skip
            group = f"budgeted Table I, {row['dataset']}, {row['model']}"
            name = f"{row['method']}, {k} of {POOL}"
            spent = _seconds(row[f"k_{k}"])
            yield Printed("budgeted", group, name, row["dataset"], cell, "choosing", spent)


@reads("budgeted-table-2")
def _budgeted_table_2() -> Iterator[Printed]:
    for row in paper_table("budgeted-table-2").to_dict("records"):
        for part in ("full", "50", "40", "25"):
            full = part == "full"
            cell = Cell() if full else Cell("iqp", int(part) / 100, options=AS_PRINTED)
            about = ("budgeted", f"budgeted Table II, {row['dataset']}",
                     "Full set" if full else f"{part} %", row["dataset"], cell)  # fmt: skip
            yield Printed(*about, "error", 100 - row[f"acc_{part}"])
            yield Printed(*about, "total", 3600 * row[f"hours_{part}"])


@reads("budgeted-table-3")
def _budgeted_table_3() -> Iterator[Printed]:
    """Seconds of selection; the errors are of ages, for which cells have no quantity."""
    for row in paper_table("budgeted-table-3").to_dict("records"):
        cell = Cell(METHODS[row["method"]], 2 / 3, model="resnet18", protocol="budgeted")
        about = ("budgeted", "budgeted Table III", row["method"], "IMDB", cell)
        yield Printed(*about, "choosing", _seconds(row["select_time"]))


@reads("geda-table-5-1")
def _geda_table_5_1() -> Iterator[Printed]:
    for row in paper_table("geda-table-5-1").to_dict("records"):
        model = "pretrained:resnet18" if row["pretrained"] == "Yes" else "proxy"
        name = "Full set, pretrained" if row["pretrained"] == "Yes" else "Full set"
        about = ("geda", "geda Table 5.1", name, row["dataset"], Cell(model=model))
        yield Printed(*about, "error", 100 - row["acc"])


def rung(method: str, percent: int) -> Cell:
    """Return the cell of a printed rung of the ladder, or of a peer that selects once."""
    if method in PEERS:
        return Cell(PEERS[method], percent / 100, by="untrained", model="proxy")
    options = NODES if method == "GEDA" else ()
    return Cell(RUNGS[method], percent / 100, model="proxy", options=options)


@reads("geda-table-a1")
def _geda_table_a1() -> Iterator[Printed]:
    yield from _geda_errors("a1", "A.1")


@reads("geda-table-a2")
def _geda_table_a2() -> Iterator[Printed]:
    yield from _geda_errors("a2", "A.2")


@reads("geda-tables-a")
def _geda_tables_a() -> Iterator[Printed]:
    """Both tables together: GEDA stands in one and its peers in the other."""
    yield from _geda_errors("a1", "A.1")
    yield from _geda_errors("a2", "A.2", full=False)


def _full() -> Iterator[Printed]:
    return (one for one in _geda_table_5_1() if one.cell.model == "proxy")


def _geda_errors(table: str, called: str, full: bool = True) -> Iterator[Printed]:
    if full:
        yield from _full()
    for row in paper_table(f"geda-table-{table}").to_dict("records"):
        method, percent = row["method"], row["percent"]
        about = ("geda", f"geda Table {called}, {percent} % kept", method, row["dataset"])
        yield Printed(*about, rung(method, percent), "error", 100 - row["acc"])


@reads("geda-table-5-2")
def _geda_table_5_2() -> Iterator[Printed]:
    yield from (one for one in _full() if one.data == "CIFAR-10")
    for row in paper_table("geda-table-5-2").to_dict("records"):
        share = row["percent"] / 100
        cell = rung("GEDA", row["percent"])
        if row["method"] != "GEDA":  # R = 20
            cell = Cell("grad-match", share, model="proxy", protocol="online",
                        options=(("keep", share), ("choices", 5)), epochs=100)  # fmt: skip
        about = ("geda", "geda Table 5.2", f"{row['method']} {row['percent']} %", "CIFAR-10", cell)
        yield Printed(*about, "error", 100 - row["acc"])
        yield Printed(*about, "total", 60 * row["minutes"])
