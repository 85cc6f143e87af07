"""Evidence for `budgeted`: cells won, and seconds of selection as written and at our best."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from helpers.claims.evidence.measurements import measure
from helpers.claims.quantities import Unfit, accuracy
from helpers.claims.verdicts import Evidence
from helpers.config import Config
from helpers.experiments import Cell
from helpers.measurements.table import exponent
from helpers.results.store import Result

PANELS = 3  # networks, fewer do not stand for most cells
GREEDY_ENDS = 1000  # k of 3,000 beyond which the document's greedy did not finish


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
    own = {"iqp": (("bandwidth", bandwidth),)} if bandwidth else {}
    found = np.array(
        [
            [accuracy(config, Cell(method, share, model=model, protocol="budgeted", data=data,
                                   options=own.get(method, ())))
             for data in config.panel_data for model in config.panel_models
             for share in config.panel_budgets]
            for method in among
        ]
    )  # fmt: skip
    if len(config.panel_models) < PANELS:
        raise Unfit(f"needs {PANELS} networks, has {len(config.panel_models)}")
    best = found == found.max(axis=0)
    wins = (best / best.sum(axis=0)).reshape(
        len(among), -1, len(config.panel_budgets), best.shape[-1]
    )
    won = wins.mean(axis=(2, 3))  # (methods, panels)
    share = dict(zip(among, won, strict=True)) | {"chance": np.full(won.shape[1], 1 / len(among))}
    told = ", ".join(f"{m} {part:.0%}" for m, part in zip(among, won.mean(axis=1), strict=True))
    return Evidence(
        np.array([share[first] - share[second] for first, second in pairs]),
        [f"{first} - {second}" for first, second in pairs],
        "share",
        note=f"{found[0].size} cells in {won.shape[1]} panels, won: {told}",
    )


def table_one() -> Result:
    """Return the times of `budgeted` Table I, in processor seconds, which need no idle machine."""
    return measure("table-one")


def seconds(found: Result, method: str, as_written: bool) -> np.ndarray:
    """Return seconds of whole selections (repeats, budgets).

    Args:
        found: The measurement.
        method: `iqp`, `dpp` or `greedy`; at our best also `exact` and `map`, both for the DPP.
        as_written: On the document's 3,000 points, as it describes them; else our fastest.
    """
    arrays = found.arrays
    if not as_written:
        return arrays[f"best_{'lazy' if method == 'greedy' else method}"]
    if method == "iqp":
        whole = arrays["seconds_lp"] + arrays["seconds_power"]
        return np.repeat(whole[:, None], len(arrays["ks"]), axis=1)
    return arrays[f"seconds_{method}"]


def _note(found: Result, as_written: bool) -> str:
    if not as_written:
        return f"N = {found.metrics['n_best']}"
    sizes, power = found.arrays["lp_sizes"], found.metrics["lp_exponent"]
    return (
        f"N = {found.metrics['n']}; the LP drawn on from N = {sizes[0]} to {sizes[-1]} as "
        f"N^{power:.2f}, the DPP's steps and the greedy's values summed"
    )


def selection_seconds(config: Config, as_written: bool) -> Evidence:
    """Seconds of the budgeted method on the document's 3,000 points, (1, repeats)."""
    found = table_one()
    whole = seconds(found, "iqp", True)[:, 0] if as_written else found.arrays["seconds_power"]
    note = _note(found, True) if as_written else f"N = {found.metrics['n']}, LP in closed form"
    return Evidence(whole[None], unit="s", note=note)


def kernel_share(config: Config) -> Evidence:
    """Kernel's share of a selection on 3,000 points, the LP by a solver, (1, repeats)."""
    found = table_one()
    kernel = measure("kernel-exponent", {"repeats": 5}).arrays["seconds_kernel"][-1]
    whole = kernel + found.arrays["seconds_lp"] + found.arrays["seconds_power"]
    return Evidence((kernel / whole)[None], unit="share", note=_note(found, True))


def rival_ratio(
    config: Config, rivals: Sequence[str], as_written: bool, at: str = "every budget"
) -> Evidence:
    """Seconds of rivals over those of the budgeted method, (rivals x budgets, repeats).

    Args:
        config: Unused.
        rivals: As in `seconds`.
        as_written: Likewise, of both sides.
        at: "every budget" of Table I, "half" the pool, or Table III's "two thirds" of it.
    """
    found = table_one()
    shares = found.arrays["ks"] / found.metrics["n"]
    want = {"half": np.isclose(shares, 1 / 2), "two thirds": shares > 0.6}.get(at, shares < 0.6)
    ours = seconds(found, "iqp", as_written)
    ratio = [(seconds(found, rival, as_written) / ours)[:, want].T for rival in rivals]
    labels = [f"{rival}, k = {s:.0%}" for rival in rivals for s in shares[want]]
    return Evidence(np.concatenate(ratio), labels, "x", note=_note(found, as_written))


def greedy_slowest(config: Config, as_written: bool) -> Evidence:
    """Seconds of the greedy over those of its slowest rival, (budgets, repeats).

    At budgets at which the document's own greedy finished: up to a third of the pool.
    """
    found = table_one()
    shares = found.arrays["ks"] / found.metrics["n"]
    want = shares <= GREEDY_ENDS / found.metrics["n"] + 1e-9
    others = [seconds(found, name, as_written)
              for name in (("iqp", "dpp") if as_written else ("iqp", "exact", "map"))]  # fmt: skip
    ratio = seconds(found, "greedy", as_written) / np.max(others, axis=0)
    labels = [f"k = {s:.0%}" for s in shares[want]]
    return Evidence(ratio[:, want].T, labels, "x", note=_note(found, as_written))


def growth(config: Config, method: str, as_written: bool) -> Evidence:
    """Exponent of a method's seconds on the budget, one a repeat, over Table I's budgets."""
    found = table_one()
    want = found.arrays["ks"] < 0.6 * found.metrics["n"]
    ks = found.arrays["ks"][want]
    slopes = [exponent(ks, row[want]) for row in seconds(found, method, as_written)]
    return Evidence(np.array(slopes)[None], unit="exponent", note=_note(found, as_written))
