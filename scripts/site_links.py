"""Hooks of the docs' site: pages that lie beside `docs/`, and links that lead out of it.

The pages link to files of the repository as the repository shows them: by relative paths. On the site a link to one of
`BESIDE` leads to its page. One to any other file leads to the repository, where `repo_url` of mkdocs.yml names it;
without it, the text of the link stays as it is. A link to a file that is not there is left alone, so that the
strict build finds it.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING

from mkdocs.structure.files import File

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

BESIDE = {"CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md", "SECURITY.md": "security.md"}
"""Files beside `docs/` that are pages of the site, with where they lie there."""

_LINK = re.compile(r"(?<!!)\[(?P<text>(?:[^\[\]]|\[[^\]]*\])*)\]\((?P<target>[^()\s#]+)(?P<anchor>#[^()\s]*)?\)")
_FENCED = re.compile(r"(^ *```.*?^ *``` *$)", re.MULTILINE | re.DOTALL)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that lie beside `docs/`."""
    root = Path(config.docs_dir).parent
    for name, page in BESIDE.items():
        files.append(File.generated(config, page, content=(root / name).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let each link that leads out of the docs lead to where it can be followed."""
    del files
    within = {site: name for name, site in BESIDE.items()}
    place = within.get(page.file.src_uri) or f"docs/{page.file.src_uri}"
    return links_on_site(markdown, place, Path(config.docs_dir).parent, config.repo_url)


def links_on_site(markdown: str, place: str, root: Path, repository: str | None) -> str:
    """Return a page's text with its links as the site needs them.

    Args:
        markdown: The text.
        place: The page's path in the repository.
        root: The repository's folder.
        repository: Where it can be read, if anywhere.
    """
    here = posixpath.dirname(BESIDE.get(place, place.removeprefix("docs/")))

    def there(link: re.Match[str]) -> str:
        text, target, anchor = link["text"], link["target"], link["anchor"] or ""
        path = posixpath.normpath(posixpath.join(posixpath.dirname(place), target))
        if ":" in target or not (root / path).exists():
            return link[0]
        page = BESIDE.get(path) or (path.removeprefix("docs/") if path.startswith("docs/") else None)
        if page is not None:
            return f"[{text}]({posixpath.relpath(page, here or '.')}{anchor})"
        return text if repository is None else f"[{text}]({repository.rstrip('/')}/blob/main/{path}{anchor})"

    parts = _FENCED.split(markdown)
    return "".join(part if part.lstrip().startswith("```") else _LINK.sub(there, part) for part in parts)
