'''The methods every comparison runs, by key.

Adding a method takes one function and one line, and it then stands in every comparison
figure and table. For example, the examples with the largest EL2N score first::

    # helpers/selection/el2n.py
    """Selection by the length of the error vector."""
    from helpers import scores

    def el2n(pool, k, rng):
        """Pick the k rows of a Pool with the largest EL2N score."""
        return scores.order(scores.el2n(pool.probs, pool.labels))[:k]

    # helpers/selection/registry.py, in _METHODS
    Method("el2n", "EL2N", el2n, needs=("probs",)),
'''

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import get_args

import numpy as np

from helpers import StudyError, scores
from helpers.checks import check_k, check_labels
from helpers.selection import chance, iqp, kcenters, prototypes
from helpers.selection import geda as geda_module
from helpers.selection.quotas import per_class


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
    """

    labels: np.ndarray
    probs: np.ndarray | None = None
    features: np.ndarray | None = None
    forgetting: np.ndarray | None = None
    norms: np.ndarray | None = None
    correct: np.ndarray | None = None

    def __post_init__(self) -> None:
        """Refuse arrays of different lengths."""
        if np.ndim(self.labels) != 1 or not len(self.labels):
            raise StudyError(f"labels must have shape (n,), got {np.shape(self.labels)}")
        for field in fields(self):
            values = getattr(self, field.name)
            if values is None:
                continue
            n_rows = (
                np.shape(values)[-1 if field.name == "correct" else 0] if np.ndim(values) else 0
            )
            if n_rows != self.n:
                raise StudyError(f"{field.name} must have {self.n} rows as labels, got {n_rows}")

    @property
    def n(self) -> int:
        """Pool size."""
        return len(self.labels)


@dataclass(frozen=True)
class Method:
    """A way to choose: pick(pool, k, rng, **options) -> row numbers (k,), keep-first order.

    Attributes:
        key: Its name in specs, options and file names.
        label: Its name in figures and tables.
        pick: The function.
        needs: Fields of Pool it reads, apart from labels.
        compare: Whether it stands in the comparison figures and tables.
        ladder: Whether it is a rung of the ladder to GEDA.
        by_class: Whether it works inside every class and so reads labels.
    """

    key: str
    label: str
    pick: Callable[..., np.ndarray]
    needs: tuple[str, ...] = ()
    compare: bool = True
    ladder: bool = False
    by_class: bool = False


def _ranked(values: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
    """Return the k rows with the largest values; ties fall by chance, not by row.

    A folder sorted by class with many equal scores would otherwise lose whole classes.
    """
    shuffled = rng.permutation(len(values))
    return shuffled[scores.order(np.asarray(values)[shuffled])][:k]


def _uncertain(score: Callable[[np.ndarray], np.ndarray]) -> Callable[..., np.ndarray]:
    """Make a method of a score of probabilities."""

    def pick(
        pool: Pool, k: int, rng: np.random.Generator, correct_only: bool = False
    ) -> np.ndarray:
        """Rank by the score; correct_only (`svp-slides`) puts what the proxy got wrong last."""
        ranked = _ranked(score(pool.probs), pool.n, rng)
        if correct_only:
            ranked = ranked[np.argsort(~_is_correct(pool)[ranked], kind="stable")]
        return ranked[:k]

    return pick


def _is_correct(pool: Pool) -> np.ndarray:
    """Return whether the proxy was right at the end, shape (n,)."""
    if pool.correct is not None:
        return np.atleast_2d(pool.correct)[-1].astype(bool)
    return np.argmax(pool.probs, axis=1) == pool.labels


def _forgetting(pool: Pool, k: int, rng: np.random.Generator) -> np.ndarray:
    return _ranked(pool.forgetting, k, rng)


def _random(pool: Pool, k: int, rng: np.random.Generator) -> np.ndarray:
    return chance.random(pool.n, k, rng)


def _random_per_class(pool: Pool, k: int, rng: np.random.Generator) -> np.ndarray:
    return chance.random_per_class(pool.labels, k, rng)


def _k_centers(pool: Pool, k: int, rng: np.random.Generator, n_initial: int = 0) -> np.ndarray:
    """Cover the features; n_initial random rows come first and count towards k."""
    if not n_initial:
        return kcenters.greedy_k_centers(pool.features, k)
    initial = chance.random(pool.n, check_k(n_initial, k), rng)
    if len(initial) == k:
        return initial
    added = kcenters.greedy_k_centers(pool.features, k - len(initial), initial)
    return np.concatenate([initial, added])


def _iqp(
    pool: Pool,
    k: int,
    rng: np.random.Generator,
    weight: float = 0.3,
    bandwidth: float | str = 1.0,
    diversity: str = "kernel",
    shift: str | float | None = "auto",
    max_steps: int = 100,
) -> np.ndarray:
    utility = scores.entropy(pool.probs)
    return iqp.budgeted(utility, pool.features, k, weight, bandwidth, diversity, shift, max_steps)


def _geda(
    pool: Pool, k: int, rng: np.random.Generator, n_nodes: int = 5, within: str = "spread"
) -> np.ndarray:
    def pick(rows: np.ndarray, share: int) -> np.ndarray:
        return geda_module.geda(pool.norms[rows], share, n_nodes, within, rng)

    return per_class(pool.labels, k, pick)


def _geda_random(pool: Pool, k: int, rng: np.random.Generator, n_nodes: int = 5) -> np.ndarray:
    return _geda(pool, k, rng, n_nodes, within="random")


def _random_per_quartile(pool: Pool, k: int, rng: np.random.Generator) -> np.ndarray:
    def pick(rows: np.ndarray, share: int) -> np.ndarray:
        return geda_module.random_per_quartile(pool.norms[rows], share, rng)

    return per_class(pool.labels, k, pick)


def _evenly_spaced(pool: Pool, k: int, rng: np.random.Generator) -> np.ndarray:
    def pick(rows: np.ndarray, share: int) -> np.ndarray:
        return geda_module.evenly_spaced(pool.norms[rows], share)

    return per_class(pool.labels, k, pick)


def _ids(pool: Pool, k: int, rng: np.random.Generator, mode: str = "hard") -> np.ndarray:
    """Keep k / n of every class by distance, and a prototype a class on top of it."""
    return prototypes.ids(pool.features, pool.labels, k / pool.n, mode)


def _rung(key: str, label: str, pick: Callable[..., np.ndarray]) -> Method:
    """Return a rung of the ladder to GEDA, left out of the comparisons."""
    return Method(key, label, pick, ("norms",), compare=False, ladder=True, by_class=True)


_METHODS = (
    Method("random", "Random", _random, ladder=True),
    Method("random-per-class", "Random per class", _random_per_class, ladder=True, by_class=True),
    Method("least-confidence", "Least confidence", _uncertain(scores.least_confidence), ("probs",)),
    Method("margin", "Margin", _uncertain(scores.margin), ("probs",)),
    Method("entropy", "Entropy", _uncertain(scores.entropy), ("probs",)),
    Method("forgetting", "Forgetting events", _forgetting, ("forgetting",)),
    Method("k-centers", "Greedy k-centers", _k_centers, ("features",)),
    Method("iqp", "LP + truncated power", _iqp, ("probs", "features")),
    Method("geda", "GEDA", _geda, ("norms",), by_class=True),
    Method("ids", "IDS", _ids, ("features",), by_class=True),
    _rung("random-per-quartile", "Random per quartile", _random_per_quartile),
    _rung("evenly-spaced", "Evenly spaced", _evenly_spaced),
    _rung("geda-random", "GEDA, random in bins", _geda_random),
)
METHODS: dict[str, Method] = {method.key: method for method in _METHODS}


def options_of(method_key: str) -> tuple[str, ...]:
    """Return the names of the options a method takes."""
    parameters = inspect.signature(get(method_key).pick).parameters
    return tuple(parameters)[3:]


def get(method_key: str) -> Method:
    """Return a method by key, or name the valid keys."""
    if method_key not in METHODS:
        raise StudyError(f"method must be one of {', '.join(METHODS)}; got {method_key!r}")
    return METHODS[method_key]


def _check_type(name: str, value: object, annotation: object) -> None:
    """Raise unless an option's value is of an annotated type; a whole number is a float too."""
    types = get_args(annotation) or (annotation,)
    allowed = types + (int,) if float in types else types
    if not isinstance(value, allowed) or (isinstance(value, bool) and bool not in types):
        names = " or ".join("None" if kind is type(None) else kind.__name__ for kind in types)
        raise StudyError(f"option {name} must be {names}, got {value!r}")


def select(method_key: str, pool: Pool, k: int, seed: int, **options: object) -> np.ndarray:
    """Choose k examples of a pool by a registered method.

    Args:
        method_key: A key of METHODS.
        pool: What is known of the examples.
        k: Examples to keep, 1 <= k <= n.
        seed: Equal seeds give equal answers.
        **options: The method's own, see `options_of`.

    Returns:
        Row numbers, shape (k,), int64, keep-first order; "ids" adds a prototype a class.

    Raises:
        ValueError: If the method, an option, k, or an array of the pool is invalid or missing.
    """
    method = get(method_key)
    valid = options_of(method_key)
    for name, value in options.items():
        if name not in valid:
            known = f"its options are {', '.join(valid)}" if valid else "it takes none"
            raise StudyError(f"{method_key} has no option {name!r}; {known}")
        _check_type(name, value, inspect.signature(method.pick).parameters[name].annotation)
    for name in method.needs:
        if getattr(pool, name) is None:
            raise StudyError(f"{method_key} needs {name}, which this pool lacks")
    if method.by_class:
        check_labels(pool.labels)
    k = check_k(k, pool.n)
    chosen = method.pick(pool, k, np.random.default_rng(seed), **options)
    return np.asarray(chosen, dtype=np.int64)
