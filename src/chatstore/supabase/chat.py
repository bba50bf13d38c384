"""Chat history in Supabase: `public.sessions` and `public.messages`."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from copy import copy
from typing import Any, Final, Self, TypeAlias

from chatstore.errors import InvalidRecordError, NotFoundError, TokenRefusedError
from chatstore.identity import UserToken
from chatstore.interfaces import ChatSide
from chatstore.models import (
    ChatChange,
    ChatCommand,
    ChatCount,
    ChatWritten,
    KeyPage,
    Mark,
    Message,
    MessageOrder,
    Page,
    ScanPage,
    ServerLoad,
    Session,
    Side,
    Swept,
    from_micros,
)
from chatstore.models.checks import check_count, check_names, check_order
from chatstore.models.paging import parse_place, place_behind
from chatstore.supabase import text
from chatstore.supabase.client import ServiceClient, SupabaseClient, UserClient, require_service
from chatstore.supabase.columns import changes_from_text
from chatstore.supabase.functions import Functions
from chatstore.supabase.journal import SupabaseJournal
from chatstore.supabase.states import put_requests
from chatstore.supabase.wire import (
    command_to_row,
    message_from_row,
    session_from_row,
    written_from_row,
)

TokenOf: TypeAlias = Callable[[str], Awaitable[str | UserToken]]
"""Gives the token of the user with this id, on whose behalf the app makes the call; a text must be verified already."""

_PAGE: Final = 1000
_KEYS: Final = 1000
_SESSIONS_A_FETCH: Final = 500


class SupabaseChat(ChatSide):
    """The new side of a chat migration, or an app's only store.

    A write is one request and one transaction, with its mark; so is the usual read. Writes to one session wait for
    each other in the database.
    """

    side = Side.NEW

    def __init__(
        self, client: ServiceClient, *, token_of: TokenOf | None = None, bulk: Functions | None = None
    ) -> None:
        """Use a client; it stays open when the store is closed.

        Args:
            client: With the secret key.
            token_of: If given, what an app asks for is asked with that user's own token, so that row-level security
                holds whatever the app does wrong. The id of a session that another user had and deleted is then
                taken. `put`, `fetch`, `keys`, `count` and the journal still use the client's key.
            bulk: If given, the way that what a migration moves goes past the API: `put`, `fetch`, `keys`, `proved` and
                `count`. It stays open, too.

        Raises:
            ConfigurationError: The client is a user's: for what one user may do, there is `for_user`.
        """
        self._client = require_service(client, "a chat store in Supabase")
        self._bulk = bulk or client
        self._token_of = token_of
        self._user: UserClient | None = None
        self.journal = SupabaseJournal(client)

    def for_user(self, token: UserToken) -> Self:
        """Return this store as one user has it: what the app asks of it goes out with the user's token.

        What a migration and the journal need still has the client's key, as with `token_of`.
        """
        view = copy(self)
        view._user = self._client.as_user(token)  # noqa: SLF001 - it is our own
        return view

    def for_service(self) -> Self:
        view = copy(self)
        view._token_of = view._user = None  # noqa: SLF001 - it is our own
        return view

    async def write(self, command: ChatCommand, mark: Mark | None = None) -> ChatWritten:
        client = await self._acting(command.user_id)
        return written_from_row(command, await client.call("chatstore_write", command_to_row(command, mark)))

    async def get_session(self, user_id: str, session_id: str) -> Session:
        check_names(user_id, session_id=session_id)
        return session_from_row(await self._ask("chatstore_session", user_id, session_id))

    async def list_sessions(self, user_id: str, *, limit: int = 50, after: str | None = None) -> Page[Session]:
        check_names(user_id)
        check_count(limit, "limit", least=1)
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
        check_names(user_id, session_id=session_id)
        check_order(after, "after")
        if limit is not None:
            check_count(limit, "limit")
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
        check_names(user_id, session_id=session_id)
        check_order(before, "before")
        check_count(count, "count")
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
        check_names(user_id, session_id=session_id)
        return int(await self._ask("chatstore_count_messages", user_id, session_id))

    async def put(self, changes: Sequence[ChatChange]) -> None:
        for request in put_requests(changes):
            await self._bulk.do_text("chatstore_put_columns", request)

    async def fetch(
        self, session_ids: Sequence[str], *, message_ids: Sequence[str] | None = None
    ) -> AsyncIterator[ScanPage[ChatChange]]:
        only = {} if message_ids is None else {"message_ids": list(message_ids)}
        for start in range(0, len(session_ids), _SESSIONS_A_FETCH):
            wanted = {"limit": _PAGE, "session_ids": list(session_ids[start : start + _SESSIONS_A_FETCH]), **only}
            following: Mapping[str, object] | None = {}
            while following is not None:
                changes, following = await self._states({**wanted, **following})
                yield ScanPage(tuple(changes), (), None)

    async def keys(self, cursor: str | None = None) -> AsyncIterator[KeyPage[str]]:
        last = None if cursor is None else _last_from_cursor(cursor)
        while True:
            ids = await self._bulk.call("chatstore_session_ids", {"limit": _KEYS, "after": last})
            last = ids[-1] if len(ids) == _KEYS else None
            yield KeyPage(tuple(ids), (), None if last is None else json.dumps({"after_session": last}))
            if last is None:
                return

    async def held_by(self, user_id: str) -> AsyncIterator[Sequence[str]]:
        last: str | None = None
        while True:
            ids = await self._client.call("chatstore_held", {"user_id": user_id, "limit": _KEYS, "after": last})
            yield ids
            if len(ids) < _KEYS:
                return
            last = ids[-1]

    async def proved(self, fingerprints: Mapping[str, str]) -> Mapping[str, int]:
        request = {"ids": list(fingerprints), "fingerprints": list(fingerprints.values())}
        answer = await self._bulk.call("chatstore_proved", request)
        return dict(zip(answer["ids"], answer["messages"], strict=True))

    async def count(self) -> ChatCount:
        row = await self._bulk.call("chatstore_count")
        return ChatCount(row["sessions"], row["messages"])

    async def sweep(self, *, limit: int = 10_000) -> Swept:
        return Swept(**await self._client.call("chatstore_sweep", {"limit": limit}))

    async def load(self) -> ServerLoad:
        """Return how long a call takes that reads nothing; Supabase's API does not tell how busy its Postgres is."""
        begun = time.perf_counter()
        await self._client.schema_version()
        return ServerLoad(latency=time.perf_counter() - begun)

    async def close(self) -> None:
        """Nothing is under way: the client is its maker's to close."""

    async def _states(self, request: Mapping[str, object]) -> tuple[list[ChatChange], Mapping[str, object] | None]:
        answer = await self._bulk.ask("chatstore_state_columns", text.dump(request))
        try:
            return changes_from_text(answer)
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise self._bulk.not_ours() from error

    async def _ask(self, function: str, user_id: str, session_id: str, **wanted: object) -> Any:
        """Read something of a session; null is the answer for one that the user does not have."""
        client = await self._acting(user_id)
        answer = await client.call(function, {"user_id": user_id, "session_id": session_id, **wanted})
        if answer is None:
            raise NotFoundError(f"there is no session {session_id!r} of this user")
        return answer

    async def _acting(self, user_id: str) -> SupabaseClient:
        """Return the client for what the app asks on behalf of a user.

        Raises:
            TokenRefusedError: The token is another user's, or none, or has expired.
        """
        user = self._user
        if user is None:
            if self._token_of is None:
                return self._client
            given = await self._token_of(user_id)
            user = self._client.as_user(given if isinstance(given, UserToken) else UserToken.verified_elsewhere(given))
        if user.user_id != user_id:
            raise TokenRefusedError("the token is of another user than the one whose records were asked for")
        return user


def _last_from_cursor(cursor: str) -> str:
    try:
        return str(json.loads(cursor)["after_session"])
    except (ValueError, TypeError, KeyError) as error:
        raise InvalidRecordError("the cursor is none that this store gave") from error
