"""Whether data fit on a device, and what to say when a training step does not."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch

from helpers import device as devices

if TYPE_CHECKING:
    from helpers.training.loop import Loop


# Share of a GPU's free memory that data may take; the rest is for training.
SHARE = 0.5


def has_room(device: torch.device, n_bytes: int) -> bool:
    """Tell whether so many bytes of data can stay on the device beside what trains on them.

    What torch keeps of memory that nobody holds any more, as after an earlier run, counts as free.
    """
    if device.type != "cuda":
        return True
    free, _ = torch.cuda.mem_get_info(device)
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return n_bytes <= SHARE * (free + kept)


def largest_batch(attempt: Callable[[int], None], batch: int) -> int:
    """Return the first of batch, batch / 2, ... that an attempt has memory for, or 0.

    Args:
        attempt: Does a training step's work on that many examples.
        batch: Where to start; nothing below 2 is tried, a batch norm needs two examples.
    """
    while batch >= 2:
        if _fits(attempt, batch):
            return batch
        batch //= 2
    return 0


def _fits(attempt: Callable[[int], None], batch: int) -> bool:
    try:
        attempt(batch)
    except torch.OutOfMemoryError:
        fits = False
    else:
        fits = True
    # after the handler: the error's traceback holds the tensors of the failed attempt
    free()
    return fits


def free() -> None:
    """Give back what nobody holds any more."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def advice(loop: Loop) -> str:
    """Say in one line which batch fits, found by trying; the run is lost, its state may change."""
    loop.optimiser.zero_grad(set_to_none=True)
    loop.replayed = None  # a recorded step holds memory of its own
    free()

    def attempt(batch: int) -> None:
        rows = torch.arange(batch, device=loop.device) % len(loop.data.train_labels)
        draws, inputs = loop.plan.draws(batch), loop.data.sent(rows.cpu())
        labels = loop.data.train_labels[rows]
        try:
            loop.loss(loop.logits(rows, draws, inputs), labels, None).backward()
        finally:
            loop.optimiser.zero_grad(set_to_none=True)

    batch, recipe = loop.recipe.batch, loop.recipe.name
    fits = largest_batch(attempt, batch)
    start = f"{devices.describe(loop.device)} is out of memory for {type(loop.model).__name__}"
    if fits == batch:
        return f"{start}: batch {batch} fits by itself, so free the device of other programs"
    if not fits:
        return f"{start}: not even 2 examples fit; take a smaller network or --device cpu"
    return (
        f"{start}: batch {batch} of recipe {recipe} does not fit, batch {fits} does; "
        "take a recipe with such a batch, a smaller network or --device cpu"
    )
