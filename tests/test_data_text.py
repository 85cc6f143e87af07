"""Texts: what a row holds, which files load, what is guessed and said, how bad ones are told."""

import bz2
import csv
import gzip
import json
import lzma
import os

import numpy as np
import pytest

from helpers import StudyError, data
from helpers.data import load, resolve, text
from helpers.data.dataset import held_out
from helpers.data.text import T, as_rows
from tests.reading import error_of, notes

REVIEWS = ["Good, very good.", "Bad!\nReally bad.", 'He said "no"', "Größe: 5 €", "", "ok"]

pytestmark = pytest.mark.usefixtures("only_own_data")


def write_parquet(file, columns, names=None):
    """Write a Parquet file; `names` are the class names in its metadata."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    metadata = {"label_names": json.dumps(names)} if names else {}
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns).replace_schema_metadata(metadata), file, row_group_size=4)
    return file


def write_csv(file, records, header=(), **options):
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", encoding="utf-8", newline="") as out:
        csv.writer(out, **options).writerows([header, *records] if header else records)
    return file


def zhang(folder, n=12, n_test=4):
    """A folder as Zhang et al. lay out the Amazon reviews: label 1..2, title, review."""
    for split, rows in (("train", n), ("test", n_test)):
        records = [(1 + row % 2, f"title {row}", f"review {row}") for row in range(rows)]
        write_csv(folder / f"{split}.csv", records)
    return folder


def texts_of(rows):
    """What the rows say, as Python reads them."""
    return [bytes(row).rstrip(b"\0").decode() for row in rows]


def whole(dataset):
    """Every text of a single file with the name of its class, in the order of the file."""
    texts = texts_of(np.concatenate([dataset.train_inputs, dataset.test_inputs]))
    labels = np.concatenate([dataset.train_labels, dataset.test_labels])
    n_test = len(dataset.test_labels)
    rows = [*dataset.origin.rows, *np.setdiff1d(np.arange(len(texts)), dataset.origin.rows)]
    assert len(rows) == dataset.n + n_test
    return [(texts[i], dataset.class_names[labels[i]]) for i in np.argsort(rows)]


# Rows


def test_a_row_is_the_text_in_utf_8_filled_up_with_zeros():
    rows = as_rows(REVIEWS)
    assert rows.shape == (len(REVIEWS), T)
    assert rows.dtype == np.uint8
    assert texts_of(rows) == REVIEWS
    assert not rows[4].any()


def test_rows_match_a_slow_twin_on_random_texts():
    rng = np.random.default_rng(0)
    signs = np.array(list("ab é€😀\n\0."))
    texts = ["".join(rng.choice(signs, n)) for n in rng.integers(0, 900, 60)]
    for text_, row in zip(texts, as_rows(texts), strict=True):
        slow = b""
        for sign in text_.strip().replace("\0", " "):
            if len(slow) + len(sign.encode()) > T:
                break
            slow += sign.encode()
        assert bytes(row) == slow.ljust(T, b"\0")


# Files


def test_the_amazon_layout_loads_as_it_is_published(tmp_path, capsys):
    records = [(1, "It's bad", "Not good.\\nReally"), (2, "", 'A "fine" thing, yes')] * 2
    write_csv(tmp_path / "p" / "train.csv", records)
    write_csv(tmp_path / "p" / "test.csv", records[:2])
    made = load(f"text:{tmp_path / 'p'}", tmp_path)
    assert made.is_text
    assert texts_of(made.train_inputs[:2]) == [
        "It's bad\nNot good.\nReally",
        'A "fine" thing, yes',
    ]
    assert made.train_labels.tolist() == [0, 1, 0, 1]
    assert made.class_names == ("1", "2")
    assert made.test_inputs.shape == (2, T)
    assert not capsys.readouterr().err


def test_separators_encodings_and_headers_are_found_and_said(tmp_path, capsys):
    expected = [("Größe, 5", "bad"), ("it’s; ok", "good"), ("a\nb | c", "bad"), ("d\\n", "good")]
    told = {",": "", ";": "separator ';'", "\t": "separator '\\t'", "|": "separator '|'"}
    headers = [("text", "label"), ("Review", " Sentiment ")]
    headers += [("content", "class"), ("sentence", "target")]
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"):
        for separator, header in zip(told, headers, strict=True):
            file = write_csv(tmp_path / "a.csv", expected, header, delimiter=separator)
            content = file.read_text(encoding="utf-8")
            file.write_bytes(content.encode(encoding))
            made = load(f"text:{file}", tmp_path / "root")
            assert whole(made) == expected, (encoding, separator)
            assert told[separator] in notes(made)
            assert ("read as" in notes(made)) == (encoding not in ("utf-8", "utf-8-sig"))
            assert notes(made) in capsys.readouterr().err
            assert load(f"text:{file}?encoding={encoding}", tmp_path / "root").n == 2
    file.write_bytes(content.encode("utf-16"))
    assert "text from sentence, label from target" in notes(made)


def test_a_file_without_a_header_has_any_separator(tmp_path):
    for separator in ",;\t|":
        records = [(row % 2, f"a, b; {row}") for row in range(10)]
        file = write_csv(tmp_path / "a.csv", records, delimiter=separator)
        made = load(f"text:{file}", tmp_path / "root")
        assert whole(made) == [(own, str(label)) for label, own in records]
    made = load(f"text:{file}?separator=|", tmp_path / "root")
    assert made.n == 8
    assert "expected x" in error_of(f"text:{file}?label=x", tmp_path / "root")


def test_every_kind_of_file_holds_the_same(tmp_path):
    labels, titles = ["x", "y", "x", "y", "y", "x"], [f"t{row}" for row in range(6)]
    columns = {"label": labels, "title": titles, "text": REVIEWS}
    records = list(zip(labels, titles, REVIEWS, strict=True))
    write_parquet(tmp_path / "a.parquet", columns)
    first = write_csv(tmp_path / "a.csv", records, tuple(columns)).read_bytes()
    write_csv(tmp_path / "a.tsv", records, tuple(columns), delimiter="\t")
    lines = [json.dumps(dict(zip(columns, record, strict=True))) for record in records]
    (tmp_path / "a.jsonl").write_text("\n".join(lines) + "\n\n")
    (tmp_path / "holed.jsonl").write_text("\n".join([*lines, '{"label": "x"}']))
    with pytest.raises(StudyError, match=r"holed.jsonl line 7: has no text"):
        load(f"text:{tmp_path / 'holed.jsonl'}", tmp_path / "root").train_inputs[:]
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(first))
    (tmp_path / "a.csv.bz2").write_bytes(bz2.compress(first))
    (tmp_path / "b.txt").write_bytes(lzma.compress(first))
    found = [load(f"text:{file}", tmp_path / "root") for file in sorted(tmp_path.glob("?.*"))]
    assert len({one.fingerprint for one in found}) == 1
    assert len(found) == 7
    assert whole(found[0])[3] == ("t3\nGröße: 5 €", "y")
    for split in ("train", "validation"):  # folders, and a split of shards
        (tmp_path / "f").mkdir(exist_ok=True)
        for at in range(2):
            file = tmp_path / "f" / f"{split}-{at:05}-of-00002.jsonl"
            file.write_text("\n".join(lines[3 * at : 3 * at + 3]))
    made = load(f"text:{tmp_path / 'f'}", tmp_path / "root")
    assert texts_of(made.train_inputs) == [f"{t}\n{own}".strip() for _, t, own in records]
    assert "'validation' is the test set" in notes(made)


def test_class_names_in_the_metadata_win_over_counting(tmp_path):
    columns = {"label": [1, 2, 0, 1], "text": ["a", "b", None, "d"]}
    for split in ("train", "test"):
        write_parquet(tmp_path / f"{split}.parquet", columns, ["x", "y", "z"])
    made = load(f"text:{tmp_path}", tmp_path / "root")
    assert made.class_names == ("x", "y", "z")
    assert made.train_labels.tolist() == [1, 2, 0, 1]
    assert texts_of(made.train_inputs) == ["a", "b", "", "d"]


def test_files_are_splits_by_their_names(tmp_path):
    zhang(tmp_path / "p")
    (tmp_path / "p" / "test.csv").unlink()
    made = load(f"text:{tmp_path / 'p'}", tmp_path)
    assert (made.n, made.origin.held_out) == (10, True)
    assert "'train' alone" in notes(made)
    (tmp_path / "p" / "train.csv").rename(tmp_path / "p" / "imdb_Train.csv")
    write_csv(tmp_path / "p" / "imdb_Test.csv", [(2, "only", "this")])
    assert load(f"text:{tmp_path / 'p'}", tmp_path).n == 12
    zhang(tmp_path / "p")
    assert "both a test part" in error_of(f"text:{tmp_path / 'p'}", tmp_path)


def test_one_file_is_split_per_class(tmp_path):
    labels = [row % 3 for row in range(30)]
    texts = [f"text {row}" for row in range(30)]
    is_test = held_out("x", np.array(labels), [str(row) for row in range(30)])
    write_csv(tmp_path / "all.csv", zip(labels, texts, strict=True))
    write_parquet(tmp_path / "all.parquet", {"label": labels, "text": texts})
    for ending in ("csv", "parquet"):
        made = load(f"text:{tmp_path}/all.{ending}", tmp_path / "root")
        assert np.bincount(made.test_labels).tolist() == [2, 2, 2]
        assert texts_of(made.test_inputs) == [texts[row] for row in np.flatnonzero(is_test)]
        assert made.origin.rows.tolist() == np.flatnonzero(~is_test).tolist()


def test_texts_are_read_once_mapped_and_in_batches(tmp_path, monkeypatch):
    name = f"text:{zhang(tmp_path / 'p')}"
    first = load(name, tmp_path)
    assert isinstance(first.train_inputs.base, np.memmap)
    read = text.batches
    monkeypatch.setattr(text, "batches", None)
    data._load.cache_clear()
    assert load(name, tmp_path).fingerprint == first.fingerprint
    splits = text.listing(name, tmp_path / "p", {}, (7, 2)).splits
    for size in (1, 3, 5):
        monkeypatch.setattr(text, "BATCH", size)
        parts = [rows for rows, _ in read(splits["train"])]
        assert [len(part) for part in parts[:-1]] == [size] * (len(parts) - 1)
        assert np.array_equal(np.concatenate(parts), first.train_inputs[:7])


# Names from STUDY_DATA


def reviews(folder, **changed):
    """Made-up reviews in the layout of the real ones."""
    columns = {
        "text": [f"text {row}" for row in range(8)],
        "label": [0, 1] * 4,
        "title": [f"title {row}\n" for row in range(8)],
        "rating": [1.0, 5.0, 2.0, 4.0] * 2,
    }
    for split in ("train", "test"):
        write_parquet(folder / "amazon_reviews" / f"{split}.parquet", columns | changed, ["n", "p"])
    return folder


def test_ratings_are_the_stars_that_somebody_gave(tmp_path, monkeypatch):
    monkeypatch.setenv("STUDY_DATA", str(reviews(tmp_path)))
    polarity, stars = load("amazon-reviews", tmp_path), load("amazon-ratings", tmp_path)
    assert polarity.class_names == ("n", "p")
    assert polarity.train_labels.tolist() == [0, 1] * 4
    assert stars.class_names == ("1 star", "2 stars", "4 stars", "5 stars")
    assert stars.train_labels.tolist() == [0, 3, 1, 2] * 2
    assert np.array_equal(polarity.train_inputs, stars.train_inputs)
    assert texts_of(stars.train_inputs)[1] == "title 1\ntext 1"
    assert resolve("amazon-ratings@4+2") == "amazon-ratings@4+2"


def test_bad_or_missing_reviews(tmp_path, monkeypatch):
    for name in ("imdb", "amazon-reviews@10+2", "amazon-ratings"):
        assert "STUDY_DATA, which is not set" in error_of(name, tmp_path)
    monkeypatch.setenv("STUDY_DATA", str(reviews(tmp_path, rating=[1.0, 1.5] * 4)))
    assert "row 1 is 1.5" in error_of("amazon-ratings", tmp_path)
    assert "train.parquet and" in error_of("imdb", tmp_path)


def test_real_reviews_are_what_their_makers_say(real_data, tmp_path, monkeypatch):
    monkeypatch.setenv("STUDY_DATA", real_data)
    amazon, stars = load("amazon-reviews", tmp_path), load("amazon-ratings", tmp_path)
    assert (amazon.n, len(amazon.test_labels)) == (6283, 1567)
    assert amazon.class_names == ("negative", "positive")
    assert stars.class_names == ("1 star", "2 stars", "4 stars", "5 stars")
    # Blitzer et al. (2007): more than 3 stars is positive
    assert np.array_equal(stars.train_labels >= 2, amazon.train_labels == 1)
    imdb = load("imdb@200+100", tmp_path)
    assert (imdb.n, imdb.train_inputs.shape[1], imdb.class_names) == (200, T, ("neg", "pos"))
    assert all(len(row) > 20 for row in texts_of(imdb.train_inputs))


# Bad input


def test_bad_csv(tmp_path):
    for content, words in (
        (b"", "is empty"),
        (b"label;answer\n0;a\n", "(utf-8, separator ';') has the columns label, answer"),
        (b"0,a\n1,b\nx,c\n", "row 2 is 'x', expected a whole number"),
        (b"label,text\n0,a\nNA,b\n", "row 1 is 'NA'"),
        (b"0,a\n1,b,c\n", "row 1: 3 fields (separator ','), expected 2"),
        (b"0,a\n1,caf\x81\n", "line 2: byte 0x81 is not cp1252"),
        (b"label,text\n", "no training rows"),
        (b"label,text\n0,a\n,b\n", "row 1 has no label"),
        (b"label,text\npos,a\npos ,b\n", "'pos' and 'pos '"),
        (b'0,a\n1,"never closed\n0,c\n', "unexpected end of data"),
        (b"PK\x03\x04xl", "zip archive or a spreadsheet"),
        (b'{"label": 0, "text": "a"}\n{"text": "b"}\n', "line 2: has no label"),
        (gzip.compress(b"0,a\n1,b\n" * 9)[:-9], "cannot be read"),
        (b"".join(b"%d,x\n" % row for row in range(300)), "no classes"),
    ):
        (tmp_path / "train.csv").write_bytes(content)
        write_csv(tmp_path / "test.csv", [(1, "a")])
        message = error_of(f"text:{tmp_path}", tmp_path / "root")
        assert words in message, content
        assert str(tmp_path) in message
    (tmp_path / "train.csv").write_bytes(b"0,a\n1,caf\xe9\n")
    assert "no encoding" in error_of(f"text:{tmp_path}?encoding=latin77", tmp_path / "root")
    assert "line 2: byte 0xe9" in error_of(f"text:{tmp_path}?encoding=utf-8", tmp_path / "root")


def test_bad_parquet_and_missing_files(tmp_path):
    for columns, words in (
        ({"label": [0, 1], "prose": ["a", "b"]}, "columns label, prose"),
        ({"label": [0, 1], "text": [1, 2]}, "column text is int64"),
    ):
        for split in ("train", "test"):
            write_parquet(tmp_path / f"{split}.parquet", columns)
        assert words in error_of(f"text:{tmp_path}", tmp_path / "root")
    (tmp_path / "train.parquet").write_bytes(b"PAR1 and no more")
    assert "intact Parquet file" in error_of(f"text:{tmp_path}", tmp_path / "root")
    os.mkfifo(tmp_path / "pipe.csv")
    assert "(there: nothing)" in error_of(f"text:{tmp_path / 'pipe.csv'}", tmp_path)
