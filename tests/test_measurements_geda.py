import pytest

from helpers import experiments as ex
from helpers.measurements import geda_theory, rivals


def test_no_variant_is_closer_than_the_limit():
    options = {"n_classes": 6, "n_max": 80, "shares": (0.2, 0.5), "node_counts": (4, 5)}
    metrics, arrays = geda_theory.geda_distance(1, **options)
    names = list(zip(metrics["variants"], metrics["within"], strict=True))
    area = dict(zip(names, arrays["area"], strict=True))
    assert arrays["area"].shape == (len(set(names)), 2, 6)
    for values in area.values():
        assert (values >= area["limit", ""] - 1e-12).all()
    assert area["trapezoid-5", "spread"].mean() < area["random", ""].mean()


def test_a_stopped_cbc_is_never_better():
    metrics, arrays = rivals.cbc_wrong(0, cases=((40, 5), (600, 40)), time_limit=0.4)
    assert metrics["n_claimed_optimal"] == metrics["n_cases"] == 2
    assert metrics["n_worse"] <= 2 - metrics["n_proven"]
    assert (arrays["objective_cbc"] >= arrays["objective_closed"] - 1e-9).all()


def test_a_solver_that_finds_nothing_gets_more_time_and_then_gives_up(monkeypatch):
    limits = []

    def never(norms, k, n_nodes, solver, limit):
        limits.append(limit)
        raise rivals.StudyError(f"{solver} found no answer within {limit:g} s")

    monkeypatch.setattr(rivals.exact, "solve_milp_as_written", never)
    with pytest.raises(ValueError, match="found no answer within 16 s"):
        rivals.cbc_wrong(0, cases=((20, 5),), time_limit=1.0)
    assert limits == [1.0, 4.0, 16.0]


def test_variants_are_runs_of_their_own():
    scale = ex.Config()
    runs = ex.asked(scale, "variants")
    assert len(runs) == len(set(runs)) == 4 * scale.n_seeds
    assert not set(runs) & set(ex.asked(scale, "ladder", "nodes"))
    assert {run.subset.budget for run in runs} == {min(scale.percentages)}
    assert set(runs) <= set(ex.ALL["04"](scale))
