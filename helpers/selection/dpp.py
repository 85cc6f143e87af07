"""Determinantal point processes: the greedy MAP subset and exact samples of a fixed size."""

import warnings
from collections.abc import Callable

import numpy as np

from helpers import StudyError
from helpers.checks import check_choice, check_features, check_k, check_rng
from helpers.selection.determinants import (
    EPS,
    N_PANEL,
    RankError,
    check_kernel,
    eigen,
    pivot_panel,
    refuse_negative,
    sample_eigenvectors,
    sample_projection,
    update_upper,
)
from helpers.selection.gaussian_sums import gaussian_similarity

MODES = ("sample", "map")
N_MAX = 12_000  # rows `select` takes; the eigenvectors need about 7 GB there
TIE = 1e-12  # pivots closer than this share of the largest diagonal entry count as equal
RIDGE = 1e-10  # share of the trace added to the diagonal where the rank is below k


def greedy_map(kernel: np.ndarray, k: int) -> np.ndarray:
    """Pick k rows one by one, each raising the determinant of the chosen submatrix most.

    Args:
        kernel: Shape (n, n), symmetric positive semi-definite; entries may be negative.
        k: Rows to keep, 1 <= k <= the kernel's numerical rank.

    Returns:
        Row numbers in order of choosing, shape (k,), int64; a larger k only adds to it. Pivots
        within 1e-12 of the largest diagonal entry are ties, which go to the lowest row.

    Raises:
        ValueError: If the kernel is not as above, k lies outside 1..n or above the rank.

    Source: Chen, Zhang & Zhou (2018), Fast greedy MAP inference for DPPs. Row i multiplies the
    determinant by the i-th diagonal entry of the Schur complement, so the picks are the pivots
    of a diagonally pivoted Cholesky factorisation.

    Note: LAPACK's dpstrf breaks ties by place after its swaps and factors all n rows. Here rows
    keep their order and the work ends at k; one copy of the kernel is held, in float64 whatever
    came in, because pivots fall below the rounding of float32.
    """
    kernel, noise = check_kernel(kernel)
    k = check_k(k, len(kernel))
    top = float(np.diagonal(kernel).max())
    floor = max(len(kernel) * EPS * top, noise)
    rest, rows = np.array(kernel, dtype=np.float64, order="C"), np.arange(len(kernel))
    picked: list[int] = []
    while len(picked) < k:
        panel, pivots = pivot_panel(rest, min(N_PANEL, k - len(picked)), floor, TIE * top)
        picked += rows[pivots].tolist()
        left = np.setdiff1d(np.arange(len(rows)), pivots)
        rest, rows = rest.take(left, axis=0).take(left, axis=1), rows[left]
        rest = update_upper(rest, panel.take(left, axis=1))
        refuse_negative(np.diagonal(rest), floor)
        if not len(pivots):
            raise RankError(k, len(picked))
    return np.array(picked, dtype=np.int64)


def sample_k_dpp(kernel: np.ndarray, k: int, rng: int | np.random.Generator) -> np.ndarray:
    """Draw k rows with probability proportional to the determinant of their submatrix.

    Args:
        kernel: The L of an L-ensemble, shape (n, n), symmetric positive semi-definite; entries
            may be negative.
        k: Rows to draw, 1 <= k <= the kernel's numerical rank.
        rng: Seed or generator.

    Returns:
        Row numbers in random order, shape (k,), int64. Every order of a subset is equally
        likely, as when rows are drawn one after the other; a smaller k is another sample, not
        the beginning of this one.

    Raises:
        ValueError: If the kernel is not as above, k lies outside 1..n or above the rank.

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

    Args:
        kernel: Shape (n, n), symmetric positive semi-definite.
        k: Rows to draw, 1 <= k <= the kernel's numerical rank.
        rng: Seed or generator.

    Returns:
        Row numbers in order of drawing, shape (k,), int64.

    Raises:
        ValueError: As `sample_k_dpp`.

    Source: Kulesza & Taskar (2012), Algorithms 1 (rows) and 8 (eigenvectors).

    Note: for comparison only. The one liberty: the polynomials are logarithms.
    """
    rng = check_rng(rng)
    basis = _draw_basis(kernel, k, rng)
    drawn = []
    while basis.shape[1]:
        chances = np.einsum("ij,ij->i", basis, basis)
        chances[drawn] = 0
        row = int(rng.choice(len(chances), p=chances / chances.sum()))
        drawn.append(row)
        # One vector with a part along e_row clears that part in the others and goes.
        pivot = int(np.abs(basis[row]).argmax())
        cleared = basis - np.outer(basis[:, pivot], basis[row] / basis[row, pivot])
        basis = np.linalg.qr(np.delete(cleared, pivot, axis=1))[0]
    return np.array(drawn, dtype=np.int64)


def _draw_basis(kernel: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
    """Return k eigenvectors, (n, k), drawn with probability proportional to their eigenvalues."""
    kernel, noise = check_kernel(kernel)
    k = check_k(k, len(kernel))
    values, vectors = eigen(kernel, noise)
    if len(values) < k:
        raise RankError(k, len(values))
    return vectors[:, sample_eigenvectors(values, k, rng)]


def select(
    features: np.ndarray, k: int, rng: int | np.random.Generator | None = None, mode: str = "sample"
) -> np.ndarray:
    """Pick k rows by the k-DPP whose kernel is Gaussian at the median distance.

    Args:
        features: Shape (n, d), n up to 12,000: the kernel is stored whole, in float64.
        k: Rows to keep, 1 <= k <= n.
        rng: Needed for mode="sample" only.
        mode: "sample", an exact sample, or "map", the greedy approximation of the likeliest.

    Returns:
        Row numbers, shape (k,), int64, in random order ("sample") or in order of choosing.

    Raises:
        ValueError: If an argument is invalid, n is too large, or more than half of the pairs of
            rows coincide.

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
