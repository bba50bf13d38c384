"""What `session_read.lua` would reply of a session in the layout `hash` that only the app wrote."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import orjson

from chatstore.redis.scripts import Reply

_CAP = 1 << 52
"""As `VERSION_CAP` in `values.lua`."""

_DEEP = 500
"""Brackets: the server's decoder takes up to a thousand, one within the other."""

_MILLIS = re.compile(rb"[1-9][0-9]{12}")

_Fields = Mapping[bytes, bytes]


def bare_reply(session_id: bytes, told: Reply) -> Reply | None:
    """Return the reply; None where the protocol must be asked, because something is not as nearly always.

    Args:
        session_id: Which session.
        told: The fingerprint and the parts, as `bare_hash.lua` tells them.
    """
    fingerprint, parts = told
    flat, _, *rest = parts
    header = dict(zip(flat[::2], flat[1::2], strict=True))
    user = header.get(b"userId")
    ids = _ids_of(header.get(b"messageIds", b""))
    session = user and _session_of(header, user)
    if not session or ids is None or 2 * len(ids) != len(rest):
        return None
    messages = []
    for position, (message_id, fields) in enumerate(zip(ids, rest[::2], strict=True)):
        created = _micros_of(_field_of(fields, b"createdAt", b""))
        if created is None or _field_of(fields, b"sessionId", session_id) != session_id:
            return None
        messages.append([message_id, position, 0, created, b"", b"", fields])
    return [b"found", session, messages, [], [], None, 0, b"foreign", [fingerprint, user]]


def _ids_of(listing: bytes) -> list[bytes] | None:
    try:
        ids = orjson.loads(listing)
    except ValueError:
        return None
    # An id that is listed twice is one message.
    if not isinstance(ids, list) or len(set(ids)) != len(ids):
        return None
    return [one.encode() for one in ids]


def _session_of(header: _Fields, user: bytes) -> Sequence[Reply] | None:
    created, updated = header.get(b"createdAt", b""), header.get(b"updatedAt", b"")
    created_at, updated_at = _micros_of(created or updated), _micros_of(updated or created)
    if created_at is None or updated_at is None or not _can_be_kept(header.get(b"metadata", b"")):
        return None
    version = min(updated_at, _CAP)
    fields = [part for pair in header.items() if pair[0] != b"messageIds" for part in pair]
    return [user, version - version % 2, 0, 0, 0, created_at, updated_at, b"", b"", fields]


def _field_of(fields: Sequence[bytes], name: bytes, absent: bytes) -> bytes | None:
    """Return a field's value, faster than by a mapping; None where a value is the same text as the name, perhaps."""
    try:
        place = fields.index(name)
    except ValueError:
        return absent
    return None if place % 2 else fields[place + 1]


def _micros_of(millis: bytes | None) -> int | None:
    """Return a time as nearly all are, from the year 2001 on. What else it may be, `values.lua` knows."""
    return int(millis) * 1000 if millis and _MILLIS.fullmatch(millis) else None


def _can_be_kept(metadata: bytes) -> bool:
    if metadata in {b"", b"{}"}:
        return True
    if metadata.count(b"[") + metadata.count(b"{") > _DEEP:
        return False
    try:
        orjson.loads(metadata)
    except ValueError:
        return False
    return True
