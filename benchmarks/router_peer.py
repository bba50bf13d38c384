"""The router beside LaunchDarkly's migrators, over stores that do nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from typing import Any

from ldclient import Context, LDClient, Result
from ldclient.async_client import AsyncLDClient
from ldclient.async_config import AsyncConfig, AsyncDataSystemConfig
from ldclient.config import Config
from ldclient.integrations.test_data import TestData
from ldclient.integrations.test_datav2 import TestDataV2
from ldclient.migrations import AsyncMigrator, AsyncMigratorBuilder, Migrator, MigratorBuilder
from ldclient.migrations import Stage as Theirs

from benchmarks.results import Row
from benchmarks.router_sides import APPEND, SESSION, USER, Nothing, router_at
from benchmarks.timing import Times, compared, race_async
from chatstore.models import Side, Stage

_ROUNDS = 20
_AT_MOST = 0.7
_DONE = Result.success([])
_CONTEXT = Context.create(USER)
_BLOCKING, _ASYNC = "LaunchDarkly's migrator", "its async migrator"


def measure(*, calls: int) -> list[Row]:
    """Return a row for reads and for writes at each stage and beside each migrator."""
    return asyncio.run(_measure(calls // _ROUNDS))


async def _measure(calls: int) -> list[Row]:
    rows: list[Row] = []
    ours: dict[str, Times] = {}
    async with _async_migrator() as awaited, _migrator() as blocking:
        for stage in Stage:
            for work in ("read", "write"):
                times = await _cell(stage, work, blocking, awaited, calls)
                name = f"{work} at `{stage}`, stores that do nothing"
                ours[f"{work} {stage}"] = own = times.pop("ours")
                rows += compared(name, own, {_BLOCKING: times[_BLOCKING]}, p50=_AT_MOST, p99=_AT_MOST)
                rows += compared(name, own, {_ASYNC: times[_ASYNC]}, p50=_AT_MOST, p99=_AT_MOST)
    rows += compared("shadow read, stores that do nothing", ours["read shadow"], {"plain read": ours["read off"]})
    rows += compared("dual write, stores that do nothing", ours["write dualwrite"], {"at `off`": ours["write off"]})
    return rows


async def _cell(stage: Stage, work: str, blocking: Migrator, awaited: AsyncMigrator, calls: int) -> dict[str, Times]:
    old, new = Nothing(Side.OLD), Nothing(Side.NEW)
    await old.prepare()
    await new.prepare()
    router = router_at(stage, old, new)
    flag = stage.value
    theirs: Callable[[], object]
    if work == "read":
        contenders = {
            "ours": lambda: router.last_messages(USER, SESSION, 20),
            _ASYNC: lambda: awaited.read(flag, _CONTEXT, Theirs.OFF, SESSION),
        }
        theirs = lambda: blocking.read(flag, _CONTEXT, Theirs.OFF, SESSION)  # noqa: E731 - like those above
    else:
        contenders = {
            "ours": lambda: router.write(APPEND),
            _ASYNC: lambda: awaited.write(flag, _CONTEXT, Theirs.OFF, APPEND),
        }
        theirs = lambda: blocking.write(flag, _CONTEXT, Theirs.OFF, APPEND)  # noqa: E731
    try:
        return await race_async(contenders, rounds=_ROUNDS, calls=calls, blocking={_BLOCKING: theirs})
    finally:
        await router.close()


@asynccontextmanager
async def _migrator() -> AsyncIterator[Migrator]:
    data = TestData.data_source()
    for flag in _flags(data):
        data.update(flag)
    with closing(LDClient(Config("offline", update_processor_class=data, send_events=False))) as client:
        built = MigratorBuilder(client).read(_nothing, _nothing, _are_equal).write(_nothing, _nothing).build()
        assert isinstance(built, Migrator), built  # noqa: S101 - else it is the reason why not
        yield built


@asynccontextmanager
async def _async_migrator() -> AsyncIterator[AsyncMigrator]:
    data = TestDataV2.data_source()
    for flag in _flags(data):
        data.update(flag)
    sources = AsyncDataSystemConfig(initializers=[data.async_builder], synchronizers=[data.async_builder])
    async with AsyncLDClient(AsyncConfig("offline", datasystem_config=sources, send_events=False)) as client:
        builder = AsyncMigratorBuilder(client).read(_nothing_async, _nothing_async, _are_equal)
        built = builder.write(_nothing_async, _nothing_async).build()
        assert isinstance(built, AsyncMigrator), built  # noqa: S101
        yield built


def _flags(data: Any) -> list[Any]:
    """Return a flag for each stage, which has everybody there."""
    stages = [stage.value for stage in Theirs]
    return [
        data.flag(stage).variations(*stages).variation_for_all(place).fallthrough_variation(place)
        for place, stage in enumerate(stages)
    ]


def _nothing(payload: object) -> Result:
    del payload
    return _DONE


async def _nothing_async(payload: object) -> Result:
    del payload
    return _DONE


def _are_equal(one: object, other: object) -> bool:
    return one == other
