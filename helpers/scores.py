"""One number an example from what a proxy gave; everywhere, larger = keep first.

probs are the proxy's softmax, shape (n, c), rows sum to 1. Arguments that are not as said raise
StudyError, a ValueError.
"""

from collections.abc import Sequence

import numpy as np
from scipy.special import entr

from helpers import StudyError
from helpers.checks import check_labels, check_probs, check_scores
from helpers.ranking import ranks


def least_confidence(probs: np.ndarray) -> np.ndarray:
    """Return 1 - max p (n,), in [0, 1 - 1/c]: how far the proxy is from being sure.

    Source: `svp` section 2.1.
    """
    return 1 - check_probs(probs).max(axis=1)


def margin(probs: np.ndarray) -> np.ndarray:
    """Return 1 - (largest p - second largest p), (n,), in [0, 1]: how close the best classes are.

    Source: `svp` section 2.1, where the smallest difference comes first.
    """
    top = np.partition(check_probs(probs), -2, axis=1)[:, -2:]
    return 1 - (top[:, 1] - top[:, 0])


def entropy(probs: np.ndarray) -> np.ndarray:
    """Return the entropy -sum p log p of every row, (n,), in nats, in [0, log c]; p = 0 adds 0.

    Source: `svp` section 2.1; `budgeted` eq. 3.
    """
    return entr(check_probs(probs)).sum(axis=1)


def forgetting_events(correct: np.ndarray, visited: np.ndarray | None = None) -> np.ndarray:
    """Count how often an example turned from right to wrong between two of its visits.

    Args:
        correct: Whether the example was classified rightly, shape (epochs, n), bool or 0/1.
        visited: Whether the example was seen at all in the epoch, shape (epochs, n);
            None means always. An epoch without a visit neither learns nor forgets.

    Returns:
        Counts, shape (n,), float64; never learned = inf.

    Source: `svp` section 2.1, after Toneva et al. (2019).

    Note: never learned counts as infinitely forgotten, as in `svp`; other code bases say never
    forgotten. An example that was never visited was never learned.
    """
    correct = _bits(correct, "correct")
    seen = np.ones_like(correct) if visited is None else _bits(visited, "visited")
    if seen.shape != correct.shape:
        raise StudyError(
            f"visited must have the shape of correct {correct.shape}, got {seen.shape}"
        )
    n_forgotten = np.zeros(correct.shape[1])
    was_right = np.zeros(correct.shape[1], dtype=bool)
    for right_now, seen_now in zip(correct, seen, strict=True):
        n_forgotten += seen_now & was_right & ~right_now
        was_right = np.where(seen_now, right_now, was_right)
    n_forgotten[~(correct & seen).any(axis=0)] = np.inf
    return n_forgotten


def _bits(values: np.ndarray, name: str) -> np.ndarray:
    values = np.asarray(values)
    if values.ndim != 2 or values.size == 0:
        raise StudyError(f"{name} must have shape (epochs, n), got {values.shape}")
    if values.dtype != bool and not np.isin(values, (0, 1)).all():
        raise StudyError(f"{name} must hold only 0 and 1")
    return values.astype(bool)


def el2n(probs: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the length of the error vector, ||p - onehot(y)||, (n,), in [0, sqrt(2)].

    Labels are class numbers in 0..c-1, shape (n,).

    Source: Paul et al. (2021), arXiv:2107.07075, definition 2.2.
    """
    probs, labels = check_probs(probs), check_labels(labels)
    n, c = probs.shape
    if len(labels) != n or labels.max() >= c:
        raise StudyError(f"labels must be {n} numbers in 0..{c - 1}, to fit probs {probs.shape}")
    error = probs.copy()
    error[np.arange(n), labels] -= 1
    return np.linalg.norm(error, axis=1)


def combine_ranks(scores: Sequence[np.ndarray]) -> np.ndarray:
    """Return the mean rank (n,), in [1, n], of every example over several score vectors (n,).

    +inf is allowed; equal scores share a rank.

    Source: `svp-slides`, ensembles of two or three small proxies.
    """
    vectors = [check_scores(vector) for vector in scores]
    if not vectors or len({len(vector) for vector in vectors}) > 1:
        raise StudyError(
            f"scores must be vectors of one length, got {[len(vector) for vector in vectors]}"
        )
    return np.mean([ranks(vector) for vector in vectors], axis=0)


def order(scores: np.ndarray) -> np.ndarray:
    """Return row numbers (n,) by falling score, +inf before all others; ties keep row order."""
    return np.argsort(-check_scores(scores), kind="stable")
