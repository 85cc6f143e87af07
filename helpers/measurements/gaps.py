"""How far the solutions of `budgeted`'s quadratic program lie below the best, and bounds above."""

from importlib.util import find_spec

import numpy as np

from helpers import StudyError
from helpers.measurements.table import WEIGHT, Measured, made_up_pool, measurement, share_of
from helpers.selection import exact, iqp, search
from helpers.selection.gaussian_sums import gaussian_similarity

KINDS = ("random", "kernel", "distance")
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
        Metrics: n, k, n_instances, n_proven (instances whose optimum is known). Arrays, shape
        (3, n_instances), kinds in the order of `kinds`: gap_<method> = (optimum - value) / optimum
        for lp, power_shifted, power, greedy, swap and best; above_<bound> = (bound - optimum) /
        optimum, NaN where there is none (sdp without cvxpy); optimum.

    Source: `budgeted` section III-B and V: no guarantee is given.

    Note: "power" is truncated power as printed, "power_shifted" with a shift that makes it
    monotone, both from the linear program's subset; "swap" is swap search from the end of
    "power", "best" the best of all.
    """
    rng = np.random.default_rng(seed)
    k = share_of(n, share)
    has_sdp = n <= N_SDP and all(find_spec(name) is not None for name in ("cvxpy", "scs"))
    arrays = _stacked(
        [[_compared(kind, n, k, rng, has_sdp, time_limit) for _ in range(n_instances)]
         for kind in KINDS]
    )  # fmt: skip
    n_proven = int(np.isfinite(arrays["optimum"]).sum())
    metrics = {"n": n, "k": k, "n_instances": n_instances, "n_proven": n_proven}
    return metrics, arrays | {"kinds": np.array(KINDS)}


def _stacked(table: list[list[dict[str, float]]]) -> dict[str, np.ndarray]:
    return {name: np.array([[cell[name] for cell in row] for row in table]) for name in table[0][0]}


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
    chosen = {"lp": start, "power_shifted": shifted.indices, "power": power.indices}
    chosen |= {"greedy": search.greedy(utility, similarity, k, WEIGHT), "swap": swap.indices}
    values = {
        name: iqp.objective(utility, similarity, rows, WEIGHT) for name, rows in chosen.items()
    }
    values["best"] = max(values.values())
    steps = {"power_shifted": shifted, "power": power, "swap": swap}
    taken = {f"steps_{name}": found.iterations for name, found in steps.items()}
    return values, taken | {"seconds_swap": swap.seconds}


def _compared(
    kind: str, n: int, k: int, rng: np.random.Generator, has_sdp: bool, time_limit: float
) -> dict[str, float]:
    utility, similarity = _instance(kind, n, rng)
    values, _ = _subsets(utility, similarity, k)
    optimum = _optimum(utility, similarity, k, time_limit)
    column = {"optimum": optimum, "above_sdp": np.nan}
    for name, value in values.items():
        column[f"gap_{name}"] = np.maximum(0, (optimum - value) / optimum)
    bounds = {name: bound(utility, similarity, k, WEIGHT) for name, bound in BOUNDS.items()}
    if has_sdp:
        bounds["sdp"] = exact.sdp_bound(utility, similarity, k, WEIGHT, time_limit).bound
    return column | {f"above_{name}": (b - optimum) / optimum for name, b in bounds.items()}


def _optimum(utility: np.ndarray, similarity: np.ndarray, k: int, time_limit: float) -> float:
    """Return the best x'Qx, or NaN where the time did not suffice to prove it."""
    try:
        found = exact.exact_milp(utility, similarity, k, WEIGHT, time_limit=time_limit)
    except StudyError:
        return float("nan")
    return found.objective if found.success else float("nan")


@measurement("swap-gain")
def swap_gain(
    seed: int, n: int = 1000, share: float = 0.3, d: int = 16, n_instances: int = 2
) -> Measured:
    """Compare the methods where no optimum is known: with the best found and with bounds.

    Each of n_instances pools is tried with "kernel" and "distance", median bandwidth.

    Returns:
        Metrics: n, k, n_instances, mean_<array>_<kind> of the arrays below, and medians
        steps_<method>_<kind> (steps to a subset not met before; exchanges after "power") and
        seconds_swap_<kind>. Arrays, shape (2, n_instances), kinds in the order of `kinds`:
        below_<method> = (best - value) / best, above_<bound> = (bound - best) / best.

    Source: `budgeted` section III-C; with "distance" a shift that makes Q semi-definite is so
    large that the iteration stays at its start.
    """
    rng = np.random.default_rng(seed)
    k = share_of(n, share)
    pools = [made_up_pool(n, d, rng) for _ in range(n_instances)]
    cells = [[_at_size(*pool, kind, k) for pool in pools] for kind in KINDS[1:]]
    arrays, taken = (_stacked([[one[i] for one in row] for row in cells]) for i in (0, 1))
    metrics: dict[str, float | int] = {"n": n, "k": k, "n_instances": n_instances}
    for i, kind in enumerate(KINDS[1:]):
        metrics |= {f"mean_{name}_{kind}": float(v[i].mean()) for name, v in arrays.items()}
        metrics |= {f"{name}_{kind}": float(np.median(v[i])) for name, v in taken.items()}
    return metrics, arrays | {"kinds": np.array(KINDS[1:])}


def _at_size(
    features: np.ndarray, utility: np.ndarray, kind: str, k: int
) -> tuple[dict[str, float], dict[str, float]]:
    similarity = gaussian_similarity(features.astype(np.float64), "median", kind)
    values, taken = _subsets(utility, similarity, k)
    best = values["best"]
    column = {f"below_{name}": (best - value) / best for name, value in values.items()}
    for name, bound in BOUNDS.items():
        column[f"above_{name}"] = (bound(utility, similarity, k, WEIGHT) - best) / best
    return column, taken
