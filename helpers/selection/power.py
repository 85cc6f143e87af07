"""The quadratic program's checks and truncated power iterations."""

import numpy as np
from scipy.optimize import OptimizeResult

from helpers import StudyError
from helpers.checks import check_scores
from helpers.scores import order


def check_program(
    utility: np.ndarray, similarity: np.ndarray, weight: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return checked utility (n,), similarity (n, n), and its row sums less the diagonal."""
    utility = check_scores(utility, finite=True)
    similarity = np.asarray(similarity)
    n = len(utility)
    if similarity.shape != (n, n):
        raise StudyError(f"similarity must have shape ({n}, {n}), got {similarity.shape}")
    if utility.min() < 0:
        raise StudyError(f"utility must not be negative, got {utility.min():.4g}")
    if not (np.isfinite(weight) and weight >= 0):
        raise StudyError(f"weight must be finite and not negative, got {weight}")
    rows = similarity.sum(axis=1, dtype=np.float64)
    if not np.isfinite(rows).all() or similarity.min() < 0:
        raise StudyError("similarity must be finite and not negative everywhere")
    if not np.allclose(rows, similarity.sum(axis=0, dtype=np.float64), rtol=1e-4, atol=1e-6):
        raise StudyError("similarity must be symmetric")
    return utility, similarity, rows - np.diagonal(similarity)


def truncated_power(
    utility: np.ndarray,
    similarity: np.ndarray,
    start: np.ndarray,
    weight: float = 0.3,
    shift: str | float | None = "auto",
    max_steps: int = 100,
) -> np.ndarray:
    """Improve a subset by x <- top-k of (Q + shift I) x until it repeats.

    Args:
        utility: Shape (n,), finite, >= 0.
        similarity: Shape (n, n), symmetric, entries >= 0.
        start: Row numbers of the first subset, shape (k,), no repeats.
        weight: The paper's lambda, >= 0.
        shift: Added to the diagonal; "auto" takes one that makes Q positive semi-definite
            (see `find_shift`), None iterates as printed, without.
        max_steps: Products with Q at most.

    Returns:
        The best subset met, never worse than start, shape (k,), int64, largest entry of Qx
        first.

    Raises:
        ValueError: If an argument is out of the ranges above.

    Source: `budgeted` Algorithm 1, after Yuan & Zhang (2013).

    Note: with a valid shift no step lowers x'Qx. Without one the subsets may run in a circle,
    so the iteration ends on any subset seen before.
    """
    return power_steps(utility, similarity, start, weight, shift, max_steps).selected


def power_steps(
    utility: np.ndarray,
    similarity: np.ndarray,
    start: np.ndarray,
    weight: float = 0.3,
    shift: str | float | None = "auto",
    max_steps: int = 100,
) -> OptimizeResult:
    """Run `truncated_power` and report the way: values, steps taken, whether it settled.

    Args:
        utility: As in `truncated_power`, and so are the others.
        similarity: Shape (n, n).
        start: Shape (k,).
        weight: The paper's lambda.
        shift: "auto", a number, or None.
        max_steps: Products with Q at most.

    Returns:
        OptimizeResult with selected (k,), fun (best x'Qx), objectives (x'Qx of each subset met,
        start first), nit (subsets after the start that were new), success (a fixed subset was
        reached), shift.
    """
    utility, similarity, _ = check_program(utility, similarity, weight)
    chosen = _check_start(start, len(utility))
    shift = find_shift(utility, similarity, weight) if shift == "auto" else float(shift or 0)
    product = _first_product(utility, similarity, chosen, weight)
    best, values, seen = (chosen, product), [product[chosen].sum()], {chosen.tobytes()}
    settled = False
    for _ in range(max_steps):
        pushed = product.copy()
        pushed[chosen] += shift
        following = np.sort(order(pushed)[: len(chosen)])
        settled = np.array_equal(following, chosen)
        if settled or following.tobytes() in seen:
            break
        product = _moved(product, utility, similarity, chosen, following, weight)
        chosen = following
        seen.add(chosen.tobytes())
        values.append(product[chosen].sum())
        if values[-1] > max(values[:-1]):
            best = (chosen, product)
    selected = best[0][order(best[1][best[0]])]
    return OptimizeResult(
        selected=selected,
        fun=max(values),
        objectives=np.array(values),
        nit=len(values) - 1,
        success=bool(settled),
        shift=shift,
    )


def _check_start(start: np.ndarray, n: int) -> np.ndarray:
    """Return the start set sorted, shape (k,), int64."""
    start = np.asarray(start)
    if start.ndim != 1 or start.size == 0 or not np.issubdtype(start.dtype, np.integer):
        raise StudyError("start must be row numbers, shape (k,), k >= 1")
    chosen = np.unique(start).astype(np.int64)
    if len(chosen) != len(start) or chosen[0] < 0 or chosen[-1] >= n:
        raise StudyError(f"start must be different row numbers in 0..{n - 1}")
    return chosen


def _first_product(
    utility: np.ndarray, similarity: np.ndarray, chosen: np.ndarray, weight: float
) -> np.ndarray:
    """Return Qx of a subset, shape (n,)."""
    product = weight * similarity[chosen].sum(axis=0, dtype=np.float64)
    product[chosen] += utility[chosen] - weight * np.diagonal(similarity)[chosen]
    return product


def _moved(
    product: np.ndarray,
    utility: np.ndarray,
    similarity: np.ndarray,
    old: np.ndarray,
    new: np.ndarray,
    weight: float,
) -> np.ndarray:
    """Return Qx of the new subset from that of the old: only the rows that changed cost."""
    entered = np.setdiff1d(new, old, assume_unique=True)
    left = np.setdiff1d(old, new, assume_unique=True)
    product = product + _first_product(utility, similarity, entered, weight)
    return product - _first_product(utility, similarity, left, weight)


def find_shift(utility: np.ndarray, similarity: np.ndarray, weight: float = 0.3) -> float:
    """Return a diagonal shift that makes Q positive semi-definite, >= 0.

    Where similarity has a unit diagonal and is positive semi-definite, as every Gaussian
    kernel, Q - diag(u - weight) is too, and max(0, weight - min u) suffices. Otherwise the row
    sums bound the eigenvalues (Gershgorin): safe, but so large that a start may not move.

    Args:
        utility: Shape (n,).
        similarity: Shape (n, n), symmetric, entries >= 0.
        weight: The paper's lambda.

    Source: `budgeted` section III-C asks for "a positive scalar" without naming it.
    """
    diagonal = np.diagonal(similarity)
    if np.allclose(diagonal, 1) and _is_psd(similarity):
        return float(max(0.0, weight - np.min(utility)))
    off = np.asarray(similarity).sum(axis=1, dtype=np.float64) - diagonal
    return float(max(0.0, (weight * off - utility).max()))


def _is_psd(matrix: np.ndarray) -> bool:
    """Say whether a symmetric matrix is positive semi-definite up to rounding (Cholesky)."""
    lifted = np.array(matrix, dtype=np.float64)
    # A kernel computed in float32 misses being semi-definite by about its rounding.
    rounding = 1e-5 if np.asarray(matrix).dtype == np.float32 else 1e-10
    lifted[np.diag_indices_from(lifted)] += rounding * np.sqrt(len(lifted))
    try:
        np.linalg.cholesky(lifted)
    except np.linalg.LinAlgError:
        return False
    return True
