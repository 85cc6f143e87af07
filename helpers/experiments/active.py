"""Runs of active learning: rounds of labelling, the proxy trained anew in each (`svp` 2.1, 3.2)."""

from __future__ import annotations

from helpers import StudyError, specs
from helpers.config import Config
from helpers.experiments.core_sets import METHOD_OPTIONS, choice, compared_methods, subset_run
from helpers.experiments.proxies import selectors
from helpers.selection import registry
from helpers.specs import Select, Train

ACTIVE_METHODS = ("least-confidence", "k-centers")

# The labelled rows cover the pool too, so that a round does not choose beside them again.
ACTIVE_OPTIONS: dict[str, tuple[specs.Option, ...]] = {"k-centers": (("centres", "start"),)}


def initial_choice(scale: Config, seed: int) -> Select:
    """Return the random rows that are labelled before the first round."""
    return Select(scale.data_name, "random", scale.initial_share, seed)


def round_run(scale: Config, model: str, labelled: Select) -> Train:
    """Return training of a network on the rows labelled so far, scoring all others at its end."""
    return Train(
        scale.data_name,
        model,
        scale.recipe,
        scale.epochs,
        labelled.seed,
        subset=labelled,
        record_at=(0, scale.epochs),
    )


def active_choice(scale: Config, method: str, budget: float, seed: int, by: str = "") -> Select:
    """Return the rows labelled once the budget is reached.

    Args:
        scale: The study's parameters.
        method: A method that reads a run: `least-confidence` or `k-centers` in `svp`; or
            `random`, which needs no rounds.
        budget: Share of all training rows labelled, initial rows included: one of
            `scale.label_budgets`, each of which ends a round.
        seed: Of the initial rows, the proxies and the choices.
        by: The network that chooses; the proxy by default.

    Returns:
        A choice whose `start` is that of the round before, down to the initial rows. Its own
        budget is the round's share of the rows not labelled yet.

    Raises:
        StudyError: If the budget ends no round, or the method does not choose by what a network
            says of rows without labels.

    Source: `svp` section 2.1: batches, the network re-initialised and trained on all labelled
        rows each round, greedy k-centers (Algorithm 1) from the labelled rows.

    Note: `svp` does not state its initial pool and rounds. Here the initial pool is
        `scale.initial_share`, and a round ends at every budget, to the row.
    """
    if budget not in scale.label_budgets:
        known = ", ".join(f"{b:g}" for b in scale.label_budgets)
        raise StudyError(f"budget must be one of label_budgets {known}, got {budget:g}")
    if method == "random":
        return choice(scale, method, budget, seed)
    _check_unlabelled(method)
    labelled, done = initial_choice(scale, seed), scale.initial_share
    for end in scale.label_budgets[: scale.label_budgets.index(budget) + 1]:
        of = (round_run(scale, by or scale.proxy, labelled),)
        share = (end - done) / (1 - done)
        options = METHOD_OPTIONS.get(method, ()) + ACTIVE_OPTIONS.get(method, ())
        options += (("labelled", end),)
        labelled = Select(scale.data_name, method, share, seed, of, labelled, options)
        done = end
    return labelled


def _check_unlabelled(method: str) -> None:
    """Raise one line unless a method reads a network's outputs and no labels."""
    entry = registry.get(method)
    reads = {name.split("|")[-1] for name in entry.needs}
    if entry.by_class or not reads or reads - {"probs", "features"}:
        raise StudyError(
            "active learning chooses by probabilities or features of rows without labels; "
            f"{method} does not"
        )


def active_run(scale: Config, method: str, budget: float, seed: int, by: str = "") -> Train:
    """Return the target trained on the rows labelled once the budget is reached.

    Where the target itself chooses (`by`), this is also its training of the next round.
    """
    chosen = active_choice(scale, method, budget, seed, by)
    if by == scale.target and method != "random":
        return round_run(scale, by, chosen)
    return subset_run(scale, scale.target, chosen)


def active_runs(scale: Config) -> list[Train]:
    """Return the target on what every proxy and itself label, and on random rows (Table 1)."""
    cells = [("random", "")]
    asked = [method for method in ACTIVE_METHODS if method in compared_methods(scale)]
    cells += [(method, by) for method in asked for by in selectors(scale)]
    return [
        active_run(scale, method, budget, seed, by)
        for seed in scale.seeds
        for method, by in cells
        for budget in scale.label_budgets
    ]
