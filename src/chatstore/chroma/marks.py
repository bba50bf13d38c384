"""A mark as a record of the journal's collection, and back."""

from __future__ import annotations

import json
from typing import Any

from chatstore.chroma.records import Record
from chatstore.chroma.tombstones import NO_VECTOR
from chatstore.models import Mark, Side, from_micros, to_micros

MARK = "mark"

_PREFIX = "mark:"


def record_id(mark: Mark) -> str:
    """Return the id of a mark's record."""
    return _PREFIX + mark.token


def encode_mark(mark: Mark) -> Record:
    """Return the record of a mark; times are whole microseconds since 1970."""
    return Record(
        id=record_id(mark),
        metadata={
            "kind": MARK,
            "user_id": mark.user_id,
            "key": mark.key,
            "side": mark.side.value,
            "op": mark.op,
            "at": to_micros(mark.at),
            "message_ids": None if mark.message_ids is None else json.dumps(mark.message_ids),
            "lease_until": None if mark.lease_until is None else to_micros(mark.lease_until),
            "while_open": mark.while_open,
        },
        embedding=NO_VECTOR,
    )


def decode_mark(record: Record) -> Mark:
    """Return the mark of a record; `encode_mark` undone."""
    held: Any = record.metadata
    ids, lease = held.get("message_ids"), held.get("lease_until")
    return Mark(
        token=record.id.removeprefix(_PREFIX),
        key=held["key"],
        user_id=held["user_id"],
        side=Side(held["side"]),
        op=held["op"],
        at=from_micros(held["at"]),
        message_ids=None if ids is None else tuple(json.loads(ids)),
        lease_until=None if lease is None else from_micros(lease),
        while_open=held["while_open"],
    )
