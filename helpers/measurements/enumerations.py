"""Statements of `budgeted` tried on many small random instances."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from scipy.optimize import OptimizeResult

from helpers.measurements.table import WEIGHT, Measured, measurement
from helpers.ranking import t_interval
from helpers.selection import iqp
from helpers.selection.submodular import CoverageDiversity, coverage_diversity

ROUNDING = 1e-9  # a fall or a gain counts beyond this share
GREEDY = 1 - 1 / np.e  # what greedy owes for a monotone submodular function


def _subsets(n: int, k: int) -> np.ndarray:
    """Return all 0/1 vectors with k ones, shape (n over k, n)."""
    chosen = np.array(list(combinations(range(n), k)))
    x = np.zeros((len(chosen), n), dtype=np.int64)
    np.put_along_axis(x, chosen, 1, axis=1)
    return x


@measurement("linearisation")
def linearisation(seed: int, n_instances: int = 200, n_max: int = 12) -> Measured:
    """Enumerate the quadratic program (7) and the linear one (10) and compare their optima.

    Q holds whole numbers, so that values compare exactly.

    Returns:
        Metrics: n_instances, n_equal_value, n_equal_optima (same set of best x). Arrays:
        n, k, optimum, shape (n_instances,).

    Source: `budgeted` section III-B, eqs 7 to 10.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(n_instances):
        n = int(rng.integers(4, n_max + 1))
        k = int(rng.integers(1, n))
        half = np.triu(rng.integers(0, 10, size=(n, n)))
        matrix = half + np.triu(half, 1).T
        x = _subsets(n, k)
        quadratic = np.einsum("si,ij,sj->s", x, matrix, x)
        # The largest binary w with -x_i - x_j + 2 w <= 0, best since every entry of Q is >= 0.
        w = (x[:, :, None] + x[:, None, :]) // 2
        linear = (w * matrix).sum(axis=(1, 2))
        same = np.array_equal(quadratic == quadratic.max(), linear == linear.max())
        rows.append((n, k, quadratic.max(), quadratic.max() == linear.max(), same))
    n, k, optimum, equal_value, equal_optima = np.array(rows).T
    metrics = {
        "n_instances": n_instances,
        "n_equal_value": int(equal_value.sum()),
        "n_equal_optima": int(equal_optima.sum()),
    }
    return metrics, {"n": n, "k": k, "optimum": optimum}


@measurement("rounding-gap")
def rounding_gap(seed: int, n_instances: int = 500, n_max: int = 12) -> Measured:
    """Compare the rounded LP with the optimum found by enumeration.

    Instances are Gaussian kernels of random points with uniform utilities.

    Returns:
        Metrics: n_instances, n_below (value under the optimum), mean_ratio, smallest_ratio.
        Arrays: ratio (value / optimum, at most 1), n, k.

    Source: `budgeted` section III-B: no guarantee.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(n_instances):
        n = int(rng.integers(4, n_max + 1))
        k = int(rng.integers(2, n))
        utility, similarity = _kernel_instance(n, rng)
        matrix = WEIGHT * similarity
        np.fill_diagonal(matrix, utility)
        x = _subsets(n, k)
        optimum = ((x @ matrix) * x).sum(axis=1).max()
        value = iqp.objective(utility, similarity, iqp.lp_relaxation(utility, similarity, k))
        rows.append((min(1.0, value / optimum), n, k))
    ratio, n, k = np.array(rows).T
    metrics = {
        "n_instances": n_instances,
        "n_below": int((ratio < 1 - ROUNDING).sum()),
        "mean_ratio": float(ratio.mean()),
        "smallest_ratio": float(ratio.min()),
    }
    return metrics, {"ratio": ratio, "n": n.astype(int), "k": k.astype(int)}


def _kernel_instance(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return utilities (n,) in [0, 1) and a Gaussian kernel (n, n) of points in the plane."""
    return rng.random(n), iqp.gaussian_similarity(rng.normal(size=(n, 2)))


@measurement("power-monotone")
def power_monotone(seed: int, n_instances: int = 1000, n_max: int = 30) -> Measured:
    """Count steps that lower the objective: PSD, shifted indefinite, and eq. 8 as printed.

    Returns:
        Metrics: n_instances (of each kind), violations_psd, violations_shifted (instances with a
        step that lowers x'Qx by more than 1e-9 of it), falls_unshifted, cycles_unshifted (ended on
        an earlier subset). No arrays.

    Source: `budgeted` section III-C.
    """
    rng = np.random.default_rng(seed)
    kinds = {"psd": _psd_run, "shifted": _shifted_run, "unshifted": _unshifted_run}
    runs = {
        kind: [run(int(rng.integers(4, n_max + 1)), rng) for _ in range(n_instances)]
        for kind, run in kinds.items()
    }
    falls = {kind: sum(_falls(r.objectives) for r in results) for kind, results in runs.items()}
    metrics = {
        "n_instances": n_instances,
        "violations_psd": falls["psd"],
        "violations_shifted": falls["shifted"],
        "falls_unshifted": falls["unshifted"],
        "cycles_unshifted": sum(not r.settled for r in runs["unshifted"]),
    }
    return metrics, {}


def _falls(values: np.ndarray) -> bool:
    return bool((np.diff(values) < -ROUNDING * np.abs(values[:-1])).any())


def _run(
    utility: np.ndarray, similarity: np.ndarray, weight: float, shift: float | None,
    rng: np.random.Generator,
) -> OptimizeResult:  # fmt: skip
    """Run truncated power from a random subset."""
    n = len(utility)
    start = rng.permutation(n)[: int(rng.integers(1, n))]
    return iqp.power_steps(utility, similarity, start, weight, shift)


def _psd_run(n: int, rng: np.random.Generator) -> OptimizeResult:
    """Run on Q = BB' with B >= 0: semi-definite with entries >= 0, no shift needed."""
    root = rng.random((n, int(rng.integers(1, n + 1)))) * (rng.random(n) < 0.5)[:, None]
    matrix = root @ root.T
    return _run(np.diagonal(matrix), matrix, 1.0, None, rng)


def _shifted_run(n: int, rng: np.random.Generator) -> OptimizeResult:
    """Run on a random symmetric Q >= 0, shifted by just its lowest eigenvalue."""
    half = np.triu(rng.random((n, n)))
    matrix = half + np.triu(half, 1).T
    shift = max(0.0, -float(np.linalg.eigvalsh(matrix)[0])) + 1e-12
    return _run(np.diagonal(matrix), matrix, 1.0, shift, rng)


def _unshifted_run(n: int, rng: np.random.Generator) -> OptimizeResult:
    """Run on eq. 8 as printed, with the kernel's diagonal replaced by u and no shift."""
    return _run(*_kernel_instance(n, rng), WEIGHT, None, rng)


@measurement("power-start")
def power_start(
    seed: int,
    n_instances: int = 640,
    sizes: Sequence[int] = (50, 100, 200, 400),
    shares: Sequence[float] = (0.2, 0.3, 0.4, 0.5),
    n_starts: int = 3,
) -> Measured:
    """Compare truncated power from the LP's subset with the mean of n_starts random subsets.

    Gaussian kernels of random points with uniform utilities, every size in turn with every share;
    the paper's budgets run from 0.2 to 0.5.

    Returns:
        Metrics: difference (mean of (LP - random) / LP in final x'Qx), low, high (95 % t
        interval), median_steps_lp, median_steps_random, share_gained_lp (of instances where
        iterating improved on the LP). Arrays: size, share, difference, steps_lp
        (n_instances,).

    Source: `budgeted` section III-C: a good start matters.
    """
    rng = np.random.default_rng(seed)
    cells = np.array([(n, share) for n in sizes for share in shares])
    size, share = np.resize(cells, (n_instances, 2)).T
    difference, steps_lp, steps_random, gained = [], [], [], []
    for n, k in zip(size.astype(int), np.maximum(1, np.round(size * share)), strict=True):
        ends = _ends(int(n), int(k), n_starts, rng)
        best = ends[0].objective
        difference.append((best - np.mean([e.objective for e in ends[1:]])) / best)
        gained.append(best > ends[0].objectives[0] * (1 + ROUNDING))
        steps_lp.append(ends[0].iterations)
        steps_random.append([e.iterations for e in ends[1:]])
    mean, low, high = t_interval(np.array(difference))
    metrics = {
        "difference": mean,
        "low": low,
        "high": high,
        "median_steps_lp": float(np.median(steps_lp)),
        "median_steps_random": float(np.median(steps_random)),
        "share_gained_lp": float(np.mean(gained)),
    }
    arrays = {"size": size.astype(int), "share": share, "difference": np.array(difference)}
    return metrics, arrays | {"steps_lp": np.array(steps_lp)}


def _ends(n: int, k: int, n_starts: int, rng: np.random.Generator) -> list:
    """Return runs of truncated power on one instance, from the LP's subset and random ones."""
    utility, similarity = _kernel_instance(n, rng)
    shift = max(0.0, WEIGHT - float(utility.min()))
    starts = [iqp.lp_relaxation(utility, similarity, k, WEIGHT)]
    starts += [rng.permutation(n)[:k] for _ in range(n_starts)]
    return [iqp.power_steps(utility, similarity, start, WEIGHT, shift) for start in starts]


@measurement("greedy-share")
def greedy_share(
    seed: int,
    n_instances: int = 200,
    n_max: int = 15,
    weight: float = 1.0,
    alpha: float = 0.1,
    n_groups: int = 4,
) -> Measured:
    """Compare greedy coverage + diversity with the best subset found by enumeration.

    Instances are normal points in the plane; weight, alpha and n_groups as in
    `coverage_diversity`, with fewer groups than by default as pools are small.

    Returns:
        Metrics: n_instances, n_below (value under 1 - 1/e of the optimum), smallest_share,
        n_not_monotone and n_not_submodular (instances where some row lowers the value, or adds
        more to a larger set; all subsets are looked at). Arrays: share (greedy value / optimum, at
        most 1), n, k, shape (n_instances,).

    Source: `budgeted` section IV-C.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(n_instances):
        n = int(rng.integers(4, n_max + 1))
        k = int(rng.integers(1, n))
        features = rng.normal(size=(n, 2))
        function = CoverageDiversity(features, weight, alpha, n_groups)
        values, sizes = all_values(function)
        chosen = coverage_diversity(features, k, weight, alpha, n_groups)
        share = min(1.0, values[(1 << chosen).sum()] / values[sizes == k].max())
        rows.append((share, n, k, is_monotone(values), is_submodular(values)))
    share, n, k, monotone, submodular = np.array(rows).T
    metrics = {
        "n_instances": n_instances,
        "n_below": int((share < GREEDY).sum()),
        "smallest_share": float(share.min()),
        "n_not_monotone": int((monotone == 0).sum()),
        "n_not_submodular": int((submodular == 0).sum()),
    }
    return metrics, {"share": share, "n": n.astype(int), "k": k.astype(int)}


def all_values(function: CoverageDiversity) -> tuple[np.ndarray, np.ndarray]:
    """Return the value and the size of every subset, shape (2^n,); bit j of its number is row j."""
    n = function.n
    members = (np.arange(2**n)[:, None] >> np.arange(n)) & 1
    x = members.astype(np.float64)
    coverage = np.minimum(x @ function.rows(slice(None)), function.cap).sum(axis=1)
    groups = np.eye(len(function.rewarded))[function.group] * function.reward[:, None]
    diversity = np.sqrt(x @ groups).sum(axis=1)
    values = coverage / function.largest + function.weight * diversity / function.widest
    return values, members.sum(axis=1)


def is_monotone(values: np.ndarray) -> bool:
    """Say whether no row lowers the value of any subset; values of all subsets, (2^n,)."""
    return all((_gains(values, j) >= -ROUNDING).all() for j in range(len(values).bit_length() - 1))


def is_submodular(values: np.ndarray) -> bool:
    """Say whether no row adds more after any other row has joined, whatever the subset.

    That is enough: a larger set is reached by rows that join one at a time.
    """
    n = len(values).bit_length() - 1
    second = (_gains(_gains(values, j), i) for j in range(n) for i in range(j))
    return all((change <= ROUNDING).all() for change in second)


def _gains(values: np.ndarray, row: int) -> np.ndarray:
    """Return what a row adds to every subset without it, a table over the other rows."""
    table = values.reshape(-1, 2, 2**row)
    return (table[:, 1] - table[:, 0]).ravel()
