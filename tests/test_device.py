"""Device names, threads, and that seeding leaves nothing behind."""

import pytest
import torch

from helpers import StudyError, device


def test_unknown_and_missing_devices_are_refused_in_one_line(monkeypatch):
    assert device.pick("cpu") == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for name in ("tpu", "", "CPU", "cuda0", "cuda", "cuda:1"):
        with pytest.raises(StudyError) as caught:
            device.pick(name)
        assert "\n" not in str(caught.value)
        assert repr(name) in str(caught.value)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert device.pick("cuda:1").index == 1
    with pytest.raises(StudyError, match="this machine has 2"):
        device.pick("cuda:2")


def test_threads_follow_the_setting_then_the_image(monkeypatch):
    assert device.threads_for(8 * 8) == 1
    assert device.threads_for(32 * 32) >= 1
    monkeypatch.setenv("STUDY_THREADS", "3")
    assert device.threads_for(8 * 8) == 3
    for asked in ("0", "-1", "two", "1.5"):
        monkeypatch.setenv("STUDY_THREADS", asked)
        with pytest.raises(StudyError, match="STUDY_THREADS"):
            device.threads_for(64)


def test_seeding_repeats_inside_and_leaves_no_trace_outside():
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    drawn = []
    for _ in range(2):
        with device.deterministic(5, threads + 1):
            assert torch.get_num_threads() == threads + 1
            drawn.append(torch.rand(4))
    assert torch.equal(*drawn)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == threads


def flags():
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    return cudnn.deterministic, cudnn.benchmark, cudnn.allow_tf32, matmul.allow_tf32


def test_a_gpu_is_fast_unless_it_must_repeat_and_exact_unless_mixed(monkeypatch):
    before = flags()
    for repeats in (False, True):
        monkeypatch.setenv("STUDY_DETERMINISTIC", "1" if repeats else "")
        for mixed in (False, True):
            with device.deterministic(0, 1, mixed):
                assert flags() == (repeats, not repeats, mixed, mixed)
            assert flags() == before


def test_engines_are_chosen_on_a_gpu_only(monkeypatch):
    gpu, cpu = torch.device("cuda"), torch.device("cpu")
    assert (device.engine(gpu), device.engine(cpu)) == ("plain", "plain")
    for asked in device.ENGINES:
        monkeypatch.setenv("STUDY_ENGINE", asked)
        assert (device.engine(gpu), device.engine(cpu)) == (asked, "plain")
    monkeypatch.setenv("STUDY_ENGINE", "graph")
    with pytest.raises(StudyError, match="STUDY_ENGINE must be one of plain"):
        device.engine(cpu)


def test_visible_gpus_have_the_names_that_the_setting_uses(monkeypatch):
    for there, asked, expected in (
        (0, None, []),
        (0, "0,1", []),
        (3, None, ["0", "1", "2"]),
        (2, "2, 5", ["2", "5"]),
        (1, "MIG-abc", ["MIG-abc"]),
    ):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda there=there: there)
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", asked or "")
        assert device.visible_gpus() == expected
