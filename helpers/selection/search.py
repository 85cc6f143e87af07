"""Greedy choice and swap search for the quadratic program of `budgeted`, on a stored matrix."""

import time

import numpy as np
from scipy.optimize import OptimizeResult

from helpers.checks import check_k, check_rows
from helpers.scores import entropy, order
from helpers.selection.gaussian_sums import gaussian_similarity
from helpers.selection.iqp import budgeted, check_program, reported, top
from helpers.selection.registry import Pool, method

N_BLOCK = 64  # rows that may leave, weighed at once against all that may enter
LEAST_GAIN = 1e-12  # a swap must gain more than this share of x'Qx: less may be rounding


def greedy(utility: np.ndarray, similarity: np.ndarray, k: int, weight: float = 0.3) -> np.ndarray:
    """Pick k rows one by one, each adding most to x'Qx.

    Args and errors: as `iqp.lp_relaxation`.

    Returns:
        Row numbers in order of choosing, shape (k,), int64; ties go to the lowest row, and a
        larger k only adds to it.

    Source: the objective is `budgeted` eq. 8; greedy choice is not in the paper, whose
    guarantees do not cover it either: x'Qx is supermodular, since every pair adds to it.
    """
    utility, similarity, _ = check_program(utility, similarity, weight)
    k = check_k(k, len(utility))
    gains, picked = utility.copy(), np.empty(k, dtype=np.int64)
    for j in range(k):
        best = int(gains.argmax())
        picked[j] = best
        gains += 2 * weight * similarity[best].astype(np.float64)
        gains[best] = -np.inf
    return picked


def swap_search(
    utility: np.ndarray,
    similarity: np.ndarray,
    start: np.ndarray,
    weight: float = 0.3,
) -> OptimizeResult:
    """Exchange one row for another, always the best exchange, until none improves x'Qx.

    Args and errors: as `iqp.power_steps`.

    Returns:
        As `iqp.power_steps`, never below the start's objective; iterations are exchanges.

    Source: `budgeted` eq. 8. The paper ends with truncated power; a subset where that stands
    still often gains by an exchange, because the shift that makes it monotone also binds it.

    Note: exchanging a for b changes x'Qx by h_b - h_a - 2 lambda D_ab, where h is u plus twice
    lambda times a row's sum of D over the subset without itself. No entry of D is negative, so
    rows that may leave are visited by rising h_a until h_b - h_a cannot reach the best found.
    """
    began = time.perf_counter()
    utility, similarity, sums = check_program(utility, similarity, weight)
    chosen = np.sort(check_rows(start, len(utility), "start"))

    def terms(row: int) -> np.ndarray:  # lambda D_row, without the row itself
        added = weight * similarity[row].astype(np.float64)
        added[row] = 0
        return added

    pairs = np.zeros(len(utility))
    for row in chosen:
        pairs += terms(row)
    values = [float((utility + pairs)[chosen].sum())]
    while True:
        gain, leaves, enters = _best_swap(utility, similarity, weight, pairs, chosen)
        if gain <= LEAST_GAIN * abs(values[-1]):
            break
        pairs += terms(enters) - terms(leaves)
        chosen = np.sort(np.where(chosen == leaves, enters, chosen))
        values.append(float((utility + pairs)[chosen].sum()))
    ranking, message = utility + weight * sums, f"no exchange improves after {len(values) - 1}"
    bound = float(ranking[top(ranking, len(chosen))].sum())
    indices = chosen[order((utility + pairs)[chosen])]
    return reported(began, values[-1], values, bound, True, indices=indices, message=message)


def _best_swap(
    utility: np.ndarray,
    similarity: np.ndarray,
    weight: float,
    pairs: np.ndarray,
    chosen: np.ndarray,
) -> tuple[float, int, int]:
    """Return the largest gain of an exchange, the row that leaves and the row that enters.

    A gain of 0 stands for any that is not above it. Of equal gains the one whose leaving row
    has the smallest h counts, then the lowest rows.
    """
    height = utility + 2 * pairs
    inside = chosen[np.argsort(height[chosen], kind="stable")]
    is_out = height > height[inside[0]]  # no other row can gain
    is_out[chosen] = False
    outside = np.flatnonzero(is_out)
    best = (0.0, -1, -1)
    for begin in range(0, len(inside), N_BLOCK):
        leaving = inside[begin : begin + N_BLOCK]
        if not len(outside) or height[outside].max() - height[leaving[0]] <= best[0]:
            break
        between = similarity[np.ix_(leaving, outside)]
        gains = np.multiply(between, -2 * weight, dtype=np.float64)
        gains += height[outside]
        gains -= height[leaving, None]
        place = np.unravel_index(int(gains.argmax()), gains.shape)
        if gains[place] > best[0]:
            best = (float(gains[place]), int(leaving[place[0]]), int(outside[place[1]]))
    return best


@method("iqp-swaps", "LP + power, then swaps", needs=("scores|probs", "features"),
        family="geometry", compare=False)  # fmt: skip
def pick_swaps(pool: Pool, k: int, rng: np.random.Generator, weight: float = 0.3,
               bandwidth: float | str = 1.0) -> np.ndarray:  # fmt: skip
    """Run `budgeted`'s Algorithm 1 as `iqp` does, and exchange rows while that improves x'Qx."""
    utility = entropy(pool.probs) if pool.scores is None else pool.scores
    start = budgeted(utility, pool.features, k, weight, bandwidth)
    similarity = gaussian_similarity(pool.features, bandwidth)
    return swap_search(utility, similarity, start, weight).indices
