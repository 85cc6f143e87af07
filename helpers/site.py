"""A static site of the README and the published notebooks: offline formulas, search, links."""

import json
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image

from helpers import StudyError
from helpers.profiles import Folders, profiles
from helpers.runner import SAVED

PAGES = "**.md notebooks/published/** notebooks/0[07]* notebooks/solutions*"
SETTINGS = {
    "html_title": "Training-data selection",
    "root_doc": "README",  # pages are read where they lie, so that their links are the repository's
    "include_patterns": PAGES.split(),
    "suppress_warnings": ["toc.not_included"],  # the README links to them
    "exclude_patterns": [".*", "data", "figures", "helpers", "notebooks/executed"],
    "extensions": ["myst_nb", "sphinx-mathjax-offline"],
    "nb_execution_mode": "off",
    "myst_enable_extensions": ["dollarmath", "amsmath"],
    "myst_heading_anchors": 3,
    "html_theme": "furo",
    "html_show_copyright": False,
    "html_show_search_summary": False,  # is fetched, which browsers refuse where a page is a file
}
STYLE = """<style>@media (min-width: 97em) {.main .content {width: 60em}}
.cell_output {overflow-x: auto} table {font-size: 80%}</style>"""


def build(out: Path, folders: Folders) -> int:
    """Write the site, `index.html` first, in place of an older one; return its number of pages.

    Raises StudyError where the extra `site` is not installed, or the folder holds something else.
    """
    try:
        from sphinx.application import Sphinx
    except ImportError:
        raise StudyError("the site needs packages: pip install -e '.[site]'") from None
    if out.exists() and not (out / "searchindex.js").exists():
        raise StudyError(f"{out} is there and is no site")
    shutil.rmtree(out, ignore_errors=True)
    with tempfile.TemporaryDirectory() as kept:
        pages = Path(kept, "site")  # myst-nb writes beside it, which is no business of a checkout
        made = Sphinx(folders.root, None, pages, kept, "html", SETTINGS, None, sys.stderr)
        made.connect("source-read", lambda app, page, text: _prepare(folders, page, text))
        made.connect("html-page-context", lambda *of: of[3].update(metatags=STYLE))
        made.build()
        shutil.move(pages, out)
    shutil.copy(out / "README.html", out / "index.html")
    return len(list(out.rglob("*.html")))


def _prepare(folders: Folders, page: str, text: list[str]) -> None:
    """Change a page's source, `text[0]`: links, a menu for the README, texts for figures."""
    here, usual = (folders.root / page).parent, folders.published("notebooks", "digits")

    def link(found: re.Match) -> str:  # to copies with outputs; folders are no pages
        places = [here / found[2], usual / found[2], folders.notebooks / found[2]]
        if here == folders.notebooks:
            places = places[1:]
        to = next((place for place in places if place.exists()), places[-1])
        path = os.path.relpath(to, here) if to.exists() else found[2]
        return found[1] if to.is_dir() else f"[{found[1]}]({path})"

    text[0] = re.sub(r"\[([^][]+)\]\(([\w/.-]+)\)", link, text[0])
    if page == "README":
        known = profiles(folders.notebooks / "profiles.yml")
        menu = {name: f"notebooks/published/{name}/*" for name in known}
        menu |= {"to run yourself": "notebooks/*", "how fast": "tests/benchmarks/*"}
        for name, pages in menu.items():
            tree = f"```{{toctree}}\n:caption: {name}\n:glob:\n:hidden:\n\n{pages}\n```"
            text[0] += f"\n\n{tree}\n" if any(folders.root.glob(pages)) else ""
    if text[0].startswith("{"):
        titled = re.sub(r'("# [^"\\]+)', rf"\1 ({here.name})", text[0], count=1)  # for the search
        notebook, heading = json.loads(titled), ""
        for cell in notebook["cells"]:
            source = "".join(cell["source"])
            if cell["cell_type"] == "markdown":
                heading = (re.findall(r"^#+ +(.+)", source, re.MULTILINE) or [heading])[-1]
            saved = re.findall(SAVED, source)
            figures = folders.published("figures", here.name)
            seen = [_seen(figures / f"{name}.png") for name in saved]
            alt = ". ".join(filter(None, seen)) or ": ".join([*saved, heading])
            cell["metadata"]["mystnb"] = {"image": {"alt": alt}}
        text[0] = json.dumps(notebook)


def _seen(figure: Path) -> str:
    """Return what `plots.save` wrote into a published figure as its description, or nothing."""
    if not figure.exists():
        return ""
    with Image.open(figure) as image:
        return image.text.get("Description", "")
