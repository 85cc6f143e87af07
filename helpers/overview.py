"""What the command line prints: missing runs, claims with verdicts, the store's content."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from helpers.profiles import Folders, Profile, profiles, scale_for, variables_set

if TYPE_CHECKING:
    from helpers.claims.ledger import Row
    from helpers.forecast import Cost
    from helpers.run import Plan
    from helpers.specs import Spec
    from helpers.store import Result

GIB = 2**30


def wanted(
    chosen: Profile, overrides: dict[str, Any] | None = None, only: Iterable[str] = ()
) -> dict[str, list[Spec]]:
    """List what notebooks ask for under a profile.

    Args:
        chosen: The profile.
        overrides: Parameters that win over its own.
        only: Numbers of the notebooks; by default those that the profile runs.

    Returns:
        Number ("03") to specs. Data without a copy here are named as in that profile's
        published pack.
    """
    from helpers import experiments

    numbers = set(only or chosen.only or experiments.ALL)
    with variables_set({"STUDY_PROFILE": chosen.name}):
        return {
            number: list(specs_of(scale_for(chosen, overrides, number)))
            for number, specs_of in sorted(experiments.ALL.items())
            if number in numbers
        }


def with_needs(asked: Iterable[Spec]) -> dict[str, Spec]:
    """Gather specs and everything they depend on, by key."""
    from helpers import specs

    found: dict[str, Spec] = {}
    todo = list(asked)
    while todo:
        spec = todo.pop()
        if specs.key(spec) not in found:
            found[specs.key(spec)] = spec
            todo.extend(specs.needs(spec))
    return found


def missing_runs(what: Plan) -> str:
    """Tabulate the runs that a study would compute, a notebook a line.

    A run that several notebooks share counts where it is needed first.
    """
    from helpers import results, specs
    from helpers.forecast import forecast, past

    known = past()
    asked = wanted(what.profile, what.options.parameters, what.notebooks)
    seen: set[str] = set()
    rows, details = [], []
    for number, notebook in what.notebooks.items():
        absent = results.missing(asked.get(number, []))
        todo = [spec for key, spec in absent.items() if key not in seen]
        seen.update(absent)
        rows.append((notebook.stem, len(set(asked.get(number, []))), todo))
        details += [f"  {number}  {specs.describe(spec)}" for spec in todo]
    lines = [f"{'notebook':<28}{'results':>9}{'missing':>9}{'hours':>9}{'disk GiB':>10}"]
    lines += [_row(stem, n_asked, forecast(todo, known)) for stem, n_asked, todo in rows]
    everything = forecast([spec for _, _, todo in rows for spec in todo], known)
    lines.append(_row("in all", sum(n for _, n, _ in rows), everything))
    return "\n".join([*details, *([""] if details else []), *lines, _how(everything)])


def _row(name: str, n_asked: int, cost: Cost) -> str:
    hours, disk = cost.seconds / 3600, cost.size / GIB
    return f"{name:<28}{n_asked:>9}{cost.n:>9}{hours:>9.2f}{disk:>10.3f}"


def _how(cost: Cost) -> str:
    """Say how the hours were found."""
    from helpers.forecast import HOW

    told = [f"{cost.how[key]} {text}" for key, text in HOW.items() if cost.how[key]]
    return f"hours are estimates: {'; '.join(told) or 'nothing is missing'}"


def decided(chosen: Profile, overrides: dict[str, Any] | None = None) -> list[Row]:
    """Return every claim of the ledger with its verdict under a profile."""
    from helpers.claims import evidence, ledger

    scale = scale_for(chosen, overrides)
    rows = ledger.load_ledger()
    return ledger.decide_all(rows, scale, chosen.scale, evidence.EVIDENCE, chosen.claims)


def claims(chosen: Profile, overrides: dict[str, Any] | None = None) -> str:
    """Write the ledger with verdicts, one claim a line, and how many of each verdict last.

    A profile of scale none judges no claim: only those stand there that have a number.
    """
    from helpers.claims import ledger, verdicts

    rows = decided(chosen, overrides)
    if chosen.scale == "none":
        lines = [ledger.format_line(row) for row in rows if not math.isnan(row.answer.value)]
        told = f"none of the {len(rows)} claims is judged by it (scale none)"
        return "\n".join([*lines, f"profile {chosen.name}: {told}, {len(lines)} have a number"])
    given = [row.answer.verdict for row in rows]
    counts = ", ".join(f"{given.count(v)} {v}" for v in verdicts.VERDICTS if v in given)
    lines = [ledger.format_line(row) for row in rows]
    return "\n".join([*lines, f"{len(rows)} claims, profile {chosen.name}: {counts}"])


def list_results() -> int:
    """Print every stored result, oldest first; return the exit code."""
    from helpers import specs
    from helpers.store import Store

    store = Store()
    looked = {key: store.look(key) for key in store.keys()}  # noqa: SIM118 - not a dict
    found = [result for result, _ in looked.values() if result is not None]
    for result in sorted(found, key=lambda result: result.provenance.get("date", "")):
        told = specs.describe(result.spec)
        if isinstance(result.spec, specs.Train):
            told += f", {result.spec.dataset}"
        origin = [result.provenance.get(name, "") for name in ("date", "commit", "machine")]
        line = f"{origin[0][:16]:<16}  {store.size(result.key) / 1024:>9.0f} KiB  {told}"
        line += f"  ({', '.join(filter(None, origin[1:])) or 'of unknown origin'})"
        print(specs.printable(f"{result.key[:12]}  {line}"))
    print(f"{len(found)} results in {store.path}")
    for part in store.parts():
        told = f"{part.what}: {part.done} of {part.epochs} epochs"
        print(f"{part.key[:12]}  in part  {part.size / 1024:>9.0f} KiB  {told}, goes on if asked")
    if damaged := sum(bool(wrong) for _, wrong in looked.values()):
        print(f"{damaged} damaged: python -m helpers results verify")
    return 0


def verify() -> int:
    """Check every stored result; return 1 if some were damaged."""
    from helpers.store import Store

    store = Store()
    n_checked = len(store.keys())
    wrong = store.verify()
    for key, reason in wrong.items():
        print(f"{key[:12]}  {reason}")
    print(f"{n_checked} results checked, {len(wrong)} damaged")
    return 1 if wrong else 0


def prune(folders: Folders, sure: bool) -> int:
    """Delete the results that no profile asks for; without ``sure`` only say how many."""
    from helpers.store import Store

    known = profiles(folders.notebooks / "profiles.yml").values()
    used = with_needs(s for one in known for asked in wanted(one).values() for s in asked)
    store = Store()
    doomed = [key for key in store.keys() if key not in used]  # noqa: SIM118 - not a dict
    if not sure:
        size = sum(store.size(key) for key in doomed) / GIB
        found = [store.look(key)[0] for key in doomed]
        own = sum(_is_own(result) for result in found if result is not None)
        told = f", {own} of them proxies and selections of your own files" if own else ""
        print(f"{len(doomed)} results ({size:.3f} GiB) serve no profile{told}; --yes deletes them")
        return 0
    count, size = store.prune(set(used))
    print(f"deleted {count} files, {size / GIB:.3f} GiB")
    return 0


def _is_own(found: Result) -> bool:
    """Tell whether a result is of data that the user gave by a path."""
    from helpers.data import names  # numpy is not needed for --help

    return names.is_path(getattr(found.spec, "dataset", ""))


def export(chosen: Profile, folder: Path | None, full: bool, shrink: bool = False) -> int:
    """Write a profile's stored results as a pack, by default where published packs lie.

    Args:
        chosen: The profile.
        folder: Where the pack goes.
        full: Keep every array, so that the pack can be imported as if computed.
        shrink: Also replace a pack of more results.
    """
    from helpers import packs
    from helpers.store import Store

    store = Store()
    keys = with_needs(spec for part in wanted(chosen).values() for spec in part)
    found = [result for key in keys if (result := store.read(key)) is not None]
    folder = folder or packs.path_of(chosen.name)
    count, size = packs.export(found, folder, full, shrink)
    print(f"{count} of {len(keys)} results, {size / 2**20:.2f} MiB, in {folder}")
    return 0


def import_pack(folder: Path) -> int:
    """Put a pack's results into the live store."""
    from helpers.store import Store

    new, there = Store().import_(folder)
    print(f"{new} results imported, {there} stood there already")
    return 0
