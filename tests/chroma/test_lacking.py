"""What a side lacks of some changes, and what it names: both without reading a text or an embedding."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chatstore.chroma.metadata import encode
from chatstore.models import Document, DocumentChange, DocumentKey, utc_now
from chatstore.testing.samples import EAST, NORTH

NOW = utc_now()
PAST, FUTURE = NOW - timedelta(hours=1), NOW + timedelta(hours=1)


def document(name, version, *, expires_at=None, embedding=EAST):
    return Document(
        id=name,
        user_id="u",
        text="text",
        embedding=embedding,
        created_at=NOW,
        updated_at=NOW,
        version=version,
        expires_at=expires_at,
    )


versions = st.integers(1, 4)
states = st.builds(
    lambda version, deleted, expires_at, embedding: (version, deleted, expires_at, embedding),
    st.none() | versions,
    st.just(0) | versions,
    st.sampled_from([None, PAST, FUTURE]),
    st.sampled_from([EAST, NORTH]),
).filter(lambda state: state[0] or state[1])


def change(name, state):
    version, deleted, expires_at, embedding = state
    made = document(name, version, expires_at=expires_at, embedding=embedding) if version else None
    return DocumentChange(key=DocumentKey("u", name), document=made, deleted=deleted)


async def held(documents, name):
    """All that lies in Chroma of a document: of its record, and of its ends."""
    key = DocumentKey("u", name)
    found = await documents._holdings._records([key], ("metadatas", "documents", "embeddings"))
    return found, await documents._holdings.tombstones.ends([key])


@pytest.fixture
def counter():
    return iter(range(10**6))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=states, second=states)
async def test_a_side_lacks_just_what_a_put_would_change_anything_by(documents, counter, first, second):
    name = f"d{next(counter)}"
    await documents.put([change(name, first)])
    before = await held(documents, name)
    lacking = await documents.lacking([change(name, second)])
    await documents.put([change(name, second)])
    assert bool(lacking) == (await held(documents, name) != before)


async def test_of_equal_versions_with_other_content_nothing_is_lacking_as_a_put_leaves_it(documents):
    ours = document("d", 2)
    await documents.put([DocumentChange(key=ours.key, document=ours)])
    theirs = DocumentChange(key=ours.key, document=replace(ours, text="other", embedding=NORTH))
    assert list(await documents.lacking([theirs])) == []
    await documents.put([theirs])
    assert (await documents.get("u", "d")).text == "text"


async def test_every_key_is_named_once_and_what_nobody_would_find_is_quarantined(documents):
    put = [document(f"d{at}", 2) for at in range(300)]
    await documents.put([DocumentChange(key=one.key, document=one) for one in put])
    stray = encode(replace(put[0], id="stray", user_id="somebody else"), record_id="stray")
    await documents._holdings.of_user("u").upsert([stray])
    pages = [page async for page in documents.keys()]  # noqa: SIM118 - it is no mapping
    assert sorted(key for page in pages for key in page.keys) == sorted(one.key for one in put)
    [bad] = [bad for page in pages for bad in page.quarantined]
    assert bad.key == "stray"
    assert "somebody else" in bad.reason


async def test_a_walk_over_keys_goes_on_behind_a_page(documents):
    put = [document(f"d{at:03}", 2) for at in range(600)]
    await documents.put([DocumentChange(key=one.key, document=one) for one in put])
    first = await anext(documents.keys())
    rest = [key async for page in documents.keys(first.cursor) for key in page.keys]
    assert {*first.keys, *rest} == {one.key for one in put}
    assert len(rest) < len(put)


async def test_how_busy_the_server_is_can_be_asked(documents):
    load = await documents.load()
    assert 0 < load.latency < 10
