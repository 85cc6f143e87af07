"""What a training run leaves behind: history, bits of every example, recorded scores."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from helpers import probing

RECORDED = ("confidence", "margin", "entropy", "el2n", "grad_norm")
HISTORY = ("loss", "train_{}", "test_{}", "seconds", "forward", "backward")


@dataclass
class Run:
    """What a training run left behind.

    Attributes:
        model: The trained network, on its device.
        history: A list an epoch: `loss` (nats), `train_acc`, `test_acc` (fractions; `None` where
            it was not evaluated), `seconds` (cumulative, without evaluation and trace), `forward`
            and `backward` (cumulative example counts; forward counts passes spent on choosing too).
            Where targets are numbers, `train_rmse` and `test_rmse` in their unit, and a `loss` in
            squares of their deviation.
        trace: `visited` and `correct` (epochs, ceil(n/8)) packed bits; `recorded_epochs` (r,)
            and for each the scores in `RECORDED` (r, n) float16; at the last recorded epoch
            `logits` (n, c) and `features` (n, d) float16; `sampler_*` as the sampler logged.
            Where targets are numbers, `correct` means nothing, and of `RECORDED` there is none.
        metrics: Final accuracies (RMSE), seconds (of all sessions), device, threads, rows trained
            on; where the run went on from a checkpoint, `resumed` says how often, and `alone` is
            false where the sessions differed in device, thread count or torch.
    """

    model: nn.Module
    history: dict[str, list[float]]
    trace: dict[str, np.ndarray]
    metrics: dict[str, object] = field(default_factory=dict)

    @property
    def correct(self) -> np.ndarray:
        """Whether an example was right when its minibatch came, (epochs, n) bool."""
        return self._unpacked("correct")

    @property
    def visited(self) -> np.ndarray:
        """Whether an epoch trained on the example, (epochs, n) bool."""
        return self._unpacked("visited")

    def _unpacked(self, name: str) -> np.ndarray:
        return np.unpackbits(self.trace[name], axis=1, count=self.metrics["n"]).astype(bool)


class TraceRecorder:
    """The trace while it grows.

    Attributes:
        history: As in `Run`.
        bits: `visited` and `correct`: packed bits (ceil(n/8),) an epoch.
        recorded: Scores (n,) by name, one entry a recorded epoch.
        seconds: Spent on training so far.
    """

    def __init__(self, measure: str = "acc") -> None:
        self.measure = measure
        names = [name.format(measure) for name in HISTORY]
        self.history: dict[str, list[float | None]] = {name: [] for name in names}
        self.bits: dict[str, list[np.ndarray]] = {"visited": [], "correct": []}
        self.recorded: list[dict[str, np.ndarray]] = []
        self.seconds = 0.0

    @property
    def epochs(self) -> int:
        """Number of epochs done."""
        return len(self.history["loss"])

    def add(self, row: tuple[float | None, ...], visited: Tensor, correct: Tensor) -> None:
        """Note an epoch: one value for each name in `HISTORY`, and two masks (n,) bool."""
        for column, value in zip(self.history.values(), row, strict=True):
            column.append(value)
        for name, mask in (("visited", visited), ("correct", correct)):
            self.bits[name].append(np.packbits(mask.cpu().numpy()))

    def trace(self, record_at: tuple[int, ...]) -> dict[str, np.ndarray]:
        """Return the arrays of a finished run."""
        trace = {name: np.stack(rows) for name, rows in self.bits.items()}
        if self.recorded:
            trace["recorded_epochs"] = np.array(record_at, np.int32)
            scored = [name for name in RECORDED if name in self.recorded[-1]]
            trace |= {name: np.stack([r[name] for r in self.recorded]) for name in scored}
            trace |= {name: self.recorded[-1][name] for name in ("logits", "features")}
        return trace

    def metrics(self) -> dict[str, object]:
        """Return the numbers that sum up a finished run."""
        reached = (f"{part}_{self.measure}" for part in ("test", "train"))
        return {
            **{name: self.history[name][-1] for name in reached},
            "seconds": self.seconds,
            "n_train": int(max(np.unpackbits(b).sum() for b in self.bits["visited"])),
        }

    def state_dict(self) -> dict[str, object]:
        """Return all of it as tensors and plain values."""
        return {
            "history": self.history,
            "bits": {k: [torch.from_numpy(v) for v in rows] for k, rows in self.bits.items()},
            "recorded": [{k: torch.from_numpy(v) for k, v in r.items()} for r in self.recorded],
            "seconds": self.seconds,
        }

    def load_state_dict(self, state: dict[str, object]) -> None:
        """Take over what `state_dict` returned."""
        columns = [*state["history"].values(), *state["bits"].values()]
        if set(state["history"]) != set(self.history) or len({len(c) for c in columns}) != 1:
            raise ValueError("its trace is incomplete")
        self.history = {name: list(state["history"][name]) for name in self.history}
        self.bits = {k: [v.numpy() for v in state["bits"][k]] for k in self.bits}
        self.recorded = [{k: v.numpy() for k, v in r.items()} for r in state["recorded"]]
        self.seconds = state["seconds"]


def scores_of(
    logits: Tensor, features: Tensor, labels: Tensor, last: bool
) -> dict[str, np.ndarray]:
    """Score every row from logits (n, c) and features (n, d); both are kept when it is the last."""
    scores: dict[str, Tensor] = {}
    if not labels.is_floating_point():
        probs = F.softmax(logits, dim=1)
        top = probs.topk(2, dim=1).values
        scores = {
            "confidence": top[:, 0],
            "margin": top[:, 0] - top[:, 1],
            "entropy": torch.special.entr(probs).sum(dim=1),
            "el2n": probing.last_layer_errors(logits, labels).norm(dim=1),
            "grad_norm": probing.last_layer_norms(logits, features, labels),
        }
    if last:
        scores |= {"logits": logits, "features": features}
    return {name: value.cpu().numpy().astype(np.float16) for name, value in scores.items()}
