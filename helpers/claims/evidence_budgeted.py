"""Evidence for the claims of `budgeted`: the LP with truncated power, its cost and accuracy."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from helpers import experiments as ex
from helpers.claims.evidence_svp import on_choice
from helpers.claims.stored import (
    BySeed,
    Evidence,
    Missing,
    accuracy,
    full,
    load,
    measured,
    need,
    number,
    parts,
    require_alone,
    seconds,
)
from helpers.experiments import Config
from helpers.results.store import Result
from helpers.specs import Measure

PAPER_POOL = 3000
N_PROJECTED = 64  # features after the projection that decides


def cell(scale: Config, model: str, method: str, budget: float) -> BySeed:
    """Return seed -> a run of Algorithm 1."""
    return lambda seed: ex.budgeted_run(scale, model, method, budget, seed)


@measured
def budgeted_01(scale: Config) -> Evidence:
    """Test accuracy against budget, (methods x panels, seeds, budgets)."""
    need(scale.panel_budgets, at_least=2)
    panels = [(method, model) for model in scale.panel_models for method in scale.panel_methods]
    values, counts = [], []
    for method, model in panels:
        cells = [cell(scale, model, method, budget) for budget in scale.panel_budgets]
        values.append(np.array([accuracy(scale, one) for one in cells]).T)
        counts.append([load(one(scale.first_seed)).metrics["n_train"] for one in cells])
    labels = [f"{method}, {scale.dataset}, {model}" for method, model in panels]
    return {"values": values, "x": counts, "labels": labels}


def timing(name: str) -> Result:
    """Return a measurement whose seconds were taken alone."""
    found = load(Measure(name))
    require_alone([found])
    return found


@measured
def budgeted_06(scale: Config) -> Evidence:
    """Slope of log processor seconds on log k of the whole selection, (pools,).

    Processor seconds in an order drawn for each pool: on a shared machine too, what others do
    widens the interval and favours no budget.
    """
    found = load(Measure("budget-slope"))
    note = f"N = {found.metrics['n']}, {found.metrics['seconds']:.2g} s a selection"
    return {"values": found.arrays["slopes"], "note": note}


@measured
def budgeted_07(scale: Config) -> Evidence:
    """Median seconds of kernel, closed LP and truncated power at the paper's pool size."""
    arrays = timing("kernel-exponent").arrays
    here = np.flatnonzero(arrays["sizes"] == PAPER_POOL)
    if not len(here):
        raise Missing(f"no pool of {PAPER_POOL}")
    steps = ("seconds_kernel", "seconds_lp", "seconds_power")
    total = sum(arrays[name][here[0]] for name in steps)
    return {"values": number(total), "note": solver_note()}


def solver_note() -> str:
    """Say how long a solver takes for the LP as written, where that was measured."""
    try:
        arrays = load(Measure("lp-time")).arrays
    except Missing:
        return "LP in closed form"
    return (
        f"LP in closed form; as written HiGHS takes {arrays['seconds_highs'][-1]:.3g} s "
        f"at N = {arrays['sizes'][-1]} already"
    )


@measured
def budgeted_13(scale: Config) -> Evidence:
    """Random instances in which products and linear inequalities differ."""
    metrics = load(Measure("linearisation")).metrics
    equal = min(metrics["n_equal_value"], metrics["n_equal_optima"])
    return {"count": metrics["n_instances"] - equal, "trials": metrics["n_instances"]}


@measured
def budgeted_14(scale: Config) -> Evidence:
    """Random instances in which the rounded LP misses the optimum."""
    found = load(Measure("rounding-gap"))
    low, middle = np.quantile(found.arrays["ratio"], [0.05, 0.5])
    note = (
        f"value / optimum: smallest {found.metrics['smallest_ratio']:.4f}, "
        f"5 % {low:.4f}, median {middle:.4f}"
    )
    return {"count": found.metrics["n_below"], "trials": found.metrics["n_instances"], "note": note}


@measured
def budgeted_15(scale: Config) -> Evidence:
    """Instances with a falling power step: semi-definite, and shifted to be so."""
    metrics = load(Measure("power-monotone")).metrics
    trials = metrics["n_instances"]
    note = (
        f"eq. 8 unshifted falls in {metrics['falls_unshifted']}, "
        f"cycles in {metrics['cycles_unshifted']} of {trials}"
    )
    return {
        "psd": {"count": metrics["violations_psd"], "trials": trials},
        "shifted": {"count": metrics["violations_shifted"], "trials": trials, "note": note},
        "note": note,
    }


@measured
def budgeted_16(scale: Config) -> Evidence:
    """Final x'Qx from the LP less that from random starts, %, largest N; steps from the LP."""
    arrays = load(Measure("power-start")).arrays
    share = arrays["difference"]  # (LP - random) / LP, to be taken relative to random
    gains = 100 * share / (1 - share)
    sizes = np.unique(arrays["size"])
    told = [f"{gains[arrays['size'] == n].mean():+.3g} % at N = {n}" for n in sizes]
    return {  # the claim is about pools of thousands: the largest tried decides
        "start": {"differences": gains[arrays["size"] == sizes.max()]},
        "steps": {"values": arrays["steps_lp"]},
        "note": f"the lead shrinks with the pool: {', '.join(told)}",
    }


def chosen_share(scale: Config, budget: float) -> BySeed:
    """Return seed -> the target trained on what the budgeted method selects."""
    return on_choice(scale, "iqp", budget)


def gain_on_full(scale: Config, budget: float) -> np.ndarray:
    """Return accuracy on a chosen share less accuracy on everything, (seeds,)."""
    whole = accuracy(scale, full(scale, scale.target))
    return accuracy(scale, chosen_share(scale, budget)) - whole


@measured
def budgeted_17(scale: Config) -> Evidence:
    """Accuracy on a chosen quarter less accuracy on everything, (seeds,)."""
    return {"differences": gain_on_full(scale, 0.25)}


@measured
def budgeted_18(scale: Config) -> Evidence:
    """The same at 50, 40 and 25 %, (3, seeds), and seconds with selection, (4, seeds)."""
    shares = (0.5, 0.4, 0.25)

    def gains() -> Evidence:
        differences = [gain_on_full(scale, share) for share in shares]
        return {"differences": differences, "labels": [f"{share:.0%}" for share in shares]}

    def time() -> Evidence:
        picks = [lambda seed, b=b: ex.choice(scale, "iqp", b, seed) for b in shares]
        runs = [chosen_share(scale, share) for share in shares]
        spent = seconds(scale, full(scale, scale.target), full(scale, scale.proxy), *picks, *runs)
        whole, proxy, select, train = spent[0], spent[1], spent[2:5], spent[5:]
        note = f"the proxy's {proxy.mean():.3g} s of training are left out, as in Table II"
        return {"values": [whole, *(select + train)], "note": note}

    return parts(accuracy=gains, time=time)


@measured
def budgeted_20(scale: Config) -> Evidence:
    """The kernel's share of the time, its exponent on N, and what random projection changes."""

    def timed(name: str) -> Evidence:
        return {"values": number(timing("kernel-exponent").metrics[name])}

    def overlap() -> Evidence:
        found = timing("random-projection").arrays
        return {"values": found["jaccard"][_projection(found)]}

    def speed() -> Evidence:
        found = timing("random-projection").arrays
        return {"values": number(found["time_ratio"][_projection(found)])}

    answer = parts(
        share=lambda: timed("share_kernel"),
        exponent=lambda: timed("exponent_kernel"),
        overlap=overlap,
        speed=speed,
    )
    return answer | ({"note": _projection_note()} if "overlap" in answer else {})


def _projection_note() -> str:
    """Say what the projection keeps apart from the subset itself."""
    found = load(Measure("random-projection")).arrays
    best = _projection(found)
    return (
        f"to {found['dimensions'][best]} of the features: "
        f"{found['objective_ratio'][best].mean():.1%} of x'Qx kept"
    )


def _projection(found: Mapping[str, np.ndarray]) -> int:
    """Return the place of the projection to 64 features, fixed before the runs."""
    here = np.flatnonzero(found["dimensions"] == N_PROJECTED)
    if not len(here):
        raise Missing(f"no projection to {N_PROJECTED} features")
    return int(here[0])


@measured
def budgeted_23(scale: Config) -> Evidence:
    """Accuracy for every weight of the kernel term, (2 readings, weights, seeds)."""
    need(scale.weights, 0.3, at_least=2)
    readings = ("kernel", "distance")
    values = [
        [
            accuracy(scale, lambda seed, w=w, r=r: ex.weight_run(scale, w, r, seed))
            for w in scale.weights
        ]
        for r in readings
    ]
    return {"values": values, "settings": [list(scale.weights)] * 2, "labels": list(readings)}
