"""What the traces of finished runs tell: scores, rankings, how alike these are, embeddings.

Scores are larger = keep first, never learned = inf. Nothing here trains or imports torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence

import numpy as np
from scipy import special

from helpers import StudyError, ranking, scores, specs
from helpers.checks import check_features, check_labels
from helpers.results.store import Result

# Method -> score (n,) of probabilities (n, c), and of what the trace recorded at an epoch.
Score = Callable[[np.ndarray], np.ndarray]
OF_PROBS: dict[str, Score] = {
    "least-confidence": scores.least_confidence,
    "margin": scores.margin,
    "entropy": scores.entropy,
}
OF_RECORD: dict[str, tuple[str, Score]] = {
    "least-confidence": ("confidence", lambda sure: 1 - sure),
    "margin": ("margin", lambda gap: 1 - gap),
    "entropy": ("entropy", lambda value: value),
}


def traced(result: Result, name: str, give: str = "record_at epochs") -> np.ndarray:
    """Return an array of a run, or say in a `StudyError` what to `give` its spec to keep it."""
    if name not in result.arrays:
        raise StudyError(f"{specs.describe(result.spec)} kept no {name}: give it {give}")
    return result.arrays[name]


def bits(packed: np.ndarray, n: int) -> np.ndarray:
    """Return a trace's packed bits (epochs, ceil(n/8)) as a mask (epochs, n)."""
    return np.unpackbits(packed, axis=1, count=n).astype(bool)


def probs_of(run: Result) -> np.ndarray:
    """Return the class probabilities (n, c) at a run's end, float64."""
    return special.softmax(traced(run, "logits").astype(np.float64), axis=1)


def entropy_of(run: Result, epoch: int = -1) -> np.ndarray:
    """Return the entropy of every training row at a recorded epoch, 0 = untrained, -1 the last.

    Nats, shape (n,), float64; stored in float16, so that those below 6e-8 tie at 0. StudyError
    if the run recorded nothing, or nothing at this epoch.
    """
    last = int(traced(run, "recorded_epochs")[-1])
    return score("entropy", run, 0, last if epoch == -1 else epoch)


def forgetting(run: Result, epochs: int | None = None, n: int | None = None) -> np.ndarray:
    """Return how often every training row was forgotten, counts (n,) float64.

    Args:
        run: With its trace.
        epochs: Count only the first so many epochs, 1 or more; None counts all.
        n: Training rows; by default those that were scored.

    Raises:
        StudyError: If the run recorded nothing, or epochs is not among those it trained.
    """
    n = traced(run, "entropy").shape[1] if n is None else n
    _check_epoch(run, epochs, range(1, len(traced(run, "correct")) + 1))
    correct, visited = (bits(run.arrays[name][:epochs], n) for name in ("correct", "visited"))
    return scores.forgetting_events(correct, visited)


def error_of(run: Result) -> float:
    """Return a run's test error in points, or RMSE in the unit of targets that are numbers."""
    if (rmse := run.metrics.get("test_rmse")) is not None:
        return rmse
    return 100 * (1 - run.metrics["test_acc"])


def seconds_of(run: Result, after: int | None = None) -> float:
    """Return the seconds a run trained, or those of its first `after` epochs."""
    if after is None:
        return run.metrics["seconds"]
    return float(run.metrics["history"]["seconds"][after - 1]) if after else 0.0


def score(method: str, run: Result, n: int, after: int | None = None) -> np.ndarray:
    """Return by what a method ranks the rows, as one run sees them, shape (n,) float64.

    Args:
        method: `forgetting`, `least-confidence`, `margin` or `entropy`.
        run: A run with its trace.
        n: Training rows of the data set; forgetting alone needs them.
        after: Take the run as it stood after so many epochs; None takes its end.

    Raises:
        StudyError: If the method ranks by something else, or the trace lacks the epoch.

    Source: `svp` section 3.3 and Table 3, proxies trained for fewer epochs.

    Note: uncertainties of an earlier epoch were stored in float16. The run was stopped on its
        way through the whole learning-rate schedule, not trained by a shorter one.
    """
    if method == "forgetting":
        return forgetting(run, after, n)
    if method not in OF_PROBS:
        known = ", ".join(("forgetting", *OF_PROBS))
        raise StudyError(f"after and combine rank by a score: {known}; not {method}")
    if after is None:
        return OF_PROBS[method](probs_of(run))
    recorded = traced(run, "recorded_epochs").tolist()
    _check_epoch(run, after, recorded)
    name, of_record = OF_RECORD[method]
    return of_record(traced(run, name)[recorded.index(after)].astype(np.float64))


def _check_epoch(run: Result, epoch: int | None, known: Sequence[int]) -> None:
    if epoch is not None and epoch not in known:
        among = f"{known[0]}..{known[-1]}" if isinstance(known, range) else str(known)
        raise StudyError(
            f"epochs must be among {among} of {specs.describe(run.spec)}, got {epoch!r}"
        )


def combined(
    method: str,
    runs: Sequence[Result],
    n: int,
    rows: np.ndarray,
    after: int | None = None,
    combine: str | None = None,
) -> np.ndarray:
    """Return by what a method ranks the pool `rows` (m,), from one run or several, (m,) float64.

    `method`, `n` and `after` are those of `score`; `combine` = `"rank"` takes the mean rank over
    the runs, None a single run's score.

    Source: `svp-slides`, ensembles of small proxies.
    """
    found = [score(method, run, n, after)[rows] for run in runs]
    if combine:
        return scores.combine_ranks(found)
    if len(found) != 1:
        raise StudyError(f"{len(found)} runs are ranked together with combine=rank only")
    return found[0]


def similarity_matrix(
    rankings: Sequence[np.ndarray], coefficient: str = "spearman", infinite: float | None = None
) -> np.ndarray:
    """Return the correlation between all pairs of score vectors.

    Args:
        rankings: m vectors of shape (n,); +inf ranks first.
        coefficient: `"spearman"` or `"pearson"`.
        infinite: What stands for +inf under Pearson, which refuses it otherwise; for forgetting
            events the epochs trained.

    Returns:
        Shape (m, m), symmetric, diagonal 1; NaN for constant scores.

    Source: `svp` Figs 3, 9 (Spearman) and 13 (Pearson).
    """
    if coefficient == "spearman":
        return _pairwise(rankings, ranking.spearman)
    return _pairwise(rankings, lambda a, b: ranking.pearson(a, b, infinite))


def centre_order_matrix(orders: Sequence[np.ndarray], n_initial: int) -> np.ndarray:
    """Return Spearman's correlation between all pairs of m k-centers orders, shape (m, m).

    Args:
        orders: Each of all rows 0..n-1, shape (n,), first chosen first.
        n_initial: Rows at the start of each that were drawn at random; rows initial in either
            of a pair are left out.

    Source: `svp` section 3.4, Figs 3c and 10.
    """
    return _pairwise(orders, lambda a, b: _order_correlation(a, b, n_initial))


def _order_correlation(a: np.ndarray, b: np.ndarray, n_initial: int) -> float:
    added = np.setdiff1d(a, np.union1d(a[:n_initial], b[:n_initial]))
    if len(added) < 2:
        raise StudyError(f"n_initial = {n_initial} leaves {len(added)} rows, at least 2 expected")
    first, second = ranking.ranks_from_order(a), ranking.ranks_from_order(b)
    return ranking.spearman(first[added], second[added])


def _pairwise(rows: Sequence, similarity: Callable[..., float]) -> np.ndarray:
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

    Source: the entries of `svp` Figs 3, 9, 10, 13, means over pairs of runs: 20 of 5 runs a
    depth, the number left when runs of one index are not paired.
    """
    matrix = np.asarray(matrix, dtype=float)
    marks = np.arange(len(groups)) if seeds is None else np.asarray(seeds)
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


def agreement(rankings: Sequence[np.ndarray], references: Sequence[np.ndarray]) -> np.ndarray:
    """Return the mean Spearman correlation of e rankings (n,) with reference rankings (n,).

    Shape (e,), such as a run's after every epoch; NaN where a ranking is constant.

    Source: `svp` Figs 11 and 12.
    """
    return np.array([np.mean([ranking.spearman(s, r) for r in references]) for s in rankings])


def settled_at(
    epochs: Sequence[float], correlations: Sequence[float], share: float = 0.95
) -> float:
    """Return the first of epochs (e,) at which correlations (e,) reach a share of the last one.

    NaN never counts as reached, and is the answer where the last value is NaN or not above 0.
    """
    values = np.asarray(correlations, dtype=float)
    if not values[-1] > 0:
        return float("nan")
    return float(np.asarray(epochs)[np.flatnonzero(values >= share * values[-1])[0]])


def shared_choice(
    first: np.ndarray, second: np.ndarray, share: float = 0.5, seed: int = 0
) -> float:
    """Return how much of one score's choice another score would choose too.

    Args:
        first: Scores, shape (n,); +inf ranks first.
        second: Scores of the same rows, shape (n,).
        share: Of the rows that each keeps, in (0, 1].
        seed: Of the chance that ties fall by, independently for both.

    Returns:
        Rows chosen by both as a share of those chosen, 0..1; unrelated scores give `share`.
    """
    rng, k = np.random.default_rng(seed), max(1, round(share * len(first)))
    shuffled = [rng.permutation(len(first)) for _ in range(2)]
    pairs = zip((first, second), shuffled, strict=True)
    ours, theirs = (rows[scores.order(values[rows])[:k]] for values, rows in pairs)
    return np.bincount(ours, minlength=len(first))[theirs].sum() / k


def summary(features: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    """Return `projection` (n, 2), and of classes `class_rank` (n,), float16, of features (n, d)."""
    found = {"projection": principal_components(features).astype(np.float16)}
    if labels.dtype.kind != "f":
        found["class_rank"] = class_rank(features, labels).astype(np.float16)
    return found


def principal_components(features: np.ndarray) -> np.ndarray:
    """Project features (n, d) on their two directions of largest variance.

    Coordinates (n, 2) around the mean, float64, zero beyond d. The largest weight of each direction
    is positive, so that a picture does not flip from run to run.
    """
    points = check_features(features).astype(np.float64)
    points = points - points.mean(axis=0)
    directions = np.linalg.eigh(points.T @ points)[1][:, :-3:-1]
    largest = np.abs(directions).argmax(axis=0)
    signs = np.sign(directions[largest, np.arange(len(largest))])
    return np.pad(points @ (directions * signs), ((0, 0), (0, 2 - len(largest))))


def class_rank(features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Rank rows of an embedding (n, d) by distance to the mean of their class.

    Returns:
        Share (n,) in [0, 1) of the class that lies nearer to the mean; ties keep row order.

    Source: the order of `adonis` Algorithm 2 with one centroid a class.
    """
    features, labels = check_features(features), check_labels(labels)
    ranks = np.empty(len(labels))
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        points = features[rows].astype(np.float64)
        dist = ((points - points.mean(axis=0)) ** 2).sum(axis=1)
        ranks[rows[np.argsort(dist, kind="stable")]] = np.arange(len(points)) / len(points)
    return ranks


def ids_mask(rank: np.ndarray, labels: np.ndarray, keep: float, mode: str) -> np.ndarray:
    """Say which rows IDS keeps, from ranks alone, as a mask (n,) bool.

    Args:
        rank: What `class_rank` returned (n,); float16 will do.
        labels: Classes (n,).
        keep: Share in (0, 1]: ceil(keep * L) rows of a class of L, and the last of its order.
        mode: "easy" keeps the nearest, "hard" the farthest.

    Source: `adonis` Algorithm 2; the same rows as `helpers.selection.prototypes.ids`.
    """
    is_kept = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        order = rows[np.argsort(rank[rows], kind="stable")]
        order = order[::-1] if mode == "hard" else order
        is_kept[order[: math.ceil(keep * len(rows) - 1e-9)]] = True
        is_kept[order[-1]] = True
    return is_kept


def summary_of(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray] | None:
    """Return a run's `summary`, from its features if stored without; None without either."""
    if "projection" in arrays and "class_rank" in arrays:
        return {name: arrays[name] for name in ("projection", "class_rank")}
    if "features" in arrays and "labels" in arrays:
        return summary(arrays["features"], arrays["labels"].astype(np.int64))
    return None
