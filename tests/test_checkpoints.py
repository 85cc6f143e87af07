"""Runs that are cut short go on to the same bits; files that do not fit are set aside."""

import copy
import errno
import functools
import os
import signal
import subprocess
import sys
import textwrap
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from helpers import data, models, recipes, results, samplers, specs, training
from helpers.overview import list_results
from helpers.results import steps
from helpers.results.store import Store
from helpers.training import checkpoint, trace

ROOT = Path(__file__).resolve().parents[1]
MODEL, EPOCHS = "resnet8-w8", 4
RECIPE = recipes.get("small", EPOCHS)
RUN = specs.Train("digits@200+50", MODEL, "small", EPOCHS, 3, record_at=(0, 2, EPOCHS))


class Drawing(samplers.Sampler):
    """A sampler with a generator of its own: what a new one must write to be resumed."""

    def __init__(self):
        self.own, self.drawn = torch.Generator().manual_seed(7), []

    def rows_at(self, epoch):
        return torch.arange(200)

    def batches(self, epoch, size, generator, losses):
        self.drawn.append(int(torch.randint(50, (), generator=self.own)))
        yield from samplers.Fixed(np.arange(self.drawn[-1], 200)).batches(
            epoch, size, generator, losses
        )

    def log(self):
        return {"drawn": np.array(self.drawn)}

    def state_dict(self):
        return {"own": self.own.get_state(), "drawn": self.drawn}

    def load_state_dict(self, state):
        self.own.set_state(state["own"])
        self.drawn = state["drawn"]


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
    "drawing": Drawing,
}


@pytest.fixture(scope="module")
def digits():
    return data.load("digits@200+50")


@pytest.fixture(autouse=True)
def _often(monkeypatch):
    monkeypatch.setattr(checkpoint, "INTERVAL_S", 0.0)


def fit(digits, name, path=None, model=MODEL, **changed):
    settings = {"seed": 3, "device": "cpu", "record_at": (0, 2, EPOCHS)} | changed
    return training.fit(digits, model, RECIPE, SAMPLERS[name](), checkpoint=path, **settings)


@pytest.fixture(scope="module")
def whole(digits):
    """Uncut runs by sampler, each trained once."""
    return functools.cache(lambda name: fit(digits, name))


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


def cut(digits, path, monkeypatch, name="all", steps=10, **changed):
    with monkeypatch.context() as patched:
        cut_after(patched, steps)
        with pytest.raises(Cut):
            fit(digits, name, path, **changed)


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_run_cut_in_the_middle_of_an_epoch_goes_on_to_the_same_bits(
    digits, tmp_path, monkeypatch, whole, name
):
    path = tmp_path / "part" / "run.ckpt"
    n_steps = sum(-(-int(mask.sum()) // RECIPE.batch) for mask in whole(name).visited)
    cut(digits, path, monkeypatch, name, int(0.7 * n_steps))
    assert [p.name for p in path.parent.iterdir()] == ["run.ckpt"]
    resumed = fit(digits, name, path)
    same(whole(name), resumed)
    assert resumed.metrics["resumed"] == 1
    assert "alone" not in resumed.metrics
    assert "resumed" not in whole(name).metrics


def test_dropout_goes_on_with_the_same_draws(digits, tmp_path, monkeypatch):
    path, model = tmp_path / "run.ckpt", "alexnet-w8"
    cut(digits, path, monkeypatch, steps=9, model=model)
    same(fit(digits, "all", model=model), fit(digits, "all", path, model))


def test_slow_averages_and_alternating_flips_go_on_where_they_were(digits, tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "RECIPE", recipes.get("airbench-b32", EPOCHS))
    path, model = tmp_path / "run.ckpt", "sprint-w8"
    whole = fit(digits, "all", model=model)
    cut(digits, path, monkeypatch, steps=17, model=model)  # 14 are saved, the average is 4 behind
    same(whole, fit(digits, "all", path, model))


def test_a_run_may_be_cut_again_and_again(digits, tmp_path, monkeypatch, whole):
    path = tmp_path / "run.ckpt"
    for _ in range(2):
        cut(digits, path, monkeypatch, steps=5)
    resumed = fit(digits, "all", path)
    same(whole("all"), resumed)
    assert resumed.metrics["resumed"] == 2
    assert resumed.history["seconds"] == sorted(resumed.history["seconds"])


def test_another_process_may_write_and_remove_the_same_checkpoint(
    digits, tmp_path, monkeypatch, whole
):
    """The other one is ahead, stores its result and removes the file; ours just goes on."""
    path, epoch = tmp_path / "run.ckpt", training.Loop.epoch
    cut(digits, path, monkeypatch, "adonis", 6)
    theirs = path.read_bytes()
    path.unlink()

    def disturbed(self, number):
        path.write_bytes(theirs) if number % 2 else path.unlink(missing_ok=True)
        return epoch(self, number)

    monkeypatch.setattr(training.Loop, "epoch", disturbed)
    same(whole("adonis"), fit(digits, "adonis", path))
    assert [p.name for p in tmp_path.iterdir()] == ["run.ckpt"]


KILLED = """
    import os, signal, sys
    import numpy as np
    from pathlib import Path
    from helpers import data, recipes, samplers, training
    from helpers.training import checkpoint
    checkpoint.INTERVAL_S = 0.0
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
        "adonis": lambda: samplers.Adonis(
            samplers.Fixed(np.arange(200)), 200, theta=0.05, history=90
        ),
    }[sys.argv[1]]()
    training.fit(
        data.load("digits@200+50"), "resnet8-w8", recipes.get("small", 4), made, seed=3,
        device="cpu", record_at=(0, 2, 4), checkpoint=Path(sys.argv[2]),
    )
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "at_step", "at_write", "left"), [("all", 10, 0, 1), ("adonis", 0, 2, 2)]
)
def test_kill_9_costs_no_more_than_the_epoch_it_struck(
    digits, tmp_path, whole, name, at_step, at_write, left
):
    path = tmp_path / "run.ckpt"
    command = [sys.executable, "-c", textwrap.dedent(KILLED), name, path, at_step, at_write]
    done = subprocess.run([*map(str, command)], cwd=ROOT, timeout=240, env=os.environ, check=False)
    assert done.returncode == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == left  # killed while writing: a file beside it too
    resumed = fit(digits, name, path)
    assert resumed.metrics["resumed"] == 1
    same(whole(name), resumed)


def refused(digits, path, name="all", **changed):
    """Train where a checkpoint does not fit; return the run."""
    content = path.read_bytes()
    with pytest.warns(UserWarning, match="checkpoint .*run.ckpt does not fit") as caught:
        found = fit(digits, name, path, **changed)
    assert len(caught) == 1
    assert "\n" not in str(caught[0].message)
    assert "resumed" not in found.metrics
    assert path.with_suffix(".unfit").read_bytes() == content
    return found


def test_a_damaged_checkpoint_is_set_aside(digits, tmp_path, monkeypatch, whole):
    path = tmp_path / "run.ckpt"
    cut(digits, path, monkeypatch)
    content = path.read_bytes()
    middle = len(content) // 2
    flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    for damaged in (flipped, content[:middle], b"", b"nothing\nof it", b"\x80\x04cos\nsystem\n"):
        path.write_bytes(damaged)
        same(refused(digits, path), whole("all"))


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, place):
        self.place = place

    def __reduce__(self):
        return os.mkdir, (str(self.place),)


def planted(state, tmp_path):
    """What an older version, a slip or malice may leave: name and a state that does not fit."""
    loop, kept = state["loop"], state["trace"]
    flat = {name: value.reshape(-1) for name, value in loop["model"].items()}
    found = {f"no {name}": {k: v for k, v in state.items() if k != name}
             for name in state if name not in ("about", "loop", "trace")}  # fmt: skip
    for part, whole in (("loop", loop), ("trace", kept)):
        for name in whole:
            found[f"no {part} {name}"] = state | {part: {k: whole[k] for k in whole if k != name}}
    return found | {
        "another format": state | {"about": state["about"] | {"format": 0}},
        "another data set": state | {"about": state["about"] | {"data": "0"}},
        "another network": state | {"loop": loop | {"model": flat}},
        "another sampler": state | {"loop": loop | {"sampler": {"base": {}, "history": 1}}},
        "another plan": state | {"loop": loop | {"plan": {"order": torch.zeros(3)}}},
        "no momenta": state | {"loop": loop | {"optimiser": {"state": {}, "param_groups": []}}},
        "another history": state | {"trace": kept | {"history": {"loss": [1.0]}}},
        "fewer bits": state | {"trace": kept | {"bits": {"visited": [], "correct": []}}},
        "fewer epochs": state | {"done": 1},
        "a list": [1, 2],
        "pickled code": state | {"loop": Trap(tmp_path / "sprung")},
    }


def test_whatever_does_not_fit_is_set_aside_and_the_start_is_as_it_was(
    digits, tmp_path, monkeypatch
):
    path = tmp_path / "run.ckpt"
    cut(digits, path, monkeypatch, "adonis", 6)
    state = torch.load(path, weights_only=True)
    torch.manual_seed(0)
    model = models.to_device(models.build(MODEL, 10, 1), torch.device("cpu"))
    loop = training.Loop(digits, model, RECIPE, SAMPLERS["adonis"](), 3, torch.device("cpu"))
    kept = checkpoint.Checkpoint(path, loop, trace.TraceRecorder(), {})
    kept.about = state["about"]
    before = copy.deepcopy(kept._state())
    for what, bad in planted(state, tmp_path).items():
        torch.save(bad, path)
        with warnings.catch_warnings(record=True) as caught:
            kept.resume()
        assert "kept as run.unfit" in str(caught[0].message), what
        assert not path.exists(), what
        assert_equal(kept._state(), before, what)
        assert kept.metrics() == {}
    assert not (tmp_path / "sprung").exists()
    torch.save(state, path)
    kept.resume()
    assert kept.metrics()["resumed"] == 1
    assert kept.trace.epochs == state["done"] > 0


def assert_equal(one, other, what):
    """Compare two trees of tensors and plain values."""
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other), what
    elif isinstance(one, dict | list | tuple):
        keys = one if isinstance(one, dict) else range(len(one))
        assert len(one) == len(other), what
        for name in keys:
            assert_equal(one[name], other[name], f"{what}: {name}")
    else:
        assert one == other, what


def test_a_checkpoint_of_another_run_is_set_aside(digits, tmp_path, monkeypatch):
    path = tmp_path / "run.ckpt"
    cut(digits, path, monkeypatch)
    content = path.read_bytes()
    for changed in ({"seed": 4}, {"record_at": (0, EPOCHS)}, {"model": "resnet14-w8"}):
        path.write_bytes(content)
        same(refused(digits, path, **changed), fit(digits, "all", **changed))
    path.write_bytes(content)
    refused(digits, path, "adonis")


def test_a_session_with_another_setup_says_so(digits, tmp_path, monkeypatch):
    path, true = tmp_path / "run.ckpt", checkpoint.setup_of
    with monkeypatch.context() as patched:
        patched.setattr(checkpoint, "setup_of", lambda loop: true(loop) | {"threads": "another"})
        cut(digits, path, monkeypatch)
    found = fit(digits, "all", path)
    assert found.metrics["resumed"] == 1
    assert found.metrics["alone"] is False


def test_a_full_disk_does_not_stop_training(digits, tmp_path, monkeypatch, whole):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.warns(UserWarning, match="no checkpoint in .*No space left") as caught:
        found = fit(digits, "all", tmp_path / "run.ckpt")
    assert len(caught) == 1  # told once, not each epoch
    assert not list(tmp_path.iterdir())
    same(whole("all"), found)


def execute_cut(monkeypatch, **how):
    with monkeypatch.context() as patched:
        cut_after(patched, 10)
        with pytest.raises(Cut):
            results.execute(RUN, "cpu", **how)


@pytest.fixture
def quiet(monkeypatch):
    monkeypatch.setattr(steps, "machine_busy", lambda: False)


@pytest.mark.usefixtures("quiet")
def test_the_store_keeps_the_part_and_drops_it_with_the_result(monkeypatch, capsys, tmp_path):
    for resumed_alone in (True, False):  # a run that once shared the machine was not alone
        monkeypatch.setenv("STUDY_STORE", str(tmp_path / f"{resumed_alone}"))
        execute_cut(monkeypatch, alone=resumed_alone)
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
        assert resumed.metrics["alone"] is resumed_alone
    monkeypatch.setenv("STUDY_STORE", str(tmp_path / "other"))
    results.execute(RUN, "cpu")
    whole = results.load(RUN)
    assert "resumed" not in whole.metrics
    for name, values in whole.arrays.items():
        assert values.tobytes() == resumed.arrays[name].tobytes(), name


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
