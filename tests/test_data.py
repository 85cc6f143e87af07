"""Data sets by name: what loads, what is guessed and said, what is cached, what is refused."""

import io
import json
import multiprocessing
import os
import signal
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from urllib.error import URLError

import numpy as np
import pytest
from PIL import Image

from helpers import StudyError, data
from helpers.data import Dataset, cache, check, download, load, names, pixels, resolve
from helpers.data.dataset import hash_order, held_out, split_of
from tests.reading import error_of, notes

pytestmark = pytest.mark.usefixtures("only_own_data")


def picture(value=0, size=(8, 8), mode="RGB", kind="PNG", **options):
    """Bytes of an image of one colour."""
    colour = value if mode in ("L", "P", "I;16") else (value,) * len(mode)
    buffer = io.BytesIO()
    Image.new(mode, size, colour).save(buffer, kind, **options)
    return buffer.getvalue()


def encoded(pixels, kind="PNG", **options):
    """Bytes of an image of these pixels."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def write_parquet(file, pictures, labels, names=None, hugging=None, columns=("image", "label"),
                  image_type=None, label_type=None):  # fmt: skip
    """Write a Parquet file in the Hugging Face image layout."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if image_type is None:
        image_type = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        pictures = [{"bytes": own, "path": None} for own in pictures]
    arrays = [pa.array(pictures, image_type), pa.array(labels, label_type)]
    metadata = {}
    if names:
        metadata["label_names"] = json.dumps(names)
    if hugging:
        features = {columns[1]: {"names": hugging, "_type": "ClassLabel"}}
        metadata["huggingface"] = json.dumps({"info": {"features": features}})
    file.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table(dict(zip(columns, arrays, strict=True)))
    pq.write_table(table.replace_schema_metadata(metadata), file)
    return file


def small_parquet(folder, n=12, n_test=4, **options):
    """A folder of two Parquet files with two classes; pixel value = row number."""
    for split, rows in (("train", n), ("test", n_test)):
        pictures = [picture(row) for row in range(rows)]
        labels = [row % 2 for row in range(rows)]
        write_parquet(folder / f"{split}.parquet", pictures, labels, **options)
    return folder


def small_folder(folder, classes=("ant", "bee"), n=5, split="", **options):
    """A folder of class folders with n images each: 10 * class + number."""
    for label, class_name in enumerate(classes):
        place = folder / split / class_name
        place.mkdir(parents=True, exist_ok=True)
        for row in range(n):
            (place / f"{row}.png").write_bytes(picture(10 * label + row, **options))
    return folder


def values(*arrays):
    """First pixel of every image, sorted."""
    return sorted(np.concatenate(arrays)[:, 0, 0, 0].tolist())


# Digits, names and slices


def test_digits_are_fixed_and_complete(tmp_path):
    from sklearn.datasets import load_digits

    digits = load("digits", tmp_path)
    assert (digits.n, len(digits.test_labels), digits.n_classes) == (1347, 450, 10)
    assert digits.train_inputs.shape == (1347, 1, 8, 8)
    assert (digits.in_channels, digits.image_size) == (1, 8)
    assert (digits.train_inputs.dtype, digits.train_labels.dtype) == (np.uint8, np.int64)
    both = np.concatenate([digits.train_inputs, digits.test_inputs]).reshape(-1, 64)
    original = np.rint(load_digits().data * 255 / 16).astype(np.uint8)
    assert sorted(map(bytes, both)) == sorted(map(bytes, original))
    # whatever the seed or the process
    assert digits.fingerprint.startswith("fc8115d9558dd59b5110cdcd1238f0c6")
    share = np.bincount(digits.test_labels) / np.bincount(load_digits().target)
    assert np.abs(share - 0.25).max() < 0.01


def test_slices_objects_and_read_only_arrays(tmp_path):
    whole, part = load("digits", tmp_path), load("digits@200+50", tmp_path)
    assert part.name == "digits@200+50"
    assert np.array_equal(part.train_inputs, whole.train_inputs[:200])
    assert np.array_equal(part.test_labels, whole.test_labels[:50])
    assert part.fingerprint != whole.fingerprint
    assert load("digits", tmp_path) is whole
    with pytest.raises(ValueError, match="read-only"):
        whole.train_labels[0] = 3
    inputs, labels = np.zeros((4, 1, 2, 2), np.uint8), np.array([0, 1, 0, 1])
    made = Dataset("own", inputs, labels, inputs, labels, ("a", "b"))
    inputs[0] = 1  # the caller's own array stays writable
    assert not made.train_inputs.flags.writeable
    for wrong in ((inputs[:3], labels), (inputs.astype(int), labels), (inputs, labels / 1)):
        with pytest.raises(StudyError, match="own: training"):
            Dataset("own", *wrong, inputs, labels, ("a", "b"))


def test_fingerprint_sees_pixels_labels_shape_and_split():
    inputs, labels = np.zeros((4, 1, 2, 3), np.uint8), np.array([0, 1, 0, 1])
    args = ("own", inputs, labels, inputs, labels, ("a", "b"))
    other = inputs.copy()
    other[3, 0, 1, 2] = 1
    turned = inputs.reshape(4, 1, 3, 2)
    changed = [
        Dataset("own", other, labels, inputs, labels, ("a", "b")),
        Dataset("own", inputs, labels[::-1].copy(), inputs, labels, ("a", "b")),
        Dataset("own", turned, labels, turned, labels, ("a", "b")),
        Dataset(*args, inputs, labels),
    ]
    first = Dataset(*args).fingerprint
    assert first == Dataset(*args, origin=data.Origin(notes=("x",))).fingerprint
    assert len({first, *(made.fingerprint for made in changed)}) == 5


def test_bad_names_slices_and_options(tmp_path):
    for name, word in (
        ("cifar11@10+10", "parquet:PATH"), ("folder:", "folder:PATH"), (None, "must be text"),
        ("digits@100", "@TRAIN+TEST"), ("digits@5000+10", "1347 training and 450 test"),
        ("digits@5+10", "among the 5 training"),
        ("folder:x?skip=1", "classes, target, skip_broken"),
        ("folder:x?target=age", "target=age, expected number"),
    ):  # fmt: skip
        assert word in error_of(name, tmp_path), name
    assert names.parse("parquet:/a?b/c.parquet?label=x@3+4") == ("parquet:/a?b/c.parquet", (3, 4))
    found = names.options("parquet:c?image=a%26b&skip_broken@3+4")
    assert found == {"image": "a&b", "skip_broken": ""}
    assert data.with_option("folder:a", "skip_broken") == "folder:a?skip_broken"
    two = data.with_option("folder:a?classes=top@9+2", "skip_broken")
    assert two == "folder:a?classes=top&skip_broken@9+2"
    with pytest.raises(StudyError, match="skip_broken"):
        data.with_option("digits", "skip_broken")


def test_classes_alone_are_renumbered(tmp_path):
    whole, part = load("digits@300+100"), load("digits@300+100~5-9")
    kept = whole.train_labels >= 5
    assert part.class_names == ("5", "6", "7", "8", "9")
    np.testing.assert_array_equal(part.train_labels, whole.train_labels[kept] - 5)
    np.testing.assert_array_equal(part.train_inputs, whole.train_inputs[kept])
    assert check(part.name) == part.n == kept.sum()
    flipped = load("digits@300+100~5-9~flip10")
    assert (flipped.train_labels != part.train_labels).sum() == round(part.n / 10)
    for name in ("digits~5-12", "digits~4-4"):
        assert "classes 0..9" in error_of(name, tmp_path)


def test_slices_are_checked_without_decoding_or_downloading(tmp_path, monkeypatch):
    monkeypatch.setattr(data, "_decode", None)
    monkeypatch.setattr(download, "_parts", None)
    small = f"parquet:{small_parquet(tmp_path / 'p')}"
    for name in ("digits@1347+450", "digits", "svhn@73257+26032", "mnist", f"{small}@12+4"):
        check(name)
    for name, there in (("digits@1348+1", "1347"), ("mnist@60000+10001", "60000"),
                        ("svhn-slides@66258+1", "66257"), (f"{small}@13+4", "12")):  # fmt: skip
        with pytest.raises(StudyError, match=f"the slice asks for .* the data set has {there} "):
            check(name)


def test_a_copy_goes_first_where_both_files_are(tmp_path, monkeypatch):
    assert resolve("cifar10@10+2") == "cifar10@10+2"
    assert "cifar10/train.parquet" in error_of("cifar10-jpeg@10+2", tmp_path)
    monkeypatch.setenv("STUDY_DATA", str(tmp_path))
    assert resolve("mnist") == "mnist"
    small_parquet(tmp_path / "mnist")
    assert resolve("mnist@4+2") == "mnist-png@4+2"
    small_parquet(tmp_path / "cifar10")
    assert resolve("cifar10") == "cifar10"  # the JPEGs have other pixels
    small_parquet(tmp_path / "cifar10_exact")
    assert resolve("cifar10") == "cifar10-exact"
    assert [resolve(name) for name in ("mnist-png", "svhn")] == ["mnist-png", "svhn"]
    assert load("mnist@4+2", tmp_path / "raw").name == "mnist-png@4+2"
    monkeypatch.setenv("STUDY_DATA", str(tmp_path / "gone"))
    assert "which is not a folder" in error_of("cifar10", tmp_path)
    assert load("digits@200+50", tmp_path).n == 200


def test_a_named_data_set_is_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("STUDY_DATA", str(tmp_path))
    small_parquet(tmp_path / "own", columns=("img", "fine_label"))
    monkeypatch.setitem(names.NAMED, "mine", names.Named("parquet", "own"))
    assert load("mine@6+2", tmp_path / "raw").n == 6
    assert not capsys.readouterr().err


# Numbers in place of classes


def test_numbers_are_read_from_every_kind_of_source(tmp_path):
    ages = [1.5, 30, 30, 71, 5, 0.25, -3, 8, 9, 10]
    file = write_parquet(tmp_path / "a.parquet", [picture(row) for row in range(10)], ages)
    found = load(f"parquet:{file}?target=number@7+2", tmp_path)
    assert (found.n_classes, found.n_outputs, "numbers" in repr(found)) == (0, 1, True)
    assert found.train_labels.dtype == np.float64
    pixels = np.concatenate([found.train_inputs, found.test_inputs])[:, 0, 0, 0]
    labels = np.concatenate([found.train_labels, found.test_labels])
    assert labels.tolist() == [ages[row] for row in pixels]
    assert (len(found.test_labels), found.origin.held_out) == (2, True)
    small_folder(tmp_path / "faces", ("7", "31.5"))
    found = load(f"folder:{tmp_path / 'faces'}?target=number", tmp_path)
    tens = found.train_inputs[:, 0, 0, 0] // 10
    np.testing.assert_array_equal(found.train_labels, np.array([7, 31.5])[tens])
    (tmp_path / "r.csv").write_text("text,stars\n" + "\n".join(f"t{i},{i / 4}" for i in range(10)))
    found = load(f"text:{tmp_path / 'r.csv'}?target=number", tmp_path)
    assert set(found.train_labels) | set(found.test_labels) == {i / 4 for i in range(10)}


def test_numbers_that_are_none_are_refused_in_one_line(tmp_path):
    pictures = [picture(row) for row in range(5)]
    for labels, words in (
        (["3", "4", "old", "5", "6"], "row 2 is 'old', expected a number"),
        ([1.0, None, 2.0, 3.0, 4.0], "row 1 is None, expected a number"),
        ([1.0, 2.0, 3.0, float("nan"), 4.0], "row 3 is nan, expected a number"),
        ([4.0] * 5, "must be finite and differ"),
    ):
        file = write_parquet(tmp_path / "x.parquet", pictures, labels)
        text = error_of(f"parquet:{file}?target=number", tmp_path)
        assert words in text
        assert "\n" not in text
    file = write_parquet(tmp_path / "x.parquet", pictures, [1.0, 2.0, 3.0, 4.0, 5.0])
    assert "~flip gives rows another class" in error_of(
        f"parquet:{file}?target=number~flip10", tmp_path
    )
    small_folder(tmp_path / "faces", ("ant", "bee"))
    text = error_of(f"folder:{tmp_path / 'faces'}?target=number", tmp_path)
    assert "class folder: row 0 is 'ant'" in text or "class folder: row 0 is 'bee'" in text


def test_a_draw_divides_the_same_rows_anew(tmp_path):
    whole = load("digits@200+50", tmp_path)
    assert data.check("digits@200+50~draw7") == 200
    first, again, other = (load(f"digits@200+50~draw{i}", tmp_path) for i in (0, 0, 1))
    assert first.fingerprint == again.fingerprint != other.fingerprint
    for one in (first, other):
        assert (one.n, len(one.test_labels)) == (200, 50)
        both = np.concatenate([one.train_inputs, one.test_inputs])
        assert one.drawn[0] is whole
        order = one.drawn[1]
        assert sorted(order) == list(range(250))
        every = np.concatenate([whole.train_inputs, whole.test_inputs])
        np.testing.assert_array_equal(both, every[order])


# Splits and labels


def test_orders_and_splits_by_hash_are_fixed():
    order = hash_order([str(row) for row in range(6)])
    assert order.tolist() == [4, 3, 2, 0, 5, 1]
    labels = np.repeat([0, 1, 2], [10, 25, 2])
    is_test = held_out("x", labels, [str(row) for row in range(37)])
    assert np.bincount(labels[is_test]).tolist() == [2, 5, 1]
    with pytest.raises(StudyError, match="at least two rows a class"):
        held_out("x", np.array([0, 0, 1]), list("abc"))
    for kind, own in (
        ("train", ["train", "TRAIN", "Training", "train_set", "train2017", "training-images"]),
        ("test", ["test", "Testing", "TEST set"]),
        ("valid", ["val", "Valid", "VALIDATION", "dev", "eval", "val2017"]),
        (None, ["trains", "a", "testament", "images", "", "2017"]),
    ):
        assert {split_of(name) for name in own} == {kind}


# Parquet


def test_parquet_folder_keeps_the_order_of_rows(tmp_path):
    folder = small_parquet(tmp_path / "p", names=["ant", "bee"])
    made = load(f"parquet:{folder}", tmp_path)
    assert made.class_names == ("ant", "bee")
    assert made.train_inputs.shape == (12, 3, 8, 8)
    assert made.train_inputs[:, 0, 0, 0].tolist() == list(range(12))
    assert made.train_labels.tolist() == [0, 1] * 6
    assert made.valid_inputs is None
    write_parquet(folder / "valid.parquet", [picture(9), picture(8), picture(7)], [0, 1, 1])
    made = load(f"parquet:{folder}", tmp_path)
    assert made.valid_labels.tolist() == [0, 1, 1]
    (folder / "test.parquet").unlink()
    made = load(f"parquet:{folder}", tmp_path)
    assert (made.test_labels.tolist(), made.valid_inputs) == ([0, 1, 1], None)
    assert "'valid' is the test set" in notes(made)


def test_a_single_parquet_file_is_split_by_class(tmp_path):
    labels = ["cat", "Ant", "bee"] * 10
    file = write_parquet(tmp_path / "one.parquet", [picture(row) for row in range(30)], labels)
    made = load(f"parquet:{file}", tmp_path)
    assert made.class_names == ("Ant", "bee", "cat")
    assert made.origin.held_out
    assert values(made.train_inputs, made.test_inputs) == list(range(30))
    assert made.train_inputs[:, 0, 0, 0].tolist() == made.origin.rows.tolist()
    for inputs, found, n in (
        (made.train_inputs, made.train_labels, 8), (made.test_inputs, made.test_labels, 2)
    ):  # fmt: skip
        assert np.bincount(found).tolist() == [n] * 3
        assert [made.class_names[i] for i in found] == [labels[v] for v in inputs[:, 0, 0, 0]]
    for split, own in (("train", ["b", "a", "b"]), ("test", ["b", "a", "x"])):
        write_parquet(tmp_path / "p" / f"{split}.parquet", [picture(0)] * 3, own)
    assert "test row 2 has label x" in error_of(f"parquet:{tmp_path / 'p'}", tmp_path)


def test_shards_of_the_hub_are_taken_together(tmp_path):
    for place in ("data", "plain_text", ""):
        folder = tmp_path / f"hub-{place}"
        for at in range(2):
            pictures = [picture(10 * at + row) for row in range(4)]
            file = folder / place / f"train-0000{at}-of-00002.parquet"
            write_parquet(file, pictures, [0, 1] * 2, columns=("img", "fine_label"),
                          hugging=["no", "yes"])  # fmt: skip
        write_parquet(folder / place / "test-00000-of-00001.parquet", pictures[:2], [1, 0],
                      columns=("img", "fine_label"))  # fmt: skip
        made = load(f"parquet:{folder}", tmp_path / "root")
        assert made.train_inputs[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 10, 11, 12, 13]
        assert made.test_labels.tolist() == [1, 0]
        assert made.class_names == ("no", "yes")
        assert "image from img, label from fine_label" in notes(made)
    (folder / "train-00000-of-00002.parquet").unlink()
    assert "1 of 2 files" in error_of(f"parquet:{folder}", tmp_path / "root")
    for split in ("train", "test"):  # the layout of the Hub's converted branch
        write_parquet(tmp_path / "c" / "default" / split / "0000.parquet", pictures, [0, 1] * 2)
    assert load(f"parquet:{tmp_path / 'c'}", tmp_path / "root").n == 4
    for split in ("train", "test"):
        write_parquet(tmp_path / "c" / "other" / split / "0000.parquet", pictures, [0, 1] * 2)
    assert "default, other" in error_of(f"parquet:{tmp_path / 'c'}", tmp_path / "root")
    for at in range(3):
        write_parquet(tmp_path / "s" / f"part.{at}.parquet", pictures, [0, 1] * 2)
    made = load(f"parquet:{tmp_path / 's'}", tmp_path / "root")
    assert (made.n, len(made.test_labels)) == (10, 2)
    assert "3 files are taken together" in notes(made)


def test_parquet_columns_of_any_type_and_name(tmp_path):
    import pyarrow as pa

    pictures, labels = [picture(row) for row in range(10)], [0, 1] * 5
    words = ["no", "yes"] * 5
    for image_type, label_type, own, expected in (
        (pa.binary(), pa.int8(), labels, ("0", "1")),
        (pa.large_binary(), pa.large_string(), words, ("no", "yes")),
        (pa.binary_view(), pa.string_view(), words, ("no", "yes")),
        (pa.binary(), pa.dictionary(pa.int8(), pa.string()), words, ("no", "yes")),
        (pa.binary(), pa.bool_(), [False, True] * 5, ("False", "True")),
        (pa.binary(), pa.float64(), [1.0, 2.0] * 5, ("1", "2")),
        (pa.binary(), pa.int64(), [-1, 4] * 5, ("-1", "4")),
    ):
        write_parquet(tmp_path / "a.parquet", pictures, own, columns=("photo_file", "target"),
                      image_type=image_type, label_type=label_type)  # fmt: skip
        made = load(f"parquet:{tmp_path / 'a.parquet'}", tmp_path)
        assert made.class_names == expected
        assert np.array_equal(made.origin.rows % 2, made.train_labels)
        assert np.array_equal(made.origin.rows, made.train_inputs[:, 0, 0, 0])
    assert "the labels -1, 4 are 2 classes" in notes(made)
    write_parquet(tmp_path / "b.parquet", pictures, labels, columns=("png", "answer"))
    message = error_of(f"parquet:{tmp_path / 'b.parquet'}", tmp_path)
    assert "columns png, answer" in message
    assert "?label=COLUMN" in message
    assert load(f"parquet:{tmp_path / 'b.parquet'}?label=answer@4+2", tmp_path).n == 4


def test_a_slice_decodes_only_its_rows(tmp_path):
    pictures = [picture(row) for row in range(6)] + [b"broken"] * 6
    write_parquet(tmp_path / "p" / "train.parquet", pictures, [0, 1] * 6)
    write_parquet(tmp_path / "p" / "test.parquet", pictures[:3], [0, 1, 0])
    assert load(f"parquet:{tmp_path / 'p'}@6+2", tmp_path).n == 6
    assert "train.parquet row 6" in error_of(f"parquet:{tmp_path / 'p'}@7+2", tmp_path)


def test_bad_parquet(tmp_path):
    import pyarrow as pa

    for options, words in (
        ({"labels": [0, 0, 0]}, "one class"),
        ({"labels": [0, 1, 1], "names": ["a", "b", "c"]}, "class 'c'"),
        ({"labels": [0, -1, 1], "names": ["a", "b"]}, "row 1 has label -1"),
        ({"labels": [0.0, 1.5, 1.0]}, "row 1 is 1.5"),
        ({"labels": [0, 1, 2**60]}, "row 2 is 11529"),
        ({"labels": ["a", "b", "b"]}, "test row 0 has label 0"),
        ({"labels": [0, None, 1]}, "row 1 has no label"),
        ({"labels": [[0], [1], [1]]}, "holds list"),
        ({"labels": [], "pictures": [], "label_type": pa.int64()}, "no training rows"),
        ({"labels": [0, 1, 1], "pictures": [None] * 3}, "3 of 7 images"),
        ({"labels": [0, 1, 1], "pictures": list("abc"), "image_type": pa.string()}, "is string"),
    ):
        small_parquet(tmp_path / "p")
        options = {"pictures": [picture(0)] * 3} | options
        write_parquet(tmp_path / "p" / "train.parquet", **options)
        assert words in error_of(f"parquet:{tmp_path / 'p'}", tmp_path), options
    small_parquet(tmp_path / "p")
    (tmp_path / "p" / "test.parquet").write_bytes(b"no parquet at all")
    assert "intact Parquet file" in error_of(f"parquet:{tmp_path / 'p'}", tmp_path)


def test_deep_metadata_is_passed_over(tmp_path):
    import pyarrow.parquet as pq

    folder = small_parquet(tmp_path / "p")
    table = pq.read_table(folder / "train.parquet")
    deep = {"label_names": "[" * 5000, "huggingface": '{"info":' * 5000}
    pq.write_table(table.replace_schema_metadata(deep), folder / "train.parquet")
    assert load(f"parquet:{folder}", tmp_path).class_names == ("0", "1")


# Folders


def test_splits_by_any_usual_name(tmp_path, capsys):
    for at, (train, test) in enumerate(
        [("train", "test"), ("training", "validation"), ("Train", "Test"), ("TRAIN", "VAL"),
         ("train", "valid"), ("train", "dev"), ("train2017", "val2017"), ("Training", "eval")]
    ):  # fmt: skip
        folder = small_folder(tmp_path / str(at), split=train)
        small_folder(folder, split=test, n=2)
        made = load(f"folder:{folder}", tmp_path)
        assert made.class_names == ("ant", "bee")
        assert (made.n, len(made.test_labels), made.valid_labels) == (10, 4, None)
        assert values(made.train_inputs) == [*range(5), *range(10, 15)]
        assert ("is the test set" in notes(made)) == (split_of(test) == "valid")
        assert not made.origin.held_out
    small_folder(folder, split="Test", n=1)
    small_folder(folder, split="unlabelled", n=1)
    made = load(f"folder:{folder}", tmp_path)
    assert (made.n, len(made.test_labels), len(made.valid_labels)) == (10, 2, 4)
    assert "2 images beside the splits" in capsys.readouterr().err
    for own in ("ant", "bee"):  # the split inside each class
        for split, n in (("train", 4), ("test", 1)):
            small_folder(tmp_path / "inside" / own, classes=(split,), n=n)
    made = load(f"folder:{tmp_path / 'inside'}", tmp_path)
    assert (made.n, len(made.test_labels), made.class_names) == (8, 2, ("ant", "bee"))


def test_one_part_alone_is_split_and_doubts_are_refused(tmp_path):
    made = load(f"folder:{small_folder(tmp_path / 'f', split='train')}", tmp_path)
    assert (made.n, len(made.test_labels), made.origin.held_out) == (8, 2, True)
    assert "'train' alone" in notes(made)
    small_folder(tmp_path / "f", classes=("ant", "wasp"), split="test")
    small_folder(tmp_path / "e", split="train")
    small_folder(tmp_path / "e", split="test")
    small_folder(tmp_path / "e", split="testing")
    small_folder(tmp_path / "g", split="test")
    small_folder(tmp_path / "h", split="train")
    for split in ("train", "test"):  # images without classes, as competitions hand them out
        small_folder(tmp_path / "k", classes=(split,))
    for name, words in {
        "f": "label wasp", "e": "'test' and 'testing'", "g": "no training part",
        "h": "'train' holds class folders, ", "k": "not in class folders",
    }.items():  # fmt: skip
        own = small_folder(tmp_path / name) if name in "gh" else tmp_path / name
        assert words in error_of(f"folder:{own}", tmp_path)
    # without folders inside they are classes
    made = load(f"folder:{small_folder(tmp_path / 'i', classes=('bus', 'train'))}", tmp_path)
    assert made.class_names == ("bus", "train")


def test_a_folder_without_a_split_is_cut_80_20_wherever_it_lies(tmp_path):
    first = load(f"folder:{small_folder(tmp_path / 'f', n=10)}", tmp_path)
    second = load(f"folder:{small_folder(tmp_path / 'elsewhere' / 'g', n=10)}", tmp_path)
    assert np.bincount(first.train_labels).tolist() == [8, 8]
    assert np.bincount(first.test_labels).tolist() == [2, 2]
    assert first.fingerprint == second.fingerprint
    assert first.fingerprint.startswith("6ad619dd6dcabcff91fb680fffd57174")
    part = load(f"folder:{tmp_path / 'f'}@6+2", tmp_path)
    assert np.array_equal(part.train_inputs, first.train_inputs[:6])
    assert [10 * (file[0] == "b") + int(file[4]) for file in part.origin.files] == (
        part.train_inputs[:, 0, 0, 0].tolist()
    )


def test_classes_a_level_deeper_are_asked_for(tmp_path):
    for parent, own in (("a", ("airfield", "alley")), ("b", ("bakery", "alley"))):
        small_folder(tmp_path / "f", split=parent, classes=own)
    message = error_of(f"folder:{tmp_path / 'f'}", tmp_path)
    assert "?classes=top (2: a, b)" in message
    assert "?classes=path (4: a/airfield, a/alley, b/alley, ...)" in message
    for way, expected in (
        ("top", ("a", "b")),
        ("path", ("a/airfield", "a/alley", "b/alley", "b/bakery")),
        ("leaf", ("airfield", "alley", "bakery")),
    ):
        made = load(f"folder:{tmp_path / 'f'}?classes={way}", tmp_path)
        assert made.class_names == expected
        assert made.n + len(made.test_labels) == 20
    assert "expected top, path, leaf" in error_of(f"folder:{tmp_path / 'f'}?classes=x", tmp_path)
    # one parent leaves no doubt
    made = load(f"folder:{small_folder(tmp_path / 'g', split='images')}", tmp_path)
    assert made.class_names == ("ant", "bee")
    assert "the class folders lie in 'images'" in notes(made)
    small_folder(tmp_path / "h" / "ant", classes=("red",))
    made = load(f"folder:{small_folder(tmp_path / 'h')}", tmp_path)
    assert (made.class_names, made.n) == (("ant", "bee"), 12)
    assert "folders inside 1 class folders" in notes(made)


def test_links_are_followed_once(tmp_path):
    folder = small_folder(tmp_path / "f")
    (folder / "ant" / "up").symlink_to(folder)
    (folder / "ant" / "here").symlink_to(".")
    (folder / "ant" / "out").symlink_to(tmp_path)
    (folder / "ant" / "copy.png").symlink_to(folder / "bee" / "0.png")
    (folder / "ant" / "gone.png").symlink_to("nothing.png")
    (folder / "abc").symlink_to("bee")
    small_folder(tmp_path / "far", classes=("cat",))
    (folder / "cat").symlink_to(tmp_path / "far" / "cat")
    made = load(f"folder:{folder}", tmp_path / "root")
    assert values(made.train_inputs, made.test_inputs) == sorted(
        [*range(5), *range(10, 15), *range(5)]
    )
    assert made.class_names == ("ant", "bee", "cat")
    for words in ("4 link back", "1 link to nothing", "1 second links to an image"):
        assert words in notes(made)


def test_system_files_are_passed_over_and_counted(tmp_path, capsys):
    folder = small_folder(tmp_path / "f", size=(16, 16))
    expected = load(f"folder:{folder}", tmp_path).fingerprint
    for place in ("", "ant"):
        for own in ("@eaDir", "__MACOSX", ".thumbnails", "#recycle", "lost+found", "@EADIR"):
            small_folder(folder / place / own, classes=("0.png",), n=1)
    for own in ("Thumbs.db", ".DS_Store", "._0.png", "notes.txt", "raw.CR2", "x.heic"):
        (folder / "bee" / own).write_bytes(b"x")
    (folder / "cover.png").write_bytes(picture())
    (folder / "bee" / "no-ending").write_bytes(b"x")
    os.mkfifo(folder / "bee" / "pipe.png")
    made = load(f"folder:{folder}", tmp_path)
    assert made.fingerprint == expected
    line = capsys.readouterr().err.splitlines()[-1]
    assert notes(made) in line
    for words in ("2 @eaDir", "2 lost+found", "2 #recycle", "1 .db", "1 .cr2", "1 .heic",
                  "1 no ending", "1 not a file", "1 images beside the class folders",
                  "4 hidden"):  # fmt: skip
        assert words in line, words


def test_what_pillow_reads_is_read(tmp_path):
    folder = small_folder(tmp_path / "f", n=2)
    kinds = {"jfif": "JPEG", "AVIF": "AVIF", "webp": "WEBP", "tif": "TIFF", "jp2": "JPEG2000"}
    for at, (ending, kind) in enumerate(kinds.items()):
        (folder / "ant" / f"x.{ending}").write_bytes(picture(100 + at, kind=kind))
    (folder / "bee" / "no-ending").write_bytes(picture(200))
    drawing = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n"
    (folder / "bee" / "figure.eps").write_bytes(drawing)
    write_parquet(tmp_path / "eps.parquet", [drawing] * 4, [0, 1] * 2)  # would start a program
    assert "4 images" in error_of(f"parquet:{tmp_path / 'eps.parquet'}", tmp_path)
    made = load(f"folder:{folder}", tmp_path)
    found = values(made.train_inputs, made.test_inputs)
    assert np.abs(np.subtract(found, [0, 1, 10, 11, *range(100, 105), 200])).max() <= 2
    assert "1 .eps" in notes(made)


def test_unicode_names_are_stable(tmp_path):
    wide, plain = "Bl\u00fcte", "Blu\u0308te"  # two ways to write one name
    places = []
    for at, own in enumerate((wide, plain)):
        folder = small_folder(tmp_path / str(at), classes=(own, "ant"), split="train")
        small_folder(folder, classes=(wide, "ant"), split="test", n=1)
        places.append(load(f"folder:{folder}", tmp_path))
    assert places[0].class_names == places[1].class_names == (wide, "ant")
    assert places[0].fingerprint == places[1].fingerprint
    for first, second in ((wide, plain), ("Pos", "pos"), ("pos", "pos ")):
        folder = small_folder(tmp_path / f"d{first}", classes=(first, second))
        assert "differ in case or spaces" in error_of(f"folder:{folder}", tmp_path)
    odd = small_folder(tmp_path / "odd")
    (odd / "ant" / os.fsdecode(b"caf\xe9.png")).write_bytes(picture(77))
    assert "names of files in UTF-8" in error_of(f"folder:{odd}", tmp_path)


def test_folders_that_hold_no_data_set(tmp_path):
    assert "there is no folder" in error_of(f"folder:{tmp_path / 'none'}", tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "a.png").write_bytes(picture())
    assert "no class folder" in error_of(f"folder:{tmp_path / 'empty'}", tmp_path)
    folder = small_folder(tmp_path / "f")
    (folder / "cat").mkdir()
    (folder / "cat" / "x.heic").write_bytes(b"x")
    assert "class 'cat' has no images" in error_of(f"folder:{folder}", tmp_path)
    folder = small_folder(tmp_path / "one", classes=("ant",))
    assert "one class ('ant')" in error_of(f"folder:{folder}", tmp_path)


def test_broken_images_are_named_at_once_or_left_out(tmp_path, capsys):
    noise = encoded(np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8), "JPEG")
    folder = small_folder(tmp_path / "f", n=20)
    for at in range(12):
        broken = (noise[: len(noise) // 2 + 60], b"", b"not an image")[at % 3]
        (folder / "bee" / f"torn-{at:02}.jpg").write_bytes(broken)
    message = error_of(f"folder:{folder}", tmp_path)
    assert "12 of 52 images cannot be read" in message
    assert sum(f"torn-{at:02}.jpg" in message for at in range(12)) == 12
    assert not list((tmp_path / "cache").iterdir())
    check(f"folder:{folder}")
    name = data.with_option(f"folder:{folder}", "skip_broken")
    for _ in range(2):
        made = load(name, tmp_path)
        assert len(made.origin.broken) == 12
        assert values(made.train_inputs, made.test_inputs) == sorted([*range(20), *range(10, 30)])
        assert "left out 12 broken images of 52" in notes(made)
        # row numbers count all files, so that they stay when the broken ones are mended
        listed = data._listing(f"folder:{folder}")
        number = dict(zip(listed.files, listed.splits["train"].rows.tolist(), strict=True))
        assert [number[file] for file in made.origin.files] == made.origin.rows.tolist()
        data._load.cache_clear()
    pictures = [picture(row) for row in range(12)]
    pictures[3] = pictures[8] = b"broken"
    write_parquet(tmp_path / "a.parquet", pictures, [0, 1] * 6)
    made = load(f"parquet:{tmp_path / 'a.parquet'}?skip_broken", tmp_path)
    assert np.array_equal(made.train_inputs[:, 0, 0, 0], made.origin.rows)
    assert made.origin.broken == tuple(f"{tmp_path / 'a.parquet'} row {row}" for row in (3, 8))


# Pixels


def test_mixed_sizes_and_colours_keep_every_row_in_its_place(tmp_path):
    kinds = {
        "grey": picture(10, size=(9, 30), mode="L"),
        "colour": picture(20, size=(12, 14)),
        "opaque": encoded(np.full((20, 40, 4), [30, 30, 30, 255], np.uint8)),
        "JPEG": picture(40, size=(16, 12), kind="JPEG"),
        "palette": picture(0, size=(10, 10), mode="P"),
        "16 bits": picture(50 * 257, size=(12, 12), mode="I;16"),
    }
    write_parquet(tmp_path / "p" / "train.parquet", list(kinds.values()), [0, 1] * 3)
    write_parquet(tmp_path / "p" / "test.parquet", [picture(60, (3, 3), "L")], [0])
    made = load(f"parquet:{tmp_path / 'p'}", tmp_path)
    assert made.train_inputs.shape == (6, 3, 12, 12)  # the (lower) median of the shorter sides
    assert made.test_inputs.shape == (1, 3, 12, 12)
    assert made.train_inputs.mean((1, 2, 3)).round().tolist() == [10, 20, 30, 40, 0, 50]
    sources = [("a", picture(size=(900, 700), mode="L")), ("b", picture(size=(700, 800), mode="L"))]
    split = data.dataset.Split(np.array([0, 1]), np.arange(2), lambda: iter(sources))
    assert pixels.common_layout([split])[0].shape == (1, 224, 224)


def test_photographs_stand_upright(tmp_path):
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[:, :10] = 250  # the left edge, which orientation 6 turns to the top
    exif = Image.Exif()
    exif[0x0112] = 6
    for kind in ("JPEG", "PNG", "WEBP", "TIFF"):
        picture_ = encoded(pixels, kind, exif=exif)
        write_parquet(tmp_path / f"{kind}.parquet", [picture_] * 4, [0, 1] * 2)
        made = load(f"parquet:{tmp_path / kind}.parquet", tmp_path)
        assert made.train_inputs.shape[1:] == (3, 60, 40)
        assert (made.train_inputs[:, :, :8] > 200).all()
        assert (made.train_inputs[:, :, 12:] < 50).all()
    assert cache.REVISION > 1


def test_transparency_is_composed_on_white(tmp_path):
    ink = np.zeros((8, 8, 4), np.uint8)
    ink[2:6, 2:6, 3] = 255  # black on nothing
    palette = Image.fromarray(ink[..., 3] // 255, "P")
    palette.putpalette([9, 9, 9, 0, 0, 0])
    palette.info["transparency"] = 0
    for image in (Image.fromarray(ink), Image.fromarray(ink).convert("LA"), palette):
        buffer = io.BytesIO()
        image.save(buffer, "PNG")
        write_parquet(tmp_path / "a.parquet", [buffer.getvalue()] * 4, [0, 1] * 2)
        made = load(f"parquet:{tmp_path / 'a.parquet'}", tmp_path)
        assert (made.train_inputs[:, :, 2:6, 2:6] == 0).all()
        assert (made.train_inputs[:, :, :2] == 255).all()
        assert "4 images with transparency, composed on white" in notes(made)
    half = np.array([[100, 128]] * 16, np.uint8).reshape(4, 4, 2)
    write_parquet(tmp_path / "a.parquet", [encoded(half)] * 4, [0, 1] * 2)
    made = load(f"parquet:{tmp_path / 'a.parquet'}", tmp_path)
    assert np.abs(made.train_inputs.astype(int) - (100 * 128 + 255 * 127) / 255).max() <= 1
    assert "4 images of one value throughout" in notes(made)


def test_deep_images_are_scaled_by_one_range(tmp_path):
    ramp = np.arange(64).reshape(8, 8)
    for at, (scale, kind, low, high) in enumerate(
        [(np.uint16(65), "PNG", 0, 4095), (np.float32(1 / 63), "TIFF", 0, 1),
         (np.int32(-10), "TIFF", -630, 0), (np.uint16(1040), "PNG", 0, 65520)]
    ):  # fmt: skip
        whole = (ramp * scale).astype(scale.dtype)
        dim = (whole / 2).astype(scale.dtype)
        pictures = [encoded(pixels, kind) for pixels in (whole, whole, dim, dim)]
        file = write_parquet(tmp_path / f"{at}.parquet", pictures, [0, 1] * 2)
        made = load(f"parquet:{file}", tmp_path)
        both = np.concatenate([made.train_inputs, made.test_inputs])
        assert both.shape == (4, 1, 8, 8)
        assert (both.min(), both.max()) == (0, 255)
        order = np.concatenate([made.origin.rows, np.setdiff1d(np.arange(4), made.origin.rows)])
        for row, found in zip(order, both, strict=True):
            pixels = dim if row > 1 else whole
            expected = (pixels.astype(float) - low) * 255 / (high - low)
            assert np.abs(found[0] - expected).max() <= 1
        assert f"4 images of more than 8 bits, {low}..{high} scaled to 0..255" in notes(made)


# The cache of decoded images


@pytest.fixture
def decodings(monkeypatch):
    """Counts how often a split was decoded."""
    counts = []
    original = pixels.batches
    monkeypatch.setattr(pixels, "batches", lambda *a, **o: counts.append(1) or original(*a, **o))
    return counts


def again(name, root):
    """Load as a new process would."""
    data._load.cache_clear()
    return load(name, root)


def test_the_cache_is_used_mapped_and_mended(tmp_path, decodings):
    name = f"parquet:{small_parquet(tmp_path / 'p')}"
    first = load(name, tmp_path)
    assert isinstance(first.train_inputs, np.memmap)
    second = again(name, tmp_path)
    assert (second.fingerprint, notes(second)) == (first.fingerprint, notes(first))
    assert len(decodings) == 2
    (folder,) = (tmp_path / "cache").iterdir()
    for at, (own, damage) in enumerate(
        [("train.npy", lambda c: c[:-100]), ("train.npy", lambda c: c[:-1] + b"!"),
         ("test.npy", lambda c: b"garbage"), ("facts.json", lambda c: c[:-9]),
         ("facts.json", lambda c: b"[" * 9)], 2
    ):  # fmt: skip
        content = (folder / own).read_bytes()
        (folder / own).unlink()
        (folder / own).write_bytes(damage(content))
        assert again(name, tmp_path).fingerprint == first.fingerprint
        assert len(decodings) == 2 * at


def test_a_source_that_changed_is_decoded_anew(tmp_path, decodings):
    folder = small_parquet(tmp_path / "p")
    first = load(f"parquet:{folder}", tmp_path).fingerprint
    left = tmp_path / "cache" / ".part-killed"
    left.mkdir()
    os.utime(left, (0, 0))
    write_parquet(folder / "train.parquet", [picture(200)] * 12, [0, 1] * 6)
    made = load(f"parquet:{folder}", tmp_path)
    assert made.train_inputs.max() == 200
    assert made.fingerprint != first
    assert len(decodings) == 4
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_without_room_or_right_to_write_there_is_no_cache(tmp_path, monkeypatch):
    name = f"parquet:{small_parquet(tmp_path / 'p')}"
    first = load(name, tmp_path).fingerprint
    (tmp_path / "file").write_text("a file where the root should be")
    assert load(name, tmp_path / "file").fingerprint == first

    def full(folder, split, shape, batches):
        next(batches)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache, "_write", full)
    made = load(name, tmp_path / "full")
    assert made.fingerprint == first
    assert not isinstance(made.train_inputs, np.memmap)
    assert not list((tmp_path / "full" / "cache").iterdir())


def _loaded(name, root, out):
    out.put(load(name, root).fingerprint)


@pytest.mark.slow
def test_two_processes_and_a_kill_leave_a_whole_cache(tmp_path):
    name = f"parquet:{small_parquet(tmp_path / 'p', n=400)}"
    fork = multiprocessing.get_context("fork")
    out = fork.Queue()
    for at in range(6):
        killed = fork.Process(target=_loaded, args=(name, tmp_path / "r", out))
        killed.start()
        time.sleep(0.02 * at)
        os.kill(killed.pid, signal.SIGKILL)
        killed.join()
    two = [fork.Process(target=_loaded, args=(name, tmp_path / "s", out)) for _ in range(2)]
    for one in two:
        one.start()
    found = {out.get(timeout=60) for _ in two}
    for one in two:
        one.join()
    assert found == {load(name, tmp_path / "r").fingerprint}
    assert len(list((tmp_path / "s" / "cache").iterdir())) == 1


# Downloads


def save_svhn(folder, n):
    """Small files in the layout of SVHN, with its label 10 for the digit 0."""
    from scipy.io import savemat

    folder.mkdir(parents=True, exist_ok=True)
    images = np.random.default_rng(0).integers(0, 256, (32, 32, 3, n), np.uint8)
    labels = (np.arange(n) % 10 + 1).astype(np.uint8)[:, None]
    for split in ("train", "test"):
        savemat(folder / f"{split}_32x32.mat", {"X": images, "y": labels})
    return images, labels


def test_svhn_whole_and_as_the_slides_divide_it(tmp_path, monkeypatch):
    svhn = pytest.importorskip("torchvision.datasets.svhn", reason="torchvision is not installed")
    images, labels = save_svhn(tmp_path, n=60)
    monkeypatch.setattr(svhn, "check_integrity", lambda path, md5: Path(path).is_file())
    made = load("svhn@15+5", tmp_path)
    original = images.transpose(3, 2, 0, 1)
    assert np.array_equal(made.train_inputs, original[:15])
    assert made.train_labels.tolist() == (labels[:15, 0] % 10).tolist()
    assert names.NAMED["svhn-slides"].rows == (66257, 10000)
    small = replace(names.NAMED["svhn-slides"], rows=(45, 40), valid=15)
    monkeypatch.setitem(names.NAMED, "svhn-slides", small)
    made = load("svhn-slides", tmp_path)
    assert [len(made.train_labels), len(made.test_labels)] == [45, 40]
    both = np.concatenate([made.train_inputs, made.valid_inputs])
    assert sorted(map(bytes, both)) == sorted(map(bytes, original))  # each row once
    place = {bytes(row): at for at, row in enumerate(original)}
    told = np.concatenate([made.train_labels, made.valid_labels]).tolist()
    assert [(place[bytes(row)] + 1) % 10 for row in both] == told
    part = load("svhn-slides@40+20", tmp_path)
    assert np.array_equal(part.train_inputs, made.train_inputs[:40])
    assert len(part.valid_labels) == 15


def test_downloads_and_what_a_failed_one_says(tmp_path, monkeypatch):
    datasets = pytest.importorskip("torchvision.datasets", reason="torchvision is not installed")
    for base, shape in (("cifar10", (24, 32, 32, 3)), ("fashionmnist", (24, 28, 28))):
        found = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        part = SimpleNamespace(data=found, targets=[0, 1] * 12, classes=["a", "b"])
        with monkeypatch.context() as patched:
            patched.setattr(download, "_open", lambda *args, part=part: part)
            made = load(f"{base}@20+6", tmp_path)
        assert made.train_inputs.shape[1:] == ((3, 32, 32) if len(shape) == 4 else (1, 28, 28))
        assert made.train_inputs[5, 0, 3, 4] == np.atleast_1d(found[5, 3, 4])[0]
        assert made.train_labels.dtype == np.int64
    for failure, base, word in (
        (URLError("no network"), "cifar10", "cifar-10-python.tar.gz"),
        (RuntimeError("corrupted"), "svhn", "train_32x32.mat, test_32x32.mat"),
        (OSError(28, "full"), "mnist", "train-images-idx3-ubyte.gz"),
    ):

        def fail(root, download, failure=failure, **split):
            raise failure

        monkeypatch.setattr(datasets, names.NAMED[base].source, fail)
        message = error_of(base, tmp_path / "raw")
        for told in (f"{base} could not be downloaded", str(tmp_path), word):
            assert told in message


# Real data


def test_real_copies(tmp_path, monkeypatch, real_data):
    monkeypatch.setenv("STUDY_DATA", real_data)
    made = load("cifar10-jpeg@2000+400", tmp_path)
    assert made.train_inputs.shape == (2000, 3, 32, 32)
    assert made.class_names[:2] == ("airplane", "automobile")
    assert np.abs(made.train_inputs.mean((0, 2, 3)) - [125.3, 123.0, 113.9]).max() < 6
    if (Path(real_data) / "cifar10_exact").is_dir():
        exact = load("cifar10@1000+200", tmp_path)
        assert exact.name == "cifar10-exact@1000+200"
        assert np.array_equal(exact.train_labels, made.train_labels[:1000])
        apart = exact.train_inputs.astype(int) - made.train_inputs[:1000]
        assert 4 < np.abs(apart).mean() < 8  # 5.8 levels, over the whole set
    for name, shape, n_classes in (
        ("mnist@600+100", (1, 28, 28), 10), ("cifar100@2000+100", (3, 32, 32), 100)
    ):  # fmt: skip
        made = load(name, tmp_path)
        assert (made.train_inputs.shape[1:], made.n_classes) == (shape, n_classes)


def test_imagenette_is_read_from_the_given_data(tmp_path, monkeypatch, real_data):
    with pytest.raises(StudyError, match="imagenette is read from imagenette/train.parquet"):
        load("imagenette@10+2", tmp_path)
    if not (Path(real_data) / "imagenette").is_dir():
        pytest.skip("STUDY_DATA holds no imagenette")
    monkeypatch.setenv("STUDY_DATA", real_data)
    made = load("imagenette@30+10", tmp_path)  # some of the images are grey
    assert (made.name, made.class_names[0]) == ("imagenette@30+10", "tench")
    assert made.train_inputs.shape == (30, 3, 224, 224)
