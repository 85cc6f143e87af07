"""The command line: ``data-selection study | figures | claims | results | select | site``."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from helpers import StudyError, arguments
from helpers.runner import NotebookFailed

# Modules that take a second to import are imported by the commands that need them.
DEBUG_ENV = "STUDY_DEBUG"
COMMANDS = ("study", "figures", "claims", "results", "select", "site")


class Stopped(KeyboardInterrupt):
    """A signal asks this process to end. Args: its number."""


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, like all others, and whose flags are written in full."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings, allow_abbrev=False)

    def error(self, message: str) -> None:
        """Exit with code 2 after one line."""
        self.exit(2, f"error: {message} ({self.prog} --help tells more)\n")


def main(argv: Sequence[str] | None = None, folders: Any = None) -> int:
    """Run one command.

    Args:
        argv: Arguments after the program's name; those of this process by default.
        folders: `helpers.profiles.Folders`; this repository by default.

    Returns:
        Exit code: 0, 1 for a failing cell or damaged results, 2 for what the user can put
        right, 130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP.
    """
    for stream in (sys.stdout, sys.stderr):  # a terminal may know fewer letters than we print
        getattr(stream, "reconfigure", dict)(errors="replace")
    argv = list(sys.argv[1:] if argv is None else argv)
    parser = _parser()
    if not argv or (argv[0] not in COMMANDS and not argv[0].startswith("-")):
        parser.print_help()
        if argv:
            print(f"error: no command {argv[0]}; commands: {', '.join(COMMANDS)}", file=sys.stderr)
        return 2 if argv else 0
    try:
        with _signals():
            return _dispatch(parser, argv, folders)
    except SystemExit as leave:  # argparse has said why
        return int(leave.code or 0)
    except KeyboardInterrupt as stop:
        kept = "finished runs are stored, the same command goes on"
        kept = "nothing was written" if argv[0] == "select" else kept
        with contextlib.suppress(OSError):  # the terminal may be gone
            print(f"\ninterrupted; {kept}", file=sys.stderr)
        return 128 + (stop.args[0] if isinstance(stop, Stopped) else signal.SIGINT)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except NotebookFailed as error:
        sys.stdout.flush()
        print(error, file=sys.stderr)
        return 1
    except (ValueError, OSError) as error:
        if os.environ.get(DEBUG_ENV):
            raise
        print(f"error: {_one_line(error)}", file=sys.stderr)
        return 2


@contextlib.contextmanager
def _signals() -> Iterator[None]:
    """Make SIGTERM and SIGHUP end a command as Ctrl-C does; what is ignored (nohup) stays so.

    Once: what cleans up is not interrupted.
    """
    names = [n for n in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, n)]
    numbers = [getattr(signal, name) for name in names]
    before = {n: signal.getsignal(n) for n in numbers}
    caught = [n for n in numbers if before[n] != signal.SIG_IGN or n == signal.SIGTERM]
    if threading.current_thread() is not threading.main_thread():
        caught = []

    def stop(number: int, frame: object) -> None:
        for n in caught:
            signal.signal(n, signal.SIG_IGN)
        raise Stopped(number)

    for n in caught:
        signal.signal(n, stop)
    try:
        yield
    finally:
        for n in caught:
            signal.signal(n, before[n])


def _dispatch(parser: Parser, argv: list[str], folders: Any) -> int:
    if argv[0] == "select":
        from helpers import select

        # its own parser: the methods need SciPy, which no other command should wait for
        own = Parser(prog=f"{parser.prog} select", description="Pick a subset from arrays.")
        select.add_arguments(own)
        return select.run(own.parse_args(argv[1:]))
    options = parser.parse_args(argv)
    from helpers import profiles

    folders = folders or profiles.Folders()
    if options.command == "results":
        return _results(options, folders)
    if options.command == "site":
        from helpers import site

        print(f"{site.build(options.out, folders)} pages: {options.out / 'index.html'}")
        return 0
    return _study(options, folders)


def _one_line(error: Exception) -> str:
    """Say what was wrong, and for a file which one, without a line break."""
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return text


def _study(options: argparse.Namespace, folders: Any) -> int:
    from helpers import overview, profiles, run
    from helpers.claims import pages

    given = dict(vars(options), parameters=profiles.given(options.parameters))
    asked = {name: given[name] for name in run.Options.__dataclass_fields__ if name in given}
    asked["only"] = tuple(asked.get("only", ()))
    asked = run.Options(**asked, offline=options.command != "study")
    if getattr(options, "decide", ""):
        for flag in ("publish", "fresh", "only", "dry_run"):
            if getattr(options, flag, None):
                raise StudyError(f"--decide goes without --{flag.replace('_', '-')}")
        return _decide(run.plan(asked, folders), options.decide, options.hours)
    if getattr(options, "sweep", ""):
        return _sweep(asked, options.sweep, options.dry_run, folders)
    runs = options.command != "claims" and not getattr(options, "dry_run", False)
    what, failed = run.plan(asked, folders), None
    try:
        if runs:
            run.carry_out(what)
    except NotebookFailed as error:
        if not asked.keep_going:
            raise
        failed = error
    with profiles.variables_set(run.environment(what)):
        if getattr(options, "dry_run", False):
            print(overview.missing_runs(what))
        elif rows := overview.judged(what, write=runs):
            told = overview.claims(what.profile, rows, short=runs and bool(asked.only))
            as_json = getattr(options, "json", False)
            print(json.dumps(pages.records(rows), indent=1) if as_json else told)
    if failed:
        raise failed
    if not runs:
        return 0
    if asked.publish and folders.root == profiles.ROOT:
        overview.refresh_readme(folders, what.profile)
    print(f"\nnotebooks: {_near(what.executed)}\nfigures:   {_near(what.figures)}")
    return 0


def _sweep(asked: Any, text: str, dry_run: bool, folders: Any) -> int:
    """Run a study a value of `n_seeds=2,3,5`, each in its folder; print and store all claims.

    A dry run lists what each value lacks; what two of them share is listed with both.
    """
    import pandas as pd

    from helpers import overview, profiles, run
    from helpers.claims import pages

    name, _, listed = text.partition("=")
    values = profiles.given([f"{name}=[{listed}]"])[name]
    if asked.only and not pages.documents(run.plan(asked, folders).notebooks):
        raise StudyError("--sweep tables claims, and these notebooks are about none")
    if name in asked.parameters or len(values) < 2 or any(values.count(v) > 1 for v in values):
        raise StudyError(f"--sweep takes two values or more, each once and not by -p, got {text}")
    plans, found = [], []
    for one in (profiles.absolute({name: value}, Path.cwd()) for value in values):
        out = asked.out and asked.out / profiles.folder_name(asked.profile, one)
        own = dataclasses.replace(asked, parameters=asked.parameters | one, out=out)
        plans.append(run.plan(own, folders))
    own = profiles.folder_name(f"{asked.profile}+sweep", asked.parameters | {name: values})
    path = (asked.out or folders.figures(own)) / "sweep.csv"
    for value, what in zip(values, plans):
        print(f"\n{name} = {value}", flush=True)
        if dry_run:
            with profiles.variables_set(run.environment(what)):
                print(overview.missing_runs(what))
            continue
        what = run.study(what.options, folders)  # its token, where --fresh
        with profiles.variables_set(run.environment(what)):
            lines = pages.records(overview.judged(what))
            shown = str(value) if isinstance(value, list) else value
            found += [{name: shown} | line for line in lines]
            table = pd.DataFrame(found)
            profiles.write_table(path, table, asked.parameters)
    if dry_run:
        return 0
    known = table[table["value"].notna()]
    known = known.assign(told=known["verdict"] + " " + known["ours"])
    wide = known.pivot(index="id", columns=name, values="told").fillna("-")
    print(f"\n{wide.to_string()}\n\ntable: {_near(path)}")
    return 0


def _decide(what: Any, name: str, hours: float) -> int:
    from helpers import profiles, run
    from helpers.claims import deciding, ledger, pages

    claim = next((one for one in ledger.load_ledger() if one.id == name), None)
    if claim is None:
        raise StudyError(f"no claim {name} in the ledger")
    with profiles.variables_set(run.environment(what)):
        config = pages.config_of(what.profile, claim.document, what.config)
        deciding.search(claim, config, what.profile.regime, hours)
    return 0


def _near(path: Path) -> str:
    here = Path.cwd()
    below = path.is_relative_to(here) and here != Path(here.anchor)
    return str(path.relative_to(here) if below else path)


def _results(options: argparse.Namespace, folders: Any) -> int:
    from helpers import overview, profiles

    if options.action == "list":
        return overview.list_results()
    if options.action == "verify":
        return overview.verify()
    if options.action == "prune":
        return overview.prune(folders, options.yes)
    if options.action == "import":
        return overview.import_pack(options.folder)
    chosen = profiles.profile(options.profile, folders)
    return overview.export(chosen, options.folder, options.full, options.shrink)


def _parser() -> Parser:
    called = Path(sys.argv[0]).name
    prog = called if called.startswith("data-selection") else "python -m helpers"
    parser = Parser(prog=prog, description="A study of training-data selection.")
    commands = parser.add_subparsers(dest="command", metavar="command")
    study = commands.add_parser("study", help="run the notebooks of a profile")
    figures = commands.add_parser(
        "figures", help="redraw from stored or published results, training nothing"
    )
    claims = commands.add_parser("claims", help="the ledger of claims with verdicts")
    _add_studies(study, figures, claims)
    _add_results(commands.add_parser("results", help="the store of results"))
    commands.add_parser("select", help="pick a subset from arrays or data of your own")
    site = commands.add_parser("site", help="README and published notebooks as pages")
    site.add_argument("--out", type=Path, default=Path("site"), metavar="DIR", help="folder (site)")
    return parser


def _add_studies(study: Parser, figures: Parser, claims: Parser) -> None:
    for command in (study, figures, claims):
        add = command.add_argument
        add("--profile", default="digits", metavar="P", help="block of profiles.yml (digits)")
        add(
            "-p",
            dest="parameters",
            action="append",
            default=[],
            metavar="NAME=VALUE",
            help="set a notebook parameter; the value is YAML; may be repeated",
        )
        add(
            "--only",
            action="append",
            default=[],
            metavar="03",
            help="number or part of a name; may be repeated",
        )
    for command in (study, figures):
        add = command.add_argument
        add("--out", type=Path, metavar="DIR", help="write DIR/notebooks and DIR/figures instead")
        add("--keep-going", action="store_true", help="where a notebook fails, run the others too")
        add("--device", default="auto", type=arguments.device, help="auto, cpu, cuda or mps")
        add("--workers", default=1, type=arguments.whole(1), metavar="N", help="runs at once (1)")
        add("--publish", action="store_true", help="refresh the committed notebooks and figures")
    claims.add_argument("--json", action="store_true", help="one JSON array of all claims")
    study.add_argument("--dry-run", action="store_true", help="list what would run, run nothing")
    one = study.add_mutually_exclusive_group()
    one.add_argument("--decide", default="", metavar="ID", help="add seeds to one claim instead")
    one.add_argument("--sweep", default="", metavar="NAME=1,2", help="a study a value, one table")
    study.add_argument(
        "--hours", default=1.0, type=arguments.positive, metavar="H", help="for --decide (1)"
    )
    study.add_argument("--fresh", action="store_true", help="compute everything again")


def _add_results(command: argparse.ArgumentParser) -> None:
    actions = command.add_subparsers(dest="action", metavar="action", required=True)
    actions.add_parser("list", help="every stored result, oldest first")
    actions.add_parser("verify", help="check every result, set damaged ones aside")
    prune = actions.add_parser("prune", help="delete results that no profile asks for")
    prune.add_argument("--yes", action="store_true", help="delete, not only count")
    export = actions.add_parser("export", help="write a profile's results as one pack")
    export.add_argument("folder", nargs="?", type=Path, help="default: data/results/P")
    export.add_argument("--profile", default="digits", metavar="P")
    export.add_argument("--full", action="store_true", help="keep traces and dependencies too")
    export.add_argument("--shrink", action="store_true", help="also replace a pack of more results")
    import_ = actions.add_parser("import", help="put a pack's results into the store")
    import_.add_argument("folder", type=Path)


if __name__ == "__main__":
    sys.exit(main())
