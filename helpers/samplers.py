"""Which examples an epoch trains on: fixed subsets, the EASY to HARD switch, ADONIS, SB.

A sampler is a class here and a line in `SAMPLERS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from helpers import StudyError
from helpers.histograms import accepted_bins, is_accepted, n_bins

Losses = Callable[[Tensor], Tensor]
Scored = Callable[[Tensor], tuple[np.ndarray, np.ndarray]]


class Batch(NamedTuple):
    """One training step: `rows` (b,) int64, how much of the epoch is done after it, weights."""

    rows: Tensor
    progress: float
    weights: Tensor | None = None


class Sampler:
    """What decides the rows of every epoch; a subclass needs `rows_at`, all else has defaults.

    Attributes:
        same_rows: Whether every epoch visits the same rows.
        weights: Of the rows of `rows_at` (k,), mean 1; `None` for the plain mean.
    """

    same_rows = False
    weights: Tensor | None = None

    def begin(self, epoch: int, scored: Scored) -> None:
        """Get ready for an epoch; `scored` gives logits (b, c) and features (b, d) of rows (b,)."""

    def rows_at(self, epoch: int) -> Tensor:
        """Return the rows (k,) int64 that this epoch chooses from."""
        raise NotImplementedError

    def batches(
        self, epoch: int, size: int, generator: torch.Generator, losses: Losses
    ) -> Iterator[Batch]:
        """Yield the epoch's batches of `size`, here all of its rows in a new random order.

        Epochs count from 0, the generator is that of the run's order, on the host, and `losses`
        gives the losses (b,) of rows (b,), for a sampler that looks at them.
        """
        rows = self.rows_at(epoch)
        order = torch.randperm(len(rows), generator=generator)
        for start in range(0, len(order), size):
            some = order[start : start + size]
            weights = None if self.weights is None else self.weights[some]
            yield Batch(rows[some], min(1.0, (start + size) / len(order)), weights)

    def log(self) -> dict[str, np.ndarray]:
        """Return what the sampler recorded, name to array."""
        return {}

    def state_dict(self) -> dict[str, object]:
        """Return what changed since the start as tensors and plain values, for a checkpoint."""
        return {}

    def load_state_dict(self, state: dict[str, object]) -> None:
        """Go on from where `state_dict` was taken."""


class Fixed(Sampler):
    """The same rows every epoch; with weights (k,) >= 0 where given."""

    same_rows = True

    def __init__(self, rows: np.ndarray, weights: np.ndarray | None = None) -> None:
        self.rows = _checked_rows(rows)
        self.weights = None if weights is None else _checked_weights(weights, len(self.rows))

    def rows_at(self, epoch: int) -> Tensor:
        """Return the rows (k,)."""
        return self.rows


def _checked_rows(rows: np.ndarray) -> Tensor:
    rows = np.asarray(rows)
    if rows.ndim != 1 or not len(rows):
        raise StudyError(f"a sampler needs at least one row to train on, got {rows.shape}")
    if not np.issubdtype(rows.dtype, np.integer) or rows.min() < 0:
        # a mask or a negative number would silently train on other rows
        raise StudyError(f"a sampler needs row numbers from 0 up, got {rows.dtype}: {rows[:3]}")
    return torch.as_tensor(rows, dtype=torch.int64)


def _checked_weights(weights: np.ndarray, k: int) -> Tensor:
    weights = np.asarray(weights, dtype=np.float64)
    fits = weights.shape == (k,) and np.isfinite(weights).all()
    if not (fits and weights.min() >= 0 and weights.any()):
        raise StudyError(f"weights must be ({k},), finite, not negative and not all 0")
    return torch.as_tensor(weights / weights.mean(), dtype=torch.float32)


class Switch(Sampler):
    """EASY rows up to and including epoch `switch_at`, HARD rows afterwards (epochs from 1).

    Source: `adonis` Algorithm 2 (gamma is `switch_at`).
    """

    def __init__(self, easy: np.ndarray, hard: np.ndarray, switch_at: int) -> None:
        self.easy, self.hard = _checked_rows(easy), _checked_rows(hard)
        self.switch_at = switch_at

    def rows_at(self, epoch: int) -> Tensor:
        """Return EASY rows before the switch and HARD ones after it."""
        return self.easy if epoch < self.switch_at else self.hard


class Redrawn(Sampler):
    """A new random part of the rows every epoch, drawn without looking at any example.

    An epoch trains on the share `keep` of the rows, in (0, 1]. Its draw depends on the seed and the
    epoch alone, so that a resumed run needs no state of this sampler.

    Source: Okanovic et al. (2023), arXiv:2305.18424, repeated random sampling (RS2).

    Note: an epoch's rows are distinct, and may come again in the next epoch: RS2 "with
    replacement" between epochs.
    """

    def __init__(self, rows: np.ndarray, keep: float, seed: int) -> None:
        self.rows = _checked_rows(rows)
        if not 0 < keep <= 1:
            raise StudyError(f"keep must lie in (0, 1], got {keep!r}")
        self.k, self.seed = max(1, round(keep * len(self.rows))), seed

    def rows_at(self, epoch: int) -> Tensor:
        """Return the rows (k,) drawn for this epoch, in ascending places."""
        rng = np.random.default_rng([self.seed, epoch])
        places = np.sort(rng.choice(len(self.rows), self.k, replace=False))
        return self.rows[torch.as_tensor(places)]


class Reselected(Sampler):
    """GRAD-MATCH's rows and weights, chosen anew at even intervals by the network as it stands.

    Args:
        rows: Training rows (m,) to choose from.
        labels: Of all training rows (n,).
        keep: Share of the rows that an epoch trains on, in (0, 1].
        every: Epochs from one choice to the next (R of `geda`).
        seed: Of draws.
        start: What the first `every` epochs train on: GRAD-MATCH's rows too (""), or a warm
            start by "geda" or on all rows ("full").

    Source: Killamsetty et al. (2021), arXiv:2103.00123, Algorithm 1, by last-layer gradients in
        every class; `geda` sections 5.5 and 6.3.
    """

    def __init__(
        self, rows: np.ndarray, labels: np.ndarray, keep: float, every: int, seed: int,
        start: str = "",
    ) -> None:  # fmt: skip
        self.all, self.labels = _checked_rows(rows), np.asarray(labels)
        if not 0 < keep <= 1 or every < 1 or start not in ("", "geda", "full"):
            raise StudyError(
                "grad-match needs keep in (0, 1], every >= 1 and start geda, full or none, "
                f"got {keep!r}, {every!r}, {start!r}"
            )
        self.k, self.every = max(1, round(keep * len(self.all))), every
        self.seed, self.start, self.now = seed, start, self.all

    def begin(self, epoch: int, scored: Scored) -> None:
        """Choose where it is time to."""
        if epoch % self.every == 0:
            method = self.start if epoch == 0 and self.start else "grad-match"
            self.now, self.weights = self.all, None
            if method != "full":
                self.now, self.weights = self._chosen(method, *scored(self.all))

    def _chosen(
        self, method: str, logits: np.ndarray, features: np.ndarray
    ) -> tuple[Tensor, Tensor | None]:
        from helpers.selection import registry  # SciPy, which training needs not
        from helpers.selection.gradients import last_layer_gradients

        probs = torch.softmax(torch.as_tensor(logits, dtype=torch.float64), dim=1).numpy()
        labels = self.labels[self.all.numpy()]
        if method == "geda":
            gradients = last_layer_gradients(probs, labels, features)
            pool = registry.Pool(labels=labels, norms=np.linalg.norm(gradients, axis=1))
            method = "geda-random"
        else:
            pool = registry.Pool(labels=labels, probs=probs, features=features)
        picked, weights = registry.pick(method, pool, self.k, self.seed)
        if weights is None:
            return self.all[torch.as_tensor(picked)], None
        picked, weights = picked[weights > 0], weights[weights > 0]
        return self.all[torch.as_tensor(picked)], _checked_weights(weights, len(picked))

    def rows_at(self, epoch: int) -> Tensor:
        """Return the rows chosen last; all of them before the first choice."""
        return self.now

    def state_dict(self) -> dict[str, object]:
        """Return the rows chosen last and their weights."""
        return {"now": self.now, "weights": self.weights}

    def load_state_dict(self, state: dict[str, object]) -> None:
        """Go on from where `state_dict` was taken."""
        self.now, self.weights = state["now"], state["weights"]


class Adonis(Sampler):
    """Adaptive online importance sampling over the rows of another sampler.

    Args:
        base: The sampler whose rows are candidates (IDS and ADONIS combine this way).
        n: Training rows of the data set.
        theta: Acceptance threshold of a bin (default 0.12, `adonis` Appendix B).
        sigma: Clipping in standard deviations.
        alpha: Share of a batch's accepted candidates that is kept, at least one.
        history: Number l of latest losses kept.
        eta: Epochs for which a loss is reused before the example is forwarded again.
        warm_up: Epochs (omega) of plain training first; the document gives none, ours is 1.
        bins: Rule of `n_bins`.

    Note:
        Algorithm 1 prints line 18 the wrong way round and never sets `last_update`; here a loss
        is recomputed when it is `eta` epochs old. History grows by the batch (figures 2 to 5).
        Among accepted candidates the kept ones are drawn at random.

    Source: `adonis` Algorithm 1 with figures 2 to 5.
    """

    def __init__(
        self,
        base: Sampler,
        n: int,
        theta: float = 0.12,
        sigma: float = 1.0,
        alpha: float = 0.3,
        history: int = 512,
        eta: int = 1,
        warm_up: int = 1,
        bins: str = "sturges",
    ) -> None:
        if not (0 <= theta < 1 and 0 < alpha <= 1 and eta >= 1 and history >= 2 and sigma > 0):
            raise StudyError(
                "ADONIS needs 0 <= theta < 1, 0 < alpha <= 1, eta >= 1, history >= 2 and "
                f"sigma > 0, got {theta}, {alpha}, {eta}, {history}, {sigma}"
            )
        n_bins(history, bins)  # refuses an unknown rule now, not an epoch later
        self.base, self.theta, self.sigma, self.alpha = base, theta, sigma, alpha
        self.length, self.eta, self.warm_up, self.bins = history, eta, warm_up, bins
        self.history = np.empty(0, np.float32)
        self.loss = torch.zeros(n)
        self.updated = torch.full((n,), -(10**6))
        self.events: list[tuple[int, int, int, int]] = []
        self.snapshots: list[np.ndarray] = []

    def rows_at(self, epoch: int) -> Tensor:
        """Return the candidates of this epoch."""
        return self.base.rows_at(epoch)

    def batches(
        self, epoch: int, size: int, generator: torch.Generator, losses: Losses
    ) -> Iterator[Batch]:
        """Yield full training batches gathered from several forward batches."""
        if epoch < self.warm_up:
            yield from self.base.batches(epoch, size, generator, losses)
            return
        waiting = torch.empty(0, dtype=torch.int64)
        for batch in self.base.batches(epoch, size, generator, losses):
            waiting = torch.cat([waiting, self.choose(epoch, batch.rows, generator, losses)])
            if len(waiting) >= size:
                yield Batch(waiting[:size], batch.progress)
                waiting = waiting[size:]
        if len(waiting) > 1:
            yield Batch(waiting, 1.0)
        self.snapshots.append(self.history.copy())

    def choose(
        self, epoch: int, rows: Tensor, generator: torch.Generator, losses: Losses
    ) -> Tensor:
        """Return the rows of a forward batch that go into training (b',)."""
        now = self.current_losses(epoch, rows, losses)
        found = accepted_bins(self.history, self.theta, self.sigma, self.bins)
        candidates = np.flatnonzero(is_accepted(now, found))
        kept = int(np.ceil(self.alpha * len(candidates)))
        mixed = torch.randperm(len(candidates), generator=generator)[:kept].numpy()
        self.events.append((epoch, len(rows), len(candidates), int(found.accepted.any())))
        return rows[torch.as_tensor(np.sort(candidates[mixed]), dtype=torch.int64)]

    def current_losses(self, epoch: int, rows: Tensor, losses: Losses) -> np.ndarray:
        """Return losses (b,) at most `eta` epochs old and add them to the history."""
        stale = rows[self.updated[rows] <= epoch - self.eta]
        if len(stale):
            self.loss[stale] = losses(stale).to("cpu", torch.float32)
            self.updated[stale] = epoch
        now = self.loss[rows].numpy()
        if not np.isfinite(now).all():
            raise StudyError(f"training diverged in epoch {epoch + 1}: a loss is not finite")
        self.history = np.concatenate([self.history, now])[-self.length :]
        return now

    def log(self) -> dict[str, np.ndarray]:
        """Return events (e, 4): epoch, batch, candidates, whether a bin passed; and histories."""
        logged = {"events": np.array(self.events, np.int32).reshape(-1, 4)}
        full = [h for h in self.snapshots if len(h) == self.length]
        if full:
            logged["histories"] = np.stack(full).astype(np.float32)
        return logged

    def state_dict(self) -> dict[str, object]:
        """Return the losses known, when they were computed, and the log."""
        return {
            "base": self.base.state_dict(),
            "history": torch.from_numpy(self.history),
            "loss": self.loss,
            "updated": self.updated,
            "events": torch.tensor(self.events, dtype=torch.int64).reshape(-1, 4),
            "snapshots": [torch.from_numpy(h) for h in self.snapshots],
        }

    def load_state_dict(self, state: dict[str, object]) -> None:
        """Go on from where `state_dict` was taken."""
        self.base.load_state_dict(state["base"])
        self.history = state["history"].numpy()
        self.loss.copy_(state["loss"])
        self.updated.copy_(state["updated"])
        self.events = [tuple(event) for event in state["events"].tolist()]
        self.snapshots = [h.numpy() for h in state["snapshots"]]


class SelectiveBackprop(Adonis):
    """Selective Backprop: keep an example with probability CDF(loss) ** beta.

    Source: Jiang et al. 2019, the peer of `adonis` section 4 (beta = 2, history 1,024);
    `eta` = 2 is its Stale-SB.
    """

    def __init__(
        self,
        base: Sampler,
        n: int,
        beta: float = 2.0,
        history: int = 1024,
        eta: int = 1,
        warm_up: int = 1,
    ) -> None:
        super().__init__(base, n, history=history, eta=eta, warm_up=warm_up)
        self.beta = beta

    def choose(
        self, epoch: int, rows: Tensor, generator: torch.Generator, losses: Losses
    ) -> Tensor:
        """Return the rows kept by their loss's place in the history."""
        now = self.current_losses(epoch, rows, losses)
        place = np.searchsorted(np.sort(self.history), now, side="right") / len(self.history)
        kept = torch.rand(len(rows), generator=generator).numpy() < place**self.beta
        self.events.append((epoch, len(rows), int(kept.sum()), 1))
        return rows[torch.as_tensor(np.flatnonzero(kept), dtype=torch.int64)]


def check_rows(sampler: Sampler, epochs: int, n: int) -> None:
    """Refuse a sampler that would visit rows beyond the n training rows in any epoch."""
    largest = max(int(sampler.rows_at(epoch).max()) for epoch in range(epochs))
    if largest >= n:
        raise StudyError(f"rows must lie in 0..{n - 1}, got {largest}")


class Setting(NamedTuple):
    """What a named sampler is built from: rows (k,) it may use, labels (n,) of all training rows.

    `features` returns those (n, d) float32 of the run that the spec names; StudyError: none named.
    """

    rows: np.ndarray
    labels: np.ndarray
    epochs: int
    seed: int
    features: Callable[[], np.ndarray]


def ids(run: Setting, keep: float = 0.8, switch: float = 0.9) -> Switch:
    """Build IDS's EASY to HARD switch, at the share `switch` of the epochs.

    Source: `adonis` section 4 (0.9 is 180 of 200 epochs).
    """
    from helpers.selection import prototypes  # SciPy and scikit-learn, which training needs not

    features = run.features()
    easy, hard = (prototypes.ids(features, run.labels, keep, mode=m) for m in ("easy", "hard"))
    return Switch(easy, hard, max(1, round(switch * run.epochs)))


def reselected(run: Setting, keep: float, choices: int, start: str = "") -> Reselected:
    """Build GRAD-MATCH with so many choices spread evenly over the run's epochs."""
    every = max(1, round(run.epochs / choices))
    return Reselected(run.rows, run.labels, keep, every, run.seed, start)


# A sampler by the name that a spec gives it: a function of the setting and the spec's options.
SAMPLERS: dict[str, Callable[..., Sampler]] = {
    "ids": ids,
    "grad-match": reselected,
    "repeated-random": lambda run, **o: Redrawn(run.rows, seed=run.seed, **o),
    "adonis": lambda run, **o: Adonis(Fixed(run.rows), len(run.labels), **o),
    "ids+adonis": lambda run, keep=0.8, switch=0.9, **o: Adonis(
        ids(run, keep, switch), len(run.labels), **o
    ),
    "selective-backprop": lambda run, **o: SelectiveBackprop(Fixed(run.rows), len(run.labels), **o),
}


def build(name: str, run: Setting, **options: object) -> Sampler:
    """Build a sampler by name; StudyError where there is no such one."""
    if name not in SAMPLERS:
        raise StudyError(f"unknown sampler {name!r}; there are {', '.join(SAMPLERS)}")
    if run.labels.dtype.kind == "f" and name in ("ids", "ids+adonis", "grad-match"):
        raise StudyError(f"the sampler {name} reads classes, the data set has numbers")
    try:
        return SAMPLERS[name](run, **options)
    except TypeError as error:
        raise StudyError(f"sampler {name}: {error}") from error
