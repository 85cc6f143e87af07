"""What selection methods see of the examples to choose from."""

from dataclasses import dataclass, fields

import numpy as np

from helpers import StudyError


@dataclass(frozen=True, eq=False)
class Pool:
    """What is known of the examples to choose from; fields that no method needs may be None.

    Attributes:
        labels: Class numbers, shape (n,).
        probs: Proxy softmax, shape (n, c).
        features: Proxy's last features, shape (n, d).
        forgetting: Forgetting events, shape (n,), never learned = inf.
        norms: Gradient norms at epoch 0, shape (n,).
        correct: Whether the proxy was right, shape (epochs, n) or, at the end, (n,).
        gradients: One gradient an example, shape (n, m); where None, methods take those of the
            last layer, in closed form from labels, probs and features.
        scores: Scores of the user's own, shape (n,), larger = keep first; where None, methods
            take those of probs.
        centres: Features of rows outside the pool that cover it already, shape (m, d).
    """

    labels: np.ndarray
    probs: np.ndarray | None = None
    features: np.ndarray | None = None
    forgetting: np.ndarray | None = None
    norms: np.ndarray | None = None
    correct: np.ndarray | None = None
    gradients: np.ndarray | None = None
    scores: np.ndarray | None = None
    centres: np.ndarray | None = None

    def __post_init__(self) -> None:
        """Refuse arrays of different lengths."""
        if np.ndim(self.labels) != 1 or not len(self.labels):
            raise StudyError(f"labels must have shape (n,), got {np.shape(self.labels)}")
        for field in fields(self):
            values = getattr(self, field.name)
            if values is None or field.name == "centres":
                continue
            n_rows = (
                np.shape(values)[-1 if field.name == "correct" else 0] if np.ndim(values) else 0
            )
            if n_rows != self.n:
                raise StudyError(f"{field.name} must have {self.n} rows as labels, got {n_rows}")
        if self.centres is not None and np.shape(self.centres)[1:] != np.shape(self.features)[1:]:
            raise StudyError(
                f"centres must be as wide as features, got {np.shape(self.centres)} "
                f"beside {np.shape(self.features)}"
            )

    @property
    def n(self) -> int:
        """Pool size."""
        return len(self.labels)

    def has(self, names: str) -> bool:
        """Say whether a field is there, or one of several: "scores|probs"."""
        return any(getattr(self, name) is not None for name in names.split("|"))
