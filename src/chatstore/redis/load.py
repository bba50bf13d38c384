"""How busy a Redis is, as it tells itself."""

from __future__ import annotations

import time

from redis.exceptions import RedisError

from chatstore.models import ServerLoad
from chatstore.redis.client import Client, Server, our_error
from chatstore.redis.ground import ground_of


async def load_of(client: Client) -> ServerLoad:
    """Return how busy a server is; of a cluster, the latency of its slowest primary, and what all of them do.

    Raises:
        UnavailableError: One of them did not answer.
    """
    loads = [await _load_of(server) for server in (await ground_of(client)).servers]
    cpu = [load.cpu_seconds for load in loads if load.cpu_seconds is not None]
    operations = [load.operations for load in loads if load.operations is not None]
    return ServerLoad(
        latency=max(load.latency for load in loads),
        cpu_seconds=sum(cpu) if len(cpu) == len(loads) else None,
        operations=sum(operations) if len(operations) == len(loads) else None,
    )


async def _load_of(server: Server) -> ServerLoad:
    begun = time.perf_counter()
    await server.ask("TIME")
    latency = time.perf_counter() - begun
    cpu, stats = await server.ask_all([("INFO", "cpu"), ("INFO", "stats")])
    for told in (cpu, stats):
        if isinstance(told, RedisError):
            raise our_error(told, server) from told
    user, system = cpu.get("used_cpu_user"), cpu.get("used_cpu_sys")
    operations = stats.get("instantaneous_ops_per_sec")
    return ServerLoad(
        latency=latency,
        cpu_seconds=None if user is None or system is None else float(user) + float(system),
        operations=None if operations is None else float(operations),
    )
