"""Chat history in Redis: the old side of a migration, or a store of its own."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial

from chatstore.errors import ConflictError, LayoutError, UnsupportedError
from chatstore.interfaces import ChatSide
from chatstore.models import (
    ChatChange,
    ChatCommand,
    ChatCount,
    ChatWritten,
    CreateSession,
    EditMessage,
    KeyPage,
    Kind,
    Mark,
    Message,
    MessageOrder,
    Page,
    ScanPage,
    ServerLoad,
    Session,
    Side,
    to_micros,
)
from chatstore.models.checks import check_count, check_names, check_order
from chatstore.models.ownership import Users
from chatstore.redis.ahead import Ahead, Deadline
from chatstore.redis.client import AppClient
from chatstore.redis.connecting import take_over
from chatstore.redis.held import held_by, session_owner
from chatstore.redis.index import Owned, Place, UserIndex
from chatstore.redis.journal import RedisJournal
from chatstore.redis.keyed_sessions import session_ids
from chatstore.redis.layouts.layout import ChatLayout, whereabouts
from chatstore.redis.load import load_of
from chatstore.redis.scripts import Call, Reply, run, run_all
from chatstore.redis.session_calls import SessionCalls
from chatstore.redis.session_replies import SessionReader, check_outcome, messages_of
from chatstore.redis.session_scan import SessionScan, adopt
from chatstore.redis.session_walk import SessionWalk
from chatstore.redis.user_ids import old_owner, old_user

_PART = 1000
_BATCH = 200
_SAMPLE = 1000
_INDEXED = 500

logger = logging.getLogger(__name__)


class RedisChat(ChatSide):
    """Sessions and messages in Redis, in one layout.

    A session whose own fields cannot be read raises `LayoutError` where a user asks for it. A message that cannot be
    read, among others that can, is left out of what a user reads and named in a warning; `scan` and `fetch` report
    both as quarantined.

    Args:
        client: A client of redis-py, the app's own (it stays open) or one of `connect`.
        layout: How the records are laid out.
        users: What the user ids in Redis have become; the same when left out.

    Raises:
        UnsupportedError: The client is of a cluster, and a session of this layout lies in several of its slots.
    """

    def __init__(self, client: AppClient, layout: ChatLayout, users: Users | None = None) -> None:
        self.side = Side.OLD
        self._client = take_over(client)
        self._owned = self._client is not client
        self._layout = layout
        if self._client.is_cluster and (layout.spread or layout.keyed):
            raise UnsupportedError(
                f"a session of the layout {layout.name} lies in several keys, and so in several slots of the Redis "
                f"Cluster at {self._client.address}, of which no script can write to two: there chatstore reads and "
                f"writes those layouts whose sessions have one key each"
            )
        self.journal = RedisJournal(self._client, Kind.CHAT)
        self._calls = SessionCalls(layout, users, cluster=self._client.is_cluster)
        self._found = session_ids(self._client, self._calls)
        self._scan = SessionScan(self._client, self._calls)
        self._walk = SessionWalk(self._client, layout, self._found)
        walk = partial(self._found.walk, wanted=_INDEXED) if layout.shared else None
        self._index = UserIndex(self._client, self._calls.ledger, walk, self._owners)
        self._ahead = Ahead(self.journal, self._index) if self._client.is_cluster else None

    @property
    def notes(self) -> tuple[str, ...]:
        return self._layout.notes

    @property
    def space(self) -> str:
        return whereabouts(self._layout)

    async def write(self, command: ChatCommand, mark: Mark | None = None) -> ChatWritten:
        if self._ahead is None:
            reply = await self._execute(command, mark)
        else:
            reply = await self._execute_ahead(self._ahead, command, mark)
        outcome = check_outcome(reply, command.session_id)
        _, header, parts, tombstones = reply
        reader = self._reader(command.session_id)
        session = reader.session(header)
        if isinstance(command, CreateSession) and outcome == b"unchanged":
            _check_same(command, session)
        concerned, new = messages_of(reader, parts, command)
        change = reader.change(header, session, new, tombstones) if outcome == b"changed" else None
        return ChatWritten(change=change, session=session, messages=tuple(concerned))

    async def put(self, changes: Sequence[ChatChange]) -> None:
        calls = [self._calls.join(change) for change in changes]
        alive = [] if self._ahead is None else [self._owned_by(change) for change in changes if change.session]
        await self._index.note(alive)
        replies = await run_all(self._client, calls)
        for change, call, reply in zip(changes, calls, replies, strict=True):
            try:
                if reply[0] == b"adopt":
                    reply = await self._adopted(call, change.session_id.encode())  # noqa: PLW2901 - the same one's
                check_outcome(reply, change.session_id)
            except LayoutError as error:
                raise ConflictError(f"an unreadable record lies in the place of the session: {error}") from error
        await self._index.note(alive)

    async def get_session(self, user_id: str, session_id: str) -> Session:
        check_names(user_id, session_id=session_id)
        reply = await run(self._client, self._calls.read_header(session_id.encode(), user_id))
        check_outcome(reply, session_id)
        return _present(self._reader(session_id).session(reply[1]))

    async def list_sessions(self, user_id: str, *, limit: int = 50, after: str | None = None) -> Page[Session]:
        """As `ChatHistoryStore.list_sessions`; what it may not see yet is said in `redis/index.py`."""
        check_names(user_id)
        check_count(limit, "limit", least=1)
        found: list[tuple[Place, Session]] = []
        indexed = old_user(self._calls.users, user_id)
        while len(found) <= limit:
            places = await self._index.page(indexed, limit + 1 - len(found), after)
            if not places:
                break
            found += await self._look_up(user_id, places)
            after = places[-1].cursor
        following = found[limit - 1][0].cursor if len(found) > limit else None
        return Page(tuple(session for _, session in found[:limit]), following)

    async def messages(
        self, user_id: str, session_id: str, *, after: MessageOrder | None = None, limit: int | None = None
    ) -> list[Message]:
        check_names(user_id, session_id=session_id)
        check_order(after, "after")
        if limit is not None:
            check_count(limit, "limit")
        found: list[Message] = []
        while True:
            wanted = _PART if limit is None else min(_PART, limit - len(found))
            call = self._calls.read_forward(session_id.encode(), user_id, after, wanted)
            reply = await run(self._client, call)
            found += self._readable(reply, user_id, session_id)
            more = reply[5]
            if not more or (limit is not None and len(found) >= limit):
                return found
            if reply[7] != b"adopted":
                await adopt(self._client, self._calls, session_id.encode(), edited=reply[7] == b"edited")
            after = (int(more[1]), more[0].decode("utf-8", "surrogateescape"))

    async def last_messages(
        self, user_id: str, session_id: str, count: int, *, before: MessageOrder | None = None
    ) -> list[Message]:
        check_names(user_id, session_id=session_id)
        check_order(before, "before")
        check_count(count, "count")
        call = self._calls.read_backward(session_id.encode(), user_id, before, count)
        return self._readable(await run(self._client, call), user_id, session_id)

    async def count_messages(self, user_id: str, session_id: str) -> int:
        check_names(user_id, session_id=session_id)
        reply = await run(self._client, self._calls.count(session_id.encode(), user_id))
        check_outcome(reply, session_id)
        return int(reply[6])

    async def fetch(
        self, session_ids: Sequence[str], *, message_ids: Sequence[str] | None = None
    ) -> AsyncIterator[ScanPage[ChatChange]]:
        async for page in self._scan.fetch([name.encode() for name in session_ids], message_ids):
            if page.changes or page.quarantined:
                yield page

    async def fingerprints(self, session_ids: Sequence[str]) -> Mapping[str, str]:
        return await self._scan.fingerprints(session_ids)

    async def held_by(self, user_id: str) -> AsyncIterator[Sequence[str]]:
        """As `ChatSide.held_by`; all keys of the layout and of the ledger are looked at for it."""
        if (old := self._calls.users.old_of(user_id)) is None:
            return
        walk, calls = self._found.walk(wanted=_INDEXED), self._calls
        read = partial(calls.read_header, user_id=None)
        async for ids in held_by(self._client, old.encode(), walk, calls.ledger, read=read, owner_of=session_owner):
            yield ids

    async def starts(self) -> Sequence[str | None]:
        return await self._walk.starts()

    async def keys(self, cursor: str | None = None) -> AsyncIterator[KeyPage[str]]:
        async for page in self._walk.keys(cursor):
            yield page

    async def count(self) -> ChatCount:
        counted = ChatCount(0, 0)
        async for ids in self._found.walk(wanted=_BATCH):
            counted += await self._count(ids)
        return counted

    async def estimate(self) -> ChatCount:
        """As `ChatSide.estimate`: all sessions are found, of which only the first thousand are looked at."""
        looked_at, found, counted = 0, 0, ChatCount(0, 0)
        async for ids in self._found.walk(wanted=_BATCH):
            found += len(ids)
            if looked_at < _SAMPLE:
                looked_at += len(ids)
                counted += await self._count(ids)
        times = found / max(looked_at, 1)
        return ChatCount(round(counted.sessions * times), round(counted.messages * times))

    async def _count(self, session_ids: Sequence[bytes]) -> ChatCount:
        calls = [self._calls.count(session_id, None) for session_id in session_ids]
        readable = [reply for reply in await run_all(self._client, calls) if reply[0] == b"found"]
        return ChatCount(len(readable), sum(reply[6] for reply in readable))

    async def load(self) -> ServerLoad:
        return await load_of(self._client)

    async def close(self) -> None:
        await self._index.close()
        if self._owned:
            await self._client.aclose()

    def _reader(self, session_id: str) -> SessionReader:
        return SessionReader(self._layout, session_id, self._calls.users)

    async def _execute(self, command: ChatCommand, mark: Mark | None, deadline: Deadline | None = None) -> Reply:
        if isinstance(command, EditMessage) and self._layout.whole:
            return await self._edit_whole(command, mark, deadline)
        call = self._calls.write(command, mark)
        return await self._adopted(deadline.on(call) if deadline else call, command.session_id.encode())

    async def _execute_ahead(self, ahead: Ahead, command: ChatCommand, mark: Mark | None) -> Reply:
        """Execute a command on a cluster, where neither the mark nor the index can be written in its step."""
        user_id, session_id = old_user(self._calls.users, command.user_id).encode(), command.session_id.encode()
        new = [Owned(user_id, Place(session_id, to_micros(command.at)))] if isinstance(command, CreateSession) else []

        async def execute(deadline: Deadline) -> list[Reply]:
            return [await self._execute(command, None, deadline)]

        def places(replies: Sequence[Reply]) -> list[Owned]:
            headers = [reply[1] for reply in replies if reply[0] == b"changed"]
            return [Owned(user_id, Place(session_id, float(header[6]))) for header in headers if header and header[6]]

        [reply] = await ahead.write([] if mark is None else [mark], new, execute, places)
        return reply

    def _owned_by(self, change: ChatChange) -> Owned:
        assert change.session is not None, "asked for those that have one"  # noqa: S101
        user_id = old_owner(self._calls.users, change.user_id).encode()
        return Owned(user_id, Place(change.session_id.encode(), to_micros(change.session.updated_at)))

    async def _adopted(self, call: Call, session_id: bytes) -> Reply:
        """Run a call; where it must wait until a long list of another program is written down, do that first."""
        while (reply := await run(self._client, call))[0] == b"adopt":
            await adopt(self._client, self._calls, session_id)
        return reply

    async def _edit_whole(self, command: EditMessage, mark: Mark | None, deadline: Deadline | None) -> Reply:
        """Edit a message of which the layout keeps one text: read it, and write it if nobody did so meanwhile."""
        session_id = command.session_id.encode()
        read = self._calls.read_some(session_id, (command.message_id,), command.user_id)
        while True:
            held = await run(self._client, read)
            check_outcome(held, command.session_id)
            if not held[2]:
                check_outcome([b"missing"] if not held[4] else held[4][0], command.session_id)
            message = self._reader(command.session_id).message(held[2][0], command.user_id)
            call = self._calls.edit_whole(command, mark, message)
            reply = await self._adopted(deadline.on(call) if deadline else call, session_id)
            if reply[0] != b"stale":
                return reply

    def _readable(self, reply: Reply, user_id: str, session_id: str) -> list[Message]:
        check_outcome(reply, session_id)
        messages, bad = self._reader(session_id).messages(reply[2], user_id)
        for error in bad:
            logger.warning("a message was left out: %s", error)
        for problem in reply[4]:
            logger.warning("a message was left out: cannot read %r: %r", problem[1], problem[2])
        return messages

    async def _look_up(self, user_id: str, places: Sequence[Place]) -> list[tuple[Place, Session]]:
        replies = await run_all(self._client, [self._calls.read_header(place.id, user_id) for place in places])
        found: list[tuple[Place, Session]] = []
        for place, reply in zip(places, replies, strict=True):
            if reply[0] == b"found":
                try:
                    found.append((place, _present(self._reader(place.id.decode()).session(reply[1]))))
                except LayoutError as error:
                    logger.warning("a session was left out of a list: %s", error)
        gone = [place.id for place, reply in zip(places, replies, strict=True) if reply[0] == b"missing"]
        await self._index.drop(old_user(self._calls.users, user_id), gone)
        return found

    async def _owners(self, session_ids: Sequence[bytes]) -> list[Owned]:
        replies = await run_all(self._client, [self._calls.read_header(name, None) for name in session_ids])
        found = ((name, reply) for name, reply in zip(session_ids, replies, strict=True) if reply[0] == b"found")
        return [Owned(reply[1][0], Place(name, float(reply[1][6]))) for name, reply in found if reply[1][6]]


def _present(session: Session | None) -> Session:
    assert session is not None, "the script answers `missing` where there is none"  # noqa: S101
    return session


def _check_same(command: CreateSession, session: Session | None) -> None:
    held = _present(session)
    if (held.title, held.metadata) != (command.title, command.metadata):
        raise ConflictError(f"the session id {command.session_id!r} is taken: choose another one")
