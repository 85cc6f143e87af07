"""Results differ between instruction sets in their last bits; verdicts on them must not."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
AVX2 = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"}
# Depths, rankings, core-sets and enumerations, of which a small study gives numbers.
STUDY = """
import json
from helpers import experiments as ex, results
from helpers.claims import deciding, ledger
from helpers.config import Config
from helpers.specs import Measure

config = Config(
    dataset="digits@600+300", models=("resnet8-w8", "resnet14-w8"), proxy="resnet8-w8",
    target="resnet14-w8", recipe="digits", epochs=4, n_seeds=3, budgets=(0.2, 0.5),
    methods=("random", "entropy", "forgetting"), n_initial=20, stops=(2,),
)
deep = ex.asked(config, "depths")
found = results.compute([*deep, *ex.asked(config, "slides"), Measure("rounding-gap")])
rows = [deciding.decide(claim, config, "digits") for claim in ledger.load_ledger()]
values = {f"{row.claim.id} {name}": (answer.value, answer.verdict)
          for row in rows for name, answer in row.parts.items() if answer.n}
losses = [r.metrics["history"]["loss"] for r in found[: len(deep)]]
print(json.dumps({"parts": values, "losses": losses}))
"""


def study(store: Path, **environment: str) -> dict:
    """Compute and decide in a process of its own, as only a new process changes its kernels."""
    own = {"STUDY_STORE": str(store), "STUDY_PROFILE": "a profile without a pack"}
    done = subprocess.run(
        [sys.executable, "-c", STUDY],
        cwd=ROOT,
        env={**os.environ, **own, "STUDY_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_verdicts_are_those_of_another_instruction_set(tmp_path):
    here, avx2 = study(tmp_path / "here"), study(tmp_path / "avx2", **AVX2)
    # whether seconds can be compared depends on what else the machine did
    both = here["parts"].keys() & avx2["parts"].keys()
    told = [value for value, verdict in here["parts"].values()]
    assert len(both) > 10
    assert sum(value == value for value in told) > 10  # else equal verdicts would say nothing
    pairs = {key: {here["parts"][key][1], avx2["parts"][key][1]} for key in both}
    # seeds are other draws there: an interval at its bound may be undecided, none is refuted
    assert not [key for key, told in pairs.items() if told >= {"holds", "does not hold"}]
    assert sum(len(told) > 1 for told in pairs.values()) <= len(pairs) / 10
