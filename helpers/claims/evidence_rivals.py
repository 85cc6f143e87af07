"""Evidence for what `budgeted` says of its rivals: accuracy, seconds of selection, guarantees."""

from __future__ import annotations

import numpy as np

from helpers.claims.evidence_budgeted import cell, timing
from helpers.claims.stored import Evidence, Unfit, accuracy, load, measured, need, number
from helpers.claims.verdicts import RESAMPLES
from helpers.experiments import Config
from helpers.results.store import Result
from helpers.specs import Measure

ORDER = ("dpp", "iqp", "submodular", "random")  # of wins, most first, as the paper counts them
SUMMED = (0.8, 1.25)  # summed steps over a whole draw that count as agreement
RIVALS = {"dpp": "k-DPP", "submodular": "coverage + diversity"}


def panel_accuracies(scale: Config, methods: tuple[str, ...]) -> np.ndarray:
    """Return accuracies in points, (methods, panels, budgets, seeds).

    Raises:
        Unfit: If fewer than three seeds stand behind a mean.
    """
    found = np.array(
        [
            [
                [accuracy(scale, cell(scale, model, method, b)) for b in scale.panel_budgets]
                for model in scale.panel_models
            ]
            for method in methods
        ]
    )
    if scale.n_seeds < 3:
        raise Unfit(f"a cell needs the mean of 3 seeds, has {scale.n_seeds}")
    return found


def cells_won(means: np.ndarray) -> np.ndarray:
    """Return each method's part in winning every cell, ties split, of means (methods, ...)."""
    best = means == means.max(axis=0)
    return best / best.sum(axis=0)


@measured
def budgeted_02(scale: Config) -> Evidence:
    """Cells that random wins and its chance of it, (panels, budgets)."""
    methods = scale.panel_methods
    need(methods, "random", at_least=2)
    wins = cells_won(panel_accuracies(scale, methods).mean(axis=-1))[methods.index("random")]
    note = f"{len(methods)} methods ran: {', '.join(methods)}"
    return {"wins": wins, "chance": np.full_like(wins, 1 / len(methods)), "note": note}


@measured
def budgeted_03(scale: Config) -> Evidence:
    """Cells in which the budgeted method's mean is above random's, (panels, budgets)."""
    random, other = panel_accuracies(scale, ("random", "iqp")).mean(axis=-1)
    wins = np.where(other > random, 1.0, np.where(other < random, 0.0, 0.5))
    return {"wins": wins, "note": f"mean difference {np.mean(other - random):+.2f} points"}


@measured
def budgeted_04(scale: Config) -> Evidence:
    """Share of resamples of the seeds in which the wins stand in the paper's order.

    Note: all cells of a resample draw the same seeds, since they share start sets; equal counts
        of wins are no order.
    """
    found = panel_accuracies(scale, ORDER)
    rng = np.random.default_rng(0)
    draws = rng.integers(scale.n_seeds, size=(RESAMPLES, scale.n_seeds))
    counts = np.array([cells_won(found[..., d].mean(axis=-1)).sum(axis=(1, 2)) for d in draws])
    kept = (np.diff(counts, axis=1) < 0).all(axis=1)
    ours = cells_won(found.mean(axis=-1)).sum(axis=(1, 2))
    told = ", ".join(f"{name} {won:g}" for name, won in zip(ORDER, ours, strict=True))
    n_cells = found[0, ..., 0].size
    return {"values": number(kept.mean()), "note": f"cells won of {n_cells}: {told}"}


@measured
def budgeted_05(scale: Config) -> Evidence:
    """Accuracy of the budgeted method less each rival's, (rivals, cells, seeds)."""
    ours, *rivals = panel_accuracies(scale, ("iqp", *RIVALS))
    differences = np.array([ours - rival for rival in rivals])
    labels = list(RIVALS.values())
    return {"differences": differences.reshape(len(rivals), -1, scale.n_seeds), "labels": labels}


def selection_seconds() -> Result:
    """Return the measured times of all contenders."""
    return timing("selection-time")


def medians(found: Result, name: str) -> np.ndarray:
    """Return a contender's median seconds over repeats, (budgets,)."""
    return np.median(found.arrays[f"seconds_{name}"], axis=0)


def ratios(found: Result, name: str) -> np.ndarray:
    """Return seconds of a rival over those of the budgeted method, (budgets,)."""
    return medians(found, name) / medians(found, "iqp")


def textbook_seconds() -> Result:
    """Return the times, where the textbook sampler's summed steps meet its whole draw.

    Raises:
        Unfit: If they do not: the draws at other sizes are then no better known.
    """
    found = selection_seconds()
    ratio = found.metrics["textbook_ratio"]
    if not SUMMED[0] <= ratio <= SUMMED[1]:
        raise Unfit(f"steps of the textbook sampler sum to {ratio:.2f} of a whole draw")
    return found


def sampler_note(found: Result) -> str:
    """Say how our samplers of the same distribution compare with the textbook's."""
    exact, greedy = ratios(found, "exact")[-1], ratios(found, "map")[-1]
    return (
        f"textbook sampler; at k = {found.arrays['ks'][-1]} our exact sampler takes "
        f"{exact:.3g}x the budgeted method's time, greedy MAP {greedy:.3g}x"
    )


@measured
def budgeted_08(scale: Config) -> Evidence:
    """Seconds of whole textbook draws, (repeats, budgets), and the exponent of time on k.

    Note: a sum over more steps is larger by itself, so whole draws decide the order, on a pool
        small enough for them; the exponent is that of the larger pool, nearer to the paper's.
    """
    found, whole = textbook_seconds(), timing("textbook-draws")
    logs = np.log(found.arrays["ks"])
    textbook, exact = (
        np.polyfit(logs, np.log(medians(found, name)), 1)[0] for name in ("dpp", "exact")
    )
    note = (
        f"N = {found.metrics['n']}; whole draws at N = {whole.metrics['n']}: "
        f"{whole.metrics['exponent']:.2f}; our exact sampler of the same distribution: {exact:.2f}"
    )
    return {
        "order": {"values": whole.arrays["seconds"], "x": whole.arrays["ks"]},
        "exponent": {"values": number(textbook)},
        "note": note,
    }


@measured
def budgeted_09(scale: Config) -> Evidence:
    """Time of the textbook DPP over the budgeted method's at half the pool, (1 setting,)."""
    found = textbook_seconds()
    half = np.flatnonzero(found.arrays["ks"] == found.metrics["n"] // 2)
    label = f"N = {found.metrics['n']}"
    return {"values": ratios(found, "dpp")[half], "labels": [label], "note": sampler_note(found)}


@measured
def budgeted_10(scale: Config) -> Evidence:
    """The same at every budget, (budgets,)."""
    found = textbook_seconds()
    labels = [f"k = {k}" for k in found.arrays["ks"]]
    return {"values": ratios(found, "dpp"), "labels": labels, "note": sampler_note(found)}


@measured
def budgeted_11(scale: Config) -> Evidence:
    """Plain greedy over its slowest rival, per budget; R2 of a line in k; over ours."""
    found = selection_seconds()
    ks = found.arrays["ks"]
    plain = medians(found, "greedy")
    slowest = plain / np.maximum(medians(found, "dpp"), medians(found, "iqp"))
    fit = np.corrcoef(ks, plain)[0, 1] ** 2
    lazy = ratios(found, "lazy")
    return {
        "slowest": {"values": slowest, "labels": [f"k = {k}" for k in ks]},
        "linear": {"values": number(fit)},
        "ratio": {"values": ratios(found, "greedy")},
        "note": f"lazy greedy: {lazy.min():.3g} to {lazy.max():.3g}x the budgeted method's time",
    }


@measured
def budgeted_12(scale: Config) -> Evidence:
    """Small instances where greedy stays below 1 - 1/e, or the objective is not as needed."""
    metrics = load(Measure("greedy-share")).metrics
    trials = metrics["n_instances"]
    broken = max(metrics["n_not_monotone"], metrics["n_not_submodular"])
    return {
        "share": {"count": metrics["n_below"], "trials": trials},
        "structure": {"count": broken, "trials": trials},
        "note": f"smallest share of the best {metrics['smallest_share']:.3f}",
    }


@measured
def budgeted_22(scale: Config) -> Evidence:
    """Ratios of selection times at two thirds of the pool, DPP and plain greedy, (repeats,)."""
    arrays = textbook_seconds().arrays
    ours = np.median(arrays["large_iqp"])
    return {
        "dpp": {"values": arrays["large_dpp"] / ours},
        "submodular": {"values": arrays["large_greedy"] / ours},
    }
