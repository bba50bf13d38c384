"""The walk of a migration over all sessions: their ids, and what belongs to no session, without any content."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from chatstore.errors import LayoutError
from chatstore.models import KeyPage, Quarantined
from chatstore.redis.client import Client
from chatstore.redis.failures import id_of, quarantined
from chatstore.redis.layouts.layout import ChatLayout
from chatstore.redis.orphans import Census, OrphanSearch
from chatstore.redis.session_ids import SessionIds

_WANTED = 128
_SESSIONS, _PART, _MESSAGES = "sessions", "part", "messages"
"""What a cursor begins with: which of the walks it is one of."""


class SessionWalk:
    """Walks over the ids of all sessions, or of those on one primary of a cluster.

    Args:
        client: The connection.
        layout: Whose they are.
        found: Finds the sessions.
    """

    def __init__(self, client: Client, layout: ChatLayout, found: SessionIds) -> None:
        self._client = client
        self._layout = layout
        self._found = found
        orphans = layout.orphans
        self._orphans = None if orphans is None else OrphanSearch(client, layout.prefix, orphans)

    async def starts(self) -> list[str | None]:
        """Return where walks may begin that together come by every session, each of them on a server of its own."""
        places = await self._found.starts()
        return [None] if len(places) == 1 else [f"{_PART}:{place}" for place in places]

    async def keys(self, cursor: str | None) -> AsyncIterator[KeyPage[str]]:
        """Yield all sessions; then the messages that no session lists, as quarantined.

        The second walk is left out where the first one, from its beginning, came by all messages that there are.
        """
        phase, _, position = (cursor or f"{_SESSIONS}:0").partition(":")
        census: Census | None = None
        if phase != _MESSAGES:
            census = Census() if position == "0" and self._orphans else None
            async for page in self._sessions(phase, int(position), census):
                yield page
            position = "0"
        if self._orphans is None or phase == _PART:
            return
        if census is not None and census == await self._orphans.all():
            yield KeyPage((), (), None)
            return
        async for step, lost in self._orphans.steps(int(position)):
            yield KeyPage((), tuple(lost), f"{_MESSAGES}:{step.following}" if step.following else None)

    async def _sessions(self, phase: str, position: int, census: Census | None) -> AsyncIterator[KeyPage[str]]:
        behind = None if self._orphans is None else f"{_MESSAGES}:0"
        async for step in self._found.steps(position, wanted=_WANTED, part=phase == _PART):
            if self._orphans is not None and census is not None:
                await self._orphans.listed(step.ids, census)
            ids, unreadable = self._named(step.ids)
            following = f"{phase}:{step.following}" if step.following else behind
            yield KeyPage(ids, (*step.lost, *unreadable), following)

    def _named(self, raw_ids: Sequence[bytes]) -> tuple[tuple[str, ...], list[Quarantined]]:
        ids, unreadable = [], []
        for raw in raw_ids:
            try:
                ids.append(id_of(raw, self._layout.prefix + raw, "session"))
            except LayoutError as error:
                unreadable.append(quarantined(error))
        return tuple(ids), unreadable
