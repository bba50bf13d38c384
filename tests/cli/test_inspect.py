"""`chatstore inspect`: its answer, its exit statuses, and the page of the guide that shows it."""

import json
import re
from pathlib import Path

import pytest
import redis

from chatstore.models import Kind

GUIDE = Path(__file__).parents[2] / "docs" / "guide.md"
CREATED = 1_767_225_600_000
# What is another on each machine and in each run.
VARYING = [
    (re.compile(r"(Redis|Valkey) [\d.]+ at \S+:\d+:"), "<server>:"),
    (re.compile(r"in (less than a second|[\d.]+ s)$", re.MULTILINE), "in <time>"),
    (re.compile(r"[\d.]+ k?B of memory"), "<size> of memory"),
    (re.compile(r"cache:page:\d+"), "cache:page:<one>"),
    (re.compile(r"[\d,]+\s+a\s+second\s+were\s+read\s+here"), "<rate>"),
]


def item(text):
    return json.dumps({"type": "human", "data": {"content": text, "additional_kwargs": {}, "name": None}})


def fill(url):
    """What the guide's example has: an app with LangChain's history and documents of its own."""
    with redis.Redis.from_url(url) as client:
        for place in range(40):
            client.rpush(f"message_store:user-{place % 8}:{place}", *(item("How is tea made?") for _ in range(6)))
            client.expire(f"message_store:user-{place % 8}:{place}", 7 * 86_400)
        client.lpush("message_store:user-1:1", item("Green tea is steamed. " * 40))
        client.rpush("message_store:user-2:2", '{"type": "human", "da')
        client.rpush("message_store:shared", item("Whose am I?"))
        client.set("message_store:old", "a pickle")
        for place in range(30):
            held = {"title": "Tea", "content": "Tea.", "userId": f"user-{place % 8}", "createdAt": CREATED}
            client.hset(f"document:{place}", mapping={**held, "embedding": "[0.25,0.5]" if place else ""})
        client.hset("document:7", "content", "Green tea. " * 30)
        for place in range(25):
            client.set(f"cache:page:{place}", "<html>")


def told(text):
    for pattern, instead in VARYING:
        text = pattern.sub(instead, text)
    return " ".join(text.split())


@pytest.fixture
def filled(redis_database, program):
    fill(redis_database)
    program.set(REDIS_URL=redis_database)
    return redis_database


def test_the_guides_example_is_what_it_says(filled, program):
    [shown] = re.findall(r"```\n\$ (chatstore inspect)\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    program.set(CHATSTORE_OWNERS="key:message_store:{user}:*", CHROMA_API_KEY="key", COLUMNS=100)
    done = program(*shown[0].split()[1:])
    assert told(done.out) == told(shown[1]), done.out
    assert done.status == 1


@pytest.mark.parametrize("width", [40, 80, 120, 300])
def test_the_report_fits_the_terminal_and_loses_nothing(filled, program, width):
    program.set(COLUMNS=width)
    done = program("inspect")
    report, _, settings = done.out.partition("settings for .env.local")
    assert max(map(len, report.splitlines())) <= min(width, 120)
    assert all(line == line.rstrip() for line in done.out.splitlines())
    assert "it has no embedding (document:0)" in " ".join(report.split())
    assert "\n  CHATSTORE_CHAT_LAYOUT=langchain\n" in settings
    assert done.err == ""


def test_json_has_it_all_in_one_object(filled, program):
    done = program("inspect", "--json")
    found = done.json
    assert done.status == 1
    assert found["fine"] is False
    chat = found["groups"][found["chosen"][Kind.CHAT]]
    assert (chat["layout"], chat["sessions"], chat["messages"]) == (
        "langchain",
        {"value": 41, "exact": True},
        {"value": 243, "exact": True},
    )
    assert [one["example"] for one in chat["records"]["quarantined"]]
    assert found["durations"]["chat"]["most"] > found["durations"]["chat"]["least"] > 0
    assert "CHATSTORE_CHAT_LAYOUT=langchain" in found["settings"]


def test_it_ends_with_0_where_nothing_is_wrong(redis_database, program):
    program.set(REDIS_URL=redis_database)
    with redis.Redis.from_url(redis_database) as client:
        client.rpush("message_store:1", item("hello"))
    done = program("inspect")
    assert done.status == 0
    assert "whose       the layout does not say: CHATSTORE_OWNERS must" in done.out


def test_a_redis_without_any_layout_is_no_error(redis_database, program):
    program.set(REDIS_URL=redis_database)
    done = program("inspect")
    assert done.status == 0
    assert "no layout that chatstore knows is there" in done.out
    assert "settings" not in done.out


@pytest.mark.parametrize(
    ("settings", "arguments", "said"),
    [
        ({}, (), "REDIS_URL is not set"),
        ({"REDIS_URL": "redis://127.0.0.1:1/0"}, (), "no answer from the Redis server"),
        ({"REDIS_URL": "redis://127.0.0.1:1/0", "CHATSTORE_OWNERS": "nonsense"}, (), "CHATSTORE_OWNERS"),
        ({"REDIS_URL": "redis://127.0.0.1:1/0"}, ("--sample", "0"), "--sample"),
    ],
)
def test_it_ends_with_2_where_it_cannot_look(program, settings, arguments, said):
    program.set(**settings)
    done = program("inspect", *arguments)
    assert done.status == 2
    assert said in done.err


def test_names_from_the_data_do_nothing_to_a_terminal(redis_database, program):
    program.set(REDIS_URL=redis_database)
    with redis.Redis.from_url(redis_database) as client:
        client.rpush("message_store:\x1b[31mred\n\u202e", item("x" * 500), "{")
        client.set(b"\x1b]0;title\x07\xff[bold]:1", "x")
    done = program("inspect", "--all")
    assert "\x1b" not in done.out
    assert "\u202e" not in done.out
    assert "[bold]" in done.out


def test_how_fast_the_targets_are_may_be_said(filled, program):
    found = program("inspect", "--messages-per-second", "2", "--documents-per-second", "10", "--json").json
    assert found["durations"]["chat"]["least"] == found["durations"]["chat"]["most"] == pytest.approx(121.5)
    assert found["durations"]["documents"]["most"] == 3


def test_a_sample_says_that_it_is_one(filled, program):
    done = program("inspect", "--sample", "20")
    assert "20 were looked at" in done.out
    assert "what follows is estimated from them" in done.out
    assert "about" in done.out


def test_what_layouts_warn_of_is_in_the_report_and_not_in_the_log(search_redis, program):
    program.set(REDIS_URL=search_redis)
    with redis.Redis.from_url(search_redis) as client:
        client.execute_command("VADD", "tea", "VALUES", 2, 1, 2, "green")
    done = program("inspect")
    assert done.err == ""
    assert "8 bits a number" in " ".join(done.out.split())
    assert "CHATSTORE_DOCUMENT_INDEX=tea" in done.out
