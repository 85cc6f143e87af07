"""Evidence for the claims of `adonis`: online selection, its boosts and its thresholds.

A boost is full training's seconds over a setting's; points lost are full accuracy less its own.
"""

from __future__ import annotations

import numpy as np

from helpers import experiments as ex
from helpers.claims.stored import (
    BySeed,
    Evidence,
    Missing,
    accuracy,
    each_seed,
    full,
    history,
    measured,
    need,
    parts,
    require_alone,
    seconds,
)
from helpers.experiments import Config
from helpers.results.store import Result

HISTORY = 512  # losses that ADONIS keeps by default
WITHIN = 5.0  # points below the baseline's last accuracy


def setting(scale: Config, name: str, **options: object) -> BySeed:
    """Return seed -> a run through a sampler."""
    return lambda seed: ex.online_run(scale, name, seed, **options)


def adonis(scale: Config, eta: int = 1, **options: object) -> BySeed:
    """Return seed -> an ADONIS run; without options it is that of the comparison."""
    return setting(scale, "adonis", eta=eta, **options)


def lost(scale: Config, run: BySeed) -> np.ndarray:
    """Return points lost against full training, (seeds,)."""
    return accuracy(scale, full(scale, scale.proxy)) - accuracy(scale, run)


def boosts(scale: Config, *runs: BySeed) -> np.ndarray:
    """Return full training's seconds over those of each setting, (settings, seeds)."""
    spent = seconds(scale, full(scale, scale.proxy), *runs)
    return spent[0] / spent[1:]


def both_etas(scale: Config) -> list[int]:
    """Return the etas at which IDS and ADONIS were combined."""
    need(scale.etas, 1)
    return sorted({1, max(scale.etas)})


@measured
def adonis_05(scale: Config) -> Evidence:
    """Pool over the fewest rows back-propagated in an epoch by IDS + ADONIS, (seeds,)."""
    etas = both_etas(scale)

    def shrunk(run: Result) -> float:
        rows = np.diff(history(run, "backward"), prepend=0)
        return run.metrics["n"] / max(rows.min(), 1)

    found = [[shrunk(r) for r in each_seed(scale, setting(scale, "ids+adonis", eta=e))]
             for e in etas]  # fmt: skip
    means = ", ".join(f"eta {e}: {np.mean(row):.2f}x" for e, row in zip(etas, found, strict=True))
    return {"values": np.max(found, axis=0), "note": f"the larger of {means}"}


def stale_gain(scale: Config) -> Evidence:
    """Accuracy at eta 3 less accuracy at eta 1, (seeds,)."""
    need(scale.etas, 1, 3)
    return {"differences": accuracy(scale, adonis(scale, 3)) - accuracy(scale, adonis(scale, 1))}


@measured
def adonis_10(scale: Config) -> Evidence:
    """Accuracy at eta 3 less accuracy at eta 1, (seeds,)."""
    return stale_gain(scale)


@measured
def adonis_12(scale: Config) -> Evidence:
    """Points lost by both methods less the larger single loss, all at eta 1, (seeds,)."""
    need(scale.etas, 1)
    singles = [accuracy(scale, setting(scale, "ids")), accuracy(scale, adonis(scale))]
    both = accuracy(scale, setting(scale, "ids+adonis", eta=1))
    return {"differences": np.min(singles, axis=0) - both}


@measured
def adonis_13(scale: Config) -> Evidence:
    """Points lost by every variant at the paper's defaults, (settings, seeds)."""
    variants = {"IDS": setting(scale, "ids")}
    variants |= {f"ADONIS eta {eta}": adonis(scale, eta) for eta in scale.etas}
    variants |= {
        f"both eta {eta}": setting(scale, "ids+adonis", eta=eta) for eta in both_etas(scale)
    }
    differences = [lost(scale, run) for run in variants.values()]
    return {"differences": differences, "labels": list(variants)}


@measured
def adonis_17(scale: Config) -> Evidence:
    """Train boost of IDS times alpha, (seeds,); the note counts preprocessing in."""
    whole, ids = seconds(scale, full(scale, scale.proxy), setting(scale, "ids"))
    counted = np.median(scale.keep * whole / (ids + whole))
    note = f"{counted:.2f} when training the embedding network is counted in"
    return {"values": scale.keep * whole / ids, "note": note}


def theta_run(scale: Config, theta: float, **options: object) -> BySeed:
    """Return seed -> a run of the sweep over theta."""
    need(scale.thetas, theta)
    return adonis(scale, theta=theta, **options)


@measured
def adonis_22(scale: Config) -> Evidence:
    """Loss and boost at every theta, (thetas, seeds), and those at 0.1."""
    need(scale.thetas, 0.1)

    def front() -> Evidence:
        need(scale.thetas, at_least=2)
        runs = [theta_run(scale, theta) for theta in scale.thetas]
        losses = [lost(scale, run) for run in runs]
        return {
            "loss": losses, "boost": boosts(scale, *runs), "settings": list(scale.thetas)
        }  # fmt: skip

    return parts(
        front=front,
        loss=lambda: {"differences": lost(scale, theta_run(scale, 0.1))},
        boost=lambda: {"values": boosts(scale, theta_run(scale, 0.1))[0]},
    )


def share_trained(scale: Config, theta: float) -> float:
    """Return the share of all rows x epochs that a theta back-propagates, mean over seeds."""
    runs = each_seed(scale, theta_run(scale, theta))
    return float(
        np.mean([history(r, "backward")[-1] / (r.metrics["n"] * scale.epochs) for r in runs])
    )


@measured
def adonis_23(scale: Config) -> Evidence:
    """Points lost at theta 0.7 and boost at theta 0.05, (seeds,) each."""
    found = parts(
        collapse=lambda: {"differences": lost(scale, theta_run(scale, 0.7))},
        boost=lambda: {"values": boosts(scale, theta_run(scale, 0.05))[0]},
    )
    shares = ", ".join(f"{theta:g}: {share_trained(scale, theta):.0%}" for theta in scale.thetas)
    return found | {"note": f"rows trained at theta {shares}"}


def batches_without_bin(run: Result) -> float:
    """Return the share of forward batches in which no bin passes, once the history is full."""
    if "sampler_events" not in run.arrays:
        raise Missing("no events")
    _, sizes, _, passed = run.arrays["sampler_events"].T
    known = np.cumsum(sizes) >= HISTORY
    return float(1 - passed[known].mean()) if known.any() else float("nan")


@measured
def adonis_25(scale: Config) -> Evidence:
    """Share of forward batches without an accepted bin at sigma 2, (seeds,) a theta."""

    def share(theta: float) -> Evidence:
        runs = each_seed(scale, theta_run(scale, theta, sigma=2.0))
        return {"values": [batches_without_bin(run) for run in runs]}

    return parts(default=lambda: share(0.12), lowered=lambda: share(0.1))


@measured
def adonis_28(scale: Config) -> Evidence:
    """Boost against alpha, boost at alpha of 0.8 or more, loss at 0.1 less loss at 0.3."""

    def alpha_run(alpha: float) -> BySeed:
        need(scale.alphas, alpha)
        return adonis(scale, alpha=alpha)

    def trend() -> Evidence:
        need(scale.alphas, at_least=2)
        found = boosts(scale, *(alpha_run(alpha) for alpha in scale.alphas))
        return {"values": found.T, "x": list(scale.alphas)}

    def high() -> Evidence:
        large = [alpha for alpha in scale.alphas if alpha >= 0.8]
        need(large)
        return {"values": boosts(scale, alpha_run(min(large)))[0]}

    def loss() -> Evidence:
        return {"differences": lost(scale, alpha_run(0.1)) - lost(scale, alpha_run(0.3))}

    return parts(trend=trend, high=high, loss=loss)


@measured
def adonis_29(scale: Config) -> Evidence:
    """Boost against eta, (seeds, etas), and the accuracy that eta 3 costs."""

    def boost() -> Evidence:
        need(scale.etas, 1, 3)
        found = boosts(scale, *(adonis(scale, eta) for eta in scale.etas))
        return {"values": found.T, "x": list(scale.etas)}

    return parts(boost=boost, accuracy=lambda: stale_gain(scale))


def seconds_to(run: Result, reached: float) -> float:
    """Return training seconds until a test accuracy in points is reached, inf if it never is."""
    there = np.flatnonzero(100 * history(run, "test_acc") >= reached - 1e-9)
    return float(history(run, "seconds")[there[0]]) if len(there) else float("inf")


@measured
def adonis_37(scale: Config) -> Evidence:
    """Seconds of full training over ADONIS's until full accuracy - 5 points, (seeds,)."""
    need(scale.etas)
    eta = 2 if 2 in scale.etas else max(scale.etas)
    base, fast = each_seed(scale, full(scale, scale.proxy)), each_seed(scale, adonis(scale, eta))
    require_alone([*base, *fast])
    goals = [100 * run.metrics["test_acc"] - WITHIN for run in base]
    values = [
        seconds_to(one, goal) / seconds_to(other, goal)
        for one, other, goal in zip(base, fast, goals, strict=True)
    ]
    return {"values": values, "note": f"eta = {eta}"}
