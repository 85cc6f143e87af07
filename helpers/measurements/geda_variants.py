"""Which variant of GEDA is closest to its class, and what CBC answers when its time is up."""

from collections.abc import Iterator, Sequence

import numpy as np
from scipy.optimize import OptimizeResult

from helpers import StudyError
from helpers.selection import exact, geda

FAMILIES = ("gamma", "lognormal", "tied")


def geda_distance(
    seed: int,
    n_classes: int = 60,
    n_max: int = 600,
    shares: Sequence[float] = (0.05, 0.2, 0.4, 0.6, 0.8),
    node_counts: Sequence[int] = (4, 5, 6, 10, 20, 50),
    n_nodes: int = 5,
) -> tuple[dict, dict]:
    """Measure how far every variant's choice lies from its class, by the exact area.

    Args:
        seed: Of the classes and of what is drawn inside bins.
        n_classes: Random classes, in turn gamma, lognormal, and gamma rounded to half units.
        n_max: Largest class; sizes are drawn from 50 to it.
        shares: k / n.
        node_counts: Values of N of the trapezoid rule; even ones are checked with Simpson's.
        n_nodes: N of the variants.

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
            k = max(1, round(share * n))
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


def cbc_wrong(
    seed: int,
    cases: Sequence[Sequence[int]] = ((500, 20), (2000, 50), (5000, 50)),
    share: float = 0.2,
    time_limit: float = 2.0,
) -> tuple[dict, dict]:
    """Stop CBC on (P) as written and compare what it hands back with the optimum.

    Args:
        seed: Of the norms, gamma with shape 2 and scale 1/2.
        cases: Class size n and N of each program.
        share: k / n.
        time_limit: Seconds allowed to CBC for each.

    Returns:
        Metrics: claimed (PuLP's LpStatus) and status (ours, from sol_status), lists, one a case;
        n_cases, n_claimed_optimal, n_proven, n_worse (objective above the optimum), worst_ratio
        (CBC's objective over the optimum). Arrays, one entry a case: n, n_nodes, time_limit,
        objective_cbc, objective_closed (units of the norms), seconds_cbc (with the writing),
        seconds_closed.

    Raises:
        ValueError: If CBC finds no subset at all in sixteen times the time allowed.

    Source: `geda` section 5.1.3 (solved by PuLP with a branch-and-cut solver).
    """
    claimed, status, rows = [], [], []
    for n, n_nodes in cases:
        norms = np.random.default_rng(seed).gamma(2, 0.5, n)
        k = max(1, round(share * n))
        closed = min((geda.solve(norms, k, n_nodes) for _ in range(5)), key=lambda r: r.seconds)
        limit, written = _stopped(norms, k, n_nodes, time_limit)
        claimed.append(written.claimed)
        status.append(written.status)
        seconds = written.seconds + written.seconds_build
        spent = (seconds, closed.seconds)
        rows.append((n, n_nodes, limit, written.objective, closed.objective, *spent))
    names = ("n", "n_nodes", "time_limit", "objective_cbc", "objective_closed")
    names += ("seconds_cbc", "seconds_closed")
    arrays = dict(zip(names, np.array(rows).T, strict=True))
    arrays |= {name: arrays[name].astype(np.int64) for name in ("n", "n_nodes")}
    excess = arrays["objective_cbc"] - arrays["objective_closed"]
    metrics = {
        "claimed": claimed,
        "status": status,
        "n_cases": len(rows),
        "n_claimed_optimal": claimed.count("Optimal"),
        "n_proven": status.count("optimal"),
        "n_worse": int((excess > 1e-9).sum()),
        "worst_ratio": float((arrays["objective_cbc"] / arrays["objective_closed"]).max()),
    }
    return metrics, arrays


def _stopped(
    norms: np.ndarray, k: int, n_nodes: int, time_limit: float
) -> tuple[float, OptimizeResult]:
    """Return CBC's answer and the limit it had; a busy machine gets four and sixteen times it."""
    for limit in (time_limit, 4 * time_limit):
        try:
            return limit, exact.solve_milp_as_written(norms, k, n_nodes, "cbc", limit)
        except StudyError:
            continue
    limit = 16 * time_limit
    return limit, exact.solve_milp_as_written(norms, k, n_nodes, "cbc", limit)
