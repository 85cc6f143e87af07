"""Contests between our solvers, their peers and the formulations as written.

A workload names its data, its contestants and its targets. Every contestant runs in a fresh
process of its own with its number of threads set from outside, so that processor time, peak
memory and imports are its own; `measure` is what happens there. pytest-benchmark is made for
micro-benchmarks inside one process: it tells neither processor time nor peak memory nor the
objective reached, and these decide here. A faster answer must not be a worse one.
"""

import hashlib
import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

REPEATS = 5  # runs whose median counts
REPEATS_LONG = 3  # the same where one run takes over LONG_S
LONG_S = 60.0
SHORT_S = 0.05  # shorter runs are repeated inside the clock until they take as long
SOLVER_ONLY = ", its setting up left out"
UNITS = {"cpu_s": "s of processor time", "wall_s": "s"}
UNITS |= {"peak_mb": "MB above its data", "total_mb": "MB in all"}
MB = 1e6


@dataclass(frozen=True)
class Contestant:
    """One way to do the work.

    `make(data)` imports what it needs, prepares what is not timed and returns the call that is:
    no arguments; the answer is row numbers, or `Answer`, or whatever the workload's score reads.
    """

    name: str
    make: Callable[[SimpleNamespace], Callable[[], Any]] | None = None
    kind: str = "ours"  # or "peer", "as written", "loop", "reference", "quoted"
    group: str = ""  # contestants of one group have comparable objectives and times
    once: bool = False  # too long to repeat
    last: bool = False  # long and of little news: runs after all others
    timeout_s: float = 400.0
    quoted_s: float | None = None  # of a peer that is not on PyPI
    note: str = ""
    cut: str = ""  # what it means for a comparison that it was stopped before its end


@dataclass(frozen=True)
class Answer:
    """What a contestant returns where row numbers are not all."""

    indices: np.ndarray
    weights: np.ndarray | None = None
    notes: dict[str, float] = field(default_factory=dict)  # e.g. the solver's own seconds


@dataclass(frozen=True)
class Target:
    """A promise: `judge` gets the measured rows by contestant and returns (what was found, met)."""

    text: str
    judge: Callable[[dict[str, dict]], tuple[str, bool | None]]
    why: str = ""  # the limit and its cause, shown where the target is missed
    than: str = ""  # the contestant that ours is compared with
    compares: str = ""  # "seconds" where it is them


@dataclass(frozen=True)
class Workload:
    """One line of the issue's table."""

    name: str
    title: str
    data: Callable[..., SimpleNamespace]
    full: dict[str, Any]  # arguments of `data`
    quick: dict[str, Any]
    contestants: tuple[Contestant, ...]
    score: Callable[[SimpleNamespace, Any], float] | None = None
    sense: int = 1  # 1: a larger objective is better, -1: a smaller one
    objective: str = ""  # what the score is
    tolerance: float = 1e-6  # relative difference of objectives that counts as none
    threads: int = 1
    targets: tuple[Target, ...] = ()


# Data, as the issue gives them.


def clusters(n: int, d: int) -> np.ndarray:
    """Return rows of ten clusters, shape (n, d), float32."""
    r = np.random.default_rng(0)
    centres = r.standard_normal((10, d)) * 9 / np.sqrt(d)
    labels = r.integers(0, 10, n)
    rows = r.standard_normal((n, d))
    for start in range(0, n, 65536):  # in place: the largest pools would not fit three times
        rows[start : start + 65536] += centres[labels[start : start + 65536]]
    return rows.astype(np.float32)


def gradients(n: int, d: int) -> np.ndarray:
    """Return rows of unequal length, shape (n, d), float32."""
    return (clusters(n, d) * np.random.default_rng(2).gamma(2, 0.5, (n, 1))).astype(np.float32)


def utilities(n: int) -> np.ndarray:
    """Return entropies that ten classes could have, shape (n,), nats."""
    return np.random.default_rng(1).uniform(0, np.log(10), n)


def median_distance(features: np.ndarray) -> float:
    """Return the median distance between 1,000 evenly spaced rows: the bandwidth of all."""
    n = len(features)
    some = features[np.arange(min(n, 1000)) * n // min(n, 1000)].astype(np.float64)
    squares = (some**2).sum(axis=1)
    squared = squares[:, None] + squares - 2 * some @ some.T
    return float(np.median(np.sqrt(np.maximum(squared[np.triu_indices(len(some), 1)], 0))))


def similarity(left: np.ndarray, right: np.ndarray, h: float) -> np.ndarray:
    """Return the Gaussian kernel between rows, in their precision and one array's memory."""
    result = left @ right.T
    result *= -2
    result += np.einsum("ij,ij->i", left, left)[:, None]
    result += np.einsum("ij,ij->i", right, right)
    np.maximum(result, 0, out=result)
    result *= -1 / (2 * h * h)
    return np.exp(result, out=result)


def random_rows(data: SimpleNamespace) -> Callable[[], np.ndarray]:
    """Return a call that picks k rows by chance: what an objective is worth."""
    return lambda: np.random.default_rng(0).permutation(len(data.features))[: data.k]


# Targets.


def _on_numbers(text: str, of: Callable, told: Callable, met: Callable, **more: str) -> Target:
    """A target on the numbers that `of` finds in the rows, None where one was not measured."""

    def judge(rows: dict[str, dict]) -> tuple[str, bool | None]:
        found = of(lambda name, key: rows.get(name, {}).get(key))
        return ("not measured", None) if None in found else (told(*found), met(*found))

    return Target(text, judge, **more)


def less(
    than: str, factor: float, ours: str = "ours", solver: bool = False, why: str = ""
) -> Target:
    """Ours needs `factor` times less processor time than another contestant.

    With `solver`, the other's own setting up, such as PuLP's writing of a model, is left out.
    """

    def times(at: Callable) -> list[float | None]:
        theirs = at(than, "cpu_s")
        if theirs and solver:  # solvers report seconds by the clock: on a busy machine, too many
            theirs = min(theirs, at(than, "solver_s"))
        return [at(ours, "cpu_s"), theirs]

    text = f"{factor:,g}x less than {than}" if factor > 1 else f"no slower than {than}"
    return _on_numbers(
        _of(ours) + text + SOLVER_ONLY * solver, times,
        lambda mine, theirs: f"{theirs / mine:,.3g}x", lambda mine, theirs: theirs / mine >= factor,
        why=why, than=than, compares="seconds",
    )  # fmt: skip


def below(limit: float, of: str = "cpu_s", ours: str = "ours") -> Target:
    """Ours stays under a limit: cpu_s, wall_s (seconds) or total_mb, peak_mb (megabytes)."""
    return _on_numbers(
        f"{_of(ours)}under {limit:,g} {UNITS[of]}", lambda at: [at(ours, of)],
        lambda found: f"{found:,.3g}", lambda found: found < limit,
    )  # fmt: skip


def at_most(limit: float, ours: str = "ours") -> Target:
    """The objective of ours is no larger than a number quoted."""
    return _on_numbers(
        f"objective at most {limit:,g}", lambda at: [at(ours, "objective")],
        lambda found: f"{found:.6g}", lambda found: found <= limit,
    )  # fmt: skip


def flat(names: tuple[str, ...], ratio: float) -> Target:
    """The longest of some contestants takes at most `ratio` times the shortest."""
    return _on_numbers(
        f"flat: longest at most {ratio:g}x the shortest",
        lambda at: [at(name, "cpu_s") for name in names],
        lambda *times: f"{max(times) / min(times):.2f}x",
        lambda *times: max(times) / min(times) <= ratio,
    )


def no_worse(than: str, sense: int, tolerance: float = 1e-6, ours: str = "ours") -> Target:
    """Ours reaches at least the objective of another contestant (sense 1: larger is better)."""
    return _on_numbers(
        f"objective no worse than {than} ({tolerance:g})",
        lambda at: [at(ours, "objective"), at(than, "objective")],
        lambda mine, theirs: f"{mine:.9g} beside {theirs:.9g}",
        lambda mine, theirs: sense * (mine - theirs) >= -tolerance * max(abs(theirs), 1e-300),
        than=than,
    )


def same_set(than: str, ours: str = "ours", why: str = "") -> Target:
    """Ours picks the same rows as another contestant, in any order."""

    def told(mine: str, theirs: str) -> str:
        return "the same" if mine == theirs else "another set"

    return _on_numbers(
        f"same set as {than}", lambda at: [at(ours, "digest"), at(than, "digest")], told,
        lambda mine, theirs: mine == theirs, why=why, than=than,
    )  # fmt: skip


def _of(ours: str) -> str:
    return "" if ours == "ours" else f"{ours}: "


# Measuring: what happens in the process of one contestant.


def measure(workload: Workload, contestant: Contestant, quick: bool = False) -> dict[str, Any]:
    """Run one contestant and return its row: seconds, memory, objective, digest."""
    data = workload.data(**(workload.quick if quick else workload.full))
    call = contestant.make(data)
    start_mb = reset_peak()
    answer, first = timed(call)
    total_mb = peak()
    runs, notes = [first], [getattr(answer, "notes", {})]
    repeats = REPEATS_LONG if first["wall_s"] > LONG_S else REPEATS
    inner = 1 if first["wall_s"] >= SHORT_S else int(SHORT_S / max(first["wall_s"], 1e-6)) + 1
    if inner > 1 and not contestant.once:  # the first is too short to be timed by itself
        runs, notes = [], []
    while not contestant.once and len(runs) < repeats:
        again, run = timed(call, inner)
        notes.append(getattr(again, "notes", {}))
        runs.append(run)
    row = {key: statistics.median(run[key] for run in runs) for key in first}
    row |= {key: statistics.median(note[key] for note in notes) for key in notes[0]}
    row |= {"runs": runs, "total_mb": total_mb, "peak_mb": max(0.0, total_mb - start_mb)}
    row |= describe(answer)
    if workload.score is not None:
        row["objective"] = float(workload.score(data, answer))
    return row


def timed(call: Callable[[], Any], inner: int = 1) -> tuple[Any, dict[str, float]]:
    """Return the answer and the seconds of one call: by the clock, and of all processors.

    Processor time counts the system's part and that of child processes, as CBC is one.
    """
    wall, own = time.perf_counter(), spent()
    for _ in range(inner):
        answer = call()
    wall, own = time.perf_counter() - wall, spent() - own
    return answer, {"wall_s": wall / inner, "cpu_s": own / inner}


def spent() -> float:
    """Return processor seconds of this process and of its children that have ended."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def reset_peak() -> float:
    """Forget the peak of memory reached so far; return what is in use, in megabytes."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:  # not Linux, or not allowed: making the data may then hide part of a peak
        return peak()
    return memory("VmRSS")


def peak() -> float:
    """Return the most memory in use since the reset, in megabytes."""
    try:
        return memory("VmHWM")
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / MB


def memory(field_name: str, path: str = "/proc/self/status") -> float:
    """Return one field of a /proc file, in megabytes."""
    for line in Path(path).read_text().splitlines():
        if line.startswith(field_name + ":"):
            return int(line.split()[1]) * 1024 / MB
    raise OSError(f"{path} has no {field_name}")


def need_memory(megabytes: float) -> None:
    """Refuse before the machine starts to swap or kills."""
    try:
        available = memory("MemAvailable", "/proc/meminfo")
    except OSError:
        return
    if available < megabytes:
        raise MemoryError(f"needs {megabytes:,.0f} MB, {available:,.0f} MB are free")


def describe(answer: Any) -> dict[str, Any]:
    """Return how many rows were picked, and a digest of their set."""
    rows = getattr(answer, "indices", answer)
    rows = np.asarray(() if rows is None else rows)
    if rows.ndim != 1 or not np.issubdtype(rows.dtype, np.integer):
        return {}
    distinct = np.unique(rows).astype(np.int64)
    digest = hashlib.sha256(distinct.tobytes()).hexdigest()[:12]
    return {"n_picked": len(rows), "n_distinct": len(distinct), "digest": digest}
