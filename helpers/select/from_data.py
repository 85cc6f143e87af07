"""``python -m helpers select --data``: train a proxy on the user's own images, then pick."""

from __future__ import annotations

import argparse
import dataclasses
import os
import re
import sys
import time
import unicodedata
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from helpers import StudyError, config, data, specs
from helpers.select import common, method_options, outputs, proxies, report
from helpers.select.answer import Answer
from helpers.select.places import Places, absolute, places_of
from helpers.selection import registry
from helpers.store import Result


def run(args: argparse.Namespace, method: registry.Method, options: dict[str, Any]) -> int:
    """Train what the method needs, pick, and write rows, places, record and page.

    Args:
        args: What the command's parser returned, with `data` set.
        method: The method.
        options: Its options.

    Returns:
        Exit code: 0, or 130 after Ctrl-C.

    Raises:
        ValueError: One clear line for whatever the user can put right. Finished runs are stored,
            so that the same command goes on from there.
    """
    try:
        return _run(args, method, options)
    except KeyboardInterrupt:
        told = "what was trained is stored, the same command goes on from there"
        print(f"\ninterrupted; nothing was written, {told}", file=sys.stderr)
        return 130


def _run(args: argparse.Namespace, method: registry.Method, options: dict[str, Any]) -> int:
    """Load, plan, run, write."""
    start = time.perf_counter()
    n_proxies = args.proxies or 1
    method_options.check_data(method, options, n_proxies)
    name = common.flagged("data", lambda: data.resolve(absolute(args.data)))
    dataset = common.flagged("data", _loaded, name)
    places = common.flagged("data", places_of, name)
    k = counted(args.k, args.keep, dataset.n)
    if not args.out:
        out = default_out(name, method.key, k, _told_apart(args))
        args.out = outputs.of_these_data(out, dataset.fingerprint)
    out = outputs.check_out(args.out, [], args.force, places.column)
    page = outputs.check_report(args.report, out, args.force)
    if not method_options.needs_proxy(method, options):
        n_proxies = 0
    plan = _plan(args, method, options, dataset, k, n_proxies)
    _announce(args, dataset, plan, places)
    with common.warnings_kept() as caught:
        answer = _answer(args, method, options, dataset, places, plan)
        told = caught()
    names = [path.name for path in outputs.planned(out, answer.weights is not None, places.column)]
    answer = dataclasses.replace(
        answer,
        warnings=(*told, *answer.remarks()),
        files=(*names, page.name),
        total_s=time.perf_counter() - start,
    )
    for line in answer.warnings:
        common.warn(line)
    written = outputs.write(
        out,
        answer.rows,
        answer.weights,
        answer.record(),
        places.of(answer.rows),
        outputs.Report(page, report.html(answer.facts())),
    )
    print(common.printable(f"{answer.closing()} -> {', '.join(map(str, written))}"))
    return 0


def _loaded(name: str) -> data.Dataset:
    """Load the data."""
    try:
        return data.load(name)
    except UnicodeEncodeError as error:  # the order of the rows hashes names
        shown = common.printable(error.object)
        raise StudyError(f"expected names of files in UTF-8, got {shown!r}") from None


def counted(k: int | None, keep: Fraction | None, n: int) -> int:
    """Return how many of n rows to keep.

    Raises:
        StudyError: If that is none, or more than there are.
    """
    if keep is not None and not round(keep * n):
        raise StudyError(f"--keep {float(keep):g} keeps none of {n} rows, --k 1 keeps one")
    return common.counted(k, keep, n)


def default_out(name: str, method: str, k: int, more: Sequence[str] = ()) -> str:
    """Return what the files are named where --out says nothing: the data, the method, k, `more`."""
    base = Path(name.partition(":")[2] or name).name
    base = base.removesuffix(".parquet").removesuffix(".csv")
    return "-".join([_readable(base) or "data", method, str(k), *map(_readable, more)])


def _readable(text: str) -> str:
    """Return a text without what a file's name should not hold; letters of any script stay.

    Some systems write an umlaut as two signs; one stands for both here.
    """
    return re.sub(r"[^\w-]+", "-", unicodedata.normalize("NFC", text)).strip("-")


def _told_apart(args: argparse.Namespace) -> list[str]:
    """Return what the user set of the proxies and the method, so that no run replaces another's."""
    given = [args.proxy, args.recipe, *args.option]
    counted = {"epochs": args.epochs, "proxies": args.proxies, "seed": args.seed or None}
    given += [f"{count}-{name}" for name, count in counted.items() if count is not None]
    return list(filter(None, given))


def _plan(
    args: argparse.Namespace,
    method: registry.Method,
    options: dict[str, Any],
    dataset: data.Dataset,
    k: int,
    n_proxies: int,
) -> proxies.Plan:
    """Describe the runs, with what the user left open chosen by the data."""
    recipe = args.recipe or proxies.recipe_for(dataset)
    plan = proxies.plan(
        dataset.name,
        args.proxy or proxies.model_for(dataset),
        recipe,
        args.epochs or proxies.epochs_for(dataset, recipe),
        n_proxies,
        method.key,
        k,
        args.seed,
        options,
    )
    for run in plan.proxies[:1]:
        config.check_model("--proxy", run.model)
        config.check_kind(dataset.name, "--proxy", run.model)
        config.check_kind(dataset.name, "--recipe", run.recipe)
    return plan


def _announce(
    args: argparse.Namespace, dataset: data.Dataset, plan: proxies.Plan, places: Places
) -> None:
    """Say what there is and what will be trained, before it takes its time."""
    print(f"data: {common.printable(repr(dataset))}")
    if places.held_out:
        told = f"{len(dataset.test_labels):,} rows, a fifth of each class, only test the proxy"
        print(f"split: {told}; the choice is among the other {dataset.n:,}")
    if plan.proxies:
        first, n = plan.proxies[0], len(plan.proxies)
        count = f"{n} x " if n > 1 else ""
        told = f"{count}{first.model}, recipe {first.recipe}, {first.epochs} epochs"
        left = [name for name in ("proxy", "recipe", "epochs") if getattr(args, name) is None]
        open_ = ", ".join(f"--{name}" for name in left)
        size = f"{dataset.n:,} rows of {dataset.image_size} {_unit(dataset)}"
        print(f"proxy: {told}" + (f" ({open_} chosen for {size})" if left else ""))
    else:
        print("proxy: none, the method looks at labels at most")
    if plan.choice.budget < dataset.n_classes:
        n, c = plan.choice.budget, dataset.n_classes
        common.warn(f"{n} rows are fewer than the {c} classes: some will vanish")
    sys.stdout.flush()


def _unit(dataset: data.Dataset) -> str:
    return "bytes" if dataset.is_text else "pixels"


def _answer(
    args: argparse.Namespace,
    method: registry.Method,
    options: dict[str, Any],
    dataset: data.Dataset,
    places: Places,
    plan: proxies.Plan,
) -> Answer:
    """Train the proxies that are not stored, and let the method choose."""
    device = args.device or os.environ.get("STUDY_DEVICE") or "auto"
    runs = []
    for i, spec in enumerate(plan.proxies, 1):
        title = f"proxy {i} of {len(plan.proxies)}"
        result, was_there = proxies.run(spec, dataset, device, title)
        runs.append(result)
        state = "found in the store, trained" if was_there else "trained"
        print(f"{title}: {_told(result, state)}", flush=True)
    if runs:
        arrays = runs[0].arrays
        shapes = {"features": arrays["features"].shape, "probs": arrays["logits"].shape}
        largest = int(np.bincount(dataset.train_labels).max())
        common.check_machine(method.key, shapes, largest, args.force)
    try:
        choice, _ = proxies.run(plan.choice, dataset, device, f"choosing by {method.key}")
    except StudyError as error:
        raise StudyError(method_options.flagged_option(str(error), method)) from None
    return Answer(args, method, options, dataset, places, plan, tuple(runs), choice)


def _told(run: Result, state: str) -> str:
    """Say in a few words what a proxy came to."""
    what = specs.describe(run.spec).removeprefix("train ")
    seconds = report.seconds(run.metrics["seconds"])
    return f"{what}: {state} in {seconds}, {run.metrics['test_acc']:.1%} of the test rows right"
