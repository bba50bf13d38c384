"""Text in a page: whatever it comes from, it is shown, and does nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from chatstore.cli.output import printable

NONE = "\N{EN DASH}"
"""Stands where there is no figure."""

_CHARACTERS = 240


def safe(text: object, characters: int = _CHARACTERS) -> str:
    """Return a text as HTML: cut, without any character that is not seen, and without any markup."""
    whole = str(text)
    cut = whole if len(whole) <= characters else f"{whole[:characters]}… ({len(whole):,} characters)"
    return escape(printable(cut))


def table(heads: Sequence[str], rows: Iterable[Sequence[object]], *, numbers: bool = False) -> str:
    """Return a table, which scrolls by itself where it is wider than the page.

    Args:
        heads: Its columns.
        rows: Its cells: texts of any origin.
        numbers: Whether all columns but the first are numbers.
    """
    head = "".join(f'<th scope="col">{safe(name)}</th>' for name in heads)
    lines = ("".join(f"<td><bdi>{safe(cell)}</bdi></td>" for cell in row) for row in rows)
    body = "".join(f"<tr>{line}</tr>\n" for line in lines)
    kind = ' class="numbers"' if numbers else ""
    return f'<div class="wide"><table{kind}><thead><tr>{head}</tr></thead><tbody>\n{body}</tbody></table></div>\n'


def facts(pairs: Iterable[tuple[str, object]]) -> str:
    """Return a list of names with what each is."""
    items = (f"<div><dt>{safe(name)}</dt><dd><bdi>{safe(value)}</bdi></dd></div>" for name, value in pairs)
    return f"<dl>{''.join(items)}</dl>\n"
