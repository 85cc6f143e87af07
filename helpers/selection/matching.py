"""GRAD-MATCH: few rows with weights whose sum is close to the sum of all gradients."""

import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from numbers import Real

import numpy as np
from scipy.optimize import OptimizeResult

from helpers import StudyError
from helpers.checks import check_features, check_k
from helpers.selection.active_set import LEAST_COSINE, ROUNDING, ActiveSet

TOLERANCE = 1e-7  # relative residual: float32 gradients know their sum no better
PATIENCE = 8  # rows in a row whose help is lost in rounding
BLOCK_CELLS = 1 << 20  # cells turned to float64 at a time: 8 MiB
LARGEST_POWER = 100  # of 2, of the largest entry; squares of float32 leave their range beyond


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
        k: Rows to keep at most, 1 <= k <= n.
        fill: Top up to exactly k rows. What is added has weight 0, so that the match stays:
            the rows best correlated with what is left of the sum, which at that point is none,
            then the lowest rows. They are to be left out of training, where a step on them
            would count but teach nothing.
        ridge: GRAD-MATCH's lambda on the squared weights, >= 0, in squared gradient units.
        tolerance: Stop where the residual is this share of the sum's length, >= 0.

    Returns:
        Row numbers in order of addition, int64, and their weights, float64, both of the same
        length. Weights add up to about n, as CRAIG's do, where gradients are alike. Fewer than
        k rows come back (without fill) once no further row can shorten the residual; that is
        so after d rows at the latest where ridge = 0.

    Raises:
        ValueError: If gradients, k, ridge or tolerance are invalid.

    Warns:
        UserWarning: If the gradients sum to zero, as where all are 0: nothing can be matched.

    Source: Killamsetty et al. (2021), arXiv:2103.00123, Algorithms 1 and 2; `geda` Table A.1.

    Note: see `match`.
    """
    space, active, result = _match(gradients, k, ridge, tolerance)
    if not space.target.any():
        warnings.warn(
            "gradients that sum to zero, of all rows or of a class, leave nothing to match; "
            "rows that fill up to k are the lowest",
            stacklevel=2,
        )
    if not fill:
        return result.indices, result.weights
    left = active.residual
    if np.linalg.norm(left) <= ROUNDING * np.linalg.norm(space.target):
        left = np.zeros_like(left)
    values = _correlations(space, left / (np.linalg.norm(left) or 1.0))
    values[np.abs(values) <= LEAST_COSINE * space.lengths] = 0
    values[result.indices] = -np.inf
    added = np.argsort(-values, kind="stable")[: int(k) - len(result.indices)]
    weights = np.concatenate([result.weights, np.zeros(len(added))])
    return np.concatenate([result.indices, added]), weights


def match(
    gradients: np.ndarray, k: int, ridge: float = 0.0, tolerance: float = TOLERANCE
) -> OptimizeResult:
    """Run orthogonal matching pursuit with weights >= 0 and keep what happened at each step.

    Args:
        gradients: Shape (n, d).
        k: Rows to keep at most, 1 <= k <= n.
        ridge: As in `grad_match`.
        tolerance: As in `grad_match`.

    Returns:
        OptimizeResult with indices and weights; objective = fun = ||sum g - sum w g||^2 +
        ridge ||w||^2 (inf where that exceeds float64) and relative_residual =
        ||sum g - sum w g|| / ||sum g||; residuals (steps + 1,), the relative residual before
        the first and after each step; n_removed, rows that were chosen and left again;
        iterations = nit, seconds, message, success; status "optimal" (gap 0) where no choice of
        rows and weights does better, up to the tolerance or to rows at right angles with the
        residual (cosine <= 1e-7), else "feasible" (bound and gap None).

    Raises:
        ValueError: If gradients, k, ridge or tolerance are invalid.

    Source: Killamsetty et al. (2021), Algorithm 2; the inner loop is that of Lawson & Hanson
    (1974), chapter 23, which makes the whole a run of their method cut short at k rows.

    Note: a step adds the row with the largest inner product (not cosine) with the residual and
    then finds the best weights >= 0 for the rows it has; rows whose weight falls to 0 leave, and
    may return. Clipping negative weights afterwards instead spoils the residual. The target
    is the sum of the gradients, not their mean. Rows are scanned in their own precision;
    whatever that cannot tell apart is compared in float64, so ties go to the lowest row.
    """
    return _match(gradients, k, ridge, tolerance)[2]


def _match(
    gradients: np.ndarray, k: int, ridge: float, tolerance: float
) -> tuple["_Space", ActiveSet, OptimizeResult]:
    """Check the input, pursue, and read the answer out."""
    start = time.perf_counter()
    gradients, power = _in_range(_check_gradients(gradients))
    k = check_k(k, len(gradients))
    space = _space(gradients, _squared(_not_negative(ridge, "ridge"), -power))
    if not np.isfinite(space.ridge):
        raise StudyError(f"ridge must suit the size of the gradients, got {ridge:g}: too large")
    # Without a ridge no more than d rows are independent.
    most = k if space.ridge else min(k, len(space.target))
    active = ActiveSet(space.target, space.ridge, most)
    trace = _pursue(space, active, k, _not_negative(tolerance, "tolerance"))
    result = _read(active, trace, _squared(active.objective * space.scale**2, power))
    result.seconds = time.perf_counter() - start
    return space, active, result


def _read(active: ActiveSet, trace: "_Trace", objective: float) -> OptimizeResult:
    """Put the answer and its story into one result."""
    indices, weights = active.read()
    n_steps = len(trace.residuals) - 1
    return OptimizeResult(
        indices=indices,
        weights=weights,
        fun=objective,
        objective=objective,
        bound=objective if trace.is_proven else None,
        gap=0.0 if trace.is_proven else None,
        relative_residual=trace.residuals[-1],
        residuals=np.array(trace.residuals),
        n_removed=trace.n_removed,
        iterations=n_steps,
        nit=n_steps,
        status="optimal" if trace.is_proven else "feasible",
        success=trace.is_proven,
        message=trace.message,
    )


def _check_gradients(gradients: np.ndarray) -> np.ndarray:
    """Return gradients (n, d) as float32 or float64, in rows, or one line on what is wrong."""
    return np.ascontiguousarray(check_features(gradients, "gradients"))


def _in_range(gradients: np.ndarray) -> tuple[np.ndarray, int]:
    """Return gradients (n, d) over 2^power, exactly, where their squares leave the range."""
    power = int(np.frexp(max(gradients.max(), -gradients.min()))[1])
    if abs(power) <= LARGEST_POWER:
        return gradients, 0
    return np.ldexp(gradients, -power), power


def _squared(value: float, power: int) -> float:
    """Return a value in squared units of gradients times 4^power; inf where that overflows."""
    with np.errstate(over="ignore", under="ignore"):
        return float(np.ldexp(value, 2 * power))


def _not_negative(value: float, name: str) -> float:
    """Return a finite number >= 0 as a float."""
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= value < np.inf:
        raise StudyError(f"{name} must be a finite number >= 0, got {value!r}")
    return float(value)


@dataclass(frozen=True)
class _Space:
    """The gradients and what is computed of them once."""

    points: np.ndarray  # (n, d), as given
    lengths: np.ndarray  # (n,), float64
    target: np.ndarray  # (d,), float64: the sum of the rows over scale
    scale: float  # largest entry: squares of points / scale stay in range
    ridge: float  # over scale squared
    rounding: float  # cosines nearer than this look alike in the precision of points


def _space(points: np.ndarray, ridge: float) -> _Space:
    """Measure the gradients (n, d)."""
    n, d = points.shape
    scale = float(max(points.max(), -points.min())) or 1.0
    target, lengths = np.zeros(d), np.empty(n)
    for rows, wide in _blocks(points):
        wide /= scale
        target += wide.sum(axis=0)
        lengths[rows] = np.sqrt(np.einsum("ij,ij->i", wide, wide))
    if np.linalg.norm(target) <= n * np.sqrt(d) * np.finfo(np.float64).eps:
        target[:] = 0  # what is left of a sum that cancels is rounding
    rounding = 4 * np.sqrt(d) * float(np.finfo(points.dtype).eps)
    return _Space(points, lengths * scale, target, scale, ridge / scale**2, rounding)


def _blocks(points: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield the rows (n, d) as float64 copies, a block at a time."""
    n_rows = max(1, BLOCK_CELLS // points.shape[1])
    for start in range(0, len(points), n_rows):
        rows = slice(start, start + n_rows)
        yield rows, points[rows].astype(np.float64)


@dataclass
class _Trace:
    """What happened on the way, and why it ended."""

    residuals: list[float]  # relative, one more than there were steps
    n_removed: int = 0
    message: str = ""
    is_proven: bool = False  # whether no rows and weights do better

    def end(self, message: str, is_proven: bool = True) -> "_Trace":
        """Note why it ended."""
        self.message, self.is_proven = message, is_proven
        return self


def _pursue(space: _Space, active: ActiveSet, k: int, tolerance: float) -> _Trace:
    """Add rows to the active set until a rule stops it."""
    length = float(np.linalg.norm(space.target))
    trace, barred = _Trace([1.0 if length else 0.0]), []
    if not length:
        return trace.end("the gradients sum to zero")
    while trace.residuals[-1] > tolerance:
        if active.size == k:
            return trace.end(f"stopped at k = {k} rows", is_proven=False)
        if active.size == active.most:
            is_small = trace.residuals[-1] <= TOLERANCE
            return trace.end("as many rows as dimensions", is_proven=is_small)
        if len(barred) > PATIENCE:
            return trace.end("rounding hides what further rows would add", is_proven=False)
        row = _best_row(space, active, barred)
        if row is None:
            return trace.end("no other row can shorten the residual")
        before = active.objective
        trace.n_removed += active.add(row, space.points[row].astype(np.float64) / space.scale)
        # Rounding alone can make it no better; the row then waits until another one helps.
        barred = [*barred, row] if active.objective >= before else []
        trace.residuals.append(float(np.linalg.norm(active.residual)) / length)
    # With a ridge, other weights may still be shorter.
    message = f"the residual is within the tolerance {tolerance:g}"
    return trace.end(message, is_proven=not space.ridge)


def _best_row(space: _Space, active: ActiveSet, barred: list[int]) -> int | None:
    """Return the row with the largest inner product with the residual; None if none is positive.

    A scan in the precision of the points leaves those that may be largest; float64, summed row
    by row so that equal rows have equal values, decides.
    """
    unit = active.residual / np.linalg.norm(active.residual)
    closed = np.append(active.numbers, barred).astype(np.int64)
    values = (space.points @ unit.astype(space.points.dtype)).astype(np.float64)
    values[closed] = -np.inf
    slack = space.rounding * space.lengths
    near = np.flatnonzero(values + slack >= (values - slack).max())
    exact = (space.points[near] * unit).sum(axis=1)
    best = exact.argmax()
    row = int(near[best])
    if np.isfinite(values[row]) and exact[best] > LEAST_COSINE * space.lengths[row]:
        return row
    values = _correlations(space, unit)  # too close to right angles for the quick scan
    values[closed] = -np.inf
    values[values <= LEAST_COSINE * space.lengths] = -np.inf
    return int(values.argmax()) if values.max() > 0 else None


def _correlations(space: _Space, direction: np.ndarray) -> np.ndarray:
    """Return the inner product of every row with a direction (d,), in float64, shape (n,)."""
    values = np.empty(len(space.points))
    for rows, wide in _blocks(space.points):
        values[rows] = (wide * direction).sum(axis=1)
    return values
