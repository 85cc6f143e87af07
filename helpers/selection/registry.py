'''The methods every comparison runs, by key.

Adding a method takes one function and one line, and it then stands in every comparison
figure and table. For example, the examples whose class the proxy gets wrong first::

    # helpers/selection/mistakes.py
    """Selection of what the proxy gets wrong."""
    import numpy as np

    def mistakes(pool, k, rng):
        """Pick k rows of a Pool, those with the least probable label first."""
        return np.argsort(pool.probs[np.arange(pool.n), pool.labels], kind="stable")[:k]

    # helpers/selection/registry.py: the import, and one line in _METHODS
    from helpers.selection.mistakes import mistakes
    Method("mistakes", "Mistakes first", mistakes, ("probs", "labels"), "scores"),
'''

import inspect
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import get_args

import numpy as np
from scipy.optimize import OptimizeResult

from helpers import StudyError, scores
from helpers.checks import check_k, check_labels
from helpers.selection import methods
from helpers.selection.pool import Pool

__all__ = [
    "FAMILIES",
    "METHODS",
    "SOLVED",
    "Method",
    "Pool",
    "answer",
    "get",
    "options_of",
    "select",
    "ways",
    "weighted",
]

SOLVED = ("objective", "bound", "gap", "status")  # what is told of a solver's answer

FAMILIES = {
    "chance": "By chance",
    "scores": "By scores of predictions",
    "geometry": "By places in feature space",
    "gradients": "By gradients",
}


@dataclass(frozen=True)
class Method:
    """A way to choose: pick(pool, k, rng, **options) -> row numbers (k,), keep-first order.

    Attributes:
        key: Its name in specs, options and file names.
        label: Its name in figures and tables.
        pick: The function; a weighted method's returns row numbers and weights, (k,) each, a
            solver's its OptimizeResult.
        needs: Fields of Pool it reads; "a|b" where either will do.
        family: Which of FAMILIES it is drawn with: by what it looks at.
        compare: Whether it stands in the comparison figures and tables.
        ladder: Whether it is a rung of the ladder to GEDA.
        by_class: Whether it works inside every class and so needs two classes in labels.
        is_weighted: Whether its examples carry weights in training.
    """

    key: str
    label: str
    pick: Callable[..., np.ndarray | tuple[np.ndarray, np.ndarray] | OptimizeResult]
    needs: tuple[str, ...] = ()
    family: str = "chance"
    compare: bool = True
    ladder: bool = False
    by_class: bool = False
    is_weighted: bool = False


def _rung(key: str, label: str, pick: Callable[..., np.ndarray]) -> Method:
    """Return a rung of the ladder to GEDA, left out of the comparisons."""
    return Method(key, label, pick, ("norms",), "gradients", False, ladder=True, by_class=True)


def _score(key: str, label: str, score: Callable[[np.ndarray], np.ndarray]) -> Method:
    """Return a method that ranks by a score of probabilities."""
    return Method(key, label, methods.uncertain(score), ("probs",), "scores")


_METHODS = (
    Method("random", "Random", methods.random, ladder=True),
    Method("random-per-class", "Random per class", methods.random_per_class, (),
           ladder=True, by_class=True),
    _score("least-confidence", "Least confidence", scores.least_confidence),
    _score("margin", "Margin", scores.margin),
    _score("entropy", "Entropy", scores.entropy),
    Method("forgetting", "Forgetting events", methods.forgetting, ("forgetting",), "scores"),
    Method("el2n", "EL2N", methods.el2n, ("probs",), "scores", by_class=True),
    Method("ccs", "Coverage-centric", methods.coverage_centric,
           ("scores|probs", "scores|labels"), "scores"),
    Method("top", "Largest score", methods.top, ("scores",), "scores", compare=False),
    Method("k-centers", "Greedy k-centers", methods.k_centers, ("features",), "geometry"),
    Method("facility-location", "Facility location", methods.facility_location, ("features",),
           "geometry"),
    Method("submodular", "Coverage + diversity", methods.coverage_diversity, ("features",),
           "geometry", compare=False),
    Method("graph-cut", "Graph cut", methods.graph_cut, ("features",), "geometry", compare=False),
    Method("dpp", "k-DPP", methods.dpp, ("features",), "geometry"),
    Method("moderate", "Moderate", methods.moderate, ("features",), "geometry", by_class=True),
    Method("ids", "IDS", methods.ids, ("features",), "geometry", by_class=True),
    Method("ssp", "SSP", methods.ssp, ("features",), "geometry"),
    Method("iqp", "LP + truncated power", methods.iqp, ("scores|probs", "features"), "geometry"),
    Method("geda", "GEDA", methods.geda, ("norms",), "gradients", by_class=True),
    Method("craig", "CRAIG", methods.craig, ("gradients|probs", "gradients|features"),
           "gradients", by_class=True, is_weighted=True),
    Method("grad-match", "GRAD-MATCH", methods.grad_match,
           ("gradients|probs", "gradients|features"), "gradients", by_class=True,
           is_weighted=True),
    _rung("random-per-quartile", "Random per quartile", methods.random_per_quartile),
    _rung("evenly-spaced", "Evenly spaced", methods.evenly_spaced),
    _rung("geda-random", "GEDA, random in bins", methods.geda_random),
)  # fmt: skip
METHODS: dict[str, Method] = {method.key: method for method in _METHODS}


def options_of(method_key: str) -> tuple[str, ...]:
    """Return the names of the options a method takes."""
    parameters = inspect.signature(get(method_key).pick).parameters
    return tuple(parameters)[3:]


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
        raise StudyError(f"method must be one of {', '.join(METHODS)}; got {method_key!r}")
    return METHODS[method_key]


def _check_type(name: str, value: object, annotation: object) -> None:
    """Raise unless an option's value is of an annotated type; a whole number is a float too."""
    types = get_args(annotation) or (annotation,)
    allowed = types + (int,) if float in types else types
    if not isinstance(value, allowed) or (isinstance(value, bool) and bool not in types):
        names = " or ".join("None" if kind is type(None) else kind.__name__ for kind in types)
        raise StudyError(f"option {name} must be {names}, got {value!r}")


def _check_options(method: Method, options: dict[str, object]) -> None:
    """Raise unless every option is one of the method's and of its type."""
    valid = options_of(method.key)
    for name, value in options.items():
        if name not in valid:
            known = f"its options are {', '.join(valid)}" if valid else "it takes none"
            raise StudyError(f"{method.key} has no option {name!r}; {known}")
        _check_type(name, value, inspect.signature(method.pick).parameters[name].annotation)


def weighted(
    method_key: str, pool: Pool, k: int, seed: int, **options: object
) -> tuple[np.ndarray, np.ndarray | None]:
    """Choose k examples of a pool by a registered method, with its weights.

    Args:
        method_key: A key of METHODS.
        pool: What is known of the examples.
        k: Examples to keep, 1 <= k <= n.
        seed: Equal seeds give equal answers.
        **options: The method's own, see `options_of`.

    Returns:
        Row numbers, shape (k,), int64, keep-first order ("ids" rounds each class's share up and
        adds its prototype, so up to two rows a class come on top; "grad-match" with fill=False
        may return fewer), and weights of the same shape, float64, or None where the method
        gives every example the same. A weight of 0 stands for an example that makes up the
        number k and is not trained on: "grad-match" fills up with such, and "craig" gives 0 to
        the later row of two equal ones.

    Raises:
        ValueError: If the method, an option, k, or an array of the pool is invalid or missing.
    """
    return answer(method_key, pool, k, seed, **options)[:2]


def answer(
    method_key: str, pool: Pool, k: int, seed: int, **options: object
) -> tuple[np.ndarray, np.ndarray | None, dict[str, object]]:
    """Choose as `weighted` does, and say of a solver's answer how good it is.

    Returns:
        Row numbers and weights as `weighted` has them, and SOLVED by name, empty where the
        method is no solver.

    Raises:
        ValueError: As `weighted`.
    """
    method = get(method_key)
    _check_options(method, options)
    for name in method.needs:
        if not pool.has(name):
            wanted = name.replace("|", " or ")
            raise StudyError(f"{method_key} needs {wanted}, which this pool lacks")
    if method.by_class:
        check_labels(pool.labels)
    k = check_k(k, pool.n)
    chosen = method.pick(pool, k, np.random.default_rng(seed), **options)
    facts: dict[str, object] = {}
    if isinstance(chosen, OptimizeResult):
        facts, chosen = {name: chosen.get(name) for name in SOLVED}, chosen.indices
    rows, weights = chosen if method.is_weighted else (chosen, None)
    return np.asarray(rows, dtype=np.int64), weights, facts


def select(method_key: str, pool: Pool, k: int, seed: int, **options: object) -> np.ndarray:
    """Choose k examples of a pool by a registered method: the row numbers of `weighted`."""
    return weighted(method_key, pool, k, seed, **options)[0]
