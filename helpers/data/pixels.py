"""Encoded images (JPEG, PNG, ...) of any size and mode to one uint8 array.

The rules are the same for folders and Parquet, over all images that are used:

- Orientation: upright, as EXIF says. Transparency: composed on white.
- Colour: one channel if every image is greyscale, else three.
- Depth: images of more than 8 bits or of floats are scaled from the least to the largest value
  among all of them to 0..255.
- Size: if all images have one size it is kept. Otherwise they become squares whose side is the
  median of their shorter sides, at most 224 pixels: the largest centred square is cut out and
  resized (bilinear, antialiased), so that no aspect ratio changes.
"""

import io
import statistics
import struct
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from helpers import StudyError
from helpers.data.dataset import Split

# Photographs of a few megapixels would fill a disk: ImageNet's usual side is the upper limit.
LARGEST_SIDE = 224
BATCH = 256
# What Pillow raises on damaged files, by format and version.
BROKEN = (OSError, SyntaxError, ValueError, EOFError, IndexError, TypeError, struct.error)
BROKEN = (*BROKEN, zlib.error, Image.DecompressionBombError)

Source = Path | bytes | None


@dataclass(frozen=True)
class Layout:
    """What every image is brought to: (C, H, W); deep images' values `low` to 0, `high` to 255."""

    shape: tuple[int, int, int]
    low: float = 0.0
    high: float = 255.0


def decoder(splits: dict[str, Split]) -> tuple[tuple[int, ...], Callable, Callable]:
    """Shape of an image, what decodes a split (`batches`), and what tells notes afterwards."""
    layout, counts = common_layout(splits.values())
    decode = partial(batches, layout=layout, counts=counts)
    return layout.shape, decode, partial(_guessed, counts, layout)


def common_layout(splits: Iterable[Split]) -> tuple[Layout, Counter]:
    """Find the layout by the rules above; decodes deep images only, of others reads the headers.

    Raises:
        StudyError: If no image can be opened.
    """
    sizes: Counter = Counter()
    counts: Counter = Counter()
    low, high = np.inf, -np.inf
    is_grey = True
    for split in splits:
        for _, source in split.items():
            try:
                with opened(source) as image:
                    turn = _orientation(image)
                    sizes[image.size[::-1] if turn > 4 else image.size] += 1  # lies on its side
                    counts["turned upright"] += turn > 1
                    counts["with transparency, composed on white"] += image.has_transparency_data
                    is_deep = _is_deep(image.mode)
                    is_grey = is_grey and (is_deep or image.mode in ("1", "L", "LA", "La"))
                    if is_deep:
                        values = np.asarray(image)
                        values = values[np.isfinite(values)]
                        low, high = min(low, values.min()), max(high, values.max())
                        counts["deep"] += 1
                    elif image.tile and ";16" in str(image.tile[0][3]):
                        counts["of 16 bits a colour, read by their upper 8 (Pillow)"] += 1
            except BROKEN:
                counts["broken"] += 1
    if not sizes:
        raise StudyError(f"none of {counts['broken']} images can be read")
    if low >= high:  # all of one value: the range of their type
        low, high = 0.0, 65535.0 if high > 255 else 255.0 if high > 1 else 1.0
    if len(sizes) == 1:
        width, height = next(iter(sizes))
    else:
        side = statistics.median_low(min(size) for size in sizes.elements())
        width = height = min(side, LARGEST_SIDE)
    return Layout((1 if is_grey else 3, height, width), float(low), float(high)), counts


def batches(
    split: Split, layout: Layout, counts: Counter
) -> Iterator[tuple[np.ndarray, list[tuple[int, str]]]]:
    """Decode a split, on every core: Pillow lets go of Python's lock while it decodes.

    Yields:
        uint8 array of the images that can be read, shape (at most BATCH, C, H, W), in the order of
        the split; (index in the split, name) of the broken ones.
    """
    items, at = split.items(), 0
    with ThreadPoolExecutor() as threads:
        while part := list(islice(items, BATCH)):
            found = list(threads.map(lambda item: _decode(item[1], layout), part))
            broken = [(at + i, part[i][0]) for i, pixels in enumerate(found) if pixels is None]
            whole = [pixels for pixels in found if pixels is not None]
            counts["of one value throughout"] += int(sum(p.min() == p.max() for p in whole))
            yield np.array(whole, dtype=np.uint8).reshape(-1, *layout.shape), broken
            at += len(part)


def _guessed(counts: Counter, layout: Layout) -> list[str]:
    deep = f"of more than 8 bits, {layout.low:g}..{layout.high:g} scaled to 0..255"
    told = {deep if what == "deep" else what: n for what, n in counts.items() if n}
    return [f"{n} image{'s' * (n > 1)} {what}" for what, n in told.items() if what != "broken"]


def _is_deep(mode: str) -> bool:
    return mode == "F" or mode.startswith("I")


@cache
def formats() -> tuple[str, ...]:
    """What Pillow reads, without what has no pixels of its own or starts another program (EPS)."""
    Image.init()
    return tuple(
        own for own in Image.ID if own not in ("BUFR", "GRIB", "HDF5", "MPEG", "WMF", "EPS")
    )


def opened(source: Source) -> Image.Image:
    """Open an image without decoding it; raises one of `BROKEN`."""
    if source is None:
        raise ValueError("no bytes")
    return Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, "r", formats())


def _orientation(image: Image.Image) -> int:
    """EXIF orientation, 1 to 8; Pillow itself applies that of TIFF."""
    if "exif" not in image.info or image.format == "TIFF":
        return 1
    try:
        return int(image.getexif().get(0x0112, 1))
    except BROKEN:
        return 1


def _decode(source: Source, layout: Layout) -> np.ndarray | None:
    """Pixels of an image, uint8 (C, H, W), or None if it is damaged."""
    channels, height, width = layout.shape
    try:
        with opened(source) as image:
            image.load()
            upright = ImageOps.exif_transpose(image) if _orientation(image) > 1 else image
            flat = _flat(upright, layout).convert("L" if channels == 1 else "RGB")
    except BROKEN:
        return None
    if flat.size != (width, height):
        flat = ImageOps.fit(flat, (width, height), Image.Resampling.BILINEAR)
    pixels = np.asarray(flat, dtype=np.uint8)
    return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)


def _flat(image: Image.Image, layout: Layout) -> Image.Image:
    if _is_deep(image.mode):
        values = np.nan_to_num(np.asarray(image, dtype=np.float64), nan=layout.low)
        scaled = (values - layout.low) * (255 / (layout.high - layout.low))
        return Image.fromarray(np.rint(scaled).clip(0, 255).astype(np.uint8))
    if image.has_transparency_data:
        above = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", above.size, "white"), above)
    return image
