"""Whose a document is, in layouts that do not say: by a mapping, else by what chatstore wrote, else nobody's."""

import json

import pytest

from chatstore.errors import ConfigurationError, ConflictError, LayoutError, NotFoundError
from chatstore.models import Document, DocumentChange, DocumentKey, Embedding, NewDocument, from_micros
from chatstore.ownership import FieldOwners, MappedOwners, MappedUsers, load_owners
from chatstore.redis import RedisDocuments, document_layout
from tests.frameworks import dumps
from tests.frameworks.embedding import embed

# By a name: the dump, the layout, its index, and how one of its documents says that it is of the user "ann".
SAYING = {
    "langchain": ("langchain-documents", "langchain", "tea", ("tag", "ann")),
    "langchain-redis": (
        "langchain-redis-documents-hash",
        "langchain-redis",
        "tea",
        ("_metadata_json", '{"tag": "ann", "n": 1}'),
    ),
    "langchain-js": ("langchain-js-documents", "langchain-js", "tea", ("metadata", '{\\"tag\\"\\:\\"ann\\"}')),
    "llamaindex": ("llamaindex-documents", "llamaindex", "tea", ("_node_content", '{"metadata": {"tag": "ann"}}')),
    "redisvl": ("redisvl-documents-hash", "redisvl", "tea_hash_float32", ("tag", "ann")),
    "langchain-redis-json": ("langchain-redis-documents-json", "langchain-redis", "tea", None),
    "redisvl-json": ("redisvl-documents-json", "redisvl", "tea_json_float32", None),
}


def new(name, **metadata):
    return NewDocument("a text", id=name, embedding=Embedding.of(embed("a text")), metadata=metadata)


async def seen(side):
    """Return whose each document is, and why the others are nobody's."""
    pages = [page async for page in side.scan()]
    owners = {one.key.id: one.key.user_id for page in pages for one in page.changes}
    return owners, {one.key: one.reason for page in pages for one in page.quarantined}


@pytest.mark.parametrize("case", SAYING)
async def test_a_field_says_it(app, world, case):
    dump, layout, index, saying = SAYING[case]
    dumps.load(dump).restore(app)
    opened = await world(layout, index=index, owners=FieldOwners("tag"))
    prefix = (await seen(opened.old), opened.old._layout.prefix)[1]
    keys = sorted(key for key in app.scan_iter(prefix + b"*"))
    for key in keys:
        if saying is None:
            app.execute_command("JSON.DEL", key, "$.tag")
        else:
            app.hdel(key, "tag")
    if saying is None:
        app.execute_command("JSON.SET", keys[0], "$.tag", '"ann"')
    else:
        app.hset(keys[0], *saying)
    if case in {"langchain-redis", "langchain-js", "llamaindex"}:
        # Their JSON goes on saying it.
        owners, bad = await seen(opened.old)
        assert bad == {}
        assert owners.pop(keys[0][len(prefix) :].decode()) == "ann"
        assert set(owners.values()) <= {"black", "green", "white"}
        return
    owners, bad = await seen(opened.old)
    assert owners == {keys[0][len(prefix) :].decode(): "ann"}
    assert set(bad) == {key.decode() for key in keys[1:]}
    assert all("CHATSTORE_DOCUMENT_OWNERS" in reason for reason in bad.values())
    assert [one.id for one in (await opened.old.list_documents("ann")).items] == list(owners)
    assert len(await opened.old.search("ann", Embedding.of(embed("x")), k=9)) == 1
    assert await opened.old.search("bob", Embedding.of(embed("x")), k=9) == []


async def test_nobody_says_it_until_chatstore_writes(app, world):
    dumps.load("langchain-documents").restore(app)
    opened = await world("langchain", index="tea", owners=None)
    owners, bad = await seen(opened.old)
    assert (owners, len(bad)) == ({}, 3)
    with pytest.raises(LayoutError, match="CHATSTORE_DOCUMENT_OWNERS"):
        await opened.old.upsert("ann", new(next(iter(bad)).removeprefix("doc:tea:")))
    await opened.old.upsert("ann", new("ours"))
    assert (await opened.old.get("ann", "ours")).text == "a text"
    app.hset("doc:tea:ours", "content", "by the app")
    assert (await opened.old.get("ann", "ours")).text == "by the app"
    owners, bad = await seen(opened.old)
    assert (owners, len(bad)) == ({"ours": "ann"}, 3)


async def test_the_mapping_wins_over_what_chatstore_wrote_and_is_not_contradicted(app, world):
    opened = await world("langchain", index="tea", owners=None)
    await opened.old.upsert("ann", [new("bob-1"), new("other")])
    mapped = await world("langchain", index="tea", owners=load_owners("key:doc:tea:{user}-*"))
    owners, bad = await seen(mapped.old)
    assert (owners, bad) == ({"bob-1": "bob", "other": "ann"}, {})
    with pytest.raises(NotFoundError):
        await mapped.old.get("ann", "bob-1")
    for name in ("bob-1", "bob-2"):
        with pytest.raises(ConflictError, match="mapping of owners"):
            await mapped.old.upsert("ann", new(name))
    await mapped.old.upsert("bob", new("bob-2"))
    document = Document(
        id="bob-3",
        user_id="ann",
        text="x",
        embedding=None,
        created_at=from_micros(0),
        updated_at=from_micros(0),
        version=4,
    )
    with pytest.raises(ConflictError):
        await mapped.old.put([DocumentChange(key=DocumentKey("ann", "bob-3"), document=document)])
    assert app.exists("doc:tea:bob-3") == 0


@pytest.mark.parametrize(("storage", "layout"), [("hash", "langchain-redis"), ("json", "langchain-redis")])
async def test_a_field_that_would_name_another_user_is_refused(app, world, storage, layout):
    if storage == "json":
        dumps.load("langchain-redis-documents-json").restore(app)
    opened = await world(layout, index="tea", owners=FieldOwners("user_id"))
    with pytest.raises(ConflictError):
        await opened.old.upsert("ann", new("d", user_id="bob"))
    await opened.old.upsert("ann", [new("d", user_id="ann"), new("e")])
    assert (await opened.old.get("ann", "e")).metadata == {}
    assert (await opened.old.get("ann", "d")).metadata == {"user_id": "ann"}


async def test_numbers_are_names_and_other_values_are_none(app, world):
    opened = await world("langchain-redis", index="tea", owners=FieldOwners("user"))
    vector = b"\x00" * 4
    for name, value in {"number": 7, "true": True, "float": 1.5, "list": ["a"], "null": None, "text": "ann"}.items():
        held = {"text": "x", "embedding": vector, "_metadata_json": json.dumps({"user": value})}
        app.hset(f"tea:{name}", mapping=held)
    owners, bad = await seen(opened.old)
    assert owners == {"number": "7", "text": "ann"}
    assert {key: "no name of a user" in reason for key, reason in bad.items()} == {
        "tea:true": True,
        "tea:float": True,
        "tea:list": True,
        "tea:null": False,
    }


async def test_users_have_other_ids_here_than_there(app, world):
    dumps.load("langchain-documents").restore(app)
    keys = sorted(key.decode() for key in app.scan_iter("doc:tea:*"))
    owners = MappedOwners({keys[0]: "1", keys[1]: "2", keys[2]: "3"})
    opened = await world("langchain", index="tea", owners=owners)
    users = MappedUsers({"1": "clerk-a", "2": "clerk-b"})
    side = RedisDocuments(opened.old._client, document_layout("langchain", index="tea", owners=owners), users=users)
    found, bad = await seen(side)
    assert sorted(found.values()) == ["clerk-a", "clerk-b"]
    assert list(bad) == [keys[2]]
    assert "CHATSTORE_USERS" in bad[keys[2]]
    [document] = (await side.list_documents("clerk-a")).items
    assert (document.user_id, document.id) == ("clerk-a", keys[0].removeprefix("doc:tea:"))
    [match] = await side.search("clerk-a", Embedding.of(embed("x")))
    assert match.document == document
    assert await side.count_documents("clerk-b") == 1
    with pytest.raises(ConfigurationError):
        await side.get("1", document.id)
    [written] = await side.upsert("clerk-a", new("ours"))
    assert written.user_id == "clerk-a"
    assert await side.delete("clerk-b", ["ours"]) == 0
    [change] = (await side.changes([DocumentKey("clerk-a", "ours")])).changes
    assert change.document == written
    with pytest.raises(ConflictError):
        await side.put([DocumentChange(key=DocumentKey("3", "theirs"), document=None, deleted=4)])


@pytest.mark.parametrize("storage", ["hash", "json"])
async def test_a_list_in_the_metadata_is_no_name_though_its_copy_is_a_text(app, world, storage):
    left = dumps.load(f"langchain-redis-documents-{storage}")
    for command in left.indexes:
        app.execute_command(*command)
    said = {"text": "x", "_index_name": "tea", "_metadata_json": '{"user_id": ["a", "b"]}', "user_id": "a|b"}
    if storage == "hash":
        app.hset("tea:1", mapping=said)
    else:
        app.execute_command("JSON.SET", "tea:1", "$", json.dumps(said))
    opened = await world("langchain-redis", index="tea", owners=FieldOwners("user_id"))
    owners, bad = await seen(opened.old)
    assert owners == {}
    assert "no name of a user" in bad["tea:1"]
