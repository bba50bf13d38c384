"""The connection to Redis: making one, taking over an app's, and saying in our words what went wrong on it."""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

from redis.asyncio import BlockingConnectionPool, ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    ConnectionError,  # noqa: A004 - the client library's own
    MasterDownError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TimeoutError,  # noqa: A004 - the client library's own
)

from chatstore.errors import ChatStoreError, ConfigurationError, LayoutError, UnavailableError

Argument: TypeAlias = "bytes | str | int | float"

_TIMEOUT = 5.0
_CONNECTIONS = 64


class Client(Redis):
    """A client as the stores need it, made by `connect` or `take_over`.

    It gives bytes, as values may be anything. And it never repeats a command: a write whose answer was lost may have
    happened, and a second `pop` would take a second message.

    Attributes:
        answer_within: How many seconds a round trip may take. Kept here and not by the client library, which for that
            would wrap each sending in `asyncio.wait_for`: before Python 3.12 that can swallow a cancellation.
    """

    answer_within: float = _TIMEOUT

    async def ask(self, *command: Argument) -> Any:
        """Send one command and return its answer.

        Raises:
            ChatStoreError: As `our_error` says.
        """
        async with self._answering():
            return await self.execute_command(*command)  # type: ignore[no-untyped-call]

    async def ask_all(self, commands: Iterable[Sequence[Argument]]) -> list[Any]:
        """Send many commands in one round trip and return their answers; an error stands in its command's place.

        Raises:
            ChatStoreError: The server did not answer.
        """
        pipeline = self.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        async with self._answering():
            return list(await pipeline.execute(raise_on_error=False))

    @asynccontextmanager
    async def _answering(self) -> AsyncGenerator[None, None]:
        try:
            async with asyncio.timeout(self.answer_within):
                yield
        except builtins.TimeoutError as error:
            raise our_error(TimeoutError("no answer in time"), self) from error
        except RedisError as error:
            raise our_error(error, self) from error


def connect(url: str, *, timeout: float = _TIMEOUT) -> Client:
    """Return a client for a server; it connects when it is first used.

    Args:
        url: `redis://[[user]:[password]@]host[:port][/database]`, `rediss://…` for TLS, or `unix://path`.
        timeout: How many seconds a connection or an answer may take.

    Raises:
        ConfigurationError: The URL is malformed.
    """
    try:
        pool: ConnectionPool = ConnectionPool.from_url(url, socket_timeout=timeout)
    except ValueError as error:
        raise ConfigurationError(
            f"REDIS_URL is no URL of a Redis server (redis://host:port/database): {error}"
        ) from error
    return _own(pool)


def take_over(client: Redis) -> Client:
    """Return a client of our own with the settings of one that the app has; the app's stays as it is.

    Raises:
        ConfigurationError: It decodes responses, and its connections are of a kind that cannot be made anew.
    """
    if isinstance(client, Client):
        return client
    pool = client.connection_pool
    if type(pool) in (ConnectionPool, BlockingConnectionPool):
        return _own(pool)
    if pool.connection_kwargs.get("decode_responses"):
        raise ConfigurationError(
            "this Redis client decodes responses, and chatstore must see the bytes: "
            "give it one that was made with decode_responses=False"
        )
    return Client(connection_pool=pool)


def _own(pool: ConnectionPool) -> Client:
    settings = {
        **{name: value for name, value in pool.connection_kwargs.items() if value is not None},
        "decode_responses": False,
        "retry": Retry(NoBackoff(), 0),
    }
    answer_within = settings.pop("socket_timeout", _TIMEOUT)
    settings["socket_timeout"] = None  # not left out: the client library has a default of its own
    settings.setdefault("socket_connect_timeout", answer_within)
    # A pool that waits: one that refuses would fail the hundredth call of a busy moment.
    waiting = BlockingConnectionPool(
        max_connections=_CONNECTIONS, timeout=_TIMEOUT, connection_class=pool.connection_class, **settings
    )
    own = Client(connection_pool=waiting)
    own.answer_within = answer_within
    own.auto_close_connection_pool = True
    return own


def our_error(error: RedisError, client: Redis) -> ChatStoreError:
    """Return what an error of the client library means here, without any password."""
    where = _address(client)
    match error:
        case ResponseError() if (named := _by_name(str(error), where)) is not None:
            return named
        case AuthenticationError() | AuthorizationError() | NoPermissionError():
            return ConfigurationError(
                f"the Redis server at {where} refuses: {error}. Check REDIS_URL's user and password"
            )
        case BusyLoadingError() | MasterDownError():
            return UnavailableError(
                f"the Redis server at {where} is starting: {error}. Wait until it has loaded its data"
            )
        case ReadOnlyError():
            return UnavailableError(
                f"the Redis server at {where} takes no writes: {error}. Point REDIS_URL at the primary"
            )
        case OutOfMemoryError():
            return UnavailableError(f"the Redis server at {where} is out of memory: {error}. Raise its maxmemory")
        case TimeoutError() | ConnectionError():
            return UnavailableError(
                f"no answer from the Redis server at {where}. Check that it runs, and that REDIS_URL is right"
            )
        case _:
            return UnavailableError(f"the Redis server at {where} could not do it: {error}")


def _by_name(said: str, where: str) -> ChatStoreError | None:
    """Return what errors mean that the client library has no class for."""
    if said.startswith("WRONGTYPE"):
        return LayoutError(b"", b"", f"a key of chatstore's own holds something else ({said})")
    if said.startswith("ACL failure"):
        return ConfigurationError(
            f"the Redis server at {where} refuses: {said}. Give REDIS_URL's user the right to run it from scripts"
        )
    if said.startswith("NOREPLICAS"):
        return UnavailableError(
            f"the Redis server at {where} takes no writes: {said}. Bring its replicas back, or lower its "
            f"min-replicas-to-write"
        )
    if said.startswith("MISCONF"):
        return UnavailableError(
            f"the Redis server at {where} takes no writes: {said}. Check its log, and whether its disk is full"
        )
    return None


def _address(client: Redis) -> str:
    settings = client.connection_pool.connection_kwargs
    return str(settings.get("path") or f"{settings.get('host', 'localhost')}:{settings.get('port', 6379)}")
