"""Evidence for `budgeted`: cells won, and seconds of selection as written and at our best."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from helpers.claims.evidence.measurements import measure
from helpers.claims.quantities import Unfit, accuracy, error, need, results_of
from helpers.claims.verdicts import Evidence
from helpers.config import Config
from helpers.experiments import Cell, ages, seeded
from helpers.experiments.questions import IN_ALL, READINGS
from helpers.measurements.table import exponent
from helpers.results import get
from helpers.results.store import Result

NETWORKS = 3  # fewer do not stand for most cells
# Budgets by their share of the pool: Table I's, Table III's, and up to where its greedy finished.
AT = {
    "every budget": lambda shares: shares < 0.6,
    "half": lambda shares: np.isclose(shares, 1 / 2),
    "two thirds": lambda shares: shares > 0.6,
    "a third": lambda shares: shares <= 1 / 3 + 1e-9,
}


def cells_won(
    config: Config,
    among: Sequence[str],
    pairs: Sequence[Sequence[str]],
    bandwidth: float | None = None,
) -> Evidence:
    """Share of cells a method wins less another's, or less its chance, (pairs, panels).

    `bandwidth` is that of the proposed method's kernel, the median distance without one.

    A cell is a network, a data set, a budget and a seed, won by the best accuracy, ties split.
    Seeds and budgets of a panel, a network on a data set, are won together: a panel is one value.
    """
    panels = [(data, model) for data in config.panels for model in config.panel_models]

    def reached(method: str, data: str, model: str, share: float) -> np.ndarray:
        own = (("bandwidth", bandwidth),) if bandwidth and method == "iqp" else ()
        cell = Cell(method, share, model=model, protocol="budgeted", data=data, options=own)
        return accuracy(config, cell)

    found = np.array([[[reached(method, *panel, share) for share in config.panel_budgets]
                       for panel in panels] for method in among])  # fmt: skip
    if len(config.panel_models) < NETWORKS:
        raise Unfit(f"needs {NETWORKS} networks, has {len(config.panel_models)}")
    best = found == found.max(axis=0)
    won = (best / best.sum(axis=0)).mean(axis=(2, 3))  # (methods, panels): over budgets and seeds
    share = dict(zip(among, won, strict=True)) | {"chance": np.full(len(panels), 1 / len(among))}
    told = ", ".join(f"{m} {part:.0%}" for m, part in zip(among, won.mean(axis=1), strict=True))
    return Evidence(
        np.array([share[first] - share[second] for first, second in pairs]),
        [f"{first} - {second}" for first, second in pairs],
        "share",
        note=f"{found[0].size} cells in {len(panels)} panels, won: {told}",
        sample="panels",
    )


def _table_one(as_written: bool) -> tuple[Result, str]:
    """Return the times of Table I, in processor seconds, which need no idle machine, and a note."""
    found = measure("table-one")
    if not as_written:
        return found, f"N = {found.metrics['n_best']}"
    sizes, power = found.arrays["lp_sizes"], found.metrics["lp_exponent"]
    return found, (
        f"N = {found.metrics['n']}; the LP drawn on from N = {sizes[0]} to {sizes[-1]} as "
        f"N^{power:.2f}, the DPP's steps and the greedy's values summed"
    )


def _seconds(found: Result, method: str, as_written: bool) -> np.ndarray:
    """Return seconds of whole selections (repeats, budgets).

    The method is `iqp`, `dpp` or `greedy`; at our best also `exact` and `map`, both for the DPP. As
    written is on the document's 3,000 points, as it describes them; else our fastest.
    """
    arrays = found.arrays
    if not as_written:
        return arrays[f"best_{'lazy' if method == 'greedy' else method}"]
    if method == "iqp":
        whole = arrays["seconds_lp"] + arrays["seconds_power"]
        return np.repeat(whole[:, None], len(arrays["ks"]), axis=1)
    return arrays[f"seconds_{method}"]


def selection_seconds(config: Config, as_written: bool) -> Evidence:
    """Seconds of the budgeted method on the document's 3,000 points, (1, repeats)."""
    found, note = _table_one(True)
    if as_written:
        return Evidence(_seconds(found, "iqp", True)[:, 0][None], unit="s", note=note)
    note = f"N = {found.metrics['n']}, LP in closed form"
    return Evidence(found.arrays["seconds_power"][None], unit="s", note=note)


def kernel_share(config: Config) -> Evidence:
    """Kernel's share of a selection on 3,000 points, the LP by a solver, (1, repeats)."""
    found, note = _table_one(True)
    kernel = measure("kernel-exponent", {"repeats": 5}).arrays["seconds_kernel"][-1]
    whole = kernel + found.arrays["seconds_lp"] + found.arrays["seconds_power"]
    return Evidence((kernel / whole)[None], unit="share", note=note)


def seconds_ratio(
    config: Config, of: Sequence[str], over: Sequence[str], as_written: bool, at: str
) -> Evidence:
    """Seconds of each method over those of the slowest of others, (methods x budgets, repeats).

    `at` are budgets, a key of `AT`; the rest is as in `_seconds`.
    """
    found, note = _table_one(as_written)
    shares = found.arrays["ks"] / found.metrics["n"]
    want = AT[at](shares)
    slowest = np.max([_seconds(found, name, as_written) for name in over], axis=0)
    ratio = [(_seconds(found, name, as_written) / slowest)[:, want].T for name in of]
    labels = [f"{name}, k = {s:.0%}" for name in of for s in shares[want]]
    return Evidence(np.concatenate(ratio), labels, "x", note=note)


def tuning_ratio(config: Config, data: str, of: Sequence[float], over: Sequence[float]) -> Evidence:
    """Seconds of choosing and tuning on shares of a data set over those on others, (pairs, seeds).

    Processor seconds, which need no idle machine. The frozen layers, which run once an image here,
    are charged in every pass, as the document runs them: over the start set, over all rows before
    it chooses, and over what it chose.
    """
    ratio = [_tuned(config, data, a) / _tuned(config, data, b)
             for a, b in zip(of, over, strict=True)]  # fmt: skip
    labels = [f"{a:.0%} over {b:.0%}" for a, b in zip(of, over, strict=True)]
    return Evidence(np.array(ratio), labels, "x")


def _tuned(config: Config, data: str, share: float) -> np.ndarray:
    cell, passes = Cell(model="proxy", data=data), config.epochs * share
    if share < 1:
        cell = Cell("iqp", share, data=data, options=READINGS[0], **IN_ALL)
        passes += config.epochs * cell.start + 1
    network = config.proxy.removeprefix("pretrained:").removesuffix("/0")
    image = np.median(measure("frozen-seconds").arrays[network])
    spent = []
    for run in results_of(config, cell):
        beside = [get(run.spec.init), get(run.spec.subset)] if share < 1 else []
        spent.append(sum(one.metrics["cpu_s"] for one in (run, *beside)))
        spent[-1] += run.metrics["n"] * passes * image
    return np.array(spent)


def age_error(config: Config, of: str) -> Evidence:
    """RMSE of Table III by a key of `ages`, in per cent more than by random faces, (1, seeds)."""
    cells, config = ages(config), seeded(config, "ages")
    need(cells, of)
    found, random = (error(config, cells[name]) for name in (of, "random"))
    note = f"RMSE {found.mean():.2f} years, {random.mean():.2f} on random faces"
    return Evidence(100 * (found / random - 1)[None], unit="%", note=note)


def growth(config: Config, method: str, as_written: bool) -> Evidence:
    """Exponent of a method's seconds on the budget, one a repeat, over Table I's budgets."""
    found, note = _table_one(as_written)
    ks = found.arrays["ks"]
    want = AT["every budget"](ks / found.metrics["n"])
    spent = _seconds(found, method, as_written)
    slopes = [exponent(ks[want], row[want]) for row in spent]
    return Evidence(np.array(slopes)[None], unit="exponent", note=note)
