"""What a walk over all keys goes over: one server, or the primaries of a cluster, while its slots stay with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from redis.exceptions import RedisError

from chatstore.errors import UnavailableError
from chatstore.redis.client import Argument, Client, Server, our_error
from chatstore.redis.cluster import Cluster

_NODES = ("CLUSTER", "NODES")
_FLAGS, _EPOCH, _SLOTS = 2, 6, 8


@dataclass(frozen=True, slots=True)
class Ground:
    """Servers, and how the keys are spread over them.

    Attributes:
        servers: The servers, in an order that a shape stands for.
        shape: A number for how the keys are spread; 0 where there is one server.
        questions: What to ask a server beside each part of its keys, to know that it still is so.
        slots: One of each server's, on a cluster.
    """

    servers: Sequence[Server]
    shape: int = 0
    questions: tuple[tuple[Argument, ...], ...] = ()
    slots: tuple[int, ...] = ()

    def slot_on(self, server: Server) -> int | None:
        """Return a slot that a server has; None where there are no slots."""
        return self.slots[self.servers.index(server)] if self.slots else None

    def check(self, answers: Sequence[Any]) -> None:
        """Check, by the answers to the questions, that the keys lie where they lay.

        A key whose slot moves from a server that is still to be walked over to one that was already is missed. Both the
        old and the new owner of a slot that is being moved say so, and when it has moved, the shape is another one.

        Raises:
            UnavailableError: They have moved, or are being moved.
        """
        for answer in answers:
            if isinstance(answer, RedisError):
                raise our_error(answer, self.servers[0]) from answer
            now = shape_of(answer)
            if now.is_moving:
                raise UnavailableError(
                    "slots of the Redis Cluster are being moved, and keys may be missed meanwhile: begin again when "
                    "that is done"
                )
            if now.number != self.shape:
                raise UnavailableError("slots of the Redis Cluster have moved: begin the scan again")


@dataclass(frozen=True, slots=True)
class Shape:
    """How a cluster's slots are spread, as one of its nodes sees it.

    Attributes:
        number: A number that is another one, all but surely, when a slot has another primary.
        primaries: The ids of the nodes that have slots, sorted.
        slots: One that each of them has.
        is_moving: Whether this node gives a slot away, or takes one over, just now.
    """

    number: int
    primaries: tuple[bytes, ...]
    slots: tuple[int, ...]
    is_moving: bool


async def ground_of(client: Client) -> Ground:
    """Return what a walk goes over.

    Raises:
        ChatStoreError: As `our_error` says; `UnavailableError` also where the nodes do not agree on it yet.
    """
    if isinstance(client, Server):
        return Ground([client])
    if not isinstance(client, Cluster):
        raise TypeError(f"{client!r} is neither a server nor a cluster")
    by_id = await client.primaries()
    shape = shape_of(await next(iter(by_id.values())).ask(*_NODES))
    if set(by_id) != set(shape.primaries):
        raise UnavailableError("the nodes of the Redis Cluster do not agree on whose the slots are: begin again")
    return Ground([by_id[name] for name in shape.primaries], shape.number, (_NODES,), shape.slots)


def shape_of(nodes: bytes) -> Shape:
    """Return what the answer to `CLUSTER NODES` says."""
    found, is_moving = [], False
    for line in nodes.splitlines():
        name, *fields = line.split(b" ")
        slots = fields[_SLOTS - 1 :]
        # `[slot->-node]` is one on its way to a node, `[slot-<-node]` one that comes from it.
        is_moving = is_moving or any(slot.startswith(b"[") for slot in slots)
        held = sorted(slot for slot in slots if not slot.startswith(b"["))
        if held and b"master" in fields[_FLAGS - 1]:
            found.append((name, fields[_EPOCH - 1], *held))
    digest = blake2b(repr(sorted(found)).encode(), digest_size=8)
    firsts = {name: int(held.split(b"-")[0]) for name, _, held, *_ in found}
    names = sorted(firsts)
    return Shape(int.from_bytes(digest.digest(), "big"), tuple(names), tuple(firsts[n] for n in names), is_moving)
