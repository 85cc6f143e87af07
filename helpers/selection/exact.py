"""The programs of `budgeted` and `geda` as printed, the exact optimum, and bounds on it.

For small pools: every program here needs the n x n matrix or a variable for each pair or point.
PuLP writes the programs; HiGHS, CBC or SCS solve them.
"""

import contextlib
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from scipy.optimize import OptimizeResult

from helpers import StudyError
from helpers.checks import check_choice, check_k, check_scores
from helpers.scores import order
from helpers.selection import geda
from helpers.selection.iqp import check_program, relative_gap

SOLVERS = ("highs", "cbc")
N_MILP = 200  # rows `exact_milp` takes: pairs as variables, and far too slow long before
N_SDP = 300  # rows `sdp_bound` takes: SCS takes apart a matrix of that size at every iteration
Parts = tuple[Any, list[Any]]  # a pulp.LpProblem and the variables to read out


@dataclass(frozen=True)
class Model:
    """A program that is written but not solved."""

    problem: Any  # pulp.LpProblem
    variables: list[Any]  # those to read out, of pulp.LpVariable
    seconds: float  # spent on writing it

    @property
    def values(self) -> np.ndarray:
        """The variables' values after `solve`, float64."""
        return np.array([variable.value() for variable in self.variables], dtype=np.float64)


def build(write: Callable[[], Parts]) -> Model:
    """Call write() and keep its program with the seconds it took."""
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of names that PuLP 4 will move
        problem, variables = write()
    return Model(problem, variables, time.perf_counter() - start)


def solve(model: Model, solver: str = "highs", time_limit: float = 60.0) -> OptimizeResult:
    """Solve a program by HiGHS or CBC; the variables of the model then hold the answer.

    Args:
        model: What `build` returned.
        solver: "highs" (in process) or "cbc" (a program that PuLP brings along).
        time_limit: Seconds allowed to the solver; StudyError if no answer is found in them.

    Returns:
        OptimizeResult with objective (the program's value), bound and gap (relative; both None
        where the solver does not tell), iterations (None: PuLP does not pass them on), seconds,
        seconds_build, status ("optimal" or "feasible"), message, success (proven optimal). Callers
        add `indices` from the variables.
    """
    import pulp

    check_choice(solver, SOLVERS, "solver")
    problem = model.problem
    make = {"highs": pulp.HiGHS, "cbc": pulp.PULP_CBC_CMD}[solver]
    start = time.perf_counter()
    # CBC is handed files, which an interrupted PuLP would leave behind
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore", DeprecationWarning)
        own = make(msg=False, timeLimit=time_limit, gapRel=0.0)
        own.tmpDir = folder
        problem.solve(own)
    seconds = time.perf_counter() - start
    # pulp.LpStatus says "Optimal" on a time-out; sol_status alone can be trusted, and calls a
    # linear program that was stopped early feasible whatever its values are.
    is_optimal = problem.sol_status == pulp.LpSolutionOptimal
    if not is_optimal:
        is_known = all(variable.value() is not None for variable in problem.variables())
        is_feasible = problem.sol_status == pulp.LpSolutionIntegerFeasible
        if not (is_feasible and is_known and problem.valid(1e-6)):
            raise StudyError(f"{solver} found no answer within {time_limit:g} s")
    value = float(pulp.value(problem.objective))
    bound = value if is_optimal else None
    if not is_optimal and solver == "highs" and problem.isMIP():
        # PuLP hands HiGHS every program as a minimisation; sense is -1 where it maximises.
        bound = float(problem.sense * problem.solverModel.getInfo().mip_dual_bound)
    return OptimizeResult(
        objective=value,
        iterations=None,
        success=is_optimal,
        status="optimal" if is_optimal else "feasible",
        message="proven optimal" if is_optimal else f"stopped after {time_limit:g} s",
        bound=bound,
        gap=None if bound is None else abs(value - bound) / max(abs(value), 1e-12),
        seconds=seconds,
        seconds_build=model.seconds,
    )


def solve_lp_as_written(
    utility: np.ndarray,
    similarity: np.ndarray,
    k: int,
    weight: float = 0.3,
    solver: str = "highs",
) -> OptimizeResult:
    """Solve `budgeted`'s LP literally, with a variable and a constraint for each of n^2 pairs.

    Args as `exact_milp` and `solve`, for n up to a few hundred. Returns as `solve`, with indices
    (k,), largest x first, ties in row order, and x (n,). The objective is the LP's value, which
    x'Qx of the indices does not exceed.

    Source: `budgeted` eq. 11.
    """
    import pulp

    matrix, k = _program_matrix(utility, similarity, k, weight)
    n = len(matrix)

    def write() -> Parts:
        problem = pulp.LpProblem("budgeted", pulp.LpMaximize)
        x = [pulp.LpVariable(f"x_{i}", 0, 1) for i in range(n)]
        pairs = [(i, j) for i in range(n) for j in range(n)]
        w = {(i, j): pulp.LpVariable(f"w_{i}_{j}", 0, 1) for i, j in pairs}
        problem += pulp.LpAffineExpression([(w[pair], float(matrix[pair])) for pair in pairs])
        for i, j in pairs:
            terms = [(x[i], -1), (x[j], -1)] if i != j else [(x[i], -2)]
            left = pulp.LpAffineExpression([(w[i, j], 2), *terms])
            problem += pulp.LpConstraint(left, pulp.LpConstraintLE, None, 0)
        problem += pulp.lpSum(x) == k, "budget"
        return problem, x

    model = build(write)
    result = solve(model, solver)
    result.update(x=model.values, indices=order(model.values)[:k])
    return result


def exact_milp(
    utility: np.ndarray,
    similarity: np.ndarray,
    k: int,
    weight: float = 0.3,
    time_limit: float = 60.0,
) -> OptimizeResult:
    """Find the best subset of a small pool, with proof, by mixed-integer programming.

    Args:
        utility: How much each example is worth, shape (n,), finite, >= 0; n up to 200.
        similarity: The paper's D, shape (n, n), symmetric, entries >= 0; its diagonal is not
            used.
        k: Rows to keep.
        weight: The paper's lambda, >= 0.
        time_limit: Seconds allowed to HiGHS.

    Returns:
        As `solve`, with indices (k,), largest entry of Qx first; the objective is x'Qx.

    Source: `budgeted` eqs 8 and 10, w_ij = x_i x_j for a pair i < j.

    Note: w_ij <= x_i and w_ij <= x_j make the program exact where eq. 10 has their sum, whose
    relaxation is the row sums and useless for a proof. Each chosen row has k - 1 partners: the
    equation that says so tightens the relaxation further.
    """
    import pulp

    matrix, k = _program_matrix(utility, similarity, k, weight, N_MILP)
    n = len(matrix)

    def write() -> Parts:
        problem = pulp.LpProblem("exact", pulp.LpMaximize)
        x = [pulp.LpVariable(f"x_{i}", cat="Binary") for i in range(n)]
        w = {(i, j): pulp.LpVariable(f"w_{i}_{j}", 0, 1) for i, j in combinations(range(n), 2)}
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

    model = build(write)
    result = solve(model, time_limit=time_limit)
    _add_subset(result, matrix, order(model.values)[:k])
    if result.success:  # the solver's own value is off by its tolerances
        result.bound = result.objective
    result.gap = relative_gap(result.bound, result.objective)
    return result


def solve_milp_as_written(
    norms: np.ndarray,
    k: int,
    n_nodes: int = 5,
    solver: str = "highs",
    time_limit: float = 60.0,
) -> OptimizeResult:
    """Solve `geda`'s problem (P) literally, one 0/1 variable a point, by branch and cut.

    Args:
        norms: Gradient norms of one class, shape (n,), finite.
        k: Points to keep.
        n_nodes: The paper's N.
        solver: As in `solve`, and so is time_limit.
        time_limit: Seconds.

    Returns:
        As `solve`, with indices (k,), objective (that of `geda.objective`, as is the bound), sum_z
        (the value of (P)), claimed (what PuLP's LpStatus calls the run: "Optimal" also where the
        time was up).

    Source: `geda` section 4.1, problem (P).
    """
    import pulp

    norms = check_scores(norms, finite=True)
    k = check_k(k, len(norms))
    ends = np.array([norms.min(), norms.max()])
    inner, weights = geda.nodes_and_weights(ends, geda.check_rule(n_nodes))
    is_below = norms <= inner[:, None]

    def write() -> Parts:
        problem = pulp.LpProblem("geda", pulp.LpMinimize)
        delta = [pulp.LpVariable(f"delta_{i}", cat="Binary") for i in range(len(norms))]
        z = [pulp.LpVariable(f"z_{j}") for j in range(len(inner))]
        problem += pulp.lpSum(z)
        for j, row in enumerate(is_below):
            share = pulp.LpAffineExpression([(delta[i], 1 / k) for i in np.flatnonzero(row)])
            target = float(row.mean())
            problem += target - share <= z[j], f"above_{j}"
            problem += share - target <= z[j], f"below_{j}"
        problem += pulp.lpSum(delta) == k, "budget"
        return problem, delta

    model = build(write)
    result = solve(model, solver, time_limit)
    result.update(indices=np.flatnonzero(model.values > 0.5), sum_z=result.objective)
    result.claimed = pulp.LpStatus[model.problem.status]
    # The solver's value and bound are of the sum over nodes, without its weight (M - m) / N.
    result.bound = None if result.bound is None else result.bound * float(weights[0])
    result.objective = geda.objective(norms, result.indices, n_nodes)
    return result


def sums_bound(utility: np.ndarray, similarity: np.ndarray, k: int, weight: float = 0.3) -> float:
    """Return the value of the linear relaxation, the k largest row sums of Q: O(n^2).

    Args as `exact_milp`, for any n; x'Qx of no subset exceeds the bound, up to rounding.

    Source: `budgeted` eq. 11.
    """
    utility, _, sums = check_program(utility, similarity, weight)
    return _largest(utility + weight * sums, check_k(k, len(utility)))


def partners_bound(
    utility: np.ndarray, similarity: np.ndarray, k: int, weight: float = 0.3
) -> float:
    """Return the k largest sums of a row's own entry and its k - 1 largest partners: O(n^2).

    As `sums_bound`, and never above it.

    Source: Gilmore (1962) and Lawler (1963), for quadratic assignment.
    """
    utility, similarity, _ = check_program(utility, similarity, weight)
    k = check_k(k, len(utility))
    best = [_largest(np.delete(row, i), k - 1) for i, row in enumerate(similarity)]
    return _largest(utility + weight * np.array(best), k)


def spectral_bound(
    utility: np.ndarray, similarity: np.ndarray, k: int, weight: float = 0.3
) -> float:
    """Return a bound from one eigenvalue, tight where the entries are nearly equal: O(n^3).

    As `sums_bound`, for n up to a few thousand.

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
    greatest = np.linalg.eigvalsh(centred)[-1]  # LAPACK's search for one value alone may fail
    linear = _largest(utility + 2 * weight * share * sums, k)
    return float(linear + weight * (greatest * k * (1 - share) - share**2 * sums.sum()))


def _largest(values: np.ndarray, k: int) -> float:
    return float(np.partition(values, len(values) - k)[len(values) - k :].sum()) if k else 0.0


def sdp_bound(
    utility: np.ndarray,
    similarity: np.ndarray,
    k: int,
    weight: float = 0.3,
    time_limit: float = 60.0,
) -> OptimizeResult:
    """Bound the optimum of a small pool by semi-definite relaxation, and round its solution.

    Args as `exact_milp`, for n up to 300, by SCS; cvxpy must be installed.

    Returns:
        OptimizeResult with bound (x'Qx of no subset exceeds it, up to rounding of one
        eigenvalue), relaxed (SCS's value of the relaxation, which may err either way), x (n,)
        (the relaxation's diagonal), indices (k,) (the k largest of x, largest entry of Qx
        first), objective (their x'Qx), gap (relative), iterations, seconds, status
        ("feasible": nothing is proven of the subset but the bound), message, success (SCS
        reached its tolerance; the bound holds either way).

    Source: `budgeted` section V names the relaxation as future work.

    Note: X stands for xx': semi-definite, entries >= 0, X1 = k diag(X), trace k. With SCS's
    multipliers N >= 0 of the entries and v of the equations, C = Q + N + (v1' + 1v') / 2
    - k diag(v) has x'Cx >= x'Qx for every subset, so k times C's largest eigenvalue is a bound
    however rough the multipliers are; at the optimum it is the relaxation's value.
    """
    matrix, k = _program_matrix(utility, similarity, k, weight, N_SDP)
    began = time.perf_counter()
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
    with warnings.catch_warnings(), contextlib.suppress(cvxpy.SolverError):
        warnings.simplefilter("ignore")  # an inaccurate solution is reported, and bounded safely
        problem.solve(solver=cvxpy.SCS, eps=1e-6, time_limit_secs=time_limit)
    if is_positive.dual_value is None or pairs.value is None:
        raise StudyError(f"scs found no multipliers within {time_limit:g} s")
    multipliers = scale * np.reshape(is_positive.dual_value, matrix.shape)
    prices = scale * np.reshape(partners.dual_value, len(matrix))
    by_sums = float(np.sort(matrix.sum(axis=1))[-k:].sum())
    is_accurate, steps = problem.status == cvxpy.OPTIMAL, problem.solver_stats.num_iters
    result = OptimizeResult(
        relaxed=scale * float(problem.value),
        x=np.clip(np.diagonal(pairs.value), 0, 1),
        bound=min(_dual_bound(matrix, k, multipliers, prices), by_sums),
        message="SCS reached its tolerance" if is_accurate else "SCS stopped early",
    )
    result.update(iterations=steps, status="feasible", success=is_accurate)
    # Equal entries differ by SCS's tolerance; rounded, ties go to the lowest row.
    _add_subset(result, matrix, order(result.x.round(5))[:k])
    result.gap = relative_gap(result.bound, result.objective)
    result.seconds = time.perf_counter() - began
    return result


def _dual_bound(matrix: np.ndarray, k: int, multipliers: np.ndarray, prices: np.ndarray) -> float:
    """Return k times the largest eigenvalue of C, for the better sign of the prices."""
    lifted = matrix + np.maximum((multipliers + multipliers.T) / 2, 0)
    tops = []
    for v in (prices, -prices):  # solvers differ in the sign of an equation's multiplier
        shifted = lifted + (v + v[:, None]) / 2 - k * np.diag(v)
        rounding = len(v) * np.finfo(np.float64).eps * np.linalg.norm(shifted)
        tops.append(float(np.linalg.eigvalsh(shifted)[-1]) + rounding)
    return k * min(tops)


def _program_matrix(
    utility: np.ndarray, similarity: np.ndarray, k: int, weight: float, n_max: int | None = None
) -> tuple[np.ndarray, int]:
    """Return Q (n, n) in float64 and k, checked."""
    utility, similarity, _ = check_program(utility, similarity, weight)
    if n_max is not None and len(utility) > n_max:
        raise StudyError(f"utility must have at most {n_max} rows here, got {len(utility)}")
    matrix = weight * similarity.astype(np.float64)
    matrix = (matrix + matrix.T) / 2
    np.fill_diagonal(matrix, utility)
    return matrix, check_k(k, len(utility))


def _add_subset(result: OptimizeResult, matrix: np.ndarray, chosen: np.ndarray) -> None:
    product = matrix[:, chosen].sum(axis=1)
    result.indices = chosen[np.argsort(-product[chosen], kind="stable")]
    result.objective = float(product[chosen].sum())
