"""What `geda` says of matching, bounds and values, against plain twins."""

from itertools import combinations
from math import comb

import numpy as np
import pytest

from helpers.measurements import geda_theory


def test_neighbour_values_are_shapley_s_by_all_subsets():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(6, 2)), rng.integers(0, 2, 6)
    x_valid, y_valid, k = rng.normal(size=(3, 2)), rng.integers(0, 2, 3), 2

    def worth(rows):
        found = 0.0
        for point, label in zip(x_valid, y_valid, strict=True):
            near = sorted(rows, key=lambda i: ((x[i] - point) ** 2).sum())[:k]
            found += sum(y[i] == label for i in near) / k / len(y_valid)
        return found

    expected = np.zeros(6)
    for i in range(6):
        others = [j for j in range(6) if j != i]
        for size in range(6):
            for rows in combinations(others, size):
                gain = worth([*rows, i]) - worth(rows)
                expected[i] += gain / (6 * comb(5, size))
    found = geda_theory.neighbour_values(x, y, x_valid, y_valid, k)
    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert found.sum() == pytest.approx(worth(range(6)))


def test_the_optimum_of_logistic_regression_is_one():
    problem = geda_theory.Logistic(np.random.default_rng(0).normal(size=(30, 3)), 0.1)
    assert problem.loss(problem.best) < problem.loss(problem.start)
    np.testing.assert_allclose(problem.gradients(problem.best).mean(axis=0), 0, atol=1e-6)
