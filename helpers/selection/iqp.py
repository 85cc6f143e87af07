"""Budgeted selection by an integer quadratic program: LP relaxation and truncated power."""

import time
from numbers import Integral, Real

import numpy as np
from scipy.optimize import OptimizeResult

from helpers import StudyError
from helpers.checks import check_choice, check_k, check_rng
from helpers.scores import order
from helpers.selection import iqp_task
from helpers.selection.blocks import thread_count
from helpers.selection.fourier import N_FREQUENCIES
from helpers.selection.kernels import DIVERSITIES, bandwidth_of, gaussian_similarity, row_sums
from helpers.selection.lp_written import solve_lp_as_written, solve_lp_merged
from helpers.selection.power import (
    check_program,
    check_utility,
    find_shift,
    power_steps,
    reported,
    truncated_power,
)
from helpers.selection.quadratic import Matrix
from helpers.selection.rows import read

__all__ = [
    "budgeted",
    "find_shift",
    "gaussian_similarity",
    "lp_relaxation",
    "objective",
    "power_steps",
    "row_sums",
    "solve",
    "solve_lp_as_written",
    "solve_lp_merged",
    "truncated_power",
]

MEMORY = 1 << 30  # bytes
METHODS = ("auto", "exact", "fourier")


def objective(
    utility: np.ndarray, similarity: np.ndarray, selected: np.ndarray, weight: float = 0.3
) -> float:
    """Return x'Qx of a subset: its utilities plus weight times its pairs' entries, each twice.

    Args:
        utility: Shape (n,).
        similarity: Shape (n, n), symmetric; its diagonal is not used (eq. 8).
        selected: Row numbers, shape (k,).
        weight: The paper's lambda, >= 0.

    Returns:
        The value to be maximised.

    Source: `budgeted` eqs 7, 8.
    """
    inner = np.asarray(similarity)[np.ix_(selected, selected)]
    pairs = inner.sum(dtype=np.float64) - np.trace(inner, dtype=np.float64)
    return float(np.asarray(utility)[selected].sum() + weight * pairs)


def lp_relaxation(
    utility: np.ndarray, similarity: np.ndarray, k: int, weight: float = 0.3
) -> np.ndarray:
    """Solve the LP relaxation in closed form: the k largest row sums of Q.

    Args:
        utility: How much each example is worth, shape (n,), finite, >= 0.
        similarity: The paper's D, shape (n, n), symmetric, entries >= 0.
        k: Examples to keep, 1 <= k <= n.
        weight: The paper's lambda, >= 0.

    Returns:
        Row numbers, shape (k,), int64, largest row sum first; ties keep row order.

    Raises:
        ValueError: If an argument is out of the ranges above.

    Source: `budgeted` eq. 11, then rounding to the k largest.

    Note: with Q >= 0 and symmetric the best w_ij is (x_i + x_j) / 2 and w_ii = x_i, so eq. 11
    is max r'x with r = Q1: integral, and no solver is needed.
    """
    utility, similarity, sums = check_program(utility, similarity, weight)
    k = check_k(k, len(utility))
    return order(utility + weight * sums)[:k]


def solve(
    utility: np.ndarray,
    features: np.ndarray,
    k: int,
    weight: float = 0.3,
    kernel: str = "gaussian",
    bandwidth: float | str = 1.0,
    diversity: str = "kernel",
    shift: str | float | None = None,
    memory: float = MEMORY,
    start: str | np.ndarray = "lp",
    *,
    max_steps: int = 100,
    method: str = "auto",
    n_frequencies: int = N_FREQUENCIES,
    project: int | None = None,
    finish: str | None = None,
    threads: int | None = None,
    rng: int | np.random.Generator = 0,
) -> OptimizeResult:
    """Select k examples by the whole of Algorithm 1 after fine-tuning, for pools of any size.

    The LP in closed form gives the first subset, truncated power improves it. The n x n matrix
    is formed only where it fits; otherwise its sums are computed by tiles, each pair once for
    all row sums, and afterwards only for rows that enter or leave.

    Args:
        utility: How much each example is worth, shape (n,), finite, >= 0.
        features: Shape (n, d), finite; float32 and float16 are computed in float32, all else in
            float64, twice as long. May be memory-mapped and read-only.
        k: Examples to keep, 1 <= k <= n.
        weight: The paper's lambda, >= 0.
        kernel: "gaussian", the only one.
        bandwidth: Of the kernel, the paper's 1, or "median" (distance).
        diversity: "kernel" as printed, which rewards likeness, or "distance", 1 - kernel.
        shift: Added to Q's diagonal. None, the default here, iterates as Algorithm 1 is printed;
            "auto", the default of `budgeted` and of the study's method "iqp", makes Q
            semi-definite, so that no step lowers the objective (section III-C): max(0, weight -
            min u) for the kernel; for the distance a bound by row sums, valid but so large that
            the start may not move. Their answers may differ.
        memory: Bytes; the matrix is formed where twice its size fits. Without it there are a
            copy of the features and some tiles; with Fourier features only blocks of them.
        start: "lp", or row numbers of the first subset, shape (k,).
        max_steps: Products with Q at most.
        method: "exact", "fourier" (random Fourier features), or "auto": exact below a million
            rows.
        n_frequencies: Of the Fourier features, each with a cosine and a sine.
        project: p: use p random projections of the features (eq. 5); None uses them all.
        finish: "swap" goes on by swap search where the matrix is formed; None ends here.
        threads: Of the sums by tiles; None takes $OMP_NUM_THREADS, else one a core.
        rng: Seed or generator of projections and frequencies; equal seeds, equal answers.

    Returns:
        OptimizeResult with indices (k,) int64, largest entry of Qx first; objective (x'Qx) and
        fun; bound (the LP's value) and gap (relative to objective), None with Fourier features;
        iterations and nit; seconds; status: "optimal" (meets the bound), "local" (a fixed subset)
        or "feasible"; success, message, objectives (of each subset met, the start first; with
        Fourier features their estimates), settled, shift, bandwidth, method ("matrix", "blocks"
        or "fourier"), noise (spread of the Fourier error over that of the ranking, on a sample;
        None otherwise).

    Raises:
        ValueError: If an argument is out of the ranges above.

    Warns:
        UserWarning: If the kernel vanishes between all rows, the ranking is then by utility;
            or if Fourier features return mostly noise.

    Source: `budgeted` Algorithm 1; eqs 4 to 11.

    Note: the best subset met is returned, so never a worse one than the start. With Fourier
    features that is exact where the subset has up to 44,000 rows, else by their estimate.
    """
    began = time.perf_counter()
    check_choice(kernel, ("gaussian",), "kernel")
    check_choice(diversity, DIVERSITIES, "diversity")
    check_choice(method, METHODS, "method")
    check_choice(finish, (None, "swap"), "finish")
    _check_numbers(memory, max_steps, start)
    rng = check_rng(rng)
    utility, rows = check_utility(utility, weight), read(features, project, rng)
    k = check_k(k, len(utility))
    if rows.n != len(utility):
        raise StudyError(f"features and utility differ in length: {rows.n}, {len(utility)}")
    h, threads = bandwidth_of(rows, bandwidth), thread_count(threads)
    task = iqp_task.Task(utility, rows, k, weight, h, diversity, threads)
    program = iqp_task.program_of(task, method, memory, n_frequencies, rng)
    if finish == "swap" and not isinstance(program, Matrix):
        raise StudyError("finish='swap' needs the matrix: a smaller pool, more memory or 'exact'")
    if iqp_task.has_vanished(task, program):
        result = iqp_task.by_utility(task, program.name != "fourier")
    else:
        result = iqp_task.improve(task, program, start, shift, max_steps)
        if finish == "swap":
            iqp_task.swapped(task, program, result)
    result.update(method=program.name, noise=program.noise, bandwidth=h)
    return reported(result, began)


def _check_numbers(memory: float, max_steps: int, start: str | np.ndarray) -> None:
    """Raise unless memory, max_steps and start can be used."""
    if not isinstance(memory, Real) or not memory >= 0:
        raise StudyError(f"memory must be a number of bytes from 0 upwards, got {memory!r}")
    if isinstance(max_steps, bool) or not isinstance(max_steps, Integral) or max_steps < 0:
        raise StudyError(f"max_steps must be a whole number from 0 upwards, got {max_steps!r}")
    if isinstance(start, str):
        check_choice(start, ("lp",), "start as a name")


def budgeted(
    utility: np.ndarray,
    features: np.ndarray,
    k: int,
    weight: float = 0.3,
    bandwidth: float | str = 1.0,
    diversity: str = "kernel",
    shift: str | float | None = "auto",
    max_steps: int = 100,
) -> np.ndarray:
    """Select k examples by Algorithm 1 with the shift that makes it monotone: indices only.

    Args:
        utility: Entropy of each example, shape (n,), nats, >= 0.
        features: Shape (n, d).
        k: Examples to keep, 1 <= k <= n.
        weight: The paper's lambda, >= 0.
        bandwidth: Of the Gaussian kernel, the paper's 1, or "median" (distance).
        diversity: "kernel" as printed, which rewards likeness, or "distance", 1 - kernel.
        shift: As in `solve`, but "auto" where nothing is said: who wants a selection only wants
            the paper's guarantee of monotone convergence, which needs Q semi-definite; `solve`
            leaves it out, as the printed algorithm does.
        max_steps: Products with Q at most.

    Returns:
        Row numbers, shape (k,), int64, largest entry of Qx first.

    Raises:
        ValueError: If an argument is out of the ranges above.

    Warns:
        UserWarning: If the kernel vanishes between all pairs; the ranking is then by utility.

    Source: `budgeted` Algorithm 1; section III-C for the shift.
    """
    options = {"bandwidth": bandwidth, "diversity": diversity, "shift": shift}
    return solve(utility, features, k, weight, max_steps=max_steps, **options).indices
