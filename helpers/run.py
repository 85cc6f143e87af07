"""Running the study: a profile is read once, all of it checked before any kernel starts."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from helpers import StudyError, experiments, profiles
from helpers.config import Config
from helpers.pictures import quantised, quantised_outputs
from helpers.profiles import Folders, Profile, Setting, profile, settings, variables_set
from helpers.progress import duration
from helpers.results.store import Store
from helpers.runner import NotebookFailed, clear, execute, saved_figures

TEMPORARY_PROFILE = "smoke"


@dataclass(frozen=True)
class Options:
    """What a user asked of one run of the study; `out` is a folder in place of the usual ones."""

    profile: str = "digits"
    parameters: dict[str, Any] = field(default_factory=dict)
    only: tuple[str, ...] = ()
    device: str = "auto"
    workers: int = 1
    fresh: bool = False
    offline: bool = False
    publish: bool = False
    keep_going: bool = False
    out: Path | None = None


@dataclass(frozen=True)
class Plan:
    """What will run: notebooks by number, their parameters, where things go.

    Attributes:
        settings: What each notebook is run with.
        config: Of the whole study, without what the profile sets for single notebooks.
        changed: Parameters whose values are not the profile's.
        fresh: Token of a study that computes everything again; "" for others.
    """

    options: Options
    profile: Profile
    folders: Folders
    notebooks: dict[str, Path]
    settings: dict[str, Setting]
    config: Config
    executed: Path
    figures: Path
    changed: dict[str, Any]
    fresh: str = ""


def notebooks(folders: Folders) -> dict[str, Path]:
    """List the clean notebooks, number ("03") to path."""
    found = {p.name[:2]: p for p in sorted(folders.notebooks.glob("[0-9][0-9]-*.ipynb"))}
    if not found:
        raise FileNotFoundError(f"no notebooks NN-name.ipynb in {folders.notebooks}")
    return found


def choose(found: dict[str, Path], only: tuple[str, ...]) -> list[str]:
    """Turn what ``--only`` names into numbers in order.

    It is a number ("3", "03"), part of a stem, a document ("svp": the notebooks that are about it
    but not about all), or several of them with commas.
    """
    names = [name.strip() for part in only for name in part.split(",") if name.strip()]
    known, chosen = ", ".join(path.stem for path in found.values()), []
    for name in names:
        part = name.removesuffix(".ipynb").lower()
        fits = [number for number in found if number == part.zfill(2)]
        fits = fits or [number for number, path in found.items() if part in path.stem]
        if not fits:
            from helpers.claims import pages

            fits = [n for n in found if part in pages.documents([n]) and n != "06"]
        elif len(fits) > 1:
            raise StudyError(f"{len(fits)} notebooks fit {name}; notebooks: {known}")
        if not fits:
            raise StudyError(f"no notebooks fit {name}; notebooks: {known}")
        chosen += fits
    if not names:
        raise StudyError(f"--only names no notebook; notebooks: {known}")
    return [number for number in found if number in chosen]


def plan(options: Options, folders: Folders | None = None) -> Plan:
    """Check everything the user asked for and work out what will run.

    Raises:
        StudyError: For an unknown profile, notebook or parameter, or a value no run could use.
    """
    folders = folders or Folders()
    chosen = profile(options.profile, folders)
    if options.publish and chosen.name == TEMPORARY_PROFILE:
        raise StudyError(f"profile {chosen.name} only shows that all runs: it is not published")
    found = notebooks(folders)
    if options.only:
        numbers = choose(found, options.only)
    else:
        numbers = [n for n in found if n in (chosen.only or experiments.ALL)]
    asked = settings(found, chosen, options.parameters, numbers)
    config = chosen.config(options.parameters)
    if not options.offline:
        config.check_data(frozenset().union(*(one.names for one in asked.values())))
        for number, one in asked.items():
            one.config.check_networks(number, one.names)
    picked, changed = {number: found[number] for number in numbers}, {}
    for number, path in picked.items():
        changed |= profiles.different(chosen, path, asked[number].passed)
    if options.publish and changed:
        raise StudyError(f"--publish takes the profile's own values of {', '.join(changed)}")
    name = profiles.folder_name(chosen.name, changed)
    executed, figures = folders.executed(name), folders.figures(name)
    out = options.out and options.out.absolute()
    if out is None and chosen.name == TEMPORARY_PROFILE:
        out = Path(tempfile.gettempdir()) / f"study-{chosen.name}-{os.getpid()}"
    if out is not None:
        executed, figures = out / "notebooks", out / "figures"
    if executed.resolve() == folders.notebooks.resolve():
        raise StudyError(f"--out {options.out} holds the clean notebooks, which would be replaced")
    fresh = uuid.uuid4().hex if options.fresh else ""
    return Plan(options, chosen, folders, picked, asked, config, executed, figures, changed, fresh)


def environment(what: Plan) -> dict[str, str]:
    """Gather the variables that tell the helpers what this run is."""
    options, data = what.options, os.environ.get("STUDY_DATA")
    variables = {
        "STUDY_PROFILE": what.profile.name,
        "STUDY_FIGURES": str(what.figures),
        "STUDY_STORE": str(what.folders.store()),
        "STUDY_DEVICE": options.device,
        "STUDY_WORKERS": str(options.workers),
        "STUDY_DATA": os.path.abspath(Path(data).expanduser()) if data else "",
        "STUDY_FRESH": what.fresh,
        "STUDY_OFFLINE": "1" if options.offline else "",
    }
    return {name: value for name, value in variables.items() if value}


def study(options: Options, folders: Folders | None = None) -> Plan:
    """Run the notebooks of a profile, first to last, and return the plan carried out.

    Raises:
        StudyError: If something asked for does not exist; nothing has run then.
        NotebookFailed, KeyboardInterrupt: As `carry_out`.
    """
    what = plan(options, folders)
    carry_out(what)
    return what


def carry_out(what: Plan) -> None:
    """Run the notebooks of a plan, first to last.

    Raises:
        StudyError: If a folder cannot be written; nothing has run then.
        NotebookFailed: At the first failing cell, or at the end if asked to keep going; the
            notebooks that ran are in place.
        KeyboardInterrupt: As it came; the kernel is gone, finished runs are stored.
    """
    options, began = what.options, time.monotonic()
    Store(what.folders.store()).keys()  # refuses what is no folder before anything runs
    if what.profile.name == TEMPORARY_PROFILE and options.out is None:
        clear(what.executed.parents[1], rf"study-{TEMPORARY_PROFILE}-(\d+)")
    for folder in (what.executed, what.figures):
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise StudyError(f"{folder} cannot be written: --out DIR names another place")
    stems, failed = [path.stem for path in what.notebooks.values()], []
    before = _stamps(what.figures)
    for stem in stems:
        (what.executed / f"{stem}.failed.ipynb").unlink(missing_ok=True)
    try:
        for place, (number, stem) in enumerate(zip(what.notebooks, stems), start=1):
            try:
                _run_one(what, number, before, f"[{place}/{len(stems)}] {stem}")
            except NotebookFailed as error:
                failed.append(error)
                if not options.keep_going:
                    break
                print(str(error).partition("\n")[0], flush=True)
    finally:
        clear(what.figures, r".*\.(\d+)\.tmp")  # of a kernel killed while it wrote one
    print(
        f"{len(stems)} notebook{'s' * (len(stems) != 1)} in {duration(time.monotonic() - began)}",
        flush=True,
    )
    if failed and stems[place:]:
        print(f"not run: {', '.join(stems[place:])}", file=sys.stderr)
    for error in failed[:-1]:
        print(error, file=sys.stderr)
    if failed:
        raise failed[-1]
    if options.publish:
        publish(what, before)


def _run_one(what: Plan, number: str, before: dict[str, tuple], title: str) -> None:
    """Run one notebook; where it lacks results, its undrawn figures become empty places."""
    notebook = what.notebooks[number]
    output = what.executed / notebook.name
    try:
        execute(notebook, output, what.settings[number].passed, environment(what), title)
    except NotebookFailed as error:
        if error.kind != "NotRun" or what.options.publish:  # half a copy is not published
            raise
        os.replace(error.copy, output)
        print(f"{title} {str(error).partition('NotRun: ')[2]}", flush=True)
        from helpers import plots

        drawn = _drawn(what.figures, before)
        left = [name for name in saved_figures(notebook) if f"{name}.png" not in drawn]
        with variables_set(environment(what)):
            plots.keep_places(left, float("inf"))


def _stamps(folder: Path) -> dict[str, tuple]:
    """Return what tells a file from the one that takes its place, by name; clocks may be wrong."""
    found = {path.name: path.stat() for path in folder.iterdir()}
    return {name: (state.st_mtime_ns, state.st_ino) for name, state in found.items()}


def _drawn(folder: Path, before: dict[str, tuple]) -> set[str]:
    return {name for name, stamp in _stamps(folder).items() if before.get(name) != stamp}


def publish(what: Plan, before: dict[str, tuple]) -> None:
    """Refresh the committed copies of what ran, their pictures with a palette.

    Figures that a notebook no longer draws disappear; other notebooks' stay. A notebook or table
    that shows and holds the same as its committed copy is left alone.
    """
    copies = what.folders.published("notebooks", what.profile.name)
    pictures = what.folders.published("figures", what.profile.name)
    for folder in (copies, pictures):
        folder.mkdir(parents=True, exist_ok=True)
    drawn = _drawn(what.figures, before)
    for number, notebook in what.notebooks.items():
        made, copy = quantised_outputs(what.executed / notebook.name), copies / notebook.name
        if not copy.exists() or _shown(made) != _shown(json.loads(copy.read_text("utf-8"))):
            copy.write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n", "utf-8")
        for old in pictures.glob(f"{number}-*"):
            if old.name not in drawn:
                old.unlink()
        for name in sorted(name for name in drawn if name.startswith(f"{number}-")):
            made, copy = (what.figures / name).read_bytes(), pictures / name
            if name.endswith(".png"):
                copy.write_bytes(quantised(made))
            elif not copy.exists() or _rows(copy.read_bytes()) != _rows(made):
                copy.write_bytes(made)


def _rows(table: bytes) -> list[bytes]:
    """Return a CSV without its two comment lines, which name a commit."""
    return table.split(b"\n", 2)[2:]


def _shown(notebook: dict[str, Any]) -> list[tuple]:
    return [(cell["source"], cell.get("outputs")) for cell in notebook["cells"]]
