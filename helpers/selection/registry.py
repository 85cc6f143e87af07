"""The methods every comparison runs, by key, and what they see of the examples.

A method is one file in this folder; the README shows one in ten lines.
"""

import importlib
import inspect
import itertools
import pkgutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from typing import get_args

import numpy as np

from helpers import StudyError
from helpers.checks import check_k, check_labels

FAMILIES = {
    "chance": "By chance",
    "scores": "By scores of predictions",
    "geometry": "By places in feature space",
    "gradients": "By gradients",
}
# The order of figures and tables; a method that is not named here comes after these.
ORDER = (
    *("random", "random-per-class", "least-confidence", "margin", "entropy", "forgetting"),
    *("el2n", "ccs", "top", "k-centers", "facility-location", "submodular", "graph-cut", "dpp"),
    *("moderate", "ids", "ssp", "iqp", "geda", "craig", "grad-match"),
    *("random-per-quartile", "evenly-spaced", "geda-random"),
)

Chosen = np.ndarray | tuple[np.ndarray, np.ndarray]


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
            labels, c = np.asarray(self.labels), np.shape(self.probs)[1]
            if labels.dtype.kind in "biuf" and ((labels < 0) | (labels >= c)).any():
                raise StudyError(f"labels must lie in 0..{c - 1}, the columns of probs")
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
        return {
            name: np.shape(values)[-1 if name == "correct" else 0] if np.ndim(values) else 0
            for name, values in vars(self).items()
            if name != "centres" and values is not None
        }

    def __getattr__(self, name: str) -> object:
        """Say that labels are not known, where a method reads them all the same."""
        if name == "labels":
            raise StudyError("labels are needed, which this pool lacks")
        raise AttributeError(name)

    def has(self, names: str) -> bool:
        """Say whether a field is there, or one of several: "scores|probs"."""
        return any(vars(self).get(name) is not None for name in names.split("|"))


@dataclass(frozen=True)
class Method:
    """A way to choose, as `method` registers it.

    Attributes:
        key: Its name in specs, options and file names.
        label: Its name in figures and tables.
        pick: pick(pool, k, rng, **options) -> row numbers (k,), keep-first order; a weighted
            method's returns row numbers and weights, (k,) each.
        needs: Fields of Pool it reads; "a|b" where either will do.
        family: Which of FAMILIES it is drawn with: by what it looks at.
        compare: Whether it stands in the comparison figures and tables.
        ladder: Whether it is a rung of the ladder to GEDA.
        by_class: Whether it works inside every class and so needs two classes in labels.
        is_weighted: Whether its examples carry weights in training.
    """

    key: str
    label: str
    pick: Callable[..., Chosen]
    needs: tuple[str, ...] = ()
    family: str = "chance"
    compare: bool = True
    ladder: bool = False
    by_class: bool = False
    is_weighted: bool = False


METHODS: dict[str, Method] = {}


def method(
    key: str, label: str, needs: tuple[str, ...] = (), family: str = "chance", **traits: bool
) -> Callable[[Callable[..., Chosen]], Callable[..., Chosen]]:
    """Register the function below as a method; the arguments are the attributes of `Method`."""
    known = {one.name for one in fields(Pool)}
    if unknown := set("|".join(needs).split("|")) - known - {""}:
        raise StudyError(f"needs of {key} must be fields of Pool, got {', '.join(unknown)}")
    if family not in FAMILIES:
        raise StudyError(f"family of {key} must be one of {', '.join(FAMILIES)}; got {family!r}")

    def register(function: Callable[..., Chosen]) -> Callable[..., Chosen]:
        there = METHODS.get(key)
        if there is not None and there.pick.__module__ != function.__module__:
            raise StudyError(f"method {key} is registered by {there.pick.__module__} already")
        METHODS[key] = Method(key, label, function, needs, family, **traits)
        return function

    return register


def discover(folders: Iterable[str], package: str) -> None:
    """Import every module in the folders, then sort METHODS by ORDER, other keys last."""
    for module in pkgutil.iter_modules(folders):
        try:
            importlib.import_module(f"{package}.{module.name}")
        except Exception as error:
            text = f"{type(error).__name__}: {error}"
            raise StudyError(f"{package}.{module.name} cannot be imported: {text}") from error
    place = {key: number for number, key in enumerate(ORDER)}
    entries = sorted(METHODS.items(), key=lambda entry: place.get(entry[0], len(ORDER)))
    METHODS.clear()
    METHODS.update(entries)


def options_of(method_key: str) -> dict[str, inspect.Parameter]:
    """Return the options that a method takes, by name."""
    parameters = inspect.signature(get(method_key).pick, eval_str=True).parameters
    return dict(list(parameters.items())[3:])  # after pool, k and rng


def ways(method_key: str, options: dict[str, object]) -> list[set[str]]:
    """Return the smallest sets of inputs that a method can run on; `correct` for forgetting."""
    method = get(method_key)
    needs = [*method.needs, *(["labels"] if method.by_class else [])]
    if options.get("correct_only"):
        needs.append("correct|labels")
    groups = [need.replace("forgetting", "correct").split("|") for need in needs]
    found = [set(way) for way in itertools.product(*groups)]
    smallest = [way for way in found if not any(other < way for other in found)]
    return [way for i, way in enumerate(smallest) if way not in smallest[:i]]


def get(method_key: str) -> Method:
    """Return a method by key, or name the valid keys."""
    if method_key not in METHODS:
        like = get_close_matches(str(method_key), METHODS, 1)
        hint = f" (did you mean {like[0]}?)" if like else ""
        raise StudyError(f"method must be one of {', '.join(METHODS)}; got {method_key!r}{hint}")
    return METHODS[method_key]


def _check_type(name: str, value: object, annotation: object) -> None:
    """Raise unless an option's value is of an annotated type; a whole number is a float too."""
    types = get_args(annotation) or (annotation,)
    if inspect.Parameter.empty in types:
        return
    allowed = types + (int,) if float in types else types
    if not isinstance(value, allowed) or (isinstance(value, bool) and bool not in types):
        names = " or ".join("None" if kind is type(None) else kind.__name__ for kind in types)
        raise StudyError(f"option {name} must be {names}, got {value!r}")


def check_options(entry: Method, options: dict[str, object]) -> None:
    """Raise unless a method has these options, and takes values of their types."""
    valid = options_of(entry.key)
    for name, value in options.items():
        if name not in valid:
            known = f"its options are {', '.join(valid)}" if valid else "it takes none"
            raise StudyError(f"{entry.key} has no option {name!r}; {known}")
        _check_type(name, value, valid[name].annotation)


def pick(
    method_key: str, pool: Pool, k: int, seed: int, **options: object
) -> tuple[np.ndarray, np.ndarray | None]:
    """Choose k examples of a pool by a registered method.

    Args:
        method_key: A key of METHODS.
        pool: What is known of the examples.
        k: Examples to keep.
        seed: Equal seeds give equal answers.
        **options: The method's own, see `options_of`.

    Returns:
        Row numbers (k,), int64, keep-first order ("ids" rounds each class's share up and
        adds its prototype, so up to two rows a class come on top; "grad-match" with fill=False
        may return fewer), and weights of the same shape, float64, or None where the method
        gives every example the same. A weight of 0 stands for an example that makes up the
        number k and is not trained on: "grad-match" fills up with such, and "craig" gives 0 to
        the later row of two equal ones.
    """
    entry = get(method_key)
    check_options(entry, options)
    for name in entry.needs:
        if not pool.has(name):
            wanted = name.replace("|", " or ")
            raise StudyError(f"{method_key} needs {wanted}, which this pool lacks")
    if entry.by_class:
        check_labels(pool.labels)
    chosen = entry.pick(pool, check_k(k, pool.n), np.random.default_rng(seed), **options)
    if isinstance(chosen, tuple) != entry.is_weighted:
        given = "rows and weights" if entry.is_weighted else "rows alone, or be is_weighted=True"
        raise StudyError(f"{method_key} must return {given}")
    rows, weights = chosen if entry.is_weighted else (chosen, None)
    rows = np.asarray(rows, dtype=np.int64)
    inside = rows.ndim == 1 and np.all((rows >= 0) & (rows < pool.n))
    if not inside or len(np.unique(rows)) < len(rows):
        raise StudyError(f"{method_key} must return distinct row numbers in 0..{pool.n - 1}")
    return rows, weights
