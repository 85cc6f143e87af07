"""Runs of notebook 05: samplers that choose while training (`adonis`)."""

from __future__ import annotations

from collections.abc import Callable

from helpers.config import Config
from helpers.experiments.core_sets import choice, depth_run, subset_run
from helpers.selection.registry import METHODS
from helpers.specs import Sampler, Train


def online_run(scale: Config, name: str, seed: int, **options: object) -> Train:
    """Return the proxy network trained through a sampler (`adonis`).

    Args:
        scale: The study's parameters.
        name: `full`, a subset method (`random`, `random-per-class` at IDS's share), or a
            sampler: `ids`, `adonis`, `ids+adonis`, `selective-backprop`.
        seed: Of the run.
        **options: The sampler's own.
    """
    full = depth_run(scale, scale.proxy, seed)
    if name == "full":
        return full
    if name in METHODS and not name.startswith("ids"):
        return subset_run(scale, scale.proxy, choice(scale, name, scale.keep, seed))
    of: tuple[Train, ...] = ()
    if name.startswith("ids"):
        of = (full,)
        options = {"keep": scale.keep, "switch": scale.switch} | options
    sampler = Sampler(name, of, tuple(sorted(options.items())))
    return Train(scale.data_name, scale.proxy, scale.recipe, scale.epochs, seed, sampler=sampler)


def online_settings(scale: Config) -> dict[str, Callable[[int], Train]]:
    """Return label -> seed -> run for the comparison of `adonis` Table A1."""

    def run(name: str, **options: object) -> Callable[[int], Train]:
        return lambda seed: online_run(scale, name, seed, **options)

    found = {"Full": run("full"), "IDS": run("ids")}
    found |= {f"ADONIS, eta {eta}": run("adonis", eta=eta) for eta in scale.etas}
    last = max(scale.etas)
    found |= {f"IDS + ADONIS, eta {eta}": run("ids+adonis", eta=eta) for eta in sorted({1, last})}
    found |= {"Selective Backprop": run("selective-backprop", eta=1)}
    found |= {"Stale-SB": run("selective-backprop", eta=2)}
    found |= {"Random per class (RPC)": run("random-per-class"), "Random (RPD)": run("random")}
    return found


def online_runs(scale: Config) -> list[Train]:
    """Return every setting of the comparison with every seed."""
    settings = online_settings(scale)
    return [setting(seed) for seed in scale.seeds for setting in settings.values()]


def sweep_runs(scale: Config) -> list[Train]:
    """Return the sweeps over theta, alpha and, at sigma = 2, theta (`adonis` Appendix B)."""
    settings: list[dict[str, object]] = [{"theta": theta} for theta in scale.thetas]
    settings += [{"alpha": alpha} for alpha in scale.alphas]
    settings += [{"sigma": 2.0, "theta": theta} for theta in scale.thetas if theta in (0.1, 0.12)]
    return [
        online_run(scale, "adonis", seed, eta=1, **options)
        for seed in scale.seeds
        for options in settings
    ]
