"""What differs between two states of a record, said so that it can be printed without giving the content away."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import TypeAlias, TypeVar

from chatstore.models import Document, Embedding, JsonValue, Message, Session, same_expiry

Record: TypeAlias = Session | Message | Document
R = TypeVar("R", Session, Message, Document)

MISSING = "missing"

# Versions are left out: they say which state is newer, not what it is, and a record that chatstore never wrote may
# have one on one side only.
_SESSION = ("user_id", "title", "metadata", "created_at", "updated_at", "expires_at", "extra")
_MESSAGE = ("user_id", "position", "role", "content", "metadata", "created_at", "expires_at", "extra")
_EXPIRY = "expires_at"
_DOCUMENT = ("text", "embedding", "title", "url", "metadata", "created_at", "updated_at", "expires_at", "extra")

# All of these but JSON, whose equality is another one than Python's. What is equal by this is equal; what is not by its
# expiry alone may be equal all the same.
_PLAIN_MESSAGE = attrgetter("content", "role", "position", "created_at", "user_id", "expires_at")
_PLAIN_DOCUMENT = attrgetter("embedding", "text", "title", "url", "created_at", "updated_at", "expires_at")

# Identifiers and roles are names, not content: a reader needs to see them.
_SHOWN_AS_IT_IS = frozenset({"user_id", "role"})
_SHOWN_CHARACTERS = 64
_DIGEST_DIGITS = 12


@dataclass(frozen=True, slots=True)
class Difference:
    """One field that is not the same on both sides.

    Attributes:
        key: The record: `session/s1`, `session/s1/message/m1` or `document/u1/d1`, each id percent-encoded.
        field: The field's name; the record's type when one side lacks the whole record; `index` for a document that
            is there and that a search does not find.
        old: What the old side holds: numbers, times and names as they are, of all else its size and a digest.
        new: What the new side holds.
    """

    key: str
    field: str
    old: str
    new: str


def compare_sessions(key: str, old: Session | None, new: Session | None) -> list[Difference]:
    """Return what differs between two states of a session; None for one that is not there."""
    return _compare(key, "session", _SESSION, old, new)


def compare_messages(key: str, old: Message | None, new: Message | None) -> list[Difference]:
    """Return what differs between two states of a message; None for one that is not there."""
    return _compare(key, "message", _MESSAGE, old, new)


def compare_documents(key: str, old: Document | None, new: Document | None) -> list[Difference]:
    """Return what differs between two states of a document; None for one that is not there."""
    return _compare(key, "document", _DOCUMENT, old, new)


def is_same_message(old: Message, new: Message) -> bool:
    """Return whether `compare_messages` finds no difference; fast where there is none."""
    return (
        _PLAIN_MESSAGE(old) == _PLAIN_MESSAGE(new)
        and _is_same_json(old.metadata, new.metadata)
        and _is_same_json(old.extra, new.extra)
    ) or not compare_messages("", old, new)


def is_same_document(old: Document, new: Document) -> bool:
    """Return whether `compare_documents` finds no difference; fast where there is none."""
    return (
        _PLAIN_DOCUMENT(old) == _PLAIN_DOCUMENT(new)
        and _is_same_json(old.metadata, new.metadata)
        and _is_same_json(old.extra, new.extra)
    ) or not compare_documents("", old, new)


def _is_same_json(left: Mapping[str, JsonValue], right: Mapping[str, JsonValue]) -> bool:
    """Return whether two JSON objects are the same for sure: False where they may be, and `same` knows."""
    # What is equal may be 1 and true; what is written in the same way is not.
    return (not left and not right) or (left == right and repr(left) == repr(right))


def _compare(key: str, type_name: str, fields: tuple[str, ...], old: R | None, new: R | None) -> list[Difference]:
    if old is None and new is None:
        return []
    if old is None or new is None:
        held = (MISSING if old is None else "there", MISSING if new is None else "there")
        return [Difference(key, type_name, *held)]
    pairs = ((name, getattr(old, name), getattr(new, name)) for name in fields)
    return [
        Difference(key, name, shown(name, left), shown(name, right))
        for name, left, right in pairs
        if not (same_expiry(left, right) if name == _EXPIRY else same(left, right))
    ]


def same(left: object, right: object) -> bool:
    """Return whether two values of a record are the same, by JSON's rules: `true` is not 1, and 1 is 1.0."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(same(value, right[name]) for name, value in left.items())
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    return left == right


def shown(name: str, value: object) -> str:
    """Return a field's value so that it can be told from another one without being read."""
    if value is None:
        return "none"
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bool | int | float):
        return str(value)
    if isinstance(value, Embedding):
        return f"{value.dimension} numbers, {_digest(value.data)}"
    if isinstance(value, str):
        if name in _SHOWN_AS_IT_IS:
            return ascii(value[:_SHOWN_CHARACTERS])
        return f"{len(value)} characters, {_digest(value.encode(errors='surrogatepass'))}"
    return f"JSON of {_count(value)} entries, {_digest(_canonical(value))}"


def _count(value: object) -> int:
    return len(value) if isinstance(value, Mapping | list | tuple) else 1


def _canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, default=_plain).encode()


def _plain(value: object) -> JsonValue:
    return dict(value) if isinstance(value, Mapping) else repr(value)


def _digest(data: bytes) -> str:
    return f"sha256 {hashlib.sha256(data).hexdigest()[:_DIGEST_DIGITS]}"
