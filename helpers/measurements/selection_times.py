"""Seconds of the budgeted selection beside its rivals', and against the size of the pool.

All on one thread: two that wait for each other on a busy machine would tell more of the machine.
"""

from collections.abc import Callable, Sequence

import numpy as np

from helpers.measurements import textbook
from helpers.measurements.clock import (
    exponent,
    made_up_pool,
    median_seconds,
    one_thread,
    rounds_of,
    seconds_of,
)
from helpers.selection import chance, dpp, exact, iqp
from helpers.selection.coverage_diversity import coverage_diversity
from helpers.selection.gaussian_sums import median_distance

WEIGHT = 0.3  # the paper's lambda
SLOW = ("exact", "greedy", "lazy")
LARGE = 2 / 3  # k / N of the paper's Table III


@one_thread
def selection_time(
    seed: int,
    n: int = 1000,
    d: int = 64,
    shares: Sequence[float] = (0.2, 0.3, 0.4, 0.5),
    repeats: int = 3,
    repeats_slow: int = 2,
    n_lp: int = 60,
    n_timed: int = 5,
) -> tuple[dict, dict]:
    """Time every contender of `budgeted` Table I at several budgets, kernels included.

    The bandwidth, the median distance, is found before and shared by all.

    Args:
        seed: Of the made-up pool and the samplers.
        n: Pool size; the paper's is 3,000.
        d: Features.
        shares: k / n, rising; the paper's run from 0.2 to 0.5.
        repeats: Timed rounds over all budgets; a call before them does not count.
        repeats_slow: The same for what takes tenths of a second and more.
        n_lp: Pool size of the LP as written, which HiGHS could not finish at n.
        n_timed: Sizes at which single steps of the textbook sampler are timed.

    Returns:
        Metrics: n, n_lp, textbook_k, textbook_drawn (seconds of one whole draw of so many),
        textbook_ratio (summed steps over it), large_k. Arrays: ks, shares and seconds_lp (at
        n_lp), (b,); seconds_NAME, (rounds, b), for dpp (textbook), exact, map, greedy (plain),
        lazy, random and iqp; large_dpp, large_greedy, large_iqp (seconds at 2n/3), (repeats,).

    Source: `budgeted` Tables I and III.

    Note: the textbook sampler takes minutes for every round. A draw of k rows is k steps with
        k, k - 1, ..., 1 vectors, whatever k was at the start, so steps are timed at a few sizes
        and summed; textbook_ratio says how well that meets a whole draw.
    """
    features, utility = made_up_pool(n, d, np.random.default_rng(seed))
    ks = np.array([round(share * n) for share in shares])
    large = round(LARGE * n)
    calls = _contenders(features, utility, seed)
    summed = textbook.summed_steps(features, [*ks.tolist(), large], repeats, n_timed, seed)
    drawn = seconds_of(lambda: textbook.draw(features, int(ks[1]), np.random.default_rng(seed)))
    repeated = {name: repeats_slow if name in SLOW else repeats for name in calls}
    arrays = {f"seconds_{name}": rounds_of(calls[name], ks, r) for name, r in repeated.items()}
    arrays |= {"ks": ks, "shares": np.array(shares), "seconds_dpp": summed[:, :-1]}
    at_large = {name: rounds_of(calls[name], [large], repeats)[:, 0] for name in ("greedy", "iqp")}
    arrays |= {f"large_{name}": times for name, times in at_large.items()}
    arrays["large_dpp"] = summed[:, -1]
    arrays["seconds_lp"] = np.array([_written(n_lp, share, d, seed) for share in shares])
    metrics = {
        "n": n,
        "n_lp": n_lp,
        "textbook_k": int(ks[1]),
        "textbook_drawn": drawn,
        "textbook_ratio": float(np.median(summed[:, 1]) / drawn),
        "large_k": large,
    }
    return metrics, arrays


def _contenders(
    features: np.ndarray, utility: np.ndarray, seed: int
) -> dict[str, Callable[[int], object]]:
    """Return the whole selection of each contender that is run whole, by name, as call(k)."""
    h, rng = median_distance(features), np.random.default_rng(seed)
    double = features.astype(np.float64)
    return {
        "random": lambda k: chance.random(len(features), k, rng),
        "iqp": lambda k: iqp.budgeted(utility, features, k, WEIGHT, h),
        "map": lambda k: dpp.greedy_map(iqp.gaussian_similarity(double, h), k),
        "exact": lambda k: dpp.sample_k_dpp(iqp.gaussian_similarity(double, h), k, rng),
        "greedy": lambda k: coverage_diversity(features, k, bandwidth=h, how="naive"),
        "lazy": lambda k: coverage_diversity(features, k, bandwidth=h, how="lazy"),
    }


def _written(n: int, share: float, d: int, seed: int) -> float:
    """Return seconds of kernel and LP as written by HiGHS on a small pool, PuLP's included."""
    features, utility = made_up_pool(n, d, np.random.default_rng(seed))
    h, k = median_distance(features), max(1, round(share * n))
    similarity = iqp.gaussian_similarity(features, h)
    return seconds_of(lambda: exact.solve_lp_as_written(utility, similarity, k, WEIGHT))


@one_thread
def scaling(
    seed: int,
    sizes: Sequence[int] = (1000, 2500, 5000, 10000, 20000),
    d: int = 64,
    share: float = 0.3,
    matrix_up_to: int = 5000,
    repeats: int = 3,
    once_from: int = 10000,
) -> tuple[dict, dict]:
    """Time the whole selection against the pool's size: stored matrix, tiles, Fourier features.

    Args:
        seed: Of the made-up pools and the frequencies.
        sizes: Pool sizes.
        d: Features.
        share: k / n.
        matrix_up_to: Largest pool whose matrix is stored.
        repeats: Timed calls; one before the first does not count.
        once_from: Pool size from which one call is enough.

    Returns:
        Metrics: exponent_matrix, exponent_blocks, exponent_fourier (0 with one size);
        smallest_objective_ratio (Fourier features' x'Qx over that of the exact sums). Arrays:
        sizes, sizes_matrix, seconds_matrix, seconds_blocks, seconds_fourier, objective_ratio
        (len(sizes),).
    """
    ways = {
        "matrix": {"method": "exact"},
        "blocks": {"method": "exact", "memory": 0},
        "fourier": {"method": "fourier"},
    }
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    quality = []
    for n in sizes:
        features, utility = made_up_pool(n, d, np.random.default_rng(seed))
        h, k = median_distance(features), max(1, round(share * n))
        reached = {}
        for way in ("matrix", "blocks", "fourier") if n <= matrix_up_to else ("blocks", "fourier"):
            calls = repeats if n < once_from else 1
            found = [
                iqp.solve(utility, features, k, WEIGHT, bandwidth=h, shift="auto", **ways[way])
                for _ in range(calls + (n == sizes[0]))
            ]
            seconds[way].append(float(np.median([one.seconds for one in found[-calls:]])))
            reached[way] = found[-1].objective
        quality.append(reached["fourier"] / reached["blocks"])
    arrays = {f"seconds_{way}": np.array(values) for way, values in seconds.items()}
    arrays |= {"sizes": np.array(sizes), "objective_ratio": np.array(quality)}
    arrays["sizes_matrix"] = np.array([n for n in sizes if n <= matrix_up_to])
    metrics = {
        f"exponent_{way}": exponent(sizes[: len(values)], values) if len(values) > 1 else 0.0
        for way, values in seconds.items()
    }
    return metrics | {"smallest_objective_ratio": float(min(quality))}, arrays


@one_thread
def random_projection(
    seed: int,
    n: int = 1500,
    d: int = 512,
    dimensions: Sequence[int] = (16, 32, 64, 128),
    share: float = 0.3,
    n_draws: int = 30,
    repeats: int = 3,
) -> tuple[dict, dict]:
    """Compare selections from randomly projected features with that from all of them.

    Args:
        seed: Of the made-up pool and the projections.
        n: Pool size.
        d: Features.
        dimensions: Features after the projection (eq. 5), each below d.
        share: k / n.
        n_draws: Projections of each.
        repeats: Timed kernels; one before them does not count.

    Returns:
        Metrics: n, d. Arrays: dimensions (p,); jaccard (overlap of the subsets) and
        objective_ratio (x'Qx of the projected features' subset in the true Q, over that of the
        true one), (p, n_draws); time_ratio (kernel's seconds without over with projection,
        projecting included), (p,).
    """
    rng = np.random.default_rng(seed)
    features, utility = made_up_pool(n, d, rng)
    k, h = max(1, round(share * n)), median_distance(features)
    similarity = iqp.gaussian_similarity(features, h)
    chosen = iqp.budgeted(utility, features, k, WEIGHT, h)
    value = iqp.objective(utility, similarity, chosen, WEIGHT)
    whole = median_seconds(lambda: iqp.gaussian_similarity(features, h), repeats)
    overlaps, kept, faster = [], [], []
    for p in dimensions:
        for _ in range(n_draws):
            projection = rng.normal(size=(d, p)).astype(np.float32) / np.float32(p) ** 0.5
            other = iqp.budgeted(utility, features @ projection, k, WEIGHT, h)
            shared = len(np.intersect1d(chosen, other))
            overlaps.append(shared / (2 * k - shared))
            kept.append(iqp.objective(utility, similarity, other, WEIGHT) / value)
        projected = median_seconds(
            lambda q=projection: iqp.gaussian_similarity(features @ q, h), repeats
        )
        faster.append(whole / projected)
    shape = (len(dimensions), n_draws)
    arrays = {"dimensions": np.array(dimensions), "time_ratio": np.array(faster)}
    arrays |= {"jaccard": np.reshape(overlaps, shape), "objective_ratio": np.reshape(kept, shape)}
    return {"n": n, "d": d}, arrays
