"""A training step recorded once and replayed: a CUDA graph spares the host a launch a kernel."""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from helpers.training.plan import Minibatch

if TYPE_CHECKING:
    from helpers.training.loop import Loop

# Steps taken before the recording: libraries choose their kernels, momentum comes into being.
WARM_UP = 3
# Largest difference between a replayed and a plain step, as a share of the step's own length.
TOLERANCE = 0.1


def replayed(loop: Loop, engine: str) -> Replayed | None:
    """Return what replays a run's training steps, or `None` where they are taken plainly.

    Args:
        loop: The run.
        engine: `"plain"`, `"graph"` (recorded and replayed) or `"compile"` (`torch.compile`d,
            then recorded too).
    """
    if engine == "plain":
        return None
    if engine == "compile":
        loop.network = Compiled(loop.model)
    for group in loop.optimiser.param_groups:
        group["lr"] = torch.tensor(float(group["lr"]), device=loop.device)
    return Replayed(loop)


class Compiled:
    """A compiled network that turns back into the plain one where compiling fails."""

    def __init__(self, model: nn.Module) -> None:
        self.model, self.compiled = model, torch.compile(model)

    def __call__(self, x: Tensor) -> Tensor:
        """Map a batch to logits."""
        if self.compiled is not None:
            try:
                return self.compiled(x)
            except torch.OutOfMemoryError:
                raise
            except Exception as error:  # the compiler's errors have no common class
                say("compiled", error)
                self.compiled = None
        return self.model(x)


class Replayed:
    """Full minibatches by replaying a recorded step; smaller ones by the plain step.

    The first replay is checked against the plain step from the same state. Where the recording
    fails or the two differ, one warning says so and the run goes on with plain steps.

    Args:
        loop: The run whose `step` is recorded; not held, or its memory would wait for Python's
            collector of cycles.
        record: Turns a function into one that repeats its device work; a CUDA graph by default.
    """

    def __init__(
        self,
        loop: Loop,
        record: Callable[[Callable[[], None]], Callable[[], None]] | None = None,
    ) -> None:
        self.loop, self.record = weakref.proxy(loop), record or cuda_graph
        self.seen, self.failed = 0, False
        self.fixed: Minibatch | None = None
        self.replay: Callable[[], None] | None = None

    def __call__(self, batch: Minibatch) -> None:
        """Take one training step."""
        if self.failed or len(batch.rows) != self.loop.recipe.batch:
            self.loop.plain(batch)
        elif self.seen < WARM_UP:
            self.seen += 1
            aside(self.loop.device, lambda: self.loop.plain(batch))
        elif self.replay is None:
            self.begin(batch)
        else:
            self.go(batch)

    def go(self, batch: Minibatch) -> None:
        """Put a minibatch where the recording reads it, and replay."""
        for there, here in zip(_tensors(self.fixed), _tensors(batch), strict=True):
            there.copy_(here, non_blocking=True)
        self.loop.set_rate(batch.rate)
        self.replay()

    def begin(self, batch: Minibatch) -> None:
        """Record the step and take this minibatch with it, or go on plainly."""
        self.fixed = _copied(batch)
        before = self.kept()
        try:
            self.replay = self.record(lambda: self.loop.step(self.fixed))
            if not self.agrees(batch, before):
                raise RuntimeError("a replayed step differs from a plain one")
        except RuntimeError as error:
            self.failed, self.replay, self.fixed = True, None, None
            say("recorded as a CUDA graph", error)
            self.restore(before)
            self.loop.plain(batch)

    def agrees(self, batch: Minibatch, before: list[Tensor]) -> bool:
        """Take the step plainly, then replayed, and compare; the replayed one stays.

        Dropout draws anew in each, so that a network with it is only checked for finite numbers.
        """
        self.loop.plain(batch)
        expected = self.kept()
        self.restore(before)
        self.go(batch)
        found, draws = self.state(), any(getattr(m, "p", 0) for m in self.loop.model.modules())
        for name in ("parameters", "buffers", "momenta", "total"):
            moved = _distance(expected[name], before[name])
            apart = _distance(found[name], expected[name])
            if not (bool(torch.isfinite(apart)) if draws else bool(apart <= TOLERANCE * moved)):
                return False
        return True

    def state(self) -> dict[str, list[Tensor]]:
        """Return the tensors that a step changes, by what they are."""
        loop = self.loop
        momenta = [v for s in loop.optimiser.state.values() for v in s.values()]
        return {
            "parameters": [value.detach() for value in loop.model.parameters()],
            "buffers": list(loop.model.buffers()),
            "momenta": [value for value in momenta if isinstance(value, Tensor)],
            "total": [loop.total],
            "bits": [loop.visited, loop.correct],
        }

    def kept(self) -> dict[str, list[Tensor]]:
        """Return a copy of the state."""
        return {name: [v.clone() for v in values] for name, values in self.state().items()}

    def restore(self, before: dict[str, list[Tensor]]) -> None:
        """Undo a step."""
        for name, values in self.state().items():
            for value, old in zip(values, before[name], strict=True):
                value.copy_(old)


def cuda_graph(function: Callable[[], None]) -> Callable[[], None]:
    """Record a function's kernels as a CUDA graph and return its replay."""
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        function()
    return graph.replay


def aside(device: torch.device, function: Callable[[], None]) -> None:
    """Run a function on a stream of its own, as CUDA wants it before a recording."""
    if device.type != "cuda":
        function()
        return
    stream, main = torch.cuda.Stream(device), torch.cuda.current_stream(device)
    stream.wait_stream(main)
    with torch.cuda.stream(stream):
        function()
    main.wait_stream(stream)


def say(what: str, error: Exception) -> None:
    """Warn in one line that the run goes on with plain steps."""
    why = (str(error).splitlines() or [""])[0] or type(error).__name__
    warnings.warn(f"the training step could not be {what} ({why}): plain steps", stacklevel=2)


def _tensors(batch: Minibatch) -> list[Tensor]:
    """Return the tensors of a minibatch in a fixed order."""
    everything = (batch.rows, *batch.draws, batch.shares, batch.inputs)
    return [v for v in everything if v is not None]


def _copied(batch: Minibatch) -> Minibatch:
    """Return a minibatch in memory of its own."""

    def copy(value: Tensor | None) -> Tensor | None:
        return None if value is None else value.clone()

    draws = type(batch.draws)(*map(copy, batch.draws))
    shares, inputs = copy(batch.shares), copy(batch.inputs)
    return Minibatch(batch.rows.clone(), draws, shares, batch.rate, inputs)


def _distance(some: list[Tensor], others: list[Tensor]) -> Tensor:
    """Return the Euclidean distance of the floating-point tensors in two lists."""
    pairs = [(a, b) for a, b in zip(some, others, strict=True) if a.is_floating_point()]
    if not pairs:
        return torch.zeros(())
    return torch.stack([(a - b).square().sum() for a, b in pairs]).sum().sqrt()
