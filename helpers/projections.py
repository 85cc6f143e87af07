"""Small pictures of an embedding: two principal components, and ranks of distance by class."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from scipy.stats import rankdata

from helpers.checks import check_choice, check_features, check_labels


def summary(features: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    """Return what a run keeps of its features (n, d) when these are dropped.

    Returns:
        `projection` (n, 2) and `class_rank` (n,), both float16.
    """
    return {
        "projection": principal_components(features).astype(np.float16),
        "class_rank": class_rank(features, labels).astype(np.float16),
    }


def principal_components(features: np.ndarray, n_components: int = 2) -> np.ndarray:
    """Project features on their directions of largest variance.

    Args:
        features: Embedding (n, d), finite.
        n_components: Directions; those beyond d are zero.

    Returns:
        Coordinates (n, n_components) around the mean, float64; the largest weight of each
        direction is positive, so that a picture does not flip from run to run.

    Raises:
        StudyError: If features is not a finite (n, d) array.
    """
    points = check_features(features).astype(np.float64)
    points = points - points.mean(axis=0)
    _, directions = np.linalg.eigh(points.T @ points)
    directions = directions[:, ::-1][:, :n_components]
    largest = np.abs(directions).argmax(axis=0)
    directions = directions * np.sign(directions[largest, np.arange(directions.shape[1])])
    missing = n_components - directions.shape[1]
    return np.pad(points @ directions, ((0, 0), (0, missing)))


def class_rank(features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Rank rows of an embedding (n, d) by distance to the mean of their class.

    Returns:
        Share (n,) in [0, 1) of the class that lies nearer to the mean; ties keep row order.

    Raises:
        StudyError: If an array is invalid.

    Source: the order of `adonis` Algorithm 2 with one centroid a class.
    """
    features, labels = check_features(features), check_labels(labels)
    ranks = np.empty(len(labels))
    for label in np.unique(labels):
        rows = labels == label
        points = features[rows].astype(np.float64)
        dist = ((points - points.mean(axis=0)) ** 2).sum(axis=1)
        ranks[rows] = (rankdata(dist, "ordinal") - 1) / len(points)
    return ranks


def ids_mask(rank: np.ndarray, labels: np.ndarray, keep: float, mode: str) -> np.ndarray:
    """Say which rows IDS keeps, from ranks alone.

    Args:
        rank: What `class_rank` returned (n,); float16 will do.
        labels: Classes (n,).
        keep: Share kept of each class, in (0, 1].
        mode: "easy" keeps the nearest, "hard" the farthest.

    Returns:
        Mask (n,) bool: ceil(keep * L) rows of a class of L, and the last row of its order.

    Raises:
        StudyError: If the mode is unknown.

    Source: `adonis` Algorithm 2; the same rows as `helpers.selection.prototypes.ids`.
    """
    check_choice(mode, ("hard", "easy"), "mode")
    is_kept = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        order = rows[np.argsort(rank[rows], kind="stable")]
        order = order[::-1] if mode == "hard" else order
        is_kept[order[: math.ceil(keep * len(rows) - 1e-9)]] = True
        is_kept[order[-1]] = True
    return is_kept


def of_run(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray] | None:
    """Return a run's `summary`, made from its features if it was stored without one.

    Returns:
        `projection` (n, 2) and `class_rank` (n,), or `None` where the run holds neither.
    """
    if "projection" in arrays and "class_rank" in arrays:
        return {name: arrays[name] for name in ("projection", "class_rank")}
    if "features" in arrays and "labels" in arrays:
        return summary(arrays["features"], arrays["labels"].astype(np.int64))
    return None
