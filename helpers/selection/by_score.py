"""Selection by a score of predictions, of forgetting or of the user's own: by rank, or spread."""

from collections.abc import Callable
from numbers import Real

import numpy as np

from helpers import StudyError, scores
from helpers.checks import check_k, check_number, check_rng, check_scores
from helpers.selection.registry import Pool, method
from helpers.selection.stratify import interleave

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


def coverage_centric(
    scores: np.ndarray,
    k: int,
    rng: int | Rng,
    n_strata: int = 50,
    hard_cutoff: float = 0.1,
) -> np.ndarray:
    """Drop the hardest rows, cut the range of scores into strata, draw alike from each.

    Args:
        scores: Difficulty, shape (n,), finite; larger = harder, as everywhere in
            `helpers.scores` (EL2N, entropy, 1 - margin).
        k: Rows to keep.
        rng: Seed or generator.
        n_strata: Intervals of equal width between the least and the largest score left,
            >= 1; an empty one takes no places.
        hard_cutoff: Share dropped from the hard end, in [0, 1): the paper's beta.

    Returns:
        Row numbers (k,), the strata interleaved, each in random order.

    Source: Zheng et al. (2023), arXiv:2210.15809, Algorithm 1.

    Note: floor(beta n) rows are dropped, equal scores at the border by chance, but never so many
    that fewer than k are left: above k = (1 - beta) n the cutoff gives way. The paper tunes
    beta for every data set and budget; 0.1 is ours.
    """
    scores = check_scores(scores, finite=True)
    k = check_k(k, len(scores))
    check_number(n_strata, "n_strata", 1, whole=True)
    if not isinstance(hard_cutoff, Real) or not 0 <= hard_cutoff < 1:
        raise StudyError(f"hard_cutoff must lie in [0, 1), got {hard_cutoff!r}")
    # The small step up keeps 0.29 * 100 = 28.999999999999996 at 29.
    n_dropped = min(int(hard_cutoff * len(scores) + 1e-9), len(scores) - k)
    rng = check_rng(rng)
    left = ranked(-scores, rng)[: len(scores) - n_dropped]
    edges = np.linspace(scores[left[0]], scores[left[-1]], n_strata + 1)[1:-1]
    strata = np.split(left, np.searchsorted(scores[left], edges, side="right"))
    shares = level_shares(np.array([len(rows) for rows in strata]), k)
    pairs = zip(strata, shares, strict=True)
    return interleave([rng.permutation(rows)[:share] for rows, share in pairs])


def level_shares(counts: np.ndarray, k: int) -> np.ndarray:
    """Share k places so that every group has as many as every other, or all it holds.

    Strata are served from the smallest upwards: all of it, or the whole part of what is left over
    the strata that are left; the largest takes the remainder. Group sizes (c,) in, places (c,),
    int64, out, sum k.

    Source: Zheng et al. (2023), Algorithm 1, the loop over strata.
    """
    counts = np.asarray(counts, dtype=np.int64)
    left = check_k(k, int(counts.sum()))
    shares = np.zeros_like(counts)
    smallest_first = [group for group in np.argsort(counts, kind="stable") if counts[group]]
    for done, group in enumerate(smallest_first):
        shares[group] = min(counts[group], left // (len(smallest_first) - done))
        left -= shares[group]
    return shares


@method("ccs", "Coverage-centric", needs=("scores|probs", "scores|labels"), family="scores")
def pick_coverage_centric(
    pool: Pool,
    k: int,
    rng: Rng,
    n_strata: int = 50,
    hard_cutoff: float = 0.1,
) -> np.ndarray:
    """Spread over the range of the scores (EL2N by default), without the hardest share."""
    hardness = scores.el2n(pool.probs, pool.labels) if pool.scores is None else pool.scores
    return coverage_centric(hardness, k, rng, n_strata, hard_cutoff)
