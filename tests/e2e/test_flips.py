"""Every flip, on real servers, under a user's running writes and reads in two processes that flip one after the other."""

import asyncio
from dataclasses import dataclass, field, replace

import pytest

from chatstore.backends import Backends
from chatstore.errors import NotFoundError
from chatstore.models import DocumentKey, Embedding, Kind, NewDocument, NewMessage, Side, Stage, utc_now
from chatstore.routing import (
    ChatRouter,
    DocumentRouter,
    StageResolver,
    chat_repairer,
    chat_replicator,
    document_repairer,
    document_replicator,
)
from chatstore.settings import load_settings
from tests.conformance.factories.chroma import new_database
from tests.flags import Flags
from tests.leases import let_leases_run_out

ROUNDS = 4
FIRST_FLIPS, SECOND_FLIPS = 1, 2


@pytest.fixture
def layout():
    """How the chats lie in Redis."""
    return "hash"


@pytest.fixture
async def two_processes(redis_database, settings, empty_supabase, layout):
    """The stores of two processes, each with connections of its own."""
    database = new_database(settings.chroma_url)
    own = load_settings(
        redis_url=redis_database,
        chat_layout=layout,
        supabase_url=settings.supabase_url,
        supabase_secret_key=settings.supabase_secret_key,
        chroma_url=settings.chroma_url,
        chroma_database=database,
    )
    # The sessions are made by chatstore, which knows whose they are.
    owners = None if layout == "hash" else lambda key: None
    async with Backends(own, owners=owners) as one, Backends(own, owners=owners) as other:
        yield one, other


async def nothing_but_verified(sides):
    """Where a migration stands when no stage was served yet: so that only the flips themselves say where to look."""
    for side in Side:
        await sides[side].journal.forget_state()
        await sides[side].journal.remember(verified_at=utc_now(), journal_open=True)


@dataclass
class Process:
    """A process that serves one user.

    Attributes:
        said: The ids of what it wrote, in this order.
    """

    router: ChatRouter | DocumentRouter
    flags: Flags
    user: str
    said: list = field(default_factory=list)

    @classmethod
    def start(cls, sides, stage, user, *, busy):
        flags, replicator = Flags(stage), cls.replicator(sides)
        if busy:
            # Its queue is full at all times, so that its marks stay and only merges bring its writes over.
            replicator._capacity = 0
        stages = StageResolver(cls.kind, [sides[side].journal for side in Side], client=flags.client)
        return cls(cls.routing(sides, stages, replicator=replicator), flags, user)

    def flip(self, stage):
        self.flags._stage = stage

    async def flip_meanwhile(self, stage):
        """Flip when it is between the stage of its write and the write itself."""
        await asyncio.sleep(0)
        self.flip(stage)

    async def stop(self):
        await self.router.replicator.close()
        await self.router.shadow.close()
        await self.router.stages.close()


class ChatProcess(Process):
    kind, routing, replicator = Kind.CHAT, ChatRouter, staticmethod(chat_replicator)

    async def say(self, session_id, text):
        """Write, and read what was written here, in this order."""
        [message] = await self.router.append(self.user, session_id, NewMessage("user", text))
        self.said.append(message.id)
        assert [name for name in await self.reads(session_id) if name in self.said] == self.said

    async def reads(self, session_id):
        return [message.id for message in await self.router.messages(self.user, session_id)]


async def flip_chats(two_processes, before, after):
    sides = [await backends.chat_sides() for backends in two_processes]
    await nothing_but_verified(sides[0])
    user = f"{before} to {after}"
    one, other = (ChatProcess.start(both, before, user, busy=n == 0) for n, both in enumerate(sides))
    session = (await one.router.create_session(user, title="first")).id
    doomed = (await one.router.create_session(user)).id
    await one.say(session, "start")
    [unwanted] = await one.router.append(user, session, NewMessage("user", "unwanted"))

    for number in range(ROUNDS):
        if number == SECOND_FLIPS:
            other.flip(after)
        turns = [one.say(session, f"one {number}"), other.say(session, f"other {number}")]
        if number == FIRST_FLIPS:
            turns.append(one.flip_meanwhile(after))
        await asyncio.gather(*turns)
        if number == FIRST_FLIPS:
            await one.router.delete_messages(user, session, [unwanted.id])
            assert unwanted.id not in await one.reads(session)
            await one.router.update_session(user, session, title="second")
            await other.router.delete_session(user, doomed)

    everything = {*one.said, *other.said}
    for process in (one, other):
        assert set(await process.reads(session)) == everything
        assert (await process.router.get_session(user, session)).title == "second"
        with pytest.raises(NotFoundError):
            await process.router.get_session(user, doomed)
    assert await one.reads(session) == await other.reads(session)
    for process in (one, other):
        await process.stop()
    await chat_repairer(sides[0]).run()
    old, new = [await _state_of(sides[0][side], [session, doomed]) for side in Side]
    assert old == new
    assert {message.id for change in old for message in change.messages} == everything


async def _state_of(side, session_ids):
    return sorted([change async for page in side.fetch(session_ids) for change in page.changes], key=repr)


@pytest.mark.parametrize("before", list(Stage))
@pytest.mark.parametrize("layout", ["hash", "langchain"])
async def test_chats_through_every_flip(two_processes, before):
    for after in Stage:
        await flip_chats(two_processes, before, after)


class DocumentProcess(Process):
    kind, routing, replicator = Kind.DOCUMENTS, DocumentRouter, staticmethod(document_replicator)

    async def save(self, number):
        """Write a document, and find what was written here."""
        vector = Embedding.of([1, number, len(self.said)])
        [document] = await self.router.upsert(self.user, NewDocument(f"text {number}", embedding=vector))
        self.said.append(document.id)
        assert set(self.said) <= await self.found()

    async def found(self):
        return {match.document.id for match in await self.router.search(self.user, Embedding.of([1, 0, 0]), k=50)}


async def flip_documents(two_processes, before, after):
    sides = [await backends.document_sides() for backends in two_processes]
    await nothing_but_verified(sides[0])
    user = f"{before} to {after}"
    one, other = (DocumentProcess.start(both, before, user, busy=n == 0) for n, both in enumerate(sides))
    edited, doomed = [NewDocument(text, embedding=Embedding.of([1, 1, 1])) for text in ("draft", "doomed")]
    await one.router.upsert(user, [edited, doomed])
    await asyncio.gather(one.save(1), other.save(1), one.flip_meanwhile(after))
    await one.router.upsert(user, replace(edited, text="final"))
    await one.router.delete(user, [doomed.id])
    other.flip(after)
    await asyncio.gather(one.save(2), other.save(2))

    everything = {*one.said, *other.said, edited.id}
    for process in (one, other):
        assert await process.found() == everything
        assert (await process.router.get(user, edited.id)).text == "final"
        await process.stop()
    await let_leases_run_out(sides[0])
    assert (await document_repairer(sides[0]).run()).left == 0
    keys = [DocumentKey(user, name) for name in (*everything, doomed.id)]
    old, new = [sorted((await sides[0][side].changes(keys)).changes, key=lambda change: change.key) for side in Side]
    assert old == new
    assert {change.key.id for change in old if change.document is not None} == everything


@pytest.mark.parametrize("before", list(Stage))
async def test_documents_through_every_flip(two_processes, before):
    for after in Stage:
        await flip_documents(two_processes, before, after)


async def test_what_a_flip_leaves_half_done_in_chroma_is_read_at_once_on_the_old_side(two_processes):
    sides, _ = [await backends.document_sides() for backends in two_processes]
    await nothing_but_verified(sides)
    process = DocumentProcess.start(sides, Stage.DUALWRITE, "u", busy=False)
    document = NewDocument("draft", embedding=Embedding.of([1, 0, 0]))
    await process.router.upsert("u", document)
    await process.router.replicator.drain()
    process.router.replicator._capacity = 0
    process.flip(Stage.LIVE)
    await process.router.upsert("u", replace(document, text="final"))
    [mark] = await sides.new.journal.marks_of("u")
    assert mark.lease_until is not None
    process.flip(Stage.DUALWRITE)
    async with asyncio.timeout(10):
        assert (await process.router.get("u", document.id)).text == "final"
    await process.stop()


async def test_a_turn_is_served_by_one_side_through_a_flip(two_processes):
    one, other = [await backends.chat_sides() for backends in two_processes]
    await nothing_but_verified(one)
    here = ChatProcess.start(one, Stage.DUALWRITE, "u", busy=True)
    there = ChatProcess.start(other, Stage.LIVE, "u", busy=True)
    session = (await here.router.create_session("u")).id
    async with here.router.turn("u", session) as held:
        await here.say(session, "question")
        here.flip(Stage.LIVE)
        await here.say(session, "answer")
        # What the turn does not see yet: a process that has flipped already wrote it to the new side.
        await there.say(session, "beside")
        assert (held, await here.reads(session)) == (Stage.DUALWRITE, here.said)
    assert set(await here.reads(session)) == {*here.said, *there.said}
    versions = {message.id: message.version for message in await here.router.messages("u", session)}
    assert [versions[name] % 2 for name in (*here.said, *there.said)] == [0, 0, 1]
    for process in (here, there):
        await process.stop()
