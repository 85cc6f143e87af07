import argparse
import json

import numpy as np
import pandas as pd
import pytest

from helpers import select
from helpers.selection import registry


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    labels = np.arange(30) % 3
    probs = rng.dirichlet(np.ones(3), 30)
    np.save("labels.npy", labels)
    np.save("probs.npy", probs.astype(np.float16))
    np.savez("many.npz", probs=probs, features=rng.normal(size=(30, 4)), short=probs[:5])
    np.savez("one.npz", norms=rng.gamma(2, 1, 30))
    np.save("correct.npy", rng.random((5, 30)) < 0.7)
    pd.DataFrame({"label": labels, "vector": list(rng.normal(size=(30, 4)))}).to_parquet(
        "t.parquet"
    )
    return tmp_path


def call(line):
    parser = argparse.ArgumentParser()
    select.build_parser(parser.add_subparsers(dest="command"))
    return select.run(parser.parse_args(["select", *line.split()]))


@pytest.mark.parametrize(
    ("line", "n_kept"),
    [
        ("--method entropy --k 7 --probs probs.npy", 7),
        ("--method entropy --keep 0.5 --probs many.npz:probs", 15),
        ("--method random --k 5 --labels labels.npy", 5),
        ("--method geda --k 9 --norms one.npz --labels labels.npy --option within=random", 9),
        ("--method k-centers --k 4 --features t.parquet:vector --option n-initial=2", 4),
        ("--method forgetting --k 4 --correct correct.npy", 4),
        ("--method ids --k 15 --features many.npz:features --labels t.parquet:label", 18),
        ("--method entropy --k 4 --probs probs.npy --correct correct.npy "
         "--option correct_only=true", 4),
        ("--method iqp --k 4 --probs probs.npy --features many.npz:features "
         "--option bandwidth=median --option shift=none", 4),
    ],
)  # fmt: skip
def test_picks_and_says_what_it_did(folder, capsys, line, n_kept):
    assert call(f"{line} --out rows.npy --seed 3") == 0
    rows = np.load("rows.npy")
    record = json.loads((folder / "rows.json").read_text())
    assert len(rows) == n_kept == record["n_selected"]
    assert record["seed"] == 3
    assert record["n_pool"] == 30
    assert all(set(i) == {"file", "shape", "dtype", "sha256"} for i in record["inputs"].values())
    assert f"{n_kept} of 30 rows" in capsys.readouterr().out
    assert sorted(p.name for p in folder.glob(".*")) == []


def test_writes_the_registry_s_answer_as_csv(folder):
    call("--method margin --k 6 --probs many.npz:probs --out rows.csv --seed 1")
    pool = registry.Pool(np.zeros(30, int), np.load("many.npz")["probs"])
    expected = registry.select("margin", pool, 6, 1)
    assert pd.read_csv("rows.csv")["row"].tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--method nothing --k 1 --probs probs.npy", "method must be one of random"),
        ("--method entropy --k 0 --probs probs.npy", "k must lie in 1..30"),
        ("--method entropy --k 31 --probs probs.npy", "k must lie in 1..30"),
        ("--method entropy --keep 1.5 --probs probs.npy", r"--keep must lie in \(0, 1\]"),
        ("--method entropy --keep nan --probs probs.npy", "--keep"),
        ("--method entropy --k 1 --labels labels.npy", "entropy needs --probs"),
        ("--method geda --k 1 --norms one.npz", "geda needs --labels"),
        ("--method forgetting --k 1 --labels labels.npy", "needs --correct"),
        ("--method random --k 1", "give at least one of --labels"),
        ("--method entropy --k 1 --probs no.npy", "there is no file no.npy"),
        ("--method entropy --k 1 --probs no.txt", "no.txt must be one of .npy, .npz, .parquet"),
        ("--method entropy --k 1 --probs many.npz", "holds probs, features, short; give one"),
        ("--method entropy --k 1 --probs many.npz:x", "got 'x'"),
        ("--method entropy --k 1 --probs t.parquet:x", "holds label, vector"),
        ("--method entropy --k 1 --probs damaged.npy", "damaged.npy cannot be read as .npy"),
        ("--method entropy --k 1 --probs damaged.npz:a", "cannot be read"),
        ("--method entropy --k 1 --probs damaged.parquet:a", "cannot be read"),
        ("--method entropy --k 1 --probs pickled.npy", "cannot be read"),
        ("--method entropy --k 1 --probs labels.npy", "probs must have shape"),
        ("--method entropy --k 1 --probs many.npz:short --labels labels.npy", "30 rows"),
        ("--method entropy --k 1 --probs probs.npy --option x", "NAME=VALUE"),
        ("--method entropy --k 1 --probs probs.npy --option x=1", "options are correct_only"),
        (
            "--method geda --k 1 --norms one.npz --labels labels.npy --option n_nodes=x",
            "must be int",
        ),
        ("--method entropy --k 1 --probs probs.npy --out rows.txt", "must end in .npy or .csv"),
        ("--method entropy --k 1 --probs probs.npy --out no/rows.npy", "there is no folder no"),
    ],
)
def test_errors_are_one_line_and_write_nothing(folder, line, message):
    for name in ("damaged.npy", "damaged.npz", "damaged.parquet"):
        (folder / name).write_bytes(b"nonsense")
    np.save("pickled.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match=message) as error:
        call(line if "--out" in line else f"{line} --out rows.npy")
    assert "\n" not in str(error.value)
    assert not list(folder.glob("rows*"))


def test_the_command_line_prints_one_line_and_exits_with_2(folder, capsys):
    main = pytest.importorskip("helpers.__main__").main
    line = ["select", "--method", "entropy", "--probs", "probs.npy", "--out", "r.npy"]
    assert main([*line, "--k", "99"]) == 2
    error = capsys.readouterr().err.strip()
    assert len(error.splitlines()) == 1
    assert "k must lie in 1..30" in error
    assert main([*line, "--k", "9"]) == 0
