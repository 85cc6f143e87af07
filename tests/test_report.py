"""The page of a selection: numbers that add up, nothing unescaped, nothing to load."""

import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from helpers.data import Dataset
from helpers.data.text import as_rows
from helpers.select import report
from helpers.select.markup import EXACT, Markup, el, safe, table

VOID = {"meta", "img", "br"}
NASTY = "<script>alert('x')</script>&\"quoted\""


class Outline(HTMLParser):
    """Every element closed in its place; what texts, images and tables hold."""

    def __init__(self, page):
        super().__init__()
        self.open, self.tags, self.images, self.cells, self.texts = [], [], [], [], []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        assert all(value is not None for _, value in attrs)
        if tag == "img":
            self.images.append(dict(attrs))
        if tag == "tr":
            self.cells.append([])
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("td", "th"):
            self.cells[-1].append(data)
        if self.open and self.open[-1] != "style":
            self.texts.append(data)

    @property
    def text(self):
        return " ".join(self.texts)


def images(n=90, side=8, channels=3, names=("ant", "bee", NASTY)):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (n, channels, side, side), dtype=np.uint8)
    labels = np.arange(n, dtype=np.int64) % len(names)
    return Dataset("folder:photos/a<b>", pixels, labels, pixels[:30], labels[:30], names)


def facts(dataset, selected, **more):
    given = {"settings": {"seed": "0"}, "costs": {"choosing": "1 s"}, "warnings": ["low <b>"],
             "commands": {"Again:": "select --data 'a<b>'"}, "files": ["p.npy"]}  # fmt: skip
    return report.Facts(dataset, "Forgetting events", np.asarray(selected), **given | more)


def scored(dataset, **more):
    values = np.random.default_rng(1).integers(0, 5, dataset.n).astype(float)
    values[7] = np.inf
    score = report.Score("forgetting events", values, np.argsort(-values, kind="stable"))
    predicted = (dataset.train_labels + (np.arange(dataset.n) % 2)) % dataset.n_classes
    return {"score": score, "predicted": predicted} | more


def test_everything_is_escaped_and_nothing_is_loaded_or_run():
    dataset = images()
    places = [f"{NASTY}/{i}.png" for i in range(dataset.n)]
    page = report.html(facts(dataset, range(40), **scored(dataset, places=places)))
    found = Outline(page)
    assert "script" not in found.tags
    assert "<script" not in page
    assert NASTY in found.text
    assert "select --data 'a<b>'" in found.text
    assert "low <b>" in found.text
    assert not re.search(
        r"https?://|//|@import|url\(|javascript:", re.sub(r'"data:[^"]*"', "", page)
    )
    assert "default-src &#x27;none&#x27;" in page
    assert page.startswith("<!DOCTYPE html>")


def test_the_table_counts_every_class_with_chance_beside_it():
    dataset = images(names=("ant", "bee", "cat"))
    selected = np.r_[np.arange(0, 90, 3), np.arange(1, 46, 3)]  # all ants, half the bees, no cat
    found = Outline(report.html(facts(dataset, selected, **scored(dataset))))
    rows = {row[0]: row[1:] for row in found.cells}
    assert rows["ant"] == ["30", "0", "100%", "▲ 15 ± 4"]
    assert rows["bee"] == ["15", "15", "50%", "15 ± 4"]
    assert rows["cat"] == ["0", "30", "0%", "▼ 15 ± 4"]
    assert [row[0] for row in found.cells[1:]] == ["ant", "bee", "cat"]


def test_chance_is_that_of_drawing_without_putting_back():
    sizes, k = np.array([50, 30, 4]), 20
    mean, spread = report.by_chance(sizes, k)
    rng, labels = np.random.default_rng(0), np.repeat(np.arange(3), sizes)
    drawn = [np.bincount(rng.permutation(labels)[:k], minlength=3) for _ in range(4000)]
    np.testing.assert_allclose(np.mean(drawn, axis=0), mean, atol=0.15)
    np.testing.assert_allclose(np.std(drawn, axis=0), spread, rtol=0.06)
    assert report.by_chance(sizes, sizes.sum())[1].tolist() == [0, 0, 0]


def test_classes_that_vanish_or_nearly_do_are_named():
    names = ("ant", "bee", "cat")
    dataset = images(names=names)
    ants, bees = np.arange(0, 90, 3), np.arange(1, 90, 3)
    assert report.fading(dataset, np.arange(45)) == []
    gone, few = report.fading(dataset, np.r_[ants, bees[:1]])
    assert gone == "class cat vanishes from the subset and cannot be learnt from it"
    assert few == "class bee (1 of 30) nearly vanishes from the subset"
    assert report.fading(dataset, ants[:3]) == [
        "classes bee, cat vanish from the subset and cannot be learnt from it"
    ]


def test_of_many_classes_the_ends_of_the_list_are_shown():
    names = tuple(f"class {i}" for i in range(200))
    dataset = images(400, names=names)
    selected = np.flatnonzero(dataset.train_labels < 100)
    page = report.html(facts(dataset, selected, **scored(dataset)))
    found = Outline(page)
    assert len(found.cells) == report.ROWS + 1
    assert "140 classes between the two ends are left out" in found.text
    assert "and 92 more vanish" in report.fading(dataset, selected)[0]


KINDS = [(8, 1, "png"), (EXACT, 3, "png"), (224, 3, "jpeg"), (100, 1, "jpeg")]


@pytest.mark.parametrize(("side", "channels", "kind"), KINDS)
def test_galleries_show_the_hardest_and_the_easiest(side, channels, kind):
    dataset = images(60, side, channels)
    more = scored(dataset)
    page = report.html(facts(dataset, range(0, 60, 2), **more))
    assert len(page) < 3_000_000
    found = Outline(page)
    assert len(found.images) == 2 * report.GALLERY
    hardest = more["score"].order[0]
    assert hardest == 7
    assert "score ∞ (never learned)" in found.text
    first = found.images[0]
    assert first["alt"] == dataset.class_names[dataset.train_labels[hardest]]
    head, data = first["src"].split(",")
    assert head == f"data:image/{kind};base64"
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))
    if kind == "png":
        expected = dataset.train_inputs[hardest].transpose(1, 2, 0)
        assert (shown.reshape(expected.shape) == expected).all()
    items = page.split('<ul class="gallery">')[1].split("<li")[1:]
    expected = ["kept" if row % 2 == 0 else "dropped" for row in more["score"].order]
    assert [re.search(r'class="(\w+)', item)[1] for item in items] == expected[: report.GALLERY]


def test_an_example_says_what_it_was_taken_for():
    dataset = images(names=("ant", "bee", "cat"))
    found = Outline(report.html(facts(dataset, range(9), **scored(dataset)))).text
    assert "taken for cat" in found
    assert "right" in found


def test_two_classes_of_one_name_are_told_apart():
    dataset = images(names=("ant", "ant"))
    found = Outline(report.html(facts(dataset, range(9), **scored(dataset)))).text
    assert "taken for ant" in found


def test_without_a_proxy_some_kept_and_some_dropped_are_shown():
    dataset = images()
    found = Outline(report.html(facts(dataset, range(5))))
    assert "Some that were kept" in found.text
    assert "hardest" not in found.text
    assert len(found.images) == 5 + report.GALLERY
    everything = Outline(report.html(facts(dataset, range(dataset.n))))
    assert "Some that were dropped" not in everything.text


def test_texts_show_their_first_letters():
    texts = ["<b>short</b>", "é" * 300, "", "plain"] * 5
    labels = np.arange(20, dtype=np.int64) % 2
    rows = as_rows(texts)
    dataset = Dataset("text:t.csv", rows, labels, rows[:4], labels[:4], ("bad", "good"))
    page = report.html(facts(dataset, range(10), **scored(dataset)))
    found = Outline(page)
    assert "&lt;b&gt;short&lt;/b&gt;" in page
    assert "é" * report.LETTERS + "…" in page
    assert "é" * (report.LETTERS + 1) not in page
    assert "(empty)" in found.text
    assert found.images == []


def test_names_that_are_no_text_are_shown_all_the_same():
    assert safe("caf\udce9\x00\x1b[31m") == "caf???[31m"
    assert el("p", "a", Markup("<b>x</b>"), title='"<') == ('<p title="&quot;&lt;">a<b>x</b></p>')
    page = report.html(facts(images(names=("ant", "caf\udce9")), range(9)))
    assert "caf?" in page.encode().decode()
    assert "<td" not in table(["a"], [["b"]], wide=0)
