"""Rankings that finished runs give, and how alike they are, run by run and depth by depth."""

from collections.abc import Callable, Hashable, Sequence

import numpy as np

from helpers import StudyError, ranking, trace_scores
from helpers.checks import check_scores
from helpers.scores import order
from helpers.store import Result


def entropy_of(result: Result, epoch: int = -1) -> np.ndarray:
    """Return the entropy of every training row at a recorded epoch.

    Args:
        result: A run that recorded its scores (`Train.record_at`).
        epoch: The epoch, 0 = untrained, as in `recorded_epochs`; -1 is the last recorded one.

    Returns:
        Nats, shape (n,), float64; larger = keep first.

    Raises:
        ValueError: If the run recorded nothing, or nothing at this epoch.

    Note: the store keeps float16, so entropies below about 6e-8 nats tie at 0.
    """
    recorded = _recorded(result, "recorded_epochs").tolist()
    if epoch != -1 and epoch not in recorded:
        raise StudyError(f"epoch must be one of the recorded {recorded} (or -1), got {epoch}")
    place = -1 if epoch == -1 else recorded.index(epoch)
    return _recorded(result, "entropy")[place].astype(np.float64)


def forgetting(result: Result, epochs: int | None = None) -> np.ndarray:
    """Return how often every training row was forgotten.

    Args:
        result: A run that recorded its scores (they tell the number of rows).
        epochs: Count only the first so many epochs, 1 or more; None counts all.

    Returns:
        Counts, shape (n,), float64; never learned = inf; larger = keep first.

    Raises:
        ValueError: If the run recorded nothing, or epochs is not among those it trained.
    """
    n = _recorded(result, "entropy").shape[1]
    n_epochs = len(result.arrays["correct"])
    if epochs is not None and not 1 <= epochs <= n_epochs:
        raise StudyError(f"epochs must lie in 1..{n_epochs}, got {epochs}")
    return trace_scores.forgetting_of(result, n, epochs)


def _recorded(result: Result, name: str) -> np.ndarray:
    """Return an array of a run's record.

    Raises:
        ValueError: If the run kept none.
    """
    if name not in result.arrays:
        raise StudyError(f"the run kept no {name}: expected a run with record_at epochs")
    return result.arrays[name]


def similarity_matrix(
    scores: Sequence[np.ndarray], coefficient: str = "spearman", infinite: float | None = None
) -> np.ndarray:
    """Return the correlation between all pairs of score vectors.

    Args:
        scores: m vectors of shape (n,), larger = keep first; +inf ranks first.
        coefficient: `"spearman"` or `"pearson"`.
        infinite: What stands for +inf under Pearson; for forgetting events the epochs trained.

    Returns:
        Shape (m, m), symmetric, diagonal 1; NaN for constant scores.

    Raises:
        ValueError: If the coefficient is unknown, lengths differ, a score is NaN or -inf, or
            Pearson meets +inf without `infinite`.

    Source: `svp` Figs 3, 9 (Spearman) and 13 (Pearson).
    """
    if coefficient == "spearman":
        return _pairwise(scores, ranking.spearman)
    if coefficient == "pearson":
        return _pairwise(scores, lambda a, b: ranking.pearson(a, b, infinite))
    raise StudyError(f"coefficient must be 'spearman' or 'pearson', got {coefficient!r}")


def centre_order_matrix(orders: Sequence[np.ndarray], n_initial: int) -> np.ndarray:
    """Return Spearman's correlation between all pairs of k-centers orders.

    Args:
        orders: m orders of all rows 0..n-1, shape (n,), first chosen first; the first
            n_initial of each were drawn at random.
        n_initial: Initial rows of an order; rows initial in either run of a pair are left out.

    Returns:
        Shape (m, m), symmetric, diagonal 1.

    Raises:
        ValueError: If an order is not a permutation, or a pair leaves fewer than two rows.

    Source: `svp` section 3.4, Figs 3c and 10.
    """
    return _pairwise(orders, lambda a, b: _order_correlation(a, b, n_initial))


def _order_correlation(a: np.ndarray, b: np.ndarray, n_initial: int) -> float:
    """Correlate two orders (n,) on the rows that are initial in neither."""
    first, second = ranking.ranks_from_order(a), ranking.ranks_from_order(b)
    if len(first) != len(second):
        raise StudyError(f"orders must hold the same rows, got {len(first)} and {len(second)}")
    added = np.ones(len(first), dtype=bool)
    added[np.asarray(a)[:n_initial]] = False
    added[np.asarray(b)[:n_initial]] = False
    if added.sum() < 2:
        raise StudyError(f"n_initial = {n_initial} leaves {added.sum()} rows, at least 2 expected")
    return ranking.spearman(first[added], second[added])


def _pairwise(rows: Sequence, similarity: Callable[..., float]) -> np.ndarray:
    """Fill a symmetric (m, m) matrix with a similarity of pairs."""
    matrix = np.ones((len(rows), len(rows)))
    for i in range(len(rows)):
        for j in range(i, len(rows)):
            matrix[i, j] = matrix[j, i] = similarity(rows[i], rows[j])
    return matrix


def block_means(
    matrix: np.ndarray, groups: Sequence[Hashable], seeds: Sequence[int] | None = None
) -> np.ndarray:
    """Average correlations between runs over pairs of groups, such as depths.

    Args:
        matrix: Correlations between runs, shape (m, m).
        groups: Group of each run, length m.
        seeds: Seed of each run, length m; given, pairs of one seed are left out everywhere, as
            they share the order of the examples and so agree more than two depths would alone.

    Returns:
        Shape (g, g), groups in order of first appearance. A diagonal cell averages pairs of
        different runs of the group, never a run with itself: NaN for a group of one run.

    Raises:
        ValueError: If matrix is not (m, m), or there is not one seed a run.

    Source: the entries of `svp` Figs 3, 9, 10, 13, means over pairs of runs: 20 of 5 runs a
    depth, the number left when runs of one index are not paired.
    """
    matrix = np.asarray(matrix, dtype=float)
    m = len(groups)
    if matrix.shape != (m, m):
        raise StudyError(f"matrix must be {(m, m)}, one row a run, got {matrix.shape}")
    marks = np.arange(m) if seeds is None else np.asarray(seeds)
    if marks.shape != (m,):
        raise StudyError(f"seeds must be one a run, {m} of them, got shape {marks.shape}")
    apart = marks[:, None] != marks[None, :]
    names = list(dict.fromkeys(groups))
    member = np.array([[group == name for group in groups] for name in names])
    means = np.full((len(names), len(names)), np.nan)
    for a, rows in enumerate(member):
        for b, columns in enumerate(member):
            pairs = np.outer(rows, columns) & apart
            if pairs.any():
                means[a, b] = matrix[pairs].mean()
    return means


def agreement(scores: Sequence[np.ndarray], references: Sequence[np.ndarray]) -> np.ndarray:
    """Return each ranking's mean Spearman correlation with some reference rankings.

    Args:
        scores: Rankings such as a run's after every epoch, e vectors of shape (n,).
        references: Rankings by finished runs, at least one of shape (n,).

    Returns:
        Shape (e,); NaN where a ranking is constant.

    Raises:
        ValueError: If there is no reference, or lengths differ.

    Source: `svp` Figs 11 and 12.
    """
    if not len(references):
        raise StudyError("references must hold at least one ranking")
    return np.array([np.mean([ranking.spearman(s, r) for r in references]) for s in scores])


def settled_at(
    epochs: Sequence[float], correlations: Sequence[float], share: float = 0.95
) -> float:
    """Return the first epoch at which a correlation reaches a share of its last value.

    Args:
        epochs: Recorded epochs, shape (e,).
        correlations: Correlation at each, shape (e,); NaN never counts as reached.
        share: Of the last value.

    Returns:
        The epoch; NaN where the last value is NaN or not above 0.

    Raises:
        ValueError: If the lengths differ or there is nothing.
    """
    values = np.asarray(correlations, dtype=float)
    if values.shape != np.shape(epochs) or not values.size:
        raise StudyError(f"correlations must have shape {np.shape(epochs)}, got {values.shape}")
    if not values[-1] > 0:
        return float("nan")
    return float(np.asarray(epochs)[np.flatnonzero(values >= share * values[-1])[0]])


def shared_choice(
    first: np.ndarray, second: np.ndarray, share: float = 0.5, seed: int = 0
) -> float:
    """Return how much of one score's choice another score would choose too.

    Args:
        first: Scores, shape (n,), larger = keep first; +inf ranks first.
        second: Scores of the same rows, shape (n,).
        share: Of the rows that each keeps, in (0, 1].
        seed: Of the chance that ties fall by, independently for both.

    Returns:
        Rows chosen by both as a share of those chosen, 0..1; unrelated scores give `share`.

    Raises:
        ValueError: If a score is NaN or -inf, lengths differ, or share is outside (0, 1].
    """
    pair = [check_scores(first), check_scores(second)]
    n = len(pair[0])
    if len(pair[1]) != n:
        raise StudyError(f"both scores must have the same length, got {n} and {len(pair[1])}")
    if not 0 < share <= 1:
        raise StudyError(f"share must lie in (0, 1], got {share}")
    rng, k = np.random.default_rng(seed), max(1, round(share * n))
    shuffled = [rng.permutation(n) for _ in pair]
    chosen = [rows[order(values[rows])[:k]] for values, rows in zip(pair, shuffled, strict=True)]
    return len(np.intersect1d(*chosen)) / k
