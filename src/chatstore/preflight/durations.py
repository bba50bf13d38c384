"""How long a migration takes, and what it needs meanwhile: estimates, with what they assume."""

from __future__ import annotations

from collections.abc import Mapping

from chatstore.models import Kind
from chatstore.preflight.report import Duration, Rates
from chatstore.redis.inspection import Count, Group

USUAL: Mapping[Kind, Rates] = {
    Kind.CHAT: Rates(least=1_000, most=10_000),
    Kind.DOCUMENTS: Rates(least=50, most=500),
}
"""Messages and documents a second. `chatstore migrate` went at the greater rates on two cores, with the servers on the
same machine: 20,000 messages in 2 s, 2,000 documents of 384 numbers in 4.4 s. A tenth of it is for servers far away."""

# `python -m benchmarks.ledgers` measures these.
SESSION_BYTES = 430
MESSAGE_BYTES, LONG_SESSIONS_MESSAGE_BYTES = 50, 132
DOCUMENT_BYTES = 304

_LONG = 128
"""A session of more messages than this is kept in a less compact form by the server."""


def duration_of(group: Group, rates: Rates | None = None) -> Duration:
    """Return how long a migration of a group will take.

    Args:
        group: The group.
        rates: How fast its target takes records; what is usual when left out.
    """
    rates = rates or USUAL[group.kind]
    records = _records(group)
    read_rate = _read_rate(group)
    least, most = (
        records.value / min(rate, read_rate) if read_rate else records.value / rate
        for rate in (rates.most, rates.least)
    )
    return Duration(
        records=records, least=least, most=most, rates=rates, read_rate=read_rate, memory=extra_memory(group)
    )


def extra_memory(group: Group) -> Count:
    """Return how many bytes Redis needs for what a migration writes down of a group."""
    if group.kind is Kind.DOCUMENTS:
        return Count(0) if group.owned else Count(group.documents.value * DOCUMENT_BYTES, exact=False)
    if not group.derived:
        return Count(0)
    messages = _records(group).value
    each = LONG_SESSIONS_MESSAGE_BYTES if messages > _LONG * group.sessions.value else MESSAGE_BYTES
    return Count(group.sessions.value * SESSION_BYTES + messages * each, exact=False)


def _records(group: Group) -> Count:
    if group.kind is Kind.DOCUMENTS:
        return group.documents
    return group.messages or Count(round(group.records.per_session * group.sessions.value), exact=False)


def _read_rate(group: Group) -> float | None:
    """Return how many records a second were read here."""
    records = group.records
    read = records.messages_read if group.kind is Kind.CHAT else records.read
    return read / records.seconds if read and records.seconds else None
