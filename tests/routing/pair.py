"""A router over two stores in memory, and ways to break one of them."""

import asyncio
from contextlib import contextmanager

from chatstore.errors import UnavailableError
from chatstore.models import Kind, Side, Stage, utc_now
from chatstore.routing import (
    ChatRouter,
    DocumentRouter,
    Sides,
    StageResolver,
    chat_replicator,
    document_replicator,
)
from chatstore.testing import MemoryChat, MemoryDocuments
from tests.flags import Flags


class Breakable:
    """Mixed into a store: while `broken`, every put fails; while `hold` is set, puts wait for it.

    `held` is set when one does.
    """

    broken = False
    hold = None

    def __init__(self, side):
        super().__init__(side)
        self.held = asyncio.Event()

    async def put(self, changes):
        if self.hold is not None:
            self.held.set()
            await self.hold.wait()
        if self.broken:
            raise UnavailableError("the server is away (by the test's order)")
        await super().put(changes)


class BreakableChat(Breakable, MemoryChat):
    pass


class BreakableDocuments(Breakable, MemoryDocuments):
    pass


@contextmanager
def neither_side_takes_puts(sides):
    """Whichever side comes second misses what is written meanwhile."""
    sides.old.broken = sides.new.broken = True
    yield
    sides.old.broken = sides.new.broken = False


async def verified(sides):
    for side in Side:
        await sides[side].journal.remember(verified_at=utc_now(), journal_open=True)


async def chat_pair(stage=Stage.DUALWRITE, *, inline=True):
    """A chat router, and the flags that move it."""
    sides = Sides(BreakableChat(Side.OLD), BreakableChat(Side.NEW))
    await verified(sides)
    return router_over(sides, flags := Flags(stage), inline=inline), flags


def router_over(sides, flags, *, inline=True, **options):
    """Another process's router over the same two stores."""
    stages = StageResolver(
        Kind.CHAT, [sides[side].journal for side in Side], client=flags.client, refresh=0.0, **options
    )
    return ChatRouter(sides, stages, replicator=chat_replicator(sides, inline=inline))


async def document_pair(stage=Stage.DUALWRITE, *, inline=True):
    """A document router, and the flags that move it."""
    sides = Sides(BreakableDocuments(Side.OLD), BreakableDocuments(Side.NEW))
    await verified(sides)
    flags = Flags(stage)
    stages = StageResolver(Kind.DOCUMENTS, [sides[side].journal for side in Side], client=flags.client)
    return DocumentRouter(sides, stages, replicator=document_replicator(sides, inline=inline)), flags


async def contents(side, user_id, session_id):
    return [message.content for message in await side.messages(user_id, session_id)]


async def state_of(side):
    """All that a side holds, to compare with the other's."""
    return sorted([change async for page in side.scan() for change in page.changes], key=str)


async def marks_of(sides):
    return (await sides.backlog()).marks
