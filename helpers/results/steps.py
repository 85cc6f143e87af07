"""How a spec becomes a stored result: training, selecting, measuring."""

from __future__ import annotations

import dataclasses
import os
import platform
import time
from collections.abc import Callable
from importlib.metadata import version

import numpy as np

from helpers import StudyError, data, recipes, specs
from helpers.results import archive, readings, store
from helpers.results.readings import traced
from helpers.results.store import Result, Store
from helpers.selection import registry

Get = Callable[[specs.Spec], Result]
Outcome = tuple[dict, dict[str, np.ndarray]]

# A run of so many seconds that had less of a core than this did not have the machine alone.
SURE_S, OWN_SHARE = 3.0, 0.9


def machine_busy() -> bool:
    """Tell whether more work waits for this machine's cores than one study brings along."""
    try:
        return os.getloadavg()[0] > (os.cpu_count() or 1) + 0.5
    except OSError:
        return False


def execute(spec: specs.Spec, device: str = "auto", alone: bool = True) -> str:
    """Compute one spec whose needs are stored, store it, and return its key.

    Where another process computes it just now, its result is waited for. `alone` says whether
    this process has the machine to itself, as far as the caller knows.
    """
    key, where = specs.key(spec), Store()
    with where.lock(key):
        if store.load(spec, complete=True) is None:
            _execute(spec, key, where, device, alone and not machine_busy())
    return key


def _execute(spec: specs.Spec, key: str, where: Store, device: str, alone: bool) -> None:
    def get(need: specs.Spec) -> Result:
        found = store.load(need, complete=True, needed=True)
        if found is None:
            raise StudyError(f"{specs.describe(spec)} needs {specs.describe(need)} first")
        return found

    if isinstance(spec, specs.Train):
        where.begin(key, alone, archive.fresh_token())
    began, worked, threaded = time.perf_counter(), time.process_time(), time.thread_time()
    metrics, arrays = run(spec, get, device)
    wall, own = time.perf_counter() - began, time.thread_time() - threaded
    # Several threads decode images before the first epoch, while this one waits for them.
    own = max(own, (time.process_time() - worked) / metrics.get("threads", 1))
    # A measurement's work may be that of processes of its own, which are not counted here.
    here = metrics.get("device", "cpu") == "cpu" and not isinstance(spec, specs.Measure)
    # The load lags behind by a minute and does not see other guests of a machine: time tells.
    alone = alone and not machine_busy() and not (here and wall > SURE_S and own < OWN_SHARE * wall)
    metrics["alone"] = bool(metrics.get("alone", True) and alone)
    if (published := store.load(spec)) is not None:
        _keep_times(metrics, published.metrics)
    where.write(spec, metrics, arrays)
    where.forget(key)


def _keep_times(metrics: dict, published: dict) -> None:
    """Give a run whose traces are computed again its published times: others were timed beside."""
    names = ("seconds", "wall_s", "cpu_s", "alone")
    metrics |= {name: published[name] for name in names if name in published}
    if "history" in metrics and "history" in published:
        metrics["history"]["seconds"] = published["history"]["seconds"]


def run(spec: specs.Spec, get: Get, device: str = "auto") -> Outcome:
    """Return metrics (plain values) and arrays of a spec; `get` gives complete results."""
    start, cpu = time.perf_counter(), time.process_time()
    step = {specs.Train: run_train, specs.Select: run_select, specs.Measure: run_measure}
    metrics, arrays = step[type(spec)](spec, get, device)
    metrics["wall_s"] = time.perf_counter() - start
    metrics["cpu_s"] = time.process_time() - cpu
    metrics["versions"] = {"python": platform.python_version()}
    metrics["versions"] |= {name: version(name) for name in ("torch", "numpy")}
    return metrics, arrays


def run_measure(spec: specs.Measure, get: Get, device: str) -> Outcome:
    """Run a measurement that trains nothing."""
    from helpers.measurements import MEASUREMENTS

    if spec.name not in MEASUREMENTS:
        raise StudyError(f"unknown measurement {spec.name!r}; there are {', '.join(MEASUREMENTS)}")
    return MEASUREMENTS[spec.name](spec.seed, **dict(spec.options))


def checked(result: Result, dataset: data.Dataset) -> Result:
    """Return a result, refused if the data have changed under the same name since."""
    stored = result.metrics.get("data_fingerprint", dataset.fingerprint)
    if stored != dataset.fingerprint:
        raise StudyError(
            f"{specs.describe(result.spec)} was measured on other data named {dataset.name}: "
            "run with --fresh, or give the data set another name"
        )
    return result


def pool_of(runs: list[Result], labels: np.ndarray, rows: np.ndarray) -> registry.Pool:
    """Build what selection methods see of some rows from the traces of runs.

    Several runs stand for an ensemble: their mean probabilities, forgetting and norms, and the
    features of the first. `labels` (n,) are of all training rows. Where they are numbers, the pool
    has features, and of several runs as scores the variance of what they predict, in squares of
    the targets' unit.

    Source: `budgeted` section IV-F, where the variance stands in for the entropy.
    """
    if not runs:
        return registry.Pool(labels=labels[rows])
    n = len(labels)
    features = [traced(r, "features") for r in runs]
    if labels.dtype.kind == "f":
        told = [traced(r, "logits")[rows, 0].astype(np.float64) for r in runs]
        spread = labels.var() * np.var(told, axis=0) if len(runs) > 1 else None
        shown = features[0][rows].astype(np.float32)
        return registry.Pool(labels=None, features=shown, scores=spread)
    probs = np.mean([readings.probs_of(r) for r in runs], axis=0)
    forgetting = np.mean([readings.forgetting(r, n=n) for r in runs], axis=0)
    # last-layer gradient norms at the first recorded epoch, 0 in our specs
    norms = np.mean([r.arrays["grad_norm"][0].astype(np.float64) for r in runs], axis=0)
    return registry.Pool(
        labels=labels[rows],
        probs=probs[rows],
        features=features[0][rows].astype(np.float32),
        forgetting=forgetting[rows],
        norms=norms[rows],
        correct=(probs.argmax(axis=1) == labels)[rows],
    )


def n_wanted(spec: specs.Select, n: int, n_pool: int) -> int:
    """Return how many rows of the pool (of n training rows) a choice adds.

    Its option `labelled` is the share of all rows that it and what stands before it make up, so
    that many rounds do not add up what each of them rounds off.
    """
    labelled = dict(spec.options).get("labelled")
    if labelled is not None:
        return max(1, round(labelled * n) - (n - n_pool))
    return spec.budget if isinstance(spec.budget, int) else max(1, round(spec.budget * n_pool))


def ranked_pool(
    spec: specs.Select, runs: list[Result], labels: np.ndarray, rows: np.ndarray, first: np.ndarray
) -> tuple[str, registry.Pool, dict[str, object]]:
    """Return the method that picks, its pool of `rows` (m,), and the options left for it.

    `after` = e reads the runs as they stood after e epochs; `combine` = "rank" takes the mean
    rank over them; `centres` = "start" gives k-centers the rows `first` of `spec.start` as centres
    that are there already.
    """
    options = {name: value for name, value in spec.options if name != "labelled"}
    ways = registry.ways(spec.method, options)
    if labels.dtype.kind == "f" and not any(way <= {"features", "scores"} for way in ways):
        raise StudyError(f"{spec.method} reads classes, {spec.dataset} has numbers")
    shaping = {name: options.pop(name) for name in ("after", "combine") if name in options}
    if shaping:
        values = readings.combined(spec.method, runs, len(labels), rows, **shaping)
        return "top", registry.Pool(labels=labels[rows], scores=values), options
    pool = pool_of(runs, labels, rows)
    if options.pop("centres", None):
        there = traced(runs[0], "features")[first].astype(np.float32)
        pool = dataclasses.replace(pool, centres=there)
    return spec.method, pool, options


def run_select(spec: specs.Select, get: Get, device: str) -> Outcome:
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
    chosen, weights = registry.pick(method, pool, k, spec.seed, **options)
    seconds = time.perf_counter() - start
    indices = np.concatenate([first, rows[chosen]])
    metrics = {"seconds": seconds, "n_pool": len(rows), "n_selected": len(chosen)}
    metrics["data_fingerprint"] = dataset.fingerprint
    if dataset.class_names:
        counts = np.bincount(dataset.train_labels[indices], minlength=dataset.n_classes)
        metrics["per_class"] = counts.tolist()
    arrays = {"indices": indices.astype(np.int32)}
    if weights is not None:  # rows of the start set count as an average row of the choice
        arrays["example_weights"] = np.concatenate([np.ones(len(first)), weights / weights.mean()])
    return metrics, arrays


def run_train(spec: specs.Train, get: Get, device: str) -> Outcome:
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
    weights, source = _learnt(spec, get)
    where, key = Store(), specs.key(spec)
    result = training.fit(
        dataset,
        spec.model,
        recipes.get(spec.recipe, spec.epochs, spec.model),
        sampler(spec, dataset, rows, get, example_weights),
        spec.seed,
        device,
        record_at=spec.record_at,
        weights=weights,
        source=source,
        checkpoint=where.checkpoint(key),
    )
    if "resumed" in result.metrics and not where.was_alone(key):
        result.metrics["alone"] = False
    arrays = dict(result.trace)
    if spec.record_at:
        kind = np.int16 if dataset.class_names else np.float32
        arrays["labels"] = dataset.train_labels.astype(kind)
        # what pictures of the embedding need once a published pack has dropped the features
        arrays |= readings.summary(arrays["features"], dataset.train_labels)
    if spec.keep_weights:
        arrays["weights"] = models.flat_state(result.model)
    facts = {"data_name": dataset.name, "data_fingerprint": dataset.fingerprint}
    return result.metrics | facts | {"history": result.history}, arrays


def _learnt(spec: specs.Train, get: Get) -> tuple[np.ndarray | None, object]:
    """Return the weights that a run starts from, and their network where it learnt other data."""
    from helpers import models

    if spec.init is None:
        return None, None
    learnt = data.load(spec.init.dataset)
    weights = traced(checked(get(spec.init), learnt), "weights", "keep_weights=True")
    if spec.init.dataset == spec.dataset:
        return weights, None
    return weights, models.build(spec.init.model, learnt.n_outputs, learnt.in_channels)


def sampler(
    spec: specs.Train,
    dataset: data.Dataset,
    rows: np.ndarray,
    get: Get,
    weights: np.ndarray | None = None,
) -> object:
    """Build the sampler that a spec names over its rows, weighted (k,) without an online one."""
    from helpers import samplers

    if spec.sampler is None:
        return samplers.Fixed(rows, weights)
    if weights is not None:
        raise StudyError(f"the sampler {spec.sampler.name} cannot train on a weighted selection")

    def features() -> np.ndarray:
        if spec.subset is not None or not spec.sampler.of:
            raise StudyError(f"{spec.sampler.name} chooses its own rows and needs a run to read")
        source = checked(get(spec.sampler.of[0]), dataset)
        return traced(source, "features").astype(np.float32)

    run = samplers.Setting(rows, dataset.train_labels, spec.epochs, spec.seed, features)
    return samplers.build(spec.sampler.name, run, **dict(spec.sampler.options))
