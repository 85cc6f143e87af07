import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from helpers import checks, scores

PROBS = np.array([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0], [0.6, 0.3, 0.1]])


def test_scores_of_a_toy_pool():
    assert scores.least_confidence(PROBS) == pytest.approx([0.5, 0.0, 0.4])
    assert scores.margin(PROBS) == pytest.approx([1.0, 0.0, 0.7])
    by_hand = -(0.6 * np.log(0.6) + 0.3 * np.log(0.3) + 0.1 * np.log(0.1))
    assert scores.entropy(PROBS) == pytest.approx([np.log(2), 0.0, by_hand])


def test_entropy_of_a_certain_row_is_zero_not_nan():
    assert scores.entropy(np.eye(3)).tolist() == [0, 0, 0]


@pytest.mark.parametrize("score", [scores.least_confidence, scores.margin, scores.entropy])
def test_the_flat_row_comes_first_and_the_certain_row_last(score):
    probs = np.array([[0.7, 0.2, 0.1], [0, 1, 0], [1 / 3, 1 / 3, 1 / 3]])
    assert scores.order(score(probs)).tolist() == [2, 0, 1]


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_rounded_softmax_passes(dtype):
    probs = np.random.default_rng(0).dirichlet(np.ones(100), 50).astype(dtype)
    assert scores.entropy(probs).shape == (50,)


def slow_forgetting(correct, visited):
    counts = []
    for right, seen in zip(correct.T, visited.T):
        story = [r for r, s in zip(right, seen) if s]
        falls = sum(a and not b for a, b in zip(story, story[1:]))
        counts.append(falls if any(story) else np.inf)
    return np.array(counts, dtype=float)


def test_forgetting_by_hand():
    correct = np.array([[1, 0, 1, 0], [0, 1, 1, 0], [1, 0, 1, 0], [0, 1, 1, 0]])
    assert scores.forgetting_events(correct).tolist() == [2, 1, 0, np.inf]


def test_an_epoch_without_a_visit_forgets_nothing():
    correct = np.array([[1], [0], [1]])
    assert scores.forgetting_events(correct, np.array([[1], [0], [1]])).tolist() == [0]


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_forgetting_equals_its_slow_twin(seed):
    rng = np.random.default_rng(seed)
    shape = (rng.integers(1, 9), rng.integers(1, 9))
    correct, visited = rng.random((2, *shape)) < 0.6
    fast = scores.forgetting_events(correct, visited)
    np.testing.assert_array_equal(fast, slow_forgetting(correct, visited))


def test_el2n_is_the_length_of_the_error():
    probs = np.array([[0.5, 0.5], [0.0, 1.0], [1.0, 0.0]])
    expected = [np.sqrt(0.5), 0, np.sqrt(2)]
    assert scores.el2n(probs, np.array([0, 1, 1])) == pytest.approx(expected)


def test_combined_ranks_are_mean_ranks_and_keep_infinity_first():
    both = scores.combine_ranks([np.array([1.0, 5.0, np.inf]), np.array([0.1, 0.1, 0.9])])
    assert both.tolist() == [1.25, 1.75, 3]


def test_order_is_stable_and_puts_infinity_first():
    assert scores.order(np.array([1, np.inf, 2, 1, np.inf])).tolist() == [1, 4, 2, 0, 3]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ([0.0, np.nan], "NaN in row 1"),
        ([-np.inf, 0.0], "-inf in row 0"),
        ([], "shape"),
        ([[1.0]], "shape"),
        (["a"], "numbers"),
    ],
)
def test_bad_scores(bad, message):
    with pytest.raises(ValueError, match=message):
        scores.order(bad)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ([[0.5, 0.4]], "sum to 1"),
        ([[1.5, -0.5]], "negative"),
        ([[np.nan, 1.0]], "finite"),
        ([[1.0]], "c >= 2"),
        ([0.5, 0.5], "shape"),
    ],
)
@pytest.mark.parametrize("score", [scores.least_confidence, scores.margin, scores.entropy])
def test_bad_probabilities(score, bad, message):
    with pytest.raises(ValueError, match=message) as error:
        score(np.array(bad))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("bad", "n_classes", "message"),
    [
        ([1, 1, 1], None, "at least 2 classes"),
        ([0, 2, 0], 3, "class 1 is empty"),
        ([0, 3], 3, "0..2"),
        ([0, -1], None, "from 0 upwards"),
        ([0.5, 1], None, "whole"),
        ([], None, "shape"),
    ],
)
def test_bad_labels(bad, n_classes, message):
    with pytest.raises(ValueError, match=message):
        checks.check_labels(bad, n_classes)


@pytest.mark.parametrize("k", [0, -1, 6, 2.5, True, "3", None])
def test_bad_k(k):
    with pytest.raises(ValueError, match="1..5"):
        checks.check_k(k, 5)


@pytest.mark.parametrize("bad", [[[np.nan]], [[np.inf]], [1.0, 2.0], np.empty((0, 3)), [["a"]]])
def test_bad_features(bad):
    with pytest.raises(ValueError, match="features must"):
        checks.check_features(bad)


def test_bad_companions():
    with pytest.raises(ValueError, match="labels must be 1 numbers"):
        scores.el2n([[0.5, 0.5]], [0, 1])
    with pytest.raises(ValueError, match="equally long"):
        scores.combine_ranks([[1.0], [1.0, 2.0]])
    with pytest.raises(ValueError, match="equally long"):
        scores.combine_ranks([])
    with pytest.raises(ValueError, match="only 0 and 1"):
        scores.forgetting_events([[2, 0]])
    with pytest.raises(ValueError, match="visited must have the shape"):
        scores.forgetting_events([[1, 0]], [[1]])
    with pytest.raises(ValueError, match=r"\(epochs, n\)"):
        scores.forgetting_events([1, 0])


def test_midranks_are_those_of_scipy():
    from scipy.stats import rankdata

    rng = np.random.default_rng(0)
    for values in (rng.integers(0, 5, 40), rng.normal(size=30), np.array([2.0, np.inf, np.inf])):
        np.testing.assert_array_equal(scores.midranks(values), rankdata(values))
