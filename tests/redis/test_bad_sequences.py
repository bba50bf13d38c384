"""What no framework writes, among what it does: quarantined with its bytes, or carried; its neighbours stay as they are."""

import asyncio
import json

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chatstore.errors import LayoutError
from chatstore.models import NewMessage
from chatstore.redis import RedisChat, connect
from chatstore.redis.layouts.json_items import in_jsonb_order
from tests.redis.sequences import SEQUENCES, SESSION, USER
from tests.redis.test_sequences import whole

DEEP = b'{"role": "user", "content": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
SECRET = {"lc": 1, "type": "secret", "id": ["OPENAI_API_KEY"]}
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just(SECRET),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
NAMES = [
    "type",
    "data",
    "role",
    "content",
    "contents",
    "blocks",
    "parts",
    "text",
    "id",
    "item",
    "json",
    "additional_kwargs",
]
SHAPES = st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=6)
NEARLY = st.builds(
    lambda shape, data: {**shape, "role": "user", "content": "x", "type": "ai", "data": {"content": "y", **data}},
    SHAPES,
    SHAPES,
)
TEXTS = st.one_of(SHAPES, NEARLY, VALUES).map(lambda value: json.dumps(value).encode())
CUT = st.tuples(TEXTS, st.integers(0, 40)).map(lambda pair: pair[0][: pair[1]])
ITEMS = st.one_of(
    TEXTS,
    CUT,
    st.binary(max_size=12),
    st.sampled_from(
        [
            DEEP,
            b'{"role": "user", "content": "a", "content": "b"}',
            b'{"role": "user", "content": NaN}',
            b'{"role": "user", "content": "\\ud800"}',
            b'{"role": "user", "content": "\\u0000"}',
            b'{"role": "user", "content": "\xff"}',
            b'{"role": "", "content": "x"}',
            b'{"role": 7, "content": "x"}',
            b'{"type": "human", "data": {"content": null}}',
            b'{"type": "human", "data": "x"}',
            b'{"role": "user", "content": 1e400}',
            b'{"id": "\\ud83c", "role": "user", "content": "x"}',
            b'{"id": ["m"], "role": "user", "content": "x", "blocks": [], "contents": [1]}',
        ]
    ),
)


class Place:
    """One session in one layout, and chatstore over it."""

    def __init__(self, url, name):
        self.runner = asyncio.Runner()
        self.redis = redis.Redis.from_url(url)
        self.other = SEQUENCES[name](self.redis)
        self.client = connect(url)
        self.chat = RedisChat(self.client, self.other.layout)

    def run(self, call):
        return self.runner.run(call)

    def scanned(self):
        return self.run(whole(self.chat))

    def close(self):
        self.run(self.chat.close())
        self.run(self.client.aclose())
        self.redis.close()
        self.runner.close()


LISTS = [name for name in SEQUENCES if name != "vercel-kv"]


@pytest.fixture
def opened(redis_database):
    """A function that opens a layout."""
    places = []

    def place(name):
        places.append(Place(redis_database, name))
        return places[-1]

    yield place
    for each in places:
        each.close()


@pytest.fixture(params=LISTS)
def place(request, opened):
    return opened(request.param)


@pytest.fixture
def array(opened):
    return opened("vercel-kv")


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(item=ITEMS, at=st.integers(0, 2))
def test_an_item_of_any_bytes_is_carried_or_quarantined_and_hides_no_other(place, item, at):
    place.redis.flushdb()
    items = [place.other.item(name) for name in "abc"]
    items.insert(at, item)
    place.other.push(*items)
    [change], bad = place.scanned()
    assert place.other.items() == items
    assert len(change.messages) + len(bad) == len(items)
    texts = [place.other.text_of(message) for message in change.messages]
    if bad:
        assert texts == [one for i, one in enumerate(items) if i != at]
        [record] = bad
        assert record.key.startswith(place.other.key.removesuffix(":messages"))
        assert record.raw == item[:65536]
        assert record.reason
    else:
        assert texts == items
        # As it comes back from Postgres, which keeps neither the order of keys nor how they were spelled.
        extra = in_jsonb_order(json.loads(json.dumps(change.messages[at].extra)))
        assert place.other.text_of(replaced(change.messages[at], extra)) == item
    # Reading and writing go on around it.
    assert len(place.run(place.chat.messages(USER, SESSION))) == len(change.messages)
    place.run(place.chat.append(USER, SESSION, NewMessage("user", "more")))
    assert place.other.items() == [*items, place.other.item("more")]


def replaced(message, extra):
    return NewMessage(message.role, message.content, id=message.id, metadata=message.metadata, extra=extra)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(value=st.one_of(SHAPES, NEARLY, VALUES), at=st.integers(0, 2), blank=st.sampled_from(["", " ", "\n\t"]))
def test_a_value_of_any_shape_in_an_array_is_carried_or_quarantined_and_hides_no_other(array, value, at, blank):
    array.redis.flushdb()
    item = json.dumps(value).encode()
    items = [array.other.item(name) for name in "abc"]
    items.insert(at, item)
    array.other.replace([])
    spaced = f"{blank}[{blank}" + f"{blank},{blank}".join(one.decode() for one in items) + f"{blank}]{blank}"
    array.redis.hset("chat:s", "messages", spaced)
    [change], bad = array.scanned()
    assert array.redis.hget("chat:s", "messages") == spaced.encode()
    assert len(change.messages) + len(bad) == len(items)
    assert all(record.raw == item and record.key.startswith("chat:s#") for record in bad)
    texts = [array.other.text_of(message) for message in change.messages]
    assert texts == [one for i, one in enumerate(items) if i != at or not bad]
    array.run(array.chat.append(USER, SESSION, NewMessage("user", "more", id="last")))
    # What is between the items is not kept, every item is.
    assert array.redis.hget("chat:s", "messages") == b"[" + b",".join([*items, array.other.item("more", "last")]) + b"]"


BROKEN = st.one_of(
    st.binary(max_size=20),
    st.tuples(TEXTS, TEXTS, st.integers(0, 60)).map(lambda one: (b"[" + one[0] + b"," + one[1] + b"]")[: one[2]]),
    st.text('[]{},"\\ 1a', max_size=12).map(str.encode),
    st.sampled_from(
        [
            b"null",
            b"{}",
            b'""',
            b"[",
            b"[]]",
            b"[,]",
            b"[1,]",
            b'["\\"]',
            b"[" * 100_000,
            b"[" * 100_000 + b"]" * 100_000,
        ]
    ),
)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=BROKEN)
def test_what_is_no_array_is_quarantined_as_it_is_with_its_session_alone(array, text):
    array.redis.flushdb()
    array.other.push(array.other.item("a"))
    array.redis.hset("chat:s", "messages", text)
    array.redis.hset(
        "chat:other", mapping={"id": "other", "userId": USER, "title": "", "createdAt": 1, "messages": "[]"}
    )
    changes, bad = array.scanned()
    assert array.redis.hget("chat:s", "messages") == text
    assert "other" in {change.session_id for change in changes}
    if len(changes) == 1:
        [record] = bad
        assert (record.key, record.raw, record.size) == ("chat:s", text[:65536], len(text))
        assert record.reason.startswith("messages is")
        # Nothing can be written into what cannot be read.
        with pytest.raises(LayoutError):
            array.run(array.chat.append(USER, SESSION, NewMessage("user", "more")))
        assert array.redis.hget("chat:s", "messages") == text
    else:
        # It is an array as far as it was looked at: what is wrong is an item's own fault.
        [session] = [change for change in changes if change.session_id == SESSION]
        assert text.strip(b" \t\r\n")[:1] == b"["
        assert session.messages or bad or text.strip(b" \t\r\n[]") == b""


HEADERS = {
    "no user": ({"userId": None}, "userId"),
    "an empty user": ({"userId": ""}, "userId"),
    "no time": ({"createdAt": "yesterday"}, "createdAt"),
    "a title that is not UTF-8": ({"title": b"\xff"}, "title"),
    "another field that is not UTF-8": ({"colour": b"\xff"}, "colour"),
}


@pytest.mark.parametrize("case", HEADERS)
def test_a_chat_whose_header_is_broken_is_quarantined_alone(array, case):
    changed, said = HEADERS[case]
    array.other.push(array.other.item("a"))
    for name, value in changed.items():
        if value is None:
            array.redis.hdel("chat:s", name)
        else:
            array.redis.hset("chat:s", name, value)
    held = array.redis.hgetall("chat:s")
    changes, [record] = array.scanned()
    assert (changes, record.key) == ([], "chat:s")
    assert said in record.reason
    assert array.redis.hgetall("chat:s") == held


def test_other_types_in_the_place_of_a_session_of_the_agents_sdk_are_quarantined(opened):
    agents = opened("openai-agents")
    agents.other.push(agents.other.item("a"))
    agents.redis.set("agents:session:text", "x")
    agents.redis.hset("agents:session:half", mapping={"session_id": "half", "created_at": 1, "updated_at": 1})
    agents.redis.set("agents:session:half:messages", "no list")
    agents.redis.rpush("agents:session:headless:messages", agents.other.item("b"))
    agents.redis.set("agents:session:s:counter", 1)
    agents.redis.hset("agents:session:s:messages:more", mapping={"session_id": "s:messages:more", "created_at": "then"})
    agents.redis.hset("agents:session:odd:messages", mapping={"session_id": "odd:messages", "created_at": 1})
    changes, bad = agents.scanned()
    assert {change.session_id for change in changes} == {"s", "headless", "odd:messages"}
    reasons = {record.key: (record.raw, record.reason) for record in bad}
    assert reasons.keys() == {
        "agents:session:text",
        "agents:session:half:messages",
        "agents:session:s:messages:more",
    }
    assert reasons["agents:session:text"] == (b"x", "a hash was expected, but this is a string")
    assert reasons["agents:session:half:messages"] == (b"no list", "a list was expected, but this is a string")
    assert agents.run(agents.chat.count()).sessions == 3


@pytest.mark.parametrize("name", SEQUENCES)
@pytest.mark.parametrize(
    "session", ["a:b", "*", "[a-z]?", "{tag}", "x\r\ny", "e\u0301", "\u00e9", "../x", "null", "1", "ü" * 500]
)
def test_a_session_may_have_any_id(opened, name, session):
    place = opened(name)
    place.run(place.chat.create_session(USER, session_id=session, title="odd"))
    place.run(place.chat.append(USER, session, NewMessage("user", "hello")))
    [change], bad = place.scanned()
    assert (change.session_id, bad) == (session, [])
    assert [one.content for one in place.run(place.chat.messages(USER, session))] == ["hello"]
    assert place.run(place.chat.delete_session(USER, session))
    left = [key for key in place.redis.scan_iter() if not key.startswith(b"chatstore:")]
    assert left == []


@pytest.mark.parametrize("name", LISTS)
def test_a_session_id_that_is_not_utf8_is_quarantined(opened, name):
    place = opened(name)
    key = place.other.key.encode()
    at = key.rindex(b"s:messages" if key.endswith(b":messages") else b"s")
    key = key[:at] + b"\xff" + key[at + 1 :]
    place.redis.rpush(key, place.other.item("a"))
    changes, [record] = place.scanned()
    assert changes == []
    assert "UTF-8" in record.reason or "nobody" in record.reason
