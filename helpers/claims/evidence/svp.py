"""`svp`: what is no difference or ratio of two cells."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from helpers import recipes, scores
from helpers.claims.correlations import blocks, pair_means
from helpers.claims.evidence.measurements import measure
from helpers.claims.quantities import Unfit, error_at, need, results_of
from helpers.claims.verdicts import Evidence
from helpers.config import Config
from helpers.experiments import STEPPED, Cell, asked, centre_orders
from helpers.measurements.table import exponent, share_of
from helpers.ranking import spearman
from helpers.results import get, readings
from helpers.results.store import Result

SCORES = {"entropy": readings.entropy_of, "forgetting": readings.forgetting}
# Names begin with these. The first has paths past its layers (`svp` figure 8, black box).
FAMILIES = {
    "residual": ("resnet", "densenet", "mobilenet"),
    "vgg": ("vgg",),
    "alexnet": ("alexnet",),
}


def stepped(config: Config) -> list[Result]:
    """Return the proxy by a rate that falls in steps: the study's recipe if it is, else `svp`'s."""
    in_steps = recipes.get(config.recipe, model=config.proxy).schedule == "steps"
    return results_of(config, Cell(model="proxy") if in_steps else STEPPED)


def late_gain(config: Config, classes: int, share: float = 0.55) -> Evidence:
    """Points by which the proxy's error falls after a share of its time, (seeds,)."""
    found = stepped(config)
    need([len(np.unique(found[0].arrays["labels"]))], classes)
    return Evidence(np.array([error_at(run, share) - error_at(run, 1.0) for run in found]))


def metric_correlations(config: Config) -> Evidence:
    """Spearman of the three pairs of uncertainty metrics, (2 networks x 3 pairs, seeds)."""
    metrics = {
        "confidence": scores.least_confidence,
        "margin": scores.margin,
        "entropy": scores.entropy,
    }
    labels = [f"{a} and {b}, {model}" for model in ("proxy", "target")
              for a, b in combinations(metrics, 2)]  # fmt: skip

    def of(run: Result) -> list[float]:
        if "logits" not in run.arrays:  # recorded confidences tie near 1 in float16
            raise Unfit("stored without logits")
        found = [metric(readings.probs_of(run)) for metric in metrics.values()]
        return [spearman(a, b) for a, b in combinations(found, 2)]

    values = [np.transpose([of(run) for run in results_of(config, Cell(model=model))])
              for model in ("proxy", "target")]  # fmt: skip
    return Evidence(np.concatenate(values), labels, "rho")


def depth_blocks(config: Config, score: str, coefficient: str = "spearman") -> Evidence:
    """Correlations within a depth less those between depths, as a share of the first, (seeds,).

    A score is a key of `SCORES`, or `k-centers`: by order of addition, own random starts; the
    coefficient `spearman` or `pearson`. Reruns that agree no more than by chance are `Unfit`.
    """
    runs = asked(config, "depths")
    if score == "k-centers":
        matrix = _centre_matrix(config, same_start=False)
    else:
        found = [SCORES[score](get(run)) for run in runs]
        matrix = readings.similarity_matrix(found, coefficient, config.epochs)
    groups = [config.models.index(run.model) for run in runs]
    within, between = blocks(matrix, groups, [run.seed for run in runs])
    need(dict.fromkeys(groups), at_least=2)
    mean = within.mean()
    if mean <= 0:
        raise Unfit(f"reruns of a depth agree by {mean:.3f}")
    note = f"within {mean:.3f}, between {between.mean():.3f}; seeds are the sample"
    return Evidence((within - between) / mean, unit="of rho within a depth", note=note)


def start_matters(config: Config) -> Evidence:
    """Correlations of k-centers orders from shared starting points less from own, (seeds,)."""
    seeds = np.array([order.of[0].seed for order in centre_orders(config, same_start=True)])
    shared, own = (_centre_matrix(config, same_start) for same_start in (True, False))
    values = pair_means(shared - own, ~np.eye(len(seeds), dtype=bool), seeds)
    return Evidence(values, unit="rho", note="seeds are the sample")


def _centre_matrix(config: Config, same_start: bool) -> np.ndarray:
    orders = [get(order).arrays["indices"] for order in centre_orders(config, same_start)]
    need(orders, at_least=2)
    return readings.centre_order_matrix(orders, config.n_initial)


def family_contrast(config: Config, other: str) -> Evidence:
    """Mean Spearman of entropies among residual nets minus that with another family, (seeds,).

    A pair joins a residual run of the seed with a run of another network and another seed: runs
    of one seed share the order of their batches.
    """
    runs = asked(config, "families")
    results = [get(run) for run in runs]
    matrix = readings.similarity_matrix([readings.entropy_of(run) for run in results])
    models, seeds = (np.array([getattr(run, name) for run in runs]) for name in ("model", "seed"))
    family = {name: np.array([model.startswith(heads) for model in models])
              for name, heads in FAMILIES.items()}  # fmt: skip
    apart = np.not_equal.outer(models, models) & np.not_equal.outer(seeds, seeds)

    def mean(seed: int, name: str) -> float:
        found = matrix[np.outer((seeds == seed) & family["residual"], family[name]) & apart]
        need(found)
        return float(found.mean())

    values = [mean(seed, "residual") - mean(seed, other) for seed in config.seeds]
    errors = np.array([100 * (1 - result.metrics["test_acc"]) for result in results])
    note = ", ".join(f"{model} errs by {errors[models == model].mean():.1f} %"
                     for model in dict.fromkeys(models))  # fmt: skip
    return Evidence(np.array(values), unit="rho", note=note)


def settled(config: Config, score: str) -> Evidence:
    """Share of training until the proxy's ranking agrees with the finished targets', (seeds,).

    Entropies are recorded at some epochs, forgetting events are known after every one.
    """
    read = SCORES[score]
    targets = [read(run) for run in results_of(config, Cell())]
    shares = []
    for run in results_of(config, Cell(model="proxy")):
        epochs = run.arrays["recorded_epochs"].tolist()
        if score == "forgetting":
            epochs = list(range(1, config.epochs + 1))
        agreed = readings.agreement([read(run, epoch) for epoch in epochs], targets)
        shares.append(readings.settled_at(epochs, agreed) / config.epochs)
    return Evidence(np.array(shares), unit="share of training")


def settled_later(config: Config) -> Evidence:
    """Share until rankings settle on CIFAR-100 minus that on CIFAR-10 by the same parameters.

    The mean of both metrics, (seeds,).
    """
    need([config.dataset.partition("@")[0]], "cifar100")
    ten = config.replace(dataset=config.dataset.replace("cifar100", "cifar10"))
    found = [[settled(one, score).values for score in SCORES] for one in (config, ten)]
    return Evidence(np.mean(found[0], axis=0) - np.mean(found[1], axis=0), unit="share")


def counted_distances(config: Config) -> Evidence:
    """Exponent, on the pool's size, of the distances that Algorithm 1 evaluates for a tenth.

    Each new centre asks for its distance to every row. The note tells what our seconds do.
    """
    found = measure("kcenters-time")
    sizes = found.arrays["sizes"]
    counted = exponent(sizes, [n * share_of(n, 0.1) for n in sizes])
    seconds = [found.metrics[name] for name in ("exponent_loop", "exponent")]
    note = "our seconds grow as n^{:.2f} one centre at a time, n^{:.2f} in batches".format(*seconds)
    return Evidence(np.array([counted]), unit="exponent", exact=True, note=note)
