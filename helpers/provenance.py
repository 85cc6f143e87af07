"""Where a result comes from: commit, machine, date, versions, and the token of `--fresh`."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import re
import subprocess
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def fresh_token() -> str:
    """Return the token of a study that computes all anew, `$STUDY_FRESH`; "" of any other."""
    return os.environ.get("STUDY_FRESH", "")


def here() -> dict[str, str]:
    """Return commit, machine, date (UTC) and, under `--fresh`, the study's token."""
    date = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")
    fresh = {"fresh": fresh_token()} if fresh_token() else {}
    return {"commit": _commit(), "machine": _machine(), "date": date} | fresh


def versions() -> dict[str, str]:
    """Return the versions that a result depends on."""
    found = {name: importlib.metadata.version(name) for name in ("torch", "numpy")}
    return {"python": platform.python_version()} | found


@lru_cache
def _commit() -> str:
    command = "git describe --always --dirty --abbrev=12 --exclude *"
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        done = subprocess.run(command.split(), cwd=ROOT, capture_output=True, text=True, timeout=20)
        return done.stdout.strip()
    return ""


@lru_cache
def _machine() -> str:
    """Return the processor's name and the cores that there are; not the machine's own name."""
    name = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
        name = found[1] if found else name
    return f"{name}, {os.cpu_count()} cores"
