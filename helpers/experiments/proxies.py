"""Runs with other proxies: more networks, stopped early, ranked together, other uncertainties."""

from __future__ import annotations

import dataclasses

from helpers import StudyError, recipes
from helpers.config import Config, recorded
from helpers.experiments.core_sets import choice, depth_run, ranked_by, subset_run
from helpers.specs import Select, Train

BRIEF_METHODS = ("forgetting", "entropy")
UNCERTAINTIES = ("least-confidence", "margin", "entropy")
ENSEMBLE_SIZES = (2, 3)
SPRINT = "sprint"  # the recipe of `scale.quick_proxy`


def selectors(scale: Config) -> tuple[str, ...]:
    """Return the networks that select: the proxy, further ones, and the target itself."""
    return tuple(dict.fromkeys((scale.proxy, *scale.more_proxies, scale.target)))


def proxy_budgets(scale: Config) -> tuple[float, ...]:
    """Return the budgets at which kinds of proxies are compared, in ascending order."""
    return tuple(sorted(scale.budgets))[: scale.n_proxy_budgets]


def proxy_runs(scale: Config) -> list[Train]:
    """Return the target on what `scale.more_proxies` select (`svp` Table 2, its other rows)."""
    return [
        subset_run(scale, scale.target, choice(scale, method, budget, seed, by))
        for seed in scale.seeds
        for by in selectors(scale)
        if by not in (scale.proxy, scale.target)
        for method in ranked_by(scale)
        for budget in proxy_budgets(scale)
    ]


def single_runs(scale: Config) -> list[Train]:
    """Return the target on what one whole proxy selects and on random rows, to compare with."""
    cells = [("random", budget) for budget in scale.budgets]
    cells += [(method, budget) for method in BRIEF_METHODS for budget in proxy_budgets(scale)]
    return [
        subset_run(scale, scale.target, choice(scale, method, budget, seed))
        for seed in scale.seeds
        for method, budget in dict.fromkeys([*cells, ("forgetting", 0.5)])
    ]


def brief_choice(
    scale: Config, method: str, budget: float, seed: int, by: str = "", after: int = 1
) -> Select:
    """Return a selection by a proxy as it stood after so many epochs.

    Args:
        scale: The study's parameters.
        method: `forgetting`, `least-confidence`, `margin` or `entropy`.
        budget: Share of the training rows.
        seed: Of the proxy's run and of ties.
        by: The network that chooses; the proxy by default.
        after: Epochs that count. Uncertainties need a recorded one: `scale.stops` are.

    Raises:
        StudyError: If `after` is not recorded.

    Source: `svp` section 3.3 and Table 3.

    Note: nothing is trained again: the trace of the whole run gives the scores, its clock at
        that epoch the cost. So the learning rate is still as high as it is at that point.
    """
    known = recorded(scale.epochs, scale.stops)
    if after not in known:
        epochs = ", ".join(map(str, known))
        raise StudyError(f"after must be one of the recorded epochs {epochs}, got {after}")
    return choice(scale, method, budget, seed, by, (("after", after),))


def brief_runs(scale: Config) -> list[Train]:
    """Return the target on what proxies select that were stopped early (`svp` Table 3).

    Half of the rows by forgetting events is the cell that `svp` section 3.3 tells the time of.
    A stop that a shorter study does not reach is left out.
    """
    cells = [(method, budget) for method in BRIEF_METHODS for budget in proxy_budgets(scale)]
    cells = list(dict.fromkeys([*cells, ("forgetting", 0.5)]))
    return [
        subset_run(scale, scale.target, brief_choice(scale, method, budget, seed, after=stop))
        for seed in scale.seeds
        for stop in scale.stops
        if stop < scale.epochs
        for method, budget in cells
    ]


def ensemble_choice(
    scale: Config,
    method: str,
    budget: float,
    seed: int,
    n_proxies: int,
    by: str = "",
    after: int | None = None,
) -> Select:
    """Return a selection by the mean rank over proxies of several seeds.

    Args:
        scale: The study's parameters.
        method: As for `brief_choice`.
        budget: Share of the training rows.
        seed: Of the first proxy, of ties, and of the target's run; the other proxies have the
            seeds that follow, the first one again after the last, so that all are runs that
            `depth_runs` asks for.
        n_proxies: How many, at most `scale.n_seeds`.
        by: The network that chooses; the proxy by default.
        after: Epochs after which each proxy was stopped; all by default.

    Raises:
        StudyError: If there are fewer seeds than proxies asked for.

    Source: `svp-slides`, ensembles of two and three ResNet20.

    Note: with as many proxies as seeds the seeds share one ensemble, and differ in ties and in
        the target's run only.
    """
    if not 1 <= n_proxies <= scale.n_seeds:
        raise StudyError(f"n_proxies must lie in 1..{scale.n_seeds} (n_seeds), got {n_proxies}")
    first = seed - scale.first_seed
    seeds = [scale.first_seed + (first + i) % scale.n_seeds for i in range(n_proxies)]
    of = tuple(depth_run(scale, by or scale.proxy, one) for one in seeds)
    options = (() if after is None else (("after", after),)) + (("combine", "rank"),)
    return Select(scale.data_name, method, budget, seed, of, options=options)


def ensemble_runs(scale: Config) -> list[Train]:
    """Return the target on what two and three proxies select together (`svp-slides`)."""
    return [
        subset_run(scale, scale.target, ensemble_choice(scale, method, budget, seed, size))
        for seed in scale.seeds
        for size in ENSEMBLE_SIZES
        if size <= scale.n_seeds
        for method in ("entropy", "forgetting")
        for budget in proxy_budgets(scale)
    ]


def own_batch_choice(scale: Config, budget: float, seed: int) -> Select:
    """Return a selection by a proxy that trained with a batch size of its own.

    Args:
        scale: The study's parameters; `own_batch` is that batch.
        budget: Share of the training rows.
        seed: Of the proxy's run and of ties.

    Source: `svp` sections 3.2 and A.1: least confidence, a batch that suits the smaller network.

    Note: `svp` estimates what such a batch would save and does not train with it. The rate grows
        with the batch here.
    """
    shared = choice(scale, "least-confidence", budget, seed)
    (run,) = shared.of
    own = dataclasses.replace(run, recipe=recipes.with_batch(run.recipe, scale.own_batch))
    return dataclasses.replace(shared, of=(own,))


def own_batch_runs(scale: Config) -> list[Train]:
    """Return the target on what the proxy selects with its own and with the shared batch size.

    Only at the smallest budget, and only where the scale gives the proxy a batch of its own.
    """
    if not scale.own_batch:
        return []
    budget = proxy_budgets(scale)[0]
    return [
        subset_run(scale, scale.target, chosen)
        for seed in scale.seeds
        for chosen in (
            choice(scale, "least-confidence", budget, seed),
            own_batch_choice(scale, budget, seed),
        )
    ]


def quick_choice(scale: Config, budget: float, seed: int) -> Select:
    """Return a selection by entropy of a proxy made for speed, a few epochs of its own recipe.

    Args:
        scale: The study's parameters; `quick_proxy` is that network.
        budget: Share of the training rows.
        seed: Of the proxy's run and of ties.

    Source: ours; `svp` asks how cheap a proxy may be, cifar10-airbench (arXiv:2404.00498) how
        soon a network is trained.
    """
    epochs = recipes.get(SPRINT).epochs
    made = (scale.quick_proxy, recipes.like(scale.recipe, SPRINT), epochs, seed)
    run = Train(scale.data_name, *made, record_at=recorded(epochs))
    return Select(scale.data_name, "entropy", budget, seed, (run,))


def quick_runs(scale: Config) -> list[Train]:
    """Return the target on what the proxy made for speed selects, where the scale has one."""
    return [
        subset_run(scale, scale.target, quick_choice(scale, budget, seed))
        for seed in scale.seeds
        for budget in proxy_budgets(scale)
        if scale.quick_proxy
    ]


def metric_choice(
    scale: Config, method: str, budget: float, seed: int, correct_only: bool = False
) -> Select:
    """Return a selection by an uncertainty of the proxy.

    With correct_only, rows that the proxy gets wrong come last (`svp-slides`, code).
    """
    options = (("correct_only", True),) if correct_only else ()
    return choice(scale, method, budget, seed, options=options)


def metric_runs(scale: Config) -> list[Train]:
    """Return confidence, margin and entropy side by side (`svp-slides`).

    The smallest budget also ranks only what the proxy gets right: there the rows that it gets
    wrong are the largest part of a choice.
    """
    cells = [(method, budget, False) for method in UNCERTAINTIES for budget in scale.budgets]
    cells += [(method, min(scale.budgets), True) for method in UNCERTAINTIES]
    return [
        subset_run(scale, scale.target, metric_choice(scale, method, budget, seed, only))
        for seed in scale.seeds
        for method, budget, only in cells
    ]
