"""GEDA's end terms, and which of its variants is closest to its class, on many random classes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from helpers.measurements.table import Measured, measurement, share_of
from helpers.selection import geda

FAMILIES = ("gamma", "lognormal", "tied")


@measurement("geda-end-term")
def geda_end_term(
    seed: int, n_instances: int = 500, n_max: int = 200, n_nodes: int = 5
) -> Measured:
    """Measure the trapezoid rule's end terms, which the paper takes as zero.

    Classes of 10 to n_max norms, gamma distributed, so that the smallest is unique.

    Returns:
        Metrics: n_instances, largest_at_largest_norm (always 0), largest_at_smallest_norm,
        share_not_zero (at the smallest norm), n_beyond_bound (dropped term above
        (M - m) / (2N) * max(1/n, 1/k)). Arrays: at_smallest, at_largest, dropped, bound,
        shape (n_instances,).

    Source: `geda` section 4.1.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(n_instances):
        n = int(rng.integers(10, n_max + 1))
        k = int(rng.integers(1, n))
        norms = rng.gamma(2, 1, n)
        chosen = norms[geda.geda(norms, k, n_nodes)]
        at_smallest = abs((norms <= norms.min()).mean() - (chosen <= norms.min()).mean())
        at_largest = abs((norms <= norms.max()).mean() - (chosen <= norms.max()).mean())
        step = np.ptp(norms) / (2 * n_nodes)
        bound = step * max(1 / n, 1 / k)
        rows.append((at_smallest, at_largest, step * (at_smallest + at_largest), bound))
    at_smallest, at_largest, dropped, bound = np.array(rows).T
    metrics = {
        "n_instances": n_instances,
        "largest_at_largest_norm": float(at_largest.max()),
        "largest_at_smallest_norm": float(at_smallest.max()),
        "share_not_zero": float((at_smallest > 0).mean()),
        "n_beyond_bound": int((dropped > bound * (1 + 1e-12)).sum()),
    }
    arrays = {"at_smallest": at_smallest, "at_largest": at_largest}
    return metrics, arrays | {"dropped": dropped, "bound": bound}


@measurement("geda-distance")
def geda_distance(
    seed: int,
    n_classes: int = 60,
    n_max: int = 600,
    shares: Sequence[float] = (0.05, 0.2, 0.4, 0.6, 0.8),
    node_counts: Sequence[int] = (4, 5, 6, 10, 20, 50),
    n_nodes: int = 5,
) -> Measured:
    """Measure how far every variant's choice lies from its class, by the exact area.

    Classes of 50 to n_max norms, in turn gamma, lognormal, and gamma rounded to half units;
    node_counts are the N of the trapezoid rule, even ones checked with Simpson's, n_nodes that of
    the variants.

    Returns:
        Metrics: variants and within (how each variant chose inside its bins, "" without bins),
        both lists; n_classes, n_below_limit (choices closer than the exact minimum, always 0),
        n_simpson_apart (classes where Simpson's rule keeps other points than the trapezoid,
        always 0), n_simpson. Arrays: area (Wasserstein-1 distance over the range of the class,
        shape (variants, shares, classes)), shares, sizes, family (classes,).

    Source: `geda` sections 4.1 and 6.1.
    """
    rng = np.random.default_rng(seed)
    sizes = rng.integers(50, n_max + 1, n_classes)
    area, apart, compared, names = [], 0, 0, []
    for i, n in enumerate(sizes.tolist()):
        norms = _norms(FAMILIES[i % 3], n, rng)
        rows = []
        for share in shares:
            k = share_of(n, share)
            found = dict(_choices(norms, k, node_counts, n_nodes, rng))
            names = list(found)
            rows.append([geda.w1(norms, kept) / np.ptp(norms) for kept in found.values()])
            for even in (count for count in node_counts if count % 2 == 0):
                simpson = geda.solve(norms, k, even, rule="simpson").indices
                apart += bool((simpson != geda.geda(norms, k, even)).any())
                compared += 1
        area.append(rows)
    area = np.array(area).transpose(2, 1, 0)
    limit = area[[name == "limit" for name, _ in names]]
    metrics = {
        "variants": [name for name, _ in names],
        "within": [within for _, within in names],
        "n_classes": n_classes,
        "n_below_limit": int((area < limit - 1e-12).sum()),
        "n_simpson_apart": apart,
        "n_simpson": compared,
    }
    families = np.arange(n_classes) % 3
    return metrics, {
        "area": area,
        "shares": np.array(shares),
        "sizes": sizes,
        "family": families,
    }


def _norms(family: str, n: int, rng: np.random.Generator) -> np.ndarray:
    """Return made-up norms of one class, shape (n,), not all equal."""
    if family == "lognormal":
        return rng.lognormal(0, 1, n)
    norms = rng.gamma(2, 1, n)
    if family == "tied":
        norms = np.round(2 * norms) / 2
        norms[0] += 0.5 * (np.ptp(norms) == 0)
    return norms


def _choices(
    norms: np.ndarray, k: int, node_counts: Sequence[int], n_nodes: int, rng: np.random.Generator
) -> Iterator[tuple[tuple[str, str], np.ndarray]]:
    """Yield (variant, within) -> the rows it keeps of one class."""
    yield ("random", ""), rng.permutation(len(norms))[:k]
    yield ("random-per-quartile", ""), geda.random_per_quartile(norms, k, rng)
    variants = {f"trapezoid-{count}": {"n_nodes": count} for count in node_counts}
    variants["quantile"] = {"n_nodes": n_nodes, "nodes": "quantile"}
    variants["smoothed"] = {"n_nodes": n_nodes, "ecdf": "smoothed"}
    for name, options in variants.items():
        for within in geda.WITHIN:
            yield (name, within), geda.solve(norms, k, within=within, rng=rng, **options).indices
    yield ("limit", ""), geda.wasserstein(norms, k).indices
