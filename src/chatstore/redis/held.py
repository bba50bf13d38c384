"""What is held of a user: also what cannot be read, and what has expired, of which only the ledger has a part."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence

from chatstore.redis.client import Client
from chatstore.redis.keys import LedgerKeys
from chatstore.redis.scanning import scan_keys
from chatstore.redis.scripts import Call, Reply, run_all

_WANTED = 500


async def held_by(
    client: Client,
    user: bytes,
    walk: AsyncIterator[Sequence[bytes]],
    ledger: LedgerKeys,
    *,
    read: Callable[[bytes], Call],
    owner_of: Callable[[Reply], bytes | None],
) -> AsyncIterator[list[str]]:
    """Yield the ids of all records that are a user's, and of those of which only the ledger still has something.

    A record that expired, or that another program removed, leaves its ledger behind, which may hold what the layout
    has no field for: a deletion removes it.

    Args:
        client: The connection.
        user: The user's id in Redis.
        walk: Yields the ids of all records, or of all that may be the user's.
        ledger: The ledger's names.
        read: Returns the call that reads a record of any user.
        owner_of: Returns whose a record is, of what that call replied; None when there is none, or it is nobody's.
    """
    async for names in walk:
        replies = await run_all(client, [read(name) for name in names])
        yield _texts(name for name, reply in zip(names, replies, strict=True) if owner_of(reply) == user)
    async for step in scan_keys(client, ledger.head("state"), 0, wanted=_WANTED):
        known = await client.ask_all(("HMGET", key, "user", "version") for key in step.keys)
        left = [
            ledger.record_of("state", key)
            for key, (owner, version) in zip(step.keys, known, strict=True)
            if owner == user and version not in {None, b"0"}
        ]
        replies = await run_all(client, [read(name) for name in left])
        yield _texts(
            name
            for name, reply in zip(left, replies, strict=True)
            # Not where another user's, or an unreadable one, lies in its place by now.
            if reply[0] in {b"missing", b"found"} and owner_of(reply) in {None, user}
        )


def session_owner(reply: Reply) -> bytes | None:
    """Return whose session was read, by the id in Redis; None when there is none, or when nothing says whose it is."""
    if reply[0] == b"found":
        user, *_, updated = reply[1][:7]
        return bytes(user) if updated else None
    return _owner_of_problem(reply)


def document_owner(reply: Reply) -> bytes | None:
    """Return whose document was read, as `session_owner` does."""
    if reply[0] == b"found":
        return bytes(reply[1]) if reply[5] else None
    return _owner_of_problem(reply)


def _texts(names: Iterable[bytes]) -> list[str]:
    """Return those ids that are text: no call could name another one."""
    return [text for name in names if (text := name.decode("utf-8", "replace")).encode() == name]


def _owner_of_problem(reply: Reply) -> bytes | None:
    return bytes(reply[4]) if reply[0] == b"problem" and len(reply) > 4 and reply[4] is not None else None  # noqa: PLR2004
