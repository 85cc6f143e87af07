"""GEDA's program against its closed form, its end terms, and the cost of greedy k-centers."""

from collections.abc import Sequence

import numpy as np

from helpers.measurements.clock import exponent, made_up_pool, median_seconds
from helpers.selection import exact, geda, kcenters


def geda_milp(
    seed: int,
    sizes: Sequence[int] = (50, 100, 200, 400),
    share: float = 0.3,
    n_nodes: int = 5,
    repeats: int = 3,
    solvers: Sequence[str] = ("highs", "cbc"),
) -> tuple[dict, dict]:
    """Solve (P) as written on classes of several sizes and compare with the closed form.

    Args:
        seed: Of the norms (gamma distributed).
        sizes: Class sizes.
        share: k / n.
        n_nodes: The paper's N.
        repeats: Classes of each size.
        solvers: "highs", "cbc" or both.

    Returns:
        Metrics: largest_difference (of solver and closed objective, in units of the norms),
        n_compared, all_optimal, seconds_SOLVER and seconds_closed at the largest size. Arrays:
        sizes, seconds_SOLVER (build and solve), seconds_closed, shape (len(sizes),).

    Source: `geda` section 4.1.
    """
    rng = np.random.default_rng(seed)
    arrays = {"sizes": np.array(sizes)}
    classes = {n: [rng.gamma(2, 1, n) for _ in range(repeats)] for n in sizes}
    differences, proofs = [], []
    for solver in solvers:
        exact.solve_milp_as_written(classes[sizes[0]][0], 3, n_nodes, solver)  # loads the solver
        medians = []
        for n in sizes:
            k = max(1, round(share * n))
            solved = [exact.solve_milp_as_written(g, k, n_nodes, solver) for g in classes[n]]
            closed = [geda.objective(g, geda.geda(g, k, n_nodes), n_nodes) for g in classes[n]]
            differences += [abs(s.objective - c) for s, c in zip(solved, closed, strict=True)]
            proofs += [s.success for s in solved]
            medians.append(np.median([s.seconds + s.seconds_build for s in solved]))
        arrays[f"seconds_{solver}"] = np.array(medians)
    arrays["seconds_closed"] = np.array(
        [_closed(classes[n][0], max(1, round(share * n)), n_nodes, repeats) for n in sizes]
    )
    metrics = {name: float(values[-1]) for name, values in arrays.items() if name != "sizes"}
    metrics |= {"largest_difference": float(max(differences)), "n_compared": len(differences)}
    return metrics | {"all_optimal": bool(all(proofs))}, arrays


def _closed(norms: np.ndarray, k: int, n_nodes: int, repeats: int) -> float:
    """Return seconds of the closed form on one class."""
    return median_seconds(lambda: geda.geda(norms, k, n_nodes), repeats)


def geda_end_term(
    seed: int, n_instances: int = 500, n_max: int = 200, n_nodes: int = 5
) -> tuple[dict, dict]:
    """Measure the trapezoid rule's end terms, which the paper takes as zero.

    Args:
        seed: Of the norms (gamma distributed, so the smallest is unique) and sizes.
        n_instances: Random classes.
        n_max: Largest class; sizes are drawn from 10 to it.
        n_nodes: The paper's N.

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


def kcenters_time(
    seed: int,
    sizes: Sequence[int] = (2500, 5000, 10000, 20000),
    share: float = 0.1,
    d: int = 64,
    repeats: int = 3,
    loop_up_to: int = 10000,
) -> tuple[dict, dict]:
    """Time greedy k-centers at a fixed share, in batches and one centre at a time.

    Args:
        seed: Of the made-up features.
        sizes: Pool sizes.
        share: k / n.
        d: Features.
        repeats: Timed calls; one before them does not count.
        loop_up_to: Largest pool given to the loop that adds one centre at a time.

    Returns:
        Metrics: exponent (batched), exponent_loop (NaN-free: 0 with fewer than two sizes),
        seconds (batched, largest size), speed_up (loop over batched, largest shared size).
        Arrays: sizes, seconds, sizes_loop, seconds_loop.

    Source: `svp` sections 2.1, 3.2: quadratic at a fixed share.
    """
    rng = np.random.default_rng(seed)
    seconds, loop = [], []
    for n in sizes:
        features, _ = made_up_pool(n, d, rng)
        k = max(1, round(share * n))
        seconds.append(
            median_seconds(lambda x=features, m=k: kcenters.greedy_k_centers(x, m), repeats)
        )
        if n <= loop_up_to:
            loop.append(median_seconds(lambda x=features, m=k: _one_at_a_time(x, m), repeats))
    arrays = {
        "sizes": np.array(sizes),
        "seconds": np.array(seconds),
        "sizes_loop": np.array([n for n in sizes if n <= loop_up_to]),
        "seconds_loop": np.array(loop),
    }
    metrics = {"exponent": exponent(sizes, seconds), "seconds": seconds[-1]}
    metrics["exponent_loop"] = exponent(arrays["sizes_loop"], loop) if len(loop) > 1 else 0.0
    metrics["speed_up"] = loop[-1] / seconds[len(loop) - 1] if loop else 0.0
    return metrics, arrays


def _one_at_a_time(features: np.ndarray, k: int) -> np.ndarray:
    """Return greedy k-centers by one matrix-vector product a centre, the obvious way."""
    lengths = np.einsum("ij,ij->i", features, features)
    nearest = np.full(len(features), np.inf, dtype=features.dtype)
    selected = [0]
    for _ in range(k - 1):
        last = selected[-1]
        dist = lengths + lengths[last] - 2 * (features @ features[last])
        np.minimum(nearest, dist, out=nearest)
        nearest[last] = -1
        selected.append(int(nearest.argmax()))
    return np.array(selected)
