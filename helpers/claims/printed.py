"""The documents' printed tables as cells: one reader a table, one number a cell and quantity.

A printed number is found by the same `Cell` as our run of it, so that a table, a claim and a test
read one and the same place of `data/papers`. Networks are named by the role they have among ours.
"""

from __future__ import annotations

import csv
import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

import pandas as pd

from helpers import StudyError
from helpers.experiments import Cell, sampled
from helpers.experiments.questions import IN_ALL, READINGS

PAPERS = Path(__file__).resolve().parents[2] / "data" / "papers"


@cache
def paper_table(name: str) -> pd.DataFrame:
    """A table of the documents by file name without ending, numbers parsed."""
    return pd.read_csv(PAPERS / f"{name}.csv", keep_default_na=True)


@cache
def _texts(name: str) -> list[dict[str, str]]:
    with open(PAPERS / f"{name}.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@cache
def looked_up(table: str, keys: str, column: str) -> str:
    """Return one printed cell as it is printed.

    Args:
        table: File in `data/papers`, without its ending.
        keys: Texts of cells that single out one row, comma-separated; `percent=20` is one of
            that column.
        column: Name of the column.

    Raises:
        StudyError: If no cell, or more than one, answers.
    """
    try:
        rows = _texts(table)
    except OSError:
        raise StudyError(f"papers: no table {table}") from None
    for key in filter(None, map(str.strip, keys.split(","))):
        name, _, text = key.rpartition("=")
        rows = [one for one in rows if (one[name] == text if name else key in one.values())]
    if len(rows) != 1 or column not in rows[0]:
        raise StudyError(f"papers: {table}:{keys}:{column} names {len(rows)} rows, one is needed")
    return rows[0][column]


@dataclass(frozen=True)
class Printed:
    """One number of a document's table.

    Attributes:
        group, name: How readers are told of it; a group begins with its document's key.
        data: The data set as the table calls it, of `adonis` with its network.
        cell: What it is of.
        quantity: A key of `QUANTITIES`, or "speed-up" (of choosing, against the target's).
        value, sd, n: Mean, standard deviation and runs; NaN and 1 where not printed.
    """

    group: str
    name: str
    data: str
    cell: Cell
    quantity: str
    value: float
    sd: float = math.nan
    n: int = 1

    @property
    def document(self) -> str:
        """The key of the document."""
        return self.group.partition(" ")[0].rstrip(",")


def _rows(table: str) -> list[dict]:
    return paper_table(table).to_dict("records")


PROXY = Cell(model="proxy")

# Selection via Proxy

METHODS = {
    "Forgetting Events": "forgetting",
    "Entropy": "entropy",
    "Facility Location": "k-centers",  # what the authors' table calls greedy k-centers
    "Greedy k-centers": "k-centers",
    "Least confidence": "least-confidence",
    "Random": "random",
}
SVP_EPOCHS = 181  # of every network there
ROLES = {"ResNet56": "between", "VDCNN9": "between", "ResNet110": "between 2"}


def _svp(number: int, shares: Iterable[int]) -> Iterator[Printed]:
    """Yield Tables 1 to 4: errors; of 1 speed-ups, of 2 and 3 seconds; the baseline is marked (B.

    Of the target on everything, errors are in the text and in Table 4; CIFAR-100's are not printed.
    """
    for quantity, what, unit in (("error", "error", 1), ("total", "minutes", 60)):
        value = unit * float(looked_up("prose", f"svp,CIFAR10,full {what}", "value"))
        yield Printed("svp, full set", "Full set", "CIFAR10", Cell(), quantity, value, n=5)
    for row in _rows("svp-table-4"):
        if row["method"] == "Random":
            about = "svp, full set", "Full set", row["dataset"], Cell(), "error"
            yield Printed(*about, row["err_100"], row["sd_100"], 3)
    for row, share in itertools.product(_rows(f"svp-table-{number}"), shares):
        lasted, selector = row.get("selector_epochs", SVP_EPOCHS), row["selector"]
        by = "target" if "(B" in selector else ROLES.get(selector.split(" ")[0], "proxy")
        name = row["method"] if selector == "-" else f"{row['method']} by the {by}"
        name += f", {lasted} of {SVP_EPOCHS} epochs" if number == 3 else ""
        cell = Cell(METHODS[row["method"]], share / 100, by, after=lasted % SVP_EPOCHS)
        cell = replace(cell, protocol="active") if number == 1 else cell
        group = f"svp Table {number}, {share} % {'labelled' if number == 1 else 'kept'}"
        about, timed = (group, name, row["dataset"], cell), number in (2, 3)
        sd, n = row[f"err_sd_{share}" if timed else f"sd_{share}"], 5 if timed else 3
        yield Printed(*about, "error", row[f"err_{share}"], sd, n)
        if number == 1:
            yield Printed(*about, "speed-up", row[f"speedup_{share}"], n=n)
        for quantity, column in (("choosing", "select_min"), ("total", "total_min")) * timed:
            mean, sd = (60 * row[f"{column}{end}_{share}"] for end in ("", "_sd"))
            yield Printed(*about, quantity, mean, sd, n)


# Its replication

# Data set -> epochs of a proxy at its end; one of fewer was stopped, or is as if it had been.
WHOLE = {"CIFAR10": 180, "SVHN": 150, "Amazon Review Polarity": 5}


def _slides(table: str, called: str, n: int) -> Iterator[Printed]:
    """Yield errors; one proxy of the replication stands for two rankings.

    Its code ranks only what the proxy gets right. Ours cannot do so for stopped or several
    proxies, which then rank all rows.
    """
    for row, percent in itertools.product(_rows(table), (40, 60, 80, 100)):
        selector, data, share = row["selector"], row["dataset"], percent / 100
        metric = {"Entropy": "entropy", "Confidence": "least-confidence"}.get(row["metric"])
        cells, name = [Cell("random", share) if share < 1 else Cell()], "Random"
        if metric:
            by, together = "target" if "ResNet164" in selector else "proxy", int(selector[0])
            after = int(row["selector_epochs"]) if row["selector_epochs"] < WHOLE[data] else 0
            cells = [Cell(metric, share, by, after=after, together=together)]
            if n == 1 and together == 1:
                cells += [Cell(metric, share, by, options=(("correct_only", True),))]
            name = f"{selector}, {row['metric']}"
        for cell in cells:
            about = f"{called}, {percent} % kept", name, data, cell, "error"
            yield Printed(*about, row[f"err_{percent}"], row.get(f"sd_{percent}", math.nan), n)


def _slides_runs() -> Iterator[Printed]:
    for row in _rows("svp-slides-runs"):
        if row["model"] != "ResNet20":
            name = f"{row['model']}, {row['epochs']} epochs"
            for recipe, value in (("svp-slides", row["err"]), ("", row["reported_err"])):
                about = "svp-slides, one run", name, row["dataset"]
                yield Printed(*about, Cell(recipe=recipe), "error", value)


# Budgeted Subset Selection


def _budgeted() -> Iterator[Printed]:
    """Yield errors and seconds of a network tuned on everything, and on parts chosen of it."""
    for row, part in itertools.product(_rows("budgeted-table-2"), ("full", "50", "40", "25")):
        name, own = "Full set", row["dataset"].replace("-", "").lower()
        cell = Cell(model="proxy", data=own)
        if part != "full":
            name = f"{part} %"
            cell = Cell("iqp", int(part) / 100, data=own, options=READINGS[0], **IN_ALL)
        about = f"budgeted Table II, {row['dataset']}", name, row["dataset"], cell
        yield Printed(*about, "error", 100 - row[f"acc_{part}"])
        yield Printed(*about, "total", 3600 * row[f"hours_{part}"])


# GEDA

RUNGS = {
    "Random": "random-per-class",
    "Random over the quantiles": "random-per-quartile",
    "Evenly spaced selection": "evenly-spaced",
    "GEDA": "geda-random",
    "GRAD-MATCH": "grad-match",
    "CRAIG": "craig",
}


def _rung(method: str, percent: int) -> Cell:
    """Return the cell of a printed rung of the ladder, or of a peer that selects once."""
    cell = Cell(RUNGS[method], percent / 100, model="proxy")
    if method == "GEDA":
        return replace(cell, options=(("n_nodes", 5),))  # section 5.1.3
    return replace(cell, by="untrained") if method in ("GRAD-MATCH", "CRAIG") else cell


def _geda_full() -> Iterator[Printed]:
    for row in _rows("geda-table-5-1"):
        if row["pretrained"] == "No":
            about = "geda Table 5.1", "Full set", row["dataset"], PROXY, "error"
            yield Printed(*about, 100 - row["acc"])


def _geda() -> Iterator[Printed]:
    """Yield errors of Tables A.1 and A.2: GEDA stands in one and its peers in the other."""
    yield from _geda_full()
    for table in ("1", "2"):
        for row in _rows(f"geda-table-a{table}"):
            group = f"geda Table A.{table}, {row['percent']} % kept"
            about = group, row["method"], row["dataset"], _rung(row["method"], row["percent"])
            yield Printed(*about, "error", 100 - row["acc"])


def _geda_anew() -> Iterator[Printed]:
    """Yield errors and seconds of 100 epochs, chosen anew every 20 by GRAD-MATCH."""
    yield from (one for one in _geda_full() if one.data == "CIFAR-10")
    for row in _rows("geda-table-5-2"):
        share, cell = row["percent"] / 100, _rung(row["method"], row["percent"])
        if row["method"] != "GEDA":
            cell = Cell(cell.method, share, model="proxy", protocol="online",
                        options=(("keep", share), ("choices", 5)), epochs=100)  # fmt: skip
        about = "geda Table 5.2", f"{row['method']} {row['percent']} %", "CIFAR-10", cell
        yield Printed(*about, "error", 100 - row["acc"])
        yield Printed(*about, "total", 60 * row["minutes"])


# ADONIS and IDS; the network of a section is our proxy network

ADONIS = {
    "IDS": "ids",
    "ADONIS": "adonis",
    "IDS+ADONIS": "ids+adonis",
    "Vanilla SB": "selective-backprop",
    "Vanilla Stale-SB": "selective-backprop",
    "SSP": "ssp",
    "RPC": "random-per-class",
    "RPD": "random",
}
SB_ETAS = {"Vanilla SB": 1, "Vanilla Stale-SB": 2}


def _kept() -> float:
    return float(looked_up("prose", "adonis,kept by IDS", "value"))


def _of_a1(row: dict) -> list[tuple[str, Cell]]:
    """Return what a row of Table A1 is of, and under which reading of alpha, not printed there."""
    key, eta = ADONIS[row["method"]], SB_ETAS.get(row["method"]) or row["eta"]
    if key in ("ssp", "random-per-class", "random"):
        return [("", Cell(key, _kept(), model="proxy"))]
    if key == "ids":
        return [("", sampled(key))]
    if key == "selective-backprop":
        return [("", sampled(key, eta=eta))]
    return [(f", eta {eta:.0f}, alpha 1", sampled(key, eta=int(eta), alpha=1.0)),
            (f", eta {eta:.0f}, alpha 0.3", sampled(key, eta=int(eta)))]  # fmt: skip


def _of_appendix(row: dict) -> list[tuple[str, Cell]]:
    """Return what a row of Appendices B and C is of; our defaults are not named by a cell."""
    parameter, value = row["parameter"], row["value"]
    number = {"bins": str, "history": int, "eta": int}.get(parameter, float)(value)
    ours = {"sigma": 1.0, "bins": "sturges", "history": 512, "keep": _kept()}
    given = {} if ours.get(parameter) == number else {parameter: number}
    if parameter in ("keep", "switch"):
        return [("", sampled("ids", **given))]
    given = {"eta": 1} | given
    found = [("", sampled("adonis", **given))]
    if parameter == "theta":  # under either reading of alpha
        found += [(", alpha 1", sampled("adonis", **given, alpha=1.0))]
    return found


def _adonis(appendix: bool = False) -> Iterator[Printed]:
    """Yield Table A1, or Appendices B and C, whose data set is the parameter that is moved.

    Errors are Table 1's accuracies with the printed points lost taken off, seconds its times over
    the printed boosts.
    """
    bases = {f"{row['dataset']} {row['model']}": row for row in _rows("adonis-table-1")}
    rows = _rows("adonis-appendix" if appendix else "adonis-table-a1")
    of = [row["parameter"] if appendix else f"{row['dataset']} {row['model']}" for row in rows]
    for data in dict.fromkeys(of if appendix else bases):
        base = bases["CIFAR-100 ResNet18" if appendix else data]
        group = f"adonis {'Appendix' if appendix else 'Table A1'}, {data}"
        lines = [("Full", PROXY, 0.0, 1.0)]
        for row in (row for row, name in zip(rows, of, strict=True) if name == data):
            name = f"{data} {row['value']}" if appendix else row["method"]
            lines += [(name + told, cell, row["acc_drop_pp"], row["train_boost"])
                      for told, cell in (_of_appendix if appendix else _of_a1)(row)]  # fmt: skip
        for name, cell, lost, boost in lines:
            yield Printed(group, name, data, cell, "error", 100 - base["acc"] + lost)
            yield Printed(group, name, data, cell, "seconds", base["train_s"] / boost)


# Table -> its reader.
TABLES: dict[str, Callable[[], Iterable[Printed]]] = {
    "svp-table-1": partial(_svp, 1, (10, 20, 30, 40, 50)),
    "svp-table-2": partial(_svp, 2, (30, 50, 70)),
    "svp-table-3": partial(_svp, 3, (30, 50, 70)),
    "svp-table-4": partial(_svp, 4, (40, 60, 80)),
    "adonis-table-a1": _adonis,
    "adonis-appendix": partial(_adonis, appendix=True),
    "budgeted-table-2": _budgeted,
    "geda-tables-a": _geda,
    "geda-table-5-2": _geda_anew,
    "svp-slides-reported": partial(_slides, "svp-slides-reported", "svp-slides", 3),
    "svp-slides-replicated": partial(_slides, "svp-slides-replicated", "svp-slides, replicated", 1),
    "svp-slides-runs": _slides_runs,
}


@cache
def _whole(table: str) -> list[Printed]:
    return list(TABLES[table]())


def printed(table: str, data: str = "") -> list[Printed]:
    """Return a printed table's numbers on a data set, on all of them without one."""
    return [one for one in _whole(table) if not data or one.data == data]
