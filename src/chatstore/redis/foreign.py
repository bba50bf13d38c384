"""What notices that other programs write to Redis directly, so that a repair brings it to the other side."""

from __future__ import annotations

from chatstore.models import Kind
from chatstore.models.ownership import Users
from chatstore.redis.client import Client
from chatstore.redis.document_calls import DocumentCalls
from chatstore.redis.foreign_writes import ForeignWrites, Records
from chatstore.redis.keyed_events import KeyedEvents
from chatstore.redis.keys import OUR_OWN
from chatstore.redis.layouts.keyed_chat import KeyedChat
from chatstore.redis.layouts.layout import ChatLayout, DocumentLayout
from chatstore.redis.scripts import Call, Reply
from chatstore.redis.session_calls import SessionCalls


def foreign_sessions(
    client: Client, layout: ChatLayout, *, users: Users | None = None, enable: bool = False
) -> ForeignWrites | None:
    """Return what notices other programs' writes of sessions; None for a layout that no other program writes.

    A message is noticed by the session that lists it.

    Args:
        client: The connection.
        layout: How the records are laid out.
        users: What the user ids in Redis have become; the same when left out.
        enable: Change the server's setting where it does not tell of writes yet.
    """
    calls = SessionCalls(layout, users, cluster=client.is_cluster)

    def owner(reply: Reply) -> bytes | None:
        return reply[1][0] if reply[0] == b"found" else _owner_of_problem(reply)

    def read(name: bytes) -> Call:
        return calls.read_header(name, None)

    events = KeyedEvents(calls, layout) if isinstance(layout, KeyedChat) else None
    session_of, adopt = (layout.session_id, calls.adopt) if events is None else (events.record_of, events.adopt)

    def record_of(key: bytes) -> bytes | None:
        return None if key.startswith(OUR_OWN) else session_of(key)

    records = Records(
        Kind.CHAT,
        lambda: layout.prefix,
        lambda: layout.kinds,
        record_of,
        calls.ledger,
        read,
        owner,
        calls.users,
        adopt,
        mixed=not layout.distinct and not layout.keyed and len(layout.kinds) == 1,
    )
    return ForeignWrites(client, records, enable=enable) if layout.shared else None


def foreign_documents(
    client: Client, layout: DocumentLayout, *, users: Users | None = None, enable: bool = False
) -> ForeignWrites | None:
    """Return what notices other programs' writes of documents; None for a layout that no other program writes.

    None as well where the server does not tell of them, record by record: `chatstore verify` finds them there.

    The arguments are those of `foreign_sessions`.
    """
    calls = DocumentCalls(layout, users, cluster=client.is_cluster)

    def read(name: bytes) -> Call:
        return calls.read(name, None, whole=False)

    def owner(reply: Reply) -> bytes | None:
        return reply[1] if reply[0] == b"found" else _owner_of_problem(reply)

    records = Records(
        Kind.DOCUMENTS,
        lambda: layout.prefix,
        lambda: [layout.kind or "hash"],
        lambda key: key[len(layout.prefix) :],
        calls.ledger,
        read,
        owner,
        calls.users,
        prepare=layout.prepare,
    )
    return ForeignWrites(client, records, enable=enable) if layout.shared and layout.told else None


def _owner_of_problem(reply: Reply) -> bytes | None:
    return reply[4] if reply[0] == b"problem" and len(reply) > 4 else None  # noqa: PLR2004 - see `problem` in values.lua
