"""The harness of `make bench` at toy size: one process a contestant, an honest report."""

import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

BENCHMARKS = Path(__file__).parent / "benchmarks"
TOY = """
from types import SimpleNamespace

import numpy as np
from contest import (
    Contestant, Target, Workload, all_below, below, less, no_worse, same_set
)


def data(n):
    return SimpleNamespace(values=np.arange(n))


def largest(data):
    return lambda: np.argsort(-data.values)[:2]


def smallest(data):
    return lambda: np.argsort(data.values)[:2]


def broken(data):
    raise ValueError("probabilities | do not sum to 1")


def killed(data):
    import os

    return lambda: os._exit(3)


def slow(data):
    import time

    return lambda: time.sleep(30)


def score(data, rows):
    return data.values[rows].sum()


SETTINGS = tuple(Contestant(f"ours, k = {k}", OURS, series="k = 1, 2, 3") for k in (1, 2, 3))
WORKLOADS = [
    Workload(
        "settings",
        "a row of settings",
        data,
        {"n": 9},
        {"n": 5},
        SETTINGS,
        targets=(
            all_below(5, SETTINGS),
            all_below(1e-12, SETTINGS, why="even light takes longer"),
            Target("judged elsewhere", lambda rows: ("", "rival" in rows), workload="toy"),
        ),
    ),
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
            Contestant("absent", largest, "peer", package="no-such-package"),
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
        out = tmp_path / "report.md"
        arguments = ["--workloads", str(path), "--folder", str(tmp_path), "--out", str(out)]
        code = runner.main([*arguments, *options])
        return code, out.read_text(encoding="utf-8")

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
    assert "**toy, ours: our objective is WORSE by 93.3 %**" in text
    assert line(text, "| toy | under 5 s").endswith("| yes |")
    assert line(text, "| toy | under 1e-12 s").endswith("| **no** |")
    assert line(text, "| toy | 2x less than broken").endswith("| not measured | not judged |")
    assert line(text, "| toy | same set").endswith("| 0 of 2 shared | **no** |")
    assert line(text, "| toy | objective no worse").endswith("| 1 beside 15 | **no** |")
    assert "no-such-package is not installed" in line(text, "| absent (peer)")
    assert "ValueError: probabilities / do not sum to 1" in line(text, "| broken (peer)")
    assert "ended with code 3" in line(text, "| killed (peer)")
    assert "not done after 0.05 s" in line(text, "| slow (peer)")
    assert "| *86* |" in line(text, "| *far away (quoted)*")
    rows = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))["toy"]
    assert rows["ours"]["n_picked"] == rows["ours"]["n_distinct"] == 2
    assert rows["ours"]["total_mb"] > rows["ours"]["peak_mb"] >= 0
    capsys.readouterr()
    bench("smallest", "--resume")  # only what failed runs again
    said = capsys.readouterr().out
    assert "toy: killed" in said
    assert "toy: ours" not in said


def test_a_series_is_one_line_with_its_longest(bench, tmp_path):
    _, text = bench("smallest", "--only", "settings", "toy")
    rows = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))["settings"]
    slowest = max(row["cpu_s"] for row in rows.values())
    cells = line(text, "| ours, longest over k = 1, 2, 3 |").split(" | ")
    assert float(cells[2].split()[0]) == pytest.approx(slowest, rel=0.01)
    assert "ours, k = 1" not in text
    assert line(text, "| settings | longest over k = 1, 2, 3: under 5 s").endswith("| yes |")
    assert line(text, "| settings | longest over k = 1, 2, 3: under 1e-12").endswith("| **no** |")
    assert "under 1e-12 s of processor time: even light takes longer" in text
    assert line(text, "| settings | judged elsewhere").endswith("| yes |")
    assert "- toy, under 1e-12 s of processor time: no cause known" in text
    _, text = bench("broken", "--only", "settings")  # a failure is no part of a summary
    assert line(text, "| ours, k = 2 |").startswith("| ours, k = 2 | failed: `ValueError")


def test_quick_sizes_are_apart_and_not_judged(bench, tmp_path):
    code, text = bench("largest", "--quick", "--only", "to")
    assert code == 0
    assert "| 7 | best | 1 | 5 |" in line(text, "| ours |")
    assert "## Targets" not in text
    assert "WORSE" not in text
    assert not (tmp_path / "full").exists()


def test_a_failure_of_ours_is_the_exit_code(bench):
    code, text = bench("broken", "--quick")
    assert code == 1
    assert "failed: `ValueError" in line(text, "| ours |")


def test_an_unknown_name_lists_the_workloads(runner, capsys):
    assert runner.main(["--only", "no such workload"]) == 2
    said = capsys.readouterr().out
    for name in ("lp-2k", "geda-5k", "kcenters-50k-64", "facility-20k", "dpp-map", "craig-5k"):
        assert name in said


def test_each_peer_installs_by_itself(runner, monkeypatch, tmp_path, capsys):
    def pip(requirement):
        return "ERROR: no wheel" if requirement.startswith("bad") else ""

    monkeypatch.setattr(runner, "pip", pip)
    refused = runner.install(["bad-peer>=1", "good-peer>=2", "numpy>=1"], tmp_path)
    assert refused == {"bad-peer": "ERROR: no wheel"} == runner.stored_refusals(tmp_path)
    assert "numpy" not in capsys.readouterr().out
    text = runner.report.render([], {}, refused, quick=False)
    assert "**bad-peer** would not install: `ERROR: no wheel`" in text


def test_a_shared_machine_and_what_was_not_run_are_said(runner):
    workloads = [SimpleNamespace(name=name, threads=1) for name in ("short", "long", "absent")]
    rows = {
        "short": {"a": {"runs": [], "wall_s": 1.3, "cpu_s": 1.0}, "b": {"error": "no wheel"}},
        "long": {"a": {"runs": [], "wall_s": 1.1, "cpu_s": 1.0}},
    }
    said = runner.report.limits(workloads, rows)
    assert said.startswith("**Not run this time**: absent.")
    assert "in 1 of 2 rows" in said
    assert runner.report.limits(workloads[1:2], rows) == ""


def test_a_processor_is_named_as_well_as_the_system_can(runner, tmp_path):
    told = "processor: 0\nmodel name\t: Maker 7\ncpu family\t: 25\nmodel\t\t: 1\n"
    (tmp_path / "cpuinfo").write_text(told + told.replace("7", "8"), encoding="utf-8")
    assert runner.report.processor(tmp_path / "cpuinfo") == "Maker 7 (family 25, model 1)"
    assert runner.report.processor(tmp_path / "absent")


def test_peers_are_no_development_tools(runner):
    peers = [requirement.split(">")[0] for requirement in runner.read_peers()]
    assert peers == ["apricot-select", "submodlib-py", "dppy"]
    text = (runner.ROOT / "pyproject.toml").read_text(encoding="utf-8")
    developers = text.partition("dev = [")[2].partition("]\n")[0]
    assert not [name for name in [*peers, "peers"] if name in developers]
    imports = [p for p in (runner.ROOT / "helpers").rglob("*.py") if "apricot" in p.read_text()]
    assert not imports
