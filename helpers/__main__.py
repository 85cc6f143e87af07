"""The command line: ``python -m helpers study | figures | claims | results | select``."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from helpers import arguments, parameters, profiles, run
from helpers.profiles import Folders

DEBUG_ENV = "STUDY_DEBUG"


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, like all others, and whose flags are written in full."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings, allow_abbrev=False)

    def error(self, message: str) -> None:
        """Exit with code 2 after one line."""
        self.exit(2, f"error: {message} ({self.prog} --help tells more)\n")


def main(argv: Sequence[str] | None = None, folders: Folders | None = None) -> int:
    """Run one command.

    Args:
        argv: Arguments after the program's name; those of this process by default.
        folders: Where notebooks lie and outputs go; this repository by default.

    Returns:
        Exit code: 0, 1 for a failing cell or damaged results, 2 for what the user can put
        right, 130 after Ctrl-C.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    parser = _parser()
    known = [*COMMANDS, "select"]
    if not argv or (argv[0] not in known and not argv[0].startswith("-")):
        parser.print_help()
        if argv:
            print(f"error: no command {argv[0]}; commands: {', '.join(known)}", file=sys.stderr)
        return 2 if argv else 0
    try:
        return _dispatch(parser, argv, folders or Folders())
    except SystemExit as leave:  # argparse has said why
        return int(leave.code or 0)
    except KeyboardInterrupt:
        kept = "finished runs are stored, the same command goes on"
        kept = "nothing was written" if argv[0] == "select" else kept
        print(f"\ninterrupted; {kept}", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except run.NotebookFailed as error:
        sys.stdout.flush()
        print(error, file=sys.stderr)
        return 1
    except (ValueError, OSError) as error:
        if os.environ.get(DEBUG_ENV):
            raise
        print(f"error: {_one_line(error)}", file=sys.stderr)
        return 2


def _dispatch(parser: Parser, argv: list[str], folders: Folders) -> int:
    """Parse the arguments and run the command that they name."""
    if argv[0] == "select":
        from helpers import select

        # its own parser: the methods need SciPy, which no other command should wait for
        own = Parser(prog="python -m helpers select", description="Pick a subset from arrays.")
        select.add_arguments(own)
        return select.run(own.parse_args(argv[1:]))
    options = parser.parse_args(argv)
    return COMMANDS[options.command](options, folders)


def _one_line(error: Exception) -> str:
    """Say what was wrong, and for a file which one, without a line break."""
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return text


def _study(options: argparse.Namespace, folders: Folders) -> int:
    asked = run.Options(
        profile=options.profile,
        parameters=parameters.given(options.parameter),
        only=tuple(options.only),
        device=options.device,
        workers=options.workers,
        fresh=getattr(options, "fresh", False),
        offline=options.command == "figures",
        publish=options.publish,
    )
    if getattr(options, "dry_run", False):
        from helpers import overview

        what = run.plan(asked, folders)
        with run.variables_set(run.environment(what, time.time())):
            print(overview.missing_runs(what))
        return 0
    what = run.study(asked, folders)
    if what.whole:
        from helpers import overview

        with run.variables_set(run.environment(what)):
            print(overview.claims(what.profile, asked.parameters))
    print(f"\nnotebooks: {_near(what.executed)}\nfigures:   {_near(what.figures)}")
    return 0


def _near(path: Path) -> str:
    """Write a path as seen from here, if it lies below."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _claims(options: argparse.Namespace, folders: Folders) -> int:
    from helpers import overview

    what = run.plan(
        run.Options(options.profile, parameters.given(options.parameter), offline=True), folders
    )
    with run.variables_set(run.environment(what)):
        print(overview.claims(what.profile, what.options.parameters))
    return 0


def _results(options: argparse.Namespace, folders: Folders) -> int:
    from helpers import overview

    actions: dict[str, Callable[[], int]] = {
        "list": overview.list_results,
        "verify": overview.verify,
        "prune": lambda: overview.prune(folders, options.yes),
        "export": lambda: overview.export(
            profiles.profile(options.profile, folders),
            options.folder,
            options.full,
            options.shrink,
        ),
        "import": lambda: overview.import_pack(options.folder),
    }
    return actions[options.action]()


COMMANDS = {
    "study": _study,
    "figures": _study,
    "claims": _claims,
    "results": _results,
}


def _parser() -> Parser:
    """Build the parser of all commands."""
    parser = Parser(prog="python -m helpers", description="A study of training-data selection.")
    commands = parser.add_subparsers(dest="command", metavar="command")
    study = commands.add_parser("study", help="run the notebooks of a profile")
    figures = commands.add_parser(
        "figures", help="redraw from stored or published results, training nothing"
    )
    claims = commands.add_parser("claims", help="the ledger of claims with verdicts")
    for command in (study, figures, claims):
        _add_profile(command)
    for command in (study, figures):
        _add_run(command)
    study.add_argument("--dry-run", action="store_true", help="list what would run, run nothing")
    study.add_argument("--fresh", action="store_true", help="compute everything again")
    _add_results(commands.add_parser("results", help="the store of results"))
    commands.add_parser("select", help="pick a subset from arrays on disk")
    return parser


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


def _add_profile(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--profile", default="digits", metavar="P", help="block of profiles.yml (default: digits)"
    )
    command.add_argument(
        "-p",
        dest="parameter",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="set a notebook parameter; the value is YAML; may be repeated",
    )


def _add_run(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="03",
        help="run only this notebook; may be repeated or hold commas",
    )
    command.add_argument(
        "--device", default="auto", type=arguments.device, help="auto, cpu, cuda or mps"
    )
    command.add_argument(
        "--workers", default=1, type=_positive, metavar="N", help="runs at once (default: 1)"
    )
    command.add_argument(
        "--publish", action="store_true", help="refresh the committed notebooks and figures"
    )


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 upwards, got {text}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
