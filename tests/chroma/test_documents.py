"""What lies in Chroma, as other programs see it, and what they do to it."""

import asyncio
import json
from dataclasses import replace
from datetime import timedelta

import httpx
import numpy as np
import pytest

from chatstore.chroma import ChromaDocuments, PerUser, Sharded, Single
from chatstore.chroma.collection import SPACE
from chatstore.errors import ConfigurationError, InvalidRecordError, NotFoundError
from chatstore.models import DocumentChange, DocumentKey, Embedding, NewDocument, from_micros, utc_now

EAST = Embedding.of([1, 0])


def new(text="text", name=None, **fields):
    return NewDocument(text, **({"id": name} if name else {}), embedding=fields.pop("embedding", EAST), **fields)


def put_of(document):
    return [DocumentChange(key=document.key, document=document)]


async def test_a_plain_client_finds_everything_where_it_is_said_to_be(documents, plain):
    vector = np.random.default_rng(1).standard_normal(384).astype("<f4") * 3
    [stored] = await documents.upsert(
        "u1",
        new(
            "the text",
            "d1",
            title="T",
            url="http://x",
            metadata={"topic": "tea"},
            embedding=Embedding(vector.tobytes()),
        ),
    )
    collection = plain.get_collection("user_docs_u1", embedding_function=None)
    assert collection.configuration_json["hnsw"]["space"] == SPACE
    found = collection.get(
        where={"$and": [{"topic": "tea"}, {"created_at": {"$gt": 0}}]}, include=["documents", "metadatas", "embeddings"]
    )
    assert (found["ids"], found["documents"]) == (["d1"], ["the text"])
    assert np.asarray(found["embeddings"][0], dtype="<f4").tobytes() == vector.tobytes()
    [metadata] = found["metadatas"]
    assert (metadata["title"], metadata["url"], metadata["user_id"]) == ("T", "http://x", "u1")
    assert from_micros(metadata["updated_at"]) == stored.updated_at


async def test_embeddings_stay_exact_when_the_index_has_taken_them_over(documents):
    rows = np.random.default_rng(2).standard_normal((1500, 16)).astype("<f4")
    news = [new(name=str(at), embedding=Embedding(row.tobytes())) for at, row in enumerate(rows)]
    await documents.upsert("u", news)
    page = await documents.changes([DocumentKey("u", str(at)) for at in range(1500)])
    assert {change.key.id: change.document.embedding for change in page.changes} == {
        item.id: item.embedding for item in news
    }


async def test_reading_makes_no_collection(documents, plain):
    with pytest.raises(NotFoundError):
        await documents.get("nobody", "d")
    assert await documents.search("nobody", EAST) == []
    assert (await documents.list_documents("nobody")).items == ()
    assert await documents.delete("nobody", ["d"]) == 0
    assert await documents.count_documents("nobody") == 0
    assert (await documents.changes([DocumentKey("nobody", "d")])).changes == ()
    assert list(await documents.journal.marks(limit=5)) == []
    assert [collection.name for collection in plain.list_collections()] == []


async def test_a_collection_that_another_process_removed_is_made_again(documents, plain):
    await documents.upsert("u", new(name="one"))
    plain.delete_collection("user_docs_u")
    with pytest.raises(NotFoundError):
        await documents.get("u", "one")
    [two] = await documents.upsert("u", new(name="two"))
    plain.delete_collection("user_docs_u")
    [three] = await documents.upsert("u", new(name="three"))
    assert [item.id for item in (await documents.list_documents("u")).items] == [three.id]
    assert await documents.search("u", EAST) != []
    assert two.version < three.version


async def test_a_collection_that_would_change_embeddings_is_refused(documents, plain):
    plain.create_collection("user_docs_u", configuration={"hnsw": {"space": "cosine"}}, embedding_function=None)
    for call in (documents.upsert("u", new()), documents.search("u", EAST), documents.get("u", "d")):
        with pytest.raises(ConfigurationError, match="cosine"):
            await call


async def test_a_collection_that_would_run_foreign_code_is_refused(server, chroma_url):
    documents = ChromaDocuments(server)
    assert await documents.count() == 0
    config = {"model_name": "x", "device": "cpu", "normalize_embeddings": False, "kwargs": {"trust_remote_code": True}}
    body = {
        "name": "user_docs_u",
        "configuration": {"embedding_function": {"type": "known", "name": "sentence_transformer", "config": config}},
    }
    path = f"/api/v2/tenants/default_tenant/databases/{server._client.database}/collections"
    async with httpx.AsyncClient(trust_env=False) as http:
        (await http.post(chroma_url + path, json=body)).raise_for_status()
    for call in (documents.upsert("u", new()), documents.search("u", EAST), documents.get("u", "d")):
        with pytest.raises(ConfigurationError, match="trust_remote_code"):
            await call


async def test_what_other_programs_wrote_is_read_and_taken_over(documents, plain):
    collection = plain.create_collection("user_docs_u", embedding_function=None)
    collection.add(ids=["theirs"], embeddings=[[1, 0]], documents=["hello"], metadatas=[{"topic": "tea", "n": 1}])
    document = await documents.get("u", "theirs")
    assert (document.text, document.metadata, document.user_id) == ("hello", {"topic": "tea", "n": 1}, "u")
    assert [match.document for match in await documents.search("u", EAST, where={"topic": "tea"})] == [document]
    [scanned] = [change.document async for page in documents.scan() for change in page.changes]
    assert scanned == document
    [written] = await documents.upsert("u", new("mine", "theirs", metadata={"topic": "coffee"}))
    assert (await documents.get("u", "theirs")).metadata == {"topic": "coffee"}
    assert collection.get(where={"n": 1})["ids"] == []
    assert await documents.delete("u", [written.id]) == 1


async def test_a_record_that_makes_no_sense_hides_no_other(documents, plain):
    [good] = await documents.upsert("u", new(name="good"))
    plain.get_collection("user_docs_u", embedding_function=None).add(
        ids=["bad"], embeddings=[[1, 0]], documents=["x"], metadatas=[{"user_id": "u", "chatstore": "{"}]
    )
    assert [match.document for match in await documents.search("u", EAST)] == [good]
    assert (await documents.list_documents("u")).items == (good,)
    with pytest.raises(InvalidRecordError):
        await documents.get("u", "bad")
    with pytest.raises(InvalidRecordError, match="bad"):
        await documents.get_many("u", ["good", "bad"])
    assert await documents.get_many("u", ["good", "nobody"]) == [good]
    pages = [page async for page in documents.scan()]
    assert [change.key.id for page in pages for change in page.changes] == ["good"]
    [quarantined] = [record for page in pages for record in page.quarantined]
    assert (quarantined.key, b"chatstore" in quarantined.raw) == ("bad", True)
    assert [record.key for record in (await documents.changes([DocumentKey("u", "bad")])).quarantined] == ["bad"]
    await documents.upsert("u", new("whole again", "bad"))
    assert (await documents.get("u", "bad")).text == "whole again"


async def test_a_record_of_another_user_is_not_shown_wherever_it_lies(documents, plain):
    await documents.upsert("u", new())
    plain.get_collection("user_docs_u", embedding_function=None).add(
        ids=["smuggled"], embeddings=[[1, 0]], documents=["x"], metadatas=[{"user_id": "other"}]
    )
    with pytest.raises(NotFoundError):
        await documents.get("u", "smuggled")
    assert await documents.get_many("u", ["smuggled"]) == []
    assert "smuggled" not in [match.document.id for match in await documents.search("u", EAST)]
    assert "smuggled" not in [item.id for item in (await documents.list_documents("u")).items]
    assert await documents.delete("u", ["smuggled"]) == 0


@pytest.mark.parametrize("plan", [PerUser(), Sharded(2), Single()], ids=["user", "shards", "one"])
async def test_users_with_equal_document_ids_do_not_meet(client, plan):
    documents = ChromaDocuments(client, plan=plan)
    users = [f"user {at}" for at in range(5)]
    for user in users:
        await documents.upsert(user, [new(user, "same"), new(user, "second")])
    await documents.delete(users[0], ["same"])
    for user in users[1:]:
        assert (await documents.get(user, "same")).text == user
        assert {match.document.text for match in await documents.search(user, EAST, k=20)} == {user}
        assert await documents.count_documents(user) == 2
    assert await documents.count() == 9
    found = [(change.key.user_id, change.key.id) async for page in documents.scan() for change in page.changes]
    assert sorted(found) == sorted([(user, name) for user in users for name in ("same", "second")][1:])


async def test_a_document_without_an_embedding_is_refused_before_anything_is_written(documents):
    [stored] = await documents.upsert("u", new(name="a"))
    bad = replace(stored, id="b", embedding=None)
    with pytest.raises(InvalidRecordError, match="embedding"):
        await documents.put([*put_of(replace(stored, text="newer", version=stored.version + 1)), *put_of(bad)])
    assert await documents.get("u", "a") == stored


async def test_another_dimension_is_refused_with_both_named(documents):
    await documents.upsert("u", new())
    with pytest.raises(InvalidRecordError, match=r"3 numbers.* 2"):
        await documents.upsert("u", new(embedding=Embedding.of([1, 2, 3])))


async def test_more_than_a_batch_is_written_read_scanned_and_removed(documents, plain):
    news = [new(str(at), f"d{at:04}") for at in range(1100)]
    stored = await documents.upsert("u", news)
    await documents.upsert("v", news[:3])
    pages = [page async for page in documents.scan()]
    assert pages[-1].cursor is None
    assert all(page.cursor for page in pages[:-1])
    found = {(change.key.user_id, change.key.id): change.document for page in pages for change in page.changes}
    assert len(found) == 1103
    assert [found["u", item.id] for item in stored] == stored
    rest = [change.key async for page in documents.scan(pages[1].cursor) for change in page.changes]
    seen = {change.key for page in pages[:2] for change in page.changes}
    assert seen | set(rest) == {DocumentKey(user, name) for user, name in found}
    assert len(rest) < 1103
    assert await documents.delete("u", [item.id for item in stored]) == 1100
    assert await documents.count_documents("u") == 0


async def test_a_scan_loses_nothing_while_documents_are_deleted(documents):
    stored = await documents.upsert("u", [new(name=f"d{at:04}") for at in range(900)])
    found, removed = set(), stored[:400]
    async for page in documents.scan():
        found |= {change.key.id for change in page.changes}
        if removed:
            await documents.delete("u", [item.id for item in removed])
            removed = []
    assert {item.id for item in stored[400:]} <= found


@pytest.mark.parametrize("cursor", ["", "{}", "[]", '{"listing":1}', "null"])
async def test_what_is_no_cursor_is_refused(documents, cursor):
    with pytest.raises(InvalidRecordError):
        await anext(documents.scan(cursor))
    with pytest.raises(InvalidRecordError):
        await documents.list_documents("u", after="not one")


async def test_a_deletion_that_overtakes_a_late_put_wins(documents, client):
    another_process = ChromaDocuments(client)
    [stored] = await documents.upsert("u", new(name="d"))
    late = replace(stored, text="late", version=stored.version + 1)
    holdings = documents._holdings
    write = holdings.write

    async def write_after_a_deletion(documents_, held):
        if documents_:
            await another_process.delete("u", ["d"])
        await write(documents_, held)

    holdings.write = write_after_a_deletion
    await documents.put(put_of(late))
    with pytest.raises(NotFoundError):
        await documents.get("u", "d")


async def test_a_deletion_that_stopped_halfway_is_finished_by_a_merge(documents):
    [stored] = await documents.upsert("u", new(name="d"))
    deleted = stored.version + 2
    await documents._holdings.tombstones.keep({stored.key: deleted})
    page = await documents.changes([stored.key])
    assert page.changes == (DocumentChange(key=stored.key, document=None, deleted=deleted),)
    await documents.put(page.changes)
    with pytest.raises(NotFoundError):
        await documents.get("u", "d")


async def test_a_slow_deletion_does_not_take_the_place_of_a_newer_one(documents):
    [stored] = await documents.upsert("u", new(name="d"))
    key, tombstones = stored.key, documents._holdings.tombstones
    await documents.delete("u", ["d"])
    newest = (await tombstones.of([key]))[key]
    await tombstones.keep({key: stored.version})
    await documents.put(put_of(replace(stored, version=newest - 1)))
    with pytest.raises(NotFoundError):
        await documents.get("u", "d")


async def test_two_writers_at_once_leave_one_whole_document(documents):
    await documents.upsert("u", new(name="d"))
    written = await asyncio.gather(
        *(documents.upsert("u", new(f"{at}", "d", metadata={f"field {at}": at})) for at in range(8))
    )
    assert len({one[0].version for one in written}) == 8
    assert await documents.get("u", "d") in [one[0] for one in written]


async def test_an_expired_document_is_written_anew(documents):
    past = utc_now() - timedelta(days=1)
    [stored] = await documents.upsert("u", new(name="d", created_at=past))
    await documents.put(put_of(replace(stored, expires_at=past, version=stored.version + 2)))
    assert await documents.delete("u", ["d"]) == 0
    [again] = await documents.upsert("u", new("again", "d"))
    assert again.created_at > past
    assert again.expires_at is None
    assert await documents.get("u", "d") == again


async def test_the_tombstones_can_be_read_by_a_person(documents, plain):
    await documents.upsert("u|1", new(name="d/1"))
    await documents.delete("u|1", ["d/1"])
    found = plain.get_collection("chatstore_tombstones", embedding_function=None).get()
    assert found["ids"] == [f"u%7C1/d/1/{found['metadatas'][0]['version']}"]
    assert json.dumps(found["metadatas"][0])
    assert found["metadatas"][0]["user_id"] == "u|1"


async def test_a_record_whose_embedding_is_not_there_yet_is_read_again(documents):
    [stored] = await documents.upsert("u", new(name="d"))
    run, torn = documents._collections._client.run, 2

    async def late(method, /, **arguments):
        nonlocal torn
        answer = await run(method, **arguments)
        if isinstance(answer, dict) and answer.get("embeddings") is not None and torn:
            torn -= 1
            answer = {**answer, "embeddings": answer["embeddings"][:0]}
        return answer

    documents._collections._client.run = late
    assert await documents.get("u", "d") == stored
    assert torn == 0


async def test_no_read_fails_because_of_what_is_removed_meanwhile(server):
    documents = ChromaDocuments(server)
    ids = [str(number) for number in range(40)]

    async def come_and_go():
        for name in ids:
            await documents.upsert("u", new(name=name))
            await documents.delete("u", [name])

    writer = asyncio.create_task(come_and_go())
    while not writer.done():
        assert len(await documents.get_many("u", ids)) <= 1
    await writer
