"""One notebook through papermill: this interpreter's kernel, a clean copy, a named failure."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import nbformat

INJECTED = "injected-parameters"
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}


class CellFailed(Exception):
    """A notebook stopped; ``cell`` counts its cells from 1, ``report`` ends in the error.

    ``kind`` is the name of the error's class, where a cell raised one.
    """

    def __init__(self, cell: int, report: str, kind: str = "") -> None:
        super().__init__(report.rstrip().splitlines()[-1])
        self.cell, self.kind = cell, kind
        self.report = report.rstrip()


def variables(given: dict[str, str], root: Path) -> dict[str, str]:
    """Add to some environment variables what any kernel of ours needs of this process's.

    Notebooks import helpers from ``root`` even where they are not installed.
    """
    path = os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH")]))
    inline = "module://matplotlib_inline.backend_inline"
    base = {name: value for name, value in os.environ.items() if name != "STUDY_FRESH"}
    return {**base, "PYTHONPATH": path, "MPLBACKEND": inline, **given}


class Execution:
    """A notebook on its way: run it in a thread, watch ``cell``, or stop it from another."""

    def __init__(self, notebook: Path, output: Path, log: Path) -> None:
        """Args: the clean notebook, the copy to write, a file for the kernel's own noise."""
        self.notebook, self.output, self.log = notebook, output, log
        self.source = read(notebook)
        self.cell, self.n_cells = 0, len(self.source.cells)
        self._injected_at = self.n_cells
        self._manager: Any = None

    def run(self, parameters: dict[str, Any], environment: dict[str, str]) -> None:
        """Execute the notebook; the copy then holds nothing that differs between equal runs.

        Args:
            parameters: What papermill sets; checked before.
            environment: All environment variables of the kernel.

        Raises:
            CellFailed: At the first failing cell, or if the kernel dies.
        """
        import nbformat
        import papermill
        from nbclient.exceptions import DeadKernelError

        # we report failures ourselves, once
        logging.getLogger("papermill").addHandler(logging.NullHandler())
        if parameters:
            tags = [cell.metadata.get("tags", []) for cell in self.source.cells]
            # papermill puts its own cell after the tagged one, or first where there is none
            self._injected_at = next((i + 1 for i, t in enumerate(tags) if "parameters" in t), 0)
        try:
            papermill.execute_notebook(
                self.source,
                # papermill formats paths: braces in a folder's name would be taken for fields
                str(self.output).replace("{", "{{").replace("}", "}}"),
                parameters,
                kernel_name="python3",
                cwd=self.notebook.parent,
                progress_bar=False,
                coalesce_streams=True,
                record_timing=False,
                # generous: a busy machine must not fail a sound notebook
                start_timeout=180,
                iopub_timeout=60,
                on_cell_start=self._at_cell,
                kernel_manager_class=_manager_class(self, environment),
            )
        except papermill.PapermillExecutionError as error:
            self._at_cell(None, error.cell_index)
            raise CellFailed(self.cell, _report(error), error.ename) from None
        except DeadKernelError:
            raise CellFailed(self.cell, "the kernel died (killed, or out of memory?)") from None
        except RuntimeError as error:
            noise = self.log.read_text(errors="replace").strip() if self.log.exists() else ""
            raise CellFailed(self.cell, f"{noise}\n{error}".strip()) from None
        finally:
            if self.output.exists():
                nbformat.write(clean(read(self.output)), self.output)

    @property
    def figures(self) -> list[str]:
        """Names of the figures that the notebook saves."""
        sources = "\n".join(cell.source for cell in self.source.cells)
        return re.findall(r'plots\.save\(fig, "([^"]+)"\)', sources)

    def stop(self) -> None:
        """Kill the kernel and all processes that it started."""
        provisioner = getattr(self._manager, "provisioner", None)
        pid = getattr(provisioner, "pid", None)
        if pid:
            # kernels lead a process group of their own, which Dask's workers share
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)

    def _at_cell(self, cell: Any, cell_index: int) -> None:
        """Keep the number that the cell has in the clean notebook."""
        self.cell = cell_index + 1 - (cell_index >= self._injected_at)


def read(path: Path) -> nbformat.NotebookNode:
    """Read a notebook and name its kernel, which papermill asks for even to list parameters."""
    import nbformat

    notebook = nbformat.read(path, as_version=4)
    notebook.metadata["kernelspec"] = dict(KERNEL)
    return notebook


def clean(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Remove from an executed notebook, in place, what differs between equal runs."""
    for name in ("papermill", "widgets"):
        notebook.metadata.pop(name, None)
    for number, cell in enumerate(notebook.cells):
        for name in ("papermill", "execution"):
            cell.metadata.pop(name, None)
        tags = cell.metadata.get("tags", [])
        if INJECTED in tags or "papermill-error-cell-tag" in tags:
            cell["id"] = f"{tags[0]}-{number}"
    return notebook


def _report(error: Any) -> str:
    """Put a failing cell's traceback in order: the error itself is the last line."""
    last = f"{error.ename}: {error.evalue}".rstrip(": ")
    lines = "\n".join(error.traceback).rstrip()
    return lines if plain(lines).endswith(last) else f"{lines}\n{last}"


def plain(text: str) -> str:
    """Take terminal colours out of a text."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def _manager_class(execution: Execution, environment: dict[str, str]) -> type:
    """Build the kernel manager for one execution.

    Its "python3" is always this interpreter: a user's kernel of that name would otherwise
    come first and lack our packages.
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
            execution._manager = self
            # warnings of the kernel's own start would break the progress line
            with open(execution.log, "ab") as log:
                await super().start_kernel(**kw, env=environment, stdout=log, stderr=log)

    return Manager
