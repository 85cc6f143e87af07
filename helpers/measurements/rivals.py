"""Seconds of rivals side by side: Table I of `budgeted`, GEDA's program by solvers, k-centers."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress

import numpy as np
from scipy.optimize import OptimizeResult

from helpers import StudyError
from helpers.measurements.table import (
    WEIGHT,
    Measured,
    exponent,
    made_up_pool,
    measurement,
    median_seconds,
    seconds_of,
    seconds_table,
    share_of,
)
from helpers.selection import dpp, exact, geda, iqp, kcenters, random_selection
from helpers.selection.gaussian_sums import median_distance
from helpers.selection.submodular import coverage_diversity

SLOW = ("exact", "greedy", "lazy")
LARGE = 2 / 3  # k / N of `budgeted` Table III


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
) -> Measured:
    """Time every contender of `budgeted` Table I at several budgets, kernels included.

    The bandwidth, the median distance, is found before and shared by all. The paper's n is 3,000
    and its shares run from 0.2 to 0.5. repeats_slow is for what takes tenths of a second and
    more; n_lp is the pool of the LP as written, which HiGHS could not finish at n; n_timed sizes
    are those at which single steps of the textbook sampler are timed.

    Returns:
        Metrics: n, n_lp, textbook_k, textbook_drawn (seconds of one whole draw of so many),
        textbook_ratio (summed steps over it), large_k. Arrays: ks, shares and seconds_lp (at
        n_lp), (b,); seconds_NAME, (rounds, b), for dpp (textbook), exact, map, greedy (plain),
        lazy, random and iqp; large_dpp, large_greedy, large_iqp (seconds at 2n/3), (repeats,).

    Source: `budgeted` Tables I and III.

    Note: the textbook sampler takes minutes for every round. A draw of k rows is k steps with
        k, k - 1, ..., 1 vectors, whatever k was at the start, so steps are timed at a few sizes
        and summed; textbook_ratio says how well that meets a whole draw.
    """
    features, utility = made_up_pool(n, d, np.random.default_rng(seed))
    ks = np.array([round(share * n) for share in shares])
    large = round(LARGE * n)
    calls = _contenders(features, utility, seed)
    summed = summed_steps(features, [*ks.tolist(), large], repeats, n_timed, seed)
    drawn = seconds_of(lambda: _textbook_draw(features, int(ks[1]), np.random.default_rng(seed)))
    rounds = {name: repeats_slow if name in SLOW else repeats for name in calls}
    timed = seconds_table(calls, ks, rounds, warm_up=1)
    arrays = {f"seconds_{name}": seconds for name, seconds in timed.items()}
    arrays |= {"ks": ks, "shares": np.array(shares), "seconds_dpp": summed[:, :-1]}
    at_large = {name: calls[name] for name in ("greedy", "iqp")}
    for name, seconds in seconds_table(at_large, [large], repeats, warm_up=1).items():
        arrays[f"large_{name}"] = seconds[:, 0]
    arrays["large_dpp"] = summed[:, -1]
    arrays["seconds_lp"] = np.array([_kernel_and_lp(n_lp, share, d, seed) for share in shares])
    return {
        "n": n,
        "n_lp": n_lp,
        "textbook_k": int(ks[1]),
        "textbook_drawn": drawn,
        "textbook_ratio": float(np.median(summed[:, 1]) / drawn),
        "large_k": large,
    }, arrays


def _contenders(
    features: np.ndarray, utility: np.ndarray, seed: int
) -> dict[str, Callable[[int], object]]:
    """Return the whole selection of each contender that is run whole, by name, as call(k)."""
    h, rng = median_distance(features), np.random.default_rng(seed)
    double = features.astype(np.float64)
    return {
        "random": lambda k: random_selection.random(len(features), k, rng),
        "iqp": lambda k: iqp.budgeted(utility, features, k, WEIGHT, h),
        "map": lambda k: dpp.greedy_map(iqp.gaussian_similarity(double, h), k),
        "exact": lambda k: dpp.sample_k_dpp(iqp.gaussian_similarity(double, h), k, rng),
        "greedy": lambda k: coverage_diversity(features, k, bandwidth=h, how="naive"),
        "lazy": lambda k: coverage_diversity(features, k, bandwidth=h, how="lazy"),
    }


def _kernel_and_lp(n: int, share: float, d: int, seed: int) -> float:
    """Return seconds of kernel and LP as written by HiGHS on a small pool, PuLP's included."""
    features, utility = made_up_pool(n, d, np.random.default_rng(seed))
    similarity = iqp.gaussian_similarity(features, median_distance(features))
    k = share_of(n, share)
    return seconds_of(lambda: exact.solve_lp_as_written(utility, similarity, k, WEIGHT))


@measurement("textbook-draws", threads=1)
def textbook_draws(
    seed: int,
    n: int = 400,
    d: int = 64,
    shares: Sequence[float] = (0.2, 0.3, 0.4, 0.5),
    repeats: int = 5,
) -> Measured:
    """Time whole draws of the textbook sampler at several budgets, kernel included.

    Processor seconds of one thread, which a busy machine leaves as they are.

    The pool is small enough to draw whole; sums of steps would rise with k by themselves.

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
    kernel = iqp.gaussian_similarity(features.astype(np.float64), median_distance(features))
    return dpp.sample_k_dpp_textbook(kernel, k, rng)


class _Enough(Exception):
    """Raised to end a sampler whose first steps have been timed."""


class _StepClock(np.random.Generator):
    """A generator that notes when rows are drawn, and ends the sampler after the first."""

    def __init__(self, seed: int) -> None:
        super().__init__(np.random.PCG64(seed))
        self.drawn_at: list[float] = []

    def choice(self, *args: object, **options: object) -> object:
        """Note the time and draw."""
        self.drawn_at.append(time.perf_counter())
        if len(self.drawn_at) > 1:
            raise _Enough
        return super().choice(*args, **options)


def summed_steps(
    features: np.ndarray, ks: Sequence[int], repeats: int, n_timed: int, seed: int
) -> np.ndarray:
    """Return seconds of the textbook sampler, (repeats, len(ks)), summed over its steps."""
    double, h = features.astype(np.float64), median_distance(features)
    sizes = np.unique(np.linspace(2, max(ks), n_timed).round().astype(int))
    kernel = iqp.gaussian_similarity(double, h)
    to_kernel = median_seconds(lambda: iqp.gaussian_similarity(double, h), repeats)
    rows = []
    for _ in range(repeats):
        before, steps = np.transpose([_first_step(kernel, int(m), seed) for m in sizes])
        # A step grows with the square of its vectors: straight lines through roots fit it.
        roots = [np.interp(np.arange(1, k + 1), sizes, np.sqrt(steps)) for k in ks]
        rows.append(
            [np.interp(k, sizes, before) + (r**2).sum() for k, r in zip(ks, roots, strict=True)]
        )
    return np.array(rows) + to_kernel


def _first_step(kernel: np.ndarray, k: int, seed: int) -> tuple[float, float]:
    """Return seconds of a textbook draw of k rows before its first step, and of that step."""
    clock, start = _StepClock(seed), time.perf_counter()
    with suppress(_Enough):
        dpp.sample_k_dpp_textbook(kernel, k, clock)
    return clock.drawn_at[0] - start, clock.drawn_at[1] - clock.drawn_at[0]


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
            k = share_of(n, share)
            solved = [exact.solve_milp_as_written(g, k, n_nodes, solver) for g in classes[n]]
            closed = [geda.objective(g, geda.geda(g, k, n_nodes), n_nodes) for g in classes[n]]
            differences += [abs(s.objective - c) for s, c in zip(solved, closed, strict=True)]
            proofs += [s.success for s in solved]
            medians.append(np.median([s.seconds + s.seconds_build for s in solved]))
        arrays[f"seconds_{solver}"] = np.array(medians)
    closed = [
        median_seconds(lambda n=n: geda.geda(classes[n][0], share_of(n, share), n_nodes), repeats)
        for n in sizes
    ]
    arrays["seconds_closed"] = np.array(closed)
    metrics = {name: float(values[-1]) for name, values in arrays.items() if name != "sizes"}
    metrics |= {"largest_difference": float(max(differences)), "n_compared": len(differences)}
    return metrics | {"all_optimal": bool(all(proofs))}, arrays


@measurement("cbc-wrong")
def cbc_wrong(
    seed: int,
    cases: Sequence[Sequence[int]] = ((500, 20), (2000, 50), (5000, 50)),
    share: float = 0.2,
    time_limit: float = 2.0,
) -> Measured:
    """Stop CBC on (P) as written and compare what it hands back with the optimum.

    Cases are (n, N) of each program; the norms are gamma with shape 2 and scale 1/2.

    Returns:
        Metrics: claimed (PuLP's LpStatus) and status (ours, from sol_status), lists, one a case;
        n_cases, n_claimed_optimal, n_proven, n_worse (objective above the optimum), worst_ratio
        (CBC's objective over the optimum). Arrays, one entry a case: n, n_nodes, time_limit,
        objective_cbc, objective_closed (units of the norms), seconds_cbc (with the writing),
        seconds_closed.

    Raises:
        StudyError: If CBC finds no subset at all in sixteen times the time allowed.

    Source: `geda` section 5.1.3 (solved by PuLP with a branch-and-cut solver).

    Note: time_limit is in seconds; what CBC reaches within it differs by machine and load.
    """
    claimed, status, rows = [], [], []
    for n, n_nodes in cases:
        norms = np.random.default_rng(seed).gamma(2, 0.5, n)
        k = share_of(n, share)
        closed = min((geda.solve(norms, k, n_nodes) for _ in range(5)), key=lambda r: r.seconds)
        limit, written = _stopped(norms, k, n_nodes, time_limit)
        claimed.append(written.claimed)
        status.append(written.status)
        seconds = (written.seconds + written.seconds_build, closed.seconds)
        rows.append((n, n_nodes, limit, written.objective, closed.objective, *seconds))
    names = ("n", "n_nodes", "time_limit", "objective_cbc", "objective_closed")
    names += ("seconds_cbc", "seconds_closed")
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


def _stopped(
    norms: np.ndarray, k: int, n_nodes: int, time_limit: float
) -> tuple[float, OptimizeResult]:
    """Return CBC's answer and the limit it had; a busy machine gets four and sixteen times it."""
    for limit in (time_limit, 4 * time_limit):
        with suppress(StudyError):
            return limit, exact.solve_milp_as_written(norms, k, n_nodes, "cbc", limit)
    limit = 16 * time_limit
    return limit, exact.solve_milp_as_written(norms, k, n_nodes, "cbc", limit)


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
