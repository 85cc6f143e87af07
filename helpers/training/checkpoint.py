"""Checkpoints inside a run: one file of tensors and plain values, replaced atomically."""

from __future__ import annotations

import contextlib
import copy
import io
import os
import time
import warnings
import zipfile
from pathlib import Path

import torch

from helpers import device as devices
from helpers.data.cache import beside
from helpers.training.loop import Loop
from helpers.training.trace import TraceRecorder

# A kill costs at most one epoch, or this and the epoch in which it passed.
INTERVAL_S = 20.0
FORMAT = 3


class Checkpoint:
    """The file that holds a run's latest state; another process may write the same run there too.

    Loop and trace are those of a run before its first step. Each value `about` must be the same
    for a run to go on; `what` among them is the run in words.
    """

    def __init__(self, path: Path, loop: Loop, trace: TraceRecorder, about: dict) -> None:
        self.path, self.loop, self.trace = Path(path), loop, trace
        self.about = {"format": FORMAT, **about}
        self.setup, self.same_setup, self.sessions = setup_of(loop), True, 1
        self.latest, self.warned = time.monotonic(), False

    def metrics(self) -> dict[str, object]:
        """Return what a resumed run's metrics say of it; nothing where it ran without a break."""
        if self.sessions == 1:
            return {}
        return {"resumed": self.sessions - 1} | ({} if self.same_setup else {"alone": False})

    def save(self) -> None:
        """Write the state if the latest is `INTERVAL_S` old; an error is warned of once."""
        if time.monotonic() - self.latest < INTERVAL_S:
            return
        try:
            with beside(self.path) as file:
                torch.save(self._state(), file)
        except (OSError, RuntimeError) as error:  # torch.save raises the latter on a full disk
            if not self.warned:
                why = getattr(error, "strerror", None) or str(error).splitlines()[0]
                warnings.warn(f"no checkpoint in {self.path.parent}: {why}", stacklevel=2)
            self.warned = True
        self.latest = time.monotonic()

    def resume(self) -> None:
        """Put the run where the file left it; a file that does not fit is set aside."""
        if not self.path.exists():
            return
        before = copy.deepcopy(self._state())
        try:
            self._restore(_read(self.path.read_bytes()))
        except Exception as error:  # whatever a damaged or foreign file raises on its way
            self._restore(before)
            why = (str(error).splitlines() or [""])[0] or type(error).__name__
            aside = self.path.with_suffix(".unfit")
            with contextlib.suppress(OSError):
                os.replace(self.path, aside)
            text = f"checkpoint {self.path} does not fit ({why}): kept as {aside.name}"
            warnings.warn(f"{text}, training starts anew", stacklevel=3)
            return
        self.sessions += 1

    def _state(self) -> dict[str, object]:
        return {
            "about": self.about,
            "done": self.trace.epochs,
            "sessions": self.sessions,
            "setup": self.setup,
            "same_setup": self.same_setup,
            "loop": self.loop.state_dict(),
            "trace": self.trace.state_dict(),
        }

    def _restore(self, state: dict[str, object]) -> None:
        if state["about"] != self.about:
            raise ValueError("it belongs to another run")
        self.loop.load_state_dict(state["loop"])
        self.trace.load_state_dict(state["trace"])
        if self.trace.epochs != state["done"]:
            raise ValueError("its trace has another length")
        self.sessions = int(state["sessions"])
        self.same_setup = state["same_setup"] and state["setup"] == self.setup


def peek(path: Path) -> tuple[str, int, int]:
    """Return a checkpoint's run in words, epochs done and epochs in all; no tensor is read.

    Raises:
        Exception: Of any kind, if the file is no checkpoint.
    """
    state = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    return state["about"]["what"], state["done"], state["about"]["epochs"]


def setup_of(loop: Loop) -> dict[str, object]:
    """Return what decides a run's seconds and last bits beside its spec."""
    threads, device = torch.get_num_threads(), devices.describe(loop.device)
    return {"device": device, "threads": threads, "torch": str(torch.__version__)}


def _read(content: bytes) -> dict[str, object]:
    """Read what `torch.save` wrote, checked by the zip's own CRC, which `torch.load` is not."""
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        if file.testzip() is not None:
            raise ValueError("it is damaged")
    return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
