"""The quadratic program of `budgeted` for small pools: exact optimum and upper bounds."""

from itertools import combinations

import numpy as np
import scipy.linalg
from scipy.optimize import OptimizeResult

from helpers.checks import check_choice, check_k
from helpers.scores import order
from helpers.selection import programs
from helpers.selection.power import check_program, relative_gap
from helpers.selection.relaxation import finish, program_matrix, sdp_bound

__all__ = ["exact_milp", "partners_bound", "sdp_bound", "spectral_bound", "sums_bound"]

N_MILP = 200  # rows `exact_milp` takes: pairs as variables, and far too slow long before


def exact_milp(
    utility: np.ndarray,
    similarity: np.ndarray,
    k: int,
    weight: float = 0.3,
    solver: str = "highs",
    time_limit: float = 60.0,
) -> OptimizeResult:
    """Find the best subset of a small pool, with proof, by mixed-integer programming.

    Args:
        utility: How much each example is worth, shape (n,), finite, >= 0.
        similarity: The paper's D, shape (n, n), symmetric, entries >= 0; its diagonal is not
            used.
        k: Rows to keep, 1 <= k <= n.
        weight: The paper's lambda, >= 0.
        solver: "highs" or "cbc".
        time_limit: Seconds allowed to the solver.

    Returns:
        OptimizeResult with indices (k,) (int64, largest entry of Qx first), objective (x'Qx,
        also fun), bound, gap (relative; both None where a stopped CBC does not tell),
        iterations and nit (None: PuLP does not pass them on), seconds, seconds_build, status
        ("optimal", or "feasible" at the time limit), message, success (proven optimal).

    Raises:
        ValueError: If an argument is invalid, n > 200, or no answer was found in the time.

    Source: `budgeted` eqs 8 and 10, w_ij = x_i x_j for a pair i < j.

    Note: w_ij <= x_i and w_ij <= x_j make the program exact where eq. 10 has their sum, whose
    relaxation is the row sums and useless for a proof. Each chosen row has k - 1 partners: the
    equation that says so tightens the relaxation further.
    """
    check_choice(solver, programs.SOLVERS, "solver")
    matrix, k = program_matrix(utility, similarity, k, weight, N_MILP)
    model = programs.build(lambda: _build_milp(matrix, k))
    result = programs.solve(model, solver, time_limit)
    x = np.array([variable.value() for variable in model.variables], dtype=np.float64)
    finish(result, matrix, order(x)[:k])
    if result.success:  # the solver's own value is off by its tolerances
        result.bound = result.objective
    result.gap = relative_gap(result.bound, result.objective)
    return result


def _build_milp(matrix: np.ndarray, k: int) -> programs.Parts:
    """Write max x'Qx with one w for each pair, for Q of shape (n, n)."""
    import pulp

    n = len(matrix)
    problem = pulp.LpProblem("exact", pulp.LpMaximize)
    x = [pulp.LpVariable(f"x_{i}", cat="Binary") for i in range(n)]
    w = {pair: pulp.LpVariable("w_{}_{}".format(*pair), 0, 1) for pair in combinations(range(n), 2)}
    terms = [(x[i], float(matrix[i, i])) for i in range(n)]
    terms += [(w[pair], 2 * float(matrix[pair])) for pair in w]
    problem += pulp.LpAffineExpression(terms)
    problem += pulp.lpSum(x) == k, "budget"
    for (i, j), both in w.items():
        problem += both <= x[i]
        problem += both <= x[j]
    for i in range(n):
        partners = [w[min(i, j), max(i, j)] for j in range(n) if j != i]
        problem += pulp.lpSum(partners) == (k - 1) * x[i], f"partners_{i}"
    return problem, x


def sums_bound(utility: np.ndarray, similarity: np.ndarray, k: int, weight: float = 0.3) -> float:
    """Return the value of the linear relaxation, the k largest row sums of Q: O(n^2).

    Args:
        utility: As in `exact_milp`, and so are the others; n may be any.
        similarity: Shape (n, n).
        k: Rows to keep.
        weight: The paper's lambda.

    Returns:
        A number that x'Qx of no subset exceeds, up to rounding.

    Raises:
        ValueError: If an argument is invalid.

    Source: `budgeted` eq. 11.
    """
    utility, _, sums = check_program(utility, similarity, weight)
    return _largest(utility + weight * sums, check_k(k, len(utility)))


def partners_bound(
    utility: np.ndarray, similarity: np.ndarray, k: int, weight: float = 0.3
) -> float:
    """Return the k largest sums of a row's own entry and its k - 1 largest partners: O(n^2).

    Args:
        utility: As in `exact_milp`, and so are the others; n may be any.
        similarity: Shape (n, n).
        k: Rows to keep.
        weight: The paper's lambda.

    Returns:
        A number that x'Qx of no subset exceeds, up to rounding; never above `sums_bound`.

    Raises:
        ValueError: If an argument is invalid.

    Source: Gilmore (1962) and Lawler (1963), for quadratic assignment.
    """
    utility, similarity, _ = check_program(utility, similarity, weight)
    k = check_k(k, len(utility))
    best = np.zeros(len(utility))
    for i, row in enumerate(similarity if k > 1 else ()):
        others = np.delete(row, i)
        best[i] = np.partition(others, len(others) - k + 1)[len(others) - k + 1 :].sum()
    return _largest(utility + weight * best, k)


def spectral_bound(
    utility: np.ndarray, similarity: np.ndarray, k: int, weight: float = 0.3
) -> float:
    """Return a bound from one eigenvalue, tight where the entries are nearly equal: O(n^3).

    Args:
        utility: As in `exact_milp`, and so are the others; n up to a few thousand.
        similarity: Shape (n, n).
        k: Rows to keep.
        weight: The paper's lambda.

    Returns:
        A number that x'Qx of no subset exceeds, up to rounding.

    Raises:
        ValueError: If an argument is invalid.

    Source: x = (k / n) 1 + y with y orthogonal to 1 and |y|^2 = k (1 - k / n). The part linear
    in x is at most its k largest entries, the part quadratic in y at most |y|^2 times the
    largest eigenvalue of the similarity, centred on both sides.
    """
    utility, similarity, sums = check_program(utility, similarity, weight)
    n, share = len(utility), check_k(k, len(utility)) / len(utility)
    centred = np.array(similarity, dtype=np.float64)
    np.fill_diagonal(centred, 0)
    means = sums / n
    centred += means.mean() - means - means[:, None]
    centred -= np.abs(centred).max()  # 1's own eigenvalue, now 0, must not be the largest
    last = [n - 1, n - 1]
    top = scipy.linalg.eigh(centred, eigvals_only=True, subset_by_index=last)[0] if n > 1 else 0
    linear = _largest(utility + 2 * weight * share * sums, k)
    return float(linear + weight * (top * k * (1 - share) - share**2 * sums.sum()))


def _largest(values: np.ndarray, k: int) -> float:
    """Return the sum of the k largest values."""
    return float(np.partition(values, len(values) - k)[len(values) - k :].sum())
