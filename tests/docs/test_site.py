"""The docs are a site: it builds strictly, every page is found from its navigation, and it fetches nothing from elsewhere."""

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from scripts.site_links import BESIDE, links_on_site

ROOT = Path(__file__).parents[2]
FETCHED = {"link": "href", "script": "src", "img": "src", "iframe": "src", "source": "src"}
NO_PAGE = {"canonical", "next", "prev"}


def build(folder, config=ROOT / "mkdocs.yml"):
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--config-file", config, "--site-dir", folder],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


class Fetches(HTMLParser):
    """What a browser loads to show a page, and the texts of its paragraphs."""

    def __init__(self):
        super().__init__()
        self.urls = []
        self.paragraphs = []
        self._depth = 0

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        if tag in FETCHED and given.get(FETCHED[tag]) and given.get("rel") not in NO_PAGE:
            self.urls.append(given[FETCHED[tag]])
        if tag == "p":
            self._depth += 1
            self.paragraphs.append("")

    def handle_endtag(self, tag):
        self._depth -= tag == "p"

    def handle_data(self, data):
        if self._depth > 0:
            self.paragraphs[-1] += data


def read(page):
    parser = Fetches()
    parser.feed(page.read_text(encoding="utf-8"))
    return parser


@pytest.mark.timeout(300)  # a build takes 20 seconds of a processor's time, which a busy machine may not have at once
def test_the_site_has_every_page_needs_nothing_from_elsewhere_and_shows_lists_as_lists(tmp_path):
    site = tmp_path / "site"
    done = build(site)
    assert done.returncode == 0, done.stdout + done.stderr
    check_pages(site)
    check_fetches(site)
    check_lists(site)


def check_pages(site):
    pages = {path.relative_to(ROOT / "docs").with_suffix(".html") for path in (ROOT / "docs").rglob("*.md")}
    pages = {page.with_name("index.html") if page.name == "README.html" else page for page in pages}
    built = {path.relative_to(site) for path in site.rglob("*.html")}
    beside = {Path(page).with_suffix(".html") for page in BESIDE.values()}
    assert built == pages | beside | {Path("404.html")}


def check_fetches(site):
    urls = {url for page in site.rglob("*.html") for url in read(page).urls}
    assert any(url.endswith(".css") for url in urls)
    assert not [url for url in urls if re.match(r"(https?:)?//", url)]
    styles = "".join(path.read_text(encoding="utf-8") for path in site.rglob("*.css"))
    assert not re.findall(r"url\([\"']?(?:https?:)?//[^)]*\)", styles)


def check_lists(site):
    """The repository's view takes a list right after a line of text; the site's Markdown needs an empty line before it."""
    wrong = [
        f"{page.relative_to(site)}: {line}"
        for page in site.rglob("*.html")
        for paragraph in read(page).paragraphs
        for line in paragraph.splitlines()[1:]
        if re.match(r"(- |\* |\d{1,2}\. |\|.*\|$|```|#+ )", line)
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("place", "link", "on_site"),
    [
        ("docs/guide.md", "[a](users.md#keys)", "[a](users.md#keys)"),
        ("docs/guide.md", "[a](../SECURITY.md#what)", "[a](security.md#what)"),
        ("docs/integrations/langchain.md", "[a](../../CHANGELOG.md)", "[a](../changelog.md)"),
        ("docs/guide.md", "[`a`](../examples/app)", "`a`"),
        ("docs/guide.md", "[a](../no/such.py)", "[a](../no/such.py)"),
        ("docs/guide.md", "[a](https://example.com)", "[a](https://example.com)"),
        ("docs/guide.md", "```\n[a](../README.md)\n```", "```\n[a](../README.md)\n```"),
        ("SECURITY.md", "[a](docs/users.md#keys), [b](tests/conftest.py)", "[a](users.md#keys), b"),
    ],
)
def test_a_link_out_of_the_docs_leads_somewhere_or_is_none(place, link, on_site):
    assert links_on_site(link, place, ROOT, None) == on_site


def test_with_a_repository_a_link_out_of_the_docs_leads_there():
    link = links_on_site("[a](../examples/app/__main__.py)", "docs/guide.md", ROOT, "https://example.com/chatstore/")
    assert link == "[a](https://example.com/chatstore/blob/main/examples/app/__main__.py)"


def test_each_link_that_leads_nowhere_fails_the_build(tmp_path):
    nowhere = ("gone.md", "#gone", "/gone.md", "../gone.py")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text("# Home\n\n" + "".join(f"[gone]({link})\n" for link in nowhere))
    for name in BESIDE:
        (tmp_path / name).write_text(f"# {name}\n")
    config = (ROOT / "mkdocs.yml").read_text()
    config = re.sub(r"(?s)\nplugins:.*", "\nplugins: []\nnav: [index.md]\n", config)
    (tmp_path / "mkdocs.yml").write_text(config.replace("scripts/", f"{ROOT}/scripts/"))
    done = build(tmp_path / "site", tmp_path / "mkdocs.yml")
    assert done.returncode != 0
    found = [line for line in done.stderr.splitlines() if line.startswith("WARNING") and "index.md" in line]
    assert [link for link in nowhere if not any(f"'{link}'" in line for line in found)] == []
