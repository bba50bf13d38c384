"""An app's process on real servers, one of whose writes is tried."""

from chatstore.models import Kind, Side
from chatstore.routing import (
    ChatRouter,
    DocumentRouter,
    StageResolver,
    chat_replicator,
    document_replicator,
)
from tests.faults.requests import Operation
from tests.flags import Flags

_PARTS = {Kind.CHAT: (ChatRouter, chat_replicator), Kind.DOCUMENTS: (DocumentRouter, document_replicator)}


async def writer_at(stage, kind, sides, user):
    """A function that lets a process write; it has asked for the user's stage, and how far the migration is, already."""
    router_of, replicator_of = _PARTS[kind]
    journals = [sides[side].journal for side in Side]
    stages = StageResolver(kind, journals, client=Flags(stage).client, refresh=3600.0)
    await stages.resolve(user, "", "warm up")

    def write(command):
        router = router_of(sides, stages, replicator=replicator_of(sides, inline=True))
        return Operation(router.write(command), router._writes.finish)

    return write
