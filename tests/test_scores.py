import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from helpers import StudyError, checks, scores

PROBS = np.array([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0], [0.6, 0.3, 0.1]])


def test_scores_of_a_toy_pool():
    assert scores.least_confidence(PROBS) == pytest.approx([0.5, 0.0, 0.4])
    assert scores.margin(PROBS) == pytest.approx([1.0, 0.0, 0.7])
    by_hand = -(0.6 * np.log(0.6) + 0.3 * np.log(0.3) + 0.1 * np.log(0.1))
    assert scores.entropy(PROBS) == pytest.approx([np.log(2), 0.0, by_hand])


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


BAD = [
    *((scores.order, (bad,), "scores") for bad in ([0, np.nan], [-np.inf, 0], [], [[1.0]])),
    *((scores.entropy, (bad,), "probs")
      for bad in ([[0.5, 0.4]], [[1.5, -0.5]], [[np.nan, 1.0]], [[1.0]], [0.5, 0.5])),
    *((checks.check_labels, bad, "labels")
      for bad in (([1, 1, 1],), ([0, -1],), ([0.5, 1],), ([],))),
    *((checks.check_k, (bad, 5), r"k must .* 1\.\.5") for bad in (0, 6, 2.5, True, "3", None)),
    *((checks.check_features, (bad,), "features")
      for bad in ([[np.nan]], [1.0, 2.0], np.empty((0, 3)), [["a"]])),
    *((checks.check_similarity, bad, "similarity")
      for bad in ((np.ones((2, 3)),), (np.eye(2), 3), (np.array([[2.0, 1], [0, 3]]),),
                  (-np.eye(2),), (np.full((2, 2), np.nan),), (np.full((2, 2), 1e308),))),
    (checks.check_squares, (np.array([1e308]),), "features"),
    (scores.el2n, ([[0.5, 0.5]] * 2, [0, 2]), "labels"),
    (scores.combine_ranks, ([[1.0], [1.0, 2.0]],), "scores"),
    (scores.forgetting_events, ([[2, 0]],), "correct"),
    (scores.forgetting_events, ([[1, 0]], [[1]]), "visited"),
]  # fmt: skip


def test_bad_arguments_are_named_in_one_line():
    for function, arguments, named in BAD:
        with pytest.raises(StudyError, match=named) as caught:
            function(*arguments)
        assert "\n" not in str(caught.value)


def test_what_can_be_used_is_returned():
    assert checks.check_k(np.float64(3), 3) == 3
    assert checks.check_scores([1, np.inf]).tolist() == [1, np.inf]
    assert checks.check_features(np.ones((2, 3), np.float16)).dtype == np.float32
    assert checks.check_features([[1, 2]]).dtype == np.float64
    many = np.ones((1 << 11, 1 << 10), np.float32)  # looked at in several steps
    many[-1, 0] = np.nan
    with pytest.raises(StudyError, match="row 2047"):
        checks.check_features(many)
    matrix, rows = checks.check_similarity([[2, 1], [1, 3]], 2)
    assert matrix.dtype == np.float64
    assert rows.tolist() == [3, 4]
    assert checks.check_symmetric(-np.eye(2), "kernel")[2] == -1
    rng = np.random.default_rng(0)
    assert checks.check_rng(rng) is rng
    assert checks.check_rng(0).random() == np.random.default_rng(0).random()
