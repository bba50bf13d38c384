"""Histories of other names: what a setting says is what the framework was given."""

import pytest

from chatstore.models import NewMessage
from chatstore.ownership import load_owners
from chatstore.redis import RedisChat, chat_layout, connect
from chatstore.redis.layouts.layout import Sample
from tests.frameworks import dumps
from tests.redis.keyed.conftest import LAYOUTS
from tests.redis.keyed.index import make_index


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, (b"chat:", "chat")),
        ({"index": "student tutor"}, (b"student tutor:", "student tutor")),
        ({"prefix": "app:"}, (b"app:", "app")),
        ({"prefix": "app", "index": "tutor"}, (b"app:", "tutor")),
    ],
)
def test_of_the_name_and_the_prefix_of_a_redisvl_history_each_stands_for_the_other(given, expected):
    layout = chat_layout("redisvl", **given)
    assert (layout.prefix, layout.index) == expected


@pytest.mark.parametrize("name", LAYOUTS)
async def test_a_prefix_and_an_index_may_have_any_letters(name, search_redis, scanned):
    options = {"prefix": "it's \\a\" [*] {t}:", "index": 'an index\'s "name"'}
    layout = chat_layout(name, owners=load_owners("all:ann"), **options)
    async with connect(search_redis) as client:
        if name == "redisvl":
            schema = "ON HASH SCHEMA session_tag TAG timestamp NUMERIC"
        else:
            schema = "ON JSON SCHEMA $.session_id AS session_id TAG $.timestamp AS timestamp NUMERIC"
        kind, words = schema.split(" SCHEMA ")
        prefix = options["prefix"]
        await client.ask("FT.CREATE", layout.index, *kind.split(), "PREFIX", 1, prefix, "SCHEMA", *words.split())
        chat = RedisChat(client, layout)
        await chat.create_session("ann", session_id="s", title="a title")
        await chat.append("ann", "s", NewMessage("user", "x", id="m"))
        assert await client.exists(f"{prefix}s:m") == 1
        [change], bad = await scanned(chat)
        assert ([one.id for one in change.messages], change.session.title, bad) == (["m"], "a title", [])
        await chat.close()


@pytest.mark.parametrize("name", LAYOUTS)
async def test_two_histories_in_one_database_do_not_meet(name, search_redis, scanned):
    owners = load_owners("all:ann")
    layouts = [chat_layout(name, prefix=f"{one}:", index=one, owners=owners) for one in ("one", "two")]
    async with connect(search_redis) as client:
        for layout in layouts:
            await make_index(client, layout)
            chat = RedisChat(client, layout)
            await chat.create_session("ann", session_id="s", title=layout.index)
            await chat.append("ann", "s", NewMessage("user", layout.index, id="m"))
        for layout in layouts:
            [change], _ = await scanned(RedisChat(client, layout))
            assert (change.session.title, change.messages[0].content) == (layout.index, layout.index)


@pytest.mark.parametrize(
    ("dump", "claimed"),
    [
        ("langchain-redis-chat", {"langchain-redis"}),
        ("langchain-redis-old-chat", {"langchain-redis"}),
        ("redisvl-chat", {"redisvl"}),
        ("redisvl-chat-semantic", {"redisvl"}),
        ("redisvl-old-chat", {"redisvl"}),
        ("vercel-kv-chat", set()),
        ("redisvl-documents-hash", set()),
        ("redisvl-documents-json", set()),
        ("langchain-redis-documents-json", set()),
    ],
)
def test_type_and_shape_say_whose_a_key_is_and_never_its_name(dump, claimed):
    for key in dumps.load(dump).keys:
        fields = key.value if isinstance(key.value, dict) else {"": key.value}
        named = {name.decode() if isinstance(name, bytes) else name: value for name, value in fields.items()}
        sample = Sample(key=b"any:name", kind=key.kind, fields=named)
        assert {name for name in LAYOUTS if chat_layout(name).claims(sample) == "message"} == claimed
