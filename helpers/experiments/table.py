"""Training results as a tidy table."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from helpers.selection.registry import METHODS
from helpers.specs import Train
from helpers.store import Result


def frame(wanted: Sequence[Train], found: Sequence[Result], question: str = "") -> pd.DataFrame:
    """Lay training results out as a tidy table, one run a row.

    Args:
        wanted: Specs, as asked for.
        found: Their results, in the same order.
        question: Text for the column of that name.

    Returns:
        Columns question, method, label, budget (share asked), kept (rows trained on), seed,
        model, selector, epochs, test_error (percent), seconds (training), select_seconds
        (proxy and selection), forward, backward (examples), alone.
    """
    return pd.DataFrame([_row(s, r, question) for s, r in zip(wanted, found, strict=True)])


def _row(spec: Train, result: Result, question: str) -> dict[str, object]:
    from helpers import results

    method, label, selector, select_s = "full", "Full set", "", 0.0
    if spec.subset is not None:
        method, label = spec.subset.method, METHODS[spec.subset.method].label
        selector = spec.subset.of[0].model if spec.subset.of else ""
        chosen = results.load(spec.subset)
        if chosen is not None:
            select_s = chosen.metrics["seconds"] + chosen.metrics["proxy_seconds"]
    if spec.sampler is not None:
        method, label = spec.sampler.name, spec.sampler.name.upper()
    history = result.metrics["history"]
    return {
        "question": question,
        "method": method,
        "label": label,
        "budget": spec.subset.budget if spec.subset else 1.0,
        "kept": result.metrics["n_train"],
        "seed": spec.seed,
        "model": spec.model,
        "selector": selector,
        "epochs": spec.epochs,
        "test_error": 100 * (1 - result.metrics["test_acc"]),
        "seconds": result.metrics["seconds"],
        "select_seconds": select_s,
        "forward": history["forward"][-1],
        "backward": history["backward"][-1],
        "alone": result.metrics["alone"],
    }
