"""What networks that learnt ImageNet are worth: ages from faces, and seconds an image."""

from __future__ import annotations

import io
import os
import time
from functools import partial
from pathlib import Path

import numpy as np

from helpers import StudyError
from helpers.measurements.table import WEIGHT, Measured, measurement, seconds_table, share_of

NETWORKS = ("efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2")
FACES, SIDE = "utkface_age", 128  # folder in `$STUDY_DATA`; pixels a side
PENALTIES = np.logspace(-1, 5, 13)


@measurement("age-regression")
def age_regression(
    seed: int, repeats: int = 5, n_start: int = 500, share: float = 2 / 3
) -> Measured:
    """Measure what four choices are worth where ages are learnt from faces.

    The layers of three networks that learnt ImageNet stay as they are; a linear one is fitted to
    n_start labelled faces, and again to these and the share of the pool that was chosen. The
    utility is the variance of the three networks' ages. The first network is the one that counts.

    Returns:
        Metrics: n_start, n_pool, n_test, k. Arrays of (repeats,): `rmse_METHOD` in years, for
        random, dpp, submodular, iqp, variance (utility alone), start (nothing chosen) and all;
        `relative_METHOD`, per cent more than random's; `seconds_METHOD` of choosing.

    Raises:
        StudyError: If `$STUDY_DATA` holds no faces, or the networks' weights are not installed.

    Source: `budgeted` section IV-F and table III.

    Note: a linear layer with an L2 penalty has its optimum in closed form, which stands in for the
        steps of SGD towards it; the penalty is the best by generalised cross-validation.
    """
    from helpers.selection import dpp, iqp, submodular

    (images, ages), (tests, truth) = (_faces(split) for split in ("train", "test"))
    trained, tested = ([_features(name, of) for name in NETWORKS] for of in (images, tests))
    methods = {
        "random": lambda u, x, k, rng: rng.permutation(len(u))[:k],
        "dpp": lambda u, x, k, rng: dpp.select(x, k, rng),
        "submodular": lambda u, x, k, rng: submodular.coverage_diversity(x, k),
        "iqp": lambda u, x, k, rng: iqp.budgeted(u, x, k, WEIGHT, "median"),
        "variance": lambda u, x, k, rng: np.argsort(-u, kind="stable")[:k],
    }
    found: dict[str, list[float]] = {}
    for one in range(repeats):
        rng = np.random.default_rng(seed + one)
        order = rng.permutation(len(ages))
        start, pool = order[:n_start], order[n_start:]
        k, rows = share_of(len(pool), share), {}
        told = [_fitted(x[start], ages[start], x[pool]) for x in trained]
        for name, pick in methods.items():
            began = time.perf_counter()
            chosen = pick(np.var(told, axis=0), trained[0][pool], k, rng)
            found.setdefault(f"seconds_{name}", []).append(time.perf_counter() - began)
            rows[name] = np.append(start, pool[chosen])
        rows |= {"start": start, "all": order}
        errors = {}
        for name, some in rows.items():
            guessed = _fitted(trained[0][some], ages[some], tested[0])
            errors[name] = float(np.sqrt(np.mean((guessed - truth) ** 2)))
            found.setdefault(f"rmse_{name}", []).append(errors[name])
            more = 100 * (errors[name] / errors["random"] - 1)
            found.setdefault(f"relative_{name}", []).append(more)
    metrics = {"n_start": n_start, "n_pool": len(pool), "n_test": len(truth), "k": k}
    return metrics, {name: np.array(values) for name, values in found.items()}


@measurement("frozen-seconds", threads=1)
def frozen_seconds(seed: int, repeats: int = 5, n: int = 256) -> Measured:
    """Time the layers that stay as they are, on n made-up images of 32 x 32 pixels.

    Returns:
        Metrics: n. An array a network, by name: processor seconds an image, (repeats,).
    """
    rng = np.random.default_rng(seed)
    images = rng.integers(256, size=(n, 3, 32, 32), dtype=np.uint8)
    calls = {name: partial(_features, name) for name in NETWORKS}
    timed = seconds_table(
        {name: lambda m, call=call: call(images[:m]) for name, call in calls.items()},
        [n], repeats, clock=time.process_time,
    )  # fmt: skip
    return {"n": n}, {name: seconds[:, 0] / n for name, seconds in timed.items()}


def _faces(split: str) -> tuple[np.ndarray, np.ndarray]:
    """Return uint8 images (n, 3, SIDE, SIDE) and ages in years (n,)."""
    import pyarrow.parquet as parquet
    from PIL import Image

    path = Path(os.environ.get("STUDY_DATA") or "", FACES, f"{split}.parquet")
    if not path.is_file():
        raise StudyError(f"age-regression reads {FACES}/{split}.parquet in the folder STUDY_DATA")
    table = parquet.read_table(path)
    shown = [
        Image.open(io.BytesIO(one["bytes"])).convert("RGB").resize((SIDE, SIDE), Image.BILINEAR)
        for one in table["image"].to_pylist()
    ]
    return np.stack(shown).transpose(0, 3, 1, 2), table["label"].to_numpy().astype(float)


def _features(name: str, images: np.ndarray) -> np.ndarray:
    """Return what a network's frozen layers make of images, (n, d) float32."""
    import torch

    from helpers.models import build

    network = build(f"pretrained:{name}/0", 2, 3)
    return torch.cat(list(network.encoded(torch.from_numpy(images.copy())))).float().numpy()


def _fitted(x: np.ndarray, y: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Return what a linear layer fitted to x (m, d) and y (m,) says of other rows."""
    from sklearn.linear_model import RidgeCV

    mean, spread = x.mean(axis=0), x.std(axis=0) + 1e-6
    return RidgeCV(PENALTIES).fit((x - mean) / spread, y).predict((asked - mean) / spread)
