"""Questions of online choice: `adonis` Table A1 and Appendices B and C, on the proxy network."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from helpers import StudyError
from helpers.config import Config
from helpers.experiments.cells import Cell
from helpers.experiments.questions import QUESTIONS, stops


def sampled(method: str, by: str = "proxy", after: int = 0, **options: object) -> Cell:
    """Return the cell of the proxy network trained through a sampler."""
    return Cell(method, by=by, model="proxy", protocol="online", after=after,
                options=tuple(options.items()))  # fmt: skip


def online_settings(config: Config) -> dict[str, Cell]:
    """Return label -> cell for the comparison of `adonis` Table A1, on the proxy network.

    Note: ADONIS keeps the share alpha of the candidates: 0.3, the optimum of Appendix B, or all
        of them. Algorithm 1 has no alpha; the boosts of Table A1 allow about half of the rows,
        which 0.3 of the candidates cannot reach.
    """
    found = {"Full": Cell(model="proxy"), "IDS": sampled("ids")}
    for about, alpha in (("", {}), (", alpha 1", {"alpha": 1.0})):
        for name, key, etas in (
            ("ADONIS", "adonis", config.etas),
            ("IDS + ADONIS", "ids+adonis", sorted({1, max(config.etas)})),
        ):
            found |= {f"{name}, eta {e}{about}": sampled(key, eta=e, **alpha) for e in etas}
    found |= {"Selective Backprop": sampled("selective-backprop", eta=1)}
    found |= {"Stale-SB": sampled("selective-backprop", eta=2)}
    found |= {"Random per class (RPC)": Cell("random-per-class", config.keep, model="proxy")}
    found |= {"Random (RPD)": Cell("random", config.keep, model="proxy")}
    found |= {"Self-supervised prototypes (SSP)": Cell("ssp", config.keep, model="proxy")}
    return found


# Further sweeps of `adonis` Appendices B and C, and single questions; a study names those it runs.
# A reach of 100 standard deviations clips none of 512 losses.
SWEEPS: dict[str, Callable[[Config], list[Cell]]] = {
    "theta": lambda c: [sampled("adonis", eta=1, theta=t, alpha=1.0) for t in c.thetas],
    "sigma": lambda c: [sampled("adonis", eta=1, sigma=s) for s in (0.5, 3.0, 5.0, 100.0)],
    "bins": lambda c: [sampled("adonis", eta=1, bins=rule) for rule in ("sqrt", "rice")],
    "history": lambda c: [sampled("adonis", eta=1, history=n) for n in (128, 256, 1024)],
    "keep": lambda c: [sampled("ids", keep=0.5)],
    "switch": lambda c: [sampled("ids", switch=share) for share in (0.8, 0.95)],
    "embedding": lambda c: [
        sampled("ids", by="target"),
        *(sampled("ids", after=stop) for stop in stops(c)),
    ],
    # IDS's farthest rows all along; and without the tenth that lies nearest to what is kept
    "subsets": lambda c: [
        Cell("ids", c.keep, model="proxy"),
        Cell("k-centers", 0.9, model="proxy"),
    ],
    "labels": lambda c: [
        dataclasses.replace(one, flipped=10)
        for one in (sampled("adonis", eta=1, alpha=1.0), sampled("selective-backprop", eta=1))
    ],
    "losses": lambda c: [dataclasses.replace(sampled("adonis", eta=1, alpha=1.0), recorded=True)],
}


def _swept(config: Config) -> list[Cell]:
    if unknown := set(config.online_sweeps) - {"all", *SWEEPS}:
        known = ", ".join(SWEEPS)
        raise StudyError(f"online_sweeps must be among {known}, got {', '.join(unknown)}")
    wanted = SWEEPS if "all" in config.online_sweeps else config.online_sweeps
    return [cell for name in wanted for cell in SWEEPS[name](config)]


QUESTIONS |= {
    "online": lambda c: list(online_settings(c).values()),
    "sweeps": lambda c: [
        *(sampled("adonis", eta=1, theta=theta) for theta in c.thetas),
        *(sampled("adonis", eta=1, alpha=alpha) for alpha in c.alphas),
        *(sampled("adonis", eta=1, sigma=2.0, theta=t) for t in c.thetas if t in (0.1, 0.12)),
    ],
    "online sweeps": _swept,
}
