"""Packs: out, in, read where they lie, damage, hostile ones, and traces that were dropped."""

import dataclasses
import errno
import json
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

from helpers import StudyError, results, specs
from helpers.results import archive, packs
from helpers.results.store import Store
from helpers.specs import Measure, Select, Train

ROOT = Path(__file__).resolve().parents[1]
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
    trace |= {"grad_norm": np.ones((2, 200), np.float16)}
    where.write(RUN, {"seconds": 1.5}, trace | {"entropy": np.ones((2, 200), np.float16)})
    where.write(CHOSEN, {"seconds": 0.1}, {"indices": np.arange(50, dtype=np.int32)})
    where.write(PLAIN, {"exponent": 2.0}, {})
    return where


def test_what_goes_out_comes_in_without_its_traces(filled, folder, tmp_path):
    count, size = packs.export(filled.list(), folder)
    assert count == 3
    assert [p.name for p in folder.iterdir()] == [packs.FILE]
    assert size == (folder / packs.FILE).stat().st_size
    found = packs.read(folder)
    assert set(found) == {specs.key(s) for s in (RUN, CHOSEN, PLAIN)}
    run, chosen = found[specs.key(RUN)], found[specs.key(CHOSEN)]
    assert set(run.arrays) == {"entropy", "logits", "grad_norm"}
    assert (run.complete, chosen.complete) == (False, True)
    assert chosen.arrays["indices"].tolist() == list(range(50))
    assert run.metrics == {"seconds": 1.5}
    assert run.provenance == filled.read(specs.key(RUN)).provenance
    other = Store(tmp_path / "laptop")
    assert other.import_(folder) == (3, 0)
    assert other.import_(folder) == (0, 3)
    imported = other.read(specs.key(RUN))
    assert not imported.complete
    assert imported.provenance == run.provenance
    packs.export(filled.list(), folder.parent / "full", full=True)  # completes what is there
    assert other.import_(folder.parent / "full") == (1, 2)
    assert set(other.read(specs.key(RUN)).arrays) == {*run.arrays, "features"}
    assert other.verify() == {}
    assert packs.read(folder.parent / "none") == {}
    with pytest.raises(StudyError, match=r"no pack in .*pack.npz"):
        other.import_(folder.parent / "none")


def test_what_one_notebook_reads_is_left_out_where_it_does_not_run(filled, folder):
    for number, networks, kept in (
        ("06", [RUN.model], {"entropy"}),
        ("02", [RUN.model], {"logits", "entropy"}),
        ("04", [RUN.model], {"grad_norm"}),
        ("04", ["another"], set()),
    ):
        packs.export(filled.list(), folder, roles={number: networks})
        assert set(packs.read(folder)[specs.key(RUN)].arrays) == kept
    with_labels = dataclasses.replace(filled.read(specs.key(RUN)), arrays={"labels": np.arange(3)})
    packs.export([with_labels], folder, shrink=True, judged={specs.key(RUN)})
    assert set(packs.read(folder)[specs.key(RUN)].arrays) == {"labels"}
    packs.export(filled.list(), folder, judged={specs.key(RUN)})
    assert set(packs.read(folder)[specs.key(RUN)].arrays) <= {"labels"}


def test_equal_results_make_equal_packs(filled, folder, monkeypatch):
    packs.export(filled.list(), folder)
    monkeypatch.setenv("STUDY_FRESH", "a token is nobody else's business")
    for result in filled.list():
        origin = result.provenance | {"fresh": "token"}
        filled.write(result.spec, result.metrics, dict(result.arrays), origin=origin)
    packs.export(reversed(filled.list()), folder.parent / "again")
    first, again = ((f / packs.FILE).read_bytes() for f in (folder, folder.parent / "again"))
    assert first == again


def test_published_results_are_read_but_dropped_traces_are_computed_again(filled, folder):
    packs.export(filled.list(), folder)
    assert results.load(RUN).metrics["seconds"] == 1.5
    assert results.load(RUN, complete=True) is None
    assert results.missing([RUN, CHOSEN, PLAIN]) == {}
    new = Select("digits@200+50", "entropy", 0.5, 0, (RUN,))
    assert list(results.missing([new]).values()) == [RUN, new]
    (found,) = results.compute([new])
    assert len(found.arrays["indices"]) == 100
    assert results.load(RUN, complete=True) is not None
    assert results.load(RUN).metrics["seconds"] == 1.5  # as timed beside the others there
    assert results.missing([new, RUN, CHOSEN]) == {}


def test_a_raised_revision_leaves_published_results_behind(filled, folder, monkeypatch):
    packs.export(filled.list(), folder)
    monkeypatch.setitem(specs.REVISION, "Measure", 99)
    packs._read.cache_clear()
    assert {type(r.spec) for r in packs.read(folder).values()} == {Train, Select}
    packs._read.cache_clear()


def test_a_pack_shrinks_only_when_told(filled, folder):
    with pytest.raises(StudyError, match="no stored result to export"):
        packs.export([], folder)
    assert not folder.exists()
    packs.export(filled.list(), folder)
    before = (folder / packs.FILE).read_bytes()
    fewer = [r for r in filled.list() if r.spec == PLAIN]
    with pytest.raises(StudyError, match="--shrink"):
        packs.export(fewer, folder)
    assert (folder / packs.FILE).read_bytes() == before
    assert packs.export(filled.list(), folder)[0] == 3  # as many is not fewer
    assert packs.export(fewer, folder, shrink=True)[0] == 1
    (folder / packs.FILE).write_bytes(b"broken")
    assert packs.export(fewer, folder)[0] == 1


def test_full_disk_leaves_the_older_pack_and_nothing_else(filled, folder, monkeypatch):
    packs.export([r for r in filled.list() if r.spec == PLAIN], folder)
    before = (folder / packs.FILE).read_bytes()

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StudyError, match=r"could not write .*pack.npz: No space left"):
        packs.export(filled.list(), folder)
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == {packs.FILE: before}


def refused(folder, whole=False):
    """Return the one line by which a pack is refused."""
    with pytest.raises(StudyError, match=r"the pack .*pack.npz is damaged: ") as caught:
        list(packs.read(folder, whole).values())
    text = str(caught.value)
    assert text.isprintable()
    assert text.count("the pack") == 1
    return text


def test_what_is_no_pack_is_refused_in_one_line(filled, folder):
    packs.export(filled.list(), folder)
    path = folder / packs.FILE
    content = path.read_bytes()
    for make in (
        lambda: path.write_bytes(b"nothing"),
        lambda: path.write_bytes(content[:-100]),
        lambda: path.write_bytes(b""),
        lambda: path.symlink_to("/dev/zero"),
        lambda: os.mkfifo(path),
        path.mkdir,
    ):
        path.unlink()
        make()
        refused(folder)


def entry(of=RUN, **changes):
    return archive.entry_of(archive.Result(of, "", {"seconds": 1.0}, {})) | changes


def planted(folder, entries, members=(), text=None):
    """Write a pack by hand."""
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / packs.FILE, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(packs.TEXT, text or json.dumps({"results": entries}))
        for name, content in members:
            file.writestr(name, content)


PLAIN_SPEC = specs.to_plain(PLAIN)
HOSTILE = {
    "no results": {"text": "{}"},
    "a list": {"text": "[]"},
    "no JSON": {"text": "{"},
    "no text": {"text": "\ud800".encode("utf-8", "surrogatepass")},
    "deep": {"text": "[" * 90_000 + "]" * 90_000},
    "rather deep": {"text": '{"results": ' + "[" * 200 + "]" * 200 + "}"},
    "entry": {"entries": {specs.key(RUN): 7}},
    "key": {"entries": {specs.key(PLAIN): entry()}},
    "edited": {"entries": {specs.key(RUN): entry(spec=specs.to_plain(RUN) | {"seed": 1})}},
    "nan": {"text": json.dumps({"results": {specs.key(RUN): entry(metrics={"a": [np.nan]})}})},
    "inf": {"text": json.dumps({"results": {specs.key(RUN): entry(metrics={"a": np.inf})}})},
    "metrics": {"entries": {specs.key(RUN): entry(metrics=[1])}},
    "revisions": {"entries": {specs.key(RUN): entry(revisions={"Train": []})}},
    "provenance": {"entries": {specs.key(RUN): entry(provenance={"commit": 3})}},
    "complete": {"entries": {specs.key(RUN): entry(complete="yes")}},
    "number": {"entries": {specs.key(RUN): entry(spec=7)}},
    "sampler": {"entries": {specs.key(RUN): entry(spec=specs.to_plain(specs.Sampler("adonis")))}},
    "subset": {"entries": {specs.key(RUN): entry(spec=specs.to_plain(RUN) | {"subset": 5})}},
    "dataset": {"entries": {specs.key(RUN): entry(spec=specs.to_plain(RUN) | {"dataset": None})}},
    "epochs": {"entries": {specs.key(RUN): entry(spec=specs.to_plain(RUN) | {"epochs": True})}},
    "of": {"entries": {specs.key(PLAIN): entry(spec=PLAIN_SPEC | {"options": [["a"]]})}},
    "stranger": {"members": [("0" * 64 + "/a.npy", b"")]},
    "loose": {"members": [("file.npy", b"")]},
    "way out": {"members": [("../../a.npy", b"")]},
    "line": {"members": [(specs.key(RUN) + "/a\nb.npy", b"")]},
    "unnamed": {"members": [(specs.key(RUN) + "/.npy", b"")]},
    "twice": {"members": [(packs.TEXT, b"{}")]},
    "zeros": {"members": [(specs.key(RUN) + "/a.npy", bytes(2**22))]},
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_hostile_packs_are_refused_in_one_line(folder, monkeypatch):
    monkeypatch.setattr(archive, "UNPACKED", 2**20)
    for case in HOSTILE.values():
        planted(folder, **{"entries": {specs.key(RUN): entry()}} | case)
        packs._read.cache_clear()
        refused(folder)
        with pytest.raises(StudyError, match="is damaged"):
            Store().import_(folder)
        assert Store().keys() == []


def test_an_array_of_another_size_than_it_says_is_refused(filled, folder):
    header = np.lib.format.MAGIC_PREFIX + b"\x01\x00"
    told = b"{'descr': '<f8', 'fortran_order': False, 'shape': (10000000000000,)}"
    content = header + len(told).to_bytes(2, "little") + told + bytes(8)
    planted(folder, {specs.key(RUN): entry()}, [(specs.key(RUN) + "/entropy.npy", content)])
    run = packs.read(folder)[specs.key(RUN)]
    with pytest.raises(StudyError, match="does not fit"):
        run.arrays["entropy"]
    assert "does not fit" in refused(folder, whole=True)


def test_every_flipped_bit_is_refused_or_harmless(filled, folder):
    packs.export(filled.list(), folder)
    path = folder / packs.FILE
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for place in rng.choice(8 * len(whole), 150, replace=False):
        content = bytearray(whole)
        content[place // 8] ^= 1 << (place % 8)
        path.write_bytes(content)
        packs._read.cache_clear()
        try:
            found = packs.read(folder, whole=True)
        except StudyError:
            continue
        assert found[specs.key(RUN)].metrics == {"seconds": 1.5}
        assert found[specs.key(CHOSEN)].arrays["indices"].tolist() == list(range(50))


@pytest.mark.parametrize("name", sorted(p.name for p in (ROOT / "data" / "results").iterdir()))
def test_published_packs_are_whole_and_hold_what_is_shown_only(name):
    found = packs.read(ROOT / "data" / "results" / name, whole=True)
    assert len(found) > 30
    for result in found.values():
        assert all(packs.is_shown(result.spec, array) for array in result.arrays)
        assert result.provenance["commit"]


def test_every_array_that_packs_keep_is_read_by_a_notebook_or_a_claim():
    readers = [*ROOT.glob("notebooks/*.ipynb"), *(ROOT / "helpers" / "claims").glob("*.py")]
    readers += [*(ROOT / "helpers").rglob("readings.py")]
    text = "".join(path.read_text().replace('\\"', '"') for path in readers)
    assert [name for name in packs.SHOWN if f'"{name}"' not in text] == []
