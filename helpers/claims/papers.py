"""The documents' printed tables as cells, the references of the ledger, and ours beside theirs.

A printed number is found by the same `Cell` as our run of it, so that a table, a claim and a test
read one and the same place of `data/papers`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from helpers import StudyError
from helpers.claims.quantities import QUANTITIES, Unfit
from helpers.config import Config
from helpers.experiments import Cell, stops
from helpers.ranking import t_interval
from helpers.results import Missing

PAPERS = Path(__file__).resolve().parents[2] / "data" / "papers"
NEAR = 0.1  # stops this close, as shares of training, stand for each other
REFERENCE = re.compile(r"\{([\w-]+):([^:{}]*):([\w ]+)\}")


@cache
def paper_table(name: str) -> pd.DataFrame:
    """A table of the documents by file name without ending, numbers parsed."""
    return pd.read_csv(PAPERS / f"{name}.csv", keep_default_na=True)


@cache
def _texts(name: str) -> pd.DataFrame:
    return pd.read_csv(PAPERS / f"{name}.csv", dtype=str, keep_default_na=False)


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
        rows = rows[rows[name] == text] if name else rows[(rows == key).any(axis=1)]
    if len(rows) != 1 or column not in rows:
        raise StudyError(f"papers: {table}:{keys}:{column} names {len(rows)} rows, one is needed")
    return str(rows[column].iloc[0])


def filled(text: str) -> str:
    """Put the printed numbers into a text: `{table:keys:column}` is one cell, as printed."""
    return REFERENCE.sub(lambda found: looked_up(*found.groups()), text)


@dataclass(frozen=True)
class Printed:
    """One number of a document's table.

    Attributes:
        document, group, name: How readers are told of it.
        data: The data set as the table calls it.
        cell: What it is of, in roles.
        quantity: A key of `QUANTITIES`, or "speed-up" (of choosing, against the target's).
        value, sd, n: Mean, standard deviation and runs; NaN and 1 where not printed.
    """

    document: str
    group: str
    name: str
    data: str
    cell: Cell
    quantity: str
    value: float
    sd: float = float("nan")
    n: int = 1


Reader = Callable[[], Iterator[Printed]]
TABLES: dict[str, Reader] = {}


def reads(name: str) -> Callable[[Reader], Reader]:
    """Register the reader of a printed table under its file's name."""

    def register(reader: Reader) -> Reader:
        TABLES[name] = reader
        return reader

    return register


SVP_METHODS = {
    "Forgetting Events": "forgetting",
    "Entropy": "entropy",
    "Facility Location": "k-centers",  # what the authors' table calls greedy k-centers
    "Greedy k-centers": "k-centers",
    "Least confidence": "least-confidence",
    "Random": "random",
}
SVP_EPOCHS = 181  # of every network there
# A printed network -> the role it has among ours.
ROLES = {
    "ResNet20": "proxy",
    "ResNet18": "proxy",
    "fastText": "proxy",
    "ResNet56": "between",
    "VDCNN9": "between",
    "ResNet110": "between 2",
}


def role(printed: str) -> str:
    """Return the role of a printed selector; the baseline, marked (B..., is the target."""
    return "target" if "(B" in printed else ROLES.get(printed.split(" ")[0], "proxy")


def _by(row: dict) -> str:
    by = role(row["selector"])
    return row["method"] if row["selector"] == "-" else f"{row['method']} by the {by}"


def _svp_full() -> Iterator[Printed]:
    """Errors of the target on everything, and its minutes; CIFAR-100's are not printed."""
    about = ("svp", "svp, full set", "Full set")
    error, minutes = (
        float(looked_up("prose", f"svp,CIFAR10,full {what}", "value"))
        for what in ("error", "minutes")
    )
    yield Printed(*about, "CIFAR10", Cell(), "error", error, n=5)
    yield Printed(*about, "CIFAR10", Cell(), "total", 60 * minutes, n=5)
    for row in paper_table("svp-table-4").to_dict("records"):
        if row["method"] == "Random":
            yield Printed(*about, row["dataset"], Cell(), "error", row["err_100"], row["sd_100"], 3)


@reads("svp-table-1")
def _svp_table_1() -> Iterator[Printed]:
    yield from _svp_full()
    for row in paper_table("svp-table-1").to_dict("records"):
        for share in (10, 20, 30, 40, 50):
            cell = Cell(
                SVP_METHODS[row["method"]], share / 100, role(row["selector"]), protocol="active"
            )
            about = ("svp", f"svp Table 1, {share} % labelled", _by(row), row["dataset"], cell)
            yield Printed(*about, "error", row[f"err_{share}"], row[f"sd_{share}"], 3)
            yield Printed(*about, "speed-up", row[f"speedup_{share}"], n=3)


@reads("svp-table-2")
def _svp_table_2() -> Iterator[Printed]:
    yield from _svp_full()
    yield from _svp_core_sets("svp-table-2", 2)


@reads("svp-table-3")
def _svp_table_3() -> Iterator[Printed]:
    yield from _svp_full()
    yield from _svp_core_sets("svp-table-3", 3)


def _svp_core_sets(table: str, number: int) -> Iterator[Printed]:
    for row in paper_table(table).to_dict("records"):
        lasted, name = row.get("selector_epochs", SVP_EPOCHS), _by(row)
        name += f", {lasted} of {SVP_EPOCHS} epochs" if number == 3 else ""
        after = 0 if lasted == SVP_EPOCHS else lasted
        for share in (30, 50, 70):
            cell = Cell(SVP_METHODS[row["method"]], share / 100, role(row["selector"]), after=after)
            about = ("svp", f"svp Table {number}, {share} % kept", name, row["dataset"], cell)
            yield Printed(*about, "error", row[f"err_{share}"], row[f"err_sd_{share}"], 5)
            for quantity, column in (("choosing", "select_min"), ("total", "total_min")):
                mean, sd = (60 * row[f"{column}{end}_{share}"] for end in ("", "_sd"))
                yield Printed(*about, quantity, mean, sd, 5)


@reads("svp-table-4")
def _svp_table_4() -> Iterator[Printed]:
    yield from _svp_full()
    for row in paper_table("svp-table-4").to_dict("records"):
        for share in (40, 60, 80):
            cell = Cell(SVP_METHODS[row["method"]], share / 100, role(row["selector"]))
            about = ("svp", f"svp Table 4, {share} % kept", _by(row), row["dataset"], cell)
            yield Printed(*about, "error", row[f"err_{share}"], row[f"sd_{share}"], 3)


def _ordered(cell: Cell) -> Cell:
    return replace(cell, options=tuple(sorted(cell.options)))


class NotPrinted(StudyError):
    """A table of the documents does not print what is asked."""


def printed(table: str, data: str = "") -> list[Printed]:
    """Return a printed table's numbers on a data set, on all of them without one."""
    return [one for one in TABLES[table]() if not data or one.data == data]


@dataclass(frozen=True)
class Printing:
    """Where a claim's printed numbers stand: a table and a data set of it."""

    table: str
    data: str

    def find(self, cell: Cell, quantity: str) -> Printed:
        """Return the printed number of a cell.

        Seconds of choosing may be printed as how often they go into the target's: these are then
        the unit.

        Raises:
            NotPrinted: If the table does not print it.
        """
        wanted = _ordered(cell)
        for one in printed(self.table, self.data):
            if _ordered(one.cell) == wanted and not np.isnan(one.value):
                if one.quantity == quantity:
                    return one
                if (one.quantity, quantity) == ("speed-up", "choosing"):
                    return replace(one, value=1 / one.value)
        raise NotPrinted(f"papers: {self.table} prints no {quantity} of {cell} on {self.data}")


def runs_like(
    one: Printed, beside: Printed | None = None, ratio: bool = False, pooled: int = 1
) -> np.ndarray:
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


def beside(config: Config, table: str, data: str) -> pd.DataFrame:
    """Set our numbers beside a printed table's.

    Returns:
        A row a printed cell: document, group (heading in figures), name, method (key, for the
        colour), quantity, paper, ours, low and high (95 % t interval over seeds). Errors are
        points lost against the full set, seconds of training how often they go into its, on both
        sides. Ours is NaN where the study has no such setting, nothing is stored, or seconds were
        taken on a busy machine. Data sets and networks differ: the sizes are not replications,
        the signs and orders may be.
    """
    found = printed(table, data)
    whole = {one.quantity: one.value for one in found if one.cell.method == "full"}
    rows = []
    for one in found:
        if one.cell.method == "full" or np.isnan(one.value) or _is_baseline(one):
            continue
        paper = one.value
        if one.quantity == "error":
            paper -= whole.get("error", 0.0)
        elif one.quantity == "seconds":
            paper = whole["seconds"] / paper
        row = {"document": one.document, "group": one.group, "name": one.name,
               "method": one.cell.method, "quantity": AGAINST_FULL.get(one.quantity, one.quantity),
               "paper": paper}  # fmt: skip
        rows.append(row | _ours(config, one))
    return pd.DataFrame(rows, columns=COLUMNS)


LOST, BOOST = "points lost against the full set", "times faster than the full set"
AGAINST_FULL = {"error": LOST, "seconds": BOOST}
COLUMNS = ["document", "group", "name", "method", "quantity", "paper", "ours", "low", "high"]


def _is_baseline(one: Printed) -> bool:
    return one.quantity == "speed-up" and one.cell.by == "target"


def _ours(config: Config, one: Printed) -> dict[str, float]:
    try:
        cell = _own_stop(config, one.cell)
        if one.quantity == "speed-up":
            target, proxy = (QUANTITIES["choosing"](config, replace(cell, by=by))
                             for by in ("target", cell.by))  # fmt: skip
            values = target / proxy
        else:
            values = QUANTITIES[one.quantity](config, cell)
        if one.quantity in AGAINST_FULL:
            full = QUANTITIES[one.quantity](config, Cell(model=cell.model))
            values = values - full if one.quantity == "error" else full / values
    except (Missing, Unfit, StudyError):
        return {"ours": np.nan, "low": np.nan, "high": np.nan}
    mean, low, high = t_interval(values)
    ends = (low, high) if len(values) > 1 else (np.nan, np.nan)
    return {"ours": mean, "low": ends[0], "high": ends[1]}


def _own_stop(config: Config, cell: Cell) -> Cell:
    """Return a cell with our stop nearest to the printed share of training; `Missing` if far."""
    if not cell.after or cell.after in stops(config):
        return cell
    share = cell.after / SVP_EPOCHS
    near = [stop for stop in stops(config) if abs(stop / config.epochs - share) <= NEAR]
    if not near:
        raise Missing("no stop near to the printed one")
    return replace(cell, after=min(near, key=lambda stop: abs(stop / config.epochs - share)))
