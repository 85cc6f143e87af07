"""Running the study: every notebook through papermill, with progress, checks and clean copies.

Everything that could be wrong with a profile or a parameter is found before the first kernel
starts. A finished notebook is moved into place; a failing one is kept beside it, marked.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from helpers import kernels, preflight, readme
from helpers.kernels import CellFailed, Execution, plain
from helpers.parameters import parameters_of
from helpers.profiles import (
    ROOT,
    Folders,
    Profile,
    profile,
    scale_for,
    settings,
    variables_set,
)
from helpers.progress import PROGRESS_ENV, Screen, duration

__all__ = ["Options", "NotebookFailed", "parameters_of", "scale_for", "study", "variables_set"]

TEMPORARY_PROFILE = "smoke"
POLL_S = 0.25


class NotebookFailed(Exception):
    """A notebook stopped at a cell; the last line of the text is that cell's error."""


@dataclass(frozen=True)
class Options:
    """What a user asked of one run of the study."""

    profile: str = "digits"
    parameters: dict[str, Any] = field(default_factory=dict)
    only: tuple[str, ...] = ()
    device: str = "auto"
    workers: int = 1
    fresh: bool = False
    offline: bool = False
    publish: bool = False


@dataclass(frozen=True)
class Plan:
    """What will run: notebooks by number, their parameters, where things go."""

    options: Options
    profile: Profile
    folders: Folders
    notebooks: dict[str, Path]
    parameters: dict[str, dict[str, Any]]
    executed: Path
    figures: Path

    @property
    def whole(self) -> bool:
        """Say whether every notebook of the profile runs."""
        return not self.options.only


def notebooks(folders: Folders) -> dict[str, Path]:
    """List the clean notebooks, number ("03") to path.

    Raises:
        FileNotFoundError: If there is none.
    """
    found = {p.name[:2]: p for p in sorted(folders.notebooks.glob("[0-9][0-9]-*.ipynb"))}
    if not found:
        raise FileNotFoundError(f"no notebooks NN-name.ipynb in {folders.notebooks}")
    return found


def choose(found: dict[str, Path], only: tuple[str, ...]) -> list[str]:
    """Turn what ``--only`` names ("3", "03", a stem, commas) into notebook numbers in order.

    Raises:
        ValueError: If there is no such notebook, naming those there are.
    """
    names = [name.strip() for part in only for name in part.split(",") if name.strip()]
    stems = {path.stem: number for number, path in found.items()}
    if only and not names:
        raise ValueError(f"--only names no notebook; notebooks: {', '.join(stems)}")
    chosen = [stems.get(name.removesuffix(".ipynb"), name.zfill(2)) for name in names]
    for name, number in zip(names, chosen, strict=True):
        if number not in found:
            raise ValueError(f"no notebook {name}; notebooks: {', '.join(stems)}")
    return [number for number in found if number in chosen or not names]


def plan(options: Options, folders: Folders | None = None) -> Plan:
    """Check everything the user asked for and work out what will run.

    Raises:
        ValueError: For an unknown profile, notebook or parameter, or a value of a wrong type.
    """
    folders = folders or Folders()
    chosen = profile(options.profile, folders)
    if options.publish and chosen.name == TEMPORARY_PROFILE:
        raise ValueError(f"profile {chosen.name} only shows that all runs: it is not published")
    found = notebooks(folders)
    numbers = choose(found, options.only)
    if not options.only and chosen.only:
        numbers = [number for number in found if number in chosen.only]
    values = settings(found, chosen, options.parameters, numbers)
    scale = scale_for(chosen, options.parameters)  # refuses numbers that no run could use
    if not options.offline:
        reads = any("own_batch" in parameters_of(found[number]) for number in numbers)
        preflight.check_data(scale.dataset, scale.own_batch if reads else 0)
        for number in numbers:
            asked = scale_for(chosen, options.parameters, number)
            preflight.check_models(asked)
            preflight.check_kinds(asked, number, parameters_of(found[number]))
    executed, figures = folders.executed(chosen.name), folders.figures(chosen.name)
    if chosen.name == TEMPORARY_PROFILE:
        base = Path(tempfile.gettempdir()) / f"study-{chosen.name}-{os.getpid()}"
        executed, figures = base / "notebooks", base / "figures"
    picked = {number: found[number] for number in numbers}
    return Plan(options, chosen, folders, picked, values, executed, figures)


def environment(
    what: Plan, progress: Path | None = None, began: float | None = None
) -> dict[str, str]:
    """Gather the variables that tell the helpers what this run is.

    Args:
        what: The plan.
        progress: File for progress lines; none outside kernels.
        began: When the study began, seconds since 1970. With ``fresh``, results stored before
            count as missing; those of this study's earlier notebooks do not. None: all count.
    """
    options = what.options
    variables = {
        "STUDY_PROFILE": what.profile.name,
        "STUDY_FIGURES": str(what.figures),
        "STUDY_STORE": str(what.folders.store()),
        "STUDY_DEVICE": options.device,
        "STUDY_WORKERS": str(options.workers),
    }
    if os.environ.get("STUDY_DATA"):
        variables["STUDY_DATA"] = os.path.abspath(Path(os.environ["STUDY_DATA"]).expanduser())
    if progress:
        variables[PROGRESS_ENV] = str(progress)
    if options.fresh and began is not None:
        variables["STUDY_FRESH"] = f"{began:.6f}-{os.getpid()}"  # the study's token
    if options.offline:
        variables["STUDY_OFFLINE"] = "1"
    return variables


def study(options: Options, folders: Folders | None = None) -> Plan:
    """Run the notebooks of a profile, first to last.

    Args:
        options: What to run.
        folders: Where notebooks lie and outputs go; this repository by default.

    Returns:
        The plan that was carried out.

    Raises:
        ValueError: If something asked for does not exist; nothing has run then.
        NotebookFailed: At the first failing cell; earlier notebooks are in place.
        KeyboardInterrupt: As it came; the kernel is gone, finished runs are stored.
    """
    what = plan(options, folders)
    what.executed.mkdir(parents=True, exist_ok=True)
    what.figures.mkdir(parents=True, exist_ok=True)
    began = time.time()
    with tempfile.TemporaryDirectory(prefix="study-") as scratch, Screen() as screen:
        for place, number in enumerate(what.notebooks, start=1):
            title = f"[{place}/{len(what.notebooks)}] {what.notebooks[number].stem}"
            _run_one(what, number, Path(scratch), began, screen, title)
        screen.say(f"{len(what.notebooks)} notebooks in {duration(time.time() - began)}")
    if options.publish:
        publish(what, began)
    return what


def _run_one(
    what: Plan, number: str, scratch: Path, began: float, screen: Screen, title: str
) -> None:
    """Run one notebook: watch it from here while a thread executes it, then move its copy."""
    notebook, started = what.notebooks[number], time.monotonic()
    beside = what.executed / f".{notebook.stem}.{os.getpid()}.ipynb"
    failed = what.executed / f"{notebook.stem}.failed.ipynb"
    execution = Execution(notebook, beside, scratch / f"{number}.log")
    progress = scratch / f"{number}.jsonl"
    kernel = kernels.variables(environment(what, progress, began), ROOT)
    try:
        watched = (what.parameters[number], kernel, progress, screen, title)
        told = _missing(what, execution, began, watched)
        os.replace(beside, what.executed / notebook.name)
        failed.unlink(missing_ok=True)
    except CellFailed as error:
        if beside.exists():
            os.replace(beside, failed)
        where = f"{notebook.name}, cell {error.cell} failed; copy so far: {failed}"
        raise NotebookFailed(f"{where}\n{error.report}") from None
    finally:
        beside.unlink(missing_ok=True)
    screen.say(f"{title} {told or f'done in {duration(time.monotonic() - started)}'}")


def _missing(what: Plan, execution: Execution, began: float, watched: tuple) -> str:
    """Run a notebook; where it cannot go on without results, say so and keep its figures' places.

    Returns:
        What is missing, "" if the notebook ended. A copy to be published must have ended.
    """
    try:
        _watch(execution, *watched)
        return ""
    except CellFailed as error:
        if error.kind != "NotRun" or what.options.publish:
            raise
        missing = str(error).partition(": ")[2]
    from helpers import plots

    with variables_set(environment(what)):
        plots.keep_places(execution.figures, began)
    return missing


def _watch(
    execution: Execution, parameters: dict, kernel: dict, progress: Path, screen: Screen, title: str
) -> None:
    """Execute in a thread, so that this one can draw and be interrupted."""
    failure: list[BaseException] = []

    def work() -> None:
        try:
            execution.run(parameters, kernel)
        except BaseException as error:  # handed to the thread that waits
            failure.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    began = time.monotonic()
    try:
        while thread.is_alive():
            cell = f"cell {execution.cell}/{execution.n_cells}"
            screen.show(title, cell, last_state(progress), time.monotonic() - began)
            thread.join(POLL_S)
    except BaseException:
        execution.stop()
        thread.join(10)
        raise
    if failure:
        raise failure[0]


def last_state(progress: Path) -> dict | None:
    """Read the newest complete line that a kernel's progress report wrote, if any."""
    try:
        lines = progress.read_bytes().split(b"\n")[:-1]
        return json.loads(lines[-1]) if lines else None
    except (OSError, ValueError):
        return None


def publish(what: Plan, began: float) -> None:
    """Refresh the committed copies of what ran since ``began`` (seconds since 1970).

    Figures that a notebook no longer draws disappear; other notebooks' stay.
    """
    copies = what.folders.published("notebooks", what.profile.name)
    drawn = what.folders.published("figures", what.profile.name)
    for folder in (copies, drawn):
        folder.mkdir(parents=True, exist_ok=True)
    for number, notebook in what.notebooks.items():
        shutil.copyfile(what.executed / notebook.name, copies / notebook.name)
        for old in drawn.glob(f"{number}-*"):
            old.unlink()
        for new in what.figures.glob(f"{number}-*"):
            if new.stat().st_mtime >= began - 1:
                shutil.copyfile(new, drawn / new.name)
    if what.folders.root == ROOT:
        readme.refresh(what.folders)


def failure_text(error: NotebookFailed, stream: Any = None) -> str:
    """Write a failure for a stream (stderr): colours only where it is a terminal."""
    stream = stream or sys.stderr
    return str(error) if stream.isatty() else plain(str(error))
