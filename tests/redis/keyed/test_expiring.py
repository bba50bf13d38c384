"""Messages that expire while they are moved are on neither side afterwards, and come back from neither."""

import asyncio
from datetime import timedelta

from chatstore.migration import BackfillOptions, VerifyOptions, backfill_chat, verify_chat
from chatstore.models import utc_now
from chatstore.routing import Sides, chat_repairer
from chatstore.testing import MemoryProgress
from tests.redis.keyed.index import make_index

_QUICK = BackfillOptions(batch=20, settle_seconds=0)
_QUICK_VERIFY = VerifyOptions(batch=20, wait=0.05)


async def move(source, target, old, new):
    progress = MemoryProgress()
    repair = chat_repairer(Sides(old, new), progress=progress).run
    report = await backfill_chat(source, target, progress, repair=repair, options=_QUICK)
    found = await verify_chat(old, new, progress, repair=repair, options=_QUICK_VERIFY)
    assert (report.quarantined, found.differences) == (0, ())


async def test_messages_that_expire_during_a_migration(app, client, layout, chat, memory):
    now = utc_now()
    for number in range(60):
        names = await app.write(f"s{number}", 4)
        for place, name in enumerate(names[:3]):
            soon = now + timedelta(milliseconds=20 * number + 300 * place)
            await client.pexpireat(app.key(f"s{number}", name), soon)
    await move(chat, memory, chat, memory)
    await asyncio.sleep(max(0, (now + timedelta(seconds=2) - utc_now()).total_seconds()))
    await move(chat, memory, chat, memory)
    for side in (chat, memory):
        for number in range(60):
            assert [one.id for one in await side.messages("ann", f"s{number}")] == [names[3]]
    await client.flushall()
    await make_index(client, layout)
    await move(memory, chat, chat, memory)
    assert len([key async for key in client.scan_iter("chat:*")]) == 60
