"""Specs of single runs and choices: what the parameters make of a question, for one seed."""

from __future__ import annotations

import dataclasses

from helpers import StudyError, recipes, specs
from helpers.config import Config, recorded
from helpers.selection import registry
from helpers.selection.registry import METHODS
from helpers.specs import Sampler, Select, Train

# Selection by LP + truncated power uses the median distance as bandwidth: at 1, as printed,
# the kernel of spread-out features vanishes (see notebook 03).
METHOD_OPTIONS: dict[str, tuple[specs.Option, ...]] = {"iqp": (("bandwidth", "median"),)}
# The labelled rows cover the pool too, so that a round does not choose beside them again.
ACTIVE_OPTIONS: dict[str, tuple[specs.Option, ...]] = {"k-centers": (("centres", "start"),)}
# Without batch norm the study's rates are too high (trials on digits and CIFAR-10).
WITHOUT_NORM = ("alexnet", "vgg11-plain")
# A training step passes forward and, at twice the cost, backward; scoring passes forward only.
FORWARD_SHARE = 1 / 3


def depth_run(config: Config, model: str, seed: int) -> Train:
    """Return training of one network on everything, with its trace."""
    recipe = recipes.gentle(config.recipe) if model.startswith(WITHOUT_NORM) else config.recipe
    record_at = recorded(config.epochs, config.stops)
    return Train(config.data_name, model, recipe, config.epochs, seed, record_at=record_at)


def untrained_run(config: Config, model: str, seed: int) -> Train:
    """Return a network that is scored before its first epoch: what a choice at epoch 0 sees."""
    return Train(config.data_name, model, config.recipe, 1, seed, record_at=(0,))


def choice(
    config: Config,
    method: str,
    budget: float,
    seed: int,
    by: str = "",
    options: tuple[specs.Option, ...] = (),
) -> Select:
    """Return a selection by a method from the run of model `by` (the proxy by default)."""
    of = (depth_run(config, by or config.proxy, seed),) if METHODS[method].needs else ()
    options = METHOD_OPTIONS.get(method, ()) + options
    return Select(config.data_name, method, budget, seed, of, options=options)


def subset_run(config: Config, model: str, chosen: Select, epochs: int = 0) -> Train:
    """Return training of a network on a selection, with the selection's seed."""
    epochs = epochs or config.epochs
    return Train(config.data_name, model, config.recipe, epochs, chosen.seed, subset=chosen)


def round_run(config: Config, model: str, labelled: Select) -> Train:
    """Return training of a network on the rows labelled so far, scoring all others at its end."""
    run = subset_run(config, model, labelled)
    return dataclasses.replace(run, record_at=(0, config.epochs))


def active_choice(config: Config, method: str, budget: float, seed: int, by: str = "") -> Select:
    """Return the rows labelled once the budget is reached.

    Args:
        config: The study's parameters.
        method: A method that reads a run: `least-confidence` or `k-centers` in `svp`; or
            `random`, which needs no rounds.
        budget: Share of all training rows labelled, initial rows included: one of
            `config.label_budgets`, each of which ends a round.
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
        `config.initial_share`, and a round ends at every budget, to the row.
    """
    if budget not in config.label_budgets:
        known = ", ".join(f"{b:g}" for b in config.label_budgets)
        raise StudyError(f"budget must be one of label_budgets {known}, got {budget:g}")
    if method == "random":
        return choice(config, method, budget, seed)
    _check_unlabelled(method)
    done = config.initial_share
    labelled = Select(config.data_name, "random", done, seed)
    for end in config.label_budgets[: config.label_budgets.index(budget) + 1]:
        of = (round_run(config, by or config.proxy, labelled),)
        share = (end - done) / (1 - done)
        options = METHOD_OPTIONS.get(method, ()) + ACTIVE_OPTIONS.get(method, ())
        options += (("labelled", end),)
        labelled = Select(config.data_name, method, share, seed, of, labelled, options)
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


def active_run(config: Config, method: str, budget: float, seed: int, by: str = "") -> Train:
    """Return the target trained on the rows labelled once the budget is reached.

    Where the target itself chooses (`by`), this is also its training of the next round.
    """
    chosen = active_choice(config, method, budget, seed, by)
    if by == config.target and method != "random":
        return round_run(config, by, chosen)
    return subset_run(config, config.target, chosen)


def start_run(config: Config, model: str, seed: int) -> Train:
    """Return M0 of `budgeted` Algorithm 1: trained on the labelled start set."""
    start = Select(config.data_name, "random-per-class", config.start_share, seed)
    run = subset_run(config, model, start)
    return dataclasses.replace(run, record_at=(0, config.epochs), keep_weights=True)


def budgeted_run(
    config: Config,
    model: str,
    method: str,
    budget: float,
    seed: int,
    options: tuple[specs.Option, ...] = (),
) -> Train:
    """Return M0 tuned further on the start set and `budget` of the pool (Algorithm 1)."""
    first = start_run(config, model, seed)
    of = (first,) if METHODS[method].needs else ()
    options = METHOD_OPTIONS.get(method, ()) + options
    chosen = Select(config.data_name, method, budget, seed, of, first.subset, options)
    return dataclasses.replace(subset_run(config, model, chosen), init=first)


def sampled_run(
    config: Config,
    model: str,
    name: str,
    seed: int,
    options: tuple[specs.Option, ...] = (),
    by: str = "",
    epochs: int = 0,
) -> Train:
    """Return a network trained through a sampler: `ids`, `adonis`, `repeated-random`, ...

    IDS embeds with the finished run of `by` (the network itself by default), or with one of so
    many epochs, and takes `config.keep` and `config.switch`.
    """
    of: tuple[Train, ...] = ()
    given = dict(options)
    if name.startswith("ids"):
        of = (depth_run(config, by or model, seed),)
        if epochs:
            of = (dataclasses.replace(of[0], epochs=epochs, record_at=recorded(epochs)),)
        given = {"keep": config.keep, "switch": config.switch} | given
    sampler = Sampler(name, of, tuple(sorted(given.items())))
    return Train(config.data_name, model, config.recipe, config.epochs, seed, sampler=sampler)


def weight(config: Config, model: str) -> float:
    """Return an example's multiply-adds in a network over those in the target."""
    from helpers.models import multiply_adds

    return multiply_adds(model) / multiply_adds(config.target)


def equal_steps(config: Config, budget: float) -> int:
    """Return the epochs in which a subset makes as many steps as everything in the study's."""
    return max(round(config.epochs / budget), 1)


def equal_bill(config: Config, method: str, budget: float) -> int:
    """Return the epochs, at least one, in which choosing and training cost what full training does.

    Choosing costs nothing, one epoch of the proxy (norms of the untrained network), or E epochs
    and a forward pass of it; an epoch of the proxy costs one of the target over the cost ratio.

    Note: the bill is known before anything runs, so that the run has a fixed description; `frame`
        tells the seconds that it took.
    """
    needs = METHODS[method].needs
    ratio = 1 / config.cost_ratio if config.cost_ratio else weight(config, config.proxy)
    epochs = 1 if needs == ("norms",) else config.epochs + FORWARD_SHARE
    return max(round((config.epochs - (ratio * epochs if needs else 0)) / budget), 1)


def longer_epochs(config: Config, budget: float) -> int:
    """Return for how many epochs the target can train on a subset for the price of a selection.

    A method that reads the finished proxy costs E epochs of the proxy on all n rows, one forward
    pass of it over them, and E epochs of the target on b n rows. In passes of the target, forward
    and backward, with r the proxy's multiply-adds over the target's: r n (E + 1/3) + E b n.
    Spent on b n rows alone, that is E + r (E + 1/3) / b epochs, here rounded, and one epoch more
    than E where a tiny proxy would not pay for one.

    Note: the work is known before anything runs, so that the run has a fixed description. The
        arithmetic of the selection itself is left out, and a small network reaches less of a
        machine's speed than its multiply-adds promise: `frame` tells the seconds of both.
    """
    extra = weight(config, config.proxy) * (config.epochs + FORWARD_SHARE) / budget
    return config.epochs + max(round(extra), 1)
