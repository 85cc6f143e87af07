"""What `budgeted` states about greedy submodular selection, tried on many small pools."""

import numpy as np

from helpers.selection.coverage_diversity import CoverageDiversity, coverage_diversity

SHARE = 1 - 1 / np.e  # what greedy owes for a monotone submodular function
ROUNDING = 1e-9


def greedy_share(
    seed: int,
    n_instances: int = 200,
    n_max: int = 15,
    weight: float = 1.0,
    alpha: float = 0.1,
    n_groups: int = 4,
) -> tuple[dict, dict]:
    """Compare greedy coverage + diversity with the best subset found by enumeration.

    Args:
        seed: Of the instances: normal points in the plane.
        n_instances: Random instances.
        n_max: Largest number of examples; sizes are drawn from 4 to it.
        weight: Of diversity against coverage.
        alpha: Share of its similarities at which a row counts as covered.
        n_groups: Groups of the diversity term; fewer than by default as pools are small.

    Returns:
        Metrics: n_instances, n_below (value under 1 - 1/e of the optimum), smallest_share,
        mean_share, n_optimal, n_not_monotone and n_not_submodular (instances where some row
        lowers the value, or brings more to a larger set; all subsets are looked at). Arrays:
        share (greedy value / optimum, at most 1), n, k, shape (n_instances,).

    Source: `budgeted` section IV-C.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(n_instances):
        n = int(rng.integers(4, n_max + 1))
        k = int(rng.integers(1, n))
        features = rng.normal(size=(n, 2))
        function = CoverageDiversity(features, weight, alpha, n_groups)
        values, sizes = all_values(function)
        chosen = coverage_diversity(features, k, weight, alpha, n_groups)
        share = min(1.0, values[(1 << chosen).sum()] / values[sizes == k].max())
        rows.append((share, n, k, is_monotone(values), is_submodular(values)))
    share, n, k, monotone, submodular = np.array(rows).T
    metrics = {
        "n_instances": n_instances,
        "n_below": int((share < SHARE).sum()),
        "smallest_share": float(share.min()),
        "mean_share": float(share.mean()),
        "n_optimal": int((share > 1 - ROUNDING).sum()),
        "n_not_monotone": int((monotone == 0).sum()),
        "n_not_submodular": int((submodular == 0).sum()),
    }
    return metrics, {"share": share, "n": n.astype(int), "k": k.astype(int)}


def all_values(function: CoverageDiversity) -> tuple[np.ndarray, np.ndarray]:
    """Return the value and the size of every subset, shape (2^n,); bit j of its number is row j."""
    n = function.n
    members = (np.arange(2**n)[:, None] >> np.arange(n)) & 1
    x = members.astype(np.float64)
    coverage = np.minimum(x @ function.rows(slice(None)), function.cap).sum(axis=1)
    groups = np.eye(len(function.rewarded))[function.group] * function.reward[:, None]
    diversity = np.sqrt(x @ groups).sum(axis=1)
    values = coverage / function.largest + function.weight * diversity / function.widest
    return values, members.sum(axis=1)


def is_monotone(values: np.ndarray) -> bool:
    """Say whether no row lowers the value of any subset; values of all subsets, (2^n,)."""
    return all((_gains(values, j) >= -ROUNDING).all() for j in range(_n_rows(values)))


def is_submodular(values: np.ndarray) -> bool:
    """Say whether no row brings more after any other row has joined, whatever the subset.

    That is enough: a larger set is reached by rows that join one at a time.
    """
    n = _n_rows(values)
    second = (_gains(_gains(values, j), i) for j in range(n) for i in range(j))
    return all((change <= ROUNDING).all() for change in second)


def _n_rows(values: np.ndarray) -> int:
    """Return n of a table of 2^n values."""
    return len(values).bit_length() - 1


def _gains(values: np.ndarray, row: int) -> np.ndarray:
    """Return what a row brings to every subset without it, a table over the other rows."""
    table = values.reshape(-1, 2, 2**row)
    return (table[:, 1] - table[:, 0]).ravel()
