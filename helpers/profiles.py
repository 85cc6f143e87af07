"""Profiles: named sets of parameters for the whole study, and the folders that a run uses."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import platform
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from helpers import StudyError
from helpers.config import Config, refusal
from helpers.results import archive

ROOT = Path(__file__).resolve().parents[1]
TYPES: dict[str, Any] = {kind.__name__: kind for kind in (bool, int, float, str, list, dict)}
TYPES |= {f"list[{name}]": list[kind] for name, kind in TYPES.items()}
# Values in one YAML text, and their depth: aliases can make a short text endless.
MOST_VALUES, DEEPEST = 100_000, 20

Number = Annotated[str, BeforeValidator(lambda number: str(number).zfill(2))]


@dataclass(frozen=True)
class Folders:
    """Where the notebooks lie and where a run writes, all below one repository."""

    root: Path = ROOT

    @property
    def notebooks(self) -> Path:
        """Folder of the clean notebooks."""
        return self.root / "notebooks"

    def executed(self, profile: str) -> Path:
        """Folder of the copies with outputs (not committed)."""
        return self.notebooks / "executed" / profile

    def figures(self, profile: str) -> Path:
        """Folder of the figures of a run (not committed)."""
        return self.root / "figures" / profile

    def published(self, kind: str, profile: str) -> Path:
        """Folder of the committed copies; ``kind`` is "notebooks" or "figures"."""
        return self.root / kind / "published" / profile

    def store(self) -> Path:
        """Folder of the live store, which ``$STUDY_STORE`` moves."""
        return Path(os.environ.get("STUDY_STORE") or self.root / "data" / "store").absolute()


class Profile(BaseModel):
    """One block of ``notebooks/profiles.yml``, under its name."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.-]*$")]  # names folders
    # the regime of its runs, in which claims are judged; "none": they judge no claim
    regime: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$")] = "none"
    about: str = ""  # one line on what it is
    parameters: dict[str, Any] = {}  # for every notebook that has the parameter
    notebooks: dict[Number, dict[str, Any]] = {}  # for one notebook alone
    # numbers of the notebooks that run unless others are asked for; (): all that the study has
    only: Annotated[tuple[Number, ...], Field(strict=False)] = ()
    # ids of the claims made on data like the profile's; (): all of them
    claims: Annotated[tuple[str, ...], Field(strict=False)] = ()

    def values(self, number: str = "") -> dict[str, Any]:
        """Return the parameters of a notebook; of every notebook without a number."""
        return absolute({**self.parameters, **self.notebooks.get(number, {})}, ROOT)

    def config(self, extra: dict[str, Any] | None = None, number: str = "") -> Config:
        """Return what the experiments ask of all notebooks, or of one by `number` ("03").

        `extra` wins over the profile's; parameters that `Config` lacks are left out.
        """
        values = self.values(number) | (extra or {})
        return Config(**{name: v for name, v in values.items() if name in Config.model_fields})


def profiles(path: Path) -> dict[str, Profile]:
    """Read all profiles from ``notebooks/profiles.yml``.

    Raises:
        StudyError: In one line, whatever the file holds.
    """
    return _profiles(path.read_text(encoding="utf-8"), path.name)


@lru_cache(maxsize=4)
def _profiles(text: str, file: str) -> dict[str, Profile]:
    blocks = read_yaml(text, file)
    if not isinstance(blocks, dict):
        raise StudyError(f"{file} must hold blocks, name: {{...}}")
    found = {}
    for name, block in blocks.items():
        if not isinstance(block, dict | None) or "name" in (block or {}):
            raise StudyError(f"{file}, {name!r:.60} must be a block of a profile's keys")
        try:
            given = {str(key): value for key, value in (block or {}).items() if value is not None}
            found[str(name)] = Profile(**{**given, "name": str(name)})
        except ValidationError as error:
            raise StudyError(f"profile {name!r:.60}: {refusal(error)}") from None
    return found


def profile(name: str, folders: Folders | None = None) -> Profile:
    """Find one profile by name; an unknown name is a StudyError that lists the valid ones."""
    found = profiles((folders or Folders()).notebooks / "profiles.yml")
    if name not in found:
        raise StudyError(f"unknown profile {name}; profiles: {', '.join(found)}")
    return found[name]


def here() -> Profile:
    """Return the profile of this process, which `$STUDY_PROFILE` names."""
    return profile(os.environ.get("STUDY_PROFILE") or "digits")


def declared(notebook: Path) -> dict[str, tuple[Any, Any]]:
    """Read a notebook's parameters cell, ``name: type = literal``: name to (type, default).

    Raises:
        StudyError: If a default is not a plain literal, or of none of `TYPES`.
    """
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    tagged = [c for c in cells if "parameters" in c["metadata"].get("tags", [])]
    source = "".join(line for cell in tagged for line in cell["source"])
    found = {}
    for line in ast.parse(source).body:
        try:
            name, default = line.target.id, ast.literal_eval(line.value)
            kind = TYPES[ast.unparse(line.annotation)]
        except (ValueError, AttributeError, KeyError, TypeError):
            what = f"default of parameter {ast.unparse(line)}"
            raise StudyError(f"{notebook.name}: {what} must be a plain literal") from None
        found[name] = kind, default
    return found


def different(chosen: Profile, notebook: Path, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of a notebook's parameters among `values` that are not the profile's."""
    usual = {name: default for name, (_, default) in declared(notebook).items()}
    own = chosen.values(notebook.name[:2])
    plain = {n: list(v) if isinstance(v, tuple) else v for n, v in values.items() if n in usual}
    return {n: v for n, v in plain.items() if v != own.get(n, usual[n])}


def folder_name(profile: str, changed: Mapping[str, Any]) -> str:
    """Name the folder of a run by its profile and what differs, such as `digits+n_seeds=2`.

    A long name, or one with characters that no folder takes, ends in a hash of all of it.
    """

    def told(value: Any) -> str:
        return ",".join(map(told, value)) if isinstance(value, list | tuple) else str(value)

    full = "+".join([profile, *(f"{name}={told(v)}" for name, v in sorted(changed.items()))])
    short = re.sub(r"[^\w.,=+@-]+", "_", full)[:80]
    return full if short == full else f"{short}-{hashlib.sha256(full.encode()).hexdigest()[:8]}"


def write_table(path: Path, table: pd.DataFrame, parameters: Mapping[str, Any]) -> None:
    """Write a table as CSV below two comment lines: profile and parameters, commit and versions.

    `pandas.read_csv(path, skiprows=2)` reads it back; an index without a name is left out.
    `parameters` are those that are not the profile's.
    """
    told = [f"commit {archive.provenance()['commit']}", f"python {platform.python_version()}"]
    told += [f"{name} {metadata.version(name)}" for name in ("numpy", "torch")]
    head = f"# profile {os.environ.get('STUDY_PROFILE') or 'digits'}, other parameters: "
    head += f"{json.dumps(dict(parameters), default=str)}\n# {', '.join(told)}\n"
    body = table.to_csv(index=any(table.index.names), lineterminator="\n")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(head + body, "utf-8")


@dataclass(frozen=True)
class Setting:
    """What a notebook is run with: its parameters' names, those papermill passes, the config."""

    names: frozenset[str]
    passed: dict[str, Any]
    config: Config


def settings(
    notebooks: dict[str, Path], chosen: Profile, extra: dict[str, Any], only: Iterable[str]
) -> dict[str, Setting]:
    """Read every parameter of a study once, typed, and refuse what no notebook has.

    Args:
        notebooks: Number ("03") to path, all there are.
        chosen: The profile.
        extra: Parameters from the command line; they win over the profile.
        only: Numbers of the notebooks that will run.

    Returns:
        Number to setting, for each of ``only``.

    Raises:
        StudyError: For an unknown parameter (naming the valid ones), one that no notebook of the
            profile reads, or a value that the parameter does not take.
    """
    known = {number: declared(path) for number, path in notebooks.items()}
    where = f"profile {chosen.name}"
    _refuse(chosen.only, known, f"{where}, only: unknown notebook")
    _refuse(chosen.notebooks, known, f"{where}: unknown notebook")
    _refuse(chosen.parameters, _union(known.values()), f"{where}: unknown parameter")
    read = _union(known[number] for number in chosen.only or known)
    _refuse(chosen.parameters, read, f"{where}: no notebook of its `only` reads parameter")
    for number, own in chosen.notebooks.items():
        _refuse(own, known[number], f"{where}, notebook {number}: unknown parameter")
    _refuse(extra, _union(known[number] for number in only), "unknown parameter")
    found = {}
    for number in only:
        values, config = chosen.values(number) | extra, chosen.config(extra, number)
        passed = {
            name: _taken(name, values[name], kind, config)
            for name, (kind, _) in known[number].items()
            if name in values
        }
        found[number] = Setting(frozenset(known[number]), passed, config)
    return found


def _taken(name: str, value: Any, kind: Any, config: Config) -> Any:
    if name in Config.model_fields:
        typed = getattr(config, name)
        return list(typed) if isinstance(typed, tuple) else typed
    try:
        return TypeAdapter(kind, config=ConfigDict(strict=True)).validate_python(value)
    except ValidationError as error:
        raise StudyError(f"{name}{refusal(error)}") from None


def _union(tables: Iterable[dict[str, Any]]) -> dict[str, Any]:
    return {name: row for table in tables for name, row in table.items()}


def _refuse(names: Iterable[str], valid: Iterable[str], what: str) -> None:
    if unknown := sorted(set(names) - set(valid)):
        raise StudyError(f"{what} {', '.join(unknown)}; valid: {', '.join(sorted(valid))}")


def given(pairs: list[str]) -> dict[str, Any]:
    """Read ``name=value`` pairs from the command line; values are YAML, else StudyError."""
    values = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name.strip():
            raise StudyError(f"-p takes name=value, got {pair!r:.60}")
        if name.strip() in values:
            raise StudyError(f"-p gives {name.strip()} more than once")
        values[name.strip()] = read_yaml(text, f"-p {name.strip()}")
    return absolute(values, Path.cwd())


def absolute(values: dict[str, Any], base: Path) -> dict[str, Any]:
    """Make the paths of ``folder:``, ``parquet:`` and ``text:`` absolute."""

    def one(value: Any) -> Any:
        if not isinstance(value, str) or not value.startswith(("folder:", "parquet:", "text:")):
            return value
        kind, _, path = value.partition(":")
        return f"{kind}:{os.path.abspath(base / Path(path).expanduser())}"

    return {name: one(value) for name, value in values.items()}


class _Loader(yaml.SafeLoader):
    """YAML in which 1e-3 is a number, as in YAML 1.2."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)


def read_yaml(text: str, where: str) -> Any:
    """Read YAML; what is not, or is endless, is a StudyError of one line that names ``where``."""
    left = MOST_VALUES

    def count(value: Any, depth: int) -> None:
        nonlocal left
        left -= 1
        if depth > DEEPEST or left < 0:
            raise RecursionError
        if isinstance(value, dict | list):
            for part in [*value, *value.values()] if isinstance(value, dict) else value:
                count(part, depth + 1)

    try:
        value = yaml.load(text, _Loader)
        count(value, 0)
    except RecursionError:
        raise StudyError(f"{where} holds too many values in each other") from None
    except (yaml.YAMLError, ValueError, TypeError) as error:  # a number or date there cannot be
        raise StudyError(f"{where} is not YAML: {' '.join(str(error).split())}") from None
    return value


@contextmanager
def variables_set(variables: dict[str, str]) -> Iterator[None]:
    """Set environment variables of this process for as long as the context lasts."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
