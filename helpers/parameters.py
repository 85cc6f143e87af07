"""Parameters cells: what a notebook accepts, and values that are checked against it.

papermill only warns about a parameter that a notebook does not have and passes a wrong type on
as it is, so everything is checked here before a kernel starts.
"""

from __future__ import annotations

import ast
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from helpers.runner import read

EXPECTED = {
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "str": "text (quote it if it looks like a number)",
    "list": "a YAML list such as [1, 2]",
    "dict": "a YAML mapping such as {a: 1}",
}


@dataclass(frozen=True)
class Parameter:
    """One line of a parameters cell: its name, default and the kind of value it takes."""

    name: str
    default: Any
    kind: str
    item: str | None = None

    def check(self, value: Any) -> Any:
        """Return the value as this parameter takes it.

        Raises:
            ValueError: If the value is of another kind.
        """
        try:
            if self.kind == "list":
                return [_fit(part, self.item) for part in _fit(value, "list")]
            return _fit(value, self.kind)
        except TypeError:
            expected = EXPECTED[self.kind]
            if self.kind == "list" and self.item:
                expected += f" of {self.item} values"
            raise ValueError(f"parameter {self.name} takes {expected}, got {value!r}") from None


def parameters_of(notebook: Path) -> dict[str, Any]:
    """Read the defaults in a notebook's parameters cell.

    Args:
        notebook: Path of a clean notebook.

    Returns:
        Name to default value, in the order of the cell.
    """
    return {name: p.default for name, p in inspect(notebook).items()}


def inspect(notebook: Path) -> dict[str, Parameter]:
    """List the parameters that papermill finds in a notebook.

    Raises:
        ValueError: If a default is not a plain literal.
    """
    from papermill import inspect_notebook

    return {
        name: _parameter(name, row["inferred_type_name"], row["default"], notebook)
        for name, row in inspect_notebook(read(notebook)).items()
    }


def _parameter(name: str, annotation: str, default: str, notebook: Path) -> Parameter:
    try:
        value = ast.literal_eval(default)
    except (ValueError, SyntaxError):
        raise ValueError(
            f"{notebook.name}: default of parameter {name} must be a plain literal, got {default}"
        ) from None
    kind = "list" if isinstance(value, tuple) else type(value).__name__
    inner = re.fullmatch(r"(?:list|tuple)\[\s*(\w+).*\]", annotation)
    item = inner[1] if inner else None
    if kind == "list" and item is None and value:
        item = "float" if any(isinstance(v, float) for v in value) else type(value[0]).__name__
    # an int as the default of "x: float" is a float all the same
    return Parameter(name, value, "float" if annotation == "float" else kind, item)


def _fit(value: Any, kind: str | None) -> Any:
    """Return the value as one of this kind; TypeError if it is none."""
    if kind == "float" and isinstance(value, str):
        try:
            return float(value)  # YAML 1.1 reads 1e-3 as text
        except ValueError:
            raise TypeError from None
    if kind == "float" and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind in EXPECTED and type(value).__name__ != kind:
        raise TypeError
    return value


def given(pairs: list[str]) -> dict[str, Any]:
    """Read ``name=value`` pairs from the command line; values are YAML.

    Raises:
        ValueError: If a pair has no ``=`` or its value is not YAML.
    """
    values = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name.strip():
            raise ValueError(f"-p takes name=value, got {pair!r}")
        values[name.strip()] = read_yaml(text, f"-p {name.strip()}")
    return absolute(values, Path.cwd())


def absolute(value: Any, base: Path) -> Any:
    """Make the paths of ``folder:``, ``parquet:`` and ``text:`` absolute, however nested."""
    if isinstance(value, dict):
        return {key: absolute(part, base) for key, part in value.items()}
    if isinstance(value, list):
        return [absolute(part, base) for part in value]
    if isinstance(value, str) and value.startswith(("folder:", "parquet:", "text:")):
        kind, _, path = value.partition(":")
        return f"{kind}:{os.path.abspath(base / Path(path).expanduser())}"
    return value


def read_yaml(text: str, where: str) -> Any:
    """Read YAML; what is not YAML is a ValueError of one line that names ``where`` it stood."""
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"{where} is not YAML: {' '.join(str(error).split())}") from None
