"""``python -m helpers select``: every format, one line an error, nothing half-written."""

import argparse
import hashlib
import json
import os
import shlex
import signal
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from helpers import scores, select
from helpers.__main__ import main
from helpers.select import arrays, common, inputs, memory, method_options, outputs
from helpers.selection import registry
from helpers.selection.registry import Pool

N = 30
ROOT = Path(select.__file__).resolve().parents[2]


def made():
    rng = np.random.default_rng(0)
    return {
        "labels": np.arange(N) % 3,
        "probs": rng.dirichlet(np.ones(3), N),
        "features": rng.normal(size=(N, 4)).astype(np.float32),
        "scores": rng.random(N),
        "gradients": rng.normal(size=(N, 5)),
        "norms": rng.gamma(2, 1, N),
        "correct": (rng.random((5, N)) < 0.7).astype(np.uint8),
    }


def lists(values, fixed=False):
    flat = pa.array(np.ascontiguousarray(values).ravel())
    width = values.shape[1]
    if fixed:
        return pa.FixedSizeListArray.from_arrays(flat, width)
    return pa.ListArray.from_arrays(pa.array(np.arange(0, len(flat) + 1, width)), flat)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder, the current one, with the same arrays as .npy, in one .npz and in t.parquet."""
    monkeypatch.chdir(tmp_path)
    data = made()
    for name, values in data.items():
        np.save(f"{name}.npy", values)
    np.savez("a.npz", short=data["probs"][:5], **data)
    np.savez_compressed("one.npz", norms=data["norms"])
    words = np.array(["cat", "ant", "bee"])[data["labels"]]
    table = {name: pa.array(data[name]) for name in ("labels", "scores", "norms")}
    table |= {name: lists(data[name]) for name in ("probs", "features")}
    table |= {
        "gradients": lists(data["gradients"], fixed=True),
        "correct": lists(data["correct"].T),
    }
    table |= {"word": pa.array(words), "kind": pa.array(words).dictionary_encode()}
    table |= {f"x{i}": pa.array(data["features"][:, i]) for i in range(4)}
    table |= {"e,1": pa.array(data["norms"]), "when": pa.array(np.arange(N), pa.timestamp("s"))}
    pq.write_table(pa.table(table), "t.parquet", row_group_size=7)
    return tmp_path


def call(capsys, line):
    code = main(["select", *shlex.split(line)])
    captured = capsys.readouterr()
    return code, captured.out.strip(), captured.err.strip()


def refused(capsys, line):
    """Run what must fail, and return the one line that it says; no file has come."""
    before = sorted(Path().iterdir())
    code, out, err = call(capsys, line)
    assert code == 2
    assert out == ""
    assert len(err.splitlines()) == 1
    assert err.startswith("error: ")
    assert sorted(Path().iterdir()) == before
    return err


PICKS = [
    ("random", "--k 5 --labels {labels}", 5),
    ("random", "--k 5 --features {features}", 5),
    ("entropy", "--keep 0.5 --probs {probs}", 15),
    ("entropy", "--k 4 --probs {probs} --correct {correct} --option correct_only=true", 4),
    ("margin", "--k 4 --probs {probs} --labels {labels} --option correct-only=True", 4),
    ("forgetting", "--k 4 --correct {correct}", 4),
    ("el2n", "--k 4 --probs {probs} --labels {labels}", 4),
    ("ccs", "--k 4 --scores {scores} --option n_strata=5", 4),
    ("top", "--keep 1 --scores {scores}", N),
    ("k-centers", "--k 4 --features {features} --option n-initial=2", 4),
    ("dpp", "--k 4 --features {features} --option mode=map", 4),
    ("ids", "--k 15 --features {features} --labels {labels}", 18),
    ("iqp", "--k 4 --probs {probs} --features {features} --option bandwidth=median", 4),
    ("iqp", "--k 4 --scores {scores} --features {features} --option shift=none", 4),
    ("geda", "--k 9 --norms {norms} --labels {labels} --option within=random", 9),
    ("craig", "--k 9 --gradients {gradients} --labels {labels}", 9),
    ("craig", "--k 9 --probs {probs} --features {features} --labels {labels}", 9),
    ("grad-match", "--k 9 --gradients {gradients} --labels {labels} --option fill=true", 9),
]  # fmt: skip


@pytest.mark.parametrize(("method", "line", "n_kept"), PICKS)
@pytest.mark.parametrize("source", ["{}.npy", "a.npz:{}", "t.parquet:{}"])
def test_every_format_gives_the_registry_s_answer(folder, capsys, method, line, n_kept, source):
    files = {name: source.format(name) for name in inputs.SHAPES}
    text = line.format(**files)
    code, out, err = call(capsys, f"--method {method} {text} --seed 3 --out p")
    assert (code, err) == (0, "")
    assert f"{n_kept} of 30 rows" in out
    rows = np.load("p.npy")
    record = json.loads(Path("p.json").read_text())
    data = made()
    given = {name: data[name] for name in inputs.SHAPES if f"--{name} " in line}
    if method == "forgetting":
        given["forgetting"] = scores.forgetting_events(given["correct"])
    pool = Pool(**{"labels": None} | given)
    options = method_options.parse(registry.get(method), text.split(" --option ")[1:])
    k = n_kept if method != "ids" else 15
    expected, weights = registry.pick(method, pool, k, 3, **options)
    np.testing.assert_array_equal(rows, expected)
    table = np.loadtxt("p.csv", delimiter=",", skiprows=1, ndmin=2)
    assert table[:, 0].tolist() == expected.tolist()
    header = Path("p.csv").read_text().splitlines()[0]
    assert header == ("row" if weights is None else "row,weight")
    if weights is not None:
        np.testing.assert_array_equal(np.load("p-weights.npy"), weights)
        np.testing.assert_array_equal(table[:, 1], weights)
        assert record["weights"]["sum"] == pytest.approx(weights.sum())
    assert Path("p-weights.npy").exists() == (weights is not None)
    assert not list(folder.glob(".*"))


@pytest.mark.parametrize("method", registry.METHODS)
def test_every_method_runs_on_what_its_help_names(folder, capsys, method):
    for way in method_options._ways(registry.get(method), {}):
        given = way | {"labels"} if method == "ccs" else way or {"scores"}
        flags = " ".join(f"--{name} {name}.npy" for name in given)
        code, _, err = call(capsys, f"--method {method} {flags} --k 6 --out p.npy")
        expected = (
            "warning: ccs does not read --labels" if method == "ccs" and "scores" in way else ""
        )
        assert (code, err) == (0, expected) or method == "iqp", err
        rows = np.load("p.npy")
        assert len(set(rows.tolist())) == len(rows) == (9 if method == "ids" else 6)


def test_a_score_of_labels_asks_for_them(folder, capsys):
    said = refused(capsys, "--method ccs --probs probs.npy --k 3 --out p.npy")
    assert "ccs needs" in said
    assert "--labels" in said


def test_the_record_says_all_that_was_done(folder, capsys):
    line = "--method geda --keep 1/3 --norms one.npz --labels t.parquet:word --seed 7 --out p.csv"
    assert call(capsys, f"{line} --option n_nodes=4")[0] == 0
    record = json.loads(Path("p.json").read_text())
    expected = {"method": "geda", "seed": 7, "k": 10, "n": N, "n_selected": 10, "weights": None}
    assert record.items() >= expected.items()
    assert record["options"]["n_nodes"] == 4
    assert record["options"]["within"] == "spread"
    assert record["peak_memory_bytes"] > 1e6
    assert set(record["versions"]) >= {"python", "numpy", "scipy"}
    norms, labels = record["inputs"]["norms"], record["inputs"]["labels"]
    assert norms["sha256"] == hashlib.sha256(Path("one.npz").read_bytes()).hexdigest()
    assert (norms["key"], norms["shape"], norms["dtype"]) == ("norms", [N], "float64")
    assert labels["classes"] == ["ant", "bee", "cat"]
    written = record["outputs"]["p.csv"]
    assert written["sha256"] == hashlib.sha256(Path("p.csv").read_bytes()).hexdigest()
    assert sorted(p.name for p in folder.glob("p*")) == ["p.csv", "p.json", "probs.npy"]


@pytest.mark.parametrize(
    "source",
    ["f16.npy", "ints.npy", "fortran.npy", "t.parquet:x0,x1,x2,x3", "big.npy", "tensor.parquet"],
)
def test_features_of_any_number_type_and_order(folder, capsys, source):
    values = made()["features"]
    np.save("f16.npy", values.astype(np.float16))
    np.save("ints.npy", (values * 100).astype(np.int16))
    np.save("fortran.npy", np.asfortranarray(values))
    np.save("big.npy", values.astype(">f8"))
    kind = pa.fixed_shape_tensor(pa.float32(), [4])
    tensor = pa.ExtensionArray.from_storage(kind, lists(values, fixed=True).cast(kind.storage_type))
    pq.write_table(pa.table({"x": tensor}), "tensor.parquet")
    assert call(capsys, f"--method k-centers --k 6 --features {source} --out p.npy")[0] == 0
    exact = {"f16.npy": values.astype(np.float16), "ints.npy": (values * 100).astype(np.int16)}
    pool = Pool(np.zeros(N, int), features=exact.get(source, values))
    assert np.load("p.npy").tolist() == registry.pick("k-centers", pool, 6, 0)[0].tolist()


@pytest.mark.parametrize("source", ["t.parquet:word", "t.parquet:kind", "words.npy", "bytes.npy"])
def test_strings_become_class_numbers(folder, source):
    words = np.array(["cat", "ant", "bee"])[made()["labels"]]
    np.save("words.npy", words)
    np.save("bytes.npy", words.astype("S"))
    found = arrays.read(source, folder, strings=True)
    assert found.classes == ("ant", "bee", "cat")
    assert np.array(found.classes)[found.values].tolist() == words.tolist()


def test_a_categorical_s_unused_classes_are_not_named(tmp_path):
    column = pa.DictionaryArray.from_arrays(pa.array([2, 0, 2]), pa.array(["b", "unused", "a"]))
    pq.write_table(pa.table({"y": column}), tmp_path / "y.parquet")
    found = arrays.read(str(tmp_path / "y.parquet"), tmp_path, strings=True)
    assert (found.values.tolist(), found.classes) == ([0, 1, 0], ("a", "b"))


def test_one_column_of_numbers_is_a_feature_and_names_may_hold_commas(folder, capsys):
    assert call(capsys, "--method k-centers --k 2 --features t.parquet:x0 --out p.npy")[0] == 0
    assert json.loads(Path("p.json").read_text())["inputs"]["features"]["shape"] == [N, 1]
    line = "--method geda --k 3 --norms t.parquet:e,1 --labels labels.npy --out p.npy"
    assert call(capsys, line)[0] == 0


@pytest.mark.parametrize(
    ("method", "line"),
    [
        ("random", "--scores"),
        ("top", "--scores"),
        ("k-centers", "--features"),
        ("dpp", "--features"),
    ],
)
def test_a_pool_of_one_row(tmp_path, monkeypatch, capsys, method, line):
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", np.ones(1 if line == "--scores" else (1, 2)))
    assert call(capsys, f"--method {method} {line} x.npy --keep 0.1 --out p.npy")[0] == 0
    assert np.load("p.npy").tolist() == [0]


@pytest.mark.parametrize(
    ("keep", "k"), [("0.5", 4), ("0.1", 1), ("1/3", 2), ("1", 7), ("1e-9", 1), ("9/14", 4)]
)
def test_keep_is_the_nearest_count(tmp_path, monkeypatch, capsys, keep, k):
    monkeypatch.chdir(tmp_path)
    np.save("s.npy", np.arange(7))
    assert call(capsys, f"--method top --scores s.npy --keep {keep} --out p.npy")[0] == 0
    assert np.load("p.npy").tolist() == list(range(6, 6 - k, -1))


def test_exact_halves_do_not_depend_on_floats():
    share = select._share("0.145")
    assert 0.145 * 100 < 14.5  # the float falls below the half that was written
    assert common.counted(None, share, 300) == 44  # 43.5, and 44 is even


E1 = "--method entropy --k 1 --probs"
ERRORS = [
    ("--method nothing --k 1 --probs probs.npy", "method must be one of random"),
    (f"{E1} probs.npy --seed -1", "--seed: must be a whole number from 0 upwards, got -1"),
    (f"{E1} probs.npy --seed 1.5", "--seed"),
    ("--method entropy --k x --probs probs.npy", "--k: must be a whole number"),
    ("--method entropy --k 0 --probs probs.npy", "--k must lie in 1..30, got 0"),
    ("--method entropy --k 31 --probs probs.npy", "--k must lie in 1..30, got 31"),
    ("--method entropy --keep 1.5 --probs probs.npy", "--keep: must lie in (0, 1], got 1.5"),
    ("--method entropy --keep nan --probs probs.npy", "--keep: must lie in (0, 1], got nan"),
    ("--method entropy --k 1 --keep 1 --probs probs.npy", "not allowed with"),
    ("--method entropy --probs probs.npy", "--k --keep"),
    ("--method entropy --k 1 --labels labels.npy", "entropy needs --probs"),
    ("--method geda --k 1 --norms norms.npy", "geda needs --labels and --norms"),
    ("--method forgetting --k 1 --labels labels.npy", "forgetting needs --correct"),
    (f"{E1} probs.npy --option correct_only=true", "needs --correct, or --labels; and --probs"),
    ("--method random --k 1", "random needs one of --labels, --probs"),
    ("--method craig --k 1 --probs probs.npy",
     "craig needs --gradients, or --probs and --features; and --labels"),
    ("--method iqp --k 1 --probs probs.npy", "iqp needs --scores, or --probs; and --features"),
    (f"{E1} no.npy", "--probs: there is no file no.npy"),
    (f"{E1} no.npz:x", "--probs: there is no file no.npz"),
    (f"{E1} no.txt", "--probs: no.txt must be one of .npy, .npz, .parquet"),
    (f"{E1} a.npz", "--probs: a.npz holds short, labels"),
    (f"{E1} a.npz:x", "got 'x'"),
    (f"{E1} t.parquet:x", "got 'x'"),
    (f"{E1} t.parquet:x0,y", "got 'y'"),
    (f"{E1} t.parquet:x0,features", "must stand alone"),
    (f"{E1} t.parquet:word", "--probs: t.parquet:word must hold numbers, got strings"),
    (f"{E1} t.parquet:when", "--probs: t.parquet:when must hold numbers or lists of numbers"),
    (f"{E1} damaged.npy", "--probs: damaged.npy cannot be read as .npy"),
    (f"{E1} damaged.npz:a", "--probs: damaged.npz cannot be read"),
    (f"{E1} damaged.parquet:a", "--probs: damaged.parquet cannot be read"),
    (f"{E1} cut.npy", "--probs: cut.npy cannot be read"),
    (f"{E1} pickled.npy", "--probs: pickled.npy holds Python objects"),
    (f"{E1} objects.npz", "--probs: objects.npz holds Python objects"),
    (f"{E1} complex.npy", "--probs: complex.npy must hold numbers, got complex128"),
    (f"{E1} empty.npy", "--probs: empty.npy is empty, shape (0, 3)"),
    (f"{E1} empty.parquet", "--probs: empty.parquet is empty, 0 rows"),
    (f"{E1} nulls.parquet:x", "--probs: nulls.parquet:x has a missing value in row 2"),
    (f"{E1} nulls.parquet:inner", "--probs: nulls.parquet:inner has a missing value in row 1"),
    (f"{E1} nulls.parquet:ragged", "got 2 numbers in row 0 and 1 in row 2"),
    (f"{E1} nulls.parquet:none", "nulls.parquet:none holds empty lists"),
    ("--method geda --k 1 --norms norms.npy --labels nulls.parquet:word",
     "--labels: nulls.parquet:word has a missing value in row 1"),
    (f"{E1} labels.npy", "--probs must have shape (n, c), got (30,)"),
    (f"{E1} scalar.npy", "--probs must have shape (n, c), got ()"),
    (f"{E1} features.npy", "--probs must not be negative"),
    (f"{E1} a.npz:short --features features.npy", "--probs has 5 rows, --features 30"),
    (f"{E1} probs.npy --correct short.npy", "--probs has 30 rows, --correct 4 columns (epochs, n)"),
    ("--method geda --k 1 --labels labels.npy --norms snan.npy",
     "--norms must be numbers, got NaN in row 3"),
    ("--method geda --k 1 --labels labels.npy --norms inf.npy", "--norms must be finite"),
    ("--method top --k 1 --scores low.npy", "--scores must lie above minus infinity"),
    ("--method k-centers --k 1 --features late.npy",
     "--features must be finite, got NaN or inf in row 700000"),
    ("--method geda --k 1 --norms norms.npy --labels half.npy", "--labels must be whole"),
    ("--method geda --k 1 --norms norms.npy --labels below.npy",
     "--labels must be 0 or more, got -1 in row 4"),
    ("--method geda --k 1 --norms norms.npy --labels same.npy",
     "--labels must name at least 2 classes"),
    ("--method forgetting --k 1 --correct labels.npy", "--correct must hold only 0 and 1"),
    ("--method forgetting --k 1 --correct once.npy", "--correct must have shape (epochs, n)"),
    (f"{E1} probs.npy --option x", "--option must be NAME=VALUE, got 'x'"),
    (f"{E1} probs.npy --option x=1",
     "entropy has no --option x; its options are correct_only"),
    ("--method random --k 1 --probs probs.npy --option x=1", "random has no --option x; it takes"),
    ("--method geda --k 1 --norms norms.npy --labels labels.npy --option n_nodes=x",
     "--option n_nodes must be a whole number, got 'x'"),
    ("--method geda --k 1 --norms norms.npy --labels labels.npy --option n_nodes=1", "n_nodes"),
    ("--method geda --k 1 --norms norms.npy --labels labels.npy --option within=far",
     "--option within must be one of spread"),
    ("--method k-centers --k 1 --features features.npy --option n_initial=1 --option n-initial=2",
     "--option n_initial is given twice"),
    (f"{E1} probs.npy --out p.txt", "--out must end in .npy or .csv, or have no suffix"),
    (f"{E1} probs.npy --out no/p.npy", "--out: there is no folder no"),
    (f"{E1} probs.npy --out .npy", "--out must have a name before its suffix, got .npy"),
    (f"{E1} probs.npy --out /dev/null", "--out: /dev/null is no file"),
    (f"{E1} probs.npy --out .", "--out must end in .npy or .csv, or have no suffix"),
    (f"{E1} probs.npy --out sub", "--out: sub is a folder; name a file in it"),
    (f"{E1} probs.npy --labels many.npy --option correct_only=true",
     "--labels must lie in 0..2, the columns of probs, got 3 in row 3"),
    ("--method geda --k 1 --norms negative.npy --labels labels.npy",
     "--norms must not be negative, got -1 in row 3"),
    ("--method geda --k 1 --norms norms.npy --labels words.npy", "or strings by astype(str)"),
    ("--method ssp --k 1 --features features.npy --option n_clusters=31",
     "--option n_clusters must lie in 1..30, got 31"),
    ("--method iqp --k 2 --scores scores.npy --features huge.npy", "--features are too large"),
    ("--method craig --k 3 --probs probs.npy --labels labels.npy --features huge.npy",
     "--features must lie within the range of float32"),
    (f"{E1} probs.npy --data digits", "--data goes with no arrays, got --probs too"),
    (f"{E1} probs.npy --proxy resnet8", "--proxy goes with --data only"),
    (f"{E1} probs.npy --report p.html", "--report goes with --data only"),
]  # fmt: skip


@pytest.fixture
def faults(folder):
    """Files that cannot be used."""
    for name in ("damaged.npy", "damaged.npz", "damaged.parquet"):
        Path(name).write_bytes(b"nonsense")
    Path("cut.npy").write_bytes(Path("probs.npy").read_bytes()[:-8])
    np.save("pickled.npy", np.array([{}], dtype=object), allow_pickle=True)
    np.savez("objects.npz", x=np.array([{}], dtype=object))
    late = np.zeros((1_000_000, 2), dtype=np.float16)
    late[700_000] = np.nan
    low, below, half = made()["scores"], np.arange(N), np.arange(N) / 2
    low[2], below[4] = -np.inf, -1
    snan = np.ones(N).view(np.uint64)
    snan[3] = 0x7FF0000000000001
    Path("sub").mkdir()
    np.save("words.npy", np.array(["a", "b"], dtype=object)[np.arange(N) % 2], allow_pickle=True)
    np.save("many.npy", np.arange(N) % 4)
    np.save("negative.npy", np.where(np.arange(N) == 3, -1.0, 1.0))
    np.save("huge.npy", made()["features"] * np.float64(1e200))
    values = {"complex": np.ones((3, 2), complex), "empty": np.ones((0, 3)), "late": late,
              "scalar": np.float64(1), "low": low, "below": below, "half": half,
              "same": np.ones(N, int), "once": np.ones(N, int), "snan": snan.view(np.float64),
              "inf": np.full(N, np.inf), "short": np.ones((9, 4), int)}  # fmt: skip
    for name, array in values.items():
        np.save(f"{name}.npy", array)
    pq.write_table(pa.table({"x": pa.array([], pa.float64())}), "empty.parquet")
    columns = {"x": [1.0, 2.0, None], "inner": [[0.5, 0.5], [1.0, None], [0.0, 1.0]],
               "ragged": [[1.0, 0.0], [1.0, 0.0], [1.0]], "none": [[], [], []],
               "word": ["a", None, "b"]}  # fmt: skip
    columns["none"] = pa.array(columns["none"], pa.list_(pa.float64()))
    pq.write_table(pa.table(columns), "nulls.parquet")


@pytest.mark.usefixtures("faults")
@pytest.mark.filterwarnings("error")
def test_errors_are_one_line_that_names_the_flag_and_nothing_is_written(capsys):
    for line, message in ERRORS:
        said = refused(capsys, line if "--out" in line else f"{line} --out p.npy")
        assert message in said, line


def test_arrays_need_a_name_for_what_is_written(folder, capsys):
    assert "--out is required with arrays" in refused(capsys, f"{E1} probs.npy")


def test_weights_never_take_the_place_of_rows(folder, capsys):
    line = "--method craig --gradients gradients.npy --labels labels.npy --k 6"
    assert call(capsys, f"{line} --out a-weights.npy")[0] == 0
    assert np.load("a-weights.npy").dtype == np.int64
    assert np.load("a-weights-weights.npy").dtype == np.float64


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs a folder that nobody can write to")
def test_a_folder_that_cannot_be_written_is_told_first(folder, capsys):
    assert "--out: /proc cannot be written" in refused(capsys, f"{E1} probs.npy --out /proc/p.npy")


def test_lists_of_another_length_in_a_later_batch(tmp_path, monkeypatch):
    monkeypatch.setattr(arrays, "N_BATCH", 2)
    pq.write_table(pa.table({"x": [[1.0, 2.0]] * 2 + [[1.0]] * 2}), tmp_path / "r.parquet")
    with pytest.raises(ValueError, match="lists of one length, got 2 and 1"):
        arrays.read(str(tmp_path / "r.parquet"), tmp_path)


def test_an_input_or_a_stranger_s_file_is_never_overwritten(folder, capsys):
    os.link("scores.npy", "linked.npy")
    Path("package.json").write_text('{"name": "theirs"}')
    line = "--method top --k 3 --scores scores.npy --out"
    before = Path("scores.npy").read_bytes()
    for out in ("scores.npy", "linked.npy", "./scores"):
        assert "--out would overwrite the input" in refused(capsys, f"{line} {out} --force")
    assert "is in no record of an earlier selection; --force" in refused(
        capsys, f"{line} norms.npy"
    )
    assert "package.json exists" in refused(capsys, f"{line} package.npy")
    assert Path("scores.npy").read_bytes() == before
    assert call(capsys, f"{line} package.npy --force")[0] == 0
    Path("d.npy").mkdir()
    assert "--out: d.npy is a folder" in refused(capsys, f"{line} d.npy --force")


def test_an_earlier_selection_is_replaced_with_its_weights(folder, capsys):
    line = "--gradients gradients.npy --labels labels.npy --k 6 --out p.npy"
    assert call(capsys, f"--method craig {line}")[0] == 0
    assert Path("p-weights.npy").exists()
    assert call(capsys, f"--method random {line}")[0] == 0
    assert not Path("p-weights.npy").exists()
    assert json.loads(Path("p.json").read_text())["method"] == "random"


@pytest.mark.parametrize(("first", "second"), [("p.npy", "p.csv"), ("p", "p.npy")])
def test_rows_that_stay_keep_their_record(folder, capsys, first, second):
    line = "--method top --scores scores.npy"
    assert call(capsys, f"{line} --k 3 --out {first}")[0] == 0
    before = Path("p.json").read_bytes()
    lost = {"p.csv": "p.npy", "p.npy": "p.csv"}[second]
    said = refused(capsys, f"{line} --k 4 --out {second}")
    assert f"--out: p.json is the record of {lost}, an earlier selection" in said
    assert Path("p.json").read_bytes() == before
    assert call(capsys, f"{line} --k 4 --out {first}")[0] == 0
    Path(lost).unlink()
    assert call(capsys, f"{line} --k 4 --out {second}")[0] == 0


def test_one_form_of_rows_may_become_both(folder, capsys):
    line = "--method top --scores scores.npy --k 3 --out"
    assert call(capsys, f"{line} p.npy")[0] == 0
    assert call(capsys, f"{line} p")[0] == 0
    assert set(json.loads(Path("p.json").read_text())["outputs"]) == {"p.npy", "p.csv"}


def mistakes(pool, k, rng):
    """README's method."""
    return np.argsort(pool.probs[np.arange(pool.n), pool.labels], kind="stable")[:k]


@pytest.mark.parametrize("needs", [("probs",), ("probs", "labels")])
def test_the_readme_s_method_never_works_on_invented_labels(folder, capsys, monkeypatch, needs):
    method = registry.Method("mistakes", "Mistakes first", mistakes, needs, "scores")
    monkeypatch.setitem(registry.METHODS, "mistakes", method)
    line = "--method mistakes --probs probs.npy --k 4 --out p.npy"
    said = refused(capsys, line)
    assert said.startswith("error: mistakes needs --")
    assert "--labels" in said
    assert call(capsys, f"{line} --labels labels.npy")[0] == 0
    data = made()
    expected = np.argsort(data["probs"][np.arange(N), data["labels"]])[:4]
    assert np.load("p.npy").tolist() == expected.tolist()
    np.save("beyond.npy", np.arange(N) % 4)
    Path("p.npy").unlink(), Path("p.json").unlink()
    said = refused(capsys, f"{line} --labels beyond.npy")
    assert "--labels must lie in 0..2, the columns of probs, got 3 in row 3" in said


def test_a_full_disk_changes_nothing(folder, capsys, monkeypatch):
    line = "--method top --scores scores.npy --out p"
    assert call(capsys, f"{line} --k 3")[0] == 0
    before = {path: path.read_bytes() for path in folder.iterdir()}

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(outputs, "_described", full)
    assert "--out: p cannot be written: No space left on device" in refused(capsys, f"{line} --k 4")
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("suffix", [".npy", ".csv"])
@pytest.mark.parametrize("n", [3, 100_000])
def test_a_full_disk_is_told_by_its_name(suffix, n):
    with pytest.raises(OSError, match="No space left") as error:
        outputs._writer(Path("p"), f"p{suffix}", np.arange(n), None, None)(Path("/dev/full"))
    assert error.value.errno == 28


def test_no_room_to_unpack_names_the_folder(folder, capsys, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(arrays.shutil, "copyfileobj", full)
    monkeypatch.setenv("TMPDIR", str(folder))
    line = "--method top --k 1 --scores a.npz:scores --out p"
    assert f"--scores: {folder} has no room to unpack a.npz" in refused(capsys, line)


PAUSED = """
import sys, time
from helpers.select import outputs
from helpers.__main__ import main
def wait(*_):
    print("writing", flush=True)
    time.sleep(60)
outputs._described = wait
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_a_kill_while_writing_leaves_no_partial_file(folder, sent, code):
    np.save("p.npy", np.arange(3))
    before = Path("p.npy").read_bytes()
    line = "select --method top --k 4 --scores a.npz:scores --out p.npy --force".split()
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", PAUSED, *line]
    pipe = subprocess.PIPE
    running = subprocess.Popen(command, stdout=pipe, stderr=pipe, env=environment)
    assert running.stdout.readline() == b"writing\n"
    running.send_signal(sent)
    _, err = running.communicate(timeout=20)
    assert running.returncode == code
    assert b"Traceback" not in err
    assert Path("p.npy").read_bytes() == before
    assert not Path("p.json").exists()
    parts = [path.name for path in folder.glob(".*")]
    assert parts == ([".p.npy.part"] if sent == signal.SIGKILL else [])  # the next run takes it


def test_an_interrupt_says_that_nothing_was_written(folder, capsys, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(registry, "pick", stop)
    code, _, err = call(capsys, "--method top --k 1 --scores scores.npy --out p.npy")
    assert (code, err) == (130, "interrupted; nothing was written")


def mapped(values):
    while isinstance(values, np.ndarray) and not isinstance(values, np.memmap):
        values = values.base
    return isinstance(values, np.memmap)


@pytest.mark.parametrize("source", ["x.npy", "x.npz", "x.parquet:row", "x.parquet:a,b"])
def test_large_arrays_are_mapped_not_read(tmp_path, monkeypatch, source):
    monkeypatch.chdir(tmp_path)
    values = np.random.default_rng(0).random((50_000, 32), dtype=np.float32)
    np.save("x.npy", values)
    np.savez("x.npz", values)
    columns = {"row": lists(values), "a": values[:, 0], "b": values[:, 1]}
    pq.write_table(pa.table(columns), "x.parquet")
    expected = values if "a,b" not in source else values[:, :2]
    tracemalloc.start()
    arrow = pa.total_allocated_bytes()
    try:
        found = arrays.read(source, tmp_path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < values.nbytes / 2
    assert pa.total_allocated_bytes() - arrow < values.nbytes / 2
    assert mapped(found.values)
    assert found.values.dtype == np.float32
    np.testing.assert_array_equal(found.values, expected)
    assert {path.name for path in tmp_path.iterdir()} == {"x.npy", "x.npz", "x.parquet"}


def test_matrices_too_large_are_refused_before_they_are_made(folder, capsys, monkeypatch):
    line = "--method dpp --k 2 --features features.npy --out p.npy"
    monkeypatch.setattr(memory, "available", lambda: 10_000)
    assert "dpp would need about 0.0 GiB for the 30 x 30 kernel" in refused(capsys, line)
    line2 = "--method craig --k 3 --probs probs.npy --features features.npy --labels labels.npy"
    monkeypatch.setattr(memory, "available", lambda: 1)
    assert "last-layer gradients of 30 x 15" in refused(capsys, f"{line2} --out p.npy")
    assert call(capsys, f"{line} --force")[0] == 0
    monkeypatch.setattr(memory, "available", lambda: None)
    assert call(capsys, line)[0] == 0
    assert call(capsys, "--method random --k 2 --features features.npy --out p.npy")[0] == 0


def test_memory_needed_is_that_of_the_arrays_a_method_reads():
    shapes = {"features": (1000, 64), "probs": (1000, 10)}
    assert memory.needed("random", shapes) == (0, "")
    assert memory.needed("dpp", shapes)[0] == 48 * 1000**2
    assert memory.needed("iqp", shapes)[0] == 24 * 1000 * 10
    assert memory.needed("iqp", shapes | {"scores": (1000,)}) == (0, "")
    assert memory.needed("craig", shapes)[0] > 6 * 1000 * 650
    assert memory.needed("graph-cut", shapes)[0] > 8 * 512 * 1000


@pytest.mark.parametrize("key", ["facility-location", "graph-cut", "submodular", "ssp", "moderate"])
def test_memory_needed_grows_with_the_copies_of_the_features(key):
    needed, what = memory.needed(key, {"features": (1_280_000, 512)})
    assert 4e9 < needed < 14e9
    assert "1,280,000 x 512" in what


@pytest.mark.parametrize("key", ["craig", "grad-match"])
def test_memory_needed_for_gradients_is_that_of_the_largest_class(key):
    shapes = {"gradients": (1_280_000, 512)}
    assert memory.needed(key, shapes)[0] > 4e9
    needed, what = memory.needed(key, shapes, 1300)
    assert needed < 1e8
    assert "1,300 x 512" in what


@pytest.mark.parametrize(
    "key",
    ["facility-location", "graph-cut", "submodular", "ssp", "moderate", "craig", "grad-match"],
)
def test_memory_needed_bounds_what_is_taken(key):
    features = np.random.default_rng(0).normal(size=(4000, 256)).astype(np.float32)
    pool = Pool(np.arange(4000) // 3999, features=features, gradients=features)
    registry.pick("ssp", Pool(pool.labels[:9], features=features[:9]), 2, 0)  # imports
    shapes = {"features": features.shape, "gradients": features.shape}
    tracemalloc.start()
    try:
        registry.pick(key, pool, 2, 0)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    needed = memory.needed(key, shapes, 3999)[0]
    assert peak < needed + 16e6  # blocks whose size does not grow with the rows


def test_hours_of_pairs_are_foretold(folder, capsys, monkeypatch):
    assert memory.hours("facility-location", {"features": (1_280_000, 512)}) > 5
    by_class = memory.hours("craig", {"gradients": (1_280_000, 512)}, 1300)
    assert 0 < by_class < 0.02
    assert memory.hours("k-centers", {"features": (1_280_000, 512)}) == 0
    monkeypatch.setattr(common, "LONG", 0)
    line = "--k 3 --features features.npy --out p.npy --method"
    code, _, err = call(capsys, f"{line} facility-location")
    assert code == 0
    assert err.startswith("warning: facility-location compares all pairs of rows, about 0.0 hours")
    assert call(capsys, f"{line} k-centers")[2] == ""


def test_out_of_memory_is_one_line(folder, capsys, monkeypatch):
    def fail(*_, **__):
        raise MemoryError("Unable to allocate 9 TiB")

    monkeypatch.setattr(registry, "pick", fail)
    line = "--method top --k 1 --scores scores.npy --out p.npy"
    assert refused(capsys, line) == "error: top: out of memory (Unable to allocate 9 TiB)"


def test_memory_is_that_of_the_machine_or_the_container(tmp_path):
    assert memory.available() > 1e6
    assert memory._of_container(tmp_path) is None
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.current").write_text("700\n")
    (tmp_path / "memory.stat").write_text("anon 400\ninactive_file 300\n")
    assert memory._of_container(tmp_path) == 600
    (tmp_path / "memory.max").write_text("max\n")
    assert memory._of_container(tmp_path) is None


def test_a_method_s_warning_is_one_line_and_recorded(folder, capsys):
    np.save("wide.npy", 1e3 * np.arange(N)[:, None])
    line = "--method iqp --k 3 --scores scores.npy --features wide.npy --out p.npy"
    code, _, err = call(capsys, line)
    assert code == 0
    assert len(err.splitlines()) == 1
    assert err.startswith("warning: the Gaussian kernel vanishes")
    assert json.loads(Path("p.json").read_text())["warnings"] == [err.removeprefix("warning: ")]


def test_what_is_not_read_and_what_is_too_much_is_told(folder, capsys):
    line = "--k 3 --features features.npy --labels labels.npy --out p --method"
    code, _, err = call(capsys, f"{line} k-centers --norms norms.npy")
    assert (code, err) == (0, "warning: k-centers does not read --labels, --norms")
    assert call(capsys, f"{line} random")[2].endswith("does not read --labels, --features")
    code, _, err = call(capsys, f"{line} ids")
    assert (code, err) == (0, "")
    code, _, err = call(capsys, f"{line.replace('--k 3', '--k 1')} ids")
    told = "ids keeps 6 rows where k = 1: it rounds the share of each of 3 classes up"
    assert (code, err.startswith(f"warning: {told}")) == (0, True)
    assert told in json.loads(Path("p.json").read_text())["warnings"][0]


def test_help_tells_every_method_its_needs_and_options(capsys):
    assert main(["select", "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    for key, method in registry.METHODS.items():
        assert f" {key}: " in text
        for name, value in method_options.defaults(method).items():
            assert f"{name}={method_options._shown(value)} (" in text
    assert "needs --gradients, or --probs and --features; and --labels; gives weights" in text
    assert max(map(len, method_options.epilog().splitlines())) <= 110
    assert main(["select", "--list"]) == 0
    assert capsys.readouterr().out.strip() == method_options.listing().strip()


def test_the_examples_of_help_can_be_parsed():
    examples = method_options.EXAMPLES.replace("\\\n", "").splitlines()[1:]
    assert len(examples) == 4
    for line in examples:
        parser = argparse.ArgumentParser()
        select.add_arguments(parser)
        args = parser.parse_args(shlex.split(line)[4:])
        method = registry.get(args.method)
        options = method_options.parse(method, args.option)
        given = {name for name in inputs.SHAPES if getattr(args, name)}
        if args.data:
            method_options.check_data(method, options, 1)
        else:
            method_options.check_needs(method, options, given)
