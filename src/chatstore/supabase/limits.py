"""What Postgres cannot hold: asked of a record before it is sent.

Postgres' own limits: a value has less than 1 GiB, a `jsonb` less than 256 MiB of texts, and the columns of an index
have at most 2,704 bytes together (https://www.postgresql.org/docs/current/limits.html, and its btree). What it could
not store as it is, U+0000 and lone surrogates, is written in an encoding of ours and comes back whole (`text`).
Supabase documents no limit for the size of a request; a record that makes a large one is told, because whatever stands
before a project may have one.
"""

from __future__ import annotations

from collections.abc import Iterator

from chatstore.errors import InvalidRecordError
from chatstore.models import JsonObject, Message, Session
from chatstore.models.limits import Limited
from chatstore.supabase import text

MAX_TEXT = 2**30 - 2**20
MAX_JSON = 2**28 - 1
MAX_INDEXED = 2_704 - 64
LARGE = 10 * 2**20


def limits_met_by_session(session: Session) -> Iterator[Limited]:
    """Yield the limits that a session meets, without its messages."""
    yield from _of_texts(title=session.title)
    yield from _of_json(metadata=session.metadata, extra=session.extra)
    # In its index a session stands with its user.
    if _bytes(session.user_id) + _bytes(session.id) > MAX_INDEXED:
        yield Limited(f"its id and its user's have more than {MAX_INDEXED:,} bytes")


def limits_met_by_message(message: Message) -> Iterator[Limited]:
    """Yield the limits that a message meets."""
    yield from _of_texts(content=message.content, role=message.role)
    yield from _of_json(metadata=message.metadata, extra=message.extra)
    if _bytes(message.session_id) + _bytes(message.id) > MAX_INDEXED:
        yield Limited(f"its id and its session's have more than {MAX_INDEXED:,} bytes")
    if _bytes(message.content) > LARGE:
        yield Limited(f"its content has more than {LARGE // 2**20} MiB, and goes in one request", refused=False)


def _of_texts(**texts: str) -> Iterator[Limited]:
    for name, value in texts.items():
        if len(value) > MAX_TEXT // 4 and _bytes(value) > MAX_TEXT:
            yield Limited(f"its {name} has more than Postgres holds in one value (1 GiB)")
        if text.encode(value) != value:
            yield Limited(f"its {name} has characters that Postgres cannot store: they are held encoded", refused=False)


def _of_json(**objects: JsonObject) -> Iterator[Limited]:
    for name, value in objects.items():
        if not value:
            continue
        try:
            written = text.dump(value)
        except InvalidRecordError as error:
            yield Limited(f"its {name} cannot be written as JSON: {error}")
            continue
        if len(written) > MAX_JSON // 4 and _bytes(written) > MAX_JSON:
            yield Limited(f"its {name} has more than Postgres holds in one jsonb (256 MiB)")
        if "\ufdd0" in written:
            yield Limited(f"its {name} has characters that Postgres cannot store: they are held encoded", refused=False)


def _bytes(value: str) -> int:
    return len(value.encode("utf-8", "surrogatepass"))
