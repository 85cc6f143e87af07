"""Scores that the trace of a finished run gives: at its end, at an epoch, of several runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from helpers import StudyError, scores, specs
from helpers.store import Result

# Method -> score (n,) of probabilities (n, c), and of what the trace recorded at an epoch.
Score = Callable[[np.ndarray], np.ndarray]
OF_PROBS: dict[str, Score] = {
    "least-confidence": scores.least_confidence,
    "margin": scores.margin,
    "entropy": scores.entropy,
}
OF_RECORD: dict[str, tuple[str, Score]] = {
    "least-confidence": ("confidence", lambda sure: 1 - sure),
    "margin": ("margin", lambda gap: 1 - gap),
    "entropy": ("entropy", lambda value: value),
}


def traced(result: Result, name: str, give: str) -> np.ndarray:
    """Return an array of a run.

    Raises:
        StudyError: If the run did not keep it, saying what to `give` its spec.
    """
    if name not in result.arrays:
        raise StudyError(f"{specs.describe(result.spec)} kept no {name}: give it {give}")
    return result.arrays[name]


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return row-wise softmax (n, c) in float64."""
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


def forgetting_of(run: Result, n: int, epochs: int | None = None) -> np.ndarray:
    """Return forgetting counts (n,) from a run's bits, never learned = inf."""
    correct = np.unpackbits(run.arrays["correct"][:epochs], axis=1, count=n).astype(bool)
    visited = np.unpackbits(run.arrays["visited"][:epochs], axis=1, count=n).astype(bool)
    return scores.forgetting_events(correct, visited)


def seconds_of(run: Result, after: int | None = None) -> float:
    """Return the seconds a run trained, or those of its first `after` epochs."""
    if after is None:
        return run.metrics["seconds"]
    return float(run.metrics["history"]["seconds"][after - 1]) if after else 0.0


def score(method: str, run: Result, n: int, after: int | None = None) -> np.ndarray:
    """Return by what a method ranks the rows, as one run sees them.

    Args:
        method: `forgetting`, `least-confidence`, `margin` or `entropy`.
        run: A run with its trace.
        n: Training rows of the data set.
        after: Take the run as it stood after so many epochs; None takes its end.

    Returns:
        Shape (n,), float64; larger = keep first; never learned = inf.

    Raises:
        StudyError: If the method ranks by something else, or the trace lacks the epoch.

    Source: `svp` section 3.3 and Table 3, proxies trained for fewer epochs.

    Note: uncertainties of an earlier epoch were stored in float16. The run was stopped on its
        way through the whole learning-rate schedule, not trained by a shorter one.
    """
    if method == "forgetting":
        _check_epoch(run, after, range(1, len(run.arrays["correct"]) + 1))
        return forgetting_of(run, n, after)
    if method not in OF_PROBS:
        known = ", ".join(("forgetting", *OF_PROBS))
        raise StudyError(f"after and combine rank by a score: {known}; not {method}")
    if after is None:
        logits = traced(run, "logits", "record_at epochs")
        return OF_PROBS[method](softmax(logits.astype(np.float64)))
    recorded = traced(run, "recorded_epochs", "record_at epochs").tolist()
    _check_epoch(run, after, recorded)
    name, of_record = OF_RECORD[method]
    return of_record(run.arrays[name][recorded.index(after)].astype(np.float64))


def _check_epoch(run: Result, after: int | None, known: Sequence[int]) -> None:
    """Raise one line unless the trace of a run knows the epoch."""
    if after is not None and after not in known:
        among = f"{known[0]}..{known[-1]}" if isinstance(known, range) else str(known)
        raise StudyError(
            f"after must be among the epochs {among} of {specs.describe(run.spec)}, got {after!r}"
        )


def combined(
    method: str,
    runs: Sequence[Result],
    n: int,
    rows: np.ndarray,
    after: int | None = None,
    combine: str | None = None,
) -> np.ndarray:
    """Return by what a method ranks a pool, from one run or several.

    Args:
        method: As for `score`.
        runs: Runs with their traces.
        n: Training rows of the data set.
        rows: The pool's row numbers, shape (m,).
        after: As for `score`.
        combine: `"rank"` takes the mean rank over the runs; None takes a single run's score.

    Returns:
        Shape (m,), float64; larger = keep first.

    Raises:
        StudyError: As `score`; if combine is neither; if several runs are not combined.

    Source: `svp-slides`, ensembles of small proxies.
    """
    if combine not in (None, "rank"):
        raise StudyError(f"combine must be rank, got {combine!r}")
    found = [score(method, run, n, after)[rows] for run in runs]
    if combine:
        return scores.combine_ranks(found)
    if len(found) != 1:
        raise StudyError(f"{len(found)} runs are ranked together with combine=rank only")
    return found[0]
