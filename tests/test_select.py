"""``python -m helpers select`` from arrays: every format, one line an error, all or no files."""

import argparse
import hashlib
import json
import os
import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from helpers import arguments, scores, select
from helpers.__main__ import main
from helpers.select import files
from helpers.selection import registry
from helpers.selection.registry import Pool

N = 30


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


def lists(values):
    return pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder, the current one, with the same arrays as .npy, in one .npz and in t.parquet."""
    monkeypatch.chdir(tmp_path)
    arrays = made()
    for name, values in arrays.items():
        np.save(f"{name}.npy", values)
    np.savez("a.npz", short=arrays["probs"][:5], **arrays)
    np.savez_compressed("one.npz", norms=arrays["norms"])
    words = pa.array(np.array(["cat", "ant", "bee"])[arrays["labels"]])
    table = {name: pa.array(arrays[name]) for name in ("labels", "scores", "norms")}
    table |= {name: pa.array(arrays[name].tolist()) for name in ("probs", "features")}
    table |= {"gradients": lists(arrays["gradients"]), "word": words}
    table |= {"correct": pa.array(arrays["correct"].T.tolist()), "kind": words.dictionary_encode()}
    table |= {f"x{i}": pa.array(arrays["features"][:, i]) for i in range(4)}
    table |= {"e,1": table["norms"]}
    pq.write_table(pa.table(table), "t.parquet", row_group_size=7)
    return tmp_path


def call(capsys, line):
    code = main(["select", *shlex.split(line)])
    captured = capsys.readouterr()
    return code, captured.out.strip(), captured.err.strip()


def refused(capsys, line):
    """Run what must fail, and return the one line that it says; no file has come or changed."""
    before = {path: path.is_file() and path.read_bytes() for path in Path().rglob("*")}
    code, _, err = call(capsys, line)
    assert (code, len(err.splitlines())) == (2, 1), line
    assert {path: path.is_file() and path.read_bytes() for path in Path().rglob("*")} == before
    return err


def record(path="p/record.json"):
    return json.loads(Path(path).read_text(encoding="utf-8"))


PICKS = [
    ("random", "--k 5 --labels {labels}", 5),
    ("entropy", "--keep 0.5 --probs {probs}", 15),
    ("entropy", "--k 4 --probs {probs} --correct {correct} --option correct_only=true", 4),
    ("forgetting", "--k 4 --correct {correct}", 4),
    ("ccs", "--k 4 --scores {scores} --option n_strata=5", 4),
    ("top", "--keep 1 --scores {scores}", N),
    ("k-centers", "--k 4 --features {features} --option n-initial=2", 4),
    ("ids", "--k 15 --features {features} --labels {labels}", 18),
    ("iqp", "--k 4 --scores {scores} --features {features} --option shift=none", 4),
    ("geda", "--k 9 --norms {norms} --labels {labels} --option within=random", 9),
    ("craig", "--k 9 --probs {probs} --features {features} --labels {labels}", 9),
    ("grad-match", "--k 9 --gradients {gradients} --labels {labels} --option fill=true", 9),
]


def test_every_format_gives_the_answer_of_the_registry(folder, capsys):
    arrays = made()
    for method, line, n_kept in PICKS:
        given = {name: arrays[name] for name in select.SHAPES if f"--{name} " in line}
        if method == "forgetting":
            given["forgetting"] = scores.forgetting_events(given["correct"])
        pairs = line.split(" --option ")[1:]
        options = select._options(registry.get(method), pairs)
        k = 15 if method == "ids" else n_kept
        rows, weights = registry.pick(method, Pool(**{"labels": None} | given), k, 3, **options)
        for i, source in enumerate(("{}.npy", "a.npz:{}", "t.parquet:{}")):
            text = line.format(**{name: source.format(name) for name in select.SHAPES})
            out = f"{method}-{len(pairs)}-{i}"
            code, said, err = call(capsys, f"--method {method} {text} --seed 3 --out {out}")
            assert (code, err) == (0, ""), line
            assert f"{n_kept} of 30 rows" in said
            np.testing.assert_array_equal(np.load(f"{out}/rows.npy"), rows)
            table = pd.read_csv(f"{out}/rows.csv")
            assert table["row"].tolist() == rows.tolist()
            assert set(table) == ({"row"} if weights is None else {"row", "weight"})
            assert Path(out, "weights.npy").exists() == (weights is not None)
            if weights is not None:
                np.testing.assert_array_equal(np.load(f"{out}/weights.npy"), weights)
                np.testing.assert_array_equal(table["weight"], weights)


def test_every_method_runs_on_what_its_help_names(folder, capsys):
    assert main(["select", "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    for method in registry.METHODS:
        assert f" {method}: " in text
        for i, way in enumerate(registry.ways(method, {})):
            flags = " ".join(f"--{name} {name}.npy" for name in way or {"scores"})
            code, _, err = call(capsys, f"--method {method} {flags} --k 6 --out {method}{i}.npy")
            assert code == 0, err
            rows = np.load(f"{method}{i}.npy")
            assert len(set(rows.tolist())) == len(rows) == (9 if method == "ids" else 6)


def test_arrays_of_any_type_and_order_are_read_and_an_npy_is_mapped(folder):
    values = made()["features"]
    kind = pa.fixed_shape_tensor(pa.float32(), [4])
    tensor = pa.ExtensionArray.from_storage(kind, lists(values).cast(kind.storage_type))
    pq.write_table(pa.table({"x": tensor}), "tensor.parquet")
    for name, stored in {"f16": values.astype(np.float16), "big": values.astype(">f8"),
                         "fortran": np.asfortranarray(values)}.items():  # fmt: skip
        np.save(f"{name}.npy", stored)
        found, _ = files.read("features", f"{name}.npy")
        assert isinstance(found, np.memmap)
        np.testing.assert_array_equal(found, stored)
    for source in ("tensor.parquet", "t.parquet:x0,x1,x2,x3", "t.parquet:features"):
        np.testing.assert_array_equal(files.read("features", source)[0], values)
    words = np.array(["cat", "ant", "bee"])[made()["labels"]]
    np.save("words.npy", words)
    for source in ("words.npy", "t.parquet:word", "t.parquet:kind"):
        found, told = files.read("labels", source)
        assert told["classes"] == ["ant", "bee", "cat"]
        assert np.array(told["classes"])[found].tolist() == words.tolist()
    assert files.read("features", "t.parquet:x0")[0].shape == (N, 1)
    assert files.read("norms", "t.parquet:e,1")[0].shape == (N,)
    assert files.read("correct", "t.parquet:correct")[0].shape == (5, N)


def test_keep_is_the_nearest_count_of_the_share_as_written():
    asked = {("0.5", 7): 4, ("1/3", 7): 2, ("1", 7): 7, ("1e-9", 7): 1, ("9/14", 7): 4}
    asked["0.145", 300] = 44  # 43.5, and 44 is even; 0.145 * 100 < 14.5 as floats
    for (keep, n), k in asked.items():
        assert select._count(argparse.Namespace(k=None, keep=arguments.share(keep)), n) == k


E1 = "--method entropy --k 1 --probs"
GEDA = "--method geda --k 1"
# a line to its argument or file, as the error must name it
ERRORS = {
    "--method nothing --k 1 --probs probs.npy": "nothing",
    f"{E1} probs.npy --seed -1": "--seed",
    "--method entropy --k 31 --probs probs.npy": "--k must lie in 1..30",
    "--method entropy --keep nan --probs probs.npy": "--keep",
    "--method entropy --probs probs.npy": "--k --keep",
    f"{GEDA} --norms norms.npy": "geda needs --labels and --norms",
    f"{E1} probs.npy --option correct_only=true": "--correct, or --labels",
    f"{E1} no.npz:x": "--probs: there is no file no.npz",
    f"{E1} a.npz": "--probs: a.npz",
    f"{E1} t.parquet:word": "--probs: t.parquet:word must hold numbers",
    f"{E1} damaged.npy": "--probs: damaged.npy",
    f"{E1} damaged.npz:a": "--probs: damaged.npz",
    f"{E1} damaged.parquet:a": "--probs: damaged.parquet",
    f"{E1} pickled.npy": "--probs: pickled.npy",
    f"{E1} empty.npy": "--probs: empty.npy",
    f"{E1} nulls.parquet:inner": "missing values",
    f"{E1} nulls.parquet:ragged": "one length",
    f"{E1} features.npy": "probs must not be negative",
    f"{E1} a.npz:short --features features.npy": "features must have 5 rows as probs, got 30",
    "--method top --k 1 --scores low.npy": "scores must be numbers above -inf",
    "--method k-centers --k 1 --features late.npy": "features must be finite",
    f"{GEDA} --norms norms.npy --labels half.npy": "--labels must be whole",
    "--method forgetting --k 1 --correct labels.npy": "correct must have shape (epochs, n)",
    f"{E1} probs.npy --option x": "--option takes NAME=VALUE",
    f"{GEDA} --norms norms.npy --labels labels.npy --option n_nodes=x": "option n_nodes",
    "--method iqp --k 2 --scores scores.npy --features huge.npy": "features are too large",
    f"{E1} probs.npy --out p.txt": "--out",
    f"{E1} probs.npy --out no/p.npy": "--out: no is no folder",
    f"{E1} probs.npy --out /dev/null": "--out: /dev/null",
    f"{E1} probs.npy --data digits": "--probs",
    f"{E1} probs.npy --proxy resnet8": "--proxy needs --data",
}


@pytest.fixture
def faults(folder):
    """Files that cannot be used."""
    for name in ("damaged.npy", "damaged.npz", "damaged.parquet"):
        Path(name).write_bytes(b"nonsense")
    np.save("pickled.npy", np.array([{}], dtype=object), allow_pickle=True)
    late, low = np.zeros((1_000_000, 2), dtype=np.float16), made()["scores"]
    late[700_000], low[2] = np.nan, -np.inf
    values = {"empty": np.ones((0, 3)), "late": late, "low": low, "half": np.arange(N) / 2,
              "huge": made()["features"] * np.float64(1e200)}  # fmt: skip
    for name, array in values.items():
        np.save(f"{name}.npy", array)
    columns = {"inner": [[0.5, 0.5], [1.0, None]], "ragged": [[1.0, 0.0], [1.0]]}
    pq.write_table(pa.table(columns), "nulls.parquet")


@pytest.mark.usefixtures("faults")
@pytest.mark.filterwarnings("error")
def test_errors_are_one_line_that_names_the_argument_and_nothing_is_written(capsys):
    for line, named in ERRORS.items():
        assert named in refused(capsys, line if "--out" in line else f"{line} --out p.npy"), line
    assert "--out" in refused(capsys, f"{E1} probs.npy")


def test_the_record_says_what_was_done(folder, capsys):
    line = "--method geda --keep 1/3 --norms one.npz --labels t.parquet:word --seed 7 --out p.csv"
    assert call(capsys, f"{line} --option n_nodes=4")[0] == 0
    found = record("p.json")
    assert found.items() >= {"method": "geda", "seed": 7, "k": 10, "n": N, "n_selected": 10}.items()
    assert (found["options"]["n_nodes"], found["options"]["within"]) == (4, "spread")
    sums = {name: hashlib.sha256(Path(name).read_bytes()).hexdigest()
            for name in ("one.npz", "p.csv")}  # fmt: skip
    assert found["inputs"]["norms"] == {
        "file": "one.npz", "key": "", "shape": [N], "sha256": sums["one.npz"]}  # fmt: skip
    assert found["inputs"]["labels"]["classes"] == ["ant", "bee", "cat"]
    assert found["outputs"] == {"p.csv": sums["p.csv"]}
    assert sorted(p.name for p in folder.glob("p*")) == ["p.csv", "p.json", "probs.npy"]


def test_another_selection_is_never_replaced_unless_forced(folder, capsys):
    line = "--gradients gradients.npy --labels labels.npy --out"
    for out, weights in {"p": "p/weights.npy", "q.npy": "q-weights.npy"}.items():
        assert call(capsys, f"--method craig --k 6 {line} {out}")[0] == 0
        assert call(capsys, f"--method craig --k 6 {line} {out}")[0] == 0  # the very same
        assert Path(weights).exists()
        for other in ("--method craig --k 7", "--method random --k 6"):
            assert f"--out: {out} or its record exists" in refused(capsys, f"{other} {line} {out}")
        assert call(capsys, f"--method random --k 6 {line} {out} --force")[0] == 0
        assert not Path(weights).exists()  # it would be taken for this one's
    assert "q.csv or its record" in refused(capsys, f"--method random --k 5 {line} q.csv")
    for stranger in ("scores.npy", "labels.csv", "notes"):
        Path("labels.json").write_text('{"outputs": {"labels.npy": ""}}')
        Path("notes").mkdir(exist_ok=True)
        Path("notes/mine.txt").write_text("mine")
        assert "--out" in refused(capsys, f"--method random --k 6 {line} {stranger}")
    assert call(capsys, f"--method random --k 6 {line} notes --force")[0] == 0
    assert Path("notes/mine.txt").read_text() == "mine"


def test_an_input_is_never_overwritten(folder, capsys):
    os.link("scores.npy", "linked.npy")
    for out in ("scores.npy", "linked.npy", "./scores.npy"):
        line = f"--method top --k 3 --scores scores.npy --out {out} --force"
        assert "would overwrite an input" in refused(capsys, line)


def test_a_full_disk_an_interrupt_and_too_little_memory_write_nothing(folder, capsys, monkeypatch):
    line = "--method top --scores scores.npy --k 3 --out"
    for error, code, named in (
        (KeyboardInterrupt(), 130, "nothing was written"),
        (MemoryError("Unable to allocate 9 TiB"), 2, "top: out of memory"),
    ):
        monkeypatch.setattr(
            registry, "pick", lambda *_, error=error, **__: (_ for _ in ()).throw(error)
        )
        found, _, err = call(capsys, f"{line} p")
        assert (found, Path("p").exists()) == (code, False)
        assert named in err
    monkeypatch.undo()
    monkeypatch.chdir(folder)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    for out in ("p", "p.npy"):
        assert f"--out: {out} cannot be written: No space left" in refused(capsys, f"{line} {out}")


def test_what_is_not_read_is_told_and_a_warning_is_recorded(folder, capsys):
    line = "--k 3 --features features.npy --labels labels.npy --norms norms.npy --out p --method"
    told = "k-centers does not read --labels, --norms"
    assert call(capsys, f"{line} k-centers")[2] == f"warning: {told}"
    assert record()["warnings"] == [told]
    np.save("wide.npy", 1e3 * np.arange(N)[:, None])
    line = "--method iqp --k 3 --scores scores.npy --features wide.npy --out w"
    assert call(capsys, line)[2].startswith("warning: the Gaussian kernel vanishes")
    assert len(record("w/record.json")["warnings"]) == 1
