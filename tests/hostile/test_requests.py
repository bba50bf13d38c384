"""What a request can ask for beside its ids: each wrong one is refused by its name, before any server is asked."""

import decimal
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from chatstore.errors import ConfigurationError, InvalidRecordError
from chatstore.models import Embedding, NewDocument, NewMessage, values
from chatstore.models.values import check_json

EAST = Embedding.of([1, 0])
MESSAGE = NewMessage("user", "x")
DOCUMENT = NewDocument("x", id="d", embedding=EAST)
SURROGATE = "a\ud800"
TANGLED = ["x"]
for _ in range(60):
    TANGLED = [TANGLED, TANGLED]
ENDLESS = {}
ENDLESS["self"] = ENDLESS
DEEP = {}
for _ in range(10_000):
    DEEP = {"$and": [DEEP]}
FAR_EAST, FAR_WEST = timezone(timedelta(hours=12)), timezone(timedelta(hours=-12))

FEWER = 100_000
"""How many values JSON may have in these tests: to count as many as it may have else takes a second each time."""

NO_METADATA = {
    "a list": ([1], "a JSON object"),
    "a text": ("x", "a JSON object"),
    "a number": (5, "a JSON object"),
    "False": (False, "a JSON object"),
    "a NaN": ({"a": float("nan")}, "holds nan"),
    "an infinity": ({"a": [float("-inf")]}, "holds -inf"),
    "a number as a key": ({1: 2}, "key of the type int"),
    "None as a key": ({None: 2}, "key of the type NoneType"),
    "a surrogate": ({"a": SURROGATE}, "lone surrogate"),
    "a surrogate in a key": ({SURROGATE: 1}, "lone surrogate"),
    "a set": ({"a": {1}}, "holds a set"),
    "bytes": ({"a": b"x"}, "holds a bytes"),
    "a time": ({"a": datetime(2026, 1, 1, tzinfo=UTC)}, "holds a datetime"),
    "a decimal": ({"a": decimal.Decimal(1)}, "holds a Decimal"),
    "an object": ({"a": object()}, "holds a object"),
    "a class": ({"a": dict}, "holds a type"),
    "an integer of 5,000 digits": ({"a": 10**5000}, "integer of more than"),
    "101 levels": ({"a": DEEP}, "nested more than 100 deep"),
    "itself": (ENDLESS, "nested more than 100 deep"),
    "2 to the power of 60 values": ({"a": TANGLED}, f"more than {FEWER} values"),
}
NO_TEXTS = {
    "None": (None, "type NoneType"),
    "a list of parts": ([{"type": "text"}], "type list"),
    "a number": (5, "type int"),
    "bytes": (b"x", "type bytes"),
    "a surrogate": (SURROGATE, "lone surrogate"),
}
NO_TIMES = {
    "none with a timezone": (datetime(2026, 1, 1), "no timezone"),  # noqa: DTZ001 - that is what is refused
    "behind the year 9999": (datetime.max.replace(tzinfo=FAR_WEST), "outside the years"),
    "before the year 1": (datetime.min.replace(tzinfo=FAR_EAST), "outside the years"),
    "a text": ("2026-01-01", "type str"),
    "a number": (1_700_000_000, "type int"),
}
NO_COUNTS = {
    "negative": (-1, "it is -1"),
    "beyond a billion": (10**9 + 1, "it is 1000000001"),
    "beyond 64 bits": (2**64, "far beyond"),
    "a googol": (10**100, "far beyond"),
    "a text": ("5", "type str"),
    "a fraction": (2.5, "type float"),
    "a NaN": (float("nan"), "type float"),
    "True": (True, "type bool"),
}
NO_PLACES = {
    "empty": "",
    "words": "a:b",
    "a number alone in hexadecimal": "0x5:a",
    "infinity": "inf:a",
    "far beyond any calendar": f"{10**30}:a",
    "5,000 digits": "9" * 5000 + ":a",
    "a surrogate": "5:\ud800",
    "a number": 5,
    "a list": ["5:a"],
}
NO_ORDERS = {
    "a text": "5",
    "a number": 5,
    "a position alone": (5,),
    "three": (5, "a", "b"),
    "turned round": ("a", 5),
    "a fraction": (0.5, "a"),
    "beyond 64 bits": (2**63, "a"),
    "a surrogate": (5, SURROGATE),
    "None within": (None, "a"),
    "True": (True, "a"),
}
NO_BATCHES = {
    "a text": "abc",
    "bytes": b"abc",
    "a dictionary": {"a": 1},
    "None": None,
    "a number": 5,
    "None within": [None],
    "bytes within": [b"a"],
    "a dictionary within": [{"role": "user"}],
}
NO_VECTORS = {
    "half a number": (Embedding(b"abcdef"), "float32, of 4 bytes"),
    "no number": (Embedding(b""), "float32, of 4 bytes"),
    "a NaN": (Embedding(b"\x00\x00\xc0\x7f"), "NaN or an infinity"),
    "an infinity": (Embedding(b"\x00\x00\x80\xff"), "NaN or an infinity"),
    "a list of numbers": ([1.0, 0.0], "no Embedding"),
    "bytes": (b"\x00\x00\x80\x3f", "no Embedding"),
    "an embedding of a text": (Embedding("abcd"), "no Embedding"),
}
NO_FILTERS = {
    "empty": {},
    "a text": "a = 1",
    "a list": [{"a": 1}],
    "10,000 levels": DEEP,
    "itself": ENDLESS,
    "a number as a field": {1: 2},
    "None as a field": {None: 1},
    "bytes as a field": {b"a": 1},
    "10 MB as a field": {"x" * 10_000_000: 1},
    "a surrogate as a field": {SURROGATE: 1},
    "a surrogate as a value": {"a": SURROGATE},
    "$and of a field": {"a": {"$and": [1]}},
    "$and of nothing": {"$and": []},
    "$or of a text": {"$or": "a"},
    "$or of an object": {"$or": {"a": 1}},
    "$or of texts": {"$or": ["a", "b"]},
    "$not": {"$not": {"a": 1}},
    "$where": {"$where": "sleep(10)"},
    "$contains of a document": {"$contains": "x"},
    "$regex": {"a": {"$regex": ".*"}},
    "an unknown operator beside a known one": {"a": {"$eq": 1, "$foo": 2}},
    "a number as an operator": {"a": {1: 2}},
    "no operator": {"a": {}},
    "$in of nothing": {"a": {"$in": []}},
    "$in of a text": {"a": {"$in": "abc"}},
    "$in of bytes": {"a": {"$in": b"abc"}},
    "$in of a set": {"a": {"$in": {1}}},
    "$in of lists": {"a": {"$in": [[1]]}},
    "$in of None": {"a": {"$in": [None]}},
    "$nin of objects": {"a": {"$nin": [{}]}},
    "$gt of a text": {"a": {"$gt": "x"}},
    "$lt of True": {"a": {"$lt": True}},
    "None": {"a": None},
    "a list as a value": {"a": [1]},
    "a NaN": {"a": float("nan")},
    "an infinity": {"a": {"$gt": float("inf")}},
    "beyond float64": {"a": 10**400},
    "beyond float64, compared": {"a": {"$lt": -(10**400)}},
    "a decimal": {"a": decimal.Decimal(1)},
    "10,001 values": {"a": {"$in": list(range(10_001))}},
    "10,001 values in parts": {"$or": [{"a": {"$in": [1] * 5000}}, {"b": {"$nin": [2] * 5001}}]},
    "20,000 comparisons": {"$and": [{"a": 1}] * 20_000},
    "a tangle": {"a": TANGLED},
}


@pytest.fixture(autouse=True)
def fewer_values(monkeypatch):
    monkeypatch.setattr(values, "MAX_JSON_VALUES", FEWER)


def test_how_many_values_json_may_have_else(monkeypatch):
    monkeypatch.undo()
    with pytest.raises(InvalidRecordError, match="more than 2000000 values"):
        check_json({"a": TANGLED}, "metadata")
    check_json([None] * 1_000_000, "metadata")


def cases(table):
    return pytest.mark.parametrize("given", table.values(), ids=table)


async def check_that_each_is_refused(calls, says=None):
    for call in calls:
        with pytest.raises(InvalidRecordError, match=says) as caught:
            await call
        assert len(str(caught.value)) < 250


@cases(NO_METADATA)
async def test_no_metadata(chats, document_stores, given):
    bad, says = given
    for chat in chats.values():
        calls = [
            chat.create_session("u", metadata=bad),
            chat.update_session("u", "s", metadata=bad),
            chat.append("u", "s", replace(MESSAGE, metadata=bad)),
            chat.append("u", "s", replace(MESSAGE, extra=bad)),
            chat.edit_message("u", "s", "m", metadata=bad),
        ]
        await check_that_each_is_refused(calls, says)
    for documents in document_stores.values():
        news = [replace(DOCUMENT, metadata=bad), replace(DOCUMENT, extra=bad)]
        await check_that_each_is_refused([documents.upsert("u", new) for new in news], says)


@cases(NO_TEXTS)
async def test_no_text(chats, document_stores, given):
    bad, says = given
    for chat in chats.values():
        calls = [
            chat.create_session("u", title=bad),
            chat.append("u", "s", NewMessage("user", bad)),
            chat.replace_messages("u", "s", [NewMessage("user", bad)]),
        ]
        calls += [] if bad is None else [chat.edit_message("u", "s", "m", content=bad)]
        await check_that_each_is_refused(calls, says)
    for documents in document_stores.values():
        news = [replace(DOCUMENT, **{field: bad}) for field in ("text", "title", "url")]
        await check_that_each_is_refused([documents.upsert("u", new) for new in news], says)


@cases(NO_TIMES)
async def test_no_time(chats, document_stores, given):
    bad, says = given
    for chat in chats.values():
        calls = [
            chat.create_session("u", expires_at=bad),
            chat.append("u", "s", replace(MESSAGE, created_at=bad)),
            chat.append("u", "s", replace(MESSAGE, expires_at=bad)),
        ]
        await check_that_each_is_refused(calls, says)
    for documents in document_stores.values():
        await check_that_each_is_refused([documents.upsert("u", replace(DOCUMENT, created_at=bad))], says)


@cases(NO_COUNTS)
async def test_no_count(chats, document_stores, given):
    bad, says = given
    for chat in chats.values():
        calls = [
            chat.list_sessions("u", limit=bad),
            chat.messages("u", "s", limit=bad),
            chat.last_messages("u", "s", bad),
        ]
        await check_that_each_is_refused(calls, says)
    for documents in document_stores.values():
        await check_that_each_is_refused([documents.list_documents("u", limit=bad)], says)
        await check_that_each_is_refused([documents.search("u", EAST, k=bad)])


async def test_no_page_of_nothing(chats, document_stores):
    await check_that_each_is_refused([chat.list_sessions("u", limit=0) for chat in chats.values()], "from 1")
    await check_that_each_is_refused([one.list_documents("u", limit=0) for one in document_stores.values()], "from 1")


@cases(NO_PLACES)
async def test_no_place_of_a_list(chats, document_stores, given):
    await check_that_each_is_refused([chat.list_sessions("u", after=given) for chat in chats.values()], "`next`")
    await check_that_each_is_refused([one.list_documents("u", after=given) for one in document_stores.values()])


@cases(NO_ORDERS)
async def test_no_place_among_messages(chats, given):
    for chat in chats.values():
        calls = [chat.messages("u", "s", after=given), chat.last_messages("u", "s", 5, before=given)]
        await check_that_each_is_refused(calls)


@cases(NO_BATCHES)
async def test_no_batch(chats, document_stores, given):
    for chat in chats.values():
        calls = [
            chat.append("u", "s", given),
            chat.replace_messages("u", "s", given),
            chat.delete_messages("u", "s", given),
        ]
        await check_that_each_is_refused(calls, "of the type")
    for documents in document_stores.values():
        await check_that_each_is_refused([documents.upsert("u", given), documents.delete("u", given)], "of the type")


async def test_no_batch_that_would_stop_a_redis_for_others(chats):
    for chat in chats.values():
        many = [str(number) for number in range(100_001)]
        await check_that_each_is_refused([chat.delete_messages("u", "s", many)], "at most 100000 at a time")


async def test_one_id_twice_in_a_batch(chats, document_stores):
    twice = [replace(MESSAGE, id="same"), replace(MESSAGE, id="same", content="other")]
    await check_that_each_is_refused([chat.append("u", "s", twice) for chat in chats.values()], "same id")
    await check_that_each_is_refused(
        [documents.upsert("u", [DOCUMENT, DOCUMENT]) for documents in document_stores.values()], "same id"
    )


@cases(NO_VECTORS)
async def test_no_vector(document_stores, given):
    bad, says = given
    for documents in document_stores.values():
        await check_that_each_is_refused([documents.upsert("u", replace(DOCUMENT, embedding=bad))], says)
        if isinstance(bad, Embedding):
            await check_that_each_is_refused([documents.search("u", bad)], says)


@cases(NO_FILTERS)
async def test_no_filter(document_stores, given):
    await check_that_each_is_refused([one.search("u", EAST, where=given) for one in document_stores.values()])


async def test_an_embedder_that_makes_too_few_is_named(document_stores, monkeypatch):
    async def lazy(texts):
        return [EAST] * (len(texts) - 1)

    for documents in document_stores.values():
        monkeypatch.setattr(documents, "embedder", lazy)
        with pytest.raises(ConfigurationError, match="0 embeddings of 1 texts"):
            await documents.upsert("u", NewDocument("x"))
        with pytest.raises(ConfigurationError, match="0 embeddings of 1 texts"):
            await documents.search("u", "x")
        await check_that_each_is_refused([documents.search("u", SURROGATE)], "lone surrogate")
