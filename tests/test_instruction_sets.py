"""Results differ between instruction sets in their last bits; verdicts on them must not."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
AVX2 = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"}
# Depths, rankings, core-sets and enumerations: one claim of each kind that a small study decides.
STUDY = """
import json
from helpers import experiments as ex, results
from helpers.claims import evidence, ledger
from helpers.specs import Measure

scale = ex.Config(
    dataset="digits@600+300", models=("resnet8-w8", "resnet14-w8"), epochs=4, n_seeds=3,
    proxy="resnet8-w8", target="resnet14-w8", recipe="digits",
    budgets=(0.2, 0.5), n_initial=20, percentages=(0.2, 0.6), stops=(2,),
)
methods = ("random", "entropy", "forgetting")
core = [run for run in ex.core_set_runs(scale) if run.subset.method in methods]
deep = ex.depth_runs(scale)
found = results.compute([*deep, *core, *ex.oracle_runs(scale), Measure("rounding-gap")])
rows = ledger.decide_all(ledger.load_ledger(), scale, "digits", evidence.EVIDENCE)
answered = {r.claim.id: r.answer.verdict for r in rows if r.answer.n}
losses = [r.metrics["history"]["loss"] for r in found[: len(deep)]]
print(json.dumps({"verdicts": answered, "losses": losses}))
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
    decided = [v for v in here["verdicts"].values() if v in ("holds", "does not hold")]
    # whether seconds can be compared depends on what else the machine did
    both = here["verdicts"].keys() & avx2["verdicts"].keys()
    assert len(both) > 10
    assert len(decided) > 2  # else equal verdicts would say nothing
    assert {key: here["verdicts"][key] for key in both} == {
        key: avx2["verdicts"][key] for key in both
    }
