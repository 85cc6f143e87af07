"""Data sets by name: what loads, what is cached, and how bad input is told."""

import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from urllib.error import URLError

import numpy as np
import pytest
from PIL import Image

from helpers import StudyError
from helpers.data import Dataset, cache, check, downloads, load, loading, pixels, resolve
from helpers.data.dataset import check_labels
from helpers.data.splitting import hash_order, held_out

pytestmark = pytest.mark.usefixtures("only_own_data")


@pytest.fixture(scope="module")
def real_data():
    """Folder of the real Parquet copies, looked up before tests unset the variable."""
    folder = os.environ.get("STUDY_DATA")
    if not folder or not (Path(folder) / "cifar10" / "train.parquet").is_file():
        pytest.skip("STUDY_DATA does not name a folder with cifar10/train.parquet")
    return folder


def picture(value=0, size=(8, 8), mode="RGB", kind="PNG"):
    """Bytes of an image of one colour."""
    colour = value if mode in ("L", "P", "I;16") else (value,) * len(mode)
    buffer = io.BytesIO()
    Image.new(mode, size, colour).save(buffer, kind)
    return buffer.getvalue()


def write_parquet(file, images, labels, names=None, hugging=None, binary=False, label_type=None):
    """Write a Parquet file in the Hugging Face image layout."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    column = images if binary else [{"bytes": image, "path": None} for image in images]
    kind = pa.binary() if binary else pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table({"image": pa.array(column, kind), "label": pa.array(labels, label_type)})
    metadata = {}
    if names:
        metadata["label_names"] = json.dumps(names)
    if hugging:
        features = {"label": {"names": hugging, "_type": "ClassLabel"}}
        metadata["huggingface"] = json.dumps({"info": {"features": features}})
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table.replace_schema_metadata(metadata), file)
    return file


def small_parquet(folder, n=12, n_test=4, **options):
    """A folder of two Parquet files with two classes; pixel value = row number."""
    for split, rows in (("train", n), ("test", n_test)):
        images = [picture(row) for row in range(rows)]
        write_parquet(
            folder / f"{split}.parquet", images, [row % 2 for row in range(rows)], **options
        )
    return folder


def small_folder(folder, classes=("ant", "bee"), n=5, split="", **options):
    """A folder of class folders with n images each."""
    for label, class_name in enumerate(classes):
        place = folder / split / class_name
        place.mkdir(parents=True, exist_ok=True)
        for row in range(n):
            (place / f"{row}.png").write_bytes(picture(10 * label + row, **options))
    return folder


def error_of(name, root):
    """The one line that loading a name raises."""
    with pytest.raises(StudyError) as caught:
        load(name, root)
    message = str(caught.value)
    assert "\n" not in message
    return message


# Digits, names and slices


def test_digits_are_fixed_and_complete(tmp_path):
    from sklearn.datasets import load_digits

    digits = load("digits", tmp_path)
    assert (digits.n, len(digits.test_labels), digits.n_classes) == (1347, 450, 10)
    assert digits.train_inputs.shape == (1347, 1, 8, 8)
    assert (digits.in_channels, digits.image_size) == (1, 8)
    assert digits.train_inputs.dtype == np.uint8
    assert digits.train_inputs.max() == 255
    assert digits.train_labels.dtype == np.int64
    both = np.concatenate([digits.train_inputs, digits.test_inputs]).reshape(-1, 64)
    original = np.rint(load_digits().data * 255 / 16).astype(np.uint8)
    assert sorted(map(bytes, both)) == sorted(map(bytes, original))
    share = np.bincount(digits.test_labels) / np.bincount(load_digits().target)
    assert np.abs(share - 0.25).max() < 0.01


def test_digits_do_not_depend_on_seed_or_process(tmp_path):
    first = load("digits", tmp_path).fingerprint
    np.random.seed(7)  # noqa: NPY002  the global seed must not matter
    loading._load.cache_clear()
    assert load("digits", tmp_path).fingerprint == first
    program = "from helpers.data import load; import sys; print(load('digits').fingerprint)"
    program += "; assert 'torch' not in sys.modules"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [first]


def test_slice_keeps_the_first_rows(tmp_path):
    whole, part = load("digits", tmp_path), load("digits@200+50", tmp_path)
    assert part.name == "digits@200+50"
    assert np.array_equal(part.train_inputs, whole.train_inputs[:200])
    assert np.array_equal(part.test_labels, whole.test_labels[:50])
    assert part.fingerprint != whole.fingerprint


def test_the_same_object_comes_back_and_is_read_only(tmp_path):
    digits = load("digits", tmp_path)
    assert load("digits", tmp_path) is digits
    with pytest.raises(ValueError, match="read-only"):
        digits.train_labels[0] = 3


def test_dataset_leaves_the_callers_arrays_writable():
    images, labels = np.zeros((4, 1, 2, 2), np.uint8), np.array([0, 1, 0, 1])
    made = Dataset("own", images, labels, images, labels, ("a", "b"))
    images[0] = 1
    assert not made.train_inputs.flags.writeable
    assert "4 + 4 images" in repr(made)


def test_fingerprint_sees_pixels_labels_shape_and_split():
    images, labels = np.zeros((4, 1, 2, 3), np.uint8), np.array([0, 1, 0, 1])
    args = ("own", images, labels, images, labels, ("a", "b"))
    first = Dataset(*args).fingerprint
    assert first == Dataset(*args).fingerprint
    other = images.copy()
    other[3, 0, 1, 2] = 1
    turned = images.reshape(4, 1, 3, 2)
    changed = [
        Dataset("own", other, labels, images, labels, ("a", "b")),
        Dataset("own", images, labels[::-1].copy(), images, labels, ("a", "b")),
        Dataset("own", turned, labels, turned, labels, ("a", "b")),
        Dataset(*args, images, labels),
    ]
    assert len({first, *(made.fingerprint for made in changed)}) == 5


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "cifar11",
            ["unknown data set 'cifar11'", "digits", "cifar100", "folder:PATH", "parquet:PATH"],
        ),
        ("cifar11@10+10", ["unknown data set 'cifar11'"]),
        ("folder:", ["unknown data set", "folder:PATH"]),
        ("digits@100", ["@TRAIN+TEST"]),
        ("digits@0+10", ["at least one"]),
        ("digits@5000+10", ["5000 + 10", "1347 training and 450 test"]),
        ("digits@5+10", ["class '", "no rows among the 5 training rows"]),
        (None, ["must be text"]),
    ],
)
def test_bad_names_and_slices(tmp_path, name, words):
    message = error_of(name, tmp_path)
    assert all(word in message for word in words), message


def test_slices_are_checked_without_decoding_or_downloading(tmp_path, monkeypatch):
    monkeypatch.setattr(loading, "_decoded", None)
    monkeypatch.setattr(downloads, "_parts", None)
    small = f"parquet:{small_parquet(tmp_path / 'p')}"
    for name in ("digits@1347+450", "digits", "svhn@73257+26032", "mnist", f"{small}@12+4"):
        check(name)
    for name, there in (("digits@1348+1", "1347"), ("mnist@60000+10001", "60000"),
                        ("svhn-slides@66258+1", "66257"), (f"{small}@13+4", "12")):  # fmt: skip
        with pytest.raises(StudyError, match=f"the slice asks for .* the data set has {there} "):
            check(name)


def test_resolve_names_the_copy_only_where_both_files_are(tmp_path, monkeypatch):
    assert resolve("cifar10@10+2") == "cifar10@10+2"
    monkeypatch.setenv("STUDY_DATA", str(tmp_path))
    assert resolve("mnist") == "mnist"
    small_parquet(tmp_path / "mnist")
    assert resolve("mnist@4+2") == "mnist-png@4+2"
    assert resolve("mnist-png") == "mnist-png"
    assert [resolve(name) for name in ("digits", "svhn")] == ["digits", "svhn"]
    assert load("mnist@4+2", tmp_path / "raw").name == "mnist-png@4+2"


def test_missing_study_data_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("STUDY_DATA", str(tmp_path / "gone"))
    assert "which is not a folder" in error_of("cifar10", tmp_path)
    assert load("digits@200+50", tmp_path).n == 200


def test_variant_without_its_copy(tmp_path):
    message = error_of("cifar10-jpeg@10+2", tmp_path)
    assert "cifar10/train.parquet" in message
    assert "STUDY_DATA" in message


# Fixed splits


def test_hash_order_is_a_fixed_permutation():
    order = hash_order([str(row) for row in range(6)])
    assert sorted(order) == list(range(6))
    assert hash_order([str(row) for row in range(6)]).tolist() == order.tolist()


def test_held_out_is_stratified():
    labels = np.repeat([0, 1, 2], [10, 25, 2])
    is_test = held_out("x", labels, [str(row) for row in range(37)], parts=5)
    assert np.bincount(labels[is_test]).tolist() == [2, 5, 1]
    with pytest.raises(StudyError, match="at least two rows a class"):
        held_out("x", np.array([0, 0, 1]), list("abc"), parts=5)


# Labels


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ([1, 1, 1], "one class \\('b'\\)"),
        ([0, 1, 1], "class 'c' \\(label 2\\) has no rows"),
        ([0, 1, 3], "row 2 has label 3, expected class indices 0..2"),
        ([0, -1, 2], "row 1 has label -1"),
        ([], "no training rows"),
        (np.array([0.0, 1.0, 2.0]), "must be int64"),
    ],
)
def test_check_labels(labels, words):
    labels = labels if isinstance(labels, np.ndarray) else np.array(labels, np.int64)
    with pytest.raises(StudyError, match=words):
        check_labels("x", "training", labels, ("a", "b", "c"))


# Parquet


def test_parquet_folder(tmp_path):
    made = load(f"parquet:{small_parquet(tmp_path / 'p', names=['ant', 'bee'])}", tmp_path)
    assert made.class_names == ("ant", "bee")
    assert made.train_inputs.shape == (12, 3, 8, 8)
    assert made.train_inputs[:, 0, 0, 0].tolist() == list(range(12))
    assert made.train_labels.tolist() == [0, 1] * 6
    assert made.valid_inputs is None


def test_parquet_with_validation_or_validation_as_test(tmp_path):
    folder = small_parquet(tmp_path / "p")
    write_parquet(folder / "val.parquet", [picture(9), picture(8), picture(7)], [0, 1, 1])
    made = load(f"parquet:{folder}", tmp_path)
    assert made.valid_labels.tolist() == [0, 1, 1]
    (folder / "test.parquet").unlink()
    made = load(f"parquet:{folder}", tmp_path)
    assert made.test_labels.tolist() == [0, 1, 1]
    assert made.valid_inputs is None


def test_parquet_names_from_huggingface_plain_binary_and_numbers(tmp_path):
    folder = small_parquet(tmp_path / "p", hugging=["no", "yes"], binary=True)
    assert load(f"parquet:{folder}", tmp_path).class_names == ("no", "yes")
    assert load(f"parquet:{small_parquet(tmp_path / 'q')}", tmp_path).class_names == ("0", "1")


def test_parquet_single_file_is_split_by_class(tmp_path):
    file = write_parquet(
        tmp_path / "all.parquet", [picture(row) for row in range(30)], [0, 1, 2] * 10
    )
    made = load(f"parquet:{file}", tmp_path)
    assert np.bincount(made.train_labels).tolist() == [8, 8, 8]
    assert np.bincount(made.test_labels).tolist() == [2, 2, 2]
    rows = np.concatenate([made.train_inputs, made.test_inputs])[:, 0, 0, 0]
    assert sorted(rows.tolist()) == list(range(30))
    assert np.array_equal(made.train_inputs[:, 0, 0, 0] % 3, made.train_labels)


def test_parquet_slice_decodes_only_its_rows(tmp_path):
    images = [picture(row) for row in range(6)] + [b"broken"] * 6
    write_parquet(tmp_path / "p" / "train.parquet", images, [0, 1] * 6)
    write_parquet(tmp_path / "p" / "test.parquet", images[:3], [0, 1, 0])
    assert load(f"parquet:{tmp_path / 'p'}@6+2", tmp_path).n == 6
    message = error_of(f"parquet:{tmp_path / 'p'}@7+2", tmp_path)
    assert "train.parquet row 6 is not a readable image" in message


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"labels": [0, 0, 0]}, ["one class ('0')"]),
        ({"labels": [0, 2, 2]}, ["class '1' (label 1) has no rows"]),
        ({"labels": [0, 1, 1], "names": ["a", "b", "c"]}, ["class 'c' (label 2) has no rows"]),
        ({"labels": [0, 1, 5], "names": ["a", "b"]}, ["row 2 has label 5", "0..1"]),
        ({"labels": [0, 1, 10**12]}, ["label 1000000000000"]),
        ({"labels": [0, -1, 1]}, ["row 1 has label -1"]),
        ({"labels": [0.0, 1.0, 1.0]}, ["column label is double", "integer"]),
        ({"labels": [True, False, True]}, ["column label is bool", "integer"]),
        ({"labels": ["a", "b", "b"]}, ["test row 0 has label 0", "a..b"]),
        ({"labels": [0, None, 1]}, ["1 empty values"]),
        ({"labels": [], "images": [], "label_type": "int64"}, ["no training rows"]),
        ({"labels": [0, 1, 1], "images": [None] * 3, "binary": True}, ["row 0", "no bytes"]),
    ],
)
def test_bad_parquet_labels_and_images(tmp_path, options, words):
    small_parquet(tmp_path / "p")
    options = {"images": [picture(0)] * 3} | options
    write_parquet(tmp_path / "p" / "train.parquet", **options)
    message = error_of(f"parquet:{tmp_path / 'p'}", tmp_path)
    assert all(word in message for word in words), message


def test_names_in_the_label_column_are_sorted_classes(tmp_path):
    labels = ["cat", "Ant", "bee"] * 10
    write_parquet(tmp_path / "one.parquet", [picture(row) for row in range(30)], labels)
    made = load(f"parquet:{tmp_path / 'one.parquet'}", tmp_path)
    assert made.class_names == ("Ant", "bee", "cat")
    names = np.array(made.class_names)
    for inputs, found in (
        (made.train_inputs, made.train_labels),
        (made.test_inputs, made.test_labels),
    ):
        assert names[found].tolist() == [labels[row] for row in inputs[:, 0, 0, 0]]
    for split in ("train", "test"):
        write_parquet(tmp_path / "p" / f"{split}.parquet", [picture(0)] * 3, ["b", "a", "b"])
    made = load(f"parquet:{tmp_path / 'p'}", tmp_path)
    assert made.test_labels.tolist() == made.train_labels.tolist() == [1, 0, 1]
    write_parquet(tmp_path / "p" / "test.parquet", [picture(0)] * 3, ["b", "a", "x"])
    assert "test row 2 has label x" in error_of(f"parquet:{tmp_path / 'p'}", tmp_path)


def test_parquet_without_the_columns(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    small_parquet(tmp_path / "p")
    pq.write_table(pa.table({"img": [1], "fine_label": [2]}), tmp_path / "p" / "train.parquet")
    message = error_of(f"parquet:{tmp_path / 'p'}", tmp_path)
    assert "columns img, fine_label, expected image and label" in message


def test_parquet_missing_or_damaged(tmp_path):
    assert "expected a Parquet file" in error_of(f"parquet:{tmp_path / 'none'}", tmp_path)
    folder = small_parquet(tmp_path / "p")
    (folder / "test.parquet").rename(folder / "other.parquet")
    assert "other.parquet, train.parquet" in error_of(f"parquet:{folder}", tmp_path)
    (folder / "test.parquet").write_bytes(b"no parquet at all")
    assert "expected an intact Parquet file" in error_of(f"parquet:{folder}", tmp_path)


# Folders


def test_folder_with_a_split(tmp_path):
    folder = small_folder(tmp_path / "f", split="train")
    small_folder(folder, split="test", n=2)
    small_folder(folder, split="val", n=1)
    (folder / "train" / "ant" / "notes.txt").write_text("no image")
    (folder / "train" / ".hidden").mkdir()
    made = load(f"folder:{folder}", tmp_path)
    assert made.class_names == ("ant", "bee")
    assert (made.n, len(made.test_labels), len(made.valid_labels)) == (10, 4, 2)
    assert np.array_equal(made.train_inputs[:, 0, 0, 0] >= 10, made.train_labels == 1)


def test_folder_without_a_split_is_cut_80_20_wherever_it_lies(tmp_path):
    first = load(f"folder:{small_folder(tmp_path / 'f', n=10)}", tmp_path)
    second = load(f"folder:{small_folder(tmp_path / 'elsewhere' / 'g', n=10)}", tmp_path)
    assert np.bincount(first.train_labels).tolist() == [8, 8]
    assert np.bincount(first.test_labels).tolist() == [2, 2]
    assert first.fingerprint == second.fingerprint
    part = load(f"folder:{tmp_path / 'f'}@6+2", tmp_path)
    assert np.array_equal(part.train_inputs, first.train_inputs[:6])


def test_folder_of_mixed_sizes_and_colours(tmp_path):
    folder = small_folder(tmp_path / "f", size=(20, 10))
    (folder / "ant" / "0.png").write_bytes(picture(77, size=(9, 30), mode="L"))
    (folder / "bee" / "0.png").write_bytes(picture(78, size=(12, 12), mode="RGBA"))
    made = load(f"folder:{folder}", tmp_path)
    assert made.train_inputs.shape[1:] == (3, 10, 10)  # median of the shorter sides
    found = np.concatenate([made.train_inputs, made.test_inputs])
    grey = found[(found == 77).all(axis=(1, 2, 3))]
    assert len(grey) == 1


def test_parquet_of_mixed_sizes_and_colours_keeps_every_row_in_its_place(tmp_path):
    kinds = {
        "grey": picture(10, size=(9, 30), mode="L"),
        "colour": picture(20, size=(12, 14)),
        "with alpha": picture(30, size=(40, 20), mode="RGBA"),
        "JPEG": picture(40, size=(16, 12), kind="JPEG"),
        "palette": picture(0, size=(10, 10), mode="P"),
        "16 bits": picture(50 * 256, size=(12, 12), mode="I;16"),
    }
    write_parquet(tmp_path / "p" / "train.parquet", list(kinds.values()), [0, 1] * 3)
    write_parquet(tmp_path / "p" / "test.parquet", [picture(60, (3, 3), "L")], [0])
    made = load(f"parquet:{tmp_path / 'p'}", tmp_path)
    assert made.train_inputs.shape == (6, 3, 12, 12)  # the (lower) median of the shorter sides
    assert made.test_inputs.shape == (1, 3, 12, 12)
    values = made.train_inputs.mean((1, 2, 3)).round().tolist()
    assert values == [10, 20, 30, 40, 0, 50]
    assert (made.train_inputs.max((1, 2, 3)) - made.train_inputs.min((1, 2, 3)) <= 2).all()
    assert made.train_labels.tolist() == [0, 1] * 3


def test_grey_folder_has_one_channel_and_16_bits_keep_their_upper_byte(tmp_path):
    folder = small_folder(tmp_path / "f", mode="L", size=(6, 4))
    (folder / "ant" / "0.png").write_bytes(picture(200 * 256 + 7, size=(6, 4), mode="I;16"))
    made = load(f"folder:{folder}", tmp_path)
    assert made.train_inputs.shape[1:] == (1, 4, 6)
    assert made.image_size == 6
    assert max(made.train_inputs.max(), made.test_inputs.max()) == 200


def test_large_images_of_mixed_sizes_are_limited():
    sources = [("a", picture(size=(900, 700), mode="L")), ("b", picture(size=(700, 800), mode="L"))]
    split = pixels.Encoded(np.array([0, 1]), lambda: iter(sources))
    assert pixels.common_layout([split]).shape == (1, 224, 224)


def test_folder_without_images(tmp_path):
    assert "there is no folder" in error_of(f"folder:{tmp_path / 'none'}", tmp_path)
    (tmp_path / "empty").mkdir()
    message = error_of(f"folder:{tmp_path / 'empty'}", tmp_path)
    assert "holds no class folder with images" in message
    assert ".jpg" in message


def test_folder_with_an_empty_class(tmp_path):
    folder = small_folder(tmp_path / "f")
    (folder / "cat").mkdir()
    assert "class 'cat' has no images" in error_of(f"folder:{folder}", tmp_path)


def test_folder_with_one_class(tmp_path):
    folder = small_folder(tmp_path / "f", classes=("ant",))
    assert "one class ('ant')" in error_of(f"folder:{folder}", tmp_path)


def test_folder_with_half_a_split_or_unknown_test_class(tmp_path):
    folder = small_folder(tmp_path / "f", split="train")
    assert "train/ only" in error_of(f"folder:{folder}", tmp_path)
    small_folder(folder, classes=("ant", "wasp"), split="test")
    assert "class 'wasp' has no folder under train/" in error_of(f"folder:{folder}", tmp_path)


@pytest.mark.parametrize("damage", ["truncated", "empty", "text"])
def test_folder_with_a_broken_jpeg(tmp_path, damage):
    folder = small_folder(tmp_path / "f")
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8))
    noise.save(tmp_path / "whole.jpg")
    whole = (tmp_path / "whole.jpg").read_bytes()
    broken = {"truncated": whole[:-40], "empty": b"", "text": b"not an image"}[damage]
    (folder / "bee" / "torn.jpg").write_bytes(broken)
    message = error_of(f"folder:{folder}", tmp_path)
    assert str(folder / "bee" / "torn.jpg") in message
    assert not list((tmp_path / "cache").glob("*.part"))


# The cache of decoded images


@pytest.fixture
def decodings(monkeypatch):
    """Counts how often a split was decoded."""
    counts = []
    original = pixels.batches
    monkeypatch.setattr(pixels, "batches", lambda *args: counts.append(1) or original(*args))
    return counts


def again(name, root):
    """Load as a new process would."""
    loading._load.cache_clear()
    return load(name, root)


def test_cache_is_used_and_mapped(tmp_path, decodings):
    name = f"parquet:{small_parquet(tmp_path / 'p')}"
    first = load(name, tmp_path)
    assert isinstance(first.train_inputs, np.memmap)
    assert len(list((tmp_path / "cache").iterdir())) == 2
    assert again(name, tmp_path).fingerprint == first.fingerprint
    assert len(decodings) == 2


@pytest.mark.parametrize("damage", ["cut", "bit", "garbage"])
def test_damaged_cache_is_redone(tmp_path, decodings, damage):
    name = f"parquet:{small_parquet(tmp_path / 'p')}"
    first = load(name, tmp_path).fingerprint
    file = next((tmp_path / "cache").glob("*-train-*.npy"))
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    changed = {"cut": content[:-100], "bit": content, "garbage": b"garbage"}[damage]
    file.unlink()
    file.write_bytes(changed)
    assert again(name, tmp_path).fingerprint == first
    assert len(decodings) == 3


def test_stale_cache_is_redone_within_a_process_and_removed(tmp_path, decodings):
    folder = small_parquet(tmp_path / "p")
    name = f"parquet:{folder}"
    first = load(name, tmp_path).fingerprint
    write_parquet(folder / "train.parquet", [picture(200)] * 12, [0, 1] * 6)
    assert load(name, tmp_path).train_inputs.max() == 200
    assert load(name, tmp_path).fingerprint != first
    assert len(decodings) == 4
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_without_room_or_right_to_write_there_is_no_cache(tmp_path, monkeypatch):
    name = f"parquet:{small_parquet(tmp_path / 'p')}"
    first = load(name, tmp_path).fingerprint
    (tmp_path / "file").write_text("a file where the root should be")
    assert load(name, tmp_path / "file").fingerprint == first

    def full(out, batches):
        yield next(batches)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache, "_written", full)
    made = load(name, tmp_path / "full")
    assert made.fingerprint == first
    assert not isinstance(made.train_inputs, np.memmap)
    assert not list((tmp_path / "full" / "cache").iterdir())


# Downloads


def save_svhn(folder, n=20):
    """Small files in the layout of SVHN, with its label 10 for the digit 0."""
    from scipy.io import savemat

    folder.mkdir(parents=True, exist_ok=True)
    images = np.random.default_rng(0).integers(0, 256, (32, 32, 3, n), np.uint8)
    labels = (np.arange(n) % 10 + 1).astype(np.uint8)[:, None]
    for split in ("train", "test"):
        savemat(folder / f"{split}_32x32.mat", {"X": images, "y": labels})
    return images, labels


def test_svhn_through_torchvision(tmp_path, monkeypatch):
    svhn = pytest.importorskip("torchvision.datasets.svhn", reason="torchvision is not installed")
    images, labels = save_svhn(tmp_path)
    monkeypatch.setattr(svhn, "check_integrity", lambda path, md5: Path(path).is_file())
    made = load("svhn@15+5", tmp_path)
    assert made.train_inputs.shape == (15, 3, 32, 32)
    assert np.array_equal(made.train_inputs[3], images[..., 3].transpose(2, 0, 1))
    assert made.train_labels.tolist() == (labels[:15, 0] % 10).tolist()
    assert made.class_names == tuple("0123456789")


def test_svhn_as_the_slides_divide_it(tmp_path, monkeypatch):
    svhn = pytest.importorskip("torchvision.datasets.svhn", reason="torchvision is not installed")
    images, _ = save_svhn(tmp_path, n=60)
    monkeypatch.setattr(svhn, "check_integrity", lambda path, md5: Path(path).is_file())
    assert downloads.SPLITS["svhn-slides"] == (66257, 7000, 10000)
    assert "needs 73257 training and 10000 test rows" in error_of("svhn-slides", tmp_path)
    monkeypatch.setitem(downloads.SPLITS, "svhn-slides", (45, 15, 40))
    made = load("svhn-slides", tmp_path)
    sizes = [len(made.train_labels), len(made.valid_labels), len(made.test_labels)]
    assert sizes == [45, 15, 40]
    both = np.concatenate([made.train_inputs, made.valid_inputs])
    original = images.transpose(3, 2, 0, 1)
    assert sorted(map(bytes, both)) == sorted(map(bytes, original))  # each row once
    for split, labels in (
        (made.train_inputs, made.train_labels),
        (made.valid_inputs, made.valid_labels),
    ):
        place = {bytes(row): at for at, row in enumerate(original)}
        assert [(place[bytes(row)] + 1) % 10 for row in split] == labels.tolist()
    part = load("svhn-slides@40+20", tmp_path)
    assert np.array_equal(part.train_inputs, made.train_inputs[:40])
    assert len(part.valid_labels) == 15


@pytest.mark.parametrize(
    ("base", "shape"),
    [("cifar10", (24, 32, 32, 3)), ("cifar100", (24, 32, 32, 3)), ("fashionmnist", (24, 28, 28))],
)
def test_arrays_of_torchvision(tmp_path, monkeypatch, base, shape):
    data = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    part = SimpleNamespace(data=data, targets=[0, 1] * 12, classes=["a", "b"])
    monkeypatch.setattr(downloads, "_open", lambda *args: part)
    made = load(f"{base}@20+6", tmp_path)
    assert made.train_inputs.shape[1:] == ((3, 32, 32) if len(shape) == 4 else (1, 28, 28))
    assert made.train_inputs[5, 0, 3, 4] == (data[5, 3, 4, 0] if len(shape) == 4 else data[5, 3, 4])
    assert made.class_names == ("a", "b")
    assert made.train_labels.dtype == np.int64


@pytest.mark.parametrize(
    "failure", [URLError("no network"), RuntimeError("corrupted"), OSError(28, "full")]
)
@pytest.mark.parametrize(
    ("base", "kind", "words"),
    [
        ("cifar10", "CIFAR10", ["cifar-10-python.tar.gz", "STUDY_DATA"]),
        ("svhn", "SVHN", ["train_32x32.mat, test_32x32.mat"]),
        (
            "mnist",
            "MNIST",
            ["train-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz", "MNIST/raw"],
        ),
    ],
)
def test_failed_download_says_where_to_put_the_files(
    tmp_path, monkeypatch, base, kind, words, failure
):
    datasets = pytest.importorskip("torchvision.datasets", reason="torchvision is not installed")
    calls = []

    def fail(root, download, **split):
        calls.append(download)
        raise failure

    monkeypatch.setattr(datasets, kind, fail)
    message = error_of(base, tmp_path / "raw")
    assert calls == [False, True]
    assert all(
        word in message for word in [f"{base} could not be downloaded", str(tmp_path), *words]
    )


def test_files_placed_by_hand_are_found_without_network(tmp_path, monkeypatch):
    """The archive named in the message is all that a reader has to bring."""
    import gzip
    import hashlib
    import struct

    mnist = pytest.importorskip("torchvision.datasets.mnist", reason="torchvision is not installed")
    folder = tmp_path / "FashionMNIST" / "raw"
    folder.mkdir(parents=True)
    pixels_, labels = np.zeros((20, 28, 28), np.uint8), np.arange(20, dtype=np.uint8) % 10
    resources = []
    for file in downloads.IDX_FILES:
        array = pixels_ if "images" in file else labels
        header = struct.pack(f">I{array.ndim}I", 0x0800 + array.ndim, *array.shape)
        packed = gzip.compress(header + array.tobytes())
        (folder / file).write_bytes(packed)
        resources.append((file, hashlib.md5(packed).hexdigest()))
    monkeypatch.setattr(mnist.FashionMNIST, "resources", resources)
    made = load("fashionmnist", tmp_path)
    assert (made.n, made.in_channels, made.image_size) == (20, 1, 28)
    assert made.class_names[9] == "Ankle boot"


# Real data


def test_real_cifar10_slice_takes_seconds(tmp_path, monkeypatch, real_data):
    monkeypatch.setenv("STUDY_DATA", real_data)
    start = time.process_time()
    made = load("cifar10@10000+2000", tmp_path)
    seconds = time.process_time() - start
    assert made.name == "cifar10-jpeg@10000+2000"
    assert made.train_inputs.shape == (10000, 3, 32, 32)
    assert made.class_names[:2] == ("airplane", "automobile")
    assert np.bincount(made.train_labels).min() > 900
    assert np.abs(made.train_inputs.mean((0, 2, 3)) - [125.3, 123.0, 113.9]).max() < 3
    assert seconds < 20
    assert again("cifar10-jpeg@10000+2000", tmp_path).fingerprint == made.fingerprint


@pytest.mark.parametrize(
    ("name", "shape", "n_classes"),
    [("mnist@600+100", (1, 28, 28), 10), ("cifar100@2000+100", (3, 32, 32), 100)],
)
def test_real_copies(tmp_path, monkeypatch, real_data, name, shape, n_classes):
    monkeypatch.setenv("STUDY_DATA", real_data)
    made = load(name, tmp_path)
    assert made.train_inputs.shape[1:] == shape
    assert made.n_classes == n_classes


def test_real_parquet_path_with_some_grey_images(tmp_path, real_data):
    path = Path(real_data) / "imagenette"
    if not path.is_dir():
        pytest.skip("STUDY_DATA holds no imagenette")
    made = load(f"parquet:{path}@100+20", tmp_path)
    assert made.train_inputs.shape == (100, 3, 224, 224)
    assert made.class_names[0] == "tench"


def test_imagenette_is_read_from_the_given_data(tmp_path, monkeypatch, real_data):
    monkeypatch.delenv("STUDY_DATA", raising=False)
    with pytest.raises(StudyError, match="imagenette is read from imagenette/train.parquet"):
        load("imagenette@10+2", tmp_path)
    if not (Path(real_data) / "imagenette").is_dir():
        pytest.skip("STUDY_DATA holds no imagenette")
    monkeypatch.setenv("STUDY_DATA", real_data)
    made = load("imagenette@60+20", tmp_path)
    assert made.name == "imagenette@60+20"
    direct = load(f"parquet:{real_data}/imagenette@60+20", tmp_path)
    assert np.array_equal(made.train_inputs, direct.train_inputs)
