"""Evidence for the claims of `svp`: proxies, core-sets and the agreement of rankings.

Each function takes the study's scale; what it returns stands in its first line, with the shapes
that the claim's rule expects: seeds last, differences in percentage points.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np

from helpers import experiments as ex, scores
from helpers.claims.stored import (
    ABSENT,
    BySeed,
    Evidence,
    Unfit,
    by_share,
    data_size,
    each_seed,
    error,
    error_at,
    full,
    gain,
    load,
    measured,
    need,
    number,
    parts,
    require_alone,
    seconds,
)
from helpers.experiments import Config
from helpers.ranking import spearman
from helpers.results import readings as rankings
from helpers.results.store import Result
from helpers.specs import Measure

# Training rows and classes of ILSVRC 2012, Russakovsky et al. 2015 (arXiv:1409.0575) table 2.
IMAGENET = (1_281_167, 1000)
ORACLES = ("forgetting", "entropy", "k-centers")


def on_choice(
    scale: Config, method: str, budget: float, by: str = "", options: tuple = ()
) -> BySeed:
    """Return seed -> the target trained on what a method selects from the run of `by`."""
    return lambda seed: ex.subset_run(
        scale, scale.target, ex.choice(scale, method, budget, seed, by, options)
    )


def gain_of(scale: Config, method: str, budget: float, by: str = "") -> np.ndarray:
    """Return error on random rows less error on what a method selects from `by`, (seeds,)."""
    chance, chosen = (on_choice(scale, name, budget, by) for name in ("random", method))
    return gain(scale, chance, chosen)


def shallow_and_deep(scale: Config) -> tuple[BySeed, BySeed]:
    """Return full training of the shallowest and of the deepest network."""
    need(scale.models, at_least=2)
    return full(scale, scale.models[0]), full(scale, scale.models[-1])


@measured
def svp_01(scale: Config) -> Evidence:
    """Error of the shallowest net less the deepest's, and how many times longer that trains."""
    shallow, deep = shallow_and_deep(scale)

    def time() -> Evidence:
        short, long = seconds(scale, shallow, deep)
        return {"values": long / short}

    def gap() -> Evidence:
        return {"differences": error(scale, shallow) - error(scale, deep)}

    return parts(gap=gap, time=time)


@measured
def svp_02(scale: Config) -> Evidence:
    """Error at 55 % of the seconds less the last error, (models, seeds), by number of classes."""
    runs = [each_seed(scale, full(scale, model)) for model in scale.models]
    n_classes = len(np.unique(runs[0][0].arrays["labels"]))
    names = {10: "ten classes", 100: "hundred classes"}
    need(names, n_classes)

    def late_gain() -> Evidence:
        require_alone([run for row in runs for run in row])
        return {
            "differences": [[error_at(r, 0.55) - error_at(r, 1.0) for r in row] for row in runs]
        }

    return parts(**{names[n_classes]: late_gain})


def metric_correlations(run: Result) -> np.ndarray:
    """Return Spearman's rho of the three pairs of uncertainty metrics of one run, (3,).

    Raises:
        Unfit: If the run kept no logits. Its recorded confidences and margins will not do: above
            0.9998 they all tie in float16, which costs up to 0.08 of rho on the digits.
    """
    if "logits" not in run.arrays:
        raise Unfit("published results keep no logits, and recorded confidences tie near 1")
    probs = rankings.probs_of(run)
    metrics = (scores.least_confidence, scores.margin, scores.entropy)
    return np.array([spearman(a, b) for a, b in combinations([f(probs) for f in metrics], 2)])


@measured
def svp_14(scale: Config) -> Evidence:
    """Smallest correlation among confidence, margin and entropy, one number a run."""
    return {"values": [metric_correlations(load(run)).min() for run in ex.depth_runs(scale)]}


@measured
def svp_15(scale: Config) -> Evidence:
    """Error with the proxy less error with the target as selector, (methods x shares, seeds)."""
    cells = [(method, budget) for method in ORACLES for budget in scale.budgets]
    return {
        "differences": [
            error(scale, on_choice(scale, method, budget))
            - error(scale, on_choice(scale, method, budget, scale.target))
            for method, budget in cells
        ],
        "labels": [f"{method} {budget:g}" for method, budget in cells],
    }


def without_forgettable(scale: Config, budget: float) -> Evidence:
    """Error on what the proxy forgets most less the error on everything, (seeds,)."""
    part = error(scale, on_choice(scale, "forgetting", budget))
    return {"differences": part - error(scale, full(scale, scale.target))}


@measured
def svp_16(scale: Config) -> Evidence:
    """Error on half of the rows, by forgetting events of the proxy, less the full set's."""
    return without_forgettable(scale, 0.5)


def times_saved(scale: Config, method: str, budget: float) -> np.ndarray:
    """Return full time over proxy + selection + training on a share, shape (seeds,)."""
    whole, proxy, select, part = seconds(
        scale,
        full(scale, scale.target),
        full(scale, scale.proxy),
        lambda seed: ex.choice(scale, method, budget, seed),
        on_choice(scale, method, budget),
    )
    return whole / (proxy + select + part)


@measured
def svp_17(scale: Config) -> Evidence:
    """Full time over proxy + selection + training on the half, and the error of `svp_16`."""
    return parts(
        time=lambda: {"values": times_saved(scale, "forgetting", 0.5)},
        error=lambda: without_forgettable(scale, 0.5),
    )


@measured
def svp_22(scale: Config) -> Evidence:
    """Errors at the smallest share, target as selector: entropy, k-centers, forgetting."""
    order = ("entropy", "k-centers", "forgetting")
    cells = [on_choice(scale, method, min(scale.budgets), scale.target) for method in order]
    return {"values": [error(scale, cell) for cell in cells]}


def depth_groups(scale: Config) -> list[int]:
    """Return which depth each of `depth_runs` has, as a position in `scale.models`."""
    return [scale.models.index(run.model) for run in ex.depth_runs(scale)]


def blocks(scale: Config, matrix: np.ndarray) -> dict[str, object]:
    """Return correlations between depth runs with each run's depth and seed."""
    seeds = [run.seed for run in ex.depth_runs(scale)]
    return {"matrix": matrix, "groups": depth_groups(scale), "seeds": seeds}


def score_matrix(scale: Config, name: str, coefficient: str = "spearman") -> np.ndarray:
    """Return correlations between the rankings of all depth runs, (m, m)."""
    runs = [load(run) for run in ex.depth_runs(scale)]
    score = {"entropy": rankings.entropy_of, "forgetting": rankings.forgetting}[name]
    return rankings.similarity_matrix([score(run) for run in runs], coefficient, scale.epochs)


def centre_matrix(scale: Config, same_start: bool) -> np.ndarray:
    """Return correlations between the k-centers orders of all depth runs, (m, m)."""
    chosen = [load(order) for order in ex.centre_orders(scale, same_start)]
    return rankings.centre_order_matrix(
        [order.arrays["indices"] for order in chosen], scale.n_initial
    )


@measured
def svp_27(scale: Config) -> Evidence:
    """Spearman between runs with the depth of each, for three metrics."""
    return parts(
        **{
            "forgetting": lambda: blocks(scale, score_matrix(scale, "forgetting")),
            "entropy": lambda: blocks(scale, score_matrix(scale, "entropy")),
            "k-centers": lambda: blocks(scale, centre_matrix(scale, False)),
        }
    )


@measured
def svp_23(scale: Config) -> Evidence:
    """Error of random less forgetting's, (shares, seeds); at 80 % kept less the full set's."""
    if data_size(scale) != IMAGENET:
        raise Unfit(f"{ABSENT}: the claim is about ImageNet, not {scale.dataset}")

    def loss() -> Evidence:
        need(scale.budgets, 0.8)
        kept = on_choice(scale, "forgetting", 0.8)
        return {"differences": gain(scale, kept, full(scale, scale.target))}

    def gains() -> Evidence:
        return by_share(scale.budgets, lambda budget: gain_of(scale, "forgetting", budget))

    return parts(random=gains, loss=loss)


@measured
def svp_28(scale: Config) -> Evidence:
    """Spearman between k-centers orders from shared and from own starting points, (m, m)."""
    return {"first": centre_matrix(scale, True), "second": centre_matrix(scale, False)}


def mean_to_others(matrix: np.ndarray) -> np.ndarray:
    """Return each run's mean correlation with the other runs, (m,)."""
    return (matrix.sum(axis=1) - np.diagonal(matrix)) / (len(matrix) - 1)


@measured
def svp_29(scale: Config) -> Evidence:
    """Pearson between runs, and forgetting less entropy by Spearman and by Pearson."""
    need(depth_groups(scale), at_least=2)
    found = {
        (name, kind): score_matrix(scale, name, kind)
        for name in ("forgetting", "entropy")
        for kind in ("spearman", "pearson")
    }
    first, second = (
        mean_to_others(found["forgetting", kind]) - mean_to_others(found["entropy", kind])
        for kind in ("spearman", "pearson")
    )
    return {
        "forgetting": blocks(scale, found["forgetting", "pearson"]),
        "entropy": blocks(scale, found["entropy", "pearson"]),
        "order": {"first": first, "second": second},
    }


def settled(scale: Config, name: str) -> Evidence:
    """Share of training after which the proxy's ranking agrees with the finished targets'.

    Entropies are recorded at some epochs, forgetting events are known after every one.
    """
    score = {"entropy": rankings.entropy_of, "forgetting": rankings.forgetting}[name]
    targets = [score(run) for run in each_seed(scale, full(scale, scale.target))]
    shares = []
    for run in each_seed(scale, full(scale, scale.proxy)):
        epochs = run.arrays["recorded_epochs"].tolist()
        if name == "forgetting":
            epochs = list(range(1, scale.epochs + 1))
        agreed = rankings.agreement([score(run, epoch) for epoch in epochs], targets)
        shares.append(rankings.settled_at(epochs, agreed) / scale.epochs)
    return {"values": shares}


@measured
def svp_31(scale: Config) -> Evidence:
    """Share of training until the proxy's rankings have settled, (seeds,) a metric."""
    return parts(
        forgetting=lambda: settled(scale, "forgetting"),
        entropy=lambda: settled(scale, "entropy"),
    )


@measured
def svp_32(scale: Config) -> Evidence:
    """Exponent of the time of greedy k-centers on the pool size at a fixed share."""
    found = load(Measure("kcenters-time"))
    require_alone([found])
    note = f"added one centre at a time: {found.metrics['exponent_loop']:.2f}"
    return {"values": number(found.metrics["exponent"]), "note": note}


@measured
def svp_33(scale: Config) -> Evidence:
    """Error without the 30 % that the proxy forgets least, less the full set's, (seeds,)."""
    return without_forgettable(scale, 0.7)
