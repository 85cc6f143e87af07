"""The parameters of the study, typed; the defaults are the embedded digits."""

from __future__ import annotations

import os
from collections.abc import Collection
from functools import cache
from itertools import pairwise
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from helpers import StudyError, data, recipes
from helpers.data.names import has_numbers, is_path, is_text, parse
from helpers.results import packs
from helpers.selection import registry

Count = Annotated[int, Field(ge=1, le=100_000)]
Share = Annotated[float, Field(gt=0, le=1)]
# Lists are given, tuples kept: specs are hashed.
Names = Annotated[tuple[str, ...], Field(strict=False, max_length=100)]
SomeNames = Annotated[tuple[str, ...], Field(strict=False, min_length=1, max_length=100)]
Weight, Threshold = Annotated[float, Field(ge=0)], Annotated[float, Field(ge=0, lt=1)]
Weights = Annotated[tuple[Weight, ...], Field(strict=False, min_length=1, max_length=100)]
Thresholds = Annotated[tuple[Threshold, ...], Field(strict=False, min_length=1, max_length=100)]
Shares = Annotated[tuple[Share, ...], Field(strict=False, min_length=1, max_length=100)]
SomeShares = Annotated[tuple[Share, ...], Field(strict=False, max_length=100)]
Counts = Annotated[tuple[Count, ...], Field(strict=False, min_length=1, max_length=100)]

# Parameters that name networks, and the notebooks that alone train some of them.
MODELS = ("proxy", "target", "models", "more_proxies", "panel_models", "families")
TRAINED_BY = {"panel_models": "03", "families": "02"}
# How the names of networks and recipes for texts begin; the others are for images.
OF_TEXTS = ("fasttext", "vdcnn", "text")
# Up to so many epochs the doubling epochs lie close enough to where `svp` stops its proxies.
DOUBLING_IS_ENOUGH = 12


def refusal(error: ValidationError) -> str:
    """Put what pydantic found wrong first into one line that names the parameter."""
    first = error.errors()[0]
    if own := first.get("ctx", {}).get("error"):
        return str(own)
    text = first["msg"].replace("valid tuple", "list").replace("Tuple", "List")
    text = text.replace(" after validation, not 0", "")
    place = ".".join(map(str, first["loc"]))
    return f"{place}: {text[0].lower()}{text[1:]}, got {repr(first['input'])[:60]}"


class Config(BaseModel):
    """Every parameter that notebooks share.

    Raises:
        StudyError: For a value of another type or that no run could use, naming the parameter.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    dataset: str = "digits"  # for `helpers.data.load`
    models: SomeNames = ("vgg3-w8", "vgg5-w16", "vgg7-w16")  # of growing depth
    proxy: str = "vgg3-w8"  # the small network that selects
    target: str = "vgg7-w16"  # the network whose accuracy counts
    recipe: str = "digits"  # in `helpers.recipes`
    epochs: Count = 8  # passes over the training rows, for every run
    # runs of one seed share initialisation and order
    n_seeds: Annotated[int, Field(ge=1, le=1000)] = 3
    first_seed: Annotated[int, Field(ge=0, lt=2**31)] = 0  # seeds run from here upwards
    budgets: Shares = (0.1, 0.3, 0.5, 0.7)  # of the training rows, kept to compare methods
    # keys of the registry; ("all",) takes every one
    methods: SomeNames = ("random", "least-confidence", "margin", "entropy", "forgetting",
                          "k-centers", "iqp")  # fmt: skip
    n_initial: Count = 100  # random rows k-centers starts from when it ranks (`svp`: 1,000)
    percentages: Shares = (0.2, 0.4, 0.6, 0.8)  # kept on the ladder to GEDA
    n_nodes: Count = 5  # GEDA's N
    # epochs of training on the smallest percentage, chosen once or anew five times; 0 asks for none
    long_epochs: Annotated[int, Field(ge=0, le=100_000)] = 30
    node_counts: Counts = (3, 5, 10, 20, 50)  # values of N tried at the smallest percentage
    start_share: Share = 0.1  # labelled, that `budgeted` starts from
    panel_models: SomeNames = ("vgg3-w8", "vgg5-w16", "vgg7-w16")  # of `budgeted`
    panel_data: SomeNames = ("",)  # data sets there; "" is the study's, see `own_panel`
    panel_budgets: Shares = (0.1, 0.2)  # of the remaining pool, that it adds
    panel_methods: SomeNames = ("random", "iqp", "dpp", "submodular")  # compared there
    weights: Weights = (0.0, 0.1, 0.3, 1.0, 3.0)  # lambda, with both readings of the kernel term
    keep: Share = 0.8  # IDS's alpha
    switch: Share = 0.9  # of training, after which IDS turns from EASY to HARD
    etas: Counts = (1, 2, 3)  # epochs for which ADONIS reuses a loss
    warm_up: Count = 1  # epochs on all rows before ADONIS and Selective Backprop choose
    thetas: Thresholds = (0.05, 0.1, 0.12, 0.3, 0.7)  # acceptance thresholds tried
    alphas: Shares = (0.1, 0.3, 1.0)  # shares of accepted candidates tried
    # further sweeps of ADONIS and IDS: keys of `experiments.online.SWEEPS`; ("all",) takes them all
    online_sweeps: Names = ("all",)
    initial_share: Share = 0.02  # labelled at random before active learning's first round
    # labelled, initial rows included, at which its rounds end; rising
    label_budgets: Shares = (0.1, 0.2, 0.3)
    stops: Counts = (2,)  # epochs after which a proxy is stopped early
    more_proxies: Names = ()  # networks that select too, beside the proxy and the target
    # several architectures whose rankings are compared
    families: SomeNames = ("resnet8-w8", "resnet14-w8", "vgg5-w16", "vgg7-w16", "alexnet-w8")
    n_proxy_budgets: Count = 1  # budgets, smallest first, kinds of proxies are compared at
    # batch of a proxy that has one of its own (`svp` 3.2); 0 trains none
    own_batch: Annotated[int, Field(ge=0)] = 0
    slide_shares: SomeShares = (0.4, 0.6)  # kept where `svp-slides` is compared; () asks for none
    # compared for equal passes, equal steps and an equal bill; () asks for none of these runs
    dial_methods: Names = ("random", "forgetting")
    # the target's seconds over the proxy's, as measured, for the equal bill; 0: multiply-adds'
    cost_ratio: Annotated[float, Field(ge=0)] = 0.0
    # data sets, whole, on which `budgeted`'s Table II is made; () asks for none
    table_two: Names = ()

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise StudyError(refusal(error)) from None

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if any(b <= a for a, b in pairwise((self.initial_share, *self.label_budgets))):
            raise StudyError(
                f"label_budgets must rise from above initial_share {self.initial_share:g}, "
                f"got {list(self.label_budgets)}"
            )
        for name, value in self:  # a panel pairs its lists
            if name[:6] != "panel_" and isinstance(value, tuple) and len({*value}) < len(value):
                raise StudyError(f"{name} must hold each value once, got {list(value)}")
        batch = recipes.get(self.recipe, model=self.proxy).batch
        if self.own_batch in (1, batch):
            raise StudyError(f"own_batch must be 0 or 2 or more, and not the recipe's {batch}")
        for name in ("methods", "panel_methods", "dial_methods"):
            for key in getattr(self, name):
                if key != "all" or name != "methods":
                    registry.get(key)
        return self

    def replace(self, **changes: Any) -> Config:
        """Return a copy with other values."""
        return Config(**{**dict(self), **changes})

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds that runs use."""
        return tuple(range(self.first_seed, self.first_seed + self.n_seeds))

    @property
    def own_panel(self) -> str:
        """What `budgeted` tunes on: the study's data; of digits 5 to 9 after learning 0 to 4."""
        halves = f"{self.dataset}~0-4>{self.dataset}~5-9"
        return halves if self.dataset.partition("@")[0] == "digits" else ""

    @property
    def panels(self) -> tuple[str, ...]:
        """The data sets of `panel_data`."""
        return tuple(one or self.own_panel for one in self.panel_data)

    @property
    def data_name(self) -> str:
        """The data set's resolved name, as it stands in specs.

        Where neither `$STUDY_DATA` nor a download holds the data, a published pack decides:
        its results are named after the copy they were measured on.
        """
        name = data.resolve(self.dataset)
        if name != self.dataset or os.environ.get("STUDY_FRESH"):
            return name
        base, _, part = name.partition("@")
        packed = packs.data_names(packs.path_of(os.environ.get("STUDY_PROFILE") or "digits"))
        same = {n for n in packed if n.startswith(f"{base}-") and n.partition("@")[2] == part}
        return min(same, default=name)

    def check_data(self, known: Collection[str]) -> None:
        """Refuse data that are not there, without classes, or of too few rows for slice or batch.

        `known` are the parameters of the notebooks that will run.
        """
        base, rows = parse(data.resolve(self.dataset))
        path = base.partition(":")[2]
        if is_path(base) and not os.path.exists(path):
            raise StudyError(f"dataset {self.dataset}: there is no {path}")
        if has_numbers(self.dataset):
            raise StudyError(f"dataset {self.dataset}: it has numbers, the study compares classes")
        panels = [
            (parameter, part)
            for parameter in ("panel_data", "table_two")
            if parameter in known
            for name in getattr(self, parameter)
            for part in name.split(">") if name
        ]  # fmt: skip
        for parameter, name in panels:
            try:
                data.check(name)
            except StudyError as error:
                raise StudyError(f"{parameter}: {error}") from None
            if has_numbers(name) or is_text(parse(name)[0]):
                raise StudyError(f"{parameter}: {name} is no set of images with classes")
        own_batch = self.own_batch if "own_batch" in known else 0
        if (rows or own_batch) and own_batch > (n := data.check(self.dataset)):
            raise StudyError(f"own_batch must be at most {n}, the training rows, got {own_batch}")

    def check_networks(self, number: str, known: Collection[str]) -> None:
        """Refuse networks that cannot be built here, or are for texts where there are images.

        What notebook `number` ("03"), with parameters `known`, does not train may be for either.
        """
        usual = {model for _, model in Config()._named(MODELS)}  # there, and need no torch
        for parameter, model in self._named(MODELS):
            if model and model not in usual:
                check_model(parameter, model)
        for parameter, name in self._named((*MODELS, "recipe")):
            if name and parameter in known and TRAINED_BY.get(parameter, number) == number:
                check_kind(self.dataset, parameter, name)

    def _named(self, parameters: tuple[str, ...]) -> list[tuple[str, str]]:
        """Return (parameter, name) for every name that these parameters hold."""
        values = [(name, getattr(self, name)) for name in parameters]
        return [(p, n) for p, v in values for n in ((v,) if isinstance(v, str) else v)]


def check_model(parameter: str, model: str) -> None:
    """Refuse a network that cannot be built here, with a StudyError."""
    try:
        _build(model)
    except StudyError as error:
        raise StudyError(f"{parameter}: {error}") from None


@cache
def _build(model: str) -> None:
    from helpers import models  # torch

    models.build(model, 10, 3)
    if model.startswith("pretrained:"):  # one whose layers are frozen looks for them only later
        models.pretrained.weights_file(model.partition(":")[2].partition("/")[0])


def check_kind(dataset: str, parameter: str, name: str) -> None:
    """Refuse a network or recipe for texts beside images, and the reverse, with a StudyError."""
    kinds = ("images", "texts")
    needed, held = name.startswith(OF_TEXTS), is_text(parse(dataset)[0])
    if needed != held:
        what = f"the data set {dataset} holds {kinds[held]}"
        raise StudyError(f"{parameter}: {name} is for {kinds[needed]}, {what}")


def recorded(epochs: int, stops: tuple[int, ...] = ()) -> tuple[int, ...]:
    """Return the epochs at which all rows are scored: 0, 1, 2, 4, ..., the stops and the last.

    Longer runs are also scored at 50/181 and 100/181 of their epochs, where `svp` Table 3 stops
    its proxies.
    """
    found = {0, epochs, *(2**i for i in range(20) if 2**i < epochs)}
    found |= {stop for stop in stops if stop < epochs}
    if epochs > DOUBLING_IS_ENOUGH:
        found |= {round(epochs * part / 181) for part in (50, 100)}
    return tuple(sorted(found))
