"""A data set on its device."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from helpers import probing
from helpers.data import Dataset

# Texts turned into tokens at once: what lies between must fit beside the whole split.
ENCODED = 65_536
# Training images that a network with `prepare_for` sees before its first step.
PREPARED = 5_000


class Inputs:
    """A data set on its device: uint8 rows, labels, and the training set's normalisation.

    Args:
        dataset: The data.
        device: Where they are to lie.
        model: A network whose `encode` turns texts (m, T) into what its `forward` takes; texts
            are then encoded once, here.
    """

    def __init__(
        self, dataset: Dataset, device: torch.device, model: nn.Module | None = None
    ) -> None:
        def put(array: np.ndarray) -> Tensor:
            return torch.tensor(array, device=device)

        encode = getattr(model, "encode", None) if dataset.is_text else None
        self.train, self.test = (
            put(rows) if encode is None else _encoded(encode, rows, device)
            for rows in (dataset.train_inputs, dataset.test_inputs)
        )
        self.train_labels = put(dataset.train_labels)
        self.test_labels = put(dataset.test_labels)
        mean, std = probing.normalisation(dataset.train_inputs)
        self.mean, self.std = put(mean), put(std)

    def sample(self) -> Tensor:
        """Return up to `PREPARED` training images, evenly spaced, as a network sees them."""
        step = -(-len(self.train) // PREPARED)
        return probing.prepare(self.train[::step], self.mean, self.std)


@torch.no_grad()
def _encoded(encode: nn.Module, rows: np.ndarray, device: torch.device) -> Tensor:
    """Encode the texts of a split (n, T) in blocks."""
    parts = range(0, len(rows), ENCODED)
    return torch.cat([encode(torch.tensor(rows[i : i + ENCODED], device=device)) for i in parts])
