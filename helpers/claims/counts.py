"""Rules about single runs and counted trials."""

from helpers.claims.verdicts import (
    FAILS,
    HOLDS,
    UNDECIDED,
    Verdict,
    no_answer,
    numbers,
    share_interval,
    unusable,
)


def all_above(values, *, bound: float, min_runs: int = 3, unit: str = "rho"):
    """Every single run above a bound.

    Args:
        values: One number a run, (n,).
        bound: Every value must exceed it; one that does not settles the claim.
        min_runs: Fewest runs that may confirm.
        unit: Unit of the values.

    Returns:
        Verdict whose value is the smallest run, its interval the range of all runs.
    """
    values = numbers(values, "values", (1,))
    if problem := unusable(values):
        return no_answer(UNDECIDED, problem, unit=unit)
    worst, best = float(values.min()), float(values.max())
    verdict, note = (HOLDS if worst > bound else FAILS), ""
    if verdict == HOLDS and len(values) < min_runs:
        verdict, note = UNDECIDED, f"needs at least {min_runs} runs, has {len(values)}"
    return Verdict(verdict, worst, worst, best, len(values), unit, note)


def no_violations(count, trials, *, min_trials: int = 200):
    """A property that must hold in every trial.

    Args:
        count: Trials that break it, a whole number.
        trials: Trials made.
        min_trials: Fewest trials that may confirm; one violation is enough to refute.

    Returns:
        Verdict with the share of violations and its exact interval.
    """
    count, trials = numbers(count, "count", (0,)), numbers(trials, "trials", (0,))
    if (problem := unusable(count, trials)) or trials < 1:
        return no_answer(UNDECIDED, problem or "no trials", unit="share")
    value, low, high = share_interval(int(count), int(trials))
    verdict = HOLDS if trials >= min_trials else UNDECIDED
    note = "" if trials >= min_trials else f"needs {min_trials} trials"
    if count > 0:
        verdict, note = FAILS, f"{int(count)} of {int(trials)} trials break it"
    return Verdict(verdict, value, low, high, int(trials), "share", note)


def some_exhibit(count, trials):
    """Something exists: one trial that shows it is enough; finding none proves nothing.

    Args:
        count: Trials that show it, a whole number.
        trials: Trials made.
    """
    count, trials = numbers(count, "count", (0,)), numbers(trials, "trials", (0,))
    if (problem := unusable(count, trials)) or trials < 1:
        return no_answer(UNDECIDED, problem or "no trials", unit="share")
    value, low, high = share_interval(int(count), int(trials))
    verdict = HOLDS if count > 0 else UNDECIDED
    return Verdict(
        verdict,
        value,
        low,
        high,
        int(trials),
        "share",
        f"{int(count)} of {int(trials)} trials show it",
    )
