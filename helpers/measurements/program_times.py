"""Seconds of the budgeted selection: its LP by solver and in closed form, its parts, its kernel."""

import time
from collections.abc import Sequence

import numpy as np

from helpers.measurements.clock import (
    exponent,
    made_up_pool,
    median_seconds,
    one_thread,
    seconds_of,
)
from helpers.selection import exact, iqp
from helpers.selection.gaussian_sums import median_distance

WEIGHT = 0.3  # the paper's lambda


def lp_time(
    seed: int,
    sizes: Sequence[int] = (30, 60, 90),
    closed_sizes: Sequence[int] = (30, 60, 90, 500, 1500, 3000),
    share: float = 0.3,
    d: int = 16,
    cbc_up_to: int = 60,
    repeats: int = 3,
) -> tuple[dict, dict]:
    """Time eq. 11 by solvers and in closed form, and compare their answers.

    Args:
        seed: Of the made-up pool.
        sizes: Pool sizes given to HiGHS; to CBC as well up to `cbc_up_to`.
        closed_sizes: Pool sizes given to the closed form.
        share: k / n.
        d: Features.
        cbc_up_to: Largest pool given to CBC.
        repeats: Timed calls; one before them does not count.

    Returns:
        Metrics: largest_relative_difference of objectives, n_same_set, n_compared, all_optimal,
        exponent_highs, exponent_closed. Arrays: sizes, seconds_highs (solver alone),
        seconds_build_highs (PuLP), sizes_cbc, seconds_cbc, seconds_build_cbc, sizes_closed,
        seconds_closed.
    """
    rng = np.random.default_rng(seed)
    small = [n for n in sizes if n <= cbc_up_to]
    by_solver = {"highs": list(sizes), "cbc": small}
    _solved(20, share, d, "highs", np.random.default_rng(seed))  # the first call loads the solver
    arrays: dict[str, np.ndarray] = {}
    compared = []
    for solver, pools in by_solver.items():
        rows = [[_solved(n, share, d, solver, rng) for _ in range(repeats)] for n in pools]
        medians = np.median([[r[:2] for r in row] for row in rows], axis=1).reshape(-1, 2)
        arrays[f"seconds_{solver}"], arrays[f"seconds_build_{solver}"] = medians.T
        compared += [r[2:] for row in rows for r in row]
    arrays |= {"sizes": np.array(sizes), "sizes_cbc": np.array(small)}
    arrays["sizes_closed"] = np.array(closed_sizes)
    arrays["seconds_closed"] = np.array([_closed(n, share, d, rng, repeats) for n in closed_sizes])
    metrics = {
        "largest_relative_difference": float(max(c[0] for c in compared)),
        "n_same_set": int(sum(c[1] for c in compared)),
        "n_compared": len(compared),
        "all_optimal": bool(all(c[2] for c in compared)),
        "exponent_highs": exponent(sizes, arrays["seconds_highs"]),
        "exponent_closed": exponent(closed_sizes, arrays["seconds_closed"]),
    }
    return metrics, arrays


def _solved(
    n: int, share: float, d: int, solver: str, rng: np.random.Generator
) -> tuple[float, float, float, bool, bool]:
    """Return seconds, seconds to build, relative difference to the closed form, same set, proof."""
    features, utility = made_up_pool(n, d, rng)
    similarity = iqp.gaussian_similarity(features.astype(np.float64), "median")
    k = max(1, round(share * n))
    result = exact.solve_lp_as_written(utility, similarity, k, WEIGHT, solver)
    closed = iqp.lp_relaxation(utility, similarity, k, WEIGHT)
    sums = utility + WEIGHT * (similarity.sum(axis=1) - 1)
    difference = abs(result.fun - sums[closed].sum()) / sums[closed].sum()
    same = set(closed.tolist()) == set(result.indices.tolist())
    return result.seconds, result.seconds_build, difference, same, result.success


def _closed(n: int, share: float, d: int, rng: np.random.Generator, repeats: int) -> float:
    """Return seconds of the closed form on a similarity that is there already."""
    features, utility = made_up_pool(n, d, rng)
    similarity = iqp.gaussian_similarity(features, "median")
    k = max(1, round(share * n))
    return median_seconds(lambda: iqp.lp_relaxation(utility, similarity, k, WEIGHT), repeats)


def _parts(
    features: np.ndarray, utility: np.ndarray, k: int, h: float
) -> tuple[float, float, float]:
    """Return seconds of kernel (of bandwidth h), LP and truncated power of one selection."""
    found: dict[str, np.ndarray] = {}

    def kernel() -> None:
        found["similarity"] = iqp.gaussian_similarity(features, h)

    def relax() -> None:
        found["start"] = iqp.lp_relaxation(utility, found["similarity"], k, WEIGHT)

    def power() -> None:
        shift = max(0.0, WEIGHT - float(utility.min()))
        iqp.truncated_power(utility, found["similarity"], found["start"], WEIGHT, shift)

    return seconds_of(kernel), seconds_of(relax), seconds_of(power)


def budgeted_time(
    seed: int,
    n: int = 1500,
    d: int = 64,
    ks: Sequence[int] | None = None,
    repeats: int = 5,
) -> tuple[dict, dict]:
    """Time the whole selection at every budget, and its parts, at a bandwidth found before.

    Args:
        seed: Of the made-up pool.
        n: Pool size; the paper's is 3,000.
        d: Features.
        ks: Budgets; None takes ten from n/5 to n/2, as the paper's 600..1,500 of 3,000.
        repeats: Timed rounds over all budgets; one before them does not count.

    Returns:
        Metrics: n, seconds_whole (median over budgets), seconds_kernel, seconds_lp,
        seconds_power, ratio (largest k over smallest), slope (of log seconds on log k).
        Arrays: ks, and the four seconds at every k, shape (len(ks),).
    """
    features, utility = made_up_pool(n, d, np.random.default_rng(seed))
    budgets = np.linspace(n / 5, n / 2, 10).round() if ks is None else np.array(ks)
    budgets = budgets.astype(int)
    h = median_distance(features)
    # Rounds over all budgets, so that a slow moment of the machine does not fall on one k.
    rounds = [[_parts(features, utility, int(k), h) for k in budgets] for _ in range(repeats + 1)]
    parts = np.array(rounds[1:])  # (repeats, budgets, 3)
    whole = np.median(parts.sum(axis=2), axis=0)
    kernel, relax, power = np.median(parts, axis=0).T
    arrays = {
        "ks": budgets,
        "seconds_whole": whole,
        "seconds_kernel": kernel,
        "seconds_lp": relax,
        "seconds_power": power,
    }
    metrics = {name: float(np.median(arrays[name])) for name in arrays if name != "ks"}
    metrics |= {"n": n, "ratio": float(whole[budgets.argmax()] / whole[budgets.argmin()])}
    metrics["slope"] = exponent(budgets, whole) if len(set(budgets.tolist())) > 1 else 0.0
    return metrics, arrays


@one_thread
def budget_slope(
    seed: int, n: int = 1000, d: int = 64, n_budgets: int = 5, n_pools: int = 41
) -> tuple[dict, dict]:
    """Measure on many pools how the whole selection's processor time goes with the budget.

    How many power steps follow depends on pool and budget, so that repeats on one pool would
    agree with each other and not with the next pool. Processor time, as milliseconds by the clock
    tell what else the machine did.

    Args:
        seed: Of the made-up pools and of the order of budgets, drawn anew for each pool.
        n: Pool size.
        d: Features.
        n_budgets: Budgets, evenly spaced from n/5 to n/2, at least 2.
        n_pools: Pools timed; one before them does not count.

    Returns:
        Metrics: n, n_pools, seconds (median), slope (median over pools). Arrays: ks (b,), seconds
        (pools, b), slopes (pools,) of log seconds on log k.
    """
    rng = np.random.default_rng(seed)
    ks = np.linspace(n / 5, n / 2, n_budgets).round().astype(int)
    seconds = np.array([_by_budget(n, d, ks, rng) for _ in range(n_pools + 1)])[1:]
    slopes = np.array([exponent(ks, row) for row in seconds])
    metrics = {"n": n, "n_pools": n_pools, "seconds": float(np.median(seconds))}
    metrics["slope"] = float(np.median(slopes))
    return metrics, {"ks": ks, "seconds": seconds, "slopes": slopes}


def _by_budget(n: int, d: int, ks: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return processor seconds of the whole selection from one new pool, by budget, (b,)."""
    features, utility = made_up_pool(n, d, rng)
    h = median_distance(features)
    seconds = np.zeros(len(ks))
    for place in rng.permutation(len(ks)):
        start = time.process_time()
        _parts(features, utility, int(ks[place]), h)
        seconds[place] = time.process_time() - start
    return seconds


def kernel_exponent(
    seed: int,
    sizes: Sequence[int] = (500, 900, 1700, 3000),
    d: int = 512,
    share: float = 0.3,
    repeats: int = 3,
) -> tuple[dict, dict]:
    """Measure how the time of a kernel that is stored grows, and its share of the selection's.

    Args:
        seed: Of the made-up pools.
        sizes: Pool sizes.
        d: Features.
        share: k / n.
        repeats: Timed calls; one before them does not count.

    Returns:
        Metrics: exponent_kernel, share_kernel (of selection time, largest size). Arrays: sizes,
        seconds_kernel, seconds_lp, seconds_power.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for n in sizes:
        features, utility = made_up_pool(n, d, rng)
        k = max(1, round(share * n))
        h = median_distance(features)
        timed = [_parts(features, utility, k, h) for _ in range(repeats + 1)][1:]
        rows.append(np.median(timed, axis=0))
    kernel, relax, power = np.array(rows).T
    metrics = {
        "exponent_kernel": exponent(sizes, kernel),
        "share_kernel": float(kernel[-1] / (kernel[-1] + relax[-1] + power[-1])),
    }
    arrays = {
        "sizes": np.array(sizes),
        "seconds_kernel": kernel,
        "seconds_lp": relax,
        "seconds_power": power,
    }
    return metrics, arrays
