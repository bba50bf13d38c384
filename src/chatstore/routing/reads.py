"""Reads by stage: from the authoritative side, caught up after a flip, repeated on the other side where asked."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from copy import copy
from typing import Generic, Self, TypeVar

from chatstore.models import Document, Kind, Mark, Match, Message, Page, Session, Side
from chatstore.routing.catchup import CatchUp
from chatstore.routing.flags.resolver import StageResolver
from chatstore.routing.merge import Merged
from chatstore.routing.shadow import Mismatch, ShadowRead, ShadowReader
from chatstore.routing.sides import S, Sides
from chatstore.routing.stages import ROUTES, Route

A = TypeVar("A", Session, Document, Page[Session], Page[Document], list[Message], list[Document], list[Match], int)


class RoutedReads(Generic[S]):
    """What the routers of both kinds do with a read.

    Args:
        sides: The old and the new store.
        stages: Tells the stage of each call.
        shadow: Compares reads.
        merge: Merges marks of one journal (`merge_chat` or `merge_documents`).
        kind: Of which kind of record they are.
        keys: How many keys one merge may take.
    """

    def __init__(
        self,
        sides: Sides[S],
        stages: StageResolver,
        shadow: ShadowReader,
        merge: Callable[[Sides[S], Sequence[Mark]], Awaitable[Merged]],
        *,
        kind: Kind,
        keys: int,
    ) -> None:
        self._kind = kind
        self._sides = sides
        self._stages = stages
        self._shadow = shadow
        self._catch_up = CatchUp(sides, merge, keys=keys)

    def through(self, sides: Sides[S]) -> Self:
        """Return the same, reading through other stores of the same two sides; what is merged first is not theirs."""
        view = copy(self)
        view._sides = sides  # noqa: SLF001 - it is our own
        return view

    async def __call__(
        self,
        operation: str,
        user_id: str,
        key: str | None,
        read: Callable[[S], Awaitable[A]],
        *,
        among: Sequence[str] | None = None,
    ) -> A:
        """Return what the authoritative side answers.

        Args:
            operation: The read's name, for the flag and for a mismatch.
            user_id: Whose records.
            key: The session's or the document's id; None for a read of many.
            read: Makes the read on a side.
            among: Of a read of many, the ids of those that it may answer; None for all of the user's.
        """
        stage = await self._stages.resolve(user_id, key or "", operation)
        route = ROUTES[stage]
        keys = among if key is None else [key]
        await self.catch_up(route, user_id, keys)
        tracker, began = self._stages.tracker, time.perf_counter()
        if tracker is None:
            answer = await read(self._sides[route.first])
        else:
            with tracker.call(user_id, operation, stage, route.first):
                answer = await read(self._sides[route.first])
        if route.shadow:
            seconds = time.perf_counter() - began
            self._shadow.compare(
                lambda: ShadowRead(
                    Mismatch(operation, user_id, key or "", ""),
                    self._kind,
                    answer,
                    route.first,
                    other=lambda: read(self._sides[route.first.other]),
                    again=lambda: read(self._sides[route.first]),
                    marked=lambda: self._marked(user_id, keys),
                    seconds=seconds,
                )
            )
        return answer

    async def catch_up(self, route: Route, user_id: str, keys: Sequence[str] | None) -> None:
        """Soon after a flip, merge first what the side that was authoritative before still has marked."""
        if self._stages.unsettled(user_id):
            await self._catch_up.with_side(route.first.other, user_id, keys)

    async def _marked(self, user_id: str, keys: Sequence[str] | None) -> bool:
        return any([await self._sides[side].journal.marks_of(user_id, keys) for side in Side])
