"""The parts of `iqp.solve`: which Q to multiply with, what to iterate from, what to report."""

import warnings
from dataclasses import dataclass

import numpy as np
from scipy.optimize import OptimizeResult

from helpers import StudyError
from helpers.scores import order
from helpers.selection import tiles
from helpers.selection.fourier import Fourier, check_frequencies, frequencies
from helpers.selection.kernels import gaussian_similarity
from helpers.selection.power import check_shift, check_start, iterate
from helpers.selection.quadratic import Blocks, Matrix, Quadratic
from helpers.selection.rows import Rows

VANISHED = 1e-6  # a kernel whose off-diagonal rows sum to less than this changes no ranking
N_MANY = 1_000_000  # rows from which random Fourier features are the default
N_SAMPLED = 256  # rows whose exact sums show what the Fourier features missed
N_PAIRS = 1_000_000_000  # pairs of selected rows whose exact kernel takes a few seconds
NOISY = 0.5  # share of the ranking's spread that may come from the Fourier estimate


@dataclass(frozen=True, eq=False)
class Task:
    """A checked call of `iqp.solve`: what is to be maximised, and by what means.

    Attributes:
        utility: Shape (n,), float64.
        rows: The features.
        k: Examples to keep.
        weight: The paper's lambda.
        h: Bandwidth in units of the features, as a number.
        diversity: "kernel" or "distance".
        threads: Threads of the sums by blocks.
    """

    utility: np.ndarray
    rows: Rows
    k: int
    weight: float
    h: float
    diversity: str
    threads: int


def program_of(
    task: Task, method: str, memory: float, n_frequencies: int, rng: np.random.Generator
) -> Quadratic:
    """Return Q in the cheapest form that the memory allows."""
    rows = task.rows
    check_frequencies(n_frequencies)
    # Twice: beside the matrix there are rows gathered from it.
    fits = 2 * rows.dtype.itemsize * rows.n**2 <= memory
    if method == "fourier" or (method == "auto" and not fits and rows.n >= N_MANY):
        waves = frequencies(len(rows.centre), n_frequencies, rng)
        fixed = task.weight, task.diversity, waves, task.threads
        return Fourier(task.utility, rows, task.h, *fixed)
    if fits:
        similarity = gaussian_similarity(rows.take(slice(None)), task.h, task.diversity)
        return Matrix(task.utility, similarity, task.weight)
    points = tiles.prepared(rows, slice(None), task.h)
    return Blocks(task.utility, points, task.weight, task.diversity, task.threads)


def has_vanished(task: Task, program: Quadratic) -> bool:
    """Say whether the kernel between different rows is as good as zero.

    Random Fourier features would return their own noise there, so with them exact sums of a
    sample decide; the sample also warns where noise would rule the ranking.
    """
    if task.rows.n == 1:
        return False
    if isinstance(program, Fourier):
        sample = np.unique(np.arange(N_SAMPLED) * task.rows.n // N_SAMPLED)
        sums = tiles.sampled_sums(task.rows, sample, task.h, task.threads)
        if sums.max() >= VANISHED:
            program.noise = _noise(task, program, sample, sums)
    else:
        sums = program.sums()
        sums = sums if task.diversity == "kernel" else task.rows.n - 1 - sums
    return bool(sums.max() < VANISHED)


def _noise(task: Task, program: Fourier, sample: np.ndarray, exact: np.ndarray) -> float:
    """Return the spread of the estimate's error over that of the ranking itself, and warn."""
    error = task.weight * (program.all_sums()[sample] - exact)
    sign = 1 if task.diversity == "kernel" else -1
    spread = np.std(task.utility[sample] + sign * task.weight * exact)
    noise = float(np.std(error) / spread) if spread > 0 else 0.0
    if noise > NOISY:
        warnings.warn(
            f"random Fourier features return mostly noise at this bandwidth: their error is "
            f"{noise:.2g} of the ranking's spread (more n_frequencies or bandwidth='median' help)",
            stacklevel=4,
        )
    return noise


def by_utility(task: Task, is_known: bool) -> OptimizeResult:
    """Rank by utility, where the kernel between rows has vanished, and warn."""
    warnings.warn(
        f"the Gaussian kernel vanishes between all rows at bandwidth {task.h:.4g}; ranking by "
        "utility alone (bandwidth='median' follows the data)",
        stacklevel=3,
    )
    selected = order(task.utility)[: task.k]
    far = task.weight * task.k * (task.k - 1) if task.diversity == "distance" else 0.0
    limit = float(task.utility[selected].sum() + far)  # where every pair is infinitely far
    value = exact_value(task, selected) if _is_small(task) else limit
    slack = task.weight * task.k * VANISHED if task.diversity == "kernel" else 0.0
    return OptimizeResult(
        indices=selected,
        fun=value,
        objectives=np.array([value]),
        nit=0,
        success=True,
        shift=0.0,
        bound=limit + slack if is_known else None,
        message="the kernel vanishes: ranked by utility",
    )


def improve(
    task: Task, program: Quadratic, start: str | np.ndarray, shift: object, max_steps: int
) -> OptimizeResult:
    """Run truncated power from the LP's set or from the rows given, and add the bound."""
    sums = program.sums()
    ranking = task.utility + task.weight * sums
    best = order(ranking)[: task.k]
    chosen = np.sort(best) if isinstance(start, str) else check_start(start, task.rows.n)
    if len(chosen) != task.k:
        raise StudyError(f"start must hold k = {task.k} row numbers, got {len(chosen)}")
    result = iterate(program, chosen, _shift(task, sums, shift), max_steps)
    result.bound = float(ranking[best].sum())
    if isinstance(program, Fourier):
        result.bound = None
        _evaluate(task, program, result, chosen)
    return result


def _shift(task: Task, sums: np.ndarray, shift: object) -> float:
    """Return the diagonal shift as a number; "auto" makes Q positive semi-definite."""
    if not (isinstance(shift, str) and shift == "auto"):
        return check_shift(shift)
    if task.diversity == "kernel":  # known to be semi-definite with a unit diagonal
        return max(0.0, task.weight - float(task.utility.min()))
    return max(0.0, float((task.weight * sums - task.utility).max()))


def _evaluate(task: Task, program: Fourier, result: OptimizeResult, start: np.ndarray) -> None:
    """Replace the estimated objective by the exact one, where the subset is small enough."""
    if not _is_small(task):
        result.message += "; objective estimated by random Fourier features"
        return
    result.fun, at_start = exact_value(task, result.indices), exact_value(task, start)
    if at_start > result.fun:  # an estimate may call a worse subset the better one
        product = program.product(start)
        result.indices, result.fun = start[order(product[start])], at_start
        result.message += "; by exact objective the start was better and is returned"


def _is_small(task: Task) -> bool:
    """Say whether the kernel between the selected rows is a matter of seconds."""
    return task.k * (task.k - 1) // 2 <= N_PAIRS


def exact_value(task: Task, selected: np.ndarray) -> float:
    """Return x'Qx of a subset without the matrix, from the kernel between its own rows."""
    points = tiles.prepared(task.rows, selected, task.h)
    pairs = float(tiles.row_sums(points, task.threads).sum())
    if task.diversity == "distance":
        pairs = len(selected) * (len(selected) - 1) - pairs
    return float(task.utility[selected].sum() + task.weight * pairs)


def swapped(task: Task, program: Quadratic, result: OptimizeResult) -> None:
    """Let swap search improve the subset further."""
    from helpers.selection.search import swap_search

    found = swap_search(task.utility, program.similarity, result.indices, task.weight)
    chosen = np.sort(found.indices)
    product = program.product(chosen)
    value = float(product[chosen].sum())
    if value > result.fun:
        result.indices, result.fun = chosen[order(product[chosen])], value
        result.message += "; improved by swap search"
