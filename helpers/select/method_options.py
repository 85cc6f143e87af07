"""What the registry's methods need and take, as the command line says and reads it."""

import inspect
import itertools
import textwrap
from types import NoneType
from typing import Any, get_args

from helpers import StudyError, readings
from helpers.select import inputs
from helpers.selection import registry

WIDTH = 96
# What a proxy's run leaves for the methods, as the flags that would give it.
OF_PROXY = frozenset({"labels", "probs", "features", "norms", "correct"})
EXAMPLES = """examples:
  python -m helpers select --data folder:photos --method forgetting --keep 0.5
  python -m helpers select --method k-centers --features x.npy --keep 0.3 --out picked.npy
  python -m helpers select --method geda --norms g.npz:norms --labels t.parquet:label \\
      --k 5000 --option within=random --seed 1 --out picked.csv
  python -m helpers select --method iqp --scores t.parquet:entropy --features t.parquet:a,b,c \\
      --keep 1/5 --option bandwidth=median --out picked"""
COMBINED = ("forgetting", *readings.OF_PROBS)
TYPES = {int: "a whole number", float: "a number", str: "a word", bool: "true or false",
         NoneType: "none"}  # fmt: skip


def epilog() -> str:
    """Return what --help says below the arguments."""
    files = textwrap.fill(
        "With --data, a small network is trained on the images or texts first (its run is stored, "
        "so that the next call takes seconds), the files that are kept are listed, and a page "
        "shows what was kept and dropped; what is said of arrays below is then known already. "
        "FILE is rows.npy, arrays.npz:key or table.parquet:column; a column of lists, or several "
        "of numbers (a,b,c), gives (n, d). Files are mapped, not read: they may be larger than "
        "memory, but some methods are not able to use such; they say so. TMPDIR, or else the "
        "folder of --out, needs room for what .npz and .parquet hold.",
        WIDTH,
    )
    return f"{files}\n\nmethods:\n{listing()}\n\n{EXAMPLES}"


def listing() -> str:
    """Return a paragraph a method: what it does, needs, and takes."""
    return "\n".join(_entry(method) for method in registry.METHODS.values())


def _entry(method: registry.Method) -> str:
    """Return a method's paragraph."""
    does = (inspect.getdoc(method.pick) or method.label).splitlines()[0]
    needs = needs_text(method) or "any array, to count the rows"
    facts = [f"needs {needs}", *(["gives weights"] if method.is_weighted else [])]
    if taken := defaults(method):
        types = {name: _types(method, name) for name in taken}
        told = [f"{name}={_shown(value)} ({types[name]})" for name, value in taken.items()]
        facts.append(f"options {', '.join(told)}")
    body = textwrap.fill("; ".join(facts), WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 6)
    return f"  {method.key}: {does}\n{body}"


def _shown(value: object) -> str:
    """Write a value as --option takes it."""
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)


def defaults(method: registry.Method) -> dict[str, Any]:
    """Return the options of a method with their defaults."""
    parameters = inspect.signature(method.pick).parameters
    return {name: parameters[name].default for name in registry.options_of(method.key)}


def _allowed(method: registry.Method, name: str) -> tuple[type, ...]:
    """Return the types an option may have."""
    kind = inspect.signature(method.pick, eval_str=True).parameters[name].annotation
    return get_args(kind) or (kind,)


def _types(method: registry.Method, name: str) -> str:
    return " or ".join(TYPES[kind] for kind in _allowed(method, name))


def parse(method: registry.Method, pairs: list[str]) -> dict[str, Any]:
    """Turn NAME=VALUE texts into options of the method's own types.

    Raises:
        ValueError: If a text is no pair, a name is unknown or comes twice, or a value does not
            fit.
    """
    options: dict[str, Any] = {}
    valid = defaults(method)
    for pair in pairs:
        name, equals, text = pair.partition("=")
        name = name.strip().replace("-", "_")
        if not equals or not name:
            raise StudyError(f"--option must be NAME=VALUE, got {pair!r}")
        if name not in valid:
            known = f"its options are {', '.join(valid)}" if valid else "it takes none"
            raise StudyError(f"{method.key} has no --option {name}; {known}")
        if name in options:
            raise StudyError(f"--option {name} is given twice")
        options[name] = _value(method, name, text.strip())
    return options


def _value(method: registry.Method, name: str, text: str) -> Any:
    """Read a value as the first type that it fits, words last."""
    kinds = _allowed(method, name)
    words = {"none": (NoneType, None), "true": (bool, True), "false": (bool, False)}
    kind, value = words.get(text.lower(), (object, None))
    if kind in kinds:
        return value
    for kind in (int, float, str):
        if kind in kinds:
            try:
                return kind(text)
            except ValueError:
                continue
    raise StudyError(f"--option {name} must be {_types(method, name)}, got {text!r}")


def _ways(method: registry.Method, options: dict[str, Any]) -> list[set[str]]:
    """Return the smallest sets of inputs a method can run on."""
    needs = [*method.needs, *(["labels"] if method.by_class else [])]
    if options.get("correct_only"):
        needs.append("correct|labels")
    groups = [need.replace("forgetting", "correct").split("|") for need in needs]
    sets = [set(way) for way in itertools.product(*groups)]
    return [
        way
        for i, way in enumerate(sets)
        if not any(other < way for other in sets) and way not in sets[:i]
    ]


def needs_text(method: registry.Method, options: dict[str, Any] | None = None) -> str:
    """Say which inputs a method needs: "--scores, or --probs and --labels; and --features"."""
    ways = _ways(method, options or {})
    always = set.intersection(*ways)
    common = _flags(always)
    if len(ways) == 1:
        return common
    either = ", or ".join(_flags(way - always) for way in ways)
    return f"{either}; and {common}" if common else either


def _flags(names: set[str]) -> str:
    return " and ".join(f"--{name}" for name in inputs.SHAPES if name in names)


def check_needs(method: registry.Method, options: dict[str, Any], given: set[str]) -> None:
    """Raise one line with all that a method needs unless it has been given.

    Raises:
        ValueError: If something is missing, or nothing was given at all.
    """
    if not any(way <= given for way in _ways(method, options)):
        raise StudyError(f"{method.key} needs {needs_text(method, options)}")
    if not given:
        every = ", ".join(f"--{name}" for name in inputs.SHAPES)
        raise StudyError(f"{method.key} needs one of {every}, to count the rows")


def unread(method: registry.Method, options: dict[str, Any], given: set[str]) -> list[str]:
    """Return the inputs given that a method does not read; one alone may count the rows."""
    read = next(way for way in _ways(method, options) if way <= given)
    return [] if not read and len(given) == 1 else [n for n in inputs.SHAPES if n in given - read]


def check_data(method: registry.Method, options: dict[str, Any], n_proxies: int) -> None:
    """Raise one line unless a method can work from the runs of proxies.

    Raises:
        ValueError: If it needs what no proxy leaves, or several proxies' rankings cannot be
            combined for it.
    """
    if not any(way <= OF_PROXY for way in _ways(method, options)):
        raise StudyError(
            f"{method.key} needs {needs_text(method, options)}, which no proxy gives: "
            "give arrays in place of --data"
        )
    if n_proxies == 1:
        return
    if method.key not in COMBINED:
        raise StudyError(
            f"--proxies combines the rankings of {', '.join(COMBINED)}; {method.key} takes one"
        )
    if options:
        raise StudyError(f"--proxies goes with no --option, got {next(iter(options))}")


def needs_proxy(method: registry.Method, options: dict[str, Any]) -> bool:
    """Tell whether a method looks at anything that only a trained network knows."""
    return not any(way <= {"labels"} for way in _ways(method, options))


def flagged(text: str, method: registry.Method, given: set[str]) -> str:
    """Put flags in the place of the names that start a method's error."""
    first = text.partition(" ")[0].rstrip(":")
    if first == "labels" and "labels" not in given:
        return f"{method.key} needs --labels here"
    flags = {name: f"--{name}" for name in (*inputs.SHAPES, "k")}
    flags |= {name: f"--option {name}" for name in defaults(method)}
    flags |= {"option": "--option", "forgetting": "--correct"}
    if "gradients" not in given:
        flags["gradients"] = "--features"
    flags["utility"] = "--scores" if "scores" in given else "--probs"
    return flags.get(first, first) + text[len(first) :]


def flagged_option(text: str, method: registry.Method) -> str:
    """Put --option NAME in the place of an option's name that starts a method's error."""
    words = text.removeprefix("option ")
    first = words.partition(" ")[0].rstrip(":")
    return f"--option {words}" if first in defaults(method) else text
