"""The chat router: a chat history store that stands before two."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from copy import copy
from typing import TYPE_CHECKING, Self

from chatstore.interfaces import ChatHistoryStore, ChatSide
from chatstore.models import (
    AppendMessages,
    ChatChange,
    ChatCommand,
    ChatWritten,
    DeleteMessages,
    EditMessage,
    Kind,
    Mark,
    Message,
    MessageOrder,
    Page,
    PopMessage,
    Session,
    Side,
    Stage,
)
from chatstore.models.checks import check_count, check_names, check_order
from chatstore.routing.flags.resolver import StageResolver
from chatstore.routing.merge import merge_chat
from chatstore.routing.protect import WritesUnderWay
from chatstore.routing.reads import RoutedReads
from chatstore.routing.replication import LINGER, Handover, OnPut, Replicator
from chatstore.routing.settle import settle
from chatstore.routing.shadow import ShadowReader
from chatstore.routing.sides import Sides
from chatstore.routing.stages import ROUTES, Route
from chatstore.routing.standing import still_standing

if TYPE_CHECKING:
    from chatstore.identity import UserToken


class ChatRouter(ChatHistoryStore):
    """Routes every call by the stage that it is served at. An app can't tell it from a single store.

    A write is acknowledged when the authoritative side has it, together with the mark that lets the other side be made
    equal whatever happens next. Cancelling a call cancels the waiting for it, never a write that has begun.

    Args:
        sides: The old and the new store.
        stages: Tells the stage of each call.
        replicator: Writes the second side; one with the defaults when left out.
        shadow: Compares reads; one with the defaults when left out.
    """

    def __init__(
        self,
        sides: Sides[ChatSide],
        stages: StageResolver,
        *,
        replicator: Replicator[ChatChange] | None = None,
        shadow: ShadowReader | None = None,
    ) -> None:
        self.sides = sides
        self.stages = stages
        self.replicator = replicator or chat_replicator(sides)
        self.shadow = shadow or ShadowReader()
        self._writes = WritesUnderWay()
        self._reads = RoutedReads(sides, stages, self.shadow, merge_chat, kind=Kind.CHAT, keys=1)

    def for_user(self, token: UserToken) -> Self:
        view = copy(self)
        view.sides = self.sides.for_user(token)
        view._reads = self._reads.through(view.sides)  # noqa: SLF001 - it is our own
        return view

    def turn(self, user_id: str, session_id: str = "") -> AbstractAsyncContextManager[Stage]:
        """Hold one stage for all calls inside: `async with chat.turn(user_id): ...`."""
        return self.stages.turn(user_id, session_id)

    async def write(self, command: ChatCommand) -> ChatWritten:
        stage = await self.stages.resolve(command.user_id, command.session_id, command.op)
        route, tracker = ROUTES[stage], self.stages.tracker
        if tracker is None:
            return await self._writes.run(self._write(route, command))
        with tracker.call(command.user_id, command.op, stage, route.first):
            return await self._writes.run(self._write(route, command))

    async def _write(self, route: Route, command: ChatCommand) -> ChatWritten:
        await self._reads.catch_up(route, command.user_id, [command.session_id])
        mark = Mark(
            key=command.session_id,
            user_id=command.user_id,
            side=route.first,
            op=command.op,
            message_ids=_concerned(command),
            while_open=route.second is None,
        )
        written = await self.sides[route.first].write(command, mark)
        if route.second is not None and written.change is not None:
            await self.replicator.hand_over(Handover(route.second, (written.change,), (mark,)))
        return written

    async def get_session(self, user_id: str, session_id: str) -> Session:
        check_names(user_id, session_id=session_id)
        return await self._reads("get_session", user_id, session_id, lambda side: side.get_session(user_id, session_id))

    async def list_sessions(self, user_id: str, *, limit: int = 50, after: str | None = None) -> Page[Session]:
        check_names(user_id)
        check_count(limit, "limit", least=1)
        return await self._reads(
            "list_sessions", user_id, None, lambda side: side.list_sessions(user_id, limit=limit, after=after)
        )

    async def messages(
        self, user_id: str, session_id: str, *, after: MessageOrder | None = None, limit: int | None = None
    ) -> list[Message]:
        check_names(user_id, session_id=session_id)
        check_order(after, "after")
        if limit is not None:
            check_count(limit, "limit")
        return await self._reads(
            "messages", user_id, session_id, lambda side: side.messages(user_id, session_id, after=after, limit=limit)
        )

    async def last_messages(
        self, user_id: str, session_id: str, count: int, *, before: MessageOrder | None = None
    ) -> list[Message]:
        check_names(user_id, session_id=session_id)
        check_order(before, "before")
        check_count(count, "count")
        return await self._reads(
            "last_messages",
            user_id,
            session_id,
            lambda side: side.last_messages(user_id, session_id, count, before=before),
        )

    async def count_messages(self, user_id: str, session_id: str) -> int:
        check_names(user_id, session_id=session_id)
        return await self._reads(
            "count_messages", user_id, session_id, lambda side: side.count_messages(user_id, session_id)
        )

    async def close(self) -> None:
        await self._writes.finish()
        await self.replicator.close()
        await self.shadow.close()
        await self.stages.close()
        await self.sides.close()


def chat_replicator(
    sides: Sides[ChatSide],
    *,
    inline: bool = False,
    deadline: float = 5.0,
    linger: float = LINGER,
    on_put: OnPut | None = None,
) -> Replicator[ChatChange]:
    """Return a replicator between the sides of a chat store; see `Replicator` for the other arguments."""

    async def put(side: Side, changes: Sequence[ChatChange]) -> None:
        await sides[side].put(changes)

    async def clear(marks: Sequence[Mark]) -> Sequence[Mark]:
        return await settle(sides, marks, exclusive=False)

    async def standing(marks: Sequence[Mark]) -> Sequence[Mark]:
        return await still_standing(sides, marks)

    return Replicator(put, clear, standing, inline=inline, deadline=deadline, linger=linger, on_put=on_put)


def _concerned(command: ChatCommand) -> tuple[str, ...] | None:
    """Return which messages a merge must look at for a command; None for any of the session's."""
    match command:
        case AppendMessages(messages=messages):
            return tuple(message.id for message in messages)
        case EditMessage(message_id=message_id):
            return (message_id,)
        case DeleteMessages(message_ids=message_ids):
            return message_ids
        case PopMessage():
            return None
        case _:  # The session's header says it all: its fields, its deletion, `cleared`.
            return ()
