"""`chatstore pause`, `resume` and `limits`, and the options of `migrate` that set the same."""

import asyncio
import json
import signal
import time

import psycopg
import pytest
import redis

from chatstore.models import Kind, new_id
from tests.cli.conftest import ended

FREE = {
    "paused": False, "rate": None, "source_latency": None, "target_latency": None, "window": None, "at_once": None,
    "runs": [],
}  # fmt: skip


def test_limits_are_set_shown_and_removed(program, memory):
    assert program("limits").out == "chat: no limits\ndocuments: no limits\n"
    done = program(
        "limits", "--chat", "--rate", 500, "--max-latency", "20ms", "--max-target-latency", "0.2s",
        "--between", "22:00-06:00", "--at-once", 2, "--json",
    )  # fmt: skip
    assert done.status == 0
    held = FREE | {"rate": 500, "source_latency": 0.02, "target_latency": 0.2, "at_once": 2}
    assert done.json == {"chat": held | {"window": "22:00-06:00 UTC"}}
    changed = program("limits", "--chat", "--between", "none", "--rate", "none")
    assert (
        changed.out
        == "chat: while the source answers within 20 ms; while the target answers within 200 ms; 2 at once\n"
    )
    assert program("limits", "--documents").out == "documents: no limits\n"
    assert program("limits", "--none", "--json").json == {"chat": FREE, "documents": FREE}
    assert asyncio.run(memory.runs[Kind.CHAT].limits()) is None


def test_a_pause_is_no_limit_that_none_removes(program, memory):
    program("pause", "--chat")
    assert program("limits", "--chat", "--none", "--json").json["chat"]["paused"]
    assert "chat: goes on" in program("resume", "--chat").out
    assert "chat: was not paused" in program("resume", "--chat").out


def test_a_pause_without_a_run_says_that_it_holds_the_next_one(program, memory):
    assert program("pause", "--chat").out == (
        "chat: no run is under way; the next one will wait for chatstore resume --chat\n"
    )


def test_a_pause_names_the_run_that_it_holds(program, memory):
    asyncio.run(memory.runs[Kind.CHAT].acquire("host:1:x", 60))
    assert "the run of host:1:x stands still in a moment" in program("pause", "--chat").out
    assert program("pause", "--chat", "--json").json["chat"]["runs"] == ["the run of host:1:x"]


@pytest.mark.parametrize("command", ["limits", "migrate"])
@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--rate", 0), ("--rate", -5), ("--rate", "1e-300"), ("--rate", "1e300"), ("--rate", "nan"),
        ("--between", "25:00-06:00"), ("--max-latency", "20"),
        ("--at-once", 0), ("--at-once", 1001), ("--at-once", 10**24), ("--at-once", "²"),
    ],
)  # fmt: skip
def test_what_means_nothing_is_refused_and_nothing_changed(program, memory, command, option, value):
    program("limits", "--rate", 7)
    refused = program(command, option, value)
    assert refused.status == 2
    assert f"error: '{value}'" in refused.err
    assert program("limits", "--json").json["chat"]["rate"] == 7


def test_a_value_without_end_is_refused_and_not_repeated(program, memory):
    for option, says in (
        ("--at-once", "give one from 1 to 1,000"),
        ("--rate", "from 0.01 to 1,000,000,000"),
        ("--max-latency", "as in 20ms or 1.5s"),
    ):
        refused = program("migrate", option, "9" * 5000 + "s" * (option == "--max-latency"))
        assert refused.status == 2
        assert says in refused.err
        assert len(refused.err) < 400


def test_the_bounds_themselves_are_taken(program, memory):
    assert program("limits", "--chat", "--rate", "0.01", "--at-once", "1000").out == (
        "chat: 0.01 records a second; 1000 at once\n"
    )


def test_limits_that_cannot_be_read_are_told_and_can_be_removed(program, memory):
    asyncio.run(memory.runs[Kind.CHAT].set_limits("{"))
    assert "chatstore limits --none" in program("limits", "--chat").err
    assert program("limits", "--chat", "--none").status == 0
    assert program("limits", "--chat").status == 0


def test_a_migrate_sets_what_it_is_told_and_a_later_run_keeps_it(program, memory):
    assert program("migrate", "--rate", 100_000, "--json").status == 0
    assert program("limits", "--json").json["documents"]["rate"] == 100_000


def test_what_an_operator_changes_while_the_first_kind_is_copied_stays_for_the_second(program, memory, monkeypatch):
    chat, documents = memory.runs[Kind.CHAT], memory.runs[Kind.DOCUMENTS]
    begin = chat.acquire

    async def an_operator_comes(holder, seconds):
        await begin(holder, seconds)
        assert '"rate": 90000.0' in await documents.limits()
        await documents.set_limits('{"rate": 70000}')

    monkeypatch.setattr(chat, "acquire", an_operator_comes)
    assert program("migrate", "--rate", 90_000, "--json").status == 0
    held = program("limits", "--json").json
    assert (held["chat"]["rate"], held["documents"]["rate"]) == (90_000, 70_000)


def test_a_migrate_that_is_refused_changes_no_limits_of_the_one_that_runs(program, memory):
    asyncio.run(memory.runs[Kind.CHAT].acquire("host:1:x", 60))
    assert program("migrate", "--chat", "--rate", 5).status == 2
    assert program("limits", "--chat", "--json").json["chat"]["rate"] is None


SESSIONS, MESSAGES = 60, 4


def fill(client, head):
    pipe = client.pipeline()
    times = {"createdAt": 1_700_000_000_123, "updatedAt": 1_700_000_100_456}
    for number in range(SESSIONS):
        ids = [f"{head}{number}-m{place}" for place in range(MESSAGES)]
        session = {"userId": "u", "title": "Talk", "messageIds": json.dumps(ids), "metadata": "{}"}
        pipe.hset(f"session:{head}{number}", mapping={**session, **times})
        for message_id in ids:
            message = {"sessionId": f"{head}{number}", "role": "user", "content": "Hello", "metadata": "{}"}
            pipe.hset(f"message:{message_id}", mapping={**message, "createdAt": times["createdAt"]})
    pipe.execute()


def until(true, seconds=30):
    """Wait until something is true, and return it."""
    end = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < end, "it never came"
        time.sleep(0.1)
    return found


@pytest.mark.timeout(200)
def test_a_run_is_paused_resumed_and_let_go_from_another_process(program, stack, redis_database):
    program.set(**(stack.settings.environment() | {"REDIS_URL": redis_database}))
    head = f"{new_id()}-"
    with (
        psycopg.connect(stack.settings.supabase_db_url, autocommit=True) as connection,
        redis.Redis.from_url(redis_database) as client,
    ):
        fill(client, head)

        def copied():
            found = connection.execute("select count(*) from public.messages where session_id like %s", [f"{head}%"])
            return found.fetchone()[0]

        running = program.started("migrate", "--chat", "--rate", 25)
        try:
            until(copied)
            paused = program("pause", "--chat")
            assert "the backfill old to new on" in paused.out, paused
            until(lambda: "paused" in program("status", "--chat").out)
            time.sleep(1)  # What was under way is finished first.
            held = copied()
            assert 0 < held < SESSIONS * MESSAGES
            time.sleep(1)
            assert copied() == held
            assert client.exists("chatstore:{chat}:lease")

            # A run that is paused can be stopped, and the next one is held where it was.
            running.send_signal(signal.SIGINT)
            stopped = ended(running)
            assert (stopped.status, "chatstore migrate --chat" in stopped.err) == (130, True)
            assert "chatstore resume --chat" in stopped.err
            running = program.started("migrate", "--chat", "--json")
            until(lambda: program("pause", "--chat", "--json").json["chat"]["runs"])
            time.sleep(1)
            assert copied() == held

            assert "still limited to: 25 records a second" in program("resume", "--chat").out
            until(lambda: copied() > held)
            assert program("limits", "--chat", "--none").status == 0
            done = ended(running)
        finally:
            running.kill()
        assert done.status == 0, done.err
        source, target = done.json["chat"]["source_load"], done.json["chat"]["target_load"]
        assert 0 < source["latency"] <= source["latency_worst"]
        assert source["cpu_share"] > 0
        assert target["latency"] > 0
        assert source["latency_before"] > 0
        assert copied() == SESSIONS * MESSAGES
