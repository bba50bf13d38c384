"""The layouts that keys are shown to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from chatstore.errors import ChatStoreError
from chatstore.models import Kind
from chatstore.redis.inspection.claiming import OUR_OWN, Candidate
from chatstore.redis.inspection.reading import Reader
from chatstore.redis.layouts import CHAT_LAYOUTS, DOCUMENT_LAYOUTS
from chatstore.redis.layouts.layout import DocumentLayout
from chatstore.redis.layouts.search_index import SearchIndex

GENERAL = frozenset({"redisvl"})
"""Layouts of documents that are whatever a search index says: any framework's that has one, if no better is known."""


async def candidates(reader: Reader, indexes: Sequence[SearchIndex]) -> list[Candidate]:
    """Return every layout that chatstore knows, with no prefix where its keys may begin with anything."""
    found = [*_chats(), *_documents()]
    for name in sorted(GENERAL & DOCUMENT_LAYOUTS.keys()):
        for index in indexes:
            layout = await _prepared(reader, DOCUMENT_LAYOUTS[name], index)
            if layout is not None:
                found.append(Candidate(Kind.DOCUMENTS, layout, b"", index.name))
    return found


def _chats() -> Iterable[Candidate]:
    for layout in CHAT_LAYOUTS.values():
        prefix = layout.default_prefix
        yield Candidate(Kind.CHAT, layout() if prefix.startswith(OUR_OWN) else layout(prefix=""), prefix)


def _documents() -> Iterable[Candidate]:
    for name, layout in DOCUMENT_LAYOUTS.items():
        prefix = getattr(layout, "prefix", b"")
        if name not in GENERAL:
            yield Candidate(Kind.DOCUMENTS, layout() if prefix.startswith(OUR_OWN) else layout(prefix=""), prefix)


async def _prepared(reader: Reader, layout: type[DocumentLayout], index: SearchIndex) -> DocumentLayout | None:
    try:
        made = layout(index=index.name)
        await made.prepare(reader)
    except ChatStoreError:
        # Not an index of documents, or none that it can read: that of a chat, say.
        return None
    return made
