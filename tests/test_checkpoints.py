"""Runs that are cut short go on to the same bits; bad checkpoints are told and ignored."""

import errno
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from helpers import (
    StudyError,
    compute,
    data,
    models,
    recipes,
    results,
    samplers,
    specs,
    training,
)
from helpers.overview import list_results
from helpers.store import Store
from helpers.training import checkpoints

ROOT = Path(__file__).resolve().parents[1]
MODEL, EPOCHS = "resnet8-w8", 4
RECIPE = recipes.get("small", EPOCHS)
RUN = specs.Train("digits@200+50", MODEL, "small", EPOCHS, 3, record_at=(0, 2, EPOCHS))


class Dropping(nn.Module):
    """A small network whose steps draw from torch's global state."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Dropout(0.5))
        self.classifier = nn.Linear(32, 10)

    def features(self, x):
        return self.body(x)

    def forward(self, x):
        return self.classifier(self.features(x))


class Drawing(samplers.Fixed):
    """A sampler with a NumPy generator and a list of its own."""

    def __init__(self, rows):
        super().__init__(rows)
        self.rng, self.drawn = np.random.default_rng(7), []

    def rows_at(self, epoch):
        return self.rows

    def batches(self, epoch, size, generator, losses):
        self.drawn.append(self.rng.random(3))
        first = int(self.drawn[-1][0] * 50)
        yield from samplers.Fixed(self.rows.numpy()[first:]).batches(epoch, size, generator, losses)

    def log(self):
        return {"drawn": np.stack(self.drawn)}


SAMPLERS = {
    "all": lambda: None,
    "weights": lambda: samplers.Fixed(np.arange(120), np.linspace(0, 2, 120)),
    "switch": lambda: samplers.Switch(np.arange(90), np.arange(40, 160), 2),
    "redrawn": lambda: samplers.Redrawn(np.arange(200), 0.6, 3),
    "adonis": lambda: samplers.Adonis(samplers.Fixed(np.arange(200)), 200, theta=0.05, history=90),
    "ids+adonis": lambda: samplers.Adonis(
        samplers.Switch(np.arange(150), np.arange(40, 170), 2), 200, theta=0.05
    ),
    "sb": lambda: samplers.SelectiveBackprop(samplers.Fixed(np.arange(200)), 200, history=90),
    "drawing": lambda: Drawing(np.arange(200)),
}


@pytest.fixture(scope="module")
def digits():
    return data.load("digits@200+50")


@pytest.fixture(autouse=True)
def _often(monkeypatch):
    monkeypatch.setattr(checkpoints, "INTERVAL_S", 0.0)


def fit(digits, name, path=None, model=MODEL, **changed):
    torch.manual_seed(0)
    model = model() if isinstance(model, type) else model
    settings = {"seed": 3, "device": "cpu", "record_at": (0, 2, EPOCHS)} | changed
    return training.fit(digits, model, RECIPE, SAMPLERS[name](), checkpoint=path, **settings)


def same(one, other):
    """Equal to the last bit, but for the seconds."""
    for name in set(one.history) - {"seconds"}:
        assert one.history[name] == other.history[name], name
    assert one.trace.keys() == other.trace.keys()
    for name, values in one.trace.items():
        assert values.dtype == other.trace[name].dtype
        assert values.tobytes() == other.trace[name].tobytes(), name
    assert np.array_equal(models.flat_state(one.model), models.flat_state(other.model))


class Cut(Exception):
    """The power fails."""


def cut_after(monkeypatch, steps):
    """Let a run end in the middle of a step."""
    taken, step = [], training.Loop.step

    def counted(self, batch):
        taken.append(1)
        if len(taken) > steps:
            raise Cut
        step(self, batch)

    monkeypatch.setattr(training.Loop, "step", counted)


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_run_cut_in_the_middle_of_an_epoch_goes_on_to_the_same_bits(
    digits, tmp_path, monkeypatch, name
):
    whole, path = fit(digits, name), tmp_path / "part" / "run.ckpt"
    n_steps = sum(len(list(b)) for b in batches_of(whole))
    with monkeypatch.context() as patched:
        cut_after(patched, int(0.7 * n_steps))
        with pytest.raises(Cut):
            fit(digits, name, path)
    assert [p.name for p in path.parent.iterdir()] == ["run.ckpt"]
    resumed = fit(digits, name, path)
    same(whole, resumed)
    assert resumed.metrics["resumed"] == 1
    assert "alone" not in resumed.metrics
    assert "resumed" not in whole.metrics


def batches_of(run):
    """An upper bound of the steps an epoch took, from what it visited."""
    size = RECIPE.batch
    return [range(0, max(int(mask.sum()), 1), size) for mask in run.visited]


def test_dropout_goes_on_with_the_same_draws(digits, tmp_path, monkeypatch):
    whole = fit(digits, "all", model=Dropping)
    with monkeypatch.context() as patched:
        cut_after(patched, 9)
        with pytest.raises(Cut):
            fit(digits, "all", tmp_path / "run.ckpt", model=Dropping)
    same(whole, fit(digits, "all", tmp_path / "run.ckpt", model=Dropping))


def test_a_run_may_be_cut_again_and_again(digits, tmp_path, monkeypatch):
    whole, path = fit(digits, "all"), tmp_path / "run.ckpt"
    for _ in range(2):
        with monkeypatch.context() as patched:
            cut_after(patched, 5)
            with pytest.raises(Cut):
                fit(digits, "all", path)
    resumed = fit(digits, "all", path)
    same(whole, resumed)
    assert resumed.metrics["resumed"] == 2
    assert resumed.history["seconds"] == sorted(resumed.history["seconds"])


def test_writing_checkpoints_changes_nothing(digits, tmp_path):
    same(fit(digits, "adonis"), fit(digits, "adonis", tmp_path / "run.ckpt"))


def test_another_process_may_write_and_remove_the_same_checkpoint(digits, tmp_path, monkeypatch):
    """The other one is ahead, stores its result and removes the file; ours just goes on."""
    whole, path, epoch = fit(digits, "adonis"), tmp_path / "run.ckpt", training.Loop.epoch
    cut(digits, path, monkeypatch)
    theirs = path.read_bytes()
    path.unlink()

    def disturbed(self, number):
        path.write_bytes(theirs) if number % 2 else path.unlink(missing_ok=True)
        return epoch(self, number)

    with monkeypatch.context() as patched:
        patched.setattr(training.Loop, "epoch", disturbed)
        same(whole, fit(digits, "adonis", path))
    assert [p.name for p in tmp_path.iterdir()] == ["run.ckpt"]


def test_short_runs_write_none(digits, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "INTERVAL_S", 20.0)
    fit(digits, "all", tmp_path / "run.ckpt")
    assert not list(tmp_path.iterdir())


KILLED = """
    import os, signal, sys
    import numpy as np
    from pathlib import Path
    from helpers import data, recipes, samplers, training
    from helpers.training import checkpoints
    checkpoints.INTERVAL_S = 0.0
    step, taken = training.Loop.step, []
    def counted(self, batch):
        taken.append(1)
        step(self, batch)
        if len(taken) == int(sys.argv[3]):
            os.kill(os.getpid(), signal.SIGKILL)
    training.Loop.step = counted
    replace, written = os.replace, []
    def slow(*names):
        written.append(1)
        if len(written) == int(sys.argv[4]):
            os.kill(os.getpid(), signal.SIGKILL)
        replace(*names)
    os.replace = slow
    made = {
        "all": lambda: None,
        "switch": lambda: samplers.Switch(np.arange(90), np.arange(40, 160), 2),
        "adonis": lambda: samplers.Adonis(
            samplers.Fixed(np.arange(200)), 200, theta=0.05, history=90
        ),
    }[sys.argv[1]]()
    training.fit(
        data.load("digits@200+50"), "resnet8-w8", recipes.get("small", 4), made, seed=3,
        device="cpu", record_at=(0, 2, 4), checkpoint=Path(sys.argv[2]),
    )
"""


@pytest.mark.parametrize(
    ("name", "at_step", "at_write", "left"),
    [("all", 10, 0, 1), ("switch", 6, 0, 1), ("adonis", 6, 0, 1), ("adonis", 0, 2, 2)],
)
def test_kill_9_costs_no_more_than_the_epoch_it_struck(
    digits, tmp_path, name, at_step, at_write, left
):
    path = tmp_path / "run.ckpt"
    command = [sys.executable, "-c", textwrap.dedent(KILLED), name, path, at_step, at_write]
    done = subprocess.run([*map(str, command)], cwd=ROOT, timeout=240, env=os.environ, check=False)
    assert done.returncode == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == left  # killed while writing: a file beside it too
    resumed = fit(digits, name, path)
    assert resumed.metrics["resumed"] == 1
    same(fit(digits, name), resumed)


def cut(digits, path, monkeypatch, **changed):
    with monkeypatch.context() as patched:
        cut_after(patched, 10)
        with pytest.raises(Cut):
            fit(digits, "all", path, **changed)


@pytest.mark.parametrize("how", ["flipped", "cut", "empty", "text", "pickle", "head"])
def test_a_damaged_checkpoint_is_told_in_a_line_and_ignored(digits, tmp_path, monkeypatch, how):
    path = tmp_path / "run.ckpt"
    cut(digits, path, monkeypatch)
    content = path.read_bytes()
    middle = len(content) // 2
    flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    path.write_bytes(
        {
            "flipped": flipped,
            "cut": content[:middle],
            "empty": b"",
            "text": b"nothing\nof the kind",
            "pickle": b"\x80\x04cos\nsystem\n",
            "head": b"{}" + content[content.index(b"\n") :],
        }[how]
    )
    with pytest.warns(UserWarning, match="run.ckpt is ignored .*training starts anew") as caught:
        found = fit(digits, "all", path)
    assert len(caught) == 1
    assert "\n" not in str(caught[0].message)
    assert "resumed" not in found.metrics
    same(found, fit(digits, "all"))


def test_nothing_in_a_checkpoint_is_run(digits, tmp_path, monkeypatch):
    """Even where the checksum fits: reading must refuse pickled code."""
    import hashlib
    import io
    import json

    path = tmp_path / "run.ckpt"
    cut(digits, path, monkeypatch)
    head = json.loads(path.read_bytes().split(b"\n")[0])

    class Trap:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "sprung"),))

    buffer = io.BytesIO()
    torch.save({"loop": Trap()}, buffer)
    head["sha256"] = hashlib.sha256(buffer.getvalue()).hexdigest()
    path.write_bytes(json.dumps(head).encode() + b"\n" + buffer.getvalue())
    with pytest.warns(UserWarning, match="is ignored"):
        fit(digits, "all", path)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    "changed",
    [{"seed": 4}, {"record_at": (0, EPOCHS)}, {"model": "resnet14-w8"}, {"name": "weights"}],
)
def test_a_checkpoint_of_another_run_is_told_and_ignored(digits, tmp_path, monkeypatch, changed):
    path = tmp_path / "run.ckpt"
    cut(digits, path, monkeypatch)
    name = changed.pop("name", "all")
    with pytest.warns(UserWarning, match="belongs to another run") as caught:
        found = fit(digits, name, path, **changed)
    assert len(caught) == 1
    same(found, fit(digits, name, **changed))


@pytest.mark.parametrize("name", ["device", "threads", "torch"])
def test_a_sitting_with_another_setup_says_so(digits, tmp_path, monkeypatch, name):
    path, true = tmp_path / "run.ckpt", checkpoints.setup_of
    with monkeypatch.context() as patched:
        patched.setattr(checkpoints, "setup_of", lambda loop: true(loop) | {name: "another"})
        cut(digits, path, monkeypatch)
    found = fit(digits, "all", path)
    assert found.metrics["resumed"] == 1
    assert found.metrics["alone"] is False


def test_a_full_disk_does_not_stop_training(digits, tmp_path, monkeypatch):
    whole = fit(digits, "all")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.warns(UserWarning, match="no checkpoint in .*No space left") as caught:
        found = fit(digits, "all", tmp_path / "run.ckpt")
    assert len(caught) == 1  # told once, not each epoch
    assert not list(tmp_path.iterdir())
    same(whole, found)


def test_an_unknown_kind_of_state_is_refused():
    with pytest.raises(TypeError, match="cannot hold a object"):
        checkpoints.packed({"what": object()})


def execute_cut(monkeypatch, **how):
    with monkeypatch.context() as patched:
        cut_after(patched, 10)
        with pytest.raises(Cut):
            results.execute(RUN, "cpu", **how)


@pytest.fixture
def quiet(monkeypatch):
    monkeypatch.setattr(compute, "machine_busy", lambda: False)


@pytest.mark.usefixtures("quiet")
def test_the_store_keeps_the_part_and_drops_it_with_the_result(monkeypatch, capsys, tmp_path):
    execute_cut(monkeypatch)
    (part,) = Store().parts()
    assert part.key == specs.key(RUN)
    assert (part.done, part.epochs) == (2, EPOCHS)
    assert list_results() == 0
    assert f"{MODEL} on digits@200+50, seed 3: 2 of 4 epochs" in capsys.readouterr().out
    assert Store().keys() == []
    assert Store().verify() == {}
    results.execute(RUN, "cpu")
    assert not list((Store().path / "partial").iterdir())
    resumed = results.load(RUN)
    assert resumed.metrics["resumed"] == 1
    assert resumed.metrics["alone"] is True
    monkeypatch.setenv("STUDY_STORE", str(tmp_path / "other"))
    results.execute(RUN, "cpu")
    whole = results.load(RUN)
    assert "resumed" not in whole.metrics
    for name, values in whole.arrays.items():
        assert values.tobytes() == resumed.arrays[name].tobytes(), name


@pytest.mark.usefixtures("quiet")
def test_a_run_that_once_shared_the_machine_was_not_alone(monkeypatch):
    execute_cut(monkeypatch, alone=False)
    results.execute(RUN, "cpu")
    assert results.load(RUN).metrics["alone"] is False
    assert not list((Store().path / "partial").iterdir())


@pytest.mark.usefixtures("quiet")
def test_fresh_drops_what_is_of_before(monkeypatch):
    execute_cut(monkeypatch)
    monkeypatch.setenv("STUDY_FRESH", "a token")
    results.execute(RUN, "cpu")
    monkeypatch.delenv("STUDY_FRESH")
    assert "resumed" not in results.load(RUN).metrics


@pytest.mark.usefixtures("quiet")
def test_prune_keeps_parts_in_use(monkeypatch):
    execute_cut(monkeypatch, alone=False)
    store, key = Store(), specs.key(RUN)
    path = store.checkpoint(key)
    old, new = path.with_name(".a-1-x"), path.with_name(".b-2-y")
    for left in (old, new):
        left.write_bytes(b"x")
    os.utime(old, (time.time() - 7200,) * 2)
    assert store.prune({key}) == (1, 1)
    assert path.exists()
    assert new.exists()
    count, size = store.prune(set())
    assert count == 2  # the checkpoint and its note
    assert size > 10_000
    assert [p.name for p in path.parent.iterdir()] == [new.name]


@pytest.mark.usefixtures("quiet")
def test_prune_drops_the_part_of_a_stored_run(monkeypatch):
    execute_cut(monkeypatch)
    store = Store()
    store.write(RUN, {}, {})
    assert store.prune({specs.key(RUN)})[0] == 2  # the checkpoint and its note
    assert store.parts() == []
    assert len(store.keys()) == 1


def test_parts_that_cannot_be_read_are_left_out(tmp_path):
    folder = tmp_path / "partial"
    folder.mkdir()
    (folder / "a.ckpt").write_bytes(b"")
    (folder / "b.ckpt").write_bytes(b'{"what": 1}\n')
    assert Store(tmp_path).parts() == []
    assert Store(tmp_path / "nowhere").parts() == []


def test_divergence_is_still_an_error_with_a_checkpoint(digits, tmp_path):
    from dataclasses import replace

    hot = replace(RECIPE, rate=1e30, schedule="steps")
    with pytest.raises(StudyError, match="diverged in epoch"):
        training.fit(digits, MODEL, hot, device="cpu", checkpoint=tmp_path / "run.ckpt")
