"""`chatstore migrate --chat` and `chatstore verify --chat` from Python.

Run it with the settings of your servers in the environment or in `.env.local`: `python examples/migrate.py`.
"""

import asyncio

from chatstore.backends import Backends
from chatstore.migration import backfill_chat, verify_chat
from chatstore.models import Kind
from chatstore.routing import chat_repairer
from chatstore.settings import load_settings


async def main() -> None:
    async with Backends(load_settings()) as backends:
        sides, progress = await backends.chat_sides(), backends.progress(Kind.CHAT)
        repair = chat_repairer(sides, progress=progress).run
        copied = await backfill_chat(sides.old, sides.new, progress, repair=repair)
        print(f"copied {copied.copied.sessions} sessions, {copied.copied.messages} messages")
        verified = await verify_chat(sides.old, sides.new, progress, repair=repair)
        print("both sides are equal" if verified.equal else f"{verified.difference_count} differences")


asyncio.run(main())
