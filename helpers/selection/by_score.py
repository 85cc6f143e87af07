"""Selection by rank of a score: of predictions, of forgetting, or of the user's own."""

from collections.abc import Callable

import numpy as np

from helpers import scores
from helpers.checks import check_scores
from helpers.selection.registry import Pool, method

Rng = np.random.Generator


def ranked(values: np.ndarray, rng: Rng) -> np.ndarray:
    """Return the rows by falling value (n,); ties fall by chance, not by row.

    A folder sorted by class with many equal scores would otherwise lose whole classes.
    """
    values = check_scores(values)
    shuffled = rng.permutation(len(values))
    return shuffled[scores.order(values[shuffled])]


def _uncertain(key: str, label: str, score: Callable[[np.ndarray], np.ndarray]) -> None:
    @method(key, label, needs=("probs",), family="scores")
    def choose(pool: Pool, k: int, rng: Rng, correct_only: bool = False) -> np.ndarray:
        """Rank by the score; correct_only (`svp-slides`) puts what the proxy got wrong last."""
        rows = ranked(score(pool.probs), rng)
        if correct_only:
            rows = rows[np.argsort(~_is_correct(pool)[rows], kind="stable")]
        return rows[:k]


_uncertain("least-confidence", "Least confidence", scores.least_confidence)
_uncertain("margin", "Margin", scores.margin)
_uncertain("entropy", "Entropy", scores.entropy)


def _is_correct(pool: Pool) -> np.ndarray:
    """Return whether the proxy was right at the end, shape (n,)."""
    if pool.correct is not None:
        return np.atleast_2d(pool.correct)[-1].astype(bool)
    return np.argmax(pool.probs, axis=1) == pool.labels


@method("forgetting", "Forgetting events", needs=("forgetting",), family="scores")
def forgetting(pool: Pool, k: int, rng: Rng) -> np.ndarray:
    """Rank by forgetting events."""
    return ranked(pool.forgetting, rng)[:k]


@method("el2n", "EL2N", needs=("probs",), family="scores", by_class=True)
def el2n(pool: Pool, k: int, rng: Rng) -> np.ndarray:
    """Rank by the length of the error vector."""
    return ranked(scores.el2n(pool.probs, pool.labels), rng)[:k]


@method("top", "Largest score", needs=("scores",), family="scores", compare=False)
def top(pool: Pool, k: int, rng: Rng) -> np.ndarray:
    """Rank by scores of the user's own."""
    return ranked(pool.scores, rng)[:k]
