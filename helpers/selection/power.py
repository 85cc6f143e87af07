"""The quadratic program's checks and truncated power iterations."""

import hashlib
import time
from numbers import Real

import numpy as np
from scipy.optimize import OptimizeResult

from helpers import StudyError
from helpers.checks import check_scores, check_similarity
from helpers.scores import order
from helpers.selection.quadratic import Matrix, Quadratic

PROVEN = 1e-9  # relative distance to the bound from which a subset counts as optimal


def check_program(
    utility: np.ndarray, similarity: np.ndarray, weight: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return checked utility (n,), similarity (n, n), and its row sums less the diagonal."""
    utility = check_utility(utility, weight)
    similarity, rows = check_similarity(similarity, len(utility))
    return utility, similarity, rows - np.diagonal(similarity)


def check_utility(utility: np.ndarray, weight: float) -> np.ndarray:
    """Return utility (n,), float64, where it and weight are finite and not negative."""
    utility = check_scores(utility, finite=True)
    if utility.min() < 0:
        raise StudyError(f"utility must not be negative, got {utility.min():.4g}")
    if not isinstance(weight, Real) or not (np.isfinite(weight) and weight >= 0):
        raise StudyError(f"weight must be finite and not negative, got {weight!r}")
    return utility


def truncated_power(
    utility: np.ndarray,
    similarity: np.ndarray,
    start: np.ndarray,
    weight: float = 0.3,
    shift: str | float | None = "auto",
    max_steps: int = 100,
) -> np.ndarray:
    """Improve a subset by x <- top-k of (Q + shift I) x until it repeats.

    Args:
        utility: Shape (n,), finite, >= 0.
        similarity: Shape (n, n), symmetric, entries >= 0.
        start: Row numbers of the first subset, shape (k,), no repeats.
        weight: The paper's lambda, >= 0.
        shift: Added to the diagonal; "auto" takes one that makes Q positive semi-definite
            (see `find_shift`), None iterates as printed, without.
        max_steps: Products with Q at most.

    Returns:
        The best subset met, never worse than start, shape (k,), int64, largest entry of Qx
        first.

    Raises:
        ValueError: If an argument is out of the ranges above.

    Source: `budgeted` Algorithm 1, after Yuan & Zhang (2013).

    Note: with a valid shift no step lowers x'Qx. Without one the subsets may run in a circle,
    so the iteration ends on any subset seen before.
    """
    return power_steps(utility, similarity, start, weight, shift, max_steps).indices


def power_steps(
    utility: np.ndarray,
    similarity: np.ndarray,
    start: np.ndarray,
    weight: float = 0.3,
    shift: str | float | None = "auto",
    max_steps: int = 100,
) -> OptimizeResult:
    """Run `truncated_power` and report the way: values, steps taken, whether it settled.

    Args:
        utility: As in `truncated_power`, and so are the others.
        similarity: Shape (n, n).
        start: Shape (k,).
        weight: The paper's lambda.
        shift: "auto", a number, or None.
        max_steps: Products with Q at most.

    Returns:
        OptimizeResult with indices (k,), objective and
        fun (best x'Qx), objectives (x'Qx of each subset met, start first), bound (the value of
        the LP relaxation), gap (relative), iterations and nit (subsets after the start that
        were new), seconds, status ("optimal": meets the bound; "local": a fixed subset;
        "feasible"), message, success (status is not "feasible"), settled (a fixed subset was
        reached), shift.

    Raises:
        ValueError: If an argument is out of the ranges of `truncated_power`.
    """
    began = time.perf_counter()
    utility, similarity, sums = check_program(utility, similarity, weight)
    chosen = check_start(start, len(utility))
    shift = find_shift(utility, similarity, weight) if shift == "auto" else check_shift(shift)
    result = iterate(Matrix(utility, similarity, weight, sums), chosen, shift, max_steps)
    ranking = utility + weight * sums
    result.bound = float(ranking[top(ranking, len(chosen))].sum())
    return reported(result, began)


def iterate(program: Quadratic, start: np.ndarray, shift: float, max_steps: int) -> OptimizeResult:
    """Run the iteration on any Q that can be multiplied.

    Args:
        program: Q.
        start: Sorted row numbers, shape (k,), int64.
        shift: Added to the diagonal.
        max_steps: Steps at most.

    Returns:
        OptimizeResult with indices, fun, objectives, nit, success (a fixed subset was reached),
        message and shift; `reported` makes it whole.
    """
    chosen, k = start, len(start)
    product = program.product(chosen)
    best, values, seen = (chosen, product), [product[chosen].sum()], {_digest(chosen)}
    settled = False
    for _ in range(max_steps):
        pushed = product.copy()
        pushed[chosen] += shift
        following = top(pushed, k)
        settled = np.array_equal(following, chosen)
        if settled or _digest(following) in seen:
            break
        product, chosen = _next_product(program, product, chosen, following), following
        seen.add(_digest(chosen))
        values.append(product[chosen].sum())
        if values[-1] > max(values[:-1]):
            best = (chosen, product)
    n_steps = len(values) - 1
    return OptimizeResult(
        indices=best[0][order(best[1][best[0]])],
        fun=max(values),
        objectives=np.array(values),
        nit=n_steps,
        success=bool(settled),
        message=_ending(bool(settled), n_steps, max_steps),
        shift=shift,
    )


def _ending(settled: bool, n_steps: int, max_steps: int) -> str:
    """Say why the iteration ended."""
    if settled:
        return f"truncated power settled after {n_steps} steps"
    if n_steps == max_steps:
        return f"stopped after {max_steps} steps, the best subset met is returned"
    return "stopped on a subset met before, the best one is returned"


def reported(result: OptimizeResult, began: float) -> OptimizeResult:
    """Return a result with fun, bound, nit and success under the names that all solvers share.

    Args:
        result: Of `iterate` or alike; success says whether a fixed subset was reached.
        began: Of time.perf_counter.
    """
    value, bound, settled = float(result.fun), result.bound, result.success
    if bound is not None:  # rounding alone can lift the value above
        bound = max(bound, value)
    gap = relative_gap(bound, value)
    is_optimal = gap is not None and gap <= PROVEN
    result.update(
        objective=value,
        fun=value,
        bound=bound,
        gap=gap,
        iterations=result.nit,
        seconds=time.perf_counter() - began,
        settled=settled,
        success=settled or is_optimal,
        status="optimal" if is_optimal else "local" if settled else "feasible",
    )
    return result


def relative_gap(bound: float | None, value: float) -> float | None:
    """Return how far the bound lies above the value, relative to the value; None without one."""
    return None if bound is None else max(0.0, bound - value) / max(abs(value), 1e-12)


def _next_product(
    program: Quadratic, product: np.ndarray, chosen: np.ndarray, following: np.ndarray
) -> np.ndarray:
    """Return Qx of the following subset by the cheaper way: the rows that changed, or all."""
    entered = np.setdiff1d(following, chosen, assume_unique=True)
    left = np.setdiff1d(chosen, following, assume_unique=True)
    if program.recomputes and 2 * len(entered) > min(len(chosen), len(product) - len(chosen)):
        return program.product(following)
    return program.moved(product, entered, left)


def _digest(chosen: np.ndarray) -> bytes:
    """Return a short name of a subset; a hundred subsets of a million rows would be long."""
    return hashlib.blake2b(chosen.tobytes(), digest_size=16).digest()


def top(values: np.ndarray, k: int) -> np.ndarray:
    """Return the k rows with the largest values, sorted by row; ties keep the lowest rows."""
    least = np.partition(values, len(values) - k)[len(values) - k]
    above = np.flatnonzero(values > least)
    tied = np.flatnonzero(values == least)[: k - len(above)]
    return np.sort(np.concatenate([above, tied]))


def check_shift(shift: float | None) -> float:
    """Return a shift given as a number, >= 0, or None for 0."""
    if shift is None:
        return 0.0
    if not isinstance(shift, Real) or not (np.isfinite(shift) and shift >= 0):
        raise StudyError(f"shift must be None, 'auto' or a number from 0 upwards, got {shift!r}")
    return float(shift)


def check_start(start: np.ndarray, n: int) -> np.ndarray:
    """Return the start set sorted, shape (k,), int64."""
    start = np.asarray(start)
    if start.ndim != 1 or start.size == 0 or not np.issubdtype(start.dtype, np.integer):
        raise StudyError("start must be row numbers, shape (k,), k >= 1")
    chosen = np.unique(start).astype(np.int64)
    if len(chosen) != len(start) or chosen[0] < 0 or chosen[-1] >= n:
        raise StudyError(f"start must be different row numbers in 0..{n - 1}")
    return chosen


def find_shift(utility: np.ndarray, similarity: np.ndarray, weight: float = 0.3) -> float:
    """Return a diagonal shift that makes Q positive semi-definite, >= 0.

    Where similarity has a unit diagonal and is positive semi-definite, as every Gaussian
    kernel, Q - diag(u - weight) is too, and max(0, weight - min u) suffices. Otherwise the row
    sums bound the eigenvalues (Gershgorin): safe, but so large that a start may not move.

    Args:
        utility: Shape (n,).
        similarity: Shape (n, n), symmetric, entries >= 0.
        weight: The paper's lambda.

    Source: `budgeted` section III-C asks for "a positive scalar" without naming it.
    """
    diagonal = np.diagonal(similarity)
    if np.allclose(diagonal, 1) and _is_psd(similarity):
        return float(max(0.0, weight - np.min(utility)))
    off = np.asarray(similarity).sum(axis=1, dtype=np.float64) - diagonal
    return float(max(0.0, (weight * off - utility).max()))


def _is_psd(matrix: np.ndarray) -> bool:
    """Say whether a symmetric matrix is positive semi-definite up to rounding (Cholesky)."""
    lifted = np.array(matrix, dtype=np.float64)
    # A kernel computed in float32 misses being semi-definite by about its rounding.
    rounding = 1e-5 if np.asarray(matrix).dtype == np.float32 else 1e-10
    lifted[np.diag_indices_from(lifted)] += rounding * np.sqrt(len(lifted))
    try:
        np.linalg.cholesky(lifted)
    except np.linalg.LinAlgError:
        return False
    return True
