"""An app opened over a cluster: by a URL, by its own client, and as a user with the least rights."""

import pytest
import redis.asyncio

import chatstore
from chatstore.models import Embedding, NewDocument, NewMessage
from chatstore.redis import RedisChat, RedisDocuments, chat_layout, connect, document_layout
from chatstore.redis.access import Purpose, acl_rules
from chatstore.settings import load_settings

VECTOR = Embedding.of([1.0, 0.0])
USER = "cluster-user"


async def used(stores):
    session = await stores.chat.create_session("ann", title="t")
    await stores.chat.append("ann", session.id, NewMessage("user", "hello"))
    [message] = await stores.chat.last_messages("ann", session.id, 5)
    assert message.content == "hello"
    await stores.documents.upsert("ann", NewDocument("x", id="d", embedding=VECTOR))
    [match] = await stores.documents.search("ann", VECTOR)
    assert match.document.id == "d"
    assert [one.id for one in (await stores.chat.list_sessions("ann")).items] == [session.id]
    await stores.documents.delete("ann", ["d"])
    await stores.chat.delete_session("ann", session.id)
    assert (await stores.chat.list_sessions("ann")).items == ()


async def test_by_a_url_and_by_its_own_client(redis_cluster):
    async with chatstore.open(load_settings(redis_url=redis_cluster.url, layout="chatstore")) as stores:
        await used(stores)
    async with (
        redis.asyncio.RedisCluster(host="127.0.0.1", port=redis_cluster.nodes[0].port) as client,
        chatstore.open(load_settings(layout="chatstore"), redis=client) as stores,
    ):
        await used(stores)
        assert await client.ping()


@pytest.fixture
def user(redis_cluster):
    """The URL of a user with the rights of the router, on every node."""
    rules = acl_rules(Purpose.ROUTER, chat_layout("chatstore"), document_layout("hash"), cluster=True)
    for node in redis_cluster.nodes:
        node.ask("ACL", "SETUSER", USER, *rules, "on", ">secret")
        node.ask("ACL", "LOG", "RESET")
    yield redis_cluster.url.replace("://", f"://{USER}:secret@")
    for node in redis_cluster.nodes:
        node.ask("ACL", "DELUSER", USER)


async def test_the_rights_that_are_printed_for_a_cluster_are_enough(user, redis_cluster):
    settings = load_settings(redis_url=user, chat_layout="chatstore", document_layout="hash")
    async with chatstore.open(settings) as stores:
        await used(stores)
        for side in (stores.chat, stores.documents):
            assert [page async for page in side.scan()]
            await side.journal.marks(limit=1)
    assert [node.ask("ACL", "LOG") for node in redis_cluster.nodes] == [[], [], []]


@pytest.mark.parametrize("prefix", ["a*[b]?:", "{tag}:", "x{y", "}{", "{}:"])
async def test_a_prefix_of_any_characters_stands_for_itself(redis_cluster, redis_database, scanned, prefix):
    for url in (redis_cluster.url, redis_database):
        async with connect(url) as client:
            chat = RedisChat(client, chat_layout("langchain", prefix=prefix))
            documents = RedisDocuments(client, document_layout("hash", prefix=f"d{prefix}"))
            await client.ask_all([("RPUSH", "axb:1", "x"), ("HSET", "da-b:1", "a", "b")])
            for name in ("1", "{2}", "3*"):
                await chat.create_session("ann", session_id=name)
                await chat.append("ann", name, NewMessage("user", name))
                await documents.upsert("ann", NewDocument(name, id=name, embedding=VECTOR))
            for side, wanted in ((chat, "session_id"), (documents, "key")):
                changes, bad = await scanned(side)
                names = [getattr(change, wanted) for change in changes]
                assert sorted(getattr(name, "id", name) for name in names) == ["1", "3*", "{2}"]
                assert bad == []
            assert [one.id for one in (await chat.list_sessions("ann")).items] == ["3*", "{2}", "1"]
            assert await documents.count_documents("ann") == 3
