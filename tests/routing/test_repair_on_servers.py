"""Repairs on real servers: several share the work, and what is written to one side only can be merged at once."""

import asyncio

import pytest

from chatstore.chroma import ChromaClient, ChromaDocuments
from chatstore.models import CreateSession, Embedding, Kind, Mark, NewDocument, Side, Stage, UpsertDocuments
from chatstore.redis import RedisChat, RedisDocuments, chat_layout, connect, document_layout
from chatstore.routing import DocumentRouter, Sides, StageResolver, chat_repairer, document_repairer
from chatstore.supabase import ServiceClient, SupabaseChat
from tests.conformance.factories.chroma import new_database
from tests.flags import Flags
from tests.routing.pair import verified

REPAIRERS = 3
SESSIONS = 160
DOCUMENTS = 500


@pytest.fixture
async def chat(redis_database, settings):
    async with connect(redis_database) as client:
        supabase = ServiceClient.connect(settings.supabase_url, settings.supabase_secret_key)
        yield Sides(RedisChat(client, chat_layout("hash")), SupabaseChat(supabase))
        await supabase.close()


@pytest.fixture
async def documents(redis_database, chroma_url):
    async with (
        connect(redis_database) as client,
        ChromaClient.server(chroma_url, database=new_database(chroma_url)) as chroma,
    ):
        yield Sides(RedisDocuments(client, document_layout("hash")), ChromaDocuments(chroma))


def counted(side):
    """Count how many records a side is given to join."""
    puts, joined = side.put, []

    async def put(changes):
        joined.extend(changes)
        await puts(changes)

    side.put = put
    return joined


async def repaired(repairer, sides):
    """What several at once came to, and how many records they joined into the new side until nothing was marked."""
    joined = counted(sides.new)
    reports = await asyncio.gather(*(repairer(sides).run() for _ in range(REPAIRERS)))
    while (await sides.old.journal.backlog()).marks:
        # Keys at which two of them met.
        assert (await repairer(sides).run()).merged
    return reports, len(joined)


async def test_sessions_are_shared(chat, namespace):
    for number in range(SESSIONS):
        command = CreateSession(user_id=namespace, session_id=f"{namespace}-{number}")
        await chat.old.write(command, Mark(key=command.session_id, user_id=namespace, side=Side.OLD, op="create"))
    reports, joined = await repaired(chat_repairer, chat)
    assert SESSIONS <= joined < 1.5 * SESSIONS
    assert min(report.merged for report in reports) > SESSIONS / 10


async def test_documents_are_shared(documents, namespace):
    new = [NewDocument(id=str(n), text="t", embedding=Embedding.of([float(n), 1.0])) for n in range(DOCUMENTS)]
    marks = [Mark(key=document.id, user_id=namespace, side=Side.OLD, op="upsert") for document in new]
    await documents.old.write(UpsertDocuments(user_id=namespace, documents=tuple(new)), marks)
    reports, joined = await repaired(document_repairer, documents)
    assert DOCUMENTS <= joined < 1.5 * DOCUMENTS
    assert min(report.merged for report in reports) > DOCUMENTS / 10


@pytest.mark.parametrize("stage", [Stage.COMPLETE, Stage.OFF])
async def test_a_repair_right_after_a_write_to_one_side_merges_it(documents, namespace, stage):
    await verified(documents)
    journals = [documents[side].journal for side in Side]
    router = DocumentRouter(documents, StageResolver(Kind.DOCUMENTS, journals, client=Flags(stage).client))
    new = [NewDocument(id=name, text="t", embedding=Embedding.of([1.0, 2.0])) for name in ("a", "b")]
    await router.upsert(namespace, new)
    await router.delete(namespace, ["b"])
    await router._writes.finish()
    report = await document_repairer(documents).run()
    assert (report.merged, report.left, (await documents.backlog()).marks) == (3, 0, 0)
    for side in Side:
        assert [document.id for document in (await documents[side].list_documents(namespace)).items] == ["a"]
