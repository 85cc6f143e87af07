"""Memory: what there is, what this process took, what a method will need, and for how long."""

import os
import sys
from pathlib import Path

from helpers.selection.greedy_cover import BLOCK, MEMORY

CGROUP = Path("/sys/fs/cgroup")
SCORED = ("least-confidence", "margin", "entropy", "el2n")  # copy their probabilities
# Bytes a number of the features or gradients: their copies in float32 (4) and float64 (8).
COPIES = {
    "facility-location": 12,
    "graph-cut": 8,
    "submodular": 8,
    "moderate": 12,
    "ids": 12,
    "ssp": 20,
    "craig": 16,
    "grad-match": 8,
}
SIMILARITIES = ("facility-location", "graph-cut", "submodular")
BY_CLASS = ("moderate", "ids")
SECONDS, PAIR = 1.6e-11, 600  # of a pair of rows: a number of theirs, and the rest in numbers


def peak() -> int | None:
    """Return the most memory this process has held, in bytes; None where nobody counts it.

    Pages of mapped files count while they are resident, though they can be dropped.
    """
    try:
        import resource
    except ImportError:
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (
        1 if sys.platform == "darwin" else 1024
    )


def available() -> int | None:
    """Return the bytes that can be taken without swapping; None where nobody says."""
    free = [found for found in (_of_machine(), _of_container()) if found is not None]
    return min(free) if free else None


def _of_machine() -> int | None:
    """Return what the machine has: sysconf's free pages leave out what caches would give back."""
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")
    except (OSError, ValueError, AttributeError):
        return None


def _of_container(group: Path = CGROUP) -> int | None:
    """Return what a container's limit leaves; file pages it holds would be given back."""
    try:
        limit, used = ((group / f"memory.{name}").read_text() for name in ("max", "current"))
        stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        return max(0, int(limit) - int(used) + int(stat["inactive_file"]))
    except (OSError, ValueError, KeyError):  # no such limit, or "max"
        return None


def needed(
    method: str, shapes: dict[str, tuple[int, ...]], largest_class: int | None = None
) -> tuple[int, str]:
    """Estimate what a method holds beside its input at the most.

    Args:
        method: A key of the registry; one that works in blocks needs next to nothing.
        shapes: Of the arrays it is given; they are taken for float32.
        largest_class: Rows of the largest class, for methods that work by class; None: all.

    Returns:
        Bytes, and what takes them; 0 where little more is held than the input.
    """
    n, d = shapes.get("features", (0, 0))
    c = shapes.get("probs", (0, 0))[1]
    if method == "dpp":
        return 6 * 8 * n * n, f"the {n:,} x {n:,} kernel and its eigenvectors"
    if method in ("craig", "grad-match"):
        return _of_gradients(method, shapes, largest_class)
    if method in COPIES:
        m = largest_class or n if method in BY_CLASS else n
        held = _held(m) if method in SIMILARITIES else 0
        return COPIES[method] * m * d + held, f"copies of {m:,} x {d:,} features"
    is_read = method in SCORED or (method in ("ccs", "iqp") and "scores" not in shapes)
    if is_read and c:
        n = shapes["probs"][0]
        return 3 * 8 * n * c, f"copies of {n:,} x {c:,} probabilities"
    return 0, ""


def _of_gradients(
    method: str, shapes: dict[str, tuple[int, ...]], largest_class: int | None
) -> tuple[int, str]:
    """Estimate what the methods take that work on gradients, class by class."""
    n, d = shapes.get("gradients") or _last_layer(shapes)
    m = largest_class or n
    wanted = COPIES[method] * m * d + (_held(m) if method == "craig" else 0)
    if "gradients" in shapes:
        return wanted, f"copies of {m:,} x {d:,} gradients"
    return wanted + 6 * n * d, f"last-layer gradients of {n:,} x {d:,} numbers"


def hours(
    method: str, shapes: dict[str, tuple[int, ...]], largest_class: int | None = None
) -> float:
    """Estimate how long a method takes that compares all pairs of rows, on one core.

    Args:
        method: A key of the registry.
        shapes: Of the arrays it is given.
        largest_class: Rows of the largest class; None: all are of one.

    Returns:
        Hours; 0 for methods that look at no pairs. Many picks take longer.
    """
    if method not in (*SIMILARITIES, "craig"):
        return 0.0
    if method == "craig":
        n, d = shapes.get("gradients") or _last_layer(shapes)
        pairs = n * (largest_class or n)
    else:
        n, d = shapes["features"]
        pairs = n * n
    return pairs * (d + PAIR) * SECONDS / 3600


def _last_layer(shapes: dict[str, tuple[int, ...]]) -> tuple[int, int]:
    """Return the shape of last-layer gradients, one of features and of 1 a class."""
    n, c = shapes["probs"]
    return n, c * (shapes["features"][1] + 1)


def _held(n: int) -> int:
    """Return the most that similarities of n rows take: those kept, and those in the works."""
    return min(MEMORY, 8 * n * n) + 3 * min(BLOCK, 8 * n * n)
