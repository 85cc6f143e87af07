"""Networks for texts against slow twins, and what they need from training and selection."""

import csv
import re

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from helpers import data, models, probing, recipes, results, training
from helpers.data.text import as_rows
from helpers.models import text
from helpers.specs import Select, Train
from helpers.training import inputs

TEXTS = [
    "The movie was GREAT, really great!",
    "",
    "  \n ",
    "naïve Größe 10€ 漢字",
    "don't...",
    "a" * 300,
    "?!" * 400,
    "one",
]
GOOD, BAD = "good great fine lovely".split(), "bad poor awful dull".split()


def n_parameters(model):
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def rows(texts):
    return torch.from_numpy(as_rows(texts).copy())


def hash_of(word):
    """Polynomial hash of the bytes of a word."""
    total = sum(byte * pow(text.BASE, k, text.PRIME) for k, byte in enumerate(word))
    return 1 + total % (text.PRIME - 1)


def words_of(one):
    """Words and signs of a text, lower-cased, as bytes."""
    raw = bytes(one.encode()[:1024]).lower()
    return re.findall(rb"[a-z0-9\x80-\xff]+|[^\x00- ]", raw)[: text.WORDS]


def ids_of(one, buckets):
    """Rows of the table that a text's words and pairs look up."""
    hashes = [hash_of(word) for word in words_of(one)]
    pairs = [
        1 + (a * text.PAIR + b) % text.PRIME for a, b in zip(hashes[:-1], hashes[1:], strict=True)
    ]
    return [1 + value % buckets for value in hashes + pairs]


def made(n, seed, n_words=12):
    """Texts in which a class is told by one word among many, (texts, labels)."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    texts = []
    for label in labels:
        words = [f"word{i}" for i in rng.integers(0, 30, n_words)]
        words[rng.integers(n_words)] = str(rng.choice(GOOD if label else BAD))
        texts.append(" ".join(words))
    return texts, labels


@pytest.fixture(scope="module")
def dataset():
    (texts, labels), (more, others) = made(300, 0), made(80, 1)
    short = [as_rows(t)[:, :128] for t in (texts, more)]
    return data.Dataset("made", short[0], labels, short[1], others, ("bad", "good"))


# fastText


def test_hashes_match_the_slow_twin(monkeypatch):
    network = models.build("fasttext", 2, 1)
    found = network.encode(rows(TEXTS))
    assert found.dtype == torch.int32
    assert found.shape == (len(TEXTS), text.WORDS)
    for one, hashes in zip(TEXTS, found.tolist(), strict=True):
        expected = [hash_of(word) for word in words_of(one)]
        assert hashes == expected + [0] * (text.WORDS - len(expected))
    rng = np.random.default_rng(0)  # random bytes, in blocks
    values = rng.integers(1, 256, (20, 60), dtype=np.uint8)  # nothing inside a text is 0
    values[rng.random(values.shape) < 0.3] = ord(" ")
    monkeypatch.setattr(text, "AT_ONCE", 7)
    for row, hashes in zip(values, network.encode(torch.from_numpy(values)).tolist(), strict=True):
        words = re.findall(rb"[a-z0-9\x80-\xff]+|[^\x00- ]", bytes(row).lower())
        assert [h for h in hashes if h] == [hash_of(word) for word in words]


def test_features_are_the_mean_of_words_and_pairs():
    for name in ("fasttext", "fasttext-d3-b8"):
        network = models.build(name, 2, 1)
        table = network.table.weight.detach()
        bits, width = (8, 3) if name.endswith("b8") else (18, 10)
        assert table.shape == (2**bits + 1, width)
        found = network.features(network.encode(rows(TEXTS)))
        assert torch.equal(network.features(rows(TEXTS)), found)  # from bytes, too
        for one, features in zip(TEXTS, found, strict=True):
            ids = ids_of(one, network.buckets)
            expected = table[ids].mean(dim=0) if ids else torch.zeros(table.shape[1])
            torch.testing.assert_close(features, expected, atol=1e-6, rtol=1e-5)


def test_filling_is_never_learned():
    network = models.build("fasttext", 2, 1)
    network.classifier.weight.data.normal_()
    network(rows(TEXTS))[:, 0].sum().backward()
    assert not network.table.weight[0].any()
    assert not network.table.weight.grad[0].any()
    assert network.table.weight.grad.any()


# VDCNN


def test_vdcnn29_has_the_layers_of_the_papers_table():
    network = models.build("vdcnn29", 5, 1)
    widths = [m.out_channels for m in network.modules() if isinstance(m, torch.nn.Conv1d)]
    counts = {width: widths.count(width) for width in set(widths)}
    assert counts == {64: 11, 128: 10, 256: 4, 512: 4}  # the first convolution is 64 wide too
    assert models.depth("vdcnn29") == len(widths)
    linear = [m for m in network.modules() if isinstance(m, torch.nn.Linear)]
    sizes = [(m.in_features, m.out_features) for m in linear]
    assert sizes == [(4096, 2048), (2048, 2048), (2048, 5)]


def test_vdcnn_may_read_only_the_first_bytes():
    seed = torch.random.get_rng_state()
    short = models.build("vdcnn9-w8-shortcut-t64", 2, 1).eval()
    torch.random.set_rng_state(seed)
    whole = models.build("vdcnn9-w8-shortcut", 2, 1).eval()
    texts = rows(TEXTS)
    assert torch.equal(whole(texts), whole.classifier(whole.features(texts)))
    assert torch.equal(short(texts), whole(texts[:, :64]))
    assert not torch.allclose(short(texts), whole(texts))


def test_vdcnn_keeps_the_largest_values_in_their_order():
    network = models.build("vdcnn9-w8", 2, 1).eval()
    texts, captured = rows(TEXTS[:3]), []
    seen = network.blocks(network.stem(network.embedding(text.lowered(texts)).transpose(1, 2)))
    assert seen.shape == (3, 64, 128)
    network.hidden[0].register_forward_pre_hook(lambda _, given: captured.append(given[0]))
    network.features(texts)
    pooled = captured[0].detach().numpy().reshape(3 * 64, 8)
    for values, channel in zip(pooled, seen.detach().numpy().reshape(-1, 128), strict=True):
        assert np.array_equal(np.sort(values), np.sort(channel)[-8:])
        at = -1
        for value in values:  # each value is found behind the one before it
            at = at + 1 + int(np.flatnonzero(channel[at + 1 :] == value)[0])


def test_a_shortcut_adds_the_input():
    block = text.ConvBlock(8, 8, shortcut=True).eval()
    x = torch.randn(2, 8, 16)
    for norm in block.norms:
        norm.weight.data.zero_()
    assert torch.equal(block(x), F.relu(x))
    assert not text.ConvBlock(8, 8, shortcut=False).state_dict().keys() - block.state_dict().keys()
    wider = models.build("vdcnn9-w8-shortcut", 2, 1)
    plain = models.build("vdcnn9-w8", 2, 1)
    extra = 8 * 16 + 16 * 32 + 32 * 64
    assert n_parameters(wider) == n_parameters(plain) + extra


# Names


# Training


def test_networks_for_texts_learn_and_repeat_bit_for_bit(dataset):
    recipe = recipes.get("fasttext-small", 16)
    one, other = (
        training.fit(dataset, "fasttext-b12", recipe, seed=1, device="cpu", record_at=(0, 16))
        for _ in range(2)
    )
    assert one.metrics["test_acc"] > 0.9
    assert np.array_equal(models.flat_state(one.model), models.flat_state(other.model))
    assert one.trace["features"].shape == (300, 10)
    recipe = recipes.get("text-small", 8)
    found = training.fit(dataset, "vdcnn9-w8-t128", recipe, seed=0, device="cpu")
    assert found.history["loss"][-1] < 0.8 * found.history["loss"][0]


def test_texts_are_hashed_once_a_run_in_blocks(dataset, monkeypatch):
    hashed, hash_words = [], text.hashed_words
    monkeypatch.setattr(text, "hashed_words", lambda t: hashed.append(len(t)) or hash_words(t))
    training.fit(dataset, "fasttext-b12", recipes.get("fasttext-small", 3), device="cpu")
    assert sorted(hashed) == [80, 300]
    network = models.build("fasttext", 2, 1)
    whole = network.encode(torch.tensor(dataset.train_inputs))
    monkeypatch.setattr(inputs, "ENCODED", 64)
    assert torch.equal(inputs.Inputs(dataset, torch.device("cpu"), network).train, whole)


def test_gradients_an_example_add_up_to_the_whole(dataset):
    network = models.build("fasttext-b10", 2, 1).eval()
    network.classifier.weight.data.normal_()
    texts = network.encode(torch.tensor(dataset.train_inputs[:6]))
    labels = torch.tensor(dataset.train_labels[:6])
    batches = probing.gradients_by_batch(network, texts, labels)
    each = torch.cat([torch.cat([g.flatten(1) for g in one], 1) for one in batches])
    F.cross_entropy(network(texts), labels, reduction="sum").backward()
    whole = torch.cat([p.grad.flatten() for p in network.parameters()])
    torch.testing.assert_close(each.sum(dim=0), whole, atol=1e-5, rtol=1e-4)


def test_fasttext_selects_for_vdcnn(tmp_path, monkeypatch):
    monkeypatch.setattr(data.names, "DEFAULT_ROOT", tmp_path)
    for split, n in (("train", 80), ("test", 20)):
        with (tmp_path / f"{split}.csv").open("w", newline="") as out:
            csv.writer(out).writerows(zip(made(n, 3)[1] + 1, made(n, 3)[0], strict=True))
    name = f"text:{tmp_path}"
    proxy = Train(name, "fasttext-b10", "text-small", 3, 0, record_at=(0, 3))
    chosen = [Select(name, m, 0.5, 0, (proxy,)) for m in ("entropy", "forgetting", "k-centers")]
    target = Train(name, "vdcnn9-w8", "text-small", 1, 0, subset=chosen[0])
    *selected, trained = results.compute([*chosen, target], device="cpu")
    for result in selected:
        assert len(np.unique(result.arrays["indices"])) == 40
    assert trained.metrics["n_train"] == 40
    assert 0 <= trained.metrics["test_acc"] <= 1
