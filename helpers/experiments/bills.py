"""What a result cost: the target's training and all that was trained before it to choose rows.

Seconds compare only between runs that had their machine alone. Work always compares: examples
passed forward and backward, a forward pass being a third of that, each weighed by its network's
multiply-adds over the target's.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pandas as pd

from helpers import results
from helpers.config import Config
from helpers.experiments.cells import FORWARD_SHARE, Cell, chosen, run, weight
from helpers.experiments.questions import ACTIVE_METHODS, selectors
from helpers.experiments.table import read_choice, seconds_of_choice, trained_for
from helpers.ranking import t_interval
from helpers.results.store import Result
from helpers.selection.registry import METHODS
from helpers.specs import Select, Train, rounds

SECONDS, WORK = "seconds", "work (examples through the target)"


def passes(run: Result, after: int | None = None) -> float:
    """Return how many examples a run passed forward and backward, up to an epoch."""
    history = run.metrics["history"]
    last = (after or len(history["forward"])) - 1
    forward, backward = history["forward"][last], history["backward"][last]
    return FORWARD_SHARE * forward + (1 - FORWARD_SHARE) * backward


def choosing(config: Config, step: Select) -> dict[str, float]:
    """Return seconds and work of one choice and the runs it reads, earlier rounds left out.

    Raises:
        StudyError: If one of them is neither stored nor published.
    """
    picked, read = read_choice(step)
    seconds, alone = seconds_of_choice(picked, read)
    scored = FORWARD_SHARE * picked.metrics["n_pool"]
    work = sum(weight(config, one.spec.model) * (passes(one, trained_for(step)) + scored)
               for one in read)  # fmt: skip
    return {"seconds": seconds, "work": work, "alone": alone}


def charged(
    config: Config, frame: pd.DataFrame, wanted: Sequence[Train]
) -> tuple[pd.DataFrame, str]:
    """Add to every run what it cost in all.

    Args:
        config: The study's parameters.
        frame: `experiments.frame` of the runs.
        wanted: Their specs, in the frame's order.

    Returns:
        The frame with the columns `work` (examples through the target), `total_seconds` and
        `cost`; and which of the two cost is: seconds if every run had its machine alone.
    """
    rows = [[choosing(config, step) for step in rounds(run.subset)] for run in wanted]
    own = [weight(config, run.model) * passes(results.get(run)) for run in wanted]
    spent = [sum(one["seconds"] for one in row) for row in rows]
    work = [sum(one["work"] for one in row) for row in rows]
    frame = frame.assign(
        work=[a + b for a, b in zip(own, work, strict=True)],
        total_seconds=frame["seconds"].to_numpy() + spent,
    )
    alone = bool(frame["alone"].all())
    cost = frame["total_seconds"] if alone else frame["work"]
    return frame.assign(cost=cost), SECONDS if alone else WORK


def labelling(config: Config, methods: Sequence[str] = ACTIVE_METHODS) -> pd.DataFrame:
    """Tabulate what labelling cost up to every budget, and the target's training at its end.

    Returns:
        Columns method, selector, share, seed; seconds and work of all rounds; last_seconds and
        last_work of the last training; alone (of all of it). A row only where every run is
        stored or published.
    """
    rows = []
    for method, by, share, seed in itertools.product(
        methods, selectors(config), config.label_budgets, config.seeds
    ):
        cell = Cell(method, share, by, protocol="active")
        try:
            last = results.get(run(config, cell, seed))
            spent = [choosing(config, step) for step in rounds(chosen(config, cell, seed))]
        except results.Missing:
            continue
        row = {"method": method, "selector": by, "share": share, "seed": seed}
        row |= {name: sum(one[name] for one in spent) for name in ("seconds", "work")}
        row |= {"last_seconds": last.metrics["seconds"], "last_work": passes(last)}
        alone = last.metrics["alone"] and all(one["alone"] for one in spent)
        rows.append(row | {"alone": alone})
    return pd.DataFrame(rows)


def unit_of(frame: pd.DataFrame) -> str:
    """Return `seconds` where all runs of a frame had their machine alone, else `work`."""
    return "seconds" if len(frame) and bool(frame["alone"].all()) else "work"


def active_table(active: pd.DataFrame, spent: pd.DataFrame, target: str) -> pd.DataFrame:
    """Lay active learning out as `svp` Table 1.

    Args:
        active: `experiments.frame` of its runs.
        spent: `labelling` of the same.
        target: The network whose own rounds are the measure of the speed-up.

    Returns:
        A row a method and selector; columns by share labelled: error in per cent with half of
        its 95 % t interval, and how many times longer the target's rounds took, in the unit of
        `unit_of`.

    Source: `svp` Table 1.
    """
    keys = ["method", "selector", "share"]
    errors = {}
    for cell, rows in active.round({"share": 6}).groupby(keys, sort=False):
        mean, low, _ = t_interval(rows["test_error"].to_numpy())
        errors[cell] = f"{mean:.1f} ± {mean - low:.1f}"
    parts = {"error (%)": pd.Series(errors).rename_axis(keys)}
    if len(spent):
        unit, pair = unit_of(spent), ["method", "share", "seed"]
        own = spent[spent["selector"] == target].set_index(pair)[unit].rename("own")
        rated = spent.join(own, on=pair)
        rated["ratio"] = rated["own"] / rated[unit]
        ratio = rated.groupby(keys, sort=False)["ratio"].mean()
        parts[f"speed-up ({unit})"] = ratio.map("{:.1f}x".format)
    table = pd.concat(parts, axis=1).unstack("share").fillna("")
    table.columns = [f"{part}, {share:.0%}" for part, share in table.columns]
    return table.rename(index=lambda name: METHODS[name].label if name in METHODS else name)
