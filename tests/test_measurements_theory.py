"""What `geda` says of matching, bounds and values, against plain twins."""

import json
from itertools import combinations
from math import comb

import numpy as np
import pytest

from helpers.measurements import MEASUREMENTS, geda_theory, rivals


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


def test_bounds_hold_and_would_notice_a_wrong_optimum():
    options = {"n": 40, "horizons": (1, 5, 20), "repeats": 1}
    metrics, arrays = MEASUREMENTS["adaptive-bounds"](0, **options)
    json.dumps(metrics, allow_nan=False)
    assert (metrics["n_checks"], metrics["n_broken"]) == (27, 0)
    assert (arrays["gap"] >= -1e-9).all()
    problem = geda_theory.Logistic(np.random.default_rng(0).normal(size=(30, 3)), 0.1)
    assert problem.loss(problem.best) < problem.loss(problem.start)
    np.testing.assert_allclose(problem.gradients(problem.best).mean(axis=0), 0, atol=1e-6)


def test_matching_errors_are_relative_and_both_choose_as_many():
    metrics, arrays = MEASUREMENTS["geda-matching"](
        0, n=40, steps=(0, 3), shares=(0.2, 0.5), repeats=1
    )
    json.dumps(metrics, allow_nan=False)
    assert metrics["n_selections"] == len(arrays["error_geda"]) == 4
    for name in ("error_geda", "error_match"):
        assert ((arrays[name] > 0) & (arrays[name] < 1)).all()
    # more rows match better
    assert (np.diff(arrays["error_match"].reshape(2, 2)) < 0).all()


def test_the_lp_as_written_grows_with_its_pairs():
    rng = np.random.default_rng(0)
    seconds = [min(rivals._lp_seconds(n, 0.3, 4, rng) for _ in range(3)) for n in (10, 80)]
    assert seconds[1] > seconds[0]


def test_times_of_table_one_have_the_shapes_that_claims_read():
    metrics, arrays = MEASUREMENTS["table-one"](
        0, n=60, n_best=40, d=8, repeats=2, n_timed=3, n_values=2, lp_sizes=(10, 20), n_slope=20,
        n_pools=2,
    )  # fmt: skip
    json.dumps(metrics, allow_nan=False)
    assert arrays["ks"].tolist() == [12, 18, 24, 30, 40]
    for name in (
        "seconds_dpp",
        "seconds_greedy",
        "best_iqp",
        "best_exact",
        "best_map",
        "best_lazy",
    ):
        assert arrays[name].shape == (2, 5), name
        assert (arrays[name] > 0).all()
    assert arrays["seconds_lp"].shape == arrays["seconds_power"].shape == (2,)
    assert (np.diff(arrays["seconds_dpp"], axis=1) > 0).all()
    np.testing.assert_allclose(arrays["seconds_greedy"][:, 1] / arrays["seconds_greedy"][:, 0], 1.5)
