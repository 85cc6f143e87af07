"""Budgeted selection by an integer quadratic program: LP relaxation and truncated power."""

import warnings

import numpy as np
from scipy.optimize import OptimizeResult

from helpers import StudyError
from helpers.checks import check_choice, check_features, check_k, check_scores
from helpers.scores import order
from helpers.selection import programs
from helpers.selection.kernels import gaussian_similarity, row_sums
from helpers.selection.power import check_program, find_shift, power_steps, truncated_power

__all__ = [
    "budgeted",
    "find_shift",
    "gaussian_similarity",
    "lp_relaxation",
    "objective",
    "power_steps",
    "row_sums",
    "solve_lp_as_written",
    "truncated_power",
]

VANISHED = 1e-6  # a kernel whose off-diagonal rows sum to less than this changes no ranking


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
    pairs = inner.sum(dtype=np.float64) - np.trace(inner)
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
    """Select k examples by the whole of Algorithm 1 after fine-tuning.

    Args:
        utility: Entropy of each example, shape (n,), nats, >= 0.
        features: Shape (n, d).
        k: Examples to keep, 1 <= k <= n.
        weight: The paper's lambda, >= 0.
        bandwidth: Of the Gaussian kernel, the paper's 1, or "median" (distance).
        diversity: "kernel" as printed, which rewards likeness, or "distance", 1 - kernel.
        shift: As in `truncated_power`.
        max_steps: Products with Q at most.

    Returns:
        Row numbers, shape (k,), int64, largest entry of Qx first.

    Raises:
        ValueError: If an argument is out of the ranges above.

    Warns:
        UserWarning: If the kernel vanishes between all pairs; the ranking is then by utility.

    Source: `budgeted` Algorithm 1.
    """
    utility, features = check_scores(utility, finite=True), check_features(features)
    k = check_k(k, len(utility))
    if len(features) != len(utility):
        raise StudyError(f"features and utility differ in length: {len(features)}, {len(utility)}")
    similarity = gaussian_similarity(features, bandwidth, diversity)
    if _has_vanished(similarity, diversity):
        warnings.warn(
            f"the Gaussian kernel vanishes between all rows at bandwidth {bandwidth}; ranking by "
            "utility alone (bandwidth='median' follows the data)",
            stacklevel=2,
        )
        return order(utility)[:k]
    start = lp_relaxation(utility, similarity, k, weight)
    if shift == "auto" and diversity == "kernel":  # known to be semi-definite: no factorisation
        shift = max(0.0, weight - float(utility.min()))
    return truncated_power(utility, similarity, start, weight, shift, max_steps)


def _has_vanished(similarity: np.ndarray, diversity: str) -> bool:
    """Say whether every off-diagonal entry of the kernel is as good as zero."""
    off = similarity.sum(axis=1, dtype=np.float64) - np.diagonal(similarity)
    kernel = off if diversity == "kernel" else len(similarity) - 1 - off
    return len(similarity) > 1 and bool(kernel.max() < VANISHED)


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
        OptimizeResult with selected (k,) (largest x first, ties keep row order), x (n,), fun,
        status, success, message, bound, gap, seconds, seconds_build.

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
    result.x = np.array([x.value() for x in model.variables], dtype=np.float64)
    result.selected = order(result.x)[:k]
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
