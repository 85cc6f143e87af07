"""The semi-definite relaxation of `budgeted`'s quadratic program, with a bound that holds."""

import contextlib
import time
import warnings

import numpy as np
import scipy.linalg
from scipy.optimize import OptimizeResult

from helpers import StudyError
from helpers.checks import check_k
from helpers.scores import order
from helpers.selection.power import check_program, relative_gap

N_SDP = 300  # rows `sdp_bound` takes: SCS takes apart a matrix of that size at every iteration
EPS = float(np.finfo(np.float64).eps)


def sdp_bound(
    utility: np.ndarray,
    similarity: np.ndarray,
    k: int,
    weight: float = 0.3,
    time_limit: float = 60.0,
) -> OptimizeResult:
    """Bound the optimum of a small pool by semi-definite relaxation, and round its solution.

    Args:
        utility: As in `exact_milp`, and so are the others; n up to 300.
        similarity: Shape (n, n).
        k: Rows to keep.
        weight: The paper's lambda.
        time_limit: Seconds allowed to SCS.

    Returns:
        OptimizeResult with bound (x'Qx of no subset exceeds it, up to rounding of one
        eigenvalue), relaxed (SCS's value of the relaxation, which may err either way), x (n,)
        (the relaxation's diagonal), indices (k,) (the k largest of x, largest entry of Qx
        first), objective (their x'Qx, also fun), gap (relative), iterations and nit, seconds,
        status ("feasible": nothing is proven of the subset but the bound), message, success
        (SCS reached its tolerance; the bound holds either way).

    Raises:
        ValueError: If an argument is invalid, n > 300, cvxpy is not installed, or SCS stopped
            without multipliers.

    Source: `budgeted` section V names the relaxation as future work.

    Note: X stands for xx': semi-definite, entries >= 0, X1 = k diag(X), trace k. With SCS's
    multipliers N >= 0 of the entries and v of the equations, C = Q + N + (v1' + 1v') / 2
    - k diag(v) has x'Cx >= x'Qx for every subset, so k times C's largest eigenvalue is a bound
    however rough the multipliers are; at the optimum it is the relaxation's value.
    """
    matrix, k = program_matrix(utility, similarity, k, weight, N_SDP)
    began = time.perf_counter()
    by_sums = float(np.sort(matrix.sum(axis=1))[-k:].sum())
    found = _solve_sdp(matrix, k, time_limit)
    result = OptimizeResult(
        relaxed=found.value,
        x=np.clip(found.x, 0, 1),
        bound=min(_dual_bound(matrix, k, found.multipliers, found.prices), by_sums),
        iterations=found.iterations,
        nit=found.iterations,
        status="feasible",
        success=found.is_accurate,
        message="SCS reached its tolerance" if found.is_accurate else "SCS stopped early",
    )
    # Equal entries differ by SCS's tolerance; rounded, ties go to the lowest row.
    finish(result, matrix, order(result.x.round(5))[:k])
    result.gap = relative_gap(result.bound, result.objective)
    result.seconds = time.perf_counter() - began
    return result


def _solve_sdp(matrix: np.ndarray, k: int, time_limit: float) -> OptimizeResult:
    """Return SCS's value, x (n,), multipliers (n, n) >= 0, prices (n,), iterations, accuracy."""
    try:
        import cvxpy
        import scs  # noqa: F401  cvxpy would only say that a solver is missing
    except ModuleNotFoundError:
        raise StudyError(
            "sdp_bound needs cvxpy and scs: pip install 'data-selection-study[sdp]'"
        ) from None
    scale = float(matrix.max()) or 1.0
    pairs = cvxpy.Variable(matrix.shape, PSD=True)
    is_positive = pairs >= 0
    partners = cvxpy.sum(pairs, axis=1) == k * cvxpy.diag(pairs)
    problem = cvxpy.Problem(
        cvxpy.Maximize(cvxpy.sum(cvxpy.multiply(matrix / scale, pairs))),
        [is_positive, partners, cvxpy.trace(pairs) == k],
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an inaccurate solution is reported, and bounded safely
        with contextlib.suppress(cvxpy.SolverError):
            problem.solve(solver=cvxpy.SCS, eps=1e-6, time_limit_secs=time_limit)
    if is_positive.dual_value is None or pairs.value is None:
        raise StudyError(f"scs found no multipliers within {time_limit:g} s")
    return OptimizeResult(
        value=scale * float(problem.value),
        x=np.diagonal(pairs.value),
        multipliers=scale * np.reshape(is_positive.dual_value, matrix.shape),
        prices=scale * np.reshape(partners.dual_value, len(matrix)),
        iterations=problem.solver_stats.num_iters,
        is_accurate=problem.status == cvxpy.OPTIMAL,
    )


def _dual_bound(matrix: np.ndarray, k: int, multipliers: np.ndarray, prices: np.ndarray) -> float:
    """Return k times the largest eigenvalue of C, for the better sign of the prices."""
    lifted = matrix + np.maximum((multipliers + multipliers.T) / 2, 0)
    tops = []
    for v in (prices, -prices):  # a solver's sign of an equation's multiplier is its own affair
        shifted = lifted + (v + v[:, None]) / 2 - k * np.diag(v)
        tops.append(
            float(scipy.linalg.eigvalsh(shifted)[-1]) + len(v) * EPS * np.linalg.norm(shifted)
        )
    return k * min(tops)


def program_matrix(
    utility: np.ndarray, similarity: np.ndarray, k: int, weight: float, n_max: int
) -> tuple[np.ndarray, int]:
    """Return Q (n, n) in float64 and k, checked."""
    utility, similarity, _ = check_program(utility, similarity, weight)
    if len(utility) > n_max:
        raise StudyError(f"utility must have at most {n_max} rows here, got {len(utility)}")
    matrix = weight * similarity.astype(np.float64)
    matrix = (matrix + matrix.T) / 2
    np.fill_diagonal(matrix, utility)
    return matrix, check_k(k, len(utility))


def finish(result: OptimizeResult, matrix: np.ndarray, chosen: np.ndarray) -> None:
    """Add the subset in its order and its value to a result."""
    product = matrix[:, chosen].sum(axis=1)
    result.indices = chosen[np.argsort(-product[chosen], kind="stable")]
    result.objective = result.fun = float(product[chosen].sum())
