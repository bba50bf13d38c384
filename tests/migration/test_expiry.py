"""What expires, before, during and after a migration: it is carried as it is, and nothing of it comes back."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis

from chatstore.chroma import ChromaDocuments
from chatstore.migration import (
    BackfillOptions,
    DocumentsSwept,
    VerifyOptions,
    backfill_chat,
    backfill_documents,
    sweep_chat,
    sweep_documents,
    verify_chat,
    verify_documents,
)
from chatstore.migration.announced import put_announced
from chatstore.models import (
    AppendMessages,
    ChatChange,
    CreateSession,
    DocumentChange,
    DocumentKey,
    Kind,
    NewMessage,
    Side,
    Swept,
    utc_now,
)
from chatstore.redis import RedisProgress
from chatstore.routing import Sides, chat_repairer, document_repairer
from chatstore.testing import MemoryChat, MemoryDocuments
from tests.conformance.registry import named
from tests.migration.doubles import ChatWorld, DocumentWorld, Once, Watched, legacy_document, legacy_session

QUICK = BackfillOptions(batch=3, settle_seconds=0)
QUICK_VERIFY = VerifyOptions(batch=50, wait=0.05)
HOUR = timedelta(hours=1)
LONG = datetime(2100, 1, 1, tzinfo=UTC)


class Clock:
    """Both servers' time."""

    def __init__(self) -> None:
        self.time = utc_now()

    def __call__(self) -> datetime:
        return self.time

    async def pass_time(self) -> None:
        self.time += 2 * HOUR


@pytest.fixture
def clock() -> Clock:
    return Clock()


def chats(clock: Clock) -> list[ChatChange]:
    """Return sessions and messages that expire in an hour, each beside others that do not: the names say which."""
    kept, short = legacy_session("kept", *"abc"), legacy_session("short", *"abc")
    soon = clock.time + HOUR
    assert short.session is not None
    first, second, third = kept.messages
    messages = (first, replace(second, expires_at=soon), replace(third, expires_at=LONG))
    return [
        replace(kept, messages=messages),
        replace(short, session=replace(short.session, expires_at=soon)),
        *(legacy_session(f"s{number}", "a") for number in range(6)),
    ]


def documents(clock: Clock) -> list[DocumentChange]:
    """Return documents of which `short` expires in an hour."""
    short = legacy_document("short")
    assert short.document is not None
    return [
        replace(short, document=replace(short.document, expires_at=clock.time + HOUR)),
        *(legacy_document(f"d{number}") for number in range(6)),
    ]


async def chats_of(side: Any) -> dict[str, list[str]]:
    return {c.session_id: [m.id for m in c.messages] async for page in side.scan() for c in page.changes}


async def documents_of(side: Any) -> set[str]:
    return {change.key.id async for page in side.scan() for change in page.changes}


OTHERS = {f"s{number}": ["m0"] for number in range(6)}
WHOLE = {"kept": ["m0", "m1", "m2"], "short": ["m0", "m1", "m2"], **OTHERS}
LEFT = {"kept": ["m0", "m2"], **OTHERS}

BOTH_WAYS = pytest.mark.parametrize("way", [Side.OLD, Side.NEW], ids=["there", "back"])


@BOTH_WAYS
@pytest.mark.parametrize("moment", [("keys", "before"), ("fetch", "page")], ids=["before", "during"])
async def test_what_expires_before_or_during_a_migration_is_not_on_the_other_side(
    clock: Clock, way: Side, moment: tuple[str, str]
) -> None:
    world = ChatWorld(old=MemoryChat(Side.OLD, now=clock), new=MemoryChat(Side.NEW, now=clock))
    source, target = (world.old, world.new) if way is Side.OLD else (world.new, world.old)
    await source.put(chats(clock))
    # What was there of it before, is there unseen.
    await target.put(chats(clock))
    assert await chats_of(source) == await chats_of(target) == WHOLE
    watched: Any = Watched(source, Once(*moment, clock.pass_time).told)
    await backfill_chat(watched, target, world.progress, repair=world.repair, options=QUICK)
    assert await chats_of(source) == await chats_of(target) == LEFT
    assert await sweep_chat(source) == Swept(sessions=1, messages=4)
    await backfill_chat(source, target, world.progress, repair=world.repair, options=QUICK)
    assert await chats_of(target) == LEFT


@BOTH_WAYS
@pytest.mark.parametrize("moment", [("keys", "before"), ("changes", "after")], ids=["before", "during"])
async def test_documents_too(clock: Clock, way: Side, moment: tuple[str, str]) -> None:
    world = DocumentWorld(old=MemoryDocuments(Side.OLD, now=clock), new=MemoryDocuments(Side.NEW, now=clock))
    source, target = (world.old, world.new) if way is Side.OLD else (world.new, world.old)
    await source.put(documents(clock))
    assert "short" in await documents_of(source)
    watched: Any = Watched(source, Once(*moment, clock.pass_time).told)
    await backfill_documents(watched, target, world.progress, repair=world.repair, options=QUICK)
    left = {f"d{number}" for number in range(6)}
    assert await documents_of(source) == await documents_of(target) == left
    assert await sweep_documents(source) == DocumentsSwept(documents=1)
    await backfill_documents(source, target, world.progress, repair=world.repair, options=QUICK)
    assert await documents_of(target) == left


async def test_a_document_that_is_brought_while_its_expired_self_is_swept_is_there_or_marked(
    request: pytest.FixtureRequest,
) -> None:
    async with named("DOCUMENTS")["chroma-embedded"](request) as before:
        old, key = MemoryDocuments(Side.OLD), DocumentKey("u", "d")
        change = legacy_document("d")
        assert change.document is not None
        gone = replace(change.document, expires_at=utc_now() + HOUR)
        await before.put([DocumentChange(key=key, document=gone)])
        client = before._collections._client
        new: Any = ChromaDocuments(client, now=lambda: utc_now() + 2 * HOUR)
        await old.put([DocumentChange(key=key, document=replace(gone, version=gone.version + 2, expires_at=None))])
        # In another process somebody brings it at the worst moment: Chroma has looked what to remove.
        elsewhere = Sides(old, ChromaDocuments(client))
        remove = new._holdings.remove

        async def remove_late(keys: Any, *, where: Any = None) -> None:
            await put_announced(elsewhere, Side.OLD, [key], op="repair")
            await remove(keys)

        new._holdings.remove = remove_late
        assert await sweep_documents(new, old) == DocumentsSwept(documents=1)
        assert (await old.journal.backlog()).marks + (await new.journal.backlog()).marks > 0
        new._holdings.remove = remove
        await document_repairer(Sides(old, new)).run()
        assert await documents_of(new) == {"d"}
        assert [(await side.journal.backlog()).marks for side in (old, new)] == [0, 0]


@pytest.fixture
def app(redis_database: str) -> Any:
    with redis.Redis.from_url(redis_database) as client:
        yield client


def soon() -> datetime:
    return utc_now() + timedelta(seconds=1)


async def until(time: datetime) -> None:
    await asyncio.sleep(max(0.0, (time - utc_now()).total_seconds()) + 0.05)


def same_states(held: list[Any], other: list[Any]) -> bool:
    return sorted(held, key=repr) == sorted(other, key=repr)


async def states_of(side: Any) -> list[Any]:
    return [change async for page in side.scan() for change in page.changes]


@pytest.mark.parametrize("layout", ["redis-hash", "redis-chatstore"])
async def test_a_way_back_brings_the_expiries_and_nothing_that_has_expired(
    request: pytest.FixtureRequest, app: Any, layout: str
) -> None:
    async with named("CHAT")[layout](request) as old, named("CHAT")["supabase"](request) as new:
        await new.count()  # Supabase's lightweight server cannot take its first two requests at once.
        world = ChatWorld(old, new, RedisProgress(old.journal._client, Kind.CHAT))  # type: ignore[arg-type]
        repair = chat_repairer(Sides(old, new), progress=world.progress).run
        gone = soon()
        messages = [("stays", None), ("goes later", LONG), ("goes soon", gone)]
        new_messages = tuple(NewMessage("user", text, id=text, expires_at=at) for text, at in messages)
        for command in (
            CreateSession(user_id="u", session_id="kept"),
            AppendMessages(user_id="u", session_id="kept", messages=new_messages),
            CreateSession(user_id="u", session_id="long", expires_at=LONG),
            AppendMessages(user_id="u", session_id="long", messages=(NewMessage("user", "in it", id="in it"),)),
            CreateSession(user_id="u", session_id="short", expires_at=gone),
            AppendMessages(user_id="u", session_id="short", messages=(NewMessage("user", "in it", id="in short"),)),
        ):
            await world.write(old, command)
        await backfill_chat(old, new, world.progress, repair=repair, options=QUICK)
        assert (await verify_chat(old, new, world.progress, repair=repair, options=QUICK_VERIFY)).equal
        before = await states_of(new)
        await until(gone)
        app.flushdb()
        for _ in range(2):
            await backfill_chat(new, old, world.progress, repair=repair, options=QUICK)
            assert (await verify_chat(old, new, world.progress, repair=repair, options=QUICK_VERIFY)).equal
            assert await chats_of(old) == {"kept": ["stays", "goes later"], "long": ["in it"]}
            assert same_states(await states_of(old), await states_of(new))
            await old.put(before)  # What is late.
            await sweep_chat(new)
            await new.put(before)
        if layout == "redis-hash":
            expires = {key: app.pexpiretime(key) for key in ("session:kept", "session:long", "message:in it")}
            expires |= {key: app.pexpiretime(key) for key in ("message:stays", "message:goes later")}
            late = int(LONG.timestamp() * 1000)
            assert expires == {
                "session:kept": -1, "message:stays": -1, "message:goes later": late,
                "session:long": late, "message:in it": late,
            }  # fmt: skip
            assert not app.exists("session:short", "message:in short", "message:goes soon")


@pytest.mark.parametrize("layout", ["redis-hash", "redis-chatstore"])
async def test_a_way_back_of_documents_brings_the_expiries_and_nothing_that_has_expired(
    request: pytest.FixtureRequest, app: Any, layout: str
) -> None:
    async with named("DOCUMENTS")[layout](request) as old, named("DOCUMENTS")["chroma-server"](request) as new:
        world = DocumentWorld(old, new, RedisProgress(old.journal._client, Kind.DOCUMENTS))  # type: ignore[arg-type]
        repair = document_repairer(Sides(old, new), progress=world.progress).run
        gone = soon()
        made: list[DocumentChange] = []
        for name, at in (("stays", None), ("later", LONG), ("soon", gone)):
            change = legacy_document(name)
            assert change.document is not None
            made.append(replace(change, document=replace(change.document, expires_at=at)))
        await old.put(made)
        await backfill_documents(old, new, world.progress, repair=repair, options=QUICK)
        if await new.count() < 3:
            pytest.skip("this machine is too slow to copy a document before it expires")
        await until(gone)
        assert (await verify_documents(old, new, world.progress, repair=repair, options=QUICK_VERIFY)).equal
        app.flushdb()
        for removed in (1, 0):
            await backfill_documents(new, old, world.progress, repair=repair, options=QUICK)
            assert (await verify_documents(old, new, world.progress, repair=repair, options=QUICK_VERIFY)).equal
            assert await documents_of(old) == {"stays", "later"}
            assert same_states(await states_of(old), await states_of(new))
            await old.put(made)  # What is late.
            assert await sweep_documents(new, old) == DocumentsSwept(documents=removed)
            await new.put(made)
        assert await new.count() == 2
        assert [(await side.journal.backlog()).marks for side in (old, new)] == [0, 0]
        if layout == "redis-hash":
            late = int(LONG.timestamp() * 1000)
            assert [app.pexpiretime(f"document:{name}") for name in ("stays", "later", "soon")] == [-1, late, -2]
