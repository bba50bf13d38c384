"""A Redis with `appendfsync everysec` that lost its last second: what that loses, that verify reports it, and what
brings it back.

A kill alone loses nothing that the server has written: the operating system has it. A power cut takes what was not
synced. So the append-only file is cut where it was synced last.
"""

import asyncio
import os

from redis.asyncio import Redis

import chatstore
from chatstore.backends import Backends
from chatstore.cli.kinds import open_kinds
from chatstore.migration import BackfillOptions
from chatstore.models import Embedding, NewDocument, NewMessage, Side, Stage, utc_now
from demo.digest import digest
from demo.readings import read_chroma, read_postgres, read_redis
from tests.chaos.stacks import settings_for
from tests.flags import Flags

USER = "u"
VECTOR = Embedding.of([0.6, 0.8])
TEXTS = {digest(text, text, VECTOR): text for text in ("first", "doomed", "second", "fresh")}
BEFORE = {
    "session kept: kept",
    "session doomed: doomed",
    "message one: one",
    "message two: two",
    "message doomed: doomed",
    "document first: first",
    "document doomed: doomed",
}
AFTER = {
    "session kept: renamed",
    "session fresh: fresh",
    "message one: edited",
    "message three: three",
    "message four: four",
    "document first: second",
    "document fresh: fresh",
}

DIFFERENT = {
    "session/kept",
    "session/kept/message/one",
    "session/kept/message/two",
    "session/kept/message/three",
    "session/fresh",
    "session/doomed",
    "document/u/first",
    "document/u/fresh",
    "document/u/doomed",
}
"""What `verify` names, after all of it is forgotten; a session that is missing stands for its messages."""


class Scene:
    """An app at one stage, what it writes, and an operator."""

    def __init__(self, stack):
        self._stack = stack
        self._settings = settings_for(stack)

    async def app(self, stage, *writes):
        """Open the app, let it write, and close it in order."""
        async with chatstore.open(self._settings, inline=True, repair=False) as stores:
            for store in (stores.chat, stores.documents):
                for side in Side:
                    await store.sides[side].journal.remember(verified_at=utc_now(), journal_open=True)
                store.stages._client = Flags(stage).client
            for write in writes:
                await write(stores)

    async def operate(self, what):
        """Do something with each of the two kinds, and return what came of it."""
        async with Backends(self._settings) as backends:
            return [await what(opened) for opened in await open_kinds(backends, (), "test")]

    async def repair(self):
        return sum([report.merged for report in await self.operate(lambda opened: opened.repairer.run())])

    async def bring_back(self):
        nobody_writes = BackfillOptions(settle_seconds=0)
        return [
            report.complete for report in await self.operate(lambda opened: opened.bring_back(options=nobody_writes))
        ]

    async def differences(self):
        """The records of which `chatstore verify` says that they differ."""
        reports = await self.operate(lambda opened: opened.verify())
        return {difference.key for report in reports for difference in report.differences}

    async def synced(self):
        """Return how much of Redis's file survives a power cut from now on."""
        async with Redis.from_url(self._stack.redis.url) as redis:
            assert (await redis.execute_command("WAITAOF", 1, 0, 5000))[0] == 1
        return self._file.stat().st_size

    async def cut_power(self, size):
        await asyncio.to_thread(self._stack.redis.kill)
        assert self._file.stat().st_size > size
        os.truncate(self._file, size)
        await asyncio.to_thread(self._stack.redis.start)

    @property
    def _file(self):
        return self._stack.redis.folder / "appendonlydir" / "appendonly.aof.1.incr.aof"

    def old(self):
        return said(read_redis(self._stack.redis.url))

    def new(self):
        seen = read_postgres(self._stack.settings.supabase_db_url)
        return said([*seen, *read_chroma(self._stack.settings.chroma_url)])


def said(seen):
    """What a side says, in words; a document's digest stands for its text."""
    return {f"{item.what} {item.id}: {TEXTS.get(item.value, item.value)}" for item in seen}


async def before(stores):
    for name in ("kept", "doomed"):
        await stores.chat.create_session(USER, session_id=name, title=name)
    await stores.chat.append(USER, "kept", [NewMessage("user", name, id=name) for name in ("one", "two")])
    await stores.chat.append(USER, "doomed", NewMessage("user", "doomed", id="doomed"))
    await stores.documents.upsert(USER, [document("first", "first"), document("doomed", "doomed")])


async def after(stores):
    """What happens in the last second: of everything something."""
    await stores.chat.append(USER, "kept", NewMessage("user", "three", id="three"))
    await stores.chat.edit_message(USER, "kept", "one", content="edited")
    await stores.chat.delete_messages(USER, "kept", ["two"])
    await stores.chat.update_session(USER, "kept", title="renamed")
    await stores.chat.delete_session(USER, "doomed")
    await stores.chat.create_session(USER, session_id="fresh", title="fresh")
    await stores.chat.append(USER, "fresh", NewMessage("user", "four", id="four"))
    await stores.documents.upsert(USER, [document("first", "second"), document("fresh", "fresh")])
    await stores.documents.delete(USER, ["doomed"])


def document(name, text):
    return NewDocument(text, id=name, title=text, embedding=VECTOR)


async def test_what_redis_forgot_at_dualwrite_is_found_and_brought_back(own_stack):
    scene = Scene(own_stack)
    await scene.app(Stage.DUALWRITE, before)
    size = await scene.synced()
    await scene.app(Stage.DUALWRITE, after)
    assert scene.old() == scene.new() == AFTER
    await scene.cut_power(size)
    assert (scene.old(), scene.new()) == (BEFORE, AFTER)
    assert await scene.repair() == 0
    assert await scene.differences() == DIFFERENT
    assert await scene.bring_back() == [True, True]
    assert scene.old() == scene.new() == AFTER
    assert await scene.differences() == set()


async def test_what_a_repair_brought_to_redis_and_redis_forgot_is_found_and_brought_back(own_stack):
    scene = Scene(own_stack)
    await scene.app(Stage.DUALWRITE, before)
    await scene.app(Stage.COMPLETE, after)
    size = await scene.synced()
    assert await scene.repair() > 0
    assert scene.old() == scene.new() == AFTER
    await scene.cut_power(size)
    assert (scene.old(), scene.new()) == (BEFORE, AFTER)
    assert await scene.repair() == 0
    assert await scene.differences() == DIFFERENT
    assert await scene.bring_back() == [True, True]
    assert scene.old() == scene.new() == AFTER


async def test_what_only_redis_had_and_forgot_is_lost_and_both_sides_agree_on_that(own_stack):
    scene = Scene(own_stack)
    await scene.app(Stage.DUALWRITE, before)
    size = await scene.synced()
    await scene.app(Stage.OFF, after)
    assert (scene.old(), scene.new()) == (AFTER, BEFORE)
    await scene.cut_power(size)
    assert await scene.repair() == 0
    assert scene.old() == scene.new() == BEFORE
    assert await scene.differences() == set()
