"""Selection by distance to the centre of the class (IDS)."""

import math

import numpy as np

from helpers import StudyError
from helpers.checks import check_choice, check_features, check_labels
from helpers.selection.quotas import interleave


def ids(features: np.ndarray, labels: np.ndarray, keep: float, mode: str = "hard") -> np.ndarray:
    """Pick per class the examples farthest from (or nearest to) the class mean.

    Args:
        features: Embedding of a pretrained extractor, shape (n, d).
        labels: Class numbers, shape (n,), at least two classes.
        keep: Share to keep of every class, in (0, 1]; the paper's alpha.
        mode: "hard" takes the farthest first, "easy" the nearest first.

    Returns:
        Row numbers, int64, the classes interleaved. A class of L rows sends the first
        ceil(keep * L) of its order and the last of the order, its prototype: one more than
        its share, unless the share is the whole class.

    Raises:
        ValueError: If an array is invalid, keep lies outside (0, 1], or mode is unknown.

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
        ordered = rows[_by_distance(features[rows], farthest_first=mode == "hard")]
        # The small step back keeps 0.1 * 30 = 3.0000000000000004 at 3.
        n_kept = math.ceil(keep * len(rows) - 1e-9)
        parts.append(ordered if n_kept >= len(rows) else np.append(ordered[:n_kept], ordered[-1]))
    return interleave(parts)


def _by_distance(points: np.ndarray, farthest_first: bool) -> np.ndarray:
    """Return positions of points (m, d) by distance to their mean; ties keep row order."""
    centred = points - points.mean(axis=0, dtype=np.float64)
    dist = np.einsum("ij,ij->i", centred, centred)
    return np.argsort(-dist if farthest_first else dist, kind="stable")
