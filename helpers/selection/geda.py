"""GEDA: a subset whose gradient norms are distributed as those of the whole class.

A point enters problem (P) only through the interval between two nodes that holds its norm, so
the best counts per interval solve it; which points of an interval is left open.
"""

import heapq
import math
import time

import numpy as np
from scipy.optimize import OptimizeResult
from scipy.special import ndtr

from helpers import StudyError
from helpers.checks import check_choice, check_k, check_number, check_rng, check_rows, check_scores
from helpers.selection.registry import Pool, method
from helpers.selection.stratify import allocate, interleave, per_class

WITHIN = ("spread", "random", "first")
Heap = list[tuple[float, float]]  # (place, slope) of the bends of a convex function


def geda(
    norms: np.ndarray,
    k: int,
    n_nodes: int = 5,
    within: str = "spread",
    rng: int | np.random.Generator | None = None,
) -> np.ndarray:
    """Pick k points whose distribution of norms is closest to that of all, in closed form.

    Args as `solve`. Returns row numbers (k,), the intervals interleaved.

    Source: `geda` section 4.1, problem (P); why no solver is needed: `nearest_counts`.
    """
    return solve(norms, k, n_nodes, within=within, rng=rng).indices


def solve(
    norms: np.ndarray,
    k: int,
    n_nodes: int = 5,
    rule: str = "trapezoid",
    nodes: str = "equal",
    ecdf: str = "step",
    within: str = "spread",
    rng: int | np.random.Generator | None = None,
) -> OptimizeResult:
    """Solve (P), or a variant that the paper leaves open, to proven optimality.

    Args:
        norms: Gradient norms of one class at epoch 0, shape (n,), finite, >= 0.
        k: Points to keep.
        n_nodes: The paper's N, intervals, >= 2; even for Simpson's rule.
        rule: "trapezoid" or "simpson" (equal nodes only).
        nodes: "equal" widths, or "quantile" for equal counts.
        ecdf: The class's "step" function, or "smoothed" by a Gaussian kernel; the subset's
            stays a step function.
        within: Which points of an interval: "spread" evenly by rank, "random", or the "first"
            by row; the program leaves this open.
        rng: Seed or generator, needed for within="random" only.

    Returns:
        OptimizeResult with indices (k,), objective and bound (of the variant's own rule, in units
        of the norms: compare variants by `w1`), gap 0, status "optimal", iterations (bins of the
        dynamic program, 0 in closed form), seconds, message, success.

    Source: `geda` section 4.1; section 6.1 asks for smoothing and Simpson's rule.

    Note: on a step ECDF the rule's weights play no part, as each term is least by itself; so
        Simpson's rule keeps what the trapezoid keeps. A smoothed target may ask a bin for more
        than it holds; `counts_in_capacity` then finds the best counts.
    """
    start = time.perf_counter()
    norms = check_scores(norms, finite=True)
    if norms.min() < 0:
        raise StudyError(f"norms must not be negative, got {norms.min():.4g}")
    n, k = len(norms), check_k(k, len(norms))
    check_choice(within, WITHIN, "within")
    if within == "random":
        if rng is None:
            raise StudyError("within='random' needs rng, a seed or a numpy.random.Generator")
        rng = check_rng(rng)
    n_nodes = check_rule(n_nodes, rule, nodes, ecdf)
    order = ranking(norms)
    ordered = norms[order]
    inner, weights = nodes_and_weights(ordered, n_nodes, rule, nodes)
    below = np.searchsorted(ordered, inner, side="right")
    if ecdf == "step":
        kept, share = nearest_counts(below, n, k), below / n
        bins, how = 0, "proven: every term is least by itself"
    else:
        share = smoothed_shares(ordered, inner)
        capacity = np.diff(below, prepend=0, append=n)
        kept = counts_in_capacity(k * share, weights, capacity, k)
        bins, how = n_nodes, "proven by dynamic programming over the bins"
    indices = _pick(order, below, kept, k, within, rng)
    return _proven(indices, float(weights @ np.abs(share - kept / k)), start, how, bins)


def _pick(
    order: np.ndarray,
    below: np.ndarray,
    kept: np.ndarray,
    k: int,
    within: str,
    rng: np.random.Generator | None,
) -> np.ndarray:
    """Return k rows, the bins interleaved: `kept` of the `below` at or below each inner node.

    Order holds all rows by rising norm; below and kept have shape (N - 1,).
    """
    shares = np.diff(kept, prepend=0, append=k)
    if within != "spread":
        arranged = rng.permutation if within == "random" else np.sort
        bins = zip(np.split(order, below), shares.tolist(), strict=True)
        return interleave([arranged(rows)[:m] for rows, m in bins])
    # Ranks floor((j + 1/2) n_bin / share) in every bin at once, then as `interleave`.
    edges = np.concatenate([[0], below, [len(order)]])
    of = np.repeat(np.arange(len(shares)), shares)
    place = np.arange(k) - (np.cumsum(shares) - shares)[of]
    share = shares[of]
    rows = order[edges[of] + (2 * place + 1) * np.diff(edges)[of] // (2 * share)]
    return rows[np.argsort((place + 0.5) / share, kind="stable")]


def random_per_quartile(norms: np.ndarray, k: int, rng: int | np.random.Generator) -> np.ndarray:
    """Pick at random inside each quarter of the ranking by norm, equal shares, interleaved.

    Source: `geda` section 5.3.
    """
    norms, rng = check_scores(norms), check_rng(rng)
    k = check_k(k, len(norms))
    quarters = np.array_split(ranking(norms), 4)
    shares = allocate(np.array([len(rows) for rows in quarters]), k)
    return interleave([rng.permutation(rows)[:m] for rows, m in zip(quarters, shares, strict=True)])


def evenly_spaced(norms: np.ndarray, k: int) -> np.ndarray:
    """Keep every (n/k)-th point of the ranking by norm, by rising norm.

    Source: `geda` section 5.4.

    Note: the footnote's modulo rule drops the same fifth of the data at 60, 40 and 20 %; these
    ranks, floor((j + 1/2) n / k), are evenly spaced at every k, and no subset of k points is
    closer to the class in Wasserstein-1 distance (see `wasserstein`).
    """
    norms = check_scores(norms)
    k = check_k(k, len(norms))
    ranks = (2 * np.arange(k, dtype=np.int64) + 1) * len(norms) // (2 * k)
    return ranking(norms)[ranks]


def wasserstein(norms: np.ndarray, k: int) -> OptimizeResult:
    """Pick the k points whose ECDF encloses the least area with that of the class, exactly.

    Args, errors and result: as `solve`. The indices (k,) are those of `evenly_spaced`, objective
    and bound the distance `w1`, in units of the norms.

    Source: `geda` section 4.1 with N to infinity; section 5.4 for the rule.

    Note: the area is the integral over u in (0, 1) of the distance between the two quantile
        functions. The subset's is constant on each ((j - 1) / k, j / k], so no constant there
        beats the median of the class's, its quantile at the middle (j - 1/2) / k. As k <= n
        these middles lie 1/n or more apart and name k different points: the bound is reached
        for every n and k, whether or not k divides n.
    """
    start = time.perf_counter()
    norms = check_scores(norms, finite=True)
    selected = evenly_spaced(norms, k)
    message = "proven: every quantile is the median of its block"
    return _proven(selected, w1(norms, selected), start, message)


def _proven(
    indices: np.ndarray, objective: float, start: float, message: str, iterations: int = 0
) -> OptimizeResult:
    result = OptimizeResult(indices=indices, objective=objective, bound=objective, gap=0.0)
    result.update(iterations=iterations, status="optimal", success=True)
    result.update(message=message, seconds=time.perf_counter() - start)
    return result


def w1(norms: np.ndarray, selected: np.ndarray) -> float:
    """Return the exact area between the step ECDFs of a class and of a subset of it: O(n log n).

    The Wasserstein-1 distance, in units of the norms; selected rows (k,) must not repeat.

    Source: `geda` section 4.1, the integral before any quadrature rule.
    """
    norms = check_scores(norms, finite=True)
    n = len(norms)
    rows = check_rows(selected, n, "selected")
    is_selected = np.zeros(n, dtype=bool)
    is_selected[rows] = True
    order, k = ranking(norms), len(rows)
    # k * count - n * count of the kept is whole: only the widths carry rounding.
    heights = k * np.arange(1, n, dtype=np.int64) - n * np.cumsum(is_selected[order][:-1])
    return float(np.abs(heights) @ np.diff(norms[order]) / (n * k))


def objective(
    norms: np.ndarray,
    selected: np.ndarray,
    n_nodes: int = 5,
    rule: str = "trapezoid",
    nodes: str = "equal",
    ecdf: str = "step",
) -> float:
    """Return a quadrature estimate of the L1 distance between the two ECDFs.

    Args as `solve`, with the subset's row numbers, selected, shape (k,). Returns the rule's sum
    over interior nodes of |F_all - F_subset|, in units of the norms; for the trapezoid on equal
    nodes (M - m) / N times the plain sum.

    Source: `geda` section 4.1; the rule's end terms are taken as 0, as there.
    """
    norms = check_scores(norms, finite=True)
    check_k(len(selected), len(norms))
    n_nodes = check_rule(n_nodes, rule, nodes, ecdf)
    ordered = np.sort(norms)
    inner, weights = nodes_and_weights(ordered, n_nodes, rule, nodes)
    share_all = np.searchsorted(ordered, inner, side="right") / len(norms)
    if ecdf == "smoothed":
        share_all = smoothed_shares(ordered, inner)
    share = np.searchsorted(np.sort(norms[selected]), inner, side="right") / len(selected)
    return float(weights @ np.abs(share_all - share))


def ranking(norms: np.ndarray) -> np.ndarray:
    """Return the row numbers by rising norm, equal norms in row order, shape (n,), int64."""
    order = np.argsort(norms)  # three times as fast as the stable sort, equal without ties
    ordered = norms[order]
    has_ties = (ordered[1:] == ordered[:-1]).any()
    return np.argsort(norms, kind="stable") if has_ties else order


def check_rule(
    n_nodes: int, rule: str = "trapezoid", nodes: str = "equal", ecdf: str = "step"
) -> int:
    """Return n_nodes as an int where it is a whole number >= 2 and suits the rule."""
    check_choice(rule, ("trapezoid", "simpson"), "rule")
    check_choice(nodes, ("equal", "quantile"), "nodes")
    check_choice(ecdf, ("step", "smoothed"), "ecdf")
    check_number(n_nodes, "n_nodes", 2, whole=True)
    if rule == "simpson" and n_nodes % 2:
        raise StudyError(f"n_nodes must be even for Simpson's rule, got {n_nodes}")
    if rule == "simpson" and nodes == "quantile":
        raise StudyError("rule='simpson' needs nodes='equal', its weights hold for equal widths")
    return int(n_nodes)


def nodes_and_weights(
    ordered: np.ndarray, n_nodes: int, rule: str = "trapezoid", nodes: str = "equal"
) -> tuple[np.ndarray, np.ndarray]:
    """Return the interior nodes and their weights in the quadrature rule.

    For N intervals and sorted norms (n,) between m and M: nodes t_j of "equal" widths, or
    "quantile" ones, t_j the ceil(j n / N)-th smallest norm. Both results have shape (N - 1,), the
    weights in units of the norms.

    Source: `geda` section 4.1 (trapezoid, equal widths), section 6.1 (Simpson, left open).
    """
    low, high = ordered[0], ordered[-1]
    if nodes == "quantile":
        ranks = -(-np.arange(1, n_nodes) * len(ordered) // n_nodes) - 1
        inner = ordered[ranks]
        ends = np.concatenate([[low], inner, [high]])
        return inner, (ends[2:] - ends[:-2]) / 2
    inner = np.linspace(low, high, n_nodes + 1)[1:-1]
    shape = np.ones(n_nodes - 1)
    if rule == "simpson":
        shape = np.where(np.arange(1, n_nodes) % 2, 4, 2) / 3
    return inner, (high - low) / n_nodes * shape


def nearest_counts(below: np.ndarray, n: int, k: int) -> np.ndarray:
    """Return k * C_j / n rounded to nearest, halves upwards: the best counts for a step ECDF.

    C_j of n points lie at or below node j: below, shape (N - 1,), int64; so is the result. Every
    term of (P) is then least, and no interval gives more points than it holds. In integers, as
    floats break exact halves the wrong way (n = 22, k = 11, C = 15).
    """
    return (2 * k * below + n) // (2 * n)


def counts_in_capacity(
    targets: np.ndarray, weights: np.ndarray, capacity: np.ndarray, k: int
) -> np.ndarray:
    """Minimise sum_j w_j |a_j - S_j| over whole S_j with 0 <= S_j - S_{j-1} <= capacity_j.

    Targets a_j in 0..k, not whole in general, and weights w_j >= 0 have shape (N - 1,); capacity,
    the points of the class in each bin, shape (N,), sum n >= k. S_0 is 0 and S_N is k. Returns an
    exact minimiser S_j, shape (N - 1,), int64.

    Note: dynamic programming over the bins. The best cost of bins 1..j as a function of S_j is
        convex and piecewise linear with bends at whole numbers, so it is kept as two heaps of
        bends, left and right of its minimum; a bin's capacity moves the right heap. Walking
        back, each S_j is its function's minimum cut off at what S_{j+1} leaves open.
    """
    left, right, minima, shift = [(0.0, math.inf)], [(0.0, math.inf)], [], 0
    for target, weight, room in zip(targets.tolist(), weights.tolist(), capacity, strict=False):
        shift += int(room)
        whole = math.floor(target)
        part = target - whole
        # On whole numbers |S - a| is (1 - part) |S - floor a| + part |S - floor a - 1| - const.
        _bend(left, right, whole, weight * (1 - part), shift)
        _bend(left, right, whole + 1, weight * part, shift)
        minima.append(int(-left[0][0]))
    kept = [k]
    for best, room in zip(reversed(minima), reversed(capacity.tolist()), strict=False):
        kept.append(min(max(best, kept[-1] - room), kept[-1]))
    return np.array(kept[:0:-1], dtype=np.int64)


def _bend(left: Heap, right: Heap, place: int, slope: float, shift: int) -> None:
    """Add slope * |S - place| to the function that the two heaps hold.

    Each side is pushed through the other: what comes out keeps the minimum between them.
    """
    if slope <= 0:
        return
    heapq.heappush(left, (-place, slope))
    for minus, part in _drawn(left, slope):
        heapq.heappush(right, (-minus - shift, part))
    heapq.heappush(right, (place - shift, slope))
    for shifted, part in _drawn(right, slope):
        heapq.heappush(left, (-(shifted + shift), part))


def _drawn(heap: Heap, slope: float) -> Heap:
    """Take bends worth a slope in all from the top of a heap; the outermost one never ends."""
    taken = []
    while slope > 0:
        place, there = heap[0]
        part = min(there, slope)
        if part == there:
            heapq.heappop(heap)
        else:
            heapq.heapreplace(heap, (place, there - part))
        taken.append((place, part))
        slope -= part
    return taken


def silverman(ordered: np.ndarray) -> float:
    """Return the rule of thumb 0.9 min(sd, IQR / 1.34) n^(-1/5); the sd where the IQR is 0.

    Source: B. W. Silverman, Density Estimation (1986), equation 3.31.
    """
    spread = float(ordered.std())
    lower, upper = np.percentile(ordered, [25, 75])
    if upper > lower:
        spread = min(spread, float(upper - lower) / 1.34)
    return 0.9 * spread * len(ordered) ** -0.2


def smoothed_shares(
    ordered: np.ndarray, inner: np.ndarray, bandwidth: float | None = None
) -> np.ndarray:
    """Return the mean over i of Phi((t_j - g_i) / bandwidth): a class's smoothed ECDF at nodes.

    Sorted norms g (n,), nodes t and result (N - 1,); the bandwidth is the kernel's standard
    deviation in units of the norms, by default Silverman's. Where all norms are equal, that is 0
    and the step ECDF is returned.
    """
    bandwidth = silverman(ordered) if bandwidth is None else bandwidth
    if bandwidth == 0:
        return np.searchsorted(ordered, inner, side="right") / len(ordered)
    # Beyond 9 bandwidths Phi is 0 or 1 to the last digit of a double.
    start = np.searchsorted(ordered, inner - 9 * bandwidth)
    stop = np.searchsorted(ordered, inner + 9 * bandwidth)
    near = [
        ndtr((t - ordered[a:b]) / bandwidth).sum()
        for t, a, b in zip(inner, start, stop, strict=True)
    ]
    return (start + np.array(near)) / len(ordered)


@method("geda", "GEDA (spread)", needs=("norms",), family="gradients", by_class=True)
def pick_geda(
    pool: Pool,
    k: int,
    rng: np.random.Generator,
    n_nodes: int = 5,
    within: str = "spread",
    rule: str = "trapezoid",
    nodes: str = "equal",
    ecdf: str = "step",
) -> np.ndarray:
    """Match the distribution of gradient norms in every class."""
    options = {"rule": rule, "nodes": nodes, "ecdf": ecdf, "within": within, "rng": rng}

    def pick(rows: np.ndarray, share: int) -> np.ndarray:
        return solve(pool.norms[rows], share, n_nodes, **options).indices

    return per_class(pool.labels, k, pick)


RUNG = {"needs": ("norms",), "family": "gradients", "compare": False, "ladder": True}


@method("random-per-quartile", "Random per quartile", by_class=True, **RUNG)
def pick_random_per_quartile(pool: Pool, k: int, rng: np.random.Generator) -> np.ndarray:
    """Draw in every class and quarter of the norms."""
    return per_class(
        pool.labels, k, lambda rows, share: random_per_quartile(pool.norms[rows], share, rng)
    )


@method("evenly-spaced", "Evenly spaced", by_class=True, **RUNG)
def pick_evenly_spaced(pool: Pool, k: int, rng: np.random.Generator) -> np.ndarray:
    """Take every (n/k)-th of the norms in every class."""
    return per_class(pool.labels, k, lambda rows, share: evenly_spaced(pool.norms[rows], share))


@method("geda-random", "GEDA (random in bins)", by_class=True, **RUNG)
def pick_geda_random(
    pool: Pool,
    k: int,
    rng: np.random.Generator,
    n_nodes: int = 5,
    rule: str = "trapezoid",
    nodes: str = "equal",
    ecdf: str = "step",
) -> np.ndarray:
    """Run GEDA with random points inside the bins, as a solver's arbitrary answer."""
    return pick_geda(pool, k, rng, n_nodes, "random", rule, nodes, ecdf)
