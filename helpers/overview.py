"""What the command line prints: missing runs, claims with verdicts, the store's content."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from statistics import fmean

import pandas as pd

from helpers import StudyError, data, experiments, recipes, results, specs
from helpers.claims import deciding, findings, ledger, pages, verdicts
from helpers.data import names
from helpers.experiments import partial
from helpers.profiles import Folders, Profile, profile, profiles, variables_set, write_table
from helpers.results import packs
from helpers.results.store import Store
from helpers.run import Plan
from helpers.specs import Spec

GIB = 2**30
NEAR = 0.5  # points of error beside all rows that the README calls near


def numbers(chosen: Profile) -> list[str]:
    """List the notebooks whose runs are a profile's: it draws them, or gives them parameters."""
    of = [*(chosen.only or experiments.ALL), *chosen.notebooks]
    return [number for number in dict.fromkeys(of) if number in experiments.ALL]


def wanted(chosen: Profile) -> dict[str, list[Spec]]:
    """List what a profile's notebooks ask for, number ("03") to specs."""
    # data without a copy here are named as in the profile's published pack
    with variables_set({"STUDY_PROFILE": chosen.name}):
        return {
            number: experiments.ALL[number](chosen.config(number=number))
            for number in numbers(chosen)
        }


def read_by_claims(chosen: Profile) -> list[Spec]:
    """List the runs of the cells that claims compare in a profile's regime, asked for or not."""
    found: list[Spec] = []
    with variables_set({"STUDY_PROFILE": chosen.name}):
        for claim in (one for one in ledger.load_ledger() if chosen.regime in one.at):
            config, cells = pages.config_of(chosen, claim.document), []
            with contextlib.suppress(results.Missing):  # of a setting that the study lacks
                cells = deciding.cells_of(claim, config)
            for cell in cells:
                with contextlib.suppress(results.Missing):
                    found += experiments.runs(config, [cell])
    return found


def with_needs(asked: Iterable[Spec]) -> dict[str, Spec]:
    """Gather specs and everything they depend on, by key."""
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
    from helpers import device  # torch

    stored, here = Store(), device.describe(device.pick(what.options.device))
    found, sizes = partial.past(), [stored.size(key) for key in stored.keys()]  # noqa: SIM118
    found = [one for one in found if one.metrics.get("device", here) == here]
    past = partial.past_seconds(found)
    works = [(_work(one.spec) or 0.0, one.metrics.get("seconds", 0.0)) for one in found]
    most, seconds = max(works, default=(0.0, 0.0))
    rate = most / (seconds or 1.0)
    size = fmean(sizes or [100_000]) / GIB
    seen: set[str] = set()
    details = []
    lines = [f"{'notebook':<28}{'results':>9}{'missing':>9}{'hours':>12}{'disk GiB':>10}"]
    totals = Counter[str]()
    for number, notebook in what.notebooks.items():
        of = experiments.ALL.get(number, lambda config: [])
        asked = list(of(what.settings[number].config))
        absent = results.missing(asked)
        todo = [spec for key, spec in absent.items() if key not in seen]
        seen.update(absent)
        details += [f"  {number}  {specs.describe(spec)}" for spec in todo]
        row = Counter(results=len(set(asked)), missing=len(todo))
        for spec in todo:
            like = past(spec)
            work = _work(spec) if like is None and rate else None
            row.update(known=like is not None, counted=work is not None)
            row["s"] += like or (work or 0) / (rate or 1)
        lines.append(_row(notebook.stem, row, size))
        totals.update(row)
    lines.append(_row("in all", totals, size))
    if not totals["missing"]:
        return "\n".join([*lines, "nothing is missing: the study would draw what is stored"])
    of = "this machine's" if sizes else "the published runs'"
    told = f"hours of {of} {here}: {totals['known']} of the {totals['missing']} missing "
    told += "runs as those of the same network on the same data"
    if totals["counted"]:
        told += f", {totals['counted']} by multiply-adds, at the largest training's rate of "
        told += f"{rate / 1e9:.1f} billion/s"
    told += f"; of the others nothing is known ({what.profile.about})"
    return "\n".join([*details, *([""] if details else []), *lines, told])


def _row(name: str, row: Counter[str], size: float) -> str:
    disk = row["missing"] * size
    hours = "?" if row["missing"] and not row["s"] else f"{row['s'] / 3600:,.2f}"
    return f"{name:<28}{row['results']:>9}{row['missing']:>9}{hours:>12}{disk:>10.3f}"


@lru_cache(maxsize=64)
def _rows(dataset: str) -> int:
    return data.check(dataset)


def _work(spec: Spec) -> float | None:
    """Return a training's multiply-adds, a step as three passes forward; None where unknown."""
    if not isinstance(spec, specs.Train) or spec.sampler:
        return None
    base = spec.dataset.partition("@")[0].partition("-")[0]
    with contextlib.suppress(StudyError, OSError):
        side = recipes.get(spec.recipe).crop or {"digits": 8, "mnist": 28}.get(base, 32)
        rows = _rows(spec.dataset) * experiments.table.asked(spec)["share"]
        work = 3 * experiments.multiply_adds(spec.model) * (side / 32) ** 2 * spec.epochs * rows
        return work if work > 0 else None  # a share is NaN where rows are counted
    return None


def judged(what: Plan, write: bool = True) -> list[ledger.Row]:
    """Decide the claims that a plan's notebooks are about; `write` them beside its figures too."""
    only = "-".join(["", *what.notebooks]) if what.options.only else ""
    about = pages.documents(what.notebooks) if only else [""]
    rows = [row for one in about for row in pages.decided(what.profile, what.config, one)]
    if write and rows and what.profile.regime != "none":
        table = pd.DataFrame(pages.records(rows))
        write_table(what.figures / f"claims{only}.csv", table, what.changed)
    return rows


def claims(chosen: Profile, rows: list[ledger.Row], short: bool = False) -> str:
    """Write claims with verdicts, one a line, and how many of each verdict last.

    A profile of no regime judges no claim. `short` lines are those with a number of ours.
    """
    if chosen.regime == "none":
        return f"profile {chosen.name} judges none of the {len(rows)} claims (regime none)"
    given = [row.answer.verdict for row in rows]
    counts = ", ".join(f"{given.count(v)} {v}" for v in verdicts.VERDICTS if v in given)
    lines = [pages.format_line(row) for row in rows]
    if short:
        known = [one for one in pages.records(rows) if one["value"] is not None]
        lines = ["{id:<14}{verdict:<17} {ours}".format(**one) for one in known]
    tests = sum(row.answer.tests for row in rows)
    told = f"{len(rows)} claims, profile {chosen.name}: {counts}; {tests} interval tests"
    return "\n".join([*lines, told])


def verdict_rows(chosen: Profile, judged: list[ledger.Row]) -> list[str]:
    """Write a profile's `pages.counts` as rows of a Markdown table, and its number of tests."""
    about = {row.claim.document for row in judged if chosen.regime in row.claim.at}
    asked = chosen.claims or [row.claim.id for row in judged]
    judged = [row for row in judged if row.claim.document in about and row.claim.id in asked]
    rows = [
        f"| `{chosen.name}` | `{document}` | {' | '.join(map(str, line))} |"
        for document, line in pages.counts(judged).iterrows()
        if document in about
    ]
    tests = sum(row.answer.tests for row in judged)
    return [*rows, f"`{chosen.name}`: {tests} interval tests behind {len(judged)} claims."]


def _told_least(cell: str) -> int:
    """Rank a verdict by how much it tells: decided, undecided, not decidable, not asked."""
    return next((i for i, w in enumerate(("undecided", "not", "-"), 1) if cell.startswith(w)), 0)


def headline_table(folders: Folders, judged: Mapping[str, list[ledger.Row]]) -> str:
    """Write the headlines of several profiles in Markdown, linked to figures."""
    names = list(judged)
    lines = [_line(["headline", "the document", *(f"`{name}`" for name in names)])]
    lines.append("|---" * (len(names) + 2) + "|")
    for row in pages.beside(judged).to_dict("records"):
        told = sorted((n for n in names if row[n] != "-"), key=lambda n: _told_least(row[n]))
        shown = [folders.published("figures", n) / f"{row['figure']}.png" for n in told]
        link = next((p.relative_to(folders.root) for p in shown if p.exists()), None)
        title = f"[{row['headline']}]({link})" if link else row["headline"]
        lines.append(_line([title, row["the document"], *(row[name] for name in names)]))
    return "\n".join(lines)


def findings_table(names: Iterable[str]) -> str:
    """Write what choosing gained in Markdown; of equal data by the profile of most methods."""
    configs = [(name, profile(name).config()) for name in names]
    configs.sort(key=lambda one: (len(one[1].methods), one[1].n_seeds))
    lines, told, all_found = [], [], []
    for name, config in {config.dataset: (name, config) for name, config in configs}.values():
        with variables_set({"STUDY_PROFILE": name, "STUDY_OFFLINE": "1"}):
            found = findings.gains(config)
            costs = findings.at_equal_cost(config) if len(found) else []
        all_found.append(found)
        told += [f"At equal cost (`{name}`): {one}" for one in costs]
        for row in found.itertuples():
            doubt = "" if row.low > 0 else " (not shown)"
            gain = f"{row.gain:+.1f} [{row.low:+.1f}, {row.high:+.1f}]{doubt}"
            best = f"{row.best} (best of {row.methods})"
            known = [f"{row.error:.1f} %", f"{row.beside:+.1f}", row.seeds]
            lines.append(
                _line([f"{config.dataset}, `{name}`", f"{row.share:.0%}", best, gain, *known])
            )
    head = ["data, profile", "rows kept", "choice", "points over random rows", "its error"]
    head += ["beside all rows", "seeds"]
    every = pd.concat(all_found)
    shown, near = every["low"] > 0, every["beside"].round(1) <= NEAR
    counts = (
        f"{shown.sum()} of {len(every)} best choices are shown to beat random rows of the same "
    )
    counts += f"number; {(shown & near).sum()} end within {NEAR} points of all rows."
    return "\n".join([counts, *told, "", _line(head), "|---" * len(head) + "|", *lines])


def fate_table(old: str, judged: Mapping[str, list[ledger.Row]]) -> str:
    """Put counts of `findings.fates` into the table of documents: key, document, then counts."""
    counts = findings.fates(judged)
    texts = [row.rstrip(" |").split(" | ")[:2] for row in old.split("\n") if row.startswith("| `")]
    head = ["key", "document", *counts.columns]
    rows = [
        _line([key.removeprefix("| "), text, *counts.loc[key.strip("|` ")]]) for key, text in texts
    ]
    return "\n".join([_line(head), "|---" * len(head) + "|", *rows])


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(str(cell).replace('|', '/') for cell in cells)} |"


def between(path: Path, marker: str, make: Callable[[str], str]) -> None:
    """Replace what stands between `<!-- marker -->` and `<!-- /marker -->` in a file.

    Args:
        path: The file.
        marker: Name in the two lines.
        make: What stood there -> what shall.

    Raises:
        StudyError: If the file lacks the lines.
    """
    begin, end = f"<!-- {marker} -->", f"<!-- /{marker} -->"
    text = path.read_text("utf-8")
    before, opened, rest = text.partition(begin)
    old, closed, after = rest.partition(end)
    if not closed:
        raise StudyError(f"{path} needs the lines {begin} and {end}")
    path.write_text(f"{before}{opened}\n{make(old)}\n{closed}{after}", "utf-8")


def refresh_readme(folders: Folders, chosen: Profile) -> None:
    """Put findings, headlines and verdicts into the README, of all published profiles.

    Rows of profiles without headlines stay, apart from this one's.

    Raises:
        StudyError: If the README lacks the lines around them.
    """
    path = folders.root / "README.md"
    if chosen.regime == "none":
        return

    judged = pages.published(chosen.name)
    rows = dict(judged)
    if chosen.name not in rows:  # one without headlines of its own
        with variables_set({"STUDY_PROFILE": chosen.name}):
            rows[chosen.name] = pages.decided(chosen)

    def verdicts_table(old: str) -> str:
        known = [row for row in old.split("\n") if row.startswith(("| `", "`"))]
        own = tuple(start for name in rows for start in (f"| `{name}` |", f"`{name}`:"))
        new = [row for row in known if not row.startswith(own)]
        new += [row for name, of in rows.items() for row in verdict_rows(profile(name), of)]
        new = sorted(new, key=lambda row: not row.startswith(("| `digits` |", "`digits`:")))
        head = ["profile", "document", *pages.counts([]).columns]
        table, tests = ([row for row in new if row.startswith(s)] for s in ("|", "`"))
        return "\n".join([_line(head), "|---" * len(head) + "|", *table, "", *tests])

    between(path, "findings", lambda old: findings_table(judged))
    between(path, "documents", lambda old: fate_table(old, judged))
    between(path, "headlines", lambda old: headline_table(folders, judged))
    between(path, "verdicts", verdicts_table)


def list_results() -> int:
    """Print every stored result, oldest first; return the exit code."""
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
    store = Store()
    n_checked = len(store.keys())
    wrong = store.verify()
    for key, reason in wrong.items():
        print(f"{key[:12]}  {reason}")
    print(f"{n_checked} results checked, {len(wrong)} damaged")
    return 1 if wrong else 0


def prune(folders: Folders, sure: bool) -> int:
    """Delete the results that no profile asks for; without ``sure`` only say how many."""
    known = profiles(folders.notebooks / "profiles.yml").values()
    asked = (part for one in known for part in (*wanted(one).values(), read_by_claims(one)))
    used = with_needs(spec for part in asked for spec in part)
    store = Store()
    doomed = [key for key in store.keys() if key not in used]  # noqa: SIM118 - not a dict
    if not sure:
        size = sum(store.size(key) for key in doomed) / GIB
        found = [store.look(key)[0] for key in doomed]
        own = sum(names.is_path(getattr(r.spec, "dataset", "")) for r in found if r is not None)
        told = f", {own} of them proxies and selections of your own files" if own else ""
        print(f"{len(doomed)} results ({size:.3f} GiB) serve no profile{told}; --yes deletes them")
        return 0
    count, size = store.prune(set(used))
    print(f"deleted {count} files, {size / GIB:.3f} GiB")
    return 0


def export(chosen: Profile, folder: Path | None, full: bool, shrink: bool = False) -> int:
    """Write a profile's stored results as a pack, by default where published packs lie.

    `full` and `shrink` are those of `packs.export`.
    """
    store, of = Store(), wanted(chosen)
    drawn = chosen.only or list(of)
    asked = [spec for part in of.values() for spec in part]
    keys = with_needs([*asked, *read_by_claims(chosen)])
    judged = keys.keys() - with_needs(s for number in drawn for s in of.get(number, ())).keys()
    found = [result for key in keys if (result := store.read(key)) is not None]
    folder = folder or packs.path_of(chosen.name)
    configs = {number: chosen.config(number=number) for number in drawn}
    roles = {number: (config.proxy, config.target) for number, config in configs.items()}
    count, size = packs.export(found, folder, full, shrink, roles, judged)
    print(f"{count} of {len(with_needs(asked))} results, {size / 2**20:.2f} MiB, in {folder}")
    return 0


def import_pack(folder: Path) -> int:
    """Put a pack's results into the live store."""
    print("{} results imported, {} stood there already".format(*Store().import_(folder)))
    return 0
