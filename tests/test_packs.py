"""Packs: out, in, read where they lie, damage, and traces that were dropped."""

import errno
import json
from pathlib import Path

import numpy as np
import pytest

from helpers import StudyError, packs, results, specs
from helpers.specs import Measure, Select, Train
from helpers.store import Store

RUN = Train("digits@200+50", "resnet8-w8", "digits", 1, 0, record_at=(0, 1))
CHOSEN = Select("digits@200+50", "entropy", 0.25, 0, (RUN,))
PLAIN = Measure("made-up", 1)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The pack of the profile that is asked for."""
    where = tmp_path / "packs" / "digits"
    monkeypatch.setattr(packs, "path_of", lambda profile: where.parent / profile)
    return where


@pytest.fixture
def filled(tmp_path):
    where = Store(tmp_path / "lab")
    trace = {"logits": np.ones((200, 10), np.float16), "features": np.ones((200, 4), np.float16)}
    where.write(RUN, {"seconds": 1.5}, trace | {"entropy": np.ones((2, 200), np.float16)})
    where.write(CHOSEN, {"seconds": 0.1}, {"indices": np.arange(50, dtype=np.int32)})
    where.write(PLAIN, {"exponent": 2.0}, {})
    return where


def test_what_goes_out_comes_in_without_its_traces(filled, folder, tmp_path):
    count, size = packs.export(filled.list(), folder)
    assert count == 3
    assert size == sum(p.stat().st_size for p in folder.iterdir())
    assert {p.name for p in folder.iterdir()} == {packs.INDEX, packs.ARRAYS}
    found = packs.read(folder)
    assert set(found) == {specs.key(s) for s in (RUN, CHOSEN, PLAIN)}
    run, chosen = found[specs.key(RUN)], found[specs.key(CHOSEN)]
    assert set(run.arrays) == {"entropy", "logits"}
    assert not run.complete
    assert chosen.complete
    assert chosen.arrays["indices"].tolist() == list(range(50))
    assert run.metrics["seconds"] == 1.5
    other = Store(tmp_path / "laptop")
    assert packs.import_(folder, other) == (3, 0)
    assert packs.import_(folder, other) == (0, 3)
    assert not other.read(specs.key(RUN)).complete
    assert other.verify() == {}


def test_full_packs_keep_everything_and_complete_what_is_there(filled, folder, tmp_path):
    other = Store(tmp_path / "laptop")
    packs.export(filled.list(), folder)
    packs.import_(folder, other)
    packs.export(filled.list(), folder.parent / "full", full=True)
    assert packs.import_(folder.parent / "full", other) == (1, 2)
    assert set(other.read(specs.key(RUN)).arrays) == {"logits", "features", "entropy"}


def test_equal_results_make_equal_packs(filled, folder):
    packs.export(filled.list(), folder)
    packs.export(reversed(filled.list()), folder.parent / "again", full=False)
    again = (folder.parent / "again" / packs.INDEX).read_text()
    ours, theirs = json.loads((folder / packs.INDEX).read_text()), json.loads(again)
    assert ours["results"] == theirs["results"]


def test_published_results_are_read_but_dropped_traces_are_computed_again(filled, folder):
    packs.export(filled.list(), folder)
    assert results.load(RUN).metrics["seconds"] == 1.5
    assert results.load(RUN, complete=True) is None
    assert results.missing([RUN, CHOSEN, PLAIN]) == []
    new = Select("digits@200+50", "entropy", 0.5, 0, (RUN,))
    assert results.missing([new]) == [RUN, new]
    (found,) = results.compute([new])
    assert len(found.arrays["indices"]) == 100
    assert results.load(RUN, complete=True) is not None
    assert results.load(RUN).metrics["seconds"] != 1.5  # one's own comes before the published
    assert results.missing([new, RUN, CHOSEN]) == []


def test_fresh_ignores_published_results(filled, folder, monkeypatch):
    packs.export(filled.list(), folder)
    monkeypatch.setenv("STUDY_FRESH", "1.0")
    assert results.missing([PLAIN]) == [PLAIN]


def test_a_raised_revision_leaves_published_results_behind(filled, folder, monkeypatch):
    packs.export(filled.list(), folder)
    packs._read.cache_clear()
    monkeypatch.setitem(specs.REVISION, "Measure", 99)
    specs._key.cache_clear()
    found = packs.read(folder)
    specs._key.cache_clear()
    packs._read.cache_clear()
    assert {type(r.spec) for r in found.values()} == {Train, Select}


def test_no_pack_is_no_results(folder):
    assert packs.read(folder) == {}
    with pytest.raises(StudyError, match="no pack in .*pack.json and pack.npz"):
        packs.import_(folder, Store())


def test_nothing_to_export_is_said(folder):
    with pytest.raises(StudyError, match="no stored result to export"):
        packs.export([], folder)
    assert not folder.exists()


def test_a_pack_shrinks_only_when_told(filled, folder):
    packs.export(filled.list(), folder)
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    fewer = [r for r in filled.list() if r.spec == PLAIN]
    with pytest.raises(StudyError, match="holds 3 results, this one would hold 1: .*--shrink"):
        packs.export(fewer, folder)
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before
    assert packs.export(filled.list(), folder)[0] == 3  # as many is not fewer
    assert packs.export(fewer, folder, shrink=True)[0] == 1
    assert packs.export(filled.list(), folder)[0] == 3


def test_a_damaged_index_can_be_replaced(filled, folder):
    folder.mkdir(parents=True)
    (folder / packs.INDEX).write_text("[]")
    assert packs.export(filled.list(), folder)[0] == 3


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (packs.ARRAYS, b"nothing"),
        (packs.ARRAYS, None),
        (packs.INDEX, b"{"),
        (packs.INDEX, b"[]"),
        (packs.INDEX, b"{}"),
        (packs.INDEX, b"\xff\xfe"),
    ],
)
def test_damaged_packs_are_refused_in_one_line(filled, folder, name, content):
    packs.export(filled.list(), folder)
    packs._read.cache_clear()
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(content)
    with pytest.raises(StudyError, match="the pack in .* is damaged") as caught:
        packs.read(folder)
    assert "\n" not in str(caught.value)
    assert str(caught.value).count("the pack in") == 1


def test_full_disk_leaves_the_older_pack_and_nothing_else(filled, folder, monkeypatch):
    packs.export([r for r in filled.list() if r.spec == PLAIN], folder)
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    kept = Path.write_bytes

    def full(path, content):
        kept(path, content[: len(content) // 2])
        if packs.INDEX in path.name:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(StudyError, match="could not write the pack to .*No space left"):
        packs.export(filled.list(), folder)
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before
