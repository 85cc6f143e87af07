"""Rank correlations between runs as one number a seed, seeds being the sample.

Runs of one seed share their start and the order of their batches, and one run is in many pairs:
neither pairs nor runs are independent. One seed is left out at a time (the jackknife of Efron and
Stein 1981, Ann. Statist. 9, 586-596), and the pseudo-values of seeds are judged like other numbers.
"""

import numpy as np


def pair_means(matrix: np.ndarray, pairs: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    """Return the jackknife's pseudo-values of a mean over pairs of runs, (distinct seeds,).

    Args:
        matrix: Of pairs of runs, (m, m).
        pairs: Which of them count, (m, m) bool.
        seeds: Seed of each run, (m,).

    Returns:
        NaN where a ranking is constant, or where without some seed no pair is left.
    """
    known = np.unique(seeds)
    kept = [np.ones(len(seeds), dtype=bool), *(seeds != one for one in known)]
    found = [matrix[pairs & np.outer(of, of)] for of in kept]
    means = np.array([one.mean() if one.size else np.nan for one in found])
    return len(known) * means[0] - (len(known) - 1) * means[1:]


def blocks(matrix, groups, seeds) -> tuple[np.ndarray, np.ndarray]:
    """Return `pair_means` of runs of one group, and of runs of two.

    Args:
        matrix: Correlations between runs, (m, m), symmetric; the diagonal is not used.
        groups: Group of each run, such as its depth, (m,).
        seeds: Seed of each run, (m,). Runs of different groups with one seed share the order of
            their batches and agree the more for it, so such pairs are left out.
    """
    matrix, groups, seeds = map(np.asarray, (matrix, groups, seeds))
    other, same = seeds[:, None] != seeds[None, :], groups[:, None] == groups[None, :]
    return pair_means(matrix, same & other, seeds), pair_means(matrix, ~same & other, seeds)
