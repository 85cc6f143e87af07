"""The parameters that every notebook shares, with the embedded digits as defaults."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from itertools import pairwise

from helpers import StudyError, data, packs, recipes
from helpers.selection import registry
from helpers.specs import Measure

# Up to so many epochs the doubling epochs lie close enough to where `svp` stops its proxies.
DOUBLING_IS_ENOUGH = 12

# Parameters, single or in lists, that are shares of the rows or of the training.
SHARES = ("budgets", "percentages", "panel_budgets", "start_share", "keep", "switch",
          "initial_share", "label_budgets")  # fmt: skip


@dataclass(frozen=True)
class Scale:
    """Every parameter that notebooks share; the defaults are the embedded digits study.

    Attributes:
        dataset: Name for `helpers.data.load`.
        models: Networks of growing depth.
        proxy: The small network that selects.
        target: The network whose accuracy counts.
        recipe: Name in `helpers.recipes`.
        epochs: Passes over the training rows, for every run.
        n_seeds: Repeats; runs of one seed share initialisation and order.
        first_seed: Seeds run from here upwards.
        budgets: Shares of the training rows kept in the comparison of methods.
        methods: Keys of the methods compared; ("all",) takes every one of the registry.
        n_initial: Random rows that k-centers starts from when it ranks (1,000 in `svp`).
        percentages: Shares kept on the ladder to GEDA.
        n_nodes: GEDA's N.
        node_counts: Values of N tried at the smallest percentage.
        start_share: Labelled share that `budgeted` starts from.
        panel_models: Networks of the `budgeted` comparison.
        panel_budgets: Shares of the remaining pool that it adds.
        panel_methods: Keys of the methods compared there.
        weights: Values of lambda tried, with both readings of the kernel term.
        keep: IDS's alpha.
        switch: Share of training after which IDS turns from EASY to HARD.
        etas: Epochs for which ADONIS reuses a loss.
        thetas: Acceptance thresholds tried.
        alphas: Shares of accepted candidates tried.
        initial_share: Share labelled at random before active learning's first round.
        label_budgets: Shares labelled, initial rows included, at which its rounds end; rising.
        stops: Epochs after which a proxy is stopped early.
        more_proxies: Networks that select too, beside the proxy and the target.
        families: Networks of several architectures whose rankings are compared.
        n_proxy_budgets: How many budgets, smallest first, kinds of proxies are compared at.
        own_batch: Examples a step of a proxy that has a batch size of its own (`svp` 3.2); 0
            trains none.
        paid_share: Share whose whole bill, chosen by entropy, is held against full training
            (`svp-slides`: 0.6 of CIFAR-10, 0.5 of SVHN); 0 asks for none.
        quick_proxy: A network that selects too, trained by the recipe `sprint` in as many epochs
            as that has; "" for none.
    """

    dataset: str = "digits"
    models: tuple[str, ...] = ("resnet8-w8", "resnet14-w8", "resnet20-w8")
    proxy: str = "resnet8-w8"
    target: str = "resnet14-w8"
    recipe: str = "digits"
    epochs: int = 6
    n_seeds: int = 3
    first_seed: int = 0
    budgets: tuple[float, ...] = (0.1, 0.25, 0.5)
    methods: tuple[str, ...] = ("all",)
    n_initial: int = 100
    percentages: tuple[float, ...] = (0.2, 0.4, 0.6, 0.8)
    n_nodes: int = 5
    node_counts: tuple[int, ...] = (3, 5, 10, 20, 50)
    start_share: float = 0.1
    panel_models: tuple[str, ...] = ("resnet8-w8", "resnet14-w8", "resnet20-w8")
    panel_budgets: tuple[float, ...] = (0.1, 0.2)
    panel_methods: tuple[str, ...] = ("random", "iqp", "dpp", "submodular")
    weights: tuple[float, ...] = (0.0, 0.1, 0.3, 1.0, 3.0)
    keep: float = 0.8
    switch: float = 0.9
    etas: tuple[int, ...] = (1, 2, 3)
    thetas: tuple[float, ...] = (0.05, 0.1, 0.12, 0.3, 0.7)
    alphas: tuple[float, ...] = (0.1, 0.3, 1.0)
    initial_share: float = 0.02
    label_budgets: tuple[float, ...] = (0.1, 0.2, 0.3)
    stops: tuple[int, ...] = (2,)
    more_proxies: tuple[str, ...] = ()
    families: tuple[str, ...] = (
        "resnet8-w8", "resnet14-w8", "densenet10-k8", "vgg11-w8", "alexnet-w8",
    )  # fmt: skip
    n_proxy_budgets: int = 1
    own_batch: int = 0
    paid_share: float = 0.0
    quick_proxy: str = ""

    def __post_init__(self) -> None:
        """Give lists and whole numbers the types that specs are hashed with."""
        for field in fields(self):
            value, plain = getattr(self, field.name), field.default
            if isinstance(plain, tuple):
                if isinstance(value, str):
                    raise StudyError(f"{field.name} must be a list of values, got {value!r}")
                kind = type(plain[0]) if plain else str
                value = tuple(_typed(field.name, v, kind) for v in value)
            else:
                value = _typed(field.name, value, type(plain))
            object.__setattr__(self, field.name, value)
        self._check()

    def _check(self) -> None:
        """Refuse numbers and names that no run could use.

        Raises:
            StudyError: Naming the parameter and what it takes.
        """
        for field in fields(self):
            if getattr(self, field.name) == () and field.default:
                raise StudyError(f"{field.name} must hold at least one value, got an empty list")
        for name in ("epochs", "n_seeds", "n_initial", "n_nodes", "n_proxy_budgets"):
            if getattr(self, name) < 1:
                raise StudyError(f"{name} must be 1 or more, got {getattr(self, name)}")
        for name in SHARES:
            shares = getattr(self, name)
            for share in shares if isinstance(shares, tuple) else (shares,):
                if not 0 < share <= 1:
                    raise StudyError(f"{name} must lie in (0, 1], got {share:g}")
        self._check_rounds()
        self._check_recipes()
        for name in ("methods", "panel_methods"):
            for key in getattr(self, name):
                if key != "all" or name != "methods":
                    registry.get(key)

    def _check_rounds(self) -> None:
        """Refuse rounds that label nothing and stops before any training."""
        ends = (self.initial_share, *self.label_budgets)
        if any(after <= before for before, after in pairwise(ends)):
            raise StudyError(
                f"label_budgets must rise from above initial_share {self.initial_share:g}, "
                f"got {list(self.label_budgets)}"
            )
        if min(self.stops) < 1:
            raise StudyError(f"stops must be 1 or more epochs, got {min(self.stops)}")

    def _check_recipes(self) -> None:
        """Refuse a recipe that there is not, and what asks for runs by a batch or share of none."""
        batch = recipes.get(self.recipe, model=self.proxy).batch
        if self.own_batch and (self.own_batch < 2 or self.own_batch == batch):
            raise StudyError(
                f"own_batch must be 0 or 2 or more, other than the recipe's {batch}, "
                f"got {self.own_batch}"
            )
        if not 0 <= self.paid_share < 1:
            raise StudyError(f"paid_share must lie in [0, 1), got {self.paid_share:g}")

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds that runs use."""
        return tuple(range(self.first_seed, self.first_seed + self.n_seeds))

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
        pack = packs.read(packs.path_of(os.environ.get("STUDY_PROFILE") or "digits"))
        names = {r.spec.dataset for r in pack.values() if not isinstance(r.spec, Measure)}
        same = {n for n in names if n.startswith(f"{base}-") and n.partition("@")[2] == part}
        return min(same, default=name)


def _typed(name: str, value: object, kind: type) -> object:
    """Give a value its parameter's type; 2.5 is no whole number and "3" no number."""
    numbers = (int, float) if kind in (int, float) else kind
    if isinstance(value, bool) or not isinstance(value, numbers) or kind(value) != value:
        raise StudyError(f"{name} must hold {kind.__name__} values, got {value!r}")
    return kind(value)


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
