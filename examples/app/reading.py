"""Texts of files: what is in a text, a Markdown file or a PDF, cut into parts that can be found by themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import PurePath

from pypdf import PdfReader
from pypdf.errors import PyPdfError

_TEXTS = frozenset({".txt", ".md", ".markdown"})
_PART = 900
"""About how many characters a part has: a few sentences, so that a search finds the place and not only the file."""
_BETWEEN = (r"(?<=\n\n)", r"(?<=[.!?]\s)")
_MOST_PAGES = 300
_MOST_TEXT = 2_000_000


class UnreadableError(Exception):
    """The file is none that can be read; the message says why, for the user."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a file: its text, and the page that it stands on where the file has pages."""

    text: str
    page: int | None


def parts_of(name: str, data: bytes) -> list[Part]:
    """Return the parts of a file.

    Args:
        name: Its name, whose ending says what it is: .txt, .md, .markdown or .pdf.
        data: What is in it.

    Raises:
        UnreadableError: It is something else, is damaged or encrypted, is too long, or has no text.
    """
    kind = PurePath(name).suffix.lower()
    if kind in _TEXTS:
        pages: list[tuple[int | None, str]] = [(None, _decoded(data))]
    elif kind == ".pdf":
        pages = list(_pdf(data))
    else:
        raise UnreadableError("this app reads texts (.txt), Markdown (.md) and PDFs (.pdf)")
    if sum(len(text) for _, text in pages) > _MOST_TEXT:
        raise UnreadableError(f"the file has more than {_MOST_TEXT:,} characters of text: upload it in parts")
    parts = [Part(text, page) for page, whole in pages for text in _cut(whole)]
    if not parts:
        raise UnreadableError("there is no text in the file; pictures of text are not read")
    return parts


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableError("the file is no text in UTF-8") from error


def _pdf(data: bytes) -> Iterator[tuple[int, str]]:
    try:
        reader = PdfReader(BytesIO(data))
        refusal = _refusal(reader)
        if refusal is None:
            for number, page in enumerate(reader.pages, start=1):
                # A lone surrogate, as damaged fonts give it, is no text that could be stored.
                yield number, page.extract_text().encode(errors="replace").decode()
    except (PyPdfError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UnreadableError("the PDF is damaged: it cannot be read") from error
    if refusal is not None:
        raise UnreadableError(refusal)


def _refusal(reader: PdfReader) -> str | None:
    if reader.is_encrypted:
        return "the PDF is encrypted: upload one without a password"
    if len(reader.pages) > _MOST_PAGES:
        return f"the PDF has more than {_MOST_PAGES} pages: upload it in parts"
    return None


def _cut(text: str) -> Iterator[str]:
    """Yield parts of a text, cut between paragraphs where possible, else between sentences, else anywhere."""
    part = ""
    for piece in _pieces(text.replace("\r\n", "\n"), _BETWEEN):
        if part.strip() and len(part) + len(piece) > _PART:
            yield part.strip()
            part = ""
        part += piece
    if part.strip():
        yield part.strip()


def _pieces(text: str, between: Sequence[str]) -> Iterator[str]:
    """Yield a text in pieces that are none too long, and together are the text."""
    if len(text) <= _PART:
        yield text
    elif between:
        for piece in re.split(between[0], text):
            yield from _pieces(piece, between[1:])
    else:
        for start in range(0, len(text), _PART):
            yield text[start : start + _PART]
