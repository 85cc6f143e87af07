"""How far the solutions of `budgeted`'s quadratic program lie below the best, and bounds above."""

import time
from importlib.util import find_spec

import numpy as np

from helpers import StudyError
from helpers.measurements.table import WEIGHT, Measured, made_up_pool, measurement, share_of
from helpers.selection import exact, iqp, search
from helpers.selection.gaussian_sums import gaussian_similarity

SMALL = 1e-9  # a value closer to the optimum than this share is the optimum
KINDS = ("random", "kernel", "distance")
METHODS = ("lp", "power_shifted", "power", "greedy", "swap", "best")
BOUNDS = {
    "sums": exact.sums_bound,
    "partners": exact.partners_bound,
    "spectral": exact.spectral_bound,
}
N_SDP = 30  # rows up to which the semi-definite bound is computed


@measurement("gap-table")
def gap_table(
    seed: int, n: int = 20, share: float = 0.3, n_instances: int = 5, time_limit: float = 60.0
) -> Measured:
    """Compare every method and every bound with the exact optimum of small programs.

    Three kinds of n_instances each: "random", D uniform on (0, 1); "kernel", the Gaussian kernel
    at the median distance between scikit-learn's digits; "distance", 1 minus such a kernel.
    Utilities are uniform on (0, ln 10). Each solver has time_limit seconds a program; one whose
    optimum is not proven in them holds NaN and counts nowhere (0.1 s at n = 20, 1 to 3 s at 25).

    Returns:
        Metrics: n, k, n_instances, n_proven (instances whose optimum is known), n_sdp (with a
        semi-definite bound; 0 without cvxpy), seconds_exact (median), and for every method, as
        lp, and kind, as kernel: mean_gap_lp_kernel, largest_gap_lp_kernel, n_optimal_lp_kernel;
        for every bound mean_above_sums_kernel. Arrays, shape (3, n_instances), kinds in the
        order of `kinds`: gap_<method> = (optimum - value) / optimum, above_<bound> =
        (bound - optimum) / optimum with NaN where there is none, optimum, seconds_exact,
        seconds_sdp.

    Source: `budgeted` section III-B and V: no guarantee is given.

    Note: "power" is truncated power as printed, "power_shifted" with a shift that makes it
    monotone, both from the linear program's subset; "swap" is swap search from the end of
    "power", "best" the best of all.
    """
    rng = np.random.default_rng(seed)
    k = share_of(n, share)
    has_sdp = n <= N_SDP and all(find_spec(name) is not None for name in ("cvxpy", "scs"))
    table = [
        [_compared(kind, n, k, rng, has_sdp, time_limit) for _ in range(n_instances)]
        for kind in KINDS
    ]
    names = list(table[0][0])
    arrays = {name: np.array([[row[name] for row in rows] for rows in table]) for name in names}
    is_known = np.isfinite(arrays["optimum"])
    metrics = {
        "n": n,
        "k": k,
        "n_instances": n_instances,
        "n_proven": int(is_known.sum()),
        "n_sdp": int(np.isfinite(arrays["above_sdp"]).sum()),
        "seconds_exact": float(np.median(arrays["seconds_exact"])),
    }
    for i, kind in enumerate(KINDS):
        metrics |= _summary(kind, {name: values[i] for name, values in arrays.items()})
    return metrics, arrays | {"kinds": np.array(KINDS)}


def _instance(kind: str, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return utilities (n,) in nats and a similarity (n, n) of a kind."""
    utility = rng.uniform(0, np.log(10), n)
    if kind == "random":
        half = np.triu(rng.random((n, n)), 1)
        return utility, half + half.T
    from sklearn.datasets import load_digits

    pixels = load_digits().data
    rows = rng.permutation(len(pixels))[:n]
    return utility, gaussian_similarity(pixels[rows], "median", kind)


def _subsets(utility: np.ndarray, similarity: np.ndarray, k: int) -> tuple[dict, dict]:
    """Return every method's value, x'Qx, the steps of those that iterate, and swap's seconds."""
    start = iqp.lp_relaxation(utility, similarity, k, WEIGHT)
    shifted = iqp.power_steps(utility, similarity, start, WEIGHT, shift="auto")
    power = iqp.power_steps(utility, similarity, start, WEIGHT, shift=None)
    swap = search.swap_search(utility, similarity, power.indices, WEIGHT)
    greedy = search.greedy(utility, similarity, k, WEIGHT)
    values = {
        "lp": iqp.objective(utility, similarity, start, WEIGHT),
        "power_shifted": iqp.objective(utility, similarity, shifted.indices, WEIGHT),
        "power": iqp.objective(utility, similarity, power.indices, WEIGHT),
        "greedy": iqp.objective(utility, similarity, greedy, WEIGHT),
        "swap": iqp.objective(utility, similarity, swap.indices, WEIGHT),
    }
    values["best"] = max(values.values())
    steps = {"power_shifted": shifted.nit, "power": power.nit, "swap": swap.nit}
    return values, {f"steps_{name}": n for name, n in steps.items()} | {
        "seconds_swap": swap.seconds
    }


def _compared(
    kind: str, n: int, k: int, rng: np.random.Generator, has_sdp: bool, time_limit: float
) -> dict[str, float]:
    utility, similarity = _instance(kind, n, rng)
    values, _ = _subsets(utility, similarity, k)
    began = time.perf_counter()
    optimum = _optimum(utility, similarity, k, time_limit)
    column = {"seconds_exact": time.perf_counter() - began, "seconds_sdp": np.nan}
    column["optimum"] = optimum
    for name, value in values.items():
        column[f"gap_{name}"] = np.maximum(0, (optimum - value) / optimum)
    for name, bound in BOUNDS.items():
        value = bound(utility, similarity, k, WEIGHT)
        column[f"above_{name}"] = (value - optimum) / optimum
    column["above_sdp"] = np.nan
    if has_sdp:
        relaxed = exact.sdp_bound(utility, similarity, k, WEIGHT, time_limit)
        column["above_sdp"] = (relaxed.bound - optimum) / optimum
        column["seconds_sdp"] = relaxed.seconds
    return column


def _optimum(utility: np.ndarray, similarity: np.ndarray, k: int, time_limit: float) -> float:
    """Return the best x'Qx, or NaN where the time did not suffice to prove it."""
    try:
        found = exact.exact_milp(utility, similarity, k, WEIGHT, time_limit=time_limit)
    except StudyError:
        return float("nan")
    return found.objective if found.success else float("nan")


def _summary(kind: str, rows: dict[str, np.ndarray]) -> dict[str, float | int | None]:
    """Return the metrics of one kind; None where nothing is known."""
    is_known = np.isfinite(rows["optimum"])
    metrics: dict[str, float | int | None] = {}
    for name in METHODS:
        gaps = rows[f"gap_{name}"][is_known]
        metrics[f"mean_gap_{name}_{kind}"] = float(gaps.mean()) if len(gaps) else None
        metrics[f"largest_gap_{name}_{kind}"] = float(gaps.max()) if len(gaps) else None
        metrics[f"n_optimal_{name}_{kind}"] = int((gaps <= SMALL).sum())
    for name in (*BOUNDS, "sdp"):
        above = rows[f"above_{name}"][np.isfinite(rows[f"above_{name}"])]
        metrics[f"mean_above_{name}_{kind}"] = float(above.mean()) if len(above) else None
    return metrics


@measurement("swap-gain")
def swap_gain(
    seed: int, n: int = 1000, share: float = 0.3, d: int = 16, n_instances: int = 2
) -> Measured:
    """Compare the methods where no optimum is known: with the best found and with bounds.

    Each of n_instances pools is tried with "kernel" and "distance", median bandwidth.

    Returns:
        Metrics: n, k, n_instances, and for every method and kind mean_below_lp_kernel, the mean
        shortfall to the best found, (best - value) / best; for every bound
        mean_above_sums_kernel, (bound - best) / best; medians steps_power_kernel,
        steps_power_shifted_kernel (steps to a subset not met before), steps_swap_kernel
        (exchanges after "power") and seconds_swap_kernel; best_kernel (mean). Arrays, shape
        (2, n_instances), kinds in the order of `kinds`: below_<method>, above_<bound>,
        steps_power, steps_power_shifted, steps_swap, seconds_swap, best.

    Source: `budgeted` section III-C; with "distance" a shift that makes Q semi-definite is so
    large that the iteration stays at its start.
    """
    rng = np.random.default_rng(seed)
    k = share_of(n, share)
    pools = [made_up_pool(n, d, rng) for _ in range(n_instances)]
    table = [[_at_size(*pool, kind, k) for pool in pools] for kind in KINDS[1:]]
    names = list(table[0][0])
    arrays = {name: np.array([[row[name] for row in rows] for rows in table]) for name in names}
    metrics: dict[str, float | int] = {"n": n, "k": k, "n_instances": n_instances}
    for i, kind in enumerate(KINDS[1:]):
        for name in names:
            statistic = np.median if name.startswith(("steps", "seconds")) else np.mean
            prefix = "mean_" if name.startswith(("below", "above")) else ""
            metrics[f"{prefix}{name}_{kind}"] = float(statistic(arrays[name][i]))
    return metrics, arrays | {"kinds": np.array(KINDS[1:])}


def _at_size(features: np.ndarray, utility: np.ndarray, kind: str, k: int) -> dict[str, float]:
    similarity = gaussian_similarity(features.astype(np.float64), "median", kind)
    values, taken = _subsets(utility, similarity, k)
    best = values["best"]
    column = {f"below_{name}": (best - value) / best for name, value in values.items()}
    for name, bound in BOUNDS.items():
        column[f"above_{name}"] = (bound(utility, similarity, k, WEIGHT) - best) / best
    return column | taken | {"best": best}
