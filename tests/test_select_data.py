"""``select --data``: a proxy of one's own images, once; rows, files, record and page."""

import csv
import json
import os
import shlex
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from helpers import compute, data, progress, readings, results, scores, specs
from helpers.__main__ import main
from helpers.select import from_data, outputs, places, proxies
from helpers.selection import registry
from helpers.store import Store
from tests.test_report import Outline

N = 300
QUICK = "--proxy resnet8-w8 --epochs 2"


def write_digits(folder, n=N, classes="{}"):
    """Write scikit-learn's digits as class folders of PNG files."""
    from sklearn import datasets

    levels, labels = datasets.load_digits(return_X_y=True)
    pixels = np.rint(levels * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8)
    for i in range(n):
        place = folder / classes.format(labels[i])
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels[i]).save(place / f"{i}.png")
    return folder


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """A folder of 300 digits in ten class folders."""
    return write_digits(tmp_path_factory.mktemp("data") / "digits")


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A store that the tests of this module share, so that one proxy serves many."""
    return tmp_path_factory.mktemp("store")


@pytest.fixture
def here(tmp_path, monkeypatch, shared):
    """An empty current folder, and the shared store."""
    place = tmp_path / "here"
    place.mkdir()
    monkeypatch.chdir(place)
    monkeypatch.setenv("STUDY_STORE", str(shared))
    monkeypatch.setattr(data.names, "DEFAULT_ROOT", tmp_path / "raw")
    return place


def call(capsys, line):
    code = main(["select", *shlex.split(line)])
    captured = capsys.readouterr()
    return code, captured.out.strip(), captured.err.strip()


def warned(err):
    return [line.removeprefix("warning: ") for line in err.splitlines() if "warning: " in line]


def refused(capsys, line, where="."):
    """Run what must fail, and return the one line that it says; no file has come."""
    before = sorted(Path(where).iterdir())
    code, _, err = call(capsys, line)
    assert code == 2
    errors = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert errors[0] == err.splitlines()[-1]
    assert sorted(Path(where).iterdir()) == before
    return errors[0]


def no_training(monkeypatch):
    from helpers import training

    def refuse(*_, **__):
        raise AssertionError("a proxy is trained that is stored or not needed")

    monkeypatch.setattr(training, "fit", refuse)


def table(path):
    with open(path, encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def test_a_folder_becomes_rows_files_record_and_page(here, digits, capsys, monkeypatch):
    line = f"--data folder:{digits} --method forgetting --keep 0.5 {QUICK}"
    code, out, err = call(capsys, line)
    assert code == 0, err
    assert "a fifth of each class, only test the proxy" in out
    dataset = data.load(f"folder:{digits}")
    n, k = dataset.n, round(dataset.n / 2)
    stem = f"digits-forgetting-{k}-resnet8-w8-2-epochs"
    kinds = (".npy", ".csv", "-files.txt", ".html", ".json")
    assert {path.name for path in here.iterdir()} == {stem + kind for kind in kinds}
    rows, record = np.load(f"{stem}.npy"), json.loads(Path(f"{stem}.json").read_text())
    run = proxy_of(record, dataset)
    expected = {"n": n, "k": k, "n_selected": k, "method": "forgetting", "keep": 0.5}
    assert record.items() >= expected.items()
    assert record["proxies"][0]["test_acc"] == run.metrics["test_acc"]
    pool = compute.pool_of([run], dataset.train_labels, np.arange(n))
    assert rows.tolist() == registry.select("forgetting", pool, k, 0).tolist()
    files = Path(f"{stem}-files.txt").read_text().splitlines()
    assert [Path(file).parent.name for file in files] == [
        dataset.class_names[label] for label in dataset.train_labels[rows]
    ]
    assert [(int(r["row"]), r["file"]) for r in table(f"{stem}.csv")] == list(zip(rows, files))
    for row, file in zip(rows[:20], files):
        assert (np.asarray(Image.open(digits / file)) == dataset.train_inputs[row, 0]).all()
    check_page(f"{stem}.html", record, dataset, rows)
    no_training(monkeypatch)
    before = {path: path.read_bytes() for path in here.iterdir() if path.suffix != ".json"}
    code, out, _ = call(capsys, line)
    assert code == 0
    assert "found in the store" in out
    for path, content in before.items():
        assert path.suffix == ".html" or path.read_bytes() == content


def proxy_of(record, dataset):
    described = record["proxies"][0]
    names = ("model", "recipe", "epochs", "seed")
    spec = specs.Train(dataset.name, *(described[name] for name in names),
                       record_at=(0, described["epochs"]))  # fmt: skip
    found = results.load(spec, complete=True)
    assert found.key == described["key"]
    return found


def check_page(path, record, dataset, rows):
    page = Path(path).read_text(encoding="utf-8")
    assert len(page) < 3_000_000
    found = Outline(page)
    kept = np.bincount(dataset.train_labels[rows], minlength=10)
    sizes = np.bincount(dataset.train_labels, minlength=10)
    shown = {row[0]: [int(v) for v in row[1:3]] for row in found.cells[1:]}
    for c, name in enumerate(dataset.class_names):
        assert shown[name] == [kept[c], sizes[c] - kept[c]]
    assert record["command"] in found.text
    assert f"{record['proxies'][0]['test_acc']:.1%}" in found.text
    assert f"{len(rows):,} in place of {dataset.n:,}" in found.text


def test_the_command_of_the_record_does_the_same_again(here, digits, capsys):
    line = f"--data folder:{digits} --method ccs --option n_strata=5 --k 40 {QUICK} --out a"
    assert call(capsys, line)[0] == 0
    rows, record = np.load("a.npy"), json.loads(Path("a.json").read_text())
    words = shlex.split(record["command"])
    assert words[:4] == ["python", "-m", "helpers", "select"]
    Path("a.npy").unlink()
    assert main(words[3:]) == 0
    capsys.readouterr()
    assert np.load("a.npy").tolist() == rows.tolist()
    again = json.loads(Path("a.json").read_text())
    volatile = {"total_seconds", "peak_memory_bytes", "outputs"}
    assert {k: v for k, v in again.items() if k not in volatile} == {
        k: v for k, v in record.items() if k not in volatile
    }


@pytest.mark.parametrize("method", [key for key in registry.METHODS if key != "top"])
def test_every_method_that_works_from_a_proxy(here, digits, capsys, method):
    line = f"--data folder:{digits} --method {method} --k 40 {QUICK} --out p"
    code, _, err = call(capsys, line)
    assert code == 0, err
    rows = np.load("p.npy")
    assert len(set(rows.tolist())) == len(rows)
    # ids adds a prototype a class, and rounds inside every class
    assert 40 < len(rows) <= 60 if method == "ids" else len(rows) == 40
    assert Path("p-weights.npy").exists() == registry.get(method).is_weighted
    Outline(Path("p.html").read_text(encoding="utf-8"))
    assert len(table("p.csv")) == len(rows)


def test_several_proxies_are_combined_by_rank(here, digits, capsys):
    line = f"--data folder:{digits} --method entropy --k 30 {QUICK} --proxies 2 --seed 3 --out p"
    code, out, _ = call(capsys, line)
    assert code == 0
    assert "proxy 2 of 2" in out
    record, dataset = json.loads(Path("p.json").read_text()), data.load(f"folder:{digits}")
    assert [proxy["seed"] for proxy in record["proxies"]] == [3, 4]
    runs = [Store().read(proxy["key"]) for proxy in record["proxies"]]
    ranks = scores.combine_ranks([readings.score("entropy", run, dataset.n) for run in runs])
    rows = np.load("p.npy")
    assert ranks[rows].min() >= np.delete(ranks, rows).max()
    page = Path("p.html").read_text()
    assert "the mean rank of entropy over 2 proxies" in page


def test_a_random_choice_trains_nothing(here, digits, capsys, monkeypatch):
    no_training(monkeypatch)
    line = f"--data folder:{digits} --method random --keep 0.1 --seed 5"
    code, out, _ = call(capsys, line)
    assert code == 0
    assert "proxy: none" in out
    assert "Some that were kept" in next(here.glob("*.html")).read_text()
    assert json.loads(next(here.glob("*.json")).read_text())["proxies"] == []


def test_images_that_change_are_learnt_anew_and_nothing_is_deleted(tmp_path, here, capsys):
    folder = write_digits(tmp_path / "mine", 120)
    line = f"--data folder:{folder} --method el2n --k 20 {QUICK} --out p"
    assert call(capsys, line)[0] == 0
    first = json.loads(Path("p.json").read_text())
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(folder / "3" / "new.png")
    code, out, err = call(capsys, line)
    assert code == 0
    assert not any("damaged" in text for text in warned(err))
    assert "found in the store" not in out
    second = json.loads(Path("p.json").read_text())
    assert first["data"]["fingerprint"] != second["data"]["fingerprint"]
    assert first["proxies"][0]["key"] == second["proxies"][0]["key"]
    aside = [path.name.split("-")[0] for path in (Store().path / "damaged").iterdir()]
    assert first["proxies"][0]["key"] in aside


def test_what_is_trained_survives_an_interrupt(here, digits, capsys, monkeypatch):
    line = f"--data folder:{digits} --method margin --k 30 {QUICK} --proxies 2 --seed 20 --out p"
    execute, done = results.execute, []

    def once(spec, device):
        if done:
            raise KeyboardInterrupt
        done.append(execute(spec, device))

    monkeypatch.setattr(results, "execute", once)
    code, _, err = call(capsys, line)
    assert code == 130
    assert "what was trained is stored, the same command goes on" in err
    assert list(here.iterdir()) == []
    monkeypatch.setattr(results, "execute", execute)
    code, out, _ = call(capsys, line)
    assert code == 0
    first, second = [line for line in out.splitlines() if " of 2: " in line]
    assert first.startswith("proxy 1 of 2: resnet8-w8 seed 20, 2 epochs: found in the store")
    assert second.startswith("proxy 2 of 2: resnet8-w8 seed 21, 2 epochs: trained in")


def test_classes_that_vanish_are_warned_of_by_name(tmp_path, here, capsys):
    folder = write_digits(tmp_path / "odd", 120, classes="<script>{}")
    line = f"--data folder:{folder} --method entropy --k 3 {QUICK} --out p"
    code, _, err = call(capsys, line)
    assert code == 0
    told = warned(err)
    assert "3 rows are fewer than the 10 classes: some will vanish" in told
    record, page = json.loads(Path("p.json").read_text()), Path("p.html").read_text()
    gone = [entry["class"] for entry in record["per_class"] if not entry["kept"]]
    assert len(gone) >= 7
    assert any(gone[0] in line and "vanish from the subset" in line for line in told)
    assert set(record["warnings"]) <= set(told)
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_a_name_that_is_no_utf8_is_told(tmp_path, here, capsys):
    folder = write_digits(tmp_path / "bytes", 40)
    try:
        (folder / "7").rename(folder / os.fsdecode(b"caf\xe9"))
    except OSError:
        pytest.skip("needs a file system that takes any bytes as a name")
    said = refused(capsys, f"--data folder:{folder} --method el2n --k 5 {QUICK}")
    assert "expected names of files in UTF-8, got" in said


def test_a_proxy_that_learnt_nothing_is_warned_of(tmp_path, here, capsys):
    rng, folder = np.random.default_rng(0), tmp_path / "noise"
    for i in range(40):
        place = folder / "ab"[i % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (8, 8), dtype=np.uint8)).save(place / f"{i}.png")
    code, _, err = call(capsys, f"--data folder:{folder} --method el2n --k 9 {QUICK} --out p")
    assert code == 0
    assert any("its scores say little" in line for line in warned(err))


def test_one_image_a_class(tmp_path, here, capsys):
    single = write_digits(tmp_path / "single", 10)
    line = f"--method forgetting --k 5 {QUICK} --out p"
    said = refused(capsys, f"--data folder:{single} {line}")
    assert "has one row and no split is given" in said
    split = tmp_path / "split"
    write_digits(split / "train", 10)
    write_digits(split / "test", 30)
    code, out, err = call(capsys, f"--data folder:{split} {line}")
    assert code == 0
    assert "only test the proxy" not in out
    assert any("vanish from the subset" in text for text in warned(err))
    assert all(row["file"].startswith("train/") for row in table("p.csv"))


def broken(folder):
    write_digits(folder, 30)
    (folder / "3" / "torn.png").write_bytes(b"\x89PNG nonsense")
    return folder


FAULTS = [
    ("folder:{empty} --method el2n --k 5", "holds no class folder with images"),
    ("folder:{broken} --method el2n --k 5", "1 of 31 images cannot be read"),
    ("folder:nowhere --method el2n --k 5", "--data: folder:"),
    ("nothing --method el2n --k 5", "--data: unknown data set 'nothing'"),
    ("folder:{line} --method el2n --k 5", "without line breaks"),
    ("folder:{digits} --method top --k 5", "top needs --scores, which no proxy gives"),
    ("folder:{digits} --method el2n --keep 0.001", "--keep 0.001 keeps none of 240 rows"),
    ("folder:{digits} --method el2n --k 241", "--k must lie in 1..240, got 241"),
    ("folder:{digits} --method el2n --k 5 --out no/p", "--out: there is no folder no"),
    ("folder:{digits} --method el2n --k 5 --out p.txt", "--out must end in .npy or .csv"),
    ("folder:{digits} --method el2n --k 5 --report p.pdf", "--report must end in .html"),
    ("folder:{digits} --method el2n --k 5 --report no/p.html", "--report: there is no folder no"),
    ("folder:{digits} --method el2n --k 5 --out kept", "kept.html exists and is no report"),
    ("folder:{digits} --method el2n --k 5 --out mine", "mine-files.txt exists and is in no record"),
    ("folder:{digits} --method el2n --k 5 --proxy resnet9", "unknown model 'resnet9'"),
    ("folder:{digits} --method el2n --k 5 --recipe none", "unknown recipe 'none'"),
    ("folder:{digits} --method el2n --k 5 --recipe small-b064", "unknown recipe 'small-b064'"),
    ("folder:{digits} --method el2n --k 5 --recipe text-b64", "--recipe: text-b64 is for texts"),
    ("folder:{digits} --method el2n --k 5 --proxy fasttext", "--proxy: fasttext is for texts"),
    ("folder:{digits} --method el2n --k 05", "--k: must be a whole number from 0 upwards, got 05"),
    ("folder:{digits} --method el2n --keep 0_5", "--keep: must lie in (0, 1], got 0_5"),
    ("folder:{digits} --method el2n --kee 0.5", "one of the arguments --k --keep is required"),
    ("folder:{digits} --method el2n --k 5 --epochs 0", "--epochs: must be a whole number from 1"),
    ("folder:{digits} --method el2n --k 5 --device tpu", "--device: tpu is not one of"),
    ("folder:{digits} --method k-centers --k 5 --proxies 2", "k-centers takes one"),
    ("folder:{digits} --method entropy --k 5 --proxies 2 --option correct_only=true",
     "--proxies goes with no --option, got correct_only"),
    ("folder:{digits} --method geda --k 5 --option n_nodes=1 --epochs 2 --proxy resnet8-w8",
     "n_nodes"),
]  # fmt: skip


def test_faults_are_one_line_and_leave_nothing_behind(tmp_path, here, digits, capsys):
    places = {"digits": digits, "empty": tmp_path / "empty", "broken": broken(tmp_path / "broken")}
    places["empty"].mkdir()
    places["line"] = write_digits(tmp_path / "line", 30)
    next((places["line"] / "3").iterdir()).rename(places["line"] / "3" / "a\nb.png")
    Path("kept.html").write_text("<p>mine</p>")
    Path("mine-files.txt").write_text("mine")
    for line, message in FAULTS:
        said = refused(capsys, f"--data {line.format(**places)}")
        assert message in said, line


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs a folder that nobody can write to")
def test_a_folder_that_cannot_be_written_is_told_before_training(here, digits, capsys, monkeypatch):
    no_training(monkeypatch)
    line = f"--data folder:{digits} --method el2n --k 5 --epochs 3"
    assert "--out: /proc cannot be written" in refused(capsys, f"{line} --out /proc/p")
    assert "--report: /proc cannot be" in refused(capsys, f"{line} --report /proc/p.html")


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs a folder that nobody can write to")
def test_a_store_that_cannot_be_written_is_told_before_training(here, digits, capsys, monkeypatch):
    no_training(monkeypatch)
    monkeypatch.setenv("STUDY_STORE", "/proc/store")
    said = refused(capsys, f"--data folder:{digits} --method el2n --k 5 --epochs 4")
    assert "the store /proc/store cannot be written" in said


def test_a_full_disk_keeps_what_was_trained(here, digits, capsys, monkeypatch):
    line = f"--data folder:{digits} --method el2n --k 5 {QUICK} --out p"

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(outputs, "_described", full)
        said = refused(capsys, line)
    assert "--out: p cannot be written: No space left" in said
    no_training(monkeypatch)
    assert call(capsys, line)[0] == 0


def test_a_report_elsewhere_and_an_earlier_one(here, digits, capsys):
    line = f"--data folder:{digits} --method el2n --k 5 {QUICK} --out p.npy"
    assert call(capsys, line)[0] == 0
    (here / "pages").mkdir()
    assert call(capsys, f"{line} --report pages/all.html")[0] == 0
    assert not Path("p.html").exists()  # it would be taken for this selection's
    assert not Path("p.csv").exists()
    assert Path("pages/all.html").exists()
    assert "pages/all.html" in json.loads(Path("p.json").read_text())["outputs"]
    assert call(capsys, f"{line} --report pages/all.html")[0] == 0


def test_other_data_of_the_same_name_replace_nothing(tmp_path, here, capsys):
    for place, n in (("one", 60), ("two", 80)):
        write_digits(tmp_path / place / "photos", n)
        assert (
            main(
                f"select --data folder:{tmp_path / place / 'photos'} --method random --k 9".split()
            )
            == 0
        )
    first, second = sorted(here.glob("*.json"), key=lambda path: len(path.name))
    assert first.name == "photos-random-9.json"
    record = json.loads(second.read_text())
    assert second.stem == f"photos-random-9-{record['data']['fingerprint'][:8]}"
    again = f"select --data folder:{tmp_path / 'one' / 'photos'} --method random --k 9"
    assert main(again.split()) == 0
    assert len(list(here.glob("*.json"))) == 2
    capsys.readouterr()
    assert main(f"{again} --out other --report photos-random-9.html".split()) == 2
    assert "is the page of an earlier selection" in capsys.readouterr().err


def test_rsync_takes_no_name_for_a_comment(tmp_path, here):
    write_digits(tmp_path / "photos", 60, "#{}")
    assert main(f"select --data folder:{tmp_path / 'photos'} --method random --k 9".split()) == 0
    lines = (here / "photos-random-9-files.txt").read_text().splitlines()
    assert len(lines) == 9
    for line in lines:
        assert line.startswith("./#")
        assert (tmp_path / "photos" / line).is_file()


def test_a_network_that_there_is_not_is_told_before_training(here, digits, capsys):
    asked = f"select --data folder:{digits} --method entropy --k 9 --proxy nope"
    assert main(asked.split()) == 2
    told = capsys.readouterr()
    assert "--proxy: unknown model" in told.err
    assert "epochs" not in told.out


def test_rows_of_a_single_parquet_file_are_named(tmp_path, here, digits, capsys):
    files = sorted(path for path in digits.rglob("*") if path.suffix == ".png")[::3]
    labels = np.array([int(file.parent.name) for file in files])
    table_ = {"image": [file.read_bytes() for file in files], "label": labels}
    pq.write_table(pa.table(table_), tmp_path / "d.parquet")
    name = f"parquet:{tmp_path / 'd.parquet'}"
    code, _, err = call(capsys, f"--data {name} --method el2n --k 20 {QUICK}")
    assert code == 0, err
    dataset, rows = data.load(name), np.load("d-el2n-20-resnet8-w8-2-epochs.npy")
    places = [int(row["source_row"]) for row in table("d-el2n-20-resnet8-w8-2-epochs.csv")]
    assert labels[places].tolist() == dataset.train_labels[rows].tolist()
    kept = np.asarray(Image.open(files[places[0]]))
    assert (kept == dataset.train_inputs[rows[0], 0]).all()
    assert Path("d-el2n-20-resnet8-w8-2-epochs-source-rows.txt").read_text().split() == [
        str(p) for p in places
    ]


def test_strings_are_classes_that_the_record_and_the_page_name(tmp_path, here, capsys):
    words = {"hübsch": "good bright fine", "arg": "bad awful dull"}
    lines = [f"{label},film {i} is {words[label]}" for i, label in enumerate([*words] * 30)]
    place = tmp_path / "Müller-Filme.csv"
    place.write_text("label,text\n" + "\n".join(lines) + "\n", encoding="utf-8")
    for more in ("", " --recipe text-small-b8", " --proxy fasttext-b10"):
        code, _, err = call(capsys, f"--data text:{place} --method margin --k 20 --epochs 1{more}")
        assert code == 0, err
    stem = "Müller-Filme-margin-20"
    stems = {f"{stem}-1-epochs", f"{stem}-text-small-b8-1-epochs", f"{stem}-fasttext-b10-1-epochs"}
    assert {path.stem for path in Path().glob("*.html")} == stems
    record = json.loads(Path(f"{stem}-1-epochs.json").read_text())
    assert [row["class"] for row in record["per_class"]] == ["arg", "hübsch"]
    assert "hübsch" in Path(f"{stem}-1-epochs.html").read_text(encoding="utf-8")
    rows, labels = table(f"{stem}-1-epochs.csv"), data.load(f"text:{place}").train_labels
    for row in rows:
        word = lines[int(row["source_row"])].partition(",")[0]
        assert sorted(words)[labels[int(row["row"])]] == word


def test_a_name_written_with_a_sign_of_its_own_for_the_umlaut_is_the_same_name():
    assert (
        from_data.default_out("folder:/a/Mu\u0308ller & Co", "el2n", 5) == "M\u00fcller-Co-el2n-5"
    )
    assert from_data.default_out("folder:/a/写真", "el2n", 5) == "写真-el2n-5"
    assert from_data.default_out("folder:/a/&", "el2n", 5, ["sigma=0.5"]) == "data-el2n-5-sigma-0-5"


def test_texts_are_read_by_a_proxy_for_texts(tmp_path, here, capsys):
    words = {0: "bad awful dull", 1: "good bright fine"}
    lines = [f'{i % 2},"film {i} is {words[i % 2]} <b>"' for i in range(100)]
    (tmp_path / "t.csv").write_text("label,text\n" + "\n".join(lines) + "\n")
    line = f"--data text:{tmp_path / 't.csv'} --method margin --k 20 --epochs 3"
    code, out, err = call(capsys, line)
    assert code == 0, err
    assert "proxy: fasttext, recipe fasttext-small, 3 epochs" in out
    for row in table("t-margin-20-3-epochs.csv"):
        assert int(row["source_row"]) < 100
    page = Path("t-margin-20-3-epochs.html").read_text()
    assert "&lt;b&gt;" in page
    assert "<img" not in page
    assert Outline(page).text.count("film ") == 36


def some(n, size, channels=3):
    pixels = np.broadcast_to(np.zeros((), np.uint8), (n, channels, size, size))
    labels = np.arange(n, dtype=np.int64) % 2
    return data.Dataset("x", pixels, labels, pixels[:2], labels[:2], ("a", "b"))


def test_the_proxy_fits_the_images_and_their_number():
    found = {
        (n, size): proxies.model_for(some(n, size))
        for n, size in ((300, 8), (300, 32), (50_000, 32), (300, 224), (50_000, 224))
    }
    assert found == {
        (300, 8): "resnet8",
        (300, 32): "resnet8",
        (50_000, 32): "resnet20",
        (300, 224): "resnet18-imagenet-w16",
        (50_000, 224): "resnet18-imagenet-w32",
    }
    assert proxies.recipe_for(some(10, 32)) == "small"
    assert proxies.recipe_for(some(10, 32, 1)) == proxies.recipe_for(some(10, 8)) == "digits"
    assert [proxies.recipe_for(some(10, side)) for side in (100, 101)] == [
        "small",
        "imagenet-small",
    ]
    assert proxies.recipe_for(some(10, 224, 1)) == "digits"
    found = [proxies.epochs_for(some(n, 32), "small") for n in (100, 8_000, 10**5)]
    assert found == [50, 25, 10]
    assert proxies.epochs_for(some(2_000, 224), "small") == 30  # whole images cost more
    assert proxies.epochs_for(some(8_000, 224), "imagenet-small") == 25


def test_the_default_network_can_be_built_and_its_choice_is_said(here, digits, capsys):
    code, out, _ = call(capsys, f"--data folder:{digits}@100+50 --method random --k 5")
    assert code == 0
    assert data.load(f"folder:{digits}@100+50").n == 100
    line = f"--data folder:{digits}@100+50 --method el2n --k 5 --epochs 1"
    code, out, _ = call(capsys, line)
    assert code == 0
    assert "proxy: resnet8, recipe digits, 1 epochs (--proxy, --recipe chosen for 100 rows" in out


def test_paths_hold_in_any_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert places.absolute("folder:a/../b@3+2") == f"folder:{tmp_path}/b@3+2"
    assert places.absolute("cifar10@3+2") == "cifar10@3+2"


def test_progress_reads_the_newest_checkpoint(tmp_path, monkeypatch):
    monkeypatch.setenv("STUDY_STORE", str(tmp_path))
    spec = specs.Train("digits", "resnet8", "digits", 20, 0)
    assert proxies._part(spec) is None
    state = proxies._state(spec, None, None, time.time() - 5)
    assert (state["done"], state["total"], state["left_s"]) == (0, 20, None)
    place = tmp_path / "partial" / f"{specs.key(spec)}.ckpt"
    place.parent.mkdir()
    place.write_text(json.dumps({"what": "it", "epochs": [8, 20]}) + "\n")
    now = time.time()
    os.utime(place, (now, now))
    newest = proxies._part(spec)
    state = proxies._state(spec, None, newest, now - 16)
    assert state["done"] == 8
    assert state["left_s"] == pytest.approx(24, abs=1)
    resumed = proxies._state(spec, newest._replace(done=4), newest, now - 16)
    assert resumed["left_s"] == pytest.approx(48, abs=1)
    assert "8/20 · 16 s, 24 s left · resnet8, seed 0" in progress.line(state)


def study_data():
    place = os.environ.get("STUDY_DATA")
    return Path(place) / "cifar10" / "train.parquet" if place else None


@pytest.mark.skipif(
    study_data() is None or not study_data().is_file(),
    reason="needs cifar10/train.parquet in the folder named by STUDY_DATA",
)
def test_a_folder_of_photographs(tmp_path, here, capsys):
    names = "airplane automobile bird cat deer dog frog horse ship truck".split()
    batch = next(pq.ParquetFile(study_data()).iter_batches(300, columns=["image", "label"]))
    for i, row in enumerate(batch.to_pylist()):
        place = tmp_path / "photos" / names[row["label"]]
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{i}.jpg").write_bytes(row["image"]["bytes"])
    line = f"--data folder:{tmp_path / 'photos'} --method forgetting --keep 0.5 --epochs 1"
    code, out, err = call(capsys, line)
    assert code == 0, err
    assert "resnet8, recipe small" in out
    dataset = data.load(f"folder:{tmp_path / 'photos'}")
    assert dataset.train_inputs.shape[1:] == (3, 32, 32)
    page = next(here.glob("photos-forgetting-*.html"))
    record = json.loads(page.with_suffix(".json").read_text())
    check_page(page, record, dataset, np.load(page.with_suffix(".npy")))
    files = next(here.glob("*-files.txt")).read_text().splitlines()
    assert all((tmp_path / "photos" / file).is_file() for file in files)
