"""What ``select --data`` found, and how it is told: to the terminal, the record and the page."""

from __future__ import annotations

import argparse
import shlex
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from helpers import compute, data, readings, scores
from helpers.select import common, memory, method_options, report
from helpers.select.places import Places
from helpers.select.proxies import Plan
from helpers.selection import registry
from helpers.store import Result

# What a method's own score is called; other methods have none for a single row.
NAMES = {
    "forgetting": "forgetting events of the proxy (equal ones by its error)",
    "least-confidence": "1 - confidence of the proxy",
    "margin": "1 - margin of the proxy",
    "entropy": "entropy of the proxy's classes (nats)",
    "el2n": "EL2N, the length of the proxy's error",
}
STANDARD_ERRORS = 2


@dataclass(frozen=True)
class Answer:
    """A finished selection.

    Attributes:
        args: The command's arguments.
        method: The method.
        options: Its options as given.
        dataset: The data.
        places: Where the training rows come from.
        plan: The runs that were asked for.
        runs: Results of the proxies.
        choice: Result of the choice.
        warnings: One line each.
        files: Names of the files written beside the record.
        total_s: Seconds of the whole command, loading included.
    """

    args: argparse.Namespace
    method: registry.Method
    options: dict[str, Any]
    dataset: data.Dataset
    places: Places
    plan: Plan
    runs: tuple[Result, ...]
    choice: Result
    warnings: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    total_s: float = 0.0

    @property
    def rows(self) -> np.ndarray:
        """Row numbers kept, shape (k,), the first to keep first."""
        return self.choice.arrays["indices"].astype(np.int64)

    @property
    def weights(self) -> np.ndarray | None:
        """Weights of the rows kept, shape (k,), mean 1; None where all weigh the same."""
        return self.choice.arrays.get("example_weights")

    @cached_property
    def pool(self) -> registry.Pool:
        """What the proxies know of all training rows."""
        labels = self.dataset.train_labels
        return compute.pool_of(list(self.runs), labels, np.arange(self.dataset.n))

    @property
    def proxy_s(self) -> float:
        """Seconds of training all proxies, as measured."""
        return float(sum(run.metrics["seconds"] for run in self.runs))

    def score(self) -> report.Score | None:
        """Return what the page orders examples by; equal ones by the proxy's error."""
        if not self.runs:
            return None
        error = scores.el2n(self.pool.probs, self.pool.labels)
        name, values = self._named(error)
        return report.Score(name, values, np.lexsort((-error, -values)))

    def _named(self, error: np.ndarray) -> tuple[str, np.ndarray]:
        """Return the method's own score and its name, or the error in its place."""
        key, n = self.method.key, self.dataset.n
        if len(self.runs) > 1:
            values = readings.combined(key, self.runs, n, np.arange(n), combine="rank")
            return f"the mean rank of {key} over {len(self.runs)} proxies, 1 to {n:,}", values
        if key in method_options.COMBINED:
            return f"the {NAMES[key]}", readings.score(key, self.runs[0], n)
        if self.method.needs == ("norms",):
            return "the gradient's norm in the untrained proxy", self.pool.norms
        if key in ("el2n", "ccs"):
            return NAMES["el2n"], error
        return f"{NAMES['el2n']}; {key} itself gives single rows no score", error

    def remarks(self) -> list[str]:
        """Return what the user should know, one line each."""
        told = report.fading(self.dataset, self.rows)
        k, n_classes = self.plan.choice.budget, len(np.unique(self.dataset.train_labels))
        told += common.more_than_asked(self.method.key, len(self.rows), k, n_classes)
        labels = self.dataset.test_labels
        usual = np.bincount(labels).max() / len(labels)
        spread = STANDARD_ERRORS * np.sqrt(usual * (1 - usual) / len(labels))
        for run in self.runs:
            right = run.metrics["test_acc"]
            if right <= usual + spread:
                told.append(
                    f"the proxy (seed {run.spec.seed}) is right on {right:.1%} of the test rows, "
                    f"not surely more than the {usual:.1%} of always naming the largest class: its "
                    "scores say little; more --epochs or another --proxy may help"
                )
        return told

    def command(self, **instead: object) -> str:
        """Return a command line that does the same, or the same with some flags changed."""
        flags: dict[str, object] = {"data": self.dataset.name, "method": self.method.key}
        flags |= {name: getattr(self.args, name) for name in ("k", "keep", "seed")}
        if self.runs:
            first = self.plan.proxies[0]
            flags |= {"proxy": first.model, "recipe": first.recipe, "epochs": first.epochs}
            flags["proxies"] = self.args.proxies
        flags |= {"out": self.args.out, "device": self.args.device, "report": self.args.report}
        flags |= instead
        words = ["python", "-m", "helpers", "select"]
        for name, value in flags.items():
            words += [] if value is None else [f"--{name}", str(value)]
        for pair in [] if "method" in instead else self.args.option:
            words += ["--option", pair]
        return shlex.join(words)

    def record(self) -> dict[str, Any]:
        """Return what goes into the JSON."""
        kept, sizes = report.per_class(self.dataset, self.rows)
        return {
            "method": self.method.key,
            "label": self.method.label,
            "options": method_options.defaults(self.method) | self.options,
            "seed": self.args.seed,
            "k": self.plan.choice.budget,
            "keep": None if self.args.keep is None else float(self.args.keep),
            "n": self.dataset.n,
            "n_selected": len(self.rows),
            "order": "training rows from 0 as helpers.data.load gives them, first to keep first",
            "weights": common.weights_note(self.weights),
            "warnings": list(self.warnings),
            "seconds": round(self.choice.metrics["seconds"], 4),
            "proxy_seconds": round(self.proxy_s, 4),
            "total_seconds": round(self.total_s, 4),
            "peak_memory_bytes": memory.peak(),
            "data": self._of_data(),
            "per_class": [
                {"class": name, "kept": int(left), "dropped": int(size - left)}
                for name, left, size in zip(self.dataset.class_names, kept, sizes, strict=True)
            ],
            "proxies": [self._of_proxy(run) for run in self.runs],
            "command": self.command(),
            "versions": common.versions("torch"),
        }

    def _of_data(self) -> dict[str, Any]:
        return {
            "name": self.dataset.name,
            "fingerprint": self.dataset.fingerprint,
            "n_test": len(self.dataset.test_labels),
            "test_rows_held_out": self.places.held_out,
            "shape": list(self.dataset.train_inputs.shape[1:]),
        }

    @staticmethod
    def _of_proxy(run: Result) -> dict[str, Any]:
        spec, measured = run.spec, run.metrics
        names = ("test_acc", "train_acc", "seconds", "device", "threads", "alone")
        return {
            "model": spec.model,
            "recipe": spec.recipe,
            "epochs": spec.epochs,
            "seed": spec.seed,
            "key": run.key,
            **{name: measured.get(name) for name in names},
        }

    def closing(self) -> str:
        """Return the line that ends the command."""
        told = f"{self.method.key}: {len(self.rows):,} of {self.dataset.n:,} rows"
        told += f", proxy {report.seconds(self.proxy_s)}" if self.runs else ""
        return f"{told}, choice {report.seconds(self.choice.metrics['seconds'])}"

    def facts(self) -> report.Facts:
        """Return what the page tells."""
        probs = self.pool.probs
        return report.Facts(
            dataset=self.dataset,
            method=self.method.label,
            selected=self.rows,
            settings=self._settings(),
            costs=self._costs(),
            warnings=self.warnings,
            commands={
                "This selection (the proxy is stored: it takes seconds):": self.command(),
                "As many at random, the opponent that has to be beaten first:": self.command(
                    method="random", proxy=None, recipe=None, epochs=None, proxies=None,
                    out=None, report=None, device=None,
                ),
            },
            files=self.files,
            score=self.score(),
            predicted=None if probs is None else probs.argmax(axis=1),
            places=self.places.values or None,
        )  # fmt: skip

    def _settings(self) -> dict[str, str]:
        """Return the lines of the page's head."""
        dataset, n_test = self.dataset, len(self.dataset.test_labels)
        held_out = ", a fifth of each class, set aside" if self.places.held_out else ""
        size = "x".join(map(str, dataset.train_inputs.shape[1:]))
        told = {
            "rows to choose from": f"{dataset.n:,} of {dataset.n_classes} classes",
            "rows to test the proxy": f"{n_test:,}{held_out}",
            "size of a row": f"{size} {'bytes' if dataset.is_text else 'pixels'}",
            "method": self.method.key + "".join(f", {pair}" for pair in self.args.option),
            "kept": f"{len(self.rows):,} rows, {len(self.rows) / dataset.n:.1%}",
            "seed": str(self.args.seed),
        }
        if self.weights is not None:
            idle = int((self.weights == 0).sum())
            told["weights"] = f"from {self.weights.min():.3g} to {self.weights.max():.3g}, mean 1"
            told["weights"] += f"; {idle} weigh nothing" if idle else ""
        for i, run in enumerate(self.runs, 1):
            name = "proxy" if len(self.runs) == 1 else f"proxy {i}"
            told[name] = f"{run.spec.model}, {run.spec.recipe}, {run.spec.epochs} epochs"
            told[name] += f", seed {run.spec.seed}"
            told[f"{name}, test rows right"] = f"{run.metrics['test_acc']:.1%}"
        return told

    def _costs(self) -> dict[str, str]:
        """Return what was measured, and what an epoch of any later training is spared."""
        told = {}
        if self.runs:
            measured = self.runs[0].metrics
            epochs = sum(run.spec.epochs for run in self.runs)
            told["training the proxy"] = report.seconds(self.proxy_s)
            told["an epoch of the proxy, all rows"] = report.seconds(self.proxy_s / epochs)
            threads = f", {measured['threads']} threads" if measured["device"] == "cpu" else ""
            told["measured on"] = f"{measured['device']}{threads}" + self._shared()
        told["choosing"] = report.seconds(self.choice.metrics["seconds"])
        told["this command, all in all"] = report.seconds(self.total_s)
        n, k = self.dataset.n, self._n_trained()
        told["examples an epoch of later training"] = f"{k:,} in place of {n:,}"
        told["steps saved there"] = f"{1 - k / n:.0%}: {n / k:.3g} times fewer"
        return told

    def _shared(self) -> str:
        alone = all(run.metrics.get("alone", True) for run in self.runs)
        return "" if alone else "; other work ran beside it, so the seconds are too many"

    def _n_trained(self) -> int:
        """Return how many rows a later training visits: those that weigh something."""
        return len(self.rows) if self.weights is None else int((self.weights > 0).sum())
