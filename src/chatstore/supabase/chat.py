"""Chat history in Supabase: `public.sessions` and `public.messages`."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from chatstore.errors import InvalidRecordError, NotFoundError
from chatstore.interfaces import ChatSide
from chatstore.models import (
    ChatChange,
    ChatCommand,
    ChatCount,
    ChatWritten,
    Mark,
    Message,
    MessageOrder,
    Page,
    ScanPage,
    Session,
    Side,
    Swept,
    from_micros,
)
from chatstore.models.paging import parse_place, place_behind
from chatstore.supabase.client import SupabaseClient
from chatstore.supabase.journal import SupabaseJournal
from chatstore.supabase.states import put_requests
from chatstore.supabase.wire import (
    change_from_row,
    command_to_row,
    message_from_row,
    session_from_row,
    written_from_row,
)

TokenOf: TypeAlias = Callable[[str], Awaitable[str]]
"""Gives the token of the user with this id, on whose behalf the app makes the call."""

_PAGE: Final = 1000
_SESSIONS_A_FETCH: Final = 500


class SupabaseChat(ChatSide):
    """The new side of a chat migration, or an app's only store.

    A write is one request and one transaction, with its mark; so is the usual read. Writes to one session wait for
    each other in the database.
    """

    side = Side.NEW

    def __init__(self, client: SupabaseClient, *, token_of: TokenOf | None = None) -> None:
        """Use a client; it stays open when the store is closed.

        Args:
            client: With the secret key, if the store is to be a side of a migration; an app that only needs what
                `ChatHistoryStore` offers can give one with a user's token.
            token_of: If given, what an app asks for is asked with that user's own token, so that row-level security
                holds whatever the app does wrong. The id of a session that another user had and deleted is then
                taken. `put`, `fetch`, `scan`, `count` and the journal still use the client's key.
        """
        self._client = client
        self._token_of = token_of
        self.journal = SupabaseJournal(client)

    async def write(self, command: ChatCommand, mark: Mark | None = None) -> ChatWritten:
        client = await self._acting(command.user_id)
        return written_from_row(command, await client.call("chatstore_write", command_to_row(command, mark)))

    async def get_session(self, user_id: str, session_id: str) -> Session:
        return session_from_row(await self._ask("chatstore_session", user_id, session_id))

    async def list_sessions(self, user_id: str, *, limit: int = 50, after: str | None = None) -> Page[Session]:
        client = await self._acting(user_id)
        behind: dict[str, object] = {}
        if after is not None:
            micros, before_id = parse_place(after)
            behind = {"before": from_micros(micros).isoformat(), "before_id": before_id}
        # One more than asked for tells whether there is a next page.
        rows = await client.call("chatstore_sessions", {"user_id": user_id, "limit": limit + 1, **behind})
        page = tuple(session_from_row(row) for row in rows[:limit])
        if len(rows) <= limit or not page:
            return Page(page, None)
        return Page(page, place_behind(page[-1].updated_at, page[-1].id))

    async def messages(
        self, user_id: str, session_id: str, *, after: MessageOrder | None = None, limit: int | None = None
    ) -> list[Message]:
        found: list[Message] = []
        while True:
            room = _PAGE if limit is None else min(_PAGE, limit - len(found))
            behind = {} if after is None else {"after": after[0], "after_id": after[1]}
            answer = await self._ask("chatstore_messages", user_id, session_id, limit=room, **behind)
            found += [message_from_row(row) for row in answer["messages"]]
            if not answer["more"] or len(found) == limit:
                return found
            after = found[-1].order

    async def last_messages(
        self, user_id: str, session_id: str, count: int, *, before: MessageOrder | None = None
    ) -> list[Message]:
        found: list[Message] = []
        while True:
            room = min(_PAGE, count - len(found))
            ahead = {} if before is None else {"before": before[0], "before_id": before[1]}
            answer = await self._ask("chatstore_last_messages", user_id, session_id, limit=room, **ahead)
            found = [message_from_row(row) for row in answer["messages"]] + found
            if not answer["more"] or len(found) == count:
                return found
            before = found[0].order

    async def count_messages(self, user_id: str, session_id: str) -> int:
        return int(await self._ask("chatstore_count_messages", user_id, session_id))

    async def put(self, changes: Sequence[ChatChange]) -> None:
        for request in put_requests(changes):
            await self._client.do("chatstore_put", request)

    async def fetch(
        self, session_ids: Sequence[str], *, message_ids: Sequence[str] | None = None
    ) -> AsyncIterator[ScanPage[ChatChange]]:
        only = {} if message_ids is None else {"message_ids": list(message_ids)}
        for start in range(0, len(session_ids), _SESSIONS_A_FETCH):
            named = {"session_ids": list(session_ids[start : start + _SESSIONS_A_FETCH]), **only}
            async for page in self._states(named, None):
                yield page

    async def scan(self, cursor: str | None = None) -> AsyncIterator[ScanPage[ChatChange]]:
        start = None if cursor is None else _cursor_from_text(cursor, "after_session", "after", "after_id")
        async for page in self._states({}, start):
            yield page

    async def count(self) -> ChatCount:
        row = await self._client.call("chatstore_count")
        return ChatCount(row["sessions"], row["messages"])

    async def sweep(self, *, limit: int = 10_000) -> Swept:
        return Swept(**await self._client.call("chatstore_sweep", {"limit": limit}))

    async def close(self) -> None:
        """Nothing is under way: the client is its maker's to close."""

    async def _states(
        self, wanted: Mapping[str, object], start: Mapping[str, object] | None
    ) -> AsyncIterator[ScanPage[ChatChange]]:
        following = start or {}
        while following is not None:
            answer = await self._client.call("chatstore_states", {"limit": _PAGE, **wanted, **following})
            following = answer["next"]
            cursor = None if following is None else json.dumps(following)
            yield ScanPage(tuple(change_from_row(part) for part in answer["parts"]), (), cursor)

    async def _ask(self, function: str, user_id: str, session_id: str, **wanted: object) -> Any:
        """Read something of a session; null is the answer for one that the user does not have."""
        client = await self._acting(user_id)
        answer = await client.call(function, {"user_id": user_id, "session_id": session_id, **wanted})
        if answer is None:
            raise NotFoundError(f"there is no session {session_id!r} of this user")
        return answer

    async def _acting(self, user_id: str) -> SupabaseClient:
        return self._client if self._token_of is None else self._client.as_user(await self._token_of(user_id))


def _cursor_from_text(cursor: str, *fields: str) -> dict[str, object]:
    try:
        value = json.loads(cursor)
        return {field: value[field] for field in fields if field in value}
    except (ValueError, TypeError) as error:
        raise InvalidRecordError("the cursor is none that this store gave") from error
