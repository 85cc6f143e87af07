"""GEDA's problem (P) as the paper prints it: one 0/1 variable a point, by branch and cut."""

import numpy as np
from scipy.optimize import OptimizeResult

from helpers.checks import check_k, check_scores
from helpers.selection import programs, quadrature


def solve_milp_as_written(
    norms: np.ndarray,
    k: int,
    n_nodes: int = 5,
    solver: str = "highs",
    time_limit: float = 60.0,
) -> OptimizeResult:
    """Solve problem (P) literally, one 0/1 variable a point, by branch and cut.

    Args:
        norms: Gradient norms of one class, shape (n,), finite.
        k: Points to keep, 1 <= k <= n.
        n_nodes: The paper's N.
        solver: "highs" or "cbc".
        time_limit: Seconds allowed to the solver.

    Returns:
        OptimizeResult with indices (k,), objective (that of `objective`), sum_z (that of (P)),
        status ("optimal" where the solver proved it, else "feasible"), success, message, bound
        (proven by the solver, in units of the objective; None where it tells none), gap
        (relative, or None), fun (the objective), iterations and nit (None, PuLP reads none),
        claimed (what PuLP's LpStatus calls the run: "Optimal" also where the time was up),
        seconds, seconds_build.

    Raises:
        ValueError: If the input is invalid or no subset was found in the time allowed.

    Source: `geda` section 4.1, problem (P).
    """
    import pulp

    norms = check_scores(norms, finite=True)
    k = check_k(k, len(norms))
    n_nodes = quadrature.check_rule(n_nodes, "trapezoid", "equal", "step")
    ends = np.array([norms.min(), norms.max()])
    inner, weights = quadrature.nodes_and_weights(ends, n_nodes)
    is_below = norms <= inner[:, None]
    model = programs.build(lambda: _build_milp(is_below, k))
    result = programs.solve(model, solver, time_limit)
    values = np.array([delta.value() for delta in model.variables])
    result.indices = np.flatnonzero(values > 0.5)
    result.sum_z = result.fun
    result.claimed = pulp.LpStatus[model.problem.status]
    # The solver's value and bound are of the sum over nodes, without its weight (M - m) / N.
    result.bound = None if result.bound is None else result.bound * float(weights[0])
    result.objective = result.fun = quadrature.objective(norms, result.indices, n_nodes)
    return result


def _build_milp(is_below: np.ndarray, k: int) -> programs.Parts:
    """Write (P) in PuLP; is_below has shape (N - 1, n)."""
    import pulp

    n = is_below.shape[1]
    problem = pulp.LpProblem("geda", pulp.LpMinimize)
    delta = [pulp.LpVariable(f"delta_{i}", cat="Binary") for i in range(n)]
    z = [pulp.LpVariable(f"z_{j}") for j in range(len(is_below))]
    problem += pulp.lpSum(z)
    for j, row in enumerate(is_below):
        share = pulp.LpAffineExpression([(delta[i], 1 / k) for i in np.flatnonzero(row)])
        target = float(row.mean())
        problem += target - share <= z[j], f"above_{j}"
        problem += share - target <= z[j], f"below_{j}"
    problem += pulp.lpSum(delta) == k, "budget"
    return problem, delta
