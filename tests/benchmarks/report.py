"""The report of a contest, in Markdown, from the rows that `contest.measure` returned."""

import dataclasses
import datetime
import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

from contest import Contestant, Target, Workload

PACKAGES = "numpy scipy pulp highspy apricot-select submodlib-py dppy".split()
WAITED = 1.2  # clock over CPU seconds above which a contestant did not have its core alone
INTRODUCTION = """\
Each contestant ran in a process of its own: median of at least {repeats} runs (3 above a minute,
1 where it says once), least and most in brackets. CPU: processor seconds of all threads and child
processes. Memory in MB: above imports and data, and in all. "Ratio": CPU seconds over ours.

Against whom: *peer* is a third-party package, at the version above; *as written* is the paper's
program in a third-party solver, written down by us; *loop* is our own plain code, without what
makes ours quick; *reference* is our own, there for the objective; *quoted* is a third party's
number from a trial on a machine of this size, not measured here."""
WHO = {"peer": "third party", "as written": "third party's solver", "loop": "our own plain loop"}


def render(
    workloads: list[Workload],
    results: dict[str, dict[str, dict]],
    refused: dict[str, str],
    quick: bool,
) -> str:
    """Return the whole report; `results` holds rows by workload and contestant."""
    measured = [workload for workload in workloads if results.get(workload.name)]
    parts = ["# What the solvers cost", header(quick), limits(workloads, results)]
    parts += [peers(refused), *warnings(measured, results)]
    parts += [summary(measured, results)] if not quick else []
    parts += [section(workload, results[workload.name], quick) for workload in measured]
    return "\n\n".join(part for part in parts if part) + "\n"


def header(quick: bool) -> str:
    """Return date, machine and versions, and what the columns mean."""
    from contest import REPEATS

    lines = [f"{datetime.date.today()}, {machine()}.", ", ".join(versions()) + "."]
    if quick:
        lines.insert(0, "**Quick run at reduced sizes: targets are not judged.**")
    return "\n".join(lines) + "\n\n" + INTRODUCTION.format(repeats=REPEATS)


def machine() -> str:
    """Return the processor's name, its cores and the memory."""
    model = processor()
    cores = os.cpu_count()
    gigabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return f"{model}, {cores} cores, {gigabytes:.0f} GB, Python {platform.python_version()}"


def processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Return the processor's name, with family and model numbers where the system tells them.

    Virtual machines often say no more than a maker's name; the numbers then tell the generation.
    """
    told: dict[str, str] = {}
    if cpuinfo.exists():
        for text in cpuinfo.read_text(encoding="utf-8").splitlines():
            name, _, value = text.partition(":")
            told.setdefault(name.strip(), value.strip())
    model = told.get("model name") or platform.processor() or platform.machine()
    if told.get("cpu family") and told.get("model"):
        model += f" (family {told['cpu family']}, model {told['model']})"
    return model


def versions() -> list[str]:
    """Return the versions of what took part."""
    found = []
    for name in PACKAGES:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            found.append(f"{name} missing")
    return found


def limits(workloads: list[Workload], results: dict[str, dict[str, dict]]) -> str:
    """Say what was not run, and whether other programs shared the cores with what was."""
    lines = []
    absent = [workload.name for workload in workloads if not results.get(workload.name)]
    if absent and len(absent) < len(workloads):
        lines.append(f"**Not run this time**: {', '.join(absent)}.")
    single = [workload.name for workload in workloads if workload.threads == 1]
    rows = [row for name in single for row in results.get(name, {}).values() if "runs" in row]
    waited = sum(row["wall_s"] > WAITED * row["cpu_s"] for row in rows)
    if waited:
        lines.append(
            f"**Other programs ran beside the contestants**: in {waited} of {len(rows)} rows of "
            f"one thread the clock took over {WAITED:g} times the CPU seconds. Shared cores and "
            "caches raise CPU seconds as well, and not alike for all: ratios within a workload, "
            "whose rows ran one after another, tell more than seconds, which are upper bounds."
        )
    return "\n\n".join(lines)


def peers(refused: dict[str, str]) -> str:
    """Name each peer that would not install, with its error."""
    lines = [f"- **{name}** would not install: `{error}`" for name, error in refused.items()]
    return "\n".join(lines)


def warnings(workloads: list[Workload], results: dict[str, dict[str, dict]]) -> list[str]:
    """Name each workload where an answer of ours is worse than another's."""
    lines = []
    for workload in workloads:
        for contestant in workload.contestants:
            text = standing(workload, contestant, results[workload.name])
            if contestant.kind == "ours" and text.startswith("WORSE"):
                lines.append(f"- **{workload.name}, {contestant.name}: our objective is {text}**")
    return ["\n".join(lines)] if lines else []


def summary(workloads: list[Workload], results: dict[str, dict[str, dict]]) -> str:
    """Return every target with its verdict in one table, then why some were missed."""
    lines = ["## Targets", "", "| workload | target | against | found | met |"]
    lines.append("|---|---|---|---|---|")
    missed = []
    for workload in workloads:
        for target in workload.targets:
            found, met = target.judge(results.get(target.workload or workload.name, {}))
            word = {True: "yes", False: "**no**", None: "not judged"}[met]
            cells = [workload.name, target.text, opponent(workload, target), found, word]
            lines.append("| " + " | ".join(cells) + " |")
            if met is False:
                missed.append(f"- {workload.name}, {target.text}: {target.why or 'no cause known'}")
    return "\n".join(lines + ([""] + missed if missed else []))


def opponent(workload: Workload, target: Target) -> str:
    """Say whose work a target compares ours with, and what its being stopped means."""
    against = next((c for c in workload.contestants if target.than == c.name), None)
    if against is None:
        return ""
    text = WHO.get(against.kind, against.kind)
    is_time = target.compares == "seconds"
    return f"{text}; {against.cut}" if against.cut and is_time else text


def section(workload: Workload, rows: dict[str, dict], quick: bool) -> str:
    """Return the table of one workload."""
    workload, rows = folded(workload, rows)
    sizes = workload.quick if quick else workload.full
    setting = ", ".join(f"{name} = {number(value)}" for name, value in sizes.items())
    setting += f"; {workload.threads} thread" + ("s" if workload.threads > 1 else "")
    setting += f"; objective: {workload.objective}" if workload.objective else ""
    lines = [f"## {workload.name}: {workload.title}", "", setting + ".", ""]
    lines.append(
        "| contestant | median s | CPU s | MB above data | MB in all | objective |"
        " standing | ratio | runs |"
    )
    lines.append("|---|---|---|---|---|---|---|---|---|")
    for contestant in workload.contestants:
        if contestant.name in rows or contestant.kind == "quoted":
            lines.append(line(workload, contestant, rows))
    remarks = [f"- {c.name}: {c.note}" for c in workload.contestants if c.note]
    return "\n".join(lines + ([""] + remarks if remarks else []))


def folded(workload: Workload, rows: dict[str, dict]) -> tuple[Workload, dict[str, dict]]:
    """Return workload and rows with each whole series as one contestant: the most of every cost."""
    contestants, rows = list(workload.contestants), dict(rows)
    for series in dict.fromkeys(c.series for c in contestants if c.series):
        members = [c for c in contestants if c.series == series]
        found = [rows.get(c.name, {"error": "not run"}) for c in members]
        if any("error" in row for row in found):
            continue  # each for itself then, so that the failure is seen
        name = f"{members[0].name.partition(',')[0]}, longest over {series}"
        costs = ("wall_s", "cpu_s", "peak_mb", "total_mb")
        rows[name] = {cost: max(row[cost] for row in found) for cost in costs}
        # of the longest setting, whose median the line shows
        rows[name]["runs"] = max(found, key=lambda row: row["cpu_s"])["runs"]
        place = contestants.index(members[0])
        contestants = [c for c in contestants if c not in members]
        contestants.insert(place, dataclasses.replace(members[0], name=name))
    return dataclasses.replace(workload, contestants=tuple(contestants)), rows


def line(workload: Workload, contestant: Contestant, rows: dict[str, dict]) -> str:
    """Return one contestant's line of the table."""
    name = (
        contestant.name if contestant.kind == "ours" else f"{contestant.name} ({contestant.kind})"
    )
    if contestant.kind == "quoted":
        mine = our_row(workload, contestant, rows).get("cpu_s")
        ratio = f"{contestant.quoted_s / mine:,.3g}" if mine else ""
        return f"| *{name}* | | *{contestant.quoted_s:g}* | | | | | *{ratio}* | |"
    row = rows[contestant.name]
    if "error" in row:
        return f"| {name} | failed: `{row['error']}` | | | | | | | |"
    mine = our_row(workload, contestant, rows).get("cpu_s")
    bound = "≥ " if contestant.cut else ""
    ratio = f"{bound}{row['cpu_s'] / mine:,.3g}" if mine else ""
    objective = "" if row.get("objective") is None else f"{row['objective']:.9g}"
    count = "once" if contestant.once else len(row["runs"])
    notes = "".join(f"; {key} {row[key]:,.3g}" for key in row if key.startswith("of which"))
    cells = [name + notes, spread(row, "wall_s"), spread(row, "cpu_s")]
    cells += [f"{row['peak_mb']:,.0f}", f"{row['total_mb']:,.0f}", objective]
    cells += [standing(workload, contestant, rows), ratio, str(count)]
    return "| " + " | ".join(cells) + " |"


def spread(row: dict[str, Any], cost: str) -> str:
    """Return a median, with the least and the most of its runs where several are stored."""
    values = [run[cost] for run in row["runs"] if cost in run]
    least_and_most = f" [{number(min(values))}, {number(max(values))}]" if len(values) > 1 else ""
    return number(row[cost]) + least_and_most


def our_row(workload: Workload, contestant: Contestant, rows: dict[str, dict]) -> dict[str, Any]:
    """Return our first row of the contestant's group, {} where there is none."""
    for other in workload.contestants:
        if other.kind == "ours" and other.group == contestant.group:
            return rows.get(other.name, {})
    return {}


def standing(workload: Workload, contestant: Contestant, rows: dict[str, dict]) -> str:
    """Say how far a contestant's objective is behind the best of its group."""
    group = [c.name for c in workload.contestants if c.group == contestant.group]
    values = {name: rows.get(name, {}).get("objective") for name in group}
    values = {name: value for name, value in values.items() if value is not None}
    mine = values.get(contestant.name)
    if mine is None or len(values) < 2:
        return ""
    best = max(values.values(), key=lambda value: workload.sense * value)
    behind = abs(best - mine) / max(abs(best), 1e-300)
    return "best" if behind <= workload.tolerance else f"WORSE by {100 * behind:.3g} %"


def number(value: Any) -> str:
    """Return a number as a reader wants it."""
    if isinstance(value, float):
        return f"{value:,.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
