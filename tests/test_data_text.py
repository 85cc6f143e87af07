"""Texts: what a row holds, which files load, and how bad ones are told."""

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest

from helpers import StudyError
from helpers.data import cache, load, loading, resolve, text
from helpers.data.splitting import held_out
from helpers.data.text import T, as_rows

REVIEWS = ["Good, very good.", "Bad!\nReally bad.", 'He said "no"', "Größe: 5 €", "", "ok"]


pytestmark = pytest.mark.usefixtures("only_own_data")


@pytest.fixture(scope="module")
def real_data():
    """Folder of the real reviews, looked up before tests unset the variable."""
    folder = os.environ.get("STUDY_DATA")
    if not folder or not (Path(folder) / "imdb" / "train.parquet").is_file():
        pytest.skip("STUDY_DATA does not name a folder with imdb/train.parquet")
    return folder


def write_parquet(file, columns, names=None):
    """Write a Parquet file; `names` are the class names in its metadata."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    metadata = {"label_names": json.dumps(names)} if names else {}
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns).replace_schema_metadata(metadata), file, row_group_size=4)
    return file


def write_csv(file, records, header=()):
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", encoding="utf-8", newline="") as out:
        csv.writer(out).writerows([header, *records] if header else records)
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


def error_of(name, root):
    """The one line that loading a name raises."""
    with pytest.raises(StudyError) as caught:
        load(name, root)
    message = str(caught.value)
    assert "\n" not in message
    return message


# Rows


def test_a_row_is_the_text_in_utf_8_filled_up_with_zeros():
    rows = as_rows(REVIEWS)
    assert rows.shape == (len(REVIEWS), T)
    assert rows.dtype == np.uint8
    assert texts_of(rows) == REVIEWS
    assert not rows[4].any()


def test_long_texts_are_cut_between_characters():
    for sign in ("a", "é", "€", "😀"):
        for shift in range(5):
            long = "x" * shift + sign * T
            (row,) = as_rows([long])
            kept = bytes(row).rstrip(b"\0")
            assert T - 4 < len(kept) <= T
            assert long.startswith(kept.decode())
            assert len(kept) + len(sign.encode()) > T


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


def test_the_amazon_layout_loads_as_it_is_published(tmp_path):
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


@pytest.mark.parametrize(
    "content",
    [
        b"label,text\n0,one\n1,two\n1,three\n",
        b"\xef\xbb\xbflabel,text\r\n0,one\r\n1,two\r\n1,three\r\n",
        b'"Text","id"," Label "\none,7,0\ntwo,8,1\n\n"three",9,1',
    ],
    ids=["plain", "windows", "other-order"],
)
def test_a_header_names_the_columns(tmp_path, content):
    for split in ("train", "test"):
        (tmp_path / f"{split}.csv").write_bytes(content)
    made = load(f"text:{tmp_path}", tmp_path / "root")
    assert texts_of(made.train_inputs) == ["one", "two", "three"]
    assert made.train_labels.tolist() == [0, 1, 1]
    assert made.class_names == ("0", "1")


def test_line_breaks_and_backslashes_in_quotes_stay_under_a_header(tmp_path):
    for split in ("train", "test"):
        write_csv(tmp_path / f"{split}.csv", [(0, "a\nb"), (1, "c\\nd")], ("label", "text"))
    made = load(f"text:{tmp_path}", tmp_path / "root")
    assert texts_of(made.train_inputs) == ["a\nb", "c\\nd"]


def test_parquet_and_csv_hold_the_same(tmp_path):
    labels, titles = [0, 1, 0, 1, 1, 0], [f"t{row}" for row in range(6)]
    for split in ("train", "test"):
        columns = {"label": labels, "title": titles, "text": REVIEWS}
        write_parquet(tmp_path / "a" / f"{split}.parquet", columns)
        records = zip(labels, titles, REVIEWS, strict=True)
        write_csv(tmp_path / "b" / f"{split}.csv", records, ("label", "title", "text"))
    one, other = (load(f"text:{tmp_path / place}", tmp_path / "root") for place in "ab")
    assert one.fingerprint == other.fingerprint
    assert texts_of(one.train_inputs)[3] == "t3\nGröße: 5 €"


def test_class_names_in_the_metadata_win_over_counting(tmp_path):
    columns = {"label": [1, 2, 0, 1], "text": list("abcd")}
    for split in ("train", "test"):
        write_parquet(tmp_path / f"{split}.parquet", columns, ["x", "y", "z"])
    made = load(f"text:{tmp_path}", tmp_path / "root")
    assert made.class_names == ("x", "y", "z")
    assert made.train_labels.tolist() == [1, 2, 0, 1]


def test_missing_texts_count_as_empty(tmp_path):
    columns = {"label": [1, 0], "text": ["a", None]}
    for split in ("train", "test"):
        write_parquet(tmp_path / f"{split}.parquet", columns)
    made = load(f"text:{tmp_path}", tmp_path / "root")
    assert texts_of(made.train_inputs) == ["a", ""]


def test_val_is_the_test_set_unless_there_is_one(tmp_path):
    zhang(tmp_path / "p")
    (tmp_path / "p" / "test.csv").rename(tmp_path / "p" / "val.csv")
    made = load(f"text:{tmp_path / 'p'}", tmp_path)
    assert (made.n, len(made.test_labels), made.valid_labels) == (12, 4, None)
    write_csv(tmp_path / "p" / "test.csv", [(2, "only", "this")])
    made = load(f"text:{tmp_path / 'p'}", tmp_path)
    assert made.test_labels.tolist() == [1]
    assert made.valid_labels.tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_one_file_is_split_per_class_and_never_otherwise(tmp_path, ending):
    labels = [row % 3 for row in range(30)]
    texts = [f"text {row}" for row in range(30)]
    file = tmp_path / f"all.{ending}"
    if ending == "csv":
        write_csv(file, zip(labels, texts, strict=True))
    else:
        write_parquet(file, {"label": labels, "text": texts})
    made = load(f"text:{file}", tmp_path)
    is_test = held_out("x", np.array(labels), [str(row) for row in range(30)], parts=5)
    assert np.bincount(made.test_labels).tolist() == [2, 2, 2]
    assert texts_of(made.test_inputs) == [texts[row] for row in np.flatnonzero(is_test)]
    assert texts_of(made.train_inputs) == [texts[row] for row in np.flatnonzero(~is_test)]


def test_slices_keep_the_first_rows(tmp_path):
    whole = load(f"text:{zhang(tmp_path / 'p')}", tmp_path)
    part = load(f"text:{tmp_path / 'p'}@5+3", tmp_path)
    assert np.array_equal(part.train_inputs, whole.train_inputs[:5])
    assert np.array_equal(part.test_labels, whole.test_labels[:3])
    assert "13 + 4 rows" in error_of(f"text:{tmp_path / 'p'}@13+4", tmp_path)


# The cache


def test_texts_are_read_once_and_then_mapped(tmp_path, monkeypatch):
    name = f"text:{zhang(tmp_path / 'p')}"
    first = load(name, tmp_path)
    assert isinstance(first.train_inputs.base, np.memmap)
    loading._load.cache_clear()
    monkeypatch.setattr(text, "_chosen", None)
    assert load(name, tmp_path).fingerprint == first.fingerprint


def test_a_damaged_or_stale_cache_is_made_again(tmp_path):
    name = f"text:{zhang(tmp_path / 'p')}"
    before = load(name, tmp_path).fingerprint
    kept = next((tmp_path / "cache").glob("*train*.npy"))
    kept.write_bytes(kept.read_bytes()[:-1] + b"!")
    loading._load.cache_clear()
    assert load(name, tmp_path).fingerprint == before
    zhang(tmp_path / "p", n=14)
    assert load(name, tmp_path).n == 14
    assert len(list((tmp_path / "cache").glob("*train*.npy"))) == 1


@pytest.mark.parametrize("size", [1, 3, 5])
def test_small_batches_give_the_same_rows(tmp_path, monkeypatch, size):
    folder = zhang(tmp_path / "p", 11)
    expected = load(f"text:{folder}", tmp_path).train_inputs
    splits, _ = text.encoded(f"text:{folder}", folder, (7, 2))
    monkeypatch.setattr(text, "BATCH", size)
    parts = list(text.batches(splits["train"]))
    assert [len(part) for part in parts[:-1]] == [size] * (len(parts) - 1)
    assert np.array_equal(np.concatenate(parts), expected[:7])


def test_reading_stops_after_the_last_row_wanted(tmp_path):
    folder = zhang(tmp_path / "p")
    splits, _ = text.encoded(f"text:{folder}", folder, (5, 4))
    with (folder / "train.csv").open("a") as out:
        out.write('3,"never closed')  # would raise if it were reached
    assert sum(map(len, text.batches(splits["train"]))) == 5


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


@pytest.mark.parametrize(
    ("rating", "words"),
    [
        ([1.5] * 8, "row 0: rating 1.5, expected a whole number"),
        ([None, *[2.0] * 7], "1 empty values"),
        (["five"] * 8, "column rating is string"),
        ([3.0] * 8, "all 8 training rows are of one class"),
    ],
)
def test_bad_ratings(tmp_path, monkeypatch, rating, words):
    monkeypatch.setenv("STUDY_DATA", str(reviews(tmp_path, rating=rating)))
    assert words in error_of("amazon-ratings", tmp_path)


@pytest.mark.parametrize("name", ["imdb", "amazon-reviews@10+2", "amazon-ratings"])
def test_reviews_that_are_not_there_say_where_they_are_looked_for(tmp_path, monkeypatch, name):
    assert "STUDY_DATA, which is not set" in error_of(name, tmp_path)
    monkeypatch.setenv("STUDY_DATA", str(tmp_path))
    assert "train.parquet and" in error_of(name, tmp_path)


def test_real_reviews_are_what_their_makers_say(real_data, tmp_path, monkeypatch):
    monkeypatch.setenv("STUDY_DATA", real_data)
    amazon, stars = load("amazon-reviews", tmp_path), load("amazon-ratings", tmp_path)
    assert (amazon.n, len(amazon.test_labels), amazon.class_names) == (
        6283,
        1567,
        ("negative", "positive"),
    )
    assert stars.class_names == ("1 star", "2 stars", "4 stars", "5 stars")
    # Blitzer et al. (2007): more than 3 stars is positive
    assert np.array_equal(stars.train_labels >= 2, amazon.train_labels == 1)
    imdb = load("imdb@200+100", tmp_path)
    assert (imdb.n, imdb.train_inputs.shape[1], imdb.class_names) == (200, T, ("neg", "pos"))
    assert all(len(row) > 20 for row in texts_of(imdb.train_inputs))


# Bad input


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "train.csv is empty"),
        (b"label,review\n0,a\n", "label, review', expected a header with the columns label and"),
        (b"good,fine\nbad,poor\n", "expected a header"),
        (b"0\n1\n", "expected a header"),
        (b"0,a\n1,b\nx,c\n", "line 3: label 'x', expected a whole number"),
        (b"label,text\n0,a\n1.0,b\n", "line 3: label '1.0'"),
        (b"0,a\n1,b,c\n", "line 2: 3 fields, expected 2"),
        (b"0,a\n1,caf\xe9\n", "byte 0xe9), expected text in UTF-8"),
        ("0,a\n1,b\n".encode("utf-16"), "expected text in UTF-8"),
        (b"2,a\n3,b\n", "labels run from 2 to 3, expected 0..c-1 or 1..c"),
        (b"-1,a\n1,b\n", "labels run from -1 to 1"),
        (b"1,a\n2,b\n4,c\n4,d\n", "class '3' (label 2) has no rows"),
        (b"1,a\n1,b\n", "all 2 training rows are of one class"),
        (b"1,a\n999999999,b\n", "expected one of the training labels 1..3"),
        (b"label,text\n", "no training rows"),
        (b'0,a\n1,"' + b"b" * 200_000, "field larger than field limit"),
    ],
)
def test_bad_csv(tmp_path, content, words):
    (tmp_path / "train.csv").write_bytes(content)
    write_csv(tmp_path / "test.csv", [(1, "a")])
    assert words in error_of(f"text:{tmp_path}", tmp_path / "root")


def test_a_test_label_that_was_never_trained(tmp_path):
    zhang(tmp_path)
    write_csv(tmp_path / "test.csv", [(1, "a", "b"), (3, "c", "d")])
    words = "test row 1 has label 3, expected one of the training labels 1..2"
    assert words in error_of(f"text:{tmp_path}", tmp_path / "root")


def test_names_are_sorted_classes(tmp_path):
    labels = ["good", "bad", "1", "bad"] * 5
    records = [(label, f"text {row}") for row, label in enumerate(labels)]
    write_csv(tmp_path / "a.csv", records, ("label", "text"))
    columns = {"label": labels, "text": [text for _, text in records]}
    write_parquet(tmp_path / "a.parquet", columns)
    for file in ("a.csv", "a.parquet"):
        made = load(f"text:{tmp_path / file}", tmp_path / "root")
        assert made.class_names == ("1", "bad", "good")
        rows = [int(text.split()[1]) for text in texts_of(made.train_inputs)]
        assert [made.class_names[i] for i in made.train_labels] == [labels[row] for row in rows]


@pytest.mark.parametrize(
    ("test", "words"),
    [
        ([("x", "a")], "test row 0 has label x, expected one of the training labels bad..good"),
        ([("1", "a")], "test row 0 has label 1, expected one of the training labels bad..good"),
        ([("good", "a"), ("", "b")], "test.csv line 3: no label"),
    ],
)
def test_names_that_no_training_row_has(tmp_path, test, words):
    write_csv(tmp_path / "train.csv", [("good", "a"), ("bad", "b")], ("label", "text"))
    write_csv(tmp_path / "test.csv", test, ("label", "text"))
    assert words in error_of(f"text:{tmp_path}", tmp_path / "root")


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"text": ["a", "b"]}, "has the columns text, expected text and label"),
        ({"label": [0, 1], "body": ["a", "b"]}, "has the columns label, body"),
        ({"label": [True, False], "text": ["a", "b"]}, "column label is bool"),
        ({"label": [0, None], "text": ["a", "b"]}, "1 empty values"),
        ({"label": [0, 1], "text": [1, 2]}, "column text is int64, expected text"),
        ({"label": [0, 1], "text": ["a", "b"], "title": [1, 2]}, "column title is int64"),
    ],
)
def test_bad_parquet(tmp_path, columns, words):
    for split in ("train", "test"):
        write_parquet(tmp_path / f"{split}.parquet", columns)
    assert words in error_of(f"text:{tmp_path}", tmp_path / "root")


def test_a_damaged_parquet_file(tmp_path):
    for split in ("train", "test"):
        (tmp_path / f"{split}.parquet").write_bytes(b"PAR1 and no more")
    assert "expected an intact Parquet file" in error_of(f"text:{tmp_path}", tmp_path / "root")


def test_missing_files_are_named(tmp_path):
    assert "expected a .csv or .parquet file" in error_of(f"text:{tmp_path / 'no'}", tmp_path)
    write_csv(tmp_path / "train.csv", [(0, "a"), (1, "b")])
    assert "(there: train.csv)" in error_of(f"text:{tmp_path}", tmp_path)
    (tmp_path / "notes.txt").write_text("0,a")
    assert "(there: a file)" in error_of(f"text:{tmp_path / 'notes.txt'}", tmp_path)
    assert "unknown data set" in error_of("text:", tmp_path)


def test_a_full_disk_costs_the_cache_only(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache, "_write_file", full)
    made = load(f"text:{zhang(tmp_path / 'p')}", tmp_path)
    assert texts_of(made.train_inputs)[:2] == ["title 0\nreview 0", "title 1\nreview 1"]
