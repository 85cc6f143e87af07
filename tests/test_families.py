"""Architectures compared: which runs, and evidence whose answer is planted."""

import numpy as np
import pytest

from helpers import StudyError, experiments as ex, specs
from helpers.claims import evidence_families, ledger
from helpers.claims.evidence import EVIDENCE
from helpers.results.store import Store

MODELS = ("resnet8-w8", "densenet10-k8", "vgg11-w8", "alexnet-w8")
SCALE = ex.Config(dataset="digits@300+100", families=MODELS, n_seeds=3)
N = 300


@pytest.fixture(autouse=True)
def _no_pack(monkeypatch):
    """Hide what is published: these tests know every result."""
    monkeypatch.setenv("STUDY_PROFILE", "a profile without a pack")


def plant(directions, noise=0.1):
    """Store runs whose entropies follow a common order, its reverse, or nothing."""
    rng = np.random.default_rng(0)
    common = rng.permutation(N) / N
    for run in ex.family_runs(SCALE):
        sign = directions[ex.family_of(run.model)]
        entropy = 2 + sign * common + noise * rng.normal(size=N)
        arrays = {
            "entropy": entropy[None].astype(np.float16),
            "recorded_epochs": np.array([SCALE.epochs]),
        }
        Store().write(run, {"test_acc": 0.9 - 0.1 * run.seed}, arrays)


def test_families_of_networks():
    kinds = {name: ex.family_of(name) for name in (*MODELS, "mobilenetv2", "vgg11-plain-w16")}
    assert list(kinds.values()) == ["residual", "residual", "vgg", "alexnet", "residual", "vgg"]
    with pytest.raises(StudyError, match="families must hold .*got 'sprint-w8'"):
        ex.family_of("sprint-w8")


def test_runs_are_those_of_the_depths_but_for_the_rate_without_batch_norm():
    scale = ex.Config()
    runs, shared = ex.family_runs(scale), set(ex.depth_runs(scale))
    assert len(runs) == len(scale.families) * scale.n_seeds
    assert {run.model for run in runs if run in shared} == {"vgg5-w16", "vgg7-w24"}
    gentle = {run.model for run in runs if run.recipe.endswith("-gentle")}
    assert gentle == {"alexnet-w8"}
    assert len({specs.key(run) for run in runs}) == len(runs)


def test_planted_agreement_is_found_family_by_family():
    plant({"residual": 1, "vgg": 0, "alexnet": -1})
    found = EVIDENCE["svp_30"](SCALE)
    assert min(found["family"]["values"]) > 0.8
    assert max(np.abs(found["vgg"]["values"])) < 0.2
    assert max(found["alexnet"]["values"]) < -0.8
    assert all(found[part]["values"].shape == (3,) for part in ("family", "vgg", "alexnet"))
    assert "alexnet-w8 20.0 %" in found["note"]


def test_pairs_are_of_other_networks_and_other_seeds():
    runs = ex.family_runs(SCALE)
    matrix = np.full((len(runs), len(runs)), np.nan)
    for i, one in enumerate(runs):
        for j, other in enumerate(runs):
            if one.seed != other.seed and one.model != other.model:
                matrix[i, j] = 10 * one.seed + (ex.family_of(other.model) == "vgg")
    for family, extra in (("residual", 0), ("vgg", 1)):
        values = evidence_families.agreements(SCALE, matrix, family)
        assert values.tolist() == [extra, 10 + extra, 20 + extra]


def test_the_claim_is_judged_from_it():
    (claim,) = [claim for claim in ledger.load_ledger() if claim.id == "svp-30"]
    assert claim.evidence == "svp_30"
    plant({"residual": 1, "vgg": 0, "alexnet": -1})
    row = ledger.decide(claim, EVIDENCE[claim.evidence](SCALE), "cifar10-small")
    assert row.answer.verdict == "holds"
    plant({"residual": 1, "vgg": 1, "alexnet": 1})
    row = ledger.decide(claim, EVIDENCE[claim.evidence](SCALE), "cifar10-small")
    assert row.answer.verdict == "does not hold"
    assert "vgg: does not hold" in row.answer.note


@pytest.mark.parametrize("changed", [{"n_seeds": 1}, {"families": ("vgg11-w8", "alexnet-w8")}])
def test_without_pairs_nothing_is_measured(changed):
    plant({"residual": 1, "vgg": 0, "alexnet": -1})
    assert EVIDENCE["svp_30"](SCALE.replace(**changed)) is None
