"""What a result cost: the target's training and all that was trained before it to choose rows.

Seconds compare only between runs that had their machine alone. Work always compares: examples
passed forward and backward, a forward pass being a third of that, each weighed by its network's
multiply-adds over the target's.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from helpers import results
from helpers.config import Config
from helpers.experiments.builders import FORWARD_SHARE, active_choice, active_run, weight
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
    chosen, runs = read_choice(step)
    seconds, alone = seconds_of_choice(chosen, runs)
    scored = FORWARD_SHARE * chosen.metrics["n_pool"]
    work = [
        weight(config, run.spec.model) * (passes(run, trained_for(step)) + scored) for run in runs
    ]
    return {"seconds": seconds, "work": sum(work), "alone": alone}


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
    cells = [
        {"method": method, "selector": by, "share": budget, "seed": seed}
        for method in methods
        for by in selectors(config)
        for budget in config.label_budgets
        for seed in config.seeds
    ]
    rows = [(cell, _labelled(config, *cell.values())) for cell in cells]
    return pd.DataFrame([cell | bill for cell, bill in rows if bill])


def _labelled(
    config: Config, method: str, by: str, budget: float, seed: int
) -> dict[str, object] | None:
    """Return the bill of all rounds up to a budget and of the last training, None if missing."""
    chosen = active_choice(config, method, budget, seed, by)
    last = results.load(active_run(config, method, budget, seed, by))
    steps = list(rounds(chosen))
    needed = [spec for step in steps for spec in (step, *step.of)]
    if last is None or any(results.load(spec) is None for spec in needed):
        return None
    found = [choosing(config, step) for step in steps]
    return {
        "seconds": sum(bill["seconds"] for bill in found),
        "work": sum(bill["work"] for bill in found),
        "last_seconds": last.metrics["seconds"],
        "last_work": passes(last),
        "alone": last.metrics["alone"] and all(bill["alone"] for bill in found),
    }


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
    errors = {
        cell: "{:.1f} ± {:.1f}".format(*_half(rows["test_error"].to_numpy()))
        for cell, rows in active.round({"share": 6}).groupby(keys, sort=False)
    }
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


def _half(values) -> tuple[float, float]:
    """Return mean and half of the 95 % t interval."""
    mean, low, _ = t_interval(values)
    return mean, mean - low
