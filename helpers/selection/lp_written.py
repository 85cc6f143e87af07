"""The LP of `budgeted` eq. 11 given to solvers: as written, and with equal variables merged."""

import time
from typing import Any

import numpy as np
from scipy.optimize import OptimizeResult

from helpers import StudyError
from helpers.checks import check_choice, check_k
from helpers.scores import order
from helpers.selection import programs
from helpers.selection.power import check_program


def solve_lp_as_written(
    utility: np.ndarray,
    similarity: np.ndarray,
    k: int,
    weight: float = 0.3,
    solver: str = "highs",
    time_limit: float = 60.0,
) -> OptimizeResult:
    """Solve eq. 11 literally, with a variable and a constraint for each of the n^2 pairs.

    Args:
        utility: Shape (n,), finite, >= 0; n up to a few hundred.
        similarity: Shape (n, n), symmetric, entries >= 0.
        k: Examples to keep, 1 <= k <= n.
        weight: The paper's lambda, >= 0.
        solver: "highs" or "cbc".
        time_limit: Seconds allowed to the solver.

    Returns:
        OptimizeResult with indices (k,) (int64, largest x first, ties keep row
        order), x (n,), objective and fun (the LP's value, which
        x'Qx of the indices does not exceed), bound, gap, iterations and nit (None: not passed
        on), seconds, seconds_build, status ("optimal"), message, success.

    Raises:
        ValueError: If an argument is invalid or no answer was found in the time allowed.

    Source: `budgeted` eq. 11.
    """
    check_choice(solver, programs.SOLVERS, "solver")
    utility, similarity, _ = check_program(utility, similarity, weight)
    k = check_k(k, len(utility))
    matrix = weight * similarity.astype(np.float64)
    np.fill_diagonal(matrix, utility)
    model = programs.build(lambda: _build_lp(matrix, k))
    result = programs.solve(model, solver, time_limit)
    return _rounded(result, np.array([x.value() for x in model.variables], dtype=np.float64), k)


def _rounded(result: OptimizeResult, x: np.ndarray, k: int) -> OptimizeResult:
    """Add x (n,) and its k largest entries to a result."""
    indices = order(x)[:k]
    result.update(x=x, indices=indices)
    return result


def _build_lp(matrix: np.ndarray, k: int) -> programs.Parts:
    """Write eq. 11 in PuLP for Q of shape (n, n)."""
    import pulp

    n = len(matrix)
    problem = pulp.LpProblem("budgeted", pulp.LpMaximize)
    x = [pulp.LpVariable(f"x_{i}", 0, 1) for i in range(n)]
    pairs = [(i, j) for i in range(n) for j in range(n)]
    w = {(i, j): pulp.LpVariable(f"w_{i}_{j}", 0, 1) for i, j in pairs}
    problem += pulp.LpAffineExpression([(w[pair], float(matrix[pair])) for pair in pairs])
    for i, j in pairs:
        terms = [(w[i, j], 2), (x[i], -1), (x[j], -1)] if i != j else [(w[i, i], 2), (x[i], -2)]
        problem += pulp.LpConstraint(pulp.LpAffineExpression(terms), pulp.LpConstraintLE, None, 0)
    problem += pulp.lpSum(x) == k, "budget"
    return problem, x


def solve_lp_merged(
    utility: np.ndarray,
    similarity: np.ndarray,
    k: int,
    weight: float = 0.3,
    time_limit: float = 60.0,
) -> OptimizeResult:
    """Solve eq. 11 by HiGHS with one w for each pair i < j, written as sparse arrays.

    Args:
        utility: Shape (n,), finite, >= 0; n up to a few thousand: n^2 / 2 variables.
        similarity: Shape (n, n), symmetric, entries >= 0.
        k: Examples to keep, 1 <= k <= n.
        weight: The paper's lambda, >= 0.
        time_limit: Seconds allowed to the solver.

    Returns:
        As `solve_lp_as_written`.

    Raises:
        ValueError: If an argument is invalid or no answer was found in the time allowed.

    Source: `budgeted` eq. 11.

    Note: the same LP with symmetric variables merged. w_ij and w_ji meet equal constraints and
    objective entries, so they become one variable of twice the entry; w_ii <= x_i costs nothing
    to meet with equality. Half the size, the same value; PuLP would take a minute to write it.
    """
    from scipy.optimize import Bounds, milp

    utility, similarity, _ = check_program(utility, similarity, weight)
    k = check_k(k, len(utility))
    began = time.perf_counter()
    costs, constraints = _sparse_lp(utility, similarity, k, weight)
    written = time.perf_counter()
    limit = {"time_limit": time_limit}
    answer = milp(-costs, constraints=constraints, bounds=Bounds(0, 1), options=limit)
    seconds = time.perf_counter() - written
    if answer.x is None or answer.status != 0:  # stopped early, an LP holds no answer yet
        raise StudyError(f"highs found no answer within {time_limit:g} s")
    value = -float(answer.fun)
    result = OptimizeResult(
        objective=value,
        fun=value,
        bound=value,
        gap=0.0,
        iterations=None,
        nit=None,
        success=True,
        status="optimal",
        message="proven optimal",
        seconds=seconds,
        seconds_build=written - began,
    )
    return _rounded(result, answer.x[: len(utility)], k)


def _sparse_lp(
    utility: np.ndarray, similarity: np.ndarray, k: int, weight: float
) -> tuple[np.ndarray, list[Any]]:
    """Return the gains of x and of w_ij, i < j, to be maximised, and the constraints."""
    from scipy.optimize import LinearConstraint
    from scipy.sparse import csr_array

    n = len(utility)
    i, j = np.triu_indices(n, 1)
    m = len(i)
    columns = np.stack([i, j, n + np.arange(m)], axis=1).astype(np.int32)
    entries = np.tile([-1.0, -1.0, 2.0], m)
    starts = np.arange(0, 3 * m + 1, 3)
    pairs = csr_array((entries, columns.ravel(), starts), shape=(m, n + m))
    budget = csr_array((np.ones(n), np.arange(n), [0, n]), shape=(1, n + m))
    constraints = [LinearConstraint(budget, k, k)]
    if m:
        constraints.append(LinearConstraint(pairs, -np.inf, 0))
    return np.concatenate([utility, 2 * weight * similarity[i, j]]), constraints
