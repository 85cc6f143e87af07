"""GEDA: a subset whose gradient norms are distributed as those of the whole class.

Gathered here: its limit for N to infinity (`ecdf`) and its program as printed (`geda_milp`).
"""

import time

import numpy as np
from scipy.optimize import OptimizeResult

from helpers import StudyError
from helpers.checks import check_choice, check_k, check_rng, check_scores
from helpers.selection import quadrature
from helpers.selection.ecdf import evenly_spaced, proven, ranking, w1, wasserstein
from helpers.selection.geda_milp import solve_milp_as_written
from helpers.selection.quadrature import objective
from helpers.selection.quotas import allocate, interleave

WITHIN = ("spread", "random", "first")

__all__ = [
    "WITHIN",
    "evenly_spaced",
    "geda",
    "objective",
    "random_per_quartile",
    "solve",
    "solve_milp_as_written",
    "w1",
    "wasserstein",
]


def geda(
    norms: np.ndarray,
    k: int,
    n_nodes: int = 5,
    within: str = "spread",
    rng: int | np.random.Generator | None = None,
) -> np.ndarray:
    """Pick k points whose distribution of norms is closest to that of all, in closed form.

    Args:
        norms: Gradient norms of one class at epoch 0, shape (n,), finite, >= 0.
        k: Points to keep, 1 <= k <= n.
        n_nodes: The paper's N: equal-width intervals of the trapezoid rule, >= 2.
        within: Which points of an interval: "spread" evenly by rank, "random", or the "first"
            by row; the program leaves this open.
        rng: Seed or generator, needed for within="random" only.

    Returns:
        Row numbers, shape (k,), int64, the intervals interleaved.

    Raises:
        ValueError: If norms, k, n_nodes or within are invalid, or rng is missing.

    Source: `geda` section 4.1, problem (P).

    Note: a point enters (P) only through the interval of its norm. With C_m points at or below
    node m, k * C_m / n rounded to nearest makes every term least and never asks an interval
    for more points than it holds: no solver is needed.
    """
    return solve(norms, k, n_nodes, within=within, rng=rng).indices


def solve(
    norms: np.ndarray,
    k: int,
    n_nodes: int = 5,
    rule: str = "trapezoid",
    nodes: str = "equal",
    ecdf: str = "step",
    bandwidth: float | str = "silverman",
    within: str = "spread",
    rng: int | np.random.Generator | None = None,
) -> OptimizeResult:
    """Solve (P), or a variant that the paper leaves open, to proven optimality.

    Args:
        norms: Gradient norms of one class, shape (n,), finite, >= 0.
        k: Points to keep, 1 <= k <= n.
        n_nodes: The paper's N, intervals, >= 2; even for Simpson's rule.
        rule: "trapezoid" or "simpson" (equal nodes only).
        nodes: "equal" widths, or "quantile" for equal counts.
        ecdf: The class's "step" function, or "smoothed" by a Gaussian kernel; the subset's
            stays a step function.
        bandwidth: Of the smoothed ECDF, in units of the norms, or "silverman".
        within: "spread", "random" or "first", as in `geda`.
        rng: Seed or generator, needed for within="random" only.

    Returns:
        OptimizeResult with indices (k,), objective = fun and bound (of the variant's own rule,
        in units of the norms: compare variants by `w1`), gap 0, status "optimal", iterations =
        nit (bins of the dynamic program, 0 in closed form), seconds, message, success.

    Raises:
        ValueError: If an argument is invalid, N is odd for Simpson's rule, or rng is missing.

    Source: `geda` section 4.1; section 6.1 asks for smoothing and Simpson's rule.

    Note: on a step ECDF the rule's weights play no part, as each term is least by itself; so
        Simpson's rule keeps what the trapezoid keeps. A smoothed target may ask a bin for more
        than it holds; `quadrature.counts_in_capacity` then finds the best counts.
    """
    start = time.perf_counter()
    norms, k = _checked(norms, k, within, rng)
    rng = check_rng(rng) if within == "random" else None
    n_nodes = quadrature.check_rule(n_nodes, rule, nodes, ecdf)
    order = ranking(norms)
    ordered, n = norms[order], len(norms)
    inner, weights = quadrature.nodes_and_weights(ordered, n_nodes, rule, nodes)
    below = quadrature.counts_below(ordered, inner)
    if ecdf == "step":
        kept, share = quadrature.nearest_counts(below, n, k), below / n
        bins, how = 0, "proven: every term is least by itself"
    else:
        share = quadrature.smoothed_shares(ordered, inner, bandwidth)
        capacity = np.diff(below, prepend=0, append=n)
        kept = quadrature.counts_in_capacity(k * share, weights, capacity, k)
        bins, how = n_nodes, "proven by dynamic programming over the bins"
    indices = _pick(order, below, kept, k, within, rng)
    return proven(indices, float(weights @ np.abs(share - kept / k)), start, how, bins)


def _checked(norms: np.ndarray, k: int, within: str, rng: object) -> tuple[np.ndarray, int]:
    """Return norms and k where they and the choice within bins are valid."""
    norms = check_scores(norms, finite=True)
    if norms.min() < 0:
        raise StudyError(f"norms must not be negative, got {norms.min():.4g}")
    k = check_k(k, len(norms))
    check_choice(within, WITHIN, "within")
    if within == "random" and rng is None:
        raise StudyError("within='random' needs rng, a seed or a numpy.random.Generator")
    return norms, k


def _pick(
    order: np.ndarray,
    below: np.ndarray,
    kept: np.ndarray,
    k: int,
    within: str,
    rng: np.random.Generator | None,
) -> np.ndarray:
    """Return the rows of each bin in keep-first order, the bins interleaved.

    Args:
        order: Row numbers by rising norm, shape (n,).
        below: Points at or below each interior node, shape (N - 1,).
        kept: How many of them to keep, shape (N - 1,).
        k: Points to keep in all.
        within: "spread", "random" or "first".
        rng: For "random".
    """
    edges = np.concatenate([[0], below, [len(order)]])
    shares = np.diff(kept, prepend=0, append=k)
    if within != "spread":
        bins = zip(np.split(order, below), shares.tolist(), strict=True)
        return interleave([_take(rows, m, within, rng) for rows, m in bins])
    # All bins at once, the same as `even_ranks` and `interleave` bin by bin.
    of = np.repeat(np.arange(len(shares)), shares)
    place = np.arange(k) - (np.cumsum(shares) - shares)[of]
    share = shares[of]
    rows = order[edges[of] + (2 * place + 1) * np.diff(edges)[of] // (2 * share)]
    return rows[np.argsort((place + 0.5) / share, kind="stable")]


def _take(rows: np.ndarray, m: int, within: str, rng: np.random.Generator | None) -> np.ndarray:
    """Return m of the rows, which are sorted by norm."""
    if within == "random":
        return rng.permutation(rows)[:m]
    return np.sort(rows)[:m]


def random_per_quartile(norms: np.ndarray, k: int, rng: int | np.random.Generator) -> np.ndarray:
    """Pick at random inside each quarter of the ranking by norm, equal shares.

    Args:
        norms: Gradient norms of one class, shape (n,).
        k: Points to keep, 1 <= k <= n.
        rng: Seed or generator.

    Returns:
        Row numbers, shape (k,), int64, the quarters interleaved.

    Raises:
        ValueError: If norms or k are invalid.

    Source: `geda` section 5.3.
    """
    norms, rng = check_scores(norms), check_rng(rng)
    k = check_k(k, len(norms))
    quarters = np.array_split(ranking(norms), 4)
    shares = allocate(np.array([len(rows) for rows in quarters]), k)
    return interleave(
        [_take(rows, m, "random", rng) for rows, m in zip(quarters, shares, strict=True)]
    )
