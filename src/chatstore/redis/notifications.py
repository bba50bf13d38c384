"""The server's keyspace notifications: who wrote which key, told as it happens, and only to those who listen then."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from redis.asyncio.client import PubSub
from redis.exceptions import ConnectionError as NoAnswerError
from redis.exceptions import NoPermissionError, RedisError
from redis.exceptions import TimeoutError as NoTimelyAnswerError

from chatstore.errors import ConfigurationError, UnavailableError, UnsupportedError
from chatstore.models import utc_now
from chatstore.redis.client import Argument, Server, our_error
from chatstore.redis.scanning import escaped
from chatstore.redis.slots import tag_of

SETTING = "notify-keyspace-events"
NEEDED = "Kgh"
"""The server's letters for: by key; of commands for any type, as DEL; of commands for hashes."""
_LETTERS = {"list": "l", "ReJSON-RL": "d"}
"""The letters for commands of other types."""
_PROBES: dict[str, tuple[tuple[str, ...], bytes]] = {
    "list": (("RPUSH", "1"), b"rpush"),
    "ReJSON-RL": (("JSON.SET", "$", "1"), b"json.set"),
}
"""A command of such a type, without its key, and the event that it makes."""

_ANSWERED_WITHIN = 5.0
_PROBED_WITHIN = 3.0
_SILENT_FOR = 15.0


@dataclass(frozen=True, slots=True)
class KeyEvent:
    """Something that happened to a key.

    Attributes:
        key: The key.
        what: The server's name for it: `hset`, `del`, `expired`.
    """

    key: bytes
    what: bytes


class Listener:
    """Reads the events of some keys, in the order in which they happened."""

    def __init__(self, client: Server, pubsub: PubSub, head: bytes) -> None:
        self._client = client
        self._pubsub = pubsub
        self._head = head
        self._heard_at = time.monotonic()

    @property
    def heard_at(self) -> datetime:
        """When the server was last heard; what happened before that was told."""
        return utc_now() - timedelta(seconds=time.monotonic() - self._heard_at)

    async def begin(self, patterns: int) -> None:
        """Return once the server listens to so many patterns for us.

        Raises:
            ConfigurationError: The user may not listen to them.
            UnavailableError: The connection is gone, or it did not answer in time.
        """
        try:
            async with asyncio.timeout(_ANSWERED_WITHIN):
                while patterns:
                    message = await self._message(_ANSWERED_WITHIN)
                    patterns -= message is not None and message["type"] == "psubscribe"
        except TimeoutError:
            raise UnavailableError("the Redis server does not answer on the connection for notifications") from None

    async def event(self, within: float) -> KeyEvent | None:
        """Return the next event; None when none came in so many seconds.

        Raises:
            UnavailableError: The connection is gone, or silent for so long that it must be.
        """
        message = await self._message(within)
        if message is None:
            await self._ask_whether_it_lives()
            return None
        if message["type"] != "pmessage":
            return None
        return KeyEvent(message["channel"][len(self._head) :], message["data"])

    async def _message(self, within: float) -> dict[str, Any] | None:
        try:
            message = await self._pubsub.get_message(timeout=within)
        except NoPermissionError as error:
            raise our_error(error, self._client) from error
        except (RedisError, OSError) as error:
            raise UnavailableError(f"the Redis server's notifications ended: {error}") from error
        if message is not None:
            self._heard_at = time.monotonic()
        return message  # type: ignore[no-any-return]

    async def _ask_whether_it_lives(self) -> None:
        silence = time.monotonic() - self._heard_at
        if silence > 2 * _SILENT_FOR:
            raise UnavailableError("the Redis server's notifications ended: it does not answer on that connection")
        if silence > _SILENT_FOR:
            try:
                await self._pubsub.ping()
            except (RedisError, OSError) as error:
                raise UnavailableError(f"the Redis server's notifications ended: {error}") from error


@asynccontextmanager
async def listening(
    client: Server, prefixes: Sequence[bytes], *, enable: bool, kinds: Collection[str] = (), slot: int | None = None
) -> AsyncGenerator[Listener, None]:
    """Listen to what happens to the keys with these prefixes, once it is sure that the server tells of it.

    Args:
        client: The connection; one more is taken from its pool, and at the beginning another one.
        prefixes: What the keys begin with.
        enable: Change the server's setting where it does not tell yet.
        kinds: The types of the keys, beside hashes.
        slot: One that the server has, where it is a node of a cluster.

    Raises:
        UnsupportedError: The server does not tell of it.
        ConfigurationError: The user may not listen to it.
        UnavailableError: The server did not answer.
    """
    if enable:
        await _enable(client, needed(kinds))
    head = b"__keyspace@%d__:" % int(client.connection_pool.connection_kwargs.get("db") or 0)
    pubsub = client.pubsub()
    try:
        try:
            await pubsub.psubscribe(*(head + escaped(prefix) + b"*" for prefix in prefixes))
        except RedisError as error:
            raise our_error(error, client) from error
        listener = Listener(client, pubsub, head)
        await listener.begin(len(prefixes))
        await _probe(client, head, kinds, b"" if slot is None else b"{%s}" % tag_of(slot))
        yield listener
    finally:
        await pubsub.aclose()  # type: ignore[no-untyped-call]


def needed(kinds: Collection[str]) -> str:
    """Return the letters that the server's setting must have at least, to tell of keys of these types and of hashes."""
    return NEEDED + "".join(_LETTERS[kind] for kind in _LETTERS if kind in kinds)


async def _probe(client: Server, head: bytes, kinds: Collection[str], tag: bytes) -> None:
    """Write a key of our own, and return when the server has told of it.

    On a connection of its own: on the listener's, a busy server's events would come first. The server answers a ping
    there after it told; so one that has answered, and has not told a while later, does not tell at all.

    Raises:
        UnsupportedError: It does not.
        UnavailableError: It did not answer.
    """
    key = b"chatstore:probe:" + tag + secrets.token_hex(8).encode()
    probes = [_PROBES[kind] for kind in _PROBES if kind in kinds]
    commands: list[tuple[Argument, ...]] = [("HSET", key, "probe", "1"), ("DEL", key)]
    for (name, *arguments), _ in probes:
        commands += [(name, key, *arguments), ("DEL", key)]
    waiting, answered = {b"hset", b"del", *(event for _, event in probes)}, False
    async with client.pubsub() as pubsub:
        try:
            async with asyncio.timeout(_ANSWERED_WITHIN):
                await pubsub.subscribe(head + key)
                while not await pubsub.get_message(timeout=_ANSWERED_WITHIN):
                    pass
                for reply in await client.ask_all(commands):
                    if isinstance(reply, RedisError):
                        raise reply
                await pubsub.ping()
            async with asyncio.timeout(_PROBED_WITHIN):
                while waiting:
                    message = await pubsub.get_message(timeout=_PROBED_WITHIN) or {}
                    answered = answered or message.get("type") == "pong"
                    waiting.discard(message.get("data"))
        except TimeoutError:
            if not answered:
                raise UnavailableError("the Redis server does not answer on a connection for notifications") from None
            raise UnsupportedError(
                "the Redis server does not tell of other programs' writes: set its "
                f"{SETTING} to {needed(kinds)} or more (CONFIG SET; a managed service has it among its settings)"
            ) from None
        except RedisError as error:
            raise our_error(error, client) from error
        except OSError as error:
            raise UnavailableError(f"the Redis server's notifications ended: {error}") from error


async def _enable(client: Server, wanted: str) -> None:
    """Add the letters that are missing.

    Raises:
        UnsupportedError: The server does not let itself be asked.
        UnavailableError: It did not answer.
    """
    try:
        answer = await client.ask("CONFIG GET", SETTING)
        pairs = answer.items() if isinstance(answer, dict) else [answer]
        [(_, held)] = pairs
        letters = held.decode() if isinstance(held, bytes) else str(held)
        missing = [letter for letter in wanted if letter not in letters and not (letter != "K" and "A" in letters)]
        if missing:
            await client.ask("CONFIG SET", SETTING, letters + "".join(missing))
    except (ConfigurationError, UnavailableError, ValueError) as error:
        if isinstance(error.__cause__, NoAnswerError | NoTimelyAnswerError):
            raise
        raise UnsupportedError(f"the Redis server's {SETTING} cannot be changed from here: {error}") from error
