"""The journal in Redis: a sorted set of tokens by age, a hash of bodies, and a sorted set a user of marked keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

import orjson

from chatstore.interfaces import Journal
from chatstore.models import Backlog, Kind, Mark, MigrationState, Side, Stage, from_micros, to_micros
from chatstore.redis.client import Argument, Client
from chatstore.redis.keys import JournalKeys
from chatstore.redis.scripts import Call, run, script

_ADD = ("values", "marks", "journal_add")
_SETTLE = ("values", "marks", "journal_settle")
_CLEAR = ("values", "marks", "journal_clear")
_CLEAR_ALONE = ("values", "marks", "journal_clear_alone")
_LIST = ("values", "journal_list")
_OF_USER = ("values", "marks", "journal_of_user")


class RedisJournal(Journal):
    """The marks of the writes that reached Redis first.

    Args:
        client: The connection.
        kind: Whose marks: chat's or documents'.
    """

    def __init__(self, client: Client, kind: Kind) -> None:
        self._client = client
        self._keys = JournalKeys(kind)

    async def add(self, marks: Sequence[Mark]) -> None:
        if not marks:
            return
        keys = [self._keys.marks, self._keys.bodies, self._keys.migration]
        arguments = [argument for mark in marks for argument in mark_arguments(mark)]
        await run(self._client, Call(script(*_ADD), [*keys, *self._users(marks)], arguments))

    async def announce(self, marks: Sequence[Mark]) -> None:
        """Make marks, also those that are for an open journal only, whether it is open or not."""
        if not marks:
            return
        keys = [self._keys.marks, self._keys.bodies, self._keys.migration]
        arguments = [argument for mark in marks for argument in mark_arguments(mark, always=True)]
        await run(self._client, Call(script(*_ADD), [*keys, *self._users(marks)], arguments))

    async def settle(self, marks: Sequence[Mark]) -> None:
        """Make marks that were announced what they are; clear those that are for an open journal only, if it is not.

        One that was cleared meanwhile stays cleared.
        """
        if not marks:
            return
        keys = [self._keys.marks, self._keys.bodies, self._keys.migration]
        arguments = [argument for mark in marks for argument in mark_arguments(mark)]
        await run(self._client, Call(script(*_SETTLE), [*keys, *self._users(marks)], arguments))

    async def clear(self, marks: Sequence[Mark]) -> None:
        if not marks:
            return
        keys = [self._keys.marks, self._keys.bodies, *self._users(marks)]
        arguments = [argument for mark in marks for argument in (mark.token, mark.key)]
        await run(self._client, Call(script(*_CLEAR), keys, arguments))

    async def clear_alone(self, marks: Sequence[Mark], own: Sequence[Mark] = ()) -> Sequence[Mark]:
        if not marks:
            return []
        keys = [self._keys.marks, self._keys.bodies, *self._users(marks)]
        arguments: list[Argument] = []
        for part in ([mark.token for mark in marks], [mark.key for mark in marks], [mark.token for mark in own]):
            arguments += [len(part), *part]
        left = {token.decode() for token in await run(self._client, Call(script(*_CLEAR_ALONE), keys, arguments))}
        return [mark for mark in marks if mark.token in left]

    async def marks(self, *, limit: int, after: Mark | None = None) -> Sequence[Mark]:
        arguments: list[Argument] = [limit, to_micros(after.at) if after else "", after.token if after else ""]
        bodies = await run(self._client, Call(script(*_LIST), [self._keys.marks, self._keys.bodies], arguments))
        return [_mark(body) for body in bodies]

    async def marks_of(self, user_id: str, keys: Sequence[str] | None = None) -> Sequence[Mark]:
        names = list(dict.fromkeys(keys or ()))
        arguments: list[Argument] = ["1" if keys is None else "0", len(names), *names]
        where = [self._keys.bodies, self._keys.of_user(user_id)]
        bodies = await run(self._client, Call(script(*_OF_USER), where, arguments))
        return sorted(map(_mark, bodies), key=lambda mark: (mark.at, mark.token))

    async def backlog(self) -> Backlog:
        call = Call(script("values", "journal_backlog"), [self._keys.marks], [])
        count, oldest = await run(self._client, call)
        return Backlog(count, from_micros(int(oldest)) if oldest else None)

    async def state(self) -> MigrationState:
        held = await self._client.ask("HGETALL", self._keys.migration)
        stage = held.get(b"stage")
        return MigrationState(
            journal_open=held.get(b"journal_open") == b"1",
            backfilled_at=_time(held.get(b"backfilled_at")),
            verified_at=_time(held.get(b"verified_at")),
            differed_at=_time(held.get(b"differed_at")),
            stage=Stage(stage.decode()) if stage else None,
            way_back_closed=held.get(b"way_back_closed") == b"1",
        )

    async def remember(
        self,
        *,
        journal_open: bool | None = None,
        backfilled_at: datetime | None = None,
        verified_at: datetime | None = None,
        differed_at: datetime | None = None,
        stage: Stage | None = None,
        way_back_closed: bool | None = None,
    ) -> None:
        fields = {
            "journal_open": None if journal_open is None else int(journal_open),
            "backfilled_at": to_micros(backfilled_at) if backfilled_at else None,
            "verified_at": to_micros(verified_at) if verified_at else None,
            "differed_at": to_micros(differed_at) if differed_at else None,
            "stage": stage.value if stage else None,
            "way_back_closed": None if way_back_closed is None else int(way_back_closed),
        }
        known = [(name, value) for name, value in fields.items() if value is not None]
        if known:
            await self._client.ask("HSET", self._keys.migration, *(part for pair in known for part in pair))

    async def forget_state(self) -> None:
        await self._client.ask("DEL", self._keys.migration)

    def _users(self, marks: Sequence[Mark]) -> list[bytes]:
        return [self._keys.of_user(mark.user_id) for mark in marks]


def mark_arguments(mark: Mark | None, *, always: bool = False) -> list[Argument]:
    """Return what `take_mark` in `marks.lua` reads; `always`: for a mark that no closed journal leaves out."""
    if mark is None:
        return [0]
    body = orjson.dumps(
        {
            "token": mark.token,
            "key": mark.key,
            "user_id": mark.user_id,
            "side": mark.side,
            "op": mark.op,
            "message_ids": mark.message_ids,
            "at": to_micros(mark.at),
            "lease_until": to_micros(mark.lease_until) if mark.lease_until else None,
            "while_open": mark.while_open,
        }
    )
    return [1, mark.token, to_micros(mark.at), mark.key, int(mark.while_open and not always), body]


def _mark(body: bytes) -> Mark:
    fields = orjson.loads(body)
    ids = fields.pop("message_ids")
    lease_until = fields.pop("lease_until")
    mark = Mark(**{**fields, "side": Side(fields["side"]), "at": from_micros(fields["at"])})
    return replace(
        mark,
        message_ids=None if ids is None else tuple(ids),
        lease_until=None if lease_until is None else from_micros(lease_until),
    )


def _time(micros: bytes | None) -> datetime | None:
    return None if micros is None else from_micros(int(micros))
