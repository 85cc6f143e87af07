"""Which runs answer which question: a scale of parameters in, lists of specs out."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import pandas as pd

from helpers import data, packs, specs
from helpers.selection.registry import METHODS
from helpers.specs import Measure, Sampler, Select, Spec, Train
from helpers.store import Result

# Selection by LP + truncated power uses the median distance as bandwidth: at 1, as printed,
# the kernel of spread-out features vanishes (see notebook 03).
METHOD_OPTIONS: dict[str, tuple[specs.Option, ...]] = {"iqp": (("bandwidth", "median"),)}


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
        n_initial: Random rows that k-centers starts from when it ranks (1,000 in `svp`).
        percentages: Shares kept on the ladder to GEDA.
        n_nodes: GEDA's N.
        node_counts: Values of N tried at the smallest percentage.
        start_share: Labelled share that `budgeted` starts from.
        panel_models: Networks of the `budgeted` comparison.
        panel_budgets: Shares of the remaining pool that it adds.
        weights: Values of lambda tried, with both readings of the kernel term.
        keep: IDS's alpha.
        switch: Share of training after which IDS turns from EASY to HARD.
        etas: Epochs for which ADONIS reuses a loss.
        thetas: Acceptance thresholds tried.
        alphas: Shares of accepted candidates tried.
    """

    dataset: str = "digits"
    models: tuple[str, ...] = ("resnet8-w8", "resnet14-w8", "resnet20-w8")
    proxy: str = "resnet8-w8"
    target: str = "resnet14-w8"
    recipe: str = "digits"
    epochs: int = 8
    n_seeds: int = 3
    first_seed: int = 0
    budgets: tuple[float, ...] = (0.1, 0.25, 0.5)
    n_initial: int = 100
    percentages: tuple[float, ...] = (0.2, 0.4, 0.6, 0.8)
    n_nodes: int = 5
    node_counts: tuple[int, ...] = (3, 5, 10, 20, 50)
    start_share: float = 0.1
    panel_models: tuple[str, ...] = ("resnet8-w8", "resnet14-w8", "resnet20-w8")
    panel_budgets: tuple[float, ...] = (0.1, 0.2, 0.4)
    weights: tuple[float, ...] = (0.0, 0.1, 0.3, 1.0, 3.0)
    keep: float = 0.8
    switch: float = 0.9
    etas: tuple[int, ...] = (1, 2, 3)
    thetas: tuple[float, ...] = (0.05, 0.1, 0.12, 0.3, 0.7)
    alphas: tuple[float, ...] = (0.1, 0.3, 1.0)

    def __post_init__(self) -> None:
        """Give lists and whole numbers the types that specs are hashed with."""
        for field in fields(self):
            value, plain = getattr(self, field.name), field.default
            if isinstance(plain, tuple):
                value = tuple(type(plain[0])(v) for v in value)
            elif isinstance(plain, float):
                value = float(value)
            object.__setattr__(self, field.name, value)

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


def recorded(epochs: int) -> tuple[int, ...]:
    """Return the epochs at which all rows are scored: 0, 1, 2, 4, ... and the last."""
    doubling = [2**i for i in range(20) if 2**i < epochs]
    return (0, *doubling, epochs)


def depth_run(scale: Scale, model: str, seed: int) -> Train:
    """Return training of one network on everything, with its trace."""
    return Train(
        scale.data_name, model, scale.recipe, scale.epochs, seed, record_at=recorded(scale.epochs)
    )


def depth_runs(scale: Scale) -> list[Train]:
    """Return full training of every model with every seed (`svp` figures 3, 4, 5)."""
    return [depth_run(scale, model, seed) for seed in scale.seeds for model in scale.models]


def choice(
    scale: Scale,
    method: str,
    budget: float,
    seed: int,
    by: str = "",
    options: tuple[specs.Option, ...] = (),
) -> Select:
    """Return a selection by a method from the run of model `by` (the proxy by default)."""
    of = (depth_run(scale, by or scale.proxy, seed),) if METHODS[method].needs else ()
    options = METHOD_OPTIONS.get(method, ()) + options
    return Select(scale.data_name, method, budget, seed, of, options=options)


def subset_run(scale: Scale, model: str, chosen: Select) -> Train:
    """Return training of a network on a selection, with the selection's seed."""
    return Train(scale.data_name, model, scale.recipe, scale.epochs, chosen.seed, subset=chosen)


def compared_methods() -> list[str]:
    """Return the keys of the methods in the comparison."""
    return [key for key, method in METHODS.items() if method.compare]


def core_set_runs(scale: Scale) -> list[Train]:
    """Return the target on what each method selects from the proxy (`svp` Table 2)."""
    return [
        subset_run(scale, scale.target, choice(scale, method, budget, seed))
        for seed in scale.seeds
        for method in compared_methods()
        for budget in scale.budgets
    ]


def oracle_runs(scale: Scale) -> list[Train]:
    """Return the target on what it selects itself: entropy, forgetting, k-centers."""
    return [
        subset_run(scale, scale.target, choice(scale, method, budget, seed, scale.target))
        for seed in scale.seeds
        for method in ("entropy", "forgetting", "k-centers")
        for budget in scale.budgets
    ]


def extra_runs(scale: Scale) -> list[Train]:
    """Return single cells that claims ask for (`svp` 4, slides, `budgeted` Table II)."""
    smallest = min(scale.budgets)
    chosen = [
        cell
        for seed in scale.seeds
        for cell in (
            choice(scale, "forgetting", 0.5, seed),
            choice(scale, "forgetting", 0.7, seed),
            choice(scale, "iqp", 0.25, seed),
            choice(scale, "iqp", 0.4, seed),
            choice(scale, "iqp", 0.5, seed),
            choice(scale, "entropy", smallest, seed, options=(("correct_only", True),)),
            choice(scale, "entropy", smallest, seed),
        )
    ]
    return [subset_run(scale, scale.target, cell) for cell in chosen]


def centre_orders(scale: Scale, same_start: bool) -> list[Select]:
    """Return k-centers rankings of all rows by every depth run (`svp` figures 3c and 10)."""
    start = (("n_initial", scale.n_initial),)
    return [
        Select(
            run.dataset,
            "k-centers",
            1.0,
            scale.first_seed if same_start else 1000 + 10 * i,
            (run,),
            options=start,
        )
        for i, run in enumerate(depth_runs(scale))
    ]


def start_run(scale: Scale, model: str, seed: int) -> Train:
    """Return M0 of `budgeted` Algorithm 1: trained on the labelled start set."""
    start = Select(scale.data_name, "random-per-class", scale.start_share, seed)
    return Train(
        scale.data_name,
        model,
        scale.recipe,
        scale.epochs,
        seed,
        subset=start,
        record_at=(0, scale.epochs),
        keep_weights=True,
    )


def budgeted_run(
    scale: Scale,
    model: str,
    method: str,
    budget: float,
    seed: int,
    options: tuple[specs.Option, ...] = (),
) -> Train:
    """Return M0 tuned further on the start set and `budget` of the pool (Algorithm 1)."""
    first = start_run(scale, model, seed)
    of = (first,) if METHODS[method].needs else ()
    options = METHOD_OPTIONS.get(method, ()) + options
    chosen = Select(scale.data_name, method, budget, seed, of, first.subset, options)
    return Train(
        scale.data_name, model, scale.recipe, scale.epochs, seed, subset=chosen, init=first
    )


def budgeted_runs(scale: Scale) -> list[Train]:
    """Return Proposed and Random for every panel and budget (`budgeted` figure 1)."""
    return [
        budgeted_run(scale, model, method, budget, seed)
        for seed in scale.seeds
        for model in scale.panel_models
        for budget in scale.panel_budgets
        for method in ("random", "iqp")
    ]


def weight_run(scale: Scale, weight: float, reading: str, seed: int) -> Train:
    """Return one run of the sweep over lambda with a reading of the kernel term."""
    options = (("weight", weight), ("diversity", reading))
    middle = sorted(scale.panel_budgets)[len(scale.panel_budgets) // 2]
    return budgeted_run(scale, scale.proxy, "iqp", middle, seed, options)


def weight_runs(scale: Scale) -> list[Train]:
    """Return the sweep over lambda, kernel as printed and as distance (`budgeted` IV-B)."""
    return [
        weight_run(scale, weight, reading, seed)
        for seed in scale.seeds
        for reading in ("kernel", "distance")
        for weight in scale.weights
    ]


def ladder() -> list[str]:
    """Return the rungs to GEDA, first to last (`geda` chapter 5)."""
    order = ("random", "random-per-class", "random-per-quartile", "evenly-spaced", "geda-random")
    return [key for key in order if METHODS[key].ladder]


def ladder_run(scale: Scale, rung: str, percentage: float, seed: int) -> Train:
    """Return the proxy network on one rung's choice, by its own norms at epoch 0."""
    options = (("n_nodes", scale.n_nodes),) if rung == "geda-random" else ()
    chosen = choice(scale, rung, percentage, seed, options=options)
    return subset_run(scale, scale.proxy, chosen)


def ladder_runs(scale: Scale) -> list[Train]:
    """Return the ladder to GEDA at every percentage (`geda` figures 5.2 to 5.5)."""
    return [
        ladder_run(scale, rung, percentage, seed)
        for seed in scale.seeds
        for rung in ladder()
        for percentage in scale.percentages
    ]


def node_run(scale: Scale, n_nodes: int, seed: int) -> Train:
    """Return GEDA with N nodes at the smallest percentage (`geda` 5.1.3)."""
    options = (("n_nodes", n_nodes),)
    chosen = choice(scale, "geda-random", min(scale.percentages), seed, options=options)
    return subset_run(scale, scale.proxy, chosen)


def node_runs(scale: Scale) -> list[Train]:
    """Return the sweep over GEDA's N."""
    return [node_run(scale, n, seed) for seed in scale.seeds for n in scale.node_counts]


def online_run(scale: Scale, name: str, seed: int, **options: object) -> Train:
    """Return the proxy network trained through a sampler (`adonis`).

    Args:
        scale: The study's parameters.
        name: `full`, a subset method (`random`, `random-per-class` at IDS's share), or a
            sampler: `ids`, `adonis`, `ids+adonis`, `selective-backprop`.
        seed: Of the run.
        **options: The sampler's own.
    """
    full = depth_run(scale, scale.proxy, seed)
    if name == "full":
        return full
    if name in METHODS and not name.startswith("ids"):
        return subset_run(scale, scale.proxy, choice(scale, name, scale.keep, seed))
    of: tuple[Train, ...] = ()
    if name.startswith("ids"):
        of = (full,)
        options = {"keep": scale.keep, "switch": scale.switch} | options
    sampler = Sampler(name, of, tuple(sorted(options.items())))
    return Train(scale.data_name, scale.proxy, scale.recipe, scale.epochs, seed, sampler=sampler)


def online_settings(scale: Scale) -> dict[str, Callable[[int], Train]]:
    """Return label -> seed -> run for the comparison of `adonis` Table A1."""

    def run(name: str, **options: object) -> Callable[[int], Train]:
        return lambda seed: online_run(scale, name, seed, **options)

    found = {"Full": run("full"), "IDS": run("ids")}
    found |= {f"ADONIS, eta {eta}": run("adonis", eta=eta) for eta in scale.etas}
    last = max(scale.etas)
    found |= {f"IDS + ADONIS, eta {eta}": run("ids+adonis", eta=eta) for eta in {1, last}}
    found |= {"Selective Backprop": run("selective-backprop", eta=1)}
    found |= {"Stale-SB": run("selective-backprop", eta=2)}
    found |= {"Random per class (RPC)": run("random-per-class"), "Random (RPD)": run("random")}
    return found


def online_runs(scale: Scale) -> list[Train]:
    """Return every setting of the comparison with every seed."""
    settings = online_settings(scale)
    return [setting(seed) for seed in scale.seeds for setting in settings.values()]


def sweep_runs(scale: Scale) -> list[Train]:
    """Return the sweeps over theta, alpha and, at sigma = 2, theta (`adonis` Appendix B)."""
    settings: list[dict[str, object]] = [{"theta": theta} for theta in scale.thetas]
    settings += [{"alpha": alpha} for alpha in scale.alphas]
    settings += [{"sigma": 2.0, "theta": theta} for theta in scale.thetas if theta in (0.1, 0.12)]
    return [
        online_run(scale, "adonis", seed, eta=1, **options)
        for seed in scale.seeds
        for options in settings
    ]


def solver_measures(scale: Scale) -> list[Measure]:
    """Return the measurements of notebook 03: solvers and exact checks of `budgeted`."""
    names = (
        "lp-time",
        "budgeted-time",
        "kernel-exponent",
        "linearisation",
        "rounding-gap",
        "power-monotone",
        "power-start",
    )
    return [Measure(name) for name in names]


def geda_measures(scale: Scale) -> list[Measure]:
    """Return the measurements of notebook 04: the MILP and the trapezoid rule's ends."""
    return [Measure("geda-milp"), Measure("geda-end-term")]


def centre_measures(scale: Scale) -> list[Measure]:
    """Return the measurement of notebook 02: what greedy k-centers costs."""
    return [Measure("kcenters-time")]


ALL: dict[str, Callable[[Scale], list[Spec]]] = {
    "01": lambda s: [*depth_runs(s), *extra_runs(s)],
    "02": lambda s: [
        *depth_runs(s),
        *centre_orders(s, False),
        *centre_orders(s, True),
        *centre_measures(s),
    ],
    "03": lambda s: [*solver_measures(s), *budgeted_runs(s), *weight_runs(s)],
    "04": lambda s: [*geda_measures(s), *ladder_runs(s), *node_runs(s)],
    "05": lambda s: [*online_runs(s), *sweep_runs(s)],
    "06": lambda s: [*core_set_runs(s), *oracle_runs(s), *extra_runs(s)],
}


def frame(wanted: Sequence[Train], found: Sequence[Result], question: str = "") -> pd.DataFrame:
    """Lay training results out as a tidy table, one run a row.

    Args:
        wanted: Specs, as asked for.
        found: Their results, in the same order.
        question: Text for the column of that name.

    Returns:
        Columns question, method, label, budget (share asked), kept (rows trained on), seed,
        model, selector, epochs, test_error (percent), seconds (training), select_seconds
        (proxy and selection), forward, backward (examples), alone.
    """
    return pd.DataFrame([_row(s, r, question) for s, r in zip(wanted, found, strict=True)])


def _row(spec: Train, result: Result, question: str) -> dict[str, object]:
    from helpers import results

    method, label, selector, select_s = "full", "Full set", "", 0.0
    if spec.subset is not None:
        method, label = spec.subset.method, METHODS[spec.subset.method].label
        selector = spec.subset.of[0].model if spec.subset.of else ""
        chosen = results.load(spec.subset)
        if chosen is not None:
            select_s = chosen.metrics["seconds"] + chosen.metrics["proxy_seconds"]
    if spec.sampler is not None:
        method, label = spec.sampler.name, spec.sampler.name.upper()
    history = result.metrics["history"]
    return {
        "question": question,
        "method": method,
        "label": label,
        "budget": spec.subset.budget if spec.subset else 1.0,
        "kept": result.metrics["n_train"],
        "seed": spec.seed,
        "model": spec.model,
        "selector": selector,
        "epochs": spec.epochs,
        "test_error": 100 * (1 - result.metrics["test_acc"]),
        "seconds": result.metrics["seconds"],
        "select_seconds": select_s,
        "forward": history["forward"][-1],
        "backward": history["backward"][-1],
        "alone": result.metrics["alone"],
    }
