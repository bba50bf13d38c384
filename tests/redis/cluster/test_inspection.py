"""An inspection looks at every node of a cluster."""

from chatstore.models import Embedding, NewDocument, NewMessage
from chatstore.redis import RedisChat, RedisDocuments, chat_layout, connect, document_layout
from chatstore.redis.inspection import Count, Options, inspect


async def test_it_sees_what_is_on_every_node_and_reads_it(redis_cluster):
    async with connect(redis_cluster.url) as client:
        chat = RedisChat(client, chat_layout("langchain"))
        documents = RedisDocuments(client, document_layout("hash"))
        for i in range(30):
            await chat.create_session("ann", session_id=f"s{i}")
            await chat.append("ann", f"s{i}", NewMessage("user", "x"))
            await documents.upsert("ann", NewDocument("x", id=f"d{i}", embedding=Embedding.of([1.0])))
        found = await inspect(client, Options(sample=None))
    told = {(group.layout, group.sessions, group.documents, group.records.read) for group in found.groups}
    assert told == {("langchain", Count(30), Count(0), 30), ("hash", Count(0), Count(30), 30)}
    assert [one.records.quarantined for one in found.groups] == [[], []]
    assert sum(one.records.messages_read for one in found.groups) == 30
    assert found.gaps == []
