"""Evidence for `svp` figure 8: entropy rankings within and across architecture families."""

from __future__ import annotations

import numpy as np

from helpers import experiments as ex
from helpers.claims.stored import Evidence, load, measured, need, parts
from helpers.experiments import Config
from helpers.results import readings as rankings


def agreements(scale: Config, matrix: np.ndarray, family: str) -> np.ndarray:
    """Return the mean correlation of residual networks with a family, one number a seed.

    A pair joins a residual run of the seed with a run of another network and another seed: runs
    of one seed share the order of their batches.

    Args:
        scale: Its `families` and `seeds` say which run each row of the matrix is.
        matrix: Correlations between `family_runs`, (m, m).
        family: Key of `experiments.FAMILIES`.

    Returns:
        Shape (seeds,).

    Raises:
        Missing: If there is no such pair.
    """
    runs = ex.family_runs(scale)
    of = {model: ex.family_of(model) for model in scale.families}
    found = {seed: [] for seed in scale.seeds}
    for i, one in enumerate(runs):
        for j, other in enumerate(runs):
            pair = of[one.model], of[other.model]
            apart = one.seed != other.seed and one.model != other.model
            if pair == ("residual", family) and apart:
                found[one.seed].append(matrix[i, j])
    for values in found.values():
        need(values)
    return np.array([np.mean(values) for values in found.values()])


@measured
def svp_30(scale: Config) -> Evidence:
    """Spearman of residual nets' entropies with each other, with VGG and AlexNet, (seeds,)."""
    runs = [load(run) for run in ex.family_runs(scale)]
    matrix = rankings.similarity_matrix([rankings.entropy_of(run) for run in runs])
    errors = {model: [] for model in scale.families}
    for run in runs:
        errors[run.spec.model].append(100 - 100 * run.metrics["test_acc"])
    found = parts(
        family=lambda: {"values": agreements(scale, matrix, "residual")},
        vgg=lambda: {"values": agreements(scale, matrix, "vgg")},
        alexnet=lambda: {"values": agreements(scale, matrix, "alexnet")},
    )
    listed = ", ".join(f"{model} {np.mean(values):.1f} %" for model, values in errors.items())
    return found | {"note": f"mean test errors: {listed}"}
