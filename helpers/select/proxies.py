"""The proxies of ``select --data``: which network by default, and its runs in the store."""

from __future__ import annotations

import contextlib
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

from helpers import StudyError, data, progress, recipes, results, specs
from helpers.store import Part, Result, Store

# Examples that a proxy sees in all where --epochs says nothing, fewer where its recipe shows large
# images whole, within these bounds of epochs: forgetting needs several, and a small folder costs
# little.
EXAMPLES, LARGE_EXAMPLES = 200_000, 60_000
FEWEST, MOST = 10, 50
# Sides of images in pixels up to which a network is the usual one.
TINY, SMALL = 16, 64
# Side from which photographs are cropped and shrunk to 64 pixels: a tenth of the work.
LARGE = 100
# Rows from which a deeper or wider proxy has enough to learn from.
MANY, VERY_MANY = 5_000, 20_000
POLL_S = 1.0


@dataclass(frozen=True)
class Plan:
    """What is to be run: proxies, then the choice that reads them."""

    proxies: tuple[specs.Train, ...]
    choice: specs.Select


def model_for(dataset: data.Dataset) -> str:
    """Return the network that is small, yet learns something, for data of this kind and size."""
    if dataset.is_text:
        return "fasttext"
    if dataset.image_size <= TINY:
        return "resnet8"
    if dataset.image_size <= SMALL:
        return "resnet20" if dataset.n >= MANY else "resnet8"
    return f"resnet18-imagenet-w{32 if dataset.n >= VERY_MANY else 16}"


def recipe_for(dataset: data.Dataset) -> str:
    """Return the recipe: tiny or grey images (digits, letters) must not be mirrored or cropped."""
    if dataset.is_text:
        return "text" if dataset.n >= VERY_MANY else "text-small"
    is_plain = dataset.image_size <= TINY or dataset.in_channels == 1
    if is_plain:
        return "digits"
    return "imagenet-small" if dataset.image_size > LARGE else "small"


def epochs_for(dataset: data.Dataset, recipe: str) -> int:
    """Return how many epochs to train by a recipe.

    Raises:
        StudyError: If there is no such recipe.
    """
    side = recipes.get(recipe).crop or dataset.image_size
    is_large = not dataset.is_text and side > SMALL
    seen = LARGE_EXAMPLES if is_large else EXAMPLES
    return min(max(round(seen / dataset.n), FEWEST), MOST)


def plan(
    name: str,
    model: str,
    recipe: str,
    epochs: int,
    n_proxies: int,
    method: str,
    k: int,
    seed: int,
    options: dict[str, object],
) -> Plan:
    """Describe the runs.

    Args:
        name: Resolved name of the data.
        model: Of the proxies.
        recipe: Of the proxies.
        epochs: Of the proxies.
        n_proxies: How many, seeds from `seed` upwards; 0 where the method looks at none.
        method: Key of the method.
        k: Rows to keep.
        seed: Of the first proxy and of the method.
        options: Of the method.

    Raises:
        StudyError: If the recipe is unknown.
    """
    recipe = recipes.get(recipe, epochs, model).name  # some stand for another, by the network
    proxies = tuple(
        specs.Train(name, model, recipe, epochs, seed + i, record_at=(0, epochs))
        for i in range(n_proxies)
    )
    given = tuple(sorted(options.items()))
    if n_proxies > 1:
        given = (*given, ("combine", "rank"))
    return Plan(proxies, specs.Select(name, method, k, seed, proxies, options=given))


def stored(spec: specs.Spec, dataset: data.Dataset) -> Result | None:
    """Return a stored result of these very data; one of other data by that name is set aside.

    A folder keeps its name when images come and go, and what was learnt from it does not.
    """
    found = results.load(spec, complete=True)
    if found is None or found.metrics.get("data_fingerprint") == dataset.fingerprint:
        return found
    Store().set_aside(specs.key(spec))
    return None


def run(spec: specs.Spec, dataset: data.Dataset, device: str, title: str) -> tuple[Result, bool]:
    """Return a result, computed and stored if it is missing, and whether it was there.

    Args:
        spec: A run whose needs are stored.
        dataset: The data it names.
        device: Where to train.
        title: What the terminal shows meanwhile.

    Raises:
        StudyError: If it fails, in one line; what was stored before stays.
    """
    found = stored(spec, dataset)
    if found is not None:
        return found, True
    _check_store()
    with _shown(spec, title):
        try:
            results.execute(spec, device)
        except (StudyError, MemoryError):
            raise
        except Exception as error:  # whatever the libraries below raise
            text = (str(error).splitlines() or [""])[0]
            told = f"{specs.describe(spec)} failed: {type(error).__name__}: {text}"
            raise StudyError(told) from error
    found = results.load(spec, complete=True)
    if found is None:
        raise StudyError(f"the result of {specs.describe(spec)} vanished from {Store().path}")
    return found, False


def _check_store() -> None:
    """Raise before hours of training that could not be stored."""
    place = Store().path
    try:
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        raise StudyError(
            f"the store {place} cannot be written: {error.strerror}; see STUDY_STORE"
        ) from None


@contextlib.contextmanager
def _shown(spec: specs.Spec, title: str) -> Iterator[None]:
    """Show on the terminal how far a run is, for as long as the context lasts."""
    ended = threading.Event()
    with progress.Screen(sys.stderr) as screen:
        watch = threading.Thread(target=_follow, args=(screen, spec, title, ended), daemon=True)
        watch.start()
        try:
            yield
        finally:
            ended.set()
            watch.join()


def _follow(screen: progress.Screen, spec: specs.Spec, title: str, ended: threading.Event) -> None:
    """Redraw the line of a run until it has ended."""
    began, start = time.monotonic(), time.time()
    first = _part(spec)
    while not ended.wait(POLL_S):
        state = None
        if isinstance(spec, specs.Train):
            state = _state(spec, first, _part(spec), start)
        with contextlib.suppress(OSError, ValueError):  # a closed terminal stops no training
            screen.show(title, "at work", state, time.monotonic() - began)


def _part(spec: specs.Spec) -> Part | None:
    """Return what a run's latest checkpoint says."""
    key = specs.key(spec)
    return next((part for part in Store().parts() if part.key == key), None)


def _state(
    spec: specs.Train,
    first: Part | None,
    now: Part | None,
    start: float,
) -> dict[str, object]:
    """Return the state of a run as `progress.line` takes it.

    Args:
        spec: The run.
        first: The checkpoint that it started from.
        now: The newest one.
        start: When it started, seconds since 1970.
    """
    elapsed, left = time.time() - start, None
    done, before = (part.done if part else 0 for part in (now, first))
    if now is not None and done > before:
        each = (now.when - start) / (done - before)
        left = max(each * (spec.epochs - done) - (time.time() - now.when), 0.0)
    return {
        "what": "epochs",
        "done": done,
        "total": spec.epochs,
        "elapsed_s": elapsed,
        "left_s": left,
        "run": f"{spec.model}, seed {spec.seed}",
    }
