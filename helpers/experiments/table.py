"""Training results as a tidy table."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from helpers import results
from helpers.results.readings import error_of, seconds_of
from helpers.results.store import Result
from helpers.selection.registry import METHODS
from helpers.specs import Select, Train, rounds

# How readers are told of what the registry's methods are not; figures and tables share it.
RUN_LABELS = {
    "full": "Full set",
    "repeated-random": "Random, new every epoch",
    "adonis": "ADONIS",
    "ids+adonis": "IDS + ADONIS",
    "selective-backprop": "Selective Backprop",
}
# Options that say which runs a choice reads, not how it ranks: they have columns of their own.
SELECTOR_OPTIONS = ("after", "combine", "centres", "labelled")

COLUMNS = (
    *("question", "method", "label", "budget", "share", "kept", "seed", "data", "model"),
    "selector",
    *("selector_epochs", "n_selectors", "options", "epochs", "test_error", "seconds"),
    *("select_seconds", "total_seconds", "forward", "backward", "alone"),
)


def frame(wanted: Sequence[Train], found: Sequence[Result], question: str = "") -> pd.DataFrame:
    """Lay training results out as a tidy table, one run a row; `COLUMNS` stand without rows too.

    Args:
        wanted: Specs, as asked for.
        found: Their results, in the same order.
        question: Text for the column of that name.

    Returns:
        Columns question, method, label, budget (share asked of the pool), share (of all
        training rows, those of earlier rounds included), kept (rows trained on), seed, data, model,
        selector, selector_epochs (trained before it selected; 0 without one), n_selectors,
        options (text; the selector's recipe among them where it has another one), epochs,
        test_error (percent; RMSE of numbers), seconds (training), select_seconds (all selecting
        before and beside it: proxies, earlier rounds, a sampler's embedding), total_seconds
        (both), forward, backward (examples), alone (of training and selecting).

    Raises:
        StudyError: If a selection's result is neither stored nor published.
    """
    rows = [_row(s, r, question) for s, r in zip(wanted, found, strict=True)]
    return pd.DataFrame(rows, columns=None if rows else list(COLUMNS))


def _row(spec: Train, result: Result, question: str) -> dict[str, object]:
    history = result.metrics["history"]
    select_s, alone = _selecting(spec)
    return {
        "question": question,
        **asked(spec),
        "kept": result.metrics["n_train"],
        "seed": spec.seed,
        "data": spec.dataset,
        "model": spec.model,
        **_selector(spec),
        "epochs": spec.epochs,
        "test_error": error_of(result),
        "seconds": result.metrics["seconds"],
        "select_seconds": select_s,
        "total_seconds": select_s + result.metrics["seconds"],
        "forward": history["forward"][-1],
        "backward": history["backward"][-1],
        "alone": result.metrics["alone"] and alone,
    }


def asked(spec: Train) -> dict[str, object]:
    """Return method, label, budget and share of a run."""
    budget, share, method = 1.0, 1.0, "full"
    if spec.subset is not None:
        method, budget = spec.subset.method, spec.subset.budget
        shares = [step.budget for step in rounds(spec.subset)]
        counted = any(isinstance(one, int) for one in shares)
        share = math.nan if counted else round(1 - math.prod(1 - one for one in shares), 9)
    if spec.sampler is not None:
        method = spec.sampler.name
        if method == "repeated-random":
            budget = share = dict(spec.sampler.options)["keep"]
    label = RUN_LABELS.get(method) or (METHODS[method].label if method in METHODS else method)
    return {"method": method, "label": label, "budget": budget, "share": share}


def _selector(spec: Train) -> dict[str, object]:
    """Return which runs chose a run's rows, and with which options."""
    chosen = spec.subset
    of = chosen.of if chosen else ()
    options = dict(chosen.options) if chosen else {}
    plain = [f"{k}={v}" for k, v in options.items() if k not in SELECTOR_OPTIONS]
    plain += [f"recipe={run.recipe}" for run in of[:1] if run.recipe != spec.recipe]
    return {
        "selector": of[0].model if of else "",
        "selector_epochs": options.get("after", of[0].epochs) if of else 0,
        "n_selectors": len(of),
        "options": ", ".join(plain),
    }


def trained_for(step: Select) -> int | None:
    """Return the epochs that a choice needs of the runs it reads, None for all.

    Note: gradient norms are those of the untrained network. Their single pass over the rows was
        not timed by itself; one epoch, charged in its place, is more than it costs.
    """
    first_only = METHODS[step.method].needs == ("norms",)
    return dict(step.options).get("after", 1 if first_only else None)


def seconds_of_choice(step: Select) -> tuple[float, list[Result]]:
    """Return seconds of a choice with the runs it reads, earlier rounds left out, and all these.

    The runs are charged what is stored of them now: one measured again on a quiet machine
    corrects all choices that read it.

    Raises:
        StudyError: If one of them is neither stored nor published.
    """
    chosen, *read = results.get(step), *(results.get(run) for run in step.of)
    spent = sum(seconds_of(run, trained_for(step)) for run in read)
    return chosen.metrics["seconds"] + spent, [chosen, *read]


def _selecting(spec: Train) -> tuple[float, bool]:
    """Return the seconds spent on choosing rows, and whether all of it had the machine alone."""
    chosen = [seconds_of_choice(step) for step in rounds(spec.subset)]
    embedded = [results.get(run) for run in spec.sampler.of] if spec.sampler else []
    spent = [*(seconds for seconds, _ in chosen), *(run.metrics["seconds"] for run in embedded)]
    used = [*(one for _, found in chosen for one in found), *embedded]
    return float(sum(spent)), all(one.metrics["alone"] for one in used)
