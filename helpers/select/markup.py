"""Pieces of a page: elements that escape what they hold, bars without scripts, small images."""

import base64
import html
import io
import re
from typing import Any

import numpy as np

# Images above this side become JPEGs of it; smaller ones stay as they are.
SIDE = 96
EXACT = 48

STYLE = """
body{margin:0;background:#fff;color:#1b1f24;font:16px/1.5 system-ui,"Segoe UI",Roboto,sans-serif}
main{max-width:66rem;margin:0 auto;padding:1.5rem 1rem 3rem}
h1{font-size:1.7rem;line-height:1.2;margin:0 0 .3rem}
h2{font-size:1.2rem;margin:2.2rem 0 .5rem}
p{margin:.4rem 0;max-width:46rem}
.lead{font-size:1.1rem}.quiet{color:#57606a;font-size:.9rem}
ul.warnings{list-style:none;margin:1rem 0;padding:.7rem 1rem;background:#fff8e6;
border-left:4px solid #b54708}
dl{display:grid;grid-template-columns:repeat(auto-fit,minmax(11rem,1fr));gap:.8rem 1.2rem;
margin:1rem 0}
dl div{border-top:2px solid #0072b2;padding-top:.3rem}
dt{color:#57606a;font-size:.85rem}dd{margin:0;overflow-wrap:anywhere}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{padding:.25rem .6rem .25rem 0;text-align:right;border-bottom:1px solid #e4e8ec}
th:first-child{text-align:left;font-weight:400;min-width:6rem;overflow-wrap:anywhere}
td{white-space:nowrap}
thead th{color:#57606a;font-size:.85rem;font-weight:600;vertical-align:bottom}
thead th:first-child{font-weight:600}
.wide{width:38%;padding-right:0}thead .wide{text-align:left}
.bar{position:relative;height:1.1rem;background:#e4e8ec}
.bar i{position:absolute;left:0;top:0;bottom:0;background:#0072b2}
.bar b{position:absolute;top:-.15rem;bottom:-.15rem;width:2px;background:#1b1f24}
.gallery{display:grid;grid-template-columns:repeat(auto-fill,minmax(9rem,1fr));gap:.9rem .8rem;
padding:0;margin:.8rem 0;list-style:none}
.gallery li{border-top:4px solid #0072b2;padding-top:.3rem;font-size:.85rem;line-height:1.35;
overflow-wrap:anywhere}
.gallery li.dropped{border-color:#c4cad1}
.gallery img{display:block;width:96px;height:96px;object-fit:contain;margin-bottom:.3rem;
image-rendering:pixelated}
.gallery img.photo{image-rendering:auto}
.texts{grid-template-columns:repeat(auto-fill,minmax(min(20rem,100%),1fr))}
.texts q{display:block;margin-bottom:.3rem;quotes:none;font-family:Georgia,serif}
pre{background:#f4f6f8;padding:.8rem;white-space:pre-wrap;overflow-wrap:anywhere;font-size:.85rem}
@media (max-width:40rem){.wide{width:20%}th,td{padding-right:.4rem}}
@media print{main{padding:0}h2{break-after:avoid}.gallery li{break-inside:avoid}}
""".strip()


class Markup(str):
    """HTML as it is; any other text is escaped."""

    __slots__ = ()


def el(name: str, /, *inside: object, **attributes: object) -> Markup:
    """Return an element.

    Args:
        name: Its tag.
        *inside: Markup, or anything else, whose text is escaped.
        **attributes: Their values are escaped; an underscore at the end of a name goes
            (`class_`), others become dashes.
    """
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{safe(value)}"' for key, value in attributes.items()
    )
    if name in ("img", "meta", "br"):
        return Markup(f"<{name}{given}>")
    return Markup(f"<{name}{given}>{join(inside)}</{name}>")


def join(parts: Any) -> Markup:
    """Put parts one after the other."""
    return Markup("".join(p if isinstance(p, Markup) else safe(p) for p in parts))


def safe(value: object) -> str:
    """Escape a text; characters that no page may hold become question marks."""
    text = str(value).encode("utf-8", "replace").decode()
    return html.escape(re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", "?", text))


def page(title: str, generator: str, *body: Markup) -> str:
    """Return a whole page that loads nothing and runs nothing."""
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", name="generator", content=generator),
        el("meta", http_equiv="Content-Security-Policy", content=policy),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("title", title),
        el("style", Markup(STYLE)),
    )
    return f"<!DOCTYPE html>\n{el('html', head, el('body', el('main', *body)), lang='en')}\n"


def bar(share: float, chance: float) -> Markup:
    """Return a bar of a share in [0, 1] with a mark at what chance would give."""
    return el(
        "div",
        el("i", style=f"width:{100 * share:.2f}%"),
        el("b", style=f"left:{100 * chance:.2f}%"),
        class_="bar",
    )


def table(heads: list[str], rows: list[list[object]], wide: int) -> Markup:
    """Return a table.

    Args:
        heads: Names of the columns.
        rows: Cells; the first of each names its row.
        wide: Column that takes the room there is.
    """

    def cell(tag: str, i: int, value: object, **more: object) -> Markup:
        return el(tag, value, **({"class_": "wide"} if i == wide else {}), **more)

    head = el("tr", *(cell("th", i, text, scope="col") for i, text in enumerate(heads)))
    body = (
        el(
            "tr",
            el("th", row[0], scope="row"),
            *(cell("td", i, value) for i, value in enumerate(row[1:], 1)),
        )
        for row in rows
    )
    return el("table", el("thead", head), el("tbody", *body))


def image(pixels: np.ndarray, alt: str) -> Markup:
    """Return an image inside the page.

    Args:
        pixels: uint8, shape (C, H, W), one or three channels.
        alt: What it shows, in words.
    """
    from PIL import Image

    array = pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)
    shown = Image.fromarray(np.ascontiguousarray(array))
    is_small = max(shown.size) <= EXACT
    if not is_small:
        shown.thumbnail((2 * SIDE, 2 * SIDE))  # twice the side, for screens with fine pixels
    kind, settings = ("png", {"optimize": True}) if is_small else ("jpeg", {"quality": 80})
    buffer = io.BytesIO()
    shown.save(buffer, kind, **settings)
    data = base64.b64encode(buffer.getvalue()).decode()
    more = {} if is_small else {"class_": "photo"}
    return el("img", src=f"data:image/{kind};base64,{data}", alt=alt, **more)
