"""Running the study: every notebook through papermill, with progress, checks and clean copies.

Everything that could be wrong with a profile or a parameter is found before the first kernel
starts. A finished notebook is moved into place; a failing one is kept beside it, marked.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from helpers import preflight, readme
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
from helpers.progress import duration
from helpers.runner import NotebookFailed, execute, saved_figures

__all__ = ["Options", "NotebookFailed", "parameters_of", "scale_for", "study", "variables_set"]

TEMPORARY_PROFILE = "smoke"


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


def environment(what: Plan, began: float | None = None) -> dict[str, str]:
    """Gather the variables that tell the helpers what this run is.

    Args:
        what: The plan.
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
    if options.fresh and began is not None:
        variables["STUDY_FRESH"] = f"{began:.3f}"
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
    for place, number in enumerate(what.notebooks, start=1):
        title = f"[{place}/{len(what.notebooks)}] {what.notebooks[number].stem}"
        _run_one(what, number, began, title)
    print(f"{len(what.notebooks)} notebooks in {duration(time.time() - began)}", flush=True)
    if options.publish:
        publish(what, began)
    return what


def _run_one(what: Plan, number: str, began: float, title: str) -> None:
    """Run one notebook; where it cannot go on without results, keep its figures' places.

    A copy to be published must have ended.
    """
    notebook = what.notebooks[number]
    output = what.executed / notebook.name
    try:
        execute(notebook, output, what.parameters[number], environment(what, began), title)
    except NotebookFailed as error:
        if error.kind != "NotRun" or what.options.publish:
            raise
        os.replace(error.copy, output)
        print(f"{title} {str(error).partition('NotRun: ')[2]}", flush=True)
        from helpers import plots

        with variables_set(environment(what)):
            plots.keep_places(saved_figures(notebook), began)


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
