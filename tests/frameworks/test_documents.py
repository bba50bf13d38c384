"""A framework and chatstore on the same documents: each finds what the other wrote, on the way to Chroma and back."""

from dataclasses import replace

import pytest

from chatstore.models import Embedding, Kind, NewDocument, Side, Stage, utc_now
from chatstore.routing import DocumentRouter, Sides, StageResolver
from tests.flags import Flags
from tests.frameworks import dumps
from tests.frameworks.conversations import DOCUMENTS
from tests.frameworks.embedding import embed
from tests.frameworks.scenarios import redisvl_schema
from tests.redis.documents.conftest import OWNER, raw

_SCHEMA = [{"name": "page", "type": "numeric"}, {"name": "tag", "type": "tag"}, {"name": "title", "type": "text"}]
_COMMUNITY = {"numeric": [{"name": "page"}, {"name": "score"}], "tag": [{"name": "tag"}], "text": [{"name": "title"}]}

# By a name: the framework, the layout, the index, and the options of the framework's calls.
STORES = {
    "langchain": ("langchain", "langchain", "tea", {"index": "tea", "index_schema": _COMMUNITY}),
    "langchain-float64": (
        "langchain",
        "langchain",
        "tea",
        {"index": "tea", "index_schema": _COMMUNITY, "vector_schema": {"algorithm": "FLAT", "datatype": "FLOAT64"}},
    ),
    "langchain-redis": ("langchain-redis", "langchain-redis", "tea", {"index": "tea", "metadata_schema": _SCHEMA}),
    "langchain-redis-json": (
        "langchain-redis",
        "langchain-redis",
        "tea",
        {"index": "tea", "metadata_schema": _SCHEMA, "storage_type": "json"},
    ),
    "langchain-js": ("langchain-js", "langchain-js", "tea", {"index": "tea"}),
    "langchain-js-schema": (
        "langchain-js",
        "langchain-js",
        "tea",
        {"index": "tea", "customSchema": {"page": {"type": "NUMERIC"}, "tag": {"type": "TAG"}}},
    ),
    "langchain-js-fluent": (
        "langchain-js",
        "langchain-js",
        "tea",
        {"index": "tea", "fluent": True, "customSchema": _SCHEMA},
    ),
    "llamaindex": (
        "llamaindex",
        "llamaindex",
        "tea",
        {"index": "tea", "fields": [{"type": "numeric", "name": "page"}, {"type": "tag", "name": "tag"}]},
    ),
    "redisvl": ("redisvl", "redisvl", "tea_hash_float16", {"schema": redisvl_schema("hash", "float16")}),
    "redisvl-json": ("redisvl", "redisvl", "tea_json_float64", {"schema": redisvl_schema("json", "float64")}),
}


class Shop:
    """An app with a framework on its documents."""

    def __init__(self, name, framework, url):
        self.framework, self.layout, self.index, self.options = STORES[name]
        self._it = framework(self.framework)
        self._url = url

    def write(self, documents):
        self._it.call(
            "write_documents", url=self._url, documents=[self._row(each) for each in documents], **self.options
        )

    def found(self, text):
        """Return what the framework finds, nearest first, as texts with metadata that have no types of their own."""
        options = dict(self.options)
        if self.framework == "redisvl":
            options["return_fields"] = ["content", "title", "page"]
        found = self._it.call("search_documents", url=self._url, text=text, k=9, **options)
        return [(each.get("text", each.get("content")), _plain(each.get("metadata", each))) for each in found]

    def _row(self, each):
        if self.framework != "redisvl":
            return {name: value for name, value in each.items() if name != "id" or self.framework == "llamaindex"}
        return {"content": each["text"], **each["metadata"], "user": OWNER, "embed": {"embedding": each["text"]}}


def _plain(metadata):
    return {name: str(metadata[name]) for name in ("title", "page") if metadata.get(name) is not None}


def new(text, title, page, tag):
    metadata = {"title": title, "page": page, "tag": tag}
    return NewDocument(text, embedding=Embedding.of(embed(text)), metadata=metadata)


async def router(opened, stage):
    sides = Sides(opened.old, opened.new)
    for side in Side:
        await sides[side].journal.remember(verified_at=utc_now(), journal_open=True)
    journals = [sides[side].journal for side in Side]
    return DocumentRouter(sides, StageResolver(Kind.DOCUMENTS, journals, client=Flags(stage).client))


@pytest.mark.parametrize("name", STORES)
async def test_a_framework_finds_what_chatstore_wrote_and_chatstore_what_the_framework_did(
    name, framework, search_redis, app, world
):
    shop = Shop(name, framework, search_redis)
    left = dumps.take(app, lambda: shop.write(DOCUMENTS[:2]) or {})
    opened = await world(shop.layout, index=shop.index)
    await opened.move()

    # Before and after the reads move over, each side has what is written to either.
    for stage, text in ((Stage.DUALWRITE, "Oolong is half oxidised. 🍵"), (Stage.LIVE, 'Pu-erh: "ripe" — old.')):
        store = await router(opened, stage)
        await store.upsert(OWNER, new(text, f"{stage}: a-b", 7, "half"))
        [known] = [one for one in (await store.list_documents(OWNER)).items if one.text == DOCUMENTS[1]["text"]]
        changed = {**known.metadata, "page": 70 if stage is Stage.LIVE else 71}
        edited = NewDocument(
            known.text,
            id=known.id,
            embedding=known.embedding,
            metadata=changed,
            created_at=known.created_at,
            extra=known.extra,
        )
        await store.upsert(OWNER, edited)
        await store.replicator.drain()
        await store.replicator.close()
        await store.shadow.close()
        shown = {"title": f"{stage}: a-b", "page": "7"}
        assert shop.found(text)[0] == (text, shown)
        assert shop.found(known.text)[0][1] == _plain(changed)
    await opened.prove()

    # What the framework writes meanwhile arrives, too.
    shop.write(DOCUMENTS[2:])
    await opened.move()
    [match] = await opened.new.search(OWNER, Embedding.of(embed(DOCUMENTS[2]["text"])), k=1)
    assert match.document.text == DOCUMENTS[2]["text"]
    before, found = raw(app), shop.found(DOCUMENTS[0]["text"])
    assert len(found) == len(before) == 5

    # Back in a Redis that was emptied, the framework finds all of it again.
    app.flushall()
    for command in left.indexes:
        app.execute_command(*command)
    await opened.move_back()
    assert shop.found(DOCUMENTS[0]["text"]) == found
    assert raw(app) == before


@pytest.mark.parametrize("name", STORES)
async def test_what_a_framework_writes_anew_is_newer_than_what_it_wrote(name, framework, search_redis, app, world):
    shop = Shop(name, framework, search_redis)
    shop.write(DOCUMENTS[:1])
    opened = await world(shop.layout, index=shop.index)
    await opened.move()
    [key] = raw(app)
    [change] = [one async for page in opened.old.scan() for one in page.changes]
    document = change.document
    # As the framework would: the key, with another text.
    if app.type(key) == b"hash":
        app.hset(key, opened.old._layout.content, "another text")
    else:
        app.execute_command("JSON.SET", key, f"$.{opened.old._layout.content}", '"another text"')
    await opened.move()
    assert (await opened.new.get(OWNER, document.id)).text == "another text"
    again = await opened.old.get(OWNER, document.id)
    assert again.version > document.version
    assert replace(again, text=document.text, version=document.version) == document
