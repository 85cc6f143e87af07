"""Linear and integer programs through PuLP: build and solve, timed, with an honest status."""

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from scipy.optimize import OptimizeResult

from helpers import StudyError
from helpers.checks import check_choice

SOLVERS = ("highs", "cbc")
Parts = tuple[Any, list[Any]]  # a pulp.LpProblem and the variables to read out


@dataclass(frozen=True)
class Model:
    """A program that is written but not solved."""

    problem: Any  # pulp.LpProblem
    variables: list[Any]  # of pulp.LpVariable
    seconds: float  # spent on writing it


def build(write: Callable[[], Parts]) -> Model:
    """Call write() and keep its program with the seconds it took."""
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of names that PuLP 4 will move
        problem, variables = write()
    return Model(problem, variables, time.perf_counter() - start)


def solve(model: Model, solver: str = "highs", time_limit: float = 60.0) -> OptimizeResult:
    """Solve a program by HiGHS or CBC; the variables of the model then hold the answer.

    Args:
        model: What `build` returned.
        solver: "highs" (in process) or "cbc" (a program that PuLP brings along).
        time_limit: Seconds allowed to the solver.

    Returns:
        OptimizeResult with objective and fun (the program's value), bound and gap (relative;
        both None where the solver does not tell), iterations and nit (None: PuLP does not pass
        them on), seconds, seconds_build, status ("optimal" or "feasible"), message, success
        (proven optimal). Callers add `indices` from the variables.

    Raises:
        ValueError: If the solver is unknown, or no answer was found in the time allowed.
    """
    import pulp

    check_choice(solver, SOLVERS, "solver")
    make = {"highs": pulp.HiGHS, "cbc": pulp.PULP_CBC_CMD}[solver]
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of names that PuLP 4 will move
        model.problem.solve(make(msg=False, timeLimit=time_limit, gapRel=0.0))
    seconds = time.perf_counter() - start
    # pulp.LpStatus says "Optimal" on a time-out; sol_status alone can be trusted.
    status = model.problem.sol_status
    is_optimal = status == pulp.LpSolutionOptimal
    # A linear program stopped early is called feasible whatever its values are.
    is_feasible = status == pulp.LpSolutionIntegerFeasible and _holds(model.problem)
    if not is_optimal and not is_feasible:
        raise StudyError(f"{solver} found no answer within {time_limit:g} s")
    value = float(pulp.value(model.problem.objective))
    bound = value if is_optimal else _bound(model.problem, solver)
    gap = None if bound is None else abs(value - bound) / max(abs(value), 1e-12)
    return OptimizeResult(
        objective=value,
        fun=value,
        iterations=None,
        nit=None,
        success=is_optimal,
        status="optimal" if is_optimal else "feasible",
        message="proven optimal" if is_optimal else f"stopped after {time_limit:g} s",
        bound=bound,
        gap=gap,
        seconds=seconds,
        seconds_build=model.seconds,
    )


def _holds(problem: Any) -> bool:
    """Say whether the values meet every constraint."""
    if any(variable.value() is None for variable in problem.variables()):
        return False
    return bool(problem.valid(1e-6))


def _bound(problem: Any, solver: str) -> float | None:
    """Return the bound proven on the objective; only HiGHS tells it, for integer programs."""
    if solver != "highs" or not problem.isMIP():
        return None
    # PuLP hands HiGHS every program as a minimisation; sense is -1 where it maximises.
    return float(problem.sense * problem.solverModel.getInfo().mip_dual_bound)
