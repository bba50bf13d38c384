"""The whole way on real servers: backfill and verify, beside live writes, from every old side to every new one."""

import asyncio
import itertools
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest

from chatstore.migration import (
    BackfillOptions,
    VerifyOptions,
    backfill_chat,
    backfill_documents,
    verify_chat,
    verify_documents,
)
from chatstore.models import (
    ChatChange,
    DeleteMessages,
    DeleteSession,
    EditMessage,
    Embedding,
    NewDocument,
    Side,
    UpdateSession,
    UpsertDocuments,
)
from chatstore.routing import Sides, chat_repairer, document_repairer
from tests.conformance.registry import named
from tests.migration.doubles import (
    ChatWorld,
    DocumentWorld,
    append,
    chat_content,
    create,
    document_content,
    legacy_document,
    legacy_session,
    upsert,
)

OLD = ("memory", "redis")
ONE_OF_CLUSTER = {"CHAT": "redis-cluster-langchain", "DOCUMENTS": "redis-cluster-hash"}
QUICK_BACKFILL = BackfillOptions(batch=50)
QUICK_VERIFY = VerifyOptions(batch=50, wait=0.05, proof_one_in=5)


def pairs(kind: str, news: tuple[str, ...]) -> list[tuple[str, str]]:
    names = named(kind)
    olds = [name for name in names if name.startswith(OLD) and not name.endswith("new")]
    # Of a cluster one layout of each kind tells as much as all.
    olds = [name for name in olds if not name.startswith("redis-cluster") or name == ONE_OF_CLUSTER[kind]]
    return [pair for pair in itertools.product(olds, news) if set(pair) <= set(names)]


def with_own_ids(change: ChatChange) -> ChatChange:
    """Return a session whose messages' ids no other session has: some layouts keep all messages in one place."""
    messages = (replace(message, id=f"{change.session_id}.{message.id}") for message in change.messages)
    return replace(change, messages=tuple(messages))


@pytest.mark.parametrize(("old", "new"), pairs("CHAT", ("supabase",)))
async def test_chat_moves_beside_live_writes_and_back(request: pytest.FixtureRequest, old: str, new: str) -> None:
    progress = named("PROGRESS")[old.partition("-")[0]]
    async with AsyncExitStack() as servers:
        old_side = await servers.enter_async_context(named("CHAT")[old](request))
        new_side = await servers.enter_async_context(named("CHAT")[new](request))
        if old_side.side is not Side.OLD:
            pytest.skip("cannot be the old side")
        world = ChatWorld(old=old_side, new=new_side, progress=await servers.enter_async_context(progress(request)))
        repair = chat_repairer(Sides(old_side, new_side), progress=world.progress).run
        await new_side.count()  # Supabase's lightweight server cannot take its first two requests at once.
        texts = ["héllo", "nul \x00 inside", "", "x" * 5000]
        await old_side.put([with_own_ids(legacy_session(f"s{number}", *texts)) for number in range(60)])
        await old_side.put([with_own_ids(legacy_session("long", *map(str, range(2500))))])

        async def app() -> None:
            for number in range(20):
                await world.write(old_side, append(f"s{number}", "live"))
                await world.write_both(append(f"s{number}", "both"))
                await world.write_both(UpdateSession(user_id="u", session_id=f"s{number + 20}", title="live"))
                edit = EditMessage(
                    user_id="u", session_id=f"s{number + 20}", message_id=f"s{number + 20}.m0", content="edited"
                )
                await world.write(old_side, edit)
                await world.write(old_side, DeleteSession(user_id="u", session_id=f"s{number + 40}"))
                gone = DeleteMessages(user_id="u", session_id="long", message_ids=(f"long.m{number * 100}",))
                await world.write_both(gone)
                await world.write(old_side, create(f"new{number}", "new"))

        report, _ = await asyncio.gather(
            backfill_chat(old_side, new_side, world.progress, repair=repair, options=QUICK_BACKFILL), app()
        )
        assert report.complete
        verified = await verify_chat(old_side, new_side, world.progress, repair=repair, options=QUICK_VERIFY)
        assert verified.differences == ()
        assert await chat_content(new_side) == await chat_content(old_side)

        # And back: what only the new side has, and what it deleted, is on the old one afterwards.
        await world.write(new_side, append("s1", "on the new side"))
        await world.write(new_side, DeleteSession(user_id="u", session_id="s2"))
        await backfill_chat(new_side, old_side, world.progress, repair=repair, options=QUICK_BACKFILL)
        verified = await verify_chat(old_side, new_side, world.progress, repair=repair, options=QUICK_VERIFY)
        assert verified.differences == ()
        assert await chat_content(new_side) == await chat_content(old_side)

        # A change behind the journals' back is found.
        await new_side.write(EditMessage(user_id="u", session_id="s1", message_id="s1.m1", content="changed"))
        await new_side.write(DeleteMessages(user_id="u", session_id="long", message_ids=("long.m2222",)))
        verified = await verify_chat(old_side, new_side, world.progress, repair=repair, options=QUICK_VERIFY)
        found = {(difference.key, difference.field) for difference in verified.differences}
        assert {("session/s1/message/s1.m1", "content"), ("session/long/message/long.m2222", "message")} <= found


@pytest.mark.parametrize(("old", "new"), pairs("DOCUMENTS", ("chroma-embedded", "chroma-server")))
async def test_documents_move_beside_live_writes_and_back(request: pytest.FixtureRequest, old: str, new: str) -> None:
    async with named("DOCUMENTS")[old](request) as old_side, named("DOCUMENTS")[new](request) as new_side:
        if old == "memory":
            old_side.side = Side.OLD
        world = DocumentWorld(old=old_side, new=new_side)
        repair = document_repairer(Sides(old_side, new_side), progress=world.progress).run
        await old_side.put(
            [legacy_document(f"d{n}", f"text {n}", 1.0, n / 7, 2.0, user=f"user|{n % 3}") for n in range(150)]
        )

        async def app() -> None:
            for number in range(5):
                await world.write(old_side, upsert(f"live{number}", "live"))
                edited = NewDocument("edited", id=f"d{number * 3}", embedding=Embedding.of([number, 2.0, 1.0]))
                await world.write(old_side, UpsertDocuments(user_id="user|0", documents=(edited,)))
                await asyncio.sleep(0.01)

        report, _ = await asyncio.gather(
            backfill_documents(old_side, new_side, world.progress, repair=repair, options=QUICK_BACKFILL), app()
        )
        assert report.complete
        verified = await verify_documents(old_side, new_side, world.progress, repair=repair, options=QUICK_VERIFY)
        assert verified.differences == ()
        assert verified.proved > 0
        assert await document_content(new_side) == await document_content(old_side)

        await world.write(new_side, upsert("only here", "on the new side"))
        back = replace(QUICK_BACKFILL, settle_seconds=0)
        await backfill_documents(new_side, old_side, world.progress, repair=repair, options=back)
        assert await document_content(new_side) == await document_content(old_side)

        await new_side.write(upsert("live0", "behind the journal's back"))
        verified = await verify_documents(old_side, new_side, world.progress, repair=repair, options=QUICK_VERIFY)
        assert ("document/u/live0", "text") in {(d.key, d.field) for d in verified.differences}
