"""Proving that documents can be found: an index may be broken while reading by id and counting still work.

It happens: https://github.com/chroma-core/chroma/issues/7090.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from chatstore.errors import InvalidRecordError, UnavailableError, UnsupportedError
from chatstore.interfaces import DocumentSide
from chatstore.migration.compare import Difference
from chatstore.models import Document
from chatstore.models.names import document_name

# What rounding leaves of the similarity of a vector and itself, with room to spare.
_THE_SAME = 0.999
# An index is approximate: what it misses among the first few it may still find.
_FIRST_HITS = (10, 200)


@dataclass(frozen=True, slots=True)
class Proof:
    """What a search for some records came to.

    Attributes:
        proved: How many were found.
        differences: One for each that was not.
    """

    proved: int = 0
    differences: tuple[Difference, ...] = ()


def sampled(documents: Iterable[Document], one_in: int) -> list[Document]:
    """Return some documents to search for: the first of each user, whose collection may be one of its own, and more.

    Args:
        documents: Those to choose from. What has no embedding, or one without a direction, cannot be searched for.
        one_in: How many documents there may be to each one chosen. The choice is the same every time.
    """
    users: set[str] = set()
    chosen: list[Document] = []
    for document in documents:
        if document.embedding is None or not any(document.embedding):
            continue
        if document.user_id not in users or zlib.crc32(document_name(document.key).encode()) % one_in == 0:
            users.add(document.user_id)
            chosen.append(document)
    return chosen


async def prove_index(side: DocumentSide, documents: Sequence[Document]) -> Proof:
    """Search for documents by their own embeddings.

    Raises:
        UnavailableError: The server does not answer, neither to a search nor to a read.
    """
    try:
        reasons = [(document, await _why_not_found(side, document)) for document in documents]
    except UnsupportedError:
        return Proof()
    missed = {document.key: reason for document, reason in reasons if reason}
    # A document that was changed or deleted since it was read proves nothing.
    unchanged = {document.key: document for document in documents if document.key in missed}
    if unchanged:
        present = (await side.changes(tuple(unchanged))).changes
        unchanged = {c.key: c.document for c in present if c.document is not None and unchanged[c.key] == c.document}
    differences = tuple(
        Difference(document_name(key), "index", old="found by its embedding", new=missed[key]) for key in unchanged
    )
    return Proof(proved=len(documents) - len(missed), differences=differences)


async def _why_not_found(side: DocumentSide, document: Document) -> str:
    """Return the reason why a document is not found; empty when it is."""
    if document.embedding is None:
        return ""
    reason = "not found"
    for count in _FIRST_HITS:
        try:
            matches = await side.search_by_embedding(document.user_id, document.embedding, k=count, where=None)
        except (InvalidRecordError, UnavailableError) as error:
            # A server that is away fails this read as well, and is waited for; one that reads has a broken index.
            await side.changes([document.key])
            reason = f"the search fails: {error}"
            continue
        for match in matches:
            if match.document.id == document.id:
                return "" if match.score >= _THE_SAME else f"found with the similarity {match.score:.3f}"
        # Where so many have the same embedding, it says nothing which of them come first.
        if len(matches) == count and matches[-1].score >= _THE_SAME:
            return ""
    return reason
