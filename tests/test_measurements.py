import json

import numpy as np
import pytest

from helpers.measurements import MEASUREMENTS, clock

SMALL = {
    "lp-time": {"sizes": (10, 15), "closed_sizes": (10, 50), "cbc_up_to": 10},
    "budgeted-time": {"n": 60, "repeats": 3},
    "kernel-exponent": {"sizes": (40, 80), "d": 16, "n_projected": 8},
    "linearisation": {"n_instances": 30, "n_max": 8},
    "rounding-gap": {"n_instances": 60, "n_max": 9},
    "power-monotone": {"n_instances": 60},
    "power-start": {"n_instances": 10, "n": 50},
    "geda-milp": {"sizes": (20, 40), "repeats": 2},
    "geda-end-term": {"n_instances": 60},
    "kcenters-time": {"sizes": (200, 400), "loop_up_to": 400},
}


@pytest.fixture(scope="module")
def measured():
    return {name: MEASUREMENTS[name](0, **options) for name, options in SMALL.items()}


def test_all_are_tried():
    assert set(SMALL) == set(MEASUREMENTS)


@pytest.mark.parametrize("name", SMALL)
def test_metrics_are_plain_and_arrays_numeric(measured, name):
    metrics, arrays = measured[name]
    json.dumps(metrics, allow_nan=False)
    for values in arrays.values():
        assert isinstance(values, np.ndarray)
        assert np.isfinite(values).all()
    for key, value in metrics.items():
        if key.startswith("seconds"):
            assert value > 0


def test_what_must_hold_at_any_scale(measured):
    found = {name: metrics for name, (metrics, _) in measured.items()}
    assert found["lp-time"]["largest_relative_difference"] < 1e-6
    assert found["lp-time"]["n_same_set"] == found["lp-time"]["n_compared"]
    assert found["linearisation"]["n_equal_value"] == 30
    assert found["linearisation"]["n_equal_optima"] == 30
    assert found["rounding-gap"]["n_below"] > 0
    assert found["rounding-gap"]["smallest_ratio"] > 0
    assert found["power-monotone"]["violations_psd"] == 0
    assert found["power-monotone"]["violations_shifted"] == 0
    assert found["geda-milp"]["largest_difference"] < 1e-9
    assert found["geda-milp"]["all_optimal"]
    assert found["geda-end-term"]["largest_at_largest_norm"] == 0
    assert found["geda-end-term"]["n_beyond_bound"] == 0
    assert found["geda-end-term"]["share_not_zero"] > 0


def test_equal_seeds_measure_equal_things():
    for name in ("rounding-gap", "power-start", "geda-end-term"):
        first, second = (MEASUREMENTS[name](3, **SMALL[name]) for _ in range(2))
        assert first[0] == second[0]


def test_the_exponent_of_a_square_is_two():
    assert clock.exponent([1, 2, 4], [3, 12, 48]) == pytest.approx(2)


def test_the_first_call_does_not_count():
    calls = []
    clock.median_seconds(lambda: calls.append(1), repeats=3)
    assert len(calls) == 4
