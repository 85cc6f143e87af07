"""Checkpoints inside a run: written beside and renamed, read without running anything in them."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
import json
import os
import time
import uuid
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from helpers import device as devices, recipes, samplers
from helpers.data import Dataset
from helpers.training.loop import Loop
from helpers.training.trace import Diary

# A kill costs at most one epoch, or this and the epoch in which it passed.
INTERVAL_S = 20.0
FORMAT = 1
# Kinds of value that `torch.load` does not read: packed under these names.
ARRAY, TORCH, NUMPY, OBJECT = "~array", "~torch", "~numpy", "~object"


class Checkpoint:
    """The place of a run's latest state.

    The file is one line of JSON (what it is, how far, checksum), then what `torch.save` wrote.

    Args:
        path: The file; another process may write the same run there at the same time.
        loop: The run as it is before its first step.
        diary: The trace to be.
        identity: Hash of all that decides the run's numbers, from `identity_of`.
        what: The run in words.
    """

    def __init__(self, path: Path, loop: Loop, diary: Diary, identity: str, what: str) -> None:
        self.path, self.loop, self.diary = Path(path), loop, diary
        self.identity, self.what = identity, what
        self.setup, self.same, self.sittings = setup_of(loop), True, 1
        self.latest, self.told = time.monotonic(), False

    def metrics(self) -> dict[str, object]:
        """Return what a resumed run's metrics say of it; nothing where it ran in one sitting."""
        if self.sittings == 1:
            return {}
        return {"resumed": self.sittings - 1} | ({} if self.same else {"alone": False})

    def save(self) -> None:
        """Write the state if the latest is `INTERVAL_S` old; a full disk is told once."""
        if time.monotonic() - self.latest < INTERVAL_S:
            return
        state = {
            "sittings": self.sittings,
            "same": self.same,
            "setup": self.setup,
            "loop": loop_state(self.loop),
            "diary": packed(vars(self.diary)),
        }
        buffer = io.BytesIO()
        torch.save(state, buffer)
        try:
            self._write(buffer.getbuffer())
        except OSError as error:
            if not self.told:
                why = error.strerror or str(error)
                warnings.warn(f"no checkpoint in {self.path.parent}: {why}", stacklevel=2)
            self.told = True
        self.latest = time.monotonic()

    def _write(self, data: memoryview) -> None:
        head = {"format": FORMAT, "identity": self.identity, "what": self.what}
        head |= {"epochs": [self.diary.epochs, self.loop.recipe.epochs]}
        head["sha256"] = hashlib.sha256(data).hexdigest()
        beside = self.path.with_name(f".{self.path.name}-{os.getpid()}-{uuid.uuid4().hex[:8]}")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with open(beside, "wb") as file:
                file.write(json.dumps(head).encode() + b"\n")
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, self.path)
        finally:
            with contextlib.suppress(OSError):
                beside.unlink(missing_ok=True)

    def resume(self) -> None:
        """Put the run where the file left it; a damaged or foreign file is told and ignored."""
        try:
            state = self._read()
        except FileNotFoundError:
            return
        except Exception as error:  # whatever a broken file makes the readers raise
            why = (str(error).splitlines() or [""])[0] or type(error).__name__
            text = f"checkpoint {self.path.name} is ignored ({why}): training starts anew"
            warnings.warn(text, stacklevel=3)
            return
        for name, value in unpacked(state["diary"]).items():
            setattr(self.diary, name, value)
        restore_loop(self.loop, state["loop"])
        self.sittings = state["sittings"] + 1
        self.same = state["same"] and state["setup"] == self.setup

    def _read(self) -> dict:
        with open(self.path, "rb") as file:
            head, data = json.loads(file.readline()), file.read()
        if head["format"] != FORMAT or head["identity"] != self.identity:
            raise ValueError("it belongs to another run")
        if hashlib.sha256(data).hexdigest() != head["sha256"]:
            raise ValueError("it does not match its checksum")
        return torch.load(io.BytesIO(data), map_location=self.loop.device, weights_only=True)


def setup_of(loop: Loop) -> dict[str, object]:
    """Return what decides a run's seconds and last bits beside its spec."""
    threads, device = torch.get_num_threads(), devices.describe(loop.device)
    return {"device": device, "threads": threads, "torch": str(torch.__version__)}


def identity_of(
    dataset: Dataset, recipe: recipes.Recipe, loop: Loop, seed: int, record_at: tuple[int, ...]
) -> str:
    """Return a hash of all that decides a run's numbers, of the run before its first step.

    The network counts by its layers and its initial numbers, the sampler by its whole state.
    """
    text = json.dumps(
        [FORMAT, dataset.fingerprint, dataclasses.asdict(recipe), seed, record_at, str(loop.model)]
    )
    digest = hashlib.sha256(text.encode())
    feed(digest, packed([type(loop.sampler).__name__, vars(loop.sampler)]))
    feed(digest, dict(loop.model.state_dict()))
    return digest.hexdigest()


def feed(digest: hashlib._Hash, value: object) -> None:
    """Add a tree of plain values and tensors to a hash."""
    if isinstance(value, Tensor):
        digest.update(f"{value.dtype}{tuple(value.shape)}".encode())
        if value.numel():
            flat = value.detach().cpu().contiguous().reshape(-1)
            digest.update(flat.view(torch.uint8).numpy().data)
    elif isinstance(value, dict):
        for name, part in value.items():
            digest.update(f"{name}:".encode())
            feed(digest, part)
    elif isinstance(value, list | tuple):
        for part in value:
            feed(digest, part)
    else:
        digest.update(f"{value!r};".encode())


def loop_state(loop: Loop) -> dict[str, object]:
    """Return what a run needs to go on, as tensors and plain values."""
    parameters = [p for group in loop.optimiser.param_groups for p in group["params"]]
    momenta = [loop.optimiser.state[p].get("momentum_buffer") for p in parameters]
    state = {
        "model": dict(loop.model.state_dict()),
        "momenta": momenta,
        "plan": packed({"order": loop.plan.order, "crops": loop.plan.crops}),
        "sampler": packed(vars(loop.sampler)),
        "counters": [loop.forward, loop.backward, loop.looked],
        "torch": torch.get_rng_state(),
    }
    if loop.device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(loop.device)
    return state


def restore_loop(loop: Loop, state: dict[str, object]) -> None:
    """Put a run where `loop_state` found it."""
    loop.model.load_state_dict(state["model"])
    parameters = [p for group in loop.optimiser.param_groups for p in group["params"]]
    for parameter, saved in zip(parameters, state["momenta"], strict=True):
        if saved is not None:
            # of the parameter's own layout, which fused kernels rely on
            buffer = torch.empty_like(parameter, requires_grad=False).copy_(saved)
            loop.optimiser.state[parameter]["momentum_buffer"] = buffer
    unpack_into(loop.plan, state["plan"])
    unpack_into(loop.sampler, state["sampler"])
    loop.forward, loop.backward, loop.looked = state["counters"]
    torch.set_rng_state(state["torch"].cpu())
    if loop.device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"].cpu(), loop.device)


def packed(value: object) -> object:
    """Turn a value into tensors and plain values that `torch.load` reads without pickled code."""
    if isinstance(value, dict):
        return {name: packed(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(packed(part) for part in value)
    if isinstance(value, np.ndarray):
        return {ARRAY: torch.from_numpy(np.array(value, order="C"))}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, torch.Generator):
        return {TORCH: value.get_state()}
    if isinstance(value, np.random.Generator):
        return {NUMPY: json.dumps(value.bit_generator.state)}
    if isinstance(value, samplers.Fixed | samplers.Adonis):
        return {OBJECT: packed(vars(value))}
    if value is None or isinstance(value, bool | int | float | str | Tensor):
        return value
    raise TypeError(f"a checkpoint cannot hold a {type(value).__name__}")


def unpacked(value: object) -> object:
    """Turn what `packed` made back, generators and samplers left out."""
    if isinstance(value, dict):
        if set(value) == {ARRAY}:
            return value[ARRAY].cpu().numpy()
        return {name: unpacked(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(unpacked(part) for part in value)
    return value


def unpack_into(target: object, state: dict[str, object]) -> None:
    """Give an object the attributes that `packed` took from one of its kind."""
    for name, value in state.items():
        there = getattr(target, name)
        if isinstance(there, torch.Generator):
            there.set_state(value[TORCH].cpu())
        elif isinstance(there, np.random.Generator):
            there.bit_generator.state = json.loads(value[NUMPY])
        elif isinstance(there, samplers.Fixed | samplers.Adonis):
            unpack_into(there, value[OBJECT])
        else:
            found = unpacked(value)
            setattr(target, name, found.to(there.device) if isinstance(there, Tensor) else found)
