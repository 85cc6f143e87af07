"""What is refused before a notebook starts: data and networks that no run could use."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING

from helpers import StudyError, data
from helpers.data.names import is_path, is_text, parse

if TYPE_CHECKING:
    from helpers.experiments import Scale

MODELS = ("proxy", "target", "models", "more_proxies", "quick_proxy", "panel_models", "families")

# Notebooks that alone train what these name.
TRAINED_BY = {"panel_models": "03", "families": "02"}
# How the names of networks and recipes for texts begin; the others are for images.
OF_TEXTS = ("fasttext", "vdcnn", "text")


def check_data(name: str, own_batch: int = 0) -> None:
    """Refuse a data set that does not exist, or has fewer rows than its slice or a batch asks for.

    Args:
        name: Of the data set.
        own_batch: The parameter of that name; 0 for none.

    Raises:
        ValueError: If the name is unknown, its folder or file is not there, or it is too small.
    """
    base, rows = parse(data.resolve(name))
    path = base.partition(":")[2]
    if is_path(base) and not os.path.exists(path):
        raise ValueError(f"dataset {name}: there is no {path}")
    if rows or own_batch:
        n = data.check(name)
        if own_batch > n:
            raise ValueError(f"own_batch must be at most {n}, the training rows, got {own_batch}")


def check_models(scale: Scale) -> None:
    """Refuse a network that cannot be built here.

    Raises:
        ValueError: Naming the parameter and the network.

    Note: the defaults are known to be there, so that the usual study starts without torch.
    """
    known = {model for _, model in _asked(type(scale)())}
    for parameter, model in _asked(scale):
        if model not in known:
            check_model(parameter, model)
            known.add(model)


def check_kinds(scale: Scale, number: str, known: Collection[str]) -> None:
    """Refuse networks and a recipe for texts where a notebook has images, and the reverse.

    Args:
        scale: What the notebook is run with.
        number: The notebook's ("03"): what it does not train may be of either kind.
        known: Its parameters.

    Raises:
        ValueError: Naming the parameter, the network or recipe, and the data set.
    """
    trained = [p for p in (*MODELS, "recipe") if TRAINED_BY.get(p, number) == number]
    for parameter, name in _asked(scale, trained):
        if name and parameter in known:
            check_kind(scale.dataset, parameter, name)


def check_kind(dataset: str, parameter: str, name: str) -> None:
    """Refuse a network or recipe for texts beside images, and the reverse.

    Raises:
        ValueError: Naming the parameter, the network or recipe, and the data set.
    """
    kinds = ("images", "texts")
    needed, held = name.startswith(OF_TEXTS), is_text(parse(dataset)[0])
    if needed != held:
        what = f"the data set {dataset} holds {kinds[held]}"
        raise StudyError(f"{parameter}: {name} is for {kinds[needed]}, {what}")


def _asked(scale: Scale, parameters: Sequence[str] = MODELS) -> list[tuple[str, str]]:
    """Return every network of a scale with the parameter that names it."""
    names = [field.name for field in fields(scale) if field.name in parameters]
    values = {name: getattr(scale, name) for name in names}
    return [
        (name, model)
        for name, value in values.items()
        for model in ((value,) if isinstance(value, str) else value)
    ]


def check_model(parameter: str, model: str) -> None:
    """Refuse a network that cannot be built here.

    Raises:
        ValueError: Naming the parameter and the network.
    """
    from helpers import models

    try:
        models.build(model, 10, 3)
    except StudyError as error:
        raise ValueError(f"{parameter}: {error}") from None
