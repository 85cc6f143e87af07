"""What every figure shares: fixed colours and names, style, checks, saving.

Nothing here reads the store or imports torch. Importing sets no style: `style` does.
"""

import colorsys
import io
import os
import textwrap
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython import get_ipython
from IPython.display import display
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib_inline.config import InlineBackend

from helpers import StudyError, profiles
from helpers.experiments.table import RUN_LABELS
from helpers.progress import PROGRESS_ENV
from helpers.selection.registry import METHODS

DPI = 120
FIGURES_ENV = "STUDY_FIGURES"
GREY = "#8c8c8c"  # random, and lines at zero
# What a notebook has told `style` about its parameters; autoreload keeps it.
_given: dict[str, Any] = globals().get("_given", {})

# Colour and marker of each method and solver. Okabe-Ito and Tol's muted sets, shared out so that
# methods drawn together differ in lightness too.
LOOKS = {
    "full": ("#000000", "o"),
    "random": ("#8c8c8c", "o"),
    "random-per-class": ("#56657a", "s"),
    "random-longer": ("#3f3f3f", "8"),
    "repeated-random": ("#c44e52", "s"),
    "least-confidence": ("#56b4e9", "v"),
    "margin": ("#332288", "^"),
    "entropy": ("#0072b2", "D"),
    "forgetting": ("#cc79a7", "P"),
    "k-centers": ("#009e73", "X"),
    "iqp": ("#882255", "h"),
    "iqp-distance": ("#117733", "o"),
    "iqp-printed": ("#d1603d", "h"),
    "el2n": ("#4b7f2b", "d"),
    "ccs": ("#b8860b", "8"),
    "facility-location": ("#0f7b8a", "H"),
    "submodular": ("#7a5195", "s"),
    "graph-cut": ("#6b6b3a", "o"),
    "dpp": ("#e0558b", "o"),
    "moderate": ("#5d8aa8", "v"),
    "ssp": ("#b5651d", "^"),
    "craig": ("#3b4cc0", "D"),
    "grad-match": ("#b40426", "P"),
    "geda": ("#d55e00", "*"),
    "ids": ("#e69f00", "<"),
    "adonis": ("#aa4499", ">"),
    "ids+adonis": ("#661100", "p"),
    "selective-backprop": ("#44aa99", "o"),
    "random-per-quartile": ("#999933", "o"),
    "evenly-spaced": ("#c9b04e", "o"),
    "geda-random": ("#cc6677", "o"),
    "own-batch": ("#2b7fb3", "v"),
    "highs": ("#0072b2", "P"),
    "cbc": ("#e69f00", "o"),
    "closed-form": ("#009e73", "o"),
    "dpp-exact": ("#b35900", "D"),
    "dpp-map": ("#f29ac0", "v"),
    "submodular-lazy": ("#b494cc", "^"),
    "iqp-matrix": ("#7a2150", "o"),
    "iqp-blocks": ("#0e7083", "o"),
    "iqp-fourier": ("#a97a06", "o"),
}
COLOURS = {key: colour for key, (colour, _) in LOOKS.items()}

LABELS = (
    {key: method.label for key, method in METHODS.items()}
    | RUN_LABELS
    | {
        "random-longer": "Random, trained longer",
        "own-batch": "Least confidence, own batch",
        "iqp-distance": "LP + power, distance",
        "iqp-printed": "LP + power, bandwidth 1",
        "highs": "As written, HiGHS",
        "cbc": "As written, CBC",
        "closed-form": "Closed form",
        "dpp-exact": "k-DPP, exact, ours",
        "dpp-map": "k-DPP, greedy MAP",
        "submodular-lazy": "Coverage + diversity, lazy",
        "iqp-matrix": "Matrix stored",
        "iqp-blocks": "Exact by tiles",
        "iqp-fourier": "Fourier features",
    }
)

VERDICT_COLOURS = {
    "holds": "#009e73",
    "does not hold": "#d55e00",
    "undecided": "#f0c14b",
    "not decidable": "#b4bcc6",
    "not measured yet": "#e9ebee",
    "not built": "#ffffff",
}

_RC = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.titlesize": 10.5,
    "axes.labelsize": 10,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.7,
    "lines.linewidth": 1.6,
    "lines.markersize": 5,
    "figure.dpi": DPI,
    "figure.max_open_warning": 0,
    "hatch.linewidth": 0.6,
}


def style(given: Mapping[str, Any] | None = None) -> None:
    """Set the study's rcParams for this process; figures drawn without it are styled alike.

    Args:
        given: A notebook's `globals()`. Where its parameters are not those of the profile,
            `save` writes to a folder of their own, as `figures/digits+n_seeds=2`. Unless the
            runner runs it, edited helpers count from the next cell on.
    """
    mpl.rcParams.update(_RC)
    if given is not None:
        _given.clear()
        _given.update(given)
        shell = get_ipython()
        if shell is not None:  # shown as it is saved: to find a tighter frame is a draw more
            InlineBackend.instance(parent=shell).print_figure_kwargs = {"bbox_inches": None}
        if shell is not None and PROGRESS_ENV not in os.environ:
            shell.extension_manager.load_extension("autoreload")
            shell.run_line_magic("autoreload", "2")


def _changed(name: str) -> dict[str, Any]:
    """Return the parameters of a figure's notebook that are not the profile's."""
    notebook = next(profiles.Folders().notebooks.glob(f"{name[:2]}-*.ipynb"), None)
    known = _given and notebook is not None and name[:2].isdigit()
    return profiles.different(profiles.here(), notebook, _given) if known else {}


def new_figure(n_rows: int, n_columns: int, size: tuple[float, float], **options) -> tuple:
    """Open a styled figure with constrained layout.

    Args:
        n_rows: Rows of panels.
        n_columns: Columns of panels.
        size: Width and height in inches.
        **options: Passed to `matplotlib.pyplot.subplots`.

    Returns:
        The figure and its axes, an array of shape (n_rows, n_columns).
    """
    style()
    return plt.subplots(
        n_rows, n_columns, figsize=size, squeeze=False, layout="constrained", **options
    )


def figure_path(name: str) -> Path:
    """Return where `save` writes: below `$STUDY_FIGURES`, else in the folder of the parameters.

    Raises:
        StudyError: If the name is no plain file name.
    """
    if name == ".." or not name or Path(name).name != name:
        raise StudyError(f"a figure name must be one plain file name, got {name!r}")
    if folder := os.environ.get(FIGURES_ENV):
        return Path(folder) / f"{name}.png"
    own = profiles.folder_name(profiles.here().name, _changed(name))
    return profiles.Folders().figures(own) / f"{name}.png"


def save(fig: Figure, name: str, finding: str = "", table: pd.DataFrame | None = None) -> None:
    """Write a figure as PNG at 120 dpi, byte-identical at each save.

    `finding` is written over it, in as many lines as its width asks for, above a legend that
    stands over the panels; a `table` beside it, as `<name>.csv`. The file's description, which the
    site takes as alternative text, is the finding, else what the figure says itself. In a notebook
    the same picture is shown, and the figure closed. Nothing is returned, so that a cell that ends
    with this call prints no path.

    Raises:
        StudyError: If the name is no plain file name.
    """
    path = figure_path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    titles = filter(None, map(Axes.get_title, fig.axes))
    texts = (text.get_text() for ax in fig.axes for text in ax.texts)  # why a place is empty
    seen = finding or fig.get_suptitle() or "; ".join(titles) or "; ".join(texts)
    about = {"Software": None, "Description": " ".join(seen.split())}
    finding = textwrap.fill(finding, int(12 * fig.get_figwidth()), break_on_hyphens=False)
    over = [one for one in fig.legends if one.get_window_extent().y0 > fig.bbox.height / 2]
    if finding and over:
        told = [finding, *filter(None, [over[0].get_title().get_text()])]
        over[0].set_title("\n".join(told), {"size": 10.5})
        over[0].get_title().set_multialignment("center")
    elif finding:
        fig.suptitle(finding, fontsize=10.5)
    fix_layout(fig)  # each further draw would move it a little
    fig.set_layout_engine(None)
    picture, beside = io.BytesIO(), path.with_suffix(f".{os.getpid()}.tmp")
    fig.savefig(picture, format="png", dpi=DPI, metadata=about)
    try:
        beside.write_bytes(picture.getvalue())
        beside.replace(path)
    except OSError as error:  # a full disk: say of which file
        raise OSError(error.errno, error.strerror, str(path)) from None
    finally:
        beside.unlink(missing_ok=True)
    if get_ipython() is not None:
        told = {"image/png": picture.getvalue(), "text/plain": about["Description"]}
        display(told, raw=True, metadata={"image/png": {"alt": about["Description"]}})
        plt.close(fig)  # or it would be drawn again at the end of the cell
    if table is not None:
        profiles.write_table(path.with_suffix(".csv"), table, _changed(name))


def fix_layout(fig: Figure) -> None:
    """Give the panels their places now, drawing nothing."""
    if (engine := fig.get_layout_engine()) is not None:
        engine.execute(fig)


def colour_of(key: str) -> str:
    """Return a method's fixed colour; an unknown key gets one made from its own letters."""
    if key in COLOURS:
        return COLOURS[key]
    code = zlib.crc32(key.encode())  # Python's own hash of text differs between processes
    hue, light = (code % 360) / 360, 0.35 + 0.05 * (code // 360 % 4)
    return to_hex(colorsys.hls_to_rgb(hue, light, 0.6))


def label_of(key: str) -> str:
    """Return a method's name for people; an unknown key stands for itself."""
    return LABELS.get(key) or (METHODS[key].label if key in METHODS else str(key))


def marker_of(key: str) -> str:
    """Return a method's fixed marker, a dot where it has none."""
    return LOOKS.get(key, ("", "o"))[1]


def colours_for(keys: Iterable[str]) -> dict[str, str]:
    """Return key -> colour: methods by `COLOURS`, sets without a method along viridis by order."""
    keys = list(keys)
    if any(key in COLOURS for key in keys):
        return {key: colour_of(key) for key in keys}
    shades = mpl.colormaps["viridis"](np.linspace(0.08, 0.82, max(len(keys), 2)))
    return {key: to_hex(shade) for key, shade in zip(keys, shades, strict=False)}


def ink(colour: str) -> str:
    """Darken a colour until text in it reads well on white."""
    rgb = np.array(to_rgb(colour))
    while _brightness(rgb) > 0.48:
        rgb = 0.92 * rgb
    return to_hex(rgb)


def on(colour: str) -> str:
    """Return black or white, whichever reads better on a colour."""
    return "#000000" if _brightness(np.array(to_rgb(colour))) > 0.5 else "#ffffff"


def _brightness(rgb: np.ndarray) -> float:
    return float(rgb @ (0.2126, 0.7152, 0.0722))


def need(values, what: str, columns: str = "") -> None:
    """Raise where there is nothing to draw or a table lacks a column.

    Args:
        values: A table or any collection.
        what: Its name in the error.
        columns: Names of the columns that the figure reads, separated by spaces.

    Raises:
        StudyError: If `values` is empty or lacks one of the columns.
    """
    if len(values) == 0:
        raise StudyError(f"{what} is empty: expected at least one entry to draw")
    missing = [name for name in columns.split() if name not in values]
    if missing:
        raise StudyError(f"{what} lacks the columns {', '.join(missing)}")


MEAN_SD = "mean ± sd over {}"
THICK_AND_THIN = "Mean (thick) of {} (thin)"
INTERVAL = "95 % interval, {}"


def seeds_text(counts: Iterable[int], several: str = "{}") -> str:
    """Say how many runs are behind the means: '3 seeds', '1 seed', '1 to 3 seeds' or 'no seeds'.

    Args:
        counts: Runs behind each mean.
        several: What to write around the number where a mean is of two runs or more.
    """
    counts = list(counts)
    if not counts:
        return "no seeds"
    low, high = min(counts), max(counts)
    text = f"{low} to {high} seeds" if low != high else f"{low} seed{'s' * (low != 1)}"
    return several.format(text) if high > 1 else text
