"""The site: nothing from elsewhere, no dead link; in a browser formulas, images and search work."""

import html.parser
import shutil
from urllib.parse import unquote, urldefrag

import pytest

from helpers import StudyError, profiles, site

pytest.importorskip("furo", reason="the extra `site` is not installed")
pytest.importorskip("myst_nb", reason="the extra `site` is not installed")
pytestmark = pytest.mark.slow
QUIET = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    out = tmp_path_factory.mktemp("made") / "site"
    assert site.build(out, profiles.Folders()) > 30
    return out


def test_a_folder_that_is_no_site_stays(tmp_path):
    (tmp_path / "mine").touch()
    with pytest.raises(StudyError, match="is there and is no site"):
        site.build(tmp_path, profiles.Folders())
    assert (tmp_path / "mine").exists()


class Read(html.parser.HTMLParser):
    """What a page points at, its ids and its images without a text."""

    def __init__(self, path):
        super().__init__()
        self.links, self.loads, self.ids, self.mute = [], [], {""}, []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.ids |= {found.get("id"), found.get("name")}
        if tag == "a" and found.get("href"):
            self.links.append(found["href"])
        for name in ("src", "href"):
            if tag in ("script", "img", "link") and found.get(name):
                self.loads.append(found[name])
        if tag == "img" and not found.get("alt"):
            self.mute.append(found["src"])


def test_pages_load_nothing_from_elsewhere_and_no_link_is_dead(built):
    pages = {path.resolve(): Read(path) for path in built.rglob("*.html")}
    dead, n_links, n_images = [], 0, 0
    for path, page in pages.items():
        assert not page.mute, path
        n_images += sum(one.endswith(".png") for one in page.loads)
        elsewhere = [one for one in page.loads if "://" in one or one.startswith("//")]
        assert not elsewhere, path
        for link in page.links + page.loads:
            if "://" in link or link.startswith(("mailto:", "data:")):
                continue
            n_links += 1
            target, part = urldefrag(unquote(link.partition("?")[0]))
            there = (path.parent / target).resolve() if target else path
            if not there.exists() or (there in pages and part not in pages[there].ids):
                dead.append((path.name, link))
    assert not dead
    assert min(n_links, n_images) > 200
    assert (built / "index.html").exists()


def test_a_browser_shows_every_page_without_an_error(built):
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not (chromium := shutil.which("chromium")):
        pytest.skip("no chromium here")
    wrong, n_formulas = [], 0
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=chromium, args=QUIET)
        tab = browser.new_page()
        tab.on("console", lambda one: one.type == "error" and wrong.append(one.text))
        tab.on("pageerror", lambda one: wrong.append(str(one)))
        tab.on("requestfailed", lambda one: wrong.append(one.url))
        for path in sorted(built.rglob("*.html")):
            tab.goto(path.as_uri(), wait_until="load")
            tab.evaluate("() => window.MathJax?.startup?.promise")
            blank = "i => { i.loading = 'eager'; return i.decode().then(() => 0, () => 1) }"
            lost = tab.evaluate(f"() => Promise.all([...document.images].map({blank}))")
            formulas = tab.locator(".math").count(), tab.locator("mjx-container").count()
            assert not sum(lost), path
            assert formulas[0] <= formulas[1], path
            n_formulas += formulas[0]
            assert not tab.locator("mjx-merror, mjx-container [data-mjx-error]").count(), path
            assert not wrong, (path, wrong)
        tab.goto((built / "search.html").as_uri() + "?q=ADONIS")
        tab.wait_for_selector("#search-results li a")
        assert tab.locator("#search-results li").count() >= 3
        browser.close()
    assert n_formulas > 500
