"""A Dask cluster's workers. They need chatstore and the same packages as the planner, and to reach the servers."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from typing import Any

from chatstore.errors import ConfigurationError, UnavailableError
from chatstore.workers.recipe import Recipe
from chatstore.workers.runner import ExecutorRunner

_CONNECT_SECONDS = 10
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://\S+|[^\s/]+:\d{1,5}")


@asynccontextmanager
async def dask_cluster(address: str, recipe: Recipe) -> AsyncGenerator[ExecutorRunner, None]:
    """Yield a runner over a Dask cluster. When the block ends, what it has not begun is cancelled.

    Dask itself does a batch again whose worker died; when several workers died of one, the runner asks again later.

    Args:
        address: The scheduler's: `tcp://host:8786`.
        recipe: How workers open the two sides. It goes through the scheduler: use TLS there, or
            `Recipe.from_environment`, where the network is not your own.

    Raises:
        ConfigurationError: Dask is not installed, or this is no address.
        UnavailableError: The scheduler does not answer, or has no workers.
    """
    clients = [await asyncio.to_thread(_connected, address)]
    unused = list(clients)

    def make() -> Executor:
        if not unused:
            clients.append(_connected(address))
        client = unused.pop() if unused else clients[-1]
        # Each batch is a call of its own: with `pure`, Dask would give the outcome of an equal one again.
        executor: Executor = client.get_executor(pure=False)
        return executor

    try:
        yield ExecutorRunner(make, recipe, workers=sum(clients[0].nthreads().values()))
    finally:
        for client in clients:
            await asyncio.to_thread(client.close)


def _connected(address: str) -> Any:
    no_address = f"{address!r} is no address of a Dask scheduler, as tcp://host:8786 is"
    try:
        import distributed  # noqa: PLC0415 - an extra, imported when it is asked for
    except ImportError as error:
        raise ConfigurationError("Dask is not installed here: pip install 'chatstore[dask]'") from error
    if not _ADDRESS.fullmatch(address):
        # Dask would look for a host of that name, for longer than the timeout.
        raise ConfigurationError(no_address)
    try:
        make: Any = distributed.Client
        client = make(address, timeout=_CONNECT_SECONDS, set_as_default=False)
    except (OSError, TimeoutError) as error:
        raise UnavailableError(f"no Dask scheduler answers at {address}: check the address and that it runs") from error
    except ValueError as error:
        raise ConfigurationError(no_address) from error
    if not client.nthreads():
        client.close()
        raise UnavailableError(f"the Dask scheduler at {address} has no workers: start some (`dask worker {address}`)")
    return client
