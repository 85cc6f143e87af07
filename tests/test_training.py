"""The training loop: repeatable, traced as it happened, and clear about bad input."""

import copy
import dataclasses
import itertools
from collections import Counter

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from helpers import (
    StudyError,
    augmentation,
    data,
    device,
    models,
    probing,
    recipes,
    samplers,
    training,
)
from helpers.training import average, inputs, loop

MODEL = "resnet8-w8"
SHORT = recipes.get("digits", 3)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def digits():
    return data.load("digits@200+50")


@pytest.fixture(scope="module")
def run(digits):
    return training.fit(digits, MODEL, SHORT, seed=1, device="cpu", record_at=(0, 2, 3))


def fit(digits, sampler=None, recipe=SHORT, model=MODEL, **more):
    return training.fit(digits, model, recipe, sampler, seed=1, device="cpu", **more)


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


def test_equal_seeds_give_equal_bits_and_others_do_not(digits, run):
    torch.rand(7)  # whatever happened before must not matter
    same(run, training.fit(digits, MODEL, SHORT, seed=1, device="cpu", record_at=(0, 2, 3)))
    bare = fit(digits)  # recording changes nothing
    assert bare.history["loss"] == run.history["loss"]
    assert set(bare.trace) == {"visited", "correct"}
    other = training.fit(digits, MODEL, recipes.get("digits", 1), seed=2, device="cpu")
    assert other.history["loss"] != run.history["loss"][:1]
    rotated = recipes.get("adonis", 1)
    same(*(training.fit(digits, MODEL, rotated, seed=4, device="cpu") for _ in range(2)))


def test_training_learns_and_what_weighs_nothing_is_not_learned(digits):
    weights = (digits.train_labels != 0).astype(float)
    sampler = samplers.Fixed(np.arange(digits.n), weights)
    found = fit(digits, sampler, recipes.get("digits", 8), record_at=(8,))
    there = fit(digits, np.flatnonzero(weights), recipes.get("digits", 1))
    assert there.metrics["missing_classes"] == ["0"]
    guesses = found.trace["logits"].argmax(axis=1)
    assert not (guesses == 0).any()
    assert (guesses == digits.train_labels)[weights > 0].mean() > 0.5
    assert found.history["loss"][-1] < 0.5 * found.history["loss"][0]
    assert found.metrics["test_acc"] == found.history["test_acc"][-1] > 0.4


def make(name):
    return {
        "rows": lambda: np.arange(10, 100),
        "switch": lambda: samplers.Switch(np.arange(50), np.arange(40, 120), 2),
        "adonis": lambda: samplers.Adonis(samplers.Fixed(np.arange(150)), 200, theta=0.05),
        "sb": lambda: samplers.SelectiveBackprop(samplers.Fixed(np.arange(200)), 200),
    }[name]()


@pytest.mark.parametrize("name", ["rows", "switch", "adonis", "sb"])
def test_trace_matches_the_slow_twin(digits, monkeypatch, name):
    monkeypatch.setattr(training, "Loop", Watched)
    Watched.seen = []
    found = fit(digits, make(name))
    assert found.visited.shape == found.correct.shape == (3, 200)
    for epoch, (visited, right) in enumerate(Watched.seen):
        assert set(np.flatnonzero(found.visited[epoch])) == visited
        expected = {row for row, hit in right.items() if hit}
        assert set(np.flatnonzero(found.correct[epoch])) == expected
    forward, backward = found.history["forward"], found.history["backward"]
    assert backward[-1] == sum(len(visited) for visited, _ in Watched.seen)
    assert found.metrics["n_train"] == max(len(visited) for visited, _ in Watched.seen)
    assert not (found.correct & ~found.visited).any()
    if name == "adonis":  # passes spent on choosing count as forward; warm-up chooses nothing
        assert forward[0] == backward[0] == 150
        assert forward[2] == backward[2] + 2 * 150
        assert backward[2] < 150 + 2 * 150


def test_recorded_scores_are_those_of_the_network(digits, run):
    assert run.trace["recorded_epochs"].tolist() == [0, 2, 3]
    images = training.Inputs(digits, CPU)
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


def test_scores_are_recorded_in_blocks_and_the_untrained_network_alone(digits, run, monkeypatch):
    monkeypatch.setattr(loop, "RECORDED_AT_ONCE", 75)
    found = training.fit(digits, MODEL, recipes.get("digits", 1), seed=1, record_at=(0,))
    np.testing.assert_allclose(found.trace["grad_norm"][0], run.trace["grad_norm"][0], rtol=1e-2)
    assert found.trace["logits"].shape == (200, 10)


def test_weights_start_where_the_other_run_ended(digits, run):
    flat = models.flat_state(run.model)
    found = fit(digits, record_at=(0,), weights=flat)
    assert found.trace["logits"].tobytes() == run.trace["logits"].tobytes()
    assert found.history["loss"][0] < run.history["loss"][0]
    with pytest.raises(StudyError, match="another network"):
        fit(digits, model="resnet14-w8", weights=flat)


def test_bad_input_is_refused_in_one_line(digits):
    texts = dataclasses.replace(
        digits,
        train_inputs=digits.train_inputs.reshape(200, 64),
        test_inputs=digits.test_inputs.reshape(50, 64),
    )
    hot = dataclasses.replace(SHORT, rate=1e30, schedule="steps")
    for changed, text in (
        ({"record_at": (4,)}, "record_at"),
        ({"sampler": np.array([5, 200])}, "rows"),
        ({"sampler": samplers.Switch(np.arange(9), np.array([500]), 1)}, "rows"),
        ({"sampler": np.zeros(200, bool)}, "row numbers"),
        ({"recipe": "sgd"}, "recipe 'sgd'"),
        ({"model": "vgg"}, "model 'vgg'"),
        ({"device": "cuda:99"}, "device"),
        ({"model": models.build(MODEL, 9, 1)}, "9 outputs"),
        ({"model": "fasttext"}, "is images, the network reads texts"),
        ({"dataset": texts}, "is texts, the network reads images"),
        ({"dataset": texts, "model": "fasttext", "recipe": "small"}, "recipe small crops"),
        ({"recipe": hot}, "diverged in epoch"),
        ({"recipe": hot, "sampler": make("adonis")}, "diverged in epoch"),
        ({"model": Small(31)}, "cpu is out of memory for Small on digits.*digits-bN"),
    ):
        asked = {"dataset": digits, "model": MODEL, "recipe": SHORT, "device": "cpu"} | changed
        with pytest.raises(StudyError, match=text) as caught:
            training.fit(**asked)
        assert "\n" not in str(caught.value)


class Ops(TorchDispatchMode):
    """Counts the operations by name."""

    def __init__(self):
        super().__init__()
        self.counts = Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.counts[str(function).split(".")[1]] += 1
        return function(*args, **(kwargs or {}))


def test_an_epoch_waits_for_the_device_only_at_its_end(digits):
    """Reading a number back is what makes a host wait: as often for 7 steps as for 2."""
    waits = {}
    for n in (64, 200):
        recipe = dataclasses.replace(recipes.get("adonis", 2), batch=32)
        model = models.build(MODEL, 10, 1)
        made = training.Loop(digits, model, recipe, samplers.Fixed(np.arange(n)), 0, CPU)
        with Ops() as seen:
            made.epoch(0)
        assert seen.counts["convolution_backward"] >= 9 * n // 32
        forcing = ("_local_scalar_dense", "nonzero", "masked_select", "equal", "unique")
        waits[n] = {name: seen.counts[name] for name in forcing}
    assert waits[64] == waits[200]
    assert waits[200]["_local_scalar_dense"] == 3  # loss, right, visited


def test_an_epoch_is_drawn_as_batches_would_be(digits):
    """The whole epoch at once, and the same numbers as batch by batch."""
    recipe = dataclasses.replace(recipes.get("adonis", 2), batch=32)
    sampler = samplers.Fixed(np.arange(97), np.linspace(0, 2, 97))  # a last batch of one row
    found = loop.BatchPlanner(sampler, recipe, 5, training.Inputs(digits, CPU))
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
        middles = [(a.progress + b.progress) / 2 for a, b in itertools.pairwise(batches)]
        expected = [batches[0].progress / 2, *middles][:3]
        assert [step.rate for step in steps] == [recipe.rate_at(epoch + m) for m in expected]


def test_every_other_epoch_shows_the_mirror_image(digits):
    recipe = dataclasses.replace(SHORT, flip=True, alternate=True)
    planner = loop.BatchPlanner(
        samplers.Fixed(np.arange(96)), recipe, 5, inputs.Inputs(digits, CPU)
    )
    shown = []
    for epoch in range(3):
        sides = torch.zeros(digits.n, dtype=torch.bool)
        for step in planner.minibatches(epoch, None):
            sides[step.rows] = step.draws.mirrored
        shown.append(sides[:96])
    assert torch.equal(shown[0], ~shown[1])
    assert torch.equal(shown[0], shown[2])
    assert 30 < shown[0].sum() < 66
    upright = dataclasses.replace(recipe, flip=False)
    planner = loop.BatchPlanner(planner.sampler, upright, 5, planner.data)
    assert planner.draws(torch.arange(3)).mirrored is None


def test_biases_of_batch_norms_take_their_own_rate_and_decay_as_the_others(digits):
    rate, times, decay = 0.01, 4.0, 0.1
    plain = recipes.Recipe("x", "x", 1, 200, rate, "steps", momentum=0, weight_decay=decay)
    torch.manual_seed(0)
    start = models.build(MODEL, digits.n_classes, 1)
    ends = [
        fit(digits, model=copy.deepcopy(start), recipe=recipe).model
        for recipe in (
            plain,
            dataclasses.replace(plain, bias_rate=times),
            dataclasses.replace(plain, weight_decay=0.0),
        )
    ]
    modules = dict(start.named_modules())
    for name, before in start.named_parameters():
        usual, own, bare = (dict(end.named_parameters())[name] for end in ends)
        owner, _, kind = name.rpartition(".")
        if kind == "bias" and isinstance(modules[owner], nn.BatchNorm2d):
            assert not torch.equal(usual, before)
            usual = before + times * (bare - before) - rate * decay * before
        torch.testing.assert_close(own, usual)


def test_the_slow_average_against_numpy():
    network = nn.BatchNorm1d(2)  # two parameters, two running statistics, a whole number
    slow, twin = average.Average(network), None
    for step in range(1, 13):
        with torch.no_grad():
            network.weight.add_(step)
            network.running_mean.sub_(step)
            network.num_batches_tracked.add_(1)
        fast = np.stack([network.weight.detach().numpy(), network.running_mean.numpy()])
        slow.after_step(done := step / 12)
        if step % 5 == 0:
            kept = 0.95**5 * done**3 if twin is not None else 0
            twin = kept * (0 if twin is None else twin) + (1 - kept) * fast
            fast = twin
        np.testing.assert_allclose(network.weight.detach(), fast[0], rtol=1e-6)
        np.testing.assert_allclose(network.running_mean, fast[1], rtol=1e-6)
    slow.end()
    np.testing.assert_allclose(network.weight.detach(), twin[0], rtol=1e-6)
    assert network.num_batches_tracked == 12


def test_rows_sent_from_the_host_train_to_the_same_bits(digits, monkeypatch):
    runs = []
    for fits in (True, False):
        monkeypatch.setattr(inputs, "has_room", lambda device, n_bytes, fits=fits: fits)
        assert training.Inputs(digits, CPU).resident == fits
        runs.append(fit(digits, make("adonis"), recipes.get("small", 3), record_at=(0, 3)))
    same(*runs)


class Small(nn.Module):
    """A linear network whose device has memory for so many examples."""

    def __init__(self, limit):
        super().__init__()
        self.limit, self.body, self.classifier = limit, nn.Linear(64, 8), nn.Linear(8, 10)

    def features(self, x):
        if len(x) > self.limit:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 7 GiB\nmore")
        return self.body(x.flatten(1))

    def forward(self, x):
        return self.classifier(self.features(x))


def test_a_compiled_network_takes_the_training_steps(digits, run, monkeypatch):
    calls = []
    monkeypatch.setattr(torch, "compile", lambda model: lambda x: calls.append(len(x)) or model(x))
    monkeypatch.setattr(device, "engine", lambda where: "compile")
    assert fit(digits).history["loss"] == run.history["loss"]
    assert sum(calls) == 3 * 200


def test_mixed_precision_computes_in_bf16_only_where_that_is_fast(digits, monkeypatch):
    for fast in (False, True):
        monkeypatch.setattr(device, "bfloat16_pays", lambda where, fast=fast: fast)
        states = [
            models.flat_state(fit(digits, recipe=recipes.get(f"digits-{kind}", 1)).model)
            for kind in ("mixed", "float32")
        ]
        assert np.array_equal(*states) != fast


gpu = pytest.mark.gpu
no_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU on this machine")


@gpu
@no_gpu
@pytest.mark.parametrize("engine", ["plain", "compile"])
def test_a_gpu_trains_on_the_same_batches_as_a_cpu(digits, monkeypatch, engine):
    recipe = recipes.get("adonis", 2)
    cpu = fit(digits, recipe=recipe)
    monkeypatch.setenv("STUDY_ENGINE", engine)
    for fits in (True, False):
        monkeypatch.setattr(inputs, "has_room", lambda device, n_bytes, fits=fits: fits)
        found = training.fit(digits, MODEL, recipe, seed=1, device="cuda")
        assert np.array_equal(cpu.visited, found.visited)
        assert found.history["loss"][0] == pytest.approx(cpu.history["loss"][0], rel=0.05)
    assert found.metrics["device"] == torch.cuda.get_device_name(0)


@gpu
@no_gpu
def test_an_epoch_on_a_gpu_never_waits(digits):
    where = torch.device("cuda")
    with device.deterministic(0, 1):
        model = models.to_device(models.build(MODEL, 10, 1), where)
        made = training.Loop(digits, model, SHORT, samplers.Fixed(np.arange(192)), 0, where)
        made.epoch(0)
        model.train()
        torch.cuda.set_sync_debug_mode("error")
        try:
            for batch in made.plan.minibatches(1, made.losses):
                made.step(batch)
        finally:
            torch.cuda.set_sync_debug_mode("default")


# Numbers in place of classes


@pytest.fixture(scope="module")
def sums(digits):
    """Digits, and how much ink each took: a number of hundreds."""
    inks = (part.sum(axis=(1, 2, 3)) / 16.0 for part in (digits.train_inputs, digits.test_inputs))
    train, test = inks
    return data.Dataset("sums", digits.train_inputs, train, digits.test_inputs, test, ())


def test_a_number_is_learnt_in_its_own_unit(sums):
    run = fit(sums, recipe=recipes.get("digits", 20), record_at=(0, 20))
    spread = float(sums.test_labels.std())
    assert run.metrics["test_rmse"] < spread / 3 < spread < 2 * run.history["train_rmse"][0]
    assert "test_acc" not in run.metrics
    assert run.model.classifier.out_features == 1
    told = run.trace["logits"][:, 0] * sums.train_labels.std() + sums.train_labels.mean()
    assert np.sqrt(np.mean((told - sums.train_labels) ** 2)) < spread / 3
    assert "entropy" not in run.trace
    assert run.trace["features"].shape[0] == sums.n
    weights = fit(sums, samplers.Fixed(np.arange(100), np.ones(100)))
    plain = fit(sums, np.arange(100))
    np.testing.assert_allclose(weights.history["loss"], plain.history["loss"], rtol=1e-4)


def test_losses_of_numbers_choose_online_and_classes_do_not(sums):
    run = fit(sums, samplers.Adonis(samplers.Fixed(np.arange(sums.n)), sums.n))
    assert run.history["forward"][-1] > run.history["backward"][-1]
    setting = samplers.Setting(np.arange(9), sums.train_labels, 2, 0, lambda: None)
    for name, options in (("ids", {}), ("grad-match", {"keep": 0.5, "choices": 1})):
        with pytest.raises(StudyError, match=f"{name} reads classes"):
            samplers.build(name, setting, **options)


def test_a_run_on_numbers_goes_on_where_it_was_cut(sums, tmp_path, monkeypatch):
    from helpers.training import checkpoint

    monkeypatch.setattr(checkpoint, "INTERVAL_S", 0)
    straight, kept = fit(sums), tmp_path / "run"
    monkeypatch.setattr(loop.Loop, "epoch", _cut_at(2, loop.Loop.epoch))
    with pytest.raises(KeyboardInterrupt):
        fit(sums, checkpoint=kept)
    monkeypatch.undo()
    same(straight, fit(sums, checkpoint=kept))


def _cut_at(epoch, usual):
    def cut(self, number):
        if number == epoch:
            raise KeyboardInterrupt
        return usual(self, number)

    return cut
