"""A data set where a run reads it: on the device, or on the host and sent batch by batch."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from helpers import probing, recipes
from helpers.augmentation import centred
from helpers.data import Dataset, cache
from helpers.data.names import DEFAULT_ROOT

# Share of a GPU's free memory that data may take; the rest is for training.
SHARE = 0.5
# Texts turned into tokens at once: what lies between must fit beside the whole split.
ENCODED = 65_536
# Training images that a network with `prepare_for` sees before its first step, and numbers in all.
PREPARED, PREPARED_NUMBERS = 5_000, 2**26


class Inputs:
    """A data set as a run reads it: uint8 rows, labels, and the training set's normalisation.

    Labels that are numbers become deviations from the training rows' mean; 1 stands for `unit`.

    Rows lie on the device, and on a CPU where the data set has them, a memory map included. Rows
    of which a GPU cannot hold all stay on the host, and those of a minibatch are sent; the
    numbers are the same. Where the model has an `encode`, texts (m, T) go through it once, here;
    images go through frozen layers once for all runs, whose outputs are kept beside decoded images.
    """

    def __init__(
        self, dataset: Dataset, device: torch.device, model: nn.Module | None = None
    ) -> None:
        encode = getattr(model, "encode", None) if dataset.is_text else None
        size = dataset.train_inputs.nbytes + dataset.test_inputs.nbytes
        self.device = device
        self.resident = encode is not None or has_room(device, size)

        def read(rows: np.ndarray) -> Tensor:
            if encode is not None:
                return _encoded(encode, rows, device)
            return shared(rows).to(device) if self.resident else shared(rows)

        if hasattr(model, "encoded"):
            self.resident = True
            self.train, self.test = (part.to(device) for part in frozen(dataset, model, device))
        else:
            self.train, self.test = read(dataset.train_inputs), read(dataset.test_inputs)
        small, self.unit = (dataset.train_labels, dataset.test_labels), 1.0
        if not dataset.class_names:
            mean, self.unit = small[0].mean(), float(small[0].std())
            small = tuple(((own - mean) / self.unit).astype(np.float32) for own in small)
        small += probing.normalisation(dataset.train_inputs)
        self.train_labels, self.test_labels, self.mean, self.std = (
            torch.tensor(array, device=device) for array in small
        )

    def sent(self, rows: Tensor) -> Tensor | None:
        """Return training rows (b,) on the device; `None` where the data lie there anyway."""
        return None if self.resident else placed(self.train[rows], self.device)

    def shown(self, rows: Tensor, recipe: recipes.Recipe) -> Tensor:
        """Return rows of `train` or `test` on the device, as evaluation shows them."""
        return centred(rows.to(self.device), recipe)

    def sample(self, recipe: recipes.Recipe) -> Tensor:
        """Return up to `PREPARED` training images, evenly spaced, as a network sees them."""
        at_once = min(PREPARED, max(PREPARED_NUMBERS // self.train[0].numel(), 1))
        step = -(-len(self.train) // at_once)
        return probing.prepare(self.shown(self.train[::step], recipe), self.mean, self.std)


def has_room(device: torch.device, n_bytes: int) -> bool:
    """Tell whether so many bytes of data can stay on the device beside what trains on them.

    What torch keeps of memory that nobody holds any more, as after an earlier run, counts as free.
    """
    if device.type != "cuda":
        return True
    free, _ = torch.cuda.mem_get_info(device)
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return n_bytes <= SHARE * (free + kept)


def placed(values: Tensor | None, device: torch.device) -> Tensor | None:
    """Move a tensor of the host without making the host wait for the copy."""
    if values is None:
        return None
    if device.type == "cuda":
        return values.pin_memory().to(device, non_blocking=True)
    return values.to(device)


def shared(array: np.ndarray) -> Tensor:
    """Return a tensor that reads an array's own memory; nobody may write to it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*not writable")
        return torch.from_numpy(array)


def frozen(dataset: Dataset, model: nn.Module, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return what a model's frozen layers make of training and test images, float16 (n, ...).

    They are computed once a data set and network and kept on disk, however its rows are divided.
    """
    if dataset.drawn:
        whole, order = dataset.drawn
        every = torch.cat(frozen(whole, model, device))[torch.from_numpy(order)]
        return every[: dataset.n], every[dataset.n :]
    splits = {"train": dataset.train_inputs, "test": dataset.test_inputs}
    about = f"{model.frozen} {model.stamp(device)} {dataset.fingerprint}".encode()

    def encoded(images: np.ndarray) -> Iterator[np.ndarray]:
        for i in range(0, len(images), ENCODED):
            for one in model.encoded(shared(images[i : i + ENCODED]).to(device)):
                yield one.cpu().numpy()

    def decode(write: cache.Write) -> dict:
        for split, images in splits.items():
            rows = encoded(images)
            first = next(rows)
            every = (one.reshape(len(one), -1).view(np.uint8) for one in chain([first], rows))
            write(split, (2 * first[0].size,), every)
        return {"shape": first.shape[1:]}

    where = cache.place(f"{dataset.name} {model.frozen}", Path(dataset.name))
    stamp = hashlib.sha256(about).hexdigest()[:16]
    found, facts = cache.decoded(DEFAULT_ROOT / "cache", where, stamp, decode)
    shape = (-1, *facts["shape"])
    return tuple(shared(found[split].view(np.float16).reshape(shape)) for split in splits)


@torch.no_grad()
def _encoded(encode: nn.Module, rows: np.ndarray, device: torch.device) -> Tensor:
    parts = range(0, len(rows), ENCODED)
    return torch.cat([encode(torch.tensor(rows[i : i + ENCODED], device=device)) for i in parts])
