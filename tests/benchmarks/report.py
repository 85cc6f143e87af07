"""The report of a contest, in Markdown, from the rows that `contest.measure` returned."""

import datetime
import importlib.metadata
import importlib.util
import os
import platform
from pathlib import Path
from typing import Any

from contest import REPEATS, Contestant, Target, Workload

PACKAGES = "numpy scipy pulp highspy apricot-select submodlib-py dppy".split()
MODULES = {"apricot-select": "apricot", "submodlib-py": "submodlib"}
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


def render(workloads: list[Workload], results: dict[str, dict[str, dict]], quick: bool) -> str:
    """Return the whole report; `results` holds rows by workload and contestant."""
    measured = [workload for workload in workloads if results.get(workload.name)]
    parts = ["# What the solvers cost", header(quick), waited(measured, results)]
    parts += [summary(measured, results)] if not quick else []
    parts += [section(workload, results[workload.name], quick) for workload in measured]
    return "\n\n".join(part for part in parts if part) + "\n"


def header(quick: bool) -> str:
    """Return date, machine and versions, and what the columns mean."""
    lines = [f"{datetime.date.today()}, {machine()}.", ", ".join(versions()) + "."]
    if quick:
        lines.insert(0, "**Quick run at reduced sizes: targets are not judged.**")
    return "\n".join(lines) + "\n\n" + INTRODUCTION.format(repeats=REPEATS)


def machine() -> str:
    """Return the processor's name, its cores and the memory."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    told = {name.strip(): value.strip() for name, _, value in (li.partition(":") for li in lines)}
    model = told.get("model name") or platform.processor() or platform.machine()
    if "cpu family" in told:  # virtual machines often say no more than a maker's name
        model += f" (family {told['cpu family']}, model {told['model']})"
    gigabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    python = platform.python_version()
    return f"{model}, {os.cpu_count()} cores, {gigabytes:.0f} GB, Python {python}"


def versions() -> list[str]:
    """Return the versions of what took part."""
    there = [name for name in PACKAGES if importlib.util.find_spec(MODULES.get(name, name))]
    return [f"{name} {importlib.metadata.version(name)}" for name in there]


def waited(workloads: list[Workload], results: dict[str, dict[str, dict]]) -> str:
    """Say whether other programs shared the cores with the contestants."""
    single = [workload.name for workload in workloads if workload.threads == 1]
    rows = [row for name in single for row in results[name].values() if "runs" in row]
    found = sum(row["wall_s"] > WAITED * row["cpu_s"] for row in rows)
    return found and (
        f"**Other programs ran beside the contestants**: in {found} of {len(rows)} rows of one "
        f"thread the clock took over {WAITED:g} times the CPU seconds. Shared cores and caches "
        "raise CPU seconds as well, and not alike for all: ratios within a workload, whose rows "
        "ran one after another, tell more than seconds, which are upper bounds."
    )


def summary(workloads: list[Workload], results: dict[str, dict[str, dict]]) -> str:
    """Return every target with its verdict in one table, then why some were missed."""
    lines = ["## Targets", "", "| workload | target | against | found | met |"]
    lines.append("|---|---|---|---|---|")
    missed = []
    for workload in workloads:
        for target in workload.targets:
            found, met = target.judge(results[workload.name])
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


def line(workload: Workload, contestant: Contestant, rows: dict[str, dict]) -> str:
    """Return one contestant's line of the table."""
    kind = contestant.kind
    name = contestant.name if kind == "ours" else f"{contestant.name} ({kind})"
    mine = our_row(workload, contestant, rows).get("cpu_s")
    if kind == "quoted":
        ratio = f"{contestant.quoted_s / mine:,.3g}" if mine else ""
        return f"| *{name}* | | *{contestant.quoted_s:g}* | | | | | *{ratio}* | |"
    row = rows[contestant.name]
    if "error" in row:
        return f"| {name} | failed: `{row['error']}` | | | | | | | |"
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
