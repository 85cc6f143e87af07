"""Runs that ask whether the proxy was worth it: chance with the same work (beyond the papers)."""

from __future__ import annotations

from helpers.config import Config
from helpers.experiments.core_sets import choice, subset_run
from helpers.experiments.proxies import ensemble_choice, proxy_budgets
from helpers.specs import Sampler, Select, Train

# A training step passes forward and, at twice the cost, backward; scoring passes forward only.
FORWARD_SHARE = 1 / 3


def weight(scale: Config, model: str) -> float:
    """Return an example's multiply-adds in a network over those in the target."""
    from helpers.models.work import multiply_adds

    return multiply_adds(model) / multiply_adds(scale.target)


def longer_epochs(scale: Config, budget: float) -> int:
    """Return for how many epochs the target can train on a subset for the price of a selection.

    A method that reads the finished proxy costs E epochs of the proxy on all n rows, one forward
    pass of it over them, and E epochs of the target on b n rows. In passes of the target, forward
    and backward, with r the proxy's multiply-adds over the target's: r n (E + 1/3) + E b n.
    Spent on b n rows alone, that is E + r (E + 1/3) / b epochs, here rounded, and one epoch more
    than E where a tiny proxy would not pay for one.

    Args:
        scale: The study's parameters: E epochs, proxy and target.
        budget: Share b of the training rows, in (0, 1].

    Returns:
        Epochs, more than E.

    Note: the work is known before anything runs, so that the run has a fixed description. The
        arithmetic of the selection itself is left out, and a small network reaches less of a
        machine's speed than its multiply-adds promise: `frame` tells the seconds of both.
    """
    extra = weight(scale, scale.proxy) * (scale.epochs + FORWARD_SHARE) / budget
    return scale.epochs + max(round(extra), 1)


def longer_run(scale: Config, budget: float, seed: int) -> Train:
    """Return the target on a random subset, trained as much longer as a selection would cost."""
    chosen = choice(scale, "random", budget, seed)
    epochs = longer_epochs(scale, budget)
    return Train(scale.data_name, scale.target, scale.recipe, epochs, seed, subset=chosen)


def repeated_run(scale: Config, budget: float, seed: int) -> Train:
    """Return the target on a new random subset of the rows every epoch.

    Source: Okanovic et al. (2023), arXiv:2305.18424.
    """
    sampler = Sampler("repeated-random", options=(("keep", budget),))
    return Train(scale.data_name, scale.target, scale.recipe, scale.epochs, seed, sampler=sampler)


def cost_runs(scale: Config) -> list[Train]:
    """Return both opponents of selection, and a fixed random subset, at some of the budgets."""
    return [
        run
        for seed in scale.seeds
        for budget in proxy_budgets(scale)
        for run in (
            subset_run(scale, scale.target, choice(scale, "random", budget, seed)),
            longer_run(scale, budget, seed),
            repeated_run(scale, budget, seed),
        )
    ]


def paid_choice(scale: Config, seed: int, n_proxies: int = 1) -> Select:
    """Return what one proxy, or several together, select by entropy at `scale.paid_share`."""
    if n_proxies == 1:
        return choice(scale, "entropy", scale.paid_share, seed)
    return ensemble_choice(scale, "entropy", scale.paid_share, seed, n_proxies)


def paid_runs(scale: Config) -> list[Train]:
    """Return the target on what one and three proxies select at the share that is paid in full.

    Nothing where the scale names no such share; three proxies need as many seeds.

    Source: `svp-slides`: its conclusion counts the whole bill at 60 % of CIFAR-10, its table sets
        three proxies there against the full data.
    """
    if not scale.paid_share:
        return []
    sizes = [size for size in (1, 3) if size <= scale.n_seeds]
    return [
        subset_run(scale, scale.target, paid_choice(scale, seed, size))
        for seed in scale.seeds
        for size in sizes
    ]
