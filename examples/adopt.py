"""An app's first lines with chatstore: a session, two messages, and what was said so far.

Run it with the settings of your servers in the environment or in `.env.local`: `python examples/adopt.py`.
"""

import asyncio

import chatstore


async def main() -> None:
    async with chatstore.open() as stores:
        session = await stores.chat.create_session("ann", title="An order")
        await stores.chat.append("ann", session.id, chatstore.NewMessage("user", "Where is my order?"))
        await stores.chat.append("ann", session.id, chatstore.NewMessage("assistant", "It left us this morning."))
        for message in await stores.chat.last_messages("ann", session.id, 50):
            print(f"{message.role}: {message.content}")


asyncio.run(main())
