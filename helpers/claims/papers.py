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
from helpers.experiments import Cell
from helpers.ranking import t_interval
from helpers.results import Missing

PAPERS = Path(__file__).resolve().parents[2] / "data" / "papers"
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
        keys: Texts of cells that single out one row, comma-separated.
        column: Name of the column.

    Raises:
        StudyError: If no cell, or more than one, answers.
    """
    try:
        rows = _texts(table)
    except OSError:
        raise StudyError(f"papers: no table {table}") from None
    for key in filter(None, map(str.strip, keys.split(","))):
        rows = rows[(rows == key).any(axis=1)]
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


@reads("svp-table-2")
def _svp_table_2() -> Iterator[Printed]:
    full = float(looked_up("prose", "svp,CIFAR10,full error", "value"))
    yield Printed("svp", "svp, full set", "Full set", "CIFAR10", Cell(), "error", full, n=5)
    for row in paper_table("svp-table-2").to_dict("records"):
        method, by = SVP_METHODS[row["method"]], role(row["selector"])
        for share in (30, 50, 70):
            cell = Cell(method, share / 100, by)
            about = ("svp", f"svp Table 2, {share} % kept", f"{row['method']} by the {by}")
            errors = row[f"err_{share}"], row[f"err_sd_{share}"]
            minutes = np.array([row[f"total_min_{share}"], row[f"total_min_sd_{share}"]])
            yield Printed(*about, row["dataset"], cell, "error", *errors, 5)
            yield Printed(*about, row["dataset"], cell, "total", *(60 * minutes), 5)


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

        Raises:
            StudyError: If the table does not print it.
        """
        wanted = _ordered(cell)
        for one in printed(self.table, self.data):
            if (
                _ordered(one.cell) == wanted
                and one.quantity == quantity
                and not np.isnan(one.value)
            ):
                return one
        raise StudyError(f"papers: {self.table} prints no {quantity} of {cell} on {self.data}")


def _ordered(cell: Cell) -> Cell:
    return replace(cell, options=tuple(sorted(cell.options)))


def runs_like(one: Printed, beside: Printed | None = None, ratio: bool = False) -> np.ndarray:
    """Return values (n,) with the printed mean and spread: of one number, or of two compared.

    Two count as independent: of a difference the spreads add in squares, of a ratio the relative
    ones. n is that of the smaller sample.
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
    return value + spread * shape / shape.std(ddof=1)


def beside(config: Config, table: str, data: str) -> pd.DataFrame:
    """Set our numbers beside a printed table's.

    Returns:
        A row a printed cell: document, group (heading in figures), name, method (key, for the
        colour), quantity, paper, ours, low and high (95 % t interval over seeds). Errors are
        points lost against the full set, on both sides. Ours is NaN where the study has no such
        setting, nothing is stored, or seconds were taken on a busy machine. Data sets and
        networks differ: the sizes are not replications, the signs and orders may be.
    """
    found = printed(table, data)
    whole = next((o.value for o in found if o.cell.method == "full" and o.quantity == "error"), 0.0)
    rows = []
    for one in found:
        if one.cell.method == "full" or np.isnan(one.value):
            continue
        lost = one.quantity == "error"
        row = {"document": one.document, "group": one.group, "name": one.name,
               "method": one.cell.method, "quantity": LOST if lost else one.quantity,
               "paper": one.value - whole if lost else one.value}  # fmt: skip
        rows.append(row | _ours(config, one))
    return pd.DataFrame(rows, columns=COLUMNS)


LOST = "points lost against the full set"
COLUMNS = ["document", "group", "name", "method", "quantity", "paper", "ours", "low", "high"]


def _ours(config: Config, one: Printed) -> dict[str, float]:
    try:
        if one.quantity == "error":
            values = QUANTITIES["error"](config, one.cell)
            values = values - QUANTITIES["error"](config, Cell(model=one.cell.model))
        else:
            values = QUANTITIES[one.quantity](config, one.cell)
    except (Missing, Unfit, StudyError):
        return {"ours": np.nan, "low": np.nan, "high": np.nan}
    mean, low, high = t_interval(values)
    ends = (low, high) if len(values) > 1 else (np.nan, np.nan)
    return {"ours": mean, "low": ends[0], "high": ends[1]}


from helpers.claims import printed_adonis  # noqa: E402, F401 - registers its readers
