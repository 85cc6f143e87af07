"""``select --data`` and notebook 07: a proxy, once; rows, files, record and a page that escapes."""

import base64
import io
import json
import re
import shlex
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from scipy.stats import hypergeom

from helpers import data, results, scores
from helpers.__main__ import main
from helpers.data import names
from helpers.data.text import as_rows
from helpers.results import readings, steps
from helpers.results.store import Store
from helpers.select import own_data
from helpers.selection import registry

QUICK = "--proxy resnet8-w8 --epochs 2"
NASTY = "<b>x</b> & $y"


def write_digits(folder, n=300, name="{}", classes=None):
    """Write scikit-learn's digits as class folders of PNG files."""
    from sklearn import datasets

    levels, labels = datasets.load_digits(return_X_y=True)
    pixels = np.rint(levels * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8)
    for i in range(n):
        place = folder / (classes or {}).get(labels[i], str(labels[i]))
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels[i]).save(place / f"{name.format(i)}.png")
    return folder


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """A folder of 300 digits, one class and all files with odd names."""
    return write_digits(
        tmp_path_factory.mktemp("data") / "photos", name="#{}", classes={3: NASTY, 4: "#4"}
    )


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A store that the tests of this module share, so that one proxy serves many."""
    return tmp_path_factory.mktemp("store")


@pytest.fixture
def here(tmp_path, monkeypatch, shared):
    """An empty current folder, and the shared store."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("STUDY_STORE", str(shared))
    monkeypatch.setattr(names, "DEFAULT_ROOT", tmp_path / "raw")
    return tmp_path / "here"


@pytest.fixture
def no_page(monkeypatch):
    monkeypatch.setattr(own_data, "page", lambda *_: b"<p>a page</p>")


def call(capsys, line):
    code = main(["select", *shlex.split(line)])
    captured = capsys.readouterr()
    return code, captured.out.strip(), captured.err.strip()


def record(folder):
    return json.loads(Path(folder, "record.json").read_text(encoding="utf-8"))


class Outline(HTMLParser):
    """The tags of a page, and its texts."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.texts = [], []
        self.feed(page)
        self.text = " ".join(self.texts)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, text):
        self.texts.append(text)


@pytest.mark.slow
def test_a_folder_becomes_rows_files_record_and_page(here, digits, capsys, monkeypatch):
    line = f"--data folder:{digits} --method forgetting --keep 0.5 {QUICK}"
    code, _, err = call(capsys, line)
    assert code == 0, err
    out, dataset = Path("photos-forgetting-120"), data.load(f"folder:{digits}")
    names = {"rows.npy", "rows.csv", "files.txt", "page.html", "record.json"}
    assert {path.name for path in out.iterdir()} == names
    rows, found = np.load(out / "rows.npy"), record(out)
    run = Store().read(found["proxies"][0]["key"])
    assert found["proxies"][0]["test_acc"] == run.metrics["test_acc"]
    pool = steps.pool_of([run], dataset.train_labels, np.arange(dataset.n))
    assert rows.tolist() == registry.pick("forgetting", pool, 120, 0)[0].tolist()
    files = (out / "files.txt").read_text().splitlines()
    named = [file.removeprefix("./") for file in files]
    assert pd.read_csv(out / "rows.csv")["file"].tolist() == named
    assert any(file.startswith("./#4/") for file in files)  # rsync takes # for a comment
    for row, file in zip(rows[:20], files, strict=False):
        assert (np.asarray(Image.open(digits / file)) == dataset.train_inputs[row, 0]).all()
    check_page((out / "page.html").read_text(encoding="utf-8"), found)
    monkeypatch.setattr(results, "execute", None)  # all is stored: nothing is computed
    monkeypatch.setattr(own_data, "page", lambda *_: b"again")
    assert main(shlex.split(found["command"])[1:]) == 0
    assert np.load(out / "rows.npy").tolist() == rows.tolist()


def check_page(page, found):
    outline = Outline(page)
    tags = [tag for tag, _ in outline.tags]
    assert not {"script", "link", "iframe", "b"} & set(tags)
    sources = [attrs["src"] for tag, attrs in outline.tags if tag == "img"]
    assert len(sources) == 36 + 1  # two galleries, one figure
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert not re.search(r"https?://|@import|url\(", re.sub(r'"data:[^"]*"', "", page))
    assert "default-src 'none'" in page
    assert NASTY in outline.text
    assert found["command"] in outline.text
    assert "import numpy" not in outline.text
    assert "Exercises" not in outline.text
    cells = [
        re.findall(r"<td[^>]*>(.*?)</td>", row) for row in re.findall(r"<tr>(.*?)</tr>", page, re.S)
    ]
    counted = {row[0]: row[1:3] for row in cells if len(row) == 5}
    for row in found["per_class"]:
        name = row["class"].replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        assert counted[name] == [str(row["kept"]), str(row["dropped"])]


@pytest.mark.slow
def test_the_notebook_runs_on_its_defaults(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("STUDY_STORE", str(tmp_path / "store"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    line = "study --profile smoke --only 07 -p n_trainings=1 -p k=40"
    assert main(line.split()) == 0, capfd.readouterr().err
    assert next(tmp_path.glob("study-smoke-*/figures/07-share-by-difficulty.png"))


@pytest.mark.slow
@pytest.mark.usefixtures("here", "no_page")
def test_every_method_that_works_from_a_proxy(digits, capsys):
    for method in set(registry.METHODS) - {"top"}:
        line = f"--data folder:{digits} --method {method} --k 40 {QUICK} --out {method}"
        code, _, err = call(capsys, line)
        assert code == 0, err
        rows = np.load(f"{method}/rows.npy")
        assert len(set(rows.tolist())) == len(rows)
        # ids adds a prototype a class, and rounds inside every class
        assert 40 < len(rows) <= 60 if method == "ids" else len(rows) == 40
        assert Path(method, "weights.npy").exists() == registry.get(method).is_weighted


@pytest.mark.usefixtures("here", "no_page")
def test_several_proxies_are_combined_by_rank(digits, capsys):
    line = f"--data folder:{digits} --method entropy --k 30 {QUICK} --proxies 2 --seed 3"
    assert call(capsys, f"{line} --out p.npy")[0] == 0
    proxies = json.loads(Path("p.json").read_text())["proxies"]
    assert [proxy["seed"] for proxy in proxies] == [3, 4]
    runs = [Store().read(proxy["key"]) for proxy in proxies]
    ranks = scores.combine_ranks([readings.score("entropy", run, 240) for run in runs])
    rows = np.load("p.npy")
    assert ranks[rows].min() >= np.delete(ranks, rows).max()
    assert sorted(path.name for path in Path().iterdir()) == ["p.json", "p.npy"]
    dataset = some(90, 8)
    table = own_data.per_class(dataset, np.arange(0, 60, 2))  # of one class only
    assert (table["kept"].tolist(), table["dropped"].tolist()) == ([30, 0], [15, 45])
    np.testing.assert_allclose(table["by chance"], hypergeom(90, 45, 30).mean())
    np.testing.assert_allclose(table["sd"], hypergeom(90, 45, 30).std())


@pytest.mark.usefixtures("here", "no_page")
def test_a_random_choice_trains_nothing(digits, capsys):
    line = f"--data folder:{digits} --method random --keep 0.1 --seed 5 --out p"
    assert call(capsys, line)[0] == 0
    assert record("p")["proxies"] == []
    assert Path("p/page.html").exists()
    assert call(capsys, line)[0] == 0


@pytest.mark.usefixtures("here", "no_page")
def test_images_that_change_are_learnt_anew_and_nothing_is_replaced(tmp_path, capsys):
    folder = write_digits(tmp_path / "mine", 120)
    line = f"--data folder:{folder} --method el2n --k 20 {QUICK}"
    assert call(capsys, line)[0] == 0
    first = record("mine-el2n-20")
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(folder / "3" / "new.png")
    code, _, err = call(capsys, line)
    assert code == 2
    assert "--out: mine-el2n-20" in err
    code, _, err = call(capsys, f"{line} --force")
    assert (code, "damaged" in err) == (0, False)
    second = record("mine-el2n-20")
    assert first["fingerprint"] != second["fingerprint"]
    assert first["proxies"][0]["seconds"] != second["proxies"][0]["seconds"]


@pytest.mark.usefixtures("no_page")
def test_an_interrupt_keeps_what_was_trained_and_no_file(here, digits, capsys, monkeypatch):
    line = f"--data folder:{digits} --method margin --k 30 {QUICK} --proxies 2 --seed 20 --out p"
    execute, done = results.execute, []

    def once(spec, device):
        if done:
            raise KeyboardInterrupt
        done.append(execute(spec, device))

    monkeypatch.setattr(results, "execute", once)
    assert call(capsys, line)[0] == 130
    assert list(here.iterdir()) == []
    monkeypatch.setattr(results, "execute", lambda spec, device: done.append(execute(spec, device)))
    assert call(capsys, line)[0] == 0
    assert len(done) == 3  # the second proxy and the choice


@pytest.mark.usefixtures("here", "no_page")
def test_classes_that_vanish_and_a_proxy_that_learnt_nothing_are_warned_of(tmp_path, capsys):
    rng, folder = np.random.default_rng(0), tmp_path / "noise"
    for i in range(40):
        (folder / "ab"[i % 2]).mkdir(parents=True, exist_ok=True)
        noise = rng.integers(0, 256, (8, 8), dtype=np.uint8)
        Image.fromarray(noise).save(folder / "ab"[i % 2] / f"{i}.png")
    code, _, err = call(capsys, f"--data folder:{folder} --method el2n --k 1 {QUICK} --out p")
    assert code == 0
    assert "its scores say little" in err
    assert re.search(r"classes that vanish from the subset: [ab]\n", err)
    assert len(record("p")["warnings"]) == 2


@pytest.mark.usefixtures("here")
def test_faults_are_one_line_and_leave_nothing_behind(tmp_path, digits, capsys):
    line = write_digits(tmp_path / "line", 30)
    next((line / "3").iterdir()).rename(line / "3" / "a\nb.png")
    el2n = "--method el2n --k 5"
    for asked, named in {
        f"folder:nowhere {el2n}": "--data: folder:",
        f"folder:{line} {el2n}": "without line breaks",
        f"folder:{digits} --method top --k 5": "top needs --scores",
        f"folder:{digits} --method el2n --k 241": "--k must lie in 1..240, got 241",
        f"folder:{digits} {el2n} --out no/p": "--out: no is no folder",
        f"folder:{digits} {el2n} --proxy resnet9": "--proxy: unknown model 'resnet9'",
        f"folder:{digits} {el2n} --recipe text-b64": "--recipe: text-b64 is for texts",
        f"folder:{digits} --method k-centers --k 5 --proxies 2": "--proxies",
        f"folder:{digits} --method geda --k 5 --option n_nodes=1 {QUICK}": "n_nodes",
    }.items():
        code, _, err = call(capsys, f"--data {asked}")
        errors = [text for text in err.splitlines() if text.startswith("error: ")]
        assert (code, len(errors)) == (2, 1), asked
        assert named in errors[0]
        assert list(Path().iterdir()) == []


@pytest.mark.usefixtures("here", "no_page")
def test_broken_images_are_left_out_where_that_is_asked(tmp_path, capsys):
    folder = write_digits(tmp_path / "torn", 60)
    (folder / "3" / "torn.png").write_bytes(b"\x89PNG nonsense")
    line = f"--data folder:{folder} --method random --k 9"
    code, _, err = call(capsys, line)
    assert (code, "torn.png" in err) == (2, True)
    assert call(capsys, f"{line} --skip-broken")[0] == 0
    found = record("torn-random-9")
    assert found["data"] == f"folder:{folder}?skip_broken"
    assert found["broken"] == [str(folder / "3" / "torn.png")]
    assert "torn.png" in found["notes"][-1]
    files = Path("torn-random-9/files.txt").read_text().splitlines()
    assert all((folder / name).is_file() and "torn.png" not in name for name in files)
    assert main(shlex.split(found["command"])[1:]) == 0


@pytest.mark.usefixtures("here", "no_page")
def test_rows_of_a_single_file_are_named(tmp_path, capsys):
    words = ["good bright fine", "bad awful dull"]
    texts = [f"film {i} is {words[i % 2]}" for i in range(100)]
    labels = [("hübsch", "arg")[i % 2] for i in range(100)]
    pd.DataFrame({"label": labels, "text": texts}).to_csv(tmp_path / "Müller.csv", index=False)
    images = write_digits(tmp_path / "images", 60)
    files = sorted(images.rglob("*.png"))
    classes = np.array([int(file.parent.name) for file in files])
    table = {"image": [file.read_bytes() for file in files], "label": classes}
    pq.write_table(pa.table(table), tmp_path / "d.parquet")
    words = np.unique(labels, return_inverse=True)[1]
    kinds = {f"text:{tmp_path / 'Müller.csv'}": ("Müller", words),
             f"parquet:{tmp_path / 'd.parquet'}": ("d", classes)}  # fmt: skip
    for name, (stem, known) in kinds.items():
        code, _, err = call(capsys, f"--data {name} --method random-per-class --k 20")
        assert code == 0, err
        rows = pd.read_csv(f"{stem}-random-per-class-20/rows.csv")
        assert (known[rows["source_row"]] == data.load(name).train_labels[rows["row"]]).all()
        lines = Path(f"{stem}-random-per-class-20/source-rows.txt").read_text().split()
        assert lines == [str(row) for row in rows["source_row"]]


def some(n, size, channels=3):
    pixels = np.broadcast_to(np.zeros((), np.uint8), (n, channels, size, size))
    labels = np.arange(n, dtype=np.int64) % 2
    return data.Dataset("x", pixels, labels, pixels[:2], labels[:2], ("a", NASTY))


def test_the_proxy_fits_the_images_and_their_number():
    found = {(n, size): own_data.model_for(some(n, size)) for n, size in (
        (300, 32), (50_000, 32), (300, 224), (50_000, 224))}  # fmt: skip
    assert found == {(300, 32): "resnet8", (50_000, 32): "resnet20",
                     (300, 224): "resnet18-imagenet-w16",
                     (50_000, 224): "resnet18-imagenet-w32"}  # fmt: skip
    sides = [own_data.recipe_for(some(10, side)) for side in (8, 100, 101)]
    assert sides == ["digits", "small", "imagenet-small"]
    assert own_data.recipe_for(some(10, 224), "pretrained:efficientnet-lite0/0") == "budgeted"
    assert [own_data.epochs_for(some(n, 32), "small") for n in (100, 8_000, 10**5)] == [50, 25, 10]


def test_a_gallery_escapes_and_marks_what_was_kept():
    dataset, places = some(60, 8), [f"{NASTY}/{i}" for i in range(60)]
    values = np.r_[np.inf, np.arange(59.0)]
    shown = own_data.gallery(dataset, [0, 1], np.array([1]), values, np.ones(60, int), places)
    found = Outline(shown)
    assert {tag for tag, _ in found.tags} == {"div", "img", "strong", "br"}
    for text in (NASTY, f"taken for {NASTY}", "dropped, never learned", "kept, score 0"):
        assert text in found.text
    assert shown.index("#c4cad1") < shown.index("#0072b2")
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3, 8, 8), dtype=np.uint8)
    labels = np.arange(2)
    noise = data.Dataset("x", pixels, labels, pixels, labels, ("a", "b"))
    tags = Outline(own_data.gallery(noise, [1], [0])).tags
    (source,) = [attrs["src"] for tag, attrs in tags if tag == "img"]
    image = Image.open(io.BytesIO(base64.b64decode(source.split(",")[1])))
    assert (np.asarray(image).transpose(2, 0, 1) == pixels[1]).all()
    rows = as_rows(["<b>short</b>", "é" * 300, "", "plain"])
    labels = np.arange(4, dtype=np.int64) % 2
    texts = data.Dataset("text:t", rows, labels, rows, labels, ("bad\udce9", "good"))
    shown = own_data.gallery(texts, range(4), np.array([0]))
    for text in ("&lt;b&gt;short", "é" * own_data.LETTERS + "…", "(empty)", r"bad\udce9"):
        assert text in shown
