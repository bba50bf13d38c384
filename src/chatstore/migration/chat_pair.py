"""Comparing sessions and their messages on two sides."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from typing import ClassVar, TypeAlias

from chatstore.interfaces import ChatSide
from chatstore.migration.compare import Difference, compare_messages, compare_sessions
from chatstore.migration.index_proof import Proof
from chatstore.migration.meeting import Meeting
from chatstore.migration.overlap import both, several
from chatstore.migration.pairs import Compared, Pair, Suspect
from chatstore.migration.reading import ahead
from chatstore.migration.reports import Tally
from chatstore.models import (
    ChatChange,
    KeyPage,
    Kind,
    Message,
    Quarantined,
    ScanPage,
    Session,
    Side,
    has_expired,
    utc_now,
)
from chatstore.models.names import ChatKey

ChatRecord: TypeAlias = Session | Message

# From here on one round trip for one session is cheaper than reading more than was asked for.
_MANY_MESSAGES = 300
_FEW_SESSIONS = 8

_MOST_WAITING = 48_000_000
"""Bytes. Where one side is that much ahead of the other, long sessions are compared each alone: then none is."""


class ChatPair(Pair[str, ChatKey, ChatRecord]):
    """Sessions and their messages on both sides, walked by the sessions' ids."""

    kind: ClassVar[Kind] = Kind.CHAT
    at_once: ClassVar[int] = 400
    read_at_once: ClassVar[int] = 64

    def __init__(self, old: ChatSide, new: ChatSide) -> None:
        self.journals = (old.journal, new.journal)
        self.loads = (old.load, new.load)
        self._sides = {Side.OLD: old, Side.NEW: new}

    def keys(self, side: Side, cursor: str | None) -> AsyncIterator[KeyPage[str]]:
        return self._sides[side].keys(cursor)

    async def total(self, side: Side, *, backfilled: bool) -> int:
        count = await self._sides[Side.NEW if backfilled else side].estimate()
        return count.sessions + count.messages if side is Side.OLD else count.sessions

    async def passed_over(self, side: Side, keys: Sequence[str]) -> Mapping[str, Tally]:
        old, new = self._sides[Side.OLD], self._sides[Side.NEW]
        if side is Side.NEW:
            headers = [change.session async for page in old.fetch(keys, message_ids=()) for change in page.changes]
            now = utc_now()
            return {header.id: Tally() for header in headers if header and not has_expired(header.expires_at, now)}
        fingerprints = await old.fingerprints(keys)
        proved = await new.proved(fingerprints) if fingerprints else {}
        return {name: Tally(sessions=1, messages=messages) for name, messages in proved.items()}

    async def compare(self, side: Side, keys: Sequence[str], suspect: Suspect[ChatKey, ChatRecord]) -> Compared:
        meeting = Meeting(side, utc_now())
        apart: list[str] = []
        quarantined: list[Quarantined] = []
        async with AsyncExitStack() as stack:
            parts = {one: await stack.enter_async_context(self._parts(one, keys)) for one in Side}
            old: ScanPage[ChatChange] | None
            new: ScanPage[ChatChange] | None
            old, new = await both(_next(parts[Side.OLD]), _next(parts[Side.NEW]))
            while old is not None or new is not None:
                for one, page in ((Side.OLD, old), (Side.NEW, new)):
                    if page is not None:
                        quarantined += page.quarantined if one is side else ()
                        for change in page.changes:
                            meeting.take(one, change)
                if meeting.waiting > _MOST_WAITING:
                    apart += meeting.put_apart()
                # Where one side has told all, the other one goes on alone.
                old, new = await both(
                    _next(parts[Side.OLD] if old is not None else None),
                    _next(parts[Side.NEW] if new is not None else None),
                )
        await suspect(meeting.differing())
        compared = Compared(old=meeting.tally(Side.OLD), new=meeting.tally(Side.NEW), quarantined=tuple(quarantined))
        for name in apart:
            compared += await self._compare_alone(side, name, suspect)
        return compared

    async def _compare_alone(self, side: Side, name: str, suspect: Suspect[ChatKey, ChatRecord]) -> Compared:
        """Compare a long session: whichever side is behind in the order of its messages is read on."""
        meeting = Meeting(side, utc_now())
        ended: set[Side] = set()
        async with AsyncExitStack() as stack:
            parts = {one: await stack.enter_async_context(self._parts(one, [name])) for one in Side}
            while behind := [one for one in Side if one not in ended]:
                one = min(behind, key=lambda one: meeting.reached(name, one))
                page = await _next(parts[one])
                if page is None:
                    ended.add(one)
                else:
                    for change in page.changes:
                        meeting.take(one, change)
                if suspects := meeting.pass_by(name, ended):
                    await suspect(suspects)
        await suspect(meeting.differing())
        return Compared(old=meeting.tally(Side.OLD), new=meeting.tally(Side.NEW))

    def _parts(self, side: Side, names: Sequence[str]) -> aclosing[AsyncGenerator[ScanPage[ChatChange], None]]:
        return aclosing(ahead(self._sides[side].fetch(names)))

    async def read(self, side: Side, keys: Collection[ChatKey]) -> dict[ChatKey, ChatRecord]:
        wanted: dict[str, list[str]] = defaultdict(list)
        for key in keys:
            wanted[key.session_id] += [] if key.message_id is None else [key.message_id]
        headers = [name for name, ids in wanted.items() if not ids]
        whole = {name: ids for name, ids in wanted.items() if ids}
        alone = [name for name, ids in whole.items() if len(whole) <= _FEW_SESSIONS or len(ids) >= _MANY_MESSAGES]
        together = [name for name in whole if name not in set(alone)]
        store = self._sides[side]
        fetches = [store.fetch([name], message_ids=wanted[name]) for name in alone]
        if headers:
            fetches.append(store.fetch(headers, message_ids=()))
        if together:
            fetches.append(store.fetch(together))
        among = set(keys)

        async def found(pages: AsyncIterator[ScanPage[ChatChange]]) -> dict[ChatKey, ChatRecord]:
            return {key: record async for page in pages for key, record in _records(page.changes) if key in among}

        records: dict[ChatKey, ChatRecord] = {}
        for part in await several(map(found, fetches), at_once=_FEW_SESSIONS):
            records |= part
        return records

    def differences(self, key: ChatKey, old: ChatRecord | None, new: ChatRecord | None) -> list[Difference]:
        if key.message_id is None:
            return compare_sessions(
                str(key), old if isinstance(old, Session) else None, new if isinstance(new, Session) else None
            )
        return compare_messages(
            str(key), old if isinstance(old, Message) else None, new if isinstance(new, Message) else None
        )

    def holds_more(self, key: ChatKey) -> str | None:
        return key.session_id if key.message_id is None else None

    async def prove(self, keys: Sequence[str]) -> Proof:
        del keys  # Postgres reads and finds by the same means.
        return Proof()

    def owner(self, record: ChatRecord) -> str:
        return record.user_id

    def marked_as(self, key: ChatKey) -> str:
        return key.session_id

    def names(self, key: ChatKey) -> list[str]:
        # A repair that a side refuses quarantines a session as a whole, under its bare id.
        return [str(key), str(key.session), key.session_id]


def _records(changes: Sequence[ChatChange]) -> list[tuple[ChatKey, ChatRecord]]:
    """Return what exists by these changes. What has expired does not, even where it is not swept away yet."""
    now = utc_now()
    records: list[tuple[ChatKey, ChatRecord]] = []
    for change in changes:
        if change.session is not None and not has_expired(change.session.expires_at, now):
            records.append((ChatKey.of(change.session), change.session))
            records += [(ChatKey.of(m), m) for m in change.messages if not has_expired(m.expires_at, now)]
    return records


async def _next(parts: AsyncIterator[ScanPage[ChatChange]] | None) -> ScanPage[ChatChange] | None:
    return None if parts is None else await anext(parts, None)
