"""Which sessions there are: a walk over the keys of a layout, by type and shape where the name does not tell."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from chatstore.models import Quarantined
from chatstore.redis.client import Client
from chatstore.redis.keys import OUR_OWN, LedgerKeys
from chatstore.redis.layouts.layout import ChatLayout, Sample
from chatstore.redis.scanning import scan_keys, start_of_part, starts
from chatstore.redis.scripts import Call, run_all, script

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class IdStep:
    """A part of the sessions.

    Attributes:
        ids: Their ids, each once in this part.
        cursor: The cursor that this part was read from.
        following: The cursor of the next part; 0 when this is the last.
        lost: What belongs to no session, though it looks as if it should.
    """

    ids: list[bytes]
    cursor: int
    following: int
    lost: tuple[Quarantined, ...] = ()


class SessionIds:
    """Walks over the ids of the sessions of one layout.

    Args:
        client: The connection.
        layout: Whose.
        ledger: The names of our own keys.
    """

    def __init__(self, client: Client, layout: ChatLayout, ledger: LedgerKeys) -> None:
        self._client = client
        self._layout = layout
        self._ledger = ledger
        self._passed_over = False

    async def starts(self) -> list[int]:
        """Return the cursors at which parts begin: one on each primary of a cluster."""
        places = await starts(self._client)
        return [2 * place for place in places] if self._layout.companions else places

    async def steps(self, cursor: int, *, wanted: int, part: bool = False) -> AsyncIterator[IdStep]:
        """Yield parts from a cursor on, as `scan_keys` does, or of a `part` of them; the last one is always yielded."""
        if not self._layout.companions:
            async for step in self._keys(cursor, wanted, part=part):
                yield step
            return
        # First the layout's keys, then the companions of ours: a cursor has the one or the other in its last bit.
        position, in_companions = divmod(cursor, 2)
        if not in_companions:
            begun = start_of_part(position) if part else 0
            async for step in self._keys(position, wanted, part=part):
                yield IdStep(step.ids, 2 * step.cursor, 2 * step.following or 2 * begun + 1)
            position = begun
        head = self._ledger.head("companion")
        async for found in scan_keys(self._client, head, position, wanted=wanted, part=part):
            ids = await self._alone([self._ledger.record_of("companion", key) for key in found.keys])
            yield IdStep(ids, 2 * found.cursor + 1, 2 * found.following + 1 if found.following else 0)

    async def _alone(self, ids: Sequence[bytes]) -> list[bytes]:
        """Return those of some sessions that have no key of the layout's: nothing but their companion, for now."""
        asked = [(one, key) for one in ids for key in self._layout.keys_of(one)]
        there = await self._client.ask_all(("EXISTS", key) for _, key in asked)
        found = {one for (one, _), exists in zip(asked, there, strict=True) if exists}
        return [one for one in ids if one not in found]

    async def _keys(self, cursor: int, wanted: int, *, part: bool) -> AsyncIterator[IdStep]:
        layout = self._layout
        kind = None if layout.distinct else layout.kind
        async for step in scan_keys(self._client, layout.prefix, cursor, wanted=wanted, kind=kind, part=part):
            keys = [key for key in step.keys if layout.default_prefix.startswith(OUR_OWN) or not _is_ours(key)]
            if layout.distinct:
                ids = [layout.session_id(key) for key in keys]
            elif layout.kind is None:
                ids = await self._by_type(keys)
            else:
                ids = [layout.session_id(key) for key in await self._claimed(keys, layout.kind)]
            yield IdStep(list(dict.fromkeys(one for one in ids if one is not None)), step.cursor, step.following)

    async def walk(self, *, wanted: int) -> AsyncIterator[list[bytes]]:
        """Yield the ids of all sessions, a part at a time."""
        async for step in self.steps(0, wanted=wanted):
            yield step.ids

    async def _by_type(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the sessions that some keys are of: each by its first key that is there, so none comes twice."""
        kinds = await self._client.ask_all(("TYPE", key) for key in keys)
        samples = [Sample(key=key, kind=str(kind, "ascii")) for key, kind in zip(keys, kinds, strict=True)]
        found = [(sample.key, self._layout.session_of(sample)) for sample in samples if sample.kind != "none"]
        heads = [self._layout.prefix + session_id for _, session_id in found if session_id is not None]
        there = await self._client.ask_all(("EXISTS", head) for head in heads)
        begun = {head for head, one in zip(heads, there, strict=True) if one}
        return [
            session_id
            for key, session_id in found
            if session_id is not None and (key == (head := self._layout.prefix + session_id) or head not in begun)
        ]

    async def _claimed(self, keys: Sequence[bytes], kind: str) -> list[bytes]:
        """Return those of some keys of the layout's type that are its sessions by their shape."""
        claimed = []
        async for sample in _peek(self._client, keys, kind):
            if self._layout.claims(sample) == "session":
                claimed.append(sample.key)
            else:
                self._pass_over(sample.key)
        return claimed

    def _pass_over(self, key: bytes) -> None:
        if not self._passed_over:
            self._passed_over = True
            logger.warning(
                "some keys are no sessions of the layout %s, by what they hold, and are passed over: %r is the first. "
                "`chatstore inspect` tells more of them",
                self._layout.name,
                key,
            )


def _is_ours(key: bytes) -> bool:
    return key.startswith(OUR_OWN)


async def _peek(client: Client, keys: Sequence[bytes], kind: str) -> AsyncIterator[Sample]:
    """Yield what lies at some keys of one type; without those that are gone."""
    peek = script("peek")
    replies = await run_all(client, [Call(peek, [key], []) for key in keys])
    for key, reply in zip(keys, replies, strict=True):
        if reply is None:
            continue
        if kind == "list":
            # Where all of them are large they are not asked for with those of other keys.
            items = reply or await client.ask("LRANGE", key, 0, 0)
            yield Sample(key=key, kind=kind, items=tuple(items))
        else:
            pairs = zip(reply[::2], reply[1::2], strict=True)
            fields = {name.decode("utf-8", "replace"): value for name, value in pairs}
            yield Sample(key=key, kind=kind, fields=fields)
