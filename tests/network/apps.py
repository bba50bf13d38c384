"""Routers over real servers, with a proxy before each side, and what tests ask of both kinds alike."""

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta

import pytest

from chatstore.chroma import ChromaClient, ChromaDocuments
from chatstore.errors import ChatStoreError
from chatstore.models import Embedding, Kind, NewDocument, NewMessage, Side, Stage, new_id, utc_now
from chatstore.redis import RedisChat, RedisDocuments, chat_layout, connect, document_layout
from chatstore.routing import (
    ROUTES,
    ChatRouter,
    DocumentRouter,
    Sides,
    StageResolver,
    chat_repairer,
    chat_replicator,
    document_repairer,
    document_replicator,
)
from chatstore.supabase import ServiceClient, SupabaseChat
from tests.conformance.factories.chroma import new_database
from tests.flags import Flags
from tests.log import told
from tests.network.proxy import Fault, Proxy, proxied

PATIENCE = 5.0
"""Seconds that clients here wait for an answer, and the second side's writes altogether, while all is well."""
SHORT = 0.25
"""The same while something is broken, so that nobody waits long for what will not come."""
EAST = Embedding.of([1, 0])


@dataclass
class App:
    """One app: its router, the flags that move it, the network to each side, and stores that no fault reaches."""

    kind: Kind
    router: ChatRouter | DocumentRouter
    flags: Flags
    network: dict[Side, Proxy]
    direct: Sides
    clients: dict
    padding: str = ""
    repairing: asyncio.Task | None = None

    @property
    def second(self):
        return first_of(self.flags._stage).other

    @property
    def counts(self):
        return self.router.replicator.counts

    async def break_by(self, side, fault):
        self.wait_at_most(SHORT, side)
        await self.network[side].break_by(fault)

    async def mend(self, side):
        await self.network[side].repair()
        self.wait_at_most(PATIENCE, side)

    def wait_at_most(self, seconds, side):
        for name in ("answer_within", "_answer_within", "_timeout"):
            if hasattr(self.clients[side], name):
                setattr(self.clients[side], name, seconds)
        if side is self.second:
            self.router.replicator._deadline = seconds

    async def open(self, user):
        """Make what `write` needs, and return its key."""
        return (await self.router.create_session(user)).id if self.kind is Kind.CHAT else ""

    async def write(self, user, key, text):
        """One write that may be repeated."""
        if self.kind is Kind.CHAT:
            await self.router.append(user, key, NewMessage("user", text + self.padding, id=f"{key}-{text}"))
        else:
            await self.router.upsert(user, NewDocument(text, id=f"{user}-{text}", embedding=EAST))

    async def read(self, user, key):
        return await self.read_from(self.router, user, key)

    async def read_from(self, store, user, key):
        if self.kind is Kind.CHAT:
            return [message.content.removesuffix(self.padding) for message in await store.messages(user, key)]
        return sorted(document.text for document in (await store.list_documents(user)).items)

    async def marks(self):
        return (await self.direct.backlog()).marks

    async def repair(self):
        """Merge all that is marked, as `chatstore repair` does."""
        return await (chat_repairer if self.kind is Kind.CHAT else document_repairer)(self.direct).run()

    def repair_in_the_background(self):
        """Do what `chatstore.open` does beside the app, over the app's own connections, but without its pauses."""
        repairer = chat_repairer if self.kind is Kind.CHAT else document_repairer

        async def watch(repairer):
            while True:
                with suppress(ChatStoreError):
                    await repairer.run()
                await asyncio.sleep(0.05)

        self.repairing = asyncio.create_task(watch(repairer(self.router.sides, one_sided=False)))


@asynccontextmanager
async def app(kind, stage, servers):
    """An app at a stage, over empty databases."""
    async with AsyncExitStack() as closing:
        urls = {Side.OLD: servers.redis, Side.NEW: servers.supabase if kind is Kind.CHAT else servers.chroma}
        network = {side: await closing.enter_async_context(proxied(url)) for side, url in urls.items()}
        name = None if kind is Kind.CHAT else new_database(servers.chroma)
        far, clients = await _sides(closing, servers, {side: proxy.url for side, proxy in network.items()}, name)
        near, _ = await _sides(closing, servers, urls, name)
        for side in Side:
            await near[side].journal.remember(verified_at=utc_now(), journal_open=True)
        flags = Flags(stage)
        made = App(kind, _router(kind, far, flags), flags, network, near, clients)
        try:
            yield made
        finally:
            if made.repairing is not None:
                made.repairing.cancel()
                await asyncio.gather(made.repairing, return_exceptions=True)
            await made.router.close()


async def _sides(closing, servers, urls, database):
    """Both stores, and their clients: of chat, or of documents when Chroma's database is named."""
    old = await closing.enter_async_context(connect(urls[Side.OLD], timeout=PATIENCE))
    if database is None:
        new = ServiceClient.connect(urls[Side.NEW], servers.secret_key, timeout=PATIENCE)
        closing.push_async_callback(new.close)
        return Sides(RedisChat(old, chat_layout("hash")), SupabaseChat(new)), {Side.OLD: old, Side.NEW: new}
    new = await closing.enter_async_context(ChromaClient.server(urls[Side.NEW], database=database, timeout=PATIENCE))
    return Sides(RedisDocuments(old, document_layout("hash")), ChromaDocuments(new)), {Side.OLD: old, Side.NEW: new}


def _router(kind, sides, flags):
    # These users are where they are for long: right after a flip a call does look at the other side, for a second.
    journals = [sides[side].journal for side in Side]
    stages = StageResolver(kind, journals, client=flags.client, refresh=0.5, settle=0.0)
    if kind is Kind.CHAT:
        router = ChatRouter(sides, stages, replicator=chat_replicator(sides))
    else:
        router = DocumentRouter(sides, stages, replicator=document_replicator(sides))
        # How long a repairer leaves a mark alone whose writer may be at work: no writer here works longer.
        router._lease = timedelta(seconds=0.3)
    router.replicator._rest = 0.3
    for missed in router.replicator._missed.values():
        missed._pause = 0.1
    return router


def first_of(stage):
    return ROUTES[stage].first


async def falls_behind_and_catches_up(made, illness):
    """Write while the second side is ill: nothing fails, and when it is well again it gets all of it."""
    second = made.second
    ann = user()
    key = await made.open(ann)
    await made.write(ann, key, "before")
    await made.router.replicator.drain()
    made.repair_in_the_background()
    async with told(f"the {second} side has all writes again"):
        async with illness:
            made.wait_at_most(SHORT, second)
            for i in range(8):
                await made.write(ann, key, f"text {i}")
            await made.router.replicator.drain()
            counts = made.counts
            assert counts.left > 0, "the second side took all of it"
            assert (counts.left + counts.dropped, counts.waiting) == (8, 0)
            assert await made.marks() > 0
        made.wait_at_most(PATIENCE, second)
    read = [await made.read_from(side, ann, key) for side in (made.direct.old, made.direct.new)]
    assert read[0] == read[1] == ["before", *(f"text {i}" for i in range(8))]


async def refuses_and_leaves_nothing_half(made, illness, refusal):
    """Write while the first side is ill: `refusal` is raised, and nothing of the write is found anywhere."""
    ann = user()
    key = await made.open(ann)
    await made.write(ann, key, "before")
    await made.router.replicator.drain()
    async with illness:
        made.wait_at_most(SHORT, made.second.other)
        with refusal:
            await made.write(ann, key, "meanwhile")
    made.wait_at_most(PATIENCE, made.second.other)
    await made.router.replicator.drain()
    assert await made.marks() == 0
    for side in (made.direct.old, made.direct.new):
        assert await made.read_from(side, ann, key) == ["before"]
    await made.write(ann, key, "meanwhile")
    assert sorted(await made.read(ann, key)) == ["before", "meanwhile"]


def user():
    return f"user-{new_id()}"


def every_fault(side):
    """A parameter list of kind, stage and fault: each fault on each server when it is written `first`, or second.

    Redis is that side twice, for chat and for documents: of the latter one fault will do.
    """
    return [
        pytest.param(kind, stage, fault, id=f"{kind}-{stage}-{fault!r}")
        for kind in Kind
        for stage in (Stage.DUALWRITE, Stage.LIVE)
        for fault in Fault
        if kind is Kind.CHAT
        or fault is Fault.RESET
        or (first_of(stage) if side == "first" else first_of(stage).other) is Side.NEW
    ]
