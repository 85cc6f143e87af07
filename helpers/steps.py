"""How a spec becomes a result: the bridge from descriptions to training and selection."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import platform
import time
from collections.abc import Callable

import numpy as np

from helpers import StudyError, data, projections, recipes, specs, trace_scores, unfinished
from helpers.selection import registry
from helpers.store import Result, Store
from helpers.trace_scores import forgetting_of, softmax, traced

Get = Callable[[specs.Spec], Result]
Outcome = tuple[dict, dict[str, np.ndarray]]


def run(spec: specs.Spec, get: Get, device: str = "auto") -> Outcome:
    """Compute a spec; `get` returns the complete results it needs.

    Returns:
        Metrics (plain values) and arrays for the store.
    """
    start, cpu = time.perf_counter(), time.process_time()
    step = {specs.Train: train, specs.Select: select, specs.Measure: measure}[type(spec)]
    metrics, arrays = step(spec, get, device)
    metrics["wall_s"] = time.perf_counter() - start
    metrics["cpu_s"] = time.process_time() - cpu
    metrics["versions"] = versions()
    return metrics, arrays


def versions() -> dict[str, str]:
    """Return the versions a result depends on."""
    found = {"python": platform.python_version()}
    for name in ("torch", "numpy"):
        found[name] = importlib.metadata.version(name)
    return found


def measure(spec: specs.Measure, get: Get, device: str) -> Outcome:
    """Run a measurement that trains nothing."""
    from helpers.measurements import MEASUREMENTS

    if spec.name not in MEASUREMENTS:
        raise StudyError(f"unknown measurement {spec.name!r}; there are {', '.join(MEASUREMENTS)}")
    metrics, arrays = MEASUREMENTS[spec.name](spec.seed, **dict(spec.options))
    return metrics, arrays


def checked(result: Result, dataset: data.Dataset) -> Result:
    """Return a result if it was measured on these very data.

    Raises:
        StudyError: If the data changed under the same name.
    """
    stored = result.metrics.get("data_fingerprint", dataset.fingerprint)
    if stored != dataset.fingerprint:
        raise StudyError(
            f"{specs.describe(result.spec)} was measured on other data named {dataset.name}: "
            "run with --fresh, or give the data set another name"
        )
    return result


def pool_of(runs: list[Result], labels: np.ndarray, rows: np.ndarray) -> registry.Pool:
    """Build what selection methods see from the traces of finished runs.

    Args:
        runs: Results of `Train` specs with a trace; several stand for an ensemble: their
            probabilities, features of the first, and mean of forgetting and norms.
        labels: Of all training rows (n,).
        rows: The pool's row numbers.
    """
    if not runs:
        return registry.Pool(labels=labels[rows])
    n = len(labels)
    features = [traced(r, "features", "record_at epochs") for r in runs]
    logits = [r.arrays["logits"].astype(np.float64) for r in runs]
    probs = np.mean([softmax(values) for values in logits], axis=0)
    forgetting = np.mean([forgetting_of(r, n) for r in runs], axis=0)
    norms = np.mean([first_norms(r) for r in runs], axis=0)
    return registry.Pool(
        labels=labels[rows],
        probs=probs[rows],
        features=features[0][rows].astype(np.float32),
        forgetting=forgetting[rows],
        norms=norms[rows],
        correct=(probs.argmax(axis=1) == labels)[rows],
    )


def first_norms(run: Result) -> np.ndarray:
    """Return last-layer gradient norms (n,) at the first recorded epoch (0 in our specs)."""
    return run.arrays["grad_norm"][0].astype(np.float64)


def n_wanted(spec: specs.Select, n: int, n_pool: int) -> int:
    """Return how many rows of the pool a choice adds.

    Args:
        spec: The choice. Its option `labelled` is the share of all rows that it and what stands
            before it make up, so that many rounds do not add up what each of them rounds off.
        n: Training rows.
        n_pool: Rows of the pool.
    """
    labelled = dict(spec.options).get("labelled")
    if labelled is not None:
        return max(1, round(labelled * n) - (n - n_pool))
    return spec.budget if isinstance(spec.budget, int) else max(1, round(spec.budget * n_pool))


def ranked_pool(
    spec: specs.Select, runs: list[Result], labels: np.ndarray, rows: np.ndarray, first: np.ndarray
) -> tuple[str, registry.Pool, dict[str, object]]:
    """Build the pool that a choice is made from and take out the options that shape it.

    Args:
        spec: The choice. `after` = e reads its runs as they stood after e epochs; `combine` =
            "rank" takes the mean rank over its runs; `centres` = "start" gives k-centers the
            rows of `spec.start` as centres that are there already.
        runs: The results of `spec.of`.
        labels: Of all training rows (n,).
        rows: The pool's row numbers (m,).
        first: Row numbers of `spec.start`.

    Returns:
        Key of the method that picks, its pool, and its remaining options.

    Raises:
        StudyError: If an option does not fit the method, or the trace lacks the epoch.
    """
    options = {name: value for name, value in spec.options if name != "labelled"}
    shaping = {name: options.pop(name) for name in ("after", "combine") if name in options}
    if shaping:
        if options:
            raise StudyError(f"after and combine go with no other option, got {', '.join(options)}")
        values = trace_scores.combined(spec.method, runs, len(labels), rows, **shaping)
        return "top", registry.Pool(labels=labels[rows], scores=values), {}
    pool = pool_of(runs, labels, rows)
    if "centres" in options:
        if options.pop("centres") != "start" or spec.method != "k-centers" or spec.start is None:
            raise StudyError("centres must be start, for k-centers with a choice to start from")
        there = traced(runs[0], "features", "record_at epochs")[first].astype(np.float32)
        pool = dataclasses.replace(pool, centres=there)
    return spec.method, pool, options


def select(spec: specs.Select, get: Get, device: str) -> Outcome:
    """Choose training rows; the clock covers the method alone, scores being stored already."""
    dataset = data.load(spec.dataset)
    rows = np.arange(dataset.n)
    first = np.empty(0, np.int64)
    if spec.start is not None:
        first = checked(get(spec.start), dataset).arrays["indices"].astype(np.int64)
        rows = np.setdiff1d(rows, first)
    runs = [checked(get(r), dataset) for r in spec.of]
    method, pool, options = ranked_pool(spec, runs, dataset.train_labels, rows, first)
    k = n_wanted(spec, dataset.n, len(rows))
    start = time.perf_counter()
    chosen, weights = registry.weighted(method, pool, k, spec.seed, **options)
    seconds = time.perf_counter() - start
    indices = np.concatenate([first, rows[chosen]])
    metrics = {
        "seconds": seconds,
        "n_pool": len(rows),
        "n_selected": len(chosen),
        "per_class": np.bincount(
            dataset.train_labels[indices], minlength=dataset.n_classes
        ).tolist(),
        "data_fingerprint": dataset.fingerprint,
    }
    arrays = {"indices": indices.astype(np.int32)}
    if weights is not None:  # rows of the start set count as an average row of the choice
        arrays["example_weights"] = np.concatenate([np.ones(len(first)), weights / weights.mean()])
    return metrics, arrays


def train(spec: specs.Train, get: Get, device: str) -> Outcome:
    """Train as the spec says and pack the run for the store."""
    from helpers import models, training

    dataset = data.load(spec.dataset)
    rows, example_weights = np.arange(dataset.n), None
    if spec.subset is not None:
        chosen = checked(get(spec.subset), dataset).arrays
        rows = chosen["indices"].astype(np.int64)
        example_weights = chosen.get("example_weights")
        if example_weights is not None:  # a step on what weighs 0 would count, yet teach nothing
            rows, example_weights = rows[example_weights > 0], example_weights[example_weights > 0]
    weights = None
    if spec.init is not None:
        weights = traced(checked(get(spec.init), dataset), "weights", "keep_weights=True")
    result = training.fit(
        dataset,
        spec.model,
        recipes.get(spec.recipe, spec.epochs, spec.model),
        sampler(spec, dataset, rows, get, example_weights),
        spec.seed,
        device,
        record_at=spec.record_at,
        weights=weights,
        checkpoint=unfinished.place(Store().path, specs.key(spec)),
    )
    if "resumed" in result.metrics and unfinished.was_crowded(Store().path, specs.key(spec)):
        result.metrics["alone"] = False
    arrays = dict(result.trace)
    if spec.record_at:
        arrays["labels"] = dataset.train_labels.astype(np.int16)
        # what pictures of the embedding need once a published pack has dropped the features
        arrays |= projections.summary(arrays["features"], dataset.train_labels)
    if spec.keep_weights:
        arrays["weights"] = models.flat_state(result.model)
    facts = {
        "history": result.history,
        "data_name": dataset.name,
        "data_fingerprint": dataset.fingerprint,
    }
    return result.metrics | facts, arrays


def sampler(
    spec: specs.Train,
    dataset: data.Dataset,
    rows: np.ndarray,
    get: Get,
    weights: np.ndarray | None = None,
) -> object:
    """Build the sampler a spec names over its rows; weights (k,) go without an online one."""
    from helpers import samplers

    if spec.sampler is None:
        return samplers.Fixed(rows, weights)
    if weights is not None:
        raise StudyError(f"the sampler {spec.sampler.name} cannot train on a weighted selection")

    def features() -> np.ndarray:
        if spec.subset is not None or not spec.sampler.of:
            raise StudyError(f"{spec.sampler.name} chooses its own rows and needs a run to read")
        source = checked(get(spec.sampler.of[0]), dataset)
        return traced(source, "features", "record_at epochs").astype(np.float32)

    run = samplers.Setting(rows, dataset.train_labels, spec.epochs, spec.seed, features)
    return samplers.build(spec.sampler.name, run, **dict(spec.sampler.options))
