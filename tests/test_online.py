"""Reading online runs: counts that can be checked by hand, and the figures made of them."""

import inspect

import numpy as np

from helpers import samplers
from helpers.results import online
from helpers.specs import Sampler, Train

EVENTS = np.array([[1, 4, 2, 1], [1, 4, 0, 0], [2, 8, 8, 1]])


def test_defaults_are_those_of_the_sampler():
    parameters = inspect.signature(samplers.Adonis).parameters
    assert {name: parameters[name].default for name in online.DEFAULTS} == online.DEFAULTS


def test_settings_fill_in_defaults():
    spec = Train("digits", "m", "r", 2, 0, sampler=Sampler("adonis", (), (("theta", 0.3),)))
    assert online.settings_of(spec) == online.DEFAULTS | {"theta": 0.3}


def test_bound_counts_passes():
    assert online.boost_bound(1, 1 / 3) == 1.5
    assert online.boost_bound(1, 1) == 0.75


def test_counted_boost_takes_backward_twice():
    full, ours = {"forward": [5, 10], "backward": [5, 10]}, {"forward": [12], "backward": [4]}
    assert online.counted_boost(full, ours) == 30 / 20


def test_seconds_to_is_the_first_epoch_there():
    history = {"test_acc": [0.5, 0.9, 0.8, 0.95], "seconds": [1.0, 2.0, 3.0, 4.0]}
    assert online.seconds_to(history, 0.9) == 2.0
    assert online.seconds_to(history, 0.96) == np.inf


def test_acceptance_by_epoch():
    candidates, closed = online.acceptance(EVENTS, 4)
    assert np.allclose(candidates, [np.nan, 0.25, 1.0, np.nan], equal_nan=True)
    assert np.allclose(closed, [np.nan, 0.5, 0.0, np.nan], equal_nan=True)


def test_batches_count_once_the_history_is_full():
    assert online.share_without_bin(EVENTS, 8) == 0.5
    assert np.isnan(online.share_without_bin(EVENTS, 17))


def test_never_chosen_leaves_the_warm_up_out():
    visited = np.array([[1] * 10, [0, 1] * 5, [0, 0, 1] + [0] * 7], bool)
    mask = online.never_chosen(np.packbits(visited, axis=1), 10)
    assert np.flatnonzero(mask).tolist() == [0, 4, 6, 8]


def test_tenths_run_from_easy_to_hard():
    score = np.arange(20)[::-1]
    assert online.share_by_tenth(score >= 18, score).tolist() == [0] * 9 + [1]
