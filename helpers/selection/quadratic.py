"""Products with the Q of `budgeted` eq. 8, from a matrix or by blocks of a Gaussian kernel."""

from abc import ABC, abstractmethod

import numpy as np

from helpers.selection import tiles


class Quadratic(ABC):
    """Q: the utilities on the diagonal, weight times the similarity off it.

    Attributes:
        utility: Shape (n,), float64.
        weight: The paper's lambda.
        name: How Q is known, for reports.
        recomputes: Whether a product costs by the number of rows multiplied with.
        noise: Spread of the sums' error over that of the ranking; None where sums are exact.
    """

    name = "matrix"
    recomputes = False
    noise: float | None = None

    def __init__(self, utility: np.ndarray, weight: float) -> None:
        self.utility, self.weight = utility, weight

    @abstractmethod
    def sums(self) -> np.ndarray:
        """Return the row sums of the similarity less its diagonal, shape (n,), float64."""

    @abstractmethod
    def product(self, rows: np.ndarray) -> np.ndarray:
        """Return Qx for the x that marks some rows, shape (n,), float64."""

    @abstractmethod
    def moved(self, product: np.ndarray, entered: np.ndarray, left: np.ndarray) -> np.ndarray:
        """Return Qx after some rows entered and others left: only those rows cost."""


class Matrix(Quadratic):
    """Q from a similarity that is stored, shape (n, n), symmetric."""

    N_GATHERED = 4096  # rows copied at once

    def __init__(
        self,
        utility: np.ndarray,
        similarity: np.ndarray,
        weight: float,
        sums: np.ndarray | None = None,
    ) -> None:
        super().__init__(utility, weight)
        self.similarity, self._sums = similarity, sums

    def sums(self) -> np.ndarray:
        """Return the row sums less the diagonal."""
        if self._sums is None:
            rows = self.similarity.sum(axis=1, dtype=np.float64)
            self._sums = rows - np.diagonal(self.similarity)
        return self._sums

    def product(self, rows: np.ndarray) -> np.ndarray:
        """Return Qx from the rows that x marks."""
        total = np.zeros(len(self.utility))
        for start in range(0, len(rows), self.N_GATHERED):
            part = self.similarity[rows[start : start + self.N_GATHERED]]
            total += part.sum(axis=0, dtype=np.float64)
        total *= self.weight
        diagonal = np.diagonal(self.similarity)[rows].astype(np.float64)
        total[rows] += self.utility[rows] - self.weight * diagonal
        return total

    def moved(self, product: np.ndarray, entered: np.ndarray, left: np.ndarray) -> np.ndarray:
        """Return Qx of the new subset from that of the old."""
        return product + self.product(entered) - self.product(left)


class Kernel(Quadratic):
    """Q of a Gaussian kernel, or of 1 minus it, known through sums over the kernel."""

    def __init__(self, utility: np.ndarray, weight: float, diversity: str) -> None:
        super().__init__(utility, weight)
        self.diversity = diversity

    @abstractmethod
    def all_sums(self) -> np.ndarray:
        """Return the kernel's row sums less its diagonal, shape (n,), float64."""

    @abstractmethod
    def some_sums(self, rows: np.ndarray, signs: np.ndarray) -> np.ndarray:
        """Return the signed kernel sums with some rows, each without itself, shape (n,)."""

    def sums(self) -> np.ndarray:
        """Return the similarity's row sums less its diagonal."""
        sums = self.all_sums()
        return sums if self.diversity == "kernel" else len(sums) - 1 - sums

    def product(self, rows: np.ndarray) -> np.ndarray:
        """Return Qx for the x that marks some rows."""
        return self._signed(rows, np.ones(len(rows)))

    def moved(self, product: np.ndarray, entered: np.ndarray, left: np.ndarray) -> np.ndarray:
        """Return Qx of the new subset from that of the old, in one pass for both kinds."""
        signs = np.repeat([1.0, -1.0], [len(entered), len(left)])
        return product + self._signed(np.concatenate([entered, left]), signs)

    def _signed(self, rows: np.ndarray, signs: np.ndarray) -> np.ndarray:
        """Return Qy for the y that holds signs in some rows."""
        sums = self.some_sums(rows, signs)
        if self.diversity == "distance":
            sums = signs.sum() - sums
            sums[rows] -= signs
        sums *= self.weight
        sums[rows] += signs * self.utility[rows]
        return sums


class Blocks(Kernel):
    """Exact sums, recomputed by tiles; memory for the points and a tile a thread."""

    name = "blocks"
    recomputes = True

    def __init__(
        self,
        utility: np.ndarray,
        points: np.ndarray,
        weight: float,
        diversity: str = "kernel",
        threads: int = 1,
        step: int = tiles.N_ROWS,
    ) -> None:
        super().__init__(utility, weight, diversity)
        self.points, self.threads, self.step = points, threads, step
        self._sums: np.ndarray | None = None

    def all_sums(self) -> np.ndarray:
        """Return the kernel's row sums, computed once."""
        if self._sums is None:
            self._sums = tiles.row_sums(self.points, self.threads, self.step)
        return self._sums

    def some_sums(self, rows: np.ndarray, signs: np.ndarray) -> np.ndarray:
        """Return the sums with some rows; those of most rows from all less the others."""
        n = len(self.points)
        if self._sums is None or 2 * len(rows) <= n or not (signs == 1).all():
            return tiles.sums_over(self.points, rows, signs, self.threads, self.step)
        others = np.delete(np.arange(n), rows)
        ones = np.ones(len(others))
        return self._sums - tiles.sums_over(self.points, others, ones, self.threads, self.step)
