"""The decision of ADONIS: a history of losses is clipped, binned, and frequent bins are accepted.

Nothing here needs torch, so that a stored history can be looked at again anywhere.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from helpers import StudyError


def n_bins(n: int, rule: str) -> int:
    """Return the histogram's bin count for n losses: `"sturges"`, `"sqrt"` or `"rice"`.

    Source: `adonis` eq. 4 and Table A2. Sturges is ceil(log2 n) + 1: 10 bins at n = 512.
    """
    counts = {
        "sturges": np.ceil(np.log2(max(n, 1))) + 1,
        "sqrt": np.ceil(np.sqrt(n)),
        "rice": np.ceil(2 * np.cbrt(n)),
    }
    if rule not in counts:
        raise StudyError(f"bins must be {', '.join(counts)}, got {rule!r}")
    return int(counts[rule])


class Histogram(NamedTuple):
    """Edges (bins + 1,), probability a bin (bins,), and which bins are accepted (bins,)."""

    edges: np.ndarray
    share: np.ndarray
    accepted: np.ndarray


def accepted_bins(history: np.ndarray, theta: float, sigma: float, bins: str) -> Histogram:
    """Clip the history at sigma standard deviations, bin it, accept bins above theta.

    Losses (l,) are finite; theta is a probability; an infinite sigma drops none; `bins` is a rule
    of `n_bins`, applied to the losses kept.

    Source: `adonis` section 3.1, eq. 3 and 4, figures 3 and 4.
    """
    spread = history.std()
    kept = history
    if np.isfinite(sigma) and spread > 0:
        kept = history[np.abs(history - history.mean()) <= sigma * spread]
        kept = kept if len(kept) else history
    counts, edges = np.histogram(kept, bins=n_bins(len(kept), bins))
    share = counts / len(kept)
    return Histogram(edges, share, share > theta)


def is_accepted(losses: np.ndarray, found: Histogram) -> np.ndarray:
    """Tell which losses (b,) lie in an accepted bin, within the range kept after clipping.

    Source: `adonis` eq. 3, and Algorithm 1, line "choose".
    """
    inside = (losses >= found.edges[0]) & (losses <= found.edges[-1])
    place = np.searchsorted(found.edges, losses, side="right") - 1
    return inside & found.accepted[np.clip(place, 0, len(found.share) - 1)]
