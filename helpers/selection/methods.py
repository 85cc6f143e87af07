"""The methods as the registry calls them: pick(pool, k, rng, **options) -> row numbers."""

from collections.abc import Callable

import numpy as np
from scipy.optimize import OptimizeResult

from helpers import StudyError, scores
from helpers.selection import (
    chance,
    coverage_centric as ccs,
    dpp as dpp_module,
    geda as geda_module,
    gradients,
    iqp as iqp_module,
    kcenters,
    prototypes,
    submodular,
)
from helpers.selection.pool import Pool
from helpers.selection.quotas import per_class

Rng = np.random.Generator
Weighted = tuple[np.ndarray, np.ndarray]
N_CLUSTERS = 10


def _ranked(values: np.ndarray, k: int, rng: Rng) -> np.ndarray:
    """Return the k rows with the largest values; ties fall by chance, not by row.

    A folder sorted by class with many equal scores would otherwise lose whole classes.
    """
    shuffled = rng.permutation(len(values))
    return shuffled[scores.order(np.asarray(values)[shuffled])][:k]


def random(pool: Pool, k: int, rng: Rng) -> np.ndarray:
    """Draw k rows."""
    return chance.random(pool.n, k, rng)


def random_per_class(pool: Pool, k: int, rng: Rng) -> np.ndarray:
    """Draw k rows with every class in its proportion."""
    return chance.random_per_class(pool.labels, k, rng)


def uncertain(score: Callable[[np.ndarray], np.ndarray]) -> Callable[..., np.ndarray]:
    """Make a method of a score of probabilities."""

    def pick(pool: Pool, k: int, rng: Rng, correct_only: bool = False) -> np.ndarray:
        """Rank by the score; correct_only (`svp-slides`) puts what the proxy got wrong last."""
        ranked = _ranked(score(pool.probs), pool.n, rng)
        if correct_only:
            ranked = ranked[np.argsort(~_is_correct(pool)[ranked], kind="stable")]
        return ranked[:k]

    return pick


def _is_correct(pool: Pool) -> np.ndarray:
    """Return whether the proxy was right at the end, shape (n,)."""
    if pool.correct is not None:
        return np.atleast_2d(pool.correct)[-1].astype(bool)
    return np.argmax(pool.probs, axis=1) == pool.labels


def forgetting(pool: Pool, k: int, rng: Rng) -> np.ndarray:
    """Rank by forgetting events."""
    return _ranked(pool.forgetting, k, rng)


def top(pool: Pool, k: int, rng: Rng) -> np.ndarray:
    """Rank by scores of the user's own."""
    return _ranked(pool.scores, k, rng)


def el2n(pool: Pool, k: int, rng: Rng) -> np.ndarray:
    """Rank by the length of the error vector."""
    return _ranked(scores.el2n(pool.probs, pool.labels), k, rng)


def coverage_centric(
    pool: Pool, k: int, rng: Rng, n_strata: int = 50, hard_cutoff: float = 0.1
) -> np.ndarray:
    """Spread over the range of the scores (EL2N by default), without the hardest share."""
    given = pool.scores is not None
    hardness = pool.scores if given else scores.el2n(pool.probs, pool.labels)
    return ccs.coverage_centric(hardness, k, rng, n_strata, hard_cutoff)


def k_centers(pool: Pool, k: int, rng: Rng, n_initial: int = 0) -> np.ndarray:
    """Cover the features; n_initial random rows come first and count towards k."""
    if pool.centres is not None:
        return _around(pool.features, pool.centres, k, n_initial)
    if not n_initial:
        return kcenters.greedy_k_centers(pool.features, k)
    if not 0 <= n_initial <= k:
        raise StudyError(f"n_initial must lie in 0..{k}, got {n_initial}")
    initial = chance.random(pool.n, n_initial, rng)
    if len(initial) == k:
        return initial
    added = kcenters.greedy_k_centers(pool.features, k - len(initial), initial)
    return np.concatenate([initial, added])


def _around(features: np.ndarray, centres: np.ndarray, k: int, n_initial: int) -> np.ndarray:
    """Return k rows (k,) of features (n, d) added to centres (m, d) that are there already."""
    if n_initial:
        raise StudyError(f"n_initial must be 0 where centres are there, got {n_initial}")
    m = len(centres)
    everything = np.concatenate([centres, np.asarray(features)])
    return kcenters.greedy_k_centers(everything, k, np.arange(m)) - m


def facility_location(pool: Pool, k: int, rng: Rng) -> np.ndarray:
    """Maximise the similarity of every row to its nearest pick."""
    return submodular.facility_location(pool.features, k)


def coverage_diversity(pool: Pool, k: int, rng: Rng) -> np.ndarray:
    """Maximise `budgeted`'s submodular baseline by lazy greedy."""
    return submodular.coverage_diversity(pool.features, k)


def graph_cut(pool: Pool, k: int, rng: Rng) -> np.ndarray:
    """Maximise similarity to all less similarity within."""
    return submodular.graph_cut(pool.features, k)


def dpp(pool: Pool, k: int, rng: Rng, mode: str = "sample") -> np.ndarray:
    """Draw from a k-DPP, or take its greedy mode with mode="map"."""
    return dpp_module.select(pool.features, k, rng, mode)


def moderate(pool: Pool, k: int, rng: Rng) -> np.ndarray:
    """Keep what lies at the median distance from its class's centre."""
    return prototypes.moderate(pool.features, pool.labels, k)


def ids(pool: Pool, k: int, rng: Rng, mode: str = "hard") -> np.ndarray:
    """Keep k / n of every class, rounded up, by distance, and on top of it a prototype a class."""
    return prototypes.ids(pool.features, pool.labels, k / pool.n, mode)


def ssp(
    pool: Pool,
    k: int,
    rng: Rng,
    n_clusters: int = N_CLUSTERS,
    mode: str = "hard",
    metric: str = "cosine",
) -> np.ndarray:
    """Rank by distance to the own k-means prototype, without labels."""
    if n_clusters == N_CLUSTERS:  # nobody's choice, so that a small pool may have fewer
        n_clusters = min(n_clusters, pool.n)
    return prototypes.ssp(pool.features, k, n_clusters, mode, metric, rng)


def iqp(
    pool: Pool,
    k: int,
    rng: Rng,
    weight: float = 0.3,
    bandwidth: float | str = 1.0,
    diversity: str = "kernel",
    shift: str | float | None = "auto",
    max_steps: int = 100,
) -> OptimizeResult:
    """Run `budgeted`'s Algorithm 1 on features and scores, entropies by default.

    The shift is `iqp.budgeted`'s "auto", monotone; shift=None iterates as printed.
    """
    utility = scores.entropy(pool.probs) if pool.scores is None else pool.scores
    return iqp_module.solve(
        utility,
        pool.features,
        k,
        weight,
        bandwidth=bandwidth,
        diversity=diversity,
        shift=shift,
        max_steps=max_steps,
        rng=rng,
    )


def geda(
    pool: Pool,
    k: int,
    rng: Rng,
    n_nodes: int = 5,
    within: str = "spread",
    rule: str = "trapezoid",
    nodes: str = "equal",
    ecdf: str = "step",
) -> np.ndarray:
    """Match the distribution of gradient norms in every class."""

    def pick(rows: np.ndarray, share: int) -> np.ndarray:
        norms = pool.norms[rows]
        found = geda_module.solve(norms, share, n_nodes, rule, nodes, ecdf, within=within, rng=rng)
        return found.indices

    return per_class(pool.labels, k, pick)


def geda_random(
    pool: Pool,
    k: int,
    rng: Rng,
    n_nodes: int = 5,
    rule: str = "trapezoid",
    nodes: str = "equal",
    ecdf: str = "step",
) -> np.ndarray:
    """Run GEDA with random points inside the bins, as a solver's arbitrary answer."""
    return geda(pool, k, rng, n_nodes, "random", rule, nodes, ecdf)


def random_per_quartile(pool: Pool, k: int, rng: Rng) -> np.ndarray:
    """Draw in every class and quarter of the norms."""

    def pick(rows: np.ndarray, share: int) -> np.ndarray:
        return geda_module.random_per_quartile(pool.norms[rows], share, rng)

    return per_class(pool.labels, k, pick)


def evenly_spaced(pool: Pool, k: int, rng: Rng) -> np.ndarray:
    """Take every (n/k)-th of the norms in every class."""

    def pick(rows: np.ndarray, share: int) -> np.ndarray:
        return geda_module.evenly_spaced(pool.norms[rows], share)

    return per_class(pool.labels, k, pick)


def _gradients(pool: Pool) -> np.ndarray:
    """Return the pool's gradients, or those of the last layer in closed form, (n, m)."""
    if pool.gradients is not None:
        return pool.gradients
    return gradients.last_layer_gradients(pool.probs, pool.labels, pool.features)


def craig(pool: Pool, k: int, rng: Rng) -> Weighted:
    """Take medoids of the gradients in every class, weighted by how many they stand for."""
    return gradients.per_class(_gradients(pool), pool.labels, k, gradients.craig)


def grad_match(pool: Pool, k: int, rng: Rng, fill: bool = True) -> Weighted:
    """Match the sum of gradients in every class; fill tops up to k with rows of weight 0."""

    def solve(some: np.ndarray, share: int) -> Weighted:
        return gradients.grad_match(some, share, fill=fill)

    return gradients.per_class(_gradients(pool), pool.labels, k, solve)
