"""Run the contests and write the report: `make bench`, or python tests/benchmarks/run.py.

Results are kept one by one under the folder, so a run that was cut short goes on with --resume.
"""

import argparse
import contextlib
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import contest
import report

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
FOLDER = ROOT / ".benchmarks"
THREADS = "OMP_NUM_THREADS OPENBLAS_NUM_THREADS MKL_NUM_THREADS NUMBA_NUM_THREADS".split()


def main(arguments: list[str] | None = None) -> int:
    """Run what the arguments ask for; 1 where a contestant of ours failed."""
    options = parse(arguments)
    if options.child:
        return child(options)
    files = [Path(name) for name in options.workloads] or sorted(HERE.glob("bench_*.py"))
    found = load(files)
    wanted = options.only or [""]
    chosen = {n: f for n, f in found.items() if any(word in n for word in wanted)}
    if not chosen:
        print(f"no workload is named like {options.only}; there are {', '.join(found)}")
        return 2
    folder = options.folder / ("quick" if options.quick else "full")
    for requirement in read_peers() if options.install else ():  # one by one: some do not build
        subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", requirement])
    failed = False
    for late in (False, True):
        for path, workload in chosen.values():
            for contestant in workload.contestants:
                if contestant.last is late and contestant.kind != "quoted":
                    row = enter(path, workload, contestant, folder, options)
                    failed |= "error" in row and contestant.kind == "ours"
                    write([one for _, one in found.values()], folder, options)
    print(f"report: {folder / 'report.md'}")
    return int(failed)


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", metavar="NAME", help="workloads, by part of a name")
    parser.add_argument("--quick", action="store_true", help="small sizes: does everything run?")
    parser.add_argument("--resume", action="store_true", help="keep rows that are there already")
    parser.add_argument("--install", action="store_true", help="install the peers one by one first")
    parser.add_argument("--publish", action="store_true", help="also write REPORT.md, to commit")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="for rows and report")
    parser.add_argument("--workloads", nargs="+", default=[], metavar="FILE", help="other files")
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def load(files: list[Path]) -> dict[str, tuple[Path, contest.Workload]]:
    """Return the workloads of some files by name, each with its file."""
    found = {}
    for path in files:
        spec = importlib.util.spec_from_file_location(path.stem, path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        found |= {workload.name: (path, workload) for workload in module.WORKLOADS}
    return found


def child(options: argparse.Namespace) -> int:
    """Measure one contestant and write its row."""
    path, name, contestant_name, target = options.child
    _, workload = load([Path(path)])[name]
    contestant = next(c for c in workload.contestants if c.name == contestant_name)
    try:
        row = contest.measure(workload, contestant, options.quick)
    except Exception as error:  # a peer may raise anything: it becomes a line of the report
        row = {"error": brief(f"{type(error).__name__}: {error}")}
    Path(target).write_text(json.dumps(row), encoding="utf-8")
    return 0


def enter(
    path: Path,
    workload: contest.Workload,
    contestant: contest.Contestant,
    folder: Path,
    options: argparse.Namespace,
) -> dict:
    """Return a contestant's row: the stored one, or that of a fresh process."""
    target = folder / workload.name / f"{slug(contestant.name)}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    sizes = json.loads(json.dumps(workload.quick if options.quick else workload.full))
    if options.resume and target.exists():
        row = json.loads(target.read_text(encoding="utf-8"))
        if "error" not in row and row.get("sizes") == sizes:
            return row
    print(f"{workload.name}: {contestant.name} ...", end=" ", flush=True)
    row = race(path, workload, contestant, target, options.quick) | {"sizes": sizes}
    target.write_text(json.dumps(row) + "\n", encoding="utf-8")
    fine = "error" not in row
    print(f"{row['cpu_s']:.4g} s, {row['peak_mb']:.0f} MB" if fine else row["error"], flush=True)
    return row


def race(
    path: Path,
    workload: contest.Workload,
    contestant: contest.Contestant,
    target: Path,
    quick: bool,
) -> dict:
    """Run one contestant in a process of its own and return its row."""
    unfinished = target.with_suffix(".part")
    command = [sys.executable, str(HERE / "run.py"), "--child", str(path), workload.name]
    command += [contestant.name, str(unfinished)] + (["--quick"] if quick else [])
    settings = os.environ | {name: str(workload.threads) for name in THREADS}
    settings["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    nowhere, pipe = subprocess.DEVNULL, subprocess.PIPE
    process = subprocess.Popen(
        command, env=settings, stdout=nowhere, stderr=pipe, text=True, start_new_session=True
    )
    try:
        _, errors = process.communicate(timeout=contestant.timeout_s)
    except subprocess.TimeoutExpired:
        return {"error": f"not done after {contestant.timeout_s:g} s"}
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)  # solvers run as its children
        process.wait()
    if process.returncode or not unfinished.exists():
        told = errors.strip().splitlines() or [f"it ended with code {process.returncode}"]
        return {"error": brief(told[-1])}
    row = json.loads(unfinished.read_text(encoding="utf-8"))
    unfinished.unlink()
    return row


def read_peers() -> list[str]:
    """Return the requirements of the extra `peers`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return project["optional-dependencies"]["peers"]


def write(workloads: list[contest.Workload], folder: Path, options: argparse.Namespace) -> None:
    """Write the report of every stored row, also those of earlier runs."""
    results = {}
    for workload in workloads:
        paths = {c.name: folder / workload.name / f"{slug(c.name)}.json"
                 for c in workload.contestants}  # fmt: skip
        results[workload.name] = {
            name: json.loads(path.read_text(encoding="utf-8"))
            for name, path in paths.items()
            if path.exists()
        }
    text = report.render(workloads, results, options.quick)
    (folder / "report.md").write_text(text, encoding="utf-8")
    (folder / "report.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    if options.publish and not options.quick:
        (HERE / "REPORT.md").write_text(text, encoding="utf-8")


def slug(name: str) -> str:
    """Return a name fit for a file."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def brief(text: str) -> str:
    """Return the text on one line, short, fit for a table, with no path of this machine."""
    text = " ".join(text.split()).replace("|", "/").replace("`", "'")
    return re.sub(r"(/[\w.+-]+){2,}/", ".../", text)[:200]


if __name__ == "__main__":
    sys.exit(main())
