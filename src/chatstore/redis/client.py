"""The connection to Redis as the stores see it, and what went wrong on it in our words."""

from __future__ import annotations

import asyncio
import builtins
import re
import ssl
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, ClassVar, TypeAlias

from redis.asyncio import Redis, RedisCluster, SSLConnection
from redis.exceptions import (
    AskError,
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    ClusterCrossSlotError,
    ClusterDownError,
    ConnectionError,  # noqa: A004 - the client library's own
    MasterDownError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TimeoutError,  # noqa: A004 - the client library's own
    TryAgainError,
)

from chatstore.errors import ChatStoreError, ConfigurationError, LayoutError, UnavailableError

Argument: TypeAlias = "bytes | str | int | float"

AppClient: TypeAlias = "Redis | RedisCluster | Client"
"""What a store can be given: an app's client, for a server or a cluster, or one of ours."""

ANSWER_WITHIN = 5.0


class Client(ABC):
    """A connection as the stores need it, made by `connect` or `take_over`: to one server, or to a cluster of them.

    It gives bytes, as values may be anything. And it never repeats a command: a write whose answer was lost may have
    happened, and a second `pop` would take a second message.

    Attributes:
        is_cluster: Whether the keys lie on several servers, so that no script can write to any two of them.
        over_tls: Whether it speaks TLS.
    """

    is_cluster: ClassVar[bool]
    over_tls: bool = False

    @property
    @abstractmethod
    def address(self) -> str:
        """Where it connects to, to name it in an error: without any password."""

    @abstractmethod
    async def ask(self, *command: Argument) -> Any:
        """Send one command and return its answer.

        Raises:
            ChatStoreError: As `our_error` says.
        """

    @abstractmethod
    async def ask_all(self, commands: Iterable[Sequence[Argument]]) -> list[Any]:
        """Send many commands in one round trip and return their answers; an error stands in its command's place.

        Those to one server are done in their order, one after another.

        Raises:
            ChatStoreError: A server did not answer.
        """

    @abstractmethod
    async def load(self, script: str) -> None:
        """Make every server that may be asked to run a script know it.

        Raises:
            ChatStoreError: As `our_error` says.
        """

    @abstractmethod
    async def aclose(self) -> None:
        """Close the connections."""


class Server(Redis, Client):  # type: ignore[misc] # the client library's own bases disagree
    """A connection to one server.

    Attributes:
        answer_within: How many seconds a round trip may take. Kept here and not by the client library, which for that
            would wrap each sending in `asyncio.wait_for`: before Python 3.12 that can swallow a cancellation.
    """

    is_cluster: ClassVar[bool] = False
    answer_within: float = ANSWER_WITHIN

    def __repr__(self) -> str:
        # The client library's own shows the connection's settings, in some of its versions with the password.
        return f"<{type(self).__name__} at {self.address}>"

    @property
    def over_tls(self) -> bool:  # type: ignore[override] # as it was made
        return issubclass(self.connection_pool.connection_class, SSLConnection)

    @property
    def address(self) -> str:
        settings = self.connection_pool.connection_kwargs
        return str(settings.get("path") or f"{settings.get('host', 'localhost')}:{settings.get('port', 6379)}")

    async def ask(self, *command: Argument) -> Any:
        # `_answering`, written out: this is what most calls of an app come to, and a context manager has its price.
        try:
            async with asyncio.timeout(self.answer_within):
                return await self._exchange(command)
        except builtins.TimeoutError as error:
            raise our_error(TimeoutError("no answer in time"), self) from error
        except RedisError as error:
            raise our_error(error, self) from tellable(error)

    async def _exchange(self, command: Sequence[Argument]) -> Any:
        # What is left of the client library's `execute_command` where commands are neither repeated nor counted.
        pool, name = self.connection_pool, command[0]
        connection = await pool.get_connection()  # type: ignore[no-untyped-call]
        try:
            await connection.send_command(*command)
            return await self.parse_response(connection, name)  # type: ignore[arg-type] # a name is no number
        finally:
            await pool.release(connection)

    async def ask_all(self, commands: Iterable[Sequence[Argument]]) -> list[Any]:
        pipeline = self.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        async with self._answering():
            return list(await pipeline.execute(raise_on_error=False))

    async def load(self, script: str) -> None:
        await self.ask("SCRIPT LOAD", script)

    @asynccontextmanager
    async def _answering(self) -> AsyncGenerator[None, None]:
        try:
            async with asyncio.timeout(self.answer_within):
                yield
        except builtins.TimeoutError as error:
            raise our_error(TimeoutError("no answer in time"), self) from error
        except RedisError as error:
            raise our_error(error, self) from tellable(error)


_QUOTED = re.compile(r",? with args beginning with.*| near .*", re.DOTALL)
"""Where a server begins to quote what it was sent: a command that it does not know, a query that it cannot read."""


def tellable(error: RedisError) -> RedisError:
    """Return an error without what it quotes of the command, which may be a message."""
    said = str(error)
    told = _QUOTED.sub("", said)
    return error if told == said else type(error)(told)


def our_error(error: RedisError, client: Client) -> ChatStoreError:
    """Return what an error of the client library means here, without any password."""
    where, error = client.address, tellable(error)
    match error:
        case ResponseError() if (named := _by_name(str(error), where)) is not None:
            return named
        case AuthenticationError() | AuthorizationError():
            return ConfigurationError(
                f"the Redis server at {where} refuses: {error}. Check REDIS_URL's user and password"
            )
        case NoPermissionError():
            return _not_allowed(str(error), where)
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
        case AskError() | ClusterCrossSlotError() if not client.is_cluster:
            return ConfigurationError(
                f"the Redis server at {where} is one of a cluster: let REDIS_URL begin with redis+cluster:// or "
                f"rediss+cluster://, or give chatstore.open a redis.asyncio.RedisCluster"
            )
        case AskError() | TryAgainError() | ClusterDownError():
            return UnavailableError(
                f"the Redis Cluster at {where} has nobody for a key just now: {error}. Wait until its slots are served"
            )
        case TimeoutError() | ConnectionError():
            return _no_answer(error, client)
        case _:
            return UnavailableError(f"the Redis server at {where} could not do it: {error}")


_OVER_TLS = ", that it speaks TLS at this port, and whether it wants a certificate of ours (rediss://…?ssl_certfile=…&ssl_keyfile=…)"


def _no_answer(error: RedisError, client: Client) -> ChatStoreError:
    where = client.address
    for behind in _causes(error):
        if isinstance(behind, ssl.SSLCertVerificationError):
            return ConfigurationError(
                f"the Redis server at {where} shows a certificate that is not trusted: {behind.verify_message}. Name "
                f"the authority that signed it in REDIS_URL (rediss://…?ssl_ca_certs=/path/to/ca.pem)"
            )
        if isinstance(behind, ssl.SSLError):
            return ConfigurationError(
                f"no TLS connection to the Redis server at {where}: {behind.reason or behind}. Check{_OVER_TLS[1:]}"
            )
    return UnavailableError(
        f"no answer from the Redis server at {where}. Check that it runs, and that REDIS_URL is right"
        + (_OVER_TLS if client.over_tls else "")
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    behind: BaseException | None = error
    while behind is not None:
        yield behind
        behind = behind.__cause__ or behind.__context__


_REFUSED_COMMAND = re.compile(r"run the '([^']+)' command", re.IGNORECASE)


def _not_allowed(said: str, where: str) -> ConfigurationError:
    """Return the error for what the server's access control list forbids, with the rule that would allow it."""
    command = _REFUSED_COMMAND.search(said)
    if command is not None:
        missing = f"+{command[1].lower()}"
    elif "channel" in said:
        missing = "&<pattern>, for the channels of keyspace notifications"
    else:
        missing = "~<pattern>, for the keys of the layout and for chatstore:*"
    return ConfigurationError(
        f"the Redis server at {where} refuses: {said}. Give REDIS_URL's user the right: ACL SETUSER <user> {missing}. "
        f"`chatstore acl` prints all that it needs"
    )


def _by_name(said: str, where: str) -> ChatStoreError | None:
    """Return what errors mean that the client library has no class for."""
    if said.startswith("NOINDEX"):
        return ConfigurationError(
            f"the Redis server at {where} does not have the search index that tells each message's session "
            f"({said.removeprefix('NOINDEX ')}): name the framework's own in CHATSTORE_CHAT_INDEX"
        )
    if said.startswith("WRONGTYPE"):
        return LayoutError(b"", b"", f"a key of chatstore's own holds something else ({said})")
    if said.startswith("ACL failure"):
        return _not_allowed(said, where)
    if "cluster support disabled" in said:
        return ConfigurationError(
            f"the Redis server at {where} is of no cluster: let REDIS_URL begin with redis:// or rediss://"
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
