"""GRAD-MATCH: few rows with weights whose sum is close to the sum of all gradients."""

import time
import warnings

import numpy as np
from scipy import linalg
from scipy.optimize import OptimizeResult

from helpers import StudyError
from helpers.checks import check_features, check_k, check_number

TOLERANCE = 1e-7  # relative residual: float32 gradients know their sum no better
LEAST_COSINE = 1e-7  # of the angle between a row that may help and the residual
PATIENCE = 8  # rows in a row whose help is lost in rounding
N_ROWS = 2048  # rows turned to float64 at a time


def grad_match(
    gradients: np.ndarray,
    k: int,
    fill: bool = False,
    ridge: float = 0.0,
    tolerance: float = TOLERANCE,
) -> tuple[np.ndarray, np.ndarray]:
    """Pick at most k rows and weights >= 0 whose weighted sum is close to the sum of all rows.

    Args:
        gradients: One gradient an example, shape (n, d).
        k: Rows to keep at most.
        fill: Top up to exactly k rows. What is added has weight 0, so that the match stays:
            the rows best correlated with what is left of the sum, then the lowest rows. They
            are to be left out of training, where a step on them would count but teach nothing.
        ridge: GRAD-MATCH's lambda on the squared weights, >= 0, in squared gradient units.
        tolerance: Stop where the residual is this share of the sum's length, >= 0.

    Returns:
        Row numbers in order of addition, int64, and their weights, float64, both of the same
        length. Weights add up to about n, as CRAIG's do, where gradients are alike. Fewer than
        k rows come back (without fill) once no further row can shorten the residual; that is
        so after d rows at the latest where ridge = 0.

    Warns:
        UserWarning: If the gradients sum to zero, as where all are 0: nothing can be matched.

    Source: Killamsetty et al. (2021), arXiv:2103.00123, Algorithms 1 and 2; `geda` Table A.1.
    """
    found = match(gradients, k, ridge, tolerance)
    if not found.iterations and found.relative_residual == 0:
        warnings.warn(
            "gradients that sum to zero, of all rows or of a class, leave nothing to match; "
            "rows that fill up to k are the lowest",
            stacklevel=2,
        )
    if not fill:
        return found.indices, found.weights
    space = _Space(gradients)
    left = space.target - found.weights @ space.points[found.indices].astype(np.float64)
    values = np.zeros(len(space.points))
    if np.linalg.norm(left) > 1e-13 * np.linalg.norm(space.target):
        values = space.correlations(left / np.linalg.norm(left))
        values[np.abs(values) <= LEAST_COSINE * space.lengths] = 0
    values[found.indices] = -np.inf
    added = np.argsort(-values, kind="stable")[: int(k) - len(found.indices)]
    weights = np.concatenate([found.weights, np.zeros(len(added))])
    return np.concatenate([found.indices, added]), weights


def match(
    gradients: np.ndarray, k: int, ridge: float = 0.0, tolerance: float = TOLERANCE
) -> OptimizeResult:
    """Run orthogonal matching pursuit with weights >= 0 and keep what happened at each step.

    Args as `grad_match`.

    Returns:
        OptimizeResult with indices and weights; objective = ||sum g - sum w g||^2 + ridge ||w||^2
        and relative_residual = ||sum g - sum w g|| / ||sum g||; residuals
        (steps + 1,), the relative residual before the first and after each step; n_removed,
        rows that were chosen and left again; iterations, seconds, message, success;
        status "optimal" (gap 0) where no choice of rows and weights does better, up to the
        tolerance or to rows at right angles with the residual (cosine <= 1e-7), else "feasible"
        (bound and gap None).

    Source: Killamsetty et al. (2021), Algorithm 2; the inner loop is that of Lawson & Hanson
    (1974), chapter 23, which makes the whole a run of their method cut short at k rows.

    Note: a step adds the row with the largest inner product (not cosine) with the residual and
    then finds the best weights >= 0 for the rows it has; rows whose weight falls to 0 leave, and
    may return. Clipping negative weights afterwards instead spoils the residual. The target
    is the sum of the gradients, not their mean. Rows are scanned in their own precision;
    whatever that cannot tell apart is compared in float64, so ties go to the lowest row.
    """
    start = time.perf_counter()
    space = _Space(gradients)
    k = check_k(k, len(space.points))
    check_number(ridge, "ridge")
    check_number(tolerance, "tolerance")
    chosen, length = _Weighted(space.target, ridge), float(np.linalg.norm(space.target))
    most = k if ridge else min(k, len(space.target))  # without a ridge, d are independent
    residuals, n_removed, barred = [1.0 if length else 0.0], 0, []
    proven, message = not ridge, f"the residual is within the tolerance {tolerance:g}"
    while residuals[-1] > tolerance:
        row = None
        if len(chosen.rows) == most:
            proven = most < k and residuals[-1] <= TOLERANCE
            message = f"stopped at {most} rows, " + ("k" if most == k else "the dimensions")
        elif len(barred) > PATIENCE:
            proven, message = False, "rounding hides what further rows would add"
        elif (row := space.best(chosen.residual, chosen.rows + barred)) is None:
            proven, message = True, "no other row can shorten the residual"
        if row is None:
            break
        before = chosen.objective
        n_removed += chosen.add(row, space.points[row].astype(np.float64))
        # Rounding alone can make it no better; the row then waits until another one helps.
        barred = [*barred, row] if chosen.objective >= before else []
        residuals.append(float(np.linalg.norm(chosen.residual)) / length)
    return OptimizeResult(
        indices=np.array(chosen.rows, dtype=np.int64),
        weights=chosen.weights.copy(),
        objective=chosen.objective,
        bound=chosen.objective if proven else None,
        gap=0.0 if proven else None,
        relative_residual=residuals[-1],
        residuals=np.array(residuals),
        n_removed=n_removed,
        iterations=len(residuals) - 1,
        status="optimal" if proven else "feasible",
        success=proven,
        message=message if length else "the gradients sum to zero",
        seconds=time.perf_counter() - start,
    )


class _Space:
    """The gradients (n, d), their lengths (n,) and their sum, the target (d,), in float64."""

    def __init__(self, gradients: np.ndarray):
        self.points = np.ascontiguousarray(check_features(gradients, "gradients"))
        n, d = self.points.shape
        self.target, self.lengths = np.zeros(d), np.zeros(n)
        with np.errstate(over="ignore", invalid="ignore"):
            for start in range(0, n, N_ROWS):
                wide = self.points[start : start + N_ROWS].astype(np.float64)
                self.target += wide.sum(axis=0)
                self.lengths[start : start + N_ROWS] = np.sqrt(np.einsum("ij,ij->i", wide, wide))
            largest = np.abs(self.lengths).max() * n
            if not largest**2 < np.inf:
                raise StudyError("gradients are too large: their squares overflow; scale them")
        if np.linalg.norm(self.target) <= np.sqrt(d) * np.finfo(np.float64).eps * largest:
            self.target[:] = 0  # what is left of a sum that cancels is rounding
        self.rounding = 4 * np.sqrt(d) * float(np.finfo(self.points.dtype).eps)  # of cosines

    def best(self, residual: np.ndarray, closed: list[int]) -> int | None:
        """Return the row with the largest inner product with the residual; None if none helps.

        A scan in the precision of the points leaves those that may be largest; float64, summed
        row by row so that equal rows have equal values, decides.
        """
        unit = residual / np.linalg.norm(residual)
        values = (self.points @ unit.astype(self.points.dtype)).astype(np.float64)
        values[closed] = -np.inf
        slack = self.rounding * self.lengths
        near = np.flatnonzero(values + slack >= (values - slack).max())
        exact = (self.points[near] * unit).sum(axis=1)
        exact[np.isneginf(values[near]) | (exact <= LEAST_COSINE * self.lengths[near])] = -np.inf
        row = int(near[exact.argmax()])
        return row if exact.max() > 0 else None

    def correlations(self, direction: np.ndarray) -> np.ndarray:
        """Return the inner product of every row with a direction (d,), in float64, shape (n,)."""
        parts = range(0, len(self.points), N_ROWS)
        return np.concatenate(
            [(self.points[s : s + N_ROWS] * direction).sum(axis=1) for s in parts]
        )


class _Weighted:
    """Rows with the weights > 0 that come closest to a target, in order of addition.

    Their Gram matrix grows by a row a time. Weights move by Newton steps from the present ones
    and the residual is computed from the weights, so that rounding does not add up.
    """

    def __init__(self, target: np.ndarray, ridge: float):
        self.target, self.ridge = target, ridge
        self.residual = target.copy()
        self.rows: list[int] = []
        self.weights = np.zeros(0)
        self.points, self.gram = np.zeros((0, len(target))), np.zeros((0, 0))

    @property
    def objective(self) -> float:
        """Squared length of the residual plus ridge times that of the weights."""
        return float(self.residual @ self.residual + self.ridge * (self.weights @ self.weights))

    def add(self, row: int, point: np.ndarray) -> int:
        """Put a row (d,) in, find the best weights >= 0, and return how many rows left.

        Source: Lawson & Hanson (1974), chapter 23, steps 6 to 11.
        """
        self.points = np.vstack([self.points, point])
        self.gram = np.pad(self.gram, (0, 1))
        self.gram[-1] = self.gram[:, -1] = self.points @ point
        self.gram[-1, -1] += self.ridge
        self.weights = np.append(self.weights, 0.0)
        self.rows.append(row)
        n_before = len(self.rows)
        while self.rows:
            step = self._step()
            falling = np.flatnonzero(self.weights + step <= 0)
            if not len(falling):
                self.weights += step
                self.residual = self.target - self.weights @ self.points
                break
            # The share of the step at which the first weight reaches 0.
            shares = -self.weights[falling] / np.minimum(step[falling], -np.finfo(float).tiny)
            self.weights += shares.min() * step
            self.weights[falling[shares.argmin()]] = 0
            stay = self.weights > 0
            self.rows = [row for row, stays in zip(self.rows, stay, strict=True) if stays]
            self.weights, self.points = self.weights[stay], self.points[stay]
            self.gram = self.gram[np.ix_(stay, stay)]
            self.residual = self.target - self.weights @ self.points
        return n_before - len(self.rows)

    def _step(self) -> np.ndarray:
        """Return the Newton step to the best weights of either sign, shape (m,)."""
        slopes = self.points @ self.residual - self.ridge * self.weights
        try:
            factor = linalg.cho_factor(self.gram, lower=True, check_finite=False)
            return linalg.cho_solve(factor, slopes, check_finite=False)
        except linalg.LinAlgError:  # rows that are dependent up to rounding
            return linalg.pinvh(self.gram) @ slopes
