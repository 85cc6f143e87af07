"""GEDA's objective at the nodes: rules, targets, and the best counts in whole numbers."""

import heapq
import math
from numbers import Integral, Real

import numpy as np
from scipy.special import ndtr

from helpers import StudyError
from helpers.checks import check_choice, check_k, check_scores

RULES = ("trapezoid", "simpson")
NODES = ("equal", "quantile")
ECDFS = ("step", "smoothed")

Heap = list[tuple[float, float]]  # (place, slope) of the bends of a convex function


def check_rule(n_nodes: int, rule: str, nodes: str, ecdf: str) -> int:
    """Return n_nodes as an int where it suits the rule.

    Raises:
        ValueError: If a choice is unknown, n_nodes is no whole number >= 2, or Simpson's rule
            is asked for with an odd N or with nodes that are not equally spaced.
    """
    check_choice(rule, RULES, "rule")
    check_choice(nodes, NODES, "nodes")
    check_choice(ecdf, ECDFS, "ecdf")
    if not isinstance(n_nodes, Integral) or n_nodes < 2:
        raise StudyError(f"n_nodes must be a whole number from 2 upwards, got {n_nodes!r}")
    if rule == "simpson" and n_nodes % 2:
        raise StudyError(f"n_nodes must be even for Simpson's rule, got {n_nodes}")
    if rule == "simpson" and nodes == "quantile":
        raise StudyError("rule='simpson' needs nodes='equal', its weights hold for equal widths")
    return int(n_nodes)


def nodes_and_weights(
    ordered: np.ndarray, n_nodes: int, rule: str = "trapezoid", nodes: str = "equal"
) -> tuple[np.ndarray, np.ndarray]:
    """Return the interior nodes and their weights in the quadrature rule.

    Args:
        ordered: Norms of one class, sorted, shape (n,).
        n_nodes: The paper's N, intervals.
        rule: "trapezoid" or "simpson".
        nodes: "equal" widths between the smallest norm m and the largest M, or "quantile": node
            j is the ceil(j n / N)-th smallest norm.

    Returns:
        Nodes t_j rising, and weights in units of the norms, both shape (N - 1,).

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


def counts_below(ordered: np.ndarray, inner: np.ndarray) -> np.ndarray:
    """Return how many sorted norms lie at or below each node, shape (N - 1,), int64."""
    return np.searchsorted(ordered, inner, side="right").astype(np.int64)


def nearest_counts(below: np.ndarray, n: int, k: int) -> np.ndarray:
    """Return k * C_j / n rounded to nearest, halves upwards: the best counts for a step ECDF.

    Args:
        below: C_j, points of the class at or below each interior node, shape (N - 1,), int64.
        n: Size of the class.
        k: Points to keep.

    Returns:
        S_j, points to keep at or below each node, shape (N - 1,), int64.

    Note: in integers, as floats break exact halves the wrong way (n = 22, k = 11, C = 15).
    """
    return (2 * k * below + n) // (2 * n)


def counts_in_capacity(
    targets: np.ndarray, weights: np.ndarray, capacity: np.ndarray, k: int
) -> np.ndarray:
    """Minimise sum_j w_j |a_j - S_j| over whole S_j with 0 <= S_j - S_{j-1} <= capacity_j.

    Args:
        targets: a_j, shape (N - 1,), in 0..k, not whole in general.
        weights: w_j >= 0, shape (N - 1,).
        capacity: Points of the class in each bin, shape (N,), sum n >= k.
        k: S_N; S_0 is 0.

    Returns:
        S_j, shape (N - 1,), int64, an exact minimiser.

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
    ordered: np.ndarray, inner: np.ndarray, bandwidth: float | str = "silverman"
) -> np.ndarray:
    """Return the Gaussian kernel-smoothed distribution function of a class at the nodes.

    Args:
        ordered: Norms, sorted, shape (n,).
        inner: Nodes, shape (N - 1,).
        bandwidth: Standard deviation of the kernel in units of the norms, or "silverman".

    Returns:
        The mean over i of Phi((t_j - g_i) / bandwidth), shape (N - 1,); where all norms are equal
        Silverman's bandwidth is 0 and the step ECDF is returned.

    Raises:
        ValueError: If bandwidth is neither "silverman" nor a finite number above 0.
    """
    if isinstance(bandwidth, str) and bandwidth == "silverman":
        bandwidth = silverman(ordered)
    elif not (isinstance(bandwidth, Real) and 0 < bandwidth < math.inf):
        raise StudyError(f"bandwidth must be 'silverman' or a number above 0, got {bandwidth!r}")
    if bandwidth == 0:
        return counts_below(ordered, inner) / len(ordered)
    # Beyond 9 bandwidths Phi is 0 or 1 to the last digit of a double.
    start = np.searchsorted(ordered, inner - 9 * bandwidth)
    stop = np.searchsorted(ordered, inner + 9 * bandwidth)
    near = [
        ndtr((t - ordered[a:b]) / bandwidth).sum()
        for t, a, b in zip(inner, start, stop, strict=True)
    ]
    return (start + np.array(near)) / len(ordered)


def objective(
    norms: np.ndarray,
    selected: np.ndarray,
    n_nodes: int = 5,
    rule: str = "trapezoid",
    nodes: str = "equal",
    ecdf: str = "step",
    bandwidth: float | str = "silverman",
) -> float:
    """Return a quadrature estimate of the L1 distance between the two ECDFs.

    Args:
        norms: Gradient norms of one class, shape (n,).
        selected: Row numbers of the subset, shape (k,), k >= 1.
        n_nodes: The paper's N.
        rule: "trapezoid" or "simpson", as in `geda.solve`.
        nodes: "equal" or "quantile".
        ecdf: The class's, "step" or "smoothed".
        bandwidth: Of the smoothed ECDF.

    Returns:
        The rule's sum over interior nodes of |F_all - F_subset|, in units of the norms; for the
        trapezoid on equal nodes (M - m) / N times the plain sum.

    Raises:
        ValueError: If norms or the rule are invalid, or the subset is empty.

    Source: `geda` section 4.1; the rule's end terms are taken as 0, as there.
    """
    norms = check_scores(norms, finite=True)
    check_k(len(selected), len(norms))
    n_nodes = check_rule(n_nodes, rule, nodes, ecdf)
    ordered = np.sort(norms)
    inner, weights = nodes_and_weights(ordered, n_nodes, rule, nodes)
    if ecdf == "step":
        share_all = counts_below(ordered, inner) / len(norms)
    else:
        share_all = smoothed_shares(ordered, inner, bandwidth)
    share = counts_below(np.sort(norms[selected]), inner) / len(selected)
    return float(weights @ np.abs(share_all - share))
