"""A choice from one's own images or texts: its proxies, and what notebook 07 shows of it."""

from __future__ import annotations

import html
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from helpers import StudyError, data, recipes, results, scores, specs
from helpers.data import names
from helpers.pictures import address
from helpers.profiles import ROOT
from helpers.results import readings, steps
from helpers.results.store import Result, Store
from helpers.select import files
from helpers.selection import registry
from helpers.specs import printable

NOTEBOOK = ROOT / "notebooks" / "07-your-own-data.ipynb"
# What a proxy's run leaves for the methods, by the command's flags.
OF_PROXY = {"labels", "probs", "features", "norms", "correct"}
# Methods that score single rows: several proxies' ranks are averaged.
RANKING = ("forgetting", *readings.OF_PROBS)
# Examples a proxy sees in all where no epochs are given; fewer where it sees large images whole.
EXAMPLES, LARGE_EXAMPLES = 200_000, 60_000
FEWEST, MOST = 10, 50  # epochs: forgetting needs several, and a small folder costs little
TINY, SMALL, LARGE = 16, 64, 100  # sides of images in pixels; above LARGE, a recipe crops them
MANY, VERY_MANY = 5_000, 20_000  # rows from which a deeper or wider proxy has enough to learn from
NEARLY = 0.2  # of what chance keeps of a class: fewer nearly vanish
THUMBNAIL, EXACT = 192, 48  # pixels: larger images shrink to a JPEG, smaller ones stay exact
LETTERS = 200


def model_for(dataset: data.Dataset) -> str:
    """Return the network that is small, yet learns something, for data of this kind and size."""
    if dataset.is_text:
        return "fasttext"
    if dataset.image_size <= SMALL:
        return "resnet20" if dataset.image_size > TINY and dataset.n >= MANY else "resnet8"
    return f"resnet18-imagenet-w{32 if dataset.n >= VERY_MANY else 16}"


def is_frozen(proxy: str) -> bool:
    """Tell whether a proxy has pretrained layers that stay as they are: `pretrained:NAME/0`."""
    return proxy.startswith("pretrained:") and "/" in proxy


def recipe_for(dataset: data.Dataset, proxy: str = "") -> str:
    """Return the recipe: tiny or grey images (digits, letters) must not be mirrored or cropped."""
    if is_frozen(proxy):
        return "budgeted"
    if dataset.is_text:
        return "text" if dataset.n >= VERY_MANY else "text-small"
    if dataset.image_size <= TINY or dataset.in_channels == 1:
        return "digits"
    return "imagenet-small" if dataset.image_size > LARGE else "small"


def epochs_for(dataset: data.Dataset, recipe: str) -> int:
    """Return how many epochs to train by a recipe."""
    side = recipes.get(recipe).crop or dataset.image_size
    seen = LARGE_EXAMPLES if side > SMALL and not dataset.is_text else EXAMPLES
    return min(max(round(seen / dataset.n), FEWEST), MOST)


def choice(
    dataset: data.Dataset,
    method: str,
    k: int,
    seed: int = 0,
    proxy: str | None = None,
    recipe: str | None = None,
    epochs: int | None = None,
    n_proxies: int = 1,
    options: Mapping[str, object] | None = None,
) -> specs.Select:
    """Describe a choice of k rows; its field `of` holds the proxies that it reads, if any.

    Proxy, recipe and epochs follow from the data where they are None; `seed` is of the method and
    the first proxy, further ones count on; the mean rank of several decides.

    Raises:
        StudyError: If the method needs what no proxy leaves, several proxies' rankings cannot be
            combined for it, or the recipe is unknown.
    """
    options = dict(options or {})
    ways = registry.ways(method, options)
    if not any(way <= OF_PROXY for way in ways):
        raise StudyError(f"--method {method} needs --scores, which no proxy gives for --data")
    if n_proxies > 1 and (method not in RANKING or options):
        raise StudyError(f"--proxies combines {', '.join(RANKING)} without --option, not {method}")
    proxy, recipe = proxy or model_for(dataset), recipe or recipe_for(dataset, proxy or "")
    frozen = is_frozen(proxy)
    epochs = epochs or (recipes.get(recipe).epochs if frozen else epochs_for(dataset, recipe))
    recipe = recipes.get(recipe, epochs, proxy).name  # some stand for another, by the network
    needs_none = any(way <= {"labels"} for way in ways)
    runs = tuple(
        specs.Train(dataset.name, proxy, recipe, epochs, seed + i, record_at=(0, epochs))
        for i in range(0 if needs_none else n_proxies)
    )
    options |= {"combine": "rank"} if n_proxies > 1 else {}
    return specs.Select(dataset.name, method, k, seed, runs, options=tuple(sorted(options.items())))


def results_of(
    chosen: specs.Select, dataset: data.Dataset, device: str | None = None
) -> tuple[Result, list[Result]]:
    """Return the results of a choice and of its proxies, computing what is missing.

    A folder keeps its name when images come and go: results of other data are set aside.
    """
    for spec in (*chosen.of, chosen):
        found = results.load(spec, complete=True)
        if found and found.metrics.get("data_fingerprint") != dataset.fingerprint:
            Store().set_aside(found.key)
    *runs, result = results.compute([*chosen.of, chosen], device=device)
    return result, runs


def sources(dataset: data.Dataset) -> tuple[str, list[str]]:
    """Say where the training rows of a data set come from; the path in its name is absolute.

    Returns:
        "file" with the path of every row inside the folder, "source_row" with its row number in a
        file that was split or has broken rows, or "" and nothing where row numbers say it already.

    Raises:
        StudyError: If the name of a file holds a line break, which no list of files can hold.
    """
    origin = dataset.origin
    if broken := [file for file in origin.files if {"\n", "\r"} & {*file}]:
        raise StudyError(f"expected names of files without line breaks, got {broken[0]!r}")
    if origin.files:
        return "file", list(origin.files)
    if origin.held_out or origin.broken:
        return "source_row", [str(row) for row in origin.rows]
    return "", []


def per_class(dataset: data.Dataset, rows: np.ndarray) -> pd.DataFrame:
    """Count what rows (k,) keep of every class, with mean and sd of k rows drawn at random.

    Source: mean and variance of the hypergeometric distribution.
    """
    sizes = np.bincount(dataset.train_labels, minlength=dataset.n_classes)
    kept = np.bincount(dataset.train_labels[rows], minlength=dataset.n_classes)
    share = sizes / dataset.n
    variance = len(rows) * share * (1 - share) * (dataset.n - len(rows)) / max(dataset.n - 1, 1)
    return pd.DataFrame({
        "class": [printable(name) for name in dataset.class_names],
        "kept": kept,
        "dropped": sizes - kept,
        "share kept": kept / sizes,
        "by chance": len(rows) * share,
        "sd": np.sqrt(variance),
    })  # fmt: skip


def cautions(dataset: data.Dataset, rows: np.ndarray, runs: Sequence[Result]) -> list[str]:
    """Return what to look at before the subset is trained on, one line each."""
    table = per_class(dataset, rows)
    gone, few = table["kept"] == 0, table["kept"] < NEARLY * table["by chance"]
    told = []
    for what, which in {"vanish": gone, "nearly vanish": few & ~gone}.items():
        some = table["class"][which].tolist()
        more = f" and {len(some) - 8} more" if len(some) > 8 else ""
        if some:
            told.append(f"classes that {what} from the subset: {', '.join(some[:8])}{more}")
    labels = dataset.test_labels
    usual = np.bincount(labels).max() / len(labels)
    for run in runs:
        right = run.metrics["test_acc"]
        if right <= usual + 2 * np.sqrt(usual * (1 - usual) / len(labels)):
            told.append(
                f"the proxy (seed {run.spec.seed}) is right on {right:.1%} of the test rows, not "
                f"surely more than the {usual:.1%} of always naming the largest class: its scores "
                "say little; more epochs or another proxy may help"
            )
    return told


def pool_of(runs: Sequence[Result], dataset: data.Dataset) -> registry.Pool:
    """Return what proxies know of all training rows."""
    return steps.pool_of(list(runs), dataset.train_labels, np.arange(dataset.n))


def difficulty(
    method: str, runs: Sequence[Result], dataset: data.Dataset
) -> tuple[str, np.ndarray, np.ndarray]:
    """Return what galleries are ordered by: its name, values (n,), and rows (n,) hardest first.

    The method's own score where it ranks by one, else EL2N, which also orders equal scores.
    """
    rows, pool = np.arange(dataset.n), pool_of(runs, dataset)
    error = scores.el2n(pool.probs, pool.labels)
    if method not in RANKING:
        return "EL2N, the length of the proxy's error", error, np.argsort(-error, kind="stable")
    combine = "rank" if len(runs) > 1 else None
    values = readings.combined(method, runs, dataset.n, rows, combine=combine)
    name = f"{method} ({'mean rank, ' if combine else ''}equal ones by EL2N)"
    return name, values, np.lexsort((-error, -values))


def described(run: Result) -> dict[str, object]:
    """Return what a record says of a proxy."""
    asked = {name: getattr(run.spec, name) for name in ("model", "recipe", "epochs", "seed")}
    names = ("test_acc", "train_acc", "seconds", "device", "threads", "alone", "versions")
    return {"key": run.key, **asked, **{name: run.metrics.get(name) for name in names}}


def gallery(
    dataset: data.Dataset,
    rows: Sequence[int],
    kept: np.ndarray,
    values: np.ndarray | None = None,
    predicted: np.ndarray | None = None,
    places: Sequence[str] = (),
) -> str:
    """Return HTML that shows examples, those among `kept` (k,) in blue; the user's texts escaped.

    `values` (n,) are scores, `predicted` (n,) the proxy's classes, `places` (n,) sources of rows.
    """
    items, chosen = [], set(np.asarray(kept).tolist())
    for row in map(int, rows):
        name = dataset.class_names[dataset.train_labels[row]]
        lines = [places[row] if places else f"row {row}", "kept" if row in chosen else "dropped"]
        if values is not None:
            never = np.isinf(values[row])
            lines[1] += ", never learned" if never else f", score {values[row]:.4g}"
        if predicted is not None:
            right = predicted[row] == dataset.train_labels[row]
            told = "right" if right else f"taken for {dataset.class_names[predicted[row]]}"
            lines.append(f"{told} by the proxy, which trained on it")
        told = "<br>".join(html.escape(printable(line)) for line in reversed(lines))
        told = f"<strong>{html.escape(printable(name))}</strong><br>{told}"
        shown = (_excerpt if dataset.is_text else _image)(dataset.train_inputs[row])
        colour, width = "#0072b2" if row in chosen else "#c4cad1", 300 if dataset.is_text else 110
        items.append(
            f'<div style="width:{width}px;border-top:4px solid {colour};padding-top:4px;'
            f'font-size:13px;line-height:1.35;overflow-wrap:anywhere">{shown}{told}</div>'
        )
    return f'<div style="display:flex;flex-wrap:wrap;gap:14px">{"".join(items)}</div>'


def _excerpt(row: np.ndarray) -> str:
    letters = row.tobytes().rstrip(b"\0").decode("utf-8", "replace")
    cut = letters[:LETTERS] + "…" * (len(letters) > LETTERS)
    return f'<div style="font-family:Georgia,serif">{html.escape(cut or "(empty)")}</div>'


def _image(pixels: np.ndarray) -> str:
    """Return an `img` of uint8 (C, H, W)."""
    from PIL import Image

    shown = Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0).squeeze()))
    small = max(shown.size) <= EXACT
    shown.thumbnail((THUMBNAIL, THUMBNAIL))
    source = address(shown, "png" if small else "jpeg")
    render = "pixelated" if small else "auto"
    style = f"display:block;width:96px;height:96px;object-fit:contain;image-rendering:{render}"
    return f'<img src="{source}" alt="" style="{style}">'


def absolute(name: str) -> str:
    """Return the name of a data set with a path that holds in any folder."""
    kind, _, path = name.partition(":")
    return f"{kind}:{os.path.abspath(os.path.expanduser(path))}" if names.is_path(name) else name


def page(chosen: specs.Select, title: str, command: str) -> bytes:
    """Run notebook 07 on a choice whose results are stored, and return it as one HTML page."""
    from helpers import runner

    given = {"dataset": chosen.dataset, "method": chosen.method, "k": chosen.budget,
             "first_seed": chosen.seed, "n_proxies": max(1, len(chosen.of)), "n_trainings": 0,
             "options": {name: value for name, value in chosen.options if name != "combine"},
             "command": command}  # fmt: skip
    for run in chosen.of[:1]:
        given |= {"proxy": run.model, "recipe": run.recipe, "epochs": run.epochs}
    with tempfile.TemporaryDirectory() as scratch:
        executed = Path(scratch, NOTEBOOK.name)
        store = str(Store().path.absolute())
        variables = {"STUDY_FIGURES": scratch, "STUDY_STORE": store, "STUDY_OFFLINE": "1"}
        if data_folder := os.environ.get("STUDY_DATA"):  # the kernel runs in another folder
            variables["STUDY_DATA"] = os.path.abspath(os.path.expanduser(data_folder))
        try:
            runner.execute(NOTEBOOK, executed, given, variables, title="page")
        except runner.NotebookFailed as error:
            where, why = f"{NOTEBOOK.name}, cell {error.cell}", str(error).splitlines()[-1]
            raise StudyError(f"the page failed in {where}: {why}") from None
        return files.page_of(executed, title)
