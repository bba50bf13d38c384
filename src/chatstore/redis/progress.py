"""What a migration run writes down in Redis: its lease, its checkpoints, its quarantine."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Sequence

import orjson

from chatstore.errors import LeaseLostError
from chatstore.interfaces import Progress
from chatstore.models import Kind, Quarantined, from_micros, to_micros
from chatstore.redis import scripts
from chatstore.redis.client import Argument, Client
from chatstore.redis.keys import JournalKeys
from chatstore.redis.raw import RawData
from chatstore.redis.scripts import Call, script

_BATCH = 100


class RedisProgress(Progress):
    """The record of one kind's migration runs, beside the data that they read.

    Args:
        client: The connection.
        kind: Whose migration: chat's or documents'.
        raw: How the raw data of what is in quarantine is kept; as it is, when left out.
    """

    def __init__(self, client: Client, kind: Kind, *, raw: RawData | None = None) -> None:
        self._client = client
        self._raw = raw or RawData()
        self._keys = JournalKeys(kind)

    async def acquire(self, holder: str, seconds: float) -> None:
        call = Call(script("values", "lease_acquire"), [self._keys.lease], [holder, max(1, int(seconds * 1000))])
        other = await scripts.run(self._client, call)
        if other:
            name, milliseconds = other
            raise LeaseLostError(
                f"{_process(name.decode())} is at work on this migration: `chatstore status` shows it; if that was "
                f"killed, its lease ends in {math.ceil(milliseconds / 1000)} s"
            )

    async def release(self, holder: str) -> None:
        await scripts.run(self._client, Call(script("values", "lease_release"), [self._keys.lease], [holder]))

    async def holder(self) -> str | None:
        held = await self._client.ask("GET", self._keys.lease)
        return None if held is None else str(held.decode())

    async def limits(self) -> str | None:
        held = await self._client.ask("GET", self._keys.limits)
        return None if held is None else str(held.decode())

    async def set_limits(self, limits: str | None) -> None:
        if limits is None:
            await self._client.ask("DEL", self._keys.limits)
        else:
            await self._client.ask("SET", self._keys.limits, limits)

    async def checkpoint(self, run: str) -> str | None:
        held = await self._client.ask("HGET", self._keys.checkpoints, run)
        return None if held is None else str(held.decode())

    async def save_checkpoint(self, run: str, checkpoint: str | None, holder: str) -> None:
        arguments: list[Argument] = [holder, run, *([] if checkpoint is None else [checkpoint])]
        call = Call(script("values", "checkpoint_save"), [self._keys.lease, self._keys.checkpoints], arguments)
        if not await scripts.run(self._client, call):
            raise LeaseLostError(f"{holder} does not hold the lease on this migration any more")

    async def report(self, run: str) -> str | None:
        held = await self._client.ask("GET", self._keys.report(run))
        return None if held is None else str(held.decode())

    async def save_report(self, run: str, report: str | None, *, holder: str | None, seconds: float) -> None:
        fence: list[Argument] = [int(holder is not None), holder or ""]
        kept: list[Argument] = [] if report is None else [max(1, int(seconds * 1000)), report]
        call = Call(script("values", "report_save"), [self._keys.lease, self._keys.report(run)], [*fence, *kept])
        if not await scripts.run(self._client, call):
            raise LeaseLostError(f"{holder} does not hold the lease on this migration any more")

    async def quarantine(self, records: Sequence[Quarantined]) -> None:
        for start in range(0, len(records), _BATCH):
            pairs = ((record.key, self._encoded(record)) for record in records[start : start + _BATCH])
            await self._client.ask("HSET", self._keys.quarantine, *(part for pair in pairs for part in pair))

    async def quarantined(self) -> AsyncIterator[Quarantined]:
        cursor = 0
        while True:
            cursor, found = await self._client.ask("HSCAN", self._keys.quarantine, cursor, "COUNT", _BATCH)
            for body in found.values():
                yield self._decoded(body)
            if cursor == 0:
                return

    async def count_quarantined(self) -> int:
        return int(await self._client.ask("HLEN", self._keys.quarantine))

    async def release_quarantined(self, keys: Sequence[str]) -> None:
        if keys:
            await self._client.ask("HDEL", self._keys.quarantine, *keys)

    def _encoded(self, record: Quarantined) -> bytes:
        fields = {"key": record.key, "reason": record.reason, "size": record.size, "at": to_micros(record.at)}
        return orjson.dumps({**fields, **self._raw.written(record.raw)})

    def _decoded(self, body: bytes) -> Quarantined:
        fields = orjson.loads(body)
        told = {name: fields[name] for name in ("key", "reason", "size")}
        return Quarantined(**told, at=from_micros(fields["at"]), **self._raw.read(fields))


def _process(holder: str) -> str:
    """Return who holds a lease as people say it: a run calls itself `host:pid:token`."""
    host, pid, token = (["", "", *holder.rsplit(":", 2)])[-3:]
    return f"{host} (pid {pid})" if host and token and pid.isdecimal() else holder
