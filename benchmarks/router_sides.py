"""Sides and flags for the benchmarks of the router: a store that does nothing, or late, and one stage for all."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from openfeature import api
from openfeature.client import OpenFeatureClient
from openfeature.provider.in_memory_provider import InMemoryFlag, InMemoryProvider

from chatstore.errors import UnavailableError
from chatstore.interfaces import ChatSide
from chatstore.models import (
    AppendMessages,
    ChatChange,
    ChatCommand,
    ChatWritten,
    Kind,
    Mark,
    Message,
    NewMessage,
    Side,
    Stage,
    new_id,
    utc_now,
)
from chatstore.routing import FLAGS, ChatRouter, Sides, StageResolver
from chatstore.testing import MemoryChat

USER, SESSION = "alice", "session"


class Nothing(MemoryChat):
    """A side that has its answers ready, and keeps nothing.

    Args:
        side: Which one.
        late: After how many seconds a put and a read answer.
        dead: Whether they fail at once.
    """

    answer: list[Message]
    written: ChatWritten

    def __init__(self, side: Side, *, late: float = 0.0, dead: bool = False) -> None:
        super().__init__(side)
        self._late = late
        self._dead = dead

    async def prepare(self) -> None:
        """Have the answers to `APPEND` and to a read made by a store in memory."""
        real = MemoryChat(self.side)
        await real.create_session(USER, session_id=SESSION)
        self.written = await real.write(APPEND)
        self.answer = await real.messages(USER, SESSION)
        await self.journal.remember(verified_at=utc_now(), journal_open=True)

    async def write(self, command: ChatCommand, mark: Mark | None = None) -> ChatWritten:
        del command, mark
        return self.written

    async def put(self, changes: Sequence[ChatChange]) -> None:
        del changes
        await self._trouble()

    async def last_messages(self, *arguments: Any, **options: Any) -> list[Message]:
        del arguments, options
        await self._trouble()
        return self.answer

    async def _trouble(self) -> None:
        if self._late:
            await asyncio.sleep(self._late)
        if self._dead:
            raise UnavailableError("it refuses the connection (by the benchmark's order)")


APPEND = AppendMessages(user_id=USER, session_id=SESSION, messages=(NewMessage(role="user", content="How are you?"),))


def client_at(stage: Stage) -> OpenFeatureClient:
    """Return a client whose provider has everybody at a stage."""
    domain = f"benchmark-{new_id()}"
    variants = {each.value: each.value for each in Stage}
    flags = {name: InMemoryFlag(stage.value, variants) for name in FLAGS.values()}
    api.set_provider_and_wait(InMemoryProvider(flags), domain)
    return api.get_client(domain=domain)


def router_at(stage: Stage, old: ChatSide, new: ChatSide) -> ChatRouter:
    """Return a router as it is some time after the last flip, when reads look for no marks any more."""
    journals = [old.journal, new.journal]
    return ChatRouter(Sides(old, new), StageResolver(Kind.CHAT, journals, client=client_at(stage), settle=0.0))
