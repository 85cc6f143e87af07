"""What every figure shares: fixed colours and names, style, saving, label placing.

Nothing here reads the store or imports torch. Importing sets no style: call `style` once.
"""

import colorsys
import os
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure

from helpers import StudyError
from helpers.plots.palette import COLOURS, LABELS, MARKERS

DPI = 120
FIGURES_ENV = "STUDY_FIGURES"

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


def style() -> None:
    """Set the study's rcParams for this process; figures drawn without it are styled alike."""
    mpl.rcParams.update(_RC)


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
    """Say where `save` writes: `$STUDY_FIGURES/<name>.png`, else figures/digits of the repository.

    Raises:
        StudyError: If the name is empty or holds a folder separator.
    """
    if name == ".." or not name or Path(name).name != name:
        raise StudyError(f"a figure name must be one plain file name, got {name!r}")
    default = Path(__file__).resolve().parents[2] / "figures" / "digits"
    return Path(os.environ.get(FIGURES_ENV) or default) / f"{name}.png"


def save(fig: Figure, name: str) -> None:
    """Write a figure as PNG at 120 dpi without metadata, byte-identical at each save.

    The figure stays open. Nothing is returned, so that a notebook cell that ends with this call
    prints no path of the machine it ran on.

    Raises:
        StudyError: If the name is empty or holds a folder separator.
    """
    path = figure_path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    freeze_layout(fig)
    beside = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        fig.savefig(beside, format="png", dpi=DPI, metadata={"Software": None})
        beside.replace(path)
    except OSError as error:  # a full disk: say of which file
        raise OSError(error.errno, error.strerror, str(path)) from None
    finally:
        beside.unlink(missing_ok=True)


def freeze_layout(fig: Figure) -> None:
    """Settle the constrained layout and switch it off: each further draw would move it a little."""
    if fig.get_layout_engine() is not None:
        fig.draw_without_rendering()
        fig.set_layout_engine("none")


def colour_of(key: str) -> str:
    """Give a method's fixed colour; an unknown key gets one made from its own letters."""
    if key in COLOURS:
        return COLOURS[key]
    code = zlib.crc32(key.encode())
    hue, light = (code % 360) / 360, 0.35 + 0.05 * (code // 360 % 4)
    return to_hex(colorsys.hls_to_rgb(hue, light, 0.6))


def label_of(key: str) -> str:
    """Give a method's name for people; an unknown key stands for itself."""
    return LABELS.get(key, str(key))


def marker_of(key: str) -> str:
    """Give a method's fixed marker, a dot where it has none."""
    return MARKERS.get(key, "o")


def colours_for(keys: Iterable[str]) -> dict[str, str]:
    """Colour a set of series: methods by `COLOURS`, sets without any (models, shares) by order.

    Returns:
        Key -> colour. A set without one known method runs from dark to light along viridis.
    """
    keys = list(keys)
    if any(key in COLOURS for key in keys):
        return {key: colour_of(key) for key in keys}
    places = np.linspace(0.08, 0.82, max(len(keys), 2))
    return {
        key: to_hex(mpl.colormaps["viridis"](place))
        for key, place in zip(keys, places, strict=False)
    }


def ink(colour: str) -> str:
    """Darken a colour until text in it reads well on white."""
    rgb = np.array(to_rgb(colour))
    while _brightness(rgb) > 0.48:
        rgb = 0.92 * rgb
    return to_hex(rgb)


def on(colour: str) -> str:
    """Choose black or white for text on a colour."""
    return "#000000" if _brightness(np.array(to_rgb(colour))) > 0.5 else "#ffffff"


def _brightness(rgb: np.ndarray) -> float:
    """Weigh red, green and blue (3,), 0..1, as the eye does."""
    return float(rgb @ (0.2126, 0.7152, 0.0722))


def need(values, what: str) -> None:
    """Refuse to draw nothing.

    Raises:
        StudyError: If `values` has no entries.
    """
    if len(values) == 0:
        raise StudyError(f"{what} is empty: expected at least one entry to draw")


def need_columns(frame, columns: Sequence[str], what: str) -> None:
    """Refuse a table that is empty or lacks a column the figure reads.

    Raises:
        StudyError: If the frame has no rows or lacks one of the columns.
    """
    need(frame, what)
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        raise StudyError(f"{what} lacks the columns {', '.join(missing)}: expected {list(columns)}")


def centre_and_spread(values) -> tuple[float, float]:
    """Mean and sample standard deviation over seeds; NaN left out, spread 0 with one seed."""
    values = np.asarray(values, dtype=float)
    values = values[np.isfinite(values)]
    if not len(values):
        return np.nan, 0.0
    return float(values.mean()), float(values.std(ddof=1)) if len(values) > 1 else 0.0


def centre_and_interval(values) -> tuple[float, float]:
    """Mean and half width of its 95 % t interval; half width NaN with one seed."""
    values = np.asarray(values, dtype=float)
    values = values[np.isfinite(values)]
    if len(values) < 2:
        return (float(values[0]) if len(values) else np.nan), np.nan
    from helpers.ranking import t_interval

    mean, low, _ = t_interval(values)
    return mean, mean - low


def thick_and_thin(counts: Iterable[int]) -> str:
    """Title of panels that draw seeds thin under their thick mean."""
    counts = list(counts)
    return "1 seed" if max(counts) == 1 else f"Mean (thick) of {seeds_text(counts)} (thin)"


def mean_and_sd(counts: Iterable[int]) -> str:
    """Title of panels that draw means with standard deviations."""
    counts = list(counts)
    return "1 seed" if max(counts) == 1 else f"mean ± sd over {seeds_text(counts)}"


def interval_text(counts: Iterable[int]) -> str:
    """Say at an axis what the intervals are; with one seed there are none."""
    counts = list(counts)
    return "1 seed" if max(counts) == 1 else f"95 % interval, {seeds_text(counts)}"


def seeds_text(counts: Iterable[int]) -> str:
    """Tell the number of runs behind each mean: '3 seeds', '1 seed' or '1 to 3 seeds'."""
    counts = list(counts)
    low, high = min(counts), max(counts)
    return f"{low} to {high} seeds" if low != high else f"{low} seed{'s' * (low != 1)}"
