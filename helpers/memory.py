"""Memory: what there is, what this process took, what a method will need."""

import os
import sys
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
SCORED = ("least-confidence", "margin", "entropy", "el2n")  # copy their probabilities
BLOCK_ROWS = {"graph-cut": 512, "submodular": 256}  # rows of similarities held at once, float64


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


def needed(method: str, shapes: dict[str, tuple[int, ...]]) -> tuple[int, str]:
    """Estimate the largest matrix a method makes, with its copies.

    Args:
        method: A key of the registry; one that works in blocks needs next to nothing.
        shapes: Of the arrays it is given.

    Returns:
        Bytes, and what takes them; 0 where little more is held than the input.
    """
    n, d = shapes.get("features", (0, 0))
    if method == "dpp":
        return 6 * 8 * n * n, f"the {n:,} x {n:,} kernel and its eigenvectors"
    if method in BLOCK_ROWS:
        return 8 * n * (BLOCK_ROWS[method] + 2 * d), f"similarities to all {n:,} rows"
    c = shapes.get("probs", (0, 0))[1]
    if method in ("craig", "grad-match") and "gradients" not in shapes:
        m = c * (d + 1)
        return 6 * n * m, f"last-layer gradients of {n:,} x {m:,} numbers"
    is_read = method in SCORED or (method in ("ccs", "iqp") and "scores" not in shapes)
    if is_read and c:
        n = shapes["probs"][0]
        return 3 * 8 * n * c, f"copies of {n:,} x {c:,} probabilities"
    return 0, ""
