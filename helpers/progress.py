"""How far a list of runs has come, shown where the reader is looking.

In JupyterLab: one line that is updated in place. Under the runner: the same line in the file that
``$STUDY_PROGRESS`` names, which the runner shows. In plain Python: on stderr, if that is a
terminal.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from tqdm import tqdm

PROGRESS_ENV = "STUDY_PROGRESS"
EVERY_S = 30.0
FORMAT = "{desc} {bar:8} {n_fmt}/{total_fmt}, {remaining} left{postfix}"


@contextmanager
def report(total: int, label: str, stored: int | None = None) -> Iterator[Callable[[str], None]]:
    """Show how many of ``total`` runs are done, for as long as the context lasts.

    Args:
        total: Runs to do, >= 0.
        label: What is being done, such as "training".
        stored: Results that are there in the end, computed or found; ``total`` by default. The
            closing line names only these, so that a notebook reads the same either way.

    Yields:
        ``step(run)``, to be called after each run with a short name of it.
    """
    began, done = time.monotonic(), 0
    show, close = _display(total)

    def tell(run: str) -> None:
        elapsed = time.monotonic() - began
        show(tqdm.format_meter(done, total, elapsed, prefix=label, postfix=run, bar_format=FORMAT))

    def step(run: str = "") -> None:
        nonlocal done
        done += 1
        tell(run)

    tell("")
    try:
        yield step
    finally:
        stopped = f"stopped after {done} of {total}"
        ready = f"{total if stored is None else stored} results ready"
        close(f"{label}: {stopped if done < total else ready}")


def _display(total: int) -> tuple[Callable[[str], None], Callable[[str], None]]:
    if os.environ.get(PROGRESS_ENV):
        file = Path(os.environ[PROGRESS_ENV])

        def put(text: str) -> None:
            with contextlib.suppress(OSError):  # a full disk must not stop the runs
                file.write_text(text, encoding="utf-8")

        def close(text: str) -> None:
            put("")
            print(text)

        return put, close
    ipython = sys.modules.get("IPython")
    if getattr(ipython and ipython.get_ipython(), "kernel", None):
        # Neither a widget nor a stream: a saved notebook holds the last line, no frozen bar.
        handle = ipython.display.display({"text/plain": ""}, raw=True, display_id=True)
        show = lambda text: handle.update({"text/plain": text}, raw=True)  # noqa: E731
        return show, show
    line = Line(sys.stderr)
    if total and line.redraws:
        return line.show, lambda text: line.say("", end="")
    return (lambda text: None), (lambda text: None)


def duration(seconds: float) -> str:
    """Write seconds the way a person says them: ``4 s``, ``3:07 min``, ``2:05 h``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02d} min"
    return f"{whole // 3600}:{whole % 3600 // 60:02d} h"


class Line:
    """One line of a terminal, redrawn; where there is none, a plain line every 30 seconds."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = stream or sys.stdout
        self.redraws = self.stream.isatty()
        self._next = 0.0

    def __enter__(self) -> Line:
        return self

    def __exit__(self, *_: object) -> None:
        self.say("", end="")

    def show(self, text: str) -> None:
        """Redraw, or print if the last line is old enough."""
        if self.redraws:
            width = shutil.get_terminal_size().columns - 1
            self.stream.write(f"\r\x1b[K{text[:width]}")
            self.stream.flush()
        elif time.monotonic() >= self._next:
            self._next = time.monotonic() + EVERY_S
            print(text, file=self.stream, flush=True)

    def say(self, text: str, end: str = "\n") -> None:
        """Write a line that stays in place of the last one."""
        print("\r\x1b[K" * self.redraws + text, file=self.stream, end=end, flush=True)
