import numpy as np
import pytest
from scipy import stats

from helpers import ranking


def test_correlations_equal_scipy():
    a, b = np.random.default_rng(0).integers(0, 6, (2, 50)).astype(float)
    assert ranking.spearman(a, b) == pytest.approx(stats.spearmanr(a, b)[0])
    assert ranking.pearson(a, b) == pytest.approx(stats.pearsonr(a, b)[0])


def test_infinity_ranks_first_for_spearman_and_is_replaced_for_pearson():
    a, b = np.array([0, 1, 2, np.inf]), np.array([0.0, 1, 2, 9])
    assert ranking.spearman(a, b) == pytest.approx(1)
    assert ranking.pearson(a, b, infinite=9) == pytest.approx(1)
    with pytest.raises(ValueError, match="infinite"):
        ranking.pearson(a, b)


@pytest.mark.filterwarnings("error")
def test_a_constant_ranking_has_no_correlation():
    for correlation in (ranking.spearman, ranking.pearson):
        assert np.isnan(correlation([1.0, 1, 1], [1.0, 2, 3]))
        assert np.isnan(correlation([1.0, 2, 3], [4.0, 4, 4]))


def test_ranks_from_order_give_the_first_the_largest():
    assert ranking.ranks_from_order(np.array([2, 0, 1])).tolist() == [2, 1, 3]


def test_t_interval_is_students():
    values = np.array([1.0, 2, 3, 4])
    expected = stats.t.interval(0.95, 3, loc=2.5, scale=stats.sem(values))
    assert ranking.t_interval(values) == pytest.approx((2.5, *expected))
    assert ranking.t_interval([2.0, 2.0]) == (2, 2, 2)


def test_intervals_of_one_value_and_of_none():
    assert ranking.t_interval([5.0]) == (5.0, -np.inf, np.inf)
    for bad in ([], [np.nan, 1]):
        with pytest.raises(ValueError, match="at least one value"):
            ranking.t_interval(bad)


def test_bad_rankings():
    for a, b in (([1.0, 2], [1.0]), ([np.nan, 2], [1.0, 2]), ([1.0, 2], [-np.inf, 2])):
        with pytest.raises(ValueError, match="rankings|scores"):
            ranking.spearman(a, b)
