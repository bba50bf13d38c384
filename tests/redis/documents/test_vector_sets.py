"""Vector sets: what an app added to one, and what chatstore adds."""

import asyncio
import struct
from datetime import timedelta

import pytest

from chatstore.errors import ConfigurationError, ConflictError, InvalidRecordError, NotFoundError
from chatstore.models import Document, DocumentChange, DocumentKey, Embedding, NewDocument, utc_now
from chatstore.ownership import FieldOwners
from chatstore.redis import RedisDocuments, connect, document_layout
from tests.frameworks.embedding import DIMENSIONS, embed
from tests.redis.documents.conftest import OWNER

KEY = "tea"


def add(app, name, numbers, *how, attributes=None):
    app.execute_command("VADD", KEY, "FP32", struct.pack(f"<{len(numbers)}f", *numbers), name, *how)
    if attributes is not None:
        app.execute_command("VSETATTR", KEY, name, attributes)


def embedding(text):
    return Embedding.of(embed(text))


@pytest.mark.parametrize("how", ["NOQUANT", "Q8", "BIN"])
async def test_the_app_finds_what_chatstore_adds_to_its_set(app, world, how):
    add(app, "theirs", embed("theirs"), how, attributes='{"year": 1990}')
    opened = await world("vector-set", index=KEY)
    exact = Embedding.of([0.1 * n for n in range(1, DIMENSIONS + 1)])
    new = NewDocument("a text", id="ours", embedding=exact, title="a title", metadata={"year": 2000})
    [stored] = await opened.old.upsert(OWNER, new)
    query = struct.pack(f"<{DIMENSIONS}f", *exact)
    found = app.execute_command("VSIM", KEY, "FP32", query, "COUNT", 1, "FILTER", ".year > 1995")
    assert found == [b"ours"]
    assert app.execute_command("VGETATTR", KEY, "ours") == b'{"text":"a text","year":2000}'
    # What the set makes of it, only the app sees.
    assert (stored.embedding, stored.title) == (exact, "a title")
    assert await opened.old.get(OWNER, "ours") == stored
    await opened.move()
    assert (await opened.new.get(OWNER, "ours")).embedding == exact
    await opened.old.delete(OWNER, ["ours"])
    assert app.execute_command("VISMEMBER", KEY, "ours") == 0
    assert app.execute_command("VCARD", KEY) == 1


async def test_what_the_app_adds_anew_is_no_longer_what_chatstore_added(app, world):
    add(app, "other", embed("other"), "NOQUANT")
    opened = await world("vector-set", index=KEY)
    [first] = await opened.old.upsert(OWNER, NewDocument("ours", id="d", embedding=embedding("ours"), title="a title"))
    add(app, "d", embed("theirs"), "NOQUANT")
    theirs = await opened.old.get(OWNER, "d")
    assert list(theirs.embedding) == pytest.approx(embed("theirs"), abs=1e-6)
    assert (theirs.text, theirs.title) == ("ours", "a title")
    assert theirs.version > first.version
    await opened.move()
    assert (await opened.new.get(OWNER, "d")).embedding == theirs.embedding
    app.execute_command("VSETATTR", KEY, "d", '{"text": "other"}')
    await opened.move()
    assert (await opened.new.get(OWNER, "d")).text == "other"


async def test_another_attribute_leaves_the_exact_vector(app, world):
    opened = await world("vector-set", index=KEY)
    exact = Embedding.of([0.1, 0.2, 0.3])
    await opened.old.upsert(OWNER, NewDocument("ours", id="d", embedding=exact))
    app.execute_command("VSETATTR", KEY, "d", '{"text": "other"}')
    found = await opened.old.get(OWNER, "d")
    assert (found.text, found.embedding) == ("other", exact)


async def test_what_is_not_exact_is_said_once(app, world, caplog):
    add(app, "theirs", embed("theirs"), "Q8")
    opened = await world("vector-set", index=KEY)
    report = await opened.move()
    await opened.old.get(OWNER, "theirs")
    assert sum("8 bits" in note for note in report.notes) == 1
    assert sum("8 bits" in record.getMessage() for record in caplog.records if record.levelname == "WARNING") == 1


async def test_an_element_expires_by_what_chatstore_knows_and_the_set_by_its_own(app, world):
    add(app, "theirs", embed("theirs"), "NOQUANT")
    app.pexpireat(KEY, 4_000_000_000_000)
    opened = await world("vector-set", index=KEY)
    assert (await opened.old.get(OWNER, "theirs")).expires_at.timestamp() == 4_000_000_000
    await opened.move()
    assert (await opened.new.get(OWNER, "theirs")).expires_at.timestamp() == 4_000_000_000
    app.persist(KEY)
    assert (await opened.old.get(OWNER, "theirs")).expires_at is None


@pytest.mark.parametrize("how", ["added anew", "other attributes"])
async def test_what_another_program_adds_where_an_element_expired_is_there(app, world, how):
    add(app, "theirs", embed("theirs"), "NOQUANT")
    opened = await world("vector-set", index=KEY)
    now = utc_now()
    document = Document(
        id="d",
        user_id=OWNER,
        text="ours",
        embedding=embedding("ours"),
        created_at=now,
        updated_at=now,
        expires_at=now + timedelta(seconds=1),
        version=2,
    )
    await opened.old.put([DocumentChange(key=DocumentKey(OWNER, "d"), document=document)])
    assert (await opened.old.get(OWNER, "d")).expires_at is not None
    await asyncio.sleep(1.1)
    with pytest.raises(NotFoundError):
        await opened.old.get(OWNER, "d")
    if how == "added anew":
        add(app, "d", embed("another"), "NOQUANT", attributes='{"text": "another"}')
    else:
        app.execute_command("VSETATTR", KEY, "d", '{"text": "another"}')
    found = await opened.old.get(OWNER, "d")
    assert (found.text, found.expires_at) == ("another", None)
    assert {one.key.id async for page in opened.old.scan() for one in page.changes} == {"theirs", "d"}


async def test_the_attributes_say_whose_an_element_is(app, world):
    for name, attributes in (("a", '{"user": "ann"}'), ("b", '{"user": 7}'), ("c", '{"user": true}'), ("d", "{}")):
        add(app, name, embed(name), "NOQUANT", attributes=attributes)
    opened = await world("vector-set", index=KEY, owners=FieldOwners("user"))
    pages = [page async for page in opened.old.scan()]
    assert [(one.key.id, one.key.user_id) for page in pages for one in page.changes] == [("a", "ann"), ("b", "7")]
    bad = {one.key: one.reason for page in pages for one in page.quarantined}
    assert set(bad) == {"tea:c", "tea:d"}
    assert "no name of a user" in bad["tea:c"]
    assert "CHATSTORE_DOCUMENT_OWNERS" in bad["tea:d"]
    with pytest.raises(NotFoundError):
        await opened.old.get("bob", "a")
    with pytest.raises(ConflictError):
        await opened.old.upsert("bob", NewDocument("x", id="a", embedding=embedding("x")))
    with pytest.raises(ConflictError):
        await opened.old.upsert("bob", NewDocument("x", id="e", embedding=embedding("x"), metadata={"user": "ann"}))


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [("no JSON", "no JSON"), ("[1]", "no object"), ('{"a": 1, "a": 2}', "twice"), ('{"a": NaN}', "NaN")],
)
async def test_an_element_that_cannot_be_read_is_quarantined_alone(app, world, attributes, reason):
    add(app, "bad", embed("bad"), "NOQUANT", attributes=attributes)
    add(app, b"\xff", embed("bytes"), "NOQUANT")
    add(app, "", embed("empty"), "NOQUANT")
    add(app, "good", embed("good"), "NOQUANT")
    opened = await world("vector-set", index=KEY)
    pages = [page async for page in opened.old.scan()]
    assert [one.key.id for page in pages for one in page.changes] == ["good"]
    bad = {one.key: one for page in pages for one in page.quarantined}
    assert set(bad) == {"tea:bad", "tea:\\xff", "tea:"}
    assert reason in bad["tea:bad"].reason
    assert attributes.encode() in bad["tea:bad"].raw
    assert app.execute_command("VGETATTR", KEY, "bad") == attributes.encode()


async def test_what_a_set_does_not_take_is_refused_and_leaves_no_mark(app, world):
    add(app, "theirs", embed("theirs"), "NOQUANT")
    opened = await world("vector-set", index=KEY)
    with pytest.raises(InvalidRecordError, match="dimension"):
        await opened.old.upsert(OWNER, NewDocument("x", id="d", embedding=Embedding.of([1, 2])))
    assert app.execute_command("VISMEMBER", KEY, "d") == 0
    assert (await opened.old.journal.backlog()).marks == 0


async def test_a_set_with_fewer_numbers_than_were_added_says_so(app, world):
    numbers = struct.pack(f"<{DIMENSIONS}f", *embed("theirs"))
    app.execute_command("VADD", KEY, "REDUCE", 4, "FP32", numbers, "theirs")
    opened = await world("vector-set", index=KEY)
    assert (await opened.old.get(OWNER, "theirs")).embedding.dimension == 4
    assert any("REDUCE" in note for note in opened.old.notes)
    with pytest.raises(InvalidRecordError):
        await opened.old.upsert(OWNER, NewDocument("x", id="d", embedding=Embedding.of([1, 2])))
    [stored] = await opened.old.upsert(OWNER, NewDocument("x", id="d", embedding=embedding("x")))
    assert stored.embedding == embedding("x")


async def test_a_scan_goes_through_thousands_of_elements_in_parts(app, world):
    with app.pipeline(transaction=False) as pipeline:
        for number in range(1500):
            numbers = struct.pack("<2f", number, 1)
            pipeline.execute_command("VADD", KEY, "FP32", numbers, f"e{number}", "NOQUANT")
        pipeline.execute()
    opened = await world("vector-set", index=KEY)
    pages = [page async for page in opened.old.scan()]
    assert len(pages) > 1
    assert await opened.old.estimate() == await opened.old.count() == 1500
    assert sorted(one.key.id for page in pages for one in page.changes) == sorted(f"e{n}" for n in range(1500))
    rest = [page async for page in opened.old.scan(pages[0].cursor)]
    assert sum(len(page.changes) for page in rest) == 1500 - len(pages[0].changes)


async def test_a_server_without_vector_sets_and_a_key_of_another_type_are_told(app, redis_database, world):
    async with connect(redis_database) as client:
        with pytest.raises(ConfigurationError, match="no vector sets"):
            await RedisDocuments(client, document_layout("vector-set", index=KEY)).count()
    app.set(KEY, "text")
    opened = await world("vector-set", index=KEY)
    with pytest.raises(ConfigurationError, match="no vector set"):
        await opened.old.count()
    with pytest.raises(ConfigurationError, match="CHATSTORE_DOCUMENT_INDEX"):
        await (await world("vector-set")).old.count()


async def test_the_app_adds_as_ever_to_a_set_that_chatstore_made(app, world):
    opened = await world("vector-set", index=KEY)
    exact = Embedding.of([0.1 * n for n in range(1, DIMENSIONS + 1)])
    await opened.old.upsert(OWNER, NewDocument("ours", id="ours", embedding=exact))
    add(app, "theirs", embed("theirs"))
    assert app.execute_command("VCARD", KEY) == 2
    assert (await opened.old.get(OWNER, "ours")).embedding == exact
