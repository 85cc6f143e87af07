import numpy as np

from helpers import toy


def test_the_toy_pool_repeats_and_is_whole():
    one, other = toy.pool(), toy.pool()
    assert one.n == 500
    np.testing.assert_array_equal(one.features, other.features)
    np.testing.assert_array_equal(one.probs, other.probs)
    np.testing.assert_allclose(one.probs.sum(axis=1), 1)
    assert set(one.labels) == {0, 1, 2}
    assert not np.array_equal(toy.pool(seed=1).features, one.features)


def test_the_toy_proxy_learns_and_forgets():
    pool = toy.pool()
    right = pool.probs.argmax(axis=1) == pool.labels
    assert 0.9 < right.mean() < 1  # some points must stay hard
    assert np.isinf(pool.forgetting).any()
    assert (np.isfinite(pool.forgetting) & (pool.forgetting > 0)).any()
