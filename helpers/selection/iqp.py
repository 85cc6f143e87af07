"""Budgeted selection: max x'Qx over k rows, by its LP in closed form and truncated power.

Q has the utilities u on its diagonal and lambda D off it (`budgeted` eq. 8). The n x n matrix is
formed only where it fits the memory; otherwise Q is known through sums over rows of D.
"""

import contextlib
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.optimize import OptimizeResult

from helpers import StudyError
from helpers.checks import (
    check_choice,
    check_k,
    check_number,
    check_rng,
    check_rows,
    check_scores,
    check_similarity,
)
from helpers.scores import entropy, order
from helpers.selection import gaussian_sums
from helpers.selection.gaussian_sums import (  # noqa: PLC0414  public here too
    Rows,
    gaussian_similarity as gaussian_similarity,
    row_sums as row_sums,
)
from helpers.selection.registry import Pool, method

MEMORY = 1 << 30  # bytes
N_MANY = 1_000_000  # rows from which random Fourier features are the default
N_PAIRS = 1_000_000_000  # pairs of selected rows whose exact kernel takes a few seconds
VANISHED = 1e-6  # a kernel whose off-diagonal rows sum to less than this changes no ranking
PROVEN = 1e-9  # relative distance to the bound from which a subset counts as optimal


@dataclass(frozen=True, eq=False)
class Program:
    """Q, known through sums over rows of D."""

    utility: np.ndarray  # (n,), float64
    weight: float  # the paper's lambda
    sums: np.ndarray  # row sums of D less its diagonal, (n,), float64
    over: Callable[[np.ndarray, np.ndarray], np.ndarray]  # as `gaussian_sums.sums_over`, of D

    def product(self, rows: np.ndarray) -> np.ndarray:
        """Return Qx for the x that marks some rows, shape (n,), float64."""
        n = len(self.utility)
        if 2 * len(rows) <= n:
            return self._signed(rows, np.ones(len(rows)))
        others = np.delete(np.arange(n), rows)
        product = self.weight * (self.sums - self.over(others, np.ones(len(others))))
        product[rows] += self.utility[rows]
        return product

    def moved(self, product: np.ndarray, old: np.ndarray, new: np.ndarray) -> np.ndarray:
        """Return Qx of new rows (k,) from that of old ones, by the rows that changed or by all."""
        entered = np.setdiff1d(new, old, assume_unique=True)
        left = np.setdiff1d(old, new, assume_unique=True)
        if 2 * len(entered) > min(len(old), len(product) - len(old)):
            return self.product(new)
        signs = np.repeat([1.0, -1.0], [len(entered), len(left)])
        return product + self._signed(np.concatenate([entered, left]), signs)

    def _signed(self, rows: np.ndarray, signs: np.ndarray) -> np.ndarray:
        product = self.weight * self.over(rows, signs)
        product[rows] += signs * self.utility[rows]
        return product


def objective(
    utility: np.ndarray, similarity: np.ndarray, selected: np.ndarray, weight: float = 0.3
) -> float:
    """Return x'Qx of a subset (k,): its utilities plus weight times its pairs' entries, each twice.

    Args as `lp_relaxation`; D's diagonal is not used (`budgeted` eqs 7, 8).
    """
    inner = np.asarray(similarity)[np.ix_(selected, selected)]
    pairs = inner.sum(dtype=np.float64) - np.trace(inner, dtype=np.float64)
    return float(np.asarray(utility)[selected].sum() + weight * pairs)


def lp_relaxation(
    utility: np.ndarray, similarity: np.ndarray, k: int, weight: float = 0.3
) -> np.ndarray:
    """Solve the LP relaxation in closed form: the k largest row sums of Q.

    Args:
        utility: How much each example is worth, shape (n,), finite, >= 0.
        similarity: The paper's D, shape (n, n), symmetric, entries >= 0.
        k: Examples to keep.
        weight: The paper's lambda, >= 0.

    Returns:
        Row numbers (k,), largest row sum first; ties keep row order.

    Source: `budgeted` eq. 11, then rounding to the k largest.

    Note: with Q >= 0 and symmetric the best w_ij is (x_i + x_j) / 2 and w_ii = x_i, so eq. 11
    is max r'x with r = Q1: integral, and no solver is needed.
    """
    utility, similarity, sums = check_program(utility, similarity, weight)
    k = check_k(k, len(utility))
    return order(utility + weight * sums)[:k]


def truncated_power(
    utility: np.ndarray,
    similarity: np.ndarray,
    start: np.ndarray,
    weight: float = 0.3,
    shift: str | float | None = "auto",
) -> np.ndarray:
    """Return the best subset that `power_steps` meets, shape (k,), int64, largest of Qx first."""
    return power_steps(utility, similarity, start, weight, shift).indices


def power_steps(
    utility: np.ndarray,
    similarity: np.ndarray,
    start: np.ndarray,
    weight: float = 0.3,
    shift: str | float | None = "auto",
    max_steps: int = 100,
) -> OptimizeResult:
    """Improve a subset by x <- top-k of (Q + shift I) x until it repeats, and report the way.

    Args:
        utility: As in `lp_relaxation`, and so are similarity and weight.
        similarity: The paper's D.
        start: Row numbers of the first subset, shape (k,), no repeats.
        weight: The paper's lambda.
        shift: Added to the diagonal; "auto" takes one that makes Q positive semi-definite
            (see `find_shift`), None iterates as printed, without.
        max_steps: Products with Q at most.

    Returns:
        OptimizeResult with indices (k,), objective (best x'Qx), objectives (x'Qx of each subset
        met, start first), bound (the value of the LP relaxation), gap (relative), iterations
        (subsets after the start that were new), seconds, status ("optimal": meets the bound;
        "local": a fixed subset; "feasible"), message, success (status is not "feasible"), settled
        (a fixed subset was reached), shift.

    Source: `budgeted` Algorithm 1, after Yuan & Zhang (2013).

    Note: with a valid shift no step lowers x'Qx. Without one the subsets may run in a circle,
    so the iteration ends on any subset seen before.
    """
    began = time.perf_counter()
    utility, similarity, sums = check_program(utility, similarity, weight)
    chosen = np.sort(check_rows(start, len(utility), "start"))
    shift = _check_shift(shift)
    shift = find_shift(utility, similarity, weight) if shift == "auto" else shift
    program = Program(utility, weight, sums, partial(gaussian_sums.matrix_sums_over, similarity))
    return reported(began, **_iterate(program, chosen, shift, max_steps))


def find_shift(utility: np.ndarray, similarity: np.ndarray, weight: float = 0.3) -> float:
    """Return a diagonal shift that makes Q positive semi-definite, >= 0.

    Where similarity has a unit diagonal and is positive semi-definite, as every Gaussian
    kernel, Q - diag(u - weight) is too, and max(0, weight - min u) suffices. Otherwise the row
    sums bound the eigenvalues (Gershgorin): safe, but so large that a start may not move.

    Source: `budgeted` section III-C asks for "a positive scalar" without naming it.
    """
    diagonal = np.diagonal(similarity)
    if np.allclose(diagonal, 1):
        lifted = np.array(similarity, dtype=np.float64)
        # A kernel computed in float32 misses being semi-definite by about its rounding.
        rounding = 1e-5 if np.asarray(similarity).dtype == np.float32 else 1e-10
        lifted[np.diag_indices_from(lifted)] += rounding * np.sqrt(len(lifted))
        with contextlib.suppress(np.linalg.LinAlgError):
            np.linalg.cholesky(lifted)
            return max(0.0, float(weight - np.min(utility)))
    off = np.asarray(similarity).sum(axis=1, dtype=np.float64) - diagonal
    return max(0.0, float((weight * off - utility).max()))


def solve(
    utility: np.ndarray,
    features: np.ndarray,
    k: int,
    weight: float = 0.3,
    bandwidth: float | str = 1.0,
    diversity: str = "kernel",
    shift: str | float | None = "auto",
    max_steps: int = 100,
    *,
    method: str = "auto",
    memory: float = MEMORY,
    n_frequencies: int = gaussian_sums.N_FREQUENCIES,
    rng: int | np.random.Generator = 0,
) -> OptimizeResult:
    """Select k examples by the whole of Algorithm 1 after fine-tuning, for pools of any size.

    The LP in closed form gives the first subset, truncated power improves it.

    Args:
        utility: As in `lp_relaxation`, and so are k and weight.
        features: Shape (n, d), may be memory-mapped; float32 and float16 are computed in
            float32, all else in float64, twice as long.
        k: Examples to keep.
        weight: The paper's lambda.
        bandwidth: As in `gaussian_similarity`, and so is diversity.
        diversity: "kernel" as printed, which rewards likeness, or "distance".
        shift: As in `power_steps`; "auto" is max(0, weight - min u) for the kernel; for the
            distance a bound by row sums, so large that the start may not move.
        max_steps: Products with Q at most.
        method: "exact", "fourier" (random Fourier features), or "auto": exact below a million
            rows.
        memory: Bytes; the matrix is formed where twice its size fits. Without it there are a
            copy of the features and some tiles; with Fourier features only blocks of them.
        n_frequencies: Of the Fourier features, each with a cosine and a sine.
        rng: Seed or generator of the frequencies; equal seeds, equal answers.

    Returns:
        As `power_steps`, with bound and gap None and objectives estimates where method is
        "fourier"; also method ("matrix", "blocks" or "fourier") and bandwidth, a number.

    Warns:
        UserWarning: If the kernel vanishes between all rows; the ranking is then by utility.

    Source: `budgeted` Algorithm 1; eqs 4 to 11.

    Note: the best subset met is returned, so never a worse one than the start. With Fourier
    features that is exact where the subset has up to 44,000 rows, else by their estimate.
    """
    began = time.perf_counter()
    check_choice(diversity, gaussian_sums.DIVERSITIES, "diversity")
    check_choice(method, ("auto", "exact", "fourier"), "method")
    check_number(memory, "memory")
    check_number(max_steps, "max_steps", whole=True)
    shift, rng = _check_shift(shift), check_rng(rng)
    utility, rows = check_utility(utility, weight), gaussian_sums.read(features)
    k = check_k(k, len(utility))
    if len(rows) != len(utility):
        raise StudyError(f"features and utility differ in length: {len(rows)}, {len(utility)}")
    h = gaussian_sums.bandwidth_of(rows, bandwidth)
    # Twice: beside the matrix there are rows gathered from it.
    form = "matrix" if 2 * rows.dtype.itemsize * len(rows) ** 2 <= memory else "blocks"
    if method == "fourier" or (method == "auto" and form == "blocks" and len(rows) >= N_MANY):
        form = "fourier"
    sums, over, largest = gaussian_sums.sums_of(rows, h, diversity, form, n_frequencies, rng)
    program = Program(utility, weight, sums, over)
    if largest < VANISHED and len(rows) > 1:
        found = _by_utility(program, k, h, diversity)
    else:
        start = top(utility + weight * sums, k)
        if shift == "auto":
            lifts = weight - utility if diversity == "kernel" else weight * sums - utility
            shift = max(0.0, float(lifts.max()))
        found = _iterate(program, start, shift, max_steps)
        if form == "fourier":
            _evaluate(found, program, start, rows, h, diversity)
    if form == "fourier":
        found["bound"] = None
    return reported(began, **found, method=form, bandwidth=h)


def _by_utility(program: Program, k: int, h: float, diversity: str) -> dict[str, object]:
    """Rank by utility, where the kernel between rows has vanished, and warn."""
    warnings.warn(
        f"the Gaussian kernel vanishes between all rows at bandwidth {h:.4g}; ranking by "
        "utility alone (bandwidth='median' follows the data)",
        stacklevel=3,
    )
    selected = order(program.utility)[:k]
    entry, slack = (0.0, VANISHED) if diversity == "kernel" else (1.0, 0.0)
    value = float(program.utility[selected].sum() + program.weight * k * (k - 1) * entry)
    found = {"indices": selected, "objective": value, "objectives": [value], "settled": True}
    found |= {"bound": value + program.weight * k * slack, "shift": 0.0}
    return found | {"message": "the kernel vanishes: ranked by utility"}


def _evaluate(
    found: dict[str, object],
    program: Program,
    start: np.ndarray,
    rows: Rows,
    h: float,
    diversity: str,
) -> None:
    """Replace the objective that Fourier features estimate by the exact one, if that is quick."""
    n_pairs = len(start) * (len(start) - 1)
    if n_pairs // 2 > N_PAIRS:
        found["message"] += "; objective estimated by random Fourier features"
        return

    def value(selected: np.ndarray) -> float:
        pairs = gaussian_sums.pair_sums(gaussian_sums.points_of(rows, selected, h)).sum()
        pairs = n_pairs - pairs if diversity == "distance" else pairs
        return float(program.utility[selected].sum() + program.weight * pairs)

    found["objective"], at_start = value(np.sort(found["indices"])), value(start)
    if at_start > found["objective"]:  # an estimate may call a worse subset the better one
        found["indices"] = start[order(program.product(start)[start])]
        found["objective"] = at_start
        found["message"] += "; by exact objective the start was better and is returned"


def budgeted(
    utility: np.ndarray,
    features: np.ndarray,
    k: int,
    weight: float = 0.3,
    bandwidth: float | str = 1.0,
    diversity: str = "kernel",
) -> np.ndarray:
    """Return the row numbers that `solve` selects, shape (k,), int64, largest of Qx first."""
    return solve(utility, features, k, weight, bandwidth, diversity).indices


def _iterate(
    program: Program, start: np.ndarray, shift: float, max_steps: int
) -> dict[str, object]:
    """Iterate from sorted rows (k,) and return what `reported` takes."""
    k, chosen, product = len(start), start, program.product(start)
    best, values, seen = (chosen, product), [product[chosen].sum()], {chosen.tobytes()}
    settled, message = False, f"stopped after {max_steps} steps, the best subset met is returned"
    for _ in range(max_steps):
        pushed = product.copy()
        pushed[chosen] += shift
        following = top(pushed, k)
        settled = np.array_equal(following, chosen)
        if settled:
            message = f"truncated power settled after {len(values) - 1} steps"
            break
        if following.tobytes() in seen:
            message = "stopped on a subset met before, the best one is returned"
            break
        product, chosen = program.moved(product, chosen, following), following
        seen.add(chosen.tobytes())
        values.append(product[chosen].sum())
        if values[-1] > max(values[:-1]):
            best = (chosen, product)
    ranking = program.utility + program.weight * program.sums
    return {
        "indices": best[0][order(best[1][best[0]])],
        "objective": max(values),
        "objectives": values,
        "settled": settled,
        "bound": float(ranking[top(ranking, k)].sum()),
        "message": message,
        "shift": shift,
    }


def reported(
    began: float,
    objective: float,
    objectives: Sequence[float],
    bound: float | None,
    settled: bool,
    **more: object,
) -> OptimizeResult:
    """Return the fields of `power_steps`; `more` are indices, message and the like."""
    value = float(objective)
    bound = bound if bound is None else max(bound, value)  # rounding alone can lift the value above
    gap = relative_gap(bound, value)
    is_optimal = gap is not None and gap <= PROVEN
    return OptimizeResult(
        objective=value,
        objectives=np.array(objectives),
        bound=bound,
        gap=gap,
        iterations=len(objectives) - 1,
        settled=settled,
        success=settled or is_optimal,
        status="optimal" if is_optimal else "local" if settled else "feasible",
        seconds=time.perf_counter() - began,
        **more,
    )


def relative_gap(bound: float | None, value: float) -> float | None:
    """Return how far the bound lies above the value, relative to the value; None without one."""
    return None if bound is None else max(0.0, bound - value) / max(abs(value), 1e-12)


def top(values: np.ndarray, k: int) -> np.ndarray:
    """Return the k rows with the largest values, sorted by row; ties keep the lowest rows."""
    least = np.partition(values, len(values) - k)[len(values) - k]
    above = np.flatnonzero(values > least)
    tied = np.flatnonzero(values == least)[: k - len(above)]
    return np.sort(np.concatenate([above, tied]))


def check_program(
    utility: np.ndarray, similarity: np.ndarray, weight: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return checked utility (n,), similarity (n, n), and its row sums less the diagonal."""
    utility = check_utility(utility, weight)
    similarity, rows = check_similarity(similarity, len(utility))
    return utility, similarity, rows - np.diagonal(similarity)


def check_utility(utility: np.ndarray, weight: float) -> np.ndarray:
    """Return utility (n,), float64, where it and weight are finite and not negative."""
    utility = check_scores(utility, finite=True)
    check_number(utility.min(), "utility")
    check_number(weight, "weight")
    return utility


def _check_shift(shift: str | float | None) -> str | float:
    if isinstance(shift, str) and shift == "auto":
        return shift
    check_number(0.0 if shift is None else shift, "shift, unless None or 'auto',")
    return float(shift or 0.0)


@method("iqp", "LP + truncated power", needs=("scores|probs", "features"), family="geometry")
def pick_iqp(
    pool: Pool,
    k: int,
    rng: np.random.Generator,
    weight: float = 0.3,
    bandwidth: float | str = 1.0,
    diversity: str = "kernel",
    shift: str | float | None = "auto",
    max_steps: int = 100,
    dimensions: int = 0,
) -> np.ndarray:
    """Run `budgeted`'s Algorithm 1 on features and scores, entropies by default.

    With `dimensions` the features are first projected to so many random directions (eq. 5).

    The shift is "auto", monotone; shift=None iterates as printed. `solve` also returns
    objective, bound and gap.
    """
    utility = entropy(pool.probs) if pool.scores is None else pool.scores
    options = {"diversity": diversity, "shift": shift, "max_steps": max_steps}
    features = pool.features
    if dimensions:
        features = features @ directions(features.shape[1], dimensions, rng)
    return solve(utility, features, k, weight, bandwidth=bandwidth, rng=rng, **options).indices


def directions(d: int, p: int, rng: np.random.Generator) -> np.ndarray:
    """Return p random directions (d, p) float32, along which lengths stay on average (eq. 5)."""
    return rng.normal(size=(d, p)).astype(np.float32) / np.float32(p) ** 0.5
