"""The document router: a document store that stands before two."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from copy import copy
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Self

from chatstore.interfaces import DocumentSide, DocumentStore, Embedder
from chatstore.models import (
    Document,
    DocumentChange,
    DocumentCommand,
    DocumentsWritten,
    Embedding,
    JsonObject,
    Kind,
    Mark,
    Match,
    Page,
    Side,
    Stage,
    UpsertDocuments,
    utc_now,
)
from chatstore.models.checks import check_count, check_names
from chatstore.routing.flags.resolver import StageResolver
from chatstore.routing.merge import merge_documents
from chatstore.routing.protect import WritesUnderWay
from chatstore.routing.reads import RoutedReads
from chatstore.routing.replication import LINGER, Handover, OnPut, Replicator
from chatstore.routing.settle import settle, withdraw
from chatstore.routing.shadow import ShadowReader
from chatstore.routing.sides import Sides
from chatstore.routing.stages import ROUTES, Route
from chatstore.routing.standing import still_standing

if TYPE_CHECKING:
    from chatstore.identity import UserToken

LEASE = timedelta(seconds=45)
"""How long a writer may be at work on a side that compares and writes in two steps.

It must exceed what a write to Chroma may take: making the mark (10 s, Chroma's timeout), waiting for joins (5 s),
looking (10 s) and writing (10 s). The 10 s beside them are for the question with which the wait ends. In the last third
of it no put begins; see `replication`.
"""


class DocumentRouter(DocumentStore):
    """Routes every call by the stage that it is served at. An app can't tell it from a single store.

    It promises what `ChatRouter` does.

    Args:
        sides: The old and the new store.
        stages: Tells the stage of each call.
        embedder: Makes the embeddings that a caller did not give; both sides get the same.
        replicator: Writes the second side; one with the defaults when left out.
        shadow: Compares reads; one with the defaults when left out.
    """

    def __init__(
        self,
        sides: Sides[DocumentSide],
        stages: StageResolver,
        *,
        embedder: Embedder | None = None,
        replicator: Replicator[DocumentChange] | None = None,
        shadow: ShadowReader | None = None,
    ) -> None:
        self.sides = sides
        self.stages = stages
        self.embedder = embedder
        self.replicator = replicator or document_replicator(sides)
        self.shadow = shadow or ShadowReader()
        self._writes = WritesUnderWay()
        self._reads = RoutedReads(sides, stages, self.shadow, merge_documents, kind=Kind.DOCUMENTS, keys=100)
        self._lease = None if sides.old.atomic and sides.new.atomic else LEASE

    def for_user(self, token: UserToken) -> Self:
        view = copy(self)
        view.sides = self.sides.for_user(token)
        view._reads = self._reads.through(view.sides)  # noqa: SLF001 - it is our own
        return view

    def turn(self, user_id: str, document_id: str = "") -> AbstractAsyncContextManager[Stage]:
        """Hold one stage for all calls inside: `async with documents.turn(user_id): ...`."""
        return self.stages.turn(user_id, document_id)

    async def write(self, command: DocumentCommand) -> DocumentsWritten:
        ids = _ids(command)
        stage = await self.stages.resolve(command.user_id, ids[0] if len(ids) == 1 else "", command.op)
        route, tracker = ROUTES[stage], self.stages.tracker
        if tracker is None:
            return await self._writes.run(self._write(route, command, ids))
        with tracker.call(command.user_id, command.op, stage, route.first):
            return await self._writes.run(self._write(route, command, ids))

    async def _write(self, route: Route, command: DocumentCommand, ids: Sequence[str]) -> DocumentsWritten:
        await self._reads.catch_up(route, command.user_id, ids)
        now = utc_now()
        # A write to one side, in one step with its mark, cannot come late.
        lease = None if route.second is None and self.sides[route.first].atomic else self._lease
        marks = [
            Mark(
                key=document_id,
                user_id=command.user_id,
                side=route.first,
                op=command.op,
                at=now,
                lease_until=None if lease is None else now + lease,
                while_open=route.second is None,
            )
            for document_id in ids
        ]
        written = await self.sides[route.first].write(command, marks)
        if route.second is not None:
            # Also what was not changed had its mark, where marks precede the write: it is cleared with the others.
            await self.replicator.hand_over(Handover(route.second, written.changes, tuple(marks)))
        elif lease is not None:
            self._writes.follow_up(withdraw(self.sides, marks))
        return written

    async def search_by_embedding(
        self, user_id: str, embedding: Embedding, *, k: int, where: JsonObject | None
    ) -> list[Match]:
        return await self._reads(
            "search", user_id, None, lambda side: side.search_by_embedding(user_id, embedding, k=k, where=where)
        )

    async def get(self, user_id: str, document_id: str) -> Document:
        check_names(user_id, document_id=document_id)
        return await self._reads("get", user_id, document_id, lambda side: side.get(user_id, document_id))

    async def get_each(self, user_id: str, ids: Sequence[str]) -> list[Document]:
        one = ids[0] if len(ids) == 1 else None
        return await self._reads("get_many", user_id, one, lambda side: side.get_each(user_id, ids), among=ids)

    async def list_documents(self, user_id: str, *, limit: int = 50, after: str | None = None) -> Page[Document]:
        check_names(user_id)
        check_count(limit, "limit", least=1)
        return await self._reads(
            "list_documents", user_id, None, lambda side: side.list_documents(user_id, limit=limit, after=after)
        )

    async def count_documents(self, user_id: str) -> int:
        check_names(user_id)
        return await self._reads("count_documents", user_id, None, lambda side: side.count_documents(user_id))

    async def close(self) -> None:
        await self._writes.finish()
        await self.replicator.close()
        await self.shadow.close()
        await self.stages.close()
        await self.sides.close()


def document_replicator(
    sides: Sides[DocumentSide],
    *,
    inline: bool = False,
    deadline: float = 5.0,
    linger: float = LINGER,
    on_put: OnPut | None = None,
) -> Replicator[DocumentChange]:
    """Return a replicator between the sides of a document store; see `Replicator` for the other arguments."""
    exclusive = not (sides.old.atomic and sides.new.atomic)

    async def put(side: Side, changes: Sequence[DocumentChange]) -> None:
        await sides[side].put(changes)

    async def clear(marks: Sequence[Mark]) -> Sequence[Mark]:
        left = await settle(sides, marks, exclusive=exclusive)
        # Both sides are written: nothing of these writes can come late, so no repair need wait for a lease.
        ended = {mark.token: replace(mark, lease_until=None) for mark in left}
        for side in Side:
            if leased := [ended[mark.token] for mark in left if mark.side is side and mark.lease_until is not None]:
                await sides[side].journal.add(leased)
        return list(ended.values())

    async def standing(marks: Sequence[Mark]) -> Sequence[Mark]:
        return await still_standing(sides, marks)

    # One batch after the other: so this process is never at work on a key twice at once, and never contests itself.
    workers = 1 if exclusive else 4
    return Replicator(
        put, clear, standing, inline=inline, deadline=deadline, workers=workers, linger=linger, on_put=on_put
    )


def _ids(command: DocumentCommand) -> list[str]:
    if isinstance(command, UpsertDocuments):
        return [document.id for document in command.documents]
    return list(command.ids)
