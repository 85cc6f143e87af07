"""GEDA: the closed form beside problem (P) as written."""

from types import SimpleNamespace

import numpy as np
from contest import Answer, Contestant, Workload, below, less, no_worse

CBC_LIMIT_S = 300


def norms(n: int, n_nodes: int, keep: float) -> SimpleNamespace:
    """Return gradient norms of one class, shape (n,); at n = 5,000 the optimum is 0.0134."""
    values = np.random.default_rng(3).gamma(2, 0.5, n)
    return SimpleNamespace(norms=values, n_nodes=n_nodes, k=int(keep * n))


def sum_z(data: SimpleNamespace, answer: object) -> float:
    """Return the objective of (P): the sum over nodes of |F_all - F_subset|."""
    rows = getattr(answer, "indices", answer)
    x, n_nodes = data.norms, data.n_nodes
    nodes = np.linspace(x.min(), x.max(), n_nodes + 1)[1:-1]
    share_all = np.searchsorted(np.sort(x), nodes, side="right") / len(x)
    share = np.searchsorted(np.sort(x[rows]), nodes, side="right") / len(rows)
    return float(np.abs(share_all - share).sum())


def closed_form(data: SimpleNamespace):
    from helpers.selection import geda

    return lambda: geda.geda(data.norms, data.k, data.n_nodes)


def as_written(solver: str, limit_s: float):
    def make(data: SimpleNamespace):
        from helpers.selection import exact

        def call() -> Answer:
            args = (data.norms, data.k, data.n_nodes, solver, limit_s)
            result = exact.solve_milp_as_written(*args)
            notes = {"of which solver s": result.seconds, "solver_s": result.seconds}
            return Answer(result.indices, notes=notes)

        return call

    return make


def at_random(data: SimpleNamespace):
    rng = np.random.default_rng(0)
    return lambda: rng.permutation(len(data.norms))[: data.k]


HIGHS = Contestant("HiGHS", as_written("highs", 60), "as written", timeout_s=300)
CBC = Contestant(
    "CBC", as_written("cbc", CBC_LIMIT_S), "as written", once=True, last=True,
    timeout_s=CBC_LIMIT_S + 60,
    note=f"stopped after {CBC_LIMIT_S} s with the best subset it had",
    cut=f"CBC was stopped at {CBC_LIMIT_S} s: the ratio is a lower bound",
)  # fmt: skip

WORKLOADS = [
    Workload(
        "geda-5k",
        "GEDA with 50 nodes, a fifth of the points",
        norms,
        {"n": 5000, "n_nodes": 50, "keep": 0.2},
        {"n": 200, "n_nodes": 4, "keep": 0.2},
        (Contestant("ours", closed_form), HIGHS, CBC, Contestant("random", at_random, "reference")),
        sum_z,
        sense=-1,
        objective="sum of |F - F_subset| over the nodes",
        tolerance=1e-9,
        targets=(
            less("HiGHS", 1000, solver=True),
            less("CBC", 100_000, solver=True),
            no_worse("HiGHS", -1, 1e-9),
            no_worse("CBC", -1, 1e-9),
        ),
    ),
    Workload(
        "geda-1.28m",
        "GEDA on as many points as ImageNet",
        norms,
        {"n": 1_280_000, "n_nodes": 50, "keep": 0.2},
        {"n": 20_000, "n_nodes": 50, "keep": 0.2},
        (Contestant("ours", closed_form),),
        sum_z,
        sense=-1,
        objective="sum of |F - F_subset| over the nodes",
        targets=(below(1),),
    ),
]
