"""Readers of the printed tables of `svp-slides`."""

from __future__ import annotations

from collections.abc import Iterator

from helpers.claims.papers import Printed, paper_table, reads
from helpers.experiments import Cell

# Data set -> epochs of a proxy at its end; one of fewer was stopped, or is as if it had been.
WHOLE = {"CIFAR10": 180, "SVHN": 150, "Amazon Review Polarity": 5}
METRICS = {"Entropy": "entropy", "Confidence": "least-confidence"}


def _cells(row: dict, share: float) -> list[Cell]:
    """Return what a row of shares is of; one proxy of the replication stands for two rankings.

    Its code ranks only what the proxy gets right. Ours cannot do so for stopped or several
    proxies, which then rank all rows.
    """
    metric, data = METRICS.get(row["metric"]), row["dataset"]
    if metric is None:
        return [Cell("random", share) if share < 1 else Cell()]
    by = "target" if "ResNet164" in row["selector"] else "proxy"
    together, epochs = int(row["selector"][0]), row["selector_epochs"]
    after = int(epochs) if epochs < WHOLE[data] else 0
    found = [Cell(metric, share, by, after=after, together=together)]
    if "sd_40" not in row and together == 1:
        found += [Cell(metric, share, by, options=(("correct_only", True),))]
    return found


def _table(name: str, group: str, n: int) -> Iterator[Printed]:
    for row in paper_table(name).to_dict("records"):
        for percent in (40, 60, 80, 100):
            for cell in _cells(row, percent / 100):
                told = f"{row['selector']}, {row['metric']}" if cell.method in METRICS.values() \
                    else "Random"  # fmt: skip
                value, sd = row[f"err_{percent}"], row.get(f"sd_{percent}", float("nan"))
                about = ("svp-slides", f"{group}, {percent} % kept", told, row["dataset"])
                yield Printed(*about, cell, "error", value, sd, n)


@reads("svp-slides-reported")
def _reported() -> Iterator[Printed]:
    yield from _table("svp-slides-reported", "svp-slides", 3)


@reads("svp-slides-replicated")
def _replicated() -> Iterator[Printed]:
    yield from _table("svp-slides-replicated", "svp-slides, replicated", 1)


@reads("svp-slides-runs")
def _runs() -> Iterator[Printed]:
    for row in paper_table("svp-slides-runs").to_dict("records"):
        if row["model"] == "ResNet20":
            continue
        about = ("svp-slides", "svp-slides, one run", f"{row['model']}, {row['epochs']} epochs")
        for recipe, value in (("svp-slides", row["err"]), ("", row["reported_err"])):
            yield Printed(*about, row["dataset"], Cell(recipe=recipe), "error", value)
