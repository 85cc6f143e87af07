"""Seconds of rivals side by side: Table I of `budgeted`, GEDA's program by solvers, k-centers."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress

import numpy as np
from scipy import optimize, sparse

from helpers import StudyError
from helpers.measurements.table import (
    WEIGHT,
    Measured,
    exponent,
    made_up_pool,
    measurement,
    median_seconds,
    real_pool,
    seconds_of,
    seconds_table,
    share_of,
)
from helpers.selection import dpp, exact, geda, iqp, kcenters, random_selection
from helpers.selection.gaussian_sums import gaussian_similarity, median_distance
from helpers.selection.submodular import CoverageDiversity, coverage_diversity

SLOW = ("exact", "greedy", "lazy")
LARGE = 2 / 3  # k / N of `budgeted` Table III
DRAWN = 300  # rows at most that a textbook's sampler draws whole, to check its summed steps


def spent(call: Callable[[], object]) -> float:
    """Return processor seconds of one call."""
    return seconds_of(call, time.process_time)


def _contenders(
    features: np.ndarray, utility: np.ndarray, seed: int
) -> dict[str, Callable[[int], object]]:
    """Return the whole selection of each contender that is run whole, by name, as call(k)."""
    h, rng = median_distance(features), np.random.default_rng(seed)
    double = features.astype(np.float64)
    return {
        "random": lambda k: random_selection.random(len(features), k, rng),
        "iqp": lambda k: iqp.budgeted(utility, features, k, WEIGHT, h),
        "map": lambda k: dpp.greedy_map(gaussian_similarity(double, h), k),
        "exact": lambda k: dpp.sample_k_dpp(gaussian_similarity(double, h), k, rng),
        "greedy": lambda k: coverage_diversity(features, k, bandwidth=h, how="naive"),
        "lazy": lambda k: coverage_diversity(features, k, bandwidth=h, how="lazy"),
    }


def summed_steps(
    features: np.ndarray, ks: np.ndarray, repeats: int, n_timed: int, rng: np.random.Generator,
    clock: Callable[[], float] | None = None,
) -> np.ndarray:  # fmt: skip
    """Return seconds of the textbook k-DPP sampler, (repeats, len(ks)), summed over its steps.

    A draw of k rows is k steps with k, k - 1, ..., 1 vectors, whatever k was at the start, so steps
    are timed at n_timed numbers of vectors; kernel and eigenvectors come on top.
    """
    double, h, found = features.astype(np.float64), median_distance(features), {}
    to_vectors = lambda: found.update(v=np.linalg.eigh(gaussian_similarity(double, h))[1])  # noqa: E731
    before, most = seconds_of(to_vectors, clock), int(np.max(ks))
    sizes = np.unique(np.linspace(2, most, n_timed).round().astype(int))
    rows = []
    for _ in range(repeats):
        steps = [
            seconds_of(lambda m=m: dpp.textbook_step(found["v"][:, -m:], [], rng), clock)
            for m in sizes
        ]
        # A step grows with the square of its vectors: straight lines through roots fit it.
        roots = np.interp(np.arange(1, most + 1), sizes, np.sqrt(steps))
        rows.append(before + np.cumsum(roots**2)[np.asarray(ks) - 1])
    return np.array(rows)


@measurement("selection-time", threads=1)
def selection_time(
    seed: int,
    n: int = 1000,
    d: int = 64,
    shares: Sequence[float] = (0.2, 0.3, 0.4, 0.5),
    repeats: int = 3,
    repeats_slow: int = 2,
    n_lp: int = 60,
    n_timed: int = 5,
    of: Sequence[str] = (),
) -> Measured:
    """Time every contender of `budgeted` Table I at several budgets, kernels included.

    The pool is made up, or real where `of` names a data set and a network, see `real_pool`. The
    bandwidth, the median distance, is found before and shared by all. repeats_slow is for what
    takes tenths of a second and more; n_lp is the pool of the LP as written, which HiGHS could not
    finish at n; n_timed as in `summed_steps`, which takes the place of a textbook draw's minutes.

    Returns:
        Metrics: n, n_lp, textbook_k, textbook_drawn (seconds of one whole draw of so many),
        textbook_ratio (summed steps over it), large_k. Arrays: ks, shares and seconds_lp (at
        n_lp), (b,); seconds_NAME, (rounds, b), for dpp (textbook), exact, map, greedy (plain),
        lazy, random and iqp; large_dpp, large_greedy, large_iqp (seconds at 2n/3), (repeats,).

    Source: `budgeted` Tables I and III.
    """
    rng = np.random.default_rng(seed)
    features, utility = real_pool(*of, n, rng) if of else made_up_pool(n, d, rng)
    ks = np.array([round(share * n) for share in shares])
    large = round(LARGE * n)
    calls, rng = _contenders(features, utility, seed), np.random.default_rng(seed)
    whole = min(int(ks[1]), DRAWN)
    summed = summed_steps(features, np.append(ks, [large, whole]), repeats, n_timed, rng)
    drawn = seconds_of(lambda: _textbook_draw(features, whole, rng))
    rounds = {name: repeats_slow if name in SLOW else repeats for name in calls}
    timed = seconds_table(calls, ks, rounds, warm_up=1)
    arrays = {f"seconds_{name}": seconds for name, seconds in timed.items()}
    arrays |= {"ks": ks, "shares": np.array(shares), "seconds_dpp": summed[:, :-2]}
    at_large = {name: calls[name] for name in ("greedy", "iqp")}
    for name, seconds in seconds_table(at_large, [large], repeats, warm_up=1).items():
        arrays[f"large_{name}"] = seconds[:, 0]
    arrays["large_dpp"] = summed[:, -2]
    few = features[:n_lp], utility[:n_lp]
    arrays["seconds_lp"] = np.array([_kernel_and_lp(*few, share_of(n_lp, s)) for s in shares])
    metrics = {"n": n, "n_lp": n_lp, "textbook_k": whole, "textbook_drawn": drawn}
    metrics["textbook_ratio"] = float(np.median(summed[:, -1]) / drawn)
    return metrics | {"large_k": large}, arrays


def _kernel_and_lp(features: np.ndarray, utility: np.ndarray, k: int) -> float:
    """Return seconds of kernel and LP as written by HiGHS on a small pool, PuLP's included."""
    return seconds_of(
        lambda: exact.solve_lp_as_written(
            utility, gaussian_similarity(features, "median"), k, WEIGHT
        )
    )


@measurement("textbook-draws", threads=1)
def textbook_draws(
    seed: int,
    n: int = 400,
    d: int = 64,
    shares: Sequence[float] = (0.2, 0.3, 0.4, 0.5),
    repeats: int = 5,
) -> Measured:
    """Time whole draws of the textbook sampler at several budgets, kernel included.

    Processor seconds of one thread, which a busy machine leaves as they are. The pool is small
    enough to draw whole; sums of steps would rise with k by themselves.

    Returns:
        Metrics: n, exponent (of the median seconds on k). Arrays: ks (b,), seconds (repeats, b),
        slopes (repeats,), the exponent in each repeat.
    """
    rng = np.random.default_rng(seed)
    features, _ = made_up_pool(n, d, rng)
    ks = np.array([share_of(n, share) for share in shares])
    calls = {"": lambda k: _textbook_draw(features, k, rng)}
    seconds = seconds_table(calls, ks, repeats, warm_up=1, clock=time.process_time)[""]
    slope = exponent(ks, np.median(seconds, axis=0))
    slopes = np.array([exponent(ks, row) for row in seconds])
    return {"n": n, "exponent": slope}, {"ks": ks, "seconds": seconds, "slopes": slopes}


def _textbook_draw(features: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
    return dpp.sample_k_dpp_textbook(gaussian_similarity(features.astype(float), "median"), k, rng)


@measurement("table-one", threads=1)
def table_one(
    seed: int,
    n: int = 3000,
    n_best: int = 1000,
    d: int = 64,
    shares: Sequence[float] = (0.2, 0.3, 0.4, 0.5, 2 / 3),
    repeats: int = 5,
    n_timed: int = 4,
    n_values: int = 20,
    lp_sizes: Sequence[int] = (150, 300, 600),
    n_slope: int = 100,
    n_pools: int = 20,
) -> Measured:
    """Time the methods of `budgeted` Table I as written on its n points, and ours on n_best.

    Processor seconds of one thread, so that what else the machine does favours no method.

    As written: the LP (11) with a variable and a constraint a pair, by HiGHS, at lp_sizes and
    drawn on to n as a power of the size; the textbook's k-DPP sampler by `summed_steps`; plain
    greedy, n_values values of a subset timed. The shares are Table I's of 600 to 1,500 and Table
    III's 2,000 of 3,000.

    Returns:
        Metrics: n, n_best, lp_exponent. Arrays: ks (b,) of n; seconds_lp (repeats,) at n;
        seconds_power (repeats,), kernel and power steps at n; seconds_dpp and seconds_greedy
        (repeats, b); lp_sizes; lp_slopes (n_pools,), of log seconds of the LP on log k at n_slope
        points; best_NAME (repeats, b) on n_best points, whole selections: iqp (LP in closed form),
        exact and map (DPP), lazy (greedy).

    Source: `budgeted` Tables I and III.

    Note: Table I's greedy grows by 31 s a pick of 3,000 candidates whatever k, so that every
        candidate's value takes one product with the whole matrix, as here.
    """
    rng = np.random.default_rng(seed)
    features, utility = made_up_pool(n, d, rng)
    ks = np.array([share_of(n, share) for share in shares])
    h = median_distance(features)
    _lp_seconds(20, 0.3, d, rng)  # loads the solver
    lp = [[_lp_seconds(size, 0.3, d, rng) for size in lp_sizes] for _ in range(repeats)]
    fits = [np.polyfit(np.log(lp_sizes), np.log(row), 1) for row in lp]
    chosen = lambda: iqp.budgeted(utility, features, int(ks[1]), WEIGHT, h)  # noqa: E731
    sizes = [share_of(n_best, share) for share in shares]
    best = _contenders(*made_up_pool(n_best, d, np.random.default_rng(seed)), seed)
    best = {name: best[name] for name in ("iqp", "map", "exact", "lazy")}
    best = seconds_table(best, sizes, repeats, warm_up=1, clock=time.process_time)
    arrays = {f"best_{name}": seconds for name, seconds in best.items()}
    arrays |= {
        "ks": ks,
        "seconds_lp": np.exp([np.polyval(fit, np.log(n)) for fit in fits]),
        "seconds_power": np.array([spent(chosen) for _ in range(repeats + 1)][1:]),
        "seconds_dpp": summed_steps(features, ks, repeats, n_timed, rng, time.process_time),
        "seconds_greedy": _value_seconds(features, h, repeats, n_values, rng)[:, None] * n * ks,
        "lp_sizes": np.array(lp_sizes),
        "lp_slopes": np.array([_lp_slope(n_slope, d, rng) for _ in range(n_pools)]),
    }
    mean = float(np.mean([fit[0] for fit in fits]))
    return {"n": n, "n_best": n_best, "lp_exponent": mean}, arrays


def _lp_seconds(n: int, share: float, d: int, rng: np.random.Generator) -> float:
    features, utility = made_up_pool(n, d, rng)
    return _solve_lp(gaussian_similarity(features, "median"), utility, share_of(n, share))


def _lp_slope(n: int, d: int, rng: np.random.Generator) -> float:
    """Return the slope of log seconds on log k of one pool, budgets in random order."""
    features, utility = made_up_pool(n, d, rng)
    similarity = gaussian_similarity(features, "median")
    ks = rng.permutation(np.linspace(n / 5, n / 2, 5).round().astype(int))
    return exponent(ks, [_solve_lp(similarity, utility, int(k)) for k in ks])


def _solve_lp(similarity: np.ndarray, utility: np.ndarray, k: int) -> float:
    """Return processor seconds of eq. 11 by HiGHS: n + n^2 variables, n^2 + 1 constraints."""
    matrix = WEIGHT * similarity.astype(np.float64)
    np.fill_diagonal(matrix, utility)
    n = len(matrix)
    start = time.process_time()
    pairs, ones = np.arange(n * n), np.ones(n * n)
    places = np.concatenate([*np.divmod(pairs, n), n + pairs])
    entries = np.concatenate([-ones, -ones, 2 * ones]), (np.tile(pairs, 3), places)
    left = sparse.csc_matrix(entries, shape=(n * n, n + n * n))
    budget = sparse.csc_matrix(np.concatenate([np.ones(n), np.zeros(n * n)])[None])
    worth = -np.concatenate([np.zeros(n), matrix.ravel()])
    limits = {"A_ub": left, "b_ub": np.zeros(n * n), "A_eq": budget, "b_eq": [k]}
    optimize.linprog(worth, **limits, bounds=(0, 1), method="highs")
    return time.process_time() - start


def _value_seconds(
    features: np.ndarray, h: float, repeats: int, n_values: int, rng: np.random.Generator
) -> np.ndarray:
    """Return mean seconds (repeats,) of the value of a subset, by the whole matrix."""
    function = CoverageDiversity(features, bandwidth=h)
    chosen = (rng.random(function.n) < 0.2).astype(np.float64)

    def values() -> None:
        for _ in range(n_values):
            np.minimum(function.kept @ chosen, function.cap).sum()
            np.sqrt(np.bincount(function.group, function.reward * chosen)).sum()

    return np.array([spent(values) / n_values for _ in range(repeats + 1)])[1:]


@measurement("geda-milp")
def geda_milp(
    seed: int,
    sizes: Sequence[int] = (50, 100, 200, 400),
    share: float = 0.3,
    n_nodes: int = 5,
    repeats: int = 3,
    solvers: Sequence[str] = ("highs", "cbc"),
) -> Measured:
    """Solve (P) as written on classes of several sizes and compare with the closed form.

    Returns:
        Metrics: largest_difference (of solver and closed objective, in units of the norms),
        n_compared, all_optimal. Arrays: sizes, seconds_SOLVER (build and solve), seconds_closed,
        shape (len(sizes),).

    Source: `geda` section 4.1.
    """
    rng = np.random.default_rng(seed)
    classes = {n: [rng.gamma(2, 1, n) for _ in range(repeats)] for n in sizes}
    ks = {n: share_of(n, share) for n in sizes}
    arrays, differences, proofs = {"sizes": np.array(sizes)}, [], []
    for solver in solvers:
        exact.solve_milp_as_written(classes[sizes[0]][0], 3, n_nodes, solver)  # loads the solver
        medians = []
        for n, k in ks.items():
            solved = [exact.solve_milp_as_written(g, k, n_nodes, solver) for g in classes[n]]
            closed = [geda.objective(g, geda.geda(g, k, n_nodes), n_nodes) for g in classes[n]]
            differences += [abs(s.objective - c) for s, c in zip(solved, closed, strict=True)]
            proofs += [s.success for s in solved]
            medians.append(np.median([s.seconds + s.seconds_build for s in solved]))
        arrays[f"seconds_{solver}"] = np.array(medians)
    calls = (lambda n=n, k=k: geda.geda(classes[n][0], k, n_nodes) for n, k in ks.items())
    arrays["seconds_closed"] = np.array([median_seconds(call, repeats) for call in calls])
    metrics = {"largest_difference": float(max(differences)), "n_compared": len(differences)}
    return metrics | {"all_optimal": bool(all(proofs))}, arrays


@measurement("cbc-wrong")
def cbc_wrong(
    seed: int,
    cases: Sequence[Sequence[int]] = ((500, 20), (2000, 50), (5000, 50)),
    share: float = 0.2,
    time_limit: float = 2.0,
) -> Measured:
    """Stop CBC on (P) as written and compare what it hands back with the optimum.

    Cases are (n, N) of each program; the norms are gamma with shape 2 and scale 1/2. time_limit is
    in seconds; a busy machine gets four and sixteen times as many.

    Returns:
        Metrics: claimed (PuLP's LpStatus) and status (ours, from sol_status), lists, one a case;
        n_cases, n_claimed_optimal, n_proven, n_worse (objective above the optimum), worst_ratio
        (CBC's objective over the optimum). Arrays, one entry a case: n, n_nodes, time_limit,
        objective_cbc, objective_closed (units of the norms), seconds_closed.

    Raises:
        StudyError: If CBC finds no subset at all in sixteen times the time allowed.

    Source: `geda` section 5.1.3 (solved by PuLP with a branch-and-cut solver).
    """
    claimed, status, rows = [], [], []
    for n, n_nodes in cases:
        norms = np.random.default_rng(seed).gamma(2, 0.5, n)
        k = share_of(n, share)
        closed = min((geda.solve(norms, k, n_nodes) for _ in range(5)), key=lambda r: r.seconds)
        for limit in (time_limit, 4 * time_limit, 16 * time_limit):
            with suppress(StudyError):
                written = exact.solve_milp_as_written(norms, k, n_nodes, "cbc", limit)
                break
        else:
            raise StudyError(f"cbc found no answer within {limit:g} s")
        claimed.append(written.claimed)
        status.append(written.status)
        rows.append((n, n_nodes, limit, written.objective, closed.objective, closed.seconds))
    names = ("n", "n_nodes", "time_limit", "objective_cbc", "objective_closed", "seconds_closed")
    arrays = dict(zip(names, np.array(rows).T, strict=True))
    arrays |= {name: arrays[name].astype(np.int64) for name in ("n", "n_nodes")}
    excess = arrays["objective_cbc"] - arrays["objective_closed"]
    return {
        "claimed": claimed,
        "status": status,
        "n_cases": len(rows),
        "n_claimed_optimal": claimed.count("Optimal"),
        "n_proven": status.count("optimal"),
        "n_worse": int((excess > 1e-9).sum()),
        "worst_ratio": float((arrays["objective_cbc"] / arrays["objective_closed"]).max()),
    }, arrays


@measurement("kcenters-time")
def kcenters_time(
    seed: int,
    sizes: Sequence[int] = (2500, 5000, 10000, 20000),
    share: float = 0.1,
    d: int = 64,
    repeats: int = 3,
    loop_up_to: int = 10000,
) -> Measured:
    """Time greedy k-centers at a fixed share, in batches and, up to loop_up_to rows, one at a time.

    Returns:
        Metrics: exponent (batched), exponent_loop (0 with fewer than two sizes), seconds
        (batched, largest size), speed_up (loop over batched, largest shared size).
        Arrays: sizes, seconds, sizes_loop, seconds_loop.

    Source: `svp` sections 2.1, 3.2: quadratic at a fixed share.
    """
    rng = np.random.default_rng(seed)
    seconds, loop = [], []
    for n in sizes:
        args = made_up_pool(n, d, rng)[0], share_of(n, share)
        seconds.append(median_seconds(lambda a=args: kcenters.greedy_k_centers(*a), repeats))
        if n <= loop_up_to:
            loop.append(median_seconds(lambda a=args: _one_at_a_time(*a), repeats))
    small = [n for n in sizes if n <= loop_up_to]
    arrays = {"sizes": np.array(sizes), "seconds": np.array(seconds)}
    arrays |= {"sizes_loop": np.array(small), "seconds_loop": np.array(loop)}
    metrics = {"exponent": exponent(sizes, seconds), "seconds": seconds[-1]}
    metrics["exponent_loop"] = exponent(small, loop)
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
