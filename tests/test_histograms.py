"""ADONIS's decision on losses whose bins can be counted by eye."""

import numpy as np
import pytest

from helpers import samplers
from helpers.histograms import accepted_bins, is_accepted, n_bins

LOSSES = np.array([0.0, 0.1, 0.1, 0.1, 0.5, 0.5, 0.9, 9.0])


@pytest.mark.parametrize(
    ("n", "rule", "bins"),
    [(512, "sturges", 10), (512, "sqrt", 23), (512, "rice", 16), (1, "sturges", 1)],
)
def test_bin_rules_count_as_the_document_does(n, rule, bins):
    assert n_bins(n, rule) == bins


def test_an_unknown_rule_is_named():
    with pytest.raises(ValueError, match="sturges, sqrt, rice, got 'scott'"):
        n_bins(10, "scott")


def test_clipping_drops_what_is_far_from_the_mean():
    clipped = accepted_bins(LOSSES, 0.1, 1.0, "sturges")
    assert clipped.edges[-1] == 0.9
    assert accepted_bins(LOSSES, 0.1, np.inf, "sturges").edges[-1] == 9.0


def test_shares_are_of_the_losses_kept_and_the_threshold_is_strict():
    found = accepted_bins(LOSSES, 1 / 7, 1.0, "sturges")
    # seven losses are kept: ceil(log2 7) + 1 = 4 bins of width 0.225
    assert np.allclose(found.share, np.array([4, 0, 2, 1]) / 7)
    assert found.accepted.tolist() == [True, False, True, False]


def test_equal_losses_share_a_bin():
    found = accepted_bins(np.full(16, 0.7), 0.12, 1.0, "sturges")
    assert found.share.max() == 1
    assert is_accepted(np.array([0.7]), found).all()


def test_is_accepted_agrees_with_a_slow_twin():
    history = np.random.default_rng(4).exponential(size=300)
    found = accepted_bins(history, 0.12, 1.0, "sturges")
    slow = [
        any(
            ok and low <= loss and (loss < high or (high == found.edges[-1] and loss == high))
            for low, high, ok in zip(found.edges, found.edges[1:], found.accepted)
        )
        for loss in history
    ]
    assert is_accepted(history, found).tolist() == slow
    assert not is_accepted(np.array([history.max()]), found).any()


def test_the_sampler_module_still_offers_the_names():
    assert samplers.accepted_bins is accepted_bins
    assert samplers.n_bins is n_bins
    assert samplers.Histogram is type(accepted_bins(LOSSES, 0.1, 1.0, "sturges"))
