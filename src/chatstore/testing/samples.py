"""Records that the conformance suites write: with everything in them that a side might lose."""

from __future__ import annotations

from datetime import UTC, datetime

from chatstore.models import Embedding, JsonObject, Message, NewDocument, NewMessage

RICH: JsonObject = {
    "text": "naïve 🦊 \u2028 \x00 null",
    "number": 0.1,
    "whole": 2**53,
    "nothing": None,
    "flag": True,
    "list": [1, "1", {"deep": []}],
    "": "an empty key",
}
EARLY = datetime(2001, 2, 3, 4, 5, 6, 789012, tzinfo=UTC)


def turns(*contents: str) -> list[NewMessage]:
    """Return messages to append, user and assistant in turn."""
    return [NewMessage(("user", "assistant")[i % 2], content) for i, content in enumerate(contents)]


def contents_of(messages: list[Message]) -> list[str]:
    """Return what the messages say."""
    return [message.content for message in messages]


EAST, NORTH, NORTHEAST = Embedding.of([1, 0, 0]), Embedding.of([0, 1, 0]), Embedding.of([1, 1, 0])


def document(text: str, embedding: Embedding = EAST, metadata: JsonObject | None = None) -> NewDocument:
    """Return a document to write."""
    return NewDocument(text, embedding=embedding, metadata=metadata or {})
