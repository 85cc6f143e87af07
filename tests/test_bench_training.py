"""The benchmark of training at toy size, and that its sentences follow its numbers."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parent / "benchmarks"


@pytest.fixture(scope="module")
def bench():
    kept = list(sys.path)
    spec = importlib.util.spec_from_file_location(
        "bench_training", BENCHMARKS / "bench_training.py"
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules["bench_training"] = module
    spec.loader.exec_module(module)
    yield module
    sys.path[:] = kept
    del sys.modules["bench_training"]


def test_a_quick_run_measures_both_loops(bench, tmp_path, capsys):
    assert bench.main(["--quick", "--folder", str(tmp_path)]) == 0
    found = json.loads((tmp_path / "training.json").read_text())["cpu"]
    (row,) = found["networks"].values()
    assert min(row["ours"], row["plain"]) > 0
    assert all(0.1 < a <= 1 for who in ("ours", "plain") for a in found["accuracy"][who])
    text = (tmp_path / "training.md").read_text()
    assert text.strip() in capsys.readouterr().out
    assert "targets are not judged" in text


def test_the_report_judges_by_the_numbers(bench):
    for ours, verdict in ((250.0, "2, met"), (150.0, "2, missed")):
        row = {"ours": ours, "plain": 100.0, "rates": {"ours": [ours] * 3, "plain": [100.0] * 3}}
        same = {"ours": [0.9, 0.91], "plain": [0.9, 0.91]}
        found = {"device": "cpu", "threads": 2, "load": 0.1, "networks": {"resnet20": row}}
        found["accuracy"] = same | {"epochs": 8, "network": "x", "data": "digits"}
        text = bench.report_training.render({"cpu": found}, quick=False)
        for told in (verdict, "the same", "CUDA: not measured"):
            assert told in text
        assert "lay apart" not in text
    row["rates"]["plain"] = [100.0, 60.0, 140.0]
    assert "lay apart" in bench.report_training.render({"cpu": found}, quick=False)
