"""Determinantal point processes: the greedy MAP subset and exact samples of a fixed size."""

import warnings
from collections.abc import Callable

import numpy as np
import scipy.linalg

from helpers import StudyError
from helpers.checks import check_choice, check_features, check_k, check_rng, check_symmetric
from helpers.selection.gaussian_sums import gaussian_similarity
from helpers.selection.registry import Pool, method

MODES = ("sample", "map")
N_MAX = 12_000  # rows `select` takes; the eigenvectors need about 7 GB there
TIE = 1e-12  # pivots closer than this share of the largest diagonal entry count as equal
RIDGE = 1e-10  # share of the trace added to the diagonal where the rank is below k
N_PANEL = 128  # columns factored before the rest of the matrix is updated
N_TILE = 512  # columns of the rest updated at once
EPS = float(np.finfo(np.float64).eps)


class RankError(StudyError):
    """The kernel's numerical rank is below k."""


def greedy_map(kernel: np.ndarray, k: int) -> np.ndarray:
    """Pick k rows one by one, each raising the determinant of the chosen submatrix most.

    Args:
        kernel: Shape (n, n), symmetric positive semi-definite; entries may be negative.
        k: Rows to keep, at most the kernel's numerical rank, else RankError.

    Returns:
        Row numbers in order of choosing, (k,); a larger k only adds to it. Pivots within 1e-12 of
        the largest diagonal entry are ties, which go to the lowest row.

    Source: Chen, Zhang & Zhou (2018), Fast greedy MAP inference for DPPs. Row i multiplies the
    determinant by the i-th diagonal entry of the Schur complement, so the picks are the pivots
    of a diagonally pivoted Cholesky factorisation.

    Note: LAPACK's dpstrf breaks ties by place after its swaps and factors all n rows. Here rows
    keep their order and the work ends at k; one copy of the kernel is held, in float64 whatever
    came in, because pivots fall below the rounding of float32.
    """
    kernel, noise = _check_kernel(kernel)
    k = check_k(k, len(kernel))
    top = float(np.diagonal(kernel).max())
    floor = max(len(kernel) * EPS * top, noise)
    rest, rows = np.array(kernel, dtype=np.float64, order="C"), np.arange(len(kernel))
    picked: list[int] = []
    while len(picked) < k:
        panel, pivots = _pivot_panel(rest, min(N_PANEL, k - len(picked)), floor, TIE * top)
        picked += rows[pivots].tolist()
        left = np.setdiff1d(np.arange(len(rows)), pivots)
        rest, rows = rest.take(left, axis=0).take(left, axis=1), rows[left]
        rest = _update_upper(rest, panel.take(left, axis=1))
        _refuse_negative(np.diagonal(rest), floor)
        if not len(pivots):
            raise _rank_error(k, len(picked))
    return np.array(picked, dtype=np.int64)


def sample_k_dpp(kernel: np.ndarray, k: int, rng: int | np.random.Generator) -> np.ndarray:
    """Draw k rows with probability proportional to the determinant of their submatrix.

    Args:
        kernel: The L of an L-ensemble, as in `greedy_map`.
        k: Rows to draw, at most the kernel's numerical rank, else RankError.
        rng: Seed or generator.

    Returns:
        Row numbers (k,), every order of a subset equally likely, as when rows are drawn one after
        the other; a smaller k is another sample, not the beginning of this one.

    Source: Kulesza & Taskar (2012), Determinantal point processes for machine learning, section
    5.2, for the eigenvectors; Poulson (2019), High-performance sampling of generic
    determinantal point processes, for the rows.

    Note: the elementary symmetric polynomials are kept as logarithms, since they leave the range
    of floats at a few hundred rows. The rows are drawn by factoring the projection kernel from
    left to right in blocks, n^3 / 3 multiplications, instead of making the eigenvectors
    orthogonal anew after every row, n k^3.
    """
    rng = check_rng(rng)
    return rng.permutation(sample_projection(_draw_basis(kernel, k, rng), rng))


def sample_k_dpp_textbook(kernel: np.ndarray, k: int, rng: int | np.random.Generator) -> np.ndarray:
    """Draw as `sample_k_dpp` does, by the sequential algorithm run literally: O(n k^3).

    For comparison only. The one liberty: the polynomials are logarithms. Arguments as there; row
    numbers come in order of drawing.

    Source: Kulesza & Taskar (2012), Algorithms 1 (rows) and 8 (eigenvectors).
    """
    rng = check_rng(rng)
    basis = _draw_basis(kernel, k, rng)
    drawn: list[int] = []
    while basis.shape[1]:
        basis = textbook_step(basis, drawn, rng)
    return np.array(drawn, dtype=np.int64)


def textbook_step(basis: np.ndarray, drawn: list[int], rng: np.random.Generator) -> np.ndarray:
    """Add a row to those drawn and return an orthonormal basis (n, m - 1) of what is left."""
    chances = np.einsum("ij,ij->i", basis, basis)
    chances[drawn] = 0
    row = int(rng.choice(len(chances), p=chances / chances.sum()))
    drawn.append(row)
    # One vector with a part along e_row clears that part in the others and goes.
    pivot = int(np.abs(basis[row]).argmax())
    cleared = basis - np.outer(basis[:, pivot], basis[row] / basis[row, pivot])
    return np.linalg.qr(np.delete(cleared, pivot, axis=1))[0]


def _draw_basis(kernel: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
    """Return k eigenvectors, (n, k), drawn with probability proportional to their eigenvalues."""
    kernel, noise = _check_kernel(kernel)
    k = check_k(k, len(kernel))
    values, vectors = _eigen(kernel, noise)
    if len(values) < k:
        raise _rank_error(k, len(values))
    return vectors[:, _sample_eigenvectors(values, k, rng)]


def select(
    features: np.ndarray, k: int, rng: int | np.random.Generator | None = None, mode: str = "sample"
) -> np.ndarray:
    """Pick k rows by the k-DPP whose kernel is Gaussian at the median distance.

    Args:
        features: Shape (n, d), n up to 12,000: the kernel is stored whole, in float64.
        k: Rows to keep.
        rng: Needed for mode="sample" only.
        mode: "sample", an exact sample, or "map", the greedy approximation of the likeliest.

    Returns:
        Row numbers (k,), in random order ("sample") or in order of choosing.

    Raises:
        ValueError: If n is too large, or more than half of the pairs of rows coincide.

    Warns:
        UserWarning: If the rank of the kernel is below k, as with repeated rows or many rows in
            few dimensions. Then 1e-10 of the trace is added to the diagonal: as many rows as
            the rank allows are still spread out, the others are as good as arbitrary.

    Source: `budgeted` section IV, the baseline "k-DPP"; its kernel is left open there.
    """
    features = check_features(features).astype(np.float64)
    n = len(features)
    k = check_k(k, n)
    check_choice(mode, MODES, "mode")
    if mode == "sample" and rng is None:
        raise StudyError("mode='sample' needs rng, a seed or a numpy.random.Generator")
    if n > N_MAX:
        raise StudyError(
            f"features must have at most {N_MAX} rows for a DPP, got {n}; greedy k-centers or "
            "facility location spread a selection over larger pools"
        )
    if n == 1:
        return np.zeros(1, dtype=np.int64)
    kernel = gaussian_similarity(features, "median")
    if mode == "map":
        return _with_ridge(kernel, lambda matrix: greedy_map(matrix, k))
    return _with_ridge(kernel, lambda matrix: sample_k_dpp(matrix, k, rng))


def _with_ridge(kernel: np.ndarray, pick: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Return pick(kernel); where its rank is too low, a warning and pick of a lifted kernel."""
    try:
        return pick(kernel)
    except RankError as error:
        warnings.warn(f"{error}; a ridge of {RIDGE:g} of the trace is added", stacklevel=3)
    except StudyError as error:
        if not str(error).startswith("kernel"):
            raise
        raise StudyError(
            "features spread too far for the distances between most rows to be told apart in "
            "float64: scale or drop the outliers"
        ) from None
    kernel[np.diag_indices_from(kernel)] += RIDGE * np.trace(kernel)
    return pick(kernel)


@method("dpp", "k-DPP", needs=("features",), family="geometry")
def pick_dpp(pool: Pool, k: int, rng: np.random.Generator, mode: str = "sample") -> np.ndarray:
    """Draw from a k-DPP, or take its greedy mode with mode="map"."""
    return select(pool.features, k, rng, mode)


def _rank_error(k: int, rank: int) -> RankError:
    return RankError(
        f"k must not exceed the kernel's numerical rank, {rank}, got {k}; repeated rows or a "
        "linear kernel of fewer than k features leave every larger determinant at 0"
    )


def _check_kernel(kernel: np.ndarray) -> tuple[np.ndarray, float]:
    """Return a finite symmetric matrix (n, n) and how far its own rounding moves eigenvalues."""
    dtype = np.asarray(kernel).dtype
    precision = max(EPS, float(np.finfo(dtype).eps) if dtype.kind == "f" else 0)
    matrix, _, _ = check_symmetric(kernel, "kernel", slack=np.sqrt(precision))
    diagonal = np.diagonal(matrix)
    if diagonal.min() < 0:
        raise StudyError(f"kernel must not be negative on its diagonal, got {diagonal.min():.4g}")
    return matrix, float(np.sqrt(len(matrix)) * precision * diagonal.max())


def _refuse_negative(values: np.ndarray, floor: float) -> None:
    if len(values) and values.min() < -100 * floor:
        raise StudyError("kernel must be positive semi-definite")


def _pivot_panel(
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


def _update_upper(rest: np.ndarray, panel: np.ndarray) -> np.ndarray:
    """Return rest - panel' panel in its upper triangle, in place where BLAS can."""
    if not panel.size:
        return rest
    # Transposed, a C array is the Fortran array that BLAS updates without a copy.
    return scipy.linalg.blas.dsyrk(-1.0, panel.T, 1.0, rest.T, lower=1, overwrite_c=1).T


def _eigen(kernel: np.ndarray, noise: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the eigenvalues above rounding, (r,), rising, and their vectors (n, r)."""
    kernel = np.array(kernel, dtype=np.float64, order="F")
    values, vectors = scipy.linalg.eigh(kernel, driver="evd", overwrite_a=True, check_finite=False)
    floor = max(len(values) * EPS * float(np.abs(values).max()), noise)
    _refuse_negative(values, floor)
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


def _sample_eigenvectors(values: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
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
