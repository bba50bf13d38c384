"""Which sessions there are where only messages have keys: a walk over those, and over what is ours."""

from __future__ import annotations

import logging
import secrets
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from redis.exceptions import RedisError

from chatstore.errors import LayoutError
from chatstore.models import Quarantined
from chatstore.redis.client import Client
from chatstore.redis.failures import quarantined, raw_of
from chatstore.redis.layouts.keyed_chat import KeyedChat
from chatstore.redis.layouts.layout import ChatLayout, Sample
from chatstore.redis.scanning import scan_keys
from chatstore.redis.scripts import run_all
from chatstore.redis.session_calls import SessionCalls
from chatstore.redis.session_ids import IdStep, SessionIds

_SEEN_FOR = 86_400
_WANTED = 200

logger = logging.getLogger(__name__)


def session_ids(client: Client, calls: SessionCalls) -> SessionIds:
    """Return what walks over the sessions of a layout, in the way that their keys allow."""
    layout = calls.layout
    return (
        KeyedSessionIds(client, calls, layout)
        if isinstance(layout, KeyedChat)
        else SessionIds(client, layout, calls.ledger)
    )


@dataclass(slots=True)
class _Found:
    """What some keys are: messages by their sessions, and what is no message of any."""

    messages: dict[bytes, list[bytes]] = field(default_factory=dict)
    others: list[bytes] = field(default_factory=list)


class KeyedSessionIds(SessionIds):
    """Walks over the ids of the sessions of a layout in which only messages have keys.

    Each session comes once in a walk, whose memory stays flat: a set of the server's tells which have been. It is this
    walk's own, so one that goes on where another was killed misses none. A session comes again when a message of it
    turns up that the search index does not know.

    Args:
        client: The connection.
        calls: The calls of the sessions' layout.
        layout: Whose.
    """

    def __init__(self, client: Client, calls: SessionCalls, layout: KeyedChat) -> None:
        super().__init__(client, layout, calls.ledger)
        self._calls = calls
        self._keyed = layout

    async def steps(self, cursor: int, *, wanted: int, part: bool = False) -> AsyncIterator[IdStep]:  # noqa: ARG002 - not on clusters
        """As of `SessionIds`; messages that the search index does not know are written down on the way."""
        async for step in self._steps(cursor, wanted=max(wanted, _WANTED), whole=True):
            yield step

    async def walk(self, *, wanted: int) -> AsyncIterator[list[bytes]]:
        """As of `SessionIds`."""
        async for step in self._steps(0, wanted=wanted, whole=False):
            yield step.ids

    async def told(self, keys: Sequence[bytes]) -> tuple[Mapping[bytes, Sequence[bytes]], tuple[Quarantined, ...]]:
        """Return what some keys of the layout's type are: messages' ids by session, and what is lost; write nothing."""
        found = await self._sorted(keys)
        return found.messages, await self._lost(found.others)

    async def _steps(self, cursor: int, *, wanted: int, whole: bool) -> AsyncIterator[IdStep]:
        # First the messages, then the companions of ours: a cursor of ours has the one or the other in its last bit.
        position, in_companions = divmod(cursor, 2)
        seen = self._calls.ledger.head("seen") + secrets.token_hex(8).encode() + b"}"
        layout = self._keyed
        if not in_companions:
            async for step in scan_keys(self._client, layout.prefix, position, wanted=wanted, kind=layout.kind):
                found = await self._sorted(step.keys)
                ids = await self._unseen(seen, found.messages)
                if whole:
                    again = await self._unknown(found.messages)
                    ids = list(dict.fromkeys([*ids, *again]))
                lost = await self._lost(found.others) if whole else ()
                yield IdStep(ids, 2 * step.cursor, 2 * step.following or 1, lost)
            position = 0
        companions = self._calls.ledger.head("companion")
        async for step in scan_keys(self._client, companions, position, wanted=wanted):
            names = [self._calls.ledger.record_of("companion", key) for key in step.keys]
            ids = await self._unseen(seen, names)
            yield IdStep(ids, 2 * step.cursor + 1, 2 * step.following + 1 if step.following else 0)
        await self._client.ask("DEL", seen)

    async def _sorted(self, keys: Sequence[bytes]) -> _Found:
        """Return what some keys of the layout's type are, by the session that each names itself and by its key."""
        found = _Found()
        layout = self._keyed
        answers = await self._client.ask_all(layout.asking(key) for key in keys)
        for key, answer in zip(keys, answers, strict=True):
            session_id = layout.answered(answer)
            parted = None if session_id is None else layout.parted_by(key, session_id)
            if parted is not None:
                found.messages.setdefault(parted.session_id, []).append(parted.message_id)
            elif not isinstance(answer, RedisError):
                found.others.append(key)
        return found

    async def _unseen(self, seen: bytes, ids: Iterable[bytes]) -> list[bytes]:
        names = list(ids)
        if not names:
            return []
        added = await self._client.ask_all([*(("SADD", seen, name) for name in names), ("EXPIRE", seen, _SEEN_FOR)])
        return [name for name, is_new in zip(names, added, strict=False) if is_new]

    async def _unknown(self, messages: Mapping[bytes, Sequence[bytes]]) -> list[bytes]:
        """Write down messages that the search index does not know; return the sessions that they are of."""
        names = list(messages)
        replies = await run_all(self._client, [self._calls.found(name, messages[name]) for name in names])
        return [name for name, reply in zip(names, replies, strict=True) if reply is not None and reply[0] == b"found"]

    async def _lost(self, keys: Sequence[bytes]) -> tuple[Quarantined, ...]:
        """Return those of some keys that look like messages, and yet are of no session."""
        samples = [sample for sample in await samples_of(self._client, self._keyed, keys) if sample is not None]
        lost = [sample for sample in samples if self._keyed.claims(sample) is not None]
        if len(lost) < len(samples):
            self._pass_over(next(sample.key for sample in samples if sample not in lost))
        field_name = self._keyed.session_field
        reason = (
            f"its key does not begin with the prefix and the session that it names in {field_name}, or it names none"
        )
        return tuple(quarantined(LayoutError(one.key, _raw(one), reason)) for one in lost)


async def samples_of(client: Client, layout: ChatLayout, keys: Sequence[bytes]) -> list[Sample | None]:
    """Return what lies at some keys of the layout's type; None for what is gone."""
    is_json = layout.kind == "ReJSON-RL"
    rows = await client.ask_all(("JSON.GET", key) if is_json else ("HGETALL", key) for key in keys)
    return [_sample(key, row, layout.kind or "") for key, row in zip(keys, rows, strict=True)]


def _sample(key: bytes, row: object, kind: str) -> Sample | None:
    if isinstance(row, bytes):
        return Sample(key=key, kind=kind, fields={"": row})
    if isinstance(row, dict) and row:
        return Sample(
            key=key, kind=kind, fields={name.decode("utf-8", "replace"): value for name, value in row.items()}
        )
    return None


def _raw(sample: Sample) -> bytes:
    return raw_of([part for name, value in sample.fields.items() for part in (name.encode(), value) if part])
