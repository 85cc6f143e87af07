"""The quadratic program: the LP beside solvers, the whole of Algorithm 1 at three sizes."""

import time
from collections.abc import Sequence
from types import SimpleNamespace

import numpy as np
from contest import (
    Answer,
    Contestant,
    Workload,
    below,
    clusters,
    flat,
    less,
    median_distance,
    no_worse,
    random_rows,
    same_set,
    similarity,
    utilities,
)

WEIGHT = 0.3
CBC_LIMIT_S, HIGHS_LIMIT_S = 480, 240
SEVERAL_K = (600, 1000, 1500)


def pool(n: int, d: int, share: float = 0.2) -> SimpleNamespace:
    """Return features, utility and k = share * n."""
    features = clusters(n, d)
    return SimpleNamespace(features=features, utility=utilities(n), k=int(share * n))


def program(n: int, d: int) -> SimpleNamespace:
    """Return the same with the kernel (n, n) in float64, which is what the LP is given."""
    data = pool(n, d)
    x = data.features.astype(np.float64)
    kernel = similarity(x, x, median_distance(x))
    np.fill_diagonal(kernel, 1)
    data.similarity = (kernel + kernel.T) / 2
    return data


def with_probabilities(n: int, d: int) -> SimpleNamespace:
    """Return features, utility, and softmax outputs whose entropy is taken inside the clock."""
    data = pool(n, d)
    data.probs = np.random.default_rng(4).dirichlet(np.ones(10), n)
    return data


def lp_value(data: SimpleNamespace, answer: object) -> float:
    """Return the LP's value: the solver's own, else that of the 0/1 point."""
    if isinstance(answer, Answer):
        return answer.notes["value"]
    sums = data.similarity.sum(axis=1, dtype=np.float64) - np.diagonal(data.similarity)
    return float((data.utility + WEIGHT * sums)[answer].sum())


def closed_form(data: SimpleNamespace):
    from helpers.selection import iqp

    return lambda: iqp.lp_relaxation(data.utility, data.similarity, data.k, WEIGHT)


def highs(data: SimpleNamespace):
    """Solve eq. 11 by SciPy's HiGHS, written as sparse arrays; w_ij and w_ji are one variable."""
    from scipy.optimize import Bounds, LinearConstraint, OptimizeResult, milp
    from scipy.sparse import csr_array

    def call() -> Answer:
        n = len(data.utility)
        i, j = np.triu_indices(n, 1)
        m = len(i)
        columns = np.stack([i, j, n + np.arange(m)], axis=1).astype(np.int32).ravel()
        entries, starts = np.tile([-1.0, -1.0, 2.0], m), np.arange(0, 3 * m + 1, 3)
        pairs = csr_array((entries, columns, starts), shape=(m, n + m))
        budget = csr_array((np.ones(n), np.arange(n), [0, n]), shape=(1, n + m))
        gains = np.concatenate([data.utility, 2 * WEIGHT * data.similarity[i, j]])
        limits = [LinearConstraint(budget, data.k, data.k), LinearConstraint(pairs, -np.inf, 0)]
        began = time.perf_counter()
        limit = {"time_limit": HIGHS_LIMIT_S}
        found = milp(-gains, constraints=limits, bounds=Bounds(0, 1), options=limit)
        if found.status != 0:
            raise RuntimeError(f"HiGHS: {found.message}")
        rows = np.argsort(-found.x[:n], kind="stable")[: data.k]
        seconds = time.perf_counter() - began
        return read(OptimizeResult(indices=rows, objective=-float(found.fun), seconds=seconds))

    return call


def cbc(data: SimpleNamespace):
    from helpers.selection import exact

    matrix = 2 * WEIGHT * data.similarity

    def call() -> Answer:
        model = exact.build(lambda: write(data.utility, matrix, data.k))
        result = exact.solve(model, "cbc", CBC_LIMIT_S)
        result.indices = np.argsort(-model.values, kind="stable")[: data.k]
        return read(result)

    return call


def write(utility: np.ndarray, matrix: np.ndarray, k: int):
    """Write eq. 11 in PuLP with one w for each pair i < j."""
    import pulp

    n = len(utility)
    problem = pulp.LpProblem("budgeted", pulp.LpMaximize)
    x = [pulp.LpVariable(f"x_{i}", 0, 1) for i in range(n)]
    terms = [(x[i], float(utility[i])) for i in range(n)]
    for i in range(n):
        for j in range(i + 1, n):
            w = pulp.LpVariable(f"w_{i}_{j}", 0, 1)
            terms.append((w, float(matrix[i, j])))
            pair = pulp.LpAffineExpression([(w, 2), (x[i], -1), (x[j], -1)])
            problem += pulp.LpConstraint(pair, pulp.LpConstraintLE, None, 0)
    problem += pulp.LpAffineExpression(terms)
    problem += pulp.lpSum(x) == k, "budget"
    return problem, x


def read(result) -> Answer:
    """Return an LP's rows with its value and the solver's seconds."""
    notes = {
        "value": result.objective,
        "of which solver s": result.seconds,
        "solver_s": result.seconds,
    }
    return Answer(np.asarray(result.indices), notes=notes)


def value(data: SimpleNamespace, answer: object) -> float:
    """Return x'Qx of a subset, by blocks."""
    rows = answer.indices if hasattr(answer, "indices") else answer
    inner, h = data.features[rows], median_distance(data.features)
    pairs = -float(len(rows))  # the diagonal
    for start in range(0, len(inner), 1024):
        pairs += similarity(inner[start : start + 1024], inner, h).sum(dtype=np.float64)
    return float(data.utility[rows].sum() + WEIGHT * pairs)


def ours(share: float | None = None, method: str = "auto", entropy: bool = False):
    def make(data: SimpleNamespace):
        from helpers import scores
        from helpers.selection import iqp

        k = data.k if share is None else int(share * len(data.features))
        some = slice(0, 200)
        iqp.solve(data.utility[some], data.features[some], 20, WEIGHT, bandwidth="median")

        def call() -> np.ndarray:
            if entropy:
                scores.entropy(data.probs)
            options = {"bandwidth": "median", "method": method}
            return iqp.solve(data.utility, data.features, k, WEIGHT, **options).indices

        return call

    return make


def several(n: int, ks: Sequence[int], **options) -> tuple[Contestant, ...]:
    """Return our contestant at several k of n."""
    return tuple(
        Contestant(f"ours, k = {k:,}", ours(k / n, **options), group=f"k = {k}", timeout_s=900)
        for k in ks
    )


FEW = several(3000, SEVERAL_K, entropy=True)
MANY = several(60_000, (15_000, 30_000))
MERGED = "w_ij and w_ji, equal at the optimum, are one variable: half of eq. 11 as printed"
QUADRATIC = {"score": value, "objective": "x'Qx"}

WORKLOADS = [
    Workload(
        "lp-2k",
        "LP relaxation, given the kernel",
        program,
        {"n": 2000, "d": 64},
        {"n": 60, "d": 64},
        (
            Contestant("ours", closed_form),
            Contestant("HiGHS", highs, "as written", note=MERGED),
            Contestant(
                "PuLP + CBC",
                cbc,
                "as written",
                once=True,
                last=True,
                timeout_s=CBC_LIMIT_S + 200,
                note=f"{MERGED}; the solver's seconds include PuLP's file, not the model",
            ),
        ),
        lp_value,
        objective="value of the LP",
        tolerance=1e-9,
        targets=(
            less("HiGHS", 1000, solver=True),
            less("PuLP + CBC", 10_000, solver=True),
            no_worse("HiGHS", 1, 1e-9),
            no_worse("PuLP + CBC", 1, 1e-9),
            same_set("HiGHS"),
            same_set("PuLP + CBC"),
        ),
    ),
    Workload(
        "budgeted-3k",
        "all of Algorithm 1: utility, kernel, LP, truncated power",
        with_probabilities,
        {"n": 3000, "d": 512},
        {"n": 300, "d": 512},
        FEW,
        **QUADRATIC,
        targets=(
            *(below(0.5, ours=contestant.name) for contestant in FEW),
            flat(tuple(contestant.name for contestant in FEW), 1.5),
        ),
    ),
    Workload(
        "budgeted-60k",
        "the same without the n x n matrix",
        pool,
        {"n": 60_000, "d": 64},
        {"n": 3000, "d": 64},
        MANY,
        **QUADRATIC,
        threads=2,
        targets=tuple(
            below(limit, of, ours=contestant.name)
            for contestant in MANY
            for limit, of in ((60, "wall_s"), (1000, "total_mb"))
        ),
    ),
    Workload(
        "budgeted-1.28m",
        "the same by random Fourier features",
        pool,
        {"n": 1_280_000, "d": 64},
        {"n": 5000, "d": 64},
        (Contestant("ours", ours(method="fourier"), last=True, timeout_s=1200),),
        threads=2,
        targets=(below(180, "wall_s"), below(2000, "total_mb")),
    ),
    Workload(
        "fourier-20k",
        "random Fourier features beside exact sums on a subsample",
        pool,
        {"n": 20_000, "d": 64},
        {"n": 1500, "d": 64},
        (
            Contestant("ours, exact", ours(method="exact")),
            Contestant("ours, Fourier", ours(method="fourier")),
            Contestant("random", random_rows, "reference"),
        ),
        **QUADRATIC,
        tolerance=0.01,
        threads=2,
        targets=(no_worse("ours, exact", 1, 0.01, ours="ours, Fourier"),),
    ),
]
