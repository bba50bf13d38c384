"""What no framework would write: it is quarantined with its key, its bytes and a reason, and its neighbours stay as they are."""

import json
import struct
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chatstore.errors import ConflictError, LayoutError, NotFoundError
from chatstore.models import Document, DocumentChange, DocumentKey, Embedding, NewDocument, from_micros
from chatstore.ownership import SoleOwner
from chatstore.redis import RedisDocuments, connect, document_layout
from tests.frameworks import dumps
from tests.frameworks.embedding import DIMENSIONS, embed
from tests.redis.documents.conftest import OWNER, raw

# By a name: the dump, the layout, the index, the prefix, and the fields with text, embedding and JSON.
LAYOUTS = {
    "langchain": ("langchain-documents", "langchain", "tea", "doc:tea:", "content", "content_vector", None),
    "langchain-redis": (
        "langchain-redis-documents-hash",
        "langchain-redis",
        "tea",
        "tea:",
        "text",
        "embedding",
        "_metadata_json",
    ),
    "langchain-js": (
        "langchain-js-documents",
        "langchain-js",
        "tea",
        "doc:tea:",
        "content",
        "content_vector",
        "metadata",
    ),
    "llamaindex": ("llamaindex-documents", "llamaindex", "tea", "tea/vector_", "text", "vector", "_node_content"),
    "redisvl": (
        "redisvl-documents-hash",
        "redisvl",
        "tea_hash_float32",
        "tea:hash:float32:",
        "content",
        "embedding",
        None,
    ),
}
IN_JSON = {
    "langchain-redis-json": (
        "langchain-redis-documents-json",
        "langchain-redis",
        "tea",
        "tea:",
        "text",
        "embedding",
        "_metadata_json",
    ),
    "redisvl-json": (
        "redisvl-documents-json",
        "redisvl",
        "tea_json_float32",
        "tea:json:float32:",
        "content",
        "embedding",
        None,
    ),
}
BAD_JSON = {
    "truncated": b'{"a": ',
    "deep": b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "nan": b'{"a": NaN}',
    "twice": b'{"a": 1, "a": 2}',
    "surrogate": b'{"a": "\\ud800"}',
    "list": b"[1]",
    "text": b'"a"',
    "bytes": b"\xff",
}
BAD_VECTORS = {
    "odd length": b"\x00" * (4 * DIMENSIONS - 1),
    "nan": struct.pack(f"<{DIMENSIONS}f", *[float("nan")] * DIMENSIONS),
    "infinity": struct.pack(f"<{DIMENSIONS}f", *[float("inf")] * DIMENSIONS),
    "dimension": b"\x00" * 4,
}
BAD_MEMBERS = {
    "content": [7, ["x"], {"a": 1}],
    "vector": ["text", [1, "2"], [True], [1e39] * DIMENSIONS, [0.5], {"a": 1}],
}


@pytest.fixture
def filled(app):
    """A function that puts what a framework left into the test's Redis, and returns one of its keys."""

    def fill(case):
        dump, _, _, prefix, *_ = (LAYOUTS | IN_JSON)[case]
        app.flushall()
        dumps.load(dump).restore(app)
        return min(key for key in raw(app) if key.startswith(prefix.encode()))

    return fill


async def check_that_only_it_is_bad(app, opened, case, key, value):
    """Scan, list and search: the bad one is quarantined, and nothing else is harmed."""
    prefix = (LAYOUTS | IN_JSON)[case][3].encode()
    before = raw(app)
    others = {name for name in before if name.startswith(prefix)} - {key}
    pages = [page async for page in opened.old.scan()]
    assert {prefix + one.key.id.encode() for page in pages for one in page.changes} == others
    [bad] = [one for page in pages for one in page.quarantined]
    assert bad.key == key.decode()
    assert bad.reason
    assert value[:60_000] in bad.raw
    listed = await opened.old.list_documents(OWNER)
    assert {prefix + one.id.encode() for one in listed.items} == others
    found = await opened.old.search(OWNER, Embedding.of(embed("x")), k=9)
    assert {prefix + one.document.id.encode() for one in found} >= others
    with pytest.raises((LayoutError, NotFoundError)):
        await opened.old.get(OWNER, key.removeprefix(prefix).decode())
    assert raw(app) == before
    report = await opened.move_what_can_be()
    assert (report.quarantined, report.copied.documents) == (1, len(others))


@pytest.mark.parametrize("what", BAD_JSON)
@pytest.mark.parametrize("case", [case for case in LAYOUTS if LAYOUTS[case][6]])
async def test_json_that_is_none(app, world, filled, case, what):
    key, value = filled(case), BAD_JSON[what]
    app.hset(key, LAYOUTS[case][6], value)
    opened = await world(LAYOUTS[case][1], index=LAYOUTS[case][2])
    await check_that_only_it_is_bad(app, opened, case, key, value)


@pytest.mark.parametrize("what", BAD_VECTORS)
@pytest.mark.parametrize("case", LAYOUTS)
async def test_a_vector_that_is_none(app, world, filled, case, what):
    key, value = filled(case), BAD_VECTORS[what]
    app.hset(key, LAYOUTS[case][5], value)
    opened = await world(LAYOUTS[case][1], index=LAYOUTS[case][2])
    await check_that_only_it_is_bad(app, opened, case, key, value)


@pytest.mark.parametrize("case", LAYOUTS)
async def test_text_that_is_none_and_a_name_that_is_none(app, world, filled, case):
    key = filled(case)
    app.hset(key, LAYOUTS[case][4], b"\xff text")
    opened = await world(LAYOUTS[case][1], index=LAYOUTS[case][2])
    await check_that_only_it_is_bad(app, opened, case, key, b"\xff text")
    app.hset(key, LAYOUTS[case][4], b"text")
    app.hset(key, b"\xff", b"field")
    pages = [page async for page in opened.old.scan()]
    assert [one.key for page in pages for one in page.quarantined] == [key.decode()]


@pytest.mark.parametrize("which", BAD_MEMBERS)
@pytest.mark.parametrize("case", IN_JSON)
async def test_a_member_of_a_json_document_that_is_none(app, world, filled, case, which):
    for value in BAD_MEMBERS[which]:
        key = filled(case)
        path = f"$.{IN_JSON[case][4 if which == 'content' else 5]}"
        app.execute_command("JSON.SET", key, path, json.dumps(value))
        opened = await world(IN_JSON[case][1], index=IN_JSON[case][2])
        await check_that_only_it_is_bad(
            app, opened, case, key, json.dumps(value, separators=(",", ":")).replace("e+", "e").encode()
        )


@pytest.mark.parametrize("case", LAYOUTS | IN_JSON)
async def test_ids_that_are_none(app, world, filled, case):
    key = filled(case)
    prefix = (LAYOUTS | IN_JSON)[case][3].encode()
    count = sum(name.startswith(prefix) for name in raw(app))
    for name in (prefix, prefix + b"\xff"):
        app.execute_command("COPY", key, name)
    opened = await world((LAYOUTS | IN_JSON)[case][1], index=(LAYOUTS | IN_JSON)[case][2])
    pages = [page async for page in opened.old.scan()]
    assert sum(len(page.changes) for page in pages) == count
    bad = sorted(one.key for page in pages for one in page.quarantined)
    assert bad == [prefix.decode(), f"{prefix.decode()}\\xff"]


@pytest.mark.parametrize("case", LAYOUTS | IN_JSON)
async def test_what_is_another_layouts_is_left_alone(app, world, filled, case, caplog):
    filled(case)
    prefix = (LAYOUTS | IN_JSON)[case][3]
    app.set(f"{prefix}text", "a counter, say")
    app.rpush(f"{prefix}list", "a")
    if case in LAYOUTS:
        app.hset(f"{prefix}other", mapping={"count": 7})
    else:
        app.execute_command("JSON.SET", f"{prefix}other", "$", '{"count": 7}')
        app.execute_command("JSON.SET", f"{prefix}array", "$", "[7]")
    before = raw(app)
    opened = await world((LAYOUTS | IN_JSON)[case][1], index=(LAYOUTS | IN_JSON)[case][2])
    pages = [page async for page in opened.old.scan()]
    assert [one for page in pages for one in page.quarantined] == []
    assert not {"text", "list", "other", "array"} & {one.key.id for page in pages for one in page.changes}
    assert "passed over" in caplog.text
    new = NewDocument("ours", embedding=Embedding.of(embed("ours")))
    put = Document(
        id="",
        user_id=OWNER,
        text="x",
        embedding=new.embedding,
        created_at=from_micros(0),
        updated_at=from_micros(0),
        version=4,
    )
    for name in ("text", "list", "other", *(["array"] if case in IN_JSON else [])):
        with pytest.raises((ConflictError, LayoutError)):
            await opened.old.upsert(OWNER, NewDocument("ours", id=name, embedding=new.embedding))
        with pytest.raises(ConflictError):
            await opened.old.put([DocumentChange(key=DocumentKey(OWNER, name), document=replace(put, id=name))])
    assert await opened.old.delete(OWNER, ["other"]) == 0
    with pytest.raises(LayoutError, match="string"):
        await opened.old.delete(OWNER, ["text"])
    assert raw(app) == before


_values = (
    st.binary(max_size=50) | st.text().map(str.encode) | st.sampled_from([*BAD_JSON.values(), *BAD_VECTORS.values()])
)


@pytest.mark.parametrize("case", LAYOUTS)
async def test_no_value_of_a_field_harms_anybody_else(app, search_redis, filled, case):
    _, layout, index, prefix, *fields = LAYOUTS[case]
    key = filled(case)
    whole = app.hgetall(key)
    neighbours = {name: value for name, value in raw(app).items() if name != key}
    names = st.sampled_from([one for one in fields if one]) | st.text(max_size=4)

    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(changes=st.dictionaries(names, st.none() | _values, min_size=1, max_size=3))
    def harmless(changes):
        app.delete(key)
        app.hset(key, mapping=whole | {name: value for name, value in changes.items() if value is not None})
        if gone := [name for name, value in changes.items() if value is None]:
            app.hdel(key, *gone)
        examples.append(dict(app.hgetall(key)))

    examples = []
    harmless()
    async with connect(search_redis) as client:
        old = RedisDocuments(client, document_layout(layout, index=index, owners=SoleOwner(OWNER)))
        for example in examples:
            app.delete(key)
            app.hset(key, mapping=example)
            pages = [page async for page in old.scan()]
            seen = [prefix.encode() + one.key.id.encode() for page in pages for one in page.changes]
            bad = [one.key.encode() for page in pages for one in page.quarantined]
            others = [name for name in neighbours if name.startswith(prefix.encode())]
            is_none = not {mark.encode() for mark in old._layout.marks} & example.keys()
            assert sorted(seen + bad) == sorted(others if is_none else [*others, key])
            found = await old.search(OWNER, Embedding.of(embed("x")), k=9)
            assert len(found) >= len(neighbours) - 1 or prefix.startswith("tea:hash")
            assert app.hgetall(key) == example
            assert {name: value for name, value in raw(app).items() if name != key} == neighbours
        await old.close()
