"""What the targets are asked about a record before it is sent: their answers come from where they are known."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from chatstore.models import Document, Message, Session
from chatstore.models.limits import Limited


def _no_limits(_record: object) -> Iterable[Limited]:
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Checks:
    """Which limits a record meets.

    Attributes:
        session: Of a session.
        message: Of a message.
        document: Of a document.
        collection_of: The collection that a user's documents lie in, whose embeddings must have one dimension; None
            where that is so of no documents.
    """

    session: Callable[[Session], Iterable[Limited]] = _no_limits
    message: Callable[[Message], Iterable[Limited]] = _no_limits
    document: Callable[[Document], Iterable[Limited]] = _no_limits
    collection_of: Callable[[str], str] | None = None
