"""Reading sessions for the other side: some, or all there are, in parts of bounded size."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from chatstore.errors import LayoutError
from chatstore.models import ChatChange, MessageOrder, ScanPage, Session
from chatstore.redis.client import Client
from chatstore.redis.failures import id_of, problem_of, quarantined
from chatstore.redis.fingerprints import fingerprint_of
from chatstore.redis.scripts import Call, Reply, run, run_all
from chatstore.redis.session_calls import SessionCalls
from chatstore.redis.session_replies import SessionReader

_PART = 1000
_GROUP = 32
_FEW = 4
"""So many sessions are read in one round trip, whatever is cheaper for the server: a repair reads one at a time."""
_FIRST_BYTES = 262_144
"""Of each session of a group that is asked for at once; what is larger is asked for alone."""


@dataclass(frozen=True, slots=True)
class Preview:
    """A part of what `scan` would yield of one session.

    Attributes:
        page: The part.
        is_first: Whether it is the session's first.
        is_last: Whether it is the last one that was asked for.
        is_cut: Whether there is more of the session, which was not asked for.
    """

    page: ScanPage[ChatChange]
    is_first: bool
    is_last: bool = False
    is_cut: bool = False


class SessionScan:
    """Reads sessions whosever they are.

    Args:
        client: The connection.
        calls: The calls of the sessions' layout.
    """

    def __init__(self, client: Client, calls: SessionCalls) -> None:
        self._client = client
        self._calls = calls

    async def fetch(
        self, session_ids: Sequence[bytes], message_ids: Sequence[str] | None = None
    ) -> AsyncIterator[ScanPage[ChatChange]]:
        """Yield what is known of some sessions; none of the pages has a cursor."""
        groups = [session_ids[start : start + _GROUP] for start in range(0, len(session_ids), _GROUP)]
        async with aclosing(_read_ahead(groups, lambda group: self._first_parts(group, message_ids))) as read:
            async for group, replies in read:
                parts = []
                for session_id, reply in zip(group, replies, strict=True):
                    parts.append(self._page(session_id, reply))
                    # What is under way, the next group among it, goes on meanwhile.
                    await asyncio.sleep(0)
                yield _joined(parts)
                for session_id, reply in zip(group, replies, strict=True):
                    async for page in self._rest(session_id, reply):
                        yield page

    async def fingerprints(self, session_ids: Sequence[str]) -> dict[str, str]:
        """Return fingerprints of those sessions of which one can be told, without their content."""
        found: dict[str, str] = {}
        for start in range(0, len(session_ids), _GROUP):
            group = [name.encode() for name in session_ids[start : start + _GROUP]]
            told = await self._bare(group, whole=False)
            others = [one for one in group if one not in told]
            made_by_protocol = await run_all(self._client, [self._calls.fingerprint(one) for one in others])
            told |= zip(others, made_by_protocol, strict=True)
            for one in group:
                made = fingerprint_of(self._calls, one, told[one])
                if made is not None:
                    found[one.decode()] = made
        return found

    async def preview(self, session_ids: Sequence[bytes], messages: int) -> AsyncIterator[Preview]:
        """Yield what `scan` would of some sessions, about so many messages of each at most, and change nothing."""
        part = min(messages, _PART)
        reads = [self._calls.read_forward(session_id, None, None, part) for session_id in session_ids]
        for session_id, reply in zip(session_ids, await run_all(self._client, reads), strict=True):
            page, seen, is_first = self._page(session_id, reply), 0, True
            while (following := _following(reply)) is not None and seen + part <= messages:
                yield Preview(page, is_first=is_first)
                reply = await run(self._client, self._calls.read_forward(session_id, None, following, part))  # noqa: PLW2901
                page, seen, is_first = self._page(session_id, reply), seen + part, False
            yield Preview(page, is_first=is_first, is_last=True, is_cut=following is not None)

    async def _bare(self, session_ids: Sequence[bytes], *, whole: bool) -> dict[bytes, Reply]:
        """Return what is told of those sessions that no ledger tells of, and that are as nearly all are."""
        if not self._calls.layout.bare or len(session_ids) <= _FEW:
            return {}
        replies = await run_all(self._client, [self._calls.bare(one, whole=whole) for one in session_ids])
        return {one: reply for one, reply in zip(session_ids, replies, strict=True) if reply is not None}

    async def _first_parts(self, session_ids: Sequence[bytes], message_ids: Sequence[str] | None) -> list[Reply]:
        """Read the first parts of some sessions, or some of their messages."""
        if message_ids is not None:
            return await self._by_protocol(session_ids, message_ids)
        replies: dict[bytes, Reply] = {}
        for one, told in (await self._bare(session_ids, whole=True)).items():
            if (reply := self._calls.layout.bare_reply(one, told)) is not None:
                replies[one] = reply
            # What is under way goes on meanwhile.
            await asyncio.sleep(0)
        others = [one for one in session_ids if one not in replies]
        replies |= zip(others, await self._by_protocol(others, None), strict=True)
        return [replies[one] for one in session_ids]

    async def _by_protocol(self, session_ids: Sequence[bytes], message_ids: Sequence[str] | None) -> list[Reply]:
        """Read as `_first_parts` does. Messages without ids are written down first, so that theirs last."""
        reads = [self._first_part(session_id, message_ids) for session_id in session_ids]
        if not self._calls.layout.derived:
            return await run_all(self._client, reads)
        adoptions = [self._calls.adopt(session_id) for session_id in session_ids]
        replies = await run_all(self._client, [call for pair in zip(adoptions, reads, strict=True) for call in pair])
        found = []
        for session_id, read, (adopted, reply) in zip(
            session_ids, reads, zip(replies[::2], replies[1::2], strict=True), strict=True
        ):
            unfinished = adopted is not None and adopted[0] == b"adopt"
            # A script that the server did not know yet was run behind the reading.
            if unfinished or _standing(reply) in {b"edited", b"foreign"}:
                edited = not unfinished and _standing(reply) == b"edited"
                await adopt(self._client, self._calls, session_id, edited=edited)
                reply = await run(self._client, read)  # noqa: PLW2901 - the same session's
            found.append(reply)
        return found

    def _first_part(self, session_id: bytes, message_ids: Sequence[str] | None) -> Call:
        if message_ids is None:
            return self._calls.read_whole(session_id, _PART, room=_FIRST_BYTES)
        return self._calls.read_some(session_id, tuple(message_ids))

    async def _rest(self, session_id: bytes, reply: Reply) -> AsyncIterator[ScanPage[ChatChange]]:
        if _standing(reply) == b"foreign" and reply[5]:
            await adopt(self._client, self._calls, session_id)
        again = False
        while reply[0] == b"found" and reply[5]:
            message_id, position = reply[5]
            after = (int(position), message_id)
            reply = await run(self._client, self._calls.read_forward(session_id, None, after, _PART))
            if _standing(reply) == b"edited" and not again:
                # Only the first part tells the deletions, so all parts are read again; what is told twice does no harm.
                again = True
                await adopt(self._client, self._calls, session_id, edited=True)
                reply = await run(self._client, self._calls.read_forward(session_id, None, None, _PART))
            yield self._page(session_id, reply)

    def _page(self, session_id: bytes, reply: Reply) -> ScanPage[ChatChange]:
        if reply[0] == b"missing":
            return ScanPage((), (), None)
        try:
            if reply[0] == b"problem":
                raise problem_of(reply)
            return self._read(session_id, reply)
        except LayoutError as error:
            return ScanPage((), (quarantined(error),), None)

    def _read(self, session_id: bytes, reply: Reply) -> ScanPage[ChatChange]:
        _, header, raw_messages, tombstones, problems = reply[:5]
        layout = self._calls.layout
        reader = SessionReader(layout, id_of(session_id, layout.prefix + session_id, "session"), self._calls.users)
        session: Session | None = reader.session(header)
        messages, bad = reader.messages(raw_messages, session.user_id if session else "")
        errors = [*map(problem_of, problems), *bad]
        # What must be told again, as it cannot be read, may not be taken for known.
        is_proof = not errors and (_standing(reply) == b"adopted" or not layout.derived)
        fingerprint = fingerprint_of(self._calls, session_id, reply[8]) if is_proof else None
        change = reader.change(header, session, messages, tombstones, fingerprint)
        return ScanPage((change,), tuple(map(quarantined, errors)), None)


async def _read_ahead(
    groups: Sequence[Sequence[bytes]], read: Callable[[Sequence[bytes]], Coroutine[None, None, list[Reply]]]
) -> AsyncGenerator[tuple[Sequence[bytes], list[Reply]], None]:
    """Yield groups of sessions with what `read` returns of each; the next one is being read meanwhile."""
    following: asyncio.Task[list[Reply]] | None = None
    try:
        for place, group in enumerate(groups, 1):
            replies = await (following or read(group))
            following = asyncio.create_task(read(groups[place])) if place < len(groups) else None
            yield group, replies
    finally:
        if following is not None:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)


async def adopt(client: Client, calls: SessionCalls, session_id: bytes, *, edited: bool = False) -> None:
    """Write down the order of a session's messages that another program wrote; a long list takes several calls.

    What cannot be written down, because it cannot be read, is told by whoever reads it.

    Args:
        client: The connection.
        calls: The calls of the session's layout.
        session_id: Which session.
        edited: A message in the middle of a long list was seen to be edited, so all of it must be looked at.
    """
    call = calls.adopt(session_id, edited=edited)
    while (reply := await run(client, call)) is not None and reply[0] == b"adopt":
        continue


def _standing(reply: Reply) -> bytes | None:
    """Return what a reading says of the order of the messages, see `session_read.lua`; None when there are none."""
    return reply[7] if reply[0] == b"found" else None


def _following(reply: Reply) -> MessageOrder | None:
    """Return behind which message the rest of a session begins; None when nothing is left of it."""
    if reply[0] != b"found" or not reply[5]:
        return None
    message_id, position = reply[5]
    return int(position), message_id


def _joined(pages: Sequence[ScanPage[ChatChange]]) -> ScanPage[ChatChange]:
    changes = tuple(change for page in pages for change in page.changes)
    return ScanPage(changes, tuple(record for page in pages for record in page.quarantined), None)
