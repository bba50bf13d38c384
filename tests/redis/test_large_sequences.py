"""Lists of tens of thousands of items and messages of ten megabytes: memory stays flat, and the server answers."""

import asyncio
import json
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import redis

from chatstore.models import NewMessage, to_micros, utc_now
from chatstore.redis import RedisChat, connect
from tests.redis.sequences import SEQUENCES, SESSION, USER

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux says how much a program needed at most")

ITEMS = 30_000
LARGE = 10_000_000
# What one process needs for one of the largest messages: it stands in the reply, as text and as JSON.
ROOM = 200_000_000

SCAN = """
import asyncio, json, sys
from chatstore.ownership import SoleOwner
from chatstore.redis import RedisChat, chat_layout, connect

def highest():
    # Since the program began: what getrusage says begins with what the parent had.
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))

async def main(url, layout):
    async with connect(url) as client:
        chat = RedisChat(client, chat_layout(layout, owners=SoleOwner("ann")))
        begun = highest()
        messages, last = 0, None
        async for page in chat.scan():
            for change in page.changes:
                for message in change.messages:
                    assert last is None or message.order > last or message.position == 0
                    last = message.order
                messages += len(change.messages)
        await chat.close()
    print(json.dumps({"messages": messages, "used": highest() - begun}))

asyncio.run(main(*sys.argv[1:]))
"""


def scan_elsewhere(url, layout):
    done = subprocess.run(
        [sys.executable, "-c", SCAN, url, layout], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


class Pulse:
    """Asks the server again and again for something small, and notes the longest that it took."""

    def __init__(self, url):
        self.longest = 0.0
        self._url = url

    async def __aenter__(self):
        self._client = connect(self._url)
        self._task = asyncio.create_task(self._beat())
        return self

    async def __aexit__(self, *_):
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self._client.aclose()

    async def _beat(self):
        while True:
            begun = time.monotonic()
            await self._client.ask("EXISTS", "anything")
            self.longest = max(self.longest, time.monotonic() - begun)
            await asyncio.sleep(0.005)


@pytest.fixture
def other(redis_database, request):
    with redis.Redis.from_url(redis_database) as client:
        yield SEQUENCES[request.param](client)
        client.flushdb()


@pytest.mark.parametrize("other", ["langchain"], indirect=True)
async def test_a_list_of_tens_of_thousands_is_scanned_in_flat_memory_beside_other_work(other, redis_database):
    items = [other.item(f"message {number}") for number in range(5_000)]
    for _ in range(0, ITEMS, len(items)):
        other.push(*items)
    async with Pulse(redis_database) as pulse:
        found = await asyncio.to_thread(scan_elsewhere, redis_database, "langchain")
        assert (found["messages"], pulse.longest < 1) == (ITEMS, True)
        assert found["used"] < 100_000_000
        # What was trimmed and what was pushed since is found without a look at all of it.
        other.trim(ITEMS - 1000)
        other.push(items[0])
        again = await asyncio.to_thread(scan_elsewhere, redis_database, "langchain")
        assert (again["messages"], pulse.longest < 1) == (ITEMS - 999, True)


@pytest.mark.parametrize("other", ["llamaindex", "vercel-kv"], indirect=True)
async def test_messages_of_ten_megabytes_are_scanned_in_bounded_memory(other, redis_database):
    other.push(*(other.item(f"{number}" + "x" * LARGE) for number in range(2)))
    found = await asyncio.to_thread(scan_elsewhere, redis_database, other.name)
    assert found["messages"] == 2
    assert found["used"] < ROOM


@pytest.mark.parametrize("other", ["llamaindex"], indirect=True)
async def test_many_sessions_whose_messages_are_large_are_not_read_all_at_once(other, redis_database):
    for number in range(12):
        other.key = f"s{number}"
        other.push(other.item("x" * 4_000_000), other.item("y"))
    found = await asyncio.to_thread(scan_elsewhere, redis_database, other.name)
    assert found["messages"] == 24
    assert found["used"] < 60_000_000


@pytest.mark.parametrize("other", ["langchain"], indirect=True)
async def test_a_long_session_that_the_other_side_cleared_is_emptied_without_holding_up_the_server(
    other, redis_database
):
    other.push(*(other.item(f"message {number}") for number in range(ITEMS // 3)))  # beside other tests at work
    client = connect(redis_database)
    chat = RedisChat(client, other.layout)
    changes = [change async for page in chat.scan() for change in page.changes]
    session = next(change.session for change in changes if change.session)
    cleared = to_micros(utc_now()) | 1
    async with Pulse(redis_database) as pulse:
        await chat.put([replace(changes[0], messages=(), session=session, cleared=cleared)])
        await asyncio.sleep(0.1)  # so that a beat that waits for its answer counts
    await client.aclose()
    assert (other.items(), pulse.longest < 1) == ([], True)


@pytest.mark.parametrize("other", ["langchain"], indirect=True)
async def test_a_call_on_a_session_of_large_messages_does_not_read_them_all(other, redis_database):
    other.push(*(other.item(f"{number}" + "x" * 1_000_000) for number in range(60)))
    async with connect(redis_database) as client:
        chat = RedisChat(client, other.layout)
        [_ async for _ in chat.scan()]

        async def reading():
            return (await client.ask("INFO", "commandstats"))["cmdstat_lrange"]["usec"]

        begun = await reading()
        await chat.append(USER, SESSION, NewMessage("user", "more"))
        by_append = await reading() - begun
        await asyncio.to_thread(other.items)
        by_all = await reading() - begun - by_append
        assert by_append < by_all / 2
