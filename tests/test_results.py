"""Asking for results: what runs, in which order, and what happens when something fails."""

import subprocess
import sys
import textwrap
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from helpers import StudyError, data, models, probing, results, specs
from helpers.results import packs, steps
from helpers.results.store import NotStored, Store
from helpers.specs import Measure, Sampler, Select, Train

ROOT = Path(__file__).resolve().parents[1]
DATA = "digits@200+50"
RUN = Train(DATA, "resnet8-w8", "digits", 1, 0, record_at=(0, 1), keep_weights=True)
START = Select(DATA, "random-per-class", 0.1, 0)
CHOSEN = Select(DATA, "margin", 0.25, 0, (RUN,), START)
LAST = Train(DATA, "resnet8-w8", "digits", 1, 5, CHOSEN, init=RUN)
RANDOM = [Select(DATA, "random", 0.1, seed) for seed in range(4)]


@pytest.fixture(autouse=True)
def _no_pack(tmp_path, monkeypatch):
    monkeypatch.setattr(packs, "path_of", lambda profile: tmp_path / "packs" / profile)


@pytest.fixture
def ran(monkeypatch):
    """Results without work; the list of what ran."""
    seen = []

    def made_up(spec, get, device):
        needed = [get(need).metrics["seed"] for need in specs.needs(spec)]
        seen.append(spec)
        if spec.seed >= 90:
            raise RuntimeError(f"broken {spec.seed}\nsecond line")
        return {"seed": spec.seed, "needed": needed, "wall_s": 2.0}, {}

    monkeypatch.setattr(steps, "run", made_up)
    return seen


def test_missing_lists_dependencies_first_and_each_once():
    found = results.missing([LAST, CHOSEN, LAST, RUN])
    assert list(found.values()) == [RUN, START, CHOSEN, LAST]
    assert list(found) == [specs.key(spec) for spec in found.values()]
    assert results.missing([]) == {}


def test_results_come_in_the_order_asked_duplicates_included(ran):
    asked = [RANDOM[2], RANDOM[0], RANDOM[2], RANDOM[1]]
    assert [r.spec for r in results.compute(asked)] == asked
    assert len(ran) == 3
    assert [r.metrics["seed"] for r in results.compute(asked)] == [2, 0, 2, 1]
    assert len(ran) == 3  # the second time everything was stored


def test_the_whole_chain_runs_once_and_repeats_bit_for_bit(tmp_path, monkeypatch):
    (first,) = results.compute([LAST], device="cpu")
    assert len(Store().keys()) == 4
    assert first.metrics["n_train"] == 64  # a last batch of one row, the 65th, is left out
    chosen = results.load(CHOSEN)
    assert chosen.arrays["indices"][:20].tolist() == results.load(START).arrays["indices"].tolist()
    assert len(set(chosen.arrays["indices"].tolist())) == 65
    monkeypatch.setenv("STUDY_STORE", str(tmp_path / "other"))
    (second,) = results.compute([LAST], device="cpu")
    assert first.metrics["history"]["loss"] == second.metrics["history"]["loss"]
    for name, values in first.arrays.items():
        assert values.tobytes() == second.arrays[name].tobytes()


def test_offline_says_what_is_missing_in_one_line(ran, monkeypatch):
    results.compute(RANDOM[:1])
    monkeypatch.setenv("STUDY_OFFLINE", "1")
    assert len(results.compute(RANDOM[:1])) == 1
    with pytest.raises(StudyError, match="^1 of 2 .*python -m helpers") as caught:
        results.compute([RANDOM[0], LAST])
    assert "\n" not in str(caught.value)
    assert len(ran) == 1


def test_a_failing_run_costs_itself_and_what_needs_it(ran):
    bad = Train(DATA, "resnet8-w8", "digits", 1, 99, record_at=(0, 1))
    needs_bad = Select(DATA, "entropy", 0.5, 1, (bad,))
    with pytest.raises(StudyError, match="2 of 4 runs failed, .*seed 99") as caught:
        results.compute([RANDOM[0], needs_bad, RANDOM[1]])
    assert "RuntimeError: broken 99" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert results.load(RANDOM[0]) is not None
    assert results.load(RANDOM[1]) is not None
    assert needs_bad not in ran


def test_a_full_disk_stops_at_once(ran, monkeypatch):
    def full(*_):
        raise NotStored("no space left")

    monkeypatch.setattr(Store, "write", full)
    with pytest.raises(StudyError, match="no space left"):
        results.compute(RANDOM)
    assert len(ran) == 1


def test_ctrl_c_keeps_what_is_done(ran, monkeypatch):
    made_up = steps.run

    def interrupted(spec, get, device):
        if spec == RANDOM[2]:
            raise KeyboardInterrupt
        return made_up(spec, get, device)

    monkeypatch.setattr(steps, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        results.compute(RANDOM)
    assert [results.load(s) is not None for s in RANDOM] == [True, True, False, False]


def test_what_another_process_stored_while_this_one_waited_is_taken(ran):
    key = specs.key(RANDOM[0])
    waiting = threading.Thread(target=results.execute, args=(RANDOM[0],))
    with Store().lock(key):
        waiting.start()
        time.sleep(0.3)
        Store().write(RANDOM[0], {"seed": "theirs"}, {})
    waiting.join(60)
    assert not ran
    assert results.load(RANDOM[0]).metrics == {"seed": "theirs"}


def test_a_published_run_computed_again_for_its_traces_keeps_its_times(ran, monkeypatch):
    Store().write(RUN, {"seed": 0, "seconds": 7.0, "wall_s": 9.0, "alone": True}, {})
    dropped = replace(Store().read(specs.key(RUN)), complete=False)
    Store().prune(set())
    monkeypatch.setattr(packs, "read", lambda folder: {dropped.key: dropped})
    monkeypatch.setattr(steps, "machine_busy", lambda: True)
    results.compute([CHOSEN])
    assert RUN in ran
    again = Store().read(specs.key(RUN)).metrics
    assert (again["seconds"], again["wall_s"], again["alone"]) == (7.0, 9.0, True)


def test_runs_on_a_busy_machine_or_that_waited_for_a_core_were_not_alone(ran, monkeypatch):
    monkeypatch.setattr(steps, "machine_busy", lambda: False)
    results.execute(RANDOM[0])
    results.execute(RANDOM[1], alone=False)
    monkeypatch.setattr(steps, "machine_busy", lambda: True)
    results.execute(RANDOM[2])
    assert [results.load(s).metrics["alone"] for s in RANDOM[:3]] == [True, False, False]
    monkeypatch.setattr(steps, "machine_busy", lambda: False)
    monkeypatch.setattr(steps, "SURE_S", 0.01)
    monkeypatch.setattr(steps, "OWN_SHARE", 0.05)  # other tests may take their share

    def waiting(spec, get, device):
        time.sleep(0.1)
        return {"device": "cpu"}, {}

    def working(spec, get, device):
        until = time.process_time() + 0.1
        while time.process_time() < until:
            pass
        return {"device": "cpu"}, {}

    def decoding(spec, get, device):
        other = threading.Thread(target=working, args=(spec, get, device))
        other.start()
        other.join()
        return {"device": "cpu"}, {}

    def sharing(spec, get, device):  # all the time that forty threads had is that of one
        return decoding(spec, get, device)[0] | {"threads": 40}, {}

    asked = (waiting, False), (working, True), (decoding, True), (sharing, False)
    for seed, (run, alone) in enumerate(asked):
        monkeypatch.setattr(steps, "run", run)
        results.execute(spec := Select(DATA, "random", 0.2, seed))
        assert results.load(spec).metrics["alone"] is alone


def test_bad_specs_are_refused_in_one_line(monkeypatch):
    plain = Train(DATA, "resnet8-w8", "digits", 1, 0)
    for spec, text in (
        (Measure("nothing"), "unknown measurement 'nothing'"),
        (replace(plain, sampler=Sampler("luck")), "unknown sampler .luck.; there are ids"),
        (replace(plain, sampler=Sampler("ids")), "needs a run"),
        (replace(plain, dataset="moon"), "moon"),
        (replace(plain, init=plain), "kept no weights: give it keep_weights=True"),
        (Select(DATA, "entropy", 0.1, 0, (plain,)), "kept no features: give it record_at"),
    ):
        with pytest.raises(StudyError, match=text) as caught:
            results.compute([spec])
        assert "\n" not in str(caught.value)
    with pytest.raises(StudyError, match="needs select random-per-class .* first"):
        results.execute(CHOSEN)
    monkeypatch.setenv("STUDY_WORKERS", "two")
    with pytest.raises(StudyError, match="STUDY_WORKERS"):
        results.compute(RANDOM[:1])


def test_results_of_other_data_under_the_same_name_are_refused():
    results.compute([RUN])
    found = results.load(RUN)
    Store().write(RUN, found.metrics | {"data_fingerprint": "0" * 64}, found.arrays)
    with pytest.raises(StudyError, match="measured on other data named"):
        results.compute([Select(DATA, "entropy", 0.1, 0, (RUN,))])


def test_a_network_starts_from_what_it_learnt_on_other_data():
    first = Train(f"{DATA}~0-4", "vgg3-w8", "digits", 6, 5, keep_weights=True)
    tuned = Train(f"{DATA}~5-9", "vgg3-w8/0", "digits", 6, 5, init=first, record_at=(0, 6))
    learnt, found = results.compute([first, tuned])
    network = models.build("vgg3-w8", 5, 1)
    models.load_state(network, learnt.arrays["weights"])
    part = data.load(tuned.dataset)
    mean, std = (torch.tensor(v) for v in probing.normalisation(part.train_inputs))
    rows = torch.tensor(part.train_inputs)
    _, features = probing.outputs(network, rows, mean, std, 64)
    kept = found.arrays["features"].astype(np.float32)
    np.testing.assert_allclose(kept, features.numpy(), atol=2e-3)  # those of the digits 0 to 4
    accuracy = found.metrics["history"]["train_acc"]
    assert accuracy[-1] > accuracy[0] + 0.2


def test_reading_results_never_imports_torch():
    results.compute([START])
    source = f"""
        import sys
        from helpers import experiments, plots, results
        from helpers.specs import Select
        print(len(results.compute([{START!r}])), "torch" in sys.modules)
    """
    command = [sys.executable, "-c", textwrap.dedent(source)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.split() == ["1", "False"]


@pytest.mark.slow
def test_two_workers_give_the_bits_of_one_and_a_failure_costs_itself(tmp_path, monkeypatch):
    pytest.importorskip("distributed", reason="the cluster extra is not installed")
    monkeypatch.setenv("STUDY_THREADS", "1")
    monkeypatch.setenv("STUDY_STORE", str(tmp_path / "two"))
    broken = Measure("nothing")
    with pytest.raises(StudyError, match="^1 of 5 runs failed, .*nothing") as caught:
        results.compute([LAST, broken], workers=2, device="cpu")
    assert "\n" not in str(caught.value)
    two = results.compute([LAST, RUN, CHOSEN])
    assert not any(r.metrics["alone"] for r in two)
    monkeypatch.setenv("STUDY_STORE", str(tmp_path / "one"))
    one = results.compute([LAST, RUN, CHOSEN], workers=1, device="cpu")
    for ours, theirs in zip(one, two, strict=True):
        assert set(ours.arrays) == set(theirs.arrays)
        for name, values in ours.arrays.items():
            assert np.asarray(values).tobytes() == np.asarray(theirs.arrays[name]).tobytes(), name


@pytest.mark.slow
def test_a_scheduler_that_does_not_answer_is_one_line(monkeypatch):
    dask = pytest.importorskip("dask", reason="the cluster extra is not installed")
    pytest.importorskip("distributed", reason="the cluster extra is not installed")
    monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", "tcp://127.0.0.1:9")
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "1s"}),
        pytest.raises(StudyError, match="no Dask scheduler .*127.0.0.1:9") as caught,
    ):
        results.compute(RANDOM)
    assert "\n" not in str(caught.value)
