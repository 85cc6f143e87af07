"""Rules about orders, fronts and shares of cells won."""

import numpy as np
from scipy import stats

from helpers.claims.paired import compare
from helpers.claims.verdicts import (
    FAILS,
    HOLDS,
    RESAMPLES,
    UNDECIDED,
    Verdict,
    combine,
    no_answer,
    numbers,
    percentile_ends,
    side,
    unusable,
)
from helpers.ranking import t_interval


def share_above(wins, *, share: float, min_panels: int = 3):
    """Share of cells won above a bound, resampling whole panels.

    Args:
        wins: 1 won, 0 lost, ties split, (panels, cells); a panel = a data set with a model.
        share: Bound the interval must exceed.
        min_panels: Fewest panels that may decide, since cells of a panel share their data.
    """
    return _panels(wins, share, 1, min_panels)


def share_below_chance(wins, chance, *, min_panels: int = 3):
    """Share of cells won below the chance share, resampling whole panels.

    Args:
        wins: 1 won, 0 lost, ties split, (panels, cells).
        chance: One over the methods that entered the cell, (panels, cells).
        min_panels: Fewest panels that may decide.

    Returns:
        Verdict with share won - share by chance.
    """
    wins, chance = numbers(wins, "wins", (2,)), numbers(chance, "chance", (2,))
    if wins.shape != chance.shape:
        raise ValueError(f"wins and chance must share a shape, got {wins.shape}, {chance.shape}")
    return _panels(wins - chance, 0.0, -1, min_panels)


def _panels(wins, bound: float, direction: int, min_panels: int) -> Verdict:
    """Judge the mean of (panels, cells) against a bound by a bootstrap over panels."""
    wins = numbers(wins, "wins", (2,))
    if problem := unusable(wins):
        return no_answer(UNDECIDED, problem, unit="share")
    panels = wins.mean(axis=1)
    rng = np.random.default_rng(0)
    draws = panels[rng.integers(len(panels), size=(RESAMPLES, len(panels)))].mean(axis=1)
    low, high = percentile_ends(draws)
    ends = (low, high) if direction > 0 else (-high, -low)
    verdict, note = side(*ends, direction * bound), ""
    if len(panels) < min_panels:
        verdict, note = UNDECIDED, f"needs at least {min_panels} panels, has {len(panels)}"
    return Verdict(verdict, float(panels.mean()), low, high, wins.size, "share", note)


def rises_with(values, x, *, direction: int = 1, monotone: bool = False, min_seeds: int = 3):
    """Values rise (or fall) with a setting: Spearman correlation in each seed, t interval.

    Args:
        values: One number a seed and setting, (seeds, settings).
        x: The setting's value, (settings,).
        direction: 1 = rises, -1 = falls.
        monotone: Also ask that the mean never turns back; a significant step back refutes.
        min_seeds: Fewest seeds that may decide.

    Returns:
        Verdict with the mean Spearman correlation in the claimed direction.
    """
    values, x = numbers(values, "values", (2,)), numbers(x, "x", (1,))
    if problem := unusable(values, x):
        return no_answer(UNDECIDED, problem, unit="rho")
    if values.shape[1] != len(x) or len(x) < 2:
        raise ValueError(f"values must be (seeds, {len(x)}) with 2 settings, got {values.shape}")
    values = direction * values[:, np.argsort(x, kind="stable")]
    rho = np.array([_spearman(row) for row in values])
    answer = compare(rho, lambda low, high: side(low, high, 0.0), min_seeds, "rho")
    if not monotone or answer.verdict == UNDECIDED:
        return answer
    steps = np.diff(values, axis=1)
    verdict = answer.verdict
    if any(t_interval(step)[2] < 0 for step in steps.T):
        verdict = FAILS
    elif verdict == HOLDS and (steps.mean(axis=0) < 0).any():
        verdict = UNDECIDED
    return Verdict(verdict, answer.value, answer.low, answer.high, answer.n, "rho", answer.note)


def _spearman(row: np.ndarray) -> float:
    """Spearman correlation of a row with its positions; 0 where all values are equal."""
    if np.ptp(row) == 0:
        return 0.0
    return float(stats.spearmanr(row, np.arange(len(row))).statistic)


def same_order(values, *, min_seeds: int = 3, unit: str = "points"):
    """Groups stand in the claimed order, every adjacent gap above 0.

    Args:
        values: (groups, seeds), claimed largest first, seeds paired.
        min_seeds: Fewest seeds that may decide; gaps below 1 point need five.
        unit: Unit of the values.

    Returns:
        Verdict whose value is the smallest adjacent gap.
    """
    values = numbers(values, "values", (2,))
    if len(values) < 2:
        raise ValueError(f"values must hold at least 2 groups, got shape {values.shape}")
    gaps = [
        compare(gap, lambda low, high: side(low, high, 0.0), min_seeds, unit, True)
        for gap in values[:-1] - values[1:]
    ]
    return _smallest(gaps)


def _smallest(answers: list[Verdict]) -> Verdict:
    """All must hold; the answer that shows is the one with the smallest value."""
    joint = combine([answer.verdict for answer in answers])
    worst = min(answers, key=lambda answer: np.nan_to_num(answer.value, nan=-np.inf))
    return Verdict(joint, worst.value, worst.low, worst.high, worst.n, worst.unit, worst.note)


def near_best(values, settings, *, setting: float, margin: float, min_seeds: int = 3):
    """One setting is within a margin of every other.

    Args:
        values: Accuracy in points, (settings, seeds), seeds paired.
        settings: The settings' values, (settings,).
        setting: The setting the document recommends.
        margin: Points by which another may be better; the whole interval must stay below.
        min_seeds: Fewest seeds that may decide.

    Returns:
        Verdict whose value is (recommended - best rival), in points.
    """
    values, settings = numbers(values, "values", (2,)), numbers(settings, "settings", (1,))
    chosen = _position(settings, setting, len(values))
    rivals = [i for i in range(len(values)) if i != chosen]
    if not rivals:
        return no_answer(UNDECIDED, "no other setting was run", unit="points")
    answers = [
        compare(values[chosen] - values[i], lambda low, high: side(low, high, -margin),
                min_seeds, "points")
        for i in rivals
    ]  # fmt: skip
    return _smallest(answers)


def _position(settings: np.ndarray, setting: float, n: int) -> int:
    """Index of a setting among those run."""
    found = np.flatnonzero(np.isclose(settings, setting))
    if len(settings) != n or len(found) != 1:
        raise ValueError(f"settings must name {n} values, {setting} once, got {settings.tolist()}")
    return int(found[0])


def on_front(loss, boost, settings, *, setting: float, min_seeds: int = 3):
    """No other setting is both more accurate and faster.

    Args:
        loss: Points lost against the baseline, (settings, seeds).
        boost: Baseline time / time, (settings, seeds).
        settings: The settings' values, (settings,).
        setting: The setting that should lie on the front.
        min_seeds: Fewest seeds that may decide.

    Returns:
        Verdict with the points the setting loses.
    """
    loss, boost = numbers(loss, "loss", (2,)), numbers(boost, "boost", (2,))
    settings = numbers(settings, "settings", (1,))
    if problem := unusable(loss, boost):
        return no_answer(UNDECIDED, problem, unit="points")
    chosen = _position(settings, setting, len(loss))
    if loss.shape != boost.shape or loss.shape[1] < min_seeds or len(loss) < 2:
        return no_answer(UNDECIDED, f"needs {min_seeds} seeds and a rival", loss.size, "points")
    verdicts = []
    for rival in np.delete(np.arange(len(loss)), chosen):
        lower = t_interval(loss[chosen] - loss[rival])[1:]
        faster = t_interval(boost[rival] - boost[chosen])[1:]
        if lower[0] > 0 and faster[0] > 0:
            verdicts.append(FAILS)
        else:
            verdicts.append(HOLDS if lower[1] < 0 or faster[1] < 0 else UNDECIDED)
    mean, low, high = t_interval(loss[chosen])
    return Verdict(combine(verdicts), mean, low, high, loss.shape[1], "points")
