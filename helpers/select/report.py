"""The page that shows what a selection kept and dropped: one file, nothing to load or to run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from helpers.data import Dataset
from helpers.progress import duration
from helpers.select import outputs
from helpers.select.markup import Markup, bar, el, image, join, page, table

GALLERY = 18
LETTERS = 200
# Classes that a table shows; of more, the ends of the list.
ROWS = 60
# A class of which less than this share of what chance would keep is left nearly vanishes.
NEARLY = 0.2


@dataclass(frozen=True)
class Score:
    """What the method ranks by, or what stands in its place.

    Attributes:
        name: In words.
        values: One a row, shape (n,); larger = harder; inf = never learned.
        order: Row numbers, shape (n,), hardest first.
    """

    name: str
    values: np.ndarray
    order: np.ndarray


@dataclass(frozen=True)
class Facts:
    """What a page tells.

    Attributes:
        dataset: The data.
        method: The method's name.
        selected: Row numbers, shape (k,).
        settings: Lines for the head, name to text.
        costs: Lines for the costs, name to text.
        warnings: One line each.
        commands: Name to command line.
        files: Names of the files written.
        score: What the galleries are ordered by, or None where no proxy was trained.
        predicted: The proxy's class of every row, shape (n,), or None.
        places: Where every row comes from, or None.
    """

    dataset: Dataset
    method: str
    selected: np.ndarray
    settings: dict[str, str]
    costs: dict[str, str]
    warnings: Sequence[str]
    commands: dict[str, str]
    files: Sequence[str]
    score: Score | None = None
    predicted: np.ndarray | None = None
    places: Sequence[str] | None = None

    @property
    def share(self) -> float:
        """Share of the rows that was kept."""
        return len(self.selected) / self.dataset.n


def per_class(dataset: Dataset, selected: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return how many rows of every class were kept and how many there are, (c,) each."""
    c = dataset.n_classes
    kept = np.bincount(dataset.train_labels[selected], minlength=c)
    return kept, np.bincount(dataset.train_labels, minlength=c)


def by_chance(sizes: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation of what k rows drawn at random keep of every class.

    Args:
        sizes: Rows of every class, shape (c,).
        k: Rows drawn of all.

    Source: mean and variance of the hypergeometric distribution.
    """
    n = sizes.sum()
    share = sizes / n
    variance = k * share * (1 - share) * (n - k) / max(n - 1, 1)
    return k * share, np.sqrt(variance)


def fading(dataset: Dataset, selected: np.ndarray) -> list[str]:
    """Name the classes that vanish from the subset and those that nearly do, one line each."""
    kept, sizes = per_class(dataset, selected)
    expected = by_chance(sizes, len(selected))[0]
    gone = [name for name, left in zip(dataset.class_names, kept, strict=True) if not left]
    few = [
        f"{name} ({left} of {size})"
        for name, left, size, mean in zip(dataset.class_names, kept, sizes, expected, strict=True)
        if 0 < left < NEARLY * mean
    ]
    told = []
    if gone:
        verb = "vanishes" if len(gone) == 1 else "vanish"
        told.append(f"{_classes(gone)} {verb} from the subset and cannot be learnt from it")
    if few:
        verb = "vanishes" if len(few) == 1 else "vanish"
        told.append(f"{_classes(few)} nearly {verb} from the subset")
    return told


def _classes(names: list[str]) -> str:
    return f"{'class' if len(names) == 1 else 'classes'} {_some(names)}"


def _some(names: list[str], most: int = 8) -> str:
    """List names, of many the first ones."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def html(facts: Facts) -> str:
    """Return the page."""
    data = facts.dataset
    kind = "texts" if data.is_text else "images"
    title = f"{facts.method} keeps {len(facts.selected):,} of {data.n:,} {kind}"
    warnings = [el("li", f"⚠ {text}") for text in facts.warnings]
    return page(
        title,
        outputs.MADE_BY,
        el("h1", title),
        el("p", f"{data.name} · {facts.share:.1%} of the training rows", class_="lead"),
        *([el("ul", *warnings, class_="warnings")] if warnings else []),
        _list(facts.settings),
        el("h2", "What it costs and saves"),
        _list(facts.costs),
        *_class_table(facts),
        *_galleries(facts),
        el("h2", "Do it again"),
        *(join((el("p", name), el("pre", command))) for name, command in facts.commands.items()),
        el("p", f"Written with this page: {', '.join(facts.files)}", class_="quiet"),
    )


def _list(pairs: dict[str, str]) -> Markup:
    return el("dl", *(el("div", el("dt", name), el("dd", text)) for name, text in pairs.items()))


def _class_table(facts: Facts) -> list[Markup]:
    """Return the table of classes with what goes before it."""
    kept, sizes = per_class(facts.dataset, facts.selected)
    means, spreads = by_chance(sizes, len(facts.selected))
    order = np.argsort(-kept / sizes, kind="stable")
    shown = order if len(order) <= ROWS else np.r_[order[: ROWS // 2], order[-ROWS // 2 :]]
    rows = []
    for c in shown:
        share = kept[c] / sizes[c]
        chance = f"{means[c]:,.0f} ± {2 * spreads[c]:,.0f}"
        sign = _sign(kept[c] - means[c], 2 * spreads[c])
        cells = [f"{kept[c]:,}", f"{sizes[c] - kept[c]:,}", f"{share:.0%}", f"{sign}{chance}"]
        rows.append([facts.dataset.class_names[c], *cells, bar(share, facts.share)])
    heads = ["class", "kept", "dropped", "share kept", "kept by chance", "share kept, | = chance"]
    told = (
        "By chance: mean ± two standard deviations of a random draw of the same size; "
        "▲ more and ▼ fewer were kept."
    )
    if len(shown) < len(order):
        told += f" {len(order) - len(shown)} classes between the two ends are left out."
    return [el("h2", "Kept and dropped, class by class"), el("p", told, class_="quiet"),
            table(heads, rows, wide=5)]  # fmt: skip


def _sign(beyond: float, spread: float) -> str:
    """Mark what lies outside of chance."""
    return "" if abs(beyond) <= spread else "▲ " if beyond > 0 else "▼ "


def _galleries(facts: Facts) -> list[Markup]:
    """Return the hardest and the easiest examples, or some kept and dropped ones."""
    is_kept = np.zeros(facts.dataset.n, dtype=bool)
    is_kept[facts.selected] = True
    if facts.score is None:
        told = "No proxy was trained, so nothing says which are hard."
        parts = {"Some that were kept": np.flatnonzero(is_kept)}
        parts["Some that were dropped"] = np.flatnonzero(~is_kept)
    else:
        told = f"By {facts.score.name}. Blue: kept, grey: dropped."
        parts = {"The hardest": facts.score.order, "The easiest": facts.score.order[::-1]}
    found = []
    for title, rows in parts.items():
        if len(rows):
            items = [_item(facts, row, is_kept[row]) for row in rows[:GALLERY]]
            kind = "gallery texts" if facts.dataset.is_text else "gallery"
            found += [el("h2", title), el("p", told, class_="quiet"), el("ul", *items, class_=kind)]
    return found


def _item(facts: Facts, row: int, is_kept: bool) -> Markup:
    """Return one example of a gallery."""
    data = facts.dataset
    name = data.class_names[data.train_labels[row]]
    place = facts.places[row] if facts.places is not None else f"row {row}"
    shown = _text(data.train_inputs[row]) if data.is_text else image(data.train_inputs[row], name)
    lines = [el("strong", name)]
    if facts.predicted is not None:
        guess = facts.predicted[row]
        is_right = guess == data.train_labels[row]
        lines.append("right" if is_right else f"taken for {data.class_names[guess]}")
    if facts.score is not None:
        lines.append(shown_score(facts.score.values[row]))
    lines.append("kept" if is_kept else "dropped")
    told = join((lines[0], *(part for line in lines[1:] for part in (el("br"), line))))
    quiet = el("span", place, class_="quiet")
    return el("li", shown, told, el("br"), quiet, class_="kept" if is_kept else "dropped")


def shown_score(value: float) -> str:
    """Write a score."""
    return "score ∞ (never learned)" if np.isinf(value) else f"score {value:.4g}"


def _text(row: np.ndarray) -> Markup:
    """Return the beginning of a text, from its bytes (T,)."""
    text = row.tobytes().rstrip(b"\0").decode("utf-8", "replace")
    return el("q", text[:LETTERS] + ("…" if len(text) > LETTERS else "") or "(empty)")


def seconds(value: float) -> str:
    """Write seconds: short ones with a decimal."""
    return f"{value:.2g} s" if value < 10 else duration(value)
