"""The harness of `make bench` at toy size: one process a contestant, an honest report."""

import json
import re
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parent / "benchmarks"
TOY = """
from types import SimpleNamespace

import numpy as np
from contest import Contestant, Workload, below, flat, less, no_worse, same_set


def data(n):
    return SimpleNamespace(values=np.arange(n))


def largest(data):
    return lambda: np.argsort(-data.values)[:2]


def smallest(data):
    return lambda: np.argsort(data.values)[:2]


def broken(data):
    raise ValueError("probabilities | do not sum to 1")


def absent(data):
    import no_such_package


def killed(data):
    import os

    return lambda: os._exit(3)


def slow(data):
    import time

    return lambda: time.sleep(30)


def score(data, rows):
    return data.values[rows].sum()


WORKLOADS = [
    Workload(
        "toy",
        "two largest numbers",
        data,
        {"n": 9},
        {"n": 5},
        (
            Contestant("ours", OURS),
            Contestant("rival", largest, "peer", cut="stopped: at least"),
            Contestant("loop", largest, "loop"),
            Contestant("absent", absent, "peer"),
            Contestant("broken", broken, "peer"),
            Contestant("killed", killed, "peer"),
            Contestant("slow", slow, "peer", timeout_s=0.05),
            Contestant("far away", kind="quoted", quoted_s=86.0),
        ),
        score,
        objective="sum",
        targets=(
            below(5),
            below(1e-12),
            flat(("ours", "rival"), 1e9),
            less("broken", 2),
            less("rival", 1e-9),
            less("loop", 1e-9),
            same_set("rival"),
            no_worse("rival", 1),
        ),
    )
]
"""


@pytest.fixture
def runner(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import run

    yield run
    for name in ("run", "report", "contest"):
        sys.modules.pop(name, None)


@pytest.fixture
def bench(runner, tmp_path):
    def bench(ours, *options):
        path = tmp_path / "bench_toy.py"
        path.write_text(TOY.replace("OURS", ours), encoding="utf-8")
        code = runner.main(["--workloads", str(path), "--folder", str(tmp_path), *options])
        kind = "quick" if "--quick" in options else "full"
        return code, (tmp_path / kind / "report.md").read_text(encoding="utf-8")

    return bench


def line(text, start):
    found = [row for row in text.splitlines() if row.startswith(start)]
    assert len(found) == 1, (start, found)
    return found[0]


def test_a_contest_from_end_to_end(bench, tmp_path, capsys, monkeypatch):
    code, text = bench("smallest")
    assert code == 0
    assert "| 1 | WORSE by 93.3 % | 1 | 5 |" in line(text, "| ours |")
    assert re.match(r"\| ours \| \S+ \[\S+, \S+\] \| \S+ \[", line(text, "| ours |"))
    against = "| toy | no slower than {} | {} |"
    line(text, against.format("rival", "third party; stopped: at least"))
    line(text, against.format("loop", "our own plain loop"))
    assert line(text, "| toy | same set as rival").split(" | ")[2] == "third party"
    assert "| 15 | best |" in line(text, "| rival (peer) |")
    assert line(text, "| toy | under 5 s").endswith("| yes |")
    assert line(text, "| toy | under 1e-12 s").endswith("| **no** |")
    assert line(text, "| toy | 2x less than broken").endswith("| not measured | not judged |")
    assert line(text, "| toy | same set").endswith("| another set | **no** |")
    assert line(text, "| toy | flat").endswith("| yes |")
    assert line(text, "| toy | objective no worse").endswith("| 1 beside 15 | **no** |")
    assert "No module named 'no_such_package'" in line(text, "| absent (peer)")
    assert "ValueError: probabilities / do not sum to 1" in line(text, "| broken (peer)")
    assert "ended with code 3" in line(text, "| killed (peer)")
    assert "not done after 0.05 s" in line(text, "| slow (peer)")
    assert "| *86* |" in line(text, "| *far away (quoted)*")
    rows = json.loads((tmp_path / "full" / "report.json").read_text(encoding="utf-8"))["toy"]
    assert rows["ours"]["n_picked"] == rows["ours"]["n_distinct"] == 2
    assert rows["ours"]["total_mb"] > rows["ours"]["peak_mb"] >= 0
    capsys.readouterr()
    bench("smallest", "--resume")  # only what failed runs again
    said = capsys.readouterr().out
    assert "toy: killed" in said
    assert "toy: ours" not in said


def test_quick_sizes_are_apart_and_a_failure_of_ours_is_the_exit_code(bench, tmp_path):
    code, text = bench("broken", "--quick", "--only", "to")
    assert code == 1
    assert "failed: `ValueError" in line(text, "| ours |")
    assert "| 7 | best | " in line(text, "| rival (peer) |")
    assert "## Targets" not in text
    assert not (tmp_path / "full").exists()


def test_an_unknown_name_lists_the_workloads(runner, capsys):
    assert runner.main(["--only", "no such workload"]) == 2
    said = capsys.readouterr().out
    for name in ("lp-2k", "geda-5k", "kcenters-50k-64", "facility-20k", "dpp-map", "craig-5k"):
        assert name in said


def test_peers_are_no_development_tools(runner):
    peers = [requirement.split(">")[0] for requirement in runner.read_peers()]
    assert peers == ["apricot-select", "submodlib-py", "dppy"]
    text = (runner.ROOT / "pyproject.toml").read_text(encoding="utf-8")
    developers = text.partition("dev = [")[2].partition("]\n")[0]
    assert not [name for name in [*peers, "peers"] if name in developers]
