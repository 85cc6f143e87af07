import numpy as np
import pytest
from scipy import stats

from helpers import ranking


def test_correlations_equal_scipy():
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 6, (4, 50)).astype(float)
    assert ranking.spearman(rows[0], rows[1]) == pytest.approx(stats.spearmanr(*rows[:2])[0])
    assert ranking.pearson(rows[0], rows[1]) == pytest.approx(stats.pearsonr(*rows[:2])[0])
    np.testing.assert_allclose(ranking.spearman_matrix(rows), stats.spearmanr(rows.T)[0])


def test_infinity_ranks_first_for_spearman_and_is_replaced_for_pearson():
    a, b = np.array([0, 1, 2, np.inf]), np.array([0.0, 1, 2, 9])
    assert ranking.spearman(a, b) == pytest.approx(1)
    assert ranking.pearson(a, b, infinite=9) == pytest.approx(1)
    with pytest.raises(ValueError, match="number of epochs"):
        ranking.pearson(a, b)


def test_a_constant_ranking_has_no_correlation():
    assert np.isnan(ranking.spearman([1.0, 1, 1], [1.0, 2, 3]))
    matrix = ranking.spearman_matrix(np.array([[1.0, 1, 1], [1, 2, 3], [3, 2, 1]]))
    assert np.isnan(matrix[0]).all()
    assert matrix[1, 2] == pytest.approx(-1)


def test_ranks_from_order_give_the_first_the_largest():
    ranks = ranking.ranks_from_order(np.array([2, 0, 1]))
    assert ranks.tolist() == [2, 1, 3]
    for bad in ([0, 0, 1], [1, 2, 3], [], [[0]]):
        with pytest.raises(ValueError, match="every row number"):
            ranking.ranks_from_order(np.array(bad))


def test_intervals():
    values = np.array([1.0, 2, 3, 4])
    mean, low, high = ranking.t_interval(values)
    expected = stats.t.interval(0.95, 3, loc=2.5, scale=stats.sem(values))
    assert (mean, low, high) == pytest.approx((2.5, *expected))
    mean, low, high = ranking.bootstrap_interval(values)
    assert 1 < low < mean < high < 4
    assert ranking.bootstrap_interval(values) == (mean, low, high)
    for interval in (ranking.t_interval, ranking.bootstrap_interval):
        assert interval([5.0]) == (5.0, -np.inf, np.inf)
        for bad in ([], [np.nan, 1]):
            with pytest.raises(ValueError, match="at least one value"):
                interval(bad)


def test_bad_rankings():
    with pytest.raises(ValueError, match="same length"):
        ranking.spearman([1.0, 2], [1.0])
    with pytest.raises(ValueError, match="NaN"):
        ranking.spearman([np.nan, 2], [1.0, 2])
    with pytest.raises(ValueError, match=r"\(m, n\)"):
        ranking.spearman_matrix(np.ones(3))
