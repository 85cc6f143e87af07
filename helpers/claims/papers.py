"""The references of the ledger to printed numbers, and ours beside theirs."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pandas as pd

from helpers import StudyError
from helpers.claims.printed import PAPERS, SVP_EPOCHS, Printed, looked_up, printed  # noqa: F401
from helpers.claims.quantities import QUANTITIES, Unfit
from helpers.config import Config
from helpers.experiments import Cell, stops
from helpers.ranking import t_interval
from helpers.results import Missing

NEAR = 0.1  # stops this close, as shares of training, stand for each other
REFERENCE = re.compile(r"\{([\w-]+):([^:{}]*):([\w ]+)\}")
LOST, BOOST = "points lost against the full set", "times faster than the full set"
AGAINST_FULL = {"error": LOST, "seconds": BOOST}
COLUMNS = ["document", "group", "name", "method", "quantity", "paper", "ours", "low", "high"]


def filled(text: str) -> str:
    """Put the printed numbers into a text: `{table:keys:column}` is one cell, as printed."""
    return REFERENCE.sub(lambda found: looked_up(*found.groups()), text)


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
    found = [one for one in printed(table, data) if not np.isnan(one.value)]
    whole = {one.quantity: one.value for one in found if one.cell.method == "full"}
    rows = []
    for one in found:
        paper, baseline = one.value, one.quantity == "speed-up" and one.cell.by == "target"
        if one.cell.method == "full" or baseline:
            continue
        if one.quantity in AGAINST_FULL:
            full = whole.get(one.quantity, 0.0)
            paper = paper - full if one.quantity == "error" else full / paper
        told = AGAINST_FULL.get(one.quantity, one.quantity)
        about = one.document, one.group, one.name, one.cell.method, told, paper
        rows.append((*about, *_ours(config, one)))
    return pd.DataFrame(rows, columns=COLUMNS)


def _ours(config: Config, one: Printed) -> tuple[float, float, float]:
    """Return our mean and its interval, NaN where there is none."""
    try:
        cell = _own_stop(config, one.cell)
        read = QUANTITIES["choosing" if one.quantity == "speed-up" else one.quantity]
        values = read(config, cell)
        if one.quantity == "speed-up":
            values = read(config, replace(cell, by="target")) / values
        if one.quantity in AGAINST_FULL:
            full = read(config, Cell(model=cell.model, data=cell.data))
            values = values - full if one.quantity == "error" else full / values
    except (Missing, Unfit, StudyError):
        return np.nan, np.nan, np.nan
    return t_interval(values) if len(values) > 1 else (float(values[0]), np.nan, np.nan)


def _own_stop(config: Config, cell: Cell) -> Cell:
    """Return a cell with our stop nearest to the printed share of training; `Missing` if far."""
    if not cell.after or cell.after in stops(config):
        return cell
    apart = {stop: abs(stop / config.epochs - cell.after / SVP_EPOCHS) for stop in stops(config)}
    near = min(apart, key=apart.get, default=None)
    if near is None or apart[near] > NEAR:
        raise Missing("no stop near to the printed one")
    return replace(cell, after=near)
