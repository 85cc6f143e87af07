"""Made-up results of cells, for tests of what claims make of them."""

import numpy as np

from helpers.experiments import chosen, run
from helpers.results.store import Store, load
from helpers.specs import rounds

N = 300
SEEDS_DIFFER = 0.02  # points


def plant(config, cell, error, seconds=1.0, choosing=0.0, arrays=None, **more):
    """Store a training run a seed, and the steps of the choice behind it.

    Args:
        error: Test errors in points: a number, or one a seed.
        seconds: Of training, also of the runs that a choice reads and that are not stored yet.
        choosing: Seconds of each step of the choice.
        arrays: One mapping a seed.
        more: `curve` (errors after each epoch), `alone`, `device`, `classes`.
    """
    for i, seed in enumerate(config.seeds):
        one = float(np.broadcast_to(error, len(config.seeds))[i]) + SEEDS_DIFFER * (i % 3)
        _store(run(config, cell, seed), one, seconds, **more, arrays=arrays and arrays[i])
        if cell.method != "full" and cell.protocol in ("core-set", "active"):
            for step in rounds(chosen(config, cell, seed)):
                Store().write(step, {"seconds": choosing, "alone": more.get("alone", True)}, {})
                for read in step.of:
                    if load(read) is None:
                        _store(read, 50.0, seconds, **more)


def _store(spec, error, seconds, arrays=None, curve=None, alone=True, device="cpu", classes=10):
    errors = np.asarray(curve if curve is not None else [error] * spec.epochs, dtype=float)
    clock = seconds * np.arange(1, len(errors) + 1) / len(errors)
    tested = [None if np.isnan(one) else 1 - one / 100 for one in errors]
    history = {"test_acc": tested, "seconds": clock.tolist()}
    metrics = {"test_acc": 1 - error / 100, "seconds": seconds, "cpu_s": seconds}
    metrics |= {"alone": alone, "n": N}
    metrics |= {"device": device, "threads": 1, "history": history, "n_train": N}
    Store().write(spec, metrics, {"labels": np.arange(N) % classes, **(arrays or {})})
