"""The printed tables of `adonis` as cells; the network of a section is our proxy network.

A data set is named with its network, "CIFAR-100 ResNet18". Errors are Table 1's accuracies with
the printed points lost taken off, seconds its times over the printed boosts. ADONIS stands for
both readings of its alpha, which Table A1 does not print.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from helpers.claims.papers import Printed, looked_up, paper_table, reads
from helpers.experiments import Cell

KEEP = float(looked_up("prose", "adonis,kept by IDS", "value"))
METHODS = {
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
OF_APPENDIX = ("CIFAR-100", "ResNet18")  # the section that Appendices B and C move parameters of
# Our own defaults, which a cell does not name.
DEFAULTS = {"sigma": 1.0, "bins": "sturges", "history": 512, "keep": KEEP}


def _online(method: str, **options: object) -> Cell:
    return Cell(method, model="proxy", protocol="online", options=tuple(options.items()))


def _cells(row: dict) -> list[tuple[str, Cell]]:
    """Return what a row of Table A1 is of, and under which reading."""
    key = METHODS[row["method"]]
    if key in ("ssp", "random-per-class", "random"):
        return [("", Cell(key, KEEP, model="proxy"))]
    if key == "ids":
        return [("", _online(key))]
    eta = SB_ETAS.get(row["method"]) or int(row["eta"])
    if key == "selective-backprop":
        return [("", _online(key, eta=eta))]
    return [(f", eta {eta}, alpha 1", _online(key, eta=eta, alpha=1.0)),
            (f", eta {eta}, alpha 0.3", _online(key, eta=eta))]  # fmt: skip


def _numbers(
    group: str, name: str, data: str, cell: Cell, base: dict, lost: float, boost: float
) -> Iterator[Printed]:
    """Yield a cell's error and seconds, from points lost and boost against a baseline."""
    about = ("adonis", group, name, data, cell)
    yield Printed(*about, "error", 100 - base["acc"] + lost)
    yield Printed(*about, "seconds", base["train_s"] / boost)


@reads("adonis-table-a1")
def _table_a1() -> Iterator[Printed]:
    bases = {
        (r["dataset"], r["model"]): r for r in paper_table("adonis-table-1").to_dict("records")
    }
    rows = paper_table("adonis-table-a1").to_dict("records")
    for (dataset, model), base in bases.items():
        data = f"{dataset} {model}"
        group = f"adonis Table A1, {data}"
        yield from _numbers(group, "Full", data, Cell(model="proxy"), base, 0.0, 1.0)
        for row in rows:
            if (row["dataset"], row["model"]) == (dataset, model):
                for about, cell in _cells(row):
                    numbers = base, row["acc_drop_pp"], row["train_boost"]
                    yield from _numbers(group, row["method"] + about, data, cell, *numbers)


@reads("adonis-table-1")
def _table_1() -> Iterator[Printed]:
    yield from (one for one in _table_a1() if one.cell.method == "full")


@reads("adonis-appendix")
def _appendix() -> Iterator[Printed]:
    """Yield Appendices B and C; the data set is the parameter that is moved."""
    bases = paper_table("adonis-table-1").set_index(["dataset", "model"])
    base = bases.loc[OF_APPENDIX].to_dict()
    rows = paper_table("adonis-appendix").to_dict("records")
    for parameter in dict.fromkeys(row["parameter"] for row in rows):
        group = f"adonis Appendix, {parameter}"
        yield from _numbers(group, "Full", parameter, Cell(model="proxy"), base, 0.0, 1.0)
        for row in (row for row in rows if row["parameter"] == parameter):
            name = f"{parameter} {row['value']}"
            numbers = base, row["acc_drop_pp"], row["train_boost"]
            cell = _of_appendix(parameter, row["value"])
            yield from _numbers(group, name, parameter, cell, *numbers)
            if parameter == "theta":  # under either reading of alpha
                every = replace(cell, options=(*cell.options, ("alpha", 1.0)))
                yield from _numbers(group, f"{name}, alpha 1", parameter, every, *numbers)


def _of_appendix(parameter: str, value: str) -> Cell:
    number = {"bins": str, "history": int, "eta": int}.get(parameter, float)(value)
    given = {} if DEFAULTS.get(parameter) == number else {parameter: number}
    if parameter in ("keep", "switch"):
        return _online("ids", **given)
    return _online("adonis", **{"eta": 1, **given})


@reads("adonis-preprocessing")
def _preprocessing() -> Iterator[Printed]:
    for row in paper_table("adonis-preprocessing").to_dict("records"):
        cell = Cell(METHODS[row["method"]], KEEP, model="proxy")
        about = ("adonis", f"adonis Sec. 4, {row['dataset']}", row["method"], row["dataset"])
        yield Printed(*about, cell, "choosing", row["preprocess_s"])
