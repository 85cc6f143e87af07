"""Least squares with weights >= 0 over a set of rows that grows and shrinks."""

import numpy as np
from scipy import linalg

LEAST_COSINE = 1e-7  # of the angle between a new row and what the old ones leave of the target
STALE = 1e-6  # cosine of a chosen row with the residual at which the inverse is made afresh
NEARLY_WITHIN = 1e-3  # squared share of a new row outside the others that asks for care
MOST_CANCELLED = 1e4  # fall of the inverse at a removal beyond which its digits are lost
ROUNDING = 1e-13  # of inner products, relative to the lengths of both


class ActiveSet:
    """Rows with weights > 0 that come closest to a target, with the inverse of their Gram matrix.

    The inverse grows and shrinks by one outer product a row. It only proposes weights, by a
    Newton step from the present ones, and the residual is computed from the weights each time:
    rounding in the inverse does not add up in the answer.

    Attributes:
        size: Rows in the set, m.
        most: Rows the set can hold.
        residual: Target less the weighted rows, shape (d,), float64.
    """

    def __init__(self, target: np.ndarray, ridge: float, most: int) -> None:
        """Start empty.

        Args:
            target: Shape (d,), float64.
            ridge: Factor of the squared weights, >= 0.
            most: Rows the set can hold; at most d of them are independent where ridge = 0.
        """
        self.size, self.most = 0, most
        self.residual = target.copy()
        self._target, self._ridge = target, ridge
        self._n_added = 0
        capacity = min(64, most)
        self._rows = np.zeros((capacity, len(target)))
        self._inverse = np.zeros((capacity, capacity))
        self._lengths, self._weights = np.zeros(capacity), np.zeros(capacity)
        self._labels = np.zeros((capacity, 2), dtype=np.int64)  # row number, order of addition

    @property
    def numbers(self) -> np.ndarray:
        """Row numbers, shape (m,), int64, in no particular order."""
        return self._labels[: self.size, 0]

    @property
    def objective(self) -> float:
        """Squared length of the residual plus ridge times that of the weights."""
        weights = self._weights[: self.size]
        return float(self.residual @ self.residual + self._ridge * (weights @ weights))

    def read(self) -> tuple[np.ndarray, np.ndarray]:
        """Return row numbers and weights, each (m,), in order of addition."""
        order = np.argsort(self._labels[: self.size, 1])
        return self.numbers[order], self._weights[order]

    def add(self, number: int, row: np.ndarray) -> int:
        """Put a row in and find the best weights >= 0; rows whose weight falls to 0 leave.

        Args:
            number: Its row number, not in the set.
            row: Shape (d,), float64, with a positive inner product with the residual.

        Returns:
            How many rows left.

        Source: Lawson & Hanson (1974), chapter 23, steps 6 to 11.
        """
        self._refresh()
        self._border(row)
        m = self.size
        self._rows[m], self._lengths[m], self._weights[m] = row, np.linalg.norm(row), 0.0
        self._labels[m] = number, self._n_added
        self.size, self._n_added = m + 1, self._n_added + 1
        return self._settle()

    def _settle(self) -> int:
        """Move the weights to the best that stay >= 0; return how many rows left."""
        n_before = self.size
        while self.size:
            weights = self._weights[: self.size]  # a view
            step = self._inverse[: self.size, : self.size] @ self._slopes()
            falling = np.flatnonzero(weights + step <= 0)
            if not len(falling):
                weights += step
                self._measure()
                break
            # The share of the step at which the first weight reaches 0.
            shares = -weights[falling] / np.minimum(step[falling], -np.finfo(float).tiny)
            weights += shares.min() * step
            weights[falling[shares.argmin()]] = 0
            for place in np.flatnonzero(weights <= 0)[::-1]:
                self._remove(int(place))
            self._measure()
        return n_before - self.size

    def _slopes(self) -> np.ndarray:
        """Return by how much the objective falls with each weight, halved, shape (m,)."""
        m = self.size
        return self._rows[:m] @ self.residual - self._ridge * self._weights[:m]

    def _measure(self) -> None:
        """Compute the residual from the weights."""
        self.residual = self._target - self._weights[: self.size] @ self._rows[: self.size]

    def _border(self, row: np.ndarray) -> None:
        """Add a row to the inverse."""
        m = self.size
        if m == len(self._rows):
            self._grow()
        inverse = self._inverse[:m, :m]
        u = inverse @ (self._rows[:m] @ row)
        rest = row - u @ self._rows[:m]  # what the others cannot say of it
        if rest @ rest < NEARLY_WITHIN * (row @ row):
            u += inverse @ (self._rows[:m] @ rest - self._ridge * u)
            rest = row - u @ self._rows[:m]
        pivot = rest @ rest + self._ridge * (1 + u @ u)
        pivot = max(pivot, LEAST_COSINE**2 * (row @ row))
        inverse += np.outer(u, u / pivot)
        self._inverse[m, :m] = self._inverse[:m, m] = -u / pivot
        self._inverse[m, m] = 1 / pivot

    def _remove(self, place: int) -> None:
        """Take a row out; the last one moves to its place."""
        m, last = self.size, self.size - 1
        column, largest = self._inverse[:m, place].copy(), self._inverse[:m, :m].diagonal().max()
        self._inverse[:m, :m] -= np.outer(column, column / column[place])
        for values in (self._rows, self._lengths, self._weights, self._labels, self._inverse):
            values[place] = values[last]
        self._inverse[:last, place] = self._inverse[:last, last]
        self._inverse[place, place] = self._inverse[last, last]
        self.size = last
        if last and self._inverse[:last, :last].diagonal().max() < largest / MOST_CANCELLED:
            self._invert()

    def _grow(self) -> None:
        """Double the room, up to the most rows the set can hold."""
        more = min(len(self._rows), self.most - len(self._rows))
        self._rows = np.pad(self._rows, ((0, more), (0, 0)))
        self._inverse = np.pad(self._inverse, (0, more))
        self._lengths = np.pad(self._lengths, (0, more))
        self._weights = np.pad(self._weights, (0, more))
        self._labels = np.pad(self._labels, ((0, more), (0, 0)))

    def _refresh(self) -> None:
        """Make the inverse afresh where the weights are visibly not the best ones."""
        m, slopes = self.size, np.abs(self._slopes())
        noise = STALE * np.linalg.norm(self.residual) + ROUNDING * np.linalg.norm(self._target)
        if (slopes > noise * self._lengths[:m]).any():
            self._invert()

    def _invert(self) -> None:
        """Compute the inverse from the rows."""
        rows = self._rows[: self.size]
        gram = rows @ rows.T + self._ridge * np.eye(self.size)
        self._inverse[: self.size, : self.size] = linalg.pinvh(gram)
