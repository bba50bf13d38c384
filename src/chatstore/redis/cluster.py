"""A Redis Cluster: several servers, each of which has some of the slots.

The client library's own client for clusters sends a command again when its answer was lost. A write must not be; so
what is asked goes to the nodes by connections of ours, which never do that. A command is sent once more only where a
node said that it did not do it: the slot is another node's, or is being moved.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self, TypeAlias

from redis.exceptions import AskError, MovedError, ResponseError, TryAgainError

from chatstore.errors import ChatStoreError, UnavailableError
from chatstore.redis.client import ANSWER_WITHIN, Argument, Client, Server, our_error
from chatstore.redis.slots import SLOTS, slot_of

Address: TypeAlias = tuple[str, int]

_AGAIN_AFTER = 0.05
_SCRIPTS = frozenset({"EVAL", "EVALSHA", "EVAL_RO", "EVALSHA_RO"})
_KEYLESS = frozenset({"CLUSTER", "CONFIG", "DBSIZE", "INFO", "PING", "SCRIPT", "TIME"})
_CONTAINERS = frozenset({"MEMORY", "OBJECT"})


@dataclass(slots=True)
class _Table:
    """Which node has which slot.

    Attributes:
        owners: Of each slot; None for one that nobody has.
        primaries: The nodes by their ids.
    """

    owners: list[Server | None] = field(default_factory=lambda: [None] * SLOTS)
    primaries: dict[bytes, Server] = field(default_factory=dict)


@dataclass(slots=True)
class _Errand:
    """A command on its way to a node.

    Attributes:
        place: Which of the commands it is.
        command: The command.
        node: Whom a node named that was asked before; None: whoever has the slot by our table.
        asking: Whether that node is only about to take the slot over, and must be told that we know.
    """

    place: int
    command: Sequence[Argument]
    node: Server | None = None
    asking: bool = False


class Cluster(Client):
    """A connection to a cluster.

    Args:
        nodes: Some of its nodes: one of those that run is enough to find the others.
        connect: Makes a connection to a node.
        remap: Where a node is reached that is told to be elsewhere, behind a translation of addresses.
    """

    is_cluster: ClassVar[bool] = True

    def __init__(
        self,
        nodes: Sequence[Address],
        connect: Callable[[str, int], Server],
        remap: Callable[[Address], Address] | None = None,
    ) -> None:
        self._seeds = list(nodes)
        self._connect = connect
        self._remap = remap
        self._servers: dict[Address, Server] = {}
        self._table: _Table | None = None
        self._looking = asyncio.Lock()

    @property
    def address(self) -> str:
        return ", ".join(f"{host}:{port}" for host, port in self._seeds)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def ask(self, *command: Argument) -> Any:
        [answer] = await self.ask_all([command])
        if isinstance(answer, ResponseError):
            raise our_error(answer, self) from answer
        return answer

    async def ask_all(self, commands: Iterable[Sequence[Argument]]) -> list[Any]:
        waiting = [_Errand(place, command) for place, command in enumerate(commands)]
        answers: list[Any] = [None] * len(waiting)
        until = time.monotonic() + ANSWER_WITHIN
        table = await self._known()
        while waiting:
            for errand, answer in zip(waiting, await self._send(waiting, table), strict=True):
                answers[errand.place] = answer
            waiting = [errand for errand in waiting if isinstance(answers[errand.place], AskError | TryAgainError)]
            if not waiting or time.monotonic() > until:
                break
            table = await self._redirected(waiting, answers, table)
        return answers

    async def load(self, script: str) -> None:
        primaries = (await self._known()).primaries.values()
        await _all(server.load(script) for server in primaries)

    async def primaries(self) -> Mapping[bytes, Server]:
        """Return the nodes that have slots, by their ids, as they are now.

        Raises:
            ChatStoreError: As `our_error` says.
        """
        return (await self._look(self._table)).primaries

    async def aclose(self) -> None:
        await asyncio.gather(*(server.aclose() for server in self._servers.values()))

    async def _send(self, errands: Sequence[_Errand], table: _Table) -> list[Any]:
        """Return what the nodes answer, in the order of the errands.

        Raises:
            ChatStoreError: Of the first node that did not answer; the others have done what they were asked.
        """
        parts: dict[int, list[int]] = {}
        servers: dict[int, Server] = {}
        for i, errand in enumerate(errands):
            server = errand.node or self._server_for(errand.command, table)
            servers[id(server)] = server
            parts.setdefault(id(server), []).append(i)

        async def part(key: int) -> list[Any]:
            return await _answers_of(servers[key], [errands[i] for i in parts[key]])

        try:
            found = await _all(part(key) for key in parts)
        except UnavailableError:
            # Somebody else may have its slots by the next call.
            self._table = None
            raise
        answers: list[Any] = [None] * len(errands)
        for places, some in zip(parts.values(), found, strict=True):
            for i, answer in zip(places, some, strict=True):
                answers[i] = answer
        return answers

    def _server_for(self, command: Sequence[Argument], table: _Table) -> Server:
        key = key_of(command)
        if key is None:
            return next(iter(table.primaries.values()))
        server = table.owners[slot_of(key)]
        if server is None:
            self._table = None
            raise UnavailableError(
                f"no node of the Redis Cluster at {self.address} serves the slot of {key!r}. Bring its node back"
            )
        return server

    async def _redirected(self, errands: Sequence[_Errand], answers: Sequence[Any], table: _Table) -> _Table:
        """Send each errand, next time, where its node said; return the table as it is by then."""
        found = [answers[errand.place] for errand in errands]
        if any(isinstance(answer, TryAgainError) for answer in found):
            await asyncio.sleep(_AGAIN_AFTER)
        if any(isinstance(answer, MovedError) for answer in found):
            table = await self._look(table)
        for errand, answer in zip(errands, found, strict=True):
            if isinstance(answer, TryAgainError):
                # Some keys of a script are here and some there: the slot's owner knows when they are all in one place.
                errand.asking = errand.asking and errand.node is not None
                continue
            host, port = answer.node_addr
            asked = errand.node or self._server_for(errand.command, table)
            errand.node = self._at((host or _host_of(asked), port))
            errand.asking = not isinstance(answer, MovedError)
        return table

    async def _known(self) -> _Table:
        return self._table or await self._look(None)

    async def _look(self, stale: _Table | None) -> _Table:
        """Ask anew who has which slot, unless somebody else just did.

        Raises:
            ChatStoreError: Of the last node that was asked in vain.
        """
        async with self._looking:
            if self._table is not None and self._table is not stale:
                return self._table
            known = list(self._servers)
            random.shuffle(known)
            failure: ChatStoreError | None = None
            for place in dict.fromkeys([*known, *self._seeds]):
                try:
                    server = self._at(place, told=False)
                    self._table = self._table_of(await server.ask("CLUSTER", "SLOTS"), server)
                except ChatStoreError as error:
                    failure = failure or error
                else:
                    return self._table
            raise failure or UnavailableError("the Redis Cluster has no nodes")

    def _table_of(self, ranges: Sequence[Any], asked: Server) -> _Table:
        table = _Table()
        for first, last, (host, port, node_id, *_), *_ in ranges:
            server = self._at((_text(host) or _host_of(asked), int(port)))
            table.primaries[bytes(node_id) if isinstance(node_id, bytes) else str(node_id).encode()] = server
            table.owners[int(first) : int(last) + 1] = [server] * (int(last) - int(first) + 1)
        if not table.primaries:
            raise UnavailableError(f"no node of the Redis Cluster at {self.address} has any slots")
        return table

    def _at(self, place: Address, *, told: bool = True) -> Server:
        if told and self._remap is not None:
            place = self._remap(place)
        if place not in self._servers:
            self._servers[place] = self._connect(*place)
        return self._servers[place]


def key_of(command: Sequence[Argument]) -> bytes | None:
    """Return the first key of a command, by which its slot is known; None where it has none."""
    name = str(command[0] if not isinstance(command[0], bytes) else command[0].decode()).upper()
    head, _, rest = name.partition(" ")
    if name in _SCRIPTS:
        return _bytes(command[3]) if int(command[2]) else None
    if head in _KEYLESS or len(command) == 1:
        return None
    return _bytes(command[2 if head in _CONTAINERS and not rest else 1])


async def _answers_of(server: Server, errands: Sequence[_Errand]) -> list[Any]:
    sent: list[Sequence[Argument]] = []
    for errand in errands:
        sent += [("ASKING",), errand.command] if errand.asking else [errand.command]
    replies = iter(await server.ask_all(sent))
    answers = []
    for errand in errands:
        if errand.asking:
            next(replies)
        answers.append(next(replies))
    return answers


async def _all(work: Iterable[Any]) -> list[Any]:
    """Wait until all are done, and return what they return; raise the first error of theirs."""
    results = await asyncio.gather(*work, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results


def _host_of(server: Server) -> str:
    return str(server.connection_pool.connection_kwargs["host"])


def _text(host: object) -> str:
    # A node that does not know its own address says nothing, or a question mark: it is where it was asked.
    said = host.decode() if isinstance(host, bytes) else str(host or "")
    return "" if said == "?" else said


def _bytes(key: Argument) -> bytes:
    return key if isinstance(key, bytes) else str(key).encode()
