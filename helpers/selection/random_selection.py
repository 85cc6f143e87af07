"""Random choice, the rung every method must beat."""

import numpy as np

from helpers.checks import check_k, check_rng
from helpers.selection.registry import Pool, method
from helpers.selection.stratify import per_class


def random(n: int, k: int, rng: int | np.random.Generator) -> np.ndarray:
    """Pick k of n rows uniformly without repeats.

    From equal seeds a smaller k gives the beginning of a larger.
    """
    k = check_k(k, n)
    return check_rng(rng).permutation(n)[:k]


def random_per_class(labels: np.ndarray, k: int, rng: int | np.random.Generator) -> np.ndarray:
    """Pick k rows at random with every class in its proportion, the classes interleaved.

    Source: `geda` section 5.2, first approach.
    """
    rng = check_rng(rng)
    return per_class(labels, k, lambda rows, share: random(len(rows), share, rng))


@method("random", "Random", ladder=True)
def pick_random(pool: Pool, k: int, rng: np.random.Generator) -> np.ndarray:
    """Draw k rows."""
    return random(pool.n, k, rng)


@method("random-per-class", "Random per class", ladder=True, by_class=True)
def pick_random_per_class(pool: Pool, k: int, rng: np.random.Generator) -> np.ndarray:
    """Draw k rows with every class in its proportion."""
    return random_per_class(pool.labels, k, rng)
