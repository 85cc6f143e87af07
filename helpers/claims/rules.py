"""Rules that turn evidence into a verdict: pure functions, named in the ledger.

A rule's positional parameters name the arrays it expects in the evidence; its keyword-only
parameters are the numbers of the ledger row. Seeds always lie on the last axis. Evidence with NaN,
none, or too few values never holds.

Source: intervals, margins and seed counts as this study's reading of its five documents sets them.
"""

import inspect
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from helpers.claims.correlations import blocks_agree, matrices_agree, same_sign
from helpers.claims.counts import all_above, no_violations, some_exhibit
from helpers.claims.orders import (
    near_best,
    on_front,
    rises_with,
    same_order,
    share_above,
    share_below_chance,
)
from helpers.claims.paired import compare, summary
from helpers.claims.verdicts import (
    NOT_DECIDABLE,
    NOT_MEASURED,
    UNDECIDED,
    Verdict,
    combine,
    inside,
    no_answer,
    side,
)


def greater(differences, *, margin: float = 0.0, min_seeds: int = 3, unit: str = "points"):
    """Mean paired difference above a margin.

    Args:
        differences: Paired differences in `unit`, (seeds,) or (settings, seeds), all pooled.
        margin: Holds when the interval's lower end exceeds it.
        min_seeds: Fewest seeds that may decide; below 1 point of difference five are needed.
        unit: Unit of the differences.

    Returns:
        Verdict with the mean difference and its 95 % t interval.
    """
    return compare(differences, lambda low, high: side(low, high, margin), min_seeds, unit, True)


def non_inferior(differences, *, margin: float, min_seeds: int = 3, unit: str = "points"):
    """Harm (candidate's error - reference's error) below a margin.

    An interval that crosses the margin is undecided, whatever its mean.

    Args:
        differences: Paired harm in `unit`, (seeds,) or (settings, seeds), positive = worse.
        margin: Holds when the interval's upper end stays below it; fails when the lower is above.
        min_seeds: Fewest seeds that may decide.
        unit: Unit of the differences.
    """

    def judge(low, high):
        return side(-high, -low, -margin)

    return compare(differences, judge, min_seeds, unit)


def equivalent(differences, *, margin: float, min_seeds: int = 3, unit: str = "points"):
    """Mean paired difference inside +-margin, the whole interval.

    Args:
        differences: Paired differences in `unit`, (seeds,) or (settings, seeds).
        margin: Largest difference that counts as none.
        min_seeds: Fewest seeds that may decide.
        unit: Unit of the differences.
    """

    def judge(low, high):
        return inside(low, high, -margin, margin)

    return compare(differences, judge, min_seeds, unit)


def at_least(values, *, bound: float, statistic: str = "mean", unit: str = ""):
    """Values at or above a bound.

    Args:
        values: One exact number (0 dimensions), or repeats (n,) of which three are needed.
        bound: Smallest value that holds, in `unit`.
        statistic: "mean" (t interval) or "median" (order statistics).
        unit: Unit of the values.
    """
    return summary(values, lambda low, high: inside(low, high, bound, np.inf), statistic, unit)


def at_most(values, *, bound: float, statistic: str = "mean", unit: str = ""):
    """Values at or below a bound; arguments as `at_least`."""
    return summary(values, lambda low, high: inside(low, high, -np.inf, bound), statistic, unit)


def in_range(values, *, low: float, high: float, statistic: str = "mean", unit: str = ""):
    """Values within [low, high]; other arguments as `at_least`."""
    return summary(
        values, lambda lowest, highest: inside(lowest, highest, low, high), statistic, unit
    )


def each(evidence, *, of: str, **rule_numbers):
    """Apply a rule to each setting apart; all must hold.

    Args:
        evidence: The inner rule's arrays, each with the settings as its first axis; an optional
            "labels" list names the settings.
        of: Name of the inner rule.
        **rule_numbers: Its numbers.

    Returns:
        Verdict of all settings; value and interval are those of the setting that decides.

    Raises:
        ValueError: If an array is missing or the arrays disagree about the number of settings.
    """
    names = evidence_names(of)
    missing = [name for name in names if name not in evidence]
    if missing:
        raise ValueError(f"rule each({of}) needs evidence {names}, lacks {missing}")
    lengths = {len(np.atleast_1d(np.asarray(evidence[name]))) for name in names}
    if len(lengths) != 1:
        raise ValueError(f"rule each({of}): {names} must share their first axis, got {lengths}")
    labels = list(evidence.get("labels", range(lengths.pop())))
    parts = {
        str(label): apply(of, {name: evidence[name][i] for name in names}, rule_numbers)
        for i, label in enumerate(labels)
    }
    return _joined(parts)


def all_of(evidence, *, parts: dict):
    """Several parts of one claim; all must hold.

    Args:
        evidence: One dict of evidence a part, under the part's name; a part may be absent.
        parts: Part name -> {"rule": name, **numbers}; `if_measured: true` leaves a part out of
            the verdict while it has no evidence.

    Returns:
        Verdict of all parts; value and interval are those of the part that decides.
    """
    verdicts = {}
    for name, part in parts.items():
        settings = {key: value for key, value in part.items() if key not in ("rule", "if_measured")}
        if name in evidence or not part.get("if_measured", False):
            verdicts[name] = apply(part["rule"], evidence.get(name), settings)
    return _joined(verdicts)


def _joined(parts: dict[str, Verdict]) -> Verdict:
    """One verdict from named parts, showing the first part that settles it."""
    joint = combine([part.verdict for part in parts.values()])
    if not parts:
        return no_answer(UNDECIDED, "no settings")
    shown = next(
        (part for part in parts.values() if part.verdict == joint), next(iter(parts.values()))
    )
    note = "; ".join(f"{name}: {part.verdict} ({part.value:.4g})" for name, part in parts.items())
    return replace(shown, verdict=joint, note=note)


RULES: dict[str, Callable[..., Verdict]] = {
    rule.__name__: rule
    for rule in (
        greater, non_inferior, equivalent, at_least, at_most, in_range, all_above, no_violations,
        some_exhibit, share_above, share_below_chance, rises_with, same_order, same_sign,
        near_best, on_front, blocks_agree, matrices_agree, each, all_of,
    )
}  # fmt: skip


def evidence_names(name: str) -> list[str]:
    """Arrays a rule expects in its evidence.

    Raises:
        ValueError: If there is no such rule.
    """
    if name not in RULES:
        raise ValueError(f"no rule {name!r}; there are {', '.join(RULES)}")
    parameters = inspect.signature(RULES[name]).parameters.values()
    return [one.name for one in parameters if one.kind is one.POSITIONAL_OR_KEYWORD]


def apply(name: str, evidence: dict | None, rule_numbers: dict) -> Verdict:
    """Apply a named rule to a dict of evidence.

    Args:
        name: A key of `RULES`.
        evidence: The rule's arrays by name; None or {} = not measured; {"not_decidable": reason}
            where the runs cannot decide it; an optional "note" is passed on, other keys ignored.
        rule_numbers: The rule's keyword-only numbers.

    Raises:
        ValueError: If the rule is unknown, an array is missing, or a number is not one of its own.
    """
    names = evidence_names(name)
    unit = rule_numbers.get("unit", "")
    if not evidence:
        return no_answer(NOT_MEASURED, "", unit=unit)
    if "not_decidable" in evidence:
        return no_answer(NOT_DECIDABLE, str(evidence["not_decidable"]), unit=unit)
    if names == ["evidence"]:
        answer = RULES[name](evidence, **rule_numbers)
    else:
        missing = [key for key in names if key not in evidence]
        if missing:
            raise ValueError(f"rule {name} needs evidence {names}, lacks {missing}")
        answer = RULES[name](*(evidence[key] for key in names), **rule_numbers)
    note = "; ".join(text for text in (answer.note, str(evidence.get("note", ""))) if text)
    return replace(answer, note=note)


def check_numbers(name: str, rule_numbers: dict) -> None:
    """Refuse numbers that a rule, or a part of it, does not take.

    Raises:
        ValueError: Naming the rule and what is wrong with its numbers.
    """
    names = evidence_names(name)
    try:
        inspect.signature(RULES[name]).bind(*names, **rule_numbers)
    except TypeError as problem:
        raise ValueError(f"rule {name}: {problem}") from problem
    inner = []
    if name == "each":
        inner = [{"rule": rule_numbers["of"], **rule_numbers}]
    elif name == "all_of":
        inner = rule_numbers["parts"].values()
    for part in inner:
        settings = {key: value for key, value in part.items() if key not in ("rule", "if_measured")}
        if name == "each":
            del settings["of"]
        check_numbers(part["rule"], settings)
