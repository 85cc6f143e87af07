"""A data set where a run reads it: on the device, or on the host and sent batch by batch."""

from __future__ import annotations

import warnings

import numpy as np
import torch
from torch import Tensor, nn

from helpers import probing, recipes
from helpers.augmentation import centred
from helpers.data import Dataset
from helpers.training import memory

# Texts turned into tokens at once: what lies between must fit beside the whole split.
ENCODED = 65_536
# Training images that a network with `prepare_for` sees before its first step, and numbers in all.
PREPARED, PREPARED_NUMBERS = 5_000, 2**26


class Inputs:
    """A data set as a run reads it: uint8 rows, labels, and the training set's normalisation.

    Rows lie on the device, and on a CPU where the data set has them, a memory map included. Rows
    of which a GPU cannot hold all stay on the host (`resident` is false), and those of a minibatch
    are sent; the numbers are the same.

    Args:
        dataset: The data.
        device: Where the run computes.
        model: A network whose `encode` turns texts (m, T) into what its `forward` takes; texts
            are then encoded once, here, on the device.
        resident: Whether the rows lie on the device; by default where they fit.
    """

    def __init__(
        self,
        dataset: Dataset,
        device: torch.device,
        model: nn.Module | None = None,
        resident: bool | None = None,
    ) -> None:
        encode = getattr(model, "encode", None) if dataset.is_text else None
        size = sum(array.nbytes for array in (dataset.train_inputs, dataset.test_inputs))
        self.device = device
        if resident is None:
            resident = encode is not None or memory.has_room(device, size)
        self.resident = resident

        def put(array: np.ndarray) -> Tensor:
            return torch.tensor(array, device=device)

        def read(rows: np.ndarray) -> Tensor:
            if encode is not None:
                return _encoded(encode, rows, device)
            return shared(rows).to(device) if resident else shared(rows)

        self.train, self.test = read(dataset.train_inputs), read(dataset.test_inputs)
        self.post = None if resident else Post(self.train, device)
        self.train_labels = put(dataset.train_labels)
        self.test_labels = put(dataset.test_labels)
        mean, std = probing.normalisation(dataset.train_inputs)
        self.mean, self.std = put(mean), put(std)

    def sent(self, rows: Tensor) -> Tensor | None:
        """Return training rows, by their numbers (b,) on the host, on the device.

        `None` where the rows lie there anyway. What it returned holds until the next but one call.
        """
        return None if self.post is None else self.post(rows)

    def shown(self, rows: Tensor, recipe: recipes.Recipe | None = None) -> Shown:
        """Return rows of `train` or `test` as evaluation shows them, to be read slice by slice."""
        return Shown(rows, self.device, self.resident, recipe)

    def sample(self, recipe: recipes.Recipe | None = None) -> Tensor:
        """Return up to `PREPARED` training images, evenly spaced, as a network sees them."""
        at_once = min(PREPARED, max(PREPARED_NUMBERS // self.train[0].numel(), 1))
        step = -(-len(self.train) // at_once)
        images = self.shown(self.train, recipe)[::step]
        return probing.prepare(images, self.mean, self.std)


class Post:
    """Sends rows of the host to the device through two buffers in turn.

    The host gathers the next minibatch while the device works on the one before, and is never
    further ahead: what it has gathered would fill its memory.

    Args:
        rows: On the host, (n, ...).
        device: Where they are wanted.
    """

    def __init__(self, rows: Tensor, device: torch.device) -> None:
        self.rows, self.device, self.turn = rows, device, 0
        self.buffers: list[Tensor] = [rows.new_empty(0), rows.new_empty(0)]
        self.copied: list[torch.cuda.Event | None] = [None, None]

    def __call__(self, chosen: Tensor) -> Tensor:
        """Return rows by their numbers (b,) on the device."""
        self.turn = turn = 1 - self.turn
        if self.copied[turn] is not None:
            self.copied[turn].synchronize()
        is_cuda = self.device.type == "cuda"
        if len(self.buffers[turn]) < len(chosen):
            shape = (len(chosen), *self.rows.shape[1:])
            self.buffers[turn] = torch.empty(shape, dtype=self.rows.dtype, pin_memory=is_cuda)
        part = self.buffers[turn][: len(chosen)]
        torch.index_select(self.rows, 0, chosen, out=part)
        found = part.to(self.device, non_blocking=is_cuda)
        if is_cuda:
            self.copied[turn] = torch.cuda.Event()
            self.copied[turn].record(torch.cuda.current_stream(self.device))
        return found


class Shown:
    """Rows as evaluation shows them, made a slice at a time: on the device, and centred.

    Args:
        rows: Images or texts (n, ...), on the device where they are resident.
        device: Where they are wanted.
        resident: Whether they are there.
        recipe: Whose evaluation; `None` shows the rows as they are.
    """

    def __init__(
        self,
        rows: Tensor,
        device: torch.device,
        resident: bool,
        recipe: recipes.Recipe | None,
    ) -> None:
        self.rows, self.recipe = rows, recipe
        self.post = None if resident else Post(rows, device)

    def __len__(self) -> int:
        """Return n."""
        return len(self.rows)

    def __getitem__(self, part: slice) -> Tensor:
        """Return some of the rows."""
        if self.post is None:
            found = self.rows[part]
        else:
            found = self.post(torch.arange(len(self.rows))[part])
        return found if self.recipe is None else centred(found, self.recipe)


def shared(array: np.ndarray) -> Tensor:
    """Return a tensor that reads an array's own memory; nobody may write to it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*not writable")
        return torch.from_numpy(array)


@torch.no_grad()
def _encoded(encode: nn.Module, rows: np.ndarray, device: torch.device) -> Tensor:
    """Encode the texts of a split (n, T) in blocks."""
    parts = range(0, len(rows), ENCODED)
    return torch.cat([encode(torch.tensor(rows[i : i + ENCODED], device=device)) for i in parts])
