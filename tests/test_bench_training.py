"""The benchmark of training at toy size, and that its report follows its numbers."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    path = Path(__file__).parent / "benchmarks" / "training.py"
    spec = importlib.util.spec_from_file_location("bench_training", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    for name in ("report", "contest"):
        sys.modules.pop(name, None)


@pytest.mark.slow
def test_a_quick_run_measures_both_loops_and_the_report_judges_by_the_numbers(
    bench, tmp_path, capsys
):
    assert bench.main(["--quick", "--folder", str(tmp_path)]) == 0
    measured = json.loads((tmp_path / "training.json").read_text())
    found = measured["cpu"]
    (rates,) = found["rates"].values()
    assert min(*rates["ours"], *rates["plain"]) > 0
    assert all(0.1 < a <= 1 for who in ("ours", "plain") for a in found["accuracy"][who])
    text = (tmp_path / "training.md").read_text()
    assert text.strip() in capsys.readouterr().out
    assert "targets are not judged" in text
    for ours, told in (
        (250, "250 [250, 260] | 100 [100, 100] | 2.50 | 2, met |"),
        (150, "2, missed"),
    ):
        rates |= {"ours": [ours, ours, ours + 10], "plain": [100.0] * 3}
        found["accuracy"] |= {"ours": [0.9, 0.91], "plain": [0.9, 0.91]}
        text = bench.render(measured, quick=False)
        for words in (told, "the same", "CUDA: not measured" if len(measured) == 1 else "cuda"):
            assert words in text
