"""Anything as an id, a text, metadata or a filter: refused, or read back just as it was, from both sides."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chatstore.errors import ChatStoreError, InvalidRecordError, NotFoundError
from chatstore.models import Embedding, NewDocument, NewMessage
from chatstore.models.filters import parse_filter

EAST = Embedding.of([1, 0])
SPECIAL = [
    "",
    "\0",
    "\ufdd0",
    "\ufdd00000",
    "a:b",
    "*",
    "{a}",
    "'",
    '"',
    "\\",
    "null",
    "\u202e",
    "\uffff",
    "\r\n",
    "$and",
]
TEXTS = st.text(max_size=8) | st.sampled_from(SPECIAL)
# Each of a batch is refused with one that is: so most are none that is empty.
NAMES = st.text(min_size=1, max_size=8) | st.sampled_from(SPECIAL[1:])
NUMBERS = (
    st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([0, 1, -0.0, 1.5])
)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
METADATA = st.dictionaries(TEXTS, VALUES, max_size=4)
NO_METADATA = st.sampled_from([{"a": "\ud800"}, {"\ud800": 1}, {"a": [float("nan")]}, {"a": {1: 2}}, {"a": b"x"}])
ONCE_BAD = st.integers(0, 5).flatmap(lambda which: METADATA if which else NO_METADATA)
MESSAGES = st.lists(
    st.builds(NewMessage, NAMES, TEXTS, id=NAMES, metadata=METADATA, extra=METADATA),
    min_size=1,
    max_size=3,
    unique_by=lambda new: new.id,
)
DOCUMENTS = st.lists(
    st.builds(
        NewDocument,
        TEXTS,
        id=NAMES,
        title=TEXTS,
        url=TEXTS,
        metadata=METADATA,
        extra=METADATA,
        embedding=st.just(EAST),
    ),
    min_size=1,
    max_size=3,
    unique_by=lambda new: new.id,
)
FILTERS = st.recursive(
    st.dictionaries(TEXTS, NUMBERS | TEXTS | VALUES, min_size=1, max_size=2)
    | st.builds(
        lambda name, op, value: {name: {op: value}},
        TEXTS | st.sampled_from("abc"),
        st.sampled_from(["$eq", "$ne", "$gt", "$lte", "$in", "$nin", "$regex"]),
        NUMBERS | TEXTS | st.lists(TEXTS, min_size=1, max_size=3),
    ),
    lambda inner: st.builds(
        lambda op, parts: {op: parts}, st.sampled_from(["$and", "$or"]), st.lists(inner, max_size=3)
    ),
    max_leaves=4,
)


def drawn(strategy, count):
    """Return as many examples, the same in every run."""
    examples = []

    @settings(
        max_examples=count, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(strategy)
    def draw(example):
        examples.append(example)

    draw()
    return examples


async def test_any_session_and_messages(chats, both, namespace):
    chat, taken = chats["router"], 0
    for number, (name, title, metadata, news) in enumerate(drawn(st.tuples(TEXTS, TEXTS, ONCE_BAD, MESSAGES), 20)):
        user, session_id = f"{namespace}{number}{name}", f"{namespace}{name}{number}"
        try:
            created = await chat.create_session(user, session_id=session_id, title=title, metadata=metadata)
        except ChatStoreError:
            with pytest.raises(NotFoundError):
                await chat.get_session(user, session_id)
            continue
        assert (created.title, created.metadata) == (title, metadata)
        # In some layouts an id is one message's, whatever its session.
        messages = [replace(new, id=f"{session_id}{new.id}") for new in news]
        try:
            await chat.append(user, session_id, messages)
        except ChatStoreError:
            assert await chat.messages(user, session_id) == []
        else:
            taken += 1
            found = await chat.messages(user, session_id)
            assert [kept(one) for one in found] == [kept(one) for one in messages]
        assert await both(chat, lambda side, user=user, session_id=session_id: side.get_session(user, session_id))
        assert await both(chat, lambda side, user=user, session_id=session_id: side.messages(user, session_id))
    assert taken > 5


def kept(message):
    return (message.id, message.role, message.content, message.metadata, message.extra)


async def test_any_documents_and_filters(document_stores, both, namespace):
    documents, held = document_stores["router"], {}
    for news in drawn(DOCUMENTS, 20):
        try:
            await documents.upsert(namespace, news)
        except ChatStoreError:
            continue
        held |= {new.id: new for new in news}
    assert len(held) > 5
    listed = (await documents.list_documents(namespace, limit=1000)).items
    assert {one.id: told(one) for one in listed} == {name: told(one) for name, one in held.items()}
    assert await both(documents, lambda side: side.list_documents(namespace, limit=1000))
    asked = 0
    for where in drawn(FILTERS, 40):
        try:
            wanted = parse_filter(where)
        except InvalidRecordError:
            for side in (documents.sides.old, documents.sides.new):
                with pytest.raises(InvalidRecordError):
                    await side.search(namespace, EAST, where=where)
            continue
        asked += 1
        fits = {one.id for one in listed if wanted.matches({**one.metadata, "title": one.title, "url": one.url})}
        for side in (documents.sides.old, documents.sides.new):
            found = await side.search(namespace, EAST, k=1000, where=where)
            assert {match.document.id for match in found} == fits, where
    assert asked > 5


def told(document):
    return (document.text, document.title, document.url, document.metadata, document.extra)
