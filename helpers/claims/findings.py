"""The study's answer in computed sentences: what choosing gained, what became of claims."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from helpers import experiments, ranking
from helpers.claims import ledger, verdicts
from helpers.config import Config
from helpers.experiments import partial
from helpers.profiles import profile

ASKED = (verdicts.HOLDS, verdicts.FAILS, verdicts.UNDECIDED)
FALLS = (
    *("holds", "does not hold", "depends on the regime", "undecided", "not decidable here"),
    *("not measured yet", "not built"),
)


def gains(config: Config) -> pd.DataFrame:
    """Tabulate what the best choice of each share gained over random rows of the same number.

    The best of m methods looks better than it is: its interval is one at a level of 1 - 0.05 / m.
    Only seeds count for which all methods are there.

    Returns:
        Columns share, best (label), methods (m), seeds, gain, low, high (points of error less
        than random rows), error (%), beside (points of error more than training on all rows). A
        row a share; none where a profile compares no methods.
    """
    whole = [experiments.depth_run(config, config.target, seed) for seed in config.seeds]
    full = partial.table(whole).set_index("seed")["test_error"]
    table = partial.table(experiments.asked(config, "core-set"))
    rows = []
    for share, part in table.groupby("budget"):
        errors = part.pivot_table(index="seed", columns="label", values="test_error").dropna()
        if {"Random"} < set(errors) and len(errors) > 1:
            chosen = [label for label in errors if not label.startswith("Random")]
            gained = errors.rsub(errors["Random"], axis=0)[chosen]
            best, m = gained.mean().idxmax(), gained.shape[1]
            gain, low, high = ranking.t_interval(gained[best], level=1 - 0.05 / m)
            lost = (errors[best] - full.reindex(errors.index)).mean()
            rows.append((share, best, m, len(errors), gain, low, high, errors[best].mean(), lost))
    names = ["share", "best", "methods", "seeds", "gain", "low", "high", "error", "beside"]
    return pd.DataFrame(rows, columns=names)


def at_equal_cost(config: Config) -> list[str]:
    """Say how many methods beat random rows that train longer, for what proxy and choice cost."""
    table = partial.table(experiments.asked(config, "core-set"))
    longer = partial.table(experiments.asked(config, "opponents"))
    longer = longer[(longer["method"] == "random") & (longer["epochs"] > config.epochs)]
    told = []
    for share, rival in longer.groupby("budget"):
        errors = rival.set_index("seed")["test_error"]
        gained = [
            (errors - one.set_index("seed")["test_error"]).dropna().to_numpy()
            for method, one in table[table["budget"] == share].groupby("method")
            if not method.startswith("random")
        ]
        if gained := [gain for gain in gained if len(gain) > 1]:
            beat = sum(ranking.t_interval(gain)[1] > 0 for gain in gained)
            told.append(
                f"{beat} of {len(gained)} methods beat, at {share:.0%}, random rows that train "
                "longer, for what proxy and choice cost "
                f"(best mean {max(map(np.mean, gained)):+.1f} points)."
            )
    return told


def fates(found: Mapping[str, Sequence[ledger.Row]]) -> pd.DataFrame:
    """Count what became of every document's findings, of `FALLS` one each.

    Within a regime the profile of most seeds that could ask the rule has the say.

    Args:
        found: Profile -> its decided rows.

    Returns:
        Index document, columns findings and `FALLS`, counts.
    """
    given: dict[tuple[str, str], dict[str, str]] = {}
    for one in sorted(map(profile, found), key=lambda one: one.config().n_seeds):
        for row in found[one.name]:
            if row.claim.kind == "finding":
                of = given.setdefault((row.claim.document, row.claim.id), {})
                if row.answer.verdict in ASKED or of.get(one.regime) not in ASKED:
                    of[one.regime] = row.answer.verdict
    fell = pd.DataFrame(
        [(document, _fate(set(of.values()))) for (document, _), of in given.items()],
        columns=["document", "fate"],
    )
    table = pd.crosstab(fell["document"], fell["fate"]).reindex(
        index=list(ledger.DOCUMENTS), columns=FALLS, fill_value=0
    )
    table.insert(0, "findings", table.sum(axis=1))
    return table


def _fate(words: set[str]) -> str:
    decided = words & {verdicts.HOLDS, verdicts.FAILS}
    if len(decided) == 2:
        return "depends on the regime"
    left = [verdicts.UNDECIDED, verdicts.NOT_MEASURED, verdicts.NOT_BUILT]
    return next((word for word in (*decided, *left) if word in words), "not decidable here")
