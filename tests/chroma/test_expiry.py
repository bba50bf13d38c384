"""Documents that have expired: removed for good, beside writers, with what the join must go on to know."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from chatstore.chroma import ChromaDocuments, Single
from chatstore.errors import NotFoundError
from chatstore.models import DocumentChange, DocumentKey, NewDocument, utc_now
from chatstore.testing.samples import EAST

HOUR = timedelta(hours=1)
KEYS = [DocumentKey("u", "gone"), DocumentKey("u", "kept"), DocumentKey("v", "gone")]


def later():
    return utc_now() + 2 * HOUR


def change(document):
    return DocumentChange(key=document.key, document=document)


@pytest.fixture(params=[None, Single()], ids=["a-collection-each", "one-collection"])
def plan(request):
    return request.param


@pytest.fixture
async def stored(client, plan):
    """Documents of two users, of which those called `gone` have an expiry."""
    documents = ChromaDocuments(client, plan=plan)
    for key in KEYS:
        await documents.upsert(key.user_id, NewDocument("text", id=key.id, embedding=EAST))
    held = {change.key: change.document for change in (await documents.changes(KEYS)).changes}
    held = {
        key: replace(doc, expires_at=utc_now() + HOUR, version=doc.version + 2) if key.id == "gone" else doc
        for key, doc in held.items()
    }
    await documents.put([change(document) for document in held.values()])
    return held


@pytest.fixture
def documents(client, plan, stored):
    """A store to which the expiry has come."""
    return ChromaDocuments(client, plan=plan, now=later)


async def sweep(documents):
    found = [list(keys) async for keys in documents.expired()]
    return found, sum([await documents.remove_expired(keys) for keys in found])


async def test_what_has_expired_is_found_and_removed_and_all_else_stays(documents, stored):
    assert await documents.count() == 3
    found, removed = await sweep(documents)
    assert sorted(key for keys in found for key in keys) == [KEYS[0], KEYS[2]]
    assert removed == 2
    assert await documents.count() == 1
    assert await documents.get("u", "kept") == stored[KEYS[1]]
    assert await sweep(documents) == ([], 0)


async def test_what_has_expired_is_told_to_no_other_side(documents):
    assert [change.key for change in (await documents.changes(KEYS)).changes] == [KEYS[1]]
    await sweep(documents)
    assert [change.key for change in (await documents.changes(KEYS)).changes] == [KEYS[1]]
    assert [change.key async for page in documents.scan() for change in page.changes] == [KEYS[1]]


@pytest.mark.parametrize("swept", [True, False], ids=["swept", "not-swept"])
async def test_nothing_that_expired_comes_back_by_a_late_put(documents, stored, swept):
    if swept:
        await sweep(documents)
    gone = stored[KEYS[0]]
    for late in (gone, replace(gone, version=gone.version - 2, expires_at=None)):
        await documents.put([change(late)])
        with pytest.raises(NotFoundError):
            await documents.get("u", "gone")
    for news in (replace(gone, expires_at=None), replace(gone, version=gone.version + 2, expires_at=None, text="new")):
        await documents.put([change(news)])
        assert await documents.get("u", "gone") == news


async def test_versions_go_on_where_a_document_that_was_swept_had_come_to(documents, stored):
    gone = replace(stored[KEYS[0]], version=4_000_000_000_000_000)
    await documents.put([change(replace(gone, expires_at=later() + HOUR))])
    await documents.put([change(replace(gone, version=gone.version + 2))])  # has expired, and is the newest
    assert await sweep(documents) == ([[KEYS[2]]], 1)
    [again] = await documents.upsert("u", NewDocument("again", id="gone", embedding=EAST))
    assert again.version > gone.version + 2


async def test_what_was_written_anew_is_not_removed(documents):
    [keys, *rest] = [list(keys) async for keys in documents.expired()]
    again = await documents.upsert("u", NewDocument("again", id="gone", embedding=EAST))
    assert await documents.remove_expired([*keys, *(key for more in rest for key in more)]) == 1
    assert await documents.get("u", "gone") == again[0]


async def test_a_write_that_a_removal_takes_along_is_written_once_more(documents, client, plan):
    """Chroma looks what to remove and then removes it: what is written in between would be gone."""
    remove = documents._holdings.remove
    writer = ChromaDocuments(client, plan=plan, now=later)
    under_way = []

    async def remove_late(keys, *, where=None):
        write = writer.upsert("u", NewDocument("again", id="gone", embedding=EAST))
        under_way.append(asyncio.create_task(write))
        while "again" not in [doc.text for doc in (await writer.list_documents("u")).items]:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await remove(keys)

    documents._holdings.remove = remove_late
    assert await documents.remove_expired([KEYS[0]]) == 1
    assert await under_way[0] == [await documents.get("u", "gone")]
