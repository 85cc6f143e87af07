"""Several runs at once: who gets which GPU, and what Ctrl-C leaves."""

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from helpers import device, specs
from helpers.results import cluster, steps
from helpers.results.store import Store

distributed = pytest.importorskip("distributed", reason="the cluster extra is not installed")
ROOT = Path(__file__).resolve().parents[1]
RUN = specs.Train("digits@200+50", "resnet8-w8", "digits", 1, 0)
CHOICE = specs.Select("digits@200+50", "random", 0.1, 0)
SLACK_S = 120


def test_slots_take_gpus_in_turn():
    assert [cluster.gpu_of(slot, ("4", "7")) for slot in (0, 1, 2, "3")] == ["4", "7", "4", "7"]
    assert cluster.gpu_of(1, ("4",)) is cluster.gpu_of(1, ()) is None
    assert cluster.gpu_of("tcp://10.0.0.1:99", ("4", "7")) is None


def test_gpus_are_shared_out_only_where_a_run_may_take_any(monkeypatch):
    monkeypatch.setattr(device, "visible_gpus", lambda: ["0", "1"])
    assert cluster._gpus([CHOICE, RUN], "auto") == ("0", "1")
    assert cluster._gpus([RUN], "cuda") == ("0", "1")
    assert cluster._gpus([CHOICE], "auto") == ()
    assert cluster._gpus([RUN], "cpu") == ()
    assert cluster._gpus([RUN], "cuda:1") == ()
    monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", "tcp://lab:8786")
    assert cluster._gpus([RUN], "auto") == ()


def test_a_task_sees_its_own_gpu_and_is_not_alone(monkeypatch):
    seen = []

    def execute(spec, device, alone):
        seen.append((spec, device, alone, os.environ.get("CUDA_VISIBLE_DEVICES")))
        return "key"

    monkeypatch.setattr(steps, "execute", execute)
    monkeypatch.setattr("dask.distributed.get_worker", lambda: SimpleNamespace(name=3))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    monkeypatch.setenv("STUDY_THREADS", "1")
    monkeypatch.setenv("STUDY_FRESH", "")
    assert cluster._task(RUN, "auto", ("4", "7"), "token", "waited for") == "key"
    assert os.environ["STUDY_FRESH"] == "token"  # a lab's workers were started without it
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4")
    cluster._task(RUN, "cpu", (), "")
    assert seen == [(RUN, "auto", False, "7"), (RUN, "cpu", False, "4")]


INTERRUPTED = """
    import signal

    # also where SIGINT was ignored on entry, as under nohup
    signal.signal(signal.SIGINT, signal.default_int_handler)
    from helpers import results
    from helpers.specs import Select, Train
    data = "digits@200+50"
    quick = [Select(data, "random", 0.1, seed) for seed in range(3)]
    long = [Train(data, "resnet8-w8", "digits", 5000, seed) for seed in range(2)]
    if __name__ == "__main__":
        results.compute([*quick, *long], workers={workers}, device="cpu")
"""


def emptied(group, seconds):
    """Whether the last process of a group ends in time."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.2)
    return False


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c_keeps_what_is_stored_and_leaves_no_process(tmp_path, workers):
    script = tmp_path / "study.py"
    script.write_text(textwrap.dedent(INTERRUPTED.format(workers=workers)))
    child = subprocess.Popen(
        [sys.executable, str(script)],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "STUDY_THREADS": "1"},
        start_new_session=True,
    )
    try:
        until = time.monotonic() + SLACK_S
        while len(Store().keys()) < 3:
            assert time.monotonic() < until
            assert child.poll() is None
            time.sleep(0.2)
        os.killpg(child.pid, signal.SIGINT)  # as a terminal does: everybody gets it
        _, errors = child.communicate(timeout=SLACK_S)
        assert child.returncode in (1, 130, -signal.SIGINT)
        assert b"KeyboardInterrupt" in errors
        assert emptied(child.pid, 20)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
    assert len(Store().keys()) == 3
    assert Store().verify() == {}
