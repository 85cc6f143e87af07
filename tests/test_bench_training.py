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
    assert row["images"] == 256
    assert row["ours"] > 0
    assert row["plain"] > 0
    assert 0 < row["products"] < 1
    assert found["peak"]["flops"] > 1e8
    assert all(0.1 < a <= 1 for who in ("ours", "plain") for a in found["accuracy"][who])
    text = (tmp_path / "training.md").read_text()
    assert text.strip() in capsys.readouterr().out
    assert "targets are not judged" in text


def test_arithmetic_is_counted_in_products(bench):
    import torch

    from helpers import models

    counted = bench.flops("resnet20", torch.device("cpu"))
    # backward takes twice the forward pass, but for the first layer's inputs
    assert counted == pytest.approx(6 * models.multiply_adds("resnet20"), rel=0.02)


@pytest.mark.parametrize(("ours", "verdict"), [(250.0, "2, met"), (150.0, "2, missed")])
def test_the_report_judges_by_the_numbers(bench, ours, verdict):
    row = {"flops": 1e9, "ours": ours, "plain": 100.0, "products": 0.8, "engine": "plain"}
    row |= {"images": 128, "rates": {"ours": [ours] * 3, "plain": [100.0] * 3}}
    same = {"ours": [0.9, 0.91], "plain": [0.9, 0.91]}
    found = {
        "device": "cpu",
        "threads": 2,
        "load": 0.1,
        "peak": {"type": "float32", "flops": 2e11},
        "networks": {"resnet20": row},
        "accuracy": same | {"epochs": 8, "network": "x", "data": "digits"},
    }
    text = bench.report_training.render({"cpu": found}, quick=False)
    assert verdict in text
    assert "the same" in text
    assert "CUDA: not measured" in text
    assert ("misses 2 times" in text) == (ours < 200)
    if ours < 200:
        assert "run at 50% of the peak, so that 2 times would need 100% of it" in text
        assert "the ratio would be 1.88" in text
    assert "lay apart" not in text
    row["rates"]["plain"] = [100.0, 60.0, 140.0]
    assert "lay apart" in bench.report_training.render({"cpu": found}, quick=False)
