"""What a framework writes while a migration is under way is marked, and none of our own writes is taken for it."""

import random

import pytest

from chatstore.backends import Backends
from chatstore.errors import ConfigurationError
from chatstore.models import DeleteDocuments, Embedding, Kind, NewDocument, Side, UpsertDocuments
from chatstore.ownership import FieldOwners, SoleOwner
from chatstore.redis import RedisDocuments, connect, document_layout, foreign_documents
from chatstore.settings import load_settings
from chatstore.testing import MemoryDocuments
from tests.frameworks import dumps
from tests.frameworks.embedding import DIMENSIONS, embed
from tests.redis.documents.conftest import OWNER, raw
from tests.redis.notifications.watching import watching

LAYOUTS = {
    "langchain-redis": ("langchain-redis-documents-hash", "tea"),
    "langchain-redis-json": ("langchain-redis-documents-json", "tea"),
    "redisvl": ("redisvl-documents-hash", "tea_hash_float16"),
}


def layout_of(case, owners):
    return document_layout(
        case.removesuffix("-json"), index=LAYOUTS[case][1] if case in LAYOUTS else "set", owners=owners
    )


@pytest.fixture
async def client(search_redis, app):
    app.config_set("notify-keyspace-events", "KA")
    async with connect(search_redis) as client:
        yield client


@pytest.mark.parametrize("case", LAYOUTS)
async def test_none_of_our_own_writes_is_taken_for_another_programs(client, app, case):
    left = dumps.load(LAYOUTS[case][0])
    for command in left.indexes:
        app.execute_command(*command)
    rng, memory = random.Random(8), MemoryDocuments(Side.NEW)
    documents = RedisDocuments(client, layout_of(case, None))
    async with watching(foreign_documents, client, layout_of(case, FieldOwners("user"))) as watched:
        for step in range(100):
            names = rng.sample("abcdef", rng.randint(1, 3))
            vector = Embedding.of([step] * DIMENSIONS)
            new = tuple(NewDocument(id=name, text=f"at {step}", embedding=vector) for name in names)
            deletion = DeleteDocuments(user_id="ann", ids=tuple(names))
            side = rng.choice([documents, memory])
            written = await side.write(rng.choice([UpsertDocuments(user_id="ann", documents=new), deletion]))
            await (memory if side is documents else documents).put(written.changes)
            async for _ in documents.scan():
                pass
        prefix = documents._layout.prefix.decode()
        if case.endswith("json"):
            app.execute_command("JSON.SET", f"{prefix}theirs", "$", '{"text": "x", "user": "bob"}')
        else:
            app.hset(f"{prefix}theirs", mapping={documents._layout.content: "x", "user": "bob"})
        assert await watched.next() == ("bob", "theirs")
        assert watched.none_is_left
    await documents.close()


@pytest.mark.parametrize("case", [*LAYOUTS, "vector-set"])
async def test_redis_and_the_definition_in_memory_converge(client, app, case):
    for command in dumps.load(LAYOUTS[case][0]).indexes if case in LAYOUTS else ():
        app.execute_command(*command)
    rng, memory = random.Random(9), MemoryDocuments(Side.NEW)
    documents = RedisDocuments(client, layout_of(case, SoleOwner("ann")))
    changes = []
    for step in range(150):
        name = rng.choice("abcd")
        vector = Embedding.of([step + 0.1] * DIMENSIONS)
        new = NewDocument(f"at {step}", id=name, embedding=vector, title=str(step), metadata={"n": step, "x": [step]})
        side = rng.choice([documents, memory])
        command = rng.choice(
            [UpsertDocuments(user_id="ann", documents=(new,)), DeleteDocuments(user_id="ann", ids=(name,))]
        )
        changes.append(await side.write(command))
        # Late, twice, or in another order.
        for written in rng.sample(changes, min(2, len(changes))):
            await rng.choice([documents, memory]).put(written.changes)
    everything = [change for written in changes for change in written.changes]
    for side in (documents, memory):
        rng.shuffle(everything)
        await side.put(everything)
    assert (await documents.list_documents("ann")).items == (await memory.list_documents("ann")).items
    await documents.close()


async def test_the_settings_open_a_layout_of_documents(search_redis, app):
    dumps.load("langchain-redis-documents-json").restore(app)
    before = raw(app)
    given = {"redis_url": search_redis, "document_layout": "langchain-redis", "document_owners": f"all:{OWNER}"}
    async with Backends(load_settings(**given, document_index="tea")) as backends:
        documents = await backends.old_documents()
        assert await documents.count() == len(before)
        [match] = await documents.search(OWNER, Embedding.of(embed("White tea is dried. 🍵")), k=1)
        assert match.document.metadata["title"] == "White tea"
        assert backends.foreign_writes(Kind.DOCUMENTS) is not None
    async with Backends(load_settings(**given)) as backends:
        with pytest.raises(ConfigurationError, match="CHATSTORE_DOCUMENT_INDEX"):
            await (await backends.old_documents()).count()
    async with Backends(load_settings(**given | {"document_layout": "vector-set"}, document_index="set")) as backends:
        assert backends.foreign_writes(Kind.DOCUMENTS) is None, "the server does not tell of them"
