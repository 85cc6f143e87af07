"""GEDA: a subset whose gradient norms are distributed as those of the whole class."""

from numbers import Integral

import numpy as np
from scipy.optimize import OptimizeResult

from helpers import StudyError
from helpers.checks import check_choice, check_k, check_scores
from helpers.selection import programs
from helpers.selection.quotas import allocate, interleave

WITHIN = ("spread", "random", "first")


def geda(
    norms: np.ndarray,
    k: int,
    n_nodes: int = 5,
    within: str = "spread",
    rng: np.random.Generator | None = None,
) -> np.ndarray:
    """Pick k points whose distribution of norms is closest to that of all, in closed form.

    Args:
        norms: Gradient norms of one class at epoch 0, shape (n,), finite.
        k: Points to keep, 1 <= k <= n.
        n_nodes: The paper's N: equal-width intervals of the trapezoid rule, >= 2.
        within: Which points of an interval: "spread" evenly by rank, "random", or the "first"
            by row; the program leaves this open.
        rng: Needed for within="random" only.

    Returns:
        Row numbers, shape (k,), int64, the intervals interleaved.

    Raises:
        ValueError: If norms, k, n_nodes or within are invalid, or rng is missing.

    Source: `geda` section 4.1, problem (P).

    Note: a point enters (P) only through the interval of its norm. With C_m points at or below
    node m, k * C_m / n rounded to nearest makes every term least and never asks an interval
    for more points than it holds: no solver is needed.
    """
    norms = check_scores(norms, finite=True)
    k = check_k(k, len(norms))
    check_choice(within, WITHIN, "within")
    if within == "random" and rng is None:
        raise StudyError("within='random' needs rng, a numpy.random.Generator")
    below = _counts_below(norms, n_nodes)
    n = len(norms)
    # Integers: in floats k * C / n breaks exact halves the wrong way (n = 22, k = 11, C = 15).
    chosen_below = (2 * k * below + n) // (2 * n)
    shares = np.diff(np.concatenate([[0], chosen_below, [k]]))
    ranked = np.argsort(norms, kind="stable")
    bins = np.split(ranked, below)
    return interleave(
        [_take(rows, int(m), within, rng) for rows, m in zip(bins, shares, strict=True)]
    )


def _nodes(norms: np.ndarray, n_nodes: int) -> np.ndarray:
    """Return the interior nodes m + j (M - m) / N, shape (N - 1,)."""
    if not isinstance(n_nodes, Integral) or n_nodes < 2:
        raise StudyError(f"n_nodes must be a whole number from 2 upwards, got {n_nodes!r}")
    return np.linspace(norms.min(), norms.max(), int(n_nodes) + 1)[1:-1]


def _counts_below(norms: np.ndarray, n_nodes: int) -> np.ndarray:
    """Return how many norms lie at or below each interior node, shape (N - 1,), int64."""
    return np.searchsorted(np.sort(norms), _nodes(norms, n_nodes), side="right").astype(np.int64)


def _take(rows: np.ndarray, m: int, within: str, rng: np.random.Generator | None) -> np.ndarray:
    """Return m of the rows, which are sorted by norm."""
    if within == "random":
        return rng.permutation(rows)[:m]
    if within == "first":
        return np.sort(rows)[:m]
    return rows[_even_ranks(len(rows), m)]


def _even_ranks(n: int, k: int) -> np.ndarray:
    """Return the ranks floor((j + 1/2) n / k), j = 0..k-1, in integers."""
    return (2 * np.arange(k, dtype=np.int64) + 1) * n // max(2 * k, 1)


def evenly_spaced(norms: np.ndarray, k: int) -> np.ndarray:
    """Keep every (n/k)-th point of the ranking by norm.

    Args:
        norms: Gradient norms of one class, shape (n,).
        k: Points to keep, 1 <= k <= n.

    Returns:
        Row numbers by rising norm, shape (k,), int64.

    Raises:
        ValueError: If norms or k are invalid.

    Source: `geda` section 5.4.

    Note: the footnote's modulo rule drops the same fifth of the data at 60, 40 and 20 %; these
    ranks, floor((j + 1/2) n / k), are evenly spaced at every k.
    """
    norms = check_scores(norms)
    k = check_k(k, len(norms))
    return np.argsort(norms, kind="stable")[_even_ranks(len(norms), k)]


def random_per_quartile(norms: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
    """Pick at random inside each quarter of the ranking by norm, equal shares.

    Args:
        norms: Gradient norms of one class, shape (n,).
        k: Points to keep, 1 <= k <= n.
        rng: Source of randomness.

    Returns:
        Row numbers, shape (k,), int64, the quarters interleaved.

    Raises:
        ValueError: If norms or k are invalid.

    Source: `geda` section 5.3.
    """
    norms = check_scores(norms)
    k = check_k(k, len(norms))
    quarters = np.array_split(np.argsort(norms, kind="stable"), 4)
    shares = allocate(np.array([len(rows) for rows in quarters]), k)
    return interleave(
        [_take(rows, m, "random", rng) for rows, m in zip(quarters, shares, strict=True)]
    )


def objective(norms: np.ndarray, selected: np.ndarray, n_nodes: int = 5) -> float:
    """Return the trapezoid estimate of the L1 distance between the two ECDFs.

    Args:
        norms: Gradient norms of one class, shape (n,).
        selected: Row numbers of the subset, shape (k,), k >= 1.
        n_nodes: The paper's N.

    Returns:
        (M - m) / N * sum over interior nodes of |F_all - F_subset|, in units of the norms.

    Raises:
        ValueError: If norms or n_nodes are invalid, or the subset is empty.

    Source: `geda` section 4.1; the rule's end terms are taken as 0, as there.
    """
    norms = check_scores(norms, finite=True)
    check_k(len(selected), len(norms))
    nodes = _nodes(norms, n_nodes)
    share_all = np.searchsorted(np.sort(norms), nodes, side="right") / len(norms)
    share = np.searchsorted(np.sort(norms[selected]), nodes, side="right") / len(selected)
    return float(np.ptp(norms) / n_nodes * np.abs(share_all - share).sum())


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
        status, success, message, bound, gap (both of (P)), seconds, seconds_build.

    Raises:
        ValueError: If the input is invalid or no subset was found in the time allowed.

    Source: `geda` section 4.1, problem (P).
    """
    norms = check_scores(norms, finite=True)
    k = check_k(k, len(norms))
    is_below = norms <= _nodes(norms, n_nodes)[:, None]
    model = programs.build(lambda: _build_milp(is_below, k))
    result = programs.solve(model, solver, time_limit)
    values = np.array([delta.value() for delta in model.variables])
    result.indices = np.flatnonzero(values > 0.5)
    result.sum_z = result.fun
    result.objective = objective(norms, result.indices, n_nodes)
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
