"""Linear algebra of determinantal point processes: pivots, eigenvectors, projections."""

import numpy as np
import scipy.linalg

from helpers import StudyError
from helpers.checks import check_symmetric

N_PANEL = 128  # columns factored before the rest of the matrix is updated
N_TILE = 512  # columns of the rest updated at once
EPS = float(np.finfo(np.float64).eps)


class RankError(StudyError):
    """The kernel's numerical rank is below k."""

    def __init__(self, k: int, rank: int) -> None:
        """Name both numbers and what causes it."""
        super().__init__(
            f"k must not exceed the kernel's numerical rank, {rank}, got {k}; repeated rows or a "
            "linear kernel of fewer than k features leave every larger determinant at 0"
        )


def check_kernel(kernel: np.ndarray) -> tuple[np.ndarray, float]:
    """Return a finite symmetric matrix (n, n) and how far its own rounding moves eigenvalues."""
    dtype = np.asarray(kernel).dtype
    precision = max(EPS, float(np.finfo(dtype).eps) if dtype.kind == "f" else 0)
    matrix, _, _ = check_symmetric(kernel, "kernel", slack=np.sqrt(precision))
    diagonal = np.diagonal(matrix)
    if diagonal.min() < 0:
        raise StudyError(f"kernel must not be negative on its diagonal, got {diagonal.min():.4g}")
    return matrix, float(np.sqrt(len(matrix)) * precision * diagonal.max())


def refuse_negative(values: np.ndarray, floor: float) -> None:
    """Raise where pivots or eigenvalues lie further below 0 than rounding takes them."""
    if len(values) and values.min() < -100 * floor:
        raise StudyError("kernel must be positive semi-definite")


def pivot_panel(
    rest: np.ndarray, size: int, floor: float, tie: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the next rows of the factor, (m, n), and their pivots.

    m < size says that the rank is reached. Only the upper triangle of rest (n, n) is read.
    """
    panel, pivots = np.empty((size, len(rest))), []
    diagonal = np.diagonal(rest).copy()
    for j in range(size):
        p = int(np.argmax(diagonal >= diagonal.max() - tie))
        if diagonal[p] <= floor:
            break
        row = panel[j]
        row[:p], row[p:] = rest[:p, p], rest[p, p:]
        row -= panel[:j, p] @ panel[:j]
        row /= np.sqrt(diagonal[p])
        diagonal -= row**2
        diagonal[p] = -np.inf
        pivots.append(p)
    return panel[: len(pivots)], np.array(pivots, dtype=np.int64)


def update_upper(rest: np.ndarray, panel: np.ndarray) -> np.ndarray:
    """Return rest - panel' panel in its upper triangle, in place where BLAS can."""
    if not panel.size:
        return rest
    # Transposed, a C array is the Fortran array that BLAS updates without a copy.
    return scipy.linalg.blas.dsyrk(-1.0, panel.T, 1.0, rest.T, lower=1, overwrite_c=1).T


def eigen(kernel: np.ndarray, noise: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the eigenvalues above rounding, (r,), rising, and their vectors (n, r)."""
    kernel = np.array(kernel, dtype=np.float64, order="F")
    values, vectors = scipy.linalg.eigh(kernel, driver="evd", overwrite_a=True, check_finite=False)
    floor = max(len(values) * EPS * float(np.abs(values).max()), noise)
    refuse_negative(values, floor)
    kept = values > floor
    return values[kept], vectors[:, kept]


def _inclusion_chances(values: np.ndarray, k: int) -> np.ndarray:
    """Return P(value m is drawn | j of values 0..m are), at [m, j - 1], shape (r, k).

    It is values[m] e_{j-1}(values[:m]) / e_j(values[:m + 1]), and 1 where j = m + 1.
    """
    logs = np.log(values)
    chances = np.ones((len(values), k))
    polynomials = np.full(k + 1, -np.inf)  # log e_j of the values so far, e_0 = 1
    polynomials[0] = 0
    for m, log_value in enumerate(logs):
        with_it = polynomials[:-1] + log_value
        both = np.logaddexp(polynomials[1:], with_it)
        known = min(m, k)  # beyond it e_j of m values is 0
        chances[m, :known] = np.exp(with_it[:known] - both[:known])
        polynomials[1:] = both
    return chances


def sample_eigenvectors(values: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
    """Draw k of the eigenvalues (r,), all > 0, with probability proportional to their product."""
    chances = _inclusion_chances(values, k)
    draws, chosen = rng.random(len(values)), []
    for m in range(len(values) - 1, -1, -1):
        wanted = k - len(chosen)
        if wanted and draws[m] < chances[m, wanted - 1]:
            chosen.append(m)
    return np.array(chosen, dtype=np.int64)


def sample_projection(basis: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw from the projection DPP of orthonormal columns (n, k): k rows, rising.

    Row by row, kept with the probability on the diagonal given all decisions before; the
    factorisation goes on with that pivot, or with it less 1 where the row is dropped.
    """
    n, k = basis.shape
    chances = scipy.linalg.blas.dsyrk(1.0, np.asfortranarray(basis), lower=1)
    is_kept, draws = np.zeros(n, dtype=bool), rng.random(n)
    for start in range(0, n, N_PANEL):
        stop = min(start + N_PANEL, n)
        block = chances[start:stop, start:stop]
        n_wanted = k - int(is_kept.sum())
        is_kept[start:stop] = _decide(block, draws[start:stop], n_wanted, n - start)
        if stop < n:
            _pass_on(chances, start, stop)
    return np.flatnonzero(is_kept)


def _decide(block: np.ndarray, draws: np.ndarray, n_wanted: int, n_left: int) -> np.ndarray:
    """Keep or drop the rows of a diagonal block (b, b); it becomes its unit-lower factor.

    Pivots stay on the diagonal. n_wanted of the n_left rows from here on are to be kept:
    rounding alone could miss that number, by a hair and almost never.
    """
    is_kept = np.zeros(len(block), dtype=bool)
    for j, draw in enumerate(draws):
        missing = n_wanted - int(is_kept[:j].sum())
        is_kept[j] = missing > 0 and (draw < block[j, j] or missing == n_left - j)
        if not is_kept[j]:
            block[j, j] -= 1
        column = block[j + 1 :, j].copy()
        block[j + 1 :, j] /= block[j, j]
        block[j + 1 :, j + 1 :] -= np.outer(block[j + 1 :, j], column)
    return is_kept


def _pass_on(chances: np.ndarray, start: int, stop: int) -> None:
    """Update the lower triangle behind a factored block by its decisions."""
    block = chances[start:stop, start:stop]
    scaled = scipy.linalg.solve_triangular(
        block, chances[stop:, start:stop].T, lower=True, unit_diagonal=True, check_finite=False
    )
    factor = scaled / np.diagonal(block)[:, None]
    for tile in range(stop, len(chances), N_TILE):
        columns = slice(tile - stop, tile - stop + N_TILE)
        # The sum is formed transposed, in the memory order of the Fortran array.
        chances[tile:, tile : tile + N_TILE] -= (factor[:, columns].T @ scaled[:, tile - stop :]).T
