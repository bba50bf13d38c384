"""Whose many documents are, and how large: told by a short script where the layout allows it, else by the whole one."""

from __future__ import annotations

from collections.abc import Sequence

from chatstore.redis.client import Client
from chatstore.redis.document_calls import DocumentCalls
from chatstore.redis.scripts import Call, Reply, run_all


async def peek_all(
    client: Client, calls: DocumentCalls, names: Sequence[bytes], *, sized: bool, room: int = 0
) -> list[Reply]:
    """Return the replies to `weigh` for some documents, or where `sized` is False to `read` without their fields.

    Of what has a plain record in Redis, the version and the expiry are left out.
    """

    def whole(name: bytes) -> Call:
        return calls.weigh(name, room=room) if sized else calls.read(name, None, whole=False)

    peeks = [call for name in names if (call := calls.peek(name, sized=sized)) is not None]
    if not peeks:
        return await run_all(client, [whole(name) for name in names])
    replies = await run_all(client, peeks)
    if untold := [at for at, reply in enumerate(replies) if reply is None]:
        more = await run_all(client, [whole(names[at]) for at in untold])
        for at, reply in zip(untold, more, strict=True):
            replies[at] = reply
    return replies
