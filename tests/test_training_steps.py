"""Recorded steps, and devices that run out of memory, played on a CPU."""

import dataclasses
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from helpers import StudyError, data, device, models, probing, recipes, samplers, training
from helpers.training import capture, memory

MODEL = "resnet8-w8"
RECIPE = recipes.get("digits", 4)


@pytest.fixture(scope="module")
def digits():
    return data.load("digits@200+50")


class Recorder:
    """Stands for CUDA graphs: records nothing, runs the function again."""

    def __init__(self, broken=None):
        self.replays, self.broken = 0, broken

    def __call__(self, function):
        if self.broken == "refuses":
            raise RuntimeError("operation not permitted\nwhen stream is capturing")

        def replay():
            self.replays += 1
            if self.broken != "does nothing":
                function()

        return replay


@pytest.fixture
def recorded(monkeypatch):
    """Let CPU runs go through a recorder."""

    def use(engine="graph", broken=None):
        recorder = Recorder(broken)
        monkeypatch.setattr(device, "engine", lambda where: engine)
        monkeypatch.setattr(capture, "cuda_graph", recorder)
        return recorder

    return use


def fit(digits, sampler=None, recipe=RECIPE, model=MODEL):
    return training.fit(digits, model, recipe, sampler, seed=1, device="cpu")


def close(one, other):
    assert np.array_equal(one.visited, other.visited)
    np.testing.assert_allclose(one.history["loss"], other.history["loss"], rtol=2e-3)
    np.testing.assert_allclose(
        models.flat_state(one.model), models.flat_state(other.model), atol=5e-3
    )


SAMPLERS = {
    "all": lambda: None,
    "weights": lambda: samplers.Fixed(np.arange(200), np.linspace(0, 2, 200)),
    "switch": lambda: samplers.Switch(np.arange(150), np.arange(40, 170), 2),
}


@pytest.mark.parametrize("recipe", ["digits", "small", "adonis"])
@pytest.mark.parametrize("name", SAMPLERS)
def test_replayed_steps_train_like_plain_ones(digits, recorded, name, recipe):
    recipe = recipes.Recipe(**vars(recipes.get(recipe, 4)) | {"batch": 32})
    plain = fit(digits, SAMPLERS[name](), recipe)
    recorder = recorded()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = fit(digits, SAMPLERS[name](), recipe)
    full = sum(int(mask.sum()) // 32 for mask in plain.visited)
    assert recorder.replays == full - capture.WARM_UP  # smaller batches are taken plainly
    close(plain, found)


def test_online_samplers_replay_too(digits, recorded):
    def made():
        return samplers.Adonis(samplers.Fixed(np.arange(200)), 200, theta=0.01, alpha=1.0)

    recorder = recorded()
    found = fit(digits, made())
    assert recorder.replays > 3
    assert found.history["loss"][-1] < found.history["loss"][0]


@pytest.mark.parametrize(
    ("broken", "why"), [("refuses", "operation not permitted"), ("does nothing", "differs")]
)
def test_a_recording_that_fails_is_told_in_a_line_and_left(digits, recorded, broken, why):
    plain = fit(digits)
    recorded(broken=broken)
    with pytest.warns(UserWarning, match=f"not be recorded.*{why}.*plain steps") as caught:
        found = fit(digits)
    assert len(caught) == 1
    assert "\n" not in str(caught[0].message)
    close(plain, found)


def test_a_step_that_is_replayed_wrongly_is_found(digits, recorded, monkeypatch):
    """For example one that reads a minibatch other than the one it is given."""
    plain = fit(digits)
    recorded()
    monkeypatch.setattr(capture, "_tensors", lambda batch: [batch.rows.clone()])
    other = lambda batch: batch._replace(rows=(batch.rows + 50) % 200)  # noqa: E731
    monkeypatch.setattr(capture, "_copied", other)
    with pytest.warns(UserWarning, match="differs from a plain one"):
        found = fit(digits)
    close(plain, found)


def test_dropout_is_not_held_against_a_recording(digits, recorded):
    model, recorder = Greedy(1000), recorded()
    model.body = nn.Sequential(model.body, nn.Dropout(0.5))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(digits, model=model)
    assert recorder.replays > 5


def test_compiling_that_fails_goes_on_with_the_plain_network(digits, recorded, monkeypatch):
    plain = fit(digits)
    asked = []

    def broken(model):
        asked.append(model)

        def call(x):
            raise TypeError("no compiler found\non this machine")

        return call

    monkeypatch.setattr(torch, "compile", broken)
    recorded("compile")
    with pytest.warns(UserWarning, match="could not be compiled .no compiler found.") as caught:
        found = fit(digits)
    assert len(asked) == len(caught) == 1
    close(plain, found)


def test_a_compiled_network_is_used(digits, recorded, monkeypatch):
    calls = []

    def compiled(model):
        def call(x):
            calls.append(len(x))
            return model(x)

        return call

    monkeypatch.setattr(torch, "compile", compiled)
    recorded("compile")
    close(fit(digits), fit(digits))
    assert len(calls) > 20


class Greedy(nn.Module):
    """A network whose device has memory for so many examples; counts what was asked."""

    def __init__(self, limit):
        super().__init__()
        self.limit, self.asked = limit, []
        self.body, self.classifier = nn.Linear(64, 8), nn.Linear(8, 10)

    def features(self, x):
        self.asked.append((len(x), torch.is_grad_enabled()))
        if len(x) > self.limit:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 7 GiB")
        return self.body(x.flatten(1))

    def forward(self, x):
        return self.classifier(self.features(x))


@pytest.mark.parametrize(
    ("limit", "text"),
    [(31, "batch 32 of recipe digits does not fit, batch 16 does"), (2, "batch 2 does")]
    + [(1, "not even 2 examples fit")],
)
def test_out_of_memory_says_which_batch_fits(digits, limit, text):
    with pytest.raises(StudyError, match=text) as caught:
        fit(digits, model=Greedy(limit))
    assert "\n" not in str(caught.value)
    assert "Greedy" in str(caught.value)


def test_out_of_memory_from_elsewhere_is_told_apart(digits, monkeypatch):
    model, step = Greedy(1000), training.Loop.step

    def full(self, batch):
        if self.backward > 100:
            raise torch.OutOfMemoryError("taken by another program")
        step(self, batch)

    monkeypatch.setattr(training.Loop, "step", full)
    with pytest.raises(StudyError, match="batch 32 fits by itself"):
        fit(digits, model=model)


def test_data_too_large_for_the_device_say_so(digits, monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(training.loop.Inputs, "__init__", full)
    with pytest.raises(StudyError, match="has no memory for digits.* GiB"):
        fit(digits)


@pytest.mark.parametrize(("limit", "batch", "expected"), [(100, 64, 64), (63, 64, 32), (1, 64, 0)])
def test_the_largest_batch_is_found_by_halving(limit, batch, expected):
    tried = []

    def attempt(size):
        tried.append(size)
        if size > limit:
            raise torch.OutOfMemoryError

    assert memory.largest_batch(attempt, batch) == expected
    assert tried == [64, 32, 16, 8, 4, 2][: len(tried)]
    assert tried[-1] == max(expected, 2)


def test_evaluation_halves_its_batch_until_it_fits():
    images = torch.randint(0, 256, (100, 1, 8, 8), dtype=torch.uint8)
    mean, std = torch.zeros(1), torch.ones(1)
    model = Greedy(40)
    found = probing.outputs(model, images, mean, std, batch=100)
    assert [size for size, _ in model.asked] == [100, 50, 25, 25, 25, 25]
    assert not any(grad for _, grad in model.asked)
    torch.testing.assert_close(found, probing.outputs(model, images, mean, std, batch=25))
    assert model.training
    with pytest.raises(torch.OutOfMemoryError):
        probing.outputs(Greedy(1), images, mean, std)


@pytest.mark.parametrize("in_hardware", [False, True])
def test_the_papers_recipe_computes_in_bf16_only_where_that_is_fast(
    digits, monkeypatch, in_hardware
):
    monkeypatch.setattr(device, "bfloat16_pays", lambda where: in_hardware)
    mixed, exact = (
        fit(digits, recipe=dataclasses.replace(recipes.get(name, 1), pad=0))
        for name in ("svp-mixed", "svp")
    )
    same = [
        torch.equal(a, b)
        for a, b in zip(mixed.model.parameters(), exact.model.parameters(), strict=True)
    ]
    assert all(same) != in_hardware


def test_evaluation_in_mixed_precision_keeps_a_float32_classifier():
    images = torch.randint(0, 256, (40, 1, 8, 8), dtype=torch.uint8)
    mean, std, model = torch.zeros(1), torch.ones(1), Greedy(100)
    mixed = torch.autocast("cpu", torch.bfloat16)
    logits, features = probing.outputs(model, images, mean, std, autocast=mixed)
    exact, _ = probing.outputs(model, images, mean, std)
    assert logits.dtype == features.dtype == torch.float32
    assert torch.equal(features, features.bfloat16().float())  # computed in bf16
    torch.testing.assert_close(logits, model.classifier(features))
    torch.testing.assert_close(logits, exact, atol=0.05, rtol=0.05)


def test_eval_batches_are_large_on_a_gpu_only():
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    assert probing.eval_batch(cpu, 3 * 32 * 32) == probing.EVAL_BATCH
    assert probing.eval_batch(gpu, 3 * 32 * 32) == 4096
    assert 64 <= probing.eval_batch(gpu, 3 * 224 * 224) < 512


gpu = pytest.mark.gpu
no_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU on this machine")


@gpu
@no_gpu
@pytest.mark.parametrize("engine", ["graph", "plain"])
@pytest.mark.parametrize("recipe", ["small", "adonis"])
def test_engines_agree_on_a_gpu(digits, monkeypatch, engine, recipe):
    recipe = recipes.Recipe(**vars(recipes.get(recipe, 3)) | {"batch": 32})
    cpu = fit(digits, recipe=recipe)
    monkeypatch.setenv("STUDY_ENGINE", engine)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = training.fit(digits, MODEL, recipe, seed=1, device="cuda")
    assert np.array_equal(cpu.visited, found.visited)
    assert found.history["loss"][0] == pytest.approx(cpu.history["loss"][0], rel=0.05)


@gpu
@no_gpu
def test_an_epoch_on_a_gpu_never_waits(digits):
    where = torch.device("cuda")
    with device.deterministic(0, 1):
        model = models.to_device(models.build(MODEL, 10, 1), where)
        loop = training.Loop(digits, model, RECIPE, samplers.Fixed(np.arange(192)), 0, where)
        loop.epoch(0)
        model.train()
        torch.cuda.set_sync_debug_mode("error")
        try:
            for batch in loop.plan.minibatches(1, loop.losses):
                loop.take(batch)
        finally:
            torch.cuda.set_sync_debug_mode("default")
