"""Pictures for publication: a palette in place of 24 bits; addresses that hold a picture."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

COLOURS = 256


def quantised(png: bytes) -> bytes:
    """Return a picture with a palette of at most 256 colours, no alpha, and its description.

    Equal pictures give equal bytes; one that has a palette already is returned as it is.
    """
    with Image.open(io.BytesIO(png)) as picture:
        if picture.mode == "P":
            return png
        about = PngInfo()
        if told := picture.info.get("Description"):  # the alternative text on the site
            about.add_text("Description", told)
        flat = Image.new("RGB", picture.size, "white")
        flat.paste(picture, mask=picture.getchannel("A") if picture.mode == "RGBA" else None)
    out = io.BytesIO()
    small = flat.quantize(COLOURS, Image.Quantize.MEDIANCUT, kmeans=1, dither=Image.Dither.NONE)
    small.save(out, format="PNG", optimize=True, pnginfo=about)
    return out.getvalue()


def address(picture: Image.Image, kind: str = "png") -> str:
    """Return an address that holds a picture, as PNG or JPEG."""
    buffer = io.BytesIO()
    picture.save(buffer, kind, quality=80)
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def quantised_outputs(notebook: Path) -> dict[str, Any]:
    """Read an executed notebook with the pictures of its outputs quantised."""
    found = json.loads(notebook.read_text(encoding="utf-8"))
    for cell in found["cells"]:
        for output in cell.get("outputs", []):
            if png := "".join(output.get("data", {}).get("image/png", "")):
                small = quantised(base64.b64decode(png))
                output["data"]["image/png"] = base64.b64encode(small).decode()
    return found
