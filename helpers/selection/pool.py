"""What selection methods see of the examples to choose from."""

from dataclasses import dataclass, field, fields

import numpy as np

from helpers import StudyError


@dataclass(frozen=True, eq=False)
class Pool:
    """What is known of the examples to choose from; fields that no method needs may be None.

    Attributes:
        labels: Class numbers, shape (n,), within the columns of probs; None where unknown, and
            reading them is then an error.
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

    labels: np.ndarray | None = field(repr=False)
    probs: np.ndarray | None = None
    features: np.ndarray | None = None
    forgetting: np.ndarray | None = None
    norms: np.ndarray | None = None
    correct: np.ndarray | None = None
    gradients: np.ndarray | None = None
    scores: np.ndarray | None = None
    centres: np.ndarray | None = None

    def __post_init__(self) -> None:
        """Refuse arrays of different lengths, and labels that probs have no column for."""
        if self.labels is None:
            object.__delattr__(self, "labels")  # so that `__getattr__` sees who reads them
        elif np.ndim(self.labels) != 1 or not len(self.labels):
            raise StudyError(f"labels must have shape (n,), got {np.shape(self.labels)}")
        counts = self._counts()
        if not counts:
            raise StudyError("a pool needs one array at least, got none")
        first = next(iter(counts))
        for name, n_rows in counts.items():
            if not n_rows:
                raise StudyError(f"{name} must have rows, got none")
            if n_rows != self.n:
                raise StudyError(f"{name} must have {self.n} rows as {first}, got {n_rows}")
        if self.has("labels") and np.ndim(self.probs) == 2:
            _check_columns(np.asarray(self.labels), np.shape(self.probs)[1])
        if self.centres is not None and np.shape(self.centres)[1:] != np.shape(self.features)[1:]:
            raise StudyError(
                f"centres must be as wide as features, got {np.shape(self.centres)} "
                f"beside {np.shape(self.features)}"
            )

    @property
    def n(self) -> int:
        """Pool size."""
        return next(iter(self._counts().values()))

    def _counts(self) -> dict[str, int]:
        """Return the rows of every array that is there, by name."""
        return {
            field.name: np.shape(values)[-1 if field.name == "correct" else 0]
            if np.ndim(values)
            else 0
            for field in fields(self)
            if field.name != "centres" and (values := vars(self).get(field.name)) is not None
        }

    def __getattr__(self, name: str) -> object:
        """Say that labels are not known, where a method reads them all the same."""
        if name == "labels":
            raise StudyError("labels are needed, which this pool lacks")
        raise AttributeError(name)

    def has(self, names: str) -> bool:
        """Say whether a field is there, or one of several: "scores|probs"."""
        return any(vars(self).get(name) is not None for name in names.split("|"))


def _check_columns(labels: np.ndarray, n_classes: int) -> None:
    """Raise where labels (n,) are numbers but not those of columns."""
    if labels.dtype.kind not in "biuf":
        return  # `check_labels` says so, where labels are read
    outside = (labels < 0) | (labels >= n_classes)
    if outside.any():
        row = int(outside.argmax())
        raise StudyError(
            f"labels must lie in 0..{n_classes - 1}, the columns of probs, "
            f"got {labels[row]} in row {row}"
        )
