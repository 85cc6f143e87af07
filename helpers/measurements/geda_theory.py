"""Statements of `geda`: end terms, variants, gradient matching, adaptive bounds, data values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache

import numpy as np
from scipy import linalg, optimize, special

from helpers.measurements.table import Measured, measurement, share_of
from helpers.ranking import ranks
from helpers.selection import geda
from helpers.selection.gradients import last_layer_gradients
from helpers.selection.matching import grad_match

FAMILIES = ("gamma", "lognormal", "tied")
RATE = 0.5  # of gradient descent on the mean loss of a softmax regression
STRONG = 0.1  # of the ridge that makes a loss strongly convex
TOLERANCE = 1e-6  # relative: a bound or an inequality broken by less is rounding


@measurement("geda-end-term")
def geda_end_term(
    seed: int, n_instances: int = 500, n_max: int = 200, n_nodes: int = 5
) -> Measured:
    """Measure the trapezoid rule's end terms, which the paper takes as zero.

    Classes of 10 to n_max norms, gamma distributed, so that the smallest is unique.

    Returns:
        Metrics: n_instances, largest_at_largest_norm (always 0), largest_at_smallest_norm,
        n_beyond_bound (dropped term above (M - m) / (2N) * max(1/n, 1/k)). Arrays: at_smallest,
        dropped, bound, shape (n_instances,).

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
        "n_beyond_bound": int((dropped > bound * (1 + 1e-12)).sum()),
    }
    return metrics, {"at_smallest": at_smallest, "dropped": dropped, "bound": bound}


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
        always 0). Arrays: area (Wasserstein-1 distance over the range of the class, shape
        (variants, shares, classes)), shares, sizes (classes,).

    Source: `geda` sections 4.1 and 6.1.
    """
    rng = np.random.default_rng(seed)
    sizes = rng.integers(50, n_max + 1, n_classes)
    area, apart, names = [], 0, []
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
        area.append(rows)
    area = np.array(area).transpose(2, 1, 0)
    limit = area[[name == "limit" for name, _ in names]]
    metrics = {
        "variants": [name for name, _ in names],
        "within": [within for _, within in names],
        "n_classes": n_classes,
        "n_below_limit": int((area < limit - 1e-12).sum()),
        "n_simpson_apart": apart,
    }
    return metrics, {"area": area, "shares": np.array(shares), "sizes": sizes}


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


@cache
def _digits() -> tuple[np.ndarray, np.ndarray]:
    """Return scikit-learn's digits, (1797, 64) in 0..1, and their labels."""
    from sklearn.datasets import load_digits

    data = load_digits()
    return data.data / 16, data.target


@measurement("geda-matching")
def geda_matching(
    seed: int,
    n: int = 100,
    steps: Sequence[int] = (0, 5, 20, 80),
    shares: Sequence[float] = (0.2, 0.4, 0.6, 0.8),
    repeats: int = 3,
    ridge: float = 0.5,
) -> Measured:
    """Compare the gradient matching error of GEDA's rows and of GRAD-MATCH's.

    A softmax regression on n digits is trained by gradient descent; after each of `steps` both
    choose from the gradients of that moment, GEDA by their norms with the best weights for its
    rows, GRAD-MATCH greedily with weights >= 0, both with the same ridge.

    Returns:
        Metrics: n_selections, n_smaller_error (GEDA's error below GRAD-MATCH's),
        n_smaller_positive (with weights >= 0 for GEDA too). Arrays: error_geda, error_match
        (relative to the sum of all gradients), share, step, (n_selections,).

    Source: `geda` section 6.2, Algorithm 6.1.
    """
    rows = []
    for repeat in range(repeats):
        rng = np.random.default_rng([seed, repeat])
        x, y = _digits()
        keep = rng.permutation(len(y))[:n]
        x, y = x[keep], y[keep]
        weights, done = np.zeros((64, 10)), 0
        for step in steps:
            for _ in range(step - done):
                errors = special.softmax(x @ weights, axis=1) - np.eye(10)[y]
                weights -= RATE * x.T @ errors / n
            done = step
            probs = special.softmax(x @ weights, axis=1)
            gradients = last_layer_gradients(probs, y, x).astype(np.float64)
            for share in shares:
                rows.append((*_matched(gradients, share_of(n, share), ridge, rng), share, step))
    error, positive, other, share, step = np.array(rows).T
    metrics = {
        "n_selections": len(rows),
        "n_smaller_error": int((error < other * (1 - TOLERANCE)).sum()),
        "n_smaller_positive": int((positive < other * (1 - TOLERANCE)).sum()),
    }
    arrays = {"error_geda": error, "error_match": other, "share": share, "step": step}
    return metrics, arrays


def _matched(gradients: np.ndarray, k: int, ridge: float, rng: np.random.Generator) -> tuple:
    """Return relative errors of GEDA, of GEDA with weights >= 0, and of GRAD-MATCH."""
    target = gradients.sum(axis=0)
    norms = np.linalg.norm(gradients, axis=1)
    # In units of the mean gradient's squared length, so that the ridge is mild at every step.
    scaled = ridge * float(norms.mean() ** 2)
    chosen = gradients[geda.geda(norms, k, within="random", rng=rng)]
    gram = chosen @ chosen.T + scaled * np.eye(k)
    free = linalg.solve(gram, chosen @ target, assume_a="pos")
    tall = np.vstack([chosen.T, np.sqrt(scaled) * np.eye(k)])
    positive = optimize.nnls(tall, np.concatenate([target, np.zeros(k)]))[0]
    rows, weights = grad_match(gradients, k, ridge=scaled)
    sums = free @ chosen, positive @ chosen, weights @ gradients[rows]
    return tuple(np.linalg.norm(one - target) / np.linalg.norm(target) for one in sums)


@measurement("adaptive-bounds")
def adaptive_bounds(
    seed: int,
    n: int = 150,
    d: int = 5,
    share: float = 0.2,
    horizons: Sequence[int] = (1, 2, 3, 5, 10, 20, 50, 100, 200),
    repeats: int = 3,
) -> Measured:
    """Check the three bounds on the loss gap of adaptive selection, on logistic regression.

    Two overlapping classes, mean loss, full gradient descent on weighted rows that are chosen
    anew at every step: at random, by GEDA, by GRAD-MATCH; weights sum to 1. C bounds the lengths
    of all parameters and of their distance to the optimum.

    Returns:
        Metrics: n_checks, n_broken. Arrays: gap, bound (n_checks,), horizon, case (0 Lipschitz,
        1 smooth, 2 strongly convex), selector (0 random, 1 GEDA, 2 GRAD-MATCH).

    Source: `geda` Theorem 3.1, after arXiv:2103.00123.
    """
    rows = []
    for repeat in range(repeats):
        rng = np.random.default_rng([seed, repeat])
        y = rng.choice([-1.0, 1.0], n)
        x = rng.normal(size=(n, d)) + 0.7 * y[:, None] / np.sqrt(d)
        for case in range(3):
            problem = Logistic(x * y[:, None], STRONG if case == 2 else 1e-3)
            for horizon in horizons:
                for selector in range(3):
                    chosen = _selector(selector, share_of(n, share), rng)
                    rows.append((*_run(problem, case, horizon, chosen), horizon, case, selector))
    gap, bound, horizon, case, selector = np.array(rows).T
    broken = gap > bound * (1 + TOLERANCE)
    arrays = {"gap": gap, "bound": bound, "horizon": horizon, "case": case, "selector": selector}
    return {"n_checks": len(rows), "n_broken": int(broken.sum())}, arrays


class Logistic:
    """Mean logistic loss of rows z = y x (n, d) with a ridge, and its optimum."""

    def __init__(self, z: np.ndarray, ridge: float) -> None:
        self.z, self.ridge, self.n = z, ridge, len(z)
        self.start = np.zeros(z.shape[1])

        def both(theta: np.ndarray) -> tuple[float, np.ndarray]:
            return self.loss(theta), self.gradients(theta).mean(axis=0)

        options = {"gtol": 1e-10}
        found = optimize.minimize(both, self.start, jac=True, method="BFGS", options=options)
        self.best = found.x
        self.longest = float(np.linalg.norm(z, axis=1).max())

    def losses(self, theta: np.ndarray) -> np.ndarray:
        """Return every row's loss (n,)."""
        return np.logaddexp(0, -self.z @ theta) + self.ridge / 2 * theta @ theta

    def loss(self, theta: np.ndarray) -> float:
        """Return the mean loss."""
        return float(self.losses(theta).mean())

    def gradients(self, theta: np.ndarray) -> np.ndarray:
        """Return every row's gradient (n, d)."""
        return -special.expit(-self.z @ theta)[:, None] * self.z + self.ridge * theta


Chosen = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def _selector(which: int, k: int, rng: np.random.Generator) -> Chosen:
    """Return gradients (n, d) -> rows and their weights, which sum to 1."""

    def choose(gradients: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        n = len(gradients)
        if which == 2:
            rows, weights = grad_match(gradients, k)
            if weights.sum() > 0:
                return rows, weights / weights.sum()
        if which == 1:
            rows = geda.geda(np.linalg.norm(gradients, axis=1), k, within="random", rng=rng)
        else:
            rows = rng.permutation(n)[:k]
        return rows, np.full(len(rows), 1 / len(rows))

    return choose


def _run(problem: Logistic, case: int, horizon: int, chosen: Chosen) -> tuple[float, float]:
    """Return the smallest loss gap in `horizon` steps and the bound on it."""
    longest = problem.longest + problem.ridge * 2 * np.linalg.norm(problem.best)
    smooth = problem.longest**2 / 4 + problem.ridge
    size = max(float(np.linalg.norm(problem.best)), 1e-9)
    theta, path, gaps, errors, sizes, largest = problem.start, [], [], [], [size], 0.0
    for t in range(1, horizon + 1):
        gradients = problem.gradients(theta)
        rows, weights = chosen(gradients)
        step = weights @ gradients[rows]
        gaps.append(problem.loss(theta) - problem.loss(problem.best))
        errors.append(float(np.linalg.norm(step - gradients.mean(axis=0))))
        largest = max(largest, float(problem.losses(theta).max()))
        strong = 2 / (problem.ridge * (1 + t))
        rate = (size / (longest * np.sqrt(horizon)), 1 / smooth, strong)[case]
        path.append(theta)
        theta = theta - rate * step
        sizes += [float(np.linalg.norm(path[-1])), float(np.linalg.norm(path[-1] - problem.best))]
    c, total = max(sizes), float(np.sum(errors))
    if case == 0:
        return min(gaps), c * longest / np.sqrt(horizon) + c / horizon * total
    if case == 1:
        return min(gaps), (c**2 * smooth + 2 * largest) / (2 * horizon) + c / horizon * total
    longest = problem.longest + problem.ridge * c
    t = np.arange(1, horizon + 1)
    weighted = float((2 * t * c / (horizon * (horizon + 1)) * errors).sum())
    return min(gaps), 2 * longest**2 / (problem.ridge * (horizon + 1)) + weighted


@measurement("shapley")
def shapley(
    seed: int, n: int = 200, n_valid: int = 300, flipped: float = 0.1, k: int = 5,
    repeats: int = 10,
) -> Measured:  # fmt: skip
    """Value n digits by the exact Shapley values of k nearest neighbours, some labels wrong.

    Returns:
        Metrics: n. Arrays, (repeats,): auc (of the negative value for a wrong label),
        relative (mean value of wrongly over that of rightly labelled rows), below (share of the
        wrongly labelled whose value is below 0).

    Source: `geda` section 3.1.1 and Note 3.1. Values: Jia et al. (2019), arXiv:1908.08619,
        Theorem 1, whose cost is a sort and not 2^n trainings.
    """
    found = []
    for repeat in range(repeats):
        rng = np.random.default_rng([seed, repeat])
        x, y = _digits()
        order = rng.permutation(len(y))
        train, valid = order[:n], order[n : n + n_valid]
        labels = y[train].copy()
        wrong = np.zeros(n, dtype=bool)
        wrong[rng.permutation(n)[: share_of(n, flipped)]] = True
        labels[wrong] = (labels[wrong] + rng.integers(1, 10, wrong.sum())) % 10
        values = neighbour_values(x[train], labels, x[valid], y[valid], k)
        above = ranks(-values)[wrong].sum() - wrong.sum() * (wrong.sum() + 1) / 2
        auc = above / (wrong.sum() * (~wrong).sum())
        relative = values[wrong].mean() / values[~wrong].mean()
        found.append((auc, relative, (values[wrong] < 0).mean()))
    auc, relative, below = np.array(found).T
    return {"n": n}, {"auc": auc, "relative": relative, "below": below}


def neighbour_values(
    x: np.ndarray, y: np.ndarray, x_valid: np.ndarray, y_valid: np.ndarray, k: int
) -> np.ndarray:
    """Return Shapley values (n,) of training rows for a k nearest neighbour classifier.

    The game's worth is the mean share of the k nearest that have a validation row's label (fewer
    than k rows leave the other places empty); values sum to that of all rows.
    """
    n, values = len(y), np.zeros(len(y))
    for point, label in zip(x_valid, y_valid, strict=True):
        order = np.argsort(((x - point) ** 2).sum(axis=1), kind="stable")
        right = (y[order] == label).astype(float)
        s = np.zeros(n)
        s[-1] = right[-1] / max(n, k)
        for i in range(n - 2, -1, -1):
            s[i] = s[i + 1] + (right[i] - right[i + 1]) / k * min(k, i + 1) / (i + 1)
        values[order] += s
    return values / len(y_valid)
