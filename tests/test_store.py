"""The store against kills, damage, full disks and company."""

import errno
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

from helpers import StudyError, specs, store
from helpers.specs import Measure
from helpers.store import Store

ROOT = Path(__file__).resolve().parents[1]
SPECS = [Measure("made-up", seed) for seed in range(4)]
SLACK_S = 120


def put(where, spec, value=0.0):
    arrays = {"values": np.full(50, value), "rows": np.arange(3, dtype=np.int32)}
    return where.write(spec, {"seconds": value, "note": "ü"}, arrays)


@pytest.fixture
def filled(tmp_path):
    where = Store(tmp_path / "results")
    for seed, spec in enumerate(SPECS):
        put(where, spec, seed)
    return where


def left_over(where):
    return [p.name for p in where.path.iterdir() if p.name.startswith(".")]


def test_what_is_written_is_read_back(filled):
    found = filled.read(specs.key(SPECS[2]))
    assert found.spec == SPECS[2]
    assert found.metrics == {"seconds": 2, "note": "ü"}
    assert found.complete
    assert set(found.arrays) == {"values", "rows"}
    assert len(found.arrays) == 2
    assert found.arrays["rows"].dtype == np.int32
    assert (found.arrays["values"] == 2).all()
    assert not left_over(filled)


def test_empty_and_absent_stores_hold_nothing(tmp_path):
    where = Store(tmp_path / "nowhere")
    assert where.keys() == where.list() == []
    assert where.verify() == {}
    assert where.prune(set()) == (0, 0)
    assert where.read(specs.key(SPECS[0])) is None
    assert where.age(specs.key(SPECS[0])) == 0
    assert not where.path.exists()


def test_list_is_oldest_first(filled):
    for age, spec in zip((30, 10, 40, 20), SPECS, strict=True):
        os.utime(filled.folder(specs.key(spec)) / store.SUMS, (time.time() - age,) * 2)
    assert [r.spec.seed for r in filled.list()] == [2, 0, 3, 1]


def test_writing_again_replaces(filled):
    put(filled, SPECS[0], 7)
    assert filled.read(specs.key(SPECS[0])).metrics["seconds"] == 7
    assert len(filled.keys()) == 4
    assert not left_over(filled)


@pytest.mark.parametrize("name", [*store.FILES, store.SUMS])
@pytest.mark.parametrize("how", ["flipped", "cut", "missing", "empty"])
def test_damage_is_found_said_and_set_aside(filled, name, how):
    key = specs.key(SPECS[1])
    path = filled.folder(key) / name
    content = path.read_bytes()
    if how == "missing":
        path.unlink()
    else:
        flipped = bytes([content[0] ^ 1]) + content[1:]
        path.write_bytes(
            {"flipped": flipped, "cut": content[: len(content) // 2], "empty": b""}[how]
        )
    with pytest.warns(UserWarning, match=f"{key[:12]} is damaged .*computed again") as caught:
        assert filled.read(key) is None
    assert len(caught) == 1
    assert filled.keys().count(key) == 0
    assert len(list((filled.path / "damaged").iterdir())) == 1
    assert len(filled.list()) == 3
    put(filled, SPECS[1], 1)
    assert filled.read(key) is not None


def test_verify_sets_damaged_ones_aside_and_names_them(filled):
    keys = [specs.key(spec) for spec in SPECS[:2]]
    (filled.folder(keys[0]) / "arrays.npz").write_bytes(b"nothing")
    (filled.folder(keys[1]) / "metrics.json").unlink()
    found = filled.verify()
    assert set(found) == set(keys)
    assert "arrays.npz" in found[keys[0]]
    assert "metrics.json is missing" in found[keys[1]]
    assert filled.verify() == {}
    assert len(filled.keys()) == 2


def test_a_damaged_result_in_a_read_only_store_is_left_and_said(filled, monkeypatch):
    key = specs.key(SPECS[0])
    (filled.folder(key) / "arrays.npz").write_bytes(b"nothing")

    def refuse(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "rename", refuse)
    with pytest.warns(UserWarning, match="left where it is .Permission denied"):
        assert filled.read(key) is None
    assert set(filled.verify()) == {key}


def test_specs_of_another_version_are_no_damage(filled):
    key = specs.key(SPECS[0])
    folder = filled.folder(key)
    text = json.dumps({"kind": "Dream", "depth": 3}).encode()
    sums = (folder / store.SUMS).read_text()
    old = store._digest((folder / "spec.json").read_bytes())
    (folder / "spec.json").write_bytes(text)
    (folder / store.SUMS).write_text(sums.replace(old, store._digest(text)))
    assert filled.verify() == {}
    assert len(filled.list()) == 3
    assert filled.keys().count(key) == 1


def no_space(*_, **__):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("where", ["fsync", "open", "mkdir", "rename"])
def test_full_disk_is_one_line_and_loses_nothing(filled, monkeypatch, where):
    if where == "open":
        monkeypatch.setattr("builtins.open", no_space)
    elif where == "mkdir":
        monkeypatch.setattr(Path, "mkdir", no_space)
    else:
        monkeypatch.setattr(os, where, no_space)
    with pytest.raises(
        StudyError, match="could not store measure made-up.*no space left"
    ) as caught:
        put(filled, Measure("made-up", 99))
    with pytest.raises(StudyError):
        put(filled, SPECS[0], 9)
    monkeypatch.undo()
    assert "\n" not in str(caught.value)
    assert str(filled.path) in str(caught.value)
    assert not left_over(filled)
    assert [filled.read(specs.key(s)).metrics["seconds"] for s in SPECS] == [0, 1, 2, 3]
    assert filled.verify() == {}


def test_a_store_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StudyError, match="could not store"):
        put(Store(tmp_path / "file"), SPECS[0])


def test_prune_keeps_what_is_in_use_and_what_is_being_written(filled):
    old, new = filled.path / ".writing-1-aaaa", filled.path / ".writing-2-bbbb"
    for folder in (old, new):
        folder.mkdir()
        (folder / "arrays.npz").write_bytes(b"x" * 1000)
    os.utime(old, (time.time() - 7200,) * 2)
    (filled.folder(specs.key(SPECS[3])) / "arrays.npz").write_bytes(b"")
    filled.verify()
    count, size = filled.prune({specs.key(SPECS[0])})
    assert count == 4  # two results, one left-over, one damaged
    assert size > 1000
    assert filled.keys() == [specs.key(SPECS[0])]
    assert left_over(filled) == [new.name]


WRITER = """
    import sys, time
    import numpy as np
    from helpers.specs import Measure
    from helpers.store import Store
    store, value = Store(sys.argv[1]), float(sys.argv[2])
    print("ready", flush=True)
    sys.stdin.readline()
    for i in range(60):
        store.write(Measure("shared"), {"seconds": value}, {"values": np.full(5000, value)})
"""


def start(source, *args):
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(source), *map(str, args)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"},
    )


def test_two_processes_may_write_the_same_result_while_a_third_reads(tmp_path):
    where, key = Store(tmp_path / "shared"), specs.key(Measure("shared"))
    writers = [start(WRITER, where.path, value) for value in (1, 2)]
    for writer in writers:
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        writer.stdin.write("go\n")
        writer.stdin.flush()
    until = time.monotonic() + SLACK_S
    while any(writer.poll() is None for writer in writers):
        assert time.monotonic() < until
        time.sleep(0.01)
        where.age(key)
    assert [writer.returncode for writer in writers] == [0, 0]
    for writer in writers:
        writer.stdin.close()
        writer.stdout.close()
    found = where.read(key)
    assert (found.arrays["values"] == found.metrics["seconds"]).all()
    assert where.keys() == [key]
    assert not left_over(where)


KILLED = """
    import os, sys, time, types
    import helpers, numpy as np
    from helpers import results
    from helpers.specs import Select

    def made_up(spec, get, device):
        return {"seed": spec.seed}, {"values": np.arange(200_000) * spec.seed}

    # the real steps would take seconds to import
    helpers.steps = sys.modules["helpers.steps"] = types.SimpleNamespace(run=made_up)
    kept = os.fsync
    def slow(handle):
        if sys.argv[1:] == ["slow"] and results.Store().keys():
            print("writing", flush=True)
            time.sleep(600)
        kept(handle)
    os.fsync = slow
    found = results.compute([Select("digits", "random", 5, seed) for seed in range(3)])
    print([r.metrics["seed"] for r in found], flush=True)
"""


def test_kill_loses_the_run_in_flight_only(tmp_path, monkeypatch):
    monkeypatch.setenv("STUDY_STORE", str(tmp_path / "killed"))
    where = Store()
    child = start(KILLED, "slow")
    assert child.stdout.readline() == "writing\n"  # the second run's files are half-written
    os.kill(child.pid, signal.SIGKILL)
    assert child.wait(SLACK_S) == -signal.SIGKILL
    child.stdin.close()
    child.stdout.close()
    assert len(left_over(where)) == 1
    assert where.verify() == {}
    assert [r.spec.seed for r in where.list()] == [0]
    before = where.age(where.keys()[0])
    again = start(KILLED)
    out, _ = again.communicate(timeout=SLACK_S)
    assert out.splitlines()[-1] == "[0, 1, 2]"
    assert len(where.keys()) == 3
    assert where.age(specs.key(specs.Select("digits", "random", 5, 0))) == before


def test_a_store_that_is_a_file_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StudyError, match="must be a folder"):
        store.Store(tmp_path / "file").keys()
