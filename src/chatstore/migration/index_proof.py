"""Proving that documents can be found: an index may be broken while reading by id and counting still work.

It happens: https://github.com/chroma-core/chroma/issues/7090.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from chatstore.errors import InvalidRecordError, UnavailableError, UnsupportedError
from chatstore.interfaces import DocumentSide
from chatstore.migration.compare import Difference
from chatstore.migration.overlap import several
from chatstore.models import Document, DocumentKey
from chatstore.models.names import document_name

# What rounding leaves of the similarity of a vector and itself, with room to spare.
_THE_SAME = 0.999
# An index is approximate: what it misses among the first few it may still find.
_FIRST_HITS = (10, 200)

_SEARCHES_AT_ONCE = 8
_USERS = 10_000
"""How many users are known by whom a document was chosen."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What a search for some records came to.

    Attributes:
        proved: How many were found.
        differences: One for each that was not.
    """

    proved: int = 0
    differences: tuple[Difference, ...] = ()


class Sample:
    """Chooses documents to search for: the first of each user, whose collection may be one of its own, and more.

    Args:
        one_in: How many documents there may be to each one chosen. The choice is the same every time.
    """

    def __init__(self, one_in: int) -> None:
        self._one_in = one_in
        self._users: dict[str, None] = {}

    def is_new(self, key: DocumentKey) -> bool:
        """Return whether no document of this one's user was chosen, as far as is known."""
        return key.user_id not in self._users

    def forget(self, keys: Iterable[DocumentKey]) -> None:
        """Forget that these were chosen for their users: they cannot be searched for."""
        for key in keys:
            self._users.pop(key.user_id, None)

    def of(self, keys: Iterable[DocumentKey]) -> list[DocumentKey]:
        """Return some of a walk's keys; to be asked for each part of the walk, in its order."""
        chosen: list[DocumentKey] = []
        for key in keys:
            if key.user_id not in self._users or self._hash(key) % self._one_in == 0:
                chosen.append(key)
            self._users.pop(key.user_id, None)
            self._users[key.user_id] = None
            if len(self._users) > _USERS:
                # One that was not met for long may have more chosen than need be.
                del self._users[next(iter(self._users))]
        return chosen

    @staticmethod
    def _hash(key: DocumentKey) -> int:
        return zlib.crc32(f"{key.user_id}\0{key.id}".encode(errors="surrogatepass"))


def has_direction(document: Document) -> bool:
    """Return whether a document can be searched for by its embedding."""
    return document.embedding is not None and any(document.embedding)


async def prove_index(side: DocumentSide, documents: Sequence[Document]) -> Proof:
    """Search for documents by their own embeddings, several at once.

    Each must have a direction (`has_direction`).

    Raises:
        UnavailableError: The server does not answer, neither to a search nor to a read.
    """
    searches = (_why_not_found(side, document) for document in documents)
    try:
        reasons = await several(searches, at_once=_SEARCHES_AT_ONCE)
    except UnsupportedError:
        return Proof()
    missed = {document.key: reason for document, reason in zip(documents, reasons, strict=True) if reason}
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
    # What fails here fails in a search, too, which tells why.
    with suppress(InvalidRecordError, UnavailableError):
        if await side.finds(document):
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
