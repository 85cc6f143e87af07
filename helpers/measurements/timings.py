"""Seconds of the budgeted selection: by solver and in closed form, by part, budget and size."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np

from helpers.measurements.table import (
    WEIGHT,
    Measured,
    exponent,
    made_up_pool,
    measurement,
    median_seconds,
    seconds_of,
    seconds_table,
    share_of,
)
from helpers.selection import exact, iqp
from helpers.selection.gaussian_sums import gaussian_similarity, median_distance

PARTS = ("seconds_kernel", "seconds_lp", "seconds_power")


@measurement("lp-time")
def lp_time(
    seed: int,
    sizes: Sequence[int] = (30, 60, 90),
    closed_sizes: Sequence[int] = (30, 60, 90, 500, 1500, 3000),
    share: float = 0.3,
    d: int = 16,
    cbc_up_to: int = 60,
    repeats: int = 3,
) -> Measured:
    """Time eq. 11 by solvers and in closed form, and compare their answers.

    HiGHS solves all `sizes`, CBC those up to cbc_up_to.

    Returns:
        Metrics: largest_relative_difference of objectives, n_same_set, n_compared, all_optimal,
        exponent_highs. Arrays: sizes, seconds_highs (solver alone),
        seconds_build_highs (PuLP), sizes_cbc, seconds_cbc, seconds_build_cbc, sizes_closed,
        seconds_closed.
    """
    rng = np.random.default_rng(seed)
    small = [n for n in sizes if n <= cbc_up_to]
    _written_lp(20, share, d, "highs", np.random.default_rng(seed))  # loads the solver
    arrays, compared = {"sizes": np.array(sizes), "sizes_cbc": np.array(small)}, []
    for solver, pools in {"highs": list(sizes), "cbc": small}.items():
        rows = [[_written_lp(n, share, d, solver, rng) for _ in range(repeats)] for n in pools]
        medians = np.median([[r[:2] for r in row] for row in rows], axis=1).reshape(-1, 2)
        arrays[f"seconds_{solver}"], arrays[f"seconds_build_{solver}"] = medians.T
        compared += [r[2:] for row in rows for r in row]
    closed = []
    for n in closed_sizes:
        features, utility = made_up_pool(n, d, rng)
        args = utility, gaussian_similarity(features, "median"), share_of(n, share), WEIGHT
        closed.append(median_seconds(lambda a=args: iqp.lp_relaxation(*a), repeats))
    arrays |= {"sizes_closed": np.array(closed_sizes), "seconds_closed": np.array(closed)}
    difference, same, proven = zip(*compared, strict=True)
    return {
        "largest_relative_difference": float(max(difference)),
        "n_same_set": int(sum(same)),
        "n_compared": len(compared),
        "all_optimal": bool(all(proven)),
        "exponent_highs": exponent(sizes, arrays["seconds_highs"]),
    }, arrays


def _written_lp(
    n: int, share: float, d: int, solver: str, rng: np.random.Generator
) -> tuple[float, float, float, bool, bool]:
    """Return seconds, seconds to build, relative difference to the closed form, same set, proof."""
    features, utility = made_up_pool(n, d, rng)
    similarity = gaussian_similarity(features.astype(np.float64), "median")
    k = share_of(n, share)
    result = exact.solve_lp_as_written(utility, similarity, k, WEIGHT, solver)
    closed = iqp.lp_relaxation(utility, similarity, k, WEIGHT)
    best = (utility + WEIGHT * (similarity.sum(axis=1) - 1))[closed].sum()
    same = set(closed.tolist()) == set(result.indices.tolist())
    apart = abs(result.objective - best) / best
    return result.seconds, result.seconds_build, apart, same, result.success


def _parts(
    features: np.ndarray,
    utility: np.ndarray,
    k: int,
    h: float,
    clock: Callable[[], float] | None = None,
) -> tuple[float, float, float]:
    """Return seconds of kernel (of bandwidth h), LP and truncated power of one selection."""
    found: dict[str, np.ndarray] = {}

    def kernel() -> None:
        found["similarity"] = gaussian_similarity(features, h)

    def relax() -> None:
        found["start"] = iqp.lp_relaxation(utility, found["similarity"], k, WEIGHT)

    def power() -> None:
        shift = max(0.0, WEIGHT - float(utility.min()))
        iqp.truncated_power(utility, found["similarity"], found["start"], WEIGHT, shift)

    return seconds_of(kernel, clock), seconds_of(relax, clock), seconds_of(power, clock)


def _by_part(parts: np.ndarray) -> dict[str, np.ndarray]:
    """Return the medians (sizes,) of parts (repeats, sizes, 3) by name."""
    return dict(zip(PARTS, np.median(parts, axis=0).T, strict=True))


@measurement("budgeted-time")
def budgeted_time(
    seed: int,
    n: int = 1500,
    d: int = 64,
    repeats: int = 5,
) -> Measured:
    """Time the whole selection, and its parts, at ten budgets from n/5 to n/2.

    The bandwidth is found before. The paper's budgets are 600..1,500 of 3,000.

    Returns:
        Metrics: n, ratio (seconds at the largest k over those at the smallest), slope (of log
        seconds on log k). Arrays, (10,): ks, seconds_whole, seconds_kernel, seconds_lp and
        seconds_power, medians.
    """
    features, utility = made_up_pool(n, d, np.random.default_rng(seed))
    ks, h = np.linspace(n / 5, n / 2, 10).round().astype(int), median_distance(features)
    rounds = [[_parts(features, utility, int(k), h) for k in ks] for _ in range(repeats + 1)]
    parts = np.array(rounds[1:])  # (repeats, budgets, 3)
    whole = np.median(parts.sum(axis=2), axis=0)
    arrays = {"ks": ks, "seconds_whole": whole} | _by_part(parts)
    return {"n": n, "ratio": float(whole[-1] / whole[0]), "slope": exponent(ks, whole)}, arrays


@measurement("budget-slope", threads=1)
def budget_slope(
    seed: int, n: int = 1000, d: int = 64, n_budgets: int = 5, n_pools: int = 41
) -> Measured:
    """Measure on many pools how the whole selection's processor time goes with the budget.

    n_budgets >= 2 are evenly spaced from n/5 to n/2, in random order. How many power steps follow
    depends on pool and budget, so that repeats on one pool would agree with each other and not
    with the next pool. Processor time, as milliseconds by the clock tell what else the machine
    did.

    Returns:
        Metrics: n, n_pools, seconds (median), slope (median over pools). Arrays: ks (b,), seconds
        (pools, b), slopes (pools,) of log seconds on log k.
    """
    rng = np.random.default_rng(seed)
    ks = np.linspace(n / 5, n / 2, n_budgets).round().astype(int)
    seconds = np.zeros((n_pools + 1, n_budgets))
    for row in seconds:
        features, utility = made_up_pool(n, d, rng)
        h = median_distance(features)
        for place in rng.permutation(n_budgets):
            row[place] = sum(_parts(features, utility, int(ks[place]), h, time.process_time))
    seconds = seconds[1:]
    slopes = np.array([exponent(ks, row) for row in seconds])
    metrics = {"n": n, "n_pools": n_pools, "seconds": float(np.median(seconds))}
    metrics["slope"] = float(np.median(slopes))
    return metrics, {"ks": ks, "seconds": seconds, "slopes": slopes}


@measurement("kernel-exponent", threads=1)
def kernel_exponent(
    seed: int,
    sizes: Sequence[int] = (500, 900, 1700, 3000),
    d: int = 512,
    share: float = 0.3,
    repeats: int = 3,
) -> Measured:
    """Measure how the time of a kernel that is stored grows, and its share of the selection's.

    Processor seconds of one thread, which a busy machine leaves as they are.

    Returns:
        Metrics: exponent_kernel, share_kernel (of selection time, largest size). Arrays: sizes,
        seconds_kernel, seconds_lp, seconds_power, medians; shares (at the largest size) and
        exponents of the kernel, (repeats,).
    """
    rng = np.random.default_rng(seed)
    rows = []
    for n in sizes:
        features, utility = made_up_pool(n, d, rng)
        k, h = share_of(n, share), median_distance(features)
        timed = [_parts(features, utility, k, h, time.process_time) for _ in range(repeats + 1)]
        rows.append(timed[1:])
    parts = np.array(rows).transpose(1, 0, 2)  # (repeats, sizes, 3)
    arrays = {"sizes": np.array(sizes)} | _by_part(parts)
    kernel, whole = arrays["seconds_kernel"], sum(arrays[name][-1] for name in PARTS)
    arrays["shares"] = parts[:, -1, 0] / parts[:, -1].sum(axis=1)
    arrays["exponents"] = np.array([exponent(sizes, one) for one in parts[:, :, 0]])
    metrics = {"exponent_kernel": exponent(sizes, kernel)}
    return metrics | {"share_kernel": float(kernel[-1] / whole)}, arrays


@measurement("scaling", threads=1)
def scaling(
    seed: int,
    sizes: Sequence[int] = (1000, 2500, 5000, 10000, 20000),
    d: int = 64,
    share: float = 0.3,
    matrix_up_to: int = 5000,
    repeats: int = 3,
    once_from: int = 10000,
) -> Measured:
    """Time the whole selection against the pool's size: stored matrix, tiles, Fourier features.

    The matrix is stored up to matrix_up_to rows; from once_from on one call is enough.

    Returns:
        Metrics: smallest_objective_ratio (Fourier features' x'Qx over that of the exact sums).
        Arrays: sizes, sizes_matrix, seconds_matrix, seconds_blocks, seconds_fourier,
        objective_ratio (len(sizes),).
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
        h, k = median_distance(features), share_of(n, share)
        calls, reached = repeats if n < once_from else 1, {}
        for way in ways if n <= matrix_up_to else ("blocks", "fourier"):
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
    return {"smallest_objective_ratio": float(min(quality))}, arrays


@measurement("random-projection", threads=1)
def random_projection(
    seed: int,
    n: int = 1500,
    d: int = 512,
    dimensions: Sequence[int] = (16, 32, 64, 128),
    share: float = 0.3,
    n_draws: int = 30,
    repeats: int = 3,
) -> Measured:
    """Compare selections from randomly projected features (eq. 5) with that from all of them.

    Returns:
        Metrics: n, d. Arrays: dimensions (p,), each below d; jaccard (overlap of the subsets) and
        objective_ratio (x'Qx of the projected features' subset in the true Q, over that of the
        true one), (p, n_draws); time_ratio (kernel's processor seconds without over with
        projection, projecting included), (p,).
    """
    rng = np.random.default_rng(seed)
    features, utility = made_up_pool(n, d, rng)
    k, h = share_of(n, share), median_distance(features)
    similarity = gaussian_similarity(features, h)
    chosen = iqp.budgeted(utility, features, k, WEIGHT, h)
    value = iqp.objective(utility, similarity, chosen, WEIGHT)
    clock = time.process_time
    whole = median_seconds(lambda: gaussian_similarity(features, h), repeats, clock)
    overlaps, kept, faster = [], [], []
    for p in dimensions:
        for _ in range(n_draws):
            projection = iqp.directions(d, p, rng)
            other = iqp.budgeted(utility, features @ projection, k, WEIGHT, h)
            shared = len(np.intersect1d(chosen, other))
            overlaps.append(shared / (2 * k - shared))
            kept.append(iqp.objective(utility, similarity, other, WEIGHT) / value)
        projected = median_seconds(
            lambda q=projection: gaussian_similarity(features @ q, h), repeats, clock
        )
        faster.append(whole / projected)
    shape = (len(dimensions), n_draws)
    arrays = {"dimensions": np.array(dimensions), "time_ratio": np.array(faster)}
    arrays |= {"jaccard": np.reshape(overlaps, shape), "objective_ratio": np.reshape(kept, shape)}
    return {"n": n, "d": d}, arrays


@measurement("step-seconds")
def step_seconds(
    seed: int,
    pairs: Sequence[tuple[str, str]] = (("fasttext", "vdcnn29"), ("resnet20", "resnet164")),
    batch: int = 8,
    repeats: int = 3,
) -> Measured:
    """Time a training step, forward and backward, of the networks of `svp` and `svp-slides`.

    Each pair is a proxy and its target on the same made-up batch, on one thread of the CPU.

    Returns:
        Metrics: batch. Arrays: seconds_proxy, seconds_target (pairs, repeats).
    """
    rows = [[_steps(seed, name, batch, repeats) for name in pair] for pair in pairs]
    proxy, target = np.array(rows).transpose(1, 0, 2)
    return {"batch": batch}, {"seconds_proxy": proxy, "seconds_target": target}


def _steps(seed: int, name: str, batch: int, repeats: int) -> np.ndarray:
    """Return seconds (repeats,) of a network's step on made-up images of 3x32x32 or texts."""
    import torch

    from helpers import device, models

    with device.deterministic(seed, threads=1):
        network = models.build(name, 10, 3)
        x = torch.randn(batch, 3, 32, 32)
        if getattr(network, "reads_text", False):
            x = torch.randint(ord("a"), ord("z"), (batch, 1024), dtype=torch.uint8)
            x[:, ::6] = ord(" ")
            x = network.encode(x) if hasattr(network, "encode") else x

        def step(_: int) -> None:
            torch.nn.functional.cross_entropy(network(x), torch.arange(batch) % 10).backward()

        return seconds_table({"": step}, [0], repeats)[""][:, 0]
