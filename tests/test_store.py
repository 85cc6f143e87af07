"""The store against kills, damage, full disks and company."""

import errno
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

from helpers import StudyError, results, specs
from helpers.results import archive, store
from helpers.results.store import Store
from helpers.specs import Measure, Select

ROOT = Path(__file__).resolve().parents[1]
SPECS = [Measure("made-up", seed) for seed in range(4)]
KEYS = [specs.key(spec) for spec in SPECS]
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
    found = filled.read(KEYS[2])
    assert (found.spec, found.key, found.complete) == (SPECS[2], KEYS[2], True)
    assert found.metrics == {"seconds": 2, "note": "ü"}
    assert set(found.arrays) == {"values", "rows"}
    assert {"commit", "machine", "date"} == set(found.provenance)
    put(filled, SPECS[2], 7)  # replaces
    assert filled.read(KEYS[2]).metrics["seconds"] == 7
    for hour, spec in zip((11, 13, 10, 12), SPECS, strict=True):
        filled.write(spec, {}, {}, origin={"date": f"2026-01-01 {hour}:00:00"})
    assert [r.spec.seed for r in filled.list()] == [2, 0, 3, 1]  # oldest first
    assert not left_over(filled)


def test_arrays_of_every_kind_come_back_equal(tmp_path):
    given = {
        "texts": np.array(["ü", "bb"]),
        "columns": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "strided": np.arange(20, dtype=np.int16)[::3],
        "none": np.zeros((0, 3), np.float16),
        "one": np.array(2.5),
        "bits": np.array([True, False]),
        "not-numbers": np.array([np.nan, np.inf]),
        "other-order": np.arange(3, dtype=">i4"),
    }
    where = Store(tmp_path)
    found = where.read(where.write(SPECS[0], {}, given)).arrays
    assert set(found) == set(given)
    for name, values in given.items():
        np.testing.assert_array_equal(found[name], values)
        assert (found[name].dtype, found[name].shape) == (values.dtype, values.shape)
    found["strided"][0] = 7  # a copy of one's own
    with pytest.raises(KeyError):
        found["nothing"]


def test_empty_and_absent_stores_hold_nothing_and_a_file_is_no_store(tmp_path):
    where = Store(tmp_path / "nowhere")
    assert where.keys() == where.list() == []
    assert (where.verify(), where.prune(set()), where.read(KEYS[0])) == ({}, (0, 0), None)
    assert not where.path.exists()
    (tmp_path / "file").write_text("in the way")
    where = Store(tmp_path / "file")
    with pytest.raises(StudyError, match="could not store"):
        put(where, SPECS[0])
    with pytest.raises(StudyError, match="must be a folder"):
        where.keys()


def changed(path, how):
    """Damage a file in place."""
    content = path.read_bytes()
    middle = len(content) // 2
    if how in ("folder", "pipe", "endless"):
        path.unlink()
        make = {"folder": path.mkdir, "pipe": lambda: os.mkfifo(path)}
        make.get(how, lambda: path.symlink_to("/dev/zero"))()
        return
    flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    path.write_bytes({"flipped": flipped, "cut": content[:middle], "empty": b""}[how])


def test_damage_is_found_said_and_set_aside(filled):
    for how in ("flipped", "cut", "empty", "folder", "pipe", "endless"):
        changed(filled.path_of(KEYS[1]), how)
        assert len(filled.list()) == 3  # a listing moves nothing
        told = f"{KEYS[1][:12]} is damaged .*computed again"
        with pytest.warns(UserWarning, match=told) as caught:
            assert filled.read(KEYS[1]) is None
        assert len(caught) == 1
        assert len(filled.keys()) == 3
        assert len(list((filled.path / "damaged").iterdir())) == 1
        put(filled, SPECS[1], 1)
        assert filled.read(KEYS[1]) is not None
        assert filled.prune(set(KEYS))[0] == 1
        assert not list((filled.path / "damaged").iterdir())
    changed(filled.path_of(KEYS[0]), "cut")
    (told,) = filled.verify().values()
    assert "set aside" in told
    assert filled.verify() == {}


def test_every_flipped_bit_is_found_or_harmless(filled):
    """In a file of zeros and texts, too; what is read after all is what was written."""
    path, whole = filled.path_of(KEYS[0]), filled.path_of(KEYS[0]).read_bytes()
    rng = np.random.default_rng(0)
    for place in rng.choice(8 * len(whole), 150, replace=False):
        content = bytearray(whole)
        content[place // 8] ^= 1 << (place % 8)
        path.write_bytes(content)
        found, wrong = filled.look(KEYS[0])
        if not wrong and found is not None:
            assert found.metrics == {"seconds": 0, "note": "ü"}
            assert (found.arrays["values"] == 0).all()


def test_damage_after_the_first_look_is_one_line(filled):
    found = filled.read(KEYS[0])
    changed(filled.path_of(KEYS[0]), "cut")
    with pytest.raises(StudyError, match="damaged"):
        found.arrays["values"]
    filled.path_of(KEYS[0]).unlink()
    with pytest.raises(StudyError, match="vanished"):
        found.arrays["values"]


def test_a_damaged_result_in_a_read_only_store_is_left_and_said(filled, monkeypatch):
    changed(filled.path_of(KEYS[0]), "cut")

    def refuse(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "rename", refuse)
    with pytest.warns(UserWarning, match="left where it is .Permission denied"):
        assert filled.read(KEYS[0]) is None
    assert "left where it is" in filled.verify()[KEYS[0]]


def entry(of, **changes):
    plain = archive.entry_of(archive.Result(of, "", {"seconds": 1.0}, {}))
    return plain | changes


def test_a_result_under_another_key_is_refused(filled):
    os.replace(filled.path_of(KEYS[0]), filled.path_of(KEYS[1]))
    with pytest.warns(UserWarning, match="not the hash of its spec"):
        assert filled.read(KEYS[1]) is None


def test_results_of_another_version_are_no_damage(filled):
    for spec in ({"kind": "Dream", "depth": 3}, {"kind": "Measure", "hue": 1}):
        archive.write(filled.path_of(KEYS[0]), store.TEXT, entry(SPECS[0], spec=spec), {})
        assert filled.verify() == {}
        assert filled.read(KEYS[0]) is None
        assert (len(filled.list()), len(filled.keys())) == (3, 4)
    old = specs.REVISION | {"Measure": 1}
    key = specs.key(SPECS[0], old)
    assert key != KEYS[0]
    archive.write(filled.path_of(key), store.TEXT, entry(SPECS[0], revisions=old), {})
    assert filled.verify() == {}
    assert filled.read(key).spec == SPECS[0]


def test_metrics_must_be_finite(filled):
    with pytest.raises(StudyError, match="cannot be stored: a number is nan"):
        filled.write(SPECS[0], {"history": {"loss": [1.0, np.nan]}}, {})
    assert filled.read(KEYS[0]).metrics["seconds"] == 0


def no_space(*_, **__):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_full_disk_is_one_line_and_loses_nothing(filled, monkeypatch):
    for place in ("os.fsync", "builtins.open", "pathlib.Path.mkdir", "os.replace"):
        with monkeypatch.context() as patched:
            patched.setattr(place, no_space)
            for spec in (Measure("made-up", 99), SPECS[0]):
                with pytest.raises(StudyError, match="could not store measure made-up") as caught:
                    put(filled, spec, 9)
                assert "no space left" in str(caught.value)
                assert str(filled.path_of(specs.key(spec))) in str(caught.value)
                assert "\n" not in str(caught.value)
        assert not left_over(filled)
        assert [filled.read(key).metrics["seconds"] for key in KEYS] == [0, 1, 2, 3]


def test_prune_keeps_what_is_in_use_and_what_is_being_written(filled):
    old, new = (filled.path / f".{KEYS[0]}.npz-{n}-aaaa" for n in (1, 2))
    for path in (old, new):
        path.write_bytes(b"x" * 1000)
    os.utime(old, (time.time() - 7200,) * 2)
    changed(filled.path_of(KEYS[3]), "empty")
    filled.verify()
    count, size = filled.prune({KEYS[0]})
    assert count == 4  # two results, one left-over, one damaged
    assert size > 1000
    assert filled.keys() == [KEYS[0]]
    assert new.exists()


def start(source, *args):
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(source), *map(str, args)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"},
    )


MADE_UP = """
    import os, sys, time
    import numpy as np
    from helpers import results
    from helpers.results import steps
    from helpers.specs import Select
    from helpers.results.store import Store

    def made_up(spec, get, device):
        needed = [get(need).metrics["by"] for need in ([spec.start] if spec.start else [])]
        with open(sys.argv[2], "a") as log:
            log.write(f"{spec.seed} {bool(spec.start)}\\n")
        time.sleep(float(sys.argv[3]))
        return {"by": os.getpid()}, {"values": np.arange(200_000) * spec.seed}

    steps.run = made_up
    kept = os.fsync
    def slow(handle):
        if sys.argv[1] == "slow" and Store().keys():
            print("writing", flush=True)
            time.sleep(600)
        kept(handle)
    os.fsync = slow
    first = [Select("digits", "random", 5, seed) for seed in range(3)]
    then = [Select("digits", "random", 5, seed, start=first[seed]) for seed in range(3)]
    found = results.compute(first if sys.argv[1] != "both" else then, workers=1)
    print([r.spec.seed for r in found], flush=True)
"""


@pytest.mark.slow
def test_kill_loses_the_run_in_flight_only(tmp_path, monkeypatch):
    monkeypatch.setenv("STUDY_STORE", str(tmp_path / "killed"))
    where, log = Store(), tmp_path / "log"
    child = start(MADE_UP, "slow", log, 0)
    assert child.stdout.readline() == "writing\n"  # the second run's file is half-written
    os.kill(child.pid, signal.SIGKILL)
    assert child.wait(SLACK_S) == -signal.SIGKILL
    child.stdin.close()
    child.stdout.close()
    assert len(left_over(where)) == 1
    assert where.verify() == {}
    assert [r.spec.seed for r in where.list()] == [0]
    again = start(MADE_UP, "again", log, 0)  # its lock is free again
    out, _ = again.communicate(timeout=SLACK_S)
    assert out.splitlines()[-1] == "[0, 1, 2]"
    assert log.read_text().split("\n")[:-1] == [f"{seed} False" for seed in (0, 1, 1, 2)]


@pytest.mark.slow
@pytest.mark.parametrize("fresh", ["", "token"])
def test_two_studies_on_one_store_share_the_runs(tmp_path, monkeypatch, fresh):
    monkeypatch.setenv("STUDY_STORE", str(tmp_path / "shared"))
    log = tmp_path / "log"
    for spec in (Select("digits", "random", 5, seed) for seed in range(3) if fresh):
        Store().write(spec, {}, {})  # of before
    if fresh:
        monkeypatch.setenv("STUDY_FRESH", fresh)
    both = [start(MADE_UP, "both", log, 0.2) for _ in range(2)]
    told = [child.communicate(timeout=SLACK_S)[0] for child in both]
    assert [child.returncode for child in both] == [0, 0]
    assert [out.splitlines()[-1] for out in told] == ["[0, 1, 2]"] * 2
    # each run once, whoever did it, and what it needs before it
    ran = log.read_text().splitlines()
    assert sorted(ran) == sorted(f"{seed} {later}" for seed in range(3) for later in (True, False))
    assert not left_over(Store())
    assert list((Store().path / "locks").iterdir()) == []


def test_provenance_of_a_result_is_listed_without_escapes(tmp_path, capsys, monkeypatch):
    from helpers import overview

    monkeypatch.setenv("STUDY_STORE", str(tmp_path))
    evil = Measure("\x1b]0;pwn\x07\x1b[2J\nsecond line")
    Store().write(evil, {}, {}, origin={"commit": "abc\x1b[31m", "date": "2026-01-02 03:04:05"})
    Store().write(SPECS[0], {}, {})
    assert overview.list_results() == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "\x07" not in out
    lines = out.splitlines()
    assert len(lines) == 3
    assert "2026-01-02 03:04" in lines[0]
    assert "(abc" in lines[0]
    assert "cores)" in lines[1]
    assert json.dumps(evil.name) not in out


def test_fresh_counts_by_token_not_by_clock(monkeypatch):
    for token in ("", "one"):
        monkeypatch.setenv("STUDY_FRESH", token)
        put(Store(), SPECS[0], 3)
        monkeypatch.setattr(time, "time", lambda: 4e9)
        assert results.load(SPECS[0]) is not None
        monkeypatch.setenv("STUDY_FRESH", "two")
        assert results.load(SPECS[0]) is None
        assert list(results.missing(SPECS[:1])) == KEYS[:1]


def test_a_member_is_looked_at_before_it_is_read(tmp_path, monkeypatch):
    """Zeros that would fill the memory, headers that promise more than there is."""
    monkeypatch.setattr(archive, "UNPACKED", 2**20)
    where = Store(tmp_path)
    key = put(where, SPECS[0])
    path = where.path_of(key)
    text = zipfile.ZipFile(path).read(store.TEXT)

    def planted(content, name="values.npy"):
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr(store.TEXT, text)
            with file.open(name, "w", force_zip64=True) as member:
                for part in content:
                    member.write(part)
        return where.look(key)[1]

    header = np.lib.format.MAGIC_PREFIX + b"\x01\x00"

    def head(shape, descr="<f8"):
        told = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape}}}".encode()
        return header + len(told).to_bytes(2, "little") + told

    assert planted([head((3,)), bytes(24)]) == ""
    assert "would unpack to" in planted([head((2**19,)), bytes(2**22)])
    assert "does not fit" in planted([head((10**13,)), bytes(8)])
    assert "does not fit" in planted([head((2,)), bytes(24)])
    assert "is not read" in planted([head((1,), "|O"), bytes(8)])
    assert "is not read" in planted([head((-3,)), bytes(8)])
    assert planted([b"no array"]) != ""
    assert planted([head((3,)), bytes(24)], "../out.npy") != ""
    assert planted([head((3,)), bytes(24)], "a\nb.npy") != ""
    assert planted([head((3,)), bytes(24)], "values.txt") != ""


def test_an_error_of_the_machine_moves_no_intact_result(tmp_path, monkeypatch):
    where = Store(tmp_path)
    key = where.write(Measure("made-up"), {"a": 1}, {"x": np.arange(3)})

    def busy(*_):
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(archive, "open_", busy)
    with pytest.raises(StudyError, match=f"{key}.*Too many open files"):
        where.read(key)
    assert "Too many open files" in where.verify()[key]
    monkeypatch.undo()
    assert where.read(key).metrics == {"a": 1}
