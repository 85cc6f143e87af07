"""Figures of ADONIS: what it sees of the losses, and how much it lets through."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from helpers import StudyError
from helpers.plots.base import COLOURS, colours_for, label_of, need, new_figure, thick_and_thin
from helpers.plots.correlations import seeds_by_epoch
from helpers.plots.labels import direct_labels

ACCEPTED = COLOURS["adonis"]
REFUSED = "#b4bcc6"


def adonis_mechanism(
    losses: np.ndarray,
    edges: np.ndarray,
    probabilities: np.ndarray,
    theta: float,
    accepted: np.ndarray,
    clipped: tuple[float, float],
) -> Figure:
    """Draw one moment of ADONIS: its history of losses, and the bins it accepts.

    Args:
        losses: Last losses in the order they came, shape (l,).
        edges: Bin edges of the losses kept after clipping, shape (b + 1,).
        probabilities: Share of the kept losses in each bin, shape (b,).
        theta: Probability a bin must exceed.
        accepted: Whether a bin is accepted, shape (b,) bool.
        clipped: Lowest and highest loss kept, mean -+ sigma standard deviations.

    Returns:
        Two panels that share the loss axis; accepted losses and bins in ADONIS's colour.

    Raises:
        StudyError: If there are no losses or the bins do not match their edges.

    Source: ADONIS and IDS, figures 2 to 5.
    """
    losses, edges = np.asarray(losses, dtype=float), np.asarray(edges, dtype=float)
    probabilities, accepted = np.asarray(probabilities, dtype=float), np.asarray(accepted, bool)
    need(losses, "losses")
    if not len(edges) - 1 == len(probabilities) == len(accepted) > 0:
        shapes = f"{len(edges)}, {len(probabilities)} and {len(accepted)}"
        raise StudyError(
            f"edges, probabilities and accepted have {shapes} entries, not b + 1, b, b"
        )
    fig, axes = new_figure(1, 2, (9.5, 4.2), sharey=True, width_ratios=(1.7, 1))
    _history(axes[0, 0], losses, edges, accepted, clipped)
    _bins(axes[0, 1], edges, probabilities, theta, accepted)
    fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return fig


def _history(ax: Axes, losses, edges, accepted, clipped) -> None:
    """Draw the losses as they came, accepted and refused, over the range kept."""
    bins = np.clip(np.searchsorted(edges, losses, side="right") - 1, 0, len(accepted) - 1)
    inside = (losses >= max(clipped[0], edges[0])) & (losses <= min(clipped[1], edges[-1]))
    chosen = inside & accepted[bins]
    place = np.arange(1, len(losses) + 1)
    label = "range kept after clipping"
    ax.axhspan(*clipped, color="#f3f0e6", zorder=0, label=label)
    for mask, colour, name in ((~chosen, REFUSED, "refused"), (chosen, ACCEPTED, "accepted")):
        ax.scatter(place[mask], losses[mask], s=9, color=colour, label=f"{name} ({mask.sum()})")
    ax.set_xlabel("place in the history (losses, oldest first)")
    ax.set_ylabel("loss (nats)")
    ax.grid(False)


def _bins(ax: Axes, edges, probabilities, theta, accepted) -> None:
    """Draw the histogram on its side with the threshold."""
    colours = [ACCEPTED if one else REFUSED for one in accepted]
    ax.barh(
        edges[:-1],
        probabilities,
        np.diff(edges),
        align="edge",
        color=colours,
        edgecolor="white",
        linewidth=0.8,
    )
    ax.axvline(theta, color="#222222", linestyle="--", linewidth=1.2)
    ax.set_title(f"dashed: threshold θ = {theta:g}")
    ax.set_xlabel("share of the losses kept")
    ax.set_xlim(0, 1.08 * max(theta, probabilities.max()))
    ax.grid(axis="y", visible=False)


def acceptance_over_training(
    epochs: Sequence[float],
    share: np.ndarray | Mapping[str, np.ndarray],
    label: str = "accepted (% of forwarded)",
) -> Figure:
    """Draw the share of forwarded examples that are trained on, epoch by epoch.

    Args:
        epochs: Epochs, shape (e,).
        share: Accepted share, 0..1, shape (e,) or (seeds, e), of ADONIS; or a dict of such
            arrays by method key. NaN = nothing was forwarded.
        label: What the share is, with its unit, at the y axis.

    Returns:
        One panel: every seed thin, the mean thick.

    Raises:
        StudyError: If there is nothing to draw or the epochs do not match.
    """
    shares = share if isinstance(share, Mapping) else {"adonis": share}
    need(shares, "share")
    need(epochs, "epochs")
    rows = {name: 100 * seeds_by_epoch(name, one, epochs) for name, one in shares.items()}
    fig, axes = new_figure(1, 1, (7.5, 3.6))
    ax, ends, colours = axes[0, 0], [], colours_for(rows)
    for name, values in rows.items():
        for run in values if len(values) > 1 else ():
            ax.plot(epochs, run, color=colours[name], linewidth=0.8, alpha=0.35)
        mean = values.mean(axis=0)
        ax.plot(epochs, mean, color=colours[name], linewidth=2.2)
        last = np.flatnonzero(~np.ma.getmaskarray(mean))[-1]
        ends.append((epochs[last], float(mean[last]), label_of(name), colours[name]))
    ax.set(xlabel="epoch", ylabel=label, ylim=(-2, 104))
    ax.set_title(thick_and_thin(map(len, rows.values())))
    direct_labels(ax, ends)
    return fig


def share_by_difficulty(shares: Mapping[str, np.ndarray], label: str, score: str) -> Figure:
    """Draw a share of the examples in each tenth of a difficulty score.

    Args:
        shares: Method key -> shares 0..1, shape (seeds, 10), easiest tenth first.
        label: What the share is of, with its unit, at the y axis.
        score: Name of the score that orders the examples.

    Returns:
        One panel: every seed a small dot, the mean a line.

    Raises:
        StudyError: If there is nothing to draw or a series has not ten tenths.
    """
    need(shares, "shares")
    tenths = np.arange(1, 11)
    rows = {name: 100 * seeds_by_epoch(name, one, tenths) for name, one in shares.items()}
    fig, axes = new_figure(1, 1, (7.5, 3.8))
    ax, ends, colours = axes[0, 0], [], colours_for(rows)
    for name, values in rows.items():
        mean = values.mean(axis=0)
        ax.plot(tenths, mean, "o-", color=colours[name], linewidth=2)
        for one in values if len(values) > 1 else ():
            ax.scatter(tenths, one, s=9, color=colours[name], alpha=0.4)
        ends.append((10, float(mean[-1]), label_of(name), colours[name]))
    ax.set(xlabel=f"tenth of the training rows by {score}, easiest first", ylabel=label)
    ax.set(xticks=tenths, ylim=(-2, 104))
    ax.set_title("Mean (line) and seeds (dots)" if len(next(iter(rows.values()))) > 1 else "1 seed")
    direct_labels(ax, ends)
    return fig
