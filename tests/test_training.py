"""The training loop: repeatable, traced as it happened, and clear about bad input."""

import dataclasses
import gc
import itertools
import weakref
from collections import Counter

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from helpers import (
    StudyError,
    augmentation,
    data,
    models,
    probing,
    recipes,
    samplers,
    training,
)
from helpers.training.plan import Planner

MODEL = "resnet8-w8"
SHORT = recipes.get("digits", 3)


@pytest.fixture(scope="module")
def digits():
    return data.load("digits@200+50")


@pytest.fixture(scope="module")
def run(digits):
    return training.fit(digits, MODEL, SHORT, seed=1, device="cpu", record_at=(0, 2, 3))


class Watched(training.Loop):
    """The loop with a slow twin of its trace: sets, filled as each minibatch comes."""

    seen: list

    def epoch(self, number):
        Watched.seen.append((set(), {}))
        return super().epoch(number)

    def logits(self, rows, draws, inputs=None):
        found = super().logits(rows, draws, inputs)
        if found.requires_grad:  # a training step, not a pass spent on choosing
            visited, right = Watched.seen[-1]
            for row, guess in zip(rows.tolist(), found.argmax(dim=1).tolist(), strict=True):
                visited.add(row)
                right[row] = guess == int(self.data.train_labels[row])
        return found


def same(one, other):
    assert one.history.keys() == other.history.keys()
    for name in set(one.history) - {"seconds"}:
        assert one.history[name] == other.history[name], name
    assert one.trace.keys() == other.trace.keys()
    for name, values in one.trace.items():
        assert values.tobytes() == other.trace[name].tobytes(), name
    assert np.array_equal(models.flat_state(one.model), models.flat_state(other.model))


def test_equal_seeds_give_equal_bits(digits, run):
    torch.rand(7)  # whatever happened before must not matter
    same(run, training.fit(digits, MODEL, SHORT, seed=1, device="cpu", record_at=(0, 2, 3)))


def test_recording_does_not_change_training(digits, run):
    bare = training.fit(digits, MODEL, SHORT, seed=1, device="cpu")
    assert bare.history["loss"] == run.history["loss"]
    assert set(bare.trace) == {"visited", "correct"}


def test_another_seed_gives_another_run(digits, run):
    other = training.fit(digits, MODEL, SHORT, seed=2, device="cpu")
    assert other.history["loss"] != run.history["loss"]


def test_augmented_runs_repeat_too(digits):
    recipe = recipes.get("adonis", 1)
    same(*(training.fit(digits, MODEL, recipe, seed=4, device="cpu") for _ in range(2)))


def test_equal_weights_change_nothing_but_rounding(digits):
    rows = np.arange(100)
    plain = training.fit(digits, MODEL, SHORT, rows, seed=3, device="cpu")
    sampler = samplers.Fixed(rows, np.full(100, 7.0))
    weighted = training.fit(digits, MODEL, SHORT, sampler, seed=3, device="cpu")
    np.testing.assert_allclose(weighted.history["loss"], plain.history["loss"], rtol=1e-3)


def test_what_weighs_nothing_is_not_learned(digits):
    weights = (digits.train_labels != 0).astype(float)
    sampler = samplers.Fixed(np.arange(digits.n), weights)
    recipe = recipes.get("digits", 8)
    found = training.fit(digits, MODEL, recipe, sampler, device="cpu", record_at=(8,))
    guesses = found.trace["logits"].argmax(axis=1)
    assert not (guesses == 0).any()
    assert (guesses == digits.train_labels)[weights > 0].mean() > 0.5


def test_training_learns(digits):
    found = training.fit(digits, MODEL, recipes.get("digits", 8), device="cpu")
    assert found.history["loss"][-1] < 0.5 * found.history["loss"][0]
    assert found.metrics["test_acc"] > 0.5
    assert found.metrics["test_acc"] == found.history["test_acc"][-1]


def make(name):
    return {
        "all": lambda: None,
        "rows": lambda: np.arange(10, 100),
        "switch": lambda: samplers.Switch(np.arange(50), np.arange(40, 120), 2),
        "adonis": lambda: samplers.Adonis(samplers.Fixed(np.arange(150)), 200, theta=0.05),
        "sb": lambda: samplers.SelectiveBackprop(samplers.Fixed(np.arange(200)), 200),
    }[name]()


@pytest.mark.parametrize("name", ["all", "rows", "switch", "adonis", "sb"])
def test_trace_matches_the_slow_twin(digits, monkeypatch, name):
    monkeypatch.setattr(training, "Loop", Watched)
    Watched.seen = []
    found = training.fit(digits, MODEL, SHORT, make(name), device="cpu")
    assert found.visited.shape == found.correct.shape == (3, 200)
    for epoch, (visited, right) in enumerate(Watched.seen):
        assert set(np.flatnonzero(found.visited[epoch])) == visited
        expected = {row for row, hit in right.items() if hit}
        assert set(np.flatnonzero(found.correct[epoch])) == expected
    assert found.history["backward"][-1] == sum(len(visited) for visited, _ in Watched.seen)
    assert found.metrics["n_train"] == max(len(visited) for visited, _ in Watched.seen)
    assert not (found.correct & ~found.visited).any()


def test_passes_spent_on_choosing_count_as_forward(digits):
    found = training.fit(digits, MODEL, SHORT, make("adonis"), device="cpu")
    forward, backward = found.history["forward"], found.history["backward"]
    assert forward[0] == backward[0] == 150  # warm-up chooses nothing
    assert forward[2] == backward[2] + 2 * 150
    assert backward[2] < 150 + 2 * 150


def test_forgetting_is_read_from_the_trace(run):
    from helpers import readings, scores, specs
    from helpers.store import Result

    counts = scores.forgetting_events(run.correct, run.visited)
    for row in range(200):
        bits, learned, events = run.correct[:, row], False, 0
        for before, after in zip(bits, bits[1:], strict=False):
            learned |= bool(before)
            events += bool(before) and not after
        expected = events if bits.any() else np.inf
        assert counts[row] == expected
    stored = Result(specs.Measure("x"), "", {}, run.trace)
    assert np.array_equal(readings.forgetting(stored, n=200), counts)


def test_recorded_scores_are_those_of_the_network(digits, run):
    assert run.trace["recorded_epochs"].tolist() == [0, 2, 3]
    images = training.Inputs(digits, torch.device("cpu"))
    logits, features = probing.outputs(run.model, images.train, images.mean, images.std)
    probs = torch.softmax(logits, 1).numpy().astype(np.float64)
    expected = {
        "confidence": probs.max(1),
        "margin": np.diff(np.sort(probs, 1)[:, -2:])[:, 0],
        "entropy": -(probs * np.log(probs)).sum(1),
        "el2n": np.linalg.norm(probs - np.eye(10)[digits.train_labels], axis=1),
    }
    for name, values in expected.items():
        assert run.trace[name].shape == (3, 200)
        assert run.trace[name].dtype == np.float16
        np.testing.assert_allclose(run.trace[name][2], values, atol=2e-3)
    np.testing.assert_allclose(run.trace["logits"], logits, rtol=2e-3, atol=1e-3)
    np.testing.assert_allclose(run.trace["features"], features, rtol=2e-3, atol=1e-3)
    assert np.isfinite(run.trace["grad_norm"]).all()


def test_record_at_zero_alone_sees_the_untrained_network(digits, run):
    found = training.fit(digits, MODEL, recipes.get("digits", 1), seed=1, record_at=(0,))
    assert found.trace["recorded_epochs"].tolist() == [0]
    assert np.array_equal(found.trace["grad_norm"][0], run.trace["grad_norm"][0])
    assert found.trace["logits"].shape == (200, 10)


def test_weights_start_where_the_other_run_ended(digits, run):
    flat = models.flat_state(run.model)
    found = training.fit(digits, MODEL, SHORT, seed=9, record_at=(0,), weights=flat, device="cpu")
    assert found.trace["logits"].tobytes() == run.trace["logits"].tobytes()
    assert found.history["loss"][0] < run.history["loss"][0]


def test_weights_of_another_network_are_refused(digits, run):
    with pytest.raises(StudyError, match="another network"):
        training.fit(digits, "resnet14-w8", SHORT, weights=models.flat_state(run.model))


@pytest.mark.parametrize("device", ["tpu", "cuda:99", "cuda:x"])
def test_impossible_devices_are_refused_in_one_line(digits, device):
    with pytest.raises(StudyError) as caught:
        training.fit(digits, MODEL, SHORT, device=device)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"record_at": (4,)}, "record_at must lie in 0..3"),
        ({"record_at": (-1,)}, "record_at must lie in 0..3"),
        ({"sampler": np.array([5, 200])}, "rows must lie in 0..199, got 200"),
        ({"sampler": samplers.Switch(np.arange(9), np.array([500]), 1)}, "got 500"),
        ({"sampler": np.array([-1, 4])}, "row numbers from 0 up"),
        ({"sampler": np.zeros(200, bool)}, "row numbers from 0 up"),
        ({"recipe": "sgd"}, "unknown recipe"),
        ({"model": "vgg"}, "unknown model"),
    ],
)
def test_bad_input_is_refused(digits, changed, text):
    with pytest.raises(StudyError, match=text):
        training.fit(digits, **{"model": MODEL, "recipe": SHORT, "device": "cpu"} | changed)


@pytest.mark.parametrize("name", ["all", "adonis"])
def test_divergence_is_said_in_one_line(digits, name):
    from dataclasses import replace

    hot = replace(SHORT, rate=1e30, schedule="steps")
    with pytest.raises(StudyError, match="diverged in epoch"):
        training.fit(digits, MODEL, hot, make(name), device="cpu")


def test_nothing_of_a_run_stays_but_the_run(digits, monkeypatch):
    alive = []

    from helpers.training import loop

    class Counted(training.Inputs):
        def __init__(self, *args):
            super().__init__(*args)
            alive.append(weakref.ref(self))

    monkeypatch.setattr(loop, "Inputs", Counted)
    kept = [training.fit(digits, MODEL, recipes.get("digits", 1), device="cpu") for _ in range(2)]
    gc.collect()
    assert len(kept) == len(alive) == 2
    assert [ref() for ref in alive] == [None, None]


def test_a_class_that_vanishes_from_a_subset_is_named(digits, run):
    rows = np.flatnonzero(~np.isin(digits.train_labels, (3, 7)))
    found = training.fit(digits, MODEL, recipes.get("digits", 6), rows, device="cpu")
    assert found.metrics["missing_classes"] == ["3", "7"]
    assert "missing_classes" not in run.metrics
    assert 0.1 < found.metrics["test_acc"] <= (~np.isin(digits.test_labels, (3, 7))).mean()


def test_a_network_with_too_few_outputs_is_refused(digits):
    small = models.build(MODEL, 9, 1)
    with pytest.raises(StudyError, match="labels 0..9, the network 9 outputs"):
        training.fit(digits, small, SHORT, device="cpu")


def test_texts_and_images_are_told_apart(digits):
    with pytest.raises(StudyError, match="is images, the network reads texts"):
        training.fit(digits, "fasttext", SHORT, device="cpu")
    texts = dataclasses.replace(
        digits,
        train_inputs=digits.train_inputs.reshape(200, 64),
        test_inputs=digits.test_inputs.reshape(50, 64),
    )
    with pytest.raises(StudyError, match="is texts, the network reads images"):
        training.fit(texts, MODEL, SHORT, device="cpu")
    with pytest.raises(StudyError, match="crops, mirrors or rotates images, not texts"):
        training.fit(texts, "fasttext", "small", device="cpu")


def test_texts_are_encoded_once(digits, monkeypatch):
    from helpers.models import text
    from helpers.training import inputs

    texts = dataclasses.replace(
        digits,
        train_inputs=digits.train_inputs.reshape(200, 64),
        test_inputs=digits.test_inputs.reshape(50, 64),
    )
    encode, asked = text.FastText.encode, []

    def counted(rows):
        asked.append(len(rows))
        return encode(rows)

    monkeypatch.setattr(text.FastText, "encode", staticmethod(counted))
    monkeypatch.setattr(inputs, "ENCODED", 120)
    found = training.fit(texts, "fasttext", SHORT, seed=1, device="cpu", record_at=(3,))
    assert asked == [120, 80, 50]
    assert np.isfinite(found.trace["logits"]).all()
    model = found.model.eval()
    with torch.no_grad():
        direct = model(torch.tensor(texts.train_inputs))
    np.testing.assert_allclose(found.trace["logits"], direct, rtol=2e-3, atol=1e-3)


class Ops(TorchDispatchMode):
    """Counts the operations by name."""

    def __init__(self):
        super().__init__()
        self.counts = Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.counts[str(function).split(".")[1]] += 1
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", ["small", "adonis"])
def test_an_epoch_waits_for_the_device_only_at_its_end(digits, name):
    """Reading a number back is what makes a host wait: as often for 7 steps as for 2."""
    waits = {}
    for n in (64, 200):
        where, recipe = torch.device("cpu"), dataclasses.replace(recipes.get(name, 2), batch=32)
        model = models.build(MODEL, 10, 1)
        loop = training.Loop(digits, model, recipe, samplers.Fixed(np.arange(n)), 0, where)
        with Ops() as seen:
            loop.epoch(0)
        assert seen.counts["convolution_backward"] >= 9 * n // 32
        forcing = ("_local_scalar_dense", "nonzero", "masked_select", "equal", "unique")
        waits[n] = {name: seen.counts[name] for name in forcing}
    assert waits[64] == waits[200]
    assert waits[200]["_local_scalar_dense"] == 3  # loss, right, visited


def test_an_epoch_is_drawn_as_batches_would_be(digits):
    """The whole epoch at once, and the same numbers as batch by batch."""
    recipe = dataclasses.replace(recipes.get("adonis", 2), batch=32)
    sampler = samplers.Fixed(np.arange(97), np.linspace(0, 2, 97))  # a last batch of one row
    found = Planner(sampler, recipe, 5, torch.device("cpu"))
    order, crops = (torch.Generator().manual_seed(seed) for seed in (5, 5 + 1_000_003))
    for epoch in range(2):
        steps = list(found.minibatches(epoch, None))
        batches = list(sampler.batches(epoch, 32, order, None))
        assert [len(b.rows) for b in batches] == [32, 32, 32, 1]
        assert len(steps) == 3
        for step, batch in zip(steps, batches, strict=False):
            assert torch.equal(step.rows, batch.rows)
            assert torch.equal(step.shares, batch.weights / batch.weights.sum())
            expected = augmentation.draw(32, recipe, crops)
            assert step.draws.views is expected.views is None
            for ours, theirs in zip(step.draws[:3], expected[:3], strict=True):
                assert torch.equal(ours, theirs)
        rates = [step.rate for step in steps]
        middles = [(a.progress + b.progress) / 2 for a, b in itertools.pairwise(batches)]
        expected = [batches[0].progress / 2, *middles][:3]
        assert rates == [recipe.rate_at(epoch + middle) for middle in expected]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU on this machine")
def test_a_gpu_trains_on_the_same_batches_as_a_cpu(digits):
    recipe = recipes.get("small", 2)
    cpu, gpu = (training.fit(digits, MODEL, recipe, seed=1, device=d) for d in ("cpu", "cuda"))
    assert np.array_equal(cpu.visited, gpu.visited)
    assert gpu.history["loss"][0] == pytest.approx(cpu.history["loss"][0], rel=0.02)
    assert gpu.metrics["device"] == torch.cuda.get_device_name(0)
