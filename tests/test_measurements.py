import json

import numpy as np
import pytest

from helpers.measurements import MEASUREMENTS, rivals, table, timings

SMALL = {
    "lp-time": {"sizes": (10, 15), "closed_sizes": (10, 50), "cbc_up_to": 10},
    "budgeted-time": {"n": 60, "repeats": 3},
    "budget-slope": {"n": 60, "d": 8, "n_pools": 4},
    "kernel-exponent": {"sizes": (40, 80), "d": 16},
    "selection-time": {"n": 60, "d": 8, "n_lp": 15, "n_timed": 4},
    "textbook-draws": {"n": 40, "d": 8, "repeats": 2},
    "scaling": {"sizes": (40, 80, 120), "d": 8, "matrix_up_to": 80, "once_from": 120},
    "random-projection": {"n": 60, "d": 32, "dimensions": (4, 16), "n_draws": 3},
    "gap-table": {"n": 8, "n_instances": 2},
    "swap-gain": {"n": 40, "d": 4},
    "greedy-share": {"n_instances": 20, "n_max": 8},
    "linearisation": {"n_instances": 30, "n_max": 8},
    "rounding-gap": {"n_instances": 60, "n_max": 9},
    "power-monotone": {"n_instances": 60},
    "power-start": {"n_instances": 12, "sizes": (20, 40)},
    "geda-milp": {"sizes": (20, 40), "repeats": 2},
    "geda-end-term": {"n_instances": 60},
    "geda-distance": {"n_classes": 6, "n_max": 80, "shares": (0.2, 0.5), "node_counts": (4, 5)},
    "cbc-wrong": {"cases": ((40, 5),), "time_limit": 1.0},
    "table-one": {"n": 60, "n_best": 40, "d": 8, "repeats": 2, "n_timed": 3, "n_values": 2,
                  "lp_sizes": (10, 20), "n_slope": 20, "n_pools": 2},
    "geda-matching": {"n": 40, "steps": (0, 3), "shares": (0.2, 0.5), "repeats": 1},
    "adaptive-bounds": {"n": 40, "horizons": (1, 5), "repeats": 1},
    "shapley": {"n": 60, "n_valid": 30, "repeats": 3},
    "step-seconds": {"pairs": (("fasttext", "vdcnn9-w8-t64"),), "batch": 2, "repeats": 1},
    "kcenters-time": {"sizes": (200, 400), "loop_up_to": 400},
}  # fmt: skip


@pytest.fixture(scope="module")
def measured():
    return {name: MEASUREMENTS[name](0, **options) for name, options in SMALL.items()}


def test_all_are_tried():
    assert {*SMALL, "frozen-seconds"} == set(MEASUREMENTS)  # that one in test_ages


def test_metrics_are_plain_and_arrays_numeric(measured):
    for metrics, arrays in measured.values():
        json.dumps(metrics, allow_nan=False)
        for key, values in arrays.items():
            assert isinstance(values, np.ndarray)
            if values.dtype.kind != "U" and "sdp" not in key:  # names; needs the extra `sdp`
                assert np.isfinite(values).all(), key
        assert all(value > 0 for key, value in metrics.items() if key.startswith("seconds"))


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
    assert found["greedy-share"]["n_below"] == 0
    assert found["greedy-share"]["n_not_monotone"] == found["greedy-share"]["n_not_submodular"] == 0
    assert found["gap-table"]["n_proven"] == 6
    assert found["scaling"]["smallest_objective_ratio"] > 0.9
    assert found["geda-milp"]["largest_difference"] < 1e-9
    assert found["geda-milp"]["all_optimal"]
    assert found["geda-end-term"]["largest_at_largest_norm"] == 0
    assert found["geda-end-term"]["n_beyond_bound"] == 0
    assert found["adaptive-bounds"]["n_broken"] == 0
    geda = found["geda-distance"]
    assert geda["n_below_limit"] == geda["n_simpson_apart"] == 0
    assert found["cbc-wrong"]["claimed"] == ["Optimal"]
    again = MEASUREMENTS["rounding-gap"](0, **SMALL["rounding-gap"])
    assert again[0] == found["rounding-gap"]


def test_gaps_lie_below_and_bounds_above_the_optimum(measured):
    _, arrays = measured["gap-table"]
    for name, values in arrays.items():
        if name.startswith(("gap_", "above_")) and "sdp" not in name:
            assert (values >= -1e-9).all(), name
    assert (arrays["gap_swap"] <= arrays["gap_power"] + 1e-12).all()


def test_times_have_a_row_a_repeat_and_a_column_a_budget(measured):
    _, arrays = measured["selection-time"]
    assert arrays["ks"].tolist() == [12, 18, 24, 30]
    for name in ("dpp", "map", "random", "iqp", "exact", "greedy", "lazy"):
        rounds = 2 if name in rivals.SLOW else 3
        assert arrays[f"seconds_{name}"].shape == (rounds, 4), name
        assert (arrays[f"seconds_{name}"] > 0).all(), name
    assert arrays["large_dpp"].shape == arrays["large_greedy"].shape == (3,)
    assert arrays["seconds_lp"].shape == (4,)
    _, arrays = measured["table-one"]
    assert arrays["ks"].tolist() == [12, 18, 24, 30, 40]
    for name in "seconds_dpp seconds_greedy best_iqp best_exact best_map best_lazy".split():
        assert arrays[name].shape == (2, 5), name
        assert (arrays[name] > 0).all()
    assert arrays["seconds_lp"].shape == arrays["seconds_power"].shape == (2,)


def test_every_pool_has_a_slope_of_its_own(measured, monkeypatch):
    metrics, arrays = measured["budget-slope"]
    assert arrays["seconds"].shape == (4, 5)
    assert arrays["slopes"].shape == (4,)
    assert len(set(arrays["slopes"].tolist())) == 4
    assert metrics["slope"] == np.median(arrays["slopes"])
    monkeypatch.setattr(timings, "_parts", lambda features, utility, k, h, clock: (k**2, 0, 0))
    _, arrays = timings.budget_slope(0, n=50, n_pools=3)
    np.testing.assert_allclose(arrays["slopes"], 2.0)
    np.testing.assert_allclose(arrays["seconds"], np.tile(arrays["ks"] ** 2.0, (3, 1)))


def test_steps_of_the_textbook_add_up_to_a_draw(monkeypatch):
    now = [0.0]

    def step(basis, drawn, rng):
        now[0] += basis.shape[1] ** 2

    monkeypatch.setattr(rivals.dpp, "textbook_step", step)
    features, rng = table.made_up_pool(90, 4, np.random.default_rng(0))[0], None
    found = rivals.summed_steps(features, np.array([30, 60]), 3, 5, rng, lambda: now[0])
    whole = [sum(m**2 for m in range(1, k + 1)) for k in (30, 60)]
    np.testing.assert_allclose(found, [whole] * 3, rtol=1e-3)


def test_the_exponent_of_a_square_is_two():
    assert table.exponent([1, 2, 4], [3, 12, 48]) == pytest.approx(2)
