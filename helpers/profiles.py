"""Profiles: named sets of parameters for the whole study, and the folders that a run uses."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from helpers.parameters import absolute, inspect, read_yaml

if TYPE_CHECKING:
    from helpers.experiments import Scale

ROOT = Path(__file__).resolve().parents[1]


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


@dataclass(frozen=True)
class Profile:
    """One block of ``notebooks/profiles.yml``.

    Attributes:
        name: Key of the block.
        scale: Which claims can be decided.
        about: One line on what it is.
        parameters: For every notebook that has the parameter.
        notebooks: Number ("03") to parameters for that notebook alone.
        only: Numbers of the notebooks that run unless others are asked for; () = all.
        claims: Ids of the claims made on data like the profile's; () = all of them.
    """

    name: str
    scale: str = "digits"
    about: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)
    notebooks: dict[str, dict[str, Any]] = field(default_factory=dict)
    only: tuple[str, ...] = ()
    claims: tuple[str, ...] = ()


def profiles(path: Path) -> dict[str, Profile]:
    """Read all profiles.

    Args:
        path: The YAML file, ``notebooks/profiles.yml``.

    Raises:
        ValueError: If it is not YAML or a block has a key that profiles do not have.
    """
    allowed = [f.name for f in fields(Profile) if f.name != "name"]
    found = {}
    for name, block in (read_yaml(path.read_text(encoding="utf-8"), path.name) or {}).items():
        unknown = sorted(set(block or {}) - set(allowed))
        if unknown:
            raise ValueError(f"profile {name}: unknown key {unknown[0]}; keys: {_join(allowed)}")
        given = {key: value for key, value in (block or {}).items() if value is not None}
        own = {str(k).zfill(2): v or {} for k, v in given.pop("notebooks", {}).items()}
        only, about = (_listed(name, key, given.pop(key, [])) for key in ("only", "claims"))
        numbers = tuple(number.zfill(2) for number in only)
        found[str(name)] = Profile(str(name), notebooks=own, only=numbers, claims=about, **given)
    return found


def _listed(name: str, key: str, asked: Any) -> tuple[str, ...]:
    """Return what a block lists under a key.

    Raises:
        ValueError: If it is not a list.
    """
    example = {"only": '["01", "06"]', "claims": "[svp-01]"}[key]
    if not isinstance(asked, list):
        raise ValueError(f"profile {name}: {key} must be a list such as {example}, got {asked!r}")
    return tuple(str(one) for one in asked)


def profile(name: str, folders: Folders | None = None) -> Profile:
    """Find one profile by name; an unknown name is a ValueError that lists the valid ones."""
    found = profiles((folders or Folders()).notebooks / "profiles.yml")
    if name not in found:
        raise ValueError(f"unknown profile {name}; profiles: {_join(found)}")
    return found[name]


def settings(
    notebooks: dict[str, Path], chosen: Profile, extra: dict[str, Any], only: list[str]
) -> dict[str, dict[str, Any]]:
    """Work out every notebook's parameters and refuse what none of them has.

    Args:
        notebooks: Number ("03") to path, all notebooks of the study.
        chosen: The profile.
        extra: Parameters from the command line; they win over the profile.
        only: Numbers of the notebooks that will run.

    Returns:
        Number to the parameters that papermill passes, for the notebooks in ``only``.

    Raises:
        ValueError: For an unknown parameter (naming the valid ones), one that no notebook of the
            profile reads, or a wrong type.
    """
    known = {number: inspect(path) for number, path in notebooks.items()}
    shared = absolute(chosen.parameters, ROOT)
    _refuse(shared, _union(known.values()), f"profile {chosen.name}")
    _refuse(extra, _union(known[number] for number in only), "-p")
    _refuse(chosen.notebooks, known, f"profile {chosen.name}, notebooks")
    _refuse(dict.fromkeys(chosen.only), known, f"profile {chosen.name}, only")
    read = _union(known[number] for number in chosen.only or known)
    if unread := [name for name in shared if name not in read]:
        which = f"only: {_join(chosen.only)}"
        raise ValueError(f"profile {chosen.name}, {which}: no notebook reads {_plain(unread)}")
    found = {}
    for number, names in known.items():
        own = absolute(chosen.notebooks.get(number, {}), ROOT)
        _refuse(own, names, f"profile {chosen.name}, notebook {number}")
        values = {**shared, **own, **extra}
        found[number] = {n: p.check(values[n]) for n, p in names.items() if n in values}
    return {number: found[number] for number in only}


def scale_for(
    chosen: Profile | str, overrides: dict[str, Any] | None = None, notebook: str | None = None
) -> Scale:
    """Build the scale that a profile and overrides give to the experiments.

    Args:
        chosen: A profile or its name.
        overrides: Parameters that win over the profile; those that Scale lacks are left out.
        notebook: Number of a notebook ("03") whose own block in the profile counts too.

    Returns:
        helpers.experiments.Scale with lists turned into tuples, as specs need them.
    """
    from helpers.experiments import Scale

    chosen = profile(chosen) if isinstance(chosen, str) else chosen
    own = chosen.notebooks.get(notebook or "", {})
    values = {**absolute({**chosen.parameters, **own}, ROOT), **(overrides or {})}
    plain = Scale()
    return Scale(
        **{
            f.name: _as(getattr(plain, f.name), values[f.name])
            for f in fields(Scale)
            if f.name in values
        }
    )


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


def _as(default: Any, value: Any) -> Any:
    """Give a value from YAML the type of Scale's default: specs must not differ by it."""
    if isinstance(default, tuple):
        return tuple(_as(default[0], part) if default else part for part in value)
    return float(value) if isinstance(default, float) else value


def _union(tables: Any) -> dict[str, Any]:
    return {name: row for table in tables for name, row in table.items()}


def _refuse(names: dict, valid: dict, where: str) -> None:
    unknown = [name for name in names if name not in valid]
    if unknown:
        raise ValueError(f"{where}: unknown {_plain(unknown)}; valid: {_join(sorted(valid))}")


def _plain(unknown: list[str]) -> str:
    return f"parameter {unknown[0]}" if len(unknown) == 1 else f"parameters {_join(unknown)}"


def _join(names: Any) -> str:
    return ", ".join(str(name) for name in names) or "none"
