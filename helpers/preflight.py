"""What is refused before a notebook starts: data and networks that no run could use."""

from __future__ import annotations

import os
from dataclasses import fields
from typing import TYPE_CHECKING

from helpers import StudyError, data
from helpers.data.names import is_path, parse

if TYPE_CHECKING:
    from helpers.experiments import Scale

MODELS = ("proxy", "target", "models", "more_proxies", "panel_models", "families")


def check_data(name: str) -> None:
    """Refuse a data set that does not exist, or a slice of more rows than it has.

    Raises:
        ValueError: If the name is unknown, its folder or file is not there, or it is too small.
    """
    base, rows = parse(data.resolve(name))
    path = base.partition(":")[2]
    if is_path(base) and not os.path.exists(path):
        raise ValueError(f"dataset {name}: there is no {path}")
    if rows:
        data.check(name)


def check_models(scale: Scale) -> None:
    """Refuse a network that cannot be built here.

    Raises:
        ValueError: Naming the parameter and the network.

    Note: the defaults are known to be there, so that the usual study starts without torch.
    """
    known = {model for _, model in _asked(type(scale)())}
    for parameter, model in _asked(scale):
        if model not in known:
            _build(parameter, model)
            known.add(model)


def _asked(scale: Scale) -> list[tuple[str, str]]:
    """Return every network of a scale with the parameter that names it."""
    names = [field.name for field in fields(scale) if field.name in MODELS]
    values = {name: getattr(scale, name) for name in names}
    return [
        (name, model)
        for name, value in values.items()
        for model in ((value,) if isinstance(value, str) else value)
    ]


def _build(parameter: str, model: str) -> None:
    from helpers import models

    try:
        models.build(model, 10, 3)
    except StudyError as error:
        raise ValueError(f"{parameter}: {error}") from None
