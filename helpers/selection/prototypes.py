"""Selection by distance to a centre: of the class (IDS, moderate) or the cluster (SSP)."""

import math
import warnings

import numpy as np

from helpers import StudyError
from helpers.checks import (
    check_choice,
    check_features,
    check_k,
    check_labels,
    check_number,
    check_rng,
    check_squares,
)
from helpers.selection.registry import Pool, method
from helpers.selection.stratify import interleave, per_class

N_CLUSTERS = 10
FULL_K_MEANS = 50_000  # rows; above, k-means runs on mini-batches


def ids(features: np.ndarray, labels: np.ndarray, keep: float, mode: str = "hard") -> np.ndarray:
    """Pick per class the examples farthest from (or nearest to) the class mean.

    Args:
        features: Embedding of a pretrained extractor, shape (n, d).
        labels: Class numbers, shape (n,).
        keep: Share to keep of every class, in (0, 1]; the paper's alpha.
        mode: "hard" takes the farthest first, "easy" the nearest first.

    Returns:
        Row numbers, the classes interleaved. A class of L rows sends the first
        ceil(keep * L) of its order and the last of the order, its prototype: one more than
        its share, unless the share is the whole class.

    Source: `adonis` Algorithm 2; K-Means with one centroid is the class mean.

    Note: the last of the order is the nearest row under "hard" and the farthest under "easy",
    as Algorithm 2 is printed; its prose only sorts by falling distance.
    """
    features, labels = check_features(features), check_labels(labels)
    check_choice(mode, ("hard", "easy"), "mode")
    if len(features) != len(labels):
        raise StudyError(f"features and labels differ in length: {len(features)}, {len(labels)}")
    if not 0 < keep <= 1:
        raise StudyError(f"keep must lie in (0, 1], got {keep}")
    parts = []
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        dist = _squared_distances(features[rows])
        ordered = rows[np.argsort(-dist if mode == "hard" else dist, kind="stable")]
        # The small step back keeps 0.1 * 30 = 3.0000000000000004 at 3.
        n_kept = math.ceil(keep * len(rows) - 1e-9)
        parts.append(ordered if n_kept >= len(rows) else np.append(ordered[:n_kept], ordered[-1]))
    return interleave(parts)


def _squared_distances(points: np.ndarray) -> np.ndarray:
    """Return squared distances (m,) of points (m, d) to their mean, or raise on overflow."""
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is refused here
        centred = points - points.mean(axis=0, dtype=np.float64)
        squared = np.einsum("ij,ij->i", centred, centred)
    check_squares(squared)
    return squared


def ssp(
    features: np.ndarray,
    k: int,
    n_clusters: int = N_CLUSTERS,
    mode: str = "hard",
    rng: int | np.random.Generator | None = None,
) -> np.ndarray:
    """Pick the examples farthest from (or nearest to) the centre of their cluster, no labels.

    Args:
        features: Embedding of a self-supervised extractor, shape (n, d).
        k: Examples to keep in all.
        n_clusters: Clusters of k-means over all rows, 1 <= n_clusters <= n.
        mode: "hard" takes the farthest first, "easy" the nearest first.
        rng: Seeds k-means; None seeds it with 0.

    Returns:
        Row numbers (k,), by distance; ties keep row order.

    Source: Sorscher et al. (2022), arXiv:2206.14486, on pruning without labels; `adonis`
    Table A1, where it is a peer of IDS, and which says that it measures by the cosine: rows are
    scaled to length 1, and the distance is 1 - cosine (1 for rows of zeros).

    Note: scikit-learn's KMeans, best of 3 starts by k-means++, on one thread so that equal
    seeds give equal answers; MiniBatchKMeans above 50,000 rows. The number of clusters is
    open: the paper takes about as many as classes. Classes keep no shares, as there.
    """
    features = check_features(features)
    k = check_k(k, len(features))
    check_choice(mode, ("hard", "easy"), "mode")
    check_number(n_clusters, "n_clusters", 1, len(features), whole=True)
    features, seed = _unit_rows(features), 0 if rng is None else int(check_rng(rng).integers(2**31))
    dist = _to_own_centre(features, *_cluster(features, int(n_clusters), seed))
    return np.argsort(-dist if mode == "hard" else dist, kind="stable")[:k]


def _unit_rows(features: np.ndarray) -> np.ndarray:
    """Return the rows (n, d) scaled to length 1; rows of zeros stay."""
    largest = np.abs(features).max(axis=1, keepdims=True)
    scaled = features / np.where(largest > 0, largest, 1)  # so that no square overflows
    lengths = np.linalg.norm(scaled, axis=1, keepdims=True)
    return scaled / np.where(lengths > 0, lengths, 1)


def _cluster(features: np.ndarray, n_clusters: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return cluster numbers (n,) and centres (n_clusters, d) of k-means."""
    from sklearn.cluster import KMeans, MiniBatchKMeans
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    kind = KMeans if len(features) <= FULL_K_MEANS else MiniBatchKMeans
    model = kind(n_clusters=n_clusters, n_init=3, random_state=seed)
    with warnings.catch_warnings(), threadpool_limits(1):
        # Fewer distinct rows than clusters leave clusters empty, which harms nothing here.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(features)
    return model.labels_, model.cluster_centers_


def _to_own_centre(features: np.ndarray, clusters: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Return 1 - cosine (n,) of each row of length 1 to the centre of its cluster."""
    dist, centres = np.empty(len(features)), _unit_rows(centres).astype(np.float64)
    for start in range(0, len(features), 4096):
        rows = slice(start, start + 4096)
        wide = features[rows].astype(np.float64)
        dist[rows] = 1 - np.einsum("ij,ij->i", wide, centres[clusters[rows]])
    # Rows that are their centre up to rounding count as equally near.
    return np.where(dist <= 8 * float(np.finfo(features.dtype).eps), 0, dist)


def moderate(features: np.ndarray, labels: np.ndarray, k: int) -> np.ndarray:
    """Pick per class the examples whose distance to the class mean is nearest to the median one.

    Distance is Euclidean. Returns row numbers (k,), nearest to the median first, the classes
    interleaved; ties keep row order.

    Source: Xia et al. (2023), Moderate Coreset, ICLR, section 3.

    Note: our readings are the class mean as centre (the authors' program takes the median of
    each coordinate), the median of the class's own distances, and shares in proportion to the
    classes (theirs ranks all classes together, so that shares come as they may).
    """
    features, labels = check_features(features), check_labels(labels)
    if len(features) != len(labels):
        raise StudyError(f"features and labels differ in length: {len(features)}, {len(labels)}")

    def pick(rows: np.ndarray, share: int) -> np.ndarray:
        dist = np.sqrt(_squared_distances(features[rows]))
        return np.argsort(np.abs(dist - np.median(dist)), kind="stable")[:share]

    return per_class(labels, k, pick)


@method("moderate", "Moderate", needs=("features",), family="geometry", by_class=True)
def pick_moderate(pool: Pool, k: int, rng: np.random.Generator) -> np.ndarray:
    """Keep what lies at the median distance from its class's centre."""
    return moderate(pool.features, pool.labels, k)


@method("ids", "IDS", needs=("features",), family="geometry", by_class=True)
def pick_ids(pool: Pool, k: int, rng: np.random.Generator, mode: str = "hard") -> np.ndarray:
    """Keep k / n of every class, rounded up, by distance, and on top of it a prototype a class."""
    return ids(pool.features, pool.labels, k / pool.n, mode)


@method("ssp", "SSP", needs=("features",), family="geometry")
def pick_ssp(
    pool: Pool,
    k: int,
    rng: np.random.Generator,
    n_clusters: int = N_CLUSTERS,
    mode: str = "hard",
) -> np.ndarray:
    """Rank by distance to the own k-means prototype, without labels."""
    if n_clusters == N_CLUSTERS:  # nobody's choice, so that a small pool may have fewer
        n_clusters = min(n_clusters, pool.n)
    return ssp(pool.features, k, n_clusters, mode, rng)
