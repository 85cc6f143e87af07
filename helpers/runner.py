"""One notebook through papermill: this interpreter's kernel, a clean copy, a named failure."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from helpers.progress import PROGRESS_ENV, Line, duration

ROOT = Path(__file__).resolve().parents[1]
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
POLL_S = 0.25
SAVED = r'plots\.save\(\s*\w+,\s*"([^"]+)"'  # the name of a figure, in a cell
WIDGET = "application/vnd.jupyter.widget-view+json"
# What these say is the whole story; their traceback stays in the copy.
BRIEF = ("OSError", "StudyError", "NotStored", "NotRun")


class NotebookFailed(Exception):
    """A notebook stopped at a cell; the last line of the text is that cell's error.

    Attributes:
        cell: Its place in the clean notebook, from 1.
        kind: Name of the error's class; "" where the kernel died.
        copy: The executed copy so far.
    """

    def __init__(self, copy: Path, cell: int, kind: str, report: str) -> None:
        stem = copy.name.removesuffix(".failed.ipynb")
        where = f"{stem}.ipynb, cell {cell} failed; copy so far: {copy}"
        super().__init__(f"{where}\n{report.rstrip()}")
        self.copy, self.cell, self.kind = copy, cell, kind


def execute(
    notebook: Path,
    output: Path,
    parameters: dict[str, Any],
    environment: dict[str, str],
    title: str = "",
) -> None:
    """Run a notebook in a kernel of this interpreter and put its executed copy in place.

    The copy holds nothing that differs between equal runs; a failing notebook's copy is
    `NAME.failed.ipynb`. The terminal shows the cell and the runs of `helpers.progress.report`.

    Args:
        notebook: A clean notebook; its folder is the kernel's working folder.
        output: Where the copy goes; its folder is made.
        parameters: What papermill sets; it only warns about one that the notebook lacks.
        environment: Variables of the kernel, over those of this process.
        title: What the terminal calls it; the notebook's name by default.

    Raises:
        NotebookFailed: At the first failing cell, or if the kernel dies.
        OSError: Naming the copy, if it cannot be written.
        KeyboardInterrupt: As it came; the kernel and what it started are gone.
    """
    output, title = Path(output).absolute(), title or notebook.stem
    failed = output.with_suffix(".failed.ipynb")
    began = time.monotonic()
    try:
        with _scratch(output) as scratch, Line() as line:
            run = _Run(Path(notebook).absolute(), scratch / output.name, parameters)
            run.environment = _variables(environment, scratch)
            run.watched(lambda told: line.show(f"{title} · {told}"))
            if run.copy.exists():
                os.replace(run.copy, failed if run.failure else output)
            if run.failure:
                raise NotebookFailed(failed, run.cell, *run.failure)
            failed.unlink(missing_ok=True)
            line.say(f"{title} done in {duration(time.monotonic() - began)}")
    except OSError as error:
        if error.filename and not str(error.filename).startswith(str(output.parent)):
            raise
        raise OSError(error.errno, error.strerror or str(error), str(output)) from None


class _Run:
    """A notebook on its way: a thread executes it, the main thread shows it and can be stopped."""

    def __init__(self, notebook: Path, copy: Path, parameters: dict[str, Any]) -> None:
        self.notebook, self.copy, self.parameters = notebook, copy, parameters
        self.source = read(notebook)
        self.environment: dict[str, str] = {}
        tags = [cell.metadata.get("tags", []) for cell in self.source.cells]
        # papermill puts its own cell after the tagged one, or first where there is none
        after = next((i + 1 for i, tagged in enumerate(tags) if "parameters" in tagged), 0)
        self._injected_at = after if parameters else len(tags)
        self.cell, self.n_cells = 0, len(tags)
        self.log = copy.with_name("kernel.log")
        self.manager: Any = None
        self.stopped = False
        self.failure: tuple[str, str] | None = None  # name of the error's class, report

    def watched(self, show: Any) -> None:
        raised: list[BaseException] = []

        def work() -> None:
            try:
                self.execute()
            except BaseException as error:  # handed to the thread that waits
                raised.append(error)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        began = time.monotonic()
        try:
            while thread.is_alive():
                runs = _text(self.copy.with_name("progress"))
                since = duration(time.monotonic() - began)
                show(f"cell {self.cell}/{self.n_cells}" + (f" · {runs}" if runs else f", {since}"))
                thread.join(POLL_S)
        except BaseException:
            self.stop()
            thread.join(10)
            raise
        if raised:
            raise raised[0]

    def execute(self) -> None:
        """Run all cells, or up to a `failure`; `copy` is then clean."""
        import nbformat
        import papermill
        from nbclient.exceptions import DeadKernelError

        # we report failures ourselves, once
        logging.getLogger("papermill").addHandler(logging.NullHandler())
        try:
            papermill.execute_notebook(
                self.source,
                # papermill formats paths: braces in a folder's name would be taken for fields
                str(self.copy).replace("{", "{{").replace("}", "}}"),
                self.parameters,
                kernel_name="python3",
                cwd=self.notebook.parent,
                progress_bar=False,
                coalesce_streams=True,
                record_timing=False,
                # generous: a busy machine must not fail a sound notebook
                start_timeout=180,
                iopub_timeout=60,
                on_cell_start=self._at_cell,
                kernel_manager_class=_manager_class(self),
                engine_name=_engine(),
            )
        except papermill.PapermillExecutionError as error:
            self._at_cell(None, error.cell_index)
            self.failure = error.ename, _report(error)
        except DeadKernelError:
            self.failure = "", "the kernel died (killed, or out of memory?)"
        except RuntimeError as error:  # it did not start: its own output says why
            self.failure = "", f"{_text(self.log)}\n{error}".strip()
        if self.copy.exists():
            nbformat.write(clean(read(self.copy)), self.copy)

    def stop(self) -> None:
        """Kill the kernel and all processes that it started."""
        self.stopped = True
        pid = getattr(getattr(self.manager, "provisioner", None), "pid", None)
        if pid:
            # kernels lead a process group of their own, which Dask's workers share
            with contextlib.suppress(ProcessLookupError, PermissionError, ChildProcessError):
                os.killpg(pid, signal.SIGKILL)
                os.waitpid(pid, 0)

    def _at_cell(self, cell: Any, cell_index: int) -> None:
        """Keep the number that the cell has in the clean notebook."""
        self.cell = cell_index + 1 - (cell_index >= self._injected_at)


@contextlib.contextmanager
def _scratch(output: Path) -> Iterator[Path]:
    output.parent.mkdir(parents=True, exist_ok=True)
    clear(output.parent, r"\.running-(\d+)-.*")
    made = output.with_name(f".running-{os.getpid()}-{output.stem}")
    made.mkdir(exist_ok=True)
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def clear(folder: Path, pattern: str) -> None:
    """Remove what killed processes left: names that match, their PID the group, gone."""
    for old in folder.iterdir():
        found = re.fullmatch(pattern, old.name)
        if found and not _alive(int(found[1])):
            shutil.rmtree(old, ignore_errors=True) if old.is_dir() else old.unlink(missing_ok=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError as error:
        return isinstance(error, PermissionError)  # another user's
    return True


def _variables(given: dict[str, str], scratch: Path) -> dict[str, str]:
    """Return all variables of a kernel; it imports these helpers, whatever its folder holds."""
    base = {name: value for name, value in os.environ.items() if name != "STUDY_FRESH"}
    own = {
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), base.get("PYTHONPATH")])),
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "DASK_TEMPORARY_DIRECTORY": str(scratch),
        PROGRESS_ENV: str(scratch / "progress"),
    }
    return {**base, **own, **given}


def read(path: Path) -> Any:
    """Read a notebook and name its kernel, which papermill asks for."""
    # jsonschema would compile the grammar of web addresses for a second; notebooks hold none
    sys.modules.setdefault("rfc3987_syntax", None)
    import nbformat

    notebook = nbformat.read(path, as_version=4)
    notebook.metadata["kernelspec"] = dict(KERNEL)
    return notebook


def clean(notebook: Any) -> Any:
    """Remove from an executed notebook, in place, what differs between equal runs."""
    for name in ("papermill", "widgets"):
        notebook.metadata.pop(name, None)
    for number, cell in enumerate(notebook.cells):
        for name in ("papermill", "execution"):
            cell.metadata.pop(name, None)
        if "outputs" in cell:  # pickers and sliders do nothing without their kernel
            cell.outputs = [one for one in cell.outputs if WIDGET not in one.get("data", {})]
        tags = cell.metadata.get("tags", [])
        if "injected-parameters" in tags or "papermill-error-cell-tag" in tags:
            cell["id"] = f"{tags[0]}-{number}"
    return notebook


def saved_figures(notebook: Path) -> list[str]:
    """Names of the figures that a notebook saves."""
    sources = "\n".join(cell.source for cell in read(notebook).cells)
    return re.findall(SAVED, sources)


def _report(error: Any) -> str:
    """Put a failing cell's traceback in order: the error itself is the last line."""
    last = f"{error.ename}: {error.evalue}".rstrip(": ")
    if error.ename in BRIEF and not os.environ.get("STUDY_DEBUG"):
        return last
    lines = "\n".join(error.traceback).rstrip()
    plain = re.sub(r"\x1b\[[0-9;]*m", "", lines)  # without colours
    shown = lines if sys.stderr.isatty() else plain
    return shown if plain.endswith(last) else f"{shown}\n{last}"


def _text(path: Path) -> str:
    return path.read_text(errors="replace").strip() if path.exists() else ""


def _engine() -> str:
    """Register papermill's own engine, but one that saves a notebook once, and return its name."""
    from papermill.engines import NBClientEngine, papermill_engines

    class Engine(NBClientEngine):
        @classmethod
        def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, **rest: Any) -> None:
            save, nb_man.save = nb_man.save, dict  # twice a cell: half the time of a notebook
            try:
                super().execute_managed_notebook(nb_man, kernel_name, **rest)
            finally:
                save()

    papermill_engines.register("saves-once", Engine)
    return "saves-once"


def _manager_class(run: _Run) -> type:
    """Build a kernel manager whose "python3" is this interpreter.

    A user's kernel of that name would otherwise come first and lack our packages.
    """
    from ipykernel.kernelspec import RESOURCES, get_kernel_dict
    from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager
    from traitlets import default

    class OwnSpecs(KernelSpecManager):
        def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
            return KernelSpec(resource_dir=RESOURCES, **get_kernel_dict())

    class Manager(AsyncKernelManager):
        @default("kernel_spec_manager")
        def _specs(self) -> KernelSpecManager:
            return OwnSpecs(parent=self.parent)

        async def start_kernel(self, **kw: Any) -> None:
            run.manager = self
            # with the folder it goes, whatever ends us
            self.connection_file = str(run.copy.with_name("kernel.json"))
            # warnings of the kernel's own start would break the progress line
            with open(run.log, "ab") as log:
                await super().start_kernel(**kw, env=run.environment, stdout=log, stderr=log)
            if run.stopped:
                run.stop()

    return Manager
