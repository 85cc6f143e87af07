"""Seconds of `budgeted`'s methods as the document runs them, beside our fastest of the same."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
from scipy import optimize, sparse

from helpers.measurements.rivals import _contenders
from helpers.measurements.table import (
    WEIGHT,
    Measured,
    exponent,
    made_up_pool,
    measurement,
    seconds_of,
    seconds_table,
    share_of,
)
from helpers.selection import dpp, iqp
from helpers.selection.gaussian_sums import gaussian_similarity, median_distance
from helpers.selection.submodular import CoverageDiversity


def spent(call: Callable[[], object]) -> float:
    """Return processor seconds of one call."""
    return seconds_of(call, time.process_time)


@measurement("table-one", threads=1)
def table_one(
    seed: int,
    n: int = 3000,
    n_best: int = 1000,
    d: int = 64,
    shares: Sequence[float] = (0.2, 0.3, 0.4, 0.5, 2 / 3),
    repeats: int = 5,
    n_timed: int = 4,
    n_values: int = 20,
    lp_sizes: Sequence[int] = (150, 300, 600),
    n_slope: int = 100,
    n_pools: int = 20,
) -> Measured:
    """Time the methods of `budgeted` Table I as written on its n points, and ours on n_best.

    Processor seconds of one thread, so that what else the machine does favours no method.

    As written: the LP (11) with a variable and a constraint a pair, by HiGHS, at lp_sizes and
    drawn on to n as a power of the size; the textbook's k-DPP sampler, its steps timed at n_timed
    numbers of vectors and summed; plain greedy, n_values values of a subset timed. The shares are
    Table I's of 600 to 1,500 and Table III's 2,000 of 3,000.

    Returns:
        Metrics: n, n_best, lp_exponent. Arrays: ks (b,) of n; seconds_lp (repeats,) at n;
        seconds_power (repeats,), kernel and power steps at n; seconds_dpp and seconds_greedy
        (repeats, b); lp_sizes, lp_seconds (repeats, sizes); lp_slopes (n_pools,), of log seconds
        of the LP on log k at n_slope points; best_NAME (repeats, b) on n_best points, whole
        selections: iqp (LP in closed form), exact and map (DPP), lazy (greedy).

    Source: `budgeted` Tables I and III.

    Note: Table I's greedy grows by 31 s a pick of 3,000 candidates whatever k, so that every
        candidate's value takes one product with the whole matrix, as here.
    """
    rng = np.random.default_rng(seed)
    features, utility = made_up_pool(n, d, rng)
    ks = np.array([share_of(n, share) for share in shares])
    h = median_distance(features)
    _lp_seconds(20, 0.3, d, rng)  # loads the solver
    lp = np.array([[_lp_seconds(size, 0.3, d, rng) for size in lp_sizes] for _ in range(repeats)])
    fits = [np.polyfit(np.log(lp_sizes), np.log(row), 1) for row in lp]
    whole = [
        spent(lambda: iqp.budgeted(utility, features, int(ks[1]), WEIGHT, h))
        for _ in range(repeats + 1)
    ]
    sizes = [share_of(n_best, share) for share in shares]
    best = seconds_table(_best(n_best, d, seed), sizes, repeats, warm_up=1, clock=time.process_time)
    arrays = {f"best_{name}": seconds for name, seconds in best.items()}
    arrays |= {
        "ks": ks,
        "seconds_lp": np.exp([np.polyval(fit, np.log(n)) for fit in fits]),
        "seconds_power": np.array(whole[1:]),
        "seconds_dpp": _dpp_seconds(features, h, ks, repeats, n_timed, rng),
        "seconds_greedy": _value_seconds(features, h, repeats, n_values, rng)[:, None] * n * ks,
        "lp_sizes": np.array(lp_sizes),
        "lp_seconds": lp,
        "lp_slopes": np.array([_lp_slope(n_slope, d, rng) for _ in range(n_pools)]),
    }
    mean = float(np.mean([fit[0] for fit in fits]))
    return {"n": n, "n_best": n_best, "lp_exponent": mean}, arrays


def _best(n: int, d: int, seed: int) -> dict:
    calls = _contenders(*made_up_pool(n, d, np.random.default_rng(seed)), seed)
    return {name: calls[name] for name in ("iqp", "map", "exact", "lazy")}


def _lp_seconds(n: int, share: float, d: int, rng: np.random.Generator) -> float:
    features, utility = made_up_pool(n, d, rng)
    return _solve_lp(gaussian_similarity(features, "median"), utility, share_of(n, share))


def _lp_slope(n: int, d: int, rng: np.random.Generator) -> float:
    """Return the slope of log seconds on log k of one pool, budgets in random order."""
    features, utility = made_up_pool(n, d, rng)
    similarity = gaussian_similarity(features, "median")
    ks = rng.permutation(np.linspace(n / 5, n / 2, 5).round().astype(int))
    return exponent(ks, [_solve_lp(similarity, utility, int(k)) for k in ks])


def _solve_lp(similarity: np.ndarray, utility: np.ndarray, k: int) -> float:
    """Return processor seconds of eq. 11 by HiGHS: n + n^2 variables, n^2 + 1 constraints."""
    matrix = WEIGHT * similarity.astype(np.float64)
    np.fill_diagonal(matrix, utility)
    n = len(matrix)
    start = time.process_time()
    pairs = np.arange(n * n)
    first, second = np.divmod(pairs, n)
    ones = np.ones(n * n)
    places = np.concatenate([first, second, n + pairs])
    left = sparse.csc_matrix(
        (np.concatenate([-ones, -ones, 2 * ones]), (np.tile(pairs, 3), places)),
        shape=(n * n, n + n * n),
    )
    budget = sparse.csc_matrix(np.concatenate([np.ones(n), np.zeros(n * n)])[None])
    worth = -np.concatenate([np.zeros(n), matrix.ravel()])
    limits = {"A_ub": left, "b_ub": np.zeros(n * n), "A_eq": budget, "b_eq": [k]}
    optimize.linprog(worth, **limits, bounds=(0, 1), method="highs")
    return time.process_time() - start


def _dpp_seconds(
    features: np.ndarray, h: float, ks: np.ndarray, repeats: int, n_timed: int,
    rng: np.random.Generator,
) -> np.ndarray:  # fmt: skip
    """Return seconds of the textbook sampler (repeats, b): kernel, eigenvectors, summed steps."""
    start = time.process_time()
    vectors = np.linalg.eigh(gaussian_similarity(features.astype(np.float64), h))[1]
    before = time.process_time() - start
    sizes = np.unique(np.linspace(2, ks.max(), n_timed).round().astype(int))
    rows = []
    for _ in range(repeats):
        steps = [spent(lambda m=m: dpp.textbook_step(vectors[:, -m:], [], rng)) for m in sizes]
        # A step grows with the square of its vectors: straight lines through roots fit it.
        roots = np.interp(np.arange(1, ks.max() + 1), sizes, np.sqrt(steps))
        rows.append(before + np.cumsum(roots**2)[ks - 1])
    return np.array(rows)


def _value_seconds(
    features: np.ndarray, h: float, repeats: int, n_values: int, rng: np.random.Generator
) -> np.ndarray:
    """Return mean seconds (repeats,) of the value of a subset, by the whole matrix."""
    function = CoverageDiversity(features, bandwidth=h)
    chosen = (rng.random(function.n) < 0.2).astype(np.float64)

    def values() -> None:
        for _ in range(n_values):
            np.minimum(function.kept @ chosen, function.cap).sum()
            np.sqrt(np.bincount(function.group, function.reward * chosen)).sum()

    return np.array([spent(values) / n_values for _ in range(repeats + 1)])[1:]
