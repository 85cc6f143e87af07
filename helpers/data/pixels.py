"""Encoded images (JPEG, PNG, ...) of any size and mode to one uint8 array.

Rules, the same for folders and Parquet, over all images that are used:

- Colour: one channel if every image is greyscale, else three; an alpha channel is dropped.
- Size: if all images have one size it is kept. Otherwise they become squares whose side is the
  median of their shorter sides, at most 224 pixels: the largest centred square is cut out and
  resized (bilinear, antialiased), so that no aspect ratio changes.
"""

import io
import statistics
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from helpers import StudyError

# Photographs of a few megapixels would fill a disk: ImageNet's usual side is the upper limit.
LARGEST_SIDE = 224
BATCH = 512

_GREY_MODES = ("1", "L", "LA", "La", "F")
# What Pillow raises on damaged files, by format and version.
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, zlib.error)
_BROKEN = (*_BROKEN, Image.DecompressionBombError)


@dataclass(frozen=True)
class Encoded:
    """One split before decoding.

    Attributes:
        labels: int64 class indices, shape (n,).
        items: Starts an iteration over (where, source) of the n images: `where` names the image
            in messages, `source` is its path or its bytes.
    """

    labels: np.ndarray
    items: Callable[[], Iterator[tuple[str, Path | bytes]]]


@dataclass(frozen=True)
class Layout:
    """Shape that every image is brought to: channels (1 or 3), height and width in pixels."""

    channels: int
    height: int
    width: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        return self.channels, self.height, self.width


def common_layout(splits: Iterable[Encoded]) -> Layout:
    """Find the layout by the rules above; reads the headers of the images only.

    Raises:
        StudyError: If an image cannot be opened.
    """
    sizes, is_grey = set(), True
    shorter = []
    for split in splits:
        for where, source in split.items():
            with _open(where, source) as image:
                sizes.add(image.size)
                shorter.append(min(image.size))
                is_grey = is_grey and _is_grey(image.mode)
    channels = 1 if is_grey else 3
    if len(sizes) == 1:
        width, height = sizes.pop()
        return Layout(channels, height, width)
    side = min(int(statistics.median_low(shorter)), LARGEST_SIDE)
    return Layout(channels, side, side)


def batches(split: Encoded, layout: Layout) -> Iterator[np.ndarray]:
    """Decode a split, on every core: Pillow lets go of Python's lock while it decodes.

    Args:
        split: Encoded images.
        layout: Shape to bring every image to.

    Yields:
        uint8 arrays, shape (at most BATCH, C, H, W), in the order of the split.

    Raises:
        StudyError: If an image is damaged.
    """
    items = split.items()
    with ThreadPoolExecutor() as threads:
        while part := list(islice(items, BATCH)):
            yield np.stack(list(threads.map(lambda item: _decode(*item, layout), part)))


def _is_grey(mode: str) -> bool:
    return mode in _GREY_MODES or mode.startswith("I")


def _open(where: str, source: Path | bytes) -> Image.Image:
    try:
        return Image.open(io.BytesIO(source) if isinstance(source, bytes) else source)
    except _BROKEN as error:
        raise _broken(where) from error


def _decode(where: str, source: Path | bytes, layout: Layout) -> np.ndarray:
    with _open(where, source) as opened:
        try:
            image = _to_mode(opened, "L" if layout.channels == 1 else "RGB")
        except _BROKEN as error:
            raise _broken(where) from error
    if image.size != (layout.width, layout.height):
        size = (layout.width, layout.height)
        image = ImageOps.fit(image, size, Image.Resampling.BILINEAR)
    pixels = np.asarray(image, dtype=np.uint8)
    return pixels[None] if layout.channels == 1 else pixels.transpose(2, 0, 1)


def _to_mode(image: Image.Image, mode: str) -> Image.Image:
    if image.mode.startswith("I"):
        # Pillow would clip 16-bit grey levels at 255; keep their upper byte.
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode == "P":
        image = image.convert("RGBA")  # or Pillow warns about transparency in palettes
    image.load()
    return image.convert(mode)


def _broken(where: str) -> StudyError:
    return StudyError(f"{where} is not a readable image, expected an intact JPEG, PNG or the like")
