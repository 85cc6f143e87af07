"""How far a list of runs has come, shown where the reader is looking.

In JupyterLab: one line that redraws in place. Under the runner: JSON lines in the file that
``$STUDY_PROGRESS`` names, which the runner shows on the terminal. In plain Python: a bar on
stderr if that is a terminal, else nothing.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

PROGRESS_ENV = "STUDY_PROGRESS"


@contextmanager
def report(total: int, label: str, stored: int | None = None) -> Iterator[Callable[[str], None]]:
    """Show how many of ``total`` runs are done, for as long as the context lasts.

    Args:
        total: Runs to do, >= 0.
        label: What is being done, such as "training".
        stored: Results that are there in the end, computed now or found (``total`` if not
            given). The closing line names only these, so that a notebook reads the same
            whether its runs were computed or found.

    Yields:
        ``step(run)``, to be called after each run with a short name of it.
    """
    show, close = _display(total, label, stored)
    began = time.monotonic()
    done = 0

    def step(run: str = "") -> None:
        nonlocal done
        done += 1
        show(_state(done, total, label, run, time.monotonic() - began))

    show(_state(0, total, label, "", 0.0))
    try:
        yield step
    finally:
        close(done)


def duration(seconds: float | None) -> str:
    """Write seconds the way a person says them: ``4 s``, ``3:07 min``, ``2:05 h``, ``?``."""
    if seconds is None:
        return "?"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02d} min"
    return f"{whole // 3600}:{whole % 3600 // 60:02d} h"


def bar(done: int, total: int, width: int = 20) -> str:
    """Draw ``done`` of ``total`` as a bar of ``width`` characters; an empty list is full."""
    filled = width if total <= 0 else width * min(done, total) // total
    return "█" * filled + "░" * (width - filled)


def line(state: dict) -> str:
    """Put one state (the keys of a JSON line) into one line of text."""
    text = f"{state['what']} {bar(state['done'], state['total'])} {state['done']}/{state['total']}"
    text += f" · {duration(state['elapsed_s'])}, {duration(state['left_s'])} left"
    return f"{text} · {state['run']}" if state["run"] else text


def _state(done: int, total: int, what: str, run: str, elapsed_s: float) -> dict:
    """Gather one state; time left assumes that the runs to come take as long as those done."""
    left_s = elapsed_s / done * max(total - done, 0) if done else None
    return {
        "done": done,
        "total": total,
        "what": what,
        "run": run,
        "elapsed_s": round(elapsed_s, 2),
        "left_s": None if left_s is None else round(left_s, 2),
    }


def _display(total: int, label: str, stored: int | None) -> tuple[Callable, Callable]:
    """Choose ``show(state)`` and ``close(done)`` for where this process runs."""

    def closing(done: int) -> str:
        if done < total:
            return f"{label}: stopped after {done} of {total}"
        return f"{label}: {total if stored is None else stored} results ready"

    if os.environ.get(PROGRESS_ENV):
        return _append, lambda done: print(closing(done))
    if _in_notebook():
        return _updating_line(closing)
    if total and sys.stderr.isatty():
        return _terminal_bar(total, label)
    return (lambda state: None), (lambda done: None)


def _append(state: dict) -> None:
    """Add one JSON line to the file that the runner reads."""
    with open(os.environ[PROGRESS_ENV], "a", encoding="utf-8") as file:
        file.write(json.dumps(state) + "\n")


def _in_notebook() -> bool:
    """Say whether this process is a Jupyter kernel (IPython is not imported to find out)."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return getattr(shell, "kernel", None) is not None


def _updating_line(closing: Callable[[int], str]) -> tuple[Callable, Callable]:
    """Show the state as one display that is updated in place.

    Not a widget and not a stream: a saved notebook then holds the closing line alone, never a
    bar frozen at zero.
    """
    from IPython.display import display

    handle = display({"text/plain": ""}, raw=True, display_id=True)

    def put(text: str) -> None:
        handle.update({"text/plain": text}, raw=True)

    return (lambda state: put(line(state))), (lambda done: put(closing(done)))


def _terminal_bar(total: int, label: str) -> tuple[Callable, Callable]:
    """Show a tqdm bar on stderr."""
    from tqdm import tqdm

    meter = tqdm(total=total, desc=label, file=sys.stderr, leave=False, unit="run")

    def show(state: dict) -> None:
        meter.set_postfix_str(state["run"], refresh=False)
        meter.update(state["done"] - meter.n)

    return show, lambda done: meter.close()


class Screen:
    """The runner's own line on the terminal; plain lines now and then where there is none."""

    def __init__(self, stream: TextIO | None = None, every_s: float = 30.0) -> None:
        """Args: where to write (stdout), and seconds between lines that are not redrawn."""
        self.stream = stream or sys.stdout
        self.redraws = self.stream.isatty()
        self.every_s = every_s
        self._shown, self._at = "", 0.0

    def __enter__(self) -> Screen:
        """Return the screen itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Leave no half line behind."""
        self._clear()

    def show(self, title: str, cell: str, state: dict | None, elapsed_s: float) -> None:
        """Show how far a notebook is: its cell, the runs of that cell, the time.

        Args:
            title: Which notebook of how many.
            cell: Which cell of how many.
            state: Newest progress of its runs, if it has reported any.
            elapsed_s: Seconds since the notebook began.
        """
        text = f"{title} · {cell} · {duration(elapsed_s)}"
        if state and state["done"] < state["total"]:
            text = f"{title} · {line(state)}"
        if self.redraws:
            self._draw(text)
        elif title != self._shown or time.monotonic() - self._at >= self.every_s:
            self._shown, self._at = title, time.monotonic()
            print(text, file=self.stream, flush=True)

    def say(self, text: str) -> None:
        """Write one line that stays."""
        self._clear()
        print(text, file=self.stream, flush=True)

    def _draw(self, text: str) -> None:
        width = shutil.get_terminal_size().columns
        self.stream.write(f"\r\x1b[K{text[: width - 1]}")
        self.stream.flush()

    def _clear(self) -> None:
        if self.redraws:
            self.stream.write("\r\x1b[K")
            self.stream.flush()
