"""Device, threads, seeds and determinism: the only place that touches them."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
from collections.abc import Iterator

import torch

from helpers import StudyError

TINY_PIXELS = 16 * 16
ENGINES = ("plain", "compile")


def pick(name: str = "auto") -> torch.device:
    """Turn `"auto"`, `"cpu"`, `"cuda"`, `"cuda:1"` or `"mps"` into a device.

    Raises:
        StudyError: If the device is unknown or not on this machine.
    """
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    mps = torch.backends.mps.is_available()
    if name == "auto":
        return torch.device("cuda" if gpus else "mps" if mps else "cpu")
    asked = re.fullmatch(r"(cpu|cuda|mps)(?::(0|[1-9]\d*))?", name)
    if not asked:
        raise StudyError(f"device must be auto, cpu, cuda, cuda:N or mps, got {name!r}")
    there = {"cpu": 1, "cuda": gpus, "mps": mps}[asked[1]]
    if int(asked[2] or 0) >= there:
        raise StudyError(
            f"device {name!r} is not available: this machine has {int(there)}; "
            "--device auto or cpu will run"
        )
    return torch.device(name)


def describe(device: torch.device) -> str:
    """Say what the device is, for the results: `cpu` or the GPU's own name."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def bfloat16_pays(device: torch.device) -> bool:
    """Tell whether bf16 arithmetic is done in hardware.

    Note:
        A CPU without AVX-512 bf16 or AMX emulates it, ten times slower than float32 (measured).
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    if device.type == "cpu":
        return bool(getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)())
    return False


def threads_for(pixels: int) -> int:
    """Return how many CPU threads a run on images of this many pixels should use.

    `$STUDY_THREADS` wins. On 8x8 images one thread beat two by a third in a trial: the work
    of an operation is smaller than the cost of sharing it.
    """
    asked = os.environ.get("STUDY_THREADS", "")
    if asked and not re.fullmatch(r"0*[1-9][0-9]*", asked):
        raise StudyError(f"STUDY_THREADS must be a whole number from 1 up, got {asked!r}")
    if asked:
        return int(asked)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return 1 if pixels <= TINY_PIXELS else max(1, cores or 1)


def engine(device: torch.device) -> str:
    """Return how training steps are taken there: `plain`, or `compile` (`torch.compile`).

    `$STUDY_ENGINE` chooses on a CUDA GPU. Elsewhere steps are plain: on a CPU compiling cost more
    than it gained in a trial.
    """
    asked = os.environ.get("STUDY_ENGINE") or "plain"
    if asked not in ENGINES:
        raise StudyError(f"STUDY_ENGINE must be one of {', '.join(ENGINES)}, got {asked!r}")
    return asked if device.type == "cuda" else "plain"


def visible_gpus() -> list[str]:
    """Return the CUDA GPUs that this process may use, as `CUDA_VISIBLE_DEVICES` names them."""
    asked = os.environ.get("CUDA_VISIBLE_DEVICES")
    if not torch.cuda.is_available():
        return []
    if asked:
        return [name.strip() for name in asked.split(",") if name.strip()]
    return [str(i) for i in range(torch.cuda.device_count())]


def reuse_memory() -> None:
    """Ask glibc to keep freed memory instead of giving it back to the system after each step.

    Without it an epoch of ResNet20 had three times the page faults, and every one of six pairs of
    runs took more processor time (0.4 to 36 %). Elsewhere than on glibc nothing happens.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    trim_threshold, mmap_threshold = -1, -3
    mallopt(mmap_threshold, 1 << 30)
    mallopt(trim_threshold, (1 << 31) - 1)


@contextlib.contextmanager
def deterministic(seed: int, threads: int, mixed: bool = False) -> Iterator[None]:
    """Seed torch and fix its thread count inside the block; restore both after it.

    On a CPU everything repeats bit for bit. A GPU times its convolutions and takes the fastest,
    unless `$STUDY_DETERMINISTIC` is set.

    With `mixed`, a GPU may round the factors of float32 products to TF32.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    reuse_memory()
    repeats = bool(os.environ.get("STUDY_DETERMINISTIC"))
    flags = _set_flags((repeats, not repeats, mixed, mixed))
    try:
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(before)
        _set_flags(flags)


def _set_flags(values: tuple[bool, ...]) -> tuple[bool, ...]:
    """Set cudnn's determinism, its timing of kernels, TF32 there and in cuBLAS; return the old."""
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    old = cudnn.deterministic, cudnn.benchmark, cudnn.allow_tf32, matmul.allow_tf32
    cudnn.deterministic, cudnn.benchmark, cudnn.allow_tf32, matmul.allow_tf32 = values
    return old
