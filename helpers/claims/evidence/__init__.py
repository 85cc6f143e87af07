"""What claims judge that is no difference or ratio of two cells: one function a question.

Each takes the study's parameters and returns `verdicts.Evidence`; it raises `Missing` where results
are missing and `Unfit` where they cannot answer.
"""

from collections.abc import Callable

from helpers.claims.evidence import adonis, budgeted, geda, measurements, slides, svp
from helpers.claims.verdicts import Evidence

MODULES = {
    m.__name__.rpartition(".")[2]: m for m in (adonis, budgeted, geda, measurements, slides, svp)
}


def function(name: str) -> Callable[..., Evidence]:
    """Return a function by "module.name"; ValueError if there is none."""
    module, _, own = name.partition(".")
    if not (found := getattr(MODULES.get(module), own, None)):
        raise ValueError(f"no function {name} in helpers.claims.evidence")
    return found
